# shellcheck shell=bash
# Runs across emulated hosts (up.sh): what run.sh and nfs.sh share. Sourced by them with
#   HOSTS_FOLDER TESTS GRANARY
# Leaves three hosts in HOSTS; a job of across starts on those of HOSTFILE.
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
HOSTFILE=$HOSTS/hostfile

# across RANKS CONFIG WORDS...: case.sh's command, across the hosts.
across() {
    train "$@"
    while [ "${command[0]}" != train ]; do command=("${command[@]:1}"); done
    command=("$HOSTS/on" h0 env GRANARY_MPIRUN="$HOSTS/mpirun" TMPDIR="$CASE/tmp" "$GRANARY" run -n "$1" --hostfile "$HOSTFILE"
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
# A case begins with fresh hosts and a folder, and is counted at its end.
begin_case() {
    NAME=$1 REPEAT="tests/hosts/$(basename "$0") GRANARY '$1'" WRONG=0 MISTAKES=0 FAULTS="" CODE_COUNTS=1
    "$HOSTS_FOLDER/down.sh" "$HOSTS"
    "$HOSTS_FOLDER/up.sh" "$HOSTS" 3
    CASE=$(mktemp -d /tmp/granary-hosts-case.XXXXXX)
    mkdir "$CASE/tmp"
    touch "$CASE/started"
    case_config
}
end_case() {
    if [ $WRONG = 0 ] && [ $MISTAKES = 0 ]; then
        passed=$((passed + 1))
        rm -rf "$CASE"
    else
        failed=$((failed + 1))
        echo "$NAME: $WRONG wrong, $MISTAKES given up by mistake; kept in $CASE"
    fi
    CASE=
}
