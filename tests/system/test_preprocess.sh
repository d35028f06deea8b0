#!/usr/bin/env bash
# Values on their way from the table to the model: targets, rows beyond a limit, preprocessing that
# is fitted over all silos, kept with the model, and done again by evaluate and predict.
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

# ---- fitted over the silos --------------------------------------------------------------------
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
fit() { "$GRANARY" inspect "$1" | sed -n '/^  preprocessing/,/^  server/p'; }
"$TOP/jobs/make-hospital.sh" hospital 600 >/dev/null
ln -s "$TOP/configs" configs
for n in 1 2 3; do
    check "the hospitals on $n" exits 0 on_ranks $n train configs/hospital.yaml --run h$n --quiet \
        --set run.rounds=4
done
check "one model" equal "$(digest h2) $(digest h3)" "$(digest h1) $(digest h1)"
check "one fit" equal "$(fit h3/model.h5)" "$(fit h1/model.h5)"
check "the mode of all hospitals, and the mean as it is scaled" grep -q 'fill: \[0, 2, 3, 0, 0, 0, 0\]' <<<"$(fit h1/model.h5)"
# Training rows alone: neither validation nor test rows move it.
check "with another test table" exits 0 on_ranks 2 train configs/hospital.yaml --run other --quiet \
    --set run.rounds=4 --set data.test.file=hospital/train.csv
check "the same fit" equal "$(fit other/model.h5)" "$(fit h1/model.h5)"
check "two rounds" exits 0 on_ranks 2 train configs/hospital.yaml --run resumed --quiet \
    --set run.rounds=2
check "and two more" exits 0 on_ranks 3 train configs/hospital.yaml --run resumed --quiet --resume \
    --set run.rounds=4
check "the same model" equal "$(digest resumed)" "$(digest h1)"
check "another scale is another run" exits 78 on_ranks 2 train configs/hospital.yaml --run resumed --quiet --resume \
    --set run.rounds=5 --set preprocess.scale=min_max
check "a rank is killed in round 2, and the evaluation dealt anew" exits 0 "$GRANARY" run -n 3 --restarts 0 \
    configs/hospital.yaml --quiet --run lost --set run.rounds=4 \
    --set run.rehearsal=true --set "faults=[{kind: kill, silo: 3, round: 2, point: evaluate}]"
check "the replay of it" exits 0 on_ranks 2 train configs/hospital.yaml --run replay --quiet --set run.rounds=4 \
    --set round.replay=lost/events.jsonl
check "one model" equal "$(digest replay)" "$(digest lost)"
check "with the fit of the undisturbed run" equal "$(fit lost/model.h5)" "$(fit h1/model.h5)"
check "all test rows, scaled as before" equal "$(of_metrics lost/metrics.jsonl test_loss)" "$(of_metrics replay/metrics.jsonl test_loss)"
check "a rank is killed before categories are found" exits 0 "$GRANARY" run -n 3 --restarts 0 \
    configs/hospital.yaml --quiet --run early --set run.rounds=4 \
    --set run.rehearsal=true --set "faults=[{kind: kill, silo: 3, round: 0, point: dictionary}]"
check "the events tell of it" grep -q '"event":"lost","round":0,"silos":\[.*"silo-003".*"before_start":true' early/events.jsonl
check "the replay of it" exits 0 on_ranks 2 train configs/hospital.yaml --run replay-early --quiet --set run.rounds=4 \
    --set round.replay=early/events.jsonl
check "one model" equal "$(digest replay-early)" "$(digest early)"
check "one fit" equal "$(fit replay-early/model.h5)" "$(fit early/model.h5)"
check "of the hospitals that are left" test "$(fit early/model.h5)" != "$(fit h1/model.h5)"
sed 's/"absent":\[[^]]*\]/"absent":[]/' early/events.jsonl >back.jsonl
check "one that came back is named" exits 65 on_ranks 2 train configs/hospital.yaml --run back --quiet --set run.rounds=4 \
    --set round.replay=back.jsonl
check "by its number" says "round.replay: silo-002 was lost before the first round and came back before round 1: such a run cannot be replayed"
for n in 1 3; do
    check "each hospital's own test rows, on $n" exits 0 on_ranks $n train configs/hospital.yaml --run own$n --quiet \
        --set run.rounds=4 --set data.test.file="''" --set data.test_fraction=0.2
done
check "are scaled too" grep -q '^0[.][3-7]' <<<"$(of_metrics own1/metrics.jsonl test_loss)"
check "on any number of ranks" equal "$(of_metrics own3/metrics.jsonl test_loss)" "$(of_metrics own1/metrics.jsonl test_loss)"
for kind in idx bytes; do
    : >none; words="data={source: idx, silos: 2, train: {features: none, labels: none}}"
    [ $kind = idx ] || { perl -e 'print pack("NNNN", 0x803, 40, 2, 2), "abcd" x 40' >i; perl -e 'print pack("NN", 0x801, 40), "\0\1" x 20' >l
        "$GRANARY" import --features i --labels l -o bytes.h5 >/dev/null; words="data={source: hdf5, silos: 2, train: {file: bytes.h5}}"; }
    want=78; [ $kind = idx ] || want=65
    check "images cannot be scaled ($kind)" exits $want on_ranks 2 train line.yaml --run no --quiet \
        --set "$words" --set model.type=softmax --set preprocess.scale=min_max
done
check "it says so" says "found features of bytes, allowed only float32"
check "nothing is left of what was refused" [ ! -e no ]

# ---- evaluate and predict ---------------------------------------------------------------------
test=hospital/test.csv
check "evaluate a CSV file" exits 0 "$GRANARY" evaluate h1/model.h5 $test
cp "$OUT" evaluated
check "as in the run" equal "$(sed -n 's/.*loss \([0-9.]*\).*/\1/p' evaluated)" "$(printf %.6f "$(of_metrics h1/metrics.jsonl test_loss)")"
check "import" exits 0 "$GRANARY" import $test --schema configs/schemas/hospital.yaml -o test.h5
check "evaluate the table" exits 0 on_ranks 2 evaluate h1/model.h5 test.h5
check "the same" cmp "$OUT" evaluated
check "import without a schema" exits 0 "$GRANARY" import $test --label died -o guessed.h5
check "evaluate it" exits 0 "$GRANARY" evaluate h1/model.h5 guessed.h5
check "the same" cmp "$OUT" evaluated
for n in 1 2 3; do
    check "predict on $n" exits 0 on_ranks $n predict h1/model.h5 $test -o $n.csv
    check "the same on $n" cmp $n.csv 1.csv
done
check "predict the table" exits 0 on_ranks 2 predict h1/model.h5 test.h5 -o table.csv
check "the same" cmp table.csv 1.csv
# Columns in another order, some more, no label, another separator
awk -F, -v OFS=';' '{ print $9, "x", $3, $8, $4, $5, $7, $6 }' $test >moved.csv
check "columns that moved" exits 0 "$GRANARY" predict h1/model.h5 moved.csv --separator semicolon -o moved-out.csv
check "the same" cmp moved-out.csv 1.csv
check "they cannot be evaluated" exits 65 "$GRANARY" evaluate h1/model.h5 moved.csv --separator semicolon
check "for the label is missing" says 'moved.csv: has no column "died", by which the model is judged'
cut -d, -f1-8 $test >short.csv
check "a column less" exits 65 on_ranks 2 predict h1/model.h5 short.csv -o no.csv
check "it is named" says 'short.csv: has no column "albumin", which the model needs'
sed '4s/,[0-9.]*,[MF],/,old,M,/' $test >text.csv
check "a text for a number" exits 65 "$GRANARY" predict h1/model.h5 text.csv -o no.csv
check "line and column are named" says 'text.csv:4: column 3 (age): found text, expected a finite number'
sed '4s/,[0-9.]*,[MF],/,,M,/' $test >gap.csv
check "a gap that the schema refuses" exits 65 "$GRANARY" predict h1/model.h5 gap.csv -o no.csv
check "it is named" says 'gap.csv:4: column 3 (age): found no value'
check "imported, it is still missing" exits 0 "$GRANARY" import gap.csv --label died -o gap.h5
check "and refused" exits 65 "$GRANARY" predict h1/model.h5 gap.h5 -o no.csv
check "by row and column" says 'gap.h5: row 2, column 1: NaN'
sed '2,$ s/yes$/maybe/' $test >maybe.csv; "$GRANARY" import maybe.csv --label died -o maybe.h5 >/dev/null
check "labels of another meaning" exits 65 "$GRANARY" evaluate h1/model.h5 maybe.h5
check "are told of" says "its labels are not those of the model"
sed '2,$ s/emergency\|planned\|transfer/by air/; 2,$ s/never\|former\|current//; 2,$ s/\(,[a-z ]*,[^,]*,\)[^,]*,[^,]*,[^,]*,\([a-z]*\)$/\1,,,\2/' $test >new.csv
check "new categories, and nothing but gaps" exits 0 on_ranks 3 predict h1/model.h5 new.csv -o new-out.csv
check "all rows have an answer" equal "$(wc -l <new-out.csv)" "$(wc -l <$test)"
check "a table without columns" exits 65 "$GRANARY" predict h1/model.h5 bytes.h5 -o no.csv
check "CSV for a model that knows no columns" exits 0 on_ranks 2 train "$TOP/configs/synthetic.yaml" --run bare --quiet \
    --set run.rounds=1 --set preprocess.scale=standardise
perl -e 'print join(",", map "x$_", 1 .. 60), ",label\n"; for my $r (0 .. 9) { print join(",", map { $r == 3 && $_ == 9 ? "" : $_ * $r } 1 .. 60), ",1\n" }' >sixty.csv; "$GRANARY" import sixty.csv -o sixty.h5 >/dev/null
check "values that are missing" exits 65 "$GRANARY" predict bare/model.h5 sixty.h5 -o no.csv
check "are nobody's to fill" says "sixty.h5: row 3, column 8: NaN"
check "is refused" exits 65 "$GRANARY" predict bare/model.h5 $test -o no.csv
check "and it says why" says "the model is of tables without columns"
check "a separator for a table" exits 64 "$GRANARY" predict h1/model.h5 test.h5 --separator tab -o no.csv
check "nothing is left of what was refused" [ ! -e no.csv ]
perl -0777 -pe 's/centre: \[./centre: [9/' h1/model.h5 >damaged.h5
check "a fit that was changed" exits 65 "$GRANARY" predict damaged.h5 $test -o no.csv

# ---- open categories, and tables without columns ----------------------------------------------
perl -e 'for my $s (0 .. 2) { open F, ">", "w$s.csv"; print F "ward,x,label\n";
    for (0 .. 59) { my $w = $_ == 7 ? "rare$s" : $_ % 13 == 5 ? "" : "A" . ($_ % (2 + $s));
        printf F "%s,%s,%d\n", $w, $_ % 11 == 4 ? "" : $_ * ($s + 1) / 7, $_ % 2 } }'
printf 'columns:\n- {name: ward, type: category, encode: one_hot, missing: mode}\n- {name: x, type: number, missing: mean, range: [1, 20]}\n- {name: label, type: label}\n' >wards-schema.yaml
cat >wards.yaml <<'YAML'
run: {name: wards, rounds: 3}
data: {source: csv, silo_tables: [{file: w0.csv}, {file: w1.csv}, {file: w2.csv}], schema: wards-schema.yaml}
preprocess: {scale: min_max, clip: true}
model: {type: mlp, hidden: [5]}
train: {learning_rate: 0.05, batch_size: 32}
YAML
for n in 1 2 3; do check "open categories on $n" exits 0 on_ranks $n train wards.yaml --run w$n --quiet; done
check "one model" equal "$(digest w2) $(digest w3)" "$(digest w1) $(digest w1)"
check "the union, but for what is rare" grep -qF 'categories: [A0, A1, A2, A3]' <<<"$(fit w3/model.h5)"
for s in 0 1 2; do "$GRANARY" import w$s.csv --schema wards-schema.yaml -o w$s.h5 >/dev/null; done
sed 's/source: csv/source: hdf5/; s/\.csv/.h5/g; s/, schema: [a-z.-]*//' wards.yaml >tables.yaml
check "imported tables, each with categories of its own" exits 0 on_ranks 2 train tables.yaml --run wt --quiet
check "the same model" equal "$(digest wt)" "$(digest w1)"
sed 's/mean, range/mean, scale: none, range/' wards-schema.yaml >none.yaml
"$GRANARY" import w1.csv --schema none.yaml -o w1.h5 >/dev/null
check "a table that is to be scaled otherwise" exits 65 on_ranks 3 train tables.yaml --run no --quiet
check "predict" exits 0 "$GRANARY" predict w1/model.h5 w0.csv -o w.csv
check "predict the table" exits 0 on_ranks 2 predict wt/model.h5 w0.h5 -o wt.csv
check "the same" cmp w.csv wt.csv
check "another threshold, another union" exits 0 on_ranks 2 train wards.yaml --run rare --quiet --set data.disclosure_threshold=1
check "with those that are rare" grep -qF 'categories: [A0, A1, A2, A3, rare0, rare1, rare2]' <<<"$(fit rare/model.h5)"
check "a run of two rounds" exits 0 on_ranks 2 train wards.yaml --run less --quiet --set run.rounds=2
printf 'ward,x,label\n1\n' >w2.csv
check "goes on when a silo's table is gone" exits 0 on_ranks 3 train wards.yaml --run less --resume --quiet
check "with the fit that it began with" equal "$(fit less/model.h5)" "$(fit w1/model.h5)"
perl -e 'print "ward,x,label\n"; print "w$_,1,0\n" for 0 .. 10000' >w1.csv
check "more than 10000 categories: the silo sits out" exits 0 on_ranks 3 train wards.yaml --run many --set policy.minimum_silos=1
check "that is told" prints "2 of 3 silos sit out"
check "of imports too" exits 65 "$GRANARY" import w1.csv --schema wards-schema.yaml -o no.h5
check "line and column" says "w1.csv:10002: column 1 (ward): found one more than 10000 categories"
perl -e 'print "x,label\n"; print "3.25,", $_ % 2, "\n" for 0 .. 59' >same.csv
check "a column that is the same everywhere" exits 0 on_ranks 2 train wards.yaml --run same --set "data={source: csv, silos: 2, train: {file: same.csv}}" \
    --set preprocess.scale=standardise --set preprocess.clip=false
check "is told" prints "preprocessing: the same in all training rows, and so 0: x"
check "in the events too" grep -q '"event":"findings".*and so 0: x' same/events.jsonl
finish
