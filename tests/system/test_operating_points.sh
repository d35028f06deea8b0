#!/usr/bin/env bash
# Operating points and calibration of a run of two classes: chosen on validation rows and told on
# test rows, as who counts predictions by hand finds them; the same on any number of ranks and
# behind masks; in steps where silos hold the rows out.
. "$(dirname "$0")/library.sh"

# rows SEED N: a table of patients.
rows() {
    echo "age,bp,died"
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); for (i = 0; i < n; i++) { age = 20 + 60 * rand(); bp = 90 + 90 * rand()
        printf "%d,%d,%s\n", age, bp, rand() < 1 / (1 + exp(6 - age / 14 - bp / 90)) ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i 400 >$i.csv; done
rows 9 700 >test.csv
rows 10 300 | sed '2,200s/yes$/no/' >others.csv
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: number, range: [0, 120]}
- {name: bp, type: number, range: [0, 250]}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: points, rounds: 3}
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
evaluate: {operating_points: [youden, sensitivity=0.8, specificity=0.9]}
YAML
train() { exits 0 on_ranks "$1" train run.yaml --quiet --run "$2" "${@:3}"; }
# at FILE RULE KEY: a figure of the operating point of that rule.
at() { tr -d ' \n' <"$1" | grep -o "\"rule\":\"$2\"[^}]*" | grep -o "\"$3\":[^,]*" | cut -d: -f2; }
# metric FILE NAME
metric() { tr -d ' \n' <"$1" | grep -o "\"$2\":{\"value\":[^,}]*" | cut -d: -f3; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a - b < 1e-9 && b - a < 1e-9) }' || { echo "  '$1' is not '$2'"; return 1; }; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a <= b) }' || { echo "  '$1' is above '$2'"; return 1; }; }

# ---- told on a common test table ------------------------------------------------------------------
check "a run" train 3 run
check "its evaluation is of test rows" grep -q '"rows_of": "test"' run/evaluation.json
check "thresholds are chosen on others" grep -q '"chosen_on": "validation"' run/evaluation.json
for ranks in 1 2; do
    check "on $ranks ranks" train $ranks other
    check "the same" cmp run/evaluation.json other/evaluation.json
    rm -rf other
done
"$GRANARY" predict run/model.h5 test.csv -o predictions.csv >/dev/null 2>&1
# counted RULE: sensitivity and specificity by hand, of predictions at the threshold.
counted() {
    paste -d, predictions.csv test.csv | awk -F, -v t="$(at run/evaluation.json "$1" threshold)" 'NR > 1 {
        yes = $NF == "yes"; n[yes]++; taken = $3 >= t; right[yes] += taken == yes }
        END { printf "%.17g %.17g\n", right[1] / n[1], right[0] / n[0] }'
}
for rule in youden sensitivity=0.8 specificity=0.9; do
    read -r sensitivity specificity <<<"$(counted $rule)"
    check "$rule: the sensitivity counted by hand" near "$(at run/evaluation.json $rule sensitivity)" "$sensitivity"
    check "$rule: the specificity" near "$(at run/evaluation.json $rule specificity)" "$specificity"
done
check "more is found at a lower threshold" at_most "$(at run/evaluation.json sensitivity=0.8 threshold)" "$(at run/evaluation.json specificity=0.9 threshold)"
check "with another test table" train 2 another --set data.test.file=others.csv
for rule in youden sensitivity=0.8 specificity=0.9; do
    check "$rule: the same threshold" equal "$(at another/evaluation.json $rule threshold)" "$(at run/evaluation.json $rule threshold)"
    check "$rule: another sensitivity" test "$(at another/evaluation.json $rule sensitivity)" != "$(at run/evaluation.json $rule sensitivity)"
done
for name in calibration_slope calibration_intercept hosmer_lemeshow hosmer_lemeshow_p average_precision; do
    check "$name is told" near "$(metric run/evaluation.json $name)" "$(metric run/evaluation.json $name)"
    check "granary evaluate finds the same $name" near "$("$GRANARY" evaluate run/model.h5 test.csv --json | tr -d ' \n' | grep -o "\"$name\":{\"value\":[^,}]*" | cut -d: -f3)" "$(metric run/evaluation.json $name)"
done
check "the report has the points" grep -q 'specificity=0.9' run/report.html

# ---- behind masks ---------------------------------------------------------------------------------
sed 's/name: points/name: points, rehearsal: true/' run.yaml >secure.yaml; echo 'secure: {aggregation: true}' >>secure.yaml
check "under secure sums" exits 0 on_ranks 3 train secure.yaml --quiet --run secure
points() { tr -d ' \n' <"$1/evaluation.json" | grep -o '"operating_points":.*'; }
check "the same points" equal "$(points secure)" "$(points run)"
check "the same slope" equal "$(metric secure/evaluation.json calibration_slope)" "$(metric run/evaluation.json calibration_slope)"

# ---- rows that silos hold out ---------------------------------------------------------------------
check "without a test table" train 3 held --set "data.test.file=''"
check "all is of validation rows" grep -q '"rows_of": "validation"' held/evaluation.json
read -r rows <<<"$(sed -n 's/^ "rows": \([0-9]*\),/\1/p' held/evaluation.json)"
for rule in youden sensitivity=0.8 specificity=0.9; do
    check "$rule: in steps" awk -v v="$(at held/evaluation.json $rule sensitivity)" 'BEGIN { n = v / 0.01; exit !(v != "" && n - int(n + 0.5) < 1e-9 && int(n + 0.5) - n < 1e-9) }'
done
check "of 12 silos' rows and more of test" train 2 both --set "data.test.file=''" --set data.validation_fraction=0.3 --set data.test_fraction=0.3
check "chosen on others too" bash -c 'grep -q "\"rows_of\": \"test\"" both/evaluation.json && grep -q "\"chosen_on\": \"validation\"" both/evaluation.json'
check "validation rows that are too few to be told of" train 3 three --set data.disclosure_threshold=700
check "choose nothing" bash -c 'grep -q "\"rows_of\": \"test\"" three/evaluation.json && ! grep -q operating_points three/evaluation.json'
check "too few rows for a point" train 2 few --set data.disclosure_threshold=500
check "there is none" bash -c '! grep -q "\"threshold\": 0\.[0-9]*,.*youden" few/evaluation.json'

# ---- what is refused ------------------------------------------------------------------------------
check "for a number there are none" exits 78 "$GRANARY" validate run.yaml --set 'model={type: linear}'
check "and that is said" says 'evaluate.operating_points: found some, allowed none with a model that predicts a number'
check "a rule that is none" exits 78 "$GRANARY" validate run.yaml --set 'evaluate.operating_points=[roc]'
check "says which there are" says 'found "roc", allowed youden, sensitivity=S and specificity=S, with S above 0 and at most 1'
check "without validation rows" exits 78 "$GRANARY" validate run.yaml --set data.validation_fraction=0
check "says what is lacking" says "allowed more than 0 with evaluate.operating_points"
check "with noise in all that leaves" exits 78 "$GRANARY" validate run.yaml --set 'privacy={unit: row, clip_norm: 1, noise_multiplier: 1}'
check "says why not" says "evaluate.operating_points: found some, not allowed"
check "a metric of quantiles" exits 78 "$GRANARY" validate run.yaml --set 'evaluate.metrics=[pinball_loss]'
check "says what there is" says 'found "pinball_loss", allowed'
finish
