#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# `granary predict` of an MLP 784-200-200-10 on 1 million rows by 2 ranks, from a file to a file,
# against PyTorch's forward pass with 2 threads on rows in memory, in turn: to HDF5 against the pass
# alone, to CSV against the pass and pandas' to_csv.
#   analysis/bench_predict.sh BUILD [PAIRS] [ROWS]
# Wall seconds. "less the launch": minus what it takes for a table of one batch.
set -u
BUILD=$(cd "$1" && pwd) PAIRS=${2:-5} ROWS=${3:-1000000}
TOP=$(cd "$(dirname "$0")/.." && pwd)
. "$TOP/tests/environment.sh"
GRANARY=$BUILD/granary PEER=$TOP/analysis/peers/predict_torch.py DATA=/usr/share/datasets/fashion-mnist
# Debian's python3-torch belongs to Debian's python3.
PYTHON=${PYTHON:-/usr/bin/python3}
"$PYTHON" -c 'import torch, pandas' 2>/dev/null || { PYTHON=; echo "(no PyTorch or pandas here: jobs/deps.sh --peers)"; }
WORK=$(mktemp -d "$TOP/build/bench-XXXXXX")
trap 'rm -rf "$WORK"' EXIT
cd "$WORK" || exit 1
middle() { sort -g | awk '{v[NR] = $1} END {print NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2}'; }
# predict TABLE OUT: wall seconds.
predict() {
    local started
    started=$(date +%s.%N)
    # shellcheck disable=SC2086
    mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" predict run/model.h5 "$1" -o "$2" >/dev/null || echo failed >&2
    echo "$(date +%s.%N) $started" | awk '{print $1 - $2}'
}

# shellcheck disable=SC2086
mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train "$TOP/configs/fashion-mnist.yaml" --quiet --run run --set run.rounds=1 || exit 1
# Fashion-MNIST's training images over and over, as an IDX pair, and that as HDF5.
idx() { perl -e 'print pack("N*", @ARGV)' "$@"; }
{ idx 2051 "$ROWS" 28 28; while gzip -dc $DATA/train-images-idx3-ubyte.gz | tail -c +17; do :; done 2>/dev/null | head -c $((ROWS * 784)); } >images
{ idx 2049 "$ROWS"; head -c "$ROWS" /dev/zero; } >labels
"$GRANARY" import --features images --labels labels -o rows.h5 || exit 1
"$GRANARY" import --features images --labels labels --rows 500 -o batch.h5 || exit 1
rm images labels

for format in h5 csv; do
    ours='' launch='' theirs='' ratios='' less='' table='' peer=PyTorch
    [ $format != csv ] || table=theirs.csv peer='PyTorch and pandas'
    for _ in $(seq "$PAIRS"); do
        a=$(predict rows.h5 out.$format)
        l=$(predict batch.h5 little.$format)
        ours+="$a"$'\n' launch+="$l"$'\n'
        [ -n "$PYTHON" ] || continue
        b=$("$PYTHON" "$PEER" "$ROWS" 2 ${table:+"$table"})
        theirs+="$b"$'\n' ratios+="$(awk "BEGIN {print $b / $a}")"$'\n' less+="$(awk "BEGIN {print $b / ($a - $l)}")"$'\n'
    done
    printf '%s: %d rows in %.2f s, launch %.2f s' $format "$ROWS" "$(printf %s "$ours" | middle)" "$(printf %s "$launch" | middle)"
    [ -z "$PYTHON" ] || printf '; %s %.2f s; %.2f times faster, less the launch %.2f times' "$peer" \
        "$(printf %s "$theirs" | middle)" "$(printf %s "$ratios" | middle)" "$(printf %s "$less" | middle)"
    echo
done
