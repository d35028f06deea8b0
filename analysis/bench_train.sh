#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Rates of local training and of scoring on one core, ours and the peers' in turn: samples per second
# of processor time.
#   analysis/bench_train.sh BUILD [PAIRS] [SECONDS] [TABLE...]
# Tables: mlp cnn bfloat16 small tables forward. SECONDS: of processor time that each measurement
# takes at least. A line has the medians, the share of the processor's measured peak, and over each
# peer the median ratio of the pairs, with the least and the largest. Where the processor has more
# than AVX2 all follows again under that limit. A peer that is not here is left out.
set -u
BUILD=$(cd "$1" && pwd) PAIRS=${2:-5} SECONDS_EACH=${3:-0.5}
TABLES=${*:4}
TABLES=${TABLES:-mlp cnn bfloat16 small tables forward}
TOP=$(cd "$(dirname "$0")/.." && pwd)
. "$TOP/tests/environment.sh"
OURS=$BUILD/analysis/bench_train PEAK=$BUILD/analysis/bench_peak
# Debian's python3-torch belongs to Debian's python3.
PYTHON=${PYTHON:-/usr/bin/python3}
WORK=$(mktemp -d "$BUILD/bench-XXXXXX")
trap 'rm -rf "$WORK"' EXIT

# A peer is started once, for its start takes seconds, and answers a line with a line.
declare -A ASK ANSWER
start_peer() { # LIBRARY
    local fd
    "$PYTHON" -c "import $1" 2>/dev/null || { echo "(no $1 here: jobs/deps.sh --peers)"; return; }
    mkfifo "$WORK/$1.ask" "$WORK/$1.answer"
    "$PYTHON" "$TOP/analysis/peers/train_rate_$1.py" <"$WORK/$1.ask" >"$WORK/$1.answer" &
    exec {fd}>"$WORK/$1.ask"
    ASK[$1]=$fd
    exec {fd}<"$WORK/$1.answer"
    ANSWER[$1]=$fd
}
stop_peers() {
    local peer fd
    for peer in "${!ASK[@]}"; do
        fd=${ASK[$peer]}
        exec {fd}>&-
        fd=${ANSWER[$peer]}
        exec {fd}<&-
        rm "$WORK/$peer.ask" "$WORK/$peer.answer"
    done
    ASK=() ANSWER=()
    wait
}
# PEER COMPUTE MODEL WHAT BATCH INPUT: a rate, or "none". Sets `answer`.
ask() {
    local job="$3 $4 $5 $2 $6 $SECONDS_EACH"
    answer=none
    if [ "$1" = granary ]; then
        # shellcheck disable=SC2086
        answer=$("$OURS" $job 2>/dev/null) || answer=none
    elif [ -n "${ASK[$1]:-}" ]; then
        echo "$job" >&"${ASK[$1]}"
        read -r answer <&"${ANSWER[$1]}" || answer=none
    fi
}

middle() { sort -g "$1" | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
# A rate in thousands, three digits of it.
thousands() { awk "BEGIN {r = $1 / 1000; printf r < 10 ? \"%.2f\" : r < 100 ? \"%.1f\" : \"%.0f\", r}"; }
# Multiply-adds of a sample, as the layers define them (zeros too, no Winograd): of a training step,
# which needs no derivative by the input, or of a forward pass.
multiply_adds() {
    case $1/$2 in
    mlp/train) echo 439600 ;; mlp/score) echo 198800 ;;
    cnn/train) echo 36192256 ;; cnn/score) echo 12273152 ;;
    *) echo 0 ;;
    esac
}

# LABEL COMPUTE MODEL WHAT BATCH INPUT PEER...: a line. A peer is LIBRARY/COMPUTE[/BATCH].
line() {
    local label=$1 compute=$2 model=$3 what=$4 batch=$5 input=$6 peer library of size ours work limit
    shift 6
    rm -f "$WORK"/*.rate "$WORK"/*.ratio
    for _ in $(seq "$PAIRS"); do
        ask granary "$compute" "$model" "$what" "$batch" "$input"
        if [ "$answer" = none ]; then
            printf '%-34s %s\n' "$label" "$("$OURS" "$model" "$what" "$batch" "$compute" "$input" 1 2>&1 >/dev/null)"
            return
        fi
        ours=$answer
        echo "$ours" >>"$WORK/ours.rate"
        for peer; do
            IFS=/ read -r library of size <<<"$peer"
            ask "$library" "$of" "$model" "$what" "${size:-$batch}" "$input"
            [ "$answer" != none ] || continue
            echo "$answer" >>"$WORK/${peer//\//-}.rate"
            awk "BEGIN {print $ours / $answer}" >>"$WORK/${peer//\//-}.ratio"
        done
    done
    ours=$(middle "$WORK/ours.rate") work=$(multiply_adds "$model" "$what") limit=$FMA
    [ "$compute" = float32 ] || limit=$BFLOAT16
    printf '%-34s %9s' "$label" "$(thousands "$ours")"
    awk "BEGIN {if ($work > 0 && $limit > 0) printf \" %5.2f\", $ours * $work / ($limit * 1e9); else printf \"     -\"}"
    for peer; do
        peer=${peer//\//-}
        [ -s "$WORK/$peer.ratio" ] || { printf ' | %-17s %s' "$peer" none; continue; }
        printf ' | %-17s %6s %6.2f (%.2f to %.2f)' "$peer" "$(thousands "$(middle "$WORK/$peer.rate")")" \
            "$(middle "$WORK/$peer.ratio")" "$(sort -g "$WORK/$peer.ratio" | head -n 1)" \
            "$(sort -g "$WORK/$peer.ratio" | tail -n 1)"
    done
    echo
}

table_mlp() {
    local batch input
    for input in half full; do
        for batch in 16 32 64 128 256 512 1024; do
            line "MLP, $input, batch $batch" float32 mlp train $batch $input torch/float32
        done
    done
}
table_cnn() {
    local batch
    for batch in 16 32 64 128 256; do
        line "CNN, batch $batch" float32 cnn train $batch half torch/float32
    done
}
table_bfloat16() {
    local batch peers="granary/float32 torch/float32 torch/bfloat16"
    if ! "$OURS" mlp train 32 bfloat16 half 0.01 >/dev/null 2>&1; then
        line "bfloat16" bfloat16 mlp train 32 half
        return
    fi
    for batch in 16 32 64 128 256 512 1024; do
        # shellcheck disable=SC2086
        line "MLP, bfloat16, batch $batch" bfloat16 mlp train $batch half $peers
    done
    for batch in 16 32 64 128 256; do
        # shellcheck disable=SC2086
        line "CNN, bfloat16, batch $batch" bfloat16 cnn train $batch half $peers
    done
}
table_small() {
    line "20 features, hidden 32-16, batch 32" float32 tabular train 32 full torch/float32 sklearn/float32
    line "softmax, 3 classes, batch 32" float32 softmax train 32 full torch/float32 sklearn/float32
    line "logistic, batch 32" float32 logistic train 32 full torch/float32 sklearn/float32
}
table_tables() {
    local batch
    for batch in 32 256; do
        line "8 embeddings of 16, batch $batch" float32 embedding train $batch full torch/float32
        line "bag of 32 ids of 32, batch $batch" float32 bag train $batch full torch/float32
    done
}
# evaluate and predict take 500 rows at a time; a peer takes what it is fastest with.
table_forward() {
    local input
    for input in half full; do
        line "MLP forward, $input" float32 mlp score 500 $input torch/float32/128 torch/float32/500 torch/float32/2048 torch/float32/8192
    done
    line "CNN forward" float32 cnn score 500 half torch/float32/64 torch/float32/500
    line "20 features, forward" float32 tabular score 500 full torch/float32/500 torch/float32/8192
}

print_tables() {
    local table isa
    read -r isa FMA < <("$PEAK" fma || echo "no fused multiply-adds 0")
    BFLOAT16=$("$PEAK" amx || "$PEAK" bfloat16 || echo none)
    echo "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $1: $isa, peak $FMA billion multiply-adds a second; bfloat16 $BFLOAT16"
    BFLOAT16=${BFLOAT16##* }
    [ "$BFLOAT16" != none ] || BFLOAT16=0
    echo "columns: thousand samples a second, share of the peak | peer, its thousand samples a second, ratio (least to largest of $PAIRS pairs)"
    start_peer torch
    case $TABLES in *small*) start_peer sklearn ;; esac
    for table in $TABLES; do
        "table_$table"
    done
    stop_peers
}

print_tables "as it is"
case $("$PEAK" fma) in
AVX2* | '') ;;
*)
    export ONEDNN_MAX_CPU_ISA=AVX2 DNNL_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=avx2 OPENBLAS_CORETYPE=Haswell
    print_tables "limited to AVX2"
    ;;
esac
