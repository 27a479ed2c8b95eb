#!/usr/bin/env bash
# The process itself is in trouble: it runs out of descriptors, it is stopped for a while and then
# flooded, it finds the pid file of a dead one, or another one is started at the same time.
#
#   outer host ── eth0 hypervisor br0 ──┬── vm-001
#                                       └── flood

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
"${CC:-cc}" -O2 -o "$T/flood" "$HERE/flood.c" >"$T/cc" 2>&1 || die "no flood: $(cat "$T/cc")"
vm_up vm-001 "$MAC1"
vm_up flood 02:00:00:ff:00:01
serve "$P-vm-001" vm-001 8000
cat >"$T/callback" <<END
#!/bin/sh
echo "\$1 \$4" >>"$T/told"
END
chmod 755 "$T/callback"
: >"$T/told"
conf dhcp.callback "$T/callback"
conf nat.resync 1s
conf daemon.log-level info

leased() { vm_lease vm-001 && grep -qx "ip=$IP1" "$T/vm-001.env"; }
reaches() { [[ $(ask "$OUT" "$EIP1" 8000) == "vm-001 sees 20.251.48.1" ]]; }
told() { grep -qx "$1" "$T/told"; }
logged() { (($(count "$1" "$LOG") > 0)); }
in_file() { grep -q "$MAC1" "$STATE/leases"; }
jumps() { [[ $(nat_rules | count '^-A PREROUTING -j EIPD') == 1 ]]; }
ticks() { awk '{ print $14 + $15 }' "/proc/$(daemon_pid)/stat"; } # of the processor, 100 a second
unsettled() { hv iptables-legacy -w 10 -t nat -F PREROUTING; }

# ---- no descriptors
daemon_up
daemon=$(daemon_pid)
ctl ip bind vm-001 "$EIP1" >/dev/null
vm_static vm-001 "$IP1"
check "a public address works" reaches
limit() { prlimit --pid "$daemon" --nofile="$1:"; }
# the number that the next descriptor would have
lowest() {
	local n=0
	while [[ -e /proc/$daemon/fd/$n ]]; do ((++n)); done
	echo "$n"
}
before_limit=$(prlimit --pid "$daemon" --nofile --output SOFT --noheadings)
limit "$(lowest)"
before=$(ticks)
timeout 4 "$EIPCTL" -s "$SOCKET" status >/dev/null 2>&1
is "no descriptors: who comes then has to wait" $? 124
check "no descriptors: the log says so, and what to do" wait_for 3 logged 'no more descriptors.*Too many open files; .*ulimit -n'
check "no descriptors: DHCP goes on" leased
check "no descriptors: NAT goes on" reaches
is "no descriptors: it is said once" "$(count 'no more descriptors' "$LOG")" 1
check "no descriptors: it does not spin" test $(($(ticks) - before)) -lt 100
unsettled
limit "${before_limit// /}"
check "there are some again: it answers" wait_for 5 ctl status
check "there are some again: the callback is told of what was" wait_for 10 told "add vm-001"
check "there are some again: the lease is written" wait_for 10 in_file
check "there are some again: what was changed meanwhile is mended" wait_for 5 jumps
check "there are some again: a bind" ctl ip bind vm-001 "$EIP2"

# ---- stopped, and then all at once
kill -STOP "$daemon"
for ((i = 0; i < 40; i++)); do
	"$EIPCTL" -s "$SOCKET" status >"$T/waiting.$i" 2>&1 &
	waiting[i]=$!
done
unsettled
rate=20000
! is_sanitized || rate=2000 # slower than what it takes then
vm flood "$T/flood" eth0 $rate $rate >"$T/flooded" 2>&1 # a second
vm flood "$T/flood" eth0 $((3 * rate)) $rate >"$T/flooded" 2>&1 &
flooder=$!
kill -CONT "$daemon"
check "stopped while it is flooded: a machine has its lease when it goes on" wait_for 30 leased
failed=0
for pid in "${waiting[@]}"; do wait "$pid" || ((++failed)); done
is "all who had asked meanwhile are answered" $failed 0
check "what was changed meanwhile is mended" wait_for 5 jumps
wait "$flooder"
before=$(ticks)
for i in 1 2 3; do
	unsettled
	wait_for 20 jumps
done
check "that the bridge knows $(hv bridge fdb show br br0 | wc -l) machines now is no work for the daemon" \
	test $(($(ticks) - before)) -lt 100
is "it is the same daemon" "$(daemon_pid)" "$daemon"
check "which answers" ctl status
check "and still has the address" reaches
daemon_end TERM
hv bridge fdb del "$MAC1" dev vnet1 master
ask "$P-vm-001" 192.168.6.22 9 >/dev/null # which the bridge learns as the last of all
daemon_up
like "another one finds a machine among all of them" "$(ctl vm isolate vm-001)" '\(port vnet1;'
ctl vm rejoin vm-001 >/dev/null

# ---- no memory
if is_sanitized; then
	skip "no memory: the log says so" "their shadow is larger than any limit"
else
	room=$(($(awk '/VmSize/ { print $2 * 1024 }' "/proc/$(daemon_pid)/status") + (16 << 20)))
	daemon=$(daemon_pid)
	prlimit --pid "$daemon" --as=$room
	head -c 32M /dev/zero | tr '\0' '#' >>"$PLAN"
	ctl reload >/dev/null 2>&1
	check "no memory: it ends" wait_for 5 gone "$daemon"
	check "no memory: the log says so" wait_for 5 logged 'error: out of memory'
	plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
	check "no memory: it is started again" daemon_start
fi

# ---- pid files
daemon_end KILL
check "kill -9 leaves the pid file" test -s "$RUN/eipd.pid"
check "the pid file of a dead one does not matter" daemon_start
daemon_end KILL
flock "$RUN/eipd.pid" sleep 2 & # a child of the dead one, on a busy machine
wait_for 5 not flock -n "$RUN/eipd.pid" true
check "nor that a child of it has not ended yet" daemon_start
daemon_end KILL
echo $$ >"$RUN/eipd.pid"
check "nor if another process has that pid now" daemon_start
check "and that one is not taken for eipd" test "$(daemon_pid)" != $$
check "and lives" kill -0 $$
daemon_end TERM
printf 'not a number\n' >"$RUN/eipd.pid"
check "nor what else may be in it" daemon_start
daemon_end TERM

# ---- several at once
for ((round = 0; round < 6; round++)); do
	for i in 1 2 3; do
		{
			eipd >"$T/start.$i" 2>&1 </dev/null
			echo $? >"$T/status.$i"
		} &
		starts[i]=$!
	done
	wait "${starts[@]}"
	statuses=$(sort "$T"/status.? | tr '\n' ' ')
	said=$(cat "$T"/start.?)
	[[ $statuses == "0 1 1 " && $(grep -cE '^eipd: it runs already \(pid [0-9]+, .*\); stop that one first$' <<<"$said") == 2 ]] || break
	[[ $said == *"pid $(daemon_pid),"* ]] || break
	ctl status >/dev/null || break
	daemon_end TERM || break
done
is "three are started at once, six times: one runs, two say so and exit 1" \
	"$round $([[ $round == 6 ]] || echo "$statuses $said")" "6 "
done_testing
