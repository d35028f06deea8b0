#!/usr/bin/env bash
# granary privacy audit: its checks pass on a silo's own table, nothing is written or charged, and a
# command whose noise is wrong is found by its own audit.
. "$TESTS/system/library.sh"
. "$TESTS/system/clinics.sh"
LEAKY=$BUILD/tests/granary-leaky
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a + 0 <= b + 0) }' || { echo "  '$1' > '$2'"; return 1; }; }
# The plan, which does not know the model's size, rounds what the sampler adds up.
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a <= b * 1.00001 && a >= b * .99999) }' || { echo "  '$1' is not '$2'"; return 1; }; }
field() { sed -n "s/.*\"$1\": \([^,]*\),*/\1/p" "$OUT"; }

make_clinics 230 1
sed -i 's/type: logistic/type: mlp, hidden: [12]/' run.yaml
check "an audit" exits 0 "$GRANARY" privacy audit run.yaml --canaries 60
check "is of a silo" prints "audit of silo-000: 230 rows, 30 steps"
check "has all checks" equal "$(grep -c '^check .* passed ' "$OUT")" 9
check "of which none has failed" equal "$(grep -c FAILED "$OUT")" 0
check "is not to leave the silo" prints "it is not to leave the silo"
check "writes and charges nothing" equal "$(ls -A | LC_ALL=C sort | tr '\n' ' ')" "$(printf '%s\n' 1.csv run.yaml schema.yaml "$(basename "$OUT")" "$(basename "$ERR")" | LC_ALL=C sort | tr '\n' ' ')"
check "as JSON" exits 0 "$GRANARY" privacy audit run.yaml --canaries 60 --confidence 0.9 --json
check "the bound of gradients is below" at_most "$(field epsilon_by_gradients)" "$(field epsilon_accounted)"
check "as is that of rows" at_most "$(field epsilon_by_rows)" "$(field epsilon_accounted)"
audited=$(field epsilon_accounted)
check "the accountant's" exits 0 "$GRANARY" privacy plan run.yaml --json
check "is the plan's" near "$audited" "$(field epsilon_upper)"
check "in passes" exits 0 "$GRANARY" privacy audit run.yaml --set privacy.sampling=fixed --canaries 60 --json
audited=$(field epsilon_accounted)
check "the accountant's" exits 0 "$GRANARY" privacy plan run.yaml --set privacy.sampling=fixed --json
check "is the plan's again" near "$audited" "$(field epsilon_upper)"

check "a command with too little noise" exits 70 "$LEAKY" privacy audit run.yaml
check "is found" prints "FAILED"
check "and said to fail" says "checks failed: steps do not keep what is promised of them"

check "silos are not rows" exits 78 "$GRANARY" privacy audit "$TOP/configs/fashion-mnist.yaml"
check "which is said" says "expected row for an audit"
sed 's/unit: row/&\n  correlation: {type: banded, bands: 2}\n  sampling: fixed/' run.yaml >bands.yaml
check "correlated noise is not audited" exits 78 "$GRANARY" privacy audit bands.yaml
check "which is said" says "privacy.correlation.type: found another, expected none"
cat >shared.yaml <<'YAML'
run: {name: shared, rounds: 3}
data: {source: synthetic, silos: 8, synthetic: {features: 20, classes: 4, minimum_rows: 60, maximum_rows: 200, test_rows: 10}}
model: {type: logistic}
train: {learning_rate: 0.25, batch_size: 16, epochs: 0, steps: 1}
aggregation: {grid: public, clip_norm: 1, weight_max: 1, encoding: ring64}
secure: {aggregation: true}
privacy: {unit: row, noise: shared, clip_norm: 2, noise_multiplier: 100, expected_batch: 16, expected_units: 130, budget: {delta: 0.001}}
YAML
check "noise of all silos together is not audited" exits 78 "$GRANARY" privacy audit shared.yaml
check "which is said as well" says "privacy.noise: found shared, expected silo for an audit"
check "no config" exits 64 "$GRANARY" privacy audit
check "an option of others" exits 64 "$GRANARY" privacy audit run.yaml --steps 3
check "too few canaries" exits 64 "$GRANARY" privacy audit run.yaml --canaries 9
check "no confidence" exits 64 "$GRANARY" privacy audit run.yaml --confidence 1
finish
