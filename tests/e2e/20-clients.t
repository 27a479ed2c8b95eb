#!/usr/bin/env bash
# Real DHCP clients: busybox udhcpc, ISC dhclient, dhcpcd; each takes, renews and gives back a lease.
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── vm-001  busybox udhcpc
#                                             ├── vm-002  ISC dhclient
#                                             └── vm-003  dhcpcd

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
MAC3=d0:0d:8e:9f:42:90 IP3=192.168.6.245
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_up vm-003 "$MAC3"
client_script
conf dhcp.lease-time 10m
conf dhcp.dns 192.168.6.22,9.9.9.9
conf dhcp.domain vms.example
conf dhcp.ntp 192.168.6.22
conf dhcp.mtu 1400
# vm-002 renews by itself at half its lease: dhclient has no signal for it
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2,12s" "$MAC3,vm-003,$IP3"
daemon_up

counter() { field "d['dhcp']['$1']" status; }
leased() { [[ $(field "[l['name'] for l in d if l['mac'] == '$1']" lease list) == '["'$2'"]' ]]; }
expires() { field "[l['expires'] for l in d if l['mac'] == '$1'][0]" lease list; }
logged() { grep -qE "^[^ ]+ $*\$" "$LEASES"; }

# told FILE NAME VALUE: the client's script was called with NAME=VALUE
told() { is "$client: $2 is $3" "$(sed -n "s/^$2=//p" "$1")" "$3"; }

# took NAME MAC IP: what every client must have at the end of its first exchange
took() {
	check "$client: $1 has $3/24" wait_for 10 has_address "$1" "$3/24"
	is "$client: its default route goes to the bridge" \
		"$(vm "$1" ip route show default | awk '{ print $3 }')" 192.168.6.22
	check "$client: lease list has it" wait_for 2 leased "$2" "$1"
	check "$client: the operation log has one add" wait_for 2 logged add "$2" "$3" "$1"
}
has_address() { vm "$1" ip -4 addr show dev eth0 | grep -q "inet $2 "; }

# gave_back NAME MAC IP
gave_back() {
	check "$client: the server has seen the release" wait_for 5 logged del "$2" "$3" "$1"
	check "$client: lease list has it no more" wait_for 2 not leased "$2" "$1"
	like "$client: vm list shows no active lease" \
		"$(field "[v['lease'] for v in d if v['name'] == '$1'][0]" vm list)" '^(none|expired)$'
}

# ---- busybox udhcpc
client=udhcpc
capture "$P-vm-001" "$T/wire" -n port 67 or port 68
RECORD=$T/vm-001 ip netns exec "$P-vm-001" busybox udhcpc -f -R -t 8 -T 1 -i eth0 \
	-s "$T/client-script" -O mtu >"$T/vm-001.out" 2>&1 &
udhcpc=$!
check "$client: it is bound" wait_for 10 grep -q bound "$T/vm-001.events"
took vm-001 "$MAC1" "$IP1"
env=$T/vm-001.env
told "$env" ip "$IP1"
told "$env" mask 24
told "$env" subnet 255.255.255.0
told "$env" broadcast 192.168.6.255
told "$env" router 192.168.6.22
told "$env" dns "192.168.6.22 9.9.9.9"
told "$env" domain vms.example
told "$env" hostname vm-001
told "$env" ntpsrv 192.168.6.22
told "$env" mtu 1400
told "$env" lease 600
told "$env" serverid 192.168.6.22
acks=$(counter ack) before=$(expires "$MAC1")
one_later() { (($(date +%s) > start + 1)); } # a whole second at least
start=$(date +%s)
wait_for 4 one_later # the clock counts seconds, and the expiry must move
kill -USR1 "$udhcpc"
check "$client: it renews" wait_for 10 grep -q renew "$T/vm-001.events"
# Two where the answer is so quick that it reaches the socket which udhcpc has sent from and
# closes unread; it asks again then.
like "$client: the renewal is one ACK, or two" $(($(counter ack) - acks)) '^[12]$'
check "$client: the lease lasts longer" test "$(expires "$MAC1")" -gt "$before"
renewed() { grep -q "Client-IP $IP1" "$T/wire" && grep -qE "$IP1.68 > 192.168.6.22.67" "$T/wire"; }
check "$client: the renewal went by unicast, from its own address" wait_for 2 renewed
is "$client: a renewal adds nothing to the operation log" "$(count " $MAC1 " "$LEASES")" 1
kill -USR2 "$udhcpc"
gave_back vm-001 "$MAC1" "$IP1"
kill -TERM "$udhcpc"
wait_for 5 gone "$udhcpc"

# ---- ISC dhclient
client=dhclient
if command -v dhclient >/dev/null; then
	cp "$(command -v dhclient)" "$T/dhclient-copy" # a profile of the machine may confine the other
	cat >"$T/dhclient-script" <<END
#!/bin/sh
env | sort >"$T/vm-002.new" && mv "$T/vm-002.new" "$T/vm-002.env"
case \$reason in
BOUND | RENEW | REBIND | REBOOT)
	ip addr replace "\$new_ip_address/24" dev eth0
	ip route replace default via "\$new_routers" dev eth0
	;;
RELEASE | STOP | EXPIRE) ip addr flush dev eth0 ;;
esac
echo "\$reason" >>"$T/vm-002.events"
END
	chmod 755 "$T/dhclient-script"
	echo 'request subnet-mask, broadcast-address, routers, domain-name, domain-name-servers,
	host-name, ntp-servers, interface-mtu;' >"$T/dhclient.conf"
	dhclient() {
		vm vm-002 timeout 60 "$T/dhclient-copy" -4 -v -cf "$T/dhclient.conf" \
			-lf "$T/dhclient.leases" -pf "$T/dhclient.pid" -sf "$T/dhclient-script" "$@" eth0
	}
	ip netns exec "$P-vm-002" "$T/dhclient-copy" -4 -d -v -cf "$T/dhclient.conf" -lf "$T/dhclient.leases" \
		-pf "$T/dhclient.pid" -sf "$T/dhclient-script" eth0 >"$T/vm-002.out" 2>&1 &
	check "$client: it is bound" wait_for 15 grep -q BOUND "$T/vm-002.events"
	took vm-002 "$MAC2" "$IP2"
	env=$T/vm-002.env
	told "$env" new_ip_address "$IP2"
	told "$env" new_subnet_mask 255.255.255.0
	told "$env" new_broadcast_address 192.168.6.255
	told "$env" new_routers 192.168.6.22
	told "$env" new_domain_name_servers "192.168.6.22 9.9.9.9"
	told "$env" new_domain_name vms.example
	told "$env" new_host_name vm-002
	told "$env" new_ntp_servers 192.168.6.22
	told "$env" new_interface_mtu 1400
	told "$env" new_dhcp_lease_time 12
	before=$(expires "$MAC2") # which may be of a first renewal already
	longer() { (($(expires "$MAC2") > before)); }
	check "$client: it renews by itself" wait_for 10 grep -q RENEW "$T/vm-002.events"
	check "$client: the lease lasts longer" wait_for 10 longer
	is "$client: a renewal adds nothing to the operation log" "$(count " $MAC2 " "$LEASES")" 1
	check "$client: it releases" dhclient -r
	gave_back vm-002 "$MAC2" "$IP2"
else
	skip "$client" "no dhclient here"
fi

# ---- dhcpcd
client=dhcpcd
if command -v dhcpcd >/dev/null; then
	cat >"$T/dhcpcd-script" <<END
#!/bin/sh
env | sort >"$T/vm-003.new" && mv "$T/vm-003.new" "$T/vm-003.env"
echo "\$reason" >>"$T/vm-003.events"
END
	chmod 755 "$T/dhcpcd-script"
	cat >"$T/dhcpcd.conf" <<END
noarp
noipv6
noipv4ll
clientid
option subnet_mask, routers, broadcast_address, domain_name_servers, domain_name, host_name
option ntp_servers, interface_mtu
END
	# It keeps files in fixed places; these are its own while it runs. (ip netns exec has given
	# it a mount namespace.)
	cat >"$T/dhcpcd-run" <<'END'
#!/bin/sh
for dir in /var/lib/dhcpcd /run/dhcpcd /run; do
	[ ! -d "$dir" ] || mount -t tmpfs none "$dir"
done
mkdir -p /run/dhcpcd
exec "$@"
END
	chmod 755 "$T/dhcpcd-run"
	ip netns exec "$P-vm-003" "$T/dhcpcd-run" dhcpcd -B -4 -d -f "$T/dhcpcd.conf" \
		-c "$T/dhcpcd-script" eth0 >"$T/vm-003.out" 2>&1 &
	dhcpcd=$!
	check "$client: it is bound" wait_for 15 grep -q BOUND "$T/vm-003.events"
	took vm-003 "$MAC3" "$IP3"
	env=$T/vm-003.env
	told "$env" new_ip_address "$IP3"
	told "$env" new_subnet_mask 255.255.255.0
	told "$env" new_broadcast_address 192.168.6.255
	told "$env" new_routers 192.168.6.22
	told "$env" new_domain_name_servers "192.168.6.22 9.9.9.9"
	told "$env" new_domain_name vms.example
	told "$env" new_host_name vm-003
	told "$env" new_ntp_servers 192.168.6.22
	told "$env" new_interface_mtu 1400
	told "$env" new_dhcp_lease_time 600
	acks=$(counter ack)
	kill -USR1 "$dhcpcd" # renew
	check "$client: it renews" wait_for 10 grep -q RENEW "$T/vm-003.events"
	# two where a busy machine makes it ask again
	like "$client: the renewal is one ACK, or two" $(($(counter ack) - acks)) '^[12]$'
	is "$client: a renewal adds nothing to the operation log" "$(count " $MAC3 " "$LEASES")" 1
	kill -ALRM "$dhcpcd" # release and exit
	gave_back vm-003 "$MAC3" "$IP3"
	check "$client: it has ended" wait_for 10 gone "$dhcpcd"
else
	skip "$client" "no dhcpcd here"
fi

is "no client sent anything malformed" "$(counter malformed)" 0
done_testing
