#!/usr/bin/env bash
# quick
# granary gate: what passes, what does not, what is not known; files of gates; what programs read.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/clinics.sh"
# The value of a metric of a run's evaluation.
metric() { awk -v key="\"$2\": {" 'index($0, key) { getline; sub(/,$/, "", $2); print $2; exit }' "$1/evaluation.json"; }
sum() { awk -v a="$1" -v b="$2" 'BEGIN { printf "%.9g", a + b }'; }
# gates RULES...: a file of them, one each.
gates() { { echo "gates:"; printf -- '- %s\n' "$@"; } >gates.yaml; }
gate() { exits "$1" "$GRANARY" gate "$2" --gates gates.yaml "${@:3}"; }

make_clinics 300
sed '/^privacy:/,$d; s/^data: {/data: {test_fraction: 0.3, validation_fraction: 0.2, /; /^silos:/d; s/steps: 10/steps: 4/' run.yaml >plain.yaml
cat >>plain.yaml <<'YAML'
evaluate: {per_silo: true}
gates:
- {kind: score, metric: accuracy, limit: 0.2}
- {kind: participation, limit: 1}
YAML
check "a run" exits 0 "$GRANARY" train plain.yaml --quiet --run a
check "another" exits 0 "$GRANARY" train plain.yaml --quiet --run b --set train.steps=1
check "its own gates" exits 0 "$GRANARY" gate a
check "are passed" equal "$(grep -c '^passed ' "$OUT") $(grep -c 'NOT' "$OUT")" "3 0"

# ---- at the limit, to the last digit -------------------------------------------------------------------
accuracy=$(metric a accuracy)
gates "{kind: score, metric: accuracy, limit: $accuracy}"
check "as good as asked" gate 0 a
gates "{kind: score, metric: accuracy, limit: $(sum "$accuracy" 0.0001)}"
check "a little less" gate 1 a
check "is not passed" prints "NOT PASSED  score accuracy"
check "and said" says "1 of 2 gates are not passed"
gates "{kind: score, metric: accuracy, require: at_most, limit: $(sum "$accuracy" -0.0001)}"
check "too much" gate 1 a
lower=$(awk '/"auc": \{/ { for (i = 0; i < 3; i++) { getline; if ($1 == "\"lower\":") { sub(/,$/, "", $2); print $2; exit } } }' a/evaluation.json)
upper=$(awk '/"auc": \{/ { for (i = 0; i < 4; i++) { getline; if ($1 == "\"upper\":") { sub(/,$/, "", $2); print $2; exit } } }' a/evaluation.json)
gates "{kind: score, metric: auc, limit: $lower}" "{kind: score, metric: auc, require: at_most, limit: $upper}"
check "a metric with bounds" gate 0 a
gates "{kind: score, metric: auc, limit: $(metric a auc)}"
check "its worse end counts" gate 1 a
check "and is shown" prints " to "

# ---- other kinds ----------------------------------------------------------------------------------------
difference=$(sum "$(metric a log_loss)" -"$(metric b log_loss)")
gates "{kind: regression, metric: log_loss, run: b, require: at_most, limit: $(sum "$difference" 1e-7)}"
check "no worse than another" gate 0 a
gates "{kind: regression, metric: log_loss, run: b, require: at_most, limit: $(sum "$difference" -1e-5)}"
check "or worse" gate 1 a
worst=$(awk '/"silos"/ { on = 1 } on && /^   "accuracy":/ { sub(/,$/, "", $2); if (least == "" || $2 < least) least = $2 } END { print least }' a/evaluation.json)
gates "{kind: worst_silo, metric: accuracy, limit: $worst}"
check "the worst silo" gate 0 a
gates "{kind: worst_silo, metric: accuracy, limit: $(sum "$worst" 0.0001)}"
check "is the worst" gate 1 a

# ---- what is not known ----------------------------------------------------------------------------------
# unknown NAME RUN RULE WORDS
unknown() { gates "$3"; check "$1" gate 1 "$2"; check "$1: why" prints "$4"; }
unknown "no such metric" a '{kind: score, metric: auroc, limit: 0}' 'score auroc  '
unknown "no metric named" a '{kind: score, limit: 0}' 'it is no metric'
unknown "no run" a '{kind: regression, metric: auc, run: nowhere, limit: 0}' 'the other run cannot be read: nowhere'
unknown "no privacy" a '{kind: epsilon, require: at_most, limit: 3}' 'the run has no differential privacy'
unknown "no such kind" a '{kind: scores, metric: auc, limit: 0}' 'its `kind` is none of'
unknown "no limit" a '{kind: score, metric: auc}' 'its `limit` is no number'
unknown "a word" a '{kind: score, metric: auc, limit: high}' 'its `limit` is no number'
unknown "not a number" a '{kind: score, metric: auc, limit: .nan}' 'its `limit` is no number'
unknown "another side" a '{kind: score, metric: auc, require: above, limit: 0}' 'its `require` is neither'
unknown "another key" a '{kind: score, metric: auc, minimum: 0}' 'found the key minimum'
unknown "a list" a '[score, auc]' 'it is no section'
check "other rows" exits 0 "$GRANARY" train plain.yaml --quiet --run c --set data.test_fraction=0.2 --set evaluate.per_silo=false
unknown "of other rows" a '{kind: regression, metric: accuracy, run: c, limit: -1}' 'the other run was scored on other rows'
unknown "silos that are not told" c '{kind: worst_silo, metric: accuracy, limit: 0}' 'scores of silos are not told'
head -15 1.csv >4.csv
check "a small silo more" exits 0 "$GRANARY" train plain.yaml --quiet --run small --set data.silo_tables='[{file: 1.csv}, {file: 2.csv}, {file: 3.csv}, {file: 4.csv}]'
unknown "silos that are withheld" small '{kind: worst_silo, metric: accuracy, limit: 0}' 'of 4 silos: of the others nothing is known'
cp -r a stopped; sed -i 's/"outcome": "finished"/"outcome": "stopped"/' stopped/manifest.json
unknown "not finished" stopped '{kind: score, metric: accuracy, limit: 0}' 'the run has not finished'
cp -r a changed; sed -i '2s/"round":[0-9]*/"round":9/' changed/events.jsonl
unknown "changed events" changed '{kind: score, metric: accuracy, limit: 0}' 'the chain of events breaks at line'
echo 'gates: []' >gates.yaml
check "no gates" gate 78 a
check "not a run" gate 65 empty
check "no file" exits 78 "$GRANARY" gate a --gates nowhere.yaml
check "no gates in the config" exits 78 "$GRANARY" gate c --gates plain.xml
check "no run" exits 64 "$GRANARY" gate
check "two" exits 64 "$GRANARY" gate a b

# ---- under privacy ---------------------------------------------------------------------------------------
check "a private run" exits 0 "$GRANARY" train run.yaml --quiet --run private
epsilon=$(field private epsilon_total)
gates "{kind: epsilon, require: at_most, limit: $epsilon}"
check "within" gate 0 private
gates "{kind: epsilon, require: at_most, limit: $(sum "$epsilon" -0.001)}"
check "beyond" gate 1 private
check "a rehearsal" exits 0 "$GRANARY" train run.yaml --quiet --run rehearsal --set run.rehearsal=true
unknown "protects nothing" rehearsal '{kind: epsilon, require: at_most, limit: 100}' 'a rehearsal protects nothing'

# ---- for programs ----------------------------------------------------------------------------------------
gates "{kind: score, metric: accuracy, limit: 0.1}" "{kind: score, metric: accuracy, limit: 1.1}" "{kind: score, metric: '<&\">', limit: 0}"
check "as JSON and XML" gate 1 a --json --junit gates.xml
check "three of four" equal "$(grep -c '"passed": true' "$OUT") $(grep -c '"passed": false' "$OUT")" "2 3"
check "counted" grep -q 'tests="4" failures="1" errors="1"' gates.xml
check "escaped" grep -q 'name="score &lt;&amp;' gates.xml
if command -v python3 >/dev/null; then
    check "a parser reads it" python3 -c 'import json, sys, xml.etree.ElementTree as e
e.parse("gates.xml"); json.load(open(sys.argv[1]))' "$OUT"
fi
check "a file that cannot be written" gate 73 a --junit nowhere/gates.xml

# ---- in the config ----------------------------------------------------------------------------------------
refused() { check "$1" exits 78 "$GRANARY" validate plain.yaml --set "gates=[$2]"; check "$1: why" says "$3"; }
refused "no such metric" '{kind: score, metric: auroc, limit: 0}' 'gates[0].metric: found "auroc", allowed a metric'
refused "none named" '{kind: score, limit: 0}' 'gates[0].metric: '
refused "no run" '{kind: regression, metric: auc, limit: 0}' 'gates[0].run: '
refused "no limit" '{kind: participation}' 'gates[0].limit'
refused "a metric of none" '{kind: participation, metric: auc, limit: 1}' 'gates[0].metric: '
finish
