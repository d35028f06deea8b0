/* SPDX-License-Identifier: Apache-2.0 */
/*
 * federation: strategies against the papers' formulas worked out by hand (McMahan et al. 2017,
 * algorithm 1; Hsu, Qi, Brown 2019, section 4; the others against NumPy in
 * tests/parallel/test_strategies.c), sampling against the mean of its distribution.
 */
#include <granary/federation.h>

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

START_TEST(fedavg_adds_the_mean) {
    const struct gr_strategy *strategy = gr_strategy_find("fedavg");
    struct gr_strategy_config config = {0};
    float w[3] = {1, -2, 2.385f}, mean[3] = {0.5f, 4, -1};
    const struct gr_server_step step = {.n = 3, .parameters = w, .mean = {mean}};
    gr_strategy_set(&config, "server_learning_rate", 0.5);
    ck_assert_uint_eq(strategy->n_server, 0);
    strategy->step(&config, &step);
    ck_assert_float_eq(w[0], 1.25f);
    ck_assert_float_eq(w[1], 0.0f);
    ck_assert_float_eq_tol(w[2], 1.885f, 1e-6f);
}
END_TEST

START_TEST(fedavgm_keeps_momentum) {
    const struct gr_strategy *strategy = gr_strategy_find("fedavgm");
    struct gr_strategy_config config = {0};
    float w = 1, v = 0;
    const float means[3] = {1, 2, -4};
    /* v: 1, 2.5, -2.75; w: 3, 8, 2.5 */
    const float momentum[3] = {1, 2.5f, -2.75f}, expected[3] = {3, 8, 2.5f};
    gr_strategy_set(&config, "server_learning_rate", 2);
    gr_strategy_set(&config, "server_momentum", 0.5);
    ck_assert_uint_eq(strategy->n_server, 1);
    for (int round = 0; round < 3; round++) {
        const struct gr_server_step step = {
            .n = 1, .parameters = &w, .mean = {&means[round]}, .server = {&v}};
        strategy->step(&config, &step);
        ck_assert_float_eq(v, momentum[round]);
        ck_assert_float_eq(w, expected[round]);
    }
}
END_TEST

enum { SILOS = 30, TAKEN = 7, ROUNDS = 3000 };

static bool is_flagged(const void *context, uint32_t silo) {
    const uint8_t *flags = context;
    return flags[silo] != 0;
}

static void sample(const struct gr_draw *draw, uint32_t round, const uint8_t *flags,
                   uint8_t *selected) {
    const struct gr_present present = {.is_present = is_flagged, .context = flags};
    struct gr_sampler *sampler;
    struct gr_flags found;
    ck_assert_int_eq(gr_sampler_create(draw, &sampler), GR_OK);
    ck_assert_int_eq(gr_flags_create(draw->n_silos, "silos", &found), GR_OK);
    ck_assert_int_eq(gr_sampler_draw(sampler, round, flags ? &present : NULL, &found), GR_OK);
    memcpy(selected, found.flag, draw->n_silos);
    gr_flags_release(&found);
    gr_sampler_free(sampler);
}

static int count(const uint8_t *flags, int n) {
    int sum = 0;
    for (int i = 0; i < n; i++)
        sum += flags[i];
    return sum;
}

/* Of the squares of 0 to 99 without 29 at either end: 0.29 of 100 is 28.999... in double. */
START_TEST(trim_is_rounded_down_once) {
    enum { N = 100 };
    const struct gr_strategy *strategy = gr_strategy_find("trimmed_mean");
    struct gr_strategy_config config = {0};
    static float value[N], work[N * GR_COMBINE_WIDTH];
    const float *row[N];
    float found;
    double expected = 0;
    gr_strategy_set(&config, "trim", 0.29);
    for (size_t i = 0; i < N; i++) {
        value[i] = (float)(i * i);
        row[i] = &value[i];
        if (i >= 29 && i < N - 29) expected += (double)(i * i) / (N - 2 * 29);
    }
    strategy->combine(&config, row, N, 1, work, &found);
    ck_assert(fabs((double)found - expected) < 1e-3);
}
END_TEST

/* The largest share that is allowed leaves the middle, of 2 n silos the mean of two: the median. */
START_TEST(trim_leaves_the_middle) {
    enum { MOST = 9 };
    const struct gr_strategy *strategy = gr_strategy_find("trimmed_mean");
    struct gr_strategy_config config = {0};
    static float work[MOST * GR_COMBINE_WIDTH];
    static const float value[MOST] = {0, 1, 4, 9, 16, 25, 36, 49, 64};
    const float *row[MOST];
    gr_strategy_set(&config, "trim", nextafter(0.5, 0));
    for (size_t n = 1; n <= MOST; n++) {
        float found;
        row[n - 1] = &value[n - 1];
        strategy->combine(&config, row, n, 1, work, &found);
        ck_assert_float_eq(found, (value[(n - 1) / 2] + value[n / 2]) / 2);
    }
}
END_TEST

START_TEST(sample_has_its_size) {
    struct gr_round_config config = {.participants = TAKEN};
    const struct gr_draw draw = {.seed = 9, .n_silos = SILOS, .round = &config};
    uint8_t selected[SILOS], again[SILOS];
    int times[SILOS] = {0};
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        sample(&draw, round, NULL, selected);
        for (int i = 0; i < SILOS; i++)
            times[i] += selected[i];
        ck_assert_int_eq(count(selected, SILOS), TAKEN);
    }
    /* Each silo: binomial, mean 700, standard deviation 23; five of them. */
    for (int i = 0; i < SILOS; i++)
        ck_assert_double_lt(fabs(times[i] - 700.0), 5 * 23.2);
    sample(&draw, ROUNDS, NULL, again);
    ck_assert_mem_eq(selected, again, SILOS);
    config.participants = 0;
    sample(&draw, 1, NULL, selected);
    ck_assert_int_eq(count(selected, SILOS), SILOS);
    config.participants = 100;
    sample(&draw, 1, NULL, selected);
    ck_assert_int_eq(count(selected, SILOS), SILOS);
}
END_TEST

/*
 * Drawn one after the other in proportion to size, of 1, 2, 3, 4 two come out as often as the
 * sum over the first of p_i p_j / (1 - p_i) says: 0.2345, 0.4413, 0.6083, 0.7159 (worked out with
 * fractions: 197/840, 139/315, 73/120, 451/630).
 */
START_TEST(sample_by_size_is_successive) {
    static const double expected[4] = {197 / 840.0, 139 / 315.0, 73 / 120.0, 451 / 630.0};
    static const int64_t sizes[5] = {1, 2, 3, 4, 0};
    const struct gr_round_config config = {.participants = 2, .sampling = GR_SAMPLING_SIZE};
    const struct gr_draw draw = {.seed = 9, .n_silos = 5, .round = &config, .sizes = sizes};
    enum { DRAWS = 20000 };
    uint8_t selected[5];
    int times[5] = {0};
    for (uint32_t round = 1; round <= DRAWS; round++) {
        sample(&draw, round, NULL, selected);
        ck_assert_int_eq(count(selected, 5), 2);
        for (int i = 0; i < 5; i++)
            times[i] += selected[i];
    }
    for (int i = 0; i < 4; i++) /* five standard deviations */
        ck_assert_double_lt(fabs(times[i] - DRAWS * expected[i]),
                            5 * sqrt(DRAWS * expected[i] * (1 - expected[i])));
    ck_assert_int_eq(times[4], 0);
}
END_TEST

START_TEST(cyclic_takes_all_in_turn) {
    const struct gr_round_config config = {.participants = TAKEN, .sampling = GR_SAMPLING_CYCLIC};
    const struct gr_draw draw = {.seed = 9, .n_silos = SILOS, .round = &config};
    uint8_t selected[SILOS];
    for (uint32_t round = 1; round <= 200; round++) {
        sample(&draw, round, NULL, selected);
        ck_assert_int_eq(count(selected, SILOS), TAKEN);
        for (uint32_t i = 0; i < TAKEN; i++)
            ck_assert(selected[((round - 1) * TAKEN + i) % SILOS]);
    }
}
END_TEST

/* Silos with names, by number in the list of all: in another order, and without number 2. */
static void name_silos(struct gr_silo_config *silos, const int *number, int n) {
    static char names[SILOS][12];
    for (int i = 0; i < n; i++) {
        snprintf(names[number[i]], sizeof names[0], "n%d", number[i]);
        silos[i] = (struct gr_silo_config){.name = names[number[i]]};
    }
}

/* Flags by number. */
static void sample_named(const struct gr_round_config *round, const int *number, int n, uint32_t at,
                         bool without_2, uint8_t by_number[SILOS]) {
    struct gr_silo_config silos[SILOS];
    int64_t sizes[SILOS];
    uint8_t present[SILOS], selected[SILOS];
    name_silos(silos, number, n);
    for (int i = 0; i < n; i++) {
        sizes[i] = 1 + number[i] % 5;
        present[i] = !(without_2 && number[i] == 2);
    }
    const struct gr_config config = {.silos = silos, .silos_count = (unsigned)n};
    const struct gr_draw draw = {.seed = 9,
                                 .n_silos = (uint32_t)n,
                                 .round = round,
                                 .sizes = round->sampling == GR_SAMPLING_SIZE ? sizes : NULL,
                                 .named = &config};
    sample(&draw, at, present, selected);
    memset(by_number, 0, SILOS);
    for (int i = 0; i < n; i++)
        by_number[number[i]] = selected[i];
}

/* Neither the order of silos nor one that is away or was never there moves the draw of others. */
START_TEST(named_silos_draw_for_themselves) {
    static const enum gr_sampling ways[] = {GR_SAMPLING_UNIFORM, GR_SAMPLING_SIZE};
    int in_order[SILOS], turned[SILOS], fewer[SILOS], n_fewer = 0, times[SILOS] = {0};
    uint8_t want[SILOS], found[SILOS];
    for (int i = 0; i < SILOS; i++) {
        in_order[i] = i;
        turned[i] = (7 * i + 3) % SILOS;
        if (turned[i] != 2) fewer[n_fewer++] = turned[i];
    }
    for (size_t way = 0; way < 2; way++) {
        const struct gr_round_config round = {.participants = TAKEN, .sampling = ways[way]};
        for (uint32_t at = 1; at <= ROUNDS; at++) {
            sample_named(&round, in_order, SILOS, at, false, want);
            sample_named(&round, turned, SILOS, at, false, found);
            ck_assert_mem_eq(found, want, SILOS);
            for (int i = 0; way == 0 && i < SILOS; i++)
                times[i] += want[i];
            sample_named(&round, in_order, SILOS, at, true, want);
            sample_named(&round, fewer, n_fewer, at, false, found);
            ck_assert_mem_eq(found, want, SILOS);
            ck_assert_int_eq(count(found, SILOS), TAKEN);
        }
    }
    for (int i = 0; i < SILOS; i++) /* as in sample_has_its_size */
        ck_assert_double_lt(fabs(times[i] - 700.0), 5 * 23.2);
}
END_TEST

/* In the order of names, which is not that of numbers: n10 comes before n2. */
START_TEST(named_silos_take_turns_by_name) {
    const struct gr_round_config round = {.participants = 2, .sampling = GR_SAMPLING_CYCLIC};
    static const int number[4] = {2, 10, 1, 20}, want[2][2] = {{1, 10}, {2, 20}};
    uint8_t found[SILOS];
    for (uint32_t at = 1; at <= 4; at++) {
        sample_named(&round, number, 4, at, false, found);
        ck_assert_int_eq(count(found, SILOS), 2);
        ck_assert(found[want[(at - 1) % 2][0]] && found[want[(at - 1) % 2][1]]);
    }
}
END_TEST

START_TEST(listed_silos_come_and_go) {
    uint32_t early[] = {0, 1, 2}, late[] = {2, 3};
    struct gr_availability_config entries[] = {
        {.silos = early, .silos_count = 3, .from = 1, .to = 4},
        {.silos = late, .silos_count = 2, .from = 6, .to = 0}};
    struct gr_round_config config = {
        .sampling = GR_SAMPLING_LIST, .availability = entries, .availability_count = 2};
    const struct gr_draw draw = {.seed = 9, .n_silos = 6, .round = &config};
    static const uint8_t expected[8][6] = {
        {1, 1, 1, 0, 1, 1}, {1, 1, 1, 0, 1, 1}, {1, 1, 1, 0, 1, 1}, {1, 1, 1, 0, 1, 1},
        {0, 0, 0, 0, 1, 1}, {0, 0, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1}, {0, 0, 1, 1, 1, 1}};
    uint8_t selected[6];
    for (uint32_t round = 1; round <= 8; round++) {
        config.participants = 0;
        sample(&draw, round, NULL, selected);
        ck_assert_mem_eq(selected, expected[round - 1], 6);
        config.participants = 3; /* of whom there are: two in round 5 */
        sample(&draw, round, NULL, selected);
        ck_assert_int_eq(count(selected, 6), round == 5 ? 2 : 3);
        for (int i = 0; i < 6; i++)
            ck_assert(selected[i] <= expected[round - 1][i]);
    }
}
END_TEST

/* Who is not there is passed over: the others stay selected, the next of the draw come in. */
START_TEST(sample_passes_over_the_absent) {
    int64_t sizes[SILOS];
    struct gr_round_config config = {.participants = TAKEN, .sampling = (enum gr_sampling)_i};
    const struct gr_draw draw = {.seed = 9,
                                 .n_silos = SILOS,
                                 .round = &config,
                                 .sizes = _i == GR_SAMPLING_SIZE ? sizes : NULL};
    uint8_t all[SILOS], selected[SILOS], present[SILOS];
    for (int i = 0; i < SILOS; i++)
        sizes[i] = 10 + i % 7;
    for (uint32_t round = 1; round <= 500; round++) {
        int n = 0, kept = 0, stay = 0;
        sample(&draw, round, NULL, all);
        for (uint32_t i = 0; i < SILOS; i++)
            present[i] = (i + round) % 3 != 0;
        sample(&draw, round, present, selected);
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
    sample(&draw, 1, present, selected);
    ck_assert_mem_eq(selected, present, SILOS);
    config.participants = 0;
    sample(&draw, 1, present, selected);
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
    tcase_add_test(tests, trim_is_rounded_down_once);
    tcase_add_test(tests, trim_leaves_the_middle);
    tcase_add_test(tests, sample_has_its_size);
    tcase_add_loop_test(tests, sample_passes_over_the_absent, GR_SAMPLING_UNIFORM,
                        GR_SAMPLING_CYCLIC + 1);
    tcase_add_test(tests, sample_by_size_is_successive);
    tcase_add_test(tests, cyclic_takes_all_in_turn);
    tcase_add_test(tests, listed_silos_come_and_go);
    tcase_add_test(tests, named_silos_draw_for_themselves);
    tcase_add_test(tests, named_silos_take_turns_by_name);
    tcase_add_loop_test(tests, placement_is_a_partition, 0, 2);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
