#!/bin/bash
# Means, deviations and modes under differential privacy: one release with noise, charged before it leaves.
. "$TESTS/system/library.sh"

# Three clinics; some have no bp, some no ward. SEED ROWS
rows() {
    awk -v seed="$1" -v n="$2" 'BEGIN { srand(seed); print "who,age,bp,ward,died"
        for (i = 0; i < n; i++) { age = 30 + int(80 * rand())
            printf "p%d,%d,%s,%s,%s\n", i / 3, age, i % 9 == 4 ? "" : 60 + int(120 * rand()), i % 7 == 2 ? "" : i % 3 == 1 ? "east" : "west", rand() < age / 100 ? "yes" : "no" } }'
}
for i in 1 2 3; do rows $i 2400 >$i.csv; done
cat >schema.yaml <<'YAML'
columns:
- {name: who, type: text}
- {name: age, type: integer, range: [0, 100]}
- {name: bp, type: number, range: [50, 250], missing: mean}
- {name: ward, type: category, categories: [east, west], encode: one_hot, missing: mode}
- {name: died, type: label, categories: [no, yes]}
YAML
sed 's/type: text/type: group/' schema.yaml >persons.yaml
cat >run.yaml <<'YAML'
run: {name: statistics, rounds: 3}
data:
  source: csv
  silo_tables: [{file: 1.csv}, {file: 2.csv}, {file: 3.csv}]
  schema: schema.yaml
evaluate: {every: 0}
preprocess: {scale: standardise}
model: {type: logistic}
train: {learning_rate: 0.5, batch_size: 24, epochs: 0, steps: 10}
checkpoint: {every: 1}
silos: [{directory: own1}, {directory: own2}, {directory: own3}]
privacy:
  unit: row
  clip_norm: 1
  noise_multiplier: 1.2
  expected_batch: 24
  expected_units: 2400
  statistics: {noise_multiplier: 4}
  budget: {epsilon: 5, delta: 1.0e-4}
YAML
field() { sed -n "s/^ *\"$2\": \"\{0,1\}\([^\",]*\)\"\{0,1\},\{0,1\}\$/\1/p" "$1/manifest.json" | head -1; }
# Of a release, or all.
entries() { cat "$1/privacy-ledger" 2>/dev/null | grep -c "\"entry\":.*\"release\":\"$2"; }
# The values of the fit: centre, spread or fill; by their place from 1.
fit() { "$GRANARY" inspect "$1/model.h5" | sed -n "s/^ *$2: \[\(.*\)\]/\1/p" | cut -d, -f"$3" | tr -d ' '; }
fits() { "$GRANARY" inspect "$1/model.h5" | grep -E '^ *(centre|spread|fill):'; }
within() { awk -v a="$1" -v b="$2" -v d="$3" 'BEGIN { exit !(a != "" && b != "" && a - b <= d && b - a <= d) }' || { echo "  '$1' is not '$2' to $3"; return 1; }; }
rehearse() { # RANKS RUN MORE...
    exits 0 on_ranks "$1" train run.yaml --run "$2" --quiet --set run.rehearsal=true --set privacy.budget.epsilon=0 "${@:3}"
}
# Mean and deviation of a column of all tables, clamped: COLUMN LOW HIGH. Then the mean of persons' means.
clamped() {
    cat 1.csv 2.csv 3.csv | awk -F, -v c="$1" -v low="$2" -v high="$3" '$1 == "who" { silo++ } $1 != "who" && $c != "" {
        x = $c < low ? low : $c > high ? high : $c; n++; s += x; q += x * x; id = silo $1; if (!(id in k)) p++; k[id]++; own[id] += x; squares[id] += x * x }
        END { for (id in k) { ps += own[id] / k[id]; pq += squares[id] / k[id] }
            printf "%.9g %.9g %.9g %.9g\n", s / n, sqrt(q / n - s * s / n / n), ps / p, sqrt(pq / p - ps * ps / p / p) }'
}
read -r age age_deviation age_of_persons age_deviation_of_persons < <(clamped 2 0 100)
read -r bp bp_deviation _ < <(clamped 3 50 250)

# ---- what is told -----------------------------------------------------------------------------------
check "a run" exits 0 on_ranks 2 train run.yaml --run first --quiet
for i in 1 2 3; do check "silo $i has paid for 3 rounds and once" equal "$(entries own$i round) $(entries own$i statistics)" "3 1"; done
check "statistics before rounds" grep -q '"release":"statistics","round":0,.*"noise_multiplier":4,"sampling":1,"count":1' <(grep -m 1 '"release"' own1/privacy-ledger)
check "the manifest says it" grep -q 'and one release of columns. means, deviations and modes with 4 times as much as a row adds, against everybody' first/manifest.json
check "in a number too" equal "$(field first statistics_noise_multiplier)" 4.0
check "nothing was spent before" equal "$(field first epsilon_before)" 0.0
told=$("$GRANARY" privacy epsilon --noise-multiplier "$(field first noise_multiplier_accounted)" --sampling 0.01 --steps 30 --delta 1e-4 --before 4,1,1)
check "epsilon is the accountant's of both" awk -v m="$(field first epsilon_upper)" -v told="$told" 'BEGIN { while (match(told, /[0-9]+\.[0-9]+/)) { x = substr(told, RSTART, RLENGTH); told = substr(told, RSTART + RLENGTH); if (x - m < 3e-3 && m - x < 3e-3) ok = 1 } exit !ok }'
"$GRANARY" privacy plan run.yaml >plan.txt
check "the plan has a line of it" grep -q '^statistics  means, deviations and modes of columns once' plan.txt
check "and the price" within "$("$GRANARY" privacy plan run.yaml --json | sed -n 's/^ *"epsilon_upper": \([0-9.]*\),*$/\1/p')" "$(field first epsilon_upper)" 1e-3
left=$(grep -h '"event":"releases"' first/events.jsonl | grep -o '"name":"[a-z-]*"' | sort -u | tr '\n' ' ')
check "no other sum of columns has left" equal "$(echo "$left" | grep -o 'moments\|modes\|extremes\|value-exponents\|noised-statistics' | tr '\n' ' ')" "noised-statistics "
"$GRANARY" releases run.yaml >releases.txt
check "releases lists it" grep -q noised-statistics releases.txt
# 4 sqrt(6) rows of each of 3 silos; half of a range is 50 and 100: five deviations.
check "a mean" within "$(fit first centre 1)" "$age" 0.6
check "of a column with gaps" within "$(fit first centre 2)" "$bp" 1.4
check "a deviation" within "$(fit first spread 1)" "$age_deviation" 1.2
check "each has noise" test "$(fit first centre 1)" != "$age"
check "a missing number is the mean, a missing category the mode" equal "$(fit first fill 2) $(fit first fill 3)" "0 1"

# ---- the same secrets -------------------------------------------------------------------------------
for ranks in 1 2 3; do check "rehearsed on $ranks" rehearse $ranks r$ranks; done
check "the fit does not depend on ranks" equal "$(fits r1)" "$(fits r2)"
check "nor on which silo is where" equal "$(fits r1)" "$(fits r3)"
check "a rehearsal charges nothing" equal "$(entries own1 '')" 4
check "nearly without noise" rehearse 2 plain --set privacy.statistics.noise_multiplier=0.05
# A mean has 0.05 sqrt(6) rows of noise of each of 3 silos: of 7,200 rows and half a range of 50.
check "the mean is that of clamped values" within "$(fit plain centre 1)" "$age" 0.008
check "the deviation as well" within "$(fit plain spread 1)" "$age_deviation" 0.015
check "of the column with gaps" within "$(fit plain centre 2)" "$bp" 0.017
check "and its deviation" within "$(fit plain spread 2)" "$bp_deviation" 0.04

# A row more, with the same secrets: a sum moves by one row at most.
cp 2.csv two.csv
echo "p999,1000,1000,west,no" >>2.csv
check "a row more" rehearse 2 more
check "moves the mean by a row's" within "$(fit more centre 1)" "$(fit r2 centre 1)" "$(awk 'BEGIN { print 1.1 * 100 / 7200 }')"
check "and does" test "$(fit more centre 1)" != "$(fit r2 centre 1)"
cp two.csv 2.csv

# ---- persons ----------------------------------------------------------------------------------------
persons() { rehearse "$1" "$2" --set privacy.unit=person --set data.schema=persons.yaml --set privacy.expected_units=800 --set privacy.statistics.noise_multiplier="$3"; }
check "persons" persons 2 people 0.05
check "the mean is that of persons" within "$(fit people centre 1)" "$age_of_persons" 0.03
check "and the deviation of persons' mean squares" within "$(fit people spread 1)" "$age_deviation_of_persons" 0.06
check "with noise" persons 1 people4 4
check "the mean is near it" within "$(fit people4 centre 1)" "$age_of_persons" 2

# ---- too much noise ---------------------------------------------------------------------------------
check "much noise" rehearse 2 loud --set privacy.statistics.noise_multiplier=900
check "leaves the ranges" equal "$(fits loud | tr -d ' \n')" "fill:[0,0,2]centre:[50,150,0]spread:[50,100,1]"
check "and says so" grep -q 'too few values beside the noise' loud/events.jsonl

# ---- goes on ----------------------------------------------------------------------------------------
check "a run that stops" exits 0 on_ranks 2 train run.yaml --run halves --quiet --set run.rounds=2 --set privacy.budget.epsilon=50
before=$(entries own2 '')
fitted=$(fits halves)
check "goes on" exits 0 on_ranks 3 train run.yaml --run halves --resume --quiet --set run.rounds=3 --set privacy.budget.epsilon=50
check "and pays for one round" equal "$(($(entries own2 '') - before)) $(entries own2 statistics)" "1 2"
check "with the fit that it had" equal "$(fits halves)" "$fitted"

# ---- the budget -------------------------------------------------------------------------------------
before=$(entries own1 '')
check "statistics may not fit" exits 77 on_ranks 2 train run.yaml --run poor --quiet --set privacy.statistics.noise_multiplier=0.2
check "which is told" says 'privacy.budget: 0 of 3 rounds fit an epsilon of 5'
check "nor with a stop" exits 77 on_ranks 2 train run.yaml --run poor2 --quiet --set privacy.statistics.noise_multiplier=0.2 --set privacy.budget.on_exhausted=stop
check "and then nothing is charged" equal "$(entries own1 '')" "$before"

# ---- a table that is dealt, secure sums ----------------------------------------------------------------
(cat 1.csv; tail -n +2 2.csv) >all.csv
sed '/silo_tables/d; /^silos:/d; s/source: csv/source: csv\n  silos: 3\n  train: {file: all.csv}/; s/expected_units: 2400/expected_units: 1600/' run.yaml >dealt.yaml
check "dealt" exits 0 on_ranks 2 train dealt.yaml --quiet --run dealt
check "secure sums" rehearse 3 masked --set secure.aggregation=true --set 'aggregation={grid: public, clip_norm: 100, weight_max: 1}'
check "have the same fit" equal "$(fits masked)" "$(fits r1)"

# ---- killed once it is charged --------------------------------------------------------------------------
rm -rf own1 own2 own3
"$GRANARY" train run.yaml --run killed --quiet >"$OUT" 2>"$ERR" </dev/null &
for _ in $(seq 1500); do [ "$(entries own1 statistics)" = 0 ] || break; sleep 0.02; done
kill -9 $!
wait $! 2>/dev/null
check "what was charged stays" equal "$(entries own1 statistics)" 1
check "in a whole ledger" exits 0 "$GRANARY" privacy ledger own1
check "the run goes on" exits 0 "$GRANARY" train run.yaml --run killed --resume --quiet
check "each time that it was drawn is charged" test "$(entries own1 statistics)" -ge "$(entries own2 statistics)"
check "all rounds are there" equal "$(field killed rounds)" 3

# ---- what does not go with it ----------------------------------------------------------------------------
refused() { # WHAT SETTING... PATTERN
    check "refused: $1" exits 78 "$GRANARY" validate run.yaml "${@:2:$#-2}"
    check "with the reason: ${*: -1}" grep -qF -- "${*: -1}" "$ERR"
    check "in one line" equal "$(grep -c 'statistics\|column' "$ERR")" 1
}
refused "little noise" --set privacy.statistics.noise_multiplier=0.01 'privacy.statistics.noise_multiplier: found 0.01, allowed 0 or 0.05 to 1000'
refused "much noise" --set privacy.statistics.noise_multiplier=1001 'privacy.statistics.noise_multiplier: found 1001, allowed 0 or 0.05 to 1000'
for bad in nan inf -1; do refused "noise $bad" --set privacy.statistics.noise_multiplier=$bad 'privacy.statistics.noise_multiplier'; done
sed 's/, range: \[50, 250\]//' schema.yaml >unbounded.yaml
refused "no range" --set data.schema=unbounded.yaml 'unbounded.yaml:4: columns[2].range: found none, allowed [low, high] of a number that is scaled or filled with privacy.unit'
sed 's/, missing: [a-z]*//' schema.yaml >whole.yaml
refused "nothing to learn" --set data.schema=whole.yaml --set preprocess.scale=min_max 'columns: found none that is standardised or filled by mean or mode, expected one with privacy.statistics.noise_multiplier 4'
sed -i '/unit: row/d' run.yaml
refused none --set privacy.unit=none --set privacy.clip_norm=0 'privacy.statistics.noise_multiplier: found 4, allowed only 0, the default, with privacy.unit none'
refused silo --set privacy.unit=silo 'privacy.statistics.noise_multiplier: found 4, allowed only 0 with privacy.unit silo: it is made for rows and persons'
finish
