/* SPDX-License-Identifier: Apache-2.0 */
/* Silo by silo, under pseudonyms: only what the run directory tells of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

/* OPEN_MAX: a longer table is folded; SHOWN_MAX: a still longer one is cut. */
enum { OPEN_MAX = 16, SHOWN_MAX = 500, RANGE_MAX = 1 << 20 };

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

bool gr_report_silo_range(const struct gr_report_run *run, const char *member, double range[3]) {
    const json_t *silos = json_object_get(run->evaluation, "silos");
    size_t n = json_array_size(silos), known = 0;
    double *values;
    if (n > RANGE_MAX || gr_allocate(n, sizeof *values, "silos", &values) != GR_OK) return false;
    for (size_t i = 0; i < n; i++) {
        double value = gr_json_real(json_array_get(silos, i), member);
        if (isfinite(value)) values[known++] = value;
    }
    if (known >= 2) {
        qsort(values, known, sizeof *values, ascending);
        range[0] = values[0];
        range[1] = values[known / 2];
        range[2] = values[known - 1];
    }
    gr_free(values);
    return known >= 2;
}

/* A silo's figures, from evaluation.json or from the events, or both. */
struct row {
    const char *silo;
    const json_t *scores; /* or NULL */
    int64_t missed;       /* -1: not known */
};

static void write_real(FILE *page, const struct row *row, const char *member, bool percent) {
    double value = gr_json_real(row->scores, member);
    if (isfinite(value) && percent)
        fprintf(page, "<td class=\"bar\" style=\"--share:%.1f%%\">", 100 * fmin(fmax(value, 0), 1));
    else
        fputs("<td>", page);
    if (isfinite(value) && percent)
        gr_html_percent(page, value, 2);
    else if (isfinite(value))
        gr_html_real(page, value, 4);
    else if (row->scores) /* the reason once, in the last of the two */
        gr_html_not_defined(page, percent ? gr_json_text(row->scores, "why") : NULL);
    else
        gr_html_text(page, "not told");
    fputs("</td>", page);
}

static void write_row(FILE *page, const struct gr_report_run *run, const struct row *row) {
    fputs("<tr><th scope=\"row\">", page);
    gr_html_text(page, row->silo);
    fputs("</th>", page);
    if (json_object_get(run->evaluation, "silos")) {
        fputs("<td>", page);
        if (json_is_integer(json_object_get(row->scores, "rows")))
            gr_html_count(page, gr_json_count(row->scores, "rows"));
        else
            gr_html_text(page, "not told");
        fputs("</td>", page);
        write_real(page, row, "loss", false);
        write_real(page, row, "accuracy", true);
    }
    if (run->missed) {
        fputs("<td>", page);
        if (row->missed >= 0)
            gr_html_count(page, (uint64_t)row->missed);
        else
            gr_html_text(page, NULL);
        fputs("</td>", page);
    }
    fputs("</tr>\n", page);
}

static void write_head(FILE *page, const struct gr_report_run *run, size_t n) {
    if (n > OPEN_MAX) fprintf(page, "<details class=\"card\"><summary>%zu silos</summary>\n", n);
    fprintf(page,
            "<div class=\"%sscroll narrow\"><table class=\"facts silo\"><thead><tr><th "
            "scope=\"col\">silo"
            "</th>",
            n > OPEN_MAX ? "" : "card ");
    if (json_object_get(run->evaluation, "silos"))
        fputs("<th scope=\"col\">rows scored</th><th scope=\"col\">loss</th><th scope=\"col\">"
              "accuracy</th>",
              page);
    if (run->missed) fputs("<th scope=\"col\">rounds missed</th>", page);
    fputs("</tr></thead>\n<tbody>\n", page);
}

/* Silos that have scores, then those that only missed rounds, in their order. */
static size_t collect(const struct gr_report_run *run, struct row *rows, char (*names)[24]) {
    const json_t *silos = json_object_get(run->evaluation, "silos");
    size_t n = 0, n_scored = json_array_size(silos), i;
    uint8_t *scored = NULL;
    if (gr_allocate_zero(run->n_silos, 1, "silos", &scored) != GR_OK) return 0;
    for (i = 0; i < n_scored; i++) {
        const json_t *scores = json_array_get(silos, i);
        int64_t silo = gr_json_silo(gr_json_text(scores, "silo"));
        bool known = silo >= 0 && silo < (int64_t)run->n_silos;
        if (known) scored[silo] = 1;
        if (n < SHOWN_MAX)
            rows[n++] = (struct row){gr_json_text(scores, "silo"), scores,
                                     known && run->missed ? (int64_t)run->missed[silo] : -1};
    }
    for (uint32_t silo = 0; silo < run->n_silos && n < SHOWN_MAX; silo++) {
        if (scored[silo] || run->missed[silo] == 0) continue;
        snprintf(names[n], sizeof names[n], "silo-%03u", silo);
        rows[n] = (struct row){names[n], NULL, run->missed[silo]};
        n++;
    }
    gr_free(scored);
    return n;
}

static void write_range(FILE *page, const struct gr_report_run *run) {
    double range[3];
    if (!gr_report_silo_range(run, "accuracy", range)) return;
    fputs("<p>On their own validation rows the silos' accuracy ranges from ", page);
    gr_html_percent(page, range[0], 1);
    fputs(" to ", page);
    gr_html_percent(page, range[2], 1);
    fputs(", the middle one's is ", page);
    gr_html_percent(page, range[1], 1);
    fputs(".</p>\n", page);
}

void gr_report_silos(FILE *page, const struct gr_report_run *run) {
    struct row rows[SHOWN_MAX];
    char names[SHOWN_MAX][24];
    size_t n = collect(run, rows, names);
    if (n == 0) return;
    fputs("<h2>Silos</h2>\n", page);
    write_range(page, run);
    write_head(page, run, n);
    for (size_t i = 0; i < n; i++)
        write_row(page, run, &rows[i]);
    fputs("</tbody></table></div>\n", page);
    if (n > OPEN_MAX) fputs("</details>\n", page);
    if (n == SHOWN_MAX)
        fprintf(page, "<p class=\"muted\">At most %d silos are shown.</p>\n", SHOWN_MAX);
    else if (run->missed && n < run->n_silos)
        fputs("<p class=\"muted\">Silos not named here missed no round that they were selected "
              "for.</p>\n",
              page);
}
