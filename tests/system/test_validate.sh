#!/usr/bin/env bash
# granary validate finds what granary train refuses, all of it at once, with the same exit code, and
# writes nothing.
. "$(dirname "$0")/library.sh"

# same CODE WORDS...: train and validate end with that code, and what train says validate says too.
same() {
    local code=$1; shift
    exits "$code" "$GRANARY" train "$@" --quiet --run trained || return 1
    sed -n 's/^granary: //p' "$ERR" | head -n 1 >said
    rm -rf trained
    exits "$code" "$GRANARY" validate "$@" || return 1
    [ ! -s said ] || grep -qF -- "$(cat said)" "$ERR" || { echo "  train says: $(cat said), validate:"; cat "$ERR"; return 1; }
}

# ---- one table: three refusals that hide each other -------------------------------------------
{ echo site,age,sex,outcome; for i in $(seq 60); do
    echo "$(echo A B C | cut -d' ' -f$((i % 3 + 1))),$((20 + i)),$([ $((i % 2)) = 0 ] && echo F || echo M),$((i % 3))"; done; } >table.csv
cat >schema.yaml <<'YAML'
columns:
  - {name: site, type: category, categories: [A, B, C]}
  - {name: age, type: integer}
  - {name: sex, type: category, categories: [F, M]}
  - {name: outcome, type: label}
YAML
cat >config.yaml <<'YAML'
run: {name: partition, rounds: 2}
data: {source: csv, silos: 2, train: {file: table.csv}, partition: {method: column, column: site}, schema: schema.yaml}
model: {type: logistic}
train: {learning_rate: 0.01, batch_size: 16}
YAML
find . -type f | sort >before
check "all three" same 65 config.yaml
for words in 'column "site" is of type category, expected group' 'data.silos: found 2, the column "site" has 3 values' \
    'found a label beyond the classes, expected 0 to 1'; do
    check "it says: $words" says "$words"
done
check "each once" equal "$(wc -l <"$ERR")" 3
sed 's/type: category, categories: \[A, B, C\]/type: group/' schema.yaml >group.yaml
check "the column mended" same 78 config.yaml --set data.schema=group.yaml
check "the next two" equal "$(wc -l <"$ERR")" 2
check "the silos mended" same 65 config.yaml --set data.schema=group.yaml --set data.silos=3
check "the last" equal "$(wc -l <"$ERR")" 1
check "the model mended" same 0 config.yaml --set data.schema=group.yaml --set data.silos=3 --set model.type=softmax
check "it says what will run" prints "silos      3 on 1 rank"
check "rows" prints "rows       60 to train on"
check "model" prints "softmax, 9 parameters, 3 classes; fedavg"
check "rounds" prints "rounds     2"
check "a column that is not there" same 65 config.yaml --set data.partition.column=sight
check "rules of the config, with all that break" exits 78 "$GRANARY" validate config.yaml --set train.momentum=2 --set run.rounds=0
check "both" equal "$(wc -l <"$ERR")" 2
check "kind of model for kind of table" same 0 config.yaml --set data.partition.method=iid --set model.type=poisson
sed 's/type: label/type: target/' group.yaml >target.yaml
check "numbers for a model of classes" same 65 config.yaml --set data.schema=target.yaml --set data.silos=3 --set model.type=softmax
sed 's/categories: \[F, M\]/&, encode: one_hot/' group.yaml >hot.yaml
check "codes to look up where there are none" same 78 config.yaml --set data.schema=hot.yaml --set data.silos=3 \
    --set "model={type: mlp, hidden: [4], embedding: 3}"
check "more silos than rows" same 78 config.yaml --set data.partition.method=iid --set data.silos=61
check "a schema that is not there" same 78 config.yaml --set data.schema=none.yaml
check "a table that is not there" same 65 config.yaml --set data.train.file=none.csv
cut -d, -f1,3,4 table.csv >narrow.csv
check "a test table that lacks a column" same 65 config.yaml --set data.schema=group.yaml --set data.silos=3 --set model.type=softmax \
    --set data.test.file=narrow.csv
sed 's/,2$/,yes/' table.csv >words.csv
check "labels that are none" same 65 config.yaml --set data.partition.method=iid --set data.train.file=words.csv
check "a replay that is not there" same 65 config.yaml --set data.partition.method=iid --set model.type=softmax --set round.replay=none.jsonl

# ---- a table for each silo --------------------------------------------------------------------
cut -d, -f2- table.csv >a.csv
sed '7s/,[FM],/,X Y,/; 8s/^[0-9]*/old/' a.csv >b.csv
sed '1s/age/years/' a.csv >c.csv; sed '1s/sex/gender/' a.csv >d.csv
sed '/site/d' schema.yaml >own.yaml
cat >silos.yaml <<'YAML'
run: {name: silos, rounds: 2}
data: {source: csv, silo_tables: [{file: a.csv}, {file: b.csv}, {file: c.csv}, {file: d.csv}], schema: own.yaml}
model: {type: softmax}
train: {learning_rate: 0.01, batch_size: 16}
policy: {minimum_silos: 1}
YAML
check "columns of other names end the run" same 65 silos.yaml
check "every silo is told of, on its own rank's terminal, by file and line" says "silo-001 sits out the run: b.csv:8: column 1 (age): found text"
check "the second" says "silo-002 sits out the run: c.csv:1: column 1: found another name, expected \"age\""
check "and the third" says "silo-003 sits out the run: d.csv:1: column 2: found another name, expected \"sex\""
own="--set data.silo_tables=[{file: a.csv},{file: b.csv}]"
check "a bad row lets its silo sit out" same 0 silos.yaml "${own%% *}" "${own#* }"
check "which is told, with the reason" says "silo-001 sits out the run: b.csv:8: column 1 (age): found text"
check "and that the others train" says "1 silo would sit out, and the others train"
check "and counted" prints "silos      2 on 1 rank; 1 cannot be read and sit out"
check "when all do" same 65 silos.yaml --set "data.silo_tables=[{file: b.csv}]"
check "on two ranks" exits 65 on_ranks 2 validate silos.yaml
check "each tells its own" says "silo-003 sits out the run: d.csv:1"
check "more ranks than silos" exits 64 on_ranks 3 validate silos.yaml "${own%% *}" "${own#* }"

# ---- the run directory ------------------------------------------------------------------------
fine="--set data.partition.method=iid --set model.type=softmax"
echo >file
# shellcheck disable=SC2086
{
    check "a file in the folder's place" exits 73 "$GRANARY" validate config.yaml $fine --set run.directory=file/runs
    check "is named" says "run directory file/runs: file is no folder"
    check "a new folder below" exits 0 "$GRANARY" validate config.yaml $fine --run new/below/it
    check "train" exits 0 "$GRANARY" train config.yaml $fine --run there --quiet
    check "a run that is there" exits 73 "$GRANARY" validate config.yaml $fine --run there
    check "as train would say" says "there: holds a run; resume it with --resume, or name another folder"
}
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    mkdir closed; chmod 555 closed; chmod 755 .
    # shellcheck disable=SC2086
    check "a folder that is closed" exits 73 setpriv --reuid=65534 --regid=65534 --clear-groups "$GRANARY" validate config.yaml $fine --set run.directory=closed/runs
fi

# ---- nothing is written -----------------------------------------------------------------------
rm -rf there said closed
find . -type f | sort | grep -vxE '\./(said|before|after|file|\.out|\.err|.*\.(csv|yaml))' >after
check "nothing is left" equal "$(cat after)" ""
check "findings are told" exits 0 bash -c "cd '$TOP' && sh jobs/make-hospital.sh '$SCRATCH/hospital' 300 >/dev/null && cd '$SCRATCH' && ln -s '$TOP/configs' configs && '$GRANARY' validate configs/hospital.yaml"
check "as a run tells them" prints "data: smoker:"

# ---- what is required -------------------------------------------------------------------------
check "a key that is missing" exits 78 "$GRANARY" validate config.yaml --set "train={learning_rate: 0.1}"
check "is called required" says "train.batch_size: is required; found nothing, allowed a whole number from 1 to 65536"
check "the settings as they are used" exits 0 "$GRANARY" validate config.yaml --resolved
check "say which are" equal "$(sed -n 's/ *# required$//p' "$OUT" | sed 's/:.*//' | tr -d ' \n')" "roundssourcetypelearning_ratebatch_size"
check "help config" exits 0 "$GRANARY" help config
check "has them all" equal "$(grep -cE '^(run|data|model|train)\.' "$OUT")" "$("$GRANARY" help config | grep -cE '^(run|data|model|train)\.')"
check "required ones" equal "$(awk '$2 == "required" {print $1}' "$OUT" | grep -v '\[\]' | tr '\n' ' ')" \
    "run.rounds data.source model.type train.learning_rate train.batch_size "
check "defaults" grep -qE '^checkpoint.keep +2 +a whole number from 1 to 10000000$' "$OUT"
check "a section alone" exits 0 "$GRANARY" help config train.schedule
check "of six" equal "$(grep -c '^train\.schedule\.' "$OUT") $(wc -l <"$OUT")" "6 7"
check "a setting alone" exits 0 "$GRANARY" help config train.momentum
check "its bounds" prints "0 <= x < 1"
check "a section that is not there" exits 64 "$GRANARY" help config trian
check "the nearest" says "nearest is train"
check "a schema's columns" exits 0 "$GRANARY" help schema
check "with what they take" grep -qE '^columns\[\]\.type +required +number, integer, category' "$OUT"
finish
