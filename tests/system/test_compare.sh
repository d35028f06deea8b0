#!/usr/bin/env bash
# A federation compared with its silos alone, with all rows in one place, and without each silo.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/clinics.sh"
make_clinics 60 3
clinic 4 50 >four.csv
# Categories that each table lists for itself, in another order each.
sed -i 's/,east,/,north,/' 2.csv
sed -i '/,east,/d' 3.csv
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: bp, type: number}
- {name: ward, type: category, open: true, encode: one_hot}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: clinics, rounds: 4}
data: {source: csv, schema: schema.yaml, silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}], test_fraction: 0.25}
preprocess: {scale: standardise}
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 16}
YAML
# Without names of silos those of the files are taken.
cp run.yaml unnamed.yaml
echo 'silos: [{name: "1"}, {name: "2"}, {name: "3"}]' >>run.yaml
mine=(--set policy.minimum_silos=1)

# ---- what is refused ----------------------------------------------------------------------------
check "what the policy hides" exits 77 "$GRANARY" compare run.yaml --run c
check "is not told" says "policy.minimum_silos is 2"
check "nothing is written" test ! -e c
check "a study" exits 78 "$GRANARY" compare "$TOP/configs/study/study.yaml"
check "is no config" says "the file of a study"
check "no rows to judge by" exits 78 "$GRANARY" compare run.yaml "${mine[@]}" --set data.test_fraction=0 --run c
check "is told" says "no rows are held out"
check "a metric that is none" exits 64 "$GRANARY" compare run.yaml "${mine[@]}" --metric acuracy --run c
check "the nearest" says "nearest is accuracy"
check "a metric of numbers" exits 64 "$GRANARY" compare run.yaml "${mine[@]}" --metric mse --run c
check "noise" exits 78 "$GRANARY" compare run.yaml "${mine[@]}" --run c --set privacy.unit=row --set privacy.clip_norm=1 \
    --set privacy.noise_multiplier=1 --set privacy.expected_batch=24 --set privacy.expected_units=100
check "nothing is written" test ! -e c

# ---- a comparison -------------------------------------------------------------------------------
check "a comparison" exits 0 "$GRANARY" compare run.yaml "${mine[@]}" --seeds 2 --leave-one-out --run c
check "eight modes" prints "8 modes, 2 seeds, 16 runs"
check "a line for each silo" equal "$(grep -cE '^[123] +1[0-9] +[01]\.[0-9]{4} +[01]\.[0-9]{4} +[01]\.[0-9]{4} +[-+]0\.[0-9]{4} \[[-+].*\] +[01]\.[0-9]{4}$' "$OUT")" 3
check "and of all" grep -qE '^all +[0-9]+ +0\.[0-9]{4} +0\.[0-9]{4} +0\.[0-9]{4} +[-+]' "$OUT"
check "the rows are for their owner" equal "$(stat -c %a c/tables)" 700
# Means in the table are those of compare.csv, which are those of granary evaluate.
mean() { awk -F, -v m="$1" -v s="$2" -v j="$3" '$1 == m && $2 == s && $3 == j { a += $7; n++ } END { printf "%.4f", a / n }' c/compare.csv; }
check "its means" grep -qE "^2 +1[0-9] +$(mean alone 2 2) +$(mean federated '' 2) +$(mean pooled '' 2) .* $(mean without 2 2)$" "$OUT"
run=$(basename c/p*-s2_alone_3)
"$GRANARY" evaluate c/$run/model.h5 c/tables/held-002.h5 --json >scores.json
check "are of evaluations" equal "$(awk -F, '$1 == "alone" && $2 == 3 && $3 == 3 && $4 == 2 { printf "%.12f", $7 }' c/compare.csv)" \
    "$(awk '/"accuracy"/ { getline; printf "%.12f", $2 }' scores.json)"
# lifts SIGN: lift is federated less alone, times the sign, in each line of the table in $OUT that has one.
lifts() { awk -v sign="$1" '$6 ~ /^[-+]/ { d = $6 - sign * ($4 - $3); n++; bad += d > 2e-4 || d < -2e-4 } END { exit !n || bad }' "$OUT"; }
check "lift is the difference" lifts 1
check "the silo left out is judged whole" equal "$(sed -n 's/^ *"rows": \([0-9]*\).*/\1/p' c/p*-s1_without_1/evaluation.json)" 60

# The last line and those of the silos are of the same probabilities.
check "with a recalibration" exits 0 "$GRANARY" compare run.yaml "${mine[@]}" --metric log_loss --run r \
    --set data.validation_fraction=0.4 --set data.disclosure_threshold=2 --set evaluate.recalibration=platt
check "silos add up to all" awk -F, '$1 == "federated" && $3 == "all" { all = $7 * $6 } $1 == "federated" && $3 != "all" { sum += $7 * $6; n++ }
    END { d = all - sum; exit !(n == 3 && all > 0 && d < 1e-9 && d > -1e-9) }' r/compare.csv

# ---- each mode is the run that it stands for ----------------------------------------------------
same() { # WHAT RUN OPTIONS...
    check "$1" exits 0 "$GRANARY" train run.yaml --quiet --run "direct$PASSED" "${mine[@]}" "${@:3}"
    check "is the same model" equal "$(digest c/p*-s1_"$2")" "$(digest "$(ls -td direct*/ | head -1)")"
}
same "the federation" federated
same "a silo alone" alone_2 --set 'data.silo_tables=[{file: 2.csv}]' --set 'silos=[{name: "2"}]'
same "one left out" without_1 --set 'data.silo_tables=[{file: 2.csv}, {file: 3.csv}]' --set 'silos=[{name: "2"}, {name: "3"}]'
whole=(--set data.test_fraction=0 --set data.test.file=four.csv)
check "with a table to judge by" exits 0 "$GRANARY" compare run.yaml "${mine[@]}" "${whole[@]}" --metric log_loss --run t
check "of which less is better, turned round" lifts -1
check "silos have no rows of their own" grep -qE '^1 +0 +- +- +- +-' "$OUT"
check "all is judged by" grep -qE '^all +50 +0\.[0-9]{4} ' "$OUT"
{ cat 1.csv; sed 1d 2.csv; sed 1d 3.csv; } >every.csv
check "all rows in one place" exits 0 "$GRANARY" train run.yaml --quiet --run every "${mine[@]}" "${whole[@]}" \
    --set 'data.silo_tables=[{file: every.csv}]' --set 'silos=[{name: pooled}]'
check "are the same model" equal "$(digest every)" "$(digest t/p*-s1_pooled)"

# ---- gone on with -------------------------------------------------------------------------------
before=$(cat c/*/manifest.json | grep -c '"resumed_from"')
check "the same again" exits 0 "$GRANARY" compare run.yaml "${mine[@]}" --seeds 2 --leave-one-out --run c --quiet
check "trains nothing" equal "$(cat c/*/manifest.json | grep -c '"resumed_from"')" "$before"
cp "$OUT" table
rm -r c/p*-s2_alone_3 c/scores
check "a run that is gone" exits 0 "$GRANARY" compare run.yaml "${mine[@]}" --seeds 2 --leave-one-out --run c --quiet
check "is trained to the same table" cmp -s table "$OUT"
check "a sweep's command" exits 65 "$GRANARY" sweep --run c
check "says whose it is" says "granary compare"
check "other seeds" exits 73 "$GRANARY" compare run.yaml "${mine[@]}" --seeds 3 --leave-one-out --run c

# ---- silos that cannot be trained alone ---------------------------------------------------------
sed -i 's/,yes$/,no/' 1.csv
printf 'age,bp,ward,died\n40,what,west,no\n' >3.csv
check "with a silo of one class and one that cannot be read" exits 0 "$GRANARY" compare unnamed.yaml "${mine[@]}" --leave-one-out --run odd
check "it is said" prints "1 is not trained alone: all of its rows are of one class"
check "of two silos none is left out" prints "with two silos each alone is the federation without the other"
check "of both" prints "3 is not trained alone: "
check "the others are compared" grep -qE '^2 +1[0-9] +0\.[0-9]{4} +0\.[0-9]{4} ' "$OUT"
check "and it is judged" grep -qE '^1 +1[0-9] +- +[01]\.[0-9]{4} ' "$OUT"
check "no process is left" none_left
finish
