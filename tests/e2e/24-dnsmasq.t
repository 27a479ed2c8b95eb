#!/usr/bin/env bash
# The same requests to dnsmasq and to eipd, with the same plan; every difference is named in the
# table of differ.py with the reason why it is meant. One that is not there fails, and so does an
# entry of the table that does not occur.
#
#   hypervisor: dnsmasq, then eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                                           └── vnet1 ── wire: speaks for every MAC

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v dnsmasq >/dev/null || { echo "1..0 # SKIP no dnsmasq here"; exit 0; }
stage_up
vm_up wire 02:00:00:ff:00:01

# Both speak to machines that have no stack to answer ARP.
neighbours() {
	local mac ip
	while IFS=, read -r mac _ ip _; do
		ip -n "$HV" neigh replace "$ip" lladdr "$mac" dev br0 nud permanent
	done <"$PLAN"
	ip -n "$HV" neigh replace 192.168.6.2 lladdr 02:00:00:ff:00:01 dev br0 nud permanent
	ip -n "$HV" neigh replace 192.168.6.99 lladdr 02:00:00:ff:00:01 dev br0 nud permanent
}

# ask_all SERVER [later]
ask_all() {
	vm wire timeout 120 "$PYTHON" "$HERE/differ.py" ask "$T/$1/${2:-first}" "${@:2}"
}
plan_of() { "$PYTHON" "$HERE/differ.py" plan "$@" >"$PLAN" || die "differ.py prints no plan"; }

mkdir "$T/dnsmasq" "$T/eipd"
plan_of
neighbours
ip netns exec "$HV" dnsmasq --no-daemon --conf-file=/dev/null --port=0 --user=root --pid-file= --bind-interfaces \
	--interface=br0 --except-interface=lo --dhcp-authoritative --leasefile-ro --log-dhcp \
	--dhcp-range=192.168.6.0,static,255.255.255.0,10m --dhcp-hostsfile="$PLAN" \
	--domain=vms.example --dhcp-option=option:dns-server,192.168.6.22,9.9.9.9 \
	--dhcp-option=option:ntp-server,192.168.6.22 --dhcp-option=option:mtu,1400 \
	--dhcp-option=121,10.0.0.0/8,192.168.6.1,0.0.0.0/0,192.168.6.22 --dhcp-option=108,00:00:07:08 \
	--dhcp-vendorclass=set:pxe,PXEClient --dhcp-boot=tag:pxe,pxelinux.0,,192.168.6.5 \
	>"$T/dnsmasq.log" 2>&1 &
dnsmasq=$!
dnsmasq_listens() { hv ss -Hlnu 'sport = :67' | grep -q .; }
wait_for 5 dnsmasq_listens || die "dnsmasq does not start: $(cat "$T/dnsmasq.log")"
check "dnsmasq is asked" ask_all dnsmasq
plan_of later
kill -HUP "$dnsmasq"
dnsmasq_has_read() { [[ $(count " read $PLAN" "$T/dnsmasq.log") == 2 ]]; }
wait_for 5 dnsmasq_has_read || die "dnsmasq does not read its file again: $(cat "$T/dnsmasq.log")"
check "dnsmasq is asked with another plan" ask_all dnsmasq later
kill "$dnsmasq"
wait_for 5 gone "$dnsmasq" || die "dnsmasq does not end"

plan_of
conf dhcp.lease-time 10m
conf dhcp.dns 192.168.6.22,9.9.9.9
conf dhcp.domain vms.example
conf dhcp.ntp 192.168.6.22
conf dhcp.mtu 1400
conf dhcp.static-routes '10.0.0.0/8 192.168.6.1'
conf dhcp.option.108 hex:00000708
conf_write
cat >>"$CONF" <<'END_OF_TAG'
[tag pxe]
vendor-class = PXEClient
boot-file = pxelinux.0
next-server = 192.168.6.5
END_OF_TAG
eipd >"$T/start" 2>&1 </dev/null || die "eipd does not start: $(cat "$T/start")"
check "eipd is asked" ask_all eipd
plan_of later
check "eipd reads the plan again" ctl reload
check "eipd is asked with another plan" ask_all eipd later
points "$PYTHON" "$HERE/differ.py" compare "$T/dnsmasq" "$T/eipd"
check "eipd still runs" ctl status
done_testing
