# shellcheck shell=bash disable=SC2034 # the tests use the variables
# The stage of the end-to-end tests: a network of namespaces, the daemon in it, and TAP.
# It knows eipd by its contract only: programs, files, socket, kernel objects.
#
#    outer host          hypervisor                                 virtual machines
#    $P-out              $P-hv                                      $P-vm-001, $P-vm-002, …
#   ┌─────────────┐     ┌───────────────────────────────────┐     ┌──────────────────────────┐
#   │        eth0 ├─────┤ eth0         eip  br0       vnet1 ├─────┤ eth0  d0:0d:8e:9f:42:88  │
#   │ 20.251.48.1 │     │ 20.251.48.10  192.168.6.22  vnet2 ├──┐  └──────────────────────────┘
#   └─────────────┘     │                   │               │  │  ┌──────────────────────────┐
#                       │                 eth1              │  └──┤ eth0  d0:0d:8e:9f:42:89  │
#                       └───────────────────┼───────────────┘     └──────────────────────────┘
#                                    $P-lan eth0 (nobody there)
#
# A test sources this file, calls stage_up and daemon_start, makes its points with check, is,
# like and refused, and ends with `done_testing`. Namespaces and files go however it ends.
#
# EIPD_USER=NAME: the daemon becomes that user, whatever the test is about.

HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
ROOT=$(cd "$HERE/../.." && pwd)
EIPD=${EIPD:-$ROOT/build/eipd}
EIPCTL=${EIPCTL:-$ROOT/build/eipctl}
PYTHON=/usr/bin/python3 # another one, first in PATH, may lack scapy

P=eipd-$$      # every namespace begins with it
HV=$P-hv       # the hypervisor
OUT=$P-out     # the outer host
LAN=$P-lan     # the far end of the uplink
MAC1=d0:0d:8e:9f:42:88 IP1=192.168.6.243
MAC2=d0:0d:8e:9f:42:89 IP2=192.168.6.244
EIP1=20.251.48.99 EIP2=20.251.48.100
export PATH=$PATH:/usr/local/sbin:/usr/sbin:/sbin
export LC_ALL=C PYTHONDONTWRITEBYTECODE=1

# ---- TAP ------------------------------------------------------------------------------------

tests_run=0 tests_failed=0 tests_complete=no
log_shown=0 # bytes of the daemon's log that a failed point has shown

diag() { sed 's/^/# /'; }

# diag_log: what the daemon wrote since it was shown last
diag_log() {
	[[ -s ${LOG-} ]] || return 0
	echo "# --- the daemon's log:"
	tail -c +$((log_shown + 1)) "$LOG" | tail -n 15 | diag
	log_shown=$(stat -c %s "$LOG")
}

pass() { echo "ok $((++tests_run)) - $1"; }

# fail SENTENCE: with what a reader wants to know on standard input. Not in a pipeline, where it
# would count in a subshell.
fail() {
	echo "not ok $((++tests_run)) - $1"
	((++tests_failed))
	diag
	diag_log
}

skip() { echo "ok $((++tests_run)) - $1 # SKIP $2"; }

# check SENTENCE COMMAND…: passes where the command succeeds
check() {
	local sentence=$1
	shift
	if "$@" >"$T/check" 2>&1 </dev/null; then
		pass "$sentence"
	else
		fail "$sentence" < <(
			echo "failed: $*"
			tail -n 20 "$T/check"
		)
	fi
}

# is SENTENCE GOT WANTED
is() {
	if [[ $2 == "$3" ]]; then
		pass "$1"
	else
		fail "$1" < <(printf 'got:    %s\nwanted: %s\n' "$2" "$3")
	fi
}

# like SENTENCE GOT REGEX
like() {
	if [[ $2 =~ $3 ]]; then
		pass "$1"
	else
		fail "$1" < <(printf 'got:    %s\nwanted: /%s/\n' "$2" "$3")
	fi
}

# points COMMAND…: takes over the points of a program that prints `ok - …`, `not ok - …`, `# …`
# and ends with `done`
points() {
	local line last='' failing='' text=''
	while IFS= read -r line; do
		last=$line
		if [[ $line == '# '* ]]; then
			text+=${line#'# '}$'\n'
			continue
		fi
		[[ -z $failing ]] || fail "$failing" < <(printf %s "$text")
		failing='' text=''
		case $line in
		'ok - '*) pass "${line#ok - }" ;;
		'not ok - '*) failing=${line#not ok - } ;;
		'done') ;;
		*) echo "# $line" ;;
		esac
	done < <("$@" 2>&1)
	[[ $last == 'done' ]] || fail "$1 went to its end" <<<"last line: $last"
}

done_testing() {
	[[ -z ${REPORTS-} ]] || sanitizers_are_content
	echo "1..$tests_run"
	tests_complete=yes
	exit $((tests_failed > 0))
}

# die TEXT: the stage itself does not stand, so the points make no sense
die() {
	echo "# stopped: $*"
	exit 1
}

# ---- sanitizers -----------------------------------------------------------------------------

# With EIPD and EIPCTL of `make asan` every test that has no line `# Not under sanitizers:` in its
# head must have nothing to report of; a daemon has no standard error, so they write files.
is_sanitized() { grep -q __asan_init "$EIPD"; }

sanitizers_watch() {
	is_sanitized || return 0
	REPORTS=$T/reports
	mkdir -m 1777 "$REPORTS"
	export ASAN_OPTIONS=log_path=$REPORTS/report:detect_leaks=1:detect_stack_use_after_return=1
	export UBSAN_OPTIONS=log_path=$REPORTS/report:print_stacktrace=1
}

# A daemon that still runs is stopped, and may not have lost any memory. One that strace looks at
# cannot be asked for that.
sanitizers_are_content() {
	local found
	daemon_end TERM
	found=$(grep -L 'does not work under ptrace' "$REPORTS"/* 2>/dev/null)
	if [[ -z $found ]]; then
		pass "the sanitizers have found nothing"
	else
		fail "the sanitizers have found nothing" < <(
			# shellcheck disable=SC2086 # files with plain names
			head -n 60 $found
		)
	fi
	REPORTS=
}

# ---- small helpers --------------------------------------------------------------------------

not() { ! "$@"; }

# wait_for SECONDS COMMAND…: until the command succeeds. SECONDS is what it takes at the most on a
# machine that has nothing else to do; a busy one has several times as long, so no test may take
# this limit for a measurement. 0: the command is called for a second, for what must not come.
wait_for() {
	local end=$((SECONDS + ($1 ? $1 * 3 + 15 : 0) + 1))
	shift
	until "$@" >"$T/wait" 2>&1; do
		if ((SECONDS >= end)); then
			cat "$T/wait"
			return 1
		fi
		sleep 0.05
	done
}

# gone PID: the process is no more (one that nobody has reaped counts as gone)
gone() { [[ ! -e /proc/$1 ]] || grep -q '^State:.Z' "/proc/$1/status" 2>/dev/null; }

# json EXPRESSION <TEXT: the value, where `d` is the parsed text
json() {
	"$PYTHON" -c '
import json, sys
text = sys.stdin.read()
try:
    d = json.loads(text)
except ValueError:
    sys.exit("no JSON: " + text)
v = eval("(" + sys.argv[1] + "\n)")
print(json.dumps(v) if isinstance(v, (dict, list, bool)) or v is None else v)' "$1"
}

count() { grep -cE -- "$@" || true; }

hv() { ip netns exec "$HV" "$@"; }
out() { ip netns exec "$OUT" "$@"; }

# vm NAME COMMAND…
vm() {
	local name=$1
	shift
	ip netns exec "$P-$name" "$@"
}

# ---- the stage ------------------------------------------------------------------------------

# namespace NAME: with only its loopback, and quiet
namespace() {
	ip netns add "$1" && ip -n "$1" link set lo up || return
	ip netns exec "$1" sh -c 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6
		echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6' 2>/dev/null
	return 0
}

# stage_up [BRIDGE-ADDRESS]: the picture above without virtual machines
stage_up() {
	[[ $(id -u) == 0 ]] || { echo "1..0 # SKIP needs root"; tests_complete=yes; exit 0; }
	T=$(mktemp -d "${TMPDIR:-/tmp}/eipd-test.XXXXXX") || exit 1
	chmod 755 "$T" # client programs that give up root look in here
	sanitizers_watch
	trap stage_down EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	# tests that go side by side do not wait for each other's changes
	export XTABLES_LOCKFILE=$T/xtables.lock

	if ! namespace "$OUT" || ! namespace "$HV" || ! namespace "$LAN"; then
		die "no network namespaces here"
	fi
	hv sh -c 'echo 0 >/proc/sys/net/ipv4/ip_forward'
	ip -n "$OUT" link add eth0 type veth peer name eth0 netns "$HV"
	ip -n "$LAN" link add eth0 type veth peer name eth1 netns "$HV"
	ip -n "$OUT" addr add 20.251.48.1/24 dev eth0
	ip -n "$OUT" addr add 198.51.100.7/32 dev lo # a client from far away
	ip -n "$OUT" link set eth0 up
	ip -n "$LAN" link set eth0 up
	ip -n "$HV" addr add 20.251.48.10/24 dev eth0
	ip -n "$HV" link set eth0 up
	ip -n "$HV" route add default via 20.251.48.1
	ip -n "$HV" link add br0 type bridge
	ip -n "$HV" addr add "${1:-192.168.6.22/24}" dev br0
	ip -n "$HV" link set eth1 master br0 up
	ip -n "$HV" link set br0 up
	wait_for 5 link_ready br0 || die "the bridge does not come up"

	RUN=$T/run STATE=$T/state LOG=$T/eipd.log
	CONF=$T/eipd.conf PLAN=$T/network.conf LEASES=$T/lease.log SOCKET=$RUN/eipd.sock
	conf daemon.state-dir "$STATE"
	conf daemon.run-dir "$RUN"
	conf daemon.log "$LOG"
	conf daemon.log-level debug
	conf inner.bridge br0
	conf inner.uplink eth1
	conf outer.interface eth0
	conf outer.pool 20.251.48.99-20.251.48.110
	conf outer.probe no
	conf outer.announce 1
	conf plan.file "$PLAN"
	conf dhcp.log "$LEASES"
	[[ -z ${EIPD_USER-} ]] || conf daemon.user "$EIPD_USER"
	plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
}

link_ready() { ip -n "$HV" link show "$1" | grep -q LOWER_UP; }

# stage_down: everything in our namespaces, then the namespaces, then the files
stage_down() {
	local status=$? name pid
	trap - EXIT
	[[ $tests_complete == yes ]] || {
		echo "# stopped before its end"
		[[ -z ${REPORTS-} ]] || sanitizers_are_content
		diag_log
		((status)) || status=1
	}
	for name in $(ip netns list | awk -v p="$P-" 'index($1, p) == 1 { print $1 }'); do
		for pid in $(ip netns pids "$name"); do
			kill -KILL "$pid" 2>/dev/null
		done
		ip netns del "$name"
	done
	# What the shell started outside the namespaces (the ends of pipes) goes by itself.
	if [[ -n ${KEEP_FILES-} ]]; then
		echo "# files kept in $T"
	else
		rm -rf "$T"
	fi
	exit "$status"
}

ports=0
# vm_up NAME MAC: a virtual machine on the bridge, with no address yet
vm_up() {
	local ns=$P-$1 port=vnet$((++ports))
	namespace "$ns" || die "no namespace for $1"
	ip -n "$HV" link add "$port" type veth peer name eth0 address "$2" netns "$ns"
	ip -n "$HV" link set "$port" master br0 up
	ip -n "$ns" link set eth0 up
	wait_for 5 link_ready "$port" || die "the port of $1 does not come up"
}

# vm_static NAME IP: address and route without asking anyone
vm_static() {
	ip -n "$P-$1" addr add "$2/24" dev eth0
	ip -n "$P-$1" route add default via 192.168.6.22
}

# vm_lease NAME: takes a lease with busybox udhcpc and leaves; what the server told is in $T/NAME.env
vm_lease() {
	client_script
	vm "$1" env RECORD="$T/$1" busybox udhcpc -f -q -n -t 8 -T 1 -i eth0 -s "$T/client-script" \
		>"$T/$1.udhcpc" 2>&1
}

# client_script: what busybox udhcpc calls; it configures eth0 and writes RECORD.env and
# RECORD.events (touching nothing of the machine, as the packaged script would)
client_script() {
	[[ -e $T/client-script ]] || cat >"$T/client-script" <<'END'
#!/bin/sh
env | sort >"$RECORD.env.new" && mv "$RECORD.env.new" "$RECORD.env"
case $1 in
deconfig) ip -4 addr flush dev "$interface" ;;
bound | renew)
	ip addr replace "$ip/$mask" dev "$interface"
	[ -z "$router" ] || ip route replace default via "${router%% *}" dev "$interface"
	;;
esac
echo "$1" >>"$RECORD.events"
END
	chmod 755 "$T/client-script"
}

# ---- configuration, plan, daemon ------------------------------------------------------------

declare -A keys=()

# conf SECTION.KEY [VALUE]: sets a key of eipd.conf, or leaves it out
conf() {
	if (($# > 1)); then
		keys[$1]=$2
	else
		unset "keys[$1]"
	fi
}

# conf_write: eipd.conf from the keys
conf_write() {
	local section key
	for section in daemon control inner outer plan dhcp nat; do
		printf '[%s]\n' "$section"
		for key in "${!keys[@]}"; do
			[[ $key != "$section".* ]] || printf '%s = %s\n' "${key#*.}" "${keys[$key]}"
		done
	done >"$CONF"
	# whatever a test has put there
	[[ -z ${EIPD_USER-} ]] || chown -R "$EIPD_USER" "$T"
}

# plan LINE…: the whole plan file
plan() {
	printf '%s\n' "$@" >"$PLAN"
	[[ -z ${EIPD_USER-} ]] || chown "$EIPD_USER" "$PLAN"
}

# eipd OPTION…: runs the daemon's program in the hypervisor, never for a minute
eipd() { hv timeout 60 "$EIPD" -c "$CONF" "$@"; }

# daemon_start [OPTION…]: detached; standard error in $T/start
daemon_start() {
	[[ -x $EIPD && -x $EIPCTL ]] || die "no $EIPD and $EIPCTL; run make first"
	conf_write
	eipd "$@" >"$T/start" 2>&1 </dev/null
}

# daemon_up [OPTION…]: the same where the test is about something else
daemon_up() { daemon_start "$@" || die "eipd does not start: $(cat "$T/start")"; }

daemon_pid() { cat "$RUN/eipd.pid" 2>/dev/null; }

# daemon_end SIGNAL: and wait until it is gone
daemon_end() {
	local pid
	pid=$(daemon_pid) && [[ -n $pid ]] || return 1
	kill -"$1" "$pid" && wait_for 10 gone "$pid"
}

ctl() { timeout 60 "$EIPCTL" -s "$SOCKET" "$@"; }

# field EXPRESSION COMMAND…: of the JSON answer of eipctl
field() {
	local expression=$1
	shift
	ctl -j "$@" 2>/dev/null | json "$expression"
}

# refused SENTENCE STATUS REGEX COMMAND…: eipctl exits with STATUS (`1|2`: either), and its only
# line on standard error has the form `eipctl: what is wrong; what to do` and matches REGEX
refused() {
	local sentence=$1 status=$2 regex=$3 got
	shift 3
	ctl "$@" >"$T/stdout" 2>"$T/stderr"
	got=$?
	if [[ $got =~ ^($status)$ ]] && [[ $(wc -l <"$T/stderr") == 1 ]] &&
		grep -qE '^eipctl: [^;]+.*; .+$' "$T/stderr" && grep -qE -- "$regex" "$T/stderr"; then
		pass "$sentence"
	else
		fail "$sentence" < <(
			echo "eipctl $*"
			echo "status $got, wanted $status; wanted on standard error one line matching /$regex/:"
			cat "$T/stderr"
		)
	fi
}

# ---- what the kernel has --------------------------------------------------------------------

nat_rules() { hv iptables-legacy -w 10 -t nat -S; }
outer_addresses() { ip -n "$HV" -4 -o addr show dev eth0; }

# rules_of ADDRESS…: how many nat rules name one of them
rules_of() {
	local pattern
	pattern=$(printf '|%s' "$@")
	nat_rules | count "[ :](${pattern#|})([/ :]|\$)"
}

# address_on ADDRESS: the outer interface has it
address_on() { outer_addresses | grep -q " $1/"; }

# lock_hold: another program is at the tables, until lock_release
lock_hold() {
	rm -f "$T/locked"
	(exec 9>>"$XTABLES_LOCKFILE" && flock 9 && touch "$T/locked" && exec sleep 600) &
	lock_holder=$!
	wait_for 5 test -e "$T/locked" || die "cannot take the lock"
}
lock_release() { kill "$lock_holder" && wait "$lock_holder"; } 2>/dev/null

# ---- traffic --------------------------------------------------------------------------------

# serve NAMESPACE NAME PORT: a server for TCP and UDP that answers `NAME sees CLIENT-ADDRESS`;
# datagrams are noted in $T/NAME.udp
serve() {
	ip netns exec "$1" "$PYTHON" "$HERE/talk.py" serve "$2" "$3" "$T/$2.udp" >"$T/$2.serve" 2>&1 &
	disown
	wait_for 5 grep -q ready "$T/$2.serve" || die "the server $2 does not start"
}

# ask NAMESPACE ADDRESS PORT [SOURCE]: the answer of the server there by TCP
ask() { ip netns exec "$1" "$PYTHON" "$HERE/talk.py" ask "$2" "$3" "${4-}" 2>&1; }

# unanswered COMMAND…: an ask, for a short time, of somebody who must not answer
unanswered() { ! TALK_PATIENCE=1.5 "$@"; }

# ask_udp NAMESPACE ADDRESS PORT [SOURCE-PORT [TEXT]]: the answer by UDP
ask_udp() { ip netns exec "$1" "$PYTHON" "$HERE/talk.py" ask-udp "$2" "$3" "${4:-0}" "${5:-hello}" 2>&1; }

# capture NAMESPACE FILE FILTER…: what tcpdump sees on eth0, from now on
capture() {
	local ns=$1 file=$2
	shift 2
	ip netns exec "$ns" tcpdump -Z root -l -n -e -v -i eth0 "$@" >"$file" 2>"$file.err" &
	disown
	wait_for 5 grep -q 'listening on' "$file.err" || die "tcpdump does not start: $(cat "$file.err")"
}
