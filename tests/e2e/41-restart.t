#!/usr/bin/env bash
# Bindings outlive the daemon: after a kill -9, a normal stop, a flush by someone else.
#
#   outer host              hypervisor                          virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#                                br0 192.168.6.22/24 ────────┴── vm-002 192.168.6.244

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
vm_static vm-001 "$IP1"
vm_static vm-002 "$IP2"
serve "$P-vm-001" vm-001 8000
serve "$P-vm-002" vm-002 8000
serve "$OUT" outside 9000
conf nat.resync 2s
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl ip bind vm-002 "$EIP2" >/dev/null
ctl ip bind vm-001 20.251.48.105 >/dev/null

bindings() { field '[(a["address"], a["state"], a["vm"], a["label"]) for a in d]' ip list; }
kernel() {
	nat_rules | sort
	outer_addresses | sed 's/^[0-9]*: *//; s/valid_lft.*//' | sort
}
list=$(bindings) kernel=$(kernel)

coproc HOLD { exec ip netns exec "$OUT" "$PYTHON" "$HERE/talk.py" hold "$EIP1" 8000 2>"$T/hold"; }
# shellcheck disable=SC2153 # coproc sets it
hold=$HOLD_PID
read -r -t 20 -u "${HOLD[0]}" line
is "a TCP connection is open through a public address" "$line" "vm-001 sees 20.251.48.1"

# alive SENTENCE: the connection still carries data
turn=0
alive() {
	((turn++))
	echo "turn-$turn" >&"${HOLD[1]}"
	read -r -t 20 -u "${HOLD[0]}" line
	is "$1" "$line" "vm-001 echoes turn-$turn"
}
alive "it carries data"

# everything SENTENCE: all is as it was
everything() {
	is "$1: the list is as it was" "$(bindings)" "$list"
	is "$1: rules and addresses are as they were, nothing twice" "$(kernel)" "$kernel"
	alive "$1: the open connection lives"
	is "$1: a new connection comes in" "$(ask "$OUT" "$EIP2" 8000)" "vm-002 sees 20.251.48.1"
	is "$1: a new connection goes out" "$(ask "$P-vm-001" 20.251.48.1 9000)" "outside sees $EIP1"
}

# ---- kill -9
old=$(daemon_pid)
daemon_end KILL
is "killed: rules and addresses stay" "$(kernel)" "$kernel"
alive "killed: the open connection lives without a daemon"
is "killed: a new one works too" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
check "killed: pid file and socket left behind do not stop a new start" daemon_start
check "killed: another process is there" not test "$(daemon_pid)" = "$old"
everything "after kill -9"
is "after kill -9: status counts" "$(field '[d["nat"][k] for k in ("bound", "free")]' status)" "[3, 9]"

# ---- a normal stop
daemon_end TERM
is "stopped: rules and addresses stay (on-exit = keep)" "$(kernel)" "$kernel"
alive "stopped: the open connection lives"
daemon_up
everything "after a normal restart"

# ---- changed while it was away
daemon_end KILL
hv iptables-legacy -w 10 -t nat -F
ip -n "$HV" addr del "$EIP2/32" dev eth0
hv sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
daemon_up
everything "after a flush while it was down"
is "after a flush while it was down: forwarding is on" "$(hv cat /proc/sys/net/ipv4/ip_forward)" 1

daemon_end KILL
hv iptables-legacy -w 10 -t nat -A PREROUTING -j EIPD-PREROUTING
hv iptables-legacy -w 10 -t nat -A EIPD-PREROUTING -d 20.251.48.110/32 -j DNAT --to-destination 192.168.6.99
hv iptables-legacy -w 10 -t nat -N EIPD-LEFTOVER
daemon_up
everything "after foreign hands in our chains"

# ---- changed while it runs
hv iptables-legacy -w 10 -t nat -F
ip -n "$HV" addr del "$EIP2/32" dev eth0
as_it_was() { [[ $(kernel) == "$kernel" ]]; }
start=$SECONDS
check "a flush while it runs is repaired by resync" wait_for 6 as_it_was
check "in its time, not in that of the default ($((SECONDS - start)) s)" test $((SECONDS - start)) -lt 20
everything "after a flush while it runs"
was_counted() { (($(field 'd["nat"]["repaired"]' status) >= 1)); }
check "status counts the repair" wait_for 3 was_counted

# ---- again and again
for ((i = 0; i < 4; i++)); do
	daemon_end KILL
	daemon_up
done
everything "after four more kills"

# ---- killed in the middle of changes
# consistent: what ip list says is what the kernel has, for each address of the pool
consistent() {
	"$PYTHON" - "$(ctl -j ip list)" "$(nat_rules)" "$(outer_addresses)" "vm-001=$IP1" "vm-002=$IP2" <<'END'
import json, sys
pool, rules, addresses = json.loads(sys.argv[1]), sys.argv[2].splitlines(), sys.argv[3]
inner = dict(pair.split("=") for pair in sys.argv[4:])
for one in pool:
    address, vm = one["address"], one["vm"]
    there = addresses.count(f" {address}/")
    dnat = [rule.split()[-1] for rule in rules if f"-d {address}/32 " in rule]
    snat = [rule for rule in rules if rule.endswith(f"-o eth0 -j SNAT --to-source {address}")]
    if there != (vm is not None) or dnat != ([inner[vm]] * 2 if vm else []) or (snat and not vm):
        print(address, vm, there, dnat, snat)
        sys.exit(1)
sys.exit(len(rules) != len(set(rules)))
END
}
churn() {
	for ((n = 0; n < 60; n++)); do
		[[ ! -e $T/enough ]] || break
		address=20.251.48.$((102 + RANDOM % 3)) vm=vm-00$((1 + RANDOM % 2))
		case $((RANDOM % 3)) in
		0) ctl ip bind "$vm" "$address" ;;
		1) ctl ip unbind "$address" ;;
		2) ctl ip move "$address" "$vm" ;;
		esac
	done >/dev/null 2>&1
}
for pause in 0.05 0.1 0.15 0.2 0.25; do
	rm -f "$T/enough"
	churn &
	churn=$!
	sleep "$pause" # the moment is the point here
	daemon_end KILL
	daemon_up
	# the last command is done then, too
	touch "$T/enough"
	wait "$churn"
	check "killed $pause s into changes: kernel and list agree" consistent
done
for address in 20.251.48.102 20.251.48.103 20.251.48.104; do
	ctl ip unbind "$address" >/dev/null
done
everything "after kills in the middle of changes"

# ---- bindings that no longer fit
daemon_end TERM
plan "$MAC1,vm-001,$IP1"
daemon_up
is "a machine that left the plan meanwhile has lost its address" \
	"$(field "[a['state'] for a in d if a['address'] == '$EIP2'][0]" ip list)" free
is "no rule of it is left" "$(rules_of "$EIP2" "$IP2")" 0
check "no address of it is left" not address_on "$EIP2"
alive "the open connection of the other one lives"
daemon_end TERM
plan "$MAC1,vm-001,192.168.6.50" "$MAC2,vm-002,$IP2"
daemon_up
is "a machine with another inner address meanwhile keeps its public one" \
	"$(nat_rules | count "^-A EIPD-[A-Za-z0-9.-]+ -d $EIP1/32 -j DNAT --to-destination 192\.168\.6\.50\$")" 2
is "no rule of the old inner address is left" "$(rules_of "$IP1")" 0
daemon_end TERM
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
daemon_up
kill "$hold" 2>/dev/null
wait "$hold" 2>/dev/null

# ---- on-exit = remove
daemon_end TERM
conf nat.on-exit remove
daemon_up
list=$(bindings)
daemon_end TERM
is "on-exit = remove: no chain and no rule of ours is left" "$(nat_rules | count EIPD)" 0
is "on-exit = remove: no address of ours is left" "$(outer_addresses | count ' eth0:[0-9]')" 0
check "on-exit = remove: nobody answers" unanswered ask "$OUT" "$EIP1" 8000
daemon_up
is "on-exit = remove: the bindings are back at the next start" "$(bindings)" "$list"
is "on-exit = remove: and work" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
daemon_end KILL
daemon_up
is "on-exit = remove: a kill is no exit" "$(ask "$OUT" "$EIP1" 8000)" "vm-001 sees 20.251.48.1"
daemon_end TERM
done_testing
