/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/correlation_matrix.h"

#include <math.h>

#include "privacy/correlated_noise.h"

enum { UNIT = 1 << GR_CORRELATION_BITS, BUFFER_UNIT = 1 << GR_CORRELATION_BUFFER_BITS };

/* ---- a row after the other ------------------------------------------------------------------ */

/* Numbers v_0, ..., v_{t-1} as far as row t of C needs them. */
struct row_past {
    double band[GR_CORRELATION_BANDS_MAX], buffer[GR_CORRELATION_BUFFERS_MAX];
    uint32_t t;
};

/* sum_{k >= 1} c_k v_{t-k}. */
static double past_sum(const struct gr_correlation_matrix *matrix, const struct row_past *past) {
    double sum = 0;
    for (uint32_t k = 1; k < matrix->bands && k <= past->t; k++)
        sum += matrix->coefficient[k] * past->band[(past->t - k) % GR_CORRELATION_BANDS_MAX];
    if (matrix->bands > 0) return sum / UNIT;
    for (uint32_t j = 0; j < matrix->buffers; j++)
        sum += matrix->weight[j] * past->buffer[j];
    return sum / BUFFER_UNIT;
}

static void past_push(const struct gr_correlation_matrix *matrix, struct row_past *past, double v) {
    past->band[past->t % GR_CORRELATION_BANDS_MAX] = v;
    for (uint32_t j = 0; j < matrix->buffers; j++)
        past->buffer[j] = past->buffer[j] * matrix->decay[j] / BUFFER_UNIT + v;
    past->t++;
}

/* Row t of (running sums) C^-1 holds g_t, ..., g_0, with g_t = 1 - sum_k c_k g_{t-k}. */
static double running_sums_error(const struct gr_correlation_matrix *matrix, uint32_t steps) {
    struct row_past past = {.t = 0};
    double of_row = 0, of_all = 0;
    while (past.t < steps) {
        const double g = 1 - past_sum(matrix, &past);
        past_push(matrix, &past, g);
        of_row += g * g;
        of_all += of_row;
    }
    return sqrt(of_all / steps);
}

/* ---- how much of a unit is in the steps ----------------------------------------------------- */

/* The product of columns s <= t of D C, which end with the last step. */
static uint64_t columns_product(const struct gr_correlation_matrix *matrix, uint32_t steps,
                                uint32_t s, uint32_t t) {
    const uint32_t apart = t - s, rows = steps - t;
    const uint8_t *m = matrix->coefficient;
    uint64_t sum = 0;
    for (uint32_t k = 0; k < rows && k + apart < matrix->bands; k++)
        sum += (uint64_t)m[k] * m[k + apart];
    return sum;
}

/* The steps of a unit: 0, separation, 2 separation, ..., of them n. */
struct places {
    uint32_t separation;
    size_t n;
};

static uint32_t place(const struct places *places, size_t i) {
    return (uint32_t)(i * places->separation);
}

/* The square of the norm of these columns' sum, in units of 2^-12. */
static uint64_t bands_square(const struct gr_correlation_matrix *matrix, uint32_t steps,
                             const struct places *places) {
    uint64_t square = 0;
    for (size_t i = 0; i < places->n; i++) {
        const uint32_t from = place(places, i);
        square += columns_product(matrix, steps, from, from);
        for (size_t j = i + 1; j < places->n && place(places, j) - from < matrix->bands; j++)
            square += 2 * columns_product(matrix, steps, from, place(places, j));
    }
    return square;
}

static double buffers_square(const struct gr_correlation_matrix *matrix, uint32_t steps,
                             const struct places *places) {
    struct row_past past = {.t = 0};
    double square = 0;
    for (size_t i = 0; past.t < steps;) {
        const bool in = i < places->n && place(places, i) == past.t;
        const double row = in + past_sum(matrix, &past);
        i += in;
        square += row * row;
        past_push(matrix, &past, in);
    }
    return square;
}

/* Entries of C and so of all products of columns are at least 0, so that the worst g are one and
 * the same in all steps, and what is sought is the norm of the columns' sum. The margins are for
 * rounding, where there are buffers of sums of so many terms. */
static double sensitivity(const struct gr_correlation_matrix *matrix, uint32_t steps,
                          const struct places *places) {
    if (matrix->bands == 0)
        return sqrt(buffers_square(matrix, steps, places)) * (1 + 1e-9 + steps * 0x1p-50);
    return sqrt((double)bands_square(matrix, steps, places)) / UNIT * (1 + 0x1p-50);
}

double gr_correlation_sensitivity(const struct gr_correlation_matrix *matrix,
                                  const struct gr_participation_limits *limits) {
    const uint32_t most = (limits->steps - 1) / limits->separation + 1;
    const size_t n = limits->times < most ? limits->times : most;
    return sensitivity(matrix, limits->steps, &(struct places){limits->separation, n});
}

double gr_correlation_ratio(const struct gr_correlation_matrix *matrix,
                            const struct gr_participation_limits *limits) {
    static const struct gr_correlation_matrix independent = {.bands = 1, .coefficient = {UNIT}};
    return running_sums_error(matrix, limits->steps) * gr_correlation_sensitivity(matrix, limits) /
           (running_sums_error(&independent, limits->steps) *
            gr_correlation_sensitivity(&independent, limits));
}

/*
 * Two runs with the same releases, and sums that differ: the noise that explains both differs by D
 * C times the sums' difference, and by what rounding does differently. A buffer's is off by at most
 * 1 a step, of which 1 / (1 - decay) or as many as there are steps add up; that of what is taken
 * back by 1.
 */
double gr_correlation_rounding(const struct gr_correlation_matrix *matrix, uint32_t steps,
                               size_t n) {
    double off = 1;
    if (matrix->bands > 0) return 0;
    for (uint32_t j = 0; j < matrix->buffers; j++) {
        const double left = 1 - (double)matrix->decay[j] / BUFFER_UNIT;
        const double add_up = left * steps > 1 ? 1 / left : steps;
        off += ldexp((double)matrix->weight[j] / BUFFER_UNIT * add_up, -GR_CORRELATION_SPARE_BITS);
    }
    return sqrt((double)n * steps) * off / UNIT * (1 + 0x1p-50);
}

/* ---- matrices ------------------------------------------------------------------------------- */

gr_status gr_correlation_banded(uint32_t bands, struct gr_correlation_matrix *out) {
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

/* x = 1 / (1 + exp(-u)) makes the integral (1 / pi) int x^(k + 1/2) sqrt(1 - x) du, at u = first,
 * first + width, ...; false: coefficients would rise, or a buffer would keep too much. */
static bool quadrature(uint32_t buffers, double first, double width,
                       struct gr_correlation_matrix *out) {
    const uint32_t most = BUFFER_UNIT - (BUFFER_UNIT >> GR_CORRELATION_FORGET_BITS);
    uint64_t sum = 0;
    bool forgets = true;
    *out = (struct gr_correlation_matrix){.buffers = buffers};
    for (uint32_t j = 0; j < buffers; j++) {
        const double x = 1 / (1 + exp(-(first + j * width)));
        out->decay[j] = (uint32_t)(BUFFER_UNIT * x + 0.5);
        out->weight[j] = (uint32_t)(BUFFER_UNIT * width / M_PI * x * sqrt(x * (1 - x)) + 0.5);
        sum += out->weight[j];
        forgets = forgets && out->decay[j] <= most;
    }
    return forgets && sum <= BUFFER_UNIT;
}

/* Beyond some 10,000 steps errors grow alike whichever matrix it is. */
gr_status gr_correlation_buffered(uint32_t buffers, const struct gr_participation_limits *limits,
                                  struct gr_correlation_matrix *out) {
    enum { STEPS = 10000, FIRSTS = 9, WIDTHS = 10 };
    double least = INFINITY;
    if (buffers < 1 || buffers > GR_CORRELATION_BUFFERS_MAX)
        return gr_fail(GR_ERROR_CONFIG, "correlated noise: %u buffers, expected 1 to %d", buffers,
                       GR_CORRELATION_BUFFERS_MAX);
    if (limits->steps > GR_CORRELATION_STEPS_MAX)
        return gr_fail(GR_ERROR_CONFIG,
                       "correlated noise with buffers: %u steps, expected at most %d",
                       limits->steps, GR_CORRELATION_STEPS_MAX);
    struct gr_participation_limits compared = *limits;
    if (compared.steps > STEPS) compared.steps = STEPS;
    for (int i = 0; i < FIRSTS * WIDTHS; i++) {
        struct gr_correlation_matrix matrix;
        const int at = i % FIRSTS, wide = i / FIRSTS;
        if (!quadrature(buffers, -2.5 + 0.5 * at, 0.6 + 0.3 * wide, &matrix)) continue;
        const double ratio = gr_correlation_ratio(&matrix, &compared);
        if (ratio < least) {
            least = ratio;
            *out = matrix;
        }
    }
    return GR_OK;
}
