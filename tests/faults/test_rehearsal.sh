#!/usr/bin/env bash
# configs/rehearsal.yaml as its comment says: what became of each fault, in the events and in the
# metrics, and the same model by replay. The alert's threshold is raised so that one is due.
. "$(dirname "$0")/../system/library.sh"
CONFIG=$(cd "$TESTS/.." && pwd)/configs/rehearsal.yaml

check "the rehearsal ends well" exits 0 "$GRANARY" run -n 4 "$CONFIG" --run run --set alerts.participation=1
check "the chain of events is whole" exits 0 "$GRANARY" inspect run

# event ROUND NAME [SILOS]: so it stands in the events.
event() { grep -q "\"event\":\"$2\",\"round\":$1,${3:+\"silos\":\\[$3\\]}" run/events.jsonl || { echo "  no such event:"; grep -v -e checkpoint -e partial run/events.jsonl; return 1; }; }
# metric ROUND NAME: its value in that round.
metric() { sed -n "$1p" run/metrics.jsonl | sed -n "s/.*\"$2\":\([0-9]*\)[,}].*/\1/p"; }
# The round of the first event NAME, or 0.
round_of() { sed -n "s/.*\"event\":\"$1\",\"round\":\([0-9]*\),.*/\1/p" run/events.jsonl | head -n 1 | grep . || echo 0; }

check "NaN sits out, and is told" event 3 "sat out: update not finite" '"silo-005"'
check "a suspended rank's silos are late" event 4 late '"silo-002","silo-003"'
back=$(round_of returned)
check "and return once it is continued" test "$back" -gt 4
check "those silos" event "$back" returned '"silo-002","silo-003"'
check "a killed rank's silos are lost" event 50 lost '"silo-000","silo-001"'
check "another takes over from rank 0" event 50 takeover
low=$(round_of alert)
check "three thin rounds running give an alert" equal "$low" 5
check "of what" grep -q '"event":"alert","round":5,"what":"low participation"' run/events.jsonl

check "a line a round" equal "$(wc -l <run/metrics.jsonl)" 60
counts() { for name in participants dropped late sat_out returned; do metric "$1" "$name"; done | xargs; }
check "undisturbed" equal "$(counts 2)" "8 0 0 0 0"
check "sat out" equal "$(counts 3)" "7 0 0 1 0"
check "late" equal "$(counts 4)" "6 0 2 0 0"
check "gone in the next round" equal "$(counts 5 | cut -d" " -f1-4)" "6 0 0 0" # on a busy machine it may be back at its end
check "returned" equal "$(metric "$back" returned)" 2
check "takes part again" equal "$(metric $((back + 1)) participants)" 8
check "dropped" equal "$(counts 50)" "6 2 0 0 0"
check "a sum was repeated" test "$(metric 50 recoveries)" -ge 1
check "and stays away" equal "$(counts 51)" "6 0 0 0 0"

detection=$(sed -n 's/^ *"detection": "\(.*\)",$/\1/p' run/manifest.json)
case $detection in
    *"process table"*deadlines*) check "the manifest says how deaths are found" true ;;
    *) check "the manifest says how deaths are found" equal "$detection" "process table, deadlines" ;;
esac

check "the same without a fault" exits 0 on_ranks 2 train "$CONFIG" --quiet --set run.rehearsal=false \
    --set 'faults=[]' --set round.replay=run/events.jsonl --run replayed
check "is the same model" equal "$("$GRANARY" inspect --digest replayed/model.h5)" "$("$GRANARY" inspect --digest run/model.h5)"
finish
