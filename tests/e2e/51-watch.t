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

# ---- a link, and directories that come and go
# put FILE LINE…: a plan there
put() { printf '%s\n' "${@:2}" >"$1"; }
one="$MAC1,vm-001,$IP1" two="$MAC2,vm-002,$IP2"
mkdir "$T/place" "$T/data" "$T/other"
put "$T/data/plan" "$one"
put "$T/other/plan" "$two"
ln -s ../data/plan "$T/place/plan"
conf plan.file "$T/place/plan"
daemon_up
put "$T/data/plan" "$one" "$two"
check "behind a link: a file that is written in place is taken over" wait_for 5 has "vm-001 vm-002"
put "$T/data/new" "$two" && mv "$T/data/new" "$T/data/plan"
check "behind a link: a file that is replaced is taken over" wait_for 5 has vm-002
rm "$T/data/plan"
check "behind a link: one that goes is refused" wait_for 5 refused_now
put "$T/data/plan" "$one"
check "behind a link: one that comes back is taken over" wait_for 5 has vm-001
ln -s "$T/other/plan" "$T/place/new" && mv "$T/place/new" "$T/place/plan"
check "a link that is replaced is followed" wait_for 5 has vm-002
put "$T/other/plan" "$one" "$two"
check "and what is there now is watched" wait_for 5 has "vm-001 vm-002"
rm "$T/place/plan"
check "a link that goes is refused" wait_for 5 refused_now
ln -s "$T/data/plan" "$T/place/plan"
check "one that comes back is taken over" wait_for 5 has vm-001
mkdir "$T/place.new"
put "$T/place.new/plan" "$two"
mv "$T/place" "$T/place.old" && mv "$T/place.new" "$T/place"
check "a directory that is replaced is looked at" wait_for 5 has vm-002
put "$T/place/plan" "$one" "$two"
check "and watched" wait_for 5 has "vm-001 vm-002"
rm -r "$T/place"
check "a directory that goes is noticed" wait_for 5 refused_now
mkdir "$T/place.new"
put "$T/place.new/plan" "$one"
mv "$T/place.new" "$T/place"
check "one that comes back is looked at" wait_for 5 has vm-001
check "and heals the error" wait_for 5 accepted_now
put "$T/place/plan" "$two"
check "and watched again" wait_for 5 has vm-002
daemon_end TERM
done_testing
