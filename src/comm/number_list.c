/* SPDX-License-Identifier: Apache-2.0 */
/* Lists of numbers as few bytes. */
#include "comm/number_list.h"

#include <string.h>

enum { FORM_RUNS = 0, FORM_BITMAP = 1 };

/* ---- packing -------------------------------------------------------------------------------- */

/* Writes to `out`, or counts where it is NULL. */
static size_t put_number(uint64_t value, unsigned char *out) {
    size_t n = 0;
    do {
        const unsigned char low = value & 0x7f;
        value >>= 7;
        if (out) out[n] = (unsigned char)(low | (value > 0 ? 0x80 : 0));
        n++;
    } while (value > 0);
    return n;
}

/* Small distances of either sign become small numbers. */
static size_t put_distance(int64_t distance, unsigned char *out) {
    return put_number(distance < 0 ? 2 * (uint64_t)-distance - 1 : 2 * (uint64_t)distance, out);
}

/* How many of values[0..n-1] follow each other in equal steps: 1 where n is 1, else 2 or more. */
static size_t run_length(const uint32_t *values, size_t n) {
    size_t length = n < 2 ? n : 2;
    while (length < n && (int64_t)values[length] - values[length - 1] ==
                             (int64_t)values[length - 1] - values[length - 2])
        length++;
    return length;
}

static size_t put_runs(const uint32_t *values, size_t n, unsigned char *out) {
    size_t bytes = 0;
    int64_t last = 0;
    for (size_t i = 0; i < n;) {
        const size_t length = run_length(values + i, n - i);
        bytes += put_distance(values[i] - last, out ? out + bytes : NULL);
        bytes += put_number(length, out ? out + bytes : NULL);
        if (length > 1)
            bytes += put_distance((int64_t)values[i + 1] - values[i], out ? out + bytes : NULL);
        i += length;
        last = values[i - 1];
    }
    return bytes;
}

/* Bytes of a bitmap from the first number to the last, with its head; SIZE_MAX: they do not ascend.
 */
static size_t bitmap_bytes(const uint32_t *values, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (values[i] <= values[i - 1]) return SIZE_MAX;
    const size_t body = (size_t)(values[n - 1] - values[0]) / 8 + 1;
    return put_number(values[0], NULL) + put_number(body, NULL) + body;
}

static size_t put_bitmap(const uint32_t *values, size_t n, unsigned char *out) {
    const size_t body = (size_t)(values[n - 1] - values[0]) / 8 + 1;
    size_t head = put_number(values[0], out);
    head += put_number(body, out + head);
    memset(out + head, 0, body);
    for (size_t i = 0; i < n; i++) {
        const uint32_t bit = values[i] - values[0];
        out[head + bit / 8] = (unsigned char)(out[head + bit / 8] | 1U << bit % 8);
    }
    return head + body;
}

/* A bitmap is taken only where it is shorter than the runs, so these bound the room. */
size_t gr_number_list_pack(const uint32_t *values, size_t n, unsigned char *out) {
    if (n == 0) return 0;
    const bool runs = put_runs(values, n, NULL) <= bitmap_bytes(values, n);
    out[0] = runs ? FORM_RUNS : FORM_BITMAP;
    return 1 + (runs ? put_runs(values, n, out + 1) : put_bitmap(values, n, out + 1));
}

/* ---- unpacking ------------------------------------------------------------------------------ */

/* No number in a list is above 2^34, a distance with its sign. */
static bool take_number(const unsigned char **at, const unsigned char *end, uint64_t *out) {
    *out = 0;
    for (unsigned shift = 0; shift < 35; shift += 7) {
        if (*at == end) return false;
        const unsigned char byte = *(*at)++;
        *out |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) return true;
    }
    return false;
}

static bool take_distance(const unsigned char **at, const unsigned char *end, int64_t *out) {
    uint64_t number;
    if (!take_number(at, end, &number)) return false;
    *out = number % 2 ? -(int64_t)(number / 2) - 1 : (int64_t)(number / 2);
    return true;
}

static bool take_runs(const unsigned char **at, const unsigned char *end, uint32_t *values,
                      size_t n) {
    int64_t value = 0, step = 0;
    for (size_t i = 0; i < n;) {
        uint64_t length;
        if (!take_distance(at, end, &step)) return false;
        value += step;
        if (!take_number(at, end, &length) || length == 0 || length > n - i) return false;
        if (length > 1 && !take_distance(at, end, &step)) return false;
        for (uint64_t k = 0; k < length; k++) {
            if (k > 0) value += step;
            if (value < 0 || value > UINT32_MAX) return false;
            values[i++] = (uint32_t)value;
        }
    }
    return true;
}

static bool take_bitmap(const unsigned char **at, const unsigned char *end, uint32_t *values,
                        size_t n) {
    uint64_t first, bytes;
    size_t found = 0;
    if (!take_number(at, end, &first) || !take_number(at, end, &bytes)) return false;
    if (bytes > (size_t)(end - *at)) return false;
    for (uint64_t i = 0; i < bytes; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            if (!((*at)[i] >> bit & 1)) continue;
            const uint64_t value = first + 8 * i + bit;
            if (found == n || value > UINT32_MAX) return false;
            values[found++] = (uint32_t)value;
        }
    *at += bytes;
    return found == n;
}

bool gr_number_list_unpack(const unsigned char **at, const unsigned char *end, uint32_t *values,
                           size_t n) {
    if (n == 0) return true;
    if (*at == end) return false;
    switch (*(*at)++) {
    case FORM_RUNS:
        return take_runs(at, end, values, n);
    case FORM_BITMAP:
        return take_bitmap(at, end, values, n);
    default:
        return false;
    }
}
