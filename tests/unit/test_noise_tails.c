/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise of both samplers over 10^7 samples: moments, bins, remainders, tails to six deviations.
 * slow: the exact sampler takes some ten seconds.
 */
#include "privacy/noise.h"

#include "privacy/discrete_gaussian.h"

#include "noise_fit.h"

enum { N = 10000000 };
static const double sigmas[] = {2, 64, 0x1p10, 0x1p20, 0x1p25};
static int64_t samples[N];

START_TEST(fast) {
    const unsigned char seed[GR_NOISE_SEED_BYTES] = "tails of the fast sampler";
    for (size_t s = 0; s < sizeof sigmas / sizeof *sigmas; s++) {
        struct gr_noise *noise;
        MUST(gr_noise_create(sigmas[s], &noise));
        memset(samples, 0, sizeof samples);
        gr_noise_add(noise, seed, s, samples, N);
        fit_all(gr_noise_sigma(noise), samples, N);
        gr_noise_free(noise);
    }
}
END_TEST

START_TEST(exact) {
    const unsigned char seed[GR_NOISE_SEED_BYTES] = "tails of the exact sampler";
    for (size_t s = 0; s < sizeof sigmas / sizeof *sigmas; s++) {
        struct gr_discrete_gaussian gaussian;
        struct gr_noise_words words;
        MUST(gr_discrete_gaussian_create((uint64_t)(sigmas[s] * sigmas[s]), 1, &gaussian));
        gr_noise_words_start(&words, seed, s, GR_NOISE_EXACT);
        for (size_t i = 0; i < N; i++)
            samples[i] = gr_discrete_gaussian_draw(&gaussian, &words);
        fit_all(sigmas[s], samples, N);
    }
}
END_TEST

RUN_TESTS("tails of noise", fast, exact)
