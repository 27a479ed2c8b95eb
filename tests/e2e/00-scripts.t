#!/usr/bin/env bash
# Every script of the tree: it parses in the shell it names, and shellcheck finds nothing.
# No network, no daemon.
#
# Not under sanitizers: it starts no program.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
T=$(mktemp -d "${TMPDIR:-/tmp}/eipd-test.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
cd "$ROOT" || exit 1

for script in .ci/run scripts/* scripts/*/* scripts/*/*/* tests/e2e/*.t tests/e2e/*.sh tests/e2e/*.py tests/vm/* tests/bench/*; do
	[[ -f $script ]] || continue
	read -r first <"$script"
	case $first in
	'#!/bin/sh'* | '#!/sbin/openrc-run')
		check "$script parses in sh" sh -n "$script"
		check "$script parses in busybox sh" busybox sh -n "$script"
		;;
	'#!'*bash | '# shellcheck shell=bash'*)
		check "$script parses in bash" bash -n "$script"
		;;
	'#!'*python3)
		check "$script parses in Python" "$PYTHON" -c \
			'import ast, sys; ast.parse(open(sys.argv[1]).read())' "$script"
		continue
		;;
	'#!'*)
		fail "$script names a shell we know" <<<"$first"
		continue
		;;
	*) continue ;;
	esac
	[[ $script == tests/*.sh ]] || check "$script may be executed" test -x "$script"
	if command -v shellcheck >/dev/null; then
		# Off: SC2317 and SC2119, as many a function is called through check and wait_for.
		check "$script: shellcheck" shellcheck -x -e SC2317,SC2119 "$script"
	else
		skip "$script: shellcheck" "no shellcheck here"
	fi
done
done_testing
