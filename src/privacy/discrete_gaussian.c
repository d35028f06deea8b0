/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/discrete_gaussian.h"

#include <inttypes.h>
#include <math.h>

enum {
    TOP_BITS = 55,
    TERMS = 255,      /* of a series that are decided by the highest bits; the rest takes longer */
    PERIODS = 1 << 12 /* of the discrete Laplace distribution; more has probability exp(-4096) */
};

/* The greatest whole number whose square is at most n. */
static uint64_t root(uint64_t n) {
    uint64_t r = (uint64_t)sqrt((double)n);
    while ((gr_double_limb)r * r > n)
        r--;
    while ((gr_double_limb)(r + 1) * (r + 1) <= n)
        r++;
    return r;
}

gr_status gr_discrete_gaussian_create(uint64_t numerator, uint64_t denominator,
                                      struct gr_discrete_gaussian *out) {
    if (denominator == 0 || numerator < denominator / 4 + (denominator % 4 != 0))
        return gr_fail(GR_ERROR_CONFIG,
                       "noise: variance %" PRIu64 " / %" PRIu64 ", expected at least 1/4",
                       numerator, denominator);
    const int spare = __builtin_clzll(numerator | denominator);
    const uint64_t p = numerator << spare, q = denominator << spare, t = root(p / q) + 1;
    *out = (struct gr_discrete_gaussian){
        .numerator = p,
        .denominator = q,
        .scale = t,
        .scale_shift = __builtin_clzll(t) - (64 - TOP_BITS),
        .acceptance = gr_wide_times(gr_wide_times(gr_wide_times(gr_wide_product(p, q), t), t), 2),
        .one = {gr_wide_of(1), gr_wide_of(1), 1ULL << (TOP_BITS - 1), 1ULL << (TOP_BITS - 1)},
    };
    out->acceptance_shift = gr_wide_bits(out->acceptance) - TOP_BITS;
    return GR_OK;
}

/*
 * Whether a uniform number of [0, 1), whose first 64 bits are `word`, is below f / k. As many more
 * words are drawn as it takes. Nothing wraps: numerator and k denominator are below 2^192.
 */
static bool below_exactly(struct gr_noise_words *words, const struct gr_fraction *f, uint64_t k,
                          uint64_t word) {
    const struct gr_wide d = gr_wide_times(f->denominator, k);
    struct gr_wide n = f->numerator;
    for (;;) {
        const struct gr_wide reached = gr_wide_times(d, word);
        n = gr_wide_raise(n);
        if (!gr_wide_less(reached, n)) return false;
        n = gr_wide_subtract(n, reached);
        if (!gr_wide_less(n, d)) return true;
        word = gr_noise_word(words);
    }
}

/*
 * True with probability f / k. For N, D the tops and n, d the whole numbers, which are cut at bit
 * s: N / (D + 1) <= n / d < (N + 1) / D. With h = floor(word D k / 2^64) the uniform number is
 * surely not below the fraction where h > N, and surely below it where h + k + 2 <= N.
 */
static bool below(struct gr_noise_words *words, const struct gr_fraction *f, uint64_t k) {
    const uint64_t word = gr_noise_word(words);
    if (k <= TERMS) {
        const uint64_t d = f->denominator_top * k;
        const uint64_t h = (uint64_t)((gr_double_limb)word * d >> 64);
        if (h > f->numerator_top) return false;
        if (h + k + 2 <= f->numerator_top) return true;
    }
    return below_exactly(words, f, k, word);
}

/* True with probability exp(-f): algorithm 1. */
static bool survives(struct gr_noise_words *words, const struct gr_fraction *f) {
    uint64_t k = 1;
    while (below(words, f, k))
        k++;
    return k & 1;
}

/* Uniform on 0 .. n - 1: the high half of a product; words that would favour some are drawn again
 * (Lemire 2019, arXiv:1805.10941). */
static uint64_t uniform(struct gr_noise_words *words, uint64_t n) {
    gr_double_limb product = (gr_double_limb)gr_noise_word(words) * n;
    if ((uint64_t)product < n)
        for (const uint64_t spare = -n % n; (uint64_t)product < spare;)
            product = (gr_double_limb)gr_noise_word(words) * n;
    return (uint64_t)(product >> 64);
}

/* |Y| of algorithm 2 with s = 1, before it is known whether a zero stays. */
static uint64_t laplace(const struct gr_discrete_gaussian *gaussian, struct gr_noise_words *words) {
    struct gr_fraction f;
    uint64_t u, periods = 0;
    do {
        u = uniform(words, gaussian->scale);
        f.numerator = gr_wide_of(u << gaussian->scale_shift);
        f.denominator = gr_wide_of(gaussian->scale << gaussian->scale_shift);
        f.numerator_top = f.numerator.limb[0] >> gaussian->drop;
        f.denominator_top = f.denominator.limb[0] >> gaussian->drop;
    } while (!survives(words, &f));
    while (periods < PERIODS - 1 && survives(words, &gaussian->one))
        periods++;
    return u + gaussian->scale * periods;
}

/*
 * The last step of algorithm 3: true with probability exp(-(y - sigma^2 / t)^2 / (2 sigma^2)), t
 * the scale. The exponent is (y t q - p)^2 / (2 p q t^2) for sigma^2 = p / q. Nothing wraps: t <=
 * 2 sigma, as sigma is at least 1/2, so that q t^2 <= 4 p < 2^66, y t q < 2^78, and the
 * denominator is below 2^131.
 */
static bool accepted(const struct gr_discrete_gaussian *gaussian, struct gr_noise_words *words,
                     uint64_t y) {
    const gr_double_limb a = (gr_double_limb)y * gaussian->scale * gaussian->denominator,
                         p = gaussian->numerator, from = a > p ? a - p : p - a;
    struct gr_fraction f = {.numerator = gr_wide_product(from, from),
                            .denominator = gaussian->acceptance};
    while (!gr_wide_less(f.numerator, f.denominator)) {
        if (!survives(words, &gaussian->one)) return false;
        f.numerator = gr_wide_subtract(f.numerator, f.denominator);
    }
    const int shift = gaussian->acceptance_shift + gaussian->drop;
    f.numerator_top = gr_wide_at(f.numerator, shift);
    f.denominator_top = gr_wide_at(f.denominator, shift);
    return survives(words, &f);
}

int64_t gr_discrete_gaussian_draw(const struct gr_discrete_gaussian *gaussian,
                                  struct gr_noise_words *words) {
    for (;;) {
        const uint64_t y = laplace(gaussian, words), negative = gr_noise_word(words) & 1;
        if (negative && y == 0) continue; /* else zero would come twice as often */
        if (accepted(gaussian, words, y)) return negative ? -(int64_t)y : (int64_t)y;
    }
}
