#!/usr/bin/env bash
# Classes and rows that weigh, offsets, and biases that do not decay: against scikit-learn and closed
# forms, by analysis/peers/reference_weights.py, whatever the silos; one digest on any number of
# ranks, from CSV and from HDF5.
. "$(dirname "$0")/library.sh"
LC_ALL=C awk -f "$TESTS/system/weights.awk" >rows.csv
# schema WEIGHT OFFSET RARE COUNT REAL CLASS MIXED: the types of these columns, into s.yaml
schema() {
    local name
    echo "columns:"
    for name in x1 x2 weight offset rare count real class mixed; do
        case $name in x?) echo "  - {name: $name, type: number}" ;; *)
            echo "  - {name: $name, type: $1}"; shift ;;
        esac
    done
}
# fit FOLDER RANKS MODEL WORDS...: until nothing moves any more.
fit() {
    exits 0 on_ranks "$2" train fit.yaml --quiet --run "$1" --set "model={type: $3}" "${@:4}"
}
cat >fit.yaml <<'YAML'
run: {name: fit, rounds: 1000}
data: {source: csv, silos: 1, train: {file: rows.csv}, schema: s.yaml, test: {file: rows.csv}}
model: {type: logistic}
train: {learning_rate: 2, batch_size: 64}
strategy: {name: fedsgd}
evaluate: {every: 0}
checkpoint: {every: 0}
YAML
mixed="--set data.silos=3 --set data.partition.method=column --set data.partition.column=mixed"
printf 'x1,x2,offset\n0,0,0\n1,0,0\n0,1,0\n' >probe.csv
# weights_of FOLDER: both weights and the intercept, out of three predictions.
weights_of() {
    "$GRANARY" predict "$1/model.h5" probe.csv -o "$1.probe.csv" >/dev/null || return 1
    awk -F, 'NR > 1 { z[NR] = NF > 2 ? log($3 / $2) : '"${2:-\$1}"' }
        END { print z[3] - z[2], z[4] - z[2], z[2] }' "$1.probe.csv"
}
# near "NUMBERS" "NUMBERS" [TOLERANCE]
near() {
    echo "$1 $2" | awk -v most="${3:-1e-4}" '{
        n = NF / 2; bad = NF == 0 || NF % 2
        for (i = 1; i <= n; i++) { d = $i - $(i + n); bad = bad || !(d < most && -d < most) }
        exit bad }' || { echo "  '$1' is not '$2'"; return 1; }
}
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
# metric FILE NAME: of evaluate's lines
metric() { awk -v name="$2" '$1 == name { print $2 } $3 == name { print $4 } $5 == name { print $6 }' "$1"; }

# ---- classes --------------------------------------------------------------------------------------
balanced="0.3313663 0.8095180 -0.2009074"
schema text text label text text group text >s.yaml
check "one silo, balanced" fit one 1 logistic --set train.class_weights=balanced
check "is scikit-learn's" near "$(weights_of one)" "$balanced"
check "silos of one class" fit two 2 logistic --set train.class_weights=balanced \
    --set data.silos=2 --set 'data.partition={method: column, column: class}'
check "are too" near "$(weights_of two)" "$balanced"
check "unweighted, silos of one class" fit two-plain 2 logistic --set data.silos=2 \
    --set 'data.partition={method: column, column: class}'
check "is scikit-learn's without weights" near "$(weights_of two-plain)" "0.3639199 0.8409104 -2.4073597"
schema text text label text text text group >s.yaml
# shellcheck disable=SC2086
check "three mixed silos" fit three 3 logistic --set train.class_weights=balanced $mixed
check "are too" near "$(weights_of three)" "$balanced"
# A batch of four has seldom a row of the rare class; the mean over batches is that of all rows.
check "small batches" fit batches 1 logistic --set train.class_weights=balanced \
    --set strategy.name=fedavg --set train.learning_rate=0.01 --set train.batch_size=4 --set run.rounds=300
check "come near, however they fall" near "$(weights_of batches)" "$balanced" 0.06

# ---- rows -----------------------------------------------------------------------------------------
# The third silo's weights are all 0: it brings nothing, and is no trouble.
schema weight text label text text text group >s.yaml
# shellcheck disable=SC2086
check "weights" fit weights 3 logistic $mixed
check "are scikit-learn's sample_weight" near "$(weights_of weights)" "0.3902058 0.8518225 -2.3142854"
# shellcheck disable=SC2086
check "weights, balanced" fit both 3 logistic $mixed --set train.class_weights=balanced --set evaluate.every=1000
check "weigh the classes too" near "$(weights_of both)" "0.3933991 0.8409645 -0.2413604"
check "scores" exits 0 "$GRANARY" evaluate both/model.h5 rows.csv
cp "$OUT" both.scores
check "classes have weights, not rows" prints "weight  precision"
for score in "accuracy 0.6272727" "auc 0.6993128" "brier 0.2207871" "balanced_accuracy 0.6425145" \
    "macro_f1 0.5164173" "matthews 0.1829109" "loss 0.6298608"; do
    check "weighted ${score% *}" near "$(metric both.scores "${score% *}")" "${score#* }" 6e-5
done
check "the same in training" near \
    "$(perl -ne 'print "$1 $2" if /"test_loss":([0-9.]+).*"test_accuracy":([0-9.]+)/' both/metrics.jsonl)" \
    "0.6298608 0.6272727"
check "the confusion matrix" exits 0 "$GRANARY" evaluate both/model.h5 rows.csv --json
check "is of weights" equal "$(tr -d ' \n' <"$OUT" | grep -o '"counts":[^a-z]*]]')" \
    '"counts":[[182.5,110.5],[12.5,24.5]]'
# shellcheck disable=SC2086
check "on one rank" fit both-1 1 logistic $mixed --set train.class_weights=balanced --set evaluate.every=1000
check "one digest" equal "$(digest both-1)" "$(digest both)"
check "and one evaluation" cmp both/evaluation.json both-1/evaluation.json
check "imported" exits 0 "$GRANARY" import rows.csv --schema s.yaml -o rows.h5
# shellcheck disable=SC2086
check "from HDF5" fit both-h5 2 logistic $mixed --set train.class_weights=balanced --set evaluate.every=1000 \
    --set data.source=hdf5 --set data.train.file=rows.h5 --set data.test.file=rows.h5
check "one digest, from HDF5" equal "$(digest both-h5)" "$(digest both)"
check "scored from HDF5" exits 0 "$GRANARY" evaluate both/model.h5 rows.h5
check "as from CSV" cmp "$OUT" both.scores
cut -d, -f3 --complement rows.csv >light.csv
check "no weights to be judged by" exits 65 "$GRANARY" evaluate both/model.h5 light.csv
check "by name" says 'has no "weight"'
check "none are needed to predict" exits 0 "$GRANARY" predict both/model.h5 light.csv -o light-p.csv

# A weight of 2 is a row twice, one of 0 none: each row of the table so often as twice its weight says.
cut -d, -f1,2,5 rows.csv >plain.csv
awk -F, -v OFS=, 'NR == 1 { print; next } { n = 2 * $3; $3 = 1; for (k = 0; k < n; k++) print }' rows.csv >twice.csv
check "rows so many times" fit twice 1 logistic --set data.silos=2 --set data.partition.method=column \
    --set data.partition.column=mixed --set data.train.file=twice.csv --set data.test.file=twice.csv \
    --set train.class_weights=balanced
check "the same model" near "$(weights_of twice)" "$(weights_of both)" 2e-6
check "their scores" exits 0 "$GRANARY" evaluate both/model.h5 twice.csv
# shares FILE: of evaluate's lines all but counts, which are of weights, and what is known more closely of rows
shares() { sed 's/^rows *[0-9]*//' "$1" | awk '/^class|^auc_interval|^average_precision|^hosmer/ || NF == 3 { next } NF == 5 && /^[01]/ { $2 = "" } { print }'; }
check "are those of weights" cmp <(shares "$OUT") <(shares both.scores)
check "whose sums are called so" grep -q '^class  *weight  *precision' both.scores
check "and rows rows" exits 0 "$GRANARY" evaluate two/model.h5 plain.csv
check "where none weigh" prints "class                          rows  precision"

# A weight of a slip, 10^10: beside it the others are below 2^-25, count for nothing, and that is said.
awk -F, -v OFS=, 'NR == 2 { $3 = "1e10" } { print }' rows.csv >slip.csv
# shellcheck disable=SC2086
check "a weight above all" fit slip 2 logistic $mixed --set run.rounds=2 --set data.train.file=slip.csv
check "lost weights are told" grep -q 'weights: 269 above 0 but below 2^-25 of the largest' slip/events.jsonl
# shellcheck disable=SC2086
check "before a run too" exits 0 "$GRANARY" validate fit.yaml --set data.train.file=slip.csv $mixed
check "in the same words" prints "weights: 269 above 0 but below 2^-25 of the largest, and taken as 0"
check "and by evaluate" exits 0 "$GRANARY" evaluate both/model.h5 slip.csv
check "of its table" prints "269 weights above 0 but below 2^-25 of the largest, and taken as 0"
check "and as JSON" exits 0 "$GRANARY" evaluate both/model.h5 slip.csv --json
check "with their number" prints '"lost_weights": 269'
check "of weights that all count" exits 0 "$GRANARY" evaluate both/model.h5 rows.csv --json
check "none" prints '"lost_weights": 0'
check "of rows without" exits 0 "$GRANARY" evaluate two/model.h5 plain.csv --json
check "nothing is told" bash -c "! grep -q lost_weights '$OUT'"
check "none where all count" bash -c '! grep -q weights: both/events.jsonl'

# ---- offsets --------------------------------------------------------------------------------------
schema weight offset label text text text group >s.yaml
# shellcheck disable=SC2086
check "a logistic offset" fit offset 3 logistic $mixed
check "is Newton's" near "$(weights_of offset)" "0.3940838 0.8904485 -2.3663907"
check "scored with it" exits 0 "$GRANARY" evaluate offset/model.h5 rows.csv
check "as by scikit-learn" near "$(metric "$OUT" loss)" 0.3316633 1e-5
cut -d, -f4 --complement rows.csv >bare.csv
check "no offset" exits 65 "$GRANARY" predict offset/model.h5 bare.csv -o bare-p.csv
check "by name" says 'has no "offset"'
check "several outputs take none" exits 78 "$GRANARY" train fit.yaml --quiet --run soft --set model.type=softmax
check "and it is said" says "rows with an offset, allowed only for a model of one output"
schema weight offset text target text text group >s.yaml
# shellcheck disable=SC2086
check "counts with an exposure" fit counts 2 poisson $mixed --set train.learning_rate=0.2
check "are scikit-learn's" near "$(weights_of counts 'log($1)')" "0.3503208 0.2051217 0.8255042"
check "scored" exits 0 "$GRANARY" evaluate counts/model.h5 rows.csv
cp "$OUT" counts.scores
for score in "poisson_deviance 0.6747134" "mse 1.5520500" "mae 1.0168630" "r2 0.1832461"; do
    check "weighted ${score% *}" near "$(metric counts.scores "${score% *}")" "${score#* }" 5e-5
done
check "predicted" exits 0 "$GRANARY" predict counts/model.h5 rows.csv -o counts.csv
check "with the exposure" near "$(sed -n 2,4p counts.csv | tr '\n' ' ')" "0.5908924 3.6008504 2.9460537"
check "imported" exits 0 "$GRANARY" import rows.csv --schema s.yaml -o counts.h5
# shellcheck disable=SC2086
check "from HDF5" fit counts-h5 1 poisson $mixed --set train.learning_rate=0.2 --set data.source=hdf5 \
    --set data.train.file=counts.h5 --set data.test.file=counts.h5
check "one digest, from HDF5" equal "$(digest counts-h5)" "$(digest counts)"
check "predicted from HDF5" exits 0 "$GRANARY" predict counts/model.h5 counts.h5 -o counts-2.csv
check "the same" cmp counts.csv counts-2.csv

# ---- decay ----------------------------------------------------------------------------------------
schema text text text text target text group >s.yaml
# shellcheck disable=SC2086
check "ridge regression" fit ridge 2 linear $mixed --set train.learning_rate=0.2 --set train.weight_decay=0.2 \
    --set train.decay_biases=false
check "is scikit-learn's" near "$(weights_of ridge)" "1.8100474 -0.8514133 2.9986147"
# shellcheck disable=SC2086
check "biases decay by default" fit shrunk 2 linear $mixed --set train.learning_rate=0.2 --set train.weight_decay=0.2
check "which moves the intercept" bash -c "! $(declare -f near); ! near '$(weights_of shrunk | cut -d' ' -f3)' 2.9986147 0.1"
schema text text label text text text group >s.yaml
# shellcheck disable=SC2086
check "a logistic model's" fit l2 2 logistic $mixed --set train.weight_decay=0.02 --set train.decay_biases=false
check "is scikit-learn's with C" near "$(weights_of l2)" "0.2735468 0.5937127 -2.3065771"

# ---- what is refused ------------------------------------------------------------------------------
schema weight text label text text text group >s.yaml
sed '5s/,1.5,/,-1.5,/; 5s/,[0-9.]*,\(-\{0,1\}[0-9.]*,[0-9],[0-9],\)/,-1,\1/' rows.csv >negative.csv
check "a weight below 0" exits 65 "$GRANARY" train fit.yaml --quiet --run no --set data.train.file=negative.csv
check "by its line" says "negative.csv:5: column 3 (weight): found a number below 0, expected a weight of at least 0"
awk -F, -v OFS=, 'NR > 1 { $3 = 0 } { print }' rows.csv >zero.csv
check "no weight at all" exits 65 "$GRANARY" train fit.yaml --quiet --run no --set data.train.file=zero.csv
check "is told" says "zero.csv: all weights are 0"
check "nothing is left" [ ! -e no ]

# ---- silos whose rows weigh nothing have no say in a strategy in which silos count alike ----------------
for i in 0 1 2 3 4; do
    w=1; [ $i -lt 3 ] || w=1e-9
    printf 'x,w,y\n1,%s,%d\n2,%s,%d\n3,%s,%d\n' $w $((2 + i)) $w $((4 + i)) $w $((6 + i)) >light$i.csv
done
printf 'columns:\n- {name: x, type: number}\n- {name: w, type: weight}\n- {name: y, type: target}\n' >light-schema.yaml
cat >light.yaml <<'YAML'
run: {name: light, rounds: 2}
data: {source: csv, schema: light-schema.yaml, silo_tables: [{file: light0.csv}, {file: light1.csv}, {file: light2.csv}, {file: light3.csv}, {file: light4.csv}]}
model: {type: linear}
train: {learning_rate: 0.05, batch_size: 8}
YAML
light() { exits 0 on_ranks 2 train light.yaml --quiet --run "$@"; }
for strategy in median trimmed_mean; do
    check "$strategy" light $strategy --set strategy.name=$strategy --set strategy.trim=0.4
    check "without them" light only-$strategy --set strategy.name=$strategy --set strategy.trim=0.4 \
        --set 'data.silo_tables=[{file: light0.csv}, {file: light1.csv}, {file: light2.csv}]'
    check "is the same" equal "$("$GRANARY" inspect --digest $strategy/model.h5)" "$("$GRANARY" inspect --digest only-$strategy/model.h5)"
    check "and told" grep -q "sat out" $strategy/events.jsonl
done
finish
