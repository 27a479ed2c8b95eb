#!/usr/bin/env bash
# Bash completion: what is offered at each place, with and without a daemon, and in a real shell.
#
#   eth0 ── hypervisor: eipd ── br0

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
COMPLETION=$ROOT/scripts/completion/eipctl
PATH=$(dirname "$EIPCTL"):$PATH
# shellcheck source=scripts/completion/eipctl
. "$COMPLETION"
# A daemon is given more time than people have, but where it is to give no answer.
patience=10
timeout() { command timeout $(($1 * patience)) "${@:2}"; }
export -f timeout
export patience

# offers SENTENCE LINE WORD…: just these, in any order, at the end of the line
offers() {
	local sentence=$1
	COMP_LINE=$2 COMP_POINT=${#2}
	shift 2
	# as bash breaks it: the colons are words of their own
	mapfile -t COMP_WORDS < <(tr -s ' ' '\n' <<<"${COMP_LINE//:/ : }")
	COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) COMPREPLY=()
	"$(complete -p "${COMP_WORDS[0]}" | sed 's/.*-F \([^ ]*\) .*/\1/')"
	is "$sentence" "$(printf '%s\n' "${COMPREPLY[@]}" | sort | xargs)" \
		"$(printf '%s\n' "$@" | sort | xargs)"
}

# ---- without a daemon
s="eipctl -s $SOCKET"
mapfile -t first < <("$EIPCTL" help | sed -n '/^commands/,$ s/^  \([a-z]*\).*/\1/p' | sort -u)
offers "the first words of all commands" "eipctl " "${first[@]}"
offers "behind an option too" "eipctl -j " "${first[@]}"
offers "a beginning" "eipctl re" reload
offers "the second words" "eipctl ip " list bind unbind move
offers "a beginning of the second" "eipctl ip b" bind
offers "behind a shortened word" "eipctl i u" unbind
offers "nothing behind what is complete" "eipctl status "
offers "nothing behind what is not a command" "eipctl nonsense "
offers "an option where nothing else can stand" "eipctl reload " --dry-run
offers "options where a dash is" "eipctl vm add vm-003 --" --mac --ip
offers "not one that is there" "eipctl vm add vm-003 --mac 02:00:00:00:00:01 --" --ip
offers "nothing for the value of an option" "eipctl vm add vm-003 --mac "
offers "an option that may be given again" "eipctl vm isolate vm-001 --allow 10.0.0.1/32 --a" --allow
offers "options of the program" "eipctl --s" --socket
offers "files for a socket" "eipctl -s $T/netw" "$T/network.conf"
offers "help: the words of commands" "eipctl help " "${first[@]}"
offers "help: their second words" "eipctl help forward " list add del
offers "a name without a daemon: nothing" "$s vm show "
offers "eipd: its options" "eipd -" -c --config -f --foreground -t --test -v --verbose -V \
	--version -h --help
offers "eipd: files for the configuration" "eipd -c $T/netw" "$T/network.conf"
began=$SECONDS patience=1
"$PYTHON" -c 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind(sys.argv[1])
s.listen()
print("listening", flush=True)
time.sleep(60)' "$T/mute.sock" >"$T/mute" &
mute=$!
wait_for 5 grep -q listening "$T/mute"
offers "a daemon that does not answer: nothing" "eipctl -s $T/mute.sock vm show "
check "and the shell does not hang" test $((SECONDS - began)) -le 20
patience=10
kill "$mute"

# ---- with one
daemon_up
ctl ip bind vm-001 "$EIP1" >/dev/null
ctl forward add 20.251.48.101:2222/tcp vm-002:22 >/dev/null
free=()
for n in 100 {102..110}; do free+=("20.251.48.$n"); done
offers "VMs" "$s vm show " vm-001 vm-002
offers "with -j" "$s -j vm del vm-" vm-001 vm-002
offers "behind VM: options" "$s vm show vm-001 " --xml
offers "no VM for a new one" "$s vm add "
offers "ip bind: VMs" "$s ip bind " vm-001 vm-002
offers "ip bind VM: free addresses" "$s ip bind vm-001 " "${free[@]}"
offers "ip unbind: bound addresses" "$s ip unbind " "$EIP1"
offers "ip move: bound addresses, then VMs" "$s ip move " "$EIP1"
offers "ip move ADDR: VMs" "$s ip move $EIP1 vm-002" vm-002
offers "forward add: free and shared addresses" "$s forward add 20.251.48.101" 20.251.48.101:
offers "forward add: not one that is bound" "$s forward add $EIP1"
offers "forward add: VMs" "$s forward add 20.251.48.101:80/tcp " vm-001 vm-002
offers "forward add: --source" "$s forward add 20.251.48.101:80/tcp vm-001 " --source
offers "forward del: forwards" "$s forward del " 20.251.48.101:2222/tcp
offers "forward del: what stands behind the colon" "$s forward del 20.251.48.101:2" 2222/tcp
offers "vm isolate: VMs" "$s vm isolate " vm-001 vm-002
offers "vm port: VMs" "$s vm port " vm-001 vm-002
offers "vm isolate VM: options" "$s vm isolate vm-001 " --allow --port

# ---- in a shell, by the key
# pressed LINE: what stands on the line after a tab
pressed() {
	"$PYTHON" - "$COMPLETION" "$1" <<'END'
import os, pty, select, sys, time
script, line = sys.argv[1:]
pid, fd = pty.fork()
if pid == 0:
    os.environ.update(TERM="dumb", PS1="READY> ", HISTFILE="")
    os.execlp("bash", "bash", "--norc", "--noprofile", "-i")
def until(text, seconds=60):
    seen, end = b"", time.time() + seconds
    while text not in seen and time.time() < end:
        if select.select([fd], [], [], 0.2)[0]:
            try:
                seen += os.read(fd, 4096)
            except OSError:
                break
    return seen
until(b"READY> ")
os.write(fd, b"stty -echo; bind 'set enable-bracketed-paste off'; . %s\n" % script.encode())
until(b"READY> ")
# What a tab makes of it is printed and not run: by a command that is put before it.
os.write(fd, line.encode() + b"\t\x01printf 'LINE<%s>END\\n' '\x05'\n")
seen = until(b">END\r\n")
print(seen.split(b"LINE<")[-1].split(b">END")[0].decode())
END
}
is "a tab completes a command" "$(pressed "$s vm sho")" "$s vm show "
is "a tab completes what VMs have in common" "$(pressed "$s vm show v")" "$s vm show vm-00"
is "a tab completes the only address that fits" "$(pressed "$s ip unbind 2")" "$s ip unbind $EIP1 "
is "a tab completes an address, and waits for its port" "$(pressed "$s forward add 20.251.48.101")" \
	"$s forward add 20.251.48.101:"
is "a tab completes behind a colon" "$(pressed "$s forward del 20.251.48.101:2")" \
	"$s forward del 20.251.48.101:2222/tcp "
done_testing
