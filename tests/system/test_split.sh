#!/usr/bin/env bash
# quick
# Rows held out in each silo: for the test where there is no table for it, class by class.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
figures() { perl -ne 'print join(" ", /"(?:test|validation)_\w+":[-0-9.e]+/g), "\n"' "$1/metrics.jsonl"; }
own="small.yaml --quiet --set data.test={} --set data.test_fraction=0.25"
for n in 1 2 3; do
    # shellcheck disable=SC2086
    check "test rows of silos on $n" exits 0 on_ranks $n train $own --run own$n
done
for n in 2 3; do
    check "one digest on $n" equal "$(digest own$n)" "$(digest own1)"
    check "the same figures on $n" equal "$(figures own$n)" "$(figures own1)"
done
check "there are test figures" grep -q '"test_accuracy":0\.[0-9]' own1/metrics.jsonl
check "they are the rows told of" grep -q '"rows_of": *"test"' own1/evaluation.json
# 100.75 are expected of 403; 9 silos round their share up or down.
rows=$(perl -ne 'print $1 if /"rows": *(\d+)/ and !$seen++' own1/evaluation.json)
check "a quarter of the rows, $rows" test "$rows" -ge 96 -a "$rows" -le 106
# shellcheck disable=SC2086
check "drawn of all alike" exits 0 on_ranks 2 train $own --run plain --set data.stratify=false
check "are others" bash -c "[ '$(digest plain)' != '$(digest own1)' ]"
# shellcheck disable=SC2086
check "two tests are one too many" exits 78 "$GRANARY" validate small.yaml --set data.test_fraction=0.1
check "it says so" says "data.test_fraction: found 0.1, allowed only 0 with data.test"
synthetic="$TOP/configs/synthetic.yaml --quiet --set run.rounds=2 --set data.silos=8 --set data.synthetic.test_rows=0
    --set data.test_fraction=0.2 --set data.validation_fraction=0.2 --set round.participants=0"
for n in 1 3; do
    # shellcheck disable=SC2086
    check "synthetic silos on $n" exits 0 on_ranks $n train $synthetic --run synthetic$n
done
check "one digest" equal "$(digest synthetic3)" "$(digest synthetic1)"
check "the same figures" equal "$(figures synthetic3)" "$(figures synthetic1)"
finish
