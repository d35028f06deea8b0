#!/usr/bin/env bash
# Metrics by slices, and fairness over them: as who counts predictions by hand finds them; the same
# on any number of ranks and behind masks; of rows that silos hold out in steps, and small groups
# withheld with others from which they would follow.
. "$(dirname "$0")/library.sh"

# rows SEED N: a table of patients; of few of them the region is not known.
rows() {
    echo "region,sex,age,bp,died"
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); for (i = 0; i < n; i++) { age = 20 + int(60 * rand()); bp = 90 + 90 * rand()
        r = rand(); region = r < 0.4 ? "north" : r < 0.8 ? "south" : r < 0.98 ? "west" : ""; sex = rand() < 0.55 ? "f" : "m"
        printf "%s,%s,%d,%d,%s\n", region, sex, age, bp, rand() < 1 / (1 + exp(6 - age / 14 - bp / 90 - (sex == "m"))) ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i 400 >$i.csv; done
rows 9 700 >test.csv
cat >schema.yaml <<'YAML'
columns:
- {name: region, type: category, categories: [north, south, west], slices_only: true}
- {name: sex, type: category, categories: [f, m]}
- {name: age, type: number, range: [0, 120]}
- {name: bp, type: number, range: [0, 250]}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: slices, rounds: 3}
data:
  source: csv
  schema: schema.yaml
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  validation_fraction: 0.5
  test: {file: test.csv}
model: {type: logistic}
preprocess: {scale: standardise}
aggregation: {grid: public, clip_norm: 1, weight_max: 1000}
train: {learning_rate: 2, batch_size: 16}
evaluate: {slices: [region, age=40/65, sex & age=40/65]}
YAML
train() { exits 0 on_ranks "$1" train run.yaml --quiet --run "$2" "${@:3}"; }
# slices FILE: lines SLICING|GROUP|FIGURE|VALUE of evaluation.json, fairness without a group.
slices() {
    awk -F'"' '/^ "slices"/ { on = 1 } /^  "worst"/ { exit } !on { next }
        $2 == "slicing" { slicing = $4; fair = 0 } $2 == "fairness" { fair = 1 }
        $2 == "group" && !fair { group = $4 }
        /: {$/ { if ($2 == "difference" || $2 == "ratio") way = "." $2; else { name = $2; way = "" } }
        $2 == "rows" || $2 == "value" { v = $3; gsub(/[: ,]/, "", v); print slicing "|" (fair ? "" : group) "|" ($2 == "rows" ? "rows" : name way) "|" v }
        $2 == "withheld" && $4 != "" { print slicing "|" group "|withheld|" }' "$1"
}
# figure FILE SLICING GROUP FIGURE
figure() { slices "$1" | awk -F'|' -v s="$2" -v g="$3" -v f="$4" '$1 == s && $2 == g && $3 == f { print $4 }'; }
# fair FILE SLICING MEASURE WAY
fair() { figure "$1" "$2" "" "$3.$4"; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a - b < 1e-12 && b - a < 1e-12) }' || { echo "  '$1' is not '$2'"; return 1; }; }

# ---- on a common test table -----------------------------------------------------------------------
check "a run" train 3 run
for ranks in 1 2; do
    check "on $ranks ranks" train $ranks other
    check "the same" cmp run/evaluation.json other/evaluation.json
    rm -rf other
done
"$GRANARY" predict run/model.h5 test.csv -o predictions.csv >/dev/null 2>&1
# counted SLICING: group, rows, accuracy, selection rate, base rate, sensitivity of each group.
counted() {
    paste -d, predictions.csv test.csv | awk -F, -v by="$1" 'NR > 1 {
        old = $6 < 40 ? "below 40" : $6 < 65 ? "40 to 65" : "from 65"
        g = by == "region" ? ($4 == "" ? "missing" : $4) : by == "age=40/65" ? old : $5 " & " old
        y = $NF == "yes"; taken = $1 == "yes"; n[g]++; right[g] += y == taken; took[g] += taken; own[g] += y; found[g] += y && taken }
        END { for (g in n) printf "%s,%d,%.17g,%.17g,%.17g,%.17g\n", g, n[g], right[g] / n[g], took[g] / n[g], own[g] / n[g], found[g] / own[g] }' | sort
}
for slicing in region "age=40/65" "sex & age=40/65"; do
    counted "$slicing" >counted
    while IFS=, read -r group n accuracy selection base sensitivity; do
        check "$slicing, $group: rows" equal "$(figure run/evaluation.json "$slicing" "$group" rows)" "$n"
        check "accuracy" near "$(figure run/evaluation.json "$slicing" "$group" accuracy)" "$accuracy"
        check "selection rate" near "$(figure run/evaluation.json "$slicing" "$group" selection_rate)" "$selection"
        check "base rate" near "$(figure run/evaluation.json "$slicing" "$group" base_rate)" "$base"
        check "sensitivity" near "$(figure run/evaluation.json "$slicing" "$group" sensitivity)" "$sensitivity"
    done <counted
    read -r parity ratio opportunity <<<"$(awk -F, '{ if (NR == 1 || $4 < a) a = $4; if ($4 > b) b = $4; if (NR == 1 || $6 < c) c = $6; if ($6 > d) d = $6 } END { printf "%.17g %.17g %.17g", b - a, a / b, d - c }' counted)"
    check "demographic parity" near "$(fair run/evaluation.json "$slicing" demographic_parity difference)" "$parity"
    check "disparate impact" near "$(fair run/evaluation.json "$slicing" disparate_impact ratio)" "$ratio"
    check "equal opportunity" near "$(fair run/evaluation.json "$slicing" equal_opportunity difference)" "$opportunity"
done
check "a table without region" bash -c 'cut -d, -f2- test.csv >without.csv && "$GRANARY" predict run/model.h5 without.csv -o without-predictions.csv'
check "the same predictions without it" cmp predictions.csv without-predictions.csv
sed 's/name: slices/name: slices, rehearsal: true/' run.yaml >secure.yaml; echo 'secure: {aggregation: true}' >>secure.yaml
check "under secure sums" exits 0 on_ranks 3 train secure.yaml --quiet --run secure
check "the same slices" equal "$(slices secure/evaluation.json)" "$(slices run/evaluation.json)"

# ---- gates ----------------------------------------------------------------------------------------
# gate CODE RUN RULE WORDS: judged alone, beside the outcome.
gate() { printf 'gates:\n- %s\n' "$3" >gates.yaml; check "gate: $3" exits "$1" "$GRANARY" gate "$2" --gates gates.yaml; check "says so" prints "$4"; }
parity=$(fair run/evaluation.json region demographic_parity difference)
gate 0 run "{kind: fairness, metric: demographic_parity_difference, slicing: region, require: at_most, limit: $parity}" "demographic_parity_difference by region"
gate 1 run "{kind: fairness, metric: demographic_parity_difference, slicing: region, require: at_most, limit: $(awk -v p="$parity" 'BEGIN { print p - 1e-6 }')}" "NOT PASSED"
gate 1 run "{kind: fairness, metric: demographic_parity_difference, slicing: region, judge: interval, require: at_most, limit: $parity}" "NOT PASSED"
gate 0 run "{kind: fairness, metric: disparate_impact_ratio, slicing: region, limit: $(fair run/evaluation.json region disparate_impact ratio)}" "passed"
gate 1 run "{kind: fairness, metric: disparate_impact_ratio, slicing: sex, limit: 0}" "the run has no such slicing"
gate 1 run "{kind: fairness, metric: parity, slicing: region, limit: 0}" "it is no measure of fairness"
gate 1 run "{kind: fairness, metric: equal_opportunity_ratio, slicing: region, judge: both, limit: 0}" "neither value nor interval"
check "the report has the groups" bash -c 'grep -q "Scores by slices" run/report.html && grep -q "Disparate impact" run/report.html && grep -q "Slices and fairness" run/model-card.md'

# ---- rows that silos hold out ---------------------------------------------------------------------
held() { train 3 "$1" --set "data.test.file=''" "${@:2}"; }
check "without a test table" held held
withheld() { slices "$1" | grep -qF "$2|$3|withheld|"; }
told() { slices "$1" | grep -qF "$2|$3|rows|"; }
check "shares are in steps" awk -v v="$(figure held/evaluation.json region north accuracy)" 'BEGIN { n = v / 0.05; exit !(v != "" && n - int(n + 0.5) < 1e-9 && int(n + 0.5) - n < 1e-9) }'
check "with a higher threshold" held higher --set data.disclosure_threshold=25
check "a small group is withheld" withheld higher/evaluation.json region missing
check "and the next smallest" withheld higher/evaluation.json region west
check "the others are told" told higher/evaluation.json region north
check "of a crossing nothing is" told higher/evaluation.json "sex & age=40/65" "m & from 65"
gate 1 higher "{kind: fairness, metric: demographic_parity_difference, slicing: region, require: at_most, limit: 1}" "groups of the slicing are withheld"
for i in 1 2 3; do sed "2,\$s/^[a-z]*/$(echo north south west | cut -d' ' -f$i)/" $i.csv >own$i.csv; done
check "where each silo is a region" held own --set 'data.silo_tables=[{file: own1.csv}, {file: own2.csv}, {file: own3.csv}]'
for region in north south west; do check "$region is withheld" withheld own/evaluation.json region $region; done
check "other groups are told" told own/evaluation.json "age=40/65" "below 40"
check "only after the last round" bash -c '! grep -q "\"slices\": *{\"why\"" own/evaluation.json'

# ---- of single silos ------------------------------------------------------------------------------
# of_silos FILE: lines SILO|SLICING|GROUP|ROWS|ACCURACY, or SILO|SLICING||withheld|.
of_silos() {
    awk -F'"' '/^ "silos"/ { on = 1 } !on { next } $2 == "silo" { silo = $4 } $2 == "slices" { within = 1 } $2 == "silo" { within = 0 } !within { next }
        $2 == "slicing" { slicing = $4 } $2 == "group" { group = $4 } $2 == "rows" { v = $3; gsub(/[: ,]/, "", v); rows = v }
        $2 == "accuracy" { want = 1 } $2 == "value" && want { v = $3; gsub(/[: ,]/, "", v); print silo "|" slicing "|" group "|" rows "|" v; want = 0 }
        $2 == "withheld" { print silo "|" slicing "||withheld|" }' "$1"
}
(cat 1.csv; tail -n +2 2.csv; tail -n +2 3.csv) >all.csv
sed 's/silo_tables:.*/train: {file: all.csv}\n  silos: 4\n  partition: {method: iid}/; /test:/d' run.yaml >dealt.yaml
dealt() { exits 0 on_ranks "$1" train dealt.yaml --quiet --run "$2" --set evaluate.per_silo=true --set evaluate.minimum_rows=1 "${@:3}"; }
check "one table, dealt" dealt 1 dealt
check "on 3 ranks" dealt 3 dealt3
check "the same" cmp dealt/evaluation.json dealt3/evaluation.json
check "groups of silos add up to all" equal "$(of_silos dealt/evaluation.json | awk -F'|' '{ n[$2 "|" $3] += $4; r[$2 "|" $3] += $4 * $5 } END { for (g in n) printf "%s %d %.9f\n", g, n[g], r[g] / n[g] }' | sort)" \
    "$(slices dealt/evaluation.json | awk -F'|' '$3 == "rows" { n[$1 "|" $2] = $4 } $3 == "accuracy" { r[$1 "|" $2] = $4 } END { for (g in n) printf "%s %d %.9f\n", g, n[g], r[g] }' | sort)"
lowest=$(awk -F'"' '/^ "silos"/ { on = 1 } on && $2 == "silo" { s = $4 } on && /^   "accuracy"/ { v = $3; gsub(/[: ,]/, "", v); if (w == "" || v < w) { w = v; of = s } } END { print of }' dealt/evaluation.json)
check "the worst silo by accuracy" bash -c "tr -d ' \n' <dealt/evaluation.json | grep -q '\"worst_silo\":{\"accuracy\":{\"silo\":\"$lowest\"'"
check "is in the report" grep -q "Where the model is worst" dealt/report.html
check "with a threshold" dealt 2 least --set evaluate.minimum_rows=5
check "all regions are told together" told least/evaluation.json region missing
check "but not of a silo with few rows of one" grep -q '|region||withheld|' <<<"$(of_silos least/evaluation.json)"
check "nor any group that is small there" bash -c "! awk -F'|' '\$4 > 0 && \$4 < 5' <<<'$(of_silos least/evaluation.json)' | grep ."
check "but ages" grep -q '|age=40/65|below 40|' <<<"$(of_silos least/evaluation.json)"
# left RUN: what slices of all rows and of silos leave of the others, SLICING|GROUP|ROWS, where it is more than none and less than 10.
left() {
    { slices "$1/evaluation.json" | awk -F'|' '$3 == "rows" { print $1 "|" $2 "|" $4 }'; of_silos "$1/evaluation.json" | awk -F'|' '$4 != "withheld" { print $2 "|" $3 "|" (-$4) }'; } |
        awk -F'|' '{ n[$1 "|" $2] += $3 } END { for (g in n) if (n[g] > 0 && n[g] < 10) print g "|" n[g] }'
}
few() { awk -F, -v n="$2" 'BEGIN { OFS = "," } NR > 1 { $1 = ++i <= n ? "" : i % 2 ? "north" : "south" } { print }' $(($1 % 3 + 1)).csv >few$1.csv; }
few 1 0; few 2 10; few 3 60; few 4 60
check "two silos that are withheld have few rows of a region" held few --set 'data.silo_tables=[{file: few1.csv}, {file: few2.csv}, {file: few3.csv}, {file: few4.csv}]' --set evaluate.per_silo=true --set evaluate.minimum_rows=2
check "all regions are told" told few/evaluation.json region missing
check "nor do the others tell theirs" equal "$(left few)" ""
check "ages are told of silos" grep -q '|age=40/65|below 40|' <<<"$(of_silos few/evaluation.json)"
check "too many groups of silos" exits 78 "$GRANARY" train dealt.yaml --quiet --run none --set evaluate.per_silo=true --set data.silos=120 --set 'evaluate.slices=[age=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20 & bp=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20]' --set data.schema=schema.yaml
check "says how many" says "allowed at most 50000 in all"

# ---- what is refused ------------------------------------------------------------------------------
refuses() { check "$1" exits 78 "$GRANARY" validate run.yaml --set "evaluate.slices=$2"; check "says so" says "$3"; }
refuses "cut points that do not ascend" '[age=65/40]' 'found "age=65/40", allowed ascending cut points'
refuses "a column twice" '[sex & sex]' "allowed one to three columns with & between"
refuses "a slicing twice" '[sex & age=40, age=40 & sex]' "allowed each slicing once"
refuses "other cut points of a column" '[age=40, sex & age=41]' "allowed the same cut points of a column in all slices"
check "a column that is not there" exits 78 "$GRANARY" train run.yaml --quiet --run none --set 'evaluate.slices=[regoin]'
check "says which is near" says 'the tables have no column "regoin"; the nearest is "region"'
check "a number without cut points" exits 78 "$GRANARY" train run.yaml --quiet --run none --set 'evaluate.slices=[age]'
check "says what is lacking" says 'column "age" is of type number and has no cut points'
check "a label" exits 78 "$GRANARY" train run.yaml --quiet --run none --set 'evaluate.slices=[died]'
sed 's/north, south, west/&'"$(seq -f ', r%g' 1200 | tr -d '\n')"'/' schema.yaml >many.yaml
check "too many groups" exits 78 "$GRANARY" train run.yaml --quiet --run none --set data.schema=many.yaml
check "says how many" says 'found 1205 groups in "region", with which there are more than the 1000 allowed'
check "before round 1" bash -c '! test -e none/metrics.jsonl || ! test -s none/metrics.jsonl'
check "synthetic rows" exits 78 "$GRANARY" validate run.yaml --set data.source=synthetic
check "have no columns" says "found some, allowed none with data.source synthetic"
check "with noise in all that leaves" exits 78 "$GRANARY" validate run.yaml --set 'privacy={unit: row, clip_norm: 1, noise_multiplier: 1}'
check "says why not" says "evaluate.slices: found some, not allowed"
cut -d, -f2- 3.csv >lacks.csv
check "a silo without the column" exits 65 "$GRANARY" train run.yaml --quiet --run lacks --set 'data.silo_tables=[{file: lacks.csv}, {file: lacks.csv}]'
check "says where" says "column 1"
for i in 1 2 3; do sed '2,$s/yes$/no/' $i.csv >one$i.csv; done
check "one class in all silos" held one --set 'data.silo_tables=[{file: one1.csv}, {file: one2.csv}, {file: one3.csv}]' --set data.disclosure_threshold=1 --set evaluate.minimum_rows=1 --set policy.minimum_silos=1
check "the sensitivity says why not" bash -c 'tr -d " \n" <one/evaluation.json | grep -q "\"equal_opportunity\":{\"difference\":{\"value\":null,\"why\":\"oneclassonly\",\"group\":"'
gate 1 one "{kind: fairness, metric: equal_opportunity_difference, slicing: region, require: at_most, limit: 1}" "one class only, in the group north"
refuses_gate() { check "$1" exits 78 "$GRANARY" validate run.yaml --set "gates=[$2]"; check "says so" says "$3"; }
refuses_gate "a gate of another slicing" '{kind: fairness, metric: equalized_odds_ratio, slicing: sex, limit: 1}' "gates[0].slicing: found none of evaluate.slices"
refuses_gate "of no measure" '{kind: fairness, metric: auc, slicing: region, limit: 1}' 'gates[0].metric: found "auc", allowed a measure'
refuses_gate "a slicing of a score" '{kind: score, metric: auc, slicing: region, limit: 1}' "gates[0].slicing: found one"
finish
