/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Metrics of models of two classes that are found from bins or by thresholds: against pairs of
 * rows, published figures and closed forms; what is not defined; and what is told of rows that
 * silos hold out.
 */
#include <check.h>
#include <granary/metric.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define METRIC(name) gr_metric_find(#name)
#define MUST(call)   ck_assert_msg((call) == GR_OK, "%s", gr_message())

/* Rows of two classes, whose log-odds are the scores. weights: NULL, or one each. */
static struct gr_accumulator *binned(const float *scores, const int32_t *labels,
                                     const float *weights, size_t n) {
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(2, &accumulator));
    for (size_t i = 0; i < n; i++) {
        const float logits[2] = {0, scores[i]};
        MUST(gr_accumulator_add_classes(accumulator, logits, labels + i,
                                        weights ? weights + i : NULL, 1));
    }
    gr_accumulator_bin(accumulator, accumulator);
    return accumulator;
}

static const char *why(const struct gr_accumulator *a, unsigned metric) {
    const struct gr_metric_value v = gr_accumulator_metric(a, metric);
    ck_assert(!v.why || isnan(v.value));
    return v.why ? v.why : "";
}

/* ---- the average precision ------------------------------------------------------------------- */

/* By its definition: of each row of class 1 the precision of all that score as much. */
static double precision_by_rows(const float *scores, const int32_t *labels, const float *weights,
                                size_t n) {
    double sum = 0, all = 0;
    for (size_t i = 0; i < n; i++) {
        const double w = weights ? (double)weights[i] : 1;
        double right = 0, taken = 0;
        if (!labels[i]) continue;
        for (size_t j = 0; j < n; j++) {
            if (scores[j] < scores[i]) continue;
            const double v = weights ? (double)weights[j] : 1;
            taken += v;
            right += labels[j] ? v : 0;
        }
        sum += w * right / taken;
        all += w;
    }
    return sum / all;
}

enum { N = 3000 };
struct made {
    float scores[N], weights[N];
    int32_t labels[N];
};

/* A tenth or a third of them of class 1; every = 8: scores in eighths, so that many are equal. */
static void make_rows(struct made *m, int one_in, double spread, double every) {
    for (size_t i = 0; i < N; i++) {
        m->labels[i] = rand() % one_in == 0;
        double x = spread * ((double)(rand() - rand()) / RAND_MAX + 0.5 * m->labels[i]);
        if (every > 0) x = rint(x * every) / every;
        m->scores[i] = (float)x;
        m->weights[i] = (float)(1 + rand() % 4) / 4;
    }
}

START_TEST(precisions_are_enclosed) {
    static const struct {
        int one_in;
        double spread, every, width;
    } cases[] = {{3, 1, 0, 1e-3},  {10, 1, 0, 1e-3},   {3, 10, 0, 1e-3},
                 {10, 4, 8, 1e-3}, {3, 0.01, 0, 1e-3}, {30, 3, 0, 1e-3}};
    static struct made m;
    srand(7);
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++)
        for (int weighted = 0; weighted < 2; weighted++) {
            make_rows(&m, cases[k].one_in, cases[k].spread, cases[k].every);
            const float *weights = weighted ? m.weights : NULL;
            struct gr_accumulator *a = binned(m.scores, m.labels, weights, N);
            const struct gr_metric_value v = gr_accumulator_metric(a, METRIC(average_precision));
            const double exact = precision_by_rows(m.scores, m.labels, weights, N);
            ck_assert_msg(v.lower <= exact + 1e-12 && exact <= v.upper + 1e-12,
                          "case %zu: %.9f to %.9f, expected %.9f", k, v.lower, v.upper, exact);
            ck_assert_msg(v.upper - v.lower < cases[k].width, "case %zu: %.9f to %.9f", k, v.lower,
                          v.upper);
            gr_accumulator_free(a);
        }
}
END_TEST

/* Rows that bins tell apart, or know to be equal, leave no doubt. */
START_TEST(precisions_by_hand) {
    static const int32_t labels[] = {0, 0, 1, 1};
    static const struct {
        float scores[4];
        double value;
    } cases[] = {{{-2, -1, 1, 2}, 1},
                 {{1, 2, -2, -1}, (1.0 / 3 + 2.0 / 4) / 2},
                 {{-1, 1, -0.5f, 2}, (1 + 2.0 / 3) / 2},
                 {{3, 3, 3, 3}, 0.5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gr_accumulator *a = binned(cases[i].scores, labels, NULL, 4);
        const struct gr_metric_value v = gr_accumulator_metric(a, METRIC(average_precision));
        ck_assert_double_eq_tol(v.value, cases[i].value, 1e-15);
        ck_assert_double_eq_tol(v.lower, v.upper, 1e-15);
        gr_accumulator_free(a);
    }
}
END_TEST

/* ---- the error of the AUC ---------------------------------------------------------------------
 */

/*
 * Ratings of 109 tomograms (Hanley, McNeil 1982, table 1). Stata's manual of roctab has the AUC
 * 0.8932, DeLong's standard error 0.0307 and the interval 0.83295 to 0.95339 of them.
 */
START_TEST(error_as_published) {
    static const int normal[] = {33, 6, 6, 11, 2}, abnormal[] = {3, 2, 2, 11, 33};
    float scores[109];
    int32_t labels[109];
    size_t n = 0;
    for (int rating = 0; rating < 5; rating++)
        for (int k = 0; k < normal[rating] + abnormal[rating]; k++) {
            scores[n] = (float)rating - 2;
            labels[n++] = k >= normal[rating];
        }
    ck_assert_uint_eq(n, 109);
    struct gr_accumulator *a = binned(scores, labels, NULL, n);
    const struct gr_metric_value error = gr_accumulator_auc_error(a);
    const struct gr_interval interval = gr_accumulator_auc_interval(a);
    ck_assert_double_eq_tol(gr_accumulator_metric(a, METRIC(auc)).value, 0.8932, 5e-5);
    ck_assert_double_eq_tol(error.value, 0.0307, 5e-5);
    ck_assert_double_eq_tol(error.lower, error.upper, 1e-15);
    ck_assert_double_eq_tol(interval.lower, 0.83295, 5e-6);
    ck_assert_double_eq_tol(interval.upper, 0.95339, 5e-6);
    gr_accumulator_free(a);
}
END_TEST

/* DeLong's formula over all pairs. */
static double error_by_pairs(const float *scores, const int32_t *labels, size_t n) {
    static double v[N];
    double sum[2] = {0}, square[2] = {0}, rows[2] = {0}, error = 0;
    for (size_t i = 0; i < n; i++)
        rows[labels[i]]++;
    for (size_t i = 0; i < n; i++) {
        v[i] = 0;
        for (size_t j = 0; j < n; j++) {
            if (labels[i] == labels[j]) continue;
            const float x = labels[i] ? scores[i] - scores[j] : scores[j] - scores[i];
            v[i] += x > 0 ? 1 : x < 0 ? 0 : 0.5;
        }
        v[i] /= rows[!labels[i]];
        sum[labels[i]] += v[i];
    }
    for (size_t i = 0; i < n; i++)
        square[labels[i]] += pow(v[i] - sum[labels[i]] / rows[labels[i]], 2);
    for (size_t side = 0; side < 2; side++)
        error += square[side] / (rows[side] - 1) / rows[side];
    return sqrt(error);
}

START_TEST(errors_are_enclosed) {
    static struct made m;
    srand(11);
    for (int k = 0; k < 6; k++) {
        make_rows(&m, k % 2 ? 10 : 3, pow(10, k / 2), k == 3 ? 8 : 0);
        struct gr_accumulator *a = binned(m.scores, m.labels, NULL, N);
        const struct gr_metric_value v = gr_accumulator_auc_error(a);
        const double exact = error_by_pairs(m.scores, m.labels, N);
        ck_assert_msg(v.lower <= exact && exact <= v.upper, "%d: %.9f to %.9f, expected %.9f", k,
                      v.lower, v.upper, exact);
        ck_assert_double_lt(v.upper - v.lower, 1e-3);
        gr_accumulator_free(a);
    }
}
END_TEST

/* ---- calibration ------------------------------------------------------------------------------
 */

static void fit_alone(struct gr_accumulator *a) {
    size_t n;
    do
        (void)gr_accumulator_fit(a, a, &n);
    while (n > 0);
}

/*
 * Plain Newton's method on all rows, from a line of slope 0, in centred scores. slope NAN: with
 * slope 1, and the intercept is returned.
 */
static double fit_by_rows(const struct made *m, bool weighted, bool with_slope) {
    double mean = 0, spread = 0, a = 0, b = with_slope ? 0 : 1;
    for (size_t i = 0; i < N; i++)
        mean += with_slope ? (double)m->scores[i] / N : 0;
    for (size_t i = 0; i < N; i++)
        spread += pow((double)m->scores[i] - mean, 2) / N;
    spread = with_slope ? sqrt(spread) : 1;
    for (int round = 0; round < 60; round++) {
        long double g[2] = {0}, h[3] = {0};
        for (size_t i = 0; i < N; i++) {
            const double z = ((double)m->scores[i] - mean) / spread, p = 1 / (1 + exp(-a - b * z));
            const double w = weighted ? (double)m->weights[i] : 1;
            g[0] += w * (m->labels[i] - p);
            g[1] += w * (m->labels[i] - p) * z;
            h[0] += w * p * (1 - p);
            h[1] += w * p * (1 - p) * z;
            h[2] += w * p * (1 - p) * z * z;
        }
        if (!with_slope) {
            a += (double)(g[0] / h[0]);
            continue;
        }
        const long double d = h[0] * h[2] - h[1] * h[1];
        a += (double)((h[2] * g[0] - h[1] * g[1]) / d);
        b += (double)((h[0] * g[1] - h[1] * g[0]) / d);
    }
    return with_slope ? b / spread : a;
}

START_TEST(calibrations_are_exact) {
    static struct made m;
    srand(13);
    for (int k = 0; k < 8; k++) {
        const bool weighted = k % 2;
        make_rows(&m, k < 4 ? 3 : 20, pow(10, k / 2 - 2), 0);
        struct gr_accumulator *a = binned(m.scores, m.labels, weighted ? m.weights : NULL, N);
        fit_alone(a);
        const struct gr_metric_value slope = gr_accumulator_metric(a, METRIC(calibration_slope));
        const struct gr_metric_value shift =
            gr_accumulator_metric(a, METRIC(calibration_intercept));
        const double line = fit_by_rows(&m, weighted, true);
        const double intercept = fit_by_rows(&m, weighted, false);
        ck_assert_msg(fabs(slope.value - line) <= 1e-10 * fabs(line),
                      "%d: %.15g, expected %.15g (%s)", k, slope.value, line, slope.why);
        ck_assert_msg(fabs(shift.value - intercept) <= 1e-10 * (1 + fabs(intercept)),
                      "%d: %.15g, expected %.15g", k, shift.value, intercept);
        gr_accumulator_free(a);
    }
}
END_TEST

/* n integers of each of the processes become their sums. */
static void add_up(int64_t **of_process, size_t processes, size_t n) {
    for (size_t i = 0; i < n; i++) {
        int64_t sum = 0;
        for (size_t p = 0; p < processes; p++)
            sum += of_process[p][i];
        for (size_t p = 0; p < processes; p++)
            of_process[p][i] = sum;
    }
}

/* Rows dealt to seven processes give the bits of all rows in one. */
START_TEST(calibrations_add_up_anywhere) {
    enum { PROCESSES = 7 };
    static const char *const names[] = {"calibration_slope", "calibration_intercept",
                                        "hosmer_lemeshow", "average_precision"};
    static struct made m;
    struct gr_accumulator *rows[PROCESSES], *total[PROCESSES];
    int64_t *sums[PROCESSES];
    size_t n;
    make_rows(&m, 5, 2, 0);
    struct gr_accumulator *whole = binned(m.scores, m.labels, NULL, N);
    fit_alone(whole);
    for (size_t p = 0; p < PROCESSES; p++) {
        MUST(gr_accumulator_create(2, &rows[p]));
        MUST(gr_accumulator_create(2, &total[p]));
        for (size_t i = N - 1 - p; i < N; i -= PROCESSES) {
            const float logits[2] = {0, m.scores[i]};
            MUST(gr_accumulator_add_classes(rows[p], logits, m.labels + i, NULL, 1));
        }
        sums[p] = gr_accumulator_sums(total[p], &n);
        memcpy(sums[p], gr_accumulator_sums(rows[p], &n), n * sizeof **sums);
    }
    add_up(sums, PROCESSES, n);
    for (size_t p = 0; p < PROCESSES; p++) {
        gr_accumulator_bin(total[p], rows[p]);
        sums[p] = gr_accumulator_counts(total[p], &n);
    }
    add_up(sums, PROCESSES, n);
    for (size_t p = 0; p < PROCESSES; p++)
        gr_accumulator_drop_bounds(total[p]);
    gr_accumulator_drop_bounds(whole);
    for (int pass = 0; pass < GR_FIT_PASSES + 1; pass++) {
        for (size_t p = 0; p < PROCESSES; p++)
            sums[p] = gr_accumulator_fit(total[p], rows[p], &n);
        ck_assert((n > 0) == (pass < GR_FIT_PASSES));
        add_up(sums, PROCESSES, n);
    }
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        const double one = gr_accumulator_metric(whole, gr_metric_find(names[k])).value;
        ck_assert(isfinite(one));
        for (size_t p = 0; p < PROCESSES; p++)
            ck_assert(gr_accumulator_metric(total[p], gr_metric_find(names[k])).value == one);
    }
    for (size_t p = 0; p < PROCESSES; p++) {
        gr_accumulator_free(rows[p]);
        gr_accumulator_free(total[p]);
    }
    gr_accumulator_free(whole);
}
END_TEST

START_TEST(no_calibration) {
    static const int32_t labels[] = {0, 0, 1, 1}, mixed[] = {0, 1, 0, 1}, ones[] = {1, 1, 1, 1};
    static const char none[] = "no finite fit: the scores tell the classes apart, or nearly";
    static const struct {
        float scores[4];
        const int32_t *labels;
        const char *slope, *intercept;
    } cases[] = {
        {{-2, -1, 1, 2}, labels, none, ""},
        {{2, 1, -1, -2}, labels, none, ""},
        {{-2, 1, 1, 2}, labels, none, ""}, /* but for two that are equal */
        {{0.5f, 0.5f, 0.5f, 0.5f}, labels, "all scores are the same", ""},
        {{-2, -1, 1, 2}, ones, "one class only", "one class only"},
        {{-2, -1, 1, 2}, mixed, "", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gr_accumulator *a = binned(cases[i].scores, cases[i].labels, NULL, 4);
        if (cases[i].labels != ones)
            ck_assert_str_eq(why(a, METRIC(calibration_slope)),
                             "counted after the last round only");
        fit_alone(a);
        ck_assert_str_eq(why(a, METRIC(calibration_slope)), cases[i].slope);
        ck_assert_str_eq(why(a, METRIC(calibration_intercept)), cases[i].intercept);
        gr_accumulator_free(a);
    }
    /* Two digits beside withheld cells, and none of too few rows. */
    static struct made m;
    srand(17);
    make_rows(&m, 3, 2, 0);
    for (size_t n = 19; n <= 400; n += 381) {
        struct gr_accumulator *a = binned(m.scores, m.labels, NULL, n);
        fit_alone(a);
        const double exact = gr_accumulator_metric(a, METRIC(calibration_intercept)).value;
        ck_assert_str_eq(why(a, METRIC(calibration_intercept)), "");
        MUST(gr_accumulator_disclose(a, n == 400 ? 200 : 10, 4));
        const double told = gr_accumulator_metric(a, METRIC(calibration_intercept)).value;
        if (n == 400)
            ck_assert(told == gr_round_digits(exact, 2) && told != gr_round_digits(exact, 3));
        else
            ck_assert(isnan(told));
        gr_accumulator_free(a);
    }
}
END_TEST

/* ---- operating points -------------------------------------------------------------------------
 */

static double share(int64_t part, int64_t other) {
    return (double)part / (double)(part + other);
}

/* The best of all thresholds at rows' own scores, by counting: Youden's J. */
static double best_youden(const struct made *m, size_t n) {
    double best = 0;
    for (size_t i = 0; i < n; i++) {
        double found = 0, own = 0, rejected = 0, others = 0;
        for (size_t j = 0; j < n; j++) {
            const bool taken = m->scores[j] >= m->scores[i];
            own += m->labels[j];
            found += m->labels[j] && taken;
            others += !m->labels[j];
            rejected += !m->labels[j] && !taken;
        }
        best = fmax(best, found / own + rejected / others - 1);
    }
    return best;
}

START_TEST(points_are_chosen) {
    enum { FEW = 300 };
    static struct made m;
    struct gr_point_rule rule;
    int64_t n[GR_POINT_COUNTS];
    srand(19);
    make_rows(&m, 3, 2, 0);
    struct gr_accumulator *a = binned(m.scores, m.labels, NULL, FEW);
    ck_assert(gr_point_parse("youden", &rule));
    gr_accumulator_count_at(a, gr_accumulator_choose(a, rule, 0, 0), n);
    ck_assert_double_eq_tol(share(n[3], n[2]) + share(n[0], n[1]) - 1, best_youden(&m, FEW), 1e-12);
    for (double least = 0.05; least < 1.01; least += 0.05) {
        /* The next threshold up has too few of class 1; the next down too few of class 0. */
        int64_t next[GR_POINT_COUNTS];
        rule = (struct gr_point_rule){GR_POINT_SENSITIVITY, fmin(least, 1)};
        const double high = gr_accumulator_choose(a, rule, 0, 0);
        gr_accumulator_count_at(a, high, n);
        ck_assert_double_ge(share(n[3], n[2]), rule.least - 1e-9);
        double above = INFINITY, under = -INFINITY;
        for (size_t i = 0; i < FEW; i++)
            if ((double)m.scores[i] >= high) above = fmin(above, (double)m.scores[i]);
        gr_accumulator_count_at(a, nextafter(above, INFINITY), next);
        ck_assert(share(next[3], next[2]) < rule.least || next[3] == n[3]);
        rule.kind = GR_POINT_SPECIFICITY;
        const double low = gr_accumulator_choose(a, rule, 0, 0);
        gr_accumulator_count_at(a, low, n);
        ck_assert_double_ge(share(n[0], n[1]), rule.least - 1e-9);
        for (size_t i = 0; i < FEW; i++)
            if ((double)m.scores[i] < low) under = fmax(under, (double)m.scores[i]);
        gr_accumulator_count_at(a, under, next);
        ck_assert(share(next[0], next[1]) < rule.least);
    }
    gr_accumulator_free(a);
}
END_TEST

START_TEST(points_of_silos_hide_few_rows) {
    static struct made m;
    const struct gr_point_rule all = {GR_POINT_SENSITIVITY, 1}, none = {GR_POINT_SPECIFICITY, 1};
    const struct gr_point_rule half = {GR_POINT_SENSITIVITY, 0.5};
    int64_t n[GR_POINT_COUNTS];
    srand(23);
    make_rows(&m, 3, 1, 0);
    struct gr_accumulator *a = binned(m.scores, m.labels, NULL, 200);
    const double least = gr_accumulator_choose(a, all, 10, 4);
    if (!isnan(least)) {
        gr_accumulator_count_at(a, least, n);
        ck_assert_int_ge(n[0] + n[2], 10 * GR_WEIGHT_ONE);
    }
    ck_assert(isfinite(gr_accumulator_choose(a, all, 0, 0)));
    const double most = gr_accumulator_choose(a, none, 10, 4);
    if (!isnan(most)) {
        gr_accumulator_count_at(a, most, n);
        ck_assert_int_ge(n[1] + n[3], 10 * GR_WEIGHT_ONE);
    }
    const double middle = gr_accumulator_choose(a, half, 10, 4);
    ck_assert(middle == gr_round_digits(middle, 4));
    gr_accumulator_count_at(a, middle, n);
    const struct gr_operating_point told = gr_point_told(middle, n, 10, 4);
    const double step = gr_share_step((n[2] + n[3]) / GR_WEIGHT_ONE, 10);
    ck_assert_double_lt(step, 1);
    ck_assert_double_eq_tol(told.sensitivity / step, rint(told.sensitivity / step), 1e-9);
    const struct gr_operating_point exact = gr_point_told(middle, n, 0, 0);
    ck_assert_double_eq(exact.sensitivity, share(n[3], n[2]));
    ck_assert_double_eq(exact.specificity, share(n[0], n[1]));
    ck_assert_double_eq(exact.positive_predictive_value, share(n[3], n[1]));
    ck_assert_double_eq(exact.negative_predictive_value, share(n[0], n[2]));
    ck_assert_double_eq_tol(log(exact.threshold / (1 - exact.threshold)), middle, 1e-12);
    /* Of fewer rows than twice the threshold none is chosen. */
    gr_accumulator_free(a);
    a = binned(m.scores, m.labels, NULL, 19);
    ck_assert(isnan(gr_accumulator_choose(a, half, 10, 4)));
    gr_accumulator_free(a);
}
END_TEST

START_TEST(points_are_parsed) {
    static const char *const bad[] = {"",
                                      "Youden",
                                      "sensitivity",
                                      "auc=0.9",
                                      "sensitivity=",
                                      "sensitivity=0",
                                      "youden=1",
                                      "sensitivity=1.1",
                                      "specificity=nan",
                                      "sensitivity=-0.5",
                                      "specificity=0.9x"};
    struct gr_point_rule rule;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_msg(!gr_point_parse(bad[i], &rule), "%s", bad[i]);
    ck_assert(gr_point_parse("specificity=0.95", &rule));
    ck_assert(rule.kind == GR_POINT_SPECIFICITY && rule.least == 0.95);
    ck_assert(gr_point_parse("sensitivity=1", &rule));
    ck_assert(rule.kind == GR_POINT_SENSITIVITY && rule.least == 1);
}
END_TEST

/* ---- what is not defined ----------------------------------------------------------------------
 */

START_TEST(undefined) {
    static const float scores[] = {1, 2, 3}, weights[] = {1, 0.5f, 1}, none[] = {0, 0, 0};
    static const int32_t ones[] = {1, 1, 1}, zeros[] = {0, 0, 0}, both[] = {0, 1, 1};
    struct gr_accumulator *a = binned(scores, zeros, NULL, 3);
    ck_assert_str_eq(why(a, METRIC(sensitivity)), "one class only");
    ck_assert_str_eq(why(a, METRIC(negative_predictive_value)), "no row was taken for this class");
    ck_assert_str_eq(why(a, METRIC(average_precision)), "one class only");
    ck_assert_str_eq(gr_accumulator_auc_error(a).why, "one class only");
    ck_assert(isnan(gr_accumulator_auc_interval(a).lower));
    ck_assert(gr_accumulator_metric(a, METRIC(specificity)).value == 0);
    ck_assert(gr_accumulator_metric(a, METRIC(observed_expected)).value == 0);
    gr_accumulator_free(a);
    a = binned(scores, ones, NULL, 3);
    ck_assert_str_eq(why(a, METRIC(specificity)), "one class only");
    ck_assert_str_eq(why(a, METRIC(cohen_kappa)), "one class only");
    ck_assert(gr_accumulator_metric(a, METRIC(sensitivity)).value == 1);
    gr_accumulator_free(a);
    a = binned(scores, both, weights, 3);
    fit_alone(a);
    ck_assert_str_eq(why(a, METRIC(hosmer_lemeshow)), "not defined for rows with weights");
    ck_assert_str_eq(why(a, METRIC(hosmer_lemeshow_p)), "not defined for rows with weights");
    ck_assert_str_eq(gr_accumulator_auc_error(a).why, "not defined for rows with weights");
    gr_accumulator_free(a);
    a = binned(scores, both, NULL, 3);
    ck_assert_str_eq(gr_accumulator_auc_error(a).why, "fewer than two rows of a class");
    gr_accumulator_free(a);
    a = binned(scores, both, none, 3);
    ck_assert_str_eq(why(a, METRIC(sensitivity)), "all weights are 0");
    ck_assert(!gr_accumulator_has_decisions(a));
    gr_accumulator_free(a);
    MUST(gr_accumulator_create(3, &a));
    ck_assert_str_eq(why(a, METRIC(sensitivity)), "not a metric of this model");
    ck_assert_str_eq(why(a, METRIC(top_3_accuracy)), "not a metric of this model");
    ck_assert_str_eq(gr_accumulator_auc_error(a).why, "not a metric of this model");
    ck_assert(!gr_accumulator_has_decisions(a));
    gr_accumulator_free(a);
}
END_TEST

/* ---- decisions --------------------------------------------------------------------------------
 */

/* A p of exactly a threshold reaches it: log-odds 0 are p = 1 / 2, and none of the others' is one.
 */
START_TEST(thresholds_are_reached) {
    static const float scores[] = {0, 0, -3e38f, 40, -1, 1};
    static const int32_t labels[] = {1, 0, 0, 1, 0, 1};
    struct gr_accumulator *a = binned(scores, labels, NULL, 6);
    const struct gr_net_benefit half = gr_accumulator_net_benefit(a, 49);
    ck_assert_double_eq_tol(half.threshold, 0.5, 1e-15);
    ck_assert_double_eq_tol(half.model, (3.0 - 1) / 6, 1e-15);
    ck_assert_double_eq_tol(half.all, 0, 1e-15);
    const struct gr_net_benefit above = gr_accumulator_net_benefit(a, 50);
    ck_assert_double_eq_tol(above.model, 2.0 / 6, 1e-15);
    const struct gr_net_benefit last = gr_accumulator_net_benefit(a, GR_DECISIONS - 1);
    ck_assert_double_eq_tol(last.model, 1.0 / 6, 1e-15);
    ck_assert_double_eq_tol(last.all, 0.5 - 0.5 * 99, 1e-12);
    gr_accumulator_free(a);
}
END_TEST

/* ---- disclosure -------------------------------------------------------------------------------
 */

/* cells: of class 0 taken for 0 and 1, then of class 1. */
static struct gr_accumulator *of_cells(const int cells[4]) {
    struct gr_accumulator *a;
    MUST(gr_accumulator_create(2, &a));
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < cells[i]; k++) {
            const float logits[2] = {0, (i % 2 ? 1.0f : -1.0f) * (1 + (float)k / 64)};
            const int32_t label = i / 2;
            MUST(gr_accumulator_add_classes(a, logits, &label, NULL, 1));
        }
    gr_accumulator_bin(a, a);
    return a;
}

/* Of 2,000 rows 12 are of class 1: which two of them are missed is in no digit of a share of all.
 */
START_TEST(shares_of_few_rows_are_not_told) {
    static const int cells[] = {1900, 88, 2, 10}, wide[] = {1700, 88, 5, 207};
    struct gr_accumulator *a = of_cells(cells);
    ck_assert_double_eq_tol(gr_accumulator_metric(a, METRIC(sensitivity)).value, 10.0 / 12, 1e-15);
    MUST(gr_accumulator_disclose(a, 10, 4));
    static const char few[] = "too few rows: it would tell of fewer than data.disclosure_threshold";
    ck_assert_str_eq(why(a, METRIC(sensitivity)), few);
    ck_assert_str_eq(why(a, METRIC(average_precision)), few);
    /* Half of 12 rows is a step of the mean over both classes. */
    ck_assert_double_eq(gr_accumulator_metric(a, METRIC(balanced_accuracy)).value, 1);
    ck_assert_double_eq(gr_accumulator_metric(a, METRIC(specificity)).value, 0.96);
    ck_assert_double_eq(gr_accumulator_metric(a, METRIC(negative_predictive_value)).value, 1);
    ck_assert_double_eq(gr_accumulator_metric(a, METRIC(positive_predictive_value)).value, 0.2);
    gr_accumulator_free(a);
    /* 207 of 212, in steps of a twentieth; 1700 of 1788, of a hundredth. */
    a = of_cells(wide);
    MUST(gr_accumulator_disclose(a, 10, 4));
    ck_assert_double_eq(gr_accumulator_metric(a, METRIC(sensitivity)).value, 1);
    ck_assert_double_eq(gr_accumulator_metric(a, METRIC(specificity)).value, 0.95);
    gr_accumulator_free(a);
}
END_TEST

/* Thresholds next to each other tell no count of the rows between them. */
START_TEST(net_benefits_come_in_steps) {
    static const int cells[] = {300, 100, 50, 150};
    struct gr_accumulator *a = of_cells(cells);
    MUST(gr_accumulator_disclose(a, 10, 4));
    for (size_t i = 0; i < GR_DECISIONS; i++) {
        const double threshold = (double)(i + 1) / 100;
        const double odds = fmax(threshold / (1 - threshold), 1);
        const double step = gr_share_step((int64_t)(600 / odds), 10);
        const struct gr_net_benefit at = gr_accumulator_net_benefit(a, i);
        if (step >= 1)
            ck_assert(isnan(at.model) && isnan(at.all));
        else
            ck_assert_double_eq_tol(at.model / step, rint(at.model / step), 1e-9);
    }
    ck_assert(isnan(gr_accumulator_net_benefit(a, GR_DECISIONS - 1).model));
    ck_assert_double_eq_tol(gr_accumulator_net_benefit(a, 49).model, 0.08, 1e-12);
    gr_accumulator_free(a);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("two_classes");
    TCase *tests = tcase_create("two_classes");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, precisions_are_enclosed);
    tcase_add_test(tests, precisions_by_hand);
    tcase_add_test(tests, error_as_published);
    tcase_add_test(tests, errors_are_enclosed);
    tcase_add_test(tests, calibrations_are_exact);
    tcase_add_test(tests, calibrations_add_up_anywhere);
    tcase_add_test(tests, no_calibration);
    tcase_add_test(tests, points_are_chosen);
    tcase_add_test(tests, points_of_silos_hide_few_rows);
    tcase_add_test(tests, points_are_parsed);
    tcase_add_test(tests, undefined);
    tcase_add_test(tests, thresholds_are_reached);
    tcase_add_test(tests, shares_of_few_rows_are_not_told);
    tcase_add_test(tests, net_benefits_come_in_steps);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
