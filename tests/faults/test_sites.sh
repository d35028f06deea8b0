#!/usr/bin/env bash
# Studies under faults that sites.sh draws: a site and a coordinator that hang, a link that is cut, a
# coordinator that is killed when it has told some of the end (20).
# `make soak-sites` draws more.
set -u
TESTS=$(cd "$(dirname "$0")/.." && pwd)
for seed in 1016 1003 1067 20; do bash "$TESTS/faults/sites.sh" "${BUILD:?run through tests/run.sh}" 1 $seed; done
