/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report of a site: one page from its own journals, on all that has left it: of which kind, in
 * which rounds, to whom, and under which approval, in words for those who answer for its data. It
 * stays with the site, as the journals do.
 */
#include <granary/journal.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/html.h"
#include "observe/json.h"
#include "observe/report.h"

struct totals {
    uint64_t kinds, times, values, bytes, withheld;
};

static struct totals add_up(const struct gr_journal_sums *sums) {
    struct totals totals = {.times = sums->others};
    for (size_t i = 0; i < sums->n; i++) {
        const struct gr_journal_sum *release = &sums->sum[i];
        totals.kinds += release->times > 0;
        totals.times += release->times;
        totals.values += release->values;
        totals.bytes += release->bytes;
        totals.withheld += release->withheld;
    }
    return totals;
}

/* ---- the top --------------------------------------------------------------------------------- */

static void write_figure(FILE *page, const char *label, uint64_t count) {
    fputs("<div class=\"card figure\"><b>", page);
    gr_html_count(page, count);
    fprintf(page, "</b><span>%s</span></div>\n", label);
}

static void write_head(FILE *page, const struct gr_journal_sums *sums,
                       const struct totals *totals) {
    fputs("<h1>", page);
    gr_html_text(page, sums->site);
    fputs(": all that has left this site</h1>\n<p class=\"lead\">In the study of the digest <code>",
          page);
    gr_html_text(page, sums->study);
    fputs("</code>, from ", page);
    gr_html_text(page, sums->oldest);
    fputs(" to ", page);
    gr_html_text(page, sums->newest);
    fputs(". Rows of its tables are in none of it. The table below is of this site's own "
          "journals, which were written before anything left.</p>\n<section class=\"figures\">\n",
          page);
    write_figure(page, "rounds, the last one's number", sums->last_round);
    write_figure(page, "releases", totals->times);
    write_figure(page, "kinds of them", totals->kinds);
    write_figure(page, "values", totals->values);
    write_figure(page, "withheld by a rule", totals->withheld);
    write_figure(page, "seals of the coordinator, countersigned", sums->seals);
    fputs("</section>\n", page);
}

/* All that makes the rest of the page doubtful comes first. */
static void write_doubts(FILE *page, const struct gr_journal_sums *sums) {
    if (sums->broken == 0 && !sums->contradiction[0] && !sums->torn) return;
    fputs("<h2>Amiss</h2>\n<ul>\n", page);
    if (sums->broken > 0) {
        fputs("<li>", page);
        gr_html_text(page, sums->broken_at);
        fputs(" does not continue the chain of lines before it: a line was changed, put in or "
              "taken out. <code>granary audit</code> tells more.</li>\n",
              page);
    }
    if (sums->torn) fputs("<li>The last line of a journal is cut off.</li>\n", page);
    if (sums->contradiction[0]) {
        fputs("<li>This site has refused a seal of the coordinator: ", page);
        gr_html_text(page, sums->contradiction);
        fputs("</li>\n", page);
    }
    fputs("</ul>\n", page);
}

/* ---- releases -------------------------------------------------------------------------------- */

static void write_rounds(FILE *page, const struct gr_journal_sum *release) {
    gr_html_count(page, release->first);
    if (release->last == release->first) return;
    fputs(" to ", page);
    gr_html_count(page, release->last);
}

static void write_cell(FILE *page, const char *text) {
    fputs("<td>", page);
    gr_html_text(page, text);
    fputs("</td>", page);
}

static void write_number(FILE *page, uint64_t n) {
    fputs("<td>", page);
    gr_html_count(page, n);
    fputs("</td>", page);
}

static void write_release(FILE *page, const struct gr_journal_sum *release,
                          gr_release_describe describe) {
    struct gr_release_words words = {0};
    if (describe) describe(release->id, &words);
    fprintf(page, "<tr><th scope=\"row\">%d ", release->id);
    gr_html_text(page, release->name);
    fputs("</th>", page);
    write_cell(page, words.what);
    write_cell(page, words.kind);
    write_cell(page, words.to);
    fputs("<td>", page);
    write_rounds(page, release);
    fputs("</td>", page);
    write_number(page, release->times);
    write_number(page, release->values);
    fputs("<td>", page);
    gr_html_bytes(page, (double)release->bytes);
    fputs("</td>", page);
    write_cell(page, release->how);
    fputs("</tr>\n", page);
}

static void write_releases(FILE *page, const struct gr_journal_sums *sums,
                           gr_release_describe describe) {
    fputs("<h2>What has left</h2>\n<div class=\"card scroll story\"><table><thead><tr><th>release"
          "</th><th>what it is</th><th>as</th><th>to whom</th><th>rounds</th><th>times</th>"
          "<th>values</th><th>size</th><th>the last one</th></tr></thead><tbody>\n",
          page);
    for (size_t i = 0; i < sums->n; i++)
        if (sums->sum[i].times > 0) write_release(page, &sums->sum[i], describe);
    fputs("</tbody></table></div>\n<p>Round 0 is before the first. Sizes are of the values "
          "themselves; letters add their headers. A release that travels with others is counted "
          "with no size.</p>\n",
          page);
    if (sums->others == 0) return;
    fputs("<p>And ", page);
    gr_report_number(page, sums->others, "release", "releases");
    fputs(" of numbers that are none.</p>\n", page);
}

static void write_withheld(FILE *page, const struct gr_journal_sums *sums) {
    bool any = false;
    for (size_t i = 0; i < sums->n; i++) {
        const struct gr_journal_sum *release = &sums->sum[i];
        if (release->withheld == 0) continue;
        if (!any)
            fputs("<h2>What a rule has kept back</h2>\n<div class=\"card scroll story\"><table>"
                  "<thead><tr><th>release</th><th>times</th><th>the last one</th></tr></thead>"
                  "<tbody>\n",
                  page);
        any = true;
        fprintf(page, "<tr><th scope=\"row\">%d ", release->id);
        gr_html_text(page, release->name);
        fputs("</th>", page);
        write_number(page, release->withheld);
        write_cell(page, release->rule);
        fputs("</tr>\n", page);
    }
    if (any) fputs("</tbody></table></div>\n", page);
}

/* ---- under which approval, and when ---------------------------------------------------------- */

static void write_approvals(FILE *page, const struct gr_journal_sums *sums) {
    size_t i;
    json_t *approval, *list = sums->approvals ? json_loads(sums->approvals, 0, NULL) : NULL;
    fputs("<h2>Under which approval</h2>\n", page);
    if (json_array_size(list) == 0) {
        fputs("<p>None is written down in the journal.</p>\n", page);
        json_decref(list);
        return;
    }
    fputs("<div class=\"card scroll story\"><table><thead><tr><th>number</th><th>by</th>"
          "<th>until</th><th>approved here</th></tr></thead><tbody>\n",
          page);
    json_array_foreach(list, i, approval) {
        fputs("<tr>", page);
        write_cell(page, gr_json_text(approval, "number"));
        write_cell(page, gr_json_text(approval, "by"));
        write_cell(page, gr_json_text(approval, "until"));
        write_cell(page, gr_json_text(approval, "approved"));
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
    json_decref(list);
}

static void write_stretches(FILE *page, const struct gr_journal_sums *sums) {
    const size_t kept =
        sums->n_stretches < GR_JOURNAL_STRETCHES_MAX ? sums->n_stretches : GR_JOURNAL_STRETCHES_MAX;
    fputs("<h2>When this site took part</h2>\n<div class=\"card scroll story\"><table><thead><tr>"
          "<th>from</th><th>to</th><th>process</th><th>after round</th><th>end</th></tr></thead>"
          "<tbody>\n",
          page);
    for (size_t i = 0; i < kept; i++) {
        const struct gr_journal_stretch *stretch = &sums->stretch[i];
        const bool closed = stretch->closed[0] != '\0';
        fputs("<tr>", page);
        write_cell(page, stretch->opened);
        write_cell(page, closed ? stretch->closed : NULL);
        write_number(page, stretch->rank);
        fputs("<td>", page);
        if (closed) gr_html_count(page, stretch->round);
        fputs("</td>", page);
        write_cell(page,
                   closed ? stretch->outcome : "nothing closes it: it goes on, or was killed");
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
    if (sums->n_stretches <= kept) return;
    fputs("<p>And ", page);
    gr_report_number(page, sums->n_stretches - kept, "stretch", "stretches");
    fputs(" before these.</p>\n", page);
}

/* ---- seals ----------------------------------------------------------------------------------- */

static void write_seals(FILE *page, const struct gr_journal_sums *sums) {
    const struct gr_run_seal *seal = &sums->seal;
    fputs("<h2>What the coordinator has vouched for</h2>\n", page);
    if (seal->n == 0) {
        fputs("<p>This site has been shown no seal.</p>\n", page);
        return;
    }
    fputs("<dl><dt>last seal</dt><dd>", page);
    gr_html_count(page, seal->n);
    fputs(", \"", page);
    gr_html_text(page, seal->kind);
    fputs("\", after round ", page);
    gr_html_count(page, seal->round);
    fputs("</dd>\n<dt>run</dt><dd><code>", page);
    gr_html_text(page, seal->run_id);
    fputs("</code></dd>\n<dt>model</dt><dd><code>", page);
    gr_html_text(page, seal->model[0] ? seal->model : NULL);
    fputs("</code></dd>\n<dt>signed by</dt><dd><code>", page);
    gr_html_text(page, seal->by);
    fputs("</code></dd>\n<dt>countersigned by</dt><dd><code>", page);
    gr_html_text(page, sums->key);
    fputs("</code></dd></dl>\n", page);
}

static void write_page(FILE *page, const struct gr_journal_sums *sums,
                       gr_release_describe describe) {
    const struct totals totals = add_up(sums);
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          page);
    gr_html_text(page, sums->site);
    fprintf(page, " \xc2\xb7 granary</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n",
            gr_html_style);
    write_head(page, sums, &totals);
    write_doubts(page, sums);
    write_releases(page, sums, describe);
    write_withheld(page, sums);
    write_approvals(page, sums);
    write_stretches(page, sums);
    write_seals(page, sums);
    fputs("<footer>granary " GRANARY_VERSION "; from ", page);
    gr_report_number(page, sums->lines, "line", "lines");
    fputs(" of ", page);
    gr_report_number(page, sums->n_files, "journal", "journals");
    fputs(
        " of this site, which stay here, as this page does.</footer>\n</main>\n</body>\n</html>\n",
        page);
}

/* ---- the file -------------------------------------------------------------------------------- */

bool gr_is_site_folder(const char *folder) {
    char *journal = NULL, *manifest = NULL;
    const bool known = gr_text_format(&journal, "%s/journal.jsonl", folder) == GR_OK &&
                       gr_text_format(&manifest, "%s/manifest.json", folder) == GR_OK;
    const bool is_site = known && access(journal, F_OK) == 0 && access(manifest, F_OK) != 0;
    gr_free(journal);
    gr_free(manifest);
    return is_site;
}

gr_status gr_site_report_write(const char *folder, gr_release_describe describe, const char *path) {
    gr_status status = GR_OK;
    struct gr_journal_sums sums;
    char *text = NULL;
    size_t length = 0;
    GR_TRY(gr_journal_sum_up(folder, &sums));
    if (!sums.site[0]) {
        status =
            gr_fail(GR_ERROR_DATA,
                    "%s: found no journal that is opened, expected the folder of a site", folder);
        goto out;
    }
    FILE *page = open_memstream(&text, &length);
    if (page) write_page(page, &sums, describe);
    bool failed = !page || ferror(page);
    if (page && fclose(page) != 0) failed = true;
    status = failed ? gr_fail(GR_ERROR_INTERNAL, "memory for a report was refused")
                    : gr_file_write(path, text, length);
out:
    free(text);
    gr_journal_sums_release(&sums);
    return status;
}
