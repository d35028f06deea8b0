/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets of 32 bytes in shares, of which any `threshold` give the secret and fewer give nothing
 * (Shamir: How to share a secret, CACM 22, 1979), byte by byte over GF(2^8) with the polynomial of
 * AES (x^8 + x^4 + x^3 + x + 1). No branch and no address depends on a secret. Not collective.
 */
#ifndef GRANARY_PRIVACY_SHAMIR_H
#define GRANARY_PRIVACY_SHAMIR_H

#include <granary/base.h>

enum { GR_SHAMIR_BYTES = 32, GR_SHAMIR_SHARES_MAX = 255 };

/*
 * Not collective. Share i is the value at i + 1 of polynomials of degree threshold - 1 whose other
 * coefficients the operating system draws. 1 <= threshold <= n <= GR_SHAMIR_SHARES_MAX; shares: n
 * of GR_SHAMIR_BYTES, of memory that is secret as well. Errors: GR_ERROR_INTERNAL.
 */
gr_status gr_shamir_split(const unsigned char secret[GR_SHAMIR_BYTES], uint32_t threshold,
                          uint32_t n, unsigned char (*shares)[GR_SHAMIR_BYTES]) GR_CHECKED;
/*
 * Not collective. The secret of the shares of the given numbers (from 0, all different, the
 * threshold's count of them). Too few, or a false one among them, give another secret: the caller
 * holds it against a commitment.
 */
void gr_shamir_combine(const uint32_t *numbers, const unsigned char (*shares)[GR_SHAMIR_BYTES],
                       uint32_t n, unsigned char secret[GR_SHAMIR_BYTES]);

#endif
