/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_transform: the transforms of winograd.h for one instruction set. winograd_kernels.c
 * includes this for each, with ISA (an attribute of functions), VECTOR (as many floats as it takes
 * at once) and WHOLE (as many int32_t); and for each kernel, with TAPS x TAPS weights, OUT x OUT
 * sums of a window, and NAME(x).
 *
 * The matrices, for the points 0, 1, -1, 1/2, -2 and infinity:
 *
 *     B^T = 1 -3/2   -2  3/2    1  0    G = 1      0     0     0      0      A = 1    0
 *           0   -1  1/2  5/2    1  0        1/3    1/3   1/3   1/3    1/3        1    1
 *           0    1 -5/2  1/2    1  0       -1/3    1/3  -1/3   1/3   -1/3        1   -1
 *           0   -2   -1    2    1  0      -16/15  -8/15 -4/15 -2/15  -1/15       1  1/2
 *           0  1/2   -1 -1/2    1  0        1/15  -2/15  4/15 -8/15  16/15       1   -2
 *           0    1 -3/2   -2  3/2  1        0      0     0     0      1          0    1
 *
 * of 5x5 weights and 2x2 sums. For 3x3 and 4x4 G has its first three columns, with 1 at the end of
 * the last row, and A has two columns more: a row of it are the powers of a point.
 *
 * Each apply_ multiplies one of them, or its transpose (_t), by a column whose elements lie `step`
 * apart, one for each lane.
 */

#define LANES       (sizeof(VECTOR) / sizeof(float))
#define AT(pointer) (*(VECTOR *)(uintptr_t)(pointer))
#define WHOLE_AT(p) (*(WHOLE *)(uintptr_t)(p))
#define INLINE      ISA static inline __attribute__((always_inline)) void
/* NOLINTNEXTLINE(bugprone-macro-parentheses): i is a name */
#define EACH(i, n)         _Pragma("GCC unroll 6") for (size_t i = 0; i < (n); i++)
#define SELECT(take, a, b) ((__typeof__(a))(((take) & (WHOLE)(a)) | (~(take) & (WHOLE)(b))))

INLINE NAME(apply_b_t)(const VECTOR *d, size_t step, VECTOR *to) {
    const VECTOR d1 = d[step], d2 = d[2 * step], d3 = d[3 * step], d4 = d[4 * step];
    const VECTOR p = d4 - d2, q = d3 - d1, u = p + 1.5f * d3, v = q + 1.5f * d2;
    to[0] = (d[0] - d2) + (p + 1.5f * q);
    to[1] = u + v;
    to[2] = u - v;
    to[3] = p + 2.0f * q;
    to[4] = p - 0.5f * q;
    to[5] = (d[5 * step] - d3) + (1.5f * p - q);
}

INLINE NAME(apply_b)(const VECTOR *r, size_t step, VECTOR *to) {
    const VECTOR r0 = r[0], r3 = r[3 * step], r4 = r[4 * step], r5 = r[5 * step];
    const VECTOR u = r[step] + r[2 * step], v = r[step] - r[2 * step];
    const VECTOR p = (r0 + u) + (r3 + r4) + 1.5f * r5;
    const VECTOR q = (v - r5) + (2.0f * r3 - 0.5f * r4) + 1.5f * r0;
    to[0] = r0;
    to[1] = -q;
    to[2] = (1.5f * v - r0) - p;
    to[3] = (1.5f * u - r5) + q;
    to[4] = p;
    to[5] = r5;
}

#if OUT == 2
INLINE NAME(apply_a)(const VECTOR *y, size_t step, VECTOR *to) {
    const VECTOR y0 = y[0], y1 = y[step];
    to[0] = y0;
    to[1] = y0 + y1;
    to[2] = y0 - y1;
    to[3] = y0 + 0.5f * y1;
    to[4] = y0 - 2.0f * y1;
    to[5] = y1;
}

INLINE NAME(apply_a_t)(const VECTOR *m, size_t step, VECTOR *to) {
    const VECTOR m1 = m[step], m2 = m[2 * step], m3 = m[3 * step], m4 = m[4 * step];
    to[0] = (m[0] + (m1 + m2)) + (m3 + m4);
    to[1] = ((m1 - m2) + m[5 * step]) + (0.5f * m3 - 2.0f * m4);
}
#else
INLINE NAME(apply_a)(const VECTOR *y, size_t step, VECTOR *to) {
    const VECTOR y0 = y[0], y1 = y[step], y2 = y[2 * step], y3 = y[3 * step];
    const VECTOR even = y0 + y2, odd = y1 + y3;
    to[0] = y0;
    to[1] = even + odd;
    to[2] = even - odd;
    to[3] = (y0 + 0.25f * y2) + (0.5f * y1 + 0.125f * y3);
    to[4] = (y0 + 4.0f * y2) - (2.0f * y1 + 8.0f * y3);
    to[5] = y3;
}

INLINE NAME(apply_a_t)(const VECTOR *m, size_t step, VECTOR *to) {
    const VECTOR m3 = m[3 * step], m4 = m[4 * step];
    const VECTOR even = m[step] + m[2 * step], odd = m[step] - m[2 * step];
    to[0] = (m[0] + even) + (m3 + m4);
    to[1] = odd + (0.5f * m3 - 2.0f * m4);
    to[2] = even + (0.25f * m3 + 4.0f * m4);
    to[3] = (odd + m[5 * step]) + (0.125f * m3 - 8.0f * m4);
}
#endif

#if TAPS == 5
INLINE NAME(apply_g)(const VECTOR *g, size_t step, VECTOR *to) {
    const float third = 1.0f / 3, fifteenth = 1.0f / 15;
    const VECTOR g0 = g[0], g1 = g[step], g2 = g[2 * step], g3 = g[3 * step], g4 = g[4 * step];
    const VECTOR even = (g0 + g2 + g4) * third, odd = (g1 + g3) * third;
    to[0] = g0;
    to[1] = odd + even;
    to[2] = odd - even;
    to[3] = (16.0f * g0 + 8.0f * g1 + 4.0f * g2 + 2.0f * g3 + g4) * -fifteenth;
    to[4] = (g0 - 2.0f * g1 + 4.0f * g2 - 8.0f * g3 + 16.0f * g4) * fifteenth;
    to[5] = g4;
}

INLINE NAME(apply_g_t)(const VECTOR *u, size_t step, VECTOR *to) {
    const float third = 1.0f / 3, fifteenth = 1.0f / 15;
    const VECTOR even = (u[step] - u[2 * step]) * third, odd = (u[step] + u[2 * step]) * third;
    const VECTOR u3 = u[3 * step] * fifteenth, u4 = u[4 * step] * fifteenth;
    to[0] = (u[0] + even) + (u4 - 16.0f * u3);
    to[1] = odd - (8.0f * u3 + 2.0f * u4);
    to[2] = even + 4.0f * (u4 - u3);
    to[3] = odd - (2.0f * u3 + 8.0f * u4);
    to[4] = (even + u[5 * step]) + (16.0f * u4 - u3);
}
#else
INLINE NAME(apply_g)(const VECTOR *g, size_t step, VECTOR *to) {
    const float third = 1.0f / 3, fifteenth = 1.0f / 15;
    const VECTOR g0 = g[0], g1 = g[step], g2 = g[2 * step];
    const VECTOR even = (g0 + g2) * third, odd = g1 * third;
    to[0] = g0;
    to[1] = odd + even;
    to[2] = odd - even;
    to[3] = (16.0f * g0 + 8.0f * g1 + 4.0f * g2) * -fifteenth;
    to[4] = (g0 - 2.0f * g1 + 4.0f * g2) * fifteenth;
    to[5] = g2;
}

INLINE NAME(apply_g_t)(const VECTOR *u, size_t step, VECTOR *to) {
    const float third = 1.0f / 3, fifteenth = 1.0f / 15;
    const VECTOR even = (u[step] - u[2 * step]) * third, odd = (u[step] + u[2 * step]) * third;
    const VECTOR u3 = u[3 * step] * fifteenth, u4 = u[4 * step] * fifteenth;
    to[0] = (u[0] + even) + (u4 - 16.0f * u3);
    to[1] = odd - (8.0f * u3 + 2.0f * u4);
    to[2] = (even + u[5 * step]) + 4.0f * (u4 - u3);
}
#endif

/* A place above or left of the image wraps round to beyond its end. */
ISA static void NAME(spread_in)(const struct gr_winograd_row *row, const float *image,
                                float *spread) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t channels = s->in.channels, line = s->in.width * channels;
    const size_t columns = OUT * s->across + 6 - OUT;
    VECTOR *strip = (VECTOR *)(uintptr_t)row->strip, v[6];
    for (size_t c = 0; c < channels; c += LANES) {
        for (size_t x = 0; x < columns; x++) {
            EACH(i, 6) {
                const size_t y_in = OUT * row->number + i - s->above, x_in = x - s->left;
                const bool inside = y_in < s->in.height && x_in < s->in.width;
                v[i] = inside ? AT(image + y_in * line + x_in * channels + c) : (VECTOR){0};
            }
            NAME(apply_b_t)(v, 1, strip + 6 * x);
        }
        for (size_t t = 0; t < s->across; t++) {
            float *const to = spread + t * channels + c;
            EACH(i, 6) {
                NAME(apply_b_t)(strip + (size_t)6 * OUT * t + i, 6, v);
                EACH(j, 6) AT(to + (6 * i + j) * row->point) = v[j];
            }
        }
    }
}

/* y[OUT, OUT] = A^T spread A of one window. */
INLINE NAME(gather_square)(const float *from, size_t point, VECTOR *y) {
    VECTOR m[6], half[OUT][6], column[OUT];
    EACH(j, 6) {
        EACH(i, 6) m[i] = AT(from + (6 * i + j) * point);
        NAME(apply_a_t)(m, 1, column);
        EACH(i, OUT) half[i][j] = column[i];
    }
    EACH(i, OUT) NAME(apply_a_t)(half[i], 1, y + OUT * i);
}

ISA static void NAME(gather_out)(const struct gr_winograd_row *row, const float *spread,
                                 const float *bias, bool relu, float *image) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t filters = s->out.channels, line = s->out.width * filters;
    for (size_t t = 0; t < s->across; t++)
        for (size_t c = 0; c < filters; c += LANES) {
            VECTOR y[OUT * OUT];
            NAME(gather_square)(spread + t * filters + c, row->point, y);
            EACH(i, OUT) {
                EACH(j, OUT) {
                    const size_t y_out = OUT * row->number + i, x_out = OUT * t + j;
                    if (y_out >= s->out.height || x_out >= s->out.width) continue;
                    const VECTOR sum = y[OUT * i + j] + AT(bias + c);
                    AT(image + y_out * line + x_out * filters + c) = relu ? RELU(sum) : sum;
                }
            }
        }
}

/* The largest, and its place, of the four sums whose first is y[0]; as in direct_loops.h. */
INLINE NAME(take_largest)(const VECTOR *y, VECTOR bias, float *image, int32_t *places) {
    VECTOR best = y[0] + bias;
    WHOLE place = {0};
    for (int32_t q = 1; q < 4; q++) {
        const VECTOR x = y[OUT * (q / 2) + q % 2] + bias;
        /* NOLINTNEXTLINE(misc-redundant-expression): a NaN differs from itself */
        const WHOLE take = (x > best) | (x != x);
        best = SELECT(take, x, best);
        place = SELECT(take, (WHOLE){0} + q, place);
    }
    AT(image) = RELU(best);
    WHOLE_AT(places) = place | ~(best > 0.0f);
}

ISA static void NAME(gather_pooled)(const struct gr_winograd_row *row, const float *spread,
                                    const float *bias, float *image, int32_t *places) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t filters = s->out.channels;
    for (size_t t = 0; t < s->across; t++)
        for (size_t c = 0; c < filters; c += LANES) {
            VECTOR y[OUT * OUT];
            NAME(gather_square)(spread + t * filters + c, row->point, y);
            EACH(i, OUT / 2) EACH(j, OUT / 2) {
                const size_t y_out = OUT / 2 * row->number + i, x_out = OUT / 2 * t + j;
                if (y_out >= s->pooled.height || x_out >= s->pooled.width) continue;
                const size_t at = (y_out * s->pooled.width + x_out) * filters + c;
                NAME(take_largest)(y + 2 * (OUT * i + j), AT(bias + c), image + at, places + at);
            }
        }
}

/* spread[36] = A y A^T of one window. */
INLINE NAME(spread_square)(const VECTOR *y, float *to, size_t point) {
    VECTOR half[OUT][6], v[6];
    EACH(j, OUT) NAME(apply_a)(y + j, OUT, half[j]);
    EACH(i, 6) {
        NAME(apply_a)(&half[0][i], 6, v);
        EACH(j, 6) AT(to + (6 * i + j) * point) = v[j];
    }
}

ISA static void NAME(spread_out)(const struct gr_winograd_row *row, const float *image,
                                 float *spread, float *sums) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t filters = s->out.channels, line = s->out.width * filters;
    for (size_t t = 0; t < s->across; t++)
        for (size_t c = 0; c < filters; c += LANES) {
            VECTOR y[OUT * OUT], sum[OUT * OUT / 2];
            EACH(i, OUT) EACH(j, OUT) {
                const size_t y_out = OUT * row->number + i, x_out = OUT * t + j;
                const bool inside = y_out < s->out.height && x_out < s->out.width;
                y[OUT * i + j] =
                    inside ? AT(image + y_out * line + x_out * filters + c) : (VECTOR){0};
            }
            EACH(q, OUT * OUT / 2) sum[q] = y[2 * q] + y[2 * q + 1];
            EACH(q, OUT * OUT / 4) sum[q] = sum[2 * q] + sum[2 * q + 1];
            for (size_t q = 1; q < OUT * OUT / 4; q++)
                sum[0] += sum[q];
            AT(sums + c) += sum[0];
            NAME(spread_square)(y, spread + t * filters + c, row->point);
        }
}

ISA static void NAME(spread_pooled)(const struct gr_winograd_row *row, const float *image,
                                    const int32_t *places, float *spread, float *sums) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t filters = s->out.channels;
    for (size_t t = 0; t < s->across; t++)
        for (size_t c = 0; c < filters; c += LANES) {
            VECTOR y[OUT * OUT] = {{0}};
            EACH(i, OUT / 2) EACH(j, OUT / 2) {
                const size_t y_out = OUT / 2 * row->number + i, x_out = OUT / 2 * t + j;
                if (y_out >= s->pooled.height || x_out >= s->pooled.width) continue;
                const size_t at = (y_out * s->pooled.width + x_out) * filters + c;
                const WHOLE by = WHOLE_AT(image + at), place = WHOLE_AT(places + at);
                EACH(q, 4)
                y[OUT * (2 * i + q / 2) + 2 * j + q % 2] = (VECTOR)(by & (place == (int32_t)q));
                AT(sums + c) += (VECTOR)(by & (place >= 0));
            }
            NAME(spread_square)(y, spread + t * filters + c, row->point);
        }
}

ISA static void NAME(gather_in)(const struct gr_winograd_row *row, const float *spread,
                                float *image) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t channels = s->in.channels, line = s->in.width * channels;
    const size_t columns = OUT * s->across + 6 - OUT;
    VECTOR *strip = (VECTOR *)(uintptr_t)row->strip, r[6], v[6];
    for (size_t c = 0; c < channels; c += LANES) {
        for (size_t x = 0; x < 6 * columns; x++)
            strip[x] = (VECTOR){0};
        for (size_t t = 0; t < s->across; t++) {
            const float *const from = spread + t * channels + c;
            EACH(i, 6) {
                EACH(j, 6) r[j] = AT(from + (6 * i + j) * row->point);
                NAME(apply_b)(r, 1, v);
                EACH(j, 6) strip[6 * (OUT * t + j) + i] += v[j];
            }
        }
        for (size_t x = 0; x < columns; x++) {
            if (x - s->left >= s->in.width) continue;
            NAME(apply_b)(strip + 6 * x, 1, v);
            EACH(i, 6) {
                const size_t y_in = OUT * row->number + i - s->above, x_in = x - s->left;
                if (y_in < s->in.height) AT(image + y_in * line + x_in * channels + c) += v[i];
            }
        }
    }
}

ISA static void NAME(spread_weight)(const float *weight, size_t n, float *spread) {
    for (size_t c = 0; c < n; c += LANES) {
        VECTOR g[TAPS], half[TAPS][6], v[6];
        EACH(j, TAPS) {
            EACH(i, TAPS) g[i] = AT(weight + (TAPS * i + j) * n + c);
            NAME(apply_g)(g, 1, half[j]);
        }
        EACH(i, 6) {
            NAME(apply_g)(&half[0][i], 6, v);
            EACH(j, 6) AT(spread + (6 * i + j) * n + c) = v[j];
        }
    }
}

ISA static void NAME(gather_weight)(const float *spread, size_t n, float *weight) {
    for (size_t c = 0; c < n; c += LANES) {
        VECTOR u[6], half[6][TAPS], v[TAPS];
        EACH(j, 6) {
            EACH(i, 6) u[i] = AT(spread + (6 * i + j) * n + c);
            NAME(apply_g_t)(u, 1, half[j]);
        }
        EACH(i, TAPS) {
            NAME(apply_g_t)(&half[0][i], TAPS, v);
            EACH(j, TAPS) AT(weight + (TAPS * i + j) * n + c) = v[j];
        }
    }
}

static const struct gr_winograd_kernels NAME(kernels) = {
    .side = OUT,
    .spread_in = NAME(spread_in),
    .gather_out = NAME(gather_out),
    .gather_pooled = NAME(gather_pooled),
    .spread_out = NAME(spread_out),
    .spread_pooled = NAME(spread_pooled),
    .gather_in = NAME(gather_in),
    .spread_weight = NAME(spread_weight),
    .gather_weight = NAME(gather_weight),
};

#undef LANES
#undef AT
#undef WHOLE_AT
#undef INLINE
#undef SELECT
#undef EACH
#undef OUT
#undef TAPS
#undef NAME
