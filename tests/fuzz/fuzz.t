#!/bin/bash
# Runs every fuzz target for a few seconds, from the seeds in the tree; each is a test point.
# Longer: make fuzz T=600
cd "$(dirname "$0")/../.." || exit 1
SECONDS_EACH=${FUZZ_SECONDS:-10}
unset MAKEFLAGS MFLAGS MAKELEVEL

if ! command -v clang >/dev/null; then
	echo "1..0 # SKIP no clang"
	exit 0
fi

work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
targets=$(for f in tests/fuzz/fuzz_*.c; do f=${f##*/fuzz_}; echo "${f%.c}"; done)

# one after the other, so that each has its seconds; the build is shared
count=0
for target in $targets; do
	count=$((count + 1))
	if make "fuzz-$target" T="$SECONDS_EACH" >"$work/log" 2>&1; then
		runs=$(sed -n 's/^stat::number_of_executed_units: //p' "$work/log")
		echo "ok $count - $target: nothing found in $runs runs"
	else
		echo "not ok $count - $target"
		grep -vE '^(INFO|#[0-9]|stat::|"|###)' "$work/log" | tail -n 40 | sed 's/^/# /'
	fi
done
echo "1..$count"
