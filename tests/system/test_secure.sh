#!/usr/bin/env bash
# Secure sums: behind masks a run has the model of the plain one, to the last bit, wherever its silos
# are and whoever is lost; a sum that too few are left to open is void, and its round without a step.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
cat >plain.yaml <<'YAML'
run: {name: plain, seed: 3, rounds: 4}
data: {source: synthetic, silos: 8, synthetic: {features: 20, classes: 4, minimum_rows: 60, maximum_rows: 200, test_rows: 10}}
model: {type: mlp, hidden: [16]}
train: {learning_rate: 0.1, batch_size: 32}
aggregation: {grid: public, clip_norm: 1, weight_max: 1000}
round: {deadline_s: 20, collective_deadline_s: 10, heartbeat_s: 5}
evaluate: {metrics: [auc]}
checkpoint: {every: 1}
YAML
{ sed 's/name: plain/name: secure, rehearsal: true/' plain.yaml; echo 'secure: {aggregation: true}'; } >secure.yaml

# wait_words WORDS FILE: until the file says so, at most 60 s.
wait_words() {
    for _ in $(seq 600); do grep -q "$1" "$2" && return 0; sleep 0.1; done
    tail -n 5 "$2"; return 1
}
# on N NAME CONFIG WORDS...: a run on so many ranks; prints the digest of its model.
on() {
    rm -rf "$2"
    timeout 100 "$GRANARY" run -n "$1" "$3" --quiet --restarts 0 --run "$2" "${@:4}" >"$2.log" 2>&1 </dev/null ||
        { tail -n 5 "$2.log" >&2; echo failed; return; }
    "$GRANARY" inspect --digest "$2/model.h5"
}

# ---- the model of the plain run ----------------------------------------------------------------------
plain=$(on 2 plain plain.yaml)
for ranks in 1 3 8; do
    check "on $ranks ranks" equal "$(on $ranks masked secure.yaml)" "$plain"
done
scores() { sed 's/,"seconds.*//; s/,"bytes.*//' "$1/metrics.jsonl"; }
check "and its scores" equal "$(scores masked)" "$(scores plain)"
for words in 'aggregation.encoding=ring64' 'strategy={name: fedadam}' 'strategy={name: fedavgm}' 'round.participants=3' \
    'aggregation.ranks_per_node=1' 'data.silos=3'; do
    check "with $words" equal "$(on 3 masked secure.yaml --set "$words")" "$(on 1 plain plain.yaml --set "$words")"
done

# ---- who is lost ---------------------------------------------------------------------------------------
# lost NAME FAULTS WORDS...: a run of eight ranks with these faults has the model of the plain one by its
# events.
lost() {
    local found
    found=$(on 8 lost secure.yaml --set "faults=[$2]" "${@:3}")
    check "$1" equal "$found" "$(on 2 again plain.yaml --set round.replay=lost/events.jsonl "${@:3}")"
}
for point in train aggregate seal unmask commit score record; do
    lost "one before $point" "{kind: kill, silo: 5, round: 2, point: $point}"
done
lost "rank 0 and another at the unmasking" "{kind: kill, silo: 0, round: 2, point: unmask}, {kind: kill, silo: 7, round: 2, point: unmask}"
lost "one before the sum, another in the recovery" "{kind: kill, silo: 3, round: 2, point: aggregate}, {kind: kill, silo: 4, round: 2, point: recover}"
# A sum of two segments: who is left of the node has the masks off one of them, or off the riders alone;
# the other nodes have them all off, and all go on with one model.
two='model.hidden=[1300, 150]'
for node in 0 1 2 3; do
    lost "one between two segments, by $node" "{kind: kill, silo: 5, round: 2, point: unmasking}" \
        --set "$two" --set aggregation.ranks_per_node=$node
done
lost "and another in the recovery" "{kind: kill, silo: 5, round: 2, point: unmasking}, {kind: kill, silo: 2, round: 2, point: recover}" \
    --set "$two" --set aggregation.ranks_per_node=3
lost "one that comes back" "{kind: stop, silo: 5, round: 2, point: train, seconds: 12}"

# ---- who is lost between the sums of a round, of silos with tables of their own ------------------------
# What was told over four is not told over three, for the difference would be the lost one's.
make_parties
columns='columns: [{name: glucose, type: number, range: [0, 1]}, {name: weightkg, type: number, range: [0, 1]}, {name: sick, type: label, categories: ["no", "yes"]}]'
MORE='aggregation: {grid: public, clip_norm: 1, weight_max: 200}
secure: {aggregation: true, threshold: 3}
round: {deadline_s: 20, collective_deadline_s: 10, heartbeat_s: 5}'
echo "$columns" >schema.yaml
{ MINIMUM=3 settings 3 | sed 's/every: 20/every: 1/; s/{rounds/{rehearsal: true, rounds/'
  echo "data: {source: csv, validation_fraction: 0.2, schema: schema.yaml, silo_tables: [{file: a.csv}, {file: b1.csv}, {file: b2.csv}, {file: c.csv}]}"; } >tables.yaml
rm -rf between
check "a silo is lost between two sums" exits 0 "$GRANARY" run -n 4 tables.yaml --restarts 0 --run between \
    --set 'faults=[{kind: kill, silo: 3, round: 2, point: losses}]'
check "sums over those who are left are of nothing that was told before" grep -q '"round":2,"participants":4,.*"processed":0,"train_loss":null,"validation_loss":null,.*"validation_rows":0,' between/metrics.jsonl
check "the next round is told" grep -q '"round":3,"participants":3,.*"train_loss":[0-9].*"validation_rows":90,' between/metrics.jsonl

rm -rf second
check "and another when the sums are taken again" exits 0 "$GRANARY" run -n 6 tables.yaml --restarts 0 --run second --set data.silo_tables='[{file: a.csv}, {file: b1.csv}, {file: b2.csv}, {file: c.csv}, {file: a.csv}, {file: c.csv}]' \
    --set secure.threshold=4 --set 'faults=[{kind: kill, silo: 3, round: 2, point: losses}, {kind: kill, silo: 5, round: 2, point: score}]'
check "of which nothing is told" grep -q '"round":2,"participants":6,.*"recoveries":[12],.*"processed":0,"train_loss":null,' second/metrics.jsonl
check "and of the next round all is" grep -q '"round":3,"participants":4,.*"train_loss":[0-9].*"validation_rows":120,' second/metrics.jsonl
rm -rf early
lost='{kind: kill, silo: 2, round: 2, point: unmask}, {kind: kill, silo: 3, round: 2, point: unmask}'
check "a void round does not end a run that is to stop early" exits 75 "$GRANARY" run -n 4 tables.yaml --restarts 0 --run early \
    --set 'stop={metric: validation_loss, patience: 1}' --set "faults=[$lost]"
check "it is void" grep -q '"event":"void","round":2,' early/events.jsonl
check "nor one that is gone on with" exits 0 on_ranks 4 train tables.yaml --quiet --run early --resume --set 'stop={metric: validation_loss, patience: 1}'
check "from there" equal "$(cut -c1-27 early/metrics.jsonl | tail -n 2 | tr '\n' ' ')" '{"round":2,"participants":0 {"round":3,"participants":4 '

# ---- too few are left ----------------------------------------------------------------------------------
three='{kind: kill, silo: 1, round: 3, point: unmask}, {kind: kill, silo: 2, round: 3, point: unmask}, {kind: kill, silo: 6, round: 3, point: unmask}'
rm -rf void
check "of eight three at the unmasking: the run stops" exits 75 "$GRANARY" run -n 8 secure.yaml --restarts 0 --run void --set "faults=[$three]"
check "and says why" says "below quorum after round 3, --resume goes on: secure sum: 5 of 8 parties are there, expected 6"
check "the round is void" grep -q '"event":"void","round":3,"why":"too few' void/events.jsonl
check "of nobody" grep -q '^{"round":3,"participants":0,"selected":8,"dropped":3,.*"examples":0,"processed":0,"train_loss":null,' void/metrics.jsonl
for round in 2 3; do "$GRANARY" inspect --digest void/checkpoints/round-00000$round.h5; done >models
check "of the model before" equal "$(uniq models | wc -l)" 1
check "with all of them it goes on" exits 0 on_ranks 8 train secure.yaml --quiet --run void --resume
# replayed RUN: its model is that of the plain run by its events.
replayed() { equal "$("$GRANARY" inspect --digest $1/model.h5)" "$(on 2 again plain.yaml --set round.replay=$1/events.jsonl)"; }
check "to the model of the plain run by its events" replayed void
check "which is another than without the void round" differ "$("$GRANARY" inspect --digest void/model.h5)" "$plain"
check "the void round of a replay is void" grep -q '"event":"void","round":3,' again/events.jsonl
rm -rf unscored
after=$(sed 's/unmask/evaluate/g' <<<"$three")
check "three after the step: the run stops" exits 75 "$GRANARY" run -n 8 secure.yaml --restarts 0 --run unscored --set "faults=[$after]"
check "the round is recorded" equal "$(wc -l <unscored/metrics.jsonl)" 3
check "without a loss of silos" equal "$(tail -n 1 unscored/metrics.jsonl | grep -o '"train_loss":[^,]*')" '"train_loss":null'
check "with all of them it goes on" exits 0 on_ranks 8 train secure.yaml --quiet --run unscored --resume
check "to the model of the plain run by its events" replayed unscored
check "an event says that scores were left out" grep -q '"event":"scores left out","round":3,' unscored/events.jsonl
check "of two there is no sum, whatever may open it" exits 75 "$GRANARY" run -n 3 secure.yaml --restarts 0 --run two \
    --set data.silos=3 --set secure.threshold=2 --set 'faults=[{kind: kill, silo: 0, round: 2}]'
check "and it says so" says "2 of 3 parties are there, expected 3"
check "with all of them it goes on" exits 0 on_ranks 3 train secure.yaml --quiet --run two --resume \
    --set data.silos=3 --set secure.threshold=2
check "as few are no secure sum either" exits 75 "$GRANARY" run -n 4 secure.yaml --restarts 0 --run few --set data.silos=4 \
    --set 'faults=[{kind: kill, silo: 0, round: 2}, {kind: kill, silo: 1, round: 2}]'

# Three stop in round 2 for so long that they are given up, and come back while another trains.
quick='round={deadline_s: 60, collective_deadline_s: 2, heartbeat_s: 30}'
stop='{kind: stop, silo: 1, round: 2, point: unmask, seconds: 5}, {kind: stop, silo: 2, round: 2, point: unmask, seconds: 5}, {kind: stop, silo: 6, round: 2, point: unmask, seconds: 5}, {kind: slow, silo: 0, round: 3, point: train, seconds: 8}'
rm -rf back
check "three come back: the run goes on" exits 0 "$GRANARY" run -n 8 secure.yaml --restarts 0 --run back --set "$quick" --set checkpoint.every=9 --set "faults=[$stop]"
check "behind one void round" equal "$(grep -o '"event":"void","round":[0-9]*' back/events.jsonl)" '"event":"void","round":2'
check "which has a checkpoint" grep -q '"event":"checkpoint","round":2,' back/events.jsonl
check "to the model of the plain run by its events" replayed back
rm -rf twice
check "two void rounds running: the run stops" exits 75 "$GRANARY" run -n 8 secure.yaml --restarts 0 --run twice --set "$quick" \
    --set "faults=[$stop, {kind: kill, silo: 3, round: 3, point: unmask}, {kind: kill, silo: 4, round: 3, point: unmask}, {kind: kill, silo: 5, round: 3, point: unmask}]"
check "and says which" says "rounds 2 and 3 were void"
check "with all of them it goes on" exits 0 on_ranks 8 train secure.yaml --quiet --run twice --resume
check "to the model of the plain run by its events" replayed twice

# ---- sites ---------------------------------------------------------------------------------------------
MORE='aggregation: {grid: public, clip_norm: 1, weight_max: 200}'
expected=$(one_job 12)
MORE="$MORE
secure: {aggregation: true}"
check "in one job" equal "$(one_job 12)" "$expected"
write_study 12
fresh
listen https; pids=$!
check "the sites approve" approve_all
join a; pids="$pids $!"
join_ranks b 2; pids="$pids $!"
join c; pids="$pids $!"
# shellcheck disable=SC2086
check "three sites by https" ended $pids
check "the model of the plain job" equal "$(digest)" "$expected"
check "a site's journal says so" grep -q '"name":"update".*masked sum over 4 silos' own-a/trial/journal.jsonl
check "of integers as well" bash -c 'grep -q "\"name\":\"training\".*masked sum over" "$0" && ! grep -E "\"name\":\"(training|scores|moments|findings|rows)\".*plain sum" "$0"' own-a/trial/journal.jsonl
check "of a round two sums at least" test "$(grep -c ^begin own-a/trial/journal.jsonl.sums)" -ge 24
check "all updates are of one set of sites" equal "$(grep -c ^parties own-a/trial/journal.jsonl.sums)" 1
check "its record of sums is whole" equal "$(grep -v ^parties own-a/trial/journal.jsonl.sums | cut -d' ' -f1 | sort | uniq -c | awk '{print $1}' | sort -u | wc -l)" 1
check "their counters rise" bash -c "grep ^begin own-c/trial/journal.jsonl.sums | cut -d' ' -f2 | sort -nuc"
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml

# ---- a record that leaps ---------------------------------------------------------------------------------
fresh
mkdir -p own-b/trial
printf 'begin 4611686018427387904 %064d\n' 7 >own-b/trial/journal.jsonl.sums
chmod 600 own-b/trial/journal.jsonl.sums
listen leap; pids=$!
join a; a=$!
join b; pids="$pids $!"
join c; pids="$pids $!"
check "a site that tells of sums beyond all is not believed" left 77 $a
check "in words" grep -q "tells of 4611686018427387904 sums" join-a.log
check "and the others' records stay" equal "$(cat own-?/trial/journal.jsonl.sums | grep -vc 4611686018427387904)" 0
# shellcheck disable=SC2086
kill $pids 2>/dev/null; wait

# Of three sites two are too few to open a sum: they wait for the third, as below a quorum.
MINIMUM=3 write_study 40
fresh
for site in a b c; do write_site $site '{folder: mail}' '{minimum_silos: 2}'; done
check "the sites approve a study of fewer silos" approve_all
MINIMUM=3 one_job 40 >/dev/null
coordinate folder --mailbox mail; coordinator=$!
join a; a=$!
join b; pids="$coordinator $!"
join c; pids="$pids $!"
check "rounds are done" round_reached 2
check "who has keys leaves no core file" grep -qE '^Max core file size +[01] +[01] ' /proc/$a/limits /proc/$coordinator/limits
kill -9 $a; wait $a 2>/dev/null
check "below its threshold there is no sum" wait_words "expected 3" folder.log
join a
# shellcheck disable=SC2086
check "the others have waited" ended $pids $!
# Where it was killed within a sum, that round is void.
"$GRANARY" train plain.yaml --run replay --quiet --set round.replay=run/events.jsonl >/dev/null 2>&1
check "and the model is that of one job by its events" equal "$(digest)" "$("$GRANARY" inspect --digest replay/model.h5)"

# ---- a site that opens no two sums which differ by one site --------------------------------------------
"$GRANARY" keygen d-keys >/dev/null 2>&1
table 91 150 >d.csv
{ echo "study: {name: trial, coordinator: $(cat coordinator-keys/public.key), sites: ["
  for site in a b c d; do echo "  {name: site-$site, key: $(cat $site-keys/public.key)},"; done
  echo "]}"
  echo "schema: {$columns}"
  echo "data: {source: csv, validation_fraction: 0.2}"
  echo "round: {collective_deadline_s: 10, start_deadline_s: 90}"
  MINIMUM=3 settings 60; } >study.yaml
"$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
fresh
cp c.csv b.csv
for site in a b c d; do
    write_site $site '{folder: mail}'
    sed -i 's/name: b1, file: b1.csv}, {name: b2, file: b2.csv}/name: site-b, file: b.csv}/; s/^policy:.*//' site-$site.yaml
    "$GRANARY" approve study.yaml --site site-$site.yaml --yes >/dev/null 2>&1
done
echo 'policy: {roster_difference: 2}' >>site-b.yaml
"$GRANARY" approve study.yaml --site site-b.yaml --yes >/dev/null 2>&1
coordinate differ --mailbox mail; pids=$!
join a; pids="$pids $!"
join b; pids="$pids $!"
join c; pids="$pids $!"
join d; d=$!
check "rounds of four sites are done" round_reached 2
kill -9 $d; wait $d 2>/dev/null
check "of three a site opens no sum" wait_words "differ by 1 site from those of an earlier sum" join-b.log
check "in its journal" wait_words '"event":"withheld".*"protected":"by policy.roster_difference of the site"' own-b/trial/journal.jsonl
check "the others learn that it is void" wait_words "or a site takes no part in a sum of these" differ.log
check "and not of which policy" bash -c '! grep -q roster_difference differ.log join-a.log join-c.log run/*.jsonl'
join d
# shellcheck disable=SC2086
check "with the fourth it goes on" ended $pids $!
check "all sums were of four" equal "$(grep -h ^parties own-?/trial/journal.jsonl.sums | cut -d' ' -f3 | sort -u)" 0f

finish
