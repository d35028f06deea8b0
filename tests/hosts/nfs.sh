#!/usr/bin/env bash
# A run directory on a file system that hosts share as by NFS: three emulated hosts (up.sh), each
# with a mount of its own of one folder (nfs.c), whose caches know nothing of each other. Needs root
# and FUSE.
#   nfs.sh GRANARY [PATTERN]   last line "N passed, N failed"
# With locks that hold on all hosts (a lock daemon), on none, and on each host by itself (mounted
# nolock). Either it works, or it is refused with the reason.
set -u
export LC_ALL=C
HOSTS_FOLDER=$(cd "$(dirname "$0")" && pwd)
TESTS=$(dirname "$HOSTS_FOLDER") GRANARY=$(readlink -f "$1") PATTERN=${2:-}
. "$HOSTS_FOLDER/case.sh"
BELIEVED_S=3
[ -c /dev/fuse ] || skip "no FUSE here"
pkg-config --exists fuse3 2>/dev/null || skip "libfuse3-dev is missing"
# shellcheck disable=SC2046
${CC:-cc} -O2 -D_GNU_SOURCE $(pkg-config --cflags fuse3) -o "$HOSTS/client" "$HOSTS_FOLDER/nfs.c" \
    $(pkg-config --libs fuse3) -pthread || skip "nfs.c does not compile"
CLIENT=$(mktemp /tmp/granary-nfs.XXXXXX) # hosts come and go
mv "$HOSTS/client" "$CLIENT"
trap '[ -z "$CASE" ] || end_all; "$HOSTS_FOLDER/down.sh" "$HOSTS"; rm -f "$CLIENT"' EXIT

mount_on() { # HOSTS...
    local host
    for host; do "$HOSTS/on" "$host" "$CLIENT" "$HOSTS/export" "$HOSTS/shared" "$BELIEVED_S" "$LOCKS" || return; done
}
# begin_mounted NAME LOCKS: a case whose run directory the hosts see as $SHARED, the test as CASE/run.
begin_mounted() {
    LOCKS=$2
    begin_case "$1, locks: $2"
    mkdir "$HOSTS/export" "$HOSTS/shared"
    mount_on h0 h1 h2 h3 || wrong "the mounts do not come up"
    SHARED=$HOSTS/shared/run
    ln -s "$HOSTS/export/run" "$CASE/run"
    HOSTFILE=$HOSTS/one-each
    printf 'h%d slots=1\n' 1 2 3 >"$HOSTFILE"
}
wanted() { [[ "$1, locks: $2" == *$PATTERN* ]]; }
# The model of the run is that of an undisturbed one, on a disk.
assert_undisturbed() {
    train 2 "$CASE/base.yaml" --set round.replay="$CASE/run/events.jsonl" --run "$CASE/replay"
    assert_digest "${command[@]}"
}
assert_all_whole() {
    local file n=0
    for file in "$CASE"/run/checkpoints/*; do
        n=$((n + 1))
        "$GRANARY" inspect "$file" >"$CASE/inspect" 2>&1 || wrong "$(tail -n 1 "$CASE/inspect")"
    done
    [ $n = "$1" ] || wrong "$n checkpoints, expected $1"
}
# Ranks of three hosts write each checkpoint together.
checkpoints() {
    wanted "checkpoints" "$1" || return 0
    local SETTINGS=$'model: {type: mlp, hidden: [64, 32]}\nevaluate: {every: 10}\ncheckpoint: {every: 1, keep: 50}'
    local ROUNDS=30
    begin_mounted "checkpoints" "$1"
    across 3 "$CASE/base.yaml" --run "$SHARED"
    begin "${command[@]}"
    await "$LIMIT"
    assert_ended finished
    assert_records
    assert_all_whole $ROUNDS
    ! grep -q 'refuses to be written' "$CASE/run/events.jsonl" || wrong "$(grep -m 1 'refuses' "$CASE/run/events.jsonl")"
    assert_undisturbed
    assert_nothing_left
    end_case
}
# Begun by h1, gone on with at once by h3.
resumed() {
    wanted "resumed" "$1" || return 0
    local all=40 ROUNDS=20
    begin_mounted "resumed" "$1"
    across 3 "$CASE/base.yaml" --run "$SHARED"
    begin "${command[@]}"
    await "$LIMIT"
    assert_ended finished
    ROUNDS=$all
    printf 'h%d slots=1\n' 3 2 1 >"$HOSTFILE"
    across 3 "$CASE/base.yaml" --run "$SHARED" --resume
    begin "${command[@]}"
    await "$LIMIT"
    assert_ended finished
    assert_records
    assert_undisturbed
    assert_nothing_left
    end_case
}
# lost NAME LOCKS HOST ACTION...: between two checkpoints, and the others go on.
lost() {
    local name=$1 host=$3 ROUNDS=120 # so that it is not over before
    local SETTINGS=$'model: {type: mlp, hidden: [64, 32]}\nevaluate: {every: 10}\ncheckpoint: {every: 40, keep: 2}'
    wanted "$name" "$2" || return 0
    begin_mounted "$name" "$2"
    shift 3
    # shellcheck disable=SC2086
    across 3 "$CASE/base.yaml" $SHORT --run "$SHARED"
    begin "${command[@]}"
    until_round 40
    sleep 0.4 # some rounds more, whether or not they are to be seen already
    "$@"
    await "$LIMIT"
    [ -z "$host" ] || end_cut_host "$host"
    assert_ended finished
    assert_records
    grep -q '"event":"\(takeover\|restarted\)"' "$CASE/run/events.jsonl" || wrong "nobody has taken over"
    assert_undisturbed
    assert_nothing_left
    end_case
}
# A run on h1 and then one on h2 in the same directory, each with two ranks: with locks that hold
# everywhere the second is refused; else it takes over, and the first ends by itself.
second() {
    wanted "a second run" "$1" || return 0
    local ROUNDS=400 code
    begin_mounted "a second run" "$1"
    train 2 "$CASE/base.yaml" --run "$SHARED"
    while [ "${command[0]}" != train ]; do command=("${command[@]:1}"); done
    command=("${command[@]:1}")
    begin "$HOSTS/on" h1 "$GRANARY" run -n 2 "${command[@]}"
    until_round 40
    on_h2 --resume
    code=$?
    await "$LIMIT"
    if [ "$1" = server ]; then
        [ $code = 73 ] && grep -q 'in use by another run' "$CASE/second" ||
            wrong "the second: code $code: $(tail -n 1 "$CASE/second")"
        assert_ended finished
    else
        [ $code = 0 ] || wrong "the second: code $code: $(tail -n 1 "$CASE/second")"
        [ "$CODE" = 75 ] || wrong "the first: code $CODE: $(tail -n 1 "$CASE/output")"
    fi
    assert_records
    assert_undisturbed
    assert_nothing_left
    end_case
}
# The words of `command`, and these, as a run on h2.
on_h2() {
    timeout --kill-after=5 "$LIMIT" env GRANARY_CASE="$CASE" "$HOSTS/on" h2 "$GRANARY" run -n 2 \
        "${command[@]}" "$@" >"$CASE/second" 2>&1 </dev/null
}

SHORT="--set round.deadline_s=3 --set round.collective_deadline_s=2 --set round.heartbeat_s=2"
for kind in server none local; do
    checkpoints $kind
    resumed $kind
    second $kind
    lost "rank 0 is killed" $kind "" kill_rank 0
    lost "the host of rank 0 crashes" $kind "" eval '"$HOSTS/crash" h1'
    lost "the cable of rank 0 is pulled" $kind h1 eval '"$HOSTS/link" h1 down'
done
echo "$passed passed, $failed failed"
[ $failed = 0 ]
