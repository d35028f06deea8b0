/* SPDX-License-Identifier: Apache-2.0 */
/* granary version */
#include "cli/command.h"

#include <stdio.h>

/* --verbose has the text that the manifest of a run has as its software (gr_versions_text). */
gr_status gr_command_version(struct gr_invocation *invocation) {
    bool verbose = false;
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option != 'v') return GR_ERROR_USAGE;
        verbose = true;
    }
    if (optind < invocation->argc)
        return gr_fail(GR_ERROR_USAGE, "version takes no arguments; see `granary help version`");
    puts("granary " GRANARY_VERSION);
    if (verbose) {
        char *text;
        gr_status status = gr_versions_text(&text);
        if (status != GR_OK) return status;
        fputs(text, stdout);
        gr_free(text);
    }
    return GR_OK;
}
