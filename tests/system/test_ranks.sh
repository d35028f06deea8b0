#!/usr/bin/env bash
# What ranks must have in common, asked before round 1: the build, the command, the run directory,
# the shared tables, the instruction sets; and how long they wait for each other.
. "$(dirname "$0")/library.sh"
OTHER=$BUILD/tests/granary-other
cat >small.yaml <<'YAML'
run: {name: small, rounds: 12, seed: 3}
data:
  source: synthetic
  silos: 4
  synthetic: {alpha: 1, beta: 1, features: 8, classes: 3, minimum_rows: 20, maximum_rows: 30, test_rows: 5}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10}
checkpoint: {every: 2}
YAML
# shim NAME: makes NAME.so of the C text on standard input.
shim() { mpicc -shared -fPIC -D_GNU_SOURCE -o "$1.so" -x c - -ldl || echo "FAILED: shim $1"; }
# ends CODE WORDS...: as exits, of mpirun with its flags.
ends() { local code=$1; shift; exits "$code" mpirun $MPIRUN_FLAGS "$@"; }
digest() { "$GRANARY" inspect --digest "$1/model.h5"; }
# per_rank CASES: makes the program `per`, which is another on each rank. (Open MPI 5's mpirun does
# not bear several programs behind colons.)
export OTHER GRANARY
per_rank() { printf '#!/bin/bash\ncase $OMPI_COMM_WORLD_RANK in\n%s\nesac\n' "$1" >per; chmod +x per; }
# software RUN: for each kind of software its ranks, and the value of a key.
software() {
    awk -v key="\"$2\":" '/"software_of_ranks"/ {on = 1} on && $1 == key {sub(/^[^:]*: /, ""); print}' "$1/manifest.json"
}

# ---- the build, the libraries and the command ------------------------------------------------------
per_rank '2) exec "$OTHER" "$@" ;; *) exec "$GRANARY" "$@" ;;'
check "another build" ends 78 -n 3 ./per train small.yaml --run build
check "its rank, its host and both builds are named" says "rank 2 on $(hostname | cut -d. -f1) is not like rank 0"
check "what it is" says 'found "build another build", expected "build '
check "nothing made" test ! -e build
per_rank '0) exec "$OTHER" "$@" ;; *) exec "$GRANARY" "$@" ;;'
check "rank 0 is another" ends 78 -n 2 ./per train small.yaml --run build
per_rank '0) exec "$GRANARY" "$@" ;; *) exec "$GRANARY" "$@" --resume ;;'
check "other words" ends 78 -n 2 ./per train small.yaml --run words
check "they are told" says 'found "command train '
check "the command names its build" bash -c '"$GRANARY" version --verbose | grep -q "^build  *[0-9a-f]\{16\}$"'
check "alike" ends 0 -n 3 "$GRANARY" train small.yaml --quiet --run alike
check "the manifest has one kind of software" equal "$(software alike build | wc -l)" 1
# granary run starts itself: the launcher puts the program of each rank in its place.
cat >mixed <<SH
#!/bin/bash
words=()
for word in "\$@"; do [ "\$word" = "$GRANARY" ] && word=$PWD/per; words+=("\$word"); done
exec mpirun "\${words[@]}"
SH
chmod +x mixed
per_rank '1) exec "$OTHER" "$@" ;; *) exec "$GRANARY" "$@" ;;'
check "restarts are for losses" exits 78 env GRANARY_MPIRUN="$PWD/mixed" "$GRANARY" run -n 2 small.yaml --run mixed-run
check "no restart" equal "$(grep -c 'restart [0-9]* of' "$ERR")" 0

# ---- the run directory -----------------------------------------------------------------------------
# On rank 1 files below a folder "blind" are not there, and below "barred" not to be written; all
# checkpoints are refused from the file `refuse` on, with the errno that it holds, or, where it holds
# a path as well, from when that is there.
shim folders <<'C'
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static int error_of(const char *path, int flags) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    int writes = (flags & O_ACCMODE) != O_RDONLY, error = 0;
    if (rank && !strcmp(rank, "1") && strstr(path, "/blind/")) return ENOENT;
    if (rank && !strcmp(rank, "1") && strstr(path, "/barred/") && writes) return EACCES;
    if (strstr(path, "checkpoints/") && strstr(path, ".h5") && writes) {
        FILE *file = fopen("refuse", "r");
        char since[1000] = ".";
        if (file && fscanf(file, "%d %999s", &error, since) < 1) error = 0;
        if (file) fclose(file);
        if (access(since, F_OK) != 0) error = 0;
    }
    return error;
}
#define OPEN(name)                                                                    \
    int name(const char *path, int flags, ...) {                                      \
        static int (*real)(const char *, int, ...);                                   \
        va_list list;                                                                 \
        va_start(list, flags);                                                        \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;       \
        va_end(list);                                                                 \
        if ((errno = error_of(path, flags))) return -1;                               \
        if (!real) real = dlsym(RTLD_NEXT, #name);                                    \
        return real(path, flags, mode);                                               \
    }
OPEN(open)
OPEN(open64)
C
mkdir blind barred other
preload="-x LD_PRELOAD=$PWD/folders.so"
check "a folder that rank 1 does not see" ends 73 $preload -n 3 "$GRANARY" train small.yaml --run blind/run
check "by name" says "blind/run: is not seen by rank 1 ($(hostname | cut -d. -f1)): No such file or directory"
check "nobody trained" test ! -e blind/run/metrics.jsonl
check "one that rank 1 may not write" ends 73 $preload -n 3 "$GRANARY" train small.yaml --run barred/run
check "by name" says "may not be written by rank 1 ($(hostname | cut -d. -f1)): Permission denied"
check "once" exits 73 env LD_PRELOAD="$PWD/folders.so" "$GRANARY" run -n 3 small.yaml --run blind/again
check "no restart" equal "$(grep -c 'restart [0-9]* of' "$ERR")" 0
check "no token is left" equal "$(find . -name '.token*' | wc -l)" 0
per_rank '0) exec "$GRANARY" "$@" ;; *) cd other && exec "$GRANARY" "$@" ;;'
check "ranks in other folders" ends 0 -n 3 ./per train "$PWD/small.yaml" --run rel/run --quiet
check "one run directory" test -e rel/run/model.h5 -a ! -e other/rel
check "same digest" equal "$(digest rel/run)" "$(digest alike)"

# A checkpoint is tried before round 1.
echo 28 >refuse # ENOSPC
check "a full disk is found before round 1" ends 73 $preload -n 2 "$GRANARY" train small.yaml --run full
check "nothing was trained" [ ! -s full/metrics.jsonl ]
echo 13 >refuse # EACCES
check "another refusal" ends 73 $preload -n 2 "$GRANARY" train small.yaml --run refused
check "by the system's words" says "Permission denied"
check "no run has begun" [ ! -e refused/manifest.json ]
# Later refusals are borne twice: of rounds 6 and 8.
echo 5 midway/checkpoints/round-000004.h5 >refuse # EIO
check "refused in mid-run" ends 73 $preload -n 2 "$GRANARY" train small.yaml --run midway
check "where and why" says "round 10: 3 checkpoints in a row were refused, the newest is of round 4; --resume goes on from there: "
check "by the system's words" says "Input/output error"
check "it was told when it began" grep -q '"event":"alert","round":6,.*"why":"Input/output error"' midway/events.jsonl
check "the run is over" equal "$(wc -l <midway/metrics.jsonl)" 10
rm refuse
check "gone on with" ends 0 $preload -n 2 "$GRANARY" train small.yaml --quiet --run midway --resume
check "same digest" equal "$(digest midway)" "$(digest alike)"
check "gone on with" ends 0 $preload -n 2 "$GRANARY" train small.yaml --quiet --run refused --resume
check "same digest" equal "$(digest refused)" "$(digest alike)"

# ---- shared tables ---------------------------------------------------------------------------------
awk 'BEGIN {print "a,b,label"; for (i = 0; i < 60; i++) print i % 7 "," i % 5 "," i % 3}' >here.csv
sed '$d' here.csv >short.csv
cat >tables.yaml <<'YAML'
run: {name: tables, rounds: 2}
data: {source: csv, silos: 4, train: {file: table.csv}, test_fraction: 0.2}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10}
YAML
for host in h1 h2; do mkdir $host; cp here.csv $host/table.csv; done
# Two ranks, each with the files of a host of its own.
per_rank '0) cd h1 && exec "$GRANARY" "$@" ;; *) cd h2 && exec "$GRANARY" "$@" ;;'
check "the same copies" ends 0 -n 2 ./per train ../tables.yaml --run "$PWD/same"
cp short.csv h2/table.csv
check "other copies" ends 65 -n 2 ./per train ../tables.yaml --run "$PWD/other-copies"
check "by name" says "rank 1 ($(hostname | cut -d. -f1)): found other rows in the shared tables than rank 0"
check "nothing made" test ! -e other-copies

# ---- instruction sets --------------------------------------------------------------------------------
# A cnn's convolutions are oneDNN's, whose order of additions goes by the processor.
# Images in an IDX pair: 120 of 12 x 12.
perl -e '
    sub idx { my ($n, $dims, $bytes) = @_; open my $f, ">", $n; binmode $f; print $f pack("CCCC", 0, 0, 8, scalar @$dims), pack("N*", @$dims), pack("C*", @$bytes); close $f }
    my $s = 7; my @p = map { $s = ($s * 1103515245 + 12345) % 2147483648; ($s >> 16) & 255 } 1 .. 120 * 144;
    idx("images", [120, 12, 12], \@p); idx("labels", [120], [map { $_ % 3 } 1 .. 120]);'
cat >cnn.yaml <<'YAML'
run: {name: cnn, rounds: 2, seed: 5}
data:
  source: idx
  silos: 4
  train: {features: images, labels: labels}
  test_fraction: 0.2
model:
  type: cnn
  layers:
    - {type: conv, filters: 12, kernel: 3}
    - {type: max_pool, kernel: 2}
    - {type: dense, width: 8}
train: {learning_rate: 0.05, batch_size: 10}
YAML
low="-x ONEDNN_MAX_CPU_ISA=SSE41"
check "as the processor is" ends 0 -n 2 "$GRANARY" train cnn.yaml --quiet --run native
check "all on SSE4.1" ends 0 $low -n 2 "$GRANARY" train cnn.yaml --quiet --run low
if [ "$(digest native)" != "$(digest low)" ]; then # else the kinds of processor do not matter here
    for order in first second; do
        case $order in first) rank=0 ;; *) rank=1 ;; esac
        per_rank "$rank) export ONEDNN_MAX_CPU_ISA=SSE41; exec \"\$GRANARY\" \"\$@\" ;; *) exec \"\$GRANARY\" \"\$@\" ;;"
        check "$order on SSE4.1" ends 0 -n 2 ./per train cnn.yaml --run "mixed-$order"
        check "it is told" prints "the ranks' processors differ: all use the instructions of SSE4.1"
        check "one alert" equal "$(grep -c "processors differ" mixed-$order/events.jsonl)" 1
        check "the digest of what all have" equal "$(digest mixed-$order)" "$(digest low)"
        check "the manifest's word" equal "$(software mixed-$order instructions)" '"SSE4.1",'
    done
fi
check "no alert where all are alike" equal "$(grep -c "processors differ" native/events.jsonl)" 0

# ---- ranks that are waited for -------------------------------------------------------------------------
# The rank HANG_RANK hangs for ever, before it meets the others or in opening its table.
shim hangs <<'C'
#include <dlfcn.h>
#include <fcntl.h>
#include <mpi.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
static void hang(const char *where) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    if (rank && !strcmp(getenv("HANG"), where) && !strcmp(getenv("HANG_RANK"), rank))
        for (alarm(0);;) pause(); /* its own clock does not help it */
}
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
    hang("starting");
    int code = PMPI_Init_thread(argc, argv, required, provided);
    hang("meeting");
    return code;
}
/* `answering`: the rank's hello arrives, and it never takes rank 0's answer. It posts no receive, and
   rank 0's sends end only with one: so no transport's buffers take the answer for it. */
int MPI_Irecv(void *bytes, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request) {
    const char *rank = getenv("OMPI_COMM_WORLD_RANK");
    *request = MPI_REQUEST_NULL;
    if (from == 0 && !strcmp(getenv("HANG"), "answering") && !strcmp(getenv("HANG_RANK"), rank)) return MPI_SUCCESS;
    return PMPI_Irecv(bytes, n, type, from, tag, comm, request);
}
int MPI_Isend(const void *bytes, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
    if (strcmp(getenv("HANG"), "answering")) return PMPI_Isend(bytes, n, type, to, tag, comm, request);
    int code = PMPI_Issend(bytes, n, type, to, tag, comm, request), done = 0;
    while (to == 0 && !done) PMPI_Request_get_status(*request, &done, MPI_STATUS_IGNORE);
    if (to == 0) hang("answering");
    return code;
}
int MPI_Comm_dup(MPI_Comm from, MPI_Comm *to) {
    hang("joining");
    return PMPI_Comm_dup(from, to);
}
int open(const char *path, int flags, ...) {
    static int (*real)(const char *, int, ...);
    va_list list;
    va_start(list, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0;
    va_end(list);
    if (strstr(path, "images")) hang("loading");
    if (!real) real = dlsym(RTLD_NEXT, "open");
    return real(path, flags, mode);
}
C
# waits HANG RANK: code 75 after the start's deadline, with the name of who is waited for.
waits() {
    local name="hang-$1-$2"
    check "$1, rank $2" ends 75 -x LD_PRELOAD="$PWD/hangs.so" -x HANG="$1" -x HANG_RANK="$2" -x GRANARY_START_DEADLINE_S=2 \
        -n 3 "$GRANARY" train cnn.yaml --run "$name" --set round.start_deadline_s=2
    check "no run" test ! -e "$name/metrics.jsonl"
}
waits meeting 2
check "while it waits" says "granary: waiting for rank 2, which has not answered for"
check "at the end" says "rank 2 has not answered within 2 s (round.start_deadline_s)"
waits meeting 0
check "rank 1 tells" says "rank 0 has not answered for"
waits starting 2
check "rank 0 tells" says "granary: waiting: MPI does not start on all ranks"
check "and gives up" says "granary: given up: MPI does not start on all ranks"
waits answering 2
check "at the end" says "rank 2 has not taken the answer within 2 s (round.start_deadline_s)"
waits joining 2
check "rank 0 tells" says "granary: waiting: not all ranks reach each other"
check "and gives up" says "granary: given up: not all ranks reach each other"
# A rank that is suspended for good does not end by its own clock, and its launcher waits for it; that
# of Open MPI 5 ends it with the others.
five=$(mpirun --version | grep -o 'Open MPI) [5-9]')
for case in meeting:2 joining:0 joining:2; do
    at=${case%:*} rank=${case#*:}
    check "suspended, $at, rank $rank: the start is given up" exits 75 timeout 60 "$GRANARY" run -n 3 cnn.yaml --run "held-$at-$rank" \
        --set round.start_deadline_s=2 --set round.collective_deadline_s=1 --set round.deadline_s=1 --restarts 0 \
        -- -x LD_PRELOAD="$PWD/hangs.so" -x HANG="$at" -x HANG_RANK="$rank"
    [ -n "$five" ] || check "by the launcher" says "the launcher outlives its run by"
    check "nothing is left" none_left granary
done
waits loading 2
check "while it waits" says "granary: waiting for rank 2 ($(hostname | cut -d. -f1)), which gives no sign"
check "at the end" says "before the first round: rank 2 ($(hostname | cut -d. -f1)) has ended or gives no sign"
waits loading 0
check "rank 1 tells" says "granary: waiting for rank 0 ($(hostname | cut -d. -f1)), which gives no sign"
check "at the end" says "before the first round: rank 0 ($(hostname | cut -d. -f1)) has ended or gives no sign"
check "nothing left" none_left
finish
