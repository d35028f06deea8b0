#!/usr/bin/env bash
# Every example in configs/ at reduced size: it trains, gives one digest on any number of ranks,
# and is reproduced.
# What the examples claim of themselves: the Poisson regression against scikit-learn, and FedProx
# among silos that differ.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
ln -s "$TOP/configs" configs
idx_images images 2400 1 28; idx_labels labels 2400
idx_images few 60 2 28; idx_labels few-labels 60
"$TOP/jobs/make-hospital.sh" hospital 600 >/dev/null
"$TOP/jobs/make-visits.sh" visits >/dev/null
"$TOP/jobs/make-texts.sh" texts 1600 >/dev/null
# In place of the four real hospitals, whose tables are not ours to give: invented ones of their form.
mkdir uci
for hospital in cleveland hungarian switzerland va; do
    perl -e '
        srand(length $ARGV[0]);
        sub of { $_[int rand @_] }
        for (1 .. 60) {
            my $sick = of(0, 0, 1, 3);
            print join(",", 40 + int(rand 30) . of("", ".0"), of(0, 1), of(1 .. 4), of(0, "?", 120, 140), of(0, "?", 210, 300),
                of("?", 0, 1), of(0 .. 2), 150 - 10 * $sick, of(0, 1), of("?", ".5", "2.0"), of("?", "1.0", 2, 3),
                of("?", "?", $sick), of("?", 3, 6, "7.0"), $sick), "\n";
        }' $hospital >uci/processed.$hospital.data
done
"$TOP/jobs/make-heart-disease.sh" uci >/dev/null

IDX="--set data.train.features=images --set data.train.labels=labels"
IDX+=" --set data.test.features=few --set data.test.labels=few-labels"
# reduced NAME: the words that make the example small; false for one that is not known here.
reduced() {
    case $1 in
    fashion-mnist) echo "$IDX --set run.rounds=2" ;;
    fashion-mnist-cnn) echo "$IDX --set run.rounds=1 --set data.limit=64" ;;
    heart-disease) echo "--set run.rounds=6" ;;
    hospital | hospital-embedding) echo "--set run.rounds=4" ;;
    poisson) ;;
    # As a rehearsal: else its noise is another in each run.
    private) echo "$IDX --set run.rounds=2 --set run.rehearsal=true" ;;
    # Without its faults: with them tests/faults/test_rehearsal.sh runs it.
    rehearsal) echo "--set run.rounds=3 --set train.steps=20 --set faults=[]" ;;
    secure) echo "--set run.rounds=4" ;;
    simulate-1000) echo "$IDX --set run.rounds=10" ;;
    # Its time limit left out: bits depend on it.
    stragglers) echo "--set run.rounds=4 --set train.seconds=0" ;;
    synthetic) echo "--set run.rounds=4" ;;
    texts) echo "--set run.rounds=4" ;;
    *) return 1 ;;
    esac
}
# Examples that no test runs would stand here, each with the reason.
NOT_RUN=""

known() { reduced "$1" >/dev/null || { echo "  configs/$1.yaml: test_examples.sh has no words for it"; return 1; }; }

# trained NAME RANKS WORDS...: into NAME-RANKS; prints the model's digest.
trained() {
    local launch="mpirun $MPIRUN_FLAGS -n $2" run=$1-$2
    [ "$2" != 1 ] || launch=
    # shellcheck disable=SC2086
    timeout 60 $launch "$GRANARY" train "configs/$1.yaml" --quiet --run "$run" "${@:3}" >train.out 2>&1 \
        </dev/null || { tail -n 5 train.out >&2; echo failed; return; }
    "$GRANARY" inspect --digest "$run/model.h5"
}

for config in configs/*.yaml; do
    name=$(basename "$config" .yaml)
    [[ " $NOT_RUN " == *" $name "* ]] && continue
    check "$name: there is a way to run it" known "$name"
    words=$(reduced "$name") || continue
    # shellcheck disable=SC2086
    one=$(trained "$name" 1 $words)
    # shellcheck disable=SC2086
    check "$name on 2 ranks" equal "$(trained "$name" 2 $words)" "$one"
    check "$name is reproduced on 3" exits 0 timeout 60 "$GRANARY" reproduce "$name-1" -n 3 -o "$name-3"
    check "$name has the same model" equal "$("$GRANARY" inspect --digest "$name-3/model.h5")" "$one"
done

check "secure sums have the model of plain ones" equal "$(trained secure 1 --set run.rounds=4 --set secure.aggregation=false --run plain-secure >/dev/null; "$GRANARY" inspect --digest plain-secure/model.h5)" \
    "$("$GRANARY" inspect --digest secure-2/model.h5)"

check "heart disease: zeros that were not measured are missing" equal 60 "$(awk -F, '
    $4 == "0" || $5 == "0" || $14 > 1 { bad = 1 } { n++ } END { print bad ? "bad" : n }' heart-disease/va.csv)"
check "missing files" exits 65 "$TOP/jobs/make-heart-disease.sh" nowhere
check "are named" says "nowhere/processed.cleveland.data: cannot be read"

# ---- poisson: the weights are those of analysis/peers/reference_poisson.py --------------------
# The model at 0 and at 1 in each feature, and its logarithms.
cat >units.csv <<'CSV'
practice,log_years,age,smoker,distance,visits
a,0,0,no,0,0
a,1,0,no,0,0
a,0,1,no,0,0
a,0,0,yes,0,0
a,0,0,no,1,0
CSV
check "the generator makes the same bytes again" bash -c '"$TOP/jobs/make-visits.sh" again >/dev/null && cmp visits/train.csv again/train.csv'
check "import" exits 0 "$GRANARY" import units.csv --schema configs/schemas/visits.yaml -o units.h5
check "predict" exits 0 "$GRANARY" predict poisson-2/model.h5 units.h5 -o units-means.csv
check "the weights are scikit-learn's" awk '
    BEGIN { split("-0.447001 0.965636 0.290624 0.466264 -0.275508", known, " ") }
    NR == 2 { bias = log($1); off = bias - known[1] }
    NR > 2 { off = log($1) - bias - known[NR - 1] }
    NR > 1 && (off > 2e-5 || off < -2e-5) { print "  weight " NR - 2 " is off by " off; bad = 1 }
    END { exit bad || NR != 6 }' units-means.csv
check "its deviance is told" grep -q '"test_poisson_deviance":1\.0' <(tail -n 1 poisson-1/metrics.jsonl)

# ---- stragglers -------------------------------------------------------------------------------
check "with its time limit" exits 0 on_ranks 2 train configs/stragglers.yaml --quiet --run limited --set run.rounds=3 \
    --set train.seconds=0.0005
check "some do not get through their epochs" bash -c "sed 's/.*\"examples\":\([0-9]*\),\"processed\":\([0-9]*\).*/\1 \2/' limited/metrics.jsonl |
    awk '{ if (\$2 < 20 * \$1 && \$2 > 0) n++ } END { exit n != 3 }'"
loss() { tail -n 1 "$1/metrics.jsonl" | sed 's/.*"test_loss":\([0-9.]*\).*/\1/'; }
all="--set run.rounds=50 --set train.seconds=0 --set evaluate.every=50 --set checkpoint.every=0"
# shellcheck disable=SC2086
check "fedprox" exits 0 on_ranks 2 train configs/stragglers.yaml --quiet --run prox $all
# shellcheck disable=SC2086
check "fedavg" exits 0 on_ranks 2 train configs/stragglers.yaml --quiet --run avg $all --set strategy.name=fedavg --set train.proximal_mu=0
check "fedprox's model is the better one" awk -v p="$(loss prox)" -v a="$(loss avg)" 'BEGIN { exit !(p > 0 && p < 0.8 * a) }'
finish
