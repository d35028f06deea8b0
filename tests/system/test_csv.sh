#!/usr/bin/env bash
# Tables from CSV files: the hospital example at a reduced size, import, and what is refused.
. "$(dirname "$0")/library.sh"

digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
lines() { tail -n +2 "$1"; }

"$TOP/jobs/make-hospital.sh" hospital 600 >/dev/null
ln -s "$TOP/configs" configs
"$TOP/jobs/make-hospital.sh" again 600 >/dev/null
check "the generator makes the same bytes again" cmp hospital/train.csv again/train.csv
check "the example is valid" exits 0 "$GRANARY" validate configs/hospital.yaml
check "its table is summed up" prints "features   12, of tables of 10 columns"
for n in 1 3; do
    check "the example on $n" exits 0 on_ranks $n train configs/hospital.yaml --set run.rounds=3 --run run$n
done
check "the same model" equal "$(digest run1)" "$(digest run3)"
check "what is missing is told in counts" prints "data: smoker: 37 missing"
check "the ends of a range are inside" bash -c '! grep -q "data: age" "$0"' "$OUT"
check "in the events too" grep -q '"event":"findings".*smoker: 37 missing' run3/events.jsonl
check "a higher threshold" exits 0 on_ranks 2 train configs/hospital.yaml --set run.rounds=1 \
    --set data.disclosure_threshold=100 --run run100
check "nothing below it is told" prints "data: smoker: fewer than 100 missing"
check "silos must be as many as centres" exits 78 on_ranks 2 train configs/hospital.yaml --set data.silos=5 --run no
check "it says how many" says 'found 5, the column "centre" has 6 values'

# A file for each hospital: the same model as the table partitioned, but for what fills gaps
head -n 1 hospital/train.csv >head
for c in Ahorn Birke Buche; do { cat head; grep ",$c," hospital/train.csv; } >$c.csv; done
cat >files.yaml <<'YAML'
run: {name: files, rounds: 2}
data:
  source: csv
  silo_tables: [{file: Ahorn.csv}, {file: Birke.csv}, {file: Buche.csv}]
  schema: configs/schemas/hospital.yaml
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 32}
YAML
check "a file for each silo" exits 0 on_ranks 3 train files.yaml --run files3
check "on two ranks" exits 0 on_ranks 2 train files.yaml --run files2
check "the same model" equal "$(digest files2)" "$(digest files3)"
sed -i '1s/lactate/Lactate/' Birke.csv
check "a column of another name" exits 65 on_ranks 3 train files.yaml --run no
check "its silo and the column are named to all" says 'silo-001: column 8: the columns are not as expected'
check "its own terminal says the rest" says 'silo-001 sits out the run: Birke.csv:1: column 8: found another name, expected "lactate"'
check "not its path, nor what stands there" bash -c '! grep -v "sits out the run" "$0" | grep -q "Birke\|Lactate"' "$ERR"
sed -i '1s/Lactate/lactate/; 5s/$/,1/' Birke.csv
check "a ragged row: the silo sits out" exits 0 on_ranks 3 train files.yaml --run ragged
check "that is told" prints "1 of 3 silos sit out"

# Without a schema, ranks compare what they found
for s in a b c; do printf 'x,k,label\n1,p,0\n2,q,1\n3,p,1\n' >$s.csv; done
sed -e 's/schema: .*/csv: {separator: comma}/' -e 's/Ahorn/a/; s/Birke/b/; s/Buche/c/' files.yaml >guessed.yaml
check "guessed columns" exits 0 on_ranks 3 train guessed.yaml --run guessed
printf 'x,k,label\n1,p,0\n2,r,1\n' >c.csv
check "guessed categories are united" exits 0 on_ranks 3 train guessed.yaml --run united
check "rare ones are not told, for they may name somebody" bash -c '"$GRANARY" inspect united/model.h5 >told && ! grep -q "[pqr]," told && grep -q "name: k" told'
printf 'x,K,label\n1,p,0\n2,q,1\n' >c.csv
check "names differ between ranks" exits 65 on_ranks 3 train guessed.yaml --run no
check "the column is named" says "column 2: its name, type or categories are not those of another silo"
check "and what helps" says "without data.schema each silo guesses them by its own rows: \`granary init\` writes a schema for all"
check "and the silo" grep -q 'silo-00[0-2]: ' "$ERR"
printf 'x,k,m,label\n1,p,1,0\n' >c.csv
check "one more column" exits 65 on_ranks 3 train guessed.yaml --run no
check "it is counted" says "found 3 columns, another silo has 4"
check "nothing is left of what was refused" [ ! -e no ]

# Import
check "import" exits 0 "$GRANARY" import hospital/train.csv --schema configs/schemas/hospital.yaml -o t.h5
check "rows and classes" prints "t.h5: 600 rows, 2 classes"
check "findings" prints "smoker: 37 missing, 0 outside of the range, 0 of no known category"
check "no progress where nobody watches" equal "$(wc -c <"$ERR")" 0
if command -v script >/dev/null; then
    script -qec "$GRANARY import hospital/train.csv --schema configs/schemas/hospital.yaml -o watched.h5" /dev/null </dev/null >watched
    check "progress on a terminal" grep -q "100 % of 0 MB" watched
fi
"$GRANARY" import hospital/test.csv --schema configs/schemas/hospital.yaml -o u.h5 >/dev/null
sed -e 's/source: csv/source: hdf5/' -e 's/csv}/h5}/' -e 's,hospital/train,t,; s,hospital/test,u,' \
    configs/hospital.yaml >h5.yaml
check "training on it by its schema and centres" exits 0 on_ranks 2 train h5.yaml --set run.rounds=3 --run h5
check "what is missing is told as of the CSV file" prints "data: smoker: 37 missing"
check "and nothing else" bash -c '! grep -q "data: age" "$0"' "$OUT"
check "the same model as from the CSV file" equal "$(digest h5)" "$(digest run1)"
check "evaluate" exits 0 "$GRANARY" evaluate h5/model.h5 u.h5
check "a proposed schema" exits 0 "$GRANARY" import --infer-schema hospital/train.csv --label died --group centre
cp "$OUT" proposed.yaml
check "has the label" grep -q 'type: label' proposed.yaml
check "reads its file" exits 0 "$GRANARY" import hospital/train.csv --schema proposed.yaml -o v.h5
check "with centres and no schema" exits 0 "$GRANARY" import hospital/train.csv --label died --group centre -o c.h5
sed -e '/schema:/d; /test:/d' h5.yaml | sed 's/file: t.h5/file: c.h5/' >c.yaml
check "its centres are silos" exits 0 on_ranks 2 train c.yaml --set run.rounds=1 --run c
check "a column of centres that is not there" exits 65 "$GRANARY" import hospital/train.csv --label died --group city -o x.h5
check "is named" says 'has no column "city" of groups'
check "centres by a schema" exits 64 "$GRANARY" import hospital/train.csv --schema proposed.yaml --group centre -o x.h5
check "without a schema" exits 0 "$GRANARY" import hospital/train.csv --label died -o w.h5
tr , ';' <hospital/train.csv >semicolon.csv
check "the wrong separator" exits 65 "$GRANARY" import semicolon.csv --label died --separator comma -o x.h5
check "the right one is named" says "it would be 10 with semicolon"
for s in semicolon ';'; do
    check "given as $s" exits 0 "$GRANARY" import semicolon.csv --label died --separator "$s" -o x.h5
    check "the same table" cmp x.h5 w.h5
done
lines hospital/train.csv >bare.csv
check "no header" exits 0 "$GRANARY" import bare.csv --no-header --schema configs/schemas/hospital.yaml -o y.h5
check "the same table" cmp y.h5 t.h5
check "no header needs a schema" exits 64 "$GRANARY" import bare.csv --no-header -o z.h5
check "missing label" exits 65 "$GRANARY" import hospital/train.csv -o z.h5
check "it is named" says 'no column "label"'
: >empty.csv
check "an empty file" exits 65 "$GRANARY" import empty.csv -o z.h5
check "a header only" exits 65 bash -c '"$GRANARY" import head --label died -o z.h5'
check "it says so" says "a header and no rows"
check "a missing file" exits 65 "$GRANARY" import nothing.csv -o z.h5
check "a separator that is none" exits 64 "$GRANARY" import head --separator x -o z.h5
check "both kinds" exits 64 "$GRANARY" import head --features a --labels b -o z.h5
check "a folder that is not there" exits 73 "$GRANARY" import hospital/train.csv --label died -o nowhere/z.h5
perl -e 'print "x,label\n"; print $_ / 7, ",", $_ % 2, "\n" for 1 .. 40000' >large.csv
check "a limit of size" exits 73 bash -c 'ulimit -f 50; "$GRANARY" import large.csv -o z.h5'
check "it says so" says "z.h5: the file could not be written: File too large"
check "nothing is left" [ ! -e z.h5 ] && check "no temporary file" [ ! -e z.h5.tmp ]
# ended SIGNAL CODE: an import that is told to end while its process that writes stands still.
{ echo a,b,c,d,label; yes 0.142857,0.285714,0.428571,0.571429,1 | head -n 1500000; } >larger.csv
printf 'columns:\n' >larger.yaml
printf -- '- {name: %s, type: number}\n' a b c d >>larger.yaml
echo '- {name: label, type: label}' >>larger.yaml
ended() {
    local code process
    env --default-signal="$1" "$GRANARY" import larger.csv --schema larger.yaml -o z.h5 >"$OUT" 2>"$ERR" &
    process=$!
    until [ -e z.h5.tmp ] || ! kill -0 $process; do sleep .002; done
    pkill -STOP -P $process granary
    cp z.h5.tmp stale.tmp && kill -"$1" $process
    wait $process; code=$?
    none_left granary && equal $code "$2"
}
for signal in TERM:143 INT:130 HUP:129; do
    check "an import ended by ${signal%:*}" ended "${signal%:*}" "${signal#*:}"
    check "leaves nothing" [ ! -e z.h5 ] && check "not half a file either" [ ! -e z.h5.tmp ]
done
cp stale.tmp z.h5.tmp
check "what a process that is dead has left is written over" exits 0 "$GRANARY" import large.csv -o z.h5
check "and gone" [ ! -e z.h5.tmp ]

# Somebody else writes the same file: neither gets the other's rows.
check "a table that another writes" exits 73 flock -n z.h5.tmp "$GRANARY" import large.csv -o z.h5
check "it says so" says "z.h5: another process is writing it"
check "the other's file is left to him" [ -e z.h5.tmp ]
check "what was left behind does no harm" exits 0 "$GRANARY" import large.csv -o z.h5
check "a first import" exits 0 "$GRANARY" import large.csv -o a.h5
check "the same table" cmp z.h5 a.h5 && check "no temporary file" [ ! -e z.h5.tmp ]
finish
