#!/usr/bin/env bash
# Lease events: the callback of the patent, arguments, environment and order, a callback that
# fails or hangs, the operation log, scripts/lease-callback.
#
#   hypervisor: eipd ── br0 192.168.6.22/24 ──┬── vm-001
#                                             └── vm-002

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"

# The program of the patent, with another path for its file; the page it is printed on has lost
# some underscores and lines, which are put right here.
cat >"$T/update2db.py" <<END
#!$PYTHON
import gettext
import os
import sys
def log(command,mac,ip):
    fd=open('$T/db.info','a')
    mess="%s %s %s \n" %(command,mac,ip)
    fd.write(mess)
    fd.close()
def add_lease(mac, ip):
    log('add',mac,ip)
def del_lease(mac,ip):
    log('del',mac,ip)
def main():
    argv = sys.argv
    command = argv[1]
    if command in ['add', 'del', 'old']:
        mac = argv[2]
        ip = argv[3]
        if command=='add':
            add_lease(mac,ip)
        if command=='del':
            del_lease(mac,ip)
if __name__ == "__main__":
    main()
END
# Ours notes everything: environment, standard input, and last, as the tests wait for that, the
# arguments, one call a line.
cat >"$T/callback" <<END
#!/bin/sh
env | grep ^DNSMASQ_ | sort >"$T/env.\$1.\${4-}"
if read -r line; then echo "input" >>"$T/input"; fi
{
	printf '%s' "\$#"
	printf ' [%s]' "\$@"
	echo
} >>"$T/calls"
echo "the callback says hello"
echo "and this on standard error" >&2
END
chmod 755 "$T/update2db.py" "$T/callback"

# release NAME MAC IP: the virtual machine gives its lease back
release() {
	vm "$1" "$PYTHON" "$HERE/wire.py" release "$2" "$3" >/dev/null
}
# lease NAME: takes one, or the test cannot go on
lease() { vm_lease "$1" || die "$1 gets no lease: $(cat "$T/$1.udhcpc")"; }
calls() { cat "$T/calls" 2>/dev/null; }
called() { [[ $(calls | wc -l) -ge $1 ]]; }
events() { awk '{ printf "%s%s %s", n++ ? ", " : "", $2, $5 }' "$LEASES"; }
callback() { field "d['callback']['$1']" status; }

# ---- the patent's program
conf dhcp.callback "$T/update2db.py"
conf dhcp.lease-time 2m
daemon_up
lease vm-001
check "the program of the patent is called" wait_for 5 test -s "$T/db.info"
is "it notes: add MAC IP" "$(cat "$T/db.info")" "add $MAC1 $IP1 "
release vm-001 "$MAC1" "$IP1"
patent_del() { grep -qx "del $MAC1 $IP1 " "$T/db.info"; }
check "after a RELEASE it notes: del MAC IP" wait_for 5 patent_del
daemon_end TERM
rm -rf "$STATE"
rm -f "$LEASES"

# ---- arguments, environment, order
conf dhcp.callback "$T/callback"
conf dhcp.domain vms.example
daemon_up
lease vm-001
check "add is called at the first ACK" wait_for 5 called 1
is "with four arguments: add MAC IP NAME" "$(calls)" "4 [add] [$MAC1] [$IP1] [vm-001]"
lease vm-001
lease vm-002
check "add is called for the second machine" wait_for 5 called 2
is "a second exchange of the first one is no second add" "$(calls | count '\[add\] \['"$MAC1")" 1
env=$T/env.add.vm-001
is "DNSMASQ_INTERFACE is the bridge" "$(sed -n 's/^DNSMASQ_INTERFACE=//p' "$env")" br0
left=$(sed -n 's/^DNSMASQ_TIME_REMAINING=//p' "$env")
check "DNSMASQ_TIME_REMAINING is the lease time (${left:-unset})" \
	test "${left:-0}" -ge 60 -a "${left:-0}" -le 120
ends=$(sed -n 's/^DNSMASQ_LEASE_EXPIRES=//p' "$env")
now=$(date +%s)
check "DNSMASQ_LEASE_EXPIRES is then (${ends:-unset})" \
	test "${ends:-0}" -gt "$now" -a "${ends:-0}" -le $((now + 120))
is "DNSMASQ_DOMAIN is the domain" "$(sed -n 's/^DNSMASQ_DOMAIN=//p' "$env")" vms.example
like "DNSMASQ_REQUESTED_OPTIONS is a list of numbers" \
	"$(sed -n 's/^DNSMASQ_REQUESTED_OPTIONS=//p' "$env")" '^[0-9]+(,[0-9]+)+$'
like "DNSMASQ_VENDOR_CLASS is what udhcpc says" \
	"$(sed -n 's/^DNSMASQ_VENDOR_CLASS=//p' "$env")" '^udhcp'
check "standard input is closed or empty" not test -e "$T/input"
said() { grep -q "the callback says hello" "$LOG" && grep -q "and this on standard error" "$LOG"; }
check "both its outputs are in the log" wait_for 5 said

release vm-001 "$MAC1" "$IP1"
check "del is called at a RELEASE" wait_for 5 called 3
is "del has MAC, IP and name" "$(calls | sed -n 3p)" "4 [del] [$MAC1] [$IP1] [vm-001]"
ends=$(sed -n 's/^DNSMASQ_LEASE_EXPIRES=//p' "$T/env.del.vm-001")
check "DNSMASQ_LEASE_EXPIRES is then when it ended (${ends:-unset})" \
	test $((${ends:-0} > $(date +%s) - 20 && ${ends:-0} <= $(date +%s) + 1)) = 1
is "and no time is left of it" "$(count '^DNSMASQ_TIME_REMAINING' "$T/env.del.vm-001")" 0
# What devices say of themselves: their URL, classes, and who made them, of which that of enterprise 9
# is nothing to us.
vm vm-001 env RECORD="$T/vm-001" busybox udhcpc -f -q -n -t 8 -T 1 -i eth0 -s "$T/client-script" \
	-x 161:68747470733a2f2f6d -x 77:03616263026465 \
	-x 125:00000009040102414200000de90f0106303030364235020253310301430000 >/dev/null 2>&1
check "add is called when it comes back" wait_for 5 called 4
is "with its MUD URL, user classes and TR-069's names" \
	"$(sed -n -E 's/^DNSMASQ_((MUD|CPEWAN|USER).*)/\1/p' "$T/env.add.vm-001" | tr '\n' ' ')" \
	"CPEWAN_CLASS=C CPEWAN_OUI=0006B5 CPEWAN_SERIAL=S1 MUD_URL=https://m USER_CLASS0=abc USER_CLASS1=de "

plan "$MAC1,vm-001,$IP1"
ctl reload >/dev/null
check "del is called for a machine that leaves the plan" wait_for 5 called 5
is "with what the plan said" "$(calls | sed -n 5p)" "4 [del] [$MAC2] [$IP2] [vm-002]"
is "a reload calls nothing for the others" "$(calls | wc -l)" 5

daemon_end TERM
rm -f "$T/calls"
daemon_up
check "a known lease is told at the start" wait_for 5 called 1
is "as old MAC IP NAME" "$(calls)" "4 [old] [$MAC1] [$IP1] [vm-001]"
is "DNSMASQ_DATA_MISSING is set, as no packet tells more" \
	"$(sed -n 's/^DNSMASQ_DATA_MISSING=//p' "$T/env.old.vm-001")" 1
logged() { (($(wc -l <"$LEASES") >= $1)); }
wait_for 5 logged 6
is "the operation log has all of it, in order" "$(events)" \
	"add vm-001, add vm-002, del vm-001, add vm-001, del vm-002, old vm-001"
is "each line is TIME EVENT MAC IP NAME" "$(count \
	'^[^ ]+ (add|old|del) ([0-9a-f]{2}:){5}[0-9a-f]{2} 192\.168\.6\.[0-9]+ vm-00[12]$' "$LEASES")" 6
is "status counts the calls of this run" "$(callback run)" 1
is "and no failure" "$(callback failed)" 0
daemon_end TERM

# ---- what the host knows of who has the address
rm -rf "$STATE" "$T/calls"
daemon_up
# knows MAC STATE: the host has it so; then vm-001 takes a lease and gives it back. Prints what it knows.
knows() {
	ip -n "$HV" neigh replace "$IP1" lladdr "$1" nud "$2" dev br0 || return
	lease vm-001
	ctl status >/dev/null
	ip -n "$HV" neigh show "$IP1" dev br0 | cut -d ' ' -f 3
	release vm-001 "$MAC1" "$IP1"
}
is "an add: the host forgets a MAC of before" "$(knows 02:00:00:00:00:66 stale)" ""
is "but not the right one" "$(knows "$MAC1" stale)" "$MAC1"
is "nor one that an administrator has set" "$(knows 02:00:00:00:00:66 permanent)" 02:00:00:00:00:66
ip -n "$HV" neigh del "$IP1" dev br0
daemon_end TERM

# ---- strange bytes of a client
rm -rf "$STATE" "$T/calls"
daemon_up
# shellcheck disable=SC2016 # no shell may expand it
vm vm-001 "$PYTHON" "$HERE/wire.py" odd "$MAC1" "$IP1" >/dev/null
check "a client with control characters in its name is called for" wait_for 5 called 1
is "they make no second line" "$(calls | wc -l)" 1
name=$(sed -n 's/^DNSMASQ_SUPPLIED_HOSTNAME=//p' "$T/env.add.vm-001")
like "DNSMASQ_SUPPLIED_HOSTNAME is printable" "$name" '^[[:print:]]+$'
is "nor do they make a variable of their own" "$(count '^DNSMASQ_EVIL' "$T/env.add.vm-001")" 0
daemon_end TERM

# ---- a guest that takes and gives back its lease as fast as it can
rm -rf "$STATE" "$T/calls" "$LEASES"
conf dhcp.callback
daemon_up
# cycles N: so many leases, each given back
cycles() {
	vm vm-001 "$PYTHON" -c '
import sys
sys.path.insert(0, sys.argv[1])
from guest import Guest
guest = Guest("eth0", sys.argv[2], "192.168.6.22", "ff:ff:ff:ff:ff:ff")
print(all(guest.lease() and not guest.release() for _ in range(int(sys.argv[3]))))' \
		"$HERE" "$MAC1" "$1"
}
is "a lease is taken and given back 40 times" "$(cycles 40)" True
check "the operation log has each of it" wait_for 3 logged 80
is "a lease is taken and given back 200 times more" "$(cycles 200)" True
is "of a VM the operation log has at most 100 lines a minute" \
	"$(ctl status >/dev/null && wc -l <"$LEASES")" 100
daemon_end TERM
conf dhcp.callback "$T/callback"

# ---- a lease that runs out
rm -rf "$STATE" "$T/calls"
plan "$MAC1,vm-001,$IP1,6s" "$MAC2,vm-002,$IP2"
daemon_up
lease vm-001
expired() { grep -qF "4 [del] [$MAC1] [$IP1] [vm-001]" "$T/calls"; }
check "del is called when a lease of 6 seconds runs out" wait_for 12 expired
is "vm list shows it expired" \
	"$(field "[v['lease'] for v in d if v['name'] == 'vm-001'][0]" vm list)" expired
daemon_end TERM
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"

# ---- a callback that fails, hangs, is missing
printf '#!/bin/sh\nexit 3\n' >"$T/fails"
# The first call hangs for longer than the test; the second is right.
cat >"$T/hangs" <<END
#!/bin/sh
echo "\$*" >>"$T/calls"
[ "\$4" = vm-002 ] || exec sleep 300
END
chmod 755 "$T/fails" "$T/hangs"

rm -rf "$STATE"
conf dhcp.callback "$T/fails"
daemon_up
lease vm-001
failed_once() { [[ $(callback failed) == 1 ]]; }
check "a callback that exits 3 is counted as failed" wait_for 5 failed_once
like "and the log names its status" "$(grep -i callback "$LOG" | tail -n 5)" '3'
is "the lease is there all the same" "$(field 'len(d)' lease list)" 1
daemon_end TERM

rm -rf "$STATE" "$T/calls"
conf dhcp.callback "$T/hangs"
conf dhcp.callback-timeout 8s
daemon_up
lease vm-001
check "a callback hangs" wait_for 5 called 1
lease vm-002
is "DHCP answers meanwhile" "$(field 'len(d)' lease list)" 2
is "while it hangs" "$(callback failed)" 0
is "the next call waits for it" "$(calls | wc -l)" 1
check "status shows it in the queue" test "$(callback queued)" -ge 1
check "after callback-timeout the next one is called" wait_for 8 called 2
is "calls came in order" "$(calls | awk '{ print $4 }' | tr '\n' ' ')" "vm-001 vm-002 "
check "the one that hung is counted as failed" wait_for 5 failed_once
check "and was killed for the time that is configured" grep -q 'callback: .*killed, .*(8s)' "$LOG"
sleepers() { ip netns pids "$HV" | while read -r pid; do cat "/proc/$pid/comm"; done | count sleep; }
is "and is gone" "$(sleepers)" 0
daemon_end TERM
conf dhcp.callback-timeout

# two_leases: two machines have theirs, and the program knows it
two_leases() {
	rm -rf "$STATE" "$T/calls"
	conf dhcp.callback "$T/callback"
	daemon_up
	lease vm-001
	lease vm-002
	check "two machines have their leases" wait_for 5 called 2
	daemon_end TERM
	rm "$T/calls"
}

# ---- names that change faster than they are told
two_leases
# the first call waits for us
cat >"$T/waits" <<END
#!/bin/sh
until [ -e "$T/go" ]; do sleep 0.1; done
exec "$T/callback" "\$@"
END
chmod 755 "$T/waits"
conf dhcp.callback "$T/waits"
daemon_up
for name in vm-two vm-three; do
	plan "$MAC1,vm-001,$IP1" "$MAC2,$name,$IP2"
	ctl reload >/dev/null
done
touch "$T/go"
check "of two changes of a name one call is made" wait_for 5 called 2
is "with the last name" "$(calls | sed -n 2p)" "4 [old] [$MAC2] [$IP2] [vm-three]"
is "and the one that the program knows" \
	"$(sed -n 's/^DNSMASQ_OLD_HOSTNAME=//p' "$T/env.old.vm-three")" vm-002
daemon_end TERM
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"

# ---- ends that are not told when the daemon dies
two_leases
conf dhcp.callback "$T/hangs"
daemon_up
check "a callback hangs" wait_for 5 called 1
plan "02:00:00:00:00:01,other,192.168.6.9"
ctl reload >/dev/null
not_told() { (($(count '^1 ' "$STATE/leases") == 2)); }
check "they leave the plan: the lease file has their ends" wait_for 8 not_told
daemon_end KILL
rm "$T/calls"
conf dhcp.callback "$T/callback"
daemon_up
check "after the crash they are told" wait_for 5 called 2
is "each once" "$(calls | sort | tr '\n' ' ')" \
	"4 [del] [$MAC1] [$IP1] [vm-001] 4 [del] [$MAC2] [$IP2] [vm-002] "
told() { [[ ! -s $STATE/leases ]]; }
check "and are in the lease file no more" wait_for 8 told
daemon_end TERM
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"

# There at the start, gone when it is wanted.
rm -rf "$STATE"
cp "$T/fails" "$T/vanishes"
conf dhcp.callback "$T/vanishes"
daemon_up
rm "$T/vanishes"
lease vm-001
check "a callback that does not exist is counted as failed" wait_for 5 failed_once
like "and the log names it" "$(tail -n 5 "$LOG")" "$T/vanishes|No such file"
daemon_end TERM

# ---- the one that comes with eipd
rm -rf "$STATE"
cat >"$T/wrapper" <<END
#!/bin/sh
EIPD_CALLBACK_LOG=$T/callback.log exec "$ROOT/scripts/lease-callback" "\$@"
END
chmod 755 "$T/wrapper"
conf dhcp.callback "$T/wrapper"
daemon_up
lease vm-001
check "scripts/lease-callback writes its file" wait_for 5 test -s "$T/callback.log"
like "one line: time add MAC IP NAME" "$(cat "$T/callback.log")" \
	"^[0-9TZ:-]+ add $MAC1 $IP1 vm-001\$"
check "it ignores an action it does not know" env EIPD_CALLBACK_LOG="$T/callback.log" \
	"$ROOT/scripts/lease-callback" init
many() {
	for ((i = 0; i < 40; i++)); do
		"$T/wrapper" old "$MAC2" "$IP2" "vm-$i" &
	done
	wait
}
many 2>/dev/null
is "calls at the same time do not mix their lines" \
	"$(count "^[0-9TZ:-]+ old $MAC2 $IP2 vm-[0-9]+\$" "$T/callback.log")" 40
# shellcheck disable=SC2016 # no shell may expand it
"$T/wrapper" add "$MAC1" "$IP1" "$(printf 'x\ny; $(touch %s/touched)' "$T")"
is "odd bytes make no second line" "$(wc -l <"$T/callback.log")" 42
check "and run nothing" not test -e "$T/touched"
daemon_end TERM
done_testing
