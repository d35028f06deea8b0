/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Multiplication adds the shifted factor under masks made of the other factor's bits, so that its
 * time is the same for all values; tables, by which others do it, would leave secret addresses in
 * the cache. All 32 bytes of a secret are worked on side by side.
 */
#include "privacy/shamir.h"

#include <sodium.h>
#include <string.h>

enum { REDUCTION = 0x1b };

/* a[k] := a[k] * x in GF(2^8); x is a share's number and no secret. */
static void multiply(unsigned char a[GR_SHAMIR_BYTES], unsigned char x) {
    unsigned char product[GR_SHAMIR_BYTES] = {0};
    for (int bit = 0; bit < 8; bit++) {
        const unsigned char mask = (unsigned char)-((x >> bit) & 1);
        for (int k = 0; k < GR_SHAMIR_BYTES; k++) {
            product[k] ^= a[k] & mask;
            const unsigned char carry = (unsigned char)-(a[k] >> 7);
            a[k] = (unsigned char)((a[k] << 1) ^ (carry & REDUCTION));
        }
    }
    memcpy(a, product, sizeof product);
    sodium_memzero(product, sizeof product);
}

static unsigned char product_of(unsigned char a, unsigned char b) {
    unsigned product = 0;
    for (int bit = 0; bit < 8; bit++) {
        if (b >> bit & 1) product ^= (unsigned)a << bit;
    }
    for (int bit = 14; bit >= 8; bit--)
        if (product >> bit & 1) product ^= (0x100U | REDUCTION) << (bit - 8);
    return (unsigned char)product;
}

/* a^254, which is 1/a, for all elements but 0 have a^255 = 1. */
static unsigned char inverse_of(unsigned char a) {
    unsigned char power = a, result = 1;
    for (int bit = 1; bit < 8; bit++) {
        power = product_of(power, power);
        result = product_of(result, power);
    }
    return result;
}

gr_status gr_shamir_split(const unsigned char secret[GR_SHAMIR_BYTES], uint32_t threshold,
                          uint32_t n, unsigned char (*shares)[GR_SHAMIR_BYTES]) {
    if (threshold < 1 || threshold > n || n > GR_SHAMIR_SHARES_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "%u of %u shares, expected 1 <= threshold <= n <= %d",
                       threshold, n, GR_SHAMIR_SHARES_MAX);
    unsigned char(*coefficient)[GR_SHAMIR_BYTES] = sodium_allocarray(threshold, GR_SHAMIR_BYTES);
    if (!coefficient) return gr_fail(GR_ERROR_INTERNAL, "memory for shares was refused");
    memcpy(coefficient[0], secret, GR_SHAMIR_BYTES);
    randombytes_buf(coefficient[0] + GR_SHAMIR_BYTES, (threshold - 1) * (size_t)GR_SHAMIR_BYTES);
    for (uint32_t i = 0; i < n; i++) { /* Horner's scheme at i + 1 */
        memcpy(shares[i], coefficient[threshold - 1], GR_SHAMIR_BYTES);
        for (uint32_t c = threshold - 1; c-- > 0;) {
            multiply(shares[i], (unsigned char)(i + 1));
            for (int k = 0; k < GR_SHAMIR_BYTES; k++)
                shares[i][k] ^= coefficient[c][k];
        }
    }
    sodium_free(coefficient);
    return GR_OK;
}

/* Lagrange's basis polynomial of share i at 0; in GF(2^8) minus is plus. */
static unsigned char basis_at_0(const uint32_t *numbers, uint32_t n, uint32_t i) {
    unsigned char above = 1, below = 1;
    for (uint32_t j = 0; j < n; j++) {
        if (j == i) continue;
        above = product_of(above, (unsigned char)(numbers[j] + 1));
        below = product_of(below, (unsigned char)((numbers[j] + 1) ^ (numbers[i] + 1)));
    }
    return product_of(above, inverse_of(below));
}

void gr_shamir_combine(const uint32_t *numbers, const unsigned char (*shares)[GR_SHAMIR_BYTES],
                       uint32_t n, unsigned char secret[GR_SHAMIR_BYTES]) {
    unsigned char part[GR_SHAMIR_BYTES];
    memset(secret, 0, GR_SHAMIR_BYTES);
    for (uint32_t i = 0; i < n; i++) {
        memcpy(part, shares[i], sizeof part);
        multiply(part, basis_at_0(numbers, n, i));
        for (int k = 0; k < GR_SHAMIR_BYTES; k++)
            secret[k] ^= part[k];
    }
    sodium_memzero(part, sizeof part);
}
