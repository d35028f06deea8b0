/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shamir's shares over GF(2^8). The vectors were made by a program of its own in Python, which
 * multiplies by tables of logarithms to the base 3 and interpolates with fractions of the field
 * (tests/unit/shamir_vectors.py); products of AES by hand: FIPS 197, 4.2: {57} * {83} = {c1}.
 */
#include "privacy/shamir.h"

#include "scratch.h"

#include "shamir_vectors.h"

static void from_hex(const char *hex, unsigned char out[GR_SHAMIR_BYTES]) {
    ck_assert(gr_digest_from_hex(hex, out));
}

START_TEST(vectors_of_another_program) {
    for (size_t v = 0; v < sizeof vectors / sizeof *vectors; v++) {
        unsigned char shares[GR_SHAMIR_SHARES_MAX][GR_SHAMIR_BYTES], secret[GR_SHAMIR_BYTES],
            expected[GR_SHAMIR_BYTES];
        for (uint32_t i = 0; i < vectors[v].n; i++)
            from_hex(vectors[v].shares[i], shares[i]);
        from_hex(vectors[v].secret, expected);
        gr_shamir_combine(vectors[v].numbers, (const unsigned char(*)[GR_SHAMIR_BYTES])shares,
                          vectors[v].n, secret);
        ck_assert_mem_eq(secret, expected, sizeof secret);
    }
}
END_TEST

/* Any threshold of them give the secret; one fewer do not. */
static void check_split(uint32_t threshold, uint32_t n) {
    unsigned char secret[GR_SHAMIR_BYTES], again[GR_SHAMIR_BYTES],
        shares[GR_SHAMIR_SHARES_MAX][GR_SHAMIR_BYTES], some[GR_SHAMIR_SHARES_MAX][GR_SHAMIR_BYTES];
    uint32_t numbers[GR_SHAMIR_SHARES_MAX];
    for (int k = 0; k < GR_SHAMIR_BYTES; k++)
        secret[k] = (unsigned char)(k * 37 + (int)threshold);
    MUST(gr_shamir_split(secret, threshold, n, shares));
    for (uint32_t first = 0; first + threshold <= n; first += 1 + n / 7) {
        for (uint32_t i = 0; i < threshold; i++) {
            numbers[i] = n - 1 - first - i; /* descending: order does not matter */
            memcpy(some[i], shares[numbers[i]], GR_SHAMIR_BYTES);
        }
        gr_shamir_combine(numbers, (const unsigned char(*)[GR_SHAMIR_BYTES])some, threshold, again);
        ck_assert_mem_eq(again, secret, sizeof secret);
        if (threshold == 1) continue;
        gr_shamir_combine(numbers + 1, (const unsigned char(*)[GR_SHAMIR_BYTES])(some + 1),
                          threshold - 1, again);
        ck_assert_mem_ne(again, secret, sizeof secret);
    }
}

START_TEST(any_threshold_of_shares) {
    check_split(1, 1);
    check_split(1, 3);
    check_split(2, 3);
    check_split(3, 3);
    check_split(6, 8);
    check_split(43, 64);
    check_split(64, 64);
    check_split(128, 255);
    check_split(255, 255);
}
END_TEST

/* One share of a threshold of two takes each value as often, whatever the secret is: chi-square
 * with 255 degrees of freedom, beyond 500 by 4e-18 (gsl_cdf_chisq_Q). */
START_TEST(a_share_tells_nothing) {
    enum { DRAWS = 4000 };
    static const unsigned char secret[GR_SHAMIR_BYTES] = {0};
    uint32_t seen[256] = {0};
    for (int i = 0; i < DRAWS; i++) {
        unsigned char shares[2][GR_SHAMIR_BYTES];
        MUST(gr_shamir_split(secret, 2, 2, shares));
        for (int k = 0; k < GR_SHAMIR_BYTES; k++)
            seen[shares[1][k]]++;
    }
    const double expected = DRAWS * GR_SHAMIR_BYTES / 256.0;
    double chi_square = 0;
    for (int v = 0; v < 256; v++)
        chi_square += (seen[v] - expected) * (seen[v] - expected) / expected;
    ck_assert_double_lt(chi_square, 500);
}
END_TEST

START_TEST(numbers_out_of_range) {
    unsigned char secret[GR_SHAMIR_BYTES] = {0}, shares[4][GR_SHAMIR_BYTES];
    ck_assert_int_eq(gr_shamir_split(secret, 0, 3, shares), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_shamir_split(secret, 4, 3, shares), GR_ERROR_INTERNAL);
    ck_assert_int_eq(gr_shamir_split(secret, 2, 256, shares), GR_ERROR_INTERNAL);
}
END_TEST

RUN_TESTS("Shamir's shares", vectors_of_another_program, any_threshold_of_shares,
          a_share_tells_nothing, numbers_out_of_range)
