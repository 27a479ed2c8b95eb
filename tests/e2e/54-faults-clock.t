#!/usr/bin/env bash
# The wall clock jumps by a year, back and forth, while the daemon runs and while it is away: leases
# last as long as they were given for, no longer and no shorter, and nobody is told that they ended;
# what is measured (cooldown, reclaim-after) takes as long as ever.
#
#   outer host ── eth0 hypervisor br0 ──┬── vm-001
#                                       └── vm-002

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
"${CC:-cc}" -O2 -shared -fPIC -o "$T/clock.so" "$HERE/clock.c" >"$T/cc" 2>&1 || die "no clock: $(cat "$T/cc")"
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
YEAR=$((365 * 24 * 3600))
cat >"$T/eipd" <<END
#!/bin/sh
CLOCK_OFFSET=$T/offset ASAN_OPTIONS=\$ASAN_OPTIONS:verify_asan_link_order=0 LD_PRELOAD=$T/clock.so exec "$EIPD" "\$@"
END
chmod 755 "$T/eipd"
EIPD=$T/eipd
cat >"$T/callback" <<END
#!/bin/sh
echo "\$1 \$4" >>"$T/calls"
END
chmod 755 "$T/callback"
: >"$T/calls"
conf dhcp.callback "$T/callback"
conf nat.cooldown 4s
conf nat.reclaim-after 5s
conf nat.resync 1s

# jump SECONDS: the daemon's wall clock is off by so many from now on
jump() {
	echo "$1" >"$T/offset.new"
	mv "$T/offset.new" "$T/offset"
	ahead=$1
}
lease() { field "[v['lease'] for v in d if v['name'] == '$1'][0]" vm list; }
# about_an_hour: that the lease of vm-001 goes on, by the daemon's clock
about_an_hour() {
	local left
	left=$(($(field "[l['expires'] for l in d if l['name'] == 'vm-001'][0]" lease list) - $(date +%s) - ahead))
	((left > 3400 && left <= 3620)) || {
		echo "$left seconds"
		return 1
	}
}
is_free() { ctl ip bind vm-002 "$EIP1"; }
# in_file: the file has been written since, by the clock of now
in_file() {
	local ends=$(($(awk -v mac="$MAC1" '$2 == mac { print $1 }' "$STATE/leases") - $(date +%s) - ahead))
	((ends > 3400 && ends <= 3601))
}
uptime_ms() { awk '{ print int($1 * 1000) }' /proc/uptime; }
jumps() { [[ $(nat_rules | count '^-A PREROUTING -j EIPD') == 1 ]]; }
# resyncs: what is done every second is done
resyncs() {
	hv iptables-legacy -w 10 -t nat -F PREROUTING
	wait_for 5 jumps && hv iptables-legacy -w 10 -t nat -F PREROUTING && wait_for 5 jumps
}
told() { [[ $(tail -n 1 "$T/calls") == "$1" ]]; }

# ---- while it runs
jump 0
daemon_up
vm_lease vm-001
ctl ip bind vm-001 "$EIP1" >/dev/null
check "a lease: the callback was told" wait_for 5 told "add vm-001"
for years in -1 1; do
	jump $((years * YEAR))
	check "$years year: timers go on" resyncs
	check "$years year: the lease lasts as long as before" about_an_hour
	check "$years year: a VM renews its lease" vm_lease vm-001
	check "$years year: which lasts an hour" about_an_hour
	is "$years year: its address is its own" "$(field "d['public']" vm show vm-001)" "[\"$EIP1\"]"
done

# ---- what takes its time
ctl ip unbind "$EIP1" >/dev/null
start=$(uptime_ms)
jump $((2 * YEAR))
refused "the clock is put forward: an address still rests" 1 "$EIP1 " ip bind vm-002 "$EIP1"
jump $((-YEAR))
check "the clock is set back: it rests for its time" wait_for 8 is_free
check "which has gone by" test $(($(uptime_ms) - start)) -ge 3000
taken_back() { [[ $(field "d['public']" vm show vm-002) == "[]" ]]; }
check "a VM without a lease keeps its address no longer than it may" wait_for 12 taken_back

# ---- while it is away
jump 0
vm_lease vm-001
check "the lease is in the file" wait_for 8 in_file
# away SENTENCE SECONDS: the clock jumps while the daemon is dead
away() {
	: >"$T/calls"
	daemon_end KILL
	jump "$2"
	daemon_up
	is "$1: the lease goes on" "$(lease vm-001)" active
	check "$1: for no longer than it was given for" about_an_hour
	check "$1: the callback is told that it is there" wait_for 5 told "old vm-001"
	is "$1: and nothing else" "$(wc -l <"$T/calls")" 1
}
away "back by a year meanwhile" $((-YEAR))
away "forward by two years meanwhile" $YEAR
jump 0
vm_lease vm-001
daemon_end TERM
# the host was started again, as the file sees it
sed -i 's/after boot .*/after boot 00000000-0000-0000-0000-000000000000/' "$STATE/leases"
jump $((-40 * YEAR))
daemon_up
check "a host whose clock does not go on while it is off: the lease goes on for an hour" about_an_hour
is "nobody was told of an end" "$(count '^del' "$T/calls") $(count ' del ' "$LEASES")" "0 0"

# ---- an address that rests while it is away
jump 0
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip unbind "$EIP1" >/dev/null
daemon_end KILL
jump $((-YEAR))
daemon_up
check "back by a year while an address rests: it rests for its time, not for a year" wait_for 8 is_free
check "the stop is clean" daemon_end TERM
done_testing
