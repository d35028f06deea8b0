#!/usr/bin/env bash
# Intervals by a Poisson bootstrap: the same on any number of ranks and behind masks, beside the
# metrics and by their rules, of silos, of numbers, after a loss and with too little to tell; and
# what is refused.
. "$(dirname "$0")/library.sh"

# rows SEED N: a table of patients.
rows() {
    echo "age,bp,died"
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); for (i = 0; i < n; i++) { age = 20 + 60 * rand(); bp = 90 + 90 * rand()
        printf "%d,%d,%s\n", age, bp, rand() < 1 / (1 + exp(6 - age / 14 - bp / 90)) ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i 300 >$i.csv; done
rows 9 700 >test.csv
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: number, range: [0, 120]}
- {name: bp, type: number, range: [0, 250]}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: bootstrap, rounds: 2, rehearsal: true}
data:
  source: csv
  schema: schema.yaml
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  validation_fraction: 0.5
  test: {file: test.csv}
model: {type: logistic}
preprocess: {scale: standardise}
aggregation: {grid: public, clip_norm: 1, weight_max: 1000}
train: {learning_rate: 2, batch_size: 16}
evaluate: {bootstrap: {replicates: 200}, slices: [age=50]}
YAML
train() { exits 0 on_ranks "$1" train run.yaml --quiet --run "$2" "${@:3}"; }
# at FILE METRIC KEY: of the bootstrap of all rows.
at() { tr -d ' \n' <"$1/evaluation.json" | sed 's/.*"bootstrap":{"replicates"//; s/"silos":\[.*//' | grep -o "\"$2\":{[^}]*" | grep -o "\"$3\":[^,]*" | cut -d: -f2-; }
# metric FILE NAME
metric() { tr -d ' \n' <"$1/evaluation.json" | grep -o "\"$2\":{\"value\":[^,}]*" | head -1 | cut -d: -f3; }
around() { awk -v a="$(at "$1" "$2" lower)" -v b="$(metric "$1" "$2")" -v c="$(at "$1" "$2" upper)" 'BEGIN { exit !(a != "" && a < b && b < c) }'; }
near() { awk -v a="$1" -v b="$2" -v by="$3" 'BEGIN { exit !(a != "" && b != "" && a / b < 1 + by && b / a < 1 + by) }'; }

# ---- a table that is nobody's -----------------------------------------------------------------------
for n in 1 2 3; do check "on $n ranks" train $n test$n; done
check "2 ranks have the same bytes" cmp test1/evaluation.json test2/evaluation.json
check "3 ranks have the same bytes" cmp test1/evaluation.json test3/evaluation.json
for m in accuracy log_loss auc brier sensitivity observed_expected; do check "$m lies within" around test1 $m; done
p=$(metric test1 accuracy)
check "an accuracy's deviation is that of a share" near "$(at test1 accuracy standard_deviation)" "$(awk -v p="$p" 'BEGIN { print sqrt(p * (1 - p) / 700) }')" 0.15
delong=$(tr -d ' \n' <test1/evaluation.json | grep -o '"standard_error":[^,]*' | cut -d: -f2)
check "an AUC's deviation is DeLong's" near "$(at test1 auc standard_deviation)" "$delong" 0.15
count() { tr -d ' \n' <"$1/evaluation.json" | sed 's/.*"slices"://' | grep -oE "$2" | wc -l; }
check "groups have intervals of their shares" equal "$(count test1 '"sensitivity":\{"value":[0-9.]*,"bootstrap":\{"lower":')" 2
check "and so has fairness, but for predictions of a group that has none" equal "$(count test1 '"bootstrap":\{"(lower|why)":[^}]*\},"interval"')" 7
check "another seed draws others" train 2 seed --set run.seed=2 --set train.learning_rate=0.001
check "of other replicates" bash -c '! cmp -s <(grep -A3 "\"macro_f1\"" test1/evaluation.json) <(grep -A3 "\"macro_f1\"" seed/evaluation.json)'

# ---- rows that silos hold out --------------------------------------------------------------------------
held=(--set "data.test.file=''" --set evaluate.per_silo=true)
check "without a test table" train 1 held1 "${held[@]}"
check "on 3 ranks" train 3 held3 "${held[@]}"
check "the same bytes" cmp held1/evaluation.json held3/evaluation.json
check "of each silo as well" equal "$(tr -d ' \n' <held1/evaluation.json | sed 's/.*"silos":\[//' | grep -o '"bootstrap":{"accuracy":{"lower"' | wc -l)" 3
for key in lower upper mean; do
    check "$key: with policy.digits" awk -v a="$(at held1 auc $key)" 'BEGIN { n = a * 10000; exit !(a != "" && n - int(n + 0.5) < 1e-9 && int(n + 0.5) - n < 1e-9) }'
done
check "behind masks" train 3 masked --set "data.test.file=''" --set secure.aggregation=true
check "the same intervals" equal "$(at masked accuracy lower) $(at masked log_loss upper)" "$(at held1 accuracy lower) $(at held1 log_loss upper)"
check "few wrong rows: in steps" train 2 steps --set "data.test.file=''" --set data.disclosure_threshold=90
check "of the metric's" awk -v a="$(at steps accuracy lower)" 'BEGIN { n = a / 0.2; exit !(a != "" && n - int(n + 0.5) < 1e-9 && int(n + 0.5) - n < 1e-9) }'
check "too few rows: none" train 2 none --set "data.test.file=''" --set data.disclosure_threshold=600
check "nothing is told" bash -c '! grep -q "\"standard_deviation\"" none/evaluation.json'
silos=
for i in 1 2 3; do silos="$silos{directory: own$i}, "; done
sed 's/, rehearsal: true//' run.yaml >own.yaml; echo "silos: [$silos]" >>own.yaml
for i in 1 2; do check "silos with folders" exits 0 on_ranks 2 train own.yaml --quiet --run own$i --set "data.test.file=''"; done
check "have the same scores" equal "$(metric own1 accuracy)" "$(metric own2 accuracy)"
check "and draw by secrets" bash -c '! cmp -s own1/evaluation.json own2/evaluation.json'

# ---- other runs -------------------------------------------------------------------------------------
check "the best round's model" train 2 best --set stop.metric=validation_loss --set run.rounds=6 --set train.learning_rate=900
check "a run of one round" train 2 resumed --set run.rounds=1
check "that is gone on with" exits 0 on_ranks 3 train run.yaml --quiet --run resumed --resume
check "has the intervals of one that is not" cmp resumed/evaluation.json test1/evaluation.json
check "a silo is lost in the last evaluation" exits 0 "$GRANARY" run -n 3 --restarts 0 --run lost run.yaml --quiet --set round.deadline_s=5 --set round.heartbeat_s=1 --set 'faults=[{round: 2, silo: 2, point: score, kind: kill}]'
check "it is said" grep -q '"event":"lost"' lost/events.jsonl
check "its table is dealt anew, with the same draws" cmp lost/evaluation.json test1/evaluation.json
sed 's/silo_tables: .*/silos: 12\n  train: {file: all.csv}/; s/  test: .*/  test_fraction: 0.3/' run.yaml >dealt.yaml
cat 1.csv <(tail -n +2 2.csv) <(tail -n +2 3.csv) >all.csv
dealt() { exits 0 on_ranks "$1" train dealt.yaml --quiet --run "$2" "${@:3}"; }
check "silos of a table that is dealt" dealt 1 dealt1 --set evaluate.bootstrap.unit=silo
check "on 3 ranks" dealt 3 dealt3 --set evaluate.bootstrap.unit=silo
check "the same bytes" cmp dealt1/evaluation.json dealt3/evaluation.json
check "are counted" grep -q '"silos": 12' dealt1/evaluation.json
check "few are said to be few" grep -q 'drawn: 12 silos). They are few' dealt1/report.html
check "the card has intervals" grep -q '^| accuracy | 0.[0-9]* to 0.[0-9]* | ' dealt1/model-card.md

# ---- what is refused ---------------------------------------------------------------------------------
check "few replicates" exits 78 "$GRANARY" validate run.yaml --set evaluate.bootstrap.replicates=20
check "says how many" says "found 20, allowed 0, or 100 to 10000"
check "silos of tables of their own" exits 78 "$GRANARY" validate run.yaml --set "data.test.file=''" --set evaluate.bootstrap.unit=silo
check "says why not" says "some replicates would be of a single silo"
check "silos with a table that is nobody's" exits 78 "$GRANARY" validate dealt.yaml --set evaluate.bootstrap.unit=silo --set data.test_fraction=0 --set data.test.file=test.csv
check "says why not" says "whose rows are of no silo"
check "with noise in all that leaves" exits 78 "$GRANARY" validate own.yaml --set 'privacy={unit: row, clip_norm: 1, noise_multiplier: 1}'
check "says why not" says "evaluate.bootstrap.replicates: found a number above 0, not allowed"
check "many classes" exits 78 on_ranks 2 train "$TOP/configs/synthetic.yaml" --quiet --run many --set evaluate.bootstrap.replicates=10000 --set data.synthetic.classes=60 --set data.synthetic.test_rows=20
check "says what fits" says "evaluate.bootstrap.replicates: found 10000, allowed at most"
finish
