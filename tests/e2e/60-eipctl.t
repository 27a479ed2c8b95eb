#!/usr/bin/env bash
# The client: what every command prints for people and for programs, short names, exit statuses.
#
#   outer host              hypervisor                          virtual machines
#   eth0 20.251.48.1 ────── eth0 20.251.48.10                ┌── vm-001 192.168.6.243
#                                br0 192.168.6.22/24 ────────┴── vm-002 192.168.6.244

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
daemon_up
vm_lease vm-001 || die "vm-001 gets no lease"
ctl ip bind vm-001 "$EIP1" >/dev/null

# shows SENTENCE REGEX… -- COMMAND…: status 0, nothing on standard error, each regex in the output
shows() {
	local sentence=$1 regex=() got
	shift
	while [[ $1 != -- ]]; do
		regex+=("$1")
		shift
	done
	shift
	got=$(ctl "$@" 2>"$T/stderr")
	is "$sentence: exits 0, standard error is empty" "$? $(cat "$T/stderr")" "0 "
	for one in "${regex[@]}"; do
		check "$sentence: /$one/" grep -qE -- "$one" <(echo "$got")
	done
}
# keys SENTENCE EXPRESSION COMMAND…: a Python expression over the JSON in `d` is true
keys() {
	local sentence=$1 expression=$2 got
	shift 2
	got=$(ctl -j "$@" 2>"$T/stderr")
	is "$sentence: exits 0, standard error is empty" "$? $(cat "$T/stderr")" "0 "
	is "$sentence" "$(json "$expression" <<<"$got" 2>&1 | tail -n 1)" true
}

# ---- for people
shows "status" "$(daemon_pid)" br0 eth0 'iptables' '12' "$PLAN" -- status
shows "status: reasons for which nothing was dropped are left out" "dropped +nothing" -- status
shows "vm list" "vm-001 .*" "$MAC1" "$IP1" "$EIP1" vm-002 "$IP2" -- vm list
check "vm list has a line of headings and one for each machine" \
	test "$(ctl vm list | wc -l)" = 3
shows "vm show" vm-001 "$MAC1" "$IP1" "$EIP1" -- vm show vm-001
shows "vm show --xml" '<interface type="bridge">' "mac address=\"$MAC1\"" 'source bridge="br0"' \
	'model type="virtio"' -- vm show vm-001 --xml
check "vm show --xml is well-formed" "$PYTHON" -c 'import sys, xml.dom.minidom as dom
dom.parseString(sys.argv[1])' "$(ctl vm show vm-001 --xml)"
is "-j vm show --xml is the same text" "$(field d vm show vm-001 --xml)" "$(ctl vm show vm-001 --xml)"
shows "ip list" "$EIP1 .*vm-001" 'eth0:1' '20\.251\.48\.110 .*free' -- ip list
check "ip list has a line of headings and one for each address" test "$(ctl ip list | wc -l)" = 13
shows "lease list" "$MAC1" "$IP1" vm-001 -- lease list
shows "ip bind" "$EIP2" vm-002 "$IP2" -- ip bind vm-002 "$EIP2"
shows "ip move" "$EIP2" vm-001 -- ip move "$EIP2" vm-001
shows "ip unbind" "$EIP2" -- ip unbind "$EIP2"
shows "reload" '0' -- reload
is "output for people has no blanks at the ends of lines" \
	"$({ ctl vm list; ctl ip list; ctl lease list; ctl status; } | count '[[:space:]]$')" 0

# ---- for programs
# shellcheck disable=SC2016 # Python
{
	keys "-j status: keys and types" 'all([
		isinstance(d["version"], str), isinstance(d["uptime"], int), d["uptime"] >= 0,
		d["pid"] == '"$(daemon_pid)"', d["backend"] == "iptables", d["bridge"] == "br0",
		d["outer"] == "eth0", d["ready"] is True])' status
	keys "-j status: plan" 'd["plan"]["file"] == "'"$PLAN"'" and d["plan"]["vms"] == 2
		and d["plan"]["error"] is None and bool(d["plan"]["loaded"])' status
	keys "-j status: dhcp" 'all(isinstance(d["dhcp"][k], int) for k in ("discover", "offer", "request",
		"ack", "nak", "decline", "release", "inform", "unknown", "malformed"))' status
	keys "-j status: dhcp counts" 'd["dhcp"]["discover"] >= 1 and d["dhcp"]["offer"] >= 1
		and d["dhcp"]["request"] >= 1 and d["dhcp"]["ack"] >= 1 and d["dhcp"]["nak"] == 0' status
	keys "-j status: nat" '[d["nat"][k] for k in ("pool", "bound", "free")] == [12, 1, 11]
		and isinstance(d["nat"]["repaired"], int)' status
	keys "-j status: callback" 'all(isinstance(d["callback"][k], int)
		for k in ("queued", "run", "failed"))' status
	keys "-j vm list: a machine with lease and address" '[(v["mac"], v["ip"], v["lease"], v["public"],
		v["isolated"]) for v in d if v["name"] == "vm-001"]
		== [("'"$MAC1"'", "'"$IP1"'", "active", ["'"$EIP1"'"], False)]' vm list
	keys "-j vm list: expires is a time to come" 'all(v["expires"] > '"$(date +%s)"' for v in d
		if v["name"] == "vm-001")' vm list
	keys "-j vm list: a machine without" '[(v["mac"], v["ip"], v["lease"], v["expires"], v["public"],
		v["isolated"]) for v in d if v["name"] == "vm-002"]
		== [("'"$MAC2"'", "'"$IP2"'", "none", None, [], False)]' vm list
	keys "-j vm show: the keys of vm list" '(d[0] if isinstance(d, list) else d)["mac"] == "'"$MAC1"'"
		and set("name mac ip lease expires public isolated".split())
		<= set(d[0] if isinstance(d, list) else d)' vm show vm-001
	keys "-j ip list: the whole pool, in order" '[a["address"] for a in d]
		== ["20.251.48.%d" % n for n in range(99, 111)]' ip list
	keys "-j ip list: a bound address" '[(a["state"], a["vm"], a["label"]) for a in d
		if a["address"] == "'"$EIP1"'"] == [("bound", "vm-001", "eth0:1")]' ip list
	keys "-j ip list: free ones" 'all((a["state"], a["vm"], a["label"]) == ("free", None, None)
		for a in d if a["address"] != "'"$EIP1"'")' ip list
	keys "-j ip list: connections is a number" 'all(isinstance(a["connections"], int) for a in d)' ip list
	keys "-j lease list" '[(l["mac"], l["ip"], l["name"]) for l in d]
		== [("'"$MAC1"'", "'"$IP1"'", "vm-001")] and d[0]["expires"] > '"$(date +%s)" lease list
	keys "-j ip bind" 'd["address"] == "'"$EIP2"'" and d["vm"] == "vm-002" and d["ip"] == "'"$IP2"'"
		and d["label"].startswith("eth0:") and d["changed"] is True' ip bind vm-002 "$EIP2"
	keys "-j ip move: is JSON" 'isinstance(d, dict)' ip move "$EIP2" vm-001
	keys "-j ip unbind: is JSON" 'isinstance(d, dict)' ip unbind "$EIP2"
	keys "-j reload" 'd == {**d, "added": 0, "changed": 0, "removed": 0}' reload
}
is "-j may stand after the command too, or is refused as usage" \
	"$(ctl status -j >/dev/null 2>&1; echo $(($? == 0 || $? == 2)))" 1

# ---- short names
# shellcheck disable=SC2086 # a command of several words
same() { is "$1 is short for $2" "$(ctl -j $1 2>&1)" "$(ctl -j $2 2>&1)"; }
same "vm l" "vm list"
same "v l" "vm list"
same "i l" "ip list"
same "l l" "lease list"
same "vm sh vm-001" "vm show vm-001"
is "st is short for status" "$(field 'd["pid"]' st)" "$(daemon_pid)"
is "ip b is short for ip bind" "$(field 'd["changed"]' ip b vm-001 "$EIP1")" false
check "ip u is short for ip unbind" ctl ip u "$EIP1"
check "rel is short for reload" ctl rel
ctl ip bind vm-001 "$EIP1" >/dev/null

# ---- usage
usage() {
	ctl "$@" >"$T/stdout" 2>"$T/stderr"
	is "usage: eipctl $*: exits 2" $? 2
	like "usage: eipctl $*: says so in one line" "$(<"$T/stderr")" $'^eipctl: [^;\n]+; [^\n]+[^ \n]$'
	ctl -j "$@" >"$T/stdout" 2>/dev/null
	is "usage: eipctl -j $*: and as JSON" "$(json '"eipctl: " + d["error"]' <"$T/stdout")" "$(<"$T/stderr")"
}
usage
usage nonsense
usage vm
usage vm nonsense
usage vm show
usage vm show vm-001 surplus
usage vm show vm-001 --xml surplus
usage reload surplus
usage events --nonsense
usage forward add "$EIP2:80/tcp" vm-001 surplus
usage ip bind
usage ip move "$EIP1"
usage ip bind vm-001 "$EIP1" surplus
usage status surplus
usage vm add vm-003 --mac
usage vm add vm-003 --address 192.168.6.9
usage vm isolate vm-001 192.168.6.9
usage --no-such-option
usage -x
"$EIPCTL" -s >"$T/stdout" 2>"$T/stderr"
is "usage: eipctl -s without its argument: exits 2" $? 2
like "usage: eipctl -s without its argument: says so in one line" "$(<"$T/stderr")" $'^eipctl: -s: [^;\n]+; [^\n]+$'
like "usage: of two options in a word it is the word that is named" "$("$EIPCTL" -xj 2>&1)" '^eipctl: -xj: no such option'
ctl vm >"$T/stdout" 2>"$T/stderr"
like "the first word alone: the next are told where" "$(<"$T/stderr")" 'not a whole command; eipctl help vm '
like "options may stand before the name" "$(ctl vm show --xml vm-001)" '<interface '
ctl -h >"$T/stdout" 2>"$T/stderr"
is "eipctl -h exits 0" $? 0
for command in status reload vm ip lease; do
	like "eipctl -h explains $command" "$(cat "$T/stdout")" "$command"
done

# ---- refusals
refused "vm show of a machine that is not there" 1 'vm-999' vm show vm-999
refused "vm show --xml of a machine that is not there" 1 'vm-999' vm show vm-999 --xml
is "-j: as {\"error\": …}" "$(ctl -j vm show vm-999 2>/dev/null | json '"vm-999" in d["error"]')" true
refused "a socket that is not there" 3 "$T/nowhere" -s "$T/nowhere" status
is "-j: the same as JSON" "$(ctl -j -s "$T/nowhere" status 2>"$T/stderr" | json '"eipctl: " + d["error"]')" \
	"$(<"$T/stderr")"

# ---- nowhere to print
for command in metrics status "-j vm list" help -V; do
	# shellcheck disable=SC2086 # a command of several words
	timeout 60 "$EIPCTL" -s "$SOCKET" $command 2>"$T/stderr" >/dev/full
	is "$command >/dev/full: exits 1 and says why" "$? $(<"$T/stderr")" \
		"1 eipctl: standard output cannot be written; see where it goes"
done
"$EIPCTL" -s "$SOCKET" status 2>"$T/stderr" >&-
is "status >&-: exits 1 and says why" "$? $(<"$T/stderr")" \
	"1 eipctl: standard output cannot be written; see where it goes"
"$EIPCTL" -s "$SOCKET" events --follow >/dev/full 2>&1 &
follower=$!
an_event_ends() { ctl ip bind vm-002 "$EIP2" && ctl ip unbind "$EIP2" && gone "$1"; }
check "events --follow >/dev/full: ends with the first event" wait_for 5 an_event_ends "$follower"

# ---- the socket itself
"$PYTHON" - "$SOCKET" >"$T/raw" 2>&1 <<'END'
import json, socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(5)
peer.connect(sys.argv[1])
stream = peer.makefile("rw")
def ask(text):
    print(text, file=stream, flush=True)
    return json.loads(stream.readline())
answer = ask('{"command":["ip","list"]}')
print("list", answer["ok"], len(answer["result"]))
answer = ask('{"command":["ip","bind","vm-999"]}')
print("refusal", answer["ok"], "vm-999" in answer["error"])
END
like "the socket answers JSON lines" "$(cat "$T/raw")" 'list True 12'
like "one connection takes several commands, refusals too" "$(cat "$T/raw")" 'refusal False True'
for text in 'rubbish' '{}' '{"command":"status"}' '{"command":[1,2]}' '[]' '{"command":[]}'; do
	printf '%s\n' "$text" | timeout 60 "$PYTHON" -c '
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(30)
peer.connect(sys.argv[1])
peer.sendall(sys.stdin.buffer.read())
print(peer.recv(4096).decode())' "$SOCKET" >"$T/raw" 2>&1
	like "the socket refuses $text" "$(cat "$T/raw")" '"ok": ?false'
done
"$PYTHON" -c '
import socket, sys
peer = socket.socket(socket.AF_UNIX)
peer.settimeout(3)
peer.connect(sys.argv[1])
peer.sendall(b"{\"command\":[\"lease\",\"list\"]}\n{\"command\":[\"lease\",\"list\"]}")
peer.shutdown(socket.SHUT_WR)
print(peer.makefile().read().count("true"))' "$SOCKET" >"$T/raw" 2>&1
is "the last line needs no newline" "$(<"$T/raw")" 2
"$PYTHON" -c '
import socket, sys
idle = [socket.socket(socket.AF_UNIX) for _ in range(40)]
for one in idle:
    one.settimeout(1)
    try:
        one.connect(sys.argv[1])
        one.sendall(b"{\"command\":[")
    except OSError:
        pass
print("connected", flush=True)
sys.stdin.read(1)' "$SOCKET" < <(sleep 8) >"$T/idle" 2>&1 &
idle=$!
wait_for 5 grep -q connected "$T/idle"
check "clients that connect and say nothing do not stop DHCP" vm_lease vm-001
kill "$idle"
wait "$idle" 2>/dev/null
check "nor, when they are gone, other clients" wait_for 5 ctl status
check "the daemon is the same as at the beginning" test "$(field 'd["uptime"]' status)" -ge 0

# ---- the daemon ends
"$EIPCTL" -s "$SOCKET" events --follow >"$T/followed" 2>"$T/stderr" &
follower=$!
followed() { ctl ip bind vm-001 "$EIP2" && ctl ip unbind "$EIP2" && test -s "$T/followed"; }
check "events --follow tells" wait_for 5 followed
daemon_end TERM
wait_for 5 gone "$follower" && wait "$follower"
is "events --follow: with the daemon it ends, status 3" "$? $(<"$T/stderr")" \
	"3 eipctl: the daemon at $SOCKET gave no further answer; see its log"
done_testing
