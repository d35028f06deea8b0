#!/usr/bin/env bash
# evaluate and predict tell what training tells: findings by column, names of classes, whose row it
# is; and read a table by what is in it, whatever it is called. Counts and scores are held against
# awk's of the same rows.
. "$(dirname "$0")/library.sh"
sh "$TOP/jobs/make-hospital.sh" hospital 400 >/dev/null
ln -s "$TOP/configs" configs
check "a model" exits 0 "$GRANARY" train configs/hospital.yaml --quiet --run run --set run.rounds=2

# ---- findings ---------------------------------------------------------------------------------
# Three ages beyond the range, two sexes that nobody has listed; gaps are in the table already.
awk -F, -v OFS=, 'NR == 2 || NR == 30 || NR == 77 {$3 = "20.5"} NR == 5 || NR == 6 {$4 = "X"} {print}' hospital/test.csv >odd.csv
gaps() { awk -F, -v i="$1" 'NR > 1 && ($i == "" || $i == "NA") {n++} END {print n + 0}' odd.csv; }
check "evaluate" exits 0 "$GRANARY" evaluate run/model.h5 odd.csv
cp "$OUT" scores
check "how many rows" prints "found in the table's 100 rows:"
check "outside of the range" prints "  age: 3 outside of 1.8 to 11"
check "unknown categories" prints "  sex: 2 of a category that the model does not know"
check "missing categories" prints "  smoker: $(gaps 6) missing, taken as the commonest category of the training rows"
check "missing numbers" prints "  creatinine: $(gaps 7) missing, taken as the mean of the training rows"
check "with a feature for it" prints "  lactate: $(gaps 8) missing, taken as 0 and said so in a feature"
check "as JSON" exits 0 "$GRANARY" evaluate run/model.h5 odd.csv --json
check "the same counts" grep -qF '"findings":[{"column":"age","missing":0,"outside":3,"unknown":0,"censored":0,"lost":0,"dropped":0},{"column":"sex","missing":0,"outside":0,"unknown":2,"censored":0,"lost":0,"dropped":0},{"column":"smoker","missing":'"$(gaps 6)" <<<"$(tr -d ' \n' <"$OUT")"
check "import" exits 0 "$GRANARY" import odd.csv --schema configs/schemas/hospital.yaml -o odd.h5
for table in odd.csv odd.h5; do
    for ranks in 1 2 3; do
        check "$table on $ranks ranks" exits 0 on_ranks $ranks evaluate run/model.h5 $table
        check "the same words" cmp scores "$OUT"
    done
    check "predict from $table" exits 0 on_ranks 2 predict run/model.h5 $table -o odd.predictions.csv
    for words in "age: 3 outside" "sex: 2 of a category" "albumin: $(gaps 9) missing"; do
        check "it tells them too" says "  $words"
    done
done
awk -F, -v OFS=, 'NR > 1 {$4 = "?"} {print}' hospital/test.csv | sed 's/,?,/,,/' >lost.csv
check "a value that may not be missing" exits 65 "$GRANARY" evaluate run/model.h5 lost.csv
check "is refused by line and column" says "lost.csv:2: column 4 (sex): found no value"
awk -F, -v OFS=, 'NR > 1 {$6 = ""} {print}' hospital/test.csv >none.csv
check "a column without any value" exits 0 "$GRANARY" predict run/model.h5 none.csv -o none.predictions.csv
check "is called so" says "  smoker: all 100 missing"

tail -n +2 odd.csv >bare.csv
for command in "evaluate run/model.h5 bare.csv" "predict run/model.h5 bare.csv -o no.csv"; do
    check "a table without names of columns" exits 65 "$GRANARY" $command
    check "is told how to be read" says 'bare.csv:1: found no name of a column of the model, expected "patient" and the others (or `header: false`, --no-header, where'
done
check "so it is read" exits 0 "$GRANARY" evaluate run/model.h5 bare.csv --no-header
check "with the same scores" cmp scores "$OUT"

# ---- names and ids ----------------------------------------------------------------------------
for ranks in 1 3; do
    check "with ids, on $ranks ranks" exits 0 on_ranks $ranks predict run/model.h5 odd.csv --id patient -o $ranks.csv
    check "to HDF5" exits 0 on_ranks $ranks predict run/model.h5 odd.csv --id patient -o $ranks.h5
done
check "the same bytes" cmp 1.csv 3.csv
check "the same bytes" cmp 1.h5 3.h5
check "names of classes" equal "$(head -n 1 1.csv)" "patient,label,p_no,p_yes"
check "each row's id" equal "$(tail -n +2 1.csv | cut -d, -f1 | cksum)" "$(tail -n +2 odd.csv | cut -d, -f1 | cksum)"
check "the label is the likelier" awk -F, 'NR > 1 && $2 != ($4 > $3 ? "yes" : "no") {exit 1}' 1.csv
# counts IS TAKEN: rows of that class taken for that one, by joining predictions and truth.
counts() { join -t, <(tail -n +2 1.csv | sort) <(tail -n +2 odd.csv | cut -d, -f1,10 | sort) |
    awk -F, -v is="$1" -v taken="$2" '$5 == is && $2 == taken {n++} END {print n + 0}'; }
nn=$(counts no no) ny=$(counts no yes) yn=$(counts yes no) yy=$(counts yes yes)
check "all are joined" equal $((nn + ny + yn + yy)) 100
check "confusion, class no" equal "$(awk '$1 == "no" && NF == 3 {print $2, $3}' scores)" "$nn $ny"
check "confusion, class yes" equal "$(awk '$1 == "yes" && NF == 3 {print $2, $3}' scores)" "$yn $yy"
check "rows, precision, recall, F1" equal "$(awk '$1 == "yes" && NF == 5' scores | tr -s ' ')" \
    "$(awk -v t=$yy -v p=$((ny + yy)) -v a=$((yn + yy)) 'BEGIN {printf "yes %d %.4f %.4f %.4f", a, t / p, t / a, 2 * t / (a + p)}')"
check "the largest class" equal "$(awk '$1 == "largest_class" {print $2, $4}' scores)" \
    "$(awk -v n=$((nn + ny)) 'BEGIN {printf "%.6f %s", n / 100, "no:"}')"
check "names beside the counts, as JSON" grep -qF "\"confusion\":{\"classes\":2,\"names\":[\"no\",\"yes\"],\"counts\":[[$nn,$ny],[$yn,$yy]]}" \
    <<<"$("$GRANARY" evaluate run/model.h5 odd.csv --json | tr -d ' \n')"
check "names in a run's evaluation" grep -qF '"names":["no","yes"]' <<<"$(tr -d ' \n' <run/evaluation.json)"
check "a number as id" exits 0 "$GRANARY" predict run/model.h5 odd.h5 --id age -o age.csv
check "as it was read" equal "$(sed -n '3p' age.csv | cut -d, -f1)" "$(sed -n '3p' odd.csv | cut -d, -f3 | sed 's/\.0$//')"
check "a group as id" exits 0 on_ranks 2 predict run/model.h5 odd.h5 --id centre -o centre.csv
check "by its name" equal "$(cut -d, -f1 centre.csv | cksum)" "$(cut -d, -f2 odd.csv | cksum)"
refused() { # CODE TEXT WORDS...
    local code=$1 text=$2; shift 2
    exits "$code" "$GRANARY" "$@" && says "$text"
}
check "an id that is not there" refused 64 '--id: found "patint", odd.csv has no such column; nearest is "patient"' \
    predict run/model.h5 odd.csv --id patint -o no.csv
check "an id that an import left out" refused 64 'the column "patient" is of type text' predict run/model.h5 odd.h5 --id patient -o no.csv
check "nothing is left" equal "$(ls | grep -c '^no\.csv')" 0
if python3 -c "import h5py" 2>/dev/null || /usr/bin/python3 -c "import h5py" 2>/dev/null; then
    python=python3; python3 -c "import h5py" 2>/dev/null || python=/usr/bin/python3
    check "ids and names in HDF5" $python - <<'PY'
import csv, h5py
rows = list(csv.reader(open("1.csv")))[1:]
with h5py.File("1.h5") as f:
    names = [c.decode() for c in f["classes"][:]]
    assert names == ["no", "yes"]
    for row, id, label in zip(rows, f["id"][:], f["labels"][:]):
        assert row[0] == id.decode() and row[1] == names[label]
PY
fi

# ---- texts that need quotes -------------------------------------------------------------------
cat >quotes.yaml <<'YAML'
columns:
  - {name: "who, where", type: text}
  - {name: x, type: number}
  - {name: y, type: label, categories: ['a,b', 'say "c"']}
YAML
{ echo '"who, where",x,y'; for i in $(seq 20); do echo "\"row $i, \"\"x\"\"\",$i,\"a,b\""; echo "plain $i,-$i,\"say \"\"c\"\"\""; done; } >quotes.csv
cat >quotes.config.yaml <<'YAML'
run: {name: q, rounds: 3}
data: {source: csv, silos: 2, train: {file: quotes.csv}, schema: quotes.yaml}
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 8}
YAML
check "names with commas and quotes" exits 0 "$GRANARY" train quotes.config.yaml --quiet --run quotes
check "predict them" exits 0 "$GRANARY" predict quotes/model.h5 quotes.csv --id "who, where" -o q.csv
check "in quotes in the first line" equal "$(head -n 1 q.csv)" '"who, where",label,"p_a,b","p_say ""c"""'
check "and in each row" equal "$(sed -n 2p q.csv | cut -d, -f1-4)" '"row 1, ""x""","a,b"'

# ---- whatever it is called --------------------------------------------------------------------
tr , '\t' <odd.csv >odd.tsv
cp odd.csv odd.data; cp odd.h5 odd.table; cp odd.csv wrong.h5
for table in "odd.tsv --separator tab" odd.data odd.table "odd.table --format hdf5" "odd.data --format csv"; do
    # shellcheck disable=SC2086
    check "evaluate $table" exits 0 "$GRANARY" evaluate run/model.h5 $table
    check "the same" cmp scores "$OUT"
done
check "CSV that calls itself HDF5" refused 65 "expected an HDF5 file, found text" evaluate run/model.h5 wrong.h5
check "unless --format says what it is" exits 0 "$GRANARY" evaluate run/model.h5 wrong.h5 --format csv
check "another format" refused 64 "--format: found 'xlsx', expected csv, hdf5 or idx" evaluate run/model.h5 odd.csv --format xlsx
check "a separator of HDF5" refused 64 "are of CSV files, and odd.table is HDF5" evaluate run/model.h5 odd.table --separator tab
. "$TESTS/system/tables.sh"
make_tables
check "a model of images" exits 0 "$GRANARY" train small.yaml --quiet --run images
mv test-images pictures.bin; gzip -c pictures.bin >pictures.packed; mv test-labels answers
check "IDX by another name" exits 0 "$GRANARY" evaluate images/model.h5 pictures.bin --labels answers
cp "$OUT" plain
check "gzipped" exits 0 "$GRANARY" evaluate images/model.h5 pictures.packed --labels answers
check "the same" cmp plain "$OUT"
check "its labels are missing" refused 64 "pictures.bin is an IDX file, whose labels are in another: --labels FILE is missing" evaluate images/model.h5 pictures.bin
check "predict needs none" exits 0 "$GRANARY" predict images/model.h5 pictures.packed -o pictures.csv
check "classes without names are numbers" equal "$(head -n 1 pictures.csv)" "label,p0,p1,p2,p3"
check "also in the table of classes" grep -qE '^3 +2[0-9] ' plain
check "an IDX file has no ids" refused 64 "--id: an IDX file has no columns" predict images/model.h5 pictures.bin --id x -o no.csv
finish
