#!/usr/bin/env bash
# The tarball for a box without packages: what is in it, that two builds give the same bytes, and
# install.sh and uninstall under busybox alone.
#
#   outer host ── eth0 ── hypervisor: a root with busybox and the tarball ── br0 ── vm-001
#
# Not under sanitizers: it builds the program that it tests.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/static.sh
. "$HERE/static.sh"
stage_up
static_or_skip
check "make dist-static" static_make dist-static
TARBALL=$ROOT/$(tail -n 1 "$T/make")
[[ -f $TARBALL ]] || die "there is no tarball: $(cat "$T/make")"
like "its name has version and architecture" "${TARBALL##*/}" \
	"^eipd-$("$EIPD" -V | sed 's/eipd //')-$(uname -m)\.tar\.gz\$"

# ---- what is in it
tar -tvzf "$TARBALL" >"$T/list"
name=$(basename "$TARBALL" .tar.gz)
for file in eipd 'eipctl -> eipd' install.sh README LICENSE LICENSES conf/eipd.conf conf/network.conf \
	scripts/lease-callback scripts/load-modules scripts/init.d/eipd scripts/openrc/eipd \
	scripts/runit/run scripts/systemd/eipd.service scripts/inittab; do
	check "it has $file" grep -qE " $name/$file\$" "$T/list"
done
# license_of LIBRARY: what LICENSES has under its heading
license_of() {
	tar -xzOf "$TARBALL" "$name/LICENSES" | awk -v heading="^$1 [0-9]" '
		/^=+$/ { inside = last ~ heading }
		{ last = $0 }
		inside'
}
while read -r library words; do
	like "LICENSES has that of $library" "$(license_of "$library" | tr -s ' \n' '  ')" "$words"
done <<'END'
iptables GNU General Public License
jansson Permission is hereby granted, free of charge
libpcap Redistribution and use in source and binary forms
libnl3 GNU Lesser General Public License
iniparser Permission is hereby granted, free of charge
musl Permission is hereby granted, free of charge
LGPL Version 2.1, February 1999.*END OF TERMS AND CONDITIONS
END
is "all is in one directory" "$(tar -tzf "$TARBALL" | cut -d / -f 1 | sort -u)" "$name"
is "nobody of this machine owns it" "$(awk '{ print $2 }' "$T/list" | sort -u)" 0/0
is "all of it has one time" "$(awk '{ print $4, $5 }' "$T/list" | sort -u | wc -l)" 1
for page in "$ROOT"/conf/man/*.[1-9]; do
	[[ -f $page ]] || continue
	page=${page##*/}
	tar -xzOf "$TARBALL" "$name/man/$page.txt" >"$T/page"
	check "$page is there as plain text" grep -q NAME "$T/page"
	is "$page has no terminal's codes" "$(LC_ALL=C count $'[\b\033]' "$T/page")" 0
done

# ---- the same bytes
# In another directory, with another umask and language, from the same sources.
mkdir -p "$T/elsewhere"
(cd "$ROOT" && tar -cf - --exclude=./build --exclude=./.git .) | tar -xf - -C "$T/elsewhere"
mkdir "$T/elsewhere/build"
cp -R "$DOWNLOADS" "$T/elsewhere/build/downloads"
elsewhere() {
	(umask 077 && cd "$T/elsewhere" && env SOURCE_DATE_EPOCH=1700000000 LC_ALL=C.UTF-8 TZ=Asia/Tokyo \
		HOME=/nowhere make -j 2 dist-static)
}
check "it is built in another directory, without network" unshare --net -- bash -c \
	"$(declare -f elsewhere); T='$T' elsewhere"
cp "$TARBALL" "$T/first.tar.gz"
mkdir "$T/here"
SOURCE_DATE_EPOCH=1700000000 "$ROOT/scripts/dist-static" "$ROOT/build/static/eipd" "$T/here/${TARBALL##*/}"
check "two builds give the same file" cmp "$ROOT/build/static/eipd" "$T/elsewhere/build/static/eipd"
check "and the same tarball" cmp "$T/here/${TARBALL##*/}" "$T/elsewhere/build/${TARBALL##*/}"
is "no path of a build is in it" "$(strings -a "$ROOT/build/static/eipd" | count "$ROOT/|$T")" 0

# ---- sources that are not what is pinned
cp -R "$DOWNLOADS" "$T/tampered"
for file in iptables_1.8.9-2.dsc iptables_1.8.9.orig.tar.xz; do
	cp "$T/tampered/$file" "$T/whole"
	printf x >>"$T/tampered/$file"
	DEBIAN_MIRROR=file:///nowhere "$ROOT/scripts/static-libraries" "$T/libraries" "$T/tampered" \
		>"$T/out" 2>&1
	is "a changed $file is not built from" $? 1
	like "but looked for elsewhere, in vain" "$(tail -n 1 "$T/out")" 'file:///nowhere has no list of source packages'
	is "and nothing is left half done" "$(ls -A "$T/libraries")" ""
	cp "$T/whole" "$T/tampered/$file"
done

# ---- install
box_make
box_conf
box_unpack
said=$(box /root/eipd/install.sh 2>&1)
is "install.sh under busybox: status 0 ($said)" $? 0
like "it tells how to start" "$said" '/etc/init.d/eipd start'
for file in /usr/sbin/eipd /usr/sbin/eipctl /usr/sbin/eipd-uninstall /usr/sbin/eip-vm /etc/init.d/eipd \
	/usr/share/eipd/lease-callback /usr/share/eipd/load-modules; do
	check "$file is a program" box test -x "$file"
done
check "the licences of the libraries come with it" cmp "$BOX/usr/share/eipd/LICENSES" "$ROOT/build/static/LICENSES"
for file in eipd.conf network.conf; do
	check "the sample $file is the first configuration" \
		cmp "$BOX/etc/eipd/$file" "$ROOT/conf/$file"
done
# nothing that comes with it names what is not there
is "every path of its own that a script names is there" "$(
	cd "$BOX" && grep -rhoE '/usr/(sbin|share/eipd)/[a-z.-]+[a-z]' etc/init.d usr/share/eipd usr/sbin/eip-vm |
		sort -u | while read -r path; do [[ -e $BOX$path ]] || echo "$path"; done
)" ""

conf dhcp.callback /usr/share/eipd/lease-callback
conf_write
plan "$MAC1,vm-001,$IP1"
check "eipd -t" box eipd -t
check "the init script starts it" box /etc/init.d/eipd start
vm_up vm-001 "$MAC1"
check "it gives a lease" vm_lease vm-001
check "and an address" box eipctl ip bind vm-001 "$EIP1"
serve "$P-vm-001" vm-001 8000
is "by which the VM is reached" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"

# ---- a newer version
cp "$CONF" "$T/eipd.conf.mine"
echo "/usr/share/eipd/of-an-older-version" >>"$BOX/usr/share/eipd/installed"
touch "$BOX/usr/share/eipd/of-an-older-version"
pid=$(daemon_pid)
check "installed again, while it runs" box /root/eipd/install.sh
check "the configuration is as the user wrote it" cmp "$CONF" "$T/eipd.conf.mine"
is "the daemon goes on" "$(daemon_pid)" "$pid"
is "what the older version had is gone" "$(ls "$BOX/usr/share/eipd/of-an-older-version" 2>/dev/null)" ""
check "restart" box /etc/init.d/eipd restart
check "the new one runs" test "$(daemon_pid)" != "$pid"
is "the VM is reached as before" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"

# ---- another prefix, another root
check "with a prefix, into a root" box /root/eipd/install.sh --root /tmp/other --prefix /usr/local --init systemd
like "the unit names the programs there" "$(cat "$BOX/tmp/other/usr/local/lib/systemd/system/eipd.service")" \
	'ExecStart=/usr/local/sbin/eipd .*ExecReload=/usr/local/sbin/eipctl'
check "and they are there" test -x "$BOX/tmp/other/usr/local/sbin/eipd"
is "no init script besides" "$(ls "$BOX/tmp/other/etc/init.d" 2>/dev/null)" ""
check "uninstalled from there" box /root/eipd/install.sh --uninstall --purge --root /tmp/other --prefix /usr/local
is "nothing is left of it" "$(find "$BOX/tmp/other" ! -type d)" ""

# ---- the disk is full, or the power is lost
mkdir "$T/bin" "$T/programs"
# install_version VERSION: programs that are no more than its name; sync tells what is there before it
install_version() {
	tee "$T/programs/eipctl" >"$T/programs/eipd" <<<"$1"
	chmod 755 "$T/programs/"*
	PATH=$T/bin:$PATH "$ROOT/scripts/install.sh" --root "$T/root" --init none --programs "$T/programs"
}
installed() { cat "$T"/root/usr/sbin/eip{d,ctl} | xargs; }
check "a version is installed" install_version old
printf '#!/bin/sh\ncd %s/usr/sbin && cat eipd eipd.new >>%s 2>&1\nexit 0\n' "$T/root" "$T/synced" >"$T/bin/sync"
# shellcheck disable=SC2016 # the stand-in expands it
printf '#!/bin/sh\n[ "${1##*/}" != eipctl.8 ] || exit 1\nexec /bin/cp "$@"\n' >"$T/bin/cp"
chmod 755 "$T/bin/"*
check "a newer one, for which the disk has no room, is not" not install_version new
is "the old one is there as it was" "$(installed)" "old old"
is "and nothing else" "$(find "$T/root" -name '*.new')" ""
rm "$T/bin/cp"
check "with room it is installed" install_version new
is "it was on the disk before it took the place of the old one" "$(head -n 2 "$T/synced" | xargs)" "old new"
is "now it has" "$(installed)" "new new"
is "and nothing else is left" "$(find "$T/root" -name '*.new')" ""

# ---- misuse
box /root/eipd/install.sh --frobnicate >"$T/out" 2>&1
is "an unknown option is status 2" $? 2
box /root/eipd/install.sh --init >"$T/out" 2>&1
is "an option without its value is status 2" $? 2
box /root/eipd/install.sh --purge >"$T/out" 2>&1
is "--purge alone is status 2" $? 2
box /root/eipd/install.sh --root /tmp/none --uninstall >"$T/out" 2>&1
is "uninstalling what is not there is status 1" $? 1
like "which is said" "$(cat "$T/out")" 'not installed'

# ---- uninstall
echo '::respawn:/usr/sbin/eipd -f' >"$BOX/etc/inittab"
box eipd-uninstall >"$T/out" 2>&1
is "what init would start again is not uninstalled" $? 1
like "which is said" "$(cat "$T/out")" inittab
rm "$BOX/etc/inittab"
pid=$(daemon_pid)
check "eipd-uninstall" box eipd-uninstall
check "the daemon has stopped" gone "$pid"
is "of ours, configuration, state and logs are left" \
	"$(cd "$BOX" && find etc usr var ! -type d -path '*eip*' | sort | tr '\n' ' ')" \
	"etc/eipd/eipd.conf etc/eipd/network.conf var/lib/eipd/bindings var/lib/eipd/leases var/lib/eipd/plan.last-good var/log/eipd/callback.log var/log/eipd/eipd.log var/log/eipd/lease.log "
is "the VM is reached all the same" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
check "the configuration is as the user wrote it" cmp "$CONF" "$T/eipd.conf.mine"
check "installed once more" box /root/eipd/install.sh
check "it starts where it was" box /etc/init.d/eipd start
like "with the old bindings" "$(box eipctl ip list)" "$EIP1 +bound +vm-001"
check "eipd-uninstall --purge" box eipd-uninstall --purge
is "nothing of ours is left" "$(cd "$BOX" && find etc usr var run -path '*eip*' ! -path run/eipd)" ""
done_testing
