#!/usr/bin/env bash
# Secure sums of so many silos that each makes masks with neighbours only: the model is that of the plain
# run, to the last bit, also where a rank with a quarter of them is lost.
. "$(dirname "$0")/library.sh"
cat >plain.yaml <<'YAML'
run: {name: plain, seed: 3, rounds: 3}
data: {source: synthetic, silos: 80, synthetic: {features: 8, classes: 3, minimum_rows: 20, maximum_rows: 60, test_rows: 2}}
model: {type: softmax}
train: {learning_rate: 0.1, batch_size: 32}
aggregation: {grid: public, clip_norm: 1, weight_max: 1000}
round: {deadline_s: 60, collective_deadline_s: 30, heartbeat_s: 15}
evaluate: {every: 3}
checkpoint: {every: 1}
YAML
{ sed 's/name: plain/name: secure, rehearsal: true/' plain.yaml; echo 'secure: {aggregation: true}'; } >secure.yaml

# on N NAME CONFIG WORDS...: a run on so many ranks; prints the digest of its model.
on() {
    rm -rf "$2"
    timeout 200 "$GRANARY" run -n "$1" "$3" --quiet --restarts 0 --run "$2" "${@:4}" >"$2.log" 2>&1 </dev/null ||
        { tail -n 5 "$2.log" >&2; echo failed; return; }
    "$GRANARY" inspect --digest "$2/model.h5"
}

plain=$(on 2 plain plain.yaml)
for ranks in 1 4; do
    check "on $ranks ranks" equal "$(on $ranks masked secure.yaml)" "$plain"
done
check "with more neighbours than are needed" equal \
    "$(on 4 masked secure.yaml --set secure.neighbours=70 --set secure.colluding=8)" "$plain"

# Of 80 parties 60 are left, and 54 are needed. Before the sum is held its masks are forgotten, and the 60,
# all of them neighbours, make others; behind it the neighbours of the 20 open it.
lost() {
    found=$(on 4 lost secure.yaml --set "faults=[{kind: kill, silo: 45, round: 2, point: $1}]")
    check "a rank is lost at $1" equal "$found" "$(on 2 again plain.yaml --set round.replay=lost/events.jsonl)"
    check "and its silos at $1" equal "$(sed -n 2p lost/metrics.jsonl | grep -o '"participants":[0-9]*')" "\"participants\":$2"
}
lost aggregate 60
lost unmask 80
check "of two ranks too few are left: the run stops" exits 75 "$GRANARY" run -n 4 secure.yaml --restarts 0 --run few \
    --set 'faults=[{kind: kill, silo: 25, round: 2, point: unmask}, {kind: kill, silo: 45, round: 2, point: unmask}]'
check "and says why" says "secure sum: 40 of 80 parties are there, expected 54"
check "with all of them it goes on" exits 0 on_ranks 4 train secure.yaml --quiet --run few --resume

check "a number below the bound is refused" exits 78 "$GRANARY" validate secure.yaml --set secure.neighbours=56
check "at its setting" says "secure.neighbours: found 56, allowed 0 (which is 58) or 58 to 79 of 80 silos"
finish
