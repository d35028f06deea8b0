/* SPDX-License-Identifier: Apache-2.0 */
/*
 * direct_loops: the loops of direct.h for one instruction set. direct_kernels.c includes this once
 * for each, with ISA (an attribute of functions), VECTOR (as many floats as it takes at once),
 * WHOLE (as many int32_t), NAME(x) and ADD(factor, row, sum), which is sum + factor * row.
 *
 * Two vectors of filters at a time: with four pixels, or up to six weights, there are enough sums
 * under way to hide the latency of a multiply-add.
 */

#define LANES       (sizeof(VECTOR) / sizeof(float))
#define AT(pointer) (*(VECTOR *)(uintptr_t)(pointer))
#define WHOLE_AT(p) (*(WHOLE *)(uintptr_t)(p))
#define INLINE      ISA static inline __attribute__((always_inline)) void
/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is a name */
#define EACH(i, n)         _Pragma("GCC unroll 6") for (size_t i = 0; i < (n); i++)
#define SELECT(take, a, b) ((__typeof__(a))(((take) & (WHOLE)(a)) | (~(take) & (WHOLE)(b))))

enum { NAME(taps_max) = 6 };

/* The four sums of a pool's window, and the largest. out, places, bias, weight: of the first of
 * those filters. */
INLINE NAME(window)(const struct gr_direct_shape *s, const float *image, const float *weight,
                    const float *bias, size_t vectors, float *out, int32_t *places) {
    const size_t run = s->kernel * s->channels;
    const size_t pixel[] = {0, s->channels, s->line, s->line + s->channels};
    VECTOR sum[4][2];
    EACH(q, 4) EACH(v, vectors) sum[q][v] = AT(bias + v * LANES);
    for (size_t k = 0; k < s->kernel; k++, image += s->line)
        for (size_t t = 0; t < run; t++, weight += s->filters) {
            VECTOR row[2];
            EACH(v, vectors) row[v] = AT(weight + v * LANES);
            EACH(q, 4) {
                const float factor = image[pixel[q] + t];
                EACH(v, vectors) sum[q][v] = ADD(factor, row[v], sum[q][v]);
            }
        }
    EACH(v, vectors) {
        VECTOR best = sum[0][v];
        WHOLE place = {0};
        for (int32_t q = 1; q < 4; q++) { /* as in pool.c */
            const VECTOR x = sum[q][v];
            /* NOLINTNEXTLINE(misc-redundant-expression): a NaN differs from itself */
            const WHOLE take = (x > best) | (x != x);
            best = SELECT(take, x, best);
            place = SELECT(take, (WHOLE){0} + q, place);
        }
        /* By masking, so that a NaN stays a NaN, which goes nowhere: -1 has all bits. */
        AT(out + v * LANES) = (VECTOR)((WHOLE)best & ~(best <= 0.0f));
        WHOLE_AT(places + v * LANES) = place | ~(best > 0.0f);
    }
}

ISA static void NAME(forward)(const struct gr_direct_shape *s, const float *image,
                              const float *weight, const float *bias, float *out, int32_t *places) {
    for (size_t y = 0; y < s->pooled.height; y++)
        for (size_t x = 0; x < s->pooled.width; x++) {
            const float *const corner = image + 2 * y * s->line + 2 * x * s->channels;
            size_t c = 0;
            for (; c + 2 * LANES <= s->filters; c += 2 * LANES)
                NAME(window)(s, corner, weight + c, bias + c, 2, out + c, places + c);
            for (; c < s->filters; c += LANES)
                NAME(window)(s, corner, weight + c, bias + c, 1, out + c, places + c);
            out += s->filters;
            places += s->filters;
        }
}

/* The derivative by two lines of what comes out of the convolution, from a line of the pool's. */
INLINE NAME(spread)(const struct gr_direct_shape *s, const float *delta, const int32_t *places,
                    float *strip, float *by_bias) {
    for (size_t c = 0; c < s->filters; c += LANES) {
        VECTOR sum = {0};
        for (size_t x = 0; x < s->pooled.width; x++) {
            const WHOLE by = WHOLE_AT(delta + x * s->filters + c);
            const WHOLE place = WHOLE_AT(places + x * s->filters + c);
            float *const to = strip + 2 * x * s->filters + c;
            sum += (VECTOR)(by & (place >= 0));
            AT(to) = (VECTOR)(by & (place == 0));
            AT(to + s->filters) = (VECTOR)(by & (place == 1));
            AT(to + s->width * s->filters) = (VECTOR)(by & (place == 2));
            AT(to + (s->width + 1) * s->filters) = (VECTOR)(by & (place == 3));
        }
        AT(by_bias + c) += sum;
    }
}

/* by_weight of so many weights side by side += the two lines' sums. */
INLINE NAME(derive)(const struct gr_direct_shape *s, const float *image, const float *strip,
                    size_t taps, size_t vectors, float *by_weight) {
    VECTOR sum[6][2];
    EACH(t, taps) EACH(v, vectors) sum[t][v] = (VECTOR){0};
    for (size_t line = 0; line < 2; line++, image += s->line) {
        const float *pixel = image;
        for (size_t x = 0; x < s->width; x++, pixel += s->channels, strip += s->filters) {
            VECTOR row[2];
            EACH(v, vectors) row[v] = AT(strip + v * LANES);
            EACH(t, taps) {
                const float factor = pixel[t];
                EACH(v, vectors) sum[t][v] = ADD(factor, row[v], sum[t][v]);
            }
        }
    }
    EACH(t, taps) EACH(v, vectors) AT(by_weight + t * s->filters + v * LANES) += sum[t][v];
}

/* Once for each number of weights, so that the sums stay in registers. */
#define CASE(taps)                                                                                 \
    case taps:                                                                                     \
        for (; c + 2 * LANES <= s->filters; c += 2 * LANES)                                        \
            NAME(derive)(s, image, strip + c, taps, 2, by_weight + c);                             \
        for (; c < s->filters; c += LANES)                                                         \
            NAME(derive)(s, image, strip + c, taps, 1, by_weight + c);                             \
        break;

ISA static void NAME(derive_all)(const struct gr_direct_shape *s, const float *image,
                                 const float *strip, size_t taps, float *by_weight) {
    size_t c = 0;
    switch (taps) {
        CASE(1)
        CASE(2)
        CASE(3)
        CASE(4)
        CASE(5)
        CASE(6)
    }
}

ISA static void NAME(backward)(const struct gr_direct_shape *s, const float *image,
                               const float *delta, const int32_t *places, float *strip,
                               float *by_weight, float *by_bias) {
    const size_t run = s->kernel * s->channels;
    const size_t parts = (run + NAME(taps_max) - 1) / NAME(taps_max);
    for (size_t y = 0; y < s->pooled.height; y++) {
        const size_t at = y * s->pooled.width * s->filters;
        NAME(spread)(s, delta + at, places + at, strip, by_bias);
        for (size_t k = 0; k < s->kernel; k++)
            for (size_t p = 0; p < parts; p++) {
                const size_t first = run * p / parts, end = run * (p + 1) / parts;
                NAME(derive_all)
                (s, image + (2 * y + k) * s->line + first, strip, end - first,
                 by_weight + (k * run + first) * s->filters);
            }
    }
}

static const struct gr_direct_kernels NAME(kernels) = {.forward = NAME(forward),
                                                       .backward = NAME(backward)};

#undef LANES
#undef AT
#undef WHOLE_AT
#undef INLINE
#undef EACH
#undef SELECT
#undef CASE
