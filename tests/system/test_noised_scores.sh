#!/bin/bash
# Rows that silos hold out under differential privacy: their scores have noise, and cost.
. "$TESTS/system/library.sh"
. "$TESTS/system/clinics.sh"

make_clinics 2400
sed 's/^data: {/data: {validation_fraction: 0.2, test_fraction: 0.3, /; s/rounds: 3/rounds: 5/; s/expected_units: 250/expected_units: 1500/' run.yaml >longer.yaml
cat longer.yaml - >run.yaml <<'YAML'
  evaluation: {noise_multiplier: 3, times: 3}
evaluate: {every: 2}
YAML
# The values of a figure, round by round.
figure() { grep -o "\"$2\":[^,}]*" "$1/metrics.jsonl" | cut -d: -f2; }
within() { awk -v a="$1" -v b="$2" -v d="$3" 'BEGIN { exit !(a != "" && a != "null" && a - b <= d && b - a <= d) }'; }

# ---- what is told -----------------------------------------------------------------------------------
check "a run with noised scores" exits 0 on_ranks 2 train run.yaml --run first --quiet
check "is scored every other round and at the end" equal "$(figure first test_accuracy_error | wc -l) $(figure first validation_loss | tr '\n' ' ' | sed 's/[0-9][0-9.]*/x/g')" "3 null x null x x "
for i in 1 2 3; do check "silo $i has paid for 5 rounds and 3 evaluations" equal "$(entries own$i round) $(entries own$i evaluation)" "5 3"; done
check "the manifest counts them" equal "$(field first evaluations) $(field first evaluation_noise_multiplier)" "3 3.0"
check "in words as well" grep -q 'and 3 evaluations of held-out rows with 3 times as much as a row adds, against everybody' first/manifest.json
told=$("$GRANARY" privacy epsilon --noise-multiplier "$(field first noise_multiplier_accounted)" --sampling 0.016 --steps 50 --delta 1e-4 --before 3,1,3)
check "epsilon is the accountant's of both" awk -v m="$(field first epsilon_upper)" -v told="$told" 'BEGIN { while (match(told, /[0-9]+\.[0-9]+/)) { x = substr(told, RSTART, RLENGTH); told = substr(told, RSTART + RLENGTH); if (x - m < 3e-3 && m - x < 3e-3) ok = 1 } exit !ok }'
check "the plan knows it before" within "$("$GRANARY" privacy plan run.yaml --json | sed -n 's/^ *"epsilon_upper": \([0-9.]*\),*$/\1/p')" "$(field first epsilon_upper)" 1e-3
# 7200 rows, of which 0.3 are held out by coins (deviation 39), and noise of 9 rows: six of both.
check "rows are told with noise" within "$(figure first test_rows | tail -1)" 2160 240
check "which is another each time" test "$(figure first test_rows | grep -v '^0$' | sort -u | wc -l)" -gt 1
left=$(grep '"event":"releases"' first/events.jsonl | grep -o '"name":"[a-z-]*"' | sort -u | tr '\n' ' ')
check "nothing else of rows has left" equal "$(echo "$left" | grep -o 'classes-held\|unscored\|silo-scores\|rows"\|auc-bounds\|noised-scores' | tr '\n' ' ')" "noised-scores "
check "the model card tells them with the noise's part in them" grep -qE '^\| accuracy \(test rows, after round 5\) \| 0?\.[0-9]+ \(standard error of the noise alone: 0\.[0-9]+\) \|$' first/model-card.md
check "evaluation.json has no count" grep -q '"why": "of rows that silos hold out counts leave with noise alone' first/evaluation.json
check "nor counts of a confusion matrix" equal "$(sed -n '/"counts"/,/^ }/p' first/evaluation.json | grep -o '[0-9][0-9]*' | sort -u)" 0
error=$(figure first test_accuracy_error | tail -1 | awk '{ printf "%.2f", 100 * $1 }')
check "the report has the standard error beside the score" grep -qE "[0-9.]+&#8239;% <small>standard error $error&#8239;%</small></b><span>test accuracy" first/report.html
check "and in its first sentence" grep -qE "of the cases, with a standard error of $error&#8239;% by the noise" first/report.html
check "and what is promised" grep -q 'Differential privacy of one row that is there or not: epsilon at most' first/report.html
"$GRANARY" releases run.yaml >releases.txt
check "releases lists them" grep -q noised-scores releases.txt
check "the split's secret is the silo's own" equal "$(stat -c '%a %s' own1/privacy-split)" "600 32"

# ---- the budget -------------------------------------------------------------------------------------
check "evaluations alone may not fit" exits 77 on_ranks 2 train run.yaml --run poor --quiet --set privacy.evaluation.noise_multiplier=0.2 --set privacy.evaluation.times=3
check "and then nothing is charged" equal "$(entries own1 '')" 8
check "another run" exits 0 on_ranks 3 train run.yaml --run second --quiet
check "has spent before what the first told" within "$(field second epsilon_before)" "$(field first epsilon_upper)" 2e-3
check "on rows that are held out as before" equal "$(field first fingerprint)" "$(field second fingerprint)"
check "a run that stops, and goes on" exits 0 on_ranks 2 train run.yaml --run halves --quiet --set run.rounds=4 --set privacy.budget.epsilon=50
before=$(entries own2 '')
check "has one round and one evaluation more" exits 0 on_ranks 2 train run.yaml --run halves --resume --quiet --set run.rounds=5 --set privacy.budget.epsilon=50
check "which are charged" equal "$(($(entries own2 '') - before))" 2

# A silo whose ledger cannot be written: nothing of it leaves, and the others go on without it.
mkdir own3/privacy-ledger.head.tmp
before=$(entries own3 '')
check "a silo cannot be charged" exits 0 on_ranks 2 train run.yaml --run uncharged --quiet --set privacy.budget.epsilon=50
check "which its own terminal says, once" equal "$(grep -c 'silo-002: round [0-9]*: is not in the scores: own3/privacy-ledger' "$ERR")" 1
check "and two are scored" within "$(figure uncharged test_rows | tail -1)" 1440 240
check "with the noise of two" within "$(figure uncharged test_accuracy_error | tail -1)" "$(figure first test_accuracy_error | tail -1 | awk '{ print $1 * sqrt(1.5) }')" 1e-3
check "at most the entry that failed is charged" test "$(($(entries own3 '') - before))" -le 1
rmdir own3/privacy-ledger.head.tmp

# ---- the same secrets ---------------------------------------------------------------------------------
rehearse() { # RANKS RUN MORE...
    exits 0 on_ranks "$1" train run.yaml --run "$2" --quiet --set run.rehearsal=true --set privacy.budget.epsilon=0 "${@:3}"
}
figures() { grep -o '"\(validation\|test\)_[a-z_]*":[^,}]*' "$1/metrics.jsonl" | tr '\n' ' '; }
for ranks in 1 2 3; do check "rehearsed on $ranks" rehearse $ranks r$ranks; done
check "figures do not depend on ranks" equal "$(figures r1)" "$(figures r2)"
check "nor on which silo is where" equal "$(figures r1)" "$(figures r3)"
check "nearly without noise" rehearse 2 plain --set privacy.evaluation.noise_multiplier=0.05
check "the model is the same" equal "$(digest r2)" "$(digest plain)"
for name in validation_loss validation_accuracy test_loss test_accuracy; do
    check "$name is within five standard errors of that" within "$(figure r2 $name | tail -1)" "$(figure plain $name | tail -1)" \
        "$(figure r2 ${name}_error | tail -1 | awk '{ print 5 * $1 }')"
    check "but not the same" test "$(figure r2 $name | tail -1)" != "$(figure plain $name | tail -1)"
    check "whose standard error is 60 times as small" within "$(figure r2 ${name}_error | tail -1 | awk '{ print $1 / 60 }')" \
        "$(figure plain ${name}_error | tail -1)" 2e-4
done

# A row more, with the same secrets: a round's test and validation counts differ by that row at most.
cp 2.csv two.csv
clinic 9 1 | tail -1 >>2.csv
check "a row more" rehearse 2 more
for name in validation_rows test_rows; do
    check "changes $name by one at most" awk -v a="$(figure r2 $name | tail -1)" -v b="$(figure more $name | tail -1)" 'BEGIN { exit !(a - b <= 1 && b - a <= 1) }'
done
cp two.csv 2.csv

# The noise that there is, beside the noise that is told: of 300 evaluations of a model that stands still.
check "300 evaluations" rehearse 1 many --set run.rounds=300 --set evaluate.every=1 --set privacy.evaluation.times=300 \
    --set train.learning_rate=1e-9 --set checkpoint.every=300 --set train.steps=1
spread() { figure many "$1" | awk '{ n++; s += $1; q += $1 * $1 } END { print sqrt(q / n - s * s / n / n) }'; }
# Of rows: 3 sqrt(3) of each of three silos, 9. The deviation of 300 draws is off by 4 %: five times that.
check "rows spread as the noise says" within "$(spread test_rows)" 9 1.9
for name in validation_loss test_loss validation_accuracy test_accuracy; do
    check "$name spreads as its standard error says" awk -v s="$(spread $name)" -v e="$(figure many ${name}_error | tail -1)" 'BEGIN { exit !(s > 0.8 * e && s < 1.2 * e) }'
done

# ---- losses --------------------------------------------------------------------------------------------
# A silo is lost before its counts are brought, or when some have them: they are summed anew over the
# others, with the noise of these alone, the same as before.
lose() { # POINT SILO MORE...
    rm -rf lost
    exits 0 "$GRANARY" run -n 3 run.yaml --run lost --quiet --restarts 0 --set run.rehearsal=true --set privacy.budget.epsilon=0 \
        --set round.deadline_s=20 --set round.collective_deadline_s=10 --set round.heartbeat_s=5 \
        --set "faults=[{kind: kill, silo: $2, round: 2, point: $1}]"
}
for silo in 2 0; do
    before=
    for point in evaluate losses; do
        check "silo $silo is lost at $point" lose $point $silo
        check "five rounds, three evaluations" equal "$(wc -l <lost/metrics.jsonl) $(figure lost test_accuracy_error | wc -l)" "5 3"
        check "of two silos' rows" within "$(figure lost test_rows | sed -n 2p)" 1440 240
        check "and their noise" within "$(figure lost test_loss_error | head -1)" "$(figure r2 test_loss_error | head -1 | awk '{ print $1 * sqrt(1.5) }')" 2e-3
        [ -z "$before" ] || check "the same, whoever had counts before" equal "$(figures lost)" "$before"
        before=$(figures lost)
    done
done

# ---- too few ------------------------------------------------------------------------------------------
check "much noise" rehearse 2 loud --set privacy.evaluation.noise_multiplier=500
check "leaves no score" equal "$(figure loud test_accuracy | tail -1) $(figure loud test_accuracy_error | tail -1)" "null null"

# ---- early stop ----------------------------------------------------------------------------------------
check "a run may stop by noised scores" rehearse 2 early --set run.rounds=12 --set privacy.evaluation.times=6 \
    --set stop.metric=validation_loss --set stop.patience=2 --set train.learning_rate=1e-6
check "and does" test "$(field early rounds_done)" -lt 12

# ---- what does not go with it ----------------------------------------------------------------------------
refused() { # SETTING... PATTERN
    check "refused: $1" exits 78 "$GRANARY" validate run.yaml "${@:2:$#-2}"
    check "with the reason: ${*: -1}" grep -q "${*: -1}" "$ERR"
}
refused "no noise" --set privacy.evaluation.noise_multiplier=0 --set privacy.evaluation.times=0 'data.validation_fraction: found a number above 0, not allowed with privacy.unit row: scores of rows'
refused times --set privacy.evaluation.times=2 'privacy.evaluation.times: found 2, allowed at least 3: run.rounds is 5 and evaluate.every 2'
refused never --set evaluate.every=0 'evaluate.every: found 0, allowed at least 1'
refused "no rows" --set data.validation_fraction=0 --set data.test_fraction=0 'privacy.evaluation.noise_multiplier: found 3, allowed only 0 without data.validation_fraction'
refused "little noise" --set privacy.evaluation.noise_multiplier=0.01 'privacy.evaluation.noise_multiplier: found 0.01, allowed 0 or 0.05 to 1000'
refused "only times" --set privacy.evaluation.noise_multiplier=0 'privacy.evaluation.times: found 3, allowed only 0 without'
refused unit --set privacy.unit=silo 'privacy.evaluation.noise_multiplier: found 3, allowed only 0 with privacy.unit silo'
refused none --set privacy.unit=none 'privacy.evaluation.noise_multiplier: found 3, allowed only 0, the default, with privacy.unit none'
for bad in nan inf -1 0; do refused "loss bound $bad" --set privacy.evaluation.loss_bound=$bad 'privacy.evaluation.loss_bound'; done
finish
