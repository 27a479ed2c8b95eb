#!/usr/bin/env bash
# The life of an isolation: what is said of it, and that nothing ends it but `vm rejoin`: restarts,
# kill -9, reboots of the VM, other programs, another plan, a damaged state file.
#
#   outside              host                                  virtual machines
#   eth0 20.251.48.1 ─── eth0 20.251.48.10                  ┌── vm-001 192.168.6.243  is isolated
#                             br0 192.168.6.22/24 ──────────┼── vm-002 192.168.6.244  a neighbour
#   lan                           eth1                      ├── vm-003 192.168.6.245
#   eth0 192.168.6.200 ────────────┘                        └── vm-004 192.168.6.246  off at first
#
# vm-001 has the public address 20.251.48.99, vm-002 20.251.48.100.
#
# Long: it is begun first.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/frames.sh
. "$(dirname "$0")/frames.sh"
MAC3=02:00:00:00:00:03 IP3=192.168.6.245
MAC4=02:00:00:00:00:04 IP4=192.168.6.246
NEIGHBOUR=192.168.6.200 BRIDGE=192.168.6.22 SHARED=20.251.48.105
stage_up
corners_of_stage
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_up vm-003 "$MAC3"
everybody=("$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "$MAC3,vm-003,$IP3" "$MAC4,vm-004,$IP4")
plan "${everybody[@]}"
vm_static vm-001 "$IP1"
vm_static vm-002 "$IP2"
vm_static vm-003 "$IP3"
ip -n "$LAN" addr add "$NEIGHBOUR/24" dev eth0
ip -n "$LAN" route add default via "$BRIDGE"
client_script
corner vm-001 inner "$P-vm-001" eth0 "$IP1"
corner vm-002 inner "$P-vm-002" eth0 "$IP2"
corner vm-003 inner "$P-vm-003" eth0 "$IP3"
corner_of_nobody public outer - "$EIP1"
serve "$P-vm-001" vm-001 8000
serve "$P-vm-002" vm-002 8000
serve "$OUT" outside 9000
conf nat.resync 1s
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip bind vm-002 "$EIP2" >/dev/null
ctl forward add "$SHARED:80/tcp" vm-001:8000 >/dev/null

# cut_off SENTENCE [VM]: it is, and its neighbours are not
cut_off() {
	quietly "$1" <<END
${2:-vm-001} icmp,udp,arp,raw,ping6,vlan vm-002,lan | nobody
${2:-vm-001} icmp,udp,raw      host,outside   | nobody
${2:-vm-001} discover          host           | only host ${2:-vm-001}
vm-002,lan   icmp,raw          ${2:-vm-001}   | never ${2:-vm-001}
outside      icmp              public         | never vm-001
vm-002       icmp,raw          lan,host       | target
END
}
# cut_off_port SENTENCE VM: also with another MAC
cut_off_port() {
	quietly "$1" <<END
$2 icmp,raw,icmp/mac=stranger,udp/mac=stranger/ip=stranger,raw/mac=stranger vm-002,outside,host | nobody
END
}
# free SENTENCE [VM]
free() {
	quietly "$1" <<END
${2:-vm-001} icmp,raw,arp vm-002,lan,host | target
${2:-vm-001} icmp         outside         | target
vm-002,lan   icmp,raw     ${2:-vm-001}    | target
END
}
isolated() { field '[v["name"] for v in d if v["isolated"]]' vm list; }
port_of() { field 'd["port"]' vm show "$1"; }
port_is() { [[ $(port_of "$1") == "$2" ]]; }
repaired() { field 'd["nat"]["repaired"]' status; }

# ---- what is said
is "vm list: nobody is isolated" "$(isolated)" '[]'
is "vm show: not isolated" "$(field '[d["isolated"], d["allow"]]' vm show vm-001)" '[false, []]'
vm vm-001 busybox ping -c 1 -W 1 "$BRIDGE" >/dev/null
is "isolate" "$(field '[d[k] for k in ("vm", "isolated", "port", "allow", "changed", "note")]' \
	vm isolate vm-001 --allow "$NEIGHBOUR/32" --allow 10.0.0.0/8)" \
	"[\"vm-001\", true, \"vnet1\", [\"$NEIGHBOUR/32\", \"10.0.0.0/8\"], true, null]"
is "isolate again: nothing changes" "$(field 'd["changed"]' vm isolate vm-001 --allow "$NEIGHBOUR/32" \
	--allow 10.0.0.0/8)" false
is "isolate with another list: it is replaced" "$(field '[d["allow"], d["changed"]]' \
	vm isolate vm-001 --allow 10.1.0.0/16)" '[["10.1.0.0/16"], true]'
is "an address is a prefix of 32" "$(field 'd["allow"]' vm isolate vm-001 --allow "$NEIGHBOUR")" \
	"[\"$NEIGHBOUR/32\"]"
is "vm show has it" "$(field '[d["isolated"], d["allow"], d["port"]]' vm show vm-001)" \
	"[true, [\"$NEIGHBOUR/32\"], \"vnet1\"]"
is "isolate without a list: it is empty" "$(field '[d["allow"], d["changed"]]' vm isolate vm-001)" '[[], true]'
like "isolate in words" "$(ctl vm isolate vm-001)" 'vm-001.*isolated'
is "vm list has it" "$(isolated)" '["vm-001"]'
# a column of the table
like "vm list in words marks it" "$(ctl vm list | head -n 1)" ' ISOLATED '
is "and nobody else" "$(ctl vm list | awk '$6 == "yes" { print $1 }')" vm-001
like "vm show in words" "$(ctl vm show vm-001)" 'isolated'
is "an event tells of it" "$(field '[e["vm"] for e in d if e["event"] == "isolate"][0]' events)" vm-001
like "the log too" "$(<"$LOG")" 'isolat.*vm-001'
check "it is on disk" grep -q vm-001 "$STATE/isolated"
is "the list of addresses says that its is bound" \
	"$(field "[(a['state'], a['vm']) for a in d if a['address'] == '$EIP1']" ip list)" '[["bound", "vm-001"]]'
is "the kernel has no rule of it" "$(rules_of "$EIP1" "$IP1")" 0
check "and not the address" not address_on "$EIP1"
cut_off "isolated: it is cut off"
is "its forward too" "$(TALK_PATIENCE=1.5 ask "$OUT" "$SHARED" 80 | grep -c sees)" 0

# ---- what is counted
dropped() { field "d['dropped']['$2']" vm show "$1"; }
counts() { (($(dropped vm-001 from) >= from + 10 && $(dropped vm-001 to) >= to + 10)); }
sleep 0.6 # counters are read now and then
from=$(dropped vm-001 from) to=$(dropped vm-001 to)
quietly "ten frames from it and ten to it" <<END
vm-001 icmp,udp,raw,vlan,arp vm-002,lan | nobody
vm-002,lan icmp,udp,raw,vlan,arp vm-001 | never vm-001
END
check "are counted as dropped" wait_for 3 counts
# agree DIRECTION: metrics and vm show; both count on, as somebody asks for a neighbour now and then
agree() {
	ctl metrics | grep -qF "eipd_vm_dropped_frames_total{vm=\"vm-001\",direction=\"$1\"} $(dropped vm-001 "$1")"
}
check "metrics: from it" wait_for 3 agree from
check "metrics: to it" wait_for 3 agree to
from=$(dropped vm-001 from)
is "metrics: promtool would take them" "$(ctl metrics | count '^# TYPE eipd_vm_dropped_frames_total counter$')" 1
ctl vm isolate vm-001 --allow "$NEIGHBOUR/32" >/dev/null
check "another list of allowed hosts: the counters go on" test "$(dropped vm-001 from)" -ge "$from"

# ---- rejoin
is "rejoin" "$(field '[d["vm"], d["isolated"], d["changed"]]' vm rejoin vm-001)" '["vm-001", false, true]'
free "rejoined: it is free"
is "its public address works" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
is "its forward works" "$(ask "$OUT" "$SHARED" 80)" "vm-001 sees 20.251.48.1"
is "rejoin again: nothing changes" "$(field 'd["changed"]' vm rejoin vm-001)" false
is "an event tells of it" "$(field '[e["vm"] for e in d if e["event"] == "rejoin"]' events)" '["vm-001"]'
is "vm list: nobody is isolated" "$(isolated)" '[]'
is "the kernel has no table of ours" "$(hv nft list tables | grep -c eipd)" 0

# ---- while another program has the tables
lock_hold
ctl vm isolate vm-002 >/dev/null &
first=$!
is_isolated() { [[ $(isolated) == '["vm-002"]' ]]; }
wait_for 5 is_isolated || die "vm-002 is not isolated"
{ ctl -j vm isolate vm-002; ! address_on "$EIP2" || echo early; } >"$T/again" &
again=$!
two_wait() { (($(ss -xH state established | count "$SOCKET") == 2)); }
check "isolate again: it waits for the first" wait_for 5 two_wait
ctl status >/dev/null # which is answered behind them
lock_release
wait "$first" "$again"
is "isolate again: answered when its address has gone" \
	"$(json '[d[k] for k in ("isolated", "changed", "note")]' <"$T/again")" '[true, false, null]'
ctl vm rejoin vm-002 >/dev/null

# ---- connections
# hold NAME NAMESPACE ADDRESS PORT: a connection that stays open; say NAME SECONDS: a line on it is
# echoed within that time
hold() {
	mkfifo "$T/$1.in"
	ip netns exec "$2" "$PYTHON" "$HERE/talk.py" hold "$3" "$4" <"$T/$1.in" >"$T/$1.out" 2>&1 &
	disown
	exec {descriptor}>"$T/$1.in"
	lines[$1]=$descriptor
	wait_for 3 grep -q sees "$T/$1.out" || die "no connection $1: $(cat "$T/$1.out")"
}
declare -A lines=()
words=0
say() {
	((++words))
	echo "word-$words" >&"${lines[$1]}"
	wait_for "$2" grep -q "echoes word-$words" "$T/$1.out"
}
for nf in 0 1; do
	bridge_nf $nf || continue
	hold public-$nf "$OUT" "$EIP1" 8000
	hold forward-$nf "$OUT" "$SHARED" 80
	hold neighbour-$nf "$P-vm-002" "$IP1" 8000
	hold out-$nf "$P-vm-001" 20.251.48.1 9000
	hold healthy-$nf "$OUT" "$EIP2" 8000
	for name in public forward neighbour out healthy; do
		check "bridge-nf=$nf: a connection lives: $name" say $name-$nf 2
	done
	ctl vm isolate vm-001 >/dev/null
	for name in public forward neighbour out; do
		check "bridge-nf=$nf: isolated, it is dead: $name" not say $name-$nf 0
	done
	check "bridge-nf=$nf: that of another VM lives" say healthy-$nf 2
	is "bridge-nf=$nf: conntrack has forgotten its flows with the outside" \
		"$(hv conntrack -L 2>/dev/null | grep "=$IP1 " | grep '=20\.251\.48\.')" ""
	ctl vm rejoin vm-001 >/dev/null
	is "bridge-nf=$nf: rejoined, a new one goes" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
done
bridge_nf 0

# ---- restarts, while it tries and is allowed one host, which pings it
watched="vm-001 icmp,arp-unicast,raw,udp/mac=stranger,ping6,icmp/mac=vm-002 vm-002,vm-003,outside
vm-001 icmp,raw,udp/mac=stranger,ping6,icmp/mac=vm-002 host"
ctl vm isolate vm-001 --allow "$NEIGHBOUR/32" >/dev/null
sleep 0.6
from=$(dropped vm-001 from)
background leak stream 500 <<<"$watched"
background pings ping "lan>$IP1" "vm-002>$BRIDGE" "vm-003>$IP2" "outside>$EIP2"
daemon_end KILL
cut_off_port "killed: it is cut off without a daemon" vm-001
daemon_up
is "after kill -9: it is isolated" "$(isolated)" '["vm-001"]'
is "after kill -9: who is allowed, and its port" "$(field '[d["allow"], d["port"]]' vm show vm-001)" \
	"[[\"$NEIGHBOUR/32\"], \"vnet1\"]"
daemon_end TERM
cut_off_port "stopped: it is cut off without a daemon" vm-001
daemon_up
kill -HUP "$(daemon_pid)"
reloaded() { (($(field 'len([e for e in d if e["event"] == "reload"])' events) > 0)); }
check "SIGHUP" wait_for 3 reloaded
for ((i = 0; i < 3; i++)); do
	daemon_end KILL
	daemon_up
done
ctl vm isolate vm-001 --allow "$NEIGHBOUR/32" --allow 10.0.0.0/8 >/dev/null
ctl vm isolate vm-001 --allow "$NEIGHBOUR/32" >/dev/null
counts_on() { (($(dropped vm-001 from) > from)); }
check "its counters went on: the kernel's table was taken over" wait_for 5 counts_on
end_of leak
end_of pings
nothing_arrived "restarts, other lists: nothing of it arrives" leak
none_lost "restarts, other lists: its own and the others' pings" pings
is "after all of these its address is bound still" \
	"$(field "[(a['state'], a['vm']) for a in d if a['address'] == '$EIP1']" ip list)" '[["bound", "vm-001"]]'
is "and not in the kernel" "$(rules_of "$EIP1" "$IP1")" 0

# ---- the daemon stops and takes its rules along
daemon_end TERM
conf nat.on-exit remove
daemon_up
daemon_end TERM
cut_off_port "on-exit = remove frees nobody" vm-001
conf nat.on-exit keep
daemon_up
ctl vm isolate vm-001 >/dev/null

# ---- ports
# port_gone NAME PORT: as when a VM is switched off
port_gone() {
	ip -n "$HV" link del "$2" 2>/dev/null
	ip netns del "$P-$1" 2>/dev/null
	sed -i "/^$1 /d" "$T/world"
}
# port_new NAME MAC IP: it will start on the next port; port_up: it does
port_new() {
	namespace "$P-$1"
	((++ports))
	ip -n "$HV" link add "vnet$ports" type veth peer name eth0 address "$2" netns "$P-$1"
	ip -n "$P-$1" link set eth0 up
	vm_static "$1" "$3"
	corner "$1" inner "$P-$1" eth0 "$3"
}
port_up() {
	ip -n "$HV" link set "vnet$ports" master br0 up
	wait_for 5 link_ready "vnet$ports" || die "vnet$ports does not come up"
}
port_gone vm-001 vnet1
check "the VM is off: its port is not known" wait_for 3 port_is vm-001 null
port_new vm-001 "$MAC1" "$IP1"
background leak stream 1000 <<<"vm-001 icmp,arp-unicast,raw,udp,icmp/ip=stranger,ping6 vm-002,vm-003,lan
vm-001 icmp,raw,udp,icmp/ip=stranger,ping6 host"
port_up
sleep 0.5
check "it starts on another port, and takes a lease" vm_lease vm-001
end_of leak
nothing_arrived "from its first frame on nothing of it arrives" leak
check "its port is known" wait_for 3 port_is vm-001 vnet4
cut_off "on the new port: it is cut off"
cut_off_port "on the new port: with another MAC, too" vm-001

# Another VM gets the old name.
namespace "$P-vm-004"
ip -n "$HV" link add vnet1 type veth peer name eth0 address "$MAC4" netns "$P-vm-004"
ip -n "$P-vm-004" link set eth0 up
vm_static vm-004 "$IP4"
ip -n "$HV" link set vnet1 master br0 up
corner vm-004 inner "$P-vm-004" eth0 "$IP4"
check "a healthy VM gets a port with the old name" wait_for 5 link_ready vnet1
free "it is free" vm-004

# While the daemon is away: the isolated VM moves on, and a healthy one gets its port's name.
daemon_end KILL
port_gone vm-001 vnet4
port_gone vm-004 vnet1
ports=3
port_new vm-004 "$MAC4" "$IP4"
port_up
port_new vm-001 "$MAC1" "$IP1"
background leak stream 500 <<<"vm-001 icmp,arp-unicast,raw,udp vm-002,lan
vm-001 icmp,raw,udp host"
port_up
vm vm-004 busybox ping -c 1 -W 1 "$BRIDGE" >/dev/null
daemon_up
free "a healthy VM has the port's name since a restart: it is free" vm-004
check "the isolated one on its new port takes a lease" vm_lease vm-001
end_of leak
nothing_arrived "and nothing of it arrives" leak
check "its port is known" wait_for 3 port_is vm-001 vnet5
cut_off_port "it is cut off, with another MAC, too" vm-001
free "two resyncs later the healthy one is free" vm-004

# The guest has another MAC when the daemon starts, and the bridge has forgotten the old one.
daemon_end TERM
bridge -n "$HV" fdb del "$MAC1" dev vnet5 master 2>/dev/null
background leak stream 500 <<<"vm-001 icmp/mac=stranger,arp/mac=stranger,raw/mac=stranger,ping6/mac=stranger vm-002,lan,host"
daemon_up
sleep 1.2 # a resync
end_of leak
nothing_arrived "the guest changed its MAC before the daemon started: nothing arrives" leak
is "its port is remembered" "$(port_of vm-001)" vnet5

# ---- isolated before it is there
port_gone vm-004 vnet4
is "a VM that is off: accepted" \
	"$(field '[d["isolated"], d["port"], d["changed"], d["note"] is not None]' vm isolate vm-004)" \
	'[true, null, true, true]'
like "and said that it is for later" "$(ctl vm isolate vm-004)" 'later'
is "a VM that is in no plan: accepted" "$(field '[d["isolated"], d["port"], d["changed"], d["note"] is not None]' \
	vm isolate vm-009)" '[true, null, true, true]'
like "and said that it is for later" "$(ctl vm isolate vm-009)" 'later'
daemon_end KILL
daemon_up
ports=5
port_new vm-004 "$MAC4" "$IP4"
background leak stream 1000 <<<"vm-004 icmp,arp-unicast,raw,udp,ping6 vm-002,vm-003,lan
vm-004 icmp,raw,udp,ping6 host"
port_up
check "it comes, and takes a lease" vm_lease vm-004
end_of leak
nothing_arrived "from its first frame on nothing of it arrives" leak
check "its port is known" wait_for 3 port_is vm-004 vnet6
cut_off_port "it is cut off, with another MAC, too" vm-004
check "the VM of no plan comes into the plan" ctl vm add vm-009 --mac 02:00:00:00:00:09 --ip 192.168.6.209
is "vm list marks it" "$(field '[v["isolated"] for v in d if v["name"] == "vm-009"]' vm list)" '[true]'
port_new vm-009 02:00:00:00:00:09 192.168.6.209
port_up
cut_off "it is cut off when it comes" vm-009
check "it takes a lease" vm_lease vm-009
check "its port is known" wait_for 3 port_is vm-009 vnet7
for name in vm-004 vm-009; do
	check "$name rejoins" ctl vm rejoin "$name"
	free "$name is free" "$name"
done
port_gone vm-009 vnet7
ctl vm del vm-009 >/dev/null

# ---- by the port
check "vm-003 is isolated by its port" ctl vm isolate vm-003 --port vnet3
is "the port is the one that was named" "$(port_of vm-003)" vnet3
cut_off_port "it is cut off, with another MAC, too" vm-003
check "it rejoins" ctl vm rejoin vm-003
free "it is free" vm-003
refused "the uplink is no port of a VM" 1 'eth1.*uplink|uplink.*eth1' vm isolate vm-003 --port eth1
refused "nor is the bridge" 1 'br0' vm isolate vm-003 --port br0
refused "nor another interface" 1 'eth0' vm isolate vm-003 --port eth0
is "nobody is isolated by that" "$(isolated)" '["vm-001"]'

# ---- whose port it is, by the host's word
# another MAC from the first frame on: LABEL NAME up|down, whether it has a port already
never_its_own() {
	background leak stream 1000 <<<"$2 icmp/mac=stranger,udp/mac=stranger/ip=stranger,raw/mac=stranger,arp/mac=stranger vm-002,lan
$2 icmp/mac=stranger,raw/mac=stranger host"
	[[ $3 == up ]] || port_up
	sleep 0.5
	end_of leak
	nothing_arrived "$1" leak
}
port_gone vm-004 vnet6
check "vm-004 is off, and isolated" ctl vm isolate vm-004
ports=10
port_new vm-004 "$MAC4" "$IP4"
is "vm port, before it is a port" "$(field '[d[k] for k in ("vm", "port", "isolated", "changed")]' vm port vm-004 vnet11)" \
	'["vm-004", "vnet11", true, true]'
never_its_own "vm port: a VM that has never had its own MAC: nothing of it arrives" vm-004 down
is "its port is known" "$(port_of vm-004)" vnet11
is "vm port again" "$(field 'd["changed"]' vm port vm-004 vnet11)" false
like "vm port in words" "$(ctl vm port vm-004 vnet11)" '^vnet11 was the port of vm-004, which is isolated$'
ctl vm rejoin vm-004 >/dev/null
daemon_end KILL
daemon_up
is "a restart: whose port it is, is known though nothing was seen" "$(port_of vm-004)" vnet11
check "it is isolated" ctl vm isolate vm-004
cut_off_port "it is cut off with the MAC that it has" vm-004
port_gone vm-004 vnet11
port_new vm-004 "$MAC4" "$IP4"
ip -n "$HV" link set "vnet$ports" address "fe:${MAC4#*:}"
port_up # before the guest runs
check "a port with the guest's MAC, as libvirt makes them: it is known" wait_for 3 port_is vm-004 vnet12
never_its_own "its guest never has its own MAC: nothing of it arrives" vm-004 up
ctl vm rejoin vm-004 >/dev/null
refused "a port that is said to be another's" 1 'vnet12.*vm-004' vm isolate vm-003 --port vnet12
refused "vm port: no such link" 1 'vnet77' vm port vm-004 vnet77
refused "vm port: the uplink" 1 'eth1.*uplink' vm port vm-004 eth1
refused "vm port: the bridge" 1 'br0.*bridge' vm port vm-004 br0
refused "vm port: no name of a link" 1 'a/b' vm port vm-004 a/b
refused "vm port: a VM of no plan" 1 'vm-777' vm port vm-777 vnet12

# A neighbour has said that it is vm-003; then vm-003 has another MAC.
vm vm-003 busybox ping -c 1 -W 1 "$BRIDGE" >/dev/null
check "the port of vm-003 is known" wait_for 3 port_is vm-003 vnet3
quietly "a neighbour plays it" <<END
vm-004 raw/mac=vm-003 lan | target
END
bridge -n "$HV" fdb show br br0 | grep -q "^$MAC3 dev vnet12 " || die "the bridge does not believe that"
is "eipd does not, as the host says whose port that is" "$(port_of vm-003)" vnet3
ctl vm isolate vm-003 >/dev/null
cut_off_port "the VM is cut off all the same, with another MAC" vm-003
free "and its neighbour is not" vm-004
ctl vm rejoin vm-003 >/dev/null
ip -n "$HV" link set vnet12 address 02:00:00:00:77:12
quietly "a neighbour plays it, on a port that nobody knows" <<END
vm-004 raw/mac=vm-003 lan | target
END
check "the bridge believes that" wait_for 3 port_is vm-003 vnet12
ctl vm isolate vm-003 >/dev/null
cut_off_port "the VM is cut off, with another MAC" vm-003
check "the host says whose the other is" ctl vm port vm-004 vnet12
free "and that is free" vm-004
ctl vm rejoin vm-003 >/dev/null

# A name that is used again: its new owner is known, so it is not cut off for the old one.
ctl vm isolate vm-003 --port vnet13 >/dev/null
port_gone vm-004 vnet12
port_new vm-004 "$MAC4" "$IP4"
ip -n "$HV" link set vnet13 address "fe:${MAC4#*:}"
port_up
free "a port that was named for another VM, and is not its own" vm-004
port_gone vm-004 vnet13
ports=12
port_new vm-004 "$MAC4" "$IP4"
background leak stream 500 <<<"vm-004 icmp,raw vm-002,lan"
port_up
sleep 0.3
end_of leak
check "a port of that name of which nothing is known: it is the one that was named" grep -q ' vnet13 ' "$STATE/isolated"
cut_off_port "it is cut off" vm-004
is "another name instead: the first one was an error" "$(field 'd["port"]' vm isolate vm-003 --port vnet3)" vnet3
free "the first one is free" vm-004
cut_off_port "the right one is cut off" vm-003
ctl vm rejoin vm-003 >/dev/null
port_gone vm-004 vnet13

# Its MAC from behind the uplink does not isolate the uplink.
background pings ping "vm-002>$NEIGHBOUR" "lan>$IP3" "outside>$EIP2"
background poison stream 500 <<<"lan icmp/mac=vm-001,arp/mac=vm-001/ip=vm-001,discover/mac=vm-001 vm-002,host"
sleep 1.5
ctl vm rejoin vm-001 >/dev/null
sleep 0.3 # now the bridge learns that it is there
ctl vm isolate vm-001 >/dev/null
sleep 1.5
check "its MAC comes from behind the uplink: its port is not the uplink" not port_is vm-001 eth1
end_of poison
cut_off "it is cut off"
end_of pings
none_lost "its MAC comes from behind the uplink" pings
vm_lease vm-001
check "its port is known" wait_for 3 port_is vm-001 vnet5

# ---- others at the kernel's tables
# ours: the table without its counters; sets in order
ours() {
	hv nft list table bridge eipd 2>/dev/null | sed -E 's/packets [0-9]+ bytes [0-9]+//'
	nat_rules
}
hv nft add table bridge other
hv nft add chain bridge other forward '{ type filter hook forward priority 0; }'
hv nft add rule bridge other forward ether type 0x88b6 counter drop
hv nft add table inet mine
# at_rest: what the daemon still does to it is done
at_rest() {
	right=$(ours)
	sleep 1.2
	[[ $(ours) == "$right" ]]
}
wait_for 5 at_rest || die "the tables do not come to rest"
is_right() { [[ $(ours) == "$right" ]]; }
was_counted() { (($(repaired) > before)); }
# mends SENTENCE COMMAND…
mends() {
	local what=$1
	shift
	before=$(repaired)
	"$@" >"$T/foreign" 2>&1 || die "$what: $(cat "$T/foreign")"
	check "$what: it is mended" wait_for 3 is_right
	check "$what: it is counted as repaired" wait_for 3 was_counted
}
mends "nft flush ruleset" hv nft flush ruleset
cut_off "nft flush ruleset: it is cut off"
hv nft add table inet mine
mends "nft delete table bridge eipd" hv nft delete table bridge eipd
cut_off "nft delete table bridge eipd: it is cut off"
is "tables of others are left alone" "$(hv nft list tables | grep -v eipd)" "table inet mine"

# each chain: its first rule deleted, one put first that lets all pass, and all rules deleted
nft_names() {
	hv nft -j list table bridge eipd |
		json '" ".join(next(iter(o.values()))["name"] for o in d["nftables"] if next(iter(o)) in '"$1)"
}
first_rule() { hv nft -a list chain bridge eipd "$1" | sed -n 's/.* # handle \([0-9]*\)$/\1/p' | sed -n 2p; }
for chain in $(nft_names '("chain",)'); do
	handle=$(first_rule "$chain")
	[[ -z $handle ]] || mends "the first rule of $chain deleted" hv nft delete rule bridge eipd "$chain" handle "$handle"
done
for chain in $(nft_names '("chain",) and "hook" in o["chain"]'); do
	mends "a rule put into $chain" hv nft insert rule bridge eipd "$chain" accept
done
mends "a chain flushed" hv nft flush chain bridge eipd "$(nft_names '("chain",)' | cut -d' ' -f1)"
for set in $(nft_names '("set",)'); do
	! hv nft list set bridge eipd "$set" | grep -q elements ||
		mends "set $set flushed" hv nft flush set bridge eipd "$set"
done
for map in $(nft_names '("map",)'); do
	! hv nft list map bridge eipd "$map" | grep -q elements ||
		mends "map $map flushed" hv nft flush map bridge eipd "$map"
done
cut_off "after all of these it is cut off"
flush_all() {
	local table
	for table in filter nat mangle raw; do
		hv iptables-legacy -w 10 -t "$table" -F
	done
}
mends "iptables-legacy -F of all tables" flush_all
cut_off "iptables-legacy -F: it is cut off"
dormant() { hv nft add table bridge eipd '{ flags dormant; }'; }
mends "the table switched off" dormant
cut_off "the table switched off: it is cut off"
hv nft list table bridge eipd | grep -q dormant && hv nft delete table bridge eipd
wait_for 3 is_right
hv nft monitor >"$T/monitor" 2>&1 &
disown
# seen NAME: the monitor has told of a table that somebody makes until it does
seen() {
	hv nft add table inet "$1"
	hv nft delete table inet "$1"
	grep -q "$1" "$T/monitor"
}
wait_for 5 seen watched-from-here || die "nft monitor: $(cat "$T/monitor")"
before=$(repaired)
sleep 2.5 # two resyncs
wait_for 5 seen watched-to-here
is "where nothing is to mend nothing is written" "$(grep -c eipd "$T/monitor") $(repaired)" "0 $before"

# ---- the plan
plan "${everybody[@]:1}"
check "a plan without the VM" ctl reload
cut_off_port "a plan without it: it is cut off" vm-001
daemon_end KILL
daemon_up
cut_off_port "a plan without it, after a restart: it is cut off" vm-001
plan "${everybody[@]}"
ctl reload >/dev/null
is "the plan as it was: it is isolated" "$(isolated)" '["vm-001"]'
ctl ip bind vm-001 "$EIP1" >/dev/null 2>&1 # it lost its address with its line
ctl vm del vm-001 >/dev/null
cut_off_port "vm del: it is cut off" vm-001
is "rejoin of a VM that is gone" "$(field '[d["isolated"], d["changed"]]' vm rejoin vm-001)" '[false, true]'
quietly "vm del, rejoin: it is free" <<END
vm-001 icmp,raw vm-002,lan,host | target
END
plan "${everybody[@]}"
ctl reload >/dev/null
ctl vm isolate vm-001 >/dev/null
vm_lease vm-001
check "its port is known" wait_for 3 port_is vm-001 vnet5
plan "$MAC1,vm-001,192.168.6.50" "${everybody[@]:1}"
ctl reload >/dev/null
corner_of_nobody elsewhere inner "$MAC1" 192.168.6.50
quietly "another IP in the plan: it is cut off with either" <<END
vm-001 icmp,raw,udp,icmp/ip=elsewhere,udp/ip=elsewhere,arp/ip=elsewhere vm-002,lan | nobody
vm-001 icmp,icmp/ip=elsewhere host,outside | nobody
END
plan "02:00:00:00:00:91,vm-001,$IP1" "${everybody[@]:1}"
ctl reload >/dev/null
sed -i '/^elsewhere/d' "$T/world"
corner_of_nobody elsewhere inner 02:00:00:00:00:91 "$IP1"
quietly "another MAC in the plan: it is cut off with either" <<END
vm-001 icmp,raw,icmp/mac=elsewhere,raw/mac=elsewhere vm-002,lan,host | nobody
END
sed -i '/^elsewhere/d' "$T/world"
plan "${everybody[@]}"
ctl reload >/dev/null
plan "$MAC1,renamed,$IP1" "${everybody[@]:1}"
ctl reload >/dev/null
cut_off_port "another name in the plan: it is cut off" vm-001
is "and is isolated by that name" "$(isolated)" '["renamed"]'
is "which is what is told of it" "$(field '[d["isolated"], d["port"]]' vm show renamed)" '[true, "vnet5"]'
daemon_end KILL
daemon_up
cut_off_port "another name in the plan, after a restart: it is cut off" vm-001
check "it rejoins by that name" ctl vm rejoin renamed
quietly "and is free" <<END
vm-001 icmp,raw vm-002,lan,host | target
END
check "it is isolated again" ctl vm isolate renamed
plan "${everybody[@]}"
ctl reload >/dev/null
cut_off "the plan as it was: it is cut off"

# ---- public addresses
ctl ip bind vm-001 "$EIP1" >/dev/null 2>&1
state_of() { field "[[a['state'], a['vm']] for a in d if a['address'] == '$1'][0]" ip list; }
is "an address is bound to an isolated VM" "$(field 'd["changed"]' ip bind vm-001 20.251.48.103)" true
is "it is in the list" "$(state_of 20.251.48.103)" '["bound", "vm-001"]'
is "not in the kernel" "$(rules_of 20.251.48.103)" 0
check "and nobody answers for it" unanswered ask "$OUT" 20.251.48.103 8000
check "it is moved to a healthy VM" ctl ip move 20.251.48.103 vm-002
is "there it works" "$(ask "$OUT" 20.251.48.103 8000)" "vm-002 sees 20.251.48.1"
check "and back" ctl ip move 20.251.48.103 vm-001
check "nobody answers for it" unanswered ask "$OUT" 20.251.48.103 8000
check "it is unbound" ctl ip unbind 20.251.48.103
is "and free" "$(state_of 20.251.48.103)" '["free", null]'
ctl forward del "$SHARED:80/tcp" >/dev/null 2>&1
check "a forward to it is made" ctl forward add "$SHARED:80/tcp" vm-001:8000
is "and leads nowhere" "$(TALK_PATIENCE=1.5 ask "$OUT" "$SHARED" 80 | grep -c sees)" 0
is "what is reserved for it stays so" "$(state_of "$EIP1")" '["bound", "vm-001"]'
refused "nobody else gets it" 1 'vm-001' ip bind vm-002 "$EIP1"
ctl vm rejoin vm-001 >/dev/null
serve "$P-vm-001" vm-001-again 8000
is "rejoined: its address works" "$(ask "$OUT" "$EIP1" 8000)" "vm-001-again sees 20.251.48.1"
is "so does its forward" "$(ask "$OUT" "$SHARED" 80)" "vm-001-again sees 20.251.48.1"
free "and it is free"
ctl vm isolate vm-001 >/dev/null

# ---- what is refused
refused "no name" 2 'usage|arguments' vm isolate
refused "rejoin without a name" 2 'usage|arguments' vm rejoin
refused "not an address" 1 'nonsense' vm isolate vm-002 --allow nonsense
refused "a prefix too long" 1 '10\.0\.0\.0/33' vm isolate vm-002 --allow 10.0.0.0/33
refused "IPv6" 1 'fd00::/64' vm isolate vm-002 --allow fd00::/64
refused "an unknown option" '1|2' '--allow ADDR' vm isolate vm-002 --alow 10.0.0.0/8
refused "an option without its value" '1|2' 'allow' vm isolate vm-002 --allow
refused "a name that no VM can have" 1 'no_name' vm isolate no_name!
is "nobody is isolated by any of them" "$(isolated)" '["vm-001"]'

# ---- a damaged state file
ctl vm isolate vm-001 --allow "$NEIGHBOUR/32" >/dev/null
vm_lease vm-001
check "its port is known" wait_for 3 port_is vm-001 vnet5
good=$(cat "$STATE/isolated")
like "the state file says what it is" "${good%%$'\n'*}" '^# eipd .*isol.*version 1'
check "eipd -t takes it" eipd -t
# damaged SENTENCE: what is on standard input is the state file
damaged() {
	local size
	daemon_end KILL
	cat >"$STATE/isolated"
	like "$1: eipd -t names the file" "$(eipd -t 2>&1)" "$STATE/isolated:?[0-9]*: "
	size=$(stat -c %s "$LOG")
	if daemon_start; then
		like "$1: the log says so" "$(tail -c +"$size" "$LOG")" "$STATE/isolated"
		like "$1: it is in the list" "$(isolated)" 'vm-001'
	else
		like "$1: it does not start, and says why" "$(<"$T/start")" "$STATE/isolated"
	fi
	sleep 1.2 # a resync
	cut_off_port "$1: it is cut off" vm-001
	daemon_end KILL
	printf '%s\n' "$good" >"$STATE/isolated"
	rm -f "$STATE"/isolated.damaged
	daemon_up
	is "$1: with the right file all is as it was" "$(field '[d["isolated"], d["allow"]]' vm show vm-001)" \
		"[true, [\"$NEIGHBOUR/32\"]]"
}
damaged "an empty file" </dev/null
damaged "a file cut off" < <(printf %s "${good:0:${#good}-9}")
damaged "zeros" < <(head -c 512 /dev/zero)
damaged "a bad line" < <(printf '%s\nvm-002 and so on\n' "$good")
damaged "a later version" < <(sed '1s/version 1/version 7/' <<<"$good")
# Who is isolated is not known: nobody gets free by that.
daemon_end KILL
rm "$STATE/isolated"
mkdir "$STATE/isolated"
for what in "the kernel has the table" "the kernel has no table"; do
	check "a file that cannot be read, $what: it does not start" not daemon_start
	like "and says why, and what to do" "$(<"$T/start")" "$STATE/isolated cannot be read .*not known; .*remove"
	like "-t says so as well" "$(eipd -t 2>&1)" "$STATE/isolated:1: cannot be read"
	[[ $what != *has\ the* ]] || cut_off_port "$what: it is cut off" vm-001
	hv nft delete table bridge eipd 2>/dev/null
done
rmdir "$STATE/isolated"
head -c 512 /dev/zero >"$STATE/isolated"
check "a file of zeros, and no table in the kernel: it does not start" not daemon_start
like "and says why, and what to do" "$(<"$T/start")" "$STATE/isolated is damaged .*not known; .*remove"
printf '%s\n' "$good" >"$STATE/isolated"
rm -f "$STATE"/isolated.damaged
daemon_up
cut_off_port "with the right file it starts, and it is cut off" vm-001

# The host has been started anew: what had the name and the index of a port may be another VM's.
seen=$(sed -n 's/^seen vm-001 //p' "$STATE/isolated")
is "the file has the port" "$seen" "vnet5 $(hv cat /sys/class/net/vnet5/ifindex)"
boot=$(sed -n 's/^boot //p' "$STATE/isolated")
is "and the boot that it is of" "$boot" "$(cat /proc/sys/kernel/random/boot_id)"
daemon_end KILL
hv nft delete table bridge eipd
sed -i "s/^boot .*/boot 00000000-0000-4000-8000-000000000000/
	s/^seen vm-001 .*/seen vm-001 vnet2 $(hv cat /sys/class/net/vnet2/ifindex)/" "$STATE/isolated"
daemon_up
quietly "another boot: a healthy VM that has name and index of its port is free" <<END
vm-002 icmp,raw,arp lan,host | target
END
vm_lease vm-001
check "and it is found where it is now" wait_for 3 port_is vm-001 vnet5
cut_off_port "it is cut off" vm-001
daemon_end KILL
sed -i '/^boot /d' "$STATE/isolated"
daemon_up
is "a file of an older eipd, without a boot: the port counts" "$(port_of vm-001)" vnet5
check "and now has one" grep -q "^boot $boot" "$STATE/isolated"
check "rejoin ends all of it" ctl vm rejoin vm-001
free "it is free"
daemon_end TERM
daemon_up
free "also after a restart"
done_testing
