#!/usr/bin/env bash
# Real guests: two of Linux with virtio-net in QEMU boot at once to their planned addresses and are
# reached through public ones; one renews with checksums left to the card, the other reboots; one is
# deleted, and its public address goes to the other.
#
#   outer host 20.251.48.1 ── eth0 ── hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                                                              ├── tap1 ── vm-001
#                                                                              └── tap2 ── vm-002
#
# Alone: it needs the processors for itself.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/vm/guest.sh
. "$(dirname "$0")/guest.sh"

stage_up
port tap1
port tap2
# the first renews after ten seconds; udhcpc knows no lease below 16
plan "$MAC1,vm-001,$IP1,20s" "$MAC2,vm-002,$IP2"
daemon_up
check "eipctl binds a public address to a guest that is to come" ctl ip bind vm-001 "$EIP1"
check "and one to another" ctl ip bind vm-002 "$EIP2"

# What comes from the first to the server, with tcpdump's opinion of the checksum
hv tcpdump -Z root -l -n -vv -i tap1 udp dst port 67 >"$T/wire" 2>"$T/wire.err" &
disown
wait_for 5 grep -q 'listening on' "$T/wire.err" || die "tcpdump does not start: $(cat "$T/wire.err")"

start=$SECONDS
guest_boot tap1 "$MAC1"
guest_boot tap2 "$MAC2"

leased() { field "sorted(l['name'] for l in d)" lease list; }
public() { field 'd["public"]' vm show "$1"; }
counter() { field "d['dhcp']['$1']" status; }

# ---- both at once
check "a guest boots to its planned address" wait_for 40 console tap1 "guest: bound $IP1" 1
check "so does the other" wait_for 40 console tap2 "guest: bound $IP2" 1
for tap in tap1 tap2; do
	console $tap 'guest: up' 1 || fail "$tap came up" < <(cat "$T/$tap.qemu" "$T/$tap.console")
done
echo "# from power on to both leases: $((SECONDS - start)) s"
is "eipctl lease list has both" "$(leased)" '["vm-001", "vm-002"]'
check "it is reached through its public address, from outside" \
	wait_for 8 page_is "$OUT" "$EIP1" vm-001 "$IP1"
check "so is the other" wait_for 8 page_is "$OUT" "$EIP2" vm-002 "$IP2"

# ---- two lives: while one waits for its time to renew, the other reboots
acks=$(counter ack)
check "the other reboots" guest_reboots tap2 "$OUT" "$EIP2"
check "it has its address again" wait_for 40 console tap2 "guest: bound $IP2" 2
check "by an exchange" test "$(counter ack)" -gt "$acks"
check "and is reached again" wait_for 8 page_is "$OUT" "$EIP2" vm-002 "$IP2"
is "the operation log has one add: it kept its lease" "$(count " add $MAC2 " "$LEASES")" 1

check "the first renews" wait_for 30 console tap1 "guest: renew $IP1" 1
offloaded() { grep -q 'bad udp cksum' "$T/wire"; }
check "its frames came with the checksum left to the card" wait_for 2 offloaded
is "none of them was dropped for that" "$(field 'd["dhcp"]["dropped"]["checksum"]' status)" 0
is "there was no NAK" "$(counter nak)" 0
check "it is reached as before" wait_for 8 page_is "$OUT" "$EIP1" vm-001 "$IP1"

# ---- an end, and another life
check "the first is deleted, while it runs" ctl vm del vm-001
is "its public address is free" \
	"$(field "[a['state'] for a in d if a['address'] == '$EIP1']" ip list)" '["free"]'
check "it is not reached by it" not page_is "$OUT" "$EIP1" vm-001 "$IP1"
is "it has no lease" "$(leased)" '["vm-002"]'
check "its public address goes to the other" ctl ip bind vm-002 "$EIP1"
check "which is reached by it" wait_for 8 page_is "$OUT" "$EIP1" vm-002 "$IP2"
check "and by the one that it had" wait_for 8 page_is "$OUT" "$EIP2" vm-002 "$IP2"
check "the public address is taken back" ctl ip unbind "$EIP1"
check "and nobody is reached by it" not page_is "$OUT" "$EIP1" vm-002 "$IP2"
is "the other keeps its own" "$(public vm-002)" "[\"$EIP2\"]"
echo "# from power on to here: $((SECONDS - start)) s"
done_testing
