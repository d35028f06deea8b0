#!/usr/bin/env bash
# granary withdraw: a silo is taken out of a model by training another without it, of a single job's
# run and of a study's; what comes of it is what a run gives in which the silo never was, whose config
# is written here by hand.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
make_parties
cp c.csv d.csv; tail -n +60 b2.csv >>d.csv
digest_of() { "$GRANARY" inspect --digest "$1/model.h5"; }
echo "$columns" >schema.yaml
# config SILO...: of these, each with a table of its name; $round: the section of that name.
config() {
    local tables='' names='' silo
    for silo; do names="$names{name: $silo}, " tables="$tables{file: $silo.csv}, "; done
    cat <<YAML
run: {rounds: 6, seed: 5}
data: {source: csv, schema: schema.yaml, validation_fraction: 0.2, silo_tables: [$tables]}
silos: [$names]
preprocess: {scale: standardise}
model: {type: mlp, hidden: [6]}
train: {learning_rate: 0.05, batch_size: 8}
round: {${round:-}}
YAML
}
config a b1 b2 c d >all.yaml
config a b1 c d >without.yaml

# ---- one that took part in all rounds ------------------------------------------------------------------
check "a run" exits 0 "$GRANARY" train all.yaml --run runs/all --quiet
cp -r runs/all before
check "b2 is withdrawn" exits 0 "$GRANARY" withdraw runs/all --silo b2
check "it is told in how many rounds it was" prints "b2 took part in 6 of 6 rounds"
"$GRANARY" train without.yaml --run plain --quiet >/dev/null 2>&1
check "as if it had never been" equal "$(digest_of runs/all-without-b2/run)" "$(digest_of plain)"
check "the model was another" differ "$(digest_of runs/all)" "$(digest_of plain)"
check "the old run has a statement" grep -q '"silo": "b2"' runs/all/withdrawn.json
check "with the new digest" grep -q "\"model_digest\": \"$(digest_of plain)\"" runs/all/withdrawn.json
check "of what cannot be undone" grep -q '"not_undone"' runs/all/withdrawn.json
check "of its records nothing is changed" diff -r -x withdrawn.json -x report.html -x model-card.md -x lock runs/all before
check "its report tells" grep -q "the silo b2 has been withdrawn" runs/all/report.html
check "and its model card" grep -q "the silo b2 has been withdrawn" runs/all/model-card.md
check "inspect tells" bash -c "'$GRANARY' inspect runs/all | grep -q 'withdrawn *b2; the model without it is $(digest_of plain)'"
check "predict warns" exits 0 "$GRANARY" predict runs/all/model.h5 a.csv -o answers.csv
check "which silo" says "the silo b2 has been withdrawn from this model"
check "and not of the new model" bash -c "'$GRANARY' predict runs/all-without-b2/run/model.h5 a.csv -o answers.csv 2>&1 | grep -c withdrawn | grep -qx 0"
check "nothing starts from the old model" exits 78 "$GRANARY" train all.yaml --run no --quiet --set model.initial=runs/all/model.h5 --set "model.initial_digest=$(digest_of runs/all)"
check "it is told why" says "the silo b2 has been withdrawn"
check "once is enough" exits 0 "$GRANARY" withdraw runs/all --silo b2
check "another one goes from the new run" exits 78 "$GRANARY" withdraw runs/all --silo c
check "it is told which" says "expected the run of the model without that silo"
config a b1 d >without-two.yaml
check "and there it does, on two ranks, signed" exits 0 "$GRANARY" withdraw runs/all-without-b2/run --silo c -n 2 --key coordinator-keys -o two
"$GRANARY" train without-two.yaml --run plain-two --quiet >/dev/null 2>&1
check "as if neither had been" equal "$(digest_of two/run)" "$(digest_of plain-two)"
check "the signature holds" bash -c "'$GRANARY' inspect runs/all-without-b2/run | grep -q 'withdrawn *c;'"
sed -i 's/"first_round": 1/"first_round": 2/' runs/all-without-b2/run/withdrawn.json
check "and does not hold for other words" bash -c "'$GRANARY' inspect runs/all-without-b2/run | grep -q DAMAGED"

# ---- rounds that are recorded --------------------------------------------------------------------------
# b2 in rounds 3 to 5, c away in round 2; and with three of five drawn, out of the draws of silos' own.
round='sampling: list, availability: [{silos: [2], from: 3, to: 5}, {silos: [3], to: 1}, {silos: [3], from: 3}]' config a b1 b2 c d >listed.yaml
round='sampling: list, availability: [{silos: [2], to: 1}, {silos: [2], from: 3}]' config a b1 c d >listed-without.yaml
kept=(--set train.optimizer=adam --set train.state=keep --set aggregation.encoding=ring16 --quiet)
check "a run with absences" exits 0 "$GRANARY" train listed.yaml --run listed "${kept[@]}"
check "is withdrawn from" exits 0 "$GRANARY" withdraw listed --silo b2
check "its rounds are counted" prints "b2 took part in 3 of 6 rounds"
"$GRANARY" train listed-without.yaml --run listed-plain "${kept[@]}" >/dev/null 2>&1
# Killed wherever it is, two at once, with a disk that is full: the same command goes on.
cp -r listed killed; rm killed/withdrawn.json
for delay in .01 .04 .08 .15 .3; do
    "$GRANARY" withdraw killed --silo b2 >/dev/null 2>&1 </dev/null & pid=$!
    sleep $delay
    kill -9 $pid 2>/dev/null; wait $pid 2>/dev/null
    none_left granary
done
(ulimit -f 1; "$GRANARY" withdraw killed --silo b2 >/dev/null 2>&1 </dev/null)
for _ in 1 2; do "$GRANARY" withdraw killed --silo b2 >/dev/null 2>&1 </dev/null & done
wait
check "after kills, a full disk, and two at once" exits 0 "$GRANARY" withdraw killed --silo b2
check "it is the same" equal "$(digest_of killed-without-b2/run)" "$(digest_of listed-without-b2/run)"
check "the statement names it" grep -q "\"model_digest\": \"$(digest_of killed-without-b2/run)\"" killed/withdrawn.json
check "no half file stays" equal "$(find killed killed-without-b2 -name '*.tmp*')" ""
check "with the others' rounds" equal "$(digest_of listed-without-b2/run)" "$(digest_of listed-plain)"
# A run that loses a rank for good: who is absent stands in its events.
cp all.yaml lost.yaml
# shellcheck disable=SC2086
mpirun $MPIRUN_FLAGS -n 5 "$GRANARY" train lost.yaml --run lost --quiet --set run.rehearsal=true --set "faults=[{kind: kill, silo: 3, round: 4}]" >lost.out 2>&1 </dev/null
check "a run that loses silos" test -e lost/model.h5
check "and knows it" grep -q '"event":"partial"' lost/events.jsonl
# Records that somebody has edited say nothing of who took part.
cp -r lost edited
perl -pi -e 's/"silo-003"/"silo-004"/ if /"event":"partial"/' edited/events.jsonl
check "an event that was edited" bash -c '! cmp -s edited/events.jsonl lost/events.jsonl'
check "is found" exits 65 "$GRANARY" withdraw edited --silo b2
check "by its place" says "edited: events.jsonl:"
check "and nothing is made" test ! -e edited-without-b2
check "is withdrawn from" exits 0 "$GRANARY" withdraw lost --silo b2
round='sampling: list, availability: [{silos: [2], to: 3}]' config a b1 c d >lost-without.yaml
"$GRANARY" train lost-without.yaml --run lost-plain --quiet >/dev/null 2>&1
check "the lost one stays absent" equal "$(digest_of lost-without-b2/run)" "$(digest_of lost-plain)"
# Drawn silos: those that took part, by the replay of a run with the draw, less the one.
check "a run with a draw" exits 0 "$GRANARY" train all.yaml --run drawn --quiet --set round.participants=3 --set policy.minimum_silos=1
check "is withdrawn from" exits 0 "$GRANARY" withdraw drawn --silo b2 -o drawn-less
check "by what was drawn" grep -qE "sampling: '?list" drawn-less/config.yaml
check "in as many rounds as there were" equal "$(wc -l <drawn-less/run/metrics.jsonl)" 6
drawn_of() { perl -ne 'push @n, $1 if /"participants": ?(\d+)/; END { print "@n" }' "$1/metrics.jsonl"; }
check "without replacement" bash -c "[ '$(drawn_of drawn-less/run)' != '$(drawn_of drawn)' ]"

# ---- descendants ---------------------------------------------------------------------------------------
mkdir family
check "a run" exits 0 "$GRANARY" train all.yaml --run family/old --quiet
check "starts another" exits 0 "$GRANARY" train without.yaml --run family/child --quiet --set model.initial=family/old/model.h5 --set "model.initial_digest=$(digest_of family/old)"
check "which starts another" exits 0 "$GRANARY" train without.yaml --run family/grandchild --quiet --set model.initial=family/child/model.h5 --set "model.initial_digest=$(digest_of family/child)"
cp -r family/old family/copy
cp -r plain family/stranger
check "all are marked" exits 0 "$GRANARY" withdraw family/old --silo b2
check "the child, its child, the copy" equal "$(cd family && echo */withdrawn.json)" "child/withdrawn.json copy/withdrawn.json grandchild/withdrawn.json old/withdrawn.json"
check "as what they are" grep -q '"descends": true' family/grandchild/withdrawn.json
check "and are named" bash -c "grep -q \"\$(sed -n 's/.*\"run_id\": \"\(.*\)\",/\1/p' family/grandchild/manifest.json)\" family/old/withdrawn.json"

# ---- refusals ------------------------------------------------------------------------------------------
sed '/^silos:/d' all.yaml >unnamed.yaml
check "a run of silos without names" exits 0 "$GRANARY" train unnamed.yaml --run unnamed --quiet
check "cannot be withdrawn from" exits 78 "$GRANARY" withdraw unnamed --silo b2
check "it is told why" says "its silos have no names"
check "nor can a stranger be withdrawn" exits 78 "$GRANARY" withdraw before --silo x
check "nor without a name" exits 64 "$GRANARY" withdraw before
check "nor from no run" exits 65 "$GRANARY" withdraw schema.yaml --silo b2
check "nor where too few are left" exits 0 "$GRANARY" train all.yaml --run five --quiet --set policy.minimum_silos=5
check "nor where too few are left" exits 78 "$GRANARY" withdraw five --silo b2
check "it is told" says "policy.minimum_silos: found 5, allowed at most the 4"
check "nor where sizes decide" exits 0 "$GRANARY" train all.yaml --run sizes --quiet --set round.sampling=size --set round.share_sizes=true --set round.participants=3
check "nor where sizes decide" exits 78 "$GRANARY" withdraw sizes --silo b2
echo x >>before/resolved.yaml
check "nor by a config that is not the run's" exits 78 "$GRANARY" withdraw before --silo b2
check "and none of these is marked" bash -c '! ls before/withdrawn.json unnamed/withdrawn.json five/withdrawn.json sizes/withdrawn.json 2>/dev/null'

# ---- a study -------------------------------------------------------------------------------------------
write_study 12
for site in a b c; do write_site $site '{folder: mail}'; done
check "a study is approved" approve_all
fresh
coordinate study --mailbox mail; pids=$!
for site in a b c; do join $site; pids="$pids $!"; done
# shellcheck disable=SC2086
check "and runs" ended $pids
withdraw=("$GRANARY" withdraw run --silo b1 --key coordinator-keys -o less)
check "a study's run needs the study" exits 64 "${withdraw[@]}"
check "not the key of a site" exits 78 "$GRANARY" withdraw run --silo b1 --study study.yaml --key a-keys -o less
check "nor too few silos" exits 78 "${withdraw[@]}" --study study.yaml
withdraw+=(--minimum-silos 3)
cp -r run forged
sed -i '$d' forged/seals.jsonl
check "nor a run whose evidence was cut" exits 65 "$GRANARY" withdraw forged --silo b1 --key coordinator-keys -o no --study study.yaml --minimum-silos 3
check "nor anything is made of it" test ! -e no
check "b1 is taken out" exits 0 "${withdraw[@]}" --study study.yaml
check "it is told what is next" prints "granary coordinate less/study.yaml --run less/run"
check "the run is not marked yet" test ! -e run/withdrawn.json
check "the study is signed" prints "signed"
check "b brings one silo" bash -c "'$GRANARY' study show less/study.yaml | grep -q 'silos: b2\$\|site-b *, *silos: b2\|b2'"
check "and nobody else's name is gone" bash -c "'$GRANARY' study show less/study.yaml | grep -c site-[abc] | grep -qx 3"
sed -i 's/{name: b1, file: b1.csv}, //' site-b.yaml
for site in a b c; do "$GRANARY" approve less/study.yaml --site site-$site.yaml --yes >/dev/null 2>&1 || echo no; done
mkdir -p mail2
sed -i 's/folder: mail/folder: mail2/' site-?.yaml
"$GRANARY" coordinate less/study.yaml --key coordinator-keys --run less/run --mailbox mail2 >less.log 2>&1 </dev/null & pids=$!
for site in a b c; do
    "$GRANARY" join site-$site.yaml --study less/study.yaml >>join-less-$site.log 2>&1 </dev/null & pids="$pids $!"
done
# shellcheck disable=SC2086
check "the others run it" ended $pids
check "then it is stated" exits 0 "${withdraw[@]}" --study study.yaml
{ MINIMUM=3; settings 12; echo "silos: [{name: site-a}, {name: b2}, {name: site-c}]"
  echo "data: {source: csv, validation_fraction: 0.2, schema: schema.yaml, silo_tables: [{file: a.csv}, {file: b2.csv}, {file: c.csv}]}"; } >three.yaml
"$GRANARY" train three.yaml --run three --quiet >/dev/null 2>&1
check "with the model of one job without it" equal "$(digest_of less/run)" "$(digest_of three)"
# shellcheck disable=SC2046
check "the audit of the old run tells it" exits 0 "$GRANARY" audit run $(journals) --study study.yaml
check "by name" prints "withdrawn  b1; the model without it is $(digest_of three)"
check "the audit of the new run finds nothing" exits 0 "$GRANARY" audit less/run --study less/study.yaml
sed -i 's/"rounds_with_silo": 12/"rounds_with_silo": 11/' run/withdrawn.json
check "a statement that was changed is found" exits 65 "$GRANARY" audit run --study study.yaml
check "by its file" prints "withdrawn.json: not signed by the key"
finish
