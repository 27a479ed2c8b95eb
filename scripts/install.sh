#!/bin/sh
# Installs eipd: on a box that has no more than busybox, from the tarball of `make dist-static`; and
# from the sources, as `make install`.
#
#   install.sh [OPTION …]                 also to put a newer version in place of an older one
#   install.sh --uninstall [OPTION …]     on the box, later: eipd-uninstall [OPTION …]
#
#   --init KIND        how it is started: lsb (a script in /etc/init.d), openrc, runit, systemd or
#                      none; the default is what is found
#   --root DIR         install under DIR, which will be the root of another system
#   --prefix DIR       for programs and data (/usr)
#   --sysconfdir DIR   for configuration and init scripts (/etc)
#   --programs DIR     where eipd and eipctl come from (the directory of this script)
#   --purge            uninstall configuration, state and logs as well
#
# A configuration that is there is never overwritten, and goes only with --purge. Nothing is started
# and nothing enabled; what to do next is said at the end.
set -eu
umask 022

PREFIX=/usr
SYSCONFDIR=/etc
root='' init='' programs='' purge=no
case ${0##*/} in
eipd-uninstall) action=uninstall ;;
*) action=install ;;
esac
HERE=$(cd "$(dirname "$0")" && pwd)
TOP=${HERE%/scripts}

die() {
	echo "${0##*/}: $*" >&2
	exit 1
}

misused() {
	echo "${0##*/}: $*; --help tells what there is" >&2
	exit 2
}

while [ $# -gt 0 ]; do
	case $1 in
	--init | --root | --prefix | --sysconfdir | --programs)
		[ $# -gt 1 ] || misused "$1 wants a value"
		case $1 in
		--init) init=$2 ;;
		--root) root=${2%/} ;;
		--prefix) PREFIX=${2%/} ;;
		--sysconfdir) SYSCONFDIR=${2%/} ;;
		--programs) programs=$2 ;;
		esac
		shift
		;;
	--uninstall) action=uninstall ;;
	--purge) purge=yes ;;
	-h | --help)
		sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
		exit 0
		;;
	*) misused "$1: unknown" ;;
	esac
	shift
done

share=$PREFIX/share/eipd
# every file of ours, a path a line
manifest=$root$share/installed

# ---- install

# found_init: what starts services here, or will in a root that does not run
found_init() {
	if [ -x "$root/sbin/openrc-run" ] || [ -x "$root/usr/sbin/openrc-run" ]; then
		echo openrc
	elif [ -z "$root" ] && [ -d /run/systemd/system ]; then
		echo systemd
	elif [ -d "$root$SYSCONFDIR/runit" ] || [ -d "$root$SYSCONFDIR/sv" ]; then
		echo runit
	else
		echo lsb
	fi
}

# put MODE SOURCE TARGET: beside what is there, until it is settled
put() {
	mkdir -p "$root${3%/*}"
	echo "$3" >>"$manifest.new"
	cp "$2" "$root$3.new"
	chmod "$1" "$root$3.new"
}

# settle: all that was put there counts from now on. What runs is replaced, not written to; and where
# the disk is full, or the power is lost, a box has the old or the new, and no empty files.
settle() {
	sync
	while read -r file; do
		mv -f "$root$file.new" "$root$file"
	done <"$manifest.new"
}

# give_up: what was put there and is not settled goes again
give_up() {
	[ -e "$manifest.new" ] || return 0
	while read -r file; do
		rm -f "$root$file.new"
	done <"$manifest.new"
	rm -f "$manifest.new" "$root$share/text"
}

# put_text MODE SOURCE TARGET: with the directories of this installation in it
put_text() {
	sed "s|/usr/sbin/|$PREFIX/sbin/|g; s|/usr/share/eipd|$share|g; s|/etc/eipd|$SYSCONFDIR/eipd|g
		s|^PREFIX=/usr$|PREFIX=$PREFIX|; s|^SYSCONFDIR=/etc$|SYSCONFDIR=$SYSCONFDIR|" \
		"$2" >"$root$share/text"
	put "$1" "$root$share/text" "$3"
	rm "$root$share/text"
}

install_programs() {
	put 755 "$programs/eipd" "$PREFIX/sbin/eipd"
	if [ -L "$programs/eipctl" ]; then
		echo "$PREFIX/sbin/eipctl" >>"$manifest.new"
		ln -sf eipd "$root$PREFIX/sbin/eipctl.new"
	else
		put 755 "$programs/eipctl" "$PREFIX/sbin/eipctl"
	fi
	put_text 755 "$TOP/scripts/eip-vm" "$PREFIX/sbin/eip-vm"
	put_text 755 "$HERE/install.sh" "$PREFIX/sbin/eipd-uninstall"
}

install_data() {
	for file in lease-callback load-modules hooks/libvirt-qemu hooks/xen-vif; do
		put_text 755 "$TOP/scripts/$file" "$share/$file"
	done
	put_text 644 "$TOP/scripts/inittab" "$share/inittab"
	for file in "$TOP"/conf/*; do
		[ ! -f "$file" ] || put_text 644 "$file" "$share/${file##*/}"
	done
	for file in "$TOP"/conf/samples/*; do
		mode=644
		[ ! -x "$file" ] || mode=755
		[ ! -f "$file" ] || put_text $mode "$file" "$share/samples/${file##*/}"
	done
	if [ -f "$TOP/scripts/completion/eipctl" ]; then
		put 644 "$TOP/scripts/completion/eipctl" "$PREFIX/share/bash-completion/completions/eipctl"
		put 644 "$TOP/scripts/completion/eipctl" "$PREFIX/share/bash-completion/completions/eipd"
	fi
	# with the libraries in the static file come their licences
	for file in LICENSE LICENSES; do
		[ ! -f "$TOP/LICENSES" ] || put 644 "$TOP/$file" "$share/$file"
	done
	# from the sources; and from the tarball, for a box without man
	for file in "$TOP"/conf/man/*.[1-9]; do
		[ ! -f "$file" ] || put 644 "$file" "$PREFIX/share/man/man${file##*.}/${file##*/}"
	done
	for file in "$TOP"/man/*.txt; do
		[ ! -f "$file" ] || put 644 "$file" "$share/man/${file##*/}"
	done
}

install_init() {
	case $init in
	lsb) put_text 755 "$TOP/scripts/init.d/eipd" "$SYSCONFDIR/init.d/eipd" ;;
	openrc) put_text 755 "$TOP/scripts/openrc/eipd" "$SYSCONFDIR/init.d/eipd" ;;
	runit)
		for file in run check log/run; do
			put_text 755 "$TOP/scripts/runit/$file" "$SYSCONFDIR/sv/eipd/$file"
		done
		;;
	systemd)
		put_text 644 "$TOP/scripts/systemd/eipd.service" \
			"$PREFIX/lib/systemd/system/eipd.service"
		;;
	esac
}

install_configuration() {
	mkdir -p "$root$SYSCONFDIR/eipd"
	for file in eipd.conf network.conf; do
		[ -e "$root$SYSCONFDIR/eipd/$file" ] ||
			cp "$root$share/$file" "$root$SYSCONFDIR/eipd/$file"
	done
	sync
}

say_what_next() {
	boot="as you like"
	case $init in
	lsb)
		start="$SYSCONFDIR/init.d/eipd start"
		boot="$start in the script that makes the network, or see $share/inittab"
		! command -v update-rc.d >/dev/null || boot="update-rc.d eipd defaults"
		;;
	openrc) start="rc-service eipd start" boot="rc-update add eipd default" ;;
	runit) start="ln -s $SYSCONFDIR/sv/eipd /etc/service/" boot="by the same" ;;
	systemd) start="systemctl start eipd" boot="systemctl enable eipd" ;;
	none) start=eipd ;;
	esac
	cat <<END
eipd is installed.
  configure:  $SYSCONFDIR/eipd/eipd.conf and $SYSCONFDIR/eipd/network.conf; eipd -t checks them
  start:      $start
  at boot:    $boot
Where an older one runs, restart it: addresses, rules and connections stay as they are.
END
}

install() {
	init=${init:-$(found_init)}
	case $init in
	lsb | openrc | runit | systemd | none) ;;
	*) misused "--init $init: unknown" ;;
	esac
	programs=${programs:-$HERE}
	[ -x "$programs/eipd" ] || die "there is no $programs/eipd; --programs tells where it is"
	mkdir -p "$root$share"
	: >"$manifest.new"
	trap give_up EXIT
	install_programs
	install_data
	install_init
	settle
	install_configuration
	# what an older version had, and this one has not
	if [ -e "$manifest" ]; then
		while read -r file; do
			grep -qxF "$file" "$manifest.new" || rm -f "$root$file"
		done <"$manifest"
	fi
	mv -f "$manifest.new" "$manifest"
	[ -n "$root" ] || say_what_next
}

# ---- uninstall

# runs: our daemon, however it was started; not a client, which may be the same file
runs() {
	for process in /proc/[0-9]*; do
		case $(readlink "$process/exe" 2>/dev/null) in
		"$PREFIX/sbin/eipd" | "$PREFIX/sbin/eipd (deleted)")
			! grep -qs '^Name:[[:space:]]*eipd$' "$process/status" || return 0
			;;
		esac
	done
	return 1
}

# undo COMMAND…: where there is such a command; it need not succeed
undo() { ! command -v "$1" >/dev/null || "$@" >/dev/null 2>&1 || true; }

stop() {
	! grep -qs '^[^#]*/eipd ' /etc/inittab ||
		die "init starts eipd whenever it ends; take its lines out of /etc/inittab first"
	undo systemctl disable --now eipd.service
	for link in /etc/service/eipd /var/service/eipd /service/eipd; do
		[ -L "$link" ] || continue
		undo sv -w 30 force-stop "$link"
		rm "$link"
	done
	undo "$SYSCONFDIR/init.d/eipd" stop
	undo rc-update --all del eipd
	! runs || die "eipd runs still; stop it first"
}

remove_files() {
	while read -r file; do
		rm -f "$root$file"
	done <"$manifest"
	rm "$manifest"
	rm -rf "$root$SYSCONFDIR"/sv/eipd/supervise "$root$SYSCONFDIR"/sv/eipd/log/supervise
	rmdir "$root$share/hooks" "$root$share/samples" "$root$share/man" "$root$share" "$root$SYSCONFDIR/sv/eipd/log" \
		"$root$SYSCONFDIR/sv/eipd" 2>/dev/null || true
}

uninstall() {
	[ -e "$manifest" ] || [ $purge = yes ] || die "eipd is not installed: there is no $manifest"
	[ -n "$root" ] || stop
	[ ! -e "$manifest" ] || remove_files
	if [ $purge = yes ]; then
		rm -rf "$root$SYSCONFDIR/eipd" "$root/var/lib/eipd" "$root/var/log/eipd"
		rm -f "$root/etc/default/eipd" "$root/etc/conf.d/eipd"
	fi
	[ -z "$root" ] || return 0
	undo update-rc.d eipd remove
	undo systemctl daemon-reload
	cat <<END
eipd is uninstalled. Public addresses stay bound until the next boot, unless it stopped with
on-exit = remove in eipd.conf.
END
}

[ $purge = no ] || [ $action = uninstall ] || misused "--purge is for --uninstall"
"$action"
