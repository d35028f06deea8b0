#!/usr/bin/env bash
# round.respawn: killed ranks are replaced by new processes that take part from the next round on.
# On an MPI that cannot do this the setting is refused, and that is all there is to test.
. "$(dirname "$0")/../system/library.sh"
# Open MPI reaches new processes by TCP, also those of the same machine.
export OMPI_MCA_btl=self,sm,tcp OMPI_MCA_btl_tcp_if_include=lo
cat >base.yaml <<'YAML'
run: {name: base, rounds: 12, rehearsal: true}
data: {source: synthetic, silos: 6, synthetic: {features: 8, classes: 3, minimum_rows: 20, maximum_rows: 60, test_rows: 5}}
preprocess: {scale: standardise}
model: {type: mlp, hidden: [8]}
strategy: {name: fedavgm}
train: {learning_rate: 0.05, batch_size: 8, class_weights: balanced}
YAML
if ! "$GRANARY" version --verbose 2>/dev/null | grep -q '^MPI fault tolerance.*user level'; then
    unset OMPI_MCA_btl OMPI_MCA_btl_tcp_if_include
    check "refused without ULFM" exits 78 on_ranks 2 train base.yaml --quiet --run no --set round.respawn=true
    check "and why" says "round.respawn: found true"
    check "nothing is left" test ! -e no
    finish
fi

# silos DIR KIND: how many the events of that kind name, each of "silo-002..silo-006/2" counted.
silos() {
    sed -n "/\"event\":\"$2\"/p" "$1/events.jsonl" | grep -o '"silo-[^"]*"' | tr -d '"' | sed 's/silo-//g' |
        awk -F '[./]+' '{n += NF == 1 ? 1 : ($2 - $1) / (NF == 3 ? $3 : 1) + 1} END {print n + 0}'
}
runs=0
# replaced PARTICIPANTS LOST FAULT...: on four ranks (silos 0 | 1 2 | 3 | 4 5) with these faults the
# rounds have so many participants, and so many silos are lost and returned, in total.
replaced() {
    local participants=$1 lost=$2 fault faults="" run p; shift 2
    for fault in "$@"; do faults="$faults{$fault},"; done
    run=run-$((++runs))
    check "$*: finished" exits 0 "$GRANARY" run -n 4 base.yaml --run $run --set round.respawn=true \
        --set round.deadline_s=3 --set round.collective_deadline_s=2 --set "faults=[${faults%,}]"
    p=$(grep -o '"participants":[0-9]*' $run/metrics.jsonl | sed 's/.*://' | tr '\n' ' ')
    check "$*: participants" equal "$p" "$participants "
    for p in lost returned; do
        check "$*: $p" equal "$(silos $run $p)" "$lost"
    done
    check "$*: without a restart" equal "$(grep -c '"restarted"' $run/events.jsonl)" 0
    check "$*: the chain is whole" exits 0 "$GRANARY" inspect $run
    # shellcheck disable=SC2086
    check "$*: replayed" exits 0 mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train base.yaml --quiet \
        --set run.rehearsal=false --set round.replay=$run/events.jsonl --run $run-replay
    check "$*: same digest" equal "$("$GRANARY" inspect --digest $run/model.h5)" \
        "$("$GRANARY" inspect --digest $run-replay/model.h5)"
    check "$*: nobody is left behind" none_left
}
replaced "6 6 5 6 6 6 6 6 6 6 6 6" 1 "kind: kill, silo: 0, round: 3, point: aggregate"
replaced "6 6 3 6 6 6 6 6 6 6 6 6" 3 "kind: kill, silo: 0, round: 3, point: aggregate" \
    "kind: kill, silo: 2, round: 3, point: aggregate"
# One more after a replacement; the replacement's own silo again.
replaced "6 6 5 6 6 6 6 6 6 6 6 6" 3 "kind: kill, silo: 0, round: 3, point: aggregate" \
    "kind: kill, silo: 2, round: 6, point: evaluate"
replaced "6 6 6 4 6 6 6 6 6 6 6 6" 4 "kind: kill, silo: 5, round: 3, point: checkpoint" \
    "kind: kill, silo: 2, round: 4, point: train"
replaced "6 6 6 6 6 6 4 6 6 6 6 6" 4 "kind: kill, silo: 5, round: 3, point: checkpoint" \
    "kind: kill, silo: 5, round: 7, point: train"

# The program cannot be started again: the others go on with those they are.
cp "$GRANARY" gone
{ wait_lines alone/metrics.jsonl 1; rm gone; } &
check "goes on without a replacement" exits 0 ./gone run -n 4 base.yaml --quiet --run alone \
    --set round.respawn=true --set round.deadline_s=5 \
    --set "faults=[{kind: delay, silo: 0, round: 2, seconds: 2.5},{kind: kill, silo: 3, round: 3}]"
check "all rounds" equal "$(wc -l <alone/metrics.jsonl)" 12
check "nobody has returned" equal "$(grep -c '"returned"' alone/events.jsonl)" 0
finish
