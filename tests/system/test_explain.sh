#!/usr/bin/env bash
# granary explain: why runs stand as they do; and the runbook, held against the source.
. "$(dirname "$0")/library.sh"

cat >base.yaml <<'YAML'
run: {name: base, rounds: 4, rehearsal: true}
data: {source: synthetic, silos: 4, synthetic: {features: 8, classes: 3, minimum_rows: 20, maximum_rows: 60, test_rows: 5}}
model: {type: mlp, hidden: [8]}
train: {learning_rate: 0.05, batch_size: 8}
round: {deadline_s: 1.5, collective_deadline_s: 1}
YAML
# caused RUN ROUNDS NAME: what the run's records tell most of.
caused() {
    "$GRANARY" explain "$1" >told || return 1
    grep -qF "cause    $2: $3" told || { sed 's/^/  /' told; return 1; }
}
json() { "$GRANARY" explain "$1" --json | grep -qE "$2" || { echo "  no $2"; return 1; }; }

# ---- runs ----------------------------------------------------------------------------------------
check "a run" exits 0 "$GRANARY" train base.yaml --quiet --run whole
check "which has finished" caused whole "after round 4" finished
check "three steps" equal "$(grep -cE '^  [123]\. ' told)" 3
check "for a program" json whole '"code": 0,'
check "a silo's update is no number" exits 0 "$GRANARY" train base.yaml --quiet --run nan \
    --set "faults=[{kind: nan, silo: 3, round: 2, point: train}]"
check "it is named" caused nan "round 2" "sat out: update not finite: silo-003"
check "an alert goes before what it got over" exits 0 "$GRANARY" train base.yaml --quiet --run few \
    --set "faults=[{kind: nan, silo: 3, round: 2, point: train}]" --set alerts.participation=0.9 --set alerts.rounds=1
check "it is the cause" caused few "round 2" "low participation"
check "the other is told" grep -qF "sat out: update not finite: silo-003" told
check "below the quorum" exits 75 "$GRANARY" run -n 2 --restarts 0 --quiet --run below base.yaml --set round.quorum=4 \
    --set "faults=[{kind: kill, silo: 3, round: 3}]"
check "the quorum" caused below "after round 2" "quorum lost"
check "who was lost, and when" grep -qE "round 3 +lost: .*silo-003" told
check "its exit code" grep -q "^exit 75 " told
check "for a program" json below '"name": "quorum lost"'
check "gone on with" exits 0 "$GRANARY" run -n 2 --quiet --run below base.yaml --resume
check "it was the quorum" caused below "after round 2" "quorum lost"

long="--set run.rounds=100000 --quiet"
rounds_come() {
    for _ in $(seq 200); do
        [ "$(cat "$1/metrics.jsonl" 2>/dev/null | wc -l)" -lt 3 ] || return 0
        sleep 0.05
    done
    return 1
}
# shellcheck disable=SC2086
"$GRANARY" train base.yaml $long --run ended >ended.out 2>&1 &
job=$!
check "a long run" rounds_come ended
"$GRANARY" explain ended >told
check "it is under way" grep -q "^state    running" told
kill -TERM $job; wait $job
check "a signal" grep -q "stopped by a signal" <("$GRANARY" explain ended)
check "is the cause" json ended '"words": "stopped by a signal'
# shellcheck disable=SC2086
"$GRANARY" train base.yaml $long --run killed >killed.out 2>&1 &
job=$!
check "another" rounds_come killed
kill -KILL $job; wait $job 2>/dev/null
check "killed" json killed '"name": "killed"'
check "the newest checkpoint is told" grep -qE "newest checkpoint of round [0-9]" <("$GRANARY" explain killed)
truncate -s -20 killed/events.jsonl
: >killed/manifest.json
check "torn" exits 0 "$GRANARY" explain killed
check "what cannot be read is told" prints "manifest.json:1:"
check "what is torn is told" prints "an event was being written"
check "and what remains says that it was killed" prints ": killed"
rm killed/events.jsonl killed/metrics.jsonl killed/manifest.json
check "nothing is left" exits 65 "$GRANARY" explain killed
mkdir site
printf '%s\n' '{"event":"opened","round":0}' '{"event":"contradiction","round":3,"what":"another head"}' >site/journal.jsonl
check "a site's folder" caused site "round 3" contradiction

# ---- names ---------------------------------------------------------------------------------------
check "an exit code" exits 0 "$GRANARY" explain 75
check "what it means" prints "can be resumed"
check "an event, in several words" exits 0 "$GRANARY" explain quorum lost
check "when to give up" prints "give up"
check "no such name" exits 64 "$GRANARY" explain quorum lots
check "nothing" exits 64 "$GRANARY" explain

# ---- the table and the source --------------------------------------------------------------------
"$GRANARY" explain --all >all
named() { grep -qxF "### \`$1\`" all || { echo "  no entry $1"; return 1; }; }
for code in $(sed -n 's/^ *X(GR_[A-Z_]*, \([0-9]*\),.*/\1/p' "$TOP/include/granary/base.h" | grep -v 76); do
    check "exit code $code" named "$code"
done
# Literals that are appended as events, by whichever function, and the words of alerts.
sources=$(find "$TOP/src" -name '*.c')
# shellcheck disable=SC2086
cat $sources | tr '\n' ' ' >source
{ grep -oE '(gr_records_note|note_words|gr_events_append|gr_events_append_signed)\([^;"]*"[^"]*"( *: *"[^"]*")?' source |
      grep -oE '"[^"]*"'
  grep -oE '"sat out: [^"]*"' source
  grep -oE '\{p\.(lost|late|returned), "[a-z]*"' source | grep -oE '"[a-z]*"'
  grep -oE 'is_void \? "void" : "[^"]*"|for_good \? "left" : "[^"]*"|append\(journal, "[a-z]*"' source | grep -oE '"[^"]*"'
} | tr -d '"' | grep -vE '^memory |: $' | sort -u >events
check "there are events" test "$(wc -l <events)" -ge 25
while read -r event; do
    check "event $event" named "$event"
done <events
{ grep -oE '\{\\"what\\":\\"[^\\]*' source | sed 's/.*"//'
  grep -oE 'json_pack\("[^"]*", "what", "[^"]*"' source | sed 's/.*, "//; s/"$//'
  sed -n '/usual_rules\[\]/,/^};/s/^    {"\([a-z ]*\)",$/\1/p' "$TOP/src/observe/alerts.c"
} | sort -u >alerts
check "there are alerts" test "$(wc -l <alerts)" -ge 18
while read -r alert; do
    case $alert in "the event '%s' cannot be written down") alert="cannot be written down" ;; "the checkpoint is of before runs had an id") continue ;; esac
    check "alert $alert" named "$alert"
done <alerts
# No entry is of what the source does not say.
tr -s ' ' <source | sed 's/" "//g' >joined
sed -n '/^## Events/,$s/^### `\(.*\)`$/\1/p' all | grep -vxE 'killed|running' | while read -r name; do
    grep -qF -- "$name" joined || echo "$name"
done >unheard
check "no entry is of what is never told" equal "$(cat unheard)" ""
sed -n '/^## Exit codes/,$p' "$TOP/src/cli/manual/runbook.md" >page
check "the manual page is the table (granary explain --all)" cmp page all
grep -oE '`granary [a-z]+' all | sort -u | cut -d' ' -f2- | grep -vx help >commands
check "its commands are some" test "$(wc -l <commands)" -ge 8
while read -r command; do
    check "granary $command" exits 0 "$GRANARY" "$command" --help
done <commands
finish
