#!/usr/bin/env bash
# What the keys of [dhcp] do to the answers on the wire.
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                             └── vnet1 ── wire: speaks for every MAC

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up wire 02:00:00:ff:00:01
conf dhcp.lease-time 1h
conf dhcp.router 192.168.6.1
conf dhcp.dns 192.168.6.22,9.9.9.9
conf dhcp.ntp 192.168.6.22,192.168.6.23
conf dhcp.mtu 1400
conf dhcp.static-routes "10.0.0.0/8 192.168.6.2, 172.16.128.0/17 192.168.6.3"
conf dhcp.next-server 192.168.6.9
conf dhcp.boot-file pxelinux.0
conf dhcp.option.43 hex:01:04:0a:0b:0c:0d
conf dhcp.option.150 ip:192.168.6.9,192.168.6.10
conf dhcp.option.252 text:http://192.168.6.22/wpad.dat
conf dhcp.client-id-echo no
conf dhcp.authoritative no
conf dhcp.verify-source no
daemon_up
points vm wire "$PYTHON" "$HERE/wire.py" options
daemon_end TERM
done_testing
