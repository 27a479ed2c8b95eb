#!/usr/bin/env bash
# kill -9 at system calls that change something, one after the other: whatever the moment, after the
# restart kernel, files and lists are as before the command or as after it, and as the client was told.
#
#   EIPD_POINTS=0 tests/e2e/53-torture.t     every call of every command (make torture); 100 otherwise,
#                                            20 of them as a user of its own
#
#   outer host              hypervisor: eipd under the stepper
#   eth0 20.251.48.1 ────── eth0        br0 192.168.6.22/24 ── vnet1 ── guest1, a client in raw frames
#
# Not under sanitizers: its daemons end by kill -9 under a tracer, where nothing can be found.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
"${CC:-cc}" -D_GNU_SOURCE -O2 -o "$T/stepper" "$HERE/stepper.c" >"$T/cc" 2>&1 ||
	die "no stepper: $(cat "$T/cc")"

# What others have on the machine.
hv iptables-legacy -w 10 -t nat -A PREROUTING -d 203.0.113.5/32 -j DNAT --to-destination 10.9.9.9
hv iptables-legacy -w 10 -t nat -A POSTROUTING -s 10.9.9.0/24 -j MASQUERADE
ip -n "$HV" addr add 20.251.48.200/32 dev eth0 label eth0:9
ip -n "$HV" link add vnet1 type veth peer name guest1 address "$MAC1"
ip -n "$HV" link set guest1 up
# what the bridge has learned stays, so that a machine is on the same port in each run
ip -n "$HV" link set br0 type bridge ageing_time 360000
ip -n "$HV" link set vnet1 master br0 up
wait_for 5 link_ready vnet1 || die "the port does not come up"

# An account that only the daemon sees.
printf '%s\n' root:x:0:0::/:/bin/sh worker:x:4711:4712::/:/bin/sh >"$T/passwd"
printf '%s\n' root:x:0: workers:x:4712: >"$T/group"
cat >"$T/eipd" <<END
#!/bin/sh
mount --bind "$T/passwd" /etc/passwd && mount --bind "$T/group" /etc/group && exec "$EIPD" "\$@"
END
chmod 755 "$T/eipd"

conf daemon.log-level warning
conf nat.resync 1h
# torture POINTS
torture() {
	rm -rf "$STATE" "$RUN" "$T"/saved-*
	conf_write
	points hv env EIPD="$EIPD" EIPCTL="$EIPCTL" CONF="$CONF" SOCKET="$SOCKET" STATE="$STATE" \
		PLAN="$PLAN" T="$T" "$PYTHON" "$HERE/torture.py" "$1" "$T/stepper"
}
torture "${EIPD_POINTS:-80}"
if [[ ${EIPD_POINTS-} == 0 ]]; then
	echo "# with anti-spoof, and nothing left at a stop"
	conf inner.anti-spoof yes
	conf nat.on-exit remove
	torture 0
	conf inner.anti-spoof no
	conf nat.on-exit keep
fi

echo "# as a user of its own"
mkdir "$T/etc"
PLAN=$T/etc/network.conf EIPD=$T/eipd
chown 4711:4712 "$T/etc"
conf plan.file "$PLAN"
conf daemon.user worker
conf daemon.log "$T/log/eipd.log"
conf dhcp.log "$T/log/lease.log"
torture "$([[ ${EIPD_POINTS-} == 0 ]] && echo 300 || echo 20)"
done_testing
