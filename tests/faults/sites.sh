#!/usr/bin/env bash
# Studies under random faults: kills of the coordinator or of sites, at random moments, by a folder
# and by https; each is started again after a while. A case has ended as documented when all parties
# end with 0, the audit finds nothing, and the model is that of a replay of the recorded rosters in one
# MPI job.
#   tests/faults/sites.sh BUILD CASES SEED
set -u
BUILD=$(cd "$1" && pwd) CASES=$2 SEED=$3
TESTS=$(cd "$(dirname "$0")/.." && pwd)
TOP=$(dirname "$TESTS")
export GRANARY=$BUILD/granary TESTS TOP BUILD
. "$TESTS/system/library.sh"
. "$TESTS/system/sites.sh"
RANDOM=$SEED
make_parties
write_study 150
one_job 150 >/dev/null
for site in a b c; do write_site $site '{folder: mail}'; done
approve_all || exit 1
declare -A PID
start() { # PARTY
    case $1 in
    coordinator) coordinate faults "${WAY[@]}" ;;
    *) join "$1" ;;
    esac
    PID[$1]=$!
}
for number in $(seq "$CASES"); do
    case_seed=$RANDOM
    RANDOM=$case_seed
    fresh
    WAY=(--mailbox mail)
    if [ $((RANDOM % 2)) = 1 ]; then
        port=$((20000 + RANDOM % 20000))
        WAY=(--listen "127.0.0.1:$port")
        mkdir -p run && cp -p kept/* run/ 2>/dev/null
        coordinate pin --listen "127.0.0.1:$port"; first=$!
        for _ in $(seq 300); do grep -q "listening on port" pin.log && break; sleep 0.1; done
        kill -9 $first; wait $first 2>/dev/null
        mkdir -p kept && cp -p run/https.* kept/
        pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' pin.log | tail -n 1)
        for site in a b c; do write_site $site "{url: \"https://127.0.0.1:$port\", pin: \"$pin\"}"; done
    else
        for site in a b c; do write_site $site '{folder: mail}'; done
    fi
    for party in coordinator a b c; do start $party; done
    kills=$((1 + RANDOM % 3)) told=
    for _ in $(seq $kills); do
        sleep $((RANDOM % 3)).$((RANDOM % 10))
        parties=(coordinator a b c) party=${parties[RANDOM % 4]}
        kill -0 "${PID[$party]}" 2>/dev/null || continue
        kill -9 "${PID[$party]}"; wait "${PID[$party]}" 2>/dev/null
        told="$told $party@$(cat run/metrics.jsonl 2>/dev/null | wc -l)"
        sleep $((RANDOM % 2)).$((RANDOM % 10))
        start "$party"
    done
    what="case $number, seed $case_seed, ${WAY[*]}, killed$told"
    # shellcheck disable=SC2086
    check "$what: all end well" ended ${PID[coordinator]} ${PID[a]} ${PID[b]} ${PID[c]}
    # shellcheck disable=SC2046
    check "$what: the audit finds nothing" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
    rm -rf replay
    "$GRANARY" train plain.yaml --run replay --quiet --set round.replay=run/events.jsonl >/dev/null 2>&1
    check "$what: the model of a replay" equal "$(digest)" "$("$GRANARY" inspect --digest replay/model.h5 2>/dev/null)"
    echo "$what: done"
done
finish
