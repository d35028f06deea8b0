#!/usr/bin/env bash
# ring64 and ring16: one digest on any ranks; ring16 interrupted and gone on with elsewhere, with
# and without what the silos have kept, and replayed.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables

# trained RUN RANKS WORDS...: trains quietly and prints the model's digest.
trained() {
    local run=$1 ranks=$2; shift 2
    # shellcheck disable=SC2086
    timeout 120 mpirun $MPIRUN_FLAGS -n "$ranks" "$GRANARY" train small.yaml "$@" --quiet --run "$run" \
        >train.out 2>&1 </dev/null || { tail -n 5 train.out >&2; echo failed; return; }
    "$GRANARY" inspect --digest "$run/model.h5"
}
digest() { local run; run=$(mktemp -u run-XXXXXXXX); trained "$run" "$@"; rm -rf "$run"; }
bytes() { grep -o '"bytes_sent": *[0-9]*' "$1/metrics.jsonl" | grep -o '[0-9]*$' | awk '{s += $1} END {print s}'; }

plain=$(digest 1)
for encoding in ring64 ring16; do
    words="--set aggregation.encoding=$encoding"
    # shellcheck disable=SC2086
    want=$(trained $encoding 1 $words)
    check "$encoding is its own" differ "$want" "$plain"
    for placed in "2" "8" "3 --set aggregation.ranks_per_node=1" \
        "4 --set aggregation.ranks_per_node=2 --set run.placement=cyclic"; do
        # shellcheck disable=SC2086
        check "$encoding on $placed" equal "$(digest $placed $words)" "$want"
    done
done
# shellcheck disable=SC2086
check "$encoding, rounds sampled" equal "$(digest 1 $words --set round.participants=4)" \
    "$(digest 3 $words --set round.participants=4)"
check "ring64 keeps nothing" test ! -e ring64/silos

# Large enough that the sums are what is sent.
large="--set model.hidden=[600,600] --set run.rounds=2 --set evaluate.every=0"
# shellcheck disable=SC2086
trained wide 2 $large >/dev/null; trained narrow 2 $large --set aggregation.encoding=ring16 >/dev/null
check "at most 0.52 of ring32's bytes" bash -c "awk 'BEGIN {exit !($(bytes narrow) <= 0.52 * $(bytes wide))}'"
rm -rf wide narrow

# What silos keep: theirs alone, and not in the checkpoint.
words="--set aggregation.encoding=ring16" want=$("$GRANARY" inspect --digest ring16/model.h5)
check "nobody else reads it" equal "$(stat -c %a ring16/silos ring16/silos/*.h5 | sort -u | tr '\n' ' ')" "600 700 "
check "two of each silo" equal "$(ls ring16/silos | wc -l)" 18
check "it is no model" exits 65 "$GRANARY" inspect ring16/silos/silo-003-000006.h5
trained ring32 1 >/dev/null
check "checkpoints as without it" equal "$(stat -c %s ring16/checkpoints/round-000006.h5)" \
    "$(stat -c %s ring32/checkpoints/round-000006.h5)"

# Interrupted after round 4, in RUN, on 3 ranks; then gone on with on 2.
# shellcheck disable=SC2086
trained part 3 $words --set run.rounds=4 >/dev/null
cp -r part from-older; cp -r part bereft
# shellcheck disable=SC2086
check "resumed on other ranks" equal "$(trained part 2 $words --resume)" "$want"
check "nobody began anew" bash -c "! grep -q anew part/events.jsonl"
# shellcheck disable=SC2086
check "and further" equal "$(trained part 4 $words --resume --set run.rounds=8)" \
    "$(digest 1 $words --set run.rounds=8)"

# From the checkpoint before, past states of rounds that are to come again.
perl -e 'open my $f, "+<", $ARGV[0]; seek $f, -s $ARGV[0] >> 1, 0; print $f "damage"' from-older/checkpoints/round-000004.h5
# shellcheck disable=SC2086
check "resumed from the one before" equal "$(trained from-older 4 $words --resume)" "$want"
check "it was" grep -q "passed over" from-older/events.jsonl

# A state is missing, one is damaged, one is another silo's.
rm bereft/silos/silo-004-000004.h5
perl -e 'open my $f, "+<", $ARGV[0]; seek $f, -s $ARGV[0] >> 1, 0; print $f "damage"' bereft/silos/silo-007-000004.h5
mv bereft/silos/silo-001-000004.h5 bereft/silos/silo-002-000004.h5
# shellcheck disable=SC2086
got=$(trained bereft 2 $words --resume)
check "it goes on without" differ "$got" "$want"
check "who begins anew is told" grep -q \
    '"round":5,.*"anew": *\["silo-001","silo-002","silo-004","silo-007"\]' bereft/events.jsonl
check "and nobody else" equal "$(grep -c anew bereft/events.jsonl)" 1
# shellcheck disable=SC2086
check "the replay is the same" equal "$(digest 3 $words --set "round.replay=$PWD/bereft/events.jsonl")" "$got"

# Three rows to train on, times 1e38 fit a float, but not with room for what an earlier round left over.
cat >few.yaml <<'YAML'
run: {name: few, rounds: 3, rehearsal: true}
data: {source: synthetic, silos: 4, synthetic: {features: 8, classes: 3, minimum_rows: 4, maximum_rows: 4, test_rows: 1}}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 8}
aggregation: {encoding: ring16}
faults: [{kind: explode, silo: 1, round: 2}]
YAML
check "no update of half of float32's range" exits 0 on_ranks 2 train few.yaml --quiet --run few
check "its silo sits out" grep -q '"sat out: update not finite".*silo-001' few/events.jsonl

# Where a state cannot be written there is no checkpoint, and the training goes on.
rm -rf part/silos; touch part/silos
# shellcheck disable=SC2086
check "no place for states" bash -c "[ '$(trained part 2 $words --resume --set run.rounds=10)' != failed ]"
check "no checkpoint then" test ! -e part/checkpoints/round-000010.h5
check "the alert" grep -q "disk refuses" part/events.jsonl
finish
