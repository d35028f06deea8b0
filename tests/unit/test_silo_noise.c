/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is accounted for noise in sums over silos holds for every width that the grid lets through,
 * and for any number of shares; the plan of a config says it; and the clip norm follows a noised
 * count.
 */
#include "config/privacy_plan.h"

#include "scratch.h"

#include <math.h>

#include "federation/internal.h"
#include "privacy/noise.h"
#include "privacy/sensitivity.h"

/* Widths of 64 steps to 2^30, a dozen of each power of two. */
START_TEST(any_width) {
    struct gr_noise *least = NULL, *noise = NULL;
    ck_assert_int_eq(gr_noise_create(GR_NOISE_STEPS_MIN, &least), GR_OK);
    const double most = GR_NOISE_DELTAS_MAX * gr_noise_delta(least, 1);
    ck_assert_double_gt(most, 0);
    for (double sigma = GR_NOISE_STEPS_MIN; sigma <= 0x1p30; sigma *= exp2(1.0 / 12)) {
        ck_assert_int_eq(gr_noise_create(sigma, &noise), GR_OK);
        ck_assert_double_le(gr_noise_delta(noise, 1), most);
        ck_assert_double_ge(gr_noise_continuous(noise) * GR_PRIVATE_SILO_SENSITIVITY, sigma);
        gr_noise_free(noise);
    }
    gr_noise_free(least);
}
END_TEST

/* Of 1,024 shares, 10^8 parameters, 10^9 rounds. */
START_TEST(sums_of_shares) {
    ck_assert_double_le(gr_noise_ripple(GR_NOISE_STEPS_MIN / M_SQRT2) * 1024 * 1e8 * 1e9, 0);
}
END_TEST

static const char text[] =
    "run: {rounds: 7}\n"
    "data: {source: synthetic, silos: 8}\n"
    "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: 8}\n"
    "round: {participants: 4}\n"
    "aggregation: {grid: public, clip_norm: 2, weight_max: 1}\n"
    "secure: {aggregation: true}\n"
    "privacy: {unit: silo, adjacency: replace, clip_norm: 2, noise_multiplier: 3, budget: "
    "{delta: 1.0e-3}, noise: ";

/* Others see which silos are drawn; of eight shares each is off by as much as one. */
START_TEST(the_plan) {
    double deltas[2];
    for (int shared = 0; shared < 2; shared++) {
        char whole[1024];
        struct gr_config *config = NULL;
        snprintf(whole, sizeof whole, "%s%s}\n", text, shared ? "shared" : "root");
        ck_assert_msg(gr_config_parse("t.yaml", whole, strlen(whole), NULL, 0, &config) == GR_OK,
                      "%s", gr_message());
        struct gr_privacy_plan plan = gr_privacy_plan_of(config);
        ck_assert_int_eq(plan.unit, GR_UNIT_SILO);
        ck_assert_int_eq(plan.adjacency, GR_ADJACENCY_REPLACE);
        ck_assert_uint_eq(plan.round.count, 1);
        ck_assert_double_ge(plan.round.sampling, 1);
        ck_assert_double_eq_tol(plan.round.noise_multiplier, 3 / 1.001, 1e-12);
        ck_assert_int_eq(gr_privacy_plan_sampler(config, 1000000, &plan), GR_OK);
        deltas[shared] = plan.round.delta_added;
        gr_config_free(config);
    }
    ck_assert_double_gt(deltas[0], 0);
    ck_assert_double_lt(deltas[0], 1e-12);
    ck_assert_double_eq_tol(deltas[1] / deltas[0], 8, 1e-9);
}
END_TEST

/* By the formula, to half a step of 2^(1/256); a share out of its range says no more than its end.
 */
START_TEST(a_norm_that_follows) {
    static const struct gr_adaptive_clipping_config clipping = {.quantile = 0.3,
                                                                .learning_rate = 0.7};
    const struct gr_config config = {.privacy = {.clip_norm = 3}};
    ck_assert_double_eq(gr_clip_norm(&config, 0), 3);
    ck_assert_double_eq(gr_clip_norm(&config, 256), 6);
    ck_assert_double_eq(gr_clip_norm(&config, -512), 0.75);
    for (int32_t step = -5120; step < 5120; step += 7)
        ck_assert_double_eq_tol(gr_clip_norm(&config, step) / (3 * exp2(step / 256.0)), 1, 1e-14);
    for (int64_t below = -2; below <= 12; below++) { /* of ten silos, with noise */
        const int64_t tally = (2 * below - 10) * GR_CLIP_TALLY;
        const double share = fmin(fmax((double)below / 10, 0), 1);
        const int32_t step = gr_clip_follow(&clipping, 40, tally, 10);
        ck_assert_double_eq_tol(log(gr_clip_norm(&config, step) / gr_clip_norm(&config, 40)),
                                -0.7 * (share - 0.3), log(2) / 512 + 1e-12);
    }
    /* It ends at a millionth, and at a million. */
    ck_assert_int_eq(gr_clip_follow(&clipping, -5119, 10 * GR_CLIP_TALLY, 10), -5120);
    ck_assert_int_eq(gr_clip_follow(&clipping, 5119, -10 * GR_CLIP_TALLY, 10), 5120);
    ck_assert_int_eq(gr_clip_tally((const float[]){3, 4}, 2, 5), GR_CLIP_TALLY);
    ck_assert_int_eq(gr_clip_tally((const float[]){3, 4}, 2, 4.999), -GR_CLIP_TALLY);
}
END_TEST

RUN_TESTS("noise of silos", any_width, sums_of_shares, the_plan, a_norm_that_follows)
