/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Noise of differential privacy: samples a second of the fast sampler and of the exact one, by the
 * standard deviation, and the time to make the fast one's table; correlated noise, by bands.
 *
 *   bench_noise [samples]
 *
 * Processor time of one thread, medians of repetitions taken in turn. Each repetition adds samples
 * to as many sums as a step of private training has parameters.
 */
#include <stdlib.h>
#include <string.h>

#include "privacy/correlated_noise.h"
#include "privacy/discrete_gaussian.h"
#include "privacy/noise.h"

#include "bench_sum.h"

enum { REPETITIONS = 11, PARTS = 3 };

static double make(double sigma, struct gr_noise **noise) {
    const double begin = gr_clock_cpu_seconds();
    CHECK(gr_noise_create(sigma, noise));
    return gr_clock_cpu_seconds() - begin;
}

static double draw_fast(const struct gr_noise *noise, uint64_t stream, int64_t *sum, size_t n) {
    unsigned char seed[GR_NOISE_SEED_BYTES];
    CHECK(gr_noise_seed(seed));
    const double begin = gr_clock_cpu_seconds();
    gr_noise_add(noise, seed, stream, sum, n);
    return gr_clock_cpu_seconds() - begin;
}

static double draw_exact(double sigma, uint64_t stream, int64_t *sum, size_t n) {
    unsigned char seed[GR_NOISE_SEED_BYTES];
    struct gr_discrete_gaussian gaussian;
    struct gr_noise_words words;
    CHECK(gr_noise_seed(seed));
    CHECK(gr_discrete_gaussian_create((uint64_t)(sigma * sigma), 1, &gaussian));
    const double begin = gr_clock_cpu_seconds();
    gr_noise_words_start(&words, seed, stream, GR_NOISE_EXACT);
    for (size_t i = 0; i < n; i++)
        sum[i] += gr_discrete_gaussian_draw(&gaussian, &words);
    gr_noise_words_end(&words);
    return gr_clock_cpu_seconds() - begin;
}

/* A step that looks back on as many as it can. */
static double correlated(const struct gr_correlation_matrix *matrix, int64_t *sum, size_t n) {
    struct gr_correlated_noise *noise;
    unsigned char seed[GR_NOISE_SEED_BYTES];
    double seconds[REPETITIONS];
    CHECK(gr_noise_seed(seed));
    CHECK(gr_correlated_noise_create(matrix, 0x1p25, n, &noise));
    for (uint32_t t = 0; t < matrix->bands + REPETITIONS; t++) {
        memset(sum, 0, n * sizeof *sum);
        const double begin = gr_clock_cpu_seconds();
        gr_correlated_noise_apply(noise, seed, t, sum);
        if (t >= matrix->bands) seconds[t - matrix->bands] = gr_clock_cpu_seconds() - begin;
    }
    gr_correlated_noise_free(noise);
    qsort(seconds, REPETITIONS, sizeof *seconds, bench_ascending);
    return 1e3 * seconds[REPETITIONS / 2];
}

/* Beside the error of running sums over that with independent noise. */
static void correlated_all(int64_t *sum, size_t n) {
    const struct gr_participation_limits limits = {1000, 100, 10};
    struct gr_correlation_matrix matrix;
    printf("correlated noise, and its error in 10 passes of 100 steps:\n");
    for (uint32_t bands = 1; bands <= 64; bands *= 4) {
        CHECK(gr_correlation_banded(bands, &matrix));
        printf("  %4u bands:   %6.2f ms, %.3f\n", bands, correlated(&matrix, sum, n),
               gr_correlation_ratio(&matrix, &limits));
    }
    for (uint32_t buffers = 1; buffers <= 4; buffers++) {
        CHECK(gr_correlation_buffered(buffers, &limits, &matrix));
        printf("  %4u buffers: %6.2f ms, %.3f\n", buffers, correlated(&matrix, sum, n),
               gr_correlation_ratio(&matrix, &limits));
    }
}

int main(int argc, char **argv) {
    static const double sigmas[] = {2, 64, 0x1p10, 0x1p20, 0x1p25, 0x1p30};
    const size_t n = argc > 1 ? (size_t)atof(argv[1]) : 200000;
    int64_t *sum;
    CHECK(gr_base_start());
    CHECK(gr_allocate_zero(n, sizeof *sum, "sums", &sum));
    printf("%zu samples, medians of %d:\n", n, REPETITIONS);
    for (size_t s = 0; s < sizeof sigmas / sizeof *sigmas; s++) {
        double seconds[PARTS][REPETITIONS];
        for (int i = 0; i < REPETITIONS; i++) {
            struct gr_noise *noise;
            seconds[0][i] = make(sigmas[s], &noise);
            seconds[1][i] = draw_fast(noise, (uint64_t)i, sum, n);
            seconds[2][i] = draw_exact(sigmas[s], (uint64_t)i, sum, n);
            gr_noise_free(noise);
        }
        for (int p = 0; p < PARTS; p++)
            qsort(seconds[p], REPETITIONS, sizeof seconds[p][0], bench_ascending);
        const double fast = seconds[1][REPETITIONS / 2], exact = seconds[2][REPETITIONS / 2];
        printf(
            "  sigma %10.0f: fast %6.1f million/s (%5.2f ms), exact %5.1f million/s, table %4.1f "
            "ms\n",
            sigmas[s], 1e-6 * (double)n / fast, 1e3 * fast, 1e-6 * (double)n / exact,
            1e3 * seconds[0][REPETITIONS / 2]);
    }
    correlated_all(sum, n);
    gr_free(sum);
    return 0;
}
