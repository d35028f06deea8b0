#!/usr/bin/env bash
# What a run that goes on finds, or does not find, in its folder and among its tables: nothing that
# holds more rounds is written over, and what training can do without does not end it.
. "$(dirname "$0")/library.sh"
awk 'BEGIN {srand(5); for (s = 0; s < 4; s++) {f = "t" s ".csv"; print "a,b,y" >f
    for (i = 0; i < 40; i++) {x = rand(); z = rand(); y = (x + rand() / 4 > z); printf "%.4f,%.4f,%d\n", x, z, y >f}}}'
cp t3.csv test.csv
cat >base.yaml <<'YAML'
run: {name: base, rounds: 12, rehearsal: true}
data: {source: csv, silos: 3, silo_tables: [{file: t0.csv}, {file: t1.csv}, {file: t2.csv}], test: {file: test.csv}, csv: {label: y}, validation_fraction: 0.1}
model: {type: mlp, hidden: [8]}
train: {learning_rate: 0.1, batch_size: 8}
checkpoint: {every: 4, keep: 2}
YAML
digest() { "$GRANARY" inspect --digest "$1/model.h5" || echo failed; }
# sums DIR: of all that a refused resumption must leave as it is.
sums() { (cd "$1" && find . -type f ! -name lock ! -path './claims/*' -print0 | sort -z | xargs -0 cksum); }
# kept CODE DIR WORDS...: refused with that code, and nothing in the folder has changed.
kept() {
    local before; before=$(sums "$2")
    exits "$1" on_ranks 2 train base.yaml --resume --run "${@:2}" && equal "$before" "$(sums "$2")"
}

check "undisturbed" exits 0 on_ranks 2 train base.yaml --quiet --run whole
want=$(digest whole)

# ---- checkpoints that are gone ------------------------------------------------------------------
cp -r whole bare; rm -r bare/checkpoints; mkdir -p bare/checkpoints
check "finished, and without checkpoints" kept 65 bare
check "it says so" says "events.jsonl tells of a checkpoint after round 12, in checkpoints/ there is none"
check "and what helps" says "begin a run in another one (--run)"
check "also with more rounds to come" kept 65 bare --set run.rounds=20
rm bare/events.jsonl
check "the model alone is enough" kept 65 bare
check "it says so" says "holds model.h5 and no checkpoint"
rm bare/model.h5
check "so are the metrics" kept 65 bare
check "it says so" says "metrics.jsonl has 12 rounds"
cp -r whole older; rm older/checkpoints/round-000012.h5
check "the newest is gone" kept 65 older --set run.rounds=20
check "it says so" says "after round 12, the newest in checkpoints/ is of round 8"
cp -r whole fewer
perl -e 'open my $f, "+<", $ARGV[0]; seek $f, -s $ARGV[0] >> 1, 0; print $f "damage"' fewer/checkpoints/round-000012.h5
check "a model of more rounds than are asked for" kept 78 fewer --set run.rounds=10
check "it says so" says "run.rounds: found 10, expected at least the 12 rounds of model.h5"
check "a damaged one is passed over" exits 0 on_ranks 2 train base.yaml --resume --run fewer --quiet
check "to the same model" equal "$(digest fewer)" "$want"
# Killed before its first checkpoint there is nothing to go back to.
# shellcheck disable=SC2086
mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train base.yaml --quiet --run early --set "faults=[{kind: kill, silo: 0, round: 3}, {kind: kill, silo: 2, round: 3}]" >"$OUT" 2>&1 </dev/null
check "it was killed" test ! -e early/model.h5
check "from the first round on" exits 0 on_ranks 2 train base.yaml --resume --run early --quiet
check "the same model" equal "$(digest early)" "$want"

# ---- folders that are not empty -----------------------------------------------------------------
for file in evaluation.json report.html model.h5; do
    mkdir -p "has-$file"; echo kept >"has-$file/$file"
    check "a run beside $file is refused" exits 73 on_ranks 2 train base.yaml --run "has-$file"
    check "and the file is as it was" equal "$(cat "has-$file/$file")" kept
done
mkdir runs; echo kept >runs/latest
"$GRANARY" train base.yaml --quiet --set run.rounds=1 >"$OUT" 2>"$ERR" </dev/null
check "a file in the place of the link stays" equal "$(cat runs/latest)" kept

# ---- a run directory that is moved away ---------------------------------------------------------
# away WORDS...: in its fourth round, between two starts' worth of records; then `granary run` ends.
away() {
    "$GRANARY" run -n 2 base.yaml --quiet --run "$1" --backoff 0.1 --set run.rounds=40 --set \
        "faults=[{kind: delay, silo: 1, round: 10, seconds: 3}]" -- $MPIRUN_FLAGS >"$1.out" 2>"$1.err" </dev/null &
    local job=$!
    code=none
    wait_lines "$1/metrics.jsonl" 9 || return 1
    mv "$1" "$1.moved"
    [ $# = 1 ] || mkdir "$1"
    wait $job; code=$?
}
away moved
check "moved away" equal "$code" 73
check "it says so" grep -q "moved: the run directory is gone" moved.err
check "nothing is begun in its place" test ! -e moved
check "what was done is there" test "$(wc -l <moved.moved/metrics.jsonl)" -ge 9
mv moved.moved moved
check "brought back it goes on" exits 0 on_ranks 2 train base.yaml --resume --run moved --quiet
check "to the same model" equal "$(digest moved)" "$want"
away replaced empty
check "replaced" equal "$code" 73
check "it says so" grep -q "replaced: is no longer the folder of the run" replaced.err
check "the other folder is as it was" equal "$(ls replaced)" ""

# ---- a test table that is another one when it is dealt anew --------------------------------------
cp test.csv swapped.csv
"$GRANARY" run -n 3 base.yaml --quiet --run swapped --set data.test.file=swapped.csv --set \
    "faults=[{kind: delay, silo: 0, round: 4, seconds: 3}, {kind: kill, silo: 2, round: 5}]" -- $MPIRUN_FLAGS >"$OUT" 2>"$ERR" </dev/null &
job=$!
check "three rounds" wait_lines swapped/metrics.jsonl 3
{ head -n 1 test.csv; tail -n 1 test.csv; sed '1d;$d' test.csv; } >other.csv; mv other.csv swapped.csv
wait $job
check "the run goes on" test -e swapped/model.h5
check "the scores end" equal "$(grep -c '"test_loss":null' swapped/metrics.jsonl)" 8
check "it is told" grep -q '"event":"test table cannot be scored","round":5,"where":"it is not the one that the run began with"' swapped/events.jsonl

# ---- the test table is gone when the run goes on ------------------------------------------------
check "stopped" exits 0 on_ranks 2 train base.yaml --quiet --run blind --set run.rounds=4
mv test.csv kept.csv
check "without its test table a run does not start" exits 65 on_ranks 2 train base.yaml --run none
check "but it goes on" exits 0 on_ranks 2 train base.yaml --resume --run blind --set run.rounds=8
check "undefined from there on" equal "$(grep -c '"test_loss":null.*"test_rows":0' blind/metrics.jsonl)" 4
check "validation rows are scored" equal "$(grep -c '"validation_loss":null' blind/metrics.jsonl)" 0
check "it is told" grep -q '"event":"test table cannot be scored","round":5' blind/events.jsonl
check "with the reason" grep -q '"why": "the test table cannot be read"' blind/evaluation.json
mv kept.csv test.csv
check "and on, with the table again" exits 0 on_ranks 3 train base.yaml --resume --run blind --quiet
check "which is scored again" equal "$(grep -c '"test_loss":null' blind/metrics.jsonl)" 4
check "of the same model" equal "$(digest blind)" "$want"
sed -i '3s/^/1/' test.csv
check "another one is refused still" exits 78 on_ranks 2 train base.yaml --resume --run blind --set run.rounds=20
finish
