#!/usr/bin/env bash
# A running study gets a new version: a site joins, by a folder and by https, and one leaves; what may
# not change is refused by name. The model is that of a replay in one job by the last version, to the
# last bit; journals and the audit follow the versions.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties
table 99 150 >d.csv
"$GRANARY" keygen d-keys >/dev/null 2>&1

# version FILE ROUNDS [SED]: the study with a fourth site, following study.yaml.
version() {
    sed "s/  {name: site-c, key: \(.*\)}\]}/  {name: site-c, key: \1},\n  {name: site-d, key: $(cat d-keys\/public.key)}],\n  follows: [$(digest_of study.yaml)]}/; s/rounds: [0-9]*/rounds: $2/; ${3:-}" study.yaml >$1
}
digest_of() { "$GRANARY" study show "$1" | sed -n 's/^digest  *//p'; }
sign=("$GRANARY" study sign --key coordinator-keys)
coordinate_by() { "$GRANARY" coordinate "$1" --key coordinator-keys --run run "${@:3}" >>"$2.log" 2>&1 </dev/null & }
join_by() { "$GRANARY" join site-$2.yaml --study $1 >>"join-$2.log" 2>&1 </dev/null & }
approve() { for site in "${@:2}"; do "$GRANARY" approve $1 --site site-$site.yaml --yes >approve-$site.txt 2>&1 || return 1; done; }
# replay STUDY EVENTS: the digest of one job with all tables by that study.
replay() {
    rm -rf trial replayed
    "$GRANARY" study trial $1 site-a=a.csv b1=b1.csv b2=b2.csv site-c=c.csv site-d=d.csv -o trial >/dev/null &&
        "$GRANARY" train trial/config.yaml --set round.replay=$2 --run replayed --quiet >/dev/null 2>replay.log &&
        "$GRANARY" inspect --digest replayed/model.h5
}

# ---- the rules ------------------------------------------------------------------------------------------
write_study 40
# What is fitted and counted once: scales, and how many rows each class has.
sed -i 's/batch_size: 16/batch_size: 16, class_weights: balanced/' study.yaml
"$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
version second.yaml 60
check "a version is signed beside the one it follows" exits 64 "${sign[@]}" second.yaml
check "it is told" says "follows another version (study.follows): --before STUDY, the file of that version, is missing"
check "it is" exits 0 "${sign[@]}" second.yaml --before study.yaml
check "what it changes is shown" prints "study.sites: site-d joins with the silo site-d"
check "each setting" prints "run.rounds: 40 then, 60 now"
# refused WORDS SED: a version with that change is refused with these words.
refused() {
    version bad.yaml 60 "$2"
    exits 78 "${sign[@]}" bad.yaml --before study.yaml && says "$1"
}
check "another seed" refused "run.seed: 1 then, 3 now (it decides the bits of the model)" "s/run: {/run: {seed: 3, /"
check "another model" refused "model.hidden: [8] then, [9] now" "s/hidden: \[8\]/hidden: [9]/"
check "another learning rate" refused "train.learning_rate: 0.05 then, 0.06 now" "s/0.05/0.06/"
check "another preprocessing" refused "preprocess.scale: standardise then, none now" "s/scale: standardise/scale: none/"
check "another schema" refused "schema: another than then" 's/name: weightkg/name: weight/'
check "another name" refused "study.name: trial then, trials now" "s/name: trial/name: trials/"
check "a site that is taken out of the list" refused "study.sites[0]: site-a with 1 silo then, site-b now (silos keep their places" "/name: site-a/d"
check "another digest before" refused "study.follows: found none of it, expected $(digest_of study.yaml)" "s/follows: \[[0-9a-f]*/follows: [$(printf 1%.0s {1..64})/"
check "and several are told at once" says "no version by which a run of study.yaml can go on"

# ---- a site joins, by a folder --------------------------------------------------------------------------
for site in a b c d; do write_site $site '{folder: mail}'; done
fresh
check "all approve the first version" approve study.yaml a b c
check "a site that is none yet does not" exits 78 "$GRANARY" approve study.yaml --site site-d.yaml --yes
coordinate_by study.yaml first --mailbox mail; first=$!
for site in a b c; do join_by study.yaml $site; pids[${#site}]=$!; done
sites=$(jobs -p | grep -vx "$first")
check "rounds pass" round_reached 15
kill $first; wait $first; code=$?
check "the coordinator stops" equal $code 75
for pid in $sites; do kill "$pid"; wait "$pid" 2>/dev/null; done
check "by the new version nobody takes part who has not approved it" exits 77 "$GRANARY" join site-a.yaml --study second.yaml
check "all approve it" approve second.yaml a b c d
check "and see what it changes" grep -q "study.sites: site-d joins with the silo site-d" approve-a.txt
check "the new site sees the whole" grep -q "has approved none of the versions" approve-d.txt
rm -f mail/*
coordinate_by second.yaml second --mailbox mail; pids=$!
for site in a b c d; do join_by second.yaml $site; pids="$pids $!"; done
# shellcheck disable=SC2086
check "by it all end well" ended $pids
check "the event of the version stands in the chain" grep -q '"event":"version","round":[0-9]*,"study":"'"$(digest_of second.yaml)" run/events.jsonl
check "with the model of a replay in one job" equal "$(digest)" "$(replay second.yaml run/events.jsonl)"
# shellcheck disable=SC2046
check "the audit finds all as it was vouched for" exits 0 "$GRANARY" audit run $(journals) --journal own-d/trial/journal.jsonl --study second.yaml
check "and tells of the version" prints "version    $(digest_of second.yaml) from round"
check "the first version is not the run's any more" exits 65 "$GRANARY" audit run --study study.yaml
check "nor can it be gone back to" exits 78 "$GRANARY" coordinate study.yaml --key coordinator-keys --run run --mailbox mail
check "which is told" says "the run goes by the study of digest $(digest_of second.yaml), expected that one or one that follows it"
cp -r run cut; rm cut/studies/"$(digest_of second.yaml)".yaml
check "without the copy of the version the audit finds it amiss" exits 65 "$GRANARY" audit cut
check "by its digest" prints "of which the run keeps no copy in studies/"

# ---- a site leaves, and another comes late, by https ------------------------------------------------------
# The third version: site-a has left, which the others go on without.
sed "s/\(name: site-a, key: [^}]*\)/\1, left: true/; s/follows: \[/follows: [$(digest_of second.yaml), /; s/rounds: 60/rounds: 80/; s/minimum_silos: 4/minimum_silos: 3/" second.yaml >third.yaml
check "a site that leaves" exits 0 "${sign[@]}" third.yaml --before second.yaml
check "is told" prints "study.sites: site-a leaves: its silos take no further part"
check "with what else changes" prints "policy.minimum_silos: 4 then, 3 now"
check "it is a version of the first one as well" exits 0 "${sign[@]}" third.yaml --before study.yaml
sed 's/minimum_silos: 3/minimum_silos: 5/' third.yaml >bad.yaml
check "more silos than those of sites that are left" exits 78 "${sign[@]}" bad.yaml --before second.yaml
check "are refused" says "policy.minimum_silos: found 5, allowed at most the 4 silos of sites that have not left"
check "the site itself cannot approve it" exits 78 "$GRANARY" approve third.yaml --site site-a.yaml --yes
check "as is told" says "found the site site-a, which has left the study"
coordinate_by third.yaml third --listen 127.0.0.1:0; pids=$!
for _ in $(seq 300); do grep -q "listening on port" third.log && break; sleep 0.1; done
port=$(sed -n 's/.*listening on port \([0-9]*\);.*/\1/p' third.log | tail -n 1)
pin=$(sed -n 's/.*pin: "\(.*\)".*/\1/p' third.log | tail -n 1)
for site in b c d; do write_site $site "{url: \"https://127.0.0.1:$port\", pin: \"$pin\"}" '{minimum_silos: 2}'; done
check "the others do" approve third.yaml b c d
for site in b c d; do join_by third.yaml $site; pids="$pids $!"; done
# shellcheck disable=SC2086
check "by https they go on to the end, and wait for nobody else" ended $pids
check "with the model of a replay in one job" equal "$(digest)" "$(replay third.yaml run/events.jsonl)"
check "the status tells who has left" bash -c '"$GRANARY" study status run | grep -q "site-a .*left for good"'
check "the audit of three versions finds all as it was vouched for" exits 0 "$GRANARY" audit run --study third.yaml \
    --journal own-b/trial/journal.jsonl --journal own-c/trial/journal.jsonl --journal own-d/trial/journal.jsonl
check "a run by two versions counts once for policy.runs" equal "$(wc -l <own-b/runs.jsonl)" 1

# ---- a site that was late ---------------------------------------------------------------------------------
# The fit is without it; it takes part when the run is gone on with, and the replay knows both.
START=5 MINIMUM=3 write_study 12
sed -i 's/batch_size: 16/batch_size: 16, class_weights: balanced/; s/name: site-c, key: \(.*\)}\]}/name: site-c, key: \1},\n  {name: site-d, key: '"$(cat d-keys/public.key)"'}]}/' study.yaml
"$GRANARY" study sign study.yaml --key coordinator-keys >/dev/null
rm -rf run own-?/trial mail ./*.log; mkdir mail
for site in a b c d; do write_site $site '{folder: mail}' '{minimum_silos: 2}'; done
check "a study of four sites" approve study.yaml a b c d
coordinate_by study.yaml late --mailbox mail; first=$!; pids=
for site in a b c; do join_by study.yaml $site; pids="$pids $!"; done
check "begins without the fourth" round_reached 3
kill $first; wait $first
rm -f mail/*
coordinate_by study.yaml late --mailbox mail; pids="$pids $!"
join_by study.yaml d
# shellcheck disable=SC2086
check "and ends with it" ended $pids $!
check "it took part" grep -q '"silo":"silo-004"\|"participants":5' run/metrics.jsonl
check "with the model of a replay in one job" equal "$(digest)" "$(replay study.yaml run/events.jsonl)"
finish
