#!/usr/bin/env bash
# A thousand public addresses: their rules stand in a tree of chains by prefix, which is edited in
# place, which iptables-legacy can save and restore, and in which each connection finds its way.
#
#   outside ── eth0 20.251.48.10, 1000 addresses of 20.251.64.0/22 ── br0 ── vm-001, vm-002
#                                                               (and 998 that are only planned)

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up 192.168.0.1/20
COUNT=1000
vm_up vm-1 02:00:00:00:00:01
vm_up vm-1000 02:00:00:00:03:e8
for ((i = 1; i <= COUNT; i++)); do
	printf '02:00:00:00:%02x:%02x,vm-%d,192.168.%d.%d\n' $((i / 256)) $((i % 256)) "$i" \
		$((i / 200 + 1)) $((i % 200 + 1))
done >"$PLAN"
conf outer.pool 20.251.64.0/22
conf nat.auto-bind yes
conf nat.resync 1s
daemon_up
ip -n "$OUT" route add 20.251.64.0/22 via 20.251.48.10
bound() { [[ $(field 'd["nat"]["bound"]' status) == "$1" ]]; }
repaired() { field 'd["nat"]["repaired"]' status; }
check "each machine has an address" wait_for 10 bound $COUNT
first=$(field 'd["public"][0]' vm show vm-1)
last=$(field 'd["public"][0]' vm show vm-1000)

# longest CHAIN-PREFIX: the number of rules of the longest chain
longest() { nat_rules | awk -v p="$1" '$1 == "-A" && index($2, p) == 1 && ++n[$2] > max { max = n[$2] } END { print max }'; }
check "no chain of DNAT rules is long" test "$(longest EIPD-D)" -le 16
check "nor the one that leads to them" test "$(longest EIPD-PREROUTING)" -le 16
check "no chain of SNAT rules is long" test "$(longest EIPD-S)" -le 32 # two rules an address
is "each address has one DNAT rule" "$(nat_rules | count '-A EIPD-(P|D).*-j DNAT')" $COUNT
is "the host's own connections take the same way" \
	"$(nat_rules | grep -- '^-A EIPD-OUTPUT ' | sed s/OUTPUT/PREROUTING/)" \
	"$(nat_rules | grep -- '^-A EIPD-PREROUTING ')"
restores() { hv sh -c 'iptables-legacy-save -t nat | iptables-legacy-restore --test'; }
check "iptables-legacy can restore what it saved" restores
is "two resyncs later nothing was mended" "$(sleep 2.5; repaired)" 0

# ---- traffic
vm vm-1 ip addr add 192.168.1.2/20 dev eth0
vm vm-1 ip route add default via 192.168.0.1
vm vm-1000 ip addr add 192.168.6.1/20 dev eth0
vm vm-1000 ip route add default via 192.168.0.1
serve "$P-vm-1" vm-1 8000
serve "$P-vm-1000" vm-1000 8000
serve "$OUT" outside 8000
is "the first is reached" "$(ask "$OUT" "$first" 8000)" "vm-1 sees 20.251.48.1"
is "the last is reached" "$(ask "$OUT" "$last" 8000)" "vm-1000 sees 20.251.48.1"
is "the first leaves with its address" "$(ask "$P-vm-1" 20.251.48.1 8000)" "outside sees $first"
is "the last leaves with its address" "$(ask "$P-vm-1000" 20.251.48.1 8000)" "outside sees $last"
is "one reaches the other, and is seen by its public address" "$(ask "$P-vm-1" "$last" 8000)" \
	"vm-1000 sees $first"
like "the host itself reaches them" "$(ask "$HV" "$last" 8000)" '^vm-1000 sees' 

# ---- edits
before=$(nat_rules)
ctl ip unbind "$first" >/dev/null
is "an unbind takes its two or three rules, and no other" \
	"$(diff <(echo "$before") <(nat_rules) | grep '^[<>]' | grep -cv -- "$first")" 0
is "of the address nothing is left" "$(nat_rules | count " $first/32 ")" 0
ctl ip bind vm-1 "$first" >/dev/null
is "bound again, the rules are as they were" "$(nat_rules)" "$before"
chain=$(nat_rules | sed -n "s|^-A \(EIPD-D[^ ]*\) -d $last/32 .*|\1|p")
hv iptables-legacy -w 10 -t nat -F "$chain"
mended() { [[ $(nat_rules) == "$before" ]]; }
check "a chain of the tree that somebody emptied is mended" wait_for 5 mended
hv iptables-legacy -w 10 -t nat -A PREROUTING -j "$chain"
check "a jump into the tree that somebody added is taken away" wait_for 5 mended
daemon_end KILL
echo damaged >"$STATE/bindings"
daemon_up
is "with a damaged state file all bindings are taken over from the tree" "$(nat_rules)" "$before"
check "all" wait_for 5 bound $COUNT
head -n 12 "$PLAN" >"$PLAN.new"
mv "$PLAN.new" "$PLAN"
ctl reload >/dev/null
check "with 12 left" wait_for 5 bound 12
no_tree() { [[ $(nat_rules | count 'EIPD-[DS]-') == 0 ]]; }
check "the tree is gone" wait_for 5 no_tree
is "and the rules stand in one chain" "$(nat_rules | count '^-A EIPD-PREROUTING .*-j DNAT')" 12
done_testing
