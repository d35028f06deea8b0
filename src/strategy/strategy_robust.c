/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strategies by coordinates, which a minority of silos cannot drag anywhere: the median, and the
 * mean without the largest and smallest values (Yin, Chen, Ramchandran, Bartlett 2018, definitions
 * 1 and 2, algorithm 1, options I and II). All silos count alike, whatever their rows.
 *
 * Values are sorted by Batcher's odd-even mergesort (Batcher 1968; Knuth, volume 3, 5.2.2,
 * algorithm M): which rows are compared does not depend on what they hold, so that many coordinates
 * are sorted at once.
 */
#include <math.h>
#include <string.h>

#include "strategy/strategies.h"

/* One version per instruction set, as in comm/ring.c; the bits are the same. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__OPTIMIZE__) &&                      \
    !defined(__SANITIZE_ADDRESS__) && (!defined(__clang__) || __clang_major__ >= 17)
#define VERSIONS __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VERSIONS
#endif

/* Columns that are sorted together: 256 bytes of a row, four cache lines. The rows of a few hundred
 * silos stay in the second-level cache. */
enum { WIDTH = GR_COMBINE_WIDTH };

/*
 * Afterwards low[i] <= high[i]. Values are finite: a silo with another update sits out. The two may
 * be exchanged where they are equal, which no result shows but for the sign of 0; the network is
 * the same for all ranks, so that sign is too.
 */
static inline void order(float *restrict low, float *restrict high) {
    for (size_t i = 0; i < WIDTH; i++) {
        const float a = low[i], b = high[i];
        low[i] = a < b ? a : b;
        high[i] = a < b ? b : a;
    }
}

/* Sorts each column of n rows of WIDTH floats. */
VERSIONS static void sort_columns(float *rows, size_t n) {
    for (size_t p = 1; p < n; p *= 2)
        for (size_t k = p; k >= 1; k /= 2)
            for (size_t j = k % p; j + k < n; j += 2 * k)
                for (size_t i = j; i < j + k && i + k < n; i++)
                    if (i / (2 * p) == (i + k) / (2 * p))
                        order(rows + i * WIDTH, rows + (i + k) * WIDTH);
}

/* Columns begin .. begin + n - 1 of the rows, sorted; n at most WIDTH. Columns beyond n are zeroed:
 * they are sorted too, and whatever lies in `work` may be slow numbers. */
static void take_sorted(const float *const *row, size_t n_rows, size_t begin, size_t n,
                        float *work) {
    for (size_t r = 0; r < n_rows; r++) {
        memcpy(work + r * WIDTH, row[r] + begin, n * sizeof *work);
        memset(work + r * WIDTH + n, 0, (WIDTH - n) * sizeof *work);
    }
    sort_columns(work, n_rows);
}

/* The mean of rows first .. last of sorted columns, added up in double from the smallest on. */
VERSIONS static void average(const float *work, size_t first, size_t last, size_t n, float *out) {
    double sum[WIDTH] = {0}, mean[WIDTH];
    const double share = 1 / (double)(last - first + 1);
    for (size_t r = first; r <= last; r++)
        for (size_t i = 0; i < WIDTH; i++)
            sum[i] += (double)work[r * WIDTH + i];
    for (size_t i = 0; i < WIDTH; i++)
        mean[i] = sum[i] * share;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)mean[i];
}

/* `cut` rows are left out at either end; 2 cut < n_rows. */
static void combine_sorted(const float *const *row, size_t n_rows, size_t cut, size_t n,
                           float *work, float *out) {
    for (size_t begin = 0; begin < n; begin += WIDTH) {
        const size_t rest = n - begin, width = rest < WIDTH ? rest : WIDTH;
        take_sorted(row, n_rows, begin, width, work);
        average(work, cut, n_rows - 1 - cut, width, out + begin);
    }
}

/* Of an even number of silos the mean of the two in the middle: so many lie below them. */
static uint32_t median_breakdown(const struct gr_strategy_config *config, uint32_t n) {
    (void)config;
    return n > 0 ? (n - 1) / 2 : 0;
}

static void median(const void *context, const float *const *row, size_t n_rows, size_t n,
                   float *work, float *out) {
    combine_sorted(row, n_rows, median_breakdown(context, (uint32_t)n_rows), n, work, out);
}

/* So many are cut at either end. */
static uint32_t trimmed_breakdown(const struct gr_strategy_config *config, uint32_t n) {
    /* 0.29 of 100 is 28.999... in double; a share just below a half leaves the middle all the same.
     */
    const double cut = floor(gr_strategy_get(config, "trim") * n + 1e-9);
    return (uint32_t)fmin(cut, median_breakdown(config, n));
}

static void trimmed_mean(const void *context, const float *const *row, size_t n_rows, size_t n,
                         float *work, float *out) {
    combine_sorted(row, n_rows, trimmed_breakdown(context, (uint32_t)n_rows), n, work, out);
}

static const struct gr_strategy_setting trim = {
    .name = "trim", .standard = "0.1", .high = 0.5, .below = true};

/* Where updates are not added up, there is nothing to be encoded. */
const struct gr_strategy gr_strategy_median = {
    .name = "median",
    .source = "Yin, Chen, Ramchandran, Bartlett 2018, definition 1",
    .setting = {&gr_setting_server_learning_rate},
    .rule = {{"aggregation.encoding", "ring32"}},
    .alike = true,
    .combine = median,
    .breakdown = median_breakdown,
    .step = gr_strategy_step_mean,
};

const struct gr_strategy gr_strategy_trimmed_mean = {
    .name = "trimmed_mean",
    .source = "Yin, Chen, Ramchandran, Bartlett 2018, definition 2",
    .setting = {&gr_setting_server_learning_rate, &trim},
    .rule = {{"aggregation.encoding", "ring32"}},
    .alike = true,
    .combine = trimmed_mean,
    .breakdown = trimmed_breakdown,
    .step = gr_strategy_step_mean,
};
