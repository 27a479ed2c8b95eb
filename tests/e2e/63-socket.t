#!/usr/bin/env bash
# The control socket: who may ask what, and that a bad client disturbs nobody.
#
#   hypervisor: eipd ── br0 ── vm-001         root, members and strangers with eipctl
#
# Long: it is begun first.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
# others than root must come to the program
cp "$EIPCTL" "$HERE/clients.py" "$T"
EIPCTL=$T/eipctl
mkdir -m 777 "$T/open"
GROUP=daemon GID=$(awk -F: '$1 == "daemon" { print $3 }' /etc/group)

# with rights of nobody's but a user's and a group's: setpriv's arguments
user() { echo "setpriv --reuid=$1 --regid=${2%%,*} --groups=$2"; }
# no member, but permissions of files do not stop it
INTRUDER="$(user 4711 4711) --inh-caps=+dac_override --ambient-caps=+dac_override"
# by WHO COMMAND…: its status, and what it says; WHO is a command of several words
by() {
	# shellcheck disable=SC2086
	said=$(timeout 60 $1 "$EIPCTL" -s "$SOCKET" "${@:2}" 2>&1 </dev/null)
	status=$?
}
PRIMARY=$(user 4711 "$GID") SECOND=$(user 4711 "4711,$GID,4712") STRANGER=$(user 4711 4711,4712)

SHOWS=("status" "metrics" "vm list" "vm show vm-001" "ip list" "forward list" "lease list" "events")
CHANGES=("reload" "reload --dry-run" "vm add new" "vm del vm-001" "vm isolate vm-001" "vm rejoin vm-001" "vm port vm-001 eth0"
	"ip bind vm-001" "ip unbind $EIP1" "ip move $EIP1 vm-002" "forward add $EIP2:80/tcp vm-001"
	"forward del $EIP2:80/tcp")

# everything: what a change would change
everything() {
	ctl -j vm list
	ctl -j ip list
	ctl -j forward list
	nat_rules
	cat "$PLAN"
}

# ---- a daemon that is stopped, to which as many have come as may wait: looked at in the end
hv "$PYTHON" -c '
import socket, sys, time
stopped = socket.socket(socket.AF_UNIX)
stopped.bind(sys.argv[1])
stopped.listen(0)
waiting = socket.socket(socket.AF_UNIX)
waiting.connect(sys.argv[1])
print("ready", flush=True)
time.sleep(600)' "$T/stopped" >"$T/stopped.out" 2>&1 &
disown
wait_for 5 grep -q ready "$T/stopped.out"
patient=()
for command in status "events --follow"; do
	# shellcheck disable=SC2086 # a command of several words
	"$EIPCTL" -s "$T/stopped" $command >/dev/null 2>"$T/patient.${#patient[@]}" &
	patient+=($!)
done

# ---- without a group: root only
daemon_up
by env status
is "root may ask" "$status" 0
by "$INTRUDER" status
is "nobody else may, even where the socket's mode does not stop him" "$status" 1
like "and is told so" "$said" '^eipctl: [^;]*only root[^;]*; .*\[control\] group'
by "$PRIMARY" status
is "nor a user that the mode stops" "$status" 1
like "and is told so" "$said" '^eipctl: [^;]*not permitted; '
daemon_end TERM

# ---- with a group: members may look
conf control.group "$GROUP"
daemon_up
is "the socket is the group's" "$(stat -c '%u:%g %a' "$SOCKET")" "0:$GID 660"
ctl ip bind vm-001 "$EIP1" >/dev/null
everything >"$T/before"
for who in "$PRIMARY" "$SECOND"; do
	for command in "${SHOWS[@]}"; do
		# shellcheck disable=SC2086 # a command of several words
		by "$who" $command
		is "${who#setpriv }: $command" "$status" 0
	done
	for command in "${CHANGES[@]}"; do
		# shellcheck disable=SC2086
		by "$who" $command
		is "${who#setpriv }: $command is refused" "$status" 1
		like "${who#setpriv }: $command: why, and what to do" "$said" \
			'^eipctl: [^;]*for root only; [^;]*group-may-change = yes$'
	done
done
by "$SECOND" -j ip unbind "$EIP1"
like "-j: as {\"error\": …}" "$said" '\{"error": ?"[^"]*group-may-change'
is "nothing has changed" "$(everything | diff "$T/before" -)" ""
by "$STRANGER" status
is "a stranger does not come in" "$status" 1
by "$INTRUDER" status
is "one that does is not answered" "$status" 1
like "and is told whom eipd answers" "$said" "^eipctl: [^;]*only root and members of $GROUP; "
by "$INTRUDER" ip unbind "$EIP1"
is "nor may he change anything" "$status" 1
daemon_end TERM

# ---- with a group that may change things
conf control.group-may-change yes
daemon_up
for command in "vm add new" "ip bind new $EIP2" "ip move $EIP2 vm-002" "ip unbind $EIP2" "vm isolate new" \
	"vm rejoin new" "vm del new" "reload"; do
	# shellcheck disable=SC2086
	by "$SECOND" $command
	is "group-may-change: $command" "$status $said" "0 $said"
done
by "$INTRUDER" ip unbind "$EIP1"
is "group-may-change: a stranger may not" "$status" 1
daemon_end TERM
conf control.group-may-change

# ---- bad clients
daemon_up
daemon=$(daemon_pid)
member() {
	# shellcheck disable=SC2046
	timeout 20 $(user 4799 "$GID") "$EIPCTL" -s "$SOCKET" "$@"
}
descriptors() { find "/proc/$daemon/fd" -type l | wc -l; }
# at_rest: in $before, how many there are when nobody comes or goes; a client's is closed a moment later
at_rest() {
	before=$(descriptors)
	for _ in 1 2 3; do
		sleep 0.1
		(($(descriptors) == before)) || return
	done
}
ctl ip bind vm-001 "$EIP2" >/dev/null && ctl ip unbind "$EIP2" >/dev/null # all is open that ever will be
wait_for 5 at_rest
held() { [[ -s $T/open/$1 ]] && (($(<"$T/open/$1") <= $2)); }
# hold NAME UID GID COUNT KIND: bad clients, until `release`; $T/open/NAME counts them
holders=()
hold() {
	# shellcheck disable=SC2046
	prlimit --nofile=4096 $(user "$2" "$3") "$PYTHON" "$T/clients.py" "$SOCKET" "$4" "$5" "$T/open/$1" >"$T/open/$1.err" 2>&1 &
	holders+=($!)
}
release() {
	kill "${holders[@]}"
	wait "${holders[@]}" 2>/dev/null
	holders=()
}
# undisturbed SENTENCE: everybody else is served at once, and the daemon holds no more than it should
undisturbed() {
	check "$1: root is served" timeout 20 "$EIPCTL" -s "$SOCKET" status
	check "$1: so is another member" member status
	check "$1: so are VMs" vm_lease vm-001
	check "$1: the daemon has at most 32 connections" test $(($(descriptors) - before)) -le 33
}
# limited to what one user may have
one_user() { # KIND COUNT
	hold "$1" 4711 "$GID" "$2" "$1"
	check "$1: they have come" wait_for 20 test -s "$T/open/$1"
	undisturbed "$2 clients, $1"
	check "$1: the user keeps at most 8 connections" wait_for 5 held "$1" 8
	release
}
SLOW=(drip silent half deaf)
for kind in "${SLOW[@]}"; do hold "slow.$kind" 0 0 1 "$kind"; done
slow=("${holders[@]}") since=$SECONDS
holders=()
one_user silent 40
one_user half 40
one_user garbage 40
one_user endless 40
one_user deaf 40
one_user follow 40
# Who comes while there are a thousand.
hold thousand 4711 "$GID" 1000 silent
slowest=0 unserved=0
until [[ -s $T/open/thousand ]] || gone "${holders[0]}"; do
	start=${EPOCHREALTIME/./}
	timeout 20 "$EIPCTL" -s "$SOCKET" status >/dev/null || ((++unserved))
	took=$((${EPOCHREALTIME/./} - start))
	((took <= slowest)) || slowest=$took
done
check "1000 connections: they have come" wait_for 20 test -s "$T/open/thousand"
is "1000 connections: root was served all the while" "$unserved" 0
check "1000 connections: and waited at most some seconds (${slowest} us)" test "$slowest" -lt 5000000
undisturbed "1000 connections"
check "1000 connections: the user keeps at most 8" wait_for 5 held thousand 8
release

# many KIND: five users that take all places together
many() {
	local uid
	for uid in 4711 4712 4713 4714 4715; do
		hold "$1.$uid" $uid "$GID" 8 "$1"
	done
	for uid in 4711 4712 4713 4714 4715; do
		check "five users, $1: $uid has come" wait_for 10 test -s "$T/open/$1.$uid"
	done
	check "five users, $1: root is served" timeout 20 "$EIPCTL" -s "$SOCKET" status
	check "five users, $1: again and again" timeout 60 bash -c \
		'for i in 1 2 3 4 5 6 7 8 9; do "$@" >/dev/null || exit 1; done' - "$EIPCTL" -s "$SOCKET" status
	check "five users, $1: VMs are served" vm_lease vm-001
	check "five users, $1: the daemon has at most 32 connections" test $(($(descriptors) - before)) -le 33
}
many silent
check "five users, silent: another member is served" member status
release
many follow
timeout 120 "$EIPCTL" -s "$SOCKET" events --follow >"$T/followed" 2>&1 &
follower=$!
followed() { ctl ip bind vm-001 "$EIP2" && ctl ip unbind "$EIP2" && grep -q "$EIP2" "$T/followed"; }
check "five users, follow: root may follow as well" wait_for 10 followed
kill "$follower"
release

check "who sends an octet a second is dropped" wait_for 40 held slow.drip 0
took=$((SECONDS - since))
check "after half a minute ($took s)" test $took -ge 29
for kind in "${SLOW[@]}"; do
	check "so is one that is $kind" wait_for 10 held "slow.$kind" 0
done
kill "${slow[@]}"

# ---- root's own
hold root 0 0 40 silent
check "40 silent clients of root: they have come" wait_for 10 test -s "$T/open/root"
undisturbed "40 silent clients of root"
check "40 silent clients of root: the oldest have gone" wait_for 5 held root 32
release

gone_again() { (($(descriptors) <= before)); }
check "when they are gone, so are their descriptors" wait_for 5 gone_again
# ---- members that wait for what they may change
daemon_end TERM
conf control.group-may-change yes
daemon_up
daemon=$(daemon_pid)
lock_hold # they have an answer in ten seconds at the latest
many bind
release
lock_release
for i in 0 1; do
	wait_for 60 gone "${patient[i]}" && wait "${patient[i]}"
	is "eipctl gives up on a daemon that takes nobody" "$? $(<"$T/patient.$i")" \
		"3 eipctl: the daemon at $T/stopped gave no answer; see its log"
done
check "it is the same daemon as at the beginning" test "$(daemon_pid)" = "$daemon"
check "and ends when it is told to" daemon_end TERM
done_testing
