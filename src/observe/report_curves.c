/* SPDX-License-Identifier: Apache-2.0 */
/* Curves by round: of one run, or of several over each other. */
#include <math.h>
#include <string.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/report.h"

enum { POINTS_MAX = 400 };

static const double value_max = 1e30; /* of what can be drawn */

enum value { TRAIN_LOSS, VALIDATION_LOSS, TEST_LOSS, VALIDATION_ACCURACY, TEST_ACCURACY };

static double value_of(const struct gr_metrics *m, enum value value) {
    switch (value) {
    case TRAIN_LOSS:
        return m->train_loss;
    case VALIDATION_LOSS:
        return m->validation_loss;
    case TEST_LOSS:
        return m->test_loss;
    case VALIDATION_ACCURACY:
        return 100 * m->validation_accuracy;
    case TEST_ACCURACY:
        return 100 * m->test_accuracy;
    }
    return NAN;
}

static bool is_drawn(const struct gr_metrics *m, enum value value) {
    return fabs(value_of(m, value)) < value_max;
}

/* The points of a series; a round without a value is left out. Caller frees points. */
static gr_status collect(const struct gr_report_run *run, enum value value,
                         struct gr_series *series) {
    size_t known = 0, k = 0;
    for (size_t i = 0; i < run->n; i++)
        known += is_drawn(&run->rounds[i], value);
    gr_status status = gr_allocate(known, sizeof *series->points, "a curve", &series->points);
    size_t step = gr_report_step(known, POINTS_MAX);
    for (size_t i = 0; status == GR_OK && i < run->n; i++) {
        const struct gr_metrics *m = &run->rounds[i];
        if (!is_drawn(m, value)) continue;
        if (k++ % step == 0 || k == known)
            series->points[series->n++] = (struct gr_point){.x = m->round, .y = value_of(m, value)};
    }
    return status;
}

static void release(struct gr_series *series, size_t n) {
    for (size_t s = 0; s < n; s++)
        gr_free(series[s].points);
}

/* Writes the curve, or why there is none. */
static bool draw(FILE *page, gr_status status, const struct gr_chart *chart) {
    if (status == GR_OK) return gr_chart_lines(page, chart);
    fputs("<p>A curve is missing: ", page);
    gr_html_text(page, gr_message());
    fputs(".</p>\n", page);
    return true;
}

/* ---- one run -------------------------------------------------------------------------------- */

static bool draw_one(FILE *page, const struct gr_report_run *run, const char *title,
                     const char *unit, const enum value *values, size_t n,
                     const struct gr_spread *spread) {
    static const struct {
        const char *name;
        unsigned colour;
    } looks[] = {{"training", 3}, {"validation", 2}, {"test", 0}, {"validation", 2}, {"test", 0}};
    struct gr_series series[3] = {0};
    gr_status status = GR_OK;
    for (size_t s = 0; s < n && status == GR_OK; s++) {
        series[s].name = looks[values[s]].name;
        series[s].colour = looks[values[s]].colour;
        status = collect(run, values[s], &series[s]);
    }
    bool drawn = draw(page, status,
                      &(struct gr_chart){.title = title,
                                         .unit = unit,
                                         .x_name = "round",
                                         .first = run->rounds[0].round,
                                         .last = run->rounds[run->n - 1].round,
                                         .series = series,
                                         .n_series = n,
                                         .spread = spread});
    release(series, n);
    return drawn;
}

/* The silos' scores beside the validation curve, whose end they are of. */
static const struct gr_spread *spread_of(const struct gr_report_run *run, const char *member,
                                         double scale, struct gr_spread *spread) {
    double range[3];
    if (!gr_report_silo_range(run, member, range)) return NULL;
    *spread = (struct gr_spread){2, scale * range[0], scale * range[1], scale * range[2]};
    return fabs(spread->low) < value_max && fabs(spread->high) < value_max ? spread : NULL;
}

static void draw_run(FILE *page, const struct gr_report_run *run) {
    static const enum value losses[] = {TRAIN_LOSS, VALIDATION_LOSS, TEST_LOSS},
                            accuracies[] = {VALIDATION_ACCURACY, TEST_ACCURACY};
    struct gr_spread spread;
    bool any = draw_one(page, run, "Accuracy by round", "%", accuracies, 2,
                        spread_of(run, "accuracy", 100, &spread));
    any |= draw_one(page, run, "Loss by round", "", losses, 3, spread_of(run, "loss", 1, &spread));
    if (!any) fputs("<p>In no round is a loss or an accuracy defined.</p>\n", page);
}

/* ---- several -------------------------------------------------------------------------------- */

static bool draw_all(FILE *page, const struct gr_report_run *runs, size_t n, const char *title,
                     const char *unit, enum value value) {
    struct gr_series series[GR_CHART_COLOURS] = {0};
    char names[GR_CHART_COLOURS][2];
    gr_status status = GR_OK;
    double last = 1;
    if (n > GR_CHART_COLOURS) n = GR_CHART_COLOURS;
    for (size_t s = 0; s < n && status == GR_OK; s++) {
        if (runs[s].n > 0) last = fmax(last, runs[s].rounds[runs[s].n - 1].round);
        names[s][0] = runs[s].letter;
        names[s][1] = '\0';
        series[s].name = names[s];
        series[s].colour = runs[s].colour;
        status = collect(&runs[s], value, &series[s]);
    }
    bool drawn = draw(page, status,
                      &(struct gr_chart){.title = title,
                                         .unit = unit,
                                         .x_name = "round",
                                         .first = 1,
                                         .last = last,
                                         .series = series,
                                         .n_series = n});
    release(series, n);
    return drawn;
}

static void draw_runs(FILE *page, const struct gr_report_run *runs, size_t n) {
    static const struct {
        const char *title, *unit;
        enum value value;
    } charts[] = {{"Test accuracy by round", "%", TEST_ACCURACY},
                  {"Test loss by round", "", TEST_LOSS},
                  {"Validation accuracy by round", "%", VALIDATION_ACCURACY},
                  {"Validation loss by round", "", VALIDATION_LOSS},
                  {"Training loss by round", "", TRAIN_LOSS}};
    bool any = false;
    for (size_t i = 0; i < sizeof charts / sizeof *charts; i++)
        any |= draw_all(page, runs, n, charts[i].title, charts[i].unit, charts[i].value);
    if (!any) fputs("<p>In no round is a loss or an accuracy defined.</p>\n", page);
}

void gr_report_curves(FILE *page, const struct gr_report_run *runs, size_t n) {
    size_t most = 0;
    for (size_t i = 0; i < n; i++)
        most = runs[i].n > most ? runs[i].n : most;
    if (most == 0) return;
    fputs("<h2>Curves</h2>\n", page);
    if (most > POINTS_MAX)
        fprintf(page, "<p class=\"muted\">Curves of more than %d points are thinned.</p>\n",
                POINTS_MAX);
    fputs("<section class=\"grid two\">\n", page);
    if (n == 1)
        draw_run(page, runs);
    else
        draw_runs(page, runs, n);
    fputs("</section>\n", page);
}
