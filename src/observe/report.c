/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report: one page from the files of run directories, for people who were not there. It reads
 * only the files that the runs wrote, and holds all it needs (style, charts as SVG, no scripts), so
 * that it can be sent by mail and opens without a network.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "observe/html.h"
#include "observe/report.h"

/*
 * Curves of several runs are drawn over each other in the comparison, so the single run's are left
 * out there.
 */
static void write_sections(FILE *page, const struct gr_report_run *run) {
    if (!run->label[0]) gr_report_curves(page, run);
    gr_report_scores(page, run);
    gr_report_participation(page, run);
    gr_report_silos(page, run);
    gr_report_timeline(page, run);
    gr_report_costs(page, run);
    gr_report_rounds(page, run);
    gr_report_settings(page, run);
    gr_report_provenance(page, run);
}

/* More runs than have sections are counted, not named. */
static void write_title(FILE *page, const struct gr_report_set *set) {
    if (set->brief) fprintf(page, "<title>%zu runs", set->n);
    for (size_t i = 0; i < set->n && !set->brief; i++) {
        fputs(i == 0 ? "<title>" : ", ", page);
        gr_report_name(page, &set->runs[i]);
    }
    fputs(" \xc2\xb7 granary</title>\n", page);
}

static void write_runs(FILE *page, const struct gr_report_set *set) {
    for (size_t i = 0; i < set->n; i++) {
        if (set->n > 1) fputs("<section class=\"run\">\n", page);
        gr_report_head(page, &set->runs[i]);
        if (set->n > 1) fputs("<details><summary>All about this run</summary>\n", page);
        write_sections(page, &set->runs[i]);
        if (set->n > 1) fputs("</details></section>\n", page);
    }
}

/*
 * Several runs: the comparison first, then each run folded away in <details>, which needs no
 * script.
 */
static void write_page(FILE *page, const struct gr_report_set *set) {
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n",
          page);
    write_title(page, set);
    fprintf(page, "<style>\n%s</style>\n</head>\n<body>\n<main>\n", gr_html_style);
    if (set->n > 1) gr_report_comparison(page, set);
    if (!set->brief) write_runs(page, set);
    fputs("<footer>granary " GRANARY_VERSION "; from the files of the run director", page);
    fputs(set->n > 1 ? "ies" : "y", page);
    fputs(": <code>manifest.json</code>, <code>resolved.yaml</code>, <code>metrics.jsonl</code>, "
          "<code>events.jsonl</code> and <code>evaluation.json</code>.</footer>\n"
          "</main>\n</body>\n</html>\n",
          page);
}

/* Into memory first: a disk that is full then leaves the former file as it was. */
static gr_status write_file(const struct gr_report_set *set, const char *path,
                            void (*write)(FILE *, const struct gr_report_set *)) {
    char *text = NULL;
    size_t length = 0;
    if (!path) return GR_OK;
    FILE *page = open_memstream(&text, &length);
    if (page) write(page, set);
    /* Memory that was refused while writing shows in the stream. */
    bool failed = !page || ferror(page);
    if (page && fclose(page) != 0) failed = true;
    const gr_status status = failed ? gr_fail(GR_ERROR_INTERNAL, "memory for a report was refused")
                                    : gr_file_write(path, text, length);
    free(text);
    return status;
}

/*
 * The report must not replace evidence. Compared by device and inode, since a link may give a file
 * another name.
 */
static gr_status check_place(const char *const *run_paths, size_t n, const char *path) {
    static const char *const names[] = {"manifest.json", "resolved.yaml",   "config.yaml",
                                        "metrics.jsonl", "evaluation.json", "events.jsonl",
                                        "model.h5"};
    gr_status status = GR_OK;
    struct stat out, kept;
    char *file = NULL;
    if (stat(path, &out) != 0) return GR_OK;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
            gr_free(file);
            file = NULL;
            GR_TRY(gr_text_format(&file, "%s/%s", run_paths[i], names[k]));
            if (stat(file, &kept) == 0 && kept.st_dev == out.st_dev && kept.st_ino == out.st_ino) {
                status = gr_fail(GR_ERROR_USAGE, "%s: is a run's %s, and cannot be a report", path,
                                 names[k]);
                goto out;
            }
        }
out:
    gr_free(file);
    return status;
}

gr_status gr_report_write_runs(const char *const *run_paths, size_t n,
                               const struct gr_report_files *files) {
    gr_status status = GR_OK;
    struct gr_report_set set = {0};
    struct gr_report_found found = {0};
    const char *const places[] = {files->page, files->csv, files->json};
    GR_TRY(gr_report_find(run_paths, n, &found));
    for (size_t i = 0; i < sizeof places / sizeof *places; i++)
        if (places[i]) GR_TRY(check_place((const char *const *)found.paths, found.n, places[i]));
    GR_TRY(gr_report_set_read(&found, &set));
    GR_TRY(write_file(&set, files->page, write_page));
    GR_TRY(write_file(&set, files->csv, gr_report_csv));
    GR_TRY(write_file(&set, files->json, gr_report_json));
out:
    gr_report_set_release(&set);
    gr_report_found_release(&found);
    return status;
}

/* A trailing slash does not change the place of the report. */
gr_status gr_report_path(const char *run_path, char **out) {
    size_t n = strlen(run_path);
    while (n > 1 && run_path[n - 1] == '/')
        n--;
    return gr_text_format(out, "%.*s/report.html", (int)n, run_path);
}

/* Page and card are of one reading, so that they tell of the same rounds of a run under way. */
gr_status gr_report_write(const char *run_path) {
    gr_status status = GR_OK;
    char *path = NULL;
    struct gr_report_run run = {0};
    GR_TRY(gr_report_path(run_path, &path));
    GR_TRY(gr_report_read(run_path, &run));
    GR_TRY(write_file(&(struct gr_report_set){.runs = &run, .n = 1}, path, write_page));
    status = gr_model_card_write(&run, run_path);
out:
    gr_report_release(&run);
    gr_free(path);
    return status;
}
