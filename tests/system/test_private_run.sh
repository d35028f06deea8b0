#!/bin/bash
# Differential privacy of rows: what is told of a run, its ledger and budget, and what one row changes.
. "$TESTS/system/library.sh"
. "$TESTS/system/clinics.sh"

# Three clinics of 240 rows each.
make_clinics 240

# ---- what is told -----------------------------------------------------------------------------------
check "a private run" exits 0 on_ranks 2 train run.yaml --run first
check "whose terminal says what is promised" prints 'privacy    each row: epsilon at most '
check "says which unit" equal "$(field first unit) $(field first adjacency) $(field first mechanism)" "row add_remove discrete_gaussian"
check "and in a sentence what is promised" grep -q '"statement": "Differential privacy of one row that is there or not: epsilon at most [0-9.]* (at least [0-9.]*) at a delta of 0.0001 after 3 rounds, 30 noised sums of each silo' first/manifest.json
# By the command, of the noise multiplier that is accounted for.
told=$("$GRANARY" privacy epsilon --noise-multiplier "$(field first noise_multiplier_accounted)" --sampling 0.096 --steps 30 --delta 1e-4)
check "which is the accountant's" awk -v m="$(field first epsilon_upper)" -v told="$told" 'BEGIN { while (match(told, /[0-9]+\.[0-9]+/)) { x = substr(told, RSTART, RLENGTH); told = substr(told, RSTART + RLENGTH); if (x - m < 2e-3 && m - x < 2e-3) ok = 1 } exit !ok }'
check "less noise is accounted for than was added" awk -v a="$(field first noise_multiplier)" -v b="$(field first noise_multiplier_accounted)" 'BEGIN { exit !(a > b && a < 1.01 * b) }'
check "rows are those expected" equal "$(grep -o '"examples":[0-9]*' first/metrics.jsonl | sort -u)" '"examples":750'
check "no losses, no processed rows, no processor time" equal \
    "$(grep -o '"processed":[^,]*\|"train_loss":[^,]*\|"cpu_seconds_train":[^,]*\|"rows_per_second":[^,}]*' first/metrics.jsonl | sort -u | tr '\n' ' ')" \
    '"cpu_seconds_train":null "processed":0 "rows_per_second":null "train_loss":null '
check "no seconds of training and sums" equal "$(grep -c '"seconds":{"train":null,"aggregate":null,"evaluate":null,' first/metrics.jsonl)" 3
check "and of a round two digits" awk '{ match($0, /"checkpoint":[^,]*,"total":[^}]*/); split(substr($0, RSTART, RLENGTH), x, /[:,]/)
    apart = x[4] - x[2]; off = apart - sprintf("%.1e", apart); if (!(apart > 0) || off > 1e-12 || off < -1e-12) bad = 1 } END { exit bad }' first/metrics.jsonl
left=$(grep '"event":"releases"' first/events.jsonl | grep -o '"name":"[a-z-]*"' | sort -u | tr '\n' ' ')
check "nothing of rows has left but updates" equal "$left" '"name":"checkpoint" "name":"column-digests" "name":"fingerprints" "name":"participation" "name":"shape" "name":"times" "name":"training" "name":"unusable" "name":"update" "name":"update-exponents" '
"$GRANARY" releases run.yaml >releases.txt
check "releases says what is refused" grep -q 'refused: it does not leave' releases.txt
check "and what is noised" grep -q 'noised, and charged to the ledger' releases.txt

# ---- ledger and budget ------------------------------------------------------------------------------
check "a table of a silo's own without a folder" exits 78 "$GRANARY" validate run.yaml --set 'silos=[{directory: own1}, {directory: own2}]'
check "is told by validate" says 'silos[2].directory: found nothing, allowed a folder of the silo'
check "the plan has what was spent" exits 0 "$GRANARY" privacy plan run.yaml
check "by each ledger" bash -c '[ $(grep -c "^spent  *epsilon [0-9.]* by the ledger in own[123]; [0-9] of 3 rounds fit behind it" "$0") = 3 ]' "$OUT"
check "each round is in each ledger" equal "$(entries own1) $(entries own2) $(entries own3)" "3 3 3"
check "for the silo's eyes only" equal "$(stat -c %a own1) $(stat -c %a own1/privacy-ledger)" "700 600"
check "it cannot be reproduced" exits 78 "$GRANARY" reproduce first
check "for its noise is nobody's" says "secrets that nobody has"
check "another run is another model" exits 0 on_ranks 2 train run.yaml --run second --quiet
check "for its noise is another" differ "$(digest first)" "$(digest second)"
check "it knows what was spent" awk -v a="$(field first epsilon_upper)" -v b="$(field second epsilon_before)" -v t="$(field second epsilon_total)" 'BEGIN { exit !(b - a < 1e-3 && a - b < 1e-3 && t > b) }'
check "more than the budget is refused" exits 77 on_ranks 2 train run.yaml --run third --quiet --set run.rounds=300
check "with the rounds that fit" grep -q 'privacy.budget: [0-9]* of 300 rounds fit an epsilon of 5 at a delta of 0.0001, of which [0-9.]* was spent before' "$ERR"
check "and nothing was charged" equal "$(entries own1)" 6
check "or it stops after these" exits 0 on_ranks 2 train run.yaml --run fourth --quiet --set run.rounds=300 --set privacy.budget.on_exhausted=stop
check "with a model" test -s fourth/model.h5
check "within the budget" awk -v t="$(field fourth epsilon_total)" 'BEGIN { exit !(t > 4 && t <= 5) }'
check "of all its rounds" equal "$(($(entries own1) - 6))" "$(field fourth rounds_done)"
check "then nothing fits" exits 77 on_ranks 2 train run.yaml --run fifth --quiet --set privacy.budget.on_exhausted=stop
check "a larger budget does" exits 0 on_ranks 3 train run.yaml --run sixth --quiet --set privacy.budget.epsilon=50

before=$(entries own2)
cp own2/privacy-ledger kept
sed -i '$d' own2/privacy-ledger
check "a ledger that was cut is refused" exits 77 on_ranks 2 train run.yaml --run cut --quiet --set privacy.budget.epsilon=50
cp kept own2/privacy-ledger
mv own2/privacy-ledger moved
check "or is missing" exits 77 on_ranks 2 train run.yaml --run cut --quiet --set privacy.budget.epsilon=50
mv moved own2/privacy-ledger
mv 2.csv two.csv
clinic 9 240 >2.csv
check "or is of another table" exits 77 on_ranks 2 train run.yaml --run cut --quiet --set privacy.budget.epsilon=50
mv two.csv 2.csv
cp -r own2 earlier
check "a run goes on later" exits 0 on_ranks 2 train run.yaml --run later --quiet --set privacy.budget.epsilon=50
rm -r own2; mv earlier own2
check "a folder that was put back as a whole is older than the run" exits 77 on_ranks 2 train run.yaml --run later --resume --quiet --set run.rounds=4 --set privacy.budget.epsilon=50
check "as it was it goes on" exits 0 on_ranks 2 train run.yaml --run whole --quiet --set privacy.budget.epsilon=50
check "and is charged" equal "$(entries own2)" $((before + 3))
check "a silo with a table needs a folder" exits 78 on_ranks 2 train run.yaml --run none --quiet --set 'silos=[]'
check "for its ledger" grep -q 'silos\[[0-9]\].directory: found nothing, allowed a folder' "$ERR"

# A run that is killed, and goes on: rounds that are trained again are charged again.
on_one() { mpirun $MPIRUN_FLAGS -n 1 "$GRANARY" train run.yaml --run killed --quiet --set run.rounds=60 --set train.steps=400 --set checkpoint.every=20 --set privacy.budget.epsilon=0 "$@"; }
before=$(entries own3)
on_one >/dev/null 2>&1 </dev/null &
check "30 rounds are trained" wait_lines own3/privacy-ledger $((before + 32))
signal_ours KILL
wait 2>/dev/null
check "a run that was killed goes on" exits 0 on_ranks 1 train run.yaml --run killed --resume --quiet --set run.rounds=60 --set train.steps=400 --set checkpoint.every=20 --set privacy.budget.epsilon=0
check "and is charged for each round, and again for those that are trained again" awk -v n=$(($(entries own3) - before)) 'BEGIN { exit !(n > 60 && n < 100) }'
told_of() { "$GRANARY" privacy epsilon --noise-multiplier "$(field killed noise_multiplier_accounted)" --sampling 0.096 --steps $((400 * $1)) --delta 1e-4 --json | sed -n 's/^ *"epsilon_upper": \([0-9.]*\),*$/\1/p'; }
# A round whose bytes are sent again is not charged again, where the kill came between its charge
# and the next checkpoint; the manifest does not rely on it, and may count that one twice.
charged=$(($(entries own3) - before))
check "all of which the manifest counts" awk -v a="$(told_of $charged)" -v b="$(field killed epsilon_upper)" -v c="$(told_of $((charged + 1)))" 'BEGIN { exit !(a > 0 && b > a * 0.999 && b < c * 1.001) }'

# ---- a rehearsal ------------------------------------------------------------------------------------
before=$(entries own1)
rehearse() { exits 0 on_ranks "$1" train run.yaml --run "$2" --quiet --set run.rehearsal=true --set privacy.budget.epsilon=0; }
for ranks in 1 2 3; do check "rehearsed on $ranks" rehearse $ranks r$ranks; done
check "has one digest" equal "$(digest r1) $(digest r1)" "$(digest r2) $(digest r3)"
check "protects nothing, and says so" equal "$(field r1 mechanism)" rehearsal
check "and charges nothing" equal "$(entries own1)" "$before"

# With the same secrets one row more changes nothing but the model: no number, no message, no event.
told() {
    sed 's/"\(hash\|before\|previous\|digest\|run\|run_id\|metrics\|manifest\|model\|model_digest\|fingerprint\|config\|seal\|data_fingerprint\)":"[^"]*"/"\1":""/g
         s/"\(time\|started\|ended\|seconds\|update_norm\|build\|bytes_sent\)":[^,}{]*\([,}]\)/"\1":0\2/g; s/"seconds":{[^}]*}/"seconds":0/; s/[0-9]*\.[0-9]* s\b/0 s/g; s/[0-9a-f]\{16,64\}//g' "$1"
}
clinic 2 240 >2.csv; tail -1 1.csv | sed 's/,/,/' >>2.csv
check "a row more" rehearse 2 more
check "is another model" differ "$(digest r2)" "$(digest more)"
for file in metrics.jsonl events.jsonl resolved.yaml; do
    check "and the same $file" equal "$(told r2/$file)" "$(told more/$file)"
done
check "of the same size" equal "$(stat -c %s r2/model.h5)" "$(stat -c %s more/model.h5)"
clinic 2 240 >2.csv
# Held: more than twice the rows expected take no part.
clinic 2 501 >2.csv
check "more than twice the rows expected" rehearse 2 large
check "take no part" grep -q '"sat_out":1' large/metrics.jsonl
clinic 2 240 >2.csv

# ---- what does not go with it -----------------------------------------------------------------------
refused() { # SETTING... PATTERN
    check "refused: $1" exits 78 "$GRANARY" validate run.yaml "${@:2:$#-2}"
    check "with the reason: ${*: -1}" grep -q "${*: -1}" "$ERR"
}
refused validation --set data.validation_fraction=0.2 'data.validation_fraction: found a number above 0, not allowed with privacy.unit row: scores of rows'
refused test --set data.test_fraction=0.2 'data.test_fraction'
refused classes --set train.class_weights=balanced 'train.class_weights: found balanced'
refused time --set train.seconds=3 'train.seconds'
refused respawn --set round.respawn=true 'round.respawn: found true, not allowed'
refused silos --set evaluate.per_silo=true 'evaluate.per_silo'
refused sizes --set round.sampling=size --set round.share_sizes=true --set round.participants=2 'round.sampling: found size'
refused fedsgd --set strategy.name=fedsgd 'strategy.name: found fedsgd'
refused scale --set preprocess.scale=standardise 'columns\[0\].scale: found standardise, allowed none or min_max'
refused batch --set train.batch_size=16 'train.batch_size: found 16, allowed only 24 (privacy.expected_batch)'
refused bfloat16 --set model.compute=bfloat16 'model.compute: found bfloat16, allowed only float32 with privacy.unit row'
refused delta --set privacy.budget.delta=0.01 'privacy.budget.delta: found 0.01, allowed up to 1 / privacy.expected_units'
refused replace --set privacy.adjacency=replace 'privacy.adjacency: found replace, allowed add_remove or zero_out with privacy.sampling poisson'
refused noise --set privacy.noise_multiplier=0 'privacy.noise_multiplier: found 0, allowed 0.05 to 1000'
# What is accounted for is less than what is added, and has to be within the accountant's limits before any round.
refused accounted --set privacy.noise_multiplier=0.05 'nothing could be promised of a run: noise multiplier: found 0.0497'
refused bands --set privacy.sampling=fixed --set 'privacy.correlation={type: banded, bands: 1024}' --set privacy.noise_multiplier=0.1 --set train.steps=2000 'nothing could be promised of a run'
refused steps --set privacy.budget.epsilon=0 --set train.steps=1000000 --set run.rounds=200 'nothing could be promised of a run: steps: found 200000000'
refused sampler --set privacy.budget.epsilon=0 --set privacy.budget.delta=1e-45 'the noise.s sampler adds'
refused clip --set privacy.clip_norm=0 'privacy.clip_norm: found 0'
refused "no limit to stop at" --set privacy.budget.epsilon=0 --set privacy.budget.on_exhausted=stop 'privacy.budget.on_exhausted: found stop, allowed only refuse'
refused "an epsilon elsewhere" --set privacy.epsilon=3 'privacy.epsilon: found an unknown key, .*nearest is privacy.budget.epsilon'
refused units --set privacy.expected_units=0 'privacy.expected_units: found 0'
refused schema --set "data.schema=''" 'data.schema: is required'
refused unit --set privacy.unit=none 'privacy.clip_norm: found 1, allowed only 0, the default, with privacy.unit none'
for bad in nan inf -1 1e999; do
    check "refused: $bad" exits 78 "$GRANARY" validate run.yaml --set privacy.noise_multiplier=$bad
    check "refused: $bad" exits 78 "$GRANARY" validate run.yaml --set privacy.clip_norm=$bad
done
# ---- noise in shares --------------------------------------------------------------------------------
# The noise of all parties is in the sum once: of 8 parties any 7 have all of it, as each knows its own
# share, so that the sum has 8 / 7 of its variance.
# So much noise that what rows add to its norm is not seen; of 12,604 parameters a norm has a relative
# deviation of 0.0063, of which six are allowed.
cat >shared.yaml <<'YAML'
run: {name: shared, rounds: 3, seed: 1}
data: {source: synthetic, silos: 8, synthetic: {features: 20, classes: 4, minimum_rows: 60, maximum_rows: 200, test_rows: 10}}
model: {type: mlp, hidden: [100, 100]}
train: {learning_rate: 0.25, batch_size: 16, epochs: 0, steps: 1}
aggregation: {grid: public, clip_norm: 1, weight_max: 1, encoding: ring64}
secure: {aggregation: true}
privacy: {unit: row, noise: shared, clip_norm: 2, noise_multiplier: 100, expected_batch: 16, expected_units: 130, budget: {delta: 0.001}}
YAML
for ranks in 2 4; do
    check "shared on $ranks" exits 0 on_ranks $ranks train shared.yaml --run shared$ranks --quiet
    check "all rounds have the noise of all shares" awk -v FS='"update_norm":' '
        { split($2, x, ","); ratio = x[1] * 8 / (100 * 0.25 * 2 / 16 * sqrt(8 / 7) * sqrt(12604)); if (!(ratio > 0.96 && ratio < 1.04)) bad = bad " " ratio }
        END { if (NR != 3 || bad != "") { print "  noise / expected:" bad; exit 1 } }' shared$ranks/metrics.jsonl
done
check "more is accounted for than the clip alone" awk -v a="$(field shared2 noise_multiplier_accounted)" 'BEGIN { exit !(a > 98.5 && a < 98.8) }'
check "a grid that is too coarse" exits 78 on_ranks 2 train shared.yaml --run coarse --quiet --set aggregation.encoding=ring32 --set aggregation.clip_norm=1000
check "is refused with its numbers" says "steps of the grid of sums, expected at least"
with() { # of the clinics
    exits 0 on_ranks 3 train run.yaml --run "$1" --quiet --set privacy.noise=shared --set secure.aggregation=true --set train.steps=1 \
        --set aggregation.grid=public --set aggregation.clip_norm=1 --set aggregation.weight_max=1 --set privacy.budget.epsilon=0
}
before=$(entries own1)
check "three clinics share the noise" with clinics
check "each is charged once a round" equal "$(($(entries own1) - before))" 3
refused_shared() { # SETTING PATTERN
    check "refused: $1" exits 78 "$GRANARY" validate shared.yaml --set "$1"
    check "with the reason" grep -q "$2" "$ERR"
}
refused_shared train.steps=2 'train.steps: allowed only 1'
refused_shared train.momentum=0.9 'train.momentum: allowed only 0'
refused_shared train.optimizer=adam 'train.optimizer: allowed only sgd'
refused_shared secure.aggregation=false 'privacy.noise: found shared, allowed only with secure.aggregation true'
refused_shared aggregation.clip_norm=0.5 'aggregation.clip_norm: found 0.5, allowed at least 1'
refused_shared privacy.sampling=fixed 'privacy.sampling: allowed only poisson'
refused_shared privacy.noise=root 'privacy.noise: found root, allowed silo or shared'
finish
