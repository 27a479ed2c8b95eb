#!/usr/bin/env bash
# A call to the kernel fails, one after the other, in the middle of a command: the command is done, or
# it is refused and nothing is changed; what comes after it works as ever.
#
#   outer host ── eth0 hypervisor br0 ── vm-001
#
# Long: it is begun first.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
conf nat.resync 1h
daemon_up
ctl ip bind vm-002 "$EIP2" >/dev/null
ctl vm isolate vm-002 >/dev/null
ctl vm rejoin vm-002 >/dev/null # the file is there

all() {
	nat_rules
	outer_addresses | sed 's/valid_lft.*//'
	hv nft list tables
	cat "$STATE/bindings" "$STATE/isolated"
	ctl ip list
	ctl vm list | sed 's/[0-9]* s$//' # a lease goes on
}

# fails CALL ERROR NUMBER COMMAND…: the command, while the NUMBERth CALL fails. Its exit status.
fails() {
	local call=$1 error=$2 number=$3 strace result
	shift 3
	rm -f "$T/strace.err"
	strace -f -o "$T/strace" -e trace="$call" -e inject="$call:error=$error:when=$number" \
		-p "$(daemon_pid)" 2>"$T/strace.err" &
	strace=$!
	wait_for 5 grep -q attached "$T/strace.err" || die "strace: $(cat "$T/strace.err")"
	ctl "$@" >"$T/stdout" 2>"$T/stderr"
	result=$?
	{ kill "$strace" && wait "$strace"; } 2>/dev/null
	return "$result"
}
injected() { grep -q INJECTED "$T/strace"; }

# sweep CALL ERROR STEP UNDO COMMAND…: as many times as it makes the call, or each STEPth of them. UNDO:
# the command that takes it back, words separated by commas.
sweep() {
	local call=$1 error=$2 step=$3 undo before now problems='' refusals=0 number=1 result
	IFS=, read -r -a undo <<<"$4"
	shift 4
	before=$(all)
	for ((number = 1; ; number += step)); do
		fails "$call" "$error" "$number" "$@"
		result=$?
		injected || break
		case $result in
		# 3: the answer could not be sent
		0 | 3) ctl "${undo[@]}" >"$T/stdout" 2>&1 || problems+="$number: not undone: $(<"$T/stdout")"$'\n' ;;
		1) ((++refusals)) ;;
		*) problems+="$number: exit status $result"$'\n' ;;
		esac
		now=$(all)
		[[ $now == "$before" ]] ||
			problems+="$number (exit status $result): $(diff <(echo "$before") - <<<"$now")"$'\n'
		[[ -z $problems ]] || break
	done
	echo "# $*: $((number - 1)) calls of $call, failed with $error: $refusals refusals"
	is "$*, $call fails with $error: it is done or refused, and nothing else is touched" "$problems" ""
	check "$*, $call fails with $error: then it works" test "$result" = 0
	ctl "${undo[@]}" >"$T/stdout" 2>&1
	is "$*, $call fails with $error: afterwards all is as before" "$(all)" "$before"
}
bind=(ip bind vm-001 "$EIP1") isolate=(vm isolate vm-002)
sweep setsockopt ENOMEM 1 "ip,unbind,$EIP1" "${bind[@]}"
sweep setsockopt EAGAIN 1 "ip,unbind,$EIP1" "${bind[@]}"
sweep getsockopt ENOMEM 1 "ip,unbind,$EIP1" "${bind[@]}"
sweep socket EMFILE 1 "ip,unbind,$EIP1" "${bind[@]}"
sweep sendmsg ENOBUFS 1 "ip,unbind,$EIP1" "${bind[@]}"
sweep recvmsg ENOBUFS 1 "ip,unbind,$EIP1" "${bind[@]}"
fails sendto ENOBUFS 1 "${isolate[@]}"
like "what the kernel has no room for may be tried again" "$(<"$T/stderr")" 'No buffer space.*try again'
sweep sendto ENOBUFS 1 vm,rejoin,vm-002 "${isolate[@]}"
sweep sendmsg ENOMEM 2 vm,rejoin,vm-002 "${isolate[@]}"
sweep recvmsg ENOBUFS 5 vm,rejoin,vm-002 "${isolate[@]}"
# An isolated VM stays cut off on its port, whatever the daemon cannot see for a moment.
ctl vm isolate vm-001 >/dev/null
vm_lease vm-001
on_port() { grep -q "^seen vm-001 vnet1 " "$STATE/isolated"; }
check "an isolated VM is on its port" wait_for 5 on_port
# What only our rules keep from going to all reaches them when they are there, and not before.
link_local() { ip -n "$HV" -d link show vnet1 | grep -o 'group_fwd_mask [^ ]*'; }
is "link-local groups of its port meet our rules" "$(link_local)" "group_fwd_mask 0x4001"
ctl vm rejoin vm-001 >/dev/null
is "rejoined: they are treated as before" "$(link_local)" "group_fwd_mask 0"
check "the rules are refused, and with them the isolation" not fails sendto ENOBUFS 1 vm isolate vm-001
is "then link-local groups are treated as before" "$(link_local)" "group_fwd_mask 0"
ctl vm isolate vm-001 >/dev/null
sweep recvmsg ENOBUFS 1 status reload
sweep sendmsg EMFILE 1 status reload

# ---- what is left for later
ctl vm rejoin vm-001 >/dev/null
check "the stop is clean" daemon_end TERM
conf nat.hairpin no # its thread makes such calls as well
daemon_up
# What could not be undone at once, as another program was at the tables by then, is undone later.
repaired() { field 'd["nat"]["repaired"]' status; }
has_rules() { (($(rules_of "$EIP1") > 0)); }
rules_and_file() { nat_rules && cat "$STATE/bindings"; }
before=$(rules_and_file) mended=$(repaired)
rm -f "$T/strace.err"
strace -f -o "$T/strace" -e trace=sendmsg -e inject=sendmsg:error=ENOBUFS:delay_enter=3000000:when=1 \
	-p "$(daemon_pid)" 2>"$T/strace.err" &
strace=$!
wait_for 5 grep -q attached "$T/strace.err" || die "strace: $(cat "$T/strace.err")"
ctl "${bind[@]}" >"$T/stdout" 2>"$T/stderr" &
binding=$!
check "a bind has its rules" wait_for 2 has_rules
lock_hold
wait "$binding"
is "its address is refused: it is refused" $? 1
{ kill "$strace" && wait "$strace"; } 2>/dev/null
lock_release
check "but another program is at the tables: its rules go when that one has done" wait_for 3 not has_rules
is "all is as before" "$(rules_and_file)" "$before"
is "and nobody else is blamed for it" "$(repaired)" "$mended"
# Flows that cannot be forgotten at once are forgotten later: such a one knows no address of its VM.
serve "$OUT" outside 9000
from_vm() { TALK_PATIENCE=1.5 ask_udp "$P-vm-001" 20.251.48.1 9000 7001; }
not_forgotten() { [[ $(count 'cannot be forgotten' "$LOG") == 1 ]]; }
: >"$LOG"
for number in 1 2 3 4 5; do
	from_vm >/dev/null
	fails socket EMFILE "$number" "${bind[@]}" && not_forgotten && break
	ctl ip unbind "$EIP1" >/dev/null
done
check "a bind whose VM has a flow that cannot be forgotten" not_forgotten
check "with the next change" ctl ip bind vm-002 20.251.48.101
is "it is forgotten" "$(from_vm)" "outside sees $EIP1"
ctl ip unbind "$EIP1" >/dev/null
check "the stop is clean" daemon_end TERM
daemon_up
check "and so is the next start" ctl status
done_testing
