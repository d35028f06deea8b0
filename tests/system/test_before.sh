#!/usr/bin/env bash
# quick
# A run that an earlier commit (bc96f1d) stopped after 2 of 4 rounds is gone on with: settings that
# came since then are at their defaults, and do not count. before.tar.gz holds its config, whose
# settings are of many sections, and its run directory.
. "$(dirname "$0")/library.sh"
tar -xzf "$TESTS/system/before.tar.gz"
check "the whole run, by this build" exits 0 "$GRANARY" train before.yaml --quiet --run whole
check "the earlier run is gone on with" exits 0 on_ranks 2 train before.yaml --quiet --run run --resume
check "from its checkpoint" grep -q '"event": *"resumed", *"round": *2' run/events.jsonl
check "to the same model" equal "$("$GRANARY" inspect --digest run/model.h5)" "$("$GRANARY" inspect --digest whole/model.h5)"
check "and its evidence is whole" exits 0 "$GRANARY" inspect run
tar -xzf "$TESTS/system/before.tar.gz"
check "a setting that is not at its default still counts" exits 78 "$GRANARY" train before.yaml --quiet --run run --resume --set train.proximal_mu=0.5
check "and is named" says "train.proximal_mu: 0 then, 0.5 now"
finish
