#!/usr/bin/env bash
# Two TCP transfers through a public address run on, whatever happens to the daemon and to 1,000
# other addresses: not a byte is lost, and nothing stalls for a second.
#
#   outer host              hypervisor                       virtual machine
#   eth0 20.251.48.1 ────── eth0 20.251.48.10
#        takes from 20.251.56.0 ──── DNAT ──────────────────── gives       vm-0 10.77.1.0
#        gives ──────────────── from 20.251.56.0 by SNAT ───── takes
#                                br0 10.77.0.1/16 (vm-1 … vm-1000 are in the plan only)
#
# Alone: it measures a stall

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
OTHERS=1000 SINGLY=1000 ADDRESS=20.251.56.0
stage_up 10.77.0.1/16
vm_up vm-0 "$MAC1"
ip -n "$P-vm-0" addr add 10.77.1.0/16 dev eth0
ip -n "$P-vm-0" route add default via 10.77.0.1
ip -n "$OUT" route add 20.251.56.0/21 dev eth0

# big_plan LAST: vm-0 to vm-LAST
big_plan() {
	awk -v last="$1" -v mac="$MAC1" 'BEGIN {
		for (i = 0; i <= last; i++)
			printf "%s,vm-%d,10.77.%d.%d\n", i ? sprintf("02:00:00:00:%02x:%02x", int(i / 256),
				i % 256) : mac, i, 1 + int(i / 200), i % 200 }' >"$PLAN"
}
big_plan "$OTHERS"
conf daemon.log-level info
conf outer.pool 20.251.56.0/21
conf nat.resync 1s
daemon_up
ctl ip bind vm-0 "$ADDRESS" >/dev/null

# transfer NAME GIVER TAKER ADDRESS PORT: between two namespaces
givers=() taker=()
transfer() {
	ip netns exec "$2" "$PYTHON" "$HERE/transfer.py" give "$5" "$T/stop" "$T/$1.given" >"$T/$1.give" 2>&1 &
	givers+=($!)
	wait_for 5 grep -q ready "$T/$1.give" || die "the giver $1: $(cat "$T/$1.give")"
	ip netns exec "$3" "$PYTHON" "$HERE/transfer.py" take "$4" "$5" "$T/$1.taken" >"$T/$1.take" 2>&1 &
	taker+=($!)
	wait_for 5 grep -q ready "$T/$1.take" || die "the taker $1: $(cat "$T/$1.take")"
}
transfer in "$P-vm-0" "$OUT" "$ADDRESS" 8000
transfer out "$OUT" "$P-vm-0" 20.251.48.1 9000
transfer alone "$OUT" "$OUT" 127.0.0.1 9001 # which only the machine itself can hold up

told=1 # lines of the takers: `ready`, then one each time
has_told() {
	local name
	for name in in out alone; do
		(($(wc -l <"$T/$name.take") > told)) || return
	done
}
# flowing SENTENCE: since the last time, no wait was longer than a second, or than one that had
# nothing to do with eipd
flowing() {
	local waits limit
	kill -USR1 "${taker[@]}"
	if ! wait_for 5 has_told; then
		fail "$1" <<<"the takers do not answer"
		return
	fi
	((told++))
	limit=$(($(tail -n 1 "$T/alone.take") * 2))
	((limit > 1000)) || limit=1000
	waits="$(tail -n 1 "$T/in.take") ms in, $(tail -n 1 "$T/out.take") ms out, $((limit)) allowed"
	check "$1: the transfers run on (longest waits: $waits)" \
		test "$(tail -n 1 "$T/in.take")" -le $limit -a "$(tail -n 1 "$T/out.take")" -le $limit
}
bound() { field 'd["nat"]["bound"]' status; }
bound_is() { [[ $(bound) == "$1" ]]; }
event_count() { field "len([e for e in d if e['event'] == '$1'])" events; }
more_events() { (($(event_count "$1") > $2)); }
took() { echo "# $1 took $((($(date +%s%N) - $2) / 1000000)) ms"; }
flowing "at first"
is "the outer host sees the public address" \
	"$(out ss -Htn state established 'sport = :9000' | awk '{ print $4 }' | cut -d: -f1)" "$ADDRESS"

# ---- 1,000 binds, one by one
start=$(date +%s%N)
failed=0
for ((i = 1; i <= SINGLY; i++)); do
	ctl ip bind "vm-$i" >/dev/null 2>&1 || ((++failed))
done
took "$SINGLY binds" "$start"
is "$SINGLY other addresses are bound one by one" "$failed $(bound)" "0 $((SINGLY + 1))"
flowing "binds of $SINGLY other addresses"
daemon_end TERM
conf nat.auto-bind yes
start=$(date +%s%N)
daemon_up
is "a start with auto-bind: all $OTHERS have an address" "$(bound)" "$((OTHERS + 1))"
took "a start" "$start"
flowing "a start with auto-bind"

# ---- with that many
for _ in 1 2 3; do
	reloads=$(event_count reload)
	kill -HUP "$(daemon_pid)"
	wait_for 10 more_events reload "$reloads" || die "no reload"
done
flowing "three SIGHUPs"
check "an end" daemon_end TERM
flowing "an end"
check "a start" daemon_start
flowing "a start"
check "kill -9" daemon_end KILL
check "and a start" daemon_start
flowing "kill -9 and a start"
is "all are bound still" "$(bound)" "$((OTHERS + 1))"

# ---- resync
mended=$(event_count resync)
rule=$(nat_rules | sed -n 's/^-A \(EIPD-D.*-j DNAT.*\)/\1/p' | sed -n 500p)
# shellcheck disable=SC2086 # the words of a rule
hv iptables-legacy -w 10 -t nat -D $rule
check "somebody deletes a rule: it is mended" wait_for 10 more_events resync "$mended"
flowing "a rule was away"
# Without any rule that needs conntrack the kernel does without it, and so without NAT: with the
# last of our rules the flows would stand still until the resync. A firewall has one, mostly.
hv iptables-legacy -w 10 -A FORWARD -m conntrack --ctstate ESTABLISHED -j ACCEPT
mended=$(event_count resync)
hv iptables-legacy -w 10 -t nat -F
check "somebody flushes nat: it is mended" wait_for 10 more_events resync "$mended"
flowing "a flush and its resync"
mended=$(event_count resync)
ip -n "$HV" addr del "$ADDRESS/32" dev eth0
check "somebody takes the address away: it is mended" wait_for 10 more_events resync "$mended"
flowing "the address was away"

# ---- all at once
start=$(date +%s%N)
big_plan 0
ctl reload >/dev/null
is "all others leave the plan: their addresses are free" "$(bound)" 1
took "a reload that unbinds $OTHERS" "$start"
flowing "$OTHERS are unbound at once"
big_plan "$OTHERS"
start=$(date +%s%N)
ctl reload >/dev/null
check "auto-bind at a reload gives all others an address" wait_for 10 bound_is "$((OTHERS + 1))"
took "a reload that binds $OTHERS" "$start"
flowing "$OTHERS are bound at once"

# ---- whole
: >"$T/stop"
for pid in "${givers[@]}" "${taker[@]}"; do
	check "a transfer goes to its end" wait_for 5 gone "$pid"
done
for name in in out; do
	is "transfer $name: what was taken is what was given" "$(cat "$T/$name.taken")" "$(cat "$T/$name.given")"
	echo "# $(cut -d' ' -f1 "$T/$name.given") bytes"
	check "transfer $name: it was a transfer" \
		test "$(cut -d' ' -f1 "$T/$name.given")" -gt 10000000
done
daemon_end TERM
done_testing
