#!/usr/bin/env bash
# A mixed load, and every answer of it is looked at: leases, renewals, releases, binds, moves, forwards,
# isolation, changes of the plan, foreign hands in the kernel's tables, bad clients, SIGHUPs, restarts
# and kill -9. Memory, descriptors and the log are watched.
#
#   EIPD_MINUTES=60 tests/e2e/55-soak.t     an hour (make soak T=60); some seconds otherwise
#   EIPD_SEED=…                             the commands of an earlier run (the moments differ)
#
#   outer host              hypervisor: eipd                    guests, in raw frames
#   eth0 20.251.48.1 ────── eth0        br0 192.168.6.22/24 ──┬── vnet1 … vnet8 ── guest1 … guest8
#                                                             └── vnet9 ── guest9: strangers

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
seed=${EIPD_SEED:-$RANDOM$RANDOM}
seconds=10
[[ -z ${EIPD_MINUTES-} ]] || seconds=$((EIPD_MINUTES * 60))
echo "# EIPD_SEED=$seed"
"${CC:-cc}" -O2 -o "$T/flood" "$HERE/flood.c" >"$T/cc" 2>&1 || die "no flood: $(cat "$T/cc")"

# What others have on the machine.
hv iptables-legacy -w 10 -t nat -A PREROUTING -d 203.0.113.5/32 -j DNAT --to-destination 10.9.9.9
hv iptables-legacy -w 10 -t nat -A POSTROUTING -s 10.9.9.0/24 -j MASQUERADE
ip -n "$HV" addr add 20.251.48.200/32 dev eth0 label eth0:9

macs=(02:00:00:00:01:0{0..4} 02:00:00:00:02:0{1..3} 02:00:00:ff:00:09) # as storm.py has them
for n in {1..9}; do
	ip -n "$HV" link add "vnet$n" type veth peer name "guest$n" address "${macs[n - 1]}"
	ip -n "$HV" link set "guest$n" up
	ip -n "$HV" link set "vnet$n" master br0 up
	wait_for 5 link_ready "vnet$n" || die "the port vnet$n does not come up"
done
ip -n "$HV" link set br0 address 02:00:00:00:22:22

conf daemon.log-level warning
conf nat.resync 1s
printf '#!/bin/sh\nexit 0\n' >"$T/callback"
chmod 755 "$T/callback"
conf dhcp.callback "$T/callback"
lines=()
for n in 1 2 3 4 5; do
	lines+=("02:00:00:00:01:0$((n - 1)),s-$n,192.168.6.10$n # s-$n stays what it is")
done
plan "${lines[@]}"
conf_write

! is_sanitized || export SANITIZED=yes
hv "$T/flood" guest9 $((seconds * 200)) 200 >"$T/flood.out" 2>&1 &
points hv env EIPD="$EIPD" EIPCTL="$EIPCTL" CONF="$CONF" SOCKET="$SOCKET" STATE="$STATE" \
	PLAN="$PLAN" T="$T" "$PYTHON" "$HERE/soak.py" "$seconds" "$seed"
done_testing
