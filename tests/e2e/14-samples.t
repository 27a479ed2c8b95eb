#!/usr/bin/env bash
# The samples of conf/: each is good as it stands: the definitions of a VM's interface, and three
# ways to the bridge, after each of which eipd finds all well.
#
#   eth0 ── hypervisor ── br0 (by the samples) ── eth1

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
# shellcheck source=tests/e2e/static.sh
. "$HERE/static.sh"
stage_up
SAMPLES=$ROOT/conf/samples

# ---- a VM's interface
daemon_up
is "libvirt: the sample is well-formed, and what vm show --xml prints" \
	"$("$PYTHON" - "$SAMPLES/libvirt-interface.xml" <(ctl vm show vm-001 --xml) <<'END'
import sys, xml.etree.ElementTree as tree
first, second = (tree.canonicalize(from_file=name, strip_text=True) for name in sys.argv[1:])
print("same" if first == second else first + "\n" + second)
END
)" same
is "xen: the sample is a list of interfaces, with the MAC of the plan and the bridge" \
	"$("$PYTHON" -c 'import ast, sys
print(ast.literal_eval(open(sys.argv[1]).read().split("vif =", 1)[1].split("\n")[0].strip()))' \
		"$SAMPLES/xen-vif.cfg")" "['mac=$MAC1,bridge=br0']"
daemon_end TERM

# ---- the bridge
conf inner.address 192.168.6.22/24
conf_write
# gone: there is no bridge
gone_bridge() {
	ip -n "$HV" link del br0 2>/dev/null
	ip -n "$HV" link set eth1 down
}
# well SENTENCE: eipd finds all well, and the card is up and a port
well() {
	is "$1: eipd -t finds all well" "$(eipd -t 2>&1 </dev/null | sed 's/.*: \(all is well\).*/\1/')" "all is well"
	check "$1: the uplink is up" wait_for 5 link_ready eth1
}
# only_busybox COMMAND…: in the hypervisor, where no other program is found, and /run is its own
mkdir "$T/bin"
BUSYBOX=$(static_busybox) # the other one of Debian cannot do ifup
[[ -x $BUSYBOX ]] || die "no static busybox: $(cat "$T/unpack")"
for applet in sh ip brctl grep ifup ifdown run-parts; do
	ln -s "$BUSYBOX" "$T/bin/$applet"
done
# shellcheck disable=SC2016 # the shell inside expands it
only_busybox() { hv /bin/sh -c 'mount -t tmpfs tmpfs /run && PATH=$0 && export PATH && exec "$@"' "$T/bin" "$@"; }

gone_bridge
# the card towards the outside is up already
sed '/^auto eth0/,/gateway/d' "$SAMPLES/interfaces" >"$T/interfaces"
check "ifupdown: ifup takes the sample" only_busybox ifup -i "$T/interfaces" br0
well "ifupdown"
check "ifupdown: ifdown takes it down" only_busybox ifdown -f -i "$T/interfaces" br0
check "ifupdown: and the bridge is gone" not ip -n "$HV" link show br0

gone_bridge
if command -v shellcheck >/dev/null; then
	check "busybox: the script: shellcheck" shellcheck "$SAMPLES/bridge"
else
	skip "busybox: the script: shellcheck" "no shellcheck here"
fi
check "busybox: the script makes the bridge" only_busybox "$SAMPLES/bridge" start
well "busybox"
# what is set; not what the kernel finds out by and by
as_set() { ip -n "$HV" -d addr show | sed -E 's/timer +[0-9.]+//g; s/(NO-CARRIER|LOWER_UP),?//; s/ state [A-Z]+//'; }
before=$(as_set)
check "busybox: a second time" only_busybox "$SAMPLES/bridge" start
is "busybox: a second time changes nothing" "$(as_set)" "$before"
check "busybox: the script takes it down" only_busybox "$SAMPLES/bridge" stop
check "busybox: and the bridge is gone" not ip -n "$HV" link show br0
only_busybox "$SAMPLES/bridge" nonsense >"$T/stdout" 2>&1
is "busybox: a word that it does not know is usage" $? 2

gone_bridge
# the sample, with the directories and the plan of this test
{
	printf '[daemon]\nstate-dir = %s\nrun-dir = %s\nlog = %s\n' "$STATE" "$RUN" "$LOG"
	sed "s#/etc/eipd/network.conf#$PLAN#" "$SAMPLES/create.conf"
	printf '[dhcp]\nlog =\n'
} >"$CONF"
is "create: eipd -t finds all well" "$(eipd -t 2>&1 </dev/null | sed -n '1 s/.*: \(all is well\).*/\1/p')" "all is well"
check "create: eipd starts" eipd
is "create: and has made the bridge" "$(ip -n "$HV" -4 -o addr show dev br0 | count '192\.168\.6\.22/24')" 1
well "create, when it runs"
daemon_end TERM
done_testing
