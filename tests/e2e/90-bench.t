#!/usr/bin/env bash
# The benchmark works: with tiny sizes, each of its measures has a figure for eipd, in the tables and
# in the JSON, and nothing is left behind. What the figures are is no matter here.
#
# Alone: it measures.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
[[ $(id -u) == 0 ]] || { echo "1..0 # SKIP needs root"; exit 0; }
T=$(mktemp -d "${TMPDIR:-/tmp}/eipd-test.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
bench=$ROOT/tests/bench/run

# of the peers only one, for the time it takes; where it is not here, none
"$bench" --smoke --no-install --only 'dnsmasq, no' --output "$T/out" >"$T/tables" 2>"$T/err" </dev/null &
pid=$!
wait "$pid"
is "a short run of all sections" $? 0
diag <"$T/err"
(($(stat -c %s "$T/tables") > 2000)) || diag <"$T/tables"

figures() { json "$1" <"$T/out/bench.json"; }
# what depends on the machine keeping up is not asked for: first, p50, p99
wanted='rate busy cpu_full cpu reload gap reload_all gap_all bind unbind kernel bulk inward outward flow_p50 flow_p99
	private dirty resident binary libraries offer'
command -v perfdhcp >/dev/null && wanted+=' storm'
is "each measure has a figure for eipd" "$(figures 'sorted(set("""'"$wanted"'""".split())
	- {f["measure"] for f in d["figures"] if f["subject"] == "eipd" or f["measure"] == "kernel"})')" '[]'
is "each figure lies between its least and its greatest" \
	"$(figures '[f for f in d["figures"] if not 0 <= f["min"] <= f["median"] <= f["max"]]')" '[]'
is "each is of as many runs as it says" "$(figures '[f for f in d["figures"] if not f["runs"]]')" '[]'
is "the ceiling was measured beside it" \
	"$(figures '[f["unit"] for f in d["figures"]
		if f["subject"] == "bare reflector" and f["measure"] == "cpu"]')" '["us"]'
is "it says on what machine" "$(figures 'all(d["machine"][k] for k in ("date", "cpu", "cores", "kernel"))')" true
is "no server failed" "$(figures '[n for n in d["notes"] if "is not here" not in n["text"]
	and "does not do" not in n["text"]]')" '[]'
like "the tables have a row for eipd" "$(<"$T/tables")" $'\n  eipd +[0-9.,]+.*×1\\.00'
like "where the time of a bind goes" "$(<"$T/tables")" 'where the time of a bind goes'
is "the README's tables can be made again from the JSON" \
	"$("$ROOT/tests/bench/report.py" --markdown "$T/out/bench.json")" "$(<"$T/out/bench/tables.md")"
if command -v gnuplot >/dev/null; then
	check "a plot" grep -q '</svg>' "$T/out/bench/inward.svg"
else
	skip "a plot" "no gnuplot here"
fi
is "an unknown section is refused" "$("$bench" --smoke nonsense >/dev/null 2>&1; echo $?)" 2
is "no namespace is left" "$(ip netns list | count "^bench-$pid-")" 0
is "no directory is left" "$(find "${TMPDIR:-/tmp}" -maxdepth 1 -name "eipd-bench.$pid.*" | count .)" 0
done_testing
