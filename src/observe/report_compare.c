/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several runs side by side: their figures, their curves over each other, and the settings in which
 * they differ. At most GR_CHART_COLOURS runs, each with a letter and a colour.
 */
#include <math.h>
#include <string.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/report.h"

/* A row of the table. */
enum quantity {
    OUTCOME,
    ROUNDS,
    SILOS,
    RANKS,
    TEST_ACCURACY,
    BEST_TEST_ACCURACY,
    TEST_LOSS,
    VALIDATION_ACCURACY,
    VALIDATION_LOSS,
    PARTIAL,
    SECONDS,
    BYTES,
    MODEL,
    QUANTITIES
};

static const char *const labels[QUANTITIES] = {"outcome",         "rounds",
                                               "silos",           "ranks",
                                               "test accuracy",   "best test accuracy",
                                               "test loss",       "validation accuracy",
                                               "validation loss", "rounds with silos missing",
                                               "time in rounds",  "sent between ranks",
                                               "model digest"};

/* NaN for a run that has no such score; a row is left out where no run has one. */
static double score_of(const struct gr_report_totals *t, enum quantity quantity) {
    switch (quantity) {
    case TEST_ACCURACY:
        return t->tested ? t->tested->test_accuracy : NAN;
    case BEST_TEST_ACCURACY:
        return t->best_tested ? t->best_tested->test_accuracy : NAN;
    case TEST_LOSS:
        return t->tested ? t->tested->test_loss : NAN;
    case VALIDATION_ACCURACY:
        return t->validated ? t->validated->validation_accuracy : NAN;
    case VALIDATION_LOSS:
        return t->validated ? t->validated->validation_loss : NAN;
    default:
        return NAN;
    }
}

static bool is_score(enum quantity quantity) {
    return quantity >= TEST_ACCURACY && quantity <= VALIDATION_LOSS;
}

/*
 * Accuracies in per cent, losses as numbers; the best accuracy with its round, as it is not the
 * outcome.
 */
static void write_score(FILE *page, enum quantity quantity, const struct gr_report_totals *t) {
    double score = score_of(t, quantity);
    if (!isfinite(score))
        fputs("<span class=\"muted\">not measured</span>", page);
    else if (quantity == TEST_LOSS || quantity == VALIDATION_LOSS)
        gr_html_real(page, score, 4);
    else
        gr_html_percent(page, score, 2);
    if (isfinite(score) && quantity == BEST_TEST_ACCURACY)
        fprintf(page, " <small>round %u</small>", t->best_tested->round);
}

/* Digests are shown by their first twelve digits: enough to tell models apart by eye. */
static void write_value(FILE *page, const struct gr_report_run *run, enum quantity quantity,
                        const struct gr_report_totals *t) {
    const char *digest = gr_json_text(run->manifest, "model_digest");
    char start[13];
    switch (quantity) {
    case OUTCOME:
        gr_html_text(page, gr_json_text(run->manifest, "outcome"));
        break;
    case ROUNDS:
        gr_html_count(page, gr_report_rounds_done(run));
        fputs(" of ", page);
        gr_html_count(page, gr_json_count(run->manifest, "rounds"));
        break;
    case SILOS:
    case RANKS:
        gr_html_count(page, gr_json_count(run->manifest, labels[quantity]));
        break;
    case PARTIAL:
        gr_html_count(page, t->partial);
        break;
    case SECONDS:
        gr_html_seconds(page, t->seconds);
        break;
    case BYTES:
        gr_html_bytes(page, (double)t->bytes);
        break;
    case MODEL:
        snprintf(start, sizeof start, "%s", digest ? digest : "no model");
        fputs("<code>", page);
        gr_html_text(page, start);
        fputs("</code>", page);
        break;
    default:
        write_score(page, quantity, t);
    }
}

/* "A  name", in the colour of the run's lines. */
static void write_run_head(FILE *page, const struct gr_report_run *runs, size_t n, bool names) {
    for (size_t i = 0; i < n; i++) {
        fprintf(page, "<th scope=\"col\"><i class=\"key s%u\"></i>%c", runs[i].colour,
                runs[i].letter);
        if (names) {
            fputs("<br><span class=\"muted\">", page);
            gr_report_name(page, &runs[i]);
            fputs("</span>", page);
        }
        fputs("</th>", page);
    }
    fputs("</tr></thead>\n<tbody>\n", page);
}

/*
 * A row for each quantity that at least one run has; of scores a missing one reads "not measured",
 * not 0.
 */
static void write_figures(FILE *page, const struct gr_report_run *runs, size_t n) {
    struct gr_report_totals totals[GR_CHART_COLOURS];
    for (size_t i = 0; i < n; i++)
        totals[i] = gr_report_totals_of(&runs[i]);
    fputs("<div class=\"card scroll\"><table class=\"facts\"><thead><tr><td></td>", page);
    write_run_head(page, runs, n, true);
    for (enum quantity q = 0; q < QUANTITIES; q++) {
        bool known = !is_score(q);
        for (size_t i = 0; i < n; i++)
            known |= isfinite(score_of(&totals[i], q));
        if (!known) continue;
        fprintf(page, "<tr><th scope=\"row\">%s</th>", labels[q]);
        for (size_t i = 0; i < n; i++) {
            fputs("<td>", page);
            write_value(page, &runs[i], q, &totals[i]);
            fputs("</td>", page);
        }
        fputs("</tr>\n", page);
    }
    fputs("</tbody></table></div>\n", page);
}

/* ---- settings that differ ------------------------------------------------------------------- */

struct difference {
    FILE *page;
    const struct gr_report_run *runs;
    size_t n, found;
};

/*
 * A setting as one line of text, a list as a whole. NULL: the run has no such setting, as with runs
 * of different versions. Caller frees.
 */
static gr_status value_at(const struct gr_report_run *run, const char *path, char **out) {
    struct gr_node *node = gr_node_at(run->settings, path);
    size_t length = 0;
    *out = NULL;
    if (!node) return GR_OK;
    if (node->kind == GR_NODE_SCALAR)
        return gr_text_format(out, "%s", node->text ? node->text : "");
    return gr_tree_emit(node, out, &length);
}

/* Paths differ between machines and may name a site, so they are not shown. */
static void write_setting(const struct difference *d, const struct gr_node *node,
                          const char *value) {
    fputs("<td>", d->page);
    if (!value)
        fputs("not set", d->page);
    else if (gr_report_holds_path(node))
        fputs("(another path)", d->page);
    else
        gr_html_text(d->page, value[0] ? value : "(empty)");
    fputs("</td>", d->page);
}

/* A row of the table for a setting in which the runs differ; none where all have the same. */
static gr_status compare_at(struct difference *d, const char *path) {
    gr_status status = GR_OK;
    char *values[GR_CHART_COLOURS] = {NULL};
    bool differ = false;
    for (size_t i = 0; i < d->n; i++) {
        GR_TRY(value_at(&d->runs[i], path, &values[i]));
        differ |= (values[i] == NULL) != (values[0] == NULL) ||
                  (values[i] && strcmp(values[i], values[0]) != 0);
    }
    if (!differ) goto out;
    d->found++;
    fputs("<tr><th scope=\"row\"><code>", d->page);
    gr_html_text(d->page, path);
    fputs("</code></th>", d->page);
    for (size_t i = 0; i < d->n; i++)
        write_setting(d, gr_node_at(d->runs[i].settings, path), values[i]);
    fputs("</tr>\n", d->page);
out:
    for (size_t i = 0; i < d->n; i++)
        gr_free(values[i]);
    return status;
}

/*
 * Whether an earlier run has a setting at the path: it has been compared with all others then.
 * Sections are not values and do not count.
 */
static bool is_done(const struct difference *d, size_t run, const char *path) {
    for (size_t i = 0; i < run; i++) {
        struct gr_node *node = gr_node_at(d->runs[i].settings, path);
        if (node && node->kind != GR_NODE_SECTION) return true;
    }
    return false;
}

/*
 * Each key below `section` of one run, sections in it likewise. Lists are compared as wholes: their
 * elements have no names by which they could be matched.
 */
static gr_status compare_below(struct difference *d, size_t run, const struct gr_node *section,
                               const char *prefix) {
    gr_status status = GR_OK;
    char *path = NULL;
    for (const struct gr_node *node = section->child; node; node = node->next) {
        gr_free(path);
        path = NULL;
        GR_TRY(gr_text_format(&path, "%s%s%s", prefix, prefix[0] ? "." : "", node->key));
        if (node->kind == GR_NODE_SECTION)
            GR_TRY(compare_below(d, run, node, path));
        else if (!is_done(d, run, path))
            GR_TRY(compare_at(d, path));
    }
out:
    gr_free(path);
    return status;
}

/*
 * Goes through the settings of each run, since a later run may have keys that the first lacks.
 * Without the settings of one run nothing can be said of any.
 */
static void write_differences(FILE *page, const struct gr_report_run *runs, size_t n) {
    struct difference d = {.page = page, .runs = runs, .n = n};
    gr_status status = GR_OK;
    fputs("<h2>Settings that differ</h2>\n", page);
    for (size_t i = 0; i < n; i++) {
        if (runs[i].settings) continue;
        fprintf(page, "<p>Not known, for those of %c are not.</p>\n", runs[i].letter);
        return;
    }
    fputs("<div class=\"card scroll\"><table class=\"facts\"><thead>"
          "<tr><th scope=\"col\">setting</th>",
          page);
    write_run_head(page, runs, n, false);
    for (size_t i = 0; i < n && status == GR_OK; i++)
        status = compare_below(&d, i, runs[i].settings, "");
    if (d.found == 0 && status == GR_OK)
        fprintf(page, "<tr><th scope=\"row\">none</th><td colspan=\"%zu\"></td></tr>\n", n);
    fputs("</tbody></table></div>\n", page);
    if (status == GR_OK) return;
    fputs("<p>There may be more: ", page);
    gr_html_text(page, gr_message());
    fputs(".</p>\n", page);
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* A missing digest makes it false: a run without a model has none in common. */
static bool same_model(const struct gr_report_run *runs, size_t n) {
    const char *first = gr_json_text(runs[0].manifest, "model_digest");
    for (size_t i = 1; first && i < n; i++) {
        const char *digest = gr_json_text(runs[i].manifest, "model_digest");
        if (!digest || strcmp(first, digest) != 0) return false;
    }
    return first != NULL;
}

/* Equal digests are pointed out, because equality of the bits is the promise of the program. */
void gr_report_comparison(FILE *page, const struct gr_report_run *runs, size_t n) {
    fprintf(page,
            "<h1>%zu runs compared</h1>\n<p class=\"lead\">Side by side first, then each for "
            "itself.%s</p>\n",
            n,
            same_model(runs, n) ? " All of them ended with the same model, to the last bit." : "");
    write_figures(page, runs, n);
    gr_report_curves(page, runs, n);
    write_differences(page, runs, n);
}
