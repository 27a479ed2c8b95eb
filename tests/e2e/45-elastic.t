#!/usr/bin/env bash
# Addresses that come and go: cooldown, auto-bind, reclaim, conflicts, a link that is down, port
# forwards; machines that are added and deleted; what a reload would do, events, metrics.
#
#   outer host              hypervisor                          virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#                                br0 192.168.6.22/24 ────────┴── vm-002 192.168.6.244
#
# Long: it is begun first.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
EIP3=20.251.48.101 SHARED=20.251.48.102
MAC3=02:00:00:00:00:03 IP3=192.168.6.3
MAC4=02:00:00:00:00:04 IP4=192.168.6.4
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_static vm-001 "$IP1"
vm_static vm-002 "$IP2"
serve "$P-vm-001" vm-001 8000
serve "$P-vm-001" vm-001b 8002
serve "$P-vm-002" vm-002 8000
serve "$OUT" outside 9000
two=("$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2")

state_of() { field "[a['state'] for a in d if a['address'] == '$1'][0]" ip list; }
state_is() { [[ $(state_of "$1") == "$2" ]]; }
owner_of() { field "[a['vm'] for a in d if a['address'] == '$1'][0]" ip list; }
public_of() { field "' '.join(v['public'] for v in d if v['name'] == '$1' for v['public'] in v['public'])" vm list; }
has_public() { [[ -n $(public_of "$1") ]]; }
has_none() { [[ -z $(public_of "$1") ]]; }
# event_count NAME [KEY VALUE]
event_count() {
	if (($# > 1)); then
		field "len([e for e in d if e['event'] == '$1' and e.get('$2') == '$3'])" events
	else
		field "len([e for e in d if e['event'] == '$1'])" events
	fi
}
has_event() { (($(event_count "$@") > 0)); }
# kernel: our rules and addresses, in order
kernel() {
	nat_rules | grep EIPD
	outer_addresses | grep -E ' eth0:[0-9]' | sed 's/^[0-9]*: *//; s/valid_lft.*//' | sort
}
# since START: milliseconds
since() { echo $((($(date +%s%N) - $1) / 1000000)); }
# fresh: no daemon, nothing bound
fresh() {
	local address
	[[ ! -e $RUN/eipd.pid ]] || daemon_end TERM
	rm -rf "$STATE"
	for address in $(outer_addresses | grep -E ' eth0:[0-9]' | grep -oE '20\.251\.48\.[0-9]+/32'); do
		ip -n "$HV" addr del "$address" dev eth0
	done
	hv iptables-legacy -w 10 -t nat -F
	hv iptables-legacy -w 10 -t nat -X
	plan "${two[@]}"
	conf nat.cooldown
	conf nat.auto-bind
	conf nat.reclaim-after
	conf outer.probe no
	conf outer.announce 1
	conf outer.pool 20.251.48.99-20.251.48.110
}

# ---- cooldown
conf nat.cooldown 1h
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip unbind "$EIP1" >/dev/null
is "cooldown: an address that was unbound cools down" "$(state_of "$EIP1")" cooldown
refused "cooldown: another VM may not have it, and whose it was is told" 1 "$EIP1.*vm-001" \
	ip bind vm-002 "$EIP1"
refused "cooldown: not by a move either" 1 "$EIP1" ip move "$EIP1" vm-002
refused "cooldown: nor a port of it" 1 "$EIP1" forward add "$EIP1:80/tcp" vm-002
check "cooldown: it is not on eth0" not address_on "$EIP1"
is "cooldown: without an address another VM is given another one" \
	"$(field 'd["address"]' ip bind vm-002)" "$EIP2"
daemon_end KILL
daemon_up
is "cooldown: after kill -9 it cools down still" "$(state_of "$EIP1")" cooldown
refused "cooldown: and is refused still" 1 "$EIP1" ip bind vm-002 "$EIP1"
is "cooldown: the VM that had it is given it again" "$(field 'd["address"]' ip bind vm-001)" "$EIP1"
is "cooldown: and has it" "$(state_of "$EIP1")" bound
plan "${two[0]}"
ctl reload >/dev/null
is "cooldown: the addresses of a VM that leaves the plan cool down" "$(state_of "$EIP2")" cooldown
refused "cooldown: nobody else may have them" 1 "$EIP2.*vm-002" ip bind vm-001 "$EIP2"
plan "${two[@]}"
ctl reload >/dev/null
check "cooldown: if the VM comes back it may" ctl ip bind vm-002 "$EIP2"
ctl ip unbind "$EIP2" >/dev/null
plan "${two[0]}" "$MAC2,web,$IP2"
ctl reload >/dev/null
check "cooldown: the same VM under a new name may" ctl ip bind web "$EIP2"
fresh
conf nat.cooldown 4s
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
begun=$(date +%s%N)
ctl ip unbind "$EIP1" >/dev/null
check "cooldown: in the end it is free" wait_for 6 state_is "$EIP1" free
took=$(since "$begun")
check "cooldown: after its time ($took ms)" test "$took" -ge 3000
is "cooldown: for every VM" "$(field 'd["vm"]' ip bind vm-002 "$EIP1")" vm-002

# ---- auto-bind
fresh
conf nat.auto-bind yes
conf outer.pool "$EIP1-$EIP3"
daemon_up
is "auto-bind: at the start each VM has an address" "$(public_of vm-001) $(public_of vm-002)" "$EIP1 $EIP2"
is "auto-bind: traffic comes in" "$(ask "$OUT" "$EIP2" 8000)" "vm-002 sees 20.251.48.1"
is "auto-bind: and goes out" "$(ask "$P-vm-002" 20.251.48.1 9000)" "outside sees $EIP2"
plan "${two[@]}" "$MAC3,vm-003,$IP3" "$MAC4,vm-004,$IP4"
ctl reload >/dev/null
is "auto-bind: at a reload a new VM has one" "$(public_of vm-003)" "$EIP3"
check "auto-bind: that is an event" has_event bind address "$EIP3"
is "auto-bind: when the pool is empty the next has none" "$(public_of vm-004)" ""
is "auto-bind: nobody else lost or got one" "$(public_of vm-001) $(public_of vm-002)" "$EIP1 $EIP2"
before=$(kernel)
daemon_end KILL
daemon_up
is "auto-bind: a restart changes nothing" "$(kernel)" "$before"
plan "${two[1]}" "$MAC3,vm-003,$IP3" "$MAC4,vm-004,$IP4"
ctl reload >/dev/null
is "auto-bind: what a VM that left had, one that had none has at once" "$(owner_of "$EIP1")" vm-004
check "auto-bind: the address that came back is an event" has_event unbind address "$EIP1"
ctl vm del vm-003 >/dev/null
ctl vm add vm-005 --mac 02:00:00:00:00:05 --ip 192.168.6.5 >/dev/null
is "auto-bind: vm add gives one, too" "$(public_of vm-005)" "$EIP3"
fresh
conf nat.auto-bind yes
conf nat.cooldown 1h
conf outer.pool "$EIP1"
plan "${two[0]}"
daemon_up
plan "${two[1]}"
ctl reload >/dev/null
is "auto-bind: what cools down is not given to another VM" "$(public_of vm-002)" ""
plan "${two[0]}"
ctl reload >/dev/null
is "auto-bind: the VM that had it has it again" "$(public_of vm-001)" "$EIP1"
fresh
conf nat.auto-bind yes
conf outer.probe yes
ip -n "$OUT" addr add "$EIP1/32" dev eth0
daemon_up
all_served() { has_public vm-001 && has_public vm-002; }
check "auto-bind, probe: each VM has an address soon" wait_for 8 all_served
check "auto-bind, probe: not one that somebody on the wire has" not address_on "$EIP1"
is "auto-bind, probe: which is shown as a conflict" "$(state_of "$EIP1")" conflict
ip -n "$OUT" addr del "$EIP1/32" dev eth0

# What becomes free while a VM waits.
owner_is() { [[ $(owner_of "$1") == "$2" ]]; }
for probe in no yes; do
	fresh
	conf nat.auto-bind yes
	conf outer.probe "$probe"
	conf outer.pool "$EIP1"
	daemon_up
	check "auto-bind, probe $probe: the first VM has the only address" wait_for 8 owner_is "$EIP1" vm-001
	ctl ip unbind "$EIP1" >/dev/null
	check "auto-bind, probe $probe: what is unbound goes to the one that waits" wait_for 8 owner_is "$EIP1" vm-002
	is "auto-bind, probe $probe: in the kernel, too" "$(ask "$OUT" "$EIP1" 8000)" "vm-002 sees 20.251.48.1"
	ctl ip unbind "$EIP1" >/dev/null
	sleep 1
	is "auto-bind, probe $probe: not to those that it was taken from" "$(state_of "$EIP1")" free
	ctl reload >/dev/null
	check "auto-bind, probe $probe: before a reload" wait_for 8 owner_is "$EIP1" vm-001
done
fresh
conf nat.auto-bind yes
conf nat.cooldown 3s
conf outer.pool "$EIP1"
daemon_up
ctl vm del vm-001 >/dev/null
is "auto-bind: what cools down is not given away" "$(state_of "$EIP1")" cooldown
check "auto-bind: when it has cooled down, it goes to the one that waits" wait_for 8 owner_is "$EIP1" vm-002
fresh
conf nat.auto-bind yes
conf nat.reclaim-after 4s
conf outer.pool "$EIP1"
daemon_up
is "auto-bind, reclaim: the only address is the first VM's" "$(owner_of "$EIP1")" vm-001
check "auto-bind, reclaim: the other one is alive" vm_lease vm-002
check "auto-bind, reclaim: what a VM no longer needs is bound to another" wait_for 14 owner_is "$EIP1" vm-002
ctl ip unbind "$EIP1" >/dev/null
sleep 1
is "auto-bind, reclaim: a VM that is away waits for none" "$(state_of "$EIP1")" free
check "auto-bind, reclaim: it comes" vm_lease vm-001
check "auto-bind, reclaim: and is given one" wait_for 8 owner_is "$EIP1" vm-001
# It comes while its address is being taken back.
fresh
conf nat.auto-bind yes
conf nat.reclaim-after 4s
conf outer.pool "$EIP1"
plan "${two[0]}"
daemon_up
lock_hold
sleep 5 # longer than reclaim-after
check "auto-bind, reclaim: a VM comes while the lock is held" vm_lease vm-001
lock_release
check "auto-bind, reclaim: it has its address, or again" wait_for 8 owner_is "$EIP1" vm-001
sleep 2
check "auto-bind, reclaim: and keeps it" owner_is "$EIP1" vm-001
# Others take theirs from the interface.
fresh
conf nat.auto-bind yes
conf outer.probe yes
conf outer.pool "$EIP1"
conf nat.resync 2s
ip -n "$HV" addr add "$EIP1/32" dev eth0
plan "${two[0]}"
daemon_up
is "auto-bind: what is on the interface is given to nobody" "$(public_of vm-001)" ""
ip -n "$HV" addr del "$EIP1/32" dev eth0
check "auto-bind: when it is gone from there it is" wait_for 12 owner_is "$EIP1" vm-001
conf nat.resync
vm_static vm-001 "$IP1" 2>/dev/null
vm_static vm-002 "$IP2" 2>/dev/null

# ---- reclaim-after
fresh
conf nat.reclaim-after 4s
plan "${two[0]}" "${two[1]},4s" "$MAC3,vm-003,$IP3"
daemon_up
check "reclaim: vm-001 has a lease for an hour" vm_lease vm-001
begun=$(date +%s%N)
check "reclaim: vm-002 has one for 4 s" vm_lease vm-002
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip bind vm-001 "$SHARED" >/dev/null
ctl ip bind vm-002 "$EIP2" >/dev/null
check "reclaim: a VM whose lease has ended loses its address" wait_for 14 has_none vm-002
took=$(since "$begun")
check "reclaim: so long after the end of its lease ($took ms)" test "$took" -ge 7000 -a "$took" -le 40000
is "reclaim: the address is free" "$(state_of "$EIP2")" free
is "reclaim: no rule of it is left" "$(rules_of "$EIP2")" 0
check "reclaim: nor the address" not address_on "$EIP2"
check "reclaim: it is an event that names the address" has_event reclaim address "$EIP2"
is "reclaim: one with a lease keeps its own" "$(public_of vm-001)" "$EIP1 $SHARED"
# The daemon has run for longer than reclaim-after now.
# keeps SENTENCE COMMAND…: vm-003, which has no lease, is given an address by it, for 4 s and no longer
keeps() {
	begun=$(date +%s%N)
	"${@:2}" >"$T/given" 2>&1
	check "$1: it has one" has_public vm-003
	check "$1: it loses it" wait_for 10 has_none vm-003
	took=$(since "$begun")
	check "$1: not before it has been without a lease for so long ($took ms)" test "$took" -ge 3000
}
keeps "reclaim: a VM without a lease that is given an address" ctl ip bind vm-003 "$EIP3"
# which has been bound for longer than that
keeps "reclaim: one that an address is moved to" ctl ip move "$SHARED" vm-003
daemon_end TERM
conf nat.auto-bind yes
plan "${two[@]}"
daemon_up
check "reclaim: vm-002 has had no lease since" wait_for 10 has_none vm-002
plan "${two[@]}" "$MAC3,vm-003,$IP3"
keeps "reclaim: one that auto-bind gives an address at a reload" ctl reload
is "reclaim: the one with a lease has kept its own all the while" "$(public_of vm-001)" "$EIP1"
vm_static vm-001 "$IP1" 2>/dev/null # where the lease is what was there before
vm_static vm-002 "$IP2" 2>/dev/null

# ---- conflicts
fresh
conf outer.probe yes
daemon_up
ip -n "$OUT" addr add "$EIP1/32" dev eth0
ip -n "$OUT" addr add "$EIP2/32" dev eth0
squatter=$(out cat /sys/class/net/eth0/address)
ctl -j ip bind vm-001 >"$T/bind1" 2>&1 &
binding1=$!
ctl -j ip bind vm-002 >"$T/bind2" 2>&1 &
binding2=$!
check "conflict: status answers while the wire is asked" ctl status
check "conflict: so does DHCP" vm_lease vm-002
wait "$binding1" "$binding2"
is "conflict: two binds at once pass over what others have, and take different ones" \
	"$(cat "$T/bind1" "$T/bind2" | grep -oE '20\.251\.48\.[0-9]+' | sort | tr '\n' ' ')" "$EIP3 $SHARED "
is "conflict: both are shown" "$(state_of "$EIP1") $(state_of "$EIP2")" "conflict conflict"
is "conflict: and who it is" "$(field "[a['answered_by'] for a in d if a['address'] == '$EIP1'][0]" ip list)" "$squatter"
is "conflict: they do not count as free" \
	"$(field 'd["nat"]["free"]' status) $(ctl metrics | sed -n 's/^eipd_pool_addresses{state="conflict"} //p')" \
	"$(field 'len([a for a in d if a["state"] == "free"])' ip list) 2"
check "conflict: it is an event" has_event conflict address "$EIP1"
refused "conflict: a port of it is refused" 1 "$EIP1.*$squatter" forward add "$EIP1:80/tcp" vm-001
refused "conflict: a move of it is refused" 1 "$EIP1.*$squatter" ip move "$EIP1" vm-001
is "conflict: no rule of it was made" "$(rules_of "$EIP1" "$EIP2")" 0
check "conflict: no address of it was put on eth0" not address_on "$EIP1"
ctl ip unbind "$EIP3" >/dev/null
# The forward is there first; the bind must not choose what it asks for. In one process, for the order.
cat >"$T/both.py" <<'PY'
import json, socket, sys
commands = [["forward", "add", sys.argv[2] + ":80/tcp", "vm-002"], ["ip", "bind", "vm-001"]]
streams = []
for command in commands:
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(sys.argv[1])
    s.sendall(json.dumps({"command": command}).encode() + b"\n")
    streams.append(s.makefile())
print(*(json.loads(stream.readline())["ok"] for stream in streams))
PY
is "conflict: a bind without an address beside a forward of the next one: both are done" \
	"$("$PYTHON" "$T/both.py" "$SOCKET" "$EIP3")" "True True"
ip -n "$OUT" addr del "$EIP1/32" dev eth0
ip -n "$OUT" addr del "$EIP2/32" dev eth0
check "conflict: when the other is gone it can be bound" ctl ip bind vm-001 "$EIP1"

# ---- announcements, and the outer link
# heard ADDRESS FILE: announcements of it, requests and replies
heard() { count "(Announcement $1|who-has $1 .*tell $1|Reply $1 is-at)" "$2"; }
heard_more() { (($(heard "$1" "$2") > $3)); }
fresh
conf outer.announce 3
daemon_up
capture "$OUT" "$T/arp" arp
ctl ip bind vm-001 "$EIP1" >/dev/null
check "announce: a request and a reply are heard" wait_for 2 heard_more "$EIP1" "$T/arp" 1
ctl ip unbind "$EIP1" >/dev/null
ctl ip bind vm-001 "$EIP2" >/dev/null
check "announce: three times" wait_for 8 heard_more "$EIP2" "$T/arp" 5
is "announce: and no more for an address that is gone" \
	"$(sed -n "/ $EIP2/,\$ p" "$T/arp" | count " ${EIP1}[ ,]")" 0

fresh
conf outer.probe yes # there is nobody to ask
daemon_up
capture "$HV" "$T/arp" arp
ip -n "$OUT" link set eth0 down
no_carrier() { ip -n "$HV" link show eth0 | grep -q NO-CARRIER; }
wait_for 5 no_carrier || die "the link stays up"
is "link down: a bind is no error" "$(field 'd["changed"]' ip bind vm-001 "$EIP1")" true
check "link down: the address is there" address_on "$EIP1"
check "link down: so are its rules" test "$(rules_of "$EIP1")" -ge 3
begun=$(heard "$EIP1" "$T/arp")
ip -n "$OUT" link set eth0 up
check "link down: when it comes up the address is announced" wait_for 5 heard_more "$EIP1" "$T/arp" "$begun"
back() { [[ $(ask "$OUT" "$EIP1" 8000) == "vm-001 sees 20.251.48.1" ]]; }
check "link down: and works" wait_for 5 back
capture "$OUT" "$T/arp2" arp
ip -n "$HV" link set eth0 down
is "interface down: a bind is no error" "$(field 'd["changed"]' ip bind vm-002 "$EIP2")" true
check "interface down: the address is there" address_on "$EIP2"
ip -n "$HV" link set eth0 up
ip -n "$HV" route replace default via 20.251.48.1
both_heard() { heard_more "$EIP1" "$T/arp2" 0 && heard_more "$EIP2" "$T/arp2" 0; }
check "interface down: when it comes up all are announced" wait_for 5 both_heard
is "interface down: and work" "$(ask "$OUT" "$EIP2" 8000)" "vm-002 sees 20.251.48.1"

# ---- forwards
fresh
daemon_up
forwards() { field '[(f["forward"], f["vm"], f["to"], f["source"]) for f in d]' forward list; }
is "forward: a port" "$(field 'd["changed"]' forward add "$SHARED:80/tcp" vm-001:8000)" true
check "forward: a port of another VM" ctl forward add "$SHARED:81/tcp" vm-002:8000
check "forward: udp" ctl forward add "$SHARED:80/udp" vm-002:8000
check "forward: a range" ctl forward add "$SHARED:8000-8005/tcp" vm-001
is "forward: the port goes to its VM" "$(ask "$OUT" "$SHARED" 80)" "vm-001 sees 20.251.48.1"
is "forward: the other one to the other" "$(ask "$OUT" "$SHARED" 81)" "vm-002 sees 20.251.48.1"
is "forward: udp goes by itself" "$(ask_udp "$OUT" "$SHARED" 80)" "vm-002 sees 20.251.48.1"
is "forward: a range keeps its numbers" "$(ask "$OUT" "$SHARED" 8000) $(ask "$OUT" "$SHARED" 8002)" \
	"vm-001 sees 20.251.48.1 vm-001b sees 20.251.48.1"
is "forward: what is in no forward reaches nobody" "$(TALK_PATIENCE=1.5 ask "$OUT" "$SHARED" 82 | count sees)" 0
is "forward: tcp of a udp forward, too" "$(TALK_PATIENCE=1.5 ask_udp "$OUT" "$SHARED" 81 | count sees)" 0
is "forward: from another VM" "$(ask "$P-vm-001" "$SHARED" 81 | cut -d' ' -f1)" vm-002
is "forward: from the host" "$(ask "$HV" "$SHARED" 80 | cut -d' ' -f1)" vm-001
is "forward: a VM's own connections do not leave with it" "$(TALK_PATIENCE=1.5 ask "$P-vm-001" 20.251.48.1 9000 | count "$SHARED")" 0
is "forward: ip list shows the address as bound" "$(state_of "$SHARED")" bound
is "forward: the address is on eth0 once" "$(outer_addresses | count " $SHARED/32 ")" 1
before=$(kernel) list=$(forwards)
is "forward list has them" "$(json 'len(d)' <<<"$list")" 4
is "forward: again changes nothing" "$(field 'd["changed"]' forward add "$SHARED:80/tcp" vm-001:8000)" false
refused "forward: a port that another VM has" 1 "$SHARED:80/tcp.*vm-001" forward add "$SHARED:80/tcp" vm-002:8000
refused "forward: a range that has such a port" 1 "$SHARED:80/tcp" forward add "$SHARED:70-90/tcp" vm-002
refused "forward: a part of a range" 1 "8000-8005" forward add "$SHARED:8003/tcp" vm-002
refused "forward: a range with another port" 1 'range' forward add "$SHARED:90-95/tcp" vm-001:8000
refused "forward: bind of a shared address" 1 "$SHARED.*forward" ip bind vm-001 "$SHARED"
refused "forward: move of it" 1 "$SHARED.*forward" ip move "$SHARED" vm-001
refused "forward: unbind of it" 1 "$SHARED.*forward" ip unbind "$SHARED"
refused "forward: an address outside the pool" 1 'pool' forward add 20.251.48.7:80/tcp vm-001
refused "forward: a VM that is not in the plan" 1 'vm-999' forward add "$SHARED:99/tcp" vm-999
for wrong in "$SHARED:0/tcp" "$SHARED:65536/tcp" "$SHARED:9-8/tcp" "$SHARED:80/sctp" "$SHARED:80" \
	"$SHARED/tcp" "$SHARED:/tcp" "$SHARED:80-/tcp" "$SHARED:80/tcp/udp" "$SHARED: 80/tcp" banana ""; do
	refused "forward: '$wrong' is not one" '1|2' . forward add "$wrong" vm-001
done
for wrong in vm-001:0 vm-001:65536 vm-001: vm-001:x vm-001:80:80 :80; do
	refused "forward: '$wrong' is no target" '1|2' . forward add "$SHARED:99/tcp" "$wrong"
done
refused "forward: an option that there is not" '1|2' . forward add "$SHARED:99/tcp" vm-001 --sauce
refused "forward del: a part of a range" 1 '8000-8005' forward del "$SHARED:8003/tcp"
is "forward del: of none changes nothing" "$(field 'd["changed"]' forward del "$SHARED:99/tcp")" false
is "forward: nothing of this changed the kernel" "$(kernel)" "$before"
is "forward: nor the list" "$(forwards)" "$list"
ctl ip bind vm-002 "$EIP2" >/dev/null
refused "forward: a port of an address that is bound" 1 "$EIP2.*vm-002" forward add "$EIP2:80/tcp" vm-001
ctl ip unbind "$EIP2" >/dev/null
check "forward: --source" ctl forward add "$SHARED:99/udp" vm-002 --source
is "forward: --source: the VM's own connections leave with the address" \
	"$(ask "$P-vm-002" 20.251.48.1 9000)" "outside sees $SHARED"
is "forward: --source: those of the other VM do not" "$(TALK_PATIENCE=1.5 ask "$P-vm-001" 20.251.48.1 9000 | count "$SHARED")" 0
ctl ip bind vm-002 "$EIP2" >/dev/null
is "forward: --source: an address of its own goes before" "$(ask "$P-vm-002" 20.251.48.1 9000)" "outside sees $EIP2"
ctl ip unbind "$EIP2" >/dev/null
is "forward: --source: and without it, it is the shared one again" \
	"$(ask "$P-vm-002" 20.251.48.1 9000)" "outside sees $SHARED"
before=$(kernel) list=$(forwards)
daemon_end KILL
daemon_up
is "forward: after kill -9 the list is as it was" "$(forwards)" "$list"
is "forward: so is the kernel" "$(kernel)" "$before"
daemon_end KILL
hv iptables-legacy -w 10 -t nat -F
ip -n "$HV" addr del "$SHARED/32" dev eth0
daemon_up
is "forward: after a flush while it was down, too" "$(kernel)" "$before"
ask_udp "$OUT" "$SHARED" 80 7001 old-flow >/dev/null
check "forward: a UDP flow goes to its VM" grep -q old-flow "$T/vm-002.udp"
ctl forward del "$SHARED:80/udp" >/dev/null
ctl forward add "$SHARED:80/udp" vm-001:8000 >/dev/null
ask_udp "$OUT" "$SHARED" 80 7001 same-flow >/dev/null
check "forward: when the port is another VM's, the flow does not go on to the first" \
	not grep -q same-flow "$T/vm-002.udp"
check "forward: but to the other" grep -q same-flow "$T/vm-001.udp"
ctl reload --dry-run >/dev/null
plan "${two[0]}"
ctl reload >/dev/null
is "forward: a VM that leaves the plan takes its own along" "$(field '" ".join(sorted(f["forward"] for f in d))' forward list)" \
	"$SHARED:80/tcp $SHARED:80/udp $SHARED:8000-8005/tcp"
is "forward: those of others stay" "$(ask "$OUT" "$SHARED" 80)" "vm-001 sees 20.251.48.1"
is "forward: no rule of the VM is left" "$(rules_of "$IP2")" 0
ctl forward del "$SHARED:80/tcp" >/dev/null
ctl forward del "$SHARED:80/udp" >/dev/null
check "forward: the address stays for the last one" address_on "$SHARED"
is "forward del" "$(field 'd["changed"]' forward del "$SHARED:8000-8005/tcp")" true
check "forward: with the last one the address is gone" not address_on "$SHARED"
is "forward: and free" "$(state_of "$SHARED")" free
is "forward: no rule of it is left" "$(rules_of "$SHARED")" 0
check "forward: it is an event" has_event forward-del forward "$SHARED:8000-8005/tcp"

# ---- vm add, vm del
fresh
printf '%s\r\n' '# all our machines' '' "$MAC2 , vm-002 , $IP2 # the second" >"$PLAN"
printf '%s\n' '   # the first' "$IP1,vm-001,$MAC1,45m" >>"$PLAN"
printf '%s' '# no newline here' >>"$PLAN"
cp "$PLAN" "$T/plan.before"
chown 0:12 "$PLAN"
chmod 640 "$PLAN"
conf dhcp.dns 192.168.6.1,9.9.9.9
conf dhcp.ntp 192.168.6.2
conf dhcp.static-routes '10.0.0.0/8 192.168.6.3'
daemon_up
conf dhcp.dns
conf dhcp.ntp
conf dhcp.static-routes
echo prepared >"$PLAN.new"
ctl -j vm add new >"$T/added" 2>&1
is "vm add" $? 0
mac=$(json 'd["mac"]' <"$T/added") ip=$(json 'd["ip"]' <"$T/added")
like "vm add: the MAC is locally administered, and not a group" "$mac" '^[0-9a-f][26ae](:[0-9a-f]{2}){5}$'
like "vm add: the IP is of the bridge's network, and nobody's" "$ip" '^192\.168\.6\.([1-9]|1[0-9]|2[013-9]|[3-9][0-9]|1[0-9][0-9]|2[0-35][0-9]|24[0-25-9])$'
is "vm add: nor that of a server or router that the machines are told of" "$ip" 192.168.6.4
# Each old line is where it was; one is new.
only_added() {
	"$PYTHON" - "$T/plan.before" "$PLAN" "$@" <<'PY'
import sys
old, new = (open(path, newline="").read().splitlines() for path in sys.argv[1:3])
words = sys.argv[3:]
rest = [line for line in new if line not in old]
assert [line for line in new if line in old] == old, new
assert len(rest) == 1 and sorted(rest[0].split(",")) == sorted(words), rest
PY
}
check "vm add: the plan file has a line more, and comments and order as before" only_added "$mac" new "$ip"
is "vm add: a file that somebody prepares beside it is left alone" "$(<"$PLAN.new")" prepared
rm -f "$PLAN.new"
is "vm add: owner and mode of the file are as before" "$(stat -c '%u:%g %a' "$PLAN")" "0:12 640"
is "vm add: it is in force" "$(field '[d["mac"], d["ip"]]' vm show new)" "[\"$mac\", \"$ip\"]"
vm_up new "$mac"
check "vm add: DHCP serves it" vm_lease new
check "vm add: with its address" grep -qx "ip=$ip" "$T/new.env"
check "vm add: an address can be bound to it" ctl ip bind new "$EIP1"
is "vm add: with MAC and IP given" "$(field '[d["mac"], d["ip"]]' vm add two --ip 192.168.6.9 --mac 02-aa-bb-cc-dd-ee)" \
	'["02:aa:bb:cc:dd:ee", "192.168.6.9"]'
cp "$PLAN" "$T/plan.good"
list=$(field '[(v["name"], v["mac"], v["ip"], v["public"]) for v in d]' vm list)
no_add() { refused "vm add: $1" "$2" "$3" vm add "${@:4}"; }
no_add "a name twice" 1 'vm-001' vm-001
no_add "a name twice but for its case" 1 'VM-001' VM-001
no_add "a MAC twice" 1 "$MAC1" other --mac "$MAC1"
no_add "an IP twice" 1 "$IP1" other --ip "$IP1"
no_add "an IP of another network" 1 '192\.168\.7\.1' other --ip 192.168.7.1
no_add "the bridge's address" 1 '192\.168\.6\.22' other --ip 192.168.6.22
no_add "the network's address" 1 '192\.168\.6\.0' other --ip 192.168.6.0
no_add "the broadcast address" 1 '192\.168\.6\.255' other --ip 192.168.6.255
no_add "no IP" '1|2' banana other --ip banana
no_add "0.0.0.0" '1|2' '0\.0\.0\.0' other --ip 0.0.0.0
no_add "no MAC" '1|2' banana other --mac banana
no_add "a MAC of a group" '1|2' 03:00:00:00:00:01 other --mac 03:00:00:00:00:01
no_add "the MAC of nobody" '1|2' 00:00:00:00:00:00 other --mac 00:00:00:00:00:00
no_add "no name" '1|2' . 'a b'
no_add "a name with a comma" '1|2' . 'a,ignore'
no_add "a name with a newline" '1|2' . $'a\nb'
no_add "a name of digits" '1|2' . 45
no_add "an empty name" '1|2' . ''
no_add "an option without its value" '1|2' . other --mac
no_add "an option that there is not" '1|2' . other --color red
no_add "an option twice" '1|2' . other --mac 02:00:00:00:00:aa --mac 02:00:00:00:00:ab
refused "vm del: a VM that there is not" 1 'nobody' vm del nobody
check "refusals leave the plan file alone" cmp "$T/plan.good" "$PLAN"
is "and the machines" "$(field '[(v["name"], v["mac"], v["ip"], v["public"]) for v in d]' vm list)" "$list"
cp "$T/plan.good" "$PLAN"
ctl reload >/dev/null
echo 'not a line' >>"$PLAN"
cp "$PLAN" "$T/plan.bad"
ctl vm add other >"$T/stdout" 2>"$T/stderr"
is "vm add: a plan file that somebody has spoiled is refused" $? 1
like "vm add: and where it is wrong is told" "$(cat "$T/stdout" "$T/stderr")" "$PLAN:[0-9]+: "
like "vm add: in the error, too" "$(<"$T/stderr")" "^eipctl: $PLAN:[0-9]+: .*; mend the plan first"
check "vm del: likewise" not ctl vm del new
check "it is left alone" cmp "$T/plan.bad" "$PLAN"
is "so are the machines" "$(field '[(v["name"], v["mac"], v["ip"], v["public"]) for v in d]' vm list)" "$list"
cp "$T/plan.good" "$PLAN"
mkdir "$T/elsewhere"
mv "$PLAN" "$T/elsewhere/plan"
ln -s elsewhere/plan "$PLAN"
check "vm add: the plan file is a symbolic link" ctl vm add linked
check "which it stays" test -L "$PLAN"
check "and the file has the line" grep -q linked "$T/elsewhere/plan"
ctl vm del linked >/dev/null
rm -f "$PLAN"
cp "$T/plan.good" "$PLAN"
ctl reload >/dev/null
ctl forward add "$SHARED:80/tcp" new:8000 >/dev/null
check "vm del" ctl vm del new
is "vm del: its address is free" "$(state_of "$EIP1") $(state_of "$SHARED")" "free free"
is "vm del: no rule of it is left" "$(rules_of "$EIP1" "$SHARED" "$ip")" 0
check "vm del: DHCP does not answer it any more" not vm_lease new
check "vm del: of the other" ctl vm del two
printf '\r\n' >>"$T/plan.before" # as its first line ends
check "vm del: the plan file is as it was, but for a newline at its end" cmp "$T/plan.before" "$PLAN"
for ((i = 0; i < 10; i++)); do
	ctl vm add "many-$i" >/dev/null &
	adding[i]=$!
done
wait "${adding[@]}"
is "ten are added at once: all are there, each with its own" \
	"$(field '(lambda m: [len(m), len({v["mac"] for v in m}), len({v["ip"] for v in m})])([v for v in d if v["name"].startswith("many-")])' vm list)" \
	"[10, 10, 10]"
daemon_end KILL
daemon_up
is "after kill -9 too" "$(field 'len([v for v in d if v["name"].startswith("many-")])' vm list)" 10

# ---- reload --dry-run
fresh
daemon_up
ctl ip bind vm-002 "$EIP2" >/dev/null
ctl forward add "$SHARED:80/tcp" vm-002 >/dev/null
# what a reload could change
everything() {
	kernel
	field '[(v["name"], v["mac"], v["ip"], v["public"]) for v in d]' vm list
	field '(d["plan"]["vms"], d["plan"]["loaded"], d["plan"]["error"])' status
	field 'len(d)' events
	sha256sum "$STATE"/* "$PLAN"
}
dry() { field '[d["added"], d["changed"], d["removed"]]' reload --dry-run; }
is "dry run: of the same plan" "$(dry)" "[0, 0, 0]"
plan "$MAC1,vm-001,192.168.6.77" "$MAC3,vm-003,$IP3"
before=$(everything)
is "dry run: what would be added, changed, removed" "$(dry)" "[1, 1, 1]"
ctl reload --dry-run >"$T/dry"
like "dry run: each machine is named" "$(tr '\n' ' ' <"$T/dry")" 'changed +vm-001.*added +vm-003.*removed +vm-002'
like "dry run: and what address would be free" "$(cat "$T/dry")" "vm-002.*$EIP2"
like "dry run: and what forward would go" "$(cat "$T/dry")" "$SHARED:80/tcp"
is "dry run: nothing was changed" "$(everything)" "$before"
is "a reload does what it said" "$(field '[d["added"], d["changed"], d["removed"]]' reload)" "[1, 1, 1]"
echo "wrong" >>"$PLAN"
before=$(everything)
ctl reload --dry-run >"$T/stdout" 2>"$T/stderr"
is "dry run: a plan with an error exits 1" $? 1
like "dry run: and tells where" "$(cat "$T/stdout" "$T/stderr")" "$PLAN:3: "
is "dry run: nothing was changed by that either" "$(everything)" "$before"
rm "$PLAN"
refused "dry run: no plan file" 1 . reload --dry-run
refused "dry run: an option that there is not" '1|2' . reload --dry
plan "${two[@]}"

# ---- events
ctl reload >/dev/null
"$EIPCTL" -s "$SOCKET" events --follow >"$T/follow" 2>&1 &
follower=$!
"$EIPCTL" -s "$SOCKET" -j events --follow >"$T/follow.json" 2>&1 &
follower2=$!
# followed TEXT: of an event that is made until it is seen, as a follower may still be starting
followed() {
	ctl ip bind vm-001 "$EIP1" >/dev/null
	ctl ip unbind "$EIP1" >/dev/null
	grep -q "bind.*$EIP1" "$T/follow" && grep -q "unbind" "$T/follow.json"
}
check "events --follow tells what happens, as it happens" wait_for 5 followed
before=$(event_count bind)
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip move "$EIP1" vm-002 >/dev/null
check "vm-001 takes a lease" vm_lease vm-001
plan "${two[0]}"
ctl reload >/dev/null
in_follow() { grep -qE "$1" "$T/follow"; }
check "events: a bind" wait_for 3 in_follow " bind .*address=$EIP1.*vm=vm-001|bind .*vm=vm-001.*address=$EIP1"
check "events: a move, and whose it was" wait_for 3 in_follow "move .*$EIP1.* vm=vm-002 from=vm-001"
check "events: a lease" wait_for 3 in_follow "lease .*$IP1"
check "events: the address of a VM that leaves the plan is unbound" wait_for 3 has_event unbind vm vm-002
plan "${two[@]}"
ctl reload >/dev/null
is "events --follow -j: every line is an object with time and event" \
	"$(sed 's/$/,/; 1s/^/[/; $s/,$/]/' "$T/follow.json" |
		json 'all(type(e["time"]) == int and type(e["event"]) == str for e in d)')" true
kill -KILL "$follower"
wait "$follower" 2>/dev/null
ctl ip bind vm-001 "$EIP2" >/dev/null
check "a follower that goes away disturbs nobody" ctl ip unbind "$EIP2"
seen=$(wc -l <"$T/follow.json")
more_lines() { (($(wc -l <"$T/follow.json") > seen)); }
ctl ip bind vm-001 "$EIP2" >/dev/null
check "the other one is told still" wait_for 3 more_lines

# One that asks and never reads, and one that is stopped.
"$PYTHON" - "$SOCKET" "$T/silent" >"$T/silent.log" 2>&1 <<'PY' &
import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
s.connect(sys.argv[1])
s.sendall(b'{"command":["events","--follow"]}\n')
open(sys.argv[2], "w").close()
time.sleep(600)
PY
silent=$!
wait_for 5 test -e "$T/silent" || die "no silent follower"
daemon=$(daemon_pid)
memory() { awk '/VmRSS/ { print $2 }' "/proc/$daemon/status"; }
sockets() { find "/proc/$daemon/fd" -lname 'socket:*' | wc -l; }
memory=$(memory) sockets=$(sockets)
# Without a process for each.
cat >"$T/reloads.py" <<'PY'
import json, socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
stream = s.makefile("rw")
for i in range(4000):
    stream.write('{"command":["reload"]}\n')
    stream.flush()
    assert json.loads(stream.readline())["ok"]
PY
check "thousands of events while a follower does not read" "$PYTHON" "$T/reloads.py" "$SOCKET"
check "the daemon is the same" test "$(daemon_pid)" = "$daemon"
# sanitizers keep what is freed
is_sanitized || check "it has not grown much ($memory to $(memory) kB)" test "$(memory)" -lt $((memory + 8192))
fewer() { (($(sockets) < sockets)); }
check "and has dropped the one that does not read" wait_for 5 fewer
kill "$silent"
wait "$silent" 2>/dev/null
last_seen() { tail -n 1 "$T/follow.json" | grep -q unbind; }
ctl ip unbind "$EIP2" >/dev/null
check "the one that reads has missed nothing" wait_for 5 last_seen
check "nor any of the thousands" test "$(count '"reload"' "$T/follow.json")" -ge 4000
check "events keeps the last ones, not all" test "$(field 'len(d)' events)" -le 5000
kill "$follower2"
wait "$follower2" 2>/dev/null
followers=()
for ((i = 0; i < 40; i++)); do
	"$EIPCTL" -s "$SOCKET" events --follow >/dev/null 2>&1 &
	followers+=($!)
done
follow_now() { (($(sockets) >= sockets + 31)); }
wait_for 5 follow_now
check "forty followers keep nobody else out" ctl status
kill "${followers[@]}"
wait "${followers[@]}" 2>/dev/null
refused "events: an option that there is not" '1|2' . events --folow

# ---- metrics
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl forward add "$SHARED:80/tcp" vm-002 >/dev/null
ctl metrics >"$T/metrics"
# The text format: https://prometheus.io/docs/instrumenting/exposition_formats/
cat >"$T/grammar.py" <<'PY'
import re, sys
text = sys.stdin.read()
assert text.endswith("\n"), "no newline at the end"
name = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
label = r'[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*"'
sample = re.compile(rf"({name})(?:\{{((?:{label}(?:,{label})*,?)?)\}})? (\S+)(?: -?[0-9]+)?$")
types, helps, seen, family = {}, set(), set(), None
closed = set()
for line in text[:-1].split("\n"):
    if match := re.match(rf"# (HELP|TYPE) ({name}) (.+)$", line):
        kind, what, rest = match.groups()
        if what != family:
            assert what not in closed, f"{what} stands in two places"
            closed.add(family)
            family = what
        if kind == "HELP":
            assert what not in helps, f"HELP twice: {line}"
            helps.add(what)
        else:
            assert what not in types, f"TYPE twice: {line}"
            assert rest in ("counter", "gauge", "histogram", "summary", "untyped"), line
            types[what] = rest
        continue
    match = sample.match(line)
    assert match, f"not a sample: {line!r}"
    what, labels, value = match.groups()
    assert what == family and what in types and what in helps, f"HELP and TYPE go before: {line}"
    assert (what, labels) not in seen, f"twice: {line}"
    seen.add((what, labels))
    number = float(value)
    assert types[what] != "counter" or (number >= 0 and what.endswith("_total")), line
    assert what.startswith("eipd_"), line
PY
grammar() { "$PYTHON" "$T/grammar.py" <"$T/metrics"; }
check "metrics: the grammar is that of Prometheus" grammar
metric() { awk -v name="$1" '$1 == name { print $2 }' "$T/metrics"; }
is "metrics: what is bound" "$(metric 'eipd_pool_addresses{state="bound"}')" 2
is "metrics: what is free" "$(metric 'eipd_pool_addresses{state="free"}')" 10
is "metrics: forwards" "$(metric eipd_forwards)" 1
is "metrics: the plan" "$(metric eipd_plan_vms)" 2
is "metrics: what DHCP answered" "$(metric 'eipd_dhcp_sent_total{type="ACK"}')" "$(field 'd["dhcp"]["ack"]' status)"
check "metrics -j is one string" test "$(field 'isinstance(d, str)' metrics)" = true
daemon_end TERM
done_testing
