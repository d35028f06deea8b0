/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The batch job's comment, which `squeue -o %k` shows: set by scontrol in a process of its own that
 * nobody waits for, so that a controller that does not answer holds up nothing. A failure is not
 * told. Not for several threads.
 */
#ifndef GRANARY_OBSERVE_JOB_H
#define GRANARY_OBSERVE_JOB_H

#include <stdbool.h>
#include <sys/types.h>

struct gr_job {
    char id[64];      /* "": no job, or it is not to be told */
    pid_t pid;        /* the scontrol that may still run; 0: none */
    double told_s;    /* when the last was started */
    bool with_scores; /* the account wants them read by whoever sees the queue */
};

/* The job of this process, by its environment. */
void gr_job_find(struct gr_job *job);
/* At most once a minute, and not while the last one is under way. last: at the end, whenever it
 * was. Whether it has been started. */
bool gr_job_comment(struct gr_job *job, const char *text, bool last);

#endif
