#!/usr/bin/env bash
# What others do to the kernel is mended, what is theirs is left alone, and when all is right
# nothing is written. And: the lock of the tables, a damaged state file, prefixes below 32.
#
#   outer host              hypervisor                          virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#                                br0 192.168.6.22/24 ────────┴── vm-002 192.168.6.244
#
# Long: it is begun first.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
EIP3=20.251.48.101 SHARED=20.251.48.102
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_static vm-001 "$IP1"
vm_static vm-002 "$IP2"
serve "$P-vm-001" vm-001 8000
serve "$P-vm-002" vm-002 8000
serve "$OUT" outside 9000

ipt() { hv iptables-legacy -w 10 -t nat "$@"; }
# What others have on the machine.
foreign_setup() {
	ipt -N OTHER
	ipt -A PREROUTING -d 203.0.113.5/32 -j OTHER
	ipt -A OTHER -p tcp -j DNAT --to-destination 10.9.9.9
	ipt -A POSTROUTING -s 10.9.9.0/24 -j MASQUERADE
}
foreign() {
	nat_rules | grep -v EIPD
	outer_addresses | grep -E ' 20\.251\.48\.(10|200)/' | sed 's/^[0-9]*://; s/valid_lft.*//'
}
foreign_setup
ip -n "$HV" addr add 20.251.48.200/32 dev eth0 label eth0:9
# Ours: the rules in order, without counters, and the addresses.
ours() {
	nat_rules | grep EIPD
	outer_addresses | grep -E ' eth0:[0-8][^0-9]' | sed 's/^[0-9]*: *//; s/valid_lft.*//' | sort
}
# counters ADDRESS: packets and bytes of the rule for connections from outside
counters() { ipt -v -S EIPD-PREROUTING | grep -- "-d $1/32 .*DNAT" | grep -o -- '-c .* '; }
repaired() { field 'd["nat"]["repaired"]' status; }
mended_events() { field 'len([e for e in d if e["event"] == "resync"])' events; }
more_than() { (($("$1") > $2)); }

# watch: from now on, what the daemon does with the tables is in $T/strace
watch() {
	strace -f -e trace=setsockopt,getsockopt -o "$T/strace" -p "$(daemon_pid)" 2>"$T/strace.err" &
	strace=$!
	wait_for 5 grep -q attached "$T/strace.err" || die "strace: $(cat "$T/strace.err")"
}
unwatch() { kill "$strace" && wait "$strace"; } 2>/dev/null
reads() { count 'IPT_SO_GET_ENTRIES|SO_GET_ENTRIES' <"$T/strace"; }
commits() { count 'SO_SET_REPLACE' <"$T/strace"; }
# at_rest SENTENCE: two resyncs come and go without a commit
at_rest() {
	local before seen
	seen=$(reads) before=$(commits)
	if ! wait_for 8 more_than reads $((seen + 1)); then
		fail "$1: resyncs go on" <<<"the daemon does not read the table"
		return
	fi
	is "$1: resyncs that find nothing write nothing" "$(commits)" "$before"
}

conf nat.resync 1s
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip bind vm-002 "$EIP2" >/dev/null
ctl ip bind vm-001 "$EIP3" >/dev/null
ctl forward add "$SHARED:80/tcp" vm-002:8000 >/dev/null
for _ in 1 2 3; do
	ask "$OUT" "$EIP1" 8000 >/dev/null
done
right=$(ours)
is_right() { [[ $(ours) == "$right" ]]; }
watch
at_rest "after binds"

# ---- what is mended
works() {
	[[ $(ask "$OUT" "$EIP1" 8000) == "vm-001 sees 20.251.48.1" &&
	$(ask "$OUT" "$EIP2" 8000) == "vm-002 sees 20.251.48.1" &&
	$(ask "$OUT" "$SHARED" 80) == "vm-002 sees 20.251.48.1" &&
	$(ask "$P-vm-001" 20.251.48.1 9000) == "outside sees $source" ]]
}
source=$EIP1 # of vm-001: the first that it was given
# mends SENTENCE COMMAND…: what the command breaks is right again soon, told, and nothing else
mends() {
	local what=$1 repairs events others counted
	shift
	repairs=$(repaired) events=$(mended_events) counted=$(counters "$EIP1")
	"$@" || die "$what"
	others=$(foreign)
	check "$what: it is mended" wait_for 4 is_right
	check "$what: it is counted as repaired" wait_for 3 more_than repaired "$repairs"
	check "$what: and an event" more_than mended_events "$events"
	is "$what: rules and addresses of others are as they were" "$(foreign)" "$others"
	[[ $untouched == no ]] ||
		is "$what: a rule that nobody touched has its counters" "$(counters "$EIP1")" "$counted"
	at_rest "$what"
	check "$what: traffic passes" works
}
untouched=yes
mends "our rule deleted" ipt -D EIPD-PREROUTING -d "$EIP2/32" -j DNAT --to-destination "$IP2"
mends "our SNAT rule deleted" ipt -D EIPD-POSTROUTING -s "$IP2/32" -o eth0 -j SNAT --to-source "$EIP2"
mends "our rule changed" ipt -R EIPD-PREROUTING 2 -d "$EIP2/32" -j DNAT --to-destination 192.168.6.7
mends "the rule of a forward deleted" ipt -D EIPD-OUTPUT -d "$SHARED/32" -p tcp -m tcp --dport 80 \
	-j DNAT --to-destination "$IP2:8000"
mends "our jump deleted" ipt -D PREROUTING -j EIPD-PREROUTING
mends "our jump twice" ipt -A PREROUTING -j EIPD-PREROUTING
mends "a rule added to our chain" ipt -I EIPD-PREROUTING -s 10.9.9.7/32 -j ACCEPT
mends "a rule of another kind added to our chain" ipt -A EIPD-POSTROUTING -s 10.1.0.0/16 -o eth0 \
	-m comment --comment mine -j MASQUERADE
mends "our rule doubled" ipt -A EIPD-PREROUTING -d "$EIP1/32" -j DNAT --to-destination "$IP1"
mends "our address deleted" ip -n "$HV" addr del "$EIP2/32" dev eth0
relabel() {
	ip -n "$HV" addr del "$EIP2/32" dev eth0
	ip -n "$HV" addr add "$EIP2/24" dev eth0 label eth0:2
}
mends "our address with another prefix" relabel
mends "packet forwarding switched off" hv sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
is "and the event tells that, and no more" \
	"$(field '[e for e in d if e["event"] == "resync"][-1].keys() - {"time", "event"} == {"forwarding"}' events)" true
is "packet forwarding is on again" "$(hv cat /proc/sys/net/ipv4/ip_forward)" 1
mends "a chain of ours that was left over" ipt -N EIPD-OLD
# a chain of ours that others lead to as well is still to be reached from where it belongs
ipt -A OUTPUT -j EIPD-PREROUTING && ipt -D PREROUTING -j EIPD-PREROUTING
check "our jump deleted, and another's there: it is mended" \
	wait_for 4 ipt -C PREROUTING -j EIPD-PREROUTING
at_rest "our jump deleted, and another's there"
check "and the other's rule is as it was" ipt -D OUTPUT -j EIPD-PREROUTING
check "and then all is as it should be" wait_for 4 is_right
untouched=no # now all rules go
delete_chain() { ipt -D POSTROUTING -j EIPD-POSTROUTING && ipt -F EIPD-POSTROUTING && ipt -X EIPD-POSTROUTING; }
# a resync between two steps would keep the last one from being done
mends "our chain deleted" wait_for 10 delete_chain
mends "our chain flushed" ipt -F EIPD-PREROUTING
flush() { ipt -F && ipt -X; }
mends "nat flushed" wait_for 10 flush
foreign_setup
restore() { hv sh -c 'printf "*nat\n:PREROUTING ACCEPT\n-A PREROUTING -d 203.0.113.9/32 -j DNAT --to-destination 10.9.9.9\nCOMMIT\n" |
	iptables-legacy-restore -w 10'; }
mends "nat replaced by iptables-restore" restore
ipt -D PREROUTING -d 203.0.113.9/32 -j DNAT --to-destination 10.9.9.9
foreign_setup
is "our chains are reached by one jump each" \
	"$(nat_rules | count '^-A (PREROUTING|OUTPUT|POSTROUTING) -j EIPD-[A-Z]+$')" 3
restores() { hv sh -c 'iptables-legacy-save | iptables-legacy-restore --test'; }
check "iptables-save of it can be restored" restores

# Somebody who writes the whole table back between our changes.
others=$(foreign)
for ((i = 0; i < 5; i++)); do
	hv sh -c 'iptables-legacy-save -t nat | grep -v "203.0.113.77" | iptables-legacy-restore -w 10'
	ctl ip unbind 20.251.48.110 >/dev/null
	ctl ip bind vm-001 20.251.48.110 >/dev/null
done
ctl ip unbind 20.251.48.110 >/dev/null
check "reloads of the whole table between binds: ours are right" wait_for 4 is_right
is "reloads of the whole table between binds: theirs too" "$(foreign)" "$others"
at_rest "after that"
unwatch

# ---- at once
daemon_end TERM
conf nat.resync 60s
daemon_up
at_once() {
	local begun took
	begun=$(date +%s%N)
	"${@:2}"
	wait_for 3 is_right
	took=$((($(date +%s%N) - begun) / 1000000))
	check "$1 is back at once, long before a resync ($took ms)" test "$took" -lt 20000
	is "$1: all is right" "$(ours)" "$right"
}
at_once "an address that was deleted" ip -n "$HV" addr del "$EIP1/32" dev eth0
flush_addresses() { for a in "$EIP1" "$EIP2" "$EIP3" "$SHARED"; do ip -n "$HV" addr del "$a/32" dev eth0; done; }
at_once "every address" flush_addresses
check "traffic passes" works

# ---- the lock of the tables
lock_hold
ctl -j ip bind vm-002 20.251.48.105 >"$T/bind" 2>&1 &
binding=$!
check "the lock is held: DHCP answers" vm_lease vm-001
check "status answers" ctl status
check "a bind waits" not gone "$binding"
lock_release
wait "$binding"
is "and succeeds when it is free" "$? $(json 'd["changed"]' <"$T/bind")" "0 true"
is "and is true" "$(ask "$OUT" 20.251.48.105 8000)" "vm-002 sees 20.251.48.1"
ctl ip unbind 20.251.48.105 >/dev/null

# in_turn COMMAND…: sends them one behind the other, says so, and then the answers
in_turn() {
	"$PYTHON" - "$SOCKET" "$@" <<-'END'
		import json, socket, sys
		def send(command):
		    peer = socket.socket(socket.AF_UNIX)
		    peer.connect(sys.argv[1])
		    peer.sendall(json.dumps({"command": command.split()}).encode() + b"\n")
		    return peer.makefile()
		answers = []
		for command in sys.argv[2:]:
		    answers.append(send(command))
		    send("status").readline()
		print("sent", flush=True)
		for answer in answers:
		    result = json.loads(answer.readline())["result"]
		    print(*(result.get(key) for key in ("vm", "ip", "label", "changed")))
	END
}
lock_hold
ctl ip bind vm-002 20.251.48.105 >/dev/null &
binding=$!
wait_for 5 grep -q '^bind 20\.251\.48\.105 ' "$STATE/bindings" || die "no bind is under way"
in_turn "ip bind vm-002 20.251.48.106" "ip move 20.251.48.106 vm-001" "ip unbind 20.251.48.106" >"$T/turn" 2>&1 &
turn=$!
check "three changes of an address wait" wait_for 5 grep -q sent "$T/turn"
lock_release
wait "$binding" "$turn"
like "they are done together, and each is told of its own" "$(xargs <"$T/turn")" \
	"^sent vm-002 $IP2 eth0:[0-9]+ True vm-001 $IP1 eth0:[0-9]+ True None None None True$"
ctl ip unbind 20.251.48.105 >/dev/null

lock_hold
# without the connections, which end by themselves
listed() { field '[{k: v for k, v in a.items() if k != "connections"} for a in d]' ip list; }
state=$(cat "$STATE/bindings") list=$(listed)
begun=$SECONDS
refused "the lock is held for longer than 10 s: a bind is refused, and why" 1 \
	'lock|another program|iptables|xtables' ip bind vm-002 20.251.48.105
took=$((SECONDS - begun))
check "after ten seconds or so ($took s)" test "$took" -ge 9 -a "$took" -le 40
is "rules and addresses are as they were" "$(XTABLES_LOCKFILE=$T/other-lock ours)" "$right"
is "so is the state file" "$(cat "$STATE/bindings")" "$state"
is "so is the list" "$(listed)" "$list"
ctl -j ip move "$EIP3" vm-002 >"$T/move" 2>"$T/move.err" &
moving=$!
check "status answers while another waits for the lock" ctl status
lock_release
wait "$moving"
is "the lock is free: what waited is done" "$? $(json 'd["vm"]' <"$T/move")" "0 vm-002"
is "and true" "$(ask "$OUT" "$EIP3" 8000)" "vm-002 sees 20.251.48.1"
ctl ip move "$EIP3" vm-001 >/dev/null
check "the daemon goes on" wait_for 4 is_right
is "a bind works again" "$(field 'd["changed"]' ip bind vm-002 20.251.48.105)" true
ctl ip unbind 20.251.48.105 >/dev/null
is "all is right" "$(ours)" "$right"
check "traffic passes" works
daemon_end TERM
# start_waits SENTENCE: while somebody has the lock
start_waits() {
	local starting

	lock_hold
	daemon_start &
	starting=$!
	sleep 1 # it would be there, or have ended, by then
	check "$1" not gone "$starting"
	lock_release
	wait "$starting"
	is "until it is free" "$? $(<"$T/start")" "0 "
}
start_waits "a start waits for the lock too"
is "and all is right" "$(ours)" "$right"

# ---- a damaged state file
ctl ip unbind "$EIP1" >/dev/null # so that the first of vm-001 is not its lowest
ctl ip bind vm-001 "$EIP1" >/dev/null
source=$EIP3
is "the source of vm-001 is its first address" "$(ask "$P-vm-001" 20.251.48.1 9000)" "outside sees $EIP3"
bindings() { field '[(a["address"], a["vm"]) for a in d if a["vm"]]' ip list; }
forwards() { field '[(f["forward"], f["vm"], f["to"]) for f in d]' forward list; }
list=$(bindings)
forwards=$(forwards)
right=$(ours)
good=$(cat "$STATE/bindings")
like "the state file says what it is" "${good%%$'\n'*}" '^# eipd bindings, version 1'
# rebuilt SENTENCE: with what is on standard input as state file
rebuilt() {
	daemon_end KILL
	rm -f "$STATE/bindings.damaged"
	cat >"$STATE/bindings"
	cp "$STATE/bindings" "$T/damaged"
	size=$(stat -c %s "$LOG")
	check "$1: the daemon starts" daemon_start
	check "$1: a copy of the file is kept" cmp "$T/damaged" "$STATE/bindings.damaged"
	like "$1: the log names both" "$(tail -c +"$size" "$LOG")" "$STATE/bindings:[0-9]+: .*bindings\.damaged|$STATE/bindings: .*bindings\.damaged"
	all_bound "$1"
	is "$1: a port that is not forwarded reaches nobody" \
		"$(TALK_PATIENCE=1.5 ask "$OUT" "$SHARED" 8000 | grep -c sees)" 0
	daemon_end KILL
	daemon_up
	all_bound "$1, and a start later"
	check "$1: the file is whole again" eipd -t
	daemon_end KILL
	printf '%s\n' "$good" >"$STATE/bindings"
	daemon_up
	is "$1: with the right file all is right" "$(ours)" "$right"
}
all_bound() {
	is "$1: the bindings are as they were" "$(bindings)" "$list"
	is "$1: and the forwards" "$(forwards)" "$forwards"
	is "$1: and the source of vm-001" "$(ask "$P-vm-001" 20.251.48.1 9000)" "outside sees $EIP3"
}
rebuilt "nonsense" <<<"nonsense"
rebuilt "an empty file" </dev/null
rebuilt "a file cut off" < <(printf %s "${good:0:${#good}-9}")
rebuilt "a file with a block of zeros" < <(printf '%s\n' "$good" | head -n 2; head -c 512 /dev/zero)
rebuilt "a line too many" < <(printf '%s\nbind 20.251.48.104\n' "$good")
rebuilt "a later version" < <(sed '1s/version 1/version 7/' <<<"$good")
rebuilt "the source's line" < <(printf '%s\n' "$good" | sed "s/bind $EIP3 .*/bind $EIP3/")

# The host crashed, so the kernel says nothing: all good lines count.
daemon_end KILL
ipt -F && ipt -X
flush_addresses
printf '%s\nbind 20.251.48.104 vm-001 d0:0d' "$good" >"$STATE/bindings"
sed -i "2i nonsense" "$STATE/bindings"
like "bad lines: -t tells all of them" "$(eipd -t 2>&1)" \
	"$STATE/bindings:2: .*"$'\n'"$STATE/bindings:$(($(wc -l <<<"$good") + 2)): cut off"
daemon_up
all_bound "bad lines, and nothing in the kernel"
is "bad lines, and nothing in the kernel: rules and addresses too" "$(ours)" "$right"
foreign_setup

# Nobody's address is taken back because of a file that cannot be read or written.
unharmed() {
	like "$1: it does not start, and says why" "$(<"$T/start")" "$2"
	is "$1: rules and addresses are as they were" "$(ours)" "$right"
}
daemon_end KILL
mv "$STATE/bindings" "$T/bindings"
mkdir "$STATE/bindings"
check "a file that cannot be read" not daemon_start
unharmed "a file that cannot be read" "$STATE/bindings cannot be read .*remove it"
rmdir "$STATE/bindings"
mv "$T/bindings" "$STATE/bindings"
echo nonsense >"$STATE/bindings"
mkdir "$STATE/bindings.eipd-new" # where the new text would go
check "a damaged file that cannot be written anew" not daemon_start
unharmed "a damaged file that cannot be written anew" "$STATE/bindings is damaged, .*nothing was changed"
rmdir "$STATE/bindings.eipd-new"
start_waits "a damaged file while somebody has the lock: the start waits for it"
all_bound "a damaged file while somebody had the lock"
daemon_end KILL
printf '%s\n' "$good" >"$STATE/bindings"
daemon_up
is "all is right" "$(ours)" "$right"

# ---- a VM with another name
plan "$MAC1,web,$IP1" "$MAC2,vm-002,$IP2"
ctl reload >/dev/null
is "a VM with a new name keeps its addresses" \
	"$(field '[v["public"] for v in d if v["name"] == "web"][0]' vm list)" "[\"$EIP3\", \"$EIP1\"]"
is "rules and addresses are as they were" "$(ours)" "$right"
is "the list has the new name" "$(field "[a['vm'] for a in d if a['address'] == '$EIP1'][0]" ip list)" web
daemon_end KILL
daemon_up
is "after a restart too" "$(field "[a['vm'] for a in d if a['address'] == '$EIP1'][0]" ip list)" web
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
ctl reload >/dev/null

# ---- a smaller pool
daemon_end TERM
conf outer.pool "$EIP1-$EIP2, 20.251.48.108"
size=$(stat -c %s "$LOG")
daemon_up
is "a pool smaller than what is bound: all stays" "$(ours)" "$right"
like "with a warning" "$(tail -c +"$size" "$LOG")" "warning.*$EIP3.*not in the pool"
is "the list shows it" "$(field "[(a['state'], a['vm']) for a in d if a['address'] == '$EIP3']" ip list)" \
	'[["bound", "vm-001"]]'
is "status counts what is free in the pool" "$(field 'd["nat"]["free"]' status)" 1
check "traffic passes" works
ctl reload >/dev/null
is "a reload keeps it" "$(ours)" "$right"
ask_udp "$OUT" "$EIP3" 8000 7001 before >/dev/null
check "a flow goes there" grep -q before "$T/vm-001.udp"
check "it can be unbound" ctl ip unbind "$EIP3"
is "no rule of it is left" "$(rules_of "$EIP3")" 0
check "and the host does not have it any more, whose own services would answer" not address_on "$EIP3"
TALK_PATIENCE=1.5 ask_udp "$OUT" "$EIP3" 8000 7001 stale >/dev/null
check "the flow does not go on to the VM" not grep -q stale "$T/vm-001.udp"
check "conntrack has no flow of it to the VM" not eval "hv conntrack -L 2>/dev/null | grep '$EIP3' | grep -q '$IP1'"
refused "and cannot be bound again" 1 'pool' ip bind vm-001 "$EIP3"
is "the VM's next address is its source" "$(ask "$P-vm-001" 20.251.48.1 9000)" "outside sees $EIP1"
daemon_end TERM
conf outer.pool "$EIP1"
conf nat.on-exit remove
daemon_up
check "an address outside the pool is bound still" address_on "$EIP2"
daemon_end TERM
is "on-exit = remove takes it away as well" "$(outer_addresses | count ' eth0:[0-8][^0-9]')" 0
conf nat.on-exit keep

# ---- prefix-length 24: all but the first are secondary addresses in the kernel, which go with it
rm -f "$STATE/bindings"
for a in "$EIP1" "$EIP2" "$EIP3" "$SHARED"; do
	ip -n "$HV" addr del "$a/32" dev eth0 2>/dev/null
done
conf outer.pool 20.251.49.1-20.251.49.9
conf outer.prefix-length 24
ip -n "$OUT" addr add 20.251.49.254/24 dev eth0
hv sh -c 'echo 0 >/proc/sys/net/ipv4/conf/eth0/promote_secondaries
	echo 0 >/proc/sys/net/ipv4/conf/all/promote_secondaries'
daemon_up
ctl ip bind vm-001 20.251.49.1 >/dev/null
ctl ip bind vm-002 20.251.49.2 >/dev/null
ctl ip bind vm-001 20.251.49.3 >/dev/null
is "prefix-length 24: all are there with it" "$(outer_addresses | count ' 20\.251\.49\.[123]/24 ')" 3
is "the kernel has one as the first and the others behind it" \
	"$(outer_addresses | grep ' 20\.251\.49\.' | count secondary)" 2
check "taking the first away" ctl ip unbind 20.251.49.1
is "leaves the others" "$(outer_addresses | grep -oE ' 20\.251\.49\.[0-9]+/' | sort | tr -d ' \n')" \
	"20.251.49.2/20.251.49.3/"
is "which work" "$(ask "$OUT" 20.251.49.2 8000) $(ask "$OUT" 20.251.49.3 8000)" \
	"vm-002 sees 20.251.49.254 vm-001 sees 20.251.49.254"
check "somebody deletes what is the first now" ip -n "$HV" addr del 20.251.49.2/24 dev eth0
both_there() { [[ $(outer_addresses | count ' 20\.251\.49\.[23]/24 ') == 2 ]]; }
begun=$(date +%s%N)
wait_for 3 both_there
took=$((($(date +%s%N) - begun) / 1000000))
check "all are back at once ($took ms)" test "$took" -lt 20000
is "and work" "$(ask "$OUT" 20.251.49.2 8000) $(ask "$OUT" 20.251.49.3 8000)" \
	"vm-002 sees 20.251.49.254 vm-001 sees 20.251.49.254"
ctl ip unbind 20.251.49.2 >/dev/null
ctl ip unbind 20.251.49.3 >/dev/null
is "nothing of it is left" "$(outer_addresses | count ' 20\.251\.49\.')" 0
done_testing
