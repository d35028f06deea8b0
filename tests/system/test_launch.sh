#!/usr/bin/env bash
# Starts that fail before any training, and file systems and launchers that lack something: found at
# once or in time, and told for what they are. What clusters do is emulated by shims (LD_PRELOAD).
. "$(dirname "$0")/library.sh"
cat >small.yaml <<'YAML'
run: {name: small, rounds: 6, seed: 3}
data:
  source: synthetic
  silos: 4
  synthetic: {alpha: 1, beta: 1, features: 8, classes: 3, minimum_rows: 20, maximum_rows: 30, test_rows: 5}
model: {type: softmax}
train: {learning_rate: 0.05, batch_size: 10}
checkpoint: {every: 2}
round: {start_deadline_s: 20}
YAML
# shim NAME: makes NAME.so of the C text on standard input.
shim() { mpicc -shared -fPIC -D_GNU_SOURCE -o "$1.so" -x c - -ldl || echo "FAILED: shim $1"; }
# preload NAME: the word that has a command, and all that it starts, run with it.
preload() { echo "LD_PRELOAD=$PWD/$1.so"; }
restarts() { grep -c "restart [0-9]* of" "$ERR"; }
event() { grep -c "$2" "$1/events.jsonl"; }

# ---- a run directory that cannot be made ----------------------------------------------------------
echo plain >file
check "below a file" exits 73 "$GRANARY" run -n 2 small.yaml --run file/deep/run
check "it is named" says "Not a directory"
check "once" equal "$(restarts)" 0
check "where nothing can be made" exits 73 "$GRANARY" run -n 2 small.yaml --run /proc/granary/run
check "once" equal "$(restarts)" 0
check "the path is a file" exits 73 "$GRANARY" run -n 2 small.yaml --run file
check "once" equal "$(restarts)" 0
check "nothing to resume, in no folder" exits 64 "$GRANARY" run -n 2 small.yaml --run no/where --resume
check "nothing made" test ! -e no
check "no status file left" equal "$(find . -name '*status-*' | wc -l)" 0
# The folder above may be another's: the status is then noted in the run directory.
if [ "$(id -u)" = 0 ] && setpriv --reuid=65534 --clear-groups true 2>/dev/null; then
    mkdir -p others/mine && chown 65534 others/mine && chmod 755 "$SCRATCH" others
    check "only the run directory is ours" exits 0 setpriv --reuid=65534 --clear-groups \
        env HOME="$PWD/others/mine" TMPDIR=/tmp "$GRANARY" run -n 2 small.yaml --run others/mine --quiet
    check "no status file left" equal "$(find others -name '*status-*' | wc -l)" 0
fi

# ---- streams that are closed ----------------------------------------------------------------------
check "no streams" bash -c '"$GRANARY" run -n 2 small.yaml --run closed --quiet <&- >&- 2>&-'
check "finished" grep -q '"outcome": "finished"' closed/manifest.json
check "no standard input and output" bash -c '"$GRANARY" run -n 2 small.yaml --run closed2 <&- >&- 2>/dev/null'
check "training without streams" bash -c '"$GRANARY" train small.yaml --run closed3 <&- >&- 2>&-'
check "a result that cannot be printed" bash -c '"$GRANARY" version >&- 2>/dev/null; [ $? = 73 ]'

# ---- lone processes -------------------------------------------------------------------------------
# Open MPI 4 would make a folder there, which lone processes of a user share by its name.
if "$GRANARY" version --verbose | grep -q "Open MPI v4"; then
    check "a lone process needs no folder of Open MPI" exits 0 env TMPDIR=/dev/null "$GRANARY" train small.yaml --run lone --quiet
fi

# ---- launchers ------------------------------------------------------------------------------------
real=$(command -v mpirun)
if [ -L /bin ] && [ "$(dirname "$(readlink -f /bin/mpirun 2>/dev/null)")" != /nowhere ] && [ -x /bin/mpirun ]; then
    check "found through a link to its folder" exits 0 env GRANARY_MPIRUN=/bin/mpirun \
        "$GRANARY" run -n 2 small.yaml --quiet --run linked
fi
cat >sleeps <<SH
#!/bin/bash
[ "\$1" != --version ] || exec "$real" --version
sleep 300
SH
chmod +x sleeps
check "a launcher that starts nothing" exits 75 env GRANARY_MPIRUN=./sleeps "$GRANARY" run -n 2 small.yaml \
    --run sleeps-run --set round.start_deadline_s=1 --restarts 1 --backoff 0.1
check "it says so" says "no rank has started within 1 s (round.start_deadline_s)"
check "it tries again" equal "$(restarts)" 1
check "nothing left" none_left 'granary|mpirun|prterun|sleeps|sleep'

# ---- a file system that hangs -----------------------------------------------------------------------
# The launching process hangs in stat(2) of the manifest once a file `hang` is there; its ranks do not.
shim hangs <<'C'
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
int stat(const char *path, struct stat *out) {
    static int (*real)(const char *, struct stat *);
    char words[256] = "";
    FILE *file = fopen("/proc/self/cmdline", "r");
    size_t n = file ? fread(words, 1, sizeof words - 1, file) : 0;
    if (file) fclose(file);
    size_t first = strlen(words) + 1;
    if (strstr(path, "manifest.json") && first < n && !strcmp(words + first, "run") && access("hang", F_OK) == 0)
        for (;;) pause();
    if (!real) real = dlsym(RTLD_NEXT, "stat");
    return real(path, out);
}
C
touch hang
check "a file system that hangs" exits 75 env "$(preload hangs)" "$GRANARY" run -n 2 small.yaml --run hangs \
    --set round.start_deadline_s=2
check "it says so" says "the file system of the run directory does not answer"
rm hang
check "nothing left" none_left

# ---- signals while MPI starts -----------------------------------------------------------------------
shim early <<'C'
#include <mpi.h>
#include <signal.h>
int MPI_Init_thread(int *argc, char ***argv, int required, int *provided) {
    raise(SIGUSR1);
    return PMPI_Init_thread(argc, argv, required, provided);
}
C
check "SIGUSR1 while MPI starts" exits 75 env "$(preload early)" "$GRANARY" train small.yaml --run early
check "one round" equal "$(wc -l <early/metrics.jsonl)" 1

# ---- processes that do not know each other ------------------------------------------------------------
check "srun without PMIx" exits 64 env SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=2 "$GRANARY" train small.yaml --run single
check "it says how" says "srun --mpi=pmix"
check "nothing made" test ! -e single
check "another MPI's launcher" exits 64 env PMI_SIZE=2 "$GRANARY" train small.yaml --run single
check "predictions too" exits 64 env OMPI_COMM_WORLD_SIZE=2 "$GRANARY" predict early/model.h5 small.yaml -o p.csv
check "granary run, several times" exits 64 env SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=2 "$GRANARY" run -n 2 small.yaml
check "mpirun in a step" env SLURM_STEP_NUM_TASKS=4 SLURM_PROCID=0 mpirun $MPIRUN_FLAGS -n 1 "$GRANARY" train small.yaml --quiet --run step
check "a job's batch script" exits 0 env SLURM_NTASKS=4 SLURM_PROCID=0 "$GRANARY" train small.yaml --quiet --run batch

# ---- file systems that lack something -------------------------------------------------------------------
shim lacks <<'C'
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
int flock(int fd, int operation) {
    (void)fd; (void)operation;
    errno = atoi(getenv("NO_FLOCK"));
    return -1;
}
int symlink(const char *from, const char *to) {
    (void)from; (void)to;
    errno = EPERM;
    return -1;
}
int fstatvfs(int fd, struct statvfs *out) {
    (void)fd;
    memset(out, 0, sizeof *out);
    out->f_bsize = out->f_frsize = 4096;
    return 0;
}
int fstatvfs64(int fd, struct statvfs64 *out) { return fstatvfs(fd, (struct statvfs *)out); }
C
want=$("$GRANARY" inspect --digest closed/model.h5)
for error in 38 95 37; do # ENOSYS, EOPNOTSUPP, ENOLCK
    check "no locks ($error)" exits 0 env "$(preload lacks)" NO_FLOCK=$error "$GRANARY" train small.yaml --run lacks-$error
    check "it is told" prints "the file system has no locks"
    check "and noted" equal "$(event lacks-$error 'has no locks')" 1
    check "same digest" equal "$("$GRANARY" inspect --digest lacks-$error/model.h5)" "$want"
    check "checkpoints" test -e lacks-$error/checkpoints/round-000006.h5
done
check "another refusal of the lock" exits 73 env "$(preload lacks)" NO_FLOCK=5 "$GRANARY" train small.yaml --run lacks-5
check "no links" exits 0 env "$(preload lacks)" NO_FLOCK=38 "$GRANARY" train small.yaml
check "it is told" prints "the link to the latest run cannot be made: Operation not permitted"
check "no links, granary run" exits 0 env "$(preload lacks)" NO_FLOCK=38 "$GRANARY" run -n 2 small.yaml --quiet
check "resume by name" exits 0 env "$(preload lacks)" NO_FLOCK=38 "$GRANARY" run -n 2 small.yaml --quiet --run lacks-38 \
    --resume --set run.rounds=8
# Two at once where no lock keeps them apart: the later goes on, and the earlier one ends resumably.
timeout 60 env "$(preload lacks)" NO_FLOCK=38 "$GRANARY" train small.yaml --quiet --run two --set run.rounds=200000 2>two.err &
first=$!
check "runs" wait_lines two/metrics.jsonl 20
check "the second takes over" exits 0 env "$(preload lacks)" NO_FLOCK=38 "$GRANARY" train small.yaml --quiet --run two \
    --resume --set run.rounds=2000
wait $first
check "the first ends resumably" equal $? 75
check "a line a round" equal "$(wc -l <two/metrics.jsonl)" 2000
check "the chain of events is whole" exits 0 "$GRANARY" inspect two
finish
