#!/bin/bash
# Secure sums: what leaves by them, what is refused, and what follows from the schema in its place.
. "$TESTS/system/library.sh"

# 80 rows of a clinic, of which each weighs.
rows() {
    awk -v seed="$1" 'BEGIN { srand(seed); print "age,bp,dose,ward,w,died"
        for (i = 0; i < 80; i++) { age = 30 + int(55 * rand())
            printf "%d,%s,,%s,%.2f,%s\n", age, i % 9 ? 100 + int(500 * rand()) / 10 : "",
                i % 7 == 5 ? "" : i % 3 == 1 ? "east" : "west", 0.01 + 3 * rand(), rand() < age / 100 ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i >$i.csv; done
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: bp, type: number, range: [0, 100000000], missing: mean}
- {name: dose, type: number, range: [0, 10], missing: indicator}
- {name: ward, type: category, categories: [east, west], encode: one_hot, missing: mode}
- {name: w, type: weight, range: [0, 5]}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: told, rounds: 3}
data:
  source: csv
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  schema: schema.yaml
  validation_fraction: 0.3
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 16, class_weights: balanced}
preprocess: {scale: standardise}
aggregation: {grid: public, clip_norm: 1, weight_max: 1000}
evaluate: {metrics: [auc, balanced_accuracy]}
silos: [{directory: own1}, {directory: own2}, {directory: own3}]
YAML
secure="--set secure.aggregation=true"
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
fit() { "$GRANARY" inspect "$1/model.h5" | sed -n '/^  preprocessing/,/^  server/p'; }
left() { grep '"event":"releases"' "$1/events.jsonl" | grep -o '"release":[0-9]*,"name":"[a-z-]*"' | sed 's/.*"name"://' | sort -u; }
# listed WORDS...: "name secure" of what the config lets out.
listed() { "$GRANARY" releases run.yaml --json "$@" | sed -n 's/^ *"name": "\(.*\)",$/\1/p; s/^ *"secure": "\(.*\)"$/\1/p'; }

# ---- one model --------------------------------------------------------------------------------------
for ranks in 1 3; do
    check "plain on $ranks" exits 0 on_ranks $ranks train run.yaml --run plain$ranks --quiet
    # shellcheck disable=SC2086
    check "secure on $ranks" exits 0 on_ranks $ranks train run.yaml --run secure$ranks --quiet $secure
done
check "have one digest" equal "$(digest plain1) $(digest plain3)" "$(digest secure1) $(digest secure3)"
check "and one fit" equal "$(fit plain3)" "$(fit secure3)"
check "which has a spread of each number" bash -c '! grep -q "spread:.*[[, ]0[],]" <<<"$1" && grep -q spread <<<"$1"' _ "$(fit secure1 | sed 's/\(spread: \[[^,]*, [^,]*\), .*/\1]/')"
check "and one loss" equal "$(grep -o '"train_loss":[^,]*' plain3/metrics.jsonl)" "$(grep -o '"train_loss":[^,]*' secure3/metrics.jsonl)"
# In units of its range no digit that a float keeps is lost, though the range is a million times as wide.
check "an agreed grid" exits 0 on_ranks 3 train run.yaml --run agreed --quiet --set aggregation.grid=agreed --set aggregation.clip_norm=0 --set aggregation.weight_max=0
spread() { fit "$1" | sed -n 's/^ *spread: \[\([^,]*\), \([^,]*\),.*/\1 \2/p'; }
check "fits the same" awk -v a="$(spread agreed)" -v b="$(spread secure3)" 'BEGIN { split(a, x); split(b, y); bad = !(x[2] > 0)
    for (i = 1; i <= 2; i++) { d = x[i] - y[i]; bad = bad || d > 1e-9 * x[i] || -d > 1e-9 * x[i] } exit bad }'

# Of a table that is dealt nothing is withheld: a column without a value has neither mean nor spread.
sed '/silo_tables/s/.*/  silos: 3\n  train: {file: 1.csv}/; /^silos/d' run.yaml >dealt.yaml
# shellcheck disable=SC2086
check "a table that is dealt" exits 0 on_ranks 2 train dealt.yaml --run dealt --quiet $secure
# shellcheck disable=SC2086
check "its table" exits 0 "$GRANARY" releases dealt.yaml $secure
check "does not say that it is hidden" prints "secure     not hidden: each process reads the rows of all silos"
check "a column without a value is 0" grep -qE 'spread: \[[1-9][^,]*, [1-9][^,]*, 0,' <<<"$(fit dealt)"

# ---- what leaves ------------------------------------------------------------------------------------
refused() { "$GRANARY" releases run.yaml --json "$@" | tr -d '\n' | grep -o '"name": "[a-z-]*"[^}]*"secure": "refused"' | sed 's/"name": \("[^"]*"\).*/\1/' | sort; }
names() { "$GRANARY" releases run.yaml --json "$@" | sed -n 's/^ *"name": \("[a-z-]*"\).*/\1/p' | sort; }
# shellcheck disable=SC2086
{
    check "refused" equal "$(refused $secure | tr '\n' ' ')" '"auc-bounds" "categories" "columns" "value-exponents" '
    check "nothing but what is listed has left" equal "$(comm -23 <(left secure3) <(comm -23 <(names $secure) <(refused $secure)))" ""
    check "the table" exits 0 "$GRANARY" releases run.yaml $secure
    check "says what is masked" prints "secure     masked: nobody sees one party's part, only the sum"
    check "and bits" prints "secure     masked: nobody sees one party's part, only whether any has it"
    check "and refused" prints "secure     refused: it does not leave"
    check "and against whom it helps nothing" prints "they protect nothing against that account"
    check "no line is longer than 90 bytes, or ends in blanks" bash -c '! grep -qE " $|.{91}" "$0"' "$OUT"
}
check "of weights no greatest one leaves" grep -q '"name":"row-terms","values":[0-9]*,"times":2' secure3/events.jsonl
check "a plain table" exits 0 "$GRANARY" releases run.yaml
check "speaks of none" bash -c '! grep -q "^    secure" "$0"' "$OUT"
check "nor does its JSON" bash -c '! "$0" releases run.yaml --json | grep -q "\"secure\""' "$GRANARY"
check "plain, with the ranges, no greatest value leaves" bash -c '! grep -q "value-exponents" plain3/events.jsonl'

# ---- the schema -------------------------------------------------------------------------------------
sed 's/range: \[0, 120\]/unit: a/' schema.yaml >loose.yaml
# shellcheck disable=SC2086
check "a number without a range" exits 78 on_ranks 2 train run.yaml --run no $secure --set data.schema=loose.yaml
check "is refused at its line" says "loose.yaml:2: columns[0].range: found none, allowed [low, high] of a number that is scaled or filled with secure.aggregation true"
# shellcheck disable=SC2086
check "by validate as well" exits 78 "$GRANARY" validate run.yaml $secure --set data.schema=loose.yaml
check "without secure sums" exits 0 "$GRANARY" validate run.yaml --set data.schema=loose.yaml
# Dates have ranges as well, in their unit; without one they are refused like numbers.
for i in 1 2 3; do awk -F, -v OFS=, 'NR == 1 { print "seen", $0; next } { printf "%04d-03-%02d,%s\n", 1990 + NR % 30, 1 + NR % 28, $0 }' $i.csv >seen$i.csv; done
sed 's/^columns:/&\n- {name: seen, type: date, in: years, since: 1990-01-01, range: [0, 29], missing: mean}/' schema.yaml >seen.yaml
sed 's/{file: /&seen/g; s/schema: /&seen.yaml #/' run.yaml >seen-run.yaml
# shellcheck disable=SC2086
check "a date with a range" exits 0 on_ranks 3 train seen-run.yaml --run seen --quiet $secure
check "a plain run" exits 0 on_ranks 1 train seen-run.yaml --run seen-plain --quiet
check "has the same digest" equal "$(digest seen)" "$(digest seen-plain)"
check "days beyond the range are counted" grep -q "seen: [0-9a-z ]*outside" seen/events.jsonl
sed 's/, range: \[0, 29\]//' seen.yaml >unseen.yaml
# shellcheck disable=SC2086
check "a date without a range" exits 78 "$GRANARY" validate seen-run.yaml $secure --set data.schema=unseen.yaml
check "is refused at its line" says "unseen.yaml:2: columns[0].range: found none, allowed [low, high]"
sed 's/\[0, 5\]/[0, 2]/' schema.yaml >light.yaml
check "weights beyond their range" exits 65 "$GRANARY" train run.yaml --run light --set data.schema=light.yaml
check "are refused" says "found no such weight, expected a weight from 0 to 2"
sed 's/\[0, 5\]/[0, 0]/' schema.yaml >none.yaml
check "no weight above 0" exits 78 "$GRANARY" train run.yaml --run light --set data.schema=none.yaml $secure
check "is no range" says "columns[4].range: found no weight above 0, allowed [low, high] (type is weight)"

# ---- too few silos in a sum -------------------------------------------------------------------------
# shellcheck disable=SC2086
check "rounds of two silos" exits 78 "$GRANARY" validate run.yaml $secure --set round.participants=2
check "are refused, of three parties too" says "round.participants: found 2, allowed at least 3"
check "plain ones are not" exits 0 "$GRANARY" validate run.yaml --set round.participants=2

# ---- silos that sit out -----------------------------------------------------------------------------
rows 4 >4.csv; sed -i '5s/^[0-9]*/old/' 4.csv
sed -i 's/{file: 3.csv}/{file: 3.csv}, {file: 4.csv}/; s/{directory: own3}/{directory: own3}, {directory: own4}/' run.yaml
for mode in plain secure; do
    words=; [ $mode = plain ] || words=$secure
    # shellcheck disable=SC2086
    check "a silo of bad data, $mode" exits 0 on_ranks 2 train run.yaml --run bad-$mode $words
    check "its own log says why" grep -q 'found text, expected a whole number' own4/silo-003.log
    cat bad-$mode/events.jsonl "$OUT" >told-$mode
    rm -r own?
done
check "the others are told why" grep -q "column 1: " told-plain
check "by secure sums they are not" grep -q "silo-003.*absent" told-secure
check "nor which column" bash -c '! grep -q "silo-003.*column" told-secure'
finish
