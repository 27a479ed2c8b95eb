#!/usr/bin/env bash
# The manuals: mandoc finds nothing to complain of, and they say what the programs know, no more and
# no less. No network, no daemon.
#
# Not under sanitizers: it starts no program but the client, for its help.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
T=$(mktemp -d "${TMPDIR:-/tmp}/eipd-test.XXXXXX") || exit 1
trap 'rm -rf "$T"' EXIT
PAGES=("$ROOT"/conf/man/*.[58])

is "there are four pages" "${PAGES[*]##*/}" "eipctl.8 eipd-plan.5 eipd.8 eipd.conf.5"

# ---- form
# lint: what mandoc says of the pages, where they are installed: it looks whether those that they
# refer to are there, in the usual place
lint() {
	mkdir -p "$T/man/man5" "$T/man/man8"
	cp "$ROOT"/conf/man/*.5 "$T/man/man5" && cp "$ROOT"/conf/man/*.8 "$T/man/man8" || return
	# shellcheck disable=SC2016 # the shell inside expands it
	unshare -m sh -c 'mount --bind "$0" /usr/share/man && makewhatis /usr/share/man &&
		exec mandoc -Tlint -W style "$@"' "$T/man" "${PAGES[@]}" 2>&1
}
if ! command -v mandoc >/dev/null; then
	skip "mandoc -Tlint" "no mandoc here"
elif [[ $(id -u) != 0 ]]; then
	skip "mandoc -Tlint" "needs root"
else
	is "mandoc -Tlint -W style has nothing to say" "$(lint)" ""
	for page in "${PAGES[@]}"; do
		is "${page##*/}: 80 columns as text" "$(mandoc -Tascii "$page" | sed $'s/.\b//g' | expand |
			awk 'length > 80')" ""
		check "${page##*/}: there is text" test "$(mandoc -Tascii "$page" | wc -l)" -gt 20
	done
fi

# ---- contents
points "$PYTHON" "$HERE/docs.py" "$ROOT" "$EIPD" "$EIPCTL"
done_testing
