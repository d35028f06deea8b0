#!/bin/bash
# The ledger of the door: what the `releases` events of a run tell, held against the rows that
# `granary releases CONFIG` lists. Nothing leaves that is not listed; what is listed leaves, but for
# what comes only where something is wrong; and the runs of this script together let every row out.
. "$TESTS/system/library.sh"

# N rows of a clinic.
rows() {
    awk -v seed="$1" -v n="${2:-80}" 'BEGIN { srand(seed); print "age,bp,ward,died"
        for (i = 0; i < n; i++) { age = 30 + int(55 * rand())
            printf "%d,%s,%s,%s\n", age, i % 9 == 4 ? "" : sprintf("%.1f", 100 + 50 * rand()), i % 3 == 1 ? "east" : "west", rand() < age / 100 ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i >$i.csv; done
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: bp, type: number, missing: mean}
- {name: ward, type: category, categories: [east, west], missing: mode}
- {name: died, type: label, categories: [no, yes]}
YAML
# Tables of their own, and all that may be learnt of them.
cat >silos.yaml <<'YAML'
run: {name: silos, rounds: 4}
data:
  source: csv
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  schema: schema.yaml
  validation_fraction: 0.3
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 16, class_weights: balanced}
preprocess: {scale: standardise}
evaluate: {metrics: [auc], per_silo: true, slices: [ward, age=50]}
checkpoint: {every: 2}
YAML
# The same without a schema: columns are guessed, and categories are those of all silos.
sed '/schema:/d; s/data:/data:\n  csv: {label: died}/' silos.yaml >guessed.yaml
# One table, dealt, and a test table that is nobody's.
cat >dealt.yaml <<'YAML'
run: {name: dealt, rounds: 3}
data:
  source: csv
  silos: 3
  train: {file: 1.csv}
  test: {file: 2.csv}
  csv: {label: died}
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 16}
evaluate: {per_silo: true}
YAML
cat >generated.yaml <<'YAML'
run: {name: generated, rounds: 2}
data: {source: synthetic, silos: 4, synthetic: {maximum_rows: 100}}
model: {type: softmax}
train: {learning_rate: 0.1, batch_size: 16}
evaluate: {every: 0}
YAML

# Listed as refused is what a private run would let out, if it were not private.
numbers() { grep -o '"release": *[0-9]*' | grep -o '[0-9]*$' | sort -u; }
listed() {
    "$GRANARY" releases "$@" --json | awk '/"release":/ { line = $0 } /"private": "refused"/ { line = "" }
        /^ }/ { print line; line = "" }' | numbers
}
left() { grep -h '"event":"releases"' "$@" | numbers; }
# compare NAME EXCEPT CONFIG WORDS...: a run's events and its list; EXCEPT: what is listed and need not leave.
compare() {
    local name=$1 except=$2; shift 2
    check "$name: all that has left is listed" equal "$(comm -23 <(left "$name/events.jsonl") <(listed "$@") | tr '\n' ' ')" ""
    check "$name: all that is listed has left" equal "$(comm -13 <(left "$name/events.jsonl") <(listed "$@" | grep -vxE "$except") | tr '\n' ' ')" ""
}
run() {
    local name=$1 ranks=$2 except=$3; shift 3
    check "$name" exits 0 on_ranks "$ranks" train "$1" --quiet --run "$name" "${@:2}"
    compare "$name" "$except" "$@"
}
# Errors, silos that cannot be scored, the comment of a job; of a schema whether columns are open.
seldom='6|33|45'
for ranks in 1 3; do
    run "silos-$ranks" $ranks "$seldom|8|11" silos.yaml
    run "guessed-$ranks" $ranks "$seldom|9" guessed.yaml
    run "dealt-$ranks" $ranks "$seldom|9|34" dealt.yaml
    run "generated-$ranks" $ranks "$seldom" generated.yaml
done
run extremes 2 "$seldom|8" silos.yaml --set policy.extremes=true --set preprocess.scale=min_max
run sizes 2 "$seldom|8|11" silos.yaml --set round.sampling=size --set round.participants=2 --set round.share_sizes=true --set evaluate.bootstrap.replicates=100
run slices 2 "$seldom|8|11" silos.yaml --set strategy.name=median
run recalibrated 2 "$seldom|8|11" silos.yaml --set evaluate.recalibration=temperature --set evaluate.conformal.alpha=0.4
run looked-up 2 "$seldom|8|11" silos.yaml --set model.type=mlp --set 'model.hidden=[4]' --set model.embedding=2
check "participation in a round" grep -q '"event":"releases","round":1,.*"name":"participation","values":3,"times":1' silos-3/events.jsonl
check "a checkpoint with its numbers" grep -q '"event":"releases","round":3,.*"name":"checkpoint","values":[0-9]*,"times":1' silos-3/events.jsonl
check "the last one as well" bash -c 'tail -n 2 silos-3/events.jsonl | grep -q "\"event\":\"releases\",\"round\":4,\"releases\":\[{\"release\":28,"'
check "the table with its rows" grep -q '"name":"common-table","values":80,"times":1' dealt-3/events.jsonl

# ---- with noise --------------------------------------------------------------------------------------
for i in 1 2 3; do rows $i 600 >large$i.csv; done
sed 's/missing: mean/range: [50, 250], missing: zero/; s/, missing: mode//' schema.yaml >ranges.yaml
cat >private.yaml <<'YAML'
run: {name: private, rounds: 2}
data:
  source: csv
  silo_tables: [{file: large1.csv}, {file: large2.csv}, {file: large3.csv}]
  schema: ranges.yaml
  validation_fraction: 0.2
model: {type: logistic}
train: {learning_rate: 0.1, batch_size: 24, epochs: 0, steps: 5}
preprocess: {scale: min_max}
silos: [{directory: own1}, {directory: own2}, {directory: own3}]
privacy:
  unit: row
  clip_norm: 1
  noise_multiplier: 1
  expected_batch: 24
  expected_units: 500
  evaluation: {noise_multiplier: 3, times: 3}
  budget: {delta: 1.0e-3}
YAML
# 22 and 38 are of a test table and of the best model, which are not here.
run private 2 "$seldom|22|38" private.yaml
sed 's/missing: zero/missing: mean/; s/categories: \[east, west\]/&, missing: mode/' ranges.yaml >filled.yaml
run statistics 2 "$seldom|22|38" private.yaml --set data.schema=filled.yaml --set preprocess.scale=standardise --set privacy.statistics.noise_multiplier=3

# ---- in a batch job ----------------------------------------------------------------------------------
mkdir bin
printf '#!/bin/sh\nexit 0\n' >bin/scontrol
chmod +x bin/scontrol
in_job() { exits 0 env PATH="$SCRATCH/bin:$PATH" SLURM_JOB_ID=4711 GRANARY_JOB_COMMENT="$1" "$GRANARY" train generated.yaml --quiet --run "job-$1"; }
check "a job" in_job round
compare job-round '6|33' generated.yaml
check "its comment, in the round and at the end" equal "$(grep -o '"name":"job-comment","values":1,"times":1' job-round/events.jsonl | wc -l)" 2
check "a job without a comment" in_job off
check "has told nothing" bash -c '! grep -q job-comment job-off/events.jsonl'
check "a run that is scraped" exits 0 "$GRANARY" train generated.yaml --quiet --run scraped --set observe.prometheus=run.prom
compare scraped "$seldom" generated.yaml --set observe.prometheus=run.prom

# ---- where something is wrong ------------------------------------------------------------------------
# A target that no sum takes, in a row that is held out, whichever that is.
for i in 1 2 3; do awk -v s=$i 'BEGIN {srand(s); print "x,y"; for (i = 0; i < 40; i++) print rand() "," rand()}' >n$i.csv; done
cat >numbers.yaml <<'YAML'
columns: [{name: x, type: number}, {name: y, type: target}]
YAML
cat >numbers-run.yaml <<'YAML'
run: {name: numbers, rounds: 2}
data:
  source: csv
  schema: numbers.yaml
  validation_fraction: 0.3
  silo_tables: [{file: n1.csv}, {file: n2.csv}, {file: n3.csv}]
model: {type: linear}
train: {learning_rate: 0.1, batch_size: 8}
YAML
cp n3.csv n3.good
for row in 2 3 4 5 6 7 8 9; do
    sed "${row}s/,.*/,98765432109.5/" n3.good >n3.csv
    rm -rf unscored
    check "a large target in row $row" exits 0 on_ranks 2 train numbers-run.yaml --quiet --run unscored
    grep -q "cannot be scored" unscored/events.jsonl && break
done
compare unscored '6|8|9|10|11|12|45' numbers-run.yaml
check "the bits of the silos that cannot be scored" grep -q '"name":"unscored","values":3' unscored/events.jsonl
# A checkpoint is refused: its message goes from the rank that failed to the others.
# shellcheck disable=SC2086
mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train silos.yaml --quiet --run refused --set run.rehearsal=true --set checkpoint.every=1 --set 'faults=[{kind: delay, silo: 1, round: 3, seconds: 4}]' >"$OUT" 2>"$ERR" &
wait_lines refused/metrics.jsonl 2
for _ in $(seq 100); do [ -e refused/checkpoints/round-000002.h5 ] && break; sleep 0.02; done
mv refused/checkpoints away; touch refused/checkpoints
wait $!
check "a checkpoint is refused" grep -q '"event":"alert","round":3,"what":"the disk refuses' refused/events.jsonl
compare refused '8|11|33|45' silos.yaml
check "messages are counted" grep -q '"event":"releases","round":4,.*"name":"errors","values":1,"times":1' refused/events.jsonl

# ---- every row ---------------------------------------------------------------------------------------
# But 47, software, which leaves between the parties of a study: test_study_status.sh.
check "all rows have been let out" equal "$(left ./*/events.jsonl | tr '\n' ' ')" "$(grep -oE 'GR_RELEASE_[A-Z_]* = [0-9]+,' "$TOP/include/granary/release.h" | grep -o '[0-9]*' | grep -vx 47 | sort | tr '\n' ' ')"
finish
