/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Partitions, held against their definitions: every row once; iid parts that differ by one row at
 * most; Dirichlet proportions with the mean 1/N and variance (1/N)(1 - 1/N) / (N alpha + 1) of the
 * distribution's closed form; shards that give a silo few classes (McMahan et al. 2017).
 */
#include "tables.h"

#include <math.h>

enum { ROWS = 6000, CLASSES = 10 };

static int32_t labels[ROWS];

static void enter(void) {
    ck_assert_int_eq(gr_base_start(), GR_OK);
    for (size_t i = 0; i < ROWS; i++)
        labels[i] = (int32_t)((i * 7 + i / 11) % CLASSES);
}

static struct gr_partition_config method(enum gr_partition_method name) {
    return (struct gr_partition_config){
        .method = name, .alpha = 0.3, .shards_per_silo = 2, .minimum_rows = 1};
}

/* Each row once, in the order of the table within a silo. */
static void check_partition(const struct gr_partition *p, size_t n, uint32_t n_silos) {
    uint8_t *seen = calloc(n, 1);
    size_t bad = 0;
    ck_assert_uint_eq(p->n_silos, n_silos);
    ck_assert_uint_eq(p->first[0], 0);
    ck_assert_uint_eq(p->first[n_silos], n);
    for (uint32_t s = 0; s < n_silos; s++) {
        bad += p->first[s] > p->first[s + 1];
        for (size_t i = p->first[s]; i < p->first[s + 1]; i++) {
            bad += p->row_of[i] >= n || seen[p->row_of[i]]++;
            bad += i > p->first[s] && p->row_of[i - 1] >= p->row_of[i];
        }
    }
    ck_assert_uint_eq(bad, 0);
    free(seen);
}

START_TEST(each_row_once) {
    static const uint32_t silos[] = {1, 2, 7, 8, 100, 1000};
    for (int m = GR_PARTITION_IID; m <= GR_PARTITION_SHARDS; m++) {
        for (size_t k = 0; k < sizeof silos / sizeof *silos; k++) {
            struct gr_partition_config config = method((enum gr_partition_method)m);
            struct gr_partition p;
            config.minimum_rows = m == GR_PARTITION_DIRICHLET && silos[k] > 100 ? 0 : 1;
            CHECK_OK(gr_partition_create(&config, 5, silos[k], labels, ROWS, &p));
            check_partition(&p, ROWS, silos[k]);
            gr_partition_release(&p);
        }
    }
}
END_TEST

START_TEST(same_seed_same_rows) {
    for (int m = GR_PARTITION_IID; m <= GR_PARTITION_SHARDS; m++) {
        struct gr_partition_config config = method((enum gr_partition_method)m);
        struct gr_partition a, b, c;
        CHECK_OK(gr_partition_create(&config, 5, 8, labels, ROWS, &a));
        CHECK_OK(gr_partition_create(&config, 5, 8, labels, ROWS, &b));
        CHECK_OK(gr_partition_create(&config, 6, 8, labels, ROWS, &c));
        ck_assert_mem_eq(a.row_of, b.row_of, sizeof labels);
        ck_assert_mem_eq(a.first, b.first, 9 * sizeof *a.first);
        ck_assert_int_ne(memcmp(a.row_of, c.row_of, sizeof labels), 0);
        gr_partition_release(&a);
        gr_partition_release(&b);
        gr_partition_release(&c);
    }
}
END_TEST

START_TEST(iid_parts_are_equal) {
    struct gr_partition_config config = method(GR_PARTITION_IID);
    struct gr_partition p;
    size_t total[CLASSES] = {0};
    double chi_squared = 0;
    for (size_t i = 0; i < ROWS; i++)
        total[labels[i]]++;
    CHECK_OK(gr_partition_create(&config, 3, 7, labels, ROWS, &p));
    for (uint32_t s = 0; s < 7; s++) {
        size_t n = p.first[s + 1] - p.first[s], count[CLASSES] = {0};
        ck_assert(n == ROWS / 7 || n == ROWS / 7 + 1);
        for (size_t i = p.first[s]; i < p.first[s + 1]; i++)
            count[labels[p.row_of[i]]]++;
        for (size_t c = 0; c < CLASSES; c++) {
            double expected = (double)n * (double)total[c] / ROWS, d = (double)count[c] - expected;
            chi_squared += d * d / expected;
        }
    }
    /* 6 x 9 degrees of freedom: mean 54, standard deviation 10.4 (bounds at 5 deviations). */
    ck_assert_double_lt(chi_squared, 106);
    ck_assert_double_gt(chi_squared, 2);
    gr_partition_release(&p);
}
END_TEST

START_TEST(dirichlet_moments) {
    enum { SILOS = 8, DRAWS = 400 };
    static const double alphas[] = {0.1, 0.3, 1, 10};
    for (size_t k = 0; k < 4; k++) {
        struct gr_partition_config config = method(GR_PARTITION_DIRICHLET);
        double sum[SILOS] = {0}, squares = 0, n = DRAWS * CLASSES;
        config.alpha = alphas[k];
        config.minimum_rows = 0;
        for (uint64_t seed = 1; seed <= DRAWS; seed++) {
            size_t count[SILOS][CLASSES] = {0}, total[CLASSES] = {0};
            struct gr_partition p;
            CHECK_OK(gr_partition_create(&config, seed, SILOS, labels, ROWS, &p));
            for (uint32_t s = 0; s < SILOS; s++)
                for (size_t i = p.first[s]; i < p.first[s + 1]; i++)
                    count[s][labels[p.row_of[i]]]++;
            for (size_t i = 0; i < ROWS; i++)
                total[labels[i]]++;
            for (size_t s = 0; s < SILOS; s++) {
                for (size_t c = 0; c < CLASSES; c++) {
                    double share = (double)count[s][c] / (double)total[c];
                    sum[s] += share;
                    squares += (share - 1.0 / SILOS) * (share - 1.0 / SILOS);
                }
            }
            gr_partition_release(&p);
        }
        double variance = (1.0 / SILOS) * (1 - 1.0 / SILOS) / (SILOS * alphas[k] + 1);
        /* Means within 5 standard errors, which also bounds a drift by rounding in the cuts. */
        for (size_t s = 0; s < SILOS; s++)
            ck_assert_double_le(fabs(sum[s] / n - 1.0 / SILOS), 5 * sqrt(variance / n) + 1e-3);
        double found = squares / (n * SILOS);
        ck_assert_msg(fabs(found / variance - 1) < 0.06, "alpha %g: variance %g, expected %g",
                      alphas[k], found, variance);
    }
}
END_TEST

/* Which rows of a class a silo gets must be as random as how many. */
START_TEST(dirichlet_rows_are_random) {
    struct gr_partition_config config = method(GR_PARTITION_DIRICHLET);
    double mean = 0, n = 0;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct gr_partition p;
        CHECK_OK(gr_partition_create(&config, seed, 4, labels, ROWS, &p));
        for (size_t i = p.first[0]; i < p.first[1]; i++)
            mean += p.row_of[i];
        n += (double)p.first[1];
        gr_partition_release(&p);
    }
    /* Silo 0's rows are uniform over the table: standard error 1732 / sqrt(n), n about 150,000. */
    ck_assert_double_le(fabs(mean / n - (ROWS - 1) / 2.0), 5 * 1732 / sqrt(n));
}
END_TEST

START_TEST(minimum_rows_are_kept) {
    struct gr_partition_config config = method(GR_PARTITION_DIRICHLET);
    struct gr_partition p;
    config.minimum_rows = 300;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        CHECK_OK(gr_partition_create(&config, seed, 8, labels, ROWS, &p));
        for (uint32_t s = 0; s < 8; s++)
            ck_assert_uint_ge(p.first[s + 1] - p.first[s], 300);
        check_partition(&p, ROWS, 8);
        gr_partition_release(&p);
    }
}
END_TEST

START_TEST(shards_hold_few_classes) {
    struct gr_partition_config config = method(GR_PARTITION_SHARDS);
    int32_t even[ROWS];
    struct gr_partition p;
    /* 600 rows a class, 100 silos: a shard of 30 rows never straddles two classes. */
    for (size_t i = 0; i < ROWS; i++)
        even[i] = (int32_t)(i % CLASSES);
    CHECK_OK(gr_partition_create(&config, 9, 100, even, ROWS, &p));
    size_t of_two = 0;
    for (uint32_t s = 0; s < 100; s++) {
        uint8_t has[CLASSES] = {0};
        size_t n_classes = 0;
        ck_assert_uint_eq(p.first[s + 1] - p.first[s], 60);
        for (size_t i = p.first[s]; i < p.first[s + 1]; i++)
            n_classes += !has[even[p.row_of[i]]]++;
        ck_assert_uint_le(n_classes, 2);
        of_two += n_classes == 2;
    }
    /* Two shards of one class meet with probability 19/199: about 90 silos have two. */
    ck_assert_uint_ge(of_two, 75);
    gr_partition_release(&p);
}
END_TEST

/* 10 rows in 6 shards of 1 or 2: whether two of 1 meet in a silo is chance, and then refused. */
START_TEST(shards_keep_minimum_rows) {
    struct gr_partition_config config = method(GR_PARTITION_SHARDS);
    size_t refused = 0;
    config.minimum_rows = 3;
    for (uint64_t seed = 1; seed <= 60; seed++) {
        struct gr_partition p;
        gr_status status = gr_partition_create(&config, seed, 3, labels, 10, &p);
        refused += status == GR_ERROR_CONFIG;
        if (status != GR_OK) continue;
        for (uint32_t s = 0; s < 3; s++)
            ck_assert_uint_ge(p.first[s + 1] - p.first[s], 3);
        gr_partition_release(&p);
    }
    /* Shards of 1 row: two of six; they meet with probability 1/5. */
    ck_assert_uint_ge(refused, 2);
    ck_assert_uint_le(refused, 28);
}
END_TEST

START_TEST(refused) {
    struct gr_partition_config config = method(GR_PARTITION_IID);
    struct gr_partition p;
    CHECK_REFUSED(gr_partition_create(&config, 1, 0, labels, ROWS, &p), GR_ERROR_CONFIG,
                  "data.silos: found 0");
    CHECK_REFUSED(gr_partition_create(&config, 1, 7, labels, 6, &p), GR_ERROR_CONFIG,
                  "6 rows over 7 silos: found a silo with 0 rows");
    config.minimum_rows = 1001;
    CHECK_REFUSED(gr_partition_create(&config, 1, 6, labels, ROWS, &p), GR_ERROR_CONFIG,
                  "minimum_rows is 1001");
    config = method(GR_PARTITION_SHARDS);
    config.shards_per_silo = 4;
    CHECK_REFUSED(gr_partition_create(&config, 1, 10, labels, 39, &p), GR_ERROR_CONFIG,
                  "shards_per_silo: found 4 for 10 silos, allowed are 1 to 3 with 39 rows");
    config = method(GR_PARTITION_DIRICHLET);
    config.alpha = 0.01;
    config.minimum_rows = 600;
    CHECK_REFUSED(gr_partition_create(&config, 1, 9, labels, ROWS, &p), GR_ERROR_CONFIG,
                  "the best of 1000 draws of Dirichlet(0.01): ");
    ck_assert_ptr_null(p.row_of);
    ck_assert_ptr_null(p.first);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("partition");
    TCase *tests = tcase_create("partition");
    tcase_add_checked_fixture(tests, enter, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, each_row_once);
    tcase_add_test(tests, same_seed_same_rows);
    tcase_add_test(tests, iid_parts_are_equal);
    tcase_add_test(tests, dirichlet_moments);
    tcase_add_test(tests, dirichlet_rows_are_random);
    tcase_add_test(tests, minimum_rows_are_kept);
    tcase_add_test(tests, shards_hold_few_classes);
    tcase_add_test(tests, shards_keep_minimum_rows);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
