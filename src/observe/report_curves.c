/* SPDX-License-Identifier: Apache-2.0 */
/* Curves by round: of one run, or of several over each other. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "observe/chart.h"
#include "observe/html.h"
#include "observe/report.h"

enum { POINTS_MAX = 400 };

static const double value_max = 1e30; /* of what can be drawn */

/* The last two stand for GR_METRICS_MAX values each: the named metrics. */
enum value {
    TRAIN_LOSS,
    VALIDATION_LOSS,
    TEST_LOSS,
    VALIDATION_ACCURACY,
    TEST_ACCURACY,
    VALIDATION_NAMED,
    TEST_NAMED = VALIDATION_NAMED + GR_METRICS_MAX,
    VALUES = TEST_NAMED + GR_METRICS_MAX
};

/*
 * NaN where the round has no such value, or the named metric is of the other rows. Accuracies are
 * in per cent.
 */
static double value_of(const struct gr_metrics *m, unsigned value) {
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
    const bool of_test = value >= TEST_NAMED;
    const unsigned metric = value - (of_test ? TEST_NAMED : VALIDATION_NAMED);
    const bool told = m->named_told >> metric & 1 && m->of_validation == !of_test;
    return told ? m->named[metric] : (double)NAN;
}

/* fabs of NaN compares false, so it is left out too. */
static bool is_drawn(const struct gr_metrics *m, unsigned value) {
    return fabs(value_of(m, value)) < value_max;
}

/*
 * The points of a series, thinned to about POINTS_MAX; the last is always kept, as it is the
 * outcome. A round without a value is left out. Caller frees points.
 */
static gr_status collect(const struct gr_report_run *run, unsigned value,
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

/*
 * Name and colour follow from the rows that the value is of, so that they are alike in all charts.
 */
static void look(unsigned value, struct gr_series *series) {
    const bool of_test = value == TEST_LOSS || value == TEST_ACCURACY || value >= TEST_NAMED;
    series->name = value == TRAIN_LOSS ? "training" : of_test ? "test" : "validation";
    series->colour = value == TRAIN_LOSS ? 3 : of_test ? 0 : 2;
}

/* False: there was nothing to draw. Series are at most three. */
static bool draw_one(FILE *page, const struct gr_report_run *run, const char *title,
                     const char *unit, const unsigned *values, size_t n,
                     const struct gr_band *band) {
    struct gr_series series[3] = {0};
    gr_status status = GR_OK;
    for (size_t s = 0; s < n && status == GR_OK; s++) {
        look(values[s], &series[s]);
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
                                         .band = band});
    release(series, n);
    return drawn;
}

static bool has_silos(const struct gr_metrics *m, bool accuracy) {
    const double *v = accuracy ? m->silo_accuracy : m->silo_loss;
    return m->silos > 0 && fabs(v[0]) < value_max && fabs(v[1]) < value_max &&
           fabs(v[2]) < value_max;
}

/*
 * The silos' own scores by round, as a band in the colour of the validation rows. The chart is of
 * use without it, so a refused allocation only leaves it out. Caller frees points.
 */
static void collect_band(const struct gr_report_run *run, bool accuracy, struct gr_band *band) {
    size_t known = 0, k = 0;
    *band = (struct gr_band){.colour = 2};
    for (size_t i = 0; i < run->n; i++)
        known += has_silos(&run->rounds[i], accuracy);
    if (gr_allocate(known, sizeof *band->points, "a band", &band->points) != GR_OK) return;
    const size_t step = gr_report_step(known, POINTS_MAX);
    const double scale = accuracy ? 100 : 1;
    for (size_t i = 0; i < run->n; i++) {
        const struct gr_metrics *m = &run->rounds[i];
        const double *v = accuracy ? m->silo_accuracy : m->silo_loss;
        if (!has_silos(m, accuracy)) continue;
        if (k++ % step == 0 || k == known)
            band->points[band->n++] =
                (struct gr_band_point){m->round, scale * v[0], scale * v[1], scale * v[2]};
    }
}

/* "Balanced accuracy by round", or with "Test" before it. */
static void title_of(const char *rows, unsigned metric, char out[120]) {
    const char *name = gr_metric_rows[metric].title;
    snprintf(out, 120, "%s%s%s by round", rows, rows[0] ? " " : "", name);
    out[0] = (char)toupper((unsigned char)out[0]);
}

/*
 * One chart for each metric that the config names, with the test and the validation rows' curve;
 * the rows of a run are of one kind, so that mostly one of both is empty.
 */
static bool draw_named(FILE *page, const struct gr_report_run *run) {
    char title[120];
    bool any = false;
    for (unsigned m = 0; m < gr_metric_count; m++) {
        const unsigned values[] = {VALIDATION_NAMED + m, TEST_NAMED + m};
        title_of("", m, title);
        any |= draw_one(page, run, title, "", values, 2, NULL);
    }
    return any;
}

/*
 * Rows that silos hold out go when their rank goes; the scores before and after are then of
 * different rows, and a step in the curve may be due to that alone.
 */
static void note_rows(FILE *page, const struct gr_report_run *run) {
    uint64_t least[2] = {UINT64_MAX, UINT64_MAX}, most[2] = {0, 0};
    static const char *const names[] = {"validation", "test"};
    for (size_t i = 0; i < run->n; i++) {
        const uint64_t rows[] = {run->rounds[i].validation_rows, run->rounds[i].test_rows};
        for (size_t k = 0; k < 2; k++) {
            if (rows[k] > 0 && rows[k] < least[k]) least[k] = rows[k];
            if (rows[k] > most[k]) most[k] = rows[k];
        }
    }
    for (size_t k = 0; k < 2; k++)
        if (least[k] < most[k])
            fprintf(page,
                    "<p>Of %s rows there were %llu to %llu: not all silos that hold some out were "
                    "there in every round, and scores of different rows cannot be compared.</p>\n",
                    names[k], (unsigned long long)least[k], (unsigned long long)most[k]);
}

/*
 * Accuracy comes before loss: most readers look for it first. A model of numbers has none, and its
 * chart is left out.
 */
static void draw_run(FILE *page, const struct gr_report_run *run) {
    static const unsigned losses[] = {TRAIN_LOSS, VALIDATION_LOSS, TEST_LOSS},
                          accuracies[] = {VALIDATION_ACCURACY, TEST_ACCURACY};
    struct gr_band bands[2];
    collect_band(run, true, &bands[0]);
    collect_band(run, false, &bands[1]);
    bool any = draw_one(page, run, "Accuracy by round", "%", accuracies, 2, &bands[0]);
    any |= draw_one(page, run, "Loss by round", "", losses, 3, &bands[1]);
    any |= draw_named(page, run);
    if (!any) fputs("<p>In no round is a loss or an accuracy defined.</p>\n", page);
    note_rows(page, run);
    gr_free(bands[0].points);
    gr_free(bands[1].points);
}

/* ---- several -------------------------------------------------------------------------------- */

/* A step of 1, 2, 4, ...: of two runs of different length each point of the coarser grid is one of
 * the finer, so that means can be taken. */
static gr_status take_curve(struct gr_report_run *run, unsigned value, size_t known) {
    struct gr_report_curve curve = {.value = value};
    size_t step = 1, k = 0;
    gr_status status = gr_allocate(known, sizeof *curve.points, "a curve", &curve.points);
    if (status != GR_OK) return status;
    while (known / step > POINTS_MAX)
        step *= 2;
    for (size_t i = 0; i < run->n; i++) {
        const struct gr_metrics *m = &run->rounds[i];
        if (!is_drawn(m, value)) continue;
        k++;
        if (k % step == 0 || k == known || k == 1)
            curve.points[curve.n++] = (struct gr_point){.x = m->round, .y = value_of(m, value)};
    }
    run->curves[run->n_curves++] = curve;
    return GR_OK;
}

gr_status gr_report_take_curves(struct gr_report_run *run) {
    gr_status status = GR_OK;
    GR_TRY(gr_allocate_zero(VALUES, sizeof *run->curves, "curves", &run->curves));
    for (unsigned value = 0; value < VALUES; value++) {
        size_t known = 0;
        for (size_t i = 0; i < run->n; i++)
            known += is_drawn(&run->rounds[i], value);
        if (known > 0) GR_TRY(take_curve(run, value, known));
    }
out:
    return status;
}

static const struct gr_report_curve *curve_of(const struct gr_report_run *run, unsigned value) {
    for (size_t i = 0; i < run->n_curves; i++)
        if (run->curves[i].value == value) return &run->curves[i];
    return NULL;
}

/* The curve's value of a round, from *place on; NaN: it has no point there. */
static double value_in(const struct gr_report_curve *curve, double round, size_t *place) {
    while (curve && *place < curve->n && curve->points[*place].x < round)
        ++*place;
    return curve && *place < curve->n && curve->points[*place].x == round ? curve->points[*place].y
                                                                          : (double)NAN;
}

/* Adds the values of one more run to a curve; points that it lacks are left out. */
static void add_to(struct gr_series *series, const struct gr_report_curve *curve) {
    size_t kept = 0, place = 0;
    for (size_t i = 0; i < series->n; i++) {
        const double more = value_in(curve, series->points[i].x, &place);
        if (!isfinite(more)) continue;
        series->points[kept] = series->points[i];
        series->points[kept++].y += more;
    }
    series->n = kept;
}

/* The mean of the runs of a group that count, at the rounds of which all have a point. */
static gr_status collect_group(const struct gr_report_set *set, const struct gr_report_group *group,
                               unsigned value, struct gr_series *series) {
    size_t n = 0;
    for (size_t i = group->first; i < group->first + group->n; i++) {
        const struct gr_report_curve *curve = curve_of(&set->runs[i], value);
        if (!gr_report_counts(set, group, i)) continue;
        if (n++ > 0) {
            add_to(series, curve);
        } else if (curve) {
            gr_status status =
                gr_allocate(curve->n, sizeof *series->points, "a curve", &series->points);
            if (status != GR_OK) return status;
            memcpy(series->points, curve->points, curve->n * sizeof *series->points);
            series->n = curve->n;
        }
    }
    for (size_t i = 0; i < series->n; i++)
        series->points[i].y /= (double)n;
    return GR_OK;
}

/* All groups share the axis from round 1 to the last of the longest curve. */
static bool draw_all(FILE *page, const struct gr_report_set *set, const char *title,
                     const char *unit, unsigned value) {
    struct gr_series series[GR_CHART_COLOURS] = {0};
    gr_status status = GR_OK;
    double last = 1;
    size_t n = 0;
    for (size_t g = 0; g < set->n_groups && n < GR_CHART_COLOURS && status == GR_OK; g++) {
        const struct gr_report_group *group = &set->groups[g];
        for (size_t i = group->first; i < group->first + group->n; i++)
            for (size_t c = 0; c < set->runs[i].n_curves; c++) {
                const struct gr_report_curve *curve = &set->runs[i].curves[c];
                last = fmax(last, curve->points[curve->n - 1].x);
            }
        series[n].name = group->label;
        series[n].colour = group->colour;
        status = collect_group(set, group, value, &series[n++]);
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

/*
 * Test before validation before training, in the order of what a comparison should rest on. Named
 * metrics have a chart for each kind of rows, as runs may differ in it.
 */
static void draw_groups(FILE *page, const struct gr_report_set *set) {
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
        any |= draw_all(page, set, charts[i].title, charts[i].unit, charts[i].value);
    for (unsigned m = 0; m < gr_metric_count; m++) {
        char title[120];
        title_of("Test", m, title);
        any |= draw_all(page, set, title, "", TEST_NAMED + m);
        title_of("Validation", m, title);
        any |= draw_all(page, set, title, "", VALIDATION_NAMED + m);
    }
    if (!any) fputs("<p>In no round is a loss or an accuracy defined.</p>\n", page);
}

static void begin(FILE *page, bool thinned) {
    fputs("<h2>Curves</h2>\n", page);
    if (thinned)
        fprintf(page, "<p class=\"muted\">Curves of more than %d points are thinned.</p>\n",
                POINTS_MAX);
}

void gr_report_group_curves(FILE *page, const struct gr_report_set *set) {
    size_t points = 0;
    bool any = false, rounds = false;
    for (size_t i = 0; i < set->n; i++) {
        rounds = rounds || gr_report_rounds_done(&set->runs[i]) > 0;
        any = any || set->runs[i].n_curves > 0;
        for (size_t c = 0; c < set->runs[i].n_curves; c++)
            if (set->runs[i].curves[c].n > points) points = set->runs[i].curves[c].n;
    }
    if (!any && !rounds) return;
    begin(page, points > POINTS_MAX / 2);
    if (set->n_groups < set->n)
        fputs("<p class=\"muted\">Of a group the mean of its runs, as far as all have come.</p>\n",
              page);
    fputs("<section class=\"grid two\">\n", page);
    draw_groups(page, set);
    fputs("</section>\n", page);
}

/* Nothing is written where there is no round. */
void gr_report_curves(FILE *page, const struct gr_report_run *run) {
    if (run->n == 0) return;
    begin(page, run->n > POINTS_MAX);
    fputs("<section class=\"grid two\">\n", page);
    draw_run(page, run);
    fputs("</section>\n", page);
}
