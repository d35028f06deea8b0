/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Correlated noise against dense matrices: coefficients, sensitivities over all orders of
 * participation, releases as a function of C x + z alone, errors of running sums, the state in a
 * file.
 */
#include "privacy/correlated_noise.h"

#include <math.h>

#include "scratch.h"

enum { UNIT = 1 << GR_CORRELATION_BITS, STEPS_MAX = 64 };
static const unsigned char seed[GR_NOISE_SEED_BYTES] = "a seed of correlated noise";

/* ---- the matrix ----------------------------------------------------------------------------- */

START_TEST(coefficients) {
    struct gr_correlation_matrix c;
    MUST(gr_correlation_banded(GR_CORRELATION_BANDS_MAX, &c));
    for (int k = 0; k < GR_CORRELATION_BANDS_MAX; k++) {
        const double binomial = lgamma(2 * k + 1) - 2 * lgamma(k + 1) - 2 * k * log(2);
        ck_assert_double_eq_tol(c.coefficient[k], UNIT * exp(binomial), 0.5 + 1e-9);
        ck_assert(k == 0 || c.coefficient[k] <= c.coefficient[k - 1]);
    }
    ck_assert_uint_eq(c.coefficient[0], UNIT);
    ck_assert_uint_eq(c.coefficient[1], UNIT / 2);
    ck_assert_uint_eq(c.coefficient[2], UNIT * 3 / 8);
    ck_assert_int_eq(gr_correlation_banded(0, &c), GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_correlation_banded(GR_CORRELATION_BANDS_MAX + 1, &c), GR_ERROR_CONFIG);
}
END_TEST

static double entry(const struct gr_correlation_matrix *c, int row, int column) {
    const int k = row - column;
    double sum = 0;
    if (k <= 0) return k == 0;
    if (c->bands > 0) return k < (int)c->bands ? (double)c->coefficient[k] / UNIT : 0;
    for (uint32_t j = 0; j < c->buffers; j++)
        sum += c->weight[j] * 0x1p-20 * pow(c->decay[j] * 0x1p-20, k - 1);
    return sum;
}

/* The norm of C g for g = 1 in some steps, 0 in the others. */
static double norm_of(const struct gr_correlation_matrix *c, int steps, unsigned subset) {
    double square = 0;
    for (int row = 0; row < steps; row++) {
        double sum = 0;
        for (int column = 0; column < steps; column++)
            sum += subset >> column & 1 ? entry(c, row, column) : 0;
        square += sum * sum;
    }
    return sqrt(square);
}

/* Steps of a subset; 0: two of them are less than the separation apart. */
static size_t list_of(unsigned subset, uint32_t separation, uint32_t at[STEPS_MAX]) {
    size_t n = 0;
    for (uint32_t t = 0; subset >> t; t++) {
        if (!(subset >> t & 1)) continue;
        if (n > 0 && t - at[n - 1] < separation) return 0;
        at[n++] = t;
    }
    return n;
}

/* Some of both kinds. */
enum { MATRICES = 9 };
static struct gr_correlation_matrix matrix_of(int i) {
    static const uint32_t bands[] = {1, 2, 5, 9, 16, STEPS_MAX}, buffers[] = {1, 2, 4};
    static const struct gr_participation_limits limits = {STEPS_MAX, 20, 3};
    struct gr_correlation_matrix c;
    if (i < 6)
        MUST(gr_correlation_banded(bands[i], &c));
    else
        MUST(gr_correlation_buffered(buffers[i - 6], &limits, &c));
    return c;
}

/* Over all subsets of 11 steps that are allowed, by the dense matrix: none has more than the worst,
 * and some has as much. */
START_TEST(sensitivities) {
    enum { STEPS = 11 };
    for (int m = 0; m < MATRICES; m++)
        for (uint32_t separation = 1; separation <= STEPS; separation++)
            for (uint32_t times = 1; times <= 4; times++) {
                const struct gr_correlation_matrix c = matrix_of(m);
                uint32_t at[STEPS_MAX];
                double worst = 0;
                for (unsigned subset = 1; subset < 1u << STEPS; subset++) {
                    const size_t n = list_of(subset, separation, at);
                    if (n == 0 || n > times) continue;
                    const double norm = norm_of(&c, STEPS, subset);
                    worst = fmax(worst, norm);
                }
                const struct gr_participation_limits participation = {STEPS, separation, times};
                const double found = gr_correlation_sensitivity(&c, &participation) / worst;
                ck_assert(found >= 1 && found < 1 + 3e-9);
            }
}
END_TEST

/* No number wraps: entries of C^-1 add up to little, and those of C as well. */
START_TEST(inverse_is_small) {
    enum { ROWS = 3000 };
    for (uint32_t bands = 1; bands <= GR_CORRELATION_BANDS_MAX; bands += bands < 20 ? 1 : 51) {
        static double inverse[ROWS];
        struct gr_correlation_matrix c;
        double sum = 0, coefficients_sum = 0;
        MUST(gr_correlation_banded(bands, &c));
        for (uint32_t k = 0; k < bands; k++)
            coefficients_sum += c.coefficient[k];
        for (uint32_t t = 0; t < ROWS; t++) {
            inverse[t] = t == 0;
            for (uint32_t k = 1; k < bands && k <= t; k++)
                inverse[t] -= (double)c.coefficient[k] / UNIT * inverse[t - k];
            sum += fabs(inverse[t]);
        }
        ck_assert_double_lt(sum, 2.5);
        ck_assert_double_lt(coefficients_sum, 1 << 12);
        ck_assert_double_lt(fabs(inverse[ROWS - 1]), 1e-4);
    }
}
END_TEST

/* Where bands do not reach from one participation to the next, norms add up by squares. */
START_TEST(sensitivity_of_passes) {
    struct gr_correlation_matrix c;
    MUST(gr_correlation_banded(20, &c));
    const struct gr_participation_limits once = {1000, 20, 1}, often = {1000, 20, 9};
    ck_assert_double_eq_tol(gr_correlation_sensitivity(&c, &often),
                            3 * gr_correlation_sensitivity(&c, &once), 1e-12);
    const struct gr_participation_limits closer = {1000, 19, 9};
    ck_assert_double_gt(gr_correlation_sensitivity(&c, &closer),
                        1.0001 * gr_correlation_sensitivity(&c, &often));
}
END_TEST

/* ---- errors of running sums ----------------------------------------------------------------- */

/* Of (running sums) C^-1, by forward substitution, a column at a time. */
static double dense_error(const struct gr_correlation_matrix *c, int steps) {
    double square = 0;
    for (int column = 0; column < steps; column++) {
        double inverse[STEPS_MAX] = {0}, running = 0;
        for (int row = 0; row < steps; row++) {
            double sum = row == column;
            for (int k = column; k < row; k++)
                sum -= entry(c, row, k) * inverse[k];
            inverse[row] = sum;
            running += sum;
            square += running * running;
        }
    }
    return sqrt(square / steps);
}

START_TEST(errors) {
    const struct gr_correlation_matrix independent = matrix_of(0);
    for (int m = 0; m < MATRICES; m++) {
        const struct gr_participation_limits limits = {60, 20, 3};
        const struct gr_correlation_matrix c = matrix_of(m);
        const double ours = dense_error(&c, 60) * gr_correlation_sensitivity(&c, &limits),
                     theirs = dense_error(&independent, 60) *
                              gr_correlation_sensitivity(&independent, &limits);
        ck_assert_double_eq_tol(gr_correlation_ratio(&c, &limits), ours / theirs, 1e-10);
    }
}
END_TEST

/* Its purpose: 0.17 to 0.48 of the error of independent noise. */
START_TEST(errors_to_reach) {
    static const struct {
        struct gr_participation_limits limits;
        uint32_t bands, buffers;
        double ratio;
    } cases[] = {{{60, 20, 3}, 10, 0, 0.46},     {{60, 20, 3}, 20, 0, 0.41},
                 {{500, 50, 10}, 25, 0, 0.28},   {{500, 50, 10}, 50, 0, 0.23},
                 {{1000, 100, 10}, 16, 0, 0.32}, {{1000, 100, 10}, 100, 0, 0.172},
                 {{60, 20, 3}, 0, 2, 0.44},      {{500, 50, 10}, 0, 2, 0.241},
                 {{1000, 100, 10}, 0, 3, 0.181}, {{1000, 1000, 1}, 0, 4, 0.137}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct gr_correlation_matrix c;
        if (cases[i].buffers)
            MUST(gr_correlation_buffered(cases[i].buffers, &cases[i].limits, &c));
        else
            MUST(gr_correlation_banded(cases[i].bands, &c));
        ck_assert_double_eq_tol(gr_correlation_ratio(&c, &cases[i].limits), cases[i].ratio, 0.006);
    }
}
END_TEST

/* Of any number of steps and participations: coefficients do not rise, the inverse is small, and no
 * buffer keeps more than the arithmetic has room for. */
START_TEST(buffers) {
    enum { ROWS = 3000 };
    static const struct gr_participation_limits limits[] = {{1, 1, 1},      {10, 1, 10},
                                                            {60, 20, 3},    {1000, 1000, 1},
                                                            {3000, 3, 100}, {1000000, 1000000, 1}};
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++)
        for (uint32_t n = 1; n <= GR_CORRELATION_BUFFERS_MAX; n += l == 5 ? 7 : 1) {
            struct gr_correlation_matrix c;
            double sum = 0;
            MUST(gr_correlation_buffered(n, &limits[l], &c));
            ck_assert(c.bands == 0 && c.buffers == n);
            double kept[GR_CORRELATION_BUFFERS_MAX] = {0};
            for (int t = 0; t < ROWS; t++) {
                double inverse = t == 0;
                for (uint32_t j = 0; j < n; j++)
                    inverse -= c.weight[j] * 0x1p-20 * kept[j];
                for (uint32_t j = 0; j < n; j++)
                    kept[j] = kept[j] * c.decay[j] * 0x1p-20 + inverse;
                ck_assert(t > 300 || entry(&c, t + 1, 0) <= entry(&c, t, 0));
                sum += fabs(inverse);
            }
            ck_assert_double_lt(sum, 2.5);
            for (uint32_t j = 0; j < n; j++)
                ck_assert_double_le(c.decay[j] * 0x1p-20, 1 - 0x1p-12);
        }
    struct gr_correlation_matrix c;
    ck_assert_int_eq(gr_correlation_buffered(0, &limits[0], &c), GR_ERROR_CONFIG);
    ck_assert_int_eq(gr_correlation_buffered(GR_CORRELATION_BUFFERS_MAX + 1, &limits[0], &c),
                     GR_ERROR_CONFIG);
    const struct gr_participation_limits long_one = {GR_CORRELATION_STEPS_MAX + 1, 1, 1};
    ck_assert_int_eq(gr_correlation_buffered(1, &long_one, &c), GR_ERROR_CONFIG);
}
END_TEST

/* ---- releases ------------------------------------------------------------------------------- */

enum { N = 700, STEPS = 40 };
static int64_t x[STEPS][N], z[STEPS][N], r[STEPS][N];

/* Some x, z as the seed has it, and what is released. */
static void run(const struct gr_correlation_matrix *c, double sigma) {
    struct gr_correlated_noise *noise;
    MUST(gr_correlated_noise_create(c, sigma, N, &noise));
    for (int t = 0; t < STEPS; t++) {
        for (int i = 0; i < N; i++)
            x[t][i] = ((t * 7919 + i * 104729) % 2001 - 1000) * (1 + (int64_t)sigma / 50);
        memset(z[t], 0, sizeof z[t]);
        gr_noise_add(gr_correlated_noise_drawn(noise), seed, (uint64_t)t, z[t], N);
        memcpy(r[t], x[t], sizeof r[t]);
        ck_assert_uint_eq(gr_correlated_noise_step(noise), (uint64_t)t);
        gr_correlated_noise_apply(noise, seed, (uint64_t)t, r[t]);
    }
    gr_correlated_noise_free(noise);
}

static int64_t rounded(int64_t a) {
    int64_t q = a / UNIT, rest = a % UNIT;
    if (rest < 0) rest += UNIT, q--;
    return q + (rest >= UNIT / 2);
}

/* Each release is D C x + z and earlier releases, to the bit, however x is: with another x and a z
 * that makes up for it, the same would be released. */
START_TEST(function_of_what_is_noised) {
    for (int m = 0; matrix_of(m).bands > 0; m++) {
        const struct gr_correlation_matrix c = matrix_of(m);
        run(&c, m % 2 ? 3 : 0x1p34);
        size_t wrong = 0;
        for (int t = 0; t < STEPS; t++)
            for (int i = 0; i < N; i++) {
                int64_t noised = z[t][i], released = 0;
                for (int k = 0; k < (int)c.bands && k <= t; k++) {
                    noised += c.coefficient[k] * x[t - k][i];
                    released += k > 0 ? c.coefficient[k] * r[t - k][i] : 0;
                }
                wrong += r[t][i] != noised - rounded(released);
            }
        ck_assert_uint_eq(wrong, 0);
    }
}
END_TEST

/* Of buffers: the z that explains what was released where the sums were x - moved. */
static void explain(const struct gr_correlation_matrix *c, int64_t moved[STEPS][N],
                    int64_t by[STEPS][N]) {
    for (int i = 0; i < N; i++) {
        int64_t s[GR_CORRELATION_BUFFERS_MAX] = {0};
        for (int t = 0; t < STEPS; t++) {
            const int64_t y = r[t][i] - UNIT * (x[t][i] - moved[t][i]);
            long double back = 0;
            for (uint32_t j = 0; j < c->buffers; j++)
                back += (long double)s[j] * c->weight[j];
            by[t][i] = y + (int64_t)floorl(ldexpl(back, -24) + 0.5L);
            for (uint32_t j = 0; j < c->buffers; j++)
                s[j] =
                    (int64_t)floorl(ldexpl((long double)s[j] * c->decay[j], -20) + 0.5L) + 16 * y;
        }
    }
}

/* With buffers: z itself explains what was released. With other sums it is a z that differs by D C
 * times the difference, and by rounding, which is bounded. */
START_TEST(explained_by_other_noise) {
    static int64_t moved[STEPS][N], by[STEPS][N];
    for (int m = 6; m < MATRICES; m++) {
        const struct gr_correlation_matrix c = matrix_of(m);
        const double bound = UNIT * gr_correlation_rounding(&c, STEPS, 1) / sqrt(STEPS);
        double farthest = 0;
        run(&c, 1000);
        memset(moved, 0, sizeof moved);
        explain(&c, moved, by);
        ck_assert_mem_eq(by, z, sizeof z);
        for (int i = 0; i < N; i++)
            for (int t = i % 7; t < STEPS; t += 9 + i % 5)
                moved[t][i] = i % 2 ? i : -1000 * t;
        explain(&c, moved, by);
        for (int i = 0; i < N; i++)
            for (int t = 0; t < STEPS; t++) {
                double linear = 0;
                for (int k = 0; k <= t; k++)
                    linear += UNIT * entry(&c, t, k) * (double)moved[k][i];
                farthest = fmax(farthest, fabs((double)(by[t][i] - z[t][i]) - linear));
            }
        ck_assert(farthest <= bound && farthest > 0.4 && bound < 3);
    }
    const struct gr_correlation_matrix banded = matrix_of(3);
    ck_assert_double_eq(gr_correlation_rounding(&banded, 1000, 1000), 0);
}
END_TEST

/* r / D - x is C^-1 z / D, up to the roundings, which add up to less than one unit. */
START_TEST(inverse_of_the_matrix) {
    for (int m = 0; m < MATRICES; m++) {
        const struct gr_correlation_matrix c = matrix_of(m);
        double inverse[STEPS];
        for (int t = 0; t < STEPS; t++) {
            inverse[t] = t == 0;
            for (int k = 1; k <= t; k++)
                inverse[t] -= entry(&c, k, 0) * inverse[t - k];
        }
        run(&c, 100);
        double farthest = 0;
        for (int t = 0; t < STEPS; t++)
            for (int i = 0; i < N; i++) {
                double y = 0;
                for (int k = 0; k <= t; k++)
                    y += inverse[k] * (double)z[t - k][i];
                farthest = fmax(farthest, fabs((double)(r[t][i] - UNIT * x[t][i]) - y));
            }
        ck_assert_double_le(farthest, 1);
    }
}
END_TEST

/* The errors of running sums that come out are those that were said, within five deviations. */
START_TEST(measured_errors) {
    for (int m = 0; m < MATRICES; m++) {
        const struct gr_correlation_matrix c = matrix_of(m);
        double square = 0;
        run(&c, 1000);
        for (int i = 0; i < N; i++)
            for (double t = 0, running = 0; t < STEPS; t++) {
                const int64_t y = r[(int)t][i] - UNIT * x[(int)t][i];
                running += (double)y / (1000 * UNIT);
                square += running * running;
            }
        ck_assert_double_eq_tol(sqrt(square / (N * STEPS)) / dense_error(&c, STEPS), 1,
                                5 / sqrt(2 * N));
    }
}
END_TEST

/* ---- state ---------------------------------------------------------------------------------- */

START_TEST(refused) {
    static const double bad[] = {0, -1, 0.49, 0x1.01p34, NAN, INFINITY};
    struct gr_correlation_matrix c;
    struct gr_correlated_noise *noise;
    MUST(gr_correlation_banded(3, &c));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        ck_assert_int_eq(gr_correlated_noise_create(&c, bad[i], 1, &noise), GR_ERROR_CONFIG);
        ck_assert_ptr_null(noise);
    }
    ck_assert_int_eq(gr_correlated_noise_create(&c, 1, SIZE_MAX / 8, &noise), GR_ERROR_INTERNAL);
    gr_correlated_noise_free(NULL);
}
END_TEST

RUN_TESTS("correlated noise", coefficients, sensitivities, inverse_is_small, sensitivity_of_passes,
          errors, errors_to_reach, buffers, function_of_what_is_noised, explained_by_other_noise,
          inverse_of_the_matrix, measured_errors, refused)
