#!/usr/bin/env bash
# The files of a run directory vouch for each other: what is cut, emptied, edited or exchanged is
# found, in a run that has ended, goes on, or was killed; and is told when the run is gone on with.
. "$(dirname "$0")/library.sh"
cat >run.yaml <<'YAML'
run: {name: run, rounds: 6}
data:
  source: synthetic
  silos: 4
  synthetic: {features: 5, classes: 3, minimum_rows: 8, maximum_rows: 12, test_rows: 4}
model: {type: softmax}
train: {learning_rate: 0.1, batch_size: 8}
YAML
# train CODE DIR WORDS...
train() { exits "$1" on_ranks 2 train run.yaml --quiet --run "$2" "${@:3}"; }
check "a run" train 0 whole
check "another of the same config and data" train 0 other
check "it agrees" exits 0 "$GRANARY" inspect whole
check "with what" prints "the records agree with the checkpoint of round 6 and with the manifest"

check "the first event names the run" grep -q "\"run_id\":\"$(sed -n 's/.*"run_id": "\(.*\)",/\1/p' whole/manifest.json)\"" whole/events.jsonl

# found TEXT COMMAND...: of a copy that the command has changed, `inspect` says the text.
found() {
    local text=$1; shift
    rm -rf copy; cp -r "${FROM:-whole}" copy
    "$@" && exits 65 "$GRANARY" inspect copy && says "$text"
}
cut_events() { head -n -"$1" copy/events.jsonl >cut; mv cut copy/events.jsonl; }
check "the last event cut off" found "the event that closes the run, is missing" cut_events 1
n=$(wc -l <whole/events.jsonl)
check "two events cut off" found "events.jsonl: found $((n - 2)) lines, expected at least the $((n - 1)) that the manifest knows of" cut_events 2
check "all of them" found "events.jsonl: found 0 lines" truncate -s 0 copy/events.jsonl
check "the file gone" found "events.jsonl: No such file" rm copy/events.jsonl
check "another run's" found "are not those that" cp other/events.jsonl copy/events.jsonl
check "a metric edited" found "metrics.jsonl: its first 6 lines are not those that the checkpoint knows of" sed -i '2s/"train_loss":1/"train_loss":2/;2s/"train_loss":0/"train_loss":1/' copy/metrics.jsonl
check "what a round has cost edited" found "metrics.jsonl: not what it was at the end" sed -i '2s/"train":/"train":1/' copy/metrics.jsonl
check "a line of metrics cut off" found "metrics.jsonl: found 5 lines" sed -i '$d' copy/metrics.jsonl
check "metrics emptied" found "metrics.jsonl: found 0 lines" truncate -s 0 copy/metrics.jsonl
check "the manifest edited" found "manifest.json: not what it was at the end" sed -i 's/"seed": 1,/"seed": 2,/' copy/manifest.json
check "the run of another id" found "the checkpoint of run" cp other/manifest.json copy/manifest.json
exits 0 on_ranks 2 train run.yaml --quiet --run different --set run.seed=2
check "a model exchanged" found "model.h5: found a model of digest" cp different/model.h5 copy/model.h5

# A run that is killed in its course: what it had written behind its newest checkpoint may be gone.
check "killed in round 5" exits 137 on_ranks 1 train run.yaml --quiet --run killed --set checkpoint.every=2 \
    --set checkpoint.keep=1 --set run.rehearsal=true --set "faults=[{kind: kill, silo: 0, round: 5, point: aggregate}]"
FROM=killed
check "it agrees" exits 0 "$GRANARY" inspect killed
check "with what" prints "the records agree with the checkpoint of round 4"
drop_uncovered() { cut_events 1; sed -i '5,$d' copy/metrics.jsonl; exits 0 "$GRANARY" inspect copy; }
rm -rf copy; cp -r killed copy
check "without what it wrote behind it" drop_uncovered
check "events before it cut off" found "events.jsonl: found $(($(wc -l <killed/events.jsonl) - 2)) lines, expected at least the" cut_events 2
check "a metric edited" found "metrics.jsonl: its first 4 lines" sed -i '3s/"examples":/"examples":1/' copy/metrics.jsonl
check "the manifest edited" found "manifest.json: not what it was when the checkpoint was written" sed -i 's/"seed": 1,/"seed": 2,/' copy/manifest.json

# Gone on with, the differences stand in the chain; the model is that of an undisturbed run.
rm -rf copy; cp -r killed copy
sed -i '3s/"examples":/"examples":1/' copy/metrics.jsonl
check "an edited run is resumed" train 0 copy --resume
check "and it is told" grep -q '"event":"alert".*metrics.jsonl: its first 4 lines are not those' copy/events.jsonl
check "resumed as it was" train 0 killed --resume
check "nothing is told" bash -c "! grep -q alert killed/events.jsonl"
check "it agrees again" exits 0 "$GRANARY" inspect killed
check "the same run" equal "$(grep -c "$(sed -n 's/.*"run_id": "\(.*\)",/\1/p' copy/manifest.json)" killed/manifest.json)" 1
check "the same model" equal "$("$GRANARY" inspect --digest killed/model.h5)" "$("$GRANARY" inspect --digest whole/model.h5)"

# Bad lines among the events keep nobody from going on.
printf 'not an event\n' >>killed/events.jsonl
check "resumed past a bad line" train 0 killed --resume --set run.rounds=7
check "it is told" grep -q '"event":"alert".*is no event; the file as it was is kept as events.jsonl.damaged-1' killed/events.jsonl
check "and kept" grep -qx 'not an event' killed/events.jsonl.damaged-1
check "the chain holds" exits 0 "$GRANARY" inspect killed

# Another run's checkpoint, and two under each other's names.
rm -rf copy; cp -r whole copy
cp other/checkpoints/round-000006.h5 copy/checkpoints/
check "another run's checkpoint is refused" train 65 copy --resume --set run.rounds=7
check "and named" says "round-000006.h5: a checkpoint of another run"
rm -rf copy; cp -r whole copy
mv copy/checkpoints/round-000005.h5 five; mv copy/checkpoints/round-000006.h5 copy/checkpoints/round-000005.h5
mv five copy/checkpoints/round-000006.h5
check "exchanged checkpoints are refused" train 65 copy --resume --set run.rounds=7
check "and named" says "found a checkpoint of round 5, expected that of its name"

# While it goes on, a run never looks as if it had been touched.
setsid mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train run.yaml --quiet --run live --set run.rounds=300 >live.log 2>&1 &
job=$!
check "it begins" wait_lines live/metrics.jsonl 2
looks=0 agree=0
while [ $looks -lt 15 ] && kill -0 $job 2>/dev/null; do
    looks=$((looks + 1))
    exits 0 "$GRANARY" inspect live && agree=$((agree + 1))
done
check "looked at while it goes on" test $looks -gt 0
check "each time it agrees" equal $agree $looks
wait $job
check "and at its end" exits 0 "$GRANARY" inspect live
finish
