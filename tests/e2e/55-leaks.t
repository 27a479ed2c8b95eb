#!/usr/bin/env bash
# Nothing is lost by the way: memory and descriptors are what they were after many exchanges and many
# reloads, every fourth with another plan: VMs come, go and move, and their public addresses with them.
#
#   EIPD_EXCHANGES=100000 EIPD_RELOADS=10000 tests/e2e/55-leaks.t     the long form (20,000 and 1,000)
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── eth1
#                                             └── vnet1 ── load: speaks for 100 VMs

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
EXCHANGES=${EIPD_EXCHANGES:-20000} RELOADS=${EIPD_RELOADS:-1000}
stage_up
"${CC:-cc}" -O2 -D_GNU_SOURCE -o "$T/load" "$ROOT/tests/bench/load.c" >"$T/cc" 2>&1 ||
	die "no load: $(cat "$T/cc")"
vm_up load 02:00:00:ff:00:01

# The VMs that load speaks for, then some that are there or not, or have another address.
cat >"$T/reload.py" <<'END'
import json, socket, sys
path, plan, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
steady = "".join(f"02:00:00:00:00:{i:02x},vm-{i},192.168.6.{100 + i}\n" for i in range(100))
plans = [steady + "".join(f"02:00:00:00:01:{i:02x},other-{i},192.168.6.{30 + (i + n) % 8}\n"
                          for i in range(8) if i % 4 != n) for n in range(4)]
if not count:
    open(plan, "w").write(plans[0])
    sys.exit()
wire = socket.socket(socket.AF_UNIX)
wire.settimeout(60)
wire.connect(path)
stream = wire.makefile("rw")
for i in range(count):
    with open(plan, "w") as out:
        out.write(plans[i // 4 % 4])
    stream.write('{"command":["reload"]}\n')
    stream.flush()
    answer = json.loads(stream.readline())
    assert answer["ok"], answer
END
reload() { "$PYTHON" "$T/reload.py" "$SOCKET" "$PLAN" "$1"; }
# exchange COUNT: so many DISCOVER, OFFER, REQUEST, ACK; how many were completed
exchange() { vm load "$T/load" -n 100 -c "$1" -t 300 -w 8 eth0 | json 'd["done"]'; }
memory() { awk '/^Private/ { kb += $2 } END { print kb }' "/proc/$(daemon_pid)/smaps_rollup"; }
descriptors() { find "/proc/$(daemon_pid)/fd" -type l | wc -l; }

reload 0
conf daemon.log-level warning
conf nat.auto-bind yes
conf dhcp.lease-time 1h
daemon_up
# What the first ones allocate is there to stay: indexes, lists of leases, and the events that are
# kept, of which there are a thousand.
exchange 500 >/dev/null
check "reloads to warm up" reload 1000
before=$(memory) open=$(descriptors)

start=$SECONDS
completed=$(exchange "$EXCHANGES")
check "$completed of $EXCHANGES exchanges are completed" test "$completed" -ge $((EXCHANGES * 9 / 10))
check "$RELOADS reloads" reload "$RELOADS"
quiet() { [[ $(field "d['callback']['queued']" status) == 0 ]]; }
check "all is done" wait_for 10 quiet
after=$(memory) now=$(descriptors)
echo "# in $((SECONDS - start)) s; private memory: $before kB before, $after kB after; descriptors: $open and $now"
# sanitizers keep what is freed, and look for what is lost at the end
is_sanitized || check "the daemon has not grown by more than 512 kB" test $((after - before)) -le 512
is "nor has it opened anything that it keeps" "$now" "$open"
done_testing
