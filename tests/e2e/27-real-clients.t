#!/usr/bin/env bash
# Real clients side by side, through the life of a lease: boot, renew, rebind after the daemon was
# away, reboot with what they remember, release.
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── vm-001  busybox udhcpc
#                                             ├── vm-002  ISC dhclient
#                                             ├── vm-003  dhcpcd
#                                             └── vm-004  systemd-networkd
#
# Alone: it lives in seconds of short leases.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
MAC3=d0:0d:8e:9f:42:90 IP3=192.168.6.245
MAC4=d0:0d:8e:9f:42:91 IP4=192.168.6.246
declare -A mac_of=([udhcpc]=$MAC1 [dhclient]=$MAC2 [dhcpcd]=$MAC3 [networkd]=$MAC4)
declare -A ip_of=([udhcpc]=$IP1 [dhclient]=$IP2 [dhcpcd]=$IP3 [networkd]=$IP4)
declare -A name_of=([udhcpc]=vm-001 [dhclient]=vm-002 [dhcpcd]=vm-003 [networkd]=vm-004)
declare -A pid_of=() before=()
NETWORKD=/lib/systemd/systemd-networkd
stage_up
client_script

clients=(udhcpc)
for client in dhclient dhcpcd; do
	if command -v $client >/dev/null; then
		clients+=("$client")
	else
		skip "$client" "no $client here"
	fi
done
if [[ -x $NETWORKD ]]; then
	clients+=(networkd)
else
	skip "networkd" "no systemd-networkd here"
fi
for client in "${clients[@]}"; do
	vm_up "${name_of[$client]}" "${mac_of[$client]}"
done
# udhcpc knows no lease below 16 seconds
conf dhcp.lease-time 24s
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "$MAC3,vm-003,$IP3" "$MAC4,vm-004,$IP4"

# ---- how each is started: in the background, with what it remembers in files of its own

start_udhcpc() { # it remembers nothing: who starts it may tell the address (-r)
	RECORD=$T/vm-001 ip netns exec "$P-vm-001" busybox udhcpc -f -t 8 -T 1 -i eth0 "$@" \
		-s "$T/client-script" >>"$T/udhcpc.out" 2>&1 &
}

cp "$(command -v dhclient)" "$T/dhclient-copy" 2>/dev/null # a profile may confine the other
cat >"$T/dhclient-script" <<'END'
#!/bin/sh
case $reason in
BOUND | RENEW | REBIND | REBOOT) ip addr replace "$new_ip_address/24" dev eth0 ;;
RELEASE | STOP | EXPIRE) ip addr flush dev eth0 ;;
esac
END
chmod 755 "$T/dhclient-script"
echo 'retry 1; initial-interval 1; reboot 5;' >"$T/dhclient.conf"
dhclient_options=(-4 -v -cf "$T/dhclient.conf" -lf "$T/dhclient.leases" -pf "$T/dhclient.pid"
	-sf "$T/dhclient-script")
start_dhclient() {
	ip netns exec "$P-vm-002" "$T/dhclient-copy" -d "${dhclient_options[@]}" eth0 \
		>>"$T/dhclient.out" 2>&1 &
}

# It keeps files in fixed places; these are its own while it runs, and the leases stay.
mkdir "$T/dhcpcd-leases"
cat >"$T/dhcpcd-run" <<'END'
#!/bin/sh
# dhcpcd-run DIRECTORY COMMAND…
mount --bind "$1" /var/lib/dhcpcd || exit 1
mount -t tmpfs none /run || exit 1
mkdir -p /run/dhcpcd
shift
exec "$@"
END
printf '%s\n' noarp noipv6 noipv4ll clientid >"$T/dhcpcd.conf"
start_dhcpcd() {
	ip netns exec "$P-vm-003" "$T/dhcpcd-run" "$T/dhcpcd-leases" dhcpcd -B -4 -d -f "$T/dhcpcd.conf" \
		-c /bin/true eth0 >>"$T/dhcpcd.out" 2>&1 &
}

# Without a system bus it says so and goes on. A /sys that cannot be written tells it that there is
# no udev to wait for.
cat >"$T/networkd-run" <<'END'
#!/bin/sh
# networkd-run FILE COMMAND…
mount -o remount,ro,bind /sys || exit 1
mount -t tmpfs none /run || exit 1
mkdir -p /run/systemd/network /run/systemd/netif/links /run/systemd/netif/leases /run/systemd/netif/lldp
chown -R systemd-network /run/systemd/netif
cat "$1" >/run/systemd/network/eth0.network
shift
exec "$@"
END
cat >"$T/eth0.network" <<'END'
[Match]
Name=eth0
[Network]
DHCP=ipv4
LinkLocalAddressing=no
[DHCPv4]
ClientIdentifier=mac
UseHostname=no
END
start_networkd() {
	ip netns exec "$P-vm-004" env SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=debug \
		"$T/networkd-run" "$T/eth0.network" "$NETWORKD" >>"$T/networkd.out" 2>&1 &
}
chmod 755 "$T/dhcpcd-run" "$T/networkd-run"

# start CLIENT …
start() {
	local client=$1
	shift
	"start_$client" "$@"
	pid_of[$client]=$!
	disown
}

# ---- what can be seen

has_address() { vm "${name_of[$1]}" ip -4 addr show dev eth0 | grep -q "inet ${ip_of[$1]}/24"; }
expires() { field "[l['expires'] for l in d if l['mac'] == '${mac_of[$1]}'][0]" lease list; }
leased() { [[ $(field "[l['name'] for l in d if l['mac'] == '${mac_of[$1]}']" lease list) == '["'"${name_of[$1]}"'"]' ]]; }
# by more than the second that rounding can make
prolonged() { local now; now=$(expires "$1") && ((now > before[$1] + 2)); }
events_of() { awk -v mac="${mac_of[$1]}" '$3 == mac { printf "%s%s", n++ ? " " : "", $2 }' "$LEASES"; }
ended() { [[ $(events_of "$1") == *del ]]; }
counter() { field "d['dhcp']['$1']" status; }
# all SECONDS PREDICATE SENTENCE: one point for each client
all() {
	local client
	for client in "${clients[@]}"; do
		check "$client: $3" wait_for "$1" "$2" "$client"
	done
}
remember_expiry() {
	local client
	for client in "${clients[@]}"; do
		before[$client]=$(expires "$client")
	done
}

# ---- boot
daemon_up
for client in "${clients[@]}"; do
	start "$client"
done
all 15 has_address "boots to its address"
all 2 leased "lease list has it"

# ---- renew
remember_expiry
all 20 prolonged "renews"

# ---- the daemon was away, and is no more where they ask it: only the broadcast of REBINDING
# reaches it (-p: a bridge that is promiscuous hears everything)
hv tcpdump -p -Z root -l -n -i br0 udp dst port 67 and dst host 255.255.255.255 >"$T/broadcasts" \
	2>"$T/tcpdump" &
disown
wait_for 5 grep -q 'listening on' "$T/tcpdump" || die "tcpdump does not start: $(cat "$T/tcpdump")"
for client in "${clients[@]}"; do
	ip -n "$P-${name_of[$client]}" neigh replace 192.168.6.22 lladdr 02:00:00:00:00:99 dev eth0 \
		nud permanent
done
daemon_end TERM
daemon_up
remember_expiry
: >"$LEASES"
all 30 prolonged "rebinds after the daemon was away"
rebound() { grep -q "255.255.255.255.67: .*Request from ${mac_of[$1]}" "$T/broadcasts"; }
all 2 rebound "by broadcast"
for client in "${clients[@]}"; do
	ip -n "$P-${name_of[$client]}" neigh del 192.168.6.22 dev eth0 2>/dev/null
	is "$client: it has kept its lease all the while" "$(events_of "$client")" ""
done

# ---- reboot: the power goes, the disk stays
# reboots HOW CLIENT ARGUMENT…: HOW: init-reboot, or discover for one that begins anew
reboots() {
	local how=$1 client=$2 asked
	shift
	kill -KILL "${pid_of[$client]}"
	wait_for 5 gone "${pid_of[$client]}"
	ip -n "$P-${name_of[$client]}" addr flush dev eth0
	asked=$(counter discover)
	start "$@"
	check "$client: boots again to its address" wait_for 15 has_address "$client"
	case $how in
	init-reboot) is "$client: with INIT-REBOOT, no DISCOVER" "$(counter discover)" "$asked" ;;
	discover) check "$client: with DISCOVER" test "$(counter discover)" -gt "$asked" ;;
	esac
	is "$client: it is the same lease" "$(events_of "$client")" ""
}
for client in "${clients[@]}"; do
	case $client in
	udhcpc) reboots discover udhcpc -r "$IP1" ;;
	networkd) reboots discover networkd ;; # it keeps no lease over a start without its manager
	*) reboots init-reboot "$client" ;;
	esac
done
is "nobody was refused" "$(counter nak)" 0

# ---- release
released() {
	check "$1: the server has seen the release" wait_for 5 ended "$1"
	check "$1: lease list has it no more" not leased "$1"
}
for client in "${clients[@]}"; do
	case $client in
	udhcpc) kill -USR2 "${pid_of[udhcpc]}" ;;
	dhclient) vm vm-002 timeout 20 "$T/dhclient-copy" -r "${dhclient_options[@]}" eth0 >>"$T/dhclient.out" 2>&1 ;;
	dhcpcd) kill -ALRM "${pid_of[dhcpcd]}" ;;
	networkd) kill -TERM "${pid_of[networkd]}" ;;
	esac
	released "$client"
done
is "no client sent anything malformed" "$(counter malformed)" 0
done_testing
