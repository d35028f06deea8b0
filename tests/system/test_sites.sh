#!/usr/bin/env bash
# A study run by a coordinator and three sites, each with keys, tables, a folder and a job of its own:
# by a folder, by https and by both, with the model of one MPI job, to the last bit.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties

# ---- by a folder ---------------------------------------------------------------------------------------
write_study 20
expected=$(one_job 20)
for site in a b c; do write_site $site '{folder: mail}'; done
sed -i 's/directory: own-a}/directory: own-a, keep_model: true}/' site-a.yaml
echo 'approvals: [{number: EC 2026/117, by: ethics committee}]' >>site-a.yaml
fresh
check "a site that has not approved takes no part" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
check "it is told how to" says "granary approve"
check "its log has what its terminal was told" grep -q "is not approved in" own-a/trial/site.log
check "all approve" approve_all
fresh
coordinate folder --mailbox mail
pids=$!
join a; pids="$pids $!"
join_ranks b 2; pids="$pids $!"
join c; pids="$pids $!"
while kill -0 ${pids%% *} 2>/dev/null; do cp mail/*.letter . 2>/dev/null; sleep 0.02; done
# shellcheck disable=SC2086
check "by a folder all end well" ended $pids
check "with the model of one job" equal "$(digest)" "$expected"
check "a site is told that it is over, and where its report is" grep -q "has finished; .*own-a/trial/report.html" join-a.log
report=own-a/trial/report.html
check "it tells of each release" equal "$(grep -o '<th scope="row">[0-9]* [a-z-]*' $report | sed 's/.*>//' | sort)" \
    "$(sed -n 's/.*"event":"release".*"release":\([0-9]*\),"name":"\([a-z-]*\)".*/\1 \2/p' own-a/trial/journal.jsonl | sort -u)"
check "how often" grep -q "<b>$(grep -c '"event":"release"' own-a/trial/journal.jsonl)</b><span>releases" $report
check "and under which approval" grep -q "EC 2026/117</td><td>ethics committee" $report
check "a site may keep the model" equal "$("$GRANARY" inspect --digest own-a/trial/model.h5)" "$expected"
check "others have no copy" equal "$(ls own-?/trial/model.h5)" own-a/trial/model.h5
check "letters passed" test -n "$(ls ./*.letter 2>/dev/null)"
check "no letter has a column's name or a path in the clear" bash -c '! grep -qaE "glucose|weightkg|own-|\.csv" ./*.letter'
check "none is left behind" equal "$(ls -A mail)" ""
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
check "no file of a run is open to others" equal "$(find run own-*/trial ! -type l -perm /027)" ""
check "the coordinator's run leads nowhere" equal "$(find run -type l)" ""
check "and names no host, path or account" bash -c '! grep -rqwF -e "$(hostname)" -e "$PWD" -e "$HOME/" --exclude-dir=secrets run'
printf x | dd of=own-b/trial/journal.jsonl bs=1 seek=300 conv=notrunc 2>/dev/null
# shellcheck disable=SC2046
check "a report is made of a journal that is not whole" exits 0 "$GRANARY" report own-b/trial
check "and says so" grep -q "line [0-9]* of the journal of process 0 does not continue the chain" own-b/trial/report.html
check "and a changed byte of a journal" exits 65 "$GRANARY" audit run $(journals) --study study.yaml

# ---- by https ------------------------------------------------------------------------------------------
fresh
listen https; pids=$!
for site in a b c; do join $site; pids="$pids $!"; done
# shellcheck disable=SC2086
check "by https all end well" ended $pids
check "with the model of one job" equal "$(digest)" "$expected"
fresh
listen https --mailbox mail; pids=$!
write_site c '{folder: mail}'
join a; pids="$pids $!"
join_ranks b 2; pids="$pids $!"
join c; pids="$pids $!"
# shellcheck disable=SC2086
check "by both at once all end well" ended $pids
check "with the model of one job" equal "$(digest)" "$expected"

# ---- a site that comes late ----------------------------------------------------------------------------
write_study 20
sed -i 's/start_deadline_s: 90/start_deadline_s: 4/' study.yaml
"$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
expected=$(one_job 20)
for site in a b c; do write_site $site '{folder: mail}'; done
check "the study of the short wait is approved" approve_all
fresh
coordinate late --mailbox mail; pids=$!
for site in b c; do join $site; pids="$pids $!"; done
sleep 18
join a
# shellcheck disable=SC2086
check "sites that have waited longer than the start deadline take part with the one that comes late" ended $pids $!
check "with the model of one job" equal "$(digest)" "$expected"

# A coordinator that is killed at the very end has told some of it, who have left; whoever has not heard it
# says hello to the next one, which needs nobody: the seal by which the run has finished is on disk.
before=$(cat run/seals.jsonl run/evaluation.json | cksum)
coordinate finished --mailbox mail; pids=$!
join_ranks b 2; pids="$pids $!"
# shellcheck disable=SC2086
check "started again after the end, a coordinator and a site end as they did" ended $pids
check "the coordinator says why" grep -q "the run has finished; for 4 s sites" finished.log
check "and the site" grep -q "the run has finished, as the coordinator says" join-b.log
check "nothing is sealed or scored anew" equal "$(cat run/seals.jsonl run/evaluation.json | cksum)" "$before"
sed -i "$(grep -n '"event":"seal"' own-b/trial/journal.jsonl | tail -n 1 | cut -d: -f1),\$d" own-b/trial/journal.jsonl
coordinate finished --mailbox mail; pids=$!
join b
# shellcheck disable=SC2086
check "a site that was killed before the last seal is shown it" ended $pids $!
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
check "which tells that it did not hold the model" prints "did not hold its model"

# ---- losses --------------------------------------------------------------------------------------------
write_study 150
expected=$(one_job 150)
for site in a b c; do write_site $site '{folder: mail}'; done
check "the longer study is approved" approve_all
fresh
coordinate killed --mailbox mail; first=$!
for site in a b c; do join $site; pids[${#site}]=$!; done
sites=$(jobs -p | grep -vx "$first")
check "rounds pass" round_reached 30
kill -9 $first; wait $first 2>/dev/null
coordinate killed --mailbox mail
# shellcheck disable=SC2086
check "a coordinator that is killed and started again brings all to the end" ended $! $sites
check "with the model of one job" equal "$(digest)" "$expected"
fresh
coordinate killed --mailbox mail; pids=$!
join a; pids="$pids $!"
join b; lost=$!
join c; pids="$pids $!"
check "rounds pass" round_reached 30
kill -9 $lost; wait $lost 2>/dev/null
join b
# shellcheck disable=SC2086
check "a site that is killed and started again takes part until the end" ended $pids $!
check "it is told that it has come" grep -q "site-b is here" killed.log
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml

# The gateway of a site alone hears of the coordinator's end; the other ranks of its job learn of it from
# the gateway, rather than after the start deadline.
START=600 write_study 20
for site in a b c; do write_site $site '{folder: mail}'; done
check "a study of much patience is approved" approve_all
fresh
coordinate starting --mailbox mail; first=$!
join a; sites=$!
join_ranks b 2; sites="$sites $!"
join c; sites="$sites $!"
for _ in $(seq 3); do
    for _ in $(seq 300); do [ "$(grep -c 'site-. is here' starting.log)" -ge 3 ] && break; sleep 0.02; done
    sleep 0.1
    kill -9 $first; wait $first 2>/dev/null
    : >starting.log
    coordinate starting --mailbox mail; first=$!
done
# shellcheck disable=SC2086
check "a coordinator that is killed before the first round, again and again, brings all to the end" ended $first $sites

# Where the others may go on without it, they do, and the jobs meet again when it has come.
MINIMUM=3 write_study 600
for site in a b c; do write_site $site '{folder: mail}' '{minimum_silos: 2}'; done
check "a study of fewer silos is approved" approve_all
fresh
coordinate without --mailbox mail; pids=$!
join a; lost=$!
for site in b c; do join $site; pids="$pids $!"; done
check "rounds pass" round_reached 100
kill -9 $lost; wait $lost 2>/dev/null
sleep 0.3
join a
# shellcheck disable=SC2086
check "a site that was missed comes back in the midst of a run" ended $pids $!
check "for it the others stop after a round" grep -q "stopped, for a site has come, after round" without.log
# A site that hangs is given up, and knows it when it wakes.
MINIMUM=3 COLLECTIVE=8 write_study 700
check "a study of little patience is approved" approve_all
fresh
coordinate hung --mailbox mail; pids=$!
join a; hung=$!
for site in b c; do join $site; pids="$pids $!"; done
check "rounds pass" round_reached 50
check "two of a site in one folder are not let in" exits 73 "$GRANARY" join site-a.yaml --study study.yaml
kill -STOP $hung
at=$(wc -l <run/metrics.jsonl)
check "the others go on without a site that hangs" round_reached $((at + 20))
kill -CONT $hung
# shellcheck disable=SC2086
check "it takes part again until the end" ended $pids $hung
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
# One that hangs until the others have ended is shown the end by a coordinator that is started once more.
MINIMUM=3 COLLECTIVE=8 START=30 write_study 150
check "a shorter study is approved" approve_all
fresh
coordinate late --mailbox mail; pids=$!
join a; hung=$!
for site in b c; do join $site; pids="$pids $!"; done
check "rounds pass" round_reached 50
kill -STOP $hung
# shellcheck disable=SC2086
check "the others end without it" ended $pids
kill -CONT $hung
sleep 3
check "their end is not taken for its own" kill -0 $hung
coordinate late --mailbox mail
check "it is shown the last seal" ended $! $hung
# shellcheck disable=SC2046
check "the audit finds its journal whole" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
write_study 150

# ---- what silos keep -------------------------------------------------------------------------------------
# Control variates and residuals of rounding are kept by their silo, in its site's folder.
export MORE='strategy: {name: scaffold}
aggregation: {encoding: ring16}'
write_study 150
one_job 150 >/dev/null
for site in a b c; do write_site $site '{folder: mail}'; done
check "a study whose silos keep something is approved" approve_all
fresh
coordinate kept --mailbox mail; pids=$!
for site in a c; do join $site; pids="$pids $!"; done
join b; lost=$!
check "rounds pass" round_reached 30
kill -9 $lost; wait $lost 2>/dev/null
join b
# shellcheck disable=SC2086
check "a site that is killed goes on with what its silos have kept" ended $pids $!
check "which lies in its own folder" test -n "$(ls own-b/trial/silos/silo-002-*.h5 2>/dev/null)"
check "and nowhere else" equal "$(find run own-a -name 'silo-002*')" ""
rm -rf replay
"$GRANARY" train plain.yaml --run replay --quiet --set round.replay=run/events.jsonl >/dev/null 2>&1
check "the model is that of a replay in one job" equal "$(digest)" "$("$GRANARY" inspect --digest replay/model.h5)"
MORE=
write_study 150

# ---- refusals -----------------------------------------------------------------------------------------
fresh
write_site a '{folder: mail}' '{minimum_rows: 5000}'
coordinate refused --mailbox mail; pids=$!
for site in b c; do join $site; pids="$pids $!"; done
check "too few rows for a site's policy: exit code 77" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
check "the site's own terminal says which rule" says "policy.minimum_rows"
for pid in $pids; do wait "$pid"; code=$?; done
check "the others, who are too few without it, end with the same" equal $code 77
check "and learn that a policy refuses" grep -q "site-a has left (its policy refuses" join-c.log
check "and nothing of its rows" bash -c '! grep -qE "minimum_rows|5000" refused.log join-b.log join-c.log'
write_site a '{folder: mail}' '{rounds: 100}'
fresh
coordinate refused --mailbox mail; pids=$!
check "too many rounds for a site's policy: exit code 77" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
for _ in $(seq 100); do grep -q "says goodbye" refused.log && break; sleep 0.1; done
check "the coordinator learns that it refuses" grep -q "site-a says goodbye: its policy refuses" refused.log
kill $pids; wait $pids; code=$?
check "a coordinator that waits stops at a signal: exit code 75" equal $code 75
finish
