/* SPDX-License-Identifier: Apache-2.0 */
/* The page of a site's report, in words for those who answer for its data. */
#include <string.h>

#include "observe/html.h"
#include "observe/json.h"
#include "observe/report.h"
#include "observe/site_report.h"

struct totals {
    uint64_t kinds, times, values, bytes, withheld;
};

static struct totals add_up(const struct gr_site_report *report) {
    struct totals totals = {.times = report->unknown};
    for (size_t i = 0; i < GR_SITE_RELEASES; i++) {
        const struct gr_site_release *release = &report->releases[i];
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

static void write_head(FILE *page, const struct gr_site_report *report,
                       const struct totals *totals) {
    fputs("<h1>", page);
    gr_html_text(page, report->site);
    fputs(": all that has left this site</h1>\n<p class=\"lead\">In the study of the digest <code>",
          page);
    gr_html_text(page, report->study);
    fputs("</code>, from ", page);
    gr_html_text(page, report->since);
    fputs(" to ", page);
    gr_html_text(page, report->until);
    fputs(". Rows of its tables are in none of it. The table below is of this site's own "
          "journals, which were written before anything left.</p>\n<section class=\"figures\">\n",
          page);
    write_figure(page, "rounds, the last one's number", report->last_round);
    write_figure(page, "releases", totals->times);
    write_figure(page, "kinds of them", totals->kinds);
    write_figure(page, "values", totals->values);
    write_figure(page, "withheld by a rule", totals->withheld);
    write_figure(page, "seals of the coordinator, countersigned", report->seals);
    fputs("</section>\n", page);
}

/* All that makes the rest of the page doubtful comes first. */
static void write_doubts(FILE *page, const struct gr_site_report *report) {
    if (report->broken == 0 && report->contradictions == 0 && !report->torn) return;
    fputs("<h2>Amiss</h2>\n<ul>\n", page);
    if (report->broken > 0) {
        fputs("<li>", page);
        gr_html_text(page, report->broken_at);
        fputs(" does not continue the chain of lines before it: a line was changed, put in or "
              "taken out. <code>granary audit</code> tells more.</li>\n",
              page);
    }
    if (report->torn) fputs("<li>The last line of a journal is cut off.</li>\n", page);
    if (report->contradictions > 0) {
        fputs("<li>This site has refused a seal of the coordinator: ", page);
        gr_html_text(page, report->contradiction);
        fputs("</li>\n", page);
    }
    fputs("</ul>\n", page);
}

/* ---- releases -------------------------------------------------------------------------------- */

static void write_rounds(FILE *page, const struct gr_site_release *release) {
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

static void write_release(FILE *page, int id, const struct gr_site_release *release,
                          gr_release_describe describe) {
    struct gr_release_words words = {0};
    if (describe) describe(id, &words);
    fprintf(page, "<tr><th scope=\"row\">%d ", id);
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

static void write_releases(FILE *page, const struct gr_site_report *report,
                           gr_release_describe describe) {
    fputs("<h2>What has left</h2>\n<div class=\"card scroll story\"><table><thead><tr><th>release"
          "</th><th>what it is</th><th>as</th><th>to whom</th><th>rounds</th><th>times</th>"
          "<th>values</th><th>size</th><th>the last one</th></tr></thead><tbody>\n",
          page);
    for (int i = 0; i < GR_SITE_RELEASES; i++)
        if (report->releases[i].times > 0) write_release(page, i, &report->releases[i], describe);
    fputs("</tbody></table></div>\n<p>Round 0 is before the first. Sizes are of the values "
          "themselves; letters add their headers. A release that travels with others is counted "
          "with no size.</p>\n",
          page);
    if (report->unknown == 0) return;
    fputs("<p>And ", page);
    gr_report_number(page, report->unknown, "release", "releases");
    fputs(" of numbers that are none.</p>\n", page);
}

static void write_withheld(FILE *page, const struct gr_site_report *report) {
    bool any = false;
    for (int i = 0; i < GR_SITE_RELEASES; i++) {
        const struct gr_site_release *release = &report->releases[i];
        if (release->withheld == 0) continue;
        if (!any)
            fputs("<h2>What a rule has kept back</h2>\n<div class=\"card scroll story\"><table>"
                  "<thead><tr><th>release</th><th>times</th><th>the last one</th></tr></thead>"
                  "<tbody>\n",
                  page);
        any = true;
        fprintf(page, "<tr><th scope=\"row\">%d ", i);
        gr_html_text(page, release->name);
        fputs("</th>", page);
        write_number(page, release->withheld);
        write_cell(page, release->rule);
        fputs("</tr>\n", page);
    }
    if (any) fputs("</tbody></table></div>\n", page);
}

/* ---- under which approval, and when ---------------------------------------------------------- */

static void write_approvals(FILE *page, const struct gr_site_report *report) {
    size_t i;
    json_t *approval;
    fputs("<h2>Under which approval</h2>\n", page);
    if (json_array_size(report->approvals) == 0) {
        fputs("<p>None is written down in the journal.</p>\n", page);
        return;
    }
    fputs("<div class=\"card scroll story\"><table><thead><tr><th>number</th><th>by</th>"
          "<th>until</th><th>approved here</th></tr></thead><tbody>\n",
          page);
    json_array_foreach(report->approvals, i, approval) {
        fputs("<tr>", page);
        write_cell(page, gr_json_text(approval, "number"));
        write_cell(page, gr_json_text(approval, "by"));
        write_cell(page, gr_json_text(approval, "until"));
        write_cell(page, gr_json_text(approval, "approved"));
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

static void write_stretches(FILE *page, const struct gr_site_report *report) {
    fputs("<h2>When this site took part</h2>\n<div class=\"card scroll story\"><table><thead><tr>"
          "<th>from</th><th>to</th><th>process</th><th>after round</th><th>end</th></tr></thead>"
          "<tbody>\n",
          page);
    for (size_t i = 0; i < report->kept_stretches; i++) {
        const struct gr_site_stretch *stretch = &report->stretches[i];
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
    if (report->n_stretches <= report->kept_stretches) return;
    fputs("<p>And ", page);
    gr_report_number(page, report->n_stretches - report->kept_stretches, "stretch", "stretches");
    fputs(" before these.</p>\n", page);
}

/* ---- seals ----------------------------------------------------------------------------------- */

static void write_seals(FILE *page, const struct gr_site_report *report) {
    const struct gr_run_seal *seal = &report->last_seal;
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
    gr_html_text(page, report->key);
    fputs("</code></dd></dl>\n", page);
}

void gr_site_page(FILE *page, const struct gr_site_report *report, gr_release_describe describe) {
    const struct totals totals = add_up(report);
    fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>",
          page);
    gr_html_text(page, report->site);
    fprintf(page, " \xc2\xb7 granary</title>\n<style>\n%s</style>\n</head>\n<body>\n<main>\n",
            gr_html_style);
    write_head(page, report, &totals);
    write_doubts(page, report);
    write_releases(page, report, describe);
    write_withheld(page, report);
    write_approvals(page, report);
    write_stretches(page, report);
    write_seals(page, report);
    fputs("<footer>granary " GRANARY_VERSION "; from ", page);
    gr_report_number(page, report->lines, "line", "lines");
    fputs(" of ", page);
    gr_report_number(page, report->journals, "journal", "journals");
    fputs(
        " of this site, which stay here, as this page does.</footer>\n</main>\n</body>\n</html>\n",
        page);
}
