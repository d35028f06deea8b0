#!/usr/bin/env bash
# A site that breaks the protocol behind its key: tests/granary-hostile is a `granary join` that spoils
# its letters from a number on, which lies in the reading of the tables or in the rounds. Only that site
# is given up, by its name, and the others go on to the end.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
HOSTILE=$BUILD/tests/granary-hostile
make_parties
export MINIMUM=3 COLLECTIVE=60 START=40
write_study 40
export POLICY='{minimum_silos: 2}'
for site in a b c; do write_site $site '{folder: mail}' "$POLICY"; done
check "all approve" approve_all

# hostile FAULT [https]: one run; the codes of the hostile site and of the coordinator in $site_code and
# $code.
hostile() {
    fresh
    if [ "${2:-}" = https ]; then listen hostile; else coordinate hostile --mailbox mail; fi
    local coordinator=$!
    join a; local others=$!
    join b; others="$others $!"
    GRANARY_HOSTILE=$1 timeout 100 "$HOSTILE" join site-c.yaml --study study.yaml >>join-c.log 2>&1 </dev/null &
    local site=$!
    site_code=0 code=0
    # shellcheck disable=SC2086
    ended $coordinator $others || code=$?
    for _ in $(seq 100); do kill -0 $site 2>/dev/null || break; sleep 0.1; done
    kill $site 2>/dev/null
    wait $site || site_code=$?
}
faults=(numbers "head 0" "from 0" "slot 3" "kind 10" "beyond 2" "middle 0" "memory 4" "cut 0" "long 5"
    "agreement 0" "garbage 0" "from 90" "slot 100" "kind 110" "middle 120" "cut 130" "long 150" "over 160" "agreement 140"
    "garbage 60" "failure 60" "future 60" "silo 60" "members 0" "failed 60" "way 60" "weight 60" "rows 60"
    "refused 60" "exponent 60" "underflow 100")
[ $# = 0 ] || faults=("$@")
# judge FAULT: what its run, which was the last, must have shown.
judge() {
    local fault=$1
    check "$fault: the run goes on to its end" equal $code 0
    check "$fault: the coordinator names the site" grep -q "site-c.*given up" hostile.log
    check "$fault: so does an event" grep -q '"event":"goodbye".*"party":"site-c","why":"internal error"' run/events.jsonl
    check "$fault: the site is told" grep -q "the coordinator has given this site up" join-c.log
    check "$fault: and ends with 70" equal $site_code 70
}
for fault in "${faults[@]}"; do
    hostile "$fault"
    judge "$fault"
done
# By https, whose letters come by other hands: in the reading of tables, in rounds, and of no form.
for fault in "slot 3" "cut 130" "garbage 60"; do
    hostile "$fault" https
    judge "$fault by https"
done
# Messages that nobody awaits have room of their sender's own, and are not without number.
hostile flood https
judge flood
for site in a b c; do write_site $site '{folder: mail}' "$POLICY"; done
hostile hoard
judge hoard
check "hoard: nobody else is given up" bash -c '! grep "from site-[ab].*given up" hostile.log'
# Goodbyes without end, with two reasons in turn, fill neither the terminal nor the events.
hostile goodbyes
check "goodbyes: the others go on to the end" equal $code 0
check "goodbyes: one is told" equal "$(grep -c "site-c says goodbye" hostile.log)" 1
check "goodbyes: events are as many as rounds, at most" test "$(grep -c '"event":"goodbye"' run/events.jsonl)" -le 40
# A sum of floats in which one is none; in the ring any word is a number.
MORE='aggregation: {encoding: float32}' write_study 40
check "all approve floats" approve_all
hostile "nan 60"
judge "nan 60"
write_study 40
check "all approve again" approve_all
# Orders of a site are passed over, and it takes part to the end.
for order in decision exclusion; do
    hostile "$order 0"
    check "$order: has been sent" grep -q "hostile: letter .* is spoilt" join-c.log
    check "$order: a site that orders all changes nothing" equal "$code $site_code" "0 0"
    check "$order: nobody is given up or goes" bash -c '! grep -E "given up|goodbye" hostile.log'
done
finish
