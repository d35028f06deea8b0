/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accumulators: metrics against scikit-learn's, the same bits however rows are dealt, what is not
 * defined, what must be refused, and all of it as JSON.
 */
#include <check.h>
#include <granary/evaluate.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sklearn_reference.h"

enum { ROWS = 400, CLASSES_MAX = 7 };

#define METRIC(name) gr_metric_find(#name)
#define MUST(call)   ck_assert_msg((call) == GR_OK, "%s", gr_message())

/* ---- rows as analysis/peers/reference_sklearn.py makes them ---------------------------------- */

struct rows {
    float logits[ROWS * CLASSES_MAX];
    int32_t labels[ROWS];
};

static const struct rows *make_rows(size_t classes, size_t absent) {
    static struct rows rows;
    for (size_t i = 0; i < ROWS; i++) {
        float *z = rows.logits + i * classes;
        size_t best = 0;
        for (size_t c = 0; c < classes; c++) {
            const size_t v = i * 37 + c * 101 + i * c * 13 + (i % 7) * (i % 11) * (c + 1);
            z[c] = ((float)(v % 211) - 105.0f) / 32.0f;
            if (c < classes - absent && z[c] > z[best]) best = c;
        }
        rows.labels[i] = (int32_t)(i % 5 < 3 ? best : (i * 7 + 3) % (classes - absent));
    }
    return &rows;
}

static struct gr_accumulator *accumulator_of(size_t classes, size_t absent) {
    const struct rows *rows = make_rows(classes, absent);
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(classes, &accumulator));
    MUST(gr_accumulator_add_classes(accumulator, rows->logits, rows->labels, NULL, ROWS));
    return accumulator;
}

/* ---- against scikit-learn -------------------------------------------------------------------- */

static const struct {
    size_t classes, absent;
    double accuracy, log_loss, balanced_accuracy, macro_f1, micro_f1, weighted_f1, cohen_kappa;
    double matthews, auc, average_precision, brier, calibration_error;
    const int *confusion;
    const double *reliability;
} known[] = {
#define KNOWN(classes, absent, name)                                                               \
    {                                                                                              \
        classes, absent, sklearn_##name##_accuracy, sklearn_##name##_log_loss,                     \
            sklearn_##name##_balanced_accuracy, sklearn_##name##_macro_f1,                         \
            sklearn_##name##_micro_f1, sklearn_##name##_weighted_f1, sklearn_##name##_cohen_kappa, \
            sklearn_##name##_matthews, sklearn_##name##_auc, sklearn_##name##_average_precision,   \
            sklearn_##name##_brier, sklearn_##name##_calibration_error,                            \
            sklearn_##name##_confusion, sklearn_##name##_reliability                               \
    }
    KNOWN(2, 0, two), KNOWN(4, 0, four), KNOWN(4, 1, absent)};

static void check_exact(const struct gr_accumulator *accumulator, unsigned metric,
                        double expected) {
    const struct gr_metric_value v = gr_accumulator_metric(accumulator, metric);
    ck_assert_msg(fabs(v.value - expected) <= 1e-12 * fabs(expected), "%s: %.17g, expected %.17g",
                  gr_metric_rows[metric].name, v.value, expected);
    ck_assert_ptr_null(v.why);
    ck_assert(v.lower == v.value && v.upper == v.value);
}

/* Of rows without weights, with a sum of losses in units of 2^-20. */
#define SCORE(rows, right, units)                                                                  \
    { (rows), (right)*GR_WEIGHT_ONE, {[2] = (units)}, (rows)*GR_WEIGHT_ONE }

START_TEST(classes_against_sklearn) {
    struct gr_accumulator *accumulator = accumulator_of(known[_i].classes, known[_i].absent);
    check_exact(accumulator, METRIC(accuracy), known[_i].accuracy);
    check_exact(accumulator, METRIC(log_loss), known[_i].log_loss);
    check_exact(accumulator, METRIC(balanced_accuracy), known[_i].balanced_accuracy);
    check_exact(accumulator, METRIC(macro_f1), known[_i].macro_f1);
    check_exact(accumulator, METRIC(micro_f1), known[_i].micro_f1);
    check_exact(accumulator, METRIC(weighted_f1), known[_i].weighted_f1);
    check_exact(accumulator, METRIC(cohen_kappa), known[_i].cohen_kappa);
    check_exact(accumulator, METRIC(matthews), known[_i].matthews);
    check_exact(accumulator, METRIC(brier), known[_i].brier);
    check_exact(accumulator, METRIC(calibration_error), known[_i].calibration_error);
    gr_accumulator_free(accumulator);
}
END_TEST

START_TEST(two_classes_against_sklearn) {
    static const struct {
        size_t at;
        double value;
    } benefits[] = {
        {10, sklearn_net_benefit_10}, {35, sklearn_net_benefit_35}, {80, sklearn_net_benefit_80}};
    struct gr_accumulator *accumulator = accumulator_of(2, 0);
    check_exact(accumulator, METRIC(sensitivity), sklearn_sensitivity);
    check_exact(accumulator, METRIC(specificity), sklearn_specificity);
    check_exact(accumulator, METRIC(positive_predictive_value), sklearn_positive_predictive_value);
    check_exact(accumulator, METRIC(negative_predictive_value), sklearn_negative_predictive_value);
    check_exact(accumulator, METRIC(observed_expected), sklearn_observed_expected);
    ck_assert(gr_accumulator_has_decisions(accumulator));
    for (size_t i = 0; i < 3; i++) {
        const struct gr_net_benefit b = gr_accumulator_net_benefit(accumulator, benefits[i].at - 1);
        ck_assert_double_eq_tol(b.threshold, (double)benefits[i].at / 100, 1e-15);
        ck_assert_double_eq_tol(b.model, benefits[i].value, 1e-12);
    }
    gr_accumulator_free(accumulator);
    accumulator = accumulator_of(7, 0);
    check_exact(accumulator, METRIC(top_3_accuracy), sklearn_top_3_accuracy);
    check_exact(accumulator, METRIC(top_5_accuracy), sklearn_top_5_accuracy);
    gr_accumulator_free(accumulator);
}
END_TEST

/* Rows of class 1, all of them or the ninth of them that the script leaves. */
static struct gr_accumulator *fitted(bool steep) {
    const struct rows *rows = make_rows(2, 0);
    struct gr_accumulator *accumulator;
    size_t n;
    MUST(gr_accumulator_create(2, &accumulator));
    for (size_t i = 0; i < ROWS; i++) {
        const int32_t label = steep && i % 9 != 0 ? 0 : rows->labels[i];
        MUST(gr_accumulator_add_classes(accumulator, rows->logits + 2 * i, &label, NULL, 1));
    }
    gr_accumulator_bin(accumulator, accumulator);
    do
        (void)gr_accumulator_fit(accumulator, accumulator, &n);
    while (n > 0);
    return accumulator;
}

static void check_near(const struct gr_accumulator *accumulator, unsigned metric, double expected) {
    const struct gr_metric_value v = gr_accumulator_metric(accumulator, metric);
    ck_assert_msg(fabs(v.value - expected) <= 1e-10 * fabs(expected), "%s: %.17g, expected %.17g",
                  gr_metric_rows[metric].name, v.value, expected);
}

START_TEST(calibration_against_statsmodels) {
    struct gr_accumulator *accumulator = fitted(false);
    check_near(accumulator, METRIC(calibration_slope), sklearn_calibration_slope);
    check_near(accumulator, METRIC(calibration_intercept), sklearn_calibration_intercept);
    check_near(accumulator, METRIC(hosmer_lemeshow), sklearn_hosmer_lemeshow);
    check_near(accumulator, METRIC(hosmer_lemeshow_p), sklearn_hosmer_lemeshow_p);
    gr_accumulator_free(accumulator);
    accumulator = fitted(true);
    check_near(accumulator, METRIC(calibration_slope), sklearn_calibration_slope_steep);
    check_near(accumulator, METRIC(calibration_intercept), sklearn_calibration_intercept_steep);
    check_near(accumulator, METRIC(hosmer_lemeshow), sklearn_hosmer_lemeshow_steep);
    check_near(accumulator, METRIC(hosmer_lemeshow_p), sklearn_hosmer_lemeshow_p_steep);
    gr_accumulator_free(accumulator);
}
END_TEST

START_TEST(precision_is_enclosed) {
    struct gr_accumulator *accumulator = accumulator_of(known[_i].classes, known[_i].absent);
    gr_accumulator_bin(accumulator, accumulator);
    const struct gr_metric_value v = gr_accumulator_metric(accumulator, METRIC(average_precision));
    ck_assert(v.lower - 1e-13 <= known[_i].average_precision &&
              known[_i].average_precision <= v.upper + 1e-13);
    ck_assert_double_lt(v.upper - v.lower, 0.01);
    gr_accumulator_free(accumulator);
}
END_TEST

START_TEST(auc_is_enclosed) {
    struct gr_accumulator *accumulator = accumulator_of(known[_i].classes, known[_i].absent);
    gr_accumulator_bin(accumulator, accumulator);
    const struct gr_metric_value v = gr_accumulator_metric(accumulator, METRIC(auc));
    ck_assert(v.lower - 1e-13 <= known[_i].auc && known[_i].auc <= v.upper + 1e-13);
    /* These rows have ties: of two classes true ones are told from scores that share a bin. */
    ck_assert(known[_i].classes == 2 || v.lower < v.upper);
    ck_assert_double_lt(v.upper - v.lower, 0.01);
    ck_assert_double_eq_tol(v.value, known[_i].auc, 0.002);
    gr_accumulator_free(accumulator);
}
END_TEST

START_TEST(tables_against_sklearn) {
    const size_t classes = known[_i].classes;
    struct gr_accumulator *accumulator = accumulator_of(classes, known[_i].absent);
    for (size_t i = 0; i < classes * classes; i++)
        ck_assert_double_eq(gr_accumulator_confusion(accumulator, i / classes, i % classes),
                            known[_i].confusion[i]);
    for (size_t i = 0; i < GR_RELIABILITY_BINS; i++) {
        const struct gr_reliability bin = gr_accumulator_reliability(accumulator, i);
        const double *expected = known[_i].reliability + 3 * i;
        ck_assert_double_eq_tol(bin.to, (double)(i + 1) / 15, 1e-15);
        ck_assert(bin.from == (double)i / 15);
        ck_assert_int_eq(bin.rows, (int64_t)expected[0]);
        if (bin.rows == 0) {
            ck_assert(isnan(bin.mean_score) && isnan(bin.fraction));
            continue;
        }
        ck_assert_double_eq_tol(bin.mean_score, expected[1], 1e-12);
        ck_assert_double_eq_tol(bin.fraction, expected[2], 1e-12);
    }
    gr_accumulator_free(accumulator);
}
END_TEST

static struct gr_accumulator *numbers(float shift) {
    float predictions[ROWS], targets[ROWS];
    struct gr_accumulator *accumulator;
    for (size_t i = 0; i < ROWS; i++) {
        targets[i] = (float)((i * 29) % 11) + shift;
        predictions[i] = targets[i] * 0.75f + (float)((i * 53) % 97 + 1) / 64.0f;
    }
    MUST(gr_accumulator_create(0, &accumulator));
    MUST(gr_accumulator_add_numbers(accumulator, predictions, targets, NULL, ROWS));
    return accumulator;
}

START_TEST(numbers_against_sklearn) {
    struct gr_accumulator *accumulator = numbers(0);
    check_exact(accumulator, METRIC(mse), sklearn_mse);
    check_exact(accumulator, METRIC(mae), sklearn_mae);
    check_exact(accumulator, METRIC(r2), sklearn_r2);
    check_exact(accumulator, METRIC(poisson_deviance), sklearn_poisson_deviance);
    ck_assert_int_eq(gr_accumulator_rows(accumulator), ROWS);
    gr_accumulator_free(accumulator);
}
END_TEST

/* ---- the same bits however dealt ------------------------------------------------------------- */

/* Rows dealt one by one to seven accumulators, the last first; their sums added in another order.
 */
START_TEST(rows_add_up_anywhere) {
    enum { PARTS = 7 };
    const size_t classes = known[_i].classes;
    struct gr_accumulator *whole = accumulator_of(classes, known[_i].absent), *part[PARTS];
    const struct rows *rows = make_rows(classes, known[_i].absent);
    size_t n, same;
    for (size_t p = 0; p < PARTS; p++)
        MUST(gr_accumulator_create(classes, &part[p]));
    for (size_t i = ROWS; i-- > 0;)
        MUST(gr_accumulator_add_classes(part[i * i % PARTS], rows->logits + i * classes,
                                        rows->labels + i, NULL, 1));
    int64_t *sums = gr_accumulator_sums(part[3], &n);
    for (size_t p = 0; p < PARTS; p++) {
        const int64_t *more = gr_accumulator_sums(part[p], &same);
        ck_assert_uint_eq(n, same);
        for (size_t i = 0; i < n && p != 3; i++)
            sums[i] += more[i];
    }
    ck_assert_mem_eq(sums, gr_accumulator_sums(whole, &same), n * sizeof *sums);
    /* Without what the AUC needs: the same sums, as far as they go. */
    gr_accumulator_clear(whole, false);
    ck_assert_int_eq(gr_accumulator_rows(whole), 0);
    MUST(gr_accumulator_add_classes(whole, rows->logits, rows->labels, NULL, ROWS));
    const int64_t *fewer = gr_accumulator_sums(whole, &same);
    ck_assert_uint_lt(same, 200); /* no bins */
    ck_assert_mem_eq(sums, fewer, same * sizeof *fewer);
    ck_assert_str_eq(gr_accumulator_metric(whole, METRIC(auc)).why,
                     "counted after the last round only");
    check_exact(whole, METRIC(macro_f1), known[_i].macro_f1);
    gr_accumulator_clear(whole, true);
    MUST(gr_accumulator_add_classes(whole, rows->logits, rows->labels, NULL, ROWS));
    ck_assert_mem_eq(sums, gr_accumulator_sums(whole, &same), n * sizeof *sums);
    ck_assert_uint_eq(same, n);
    for (size_t p = 0; p < PARTS; p++)
        gr_accumulator_free(part[p]);
    gr_accumulator_free(whole);
}
END_TEST

/* ---- the bounds of the area ------------------------------------------------------------------ */

static double value_of(const float *scores, const int32_t *labels, size_t n, double *lower,
                       double *upper) {
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(2, &accumulator));
    for (size_t i = 0; i < n; i++) {
        const float logits[2] = {0, scores[i]};
        MUST(gr_accumulator_add_classes(accumulator, logits, labels + i, NULL, 1));
    }
    gr_accumulator_bin(accumulator, accumulator);
    const struct gr_metric_value v = gr_accumulator_metric(accumulator, METRIC(auc));
    gr_accumulator_free(accumulator);
    *lower = v.lower;
    *upper = v.upper;
    return v.value;
}

START_TEST(areas_by_hand) {
    static const int32_t labels[] = {0, 0, 1, 1};
    static const struct {
        float scores[4];
        double lower, value, upper;
    } cases[] = {
        {{-2, -1, 1, 2}, 1, 1, 1},
        {{1, 2, -2, -1}, 0, 0, 0},
        {{-1, 1, -0.5f, 2}, 0.75, 0.75, 0.75},
        {{3, 3, 3, 3}, 0.5, 0.5, 0.5}, /* ties */
        {{-1, 1, 1, 2}, 0.875, 0.875, 0.875},
        /* Nearer to each other than bins around even odds would be, and all of them rare events. */
        {{-7.00002f, -7.00001f, -6.99999f, -6.99998f}, 1, 1, 1},
        {{0.300003f, 0.300002f, 0.300001f, 0.3f}, 0, 0, 0},
        /* So far out that p is 0 or 1 in every float; the order of the logits still counts. */
        {{-3e38f, 100, 90, 3e38f}, 0.75, 0.75, 0.75},
        /* Told apart by none: there is no value, but what encloses it. */
        {{-800, 700, 700.1f, 1e30f}, 0.75, NAN, 1},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        double lower, upper;
        const double value = value_of(cases[i].scores, labels, 4, &lower, &upper);
        ck_assert(value == cases[i].value || (isnan(value) && isnan(cases[i].value)));
        ck_assert(lower == cases[i].lower && upper == cases[i].upper);
    }
}
END_TEST

/* Random scores: the area from all pairs lies within the bounds, which are narrow. */
START_TEST(areas_are_enclosed) {
    enum { N = 3000 };
    static float scores[N];
    static int32_t labels[N];
    srand(5);
    for (int spread = 1; spread <= 1000; spread *= 10) {
        double higher = 0, pairs = 0, lower, upper;
        for (size_t i = 0; i < N; i++) {
            labels[i] = rand() % 3 == 0;
            scores[i] = (float)spread * ((float)(rand() - rand()) / (float)RAND_MAX) +
                        (float)(labels[i] * spread) * 0.5f;
        }
        for (size_t i = 0; i < N; i++)
            for (size_t j = 0; j < N && labels[i]; j++) {
                if (labels[j]) continue;
                pairs++;
                higher += scores[i] > scores[j] ? 1 : scores[i] >= scores[j] ? 0.5 : 0;
            }
        (void)value_of(scores, labels, N, &lower, &upper);
        ck_assert(lower <= higher / pairs && higher / pairs <= upper);
        if (spread <= 10) ck_assert_double_lt(upper - lower, 0.005);
    }
}
END_TEST

/* ---- what is not defined ----------------------------------------------------------------------
 */

static void check_undefined(const struct gr_accumulator *accumulator, unsigned metric,
                            const char *why) {
    const struct gr_metric_value v = gr_accumulator_metric(accumulator, metric);
    ck_assert(isnan(v.value) && isnan(v.lower) && isnan(v.upper));
    ck_assert_str_eq(v.why, why);
}

START_TEST(undefined) {
    static const float logits[] = {1, 2, 3, -1};
    static const int32_t ones[] = {1, 1};
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(2, &accumulator));
    for (unsigned m = 0; m < METRIC(mse); m++)
        check_undefined(accumulator, m,
                        gr_metric_fits(m, 2) ? "no rows" : "not a metric of this model");
    check_undefined(accumulator, METRIC(mse), "not a metric of this model");
    MUST(gr_accumulator_add_classes(accumulator, logits, ones, NULL, 2));
    check_undefined(accumulator, METRIC(auc), "one class only");
    check_undefined(accumulator, METRIC(matthews), "one class only");
    check_exact(accumulator, METRIC(balanced_accuracy), 0.5);
    gr_accumulator_free(accumulator);
    MUST(gr_accumulator_create(0, &accumulator));
    for (unsigned m = METRIC(mse); m < gr_metric_count; m++)
        check_undefined(accumulator, m, "no rows");
    check_undefined(accumulator, METRIC(auc), "not a metric of this model");
    static const float same[] = {0.1f, 0.1f, 0.1f}, guesses[] = {1, 0, 2};
    MUST(gr_accumulator_add_numbers(accumulator, guesses, same, NULL, 3));
    check_undefined(accumulator, METRIC(r2), "all targets are the same");
    check_undefined(accumulator, METRIC(poisson_deviance),
                    "a target is below 0, or a prediction not above 0");
    ck_assert(gr_accumulator_metric(accumulator, METRIC(mae)).value > 0);
    gr_accumulator_free(accumulator);
}
END_TEST

START_TEST(one_class_and_many) {
    static float logits[101] = {[100] = 3};
    static const int32_t zero = 0, last = 100;
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(1, &accumulator));
    MUST(gr_accumulator_add_classes(accumulator, logits + 100, &zero, NULL, 1));
    check_exact(accumulator, METRIC(accuracy), 1);
    check_exact(accumulator, METRIC(log_loss), 0);
    check_undefined(accumulator, METRIC(auc), "one class only");
    gr_accumulator_free(accumulator);
    MUST(gr_accumulator_create(101, &accumulator));
    size_t n;
    (void)gr_accumulator_sums(accumulator, &n);
    ck_assert_uint_lt(n, 101 * 5); /* no table of 101 x 101 */
    MUST(gr_accumulator_add_classes(accumulator, logits, &last, NULL, 1));
    check_exact(accumulator, METRIC(macro_f1), 1);
    check_undefined(accumulator, METRIC(auc), "more than 100 classes");
    gr_accumulator_free(accumulator);
}
END_TEST

/* ---- what is refused ------------------------------------------------------------------------- */

START_TEST(refused) {
    static const float bad[] = {NAN, INFINITY, -INFINITY};
    static const int32_t zero = 0;
    struct gr_accumulator *accumulator;
    for (size_t i = 0; i < 3; i++)
        for (size_t at = 0; at < 3; at++) {
            float logits[3] = {1, 2, 3};
            logits[at] = bad[i];
            MUST(gr_accumulator_create(3, &accumulator));
            ck_assert_int_eq(gr_accumulator_add_classes(accumulator, logits, &zero, NULL, 1),
                             GR_ERROR_DATA);
            gr_accumulator_free(accumulator);
        }
    for (size_t i = 0; i < 4; i++) {
        const float value = i < 3 ? bad[i] : 1e11f, one = 1;
        MUST(gr_accumulator_create(0, &accumulator));
        ck_assert_int_eq(gr_accumulator_add_numbers(accumulator, &value, &one, NULL, 1),
                         GR_ERROR_DATA);
        ck_assert_int_eq(gr_accumulator_add_numbers(accumulator, &one, &value, NULL, 1),
                         GR_ERROR_DATA);
        gr_accumulator_free(accumulator);
    }
    /* A loss of 6e38 nats would spoil the sum. */
    static const float far[] = {-3e38f, 3e38f};
    MUST(gr_accumulator_create(2, &accumulator));
    ck_assert_int_eq(gr_accumulator_add_classes(accumulator, far, &zero, NULL, 1), GR_ERROR_DATA);
    gr_accumulator_free(accumulator);
}
END_TEST

/* Large numbers far from zero: their spread is still told. */
START_TEST(numbers_far_from_zero) {
    struct gr_accumulator *accumulator = numbers(65536);
    const double mean_square = 65536.0 * 65536;
    ck_assert(gr_accumulator_metric(accumulator, METRIC(r2)).value < 0);
    ck_assert_double_eq_tol(gr_accumulator_metric(accumulator, METRIC(mse)).value / mean_square,
                            0.0625, 1e-3);
    gr_accumulator_free(accumulator);
}
END_TEST

/* ---- as text --------------------------------------------------------------------------------- */

static json_t *json_of(const struct gr_evaluation *evaluation) {
    char *text;
    MUST(gr_evaluation_to_json(evaluation, &text));
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(json);
    gr_free(text);
    return json;
}

static double real_at(const json_t *json, const char *key) {
    return json_number_value(json_object_get(json, key));
}

START_TEST(as_json) {
    static const struct gr_score silos[] = {SCORE(20, 15, 20 << 20), {0}, SCORE(10, 1, 5 << 20)};
    struct gr_evaluation e = {.round = 7,
                              .rows_of = "validation",
                              .accumulator = accumulator_of(4, 1),
                              .silos = silos,
                              .n_silos = 3};
    json_t *json = json_of(&e);
    const json_t *metrics = json_object_get(json, "metrics");
    const json_t *area = json_object_get(metrics, "auc");
    const struct gr_metric_value v = gr_accumulator_metric(e.accumulator, METRIC(auc));
    ck_assert_int_eq(json_integer_value(json_object_get(json, "round")), 7);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "rows")), ROWS);
    ck_assert_str_eq(json_string_value(json_object_get(json, "rows_of")), "validation");
    ck_assert_uint_eq(json_object_size(metrics), 13);
    ck_assert(real_at(area, "value") == v.value && real_at(area, "lower") == v.lower &&
              real_at(area, "upper") == v.upper);
    const json_t *confusion = json_object_get(json, "confusion");
    ck_assert_int_eq(json_integer_value(json_object_get(confusion, "classes")), 4);
    for (size_t i = 0; i < 16; i++)
        ck_assert_int_eq(json_integer_value(json_array_get(
                             json_array_get(json_object_get(confusion, "counts"), i / 4), i % 4)),
                         sklearn_absent_confusion[i]);
    const json_t *bins = json_object_get(json_object_get(json, "reliability"), "bins");
    ck_assert_uint_eq(json_array_size(bins), GR_RELIABILITY_BINS);
    ck_assert(json_is_null(json_object_get(json_array_get(bins, 0), "mean_score")));
    ck_assert_double_eq_tol(real_at(json_array_get(bins, 14), "fraction"),
                            sklearn_absent_reliability[44], 1e-12);
    const json_t *told = json_object_get(json, "silos");
    ck_assert_uint_eq(json_array_size(told), 2);
    const json_t *third = json_array_get(told, 1);
    ck_assert_str_eq(json_string_value(json_object_get(third, "silo")), "silo-002");
    ck_assert(real_at(third, "rows") == 10 && real_at(third, "loss") == 0.5 &&
              real_at(third, "accuracy") == 0.1);
    json_decref(json);
    gr_accumulator_free((struct gr_accumulator *)(uintptr_t)e.accumulator);
}
END_TEST

/* A silo's metrics told as integers say what its accumulator says, and why not. */
START_TEST(a_silo_s_metrics) {
    static const float logits[] = {1, 2};
    static const int32_t one = 1;
    static const struct gr_score silos[] = {SCORE(ROWS, 0, 0), SCORE(1, 1, 0), SCORE(3, 3, 0)};
    struct gr_silo_metrics metrics[3] = {{0}};
    struct gr_accumulator *accumulator = accumulator_of(2, 0), *small;
    MUST(gr_accumulator_create(2, &small));
    MUST(gr_accumulator_add_classes(small, logits, &one, NULL, 1));
    gr_silo_metrics_take(accumulator, &metrics[0]);
    gr_silo_metrics_take(small, &metrics[1]);
    json_t *json = json_of(&(struct gr_evaluation){.rows_of = "test",
                                                   .accumulator = accumulator,
                                                   .silos = silos,
                                                   .n_silos = 3,
                                                   .silo_metrics = metrics});
    const json_t *told = json_object_get(json, "silos");
    /* All rows are the first silo's. */
    ck_assert(json_equal(json_object_get(json_array_get(told, 0), "metrics"),
                         json_object_get(json, "metrics")));
    const json_t *area =
        json_object_get(json_object_get(json_array_get(told, 1), "metrics"), "auc");
    ck_assert(json_is_null(json_object_get(area, "value")));
    ck_assert_str_eq(json_string_value(json_object_get(area, "why")), "one class only");
    ck_assert_ptr_null(json_object_get(json_array_get(told, 2), "metrics"));
    json_decref(json);
    /* Accumulators add up as rows do. */
    MUST(gr_accumulator_add(small, accumulator));
    gr_accumulator_bin(small, small);
    ck_assert_int_eq(gr_accumulator_rows(small), ROWS + 1);
    ck_assert(gr_accumulator_metric(small, METRIC(auc)).value > 0.5);
    gr_accumulator_free(small);
    gr_accumulator_free(accumulator);
}
END_TEST

/* What encloses the area of scores that are not told apart, as text and of a silo. */
START_TEST(bounds_without_a_value) {
    static const float logits[] = {0, -800, 0, 700, 0, 700.1f, 0, 1e30f};
    static const int32_t labels[] = {0, 0, 1, 1};
    static const struct gr_score silos[] = {SCORE(4, 0, 0)};
    struct gr_silo_metrics metrics = {0};
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(2, &accumulator));
    MUST(gr_accumulator_add_classes(accumulator, logits, labels, NULL, 4));
    gr_accumulator_bin(accumulator, accumulator);
    gr_silo_metrics_take(accumulator, &metrics);
    json_t *json = json_of(&(struct gr_evaluation){.rows_of = "test",
                                                   .accumulator = accumulator,
                                                   .silos = silos,
                                                   .n_silos = 1,
                                                   .silo_metrics = &metrics});
    const json_t *area = json_object_get(json_object_get(json, "metrics"), "auc");
    const json_t *silo = json_array_get(json_object_get(json, "silos"), 0);
    ck_assert(json_is_null(json_object_get(area, "value")));
    ck_assert(real_at(area, "lower") == 0.75 && real_at(area, "upper") == 1);
    ck_assert_str_eq(json_string_value(json_object_get(area, "why")),
                     "scores too close to each other to be told apart");
    ck_assert(json_equal(area, json_object_get(json_object_get(silo, "metrics"), "auc")));
    json_decref(json);
    gr_accumulator_free(accumulator);
}
END_TEST

/*
 * Of rows that others may not know the bounds of a bin are told where it has both classes and rows
 * enough: 12 rows of one score, 2 of another, and one by itself.
 */
START_TEST(bounds_of_few_rows) {
    float logits[15 * 2] = {0};
    int32_t labels[15] = {0};
    struct gr_accumulator *accumulator;
    size_t n, told = 0;
    for (size_t i = 0; i < 15; i++) {
        logits[2 * i + 1] = i < 12 ? 1.25f : i < 14 ? -0.75f : 3.5f;
        labels[i] = i % 2 == 0;
    }
    MUST(gr_accumulator_create(2, &accumulator));
    MUST(gr_accumulator_add_classes(accumulator, logits, labels, NULL, 15));
    gr_accumulator_bin(accumulator, accumulator);
    const struct gr_metric_value all = gr_accumulator_metric(accumulator, METRIC(auc));
    ck_assert(all.lower >= all.upper && all.upper >= all.lower);
    gr_accumulator_withhold_bounds(accumulator, 10);
    const int64_t *bounds = gr_accumulator_bounds(accumulator, &n);
    for (size_t i = 0; i < n; i++)
        told += bounds[i] != INT64_MIN;
    ck_assert_uint_eq(told, 2); /* the least and the greatest of the twelve */
    /* The pair at -0.75, of 8 times 7, may be in either order. */
    const struct gr_metric_value few = gr_accumulator_metric(accumulator, METRIC(auc));
    ck_assert_double_eq_tol(few.upper - few.lower, 1.0 / 56, 1e-12);
    ck_assert_double_eq_tol((few.lower + few.upper) / 2, all.value, 1e-12);
    /* Nor those at 1.25, 6 times 6, where no bounds leave; and so it says. */
    gr_accumulator_drop_bounds(accumulator);
    const struct gr_metric_value none = gr_accumulator_metric(accumulator, METRIC(auc));
    ck_assert_double_eq_tol(none.upper - none.lower, 37.0 / 56, 1e-12);
    ck_assert(isnan(none.value));
    ck_assert_str_eq(none.why,
                     "scores too close to each other: secure sums do not tell which are equal");
    gr_accumulator_clear(accumulator, true);
    MUST(gr_accumulator_add_classes(accumulator, logits, labels, NULL, 15));
    gr_accumulator_bin(accumulator, accumulator);
    ck_assert_double_eq_tol(gr_accumulator_metric(accumulator, METRIC(auc)).value, all.value,
                            1e-12);
    gr_accumulator_free(accumulator);
}
END_TEST

/* Lowest, middle and highest of those that are told of. */
START_TEST(spread_of_scores) {
    static const struct gr_score silos[] = {SCORE(10, 5, 30 << 20),
                                            {0},
                                            SCORE(4, 4, 2 << 20),
                                            SCORE(8, 1, 16 << 20),
                                            SCORE(2, 1, 20 << 20)};
    double room[5], loss[3], accuracy[3];
    ck_assert_uint_eq(gr_scores_spread(silos, 5, room, loss, accuracy), 4);
    ck_assert(loss[0] == 0.5 && loss[1] == 3 && loss[2] == 10);
    ck_assert(accuracy[0] == 0.125 && accuracy[1] == 0.5 && accuracy[2] == 1);
    ck_assert_uint_eq(gr_scores_spread(silos + 1, 1, room, loss, accuracy), 0);
    ck_assert(isnan(loss[0]) && isnan(accuracy[2]));
}
END_TEST

/* Null, and why; never 0. */
START_TEST(undefined_as_json) {
    static const float logits[] = {1, 2};
    static const int32_t one = 1;
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(2, &accumulator));
    MUST(gr_accumulator_add_classes(accumulator, logits, &one, NULL, 1));
    json_t *json = json_of(&(struct gr_evaluation){.rows_of = "table", .accumulator = accumulator});
    const json_t *area = json_object_get(json_object_get(json, "metrics"), "auc");
    ck_assert(json_is_null(json_object_get(area, "value")));
    ck_assert_str_eq(json_string_value(json_object_get(area, "why")), "one class only");
    ck_assert_ptr_null(json_object_get(json, "round"));
    ck_assert_ptr_null(json_object_get(json, "silos"));
    json_decref(json);
    gr_accumulator_free(accumulator);
    accumulator = numbers(0);
    json = json_of(&(struct gr_evaluation){.rows_of = "table", .accumulator = accumulator});
    ck_assert_uint_eq(json_object_size(json_object_get(json, "metrics")), 4);
    ck_assert_ptr_null(json_object_get(json, "confusion"));
    ck_assert_ptr_null(json_object_get(json, "reliability"));
    json_decref(json);
    gr_accumulator_free(accumulator);
}
END_TEST

/* ---- disclosure control ---------------------------------------------------------------------- */

/* An accumulator whose confusion matrix has these cells. */
static struct gr_accumulator *with_cells(size_t classes, const int *cells, float weight) {
    struct gr_accumulator *accumulator;
    MUST(gr_accumulator_create(classes, &accumulator));
    for (size_t i = 0; i < classes * classes; i++) {
        float logits[CLASSES_MAX] = {0};
        const int32_t label = (int32_t)(i / classes);
        logits[i % classes] = 2;
        for (int k = 0; k < cells[i]; k++)
            MUST(gr_accumulator_add_classes(accumulator, logits, &label, &weight, 1));
    }
    return accumulator;
}

static bool withheld(const struct gr_accumulator *accumulator, size_t i, size_t j) {
    return isnan(gr_accumulator_confusion(accumulator, i, j));
}

/* Of a row (or column): cells withheld, and their rows. */
static void check_line(const struct gr_accumulator *accumulator, const int *cells, size_t classes,
                       size_t line, bool column, int threshold) {
    size_t n = 0;
    int sum = 0;
    for (size_t k = 0; k < classes; k++) {
        const size_t i = column ? k : line, j = column ? line : k;
        if (!withheld(accumulator, i, j)) continue;
        n++;
        sum += cells[i * classes + j];
    }
    ck_assert_uint_ne(n, 1);
    if (n > 0 && n < classes) ck_assert(sum >= threshold || sum == 0);
}

/* Closed form: no line has one withheld cell, and withheld cells of a line stand for as many rows
 * as the threshold, or are all of the line. */
START_TEST(small_cells_do_not_follow) {
    enum { THRESHOLD = 10 };
    unsigned seed = 1;
    for (int table = 0; table < 300; table++) {
        const size_t classes = 2 + (size_t)table % 3;
        int cells[CLASSES_MAX * CLASSES_MAX], n_withheld = 0, n_small = 0;
        for (size_t i = 0; i < classes * classes; i++) {
            seed = seed * 1103515245 + 12345;
            const int kind = (int)(seed >> 16) % 4;
            cells[i] = kind == 0 ? 0 : kind == 1 ? (int)(seed >> 20) % 12 : (int)(seed >> 20) % 90;
            n_small += cells[i] > 0 && cells[i] < THRESHOLD;
        }
        struct gr_accumulator *accumulator = with_cells(classes, cells, 1);
        MUST(gr_accumulator_disclose(accumulator, THRESHOLD, 0));
        for (size_t i = 0; i < classes * classes; i++) {
            const bool gone = withheld(accumulator, i / classes, i % classes);
            n_withheld += gone;
            if (cells[i] > 0 && cells[i] < THRESHOLD) ck_assert(gone);
            if (!gone)
                ck_assert_double_eq(gr_accumulator_confusion(accumulator, i / classes, i % classes),
                                    cells[i]);
        }
        if (n_small == 0) ck_assert_int_eq(n_withheld, 0);
        for (size_t line = 0; line < classes && n_small > 0; line++) {
            check_line(accumulator, cells, classes, line, false, THRESHOLD);
            check_line(accumulator, cells, classes, line, true, THRESHOLD);
        }
        gr_accumulator_free(accumulator);
    }
}
END_TEST

/* The metrics of a table of two classes, {right no, wrong yes, wrong no, right yes}, by their
 * definitions; NAN: not defined. */
enum { TOLD = 4 };
static void metrics_of(const double t[4], double out[TOLD]) {
    const double n = t[0] + t[1] + t[2] + t[3], no = t[0] + t[1], yes = t[2] + t[3];
    const double said_no = t[0] + t[2], said_yes = t[1] + t[3];
    const double classes = (no > 0) + (yes > 0), named = (no + said_no > 0) + (yes + said_yes > 0);
    out[0] = (t[0] + t[3]) / n;
    out[1] = ((no > 0 ? t[0] / no : 0) + (yes > 0 ? t[3] / yes : 0)) / classes;
    out[2] = ((no + said_no > 0 ? 2 * t[0] / (no + said_no) : 0) +
              (yes + said_yes > 0 ? 2 * t[3] / (yes + said_yes) : 0)) /
             named;
    out[3] = (t[0] * t[3] - t[1] * t[2]) / sqrt(no * yes * said_no * said_yes);
}

/* How far apart the told values of these four metrics are: a row of a small class moves a mean over
 * classes more. */
static void steps_of(const int cells[4], double out[TOLD]) {
    const double no = cells[0] + cells[1], yes = cells[2] + cells[3], n = no + yes;
    const double said_no = cells[0] + cells[2], said_yes = cells[1] + cells[3];
    const double spread = 4 * no * yes * said_no * said_yes / (n * n * n * n);
    const double basis[TOLD] = {n, 2 * fmin(no, yes), fmin(no + said_no, yes + said_yes),
                                n * sqrt(spread) / 2};
    for (size_t m = 0; m < TOLD; m++)
        out[m] = gr_share_step((int64_t)fmin(basis[m], n), 10);
}

/*
 * Closed form: of all tables of as many rows, those with which the told metrics agree differ in
 * each small cell by 4 at least. With four exact digits many a table is the only
 * one.
 */
START_TEST(withheld_cells_are_not_solved_for) {
    static const int tables[][4] = {{20, 3, 2, 5}, {30, 1, 4, 15}, {11, 2, 1, 16}, {40, 6, 3, 11}};
    const unsigned metric[TOLD] = {METRIC(accuracy), METRIC(balanced_accuracy), METRIC(macro_f1),
                                   METRIC(matthews)};
    for (size_t k = 0; k < sizeof tables / sizeof *tables; k++) {
        struct gr_accumulator *accumulator = with_cells(2, tables[k], 1);
        const int n = tables[k][0] + tables[k][1] + tables[k][2] + tables[k][3];
        double told[TOLD], step[TOLD], least[4], most[4];
        MUST(gr_accumulator_disclose(accumulator, 10, 4));
        steps_of(tables[k], step);
        for (size_t m = 0; m < TOLD; m++) {
            told[m] = gr_accumulator_metric(accumulator, metric[m]).value;
            ck_assert(isnan(told[m]) == (step[m] >= 1));
            /* Nothing is told but a multiple of the step: the range below is all that is known. */
            if (step[m] < 1)
                ck_assert_double_eq_tol(told[m] / step[m], rint(told[m] / step[m]), 1e-9);
        }
        for (size_t c = 0; c < 4; c++) {
            least[c] = n;
            most[c] = 0;
        }
        for (int a = 0; a <= n; a++)
            for (int b = 0; a + b <= n; b++)
                for (int c = 0; a + b + c <= n; c++) {
                    const double t[4] = {a, b, c, n - a - b - c};
                    double of[TOLD];
                    bool agrees = true;
                    metrics_of(t, of);
                    for (size_t m = 0; m < TOLD; m++)
                        agrees = agrees &&
                                 (isnan(told[m]) || fabs(of[m] - told[m]) <= step[m] / 2 + 1e-9);
                    for (size_t i = 0; agrees && i < 4; i++) {
                        least[i] = fmin(least[i], t[i]);
                        most[i] = fmax(most[i], t[i]);
                    }
                }
        for (size_t i = 0; i < 4; i++) {
            ck_assert_double_ge(tables[k][i], least[i]);
            ck_assert_double_le(tables[k][i], most[i]);
            if (tables[k][i] < 10) ck_assert_double_ge(most[i] - least[i], 4);
        }
        gr_accumulator_free(accumulator);
    }
}
END_TEST

START_TEST(steps_of_shares) {
    ck_assert_double_eq_tol(gr_share_step(200, 10), 0.05, 1e-15);
    ck_assert_double_eq_tol(gr_share_step(201, 10), 0.05, 1e-15);
    ck_assert_double_eq_tol(gr_share_step(199, 10), 0.1, 1e-15);
    ck_assert_double_eq_tol(gr_share_step(1000000, 10), 1e-5, 1e-18);
    ck_assert_double_eq_tol(gr_share_step(400000, 10), 5e-5, 1e-18);
    ck_assert_double_eq(gr_share_step(20, 10), 0.5);
    ck_assert_double_eq(gr_share_step(19, 10), 1);
    ck_assert_double_eq(gr_share_step(0, 10), 1);
    ck_assert_double_eq(gr_share_step(5, 1), 0);
    ck_assert_double_eq(gr_round_step(0.8222, 0.05), 0.8);
    ck_assert_double_eq(gr_round_step(-0.38, 0.05), -0.4);
    ck_assert_double_eq(gr_round_step(0.123456, 0), 0.123456);
    ck_assert(isnan(gr_round_step(0.5, 1)));
}
END_TEST

/* Closed form: 6 of 100 wrong are too few to be told, 10 are not, nor is none. */
START_TEST(an_accuracy_tells_no_few_errors) {
    struct gr_score score = {
        .examples = 100, .correct = 94 * GR_WEIGHT_ONE, .weight = 100 * GR_WEIGHT_ONE};
    ck_assert_double_eq(gr_score_accuracy_told(&score, 10), 0.9);
    score.correct = 90 * GR_WEIGHT_ONE;
    ck_assert_double_eq(gr_score_accuracy_told(&score, 10), 0.9);
    score.correct = 89 * GR_WEIGHT_ONE;
    ck_assert_double_eq(gr_score_accuracy_told(&score, 10), 0.89);
    score.correct = 100 * GR_WEIGHT_ONE;
    ck_assert_double_eq(gr_score_accuracy_told(&score, 10), 1);
    score.correct = 3 * GR_WEIGHT_ONE;
    ck_assert_double_eq(gr_score_accuracy_told(&score, 10), 0);
    ck_assert_double_eq(gr_score_accuracy_told(&score, 1), 0.03);
    score.weight /= 2; /* weights do not say how many rows they are of */
    score.correct = 20 * GR_WEIGHT_ONE;
    ck_assert_double_eq(gr_score_accuracy_told(&score, 10), 0.4);
}
END_TEST

START_TEST(weights_do_not_say_how_many) {
    static const int cells[] = {90, 20, 30, 80};
    struct gr_accumulator *accumulator = with_cells(2, cells, 0.5F);
    MUST(gr_accumulator_disclose(accumulator, 10, 0));
    for (size_t i = 0; i < 4; i++)
        ck_assert(withheld(accumulator, i / 2, i % 2));
    gr_accumulator_free(accumulator);
}
END_TEST

START_TEST(few_digits_and_small_bins) {
    struct gr_accumulator *accumulator = accumulator_of(2, 0);
    const double exact = gr_accumulator_metric(accumulator, METRIC(accuracy)).value;
    size_t small = 0, gone = 0, stepped = 0;
    double found[GR_RELIABILITY_BINS]; /* rows of the bin, with all digits */
    for (size_t b = 0; b < GR_RELIABILITY_BINS; b++) {
        const struct gr_reliability bin = gr_accumulator_reliability(accumulator, b);
        small += bin.rows > 0 && bin.rows < 30;
        found[b] = bin.rows > 0 ? bin.fraction * (double)bin.rows : 0;
    }
    MUST(gr_accumulator_disclose(accumulator, 30, 2));
    for (size_t b = 0; b < GR_RELIABILITY_BINS; b++) {
        const struct gr_reliability bin = gr_accumulator_reliability(accumulator, b);
        gone += bin.rows == GR_WITHHELD;
        if (bin.rows == GR_WITHHELD) ck_assert(isnan(bin.mean_score) && isnan(bin.fraction));
        if (bin.rows > 0) ck_assert_int_ge(bin.rows, 30);
        if (bin.rows <= 0) continue;
        /* Closed form: where fewer than 30 rows were right, or wrong, the share is in steps. */
        const double wrong = (double)bin.rows - found[b], step = gr_share_step(bin.rows, 30);
        if (!(found[b] > 0.5 && found[b] < 29.5) && !(wrong > 0.5 && wrong < 29.5)) continue;
        stepped++;
        if (step < 1)
            ck_assert_double_eq_tol(bin.fraction / step, rint(bin.fraction / step), 1e-9);
        else
            ck_assert(isnan(bin.fraction));
    }
    ck_assert_uint_gt(small, 0);
    ck_assert_uint_gt(stepped, 0);
    ck_assert_uint_ge(gone, small);
    ck_assert_uint_ge(gone, 2);
    const double told = gr_accumulator_metric(accumulator, METRIC(accuracy)).value;
    ck_assert_double_eq(told, rint(exact * 100) / 100);
    ck_assert_double_eq(gr_round_digits(0.0123456, 3), 0.0123);
    ck_assert_double_eq(gr_round_digits(-98765, 2), -99000);
    ck_assert_double_eq(gr_round_digits(1.0 / 3, 17), 1.0 / 3);
    json_t *json = json_of(&(struct gr_evaluation){.rows_of = "test", .accumulator = accumulator});
    const json_t *bins = json_object_get(json_object_get(json, "reliability"), "bins");
    size_t null = 0;
    for (size_t b = 0; b < json_array_size(bins); b++)
        null += json_is_null(json_object_get(json_array_get(bins, b), "n"));
    ck_assert_uint_eq(null, gone);
    json_decref(json);
    gr_accumulator_clear(accumulator, true);
    ck_assert_int_eq(gr_accumulator_reliability(accumulator, 0).rows, 0);
    gr_accumulator_free(accumulator);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("accumulator");
    TCase *tests = tcase_create("accumulator");
    const int cases = sizeof known / sizeof *known;
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tests, 30);
    tcase_add_loop_test(tests, classes_against_sklearn, 0, cases);
    tcase_add_test(tests, two_classes_against_sklearn);
    tcase_add_test(tests, calibration_against_statsmodels);
    tcase_add_loop_test(tests, precision_is_enclosed, 0, cases);
    tcase_add_loop_test(tests, auc_is_enclosed, 0, cases);
    tcase_add_loop_test(tests, tables_against_sklearn, 0, cases);
    tcase_add_test(tests, numbers_against_sklearn);
    tcase_add_loop_test(tests, rows_add_up_anywhere, 0, cases);
    tcase_add_test(tests, areas_by_hand);
    tcase_add_test(tests, areas_are_enclosed);
    tcase_add_test(tests, undefined);
    tcase_add_test(tests, one_class_and_many);
    tcase_add_test(tests, refused);
    tcase_add_test(tests, numbers_far_from_zero);
    tcase_add_test(tests, as_json);
    tcase_add_test(tests, a_silo_s_metrics);
    tcase_add_test(tests, bounds_without_a_value);
    tcase_add_test(tests, bounds_of_few_rows);
    tcase_add_test(tests, spread_of_scores);
    tcase_add_test(tests, undefined_as_json);
    tcase_add_test(tests, small_cells_do_not_follow);
    tcase_add_test(tests, withheld_cells_are_not_solved_for);
    tcase_add_test(tests, steps_of_shares);
    tcase_add_test(tests, an_accuracy_tells_no_few_errors);
    tcase_add_test(tests, weights_do_not_say_how_many);
    tcase_add_test(tests, few_digits_and_small_bins);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
