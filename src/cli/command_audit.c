/* SPDX-License-Identifier: Apache-2.0 */
/*
 * granary audit: the evidence of a study held against itself, on one page. It reads only, needs no
 * MPI and no key, and works at the coordinator's, at a site, and wherever copies are.
 */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>

/* The page goes out even where something is amiss; the exit code then tells (65). */
gr_status gr_command_audit(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    struct gr_audit_options options = {0};
    struct gr_overrides journals = {0}; /* a list of words as any other */
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'j') {
            GR_TRY(gr_overrides_add(&journals, optarg));
        } else if (option == 's') {
            options.study = optarg;
        } else {
            status = GR_ERROR_USAGE;
            goto out;
        }
    }
    GR_TRY(gr_only_argument(invocation, "RUN", &options.run_path));
    options.journals = (const char *const *)journals.text;
    options.n_journals = journals.n;
    status = gr_audit(&options, stdout);
out:
    free(journals.text);
    return status;
}
