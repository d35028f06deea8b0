/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slurm's comment on a job, by which a user sees the progress in squeue. A comment must never cost
 * the run anything: it is a process of its own, not waited for, silent, and at most one in pause_s.
 */
#include "observe/job.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <granary/base.h>

/*
 * Seconds between two comments: each is a request to Slurm's controller, which serves the whole
 * cluster.
 */
static const double pause_s = 60;

extern char **environ;

/*
 * A comment that the user has set is left alone. The id is checked to be digits, since it becomes
 * an argument of a command.
 */
void gr_job_find(struct gr_job *job) {
    const char *id = getenv("SLURM_JOB_ID"), *wish = getenv("GRANARY_JOB_COMMENT");
    const char *comment = getenv("SLURM_JOB_COMMENT"); /* somebody's own, perhaps for accounts */
    *job = (struct gr_job){.told_s = -(double)INFINITY,
                           .with_scores = wish && strcmp(wish, "accuracy") == 0};
    if (!id || (wish && strcmp(wish, "off") == 0) || (comment && comment[0])) return;
    if (strspn(id, "0123456789") != strlen(id) || strlen(id) >= sizeof job->id) return;
    memcpy(job->id, id, strlen(id) + 1);
}

/*
 * Whether the last scontrol still runs; reaps it, so that no zombies gather. A controller that does
 * not answer so holds up further comments and nothing else.
 */
static bool is_busy(struct gr_job *job) {
    if (job->pid <= 0) return false;
    if (waitpid(job->pid, NULL, WNOHANG) == 0) return true;
    job->pid = 0;
    return false;
}

/*
 * posix_spawn and not fork: nothing of this process is copied, however large the model, and MPI
 * forbids fork with some networks. Signals are reset and a process group of its own is made, so
 * that Ctrl-C does not reach scontrol.
 */
static void start(struct gr_job *job, char *const words[]) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    if (posix_spawn_file_actions_init(&actions) != 0) return;
    if (posix_spawnattr_init(&attributes) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return;
    }
    sigemptyset(&none);
    sigfillset(&all);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setsigdefault(&attributes, &all);
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                              POSIX_SPAWN_SETPGROUP);
    pid_t pid;
    if (posix_spawnp(&pid, words[0], &actions, &attributes, words, environ) == 0) job->pid = pid;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
}

/* `last` ignores the pause, but not a command that still runs. True: the comment was asked for. */
bool gr_job_comment(struct gr_job *job, const char *text, bool last) {
    char id[80], comment[300], program[] = "scontrol", verb[] = "update";
    const double now = gr_clock_seconds();
    if (!job->id[0] || is_busy(job) || (!last && now - job->told_s < pause_s)) return false;
    job->told_s = now;
    snprintf(id, sizeof id, "JobId=%s", job->id);
    snprintf(comment, sizeof comment, "Comment=%s", text);
    start(job, (char *[]){program, verb, id, comment, NULL});
    return true;
}
