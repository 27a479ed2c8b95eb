#!/usr/bin/env bash
# Clients behind a relay agent: the form of the answers, and 1000 exchanges a second without a loss.
# Alone: it measures.
#
#   hypervisor: eipd ── br0 10.77.0.1/16 ──┬── eth1
#                                          └── vnet1 ── relay 10.77.200.1

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up 10.77.0.1/16
vm_up relay 02:00:00:ff:00:01
ip -n "$P-relay" addr add 10.77.200.1/16 dev eth0

# perfdhcp counts the last octets of the MAC up, each without a carry into the next
for ((i = 0; i < 1000; i++)); do
	printf '02:00:00:00:%02x:%02x,vm-%04d,10.77.%d.%d\n' \
		$((i / 256)) $((i % 256)) "$i" $((1 + i / 200)) $((1 + i % 200))
done >"$PLAN"
conf daemon.log-level info
conf dhcp.lease-time 1h
conf dhcp.dns 10.77.0.1
daemon_up
is "a plan of 1000 virtual machines is in force" "$(field 'd["plan"]["vms"]' status)" 1000

points vm relay "$PYTHON" "$HERE/wire.py" relay

if ! command -v perfdhcp >/dev/null; then
	skip "1000 exchanges a second" "no perfdhcp here"
	done_testing
fi
# drops PART: of the statistics of DISCOVER-OFFER or REQUEST-ACK
drops() { sed -n "/Statistics for: $1/,/drops:/s/^drops: //p" "$T/perfdhcp"; }
received() { sed -n "/Statistics for: $1/,/received packets:/s/^received packets: //p" "$T/perfdhcp"; }
# A machine that something else kept busy for a moment has two more chances.
for _ in 1 2 3; do
	asked=$(field 'd["dhcp"]["ack"]' status)
	vm relay timeout 60 perfdhcp -4 -l eth0 -b mac=02:00:00:00:00:00 -R 1000 -r 1000 -p 10 -W 1000000 \
		10.77.0.1 >"$T/perfdhcp" 2>&1
	status=$?
	diag <"$T/perfdhcp"
	((status)) || (($(received REQUEST-ACK) < 9500)) || break
done
is "perfdhcp -r 1000 -p 10: every exchange succeeded" "$status" 0
is "no DISCOVER was left without an OFFER" "$(drops DISCOVER-OFFER)" 0
is "no REQUEST was left without an ACK" "$(drops REQUEST-ACK)" 0
acks=$(received REQUEST-ACK)
check "at least 9500 exchanges in the ten seconds (${acks:-none})" test "${acks:-0}" -ge 9500
is "status counted every one of them" \
	$(($(field 'd["dhcp"]["ack"]' status) - asked)) "${acks:-0}"
is "each virtual machine has one lease" "$(field 'len(d)' lease list)" 1000
all_logged() { (($(count ' add ' "$LEASES") >= 1000)); }
wait_for 5 all_logged
is "the operation log has one add for each" "$(count ' add ' "$LEASES")" 1000
is "nothing was malformed" "$(field 'd["dhcp"]["malformed"]' status)" 0
done_testing
