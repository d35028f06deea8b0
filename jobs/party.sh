# What the batch scripts of a study's parties share; sourced by them. Runs the command of a party, and
# when it ends with 75 submits a job like this one for later: at once after the warning before the time
# limit, else, for it has waited in vain, after PAUSE minutes. Waiting for the others in the queue costs
# nobody anything; a job that is requeued would begin again at once.

# Installed together: PREFIX/share/granary/jobs and PREFIX/bin.
if ! command -v "$GRANARY" >/dev/null && [ -x "$JOBS/../../../bin/granary" ]; then
    GRANARY=$JOBS/../../../bin/granary
fi

# follow MINUTES: a job with the options and the variables of this one, once this has ended.
follow() {
    local options=(--parsable --begin="now+${1}minutes" --dependency="afterany:$SLURM_JOB_ID"
        --ntasks="$SLURM_NTASKS" --job-name="$SLURM_JOB_NAME" --export=ALL
        --time="$(squeue -h -j "$SLURM_JOB_ID" -o %l)")
    # Sites know the node by its name.
    [ -z "${LISTEN:-}" ] || options+=(--nodelist="$SLURM_JOB_NODELIST")
    [ -z "${SLURM_JOB_PARTITION:-}" ] || options+=(--partition="$SLURM_JOB_PARTITION")
    [ -z "${SLURM_JOB_ACCOUNT:-}" ] || options+=(--account="$SLURM_JOB_ACCOUNT")
    PARTY_JOBS=$((${PARTY_JOBS:-1} + 1)) sbatch "${options[@]}" "$script"
}

# run_party COMMAND WORDS...: the command of a party, under mpirun where it has several tasks. Ends the
# script with its code.
run_party() {
    local warned= ended= turned= code job next stop=TERM launch=()
    # mpirun hands on SIGUSR1, upon which a party stops likewise; at SIGTERM it kills its ranks.
    [ "$SLURM_NTASKS" = 1 ] || { stop=USR1; launch=("${GRANARY_MPIRUN:-mpirun}" -n "$SLURM_NTASKS"); }
    "${launch[@]}" "$GRANARY" "$@" &
    job=$!
    # The coordinator stops after the round.
    trap 'turned=1 warned=1; kill -$stop $job 2>/dev/null' USR1
    trap 'turned=1 ended=1; kill -$stop $job 2>/dev/null' TERM
    # A trap ends the wait; what was started may take its time.
    while turned=; wait "$job"; code=$?; [ -n "$turned" ]; do :; done
    trap '' USR1 TERM
    [ $code != 143 ] || [ -z "$warned" ] || code=75 # a site that was ended by the warning
    if [ $code = 75 ] && [ -z "$ended" ] && [ "${PARTY_JOBS:-1}" -lt "$REQUEUES_MAX" ]; then
        next=$(follow "$([ -n "$warned" ] && echo 0 || echo "$PAUSE")") &&
            echo "job $SLURM_JOB_ID: stopped, to be gone on with; job $next follows" >&2
    fi
    exit $code
}
