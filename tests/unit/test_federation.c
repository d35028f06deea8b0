/* SPDX-License-Identifier: Apache-2.0 */
/*
 * federation: strategies against the papers' formulas worked out by hand (McMahan et al. 2017,
 * algorithm 1; Hsu, Qi, Brown 2019, section 4), sampling against the hypergeometric mean.
 */
#include <granary/federation.h>

#include <check.h>
#include <math.h>
#include <string.h>

START_TEST(fedavg_adds_the_mean) {
    const struct gr_strategy *strategy = gr_strategy_find(GR_STRATEGY_FEDAVG);
    struct gr_strategy_config config = {.server_learning_rate = 0.5};
    float w[3] = {1, -2, 2.385f}, mean[3] = {0.5f, 4, -1};
    ck_assert_uint_eq(strategy->n_server, 0);
    strategy->step(&config, w, mean, NULL, 3);
    ck_assert_float_eq(w[0], 1.25f);
    ck_assert_float_eq(w[1], 0.0f);
    ck_assert_float_eq_tol(w[2], 1.885f, 1e-6f);
}
END_TEST

START_TEST(fedavgm_keeps_momentum) {
    const struct gr_strategy *strategy = gr_strategy_find(GR_STRATEGY_FEDAVGM);
    struct gr_strategy_config config = {.server_learning_rate = 2, .server_momentum = 0.5};
    float w = 1, v = 0;
    float *server[] = {&v};
    const float means[3] = {1, 2, -4};
    /* v: 1, 2.5, -2.75; w: 3, 8, 2.5 */
    const float momentum[3] = {1, 2.5f, -2.75f}, expected[3] = {3, 8, 2.5f};
    ck_assert_uint_eq(strategy->n_server, 1);
    for (int round = 0; round < 3; round++) {
        strategy->step(&config, &w, &means[round], server, 1);
        ck_assert_float_eq(v, momentum[round]);
        ck_assert_float_eq(w, expected[round]);
    }
}
END_TEST

START_TEST(sample_has_its_size) {
    enum { SILOS = 30, TAKEN = 7, ROUNDS = 3000 };
    uint8_t selected[SILOS], again[SILOS];
    int count[SILOS] = {0};
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        int n = 0;
        ck_assert_int_eq(gr_sample_silos(9, round, SILOS, TAKEN, NULL, selected), GR_OK);
        for (int i = 0; i < SILOS; i++) {
            n += selected[i];
            count[i] += selected[i];
        }
        ck_assert_int_eq(n, TAKEN);
    }
    /* Each silo: binomial, mean 700, standard deviation 23; five of them. */
    for (int i = 0; i < SILOS; i++)
        ck_assert_double_lt(fabs(count[i] - 700.0), 5 * 23.2);
    ck_assert_int_eq(gr_sample_silos(9, ROUNDS, SILOS, TAKEN, NULL, again), GR_OK);
    ck_assert_mem_eq(selected, again, SILOS);
    ck_assert_int_eq(gr_sample_silos(9, 1, SILOS, 0, NULL, selected), GR_OK);
    ck_assert_ptr_null(memchr(selected, 0, SILOS));
    ck_assert_int_eq(gr_sample_silos(9, 1, SILOS, 100, NULL, selected), GR_OK);
    ck_assert_ptr_null(memchr(selected, 0, SILOS));
}
END_TEST

/* Who is not there is passed over: the others stay selected, the next of the draw come in. */
START_TEST(sample_passes_over_the_absent) {
    enum { SILOS = 30, TAKEN = 7 };
    uint8_t all[SILOS], selected[SILOS], present[SILOS];
    for (uint32_t round = 1; round <= 500; round++) {
        int n = 0, kept = 0, stay = 0;
        ck_assert_int_eq(gr_sample_silos(9, round, SILOS, TAKEN, NULL, all), GR_OK);
        for (uint32_t i = 0; i < SILOS; i++)
            present[i] = (i + round) % 3 != 0;
        ck_assert_int_eq(gr_sample_silos(9, round, SILOS, TAKEN, present, selected), GR_OK);
        for (int i = 0; i < SILOS; i++) {
            ck_assert(!selected[i] || present[i]);
            n += selected[i];
            stay += all[i] && present[i];
            kept += all[i] && selected[i];
        }
        ck_assert_int_eq(n, TAKEN);
        ck_assert_int_eq(kept, stay);
    }
    memset(present, 0, SILOS);
    present[4] = present[29] = 1;
    ck_assert_int_eq(gr_sample_silos(9, 1, SILOS, TAKEN, present, selected), GR_OK);
    ck_assert_mem_eq(selected, present, SILOS);
    ck_assert_int_eq(gr_sample_silos(9, 1, SILOS, 0, present, selected), GR_OK);
    ck_assert_mem_eq(selected, present, SILOS);
}
END_TEST

/* Every silo on exactly one rank, no rank more than one silo above another. */
START_TEST(placement_is_a_partition) {
    enum gr_placement placement = _i ? GR_PLACEMENT_CYCLIC : GR_PLACEMENT_BLOCK;
    for (uint32_t silos = 1; silos < 40; silos++)
        for (int size = 1; size <= (int)silos; size++) {
            int host[40];
            size_t least = 40, most = 0;
            memset(host, -1, sizeof host);
            for (int rank = 0; rank < size; rank++) {
                uint32_t mine[40];
                size_t n;
                gr_place_silos(placement, silos, rank, size, mine, &n);
                least = n < least ? n : least;
                most = n > most ? n : most;
                for (size_t i = 0; i < n; i++) {
                    ck_assert_int_eq(host[mine[i]], -1);
                    ck_assert(i == 0 || mine[i] > mine[i - 1]);
                    host[mine[i]] = rank;
                }
            }
            for (uint32_t i = 0; i < silos; i++)
                ck_assert_int_ne(host[i], -1);
            ck_assert_uint_ge(least, 1);
            ck_assert_uint_le(most - least, 1);
        }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("federation");
    TCase *tests = tcase_create("federation");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_test(tests, fedavg_adds_the_mean);
    tcase_add_test(tests, fedavgm_keeps_momentum);
    tcase_add_test(tests, sample_has_its_size);
    tcase_add_test(tests, sample_passes_over_the_absent);
    tcase_add_loop_test(tests, placement_is_a_partition, 0, 2);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
