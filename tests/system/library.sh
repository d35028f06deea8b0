# Helpers of the system tests. A script sources this, calls check, and ends with `finish`.
# Each script runs in a scratch folder of its own, removed at the end.
set -u
: "${GRANARY:?run through tests/run.sh}"
. "$TESTS/environment.sh"
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
cd "$SCRATCH" || exit 1
PASSED=0 FAILED=0
export GRANARY_TEST_MARK=$SCRATCH

# check DESCRIPTION COMMAND...: the command succeeds.
check() {
    local what=$1; shift
    if "$@"; then PASSED=$((PASSED + 1)); else
        FAILED=$((FAILED + 1)); echo "FAILED: $what: $*"
    fi
}
# exits CODE COMMAND...: the command ends with that code within LIMIT_S (120) seconds; its output is in $OUT and
# $ERR. "on_ranks N WORDS..." as the command runs granary under mpirun.
OUT=$SCRATCH/.out ERR=$SCRATCH/.err
exits() {
    local want=$1 code; shift
    # shellcheck disable=SC2086
    [ "$1" != on_ranks ] || set -- mpirun $MPIRUN_FLAGS -n "$2" "$GRANARY" "${@:3}"
    timeout --kill-after=5 "${LIMIT_S:-120}" "$@" >"$OUT" 2>"$ERR" </dev/null; code=$?
    [ "$code" = "$want" ] || { echo "  exit code $code, expected $want; stderr:"; head -c 2000 "$ERR"; return 1; }
}
# says TEXT: the last command's stderr holds the text.
says() { grep -qF -- "$1" "$ERR" || { echo "  stderr lacks '$1':"; head -c 2000 "$ERR"; return 1; }; }
# prints TEXT: the last command's stdout holds the text.
prints() { grep -qF -- "$1" "$OUT" || { echo "  stdout lacks '$1':"; head -c 2000 "$OUT"; return 1; }; }
# equal A B: the same words; what both say of a command that failed ("failed") is nothing.
equal() { [ "$1" = "$2" ] && [ "$1" != failed ] || { echo "  '$1' is not '$2'"; return 1; }; }
# differ A B: two digests that are there, and are not the same.
differ() {
    [ ${#1} = 64 ] && [ ${#2} = 64 ] && [ "$1" != "$2" ] || { echo "  '$1' and '$2'"; return 1; }
}
# ours NAMES: the processes of these names which this script has started, however they are related.
ours() {
    local process
    for process in $(pgrep -x "$1"); do
        grep -qszx "GRANARY_TEST_MARK=$SCRATCH" "/proc/$process/environ" && echo "$process"
    done
}
# signal_ours SIGNAL [NAMES]
signal_ours() {
    local process
    for process in $(ours "${2:-granary|mpirun|prterun}"); do kill "-$1" "$process" 2>/dev/null; done
}
# none_left [NAMES]: none of them after 10 s.
none_left() {
    local names=${1:-granary|mpirun|prterun}
    for _ in $(seq 100); do
        [ -z "$(ours "$names")" ] && return 0
        sleep 0.1
    done
    echo "  left: $(ours "$names")"; return 1
}
# wait_lines FILE N: until the file has N lines, at most 30 s.
wait_lines() {
    for _ in $(seq 1500); do
        [ "$(cat "$1" 2>/dev/null | wc -l)" -ge "$2" ] && return 0
        sleep 0.02
    done
    echo "  $1 has not got $2 lines"; return 1
}
finish() { echo "$PASSED passed, $FAILED failed"; [ "$FAILED" = 0 ]; exit; }
