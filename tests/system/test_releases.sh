#!/bin/bash
# What leaves a silo: the table of releases, the ledger in the events, and the rules of `policy`.
. "$TESTS/system/library.sh"

# 80 rows of a clinic; in its column `dose` only the rows that a caller puts there.
rows() {
    awk -v seed="$1" -v n="${2:-80}" 'BEGIN { srand(seed); print "age,bp,dose,ward,died"
        for (i = 0; i < n; i++) { age = 30 + int(55 * rand())
            printf "%d,%d,,%s,%s\n", age, 100 + 50 * rand(), i % 3 == 1 ? "east" : "west", rand() < age / 100 ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i >$i.csv; done
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: integer, range: [0, 120]}
- {name: bp, type: number, missing: mean}
- {name: dose, type: number, missing: mean}
- {name: ward, type: category, categories: [east, west], encode: one_hot, missing: mode}
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
train: {learning_rate: 0.1, batch_size: 16}
preprocess: {scale: standardise}
evaluate: {metrics: [auc, balanced_accuracy], per_silo: true}
YAML
train() { exits 0 on_ranks "${RANKS:-3}" train run.yaml --run "$@"; }
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
releases() { "$GRANARY" releases "$@" --json | grep -o '"name": "[a-z-]*"' | sed 's/.*: //' | sort; }
left() { grep '"event":"releases"' "$1/events.jsonl" | grep -o '"release":[0-9]*,"name":"[a-z-]*"' | sed 's/.*"name"://' | sort -u; }

# ---- the table and the ledger ------------------------------------------------------------------------
check "the table" exits 0 "$GRANARY" releases run.yaml
check "has the update" prints "18  update"
check "who adds up what nodes send" prints "of each node the sum, or a share"
check "times of sums" prints "seconds of sums"
check "and the rules" prints "policy: sums of at least 2 silos, no extremes, 4 digits; data.disclosure_threshold: 10"
check "sizes are not told" bash -c '! "$0" releases run.yaml --json | grep -q "\"sizes\""' "$GRANARY"
check "unless the config asks for them" bash -c '"$0" releases run.yaml --json --set round.sampling=size --set round.participants=2 --set round.share_sizes=true | grep -q "\"sizes\""' "$GRANARY"
check "a config that is none" exits 78 "$GRANARY" releases schema.yaml
for ranks in 1 2 3; do
    check "a run on $ranks" eval "RANKS=$ranks train r$ranks --quiet"
    check "releases nothing that is not in the table" equal "$(comm -23 <(left r$ranks) <(releases run.yaml))" ""
    check "one digest" equal "$(digest r$ranks)" "$(digest r1)"
done
check "the update is in the ledger" bash -c 'grep -q "\"round\":1,\"releases\":.*\"name\":\"update\",\"values\":[0-9]*,\"times\":1" r3/events.jsonl'
check "rounds that release the same are told once" equal "$(grep -c '"event":"releases"' r3/events.jsonl)" "$(grep '"event":"releases"' r3/events.jsonl | sed 's/.*"releases"/"releases"/; s/"previous".*//' | uniq | wc -l)"
# Whichever way it is written, a checkpoint is for those that the umask names.
for io in independent collective; do
    check "checkpoints, $io" eval "(umask 077; RANKS=2 train io-$io --quiet --set checkpoint.io=$io)"
    check "are nobody else's" equal "$(stat -c %a io-$io/checkpoints/* | sort -u)" 600
    check "with nothing beside them" equal "$(find io-$io/checkpoints -type f ! -name 'round-??????.h5')" ""
done
# Hints of which nothing would come are told; a run that uses them has no alert.
for io in auto collective; do
    check "hints, $io" eval "(RANKS=2 train hints-$io --quiet --set checkpoint.io=$io --set checkpoint.hints=[cb_nodes=1])"
done
check "are not used" grep -q '"event":"alert","round":0,"what":"checkpoint.hints are not used"' hints-auto/events.jsonl
check "and are used" bash -c '! grep -q "hints are not used" hints-collective/events.jsonl'
# Side by side: not the sum, but the update of each silo.
check "a median" train median --quiet --set strategy.name=median
check "releases nothing else" equal "$(comm -23 <(left median) <(releases run.yaml --set strategy.name=median))" ""
check "but slices of updates" equal "$(left median | grep update)" '"update-slices"'
check "as the table says" equal "$(releases run.yaml --set strategy.name=median | grep update)" '"update-slices"'
check "which a sum does not" equal "$(releases run.yaml | grep update | tr '\n' ' ')" '"update" "update-exponents" '
check "as many values as silos have" bash -c 'p=$(grep -o "\"name\":\"update\",\"values\":[0-9]*" r3/events.jsonl | head -n 1 | grep -o "[0-9]*$"); grep -q "\"name\":\"update-slices\",\"values\":$((3 * p))," median/events.jsonl'
check "no line is longer than 90 bytes, or ends in blanks" bash -c '! "$GRANARY" releases run.yaml | grep -qE " $|.{91}"'
# On a public grid nothing of an update leaves before the sum.
public="--set aggregation.grid=public --set aggregation.clip_norm=0.05 --set aggregation.weight_max=100"
# shellcheck disable=SC2086
{
    check "a public grid" train public --quiet $public
    check "has no exponents" equal "$(left public | grep update)" '"update"'
    check "as the table says" equal "$(releases run.yaml $public | grep update)" '"update"'
    RANKS=2 check "another rank count" train public-2 --quiet $public
}
check "has the same bits" equal "$(digest public)" "$(digest public-2)"
check "which are not those of an agreed one" differ "$(digest public)" "$(digest r3)"
check "it is fine enough" bash -c '! grep -q "public grid" public/events.jsonl'
# The last round of a cosine has no learning rate, and so no update.
# shellcheck disable=SC2086
check "a rate that falls to 0" train falling --quiet $public --set train.schedule.type=cosine
check "moves nothing at the end" bash -c 'tail -n 1 falling/metrics.jsonl | grep -q "\"update_norm\":0[.0]*[,}]"'
check "the grid is not to blame" bash -c '! grep -q "public grid" falling/events.jsonl'
# 2^-28 of clip_norm times weight_max is the step with 8 silos: far above any update here.
check "a grid that is too coarse" train coarse --quiet $public --set aggregation.clip_norm=1e6 --set aggregation.weight_max=1e9
check "is an alert, once" equal "$(grep '"event":"alert"' coarse/events.jsonl | grep -c "updates are 0 on the public grid")" 1
check "synthetic data" exits 0 "$GRANARY" train "$TOP/configs/synthetic.yaml" --quiet --run synthetic --set run.rounds=2
check "neither" equal "$(comm -23 <(left synthetic) <(releases "$TOP/configs/synthetic.yaml"))" ""
check "its table says that no rule holds" bash -c '"$0" releases "$1" | grep -q "not in force"' "$GRANARY" "$TOP/configs/synthetic.yaml"

# ---- sums of few silos -------------------------------------------------------------------------------
check "one silo a round" exits 78 "$GRANARY" train run.yaml --run one --set round.participants=1
check "by name" says "round.participants: found 1, allowed at least 2 (policy.minimum_silos)"
check "more than there are" exits 78 "$GRANARY" train run.yaml --run one --set policy.minimum_silos=4
check "by name" says "policy.minimum_silos: found 4, allowed at most the 3 of data.silos"
echo "age,bp" >bad.csv
sed 's/\[{file: 1.csv}, {file: 2.csv}/[{file: bad.csv}, {file: bad2.csv}/' run.yaml >few.yaml
sed '5s/^[0-9]*/old/' 1.csv >bad.csv; cp bad.csv bad2.csv
check "one silo has data" exits 65 on_ranks 3 train few.yaml --run few
check "by name" says "found 1 silo with data that can be read, expected at least 2 (policy.minimum_silos)"
check "no run" test ! -e few/metrics.jsonl
check "who allows it trains" exits 0 on_ranks 3 train few.yaml --run allowed --quiet --set policy.minimum_silos=1
# A silo is lost before a sum, and two are not enough.
check "too few are left" exits 75 "$GRANARY" run -n 3 run.yaml --restarts 0 --run lost --set policy.minimum_silos=3 \
    --set run.rehearsal=true --set 'faults=[{kind: kill, silo: 2, round: 2, point: ready}]'
check "by name" says "2 silos are ready, policy.minimum_silos is 3"

# ---- means, modes and extremes -----------------------------------------------------------------------
check "no dose at all" train none --quiet
# with NAME FILE N: N rows of FILE have a dose.
with() { awk -F, -v OFS=, -v n="$2" 'NR > 1 && NR <= n + 1 {$3 = 40 + NR * 3.7} 1' "$1" >"$1.new" && mv "$1.new" "$1"; }
with 2.csv 40
check "one silo's column" train single
check "is named" prints "alert: preprocessing: fewer than 10 values (data.disclosure_threshold) or values of fewer than 2 silos (policy.minimum_silos)"
check "in the events" grep -q '"event":"alert".*preprocessing: fewer than.*dose' single/events.jsonl
check "nothing of it is in the model" equal "$(digest single)" "$(digest none)"
rows 2 >2.csv; with 2.csv 4; with 3.csv 5
check "nine values of two silos" train nine --quiet
check "tell nothing either" equal "$(digest nine)" "$(digest none)"
with 3.csv 30
check "more of both" train ten --quiet
check "are used" differ "$(digest ten)" "$(digest none)"
rows 3 >3.csv
# No silo but one has wards.
for i in 1 3; do cp $i.csv $i.keep; sed -i '2,$s/,[we][a-z]*,/,,/' $i.csv; done
check "a mode of one silo" exits 0 on_ranks 3 train run.yaml --run mode
check "is not told" grep -q "a missing category is none: .*ward" mode/events.jsonl
check "and has not left" bash -c '! grep -q "\"name\":\"modes\"" mode/events.jsonl'
check "a mode of three" bash -c 'grep -q "\"name\":\"modes\"" ten/events.jsonl'
for i in 1 3; do mv $i.keep $i.csv; done
check "extremes" exits 78 on_ranks 2 train run.yaml --run extremes --set preprocess.scale=min_max
check "by name" says "column 2: found min_max without a range, expected one in data.schema"
check "where they are allowed" exits 0 on_ranks 2 train run.yaml --run allowed-extremes --quiet --set preprocess.scale=min_max --set policy.extremes=true
check "are in the ledger" bash -c 'grep -q "\"name\":\"extremes\"" allowed-extremes/events.jsonl'

# ---- participation: a checkpoint needs it, a model goes to others ---
check "a checkpoint" exits 0 "$GRANARY" inspect "$(ls ten/checkpoints/round-*.h5 | tail -n 1)"
check "tells its silos" prints "silos         3"
check "a model" exits 0 "$GRANARY" inspect ten/model.h5
check "does not" bash -c '! grep -q silos "$0"' "$OUT"

# ---- scores ------------------------------------------------------------------------------------------
# Cells of the confusion matrix, a row a line.
cells() { tr -d ' \n' <"$1/evaluation.json" | sed 's/.*"counts":\[\[\(.*\)\]\]}.*/\1/; s/\].*//' | tr ',[]' '\n\n\n' | grep -v '^$'; }
check "no cell of few rows" equal "$(cells ten | awk '$1 != "null" && $1 > 0 && $1 < 10' | wc -l)" 0
check "with a high threshold" train high --quiet --set data.disclosure_threshold=30
check "cells are withheld, never one alone" bash -c '[ "$(tr -d " \n" <high/evaluation.json | grep -o "\"counts\":[^}]*" | grep -o null | wc -l)" != 1 ] && grep -q null high/evaluation.json'
check "the report says so" grep -q "they are withheld" high/report.html
digits() { grep -oE "\"$2\":[0-9.e+-]*" "$1/metrics.jsonl" | sed 's/.*://' | awk '{x = sprintf("%.3e", $1) + 0; if (x != $1 + 0) print $1}'; }
check "losses have four digits" equal "$(digits ten validation_loss)$(digits ten train_loss)$(digits ten validation_auc)" ""
check "all of them" train all --quiet --set policy.digits=17
check "where it is asked for" test -n "$(digits all validation_loss)"

# Only one silo holds rows out.
rows 4 4 >2.csv; rows 5 4 >3.csv
check "small silos" train small --quiet --set data.validation_fraction=0.05
held=$(grep -o '"validation_rows":[0-9]*' small/metrics.jsonl | head -n 1)
check "no score of one silo" equal "$held" '"validation_rows":0'
check "and why" grep -q "rows of fewer silos than policy.minimum_silos" small/evaluation.json
# All three do, 9 rows together, and 18.
for i in 1 2 3; do rows $i 15 >$i.csv; done
few() { exits 0 on_ranks "$1" train run.yaml --run "few$1${3:-}" --quiet --set data.validation_fraction="$2" --set data.stratify=false --set preprocess.scale=none; }
check "nine rows held out" few 3 0.2
check "have no score" equal "$(grep -o '"validation_rows":[0-9]*' few3/metrics.jsonl | sort -u)" '"validation_rows":0'
check "and why" grep -q "or fewer than data.disclosure_threshold" few3/evaluation.json
check "on one rank" few 1 0.2
check "neither" equal "$(grep -o '"validation_rows":[0-9]*' few1/metrics.jsonl | sort -u)" '"validation_rows":0'
check "eighteen rows" few 2 0.4 b
check "have a loss" grep -q '"validation_rows":18' few2b/metrics.jsonl
check "and no accuracy that few rows were right, or wrong, by" bash -c 'grep -q "\"validation_accuracy\":null" few2b/metrics.jsonl && grep -q "too few rows" few2b/evaluation.json'
# Both silos hold rows out, one of them none for the validation.
for i in 1 2 3; do rows $i >$i.csv; done
sed '3,$d' 3.csv >one.csv; sed 's/: [0-9]*.csv/: one.csv/3' run.yaml >part.yaml; sed -i 's/{file: 1.csv}, //' part.yaml
sed -n '/silo_tables/p' part.yaml >told
check "one holds out nothing of one kind" exits 0 on_ranks 2 train part.yaml --run part --quiet --set data.validation_fraction=0.2 --set data.test_fraction=0.2
check "its neighbour's scores are not told" equal "$(grep -o '"validation_rows":[0-9]*\|"test_rows":[0-9]*' part/metrics.jsonl | sort -u | tr '\n' ' ')" '"test_rows":0 "validation_rows":0 '

# ---- silos that are lost --------------------------------------------------------------------------------
survives() { exits 0 "$GRANARY" run -n "$1" run.yaml --quiet --restarts 0 --set run.rehearsal=true "${@:2}"; }
pair='data.silo_tables=[{file: 1.csv}, {file: 2.csv}]'
check "of two silos one is lost after the seal" survives 2 --run gone --set "$pair" --set 'faults=[{kind: kill, silo: 1, round: 2, point: evaluate}]' --set run.rounds=2
check "the other's losses are not summed alone" grep -q '"round":2,.*"processed":0,"train_loss":null' gone/metrics.jsonl
stop="--set stop.metric=validation_loss --set stop.patience=2 --set train.learning_rate=30 --set run.rounds=8"
# shellcheck disable=SC2086
check "the best model is of an early round" survives 3 --run stays $stop
check "and scored again" bash -c 'grep -q "\"round\": *[1-5]," stays/evaluation.json && ! grep -q "second scoring" stays/evaluation.json'
# shellcheck disable=SC2086
check "a silo is lost after it" survives 3 --run goes $stop --set 'faults=[{kind: kill, silo: 2, round: 3, point: train}]'
check "it is not scored a second time" grep -q "a second scoring would tell theirs" goes/evaluation.json
# shellcheck disable=SC2086
check "nor by a run that goes on" exits 0 on_ranks 3 train run.yaml --quiet --set run.rehearsal=true --run stays --resume $stop
check "with fewer silos or not" grep -q "a second scoring would tell theirs" stays/evaluation.json
check "the policy is the one that the run began with" exits 78 on_ranks 3 train run.yaml --run ten --resume --set policy.digits=17
check "it is named" says "policy.digits"
finish
