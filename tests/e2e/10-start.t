#!/usr/bin/env bash
# How the daemon starts, stops, takes signals, and what it says when it cannot run.
#
#   eth0 ── hypervisor: eipd ── br0 ──┬── eth1
#                                     └── vnet1 ── vm-001

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
conf_write

# run COMMAND…: status in $status, both outputs in $said
run() {
	said=$("$@" 2>&1 </dev/null)
	status=$?
}

# cannot SENTENCE REGEX…: a start ends with status 1 and names all of it on standard error, and
# so does -t
cannot() {
	local sentence=$1 regex
	shift
	conf_write
	eipd >"$T/stdout" 2>"$T/stderr" </dev/null
	status=$?
	is "$sentence: it does not start" $status 1
	if ((status == 0)); then
		daemon_end TERM
		return
	fi
	for regex; do
		like "$sentence: standard error says so" "$(<"$T/stderr")" "$regex"
	done
	run eipd -t
	is "$sentence: -t exits 1" "$status" 1
	for regex; do
		like "$sentence: -t says so" "$said" "$regex"
	done
}

# ---- options
run eipd -V
is "-V exits 0" "$status" 0
like "-V prints name and version" "$said" '^eipd .*[0-9]'
run eipd --version
is "--version is the same" "$status" 0
run eipd -h
is "-h exits 0" "$status" 0
for option in -c -f -t -v -V; do
	like "-h explains $option" "$said" "${option}[, ]"
done
run eipd --no-such-option
is "an unknown option exits 2" "$status" 2
run eipd -c
is "an option without its argument exits 2" "$status" 2
run eipd surplus
is "an argument too many exits 2" "$status" 2

# ---- -t
run eipd -t
is "-t with everything right exits 0" "$status $said" "0 $said"
check "-t starts nothing" not test -e "$RUN/eipd.pid"
is "-t does not switch forwarding on" "$(hv cat /proc/sys/net/ipv4/ip_forward)" 0
is "-t makes no chain" "$(nat_rules | count EIPD)" 0

# ---- detached
check "it starts" daemon_start
check "DHCP answers at once, to the first packet" \
	vm vm-001 env RECORD="$T/vm-001" busybox udhcpc -f -q -n -t 1 -T 10 -i eth0 -s /bin/true
for chain in PREROUTING OUTPUT POSTROUTING; do
	is "NAT is in place: one jump from $chain" \
		"$(nat_rules | count "^-A $chain -j EIPD-$chain\$")" 1
done
is "packet forwarding is on" "$(hv cat /proc/sys/net/ipv4/ip_forward)" 1
like "and it said so" "$(<"$LOG")" 'ip_forward|forwarding'
pid=$(daemon_pid)
is "the pid file names the daemon" "$(cat "/proc/$pid/comm")" eipd
is "status tells the same pid" "$(field 'd["pid"]' status)" "$pid"
is "status says ready" "$(field 'd["ready"]' status)" true
is "the socket is for root and its group" "$(stat -c %a "$SOCKET")" 660
is "it holds on to no output of its parent" \
	"$(readlink "/proc/$pid/fd/1" "/proc/$pid/fd/2" | count "^$T/start")" 0
like "the log is where the configuration says" "$(<"$LOG")" '.'

# ---- a second one
run eipd
is "a second daemon does not start" "$status" 1
like "and names the first" "$said" "$pid|running"
is "the first is not disturbed" "$(field 'd["pid"]' status)" "$pid"
is "and its pid file is still there" "$(daemon_pid)" "$pid"

# ---- signals
kill -USR1 "$pid"
# status_in FILE: all keys of the status are there, with JSON behind them
status_in() {
	[[ $(sed -n 's/.*status: //p' "$1" | "$PYTHON" -c 'import json, sys
parts = [line.split(": ", 1) for line in sys.stdin]
values = [json.loads(value) for _, value in parts]
print(json.dumps(sorted({name.split(".")[0] for name, _ in parts})))') == "$(field 'sorted(d)' status)" ]]
}
check "USR1 writes the status to the log" wait_for 5 status_in "$LOG"
# more than there is room for in a line
many=() lines=("$MAC1,vm-001,$IP1")
for ((i = 10; i < 30; i++)); do
	many+=("vm-with-a-name-that-is-as-long-as-the-name-of-one-may-be$i")
	lines+=("02:00:00:00:00:$i,${many[-1]},192.168.6.1$i")
done
plan "${lines[@]}"
ctl reload >/dev/null
for name in "${many[@]}"; do ctl vm isolate "$name" >/dev/null; done
kill -USR1 "$pid"
all_told() { status_in "$LOG" && [[ $(count "status: isolation.vms: \"" "$LOG") == "${#many[@]}" ]]; }
check "USR1 writes it whole, however long it is" wait_for 5 all_told
for name in "${many[@]}"; do ctl vm rejoin "$name" >/dev/null; done

plan "$MAC1,vm-001,$IP1"
mv "$LOG" "$LOG.1"
kill -HUP "$pid"
plan_has_one() { [[ $(field 'd["plan"]["vms"]' status) == 1 ]]; }
check "HUP reads the plan again" wait_for 5 plan_has_one
check "HUP opens the log again" wait_for 5 test -s "$LOG"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"

check "TERM ends it" daemon_end TERM
check "the pid file is gone" not test -e "$RUN/eipd.pid"
check "the socket is gone" not test -e "$SOCKET"

# ---- without descriptors
# shellcheck disable=SC2016 # the shell inside expands it
check "no descriptor is open at the start: it starts" hv timeout 60 sh -c 'exec "$@" <&- >&- 2>&-' - "$EIPD" -c "$CONF"
pid=$(daemon_pid)
is "no descriptor is open at the start: it answers" "$(field 'd["pid"]' status)" "$pid"
run eipd
is "no descriptor is open at the start: a second one does not start" "$status" 1
check "TERM ends it" daemon_end TERM

# ---- in the foreground
conf daemon.log syslog
conf daemon.log-level error
conf_write
foreground() { # OPTION…: runs it, with one DHCP exchange, until TERM; leaves its status in $status
	ip netns exec "$HV" "$EIPD" -c "$CONF" -f "$@" >"$T/stdout" 2>"$T/stderr" </dev/null &
	local child=$!
	if wait_for 10 ctl status; then
		vm_lease vm-001
		kill -USR1 "$child"
		check "eipd -f $*: USR1 writes the status" wait_for 5 status_in "$T/stderr"
		is "eipd -f $*: it is the process that was started" "$(daemon_pid)" "$child"
	else
		fail "eipd -f $*: it starts" <"$T/stderr"
	fi
	kill -TERM "$child"
	wait "$child"
	status=$?
}
foreground
is "eipd -f: TERM ends it with status 0" "$status" 0
is "eipd -f: log-level error keeps it quiet" "$(grep -ic "$MAC1" "$T/stderr")" 0
foreground -v
is "eipd -f -v: TERM ends it with status 0" "$status" 0
like "eipd -f -v: debug messages go to standard error" "$(<"$T/stderr")" "$MAC1"
ip netns exec "$HV" "$EIPD" -c "$CONF" -f >"$T/stdout" 2>"$T/stderr" </dev/null &
child=$!
wait_for 10 ctl status
kill -INT "$child"
wait "$child"
is "eipd -f: INT ends it with status 0" $? 0
# a pipe that nobody reads; it is full when the daemon starts
mkfifo "$T/stalled"
exec 8<>"$T/stalled"
"$PYTHON" -c 'import os
os.set_blocking(8, False)
try:
    while True:
        os.write(8, b"x" * 4096)
except BlockingIOError:
    os.set_blocking(8, True)'
ip netns exec "$HV" "$EIPD" -c "$CONF" -f -v >"$T/stdout" 2>&8 </dev/null &
child=$!
wait_for 10 ctl status
check "eipd -f: a reader of its log that stalls does not stop DHCP" vm_lease vm-001
check "eipd -f: nor commands" ctl status
kill -TERM "$child"
wait_for 10 gone "$child" || kill -KILL "$child"
wait "$child"
is "eipd -f: nor a stop" $? 0
exec 8>&-
conf daemon.log "$LOG"
conf daemon.log-level debug

# ---- what can be wrong
conf_write
chmod 644 "$CONF"
cp "$EIPD" "$T/eipd"
nobody=(hv setpriv --reuid=65534 --regid=65534 --clear-groups "$T/eipd")
run "${nobody[@]}" -c "$CONF"
is "not started as root: it does not start" "$status" 1
like "not started as root: it says so, and no more" "$said" "^$CONF:[0-9]+: [^"$'\n'"]*start it as root[^"$'\n'"]*\$"
run "${nobody[@]}" -t -c "$CONF"
is "not started as root: -t says just that" "$said" "$("${nobody[@]}" -c "$CONF" 2>&1)"

run hv timeout 20 "$EIPD" -c "$T/nowhere.conf"
is "a missing configuration file exits 1" "$status" 1
like "and is named" "$said" "^$T/nowhere.conf:[0-9]+: "

conf_write
cat >"$CONF" <<END
[daemon]
state-dir = $STATE
run-dir = $RUN
[inner]
bridgee = br0
[outer]
interface = eth0
pool = 20.251.48.99-20.251.48.98
announce = many
[plan]
file = $PLAN
[dhcp]
lease-time = soon
authoritative = maybe
[sputnik]
beep = yes
END
run eipd -t
is "a configuration with many errors: -t exits 1" "$status" 1
like "an unknown key is named with file, line and nearest known key" "$said" \
	"$CONF:5: [^"$'\n'"]*bridgee[^"$'\n'"]*bridge([^e]|\$)"
like "a range the wrong way round is named with file and line" "$said" "$CONF:8: "
like "a bad number is named with file and line" "$said" "$CONF:9: [^"$'\n'"]*announce"
like "a bad time is named with file and line" "$said" "$CONF:13: [^"$'\n'"]*lease-time"
like "a bad yes or no is named with file and line" "$said" "$CONF:14: [^"$'\n'"]*authoritative"
like "an unknown section is named with file and line" "$said" "$CONF:1[56]: [^"$'\n'"]*sputnik"
run eipd
is "it does not start with it" "$status" 1
like "and gives the reason on standard error" "$said" "$CONF:5: "

like "and so is what is wrong with the plan, if that can be found" \
	"$(sed -i 's/^state-dir.*/state-dir = here/' "$CONF"; echo bad >"$PLAN"; eipd -t 2>&1)" \
	"$CONF:2: .*$CONF:5: .*$CONF:15: .*$PLAN:1: no MAC"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"

conf outer.pool
cannot "no pool" 'pool'
conf outer.pool 20.251.48.99-20.251.48.110

conf control.group nosuchgroup
cannot "a group that does not exist" "$CONF:[0-9]+: \[control\] group: .*nosuchgroup"
conf daemon.user nosuchuser
cannot "a user that does not exist" "$CONF:[0-9]+: \[daemon\] user: .*nosuchuser"
like "and -t tells of the group as well" "$said" 'nosuchgroup'
conf control.group
conf daemon.user

conf inner.bridge br7
cannot "a bridge that does not exist" 'br7'
conf inner.bridge br0

conf outer.interface eth7
cannot "an outer interface that does not exist" 'eth7'
conf outer.interface eth0

ip -n "$HV" link set br0 down
cannot "a bridge that is down" 'br0.*down|br0.*not up'
ip -n "$HV" link set br0 up
ip -n "$HV" addr del 192.168.6.22/24 dev br0
cannot "a bridge without an address" 'br0.*address'
ip -n "$HV" addr add 192.168.6.22/24 dev br0

conf inner.address 192.168.6.23
cannot "an address that the bridge has not" '\[inner\] address: .*192.168.6.23;'
conf inner.address 192.168.6.22
conf_write
check "the bridge's address may be without its length" eipd -t
conf outer.pool 192.168.6.99
cannot "which the kernel tells" '\[outer\] pool: it overlaps'
conf outer.pool 20.251.48.99-20.251.48.110
conf inner.address

conf inner.uplink eth0
conf_write
run eipd -t
is "an uplink that is no port of the bridge: -t exits 1" "$status" 1
like "an uplink that is no port of the bridge: -t says so" "$said" 'eth0'
conf inner.uplink eth1

ip netns exec "$HV" "$PYTHON" -c 'import socket
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind(("0.0.0.0", 67))
print("bound", flush=True)
s.recv(1)' >"$T/holder" &
holder=$!
wait_for 5 grep -q bound "$T/holder"
cannot "port 67 taken by another program" '67' 'python3'
kill "$holder"
wait_for 5 gone "$holder"

rm -rf "$STATE"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002" "not a line at all"
cannot "a plan with two bad lines and no good one before" "$PLAN:2: " "$PLAN:3: "
rm -f "$PLAN"
cannot "a missing plan and no good one before" "$PLAN"

plan "$MAC1,vm-001,$IP1"
check "after all that it starts when everything is right" daemon_start
check "and stops" daemon_end TERM
done_testing
