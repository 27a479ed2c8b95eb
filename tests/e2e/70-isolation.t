#!/usr/bin/env bash
# An isolated VM: which frames of its own come out where, and whose come to it, kind by kind, before,
# during and after; where bridged frames pass iptables (bridge-nf-call-iptables=1) and where not.
# Its healthy neighbours lose not one ping.
#
#   outside                 host                             virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10             ┌── vm-001 192.168.6.243  is isolated
#   lo   198.51.100.7            br0 192.168.6.22/24 ─────┼── vm-002 192.168.6.244  neighbours
#   (far-forensics)                 eth1                  └── vm-003 192.168.6.245
#   lan                                │
#   eth0 192.168.6.200 ────────────────┘
#   eth0 192.168.6.201 (forensics)
#
# vm-001 has the public address 20.251.48.99, vm-002 20.251.48.100.
#
# Long: it is begun first.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/frames.sh
. "$(dirname "$0")/frames.sh"
MAC3=02:00:00:00:00:03 IP3=192.168.6.245
NEIGHBOUR=192.168.6.200 FORENSICS=192.168.6.201 BRIDGE=192.168.6.22
CLIENT=20.251.48.1 FAR=198.51.100.7
stage_up
ipv6_on "$HV" "$OUT" "$LAN"
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_up vm-003 "$MAC3"
ipv6_on "$P-vm-001" "$P-vm-002" "$P-vm-003"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "$MAC3,vm-003,$IP3"
vm_static vm-001 "$IP1"
vm_static vm-002 "$IP2"
vm_static vm-003 "$IP3"
ip -n "$LAN" addr add "$NEIGHBOUR/24" dev eth0
ip -n "$LAN" addr add "$FORENSICS/24" dev eth0
ip -n "$LAN" route add default via "$BRIDGE"
ip -n "$OUT" route add 192.168.6.0/24 via 20.251.48.10 # a host that is routed to the inner network
client_script
corners_of_stage
corner vm-001 inner "$P-vm-001" eth0 "$IP1"
corner vm-002 inner "$P-vm-002" eth0 "$IP2"
corner vm-003 inner "$P-vm-003" eth0 "$IP3"
corner forensics inner "$LAN" eth0 "$FORENSICS"
corner far-forensics outer "$OUT" eth0 "$FAR"
corner_of_nobody public outer - "$EIP1"
corner_of_nobody public-2 outer - "$EIP2"
conf nat.resync 1s
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip bind vm-002 "$EIP2" >/dev/null

# ---- conversations: the VMs' own IP, so ARP must work as well

# talk STATE <TABLE: rows of matrix.py for tcp, udp and icmp, `CALLER ADDRESS [SOURCE] | EXPECTED`
talk() {
	local caller address source wanted protocol
	local -a rows=() sentences=() expected=() got=()
	while IFS='|' read -r caller wanted; do
		wanted=${wanted# }
		read -r caller address source <<<"$caller"
		for protocol in tcp udp icmp; do
			rows+=("$caller $protocol $address 8000 $source")
			sentences+=("bridge-nf=$nf, $1: $caller${source:+ as $source} to $address by $protocol: $wanted")
			expected+=("$wanted")
		done
	done
	mapfile -t got < <(printf '%s\n' "${rows[@]}" | "$PYTHON" "$HERE/matrix.py" outside="$OUT" \
		host="$HV" lan="$LAN" vm-001="$P-vm-001" vm-002="$P-vm-002" vm-003="$P-vm-003" 2>&1)
	for ((i = 0; i < ${#rows[@]}; i++)); do
		is "${sentences[i]}" "${got[i]-}" "${expected[i]}"
	done
}
# neighbours_talk STATE: what is the same in every state
neighbours_talk() {
	talk "$1" <<END
vm-002  $IP3         | vm-003 sees $IP2
vm-002  $NEIGHBOUR   | lan sees $IP2
vm-002  $BRIDGE      | host sees $IP2
vm-002  $CLIENT      | outside sees $EIP2
outside $EIP2        | vm-002 sees $CLIENT
vm-003  $EIP2        | vm-002 sees $BRIDGE
lan     $IP2         | vm-002 sees $NEIGHBOUR
END
}
# reached_by_ipv6: whom vm-001 reaches by its link-local address
reached_by_ipv6() {
	local ns device name to
	while read -r name ns device; do
		to=$(ip -n "$ns" -6 -o addr show dev "$device" scope link | awk '{ sub("/.*", "", $4); print $4 }')
		vm vm-001 busybox ping -6 -c 3 -W 1 "$to%eth0" >/dev/null 2>&1 && echo "$name" &
	done <<END
vm-002 $P-vm-002 eth0
lan $LAN eth0
host $HV br0
END
	wait
}
talks_by_ipv6() { is "bridge-nf=$nf, $1: vm-001 reaches by IPv6: ${2:-nobody}" \
	"$(reached_by_ipv6 | sort | xargs)" "$2"; }

# ---- the tables

# What passes where nobody is isolated. The frames that lie stand last: what they tell about vm-003
# is forgotten afterwards.
open_table() {
	frames "bridge-nf=$nf, $1" <<END
vm-001 icmp,tcp,udp vm-002,lan,forensics,host,outside,far-forensics | target
vm-001 udp-all      vm-002             | vm-002 lan host
vm-001 udp-68-67    vm-002,lan,outside | target
vm-001 arp          vm-002,lan,host    | vm-002 lan host
vm-001 arp-probe,arp-announce,rarp lan | vm-002 lan host
vm-001 ping6        vm-002,lan,host    | target
vm-001 ns6          vm-002,lan,host    | vm-002 lan host
vm-001 raw,llc,vlan,vlan0,qinq,pppoe vm-002,lan,host | target
vm-001 raw-all,bpdu,vlan-arp lan       | vm-002 lan
vm-001 lldp,eapol,lacp host            | host
vm-001 udp/to=to-bridge,udp/to=to-port host | host
vm-001 discover,request,rebind host    | vm-001 vm-002 lan host
vm-001 renew        host               | vm-001 host
vm-001 offer        vm-002,lan,host    | target
vm-001 offer-all    vm-002             | vm-002 lan host

vm-002,lan,host,outside,far-forensics icmp,tcp,udp vm-001 | target
forensics           icmp,tcp,udp vm-001                   | target
outside,far-forensics,vm-002,lan icmp,tcp,udp public      | vm-001
vm-002,lan          arp,ping6,ns6,raw,raw-all,llc,vlan,vlan0,qinq,bpdu vm-001 | target
host                arp,ping6,ns6,raw,raw-all,vlan vm-001 | target
vm-002              offer,offer-all vm-001                | target

vm-001 icmp/ip=stranger,udp/ip=stranger   vm-002,lan,host,outside | target
vm-001 icmp/mac=stranger,udp/mac=stranger vm-002,lan,host,outside | target
vm-001 icmp/ip=vm-003,icmp/mac=vm-003     vm-002,lan,host         | target
vm-001 icmp/mac=vm-003/ip=vm-003,arp/mac=vm-003/ip=vm-003 lan     | target
vm-001 arp-reply/ip=host                  vm-002,lan              | target
vm-001 arp-reply/ip=vm-003                lan,host                | target
vm-001 arp-reply-all/ip=vm-003,arp-announce/ip=vm-003 lan         | vm-002 lan host
vm-001 na6/ip=host                        vm-002,lan              | target
vm-001 ra6                                vm-002                  | vm-002 lan host
vm-001 discover/mac=vm-003                host                    | vm-002 lan host
END
	forget_neighbours
}
open_talk() {
	talk "$1" <<END
vm-001  $IP2         | vm-002 sees $IP1
vm-002  $IP1         | vm-001 sees $IP2
vm-001  $NEIGHBOUR   | lan sees $IP1
lan     $IP1         | vm-001 sees $NEIGHBOUR
vm-001  $BRIDGE      | host sees $IP1
host    $IP1         | vm-001 sees $BRIDGE
vm-001  20.251.48.10 | host sees $IP1
vm-001  $CLIENT      | outside sees $EIP1
outside $EIP1        | vm-001 sees $CLIENT
vm-002  $EIP1        | vm-001 sees $EIP2
lan     $EIP1        | vm-001 sees $BRIDGE
vm-001  $EIP2        | vm-002 sees $EIP1
outside $IP1  $FAR   | vm-001 sees $FAR
END
	talks_by_ipv6 "$1" "host lan vm-002"
	neighbours_talk "$1"
}

# What never passes while it is isolated, whoever is allowed: what it sends, what it sends under a
# false name, what it is sent. The last part would divert the traffic of others by way of the
# bridge's table, under cover of what it may do.
closed_table() {
	frames "bridge-nf=$nf, $1" <<END
vm-001 icmp,tcp,udp vm-002,lan,host,outside,door,public,public-2 | nobody
vm-001 udp-all,icmp-from-0 vm-002,host           | nobody
vm-001 udp-68-67    vm-002,lan,outside           | nobody
vm-001 arp          vm-002,lan,stranger,vm-001   | nobody
vm-001 arp-unicast,arp-reply vm-002,lan          | nobody
vm-001 arp-probe    vm-002,lan,stranger          | nobody
vm-001 arp-announce,rarp lan                     | nobody
vm-001 arp-unicast/to=vm-002,arp-reply/to=vm-002 host | nobody
vm-001 ping6,ns6    vm-002,lan,host,forensics    | nobody
vm-001 raw,llc,vlan,vlan0,qinq,pppoe,vlan-arp vm-002,lan,host,forensics | nobody
vm-001 raw-all,bpdu,lldp,eapol,lacp,ra6 host     | nobody
vm-001 icmp/to=to-bridge,tcp/to=to-bridge,udp/to=to-bridge vm-002,host,outside | nobody
vm-001 icmp/to=to-port,udp/to=to-port vm-002,host,outside | nobody
vm-001 arp-reply/to=to-bridge,arp-reply/to=to-port vm-002 | nobody
vm-001 offer,offer-all vm-002,lan,host,forensics | nobody
vm-001 discover,request,rebind,renew host        | only vm-001 host
vm-001 discover/to=vm-002 host                   | nobody

vm-001 icmp/ip=stranger,udp/ip=stranger,tcp/ip=stranger vm-002,lan,host,outside,forensics,far-forensics | nobody
vm-001 icmp/ip=vm-002,icmp/ip=host,udp/ip=forensics,udp/ip=far-forensics vm-003,lan,host,outside | nobody
vm-001 icmp/mac=stranger,udp/mac=stranger,arp/mac=stranger,arp-reply/mac=stranger vm-002,lan,host,forensics | nobody
vm-001 icmp/mac=stranger/ip=stranger,tcp/mac=stranger/ip=stranger vm-002,lan,host,outside,forensics,far-forensics | nobody
vm-001 icmp/mac=vm-002/ip=vm-002,icmp/mac=lan/ip=forensics,ping6/mac=vm-002 vm-003,lan,host | nobody
vm-001 arp-reply/ip=host,arp-unicast/ip=host   vm-002,vm-003,lan,forensics | nobody
vm-001 arp-reply/ip=vm-002,arp/ip=vm-002       vm-003,lan,host,forensics   | nobody
vm-001 arp-reply-all/ip=host,arp-reply-all/ip=vm-002,arp-announce/ip=host,arp-announce/ip=vm-002 lan | nobody
vm-001 arp/ip=forensics,arp-reply/ip=forensics,arp/ip=stranger host,lan | nobody
vm-001 arp/sha=vm-002,arp/sha=host,arp-reply/sha=vm-002 host,forensics | nobody
vm-001 na6/ip=host,na6/ip=vm-002               vm-003,lan,host       | nobody

vm-002,vm-003,lan,host,outside icmp,tcp,udp vm-001 | nobody
vm-002,lan,outside,far-forensics icmp,tcp,udp public | never vm-001
vm-002,vm-003,lan   arp,arp-reply,ping6,ns6,raw,raw-all,llc,vlan,vlan0,qinq,bpdu vm-001 | never vm-001
host                ping6,ns6,raw,raw-all,vlan vm-001 | never vm-001
vm-002,lan          offer,offer-all,discover vm-001 | never vm-001
vm-002,lan          icmp/ip=host,udp/ip=host vm-001 | nobody

vm-001 discover/mac=vm-002,discover/mac=vm-003,discover/mac=lan,discover/mac=host host | nobody
vm-001 arp/mac=vm-002,arp/mac=lan,arp/mac=host host,forensics | nobody
vm-001 arp/mac=vm-002/sha=vm-001,arp-reply/mac=lan/sha=vm-001 host,forensics | nobody
vm-001 icmp/mac=vm-002,udp/mac=vm-003,tcp/mac=lan,udp/mac=host forensics,far-forensics | nobody
vm-001 renew/mac=vm-002,renew/mac=lan host | nobody
END
}
# Where nobody is allowed
alone_table() {
	closed_table "$1"
	frames "bridge-nf=$nf, $1" <<END
vm-001 icmp,tcp,udp    forensics,far-forensics | nobody
vm-001 arp             forensics               | nobody
vm-001 arp             host                    | only host
forensics,far-forensics icmp,tcp,udp vm-001    | nobody
forensics              arp,raw,ping6 vm-001    | never vm-001
END
}
# Where forensics and far-forensics are. An ARP request for them is a broadcast, which a bridge may
# flood; it tells only what is true.
allowed_table() {
	closed_table "$1"
	frames "bridge-nf=$nf, $1" <<END
vm-001 icmp,tcp,udp    forensics               | only lan
vm-001 icmp,tcp,udp    far-forensics           | target
vm-001 arp             forensics               | lan
vm-001 arp,arp-reply   host                    | only host
vm-001 arp-reply       forensics               | only lan
vm-001 icmp/to=vm-002,udp/to=vm-002 forensics  | nobody
forensics,far-forensics icmp,tcp,udp vm-001    | only vm-001
forensics,host         arp vm-001              | target
forensics              ping6,raw,vlan,vlan0 vm-001 | never vm-001
END
}
# closed_talk STATE [VM-TO-FORENSICS FORENSICS-TO-VM VM-TO-FAR FAR-TO-VM]
closed_talk() {
	talk "$1" <<END
vm-001  $IP2         | nothing
vm-002  $IP1         | nothing
vm-001  $NEIGHBOUR   | nothing
lan     $IP1         | nothing
vm-001  $BRIDGE      | nothing
host    $IP1         | nothing
vm-001  20.251.48.10 | nothing
vm-001  $CLIENT      | nothing
outside $EIP1        | nothing
outside $EIP1 $FAR   | nothing
vm-002  $EIP1        | nothing
lan     $EIP1        | nothing
host    $EIP1        | nothing
vm-001  $EIP2        | nothing
vm-001  $FORENSICS   | ${2:-nothing}
lan     $IP1 $FORENSICS | ${3:-nothing}
vm-001  $FAR         | ${4:-nothing}
outside $IP1 $FAR    | ${5:-nothing}
END
	talks_by_ipv6 "$1" ""
	neighbours_talk "$1"
}

# ---- what must not suffer

# pings_start, pings_end SENTENCE: the healthy ones ping each other, the host and the outside
pings_start() {
	background pings ping "vm-002>$IP3" "vm-003>$IP2" "vm-002>$BRIDGE" "vm-002>$CLIENT" \
		"vm-003>$NEIGHBOUR" "lan>$IP2" "outside>$EIP2" "host>$IP3"
	sleep 0.5 # some of them
}
pings_end() {
	sleep 0.5
	end_of pings
	none_lost "bridge-nf=$nf, $1" pings
}
# attack_start: vm-001 wants to be all the others
attack_start() {
	background attack stream 2000 <<END
vm-001 arp-reply/ip=host       vm-002,lan
vm-001 arp-reply/ip=vm-002     vm-003,lan,host
vm-001 icmp/mac=vm-002,icmp/mac=vm-003,icmp/mac=lan forensics
vm-001 discover/mac=vm-002,discover/mac=vm-003,discover/mac=lan,arp/mac=vm-003 host
vm-001 lldp/mac=vm-002,lldp/mac=vm-003,lldp/mac=lan,eapol/mac=vm-002,raw/mac=vm-003 host
END
}

# isolate OPTION…: port, allowed hosts, and whether that is new
isolate() { field '[d["isolated"], d["port"], d["allow"], d["changed"]]' vm isolate vm-001 "$@"; }

for nf in 0 1; do
	if ! bridge_nf $nf; then
		skip "bridge-nf=1" "no br_netfilter here"
		continue
	fi
	# ---- before
	open_talk before
	open_table before
	# some, sooner or later: it must be quicker than the right answers
	costs() {
		pings_start
		attack_start
		sleep 1
		end_of attack
		sleep 0.5
		end_of pings
		forget_neighbours
		grep -q ' lost [1-9]' "$T/pings"
	}
	check "bridge-nf=$nf, before: an attack of vm-001 costs its neighbours pings" wait_for 5 costs

	# ---- isolated
	pings_start
	is "bridge-nf=$nf: eipctl vm isolate" "$(isolate)" '[true, "vnet1", [], true]'
	attack_start
	# the host need not ask for its MAC, so that it is the filter that stops the host
	ip -n "$HV" neigh replace "$IP1" lladdr "$MAC1" dev br0 nud permanent
	alone_table isolated
	ip -n "$HV" neigh del "$IP1" dev br0
	closed_talk isolated
	check "bridge-nf=$nf, isolated: it takes a lease" vm_lease vm-001
	end_of attack
	nothing_arrived "bridge-nf=$nf, isolated: nothing of its attack arrives" attack

	# ---- isolated, with forensics
	is "bridge-nf=$nf: isolated again, two are allowed" \
		"$(isolate --allow "$FORENSICS/32" --allow "$FAR/32")" \
		"[true, \"vnet1\", [\"$FORENSICS/32\", \"$FAR/32\"], true]"
	attack_start
	allowed_table allowed
	closed_talk allowed "lan sees $IP1" "vm-001 sees $FORENSICS" "outside sees $IP1" "vm-001 sees $FAR"
	check "bridge-nf=$nf, allowed: it takes a lease" vm_lease vm-001
	end_of attack
	nothing_arrived "bridge-nf=$nf, allowed: nothing of its attack arrives" attack

	# ---- and without again
	is "bridge-nf=$nf: isolated again, nobody is allowed" "$(isolate)" '[true, "vnet1", [], true]'
	alone_table "not allowed any more"

	# ---- after
	is "bridge-nf=$nf: eipctl vm rejoin" "$(field '[d["isolated"], d["changed"]]' vm rejoin vm-001)" \
		'[false, true]'
	open_talk after
	pings_end "from isolation to the end"
	open_table after
done
done_testing
