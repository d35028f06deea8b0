/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slurm's comment on a job, by which a user sees the progress in squeue. A comment must never cost
 * the run anything: it is a process of its own, not waited for, silent, and at most one in pause_s.
 */
#include "observe/job.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <granary/base.h>

#include "observe/spawn.h"

/*
 * Seconds between two comments: each is a request to Slurm's controller, which serves the whole
 * cluster.
 */
static const double pause_s = 60;

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

/* `last` ignores the pause, but not a command that still runs. True: the comment was asked for. */
bool gr_job_comment(struct gr_job *job, const char *text, bool last) {
    char id[80], comment[300], program[] = "scontrol", verb[] = "update";
    const double now = gr_clock_seconds();
    if (!job->id[0] || is_busy(job) || (!last && now - job->told_s < pause_s)) return false;
    job->told_s = now;
    snprintf(id, sizeof id, "JobId=%s", job->id);
    snprintf(comment, sizeof comment, "Comment=%s", text);
    job->pid = gr_spawn((char *[]){program, verb, id, comment, NULL}, -1);
    return true;
}
