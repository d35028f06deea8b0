#!/usr/bin/env bash
# Who is drawn, and when a run ends early, as a user sees it: in metrics, in events, in the model.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
# train NAME RANKS WORDS...: a quiet run in the folder NAME.
train() { exits 0 on_ranks "$2" train small.yaml --quiet --run "$1" "${@:3}"; }
# values NAME KEY: of each round, on a line.
values() { grep -o "\"$2\":[^,}]*" "$1/metrics.jsonl" | cut -d: -f2 | tr '\n' ' '; }
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }

check "all silos" train whole 2
check "all silos, by size" train alike 3 --set round.participants=9 --set round.sampling=size \
    --set round.share_sizes=true
check "the same rows take part" equal "$(values alike examples)" "$(values whole examples)"
check "but silos weigh alike" bash -c "[ '$(digest alike)' != '$(digest whole)' ]"

here='[{silos: [0, 1, 2, 3], to: 2}, {silos: [4, 5, 6, 7, 8], from: 2, to: 4}, {silos: [8], from: 5}]'
check "silos come and go" train list 3 --set round.sampling=list --set "round.availability=$here"
check "as the list says" equal "$(values list participants)" "4 9 5 5 1 1 "
check "and those are who was selected" equal "$(values list selected)" "4 9 5 5 1 1 "
check "nobody is left for a round" exits 78 on_ranks 2 train small.yaml --quiet --run nobody \
    --set round.sampling=list --set 'round.availability=[{silos: [0,1,2,3,4,5,6,7,8], to: 2}]'
check "it is said which" says "round.availability: found 0 silos for round 3, allowed at least 1"

check "validate knows it" exits 78 "$GRANARY" validate small.yaml --set run.rounds=4 \
    --set round.sampling=list --set 'round.availability=[{silos: [0,1,2,3,4,5,6,7,8], to: 3}]'
check "which round" says "round.availability: found 0 silos for round 4, allowed at least 1"
check "rounds that are not trained do not matter" exits 0 "$GRANARY" validate small.yaml --set run.rounds=3 \
    --set round.sampling=list --set 'round.availability=[{silos: [0,1,2,3,4,5,6,7,8], to: 3}]'

# An update of 1e38 does not get past a trimmed mean, unless so few silos are left that nothing is cut.
robust() { train "$1" 2 --set run.rehearsal=true --set strategy.name=trimmed_mean --set strategy.trim=0.2 --set "faults=[$2]"; }
check "one wrong update of nine" robust cut '{kind: explode, silo: 3, round: 2}'
check "is cut" bash -c 'grep "\"round\":2," cut/metrics.jsonl | grep -qE "\"update_norm\":[0-9]\."'
check "without an alert" bash -c '! grep -q "no wrong update is withstood" cut/events.jsonl'
check "five of nine out" robust exposed '{kind: nan, silo: 0, round: 2}, {kind: nan, silo: 1, round: 2}, {kind: nan, silo: 2, round: 2}, {kind: nan, silo: 3, round: 2}, {kind: nan, silo: 4, round: 2}'
check "is told once" equal "$(grep -c "no wrong update is withstood" exposed/events.jsonl)" 1
check "with the round" bash -c 'grep "no wrong update is withstood" exposed/events.jsonl | grep -q "\"event\":\"alert\",\"round\":2,"'
check "a NaN is no large number" says "sits out: its update is not finite"

# Updates of many silos are added as they come. The rate falls by more than the grids span, so silos
# are trained once more: to the same update, although time ends it.
cat >many.yaml <<'YAML'
run: {name: many, rounds: 6}
data: {source: synthetic, silos: 40, synthetic: {minimum_rows: 5, maximum_rows: 60, test_rows: 1}}
model: {type: mlp, hidden: [80]}
train: {learning_rate: 0.05, batch_size: 10, epochs: 1000, seconds: 0.001, schedule: {type: step, every: 2, factor: 0.01}}
YAML
check "silos that time ends are trained once more" exits 0 on_ranks 2 train many.yaml --quiet --run many
check "and none sits out" equal "$(values many participants)" "40 40 40 40 40 40 "

# A replay takes who was there, whatever drew them.
sampled="--set round.participants=4 --set round.sampling=size --set round.share_sizes=true"
# shellcheck disable=SC2086
check "silo 5 sits out" train absent 2 $sampled --set run.rehearsal=true \
    --set 'faults=[{kind: nan, silo: 5, round: 1}, {kind: nan, silo: 0, round: 1}, {kind: nan, silo: 7, round: 2}]'
# shellcheck disable=SC2086
check "replayed" train replayed 3 $sampled --set "round.replay=absent/events.jsonl"
check "someone was absent" grep -q '"event":"partial"' absent/events.jsonl
check "the same model" equal "$(digest replayed)" "$(digest absent)"

# ---- early stopping ------------------------------------------------------------------------------
stop="--set stop.metric=validation_loss --set stop.patience=4 --set train.learning_rate=0.5 --set train.momentum=0.9 \
    --set run.rounds=60"
# best NAME: the round whose validation loss is least, out of the metrics.
best() {
    perl -ne '$l = $1 if /"validation_loss":([0-9.e+-]+)/; if (!defined $b || $l < $b) { $b = $l; $r = $. } END { print $r }' \
        "$1/metrics.jsonl"
}
# shellcheck disable=SC2086
check "ends early" train early 2 $stop
at=$(best early)
check "four rounds after the best" equal "$(wc -l <early/metrics.jsonl)" $((at + 4))
check "which was not the first" test "$at" -gt 2
check "the event says so" grep -q "\"event\":\"early stop\",\"round\":$((at + 4)).*\"best_round\":$at" early/events.jsonl
check "finished" grep -q '"outcome": *"finished"' early/manifest.json
# shellcheck disable=SC2086
check "a run up to that round" train upto 3 $stop --set stop.metric=none --set run.rounds="$at"
check "has the same model" equal "$(digest early)" "$(digest upto)"
check "its evaluation is that model's, with the AUC" cmp early/evaluation.json upto/evaluation.json
check "and says which round" grep -q "\"round\": *$at\b" early/evaluation.json
check "the model says which round" bash -c "'$GRANARY' inspect early/model.h5 | grep -qE 'round +$at\$'"
check "ended is ended" exits 0 on_ranks 1 train small.yaml --quiet --run early --resume $stop
check "no round more" equal "$(wc -l <early/metrics.jsonl)" $((at + 4))
check "nor another evaluation" cmp early/evaluation.json upto/evaluation.json
for half in $((at - 1)) "$at" $((at + 2)); do
    # shellcheck disable=SC2086
    check "up to round $half" train "half-$half" 3 $stop --set run.rounds=$half
    # shellcheck disable=SC2086
    check "resumed" train "half-$half" 2 $stop --resume
    check "ends in the same round" equal "$(wc -l <"half-$half/metrics.jsonl")" $((at + 4))
    check "with the same model" equal "$(digest "half-$half")" "$(digest early)"
done
check "without patience it goes on" train patient 2 $stop --set stop.patience=0 --set run.rounds=30
check "to the end" equal "$(wc -l <patient/metrics.jsonl)" 30
check "and keeps the best" grep -q "\"event\":\"best model\".*\"best_round\":$(best patient)[,}]" patient/events.jsonl
check "accuracy, looked at every second round" train accuracy 3 $stop --set evaluate.every=2 \
    --set stop.metric=validation_accuracy --set stop.minimum_delta=0.01 \
    --set stop.patience=3 --set train.learning_rate=0.05 --set train.momentum=0
check "ends after a round looked at" equal "$(($(wc -l <accuracy/metrics.jsonl) % 2))" 0
check "early" grep -q '"event":"early stop"' accuracy/events.jsonl

# A metric that never has a value, here for lack of validation rows, ends nothing.
check "no value" train valueless 2 --set stop.metric=validation_loss --set stop.patience=2 --set run.rounds=6 \
    --set data.validation_fraction=1e-9
check "all rounds" equal "$(wc -l <valueless/metrics.jsonl)" 6
check "it is told" grep -q '"what": *"stop.metric has had no value"' valueless/events.jsonl

# Ranks are lost, and one is given up and comes back: those that are left end in the same round.
stop="--set stop.metric=validation_loss --set stop.patience=8 --set stop.minimum_delta=0.1 \
    --set train.learning_rate=0.5 --set run.rounds=60"
# shellcheck disable=SC2086
check "it ends" exits 0 "$GRANARY" run -n 4 --restarts 0 --run lossy small.yaml --quiet $stop \
    --set run.rehearsal=true --set round.deadline_s=3 --set round.collective_deadline_s=1 \
    --set round.heartbeat_s=1 --set 'faults=[
        {kind: stop, silo: 4, round: 2, point: evaluate, seconds: 2.2},
        {kind: delay, silo: 2, round: 3, seconds: 0.5}, {kind: delay, silo: 2, round: 4, seconds: 0.5},
        {kind: delay, silo: 2, round: 5, seconds: 0.5}, {kind: kill, silo: 0, round: 6, point: record},
        {kind: kill, silo: 8, round: 7, point: commit}, {kind: kill, silo: 2, round: 8, point: record}]'
check "finished" grep -q '"outcome": *"finished"' lossy/manifest.json
check "early" grep -q '"event":"early stop"' lossy/events.jsonl
check "three were lost" equal "$(grep -c '"event":"lost"' lossy/events.jsonl)" 3
kept=$(grep '"event":"early stop"' lossy/events.jsonl | grep -o '"best_round":[0-9]*' | cut -d: -f2)
check "replayed up to the best round" train again 2 --set train.learning_rate=0.5 \
    --set run.rounds="$kept" --set round.replay=lossy/events.jsonl
check "it is the model that was kept" equal "$(digest lossy)" "$(digest again)"
check "its events are whole" exits 0 "$GRANARY" inspect lossy
finish
