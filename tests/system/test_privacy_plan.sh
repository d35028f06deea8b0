#!/usr/bin/env bash
# granary privacy plan: what a config promises and costs; the same numbers as `privacy epsilon` has
# for the same steps; what it warns of and refuses.
. "$(dirname "$0")/library.sh"
# field NAME: of the JSON that the last command printed.
field() { sed -n "s/.*\"$1\": \([^,]*\),*/\1/p" "$OUT"; }
at_most() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a + 0 <= b + 0) }' || { echo "  '$1' > '$2'"; return 1; }; }
near() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a <= b * 1.001 && a >= b * .999) }' || { echo "  '$1' is not '$2'"; return 1; }; }
lacks() { ! grep -qF -- "$1" "$OUT" || { echo "  stdout holds '$1'"; return 1; }; }
# plan CODE OPTION...
plan() {
    local code=$1
    shift
    exits "$code" "$GRANARY" privacy plan "$TOP/configs/private.yaml" "$@"
}

# Without sampling the answer is exact, and soon there.
fixed="--set privacy.sampling=fixed"
# shellcheck disable=SC2086
{
check "a plan" plan 0
check "tells to whom" prints "to each row of a silo's table"
check "and which tables are alike" prints "(add_remove)"
check "the steps" prints "30 in a round, 20 rounds"
check "and no warning" lacks "warning"
check "as JSON" plan 0 --json
upper=$(field epsilon_upper) fit=$(field rounds_that_fit) z=$(field noise_multiplier_accounted)
check "roundings are accounted for" near "$z" 1.0945273
check "the draw is" near "$(field sampling)" 0.03413333
check "the same by hand" exits 0 "$GRANARY" privacy epsilon --noise-multiplier "$z" --sampling 0.034133333333333342 --steps 600 --delta 1e-5 --json
check "is the same" near "$(field epsilon_upper)" "$upper"
check "the rounds that fit" plan 0 --set run.rounds="$fit" --json
check "do" at_most "$(field epsilon_upper)" 8
check "a few more" plan 0 --set run.rounds="$((fit + fit / 40 + 1))" --json
check "do not" at_most 8 "$(field epsilon_upper)"
check "which is told" prints "the run is refused (77)"
check "or it stops" plan 0 $fixed --set run.rounds=1000 --set privacy.budget.on_exhausted=stop
check "after them" prints "the run stops after them"
check "what was spent before" plan 0 $fixed --set privacy.noise_multiplier=5 --before 4,1,5 --json
spent=$(field rounds_that_fit)
check "of the budget" plan 0 $fixed --set privacy.noise_multiplier=5 --json
check "leaves less" at_most "$((spent + 1))" "$(field rounds_that_fit)"
check "more than all before" plan 0 $fixed --before 0.5,1,300
check "leaves none" prints "0 rounds fit"

# A fixed order earns nothing: a row is once in each pass of 30 steps.
check "fixed" plan 0 $fixed --json
check "is not sampled" equal "$(field sampling)" 1.0
check "and a row is in each round once" equal "$(field count_of_round)" 1
check "or as often as there are passes" plan 0 $fixed --set train.steps=31 --json
check "that have begun" equal "$(field count_of_round)" 2
check "passes" plan 0 $fixed --set train.steps=0 --set train.epochs=3 --json
check "of so many steps" equal "$(field sums_of_round)" 90

# Correlated noise: all of a round's steps are one release.
check "bands" plan 0 $fixed --set privacy.correlation.type=banded --set privacy.correlation.bands=16
check "are told" prints "by 16 bands; all of them are one release"
check "as JSON" plan 0 $fixed --set privacy.correlation.type=banded --set privacy.correlation.bands=16 --json
check "with their number" equal "$(field bands) $(field count_of_round)" "16 1"
check "less noise is accounted for" at_most "$(field noise_multiplier_accounted)" 1
# Correlated noise makes the round one release, whose noise multiplier is divided by the norm of a
# column: sqrt(sum c_k^2) for 30 rounded coefficients, or of the best two buffers.
correlated="$fixed --set privacy.correlation.type"
check "bands" plan 0 $correlated=banded --set privacy.correlation.bands=30 --json
check "are one release" equal "$(field count_of_round)" 1
check "of less noise" near "$(field noise_multiplier_accounted)" 0.746648
check "buffers" plan 0 $correlated=blt --set privacy.correlation.bands=2 --json
check "are too" equal "$(field count_of_round)" 1
check "of a little more" near "$(field noise_multiplier_accounted)" 0.80161
check "nine of them" plan 78 $correlated=blt --set privacy.correlation.bands=9
check "are too many" says "found 9, allowed 1 to 8 with privacy.correlation.type blt"
check "one band" plan 78 $correlated=banded --set privacy.correlation.bands=1
check "is none" says "found 1, allowed 2 to 1024 with privacy.correlation.type banded"
check "drawn batches" plan 78 --set privacy.correlation.type=blt --set privacy.correlation.bands=2
check "have none of it" says "found blt, allowed only none but with privacy.sampling fixed"

# Silos: 4.2 is about the noise for epsilon 8 in 50 rounds of 8 silos; the norm goes by the root of
# the parameters: 4.2 / 8 sqrt(200,000) = 235.
silo="--set privacy.unit=silo --set privacy.adjacency=zero_out --set aggregation.grid=public --set aggregation.clip_norm=1 --set aggregation.weight_max=1 --set privacy.noise=root --set privacy.expected_batch=0 --set privacy.expected_units=0 --set run.rounds=50 --set privacy.noise_multiplier=4.2"
check "silos" plan 0 $silo
check "are told what it does" prints " 235 "
check "and what is better" prints "row or person is the better unit"
check "who sees what" prints "everybody but rank 0"
# In shares of which those of all others suffice: 235 sqrt(8 / 7), and of five sqrt(8 / 5).
shared="$silo --set privacy.noise=shared --set secure.aggregation=true"
check "silos that share the noise" plan 0 $shared
check "have little more of it" prints " 251 "
check "each of them can take off its own" prints "any 7 of 8 parties have all of it"
check "but for those that may collude" plan 0 $shared --set secure.colluding=3
check "have more" prints " 297 "
# 1 / sqrt(1 / 4.2^2 - 1 / 6^2) = 5.8812, so 5.8812 / 8 sqrt(200,000) = 329.
check "a clip norm that follows" plan 0 $silo --set "privacy.adaptive_clipping={quantile: 0.5, count_noise: 3}"
check "leaves more noise to the sum" prints "in a sum 5.88118 times the"
check "for the count tells something" prints "for the clip norm follows a count of noise 3; both"
check "and the harm is more" prints " 329 "
check "many silos" plan 0 $silo --set data.silos=500
check "are not" lacks "better unit"
check "a great delta" plan 0 $silo --set privacy.budget.delta=0.09 --set data.silos=100
check "is warned of" prints "is above 1 / 100"
check "no limit" plan 0 $fixed --set privacy.budget.epsilon=0
check "is warned of" prints "without a limit"
check "hardly any noise" plan 0 $fixed --set privacy.noise_multiplier=0.4
check "is warned of" prints "hardly a promise"

check "no privacy" exits 78 "$GRANARY" privacy plan "$TOP/configs/fashion-mnist.yaml"
check "says so" says "without it nothing is promised"
check "no config" exits 64 "$GRANARY" privacy plan
check "two configs" plan 64 x.yaml
check "a config that is none" exits 78 "$GRANARY" privacy plan /nowhere.yaml
check "an option of others" plan 64 --steps 3
check "is told" says "--steps is not for it"
check "--set for numbers" exits 64 "$GRANARY" privacy epsilon --noise-multiplier 1 --steps 3 --delta 1e-5 --set a.b=1
}
finish
