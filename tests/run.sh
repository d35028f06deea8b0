#!/usr/bin/env bash
# Runs the tests and ends with the line "N passed, N failed".
#   tests/run.sh BUILD all|quick [PATTERN]
# unit/      Check programs
# parallel/  programs that name their rank counts in a line " * ranks: 1 2 3"; run under mpirun
# system/    scripts that use the built command as a user does; "# quick" in a script's first
#            five lines takes it into `quick`
# Of unit/ and parallel/ those stay out of `quick` that say " * slow: why" in their head.
# faults/    scripts, as system/
set -u
BUILD=$1 WHAT=$2 PATTERN=${3:-}
TESTS=$(cd "$(dirname "$0")" && pwd)
TOP=$(dirname "$TESTS")
cd "$TOP" || exit 1
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac
export GRANARY=$BUILD/granary TESTS TOP BUILD
. "$TESTS/environment.sh"
LOGS=$(mktemp -d)
trap 'rm -rf "$LOGS"' EXIT
# The limit is the program's, below: Check's own 4 s for each test are less than a busy machine takes.
export CK_DEFAULT_TIMEOUT=${CK_DEFAULT_TIMEOUT:-100}
n_runs=0

# Runs one program under a time limit and keeps what it counted: Check's line or ours; a program
# that counts nothing counts as one.
run_one() {
    local name=$1 limit=$2 log=$3 p f code t0=$SECONDS; shift 3
    timeout --kill-after=10 "$limit" "$@" >"$log" 2>&1 </dev/null; code=$?
    read -r p f < <(tr -d '\0' <"$log" | awk '
        /^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/ {gsub(",", ""); p += $3 - $5 - $7; f += $5 + $7; s = 1}
        /^[0-9]+ passed, [0-9]+ failed/ {gsub(",", ""); p += $1; f += $3; s = 1}
        END {print s ? p " " f : "none 0"}')
    if [ "$p" = none ]; then if [ $code = 0 ]; then p=1; else p=0 f=1; fi
    elif [ $code != 0 ] && [ "$f" = 0 ]; then f=1; fi
    echo "$p $f" >"$log.count"
    { # at once, so that two lanes do not mix their lines
        printf '%-44s %4d passed, %d failed  %3d s\n' "$name" "$p" "$f" $((SECONDS - t0))
        if [ "$f" != 0 ]; then
            [ $code = 124 ] && echo "    timed out after $limit s"
            sed 's/^/    /' "$log" | tail -n 60
        fi
    } >"$log.told"
    cat "$log.told"
}
# run NAME LIMIT_S COMMAND...: as soon as fewer than $lanes are running.
run() {
    local name=$1 limit=$2; shift 2
    [[ -z $PATTERN || $name == *$PATTERN* ]] || return 0
    while [ "$(jobs -rp | wc -l)" -ge "$lanes" ]; do wait -n; done
    n_runs=$((n_runs + 1))
    run_one "$name" "$limit" "$LOGS/$n_runs" "$@" &
}
# Whether `quick` leaves out the test of this source: it says " * slow: why" in its head.
left_out() { [ "$WHAT" = quick ] && head -n 15 "$1" | grep -q '^ \* slow: '; }

# Ranks spin and deadlines run in parallel/ and faults/: those have the machine to themselves.
lanes=2
for t in "$BUILD"/tests/unit/test_*; do
    case $t in *.o | *.d) continue ;; esac
    source=$TESTS/unit/$(basename "$t").c
    if [ ! -e "$source" ] || left_out "$source"; then continue; fi
    run "unit/$(basename "$t")" 120 "$t"
done
wait
lanes=1
for t in "$BUILD"/tests/parallel/test_*; do
    case $t in *.o | *.d) continue ;; esac
    source=$TESTS/parallel/$(basename "$t").c
    if [ ! -e "$source" ] || left_out "$source"; then continue; fi
    for n in $(sed -n 's/^ \* ranks: //p' "$source" | head -n 1); do
        [ "$WHAT" = quick ] && [ "$n" -gt 2 ] && continue
        # shellcheck disable=SC2086
        run "parallel/$(basename "$t") on $n" 120 mpirun $MPIRUN_FLAGS -n "$n" "$t"
    done
done
wait
run_scripts() {
    for t in "$TESTS/$1"/test_*.sh; do
        [ -e "$t" ] || continue
        [ "$WHAT" = quick ] && ! head -n 5 "$t" | grep -q '^# quick' && continue
        run "$1/$(basename "$t" .sh)" 600 bash "$t"
    done
    wait
}
lanes=2 run_scripts system
lanes=1 run_scripts faults
read -r passed failed < <(cat "$LOGS"/*.count 2>/dev/null | awk '{p += $1; f += $2} END {print p + 0, f + 0}')
echo "$passed passed, $failed failed"
# Nothing that fits the pattern is a mistake, not a success; nor is a test that left no count.
[ "$failed" = 0 ] && [ "$passed" -gt 0 ] && [ "$(find "$LOGS" -name '*.count' | wc -l)" = $n_runs ]
