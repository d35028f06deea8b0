# shellcheck shell=bash
# One run with faults on this machine, from its settings to what it must have left. Sourced by
# driver.sh, which sets
#   NAME REPEAT MODE (shm|tcp|early) SEED RANKS SILOS ROUNDS FAULTS END (finished|stopped|either)
#   VICTIM SIGNAL MOMENT  with MODE early: the rank that is struck, how, seconds after it began
#   AGGREGATION  words of that section
#   SETTINGS  lines of YAML, "section: {...}", added to the config; SAMPLED
#   OVERRIDES words for the run with faults, LASTING those of them for its resumption and its replay,
#   REPLAYED words for the replay alone
. "$TESTS/environment.sh"
. "$TESTS/faults/asserts.sh"
LIMIT=${FAULTS_LIMIT_S:-60} # seconds until a run counts as hanging
GENERATION=$(mpirun --version 2>/dev/null | sed -n 's/^mpirun (Open MPI) \([0-9]*\).*/\1/p')
GENERATION=${GENERATION:-4}
CODE_COUNTS=1
[ "$GENERATION" -lt 5 ] || CODE_COUNTS=

# With faults the launcher must not end the job when a rank dies.
launcher() {
    local transport=vader
    [ "$GENERATION" -lt 5 ] || transport=sm
    if [ "$GENERATION" -lt 5 ]; then echo "--enable-recovery --oversubscribe --bind-to none"
    else echo "--with-ft ulfm --map-by :oversubscribe --bind-to none"; fi
    if [ "$MODE" = tcp ]; then echo "--mca btl self,tcp --mca btl_tcp_if_include lo"
    else echo "--mca btl self,$transport"; fi
}

case_faults() {
    local fault kind silo round point after seconds
    [ -n "$FAULTS" ] || return 0
    echo "faults:"
    for fault in $FAULTS; do
        IFS=: read -r kind silo round point after seconds <<<"$fault"
        echo "  - {kind: $kind, silo: $silo, round: $round, point: $point, after_s: $after, seconds: $seconds}"
    done
}
# base.yaml, and case.yaml with the faults.
case_config() {
    cat >"$CASE/base.yaml" <<YAML
data:
  source: synthetic
  silos: $SILOS
  synthetic: {features: 8, classes: 3, minimum_rows: 20, maximum_rows: 60, test_rows: 5}
  validation_fraction: 0.1
train: {learning_rate: 0.05, batch_size: 8, epochs: 1}
$SETTINGS
YAML
    local aggregation=${AGGREGATION:-}
    [ "$MODE" != tcp ] || aggregation="ranks_per_node: 1${aggregation:+, $aggregation}"
    [ -z "$aggregation" ] || echo "aggregation: {$aggregation}" >>"$CASE/base.yaml"
    { cat "$CASE/base.yaml"; case_faults; } >"$CASE/case.yaml"
}

# train RANKS CONFIG WORDS...: the command that trains, word for word.
train() {
    local ranks=$1 config=$2; shift 2
    # shellcheck disable=SC2046
    command=(mpirun $(launcher) -x GRANARY_CASE -n "$ranks" "$GRANARY" train "$config" --quiet
        --set run.name=case --set run.rounds="$ROUNDS" --set run.seed="$SEED" "$@")
}
# Deadlines of a run with faults: short, so that a case takes seconds. REHEARSAL is for the case.
DEADLINES="--set round.deadline_s=1.5 --set round.collective_deadline_s=1 --set round.heartbeat_s=1"

# first_silo RANK: of those that the rank hosts.
first_silo() {
    local silo=0
    while [ "$(host_of $silo)" != "$1" ]; do silo=$((silo + 1)); done
    echo $silo
}
# The process of a rank of this run; nothing while there is none.
process_of() {
    local file
    for file in $(grep -lsF "GRANARY_CASE=$CASE" /proc/[0-9]*/environ); do
        grep -qszx "OMPI_COMM_WORLD_RANK=$1" "$file" && echo "$file" | cut -d/ -f3 && return
    done
}
strike() {
    local pid="" last=$((SECONDS + 20))
    while [ -z "$pid" ] && [ $SECONDS -lt $last ]; do pid=$(process_of "$VICTIM"); done
    sleep "$MOMENT"
    [ -z "$pid" ] || kill -"$SIGNAL" "$pid" 2>/dev/null
}
# Everybody goes on without the rank, or all start again: `granary run` sees to it.
run_early() {
    # shellcheck disable=SC2046,SC2086
    begin "$GRANARY" run -n "$RANKS" "$CASE/case.yaml" --quiet --backoff 0.1 --set run.name=case \
        --set run.rounds="$ROUNDS" --set run.seed="$SEED" $DEADLINES --set round.start_deadline_s=4 \
        $overrides --run "$CASE/run" -- $(launcher)
    strike &
    await "$LIMIT"
    LAUNCHER_KILLED='ompi.*'
    [ "$GENERATION" -lt 5 ] || LAUNCHER_KILLED='prte*'
    # It may be absent from any round, as one that is killed at any point.
    FAULTS="kill:$(first_silo "$VICTIM"):1:recover:0:0"
}
case_run() {
    local overrides=${OVERRIDES:-} lasting=${LASTING:-} left
    CASE=$(mktemp -d "${TMPDIR:-/tmp}/granary-case.XXXXXX")
    trap 'end_all; rm -rf "$CASE"; exit 130' INT TERM HUP
    mkdir "$CASE/tmp"
    touch "$CASE/started"
    case_config
    if [ "$MODE" = early ]; then
        run_early
    else
        # shellcheck disable=SC2086
        train "$RANKS" "$CASE/case.yaml" $DEADLINES --set run.rehearsal=true $overrides --run "$CASE/run"
        begin "${command[@]}"
        await "$LIMIT"
    fi
    if [ "$END" = either ]; then
        SAMPLED=1 # nor is it known who was in a round that was void
        END=finished
        [ "$(outcome "$CASE/run")" != stopped ] || END=stopped
    fi
    # mpirun --enable-recovery ends with 0 however its ranks end.
    [ "$END" = finished ] || CODE_COUNTS=
    assert_ended "$END"
    assert_explained
    if [ "$ENDING" = stopped ] && [ "$END" = stopped ]; then
        # Open MPI 5's mpirun may end before a rank that sleeps and holds the run directory.
        until_gone 10
        # Resumable: goes on from its checkpoint with everybody, to the end.
        # shellcheck disable=SC2086
        train "$RANKS" "$CASE/base.yaml" $lasting --run "$CASE/run" --resume
        begin "${command[@]}"
        await "$LIMIT"
        assert_ended finished
        [ "$ENDING" != finished ] || ENDING=stopped
    fi
    if [ "$(outcome "$CASE/run")" = finished ] && [ -z "$HUNG" ]; then
        assert_records
        # shellcheck disable=SC2086
        train 2 "$CASE/base.yaml" $lasting ${REPLAYED:-} --set round.replay="$CASE/run/events.jsonl" --run "$CASE/replay"
        assert_digest "${command[@]}"
        assert_absent
    fi
    assert_nothing_left
    [ "$MISTAKES" = 0 ] || [ "$MODE" = tcp ] || wrong "healthy silos were given up"
}
# Two lines that soak.sh reads, and the verdict; the folder stays when something is wrong.
case_end() {
    echo "ending $ENDING, given up by mistake $MISTAKES"
    if [ "$WRONG" = 0 ]; then
        rm -rf "$CASE"
        echo "1 passed, 0 failed"
    else
        echo "$NAME: kept in $CASE"
        echo "0 passed, 1 failed"
        return 1
    fi
}
