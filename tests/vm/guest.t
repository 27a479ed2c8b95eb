#!/usr/bin/env bash
# A real guest: Linux with virtio-net in QEMU boots to its planned address, is reached through a
# public one, renews with checksums left to the card, and reboots.
#
#   outer host 20.251.48.1 ── eth0 ── hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                                                              └── tap1 ── QEMU
#
# Alone: it needs a processor for itself.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/vm/guest.sh
. "$(dirname "$0")/guest.sh"

stage_up
guest_port tap1
conf dhcp.lease-time 20s # so that it renews after ten; udhcpc knows no lease below 16
daemon_up
check "eipctl binds a public address to the guest that is to come" ctl ip bind vm-001 "$EIP1"

# What comes from the guest to the server, with tcpdump's opinion of the checksum
hv tcpdump -Z root -l -n -vv -i tap1 udp dst port 67 >"$T/wire" 2>"$T/wire.err" &
disown
wait_for 5 grep -q 'listening on' "$T/wire.err" || die "tcpdump does not start: $(cat "$T/wire.err")"

start=$SECONDS
guest_boot tap1

leased() { [[ $(field "[l['name'] for l in d]" lease list) == '["vm-001"]' ]]; }
# who: what the guest says of itself at its public address
who() { out timeout 5 busybox nc -w 2 "$EIP1" 7 </dev/null; }
who_is() { [[ $(who) == "$1" ]]; }
counter() { field "d['dhcp']['$1']" status; }

check "the guest boots to its planned address" wait_for 40 console "guest: bound $IP1" 1
[[ $(count 'guest: up' "$T/console") -gt 0 ]] || fail "it came up" < <(cat "$T/qemu" "$T/console")
check "eipctl lease list has it" leased
check "it is reached through its public address, from outside" \
	wait_for 8 who_is "this is vm-001 at $IP1"
check "the guest renews" wait_for 30 console "guest: renew $IP1" 1
offloaded() { grep -q 'bad udp cksum' "$T/wire"; }
check "its frames came with the checksum left to the card" wait_for 2 offloaded
is "none of them was dropped for that" "$(field 'd["dhcp"]["dropped"]["checksum"]' status)" 0
is "there was no NAK" "$(counter nak)" 0

acks=$(counter ack)
echo off | out timeout 5 busybox nc -w 2 "$EIP1" 9 >"$T/off" 2>&1
check "the guest reboots" wait_for 10 console 'guest: reboots' 1
check "it has its address again" wait_for 40 console "guest: bound $IP1" 2
check "by an exchange" test "$(counter ack)" -gt "$acks"
check "and is reached again" wait_for 8 who_is "this is vm-001 at $IP1"
is "the operation log has one add: it kept its lease" "$(count " add $MAC1 " "$LEASES")" 1
check "the public address is taken back" ctl ip unbind "$EIP1"
check "and the guest is not reached by it" not who_is "this is vm-001 at $IP1"
echo "# from power on to here: $((SECONDS - start)) s"
kill "$qemu"
check "QEMU ends" wait_for 5 gone "$qemu"
done_testing
