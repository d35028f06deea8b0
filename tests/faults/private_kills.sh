#!/usr/bin/env bash
# private_kills.sh N SEED: a run of noised rounds is killed N times at random points, and goes on
# each time. Whatever is seen of a round afterwards, in the metrics, has to be in each silo's ledger,
# and as often as it was seen with other noise. Last line "N passed, N failed".
set -u
export LC_ALL=C
TESTS=${TESTS:-$(cd "$(dirname "$0")/.." && pwd)}
. "$TESTS/environment.sh"
: "${GRANARY:?the command}"
n=${1:?usage: private_kills.sh N SEED} RANDOM=${2:-1}
scratch=$(mktemp -d) child=
trap 'kill -9 $child 2>/dev/null; rm -rf "$scratch"' EXIT
cd "$scratch" || exit 1
for silo in 1 2 3; do
    awk -v seed=$silo 'BEGIN { srand(seed); print "a,b,y"
        for (i = 0; i < 100; i++) printf "%d,%d,%s\n", 100 * rand(), 100 * rand(), rand() < .5 ? "no" : "yes" }' >$silo.csv
done
cat >schema.yaml <<'YAML'
columns:
- {name: a, type: integer, range: [0, 100]}
- {name: b, type: integer, range: [0, 100]}
- {name: y, type: label, categories: [no, yes]}
YAML
cat >run.yaml <<'YAML'
run: {name: killed, rounds: 100000}
data: {source: csv, silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}], schema: schema.yaml}
preprocess: {scale: min_max}
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 10, epochs: 0, steps: 2}
silos: [{directory: own1}, {directory: own2}, {directory: own3}]
checkpoint: {every: 3}
privacy:
  {unit: row, clip_norm: 1, noise_multiplier: 20, expected_batch: 10, expected_units: 100, budget: {delta: 1.0e-4}}
YAML

# rounds FILE: the round of each line.
rounds() { grep -o '"round":[0-9]*' "$1" | cut -d : -f 2; }
# Each round of `seen`, a line for each noise that it was seen with, is in the ledger as often.
covered() {
    "$GRANARY" privacy ledger "$1" --json >/dev/null 2>ledger.err || { cat ledger.err; return 1; }
    awk 'NR == FNR { charged[$1]++; next } { seen[$1]++ }
        END { for (r in seen) if (seen[r] > charged[r]) { print "round " r " was seen " seen[r] " times, charged " charged[r] + 0; bad = 1 }
              exit bad }' <(rounds "$1/privacy-ledger") <(rounds seen)
}
passed=0 failed=0 resume=
for ((i = 1; i <= n; i++)); do
    # shellcheck disable=SC2086
    "$GRANARY" train run.yaml --run killed --quiet $resume >out 2>err </dev/null &
    child=$!
    # Each fourth at any time of the start; the others once rounds are trained.
    charged=$(stat -c %s own1/privacy-ledger 2>/dev/null)
    for ((tenths = 0; i % 4 != 0 && tenths < 300; tenths++)); do
        [ "$(stat -c %s own1/privacy-ledger 2>/dev/null)" = "$charged" ] || break
        sleep 0.1
    done
    sleep "$(awk -v ms=$((RANDOM % 600)) 'BEGIN { print ms / 1000 }')"
    kill -9 $child 2>/dev/null
    wait $child 2>/dev/null
    [ ! -s err ] || grep -v Killed err
    [ ! -e killed/metrics.jsonl ] || grep '}$' killed/metrics.jsonl >>seen
    [ ! -e seen ] || sort -u seen -o seen
    [ ! -e killed ] || resume=--resume
    ok=1
    for silo in own1 own2 own3; do
        [ ! -e $silo/privacy-ledger ] || [ ! -s seen ] || covered $silo || ok=0
    done
    if [ $ok = 1 ]; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    [ $((i % 50)) != 0 ] || echo "$i of $n kills: $(wc -l <seen) rounds seen, $(grep -c '"entry"' own1/privacy-ledger) charged"
done
echo "$(wc -l <seen) rounds seen, $(grep -c '"entry"' own1/privacy-ledger) charged to each silo"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
