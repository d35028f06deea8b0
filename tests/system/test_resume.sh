#!/usr/bin/env bash
# Killed or asked to stop at any round, resumed on another number of ranks: the same model.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
rounds=400
words="small.yaml --set run.rounds=$rounds --set checkpoint.every=20"
# shellcheck disable=SC2086
check "undisturbed" exits 0 on_ranks 3 train $words --quiet --run whole
want=$("$GRANARY" inspect --digest whole/model.h5)

lines() { wc -l <"$1" 2>/dev/null || echo 0; }
# wait_round DIR N: until N rounds are recorded.
wait_round() { wait_lines "$1/metrics.jsonl" "$2"; }
# start DIR RANKS: in the background, its own process group; PID of mpirun in $job.
start() {
    # shellcheck disable=SC2086
    setsid mpirun $MPIRUN_FLAGS -n "$2" "$GRANARY" train $words --quiet --run "$1" >"$1.log" 2>&1 &
    job=$!
}

at=$((30 + RANDOM % 100))
start killed 4
check "runs to round $at" wait_round killed $at
kill -KILL -- -$job 2>/dev/null; signal_ours KILL; wait $job 2>/dev/null
check "no model yet" test ! -e killed/model.h5
check "another config is refused" exits 78 on_ranks 2 train $words --set train.learning_rate=0.2 --quiet --run killed --resume
check "and named, with both values" says "train.learning_rate: 0.1 then, 0.2 now"
idx_images other-images 403 77
check "other data are refused" exits 78 on_ranks 2 train $words --set data.train.features=other-images --quiet --run killed --resume
check "and named" says "begun with: silo-000: "
check "the salts are their owner's" equal "$(stat -c %a killed/secrets killed/secrets/run | tr '\n' ' ')" "700 600 "
chmod -R a+rX killed/secrets
cp test-images test-kept; printf '\377' | dd of=test-images bs=1 seek=100 conv=notrunc 2>/dev/null
# shellcheck disable=SC2086
check "another test table is refused" exits 78 on_ranks 2 train $words --quiet --run killed --resume
check "and named" says "begun with: the test table; a run goes on with the same rows only"
mv test-kept test-images; cp train-images.gz moved.gz
words+=" --set data.train.features=moved.gz"
check "the salts are again their owner's" equal "$(stat -c %a killed/secrets killed/secrets/run | tr '\n' ' ')" "700 600 "
check "a path that is no run" exits 64 on_ranks 2 train $words --quiet --run kiled --resume
check "fewer rounds than are done" exits 78 on_ranks 2 train $words --quiet --run killed --resume --set run.rounds=3
check "another model is refused" exits 78 on_ranks 2 train $words --set "model.hidden=[5]" --quiet --run killed --resume
# shellcheck disable=SC2086
check "without --resume it is refused" exits 73 on_ranks 2 train $words --quiet --run killed
# shellcheck disable=SC2086
check "resumed on 2 ranks" exits 0 on_ranks 2 train $words --quiet --run killed --resume
check "killed at round $at, same digest" equal "$("$GRANARY" inspect --digest killed/model.h5)" "$want"
check "a line a round" equal "$(lines killed/metrics.jsonl)" $rounds
check "in order, each once" equal "$(grep -o '"round": *[0-9]*' killed/metrics.jsonl | grep -o '[0-9]*$' | sort -nu | wc -l)" $rounds
check "the chain of events is whole" exits 0 "$GRANARY" inspect killed

for signal in TERM USR1; do
    start stop-$signal 2
    check "runs" wait_round stop-$signal 15
    # To the ranks, as a batch system does.
    signal_ours $signal granary
    wait $job; code=$?
    check "SIG$signal: exit code 75" equal $code 75
    check "it says how to go on" grep -q -- "--resume" stop-$signal.log
    done=$(lines stop-$signal/metrics.jsonl)
    check "a checkpoint of the last round" test -e "$(printf 'stop-%s/checkpoints/round-%06d.h5' $signal "$done")"
    # shellcheck disable=SC2086
    check "resumed on 3 ranks" exits 0 on_ranks 3 train $words --quiet --run stop-$signal --resume
    check "SIG$signal after round $done, same digest" equal "$("$GRANARY" inspect --digest stop-$signal/model.h5)" "$want"
done

# A damaged newest checkpoint: named, passed over, the same model in the end.
cp -r killed damaged
rm damaged/model.h5
newest=$(ls damaged/checkpoints/round-*.h5 | tail -n 1)
perl -e 'open my $f, "+<", $ARGV[0]; seek $f, -s $ARGV[0] >> 1, 0; print $f "damage"' "$newest"
# shellcheck disable=SC2086
check "resumed past a damaged checkpoint" exits 0 on_ranks 2 train $words --run damaged --resume
check "it is named" grep -q "$(basename "$newest")" "$OUT" "$ERR"
check "same digest" equal "$("$GRANARY" inspect --digest damaged/model.h5)" "$want"
check "the events tell" grep -q "passed over" damaged/events.jsonl

# All checkpoints damaged: no run from the start under the name of a resumed one.
cp -r killed hopeless
for file in hopeless/checkpoints/round-*.h5; do
    perl -e 'open my $f, "+<", $ARGV[0]; seek $f, -s $ARGV[0] >> 1, 0; print $f "damage"' "$file"
done
# shellcheck disable=SC2086
check "no whole checkpoint" exits 65 on_ranks 2 train $words --run hopeless --resume
check "metrics stay" cmp hopeless/metrics.jsonl killed/metrics.jsonl

# A silo whose data are gone when the run is resumed stays away, and may come back later.
for silo in 0 1 2; do
    idx_images images-$silo $((60 + silo)) $silo; idx_labels labels-$silo $((60 + silo))
done
cat >tables.yaml <<'YAML'
run: {name: tables}
data:
  source: idx
  silo_tables:
    - {features: images-0, labels: labels-0}
    - {features: images-1, labels: labels-1}
    - {features: images-2, labels: labels-2}
  test: {features: test-images, labels: test-labels}
model: {type: mlp, hidden: [7]}
train: {learning_rate: 0.1, batch_size: 8}
YAML
# part CODE RANKS ROUNDS [--resume]
part() {
    # shellcheck disable=SC2086
    exits "$1" on_ranks "$2" train tables.yaml --quiet --run tables --set "run.rounds=$3" ${4:-}
}
check "a table a silo" part 0 2 4
mv images-1 away
check "resumed without one of them" part 0 3 7 --resume
check "two of three took part" grep -q '"round":7,"participants":2' tables/metrics.jsonl
check "the manifest tells" grep -q '"data_incomplete": false' tables/manifest.json
mv away images-1
check "resumed with it" part 0 1 9 --resume
check "all took part" grep -q '"round":9,"participants":3' tables/metrics.jsonl
mv images-1 away; idx_images images-1 61 9
check "other data of that silo are refused" part 78 2 10 --resume
check "and named" says "begun with: silo-001: train rows; a run goes on with the same rows only"
rm tables/secrets/silo-001
check "without its salt they cannot be compared" part 0 2 10 --resume
check "which the events tell" grep -q '"what":"data cannot be compared"' tables/events.jsonl

# --resume without --run takes the latest.
check "a run under runs/" exits 0 on_ranks 2 train small.yaml --quiet
check "latest points at it" test -e runs/latest/model.h5
check "resume of the latest" exits 0 on_ranks 2 train small.yaml --quiet --resume --set run.rounds=8
check "goes on to round 8" equal "$(lines runs/latest/metrics.jsonl)" 8
check "a run of a name of its own" exits 0 on_ranks 2 train small.yaml --quiet --run runs/named
check "latest follows" equal "$(readlink runs/latest)" named
check "one elsewhere" exits 0 on_ranks 2 train small.yaml --quiet --run elsewhere/named
check "latest follows" equal "$(readlink runs/latest)" "$PWD/elsewhere/named"
check "resume of the latest" exits 0 on_ranks 2 train small.yaml --quiet --resume --set run.rounds=9
check "is of that one" equal "$(lines elsewhere/named/metrics.jsonl)" 9
check "no link beside it" equal "$(ls -A elsewhere)" named
finish
