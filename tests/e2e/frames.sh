# shellcheck shell=bash disable=SC2154 # lib.sh, sourced before, sets T, HERE, PYTHON and the rest
# Raw frames between the corners of the stage, for the tests of isolation and anti-spoofing: frames.py
# with its file of corners, $T/world.

mac_of() { ip -n "$1" -br link show dev "$2" | awk '{ print $3 }'; }

# corner NAME SEGMENT NAMESPACE INTERFACE IP: with the MAC that the interface has now
corner() { echo "$1 $2 $3 $4 $(mac_of "$3" "$4") $5" >>"$T/world"; }

# corner_of_nobody NAME SEGMENT MAC IP: only its addresses
corner_of_nobody() { echo "$1 $2 - - $3 $4" >>"$T/world"; }

# corners_of_stage: what every stage has
corners_of_stage() {
	: >"$T/world"
	# or it has that of one of its ports, and so another one each time these come and go
	ip -n "$HV" link set br0 address 02:00:00:00:22:22
	corner host inner "$HV" br0 192.168.6.22
	corner lan inner "$LAN" eth0 192.168.6.200
	corner outside outer "$OUT" eth0 20.251.48.1
	corner_of_nobody door outer "$(mac_of "$HV" eth0)" 20.251.48.10
	corner_of_nobody stranger inner 02:00:00:00:99:99 192.168.6.99
	# As /to=: addresses that a bridge does not forward. What is sent to them is the host's, as a
	# frame of the port: its IP takes it too. The first passes no hook of the bridge, and both
	# teach it where the sender is.
	corner_of_nobody to-bridge inner 01:80:c2:00:00:0e -
	corner_of_nobody to-port inner 01:80:c2:00:00:03 -
}

# frames LABEL <TABLE: a point for each row of frames.py
frames() { points "$PYTHON" "$HERE/frames.py" table "$T/world" "$1"; }

# quietly SENTENCE <TABLE: one point for the whole table
quietly() {
	if "$PYTHON" "$HERE/frames.py" table "$T/world" "$1" >"$T/quietly" 2>&1 &&
		[[ $(tail -n 1 "$T/quietly") == 'done' ]] && ! grep -q '^not ok' "$T/quietly"; then
		pass "$1"
	else
		fail "$1" < <(grep -v '^ok' "$T/quietly")
	fi
}

# background NAME MODE ARGUMENT…: frames.py goes on in that mode; its output is $T/NAME. A stream has
# its rows on standard input.
declare -A background=()
background() {
	local name=$1 mode=$2
	shift 2
	if [[ $mode == stream ]]; then
		cat >"$T/$name.rows"
	else
		: >"$T/$name.rows"
	fi
	"$PYTHON" "$HERE/frames.py" "$mode" "$T/world" "$@" >"$T/$name" 2>&1 <"$T/$name.rows" &
	background[$name]=$!
	disown
	wait_for 5 grep -q ready "$T/$name" || die "frames.py $mode: $(cat "$T/$name")"
}

# end_of NAME: it stops, and its output is complete
end_of() {
	kill -TERM "${background[$1]}"
	wait_for 10 gone "${background[$1]}"
	unset "background[$1]"
}

# nothing_arrived SENTENCE NAME: of a stream that has ended
nothing_arrived() {
	if grep -q '^sent [1-9]' "$T/$2" && ! grep -q '^arrived' "$T/$2"; then
		pass "$1 ($(grep '^sent' "$T/$2"))"
	else
		fail "$1" <"$T/$2"
	fi
}

# none_lost SENTENCE NAME: of pings that have ended
none_lost() {
	local text count=0
	while read -r text _ sent _ lost _; do
		((++count))
		if ((sent > 5 && lost == 0)); then
			pass "$1: $text: $sent pings, none lost"
		else
			fail "$1: $text: $sent pings, none lost" <"$T/$2"
		fi
	done < <(grep ' sent ' "$T/$2")
	((count)) || fail "$1: pings" <"$T/$2"
}

# ipv6_on NAMESPACE…: which lib.sh has switched off; addresses are there at once
ipv6_on() {
	local ns
	for ns; do
		# shellcheck disable=SC2016 # the inner shell's
		ip netns exec "$ns" sh -c 'cd /proc/sys/net/ipv6/conf
			for one in *; do echo 0 >$one/accept_dad; echo 0 >$one/router_solicitations; done
			for one in *; do echo 0 >$one/disable_ipv6; done'
	done
}

# bridge_nf 0|1: bridged frames pass iptables and ip6tables, or not
bridge_nf() {
	hv sh -c "cd /proc/sys/net/bridge 2>/dev/null && echo $1 >bridge-nf-call-iptables &&
		echo $1 >bridge-nf-call-ip6tables" || [[ $1 == 0 ]]
}

# forget_neighbours: what frames of the test have told them
forget_neighbours() {
	local ns
	for ns in $(ip netns list | awk -v p="$P-" 'index($1, p) == 1 { print $1 }'); do
		ip -n "$ns" neigh flush all 2>/dev/null
	done
}
