#!/usr/bin/env bash
# quick
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
