# shellcheck shell=bash
# What a run with faults must have left, and how it is run under a time limit. Sourced by case.sh
# and tests/hosts/run.sh. A run is told by
#   CASE    its scratch folder: the run directory CASE/run, TMPDIR CASE/tmp, output CASE/output
#   RANKS SILOS ROUNDS, and the faults in FAULTS: words kind:silo:round:point:after:seconds
# What does not hold is printed with NAME and REPEAT, the command that repeats the run, and counted
# in WRONG; silos given up though nothing was wrong with them are counted in MISTAKES.
WRONG=0 MISTAKES=0 ENDING=
wrong() { WRONG=$((WRONG + 1)); echo "$NAME: $1    [repeat: $REPEAT]"; }

# own_shm SCRIPT WORDS...: starts the script again with a /dev/shm of its own, where we may make one:
# what is left there is then this run's.
own_shm() {
    [ -z "${FAULTS_OWN_SHM:-}" ] || return 0
    export FAULTS_OWN_SHM=1
    # shellcheck disable=SC2016
    ! unshare --mount true 2>/dev/null ||
        exec unshare --mount --propagation private -- \
            bash -c 'mount -t tmpfs -o mode=1777 tmpfs /dev/shm; exec bash "$@"' own "$@"
}

# ---- running --------------------------------------------------------------------------------

# Processes of this run: by their environment, or, when they are defunct and have none, by session;
# the defunct that wait for process 1 have nothing to do with us any more.
processes() {
    { grep -lsF "GRANARY_CASE=$CASE" /proc/[0-9]*/environ | cut -d/ -f3
      cat /proc/[0-9]*/stat 2>/dev/null |
          awk -v session="${SESSION:-none}" '{pid = $1; sub(/^.*\) /, ""); if ($4 == session && !($1 == "Z" && $2 == 1)) print pid}'
    } | sort -nu
}
end_all() {
    local pid
    for pid in $(processes); do kill -KILL "$pid" 2>/dev/null; done
}
# begin COMMAND...: in the background, in a session of its own; PID in $SESSION.
begin() {
    env GRANARY_CASE="$CASE" TMPDIR="$CASE/tmp" setsid "$@" >>"$CASE/output" 2>&1 </dev/null &
    SESSION=$!
}
# await SECONDS: until it ends, its exit code in $CODE; past that it is a hang: where everybody
# stands is kept in CASE/hang, and all are killed.
await() {
    local last=$((SECONDS + $1))
    HUNG=
    while kill -0 "$SESSION" 2>/dev/null && [ $SECONDS -lt $last ]; do sleep 0.05; done
    if kill -0 "$SESSION" 2>/dev/null; then
        HUNG=1
        stacks
        end_all
    fi
    wait "$SESSION" 2>/dev/null
    CODE=$?
}
stacks() {
    local pid
    mkdir -p "$CASE/hang"
    for pid in $(processes); do
        { tr '\0' ' ' <"/proc/$pid/cmdline"; echo
          grep -E '^(State|Threads|SigQ|SigBlk|SigCgt)' "/proc/$pid/status"
          cat /proc/$pid/task/*/wchan; echo
          cat /proc/$pid/task/*/syscall /proc/$pid/task/*/stack
          ! command -v gdb >/dev/null || timeout 20 gdb -p "$pid" -batch -ex 'thread apply all bt'
        } >"$CASE/hang/$pid" 2>/dev/null
    done
}

# ---- what is asserted ------------------------------------------------------------------------

outcome() { sed -n 's/^  "outcome": "\([a-z]*\)".*/\1/p' "$1/manifest.json" 2>/dev/null; }

# assert_ended finished|stopped: how the launcher and the run ended; sets ENDING. Where CODE_COUNTS
# is empty the manifest alone counts: Open MPI 5's mpirun may end with a killed rank's code.
assert_ended() {
    local want=$1 code=0 found
    found=$(outcome "$CASE/run")
    [ "$want" = finished ] || code=75
    if [ -n "$HUNG" ]; then
        ENDING=hang
        wrong "hang after $LIMIT s; stacks in $CASE/hang"
        return
    fi
    ENDING=${found:-none}
    case $ENDING in finished | stopped) ;; *) ENDING=failed ;; esac
    if [ "$found" != "$want" ] || { [ "$CODE" != $code ] && [ -n "$CODE_COUNTS" ]; }; then
        wrong "exit code $CODE, outcome '${found:-none}'; expected $code and '$want'"
        tail -n 5 "$CASE/output" 2>/dev/null | sed "s/^/    /"
        [ "$found" != "$want" ] || return
        [ "$ENDING" = stopped ] || ENDING=failed
    fi
}

# Rounds in which somebody may be lost between the seal of the sum and that of the figures.
unsealed() {
    local fault kind silo round point after seconds r
    for fault in $FAULTS; do
        IFS=: read -r kind silo round point after seconds <<<"$fault"
        case $kind:$point:$after in
        nan:* | explode:* | corrupt:*) ;;
        *:seal:0 | *:unmask:0 | *:unmasking:0 | *:commit:0 | *:evaluate:0 | *:losses:0 | *:score:0) echo "$round" ;;
        *:train:0 | *:ready:0 | *:aggregate:0 | *:record:0 | *:checkpoint:0) ;;
        *) for ((r = round; r <= ROUNDS; r++)); do echo "$r"; done ;;
        esac
    done
}

# The records of a run that came to its end: all rounds once, chain, whole newest checkpoint.
assert_records() {
    local run=$CASE/run last rounds
    grep -q "^  \"rounds_done\": $ROUNDS," "$run/manifest.json" ||
        wrong "manifest: $(grep -m 1 rounds_done "$run/manifest.json"); expected $ROUNDS"
    rounds=$(awk 'match($0, /"round": *[0-9]+/) {print substr($0, RSTART, RLENGTH)}' \
        "$run/metrics.jsonl" | tr -dc '0-9\n' | tr '\n' ' ')
    [ "$rounds" = "$(seq -s ' ' "$ROUNDS") " ] || wrong "metrics.jsonl has the rounds $rounds"
    # One epoch: rows trained on, whatever happened, are the rows of those who are in the sum; but
    # of who dies after his sum was sealed, and before his figures were. Nothing is added up again
    # without a silo once it has been read.
    rounds=$(awk -v less=" $(unsealed | tr '\n' ' ')" '
        {match($0, /"examples":[0-9]+/); rows = substr($0, RSTART + 11, RLENGTH - 11)
         match($0, /"processed":[0-9]+/); trained = substr($0, RSTART + 12, RLENGTH - 12)
         if (rows == "" || trained + 0 > rows + 0 || (trained + 0 < rows + 0 && !index(less, " " NR " ")))
             printf "%d ", NR}' "$run/metrics.jsonl")
    [ -z "$rounds" ] || wrong "rows trained on are not those in the sum in the rounds $rounds"
    "$GRANARY" inspect "$run" >"$CASE/inspect" 2>&1 && grep -q 'chain is whole' "$CASE/inspect" ||
        wrong "inspect: $(tail -n 1 "$CASE/inspect")"
    last=$(printf '%s/checkpoints/round-%06d.h5' "$run" "$ROUNDS")
    [ "$("$GRANARY" inspect --digest "$last" 2>&1)" = "$("$GRANARY" inspect --digest "$run/model.h5" 2>&1)" ] ||
        wrong "the last checkpoint is not the model's"
}

# assert_digest COMMAND...: the command trains the same undisturbed into CASE/replay.
assert_digest() {
    local want got
    timeout --kill-after=5 "$LIMIT" env TMPDIR="$CASE/tmp" GRANARY_CASE="$CASE" "$@" \
        >"$CASE/replay.output" 2>&1 </dev/null || {
        wrong "the undisturbed run failed: $(tail -n 1 "$CASE/replay.output")"
        return
    }
    got=$("$GRANARY" inspect --digest "$CASE/run/model.h5" 2>&1)
    want=$("$GRANARY" inspect --digest "$CASE/replay/model.h5" 2>&1)
    if [ "$got" != "$want" ]; then
        ENDING=digest
        wrong "digest ${got:0:12}, undisturbed ${want:0:12}"
        return
    fi
    # Nor do its figures differ, where they come from the silos that took part, and the test rows.
    figures "$CASE/run" >"$CASE/figures"
    # The norm of an update whose rank 0 has died may be known to nobody that is left.
    figures "$CASE/replay" >"$CASE/figures.replay"
    paste -d '\n' "$CASE/figures" "$CASE/figures.replay" | awk '
        NR % 2 {one = $0; next}
        {other = $0; if (one ~ /"update_norm":null/) {sub(/"update_norm":.*/, "", one); sub(/"update_norm":.*/, "", other)}
         if (one != other) {print "< " one; print "> " other; bad = 1}}
        END {exit bad}' >"$CASE/difference" ||
        wrong "metrics differ from the undisturbed run's: $(grep -m 2 '^[<>]' "$CASE/difference" | tr '\n' ' ')"
}
figures() {
    awk '{line = ""
          n = split("round participants examples test_loss test_accuracy update_norm", key)
          for (i = 1; i <= n; i++)
              if (match($0, "\"" key[i] "\": *[^,}]*")) line = line substr($0, RSTART, RLENGTH) " "
          print line}' "$1/metrics.jsonl"
}

# Silos go to ranks in blocks. host_of SILO
host_of() {
    local rank=0
    while [ $((SILOS * (rank + 1) / RANKS)) -le "$1" ]; do rank=$((rank + 1)); done
    echo $rank
}
# "round silo" of each silo missing in a round's sum. A list that stands is of the rounds that follow,
# to the next one or to another start; silos may be named by ranges, "silo-002..silo-006/2".
absent() {
    awk -v rounds="$ROUNDS" '
        function told(until,   r, i) {
            for (r = round; r <= (stands ? until : round) && round > 0; r++)
                for (i = 1; i <= n_silos; i++) print r, silo[i]
        }
        function number(text) { sub(/.*silo-0*/, "", text); return text + 0 }
        {
            match($0, /"round": *[0-9]+/); now = substr($0, RSTART, RLENGTH); gsub(/[^0-9]/, "", now)
        }
        /"event": *"(started|resumed|restarted)"/ { told(now); round = 0 }
        /"event": *"partial"/ && match($0, /"absent": *\[[^]]*\]/) {
            list = substr($0, RSTART, RLENGTH)
            if (now + 0 == round) stands = 0 # what is told twice of a round counts twice
            told(now - 1)
            round = now + 0; stands = /"stands": *true/; n_silos = 0
            n = split(list, part, "\"")
            for (i = 4; i <= n; i += 2) {
                if (part[i] !~ /^silo-/) continue
                step = split(part[i], end, "/") > 1 ? end[2] : 1
                last = split(end[1], pair, /\.\./) > 1 ? number(pair[2]) : number(pair[1])
                for (s = number(pair[1]); s <= last; s += step) silo[++n_silos] = s
            }
        }
        END { told(rounds) }' "$CASE/run/events.jsonl" | sort -u -k1,1n -k2,2n
}
# Whether a fault strikes after its round's roster has been sealed.
is_sealed() { case $1 in unmask | unmasking | commit | evaluate | losses | score | record | checkpoint) ;; *) return 1 ;; esac; }
# What the faults allow to be missing and what they demand, a line "round silo may|must" each; and
# who must be there, "round silo there": whoever is lost after the seal, if he is there till then.
expected_absent() {
    local fault kind silo round point after seconds other r
    for fault in $FAULTS; do
        IFS=: read -r kind silo round point after seconds <<<"$fault"
        for ((other = 0; other < SILOS; other++)); do
            for ((r = round; r <= ROUNDS; r++)); do
                case $kind in
                nan | explode) [ "$other" = "$silo" ] && [ $r = "$round" ] || continue
                    echo "$r $other must" ;;
                kill | stop | delay) [ "$(host_of $other)" = "$(host_of "$silo")" ] || continue
                    if [ $r = "$round" ] && is_sealed "$point"; then echo "$r $other there"
                    elif [ $r -gt "$round" ] && [ "$kind" != delay ] && [ "$point" != recover ] &&
                        [ "$after" = 0 ] && [ "$seconds" = 0 ]; then echo "$r $other must"
                    else echo "$r $other may"; fi ;;
                esac
            done
        done
    done
}
# No healthy silo was given up; who was killed stays away. Not so that it could be demanded where
# rounds are sampled (SAMPLED), since who was not drawn is not missing, and after a resumption.
assert_absent() {
    local line
    absent >"$CASE/absent"
    expected_absent >"$CASE/expected"
    while read -r line; do
        MISTAKES=$((MISTAKES + 1))
        echo "$NAME: given up by mistake: round, silo $line    [repeat: $REPEAT]"
    done < <(awk 'NR == FNR {good[$1 " " $2] = 1; next} !(($1 " " $2) in good)' \
        "$CASE/expected" "$CASE/absent")
    line=$(awk 'FILENAME == ARGV[1] {seen[$1 " " $2] = 1; next}
                $3 == "there" {there[$1 " " $2] = 1; next}
                {excused[$1 " " $2] = 1}
                END {for (who in there) if (who in seen && !(who in excused)) {print who; exit}}' \
        "$CASE/absent" "$CASE/expected")
    [ -n "$SAMPLED" ] || [ -z "$line" ] || wrong "lost after the seal, and yet not in the sum: round, silo $line"
    [ -z "$SAMPLED" ] && [ "${END:-finished}" = finished ] || return 0
    line=$(awk 'FILENAME == ARGV[1] {seen[$1 " " $2] = 1; next}
                $3 == "must" && !(($1 " " $2) in seen) {print $1, $2; exit}' \
        "$CASE/absent" "$CASE/expected")
    [ -z "$line" ] || wrong "the fault did not strike: round, silo $line took part"
}

# assert_explained: of what went wrong, as far as it came into the records, the cause is named.
assert_explained() {
    local cause
    grep -qE '"event":"(lost|late|sat out:|quorum lost)' "$CASE/run/events.jsonl" 2>/dev/null || return 0
    cause=$("$GRANARY" explain "$CASE/run" | sed -n 's/^cause  *[^:]*: *//p')
    grep -qE '^(lost|late|takeover|restarted|quorum lost|low participation|no wrong update|damaged checkpoint|sat out: update)' <<<"$cause" ||
        wrong "explain names '$cause' as the cause"
}

# Files in /dev/shm that are ours, came since the start and nobody has mapped.
shared_files() {
    local file
    find /dev/shm -type f -user "$(id -un)" -newer "$CASE/started" 2>/dev/null | while read -r file; do
        grep -qsF -- "$file" /proc/[0-9]*/maps || echo "$file"
    done
}
# until_gone SECONDS: until no process of this run is left; those that are in $left.
until_gone() {
    local i
    for ((i = 0; i < 20 * $1; i++)); do
        left=$(processes)
        [ -n "$left" ] || break
        sleep 0.05
    done
}
assert_nothing_left() {
    local left=1 i
    until_gone 2
    for i in $left; do
        wrong "left behind: process $i $(tr '\0' ' ' <"/proc/$i/cmdline" 2>/dev/null) \
$(sed -n 's/^State:[[:space:]]*//p' "/proc/$i/status" 2>/dev/null)"
    done
    [ -z "$left" ] || end_all
    [ -z "$HUNG" ] || return 0 # we ended it ourselves, the hard way
    left=$(shared_files)
    [ -z "$left" ] || { sleep 1; left=$(shared_files); }
    [ -z "$left" ] || wrong "left behind in /dev/shm: $(tr '\n' ' ' <<<"$left")"
    # An mpirun that hangs over a rank killed while it began is killed, and cannot clear up.
    left=$(find "$CASE/tmp" ! -type d ! -path "$CASE/tmp/${LAUNCHER_KILLED:-none}" 2>/dev/null)
    [ -z "$left" ] || wrong "left behind in TMPDIR: $(tr '\n' ' ' <<<"$left")"
    left=$(find "$CASE/run" -name '*.tmp' -o -path '*/claims/*' 2>/dev/null)
    [ -z "$left" ] || wrong "left behind in the run directory: $(tr '\n' ' ' <<<"$left")"
}
