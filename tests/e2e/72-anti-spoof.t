#!/usr/bin/env bash
# `anti-spoof = yes`: a VM sends with its own MAC and planned address, or not at all; and what that
# costs a frame, with 10 and with 5,000 VMs in the plan.
#
#   outside              host                                  virtual machines
#   eth0 20.251.48.1 ─── eth0 20.251.48.10                  ┌── vm-001 192.168.6.243  there before eipd
#                             br0 192.168.6.22/16 ──────────┼── vm-002 192.168.6.244  there before eipd
#   lan                           eth1                      ├── vm-003 192.168.6.245  comes later
#   eth0 192.168.6.200 ────────────┘                        ├── vm-004 192.168.6.246  comes last
#                                                           └── rogue, vm-003's port: what they like
#
# Alone: it measures what a frame costs.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/frames.sh
. "$(dirname "$0")/frames.sh"
MAC3=02:00:00:00:00:03 IP3=192.168.6.245
MAC4=02:00:00:00:00:04 IP4=192.168.6.246
ROGUE=02:00:00:00:66:66
NEIGHBOUR=192.168.6.200 BRIDGE=192.168.6.22 CLIENT=20.251.48.1
stage_up 192.168.6.22/16
ipv6_on "$HV" "$OUT" "$LAN"
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
ipv6_on "$P-vm-001" # not vm-002, which would send what is dropped by itself
everybody=("$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "$MAC3,vm-003,$IP3" "$MAC4,vm-004,$IP4")
plan "${everybody[@]}"
vm_static vm-001 "$IP1"
vm_static vm-002 "$IP2"
ip -n "$LAN" addr add "$NEIGHBOUR/24" dev eth0
ip -n "$LAN" route add default via "$BRIDGE"
ip -n "$OUT" route add 192.168.6.0/24 via 20.251.48.10
client_script
corners_of_stage
corner vm-001 inner "$P-vm-001" eth0 "$IP1"
corner vm-002 inner "$P-vm-002" eth0 "$IP2"
corner_of_nobody vm-004 inner "$MAC4" "$IP4"
corner_of_nobody public outer - "$EIP1"
conf nat.resync 1s

# ---- what does not go
conf inner.anti-spoof yes
conf inner.uplink
check "anti-spoof without an uplink: it does not start" not daemon_start
like "and says so" "$(<"$T/start")" "$CONF:[0-9]+: .*(anti-spoof.*uplink|uplink.*anti-spoof)"
like "-t says so as well" "$(eipd -t 2>&1)" "$CONF:[0-9]+: .*(anti-spoof.*uplink|uplink.*anti-spoof)"
conf inner.uplink eth1
conf inner.anti-spoof perhaps
check "anti-spoof = perhaps: it does not start" not daemon_start
like "and says so" "$(<"$T/start")" "$CONF:[0-9]+: .*perhaps"
conf inner.anti-spoof yes

# ---- two VMs that the bridge knows already
# link_local PORT: which link-local groups it treats like any other
link_local() { ip -n "$HV" -d link show "$1" | grep -o 'group_fwd_mask [^ ]*'; }
ip -n "$HV" link set vnet2 type bridge_slave group_fwd_mask 8
vm vm-001 busybox ping -c 1 -W 2 "$BRIDGE" >/dev/null
vm vm-002 busybox ping -c 1 -W 2 "$BRIDGE" >/dev/null
daemon_up
is "LLDP's group and the spanning tree's meet our rules, beside what did before" \
	"$(link_local vnet1) $(link_local vnet2)" "group_fwd_mask 0x4001 group_fwd_mask 0x4009"
is "but not of the uplink" "$(link_local eth1)" "group_fwd_mask 0"
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip bind vm-002 "$EIP2" >/dev/null

# dropped NAME: frames from it that were dropped
dropped() { field 'd["dropped"]["from"]' vm show "$1"; }
repaired() { field 'd["nat"]["repaired"]' status; }

# honest LABEL NAME: what VM NAME may do, to vm-002 and to others
honest() {
	frames "$1" <<END
$2 icmp,tcp,udp         vm-002,lan,host,outside | target
$2 udp-68-67            vm-002                  | target # a relay's, or a client of another server
$2 udp-all              lan                     | vm-002 lan host
$2 arp,arp-probe        vm-002,lan,host,stranger | vm-002 lan host
$2 arp-announce,arp-reply-all lan               | vm-002 lan host
$2 arp-unicast,arp-reply vm-002,lan,host        | target
$2 discover,request,rebind host                 | $2 host
$2 renew                host                    | $2 host
END
}
# the rest of the network is not asked
others() {
	frames "$1" <<END
lan  icmp,tcp,udp,arp,ping6,ns6,raw,raw-all,llc,vlan,vlan0,qinq,pppoe,bpdu,offer,ra6 vm-001 | target
lan  icmp/ip=stranger,icmp/mac=stranger,udp/mac=stranger/ip=stranger vm-001 | target
host icmp,tcp,udp,arp,ping6,ns6,raw vm-001 | target
outside icmp,tcp,udp public,vm-001  | vm-001
END
}
# lies LABEL NAME OTHER: what VM NAME may not do, with OTHER as the one it plays
lies() {
	frames "$1" <<END
$2 icmp/ip=stranger,tcp/ip=stranger,udp/ip=stranger vm-002,lan,host,outside | nobody
$2 icmp/ip=$3,udp/ip=$3,icmp/ip=host,udp/ip=lan,icmp-from-0 lan,host,outside | nobody
$2 udp/ip=stranger,udp-68-67/ip=stranger,udp-all/ip=$3 lan    | nobody
$2 icmp/mac=stranger,udp/mac=stranger,tcp/mac=stranger vm-002,lan,host,outside | nobody
$2 icmp/mac=$3,icmp/mac=host,icmp/mac=lan,raw/mac=$3 lan,host | nobody
$2 icmp/mac=$3/ip=$3,tcp/mac=$3/ip=$3,udp/mac=$3/ip=$3 lan,host,outside | nobody
$2 icmp/mac=vm-004/ip=vm-004,arp-announce/mac=vm-004/ip=vm-004 lan,host | nobody
$2 arp/mac=$3/ip=$3,arp-reply/mac=$3/ip=$3,arp-announce/mac=$3/ip=$3 lan,host | nobody
$2 arp/ip=stranger,arp/ip=$3,arp/ip=host lan,host             | nobody
$2 arp-unicast/ip=$3,arp-reply/ip=$3,arp-reply/ip=host vm-002,lan,host | nobody
$2 arp-announce/ip=$3,arp-announce/ip=host,arp-reply-all/ip=$3,arp-reply-all/ip=host lan | nobody
$2 arp/sha=$3,arp-probe/sha=$3,arp-reply/sha=$3,arp-reply/sha=stranger,arp-announce/sha=lan lan,host | nobody
$2 arp/mac=stranger/sha=$2,arp-probe/mac=stranger,arp-probe/mac=$3 lan | nobody
$2 offer,offer-all vm-002,lan,host                            | nobody
$2 discover/mac=$3,discover/mac=stranger,discover/ip=stranger,rebind/ip=$3,renew/ip=stranger host | nobody
$2 ping6,ns6,na6,na6/ip=host,ra6 vm-002,lan,host              | nobody
$2 vlan,vlan0,vlan-arp,qinq,pppoe,raw,llc vm-002,lan,host     | nobody
$2 raw-all,bpdu,lldp,eapol,lacp,rarp host                     | nobody
$2 lldp/mac=$3,eapol/mac=$3,udp/to=to-bridge,icmp/ip=$3/to=to-bridge,udp/to=to-port host | nobody
END
}
for nf in 0 1; do
	if ! bridge_nf $nf; then
		skip "bridge-nf=1" "no br_netfilter here"
		continue
	fi
	honest "bridge-nf=$nf, honest" vm-001
	before=$(dropped vm-001)
	lies "bridge-nf=$nf, lies" vm-001 vm-002
	counted() { (($(dropped vm-001) > before + 99)); }
	check "bridge-nf=$nf: frames that were dropped are counted" wait_for 3 counted
	others "bridge-nf=$nf, not of a VM"
	is "bridge-nf=$nf: the VMs' own IP works, and public addresses from inside" \
		"$(printf '%s\n' "vm-001 tcp $IP2 8000" "vm-002 udp $IP1 8000" "vm-002 icmp $BRIDGE 0" \
			"vm-001 tcp $CLIENT 8000" "outside tcp $EIP1 8000" "vm-002 tcp $EIP1 8000" \
			"vm-001 udp $EIP2 8000" "vm-001 tcp $EIP1 8000" "lan tcp $EIP1 8000" |
			"$PYTHON" "$HERE/matrix.py" outside="$OUT" host="$HV" lan="$LAN" \
				vm-001="$P-vm-001" vm-002="$P-vm-002")" \
		"$(printf '%s\n' "vm-002 sees $IP1" "vm-001 sees $IP2" "host sees $IP2" "outside sees $EIP1" \
			"vm-001 sees $CLIENT" "vm-001 sees $EIP2" "vm-002 sees $EIP1" "vm-001 sees $EIP1" \
			"vm-001 sees $BRIDGE")"
done
is "frames that were not dropped are not counted" "$(dropped vm-002)" 0
# both count on, as the VM has something to say by IPv6 now and then
agree() {
	ctl metrics | grep -qF "eipd_vm_dropped_frames_total{vm=\"vm-001\",direction=\"from\"} $(dropped vm-001)"
}
check "metrics have the number" wait_for 3 agree

# ---- ports that come and go
works() { vm "$1" busybox ping -c 1 -W 1 "$IP2"; }
vm_up vm-003 "$MAC3"
ipv6_on "$P-vm-003"
check "a fresh port: its VM takes a lease" vm_lease vm-003
check "and works" wait_for 3 works vm-003
corner vm-003 inner "$P-vm-003" eth0 "$IP3"
honest "a fresh port, honest" vm-003
lies "a fresh port, lies" vm-003 vm-001

# An unknown VM that plays others, while they are there.
vm_up rogue "$ROGUE"
ipv6_on "$P-rogue"
corner rogue inner "$P-rogue" eth0 192.168.6.99
background pings ping "vm-001>$IP2" "vm-002>$BRIDGE" "vm-003>$CLIENT" "lan>$IP1" "outside>$EIP1"
background rogue stream 500 <<END
rogue arp-announce/mac=vm-001/ip=vm-001,icmp/mac=vm-001/ip=vm-001 lan,host
rogue discover/mac=vm-001,request/mac=vm-001,arp-reply/ip=host lan,host
rogue icmp,udp,arp,discover,offer,ping6,raw,vlan lan,host
rogue icmp/mac=vm-002/ip=vm-002 vm-001
rogue icmp/mac=vm-001/ip=rogue,icmp/mac=host,icmp/mac=lan vm-002
rogue lldp/mac=vm-001,lldp/mac=vm-002,eapol/mac=vm-002,udp/to=to-bridge host
END
sleep 2.5 # resyncs go by
end_of rogue
end_of pings
nothing_arrived "an unknown VM, whoever it says it is: nothing arrives" rogue
none_lost "an unknown VM plays others" pings

ip -n "$HV" link del vnet4
ip netns del "$P-rogue"
sed -i '/^rogue/d' "$T/world"

# The first frames of a port, before anybody can have noticed that it is there; and while the daemon
# is not there to notice: nobody can play a VM, whether it is known or not, or be somebody else.
vm_up rogue "$ROGUE"
corner rogue inner "$P-rogue" eth0 192.168.6.99
# first_frames NAME: the port leaves the bridge, and sends again from the moment that it is back
first_frames() {
	ip -n "$HV" link set vnet5 down
	ip -n "$HV" link set vnet5 nomaster
	background "$1" stream 5000 <<END
rogue icmp/mac=vm-001/ip=vm-001,arp-announce/mac=vm-001/ip=vm-001,arp-announce/mac=vm-002/ip=vm-002,raw/mac=vm-001 lan,host
rogue icmp,udp,arp-reply/ip=host,arp-announce/ip=vm-001,offer,ping6,raw,vlan lan,vm-002
rogue icmp,arp,arp-reply/ip=vm-001,arp-announce/ip=lan host
rogue icmp/mac=vm-004,arp-reply/mac=vm-004/ip=host,icmp/mac=vm-004/ip=vm-001 lan,vm-002,host
END
	ip -n "$HV" link set vnet5 master br0 up
	sleep 0.3
	end_of "$1"
}
for ((i = 0; i < 5; i++)); do
	first_frames "first-$i"
done
cat "$T"/first-? >"$T/first"
nothing_arrived "the first frames of a fresh port: nothing arrives" first
daemon_end KILL
ip -n "$HV" link del vnet5
ip netns del "$P-rogue"
ports=4
vm_up rogue "$ROGUE" # another index
first_frames away
nothing_arrived "a port that came while the daemon was away: nothing arrives" away
quietly "nor after that" <<END
rogue icmp,raw,arp-reply/ip=host,offer,ping6,vlan lan,vm-002 | nobody
rogue icmp,arp host | nobody
END
daemon_up
quietly "nor when the daemon is back" <<END
rogue icmp,raw,arp-reply/ip=host,offer,ping6,vlan lan,vm-002,host | nobody
END
ip -n "$HV" link del vnet5
ip netns del "$P-rogue"
sed -i '/^rogue/d' "$T/world"

# Another bridge of the host is none of our business, and a MAC may be there as well.
ip -n "$HV" link add br1 type bridge
ip -n "$HV" link set br1 up
for name in x y; do
	namespace "$P-$name"
	ip -n "$HV" link add "veth-$name" type veth peer name eth0 netns "$P-$name"
	ip -n "$HV" link set "veth-$name" master br1 up
	ip -n "$P-$name" link set eth0 up
done
ip -n "$P-x" link set eth0 address "$MAC1"
ip -n "$P-x" addr add 10.9.9.1/24 dev eth0
ip -n "$P-y" addr add 10.9.9.2/24 dev eth0
for name in veth-x veth-y; do wait_for 5 link_ready "$name" || die "no $name"; done
check "the MAC of a VM on another bridge" wait_for 5 vm x busybox ping -c 1 -W 1 10.9.9.2
check "the VM itself" wait_for 5 works vm-001
ip -n "$HV" link del br1
ip -n "$HV" link del veth-x
ip -n "$HV" link del veth-y

# vm-001 moves to a new port: shut down and started again, elsewhere on the bridge.
ip -n "$HV" link del vnet1
ip netns del "$P-vm-001"
vm_up vm-001 "$MAC1"
ipv6_on "$P-vm-001"
check "a VM comes back on another port: it takes a lease" vm_lease vm-001
check "and works" wait_for 3 works vm-001
honest "on another port, honest" vm-001
lies "on another port, lies" vm-001 vm-002
# and another VM has its port's old name
ports=0
vm_up vm-004 "$MAC4"
ipv6_on "$P-vm-004"
check "another VM on a port with the old name: it takes a lease" vm_lease vm-004
check "and works" wait_for 3 works vm-004
sed -i '/^vm-004/d' "$T/world"
corner vm-004 inner "$P-vm-004" eth0 "$IP4"
honest "a port with an old name, honest" vm-004
quietly "a port with an old name, lies" <<END
vm-004 icmp/mac=vm-001/ip=vm-001,arp/mac=vm-001/ip=vm-001,icmp/ip=vm-001,raw,ping6 lan,host | nobody
END
ports=10

# A VM that only listens is known by its answer; the others must reach it.
ip -n "$HV" link del vnet3
ip netns del "$P-vm-003"
vm_up vm-003 "$MAC3"
vm_static vm-003 "$IP3"
reaches() { vm vm-002 busybox ping -c 1 -W 1 "$IP3"; }
check "a VM that only listens is reached" wait_for 4 reaches

# ---- the plan changes
plan "$MAC1,vm-001,192.168.6.50" "$MAC2,vm-002,$IP2" "$MAC4,vm-004,$IP4"
check "a plan with another address of vm-001, without vm-003" ctl reload
corner_of_nobody vm-001-new inner "$MAC1" 192.168.6.50
frames "after the reload" <<END
vm-001 icmp,arp                           lan,host | nobody
vm-001 icmp/ip=vm-001-new,arp/ip=vm-001-new lan    | target
vm-003 icmp,arp,discover                  lan,host | nobody
vm-004 icmp,arp                           lan,host | target
END
plan "${everybody[@]}"
check "the plan as it was" ctl reload
check "the VM that is in it again works" wait_for 3 works vm-003
frames "after the second reload" <<END
vm-001 icmp,arp                           lan,host | target
vm-001 icmp/ip=vm-001-new,arp/ip=vm-001-new lan    | nobody
END
sed -i '/^vm-001-new/d' "$T/world"

# ---- restarts, foreign hands
background pings ping "vm-001>$IP2" "vm-002>$BRIDGE" "vm-003>$CLIENT" "lan>$IP1" "outside>$EIP1"
background liar stream 500 <<END
vm-001 icmp/ip=vm-002,icmp/mac=vm-002/ip=vm-002,arp-reply/ip=host,offer,raw,ping6 lan,host
vm-004 icmp/mac=vm-001/ip=vm-001,arp/mac=vm-001/ip=vm-001 lan,host
END
for signal in KILL TERM KILL; do
	daemon_end "$signal"
	sleep 0.3
	daemon_up
done
end_of liar
end_of pings
nothing_arrived "two kill -9 and an end, and starts: no lie arrives" liar
none_lost "two kill -9 and an end, and starts" pings
mended() { (($(repaired) > before)); }
for what in "flush ruleset" "delete table bridge eipd"; do
	before=$(repaired)
	# shellcheck disable=SC2086 # words
	hv nft $what
	check "nft $what: it is counted as repaired" wait_for 4 mended
	quietly "nft $what: it is mended" <<END
vm-001 icmp/ip=stranger,arp/ip=vm-002,raw,ping6 vm-002,lan,host | nobody
vm-001 icmp,arp vm-002,lan,host | target
END
done

# ---- with isolation
ctl vm isolate vm-001 >/dev/null
quietly "an isolated VM is isolated" <<END
vm-001 icmp,tcp,udp,arp,raw,ping6 vm-002,lan | nobody
vm-001 icmp/ip=stranger,icmp/mac=vm-002/ip=vm-002 vm-002,lan,host | nobody
vm-001 discover host | only host vm-001
vm-002,lan icmp vm-001 | nobody
END
honest "while another is isolated, honest" vm-003
lies "while another is isolated, lies" vm-003 vm-002
ctl vm rejoin vm-001 >/dev/null
honest "rejoined, honest" vm-001
lies "rejoined, lies" vm-001 vm-002

# ---- off
daemon_end TERM
conf inner.anti-spoof no
daemon_up
quietly "anti-spoof = no: everything passes again" <<END
vm-001 icmp,icmp/ip=stranger,raw,ping6,vlan,offer vm-002,lan,host | target
vm-001 arp/ip=stranger lan | vm-002 lan host
END
is "and the kernel has no table of ours" "$(hv nft list tables | grep -c eipd)" 0
as_before() {
	is "$1: link-local groups are treated as before" "$(link_local vnet2) $(for port in $(ip -n "$HV" -o link show master br0 |
		sed 's/^[0-9]*: \([^@:]*\).*/\1/'); do [[ $port == vnet2 ]] || link_local "$port"; done | sort -u)" \
		"group_fwd_mask 0x8 group_fwd_mask 0"
}
as_before "anti-spoof = no"

# ---- what a frame costs
# pace: sends the same frame again and again, and prints the nanoseconds that one takes. The frame
# goes through both ends of both cables and the bridge within the system call.
cat >"$T/pace.c" <<'END'
#include <linux/if_packet.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
int main(int argc, char **argv)
{
	struct sockaddr_ll to = { .sll_family = AF_PACKET };
	unsigned char frame[1514];
	struct timespec start, end;
	long count = atol(argv[2]);
	size_t len = 0;
	int fd = socket(AF_PACKET, SOCK_RAW, 0);

	(void)argc;
	for (unsigned byte; len < sizeof(frame) && scanf("%2x", &byte) == 1; len++)
		frame[len] = (unsigned char)byte;
	to.sll_ifindex = (int)if_nametoindex(argv[1]);
	if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof(to)) < 0 || !len)
		return 1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
	for (long i = 0; i < count; i++)
		if (send(fd, frame, len, 0) < 0)
			return 1;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	printf("%ld\n", ((end.tv_sec - start.tv_sec) * 1000000000L + end.tv_nsec - start.tv_nsec) / count);
	return 0;
}
END
"${CC:-cc}" -O2 -o "$T/pace" "$T/pace.c" >"$T/cc" 2>&1 || die "no pace: $(cat "$T/cc")"
"$PYTHON" "$HERE/frames.py" hex "$T/world" vm-001 udp vm-002 >"$T/frame"
# cost: of a frame, the least of some runs, as the machine has other things to do
cost() {
	for _ in 1 2 3 4 5 6; do
		vm vm-001 "$T/pace" eth0 40000 <"$T/frame"
	done | sort -n | head -n 1
}
# machines COUNT: a plan with that many, the last four of them those of the stage
machines() {
	awk -v count="$1" 'BEGIN { for (i = 4; i < count; i++) printf "02:01:00:00:%02x:%02x,m-%d,192.168.%d.%d\n",
		int(i / 256), i % 256, i, 100 + int(i / 200), 1 + i % 200 }' >"$PLAN"
	printf '%s\n' "${everybody[@]}" >>"$PLAN"
}
without=$(cost)
daemon_end TERM
conf inner.anti-spoof yes
conf daemon.log-level info
conf nat.resync 60s
machines 10
daemon_up
check "vm-001 works" wait_for 3 works vm-001
ten=$(cost)
machines 5000
start=$(date +%s%N)
check "a plan of 5,000 VMs" ctl reload
echo "# the reload took $((($(date +%s%N) - start) / 1000000)) ms"
check "vm-001 works" wait_for 3 works vm-001
thousands=$(cost)
quietly "5,000 VMs: it is in force" <<END
vm-001 icmp/ip=stranger,icmp/mac=vm-002/ip=vm-002,raw lan,host | nobody
vm-001 icmp lan,host | target
END
machines 10
check "a plan of 10 VMs" ctl reload
again=$(cost)
((again >= ten)) || ten=$again
echo "# a frame from VM to VM: $without ns without anti-spoof, $ten ns with 10 VMs in the plan," \
	"$thousands ns with 5,000: ratio $((thousands * 100 / ten)) %"
daemon_end TERM
conf nat.on-exit remove
daemon_up
like "on-exit = remove: while it is there" "$(link_local vnet2)" 0x4009
daemon_end TERM
as_before "on-exit = remove"
check "5,000 VMs cost a frame no more than 10 do" test $((thousands * 2)) -le $((ten * 3))
done_testing
