#!/usr/bin/env bash
# Runs the tests and ends with the line "N passed, N failed".
#   tests/run.sh BUILD all|quick [PATTERN]
# unit/      Check programs
# parallel/  programs that name their rank counts in a line " * ranks: 1 2 3"; run under mpirun
# system/    scripts that use the built command as a user does; "# quick" in a script's first
#            five lines takes it into `quick`
# faults/    scripts, as system/
set -u
BUILD=$1 WHAT=$2 PATTERN=${3:-}
TESTS=$(cd "$(dirname "$0")" && pwd)
TOP=$(dirname "$TESTS")
cd "$TOP" || exit 1
case $BUILD in /*) ;; *) BUILD=$TOP/$BUILD ;; esac
export GRANARY=$BUILD/granary TESTS TOP BUILD
. "$TESTS/environment.sh"
passed=0 failed=0
LOG=$(mktemp)
trap 'rm -f "$LOG"' EXIT

# Runs one program under a time limit and adds what it counted: Check's line or ours; a program
# that counts nothing counts as one.
run() {
    local name=$1 limit=$2 p f code t0=$SECONDS; shift 2
    [[ -z $PATTERN || $name == *$PATTERN* ]] || return 0
    timeout --kill-after=10 "$limit" "$@" >"$LOG" 2>&1 </dev/null; code=$?
    read -r p f < <(awk '
        /^[0-9]+%: Checks: [0-9]+, Failures: [0-9]+, Errors: [0-9]+/ {gsub(",", ""); p += $3 - $5 - $7; f += $5 + $7; s = 1}
        /^[0-9]+ passed, [0-9]+ failed/ {gsub(",", ""); p += $1; f += $3; s = 1}
        END {print s ? p " " f : "none 0"}' "$LOG")
    if [ "$p" = none ]; then if [ $code = 0 ]; then p=1; else p=0 f=1; fi
    elif [ $code != 0 ] && [ "$f" = 0 ]; then f=1; fi
    passed=$((passed + p)) failed=$((failed + f))
    printf '%-44s %4d passed, %d failed  %3d s\n' "$name" "$p" "$f" $((SECONDS - t0))
    if [ "$f" != 0 ]; then
        [ $code = 124 ] && echo "    timed out after $limit s"
        sed 's/^/    /' "$LOG" | tail -n 60
    fi
}

for t in "$BUILD"/tests/unit/test_*; do
    case $t in *.o | *.d) continue ;; esac
    [ -e "$TESTS/unit/$(basename "$t").c" ] || continue
    run "unit/$(basename "$t")" 120 "$t"
done
for t in "$BUILD"/tests/parallel/test_*; do
    case $t in *.o | *.d) continue ;; esac
    source=$TESTS/parallel/$(basename "$t").c
    [ -e "$source" ] || continue
    for n in $(sed -n 's/^ \* ranks: //p' "$source" | head -n 1); do
        [ "$WHAT" = quick ] && [ "$n" -gt 3 ] && continue
        # shellcheck disable=SC2086
        run "parallel/$(basename "$t") on $n" 120 mpirun $MPIRUN_FLAGS -n "$n" "$t"
    done
done
for t in "$TESTS"/system/test_*.sh "$TESTS"/faults/test_*.sh; do
    [ -e "$t" ] || continue
    [ "$WHAT" = quick ] && ! head -n 5 "$t" | grep -q '^# quick' && continue
    run "$(basename "$(dirname "$t")")/$(basename "$t" .sh)" 600 bash "$t"
done
echo "$passed passed, $failed failed"
# Nothing that fits the pattern is a mistake, not a success.
[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
