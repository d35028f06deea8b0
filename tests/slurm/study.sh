#!/usr/bin/env bash
# The batch scripts of a study's parties on a real Slurm of two pretended nodes; takes some minutes.
#   GRANARY=build/release/granary tests/slurm/study.sh
# Ends with the line "N passed, N failed" and leaves no process behind.
TESTS=$(cd "$(dirname "$0")/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
for command in munged slurmctld slurmd sbatch; do
    command -v $command >/dev/null || { echo "$command is missing: jobs/deps.sh --slurm"; exit 1; }
done
. "$TESTS/system/library.sh"
. "$TESTS/system/sites.sh"
chmod 755 "$SCRATCH" # munged wants its socket reachable by all
DIR=$SCRATCH/s
trap '"$TESTS/slurm/down.sh" "$DIR"; rm -rf "$SCRATCH"' EXIT
trap 'exit 1' INT TERM
environment=$("$TESTS/slurm/up.sh" "$DIR") || { echo "Slurm does not start"; exit 1; }
eval "$environment"
export GRANARY JOBS=$TESTS/../jobs STUDY=study.yaml KEYS=coordinator-keys RUN=run MAILBOX=mail IDLE=5s PAUSE=0

make_parties
write_study 40
for site in a b c; do write_site $site '{folder: mail}'; done
approve_all
expected=$(one_job 40)
fresh

# submit SCRIPT OPTIONS...: the job's id in $id.
submit() { id=$(sbatch --parsable --output="$SCRATCH/%x-%j.out" "${@:2}" "$JOBS/$1.sbatch"); }
# wait_for SECONDS COMMAND...: until it succeeds.
wait_for() {
    for _ in $(seq $(($1 * 4))); do "${@:2}" && return 0; sleep 0.25; done
    tail -n 5 ./*.out; return 1
}
state() { scontrol show job "$1" | tr ' ' '\n' | sed -n 's/^JobState=//p' | head -n 1; }
is_over() { grep -qE 'COMPLETED|FAILED|CANCELLED|TIMEOUT' <<<"$(state "$1")"; }
jobs_named() { squeue -h -a -n "$1" -t all -o %A | sort -un; }
more_than() { [ "$(jobs_named "$1" | wc -l)" -gt "$2" ]; }
is_finished() { grep -q '"phase": "finished"' run/status.json 2>/dev/null; }

# ---- a coordinator that waits in vain -----------------------------------------------------------
submit coordinate; first=$id
check "the job ends by itself" wait_for 120 is_over "$first"
check "with the code that says so" grep -q "75:0" <<<"$(scontrol show job "$first")"
check "it says for whom it waited" grep -q "site-c: not here within 5 s (--idle)" granary-coordinate-"$first".out
check "another follows" wait_for 60 more_than granary-coordinate 1
check "it is told which" grep -q "job $first: stopped, to be gone on with; job [0-9]* follows" granary-coordinate-"$first".out

# ---- all meet -----------------------------------------------------------------------------------
# Site b of two ranks; sites wait for as long as their time limit.
for site in a c; do SITE=site-$site.yaml IDLE='' submit site --job-name=site-$site; done
SITE=site-b.yaml IDLE='' submit site --job-name=site-b --ntasks=2
check "the run comes to its end, over however many jobs" wait_for 300 is_finished
check "with the model of one job" equal "$(digest)" "$expected"
check "no job is left" wait_for 60 test -z "$(squeue -h)"
check "the last of the coordinator's ended well" equal "$(state "$(jobs_named granary-coordinate | tail -n 1)")" COMPLETED

# ---- the warning before the time limit, and a cancellation --------------------------------------
fresh
IDLE='' SITE=site-a.yaml submit site --job-name=warned
check "a site waits" wait_for 60 test -s own-a/trial/status.json
scancel --batch --signal=USR1 "$id"
check "warned, another takes its place" wait_for 60 more_than warned 1
check "the first is over" wait_for 60 is_over "$id"
id=$(jobs_named warned | tail -n 1)
wait_for 90 test "$(state "$id")" != x
scancel "$id"
check "cancelled, it is over" wait_for 60 is_over "$id"
check "and none takes its place" equal "$(jobs_named warned | wc -l)" 2
export REQUEUES_MAX=1
submit coordinate --job-name=limited; first=$id
check "at the limit of jobs it ends for good" wait_for 120 is_over "$first"
check "and none takes its place" equal "$(jobs_named limited | wc -l)" 1
check "no daemon left" "$TESTS/slurm/down.sh" "$DIR"
finish
