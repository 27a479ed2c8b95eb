#!/usr/bin/env bash
# The callback runs as the user that callback-user names, with nothing of the daemon's.
#
#   hypervisor: eipd ── br0 ── vm-001

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
vm_up vm-001 "$MAC1"
plan "$MAC1,vm-001,$IP1"
# the user must come to the program, and write what it saw
chmod 755 "$T"
mkdir -m 777 "$T/seen"
cat >"$T/callback" <<END
#!/bin/sh
id -un >"$T/seen/user"
id -Gn >"$T/seen/groups"
sed -n 's/^CapEff:[[:space:]]*//p' /proc/self/status >"$T/seen/capabilities"
ls /proc/self/fd >"$T/seen/descriptors"
END
chmod 755 "$T/callback"

# Accounts that only the daemon and its children see: one is a member of a further group.
printf '%s\n' root:x:0:0::/:/bin/sh caller:x:4711:4712::/:/bin/sh other:x:4713:4713::/:/bin/sh >"$T/passwd"
printf '%s\n' root:x:0: callers:x:4712: log:x:4714:other,caller more:x:4715:other >"$T/group"
cat >"$T/eipd" <<END
#!/bin/sh
mount --bind "$T/passwd" /etc/passwd && mount --bind "$T/group" /etc/group && exec "$EIPD" "\$@"
END
chmod 755 "$T/eipd"
EIPD=$T/eipd

conf dhcp.callback "$T/callback"
conf dhcp.callback-user no-such-user
conf_write
said=$(eipd -t 2>&1)
is "an unknown user: -t exits 1" $? 1
like "and names it, with file and line" "$said" "$CONF:[0-9]+: .*no-such-user"
check "and eipd does not start" not daemon_start

conf dhcp.callback-user caller
conf_write
daemon_up
vm_lease vm-001
check "the callback was called" wait_for 5 test -s "$T/seen/descriptors"
is "as the user" "$(cat "$T/seen/user")" caller
is "with its groups and no more" "$(cat "$T/seen/groups")" "callers log"
is "with no capability" "$(cat "$T/seen/capabilities")" 0000000000000000
# 3 is the directory that ls reads
is "with no descriptor of ours" "$(tr '\n' ' ' <"$T/seen/descriptors")" "0 1 2 3 "
daemon_end TERM
done_testing
