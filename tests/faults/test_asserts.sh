#!/usr/bin/env bash
# The asserts of the fault tests see what is wrong: each is shown a good run, and one that it must
# not let pass.
. "$(dirname "$0")/../system/library.sh"
. "$TESTS/faults/asserts.sh"
NAME=asserts REPEAT=none CASE=$SCRATCH/case RANKS=3 SILOS=5 ROUNDS=6 FAULTS="" SAMPLED="" LIMIT=60 CODE_COUNTS=1
mkdir -p "$CASE/tmp"
cat >base.yaml <<'YAML'
run: {name: case, rounds: 6}
data: {source: synthetic, silos: 5, synthetic: {features: 4, classes: 3, test_rows: 2}}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 8}
YAML
check "a run" exits 0 on_ranks 1 train base.yaml --quiet --run good
check "one with another seed" exits 0 on_ranks 1 train base.yaml --quiet --set run.seed=2 --run other

# fresh: the good run in place, as if it had just ended well.
fresh() {
    rm -rf "$CASE/run" "$CASE/replay"
    cp -r good "$CASE/run"
    touch "$CASE/started"
    FAULTS="" SAMPLED="" HUNG="" CODE=0 SESSION=none CODE_COUNTS=1 MISTAKES=0
}
# content COMMAND...: it finds nothing wrong, with the run as it is.
content() { WRONG=0; "$@" >"$OUT"; [ $WRONG = 0 ] && [ $MISTAKES = 0 ] || { cat "$OUT"; return 1; }; }
# finds TEXT COMMAND...: it says so, and counts it.
finds() {
    local text=$1; shift
    WRONG=0 MISTAKES=0
    "$@" >"$OUT"
    [ $((WRONG + MISTAKES)) -gt 0 ] && grep -qF -- "$text" "$OUT" || { cat "$OUT"; return 1; }
}
# partial ROUND SILO...: the event of a round without these silos.
partial() {
    local round=$1; shift
    echo "{\"event\":\"partial\",\"round\":$round,\"absent\":[$(printf '"silo-%03d",' "$@" | sed 's/,$//')]}" \
        >>"$CASE/run/events.jsonl"
}

fresh
check "good: ended" content assert_ended finished
check "good: ending" equal "$ENDING" finished
check "good: records" content assert_records
check "good: digest" content assert_digest cp -r "$SCRATCH/good" "$CASE/replay"
check "good: silos" content assert_absent
check "good: nothing left" content assert_nothing_left

CODE=1
check "exit code" finds "exit code 1" assert_ended finished
CODE_COUNTS=
check "not where it does not count" content assert_ended finished
check "finished instead of stopped" finds "expected 75" assert_ended stopped
fresh; sed -i 's/"outcome": "finished"/"outcome": "running"/' "$CASE/run/manifest.json"
check "outcome" finds "outcome 'running'" assert_ended finished
fresh; HUNG=1
check "hang" finds "hang" assert_ended finished
check "hang: ending" equal "$ENDING" hang
fresh; sed -i 's/^  "rounds_done": 6/  "rounds_done": 5/' "$CASE/run/manifest.json"
check "rounds done" finds "expected 6" assert_records
fresh; sed -i 4d "$CASE/run/metrics.jsonl"
check "a round is missing" finds "1 2 3 5 6" assert_records
fresh; sed -i '2s/"processed":/&1/' "$CASE/run/metrics.jsonl"
check "training was repeated" finds "in the rounds 2" assert_records
fresh; sed -n 4p good/metrics.jsonl >>"$CASE/run/metrics.jsonl"
check "a round is there twice" finds "rounds 1 2 3 4 5 6 4" assert_records
fresh; sed -i 2d "$CASE/run/events.jsonl"
check "the chain is broken" finds "does not continue the chain" assert_records
fresh; cp "$CASE/run/checkpoints/round-000005.h5" "$CASE/run/checkpoints/round-000006.h5"
check "an old checkpoint" finds "last checkpoint" assert_records
fresh
check "another digest" finds "undisturbed" assert_digest cp -r "$SCRATCH/other" "$CASE/replay"
fresh; sed -i '3s/"examples":/&1/' "$CASE/run/metrics.jsonl"
check "another figure" finds '"round":3' assert_digest cp -r "$SCRATCH/good" "$CASE/replay"
fresh
check "the replay fails" finds "failed" assert_digest false

# Ranks 0, 1, 2 host the silos 0; 1 and 2; 3 and 4.
check "hosts" equal "$(for silo in 0 1 2 3 4; do host_of $silo; done | tr '\n' ' ')" "0 1 1 2 2 "
fresh; FAULTS="kill:3:5:train:0:0"; partial 5 3 4; partial 6 3 4
check "a killed rank's silos" content assert_absent
partial 6 2
check "a healthy silo" finds "round, silo 6 2" assert_absent
fresh; FAULTS="kill:3:5:train:0:0"
echo '{"event":"partial","round":5,"absent":["silo-003..silo-004"],"stands":true}' >>"$CASE/run/events.jsonl"
check "a list of ranges that stands" content assert_absent
check "is of the rounds that follow" equal "$(xargs <"$CASE/absent")" "5 3 5 4 6 3 6 4"
echo '{"event":"resumed","round":5}' >>"$CASE/run/events.jsonl"
check "to another start" finds "silo 6 3 took part" assert_absent
fresh; FAULTS="kill:3:5:train:0:0"; partial 4 3; partial 6 3 4
check "before the fault" finds "round, silo 4 3" assert_absent
fresh; FAULTS="kill:3:5:train:0:0"; partial 5 3 4; partial 6 4
check "the fault did not strike" finds "silo 6 3 took part" assert_absent
SAMPLED=1
check "or it was not drawn" content assert_absent
fresh; FAULTS="stop:3:4:train:0:2.5"; partial 4 3 4
check "one that came back" content assert_absent
fresh; FAULTS="nan:3:4:train:0:0"; partial 4 3
check "NaN" content assert_absent
partial 4 4
check "its neighbour" finds "silo 4 4" assert_absent
fresh; FAULTS="explode:3:4:train:0:0"
check "the update was taken" finds "silo 4 3 took part" assert_absent

fresh; touch "$CASE/run/checkpoints/.round-000005.1.h5.tmp"
check "a temporary file" finds "run directory" assert_nothing_left
fresh; touch "$CASE/tmp/left"
check "a file in TMPDIR" finds "TMPDIR" assert_nothing_left
rm "$CASE/tmp/left"
fresh; sleep 0.02; echo >"/dev/shm/granary-test.$$"
check "a file in /dev/shm" finds "granary-test.$$" assert_nothing_left
rm -f "/dev/shm/granary-test.$$"

begin sh -c 'sleep 300 & kill -STOP $$; wait'
await 1
check "it hangs" equal "$HUNG" 1
check "told where" grep -qr "stopped" "$CASE/hang"
until_gone 5 # a killed process takes a moment to end
check "and ended" equal "$left" ""
fresh
begin sh -c 'sleep 300 & exit 0'
await 5
check "a process" finds "sleep 300" assert_nothing_left
until_gone 5
check "ended as well" equal "$left" ""
begin perl -e 'if (!fork) { if (!fork) { exit } sleep 300 }'
await 5
check "a defunct process" finds "zombie" assert_nothing_left
finish
