#!/usr/bin/env bash
# kill -9 at random moments of a storm of commands, and a storm of edits of the nat table by another
# program at the same time as ours: nothing that was acknowledged is lost, nothing is done by half.
#
#   EIPD_KILLS=200 tests/e2e/46-storm.t     a long run; 25 kills otherwise
#   EIPD_EDITS=2000                         edits by others; 250 otherwise
#   EIPD_SEED=…                             the commands of an earlier run (the moments differ)
#
#   outer host              hypervisor: eipd, three clients that bind, move, unbind and forward, one
#   eth0 20.251.48.1 ────── eth0        that changes the plan, and another program's iptables
#                           br0 192.168.6.22/24 (no virtual machine runs)

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
seed=${EIPD_SEED:-$RANDOM$RANDOM}
echo "# EIPD_SEED=$seed"

# What others have on the machine.
hv iptables-legacy -w 10 -t nat -A PREROUTING -d 203.0.113.5/32 -j DNAT --to-destination 10.9.9.9
hv iptables-legacy -w 10 -t nat -A POSTROUTING -s 10.9.9.0/24 -j MASQUERADE
ip -n "$HV" addr add 20.251.48.200/32 dev eth0 label eth0:9

conf daemon.log-level info
conf nat.resync 1s
lines=()
for n in 1 2 3 4 5; do
	lines+=("02:00:00:00:01:0$((n - 1)),s-$n,192.168.6.10$n # s-$n stays what it is")
done
plan "${lines[@]}"
conf_write

# storm KIND COUNT
storm() {
	points hv env EIPD="$EIPD" EIPCTL="$EIPCTL" CONF="$CONF" SOCKET="$SOCKET" STATE="$STATE" \
		PLAN="$PLAN" T="$T" "$PYTHON" "$HERE/storm.py" "$1" "$2" "$seed"
}
storm kills "${EIPD_KILLS:-25}"

# from nothing again
hv iptables-legacy -w 10 -t nat -F
hv iptables-legacy -w 10 -t nat -X
ip -n "$HV" addr flush dev eth0 label 'eth0:*'
ip -n "$HV" addr add 20.251.48.200/32 dev eth0 label eth0:9
rm -rf "$STATE"
plan "${lines[@]}"
storm edits "${EIPD_EDITS:-250}"

# An acknowledged reload whose copy of the plan is slow to reach the disk; then the plan is spoiled, and
# the daemon killed.
plan "$MAC1,vm-001,$IP1"
daemon_up
copied() { cmp "$PLAN" "$STATE/plan.last-good"; }
wait_for 5 copied || die "no copy of the plan"
strace -f -o /dev/null -P "$STATE/plan.last-good.eipd-new" -e trace=unlink,rename \
	-e inject=unlink,rename:delay_enter=1500000 -p "$(daemon_pid)" 2>"$T/strace.err" &
strace=$!
wait_for 5 grep -q attached "$T/strace.err" || die "strace: $(cat "$T/strace.err")"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
check "a reload while the disk is slow" ctl reload
check "and a bind to the new machine" ctl ip bind vm-002 "$EIP1"
plan nonsense
daemon_end KILL
daemon_up
kill "$strace"
is "a spoiled plan after a kill: the one that was acknowledged serves" \
	"$(field '[v["name"] for v in d]' vm list)" '["vm-001", "vm-002"]'
is "and its machine has its address" "$(field '[v["public"] for v in d if v["name"] == "vm-002"]' vm list)" \
	"[[\"$EIP1\"]]"
done_testing
