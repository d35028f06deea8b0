#!/usr/bin/env bash
# How parties leave a study: a site says goodbye at a signal and takes part again. The others go on in
# the same round, long before the deadline by which silence is found.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties

# replayed: the model of a replay of the recorded rosters in one MPI job.
replayed() {
    rm -rf replay
    "$GRANARY" train plain.yaml --run replay --quiet --set round.replay=run/events.jsonl >/dev/null 2>&1
    "$GRANARY" inspect --digest replay/model.h5
}
# events NAME
events() { grep -c "\"event\":\"$1\"" run/events.jsonl; }

# ---- a signal --------------------------------------------------------------------------------------------
# A silent site would be missed after 300 s: the test ends long before.
export MINIMUM=3 COLLECTIVE=300 START=60
write_study 400
one_job 400 >/dev/null
for site in a b c; do write_site $site '{folder: mail}' '{minimum_silos: 2}'; done
check "all approve" approve_all
fresh
coordinate signal --mailbox mail; pids=$!
join a; site=$!
for other in b c; do join $other; pids="$pids $!"; done
check "rounds pass" round_reached 50
kill -TERM $site
check "a site that a signal stops ends with 75 within seconds" left 75 $site
check "it says how it takes part again" grep -q "the same command takes part again" join-a.log
at=$(wc -l <run/metrics.jsonl)
check "the others go on" round_reached $((at + 30))
check "the coordinator says that it has left" grep -q "site-a says goodbye: stopped" signal.log
check "and records it" equal "$(events goodbye)" 1
join a; site=$!
# shellcheck disable=SC2086
check "the same command takes part again, until the end" ended $pids $site
check "the model is that of a replay in one job" equal "$(digest)" "$(replayed)"
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml

# ---- of several ranks, of which one hears the signal; and while others are waited for -------------------
fresh
coordinate several --mailbox mail; pids=$!
join_ranks b 2; site=$!
for other in a c; do join $other; pids="$pids $!"; done
check "rounds pass" round_reached 50
rank=$(pgrep -P $site | tail -n 1)
kill -INT "$rank"
check "where one rank of a site is told to stop, all end with 75" left 75 $site
check "the coordinator knows that the site has left" grep -q "site-b says goodbye: stopped" several.log
for _ in $(seq 100); do grep -q "waiting for\|site-c is here" several.log && break; sleep 0.1; done
join_ranks b 2; site=$!
# shellcheck disable=SC2086
check "the others, who were too few, go on with it when it has come again" ended $pids $site
check "the model is that of a replay in one job" equal "$(digest)" "$(replayed)"
fresh
coordinate waits --mailbox mail; pid=$!
join a; site=$!
for _ in $(seq 300); do grep -q "site-a is here" waits.log && break; sleep 0.1; done
kill -TERM $site
check "a site that waits for others ends with 75" left 75 $site
for _ in $(seq 100); do grep -q "site-a says goodbye" waits.log && break; sleep 0.1; done
check "and says goodbye" grep -q "site-a says goodbye: stopped" waits.log
kill -TERM $pid
check "so does the coordinator that waits" left 75 $pid

# ---- for good ------------------------------------------------------------------------------------------
fresh
rm -f own-?/left.jsonl
coordinate leaves --mailbox mail; pid=$!
for other in b c; do join $other; eval "site_$other=$!"; done
join a; site=$!
check "rounds pass" round_reached 30
check "a site that takes part is not left behind its back" exits 73 "$GRANARY" join site-a.yaml --study study.yaml --leave
kill -TERM $site
check "it is stopped first" left 75 $site
check "then it leaves for good" exits 0 "$GRANARY" join site-a.yaml --study study.yaml --leave
check "the coordinator says so" grep -q "site-a says goodbye: it has left for good" leaves.log
check "and keeps the line that the site has signed" grep -q '"study":.*"signature"' run/left.jsonl
check "the site's journal has it" grep -q '"event":"left"' own-a/trial/journal.jsonl
check "said again it is nothing new" exits 0 "$GRANARY" join site-a.yaml --study study.yaml --leave
check "it is one line" equal "$(cat own-a/left.jsonl | wc -l)" 1
check "it takes part no more" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
check "and is told what to do" says "another edition of the study"
at=$(wc -l <run/metrics.jsonl)
check "the others go on" round_reached $((at + 20))
kill -TERM $pid
check "the coordinator stops" left 75 $pid
coordinate leaves --mailbox mail; pid=$!
# shellcheck disable=SC2154
check "started again it does not wait for it, to the end" ended $pid $site_b $site_c
check "as it says" grep -q "begins without site-a (it has left for good)" leaves.log
check "it is recorded" equal "$(events left)" 1
check "the model is that of a replay in one job" equal "$(digest)" "$(replayed)"
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
sed -i 's/"time":"20/"time":"21/' run/left.jsonl
coordinate forged --mailbox mail; pid=$!
check "a line that the site has not signed is refused" left 78 $pid
rm -f own-?/left.jsonl

# ---- failures of a site's own ------------------------------------------------------------------------
# Too few rows for its policy, found once the tables are read: it alone leaves, and the rest is enough.
fresh
write_site a '{folder: mail}' '{minimum_silos: 2, minimum_rows: 5000}'
coordinate rows --mailbox mail; pids=$!
for other in b c; do join $other; pids="$pids $!"; done
join a; site=$!
check "a site with too few rows for its policy ends with 77" left 77 $site
check "its own terminal says which rule" grep -q "policy.minimum_rows" join-a.log
# shellcheck disable=SC2086
check "the others go on to the end" ended $pids
check "the coordinator says who has left, and the kind" grep -q "site-a says goodbye: its policy refuses" rows.log
check "and nothing of its rows" bash -c '! grep -qE "minimum_rows|5000" rows.log join-b.log join-c.log'
check "it is recorded" grep -q '"event":"goodbye".*"party":"site-a","why":"refused by policy"' run/events.jsonl
check "the model is that of a replay in one job" equal "$(digest)" "$(replayed)"

# A table that is another than before, when the run goes on.
fresh
write_site a '{folder: mail}' '{minimum_silos: 2}'
coordinate changed --mailbox mail; pid=$!
sites=
for other in a b c; do join $other; sites="$sites $!"; done
check "rounds pass" round_reached 30
kill -TERM $pid
check "the coordinator stops with 75" left 75 $pid
# shellcheck disable=SC2086
kill -TERM $sites; wait $sites
cp a.csv kept.csv
tail -n 3 b1.csv >>a.csv
coordinate changed --mailbox mail; pids=$!
for other in b c; do join $other; pids="$pids $!"; done
join a; site=$!
check "a site whose table has changed ends with 78" left 78 $site
check "its own terminal names the table" grep -q "site-a (.*a.csv): train" join-a.log
# shellcheck disable=SC2086
check "the others go on to the end" ended $pids
check "the coordinator says who has left" grep -q "site-a says goodbye: bad config" changed.log
cp kept.csv a.csv
check "the model is that of a replay in one job" equal "$(digest)" "$(replayed)"

# ---- a coordinator that cannot write -------------------------------------------------------------------
# The run directory's checkpoints are refused, by the kernel: root may write where it must not.
fresh
coordinate full --mailbox mail; pid=$!
sites=
for other in a b c; do join $other; sites="$sites $!"; done
check "rounds pass" round_reached 25
mv run/checkpoints run/kept && : >run/checkpoints
check "a coordinator that cannot write its checkpoints ends with 73" left 73 $pid
for _ in $(seq 100); do grep -q "coordinator: cannot write" join-b.log && break; sleep 0.1; done
check "the sites are told the kind" grep -q "coordinator: cannot write" join-b.log
check "and of no path" bash -c '! grep -q "run/checkpoints" join-?.log'
rm run/checkpoints && mv run/kept run/checkpoints
coordinate full --mailbox mail
# shellcheck disable=SC2086
check "they wait for it, and go on from the last checkpoint to the end" ended $! $sites
check "the model is that of a replay in one job" equal "$(digest)" "$(replayed)"
finish
