#!/bin/bash
# Runs every fuzz target for some seconds, two at a time, from the seeds in the tree; each is a test
# point. EIPD_FUZZ_SECONDS says how many; much longer: make fuzz T=600
cd "$(dirname "$0")/../.." || exit 1
export SECONDS_EACH=${EIPD_FUZZ_SECONDS:-20}
unset MAKEFLAGS MFLAGS MAKELEVEL

if ! command -v clang >/dev/null; then
	echo "1..0 # SKIP no clang"
	exit 0
fi

work=$(mktemp -d) || exit 1
export work
trap 'rm -rf "$work"' EXIT
targets=$(for f in tests/fuzz/fuzz_*.c; do f=${f##*/fuzz_}; echo "${f%.c}"; done)

if ! make -j 2 fuzz-build >"$work/build" 2>&1; then
	sed 's/^/# /' "$work/build"
	echo "not ok 1 - the targets are built"
	echo "1..1"
	exit 1
fi
# shellcheck disable=SC2016 # the inner shell expands
printf '%s\n' "$targets" | xargs -P 2 -I '{}' \
	sh -c 'make "fuzz-$1" T="$SECONDS_EACH" >"$work/$1.log" 2>&1 && touch "$work/$1.well"' sh '{}'

count=0
for target in $targets; do
	count=$((count + 1))
	if [ -e "$work/$target.well" ]; then
		runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$work/$target.log")
		echo "ok $count - $target: nothing found in $runs runs"
	else
		echo "not ok $count - $target"
		grep -vE '^(INFO|#[0-9]|stat::|"|###|	NEW_)' "$work/$target.log" | tail -n 40 | sed 's/^/# /'
	fi
done
echo "1..$count"
