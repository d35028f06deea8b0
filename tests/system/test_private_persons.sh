#!/bin/bash
# Differential privacy of persons: tables of three hospitals with persons of 1 to 30 rows each.
. "$TESTS/system/library.sh"

# rows HOSPITAL PERSONS: visits between each other, as they come in time.
rows() {
    awk -v hospital="$1" -v persons="$2" 'BEGIN { srand(hospital + 7)
        for (p = 0; p < persons; p++) { visits[p] = 1 + p % 30; if (visits[p] > most) most = visits[p] }
        print "patient,age,bp,died"
        for (v = 0; v < most; v++) for (p = 0; p < persons; p++) if (v < visits[p]) {
            age = 30 + (p * 7) % 55
            printf "%c-%d,%d,%d,%s\n", 64 + hospital, p, age, 90 + int(60 * rand()), ((age + 10 * rand()) > 60 ? "yes" : "no") } }'
}
rows 1 90 >1.csv
rows 2 120 >2.csv
rows 3 80 >3.csv
cat >schema.yaml <<'YAML'
columns:
- {name: patient, type: group}
- {name: age, type: integer, range: [0, 120]}
- {name: bp, type: number, range: [50, 250]}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: persons, rounds: 4}
data:
  source: csv
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  schema: schema.yaml
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 20, epochs: 0, steps: 5}
preprocess: {scale: min_max}
evaluate: {every: 0}
privacy:
  unit: person
  clip_norm: 1
  noise_multiplier: 1
  expected_batch: 20
  expected_units: 100
  budget: {delta: 1.0e-3}
silos: [{directory: own1}, {directory: own2}, {directory: own3}]
YAML
check "a run" exits 0 "$GRANARY" train run.yaml --run run --quiet
check "has all its rounds" equal "$(grep -c '"round"' run/metrics.jsonl)" 4
check "tells persons that are expected" grep -qE '"examples": ?300[,}]' run/metrics.jsonl
check "and nothing of a table's names" equal "$(grep -rlE '[ABC]-[0-9]+' run | wc -l)" 0
check "on two ranks" exits 0 on_ranks 2 train run.yaml --run two --quiet

# ---- persons who are held out ---------------------------------------------------------------------------
held() { exits 0 on_ranks 2 train run.yaml --run "$1" --quiet --set data.test_fraction=0.4 --set evaluate.every=2 --set privacy.evaluation="{noise_multiplier: $2, times: 2, loss_bound: 4}"; }
# The last value of a figure.
last() { grep -o "\"$2\":[^,}]*" "$1/metrics.jsonl" | cut -d: -f2 | tail -1; }
check "are scored" held scored 0.05
# 290 persons have 4,005 rows. Of them 116 persons are held out, with a deviation of 8 by their coins.
check "each counts as one" awk -v n="$(last scored test_rows)" 'BEGIN { exit !(n > 70 && n < 165) }'
check "there is a score" awk -v a="$(last scored test_accuracy)" -v l="$(last scored test_loss)" 'BEGIN { exit !(a > 0.4 && a <= 1 && l > 0 && l < 4) }'
check "its noise is that of persons" awk -v e="$(last scored test_accuracy_error)" -v a="$(last scored test_accuracy)" -v n="$(last scored test_rows)" 'BEGIN { d = e * n / sqrt(1 + a * a); exit !(d > 0.14 && d < 0.16) }'
check "the ledger has both evaluations" equal "$(grep -c '"release":"evaluation' own1/privacy-ledger)" 2
check "the manifest says whose they are" grep -q 'and 2 evaluations of held-out rows with 0.05 times as much as a person adds' scored/manifest.json
check "of silos there are none" exits 78 "$GRANARY" validate run.yaml --set privacy.unit=silo --set privacy.evaluation.noise_multiplier=1 --set privacy.evaluation.times=2
rm -rf own1 own2 own3

# ---- from imported tables -------------------------------------------------------------------------------
for i in 1 2 3; do check "import $i" exits 0 "$GRANARY" import $i.csv --schema schema.yaml --output $i.h5; done
hdf5='data={source: hdf5, schema: schema.yaml, silo_tables: [{file: 1.h5}, {file: 2.h5}, {file: 3.h5}]}'
check "imported tables" exits 0 "$GRANARY" train run.yaml --run imported --quiet --set "$hdf5"

# ---- one table ------------------------------------------------------------------------------------------
dealt='data={source: csv, schema: schema.yaml, silos: 1, train: {file: 1.csv}}'
check "a table for one silo" exits 0 "$GRANARY" train run.yaml --run one --quiet --set "$dealt" --set 'silos=[]'
check "dealt to two" exits 78 "$GRANARY" validate run.yaml --set "${dealt/silos: 1/silos: 2}" --set 'silos=[]'
check "would part persons" says "data.partition.method: found iid, allowed only column with privacy.unit person, or data.silo_tables: rows of one person would be dealt to several silos"

# ---- who has too many -----------------------------------------------------------------------------------
check "more persons than expected" exits 0 "$GRANARY" train run.yaml --run many --quiet --set privacy.expected_units=50
check "sit out" grep -q 'silo-001' many/events.jsonl
check "which the terminal says" says "120 persons, allowed at most twice privacy.expected_units, which is 50"
check "and no record does" equal "$(grep -rl '120 persons' many | wc -l)" 0

# ---- what is refused ------------------------------------------------------------------------------------
grep -v group schema.yaml >nobody.yaml
check "a schema without persons" exits 78 "$GRANARY" validate run.yaml --set data.schema=nobody.yaml
check "is told at its columns" says "nobody.yaml:1: columns: found none of type group, expected one with privacy.unit person: it names the person of each row"
cut -d, -f2- 2.csv >anonymous.csv
check "a table without persons" exits 65 "$GRANARY" validate run.yaml --set 'data.silo_tables=[{file: 1.csv}, {file: anonymous.csv}, {file: 3.csv}]'
check "ends the run, as columns of another kind do" says 'anonymous.csv:1: column 1: found another name, expected "patient"'
sed 's/^B-7,/,/' 2.csv >unnamed.csv
check "a row of nobody" exits 0 "$GRANARY" validate run.yaml --set 'data.silo_tables=[{file: 1.csv}, {file: unnamed.csv}, {file: 3.csv}]'
check "is left out" says 'silo-001: 8 rows are left out, the first: unnamed.csv:9: column 1 (patient): found no value, expected the name of a group'

# ---- rows that cannot be read ---------------------------------------------------------------------------
# told RUN: what a run counts in its rounds, before times and norms.
told() { sed -E 's/"test_rows".*//' "$1/metrics.jsonl"; }
bad='data.silo_tables=[{file: 1.csv}, {file: bad.csv}, {file: 3.csv}]'
{ cat 2.csv; printf 'B-1,old,100,yes\nB-2,40,100,maybe\nB-3,40,100\nB-4,,100,yes\nB-5,40,inf,no\nB-6,40,100,\n'; } >bad.csv
for unit in person row; do
    units=$([ $unit = row ] && echo 1000 || echo 100)
    rm -rf own1 own2 own3
    check "rows with $unit" exits 0 "$GRANARY" train run.yaml --run well-$unit --quiet --set privacy.unit=$unit --set privacy.expected_units=$units
    rm -rf own1 own2 own3
    check "bad rows with $unit" exits 0 "$GRANARY" train run.yaml --run bad-$unit --quiet --set privacy.unit=$unit --set privacy.expected_units=$units --set "$bad"
    check "are told on the silo's terminal" says "silo-001: 6 rows are left out, the first: bad.csv:"
    check "and in its log" grep -rq '6 rows are left out' own2
    check "and nowhere else" equal "$(grep -rlE 'left out|bad.csv:' "bad-$unit" own1 own3 | wc -l)" 0
    check "the run tells the same" equal "$(told bad-$unit)" "$(told well-$unit)"
done
check "the same row without privacy" exits 0 "$GRANARY" validate run.yaml --set "$bad" --set 'privacy={}'
check "makes its silo unusable" says "silo-001 sits out the run: bad.csv:"
sed 's/bp/pulse/' 2.csv >other.csv
check "a table of other columns is not a row's" exits 65 "$GRANARY" validate run.yaml --set 'data.silo_tables=[{file: 1.csv}, {file: other.csv}, {file: 3.csv}]'
check "rows of synthetic data have no persons" exits 78 "$GRANARY" validate run.yaml --set 'data={source: synthetic, silos: 2}' --set 'preprocess={}'
check "and it says so" says "privacy.unit: found person, allowed only with data.source csv or hdf5"
for rows in 0 65; do check "rows_per_person $rows" exits 78 "$GRANARY" validate run.yaml --set privacy.rows_per_person=$rows; done
check "rows_per_person without persons" exits 78 "$GRANARY" validate run.yaml --set privacy.unit=row --set privacy.rows_per_person=8
check "is refused" says "privacy.rows_per_person: found 8, allowed only 16, the default, with privacy.unit row"
check "rows of a table with persons" exits 0 "$GRANARY" validate run.yaml --set privacy.unit=row --set privacy.expected_units=1000
check "are told apart from these" prints "privacy.unit row: if column 1 (patient) names persons, one with k rows is protected k times less; unit person hides all her rows"
check "and persons are not" exits 0 "$GRANARY" validate run.yaml
check "which is no remark" equal "$(grep -c 'privacy.unit' "$OUT")" 0
rm -rf own1 own2 own3
check "64 rows of a person" exits 0 "$GRANARY" train run.yaml --run most --quiet --set privacy.rows_per_person=64
finish
