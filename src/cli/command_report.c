/* SPDX-License-Identifier: Apache-2.0 */
/* granary report: one page about one run, or about several over each other, which programs may have
 * as a table; in the folder of a site, about all that has left it. */
#include "cli/command.h"

#include <stdio.h>
#include <unistd.h>

/* Of several, or of those in a folder: the page is the folder's, or has a name of its own. */
static gr_status report_several(const char *const *runs, size_t n, struct gr_report_files files) {
    gr_status status = GR_OK;
    char *path = NULL;
    const bool data = files.csv || files.json;
    if (!files.page && !data && n > 1)
        return gr_fail(GR_ERROR_USAGE,
                       "report: several runs need -o FILE, --csv FILE or --json FILE; see `granary "
                       "help report`");
    if (!files.page && !data) {
        GR_TRY(gr_report_path(runs[0], &path));
        files.page = path;
    }
    const char *const places[] = {files.page, files.csv, files.json};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i]) GR_TRY(gr_file_check_output(places[i], NULL, 0));
    GR_TRY(gr_report_write_runs(runs, n, &files));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i]) printf("%s\n", places[i]);
out:
    gr_free(path);
    return status;
}

/* Of a run, or of all that has left a site. */
static gr_status report_one(const char *folder, const char *output) {
    gr_status status = GR_OK;
    char *path = NULL;
    if (output)
        GR_TRY(gr_text_format(&path, "%s", output));
    else
        GR_TRY(gr_report_path(folder, &path));
    GR_TRY(gr_file_check_output(path, NULL, 0));
    if (gr_is_site_folder(folder))
        GR_TRY(gr_site_report_write(folder, gr_release_words_of, path));
    else
        GR_TRY(gr_report_write(folder));
    printf("%s\n", path);
out:
    gr_free(path);
    return status;
}

static bool is_run(const char *path) {
    char *file = NULL;
    if (gr_text_format(&file, "%s/manifest.json", path) != GR_OK) return false;
    const bool there = access(file, F_OK) == 0;
    gr_free(file);
    return there;
}

/*
 * A comparison has no run directory of its own, so that it needs -o. The paths of what was written
 * are printed last, each alone on its line, for scripts.
 */
gr_status gr_command_report(struct gr_invocation *invocation) {
    struct gr_report_files files = {0};
    int option;
    while ((option = gr_next_option(invocation)) != -1) {
        if (option == 'o')
            files.page = optarg;
        else if (option == 'c')
            files.csv = optarg;
        else if (option == 'j')
            files.json = optarg;
        else
            return GR_ERROR_USAGE;
    }
    const char *const *runs = (const char *const *)invocation->argv + optind;
    const size_t n = (size_t)(invocation->argc - optind);
    const bool data = files.csv || files.json;
    if (n == 0)
        return gr_fail(GR_ERROR_USAGE, "report: found no run directory; see `granary help report`");
    if (n == 1 && !data && (gr_is_site_folder(runs[0]) || (!files.page && is_run(runs[0]))))
        return report_one(runs[0], files.page);
    return report_several(runs, n, files);
}
