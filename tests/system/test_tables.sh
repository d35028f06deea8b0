#!/usr/bin/env bash
# Embedding tables, bags of ids and class weights: the examples at a reduced size, one digest on any
# number of ranks and after a resumption, and what cannot be looked up.
. "$(dirname "$0")/library.sh"

ln -s "$TOP/configs" configs
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
metric() { tr -d ' \n' <"$1" | sed "s/.*\"$2\":{\"value\":\([0-9.]*\).*/\1/"; }

# ---- tables of categories, and class weights ----------------------------------------------------
"$TOP/jobs/make-hospital.sh" hospital 900 >/dev/null
hospital="configs/hospital-embedding.yaml --quiet"
check "the example is valid" exits 0 "$GRANARY" validate configs/hospital-embedding.yaml
check "hospitals" exits 0 "$GRANARY" train $hospital --set run.rounds=6 --run h1
check "on 3 ranks" exits 0 on_ranks 3 train $hospital --set run.rounds=6 --run h3
check "one digest" equal "$(digest h3)" "$(digest h1)"
check "two rounds" exits 0 on_ranks 3 train $hospital --set run.rounds=2 --run part
check "and four more" exits 0 on_ranks 2 train $hospital --set run.rounds=6 --run part --resume
check "one digest, resumed" equal "$(digest part)" "$(digest h1)"
check "the features that are codes, and how many" grep -qF '"codes":[[1,2],[2,3],[3,3]]' \
    <<<"$("$GRANARY" inspect h1/model.h5)"
check "tables by their names" grep -qE 'embedding3.weight +4 x 4' <<<"$("$GRANARY" inspect h1/model.h5)"
check "in the manifest too" bash -c "tr -d ' \n' <h1/manifest.json | grep -qF '\"codes\":[[1,2],[2,3],[3,3]]'"
check "import of the test table" exits 0 "$GRANARY" import hospital/test.csv \
    --schema configs/schemas/hospital-codes.yaml -o test.h5
check "a stored model scores it" exits 0 "$GRANARY" evaluate h1/model.h5 test.h5 --json
check "as the run did" equal "$(metric "$OUT" log_loss)" "$(metric h1/evaluation.json log_loss)"
sed '1,/admission/s/emergency, planned/planned/' configs/schemas/hospital-codes.yaml >fewer.yaml
sed 's/emergency/planned/' hospital/test.csv >fewer.csv
check "a table of fewer categories" exits 0 "$GRANARY" import fewer.csv --schema fewer.yaml -o fewer.h5
check "has other codes" exits 0 "$GRANARY" predict h1/model.h5 fewer.h5 -o fewer-table.csv
check "of the same texts" exits 0 "$GRANARY" predict h1/model.h5 fewer.csv -o fewer-texts.csv
check "the same" cmp fewer-table.csv fewer-texts.csv
check "predict" exits 0 "$GRANARY" predict h1/model.h5 test.h5 -o p1.csv
check "on 3 ranks" exits 0 on_ranks 3 predict h1/model.h5 test.h5 -o p3.csv
check "the same" cmp p1.csv p3.csv
check "a solver with a state" exits 0 "$GRANARY" train $hospital --set run.rounds=2 --run a2 \
    --set train.optimizer=adam --set train.proximal_mu=0.1 --set train.max_gradient_norm=1
check "elsewhere" exits 0 on_ranks 3 train $hospital --set run.rounds=2 --run a3 \
    --set train.optimizer=adam --set train.proximal_mu=0.1 --set train.max_gradient_norm=1
check "one digest" equal "$(digest a2)" "$(digest a3)"
check "another width on resumption" exits 78 "$GRANARY" train $hospital --set run.rounds=7 \
    --set model.embedding=5 --run part --resume
check "no column to look up" exits 78 "$GRANARY" train configs/synthetic.yaml --run no \
    --set model.type=mlp --set "model.hidden=[4]" --set model.embedding=3
check "it says so" says "model.embedding: found 3, allowed 0 where no column"

check "classes that weigh the same" exits 0 "$GRANARY" train $hospital --set run.rounds=6 \
    --set train.class_weights=none --run same
check "balanced ones are found more evenly" awk "BEGIN {exit !($(metric h1/evaluation.json balanced_accuracy) > \
    $(metric same/evaluation.json balanced_accuracy) + 0.02)}"
check "with fedsgd" exits 0 "$GRANARY" train $hospital --set run.rounds=2 --set strategy.name=fedsgd --run s2
check "elsewhere" exits 0 on_ranks 3 train $hospital --set run.rounds=2 --set strategy.name=fedsgd --run s3
check "one digest" equal "$(digest s2)" "$(digest s3)"
check "batches make no difference" exits 0 "$GRANARY" train $hospital --set run.rounds=2 \
    --set strategy.name=fedsgd --set train.batch_size=1000 --run whole
check "but for the last digits" equal "$(metric whole/evaluation.json log_loss | cut -c1-7)" \
    "$(metric s2/evaluation.json log_loss | cut -c1-7)"

# Categories that the schema leaves open: those of all silos, each with its row in a table.
sed 's/, categories: \[emergency, planned, transfer\]//' configs/schemas/hospital-codes.yaml >open.yaml
for n in 1 3; do
    check "open categories on $n ranks" exits 0 on_ranks $n train $hospital --set run.rounds=2 --set data.schema=open.yaml --run open$n
done
check "one digest" equal "$(digest open1)" "$(digest open3)"
"$GRANARY" inspect open1/model.h5 >told
check "a row for each of the three, and one for what is unknown" grep -q "embedding2.weight *4 x" told

# Rows of one class only: the other's count is zero, wherever it stands in memory.
printf 'x,label\n' >one.csv
for i in 1 2 3 4 5 6 7 8; do echo "0.$i,0"; done >>one.csv
cat >one.yaml <<'YAML'
run: {name: one, rounds: 2}
data: {source: csv, silos: 2, train: {file: one.csv}}
model: {type: logistic}
train: {learning_rate: 0.05, batch_size: 4, class_weights: balanced}
YAML
for fill in 1 170; do
    check "one class, balanced" env GLIBC_TUNABLES=glibc.malloc.perturb=$fill "$GRANARY" train one.yaml --quiet --run one$fill
done
check "whatever memory held" equal "$(digest one1)" "$(digest one170)"

# A rank whose only silo cannot be read has no columns: what is looked up it learns from the others.
head -n 1 hospital/train.csv >head
for c in Ahorn Birke; do { cat head; grep ",$c," hospital/train.csv; } >$c.csv; done
echo 1 >>Birke.csv
cat >two.yaml <<'YAML'
run: {name: two, rounds: 2}
data:
  source: csv
  silo_tables: [{file: Ahorn.csv}, {file: Birke.csv}]
  schema: configs/schemas/hospital-codes.yaml
model: {type: mlp, hidden: [4], embedding: 2}
train: {learning_rate: 0.05, batch_size: 32}
YAML
check "a rank without columns" exits 0 on_ranks 2 train two.yaml --run two2 --set policy.minimum_silos=1
check "its silo sits out" prints "1 of 2 silos sit out"
check "on one rank" exits 0 "$GRANARY" train two.yaml --quiet --run two1 --set policy.minimum_silos=1
check "one digest" equal "$(digest two2)" "$(digest two1)"

# ---- bags of ids --------------------------------------------------------------------------------
"$TOP/jobs/make-texts.sh" texts 1600 >/dev/null
"$TOP/jobs/make-texts.sh" again 1600 >/dev/null
check "the generator makes the same bytes again" cmp texts/train.csv again/train.csv
check "the example is valid" exits 0 "$GRANARY" validate configs/texts.yaml
check "texts" exits 0 "$GRANARY" train configs/texts.yaml --quiet --set run.rounds=8 --run t1
check "it learns" awk "BEGIN {exit !($(metric t1/evaluation.json accuracy) > 0.4)}"
check "import" exits 0 "$GRANARY" import texts/train.csv -o texts/train.h5
check "import of the test" exits 0 "$GRANARY" import texts/test.csv -o texts/test.h5
tables="--set data.source=hdf5 --set data.train.file=texts/train.h5 --set data.test.file=texts/test.h5"
check "from tables" exits 0 "$GRANARY" train configs/texts.yaml --quiet --set run.rounds=8 $tables --run t2
check "one digest" equal "$(digest t2)" "$(digest t1)"
check "no hidden layers" exits 0 "$GRANARY" train configs/texts.yaml --quiet --set run.rounds=1 \
    --set "model.hidden=[]" --run flat
check "its tensors" equal "$("$GRANARY" inspect flat/model.h5 | grep -c 'bag0.weight\|dense0')" 3
sed '5s/[0-9]*,/2001,/' texts/test.csv >beyond.csv
sed '5s/[0-9]*,/7.5,/' texts/test.csv >half.csv
for bad in beyond half; do
    "$GRANARY" import $bad.csv -o $bad.h5 >/dev/null
    check "$bad: test rows" exits 65 "$GRANARY" train configs/texts.yaml --quiet --set data.test.file=$bad.csv --run no
    check "$bad: where" says "test table: feature 0: found "
    check "$bad: predict" exits 65 on_ranks 2 predict t1/model.h5 $bad.h5 -o no.csv
    check "$bad: where" says "$bad.h5: among rows 0 to 399: feature 0: found "
    check "$bad: evaluate" exits 65 "$GRANARY" evaluate t1/model.h5 $bad.h5
done
check "nothing is left" [ ! -e no.csv ]

# A silo whose rows cannot be looked up sits out.
for s in a b c; do cp texts/test.csv $s.csv; done
cat >silos.yaml <<'YAML'
run: {name: silos, rounds: 2}
data: {source: csv, silo_tables: [{file: a.csv}, {file: b.csv}, {file: c.csv}], disclosure_threshold: 1}
model: {type: bag, vocabulary: 2000, embedding: 4}
train: {learning_rate: 0.05, batch_size: 32, class_weights: balanced}
YAML
# Resumed without a silo the classes weigh as they did: the same bits as where all rows are there.
head -n 40 texts/test.csv | awk -F, 'NR == 1 || $NF < 2' >c.csv
check "two rounds of three silos" exits 0 on_ranks 2 train silos.yaml --quiet --run lack
mv c.csv c; check "two more without one" exits 0 on_ranks 3 train silos.yaml --set run.rounds=4 --run lack --resume
check "it sits out" prints "1 of 3 silos sit out"
mv c c.csv; check "replayed with all three" exits 0 on_ranks 2 train silos.yaml --quiet --set run.rounds=4 \
    --set round.replay=lack/events.jsonl --run replay
check "one digest" equal "$(digest lack)" "$(digest replay)"
cp texts/test.csv c.csv

cp beyond.csv b.csv
check "one silo's ids are beyond the vocabulary" exits 0 on_ranks 3 train silos.yaml --run sits
check "it sits out" prints "1 of 3 silos sit out"
check "on one rank too" exits 0 "$GRANARY" train silos.yaml --run sits1
check "one digest" equal "$(digest sits)" "$(digest sits1)"
cp beyond.csv a.csv; cp half.csv c.csv
check "all of them" exits 65 on_ranks 3 train silos.yaml --run none
check "why" says "feature 0: found "
finish
