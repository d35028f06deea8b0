#!/usr/bin/env bash
# How a round grows with the ranks: measured on this machine, simulated on a network, and by a model
# for numbers of ranks that nobody here has.
#   analysis/scale.sh BUILD [MOST_RANKS [MOST_SIMULATED]]     64 and 512 by default
# Measured: bench_scale, one rank a "node", all on this machine's processors. Simulated: the same
# messages (scale_pattern.c) by SimGrid (libsimgrid-dev), one rank a node, LogGP with these values:
#   LATENCY_US=1 OVERHEAD_US=0.5 BANDWIDTH_GBPS=10    (a cluster of today; any can be set)
# The model and its error: scale.py.
set -u
export LC_ALL=C
BUILD=$(cd "$1" && pwd) MOST=${2:-64} SIMULATED=${3:-512}
TOP=$(cd "$(dirname "$0")/.." && pwd)
export LATENCY_US=${LATENCY_US:-1} OVERHEAD_US=${OVERHEAD_US:-0.5} BANDWIDTH_GBPS=${BANDWIDTH_GBPS:-10}
. "$TOP/tests/environment.sh"
WORK=$(mktemp -d)
trap 'rm -rf "$WORK"' EXIT
PARAMETERS=500000 SILOS=10000 PIECE=32768
SUM=$((PARAMETERS * 4)) GRID=$((PARAMETERS / 4096 * 2 + 2)) DECISION=72

echo "processor: $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1), $(getconf _NPROCESSORS_ONLN) cores"
for ((n = 2; n <= MOST; n *= 2)); do
    # shellcheck disable=SC2086
    timeout 600 mpirun $MPIRUN_FLAGS -n $n "$BUILD/analysis/bench_scale" 21 $PARAMETERS $SILOS ||
        echo "bench_scale on $n ranks has not come to its end" >&2
done | tee "$WORK/measured" | sed 's/^/measured: /'

if command -v smpicc >/dev/null; then
    smpicc -O2 -o "$WORK/pattern" "$TOP/analysis/scale_pattern.c" || exit 1
    # Each host has a line of its own, so a message passes two: half of the latency each.
    half=$(awk "BEGIN {print $LATENCY_US / 2}")
    cat >"$WORK/cluster.xml" <<XML
<?xml version='1.0'?>
<!DOCTYPE platform SYSTEM "https://simgrid.org/simgrid.dtd">
<platform version="4.1">
  <cluster id="c" prefix="n" radical="0-$((SIMULATED - 1))" suffix="" speed="10Gf" bw="${BANDWIDTH_GBPS}GBps" lat="${half}us"/>
</platform>
XML
    seq -f 'n%.0f' 0 $((SIMULATED - 1)) >"$WORK/hosts"
    flags="--cfg=smpi/simulate-computation:no --cfg=smpi/bw-factor:0:1 --cfg=smpi/lat-factor:0:1
        --cfg=network/crosstraffic:0 --cfg=network/weight-S:0 --log=root.thresh:error
        --cfg=smpi/async-small-thresh:16384 --cfg=smpi/send-is-detached-thresh:16384"
    for overhead in os or ois; do flags="$flags --cfg=smpi/$overhead:0:${OVERHEAD_US}e-6:0"; done
    for ((n = 2; n <= SIMULATED; n *= 2)); do
        # shellcheck disable=SC2086
        (cd "$WORK" && timeout 600 smpirun $flags -np $n -platform cluster.xml -hostfile hosts \
            ./pattern $SUM $GRID $DECISION $PIECE 2>/dev/null)
    done | tee "$WORK/simulated" | sed 's/^/simulated: /'
else
    echo "not simulated: SimGrid is not here (Debian: libsimgrid-dev)" >&2
    : >"$WORK/simulated"
fi
"${PYTHON:-/usr/bin/python3}" "$TOP/analysis/scale.py" "$WORK/measured" "$WORK/simulated" $SUM $GRID $DECISION $PIECE
