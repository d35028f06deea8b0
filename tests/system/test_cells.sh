#!/usr/bin/env bash
# Tables as people have them: each kind is trained on as it is, imported, and predicted for; the
# same values written in another way make the same model.
. "$(dirname "$0")/library.sh"
export LC_ALL=C

digest() { "$GRANARY" inspect --digest "$1/model.h5"; }

# The table that all others are another writing of: 120 rows of five centres.
awk 'BEGIN { srand(7); print "site,age,bmi,ward,born,died"
    for (i = 0; i < 120; i++) {
        age = 20 + int(rand() * 70); bmi = 18 + int(rand() * 200) / 10
        printf "%s,%d,%.1f,%s,%d-%02d-%02d,%d\n", substr("ABCDE", i % 5 + 1, 1), age, bmi,
            i % 3 ? (i % 2 ? "2" : "10") : "7", 2024 - age, i % 12 + 1, i % 28 + 1,
            rand() < (age - 20) / 70
    } }' >plain.csv
cat >schema.yaml <<'YAML'
columns:
- {name: site, type: group}
- {name: age, type: integer, range: [20, 89]}
- {name: bmi, type: number, range: [18, 37.9]}
- {name: ward, type: category, categories: ['2', '7', '10'], encode: one_hot}
- {name: born, type: date, in: years, since: 1990-06-15}
- {name: died, type: label}
YAML
cat >run.yaml <<'YAML'
run: {name: cells, rounds: 3}
data: {source: csv, silos: 3, train: {file: plain.csv}, schema: schema.yaml, test_fraction: 0.2}
preprocess: {scale: standardise}
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 8}
YAML
check "the plain table" exits 0 "$GRANARY" train run.yaml --run plain
check "nothing is found in it" bash -c '! grep -q "data: " "$0"' "$OUT"
plain=$(digest plain)

# same FILE [WORDS...]: trained on as it is, the model is the same.
same() {
    local file=$1; shift
    rm -rf one
    exits 0 "$GRANARY" train run.yaml --run one --set data.train.file="$file" "$@" || return 1
    equal "$(digest one)" "$plain"
}
# imported FILE SCHEMA: the same of the table imported.
imported() {
    local file=$1 schema=$2
    rm -rf two t.h5
    exits 0 "$GRANARY" import "$file" --schema "$schema" -o t.h5 || return 1
    exits 0 "$GRANARY" train run.yaml --run two --set data.source=hdf5 --set data.train.file=t.h5 \
        --set data.schema="$schema" || return 1
    equal "$(digest two)" "$plain"
}
# alike WHAT FILE: both, by schema.yaml.
alike() {
    check "$1" same "$2"
    check "$1, imported" imported "$2" schema.yaml
}

# Separators, found by themselves
for s in ';' '|' '	'; do tr ',' "$s" <plain.csv >t.csv; alike "separator $s" t.csv; done
tr ',' '\t' <plain.csv >t.tsv; check "a .tsv" same t.tsv
tr ',' ' ' <plain.csv | awk '{ printf "  %s  %s   %s %s %s   %s\n", $1, $2, $3, $4, $5, $6 }' >t.data
alike "aligned columns" t.data
sed 's/   /\t/' t.data >u.data
check "blanks of both kinds" same u.data --set data.csv.separator=blanks
sed 's/$/\r/' plain.csv >t.csv; check "CRLF" same t.csv
tr '\n' '\r' <plain.csv >t.csv; check "CR alone" same t.csv
# In front of the header and behind the last column
{ echo 'sep=;'; tr ',' ';' <plain.csv; } >t.csv; alike "Excel's sep= line" t.csv
{ echo '# a, b'; echo '#'; echo; cat plain.csv; } >t.csv; alike "comment lines" t.csv
sed '1s/^/# /' plain.csv >t.csv; check "a header behind #" same t.csv
awk -F, -v OFS=, '{ print (NR == 1 ? "" : NR - 2), $0 }' plain.csv >t.csv; alike "an index of pandas" t.csv
awk '{ print (NR == 1 ? "" : "\"" NR - 1 "\",") $0 }' plain.csv >t.csv; alike "row names of R" t.csv
sed 's/$/,,/' plain.csv >t.csv; alike "empty last columns" t.csv
sed '2,$s/$/,/' plain.csv >t.csv; check "trailing commas" same t.csv
gzip -c plain.csv >t.csv.gz; alike "compressed" t.csv.gz
check "on two ranks" exits 0 on_ranks 2 train run.yaml --run ranks --set data.train.file=t.csv.gz
check "the same model" equal "$(digest ranks)" "$plain"
{ printf '\xef\xbb\xbf'; cat plain.csv; } >t.csv; check "a byte order mark" same t.csv
{ echo 'sep=,'; echo '# x'; awk -F, -v OFS=, '{ print (NR == 1 ? "" : NR - 2), $0 "," }' plain.csv; } >t.csv
alike "all of it" t.csv
check "a run says so" exits 0 on_ranks 2 train run.yaml --run said --set data.train.file=t.csv
check "in one line" prints 'data: passed over in CSV files: a line "sep=", comment lines, a first column without a name (names of rows), empty last columns'
check "and an event" grep -q '"event":"findings".*comment lines' said/events.jsonl
check "an import says what was passed over" bash -c \
    'sed "s/^/;/; s/,/;/g" plain.csv >t.csv && "$GRANARY" import t.csv --schema schema.yaml -o t.h5 >told'
check "the separator and the names of rows" grep -qF \
    'separator semicolon, as found; a first column without a name: names of rows, passed over' told

# Cells written in another way, by a schema of their own that gives the same values
by() { sed "$1" schema.yaml >own.yaml; }
cells() { check "$1" same t.csv --set data.schema=own.yaml; check "$1, imported" imported t.csv own.yaml; }
sed '2,$s/\./,/g; s/,/;/g' plain.csv | awk -F';' -v OFS=';' \
    'NR == 1 { print; next } { print $1, $2, $3 "," $4, $5, $6, $7 }' >t.csv
by '1s/^/decimal: comma\n/'
cells "decimal commas"
awk -F, -v OFS=, 'NR > 1 { $3 = $3 " kg/m2"; $2 = "+" $2 } 1' plain.csv >t.csv
by '/bmi/s/}/, affixes: [kg\/m2]}/'
cells "units"
awk -F, -v OFS=, 'NR > 1 { $3 = $3 "%" } 1' plain.csv >t.csv
by '/bmi/s/}/, percent: true}/'
cells "percent signs"
awk -F, -v OFS=, 'NR > 1 { $4 = $4 ".0"; $6 = $6 ".0"; $2 = $2 "e0" } 1' plain.csv >t.csv
by ''
cells "whole numbers with decimals"
awk -F, -v OFS=, 'NR > 1 { split($5, d, "-"); $5 = d[3] "." d[2] "." d[1] } 1' plain.csv >t.csv
by '/born/s/}/, format: day_first}/'
cells "days first"
awk -F, -v OFS=, 'NR > 1 { split($5, d, "-"); $5 = d[2] "/" d[3] "/" d[1] " 0:00" } 1' plain.csv >t.csv
by '/born/s/date,/datetime, format: month_first,/'
# A date and a moment are different types: the model is the same, the columns are not.
check "months first, and a time" same t.csv --set data.schema=own.yaml
awk -F, -v OFS=, 'NR > 1 { $6 = $6 == "1" ? "yes" : "no" } 1' plain.csv >t.csv
by "/died/s/}/, categories: ['no', 'yes']}/"
cells "names of labels"
awk -F, -v OFS=, 'NR > 1 { $6 = $6 + 1 } 1' plain.csv >t.csv
by "/died/s/}/, categories: ['1', '2']}/"
cells "labels 1 and 2"
awk -F, -v OFS=, 'NR > 1 { $1 = " " $1 " " } 1' plain.csv >t.csv
check "groups are trimmed" same t.csv

# Rows without a label
{ cat plain.csv; printf 'A,30,20,2,1990-01-01,\nB,x,20,2,1990-01-01,NA\n'; } >t.csv
check "no label" exits 65 "$GRANARY" train run.yaml --run no --set data.train.file=t.csv
check "its line, and what may be done" says "t.csv:122: column 6 (died): found no value, expected a label (\`unlabelled: drop\`"
by '/died/s/}/, unlabelled: drop}/'
cells "rows without a label dropped"
check "they are counted" exits 0 "$GRANARY" train run.yaml --run counted --set data.train.file=t.csv \
    --set data.schema=own.yaml --set data.disclosure_threshold=2
check "in the events" prints "data: died: 2 rows left out without it"
check "of the imported table too" exits 0 "$GRANARY" train run.yaml --run counted2 --set data.source=hdf5 \
    --set data.train.file=t.h5 --set data.schema=own.yaml --set data.disclosure_threshold=2
check "in the events" prints "data: died: 2 rows left out without it"
check "evaluate drops them too" exits 0 "$GRANARY" evaluate counted/model.h5 t.csv
check "the others are scored" prints "rows 120 "

# Missing words and bounds
awk -F, -v OFS=, 'NR % 4 == 0 { $3 = "-999" } NR % 4 == 1 && NR > 1 { $3 = "n.k." } NR % 9 == 2 { $2 = "> 80" } 1' \
    plain.csv >t.csv
check "undeclared" exits 65 "$GRANARY" train run.yaml --run no --set data.train.file=t.csv
check "a bound is told as one" says "t.csv:2: column 2 (age): found text that begins with < or > (a bound is to be listed in \`censored\`)"
by "/bmi/s/}/, missing: mean, missing_words: ['-999', n.k.]}/; /age/s/}/, censored: ['> 80']}/"
check "declared" exits 0 "$GRANARY" train run.yaml --run words --set data.train.file=t.csv --set data.schema=own.yaml
check "counted" prints "data: bmi: 60 missing"
check "as bounds are" prints "data: age: 14 censored at a bound"
plain=$(digest words)
check "the same by an imported table" imported t.csv own.yaml
check "which tells the same" prints "data: age: 14 censored at a bound"
sed 's/-999/-999.0/' t.csv >u.csv; mv u.csv t.csv
check "a word that is a number, in decimals" same t.csv --set data.schema=own.yaml

# Large numbers: what float32 would lose is told, and kept from an origin
awk -F, -v OFS=, 'NR == 1 { $3 = "at" } NR > 1 { $3 = 1700000000 + $2 } 1' plain.csv >t.csv
sed '/bmi/s/.*/- {name: at, type: number}/' schema.yaml >own.yaml
check "seconds since 1970" exits 0 "$GRANARY" train run.yaml --run lost --set data.train.file=t.csv --set data.schema=own.yaml
check "are lost, which is told" prints "data: at: 120 beyond the digits of float32 (\`origin\`, or of dates \`since\`, keeps them)"
sed -i 's/at, type: number/at, type: number, origin: 1700000000, range: [1700000020, 1700000089]/' own.yaml
check "from an origin" exits 0 "$GRANARY" train run.yaml --run kept --set data.train.file=t.csv --set data.schema=own.yaml
check "nothing is lost, and nothing outside of the range" bash -c '! grep -q "data: " "$0"' "$OUT"
plain=$(digest kept)
check "the same by an imported table" imported t.csv own.yaml
cp t.h5 origin.h5
sed 's/, origin: 1700000000//' own.yaml >other.yaml
check "a table of another origin" exits 65 "$GRANARY" train run.yaml --run no --set data.source=hdf5 \
    --set data.train.file=origin.h5 --set data.schema=other.yaml
check "is told" says "column 3 (at): found another origin"
# The same as the age: its feature has the same numbers, once scaled.
check "predict takes the origin off" exits 0 "$GRANARY" predict kept/model.h5 t.csv -o p.csv
check "and of the imported table" exits 0 "$GRANARY" predict kept/model.h5 origin.h5 -o q.csv
check "the same predictions" cmp p.csv q.csv
check "which differ from row to row" bash -c '[ "$(tail -n +2 p.csv | sort -u | wc -l)" -gt 20 ]'

# A range is the file's, whatever is taken off: min_max and clip make the same of both
sed 's/range: \[20, 89\]/range: [30, 80]/' schema.yaml >range.yaml
sed '/age/s/}/, origin: 30}/' range.yaml >own.yaml
ranged="--set preprocess.scale=min_max --set preprocess.clip=true --set data.disclosure_threshold=1"
# shellcheck disable=SC2086
check "a range" exits 0 "$GRANARY" train run.yaml --run ranged $ranged --set data.schema=range.yaml
outside=$(grep -o 'data: age: [0-9]* outside of the range' "$OUT")
# shellcheck disable=SC2086
check "with an origin" exits 0 "$GRANARY" train run.yaml --run ranged2 $ranged --set data.schema=own.yaml
check "as many are outside" prints "${outside:-none}"
check "the same model" equal "$(digest ranged)" "$(digest ranged2)"
"$GRANARY" import plain.csv --schema own.yaml -o t.h5 >/dev/null
# shellcheck disable=SC2086
check "imported" exits 0 "$GRANARY" train run.yaml --run ranged3 $ranged --set data.schema=own.yaml \
    --set data.source=hdf5 --set data.train.file=t.h5
check "as many are outside" prints "${outside:-none}"
check "the same model" equal "$(digest ranged)" "$(digest ranged3)"
# Cells that equal an end are inside, though their float32 is not the end's double
printf 'columns: [{name: t, type: number, range: [35.1, 41.9]}, {name: died, type: label}]' >ends.yaml
{ echo t,died; for i in $(seq 20); do printf '35.1,0\n41.9,1\n'; done; } >t.csv
for last in 40 42; do
    echo "$last,0" >>t.csv
    "$GRANARY" import t.csv --schema ends.yaml -o t.h5 >/dev/null
    for source in csv hdf5; do
        check "ends of a range, $source" exits 0 "$GRANARY" train run.yaml --run "ends$last$source" \
            --set data.schema=ends.yaml --set data.source=$source --set data.disclosure_threshold=1 \
            --set data.train.file=t.${source/hdf/h}
        if [ $last = 42 ]; then check "one is outside" prints "data: t: 1 outside of the range"
        else check "none is outside" bash -c '! grep -q outside "$0"' "$OUT"; fi
    done
done

# A model reads other tables by its own schema
awk -F, -v OFS=, 'NR > 1 { split($5, d, "-"); $5 = d[3] "." d[2] "." d[1]; sub(/\./, "!", $3) } 1' plain.csv |
    tr ',' ';' | tr '!' ',' >t.csv
by '1s/^/decimal: comma\n/; /born/s/}/, format: day_first, since: 1990-06-15}/; /born/s/, since: 1990-06-15//'
check "a model of such a table" exits 0 "$GRANARY" train run.yaml --run own --set data.train.file=t.csv --set data.schema=own.yaml
cut -d';' -f2- t.csv >less.csv
for table in t.csv less.csv; do
    check "predict for $table" exits 0 "$GRANARY" predict own/model.h5 $table -o ${table%.csv}.out.csv --separator semicolon
done
check "the same" cmp t.out.csv less.out.csv
check "the plain table's cells are not its" exits 65 "$GRANARY" predict own/model.h5 plain.csv -o no.out.csv
check "the cell is named" says "plain.csv:2: column 5 (born): found no date with the day first"

# A date counts from another of its row
cat >stay.yaml <<'YAML'
columns:
- {name: born, type: text, format: day_first}
- {name: admitted, type: date, since: born, in: years, missing: mean}
- {name: died, type: label}
YAML
awk -F, -v OFS=, 'NR == 1 { print "born,admitted,died"; next } { split($5, d, "-")
    print d[3] "." d[2] "." d[1], "2024-01-15", $6 }' plain.csv >t.csv
check "a difference of dates" exits 0 "$GRANARY" train run.yaml --run stay --set data.train.file=t.csv --set data.schema=stay.yaml
plain=$(digest stay)
check "imported" imported t.csv stay.yaml
check "predict" exits 0 "$GRANARY" predict stay/model.h5 t.csv -o p.csv
cut -d, -f2- t.csv >less.csv
check "without the day that it counts from" exits 65 "$GRANARY" predict stay/model.h5 less.csv -o no.csv
check "is told" says 'less.csv: has no column "born", from which the dates of another count'
sed -i '3s/^[^,]*/31.02.1980/' t.csv
check "a day that is none" exits 65 "$GRANARY" train run.yaml --run no --set data.train.file=t.csv --set data.schema=stay.yaml
check "its line" says "t.csv:3: column 1 (born): found a day that the calendar has not"
check "not the cell" bash -c '! grep -q 1980 "$0"' "$ERR"

# A test table without the column of groups, CSV or imported
cut -d, -f2- plain.csv >test.csv
column="--set data.partition.method=column --set data.partition.column=site --set data.silos=5 --set data.test_fraction=0"
# shellcheck disable=SC2086
check "no groups in the test table" exits 0 on_ranks 2 train run.yaml --run groups $column --set data.test.file=test.csv
"$GRANARY" import plain.csv --schema schema.yaml -o train.h5 >/dev/null
check "imported" exits 0 "$GRANARY" import test.csv --schema schema.yaml -o test.h5
check "that is said" prints "no column of groups"
# shellcheck disable=SC2086
check "of HDF5 too" exits 0 on_ranks 2 train run.yaml --run groups5 $column --set data.source=hdf5 \
    --set data.train.file=train.h5 --set data.test.file=test.h5
check "the same model" equal "$(digest groups)" "$(digest groups5)"
# shellcheck disable=SC2086
check "silos need it" exits 65 "$GRANARY" train run.yaml --run no $column --set data.train.file=test.csv
# shellcheck disable=SC2086
check "imported too" exits 65 "$GRANARY" train run.yaml --run no $column --set data.source=hdf5 --set data.train.file=test.h5

# Latin-1, a column without a value, codes in a linear model
sed '1s/ward/Gr\xf6\xdfe/' plain.csv >t.csv
sed 's/name: ward/name: Größe/; s/encode: one_hot/encode: code/; /bmi/s/}/, missing: mean}/' schema.yaml >own.yaml
check "Latin-1 undeclared" exits 65 "$GRANARY" train run.yaml --run no --set data.train.file=t.csv --set data.schema=own.yaml
check "Latin-1" exits 0 "$GRANARY" train run.yaml --run latin --set data.train.file=t.csv --set data.schema=own.yaml \
    --set data.csv.encoding=latin1
check "codes are told" prints "data: codes of three and more categories in a linear model, which takes them for quantities: Größe"
check "in an event" grep -q '"event":"findings".*encode: one_hot' latin/events.jsonl
awk -F, -v OFS=, 'NR > 1 { $3 = "" } 1' t.csv >u.csv
check "no value at all" exits 0 "$GRANARY" train run.yaml --run none --set data.train.file=u.csv --set data.schema=own.yaml \
    --set data.csv.encoding=latin1
check "is told so" prints "data: bmi: 120 missing, no row has a value"

# What a schema cannot say
bad() { sed "$2" schema.yaml >bad.yaml; exits 78 "$GRANARY" train run.yaml --run no --set data.schema=bad.yaml && says "$1"; }
check "one mark for two" bad "columns[2].thousands" '/bmi/s/}/, decimal: comma, thousands: comma}/'
check "an origin of a category" bad "columns[3].origin" '/ward/s/}/, origin: 5}/'
check "since nothing" bad 'columns[4].since: found "1990-13-01"' 's/1990-06-15/1990-13-01/'
check "since a number" bad "columns[4].since: found a column that holds no dates" 's/1990-06-15/age/'
check "days of a number" bad "columns[2].in" '/bmi/s/}/, in: years}/'
check "bounds without a number" exits 78 bash -c \
    'sed "/bmi/s/}/, censored: [low]}/" schema.yaml >bad.yaml; "$GRANARY" train run.yaml --run no --set data.schema=bad.yaml'
check "name schema and column" says 'granary: bad.yaml: column "bmi": censored: entry 1: expected a text with one number'
check "when imported too" exits 78 "$GRANARY" import plain.csv --schema bad.yaml -o no.h5
check "name them" says 'granary: bad.yaml: column "bmi": censored'
check "nothing is left of what was refused" [ ! -e no ]

# Files of other programs
printf 'PK\003\004\024\0\006\0\010\0\0\0!\0\0\0\0\0\0\0\0\0\0\0\0\0\023\0\0\0[Content_Types].xml' >t.xlsx
printf 'PAR1\025\004\025' >t.parquet
for file in t.xlsx t.parquet; do
    for source in csv hdf5; do
        check "$file as $source" exits 65 "$GRANARY" train run.yaml --run no --set data.source=$source --set data.train.file=$file
        check "is named, once" grep -q "^granary: $file: expected .*found an\? \(Excel\|Parquet\)" "$ERR"
    done
    check "$file imported" exits 65 "$GRANARY" import $file --label x -o no.h5
    check "is named" says "$file: expected CSV, found a"
done
check "CSV as HDF5" exits 65 "$GRANARY" train run.yaml --run no --set data.source=hdf5
check "is named" says "plain.csv: expected an HDF5 file, found text, perhaps CSV"
finish
