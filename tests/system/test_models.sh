#!/usr/bin/env bash
# The types of models, from config to a stored model that scores: one digest on any number of
# ranks and after a resumption; what does not fit the data is refused.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
layers='{type: conv, filters: 4, kernel: 3, padding: same}, {type: max_pool, kernel: 2}'
layers+=', {type: group_norm, groups: 2, activation: gelu}, {type: average_pool, kernel: 2, stride: 1}'
cnn="model={type: cnn, layers: [$layers, {type: dropout, rate: 0.2}]}"

# train RANKS FOLDER WORDS...
train() {
    local launch="mpirun $MPIRUN_FLAGS -n $1"
    [ "$1" != 1 ] || launch=
    # shellcheck disable=SC2086
    timeout 60 $launch "$GRANARY" train --quiet --run "$2" "${@:3}" >train.out 2>&1
}
# Of the IDX pair, the line that evaluate prints.
scores() { "$GRANARY" evaluate "$1/model.h5" --features test-images --labels test-labels | head -n 1; }
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }

check "a network trains" train 1 cnn-1 small.yaml --set "$cnn"
check "on 4 ranks" train 4 cnn-4 small.yaml --set "$cnn"
check "one digest" equal "$(digest cnn-4)" "$(digest cnn-1)"
check "three rounds" train 2 cnn-2 small.yaml --set "$cnn" --set run.rounds=3
check "and three more" train 3 cnn-2 small.yaml --set "$cnn" --resume
check "one digest, resumed" equal "$(digest cnn-2)" "$(digest cnn-1)"
check "a stored network scores" grep -qE '^rows 90  loss [0-9.]+  accuracy [01]\.[0-9]+$' <<<"$(scores cnn-1)"
check "as it did in training" equal "$(scores cnn-1 | sed 's/.*loss //; s/ .*//')" \
    "$(tail -n 1 cnn-1/metrics.jsonl | perl -ne 'printf "%.6f", $1 if /"test_loss": ?([0-9.]+)/')"
check "the rows in a table" exits 0 "$GRANARY" import --features train-images --labels train-labels -o train.h5
check "and the test's" exits 0 "$GRANARY" import --features test-images --labels test-labels -o test.h5
check "a network on tables" train 2 cnn-h5 small.yaml --set "$cnn" --set data.source=hdf5 \
    --set "data.train={file: train.h5}" --set "data.test={file: test.h5}"
check "one digest, from tables" equal "$(digest cnn-h5)" "$(digest cnn-1)"
check "it says what it is" grep -qF '"type":"group_norm"' <<<"$("$GRANARY" inspect cnn-1/model.h5)"

for model in "{type: poisson}" "{type: linear}" "{type: linear, loss: huber, huber_delta: 0.5}" \
    "{type: mlp, hidden: [5], loss: squared}"; do
    rm -rf one three
    check "$model" train 1 one small.yaml --set "model=$model" --set train.learning_rate=0.01
    check "$model on 3 ranks" train 3 three small.yaml --set "model=$model" --set train.learning_rate=0.01
    check "$model: one digest" equal "$(digest three)" "$(digest one)"
    check "$model has no accuracy" grep -qE '^rows 90  loss [-0-9.]+$' <<<"$(scores one)"
    check "$model: an error instead" bash -c '"$GRANARY" evaluate one/model.h5 --features test-images --labels test-labels | grep -qE "^mse +[0-9]"'
    check "$model: nor in the metrics" bash -c '! grep -qE "accuracy\": ?[0-9]" one/metrics.jsonl'
done

logistic="model={type: logistic}"
check "logistic regression on two classes" train 2 two "$TOP/configs/synthetic.yaml" --set run.rounds=2 \
    --set "$logistic" --set data.synthetic.classes=2
check "four classes are refused" exits 65 "$GRANARY" train small.yaml --set "$logistic" --run four
check "with the reason" says "row 2: found a label beyond the classes, expected 0 to 1 (the model has 2 classes)"
check "rows that are no images" exits 78 "$GRANARY" train "$TOP/configs/synthetic.yaml" --set "$cnn" --run flat
check "with the reason" says "found cnn for rows of 1 dimensions"
check "a kernel larger than the image" exits 78 "$GRANARY" train small.yaml \
    --set "model={type: cnn, layers: [{type: conv, filters: 2, kernel: 7}]}" --run large
check "with the reason" says "conv: found kernel 7, allowed 1 to 6"
check "groups that do not divide" exits 78 "$GRANARY" train small.yaml \
    --set "model={type: cnn, layers: [{type: group_norm, groups: 2}]}" --run groups
check "with the reason" says "found 2 groups, allowed divisors of 1"

# Numbers to be predicted are no labels: -1 and 1 without a schema, or a schema that says so.
for i in $(seq 40); do echo "$((i % 7)),$((i % 3 - 1)).5"; done | sed '1i x,label' >signs.csv
cat >signs.yaml <<'YAML'
run: {name: signs, rounds: 1}
data: {source: csv, silos: 2, train: {file: signs.csv}}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 8}
YAML
for model in "{type: softmax}" "{type: logistic}"; do
    check "numbers for $model" exits 65 on_ranks 2 train signs.yaml --set "model=$model" --run signs
    check "the column is named" says "column 2 (label): numbers to be predicted, and the model has classes"
done
check "nothing is left" [ ! -e signs ]
check "a model of numbers" train 2 signs signs.yaml --set "model={type: linear}"
sed 's/,-\?\([0-9]\)\.5/,\1/' signs.csv >classes.csv
check "a model of classes" train 2 classes signs.yaml --set data.train.file=classes.csv
check "the numbers as a table" exits 0 "$GRANARY" import signs.csv -o signs.h5
check "no model of classes is evaluated on them" exits 65 "$GRANARY" evaluate classes/model.h5 signs.h5
check "with the reason" says "signs.h5: column 2 (label): numbers to be predicted"

# Categories in another order are other data.
printf 'columns: [{name: x, type: category, categories: [%s]}, {name: label, type: label}]\n' \
    "'0', '1', '2', '3', '4', '5', '6'" >order.yaml
ordered="signs.yaml --set data.train.file=classes.csv --set data.schema=order.yaml"
# shellcheck disable=SC2086
check "categories by a schema" train 2 order $ordered
# shellcheck disable=SC2086
check "resumed" train 1 order $ordered --resume --set run.rounds=2
sed -i "s/type: label}/type: label, categories: ['0', '1']}/" order.yaml
# shellcheck disable=SC2086
check "resumed by another schema" exits 78 "$GRANARY" train $ordered --run order --resume --set run.rounds=3
check "is refused" says "data"

small="--set run.rounds=1 --set data.limit=64 --set data.test={}"
if [ -f /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]; then
    # shellcheck disable=SC2086
    check "McMahan's network" train 1 mcmahan-1 "$TOP/configs/fashion-mnist-cnn.yaml" $small
    # shellcheck disable=SC2086
    check "McMahan's network on 2 ranks" train 2 mcmahan-2 "$TOP/configs/fashion-mnist-cnn.yaml" $small
    check "one digest" equal "$(digest mcmahan-2)" "$(digest mcmahan-1)"
    check "1,663,370 parameters" grep -qE 'parameters +1663370' <<<"$("$GRANARY" inspect mcmahan-1/model.h5)"
fi
finish
