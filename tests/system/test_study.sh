#!/usr/bin/env bash
# quick
# Studies between institutions before they run: keys, the signed study, a site's policy and approval.
. "$(dirname "$0")/library.sh"

# ---- keys ---------------------------------------------------------------------------------------------
mode() { stat -c %a "$1"; }
(umask 000; "$GRANARY" keygen coordinator >coordinator.pub 2>"$ERR")
check "keygen" says "coordinator/secret.key stays on this machine"
check "a secret key is its owner's alone, whatever the umask" equal "$(mode coordinator/secret.key)" 600
check "so is its folder" equal "$(mode coordinator)" 700
check "standard output has the public key" cmp coordinator.pub coordinator/public.key
check "and nothing of the secret one" bash -c '! grep -qFf <(tail -n +2 coordinator/secret.key) "$0" coordinator.pub coordinator/public.key' "$ERR"
cp -r coordinator before
check "keys are never replaced" exits 73 "$GRANARY" keygen coordinator
check "it is said" says "is there already"
check "they are as they were" diff -r before coordinator
check "keygen needs a folder" exits 64 "$GRANARY" keygen
for site in cleveland hungarian switzerland va stranger; do
    check "keys of $site" exits 0 "$GRANARY" keygen $site
done

# ---- the example, with keys of ours ------------------------------------------------------------------
# filled FILE: the example with the keys of this test in the place of nobody's.
filled() {
    local text party
    text=$(cat "$1")
    for party in coordinator cleveland hungarian switzerland va; do
        # The key behind the first name that stands before one.
        text=$(awk -v party="$party" -v key="$(cat $party/public.key)" '
            $1 == "coordinator:" && party == "coordinator" { sub(/gk1-.*/, key) }
            $2 == "name:" { name = $3 }
            $1 == "key:" && name == party { sub(/gk1-.*/, key) }
            { print }' <<<"$text")
    done
    echo "$text"
}
check "the example is valid as it is" exits 0 "$GRANARY" validate "$TOP/configs/study/study.yaml"
check "it is told what it is" prints "a study of 4 sites with 4 silos; not signed yet"
check "no site without a policy refuses it" bash -c '! grep -q "to mind" "$0"' "$OUT"
sed /^policy:/d "$TOP/configs/study/study.yaml" >loose.yaml
check "of a study that sites would refuse" exits 0 "$GRANARY" validate loose.yaml
check "the coordinator is told the rule" prints "policy.minimum_silos: found 2 (policy.minimum_silos of loose.yaml), allowed at least 3 (the default)"
filled "$TOP/configs/study/study.yaml" >study.yaml
mkdir site
sed 's|key: keys |key: ../cleveland |' "$TOP/configs/study/site.yaml" >site/site.yaml
check "validate of a site looks for its tables" exits 65 "$GRANARY" validate site/site.yaml
check "behind the folder of its file" says "site/heart-disease/cleveland.csv: No such file"
mkdir -p site/heart-disease && touch site/heart-disease/cleveland.csv
check "the example of a site is valid" exits 0 "$GRANARY" validate site/site.yaml
check "its key is told" prints "$(cat cleveland/public.key)"
check "options of a config have no sense" exits 64 "$GRANARY" validate study.yaml --set run.rounds=3
check "it is no config to train" exits 78 "$GRANARY" train study.yaml --run no
check "it is told what it is" says "study.yaml: the file of a study, expected a config"
check "nor is a site's" exits 78 "$GRANARY" releases site/site.yaml
check "it is told too" says "site.yaml: the file of a site, expected a config"
check "releases of a study" exits 0 "$GRANARY" releases study.yaml
cp "$OUT" of-study
check "for a program" exits 0 "$GRANARY" releases study.yaml --json
check "have numbers" prints '"release": 18,'
check "its settings are signed" exits 64 "$GRANARY" releases study.yaml --set evaluate.every=0

# ---- signing ------------------------------------------------------------------------------------------
approve=("$GRANARY" approve study.yaml --site site/site.yaml)
check "a study that nobody has signed" exits 78 "${approve[@]}" --yes
check "who signs is said" says "granary study sign study.yaml --key DIR"
check "show" exits 0 "$GRANARY" study show study.yaml
check "it is not signed" prints "signature    none yet"
check "its columns" prints "features     age, sex, chest_pain"
check "another key" exits 78 "$GRANARY" study sign study.yaml --key va
check "both are named" bash -c 'grep -qF "$(cat va/public.key)" "$0" && grep -qF "$(cat coordinator/public.key)" "$0"' "$ERR"
check "no signature was written" test ! -e study.yaml.sig
check "without a key" exits 64 "$GRANARY" study sign study.yaml
check "without a word" exits 64 "$GRANARY" study
check "another word" exits 64 "$GRANARY" study sing study.yaml
check "it is named" says "found 'sing', expected sign, show, trial or status"
chmod 640 coordinator/secret.key
check "a key that others can read" exits 78 "$GRANARY" study sign study.yaml --key coordinator
check "its mode is named" says "coordinator/secret.key: found mode 0640, expected 0600"
chmod 600 coordinator/secret.key
check "sign" exits 0 "$GRANARY" study sign study.yaml --key coordinator
check "show tells it" exits 0 "$GRANARY" study show study.yaml
check "whose it is" prints "signature    of the coordinator"
check "validate tells it" exits 0 "$GRANARY" validate study.yaml
check "too" prints "signed by its coordinator"

# ---- approving ----------------------------------------------------------------------------------------
check "nobody to ask" exits 64 "${approve[@]}"
check "it is said" says "nobody can be asked"
check "it shows what would leave all the same" prints "18  update"
check "and nothing is recorded" test ! -e site/heart-4
check "as granary releases of such a config does" bash -c '
    sed -n "/^What would leave/,/^policy:/p" "$0" | tail -n +3 >by-approve
    awk "/^(study|schema):/ { skip = 1; next } /^[a-z]/ { skip = 0 } !skip" study.yaml | sed "s|^data:|data:\n  silo_tables: [{file: site:a}, {file: site:b}, {file: site:c}, {file: site:d}]\n  schema: x|" >plain.yaml
    "$GRANARY" releases plain.yaml | cmp - by-approve && cmp of-study by-approve' "$OUT"
check "yes" exits 0 "${approve[@]}" --yes --number "EC 2026/117" --by "Dr. Müller"
check "the policy was asked" prints "site/site.yaml: the site's policy allows it"
check "the site is named" prints "this site    cleveland"
check "its approval is shown" prints "approval     EC 2026/117, by ethics committee, until 2027-12-31"
check "the line has it" grep -q '"number":"EC 2026/117","by":"Dr. Müller","signature":"[0-9a-f]\{128\}"}$' site/heart-4/approvals.jsonl
check "of this study" grep -q "\"study\":\"$("$GRANARY" study show study.yaml | sed -n 's/^digest  *//p')\"" site/heart-4/approvals.jsonl
check "for its owner" equal "$(mode site/heart-4) $(mode site/heart-4/approvals.jsonl)" "700 600"
check "once" exits 0 "${approve[@]}" --yes
check "is enough" prints "approved already"
check "one line" equal "$(wc -l <site/heart-4/approvals.jsonl)" 1
check "from another folder" bash -c 'cd site && "$GRANARY" approve ../study.yaml --site site.yaml --yes | grep -q "approved already"'
check "without --site" exits 64 "$GRANARY" approve study.yaml
if command -v script >/dev/null; then
    rm -r site/heart-4
    # asked ANSWER: on a terminal.
    asked() { echo "$1" | script -qec "'$GRANARY' approve study.yaml --site site/site.yaml" /dev/null >asked; }
    check "a terminal is asked" asked no
    check "no is no" grep -q "not approved: nothing is recorded" asked
    check "nor is y" asked y
    check "nothing is recorded" test ! -e site/heart-4
    check "yes" asked yes
    check "is yes" grep -q "approved: recorded in site/heart-4/approvals.jsonl" asked
else
    echo "left out: the question on a terminal, script(1) is not here"
fi

# ---- what does not fit --------------------------------------------------------------------------------
sed "s|../cleveland|../va|; s|name: cleveland|name: va|" site/site.yaml >site/va.yaml
check "another site's approvals" exits 78 "$GRANARY" approve study.yaml --site site/va.yaml --yes
check "are no approvals of its own" says "approvals.jsonl:1: found a line that another key has signed"
sed -i 's/directory: heart-4/directory: va/' site/va.yaml
check "in a folder of its own" exits 0 "$GRANARY" approve study.yaml --site site/va.yaml --yes
sed "s|../cleveland|../stranger|" site/site.yaml >site/stranger.yaml
check "a stranger" exits 78 "$GRANARY" approve study.yaml --site site/stranger.yaml --yes
check "by key" says "found the public key $(cat stranger/public.key), expected that of a site"
sed "s|../cleveland|../coordinator|" site/site.yaml >site/stranger.yaml
check "the coordinator" exits 78 "$GRANARY" approve study.yaml --site site/stranger.yaml --yes
check "is no site" says "not of its coordinator"
sed "s|{name: cleveland,|{name: clevelnad,|" site/site.yaml >site/stranger.yaml
check "a silo of another name" exits 78 "$GRANARY" approve study.yaml --site site/stranger.yaml --yes
check "is named" says 'silos: found none of the name "cleveland"'
chmod 644 cleveland/secret.key
check "a site's key that others can read" exits 78 "${approve[@]}" --yes
check "is named" says "cleveland/secret.key: found mode 0644"
chmod 600 cleveland/secret.key
cp study.yaml good.yaml; cp study.yaml.sig good.yaml.sig
sed -i 's/rounds: 60/rounds: 61/' study.yaml
check "a study that was edited after it was signed" exits 78 "${approve[@]}" --yes
check "by digest" says "the study was changed after it was signed"
check "validate finds it" exits 78 "$GRANARY" validate study.yaml
check "show as well" exits 78 "$GRANARY" study show study.yaml
check "signed again" exits 0 "$GRANARY" study sign study.yaml --key coordinator
check "it has to be approved again" exits 64 "${approve[@]}"
check "yes" exits 0 "${approve[@]}" --yes
check "both are approved" equal "$(wc -l <site/heart-4/approvals.jsonl)" 2

# ---- a site's own tables -------------------------------------------------------------------------------
# invented: rows of a hospital by the example's schema.
invented() {
    awk 'BEGIN { srand(7); for (i = 0; i < 60; i++) { sick = rand() < 0.5
        printf "%d,%d,%d,%d,%d,%d,%d,%d,%d,%.1f,%d,%d,%d,%d\n", 40 + i % 30, i % 2, 1 + i % 4, 120 + i, 210 + i, i % 3 == 0,
            i % 3, 150 - 10 * sick, sick, i / 30, 1 + i % 3, sick, sick ? 7 : 3, sick } }'
}
invented >site/heart-disease/cleveland.csv
check "tables are read as by the study" exits 0 "$GRANARY" validate study.yaml --site site/site.yaml
check "it is said" prints "site/site.yaml: its tables can be read as by study.yaml"
check "of this site alone" prints "silos      1 on 1"
check "nothing is left of it" equal "$(find /tmp -maxdepth 1 -name 'granary-validate-*' -newer good.yaml -user "$(id -un)")" ""
check "nor in its folder" equal "$(ls -x -w 200 site/heart-4)" "approvals.jsonl  studies"
# A trial on one machine: the model of the config that the example was made of.
for silo in hungarian switzerland va; do sed "s/^4/5/" site/heart-disease/cleveland.csv | head -n $((30 + ${#silo})) >$silo.csv; done
tables=(cleveland=site/heart-disease/cleveland.csv hungarian=hungarian.csv switzerland=switzerland.csv)
check "a trial needs all tables" exits 64 "$GRANARY" study trial study.yaml "${tables[@]}" -o trial
check "who has none is named" says 'found no table for the silo "va"'
check "nor a stranger's" exits 64 "$GRANARY" study trial study.yaml "${tables[@]}" va=va.csv x=va.csv -o trial
check "a word that is none" exits 64 "$GRANARY" study trial study.yaml "${tables[@]}" va.csv -o trial
check "nor nowhere" exits 64 "$GRANARY" study trial study.yaml "${tables[@]}" va=va.csv
check "a trial" exits 0 "$GRANARY" study trial study.yaml va=va.csv "${tables[@]}" -o trial
check "is not overwritten" exits 73 "$GRANARY" study trial study.yaml "${tables[@]}" va=va.csv -o trial
check "it trains" exits 0 "$GRANARY" train trial/config.yaml --set run.rounds=3 --run of-trial --quiet
ln -s "$TOP/configs" configs; mkdir heart-disease; cp hungarian.csv switzerland.csv va.csv site/heart-disease/cleveland.csv heart-disease
check "the same on one machine" exits 0 "$GRANARY" train configs/heart-disease.yaml --set run.rounds=3 --set policy.minimum_silos=3 --set "silos=[{name: cleveland}, {name: hungarian}, {name: switzerland}, {name: va}]" --run of-config --quiet
check "is the same model" equal "$("$GRANARY" inspect --digest of-trial/model.h5)" "$("$GRANARY" inspect --digest of-config/model.h5)"
config_of() { grep -o '"config_digest": *"[0-9a-f]\{64\}"' "$1/manifest.json" || echo failed; }
check "by the same config" equal "$(config_of of-trial)" "$(config_of of-config)"
sed -i '5s/^[0-9]*/old/' site/heart-disease/cleveland.csv
check "a row that does not fit" exits 65 "$GRANARY" validate study.yaml --site site/site.yaml
check "is named, with its value's place" says "cleveland.csv:5"
check "join finds it before it meets the others" exits 65 timeout 60 "$GRANARY" join site/site.yaml --study study.yaml
check "and names it too" says "cleveland.csv:5"
check "a stranger's" exits 78 "$GRANARY" validate study.yaml --site site/stranger.yaml
check "a config has no site" exits 64 "$GRANARY" validate "$TOP/configs/synthetic.yaml" --site site/site.yaml
check "nor other settings" exits 64 "$GRANARY" validate study.yaml --site site/site.yaml --resolved

# ---- the policy ---------------------------------------------------------------------------------------
sed -i 's/rounds: 100/rounds: 60/; s/until: 2027-12-31$/until: 2026-01-31/' site/site.yaml
check "a policy that refuses" exits 77 "${approve[@]}" --yes
check "names line, rule, found and allowed" says "site/site.yaml:$(grep -n "rounds:" site/site.yaml | cut -d: -f1): policy.rounds: found 61 (run.rounds of study.yaml), allowed at most 60"
check "all of them" says "site/site.yaml:$(grep -n "until:" site/site.yaml | tail -n 1 | cut -d: -f1): policy.until: found a later day (the clock of this machine), allowed up to 2026-01-31"
check "what would leave was shown before" prints "18  update"
check "and nothing is recorded" equal "$(wc -l <site/heart-4/approvals.jsonl)" 2
sed -i 's/until: 2026-01-31$/until: 31.01.2029/' site/site.yaml
check "a day in another form" exits 78 "${approve[@]}" --yes
check "is told" says "policy.until: found \"31.01.2029\", allowed a day such as 2027-12-31"
echo "  round: 5" >>site/site.yaml
check "a misspelt rule" exits 78 "${approve[@]}" --yes
check "is no rule that is passed over" says "policy.round: found an unknown key, allowed minimum_silos"
check "the nearest is named" says "nearest is policy.rounds"

# ---- another language -----------------------------------------------------------------------------------
mkdir languages
localedef -i de_DE -f UTF-8 "$SCRATCH/languages/de_DE.UTF-8" >/dev/null 2>&1
if [ -e languages/de_DE.UTF-8/LC_NUMERIC ]; then
    german=(env LOCPATH="$SCRATCH/languages" LC_ALL=de_DE.UTF-8)
    sed 's/learning_rate: 0.05/learning_rate: 0.25/; s/deadline_s: 36h/deadline_s: 1.5h/' good.yaml >study.yaml
    sed "s|key: keys |key: ../cleveland |; s/rounds: 100/rounds: 100\n  privacy: {epsilon: 2.5}/" "$TOP/configs/study/site.yaml" >site/site.yaml
    check "sign in German" exits 0 "${german[@]}" "$GRANARY" study sign study.yaml --key coordinator
    check "shown in another language" exits 77 "${approve[@]}" --yes
    check "numbers have a point" says "allowed at most 2.5"
    check "in German too" exits 77 "${german[@]}" "$GRANARY" approve study.yaml --site site/site.yaml --yes
    check "the same" says "allowed at most 2.5"
    sed -i '/  privacy:/d' site/site.yaml
    check "approve in German" exits 0 "${german[@]}" "$GRANARY" approve study.yaml --site site/site.yaml --yes
    check "the digest is the same" equal "$(LC_ALL=C "$GRANARY" study show study.yaml)" "$("${german[@]}" "$GRANARY" study show study.yaml)"
    check "and the time is ISO" grep -qE '^\{"time":"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z"' site/heart-4/approvals.jsonl
else
    echo "left out: German, whose sources are not here"
fi

# ---- the manual knows every key -------------------------------------------------------------------------
while read -r key; do
    check "a page has $key" grep -qE "(\`|[{ .]|^)$key(\`|:)" "$TOP/src/cli/manual/policy.md" "$TOP/src/cli/manual/institutions.md"
done < <(sed -n 's/^ *X##_[A-Z_]*(in, \([a-z_]*\),.*/\1/p' "$TOP/include/granary/study.h" | sort -u)
finish
