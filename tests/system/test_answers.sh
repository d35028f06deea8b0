#!/usr/bin/env bash
# Targets and labels held against the loss, in every kind of table, before the first round; and how
# many classes there are.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
# counts FILE [BAD]: 40 rows, whose row 17, on line 19, counts -1 where BAD is given.
counts() {
    awk -v bad="${2:-}" 'BEGIN { print "x,visits"
        for (i = 0; i < 40; i++) print i % 7 / 8 "," (bad && i == 17 ? -1 : i % 4) }' >"$1"
}
counts good.csv; counts bad.csv bad
cat >poisson.yaml <<'YAML'
run: {name: poisson, rounds: 2}
data: {source: csv, silos: 2, train: {file: good.csv}, schema: visits.yaml}
model: {type: poisson}
train: {learning_rate: 0.05, batch_size: 8}
YAML
printf 'columns: [{name: x, type: number}, {name: visits, type: target}]\n' >visits.yaml
place="bad.csv:19: column 2 (visits): found a target below 0, expected at least 0 (the loss is poisson)"
check "counts" exits 0 on_ranks 2 train poisson.yaml --quiet --run good
check "a count below 0" exits 65 on_ranks 2 train poisson.yaml --quiet --run bad --set data.train.file=bad.csv
check "by its line" says "$place"
check "the value is not told" bash -c "! grep -v '\^.*exit\|Process' '$ERR' | grep -q -- ' -1'"
check "nothing is left" [ ! -e bad ]
check "held out as well" exits 65 "$GRANARY" train poisson.yaml --quiet --run bad --set data.train.file=bad.csv \
    --set data.validation_fraction=0.5
check "in a test table" exits 65 on_ranks 2 train poisson.yaml --quiet --run bad --set data.test.file=bad.csv
check "by its line too" says "$place"
check "numbers may be below 0" exits 0 "$GRANARY" train poisson.yaml --quiet --run linear --set model.type=linear \
    --set data.train.file=bad.csv
check "a silo's own table" exits 0 on_ranks 2 train poisson.yaml --quiet --run silos --set data.train={} \
    --set 'data.silo_tables=[{file: good.csv}, {file: bad.csv}]' --set policy.minimum_silos=1
check "sits out" grep -q '"participants":1,"selected":2' silos/metrics.jsonl
check "imported" exits 0 "$GRANARY" import bad.csv --schema visits.yaml -o bad.h5
check "from HDF5" exits 65 "$GRANARY" train poisson.yaml --quiet --run bad --set data.source=hdf5 --set data.train.file=bad.h5
check "by its row" says "bad.h5: row 17: column 2 (visits): found a target below 0"
check "not evaluated on such either" exits 65 "$GRANARY" evaluate good/model.h5 bad.csv
check "by its line again" says "$place"

# ---- labels ---------------------------------------------------------------------------------------
make_tables
classes="--set data.partition={} --set data.validation_fraction=0 --set run.rounds=1"
# shellcheck disable=SC2086
check "four classes for a loss of two" exits 65 "$GRANARY" train small.yaml --quiet --run no $classes --set model={type:\ logistic}
check "by the row" says "row 2: found a label beyond the classes, expected 0 to 1 (the model has 2 classes)"
# shellcheck disable=SC2086
check "as declared" exits 0 "$GRANARY" train small.yaml --quiet --run four $classes --set model.classes=4
# shellcheck disable=SC2086
check "fewer declared" exits 65 "$GRANARY" train small.yaml --quiet --run no $classes --set model.classes=3
check "by the row, in IDX" says "row 3: found a label beyond the classes, expected 0 to 2 (the model has 3 classes)"
# shellcheck disable=SC2086
check "more declared" exits 0 "$GRANARY" train small.yaml --quiet --run six $classes --set model.classes=6
check "as many outputs" grep -q '"classes":6' <<<"$("$GRANARY" inspect six/model.h5)"
awk 'BEGIN { print "x,label"; for (i = 0; i < 60; i++) print i % 7 "," (i == 33 ? 250 : i % 2) }' >typo.csv
printf 'columns: [{name: x, type: number}, {name: label, type: label}]\n' >typo.yaml
typo="--set model.type=softmax --set data.schema=typo.yaml --set data.train.file=typo.csv"
# shellcheck disable=SC2086
check "one label of 250" exits 0 on_ranks 2 train poisson.yaml --run typo $typo
check "the terminal tells" grep -q "most classes have no rows in any silo.*model.classes" "$OUT" "$ERR"
check "an event too" grep -q '"event":"alert".*"most classes have no rows"' typo/events.jsonl
# shellcheck disable=SC2086
check "declared to be two" exits 65 on_ranks 2 train poisson.yaml --quiet --run no $typo --set model.classes=2
check "by its line" says "typo.csv:35: column 2 (label): found a label beyond the classes"
check "no word where classes have rows" bash -c "! grep -q 'most classes' four/events.jsonl"
check "nor where they are declared" bash -c "! grep -q 'most classes' six/events.jsonl"
check "nothing is left" [ ! -e no ]
finish
