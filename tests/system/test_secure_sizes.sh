#!/usr/bin/env bash
# With secure sums a site's letters tell nothing of its data by their number, order and sizes: a site
# with few rows, of one class, with gaps, sends what one with many rows sends. Who carries the letters
# writes down the sizes.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/sites.sh"
trap 'exec 2>/dev/null; signal_ours KILL "granary|bearer"; rm -rf "$SCRATCH"' EXIT
${CC:-cc} -O2 -D_GNU_SOURCE -o bearer "$TESTS/faults/bearer.c" || { echo "0 passed, 1 failed"; exit 1; }
columns='columns: [{name: glucose, type: number, range: [0, 1], missing: mean}, {name: weightkg, type: number, range: [0, 1], missing: indicator}, {name: sick, type: label, categories: ["no", "yes"]}]'
settings() {
    cat <<YAML
run: {rounds: $1}
preprocess: {scale: standardise}
model: {type: mlp, hidden: [8]}
train: {learning_rate: 0.05, batch_size: 16, class_weights: balanced}
evaluate: {metrics: [auc, balanced_accuracy]}
aggregation: {grid: public, clip_norm: 1, weight_max: 1000}
secure: {aggregation: true}
policy: {minimum_silos: 4}
YAML
}
make_parties
# sizes NAME: of the letters of site a in a run of the study, to NAME.sizes.
sizes() {
    fresh
    mkdir mail-a
    write_study 3
    write_site a '{folder: mail-a}'
    for site in b c; do write_site $site '{folder: mail}'; done
    check "$1: the sites approve" approve_all
    ./bearer mail mail-a 1 0 1 >letters &
    local bearer=$! pids
    coordinate "$1" --mailbox mail; pids=$!
    for site in a b c; do join $site; pids="$pids $!"; done
    # shellcheck disable=SC2086
    check "$1: a run" ended $pids
    kill $bearer
    sort letters | cut -d' ' -f2 >"$1.sizes"
    rm -rf mail-a
    check "$1: has letters" test "$(wc -l <"$1.sizes")" -ge 100
}

# Letters that tell that a site is alive go by the clock: on a machine that is busy for seconds one run
# may have one more. Data that show would show in each of them.
for attempt in 1 2 3; do
    table 5 900 >a.csv
    sizes many
    # 20 rows, all of one class, half of them with gaps.
    table 6 20 | awk -F, 'NR == 1 {print; next} {printf "%s,%s,no\n", NR % 2 ? "" : $1, NR % 3 ? $2 : ""}' >a.csv
    sizes few
    cmp -s many.sizes few.sizes && break
done
check "many rows, few rows: the same letters, attempt $attempt" cmp many.sizes few.sizes
finish
