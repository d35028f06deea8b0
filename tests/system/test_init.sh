#!/usr/bin/env bash
# granary init: from tables to a config and a schema that run as they are, and what is refused.
. "$(dirname "$0")/library.sh"

# patients ROWS LABEL SEED: age, bmi, a centre and a label of one kind.
patients() {
    awk -v rows="$1" -v kind="$2" -v seed="$3" '
    function uniform() { seed = (seed * 16807) % 2147483647; return seed / 2147483647 }
    BEGIN {
        print "centre,age,bmi,ward,outcome"
        for (i = 1; i <= rows; i++) {
            age = 20 + int(70 * uniform()); bmi = 17 + 20 * uniform(); u = uniform()
            risk = (age - 55) / 8 + (bmi - 27) / 4
            if (kind == "two") y = u < 1 / (1 + exp(-risk)) ? "died" : "alive"
            else if (kind == "three") y = risk < -2 ? "mild" : risk < 2 ? "moderate" : "severe"
            else if (kind == "number") y = sprintf("%.2f", 130 + 3 * risk + 2 * u)
            else y = kind == "count" ? int(exp(1.5 + 0.15 * risk) + 3 * u) : "alive"
            printf "%s,%d,%.1f,%s,%s\n", substr("ABC", 1 + i % 3, 1), age, bmi, uniform() < 0.5 ? "north" : "south", y
        }
    }'
}
# told NAME: a score of the run's test rows.
told() { tr -d ' \n' <"$1/evaluation.json" | grep -oE "\"$2\":(\{\"value\":)?[0-9.]+" | head -n 1 | grep -oE '[0-9.]+$'; }
# over A B: A is the larger
over() { awk -v a="${1:-0}" -v b="$2" 'BEGIN { exit !(a > b) }' || { echo "  '$1' is not over $2"; return 1; }; }

for kind in two three number count one; do patients 600 $kind 7 >$kind.csv; done
check "two classes" exits 0 "$GRANARY" init two.csv --label outcome --group centre -o study
check "each column is told of" prints "ward: category of 2 values, one-hot"
check "classes and their counts" prints "outcome: label of 2 classes: alive "
check "the next commands" prints "granary run -n 3 study/config.yaml"
check "the config is commented" grep -q 'silos: 3' study/config.yaml
check "so is the schema" grep -q '# outcome: the event (1 of a logistic model) is "died"' study/schema.yaml
check "it is valid" exits 0 "$GRANARY" validate study/config.yaml
check "it trains" exits 0 on_ranks 2 train study/config.yaml --quiet --run two
check "a sensible AUC" over "$(told two auc)" 0.8
before=$(cat study/config.yaml study/schema.yaml | cksum)
check "nothing is overwritten" exits 73 "$GRANARY" init two.csv --label outcome -o study
check "it says what" says "study/config.yaml: is there already"
check "not a byte" equal "$(cat study/config.yaml study/schema.yaml | cksum)" "$before"
mkdir half && : >half/schema.yaml
check "nor a schema by itself" exits 73 "$GRANARY" init two.csv --label outcome -o half
check "nothing is put beside it" [ ! -e half/config.yaml ]

check "three classes" exits 0 "$GRANARY" init three.csv --label outcome -o three
check "softmax" grep -q 'type: softmax' three/config.yaml
check "it trains" exits 0 on_ranks 2 train three/config.yaml --quiet --run three/run
check "a sensible accuracy" over "$(told three/run accuracy)" 0.8
check "a number" exits 0 "$GRANARY" init number.csv --label outcome --group centre -o number/
check "linear" grep -q 'type: linear' number/config.yaml
check "it trains" exits 0 on_ranks 2 train number/config.yaml --quiet --run number/run
check "a sensible R2" over "$(told number/run r2)" 0.9
check "a count" exits 0 "$GRANARY" init count.csv --label outcome --group centre -o count
check "Poisson" grep -q 'type: poisson' count/config.yaml
check "it trains" exits 0 on_ranks 2 train count/config.yaml --quiet --run count/run
check "a sensible deviance" over 1 "$(told count/run poisson_deviance)"

# Tables of Excel: semicolons, Latin-1, a row of units; a folder whose name has a blank
for s in A B C; do
    { printf 'Gr\xf6\xdfe;bmi;Befund\ncm;kg/m2;\n'
        grep "^$s," two.csv | awk -F, '{ printf "%d;%s;%s\n", 100 + $2, $3, $5 == "died" ? "ung\xfcnstig" : "gut" }'; } >excel-$s.csv
done
check "no table" exits 64 "$GRANARY" init
check "is told" says "TABLE.csv is missing"
check "Latin-1 is refused" exits 65 "$GRANARY" init excel-?.csv
check "with what to say" says "excel-A.csv:1: column 1: its name is not UTF-8; if it is Latin-1, as of Excel: data.csv.encoding latin1, or --encoding latin1"
check "no label and no folder" exits 64 "$GRANARY" init excel-?.csv --encoding latin1
check "likely labels" says "init: no column is the label: --label NAME"
check "no folder" exits 64 "$GRANARY" init excel-?.csv --label Befund --encoding latin1
check "is told" says "-o FOLDER is missing"
check "units in each table" exits 65 "$GRANARY" init excel-?.csv --label Befund --encoding latin1 -o "my study"
check "all are told" says 'excel-A.csv:2: seems to hold units, no values, as in 2 more tables: take the line out first, as with `sed -i 2d TABLE...`'
sed -i 2d excel-?.csv
iconv -f latin1 -t utf8 excel-C.csv >excel && mv excel excel-C.csv
check "without them" exits 0 "$GRANARY" init excel-?.csv --label Befund --encoding latin1 -o "my study"
check "commands to be pasted" prints "granary run -n 3 'my study/config.yaml'"
check "the same in the config" grep -q "^#   granary validate 'my study/config.yaml'" "my study/config.yaml"
check "it trains, a site in UTF-8 among them" exits 0 on_ranks 2 train "my study/config.yaml" --quiet --run excel
check "every class is known" [ "$(grep -c '"unknown"' excel/events.jsonl)" = 0 ]
check "evaluated" exits 0 "$GRANARY" evaluate excel/model.h5 excel-A.csv --encoding latin1
check "classes by name" prints "ungünstig"
check "undeclared" exits 65 "$GRANARY" evaluate excel/model.h5 excel-A.csv
check "predicted" exits 0 "$GRANARY" predict excel/model.h5 excel-A.csv --encoding latin1 --id Größe -o excel.csv
check "the header" equal "$(head -n 1 excel.csv)" "Größe,label,p_gut,p_ungünstig"
check "imported" exits 0 "$GRANARY" import excel-A.csv --schema "my study/schema.yaml" --encoding latin1 -o excel.h5
check "the same scores" equal "$("$GRANARY" evaluate excel/model.h5 excel.h5 --json | head -c 300)" \
    "$("$GRANARY" evaluate excel/model.h5 excel-A.csv --encoding latin1 --json | head -c 300)"
check "no such encoding" exits 64 "$GRANARY" predict excel/model.h5 excel-A.csv --encoding cp1252 -o no.csv
check "of an HDF5 table" exits 64 "$GRANARY" evaluate excel/model.h5 excel.h5 --encoding latin1

# A table for each silo; names that YAML takes for something else
for s in A B C; do { head -n 1 two.csv; grep "^$s," two.csv; } >"$s: 1.csv"; done
check "a table for each silo" exits 0 "$GRANARY" init "A: 1.csv" "B: 1.csv" "C: 1.csv" --label outcome -o null
check "is said" prints "null/config.yaml: 3 silos, a table each"
check "it trains" exits 0 on_ranks 2 train null/config.yaml --quiet --run many --set run.rounds=1
check "not by a group too" exits 64 "$GRANARY" init "A: 1.csv" "B: 1.csv" --label outcome --group centre -o no
tr , ';' <two.csv >semicolons.csv
check "a separator of one's own" exits 0 "$GRANARY" init semicolons.csv --label outcome --separator semicolon -o own
check "stands in the config" grep -q 'csv: {separator: semicolon, header: true}' own/config.yaml
tail -n +2 two.csv >bare.csv
check "without a header" exits 0 "$GRANARY" init bare.csv --no-header --label column5 -o bare
check "it trains" exits 0 on_ranks 1 train bare/config.yaml --quiet --run bare/run --set run.rounds=1

# What is refused, with what to do
check "no label" exits 64 "$GRANARY" init two.csv -o no
check "the likely ones are named" says "likely are: outcome"
check "a wrong label" exits 65 "$GRANARY" init two.csv --label outcom -o no
check "the nearest is named" says 'nearest is "outcome"'
# More silos than a column has categories: practices of few patients each, by numbers and by names.
for name in %d practice-%d; do
    awk -v name="$name" 'BEGIN { print "practice,age,outcome"
        for (i = 0; i < 3000; i++) printf name ",%d,%s\n", i % 1000, 20 + i * 7 % 70, (i * 7 % 70 > 30 ? "died" : "alive") }' >many.csv
    rm -rf many
    check "a thousand groups" exits 0 "$GRANARY" init many.csv --label outcome --group practice -o many
    check "are counted" prints "practice: 1000 groups"
    check "and are silos" grep -q 'silos: 1000' many/config.yaml
    check "as many as are loaded" exits 0 "$GRANARY" validate many/config.yaml
done
check "a wrong group" exits 65 "$GRANARY" init two.csv --label outcome --group center -o no
check "the nearest is named" says 'nearest is "centre"'
check "one class" exits 65 "$GRANARY" init one.csv --label outcome -o no
check "is called so" says "found one class only"
sed '1a ,years,kg/m2,,' two.csv >units.csv
check "a row of units" exits 65 "$GRANARY" init units.csv --label outcome -o no
check "is named by line" says "units.csv:2: seems to hold units"
cut -d, -f1,5 two.csv | awk -F, 'NR == 1 { print "id,outcome"; next } { print "P" NR "," $2 }' >ids.csv
check "nothing but identifiers" exits 65 "$GRANARY" init ids.csv --label outcome -o no
check "is called so" says "has no column of features"
check "no table" exits 64 "$GRANARY" init --label outcome -o no
check "no folder" exits 64 "$GRANARY" init two.csv --label outcome
check "a table that is not there" exits 65 "$GRANARY" init none.csv --label outcome -o no
check "a folder in none" exits 73 "$GRANARY" init two.csv --label outcome -o nowhere/at/all
check "nothing is left" [ ! -e no ]
sed '9s/,[^,]*/,old/' two.csv >odd.csv
check "a cell to be mended" exits 0 "$GRANARY" init odd.csv --label outcome --group centre -o odd
check "is said" prints "before it runs: mend or declare the cells named above (1)"
# No room for one of its files: neither is left, nor the folder, unless it was there before.
STARVED='ulimit -f 1; exec "$0" init two.csv --label outcome --group centre -o "$1"'
mkdir before
check "no room" exits 73 bash -c "$STARVED" "$GRANARY" nowhere
check "leaves no folder" [ ! -e nowhere ]
check "no room in a folder of one's own" exits 73 bash -c "$STARVED" "$GRANARY" before
check "leaves it, empty" equal "$(ls -A before | wc -l) $(ls -d before)" "0 before"
finish
