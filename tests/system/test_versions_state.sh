#!/usr/bin/env bash
# What a version of a study meets in a run: a silo with a state of its own, a draw of silos into which a
# new one comes, a site whose key was replaced, sites on several nodes, and a site with another program.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties
table 99 150 >d.csv
for party in d c2; do "$GRANARY" keygen $party-keys >/dev/null 2>&1; done
digest_of() { "$GRANARY" study show "$1" | sed -n 's/^digest  *//p'; }
sign=("$GRANARY" study sign --key coordinator-keys)
coordinate_by() { "$GRANARY" coordinate "$1" --key coordinator-keys --run run --mailbox mail >>"$2.log" 2>&1 </dev/null & }
join_by() { "$GRANARY" join site-$2.yaml --study $1 >>"join-$2.log" 2>&1 </dev/null & }
approve() { for site in "${@:2}"; do "$GRANARY" approve $1 --site site-$site.yaml --yes >approve-$site.txt 2>&1 || return 1; done; }
replay() {
    rm -rf trial replayed
    "$GRANARY" study trial $1 site-a=a.csv b1=b1.csv b2=b2.csv site-c=c.csv site-d=d.csv -o trial >/dev/null &&
        "$GRANARY" train trial/config.yaml --set round.replay=$2 --run replayed --quiet >/dev/null 2>replay.log &&
        "$GRANARY" inspect --digest replayed/model.h5
}
# across SED: a run by a study that is edited so, which a version goes on with after some rounds: site-d
# comes, and site-c has another key.
across() {
    fresh
    rm -rf own-* second.yaml*
    MINIMUM=3 write_study 40
    sed -i "$1" study.yaml
    "${sign[@]}" study.yaml >/dev/null || return 1
    for site in a b c d; do write_site $site '{folder: mail}' '{minimum_silos: 2}'; done
    check "all approve" approve study.yaml a b c
    coordinate_by study.yaml first; pids=$!
    for site in a b c; do join_by study.yaml $site; pids="$pids $!"; done
    check "rounds pass" round_reached 12
    kill ${pids%% *}; wait ${pids%% *}
    # shellcheck disable=SC2086
    kill ${pids#* }
    for pid in ${pids#* }; do wait "$pid" 2>/dev/null; done
    sed "s/  {name: site-c, key: .*}\]}/  {name: site-c, key: $(cat c2-keys/public.key)},\n  {name: site-d, key: $(cat d-keys/public.key)}],\n  follows: [$(digest_of study.yaml)]}/; s/rounds: 40/rounds: 60/" study.yaml >second.yaml
    check "a version is signed" exits 0 "${sign[@]}" second.yaml --before study.yaml
    check "it tells of the key" prints "study.sites: the key of site-c: "
    sed -i 's/c-keys/c2-keys/' site-c.yaml
    check "all approve it" approve second.yaml a b d
    rm -f mail/*
    coordinate_by second.yaml second; pids=$!
    for site in a b d; do join_by second.yaml $site; pids="$pids $!"; done
}
go_on() {
    # shellcheck disable=SC2086
    check "$1: all end well" ended $pids
    check "$1: the new site took part" grep -q '"name":"update","values":[1-9]' own-d/trial/journal.jsonl
    check "$1: with the model of a replay in one job" equal "$(digest)" "$(replay second.yaml run/events.jsonl)"
}

# ---- a key that was replaced ----------------------------------------------------------------------------
across ''
cp site-c.yaml new-c.yaml
sed -i 's/c2-keys/c-keys/' site-c.yaml
check "the old key is none of the version's" exits 78 "$GRANARY" join site-c.yaml --study second.yaml
# The holder of the old key has a copy of the study of before; nothing of it is taken.
"$GRANARY" join site-c.yaml --study study.yaml --idle 8 >/dev/null 2>old.log </dev/null; code=$?
check "nor is one that goes by the study of before let in" equal $code 75
check "and is told" grep -q "another edition of the study" old.log
cp new-c.yaml site-c.yaml
sed -i 's/own-c/own-c2/' site-c.yaml
check "the new one's holder approves" approve second.yaml c
join_by second.yaml c; pids="$pids $!"
go_on "a replaced key"
check "the audit knows both" exits 0 "$GRANARY" audit run --study second.yaml --journal own-a/trial/journal.jsonl --journal own-c2/trial/journal.jsonl

# ---- silos' own states, and a draw ------------------------------------------------------------------------
# The site of the new key keeps its folder here, with its silo's state in it.
scaffold='s/^model:/strategy: {name: scaffold}\nmodel:/'
kept='s/batch_size: 16/batch_size: 16, optimizer: adam, state: keep/'
drawn='s/^round: {/round: {participants: 3, /'
for case in "$scaffold" "$kept" "$drawn" "$scaffold; s/^round: {/&participants: 3, sampling: cyclic, /"; do
    across "$case"
    mkdir -p own-c/before; mv own-c/*.jsonl own-c/before/
    check "the new key's holder approves" approve second.yaml c
    join_by second.yaml c; pids="$pids $!"
    go_on "$case"
    check "$case: the audit knows the journal of both keys" exits 0 "$GRANARY" audit run --study second.yaml --journal own-c/trial/journal.jsonl
done

# ---- sites on several nodes, and another program -----------------------------------------------------------
# Each rank is a node of its own; a site adds its nodes up before the coordinator sees the sum.
fresh
rm -rf own-*
MINIMUM=4 MORE='aggregation: {ranks_per_node: 1}' write_study 30
for site in a b c; do write_site $site '{folder: mail}' '{minimum_silos: 3}'; done
check "all approve" approve study.yaml a b c
expected=$(one_job 30)
coordinate_by study.yaml nodes; pids=$!
join_by study.yaml a; pids="$pids $!"
join_ranks b 2; pids="$pids $!"
GRANARY=$BUILD/tests/granary-other
check "a site with another program is refused" exits 78 "$GRANARY" join site-c.yaml --study study.yaml
check "it is told which both are" says 'found "build another build", expected "build '
GRANARY=$BUILD/granary
check "so is the coordinator" grep -q 'site-c.*another build' nodes.log
join_by study.yaml c; pids="$pids $!"
# shellcheck disable=SC2086
check "with the right one all end well" ended $pids
check "on five nodes" grep -q '"nodes": *5' run/manifest.json
check "with the model of one job" equal "$(digest)" "$expected"
finish
