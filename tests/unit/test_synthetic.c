/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The synthetic source against the moments that follow from its definition (FedProx, Li et al.
 * 2020, section 5.1): within a silo a feature j has variance j^-1.2; over silos the mean of a
 * feature has variance beta + 1, two features of a silo share beta of it; n_k - minimum is
 * lognormal(4, 2).
 */
#include "tables.h"

#include <math.h>

#include <gsl/gsl_cdf.h>

enum { FEATURES = 12, CLASSES = 5 };

static void enter(void) {
    ck_assert_int_eq(gr_base_start(), GR_OK);
}

static struct gr_config synthetic(double alpha, double beta) {
    struct gr_config config;
    memset(&config, 0, sizeof config);
    config.data.split_seed = 4;
    config.data.source = GR_SOURCE_SYNTHETIC;
    config.data.synthetic = (struct gr_synthetic_config){.alpha = alpha,
                                                         .beta = beta,
                                                         .n_features = FEATURES,
                                                         .n_classes = CLASSES,
                                                         .minimum_rows = 50,
                                                         .maximum_rows = 2000,
                                                         .test_rows = 20};
    return config;
}

static void check_near(double found, double expected, double tolerance, const char *what) {
    ck_assert_msg(fabs(found - expected) <= tolerance, "%s: %g, expected %g +- %g", what, found,
                  expected, tolerance);
}

START_TEST(moments) {
    enum { SILOS = 1500 };
    const double beta = 2.25;
    struct gr_config config = synthetic(0.5, beta);
    struct gr_data *data;
    double between[FEATURES] = {0}, within[FEATURES] = {0}, covariance = 0, rows = 0;
    config.data.synthetic.test_rows = 0;
    CHECK_OK(load_all(&config, SILOS, &data));
    for (size_t s = 0; s < SILOS; s++) {
        const struct gr_rows *r = &data->local[s].train;
        const float *x = r->features;
        double mean[FEATURES] = {0}, n = (double)r->n_rows;
        for (size_t i = 0; i < r->n_rows; i++)
            for (size_t j = 0; j < FEATURES; j++)
                mean[j] += (double)x[i * FEATURES + j] / n;
        for (size_t i = 0; i < r->n_rows; i++)
            for (size_t j = 0; j < FEATURES; j++)
                within[j] += pow((double)x[i * FEATURES + j] - mean[j], 2) * n / (n - 1);
        rows += n;
        for (size_t j = 0; j < FEATURES; j++)
            between[j] += mean[j] * mean[j] / SILOS;
        covariance += mean[0] * mean[FEATURES - 1] / SILOS;
    }
    /* Bounds of 5 standard errors: of a variance v from n draws, v sqrt(2 / n). */
    for (size_t j = 0; j < FEATURES; j++) {
        double v = pow((double)j + 1, -1.2);
        check_near(within[j] / rows, v, 5 * v * sqrt(2 / rows), "variance within");
        check_near(between[j], beta + 1, 5 * (beta + 1) * sqrt(2.0 / SILOS) + v / 50, "between");
    }
    double error = sqrt((pow(beta + 1, 2) + beta * beta) / SILOS);
    check_near(covariance, beta, 5 * error, "covariance of two features' means");
    gr_data_free(data);
}
END_TEST

/* Without a maximum in the way, log(n_k - minimum) is N(4, 2^2) but for the rounding down. */
START_TEST(sizes_are_lognormal) {
    enum { SILOS = 10000 };
    struct gr_config config = synthetic(1, 1);
    struct gr_data *data;
    size_t below[4] = {0}, cut = 0;
    static const double at[4] = {10, 50, 200, 1000};
    config.data.synthetic.n_features = 1;
    config.data.synthetic.n_classes = 2;
    CHECK_OK(load_all(&config, SILOS, &data));
    for (size_t s = 0; s < SILOS; s++) {
        size_t n = data->local[s].train.n_rows + config.data.synthetic.test_rows;
        ck_assert_uint_ge(n, 50);
        ck_assert_uint_le(n, 2000);
        cut += n == 2000;
        for (size_t k = 0; k < 4; k++)
            below[k] += (double)(n - 50) < at[k];
    }
    for (size_t k = 0; k < 4; k++) {
        double p = gsl_cdf_lognormal_P(at[k], 4, 2);
        check_near((double)below[k] / SILOS, p, 5 * sqrt(p * (1 - p) / SILOS), "share below");
    }
    double p = gsl_cdf_lognormal_Q(1950, 4, 2);
    check_near((double)cut / SILOS, p, 5 * sqrt(p * (1 - p) / SILOS), "share at the maximum");
    gr_data_free(data);
}
END_TEST

/* Labels are a linear function of the features: a perceptron per silo finds it. */
START_TEST(labels_are_linear) {
    struct gr_config config = synthetic(1, 1);
    struct gr_data *data;
    size_t checked = 0;
    config.data.synthetic.n_classes = 2;
    CHECK_OK(load_all(&config, 12, &data));
    for (size_t s = 0; s < 12; s++) {
        const struct gr_rows *r = &data->local[s].train;
        const float *x = r->features;
        double w[FEATURES + 1] = {0};
        size_t wrong = 1;
        if (r->n_rows > 200) continue; /* the perceptron takes long where the margin is narrow */
        for (int pass = 0; pass < 20000 && wrong > 0; pass++) {
            wrong = 0;
            for (size_t i = 0; i < r->n_rows; i++) {
                double y = r->labels[i] ? 1 : -1, sum = w[FEATURES];
                for (size_t j = 0; j < FEATURES; j++)
                    sum += w[j] * (double)x[i * FEATURES + j];
                if (y * sum > 0) continue;
                wrong++;
                w[FEATURES] += y;
                for (size_t j = 0; j < FEATURES; j++)
                    w[j] += y * (double)x[i * FEATURES + j];
            }
        }
        ck_assert_uint_eq(wrong, 0);
        checked++;
    }
    ck_assert_uint_ge(checked, 3);
    gr_data_free(data);
}
END_TEST

/* However silos and test batches are dealt, each has the same rows. */
START_TEST(any_process_makes_any_silo) {
    enum { SILOS = 60 };
    struct gr_config config = synthetic(1, 0.5);
    struct gr_data *all, *part;
    int64_t words[GR_DIGEST_WORDS] = {0};
    config.data.validation_fraction = 0.3;
    CHECK_OK(load_all(&config, SILOS, &all));
    ck_assert_uint_eq(all->n_test, SILOS * 20);
    ck_assert_uint_eq(all->n_test_batches, 3);
    for (uint32_t rank = 0; rank < 3; rank++) {
        const uint32_t ids[] = {rank, 20 + rank, 59 - rank};
        struct gr_share share = {
            .n_silos = SILOS, .silos = ids, .n_local = 3, .test_index = rank, .test_count = 3};
        CHECK_OK(gr_data_load(&config, &share, &part));
        for (size_t i = 0; i < 3; i++) {
            const struct gr_silo *a = &part->local[i], *b = &all->local[ids[i]];
            ck_assert_str_eq(a->pseudonym, b->pseudonym);
            ck_assert_uint_eq(a->train.n_rows, b->train.n_rows);
            ck_assert_uint_eq(a->validation.n_rows, b->validation.n_rows);
            ck_assert_mem_eq(a->train.features, b->train.features,
                             a->train.n_rows * FEATURES * sizeof(float));
            ck_assert_mem_eq(a->train.labels, b->train.labels, a->train.n_rows * sizeof(int32_t));
            ck_assert_mem_eq(a->validation.features, b->validation.features,
                             a->validation.n_rows * FEATURES * sizeof(float));
            ck_assert_mem_eq(a->digest, b->digest, sizeof a->digest);
        }
        ck_assert_uint_eq(part->n_local_batches, 1);
        ck_assert_uint_eq(part->local_batch[0], rank);
        ck_assert_uint_eq(part->test.n_rows, rank == 2 ? 200 : 500);
        ck_assert_mem_eq(part->test.features,
                         (const float *)all->test.features + rank * 500 * FEATURES,
                         part->test.n_rows * FEATURES * sizeof(float));
        ck_assert_mem_eq(part->test.labels, all->test.labels + rank * 500,
                         part->test.n_rows * sizeof(int32_t));
        for (size_t w = 0; w < GR_DIGEST_WORDS; w++)
            words[w] += part->test_digest[w];
        gr_data_free(part);
    }
    ck_assert_mem_eq(words, all->test_digest, sizeof words);
    gr_data_free(all);
}
END_TEST

/* Whoever makes a test batch makes the same; a silo's own rows are not made again. */
START_TEST(test_share_is_made_again) {
    enum { SILOS = 60 };
    struct gr_config config = synthetic(1, 1);
    const uint32_t id = 7;
    struct gr_share share = {
        .n_silos = SILOS, .silos = &id, .n_local = 1, .test_index = 0, .test_count = 3};
    struct gr_data *all, *part;
    CHECK_OK(load_all(&config, SILOS, &all)); /* 1,200 test rows: 3 batches */
    CHECK_OK(gr_data_load(&config, &share, &part));
    ck_assert_uint_eq(part->n_dims, 1);
    ck_assert_uint_eq(part->shape[0], FEATURES);
    const void *train = part->local[0].train.features;
    for (uint32_t count = 1; count <= 4; count++) {
        for (uint32_t index = 0; index < count; index++) {
            CHECK_OK(gr_data_reload_test(&config, index, count, part));
            size_t at = 0;
            for (size_t i = 0; i < part->n_local_batches; i++) {
                size_t b = part->local_batch[i], n = b == 2 ? 200 : 500;
                ck_assert_uint_eq(b % count, index);
                ck_assert_mem_eq((const float *)part->test.features + at * FEATURES,
                                 (const float *)all->test.features + b * 500 * FEATURES,
                                 n * FEATURES * sizeof(float));
                ck_assert_mem_eq(part->test.labels + at, all->test.labels + b * 500,
                                 n * sizeof(int32_t));
                at += n;
            }
            ck_assert_uint_eq(at, part->test.n_rows);
        }
    }
    ck_assert_ptr_eq(part->local[0].train.features, train);
    gr_data_free(part);
    gr_data_free(all);
}
END_TEST

START_TEST(refused) {
    struct gr_config config = synthetic(1, 1);
    struct gr_data *data;
    config.data.synthetic.test_rows = 50;
    CHECK_REFUSED(load_all(&config, 3, &data), GR_ERROR_CONFIG,
                  "test_rows: found 50, which leaves no row to a silo of 50");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("synthetic");
    TCase *tests = tcase_create("synthetic");
    tcase_add_checked_fixture(tests, enter, NULL);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, moments);
    tcase_add_test(tests, sizes_are_lognormal);
    tcase_add_test(tests, labels_are_linear);
    tcase_add_test(tests, any_process_makes_any_silo);
    tcase_add_test(tests, test_share_is_made_again);
    tcase_add_test(tests, refused);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
