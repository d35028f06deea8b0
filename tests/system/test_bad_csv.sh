#!/usr/bin/env bash
# CSV tables that people really have: each is refused with its place, or taken as the schema says;
# silos that differ; what cannot be said of a silo is not said.
. "$(dirname "$0")/library.sh"

cat >run.yaml <<'YAML'
run: {name: run, rounds: 2}
data: {source: csv, silos: 2, train: {file: t.csv}, schema: s.yaml, validation_fraction: 0.2}
model: {type: softmax}
train: {learning_rate: 0.01, batch_size: 4}
YAML
cat >s.yaml <<'YAML'
columns: [{name: x, type: number}, {name: k, type: category, categories: [a, b], encode: one_hot},
          {name: label, type: label, categories: ['no', 'yes']}]
YAML
good() { printf 'x,k,label\n'; for i in $(seq 20); do printf '%d,%s,%s\n' $((i % 5)) \
    "$([ $((i % 2)) = 0 ] && echo a || echo b)" "$([ $((i % 3)) = 0 ] && echo yes || echo no)"; done; }
# refused TEXT WORDS...: t.csv, on one rank, with one line that holds the text and nothing left.
refused() {
    local text=$1; shift
    exits 65 "$GRANARY" train run.yaml --quiet --run refused "$@" || return 1
    says "$text" || return 1
    equal "$(grep -c '^granary: ' "$ERR")" 1 || return 1
    [ ! -e refused ] || { echo "  a run directory was left"; rm -rf refused; return 1; }
}
guessed="--set data.schema=''"

: >t.csv
check "empty" refused "t.csv: empty, expected a row of column names"
echo x,k,label >t.csv
check "a header only" refused "t.csv: a header and no rows"
for line in 1,a 1,a,no,2; do
    { good; echo $line; } >t.csv
    check "ragged: $line" refused "t.csv:22: found"
done
for value in nan NaN -NAN 'nan(0x1)' NA null ''; do
    { good; echo "$value,a,no"; } >t.csv
    check "no value: '$value'" refused "t.csv:22: column 1 (x): found no value"
done
for value in inf -Inf +INFINITY infinity; do
    { good; echo "$value,a,no"; } >t.csv
    check "no number: $value" refused "t.csv:22: column 1 (x): found an infinity"
done
for value in 1e39 -4e38 1e400 "1$(printf '0%.0s' $(seq 60))"; do
    { good; echo "$value,a,no"; } >t.csv
    check "overflow: $value" refused "t.csv:22: column 1 (x): found a number beyond float32"
done
{ good; printf '1,\xe4,no\n'; } >t.csv
check "not UTF-8" refused "t.csv:22: column 2 (k): found bytes that are not UTF-8"
# shellcheck disable=SC2086
check "nor without a schema" refused "t.csv:22: column 2: found bytes that are not UTF-8" $guessed
good | tr , ';' >t.csv
check "another separator" refused "found 1 column with separator comma, it would be 3 with semicolon" \
    --set data.csv.separator=comma
{ echo x,x,label; good | tail -n +2; } >t.csv
check "a column twice" refused "t.csv:1: columns 1 and 2 have the same name"
good | cut -d, -f1,2 >t.csv
check "no label" refused "t.csv:1: found 2 columns, expected 3"
# shellcheck disable=SC2086
check "nor without a schema" refused 't.csv: has no column "label" of labels' $guessed
for value in '' maybe; do
    { good; echo "1,a,$value"; } >t.csv
    check "label '$value'" refused "t.csv:22: column 3 (label): found"
done
for quote in '' '"'; do
    { good; printf '1,%s' "$quote"; head -c 1000000 /dev/zero | tr '\0' a; echo "$quote,no"; } >t.csv
    check "a field of a million characters, quote '$quote'" refused "t.csv:22: column 2: more than 65536 bytes"
done

# What is taken
{ good; echo 1,never,no; } >t.csv
check "a category never seen" exits 0 "$GRANARY" train run.yaml --run never
check "is told as a small count" prints "data: k: fewer than 10 of no known category"
good | sed '2,$s/^[0-9]*/7/' >t.csv
check "a constant column" exits 0 "$GRANARY" train run.yaml --run constant
check "its loss is a number" grep -q '"train_loss":[0-9]' constant/metrics.jsonl
check "it is told of when proposing a schema" exits 0 "$GRANARY" import --infer-schema t.csv
check "by name" bash -c 'cat "$0" "$1" | grep -q "x: the same in all rows"' "$OUT" "$ERR"

# What is written is never what is read, nor a device or a pipe, which a rename would replace.
good >own.csv; cp own.csv before.csv; cp s.yaml own.yaml; mkfifo pipe; ln -s pipe link; mkdir folder
written() { # CODE TEXT WORDS...
    local code=$1 text=$2; shift 2
    exits "$code" "$GRANARY" "$@" && says "$text" && cmp own.csv before.csv && cmp own.yaml s.yaml && [ -p pipe ] && [ -L link ]
}
check "a table over itself" written 64 "own.csv: is read" import own.csv --schema s.yaml -o ./own.csv
check "over its schema" written 64 "own.yaml: is read" import own.csv --schema own.yaml -o own.yaml
check "a schema over the table" written 64 "own.csv: is read" import --infer-schema own.csv --label label -o own.csv
for output in pipe link; do
    check "a table into a $output" written 73 "$output: a device or a pipe" import own.csv --schema s.yaml -o $output
    check "a schema" written 73 "$output: a device or a pipe" import --infer-schema own.csv --label label -o $output
    check "a report" written 73 "$output: a device or a pipe" report never -o $output
done
check "predictions into a pipe" bash -c 'mv pipe pipe.csv'
check "nor they" exits 73 "$GRANARY" predict never/model.h5 own.csv -o pipe.csv
check "the pipe is there" [ -p pipe.csv ]
check "a report over a folder" exits 73 "$GRANARY" report never -o folder

# Silos that differ, each on a rank of its own, without a schema
good >a.csv
sed -e 's/train: {file: t.csv}/silo_tables: [{file: a.csv}, {file: b.csv}]/' -e 's/, schema: s.yaml//' \
    -e 's/ silos: 2,//' run.yaml >silos.yaml
differ() {
    exits 65 on_ranks 2 train silos.yaml --quiet --run differ && says "silo-00" && says "$1" && [ ! -e differ ]
}
good | sed '1s/x/y/' >b.csv
check "another name" differ "column 1: its name, type or categories are not those"
good | perl -F, -lane 'print "$F[1],$F[0],$F[2]"' >b.csv
check "another order" differ ": its name, type or categories are not those"
good | sed '2,$s/,[ab],/,3,/' >b.csv
check "another type" differ "column 2: its name, type or categories are not those"
good | sed '2,$s/,b,/,c,/' >b.csv
check "another category is one more" exits 0 on_ranks 2 train silos.yaml --quiet --run united
good | cut -d, -f2,3 >b.csv
check "one column less" differ "columns, another silo has"

# One class only in one silo: the others learn on, and its AUC is undefined and never 0.
sed -e 's/, validation_fraction: 0.2/, schema: s.yaml, validation_fraction: 0.5/' silos.yaml >one.yaml
good | sed 's/,yes$/,no/' >b.csv
for n in 1 2; do
    check "one class in one silo, on $n" exits 0 on_ranks $n train one.yaml --run one$n \
        --set evaluate.per_silo=true --set evaluate.minimum_rows=1 --set 'evaluate.metrics=[auc, macro_f1]'
done
check "one digest" equal "$("$GRANARY" inspect --digest one2/model.h5)" "$("$GRANARY" inspect --digest one1/model.h5)"
cp b.csv a.csv
check "one class in all" exits 0 on_ranks 2 train one.yaml --run none --set 'evaluate.metrics=[auc]'
check "the AUC is no number" bash -c '! grep -qE "auc\": *[-0-9]" none/metrics.jsonl'
check "nor in the report as a number" bash -c '! grep -qiE ">(nan|inf|-inf)<" none/report.html'
check "with the reason in the evaluation" grep -q '"why": *"one class only"' none/evaluation.json
finish
