#!/bin/bash
# What the records of a run, and the ranks of others, tell of one person: nothing that fewer than
# data.disclosure_threshold rows have, nor of which all rows but so few have it not.
. "$TESTS/system/library.sh"

# 80 rows of a clinic; each has numbers of its own.
rows() {
    echo "age,bp,ward,died"
    awk -v seed="$1" 'BEGIN { srand(seed); for (i = 0; i < 80; i++) { age = 30 + int(55 * rand())
        printf "%d,%d.%d,%s,%s\n", age, 100 + 50 * rand(), 10 * rand(),
            substr("east north south ", 1 + 6 * (i % 3), 5), rand() < age / 100 ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i | sed 's/\([a-z]*\) ,/\1,/' >$i.csv; done
cat >run.yaml <<'YAML'
run: {name: told, rounds: 2}
data:
  source: csv
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  csv: {label: died}
  validation_fraction: 0.2
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 16}
preprocess: {scale: standardise}
evaluate: {metrics: [auc]}
YAML
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120], missing: mean}
- {name: bp, type: number, missing: mean}
- {name: ward, type: category, categories: [east, north, south], encode: one_hot}
- {name: died, type: label, categories: [no, yes], unlabelled: drop}
YAML
train() { exits 0 on_ranks 3 train run.yaml --set data.schema=schema.yaml --run "$@"; }

# Counts, and their complements
sed -i '2,16s/^[0-9]*,[0-9.]*/,200.5/' 1.csv
check "enough rows of one silo" train count
check "are that silo's, and not counted" prints "data: age: some missing"
check "nor in the events" bash -c '! grep -q "15 missing" count/events.jsonl && grep -q "age: some missing" count/events.jsonl'
check "on one rank" exits 0 "$GRANARY" train run.yaml --set data.schema=schema.yaml --run count1
check "as well" prints "data: age: some missing"
sed -i '2,4s/^[0-9]*,[0-9.]*/,200.5/' 2.csv
check "those of two silos" train counted
check "are counted" prints "data: age: 18 missing"
check "on one rank too" exits 0 "$GRANARY" train run.yaml --set data.schema=schema.yaml --run counted1
check "and alike" prints "data: age: 18 missing"
check "a run that goes on" exits 0 "$GRANARY" train run.yaml --set data.schema=schema.yaml --run counted --resume --set run.rounds=3
check "does not count again, for silos may be gone" equal "$(grep -c 'age: 18 missing' counted/events.jsonl)" 1
check "a few of each silo" exits 0 on_ranks 3 train run.yaml --set data.schema=schema.yaml --set data.disclosure_threshold=16 --run few
check "are too few, in whichever number" prints "data: age: some missing"
for i in 1 2 3; do awk -F, -v OFS=, 'NR > 1 && !(NR == 9 && '$i' == 2) { $2 = "" } 1' $i.csv >n$i.csv; done
sed 's/: \([123]\).csv/: n\1.csv/g' run.yaml >nearly.yaml
nearly() { exits 0 on_ranks 3 train nearly.yaml --set data.schema=schema.yaml --run "$@"; }
check "all but one" nearly nearly
check "is a small count too" prints "data: bp: all but some missing"
check "in the events as well" bash -c '! grep -o "\"what\".*previous" nearly/events.jsonl | grep -q "239\|missing, no row" && grep -q "all but some" nearly/events.jsonl'
sed -i '9s/,[0-9.]*/,/' n2.csv
check "none at all" nearly none
check "is said" prints "data: bp: 240 missing, no row has a value"
sed '/age/s/120/29/' schema.yaml >narrow.yaml
sed -i '20s/^[0-9]*/5/' 3.csv
check "all but one are outside" exits 0 on_ranks 2 train run.yaml --set data.schema=narrow.yaml --run outside
check "as well" prints "data: age: 18 missing, all but some outside of the range"

# Without a schema the first silo's way to write numbers goes to all, and into the model
for i in 1 2 3; do rows $i | sed 's/\([a-z]*\) ,/\1,/' >$i.csv; done
sed -i '5s/,[0-9.]*,/,<61.7391,/; 6s/,[0-9.]*,/,n.k.,/; 7s/^[0-9]*,[0-9.]*,[a-z]*/104,77.7391,zebra/' 1.csv
check "a bound of one row" exits 0 on_ranks 3 train run.yaml --run bound
check "is none that others are told" bash -c '! grep -raqE "61\.7391|77\.7391|zebra" bound'
check "the silo sits out" prints "silo-000: column 2: a value is not a finite number"
sed -i '5s/<61.7391/<0.05/' 1.csv
check "a bound that methods have" exits 0 on_ranks 3 train run.yaml --run method
check "is in the model" grep -qaF "censored: [<0.05]" method/model.h5
check "no person's words are" bash -c '! grep -raqE "77\.7391|zebra" method'

# The share of the largest class tells the rows of the other: it goes the way of the confusion matrix.
for i in 1 2 3; do awk -F, -v OFS=, 'NR > 1 { $4 = NR % 16 == 2 ? "yes" : "no" } 1' $i.csv >rare$i.csv; done
sed 's/: \([123]\).csv/: rare\1.csv/g' run.yaml >rare.yaml
check "few of a class are held out" exits 0 on_ranks 3 train rare.yaml --set data.schema=schema.yaml --run rare --set train.learning_rate=1e-9
check "how many is on no terminal" bash -c '! grep -q "largest class" "$0" && grep -q "^  validation" "$0"' "$OUT"
check "nor in inspect" bash -c '! "$GRANARY" inspect rare | grep -q "largest class"'
check "where every count may be told" exits 0 on_ranks 3 train rare.yaml --set data.schema=schema.yaml --set data.disclosure_threshold=1 --run told
check "it is" prints "largest class 93.75 %"

# Where no silo has data the ranks hear a reason, and the rank that read it the whole
sed '3s/^[0-9]*,[0-9.]*/zebra,77.7/' 2.csv >bad.csv
sed 's/: \([123]\).csv/: bad.csv/g' run.yaml >bad.yaml
check "no silo has data" exits 65 on_ranks 3 train bad.yaml --set data.schema=schema.yaml --run none-has
check "a rank's own terminal says why" says "silo-001 sits out the run: bad.csv:3: column 1 (age): found text"
check "the others are told" says "no silo has data that can be read; silo-000: column 1: a value is not a whole number"
# A message about the schema holds the words of other reasons: what it might have been.
sed 's/type: integer/type: whole/' schema.yaml >odd.yaml
check "a broken schema" exits 78 on_ranks 3 train run.yaml --set data.schema=odd.yaml --run odd
check "the whole" says 'silo-001 sits out the run: odd.yaml:2: columns[0].type: found "whole"'
check "the reason" says "no silo has data that can be read; silo-000: data.schema cannot be read, or breaks its rules"
finish
