/* SPDX-License-Identifier: Apache-2.0 */
/* pairs: rounds 32 floats at a time; what differs is where the two of a pair come from. */
#include <model/pairs.h>

#if defined(__x86_64__)
#include <immintrin.h>

#define PAIRED __attribute__((target("avx512f,avx512bw,avx512bf16")))
/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is a name */
#define EACH(i, n) _Pragma("GCC unroll 16") for (size_t i = 0; i < (n); i++)

enum { LANES = 16, FLOATS = 32 }; /* of a vector, and of the pairs in one */

/* The first n lanes. */
PAIRED static inline __mmask16 lanes(size_t n) {
    return (__mmask16)(n < LANES ? (1u << n) - 1 : 0xffff);
}

static size_t half(size_t n) {
    return (n + 1) / 2;
}

/* The 16 pairs of up to 32 neighbours, n of which there are; 0 behind them. */
PAIRED static inline __m512i round_row(const float *x, size_t n) {
    const __m512 low = _mm512_maskz_loadu_ps(lanes(n), x);
    const __m512 high =
        n > LANES ? _mm512_maskz_loadu_ps(lanes(n - LANES), x + LANES) : _mm512_setzero_ps();
    return (__m512i)_mm512_cvtne2ps_pbh(high, low);
}

PAIRED void gr_pairs_along(const float *x, size_t rows, size_t columns, float *out) {
    for (size_t i = 0; i < rows; i++, x += columns, out += half(columns)) {
        size_t j = 0;
        for (; j + FLOATS <= columns; j += FLOATS)
            _mm512_storeu_si512(out + j / 2, round_row(x + j, FLOATS));
        if (j < columns)
            _mm512_mask_storeu_epi32(out + j / 2, lanes(half(columns - j)),
                                     round_row(x + j, columns - j));
    }
}

/* Rounds 16 columns of two rows, and puts each below the other. */
PAIRED static inline __m512i interleave(__m512 first, __m512 second) {
    const __m512i order =
        _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6,
                         21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_permutexvar_epi16(order, (__m512i)_mm512_cvtne2ps_pbh(second, first));
}

PAIRED void gr_pairs_between(const float *x, size_t rows, size_t columns, float *out) {
    for (size_t i = 0; i < rows; i += 2, x += 2 * columns, out += gr_pairs_row(columns)) {
        const __mmask16 paired = i + 1 < rows ? 0xffff : 0;
        size_t j = 0;
        for (; paired && j + LANES <= columns; j += LANES)
            _mm512_storeu_si512(
                out + j, interleave(_mm512_loadu_ps(x + j), _mm512_loadu_ps(x + columns + j)));
        for (; j < columns; j += LANES) {
            const __mmask16 there = lanes(columns - j);
            const __m512 first = _mm512_maskz_loadu_ps(there, x + j),
                         second = _mm512_maskz_loadu_ps(there & paired, x + columns + j);
            _mm512_storeu_si512(out + j, interleave(first, second));
        }
    }
}

/* Turns a square of 16 x 16 lanes: squares of 2, of 4, of 8, and then halves change places. */
PAIRED static inline void turn(__m512i row[LANES]) {
    __m512i by_2[LANES], by_4[LANES];
    EACH(i, LANES / 2) {
        by_2[2 * i] = _mm512_unpacklo_epi32(row[2 * i], row[2 * i + 1]);
        by_2[2 * i + 1] = _mm512_unpackhi_epi32(row[2 * i], row[2 * i + 1]);
    }
    EACH(i, LANES / 4) EACH(j, 2) {
        by_4[4 * i + 2 * j] = _mm512_unpacklo_epi64(by_2[4 * i + j], by_2[4 * i + 2 + j]);
        by_4[4 * i + 2 * j + 1] = _mm512_unpackhi_epi64(by_2[4 * i + j], by_2[4 * i + 2 + j]);
    }
    /* by_4[4 i + l] has of column 4 q + l the rows 4 i .. 4 i + 3 in its quarter q. */
    EACH(l, LANES / 4) {
        const __m512i a = _mm512_shuffle_i32x4(by_4[l], by_4[4 + l], 0x88),
                      b = _mm512_shuffle_i32x4(by_4[8 + l], by_4[12 + l], 0x88),
                      c = _mm512_shuffle_i32x4(by_4[l], by_4[4 + l], 0xdd),
                      d = _mm512_shuffle_i32x4(by_4[8 + l], by_4[12 + l], 0xdd);
        row[l] = _mm512_shuffle_i32x4(a, b, 0x88);
        row[8 + l] = _mm512_shuffle_i32x4(a, b, 0xdd);
        row[4 + l] = _mm512_shuffle_i32x4(c, d, 0x88);
        row[12 + l] = _mm512_shuffle_i32x4(c, d, 0xdd);
    }
}

/* Sixteen rows are read side by side, which no processor foresees: with each square a part of the
 * next sixteen, which lie in one stretch, is called for. */
PAIRED void gr_pairs_turned(const float *x, size_t rows, size_t columns, float *out) {
    for (size_t i = 0; i < rows; i += LANES) {
        const size_t n_rows = rows - i < LANES ? rows - i : LANES;
        for (size_t j = 0; j < columns; j += FLOATS) {
            const size_t n = columns - j;
            const float *next = x + (i + LANES) * columns + j * LANES;
            __m512i row[LANES];
            for (size_t r = 0; r < FLOATS; r++)
                __builtin_prefetch(next + r * LANES);
            EACH(r, LANES)
            row[r] = r < n_rows ? round_row(x + (i + r) * columns + j, n) : _mm512_setzero_si512();
            turn(row);
            EACH(r, LANES)
            if (2 * r < n) _mm512_storeu_si512(out + (j / 2 + r) * gr_pairs_row(rows) + i, row[r]);
        }
    }
}
#else

/* Nobody calls these: there are no tiles. */
void gr_pairs_along(const float *x, size_t rows, size_t columns, float *out) {
    (void)x, (void)rows, (void)columns, (void)out;
}

void gr_pairs_between(const float *x, size_t rows, size_t columns, float *out) {
    (void)x, (void)rows, (void)columns, (void)out;
}

void gr_pairs_turned(const float *x, size_t rows, size_t columns, float *out) {
    (void)x, (void)rows, (void)columns, (void)out;
}
#endif
