/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounting of differential privacy, against: the binomial sum for Renyi divergences of whole
 * orders (tests/unit/renyi_vectors.py, 60 digits); the closed form of one sampled step; the closed
 * form of Gaussian sums; and figures that others have published with their programs: Opacus'
 * accountants_test.py, and rdp_privacy_accountant_test.py and pld_privacy_accountant_test.py of
 * Google's dp_accounting.
 *
 * slow: losses of many steps are composed.
 */
#include "privacy/accounting.h"

#include "scratch.h"

#include <math.h>

#include "renyi_vectors.h"

static struct gr_epsilon account(enum gr_adjacency adjacency, const struct gr_privacy_event *events,
                                 size_t n, double delta) {
    const struct gr_privacy_history history = {adjacency, events, n};
    struct gr_epsilon epsilon;
    MUST(gr_accounting_epsilon(&history, delta, &epsilon));
    ck_assert(epsilon.lower >= 0 && epsilon.lower <= epsilon.upper);
    return epsilon;
}

static struct gr_epsilon account_one(double z, double q, uint64_t count, double delta) {
    const struct gr_privacy_event event = {z, q, count, 0};
    return account(GR_ADJACENCY_ADD_REMOVE, &event, 1, delta);
}

/* ---- Renyi divergences ---------------------------------------------------------------------- */

START_TEST(divergences_of_whole_orders) {
    for (size_t i = 0; i < sizeof renyi_vectors / sizeof *renyi_vectors; i++)
        ck_assert_double_eq_tol(
            gr_renyi_divergence(renyi_vectors[i].z, renyi_vectors[i].q, renyi_vectors[i].order) /
                renyi_vectors[i].divergence,
            1, 1e-9);
}
END_TEST

/* dp_accounting, test_compute_rdp_poisson_sampled_gaussian: 50 steps, z 2.5, q .01; its figure of
 * order 1.5 is an upper bound by a cut series, 3 % above. */
START_TEST(divergences_published) {
    static const double order[] = {2.5, 5, 50, 100}, divergence[] = {1.08548710e-03, 2.18075656e-03,
                                                                     2.38460375e-02, 1.67416308e02};
    for (int i = 0; i < 4; i++)
        ck_assert_double_eq_tol(50 * gr_renyi_divergence(2.5, 0.01, order[i]) / divergence[i], 1,
                                1e-4);
    ck_assert_double_le(50 * gr_renyi_divergence(2.5, 0.01, 1.5), 6.70579741e-04);
}
END_TEST

/* The divergence grows with the order, with q, and falls with z; between whole orders too. */
START_TEST(divergences_are_monotone) {
    for (double z = 0.06; z < 40; z *= 1.9)
        for (double q = 1e-5; q < 1; q *= 7) {
            double before = 0;
            for (double order = 1.01; order < 300; order *= 1.3) {
                const double d = gr_renyi_divergence(z, q, order);
                ck_assert_msg(d > before * (1 - 1e-9), "z %g q %g order %g: %g after %g", z, q,
                              order, d, before);
                ck_assert(d <= order / (2 * z * z));
                ck_assert(d >= gr_renyi_divergence(z * 1.1, q, order) * (1 - 1e-9));
                before = d;
            }
        }
}
END_TEST

/* Opacus' RDPAccountant searches some orders only, and is so a little above the best one. */
START_TEST(renyi_epsilon_published) {
    static const struct {
        double z, q;
        uint64_t count;
        double delta, epsilon;
    } published[] = {{1.5, 0.04, 2250, 1e-5, 7.32911117143},
                     {1.416, 0.04, 2250, 1e-5, 8},
                     {1.3562, 0.04, 2000, 1e-5, 8},
                     {4.530877117, 1, 1, 1e-6, 1.0}};
    for (size_t i = 0; i < sizeof published / sizeof *published; i++) {
        const struct gr_epsilon epsilon =
            account_one(published[i].z, published[i].q, published[i].count, published[i].delta);
        ck_assert_double_eq_tol(epsilon.renyi / published[i].epsilon, 1, 5e-3);
        ck_assert_double_le(epsilon.upper, epsilon.renyi);
    }
}
END_TEST

/* ---- distributions of the loss -------------------------------------------------------------- */

/* dp_accounting, test_gaussian_basic and test_poisson_subsampled_gaussian. */
START_TEST(loss_published) {
    struct gr_epsilon epsilon = account_one(sqrt(3), 1, 3, 0.126936);
    ck_assert(epsilon.exact);
    ck_assert_double_eq_tol(epsilon.upper, 1, 1e-5);
    epsilon = account_one(0.5, 0.2, 3, 0.15594);
    ck_assert(!epsilon.exact);
    ck_assert_double_eq_tol(epsilon.lower, 1, 5e-4);
    ck_assert_double_eq_tol(epsilon.upper, 1, 5e-4);
}
END_TEST

static double upper_tail(double x) {
    return erfc(x / M_SQRT2) / 2;
}

/* The exact delta of one sampled step: P(x > t) - e^epsilon Q(x > t) for the x at which the loss is
 * epsilon, and the same with P and Q exchanged and x below. */
static double delta_of_one(double z, double q, double epsilon) {
    const double t = z * z * log1p(expm1(epsilon) / q) + 0.5, back = expm1(-epsilon) / q;
    const double remove = (1 - q) * upper_tail(t / z) + q * upper_tail((t - 1) / z) -
                          exp(epsilon) * upper_tail(t / z);
    if (back <= -1) return remove;
    const double s = z * z * log1p(back) + 0.5;
    const double add = upper_tail(-s / z) -
                       exp(epsilon) * ((1 - q) * upper_tail(-s / z) + q * upper_tail((1 - s) / z));
    return fmax(remove, add);
}

START_TEST(loss_of_one_step_encloses_the_closed_form) {
    for (double z = 0.3; z < 20; z *= 5)
        for (double q = 1e-3; q < 1; q *= 12)
            for (double epsilon = 0.01; epsilon < 3; epsilon *= 16) {
                const double delta = delta_of_one(z, q, epsilon);
                if (!(delta > 1e-12)) continue;
                const struct gr_epsilon found = account_one(z, q, 1, delta);
                ck_assert_msg(found.lower <= epsilon * (1 + 1e-9) + 1e-9 &&
                                  found.upper >= epsilon * (1 - 1e-9) - 1e-9,
                              "z %g q %g delta %g: %.12g is not in [%.12g, %.12g]", z, q, delta,
                              epsilon, found.lower, found.upper);
                ck_assert_msg(found.upper - found.lower <= fmax(0.01 * epsilon, 0.01),
                              "z %g q %g delta %g: [%.12g, %.12g]", z, q, delta, found.lower,
                              found.upper);
            }
}
END_TEST

/* Without sampling the distributions are held against the exact formula, which
 * gr_accounting_epsilon would take: several kinds of steps, and deltas that are smaller than
 * rounding. */
START_TEST(loss_of_gaussian_sums_encloses_the_closed_form) {
    const struct gr_privacy_event events[] = {{10, 1, 50, 0}, {5, 1, 50, 0}, {3, 1, 1, 0}};
    const struct gr_privacy_history history = {GR_ADJACENCY_ADD_REMOVE, events, 3};
    const double mu = sqrt(50 / 100. + 50 / 25. + 1 / 9.);
    for (double delta = 0.3; delta > 1e-45; delta *= 1e-11) {
        struct gr_loss_bounds bounds;
        const double exact = gr_gaussian_epsilon(mu, delta);
        const struct gr_renyi_bound renyi = gr_renyi_epsilon(&history, delta);
        ck_assert_double_ge(renyi.epsilon, exact);
        MUST(gr_loss_epsilon(&history, delta, &renyi, 0, &bounds));
        ck_assert_msg(bounds.lower <= exact && exact <= bounds.upper,
                      "delta %g: %.12g is not in [%.12g, %.12g]", delta, exact, bounds.lower,
                      bounds.upper);
        ck_assert_double_le(bounds.upper - bounds.lower, 0.01 * exact + 0.001);
    }
}
END_TEST

/* A side of a threshold is known before narrow bounds are, and it is the right one. */
START_TEST(a_side_of_a_threshold) {
    const struct gr_privacy_event event = {1.1, 256.0 / 60000, 2350, 0};
    const struct gr_privacy_history history = {GR_ADJACENCY_ADD_REMOVE, &event, 1};
    const struct gr_epsilon all = account_one(1.1, 256.0 / 60000, 2350, 1e-5);
    for (double factor = 0.5; factor < 2; factor *= 1.05) {
        double upper;
        const double threshold = all.upper * factor;
        MUST(gr_accounting_upper(&history, 1e-5, threshold, &upper));
        ck_assert_double_ge(upper, all.lower);
        if (factor < 1) ck_assert_double_gt(upper, threshold);
        if (factor > 1.02) ck_assert_double_le(upper, threshold);
    }
}
END_TEST

/* Two ways to tell of the same steps, and others that tell more. */
START_TEST(composition) {
    const struct gr_privacy_event once[] = {{1, 0.02, 300, 0}},
                                  parts[] = {{1, 0.02, 100, 0}, {1, 0.02, 200, 0}},
                                  more[] = {{1, 0.02, 300, 0}, {4, 1, 2, 0}};
    const struct gr_epsilon a = account(GR_ADJACENCY_ADD_REMOVE, once, 1, 1e-6),
                            b = account(GR_ADJACENCY_ADD_REMOVE, parts, 2, 1e-6),
                            c = account(GR_ADJACENCY_ADD_REMOVE, more, 2, 1e-6),
                            d = account(GR_ADJACENCY_ZERO_OUT, once, 1, 1e-6);
    ck_assert(a.lower <= b.upper && b.lower <= a.upper);
    ck_assert(c.lower > a.upper);
    ck_assert_double_eq(a.upper, d.upper);
    ck_assert_double_lt(account_one(1, 0.02, 300, 1e-5).upper, a.lower);
}
END_TEST

/* Rare sampling, many steps; little noise; each unit nearly always: bounds that are bounds. */
START_TEST(bounds_at_the_ends) {
    static const struct {
        double z, q;
        uint64_t count;
        double delta, width;
    } ends[] = {{0.5, 1e-4, 10000, 1e-7, 0.01},   {0.05, 0.01, 10, 1e-5, 0.01},
                {2, 0.99, 100, 1e-6, 0.01},       {100, 0.5, 10000, 1e-8, 0.01},
                {0.6, 1e-5, 1000000, 1e-5, 0.05}, {4, 1e-4, 100, 1e-5, 0.01},
                {1e6, 0.5, 100000000, 1e-9, 0.01}};
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const struct gr_epsilon e = account_one(ends[i].z, ends[i].q, ends[i].count, ends[i].delta);
        ck_assert_msg(e.upper - e.lower <= fmax(ends[i].width, 0.01 * e.upper),
                      "z %g q %g: [%g, %g]", ends[i].z, ends[i].q, e.lower, e.upper);
        ck_assert_double_ge(e.renyi, e.lower);
    }
    /* A unit is sampled at all with a probability above delta: the loss of one step is the least
     * that it may be. */
    ck_assert_double_gt(account_one(0.05, 0.01, 10, 1e-5).lower, 200);
}
END_TEST

/* ---- adjacency, added delta ----------------------------------------------------------------- */

/* Replacing a unit moves the sum by twice the clip norm: as with half the noise. */
START_TEST(replacement_counts_twice) {
    const struct gr_privacy_event event = {8, 1, 10, 0}, half = {4, 1, 10, 0};
    ck_assert_double_eq(account(GR_ADJACENCY_REPLACE, &event, 1, 1e-5).upper,
                        account(GR_ADJACENCY_ADD_REMOVE, &half, 1, 1e-5).upper);
}
END_TEST

START_TEST(added_delta_is_taken_off) {
    const struct gr_privacy_event event = {4, 1, 10, 5e-7}, none = {4, 1, 10, 0},
                                  all = {4, 1, 10, 1e-6};
    ck_assert_double_eq(account(GR_ADJACENCY_ADD_REMOVE, &event, 1, 1e-5).upper,
                        account(GR_ADJACENCY_ADD_REMOVE, &none, 1, 5e-6).upper);
    ck_assert(isinf(account(GR_ADJACENCY_ADD_REMOVE, &all, 1, 1e-5).upper));
    ck_assert_double_eq(account(GR_ADJACENCY_ADD_REMOVE, NULL, 0, 1e-5).upper, 0);
}
END_TEST

/* ---- noise ---------------------------------------------------------------------------------- */

/* Opacus, test_get_noise_multiplier_rdp_steps: 1.3562 by Renyi divergences; less is enough. */
START_TEST(noise_for_an_epsilon) {
    const struct gr_privacy_event before[] = {{40, 1, 2, 0}};
    const struct gr_privacy_history none = {GR_ADJACENCY_ADD_REMOVE, NULL, 0},
                                    some = {GR_ADJACENCY_ADD_REMOVE, before, 1};
    double z, more;
    MUST(gr_accounting_noise(&none, 0.04, 2000, 8, 1e-5, &z));
    ck_assert(z < 1.3562 && z > 1.25);
    ck_assert_double_le(account_one(z, 0.04, 2000, 1e-5).upper, 8);
    ck_assert_double_gt(account_one(z * 0.999, 0.04, 2000, 1e-5).upper, 8);
    MUST(gr_accounting_noise(&none, 1, 1, 1, 1e-6, &z)); /* dp_accounting: 4.530877117 by Renyi */
    ck_assert_double_eq_tol(gr_gaussian_delta(1 / z, 1) / 1e-6, 1, 2e-3);
    MUST(gr_accounting_noise(&some, 1, 1, 1, 1e-6, &more));
    ck_assert_double_gt(more, z);
    const struct gr_privacy_event much[] = {{0.1, 1, 2, 0}};
    const struct gr_privacy_history spent = {GR_ADJACENCY_ADD_REMOVE, much, 1};
    ck_assert_int_eq(gr_accounting_noise(&spent, 1, 1, 1, 1e-6, &z), GR_ERROR_CONFIG);
    ck_assert_ptr_nonnull(strstr(gr_message(), "no noise multiplier"));
}
END_TEST

/* ---- bad values ----------------------------------------------------------------------------- */

static void refused(struct gr_privacy_event event, enum gr_adjacency adjacency, double delta) {
    const struct gr_privacy_history history = {adjacency, &event, 1};
    struct gr_epsilon epsilon;
    ck_assert_msg(gr_accounting_epsilon(&history, delta, &epsilon) == GR_ERROR_CONFIG,
                  "z %g q %g delta %g", event.noise_multiplier, event.sampling, delta);
}

START_TEST(values_outside_of_limits) {
    static const double bad[] = {NAN, INFINITY, -INFINITY, -1, 0};
    for (int i = 0; i < 5; i++) {
        refused((struct gr_privacy_event){bad[i], 0.1, 10, 0}, GR_ADJACENCY_ADD_REMOVE, 1e-5);
        refused((struct gr_privacy_event){1, bad[i], 10, 0}, GR_ADJACENCY_ADD_REMOVE, 1e-5);
        refused((struct gr_privacy_event){1, 0.1, 10, 0}, GR_ADJACENCY_ADD_REMOVE, bad[i]);
        if (bad[i] != 0)
            refused((struct gr_privacy_event){1, 0.1, 10, bad[i]}, GR_ADJACENCY_ADD_REMOVE, 1e-5);
    }
    refused((struct gr_privacy_event){1, 1.1, 10, 0}, GR_ADJACENCY_ADD_REMOVE, 1e-5);
    refused((struct gr_privacy_event){1, 0.1, 0, 0}, GR_ADJACENCY_ADD_REMOVE, 1e-5);
    refused((struct gr_privacy_event){1, 0.1, UINT64_MAX, 0}, GR_ADJACENCY_ADD_REMOVE, 1e-5);
    refused((struct gr_privacy_event){1, 0.1, 10, 0}, GR_ADJACENCY_ADD_REMOVE, 1);
    refused((struct gr_privacy_event){0.01, 0.1, 10, 0}, GR_ADJACENCY_ADD_REMOVE, 1e-5);
    /* No proven worst pair of distributions. */
    refused((struct gr_privacy_event){1, 0.1, 10, 0}, GR_ADJACENCY_REPLACE, 1e-5);
}
END_TEST

RUN_TESTS("accounting", divergences_of_whole_orders, divergences_published,
          divergences_are_monotone, renyi_epsilon_published, loss_published,
          loss_of_one_step_encloses_the_closed_form, loss_of_gaussian_sums_encloses_the_closed_form,
          a_side_of_a_threshold, composition, bounds_at_the_ends, replacement_counts_twice,
          added_delta_is_taken_off, noise_for_an_epsilon, values_outside_of_limits)
