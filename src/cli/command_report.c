/* SPDX-License-Identifier: Apache-2.0 */
/* granary report: one page about one run, or about several over each other; in the folder of a
 * site, about all that has left it. */
#include "cli/command.h"

#include <stdio.h>

/*
 * A comparison has no run directory of its own, so that it needs -o. The path of the page is
 * printed last, alone on its line, for scripts.
 */
gr_status gr_command_report(struct gr_invocation *invocation) {
    gr_status status = GR_OK;
    const char *output = NULL;
    char *path = NULL;
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option != 'o') return GR_ERROR_USAGE;
        output = optarg;
    }
    const char *const *runs = (const char *const *)invocation->argv + optind;
    size_t n = (size_t)(invocation->argc - optind);
    if (n == 0 || n > GR_REPORT_RUNS_MAX)
        return gr_fail(GR_ERROR_USAGE,
                       "report: found %zu run directories, expected 1 to %d; see `granary help "
                       "report`",
                       n, GR_REPORT_RUNS_MAX);
    if (n > 1 && !output)
        return gr_fail(GR_ERROR_USAGE,
                       "report: several runs need -o FILE; see `granary help report`");
    if (output)
        GR_TRY(gr_text_format(&path, "%s", output));
    else
        GR_TRY(gr_report_path(runs[0], &path));
    GR_TRY(gr_file_check_output(path, NULL, 0));
    if (n == 1 && gr_is_site_folder(runs[0]))
        GR_TRY(gr_site_report_write(runs[0], gr_release_words_of, path));
    else if (output)
        GR_TRY(gr_report_write_runs(runs, n, path));
    else
        GR_TRY(gr_report_write(runs[0]));
    printf("%s\n", path);
out:
    gr_free(path);
    return status;
}
