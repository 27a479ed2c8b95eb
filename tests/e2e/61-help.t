#!/usr/bin/env bash
# What the client says of itself: the list of commands, and all about each of them. No daemon, no
# network.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
T=$(mktemp -d "${TMPDIR:-/tmp}/eipd-test.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT

# run WORD…: in $status, $said and $complaint
run() {
	said=$("$EIPCTL" -s "$T/no-daemon" "$@" 2>"$T/stderr" </dev/null)
	status=$?
	complaint=$(<"$T/stderr")
}
# too_wide TEXT: lines that a console of 80 columns would break, or that are not ASCII
too_wide() { awk 'length > 80 || /[^ -~]/' <<<"$1"; }

# ---- the list
run help
is "help exits 0 and needs no daemon" "$status $complaint" "0 "
list=$said
is "help is ASCII, in 80 columns" "$(too_wide "$list")" ""
run
is "no command: the same, as a usage error" "$status $said" "2 $list"
like "which is one line" "$complaint" $'^eipctl: no command; [^\n]+$'
for option in -h --help he; do
	run "$option"
	is "eipctl $option is the same" "$status $said" "0 $list"
done
is "help names the exit statuses" "$(count '0 done, 1 refused, 2 usage, 3 no daemon' <<<"$list")" 1

# The lines of commands have two blanks, then the words in small letters.
mapfile -t lines < <(sed -n '/^commands/,$ s/^  \([a-z].*\)/\1/p' <<<"$list")
check "there are commands in it" test "${#lines[@]}" -ge 17
commands=()
for line in "${lines[@]}"; do
	words=$(grep -oE '^[a-z]+( [a-z]+)?' <<<"${line%%[A-Z[]*}")
	commands+=("$words")
done

# ---- each of them
for i in "${!commands[@]}"; do
	command=${commands[i]}
	# shellcheck disable=SC2086 # a command of several words
	run help $command
	is "help $command: exits 0, standard error is empty" "$status $complaint" "0 "
	is "help $command: begins with its usage line" "${said%%$'\n'*}" "usage: eipctl ${lines[i]}"
	is "help $command: ASCII, in 80 columns" "$(too_wide "$said")" ""
	# what it does: the indented lines between the summary and the first empty line after them
	text=$(awk '/^$/ { part++ } part == 1 && NF' <<<"$said")
	lines_of_text=$(grep -c . <<<"$text")
	check "help $command: says in one to six lines what it does ($lines_of_text)" \
		test "$lines_of_text" -ge 1 -a "$lines_of_text" -le 6
	example=$(awk '/^example:/ { getline; print }' <<<"$said")
	like "help $command: has an example of it" "$example" "^  eipctl (-j )?$command( |\$)"
	mapfile -t options < <(grep -oE -- '--[a-z-]+' <<<"${lines[i]}")
	for option in "${options[@]}"; do
		is "help $command: explains $option" "$(count "^  $option " <<<"$said")" 1
	done
	whole=$said
	# shellcheck disable=SC2086
	run $command --help
	is "$command --help is the same" "$status $said" "0 $whole"
done

# ---- shortened, parts, mistakes
run help ip bind
whole=$said
run help i b
is "help i b is help ip bind" "$status $said" "0 $whole"
run help ip
is "help ip lists the commands of ip" \
	"$status $(count '^  ip (list|bind|unbind|move)' <<<"$said") $(count '^  [a-z]' <<<"$said")" "0 4 4"
run help reload
like "help reload tells of its special exit status" "$said" $'status is 1'
refuses() { # WORD…: exits 2 with one line on standard error
	run help "$@"
	is "help $*: exits 2" "$status $said" "2 "
	like "help $*: says why" "$complaint" '^eipctl: [^;]+; [^'$'\n'']+$'
}
refuses nonsense
refuses ip nonsense
refuses nonsense bind
refuses status surplus
refuses ip bind vm-001
refuses ''
done_testing
