#!/usr/bin/env bash
# The appliance, as `make image` makes it: a machine of its own with two network cards, booted in
# QEMU, and a guest booted against it. The guest takes its lease and is reached from outside through
# its public address; all comes back by itself when the appliance is rebooted, and when its plug is
# pulled. The hypervisor's namespace is the cables only.
#
#   outer host 20.251.48.1                                            guest vm-001, vm-002
#        │                                                                  │
#        └─ bridge outer ── tap0 ── eth0 appliance eth1 ── tap1 ── br0 ─────┘
#                           20.251.48.10    192.168.6.22
#
# Alone: it needs the processors for itself.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
# shellcheck source=tests/e2e/static.sh
. "$ROOT/tests/e2e/static.sh"
# shellcheck source=tests/vm/guest.sh
. "$(dirname "$0")/guest.sh"
command -v mkfs.ext4 >/dev/null || skip_all "no mkfs.ext4 here"

stage_up
check "make image" static_make image
IMAGE=$ROOT/build/image
[[ -e $IMAGE/initramfs ]] || die "there is no image: $(cat "$T/make")"

# ---- what is in it
mkdir "$T/image"
gzip -dc "$IMAGE/initramfs" | (cd "$T/image" && busybox cpio -i 2>/dev/null)
is "it has the static file, the link, two text files, busybox, five scripts, and modules" \
	"$(cd "$T/image" && find . ! -type d ! -lname '*busybox' ! -path './lib/modules/*' | sort | tr '\n' ' ')" \
	"./bin/busybox ./etc/eipd/eipd.conf ./etc/eipd/network.conf ./etc/init.d/eipd \
./etc/init.d/keep-eipd ./etc/init.d/rcS ./etc/inittab ./usr/sbin/eipctl ./usr/sbin/eipd ./usr/share/eipd/load-modules "
sum=$(cat "$IMAGE"/* | sha256sum)
static_make image
is "made again, it has the same bytes" "$(cat "$IMAGE"/* | sha256sum)" "$sum"
echo "# $(stat -c %s "$IMAGE/initramfs") octets, and $(stat -c %s "$IMAGE/vmlinuz") of the kernel"

# ---- the cables
ip -n "$HV" addr flush dev eth0
ip -n "$HV" addr flush dev br0
ip -n "$HV" link add outer type bridge
ip -n "$HV" link set eth0 master outer
ip -n "$HV" link set outer up
port tap0 outer
port tap1
port tap2
ip -n "$LAN" addr add 192.168.6.200/24 dev eth0

# ---- the appliance
truncate -s 32M "$T/disk"
check "a disk is made" mkfs.ext4 -q -L eipd "$T/disk"
mkfifo "$T/keyboard"
exec {keyboard}<>"$T/keyboard"

milliseconds() { date +%s%3N; }

# appliance_boot
appliance_boot() {
	power_on=$(milliseconds)
	# shellcheck disable=SC2046 # a list of options
	machine_start appliance "$IMAGE/vmlinuz" "$IMAGE/initramfs" "outer=20.251.48.10/24 gateway=20.251.48.1" \
		$(card tap0 02:00:00:00:48:10) $(card tap1 02:00:00:00:06:22) \
		-drive "file=$T/disk,format=raw,if=virtio" <"$T/keyboard"
}

# Lines of the console end as on paper.
appliance_console() { tr -d '\r' <"$T/appliance.console"; }
# prompts NUMBER: so often a boot came to its end
prompts() { (($(appliance_console | count '^Please press Enter') >= $1)); }

# appliance COMMAND: on its console; prints what it says
appliance() {
	local n=$EPOCHREALTIME
	# what is typed is on the console, too, but for the marks as they will be
	echo "echo '<'$n; $*; echo '>'$n:\$?" >&"$keyboard"
	wait_for 10 eval "appliance_console | grep -q '^>$n:'" || return
	appliance_console | sed "1,/^<$n\$/d; /^>$n:/,\$d"
	return "$(appliance_console | sed -n "s/^>$n://p")"
}
# appliance_field EXPRESSION COMMAND: of the JSON answer of eipctl there
appliance_field() { appliance "eipctl -j $2" | json "$1"; }

appliance_boot
guest_boot tap2
check "it boots into eipd" wait_for 60 console appliance '^eipd: started' 1
echo "# from power on to eipd: $(($(milliseconds) - power_on)) ms"
check "a guest boots to its planned address" wait_for 60 console tap2 "guest: bound $IP1" 1
echo "# from power on of both to the first lease: $(($(milliseconds) - power_on)) ms"
wait_for 5 prompts 1 || die "no console: $(appliance_console)"
echo >&"$keyboard"
appliance true || die "the console does not answer: $(appliance_console)"
check "the disk keeps its state" console appliance 'bindings and leases are on /dev/vda' 1
like "eipctl status" "$(appliance eipctl status)" 'ready +yes'
like "eipd made br0" "$(appliance ip address show dev br0)" 'inet 192.168.6.22/24'
like "over the inner card" "$(appliance ip link show dev eth1)" 'master br0'
is "the lease is on its list" "$(appliance_field "[l['name'] for l in d]" "lease list")" '["vm-001"]'
like "eipctl ip bind" "$(appliance eipctl ip bind vm-001 "$EIP1")" "$EIP1 bound to vm-001"
check "a page of the guest is fetched from outside" wait_for 5 page_is "$OUT" "$EIP1" vm-001 "$IP1"
check "and again" wait_for 5 page_is "$OUT" "$EIP1" vm-001 "$IP1"
memory=$(appliance "cat /proc/\$(cat /run/eipd/eipd.pid)/smaps_rollup /proc/meminfo" |
	awk '/^Rss:/ { rss = $2 } /^Private/ { private += $2 } /^MemTotal/ { total = $2 }
		/^MemAvailable/ { available = $2 }
		END { print rss " kB, " private " kB of it private; of the machine, " available " of " \
			total " kB are available" }')
echo "# memory of eipd: $memory"

# The modules of isolation are there; the guest itself is behind the uplink, which is never cut off.
check "eipctl vm isolate" appliance eipctl vm isolate vm-002
check "eipctl vm rejoin" appliance eipctl vm rejoin vm-002
check "eipctl forward add" appliance eipctl forward add "$EIP2:80/tcp" vm-001
check "the page is fetched from a port of another address" page_is "$OUT" "$EIP2" vm-001 "$IP1"
check "connections can be forgotten: eipctl ip move" appliance eipctl ip move "$EIP1" vm-002
check "and back" appliance eipctl ip move "$EIP1" vm-001
is "the kernel misses nothing" "$(appliance "logread | grep -E 'warning|err'")" ""

# ---- it dies, when the lease is in the file, which is written every few seconds
check "the lease is on the disk" wait_for 10 appliance "grep -qi $MAC1 /var/lib/eipd/leases"
died=$(milliseconds)
appliance "kill -9 \$(cat /run/eipd/eipd.pid)" || fail "it is killed" </dev/null
check "killed, it is started again" wait_for 20 console appliance 'eipd: started' 2
echo "# from its death to that: $(($(milliseconds) - died)) ms"
is "its lease is on the list" "$(appliance_field "[l['name'] for l in d]" "lease list")" '["vm-001"]'
check "the page is fetched" page_is "$OUT" "$EIP1" vm-001 "$IP1"

# ---- reboot
check "a VM is added to the plan" appliance eipctl vm add vm-003 --mac d0:0d:8e:9f:42:90 --ip 192.168.6.245
rebooted=$(milliseconds)
echo reboot >&"$keyboard"
check "it reboots" wait_for 20 console appliance 'reboot: Restarting system' 1
check "eipd is stopped for that" console appliance 'eipd: stopped' 1
check "the page is fetched again" wait_for 60 page_is "$OUT" "$EIP1" vm-001 "$IP1"
echo "# from reboot to the page: $(($(milliseconds) - rebooted)) ms"
wait_for 20 prompts 2
echo >&"$keyboard"
is "the guest did nothing for it" "$(count 'guest: (bound|renew)' "$T/tap2.console")" 1
is "its lease is on the list" "$(appliance_field "[l['name'] for l in d]" "lease list")" '["vm-001"]'
is "the address is bound to it" "$(appliance_field "[a['vm'] for a in d if a['address'] == '$EIP1']" \
	"ip list")" '["vm-001"]'
vm_up vm-003 d0:0d:8e:9f:42:90
check "the added VM gets a lease" vm_lease vm-003
like "the planned one" "$(cat "$T/vm-003.env")" 'ip=192\.168\.6\.245'

# ---- the plug is pulled, right behind an answer
appliance "sed -i '/^create/ianti-spoof = yes' /etc/eipd/eipd.conf && sync"
like "the address goes to the added VM" "$(appliance eipctl ip move "$EIP1" vm-003)" "$EIP1"
machine_end appliance
serve "$P-vm-003" vm-003 80
appliance_boot
asked() { [[ $(ask "$OUT" "$EIP1" 80) == "vm-003 sees 20.251.48.1" ]]; }
check "its plug is pulled, and put in again: the added VM is reached" wait_for 60 asked
echo "# from power on to the answer: $(($(milliseconds) - power_on)) ms"
wait_for 20 prompts 3
echo >&"$keyboard"
like "with the new configuration: anti-spoof" "$(appliance eipctl status)" 'anti_spoof +yes'
is "the kernel misses nothing for it" "$(appliance "logread | grep -E 'warning|err'")" ""
is "its rules can tell bridges apart" "$(appliance "logread | grep -c 'tell bridges apart'")" 0
check "the guest reboots" guest_reboots tap2 "$LAN" "$IP1"
check "and has its address again" wait_for 60 console tap2 "guest: bound $IP1" 2
done_testing
