# shellcheck shell=bash disable=SC2034,SC2153,SC2154 # lib.sh of the other tests, sourced before, has the rest
# Real machines: Linux with virtio-net in QEMU. Its kernel is Debian's linux-image-cloud-amd64, its
# user space busybox-static; both are unpacked into build/downloads/vm once, and not installed.
#
# A guest says on its console what it does, has a page on port 80 that tells who it is, gives zeros
# without end on port 10 to each who connects, and reboots at a word on port 9.

KERNEL=$ROOT/build/downloads/vm

skip_all() {
	echo "1..0 # SKIP $1"
	tests_complete=yes
	exit 0
}
[[ $(uname -m) == x86_64 ]] || skip_all "not on x86_64"
for program in qemu-system-x86_64 busybox; do
	command -v $program >/dev/null || skip_all "no $program here"
done
said=$("$ROOT/scripts/fetch-kernel" "$KERNEL" 2>&1) || skip_all "${said//$'\n'/ }"

# ---- machines -------------------------------------------------------------------------------

declare -A machines=() # name → process

# machine_start NAME KERNEL INITRAMFS APPEND OPTION…: in the hypervisor's namespace; standard input
# is the keyboard of its console, which is written to $T/NAME.console
machine_start() {
	local name=$1 kernel=$2 initramfs=$3 append=$4
	shift 4
	ip netns exec "$HV" qemu-system-x86_64 -accel tcg -m 192 -nodefaults -no-user-config -nographic \
		-kernel "$kernel" -initrd "$initramfs" \
		-append "console=ttyS0 quiet panic=5 tsc=unstable $append" -serial stdio "$@" \
		<&0 >>"$T/$name.console" 2>"$T/$name.qemu" &
	machines[$name]=$!
	disown
}

# machine_end NAME: as if its plug were pulled
machine_end() {
	kill -KILL "${machines[$1]}" && wait_for 5 gone "${machines[$1]}"
}

# card PORT MAC: the options of QEMU for a network card on this tap
card() {
	echo -netdev "tap,id=$1,ifname=$1,script=no,downscript=no,vhost=off" \
		-device "virtio-net-pci,netdev=$1,mac=$2,romfile="
}

# console NAME TEXT TIMES: it said so that often
console() { (($(count "$2" "$T/$1.console") >= $3)); }

# port NAME [BRIDGE]: a tap on the bridge
port() {
	ip -n "$HV" tuntap add dev "$1" mode tap || die "no tap device"
	ip -n "$HV" link set "$1" master "${2:-br0}" up
}

# ---- guests ---------------------------------------------------------------------------------

# guest_initramfs FILE: the guest's life
guest_initramfs() {
	local files=$T/guest
	mkdir -p "$files/www"
	cat >"$files/init" <<'END'
#!/bin/sh
mount -t proc none /proc
mount -t sysfs none /sys
mount -t devtmpfs none /dev
modprobe virtio_pci
modprobe virtio_net
ip link set lo up
ip link set eth0 up
echo "guest: up"
udhcpc -f -R -i eth0 -t 10 -T 1 -A 1 -s /lease &
httpd -p 80 -h /www
nc -ll -p 10 -e cat /dev/zero &
# a word on this port is the power button
nc -l -p 9 >/dev/null
echo "guest: reboots"
reboot -f
END
	cat >"$files/lease" <<'END'
#!/bin/sh
case $1 in
bound | renew)
	ip addr replace "$ip/$mask" dev eth0
	ip route replace default via "$router"
	echo "this is $hostname at $ip" >/www/index.html
	;;
esac
echo "guest: $1 $ip" >/dev/console
END
	chmod 755 "$files/init" "$files/lease"
	"$ROOT/scripts/initramfs" "$KERNEL" "$files" "$1" virtio_pci virtio_net
}

# guest_boot PORT [MAC]: on this tap; the machine has the name of the port
guest_boot() {
	[[ -e $T/initramfs ]] || guest_initramfs "$T/initramfs" || die "no initial file system for the guest"
	# shellcheck disable=SC2046 # a list of options
	machine_start "$1" "$KERNEL/vmlinuz" "$T/initramfs" "" $(card "$1" "${2:-$MAC1}") </dev/null
}

# guest_reboots PORT NAMESPACE ADDRESS: it is told to, there, and does
guest_reboots() {
	local times
	times=$(count 'guest: reboots' "$T/$1.console")
	echo off | ip netns exec "$2" timeout 20 busybox nc -w 10 "$3" 9 >"$T/off" 2>&1
	wait_for 10 console "$1" 'guest: reboots' $((times + 1))
}

# page NAMESPACE ADDRESS: what a guest says of itself there. Not wget -T: Debian 12's busybox dies of
# it.
page() { ip netns exec "$1" timeout 3 busybox wget -q -O - "http://$2/" 2>&1; }
# page_is NAMESPACE ADDRESS NAME IP: it is this guest's
page_is() { [[ $(page "$1" "$2") == "this is $3 at $4" ]]; }
