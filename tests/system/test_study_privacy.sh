#!/usr/bin/env bash
# Differential privacy between sites: each keeps the ledgers of its own silos, sees the price before it approves, and
# may demand a unit, an epsilon and a delta of a study; who has nothing left sits out alone. Noise of single sites, and in
# shares of all, of rows, persons and sites.
. "$(dirname "$0")/library.sh"
. "$(dirname "$0")/sites.sh"
number='type: number, range: [0, 1]'
columns="columns: [{name: glucose, $number}, {name: weightkg, $number}, {name: sick, type: label, categories: [\"no\", \"yes\"]}]"
MINIMUM=3 POLICY='{minimum_silos: 2}' LEFT_S=60 HELD_OUT=0 EVERY=0 SCALE=min_max FOLDERS=1 COLLECTIVE=10
TRAIN='learning_rate: 0.25, batch_size: 16'
make_parties
mkdir mail
# privacy MORE: of rows
privacy() { echo "privacy: {unit: row, clip_norm: 1, noise_multiplier: 2, expected_batch: 16, expected_units: 150, $1}"; }
# begin ROUNDS PRIVACY: a signed study that all sites have approved.
begin() {
    MORE=$2
    fresh
    write_study "$1" || return 1
    for site in a b c; do write_site $site '{folder: mail}' "$POLICY"; done
    approve_all
}
together() {
    local all=() site
    coordinate coordinator --mailbox mail --quiet; all+=($!)
    for site in a b c; do join $site; all+=($!); done
    ended "${all[@]}"
}
entries() { sed -n 's/^\([0-9]*\) entries, whole; head .*/\1/p' <("$GRANARY" privacy ledger "folder-$1"); }
all_entries() { echo "$(entries a) $(entries b1) $(entries b2) $(entries c)"; }
# epsilon: of "epsilon A to B", both.
epsilon() { grep -o 'epsilon [0-9.]* to [0-9.]*'; }

# ---- of rows, by each site -------------------------------------------------------------------------------
check "a study of rows" begin 5 "$(privacy 'budget: {epsilon: 1.5, delta: 0.001}')"
"$GRANARY" privacy plan study.yaml >plan
price=$(sed -n 's/^price *\(epsilon [0-9.]* to [0-9.]*\) for delta 0.001 after 5 rounds/\1/p' plan)
check "its price is shown where it is approved" exits 0 "$GRANARY" approve study.yaml --site site-a.yaml --yes
check "as the plan has it" prints "privacy      of each row: $price for delta 0.001 after 5 rounds"
check "all take part" together
check "each silo's ledger has all rounds" equal "$(all_entries)" "5 5 5 5"
check "they come to what was shown" equal "$("$GRANARY" privacy ledger folder-b2 --delta 0.001 | epsilon)" "$price"
check "they are their owner's" equal "$(stat -c %a folder-b1/privacy-ledger folder-b1/privacy-ledger.head | tr '\n' ' ')" "600 600 "
check "the coordinator has none" equal "$(find run -name '*ledger*' | wc -l)" 0
check "its manifest has the sentence" grep -q 'Differential privacy of one row that is there or not: epsilon at most 1.137 ' run/manifest.json
check "its report as well" grep -q 'Differential privacy of one row that is there or not: epsilon at most 1.137 ' run/report.html

# ---- what a site demands ------------------------------------------------------------------------------------
# demands POLICY WORDS: site a refuses, and says why.
demands() {
    write_site a '{folder: mail}' "{minimum_silos: 2, privacy: $1}"
    check "refused by $1" exits 77 "$GRANARY" approve study.yaml --site site-a.yaml --yes
    check "with the reason" says "site-a.yaml:4: policy.privacy.$2"
}
demands '{unit: person}' 'unit: found row (privacy.unit of study.yaml), allowed only person'
demands '{epsilon: 1.1}' 'epsilon: found 1.137 at a delta of 0.001 after 5 rounds (`granary privacy plan study.yaml`), allowed at most 1.1'
demands '{delta: 1.0e-5}' 'delta: found 0.001 (privacy.budget.delta of study.yaml), allowed at most 1e-05'
write_site a '{folder: mail}' '{minimum_silos: 2, privacy: {unit: row, epsilon: 1.2, delta: 0.001}}'
check "as much is allowed" exits 0 "$GRANARY" approve study.yaml --site site-a.yaml --yes
FOLDERS='' write_site a '{folder: mail}' "$POLICY"
check "a silo without a folder" exits 78 "$GRANARY" approve study.yaml --site site-a.yaml --yes
check "is told so before anything is trained" says "site-a.yaml:3: silos[0].directory: found nothing, expected a folder of the silo's own, for its ledger"

# ---- what is left of it ------------------------------------------------------------------------------------
# Site a has spent all that its policy allows; the budget of the study is larger for all.
check "the study goes on as another" begin 5 "$(privacy 'budget: {epsilon: 4, delta: 0.001}')"
write_site a '{folder: mail}' '{minimum_silos: 2, privacy: {unit: row, epsilon: 1.2, delta: 0.001}}'
coordinate coordinator --mailbox mail --quiet; all=($!)
join a; a=$!
for site in b c; do join $site; all+=($!); done
check "a site that has spent its own epsilon leaves" left 77 $a
check "its terminal says so" grep -q 'policy.privacy.epsilon: 0 of 5 rounds fit the site.s own 1.2 at a delta of 0.001, of which 1.137 was spent before' join-a.log
check "the others go on" ended "${all[@]}"
check "they are not told why" bash -c '! grep -q "policy.privacy\|1\.137" join-b.log join-c.log coordinator.log'
check "its ledger is as it was" equal "$(all_entries)" "5 10 10 10"
sed -i 's/{unit: row, epsilon: 1.2, delta: 0.001}/{}/' site-a.yaml
check "a budget with nothing left for three silos" begin 5 "$(privacy 'budget: {epsilon: 1.14, delta: 0.001, on_exhausted: stop}')"
coordinate coordinator --mailbox mail --quiet
for site in a b c; do join $site; done
check "ends for all" left 77 $!
kill %% 2>/dev/null
signal_ours 9; wait
check "nothing is charged" equal "$(all_entries)" "5 10 10 10"

# ---- noise in shares -----------------------------------------------------------------------------------------
# Of three sites all are the threshold, so that their shares are the noise and no more: of 10,602 parameters a norm
# has a relative deviation of 0.007.
noise() {
    [ "$(wc -l <run/metrics.jsonl)" = 3 ] || { echo "  not three rounds"; return 1; }
    sed 's/.*"participants":\([0-9]*\),.*"update_norm":\([^,]*\),.*/\1 \2/' run/metrics.jsonl | awk -v sigma="$1" '
        { ratio = $2 * $1 / (sigma * sqrt(10602)); if (!(ratio > 0.96 && ratio < 1.04)) bad = bad " " ratio }
        END { if (bad != "") { print "  noise / expected:" bad; exit 1 } }'
}
secure='secure: {aggregation: true}
aggregation: {grid: public, weight_max: 1, clip_norm: 1}'
HIDDEN='100, 100' TRAIN='learning_rate: 0.25, batch_size: 16, epochs: 0, steps: 1'
rm -rf folder-?*
check "a study of rows with shared noise" begin 3 "$(privacy 'noise: shared, noise_multiplier: 100, budget: {delta: 0.001}' | sed 's/noise_multiplier: 2, //')
$secure"
check "all take part" together
check "the noise is in the sum once, without any one's share" noise "$(awk 'BEGIN { print 100 * 0.25 / 16 * sqrt(3 / 2) }')"
check "each silo is charged" equal "$(all_entries)" "3 3 3 3"
rm -rf folder-?*
check "a study of silos" begin 3 "privacy: {unit: silo, adjacency: zero_out, noise: shared, clip_norm: 1, noise_multiplier: 50, budget: {delta: 0.01}}
$secure"
check "all take part" together
check "the noise is in the sum once, without any one's share" noise "$(awk 'BEGIN { print 50 * sqrt(3 / 2) }')"
check "each silo is charged" equal "$(all_entries)" "3 3 3 3"

# ---- persons; a site and the coordinator are lost --------------------------------------------------------------
for site in a b1 b2 c; do
    awk 'NR == 1 { print "patient," $0 } NR > 1 { print "p" int(NR / 3) "," $0 }' $site.csv >person.csv && mv person.csv $site.csv
done
columns=${columns/\[/[{name: patient, type: group\}, }
HIDDEN=8 TRAIN='learning_rate: 0.25, batch_size: 16'
rm -rf folder-?*
check "a study of persons" begin 40 "$(privacy 'budget: {delta: 0.001}' | sed 's/unit: row/unit: person/; s/expected_units: 150/expected_units: 50/')"
coordinate coordinator --mailbox mail --quiet; coordinator=$!
for site in a b c; do join $site; declare "$site=$!"; done
check "rounds are done" round_reached 3
kill -9 $b
join b; b=$!
check "a site is lost and back" round_reached 12
kill -9 $coordinator
check "the manifest of a run that was killed says how much may have left" \
    grep -q 'after 40 rounds, to which the run, which had not ended then, may have come' run/manifest.json
coordinate coordinator --mailbox mail --quiet
check "the coordinator is lost and back" ended $! $a $b $c
check "all rounds are done" equal "$(wc -l <run/metrics.jsonl)" 40
# covered SILO: an entry for each round that is in the model, or more.
covered() { [ "$("$GRANARY" privacy ledger "folder-$1" | grep -c ' round ')" -ge 40 ]; }
for silo in a b1 b2 c; do check "the ledger of $silo has all rounds, or more" covered $silo; done
check "for persons" bash -c '"$GRANARY" privacy ledger folder-c --delta 0.001 | grep -q "^spent on each person: epsilon"'

# ---- a trial, and no rehearsal -----------------------------------------------------------------------------------
check "on one machine" exits 0 "$GRANARY" study trial study.yaml site-a=a.csv b1=b1.csv b2=b2.csv site-c=c.csv -o trial
check "each silo has a folder" exits 0 "$GRANARY" validate trial/config.yaml
sed -i 's/rounds: 40/rounds: 40, rehearsal: true/' study.yaml
check "noise that all can repeat" exits 78 "$GRANARY" validate study.yaml
check "is none" says "run.rehearsal: found in a study, allowed none: a study is no rehearsal"
finish
