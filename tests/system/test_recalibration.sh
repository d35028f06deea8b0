#!/usr/bin/env bash
# Recalibration: found on validation rows, kept in the model, applied by predict and evaluate; the
# same on any number of ranks and behind masks; where it is not found the run says why.
. "$(dirname "$0")/library.sh"

# rows SEED N: a table of patients.
rows() {
    echo "age,bp,died"
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); for (i = 0; i < n; i++) { age = 20 + 60 * rand(); bp = 90 + 90 * rand()
        printf "%d,%d,%s\n", age, bp, rand() < 1 / (1 + exp(6 - age / 14 - bp / 90)) ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i 400 >$i.csv; done
rows 9 700 >test.csv
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: number, range: [0, 120]}
- {name: bp, type: number, range: [0, 250]}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: recalibrated, rounds: 3}
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
evaluate: {recalibration: platt}
YAML
train() { exits 0 on_ranks "$1" train run.yaml --quiet --run "$2" "${@:3}"; }
found() { tr -d ' \n' <"$1/evaluation.json" | grep -o '"postprocessing":.*'; }
# lost CONFIG RUN: the silo of the last of three ranks goes while sums are taken.
lost() {
    exits 0 "$GRANARY" run -n 3 "$1" --run "$2" --quiet --restarts 0 --set round.deadline_s=20 --set round.collective_deadline_s=10 \
        --set round.heartbeat_s=5 --set "faults=[{kind: kill, silo: 2, round: 3, point: postprocess}]"
}
# after RUN METRIC, before RUN METRIC: of test rows.
after() { found "$1" | grep -o '"after":.*' | grep -o "\"$2\":{\"value\":[^,}]*" | cut -d: -f3; }
before() { found "$1" | grep -o '"before":.*"after"' | grep -o "\"$2\":{\"value\":[^,}]*" | cut -d: -f3; }
# model RUN: all that the model says but its path and the salted digest of its data.
model() { "$GRANARY" inspect "$1/model.h5" | sed '1d; /config, data/d'; }
metric() { tr -d ' \n' <"$1" | grep -o "\"metrics\":.*" | grep -o "\"$2\":{\"value\":[^,}]*" | head -1 | cut -d: -f3; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a - b < 1e-9 && b - a < 1e-9) }' || { echo "  '$1' is not '$2'"; return 1; }; }
below() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a < b) }' || { echo "  '$1' is not below '$2'"; return 1; }; }

# ---- found, kept and applied ----------------------------------------------------------------------
check "a run without" train 1 plain --set evaluate.recalibration=none
"$GRANARY" predict plain/model.h5 test.csv -o plain.csv >/dev/null 2>&1
for method in platt temperature isotonic; do
    check "$method" train 3 $method --set evaluate.recalibration=$method
    for ranks in 1 2; do
        check "on $ranks ranks" train $ranks other --set evaluate.recalibration=$method
        check "the same evaluation" cmp $method/evaluation.json other/evaluation.json
        check "the same model" equal "$(model $method)" "$(model other)"
        rm -rf other
    done
    check "the loss on test rows falls" below "$(after $method log_loss)" "$(before $method log_loss)"
    check "scores before are those of the run" near "$(before $method log_loss)" "$(metric plain/evaluation.json log_loss)"
    "$GRANARY" evaluate $method/model.h5 test.csv --json >told.json 2>/dev/null
    for name in log_loss brier observed_expected calibration_slope; do
        check "granary evaluate finds the $name told after" near "$(metric told.json $name)" "$(after $method $name)"
    done
    "$GRANARY" predict $method/model.h5 test.csv -o $method.csv >/dev/null 2>&1
    check "the Brier score of the predictions" near "$(paste -d, $method.csv test.csv | awk -F, 'NR > 1 { d = $3 - ($NF == "yes"); s += d * d } END { printf "%.5f", s / (NR - 1) }')" "$(printf %.5f "$(after $method brier)")"
    check "the manifest has it" grep -q '"postprocessing": {' $method/manifest.json
    check "the report too" grep -q "Recalibration" $method/report.html
    check "and the card" grep -qi "recalibrated" $method/model-card.md
done
check "parameters are those of a run without" equal "$("$GRANARY" inspect --digest plain/model.h5)" "$("$GRANARY" inspect --digest platt/model.h5)"
check "slope and intercept, of four digits" bash -c 'tr -d " \n" <platt/manifest.json | grep -qE "\"intercept\":-?0\.[0-9]{1,5},\"slope\":[0-9.]{3,7}[},0]"'
# The log-odds of each prediction, before and after, lie on that line.
check "predictions are mapped so" awk -F, -v a="$(found platt | grep -o '"intercept":[^,]*' | cut -d: -f2)" -v b="$(found platt | grep -o '"slope":[^,]*' | cut -d: -f2)" '
    FNR == 1 { next } NR == FNR { x[FNR] = log($3 / $2); next }
    { d = log($3 / $2) - a - b * x[FNR]; if (d > 1e-5 || d < -1e-5) bad = 1 } END { exit bad || FNR != 701 }' plain.csv platt.csv
check "a label is that of the larger probability" awk -F, 'NR > 1 && (($1 == "yes") != ($3 > $2)) { exit 1 }' platt.csv
check "granary evaluate says so" exits 0 "$GRANARY" evaluate platt/model.h5 test.csv
check "in words" prints "probabilities are recalibrated, as the model says: platt"
check "the model shows it" bash -c '"$GRANARY" inspect platt/model.h5 | grep -q "\"method\": \"platt\""'

# ---- behind masks, and rows that silos hold out -----------------------------------------------------
sed 's/name: recalibrated/&, rehearsal: true/' run.yaml >secure.yaml; echo 'secure: {aggregation: true}' >>secure.yaml
check "under secure sums" exits 0 on_ranks 3 train secure.yaml --quiet --run secure
check "the same" equal "$(found secure)" "$(found platt)"
check "of test rows that silos hold out" train 2 held --set "data.test.file=''" --set data.validation_fraction=0.4 --set data.test_fraction=0.4
check "with four digits" near "$(after held log_loss)" "$(awk -v v="$(after held log_loss)" 'BEGIN { printf "%.4g", v }')"
check "without test rows" train 2 without --set "data.test.file=''"
check "it is found, and not told on its own rows" bash -c 'tr -d " \n" <without/evaluation.json | grep -q "\"slope\":0\.[0-9]*,\"test\":{\"why\":\"therearenotestrowswithscores\"}"'
check "the best round's model" train 2 best --set stop.metric=validation_loss
check "has one too" below "$(after best log_loss)" "$(before best log_loss)"

# ---- what is not found ------------------------------------------------------------------------------
check "validation rows that are too few" train 2 few --set data.disclosure_threshold=400
check "are told" grep -q '"event":"alert".*the model is not recalibrated: validation rows' few/events.jsonl
check "in the evaluation" bash -c 'tr -d " \n" <few/evaluation.json | grep -q "\"found_on\":\"validation\",\"why\":\"validationrows"'
check "and the model is as it was" equal "$("$GRANARY" inspect few/model.h5 | grep -c postprocessing)" 0
# A silo goes while sums are taken: those over the others would tell of its rows.
sed 's/name: recalibrated/&, rehearsal: true/' run.yaml >rehearsal.yaml
check "a silo that goes" lost rehearsal.yaml gone
check "nothing is found" grep -q 'silos may have gone since the model was scored' gone/events.jsonl
check "nor behind masks" lost secure.yaml behind
check "where too few are left" grep -q 'not recalibrated: too few parties are left for a secure sum' behind/events.jsonl
check "a run that is gone on with after its last round" exits 0 "$GRANARY" train run.yaml --quiet --run half --set evaluate.recalibration=none
check "without a score of its own" exits 0 "$GRANARY" train run.yaml --quiet --run half --resume
check "finds nothing" grep -q 'silos may have gone since the model was scored' half/events.jsonl

# ---- what is refused --------------------------------------------------------------------------------
check "a method that is none" exits 78 "$GRANARY" validate run.yaml --set evaluate.recalibration=beta
check "without validation rows" exits 78 "$GRANARY" validate run.yaml --set data.validation_fraction=0
check "says what is lacking" says "allowed more than 0 with evaluate.recalibration"
check "without evaluations" exits 78 "$GRANARY" validate run.yaml --set evaluate.every=0
check "with noise in all that leaves" exits 78 "$GRANARY" validate run.yaml --set 'privacy={unit: row, clip_norm: 1, noise_multiplier: 1}'
check "says why not" says "evaluate.recalibration: found platt, not allowed"
check "of a number" exits 78 "$GRANARY" validate run.yaml --set model.type=linear
check "says of which" says "evaluate.recalibration: found platt, allowed only none with a model that predicts a number"
sed '2,300s/,[a-z]*$/,maybe/; 2,100s/,[a-z]*$/,no/' 1.csv >maybe.csv && mv maybe.csv 1.csv
sed 's/\[no, yes\]/[no, yes, maybe]/' schema.yaml >three.yaml
several=(--set data.schema=three.yaml --set model.type=softmax)
check "platt of three classes" exits 78 "$GRANARY" train run.yaml --quiet --run three "${several[@]}"
check "says which there is" says "evaluate.recalibration: found platt, allowed only temperature of a model of 3 classes"
check "a temperature of three classes" exits 0 "$GRANARY" train run.yaml --quiet --run three "${several[@]}" --set evaluate.recalibration=temperature
check "is applied" exits 0 "$GRANARY" evaluate three/model.h5 test.csv
check "and said" prints "as the model says: temperature"
finish
