#!/usr/bin/env bash
# A real guest: Linux with virtio-net in QEMU boots to its planned address, is reached through a
# public one, renews with checksums left to the card, and reboots.
#
#   outer host 20.251.48.1 ── eth0 ── hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                                                              └── tap1 ── QEMU
#
# The guest's kernel is Debian's linux-image-cloud-amd64, its user space busybox-static; both are
# unpacked into build/vm/ once, and not installed.
#
# Alone: it needs a processor for itself.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
MODULES="virtio_ring virtio virtio_pci_modern_dev virtio_pci_legacy_dev virtio_pci failover net_failover
	virtio_net"
CACHE=$ROOT/build/vm

skip_all() {
	echo "1..0 # SKIP $1"
	exit 0
}
[[ $(uname -m) == x86_64 ]] || skip_all "not on x86_64"
for program in qemu-system-x86_64 apt-get dpkg-deb busybox; do
	command -v $program >/dev/null || skip_all "no $program here"
done

# unpack PACKAGE DIRECTORY
unpack() {
	mkdir -p "$2" && (cd "$2" && timeout 120 apt-get download -qq "$1") &&
		dpkg-deb -x "$2/$1"_*.deb "$2/root"
}

# guest_files: build/vm/ with vmlinuz, busybox and modules/, if it is not there
guest_files() {
	local work=$CACHE.$$ package module
	[[ ! -e $CACHE/vmlinuz ]] || return 0
	package=$(apt-cache depends linux-image-cloud-amd64 2>/dev/null |
		awk '/Depends: linux-image-[0-9]/ { print $2; exit }')
	mkdir -p "$work/new/modules"
	if [[ -n $package ]] && unpack "$package" "$work/kernel" && unpack busybox-static "$work/busybox" &&
		cp "$work"/kernel/root/boot/vmlinuz-* "$work/new/vmlinuz" &&
		cp "$(find "$work/busybox/root" -path '*bin/busybox' -type f)" "$work/new/busybox"; then
		for module in $MODULES; do
			find "$work/kernel/root/lib/modules" -name "$module.ko" -exec cp {} "$work/new/modules" \;
		done
		rm -rf "$CACHE"
		mv "$work/new" "$CACHE"
	fi
	rm -rf "$work"
	[[ -e $CACHE/vmlinuz ]]
}
said=$(guest_files 2>&1) || skip_all "no guest can be had: ${said//$'\n'/ }"

# guest_initrd FILE: busybox, the modules, and the guest's life
guest_initrd() {
	local root=$T/initrd
	mkdir -p "$root"/{bin,dev,proc,sys,modules}
	cp "$CACHE/busybox" "$root/bin/busybox"
	cp "$CACHE"/modules/*.ko "$root/modules/"
	echo "$MODULES" >"$root/modules/order"
	cat >"$root/init" <<'END'
#!/bin/busybox sh
export PATH=/bin
/bin/busybox --install -s /bin
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
for module in $(cat /modules/order); do
	insmod /modules/$module.ko
done
ip link set lo up
ip link set eth0 up
echo "guest: up"
udhcpc -f -R -i eth0 -t 10 -T 1 -s /lease &
nc -ll -p 7 -e cat /who &
# a word on this port is the power button
nc -l -p 9 >/dev/null
echo "guest: reboots"
reboot -f
END
	cat >"$root/lease" <<'END'
#!/bin/busybox sh
case $1 in
bound | renew)
	ip addr replace "$ip/$mask" dev eth0
	ip route replace default via "$router"
	echo "this is $hostname at $ip" >/who
	;;
esac
echo "guest: $1 $ip" >/dev/console
END
	chmod 755 "$root/init" "$root/lease"
	(cd "$root" && find . | busybox cpio -o -H newc 2>/dev/null) | gzip -1 >"$1"
}

stage_up
guest_initrd "$T/initrd.gz" || die "no initial file system for the guest"
ip -n "$HV" tuntap add dev tap1 mode tap || die "no tap device"
ip -n "$HV" link set tap1 master br0 up
conf dhcp.lease-time 20s # so that it renews after ten; udhcpc knows no lease below 16
daemon_up
check "eipctl binds a public address to the guest that is to come" ctl ip bind vm-001 "$EIP1"

# What comes from the guest to the server, with tcpdump's opinion of the checksum
hv tcpdump -Z root -l -n -vv -i tap1 udp dst port 67 >"$T/wire" 2>"$T/wire.err" &
disown
wait_for 5 grep -q 'listening on' "$T/wire.err" || die "tcpdump does not start: $(cat "$T/wire.err")"

start=$SECONDS
ip netns exec "$HV" qemu-system-x86_64 -accel tcg -m 192 -nodefaults -no-user-config -nographic \
	-kernel "$CACHE/vmlinuz" -initrd "$T/initrd.gz" \
	-append "console=ttyS0 quiet panic=5 tsc=unstable" \
	-netdev tap,id=net0,ifname=tap1,script=no,downscript=no,vhost=off \
	-device virtio-net-pci,netdev=net0,mac="$MAC1",romfile= -serial "file:$T/console" \
	>"$T/qemu" 2>&1 </dev/null &
qemu=$!

console() { (($(count "$1" "$T/console") >= $2)); }
leased() { [[ $(field "[l['name'] for l in d]" lease list) == '["vm-001"]' ]]; }
# who: what the guest says of itself at its public address
who() { out timeout 5 busybox nc -w 2 "$EIP1" 7 </dev/null; }
who_is() { [[ $(who) == "$1" ]]; }
counter() { field "d['dhcp']['$1']" status; }

check "the guest boots to its planned address" wait_for 40 console "guest: bound $IP1" 1
[[ $(count 'guest: up' "$T/console") -gt 0 ]] || fail "it came up" < <(cat "$T/qemu" "$T/console")
check "eipctl lease list has it" leased
check "it is reached through its public address, from outside" \
	wait_for 8 who_is "this is vm-001 at $IP1"
check "the guest renews" wait_for 30 console "guest: renew $IP1" 1
offloaded() { grep -q 'bad udp cksum' "$T/wire"; }
check "its frames came with the checksum left to the card" wait_for 2 offloaded
is "none of them was dropped for that" "$(field 'd["dhcp"]["dropped"]["checksum"]' status)" 0
is "there was no NAK" "$(counter nak)" 0

acks=$(counter ack)
echo off | out timeout 5 busybox nc -w 2 "$EIP1" 9 >"$T/off" 2>&1
check "the guest reboots" wait_for 10 console 'guest: reboots' 1
check "it has its address again" wait_for 40 console "guest: bound $IP1" 2
check "by an exchange" test "$(counter ack)" -gt "$acks"
check "and is reached again" wait_for 8 who_is "this is vm-001 at $IP1"
is "the operation log has one add: it kept its lease" "$(count " add $MAC1 " "$LEASES")" 1
check "the public address is taken back" ctl ip unbind "$EIP1"
check "and the guest is not reached by it" not who_is "this is vm-001 at $IP1"
echo "# from power on to here: $((SECONDS - start)) s"
kill "$qemu"
check "QEMU ends" wait_for 5 gone "$qemu"
done_testing
