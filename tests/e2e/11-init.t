#!/usr/bin/env bash
# The init script: start, status, reload, restart and stop, as an LSB system calls it.
#
#   eth0 ── hypervisor: scripts/init.d/eipd, eipd ── br0 ── eth1

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
conf daemon.run-dir "\"$RUN\"" # as an INI file may have it
conf_write

[[ -d /etc/default ]] || { skip "the init script" "no /etc/default to put a file over"; done_testing; }
mkdir "$T/default"
# settings [LINE…]: what the init script is told, and lines of shell
settings() {
	printf '%s\n' "DAEMON=$EIPD" "CLIENT=$EIPCTL" "CONFIG=$CONF" "$@" >"$T/default/eipd"
}
settings

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
	pid=$(daemon_pid)
	kill -STOP "$pid"
	# 30 s in no time, and then as the clock says
	settings "sleep() { echo >>$T/naps; [ \$(wc -l <$T/naps) -le 300 ] || command sleep \$1; }"
	init restart
	is "$interpreter: a daemon that hangs is restarted" "$status" 0
	like "$interpreter: it was killed, and that is said" "$said" "pid $pid does not stop; killed"
	check "$interpreter: after 30 s" test "$(wc -l <"$T/naps")" -ge 300
	check "$interpreter: another process serves" ctl status
	settings
	rm "$T/naps"
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
settings "RUN_DIR=$T/elsewhere"
init start
is "where run-dir is another one a start is status 1" "$status" 1
like "and tells what to do" "$said" "$T/elsewhere/eipd.pid; set RUN_DIR"
settings
init stop
mv "$T/network.conf" "$T/gone.conf"
rm -rf "$STATE"
init start
is "a start that fails is status 1" "$status" 1
like "and tells why" "$said" "$PLAN"
done_testing
