#!/usr/bin/env bash
# train.state keep: one digest on any ranks, interrupted and gone on with elsewhere, with and without
# what the silos have kept, and replayed; with ring16, whose residuals are in the same files.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables

# trained RUN RANKS WORDS...: trains quietly and prints the model's digest.
trained() {
    local run=$1 ranks=$2; shift 2
    # shellcheck disable=SC2086
    timeout 120 mpirun $MPIRUN_FLAGS -n "$ranks" "$GRANARY" train small.yaml "$@" --quiet --run "$run" \
        >train.out 2>&1 </dev/null || { tail -n 5 train.out >&2; echo "failed $RANDOM"; return; }
    "$GRANARY" inspect --digest "$run/model.h5"
}
digest() { local run; run=$(mktemp -u run-XXXXXXXX); trained "$run" "$@"; rm -rf "$run"; }
kept="--set train.state=keep"
momentum="--set train.momentum=0.9 --set train.learning_rate=0.02"
adam="--set train.optimizer=adam --set train.learning_rate=0.01"

# shellcheck disable=SC2086
{
    want=$(trained adam 1 $adam $kept)
    check "not what it is without" bash -c "[ '$(digest 1 $adam)' != '$want' ]"
    check "on three ranks, cyclic" equal "$(digest 3 $adam $kept --set run.placement=cyclic)" "$want"
    check "with momentum" bash -c "[ '$(digest 1 $momentum)' != '$(digest 1 $momentum $kept)' ]"
    check "silos that are drawn" equal "$(digest 1 $momentum $kept --set round.participants=4)" \
        "$(digest 3 $momentum $kept --set round.participants=4)"
}

# One silo, one batch: six rounds are six steps of an optimizer that runs on.
alone="--set data.silos=1 --set train.batch_size=1000 --set aggregation.encoding=ring64"
loss() { tail -n 1 "$1/metrics.jsonl" | perl -ne 'printf "%.5f", $1 if /"test_loss":([0-9.e+-]+)/'; }
for solver in "$adam" "$momentum" "--set train.optimizer=nesterov $momentum"; do
    rm -rf on rounds afresh
    # shellcheck disable=SC2086
    {
        trained on 1 $alone $solver --set run.rounds=1 --set train.epochs=6 >/dev/null
        trained rounds 1 $alone $solver $kept >/dev/null
        trained afresh 1 $alone $solver >/dev/null
    }
    check "runs on: $solver" equal "$(loss rounds)" "$(loss on)"
    check "does not without: $solver" bash -c "[ '$(loss afresh)' != '$(loss on)' ]"
done
check "nobody else reads it" equal "$(stat -c %a adam/silos adam/silos/*.h5 | sort -u | tr '\n' ' ')" "600 700 "
check "two of each silo" equal "$(ls adam/silos | wc -l)" 18
check "it is no model" exits 65 "$GRANARY" inspect adam/silos/silo-003-000006.h5
trained reset 1 >/dev/null
check "nothing without" test ! -e reset/silos
check "checkpoints as without it" equal "$(stat -c %s adam/checkpoints/round-000006.h5)" \
    "$(stat -c %s reset/checkpoints/round-000006.h5)"

# interrupted WANT WORDS...: after round 4 on three ranks, gone on with on two.
interrupted() {
    local want=$1; shift
    rm -rf part bereft
    trained part 3 "$@" --set run.rounds=4 >/dev/null
    cp -r part bereft
    check "resumed on other ranks: $*" equal "$(trained part 2 "$@" --resume)" "$want"
    check "nobody began anew" bash -c "! grep -q anew part/events.jsonl"
}
# shellcheck disable=SC2086
interrupted "$want" $adam $kept
ring16="$momentum $kept --set aggregation.encoding=ring16"
# shellcheck disable=SC2086
interrupted "$(digest 1 $ring16)" $ring16
# SCAFFOLD's control variates, alone and with the residuals of both vectors.
scaffold="--set strategy.name=scaffold --set round.participants=7"
# shellcheck disable=SC2086
{
    interrupted "$(digest 1 $scaffold)" $scaffold
    check "a rate of 0 in the last round leaves them as they are" exits 0 on_ranks 2 train small.yaml --quiet --run cosine $scaffold --set train.schedule.type=cosine
    check "control variates are kept" bash -c 'ls part/silos/*.h5 >/dev/null'
    interrupted "$(digest 1 $scaffold --set aggregation.encoding=ring16)" $scaffold --set aggregation.encoding=ring16
}
rm -rf part bereft
# shellcheck disable=SC2086
{ trained part 3 $ring16 --set run.rounds=4 >/dev/null; cp -r part bereft; }
# shellcheck disable=SC2086
check "another state is another run" exits 78 on_ranks 2 train small.yaml --quiet --run part --resume ${ring16/keep/reset}

# A state is missing, one is damaged, one is another silo's.
rm bereft/silos/silo-004-000004.h5
perl -e 'open my $f, "+<", $ARGV[0]; seek $f, -s $ARGV[0] >> 1, 0; print $f "damage"' bereft/silos/silo-007-000004.h5
mv bereft/silos/silo-001-000004.h5 bereft/silos/silo-002-000004.h5
# shellcheck disable=SC2086
{
    got=$(trained bereft 2 $ring16 --resume)
    check "who begins anew is told" grep -q \
        '"round":5,.*"anew": *\["silo-001","silo-002","silo-004","silo-007"\]' bereft/events.jsonl
    check "and nobody else" equal "$(grep -c anew bereft/events.jsonl)" 1
    check "the replay is the same" equal "$(digest 3 $ring16 --set "round.replay=$PWD/bereft/events.jsonl")" "$got"
}
finish
