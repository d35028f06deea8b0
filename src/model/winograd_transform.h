/* SPDX-License-Identifier: Apache-2.0 */
/*
 * winograd_transform: the transforms of winograd.h for one instruction set. winograd_kernels.c
 * includes this once for each, with ISA (an attribute of functions), VECTOR (as many floats as it
 * takes at once), WHOLE (as many int32_t) and NAME(x).
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

/* A place above or left of the image wraps round to beyond its end. */
ISA static void NAME(spread_in)(const struct gr_winograd_row *row, const float *image,
                                float *spread) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t channels = s->in.channels, line = s->in.width * channels;
    const size_t columns = 2 * s->across + 4;
    VECTOR *strip = (VECTOR *)(uintptr_t)row->strip, v[6];
    for (size_t c = 0; c < channels; c += LANES) {
        for (size_t x = 0; x < columns; x++) {
            EACH(i, 6) {
                const size_t y_in = 2 * row->number + i - s->above, x_in = x - s->left;
                const bool inside = y_in < s->in.height && x_in < s->in.width;
                v[i] = inside ? AT(image + y_in * line + x_in * channels + c) : (VECTOR){0};
            }
            NAME(apply_b_t)(v, 1, strip + 6 * x);
        }
        for (size_t t = 0; t < s->across; t++) {
            float *const to = spread + t * channels + c;
            EACH(i, 6) {
                NAME(apply_b_t)(strip + 12 * t + i, 6, v);
                EACH(j, 6) AT(to + (6 * i + j) * row->point) = v[j];
            }
        }
    }
}

/* y[4] = A^T spread A of one window. */
INLINE NAME(gather_square)(const float *from, size_t point, VECTOR *y) {
    VECTOR m[6], half[2][6];
    EACH(j, 6) {
        VECTOR pair[2];
        EACH(i, 6) m[i] = AT(from + (6 * i + j) * point);
        NAME(apply_a_t)(m, 1, pair);
        half[0][j] = pair[0];
        half[1][j] = pair[1];
    }
    EACH(i, 2) NAME(apply_a_t)(half[i], 1, y + 2 * i);
}

ISA static void NAME(gather_out)(const struct gr_winograd_row *row, const float *spread,
                                 const float *bias, bool relu, float *image) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t filters = s->out.channels, line = s->out.width * filters;
    for (size_t t = 0; t < s->across; t++)
        for (size_t c = 0; c < filters; c += LANES) {
            VECTOR y[4];
            NAME(gather_square)(spread + t * filters + c, row->point, y);
            EACH(i, 2) {
                EACH(j, 2) {
                    const size_t y_out = 2 * row->number + i, x_out = 2 * t + j;
                    if (y_out >= s->out.height || x_out >= s->out.width) continue;
                    const VECTOR sum = y[2 * i + j] + AT(bias + c);
                    AT(image + y_out * line + x_out * filters + c) = relu ? RELU(sum) : sum;
                }
            }
        }
}

/* The largest is that of direct_loops.h. */
ISA static void NAME(gather_pooled)(const struct gr_winograd_row *row, const float *spread,
                                    const float *bias, float *image, int32_t *places) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t filters = s->out.channels;
    if (row->number >= s->pooled.height) return;
    image += row->number * s->pooled.width * filters;
    places += row->number * s->pooled.width * filters;
    for (size_t t = 0; t < s->pooled.width; t++)
        for (size_t c = 0; c < filters; c += LANES) {
            VECTOR y[4];
            NAME(gather_square)(spread + t * filters + c, row->point, y);
            EACH(q, 4) y[q] += AT(bias + c);
            VECTOR best = y[0];
            WHOLE place = {0};
            for (int32_t q = 1; q < 4; q++) {
                const WHOLE take = (y[q] > best) | (y[q] != y[q]);
                best = SELECT(take, y[q], best);
                place = SELECT(take, (WHOLE){0} + q, place);
            }
            AT(image + t * filters + c) = RELU(best);
            WHOLE_AT(places + t * filters + c) = place | ~(best > 0.0f);
        }
}

/* spread[36] = A y A^T of one window. */
INLINE NAME(spread_square)(const VECTOR *y, float *to, size_t point) {
    VECTOR half[2][6], v[6];
    EACH(j, 2) NAME(apply_a)(y + j, 2, half[j]);
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
            VECTOR y[2][2];
            EACH(i, 2) EACH(j, 2) {
                const size_t y_out = 2 * row->number + i, x_out = 2 * t + j;
                const bool inside = y_out < s->out.height && x_out < s->out.width;
                y[i][j] = inside ? AT(image + y_out * line + x_out * filters + c) : (VECTOR){0};
            }
            AT(sums + c) += (y[0][0] + y[0][1]) + (y[1][0] + y[1][1]);
            NAME(spread_square)(&y[0][0], spread + t * filters + c, row->point);
        }
}

ISA static void NAME(spread_pooled)(const struct gr_winograd_row *row, const float *image,
                                    const int32_t *places, float *spread, float *sums) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t filters = s->out.channels;
    const size_t width = row->number < s->pooled.height ? s->pooled.width : 0;
    image += row->number * s->pooled.width * filters;
    places += row->number * s->pooled.width * filters;
    for (size_t t = 0; t < s->across; t++)
        for (size_t c = 0; c < filters; c += LANES) {
            VECTOR y[4] = {{0}};
            if (t < width) {
                const WHOLE by = WHOLE_AT(image + t * filters + c);
                const WHOLE place = WHOLE_AT(places + t * filters + c);
                EACH(q, 4) y[q] = (VECTOR)(by & (place == (int32_t)q));
                AT(sums + c) += (VECTOR)(by & (place >= 0));
            }
            NAME(spread_square)(y, spread + t * filters + c, row->point);
        }
}

ISA static void NAME(gather_in)(const struct gr_winograd_row *row, const float *spread,
                                float *image) {
    const struct gr_winograd_shape *s = row->shape;
    const size_t channels = s->in.channels, line = s->in.width * channels;
    const size_t columns = 2 * s->across + 4;
    VECTOR *strip = (VECTOR *)(uintptr_t)row->strip, r[6], v[6];
    for (size_t c = 0; c < channels; c += LANES) {
        for (size_t x = 0; x < 6 * columns; x++)
            strip[x] = (VECTOR){0};
        for (size_t t = 0; t < s->across; t++) {
            const float *const from = spread + t * channels + c;
            EACH(i, 6) {
                EACH(j, 6) r[j] = AT(from + (6 * i + j) * row->point);
                NAME(apply_b)(r, 1, v);
                EACH(j, 6) strip[6 * (2 * t + j) + i] += v[j];
            }
        }
        for (size_t x = 0; x < columns; x++) {
            if (x - s->left >= s->in.width) continue;
            NAME(apply_b)(strip + 6 * x, 1, v);
            EACH(i, 6) {
                const size_t y_in = 2 * row->number + i - s->above, x_in = x - s->left;
                if (y_in < s->in.height) AT(image + y_in * line + x_in * channels + c) += v[i];
            }
        }
    }
}

ISA static void NAME(spread_weight)(const float *weight, size_t n, float *spread) {
    for (size_t c = 0; c < n; c += LANES) {
        VECTOR g[5], half[5][6], v[6];
        EACH(j, 5) {
            EACH(i, 5) g[i] = AT(weight + (5 * i + j) * n + c);
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
        VECTOR u[6], half[6][5], v[5];
        EACH(j, 6) {
            EACH(i, 6) u[i] = AT(spread + (6 * i + j) * n + c);
            NAME(apply_g_t)(u, 1, half[j]);
        }
        EACH(i, 5) {
            NAME(apply_g_t)(&half[0][i], 5, v);
            EACH(j, 5) AT(weight + (5 * i + j) * n + c) = v[j];
        }
    }
}

static const struct gr_winograd_kernels NAME(kernels) = {
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
