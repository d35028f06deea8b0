/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists of numbers (silos, slots, descriptors) as few bytes, as they travel in control messages.
 *
 * A list is packed in the shorter of two forms, which its first byte names. As runs, in any order:
 * arithmetic progressions, which are what placement in blocks and in turn gives, each by its first
 * number (as the distance from the last one), its length and its step. As a bitmap, where numbers
 * ascend: what a draw among many silos gives. Numbers of the runs have 7 bits in a byte, the lowest
 * first (LEB128), distances their sign in the lowest bit.
 */
#ifndef GRANARY_COMM_NUMBER_LIST_H
#define GRANARY_COMM_NUMBER_LIST_H

#include <granary/base.h>

/* No list of n numbers takes more bytes: 0 where n is 0. */
static inline size_t gr_number_list_most(size_t n) {
    return n == 0 ? 0 : 1 + 6 * n;
}

/* Not collective. Writes the n values to `out` (gr_number_list_most bytes of room); returns the
 * bytes written. */
size_t gr_number_list_pack(const uint32_t *values, size_t n, unsigned char *out);
/*
 * Not collective. Reads n values from the bytes at *at, before `end`, and moves *at behind them.
 * False: the bytes are not a list of n numbers, each below 2^32; nothing is read beyond `end` or
 * written beyond values[n - 1], whatever the bytes are.
 */
bool gr_number_list_unpack(const unsigned char **at, const unsigned char *end, uint32_t *values,
                           size_t n) GR_CHECKED;

#endif
