#!/usr/bin/env bash
# Faults across several hosts: three emulated ones with two ranks each (up.sh). Needs root.
#   run.sh GRANARY [PATTERN]   last line "N passed, N failed"
# Killed ranks, crashed hosts, pulled cables. What a run must have left: tests/faults/asserts.sh.
# All by granary run: Open MPI 4 must get on in flight, Open MPI 5 gives the job up with a host, and
# it is started again on the others.
set -u
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
HOSTS_FOLDER=$(cd "$(dirname "$0")" && pwd)
TESTS=$(dirname "$HOSTS_FOLDER") GRANARY=$(readlink -f "$1") PATTERN=${2:-}
. "$HOSTS_FOLDER/case.sh"

# scenario NAME "LOST RANKS" LOST_HOST DEADLINES ACTION: ACTION is done when 20 rounds are recorded.
scenario() {
    local name=$1 lost=$2 host=$3 deadlines=$4 action=$5 rank silo restarts
    [[ $name == *$PATTERN* ]] || return 0
    begin_case "$name"
    [ "$action" != slow ] || "$HOSTS/link" h2 slow 50 20
    # shellcheck disable=SC2086
    across $RANKS "$CASE/base.yaml" $deadlines --run "$CASE/run"
    begin "${command[@]}"
    until_round 20
    $action
    await "$LIMIT"
    [ "$action" != pull_for_good ] || end_cut_host "$host"
    restarts=$(grep -c '"event":"restarted"' "$CASE/run/events.jsonl" 2>/dev/null)
    [ "${restarts:-0}" = 0 ] || { [ -n "$host" ] && [ "$GENERATION" -ge 5 ]; } ||
        wrong "started again: $(grep -m 1 '"event":"restarted"' "$CASE/run/events.jsonl")"
    assert_ended finished
    if [ "$ENDING" = finished ]; then
        assert_records
        train 2 "$CASE/base.yaml" --set round.replay="$CASE/run/events.jsonl" --run "$CASE/replay"
        assert_digest "${command[@]}"
        # A pause after the point: from the first round on their silos may be missing.
        for ((silo = 0; silo < SILOS; silo++)); do
            for rank in $lost; do
                [ "$(host_of $silo)" != "$rank" ] || FAULTS="$FAULTS stop:$silo:1:train:1:1"
            done
        done
        assert_absent
        # Started again, the hosts that are left have all silos.
        [ "${restarts:-0}" = 0 ] || FAULTS=""
        for silo in $(tr ' ' '\n' <<<"$FAULTS" | cut -s -d: -f2); do
            grep -qx "$ROUNDS $silo" "$CASE/absent" || wrong "silo $silo took part in the last round"
        done
    fi
    assert_nothing_left
    [ -n "$HUNG" ] || left_on_hosts
    end_case
}
nothing() { :; }
slow() { :; } # from the start
pull_for_good() { "$HOSTS/link" "$cut" down; }
pull_shortly() { "$HOSTS/link" h2 down; sleep 2; "$HOSTS/link" h2 up; }

short="--set round.deadline_s=3 --set round.collective_deadline_s=2 --set round.heartbeat_s=2"
long="--set round.deadline_s=20 --set round.collective_deadline_s=5 --set round.heartbeat_s=5"
cut=h2
scenario "no fault" "" "" "$long" nothing
scenario "a rank is killed" 3 "" "$short" "kill_rank 3"
scenario "rank 0 is killed" 0 "" "$short" "kill_rank 0"
scenario "a host crashes" "2 3" h2 "$short" "$HOSTS/crash h2"
scenario "the host of rank 0 crashes" "0 1" h1 "$short" "$HOSTS/crash h1"
scenario "a cable is pulled for good" "2 3" h2 "$short" pull_for_good
scenario "a cable is pulled for two seconds" "" "" "$long" pull_shortly
ROUNDS=40
"$HOSTS_FOLDER/up.sh" "$HOSTS" 3 # what has crashed
if "$HOSTS/link" h2 slow 50 20; then scenario "a slow link: 50 ms, 20 Mbit/s" "" "" "$long" slow
else echo "skipped: a slow link; there is neither netem nor a TAP device"; fi
echo "$passed passed, $failed failed"
[ $failed = 0 ]
