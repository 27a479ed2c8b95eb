#!/usr/bin/env bash
# The lease file, through crashes and broken disks; the bridge going away and coming back; another
# DHCP server on the bridge.
#
#   hypervisor: eipd ── br0 10.77.0.1/16 ──┬── eth1
#                                          ├── vnet1 ── vm-001, vnet2 ── vm-002
#                                          └── vnet3 ── relay 10.77.200.1: perfdhcp, the other server
#
# Long: it is begun first.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
IP1=10.77.1.1 IP2=10.77.1.2
stage_up 10.77.0.1/16
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_up relay 02:00:00:ff:00:01
ip -n "$P-relay" addr add 10.77.200.1/16 dev eth0
conf dhcp.lease-time 10m
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2,8s"

in_file() { grep -qE "^[0-9]+ $1 $2 $3 " "$STATE/leases"; }
leased() { [[ $(field "[l['name'] for l in d if l['name'] == '$1']" lease list) == '["'"$1"'"]' ]]; }
expires() { field "[l['expires'] for l in d if l['name'] == '$1'][0]" lease list; }
logged() { grep -qE "^[^ ]+ $*\$" "$LEASES"; }
past() { (($(date +%s) > $1)); }

# ---- a crash
daemon_up
check "vm-001 takes a lease" vm_lease vm-001
check "within seconds it is in the lease file" wait_for 8 in_file "$MAC1" "$IP1" vm-001
like "a line is as in dnsmasq's lease file" "$(<"$STATE/leases")" \
	"^$(expires vm-001) $MAC1 $IP1 vm-001 \*"
check "the daemon is killed (KILL)" daemon_end KILL
: >"$LEASES"
daemon_up
check "after a crash the lease is still there" leased vm-001
check "and was told of as old" wait_for 2 logged old "$MAC1" "$IP1" vm-001

check "vm-002 takes a lease of 8 seconds" vm_lease vm-002
check "it is in the file before it ends" wait_for 8 in_file "$MAC2" "$IP2" vm-002
ends=$(awk -v mac="$MAC2" '$2 == mac { print $1 }' "$STATE/leases")
daemon_end KILL
wait_for 10 past "$ends"
: >"$LEASES"
daemon_up
check "a lease that ended while the daemon was away is told of as del" \
	wait_for 3 logged del "$MAC2" "$IP2" vm-002
check "and is gone from the list" not leased vm-002
is "it is not told of as old" "$(count " old $MAC2 " "$LEASES")" 0
check "and from the file" wait_for 8 not in_file "$MAC2" "$IP2" vm-002
daemon_end KILL
plan "$MAC2,vm-002,$IP2,4s"
: >"$LEASES"
daemon_up
check "a machine that left the plan while the daemon was away: del" \
	wait_for 3 logged del "$MAC1" "$IP1" vm-001
daemon_end TERM

# ---- a damaged file
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2,4s"
ends=$(($(date +%s) + 600))
# damaged SENTENCE [LINES]: it starts whatever is in the lease file; LINES good ones count
damaged() {
	: >"$LOG"
	conf_write
	like "$1: eipd -t names the line" "$(eipd -t 2>&1)" "^$STATE/leases:[0-9]+: "
	check "$1: it starts" daemon_start
	like "$1: the log says so" "$(<"$LOG")" "$STATE/leases"
	check "$1: what was there is kept" test -s "$STATE/leases.damaged"
	rm -f "$STATE/leases.damaged"
	check "$1: DHCP answers" vm_lease vm-001
	check "$1: vm-001 has a lease" leased vm-001
	like "$1: the good line counts" "$(count "dhcp: old $MAC1 $IP1 vm-001" "$LOG")" "^${2-1}\$"
	daemon_end TERM
}
good="$ends $MAC1 $IP1 vm-001 *"
printf '%s\n%s\n' "$good" "$ends $MAC2 10.77" >"$STATE/leases"
damaged "a line cut off"
{
	head -c 3000 /dev/urandom | tr -d '\0'
	printf '\n%s\n' "$good"
} >"$STATE/leases"
damaged "random octets before"
{
	printf '%s\n' "$good"
	head -c 3000 /dev/zero
} >"$STATE/leases"
damaged "zeros behind, as a crash of the host may leave them" '[01]'
printf '%s\n' "$good" "99999999999999999999 $MAC2 $IP2 vm-002 *" "-5 $MAC2 $IP2 vm-002 *" \
	"$ends $MAC2 $IP2 $(printf 'x%.0s' {1..300}) *" "$ends ff:ff:ff:ff:ff:ff $IP2 vm-002 *" \
	>"$STATE/leases"
damaged "numbers and names that cannot be"
rm "$STATE/leases"
mkdir "$STATE/leases"
check "a directory in its place: it starts" daemon_start
check "and DHCP answers" vm_lease vm-001
daemon_end TERM
rmdir "$STATE/leases"

# ---- a disk that takes nothing: a file system of the daemon's own, over its state directory
cat >"$T/with-disk" <<'END_OF_SCRIPT'
#!/bin/sh
# with-disk OPTIONS DIRECTORY COMMAND…
mount -t tmpfs -o "$1" none "$2" || exit 1
shift 2
exec "$@"
END_OF_SCRIPT
chmod 755 "$T/with-disk"
# start_on OPTIONS
start_on() {
	conf_write
	hv timeout 20 "$T/with-disk" "$1" "$STATE" "$EIPD" -c "$CONF" >"$T/start" 2>&1 </dev/null
}
disk() { echo "/proc/$(daemon_pid)/root$STATE"; }
on_disk() { grep -q "$1" "$(disk)/leases"; }
complaints() { count "leases.*(cannot be written|No space|Read-only)" "$LOG"; }
complained() { (($(complaints) > 0)); }

mkdir -p "$STATE"
: >"$LOG"
check "it starts on a small disk" start_on size=256k
dd if=/dev/zero of="$(disk)/filler" bs=4k >"$T/dd" 2>&1
check "the disk is full: DHCP goes on" vm_lease vm-001
check "the log warns" wait_for 8 complained
acks=$(field 'd["dhcp"]["ack"]' status)
renewed() { vm_lease vm-001 && (($(field 'd["dhcp"]["ack"]' status) >= acks + 3)); }
check "more leases" wait_for 15 renewed
is "status answers" "$(field 'd["ready"]' status)" true
rm -f "$(disk)/filler"
vm_lease vm-001
check "room again: the file is written" wait_for 8 on_disk "$MAC1"
is "of all that the log has one warning" "$(complaints)" 1

nsenter -t "$(daemon_pid)" -m mount -o remount,ro "$STATE" || die "cannot remount"
: >"$LOG"
check "the disk is read-only: DHCP goes on" vm_lease vm-001
check "the log warns, once more" wait_for 8 complained
line="$(expires vm-001) $MAC1 $IP1 vm-001 *"
exec 8<"$(disk)" # which goes with the daemon
nsenter -t "$(daemon_pid)" -m mount -o remount,rw "$STATE"
check "it stops" daemon_end TERM
check "what could not be written is written at the end" grep -qxF "$line" "/proc/$$/fd/8/leases"
exec 8<&-

: >"$LOG"
if start_on ro; then
	pass "it starts on a disk that is read-only from the beginning"
	check "and DHCP answers" vm_lease vm-001
	daemon_end TERM
else
	fail "it starts on a disk that is read-only from the beginning" <"$T/start"
fi

# ---- how often it is written
for ((i = 0; i < 200; i++)); do
	printf '02:00:00:00:00:%02x,many-%d,10.77.2.%d\n' "$i" "$i" $((1 + i))
done >>"$PLAN"
daemon_up
if command -v perfdhcp >/dev/null; then
	# Each time when the file became another one, until it is stopped.
	"$PYTHON" -u -c '
import os, sys, time
def seen():
    try:
        now = os.stat(sys.argv[1])
        return now.st_ino, now.st_mtime_ns
    except FileNotFoundError:
        return None
last, end = seen(), time.monotonic() + 60
print("watching")
while time.monotonic() < end and not os.path.exists(sys.argv[2]):
    now = seen()
    if now not in (None, last):
        print(now[1] // 1000000)
        last = now
    time.sleep(0.005)' "$STATE/leases" "$T/stop" >"$T/writes" &
	watcher=$!
	wait_for 5 grep -q watching "$T/writes"
	start=$(date +%s%N)
	# a busy machine has two more chances
	for _ in 1 2 3; do
		vm relay timeout 60 perfdhcp -4 -l eth0 -b mac=02:00:00:00:00:00 -R 200 -r 250 -n 2000 \
			-W 1000000 10.77.0.1 >"$T/perfdhcp" 2>&1
		status=$?
		((status)) || break
	done
	is "2000 exchanges: each succeeded" "$status" 0
	all_in_file() { (($(count 'many-' "$STATE/leases") == 200)); }
	check "all leases are in the file within seconds" wait_for 8 all_in_file
	: >"$T/stop"
	wait "$watcher"
	took=$((($(date +%s%N) - start) / 1000000))
	sed -i 1d "$T/writes"
	writes=$(wc -l <"$T/writes")
	echo "# $writes writes in $took ms"
	check "it was written at most once in two seconds" test "$writes" -le $((took / 2000 + 2))
	# a thread that had to wait for the processor is late, and the next one in time
	is "never twice within a second" \
		"$(awk 'NR > 1 && $1 - last < 1000 { n++ } { last = $1 } END { print n + 0 }' "$T/writes")" 0
else
	skip "how often the lease file is written" "no perfdhcp here"
fi

# ---- the bridge goes away
# back SENTENCE: machines get their leases again, without a restart
back() {
	check "$1: vm-001 has its lease again" wait_for 10 vm_lease vm-001
	is "$1: it is the same daemon" "$(daemon_pid)" "$pid"
	check "$1: and vm-001 reaches the host" wait_for 5 vm vm-001 busybox ping -q -c 1 -W 2 10.77.0.1
}
pid=$(daemon_pid)
ip -n "$HV" link set br0 down
ip -n "$HV" link set br0 up
back "the bridge down and up"
ip -n "$HV" link set br0 down
vm vm-001 timeout 5 busybox udhcpc -f -q -n -t 2 -T 1 -i eth0 -s /bin/true >"$T/down" 2>&1
isnt_leased=$?
check "while the bridge is down nobody has an answer" test "$isnt_leased" -ne 0
check "and status answers" ctl status
ip -n "$HV" link set br0 up
back "the bridge down for a time"
ip -n "$HV" addr del 10.77.0.1/16 dev br0
ip -n "$HV" addr add 10.77.0.1/16 dev br0
back "the bridge's address taken and given"

# anew [MAC]: the bridge deleted, and another one in its place
anew() {
	local port
	ip -n "$HV" link del br0
	check "the bridge is deleted: status answers" ctl status
	ip -n "$HV" link add br0 ${1:+address "$1"} type bridge
	ip -n "$HV" addr add 10.77.0.1/16 dev br0
	for port in eth1 vnet1 vnet2 vnet3; do
		ip -n "$HV" link set "$port" master br0
	done
	ip -n "$HV" link set br0 up
}
anew
back "the bridge made anew"
anew 02:00:00:00:0b:b0
back "the bridge made anew with a MAC of its own"
# A renewal goes to the bridge's MAC by unicast, and its answer comes from there.
capture "$P-vm-001" "$T/wire" -c 1 udp src port 67
vm_lease vm-001
from_new_mac() { grep -q '02:00:00:00:0b:b0 >' "$T/wire"; }
check "answers come from the new MAC" wait_for 3 from_new_mac

# ---- another server
foreign() { field 'd["dhcp"]["dropped"]["foreign-server"]' status; }
counts_foreign() { [[ $(foreign) == "$1" ]]; }
# offers TYPE COUNT: answers of another server, to all
offers() {
	PYTHONPATH=$HERE vm relay "$PYTHON" -c '
import sys
import time
import wire as w
from scapy.layers.dhcp import BOOTP, DHCP
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import Ether
wire = w.Wire()
frame = bytes(Ether(src="02:00:00:ff:00:01", dst=w.BROADCAST)
              / IP(src="10.77.0.66", dst="255.255.255.255") / UDP(sport=67, dport=68)
              / BOOTP(op=2, yiaddr="10.77.9.9", siaddr="10.77.0.66", flags=0x8000,
                      chaddr=bytes.fromhex("d00d8e9f4288"))
              / DHCP(options=[("message-type", sys.argv[1]), ("server_id", "10.77.0.66"), "end"]))
for n in range(int(sys.argv[2])):
    if n % 20 == 19:
        time.sleep(0.02)  # all must be counted, so none may be lost to a full queue
    wire.send(frame)' "$@"
}
is "no other server has been seen" "$(foreign)" 0
# A guest that has itself told NO until the log has enough of it does not hide the other server.
PYTHONPATH=$HERE vm relay "$PYTHON" -c '
import wire as w
wire = w.Wire()
for _ in range(30):
    wire.send(w.request(w.VM1, "request", w.wanted("10.77.9.9")))'
refused_all() { (($(count 'vm-001 REQUEST .*: NAK' "$LOG") >= 20)); }
check "30 requests of a guest are refused" wait_for 3 refused_all
: >"$LOG"
offers offer 1
check "an OFFER of another server is counted" wait_for 3 counts_foreign 1
like "the log names its address and its MAC" "$(<"$LOG")" '10\.77\.0\.66.*02:00:00:ff:00:01'
offers ack 1
check "an ACK is counted too" wait_for 3 counts_foreign 2
offers offer 1000
check "1000 of them are counted" wait_for 5 counts_foreign 1002
is "it is an event" "$(field "[[e['ip'], e['mac']] for e in d if e['event'] == 'foreign-server'][0]" events)" \
	'["10.77.0.66", "02:00:00:ff:00:01"]'
check "the log has few lines of it" test "$(count '10\.77\.0\.66' "$LOG")" -le 25
check "metrics have it" test "$(ctl metrics | count 'foreign.server')" -ge 1
check "DHCP goes on" vm_lease vm-001

# ---- an answer that does not get out, as the bridge takes none so long
acks=$(field 'd["dhcp"]["ack"]' status)
: >"$LEASES"
ip -n "$HV" link set br0 mtu 300
PYTHONPATH=$HERE vm vm-002 "$PYTHON" -c '
import sys
import wire as w
w.Wire().send(w.request(sys.argv[1], "request", w.wanted(sys.argv[2])))' "$MAC2" "$IP2"
unsent() { grep -q 'an answer could not be sent: Message too long' "$LOG"; }
check "an answer cannot be sent: the log says so" wait_for 3 unsent
is "it is not counted" "$(field 'd["dhcp"]["ack"]' status)" "$acks"
check "there is no lease" not leased vm-002
is "and nothing is told of one" "$(count ' add ' "$LEASES")" 0
ip -n "$HV" link set br0 mtu 1500
check "then there is" vm_lease vm-002
done_testing
