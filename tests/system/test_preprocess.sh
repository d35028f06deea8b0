#!/usr/bin/env bash
# Values on their way from the table to the model: targets, rows beyond a limit.
. "$(dirname "$0")/library.sh"

# of_metrics FILE KEY: the number in its last line.
of_metrics() { tail -n 1 "$1" | sed -n "s/.*\"$2\": *\([-0-9.e]*\).*/\1/p"; }

# ---- targets ----------------------------------------------------------------------------------
perl -e 'print "x,z,y\n"; for (0 .. 299) { my ($x, $z) = ($_ % 17 - 8, $_ % 5);
    printf "%g,%g,%g\n", $x / 8, $z / 4, 50 + 3 * $x - $z + 0.5 * (($_ * 7) % 3) }' >line.csv
printf 'columns: [{name: x, type: number}, {name: z, type: number}, {name: y, type: target}]\n' >line-schema.yaml
"$GRANARY" import line.csv --schema line-schema.yaml -o line.h5 >/dev/null
cat >line.yaml <<'YAML'
run: {name: line, rounds: 20}
data: {source: hdf5, silos: 3, train: {file: line.h5}, test: {file: line.h5}}
model: {type: linear}
train: {learning_rate: 0.1, batch_size: 10}
evaluate: {metrics: [mse, r2]}
YAML
check "a regression" exits 0 on_ranks 2 train line.yaml --run line
check "evaluate" exits 0 "$GRANARY" evaluate line/model.h5 line.h5
check "the error against the targets, as in the run" equal "$(sed -n 's/^mse *//p' "$OUT")" \
    "$(printf %.6f "$(of_metrics line/metrics.jsonl test_mse)")"
check "and the loss" equal "$(sed -n 's/.*loss \([0-9.]*\).*/\1/p' "$OUT")" \
    "$(printf %.6f "$(of_metrics line/metrics.jsonl test_loss)")"

# ---- rows beyond data.limit -------------------------------------------------------------------
perl -e 'print "x,label\n"; print $_ < 100 ? $_ % 7 : "", ",", $_ % 2, "\n" for 0 .. 999' >late.csv
printf 'columns: [{name: x, type: number, range: [1, 9], missing: mean}, {name: label, type: label}]\n' >late-schema.yaml
cat >late.yaml <<'YAML'
run: {name: late, rounds: 1}
data: {source: csv, silos: 2, train: {file: late.csv}, limit: 100, schema: late-schema.yaml}
model: {type: softmax}
train: {learning_rate: 0.1, batch_size: 10}
YAML
check "the first 100 rows" exits 0 on_ranks 2 train late.yaml --run late
check "what is found is of these rows" prints "data: x: 15 outside of the range"
check "and of no others" bash -c "! grep -q missing '$OUT'"
check "import of the first 100" exits 0 "$GRANARY" import late.csv --schema late-schema.yaml --rows 100 -o late.h5
check "likewise" prints "x: 0 missing, 15 outside of the range, 0 of no known category"
check "import of later ones" exits 0 "$GRANARY" import late.csv --schema late-schema.yaml --first 90 --rows 20 -o late.h5
check "likewise" prints "x: 10 missing, 2 outside of the range, 0 of no known category"
finish
