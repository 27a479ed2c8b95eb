# shellcheck shell=bash disable=SC2034 # lib.sh and the tests use the variables
# What the tests of the static file share: it is built once, by whichever of them comes first; and
# a box: a root directory with busybox and nothing else. To be sourced behind lib.sh.

BOX=           # the box's root
DOWNLOADS=$ROOT/build/downloads
BUILD_LOCK=$ROOT/build/static.lock

skip_all() {
	echo "1..0 # SKIP $1"
	tests_complete=yes
	exit 0
}

# static_make TARGET: `make static` or `make dist-static`; what it said is in $T/make. The sources
# of the libraries are in $DOWNLOADS afterwards.
static_make() {
	command -v apt-get >/dev/null || skip_all "the static file is built from Debian's sources"
	mkdir -p "$ROOT/build"
	# shellcheck disable=SC2016 # the inner shell expands
	flock "$BUILD_LOCK" sh -c 'cd "$1" || exit
		ls build/downloads/*.dsc >/dev/null 2>&1 || rm -f build/static/libraries
		exec make --no-print-directory -j 2 WERROR=1 "$2"' make "$ROOT" "$1" \
		>"$T/make" 2>&1 </dev/null
}

# static_unavailable: static_make failed, as there is no network to Debian's sources, which is no
# fault of ours
static_unavailable() { grep -qE 'has no list of source packages|cannot be had' "$T/make"; }

# static_or_skip: to be called before the first point
static_or_skip() {
	static_make static && return
	! static_unavailable ||
		skip_all "Debian's source packages cannot be had: $(tail -n 2 "$T/make" | head -n 1)"
}

# unpacked PACKAGE: prints the directory where a package of Debian is unpacked and not installed
unpacked() {
	local directory=$DOWNLOADS/$1
	mkdir -p "$DOWNLOADS"
	# shellcheck disable=SC2016 # the inner shell expands
	flock "$BUILD_LOCK" sh -c '
		[ ! -d "$2" ] || exit 0
		rm -rf "$2.new" && mkdir "$2.new" && cd "$2.new" && timeout 120 apt-get download -qq "$1" &&
			dpkg-deb -x "$1"_*.deb root && mv "$2.new" "$2"' unpack "$1" "$directory" \
		>"$T/unpack" 2>&1 || return
	echo "$directory/root"
}

# static_busybox: prints the path of one that needs nothing
static_busybox() {
	local busybox
	busybox=$(command -v busybox)
	if readelf -lW "$busybox" | grep -q INTERP; then
		busybox=$(find "$(unpacked busybox-static)" -path '*bin/busybox' -type f)
	fi
	echo "$busybox"
}

# box_make: a root with the applets of busybox, and what every kernel's init mounts
box_make() {
	local busybox applet
	BOX=$T/box
	busybox=$(static_busybox)
	[[ -x $busybox ]] || die "no static busybox: $(cat "$T/unpack")"
	mkdir -p "$BOX"/{bin,sbin,usr/bin,usr/sbin,etc,dev,proc,root,run,tmp,var}
	cp "$busybox" "$BOX/bin/busybox"
	# Not by --install: its links are absolute, and what a test copies over one would hit this machine.
	for applet in $("$busybox" --list-full); do
		case $applet in
		bin/*) [[ -e $BOX/$applet ]] || ln -s busybox "$BOX/$applet" ;;
		sbin/*) ln -s ../bin/busybox "$BOX/$applet" ;;
		*) ln -s ../../bin/busybox "$BOX/$applet" ;;
		esac
	done
	mknod -m 666 "$BOX/dev/null" c 1 3
	printf '%s\n' root:x:0:0::/root:/bin/sh >"$BOX/etc/passwd"
	printf '%s\n' root:x:0: >"$BOX/etc/group"
}

# box COMMAND…: on the box, which is the hypervisor. It sees the processes of the whole machine:
# nothing may be killed by its name.
box() {
	# shellcheck disable=SC2016 # the inner shell expands
	hv timeout 60 sh -c 'mount --bind /proc "$1/proc" && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		chroot "$@"' box "$BOX" "$@" </dev/null
}

# box_conf: eipd.conf and plan of the stage, with the directories of a box
box_conf() {
	conf daemon.state-dir
	conf daemon.run-dir
	conf plan.file
	conf dhcp.log
	conf daemon.log /var/log/eipd/eipd.log
	mkdir -p "$BOX/etc/eipd"
	RUN=$BOX/run/eipd SOCKET=$RUN/eipd.sock LOG=$BOX/var/log/eipd/eipd.log
	CONF=$BOX/etc/eipd/eipd.conf PLAN=$BOX/etc/eipd/network.conf
}

# box_unpack: the tarball of `make dist-static` in the box's /root
box_unpack() {
	static_make dist-static || die "no tarball: $(cat "$T/make")"
	mkdir -p "$BOX/root"
	cp "$ROOT/$(tail -n 1 "$T/make")" "$BOX/root/eipd.tar.gz"
	box sh -c 'cd /root && tar xzf eipd.tar.gz && mv eipd-*/ eipd'
}

# box_libraries PROGRAM…: copies programs with the shared libraries that they want into the box,
# under their names
box_libraries() {
	local library
	ldd "$@" 2>/dev/null | grep -o '/[^ :]*' | sort -u | while read -r library; do
		[[ $library == "$BOX"* ]] || cp -L --parents --remove-destination "$library" "$BOX"
	done
}
