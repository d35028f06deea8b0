#!/usr/bin/env bash
# What a run tells while it runs: its first lines, its last, the batch job's comment, and granary
# inspect of it, live, stopped, killed, finished and damaged.
. "$(dirname "$0")/library.sh"
. "$TESTS/system/tables.sh"
make_tables

# ---- the first lines and the last -------------------------------------------------------------
check "train" exits 0 on_ranks 3 train small.yaml --run run
cp "$OUT" said
train_rows=$("$GRANARY" validate small.yaml | sed -n 's/^rows *\([0-9]*\) to train on, .*/\1/p')
check "the first line names the run directory" equal "$(head -n 1 said)" "run        run"
check "silos and ranks" grep -qx "silos      9 on 3 ranks" said
check "rows, as each round tells them" grep -qx "rows       $(sed -n '1s/.*"examples":\([0-9]*\).*/\1/p' run/metrics.jsonl) to train on, a test table of 90" said
check "as validate tells them" equal "$train_rows" "$(sed -n '1s/.*"examples":\([0-9]*\).*/\1/p' run/metrics.jsonl)"
check "features" grep -qx "features   36" said
check "model" grep -qx "model      mlp, 567 parameters, 4 classes; fedavg" said
check "rounds" grep -qx "rounds     6" said
check "an estimate after the first round" grep -qE '^round 1/6 .* ETA [0-9]+:[0-9]+' said
# The largest of four classes that are dealt in turn has 23 of 90 rows.
check "the last lines judge the accuracy" grep -qE '^  test +[0-9.]+ % \(largest class 25\.56 %\), AUC [01]\.[0-9]{3}, loss [0-9.]+$' said
auc=$(tr -d ' \n' <run/evaluation.json | sed 's/.*"auc":{"value":\([0-9.]*\).*/\1/')
check "by the AUC of evaluation.json" equal "$(sed -n 's/^  test .*AUC \([0-9.]*\),.*/\1/p' said)" "$(awk -v a="$auc" 'BEGIN {printf "%.3f", a}')"
check "as does the report" grep -q "25\.56.* of the largest class" run/report.html
check "drawn silos: rows are not told" exits 0 "$GRANARY" train small.yaml --run drawn --set round.participants=3
check "but how many are drawn" grep -qx "silos      9 on 1 rank; 3 of them in each round" "$OUT"
check "none" bash -c "! grep -q '^rows' '$OUT'"
check "quietly" exits 0 "$GRANARY" train small.yaml --run quiet --quiet
check "nothing is said" equal "$(wc -c <"$OUT")" 0

# ---- Slurm's comment --------------------------------------------------------------------------
mkdir bin
cat >bin/scontrol <<'SH'
#!/bin/sh
echo "$*" >>"$SCRATCH_FOLDER/comments"
SH
chmod +x bin/scontrol
job="PATH=$SCRATCH/bin:$PATH SCRATCH_FOLDER=$SCRATCH SLURM_JOB_ID=4711"
settle() { for _ in $(seq 100); do [ "$(wc -l 2>/dev/null <comments)" = "$1" ] && return 0; sleep 0.05; done; cat comments; return 1; }
# shellcheck disable=SC2086
check "in a job" exits 0 env $job "$GRANARY" train small.yaml --run job --quiet
check "twice: after the first round, for a minute is not over, and at the end" settle 2
check "the first" grep -qE '^update JobId=4711 Comment=granary round 1/6 ETA [0-9:]+$' comments
check "the last, without a score" grep -qE '^update JobId=4711 Comment=granary finished 6/6$' comments
rm comments
# shellcheck disable=SC2086
check "with the accuracy" exits 0 env $job GRANARY_JOB_COMMENT=accuracy "$GRANARY" train small.yaml --run told --quiet
check "where it is asked for" settle 2
check "the last" grep -qE '^update JobId=4711 Comment=granary finished 6/6 accuracy [0-9.]+%$' comments
rm comments
# shellcheck disable=SC2086
check "unless it is not wanted" exits 0 env $job GRANARY_JOB_COMMENT=off "$GRANARY" train small.yaml --run off --quiet
# shellcheck disable=SC2086
check "or the job has a comment" exits 0 env $job SLURM_JOB_COMMENT=project-7 "$GRANARY" train small.yaml --run own --quiet
sleep 0.3
check "nothing was said" test ! -e comments
printf '#!/bin/sh\nexec sleep 30\n' >bin/scontrol
# shellcheck disable=SC2086
check "a controller that does not answer holds up nothing" exits 0 env $job "$GRANARY" train small.yaml --run slow --quiet
check "the same model" equal "$("$GRANARY" inspect --digest slow)" "$("$GRANARY" inspect --digest quiet)"
printf '#!/bin/sh\nexit 1\n' >bin/scontrol
# shellcheck disable=SC2086
check "nor does one that refuses" exits 0 env $job "$GRANARY" train small.yaml --run refused --quiet
check "of which nothing is told" equal "$(cat "$ERR")" ""
signal_ours KILL sleep

# ---- inspect ----------------------------------------------------------------------------------
# inspected CODE DIR: leaves the folder as it is.
inspected() {
    local code=$1 dir=$2 before
    before=$(find "$dir" -printf '%p %s %T@ %i\n' | sort | cksum)
    exits "$code" "$GRANARY" inspect "$dir" || return 1
    equal "$before" "$(find "$dir" -printf '%p %s %T@ %i\n' | sort | cksum)"
}
check "a finished run" inspected 0 run
check "is called so" prints "run: finished"
check "rounds" prints "  rounds        6 of 6"
check "scores" grep -qE '^  scores +test accuracy [0-9.]+ % \(largest class 25\.56 %\), AUC [0-9.]+, loss [0-9.]+, after round 6$' "$OUT"
check "the last event" grep -qE '^  last event +finished, round 6, 20' "$OUT"
check "where the model is" prints "  model         run/model.h5"
check "that its events are whole" prints "the chain is whole"
cp -r run broken
sed -i 2d broken/events.jsonl
check "a broken chain" exits 65 sh -c '"$GRANARY" inspect broken 2>&1'
check "is told" prints "BROKEN at line 2"
check "and last of all" equal "$(tail -n 1 "$OUT")" "granary: broken/events.jsonl:2: its hash does not continue the chain"

# A run that is held up in round 4.
slow="--set run.rehearsal=true --set run.rounds=40"
# shellcheck disable=SC2086
"$GRANARY" train small.yaml $slow --run live --quiet --set "faults=[{kind: delay, silo: 0, round: 4, seconds: 6}]" >/dev/null 2>&1 &
wait_lines live/metrics.jsonl 3
check "a live run" exits 0 "$GRANARY" inspect live
check "is running" prints "live: running"
check "so far" prints "  rounds        3 of 40"
check "its newest checkpoint" prints "  model         live/checkpoints/round-000002.h5"
signal_ours KILL granary
wait 2>/dev/null
check "killed" inspected 0 live
check "it is interrupted" prints "live: interrupted: no process holds it; --resume goes on"
# shellcheck disable=SC2086
"$GRANARY" train small.yaml $slow --run live --quiet --resume --set "faults=[{kind: delay, silo: 0, round: 6, seconds: 2}]" >/dev/null 2>&1 &
wait_lines live/metrics.jsonl 5
signal_ours USR1 granary
wait 2>/dev/null
check "stopped" inspected 0 live
check "it is called so" prints "live: stopped; --resume goes on"
check "with the last event" grep -qE '^  last event +stopped, round 6, 20' "$OUT"
rm live/lock
sed -i 's/"outcome": "stopped"/"outcome": "running"/' live/manifest.json
check "without a lock the records' age tells, and of a manifest that was edited that it was" inspected 65 live
check "of a new one" prints "live: running, it seems: a record is new"
touch -d '3 hours ago' live/*.json*
check "of an old one" inspected 65 live
check "it is silent" prints "live: interrupted, it seems: it is silent"

cp -r run torn
echo '{"name": "x", ' >torn/manifest.json
truncate -s -30 torn/metrics.jsonl
check "a damaged manifest" inspected 65 torn
check "what is left is shown" prints "  scores        test accuracy"
check "what is damaged is told" prints "torn/manifest.json:2:"
check "the state is not known" prints "torn: not known"
cp -r run cut
sed -i '2s/"round":0/"round":1/; 2s/checkpoint/chockpoint/' cut/events.jsonl
check "events that were changed" inspected 65 cut
check "are told by line" prints "BROKEN at line 2"
cp -r run spoilt
perl -e 'open F, "+<", "spoilt/model.h5"; seek F, -700, 2; read F, $b, 1; seek F, -700, 2; print F chr(ord($b) ^ 1)'
check "a model that is damaged" inspected 65 spoilt
check "is named" says "spoilt/model.h5"
rm torn/* 2>/dev/null
check "no run at all" exits 65 "$GRANARY" inspect torn
check "is called so" says "torn: not a run directory"
finish
