/* SPDX-License-Identifier: Apache-2.0 */
/* Silo by silo, under pseudonyms: only what the run directory tells of them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

/* OPEN_MAX: a longer table is folded; SHOWN_MAX: a still longer one is cut. */
enum { OPEN_MAX = 16, SHOWN_MAX = 500, RANGE_MAX = 1 << 20, SCORES_MAX = 16 };

/* The scores that the silos have, in the order of the table; borrowed. */
struct scores {
    const char *keys[SCORES_MAX];
    size_t n;
};

/* A silo's figures, from evaluation.json or from the events, or both. */
struct row {
    const char *silo;
    const json_t *scores; /* or NULL */
    int64_t missed;       /* -1: not known */
};

static const json_t *silos_of(const struct gr_report_run *run) {
    return json_object_get(run->evaluation, "silos");
}

/* ---- scores --------------------------------------------------------------------------------- */

/* A member of the silo ("loss", "accuracy"), or of its "metrics". */
static double score_of(const json_t *silo, const char *key) {
    const json_t *metric = json_object_get(json_object_get(silo, "metrics"), key);
    const double value = gr_json_real(silo, key);
    return isfinite(value) ? value : gr_json_real(metric, "value");
}

/* Why it is not defined; NULL: not told. */
static const char *why_not(const json_t *silo, const char *key) {
    const char *why = gr_json_text(json_object_get(json_object_get(silo, "metrics"), key), "why");
    return why || strcmp(key, "loss") == 0 ? why : gr_json_text(silo, "why");
}

/*
 * The columns of the table: the loss, the accuracy where a silo has one, and the metrics of the
 * first silo that has any; all silos of a run have the same ones.
 */
static struct scores find_scores(const struct gr_report_run *run) {
    struct scores scores = {.keys = {"loss"}, .n = 1};
    json_t *metrics = NULL, *value;
    const char *key;
    bool accuracy = false;
    for (size_t i = 0; i < json_array_size(silos_of(run)); i++) {
        const json_t *silo = json_array_get(silos_of(run), i);
        accuracy |= isfinite(score_of(silo, "accuracy"));
        if (!metrics) metrics = json_object_get(silo, "metrics");
    }
    if (accuracy) scores.keys[scores.n++] = "accuracy";
    json_object_foreach(metrics, key, value) {
        if (strcmp(key, "accuracy") != 0 && scores.n < SCORES_MAX) scores.keys[scores.n++] = key;
    }
    return scores;
}

static bool is_share(const char *key) {
    return strcmp(key, "accuracy") == 0;
}

static void write_number(FILE *page, const char *key, double value) {
    if (is_share(key))
        gr_html_percent(page, value, 2);
    else
        gr_html_real(page, value, 4);
}

/* A silo without scores was not told; a silo whose score is not defined has a reason. */
static void write_score(FILE *page, const struct row *row, const char *key) {
    const double value = score_of(row->scores, key);
    if (isfinite(value) && is_share(key))
        fprintf(page, "<td class=\"bar\" style=\"--share:%.1f%%\">", 100 * fmin(fmax(value, 0), 1));
    else
        fputs("<td>", page);
    if (isfinite(value))
        write_number(page, key, value);
    else if (row->scores)
        gr_html_not_defined(page, why_not(row->scores, key));
    else
        gr_html_text(page, "not told");
    fputs("</td>", page);
}

/* ---- their spread --------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * Lowest, middle (the upper of two) and highest of a score, as gr_scores_spread has them; returns
 * of how many silos, 0 also when memory was refused.
 */
static size_t find_range(const struct gr_report_run *run, const char *key, double range[3]) {
    size_t n = json_array_size(silos_of(run)), known = 0;
    double *values;
    if (n > RANGE_MAX || gr_allocate(n, sizeof *values, "silos", &values) != GR_OK) return 0;
    for (size_t i = 0; i < n; i++) {
        double value = score_of(json_array_get(silos_of(run), i), key);
        if (isfinite(value)) values[known++] = value;
    }
    qsort(values, known, sizeof *values, ascending);
    for (size_t i = 0; known > 0 && i < 3; i++)
        range[i] = values[i == 0 ? 0 : i == 1 ? known / 2 : known - 1];
    gr_free(values);
    return known;
}

/* Of a single silo there is no spread. */
static void write_range(FILE *page, const struct gr_report_run *run, const struct scores *scores) {
    double range[3];
    char name[80];
    if (json_array_size(silos_of(run)) < 2) return;
    fputs("<div class=\"card scroll narrow\"><table class=\"facts\"><caption>How far the silos are "
          "apart, each on its own validation rows</caption><thead><tr><th scope=\"col\">score</th>"
          "<th scope=\"col\">lowest</th><th scope=\"col\">middle</th><th scope=\"col\">highest</th>"
          "<th scope=\"col\">silos</th></tr></thead>\n<tbody>\n",
          page);
    for (size_t s = 0; s < scores->n; s++) {
        const size_t n = find_range(run, scores->keys[s], range);
        if (n == 0) continue;
        gr_report_metric_name(scores->keys[s], name);
        fputs("<tr><th scope=\"row\">", page);
        gr_html_text(page, name);
        fputs("</th>", page);
        for (size_t i = 0; i < 3; i++) {
            fputs("<td>", page);
            write_number(page, scores->keys[s], range[i]);
            fputs("</td>", page);
        }
        fprintf(page, "<td>%zu</td></tr>\n", n);
    }
    fputs("</tbody></table></div>\n", page);
}

/* ---- the table ------------------------------------------------------------------------------ */

/*
 * The columns depend on the run as a whole (silos_of, missed), not on the row, so that all rows
 * have the same number of cells.
 */
static void write_row(FILE *page, const struct gr_report_run *run, const struct scores *scores,
                      const struct row *row) {
    fputs("<tr><th scope=\"row\">", page);
    gr_html_text(page, row->silo);
    fputs("</th>", page);
    if (silos_of(run)) {
        fputs("<td>", page);
        if (json_is_integer(json_object_get(row->scores, "rows")))
            gr_html_count(page, gr_json_count(row->scores, "rows"));
        else
            gr_html_text(page, "not told");
        fputs("</td>", page);
        for (size_t s = 0; s < scores->n; s++)
            write_score(page, row, scores->keys[s]);
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

/* Long tables are folded; columns are those of write_row. */
static void write_head(FILE *page, const struct gr_report_run *run, const struct scores *scores,
                       size_t n) {
    char name[80];
    if (n > OPEN_MAX) fprintf(page, "<details class=\"card\"><summary>%zu silos</summary>\n", n);
    fprintf(page,
            "<div class=\"%sscroll%s\"><table class=\"facts silo\"><thead><tr><th scope=\"col\">"
            "silo</th>",
            n > OPEN_MAX ? "" : "card ", scores->n > 2 ? "" : " narrow");
    if (silos_of(run)) fputs("<th scope=\"col\">rows scored</th>", page);
    for (size_t s = 0; silos_of(run) && s < scores->n; s++) {
        gr_report_metric_name(scores->keys[s], name);
        fputs("<th scope=\"col\">", page);
        gr_html_text(page, name);
        fputs("</th>", page);
    }
    if (run->missed) fputs("<th scope=\"col\">rounds missed</th>", page);
    fputs("</tr></thead>\n<tbody>\n", page);
}

/*
 * Silos that have scores, then silos that only missed rounds, each in the order of ids; at most
 * SHOWN_MAX. `names` holds the pseudonyms that no file has.
 */
static size_t collect(const struct gr_report_run *run, struct row *rows, char (*names)[24]) {
    const json_t *silos = silos_of(run);
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

/* The silos that are not in the table, and why. */
static void write_absent(FILE *page, const struct gr_report_run *run, size_t shown) {
    const uint64_t all = gr_json_count(run->manifest, "silos"),
                   told = json_array_size(silos_of(run));
    const char *least = gr_report_setting(run, "evaluate.minimum_rows");
    if (shown == SHOWN_MAX)
        fprintf(page, "<p class=\"muted\">At most %d silos are shown.</p>\n", SHOWN_MAX);
    else if (run->missed && shown < run->n_silos)
        fputs("<p class=\"muted\">Silos not named here missed no round that they were selected "
              "for.</p>\n",
              page);
    if (told == 0 || told >= all) return;
    fputs("<p class=\"muted\">The scores of ", page);
    gr_report_number(page, all - told, "silo", "silos");
    fputs(" are not told: where it was not there, has fewer validation rows than may be told of",
          page);
    if (least) {
        fputs(" (", page);
        gr_html_text(page, least);
        fputc(')', page);
    }
    fputs(", or would give another one away.</p>\n", page);
}

/* Nothing is written where the run directory tells nothing of single silos, as is the default. */
void gr_report_silos(FILE *page, const struct gr_report_run *run) {
    struct row rows[SHOWN_MAX];
    char names[SHOWN_MAX][24];
    const struct scores scores = find_scores(run);
    size_t n = collect(run, rows, names);
    if (n == 0) return;
    fputs("<h2>Silos</h2>\n", page);
    write_range(page, run, &scores);
    write_head(page, run, &scores, n);
    for (size_t i = 0; i < n; i++)
        write_row(page, run, &scores, &rows[i]);
    fputs("</tbody></table></div>\n", page);
    if (n > OPEN_MAX) fputs("</details>\n", page);
    write_absent(page, run, n);
}
