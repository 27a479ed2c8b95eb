#!/usr/bin/env bash
# One static file, daemon and client in one: in an empty root directory, with its two text files
# and nothing else, it leases, binds and answers.
#
#   outer host              hypervisor                                virtual machine
#   eth0 20.251.48.1 ────── eth0   chroot: /eipd /eipctl   br0 ────── vm-001 192.168.6.243
#                                  /etc/eipd/*.conf
#
# Not under sanitizers: it builds the program that it tests.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/static.sh
. "$HERE/static.sh"
stage_up
unset XTABLES_LOCKFILE # it names no place in the empty root
static_or_skip
FILE=$ROOT/build/static/eipd

# ---- the file
check "make static" static_make static
[[ -x $FILE ]] || die "there is no $FILE: $(cat "$T/make")"
size=$(stat -c %s "$FILE")
check "it has less than half a megabyte ($size octets)" test "$size" -lt 500000
is "no interpreter is asked for" "$(readelf -lW "$FILE" | count INTERP)" 0
is "no shared library is asked for" "$(readelf -dW "$FILE" | count NEEDED)" 0
is "it is stripped" "$(readelf -SW "$FILE" | count '\.symtab|\.debug')" 0
is "it can be loaded anywhere" "$(readelf -hW "$FILE" | awk '/Type:/ { print $2 }')" DYN
is "eipctl is a link to it" "$(readlink "$ROOT/build/static/eipctl")" eipd
report=$(grep -A 99 '^build/static/eipd: ' "$T/make")
like "where its bytes are is told" "$report" ' libc'
is "to the last one" "$(awk 'NR > 1 { sum += $1 } END { print sum }' <<<"$report")" "$size"

# ---- two programs
for name in eipctl ./eipctl eipd other; do
	ln -sf "$FILE" "$T/${name##*/}"
done
is "called as eipctl it is the client" "$(cd "$T" && ./eipctl -V)" "$("$EIPCTL" -V)"
is "called by any other name it is the daemon" "$("$T/other" -V)" "$("$EIPD" -V)"
is "only the last part of the name counts" "$(mkdir "$T/eipctl.d" && ln -s "$FILE" "$T/eipctl.d/x" &&
	"$T/eipctl.d/x" -V)" "$("$EIPD" -V)"
"$T/eipctl" >"$T/usage" 2>&1
is "the client's usage is status 2" $? 2
like "an option without its value is named" "$("$T/eipctl" -s 2>&1)" '^eipctl: -s: its value is missing'

# ---- the empty root
BOX=$T/box
mkdir -p "$BOX/etc/eipd"
cp "$FILE" "$BOX/eipd"
ln -s eipd "$BOX/eipctl"
conf daemon.state-dir
conf daemon.run-dir
conf plan.file
conf dhcp.log
RUN=$BOX/run/eipd LOG=$BOX/eipd.log CONF=$BOX/etc/eipd/eipd.conf PLAN=$BOX/etc/eipd/network.conf
conf daemon.log /eipd.log
conf_write
plan "$MAC1,vm-001,$IP1"
# which the daemon cannot do where there is no /proc
hv sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'

# box PROGRAM ARGUMENT…: in the root that has nothing else
box() { hv timeout 20 chroot "$BOX" "$@" </dev/null; }
# box_start: there is no /dev/null in the box, so the daemon keeps what it has
box_start() { box /eipd >"$T/start" 2>&1; }

is "there is nothing in it but the file, the link and two text files" \
	"$(cd "$BOX" && find . ! -type d | sort | tr '\n' ' ')" \
	"./eipctl ./eipd ./etc/eipd/eipd.conf ./etc/eipd/network.conf "
said=$(box /eipd -t 2>&1)
is "eipd -t finds all well ($said)" $? 0
check "eipd starts" box_start
vm_up vm-001 "$MAC1"
check "a lease is given" vm_lease vm-001
like "the planned one" "$(cat "$T/vm-001.env")" "ip=$IP1"
like "eipctl vm list tells of it" "$(box /eipctl vm list 2>&1)" "vm-001 .*active"
like "eipctl ip bind" "$(box /eipctl ip bind vm-001 "$EIP1" 2>&1)" "$EIP1 bound to vm-001"
serve "$P-vm-001" vm-001 8000
is "the VM is reached by its public address" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
like "that forwarding cannot be looked after is said" "$(cat "$LOG")" 'warning: nat: .*ip_forward'
is "once" "$(count ip_forward "$LOG")" 1
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
like "eipctl reload" "$(box /eipctl reload 2>&1)" 'added 1, changed 0, removed 0'
plan "$MAC1,vm-001,$IP1" rubbish
like "a bad plan is refused, with file and line" "$(box /eipctl reload 2>&1)" '/etc/eipd/network.conf:2: '
pid=$(daemon_pid)
awk '/^Private/ { sum += $2 } END { print "# private memory with 2 planned VMs: " sum " kB" }' \
	"/proc/$pid/smaps_rollup"
check "it stops" daemon_end TERM
is "the VM is reached all the same" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
echo 'broken line' >>"$CONF"
said=$(box /eipd -t 2>&1)
is "a bad configuration is status 1" $? 1
like "with file and line" "$said" '/etc/eipd/eipd.conf:[0-9]+: '

# ---- users and groups, without name services
plan "$MAC1,vm-001,$IP1"
printf '%s\n' root:x:0:0::/:/bin/sh caller:x:4711:4712::/:/bin/sh >"$BOX/etc/passwd"
printf '%s\n' root:x:0: callers:x:4712: log:x:4714:caller admins:x:4715: >"$BOX/etc/group"
mkdir "$BOX/bin" "$BOX/seen"
chmod 777 "$BOX/seen"
cp "$(static_busybox)" "$BOX/bin/busybox"
cat >"$BOX/bin/callback" <<'END'
#!/bin/busybox sh
busybox id -u >/seen/user
busybox id -G >/seen/groups
busybox echo "$@" >/seen/arguments
END
chmod 755 "$BOX/bin/callback"
conf control.group admins
conf dhcp.callback /bin/callback
conf dhcp.callback-user caller
conf_write
rm -rf "${BOX:?}/var"
hv strace -f -qq -e trace=chroot,open,openat,connect -o "$T/trace" timeout 20 chroot "$BOX" /eipd \
	>"$T/start" 2>&1 </dev/null &
check "it starts with a callback-user and a group" wait_for 10 test -S "$RUN/eipd.sock"
is "the socket is the group's" "$(stat -c %g "$RUN/eipd.sock")" 4715
vm_lease vm-001
check "the callback is called" wait_for 5 test -s "$BOX/seen/arguments"
like "for the lease" "$(cat "$BOX/seen/arguments")" "^add $MAC1 $IP1 vm-001"
is "as the user" "$(cat "$BOX/seen/user")" 4711
is "with its groups" "$(cat "$BOX/seen/groups")" "4712 4714"
daemon_end TERM
wait
sed -n '/chroot(.* = 0$/,$p' "$T/trace" >"$T/inside"
check "what it opens was seen" grep -q '"/etc/eipd/eipd.conf"' "$T/inside"
is "no library, no name service, no language was looked for" \
	"$(grep -E '\.so|"/(usr/)?lib|nsswitch|nscd|locale|gconv' "$T/inside")" ""

# ---- the time of the place, and a log that nobody reads
mkdir "$BOX/dev"
cat >"$T/syslogd.py" <<'END'
import os, signal, socket, sys
log = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
if os.path.exists(sys.argv[1]):
    os.unlink(sys.argv[1])
log.bind(sys.argv[1])
with open(sys.argv[2], "wb", buffering=0) as lines:
    lines.write(b"listening\n")
    while len(sys.argv) == 3:
        lines.write(log.recv(4096) + b"\n")
    signal.pause()
END
# syslogd FILE [deaf]: takes what is logged into the file, or takes nothing
syslogd() {
	"$PYTHON" "$T/syslogd.py" "$BOX/dev/log" "$@" &
	syslogd=$!
	disown
	wait_for 5 grep -qs listening "$1"
}
conf daemon.log syslog
conf daemon.log-level debug
conf control.group
conf dhcp.callback
conf_write
syslogd "$T/syslog"
before=$(TZ=XST-5:30 date '+%b %e %H:%M')
box_start_there() { hv env TZ=XST-5:30 timeout 20 chroot "$BOX" /eipd >"$T/start" 2>&1 </dev/null; }
check "it starts with its log in syslog" box_start_there
pid=$(daemon_pid)
check "and says so there" wait_for 5 grep -q ' VMs on br0' "$T/syslog"
line=$(grep -m 1 ' VMs on br0' "$T/syslog")
like "a line has priority, time and process" "$line" "^<30>[A-Z][a-z]{2} [ 0-9]{2} [0-9:]{8} eipd\[$pid\]: eipd "
check "the time is that of TZ ($line)" grep -qE "^<30>($before|$(TZ=XST-5:30 date '+%b %e %H:%M'))" "$T/syslog"
check "so it is in the operation log" wait_for 5 grep -q '+0530 ' "$BOX/var/log/eipd/lease.log"
kill "$syslogd"
wait_for 5 gone "$syslogd"
syslogd "$T/syslog.new"
box /eipctl reload >"$T/out" 2>&1
check "a syslogd that is started anew gets what is logged" wait_for 5 grep -q 'plan: ' "$T/syslog.new"
kill "$syslogd"
wait_for 5 gone "$syslogd"
syslogd "$T/syslog.deaf" deaf
asked=0
for ((i = 0; i < 30; i++)); do
	kill -USR1 "$pid"
	box /eipctl status >"$T/out" 2>&1 && asked=$((asked + 1))
done
is "one that reads nothing does not stop it" "$asked" 30
kill "$syslogd"
daemon_end TERM
done_testing
