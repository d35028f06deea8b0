#!/usr/bin/env bash
# How a site leaves a study by https: at a signal, for a while and for good. By folders:
# test_goodbye.sh.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties

# A silent site would be missed after 300 s: the test ends long before.
export MINIMUM=3 COLLECTIVE=300 START=60 POLICY='{minimum_silos: 2}'
write_study 600
one_job 600 >/dev/null
for site in a b c; do write_site $site '{folder: mail}' "$POLICY"; done
check "all approve" approve_all
listen leaves; coordinator=$!
for other in b c; do join $other; others="${others:-} $!"; done
join a; site=$!
check "rounds pass" round_reached 30
kill -TERM $site
check "a site that a signal stops ends with 75 within seconds" left 75 $site
at=$(wc -l <run/metrics.jsonl)
check "the others go on" round_reached $((at + 10))
check "the coordinator says that it has left" grep -q "site-a says goodbye: stopped" leaves.log
join a; site=$!
for _ in $(seq 300); do grep -q "takes part again\|site-a is here" leaves.log && break; sleep 0.1; done
at=$(wc -l <run/metrics.jsonl)
check "the same command takes part again" round_reached $((at + 10))
kill -TERM $site
check "it is stopped once more" left 75 $site
check "and leaves for good" exits 0 "$GRANARY" join site-a.yaml --study study.yaml --leave
check "the coordinator says so" grep -q "site-a says goodbye: it has left for good" leaves.log
check "it takes part no more" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
# shellcheck disable=SC2086
check "the others go on to the end" ended $coordinator $others
"$GRANARY" train plain.yaml --run replay --quiet --set round.replay=run/events.jsonl >/dev/null 2>&1
check "the model is that of a replay in one job" equal "$(digest)" "$("$GRANARY" inspect --digest replay/model.h5)"
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
finish
