/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Budgets: the quick bound is one, and as quick as a round needs; the rounds that fit do, and a few
 * more would not.
 *
 * slow: privacy losses are composed for hundreds of numbers of rounds.
 */
#include "privacy/budget.h"

#include "scratch.h"

#include <math.h>

static const struct gr_privacy_event earlier[] = {{1.5, 0.01, 300, 1e-12}, {6, 1, 2, 0}};
static const struct gr_privacy_history nothing = {GR_ADJACENCY_ADD_REMOVE, NULL, 0},
                                       spent = {GR_ADJACENCY_ADD_REMOVE, earlier, 2};

static double upper(const struct gr_private_rounds *rounds, uint64_t count) {
    struct gr_epsilon epsilon;
    MUST(gr_budget_account(rounds, count, &epsilon));
    return epsilon.upper;
}

static uint64_t fits(const struct gr_private_rounds *rounds, double epsilon, uint64_t most) {
    uint64_t count = 12345;
    MUST(gr_budget_rounds(rounds, epsilon, most, &count));
    ck_assert_uint_le(count, most);
    return count;
}

/* The accountant's own quick answer is at the best of all orders; the budget's at one near it. */
static void check_quick(const struct gr_private_rounds *rounds) {
    struct gr_budget budget;
    double before = 0;
    MUST(gr_budget_start(rounds, &budget));
    for (uint64_t count = 0; count < 200; count = 7 * count + 1) {
        struct gr_epsilon epsilon;
        const double quick = gr_budget_epsilon(&budget, count);
        MUST(gr_budget_account(rounds, count, &epsilon));
        ck_assert_double_ge(quick, epsilon.renyi * (1 - 1e-9));
        ck_assert_double_le(quick, epsilon.renyi * 1.02);
        ck_assert_double_gt(quick, before);
        before = quick;
    }
}

START_TEST(the_quick_bound_is_a_bound) {
    const struct gr_privacy_event round[] = {{1.1, 0.004, 117, 1e-13}, {20, 1, 1, 0}};
    const struct gr_private_rounds sampled = {spent, round, 2, 1e-6},
                                   replaced = {
                                       {GR_ADJACENCY_REPLACE, earlier + 1, 1}, round + 1, 1, 1e-6};
    check_quick(&sampled);
    check_quick(&replaced);
}
END_TEST

/* Rounds of the kind of those before are one kind with them. */
START_TEST(rounds_behind_what_was_spent) {
    const struct gr_privacy_event round = {2, 1, 3, 0}, five = {2, 1, 15, 0};
    const struct gr_private_rounds behind = {{GR_ADJACENCY_REPLACE, &five, 1}, &round, 1, 1e-5},
                                   alone = {{GR_ADJACENCY_REPLACE, NULL, 0}, &round, 1, 1e-5};
    ck_assert_double_eq(upper(&behind, 5), upper(&alone, 10));
    ck_assert_double_eq(upper(&behind, 0), upper(&alone, 5));
    ck_assert_double_eq(upper(&alone, 0), 0);
    ck_assert_double_eq_tol(upper(&alone, 10), gr_gaussian_epsilon(sqrt(30), 1e-5), 1e-9);
}
END_TEST

static void check_rounds(struct gr_privacy_history before, const struct gr_privacy_event *round,
                         size_t n, double epsilon, double delta) {
    const struct gr_private_rounds rounds = {before, round, n, delta};
    const uint64_t count = fits(&rounds, epsilon, 1000000000);
    ck_assert_double_le(upper(&rounds, count), epsilon);
    ck_assert_double_gt(upper(&rounds, count + count / 50 + 2), epsilon);
}

START_TEST(the_rounds_that_fit) {
    const struct gr_privacy_event dpsgd[] = {{1.1, 256.0 / 60000, 235, 1e-14}},
                                  sums[] = {{30, 1, 1, 0}},
                                  both[] = {{1, 0.01, 10, 1e-13}, {50, 1, 1, 0}};
    check_rounds(nothing, dpsgd, 1, 3, 1e-5);
    check_rounds(spent, dpsgd, 1, 3, 1e-6);
    check_rounds(nothing, sums, 1, 1, 1e-6);
    check_rounds(nothing, both, 2, 2, 1e-7);
}
END_TEST

START_TEST(ends_of_a_budget) {
    const struct gr_privacy_event round = {1.1, 0.004, 117, 0}, costly = {0.05, 1, 1, 0},
                                  leaky = {1e6, 1, 1, 1e-7}, many = {1e6, 1e-6, 1000000, 0};
    const struct gr_private_rounds usual = {nothing, &round, 1, 1e-5},
                                   more = {spent, &round, 1, 1e-5},
                                   dear = {nothing, &costly, 1, 1e-5},
                                   loose = {nothing, &leaky, 1, 1e-5},
                                   long_ones = {nothing, &many, 1, 1e-5};
    ck_assert_uint_eq(fits(&usual, 1000, 50), 50);
    ck_assert_uint_eq(fits(&usual, 3, 0), 0);
    ck_assert_uint_eq(fits(&more, 0.1, 50), 0); /* it is spent */
    ck_assert_uint_eq(fits(&dear, 3, 50), 0);
    /* Delta is used up: 1e-5 has room for less than 100 times 1e-7. */
    ck_assert_uint_eq(fits(&loose, 3, 1000), 99);
    struct gr_budget budget;
    MUST(gr_budget_start(&loose, &budget));
    ck_assert(isinf(gr_budget_epsilon(&budget, 100)));
    /* No more steps than an accountant takes. */
    ck_assert_uint_eq(fits(&long_ones, 3, 1000000), 100);
}
END_TEST

START_TEST(what_cannot_be_accounted_for) {
    const struct gr_privacy_event bad[] = {
        {0, 1, 1, 0}, {1, 0, 1, 0}, {1, 1, 0, 0}, {NAN, 1, 1, 0}};
    const struct gr_privacy_event sampled = {1, 0.5, 1, 0}, good = {1, 1, 1, 0};
    const struct gr_private_rounds replace = {{GR_ADJACENCY_REPLACE, NULL, 0}, &sampled, 1, 1e-5},
                                   no_delta = {nothing, &good, 1, 0};
    struct gr_budget budget;
    uint64_t count;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        const struct gr_private_rounds rounds = {nothing, &bad[i], 1, 1e-5};
        ck_assert_int_eq(gr_budget_start(&rounds, &budget), GR_ERROR_CONFIG);
        ck_assert_int_eq(gr_budget_rounds(&rounds, 1, 9, &count), GR_ERROR_CONFIG);
    }
    ck_assert_int_eq(gr_budget_start(&replace, &budget), GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_budget_start(&no_delta, &budget), GR_ERROR_CONFIG);
}
END_TEST

RUN_TESTS("budgets", the_quick_bound_is_a_bound, rounds_behind_what_was_spent, the_rounds_that_fit,
          ends_of_a_budget, what_cannot_be_accounted_for)
