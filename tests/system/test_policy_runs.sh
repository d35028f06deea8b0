#!/usr/bin/env bash
# policy.runs of a site counts runs that are begun: a study that is started once more in a fresh run
# directory is a further run, one that goes on is the same, also where it was stopped before its first
# round.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties
write_study 60
for site in a b c; do write_site $site '{folder: mail}' '{runs: 1}'; done
check "all approve" approve_all
fresh
# begin: all parties start; their processes in $pids, the coordinator's first.
begin() {
    coordinate one --mailbox mail; pids=$!
    for site in a b c; do join $site; pids="$pids $!"; done
}
n_runs() { cat own-?/runs.jsonl 2>/dev/null | wc -l; }

# ---- before the first round ---------------------------------------------------------------------------
"$GRANARY" join site-a.yaml --study study.yaml --idle 1 >/dev/null 2>&1 </dev/null
check "a wait for others is no run" equal "$(n_runs)" 0
# A table that is another one once its silo has taken its place: the run ends before its first round.
cp b2.csv good.csv
coordinate one --mailbox mail; pids=$!
for site in a c; do join $site; pids="$pids $!"; done
for _ in $(seq 300); do grep -q "site-c is here" one.log && break; sleep 0.1; done
kill -STOP ${pids%% *}
join b; late=$!
for _ in $(seq 100); do ls mail/2-0-* >/dev/null 2>&1 && break; sleep 0.1; done
sed -i '5s/.*/secret,1,yes/' b2.csv
kill -CONT ${pids%% *}
for pid in $pids $late; do wait "$pid"; done
check "a run that ends before its first round" test ! -e run/metrics.jsonl
check "is known by its id" test -s run/run.id
id=$(cat run/run.id)
check "and has been begun" equal "$(n_runs)" 3
cp good.csv b2.csv

# ---- a run that goes on -------------------------------------------------------------------------------
begin
check "it goes on" round_reached 10
# shellcheck disable=SC2086
kill -9 $pids
for pid in $pids; do wait "$pid" 2>/dev/null; done
begin
# shellcheck disable=SC2086
check "to its end" ended $pids
check "as one run" equal "$(n_runs)" 3
check "of that id" grep -q "\"run_id\": *\"$id\"" run/manifest.json
check "which the sites have written down" grep -q "\"run\":\"$id\"" own-b/runs.jsonl
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml

# ---- a further one ------------------------------------------------------------------------------------
mv run first
rm -f mail/* ./*.log own-?/trial/site.log
begin
for pid in ${pids#* }; do check "a further run is refused by a site" left 77 "$pid"; done
kill ${pids%% *}; wait ${pids%% *}
check "its own terminal tells file, rule, found, allowed" grep -qE "site-a.yaml:[0-9]+: policy.runs: found 1 others \(runs.jsonl in .*own-a\), allowed at most 1 in all" join-a.log
check "so does its log" grep -q "policy.runs: found 1 others" own-a/trial/site.log
check "the coordinator learns that a site's policy refuses" grep -q "site-a.*its policy refuses" one.log
check "and no more" bash -c '! grep -q "policy.runs" one.log'
check "no round was begun" test ! -s run/metrics.jsonl
check "and no table was read for it" bash -c '! tail -n 4 own-a/trial/journal.jsonl | grep -q "\"name\":\"shape\""'
check "it is not counted" equal "$(n_runs)" 3

# ---- a further one by the name of the first -----------------------------------------------------------
rm -rf run; mkdir -m 750 run
cp first/run.id run/
rm -f mail/* ./*.log
begin
for pid in ${pids#* }; do check "an id that is used again is found by the journals" left 77 "$pid"; done
kill ${pids%% *}; wait ${pids%% *}
check "as a contradiction" grep -q '"event":"contradiction"' own-a/trial/journal.jsonl
check "no round was begun" test ! -s run/metrics.jsonl
finish
