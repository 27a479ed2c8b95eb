#!/usr/bin/env bash
# The ground goes from under the daemon: another DHCP server takes the port while the bridge is made
# anew, the outer interface is deleted and comes again, and so much happens to links at once that the
# kernel drops its word of it. In the end all is as it should be.
#
#   outer host ── eth0 hypervisor br0 ──┬── vm-001
#                                       └── vm-002

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
serve "$P-vm-001" vm-001 8000
conf nat.resync 1h # what is mended is mended because it is heard of
daemon_up
vm_lease vm-001
ctl ip bind vm-001 "$EIP1" >/dev/null

listening() { [[ $(field 'd["dhcp"]["listening"]' status) == "$1" ]]; }
leased() { vm_lease vm-001 && grep -qx "ip=$IP1" "$T/vm-001.env"; }
reaches() { [[ $(ask "$OUT" "$EIP1" 8000) == "vm-001 sees 20.251.48.1" ]]; }
logged() { (($(count "$1" "$LOG") > 0)); }
bridge_anew() {
	local port
	ip -n "$HV" link del br0
	ip -n "$HV" link add br0 type bridge
	ip -n "$HV" addr add 192.168.6.22/24 dev br0
	for port in eth1 vnet1 vnet2; do ip -n "$HV" link set "$port" master br0; done
	ip -n "$HV" link set br0 up
	wait_for 5 link_ready br0
}
# server INTERFACE: somebody's socket on port 67 there, as DHCP servers have it
server() {
	rm -f "$T/server"
	ip netns exec "$HV" "$PYTHON" -c 'import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, sys.argv[1].encode())
s.bind(("0.0.0.0", 67))
print("bound", flush=True)
while True:
    s.recv(1500)' "$1" >"$T/server" 2>&1 &
	server=$!
	disown
	wait_for 5 grep -q bound "$T/server" || die "no other server: $(cat "$T/server")"
}
server_ends() { kill "$server" && wait_for 5 gone "$server"; }

# ---- the port of a bridge made anew
ip -n "$HV" link add other type bridge
ip -n "$HV" link set other up
server other
kill -STOP "$(daemon_pid)"
bridge_anew
kill -CONT "$(daemon_pid)"
is_back() { logged 'br0 is back, serving again'; }
check "another server on another interface does not matter" wait_for 10 is_back
check "the bridge made anew is served" leased
server_ends

: >"$LOG"
kill -STOP "$(daemon_pid)"
bridge_anew
server br0
kill -CONT "$(daemon_pid)"
check "another server on the new bridge: the log says so, and what to do" wait_for 10 \
	logged 'UDP port 67 of br0 is taken by another server; stop it'
is "and so does the status" "$(field 'd["dhcp"]["listening"]' status)" false
check "addresses are bound as ever" ctl ip bind vm-002 "$EIP2"
check "and lead to their machines" reaches
check "its machines are not answered twice" not vm_lease vm-001
is "that is said once" "$(count 'is taken by another' "$LOG")" 1
server_ends
check "when it has gone, the bridge is served" wait_for 10 listening true
check "and the log says so" logged 'br0 is back, serving again'
check "with leases" leased

# ---- the outer interface
out_link() {
	ip -n "$OUT" link add eth0 type veth peer name eth0 netns "$HV"
	ip -n "$OUT" addr add 20.251.48.1/24 dev eth0
	ip -n "$OUT" link set eth0 up
	ip -n "$HV" addr add 20.251.48.10/24 dev eth0
	ip -n "$HV" link set eth0 up
	ip -n "$HV" route add default via 20.251.48.1
}
: >"$LOG"
ip -n "$OUT" link del eth0
check "the outer interface is deleted: the log says so" wait_for 10 logged 'there is no eth0'
check "status answers" ctl status
check "DHCP goes on" leased
check "a binding may be made" ctl ip bind vm-002 20.251.48.101
check "and taken back" ctl ip unbind "$EIP2"
out_link
check "it comes again, and has its addresses" wait_for 10 address_on "$EIP1"
check "the new one as well" wait_for 10 address_on 20.251.48.101
check "but not what was taken back" not address_on "$EIP2"
check "the machine is reached" wait_for 5 reaches
ip -n "$OUT" link del eth0
out_link
check "deleted and made anew at once" wait_for 10 address_on "$EIP1"
check "the machine is reached" wait_for 5 reaches

# ---- more than the socket holds
# drops_now: of all netlink sockets of the daemon, whose ports have its pid in their lower bits
# shellcheck disable=SC2016 # fields of awk
drops_now() {
	hv awk -v pid="$(daemon_pid)" 'NR > 1 && $3 % 4194304 == pid { drops += $9 } END { print drops + 0 }' /proc/net/netlink
}
before=$(drops_now)
kill -STOP "$(daemon_pid)"
for ((i = 0; i < 1500; i++)); do
	echo "addr add 127.9.$((i / 250)).$((i % 250 + 1))/32 dev lo"
done >"$T/batch"
ip -n "$HV" -b "$T/batch"
# of all this the kernel cannot tell any more
ip -n "$HV" addr del "$EIP1/32" dev eth0
hv bridge link set dev vnet1 hairpin off
kill -CONT "$(daemon_pid)"
check "the kernel's word is lost, and what had changed is mended all the same" wait_for 10 address_on "$EIP1"
check "it was lost indeed" test "$(drops_now)" -gt "$before"
check "the machine is reached" wait_for 5 reaches

# ---- by our own changes
daemon_end TERM
conf outer.pool "$EIP1, 20.251.49.0/24"
conf nat.auto-bind yes
daemon_up
before=$(drops_now)
{
	cat "$PLAN"
	for ((i = 0; i < 200; i++)); do
		printf '02:00:00:00:02:%02x,other-%d,192.168.6.%d\n' "$i" "$i" $((i + 30))
	done
} >"$PLAN.new"
mv "$PLAN.new" "$PLAN"
check "two hundred are given an address at once" ctl reload
all_there() { [[ $(outer_addresses | count ' 20\.251\.49\.[0-9]*/32 ') == 200 ]]; }
check "they are there" wait_for 5 all_there
check "more than the kernel can tell" test "$(drops_now)" -gt "$before"
sleep 0.3 # what it has told is taken up; when, does not matter
for address in 20.251.49.7 20.251.49.77 20.251.49.177; do
	ip -n "$HV" addr del "$address/32" dev eth0
	check "somebody takes $address away: it comes back" wait_for 2 address_on "$address"
done
check "the stop is clean" daemon_end TERM
done_testing
