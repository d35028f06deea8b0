#!/bin/bash
# Differential privacy: a table with another row, or none, or one that cannot be used, leaves no trace
# but in what is noised. Each pair of runs is compared by all that leaves: exit code, terminal of other
# ranks, files and their sizes, events, metrics, manifest.
. "$TESTS/system/library.sh"

rows() {
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); print "age,bp,died"
        for (i = 0; i < n; i++) { age = 30 + int(55 * rand())
            printf "%d,%d,%s\n", age, 100 + int(60 * rand()), rand() < age / 100 ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i 120 >$i.csv; done
cp 2.csv as-it-was.csv
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: bp, type: number, range: [50, 250]}
- {name: died, type: label, categories: [no, yes]}
YAML
cat >row.yaml <<'YAML'
run: {name: disclosure, rounds: 2, rehearsal: true}
data:
  source: csv
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  schema: schema.yaml
preprocess: {scale: min_max}
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 24, epochs: 0, steps: 6}
silos: [{directory: own1}, {directory: own2}, {directory: own3}]
privacy: {unit: row, clip_norm: 1, noise_multiplier: 1, expected_batch: 24, expected_units: 130, budget: {delta: 0.001}}
YAML
cat >silo.yaml <<'YAML'
run: {name: disclosure, rounds: 2}
data:
  source: csv
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  schema: schema.yaml
preprocess: {scale: min_max}
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 24}
silos: [{directory: own1}, {directory: own2}, {directory: own3}]
aggregation: {grid: public, clip_norm: 1, weight_max: 1}
privacy: {unit: silo, adjacency: zero_out, noise: root, clip_norm: 1, noise_multiplier: 5, budget: {delta: 0.01}}
YAML

# leaves RUN: all that leaves in a run but what is noised, its digests, and times.
leaves() {
    (cd "$1" && find . -type f ! -path './secrets/*' ! -name '*.json*' ! -name report.html -printf '%p %m %s\n' | sort
     cat metrics.jsonl events.jsonl manifest.json fingerprints.json; [ ! -e evaluation.json ] || cat evaluation.json) |
        sed -E 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z/TIME/g; s/"seconds":\{[^}]*\}/"seconds":0/g; s/[0-9a-f]{16,64}/HEX/g
            s/"(update_norm|epsilon_[a-z]*)":[^,]*/"\1":0/g; s/"((validation|test)_(loss|accuracy|rows)|(loss|accuracy)_error|(validation|test)_(loss|accuracy)_error)":[^,}]*/"\1":0/g'
}
# trained CONFIG TABLE RUN WORDS...: with that table of the second silo
trained() {
    cp "$2" 2.csv
    rm -rf own? "$3"
    exits 0 on_ranks 3 train "$1" --run "$3" --quiet "${@:4}"
    local code=$?
    leaves "$3" >"$3.leaves"
    return $code
}
# alike WHAT CONFIG TABLE TABLE WORDS...
alike() {
    check "$1: the one table" trained "$2" "$3" one "${@:5}"
    check "$1: the other" trained "$2" "$4" two "${@:5}"
    check "$1: does not show" cmp one.leaves two.leaves
}
with() { { cat as-it-was.csv; printf '%s\n' "$1"; } >with.csv; } # with.csv: a row more
model() { "$GRANARY" inspect --digest "$1/model.h5"; }

# ---- rows ---------------------------------------------------------------------------------------------
head -1 as-it-was.csv >none.csv
rows 5 1 >single.csv
alike "no row or one" row.yaml none.csv single.csv
check "a silo without rows takes part" grep -q '"participants":3,' one/metrics.jsonl
alike "no row or one, with scores" row.yaml none.csv single.csv --set data.test_fraction=0.5 --set privacy.evaluation.noise_multiplier=1 --set privacy.evaluation.times=2
alike "no row or one, of a fixed order" row.yaml none.csv single.csv --set privacy.sampling=fixed
alike "no row or one, behind masks" row.yaml none.csv single.csv --set run.rehearsal=false --set privacy.noise=shared --set secure.aggregation=true --set train.steps=1 \
    --set aggregation.grid=public --set aggregation.clip_norm=1 --set aggregation.weight_max=1
{ head -1 as-it-was.csv; echo "old,high,maybe"; } >bad.csv
alike "no row or one that cannot be read" row.yaml none.csv bad.csv
check "which is told to the silo alone" says "silo-001: 1 row is left out"
with '40,120,yes'
alike "a row more" row.yaml as-it-was.csv with.csv
check "is another model" differ "$(model one)" "$(model two)"
# A row that breaks the file takes no other with it.
for row in '40,"120,yes' '40,1"20,yes' "$(head -c 70000 /dev/zero | tr '\0' 1),120,yes" "$(head -c 10001 /dev/zero | tr '\0' ,)"; do
    with "$row"; rows 6 1 | tail -1 >>with.csv
    { cat as-it-was.csv; rows 6 1 | tail -1; } >without.csv
    alike "${row:0:12}" row.yaml without.csv with.csv
    check "${row:0:12}: is the same model" equal "$(model one)" "$(model two)"
done
# Nor does one of another length decide how the others are taken apart.
uneven() { # WHAT: of whole.csv and its like with one row of another length, uneven.csv
    head -20 whole.csv >uneven.csv; echo "$2" >>uneven.csv; tail -n +21 whole.csv >>uneven.csv
    alike "$1" row.yaml whole.csv uneven.csv
    check "$1: is the same model" equal "$(model one)" "$(model two)"
    check "$1: of rows that are read" differ "$(model one)" "$(cat none.digest)"
}
check "no rows" trained row.yaml none.csv none
model none >none.digest
awk 'NR == 1 { print; next } { print NR "," $0 }' as-it-was.csv >whole.csv
uneven "rows with names of their own" "40,120"
awk 'NR == 1 { print; next } { print $0 "," }' as-it-was.csv >whole.csv
uneven "a separator at each line's end" "40,120,yes,x"
tr , ' ' <as-it-was.csv >whole.csv
uneven "blanks" "40 120"

# An id that the model has no vector for.
cat >ids.yaml <<'YAML'
columns:
- {name: first, type: integer}
- {name: second, type: integer}
- {name: died, type: label, categories: [no, yes]}
YAML
ids() { awk -v seed="$1" -v n=60 'BEGIN { srand(seed); print "first,second,died"; for (i = 0; i < n; i++) printf "%d,%d,%s\n", 1 + int(20 * rand()), int(21 * rand()), rand() < 0.5 ? "yes" : "no" }'; }
sed -e 's/schema.yaml/ids.yaml/; s/^model: .*/model: {type: bag, vocabulary: 20, embedding: 3, hidden: [4]}/; /^preprocess/d' row.yaml >bag.yaml
for i in 1 3; do ids $i >$i.csv; done
ids 2 >known.csv
{ cat known.csv; echo "21,3,yes"; } >unknown.csv
alike "an id without a vector" bag.yaml known.csv unknown.csv
check "is as if it were not there" equal "$(model one)" "$(model two)"
alike "an id without a vector, scored" bag.yaml known.csv unknown.csv --set data.test_fraction=0.6 --set privacy.evaluation.noise_multiplier=1 --set privacy.evaluation.times=2
for i in 1 3; do rows $i 120 >$i.csv; done

# A process that has rows and the secrets of their noise leaves no core file. Of a limit of 1 byte
# Linux makes none, nor gives it to a program.
ulimit -c unlimited 2>/dev/null
cp as-it-was.csv 2.csv
mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train row.yaml --run long --quiet --set run.rounds=100000 --set checkpoint.every=0 >/dev/null 2>&1 </dev/null &
check "a run is under way" wait_lines long/metrics.jsonl 2
for process in $(ours granary); do
    check "its process leaves no core file" awk '/^Max core file size/ { exit !($5 <= 1 && $6 <= 1) }' "/proc/$process/limits"
done
check "there were two" equal "$(ours granary | wc -l)" 2
signal_ours KILL
wait 2>/dev/null

# ---- silos --------------------------------------------------------------------------------------------
rows 8 40 >another.csv
with '40,120,maybe'
alike "a silo with a bad row" silo.yaml as-it-was.csv with.csv
alike "a silo without rows" silo.yaml as-it-was.csv none.csv
alike "a silo of another table" silo.yaml as-it-was.csv another.csv --set train.epochs=2
# Losses that are too large for a sum.
cat >target.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: cost, type: target}
YAML
sed -e 's/schema.yaml/target.yaml/; s/logistic/linear/; s/learning_rate: 0.5/learning_rate: 1.0e-3, steps: 2/' silo.yaml >linear.yaml
cost() { awk -v most="$1" 'BEGIN { srand(3); print "age,cost"; for (i = 0; i < 50; i++) printf "%d,%g\n", 30 + i, most * rand() }'; }
for i in 1 3; do cost 1 >$i.csv; done
cost 1 >small.csv
cost 1e16 >large.csv
alike "a silo with large losses" linear.yaml small.csv large.csv
finish
