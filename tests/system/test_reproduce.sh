#!/usr/bin/env bash
# granary reproduce: a run made again, the same or not, and what cannot be made again.
. "$(dirname "$0")/library.sh"
# (A private run is refused in test_private_run.sh, each example made again in test_examples.sh.)

awk 'BEGIN {srand(7); print "a,b,y"; for (i = 0; i < 120; i++) printf "%.4f,%.4f,%d\n", rand(), rand(), i % 2}' >one.csv
sed 's/^0/1/' one.csv >two.csv
cat >base.yaml <<'YAML'
run: {name: base, rounds: 4, rehearsal: true}
data: {source: csv, silos: 3, silo_tables: [{file: one.csv}, {file: two.csv}, {file: one.csv}], csv: {label: y}, validation_fraction: 0.2}
model: {type: mlp, hidden: [4]}
train: {learning_rate: 0.05, batch_size: 16}
checkpoint: {keep: 4}
round: {deadline_s: 1.5, collective_deadline_s: 1}
YAML
check "a run" exits 0 "$GRANARY" train base.yaml --quiet --run whole --set observe.prometheus="$PWD/x.prom"
find whole -type f -exec cksum {} + | sort >before
mv x.prom y.prom
check "made again" exits 0 "$GRANARY" reproduce whole
check "the same" prints "the same model, to the last bit"
check "its figures too" prints "figures     of 4 rounds are the same"
find whole -type f -exec cksum {} + | sort >after
check "the first is as it was" cmp before after
check "nobody is told of the second" test ! -e x.prom
check "salts are as secret as they were" equal "$(stat -c %a whole-again/secrets whole-again/secrets/run | xargs)" "700 600"
check "again is only compared" exits 0 "$GRANARY" reproduce whole/ --json
check "for a program" prints '"same": true'
check "on two ranks, elsewhere" exits 0 "$GRANARY" reproduce whole -n 2 -o elsewhere

# A row of one silo is another now.
cp two.csv two.csv.kept
sed -i '5s/,[01]$/,1/; 6s/,[01]$/,1/' two.csv
check "other data" exits 1 "$GRANARY" reproduce whole -o changed
check "it is another model" says "changed: has another model than whole"
check "from its first round on" prints "differ from round 1 on: "
check "the first tensor" prints "tensor      dense0.weight differs, in"
check "its checkpoint" prints "in the first checkpoint that both have, of round 1"
check "the silo" prints "data        other than then: silo-001 (train)"
mv two.csv two.csv.changed
check "a table that is gone" exits 1 "$GRANARY" reproduce whole -o gone
check "the silo" prints "data        other than then: silo-001 (train, not read)"
check "and why" says "two.csv: cannot be opened"
mv two.csv.kept two.csv

# Silos that were away are away again.
check "a silo sits a round out" exits 0 "$GRANARY" train base.yaml --quiet --run away \
    --set "faults=[{kind: nan, silo: 1, round: 2, point: train}]"
check "made again without it" exits 0 "$GRANARY" reproduce away
check "it is another than the whole" differ "$("$GRANARY" inspect --digest away-again/model.h5)" \
    "$("$GRANARY" inspect --digest whole/model.h5)"

# ---- what cannot be made again -------------------------------------------------------------------
cp -r whole edited
sed -i 's/^  learning_rate: .*/  learning_rate: 0.06/' edited/resolved.yaml
check "an edited config" exits 65 "$GRANARY" reproduce edited
check "is told" says "found a config of the digest"
check "a clock that ends the training" exits 0 "$GRANARY" train base.yaml --quiet --run clock --set train.seconds=5
check "is said" exits 78 "$GRANARY" reproduce clock
check "and why" says "train.seconds"
sed 's/"outcome": "finished"/"outcome": "stopped"/' whole/manifest.json >edited/manifest.json
cp whole/resolved.yaml edited/
check "a run that has stopped" exits 78 "$GRANARY" reproduce edited
check "no run" exits 65 "$GRANARY" reproduce nothing
check "nothing is left of these" bash -c '! ls -d edited-again clock-again nothing-again 2>/dev/null'
finish
