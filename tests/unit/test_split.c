/* SPDX-License-Identifier: Apache-2.0 */
/* A silo's rows in train, validation and test: how many of each class, and which. */
#include "tables.h"

#include "data/split.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { CLASSES_MAX = 6, ROWS_MAX = 1000 };

/*
 * Rows of each class, and by hand how many of each are held out: fraction times rows rounded down,
 * one more where the remainder is largest. No two remainders are equal where it matters.
 */
static const struct known {
    double validation, test;
    size_t rows[CLASSES_MAX], held[CLASSES_MAX], tested[CLASSES_MAX];
} known[] = {
    /* 14 of 100: 7.0 4.2 2.1 0.56 0.14 -> 7 4 2 0 0, one for 0.56; 30: 15 9 4.5 1.2 0.3 */
    {0.14, 0.3, {50, 30, 15, 4, 1}, {7, 4, 2, 1, 0}, {15, 9, 5, 1, 0}},
    {0.14, 0, {50, 30, 15, 4, 1}, {7, 4, 2, 1, 0}, {0}},
    {0, 0.3, {50, 30, 15, 4, 1}, {0}, {15, 9, 5, 1, 0}},
    /* One row of a class stays: 1 1 48; then of 0.8 0.8 38.4 only the last has room. */
    {0.5, 0.4, {2, 2, 96}, {1, 1, 48}, {0, 0, 39}},
    {0.9, 0, {1, 1, 1, 7}, {0, 0, 0, 6}, {0}},
    {0.2, 0.2, {1}, {0}, {0}},
    /* 0.25 of 11 = 2: 1.75 0 1 */
    {0.25, 0, {7, 0, 4}, {1, 0, 1}, {0}},
    /* 0.25 of 12 = 3: 1.75 0 1.25 */
    {0.25, 0, {7, 0, 5}, {2, 0, 1}, {0}},
};

static struct gr_config config_of(double validation, double test, bool stratify) {
    struct gr_config config;
    memset(&config, 0, sizeof config);
    config.run.seed = 5;
    config.data.validation_fraction = validation;
    config.data.test_fraction = test;
    config.data.stratify = stratify;
    return config;
}

/* Labels in turns, as long as there are rows of a class; returns the rows. */
static size_t put_labels(const size_t *rows, int32_t *labels) {
    size_t left[CLASSES_MAX], n = 0;
    memcpy(left, rows, sizeof left);
    for (bool more = true; more;) {
        more = false;
        for (int32_t c = 0; c < CLASSES_MAX; c++) {
            if (left[c] == 0) continue;
            left[c]--;
            labels[n++] = c;
            more = true;
        }
    }
    return n;
}

START_TEST(test_known) {
    const struct known *k = &known[_i];
    const struct gr_config config = config_of(k->validation, k->test, true);
    int32_t labels[ROWS_MAX];
    uint8_t part[ROWS_MAX], again[ROWS_MAX];
    size_t n = put_labels(k->rows, labels), differ = 0;
    for (uint32_t silo = 0; silo < 20; silo++) {
        size_t count[GR_PARTS][CLASSES_MAX] = {{0}};
        CHECK_OK(gr_split_rows(&config, silo, n, labels, part));
        for (size_t i = 0; i < n; i++)
            count[part[i]][labels[i]]++;
        for (size_t c = 0; c < CLASSES_MAX; c++) {
            ck_assert_uint_eq(count[GR_PART_VALIDATION][c], k->held[c]);
            ck_assert_uint_eq(count[GR_PART_TEST][c], k->tested[c]);
        }
        CHECK_OK(gr_split_rows(&config, silo, n, labels, again));
        ck_assert_mem_eq(part, again, n);
        CHECK_OK(gr_split_rows(&config, silo + 1, n, labels, again));
        differ += memcmp(part, again, n) != 0;
    }
    if (n > 12) ck_assert_uint_ge(differ, 19);
}
END_TEST

/* Ten classes of 5 rows, half of one to be held out of each: no class is preferred over silos. */
START_TEST(test_equal_remainders) {
    enum { SILOS = 2000 };
    const struct gr_config config = config_of(0.1, 0, true);
    int32_t labels[50];
    uint8_t part[50];
    size_t held[10] = {0}, row[50] = {0};
    for (int i = 0; i < 50; i++)
        labels[i] = i % 10;
    for (uint32_t silo = 0; silo < SILOS; silo++) {
        size_t n = 0;
        CHECK_OK(gr_split_rows(&config, silo, 50, labels, part));
        for (size_t i = 0; i < 50; i++) {
            n += part[i] == GR_PART_VALIDATION;
            held[labels[i]] += part[i] == GR_PART_VALIDATION;
            row[i] += part[i] == GR_PART_VALIDATION;
        }
        ck_assert_uint_eq(n, 5);
    }
    /* Each class in half of the silos: 1000, 22 to the standard deviation; each row in a tenth. */
    for (size_t c = 0; c < 10; c++)
        ck_assert_msg(held[c] > 890 && held[c] < 1110, "class %zu: %zu", c, held[c]);
    for (size_t i = 0; i < 50; i++)
        ck_assert_msg(row[i] > 130 && row[i] < 270, "row %zu: %zu", i, row[i]);
}
END_TEST

/* Without classes: the first rows of one permutation, validation before test. */
START_TEST(test_plain) {
    enum { ROWS = 410 };
    static const enum gr_model_type numbers[] = {GR_MODEL_LINEAR, GR_MODEL_POISSON};
    int32_t labels[ROWS];
    uint8_t part[ROWS], same[ROWS];
    uint32_t order[ROWS];
    gsl_rng *stream;
    struct gr_config config = config_of(0.2, 0.1, false);
    for (int i = 0; i < ROWS; i++)
        labels[i] = i % 3;
    CHECK_OK(gr_stream_create((struct gr_stream_key){5, 2, 0, GR_PURPOSE_SPLIT}, &stream));
    gr_stream_permutation(stream, order, ROWS);
    gsl_rng_free(stream);
    CHECK_OK(gr_split_rows(&config, 2, ROWS, labels, part));
    for (int i = 0; i < ROWS; i++)
        ck_assert_int_eq(part[order[i]], i < 82        ? GR_PART_VALIDATION
                                         : i < 82 + 41 ? GR_PART_TEST
                                                       : GR_PART_TRAIN);
    config.data.stratify = true;
    for (size_t i = 0; i < COUNT(numbers); i++) {
        config.model.type = numbers[i];
        CHECK_OK(gr_split_rows(&config, 2, ROWS, labels, same));
        ck_assert_mem_eq(part, same, ROWS);
    }
    config.model.type = GR_MODEL_MLP;
    config.model.loss = GR_LOSS_HUBER;
    CHECK_OK(gr_split_rows(&config, 2, ROWS, labels, same));
    ck_assert_mem_eq(part, same, ROWS);
    config.model.loss = GR_LOSS_DEFAULT;
    CHECK_OK(gr_split_rows(&config, 2, ROWS, labels, same));
    ck_assert(memcmp(part, same, ROWS) != 0);
}
END_TEST

/* The parts of a table's silo are its rows, each once, in their order; also of one process alone.
 */
START_TEST(test_table) {
    enum { ROWS = 300, WIDTH = 6 };
    struct gr_config config = idx_config(3);
    struct gr_data *whole, *split, *one;
    const uint32_t second = 1;
    const struct gr_share share = {.n_silos = 3, .silos = &second, .n_local = 1, .test_count = 1};
    put_pair("a", ROWS, 2, 3);
    CHECK_OK(load_all(&config, 3, &whole));
    config.data.validation_fraction = 0.2;
    config.data.test_fraction = 0.3;
    config.data.stratify = true;
    CHECK_OK(load_all(&config, 3, &split));
    CHECK_OK(gr_data_load(&config, &share, &one));
    ck_assert_uint_eq(split->n_test, 0);
    for (size_t s = 0; s < 3; s++) {
        struct gr_silo *silo = &split->local[s];
        const struct gr_rows *all = &whole->local[s].train;
        size_t at[GR_PARTS] = {0};
        ck_assert_uint_eq(silo->train.n_rows + silo->validation.n_rows + silo->test.n_rows, 100);
        ck_assert_uint_eq(silo->validation.n_rows, 20);
        ck_assert_uint_eq(silo->test.n_rows, 30);
        for (size_t i = 0; i < all->n_rows; i++) {
            const unsigned char *x = (unsigned char *)all->features + i * WIDTH;
            bool found = false;
            for (enum gr_part p = GR_PART_TRAIN; p < GR_PARTS && !found; p++) {
                const struct gr_rows *rows = gr_silo_part(silo, p);
                if (at[p] == rows->n_rows || rows->labels[at[p]] != all->labels[i] ||
                    memcmp(x, (unsigned char *)rows->features + at[p] * WIDTH, WIDTH) != 0)
                    continue;
                at[p]++;
                found = true;
            }
            ck_assert_msg(found, "silo %zu, row %zu", s, i);
        }
    }
    const struct gr_rows *a = &one->local[0].test, *b = &split->local[1].test;
    ck_assert_uint_eq(a->n_rows, b->n_rows);
    ck_assert_mem_eq(a->features, b->features, a->n_rows * WIDTH);
    gr_data_free(whole);
    gr_data_free(split);
    gr_data_free(one);
}
END_TEST

/* Synthetic rows are the same ones however they are split. */
START_TEST(test_synthetic) {
    struct gr_config config = config_of(0, 0, false);
    struct gr_data *whole, *split;
    size_t classes = 0;
    config.data.source = GR_SOURCE_SYNTHETIC;
    config.data.synthetic = (struct gr_synthetic_config){.alpha = 1,
                                                         .beta = 1,
                                                         .n_features = 4,
                                                         .n_classes = 3,
                                                         .minimum_rows = 50,
                                                         .maximum_rows = 400};
    CHECK_OK(load_all(&config, 8, &whole));
    config.data.validation_fraction = 0.2;
    config.data.test_fraction = 0.2;
    config.data.stratify = true;
    CHECK_OK(load_all(&config, 8, &split));
    for (size_t s = 0; s < 8; s++) {
        struct gr_silo *silo = &split->local[s];
        const struct gr_rows *all = &whole->local[s].train;
        size_t rows[3] = {0}, at[GR_PARTS] = {0}, held[3] = {0};
        for (size_t i = 0; i < all->n_rows; i++)
            rows[all->labels[i]]++;
        for (size_t i = 0; i < silo->validation.n_rows; i++)
            held[silo->validation.labels[i]]++;
        for (size_t c = 0; c < 3; c++) {
            ck_assert_uint_ge(held[c] + 1, rows[c] / 5);
            ck_assert_uint_le(held[c], rows[c] / 5 + 1);
            classes += held[c] > 0;
        }
        for (size_t i = 0; i < all->n_rows; i++) {
            const float *x = (const float *)all->features + i * 4;
            enum gr_part p = GR_PART_TRAIN;
            for (; p < GR_PARTS; p++) {
                const struct gr_rows *part = gr_silo_part(silo, p);
                if (at[p] < part->n_rows &&
                    memcmp(x, (const float *)part->features + at[p] * 4, 16) == 0)
                    break;
            }
            ck_assert_int_lt(p, GR_PARTS);
            at[p]++;
        }
    }
    ck_assert_uint_gt(classes, 8);
    gr_data_free(whole);
    gr_data_free(split);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("split");
    TCase *tests = tcase_create("split");
    if (gr_base_start() != GR_OK) return 1;
    scratch_create();
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_loop_test(tests, test_known, 0, (int)COUNT(known));
    tcase_add_test(tests, test_equal_remainders);
    tcase_add_test(tests, test_plain);
    tcase_add_test(tests, test_table);
    tcase_add_test(tests, test_synthetic);
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
