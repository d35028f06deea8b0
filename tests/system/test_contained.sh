#!/usr/bin/env bash
# Data that cannot be used in one place and how the run is told of them: held-out rows without a score,
# a bad row of the test table, divergence, silos that sit out, columns that vanish, empty test sets.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"

digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
# lines RUN: its metrics without what time and ranks decide.
lines() { sed 's/"seconds":{[^}]*},"bytes_sent":[0-9]*,"cpu_seconds_train":[^,]*,//; s/,"rows_per_second":[^,}]*//' "$1/metrics.jsonl"; }
# tells RUN TEXT: an event has it.
tells() { grep -qF -- "$2" "$1/events.jsonl" || { echo "  no event has '$2':"; cut -c 40-240 "$1/events.jsonl"; return 1; }; }

# ---- held-out rows of one silo ------------------------------------------------------------------
perl -e 'srand 3;
    for my $s (0 .. 3, "t") {
        open my $f, ">", "n$s.csv"; print $f "dose,y\n";
        for (1 .. 30) { my $x = rand; printf $f "%.3f,%.3f\n", $x, 2 * $x + 1 + .1 * rand } }'
printf 'columns:\n- {name: dose, type: number}\n- {name: y, type: target}\n' >numbers.yaml
cat >held.yaml <<'YAML'
run: {name: held, rounds: 4}
data:
  source: csv
  schema: numbers.yaml
  validation_fraction: 0.3
  silo_tables: [{file: n0.csv}, {file: n1.csv}, {file: n2.csv}, {file: n3.csv}]
model: {type: linear}
train: {learning_rate: 0.1, batch_size: 8}
evaluate: {metrics: [mae, r2]}
YAML
cp n2.csv n2.good
check "all rows are well" exits 0 "$GRANARY" train held.yaml --quiet --run well
check "nothing on the terminal" test ! -s "$ERR"
# Of two neighbouring rows of the table one is trained on here, and another held out.
outs=0 held=0
for row in 2 3 4 5 6 7; do
    sed "${row}s/,.*/,98765432109.5/" n2.good >n2.csv
    check "a target beyond sums in row $row" exits 0 on_ranks 2 train held.yaml --quiet --run row$row
    if grep -q 'sat out: update not finite' row$row/events.jsonl; then outs=$((outs + 1)); continue; fi
    held=$row
    check "its silo is left out of the scores" tells row$row '"event":"sat out: held-out rows cannot be scored","round":4,"silos":["silo-002"]'
done
check "some rows are trained on" test $outs -gt 0
check "and some held out" test $held -gt 0
sed "${held}s/,.*/,98765432109.5/" n2.good >n2.csv
check "on one rank" exits 0 "$GRANARY" train held.yaml --quiet --run one
check "its terminal has the whole reason" says "silo-002: round 1: its held-out rows are not scored: "
check "and the place" says ", its target"
check "on three" exits 0 on_ranks 3 train held.yaml --quiet --run three
check "whichever rank it is" says "silo-002: round 1: its held-out rows are not scored: "
check "one digest, of the rows trained on" equal "$(digest one)" "$(digest well)"
check "on any number of ranks" equal "$(digest three)" "$(digest one)"
check "the same scores" equal "$(lines three)" "$(lines one)"
check "of the other silos' rows" equal "$(grep -o '"validation_rows":[0-9]*' one/metrics.jsonl | tail -n 1)" '"validation_rows":27'
check "there are scores" grep -q '"validation_mae":0' one/metrics.jsonl
check "two rounds" exits 0 on_ranks 2 train held.yaml --quiet --run part --set run.rounds=2
check "and the others" exits 0 on_ranks 3 train held.yaml --quiet --run part --resume
check "one digest, resumed" equal "$(digest part)" "$(digest one)"
check "early stopping" exits 0 on_ranks 2 train held.yaml --quiet --run early --set stop.metric=validation_loss
check "the events name no file" bash -c '! grep -q n2.csv */events.jsonl'
cp n2.good n2.csv

# ---- a row of the test table --------------------------------------------------------------------
sed '8s/^[^,]*/3e38/' nt.csv >bad.csv
check "the test table has a bad row" exits 0 on_ranks 2 train held.yaml --run table --set data.test.file=bad.csv
check "it is named" prints 'round 1: test metrics are undefined: the test table cannot be scored: row 6, column "dose"'
check "once" equal "$(grep -c 'test metrics are undefined' "$OUT")" 1
check "the event too" tells table '"event":"test table cannot be scored","round":1,"where":"row 6, column \"dose\""'
check "there are no test scores" equal "$(grep -c '"test_loss":null' table/metrics.jsonl)" 4
check "but those of validation" equal "$(grep -c '"validation_loss":null' table/metrics.jsonl)" 0
check "with the reason" grep -q '"why": "a row of the test table cannot be scored"' table/evaluation.json
check "the report has it" grep -q "a row of the test table cannot be scored" table/report.html
check "the model is the same" equal "$(digest table)" "$(digest well)"
check "the whole test table" exits 0 on_ranks 2 train held.yaml --quiet --run whole --set data.test.file=nt.csv
check "has scores" grep -q '"test_mae":0' whole/metrics.jsonl

# When ranks are lost the test table is dealt anew; one that is gone then leaves the test undefined.
cp nt.csv gone.csv
cat >lost.sh <<'BASH'
"$GRANARY" run -n 3 held.yaml --quiet --run lost --set data.test.file=gone.csv --set run.rounds=8 --set run.rehearsal=true \
    --set 'faults=[{kind: delay, silo: 0, round: 4, seconds: 3}, {kind: kill, silo: 3, round: 5}]' -- $MPIRUN_FLAGS &
for _ in $(seq 300); do [ "$(cat lost/metrics.jsonl 2>/dev/null | wc -l)" -ge 3 ] && break; sleep .05; done
rm gone.csv
wait $!
BASH
check "a rank and the test table are lost" exits 0 bash lost.sh
check "the scores end" equal "$(grep -c '"test_loss":null' lost/metrics.jsonl)" 4
check "it is told" tells lost '"event":"test table cannot be scored","round":5,"where":"it cannot be read anew"'

# ---- divergence ---------------------------------------------------------------------------------
perl -e 'srand 4;
    for my $s (0, 1) {
        open my $f, ">", "big$s.csv"; print $f "income,y\n";
        for (1 .. 40) { my $x = 20000 + rand 60000; printf $f "%d,%.2f\n", $x, $x / 1000 + rand } }'
printf 'columns:\n- {name: income, type: number}\n- {name: y, type: target}\n' >big.yaml
cat >diverges.yaml <<'YAML'
run: {name: diverges, rounds: 30}
data: {source: csv, schema: big.yaml, silo_tables: [{file: big0.csv}, {file: big1.csv}], test_fraction: 0.2}
model: {type: linear}
train: {learning_rate: 0.1, batch_size: 8}
YAML
for rate in 0.1 0.000001; do
    check "unscaled columns at $rate" exits 65 on_ranks 2 train diverges.yaml --quiet --run unscaled$rate --set train.learning_rate=$rate
    check "it is called divergence" says "training has diverged"
    check "the remedy is named first" says "what helps: preprocess.scale: standardise"
done
check "scaled" exits 0 on_ranks 2 train diverges.yaml --quiet --run scaled --set preprocess.scale=standardise
check "no alert" bash -c '! grep -q alert scaled/events.jsonl'
# Squares of numbers near 2^34 are too large for a sum, however slowly it learns.
perl -e 'srand 6;
    for my $s (0, 1) {
        open my $f, ">", "far$s.csv"; open my $n, ">", "near$s.csv"; print $f "x,y\n"; print $n "x,y\n";
        for (1 .. 40) { my $x = rand; printf $f "%.3f,%.2f\n", $x, 1.7e10 + $x; printf $n "%.3f,%.2f\n", $x, $x } }'
sed 's/income/x/' big.yaml >far.yaml
far() { exits "$1" "$GRANARY" train diverges.yaml --quiet --run "$2" --set preprocess.scale=standardise \
    --set "data.silo_tables=[{file: ${2}0.csv}, {file: ${2}1.csv}]" --set data.schema=far.yaml; }
check "targets near 2^34" far 65 far
check "the remedy is theirs" says "where targets or offsets are large, a larger unit for them in the tables, or one number taken off them at all sites"
check "which helps" far 0 near
# Short of infinity: the update is finite, the scores of what it makes are not.
perl -e 'srand 5;
    for my $s (0, 1) {
        open my $f, ">", "counts$s.csv"; print $f "x,visits\n";
        for (1 .. 60) { my $x = rand; printf $f "%.3f,%d\n", $x, 30 * $x } }'
printf 'columns:\n- {name: x, type: number}\n- {name: visits, type: target}\n' >counts.yaml
cat >poisson.yaml <<'YAML'
run: {name: poisson, rounds: 4}
data: {source: csv, schema: counts.yaml, silo_tables: [{file: counts0.csv}, {file: counts1.csv}], test_fraction: 0.2}
model: {type: poisson}
strategy: {name: fedsgd}
train: {learning_rate: 4.5, batch_size: 100}
YAML
check "a Poisson model diverges" exits 65 "$GRANARY" train poisson.yaml --run poisson
check "which is told before all is over" prints "alert: round 1: the model has diverged, no held-out row has a finite score; what helps: preprocess.scale"
check "as an event" tells poisson '"event":"alert","round":1,"what":"the model has diverged"'
check "and at the end" says "training has diverged"
check "counts have no other unit" bash -c "! grep -q unit '$ERR'"
check "with a reason" grep -q '"why": "the model has diverged: no score is finite"' poisson/evaluation.json
check "slowly it converges" exits 0 "$GRANARY" train poisson.yaml --quiet --run slowly --set train.learning_rate=0.05

# ---- silos that sit out -------------------------------------------------------------------------
sed -i '7s/,.*/,secret-word/' n1.csv
check "a cell of one silo is no number" exits 0 on_ranks 3 train held.yaml --run sits
check "its own terminal has the file" says "silo-001 sits out the run: n1.csv:7: column 2 (y): found text"
check "the others the reason and the column" prints "  silo-001: column 2: a value is not a finite number"
check "the event too" tells sits '"silos":[{"silo":"silo-001","why":"column 2: a value is not a finite number"}]'
check "nobody else sees the cell or the path" bash -c '! grep -q "secret-word\|n1.csv" sits/events.jsonl sits/manifest.json sits/report.html sits/fingerprints.json'
rm n3.csv
check "another file is not there" exits 0 "$GRANARY" train held.yaml --run away
check "which is told" prints "  silo-003: the file cannot be opened"

# Rows of another shape: those of the lowest silo count, wherever silos are placed.
for s in 0 1 2 3; do
    side=6; [ $s = 1 ] || [ $s = 2 ] && side=8
    idx_images images-$s 40 $s $side; idx_labels labels-$s 40
done
cat >shapes.yaml <<'YAML'
run: {name: shapes, rounds: 2}
data:
  source: idx
  silo_tables: [{features: images-0, labels: labels-0}, {features: images-1, labels: labels-1},
                {features: images-2, labels: labels-2}, {features: images-3, labels: labels-3}]
model: {type: softmax}
train: {learning_rate: 0.1, batch_size: 8}
YAML
for ranks in 1 2 3 4; do
    check "images of two sizes on $ranks" exits 0 on_ranks $ranks train shapes.yaml --run shapes$ranks
    check "two silos sit out" prints "2 of 4 silos sit out"
    check "with the reason" prints "  silo-002: the rows are of another shape than those of others"
    check "one digest" equal "$(digest shapes$ranks)" "$(digest shapes1)"
done

# ---- open columns -------------------------------------------------------------------------------
mkdir practices
perl -e 'srand 6;
    for my $s (0 .. 19) {
        open my $f, ">", "practices/$s.csv"; print $f "ward,x,label\n";
        for my $i (0 .. 15) { my $w = $i % 4; printf $f "%s,%.3f,%d\n", (qw(a b c d))[$w], rand, $w < 2 } }'
printf 'columns:\n- {name: ward, type: category, encode: one_hot}\n- {name: x, type: number}\n- {name: label, type: label}\n' >ward.yaml
{
    echo 'run: {name: ward, rounds: 10}'
    echo "data: {source: csv, schema: ward.yaml, silo_tables: [$(seq -s, -f '{file: practices/%g.csv}' 0 19)]}"
    echo 'model: {type: logistic}'
    echo 'train: {learning_rate: 0.5, batch_size: 8}'
} >ward-run.yaml
for ranks in 1 3; do
    check "no category is in ten rows of a practice" exits 0 on_ranks $ranks train ward-run.yaml --run ward$ranks
    check "the column is named" prints "alert: ward: no silo has a category of it in 10 training rows (data.disclosure_threshold)"
    check "as an event" tells ward$ranks '"event":"alert","round":0,"what":"ward: no silo has a category'
    check "and its rows are counted" tells ward$ranks '"event":"findings","round":0,"what":"data: ward: 320 of no known category"'
done
check "with a lower threshold" exits 0 "$GRANARY" train ward-run.yaml --run told --set data.disclosure_threshold=3
check "there is no alert" bash -c '! grep -q "\"event\":\"\(alert\|findings\)\"" told/events.jsonl'

# ---- held-out rows of no class ------------------------------------------------------------------
perl -e 'for my $s (0 .. 2) { open my $f, ">", "few$s.csv"; print $f "x,label\n"; print $f "$_.5,", $_ == 0 ? 1 : 0, "\n" for 0 .. 199 }'
cat >few.yaml <<'YAML'
run: {name: few, rounds: 1}
data: {source: csv, silo_tables: [{file: few0.csv}, {file: few1.csv}, {file: few2.csv}], validation_fraction: 0.01, test_fraction: 0.02}
model: {type: logistic}
train: {learning_rate: 0.001, batch_size: 32}
YAML
check "a class is rare" exits 0 on_ranks 2 train few.yaml --run few
check "it is told that none is held out" prints "alert: no silo holds a row of class 1 out for the validation: its scores say nothing of it"
check "as an event" tells few '"event":"alert","round":0,"what":"no silo holds a row of class 1 out for the validation'
for s in 0 1 2; do sed 's/,1$/,8/; s/,0$/,1/' few$s.csv >named$s.csv; done
printf 'columns:\n- {name: x, type: number}\n- {name: label, type: label, categories: ["1", "8"]}\n' >named.yaml
check "classes with names" exits 0 "$GRANARY" train few.yaml --run named --set data.schema=named.yaml --set "data.silo_tables=[{file: named0.csv}, {file: named1.csv}, {file: named2.csv}]"
check "are told by them" prints "alert: no silo holds a row of class 8 out for the validation"
check "a fraction of nothing" exits 0 on_ranks 3 train few.yaml --run none --set data.validation_fraction=0.0001 --set data.test_fraction=0
check "is told" prints "alert: no silo holds a row out for the validation, though data.validation_fraction is 0.0001"
check "numbers have no classes" exits 0 "$GRANARY" train held.yaml --run numbers --set data.validation_fraction=0.0001
check "which is told likewise" prints "alert: no silo holds a row out for the validation"
finish
