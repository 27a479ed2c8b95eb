#!/usr/bin/env bash
# Every way to be started, on a box with busybox and the static file: an init script, OpenRC, runit,
# busybox's init, a systemd unit. Each starts it, stops it, reads the plan again; and a restart
# leaves addresses, rules and connections as they are.
#
#   outer host              hypervisor: the box                  virtual machine
#   eth0 20.251.48.1 ────── eth0 20.251.48.10      br0 ───────── vm-001 192.168.6.243
#
# Not under sanitizers: it builds the program that it tests.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/static.sh
. "$HERE/static.sh"
stage_up
static_or_skip
box_make
box_conf
box_unpack
conf nat.on-exit
conf_write
plan "$MAC1,vm-001,$IP1"
vm_up vm-001 "$MAC1"
vm_static vm-001 "$IP1"
serve "$P-vm-001" vm-001 8000

# installs [OPTION…]: by install.sh, over what was there; and whether the modules are loaded is noted
installs() {
	box /root/eipd/install.sh "$@" >"$T/install" 2>&1 || return
	printf '#!/bin/sh\necho loaded >/tmp/loaded\n' >"$BOX/usr/share/eipd/load-modules"
}
loaded() { rm "$BOX/tmp/loaded"; }

serves() { box eipctl status >/dev/null 2>&1; }
kernel() {
	nat_rules | sort
	outer_addresses | sed 's/^[0-9]*: *//; s/valid_lft.*//' | sort
}

# starts KIND COMMAND…: it loads the modules and serves when it returns
starts() {
	local sentence=$1
	shift
	check "$sentence: start" box "$@"
	check "$sentence: it serves" serves
	check "$sentence: the modules were loaded" loaded
}

# knock: new connections to the public address, one after the other, until $T/enough is there
knock() {
	local answers=0
	until [[ -e $T/enough ]]; do
		[[ $(ask "$OUT" "$EIP1" 8000) == vm-001* ]] && echo $((++answers)) >"$T/answers" || echo no
	done
}
answers() { (($(cat "$T/answers" 2>/dev/null || echo 0) >= $1)); }

# signal_daemon SIGNAL: by its number out here, which is another one where it has processes of its own
signal_daemon() {
	local pid
	for pid in $(ip netns pids "$HV"); do
		[[ $(cat "/proc/$pid/comm") != eipd ]] || kill -"$1" "$pid"
	done
}

# hitless KIND COMMAND…: a restart by the command, of a daemon that takes its time to end
hitless() {
	local kind=$1 before pid hold line knocking watching
	shift
	box eipctl ip bind vm-001 "$EIP1" >/dev/null
	before=$(kernel) pid=$(daemon_pid)
	coproc HOLD { exec ip netns exec "$OUT" "$PYTHON" "$HERE/talk.py" hold "$EIP1" 8000 2>"$T/hold"; }
	# shellcheck disable=SC2153 # coproc sets it
	hold=$HOLD_PID
	read -r -t 20 -u "${HOLD[0]}" line
	is "$kind: a connection is open through a public address" "$line" "vm-001 sees 20.251.48.1"
	rm -f "$T/enough" "$T/answers"
	ip -n "$HV" monitor address >"$T/changes" &
	watching=$!
	knock >"$T/refused" &
	knocking=$!
	wait_for 5 answers 1
	signal_daemon STOP
	(sleep 0.7 && signal_daemon CONT) &
	check "$kind: restart" "$@"
	another() { [[ $(daemon_pid) != "$pid" ]] && serves; }
	check "$kind: another process serves" wait_for 10 another
	wait_for 5 answers $(($(cat "$T/answers") + 3))
	touch "$T/enough"
	wait "$knocking"
	kill "$watching"
	wait "$watching" 2>/dev/null
	is "$kind: no new connection was refused meanwhile" "$(cat "$T/refused")" ""
	is "$kind: no address went or came" "$(cat "$T/changes")" ""
	is "$kind: addresses and rules are as they were" "$(kernel)" "$before"
	echo still >&"${HOLD[1]}"
	read -r -t 20 -u "${HOLD[0]}" line
	is "$kind: the connection lives" "$line" "vm-001 echoes still"
	kill "$hold"
	wait "$hold" 2>/dev/null
}

# reloads KIND COMMAND…: takes a new plan over
reloads() {
	local kind=$1
	shift
	plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
	has_two() { [[ $(box eipctl -j status | json 'd["plan"]["vms"]') == 2 ]]; }
	check "$kind: reload" "$@"
	check "$kind: reads the plan again" wait_for 5 has_two
	plan "$MAC1,vm-001,$IP1"
}

stopped() { ! serves && [[ ! -e $RUN/eipd.pid ]]; }

# ---- the modules
# By a shell that is not busybox's, which has a modprobe in itself.
box_libraries /bin/sh
cp /bin/sh "$BOX/tmp/sh"
rm "$BOX/sbin/modprobe"
load() { box /tmp/sh /root/eipd/scripts/load-modules; }
check "without a modprobe nothing is loaded, which is no error" load
cat >"$BOX/sbin/modprobe" <<'END'
#!/bin/sh
for name; do echo "$name" >>/tmp/modules; done
echo "modprobe: FATAL: Module $name not found" >&2
exit 1
END
chmod 755 "$BOX/sbin/modprobe"
check "nor is it an error that none can be loaded" load
is "and nothing is said of it" "$(load 2>&1)" ""
for module in af_packet bridge ip_tables iptable_nat nf_conntrack_netlink nf_tables; do
	check "$module is asked for" grep -qx "$module" "$BOX/tmp/modules"
done
is "br_netfilter is not" "$(count br_netfilter "$BOX/tmp/modules")" 0

# ---- the init script
for with in with without; do
	[[ $with == with ]] || rm "$BOX/sbin/start-stop-daemon"
	kind="init.d, $with start-stop-daemon"
	check "$kind: install.sh" installs
	starts "$kind" /etc/init.d/eipd start
	check "$kind: status" box /etc/init.d/eipd status
	hitless "$kind" box /etc/init.d/eipd restart
	reloads "$kind" box /etc/init.d/eipd reload
	check "$kind: stop" box /etc/init.d/eipd stop
	check "$kind: it has stopped" stopped
done

# ---- what keeps it running on the appliance
cp "$ROOT/scripts/appliance/keep-eipd" "$BOX/etc/init.d/keep-eipd"
# tried NUMBER: so often a start has failed
tried() { (($(count 'it is tried again' "$T/keep") >= $1)); }
echo rubbish >>"$CONF"
# shellcheck disable=SC2016 # the inner shell expands
(exec ip netns exec "$HV" sh -c 'mount --bind /proc "$1/proc" && exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	chroot "$1" /etc/init.d/keep-eipd' keep-eipd "$BOX") >"$T/keep" 2>&1 </dev/null &
keep=$!
check "keep-eipd: the start at boot fails" wait_for 5 tried 1
conf_write
check "keep-eipd: it is tried again, and serves" wait_for 10 serves
echo rubbish >>"$CONF"
signal_daemon KILL
check "keep-eipd: it is killed, and cannot be started at once" wait_for 5 tried 2
conf_write
check "keep-eipd: it is tried again, and serves" wait_for 10 serves
check "keep-eipd: it is stopped" box /etc/init.d/eipd stop
check "keep-eipd: and stays stopped" not wait_for 0 serves
kill "$keep"
wait "$keep" 2>/dev/null
rm "$BOX/etc/init.d/keep-eipd"

# ---- busybox's init, as the first process of its own process namespace
installs --init none
cp "$BOX/usr/share/eipd/inittab" "$BOX/etc/inittab"
# shellcheck disable=SC2016 # the inner shell expands
(exec ip netns exec "$HV" unshare --mount --pid --fork --kill-child sh -c 'mount -t proc proc "$1/proc" &&
	exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" /bin/busybox init' init "$BOX") \
	>"$T/init" 2>&1 </dev/null &
unshare=$!
disown
check "inittab: eipd is started" wait_for 10 serves
check "inittab: the modules were loaded" loaded
hitless inittab signal_daemon TERM
reloads inittab box eipctl reload
kill -KILL "$unshare" # and init with it
check "inittab: it goes with init" wait_for 5 not serves
rm -f "$BOX/etc/inittab" "$RUN"/*

# ---- runit
if runit=$(unpacked runit); then
	cp --remove-destination "$runit"/usr/bin/{runsv,runsvdir,sv,svlogd} "$BOX/usr/bin/"
	box_libraries "$runit"/usr/bin/{runsv,runsvdir,sv,svlogd}
	mkdir -p "$BOX/etc/service" "$BOX/etc/runit"
	check "runit: install.sh finds it" installs
	check "runit: there is a service" box test -x /etc/sv/eipd/run
	# shellcheck disable=SC2016 # the inner shell expands
	(exec ip netns exec "$HV" sh -c 'mount --bind /proc "$1/proc" && exec env -i \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin chroot "$1" runsvdir -P /etc/service' runsvdir "$BOX") \
		>"$T/runsvdir" 2>&1 </dev/null &
	runsvdir=$!
	box ln -s /etc/sv/eipd /etc/service/
	check "runit: eipd is started" wait_for 15 serves
	check "runit: the modules were loaded" loaded
	like "runit: sv status" "$(box sv status eipd)" '^run: eipd: '
	hitless runit box sv -w 30 restart eipd
	reloads runit box sv hup eipd
	check "runit: sv stop" box sv -w 30 stop eipd
	check "runit: it has stopped" stopped
	check "runit: sv start returns when it serves" box sv -w 30 start eipd
	check "runit: it serves" serves
	check "runit: eipd-uninstall stops it" box eipd-uninstall
	check "runit: it has stopped" stopped
	is "runit: nothing of it is left" "$(find "$BOX"/etc/sv "$BOX"/etc/service -name '*eipd*')" ""
	kill -HUP "$runsvdir"
	wait "$runsvdir" 2>/dev/null
	rm -rf "$BOX/etc/runit" "$BOX/etc/sv" "$BOX/etc/service"
else
	skip "runit" "it cannot be had here"
fi

# ---- OpenRC
if openrc=$(unpacked openrc) && librc=$(unpacked librc1) && libeinfo=$(unpacked libeinfo1); then
	cp -R --remove-destination "$openrc/." "$librc/." "$libeinfo/." "$BOX/"
	cp --remove-destination /sbin/start-stop-daemon "$BOX/sbin/"
	LD_LIBRARY_PATH=$BOX/lib/$(uname -m)-linux-gnu box_libraries "$BOX"/sbin/openrc-run \
		"$BOX"/sbin/rc-service "$BOX"/lib/rc/bin/einfo /sbin/start-stop-daemon
	# what its boot leaves, and Debian's insserv
	mkdir -p "$BOX"/run/openrc/{started,starting,stopping,stopped,inactive,wasinactive,failed,hotplugged} \
		"$BOX"/run/openrc/{exclusive,daemons,options,scheduled,tmp}
	touch "$BOX/run/openrc/softlevel" "$BOX/etc/insserv.conf"
	check "OpenRC: install.sh finds it" installs
	like "OpenRC: the script is its own" "$(head -n 1 "$BOX/etc/init.d/eipd")" openrc-run
	check "OpenRC: rc-update add" box rc-update add eipd default
	for service in libvirtd libvirt-guests xendomains; do
		printf '#!/sbin/openrc-run\n' >"$BOX/etc/init.d/$service"
		chmod 755 "$BOX/etc/init.d/$service"
	done
	starts "OpenRC" rc-service eipd start
	check "OpenRC: status" box rc-service eipd status
	is "OpenRC: it comes before what starts virtual machines" \
		"$(grep -c "iafter_[0-9]*='eipd'" "$BOX/run/openrc/deptree")" 3
	hitless "OpenRC" box rc-service eipd restart
	reloads "OpenRC" box rc-service eipd reload
	check "OpenRC: stop" box rc-service eipd stop
	check "OpenRC: it has stopped" stopped
	check "OpenRC: status of what is stopped is not 0" not box rc-service eipd status
	echo rubbish >>"$CONF"
	check "OpenRC: a start that fails is a failure" not box rc-service eipd start
	conf_write
	rm "$BOX/usr/share/eipd/load-modules"
	check "OpenRC: and a later one, without load-modules, is none" box rc-service eipd start
	check "OpenRC: eipd-uninstall stops it" box eipd-uninstall
	check "OpenRC: it has stopped" stopped
	is "OpenRC: nothing of it is left" "$(find "$BOX/etc/init.d" "$BOX/etc/runlevels" -name '*eipd*')" ""
else
	skip "OpenRC" "it cannot be had here"
fi

# ---- systemd, which cannot run here: what it thinks of the unit
if command -v systemd-analyze >/dev/null; then
	installs --init systemd
	sed "s|/usr/s|$BOX/usr/s|" "$BOX/usr/lib/systemd/system/eipd.service" >"$T/eipd.service"
	check "systemd: systemd-analyze verify" systemd-analyze verify --man=no "$T/eipd.service"
	is "systemd: and has nothing to say" "$(count eipd "$T/check")" 0
	sed -i 's/^Type=.*/Type=nonsense/' "$T/eipd.service"
	systemd-analyze verify --man=no "$T/eipd.service" >"$T/check" 2>&1
	like "systemd: it would" "$(cat "$T/check")" nonsense
else
	skip "systemd" "no systemd-analyze here"
fi
done_testing
