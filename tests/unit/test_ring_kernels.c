/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The vectorised arithmetic of the ring against naive references in long double and integers, which
 * share no code with it: every bit must agree.
 * slow: naive references over every block
 */
#include <check.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_randist.h>

#include <granary/base.h>

#include "comm/ring.h"

enum { N = 4099 }; /* no multiple of any vector width */

static float values[N];

/* Ordinary values, and some of every unpleasant kind that is finite. */
static void fill(uint32_t round, double scale) {
    static const float odd[] = {0.0F,    -0.0F,         FLT_MIN, -FLT_MIN, FLT_TRUE_MIN,
                                1e-42F,  -FLT_TRUE_MIN, 1.0F,    -1.0F,    0.5F,
                                FLT_MAX, -FLT_MAX,      1e30F,   1e-30F,   16777216.0F};
    gsl_rng *stream;
    struct gr_stream_key key = {.seed = 7, .round = round, .purpose = GR_PURPOSE_TEST};
    ck_assert_int_eq(gr_stream_create(key, &stream), GR_OK);
    for (size_t i = 0; i < N; i++)
        values[i] = (float)(gsl_ran_gaussian(stream, 1) * scale);
    if (round % 3 == 2)
        for (size_t i = 0; i < sizeof odd / sizeof *odd; i++)
            values[gsl_rng_uniform_int(stream, N)] = odd[i];
    gsl_rng_free(stream);
}

static float product(float x, float weight) {
    volatile float p = x * weight;
    return p;
}

/* Ties to even, by the definition. */
static int64_t naive_round(long double x) {
    long double below = floorl(x), rest = x - below;
    int64_t q = (int64_t)below;
    if (rest > 0.5L || (rest == 0.5L && q % 2 != 0)) q++;
    return q;
}

/* Smallest e with largest 2^-e <= bound, by trying. */
static int naive_exponent(float largest, int64_t bound) {
    int e = -400;
    while (ldexpl((long double)largest, -e) > (long double)bound)
        e++;
    return e;
}

START_TEST(largest_is_the_largest) {
    static const float weights[] = {1, 3, 600, 16777216};
    for (uint32_t round = 0; round < 6; round++)
        for (size_t w = 0; w < 4; w++) {
            fill(round, 1e-3);
            for (size_t n = 0; n < N; n += n < 70 ? 1 : 571) {
                float expected = 0;
                for (size_t i = 0; i < n; i++)
                    expected = fmaxf(expected, fabsf(product(values[i], weights[w])));
                uint32_t bits, found = gr_ring_largest(values, weights[w], n);
                memcpy(&bits, &expected, sizeof bits);
                ck_assert_uint_eq(found, bits);
            }
        }
}
END_TEST

START_TEST(not_finite_is_seen_anywhere) {
    static const float bad[] = {NAN, -NAN, INFINITY, -INFINITY, 1e38F};
    for (size_t b = 0; b < 5; b++)
        for (size_t at = 0; at < N; at += at < 70 || at > N - 70 ? 1 : 97) {
            fill(0, 1);
            values[at] = bad[b];
            /* The last is finite; its product with the weight is not. */
            ck_assert_int_eq(gr_ring_exponent(gr_ring_largest(values, 600, N), INT32_MAX),
                             GR_RING_EXPONENT_REFUSED);
        }
    fill(0, 1);
    values[5] = 1e38F;
    ck_assert_int_ne(gr_ring_exponent(gr_ring_largest(values, 1, N), INT32_MAX),
                     GR_RING_EXPONENT_REFUSED);
}
END_TEST

START_TEST(exponent_is_the_smallest_that_fits) {
    static const int64_t limits[] = {INT32_MAX, INT16_MAX, (int64_t)1 << 62};
    static const int64_t members[] = {1, 2, 3, 7, 8, 100, 1000, 4095, 1000000, INT32_MAX};
    static const float largest[] = {FLT_TRUE_MIN, FLT_MIN, 1e-20F, 0.1F,          0.5F,
                                    1.0F,         1.5F,    3e8F,   2147483520.0F, FLT_MAX};
    ck_assert_int_eq(gr_ring_exponent(0, INT32_MAX / 3), GR_RING_EXPONENT_ZERO);
    for (size_t l = 0; l < sizeof limits / sizeof *limits; l++)
        for (size_t m = 0; m < sizeof members / sizeof *members; m++)
            for (size_t i = 0; i < sizeof largest / sizeof *largest; i++) {
                uint32_t bits;
                memcpy(&bits, &largest[i], sizeof bits);
                if (limits[l] < members[m]) continue;
                ck_assert_int_eq(gr_ring_exponent(bits, limits[l] / members[m]),
                                 naive_exponent(largest[i], limits[l] / members[m]));
            }
    ck_assert_int_eq(gr_codec_ring64.limit, INT64_MAX / 2);
    ck_assert_int_eq(gr_codec_ring32.limit, INT32_MAX);
    ck_assert_int_eq(gr_codec_ring16.limit, INT16_MAX);
}
END_TEST

START_TEST(encoding_rounds_to_nearest_even) {
    static int32_t q[N], more[N];
    static const float weights[] = {1, 3, 4096};
    static const uint32_t members[] = {1, 3, 1000};
    for (uint32_t round = 0; round < 9; round++)
        for (size_t w = 0; w < 3; w++)
            for (size_t m = 0; m < 3; m++) {
                fill(round, round == 4 ? 1e-40 : 1e-3);
                for (size_t i = 0; i < N; i++)
                    if (!isfinite(product(values[i], weights[w]))) values[i] = 1;
                int64_t bound = INT32_MAX / (int64_t)members[m];
                int16_t e = gr_ring_exponent(gr_ring_largest(values, weights[w], N), bound);
                gr_codec_ring32.encode(values, weights[w], e, q, N);
                for (size_t i = 0; i < N; i++)
                    more[i] = (int32_t)i - 2000;
                if (members[m] > 1) gr_codec_ring32.add_encoded(values, weights[w], e, more, N);
                for (size_t i = 0; i < N; i++) {
                    int64_t expected =
                        naive_round(ldexpl((long double)product(values[i], weights[w]), -e));
                    ck_assert_int_eq(q[i], expected);
                    ck_assert(q[i] <= bound && q[i] >= -bound);
                    if (members[m] > 1) ck_assert_int_eq(more[i], expected + (int64_t)i - 2000);
                }
            }
    /* Halves, both ways. */
    static const float halves[] = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 8388607.5F, 3.0F};
    static const int32_t rounded[] = {0, 2, 2, 0, -2, -2, 8388608, 3};
    gr_codec_ring32.encode(halves, 1, 0, q, 8);
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(q[i], rounded[i]);
}
END_TEST

START_TEST(zero_blocks_stay_zero) {
    static int32_t q[N];
    static float x[N];
    memset(values, 0, sizeof values);
    values[3] = -0.0F;
    gr_codec_ring32.encode(values, 5, GR_RING_EXPONENT_ZERO, q, N);
    gr_codec_ring32.decode(q, GR_RING_EXPONENT_ZERO, 5, x, N);
    for (size_t i = 0; i < N; i++) {
        ck_assert_int_eq(q[i], 0);
        ck_assert(x[i] == 0 && !signbit(x[i]));
    }
}
END_TEST

START_TEST(adding_is_exact) {
    static int32_t a[N], b[N], sum[N];
    for (size_t i = 0; i < N; i++) {
        a[i] = (int32_t)(i * 520011u % 1073741823u) - 500000000;
        b[i] = INT32_MAX / 2 - (int32_t)(i * 7919u);
    }
    for (size_t n = 0; n < N; n += n < 70 ? 1 : 571) {
        memset(sum, 0, sizeof sum);
        gr_codec_ring32.add(a, b, sum, n);
        for (size_t i = 0; i < N; i++)
            ck_assert_int_eq(sum[i], i < n ? (int64_t)a[i] + b[i] : 0);
    }
    memcpy(sum, a, sizeof sum);
    gr_codec_ring32.add(sum, b, sum, N);
    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(sum[i], (int64_t)a[i] + b[i]);
}
END_TEST

/*
 * Whatever is added to hide a contribution goes round the ring, and is taken off again: any words,
 * in any order, to the bit. Under MODE=sanitize no addition may overflow a signed integer.
 */
START_TEST(adding_goes_round) {
    static const struct gr_codec *const codecs[] = {&gr_codec_ring64, &gr_codec_ring32,
                                                    &gr_codec_ring16};
    static uint64_t a[N], mask[N], opposite[N], sum[N];
    for (size_t c = 0; c < 3; c++) {
        const size_t bytes = codecs[c]->element;
        unsigned char *of_mask = (unsigned char *)mask, *other = (unsigned char *)opposite;
        memset(mask, 0x7F, sizeof mask);
        for (size_t i = 0; i < N; i++) {
            a[i] = i * UINT64_C(0x9E3779B97F4A7C15);
            uint64_t word = 0, minus;
            for (size_t b = 0; b < bytes; b++)
                word |= (uint64_t)of_mask[i * bytes + b] << 8 * b;
            minus = 0 - word;
            for (size_t b = 0; b < bytes; b++)
                other[i * bytes + b] = (unsigned char)(minus >> 8 * b);
        }
        memcpy(sum, a, sizeof sum);
        for (int times = 0; times < 3; times++)
            codecs[c]->add(sum, mask, sum, N);
        ck_assert(memcmp(sum, a, N * bytes) != 0);
        for (int times = 0; times < 3; times++)
            codecs[c]->add(opposite, sum, sum, N);
        ck_assert(memcmp(sum, a, N * bytes) == 0);
    }
    /* What is encoded on top of a word at the end of its range goes round as well. */
    static const float ones[] = {1, 1, 1, 1, 1, 1, 1, 1};
    int32_t top32[8];
    int64_t top64[8];
    for (size_t i = 0; i < 8; i++) {
        top32[i] = INT32_MAX;
        top64[i] = INT64_MAX;
    }
    gr_codec_ring32.add_encoded(ones, 1, 0, top32, 8);
    gr_codec_ring64.add_encoded(ones, 1, 0, top64, 8);
    for (size_t i = 0; i < 8; i++) {
        ck_assert_int_eq(top32[i], INT32_MIN);
        ck_assert(top64[i] == INT64_MIN);
    }
}
END_TEST

START_TEST(decoding_is_as_defined) {
    static int32_t q[N];
    static float x[N];
    static const double weights[] = {1, 3, 600, 16777216.0 * 1000};
    static const int16_t exponents[] = {-179, -127, -40, 0, 40, 97};
    for (size_t i = 0; i < N; i++)
        q[i] = (int32_t)(i * 2654435761u);
    for (size_t w = 0; w < 4; w++)
        for (size_t e = 0; e < 6; e++) {
            gr_codec_ring32.decode(q, exponents[e], weights[w], x, N);
            volatile double factor = 1 / weights[w];
            factor = ldexp(factor, exponents[e]);
            for (size_t i = 0; i < N; i++) {
                volatile double mean = (double)q[i] * factor;
                float expected = (float)mean;
                if (isinf(expected)) expected = copysignf(FLT_MAX, expected);
                ck_assert(memcmp(&x[i], &expected, sizeof expected) == 0);
                long double exact = ldexpl((long double)q[i], exponents[e]) / weights[w];
                ck_assert(fabsl((long double)x[i] - exact) <= fabsl(exact) * 0x1.001p-24L ||
                          fabsl(exact) < FLT_MIN || fabsl(exact) > FLT_MAX);
            }
        }
    /* The largest float, whose rounding on a coarse grid lifts it beyond float32. */
    int32_t top = 1 << 20;
    gr_codec_ring32.decode(&top, 108, 1, x, 1);
    ck_assert(x[0] == FLT_MAX);
}
END_TEST

/* ---- 64 bits -------------------------------------------------------------------------------- */

START_TEST(ring64_rounds_exact_products_to_nearest_even) {
    static int64_t q[N], more[N];
    static const float weights[] = {1, 3, 4097, 16777216};
    static const int64_t members[] = {1, 3, 1000};
    for (uint32_t round = 0; round < 9; round++)
        for (size_t w = 0; w < 4; w++)
            for (size_t m = 0; m < 3; m++) {
                fill(round, round == 4 ? 1e-40 : 1e-3);
                for (size_t i = 0; i < N; i++)
                    if (!isfinite(product(values[i], weights[w]))) values[i] = 1;
                int64_t bound = gr_codec_ring64.limit / members[m];
                int16_t e = gr_ring_exponent(gr_ring_largest(values, weights[w], N), bound);
                gr_codec_ring64.encode(values, weights[w], e, q, N);
                for (size_t i = 0; i < N; i++)
                    more[i] = (int64_t)i - 2000;
                gr_codec_ring64.add_encoded(values, weights[w], e, more, N);
                for (size_t i = 0; i < N; i++) {
                    long double exact = (long double)values[i] * (long double)weights[w];
                    int64_t expected = naive_round(ldexpl(exact, -e));
                    ck_assert_int_eq(q[i], expected);
                    ck_assert_int_eq(more[i], expected + (int64_t)i - 2000);
                    ck_assert(llabs(q[i]) <= bound + (bound >> 23));
                }
            }
    static const float halves[] = {0.5F, 1.5F, 2.5F, -0.5F, -1.5F, -2.5F, 0x1p31F, -0x1p61F};
    static const int64_t rounded[] = {0, 2, 2, 0, -2, -2, (int64_t)1 << 31, -((int64_t)1 << 61)};
    gr_codec_ring64.encode(halves, 1, 0, q, 8);
    for (size_t i = 0; i < 8; i++)
        ck_assert_int_eq(q[i], rounded[i]);
}
END_TEST

START_TEST(ring64_adds_and_decodes) {
    static int64_t a[N], b[N], sum[N];
    static float x[N];
    static const int16_t exponents[] = {-210, -127, -40, 0, 40, 66, GR_RING_EXPONENT_ZERO};
    for (size_t i = 0; i < N; i++) {
        a[i] = (int64_t)(i * UINT64_C(0x9E3779B97F4A7C15)) >> (i % 60);
        b[i] = i % 2 ? (int64_t)i << 40 : -(int64_t)i;
    }
    a[0] = INT64_MAX, a[1] = -INT64_MAX, a[2] = INT64_MIN, a[3] = -1, a[4] = 0, a[5] = 1;
    memset(b, 0, 6 * sizeof *b);
    gr_codec_ring64.add(a, b, sum, N);
    for (size_t i = 0; i < N; i++)
        ck_assert_int_eq(sum[i], (int64_t)((uint64_t)a[i] + (uint64_t)b[i]));
    for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
        gr_codec_ring64.decode(sum, exponents[e], 600, x, N);
        volatile double factor = 1.0 / 600;
        factor = exponents[e] == GR_RING_EXPONENT_ZERO ? 0 : ldexp(factor, exponents[e]);
        for (size_t i = 0; i < N; i++) {
            volatile double mean = (double)sum[i] * factor;
            ck_assert(x[i] == (float)mean);
        }
    }
}
END_TEST

/* ---- 16 bits -------------------------------------------------------------------------------- */

/* floor(y + u), y to the nearest multiple of 2^-16, ties to even. */
static int64_t naive_stochastic(long double y, uint16_t noise) {
    return (int64_t)floorl(((long double)naive_round(y * 65536) + noise) / 65536);
}

START_TEST(ring16_rounds_as_its_noise_says) {
    static int16_t q[N], more[N];
    static uint16_t noise[N];
    static float p[N], residual[N], left[N], again[N];
    static const float weights[] = {1, 3, 4096};
    static const int64_t members[] = {1, 3, 1000, 4095};
    for (size_t i = 0; i < N; i++)
        noise[i] = (uint16_t)(i < 2 ? 65535 * i : i * 40503U);
    for (uint32_t round = 0; round < 9; round++)
        for (size_t w = 0; w < 3; w++)
            for (size_t m = 0; m < 4; m++) {
                fill(round, round == 4 ? 1e-42 : 1e-3);
                for (size_t i = 0; i < N; i++) {
                    if (!(fabsf(product(values[i], weights[w])) < 1e38F)) values[i] = 1;
                    residual[i] = values[N - 1 - i] / 7;
                }
                gr_ring_weigh(values, weights[w], NULL, p, N);
                for (size_t i = 0; i < N; i++)
                    ck_assert(p[i] == product(values[i], weights[w]));
                gr_ring_weigh(values, weights[w], residual, p, N);
                int64_t bound = gr_codec_ring16.limit / members[m];
                int16_t e = gr_ring_exponent(gr_ring_largest(p, 1, N), bound);
                gr_ring16_encode(p, noise, e, false, q, left, N);
                for (size_t i = 0; i < N; i++)
                    more[i] = (int16_t)((int)i % 50 - 25);
                if (members[m] > 1) gr_ring16_encode(p, noise, e, true, more, again, N);
                for (size_t i = 0; i < N; i++) {
                    volatile float expected_p = product(values[i], weights[w]) + residual[i];
                    ck_assert(p[i] == expected_p);
                    long double y = ldexpl((long double)p[i], -e);
                    int64_t expected = naive_stochastic(y, noise[i]);
                    ck_assert_int_eq(q[i], expected);
                    ck_assert(q[i] <= bound && q[i] >= -bound);
                    if (members[m] > 1) ck_assert_int_eq(more[i], expected + (int)i % 50 - 25);
                    if (members[m] > 1) ck_assert(left[i] == again[i]);
                    long double rest = ldexpl(y - (long double)q[i], e);
                    ck_assert(fabsl(rest) < ldexpl(1, e));
                    ck_assert(fabsl(left[i] - rest) <= fabsl(rest) * 0x1p-23L + 0x1p-149L ||
                              fabsl(y) < 0x1p-100L);
                }
            }
}
END_TEST

/* Whole numbers of the grid pass unchanged under any noise; both ends of int16; a mean over all
 * noise is the value. */
START_TEST(ring16_is_unbiased) {
    static const float whole[] = {0, 1, -1, 32767, -32767, 100, -4096, 2};
    int16_t q[8];
    float left[8];
    uint16_t noise[8];
    for (uint32_t u = 0; u < 65536; u += 85) {
        for (size_t i = 0; i < 8; i++)
            noise[i] = (uint16_t)u;
        gr_ring16_encode(whole, noise, 0, false, q, left, 8);
        for (size_t i = 0; i < 8; i++)
            ck_assert(q[i] == (int16_t)whole[i] && left[i] == 0);
    }
    static const float parts[] = {0.25F,  -0.25F,  32766.5F, -32766.5F,
                                  7.125F, -7.125F, 1e-3F,    1e-9F};
    int64_t sum[8] = {0};
    for (uint32_t u = 0; u < 65536; u++) {
        for (size_t i = 0; i < 8; i++)
            noise[i] = (uint16_t)u;
        gr_ring16_encode(parts, noise, 0, false, q, left, 8);
        for (size_t i = 0; i < 8; i++)
            sum[i] += q[i];
    }
    for (size_t i = 0; i < 8; i++)
        ck_assert(fabs((double)sum[i] / 65536 - (double)parts[i]) <= 0x1p-17);
    gr_ring16_encode(parts, noise, GR_RING_EXPONENT_ZERO, false, q, left, 0);
    static const float nothing[8];
    gr_ring16_encode(nothing, noise, GR_RING_EXPONENT_ZERO, false, q, left, 8);
    for (size_t i = 0; i < 8; i++)
        ck_assert(q[i] == 0 && left[i] == 0);
}
END_TEST

START_TEST(ring16_adds_and_decodes) {
    static int16_t a[N], b[N], sum[N];
    static float x[N];
    static const int16_t exponents[] = {-164, -20, 0, 40, 113, GR_RING_EXPONENT_ZERO};
    for (size_t i = 0; i < N; i++) {
        a[i] = (int16_t)((int)(i * 7919U % 32768) - 16384);
        b[i] = (int16_t)(i % 2 ? 16383 : -16383);
    }
    gr_codec_ring16.add(a, b, sum, N);
    for (size_t e = 0; e < sizeof exponents / sizeof *exponents; e++) {
        gr_codec_ring16.decode(sum, exponents[e], 3, x, N);
        volatile double factor = 1.0 / 3;
        factor = exponents[e] == GR_RING_EXPONENT_ZERO ? 0 : ldexp(factor, exponents[e]);
        for (size_t i = 0; i < N; i++) {
            ck_assert_int_eq(sum[i], a[i] + b[i]);
            volatile double mean = (double)sum[i] * factor;
            ck_assert(x[i] == (float)mean);
        }
    }
    int16_t top = 8;
    gr_codec_ring16.decode(&top, 125, 1, x, 1);
    ck_assert(x[0] == FLT_MAX);
}
END_TEST

START_TEST(floats_are_plain_sums) {
    static float p[N], sum[N], x[N];
    fill(1, 1);
    gr_codec_float32.encode(values, 3, 0, p, N);
    for (size_t i = 0; i < N; i++)
        ck_assert(p[i] == product(values[i], 3));
    gr_codec_float32.add(p, values, sum, N);
    gr_codec_float32.add_encoded(values, 7, 0, p, N);
    gr_codec_float32.decode(p, 10, 10, x, N);
    for (size_t i = 0; i < N; i++) {
        volatile float expected = product(values[i], 3) + values[i];
        ck_assert(sum[i] == expected);
        expected = product(values[i], 3) + product(values[i], 7);
        ck_assert(p[i] == expected);
        volatile double factor = 1.0 / 10, mean = p[i] * factor;
        ck_assert(x[i] == (float)mean);
    }
}
END_TEST

int main(void) {
    if (gr_base_start() != GR_OK) return EXIT_FAILURE;
    Suite *suite = suite_create("ring kernels");
    TCase *tests = tcase_create("ring kernels");
    tcase_set_timeout(tests, 100); /* under valgrind */
    tcase_add_test(tests, largest_is_the_largest);
    tcase_add_test(tests, not_finite_is_seen_anywhere);
    tcase_add_test(tests, exponent_is_the_smallest_that_fits);
    tcase_add_test(tests, encoding_rounds_to_nearest_even);
    tcase_add_test(tests, zero_blocks_stay_zero);
    tcase_add_test(tests, adding_is_exact);
    tcase_add_test(tests, adding_goes_round);
    tcase_add_test(tests, decoding_is_as_defined);
    tcase_add_test(tests, ring64_rounds_exact_products_to_nearest_even);
    tcase_add_test(tests, ring64_adds_and_decodes);
    tcase_add_test(tests, ring16_rounds_as_its_noise_says);
    tcase_add_test(tests, ring16_is_unbiased);
    tcase_add_test(tests, ring16_adds_and_decodes);
    tcase_add_test(tests, floats_are_plain_sums);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
