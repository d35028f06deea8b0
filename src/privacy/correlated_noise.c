/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/correlated_noise.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

enum { UNIT = 1 << GR_CORRELATION_BITS, CHUNK = 512 };

struct gr_correlated_noise {
    struct gr_correlation_matrix matrix;
    struct gr_noise *drawn; /* owned */
    size_t n;
    uint32_t rows;
    uint64_t step;
    int64_t *row; /* owned, (rows, n). With bands row t % rows has the y of step t. With buffers the
                     first rows are these, in units of 2^-GR_CORRELATION_SPARE_BITS, and the last
                     has y. */
};

gr_status gr_correlated_noise_create(const struct gr_correlation_matrix *matrix, double sigma,
                                     size_t n, struct gr_correlated_noise **out) {
    struct gr_correlated_noise *noise = NULL;
    gr_status status;
    *out = NULL;
    if (!(sigma >= GR_NOISE_SIGMA_MIN && sigma <= GR_CORRELATION_SIGMA_MAX))
        return gr_fail(GR_ERROR_CONFIG,
                       "correlated noise: standard deviation %g, expected %g to %g", sigma,
                       GR_NOISE_SIGMA_MIN, GR_CORRELATION_SIGMA_MAX);
    GR_TRY(gr_allocate_zero(1, sizeof *noise, "correlated noise", &noise));
    noise->matrix = *matrix;
    noise->n = n;
    noise->rows = matrix->bands > 1 ? matrix->bands - 1 : matrix->buffers + 1;
    GR_TRY(gr_noise_create(UNIT * sigma, &noise->drawn));
    GR_TRY(gr_allocate_zero(n, noise->rows * sizeof *noise->row, "earlier noise", &noise->row));
    *out = noise;
out:
    if (status != GR_OK) gr_correlated_noise_free(noise);
    return status;
}

void gr_correlated_noise_free(struct gr_correlated_noise *noise) {
    if (!noise) return;
    if (noise->row) sodium_memzero(noise->row, noise->rows * noise->n * sizeof *noise->row);
    gr_free(noise->row);
    gr_noise_free(noise->drawn);
    gr_free(noise);
}

const struct gr_noise *gr_correlated_noise_drawn(const struct gr_correlated_noise *noise) {
    return noise->drawn;
}

uint64_t gr_correlated_noise_step(const struct gr_correlated_noise *noise) {
    return noise->step;
}

/* ---- a step --------------------------------------------------------------------------------- */

static int64_t *row_at(const struct gr_correlated_noise *noise, uint64_t row, size_t begin) {
    return noise->row + row % noise->rows * noise->n + begin;
}

/* The row that y is made in: with bands the oldest, which is the last to be needed. */
static int64_t *row_of_step(const struct gr_correlated_noise *noise, size_t begin) {
    return row_at(noise, noise->matrix.bands > 0 ? noise->step : noise->rows - 1, begin);
}

/* a / D, rounded to the nearest, halves up: it moves with whole numbers, below 0 too. */
static int64_t rounded(int64_t a) {
    const int64_t from = a + UNIT / 2;
    return (from - (from & (UNIT - 1))) / UNIT;
}

/*
 * -round(sum_k m_k y_{t-k} / D) of elements begin .. begin + n - 1. z is below 2^45 in magnitude, y
 * below 2.5 times that, which the entries of C^-1 add up to, and the m_k, of which 1024 add up to
 * less than 2^12, leave 2^59.
 */
static void take_back_bands(const struct gr_correlated_noise *noise, size_t begin, size_t n) {
    int64_t sum[CHUNK] = {0}, *to = row_of_step(noise, begin);
    for (uint64_t k = 1; k < noise->matrix.bands && k <= noise->step; k++) {
        const int64_t m = noise->matrix.coefficient[k], *y = row_at(noise, noise->step - k, begin);
        for (size_t i = 0; i < n; i++)
            sum[i] += m * y[i];
    }
    for (size_t i = 0; i < n; i++)
        to[i] = -rounded(sum[i]);
    sodium_memzero(sum, sizeof sum);
}

__extension__ typedef __int128 wide_product;
static int64_t halved(wide_product a, int bits) {
    return (int64_t)((a + ((wide_product)1 << (bits - 1))) >> bits);
}

/* The same of buffers. These are below 2.5 2^(45 + GR_CORRELATION_SPARE_BITS +
 * GR_CORRELATION_FORGET_BITS) < 2^63 in magnitude. */
static void take_back_buffers(const struct gr_correlated_noise *noise, size_t begin, size_t n) {
    int64_t *to = row_of_step(noise, begin);
    for (size_t i = 0; i < n; i++) {
        wide_product sum = 0;
        for (uint32_t j = 0; j < noise->matrix.buffers; j++)
            sum += (wide_product)row_at(noise, j, begin)[i] * noise->matrix.weight[j];
        to[i] = -halved(sum, GR_CORRELATION_BUFFER_BITS + GR_CORRELATION_SPARE_BITS);
    }
}

static void keep_buffers(const struct gr_correlated_noise *noise) {
    const int64_t *y = row_of_step(noise, 0);
    for (uint32_t j = 0; j < noise->matrix.buffers; j++) {
        int64_t *s = row_at(noise, j, 0);
        for (size_t i = 0; i < noise->n; i++)
            s[i] = halved((wide_product)s[i] * noise->matrix.decay[j], GR_CORRELATION_BUFFER_BITS) +
                   y[i] * (1 << GR_CORRELATION_SPARE_BITS);
    }
}

void gr_correlated_noise_apply(struct gr_correlated_noise *noise,
                               const unsigned char seed[GR_NOISE_SEED_BYTES], uint64_t stream,
                               int64_t *sum) {
    int64_t *y = row_of_step(noise, 0);
    for (size_t begin = 0; begin < noise->n; begin += CHUNK) {
        const size_t n = noise->n - begin < CHUNK ? noise->n - begin : CHUNK;
        if (noise->matrix.bands > 0)
            take_back_bands(noise, begin, n);
        else
            take_back_buffers(noise, begin, n);
    }
    gr_noise_add(noise->drawn, seed, stream, y, noise->n);
    for (size_t i = 0; i < noise->n; i++)
        sum[i] = sum[i] * UNIT + y[i];
    keep_buffers(noise);
    noise->step++;
}
