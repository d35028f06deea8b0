/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Recalibration: fits against Newton's method in another language and scikit-learn's isotonic
 * regression, on the same rows; the same bits however rows are dealt; what is not fitted, and why;
 * what is made of outputs; and the text of a model, also one that was made to harm.
 *
 * Reference values: Python 3.11 with math.fsum, 100 steps of Newton's method in double; groups of
 * bins in Python, pooled by sklearn.isotonic.IsotonicRegression 1.2.1; its LogisticRegression
 * without a penalty gives the same slope and intercept.
 */
#include <check.h>
#include <granary/metric.h>
#include <granary/postprocessing.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call) ck_assert_msg((call) == GR_OK, "%s", gr_message())

enum { N = 400 };

/* Rows that are easily made anywhere. */
static double score_of(int i) {
    return ((i * 37) % 193 - 96) / 16.0;
}

static double coin_of(int i) {
    return (i * 7919 % 1000) / 1000.0;
}

static int32_t label_of(int i) {
    return coin_of(i) < 1 / (1 + exp(-(0.6 * score_of(i) - 0.5)));
}

static void logits_of(int i, float z[3]) {
    for (int c = 0; c < 3; c++)
        z[c] = (float)(((i * (11 + 13 * c)) % 97 - 48) / 16.0);
}

static int32_t label_of_three(int i) {
    double e[3], sum = 0;
    float z[3];
    logits_of(i, z);
    for (int c = 0; c < 3; c++)
        sum += e[c] = exp(0.4 * (((i * (11 + 13 * c)) % 97 - 48) / 16.0));
    return coin_of(i) < e[0] / sum ? 0 : coin_of(i) < (e[0] + e[1]) / sum ? 1 : 2;
}

static void add_row(struct gr_outputs *outputs, double x, int32_t label, float weight) {
    const float logits[2] = {1, (float)(1 + x)};
    MUST(gr_outputs_add(outputs, logits, &label, NULL, &weight, 1));
}

/* Every row of `parts` from `part` on. */
static struct gr_outputs *rows_of_two(bool weighted, int part, int parts) {
    struct gr_outputs *outputs;
    MUST(gr_outputs_create(2, &outputs));
    for (int i = part; i < N; i += parts)
        add_row(outputs, score_of(i), label_of(i), weighted ? (float)(i % 4 + 1) / 4 : 1);
    return outputs;
}

static struct gr_outputs *rows_of_three(int part, int parts) {
    struct gr_outputs *outputs;
    MUST(gr_outputs_create(3, &outputs));
    for (int i = part; i < N; i += parts) {
        float z[3];
        const int32_t label = label_of_three(i);
        logits_of(i, z);
        MUST(gr_outputs_add(outputs, z, &label, NULL, NULL, 1));
    }
    return outputs;
}

enum { PARTS_MAX = 8 };
/* The fit of several processes, each with a part of the rows; releases them. NULL in *why: found.
 */
static struct gr_recalibration fit_parts(enum gr_recalibration_method method, size_t classes,
                                         uint32_t least, struct gr_outputs **part, int parts,
                                         const char **why) {
    struct gr_recalibration_fit *fit[PARTS_MAX];
    struct gr_recalibration found = {0};
    unsigned passes = 0;
    size_t n;
    for (int k = 0; k < parts; k++)
        MUST(gr_recalibration_fit_create(method, classes, least, &fit[k]));
    for (;; passes++) {
        int64_t *sums[PARTS_MAX];
        for (int k = 0; k < parts; k++)
            sums[k] = gr_recalibration_fit_sums(fit[k], part[k], &n);
        if (n == 0) break;
        for (size_t i = 0; i < n; i++) {
            int64_t all = 0;
            for (int k = 0; k < parts; k++)
                all += sums[k][i];
            for (int k = 0; k < parts; k++)
                sums[k][i] = all;
        }
    }
    ck_assert_uint_le(passes, GR_RECALIBRATION_PASSES_MAX);
    *why = gr_recalibration_fit_why(fit[parts - 1]);
    if (!*why) MUST(gr_recalibration_fit_take(fit[parts - 1], 0, &found));
    for (int k = 0; k < parts; k++) {
        gr_recalibration_fit_free(fit[k]);
        gr_outputs_free(part[k]);
    }
    return found;
}

static struct gr_recalibration fit(enum gr_recalibration_method method, struct gr_outputs *rows,
                                   size_t classes, uint32_t least) {
    const char *why;
    struct gr_recalibration found = fit_parts(method, classes, least, &rows, 1, &why);
    ck_assert_msg(!why, "%s", why);
    return found;
}

/* ---- fits ------------------------------------------------------------------------------------ */

START_TEST(as_newton_elsewhere) {
    struct gr_recalibration r = fit(GR_RECALIBRATION_PLATT, rows_of_two(false, 0, 1), 2, 10);
    ck_assert_double_eq_tol(r.intercept, -0.47243228920164448, 1e-10);
    ck_assert_double_eq_tol(r.slope, 0.58045376569427809, 1e-10);
    r = fit(GR_RECALIBRATION_PLATT, rows_of_two(true, 0, 1), 2, 10);
    ck_assert_double_eq_tol(r.intercept, -0.50948488818857884, 1e-10);
    ck_assert_double_eq_tol(r.slope, 0.58600070918242342, 1e-10);
    r = fit(GR_RECALIBRATION_TEMPERATURE, rows_of_two(false, 0, 1), 2, 10);
    ck_assert_double_eq_tol(r.slope, 0.55859009149068284, 1e-10);
    r = fit(GR_RECALIBRATION_TEMPERATURE, rows_of_three(0, 1), 3, 10);
    ck_assert_double_eq_tol(r.slope, 0.42060796974541165, 1e-10);
}
END_TEST

/* Scores in units of a million, and within a millionth of each other around 3. */
START_TEST(in_whatever_units) {
    static const struct {
        double unit, centre, within;
    } cases[] = {{0x1p20, 0, 1e-9}, {0x1p-12, 3, 1e-6}};
    for (size_t k = 0; k < 2; k++) {
        struct gr_outputs *rows;
        MUST(gr_outputs_create(2, &rows));
        for (int i = 0; i < N; i++)
            add_row(rows, cases[k].unit * score_of(i) + cases[k].centre, label_of(i), 1);
        const struct gr_recalibration r = fit(GR_RECALIBRATION_PLATT, rows, 2, 10);
        ck_assert_double_eq_tol(r.slope * cases[k].unit, 0.58045376569427809, cases[k].within);
        ck_assert_double_eq_tol(r.intercept + r.slope * cases[k].centre, -0.47243228920164448,
                                cases[k].within);
    }
}
END_TEST

/* One of 64 classes scores 8 and has half of the rows: its probability e^8b / (e^8b + 63) is to be
 * a half. Newton's first step goes to where the loss is many times as large. */
START_TEST(a_step_too_far_is_drawn_back) {
    enum { CLASSES = 64 };
    const float z[CLASSES] = {8};
    struct gr_outputs *rows;
    MUST(gr_outputs_create(CLASSES, &rows));
    for (int32_t i = 0; i < 2 * (CLASSES - 1); i++) {
        const int32_t label = i < CLASSES - 1 ? 0 : i - (CLASSES - 2);
        MUST(gr_outputs_add(rows, z, &label, NULL, NULL, 1));
    }
    const struct gr_recalibration r = fit(GR_RECALIBRATION_TEMPERATURE, rows, CLASSES, 10);
    ck_assert_double_eq_tol(r.slope, log(63) / 8, 1e-12);
}
END_TEST

START_TEST(the_same_however_dealt) {
    for (int m = GR_RECALIBRATION_TEMPERATURE; m <= GR_RECALIBRATION_ISOTONIC; m++)
        for (size_t classes = 2; classes <= (m == GR_RECALIBRATION_TEMPERATURE ? 3 : 2);
             classes++) {
            const enum gr_recalibration_method method = (enum gr_recalibration_method)m;
            const char *why;
            struct gr_recalibration first = {0};
            for (int parts = 1; parts <= PARTS_MAX; parts++) {
                struct gr_outputs *part[PARTS_MAX];
                for (int k = 0; k < parts; k++)
                    part[k] = classes == 2 ? rows_of_two(true, k, parts) : rows_of_three(k, parts);
                struct gr_recalibration r = fit_parts(method, classes, 10, part, parts, &why);
                ck_assert_ptr_null(why);
                if (parts == 1) first = r;
                ck_assert(memcmp(&r.intercept, &first.intercept, sizeof r.intercept) == 0);
                ck_assert(memcmp(&r.slope, &first.slope, sizeof r.slope) == 0);
                ck_assert_uint_eq(r.n_steps, first.n_steps);
                for (size_t i = 0; i < r.n_steps; i++)
                    ck_assert(r.steps[i].from == first.steps[i].from &&
                              memcmp(&r.steps[i].rate, &first.steps[i].rate, 8) == 0);
                if (parts > 1) gr_recalibration_release(&r);
            }
            gr_recalibration_release(&first);
        }
}
END_TEST

START_TEST(as_scikit_learn) {
    static const struct gr_isotonic_step of_one[] = {{0, 0.03896103896103896},
                                                     {1058, 0.052631578947368418},
                                                     {1140, 0.125},
                                                     {1225, 0.13333333333333333},
                                                     {1410, 0.16666666666666666},
                                                     {1457, 0.24324324324324326},
                                                     {1821, 0.36842105263157893},
                                                     {2325, 0.5},
                                                     {2416, 0.58974358974358976},
                                                     {2745, 0.66666666666666663},
                                                     {2786, 0.81578947368421051},
                                                     {2986, 0.83333333333333337},
                                                     {3013, 0.88888888888888884},
                                                     {3154, 0.93181818181818177}};
    static const struct gr_isotonic_step of_five[] = {
        {0, 0.04807692307692308},    {1181, 0.13157894736842105},
        {1410, 0.23255813953488372}, {1821, 0.375},
        {2349, 0.59183673469387754}, {2773, 0.82758620689655171},
        {3064, 0.91176470588235292}};
    for (int k = 0; k < 2; k++) {
        const struct gr_isotonic_step *expected = k == 0 ? of_one : of_five;
        struct gr_recalibration r =
            fit(GR_RECALIBRATION_ISOTONIC, rows_of_two(false, 0, 1), 2, k == 0 ? 1 : 5);
        ck_assert_uint_eq(r.n_steps, k == 0 ? sizeof of_one / sizeof *of_one
                                            : sizeof of_five / sizeof *of_five);
        for (size_t i = 0; i < r.n_steps; i++) {
            ck_assert_uint_eq(r.steps[i].from, expected[i].from);
            ck_assert_double_eq_tol(r.steps[i].rate, expected[i].rate, 1e-15);
        }
        gr_recalibration_release(&r);
    }
}
END_TEST

/* No step is of fewer rows of a class than `least`, nor has a rate that shows it. */
START_TEST(steps_are_of_many_rows) {
    for (uint32_t least = 1; least <= 29; least += 7) {
        struct gr_recalibration r =
            fit(GR_RECALIBRATION_ISOTONIC, rows_of_two(false, 0, 1), 2, least);
        ck_assert_uint_eq(r.steps[0].from, 0);
        for (size_t i = 0; i < r.n_steps; i++) {
            int rows[2] = {0, 0};
            for (int k = 0; k < N; k++) {
                const float z[2] = {0, (float)score_of(k)};
                float calibrated[2];
                gr_recalibrate(&r, z, 2, calibrated);
                const double p = 1 / (1 + exp((double)calibrated[0] - (double)calibrated[1]));
                rows[label_of(k)] += fabs(p - r.steps[i].rate) < 1e-6;
            }
            ck_assert_int_ge(rows[0], (int)least);
            ck_assert_int_ge(rows[1], (int)least);
            ck_assert_double_eq_tol(r.steps[i].rate, (double)rows[1] / (rows[0] + rows[1]), 1e-12);
            if (i > 0) ck_assert(r.steps[i].rate > r.steps[i - 1].rate);
        }
        gr_recalibration_release(&r);
    }
}
END_TEST

/* ---- what is not fitted ---------------------------------------------------------------------- */

static const char *why_not(enum gr_recalibration_method method, struct gr_outputs *rows,
                           size_t classes, uint32_t least) {
    const char *why;
    struct gr_recalibration found = fit_parts(method, classes, least, &rows, 1, &why);
    gr_recalibration_release(&found);
    return why ? why : "";
}

static struct gr_outputs *made(double (*x)(int), int32_t (*label)(int), int n) {
    struct gr_outputs *rows;
    MUST(gr_outputs_create(2, &rows));
    for (int i = 0; i < n; i++)
        add_row(rows, x(i), label(i), 1);
    return rows;
}
static double falls(int i) {
    return -score_of(i);
}
static double always_two(int i) {
    (void)i;
    return 2;
}
static int32_t zero(int i) {
    (void)i;
    return 0;
}
static int32_t by_sign(int i) {
    return score_of(i) > 0.3;
}
static int32_t rare(int i) {
    return i % 50 == 0;
}

START_TEST(says_why_not) {
    const enum gr_recalibration_method platt = GR_RECALIBRATION_PLATT;
    struct gr_outputs *none;
    ck_assert_str_eq(why_not(platt, made(score_of, zero, N), 2, 10),
                     "all validation rows are of one class");
    ck_assert_str_eq(why_not(platt, made(score_of, rare, N), 2, 10),
                     "validation rows of a class are too few");
    ck_assert_str_eq(why_not(platt, made(falls, rare, N), 2, 8), "");
    ck_assert_str_eq(why_not(platt, made(always_two, label_of, N), 2, 10),
                     "all scores are the same");
    ck_assert_str_eq(why_not(platt, made(falls, label_of, N), 2, 10),
                     "a higher score does not mean a likelier class");
    ck_assert(strstr(why_not(platt, made(score_of, by_sign, N), 2, 10), "tell the classes apart"));
    ck_assert(strstr(why_not(GR_RECALIBRATION_TEMPERATURE, made(score_of, by_sign, N), 2, 10),
                     "a single step") == NULL);
    ck_assert_str_eq(why_not(GR_RECALIBRATION_ISOTONIC, made(falls, label_of, N), 2, 10),
                     "validation rows give a single step");
    ck_assert_str_eq(why_not(GR_RECALIBRATION_ISOTONIC, made(score_of, rare, N), 2, 10),
                     "validation rows of a class are too few");
    MUST(gr_outputs_create(3, &none));
    ck_assert_str_eq(why_not(GR_RECALIBRATION_TEMPERATURE, none, 3, 1),
                     "validation rows are too few");
    MUST(gr_outputs_create(2, &none));
    ck_assert_str_eq(why_not(platt, none, 2, 1), "validation rows of a class are too few");
}
END_TEST

START_TEST(outputs_that_are_none) {
    struct gr_outputs *rows;
    const float bad[2] = {0, INFINITY}, good[2] = {-3e38F, 3e38F}, weight = 0;
    const int32_t label = 1;
    MUST(gr_outputs_create(2, &rows));
    MUST(gr_outputs_add(rows, good, &label, NULL, NULL, 1));
    ck_assert(gr_outputs_add(rows, bad, &label, NULL, NULL, 1) == GR_ERROR_DATA);
    MUST(gr_outputs_add(rows, good, &label, NULL, &weight, 1));
    ck_assert_uint_eq(gr_outputs_rows(rows), 1);
    gr_outputs_cut(rows, 0);
    ck_assert_uint_eq(gr_outputs_rows(rows), 0);
    gr_outputs_free(rows);
}
END_TEST

/* ---- what is made of outputs ----------------------------------------------------------------- */

static double log_odds_after(const struct gr_recalibration *r, float x) {
    const float z[2] = {-1, x - 1};
    float out[2];
    gr_recalibrate(r, z, 2, out);
    ck_assert(isfinite(out[0]) && isfinite(out[1]));
    return (double)out[1] - (double)out[0];
}

START_TEST(maps_are_applied) {
    struct gr_isotonic_step steps[] = {{0, 0.1}, {2048, 0.5}, {3072, 0.75}};
    const struct gr_recalibration platt = {GR_RECALIBRATION_PLATT, -1, 0.5, NULL, 0},
                                  cooler = {GR_RECALIBRATION_TEMPERATURE, 0, 2, NULL, 0},
                                  isotonic = {GR_RECALIBRATION_ISOTONIC, 0, 0, steps, 3},
                                  none = {GR_RECALIBRATION_NONE, 0, 0, NULL, 0};
    ck_assert_double_eq_tol(log_odds_after(&none, 3), 3, 1e-12);
    ck_assert_double_eq_tol(log_odds_after(&platt, 3), 0.5, 1e-7);
    ck_assert_double_eq_tol(log_odds_after(&cooler, 3), 6, 1e-6);
    ck_assert_double_eq_tol(log_odds_after(&isotonic, -0.5F), log(0.1 / 0.9), 1e-6);
    ck_assert_double_eq_tol(log_odds_after(&isotonic, 0), 0, 1e-6);
    ck_assert_double_eq_tol(log_odds_after(&isotonic, 3.9F), 0, 1e-6); /* bin 3072 is at 4 */
    ck_assert_double_eq_tol(log_odds_after(&isotonic, 4.5F), log(3), 1e-6);
    ck_assert(log_odds_after(&platt, 3e38F) > 1e8);
    ck_assert(log_odds_after(&cooler, -3e38F) < -1e8);
    ck_assert_double_eq_tol(log_odds_after(&isotonic, 3e38F), log(3), 1e-6);
}
END_TEST

/* Rows that are counted with a map are as calibrated as it says. */
START_TEST(counted_rows_are_calibrated) {
    const struct gr_recalibration r = fit(GR_RECALIBRATION_PLATT, rows_of_two(false, 0, 1), 2, 10);
    struct gr_accumulator *a;
    size_t n;
    MUST(gr_accumulator_create(2, &a));
    MUST(gr_accumulator_recalibrate(a, &r));
    for (int i = 0; i < N; i++) {
        const float z[2] = {0, (float)score_of(i)};
        const int32_t label = label_of(i);
        MUST(gr_accumulator_add_classes(a, z, &label, NULL, 1));
    }
    gr_accumulator_bin(a, a);
    do
        (void)gr_accumulator_fit(a, a, &n);
    while (n > 0);
    ck_assert_double_eq_tol(gr_accumulator_metric(a, gr_metric_find("calibration_slope")).value, 1,
                            1e-6);
    ck_assert_double_eq_tol(gr_accumulator_metric(a, gr_metric_find("calibration_intercept")).value,
                            0, 1e-6);
    ck_assert_double_eq_tol(gr_accumulator_metric(a, gr_metric_find("observed_expected")).value, 1,
                            1e-6);
    gr_accumulator_free(a);
}
END_TEST

/* Where the policy holds numbers have few digits; a rate never becomes 1. */
START_TEST(digits_are_few) {
    struct gr_outputs *rows;
    struct gr_recalibration_fit *fit;
    struct gr_recalibration r;
    size_t n;
    MUST(gr_outputs_create(2, &rows));
    for (int i = 0; i < 40000; i++)
        add_row(rows, i < 20000 ? -1 : 1, i < 20000 ? i == 0 : i != 20000, 1);
    MUST(gr_recalibration_fit_create(GR_RECALIBRATION_ISOTONIC, 2, 1, &fit));
    do
        (void)gr_recalibration_fit_sums(fit, rows, &n);
    while (n > 0);
    MUST(gr_recalibration_fit_take(fit, 1, &r));
    ck_assert_uint_eq(r.n_steps, 2);
    ck_assert_double_eq_tol(r.steps[0].rate, 5e-5, 1e-18);
    ck_assert_double_eq_tol(r.steps[1].rate, 1 - 5e-5, 1e-15);
    gr_recalibration_release(&r);
    gr_recalibration_fit_free(fit);
    gr_outputs_free(rows);
}
END_TEST

/* ---- as text --------------------------------------------------------------------------------- */

START_TEST(texts_are_read_back) {
    struct gr_isotonic_step steps[] = {{0, 0.1}, {2048, 0.5}};
    const struct gr_postprocessing cases[] = {
        {.recalibration = {GR_RECALIBRATION_PLATT, -1.0 / 3, 0.7, NULL, 0}},
        {.recalibration = {GR_RECALIBRATION_TEMPERATURE, 0, 1e-9 / 3, NULL, 0}},
        {.recalibration = {GR_RECALIBRATION_ISOTONIC, 0, 0, steps, 2}}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct gr_postprocessing back;
        char *text, *again;
        MUST(gr_postprocessing_to_json(&cases[k], &text));
        MUST(gr_postprocessing_parse("it", text, 2, &back));
        MUST(gr_postprocessing_to_json(&back, &again));
        ck_assert_str_eq(text, again);
        ck_assert(back.recalibration.method == cases[k].recalibration.method);
        gr_postprocessing_release(&back);
        gr_free(again);
        gr_free(text);
    }
    const struct gr_postprocessing nothing = {
        .recalibration = {GR_RECALIBRATION_NONE, 0, 0, NULL, 0}};
    char *text;
    MUST(gr_postprocessing_to_json(&nothing, &text));
    ck_assert_ptr_null(text);
}
END_TEST

START_TEST(texts_that_harm) {
    static const struct {
        const char *text, *says;
        size_t classes;
    } cases[] = {
        {"", "no JSON object", 2},
        {"[]", "no JSON object", 2},
        {"{\"recalibration\": {\"method\": \"platt\", \"intercept\": 0, \"slope\": 1}, \"then\": "
         "1}",
         "does not know", 2},
        {"{\"recalibration\": 3}", "no method", 2},
        {"{\"recalibration\": {\"method\": \"none\"}}", "no method", 2},
        {"{\"recalibration\": {\"method\": \"beta\"}}", "no method", 2},
        {"{\"recalibration\": {\"method\": \"platt\", \"slope\": 1}}", "no finite slope", 2},
        {"{\"recalibration\": {\"method\": \"platt\", \"intercept\": 0, \"slope\": 0}}",
         "no finite slope", 2},
        {"{\"recalibration\": {\"method\": \"temperature\", \"slope\": -1}}", "no finite slope", 2},
        {"{\"recalibration\": {\"method\": \"temperature\", \"slope\": 1e999}}", "no JSON", 2},
        {"{\"recalibration\": {\"method\": \"platt\", \"intercept\": 0, \"slope\": 1}}",
         "not one for", 3},
        {"{\"recalibration\": {\"method\": \"temperature\", \"slope\": 1}}", "not one for", 0},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 4096, \"steps\": []}}",
         "not those of bins", 2},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 16, \"steps\": [[0, 0.5]]}}",
         "not those of bins", 2},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 4096, \"steps\": [[1, 0.5]]}}",
         "impossible", 2},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 4096, \"steps\": [[0, 1]]}}",
         "impossible", 2},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 4096, \"steps\": [[0, 0.5], "
         "[0, 0.6]]}}",
         "impossible", 2},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 4096, \"steps\": [[0, 0.5], "
         "[4096, 0.6]]}}",
         "impossible", 2},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 4096, \"steps\": [[0, 0.5], "
         "[7, 0.4]]}}",
         "impossible", 2},
        {"{\"recalibration\": {\"method\": \"isotonic\", \"bins\": 4096, \"steps\": [[0, 0.5, "
         "1]]}}",
         "impossible", 2}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct gr_postprocessing read;
        const gr_status status =
            gr_postprocessing_parse("m.h5", cases[k].text, cases[k].classes, &read);
        ck_assert_msg(status == GR_ERROR_DATA, "%s", cases[k].text);
        ck_assert_msg(strstr(gr_message(), cases[k].says) != NULL, "%s: %s", cases[k].text,
                      gr_message());
        ck_assert_ptr_null(read.recalibration.steps);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("recalibration");
    TCase *tests = tcase_create("recalibration");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, as_newton_elsewhere);
    tcase_add_test(tests, in_whatever_units);
    tcase_add_test(tests, a_step_too_far_is_drawn_back);
    tcase_add_test(tests, the_same_however_dealt);
    tcase_add_test(tests, as_scikit_learn);
    tcase_add_test(tests, steps_are_of_many_rows);
    tcase_add_test(tests, says_why_not);
    tcase_add_test(tests, outputs_that_are_none);
    tcase_add_test(tests, maps_are_applied);
    tcase_add_test(tests, counted_rows_are_calibrated);
    tcase_add_test(tests, digits_are_few);
    tcase_add_test(tests, texts_are_read_back);
    tcase_add_test(tests, texts_that_harm);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
