#!/usr/bin/env bash
# The init script: start, status, reload, restart and stop, as an LSB system calls it.
#
#   eth0 ── hypervisor: scripts/init.d/eipd, eipd ── br0 ── eth1

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
conf_write

[[ -d /etc/default ]] || { skip "the init script" "no /etc/default to put a file over"; done_testing; }
mkdir "$T/default"
cat >"$T/default/eipd" <<END
DAEMON=$EIPD
CLIENT=$EIPCTL
CONFIG=$CONF
END

# init ACTION: calls the script where /etc/default is ours; status in $status, output in $said
init() {
	# shellcheck disable=SC2016,SC2086 # the inner shell expands; an interpreter of two words
	said=$(hv sh -c 'mount --bind "$1" /etc/default && shift && exec timeout 60 "$@"' \
		init "$T/default" $interpreter "$ROOT/scripts/init.d/eipd" "$@" 2>&1 </dev/null)
	status=$?
}

for interpreter in sh "busybox sh"; do
	init status
	is "$interpreter: status of a stopped daemon is 3" "$status" 3
	init stop
	is "$interpreter: stopping a stopped daemon is no error" "$status" 0
	init reload
	is "$interpreter: reloading a stopped daemon is status 7" "$status" 7
	init start
	is "$interpreter: start: status 0 ($said)" "$status" 0
	check "$interpreter: it is there" ctl status
	pid=$(daemon_pid)
	init start
	is "$interpreter: starting it again is no error" "$status" 0
	is "$interpreter: and starts no second one" "$(daemon_pid)" "$pid"
	init status
	is "$interpreter: status is 0" "$status" 0
	plan "$MAC1,vm-001,$IP1"
	init reload
	is "$interpreter: reload of a good plan is status 0" "$status" 0
	is "$interpreter: and has the new plan" "$(field 'd["plan"]["vms"]' status)" 1
	plan "$MAC1,vm-001,$IP1" "rubbish"
	init reload
	is "$interpreter: reload of a bad plan is status 1" "$status" 1
	like "$interpreter: and tells the problem" "$said" "$PLAN:2: "
	plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
	init restart
	is "$interpreter: restart is status 0" "$status" 0
	check "$interpreter: restart leaves another process" not test "$(daemon_pid)" = "$pid"
	daemon_end KILL
	init status
	is "$interpreter: status of a killed daemon is 1" "$status" 1
	init start
	is "$interpreter: a killed daemon starts again" "$status" 0
	init stop
	is "$interpreter: stop is status 0" "$status" 0
	check "$interpreter: it is gone" not ctl status
	init
	is "$interpreter: without an action it is status 2" "$status" 2
done
mv "$T/network.conf" "$T/gone.conf"
rm -rf "$STATE"
init start
is "a start that fails is status 1" "$status" 1
like "and tells why" "$said" "$PLAN"
done_testing
