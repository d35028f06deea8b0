#!/usr/bin/env bash
# Who is drawn, as a user sees it: in metrics, in events, in what is refused.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
# train NAME RANKS WORDS...: a quiet run in the folder NAME.
train() { exits 0 on_ranks "$2" train small.yaml --quiet --run "$1" "${@:3}"; }
# values NAME KEY: of each round, on a line.
values() { grep -o "\"$2\":[^,}]*" "$1/metrics.jsonl" | cut -d: -f2 | tr '\n' ' '; }
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }

check "all silos" train whole 2
check "all silos, by size" train alike 3 --set round.participants=9 --set round.sampling=size \
    --set round.share_sizes=true
check "the same rows take part" equal "$(values alike examples)" "$(values whole examples)"
check "but silos weigh alike" bash -c "[ '$(digest alike)' != '$(digest whole)' ]"

here='[{silos: [0, 1, 2, 3], to: 2}, {silos: [4, 5, 6, 7, 8], from: 2, to: 4}, {silos: [8], from: 5}]'
check "silos come and go" train list 3 --set round.sampling=list --set "round.availability=$here"
check "as the list says" equal "$(values list participants)" "4 9 5 5 1 1 "
check "and those are who was selected" equal "$(values list selected)" "4 9 5 5 1 1 "
check "nobody is left for a round" exits 78 on_ranks 2 train small.yaml --quiet --run nobody \
    --set round.sampling=list --set 'round.availability=[{silos: [0,1,2,3,4,5,6,7,8], to: 2}]'
check "it is said which" says "round.availability: found 0 silos for round 3, allowed at least 1"

# A replay takes who was there, whatever drew them.
sampled="--set round.participants=4 --set round.sampling=size --set round.share_sizes=true"
# shellcheck disable=SC2086
check "silo 5 sits out" train absent 2 $sampled --set run.rehearsal=true \
    --set 'faults=[{kind: nan, silo: 5, round: 1}, {kind: nan, silo: 0, round: 1}, {kind: nan, silo: 7, round: 2}]'
# shellcheck disable=SC2086
check "replayed" train replayed 3 $sampled --set "round.replay=absent/events.jsonl"
check "someone was absent" grep -q '"event":"partial"' absent/events.jsonl
check "the same model" equal "$(digest replayed)" "$(digest absent)"
finish
