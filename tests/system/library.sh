# Helpers of the system tests. A script sources this, calls check, and ends with `finish`.
# Each script runs in a scratch folder of its own, removed at the end.
set -u
: "${GRANARY:?run through tests/run.sh}"
. "$TESTS/environment.sh"
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
cd "$SCRATCH" || exit 1
PASSED=0 FAILED=0

# check DESCRIPTION COMMAND...: the command succeeds.
check() {
    local what=$1; shift
    if "$@"; then PASSED=$((PASSED + 1)); else
        FAILED=$((FAILED + 1)); echo "FAILED: $what: $*"
    fi
}
# exits CODE COMMAND...: the command ends with that code within a minute; its output is in $OUT and
# $ERR. "on_ranks N WORDS..." as the command runs granary under mpirun.
OUT=$SCRATCH/.out ERR=$SCRATCH/.err
exits() {
    local want=$1 code; shift
    # shellcheck disable=SC2086
    [ "$1" != on_ranks ] || set -- mpirun $MPIRUN_FLAGS -n "$2" "$GRANARY" "${@:3}"
    timeout --kill-after=5 60 "$@" >"$OUT" 2>"$ERR" </dev/null; code=$?
    [ "$code" = "$want" ] || { echo "  exit code $code, expected $want; stderr:"; head -c 2000 "$ERR"; return 1; }
}
# says TEXT: the last command's stderr holds the text.
says() { grep -qF -- "$1" "$ERR" || { echo "  stderr lacks '$1':"; head -c 2000 "$ERR"; return 1; }; }
# prints TEXT: the last command's stdout holds the text.
prints() { grep -qF -- "$1" "$OUT" || { echo "  stdout lacks '$1':"; head -c 2000 "$OUT"; return 1; }; }
equal() { [ "$1" = "$2" ] || { echo "  '$1' is not '$2'"; return 1; }; }
finish() { echo "$PASSED passed, $FAILED failed"; [ "$FAILED" = 0 ]; exit; }
