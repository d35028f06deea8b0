#!/usr/bin/env bash
# Many runs in one folder: points, killed and gone on with, shared, failed, and what is refused.
. "$(dirname "$0")/library.sh"
cat >tiny.yaml <<'YAML'
run: {name: tiny, rounds: 6}
data:
  source: synthetic
  silos: 3
  validation_fraction: 0.2
  synthetic: {alpha: 1, beta: 1, features: 8, classes: 3, minimum_rows: 20, maximum_rows: 30, test_rows: 5}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10}
checkpoint: {every: 2}
YAML
lines() { wc -l <"$1"; }
stretches() { grep -c '"resumed_from"' "$1/manifest.json"; }

# ---- what is refused, before anything is written ------------------------------------------------
refused() { # CODE WORDS OPTIONS...
    check "${*:3} ends" exits "$1" "$GRANARY" sweep tiny.yaml --run none "${@:3}"
    check "it says why" says "$2"
    check "nothing is written" test ! -e none
}
refused 78 "nearest is train.learning_rate" --over train.learning_rat=0.1,0.2
refused 78 "p2-s1_learning_rate--1: --set train.learning_rate: found -1" --over train.learning_rate=0.1,-1
refused 64 "expected KEY=VALUE" --over train.learning_rate=
refused 64 "found an empty value" --over train.learning_rate=0.1,,0.2
refused 64 "--seeds says how many" --over run.seed=1,2
refused 64 "is given twice" --over train.epochs=1 --over train.epochs=2
refused 64 "a range is LOW..HIGH" --over train.learning_rate=0.1..1
refused 64 "nearest is test_accuracy" --metric test_acuracy
refused 78 "do not tell test_auc" --metric test_auc
refused 64 "found 4 for 2 points" --over train.epochs=1,2 --halving 4
refused 64 "4 ranks for 3 silos" -n 4
printf 'train.epochs,train.batch_size\n1\n' >short.csv
refused 78 "short.csv:2: found 1 cells, expected 2" --from short.csv
check "a folder that holds other things" exits 73 "$GRANARY" sweep tiny.yaml --run .
check "is named" says "and no plan.json"
check "a folder below a file" exits 73 "$GRANARY" sweep tiny.yaml --run tiny.yaml/x
check "--run of no plan" exits 65 "$GRANARY" sweep --run nothing

if [ "$(id -u)" != 0 ]; then
    mkdir -m 555 closed
    check "a folder that cannot be written" exits 73 "$GRANARY" sweep tiny.yaml --run closed/s
fi
# Of two plans for one folder the first is kept.
for seeds in 2 3 4; do
    { "$GRANARY" sweep tiny.yaml --seeds $seeds --plan --run race >/dev/null 2>&1; echo $? >>codes; } &
done
wait
check "one of three plans is laid" equal "$(sort codes | tr '\n' ' ')" "0 73 73 "

# ---- a grid -------------------------------------------------------------------------------------
grid=(tiny.yaml --over train.learning_rate=0.01,0.1 --over train.epochs=1,2 --seeds 2)
check "a grid" exits 0 "$GRANARY" sweep "${grid[@]}" --run grid
cp "$OUT" table
check "each run is told" prints "8/8  p"
check "the table" bash -c "grep -qE '^learning_rate  epochs  validation_accuracy  deviation    n$' '$OUT'"
check "four points" equal "$(grep -cE '^0\.[01]+ .* 2$' "$OUT")" 4
check "a line for each run" equal "$(grep -c ',done,6,' grid/sweep.csv)" 8
check "the settings are used" equal "$(sed -n 's/^  learning_rate: //p' grid/p3-s2_*/resolved.yaml)" 0.1
check "a setting and a seed make the usual run" exits 0 "$GRANARY" train tiny.yaml --quiet --run alone \
    --set train.learning_rate=0.1 --set train.epochs=1 --set run.seed=2
check "with its digest" equal "$("$GRANARY" inspect --digest grid/p3-s2_*/model.h5)" "$("$GRANARY" inspect --digest alone/model.h5)"
mean() { awk -F, -v k="$1" 'NR == 1 { for (i = 1; i <= NF; i++) c[$i] = i; next }
    $c["point"] == k { s += $c["validation_accuracy"]; n++ } END { printf "%.5g", s / n }' grid/sweep.csv; }
check "the mean of a point" grep -qE "^0.1 +1 +$(mean 3) " table
best=$(sed -n '/^learning_rate/{n;p}' table)
for p in 1 2 3 4; do check "none is better than the first" awk "BEGIN { exit !($(mean $p) <= $(awk '{print $3}' <<<"$best") + 1e-9) }"; done
check "the same again" exits 0 "$GRANARY" sweep "${grid[@]}" --run grid
check "trains nothing" equal "$(cat grid/p*/manifest.json | grep -c '"resumed_from"')" 8
check "by the folder alone" exits 0 "$GRANARY" sweep --run grid --quiet
check "is the same table" equal "$(sed -n 2p "$OUT")" "$best"
check "other seeds in it" exits 73 "$GRANARY" sweep "${grid[@]}" --seeds 3 --run grid
check "are refused" says '"seeds" differ'
sed 's/rounds: 6/rounds: 7/' tiny.yaml >changed.yaml
check "a config that has changed" exits 78 "$GRANARY" sweep changed.yaml "${grid[@]:1}" --run grid
check "is refused" says "has changed since"

# ---- Optuna's journal ---------------------------------------------------------------------------
check "a study, the most is best" equal "$(head -1 grid/optuna.jsonl)" \
    '{"op_code": 0, "worker_id": "granary", "study_name": "sweep", "directions": [2]}'
check "a trial for each run" equal "$(grep -c '^{"op_code": 4, "worker_id": "granary", "study_id": 0, "datetime_start": "20[-0-9T:]*", "state": 1, "value": 0\.' grid/optuna.jsonl)" 8
check "with choices" grep -qF '"distributions": {"train.learning_rate": "{\"name\": \"CategoricalDistribution\", \"attributes\": {\"choices\": [0.01, 0.1' grid/optuna.jsonl
check "and places among them" equal "$(grep -c '"params": {"train.learning_rate": 1, "train.epochs": 0}' grid/optuna.jsonl)" 2
if command -v /usr/bin/python3 >/dev/null && /usr/bin/python3 -c 'import optuna' 2>/dev/null; then
    check "optuna loads it" equal "$(/usr/bin/python3 -W ignore -c '
from optuna import load_study
from optuna.storages import JournalStorage, JournalFileStorage
trials = load_study(study_name="sweep", storage=JournalStorage(JournalFileStorage("grid/optuna.jsonl"))).trials
print(len(trials), {t.state.name for t in trials}, trials[4].params, trials[4].user_attrs["seed"])' 2>/dev/null)" \
        "8 {'COMPLETE'} {'train.learning_rate': 0.1, 'train.epochs': 1} 1"
fi

# ---- draws, a file, halving ---------------------------------------------------------------------
check "draws" exits 0 "$GRANARY" sweep tiny.yaml --over train.learning_rate=0.001..0.1:log --over train.epochs=1..3 \
    --random 9 --halving 3 --set run.rounds=9 --metric validation_loss --run drawn
cp "$OUT" table
check "nine points" equal "$(grep -c '^p' drawn/sweep.csv)" 9
check "within the ranges" awk -F, 'NR > 1 && !($3 >= 0.001 && $3 <= 0.1 && $4 ~ /^[123]$/) { exit 1 }' drawn/sweep.csv
check "not all alike" test "$(cut -d, -f3 drawn/sweep.csv | sort -u | wc -l)" = 10
check "six have one round" equal "$(grep -c ',dropped,1,' drawn/sweep.csv)" 6
check "two have three" equal "$(grep -c ',dropped,3,' drawn/sweep.csv)" 2
check "one has all" equal "$(grep -c ',done,9,' drawn/sweep.csv)" 1
# at ROUND STATES: the least and greatest loss in that round of the runs in these states.
at() { grep -E ",($2)," drawn/sweep.csv | cut -d, -f1 | while read -r run; do
    sed -n "s/^{\"round\":$1,.*\"validation_loss\":\([0-9.e+-]*\),.*/\1/p" "drawn/$run/metrics.jsonl"; done | sort -g; }
check "the best of round 1 went on" awk "BEGIN { exit !($(at 1 'dropped,3|done,9' | tail -1) <= $(at 1 'dropped,1' | head -1)) }"
check "the best of round 3 went on" awk "BEGIN { exit !($(at 3 'done,9') <= $(at 3 'dropped,3' | head -1)) }"
check "the last rung stands first" equal "$(awk '/^learning_rate/ { getline; print $NF }' table)" 9
check "and then the least loss" equal "$(awk '$NF == 1 { print $3 }' table)" "$(awk '$NF == 1 { print $3 }' table | sort -g)"
winner=drawn/$(grep ',done,9,' drawn/sweep.csv | cut -d, -f1)
check "it was resumed" equal "$(stretches "$winner")" 3
check "and no round done twice" equal "$(lines "$winner/metrics.jsonl")" 9
check "dropped trials are pruned" equal "$(grep -c '"state": 2' drawn/optuna.jsonl)" 8
check "with a distribution of reals" grep -qF '\"name\": \"FloatDistribution\", \"attributes\": {\"step\": null, \"low\": 0.001, \"high\": 0.1' drawn/optuna.jsonl
check "the same draws again" exits 0 "$GRANARY" sweep --run drawn
check "train nothing" equal "$(stretches "$winner")" 3
printf 'train.learning_rate,"model.hidden",model.type\r\n0.1,"[8, 4]",mlp\r\n0.1,[],softmax\r\n' >points.csv
check "points of a file" exits 0 "$GRANARY" sweep tiny.yaml --from points.csv --set run.rounds=1 --run filed
check "with lists" grep -qF '"[8, 4]",mlp,1,done' filed/sweep.csv

# wait_claim: until a process of the sweep has its file.
wait_claim() { for _ in $(seq 100); do ls torn/claims/.owner-$job-* >/dev/null 2>&1 && break; sleep 0.1; done; }

# ---- killed, stopped, shared --------------------------------------------------------------------
many=(tiny.yaml --over train.learning_rate=0.01,0.02,0.05 --seeds 4 --set run.rounds=200 --set checkpoint.every=20 --quiet)
check "undisturbed" exits 0 "$GRANARY" sweep "${many[@]}" --run whole
for kill in 1 2 3 4; do
    setsid "$GRANARY" sweep "${many[@]}" --run torn >/dev/null 2>&1 & job=$!
    sleep "0.$((3 + kill * 2))"
    kill -9 $job; wait $job 2>/dev/null
done
"$GRANARY" sweep "${many[@]}" --run torn >/dev/null 2>&1 & job=$!
sleep 0.5; wait_claim; kill -TERM $job; wait $job; code=$?
check "stopped, or done" test $code = 75 -o $code = 0
check "two at once go on" bash -c '"$GRANARY" sweep --run torn --quiet >a.out 2>&1 & job=$!
    "$GRANARY" sweep --run torn --quiet >b.out 2>&1 && wait $job'
check "the table is the same" cmp -s a.out b.out
check "no run is lost, none doubled" equal "$(ls -d torn/p* | grep -vc plan)" 12
for run in whole/p*-s*; do
    check "${run#*/}: all rounds, once" equal "$(lines "torn/${run#*/}/metrics.jsonl")" 200
    check "${run#*/}: the same model" equal "$("$GRANARY" inspect --digest "torn/${run#*/}/model.h5")" "$("$GRANARY" inspect --digest "$run/model.h5")"
done
check "no run is left" none_left granary

# Stopped in a later rung, the earlier ones stay as they were.
rungs=(tiny.yaml --over train.learning_rate=0.01,0.1 --halving 2 --set run.rounds=3000 --set checkpoint.every=100 --run rungs)
"$GRANARY" sweep "${rungs[@]}" >/dev/null 2>&1 & job=$!
for _ in $(seq 600); do [ "$(cat rungs/p*/metrics.jsonl 2>/dev/null | wc -l)" -gt 3200 ] && break; sleep 0.05; done
kill -TERM $job; wait $job; code=$?
check "stopped in the second rung, or done" test $code = 75 -o $code = 0
check "it goes on there" exits 0 "$GRANARY" sweep "${rungs[@]}"
check "to all rounds" equal "$(cat rungs/p*/metrics.jsonl | wc -l)" 4500
check "nothing failed" test ! -e rungs/failed

# Another host's claim stands while it is touched; this one's does not where the process is gone.
check "a plan alone" exits 0 "$GRANARY" sweep tiny.yaml --seeds 2 --plan --run claimed
check "trains nothing" test ! -e claimed/p1-s1
mkdir claimed/claims
echo "1 1 elsewhere" >claimed/claims/p1-s1.1
echo "99999999 5 $(cat /proc/sys/kernel/random/boot_id) $(readlink /proc/self/ns/pid)" >claimed/claims/p1-s2.1
check "without waiting" exits 0 "$GRANARY" sweep --run claimed --no-wait
check "one is elsewhere" prints "1 run is at work elsewhere"
check "and left" test ! -e claimed/p1-s1
check "the other is done" test -e claimed/p1-s2/model.h5
echo "ended" >claimed/claims/p1-s1.1
check "an owner that has ended" exits 0 "$GRANARY" sweep --run claimed --no-wait
check "leaves its run" test -e claimed/p1-s1/model.h5 -a -e claimed/claims/p1-s1.2

# ---- failures -----------------------------------------------------------------------------------
check "a point that diverges" exits 65 "$GRANARY" sweep tiny.yaml --over train.weight_decay=0,900 --set train.learning_rate=900 --set run.rounds=20 --run bad
check "is told" says "the first p2-s1_weight_decay-900: round"
check "the other is done" equal "$(grep -c ',done,' bad/sweep.csv)" 1
check "the reason is kept" grep -qE '^p2-.*,failed,.*,65,"?round .*diverged' bad/sweep.csv
check "its trial has failed" equal "$(grep -c '"state": 3' bad/optuna.jsonl)" 1
check "it stays so" exits 65 "$GRANARY" sweep --run bad --quiet
began=$(grep -c 'diverged' bad/logs/p2-*.log)
check "and is not started" equal "$(grep -c . bad/failed/p2-*.json)" 4
check "but with --retry" exits 65 "$GRANARY" sweep --run bad --quiet --retry
check "it is" test "$(grep -c 'diverged' bad/logs/p2-*.log)" -gt "$began"
check "a plan of three" exits 0 "$GRANARY" sweep tiny.yaml --seeds 3 --run full --plan
touch full/p1-s2
check "what cannot be written" exits 73 "$GRANARY" sweep --run full --jobs 1
check "is told" says "p1-s2: "
check "ends the sweep" test ! -e full/p1-s3 -a ! -e full/failed
rm full/p1-s2
check "it goes on with room" exits 0 "$GRANARY" sweep --run full
check "all are done" equal "$(grep -c ',done,6,' full/sweep.csv)" 3

# ---- ranks --------------------------------------------------------------------------------------
check "of two ranks" exits 0 "$GRANARY" sweep tiny.yaml --set run.rounds=6 -n 2 --run ranks
check "they trained" grep -q '"ranks": 2' ranks/p1-s1/manifest.json
check "the same model" equal "$("$GRANARY" inspect --digest ranks/p1-s1/model.h5)" "$("$GRANARY" inspect --digest full/p1-s1/model.h5)"
check "nothing is left" none_left
finish
