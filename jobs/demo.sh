#!/usr/bin/env bash
# The demonstration: eight silos, eight ranks, Fashion-MNIST split unevenly, twenty rounds.
#   jobs/demo.sh GRANARY
set -eu
granary=$1
top=$(cd "$(dirname "$0")/.." && pwd)
. "$top/tests/environment.sh"
# shellcheck disable=SC2086
exec mpirun $MPIRUN_FLAGS -n 8 "$granary" train "$top/configs/fashion-mnist.yaml"
