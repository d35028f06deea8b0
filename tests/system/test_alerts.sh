#!/usr/bin/env bash
# Alerts of runs: rules of a config and the usual ones, on runs that are made for them; programs that
# are told, hang, fork and print.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables
alerts() { sed -n "s/.*\"event\":\"alert\",\"round\":\([0-9]*\),\"what\":\"\([^\"]*\)\".*/\1 \2/p" "$1/events.jsonl"; }

# ---- rules ------------------------------------------------------------------------------------
check "a healthy run" exits 0 "$GRANARY" train small.yaml --run healthy --quiet --set run.rounds=60
check "is silent" equal "$(alerts healthy)" ""
check "a rule of the config" exits 0 "$GRANARY" train small.yaml --run rule --set run.rounds=12 --set 'alerts.rules=[{figure: train_loss, when: falls, rounds: 3}, {figure: metric, metric: macro_f1, when: below, threshold: 2}]'
check "is told on the way" grep -qE '^alert: round 1: macro_f1 below: macro_f1 is [0-9.]+, below 2$' "$OUT"
check "and in the events, once" equal "$(alerts rule | grep -c '^1 macro_f1 below')" 1
check "with figure, value and limit" grep -q '"figure":"macro_f1","value":[0-9.]*,"limit":2.0' rule/events.jsonl
check "the chain is whole" exits 0 "$GRANARY" inspect rule
check "the model is the same" equal "$("$GRANARY" inspect --digest rule)" "$("$GRANARY" train small.yaml --run plain --quiet --set run.rounds=12; "$GRANARY" inspect --digest plain)"
check "an unknown figure" exits 78 "$GRANARY" validate small.yaml --set 'alerts.rules=[{figure: trainloss}]'
check "is told with those that there are" says "train_loss"
check "a metric that is none" exits 78 "$GRANARY" validate small.yaml --set 'alerts.rules=[{figure: metric, metric: beauty}]'
check "is told" says "alerts.rules: found no metric of evaluate.metrics in entry 1"
check "a metric that the rounds have not" exits 78 "$GRANARY" validate small.yaml --set 'alerts.rules=[{figure: metric, metric: brier}]'
check "a metric too many" exits 78 "$GRANARY" validate small.yaml --set 'alerts.rules=[{figure: test_loss, metric: auc}]'

# ---- the usual rules, each on a run that is made for it ----------------------------------------
rehearse() { local name=$1; shift; exits 0 on_ranks 2 train small.yaml --run "$name" --quiet --set run.rehearsal=true --set run.rounds=40 "$@"; }
check "silos that sit out" rehearse thin --set 'faults=[{kind: nan, silo: 0, round: 5}, {kind: nan, silo: 0, round: 6}, {kind: nan, silo: 0, round: 7}]' --set alerts.participation=0.95
check "low participation" equal "$(alerts thin)" "7 low participation"
check "slow rounds" rehearse late --set 'faults=[{kind: delay, silo: 0, round: 25, seconds: 3}, {kind: delay, silo: 0, round: 26, seconds: 3}, {kind: delay, silo: 0, round: 27, seconds: 3}]'
check "round time" grep -q '^27 round time' <(alerts late)
# ---- programs ---------------------------------------------------------------------------------
cat >handler <<'SH'
#!/bin/sh
cat >>"$1"; echo >>"$1"
yes & # into nothing
exec sleep 600
SH
chmod +x handler
rule='alerts.rules=[{figure: train_loss, when: below, threshold: 1e9}]'
began=$SECONDS
check "a program that hangs, forks and prints" exits 0 "$GRANARY" train small.yaml --run told --quiet --set "$rule" --set "alerts.command=[$SCRATCH/handler, $SCRATCH/heard]" --set alerts.command_s=3
check "holds nothing" test $((SECONDS - began)) -lt 60
for _ in $(seq 100); do [ -s heard ] && break; sleep 0.1; done
check "it was told once" equal "$(wc -l <heard)" 1
check "the event as JSON" grep -qE '^\{"run":"small","run_id":"[0-9a-f]{32}","time":"20[^"]*","event":"alert","round":1,"what":"train_loss below","figure":"train_loss",' heard
check "and is killed with what it started" none_left 'handler|yes|sleep'
check "its words are no shell's" exits 0 "$GRANARY" train small.yaml --run words --quiet --set "$rule" --set "alerts.command=[touch, \"a;b \$(c)\"]"
for _ in $(seq 100); do [ -e 'a;b $(c)' ] && break; sleep 0.1; done
check "as they are" test -e 'a;b $(c)'
check "one that is not there" exits 0 "$GRANARY" train small.yaml --run none --quiet --set "$rule" --set 'alerts.command=[/nowhere/handler]'
check "the same model" equal "$("$GRANARY" inspect --digest none)" "$("$GRANARY" inspect --digest told)"
finish
