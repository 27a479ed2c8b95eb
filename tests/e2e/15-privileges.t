#!/usr/bin/env bash
# Least privilege: what the daemon may still do when it runs, as root and as a user of its own; that
# all it has to do is done with that; and what it refuses to start with.
#
#   outer host              hypervisor                          virtual machine
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#                                br0 192.168.6.22/24 ────────┘

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
serve "$P-vm-001" vm-001 8000
conf nat.resync 1s

# Accounts that only the daemon and its children see.
printf '%s\n' root:x:0:0::/:/bin/sh worker:x:4711:4712::/:/bin/sh caller:x:4713:4714::/:/bin/sh >"$T/passwd"
printf '%s\n' root:x:0: workers:x:4712: callers:x:4714: log:x:4715:caller >"$T/group"
cat >"$T/eipd" <<END
#!/bin/sh
mount --bind "$T/passwd" /etc/passwd && mount --bind "$T/group" /etc/group && exec "$EIPD" "\$@"
END
chmod 755 "$T/eipd"
EIPD=$T/eipd

# What the callback is. It is not there when it begins to write, and has a file for each daemon, as
# the callback of one that has ended may still be at it.
mkdir -m 777 "$T/seen"
cat >"$T/callback" <<END
#!/bin/sh
{
	cat /proc/self/status
	echo Descriptors: \$(ls /proc/self/fd)
	"$PYTHON" -c 'import ctypes
print("Securebits:", ctypes.CDLL(None).prctl(27))
try:
    open("$T/seen/other", "w")
    print("Override: yes")
except OSError:
    print("Override: no")'
} >"$T/seen/new.\$PPID" 2>&1
mv "$T/seen/new.\$PPID" "$T/seen/callback.\$PPID"
END
chmod 755 "$T/callback"
echo 'not for the callback' >"$T/seen/other"
chown 4799 "$T/seen/other"

# value KEY FILE: of a file like /proc/PID/status, blanks made one
value() { awk -v key="$1:" '$1 == key { $1 = ""; print substr($0, 2); exit }' "$2"; }
NONE=0000000000000000 WORK=0000000000003000 WORK_AND_OTHERS=00000000000030e0

# has_only SENTENCE FILE CAPABILITIES: of a status file
has_only() {
	is "$1: capabilities, effective and permitted" "$(value CapEff "$2") $(value CapPrm "$2")" "$3 $3"
	is "$1: none to be inherited or had later" \
		"$(value CapInh "$2") $(value CapAmb "$2") $(value CapBnd "$2")" "$NONE $NONE $NONE"
	is "$1: no program that it runs gets more" "$(value NoNewPrivs "$2")" 1
}

# an_event: that the callback is told
an_event() {
	vm_lease vm-001
	plan "$MAC1,other,$IP1"
	ctl reload >/dev/null
	plan "$MAC1,vm-001,$IP1"
	ctl reload >/dev/null
}

# callback_has_nothing SENTENCE UID: what it saw of itself
callback_has_nothing() {
	seen=$T/seen/callback.$(daemon_pid)
	an_event
	check "$1: the callback was called" wait_for 10 test -s "$seen"
	is "$1: the callback is user $2" "$(value Uid "$seen")" "$2 $2 $2 $2"
	has_only "$1: the callback" "$seen" $NONE
	is "$1: user 0 is nobody special there" "$(value Securebits "$seen")" 3
	is "$1: it cannot pass over permissions" "$(value Override "$seen")" no
	# 3 is the directory that ls reads
	is "$1: it has no descriptor of ours" "$(value Descriptors "$seen")" "0 1 2 3"
}

# threads_have CAPABILITIES: every thread that a reload starts
threads_have() {
	"$PYTHON" - "$(daemon_pid)" "$EIPCTL" "$SOCKET" <<'END'
import os, subprocess, sys, time
pid, eipctl, socket = sys.argv[1:]
seen, end = set(), time.monotonic() + 20
while time.monotonic() < end:
    with subprocess.Popen([eipctl, "-s", socket, "reload"], stdout=subprocess.DEVNULL) as reload:
        while reload.poll() is None:
            for task in os.listdir("/proc/%s/task" % pid):
                try:
                    text = open("/proc/%s/task/%s/status" % (pid, task)).read()
                except OSError:
                    continue
                if task != pid and text:
                    seen.add(text.split("CapEff:")[1].split()[0])
    if seen:
        break
print(*seen)
END
}

forwarding() { [[ $(hv cat /proc/sys/net/ipv4/ip_forward) == "$1" ]]; }
jumps() { [[ $(nat_rules | count '^-A PREROUTING -j EIPD') == "$1" ]]; }
events_now() { ctl events | grep -c . ; }
hairpin_on() { ip -n "$HV" -d link show vnet1 | grep -q 'hairpin on'; }
leased() { vm_lease vm-001 && grep -qx "ip=$IP1" "$T/vm-001.env"; }
reaches() { [[ $(ask "$OUT" "$EIP1" 8000) == "vm-001 sees 20.251.48.1" ]]; }
# Whoever else wants the port of the bridge: `taken`, `free`, …
port() {
	hv "$PYTHON" -c 'import errno, socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"br0")
try:
    s.bind(("0.0.0.0", 67))
    print("free")
except OSError as error:
    print("taken" if error.errno == errno.EADDRINUSE else error)'
}

# works SENTENCE: all that a daemon does after its start that a process without rights may not
works() {
	check "$1: DHCP answers" leased
	check "$1: an address is bound" ctl ip bind vm-001 "$EIP1"
	check "$1: and reaches its VM" reaches
	check "$1: a VM is isolated" ctl vm isolate vm-001
	is "$1: and unreachable" "$(TALK_PATIENCE=1.5 ask "$OUT" "$EIP1" 8000 | count sees)" 0
	check "$1: and comes back" ctl vm rejoin vm-001
	check "$1: a VM is added to the plan" ctl vm add "added"
	check "$1: and deleted" ctl vm del "added"
	hv sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
	check "$1: forwarding is switched on again" wait_for 5 forwarding 1
	hv iptables-legacy -w 10 -t nat -F PREROUTING
	check "$1: rules are mended" wait_for 5 jumps 1

	mv "$LOG" "$LOG.1"
	mv "$LEASES" "$LEASES.1"
	kill -HUP "$(daemon_pid)"
	check "$1: HUP makes the log anew" wait_for 5 test -e "$LOG"
	check "$1: and the log of leases" wait_for 5 test -e "$LEASES"

	# the lock of iptables
	lock_hold
	local binding
	ctl ip bind vm-001 "$EIP2" >"$T/bind" 2>&1 &
	binding=$!
	begun() { grep -q "$EIP2" "$STATE/bindings"; }
	check "$1: a bind begins" wait_for 5 begun
	check "$1: it waits for the lock of iptables" not gone "$binding"
	lock_release
	wait "$binding"
	is "$1: until it is free" "$? $(<"$T/bind")" "0 $(<"$T/bind")"
	check "$1: nor does it keep the lock itself" flock -n "$XTABLES_LOCKFILE" true

	# the bridge made anew
	ip -n "$HV" link del br0
	check "$1: it sees that the bridge is gone" wait_for 10 listening false
	ip -n "$HV" link add br0 type bridge
	ip -n "$HV" addr add 192.168.6.22/24 dev br0
	ip -n "$HV" link set br0 up
	ip -n "$HV" link set eth1 master br0
	ip -n "$HV" link set vnet1 master br0
	check "$1: the bridge made anew is served" wait_for 10 listening true
	wait_for 5 link_ready br0
	check "$1: a VM there gets its lease" leased
	is "$1: the port of the new bridge is taken" "$(port)" taken
	if hv grep -qs 1 /proc/sys/net/bridge/bridge-nf-call-iptables; then
		check "$1: flags of its ports are set" wait_for 5 hairpin_on
	else
		skip "$1: flags of its ports are set" "bridged frames do not pass iptables here"
	fi
}
listening() { [[ $(field 'd["dhcp"]["listening"]' status) == "$1" ]]; }

# ends SENTENCE
ends() {
	check "$1: TERM ends it" daemon_end TERM
	check "$1: the pid file is gone" not test -e "$RUN/eipd.pid"
	check "$1: so is the socket" not test -e "$SOCKET"
}

# ---- as root
conf dhcp.callback "$T/callback"
daemon_up
status=/proc/$(daemon_pid)/status
is "as root: it is root" "$(value Uid "$status")" "0 0 0 0"
has_only "as root" "$status" $WORK
callback_has_nothing "as root" 0
is "as root: threads have no more" "$(threads_have)" $WORK
works "as root"
conf nat.on-exit remove
daemon_end TERM
daemon_up
ends "as root"
check "as root: on-exit = remove: the rules are gone" jumps 0
check "as root: and the addresses" not address_on "$EIP1"
conf nat.on-exit

# ---- a umask of those who let nobody see anything
rm -rf "$RUN"
(umask 077 && daemon_start)
is "umask 077: members of the group come to the socket" "$(stat -c %a "$RUN" "$SOCKET" | tr '\n' ' ')" "755 660 "
daemon_end TERM

# ---- as a user of its own
ctl_owner() { stat -c '%u:%g' "$@" | sort -u | tr '\n' ' '; }
rm -rf "$STATE" "$RUN"
mkdir "$T/etc"
PLAN=$T/etc/network.conf LOG=$T/log/eipd.log LEASES=$T/log/lease.log
conf plan.file "$PLAN"
conf daemon.log "$LOG"
conf dhcp.log "$LEASES"
plan "$MAC1,vm-001,$IP1"
chown -R 4711:4712 "$T/etc"
conf daemon.user worker
conf_write
said=$(eipd -t 2>&1)
is "as a user: -t finds nothing wrong, and makes nothing" "$? $(ls -d "$STATE" "$RUN" "$T/log" 2>/dev/null)" "0 "
daemon_up
status=/proc/$(daemon_pid)/status
is "as a user: it is that user" "$(value Uid "$status") $(value Gid "$status")" "4711 4711 4711 4711 4712 4712 4712 4712"
is "as a user: with its groups and no more" "$(value Groups "$status")" 4712
has_only "as a user" "$status" $WORK
is "as a user: what was missing was made for it" \
	"$(ctl_owner "$STATE" "$RUN" "$T/log" "$LOG" "$LEASES")" "4711:4712 "
is "as a user: what is above stays root's" "$(ctl_owner "$T")" "0:0 "
is "as a user: the socket's mode" "$(stat -c %a "$SOCKET")" 660
callback_has_nothing "as a user" 4711
is "as a user: threads have no more" "$(threads_have)" $WORK
works "as a user"
is "as a user: its files are its own" "$(ctl_owner "$STATE"/* "$RUN"/* "$LOG" "$LEASES")" "4711:4712 "
is "as a user: the plan still is" "$(ctl_owner "$PLAN")" "4711:4712 "
setpriv --reuid=4711 --regid=4712 --clear-groups "$EIPCTL" -s "$SOCKET" status >/dev/null 2>"$T/stderr"
is "as a user: even that user is nobody for the socket" "$?" 1

run_second=$(eipd 2>&1)
is "as a user: a second one does not start" $? 1
like "as a user: and names the first" "$run_second" "runs already \(pid $(daemon_pid),"
daemon_end KILL
(umask 277 && cp "$STATE/bindings" "$STATE/bindings.bak")
check "as a user: it starts after kill -9, with a backup of root's beside its files" daemon_start
rm -f "$STATE/bindings.bak"
check "as a user: the address is there again" reaches
conf nat.on-exit remove
daemon_end TERM
daemon_up
ends "as a user"
check "as a user: on-exit = remove: the rules are gone" jumps 0
conf nat.on-exit

# the lock of iptables is another file meanwhile
daemon_up
mv "$XTABLES_LOCKFILE" "$XTABLES_LOCKFILE.old"
(umask 077 && : >"$XTABLES_LOCKFILE")
ctl ip unbind "$EIP1" >"$T/stdout" 2>"$T/stderr"
is "as a user: a lock made anew is not locked by the old one" $? 1
like "as a user: and what to do is said" "$(<"$T/stderr")" "$XTABLES_LOCKFILE .*restart eipd"
daemon_end TERM

# a log in a directory of root's
conf daemon.log "$T/root.log"
conf_write
check "as a user: a log that root must make is no problem for -t" eipd -t
daemon_up
is "as a user: a log that root must make is made for it" "$(ctl_owner "$T/root.log")" "4711:4712 "
check "as a user: and written" grep -q 'addresses on eth0' "$T/root.log"
daemon_end TERM
conf daemon.log "$LOG"

# ---- a callback of another user
conf dhcp.callback-user caller
daemon_up
has_only "callback-user" "/proc/$(daemon_pid)/status" $WORK_AND_OTHERS
callback_has_nothing "callback-user" 4713
is "callback-user: its groups and no more" "$(value Groups "$seen")" "4714 4715"
daemon_end TERM
conf dhcp.callback-timeout 1s
daemon_up
cp "$T/callback" "$T/callback.good"
printf '#!/bin/sh\necho $$ >"%s"\nexec sleep 600\n' "$T/seen/sleeper" >"$T/callback"
an_event
sleeper_gone() { [[ -s $T/seen/sleeper ]] && gone "$(<"$T/seen/sleeper")"; }
check "callback-user: one that takes too long is killed" wait_for 20 sleeper_gone
daemon_end TERM
cp "$T/callback.good" "$T/callback"
conf dhcp.callback-timeout
for user in worker ""; do
	conf dhcp.callback-user "$user"
	daemon_up
	has_only "callback-user = ${user:-nobody}" "/proc/$(daemon_pid)/status" $WORK
	daemon_end TERM
done
conf dhcp.callback-user caller
conf dhcp.callback
daemon_up
has_only "callback-user without a callback" "/proc/$(daemon_pid)/status" $WORK
daemon_end TERM
conf daemon.user
conf dhcp.callback "$T/callback"
rm -rf "$STATE" "$RUN" "$T/log"
chown -R 0:0 "$T/etc"
daemon_up
has_only "callback-user, as root" "/proc/$(daemon_pid)/status" $WORK_AND_OTHERS
callback_has_nothing "callback-user, as root" 4713
daemon_end TERM
# In a container that may not change what is inherited, the child has to give up all by itself.
conf dhcp.callback-user
cp "$T/eipd" "$T/eipd.good"
sed -i 's/exec/exec setpriv --bounding-set=-setpcap/' "$T/eipd"
daemon_up
is "without CAP_SETPCAP: capabilities" "$(value CapPrm "/proc/$(daemon_pid)/status")" $WORK
seen=$T/seen/callback.$(daemon_pid)
an_event
check "without CAP_SETPCAP: the callback was called" wait_for 10 test -s "$seen"
is "without CAP_SETPCAP: it has no capabilities" "$(value CapEff "$seen") $(value CapPrm "$seen")" "$NONE $NONE"
daemon_end TERM
cp "$T/eipd.good" "$T/eipd"
conf dhcp.callback
conf dhcp.callback-user

# ---- what does not do
# cannot SENTENCE REGEX: neither does it start, nor is -t content
cannot() {
	local said status
	conf_write
	said=$(eipd 2>&1 </dev/null)
	status=$?
	is "$1: it does not start" "$status" 1
	((status)) || daemon_end TERM
	like "$1: and says why" "$said" "$2"
	said=$(eipd -t 2>&1)
	is "$1: -t exits 1" $? 1
	like "$1: -t says why" "$said" "$2"
}
conf daemon.user nobody-here
cannot "a user that is not there" "^$CONF:[0-9]+: \[daemon\] user: there is no user nobody-here"
conf daemon.user worker
cannot "directories of root's" "^$CONF:[0-9]+: \[daemon\] state-dir: $STATE may not be used by worker, .*; give it"
like "all of them are told of" "$(eipd -t 2>&1)" "run-dir: $RUN .*\[dhcp\] log: $LEASES "
chown 4711 "$STATE" "$RUN" "$T/log" "$LOG" "$LEASES"
cannot "files of root's in a directory of its own" "\[daemon\] state-dir: $STATE/[a-z.-]+ may not be used by worker"
rm -rf "$STATE" "$RUN" "$T/log"
chmod 600 "$PLAN"
said=$(eipd -t 2>&1)
is "a plan that it may not read: -t exits 1" $? 1
like "a plan that it may not read: -t says so" "$said" \
	"$PLAN:1: cannot be read: Permission denied; give it to worker"
chmod 644 "$PLAN"
chmod 700 "$T/callback"
conf dhcp.callback "$T/callback"
cannot "a callback that it may not run" "\[dhcp\] callback: $T/callback is not a program"
conf dhcp.callback
# A link that the user has put there must not lead root to where it makes something for that user.
mkdir "$T/own" "$T/roots"
ln -s "$T/roots" "$T/own/logs"
chown -h 4711 "$T/own" "$T/own/logs"
conf dhcp.log "$T/own/logs/lease.log"
conf daemon.state-dir "$T/own/logs/state"
cannot "a link in a directory of its own" "$T/own/logs"
is "nothing was made behind it" "$(ls "$T/roots")" ""
conf dhcp.log "$LEASES"
conf daemon.state-dir "$STATE"
# another server on the port is named, whoever looks
ip netns exec "$HV" "$PYTHON" -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 67))
print("bound", flush=True)
s.recv(1)' >"$T/holder" &
holder=$!
wait_for 5 grep -q bound "$T/holder"
cannot "port 67 taken by a program of root's" '67.*python3'
kill "$holder"
wait_for 5 gone "$holder"
conf daemon.user
rm -rf "$STATE"
mkdir "$STATE"
chown 4711 "$STATE"
cannot "as root, a directory of somebody else's" "state-dir: $STATE may not be used by root, as whom"
rm -rf "$STATE"

# ---- a plan that it may not write
for user in worker ""; do
	conf daemon.user "$user"
	rm -rf "$STATE" "$RUN" "$T/log"
	chown 4711 "$T/etc"
	chown 4799 "$PLAN"
	[[ -n $user ]] || chown 0 "$T/etc"
	daemon_up
	cp -p "$PLAN" "$T/plan.before"
	refused "${user:-root}: vm add where the plan is another's" 1 "$PLAN cannot be written" vm add more
	check "${user:-root}: the plan is as it was" cmp "$PLAN" "$T/plan.before"
	is "${user:-root}: nothing is left beside it" "$(ls "$T/etc")" network.conf
	is "${user:-root}: no VM was added" "$(field 'len(d)' vm list)" 1
	daemon_end TERM
done
done_testing
