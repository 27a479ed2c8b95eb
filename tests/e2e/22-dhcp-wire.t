#!/usr/bin/env bash
# The DHCP server frame by frame, as RFC 2131 asks, with a client that builds its own packets.
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                             └── vnet1 ── wire: speaks for every MAC

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up wire 02:00:00:ff:00:01
conf dhcp.lease-time 10m
conf dhcp.dns 192.168.6.22
conf dhcp.domain vms.example
conf dhcp.ntp 192.168.6.22
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2,45m" "d0:0d:8e:9f:42:aa,quiet,192.168.6.200,ignore" \
	"d0:0d:8e:9f:42:bb,forever,192.168.6.201,infinite"
daemon_up
points vm wire "$PYTHON" "$HERE/wire.py" direct
check "the daemon still runs" ctl status
events() { awk -v mac="$MAC1" '$3 == mac { printf "%s%s", n++ ? " " : "", $2 }' "$LEASES"; }
all_logged() { [[ $(events) == "add del add del add" ]]; }
check "the operation log has the events in their order" wait_for 2 all_logged
check "malformed packets were counted" test "$(field 'd["dhcp"]["malformed"]' status)" -gt 0
check "unknown clients were counted" test "$(field 'd["dhcp"]["unknown"]' status)" -gt 0
check "declines were counted" test "$(field 'd["dhcp"]["decline"]' status)" -gt 0
is "a decline is an event" \
	"$(field "'vm-001' in [e['vm'] for e in d if e['event'] == 'decline']" events)" true
check "informs were counted" test "$(field 'd["dhcp"]["inform"]' status)" -gt 0
done_testing
