#!/usr/bin/env bash
# model.initial: a run starts from the model of another one, alone and as a study of three sites.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties
one_job 6 >/dev/null
initial=$("$GRANARY" inspect --digest plain/model.h5)
check "there is a model" equal ${#initial} 64
cp plain/model.h5 first.h5
from=(--set model.initial=first.h5 --set "model.initial_digest=$initial" --quiet)
digest_of() { "$GRANARY" inspect --digest "$1/model.h5"; }

# ---- a single job --------------------------------------------------------------------------------------
# At a rate whose steps vanish in float32 the model stays what it was.
check "a run starts from it" exits 0 on_ranks 2 train plain.yaml "${from[@]}" --set train.learning_rate=1e-30 --set run.rounds=1 --run still
check "with its parameters" equal "$(digest_of still)" "$initial"
check "the manifest has the digest" grep -qF "\"initial_digest\": \"$initial\"" still/manifest.json
check "it goes on" exits 0 "$GRANARY" train plain.yaml "${from[@]}" --run on
check "on any ranks" exits 0 on_ranks 3 train plain.yaml "${from[@]}" --run on-3
check "alike" equal "$(digest_of on)" "$(digest_of on-3)"
check "to another model" differ "$(digest_of on)" "$initial"
# Its preprocessing comes with it: other rows would be fitted otherwise.
sed 's/a.csv/tenfold.csv/' plain.yaml >tenfold.yaml
awk -F, -v OFS=, 'NR > 1 { $1 *= 10; $2 += 3 } { print }' a.csv >tenfold.csv
check "of other rows" exits 0 "$GRANARY" train tenfold.yaml "${from[@]}" --set train.learning_rate=1e-30 --set run.rounds=1 --run tenfold
fit_of() { grep -a -A 3 -E '^(centre|spread):' "$1/model.h5" | grep -aE '^(- |centre|spread)' || echo failed; }
check "nothing is fitted anew" equal "$(fit_of tenfold)" "$(fit_of plain)"
check "it would be otherwise" exits 0 "$GRANARY" train tenfold.yaml --quiet --run refitted
check "and be another" bash -c "[ '$(fit_of tenfold)' != '$(fit_of refitted)' ]"
check "a run that goes on needs the file no more" bash -c "mv first.h5 away.h5; '$GRANARY' train plain.yaml ${from[*]} --run on --resume --set run.rounds=8 >/dev/null 2>&1"
mv away.h5 first.h5
check "another initial model is another run" exits 78 "$GRANARY" train plain.yaml --quiet --run on --resume --set run.rounds=9

# ---- refusals ------------------------------------------------------------------------------------------
refused() { exits "$1" "$GRANARY" train plain.yaml --run no "${@:2}" && [ ! -e no ]; }
check "a digest is needed" refused 78 --set model.initial=first.h5
check "it is told where it is from" says "inspect --digest"
check "a file is" refused 78 --set "model.initial_digest=$initial"
check "another model" refused 78 --set model.initial=on/model.h5 --set "model.initial_digest=$initial"
check "both digests are told" says "$(digest_of on), expected $initial"
check "another shape" refused 78 "${from[@]}" --set "model.hidden=[9]"
check "both are told" says '"hidden":[8]'
check "validate finds it too" exits 78 "$GRANARY" validate plain.yaml "${from[@]:0:4}" --set "model.hidden=[9]"
sed 's/weightkg/heightcm/' schema.yaml >other.yaml
for silo in a b1 b2 c; do sed '1s/weightkg/heightcm/' $silo.csv >other-$silo.csv; done
check "other columns" refused 78 "${from[@]}" --set data.schema=other.yaml --set "data.silo_tables=[{file: other-a.csv}, {file: other-b1.csv}, {file: other-b2.csv}, {file: other-c.csv}]"
check "a checkpoint" refused 65 --set "model.initial=plain/checkpoints/$(ls plain/checkpoints | tail -n 1)" --set "model.initial_digest=$initial"
check "no model" refused 65 --set model.initial=a.csv --set "model.initial_digest=$initial"
perl -e 'open my $f, "+<", $ARGV[0]; seek $f, -20, 2; print $f "damage"' on/model.h5
check "a damaged one" refused 65 --set model.initial=on/model.h5 --set "model.initial_digest=$(digest_of on-3)"

# ---- a study -------------------------------------------------------------------------------------------
settings() {
    cat <<YAML
run: {rounds: $1}
preprocess: {scale: standardise}
model: {type: mlp, hidden: [8], initial_digest: $initial}
train: {learning_rate: 0.05, batch_size: 16}
policy: {minimum_silos: 4}
YAML
}
write_study 5
one_job 5 >/dev/null 2>&1
check "as one job" exits 0 "$GRANARY" train plain.yaml --run alone --quiet --set model.initial=first.h5
expected=$(digest_of alone)
for site in a b c; do write_site $site '{folder: mail}'; done
check "sites approve" approve_all
check "they see what it starts from" bash -c "'$GRANARY' approve study.yaml --site site-a.yaml --yes | grep -qF 'starts from  the model $initial'"
fresh
check "no study names a file" bash -c "sed 's/initial_digest: /initial: first.h5, &/' study.yaml >with.yaml; ! '$GRANARY' validate with.yaml 2>with.err; grep -q 'model.initial: found in a study' with.err"
coordinate initial --mailbox mail --initial first.h5; pids=$!
join a; pids="$pids $!"
join_ranks b 2; pids="$pids $!"
join c; pids="$pids $!"
# shellcheck disable=SC2086
check "all end well" ended $pids
check "with the model of one job" equal "$(digest)" "$expected"
# shellcheck disable=SC2046
check "the audit finds nothing" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
check "no path is told" bash -c '! grep -rqF first.h5 run'
fresh
coordinate nothing --mailbox mail
code=0
wait $! || code=$?
check "without the file nobody is waited for" equal $code 78
check "it is said how" grep -qF "coordinate --initial FILE" nothing.log
finish
