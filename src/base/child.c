/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Work that may crash, loop or ask for any amount of memory, in a process of its own. A child that
 * serves requests over a pipe is data/reader_child.c's, which shares gr_child_settle and the
 * limits.
 */
#include <granary/base.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Sent whole by SOCK_SEQPACKET: a child that dies half-way sends nothing, never a part. */
struct reply {
    gr_status status;
    char message[GR_MESSAGE_MAX];
};

/* ---- the child ------------------------------------------------------------------------------ */

/* Lowers the soft limit alone; a hard limit below `soft` is the user's, and stands. */
static void limit(int resource, rlim_t soft) {
    struct rlimit value;
    if (getrlimit((__rlimit_resource_t)resource, &value) != 0) return;
    if (soft > value.rlim_max) soft = value.rlim_max;
    value.rlim_cur = soft;
    setrlimit((__rlimit_resource_t)resource, &value);
}

/*
 * The limit is over the present address space, not over nothing: MPI has mapped shared memory and
 * libraries already, and by how much differs between machines. Without /proc there is no limit, and
 * the deadline alone holds.
 */
void gr_child_limit_memory(size_t more) {
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fscanf(file, "%zu", &pages) != 1) pages = 0;
    if (file) fclose(file);
    if (pages) limit(RLIMIT_AS, pages * (size_t)sysconf(_SC_PAGESIZE) + more);
}

/* RLIMIT_CPU is in whole seconds since the process began. The two parts used are each cut to whole
 * seconds, hence one second more. */
void gr_child_limit_cpu(uint32_t seconds) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    limit(RLIMIT_CPU, (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + 1 + seconds);
}

/*
 * For good, and for children too. At a limit of 0 Linux still dumps into a pipe of core_pattern,
 * whose program decides; at 1 byte it dumps nowhere. PR_SET_DUMPABLE would do as much, and would
 * close /proc/PID/fd, by which ranks of a node map each other's memory.
 */
void gr_leave_no_core_file(void) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_CORE, &limit) != 0) return;
    if (limit.rlim_max > 1) limit.rlim_max = 1;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_CORE, &limit); /* lowering is allowed to all */
}

/* A crash is to end the child silently and at once; a signal meant for the job, not at all. */
static void settle_signals(void) {
    static const int ignored[] = {SIGTERM, SIGINT,  SIGHUP,  SIGQUIT,
                                  SIGUSR1, SIGUSR2, SIGPIPE, SIGXFSZ};
    sigset_t none;
    for (int i = 1; i < NSIG; i++)
        signal(i, SIG_DFL);
    for (size_t i = 0; i < sizeof ignored / sizeof *ignored; i++)
        signal(ignored[i], SIG_IGN);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null >= 0) {
        dup2(null, STDOUT_FILENO);
        dup2(null, STDERR_FILENO);
    }
}

/* The parent may have ended before prctl: its end would never be signalled, so the id is compared
 * afterwards. */
void gr_child_settle(int parent) {
    settle_signals();
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(1);
    limit(RLIMIT_CORE, 0);
}

/* _exit, not exit: exit handlers of MPI and HDF5 belong to the parent, and would close its
 * connections and flush its files a second time. */
static _Noreturn void work_and_leave(int socket, pid_t parent, const struct gr_child_limits *limits,
                                     gr_status (*work)(void *context), void *context) {
    struct reply reply;
    gr_child_settle(parent);
    if (limits) {
        gr_child_limit_memory(limits->memory_bytes);
        gr_child_limit_cpu(limits->cpu_seconds);
    }
    memset(&reply, 0, sizeof reply);
    reply.status = work(context);
    if (reply.status != GR_OK) memcpy(reply.message, gr_message(), strlen(gr_message()));
    (void)!send(socket, &reply, sizeof reply, MSG_NOSIGNAL);
    _exit(0);
}

/* ---- a file that is not finished --------------------------------------------------------------
 */

static const int ending[] = {SIGHUP, SIGINT, SIGTERM};
enum { ENDING = sizeof ending / sizeof *ending };
static struct sigaction before[ENDING]; /* as it was where a file is not finished */
static const char *volatile unfinished; /* NULL: none */
static volatile pid_t running;          /* 0: no child */

/* The child first, which may be about to make the file. Only what a signal handler may call. */
static void on_ending(int number) {
    const pid_t child = running;
    if (child > 0) {
        kill(child, SIGKILL);
        while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
            continue;
    }
    if (unfinished) unlink(unfinished);
    signal(number, SIG_DFL);
    raise(number); /* once the handler has returned */
}

/* A signal that the process ignores, as under nohup, stays ignored. The path is set before the
 * handlers are, and cleared after they are gone, so that none of them runs without a path. */
void gr_child_unfinished(const char *path) {
    const struct sigaction action = {.sa_handler = on_ending};
    if (path) unfinished = path;
    for (int i = 0; i < ENDING; i++) {
        if (path) sigaction(ending[i], NULL, &before[i]);
        if (before[i].sa_handler == SIG_DFL)
            sigaction(ending[i], path ? &action : &before[i], NULL);
    }
    unfinished = path;
}

/* While it is not clear whether there is a child. */
static void hold_signals(sigset_t *mask) {
    sigset_t set;
    sigemptyset(&set);
    for (int i = 0; i < ENDING; i++)
        sigaddset(&set, ending[i]);
    pthread_sigmask(SIG_BLOCK, &set, mask);
}

/* ---- the parent ----------------------------------------------------------------------------- */

/* Whether there is a reply; *late: not before the deadline. */
static bool await(int socket, const struct gr_child_limits *limits, struct reply *reply,
                  bool *late) {
    const double deadline = gr_clock_seconds() + (limits ? limits->wall_seconds : 0);
    ssize_t got;
    for (;;) {
        struct pollfd wait = {.fd = socket, .events = POLLIN};
        double left = deadline - gr_clock_seconds();
        int ready = !limits    ? poll(&wait, 1, -1)
                    : left > 0 ? poll(&wait, 1, (int)(left * 1000) + 1)
                               : 0;
        if (ready < 0 && errno == EINTR) continue;
        *late = ready == 0;
        if (ready <= 0) return false;
        break;
    }
    do
        got = recv(socket, reply, sizeof *reply, 0);
    while (got < 0 && errno == EINTR);
    reply->message[sizeof reply->message - 1] = '\0';
    return got == (ssize_t)sizeof *reply;
}

/* Why a child has gone without a reply. */
static gr_status lost_child(const char *what, gr_status lost, const struct gr_child_limits *limits,
                            bool late, int how) {
    const int number = WIFSIGNALED(how) ? WTERMSIG(how) : 0;
    if (late && limits) return gr_fail(lost, "%s took over %g s", what, limits->wall_seconds);
    if (number == SIGXCPU && limits)
        return gr_fail(lost, "%s took over %u s of processor time", what, limits->cpu_seconds);
    if (number) return gr_fail(lost, "%s ended in signal %d (%s)", what, number, strsignal(number));
    return gr_fail(lost, "%s ended early", what);
}

/* The message is passed through gr_fail, so that it becomes the parent's own last message: the
 * child's copy of that buffer is gone with the child. */
gr_status gr_child_run(const char *what, gr_status lost, const struct gr_child_limits *limits,
                       gr_status (*work)(void *context), void *context) {
    struct reply reply;
    int ends[2], how = 0;
    sigset_t mask;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return gr_fail(GR_ERROR_INTERNAL, "%s: a socket pair: %s", what, strerror(errno));
    hold_signals(&mask);
    pid_t parent = getpid(), child = fork();
    if (child == 0) {
        close(ends[0]);
        work_and_leave(ends[1], parent, limits, work, context);
    }
    running = child;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    close(ends[1]);
    bool late = false, replied = child > 0 && await(ends[0], limits, &reply, &late);
    close(ends[0]);
    if (child < 0)
        return gr_fail(GR_ERROR_INTERNAL, "%s: a process of its own: %s", what, strerror(errno));
    /* Only its reply counts, and what has damaged itself may not come to an end. */
    if (limits && (replied || late)) kill(child, SIGKILL);
    hold_signals(&mask);
    while (waitpid(child, &how, 0) < 0 && errno == EINTR)
        continue;
    running = 0;
    pthread_sigmask(SIG_SETMASK, &mask, NULL);
    if (!replied) return lost_child(what, lost, limits, late, how);
    return reply.status == GR_OK ? GR_OK : gr_fail(reply.status, "%s", reply.message);
}
