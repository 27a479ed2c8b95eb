#!/usr/bin/env bash
# A real guest is isolated in the middle of TCP transfers: they stop within a second. It keeps its
# lease, answers who is allowed, stays cut off when it reboots and when it comes back on another
# port, and is reached again when it rejoins.
#
#   outer host 20.251.48.1 ── eth0 ── hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1 ── lan .200
#                                                                              ├── vnet1 ── vm-002
#                                                                              └── tap1, tap2 ── QEMU
#
# Alone: it needs a processor for itself.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/vm/guest.sh
. "$(dirname "$0")/guest.sh"

stage_up
vm_up vm-002 "$MAC2"
vm_static vm-002 "$IP2"
ip -n "$LAN" addr add 192.168.6.200/24 dev eth0
ip -n "$HV" link set br0 address 02:00:00:00:22:22 # or it changes as ports come and go
conf dhcp.lease-time 20s # so that it renews after ten; udhcpc knows no lease below 16
conf nat.resync 1s
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null

who_is() { page_is "$1" "$2" vm-001 "$IP1"; }
# reached_by SENTENCE CALLER…: it is, by these of outside, neighbour, lan, and by no other
reached_by() {
	local what=$1
	shift
	for _ in 1 2 3; do
		: >"$T/reached"
		who_is "$OUT" "$EIP1" && echo outside >>"$T/reached" &
		who_is "$P-vm-002" "$IP1" && echo neighbour >>"$T/reached" &
		who_is "$LAN" "$IP1" && echo lan >>"$T/reached" &
		wait
		# a busy machine may be late; nobody comes through too much, not even once
		(($(wc -l <"$T/reached") < $#)) || break
	done
	is "$what" "$(sort "$T/reached" | tr '\n' ' ')" "$*${1:+ }"
}

port tap1
guest_boot tap1
check "the guest boots to its planned address" wait_for 40 console tap1 "guest: bound $IP1" 1
[[ $(count 'guest: up' "$T/tap1.console") -gt 0 ]] || fail "it came up" < <(cat "$T/tap1.qemu" "$T/tap1.console")
check "it is reached" wait_for 8 who_is "$OUT" "$EIP1"
reached_by "by all of them" lan neighbour outside

# ---- in the middle of transfers
# transfer NAME NAMESPACE ADDRESS: from the guest to there
declare -A transfers=()
transfer() {
	ip netns exec "$2" "$PYTHON" "$HERE/transfer.py" count "$3" 10 >"$T/$1.count" 2>&1 &
	transfers[$1]=$!
	disown
	wait_for 5 grep -q ready "$T/$1.count" || die "no transfer $1: $(cat "$T/$1.count")"
}
transfer outside "$OUT" "$EIP1"
transfer neighbour "$P-vm-002" "$IP1"
transfer lan "$LAN" "$IP1"
sleep 2 # they run
is "it is isolated" "$(field '[d["isolated"], d["port"]]' vm isolate vm-001)" '[true, "tap1"]'
isolated=$(date +%s%3N)
sleep 3 # what TCP sends again must not arrive either
kill -TERM "${transfers[@]}"
for name in outside neighbour lan; do
	wait_for 5 gone "${transfers[$name]}"
	read -r bytes last < <(tail -n 1 "$T/$name.count")
	echo "# to $name: $bytes bytes, the last one $((10#${last/./} - isolated)) ms after the answer of eipctl"
	check "the transfer to $name was one" test "$bytes" -gt 1000000
	check "it stopped within a second" test $((10#${last/./} - isolated)) -le 1000
done
reached_by "isolated: it is reached by nobody"
renewals=$(count 'guest: renew' "$T/tap1.console")
check "isolated: it renews its lease" wait_for 30 console tap1 "guest: renew $IP1" $((renewals + 1))
check "without being refused" test "$(field 'd["dhcp"]["nak"]' status)" = 0

# ---- forensics, a reboot
ctl vm isolate vm-001 --allow 192.168.6.200/32 >/dev/null
check "who is allowed reaches it" wait_for 8 who_is "$LAN" "$IP1"
reached_by "and nobody else does" lan
check "the guest reboots" guest_reboots tap1 "$LAN" "$IP1"
check "it has its address again" wait_for 40 console tap1 "guest: bound $IP1" 2
check "who is allowed reaches it" wait_for 8 who_is "$LAN" "$IP1"
reached_by "rebooted: nobody else does" lan

# ---- switched off and on, on another port
check "it is switched off" machine_end tap1
ip -n "$HV" link del tap1
port tap2
guest_boot tap2
check "it boots on another port" wait_for 40 console tap2 "guest: bound $IP1" 1
check "who is allowed reaches it" wait_for 8 who_is "$LAN" "$IP1"
reached_by "on another port: nobody else does" lan
is "vm show has the port" "$(field 'd["port"]' vm show vm-001)" tap2
check "frames of it were dropped" test "$(field 'd["dropped"]["to"]' vm show vm-001)" -gt 0

# ---- back
check "it rejoins" ctl vm rejoin vm-001
check "it is reached again" wait_for 8 who_is "$OUT" "$EIP1"
reached_by "by all of them" lan neighbour outside
done_testing
