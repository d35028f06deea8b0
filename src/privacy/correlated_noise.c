/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/correlated_noise.h"

#include <inttypes.h>
#include <math.h>
#include <sodium.h>
#include <string.h>

enum { UNIT = 1 << GR_CORRELATION_BITS, CHUNK = 512 };

/* ---- the matrix ----------------------------------------------------------------------------- */

gr_status gr_correlation_create(uint32_t bands, struct gr_correlation_matrix *out) {
    if (bands < 1 || bands > GR_CORRELATION_BANDS_MAX)
        return gr_fail(GR_ERROR_CONFIG, "correlated noise: %u bands, expected 1 to %d", bands,
                       GR_CORRELATION_BANDS_MAX);
    *out = (struct gr_correlation_matrix){.bands = bands};
    double c = 1;
    for (uint32_t k = 0; k < bands; k++) {
        out->coefficient[k] = (uint8_t)(UNIT * c + 0.5);
        c *= (2.0 * k + 1) / (2.0 * k + 2);
    }
    return GR_OK;
}

/* The product of columns s <= t of D C, which end with the last step. */
static uint64_t columns_product(const struct gr_correlation_matrix *correlation, uint32_t steps,
                                uint32_t s, uint32_t t) {
    const uint32_t apart = t - s, rows = steps - t;
    const uint8_t *m = correlation->coefficient;
    uint64_t sum = 0;
    for (uint32_t k = 0; k < rows && k + apart < correlation->bands; k++)
        sum += (uint64_t)m[k] * m[k + apart];
    return sum;
}

/* Entries of C and so of all products are at least 0, so that the worst g are one and the same in
 * all steps, and what is sought is the norm of the columns' sum. */
double gr_correlation_sensitivity_at(const struct gr_correlation_matrix *correlation,
                                     uint32_t steps, const uint32_t *at, size_t n) {
    uint64_t square = 0;
    for (size_t i = 0; i < n; i++) {
        square += columns_product(correlation, steps, at[i], at[i]);
        for (size_t j = i + 1; j < n && at[j] - at[i] < correlation->bands; j++)
            square += 2 * columns_product(correlation, steps, at[i], at[j]);
    }
    return sqrt((double)square) / UNIT * (1 + 0x1p-50);
}

double gr_correlation_sensitivity(const struct gr_correlation_matrix *correlation,
                                  const struct gr_participation_limits *participation) {
    const uint64_t separation = participation->separation, steps = participation->steps;
    uint64_t square = 0;
    for (uint64_t i = 0; i < participation->times && i * separation < steps; i++)
        for (uint64_t j = i; j < participation->times && j * separation < steps; j++) {
            if ((j - i) * separation >= correlation->bands) break;
            square += (j > i ? 2 : 1) * columns_product(correlation, (uint32_t)steps,
                                                        (uint32_t)(i * separation),
                                                        (uint32_t)(j * separation));
        }
    return sqrt((double)square) / UNIT * (1 + 0x1p-50);
}

/* Row t of (running sums) C^-1 holds g_t, ..., g_0, with g_t = 1 - sum_k c_k g_{t-k}. */
static double running_sums_error(const struct gr_correlation_matrix *correlation, uint32_t steps) {
    double g[GR_CORRELATION_BANDS_MAX], of_row = 0, of_all = 0;
    for (uint32_t t = 0; t < steps; t++) {
        double sum = UNIT;
        for (uint32_t k = 1; k < correlation->bands && k <= t; k++)
            sum -= correlation->coefficient[k] * g[(t - k) % GR_CORRELATION_BANDS_MAX];
        g[t % GR_CORRELATION_BANDS_MAX] = sum / UNIT;
        of_row += sum * sum / (UNIT * UNIT);
        of_all += of_row;
    }
    return sqrt(of_all / steps);
}

double gr_correlation_ratio(const struct gr_correlation_matrix *correlation,
                            const struct gr_participation_limits *participation) {
    static const struct gr_correlation_matrix independent = {1, {UNIT}};
    return running_sums_error(correlation, participation->steps) *
           gr_correlation_sensitivity(correlation, participation) /
           (running_sums_error(&independent, participation->steps) *
            gr_correlation_sensitivity(&independent, participation));
}

/* ---- the noise ------------------------------------------------------------------------------ */

struct gr_correlated_noise {
    struct gr_correlation_matrix correlation;
    struct gr_noise *drawn; /* owned */
    size_t n;
    uint32_t rows; /* max(bands - 1, 1) */
    uint64_t step;
    int64_t *past; /* owned, (rows, n): row t % rows has the y of step t */
};

gr_status gr_correlated_noise_create(const struct gr_correlation_matrix *correlation, double sigma,
                                     size_t n, struct gr_correlated_noise **out) {
    struct gr_correlated_noise *noise = NULL;
    gr_status status;
    *out = NULL;
    if (!(sigma >= GR_NOISE_SIGMA_MIN && sigma <= GR_CORRELATION_SIGMA_MAX))
        return gr_fail(GR_ERROR_CONFIG,
                       "correlated noise: standard deviation %g, expected %g to %g", sigma,
                       GR_NOISE_SIGMA_MIN, GR_CORRELATION_SIGMA_MAX);
    GR_TRY(gr_allocate_zero(1, sizeof *noise, "correlated noise", &noise));
    noise->correlation = *correlation;
    noise->n = n;
    noise->rows = correlation->bands > 1 ? correlation->bands - 1 : 1;
    GR_TRY(gr_noise_create(UNIT * sigma, &noise->drawn));
    GR_TRY(gr_allocate_zero(n, noise->rows * sizeof *noise->past, "earlier noise", &noise->past));
    *out = noise;
out:
    if (status != GR_OK) gr_correlated_noise_free(noise);
    return status;
}

void gr_correlated_noise_free(struct gr_correlated_noise *noise) {
    if (!noise) return;
    if (noise->past) sodium_memzero(noise->past, noise->rows * noise->n * sizeof *noise->past);
    gr_free(noise->past);
    gr_noise_free(noise->drawn);
    gr_free(noise);
}

const struct gr_noise *gr_correlated_noise_drawn(const struct gr_correlated_noise *noise) {
    return noise->drawn;
}

uint64_t gr_correlated_noise_step(const struct gr_correlated_noise *noise) {
    return noise->step;
}

/* a / D, rounded to the nearest, halves up: it moves with whole numbers, below 0 too. */
static int64_t rounded(int64_t a) {
    const int64_t from = a + UNIT / 2;
    return (from - (from & (UNIT - 1))) / UNIT;
}

/*
 * -round(sum_k m_k y_{t-k} / D) of elements begin .. begin + n - 1, over the oldest y, which is the
 * last to be needed. z is below 2^45 in magnitude, y below 2^47, as the entries of C^-1 add up to
 * less than 2.5 in magnitude, and the m_k, of which 1024 add up to less than 2^12, leave 2^59.
 */
static void take_back(struct gr_correlated_noise *noise, size_t begin, size_t n) {
    int64_t sum[CHUNK] = {0};
    for (uint64_t k = 1; k < noise->correlation.bands && k <= noise->step; k++) {
        const int64_t m = noise->correlation.coefficient[k],
                      *y = noise->past + (noise->step - k) % noise->rows * noise->n + begin;
        for (size_t i = 0; i < n; i++)
            sum[i] += m * y[i];
    }
    int64_t *to = noise->past + noise->step % noise->rows * noise->n + begin;
    for (size_t i = 0; i < n; i++)
        to[i] = -rounded(sum[i]);
    sodium_memzero(sum, sizeof sum);
}

void gr_correlated_noise_apply(struct gr_correlated_noise *noise,
                               const unsigned char seed[GR_NOISE_SEED_BYTES], uint64_t stream,
                               int64_t *sum) {
    int64_t *y = noise->past + noise->step % noise->rows * noise->n;
    for (size_t begin = 0; begin < noise->n; begin += CHUNK)
        take_back(noise, begin, noise->n - begin < CHUNK ? noise->n - begin : CHUNK);
    gr_noise_add(noise->drawn, seed, stream, y, noise->n);
    for (size_t i = 0; i < noise->n; i++)
        sum[i] = sum[i] * UNIT + y[i];
    noise->step++;
}

/* ---- its state ------------------------------------------------------------------------------ */

/* A state begins with this, then has the rows, then the digest of both. */
struct correlated_head {
    char title[16];
    uint32_t bits, bands;
    uint64_t n, step;
    double sigma;
};
static const char title[16] = "granary noise 1";

static struct correlated_head head_of(const struct gr_correlated_noise *noise) {
    struct correlated_head head = {.bits = GR_CORRELATION_BITS,
                                   .bands = noise->correlation.bands,
                                   .n = noise->n,
                                   .step = noise->step,
                                   .sigma = gr_noise_sigma(noise->drawn)};
    memcpy(head.title, title, sizeof title);
    return head;
}

static size_t row_bytes(const struct gr_correlated_noise *noise) {
    return noise->rows * noise->n * sizeof *noise->past;
}

size_t gr_correlated_noise_bytes(const struct gr_correlated_noise *noise) {
    return sizeof(struct correlated_head) + row_bytes(noise) + GR_DIGEST_BYTES;
}

void gr_correlated_noise_save(const struct gr_correlated_noise *noise, void *bytes) {
    const struct correlated_head head = head_of(noise);
    const size_t rows = row_bytes(noise);
    unsigned char *to = bytes;
    memcpy(to, &head, sizeof head);
    if (rows) memcpy(to + sizeof head, noise->past, rows);
    gr_digest_of(to, sizeof head + rows, to + sizeof head + rows);
}

gr_status gr_correlated_noise_restore(struct gr_correlated_noise *noise, const void *bytes,
                                      size_t size) {
    const size_t expected = gr_correlated_noise_bytes(noise), rows = row_bytes(noise);
    const struct correlated_head mine = head_of(noise);
    struct correlated_head head;
    unsigned char digest[GR_DIGEST_BYTES];
    if (size != expected)
        return gr_fail(GR_ERROR_DATA, "state of correlated noise: %zu bytes, expected %zu", size,
                       expected);
    gr_digest_of(bytes, expected - GR_DIGEST_BYTES, digest);
    if (memcmp((const char *)bytes + expected - GR_DIGEST_BYTES, digest, sizeof digest) != 0)
        return gr_fail(GR_ERROR_DATA, "state of correlated noise: it is not what was written");
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.title, mine.title, sizeof title) != 0 || head.bits != mine.bits ||
        head.bands != mine.bands || head.n != mine.n || head.sigma != mine.sigma)
        return gr_fail(GR_ERROR_DATA,
                       "state of correlated noise: of %u bands, %" PRIu64
                       " numbers and standard deviation %g, expected %u, %" PRIu64 " and %g",
                       head.bands, head.n, head.sigma, mine.bands, mine.n, mine.sigma);
    if (rows) memcpy(noise->past, (const char *)bytes + sizeof head, rows);
    noise->step = head.step;
    return GR_OK;
}
