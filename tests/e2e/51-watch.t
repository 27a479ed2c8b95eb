#!/usr/bin/env bash
# A plan that is read again by itself, as soon as its file is written or replaced.
#
#   hypervisor: eipd, watch = yes

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"
stage_up
conf plan.watch yes
plan "$MAC1,vm-001,$IP1"
daemon_up

machines() { field '" ".join(v["name"] for v in d)' vm list; }
has() { [[ $(machines) == "$1" ]]; }
refused_now() { [[ $(field 'd["plan"]["error"]' status) != null ]]; }
accepted_now() { [[ $(field 'd["plan"]["error"]' status) == null ]]; }

is "the plan at the start" "$(machines)" vm-001
plan "$MAC1,vm-001,$IP1" "$MAC2,vm-002,$IP2"
check "a file that is written in place is taken over" wait_for 5 has "vm-001 vm-002"
printf '%s\n' "$MAC2,vm-002,$IP2" >"$PLAN.tmp" && mv "$PLAN.tmp" "$PLAN"
check "a file that is replaced is taken over" wait_for 5 has vm-002
plan "$MAC2,vm-002,$IP2" nonsense
check "a bad one is refused" wait_for 5 refused_now
is "and the plan in force stays" "$(machines)" vm-002
rm "$PLAN"
plan "$MAC1,vm-001,$IP1"
check "a file that comes back is taken over" wait_for 5 has vm-001
check "and heals the error" wait_for 5 accepted_now
touch "$PLAN.other" && rm "$PLAN.other"
reloads() { count 'plan: [0-9]* VMs in force' "$LOG"; }
before=$(reloads)
ctl vm add vm-003 >/dev/null
check "eipd's own edit is taken over" wait_for 5 has "vm-001 vm-003"
plan "$(cat "$PLAN")" "$MAC2,vm-002,$IP2"
check "and the next change after it" wait_for 5 has "vm-001 vm-003 vm-002"
is "each of the two once" $(($(reloads) - before)) 2
daemon_end TERM
check "the stop was clean" not test -e "$RUN/eipd.pid"
done_testing
