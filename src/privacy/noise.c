/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/noise.h"

#include <math.h>
#include <sodium.h>

#include "privacy/discrete_gaussian.h"

struct gr_noise {
    struct gr_discrete_gaussian exact;
};

gr_status gr_noise_seed(unsigned char seed[GR_NOISE_SEED_BYTES]) {
    if (sodium_init() < 0) return gr_fail(GR_ERROR_INTERNAL, "libsodium could not be started");
    randombytes_buf(seed, GR_NOISE_SEED_BYTES);
    return GR_OK;
}

gr_status gr_noise_create(double sigma, struct gr_noise **out) {
    *out = NULL;
    if (!(sigma >= GR_NOISE_SIGMA_MIN && sigma < 0x1p31))
        return gr_fail(GR_ERROR_CONFIG, "noise: standard deviation %g, expected %g to 2^31", sigma,
                       GR_NOISE_SIGMA_MIN);
    int exponent;
    (void)frexp(sigma * sigma, &exponent);
    const int shift = exponent > 60 ? 0 : 60 - exponent > 60 ? 60 : 60 - exponent;
    struct gr_noise *noise;
    gr_status status = gr_allocate_zero(1, sizeof *noise, "noise", &noise);
    if (status != GR_OK) return status;
    status = gr_discrete_gaussian_create(
        (uint64_t)ceil(ldexp(sigma * sigma, shift) * (1 + 0x1p-50)), 1ULL << shift, &noise->exact);
    if (status == GR_OK)
        *out = noise;
    else
        gr_noise_free(noise);
    return status;
}

void gr_noise_free(struct gr_noise *noise) {
    gr_free(noise);
}

void gr_noise_add(const struct gr_noise *noise, const unsigned char seed[GR_NOISE_SEED_BYTES],
                  uint64_t stream, int64_t *sum, size_t n) {
    struct gr_noise_words words;
    gr_noise_words_start(&words, seed, stream, GR_NOISE_EXACT);
    for (size_t i = 0; i < n; i++)
        sum[i] += gr_discrete_gaussian_draw(&noise->exact, &words);
    gr_noise_words_end(&words);
}

double gr_noise_delta(const struct gr_noise *noise, uint64_t n) {
    (void)noise;
    return (double)n * 0x1p-66;
}
