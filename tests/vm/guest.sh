# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # lib.sh of the other tests, sourced before, has the rest
# A real guest: Linux with virtio-net in QEMU. It says on its console what it does, tells on port 7
# who it is, gives zeros without end on port 10 to each who connects, and reboots at a word on port 9.
#
# Its kernel is Debian's linux-image-cloud-amd64, its user space busybox-static; both are unpacked
# into build/vm/ once, and not installed.

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
nc -ll -p 10 -e cat /dev/zero &
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

# guest_port PORT: a tap on the bridge
guest_port() {
	ip -n "$HV" tuntap add dev "$1" mode tap || die "no tap device"
	ip -n "$HV" link set "$1" master br0 up
}

# guest_boot PORT: with the MAC of vm-001, on this tap; its process is $qemu, its console $T/console
guest_boot() {
	[[ -e $T/initrd.gz ]] || guest_initrd "$T/initrd.gz" || die "no initial file system for the guest"
	ip netns exec "$HV" qemu-system-x86_64 -accel tcg -m 192 -nodefaults -no-user-config -nographic \
		-kernel "$CACHE/vmlinuz" -initrd "$T/initrd.gz" \
		-append "console=ttyS0 quiet panic=5 tsc=unstable" \
		-netdev tap,id=net0,ifname="$1",script=no,downscript=no,vhost=off \
		-device virtio-net-pci,netdev=net0,mac="$MAC1",romfile= -serial "file:$T/console" \
		>"$T/qemu" 2>&1 </dev/null &
	qemu=$!
}

# console TEXT TIMES: it said so that often
console() { (($(count "$1" "$T/console") >= $2)); }
