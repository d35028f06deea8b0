#!/usr/bin/env bash
# Conformal prediction: a bound found over silos, kept in the model, given by predict; the coverage
# of test rows as who counts predictions by hand finds it; the same on any number of ranks and
# behind masks; where it is not found the run says why.
. "$(dirname "$0")/library.sh"
. "$(dirname "$0")/sites.sh"

# rows SEED N: patients, an outcome of two classes and a number.
rows() {
    echo "age,bp,died,days"
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); for (i = 0; i < n; i++) { age = 20 + 60 * rand(); bp = 90 + 90 * rand()
        printf "%d,%d,%s,%.2f\n", age, bp, rand() < 1 / (1 + exp(6 - age / 14 - bp / 90)) ? "yes" : "no", age / 10 + 3 * rand() + 2 * rand() } }'
}
for i in 1 2 3; do rows $i 400 >$i.csv; done
rows 9 700 >test.csv
cat >schema.yaml <<'YAML'
columns:
- {name: age, type: number, range: [0, 120]}
- {name: bp, type: number, range: [0, 250]}
- {name: died, type: label, categories: [no, yes]}
- {name: days, type: text}
YAML
sed 's/type: label.*/type: text}/; s/days, type: text/days, type: target/' schema.yaml >days.yaml
cat >run.yaml <<'YAML'
run: {name: conformal, rounds: 3}
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
evaluate: {conformal: {alpha: 0.1}}
YAML
numbers=(--set data.schema=days.yaml --set model.type=linear --set train.learning_rate=0.1 --set aggregation.clip_norm=10)
train() { exits 0 on_ranks "$1" train run.yaml --quiet --run "$2" "${@:3}"; }
found() { tr -d ' \n' <"$1/evaluation.json" | grep -o '"conformal":.*'; }
# silos RUN: their coverage.
silos() { found "$1" | sed 's/"bins".*//' | grep -o '"silos":\[[^]]*\]' | grep -o '"silo":"silo-00[0-9]","rows":[0-9]*,"coverage"' | wc -l; }
figure() { found "$1" | grep -o "\"$2\":[^,}]*" | head -1 | cut -d: -f2; }
model() { "$GRANARY" inspect "$1/model.h5" | sed '1d; /config, data/d'; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a - b < 1e-9 && b - a < 1e-9) }' || { echo "  '$1' is not '$2'"; return 1; }; }
within() { awk -v a="$1" -v b="$2" -v c="$3" 'BEGIN { exit !(a != "" && a - b < c && b - a < c) }' || { echo "  '$1' is not within $3 of $2"; return 1; }; }

# ---- sets of classes ------------------------------------------------------------------------------
check "a run" train 3 run
for ranks in 1 2; do
    check "on $ranks ranks" train $ranks other
    check "the same evaluation" cmp run/evaluation.json other/evaluation.json
    check "the same model" equal "$(model run)" "$(model other)"
    rm -rf other
done
"$GRANARY" predict run/model.h5 test.csv -o sets.csv >/dev/null 2>&1
check "predictions have sets" equal "$(head -1 sets.csv)" "label,p_no,p_yes,set_no,set_yes"
check "the coverage counted by hand" near "$(paste -d, sets.csv test.csv | awk -F, 'NR > 1 { n++; held += $8 == "yes" ? $5 : $4 } END { printf "%.17g", held / n }')" "$(figure run coverage)"
check "the mean size" near "$(awk -F, 'NR > 1 { n++; size += $4 + $5 } END { printf "%.17g", size / n }' sets.csv)" "$(figure run mean_size)"
check "is about 0.9" within "$(figure run coverage)" 0.9 0.05
check "a class is in a set by its probability" awk -F, -v p="$(figure run least_probability)" 'NR > 1 { if (($2 - p > 1e-6 && !$4) || (p - $2 > 1e-6 && $4) || ($3 - p > 1e-6 && !$5) || (p - $3 > 1e-6 && $5)) exit 1 }' sets.csv
check "in HDF5" exits 0 on_ranks 2 predict run/model.h5 test.csv -o sets.h5
check "the report has the coverage" grep -q "coverage of test rows" run/report.html
check "the card too" grep -q "Conformal prediction" run/model-card.md
check "with a smaller alpha" train 2 small --set evaluate.conformal.alpha=0.05
check "sets are larger" awk -v a="$(figure small mean_size)" -v b="$(figure run mean_size)" 'BEGIN { exit !(a > b) }'
check "beside a recalibration" train 2 both --set evaluate.recalibration=platt
check "the bound is the same" equal "$(found both)" "$(found run)"
"$GRANARY" predict both/model.h5 test.csv -o both.csv >/dev/null 2>&1
check "and the sets" equal "$(cut -d, -f4,5 both.csv | cksum)" "$(cut -d, -f4,5 sets.csv | cksum)"

# ---- intervals ------------------------------------------------------------------------------------
check "a number" train 3 days "${numbers[@]}"
check "on one rank" train 1 other "${numbers[@]}"
check "the same" cmp days/evaluation.json other/evaluation.json
"$GRANARY" predict days/model.h5 test.csv -o days.csv >/dev/null 2>&1
check "predictions have intervals" equal "$(head -1 days.csv)" "prediction,lower,upper"
check "their coverage" near "$(paste -d, days.csv test.csv | awk -F, 'NR > 1 { n++; held += $7 >= $2 && $7 <= $3 } END { printf "%.17g", held / n }')" "$(figure days coverage)"
check "about 0.9" within "$(figure days coverage)" 0.9 0.05
check "and as wide as is said" awk -F, -v h="$(figure days half_width)" 'NR > 1 { d = $3 - $2 - 2 * h; if (d > 1e-4 || d < -1e-4) exit 1 }' days.csv

# ---- one table, dealt to eight silos --------------------------------------------------------------
(cat 1.csv; sed 1d 2.csv; sed 1d 3.csv) >all.csv
sed 's/silo_tables:.*/silos: 8/; s/test: {file.*/train: {file: all.csv}\n  test_fraction: 0.2/; s/alpha: 0.1}/&, recalibration: isotonic, per_silo: true/; s/name: conformal/&, rehearsal: true/' run.yaml >dealt.yaml
check "a rehearsal" exits 0 "$GRANARY" train dealt.yaml --quiet --run dealt
check "on eight ranks" exits 0 on_ranks 8 train dealt.yaml --quiet --run eight
check "finds the same" cmp dealt/evaluation.json eight/evaluation.json
check "and writes the same" equal "$(model dealt)" "$(model eight)"
check "of each silo" equal "$(silos dealt)" 8
check "that loses a rank meanwhile" exits 0 "$GRANARY" run -n 3 dealt.yaml --run less --quiet --restarts 0 --set round.deadline_s=20 \
    --set round.collective_deadline_s=10 --set round.heartbeat_s=5 --set "faults=[{kind: kill, silo: 7, round: 3, point: postprocess}]"
check "begins anew over the others" test "$(silos less)" -lt 8
check "and finds its own" bash -c '"$GRANARY" inspect less/model.h5 | grep -q "\"alpha\": 0.1"'

# ---- behind masks, and by silo --------------------------------------------------------------------
sed 's/name: conformal/&, rehearsal: true/' run.yaml >secure.yaml; echo 'secure: {aggregation: true}' >>secure.yaml
check "under secure sums" exits 0 on_ranks 3 train secure.yaml --quiet --run secure
check "the same bound" equal "$(found secure)" "$(found run)"
check "of test rows that silos hold out" train 2 held --set "data.test.file=''" --set data.validation_fraction=0.4 --set data.test_fraction=0.4 --set evaluate.per_silo=true
check "the coverage has four digits" near "$(figure held coverage)" "$(awk -v v="$(figure held coverage)" 'BEGIN { printf "%.4g", v }')"
check "of each silo too" equal "$(silos held)" 3
head -201 3.csv >short.csv
check "a silo of few rows" train 2 few --set "data.test.file=''" --set data.validation_fraction=0.4 --set data.test_fraction=0.4 --set evaluate.per_silo=true --set evaluate.minimum_rows=100 --set 'data.silo_tables=[{file: 1.csv}, {file: 2.csv}, {file: short.csv}]'
check "is not told of, nor all but it" equal "$(silos few)" 1

# ---- between sites --------------------------------------------------------------------------------
mkdir -p sites/mail; cd sites || exit 1
EVERY='1, recalibration: platt, conformal: {alpha: 0.2}'
make_parties
write_study 3
for site in a b c; do write_site $site '{folder: mail}'; done
check "sites approve" approve_all
coordinate coordinator --mailbox mail --quiet; all=($!)
for site in a b c; do join $site; all+=($!); done
check "they take part" ended "${all[@]}"
check "the model is that of one job" equal "$(one_job 3)" "$(digest)"
check "what is made of its outputs too" equal "$(model run | sed -n '/postprocessing/,/server/p')" "$(model plain | sed -n '/postprocessing/,/server/p')"
check "it is there" bash -c '"$GRANARY" inspect run/model.h5 | grep -q "\"alpha\": 0.2"'
cd ..

# ---- what is not found ----------------------------------------------------------------------------
check "an alpha too small for the rows" train 2 none --set evaluate.conformal.alpha=0.001
check "says so" grep -q 'the model has no conformal sets: validation rows are too few for alpha' none/events.jsonl
check "a bound beyond which are few rows" train 2 beyond --set evaluate.conformal.alpha=0.01
check "says so too" grep -q 'fewer validation rows than data.disclosure_threshold would lie beyond the bound' beyond/events.jsonl
check "the models are as they were" equal "$("$GRANARY" inspect none/model.h5 | grep -c postprocessing)" 0
sed 's/name: conformal/&, rehearsal: true/' run.yaml >rehearsal.yaml
check "a silo that goes" exits 0 "$GRANARY" run -n 3 rehearsal.yaml --run gone --quiet --restarts 0 --set round.deadline_s=20 \
    --set round.collective_deadline_s=10 --set round.heartbeat_s=5 --set "faults=[{kind: kill, silo: 2, round: 3, point: postprocess}]"
check "nothing is found" grep -q 'no conformal sets: silos may have gone since the model was scored' gone/events.jsonl
check "an alpha that is none" exits 78 "$GRANARY" validate run.yaml --set evaluate.conformal.alpha=0.7
check "without validation rows" exits 78 "$GRANARY" validate run.yaml --set data.validation_fraction=0
check "says what is lacking" says "allowed more than 0 with evaluate.conformal"
check "with noise in all that leaves" exits 78 "$GRANARY" validate run.yaml --set 'privacy={unit: row, clip_norm: 1, noise_multiplier: 1}'
check "says why not" says "evaluate.conformal.alpha: found a number above 0, not allowed"
finish
