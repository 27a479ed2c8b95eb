#!/usr/bin/env bash
# 100,000 strangers and more ask for an address while 50 machines of the plan boot: each of these has its
# lease within 4 seconds, the daemon does not grow, and its log stays short.
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                             ├── vnet1 ── flood: a new MAC in each frame
#                                             └── vnet2 … vnet51 ── vm-01 … vm-50: busybox udhcpc
#
# Alone: it measures how long a boot takes.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
MACHINES=50 STRANGERS=100000 PER_SECOND=10000
stage_up
"${CC:-cc}" -O2 -o "$T/flood" "$HERE/flood.c" >"$T/cc" 2>&1 || die "no flood: $(cat "$T/cc")"
vm_up flood 02:00:00:ff:00:01
: >"$PLAN"
for ((i = 1; i <= MACHINES; i++)); do
	printf -v mac 'd0:0d:8e:9f:50:%02x' "$i"
	printf -v name 'vm-%02d' "$i"
	vm_up "$name" "$mac"
	# each has not a processor of its own here, to pass over what strangers say to all
	ip -n "$HV" link set "vnet$ports" type bridge_slave bcast_flood off
	echo "$mac,$name,192.168.6.$((100 + i))" >>"$PLAN"
done
# What udhcpc calls: when it was bound, and to what.
cat >"$T/bound" <<'END_OF_SCRIPT'
#!/bin/sh
[ "$1" != bound ] || echo "$(date +%s%N) $ip" >"$RECORD"
END_OF_SCRIPT
chmod 755 "$T/bound"
conf daemon.log-level info
daemon_up

private() { awk '/^Private/ { kb += $2 } END { print kb }' "/proc/$(daemon_pid)/smaps_rollup"; }
counter() { field "d['dhcp']['$1']" status; }

# One exchange first, so that what the first one allocates is there.
check "a machine boots before the flood" \
	vm vm-01 env RECORD="$T/first" busybox udhcpc -f -q -n -t 4 -T 1 -i eth0 -s "$T/bound"
lines=$(wc -l <"$LOG") before=$(private)

# as long as it takes; what was sent is in $T/flood.out
flood() {
	until [[ -e $T/enough ]]; do
		timeout 120 "$T/flood" eth0 "$STRANGERS" "$PER_SECOND" || return
	done
}
export -f flood
export T STRANGERS PER_SECOND
vm flood bash -c flood >"$T/flood.out" 2>&1 &
flood=$!
flood_arrives() { (($(counter unknown) > 1000)); }
check "the flood arrives" wait_for 10 flood_arrives
clients=()
for ((i = 1; i <= MACHINES; i++)); do
	printf -v name 'vm-%02d' "$i"
	date +%s%N >"$T/$name.start"
	RECORD=$T/$name.bound ip netns exec "$P-$name" timeout 60 busybox udhcpc -f -q -n -t 8 -T 1 \
		-i eth0 -s "$T/bound" >"$T/$name.out" 2>&1 &
	clients+=($!)
done
wait "${clients[@]}"
check "the flood still went on when the last machine had booted" not gone "$flood"
touch "$T/enough"
wait "$flood"
is "the flood went to its end" $? 0
diag <"$T/flood.out"

bound=0 slowest=0
for ((i = 1; i <= MACHINES; i++)); do
	printf -v name 'vm-%02d' "$i"
	read -r at ip < <(cat "$T/$name.bound" 2>/dev/null) || at=0 ip=none
	took=$(((at - $(<"$T/$name.start")) / 1000000))
	((took <= slowest)) || slowest=$took
	if [[ $ip == "192.168.6.$((100 + i))" ]] && ((took <= 4000)); then
		((++bound))
	else
		echo "# $name: $ip after $took ms"
		diag <"$T/$name.out"
		grep -E "^[^ ]+ (warning|error|.*$name)" "$LOG" | diag
	fi
done
echo "# the slowest machine had its address after $slowest ms"
is "each machine had its address within 4 seconds" "$bound" "$MACHINES"
after=$(private)
echo "# private memory: $before kB before, $after kB after; strangers counted: $(counter unknown)"
check "the daemon has not grown by more than 1 MB" test $((after - before)) -le 1024
added=$(($(wc -l <"$LOG") - lines))
echo "# lines of the log: $added"
check "its log has fewer than 100 more lines" test "$added" -lt 100
is "strangers were answered nothing" "$(($(counter nak)))" 0
is "each machine has its lease" "$(field 'len(d)' lease list)" "$MACHINES"
check "and at once it answers again" \
	vm vm-02 env RECORD="$T/last" busybox udhcpc -f -q -n -t 1 -T 1 -i eth0 -s "$T/bound"
done_testing
