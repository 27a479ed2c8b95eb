#!/usr/bin/env bash
# Disks that fail: an I/O error at each call that writes a state file, a disk that is full, one that
# is read-only. A change that cannot be written is refused and not done; DHCP goes on; what must go
# goes all the same.
#
#   outer host ── eth0 hypervisor br0 ──┬── vm-001
#                                       └── vm-002

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
vm_up vm-002 "$MAC2"
LINE1="$MAC1,vm-001,$IP1" LINE2="$MAC2,vm-002,$IP2" LINE3="02:00:00:00:00:03,vm-003,192.168.6.3"
plan "$LINE1" "$LINE2" "# a comment"
conf nat.resync 1h
mkdir -p "$T/plan"
mv "$PLAN" "$T/plan/"
PLAN=$T/plan/network.conf
conf plan.file "$PLAN"

# everything that can be compared: kernel, files, and what eipctl says. $ON is where the daemon's
# files are.
ON=
all() {
	nat_rules
	outer_addresses | sed 's/valid_lft.*//'
	hv nft list tables
	cat "$ON$STATE/bindings" "$ON$STATE/isolated" "$ON$PLAN" 2>&1
	field "[(a['address'], a['state'], a['vm']) for a in d]" ip list
	field "[(v['name'], v['ip'], v['isolated']) for v in d]" vm list
}
litter() { find "$ON$STATE" "$ON${PLAN%/*}" -name '*.eipd-new' -o -name '*.damaged'; }
# the leases are written on a thread, some time after the lease
clean() { [[ -z $(litter) ]]; }
logged() { (($(count "$1" "$LOG") > 0)); }

# fail_at FILE CALL [WHEN]: from now on the daemon's CALL to write FILE fails (WHEN: only that one of
# them)
fail_at() { with_strace "$1" "$2" "error=EIO${3:+:when=$3}"; }
# with_strace FILE CALL WHAT: the same with what else strace can do to a call
with_strace() {
	rm -f "$T/strace.err"
	strace -f -o "$T/strace" -P "$1.eipd-new" -e trace="$2" -e inject="$2:$3" \
		-p "$(daemon_pid)" 2>"$T/strace.err" &
	strace=$!
	wait_for 5 grep -q attached "$T/strace.err" || die "strace: $(cat "$T/strace.err")"
}
injected() { (($(count INJECTED "$T/strace") > 0)); }
healed() {
	kill "$strace" && wait "$strace"
} 2>/dev/null

# refuses SENTENCE FILE CALL WHEN COMMAND…: with that call failing, the command is refused and nothing
# is changed
refuses() {
	local sentence="$1: $3 fails${4:+ once}" file=$2 call=$3 when=$4 before
	shift 4
	before=$(all)
	fail_at "$file" "$call" "$when"
	refused "$sentence: it is refused" 1 'Input/output error; nothing was changed' "$@"
	check "$sentence: the call did fail" injected
	check "$sentence: DHCP goes on" vm_lease vm-001
	healed
	is "$sentence: nothing was changed" "$(all)" "$before"
	check "$sentence: nothing is left lying about" wait_for 5 clean
}
CALLS="openat fchmod write fsync close rename"

daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl vm isolate vm-002 >/dev/null

# ---- an I/O error at each call
for call in $CALLS; do
	refuses "bind" "$STATE/bindings" "$call" "" ip bind vm-001 "$EIP2"
done
is "and it is tried once" "$(count INJECTED "$T/strace")" 1
# one failure is as good as many (strace counts calls for other files too, but these have none)
for call in fchmod fsync rename; do
	refuses "bind" "$STATE/bindings" "$call" 1 ip bind vm-001 "$EIP2"
done
refuses "move" "$STATE/bindings" write "" ip move "$EIP1" vm-002
refuses "unbind" "$STATE/bindings" rename "" ip unbind "$EIP1"
refuses "forward" "$STATE/bindings" fsync 1 forward add "$EIP2:80/tcp" vm-001
check "bind: then it works" ctl ip bind vm-001 "$EIP2"

# ---- a disk that takes its time
# waits_for SENTENCE FILE COMMAND…: only whoever asked waits for the disk
waits_for() {
	local sentence="the disk is slow: $1" file=$2 slow
	shift 2
	with_strace "$file" fsync delay_enter=5000000
	ctl "$@" >"$T/slow" 2>&1 &
	slow=$!
	check "$sentence: it is being written" wait_for 3 test -e "$file.eipd-new"
	check "$sentence: DHCP goes on" vm_lease vm-001
	is "$sentence: status answers" "$(field 'd["ready"]' status)" true
	check "$sentence: it is still being written" test -e "$file.eipd-new"
	wait "$slow"
	is "$sentence: it is done in the end" $? 0
	healed
}
waits_for bind "$STATE/bindings" ip bind vm-001 20.251.48.105
check "and undone" ctl ip unbind 20.251.48.105
for call in $CALLS; do
	refuses "isolate" "$STATE/isolated" "$call" "" vm isolate vm-001
done
refuses "rejoin" "$STATE/isolated" fsync 1 vm rejoin vm-002
waits_for isolate "$STATE/isolated" vm isolate vm-003
check "isolate: it is in the file" grep -q vm-003 "$STATE/isolated"
waits_for rejoin "$STATE/isolated" vm rejoin vm-003
check "rejoin: it is not" not grep -q vm-003 "$STATE/isolated"
check "isolate: then it works" ctl vm isolate vm-001
check "rejoin: then it works" ctl vm rejoin vm-001
# whatever is done, the loop itself never waits for the disk
strace -f -o "$T/syncs" -e trace=fsync,fdatasync -p "$(daemon_pid)" 2>"$T/strace.err" &
strace=$!
wait_for 5 grep -q attached "$T/strace.err" || die "strace: $(cat "$T/strace.err")"
plan "$LINE1" "$LINE2" "$LINE3" "# a comment"
ctl reload >/dev/null
for command in "ip bind vm-001 20.251.48.105" "ip move 20.251.48.105 vm-002" "ip unbind 20.251.48.105" \
	"forward add 20.251.48.106:80/tcp vm-001" "forward del 20.251.48.106:80/tcp" \
	"vm isolate vm-001" "vm rejoin vm-001" "vm port vm-001 vnet1" "vm add vm-009" "vm del vm-009"; do
	# shellcheck disable=SC2086 # words
	ctl $command >>"$T/stdout" 2>&1
done
plan "$LINE1" "$LINE2" "# a comment"
ctl reload >/dev/null
vm_lease vm-001 >/dev/null
syncs() { (($(count "fsync" "$T/syncs") >= $1)); }
check "many files were synced" wait_for 40 syncs 20
healed
is "none of them by the loop" "$(count "^$(daemon_pid) .*sync" "$T/syncs")" 0
# nobody knows of a change before it is on the disk, and what comes meanwhile is not lost with it
named() { hv nft list table bridge eipd | count "$1"; }
ctl vm isolate vm-002 --port later0 >/dev/null
before=$(named vm-002)
with_strace "$STATE/isolated" fsync error=EIO:delay_enter=2000000
ctl vm rejoin vm-002 >"$T/slow" 2>&1 &
slow=$!
check "rejoin, the disk is slow and fails: it is being written" wait_for 3 test -e "$STATE/isolated.eipd-new"
# which makes it look at the kernel
hv nft add table inet other
hv nft delete table inet other
ip -n "$HV" link add later0 type veth peer name later1
ip -n "$HV" link set later0 master br0 up
cut_off() { logged 'cut off on port later0'; }
check "rejoin, the disk is slow and fails: another port of the VM is cut off" wait_for 2 cut_off
check "rejoin, the disk is slow and fails: it is still being written" test -e "$STATE/isolated.eipd-new"
check "rejoin, the disk is slow and fails: the kernel knows nothing of it" test "$(named vm-002)" -ge "$before"
is "rejoin, the disk is slow and fails: nor does the list" \
	"$(field "[v['isolated'] for v in d if v['name'] == 'vm-002'][0]" vm list)" true
wait "$slow"
is "rejoin, the disk is slow and fails: it is refused" $? 1
check "rejoin, the disk is slow and fails: the port is cut off still" test "$(named later0)" -ge 1
healed
ip -n "$HV" link del later0
ctl vm rejoin vm-002 >/dev/null
ctl vm isolate vm-002 >/dev/null

# the kernel refuses: nobody is told before the disk says again what was
rm -f "$T/strace.err"
strace -f -o "$T/strace" -e trace=sendmsg,fsync -e inject=sendmsg:error=EPERM \
	-e inject=fsync:delay_enter=300000 -p "$(daemon_pid)" 2>"$T/strace.err" &
strace=$!
wait_for 5 grep -q attached "$T/strace.err" || die "strace: $(cat "$T/strace.err")"
refused "rejoin, the kernel refuses" 1 . vm rejoin vm-002
check "rejoin, the kernel refuses: the file says what was" grep -q vm-002 "$STATE/isolated"
healed
is "rejoin, the kernel refuses: so does the list" \
	"$(field "[v['isolated'] for v in d if v['name'] == 'vm-002'][0]" vm list)" true

# two at once, and a stop meanwhile: what is being written is done, what waits is not begun
with_strace "$STATE/isolated" fsync delay_enter=2000000
ctl vm isolate vm-003 >"$T/first" 2>&1 &
first=$!
check "isolate, and a stop: it is being written" wait_for 3 test -e "$STATE/isolated.eipd-new"
ctl vm isolate vm-004 >"$T/second" 2>&1 &
second=$!
# the commands are taken up in order
ctl vm list >"$T/vms"
check "isolate, and a stop: it ends" daemon_end TERM
wait "$first"
is "isolate, and a stop: the first one is done" $? 0
wait "$second"
is "isolate, and a stop: the second one is told" "$? $(count stopping "$T/second")" "1 1"
healed
daemon_up
is "isolate, and a stop: the first one, and not the second" \
	"$(field '",".join(sorted(d["isolation"]["vms"]))' status)" vm-002,vm-003
check "isolate, and a stop: it rejoins" ctl vm rejoin vm-003
for call in $CALLS; do
	refuses "vm add" "$PLAN" "$call" "" vm add vm-003
done
refuses "vm del" "$PLAN" rename "" vm del vm-001
check "vm add: then it works" ctl vm add vm-003 --mac 02:00:00:00:00:03 --ip 192.168.6.3
check "vm del: then it works" ctl vm del vm-003

# The copy of the plan is for the day when the plan is spoiled: today goes on without it.
for call in write rename; do
	: >"$LOG"
	plan "$LINE1" "$LINE2" "$LINE3"
	fail_at "$STATE/plan.last-good" "$call"
	check "reload: $call of the copy fails: the plan is taken over" ctl reload
	check "reload: $call of the copy fails: the log says so" logged 'no copy could be kept'
	healed
	plan "$LINE1" "$LINE2"
	check "reload: then it works" ctl reload
	is "reload: and the copy is the plan" "$(<"$STATE/plan.last-good")" "$(<"$PLAN")"
done
for call in openat write; do
	rm -f "$STATE/leases"
	: >"$LOG"
	fail_at "$STATE/leases" "$call"
	check "leases: $call fails: DHCP goes on" vm_lease vm-001
	# a lease that is prolonged within the same second is what it was
	says_so() { vm_lease vm-001 && logged 'leases cannot be written: Input'; }
	check "leases: $call fails: the log says so" wait_for 8 says_so
	healed
	written() { vm_lease vm-001 && [[ -s $STATE/leases ]]; }
	check "leases: then they are written" wait_for 8 written
done

# A VM that leaves the plan loses its addresses, written or not.
plan "$LINE2"
fail_at "$STATE/bindings" write
ctl reload >"$T/stdout" 2>"$T/stderr"
is "a VM leaves the plan and the bindings cannot be written: reload says so" $? 1
like "with the reason" "$(<"$T/stderr")" 'bindings cannot be written: Input/output error'
is "its rules are gone all the same" "$(rules_of "$IP1" "$EIP1" "$EIP2")" 0
check "and its addresses" not address_on "$EIP1"
healed
names() { grep -q "$1" "$STATE/bindings"; }
check "when they can be written, they are" wait_for 3 not names vm-001
daemon_end KILL
daemon_up
is "and they stay gone after a crash" "$(rules_of "$IP1" "$EIP1" "$EIP2")" 0
is "as the list says" "$(field "[a for a in d if a['vm']]" ip list)" "[]"

# ---- a stop, while a plan is written and another program is at the tables
plan "$LINE2" "$LINE3"
with_strace "$STATE/plan.last-good" fsync delay_enter=2000000
ctl reload >"$T/stdout" 2>"$T/stderr" &
check "a plan is being written" wait_for 3 test -e "$STATE/plan.last-good.eipd-new"
lock_hold
begun=$SECONDS
check "a stop ends with it" daemon_end TERM
took=$((SECONDS - begun))
check "and does not wait for the lock ($took s)" test "$took" -lt 9
lock_release
healed

# ---- a disk of its own
cat >"$T/with-disk" <<'END_OF_SCRIPT'
#!/bin/sh
# with-disk DIRECTORY COMMAND…: a small file system over the directory, with what is in it
cp -a "$1" "$1.on-disk" || exit 1
mount -t tmpfs -o size=128k none "$1" && cp -a "$1.on-disk/." "$1/" || exit 1
shift
exec "$@"
END_OF_SCRIPT
chmod 755 "$T/with-disk"
plan "$LINE1" "$LINE2"
conf_write
hv timeout 20 "$T/with-disk" "$STATE" "$T/with-disk" "${PLAN%/*}" "$EIPD" -c "$CONF" >"$T/start" 2>&1 \
	</dev/null || die "it does not start on disks of its own: $(cat "$T/start")"
ON=/proc/$(daemon_pid)/root
ctl ip bind vm-001 "$EIP1" >/dev/null
fill() { dd if=/dev/zero of="$ON$1/filler" bs=1k; } >"$T/dd" 2>&1
remount() { nsenter -t "$(daemon_pid)" -m mount -o "remount,$1" "$2"; }

# unwritable SENTENCE REGEX: what all changes come to
unwritable() {
	local before
	before=$(all)
	refused "$1: a bind is refused" 1 "$2.*nothing was changed" ip bind vm-001 "$EIP2"
	refused "$1: an isolation is refused" 1 "$2.*nothing was changed" vm isolate vm-001
	refused "$1: vm add is refused" 1 "$2.*nothing was changed" vm add vm-003
	refused "$1: vm del is refused" 1 "$2.*nothing was changed" vm del vm-001
	check "$1: DHCP goes on" vm_lease vm-001
	is "$1: status answers" "$(field 'd["ready"]' status)" true
	is "$1: nothing was changed" "$(all)" "$before"
	check "$1: nothing is left lying about" wait_for 5 clean
}
fill "$STATE"
fill "${PLAN%/*}"
unwritable "the disk is full" 'No space left'
: >"$LOG"
kill -HUP "$(daemon_pid)"
check "the disk is full: the plan in force may be read again" wait_for 5 logged 'VMs in force'
rm "$ON$STATE/filler" "$ON${PLAN%/*}/filler"
check "there is room again: a bind" ctl ip bind vm-001 "$EIP2"
check "and an unbind" ctl ip unbind "$EIP2"
check "and a VM more" ctl vm add vm-003 --mac 02:00:00:00:00:03 --ip 192.168.6.3
check "and less" ctl vm del vm-003

remount ro "$STATE"
remount ro "${PLAN%/*}"
unwritable "the disk became read-only" 'Read-only file system'
remount rw "$STATE"
remount rw "${PLAN%/*}"
check "it may be written again: a bind" ctl ip bind vm-001 "$EIP2"
check "and an isolation" ctl vm isolate vm-002
check "the stop is clean" daemon_end TERM
done_testing
