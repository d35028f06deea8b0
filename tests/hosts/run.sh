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
skip() { echo "skipped: $1"; echo "0 passed, 0 failed"; exit 0; }
[ "$(id -u)" = 0 ] || skip "emulated hosts need root"
PATH=$PATH:/usr/sbin:/sbin
for word in ip tc nsenter unshare; do command -v $word >/dev/null || skip "$word is missing"; done
unshare --net --uts --ipc --mount --pid --fork true 2>/dev/null || skip "no namespaces here"
. "$TESTS/faults/case.sh"
own_shm "$0" "$@"
MODE=tcp SEED=1 RANKS=6 SILOS=9 ROUNDS=80 SAMPLED="" FAULTS=""
SETTINGS=$'model: {type: mlp, hidden: [64, 32]}\nevaluate: {every: 10}\ncheckpoint: {every: 10, keep: 2}'
HOSTS=$(mktemp -d /tmp/granary-hosts.XXXXXX) passed=0 failed=0 CASE=
trap '[ -z "$CASE" ] || end_all; "$HOSTS_FOLDER/down.sh" "$HOSTS"' EXIT
trap 'exit 130' INT TERM HUP
"$HOSTS_FOLDER/up.sh" "$HOSTS" 3 || skip "the hosts do not start"

# across RANKS CONFIG WORDS...: case.sh's command, across the hosts.
across() {
    train "$@"
    while [ "${command[0]}" != train ]; do command=("${command[@]:1}"); done
    command=(env GRANARY_MPIRUN="$HOSTS/mpirun" "$GRANARY" run -n "$1" --hostfile "$HOSTS/hostfile"
        "${command[@]:1}" -- -x GRANARY_CASE)
}
recorded() { cat "$CASE/run/metrics.jsonl" 2>/dev/null | wc -l; }
# until_round N: is recorded, or the run is over.
until_round() {
    while kill -0 "$SESSION" 2>/dev/null && [ "$(recorded)" -lt "$1" ]; do sleep 0.02; done
}
# kill_rank RANK: the process of this run that has the number.
kill_rank() {
    local pid
    for pid in $(processes); do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = granary ] &&
            grep -qszx "OMPI_COMM_WORLD_RANK=$1" "/proc/$pid/environ" && kill -KILL "$pid" && return
    done
    wrong "no process is rank $1"
}
# Ranks cut off must end by themselves; their host's daemon goes with the host.
end_cut_host() {
    local i pid left=1
    for ((i = 0; i < 300; i++)); do
        left=
        for pid in $(processes); do
            [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != granary ] || left="$left $pid"
        done
        [ -n "$left" ] || break
        sleep 0.1
    done
    if [ -n "$left" ]; then
        stacks
        wrong "ranks on the host that was cut off still live after 30 s:$left; stacks in $CASE/hang"
    fi
    "$HOSTS/crash" "$1"
}
left_on_hosts() {
    local host left
    for host in h1 h2 h3; do
        [ -e "/proc/$(cat "$HOSTS/$host.pid")" ] || continue
        left=$("$HOSTS/on" $host find /dev/shm ! -type d | tr '\n' ' ')
        [ -z "$left" ] || wrong "left behind on $host: $left"
    done
}

# scenario NAME "LOST RANKS" LOST_HOST DEADLINES ACTION: ACTION is done when 20 rounds are recorded.
scenario() {
    local name=$1 lost=$2 host=$3 deadlines=$4 action=$5 rank silo restarts
    [[ $name == *$PATTERN* ]] || return 0
    "$HOSTS_FOLDER/down.sh" "$HOSTS"
    "$HOSTS_FOLDER/up.sh" "$HOSTS" 3
    [ "$action" != slow ] || "$HOSTS/link" h2 slow 50 20
    NAME=$name REPEAT="tests/hosts/run.sh GRANARY '$name'" WRONG=0 MISTAKES=0 FAULTS="" CODE_COUNTS=1
    CASE=$(mktemp -d /tmp/granary-hosts-case.XXXXXX)
    mkdir "$CASE/tmp"
    touch "$CASE/started"
    case_config
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
    if [ $WRONG = 0 ] && [ $MISTAKES = 0 ]; then
        passed=$((passed + 1))
        rm -rf "$CASE"
    else
        failed=$((failed + 1))
        echo "$NAME: $WRONG wrong, $MISTAKES given up by mistake; kept in $CASE"
    fi
    CASE=
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
