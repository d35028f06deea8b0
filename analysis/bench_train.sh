#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Local training rate, ours and PyTorch's in turn: samples per second of processor time on one core.
#   analysis/bench_train.sh BUILD [PAIRS] [PASSES]
# For each batch size and number type: the medians, and the median, least and largest ratio of the
# pairs. Without PyTorch only our own rates.
set -u
BUILD=$(cd "$1" && pwd) PAIRS=${2:-5} PASSES=${3:-8}
TOP=$(cd "$(dirname "$0")/.." && pwd)
. "$TOP/tests/environment.sh"
OURS=$BUILD/analysis/bench_train PEER=$TOP/analysis/peers/train_rate_torch.py
# Debian's python3-torch belongs to Debian's python3.
PYTHON=${PYTHON:-/usr/bin/python3}
"$PYTHON" -c 'import torch' 2>/dev/null || { PYTHON=; echo "(no PyTorch here: jobs/deps.sh --peers)"; }
middle() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }

# One line: MODEL COMPUTE BATCH PASSES.
compare() {
    local model=$1 compute=$2 batch=$3 passes=$4 ours='' theirs='' ratios='' a b
    for _ in $(seq "$PAIRS"); do
        a=$("$OURS" "$batch" "$passes" "$compute" "$model")
        ours+="$a"$'\n'
        [ -n "$PYTHON" ] || continue
        b=$("$PYTHON" "$PEER" "$batch" "$passes" "$model")
        theirs+="$b"$'\n' ratios+="$(awk "BEGIN {printf \"%.3f\", $a / $b}")"$'\n'
    done
    printf '%s %s batch %d: granary %.0f samples/s' "$model" "$compute" "$batch" \
        "$(printf %s "$ours" | middle)"
    [ -z "$PYTHON" ] || printf ', PyTorch %.0f; ratio %.2f (%.2f to %.2f, %d pairs)' \
        "$(printf %s "$theirs" | middle)" "$(printf %s "$ratios" | middle)" \
        "$(printf %s "$ratios" | sort -g | head -n 1)" \
        "$(printf %s "$ratios" | sort -g | tail -n 1)" "$PAIRS"
    echo
}

for compute in float32 bfloat16; do
    if ! "$OURS" 32 1 $compute >/dev/null 2>&1; then
        echo "$compute: $("$OURS" 32 1 $compute 2>&1)"
        continue
    fi
    for batch in 32 64; do
        compare mlp $compute $batch "$PASSES"
    done
    # McMahan's CNN: 5x5x32, pool, 5x5x64, pool, 512. A pass is shorter in rows, longer in time.
    compare cnn $compute 32 $(((PASSES + 3) / 4))
done
