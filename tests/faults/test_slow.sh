#!/usr/bin/env bash
# Slow work is waited for as long as it gives signs of life; silence is not. Under a minute.
. "$(dirname "$0")/../system/library.sh"

cat >slow.yaml <<'YAML'
run: {name: slow, rounds: 4, rehearsal: true}
data: {source: synthetic, silos: 4, synthetic: {features: 8, classes: 3, minimum_rows: 20, maximum_rows: 60, test_rows: 5}}
model: {type: mlp, hidden: [8]}
train: {learning_rate: 0.05, batch_size: 8}
round: {collective_deadline_s: 1, heartbeat_s: 1}
checkpoint: {every: 1}
YAML
# tolerant N WORDS...: a run whose ranks may be lost.
tolerant() {
    # shellcheck disable=SC2086
    timeout 60 mpirun $MPIRUN_FLAGS --enable-recovery -n "$1" "$GRANARY" train "${@:2}" --quiet >"$OUT" 2>"$ERR" </dev/null
}
fault() { echo "faults=[{kind: $1, silo: $2, round: 2, point: $3, seconds: $4}]"; }
late() { grep -c '"event":"late"' "$1/events.jsonl"; }
figures() { sed 's/,"seconds".*//; s/"recoveries":[0-9]*,//' "$1/metrics.jsonl"; }

tolerant 3 slow.yaml --run whole
want=$("$GRANARY" inspect --digest whole/model.h5)
check "there is a model to compare with" differ "$want" "$(printf '0%.0s' {1..64})"

# ---- two seconds of work, where a second of silence is too long -------------------------------
for case in evaluate:1:0 evaluate:0:1 record:0:0 checkpoint:2:0 aggregate:1:1; do
    IFS=: read -r point silo nodes <<<"$case"
    tolerant 3 slow.yaml --run "slow-$case" --set "$(fault slow "$silo" "$point" 2)" --set aggregation.ranks_per_node=$nodes
    check "$case: nobody is given up" equal "$(late "slow-$case")" 0
    check "$case: no round is met for anew" equal "$(grep -c '"recoveries":0' "slow-$case/metrics.jsonl")" 4
    check "$case: the same model" equal "$("$GRANARY" inspect --digest "slow-$case/model.h5")" "$want"
done

# ---- one that is silent for as long -------------------------------------------------------------
tolerant 3 slow.yaml --run silent --set "$(fault stop 1 evaluate 3)"
check "who is suspended is given up" equal "$(late silent)" 1
tolerant 3 slow.yaml --run hanging --set "$(fault delay 1 evaluate 3)"
check "who does nothing is given up" equal "$(late hanging)" 1
# While another works: two are waited for, and one of them gives no sign.
tolerant 3 slow.yaml --run both --set \
    "faults=[{kind: slow, silo: 2, round: 2, point: evaluate, seconds: 3}, {kind: stop, silo: 1, round: 2, point: evaluate}]"
check "also while another works" equal "$(grep -c '"event":"late".*\["silo-001"\]' both/events.jsonl)" 1
check "and only that one" equal "$(late both)" 1
check "the run has ended" test -e both/model.h5

# ---- a death that is noticed at work ------------------------------------------------------------
tolerant 3 slow.yaml --run death --set round.collective_deadline_s=600 --set \
    "faults=[{kind: slow, silo: 2, round: 2, point: evaluate, seconds: 40}, {kind: kill, silo: 1, round: 2, point: evaluate, after_s: 0.5}]"
check "who works turns to those left" test -e death/model.h5
check "all test rows are scored" equal "$(grep -c '"test_rows":20,' death/metrics.jsonl)" 4

# ---- an evaluation that is truly long -----------------------------------------------------------
# One silo of two has 200,000 rows to be scored, which take a core some seconds.
awk 'BEGIN {srand(7); print "a,b,y"; for (i = 0; i < 400; i++) printf "%.4f,%.4f,%d\n", rand(), rand(), i % 2}' >small.csv
awk 'NR == 1 {print; next} {row[NR] = $0} END {for (k = 0; k < 500; k++) for (i in row) print row[i]}' small.csv >large.csv
cat >long.yaml <<'YAML'
run: {name: long, rounds: 1}
data: {source: csv, silos: 2, silo_tables: [{file: small.csv}, {file: large.csv}], validation_fraction: 0.9, csv: {label: y}}
model: {type: mlp, hidden: [512, 512]}
train: {learning_rate: 0.01, batch_size: 64, steps: 1}
round: {collective_deadline_s: 1}
YAML
tolerant 2 long.yaml --run long
check "a long evaluation is waited for" equal "$(late long)" 0
check "and is of all rows" grep -q '"validation_rows":18036[0-9],' long/metrics.jsonl
finish
