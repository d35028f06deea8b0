#!/usr/bin/env bash
# How a study stands, as each party's folder tells; and waits that end, so that no machine idles.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties
write_study 400
for site in a b c; do write_site $site '{folder: mail}'; done
check "all approve" approve_all
expected=$(one_job 400)
fresh

# status FOLDER: its status as JSON, in $OUT; member PATH: of it, by jq's words.
status() { "$GRANARY" study status "$1" --json >"$OUT" 2>"$ERR"; }
member() { python3 -c 'import json, sys; print(eval("s" + sys.argv[1], {"s": json.load(open(sys.argv[2]))}))' "$1" "$OUT"; }
# becomes FOLDER PATH VALUE: within 30 s.
becomes() {
    for _ in $(seq 150); do
        status "$1" && [ "$(member "$2")" = "$3" ] && return 0
        sleep 0.2
    done
    echo "  $2 is '$(member "$2")', not '$3'"; cat "$OUT"; return 1
}

# ---- nothing yet ---------------------------------------------------------------------------------------
check "a folder that is no party's" exits 65 "$GRANARY" study status .
check "is told which is expected" says "expected the run directory of \`granary coordinate\`, or a site's folder of one study"
mkdir strange && echo '{"format": "other"}' >strange/status.json
check "a file that is something else" exits 65 "$GRANARY" study status strange
check "is told so" says "strange/status.json: found something else"

# ---- a wait that ends ----------------------------------------------------------------------------------
check "a time that is none" exits 64 "$GRANARY" coordinate study.yaml --mailbox mail --idle 5x
check "is told" says "coordinate: --idle: found '5x', expected a time above 0"
check "a coordinator that waits longer than --idle ends: exit code 75" exits 75 \
    "$GRANARY" coordinate study.yaml --key coordinator-keys --run run --mailbox mail --idle 2
check "it says for whom" says "site-a, site-b, site-c: not here within 2 s (--idle)"
check "its status is known" exits 0 "$GRANARY" study status run
check "by people" prints "start the same \`granary coordinate\` again: it goes on where it stopped"
status run
check "and by programs" equal "$(member '["phase"]')" stopped
check "no process holds it" equal "$(member '["process"]')" none
check "it waited" equal "$(member '["waited_s"]')" 2
since=$(member '["waits_since"]')
check "a site that waits longer than --idle ends as well" exits 75 \
    "$GRANARY" join site-a.yaml --study study.yaml --idle 2
check "it says for whom" says "the coordinator, and until all sites are there: not here within 2 s (--idle)"
check "a job of several ranks ends as a whole" exits 75 on_ranks 2 join site-b.yaml --study study.yaml --idle 2

# ---- waiting, running, stopped, finished ---------------------------------------------------------------
coordinate one --mailbox mail; first=$!
check "the wait goes on" becomes run '["phase"]' waiting
check "from where it was" equal "$(member '["waits_since"]')" "$since"
check "a second coordinator is not let in" exits 73 "$GRANARY" coordinate study.yaml --key coordinator-keys --run run --mailbox mail
check "it is told why" says "another \`granary coordinate\` takes part from here"
join a; sites=$!
check "who has come is here" becomes run '["parties"][0]["standing"]' here
check "and not waited for" equal "$(member '["parties"][0]["awaited"]')" False
check "others are" equal "$(member '["parties"][1]["awaited"]')" True
check "who reads it knows for what it goes on" bash -c '"$0" study status run | grep -q "^next  *nothing here: it goes on once those have come"' "$GRANARY"
check "its last letter is known" test -n "$(member '["parties"][0]["last_letter"]')"
check "the site waits for the coordinator" becomes own-a/trial '["parties"][0]["awaited"]' True
check "of other sites it knows nothing" equal "$(member '["parties"][1]["standing"]')" ""
join b; sites="$sites $!"
join c; sites="$sites $!"
check "the run begins" becomes run '["phase"]' running
check "all take part" equal "$(member '["parties"][2]["standing"]')" "takes part"
check "rounds pass" round_reached 20
check "the site's status" exits 0 "$GRANARY" study status own-b/trial
check "tells its approval" prints "approved     20"
check "what it has given" prints "18  update"
check "and in how many rounds" bash -c 'grep -q "journal      [0-9][0-9]* rounds given" "$0"' "$OUT"
check "the coordinator's names no host, path or account" bash -c '! grep -qF -e "$(hostname)" -e "$PWD" -e "$HOME/" run/status.json'
check "nobody else may read it" equal "$(stat -c %a run/status.json)" 640
check "nor anything else of a party, in folders of its own" equal "$(find run own-? -perm /027 -printf '%m %p\n')" ""
kill $first; wait $first; code=$?
check "stopped by a signal: exit code 75" equal $code 75
check "it is known" becomes run '["phase"]' stopped
done=$(member '["round"]')
check "with its rounds" test "$done" -ge 20
check "the sites wait" becomes own-c/trial '["phase"]' waiting
# Killed, it has no last word.
coordinate one --mailbox mail; first=$!
check "the run goes on" round_reached $((done + 10))
kill -9 $first; wait $first 2>/dev/null
check "one that was killed is found so" becomes run '["phase"]' interrupted
coordinate one --mailbox mail
# shellcheck disable=SC2086
check "all end well" ended $! $sites
check "with the model of one job" equal "$(digest)" "$expected"
status run
check "finished" equal "$(member '["phase"]')" finished
check "all rounds" equal "$(member '["round"]')" 400
status own-a/trial
check "at a site too" equal "$(member '["phase"]')" finished
check "who has given to all rounds" equal "$(member '["journal"]["rounds"]')" 400
check "and was asked for nothing else" equal "$(member '["journal"]["contradicted"]')" False

# ---- the same command once more ----------------------------------------------------------------------------
before=$(cksum <own-a/trial/journal.jsonl)
check "a site that has the end asks once more, and ends" exits 0 timeout 60 "$GRANARY" join site-a.yaml --study study.yaml
check "and says so" says "by this site's journal the run of trial has finished"
status own-a/trial
check "its status is that of the end" equal "$(member '["phase"]') $(member '["code"]')" "finished 0"
"$GRANARY" join site-a.yaml --study study.yaml >/dev/null 2>&1 & pid=$!
sleep 3; kill -TERM $pid; wait $pid
check "a signal meanwhile ends it with 75" equal $? 75
check "its journal is what it was" equal "$(cksum <own-a/trial/journal.jsonl)" "$before"

# ---- a refusal -----------------------------------------------------------------------------------------
fresh
write_site a '{folder: mail}' '{rounds: 100}'
coordinate refused --mailbox mail --idle 60; first=$!
check "a site whose policy refuses" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
check "is known to" becomes run '["parties"][0]["standing"]' "its policy refuses"
status own-a/trial
check "at the site" equal "$(member '["phase"]')" refused
check "with its words" bash -c 'grep -qF "policy.rounds" "$0"' "$OUT"
kill $first; wait $first

# ---- another edition of the study ------------------------------------------------------------------------
write_site a '{folder: mail}'
fresh
cp study.yaml old.yaml
cp study.yaml.sig old.yaml.sig
write_study 401
coordinate edition --mailbox mail --idle 60; first=$!
check "a site of an older edition waits in vain" exits 75 "$GRANARY" join site-c.yaml --study old.yaml --idle 20
check "it is told why" says "of coordinator is of another edition of the study than the one here ($("$GRANARY" study show old.yaml | awk '$1 == "digest" { print substr($2, 1, 12) }')"
check "the coordinator too" grep -q "of site-c is of another edition of the study than the one here" edition.log
kill $first; wait $first

# ---- bad data, and sites that are merely away ------------------------------------------------------------
START=4 write_study 20
check "all approve" approve_all
fresh
sed -i.good '5s/.*/secret,1,yes/' b2.csv
coordinate bad --mailbox mail; pids=$!
for site in a b c; do join $site; pids="$pids $!"; done
for pid in $pids; do wait "$pid"; done
check "the coordinator is told whose data are bad" grep -q "site-b says goodbye: bad data" bad.log
check "so are the others" grep -q "site-b has left (bad data; .*found 2 silos" join-a.log
check "and no more" bash -c '! grep -qE "secret|b2\.csv|column" bad.log join-a.log join-c.log'
check "the site itself is told all, by its own name" grep -q "b2.csv:5: column 1 (glucose)" join-b.log
mv b2.csv.good b2.csv
fresh
coordinate away --mailbox mail; pids=$!
for site in a b; do join $site; pids="$pids $!"; done
for _ in $(seq 300); do grep -q "not here: site-c" away.log && break; sleep 0.1; done
check "a site that is away is called so" grep -q "not here: site-c; found 3 silos" away.log
check "and not unreadable" bash -c '! grep -q "bad data" away.log'
# shellcheck disable=SC2086
kill $pids
for pid in $pids; do wait "$pid"; done
finish
