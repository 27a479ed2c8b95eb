#!/usr/bin/env bash
# Before a bind the wire is asked whether somebody has the address: one that answers is refused.
#
#   outer host                        hypervisor
#   eth0 20.251.48.1 ──────────────── eth0 20.251.48.10   br0 ── vm-001
#        20.251.48.100 (of our pool)
#
# auto-bind asks as well: for those who have none once the table has followed the plan.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
conf outer.probe yes
conf outer.announce 2
daemon_up
squatter=$(out cat /sys/class/net/eth0/address)
ip -n "$OUT" addr add "$EIP2/32" dev eth0
state_of() { field "[a['state'] for a in d if a['address'] == '$1'][0]" ip list; }

capture "$OUT" "$T/arp" arp
asked() { count "Request who-has $1.* tell 0\.0\.0\.0" "$T/arp"; }
was_asked() { (($(asked "$1") > 0)); }
begun=$(date +%s%N)
is "an address that nobody answers for is bound" "$(field 'd["address"]' ip bind vm-001 "$EIP1")" "$EIP1"
took=$((($(date +%s%N) - begun) / 1000000))
check "within five seconds ($took ms)" test "$took" -lt 5000
announced() { grep -qE "(Announcement $1|who-has $1 .*tell $1|Reply $1 is-at)" "$T/arp"; }
check "it is announced" wait_for 2 announced "$EIP1"
check "behind the questions" was_asked "$EIP1"
times=$(asked "$EIP1")
is "binding it again is no change" "$(field 'd["changed"]' ip bind vm-001 "$EIP1")" false
refused "an address that somebody answers for is refused, and who it is is told" 1 "$EIP2.*$squatter" \
	ip bind vm-001 "$EIP2"
got=$(ctl -j ip bind vm-001 "$EIP2" 2>/dev/null)
is "-j: it exits 1" $? 1
like "-j: as {\"error\": …}" "$(json 'd["error"]' <<<"$got")" "$EIP2"
is "ip list shows the conflict" "$(state_of "$EIP2")" conflict
wait_for 5 was_asked "$EIP2"
is "for the one that was bound again it was not asked again" "$(asked "$EIP1")" "$times"
is "no rule of it was made" "$(rules_of "$EIP2")" 0
check "no address of it was put on eth0" not address_on "$EIP2"
check "the wire was asked without claiming the address (sender 0.0.0.0, RFC 5227)" \
	wait_for 5 grep -qE "Request who-has $EIP2.* tell 0\.0\.0\.0" "$T/arp"
is "no gratuitous ARP of ours for it was heard" \
	"$(count "(Announcement $EIP2|who-has $EIP2.* tell $EIP2)" "$T/arp")" 0
is "without an address another free one is chosen" "$(field 'd["address"]' ip bind vm-001)" 20.251.48.101

ctl ip bind vm-002 20.251.48.102 >"$T/bind" 2>&1 &
binding=$!
check "DHCP answers while the wire is asked" vm_lease vm-001
wait "$binding"
is "and the binding comes to its end" $? 0

ip -n "$OUT" addr del "$EIP2/32" dev eth0
is "when nobody answers any more it can be bound" "$(field 'd["vm"]' ip bind vm-001 "$EIP2")" vm-001
is "ip list shows it bound" "$(state_of "$EIP2")" bound
is "the outer host has our MAC for it" "$(out busybox ping -c 1 -W 2 "$EIP2" >/dev/null
	ip -n "$OUT" neigh show "$EIP2" | awk '{ print $5 }')" "$(hv cat /sys/class/net/eth0/address)"

# What the host forwards is not copied for our packet sockets, which pass it over. The daemon's
# descriptors are looked at through copies.
sockets() {
	python3 - "$(daemon_pid)" <<-'END'
		import ctypes, os, socket, sys
		SOL_PACKET, IGNORE_OUTGOING, PIDFD_GETFD = 263, 23, 438
		pid = int(sys.argv[1])
		pidfd = os.pidfd_open(pid)
		for name in os.listdir(f"/proc/{pid}/fd"):
		    copy = ctypes.CDLL(None).syscall(PIDFD_GETFD, pidfd, int(name), 0)
		    if not os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:"):
		        continue
		    with socket.socket(fileno=copy) as one:
		        if one.family == socket.AF_PACKET:
		            print(one.getsockname()[0], one.getsockopt(SOL_PACKET, IGNORE_OUTGOING))
	END
}
is "the host's traffic is not copied for our sockets" "$(sockets | sort)" $'br0 1\neth0 1'

# An address of the pool that the administrator has put on eth0 himself.
ip -n "$HV" addr add 20.251.48.105/24 dev eth0
before=$(outer_addresses | grep ' 20\.251\.48\.105/')
ctl ip bind vm-001 20.251.48.105 >/dev/null 2>&1
ctl ip unbind 20.251.48.105 >/dev/null 2>&1
is "an address on eth0 that is not ours is left alone" \
	"$(outer_addresses | grep ' 20\.251\.48\.105/')" "$before"

# A pool that is all of the outer network: .0 and .255 are nobody's, .1 is the outer host's, .10 ours.
daemon_end TERM
rm -rf "$STATE"
conf outer.pool 20.251.48.0/24
conf outer.probe yes
daemon_up
is "the network of eth0 as a pool: the first that anybody can have is chosen" \
	"$(field 'd["address"]' ip bind vm-001)" 20.251.48.2
is "ip list shows those that nobody can have" \
	"$(field '[a["address"].split(".")[3] for a in d if a["state"] == "conflict"]' ip list)" \
	'["0", "1", "10", "105", "255"]'
is "and they do not count as free" "$(field 'd["nat"]["free"]' status)" 250
for address in 0 10 255; do
	refused "not 20.251.48.$address" 1 "20.251.48.$address is on eth0 already.* or means the network" \
		ip bind vm-001 "20.251.48.$address"
done

# ---- auto-bind, while the lock of iptables holds up all changes
daemon_end TERM
rm -rf "$STATE"
MAC3=02:00:00:00:00:03 MAC4=02:00:00:00:00:04 EIP3=20.251.48.101 EIP4=20.251.48.102 EIP5=20.251.48.103
conf outer.pool "$EIP1-20.251.48.104"
conf nat.auto-bind yes
conf nat.resync 1h
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2" "$MAC3,vm-003,192.168.6.3"
daemon_up
public_is() { [[ $(field 'sorted([v["name"], *v["public"]] for v in d)' vm list) == "$1" ]]; }
given_is() { public_is "[[\"vm-001\", \"$EIP1\"], [\"vm-002\", \"$EIP2\"], [\"vm-003\", \"$EIP3\"]]"; }
check "auto-bind: each VM is given an address" wait_for 8 given_is
lock_hold
ctl ip bind vm-001 "$EIP4" >/dev/null &
busy=$!
wait_for 5 grep -q "^bind $EIP4 " "$STATE/bindings" || die "no bind is under way"
plan "$MAC1,web,$IP1" "$MAC2,vm-002,$IP2" "$MAC4,vm-004,192.168.6.4" "02:00:00:00:00:05,vm-005,192.168.6.5"
ctl reload >/dev/null &
reload=$!
wait_for 5 ctl vm show vm-005 || die "the plan is not in force"
times=$(asked "$EIP5")
ctl ip bind vm-005 "$EIP5" >/dev/null &
bind=$!
asked_more() { (($(asked "$EIP5") > times)); }
wait_for 5 asked_more || die "the wire is not asked"
lock_release
wait "$busy" && wait "$reload" && wait "$bind"
is "auto-bind: what is asked of the daemon meanwhile is done" $? 0
has_public() { [[ $(field 'd["public"]' vm show "$1") != '[]' ]]; }
check "auto-bind: a new VM is given one" wait_for 8 has_public vm-004
public_of() { field '" ".join(d["public"])' vm show "$1"; }
is "auto-bind: that of the VM which left, as no other was free when the plan came" "$(public_of vm-004)" "$EIP3"
is "auto-bind: a VM with a new name is given no other" "$(public_of web)" "$EIP1 $EIP4"
is "auto-bind: nor one that was bound while the wire was asked" "$(public_of vm-005)" "$EIP5"

# ---- auto-bind, while the state file cannot be written
daemon_end TERM
conf nat.resync 1s
daemon_up
mkdir "$STATE/bindings.eipd-new"
errors() { count 'error: nat: .*bindings cannot be written: .*nothing was changed' "$LOG"; }
times=$(errors)
plan "$MAC2,vm-002,$IP2" "$MAC4,vm-004,192.168.6.4" "02:00:00:00:00:06,vm-006,192.168.6.6"
ctl reload >/dev/null 2>&1
# the first is the reload's
failed_twice() { (($(errors) > times + 1)); }
check "auto-bind: it fails" wait_for 5 failed_twice
rmdir "$STATE/bindings.eipd-new"
check "auto-bind: what failed is tried again" wait_for 8 has_public vm-006
done_testing
