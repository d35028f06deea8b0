/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The launcher as a process: started in a group of its own, so that the terminal's Ctrl-C comes to
 * this process alone; told to end, in the end by force; and nothing of it left behind. Orphans of
 * it become children of this process (PR_SET_CHILD_SUBREAPER), by which ranks are found that
 * outlive their launcher.
 *
 * Signals are blocked and waited for (sigtimedwait), so that no handler runs at an awkward point
 * and none is lost between a look and a wait.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "cli/launch.h"

/* Seconds: between two looks, between two SIGUSR1 (the ranks may not have listened yet), from
 * SIGTERM to SIGKILL; and within which a second signal is not a second wish: a batch system
 * signals the job's script and all its processes at once. */
static const double tick_s = 0.1, repeat_s = 5, force_s = 5, one_wish_s = 0.5,
                    longest_sleep_s = 0.1;

/*
 * Signals that this process waits for, blocked from gr_watch_begin on; child processes unblock
 * them.
 */
static sigset_t watched;

/* ---- this process itself ----------------------------------------------------------------------
 */

static atomic_uint beats; /* counts up whenever this process waits, and so is not held up */
static double self_s;
/* Borrowed; written before the thread starts, and only read since. */
static const char *self_words;

static void beat(void) {
    atomic_fetch_add(&beats, 1);
}

/*
 * Ends this process when it has been held up for self_s, as by a file system that hangs: no signal
 * and no deadline reaches a thread in such a call, but _exit of another thread does. It counts its
 * own looks, so that time in which the process was suspended does not count.
 */
static void *watch_self(void *unused) {
    static const double look_s = 0.25;
    double silent_s = 0;
    (void)unused;
    for (unsigned seen = atomic_load(&beats), now; silent_s < self_s; seen = now) {
        const struct timespec pause = {0, (long)(1e9 * look_s)};
        nanosleep(&pause, NULL);
        now = atomic_load(&beats);
        silent_s = now == seen ? silent_s + look_s : 0;
    }
    if (write(STDERR_FILENO, self_words, strlen(self_words)) < 0) _exit(GR_STOPPED);
    _exit(GR_STOPPED);
}

void gr_watch_self(double seconds, const char *words) {
    pthread_t thread;
    self_s = seconds;
    self_words = words;
    /* Without it the run goes on as well as it can. */
    if (pthread_create(&thread, NULL, watch_self, NULL) == 0) pthread_detach(thread);
}

/* ---- signals ----------------------------------------------------------------------------------
 */

static bool is_ignored(int number) {
    struct sigaction action;
    return sigaction(number, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

/* SIGCHLD is watched as well, so that the end of a child ends a wait at once. */
void gr_watch_begin(void) {
    static const int asking[] = {SIGINT, SIGTERM, SIGUSR1, SIGHUP};
    sigemptyset(&watched);
    for (size_t i = 0; i < sizeof asking / sizeof *asking; i++)
        /* nohup, or a shell's background job: what was to be ignored stays so. */
        if (!is_ignored(asking[i])) sigaddset(&watched, asking[i]);
    sigaddset(&watched, SIGCHLD);
    sigprocmask(SIG_BLOCK, &watched, NULL);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
}

/*
 * The next signal within `seconds`; 0: none. Sleeps in pieces, with a beat before each, as the
 * watchdog takes a long silence for a hang.
 */
static int next_signal(double seconds) {
    const double until = gr_clock_seconds() + seconds;
    double left = seconds;
    int number;
    do {
        const double pause = left < longest_sleep_s ? left : longest_sleep_s;
        struct timespec limit = {(time_t)pause, (long)(1e9 * (pause - (double)(time_t)pause))};
        beat();
        number = sigtimedwait(&watched, NULL, &limit);
        left = until - gr_clock_seconds();
    } while (number <= 0 && left > 0);
    return number > 0 ? number : 0;
}

/*
 * Between fork and exec only async-signal-safe functions are called, for there is a second thread.
 * If the parent dies, the launcher gets SIGTERM (PDEATHSIG); a parent that died before prctl is
 * noticed by getppid. setpgid is called on both sides, as either may run first. output, errors -1:
 * standard output, or error, stays.
 */
static pid_t start(const struct gr_words *words, int output, int errors) {
    pid_t parent = getpid(), pid = fork();
    if (pid != 0) {
        if (pid > 0) setpgid(pid, pid);
        return pid;
    }
    /* The launcher begins with no signal blocked, or it could not be stopped by any. */
    sigset_t none;
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGTERM, 0, 0, 0);
    if (getppid() != parent) _exit(127);
    int null = open("/dev/null", O_RDWR);
    if (null >= 0) dup2(null, STDIN_FILENO);
    if (output >= 0) dup2(output, STDOUT_FILENO);
    if (errors >= 0) dup2(errors, STDERR_FILENO);
    if (null > STDERR_FILENO) close(null);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execv(words->word[0], words->word);
    _exit(127);
}

/* The parent of a process, from /proc/PID/stat; its name may hold blanks and brackets. */
static pid_t parent_of(const char *pid) {
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%.20s/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, sizeof text - 1);
    close(fd);
    if (n <= 0) return -1;
    text[n] = '\0';
    /* The name ends at the last bracket; state and parent follow it. */
    const char *behind = strrchr(text, ')');
    int parent;
    char state;
    return behind && sscanf(behind + 1, " %c %d", &state, &parent) == 2 ? parent : -1;
}

pid_t gr_watch_start(const struct gr_words *words, int output) {
    return start(words, output, output);
}

int gr_watch_signal(double seconds) {
    return next_signal(seconds);
}

/* Goes through /proc: children by adoption are not known otherwise. */
static void kill_children(void) {
    struct dirent *entry;
    DIR *processes = opendir("/proc");
    while (processes && (entry = readdir(processes))) {
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9') continue;
        if (parent_of(entry->d_name) == getpid()) kill((pid_t)atol(entry->d_name), SIGKILL);
    }
    if (processes) closedir(processes);
}

/*
 * Ends whatever is left. Children of a killed process become children of this one, so that the loop
 * goes on until waitpid says that there is none (ECHILD).
 */
void gr_watch_sweep(void) {
    int status;
    for (pid_t pid = 0; pid >= 0 || errno == EINTR;) {
        pid = waitpid(-1, &status, WNOHANG);
        if (pid != 0) continue;
        kill_children();
        next_signal(0.01);
    }
}

/* Reaps what has ended; true when `pid` was among it. */
static bool has_ended(pid_t pid, int *wait_status) {
    int status;
    pid_t ended;
    bool found = false;
    while ((ended = waitpid(-1, &status, WNOHANG)) > 0) {
        if (ended != pid) continue;
        *wait_status = status;
        found = true;
    }
    return found;
}

/* SIGTERM to the whole group, SIGKILL after force_s. Returns once `pid` has been reaped. */
static void end_by_force(pid_t pid, int *wait_status) {
    double limit = gr_clock_seconds() + force_s;
    /* To the whole group, for the launcher may have passed away before its ranks. */
    kill(-pid, SIGTERM);
    while (!has_ended(pid, wait_status)) {
        if (gr_clock_seconds() > limit) kill(-pid, SIGKILL);
        next_signal(tick_s);
    }
}

/*
 * SIGUSR1 goes to the launcher, which passes it on to the ranks; repeated every repeat_s, since
 * ranks may not have listened yet. The end by force comes after grace_s, or with a second SIGINT or
 * SIGTERM that is later than one_wish_s.
 */
gr_status gr_watch(const struct gr_words *words, const struct gr_watch *watch, struct gr_end *end) {
    double asked_at = 0, repeat = 0;
    int number = 0;
    *end = (struct gr_end){0};
    pid_t pid = start(words, -1, -1);
    if (pid < 0) return gr_fail(GR_ERROR_INTERNAL, "no process: %s", strerror(errno));
    while (!has_ended(pid, &end->wait_status)) {
        double now = gr_clock_seconds();
        bool asks = number != 0 && number != SIGCHLD;
        /*
         * A second SIGINT or SIGTERM of the user; SIGUSR1 and SIGHUP never insist, since batch
         * systems repeat them.
         */
        bool insists =
            end->asked && now > asked_at + one_wish_s && (number == SIGINT || number == SIGTERM);
        if (insists || (end->asked && now > asked_at + watch->grace_s)) {
            end_by_force(pid, &end->wait_status);
            break;
        }
        if (asks && !end->asked) {
            end->asked = true;
            asked_at = now;
        }
        if (end->asked && now > repeat) {
            kill(pid, SIGUSR1);
            repeat = now + repeat_s;
        }
        if (watch->tick && watch->tick(watch->context)) {
            end_by_force(pid, &end->wait_status);
            break;
        }
        number = next_signal(tick_s);
    }
    gr_watch_sweep();
    return GR_OK;
}

bool gr_watch_pause(double seconds) {
    double until = gr_clock_seconds() + seconds, left;
    while ((left = until - gr_clock_seconds()) > 0) {
        int number = next_signal(left);
        if (number != 0 && number != SIGCHLD) return true;
    }
    return false;
}

/*
 * Signals stay pending meanwhile: the probe is short, and the wish to end is found by the next
 * wait.
 */
bool gr_watch_quick(const struct gr_words *words, double seconds, char *out, size_t size) {
    double limit = gr_clock_seconds() + seconds;
    int wait_status = -1, ends[2];
    if (size > 0) out[0] = '\0';
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return false;
    const int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    pid_t pid = start(words, ends[1], null);
    if (null >= 0) close(null);
    close(ends[1]);
    while (pid > 0 && !has_ended(pid, &wait_status)) {
        if (gr_clock_seconds() > limit) {
            end_by_force(pid, &wait_status);
            wait_status = -1;
            break;
        }
        struct timespec moment = {0, 20000000};
        beat();
        nanosleep(&moment, NULL); /* signals that ask for the end stay pending for gr_watch */
    }
    /* A pipe holds 64 KiB: what fits is all that is of interest. */
    ssize_t n = size > 0 ? read(ends[0], out, size - 1) : 0;
    if (size > 0) out[n > 0 ? n : 0] = '\0';
    close(ends[0]);
    gr_watch_sweep();
    return pid > 0 && wait_status == 0;
}
