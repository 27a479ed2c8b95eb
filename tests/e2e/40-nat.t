#!/usr/bin/env bash
# Public addresses: bind, move, unbind, list; what passes, what the kernel has, what is refused.
#
#   outer host              hypervisor                          virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#   lo   198.51.100.7            br0 192.168.6.22/24 ────────┴── vm-002 192.168.6.244
#   (a client from far away)

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
FAR=198.51.100.7
stage_up
unset XTABLES_LOCKFILE # here it is the machine's own
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_static vm-001 "$IP1" # NAT follows the plan, never a lease
vm_static vm-002 "$IP2"
serve "$P-vm-001" vm-001 8000
serve "$P-vm-002" vm-002 8000
serve "$OUT" outside 9000

# What is on the machine before and must be as it was afterwards.
hv sh -c 'iptables-legacy -w 10 -t nat -N OTHER
	iptables-legacy -w 10 -t nat -A PREROUTING -d 203.0.113.5/32 -j OTHER
	iptables-legacy -w 10 -t nat -A OTHER -p tcp -j DNAT --to-destination 10.9.9.9
	iptables-legacy -w 10 -t nat -A POSTROUTING -s 10.9.9.0/24 -j MASQUERADE
	iptables-legacy -w 10 -A FORWARD -s 10.9.9.8/32 -j DROP'
ip -n "$HV" addr add 20.251.48.200/32 dev eth0 label eth0:9
foreign() {
	hv iptables-legacy -w 10 -t nat -S | grep -v EIPD
	hv iptables-legacy -w 10 -S
	outer_addresses | grep -E ' 20\.251\.48\.(10|200)/' | sed 's/^[0-9]*://; s/valid_lft.*//'
}
before=$(foreign)

conf outer.announce 2
daemon_up

# bound ADDRESS VM
bound() {
	[[ $(field "[(a['state'], a['vm']) for a in d if a['address'] == '$1']" ip list) == \
		"[[\"bound\", \"$2\"]]" ]]
}
free() {
	[[ $(field "[(a['state'], a['vm'], a['label']) for a in d if a['address'] == '$1']" ip list) == \
		'[["free", null, null]]' ]]
}
label_of() {
	outer_addresses | awk -v address="$1/" '{
		for (i = 3; i < NF && index($i, address) != 1; i++);
		for (; i <= NF; i++) if ($i ~ /^eth0/) { sub(/\\.*/, "", $i); print $i }
	}'
}
# rule SENTENCE REGEX NUMBER: how many rules of our chains match
rule() { is "$1" "$(nat_rules | count "^-A EIPD-[A-Za-z0-9.-]+ $2\$")" "$3"; }

# ---- before
is "the pool is free" "$(field "len([a for a in d if a['state'] == 'free'])" ip list)" 12
check "nobody answers at the public address yet" unanswered ask "$OUT" "$EIP1" 8000

# ---- bind
capture "$OUT" "$T/arp" arp
is "ip bind tells address, machine, inner address, label and change" \
	"$(ctl -j ip bind vm-001 "$EIP1" | json '[d[k] for k in ("address", "vm", "ip", "label", "changed")]')" \
	"[\"$EIP1\", \"vm-001\", \"$IP1\", \"eth0:1\", true]"
is "TCP from outside reaches the machine, which sees the client's own address" \
	"$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
is "so does TCP of a client from far away" "$(ask "$OUT" "$EIP1" 8000 "$FAR")" "vm-001 sees $FAR"
is "so does UDP" "$(ask_udp "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
check "so does a ping" out busybox ping -c 1 -W 2 "$EIP1"
is "a connection of the machine leaves with the public address" \
	"$(ask "$P-vm-001" 20.251.48.1 9000)" "outside sees $EIP1"
is "so does a datagram" "$(ask_udp "$P-vm-001" 20.251.48.1 9000)" "outside sees $EIP1"
is "the hypervisor itself reaches the machine by the public address" \
	"$(ask "$HV" "$EIP1" 8000 | cut -d' ' -f1)" vm-001
is "the machine reaches its neighbour without NAT" \
	"$(ask "$P-vm-001" "$IP2" 8000)" "vm-002 sees $IP1"
rule "one rule DNAT for what comes in, one for the hypervisor's own" \
	"-d $EIP1/32 -j DNAT --to-destination $IP1" 2
rule "one rule SNAT, only out of eth0" "-s $IP1/32 -o eth0 -j SNAT --to-source $EIP1" 1
rules=$(nat_rules)
is "the address is on eth0 with its label" "$(label_of "$EIP1")" eth0:1
like "with the prefix length of the configuration" "$(outer_addresses)" " $EIP1/32 "
restores() { hv sh -c 'iptables-legacy-save | iptables-legacy-restore -w 10 --test'; }
check "iptables-save of it all can be restored" restores
check "list shows it bound" bound "$EIP1" vm-001
is "list shows its label" "$(field "[a['label'] for a in d if a['address'] == '$EIP1'][0]" ip list)" eth0:1
is "vm list shows the address" \
	"$(field "[v['public'] for v in d if v['name'] == 'vm-001'][0]" vm list)" "[\"$EIP1\"]"
announced() { [[ $(count "(Request who-has $EIP1.* tell $EIP1|Reply $EIP1 is-at|Announcement $EIP1)" "$T/arp") -ge $1 ]]; }
check "the outer host has heard a gratuitous ARP" wait_for 2 announced 1
check "and another one later" wait_for 5 announced 2
cat "$STATE"/* >"$T/state-files" 2>/dev/null
like "the binding is in a readable file under state-dir" "$(cat "$T/state-files")" "20\.251\.48\.99"

# ---- again, more, choose
is "binding it to the same machine again succeeds and changes nothing" \
	"$(field 'd["changed"]' ip bind vm-001 "$EIP1")" false
is "and adds no rule" "$(nat_rules)" "$rules"
is "without an address a free one is chosen" "$(field 'd["address"]' ip bind vm-002)" "$EIP2"
is "with a label of its own" "$(label_of "$EIP2")" eth0:2
is "it reaches the other machine" "$(ask "$OUT" "$EIP2" 8000)" "vm-002 sees 20.251.48.1"
like "so does the first machine by the public address (hairpin = yes)" \
	"$(ask "$P-vm-001" "$EIP2" 8000)" "^vm-002 sees "
check "a second address for the first machine" ctl ip bind vm-001 20.251.48.105
is "reaches it" "$(ask "$OUT" 20.251.48.105 8000)" "vm-001 sees 20.251.48.1"
is "its own connections keep the first address" \
	"$(ask "$P-vm-001" 20.251.48.1 9000)" "outside sees $EIP1"
check "unbind of the first address" ctl ip unbind "$EIP1"
is "makes the next one the source" "$(ask "$P-vm-001" 20.251.48.1 9000)" "outside sees 20.251.48.105"
check "the first address is free again" free "$EIP1"
ctl ip unbind 20.251.48.105 >/dev/null
ctl ip bind vm-001 "$EIP1" >/dev/null
is "status counts pool, bound and free" \
	"$(field '[d["nat"][k] for k in ("pool", "bound", "free")]' status)" "[12, 2, 10]"

# ---- flows that are older than the binding
ctl ip unbind "$EIP1" >/dev/null
TALK_PATIENCE=1.5 ask_udp "$P-vm-001" 20.251.48.1 9000 7001 before-bind >/dev/null
ctl ip bind vm-001 "$EIP1" >/dev/null
is "a flow begun before the binding uses the public address afterwards" \
	"$(ask_udp "$P-vm-001" 20.251.48.1 9000 7001 after-bind)" "outside sees $EIP1"

# ---- move
ask_udp "$OUT" "$EIP1" 8000 7002 old-flow >/dev/null
check "a UDP flow goes to the first machine" grep -q old-flow "$T/vm-001.udp"
ask_udp "$P-vm-001" 20.251.48.1 9000 7003 >/dev/null
coproc HOLD { exec ip netns exec "$OUT" "$PYTHON" "$HERE/talk.py" hold "$EIP1" 8000 2>"$T/hold"; }
# shellcheck disable=SC2153 # coproc sets it
hold=$HOLD_PID
read -r -t 20 -u "${HOLD[0]}" line
is "a TCP connection is open to the first machine" "$line" "vm-001 sees 20.251.48.1"
ctl ip unbind "$EIP2" >/dev/null
check "ip move takes it to the other machine" ctl ip move "$EIP1" vm-002
check "list shows it" bound "$EIP1" vm-002
is "TCP from outside reaches the other machine" "$(ask "$OUT" "$EIP1" 8000)" "vm-002 sees 20.251.48.1"
is "its connections leave with the address" "$(ask "$P-vm-002" 20.251.48.1 9000)" "outside sees $EIP1"
check "those of the first machine do not" unanswered ask "$P-vm-001" 20.251.48.1 9000
ask_udp "$OUT" "$EIP1" 8000 7002 same-flow >/dev/null
check "a UDP flow of the old owner is not delivered to it any more" \
	not grep -q same-flow "$T/vm-001.udp"
echo "a secret of the old connection" >&"${HOLD[1]}"
line=
read -r -t 2 -u "${HOLD[0]}" line
is "an open TCP connection of the old owner is not answered by anyone" "$line" ""
check "conntrack has no flow of the address with the old owner" \
	not eval "hv conntrack -L 2>/dev/null | grep '$EIP1' | grep -q '$IP1'"
kill "$hold" 2>/dev/null
wait "$hold" 2>/dev/null
rule "rules: DNAT to the other machine" "-d $EIP1/32 -j DNAT --to-destination $IP2" 2
rule "rules: none to the first" "-d $EIP1/32 -j DNAT --to-destination $IP1" 0
rule "rules: SNAT of the other machine" "-s $IP2/32 -o eth0 -j SNAT --to-source $EIP1" 1
is "the address is on eth0 once" "$(outer_addresses | count " $EIP1/")" 1
is "moving it where it is succeeds" "$(ctl ip move "$EIP1" vm-002 >/dev/null; echo $?)" 0

# ---- others are not disturbed
coproc HOLD { exec ip netns exec "$OUT" "$PYTHON" "$HERE/talk.py" hold "$EIP1" 8000 2>"$T/hold"; }
hold=$HOLD_PID
read -r -t 20 -u "${HOLD[0]}" line
is "a TCP connection is open" "$line" "vm-002 sees 20.251.48.1"
check "list counts it" test "$(field "[a['connections'] for a in d if a['address'] == '$EIP1'][0]" ip list)" -ge 1
ctl ip bind vm-001 20.251.48.101 >/dev/null
ctl ip move 20.251.48.101 vm-002 >/dev/null
ctl ip unbind 20.251.48.101 >/dev/null
echo still-there >&"${HOLD[1]}"
read -r -t 20 -u "${HOLD[0]}" line
is "binding, moving and unbinding another address leaves it alone" "$line" "vm-002 echoes still-there"
kill "$hold" 2>/dev/null
wait "$hold" 2>/dev/null

# ---- unbind
ask_udp "$OUT" "$EIP1" 8000 7004 first >/dev/null
check "ip unbind" ctl ip unbind "$EIP1"
check "conntrack has no flow of it" not eval "hv conntrack -L 2>/dev/null | grep -q '$EIP1'"
check "the address is free" free "$EIP1"
check "TCP from outside reaches nobody" unanswered ask "$OUT" "$EIP1" 8000
TALK_PATIENCE=1.5 ask_udp "$OUT" "$EIP1" 8000 7004 stale >/dev/null
check "a UDP flow of before reaches nobody" not grep -q stale "$T/vm-002.udp"
check "no connection of the machine gets out" unanswered ask "$P-vm-002" 20.251.48.1 9000
is "no rule names the address" "$(rules_of "$EIP1")" 0
is "no rule names the machine" "$(rules_of "$IP2")" 0
check "the address is not on eth0" not address_on "$EIP1"
is "unbinding it again succeeds and changes nothing" "$(ctl ip unbind "$EIP1" >/dev/null; echo $?)" 0

# ---- another program at the tables
ctl ip unbind "$EIP1" >/dev/null
(umask 077 && : >>/run/xtables.lock)
XTABLES_LOCKFILE=/run/xtables.lock lock_hold
ctl ip bind vm-001 "$EIP1" >"$T/bind" 2>&1 &
binding=$!
check "while another program holds the lock of the tables DHCP answers" vm_lease vm-001
check "and the binding waits" not gone "$binding"
lock_release
wait "$binding"
is "a binding waits for the lock and succeeds" "$? $(head -c 200 "$T/bind" | grep -c error)" "0 0"
is "and works" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"

# ---- what is refused
rules_before=$(nat_rules) addresses_before=$(outer_addresses | sed 's/valid_lft.*//')
refused "bind: an address outside the pool" 1 '20\.251\.48\.7' ip bind vm-002 20.251.48.7
refused "bind: an address of another machine, which is named" 1 "$EIP1.*vm-001" ip bind vm-002 "$EIP1"
refused "bind: a machine that is not in the plan" 1 'vm-999' ip bind vm-999 "$EIP2"
refused "bind: no address at all" 1 '0\.0\.0\.0 is not in the pool' ip bind vm-001 0.0.0.0
refused "bind: what is no address" '1|2' 'banana' ip bind vm-001 banana
refused "unbind: an address outside the pool" 1 '20\.251\.48\.7' ip unbind 20.251.48.7
refused "move: to a machine that is not in the plan" 1 'vm-999' ip move "$EIP1" vm-999
refused "move: an address outside the pool" 1 '20\.251\.48\.7' ip move 20.251.48.7 vm-002
got=$(ctl -j ip bind vm-002 "$EIP1" 2>/dev/null)
is "-j: a refusal exits 1 too" $? 1
like "-j: and is on standard output as {\"error\": …}" "$(json 'd["error"]' <<<"$got")" "vm-001"
is "nothing of this changed a rule" "$(nat_rules)" "$rules_before"
is "nor an address" "$(outer_addresses | sed 's/valid_lft.*//')" "$addresses_before"

# ---- a full pool
for ((i = 0; i < 11; i++)); do
	ctl ip bind vm-002 >/dev/null
done
is "all twelve are bound" "$(field 'd["nat"]["bound"]' status)" 12
is "to labels that differ" "$(outer_addresses | grep -oE 'eth0:[0-9]+' | sort -u | wc -l)" 13
refused "bind: the pool is full" 1 'pool|free' ip bind vm-001
got=$(ctl -j ip bind vm-001 2>/dev/null)
is "-j: a full pool exits 1" $? 1
like "-j: and is told as an error" "$(json 'd["error"]' <<<"$got")" '.'
for address in $(field '" ".join(a["address"] for a in d)' ip list); do
	ctl ip unbind "$address" >/dev/null
done
is "all are free again" "$(field 'd["nat"]["free"]' status)" 12
is "no rule of a binding is left" "$(nat_rules | count '[DS]NAT .*(192\.168\.6|20\.251\.48)')" 0
is "no address of a binding is left" "$(outer_addresses | count ' 20\.251\.48\.(99|10[0-9]|110)/')" 0

# ---- the rest of the machine
is "foreign rules and addresses are as they were" "$(foreign)" "$before"

# ---- no daemon
daemon_end TERM
refused "without a daemon the status is 3" 3 "$SOCKET" ip bind vm-001 "$EIP1"
refused "for any command" 3 "$SOCKET" status
got=$(ctl -j status 2>/dev/null)
is "-j: status 3 too" $? 3
like "-j: and an error on standard output" "$(json 'd["error"]' <<<"$got")" '.'
is "foreign rules and addresses are as they were after the end too" "$(foreign)" "$before"
done_testing
