#!/usr/bin/env bash
# The ledger of a table over time: rows are added, other ones are held out, the table is corrected.
# What was spent on it counts ever after, and a table of others does not pass for it.
. "$(dirname "$0")/library.sh"

for i in 1 2; do
    awk -v seed=$i 'BEGIN { srand(seed); print "age,ward,died"
        for (i = 0; i < 60; i++) printf "%d,%s,%s\n", 30 + int(55 * rand()), i % 3 ? "west" : "east", rand() < .5 ? "yes" : "no" }' >$i.csv
done
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: ward, type: category, categories: [east, west], encode: one_hot}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: growing, rounds: 1}
data: {source: csv, silo_tables: [{file: 1.csv}, {file: 2.csv}], schema: schema.yaml}
preprocess: {scale: min_max}
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 10, epochs: 0, steps: 4}
silos: [{directory: own1}, {directory: own2}]
privacy:
  {unit: row, clip_norm: 1, noise_multiplier: 2, expected_batch: 10, expected_units: 100, budget: {epsilon: 50, delta: 1.0e-4}}
YAML
train() {
    local code=$1 name=$2
    shift 2
    exits "$code" "$GRANARY" train run.yaml --run "$name" --quiet "$@"
}
entries() { grep -c '"release":"round"' own2/privacy-ledger; }
before() { sed -n 's/^ *"epsilon_before": \([0-9.e-]*\),*$/\1/p' "$1/manifest.json"; }
more_than() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a > b) }' || { echo "  '$1' is not above '$2'"; return 1; }; }
tables() { "$GRANARY" privacy ledger own2 | grep -o 'table [a-z]*:' | tr '\n' ' '; }

check "a run" train 0 first
check "has spent nothing before" equal "$(before first)" 0.0
check "the same table" train 0 second
spent=$(before second)
check "has spent something" more_than "$spent" 0
cp 2.csv two.csv
echo 44,east,yes >>2.csv
echo nonsense,east,yes >>2.csv
check "a table with a row more is the same" train 0 grown
check "and has spent more" more_than "$(before grown)" "$spent"
check "so is one of which rows are held out" train 0 held --set data.validation_fraction=0.2 --set privacy.evaluation.noise_multiplier=20 --set privacy.evaluation.times=1
sed 's/categories: \[east, west\]/categories: [north, west, east]/' schema.yaml >wards.yaml
check "or whose schema knows another category" train 0 wards --set data.schema=wards.yaml
check "the ledger tells of the table" equal "$(tables)" "table begun: table grown: table dealt: table dealt: "
check "and each round is in it" equal "$(entries)" 5

cp 2.csv grown.csv
# refused NAME: another table, and nothing is charged.
refused() {
    train 77 "$1" || return 1
    says "own2/privacy-ledger: tells what was spent of another table" && equal "$(entries)" 5
}
cp two.csv 2.csv
check "without its last row it is another" refused shorter
sed '5s/.*/50,west,no/' grown.csv >2.csv
check "or with a row corrected" refused corrected
(echo 44,east,no; cat grown.csv) | sed '1{h;d};2{p;x}' >2.csv
check "or with one in front" refused in_front
cp 1.csv 2.csv
check "or of other people" refused other_people
(head -n 1 grown.csv; tail -n +2 grown.csv | sort) >2.csv
check "or in another order" refused in_order
adopt=$(grep -o -- '--adopt [0-9a-f]*' "$ERR" | head -n 1)
# shellcheck disable=SC2086
check "until somebody says that it holds the same people" exits 0 "$GRANARY" privacy ledger own2 $adopt
check "then it goes on" train 0 adopted
check "with all that was spent" more_than "$(before adopted)" "$(before wards)"
check "and is charged" equal "$(entries)" 6
check "a budget that is spent stays so" train 77 over --set privacy.budget.epsilon="$(before adopted)"
check "with these words" says "of which"
echo 44,east,yes >>2.csv
check "it grows from there" train 0 further
cp grown.csv 2.csv
check "what was there before is another table now" train 77 back
finish
