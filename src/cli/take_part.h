/* SPDX-License-Identifier: Apache-2.0 */
/* A party's part in a study, from the meeting of the jobs to the end of the run. */
#ifndef GRANARY_CLI_TAKE_PART_H
#define GRANARY_CLI_TAKE_PART_H

#include <granary/study.h>

#include "cli/command.h"

struct gr_part_in_study {
    const struct gr_study *study; /* borrowed; each rank has read its own */
    const struct gr_site *site;   /* NULL: the coordinator; borrowed */
    const struct gr_keys *keys;   /* rank 0; borrowed */
    uint32_t party;
    struct gr_carrier **carriers; /* rank 0; opened; borrowed */
    size_t n_carriers;
    const char *directory;  /* of the run, this party's own; absolute */
    const char *text;       /* the study's, for the coordinator's records */
    const char *approvals;  /* a site's, gr_site_approvals; NULL: none; borrowed */
    const char *keep_model; /* a site's: gr_run_options; borrowed */
    const char *initial;    /* the model that the study starts from, the coordinator's; or NULL */
    bool leave;             /* a site: for good, in the place of taking part */
    bool quiet;
    bool has_end; /* a site: by its journal the run has finished, and a wait that ends is no stop */
    double idle_s;    /* a meeting that takes longer ends the job; 0: none does */
    gr_status failed; /* of rank 0, which has opened the carriers: then nothing is begun, */
    const char *why;  /* for this reason; borrowed */
};

/*
 * Collective over the job, and over the jobs of all parties: the run, begun or gone on with. Where
 * another party is lost in a way that the run does not survive, the jobs meet again, until the run
 * has finished, this party is told to stop by a signal or has waited for idle_s (GR_STOPPED), or it
 * fails.
 */
gr_status gr_take_part(struct gr_invocation *invocation,
                       const struct gr_part_in_study *part) GR_CHECKED;

/* "90s", "30m", "12h", "2d": seconds, above 0. GR_ERROR_USAGE names the option. */
gr_status gr_read_duration(const char *option, const char *text, double *out) GR_CHECKED;

/* Makes `path` absolute, a folder that is made where it is missing. Released with gr_free. */
gr_status gr_own_folder(const char *path, char **out) GR_CHECKED;

#endif
