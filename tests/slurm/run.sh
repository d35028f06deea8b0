#!/usr/bin/env bash
# The batch scripts on a real Slurm of two pretended nodes; takes about four minutes.
#   GRANARY=build/release/granary tests/slurm/run.sh
# Ends with the line "N passed, N failed" and leaves no process behind.
TESTS=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
for command in munged slurmctld slurmd sbatch; do
    command -v $command >/dev/null || { echo "$command is missing: jobs/deps.sh --slurm"; exit 1; }
done
. "$TESTS/system/library.sh"
chmod 755 "$SCRATCH" # munged wants its socket reachable by all
DIR=$SCRATCH/s
trap '"$TESTS/slurm/down.sh" "$DIR"; rm -rf "$SCRATCH"' EXIT
trap 'exit 1' INT TERM
environment=$("$TESTS/slurm/up.sh" "$DIR") || { echo "Slurm does not start"; exit 1; }
eval "$environment"
export GRANARY JOBS=$TESTS/../jobs RUNS=$SCRATCH/runs CONFIG=$SCRATCH/small.yaml GRACE_S=20
cat >small.yaml <<'YAML'
run: {name: small, rounds: 60, seed: 3}
data:
  source: synthetic
  silos: 4
  synthetic: {alpha: 1, beta: 1, features: 20, classes: 4, minimum_rows: 40, maximum_rows: 60, test_rows: 5}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10, epochs: 5}
checkpoint: {every: 5}
YAML

# submit SCRIPT OPTIONS...: the job's id in $id.
submit() { id=$(sbatch --parsable --output="$SCRATCH/%j.out" "${@:2}" "$JOBS/$1.sbatch"); }
field() { scontrol show job "$1" | tr ' ' '\n' | sed -n "s/^$2=//p" | head -n 1; }
lines() { cat "$1" 2>/dev/null | wc -l; }
# wait_state ID PATTERN SECONDS
wait_state() {
    for _ in $(seq $(($3 * 4))); do
        grep -qE "^($2)$" <<<"$(field "$1" JobState)" && return 0
        sleep 0.25
    done
    echo "  job $1 is $(field "$1" JobState)"; tail -n 20 "$1.out"; return 1
}
ends='COMPLETED|FAILED|TIMEOUT|CANCELLED|NODE_FAIL|OUT_OF_MEMORY'
# done_well ID SECONDS: it comes to its end, and well.
done_well() { wait_state "$1" "$ends" "$2" && wait_state "$1" COMPLETED 1; }
# wait_round DIR N SECONDS: until N rounds are recorded.
wait_round() {
    for _ in $(seq $(($3 * 20))); do
        [ "$(lines "$1/metrics.jsonl")" -ge "$2" ] && return 0
        sleep 0.05
    done
    return 1
}
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
# undisturbed ROUNDS [SEED]: the digest of such a run, without Slurm.
undisturbed() {
    local run
    run=$(mktemp -d "$SCRATCH/whole-XXXXXX")
    # shellcheck disable=SC2086
    env -u OMPI_MCA_btl_tcp_if_include mpirun $MPIRUN_FLAGS -n 2 "$GRANARY" train small.yaml --quiet --run "$run" \
        --set run.rounds="$1" --set run.seed="${2:-3}" </dev/null >/dev/null 2>&1 && digest "$run"
}
# rounds N: a config of that many.
rounds() { sed "s/rounds: [0-9]*/rounds: $1/" small.yaml >"rounds-$1.yaml"; export CONFIG=$SCRATCH/rounds-$1.yaml; }
restarts() { field "$1" Restarts; }
at_least() { [ "$1" -ge "$2" ] || { echo "  $1 is less than $2"; return 1; }; }

# ---- normal end: one silo a task, two nodes -----------------------------------------------------
rounds 60
submit train --nodes=2 --ntasks=4
check "train.sbatch ends" done_well "$id" 60
run=$RUNS/run-$id
check "all rounds" equal "$(lines "$run/metrics.jsonl")" 60
check "as without Slurm" equal "$(digest "$run")" "$(undisturbed 60)"
check "on two nodes" grep -q '"nodes": 2' "$run/manifest.json"
check "a job in the manifest is this one" bash -c "! grep -q '\"job\": *[^n]' '$run/manifest.json' || grep -q '\"job\":.*$id' '$run/manifest.json'"
check "never in the queue again" equal "$(restarts "$id")" 0
# What a second holds here, for jobs that are to last a certain time.
rate=$(grep -o '"total": *[0-9.e+-]*' "$run/metrics.jsonl" | awk -F: '{s += $2} END {r = NR / (s + 0.001); print int(r < 2 ? 2 : r)}')

# ---- srun ---------------------------------------------------------------------------------------
check "srun without PMIx is refused" exits 64 srun --mpi=none --ntasks=2 "$GRANARY" train small.yaml --run "$SCRATCH/single"
check "it says how" says "srun --mpi=pmix"
check "with it the ranks know each other" exits 0 srun --mpi=pmix --nodes=1 --ntasks=2 "$GRANARY" train small.yaml \
    --quiet --run "$SCRATCH/pmix"
check "two of them" grep -q '"ranks": 2' "$SCRATCH/pmix/manifest.json"

# ---- an array over seeds ------------------------------------------------------------------------
rounds 30
submit sweep --nodes=1 --array=1-3
for seed in 1 2 3; do
    check "sweep.sbatch, seed $seed, ends" done_well "${id}_$seed" 90
    check "as without Slurm" equal "$(digest "$RUNS/run-$id-$seed")" "$(undisturbed 30 $seed)"
done

# ---- a plan that an array shares -----------------------------------------------------------------
check "a plan" exits 0 "$GRANARY" sweep small.yaml --over train.learning_rate=0.05,0.1 --seeds 3 --set run.rounds=30 \
    --plan --run "$RUNS/plan"
export SWEEP=$RUNS/plan
submit sweep --nodes=1 --ntasks=1 --array=1-3
unset SWEEP
for task in 1 2 3; do check "sweep.sbatch of a plan, task $task, ends" done_well "${id}_$task" 90; done
check "every run is done" equal "$(grep -l '"outcome": "finished"' "$RUNS"/plan/p*/manifest.json | wc -l)" 6
check "once" equal "$(cat "$RUNS"/plan/p*/manifest.json | grep -c '"resumed_from"')" 6
check "as without Slurm" equal "$(digest "$RUNS"/plan/p1-s4_*)" "$(undisturbed 30 4)"
check "several tasks had some" test "$(stat -c %i "$RUNS"/plan/claims/p* | sort -u | wc -l)" -gt 1
check "the table afterwards" exits 0 "$GRANARY" sweep --run "$RUNS/plan" --quiet
check "has both points" equal "$(grep -c ' 3$' "$OUT")" 2

# ---- the same run directory twice ---------------------------------------------------------------
rounds $((20 * rate))
export RUN=$RUNS/shared
submit train --nodes=1 --ntasks=4; first=$id
check "the first runs" wait_round "$RUN" 5 30
submit train --nodes=1 --ntasks=4
check "the second ends" wait_state "$id" "$ends" 30
check "refused" equal "$(field "$id" ExitCode)" 73:0
check "it says why" grep -q "in use by another run" "$id.out"
check "the first goes on" wait_state "$first" RUNNING 1
unset RUN
scancel "$first"
check "cancelled, it stays so" wait_state "$first" CANCELLED 30

# ---- requeued by hand in mid-run ----------------------------------------------------------------
rounds $((15 * rate))
submit simulate --nodes=2 --ntasks=4; run=$RUNS/run-$id
check "runs" wait_round "$run" $((3 * rate)) 60
scontrol requeue "$id"
check "simulate.sbatch, requeued, ends" done_well "$id" 180
check "it was requeued" at_least "$(restarts "$id")" 1
check "it was resumed" grep -q '"event":"resumed"' "$run/events.jsonl"
check "same digest" equal "$(digest "$run")" "$(undisturbed $((15 * rate)))"
check "the chain of events is whole" exits 0 "$GRANARY" inspect "$run"

# ---- a node fails -------------------------------------------------------------------------------
# parent PID, on_node NODE: the tasks there and who started them
parent() { sed 's/.*) . \([0-9]*\) .*/\1/' "/proc/$1/stat" 2>/dev/null; }
on_node() {
    local process
    for process in /proc/[0-9]*; do
        grep -qszx "GRANARY_SLURM_DIR=$DIR" "$process/environ" || continue
        grep -qszx "SLURMD_NODENAME=$1" "$process/environ" || continue
        echo "${process#/proc/}"
        grep -qs slurmstepd "/proc/$(parent "${process#/proc/}")/cmdline" && parent "${process#/proc/}"
    done | sort -u
}
submit train --nodes=2 --ntasks=4; run=$RUNS/run-$id
check "runs" wait_round "$run" $((3 * rate)) 60
kill -KILL "$(cat "$DIR/run/n2.pid")"
# shellcheck disable=SC2046
kill -KILL $(on_node n2)
scontrol update nodename=n2 state=down reason=test
check "it goes back into the queue" wait_state "$id" PENDING 60
"$TESTS/slurm/up.sh" "$DIR" n2
scontrol update nodename=n2 state=resume 2>/dev/null # it may have come back by itself
check "train.sbatch, after a node failed, ends" done_well "$id" 180
check "it was requeued" at_least "$(restarts "$id")" 1
check "same digest" equal "$(digest "$run")" "$(undisturbed $((15 * rate)))"
check "the chain of events is whole" exits 0 "$GRANARY" inspect "$run"

# ---- the time limit, and into the queue until the end -------------------------------------------
# Slurm counts in minutes and warns up to half a minute early.
rounds $((75 * rate))
submit train --nodes=2 --ntasks=4 --time=1 --signal=B:USR1@15; run=$RUNS/run-$id
check "train.sbatch ends beyond its time limit" done_well "$id" 600
check "it was requeued" at_least "$(restarts "$id")" 1
check "stopped before the limit" bash -c "! grep -q 'DUE TO TIME LIMIT' '$id.out'"
check "a checkpoint at each stop" equal "$(grep -c '"event":"stopped"' "$run/events.jsonl")" "$(restarts "$id")"
check "same digest" equal "$(digest "$run")" "$(undisturbed $((75 * rate)))"
check "a line a round" equal "$(lines "$run/metrics.jsonl")" $((75 * rate))

# ---- the limit of requeues ----------------------------------------------------------------------
export REQUEUES_MAX=0
rounds $((20 * rate))
submit train --nodes=1 --ntasks=4
check "runs" wait_round "$RUNS/run-$id" 5 30
scancel --batch --signal=USR1 "$id"
check "stopped for good" wait_state "$id" FAILED 30
check "with the code that says so" equal "$(field "$id" ExitCode)" 75:0

# ---- nothing left -------------------------------------------------------------------------------
squeue -h >queue
check "no job left" test ! -s queue
left() { grep -lszx "GRANARY_SLURM_DIR=$DIR" /proc/[0-9]*/environ | xargs -r -n 1 dirname |
    while read -r process; do grep -lsz '^SLURM_JOB_ID=' "$process/environ"; done; }
for _ in $(seq 20); do [ -z "$(left)" ] && break; sleep 0.25; done
check "no process of a job left" equal "$(left)" ""
check "no daemon left" "$TESTS/slurm/down.sh" "$DIR"
finish
