#!/usr/bin/env bash
# [inner] create: the bridge comes from nothing, the uplink's addresses and routes move to it, a
# second start changes nothing, and neither kill -9 between two steps nor what others made is harmed.
#
#   outer host              hypervisor                             the inner network
#   eth0 20.251.48.1 ────── eth0 20.251.48.10
#                                 br0 (to be made)
#                                  └ eth1 10.9.0.5/24 ───────────── eth0 10.9.0.1, 192.168.6.254

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
ip -n "$HV" link del br0
ip -n "$LAN" addr add 10.9.0.1/24 dev eth0
ip -n "$LAN" addr add 192.168.6.254/24 dev eth0
conf inner.address 192.168.6.22/24
conf inner.create yes
serve "$LAN" lan 8000

# bare: no bridge, and an uplink that is down and has nothing
bare() {
	ip -n "$HV" link del br0 2>/dev/null
	ip -n "$HV" addr flush dev eth1
	ip -n "$HV" route flush dev eth1
	ip -n "$HV" route del 10.44.0.0/16 2>/dev/null # which eth0 keeps
	ip -n "$HV" link set eth1 nomaster down
}
# furnished: the uplink has addresses and routes, the host's default route among them
furnished() {
	bare
	ip -n "$HV" link set eth1 up
	ip -n "$HV" addr add 10.9.0.5/24 dev eth1
	ip -n "$HV" addr add 10.9.0.6/24 dev eth1 label eth1:1
	ip -n "$HV" addr add 10.8.0.1/16 brd + dev eth1 metric 77 valid_lft 5000 preferred_lft 4000
	ip -n "$HV" route add 10.77.0.1 dev eth1
	ip -n "$HV" route add 10.66.0.0/16 via 10.77.0.1 src 10.9.0.6
	ip -n "$HV" route add 10.55.0.0/16 via 10.9.0.1 table 100 metric 5 mtu 1400
	ip -n "$HV" route add 10.44.0.0/16 nexthop via 10.9.0.1 weight 2 nexthop via 20.251.48.1
	ip -n "$HV" route replace default via 10.9.0.1
	wait_for 5 link_ready eth1 || die "the uplink does not come up"
}
# picture: links, addresses and routes of the hypervisor; without indexes and times, and what the
# kernel finds out by and by
picture() {
	{
		ip -n "$HV" -d link show
		ip -n "$HV" -4 addr show
		ip -n "$HV" route show table all
	} | sed -E 's/^[0-9]+: //; s/_timer +[0-9.]+//g; s/[0-9]+sec/SEC/g; s/NO-CARRIER,//; s/ state [A-Z]+//
		s/ linkdown//; s/,LOWER_UP//'
}
addresses_of() { ip -n "$HV" -4 -o addr show dev "$1" | awk '{ print $4 }' | sort; }
# routes_of LINK: those that go over it, one a line, in one form for every link
routes_of() {
	ip -n "$HV" -j route show table all | json '"\n".join(sorted(repr({
		key: [{**hop, "dev": "LINK" if hop["dev"] == "'"$1"'" else hop["dev"]} for hop in value]
			if key == "nexthops" else "LINK" if key == "dev" else value
		for key, value in route.items() if key != "flags"})
		for route in d if route.get("table") != "local" and "'"$1"'" in
			[route.get("dev")] + [hop["dev"] for hop in route.get("nexthops", [])]))' |
		sed 's/, .flags.: \[[^]]*\]//g'
}

# ---- from nothing
bare
conf_write
before=$(picture)
eipd -t >"$T/stdout" 2>"$T/stderr" </dev/null
is "-t without a bridge exits 0" "$? $(<"$T/stderr")" "0 "
is "-t says what would be done" "$(grep -c '^at the start: ' "$T/stdout")" 5
is "-t changes nothing" "$(picture)" "$before"
check "it starts with nothing there but the card" daemon_start
is "the bridge has its address" "$(addresses_of br0)" 192.168.6.22/24
is "its MAC is the uplink's" "$(hv cat /sys/class/net/br0/address)" "$(hv cat /sys/class/net/eth1/address)"
is "it has no spanning tree and no delay" \
	"$(hv cat /sys/class/net/br0/bridge/{stp_state,forward_delay} | xargs)" "0 0"
is "the uplink is a port of it" "$(ip -n "$HV" -o link show eth1 | count 'master br0')" 1
check "the uplink is up" wait_for 5 link_ready eth1
is "a host of the inner network is reached through it" "$(ask "$HV" 192.168.6.254 8000)" \
	"lan sees 192.168.6.22"
vm_up vm-001 "$MAC1"
check "DHCP answers on it" vm_lease vm-001
like "the log says what was done" "$(<"$LOG")" 'bridge: make the bridge br0'
status_before=$(field 'd["bridge"]' status)
is "status names it" "$status_before" br0
MAC_BEFORE=$(hv cat /sys/class/net/br0/address)
daemon_end TERM
check "a stop leaves it there" ip -n "$HV" link show br0
ip -n "$HV" link set vnet1 nomaster
is "its MAC does not change as ports come and go" "$(hv cat /sys/class/net/br0/address)" "$MAC_BEFORE"
ip -n "$HV" link set vnet1 master br0

# ---- again
before=$(picture)
: >"$LOG"
check "a second start" daemon_start
is "a second start changes nothing" "$(picture)" "$before"
is "and has nothing to say of the bridge" "$(count 'bridge: ' <"$LOG")" 0
daemon_end KILL
check "a start after kill -9" daemon_start
is "a start after kill -9 changes nothing" "$(picture)" "$before"
daemon_end TERM
ip -n "$HV" link set eth1 nomaster
check "an uplink that is no port any more, beside a VM's" daemon_start
is "it is one again" "$(picture)" "$before"
daemon_end TERM
ip -n "$HV" link set br0 down
check "a bridge that is down" daemon_start
check "it is up again" wait_for 5 link_ready br0
daemon_end TERM

# ---- without an uplink
conf inner.uplink ''
bare
check "without an uplink it starts too" daemon_start
is "the bridge has its address" "$(addresses_of br0)" 192.168.6.22/24
is "its MAC is made of its address" "$(hv cat /sys/class/net/br0/address)" 02:e1:c0:a8:06:16
daemon_end TERM
conf inner.uplink eth1

# ---- what the uplink has, moves
furnished
addresses=$(addresses_of eth1)
routes=$(routes_of eth1)
serve "$HV" host 8000
"$PYTHON" - "$LAN" <<'END' >"$T/session" 2>&1 &
import ctypes, os, socket, sys, time
handle = os.open("/run/netns/" + sys.argv[1], os.O_RDONLY)
ctypes.CDLL(None, use_errno=True).setns(handle, 0x40000000)
server = socket.socket()
server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
server.bind(("10.9.0.1", 9000))
server.listen()
print("listening", flush=True)
peer, _ = server.accept()
while True:
    text = peer.recv(100)
    if not text:
        break
    peer.sendall(text)
print("closed", flush=True)
END
wait_for 5 grep -q listening "$T/session" || die "the session's server does not start"
cat >"$T/session.py" <<'END'
import socket, sys, time
peer = socket.create_connection(("10.9.0.1", 9000), timeout=5)
peer.settimeout(5)
worst, end = 0, None
print("connected", flush=True)
while True:
    began = time.monotonic()
    peer.sendall(b"x")
    if not peer.recv(1):
        raise SystemExit("cut off")
    worst = max(worst, time.monotonic() - began)
    try:
        open(sys.argv[1])
        break
    except OSError:
        time.sleep(0.002)
print("worst %.3f" % worst, flush=True)
END
ip netns exec "$HV" "$PYTHON" "$T/session.py" "$T/session.end" >"$T/session.out" 2>&1 &
wait_for 5 grep -q connected "$T/session.out" || die "no session"
conf_write
eipd -t >"$T/stdout" 2>&1 </dev/null
like "-t tells which addresses move" "$(<"$T/stdout")" 'give br0 the address 10\.9\.0\.5/24 of eth1'
like "-t tells which routes move" "$(<"$T/stdout")" 'give br0 the route default via 10\.9\.0\.1 of eth1'
check "it starts over an uplink that is in use" daemon_start
is "the addresses are on the bridge, with that of the configuration" "$(addresses_of br0)" \
	"$(printf '%s\n' "$addresses" 192.168.6.22/24 | sort)"
is "and not on the uplink" "$(addresses_of eth1)" ""
is "all routes go over the bridge as they went over the uplink" \
	"$(routes_of br0 | grep -v 192.168.6.0)" "$routes"
is "and none over the uplink" "$(routes_of eth1)" ""
is "the default route is there once" "$(ip -n "$HV" route show default)" "default via 10.9.0.1 dev br0 "
is "a label goes with its address" "$(ip -n "$HV" -4 -o addr show dev br0 label br0:1 | awk '{ print $4 }')" 10.9.0.6/24
like "and its life time" "$(ip -n "$HV" -4 addr show dev br0 | grep -A1 '10\.8\.0\.1')" 'valid_lft (5000|4[0-9]+)sec preferred_lft (4000|3[0-9]+)sec'
touch "$T/session.end"
wait_for 10 grep -q worst "$T/session.out"
like "a connection of the host lives on" "$(<"$T/session.out")" 'worst [0-4]\.'
sed -n 's/^worst/# the longest wait of the connection, seconds:/p' "$T/session.out"
is "a host of the inner network reaches the host" "$(ask "$LAN" 10.9.0.5 8000)" "host sees 10.9.0.1"
daemon_end TERM
before=$(picture)
check "a second start" daemon_start
is "a second start changes nothing" "$(picture)" "$before"
daemon_end TERM

# ---- ended between two steps
furnished
daemon_up
daemon_end TERM
wanted=$(picture)
furnished
conf_write
# Which of its messages to the kernel change something, counted from its start.
ip netns exec "$HV" strace -f -e trace=sendmsg -o "$T/trace" "$EIPD" -f -c "$CONF" >"$T/traced" 2>&1 </dev/null &
tracer=$!
wait_for 20 ctl status || die "eipd does not start under strace"
daemon_end TERM
wait "$tracer"
mapfile -t changes < <(grep 'sendmsg(' "$T/trace" | grep -nE 'RTM_(NEW|SET|DEL)(LINK|ADDR|ROUTE)' | cut -d: -f1)
check "it takes several steps (${#changes[@]})" test "${#changes[@]}" -ge 15
# injected WHAT N: a start whose N-th message meets this; what it says is in $T/injected
injected() {
	hv bash -c '"$@"' bash strace -f -o /dev/null -e trace=sendmsg -e inject="sendmsg:$1:when=$2" \
		timeout 60 "$EIPD" -f -c "$CONF" >"$T/injected" 2>&1 </dev/null
}
failed=()
lost=()
for n in "${changes[@]}"; do
	furnished
	injected signal=KILL "$n" && failed+=("$n: not killed")
	for address in $addresses; do
		{ addresses_of eth1; addresses_of br0; } 2>/dev/null | grep -qx "$address" || lost+=("$n: $address")
	done
	[[ -n $(ip -n "$HV" route show default) ]] || lost+=("$n: the default route")
	daemon_start || failed+=("$n: $(<"$T/start")")
	daemon_end TERM
	[[ $(picture) == "$wanted" ]] || failed+=("$n: $(diff <(echo "$wanted") <(picture) | head -n 4)")
done
is "killed before any of them, no address and no default route is lost" "${lost[*]}" ""
is "and the next start ends where it would have" "${failed[*]}" ""
failed=() lost=()
for n in "${changes[@]}"; do
	furnished
	injected error=ENOBUFS "$n" && failed+=("$n: it started")
	grep -q '\[inner\] create: cannot .*No buffer space' "$T/injected" || failed+=("$n: $(<"$T/injected")")
	for address in $addresses; do
		{ addresses_of eth1; addresses_of br0; } 2>/dev/null | grep -qx "$address" || lost+=("$n: $address")
	done
	daemon_start || failed+=("$n: $(<"$T/start")")
	daemon_end TERM
	[[ $(picture) == "$wanted" ]] || failed+=("$n: $(diff <(echo "$wanted") <(picture) | head -n 4)")
done
is "where one of them fails, no address is lost" "${lost[*]}" ""
is "it says so and does not start, and the next start goes on" "${failed[*]}" ""

# ---- what others made
# untouched SENTENCE REGEX: start and -t are refused for this reason, and nothing is changed
untouched() {
	local before
	before=$(picture)
	conf_write
	eipd >"$T/stdout" 2>"$T/stderr" </dev/null
	is "$1: it does not start" $? 1
	like "$1: it says what to do" "$(<"$T/stderr")" "$2"
	eipd -t >"$T/stdout" 2>"$T/stderr" </dev/null
	is "$1: -t exits 1" $? 1
	like "$1: -t says so" "$(<"$T/stderr")" "$2"
	is "$1: nothing is changed" "$(picture)" "$before"
}
furnished
ip -n "$HV" link add br0 type bridge
# something that is no VM's port, of whatever kind this kernel has
for kind in dummy 'vxlan id 5 dstport 4789 remote 20.251.48.1' ifb; do
	# shellcheck disable=SC2086 # the kind with its options
	ip -n "$HV" link add eth2 type $kind 2>/dev/null && break
done
ip -n "$HV" link set eth2 master br0
ip -n "$HV" addr add 192.168.7.1/24 dev br0
untouched "a bridge with another address and other ports" "$CONF:[0-9]+: .*ip address add 192\.168\.6\.22/24 dev br0"
ip -n "$HV" addr add 192.168.6.22/24 dev br0
untouched "a bridge with another uplink" "$CONF:[0-9]+: .*ip link set eth2 nomaster"
ip -n "$HV" link set eth1 master br0
ip -n "$HV" addr flush dev eth1 # which leaves a dead way of 10.44.0.0/16
ip -n "$HV" link set br0 up
before=$(picture)
check "a bridge of somebody else that is as it should be is good" daemon_start
is "it is left as it is" "$(picture)" "$before"
daemon_end TERM
check "and stays when eipd stops" ip -n "$HV" link show br0
furnished
ip -n "$HV" link add br1 type bridge
ip -n "$HV" link set eth1 master br1
untouched "an uplink that is a port of another bridge" "$CONF:[0-9]+: .*ip link set eth1 nomaster"
ip -n "$HV" link set eth1 nomaster
ip -n "$HV" link add br0 type veth peer name br0-peer
untouched "a link of the bridge's name that is no bridge" "$CONF:[0-9]+: .*br0 is not a bridge"
ip -n "$HV" link del br0
conf inner.uplink eth7
untouched "an uplink that is not there" "$CONF:[0-9]+: .*eth7"
conf inner.uplink eth1
conf outer.interface eth8
untouched "something else is wrong" "$CONF:[0-9]+: .*eth8"
conf outer.interface eth0
conf inner.address
untouched "no address to give it" "$CONF:[0-9]+: .*\[inner\] address"
conf inner.address 192.168.6.22/24
check "after all that it starts" daemon_start
daemon_end TERM
is "and what the uplink has has moved" "$(addresses_of br0 | count '^10\.9\.0\.5/24')" 1
done_testing
