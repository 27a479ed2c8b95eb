#!/usr/bin/env bash
# A plan of 50,000 machines is read again while clients renew, and 7,500 public addresses are bound
# in one reload: not one renewal is lost.
#
#   hypervisor: eipd ── br0 10.77.0.1/16 ──┬── eth1
#                                          └── vnet1 ── wire: renews for 500 machines
#
# Alone: it measures how long an answer takes.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
MACHINES=50000 RENEWING=500 PER_SECOND=500
stage_up 10.77.0.1/16
vm_up wire 02:00:00:ff:00:01
mac_of() { ip -n "$HV" -o link show "$1" | sed 's/.*link.ether \([^ ]*\).*/\1/'; }

# big_plan FIRST: from the FIRST machine on, each has the address of its neighbour
big_plan() {
	awk -v n="$MACHINES" -v first="$1" 'BEGIN {
		for (i = 0; i < n; i++) {
			at = i < first ? i : i % 2 ? i - 1 : i + 1
			printf "02:00:00:00:%02x:%02x,vm-%d,10.77.%d.%d\n", int(i / 256), i % 256,
				i, 1 + int(at / 200), 1 + at % 200 } }'
}
big_plan "$MACHINES" >"$T/one"
big_plan 1000 >"$T/two"
cp "$T/one" "$PLAN"
conf daemon.log-level info
daemon_up
is "a plan of $MACHINES machines is in force" "$(field 'd["plan"]["vms"]' status)" "$MACHINES"

renew_begin() {
	rm -f "$T/ready" "$T/stop"
	vm wire timeout 120 "$PYTHON" "$HERE/renew.py" "$RENEWING" "$PER_SECOND" 10.77.0.1 \
		"$(mac_of br0)" "$T/ready" "$T/stop" >"$T/renew" 2>&1 &
	renewing=$!
	wait_for 10 test -e "$T/ready" || die "nothing is renewed: $(cat "$T/renew")"
}
all_renewed() { (($(field 'd["dhcp"]["ack"]' status) >= 2 * RENEWING)); }
# renew_end WHILE: each has renewed twice, and nobody waited in vain
renew_end() {
	local -A got=()
	local word

	check "$1: all have renewed twice" wait_for 20 all_renewed
	: >"$T/stop"
	wait "$renewing"
	is "$1: the client went to its end" $? 0
	diag <"$T/renew"
	for word in $(<"$T/renew"); do got[${word%%=*}]=${word#*=}; done
	is "$1: each renewal has its ACK" "${got[acks]-none}" "${got[sent]-0}"
	is "$1: none was lost" "${got[lost]-}" 0
	is "$1: none was answered otherwise" "${got[others]-}" 0
	echo "# the longest wait for an answer was ${got[wait]-?} ms, the longest time without one ${got[gap]-?} ms"
}
renew_begin

reload() { field '[d[k] for k in ("added", "changed", "removed")]' reload; }
# last_ip_is IP: the last machine of the plan has it
last_ip_is() { [[ $(field 'd["ip"]' vm show vm-49999) == "$1" ]]; }
took() { echo "# $1 took $((($(date +%s%N) - $2) / 1000000)) ms"; }

start=$(date +%s%N)
is "eipctl reload: nothing has changed" "$(reload)" '[0, 0, 0]'
took "a reload without a change" "$start"
cp "$T/two" "$PLAN"
start=$(date +%s%N)
is "eipctl reload: 49,000 have another address" "$(reload)" '[0, 49000, 0]'
took "a reload that changes 49,000 machines" "$start"
check "the new plan is in force" last_ip_is 10.77.250.199
cp "$T/one" "$PLAN"
start=$(date +%s%N)
kill -HUP "$(daemon_pid)"
check "HUP: the first plan is in force again" wait_for 20 last_ip_is 10.77.250.200
took "a reload by HUP" "$start"
head -n 1000 "$T/one" >"$PLAN"
is "eipctl reload: 49,000 leave" "$(reload)" '[0, 0, 49000]'
cp "$T/one" "$PLAN"
is "eipctl reload: and come back" "$(reload)" '[49000, 0, 0]'
echo 'not a line' >>"$PLAN"
check "a plan with an error on its last line is refused" not ctl reload
changed=0
for ((i = 0; i < 10; i++)); do
	cp "$T/two" "$PLAN"
	[[ $(reload) != '[0, 49000, 0]' ]] || ((++changed))
	cp "$T/one" "$PLAN"
	[[ $(reload) != '[0, 49000, 0]' ]] || ((++changed))
done
is "twenty reloads, one behind the other" "$changed" 20
renew_end "the plan is changed"
is "those that renewed have their leases" "$(field 'len(d)' lease list)" "$RENEWING"
daemon_end TERM

# ---- NAT is not on the way of DHCP: neither the disk, nor thousands of rules and addresses
BOUND=8000
head -n "$RENEWING" "$T/one" >"$PLAN"
conf outer.pool 20.252.0.0/18
conf nat.auto-bind yes
daemon_up
renew_begin
head -n "$BOUND" "$T/one" >"$PLAN"
start=$(date +%s%N)
is "$((BOUND - RENEWING)) machines come, to be given an address each" "$(reload)" \
	"[$((BOUND - RENEWING)), 0, 0]"
took "their binding" "$start"
is "all are bound" "$(field 'd["nat"]["bound"]' status)" "$BOUND"
start=$(date +%s%N)
ctl ip unbind 20.252.0.1 >/dev/null
took "an unbind of one of them" "$start"
is "and one less" "$(field 'd["nat"]["bound"]' status)" "$((BOUND - 1))"
renew_end "addresses are bound"
done_testing
