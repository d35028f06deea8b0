#!/usr/bin/env bash
# What a run leaves behind, and who may write there.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables

check "a run" exits 0 on_ranks 3 train small.yaml
check "the summary names the report" prints "report.html"
check "plain lines without a terminal" bash -c "! grep -q $'\r' '$OUT'"
run=$(readlink -f runs/latest)
check "named after the run" grep -q '/runs/small-' <<<"$run"
for file in config.yaml resolved.yaml manifest.json metrics.jsonl events.jsonl model.h5 report.html evaluation.json; do
    check "$file" test -s "$run/$file"
done
check "config.yaml is the config as given" cmp small.yaml "$run/config.yaml"
check "resolved.yaml is valid" exits 0 "$GRANARY" validate "$run/resolved.yaml"
check "keeps 2 checkpoints" equal "$(ls "$run/checkpoints" | wc -l)" 2
check "a line a round" equal "$(wc -l <"$run/metrics.jsonl")" 6
for key in round participants examples train_loss validation_loss test_loss test_accuracy seconds train \
    aggregate evaluate checkpoint total bytes_sent cpu_seconds_train; do
    check "metrics have $key" equal "$(grep -c "\"$key\"" "$run/metrics.jsonl")" 6
done
check "nothing names this host" bash -c "! grep -rq \"\$(hostname)\" '$run'"
check "the report shows no path" bash -c "! grep -qE 'train-images|test-images' '$run/report.html'"
check "no temporary files" equal "$(find "$run" -name '*.tmp' | wc -l)" 0
# Whatever the umask is, what comes of data is for its owner and group at most.
(
    umask 000
    exits 0 "$GRANARY" run small.yaml -n 2 --run open/run --quiet --set checkpoint.every=1
    exits 0 "$GRANARY" import --features test-images --labels test-labels -o open/table.h5
    exits 0 "$GRANARY" predict open/run/model.h5 --features test-images -o open/answers.csv
)
check "there is a run, a table, a prediction" ls -d open/run/model.h5 open/run/checkpoints/*.h5 open/table.h5 open/answers.csv >/dev/null
check "which others may not read, nor the group write" equal "$(find open -perm /027 -printf '%m %p\n')" ""
check "inspect the run" exits 0 "$GRANARY" inspect "$run"
check "inspect the model" exits 0 "$GRANARY" inspect "$run/model.h5"
check "it shows the tensors" prints "dense0.weight"
check "the digest alone" exits 0 "$GRANARY" inspect --digest "$run/model.h5"
check "is 64 hex digits and nothing else" grep -qxE '[0-9a-f]{64}' "$OUT"
check "and stands in the manifest" grep -q "$(cat "$OUT")" "$run/manifest.json"
check "evaluate" exits 0 "$GRANARY" evaluate "$run/model.h5" --features test-images --labels test-labels
accuracy=$(sed -n 's/^rows.*accuracy //p' "$OUT")
check "as in the last round's metrics" grep -q "\"test_accuracy\": *$(sed 's/0*$//' <<<"$accuracy")" <(tail -n 1 "$run/metrics.jsonl")
check "import" exits 0 "$GRANARY" import --features test-images --labels test-labels -o test.h5
check "evaluate the imported table" exits 0 "$GRANARY" evaluate "$run/model.h5" test.h5
check "to the same accuracy" equal "$(sed -n 's/^rows.*accuracy //p' "$OUT")" "$accuracy"
check "inspect the table" exits 0 "$GRANARY" inspect test.h5
check "it has 90 rows" prints "90"

# The same data as HDF5 gives the same model.
check "import train" exits 0 "$GRANARY" import --features train-images.gz --labels train-labels.gz -o train.h5
check "train from HDF5" exits 0 on_ranks 2 train small.yaml --quiet --run hdf5 --set data.source=hdf5 \
    --set data.train.features="''" --set data.train.labels="''" --set data.train.file=train.h5 \
    --set data.test.features="''" --set data.test.labels="''" --set data.test.file=test.h5
check "same digest" equal "$("$GRANARY" inspect --digest hdf5/model.h5)" "$("$GRANARY" inspect --digest "$run/model.h5")"

# One table per silo.
for silo in 0 1 2; do
    "$GRANARY" import --features train-images.gz --labels train-labels.gz --first $((silo * 100)) --rows 100 -o silo$silo.h5 >/dev/null
done
cat >silos.yaml <<'YAML'
run: {name: silos, rounds: 2}
data:
  source: hdf5
  silo_tables: [{file: silo0.h5}, {file: silo1.h5}, {file: silo2.h5}]
  test: {file: test.h5}
model: {type: softmax}
train: {learning_rate: 0.1, batch_size: 8}
YAML
check "one table per silo" exits 0 on_ranks 3 train silos.yaml --quiet --run silos3
check "on one rank" exits 0 "$GRANARY" train silos.yaml --quiet --run silos1
check "same digest" equal "$("$GRANARY" inspect --digest silos1/model.h5)" "$("$GRANARY" inspect --digest silos3/model.h5)"
check "300 examples" grep -q '"examples": *300' silos1/metrics.jsonl

# In use by another run.
setsid mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train small.yaml --quiet --run busy --set run.rounds=100000 --set checkpoint.every=0 >busy.log 2>&1 &
job=$!
check "runs" wait_lines busy/metrics.jsonl 1
check "a directory in use is refused" exits 73 on_ranks 2 train small.yaml --quiet --run busy --resume
check "and says so" says "in use"
kill -KILL -- -$job; signal_ours KILL; wait $job 2>/dev/null

# Read-only and full.
if [ "$(id -u)" != 0 ]; then
    mkdir closed; chmod 555 closed
    check "read-only" exits 73 on_ranks 2 train small.yaml --quiet --run closed/run
elif mkdir tiny && mount -t tmpfs -o size=24k none tiny 2>/dev/null; then
    check "full" exits 73 on_ranks 2 train small.yaml --quiet --run tiny/run --set "model.hidden=[300]"
    check "nothing half-written" equal "$(find tiny -name '*.tmp' -o -name '.*.tmp' | wc -l)" 0
    mount -o remount,ro tiny
    check "read-only" exits 73 on_ranks 2 train small.yaml --quiet --run tiny/other
    umount tiny
fi
check "no folder may be made" exits 73 on_ranks 2 train small.yaml --quiet --run /proc/run
finish
