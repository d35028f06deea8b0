# What the batch scripts share; sourced by them. Runs a config under `granary run`, hands the batch
# system's warnings on to it, and puts the job back into the queue when it stopped resumably: after
# SIGUSR1, the warning, or by itself. After SIGTERM the job's end is somebody's wish (scancel), or
# Slurm itself queues it again (scontrol requeue, a node that failed).

# Installed together: PREFIX/share/granary/jobs and PREFIX/bin.
if ! command -v "$GRANARY" >/dev/null && [ -x "$JOBS/../../../bin/granary" ]; then
    GRANARY=$JOBS/../../../bin/granary
fi

# hosts_options: for a launcher that does not ask Slurm by itself, the allocation as a hostfile.
hosts_options() {
    local mpirun info
    mpirun=$(command -v "${GRANARY_MPIRUN:-mpirun}") || return 0
    for info in "$(dirname "$mpirun")/prte_info" "$(dirname "$mpirun")/ompi_info"; do
        [ -x "$info" ] || continue
        "$info" 2>/dev/null | grep -q 'ras: slurm' && return 0
    done
    # "2(x3),1": two tasks on each of three nodes, one on the next.
    paste -d' ' <(scontrol show hostnames "$SLURM_JOB_NODELIST") <(
        LC_ALL=C awk -v text="$SLURM_TASKS_PER_NODE" 'BEGIN {
            n = split(text, part, ",")
            for (i = 1; i <= n; i++) {
                times = 1
                if (split(part[i], piece, /[(x)]+/) > 1) times = piece[2]
                while (times-- > 0) print "slots=" piece[1]
            }
        }') >"$RUN.hosts" && echo "--hostfile $RUN.hosts"
}

# see_to_it: waits for the granary in the background, hands warnings on to it, and puts the job back into
# the queue if it stopped resumably. Ends the script.
see_to_it() {
    local warned= ended= code job=$!
    trap 'warned=1; kill -USR1 $job 2>/dev/null' USR1
    trap 'warned=1 ended=1; kill -USR1 $job 2>/dev/null' TERM
    # A trap ends the wait; what was started may take its time.
    while warned=; wait "$job"; code=$?; [ -n "$warned" ]; do :; done
    trap '' USR1 TERM
    [ -z "${RUN:-}" ] || rm -f "$RUN.hosts"
    if [ $code = 75 ] && [ -z "$ended" ] && [ "${SLURM_RESTART_COUNT:-0}" -lt "$REQUEUES_MAX" ]; then
        echo "job $SLURM_JOB_ID: stopped, to be resumed; back into the queue" >&2
        scontrol requeue "$SLURM_JOB_ID"
    fi
    exit $code
}

# run_granary WORDS...: granary run in $RUN, resumed when there is a run already.
run_granary() {
    local resume=
    [ ! -e "$RUN/manifest.json" ] || resume=--resume
    mkdir -p "$(dirname "$RUN")"
    # shellcheck disable=SC2046
    "$GRANARY" run -n "$SLURM_NTASKS" --run "$RUN" --grace "$GRACE_S" $(hosts_options) $resume "$@" &
    see_to_it
}

# run_sweep FOLDER: works on the runs of a plan until nothing is left that no other task has.
run_sweep() {
    "$GRANARY" sweep --run "$1" -n "$SLURM_NTASKS" --grace "$GRACE_S" --no-wait &
    see_to_it
}
