#!/usr/bin/env bash
# A build with SECCOMP=1: a whole life of the daemon with the filter of system calls, and what is
# refused by it to who has taken the daemon over; without a callback, and with one.
#
#   outer host ── eth0 hypervisor br0 ──┬── vm-001
#                                       └── vm-002
#
# Not under sanitizers: it builds the program that it tests.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
PLAIN=$EIPD
stage_up
${PKG_CONFIG:-pkg-config} --exists libseccomp || {
	skip "the filter of system calls" "no libseccomp here"
	done_testing
}
# shellcheck disable=SC2086 # a list of words
make -C "$ROOT" -j2 WERROR=1 SECCOMP=1 O="$T/build" CFLAGS="${SECCOMP_CFLAGS:--O1 -g}" "$T/build/eipd" \
	>"$T/make" 2>&1 </dev/null
is "make SECCOMP=1 builds it" $? 0
[[ -x $T/build/eipd ]] || die "it is not built: $(tail -n 5 "$T/make")"
EIPD=$T/build/eipd
is "the default build does without libseccomp" "$(readelf -d "$PLAIN" | count libseccomp)" 0
"${CC:-cc}" -D_GNU_SOURCE -O1 -shared -fPIC -o "$T/intruder.so" "$HERE/intruder.c" -pthread >"$T/cc" 2>&1 ||
	die "no intruder: $(cat "$T/cc")"
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
serve "$P-vm-001" vm-001 8000
conf nat.resync 1s
conf plan.watch yes
# eipctl and tests of ports run outside of it
cat >"$T/callback" <<END
#!/bin/sh
# what a callback may do: programs, pipes, files, threads
echo "\$(echo "\$*" | sed 's/^/told /') \$("$PYTHON" -c 'import threading
t = threading.Thread(target=lambda: print("thread"))
t.start(); t.join()')" >>"$T/calls"
END
chmod 755 "$T/callback"
touch "$T/calls"
chmod 666 "$T/calls"

filtered() { [[ $(awk '$1 == "Seccomp:" { print $2 }' "/proc/$(daemon_pid)/status") == 2 ]]; }
in_sync() { [[ $(field '[d["nat"]["in_sync"], d["dhcp"]["listening"]]' status) == "[true, true]" ]]; }
listening() { [[ $(field 'd["dhcp"]["listening"]' status) == "$1" ]]; }
jumps() { [[ $(nat_rules | count '^-A PREROUTING -j EIPD') == "$1" ]]; }
reaches() { [[ $(ask "$OUT" "$EIP1" 8000) == "vm-001 sees 20.251.48.1" ]]; }
planned() { [[ $(field 'len(d)' vm list) == "$1" ]]; }
leased() { vm_lease vm-001 && grep -qx "ip=$IP1" "$T/vm-001.env"; }

# life SENTENCE: from a start to a stop
life() {
	plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
	check "$1: it starts" daemon_start
	check "$1: the filter is on" filtered
	check "$1: a lease" leased
	check "$1: an address is bound" ctl ip bind vm-001 "$EIP1"
	vm_static vm-001 "$IP1" 2>/dev/null
	check "$1: and reaches its VM" reaches
	check "$1: a second one, chosen" ctl ip bind vm-002
	check "$1: moved" ctl ip move "$EIP1" vm-002
	check "$1: and back" ctl ip move "$EIP1" vm-001
	check "$1: a forward" ctl forward add "20.251.48.105:80/tcp" vm-002
	check "$1: a VM is isolated" ctl vm isolate vm-002
	check "$1: and comes back" ctl vm rejoin vm-002
	check "$1: status" ctl status
	check "$1: metrics" ctl metrics
	check "$1: events" ctl events
	check "$1: a VM is added to the plan" ctl vm add added
	plan "$MAC1,vm-001,$IP1" "nonsense"
	refused "$1: a plan with an error is refused" 1 "$PLAN:2|in force" reload
	plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
	check "$1: the plan is watched" wait_for 5 planned 2
	check "$1: a reload" ctl reload
	hv iptables-legacy -w 10 -t nat -F PREROUTING
	check "$1: rules are mended" wait_for 5 jumps 1
	hv sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
	check "$1: so is forwarding" wait_for 5 hv grep -q 1 /proc/sys/net/ipv4/ip_forward

	rm -f "$LOG.1" "$LEASES.1"
	mv "$LOG" "$LOG.1"
	mv "$LEASES" "$LEASES.1"
	kill -HUP "$(daemon_pid)"
	check "$1: HUP makes the log anew" wait_for 5 test -e "$LOG"
	check "$1: and the log of leases" wait_for 5 test -e "$LEASES"
	kill -USR1 "$(daemon_pid)"
	check "$1: USR1 writes the status" wait_for 5 grep -q 'status: dhcp: {' "$LOG"

	ip -n "$HV" link set eth0 down
	ip -n "$HV" link set eth0 up
	check "$1: the outer interface goes down and up" wait_for 5 address_on "$EIP1"
	ip -n "$HV" link set eth0 name eth9
	ip -n "$HV" link set eth9 name eth0 up
	check "$1: it goes and comes" wait_for 5 address_on "$EIP1"
	ip -n "$HV" link del br0
	check "$1: the bridge goes" wait_for 10 listening false
	ip -n "$HV" link add br0 type bridge
	ip -n "$HV" addr add 192.168.6.22/24 dev br0
	for port in eth1 vnet1 vnet2; do ip -n "$HV" link set "$port" master br0; done
	ip -n "$HV" link set br0 up
	check "$1: and another comes" wait_for 10 in_sync
	wait_for 5 link_ready br0
	check "$1: and is served" leased
	check "$1: it ends" daemon_end TERM
	check "$1: and takes its files with it" not test -e "$SOCKET" -o -e "$RUN/eipd.pid"
	check "$1: it starts again" daemon_start
	check "$1: nothing has changed" reaches
	daemon_end KILL
	check "$1: and after kill -9" daemon_start
	conf nat.on-exit remove
	daemon_end TERM
	daemon_up
	check "$1: on-exit = remove" daemon_end TERM
	check "$1: the rules are gone" jumps 0
	conf nat.on-exit
}

# intrusion: what becomes of the calls, in a daemon in the foreground
intrusion() {
	rm -f "$T/calls.made"
	conf_write
	hv env INTRUDER="$T/calls.made" LD_PRELOAD="$T/intruder.so" "$EIPD" -f -c "$CONF" >"$T/foreground" 2>&1 &
	wait_for 10 ctl status || die "it does not run with an intruder: $(cat "$T/foreground")"
	kill -USR2 "$(daemon_pid)"
	check "$1: the intruder has tried" wait_for 10 grep -qx end "$T/calls.made"
	check "$1: and the daemon goes on" ctl status
	daemon_end TERM
}
# became CALL…: of each of them
became() {
	local call
	for call; do
		awk -v call="$call" '$1 == call { print $1, $2 }' "$T/calls.made"
	done
}
DANGEROUS=(ptrace process_vm_readv unshare setns mount bpf perf_event_open init_module keyctl io_uring_setup
	userfaultfd name_to_handle_at clock_settime)

# ---- without a callback
life "alone"
intrusion "alone"
is "alone: what only attacks need is refused" "$(became "${DANGEROUS[@]}")" \
	"$(printf '%s ENOSYS\n' "${DANGEROUS[@]}")"
others=(mmap-exec execve kill clone-user socket-stream socket-inet6 socket-vsock socket-alg ioctl-sti)
is "alone: and all that it does not do itself" "$(became "${others[@]}")" "$(printf '%s ENOSYS\n' "${others[@]}")"
is "alone: what it does is left" "$(became open socket-netlink)" $'open done\nsocket-netlink done'

# ---- with one
rm -rf "$STATE"
conf dhcp.callback "$T/callback"
life "with a callback"
check "with a callback: it was run, with all that it does" grep -q "told add $MAC1 $IP1 vm-001 thread" "$T/calls"
intrusion "with a callback"
is "with a callback: what only attacks need is refused" "$(became "${DANGEROUS[@]}" clone-user ioctl-sti)" \
	"$(printf '%s EPERM\n' "${DANGEROUS[@]}" clone-user ioctl-sti)"
is "with a callback: odd sockets as well" "$(became socket-vsock socket-alg)" \
	$'socket-vsock EAFNOSUPPORT\nsocket-alg EAFNOSUPPORT'
is "with a callback: what programs do is left" "$(became mmap-exec execve kill socket-stream open)" \
	$'mmap-exec done\nexecve ENOENT\nkill done\nsocket-stream done\nopen done'

# ---- none of that is so without the filter
EIPD=$PLAIN
readelf -d "$EIPD" | grep -q NEEDED || {
	skip "without the filter" "nothing is preloaded into a static file"
	done_testing
}
intrusion "without the filter"
is "without the filter, the calls are the kernel's business" \
	"$(became unshare setns ptrace process_vm_readv clock_settime io_uring_setup ioctl-sti | count 'EPERM|ENOSYS')" 0
done_testing
