/* SPDX-License-Identifier: Apache-2.0 */
/* The names of runs that are compared: runs of a sweep have one name, and folders of their own.
 */
#include <stdlib.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

/* The last n names of a path; all of it where it has no more. */
static const char *tail(const char *path, size_t n) {
    const char *at = path + strlen(path);
    while (at > path && (at[-1] != '/' || --n > 0))
        at--;
    return at;
}

/*
 * As many names of the path, from its end, as it takes to tell the folder from the others' of
 * `alike` runs. A run that was given twice has the same path and cannot be told apart; it ends the
 * search too.
 */
static const char *shortest(char *const *paths, const bool *alike, size_t n, size_t own) {
    for (size_t names = 1;; names++) {
        const char *const mine = tail(paths[own], names);
        bool another = false;
        for (size_t i = 0; i < n; i++)
            another = another || (alike[i] && strcmp(paths[i], paths[own]) != 0 &&
                                  strcmp(tail(paths[i], names), mine) == 0);
        if (!another || mine == paths[own]) return mine;
    }
}

/*
 * Absolute paths without links: runs/latest is the run that it leads to. A path that cannot be
 * resolved stays as it was given.
 */
static gr_status find_paths(const char *const *run_paths, size_t n, char **paths) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < n; i++) {
        char *whole = realpath(run_paths[i], NULL);
        status = gr_text_format(&paths[i], "%s", whole ? whole : run_paths[i]);
        free(whole);
        if (status != GR_OK) break;
    }
    return status;
}

/*
 * Only runs with the same name get a folder, and only as much of it as is needed, since paths may
 * name users and sites.
 */
gr_status gr_report_tell_apart(const char *const *run_paths, struct gr_report_run *runs, size_t n) {
    char *paths[GR_REPORT_RUNS_MAX] = {NULL};
    gr_status status;
    GR_TRY(find_paths(run_paths, n, paths));
    for (size_t i = 0; i < n; i++) {
        const char *name = gr_json_text(runs[i].manifest, "name");
        bool alike[GR_REPORT_RUNS_MAX] = {false};
        size_t others = 0;
        for (size_t k = 0; k < n && name; k++) {
            const char *other = gr_json_text(runs[k].manifest, "name");
            alike[k] = k != i && other && strcmp(other, name) == 0;
            others += alike[k];
        }
        if (others > 0) GR_TRY(gr_text_format(&runs[i].folder, "%s", shortest(paths, alike, n, i)));
    }
out:
    for (size_t i = 0; i < n; i++)
        gr_free(paths[i]);
    return status;
}

void gr_report_name(FILE *page, const struct gr_report_run *run) {
    gr_html_text(page, gr_json_text(run->manifest, "name"));
    if (!run->folder) return;
    fputs(" (", page);
    gr_html_text(page, run->folder);
    fputs(")", page);
}
