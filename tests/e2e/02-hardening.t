#!/usr/bin/env bash
# The programs are built so that a bug in them is hard to use: what the linker and the compiler put
# there, read from the files. No network, no daemon.
#
# Not under sanitizers: it looks at how the usual programs are built.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/static.sh
. "$HERE/static.sh"
T=$(mktemp -d "${TMPDIR:-/tmp}/eipd-test.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT

# segment FILE NAME: its flags
segment() { readelf -lW "$1" | awk -v name="$2" '$1 == name { print $(NF - 1) }'; }

# linked NAME FILE: what the linker does, of a static file too
linked() {
	is "$1 can be loaded anywhere" "$(readelf -hW "$2" | awk '$1 == "Type:" { print $2 }')" DYN
	is "$1: its stack cannot be run" "$(segment "$2" GNU_STACK)" RW
	is "$1: what the loader has written is read-only then" "$(segment "$2" GNU_RELRO)" R
	like "$1: which is all of it, as all symbols are bound at the start" \
		"$(readelf -dW "$2" | grep FLAGS)" 'BIND_NOW.*NOW|NOW'
	is "$1: nothing is both written and run" "$(readelf -lW "$2" | count ' RWE ')" 0
	is "$1: no text is relocated" "$(readelf -dW "$2" | count TEXTREL)" 0
}

# compiled NAME FILE: what the compiler does, as far as symbols of libc tell
compiled() {
	readelf --dyn-syms -W "$2" >"$T/symbols"
	if grep -q '__asan_init\|__ubsan' "$T/symbols"; then
		skip "$1: stack and buffers are guarded" "it was built with a sanitizer"
		return
	fi
	check "$1: the stack is guarded" grep -q ' __stack_chk_fail' "$T/symbols"
	check "$1: lengths of buffers are checked" grep -qE ' __(mem|str|v?s?n?printf|f?printf)[a-z]*_chk' "$T/symbols"
	if [[ $(uname -m) != x86_64 ]]; then
		skip "$1: jumps land where functions begin" "it is not x86-64"
	else
		# without the flag only the few of the start files
		check "$1: jumps land where functions begin" \
			test "$(objdump -d "$2" | count '\sendbr64')" -gt 15
	fi
}

for file in "$EIPD" "$EIPCTL"; do
	[[ -x $file ]] || die "no $file; run make first"
	linked "${file##*/}" "$file"
	compiled "${file##*/}" "$file"
done
if ! command -v apt-get >/dev/null; then
	skip "the static file" "it is built from Debian's sources"
elif static_make static; then
	linked "the static file" "$ROOT/build/static/eipd"
elif static_unavailable; then
	skip "the static file" "Debian's source packages cannot be had"
else
	fail "make static" <"$T/make"
fi

# ---- and the flags of others keep working
# flags VARIABLE=VALUE…: the command line that would compile a file
flags() { make -C "$ROOT" -n V=1 O="$T/build" "$@" "$T/build/common/addr.o" 2>/dev/null | grep -e '-c -o'; }
# fortified VARIABLE=VALUE…: how many lines have it, of how many
fortified() { flags "$@" | awk '/FORTIFY/ { n++ } END { print n + 0 " of " NR }'; }
is "no FORTIFY without optimising" "$(fortified CFLAGS=-O0)" "0 of 1"
is "none with a sanitizer" "$(fortified CFLAGS="-O1 -fsanitize=address")" "0 of 1"
is "else it is there" "$(fortified CFLAGS=-Os)" "1 of 1"
is "one that is asked for stays" \
	"$(flags CFLAGS="-O2 -D_FORTIFY_SOURCE=1" | grep -o 'FORTIFY_SOURCE=.')" "FORTIFY_SOURCE=1"
is "CFLAGS come last" "$(flags CFLAGS="-O2 -fno-stack-protector" | grep -o -e '-f[a-z]*-\?stack-protector[a-z-]*' |
	tail -n 1)" "-fno-stack-protector"
make -s -C "$ROOT" O="$T/build" SYSCONFDIR=/srv/etc "$T/build/eipd.o" "$T/build/common/config.o" >"$T/make" 2>&1
check "SYSCONFDIR is where the configuration is" grep -aq /srv/etc/eipd/eipd.conf "$T/build/eipd.o"
check "and the plan" grep -aq /srv/etc/eipd/network.conf "$T/build/common/config.o"
is "HARDEN=no leaves it out" "$(flags HARDEN=no | count 'FORTIFY|stack-protector|PIE')" 0
done_testing
