#!/usr/bin/env bash
# The daemon's life under valgrind: start, a lease, a bind, a forward, a reload, an isolation, foreign
# edits, stop. No octet is used that nothing was written to, none is lost, none is out of bounds.
#
#   outer host ── eth0 hypervisor: eipd br0 ── vm-001
#
# Not under sanitizers: one of them at a time.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
command -v valgrind >/dev/null || { echo "1..0 # SKIP no valgrind here"; exit 0; }
stage_up
vm_up vm-001 "$MAC1"
mkdir "$T/valgrind"
# A process of its own has a file of its own: so does the one that stays when the first has ended.
cat >"$T/eipd" <<END
#!/bin/sh
exec valgrind -q --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \\
	--show-leak-kinds=definite,indirect,possible --track-fds=no --error-exitcode=99 \\
	--log-file="$T/valgrind/%p" "$EIPD" "\$@"
END
chmod +x "$T/eipd"
EIPD=$T/eipd
cat >"$T/callback" <<'END'
#!/bin/sh
echo "$@"
END
chmod +x "$T/callback"
conf dhcp.callback "$T/callback"
conf nat.resync 1s
conf inner.anti-spoof yes
# slower than eipd() waits for
slow() { hv timeout 120 "$EIPD" -c "$CONF" "$@" >"$T/start" 2>&1 </dev/null; }
conf_write

check "eipd -t" slow -t
check "a start" slow
check "a lease" vm_lease vm-001
check "a bind" ctl ip bind vm-001 "$EIP1"
check "a forward" ctl forward add "$EIP2:80/tcp" vm-002:8080
check "a move" ctl ip move "$EIP1" vm-002
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,192.168.6.200" "02:00:00:00:00:03,vm-003,192.168.6.3"
check "a reload" ctl reload
plan nonsense
check "a reload that is refused" not ctl reload
plan "$MAC1,vm-001,$IP1"
check "a reload that takes a VM and what it has" ctl reload
check "a VM is added" ctl vm add vm-004
check "and deleted" ctl vm del vm-004
check "an isolation" ctl vm isolate vm-001 --allow 192.168.6.9/32
for words in status metrics "vm list" "ip list" "lease list" "forward list" events "vm show vm-001"; do
	# shellcheck disable=SC2086 # words
	check "$words" ctl $words
done
check "a rejoin" ctl vm rejoin vm-001
check "a bind again" ctl ip bind vm-001 "$EIP1"
hv iptables-legacy -w 10 -t nat -F
mended() { (($(rules_of "$EIP1") > 0)); }
check "a flush is mended" wait_for 30 mended
pid=$(daemon_pid)
kill -TERM "$pid"
check "a stop" wait_for 60 gone "$pid"
check "valgrind has looked at it" test -e "$T/valgrind/$pid"
found=$(find "$T/valgrind" -type f -size +0)
# shellcheck disable=SC2086 # files with plain names
is "and has found nothing" "$([[ -z $found ]] || cat $found)" ""
done_testing
