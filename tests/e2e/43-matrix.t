#!/usr/bin/env bash
# Who reaches a public address, and as whom: from everywhere, in every state of the address, by TCP,
# UDP and ping, where bridged frames pass iptables (bridge-nf-call-iptables=1) and where not.
#
#   outside                 host                                virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#                                br0 192.168.6.22/24 ────────┼── vm-002 192.168.6.244
#                                    eth1                    └── vm-003 192.168.6.245 (never public)
#   lan                                │
#   eth0 192.168.6.200 ────────────────┘
#   lo   203.0.113.1 (a network that is reached by way of this neighbour, not of the host)

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
IP3=192.168.6.245 NEIGHBOUR=192.168.6.200 BRIDGE=192.168.6.22 BEYOND=203.0.113.1
CLIENT=20.251.48.1
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_up vm-003 02:00:00:00:00:03
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "02:00:00:00:00:03,vm-003,$IP3"
vm_static vm-001 "$IP1"
vm_static vm-002 "$IP2"
vm_static vm-003 "$IP3"
ip -n "$LAN" addr add "$NEIGHBOUR/24" dev eth0
ip -n "$LAN" addr add "$BEYOND/32" dev lo
ip -n "$LAN" route add default via "$BRIDGE"
for name in vm-001 vm-002 vm-003; do
	ip -n "$P-$name" route add "$BEYOND/32" via "$NEIGHBOUR"
done
bridge_nf=/proc/sys/net/bridge/bridge-nf-call-iptables
conf nat.resync 1s # how often ports are looked for that need hairpin mode
daemon_up

# matrix STATE <TABLE: each row is a test point for each of its protocols
matrix() {
	local caller protocols address port wanted protocol
	local -a rows=() sentences=() expected=() got=()
	while read -r caller protocols address port wanted; do
		[[ $protocols != all ]] || protocols=tcp,udp,icmp
		for protocol in ${protocols//,/ }; do
			rows+=("$caller $protocol $address $port")
			sentences+=("bridge-nf=$nf, $1: $caller to $address port $port by $protocol: $wanted")
			# without an answer there is no TCP connection that could arrive
			[[ $protocol == tcp && $wanted == *'no answer' ]] && expected+=(nothing) ||
				expected+=("$wanted")
		done
	done < <(sed 's/ *#.*//; s/|//; /^[[:space:]]*$/d')
	mapfile -t got < <(printf '%s\n' "${rows[@]}" | "$PYTHON" "$HERE/matrix.py" outside="$OUT" \
		host="$HV" lan="$LAN" vm-001="$P-vm-001" vm-002="$P-vm-002" vm-003="$P-vm-003" 2>&1)
	for ((i = 0; i < ${#rows[@]}; i++)); do
		is "${sentences[i]}" "${got[i]-}" "${expected[i]}"
	done
}

# What never changes: bridged traffic is as it was sent.
always() {
	matrix "$1" <<END
vm-001  all  $IP2         8000 | vm-002 sees $IP1
vm-002  all  $IP1         8000 | vm-001 sees $IP2
vm-003  all  $IP1         8000 | vm-001 sees $IP3
vm-001  all  $IP3         8000 | vm-003 sees $IP1
vm-001  all  $NEIGHBOUR   8000 | lan sees $IP1
vm-002  all  $NEIGHBOUR   8000 | lan sees $IP2
lan     all  $IP1         8000 | vm-001 sees $NEIGHBOUR
lan     all  $IP2         8000 | vm-002 sees $NEIGHBOUR
vm-001  all  $BEYOND      8000 | lan sees $IP1     # by another router than the host
vm-002  all  $BEYOND      8000 | lan sees $IP2
vm-001  all  $BRIDGE      8000 | host sees $IP1
vm-001  all  20.251.48.10 8000 | host sees $IP1
host    all  $IP1         8000 | vm-001 sees $BRIDGE
host    all  $IP2         8000 | vm-002 sees $BRIDGE
lan     all  $BRIDGE      8000 | host sees $NEIGHBOUR
outside all  20.251.48.10 8000 | host sees $CLIENT
END
}

# hairpin_is_on NAME…: the ports of these VMs send frames out where they came in (the ports are
# numbered as the VMs are)
hairpin_is_on() {
	local name
	for name; do
		[[ $(hv cat "/sys/class/net/vnet$((10#${name#vm-}))/brport/hairpin_mode") == 1 ]] || return 1
	done
}
# hairpin STATE NAME…: they do where that is needed
hairpin() {
	((nf)) || return 0
	check "bridge-nf=$nf, $1: hairpin mode is on at the ports of ${*:2}" wait_for 5 hairpin_is_on "${@:2}"
}

for nf in 0 1; do
	if ! hv sh -c "echo $nf >$bridge_nf" 2>/dev/null && ((nf)); then
		skip "bridge-nf=1" "no br_netfilter here"
		continue
	fi

	# ---- nobody has an address
	matrix unbound <<END
outside all $EIP1   8000 | nothing
host    all $EIP1   8000 | nothing
vm-001  all $EIP1   8000 | nothing
vm-002  all $EIP1   8000 | nothing
lan     all $EIP1   8000 | nothing
vm-001  all $CLIENT 8000 | outside sees $IP1, no answer
END
	always unbound

	# ---- vm-001 and vm-002 have one each
	ctl ip bind vm-001 "$EIP1" >/dev/null && ctl ip bind vm-002 "$EIP2" >/dev/null
	hairpin bound vm-001 vm-002
	matrix bound <<END
outside all $EIP1   8000 | vm-001 sees $CLIENT
outside all $EIP2   8000 | vm-002 sees $CLIENT
host    all $EIP1   8000 | vm-001 sees $EIP1
vm-001  all $EIP1   8000 | vm-001 sees $EIP1   # itself
vm-002  all $EIP2   8000 | vm-002 sees $EIP2
vm-002  all $EIP1   8000 | vm-001 sees $EIP2   # one with an address of its own
vm-001  all $EIP2   8000 | vm-002 sees $EIP1
vm-003  all $EIP1   8000 | vm-001 sees $BRIDGE # one without
lan     all $EIP1   8000 | vm-001 sees $BRIDGE
vm-001  all $CLIENT 8000 | outside sees $EIP1
vm-002  all $CLIENT 8000 | outside sees $EIP2
vm-003  all $CLIENT 8000 | outside sees $IP3, no answer
END
	always bound

	# ---- taken back
	ctl ip unbind "$EIP1" >/dev/null
	matrix "taken back" <<END
outside all $EIP1   8000 | nothing
host    all $EIP1   8000 | nothing
vm-001  all $EIP1   8000 | nothing
vm-002  all $EIP1   8000 | nothing
lan     all $EIP1   8000 | nothing
vm-001  all $CLIENT 8000 | outside sees $IP1, no answer
vm-001  all $EIP2   8000 | vm-002 sees $BRIDGE
vm-002  all $CLIENT 8000 | outside sees $EIP2
END

	# ---- each has the other's
	ctl ip bind vm-001 "$EIP1" >/dev/null
	ctl ip move "$EIP1" vm-002 >/dev/null
	ctl ip move "$EIP2" vm-001 >/dev/null
	hairpin moved vm-001 vm-002
	matrix moved <<END
outside all $EIP1   8000 | vm-002 sees $CLIENT
outside all $EIP2   8000 | vm-001 sees $CLIENT
host    all $EIP1   8000 | vm-002 sees $EIP1
vm-002  all $EIP1   8000 | vm-002 sees $EIP1
vm-001  all $EIP1   8000 | vm-002 sees $EIP2
vm-002  all $EIP2   8000 | vm-001 sees $EIP1
vm-003  all $EIP1   8000 | vm-002 sees $BRIDGE
lan     all $EIP1   8000 | vm-002 sees $BRIDGE
vm-001  all $CLIENT 8000 | outside sees $EIP2
vm-002  all $CLIENT 8000 | outside sees $EIP1
END
	always moved

	# ---- shared: port 80 of it is port 8000 of vm-001, port 8000 is vm-003's
	ctl ip unbind "$EIP1" >/dev/null
	ctl ip move "$EIP2" vm-002 >/dev/null
	for protocol in tcp udp; do
		ctl forward add "$EIP1:80/$protocol" vm-001:8000 >/dev/null
		ctl forward add "$EIP1:8000/$protocol" vm-003 >/dev/null
	done
	hairpin forwarded vm-001 vm-002 vm-003
	# the host itself answers for what is not forwarded
	matrix forwarded <<END
outside tcp,udp $EIP1   80   | vm-001 sees $CLIENT
outside tcp,udp $EIP1   8000 | vm-003 sees $CLIENT
outside tcp     $EIP1   81   | refused
outside icmp    $EIP1   0    | host sees $CLIENT
host    tcp,udp $EIP1   80   | vm-001 sees $EIP1
vm-001  tcp,udp $EIP1   80   | vm-001 sees $BRIDGE
vm-001  tcp,udp $EIP1   8000 | vm-003 sees $BRIDGE
vm-003  tcp,udp $EIP1   8000 | vm-003 sees $BRIDGE
vm-002  tcp,udp $EIP1   80   | vm-001 sees $EIP2
vm-002  tcp,udp $EIP1   8000 | vm-003 sees $EIP2
vm-001  tcp     $EIP1   81   | refused
lan     tcp,udp $EIP1   80   | vm-001 sees $BRIDGE
vm-001  icmp    $EIP1   0    | host sees $IP1
vm-001  all     $CLIENT 8000 | outside sees $IP1, no answer
vm-002  all     $CLIENT 8000 | outside sees $EIP2
END
	always forwarded

	# ---- the same, and vm-001 leaves with the shared address
	ctl forward del "$EIP1:80/tcp" >/dev/null
	ctl forward add "$EIP1:80/tcp" vm-001:8000 --source >/dev/null
	hairpin "forwarded --source" vm-001 vm-002 vm-003
	matrix "forwarded --source" <<END
outside tcp,udp $EIP1   80   | vm-001 sees $CLIENT
outside tcp,udp $EIP1   8000 | vm-003 sees $CLIENT
vm-001  tcp,udp $EIP1   80   | vm-001 sees $EIP1
vm-001  tcp,udp $EIP1   8000 | vm-003 sees $EIP1
vm-003  tcp,udp $EIP1   80   | vm-001 sees $BRIDGE
vm-001  all     $EIP2   8000 | vm-002 sees $EIP1
vm-001  all     $CLIENT 8000 | outside sees $EIP1
vm-003  all     $CLIENT 8000 | outside sees $IP3, no answer
END
	always "forwarded --source"

	for protocol in tcp udp; do
		ctl forward del "$EIP1:80/$protocol" >/dev/null
		ctl forward del "$EIP1:8000/$protocol" >/dev/null
	done
	ctl ip unbind "$EIP2" >/dev/null
	is "bridge-nf=$nf: all is taken back" "$(nat_rules | count '[DS]NAT ')" 0
done

# A bind is done when the VM reaches itself, not a resync later.
if [[ $(hv cat "$bridge_nf" 2>/dev/null) == 1 ]]; then
	daemon_end TERM
	conf nat.resync 60s
	daemon_up
	for port in vnet1 vnet2 vnet3; do
		hv sh -c "echo 0 >/sys/class/net/$port/brport/hairpin_mode"
	done
	vm vm-001 busybox ping -c 1 -W 2 "$BRIDGE" >/dev/null # the bridge knows its port
	ctl ip bind vm-001 "$EIP1" >/dev/null
	check "bridge-nf=1: a bind sets hairpin mode, long before a resync" wait_for 2 hairpin_is_on vm-001
	is "bridge-nf=1: no other port is touched" "$(hv cat /sys/class/net/vnet2/brport/hairpin_mode)" 0
fi
done_testing
