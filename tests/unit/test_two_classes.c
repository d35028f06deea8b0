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

/* ---- what is not defined ----------------------------------------------------------------------
 */

static const char *why(const struct gr_accumulator *a, unsigned metric) {
    const struct gr_metric_value v = gr_accumulator_metric(a, metric);
    ck_assert(!v.why || isnan(v.value));
    return v.why ? v.why : "";
}

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
