/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicates of the Poisson bootstrap: draws against Poisson's law, means, deviations and
 * percentiles against resampling by NumPy and closed forms, the same sums however rows are dealt,
 * what is not defined, and what is told of rows that silos hold out.
 */
#include <check.h>
#include <math.h>
#include <metric/replicates.h>
#include <privacy/key_stream.h>
#include <stdlib.h>
#include <string.h>

#define METRIC(name) gr_metric_find(#name)
#define MUST(call)   ck_assert_msg((call) == GR_OK, "%s", gr_message())

/* ---- draws ---------------------------------------------------------------------------------- */

/* Each of the 65,536 numbers once, so that probabilities are exact. */
START_TEST(probabilities) {
    static uint16_t numbers[1 << 16], draws[1 << 16];
    static const int counts[] = {24109, 24110, 12054, 4019, 1004, 201, 34, 4, 1};
    int found[16] = {0};
    double mean = 0, square = 0, chance = exp(-1);
    for (size_t i = 0; i < 1 << 16; i++)
        numbers[i] = (uint16_t)i;
    gr_poisson_draws(numbers, draws, 1 << 16);
    for (size_t i = 0; i < 1 << 16; i++) {
        ck_assert_uint_lt(draws[i], 16);
        found[draws[i]]++;
        mean += draws[i];
        square += draws[i] * draws[i];
    }
    for (int k = 0; k < 9; k++) {
        ck_assert_int_eq(found[k], counts[k]);
        ck_assert_double_eq_tol(found[k], 0x1p16 * chance, 1);
        chance /= k + 1;
    }
    ck_assert_double_eq(mean / 0x1p16, 1);
    ck_assert_double_eq(square / 0x1p16 - 1, 1 - 0x1p-15);
}
END_TEST

/* 7 degrees of freedom, of which one in 1,000 is above 24.3. Numbers of one key, as rows have. */
START_TEST(chi_square) {
    enum { N = 1 << 20, CLASSES = 8 };
    static uint16_t numbers[N], draws[N];
    static const double share[CLASSES] = {24109, 24110, 12054, 4019, 1004, 201, 34, 5};
    const unsigned char secret[GR_SECRET_BYTES] = {7};
    unsigned char key[GR_SECRET_BYTES];
    double found[CLASSES] = {0}, distance = 0;
    gr_secret_key(secret, GR_SECRET_BOOTSTRAP, 3, key);
    gr_key_stream_make(key, 0, numbers, sizeof numbers);
    gr_poisson_draws(numbers, draws, N);
    for (size_t i = 0; i < N; i++)
        found[draws[i] < CLASSES ? draws[i] : CLASSES - 1]++;
    for (size_t k = 0; k < CLASSES; k++) {
        const double expected = share[k] * N / 0x1p16;
        distance += (found[k] - expected) * (found[k] - expected) / expected;
    }
    ck_assert_double_lt(distance, 24.3);
}
END_TEST

/* ---- rows ----------------------------------------------------------------------------------- */

enum { ROWS = 500 };

static double place_of(size_t i) {
    return (double)(i * 7919 % 1000) / 1000 * 6 - 3;
}

/* ROWS rows of two classes; tilt: of another model on the same rows. */
static struct gr_accumulator *two_classes(size_t first, size_t end, double tilt,
                                          const float *weight) {
    struct gr_accumulator *a;
    MUST(gr_accumulator_create(2, &a));
    for (size_t i = first; i < end; i++) {
        const double x = place_of(i);
        const int32_t label = (double)(i * 104729 % 997) / 997 < 1 / (1 + exp(-x));
        const float logits[2] = {0, (float)(1.3 * x + tilt * sin((double)i))};
        MUST(gr_accumulator_add_classes(a, logits, &label, weight, 1));
    }
    gr_accumulator_bin(a, a);
    return a;
}

static struct gr_accumulator *numbers(void) {
    struct gr_accumulator *a;
    MUST(gr_accumulator_create(0, &a));
    gr_accumulator_keep_rows(a);
    for (size_t i = 0; i < ROWS; i++) {
        const double x = place_of(i);
        const float f = (float)(x + 0.5 * sin((double)i));
        const float t = (float)(2 * x - 0.3 + 0.2 * (double)(i * 31 % 17) / 17);
        MUST(gr_accumulator_add_numbers(a, &f, &t, NULL, 1));
    }
    return a;
}

static struct gr_replicates *replicates_of(const struct gr_accumulator *rows, size_t n) {
    const struct gr_replicate_rows all = {.n = gr_accumulator_kept(rows), .secret = {1}};
    struct gr_replicates *r;
    MUST(gr_replicates_create(gr_accumulator_classes(rows), n, &r));
    gr_replicates_lay(r, rows);
    MUST(gr_replicates_add(r, rows, &all));
    return r;
}

/* ---- against others ------------------------------------------------------------------------- */

/*
 * 200,000 resamples of the same rows with NumPy 1.24 (default_rng(1).multinomial): the metric,
 * mean, deviation, 2.5 and 97.5 percentiles. Standard errors of a mean are deviation / sqrt(N), of
 * a deviation that / sqrt(2), of such a percentile 2.67 times that of a mean.
 */
struct reference {
    const char *name;
    double value, mean, deviation, lower, upper;
};

static void compare(struct gr_accumulator *rows, const struct reference *reference, size_t n) {
    enum { REPLICATES = 10000, RESAMPLES = 200000 };
    struct gr_resampled_metric found[GR_METRICS_MAX];
    struct gr_replicates *r = replicates_of(rows, REPLICATES);
    gr_replicates_spread(r, found);
    for (size_t i = 0; i < n; i++) {
        const struct reference *e = &reference[i];
        const unsigned m = gr_metric_find(e->name);
        const double error = e->deviation * sqrt(1.0 / REPLICATES + 1.0 / RESAMPLES);
        ck_assert_double_eq_tol(gr_accumulator_metric(rows, m).value, e->value, 1e-6);
        ck_assert_msg(fabs(found[m].mean - e->mean) < 3 * error, "%s: mean %.9g, expected %.9g",
                      e->name, found[m].mean, e->mean);
        ck_assert_msg(fabs(found[m].deviation - e->deviation) < 3 * error / sqrt(2),
                      "%s: deviation %.9g, expected %.9g", e->name, found[m].deviation,
                      e->deviation);
        ck_assert_msg(fabs(found[m].lower - e->lower) < 4 * 2.67 * error, "%s: lower end %.9g",
                      e->name, found[m].lower);
        ck_assert_msg(fabs(found[m].upper - e->upper) < 4 * 2.67 * error, "%s: upper end %.9g",
                      e->name, found[m].upper);
        ck_assert_int_eq(found[m].left_out, 0);
    }
    gr_replicates_free(r);
}

START_TEST(classes_as_resampled) {
    static const struct reference reference[] = {
        {"accuracy", 0.778000000, 0.777953730, 0.018615507, 0.742000000, 0.814000000},
        {"log_loss", 0.481250297, 0.481341893, 0.031344760, 0.421334937, 0.544382146},
        {"balanced_accuracy", 0.778112193, 0.778064693, 0.018631218, 0.741185897, 0.814053025},
        {"macro_f1", 0.777956479, 0.777563943, 0.018644979, 0.740000000, 0.813832449},
        {"sensitivity", 0.773437500, 0.773448540, 0.026229962, 0.720754717, 0.824000000},
        {"positive_predictive_value", 0.788844622, 0.788760185, 0.025794509, 0.737222345,
         0.838174274},
        {"auc", 0.858958760, 0.858902372, 0.016461303, 0.825520000, 0.890068033},
        {"brier", 0.154718834, 0.154755165, 0.011045463, 0.133466101, 0.176844581},
        {"observed_expected", 1.020868115, 1.020928493, 0.035194107, 0.952416143, 1.090433140},
        {"matthews", 0.556068618, 0.555973196, 0.037245077, 0.482019992, 0.628042331},
    };
    struct gr_accumulator *a = two_classes(0, ROWS, 0, NULL);
    compare(a, reference, sizeof reference / sizeof *reference);
    gr_accumulator_free(a);
}
END_TEST

START_TEST(numbers_as_resampled) {
    static const struct reference reference[] = {
        {"mse", 3.131293829, 3.130940198, 0.132518594, 2.874350571, 3.393946459},
        {"mae", 1.519716269, 1.519592813, 0.040564896, 1.440212353, 1.599320838},
        {"r2", 0.739941341, 0.739372492, 0.005297158, 0.728584705, 0.749369419},
    };
    struct gr_accumulator *a = numbers();
    compare(a, reference, sizeof reference / sizeof *reference);
    gr_accumulator_free(a);
}
END_TEST

/* Three classes, of which every label and prediction is known: an accuracy's deviation is
 * sqrt(p (1 - p) / n), a share's of a class likewise. */
START_TEST(closed_forms) {
    enum { N = 3000, REPLICATES = 2000 };
    struct gr_accumulator *a;
    struct gr_resampled_metric found[GR_METRICS_MAX];
    const double p = 0.8, expected = sqrt(p * (1 - p) / N);
    MUST(gr_accumulator_create(3, &a));
    gr_accumulator_keep_rows(a);
    for (size_t i = 0; i < N; i++) {
        const int32_t label = (int32_t)(i % 3);
        float logits[3] = {0, 0, 0};
        logits[i / 3 % 5 == 0 ? (i + 1) % 3 : i % 3] = 1;
        MUST(gr_accumulator_add_classes(a, logits, &label, NULL, 1));
    }
    struct gr_replicates *r = replicates_of(a, REPLICATES);
    gr_replicates_spread(r, found);
    const struct gr_resampled_metric accuracy = found[METRIC(accuracy)];
    ck_assert_double_eq_tol(accuracy.mean, p, 3 * expected / sqrt(REPLICATES));
    ck_assert_double_eq_tol(accuracy.deviation / expected, 1, 3 / sqrt(2.0 * REPLICATES));
    /* Shares of 1,000 rows of a class, whose mean has a third of the variance. */
    ck_assert_double_eq_tol(found[METRIC(balanced_accuracy)].deviation / expected, 1,
                            3 / sqrt(2.0 * REPLICATES));
    ck_assert(isnan(found[METRIC(auc)].mean) && !found[METRIC(auc)].why);
    gr_replicates_free(r);
    gr_accumulator_free(a);
}
END_TEST

/* ---- the same sums --------------------------------------------------------------------------- */

static void add_part(struct gr_replicates *r, const struct gr_accumulator *rows, size_t first,
                     size_t n, uint64_t number) {
    const struct gr_replicate_rows part = {.first = first, .n = n, .number = number, .secret = {1}};
    MUST(gr_replicates_add(r, rows, &part));
}

/* The rows begin before the end of a block of numbers and end in the next one. */
START_TEST(rows_anywhere) {
    enum { N = 333, FIRST = (1 << 20) - 100 };
    struct gr_accumulator *all = two_classes(0, ROWS, 0, NULL);
    struct gr_accumulator *some = two_classes(0, 200, 0, NULL);
    struct gr_accumulator *others = two_classes(200, ROWS, 0, NULL);
    struct gr_replicates *whole, *here, *there;
    MUST(gr_replicates_create(2, N, &whole));
    MUST(gr_replicates_create(2, N, &here));
    MUST(gr_replicates_create(2, N, &there));
    gr_replicates_lay(whole, all);
    gr_replicates_lay(here, all);
    gr_replicates_lay(there, all);
    add_part(whole, all, 0, ROWS, FIRST);
    add_part(there, others, 299, 1, FIRST + 499);
    add_part(there, others, 0, 299, FIRST + 200);
    add_part(here, some, 17, 183, FIRST + 17);
    add_part(here, some, 0, 17, FIRST);
    size_t n, m;
    const int64_t *expected = gr_replicates_sums(whole, &n), *x = gr_replicates_sums(here, &m);
    const int64_t *y = gr_replicates_sums(there, &m);
    int64_t any = 0;
    ck_assert_uint_eq(n, m);
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(expected[i], x[i] + y[i]);
        any |= expected[i];
    }
    ck_assert_int_ne(any, 0);
    const struct gr_replicate_rows beyond = {.first = 1, .n = ROWS, .secret = {1}};
    ck_assert_int_eq(gr_replicates_add(whole, all, &beyond), GR_ERROR_INTERNAL);
    gr_replicates_free(there);
    gr_replicates_free(here);
    gr_replicates_free(whole);
    gr_accumulator_free(others);
    gr_accumulator_free(some);
    gr_accumulator_free(all);
}
END_TEST

/* Rows at another place, of another kind, or of another secret have other draws. */
START_TEST(rows_of_others) {
    enum { N = 100 };
    static const struct gr_replicate_rows others[] = {
        {.n = ROWS, .number = 1 << 20, .secret = {1}}, {.n = ROWS, .number = ROWS, .secret = {1}},
        {.n = ROWS, .stream = 1, .secret = {1}},       {.n = ROWS, .secret = {2}},
        {.n = ROWS, .together = true, .secret = {1}},
    };
    struct gr_accumulator *a = two_classes(0, ROWS, 0, NULL);
    struct gr_replicates *r = replicates_of(a, N), *other;
    size_t n;
    const int64_t *expected = gr_replicates_sums(r, &n);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        MUST(gr_replicates_create(2, N, &other));
        gr_replicates_lay(other, a);
        MUST(gr_replicates_add(other, a, &others[i]));
        const int64_t *found = gr_replicates_sums(other, &n);
        ck_assert_msg(memcmp(expected, found, n * sizeof *found) != 0, "entry %zu", i);
        gr_replicates_free(other);
    }
    gr_replicates_free(r);
    gr_accumulator_free(a);
}
END_TEST

/* Rows of a label in a replicate: whatever a model makes of them, they are as often in it. */
static int64_t labelled(struct gr_replicates *r, size_t replicates, size_t label, size_t k) {
    size_t n;
    const int64_t *sums = gr_replicates_sums(r, &n);
    const size_t room = (replicates + 31) / 32 * 32;
    return sums[2 * label * room + k] + sums[(2 * label + 1) * room + k];
}

START_TEST(models_are_paired) {
    enum { N = 200 };
    struct gr_accumulator *a = two_classes(0, ROWS, 0, NULL);
    struct gr_accumulator *b = two_classes(0, ROWS, 1.5, NULL);
    struct gr_replicates *of_a = replicates_of(a, N), *of_b = replicates_of(b, N);
    size_t n, same = 0;
    for (size_t k = 0; k < N; k++)
        for (size_t label = 0; label < 2; label++)
            ck_assert_int_eq(labelled(of_a, N, label, k), labelled(of_b, N, label, k));
    for (size_t k = 1; k < N; k++)
        same += labelled(of_a, N, 0, k) == labelled(of_a, N, 0, 0);
    ck_assert_uint_lt(same, N / 4);
    const int64_t *x = gr_replicates_sums(of_a, &n), *y = gr_replicates_sums(of_b, &n);
    ck_assert_int_ne(memcmp(x, y, n * sizeof *x), 0);
    gr_replicates_free(of_b);
    gr_replicates_free(of_a);
    gr_accumulator_free(b);
    gr_accumulator_free(a);
}
END_TEST

/* Of one silo that is drawn as a whole: a metric is its own in each replicate that has it. */
START_TEST(together) {
    enum { N = 1000 };
    struct gr_accumulator *a = two_classes(0, ROWS, 0, NULL);
    struct gr_replicate_rows part = {.n = ROWS / 2, .together = true, .secret = {1}};
    struct gr_resampled_metric found[GR_METRICS_MAX];
    struct gr_replicates *r;
    size_t n, none = 0;
    MUST(gr_replicates_create(2, N, &r));
    gr_replicates_lay(r, a);
    MUST(gr_replicates_add(r, a, &part));
    for (size_t k = 0; k < N; k++)
        none += labelled(r, N, 0, k) == 0;
    ck_assert_double_eq_tol((double)none / N, exp(-1), 0.05);
    gr_replicates_spread(r, found);
    ck_assert_str_eq(found[METRIC(accuracy)].why,
                     "not defined in more than a twentieth of the replicates");
    ck_assert_int_eq(found[METRIC(accuracy)].left_out, (int64_t)none);
    /* And one that is there always. */
    part.first = part.n;
    part.together = false;
    MUST(gr_replicates_add(r, a, &part));
    gr_replicates_spread(r, found);
    ck_assert(!found[METRIC(accuracy)].why && found[METRIC(accuracy)].deviation > 0);
    ck_assert_ptr_nonnull(gr_replicates_sums(r, &n));
    gr_replicates_free(r);
    gr_accumulator_free(a);
}
END_TEST

/* Halved weights change no metric, and no draw. */
START_TEST(weights) {
    const float half = 0.5f;
    struct gr_accumulator *a = two_classes(0, ROWS, 0, NULL);
    struct gr_accumulator *b = two_classes(0, ROWS, 0, &half);
    struct gr_replicates *of_a = replicates_of(a, 100), *of_b = replicates_of(b, 100);
    struct gr_resampled_metric x[GR_METRICS_MAX], y[GR_METRICS_MAX];
    gr_replicates_spread(of_a, x);
    gr_replicates_spread(of_b, y);
    ck_assert_double_eq(x[METRIC(accuracy)].lower, y[METRIC(accuracy)].lower);
    ck_assert_double_eq(x[METRIC(auc)].deviation, y[METRIC(auc)].deviation);
    ck_assert_double_eq_tol(x[METRIC(log_loss)].mean, y[METRIC(log_loss)].mean, 1e-4);
    gr_replicates_free(of_b);
    gr_replicates_free(of_a);
    gr_accumulator_free(b);
    gr_accumulator_free(a);
}
END_TEST

/* A row weighs 2,048 times as much as any of the others, and has about their mean loss: those of
 * the others are not lost on the grid. The deviation is that of a mean with weights, of which a
 * row's draw moves its own distance. */
START_TEST(a_heavy_row) {
    enum { N = 20000, REPLICATES = 1000 };
    const float light = 0x1p-11f, heavy = 1;
    struct gr_accumulator *a;
    struct gr_resampled_metric found[GR_METRICS_MAX];
    double loss[N], mean = 0, weight = 0, square = 0;
    MUST(gr_accumulator_create(2, &a));
    for (size_t i = 0; i < N; i++) {
        const float logits[2] = {0, i == 0 ? 0.5f : (float)place_of(i)};
        const int32_t label = i % 3 == 1;
        const double w = (double)(i == 0 ? heavy : light);
        MUST(gr_accumulator_add_classes(a, logits, &label, i == 0 ? &heavy : &light, 1));
        loss[i] = log1p(exp(label ? -(double)logits[1] : (double)logits[1]));
        mean += w * loss[i];
        weight += w;
    }
    mean /= weight;
    for (size_t i = 0; i < N; i++) {
        const double moved = (double)(i == 0 ? heavy : light) * (loss[i] - mean) / weight;
        square += moved * moved;
    }
    gr_accumulator_bin(a, a);
    struct gr_replicates *r = replicates_of(a, REPLICATES);
    gr_replicates_spread(r, found);
    ck_assert_double_eq_tol(found[METRIC(log_loss)].mean, mean, 0.2 * sqrt(square));
    ck_assert_double_eq_tol(found[METRIC(log_loss)].deviation / sqrt(square), 1, 0.25);
    gr_replicates_free(r);
    gr_accumulator_free(a);
}
END_TEST

/* ---- what is not defined --------------------------------------------------------------------- */

/* n rows of one class, all taken for it. */
static struct gr_accumulator *one_class(size_t n) {
    struct gr_accumulator *a;
    MUST(gr_accumulator_create(2, &a));
    for (size_t i = 0; i < n; i++) {
        const int32_t label = 1;
        const float logits[2] = {0, 1 + (float)i};
        MUST(gr_accumulator_add_classes(a, logits, &label, NULL, 1));
    }
    gr_accumulator_bin(a, a);
    return a;
}

static void spread(struct gr_accumulator *a, size_t n, struct gr_resampled_metric *out) {
    struct gr_replicates *r = replicates_of(a, n);
    gr_replicates_spread(r, out);
    gr_replicates_free(r);
}

START_TEST(few_rows) {
    static const struct {
        size_t rows;
        bool defined;
    } given[] = {{0, false}, {1, false}, {2, false}, {4, true}, {40, true}};
    for (size_t i = 0; i < sizeof given / sizeof *given; i++) {
        struct gr_resampled_metric v[GR_METRICS_MAX];
        struct gr_accumulator *a = one_class(given[i].rows);
        spread(a, 2000, v);
        ck_assert(!v[METRIC(log_loss)].why == given[i].defined);
        ck_assert_double_eq_tol((double)v[METRIC(log_loss)].left_out / 2000,
                                exp(-(double)given[i].rows), 0.03);
        ck_assert(v[METRIC(specificity)].why && v[METRIC(auc)].why);
        ck_assert_int_eq(v[METRIC(auc)].left_out, 2000);
        ck_assert_double_eq(given[i].defined ? v[METRIC(accuracy)].lower : 1, 1);
        gr_accumulator_free(a);
    }
}
END_TEST

START_TEST(sizes) {
    ck_assert_uint_lt(gr_replicates_bytes(2, GR_REPLICATES_MAX), GR_REPLICATES_BYTES_MAX);
    ck_assert_uint_gt(gr_replicates_bytes(100, GR_REPLICATES_MAX), GR_REPLICATES_BYTES_MAX);
    ck_assert_uint_lt(gr_replicates_bytes(100, GR_REPLICATES_MIN), GR_REPLICATES_BYTES_MAX);
    ck_assert_uint_eq(gr_replicates_bytes(101, GR_REPLICATES_MIN), SIZE_MAX);
}
END_TEST

/* Values far from each other, and all the same: on the grid, and without a spread. */
START_TEST(far_values) {
    struct gr_accumulator *a;
    struct gr_resampled_metric v[GR_METRICS_MAX];
    MUST(gr_accumulator_create(0, &a));
    gr_accumulator_keep_rows(a);
    for (size_t i = 0; i < 100; i++) {
        const float f = i == 0 ? 0x1p33f : 0, t = 0;
        MUST(gr_accumulator_add_numbers(a, &f, &t, NULL, 1));
    }
    spread(a, 1000, v);
    ck_assert_double_eq_tol(v[METRIC(mse)].mean / (0x1p66 / 100), 1, 0.1);
    ck_assert(v[METRIC(r2)].why);
    gr_accumulator_free(a);
    MUST(gr_accumulator_create(0, &a));
    gr_accumulator_keep_rows(a);
    for (size_t i = 0; i < 100; i++) {
        const float f = 1, t = 1;
        MUST(gr_accumulator_add_numbers(a, &f, &t, NULL, 1));
    }
    spread(a, 1000, v);
    ck_assert_double_eq(v[METRIC(mse)].upper, 0);
    ck_assert_double_eq(v[METRIC(mae)].deviation, 0);
    gr_accumulator_free(a);
}
END_TEST

/* ---- what is told --------------------------------------------------------------------------- */

/* 12 mistakes among 1,000 rows, and a threshold of 10: the two wrong cells are withheld. */
START_TEST(told_in_steps) {
    struct gr_accumulator *a;
    struct gr_resampled_metric v[GR_METRICS_MAX];
    MUST(gr_accumulator_create(2, &a));
    for (size_t i = 0; i < 1000; i++) {
        const int32_t label = i % 2;
        const float logits[2] = {0, (i < 12) == (label == 1) ? -1.0f - (float)i : 1.0f + (float)i};
        MUST(gr_accumulator_add_classes(a, logits, &label, NULL, 1));
    }
    gr_accumulator_bin(a, a);
    spread(a, 1000, v);
    const unsigned m = METRIC(accuracy), loss = METRIC(log_loss);
    const struct gr_resampled_metric exact = gr_resampled_told(a, m, v[m]);
    ck_assert_double_eq(exact.lower, v[m].lower);
    MUST(gr_accumulator_disclose(a, 10, 3));
    const struct gr_resampled_metric told = gr_resampled_told(a, m, v[m]);
    const double step = gr_share_step(1000, 10);
    ck_assert_double_eq_tol(told.lower, floor(v[m].lower / step) * step, 1e-12);
    ck_assert_double_eq_tol(told.upper, ceil(v[m].upper / step) * step, 1e-12);
    ck_assert_double_eq_tol(told.mean, gr_accumulator_metric(a, m).value, 1e-12);
    ck_assert_double_eq_tol(told.deviation, ceil(v[m].deviation / step) * step, 1e-12);
    ck_assert_double_gt(v[m].deviation, 0.002);
    ck_assert_double_eq(gr_resampled_told(a, loss, v[loss]).deviation,
                        gr_round_digits(v[loss].deviation, 2));
    ck_assert_double_eq(gr_resampled_told(a, loss, v[loss]).lower,
                        gr_round_digits(v[loss].lower, 3));
    /* Where the metric is withheld there is no interval of it. */
    MUST(gr_accumulator_disclose(a, 600, 3));
    ck_assert(isnan(gr_resampled_told(a, m, v[m]).lower) && gr_resampled_told(a, m, v[m]).why);
    gr_accumulator_free(a);
}
END_TEST

/* They travel as integers, and not defined ones with their reason. */
START_TEST(silos_spread) {
    struct gr_accumulator *a = one_class(40);
    struct gr_resampled_metric v[GR_METRICS_MAX];
    struct gr_silo_spread taken;
    spread(a, 200, v);
    gr_silo_spread_take(v, &taken);
    for (unsigned m = 0; m < gr_metric_count; m++) {
        const struct gr_resampled_metric back = gr_silo_spread_metric(&taken, m);
        ck_assert_int_eq(memcmp(&back.lower, &v[m].lower, sizeof back.lower), 0);
        ck_assert_int_eq(memcmp(&back.deviation, &v[m].deviation, sizeof back.deviation), 0);
        ck_assert_int_eq(back.left_out, v[m].left_out);
        ck_assert_ptr_eq(back.why, v[m].why);
    }
    taken.why[0] = 1000;
    ck_assert_ptr_null(gr_silo_spread_metric(&taken, 0).why);
    gr_accumulator_free(a);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("replicates");
    TCase *tests = tcase_create("replicates");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, probabilities);
    tcase_add_test(tests, chi_square);
    tcase_add_test(tests, classes_as_resampled);
    tcase_add_test(tests, numbers_as_resampled);
    tcase_add_test(tests, closed_forms);
    tcase_add_test(tests, rows_anywhere);
    tcase_add_test(tests, rows_of_others);
    tcase_add_test(tests, models_are_paired);
    tcase_add_test(tests, together);
    tcase_add_test(tests, weights);
    tcase_add_test(tests, a_heavy_row);
    tcase_add_test(tests, few_rows);
    tcase_add_test(tests, sizes);
    tcase_add_test(tests, far_values);
    tcase_add_test(tests, told_in_steps);
    tcase_add_test(tests, silos_spread);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
