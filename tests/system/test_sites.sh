#!/usr/bin/env bash
# A study run by a coordinator and three sites, each with keys, tables, a folder and a job of its own:
# by a folder, by https and by both, with the model of one MPI job, to the last bit.
. "$(dirname "$0")/library.sh"
for tool in awk grep cp; do command -v $tool >/dev/null || exit 1; done

# table SEED ROWS: numbers that a linear rule with noise labels; made by awk's own arithmetic.
table() {
    awk -v seed="$1" -v rows="$2" 'function draw() { s = (s * 69069 + 12345) % 4294967296; return s / 4294967296 }
        BEGIN { s = seed; print "glucose,weightkg,sick"
            for (i = 0; i < rows; i++) { x = draw(); y = draw(); printf "%.4f,%.4f,%s\n", x, y, (x + y + draw() > 1.5 ? "yes" : "no") } }'
}
for site in a b1 b2 c; do table $((7 + ${#site} * 13 + $(printf %d "'${site: -1}"))) 150 >$site.csv; done
for party in coordinator a b c; do "$GRANARY" keygen $party-keys >/dev/null 2>&1; done

columns='columns: [{name: glucose, type: number}, {name: weightkg, type: number}, {name: sick, type: label, categories: ["no", "yes"]}]'
# settings ROUNDS
settings() {
    cat <<YAML
run: {rounds: $1}
preprocess: {scale: standardise}
model: {type: mlp, hidden: [8]}
train: {learning_rate: 0.05, batch_size: 16}
evaluate: {every: 20}
checkpoint: {every: 10}
policy: {minimum_silos: 4}
YAML
}
# write_study ROUNDS
write_study() {
    { echo "study: {name: trial, coordinator: $(cat coordinator-keys/public.key), sites: ["
      echo "  {name: site-a, key: $(cat a-keys/public.key)},"
      echo "  {name: site-b, key: $(cat b-keys/public.key), silos: [b1, b2]},"
      echo "  {name: site-c, key: $(cat c-keys/public.key)}]}"
      echo "schema: {$columns}"
      echo "data: {source: csv, validation_fraction: 0.2}"
      echo "round: {collective_deadline_s: 30, start_deadline_s: 90}"
      settings "$1"; } >study.yaml
    "$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
}
# write_site SITE MAILBOX [POLICY]
write_site() {
    local silos="[{name: site-$1, file: $1.csv}]"
    [ "$1" != b ] || silos="[{name: b1, file: b1.csv}, {name: b2, file: b2.csv}]"
    printf 'site: {key: %s-keys, directory: own-%s}\nmailbox: %s\nsilos: %s\npolicy: %s\n' \
        "$1" "$1" "$2" "$silos" "${3:-{\}}" >site-$1.yaml
}
approve_all() {
    for site in a b c; do "$GRANARY" approve study.yaml --site site-$site.yaml --yes >/dev/null 2>&1 || return 1; done
}
# one_job ROUNDS: the digest of the same study as one MPI job.
one_job() {
    { echo "$columns"; } >schema.yaml
    { settings "$1"; echo "data: {source: csv, validation_fraction: 0.2, schema: schema.yaml, silo_tables: [{file: a.csv}, {file: b1.csv}, {file: b2.csv}, {file: c.csv}]}"; } >plain.yaml
    rm -rf plain
    "$GRANARY" train plain.yaml --run plain --quiet >/dev/null 2>&1
    "$GRANARY" inspect --digest plain/model.h5
}
# coordinate NAME WORDS...: in the background, its output in NAME.log.
coordinate() { "$GRANARY" coordinate study.yaml --key coordinator-keys --run run "${@:2}" >>"$1.log" 2>&1 </dev/null & }
join() { "$GRANARY" join site-$1.yaml --study study.yaml >>"join-$1.log" 2>&1 </dev/null & }
# join_ranks SITE RANKS
join_ranks() {
    # shellcheck disable=SC2086
    mpirun $MPIRUN_FLAGS -n "$2" "$GRANARY" join site-$1.yaml --study study.yaml >>"join-$1.log" 2>&1 </dev/null &
}
fresh() { rm -rf run own-?/trial mail ./*.log; mkdir mail; }
# ended PID...: all of them with 0, within 120 s.
ended() {
    local pid code=0
    for _ in $(seq 1200); do
        for pid; do kill -0 "$pid" 2>/dev/null && sleep 0.1 && continue 2; done
        break
    done
    for pid; do kill -9 "$pid" 2>/dev/null; wait "$pid" || code=$?; done
    [ $code = 0 ] || { echo "  code $code"; tail -n 5 ./*.log; }
    return $code
}
# round_reached N: until the coordinator has recorded so many rounds, at most 60 s.
round_reached() {
    for _ in $(seq 600); do
        [ "$(cat run/metrics.jsonl 2>/dev/null | wc -l)" -ge "$1" ] && return 0
        sleep 0.1
    done
    return 1
}
digest() { "$GRANARY" inspect --digest run/model.h5; }
journals() { for site in a b c; do printf -- '--journal own-%s/trial/journal.jsonl ' $site; done; }

# ---- by a folder ---------------------------------------------------------------------------------------
write_study 20
expected=$(one_job 20)
for site in a b c; do write_site $site '{folder: mail}'; done
fresh
check "a site that has not approved takes no part" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
check "it is told how to" says "granary approve"
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
check "letters passed" test -n "$(ls ./*.letter 2>/dev/null)"
check "no letter has a column's name or a path in the clear" bash -c '! grep -qaE "glucose|weightkg|own-|\.csv" ./*.letter'
check "none is left behind" equal "$(ls -A mail)" ""
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
printf x | dd of=own-b/trial/journal.jsonl bs=1 seek=300 conv=notrunc 2>/dev/null
# shellcheck disable=SC2046
check "and a changed byte of a journal" exits 65 "$GRANARY" audit run $(journals) --study study.yaml

# ---- by https ------------------------------------------------------------------------------------------
# listen: the coordinator's port and pin into the site files.
listen() {
    coordinate https --listen 127.0.0.1:0 "$@"
    for _ in $(seq 300); do grep -q "listening on port" https.log && break; sleep 0.1; done
    port=$(sed -n 's/.*listening on port \([0-9]*\);.*/\1/p' https.log | tail -n 1)
    pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' https.log | tail -n 1)
    for site in a b c; do write_site $site "{url: \"https://127.0.0.1:$port\", pin: \"$pin\"}"; done
}
fresh
listen; pids=$!
for site in a b c; do join $site; pids="$pids $!"; done
# shellcheck disable=SC2086
check "by https all end well" ended $pids
check "with the model of one job" equal "$(digest)" "$expected"
fresh
listen --mailbox mail; pids=$!
write_site c '{folder: mail}'
join a; pids="$pids $!"
join_ranks b 2; pids="$pids $!"
join c; pids="$pids $!"
# shellcheck disable=SC2086
check "by both at once all end well" ended $pids
check "with the model of one job" equal "$(digest)" "$expected"

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

# ---- refusals -----------------------------------------------------------------------------------------
fresh
write_site a '{folder: mail}' '{minimum_rows: 5000}'
coordinate refused --mailbox mail; pids=$!
for site in b c; do join $site; pids="$pids $!"; done
check "too few rows for a site's policy: exit code 77" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
check "the site's own terminal says which rule" says "policy.minimum_rows"
for pid in $pids; do wait "$pid"; done
check "the others learn that a policy refuses" grep -q "site-a: refused by policy" refused.log
check "and nothing of its rows" bash -c '! grep -qE "minimum_rows|5000" refused.log join-b.log join-c.log'
write_site a '{folder: mail}' '{rounds: 100}'
fresh
coordinate refused --mailbox mail; pids=$!
check "too many rounds for a site's policy: exit code 77" exits 77 "$GRANARY" join site-a.yaml --study study.yaml
for _ in $(seq 100); do grep -q "its policy refuses" refused.log && break; sleep 0.1; done
check "the coordinator learns that it refuses" grep -q "site-a: its policy refuses the study" refused.log
kill $pids; wait $pids; code=$?
check "a coordinator that waits stops at a signal: exit code 75" equal $code 75
finish
