/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A silo's rows in train, validation and test: how many of each class, and which.
 * slow: a thousand federations
 */
#include "tables.h"

#include "data/split.h"

#include <math.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
enum { CLASSES_MAX = 6, ROWS_MAX = 1000 };

/* Rows of each class. */
static const struct known {
    double validation, test;
    size_t rows[CLASSES_MAX];
} known[] = {
    {0.14, 0.3, {50, 30, 15, 4, 1}},
    {0.14, 0, {50, 30, 15, 4, 1}},
    {0, 0.3, {50, 30, 15, 4, 1}},
    {0.5, 0.4, {2, 2, 96}},
    {0.45, 0.45, {1, 1, 1, 7}},
    {0.25, 0, {7, 0, 5}},
    {0.1, 0.1, {18, 2}},
    {0.1, 0.2, {7, 2}},
    {0.3, 0.3, {1, 1, 1, 1, 1, 1}},
    {0.2, 0.2, {10, 20, 30}},
    {0.5, 0.25, {3, 1}},
    {0.61, 0.29, {3, 5, 2}},
};

static struct gr_config config_of(double validation, double test, bool stratify) {
    struct gr_config config;
    memset(&config, 0, sizeof config);
    config.data.split_seed = 5;
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

/* What was held out of some rows against its exact share, over many splits. */
struct shares {
    double held, share, variance; /* of rows; of a draw between two whole numbers p (1 - p) */
};

static void add_share(struct shares *s, size_t held, double share) {
    const double below = floor(share + 1e-9), p = share - below;
    ck_assert_msg((double)held == below || (p > 1e-9 && (double)held == below + 1), "%zu of %g",
                  held, share);
    s->held += (double)held;
    s->share += share;
    if (p > 1e-9) s->variance += p * (1 - p);
}

/* In standard errors; 0 where nothing was drawn. */
static double deviation(const struct shares *s) {
    return s->variance > 0 ? (s->held - s->share) / sqrt(s->variance) : s->held - s->share;
}

/* Both parts of every class, and in all: one of the two whole numbers next to the exact share. */
static void add_split(const struct gr_config *config, uint32_t silo, const size_t *rows,
                      struct shares by_class[GR_PARTS][CLASSES_MAX], struct shares all[GR_PARTS]) {
    const double fraction[] = {[GR_PART_VALIDATION] = config->data.validation_fraction,
                               [GR_PART_TEST] = config->data.test_fraction};
    size_t count[GR_PARTS][CLASSES_MAX] = {{0}}, total[GR_PARTS] = {0};
    int32_t labels[ROWS_MAX];
    uint8_t part[ROWS_MAX];
    const size_t n = put_labels(rows, labels);
    CHECK_OK(gr_split_rows(config, silo, n, labels, part));
    for (size_t i = 0; i < n; i++) {
        count[part[i]][labels[i]]++;
        total[part[i]]++;
    }
    ck_assert_uint_ge(total[GR_PART_TRAIN], 1);
    for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++) {
        for (size_t c = 0; c < CLASSES_MAX && config->data.stratify; c++)
            add_share(&by_class[p][c], count[p][c], fraction[p] * (double)rows[c]);
        for (size_t c = 0; c < CLASSES_MAX && !config->data.stratify; c++) {
            by_class[p][c].held += (double)count[p][c];
            by_class[p][c].share += fraction[p] * (double)rows[c];
        }
        add_share(&all[p], total[p], fraction[p] * (double)n);
    }
}

/* Over 4,000 silos each class is held out as often as its exact share says: four standard errors.
 */
START_TEST(test_shares) {
    const struct known *k = &known[_i];
    const struct gr_config config = config_of(k->validation, k->test, true);
    struct shares by_class[GR_PARTS][CLASSES_MAX] = {{{0}}}, all[GR_PARTS] = {{0}};
    for (uint32_t silo = 0; silo < 4000; silo++)
        add_split(&config, silo, k->rows, by_class, all);
    for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++)
        for (size_t c = 0; c <= CLASSES_MAX; c++) {
            const struct shares *s = c < CLASSES_MAX ? &by_class[p][c] : &all[p];
            ck_assert_msg(fabs(deviation(s)) < 4, "part %d, class %zu: %g for %g", p, c, s->held,
                          s->share);
        }
}
END_TEST

/*
 * The figure: 1,000 federations of drawn sizes, classes and fractions. In each class the
 * share that is held out over all of them is within 3 standard errors of its fraction, and single
 * federations lie beyond 3 no more often than draws do (0.27 % of normal ones).
 */
START_TEST(test_federations) {
    enum { FEDERATIONS = 1000 };
    struct shares whole[GR_PARTS][CLASSES_MAX] = {{{0}}}, whole_all[GR_PARTS] = {{0}};
    size_t figures = 0, beyond = 0;
    gsl_rng *stream;
    CHECK_OK(gr_stream_create((struct gr_stream_key){17, 0, 0, GR_PURPOSE_TEST}, &stream));
    for (uint32_t f = 0; f < FEDERATIONS; f++) {
        struct gr_config config = config_of(0, 0, _i == 0);
        struct shares by_class[GR_PARTS][CLASSES_MAX] = {{{0}}}, all[GR_PARTS] = {{0}};
        const uint32_t silos = 20 + (uint32_t)gsl_rng_uniform_int(stream, 60);
        const size_t classes = 1 + gsl_rng_uniform_int(stream, CLASSES_MAX);
        double rate[CLASSES_MAX];
        config.data.split_seed = f;
        config.data.validation_fraction = 0.45 * gsl_rng_uniform(stream);
        config.data.test_fraction = 0.45 * gsl_rng_uniform(stream);
        for (size_t c = 0; c < classes; c++) /* of some one row in many silos */
            rate[c] = 12 * pow(gsl_rng_uniform(stream), 3);
        for (uint32_t silo = 0; silo < silos; silo++) {
            size_t rows[CLASSES_MAX] = {0}, n = 0;
            for (size_t c = 0; c < classes; c++)
                n += rows[c] = (size_t)(2 * rate[c] * gsl_rng_uniform(stream));
            while (n < 10) { /* so that one row stays to be trained on */
                rows[0]++;
                n++;
            }
            add_split(&config, silo, rows, by_class, all);
        }
        for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++)
            for (size_t c = 0; c <= CLASSES_MAX; c++) {
                const struct shares *s = c < CLASSES_MAX ? &by_class[p][c] : &all[p];
                struct shares *to = c < CLASSES_MAX ? &whole[p][c] : &whole_all[p];
                to->held += s->held;
                to->share += s->share;
                to->variance += s->variance;
                figures += s->variance > 0;
                beyond += s->variance > 0 && fabs(deviation(s)) > 3;
            }
    }
    gsl_rng_free(stream);
    for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++) {
        /* Not by class: each row as likely as any other, so that 0.3 % is 3 standard errors. */
        for (size_t c = 0; c < CLASSES_MAX; c++)
            if (_i == 0)
                ck_assert_msg(fabs(deviation(&whole[p][c])) < 3, "part %d, class %zu: %g", p, c,
                              deviation(&whole[p][c]));
            else
                ck_assert_msg(fabs(whole[p][c].held / whole[p][c].share - 1) < 0.02,
                              "part %d, class %zu: %g for %g", p, c, whole[p][c].held,
                              whole[p][c].share);
        ck_assert_msg(fabs(deviation(&whole_all[p])) < 3, "part %d: %g", p,
                      deviation(&whole_all[p]));
    }
    ck_assert_uint_gt(figures, FEDERATIONS);
    ck_assert_msg((double)beyond < 0.006 * (double)figures, "%zu of %zu", beyond, figures);
}
END_TEST

/* The two: 60 silos of 18 and 2 rows, 100 silos of 9. Each row is as likely as any other.
 */
START_TEST(test_small_silos) {
    const struct gr_config config = config_of(0.1, 0.1, true);
    struct shares by_class[GR_PARTS][CLASSES_MAX] = {{{0}}}, all[GR_PARTS] = {{0}};
    const size_t rare[CLASSES_MAX] = {18, 2}, nine[CLASSES_MAX] = {8, 1};
    for (uint32_t silo = 0; silo < 60; silo++)
        add_split(&config, silo, rare, by_class, all);
    for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++) {
        ck_assert_double_eq(all[p].held, 120);
        ck_assert_double_gt(by_class[p][1].held, 2);
    }
    memset(all, 0, sizeof all);
    for (uint32_t silo = 0; silo < 100; silo++)
        add_split(&config, silo, nine, by_class, all);
    for (int p = GR_PART_VALIDATION; p < GR_PARTS; p++)
        ck_assert_double_gt(all[p].held, 75); /* of 90, 3 to the standard deviation */
    size_t held[9] = {0};
    for (uint32_t silo = 0; silo < 20000; silo++) {
        const int32_t labels[9] = {0, 0, 1, 0, 0, 0, 0, 0, 0};
        uint8_t part[9];
        CHECK_OK(gr_split_rows(&config, silo, 9, labels, part));
        for (size_t i = 0; i < 9; i++)
            held[i] += part[i] == GR_PART_VALIDATION;
    }
    for (size_t i = 0; i < 9; i++) /* 2000, 42 to the standard deviation */
        ck_assert_msg(held[i] > 1830 && held[i] < 2170, "row %zu: %zu", i, held[i]);
}
END_TEST

/* One row stays to be trained on, and of the others the two parts have what the fractions say. */
START_TEST(test_last_row) {
    const struct gr_config config = config_of(0.6, 0.3, true);
    const int32_t labels[9] = {0, 1, 0, 1, 2, 0, 0, 0, 3};
    for (size_t n = 1; n < 10; n++) {
        size_t held[GR_PARTS] = {0};
        for (uint32_t silo = 0; silo < 3000; silo++) {
            uint8_t part[9];
            size_t own = 0;
            CHECK_OK(gr_split_rows(&config, silo, n, labels, part));
            for (size_t i = 0; i < n; i++) {
                held[part[i]]++;
                own += part[i] == GR_PART_TRAIN;
            }
            ck_assert_uint_eq(own, 1);
        }
        /* Two thirds of n - 1 in each of 3000: at most 27 to the standard deviation. */
        ck_assert_double_lt(fabs((double)held[GR_PART_VALIDATION] - 2000 * (double)(n - 1)), 110);
    }
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

/* Of n rows by the coins of silo `id`. */
static void coins_of(const struct gr_config *config, uint32_t id, size_t n, uint8_t *part) {
    memset(part, GR_PARTS, n);
    CHECK_OK(gr_split_by_coins(config, id, id, n, NULL, part));
}

/* Each row by itself: shares within five standard errors, and no row moves where others come. */
START_TEST(test_coins) {
    enum { ROWS = 100000, FEW = 1500 };
    static uint8_t part[ROWS], few[FEW], other[FEW];
    struct gr_config config = config_of(0.2, 0.1, true);
    double held[GR_PARTS] = {0}, pairs = 0;
    coins_of(&config, 0, ROWS, part);
    for (size_t i = 0; i < ROWS; i++) {
        held[part[i]]++;
        pairs += i > 0 && part[i] == GR_PART_TEST && part[i - 1] == GR_PART_TEST;
    }
    ck_assert_double_eq_tol(held[GR_PART_VALIDATION], 0.2 * ROWS, 5 * sqrt(0.16 * ROWS));
    ck_assert_double_eq_tol(held[GR_PART_TEST], 0.1 * ROWS, 5 * sqrt(0.09 * ROWS));
    ck_assert_double_eq_tol(pairs, 0.01 * ROWS, 5 * sqrt(0.012 * ROWS));
    coins_of(&config, 0, FEW, few);
    ck_assert_mem_eq(part, few, FEW);
    coins_of(&config, 1, FEW, other);
    ck_assert_mem_ne(few, other, FEW);
    config.data.split_seed++;
    coins_of(&config, 0, FEW, other);
    ck_assert_mem_ne(few, other, FEW);
}
END_TEST

/* All rows of a person together, and whoever comes moves nobody else: her number changes then, and
 * her name does not. */
START_TEST(test_coins_of_persons) {
    enum { PERSONS = 20000, ROWS = 3 * PERSONS };
    static uint8_t part[ROWS], fewer[ROWS];
    static uint32_t person[ROWS];
    static char text[PERSONS][8];
    static const char *name[PERSONS];
    struct gr_config config = config_of(0.2, 0.1, true);
    double held[GR_PARTS] = {0};
    for (uint32_t i = 0; i < PERSONS; i++) {
        snprintf(text[i], sizeof text[i], "p%u", i);
        name[i] = text[i];
    }
    for (size_t i = 0; i < ROWS; i++)
        person[i] = (uint32_t)(i % PERSONS);
    CHECK_OK(gr_split_by_coins(&config, 0, 0, ROWS, &(struct gr_named_rows){person, name, PERSONS},
                               part));
    for (size_t i = 0; i < PERSONS; i++) {
        held[part[i]]++;
        ck_assert_uint_eq(part[i], part[i + PERSONS]);
        ck_assert_uint_eq(part[i], part[i + 2 * PERSONS]);
    }
    ck_assert_double_eq_tol(held[GR_PART_VALIDATION], 0.2 * PERSONS, 5 * sqrt(0.16 * PERSONS));
    ck_assert_double_eq_tol(held[GR_PART_TEST], 0.1 * PERSONS, 5 * sqrt(0.09 * PERSONS));
    /* Without the first person: the others are one number lower. */
    CHECK_OK(gr_split_by_coins(&config, 0, 0, PERSONS - 1,
                               &(struct gr_named_rows){person, name + 1, PERSONS - 1}, fewer));
    ck_assert_mem_eq(part + 1, fewer, PERSONS - 1);
}
END_TEST

/* Of a secret that the silo's folder keeps: the same in each run, and foreseen by nobody. */
START_TEST(test_secret_coins) {
    enum { ROWS = 1500 };
    static uint8_t part[ROWS], again[ROWS], public[ROWS];
    struct gr_config config = config_of(0.2, 0.1, true);
    struct gr_silo_config folders[] = {{.directory = "a"}, {.directory = "b"}};
    struct stat file;
    coins_of(&config, 0, ROWS, public);
    config.silos = folders;
    config.silos_count = 2;
    coins_of(&config, 0, ROWS, part);
    ck_assert_mem_ne(part, public, ROWS);
    coins_of(&config, 0, ROWS, again);
    ck_assert_mem_eq(part, again, ROWS);
    ck_assert_int_eq(stat("a/privacy-split", &file), 0);
    ck_assert_int_eq(file.st_mode & 0777, 0600);
    ck_assert_int_eq(unlink("a/privacy-split"), 0);
    coins_of(&config, 0, ROWS, again);
    ck_assert_mem_ne(part, again, ROWS);
    config.run.rehearsal = true;
    coins_of(&config, 1, ROWS, part);
    ck_assert_int_ne(stat("b", &file), 0);
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
            ck_assert_uint_ge(held[c], rows[c] / 5);
            ck_assert_uint_le(held[c], (rows[c] + 4) / 5);
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

/*
 * A sweep over run.seed is scored on one test set: five seeds, one fingerprint of all parts, of
 * rows that are drawn as of a table that is dealt. data.split_seed makes others.
 */
START_TEST(test_seeds) {
    struct gr_config config = idx_config(3);
    struct gr_data *first, *other;
    put_pair("a", 300, 2, 3);
    if (_i == 1) {
        config.data.source = GR_SOURCE_SYNTHETIC;
        config.data.synthetic = (struct gr_synthetic_config){.n_features = 4,
                                                             .n_classes = 3,
                                                             .minimum_rows = 50,
                                                             .maximum_rows = 400,
                                                             .test_rows = 5};
    }
    config.data.partition.method = GR_PARTITION_DIRICHLET;
    config.data.partition.alpha = 1;
    config.data.partition.minimum_rows = 10;
    config.data.validation_fraction = config.data.test_fraction = 0.2;
    config.data.stratify = true;
    config.data.split_seed = config.run.seed = 1;
    CHECK_OK(load_all(&config, 3, &first));
    for (uint64_t seed = 2; seed <= 6; seed++) {
        config.run.seed = seed;
        config.data.split_seed = seed < 6 ? 1 : 2;
        CHECK_OK(load_all(&config, 3, &other));
        for (size_t s = 0; s < 3; s++)
            for (size_t p = 0; p < GR_SILO_PARTS; p++)
                ck_assert_int_eq(memcmp(first->local[s].digest[p], other->local[s].digest[p],
                                        GR_DIGEST_BYTES) == 0,
                                 seed < 6);
        gr_data_free(other);
    }
    gr_data_free(first);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("split");
    TCase *tests = tcase_create("split");
    if (gr_base_start() != GR_OK) return 1;
    scratch_create();
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_loop_test(tests, test_shares, 0, (int)COUNT(known));
    tcase_add_loop_test(tests, test_federations, 0, 2);
    tcase_add_test(tests, test_small_silos);
    tcase_add_test(tests, test_last_row);
    tcase_add_test(tests, test_plain);
    tcase_add_test(tests, test_coins);
    tcase_add_test(tests, test_coins_of_persons);
    tcase_add_test(tests, test_secret_coins);
    tcase_add_test(tests, test_table);
    tcase_add_loop_test(tests, test_seeds, 0, 2);
    tcase_add_test(tests, test_synthetic);
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
