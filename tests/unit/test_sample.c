/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The draw of federations of any size: against an implementation of its own in Python
 * (analysis/peers/reference_sample.py), and its frequencies against closed forms.
 */
#include <granary/federation.h>

#include <check.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sample_reference.h"

enum { LARGE = GR_SAMPLE_WHOLE_MAX + 3616, TAKEN = 10 }; /* 20,000 silos */

struct sample {
    struct gr_round_config config;
    int64_t *sizes; /* n; NULL: not by size */
    struct gr_sampler *sampler;
    struct gr_flags selected;
};

/* Sizes as the reference has them. */
static int64_t size_of(uint32_t silo) {
    return (int64_t)((uint64_t)silo * silo % 11 * (silo % 97 == 0 ? 1000 : 1));
}

static void begin(struct sample *s, enum gr_sampling sampling, uint64_t seed, uint32_t n,
                  uint32_t participants, int64_t (*size)(uint32_t silo)) {
    *s = (struct sample){.config = {.participants = participants, .sampling = sampling}};
    if (sampling == GR_SAMPLING_SIZE) s->sizes = malloc(n * sizeof *s->sizes);
    for (uint32_t i = 0; s->sizes && i < n; i++)
        s->sizes[i] = size(i);
    const struct gr_draw draw = {
        .seed = seed, .n_silos = n, .round = &s->config, .sizes = s->sizes};
    ck_assert_int_eq(gr_sampler_create(&draw, &s->sampler), GR_OK);
    ck_assert_int_eq(gr_flags_create(n, "silos", &s->selected), GR_OK);
}

static void end(struct sample *s) {
    gr_sampler_free(s->sampler);
    gr_flags_release(&s->selected);
    free(s->sizes);
}

static void draw(struct sample *s, uint32_t round, const struct gr_present *present) {
    ck_assert_int_eq(gr_sampler_draw(s->sampler, round, present, &s->selected), GR_OK);
}

static bool divides_not(const void *context, uint32_t silo) {
    return silo % *(const uint32_t *)context != 0;
}

static bool is_below(const void *context, uint32_t silo) {
    return silo < *(const uint32_t *)context;
}

/* Drawn alone, and behind other draws of the same sampler, which must leave nothing behind. */
START_TEST(draw_is_the_reference) {
    const struct gr_present present = {divides_not, &drawn[_i].away};
    const struct gr_present *there = drawn[_i].away ? &present : NULL;
    uint32_t n = 0;
    struct sample s;
    begin(&s, drawn[_i].sampling, drawn[_i].seed, drawn[_i].n, drawn[_i].participants, size_of);
    while (n < drawn[_i].participants && (n == 0 || drawn[_i].silos[n] > drawn[_i].silos[n - 1]))
        n++; /* a federation may have fewer silos that can be drawn */
    for (uint32_t other = 0; other < 4; other++) {
        draw(&s, drawn[_i].round, there);
        ck_assert_uint_eq(s.selected.n_set, n);
        ck_assert_mem_eq(s.selected.set, drawn[_i].silos, n * sizeof *s.selected.set);
        draw(&s, drawn[_i].round + 1 + other, other % 2 ? there : NULL);
    }
    end(&s);
}
END_TEST

/* Counts of 200 silos each. That a round draws no silo twice takes 1 / 2,000 off their variance. */
START_TEST(large_draw_is_uniform) {
    enum { ROUNDS = 4000, BINS = 100 };
    const double expected = (double)ROUNDS * TAKEN / BINS;
    int count[BINS] = {0};
    double chi = 0;
    struct sample s;
    begin(&s, GR_SAMPLING_UNIFORM, 11, LARGE, TAKEN, NULL);
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        draw(&s, round, NULL);
        ck_assert_uint_eq(s.selected.n_set, TAKEN);
        for (uint32_t i = 0; i < TAKEN; i++)
            count[s.selected.set[i] * BINS / LARGE]++;
    }
    for (int i = 0; i < BINS; i++)
        chi += pow(count[i] - expected, 2) / expected;
    /* Chi-squared with 99 degrees of freedom: 161.6 is exceeded, and 52.6 not reached, with
     * probability 7e-5 and 3e-5 (SciPy). */
    ck_assert_double_lt(chi, 161.6);
    ck_assert_double_gt(chi, 52.6);
    end(&s);
}
END_TEST

/* Four classes of 1, 2, 3, 4 rows, but silo 0 has half of all. */
static int64_t classes(uint32_t silo) {
    return silo == 0 ? LARGE * 5 / 2 : 1 + silo % 4;
}

/*
 * Of two drawn one after the other a silo is one with probability p_i + sum over the first j of
 * p_j p_i / (1 - p_j).
 */
START_TEST(large_draw_by_size_is_successive) {
    enum { ROUNDS = 20000 };
    double total = 0, others = 0, expected[5] = {0}, chi = 0;
    int count[5] = {0};
    struct sample s;
    begin(&s, GR_SAMPLING_SIZE, 12, LARGE, 2, classes);
    for (uint32_t i = 0; i < LARGE; i++)
        total += (double)s.sizes[i];
    for (uint32_t i = 0; i < LARGE; i++)
        others += (double)s.sizes[i] / total / (1 - (double)s.sizes[i] / total);
    for (uint32_t i = 0; i < LARGE; i++) {
        const double p = (double)s.sizes[i] / total;
        expected[i == 0 ? 4 : i % 4] += ROUNDS * p * (1 + others - p / (1 - p));
    }
    for (uint32_t round = 1; round <= ROUNDS; round++) {
        draw(&s, round, NULL);
        ck_assert_uint_eq(s.selected.n_set, 2);
        for (uint32_t i = 0; i < 2; i++)
            count[s.selected.set[i] == 0 ? 4 : s.selected.set[i] % 4]++;
    }
    for (int i = 0; i < 4; i++)
        chi += pow(count[i] - expected[i], 2) / expected[i];
    /* Chi-squared with 4 degrees of freedom at most: 23.5 has probability 1e-4. */
    ck_assert_double_lt(chi, 23.5);
    ck_assert_double_lt(fabs(count[4] - expected[4]),
                        4 * sqrt(expected[4] * (1 - expected[4] / ROUNDS)));
    end(&s);
}
END_TEST

/* Who is not there is passed over: the others stay, the next of the draw come in; and where fewer
 * are there than are asked for, all of them are taken. */
START_TEST(large_draw_passes_over_the_absent) {
    const uint32_t third = 3, few = 4;
    const struct gr_present most = {divides_not, &third}, hardly_any = {is_below, &few};
    struct gr_flags all;
    struct sample s;
    begin(&s, (enum gr_sampling)_i, 13, LARGE, TAKEN, classes);
    ck_assert_int_eq(gr_flags_create(LARGE, "silos", &all), GR_OK);
    for (uint32_t round = 1; round <= 300; round++) {
        ck_assert_int_eq(gr_sampler_draw(s.sampler, round, NULL, &all), GR_OK);
        draw(&s, round, &most);
        ck_assert_uint_eq(s.selected.n_set, TAKEN);
        for (uint32_t i = 0; i < TAKEN; i++) {
            ck_assert(s.selected.set[i] % third != 0);
            if (all.set[i] % third) ck_assert(s.selected.flag[all.set[i]]);
        }
    }
    draw(&s, 1, &hardly_any);
    ck_assert_uint_eq(s.selected.n_set, few);
    for (uint32_t i = 0; i < few; i++)
        ck_assert_uint_eq(s.selected.set[i], i);
    gr_flags_release(&all);
    end(&s);
}
END_TEST

static int64_t hardly_any_rows(uint32_t silo) {
    return silo % 30 == 7 && silo < 100;
}

/* A silo without rows is not drawn, though more are asked for than have any. */
START_TEST(without_rows_never) {
    static const uint32_t expected[] = {7, 37, 67, 97};
    struct sample s;
    begin(&s, GR_SAMPLING_SIZE, 14, _i ? LARGE : 100, TAKEN, hardly_any_rows);
    for (uint32_t round = 1; round <= 20; round++) {
        draw(&s, round, NULL);
        ck_assert_uint_eq(s.selected.n_set, 4);
        ck_assert_mem_eq(s.selected.set, expected, sizeof expected);
    }
    end(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("sample");
    TCase *tests = tcase_create("sample");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, draw_is_the_reference, 0, (int)(sizeof drawn / sizeof *drawn));
    tcase_add_test(tests, large_draw_is_uniform);
    tcase_add_test(tests, large_draw_by_size_is_successive);
    tcase_add_loop_test(tests, large_draw_passes_over_the_absent, GR_SAMPLING_UNIFORM,
                        GR_SAMPLING_CYCLIC + 1);
    tcase_add_loop_test(tests, without_rows_never, 0, 2);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
