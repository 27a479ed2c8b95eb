#!/usr/bin/env bash
# What goes wrong around a change: table, state file, kernel and answer still say the same.
#
#   outer host ── eth0 hypervisor br0 ── vm-001

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
conf outer.pool "20.251.48.10, 20.251.48.99-20.251.48.102"
conf nat.resync 1s
conf outer.probe no
daemon_up

state_of() { field "[a['state'] for a in d if a['address'] == '$1'][0]" ip list; }
# everything that can be compared: kernel, file, and what eipctl says
all() {
	nat_rules
	outer_addresses | sed 's/valid_lft.*//'
	cat "$T/state/bindings"
	field "[(a['address'], a['state'], a['vm']) for a in d]" ip list
}
repaired() { field 'd["nat"]["repaired"]' status; }
settled() { # nothing more is mended in two resyncs
	local before
	before=$(repaired)
	sleep 2.2
	[[ $(repaired) == "$before" ]]
}

# ---- the host's own address is in the pool
is "the host's own address is not chosen" "$(field 'd["address"]' ip bind vm-001)" 20.251.48.99
refused "nor given to who asks for it" 1 '20\.251\.48\.10 ' ip bind vm-002 20.251.48.10
ctl ip bind vm-002 20.251.48.100 >/dev/null

# ---- somebody puts his own label on an address of ours
printf '%s\n' "addr del 20.251.48.100/32 dev eth0" "addr add 20.251.48.100/32 dev eth0" >"$T/batch"
ip -n "$HV" -b "$T/batch"
said() { count "$1" "$LOG"; }
warned() { [[ $(said 'without a label of ours') == 1 ]]; }
check "an address without our label: the log says so" wait_for 5 warned

# ---- the lock is held for longer than a resync waits
before=$(all)
lock_hold
ctl ip bind vm-001 20.251.48.101 >"$T/stdout" 2>"$T/stderr" &
bind_pid=$!
failed_now() { [[ $(field 'd["nat"]["in_sync"]' status) == false ]]; }
check "DHCP goes on while it is held" vm_lease vm-001
check "status answers while it is held" ctl status
mkdir "$T/state/bindings.eipd-new" # where the new text would go: what was cannot be written back
wait "$bind_pid"
is "a bind that cannot have it is refused" $? 1
like "after its time, with the reason and what to do" "$(<"$T/stderr")" '^eipctl: .*lock.*; .*'
is "and nothing is bound" "$(state_of 20.251.48.101)" free
check "a resync that cannot have the lock fails" wait_for 15 failed_now
is "and nothing is lost by that" "$(field "[a['vm'] for a in d if a['state'] == 'bound']" ip list)" \
	'["vm-001", "vm-002"]'
lock_release
synced_now() { [[ $(field 'd["nat"]["in_sync"]' status) == true ]]; }
rmdir "$T/state/bindings.eipd-new"
check "the next one works" wait_for 5 synced_now
check "what the log has said of addresses it does not say again" warned
is "everything is as it was, the file as well" "$(all)" "$before"

# ---- a resync has to wait for the lock, and finds something to mend
mended=$(repaired)
lock_hold
hv env XTABLES_LOCKFILE="$T/another.lock" iptables-legacy -t nat -F EIPD-PREROUTING
sleep 2 # a resync
lock_release
as_before() { [[ $(all) == "$before" ]]; }
check "it is mended when the lock is free" wait_for 5 as_before
was_counted() { (($(repaired) > mended)); }
check "and counted" wait_for 3 was_counted

# ---- stopped while a command waits for the lock
lock_hold
ctl ip bind vm-001 20.251.48.101 >"$T/out" 2>"$T/err" &
bind_pid=$!
waiting_now() { grep -q 20.251.48.101 "$T/state/bindings"; }
check "a bind waits for the lock" wait_for 5 waiting_now
daemon_end TERM
wait "$bind_pid"
is "it is refused when eipd stops" $? 1
lock_release
daemon_up
is "and is not done by the next start" "$(state_of 20.251.48.101)" free
is "everything else is as it was" "$(all)" "$before"

# ---- chains of our prefix that are not ours
hv iptables-legacy -w 5 -t nat -N EIPD-A
hv iptables-legacy -w 5 -t nat -N EIPD-B
hv iptables-legacy -w 5 -t nat -A EIPD-B -j EIPD-A
check "chains that lead to each other do not block a change" ctl ip bind vm-001 20.251.48.101
is "and are gone" "$(nat_rules | count 'EIPD-[AB]( |$)')" 0
# at once, or a resync may take the chain away before the rule leads there
printf '%s\n' '*nat' ':MINE -' ':EIPD-C -' '-A MINE -s 10.9.9.9 -j EIPD-C' COMMIT |
	hv iptables-legacy-restore -w 5 --noflush
check "nor does one that somebody else's rule leads to" ctl ip unbind 20.251.48.101
is "that rule is left alone" "$(nat_rules | count 'MINE -s 10.9.9.9/32 -j EIPD-C')" 1
check "and nothing is mended again and again" settled

# ---- a state file that cannot be written
mkdir "$T/state/bindings.eipd-new" # where the new text would go
refused "a state file that cannot be written: the bind is refused" 1 'nothing was changed' \
	ip bind vm-001 20.251.48.102
rmdir "$T/state/bindings.eipd-new"
is "and nothing is bound" "$(state_of 20.251.48.102)" free
check "afterwards it works" ctl ip bind vm-001 20.251.48.102
daemon_end TERM
check "the stop was clean" not test -e "$RUN/eipd.pid"
plan "$MAC1,vm-001,$IP1"
mkdir "$T/state/bindings.eipd-new"
daemon_up
names() { grep -q "$1" "$T/state/bindings"; }
check "the start cannot write that a VM left: the file still names it" names vm-002
is "status says that something is not as it should be" "$(field 'd["nat"]["in_sync"]' status)" false
rmdir "$T/state/bindings.eipd-new"
check "it is written when it can be" wait_for 3 not names vm-002
check "and then all is as it should be" wait_for 3 synced_now
done_testing
