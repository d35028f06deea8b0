#!/usr/bin/env bash
# One training run with one or two faults, and what it must have left.
#   driver.sh SEED [shm|tcp]          ranks, silos, settings and faults drawn from the seed
#   driver.sh SEED secure             the same in shared memory with secure sums, whose model is that of
#                                     plain ones; where too few may be left the run may also stop
#   driver.sh SEED early              a rank is struck from outside at any moment from its first on:
#                                     in the start, while data are loaded and fitted, in early rounds
#   driver.sh [shm|tcp] --ranks N --silos N [--set S.K=V]... [--end finished|stopped]
#             --fault KIND:SILO:ROUND:POINT[:AFTER_S[:SECONDS]]...       those named
# GRANARY: the command; default build/release/granary. Last line "1 passed, 0 failed" or the other.
set -u
# Numbers are written with a point, whatever the user's language writes.
export LC_ALL=C
: "${TESTS:=$(cd "$(dirname "$0")/.." && pwd)}"
: "${GRANARY:=$(dirname "$TESTS")/build/release/granary}"
export TESTS GRANARY
. "$TESTS/faults/case.sh"
own_shm "$0" "$@"

# ---- drawing: SplitMix64, the same on every machine --------------------------------------------
state=0 drawn=0
shift_right() { mixed=$((($1 >> $2) & ((1 << (64 - $2)) - 1))); } # bash's own keeps the sign
draw() { # draw N: 0 to N - 1 into $drawn
    local z mixed
    state=$((state + 0x9E3779B97F4A7C15)) z=$state
    shift_right $z 30; z=$(((z ^ mixed) * 0xBF58476D1CE4E5B9))
    shift_right $z 27; z=$(((z ^ mixed) * 0x94D049BB133111EB))
    shift_right $z 31; drawn=$((((z ^ mixed) & 0x3fffffff) % $1))
}
pick() { draw $#; shift "$drawn"; drawn=$1; } # one of the words

# draw_fault SILO ROUND POINT KIND...: one of the kinds, its point if POINT is empty; adds to FAULTS.
draw_fault() {
    local silo=$1 round=$2 point=$3 kind after=0 seconds=0; shift 3
    pick "$@"; kind=$drawn
    case $kind in
    nan | explode) point=train ;;
    corrupt) point=checkpoint ;;
    *) # shellcheck disable=SC2086
        pick train ready aggregate seal commit evaluate score record checkpoint $more_points; point=${point:-$drawn} ;;
    esac
    case $kind in
    kill | stop | pause) # half of them strike up to 5 ms later: inside a collective
        draw 2; [ "$drawn" = 0 ] || { draw 50; after=$(printf '0.%04d' $((drawn + 1))); } ;;
    esac
    case $kind in
    delay | pause) draw 20; seconds=$((2 + drawn / 10)).$((drawn % 10)) ;;
    esac
    [ $kind != pause ] || kind=stop # one that is continued
    # Where there is none in that round a checkpoint's fault would not strike.
    [ $point != checkpoint ] || [ $every = 1 ] || round=$((round & ~1))
    FAULTS="$FAULTS $kind:$silo:$round:$point:$after:$seconds"
}
kinds="kill kill kill kill kill kill kill kill kill kill kill kill kill stop pause delay delay nan explode corrupt"

draw_case() {
    local silo round other second
    state=$SEED; draw 2; state=$((state ^ drawn << 40 ^ SEED << 20))
    draw 4; RANKS=$((3 + drawn))
    draw $((RANKS + 1)); SILOS=$((RANKS + drawn))
    # The last has sums of two segments.
    pick "[8]" "[8]" "[200, 150]" "[1300, 150]"; SETTINGS="model: {type: mlp, hidden: $drawn}"
    draw 2; every=$((1 + drawn)); SETTINGS+=$'\n'"checkpoint: {every: $every, keep: 2}"
    draw 2; [ "$drawn" = 0 ] || SETTINGS+=$'\n'"strategy: {name: fedavgm}"
    draw 5; [ "$drawn" != 0 ] || { SAMPLED=1; SETTINGS+=$'\n'"round: {participants: $((SILOS - 1))}"; }
    draw "$SILOS"; silo=$drawn
    pick auto auto mpi mpi tree direct; AGGREGATION="between: $drawn"
    pick 0 0 1 2; [ "$MODE" = tcp ] || AGGREGATION+=", ranks_per_node: $drawn"
    draw 4; round=$((2 + drawn))
    # shellcheck disable=SC2086
    draw_fault "$silo" "$round" "" $kinds
    draw 10; [ "$drawn" -lt 4 ] || return 0
    other=$silo
    while [ "$(host_of "$other")" = "$(host_of "$silo")" ]; do draw "$SILOS"; other=$drawn; done
    pick same recover later; second=$drawn
    [ $second != later ] || [ $round = 5 ] || { draw $((5 - round)); round=$((round + 1 + drawn)); }
    # shellcheck disable=SC2086
    if [ $second = recover ]; then draw_fault "$other" "$round" recover kill kill kill stop pause
    else draw_fault "$other" "$round" "" $kinds; fi
}

# may_be_lost: silos of all ranks that are struck.
may_be_lost() {
    local fault silo other hosts='' n=0
    for fault in $FAULTS; do
        IFS=: read -r _ silo _ <<<"$fault"
        hosts+=" $(host_of "$silo") "
    done
    for ((other = 0; other < SILOS; other++)); do
        [[ $hosts != *" $(host_of "$other") "* ]] || n=$((n + 1))
    done
    echo $n
}
draw_secure() {
    local least
    more_points="unmask unmasking losses"
    draw_case
    pick $((SILOS / 2 + 1)) $((SILOS * 2 / 3 + 1)); least=$drawn
    SETTINGS+=$'\n'"secure: {aggregation: true, threshold: $least}"
    AGGREGATION+=", grid: public, clip_norm: 1, weight_max: 60"
    REPLAYED="--set secure.aggregation=false --set secure.threshold=0"
    # Of two no sum is secure, whatever the threshold.
    [ $((SILOS - $(may_be_lost))) -ge $((least < 3 ? 3 : least)) ] || END=either
}

# Data that take a while to be made and fitted, and whom to strike how, milliseconds after it began.
draw_early() {
    state=$SEED; draw 2; state=$((state ^ drawn << 40 ^ SEED << 20))
    draw 4; RANKS=$((3 + drawn))
    draw $((RANKS + 1)); SILOS=$((RANKS + drawn))
    SETTINGS="checkpoint: {every: 1, keep: 2}"$'\n'"preprocess: {scale: standardise}"$'\n'"model: {type: softmax}"
    pick 60 4000 20000
    OVERRIDES="--set data.synthetic.features=40 --set data.synthetic.maximum_rows=$drawn"
    LASTING=$OVERRIDES
    draw "$RANKS"; VICTIM=$drawn
    pick KILL KILL KILL STOP; SIGNAL=$drawn
    draw 1000; MOMENT=$(printf '%d.%03d' $((drawn / 1000)) $((drawn % 1000)))
}

MODE=shm SEED=1 RANKS=3 SILOS=3 ROUNDS=6 FAULTS="" END=finished SAMPLED="" OVERRIDES="" LASTING="" REPLAYED="" AGGREGATION="" every=1 more_points=""
SETTINGS=$'model: {type: mlp, hidden: [8]}\ncheckpoint: {every: 1, keep: 2}'
case ${1:-} in
[0-9]*)
    SEED=$1 MODE=${2:-shm} NAME="seed $1 $MODE"
    case $MODE in
    early) draw_early ;;
    secure) draw_secure; MODE=shm ;;
    *) draw_case ;;
    esac
    ;;
*)
    NAME="$*"
    while [ $# -gt 0 ]; do
        case $1 in
        shm | tcp) MODE=$1; shift; continue ;;
        --ranks) RANKS=$2 ;;
        --silos) SILOS=$2 ;;
        --set)
            OVERRIDES="$OVERRIDES --set $2"
            # What decides the bits stands as well when the run is resumed or replayed.
            case $2 in round.*) ;; *) LASTING="$LASTING --set $2" ;; esac ;;
        --end) END=$2 ;;
        --fault)
            IFS=: read -r kind silo round point after seconds <<<"$2"
            FAULTS="$FAULTS $kind:$silo:$round:$point:${after:-0}:${seconds:-0}" ;;
        *) echo "driver.sh: unknown word $1" >&2; exit 64 ;;
        esac
        shift 2
    done
    ;;
esac
REPEAT="tests/faults/driver.sh ${NAME#seed }"
[ -z "${FAULTS_SHOW:-}" ] || { echo "$NAME: $RANKS ranks, $SILOS silos,$FAULTS ${VICTIM:+$SIGNAL of rank $VICTIM after $MOMENT s}"; echo "$SETTINGS"; exit; }
case_run
case_end
