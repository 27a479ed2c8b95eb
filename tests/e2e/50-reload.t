#!/usr/bin/env bash
# A new plan: taken over whole or refused whole, what happens to the machines that come and go,
# and a start with a plan that is wrong.
#
#   outer host              hypervisor                          virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#                                br0 192.168.6.22/24 ────────┴── vm-002 192.168.6.244

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
serve "$P-vm-001" vm-001 8000
serve "$P-vm-002" vm-002 8000
daemon_up

state_of() { field "[a['state'] for a in d if a['address'] == '$1'][0]" ip list; }
machines() { field '" ".join(sorted(v["name"] for v in d))' vm list; }
counts() { field '[d["added"], d["changed"], d["removed"]]' reload; }
planned() { [[ $(machines) == "$*" ]]; }
# gets NAME IP: a real client is given IP
gets() { vm_lease "$1" && grep -qx "ip=$2" "$T/$1.env"; }

# ---- what a reload tells
is "reload of the same plan changes nothing" "$(counts)" "[0, 0, 0]"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "02:00:00:00:00:03,vm-003,192.168.6.3" \
	"02:00:00:00:00:04,vm-004,192.168.6.4"
is "reload counts what was added" "$(counts)" "[2, 0, 0]"
is "vm list has them" "$(machines)" "vm-001 vm-002 vm-003 vm-004"
plan "# a comment" "" "$MAC1,vm-001,$IP1" "$MAC2 , vm-002 , 192.168.6.77" \
	"02:00:00:00:00:03,vm-003,192.168.6.3"$'\r' "02-00-00-00-00-05,vm-005,192.168.6.5 # new"
is "reload counts added, changed and removed" "$(counts)" "[1, 1, 1]"
is "comments, blanks, CRLF and dashes are understood" "$(machines)" "vm-001 vm-002 vm-003 vm-005"
check "a client is given its new address" gets vm-002 192.168.6.77
plan "192.168.6.244,$MAC2,vm-002" "vm-001,$IP1,$MAC1"
like "people see the counts too, fields may come in any order" "$(ctl reload)" '0.*1.*2'
check "and its old one again" gets vm-002 "$IP2"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "02:00:00:00:00:06,vm-006,192.168.6.6"
kill -HUP "$(daemon_pid)"
check "SIGHUP takes a new plan over" wait_for 5 planned vm-001 vm-002 vm-006

# ---- logs that are rotated
check "vm-001 has its lease" gets vm-001 "$IP1"
check "which the operation log has" wait_for 5 test -s "$LEASES"
mv "$LOG" "$LOG.1"
mv "$LEASES" "$LEASES.1"
ctl reload --dry-run >/dev/null
check "a dry run opens no log" not test -e "$LOG"
ctl reload >/dev/null
check "a reload opens the log anew" grep -q 'VMs in force' "$LOG"
plan "$MAC1,vm-001,$IP1"
ctl reload >/dev/null
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "02:00:00:00:00:06,vm-006,192.168.6.6"
ctl reload >/dev/null
check "and the operation log" wait_for 5 grep -q "del $MAC2" "$LEASES"

# ---- a plan with errors
ctl ip bind vm-001 "$EIP1" >/dev/null
check "vm-001 has its lease" gets vm-001 "$IP1"
acks=$(field 'd["dhcp"]["ack"]' status)
plan "02:00:00:00:00:07,vm-007,192.168.6.7" "$MAC1,vm-001" "$MAC2,vm-002,$IP2" \
	"02:00:00:00:00:08,vm-008,192.168.7.8"
ctl reload >"$T/stdout" 2>"$T/stderr"
is "a plan with two errors: reload exits 1" $? 1
like "the first line with an error is named" "$(cat "$T/stdout" "$T/stderr")" "$PLAN:2: "
like "the other one too" "$(cat "$T/stdout" "$T/stderr")" "$PLAN:4: "
is "lines without an error are not" "$(cat "$T/stdout" "$T/stderr" | count ':[13]: ')" 0
got=$(ctl -j reload 2>/dev/null)
is "-j: reload exits 1" $? 1
like "-j: there is an error" "$(json 'd["error"]' <<<"$got")" '.'
is "-j: and the problems with file and line" \
	"$(json '[(p["file"], p["line"]) for p in d["problems"]]' <<<"$got")" "[[\"$PLAN\", 2], [\"$PLAN\", 4]]"
is "-j: each with a text" "$(json 'all(p["text"] for p in d["problems"])' <<<"$got")" true
is "nothing of it is taken over" "$(machines)" "vm-001 vm-002 vm-006"
like "status tells the error" "$(field 'd["plan"]["error"]' status)" '2|error|problem'
check "DHCP goes on from the old plan: vm-001" gets vm-001 "$IP1"
check "DHCP goes on from the old plan: vm-002" gets vm-002 "$IP2"
check "the counters show it" test "$(field 'd["dhcp"]["ack"]' status)" -gt "$acks"
is "the public address still works" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
size=$(stat -c %s "$LOG")
kill -HUP "$(daemon_pid)"
both_logged() { tail -c +"$((size + 1))" "$LOG" | grep -q ":2: " && tail -c +"$((size + 1))" "$LOG" | grep -q ":4: "; }
check "SIGHUP with it: both problems are in the log" wait_for 5 both_logged
is "SIGHUP with it: nothing is taken over" "$(machines)" "vm-001 vm-002 vm-006"

# each of these alone makes the plan wrong, in line 2
wrong() { # WHY LINE
	plan "$MAC1,vm-001,$IP1" "$2" "02:00:00:00:00:09,vm-009,192.168.6.9"
	is "refused: $1" "$(ctl -j reload 2>/dev/null | json '[p["line"] for p in d["problems"]]')" "[2]"
}
wrong "a MAC twice" "$MAC1,vm-002,$IP2"
wrong "a name twice" "$MAC2,vm-001,$IP2"
wrong "an address twice" "$MAC2,vm-002,$IP1"
wrong "an address outside the bridge's network" "$MAC2,vm-002,10.0.0.1"
wrong "the address of the bridge" "$MAC2,vm-002,192.168.6.22"
wrong "the address of the network" "$MAC2,vm-002,192.168.6.0"
wrong "the broadcast address" "$MAC2,vm-002,192.168.6.255"
wrong "a MAC that is none" "d0:0d:8e:9f:42,vm-002,$IP2"
wrong "a name that is no DNS label" "$MAC2,vm_002!,$IP2"
wrong "an address that is none" "$MAC2,vm-002,192.168.6.999"
wrong "no name" "$MAC2,$IP2"
wrong "no MAC" "vm-002,$IP2"
rm -f "$PLAN"
refused "a missing plan file is refused at a reload" 1 "$PLAN" reload
like "with its problem as FILE:LINE: TEXT" "$(ctl reload 2>/dev/null)" "^$PLAN:[0-9]+: cannot be read"
is "and the old plan stays" "$(machines)" "vm-001 vm-002 vm-006"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2,45m" "02:00:00:00:00:0a,vm-010,192.168.6.10,set:web,ignore" \
	"id:01:02:03,02:00:00:00:00:0b,vm-011,192.168.6.11"
is "lease time, set:, id: and ignore are accepted" "$(counts)" "[2, 1, 1]"
is "after a good reload status tells no error" "$(field 'd["plan"]["error"]' status)" null

# ---- a machine leaves
ctl ip bind vm-002 "$EIP2" >/dev/null
ctl ip bind vm-002 20.251.48.101 >/dev/null
is "a public address works" "$(ask "$OUT" "$EIP2" 8000)" "vm-002 sees 20.251.48.1"
ask_udp "$OUT" "$EIP2" 8000 7001 before >/dev/null
plan "$MAC1,vm-001,$IP1"
is "the machine leaves the plan" "$(counts)" "[0, 0, 3]"
is "its first public address is free" "$(state_of "$EIP2")" free
is "its second too" "$(state_of 20.251.48.101)" free
is "the pool counts them" "$(field 'd["nat"]["free"]' status)" 11
is "no rule of it is left" "$(rules_of "$EIP2" 20.251.48.101 "$IP2")" 0
check "nor an address" not address_on "$EIP2"
check "TCP reaches nobody" unanswered ask "$OUT" "$EIP2" 8000
TALK_PATIENCE=1.5 ask_udp "$OUT" "$EIP2" 8000 7001 after >/dev/null
check "nor does a flow of before" not grep -q after "$T/vm-002.udp"
check "it is given no address any more" not gets vm-002 "$IP2"
is "the other machine keeps its own" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
is "the address can be bound again, to another" "$(field 'd["vm"]' ip bind vm-001 "$EIP2")" vm-001
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
ctl reload >/dev/null
is "the machine comes back without an address" \
	"$(field "[v['public'] for v in d if v['name'] == 'vm-002'][0]" vm list)" "[]"

# ---- a machine is made anew, or gets another inner address
plan "02:00:00:00:00:0c,vm-001,$IP1" "$MAC2,vm-002,$IP2"
is "another MAC for the same name is a change" "$(counts)" "[0, 1, 0]"
is "it keeps its public address" "$(state_of "$EIP1")" bound
plan "$MAC1,vm-001,192.168.6.50" "$MAC2,vm-002,$IP2"
is "another inner address is a change" "$(counts)" "[0, 1, 0]"
check "the client gets it" gets vm-001 192.168.6.50
is "the public address follows" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
is "no rule of the old inner address is left" "$(rules_of "$IP1")" 0
plan "$MAC1,vm-001,$IP2" "$MAC2,vm-002,$IP1"
is "two machines that swap their addresses are two changes" "$(counts)" "[0, 2, 0]"
check "the first has that of the second" gets vm-001 "$IP2"
check "the second has that of the first" gets vm-002 "$IP1"
ip -n "$HV" neigh flush dev br0 # what the guests' gratuitous ARP does elsewhere
is "the public address is still that of the first" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"

# ---- starts with a wrong plan
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
ctl reload >/dev/null
daemon_end TERM
plan "$MAC1,vm-001,$IP1" "nonsense"
check "with a wrong plan it starts from the last good one" daemon_start
is "all machines of that are there" "$(machines)" "vm-001 vm-002"
like "status says so" "$(field 'd["plan"]["error"]' status)" '.{8}'
like "status says so to people" "$(ctl status)" 'refused|last good|error|problem'
like "the log says so, with the line" "$(tail -n 60 "$LOG")" "$PLAN:2: "
check "DHCP answers: vm-001" gets vm-001 "$IP1"
check "DHCP answers: vm-002" gets vm-002 "$IP2"
ip -n "$HV" neigh flush dev br0
is "the public address works" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
daemon_end TERM
rm -f "$PLAN"
check "without a plan file too" daemon_start
is "all machines are there" "$(machines)" "vm-001 vm-002"
like "status names the missing file" "$(field 'd["plan"]["error"]' status)" "$(basename "$PLAN")|No such file|missing"
plan "$MAC1,vm-001,$IP1"
check "a right plan heals it" ctl reload
is "status tells no error then" "$(field 'd["plan"]["error"]' status)" null
daemon_end TERM
plan "nonsense"
echo "spoiled" >"$STATE/plan.last-good"
daemon_start
is "with a wrong plan and a spoiled last good one it exits 1" $? 1
like "and says what is wrong with both" "$(<"$T/start")" \
	"$PLAN:1: .*$STATE/plan.last-good:1: .*refused, and so is the last good one in $STATE; mend it"
rm -f "$PLAN"
rm -rf "$STATE"
daemon_start
is "without a plan file and without a last good one it exits 1" $? 1
like "and names the file" "$(cat "$T/start")" "$PLAN"
is "not one that never was" "$(count "$STATE/" "$T/start")" 0
done_testing
