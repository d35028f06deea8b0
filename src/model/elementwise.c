/* SPDX-License-Identifier: Apache-2.0 */
/* Activations, softmax cross-entropy, transposes: the work between two products. Loops are plain
 * and in a fixed order, so that a row's bits do not depend on the rows beside it. */
#include <model/elementwise.h>

#include <math.h>
#include <string.h>

static const float root_half = 0.70710678118654752f;     /* sqrt(1/2) */
static const float density_scale = 0.39894228040143268f; /* 1 / sqrt(2 pi) */

static float gelu(float x) {
    return x * 0.5f * (1.0f + erff(x * root_half));
}

static float gelu_slope(float x) {
    return 0.5f * (1.0f + erff(x * root_half)) + x * density_scale * expf(-0.5f * x * x);
}

void gr_activate(enum gr_activation activation, const float *sums, float *out, size_t n) {
    switch (activation) {
    case GR_ACTIVATION_RELU:
        /* Written so that a NaN stays a NaN. */
        for (size_t i = 0; i < n; i++)
            out[i] = sums[i] <= 0.0f ? 0.0f : sums[i];
        break;
    case GR_ACTIVATION_GELU:
        for (size_t i = 0; i < n; i++)
            out[i] = gelu(sums[i]);
        break;
    case GR_ACTIVATION_TANH:
        for (size_t i = 0; i < n; i++)
            out[i] = tanhf(sums[i]);
        break;
    case GR_ACTIVATION_NONE:
    case GR_ACTIVATION_DEFAULT:
        if (out != sums) memcpy(out, sums, n * sizeof *out);
        break;
    }
}

/* relu's slope at 0 is 0, as in PyTorch. Relu and tanh go by `out`, because sums may have been
 * overwritten by it. */
void gr_activate_backward(enum gr_activation activation, const float *sums, const float *out,
                          float *delta, size_t n) {
    switch (activation) {
    case GR_ACTIVATION_RELU:
        for (size_t i = 0; i < n; i++)
            delta[i] = out[i] > 0.0f ? delta[i] : 0.0f;
        break;
    case GR_ACTIVATION_GELU:
        for (size_t i = 0; i < n; i++)
            delta[i] *= gelu_slope(sums[i]);
        break;
    case GR_ACTIVATION_TANH:
        for (size_t i = 0; i < n; i++)
            delta[i] *= 1.0f - out[i] * out[i];
        break;
    case GR_ACTIVATION_NONE:
    case GR_ACTIVATION_DEFAULT:
        break;
    }
}

typedef float vector4 __attribute__((vector_size(16), aligned(4), may_alias));
#define ROW4(pointer) (*(vector4 *)(uintptr_t)(pointer))

/* out[4, 4] = in[4, 4] transposed. By shuffles of the compiler's vectors, which need no instruction
 * set by name; bits are only moved. */
static void transpose4(const float *in, size_t in_row, float *out, size_t out_row) {
    const vector4 a = ROW4(in), b = ROW4(in + in_row), c = ROW4(in + 2 * in_row),
                  d = ROW4(in + 3 * in_row);
    const vector4 ab_low = __builtin_shufflevector(a, b, 0, 4, 1, 5),
                  ab_high = __builtin_shufflevector(a, b, 2, 6, 3, 7),
                  cd_low = __builtin_shufflevector(c, d, 0, 4, 1, 5),
                  cd_high = __builtin_shufflevector(c, d, 2, 6, 3, 7);
    ROW4(out) = __builtin_shufflevector(ab_low, cd_low, 0, 1, 4, 5);
    ROW4(out + out_row) = __builtin_shufflevector(ab_low, cd_low, 2, 3, 6, 7);
    ROW4(out + 2 * out_row) = __builtin_shufflevector(ab_high, cd_high, 0, 1, 4, 5);
    ROW4(out + 3 * out_row) = __builtin_shufflevector(ab_high, cd_high, 2, 3, 6, 7);
}

/* In squares of four, whose rows and columns are both read and written by vectors; the edges one by
 * one. Padding behind an output row is not written. */
void gr_transpose(const float *in, size_t in_row, size_t rows, size_t columns, float *out,
                  size_t out_row) {
    const size_t rows4 = rows / 4 * 4, columns4 = columns / 4 * 4;
    for (size_t i = 0; i < rows4; i += 4) {
        for (size_t j = 0; j < columns4; j += 4)
            transpose4(in + i * in_row + j, in_row, out + j * out_row + i, out_row);
        for (size_t j = columns4; j < columns; j++)
            for (size_t r = i; r < i + 4; r++)
                out[j * out_row + r] = in[r * in_row + j];
    }
    for (size_t i = rows4; i < rows; i++)
        for (size_t j = 0; j < columns; j++)
            out[j * out_row + i] = in[i * in_row + j];
}

/* Columns side by side whose sums stay in registers while the rows go by. */
enum { SUMS = 16 };

/* Each column's sum goes from the first row to the last, however many stand side by side. */
void gr_column_sums(const float *restrict in, size_t rows, size_t columns,
                    const float *restrict from, float *restrict sums) {
    size_t first = 0;
    for (; first + SUMS <= columns; first += SUMS) {
        float sum[SUMS] = {0};
        if (from) memcpy(sum, from + first, sizeof sum);
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < SUMS; j++)
                sum[j] += in[i * columns + first + j];
        memcpy(sums + first, sum, sizeof sum);
    }
    for (size_t j = first; j < columns; j++)
        sums[j] = from ? from[j] : 0.0f;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = first; j < columns; j++)
            sums[j] += in[i * columns + j];
}

/* The first of ties, as argmax has it in NumPy and PyTorch: accuracy must not depend on the order
 * of comparison. */
static size_t first_largest(const float *row, size_t n) {
    size_t best = 0;
    for (size_t j = 1; j < n; j++)
        if (row[j] > row[best]) best = j;
    return best;
}

/* The largest output is taken off before exp, so that nothing overflows. The loss is summed in
 * double: of a hundred thousand rows float32 would keep two digits of each. */
double gr_cross_entropy(const float *logits, const int32_t *labels, size_t n, size_t classes,
                        float scale, float *delta, size_t *correct) {
    double loss_sum = 0.0;
    size_t n_correct = 0;
    for (size_t i = 0; i < n; i++) {
        const float *row = logits + i * classes;
        const size_t label = (size_t)labels[i], best = first_largest(row, classes);
        float sum = 0.0f;
        for (size_t j = 0; j < classes; j++) {
            const float e = expf(row[j] - row[best]);
            if (delta) delta[i * classes + j] = e;
            sum += e;
        }
        /* There is a class, so that the sum holds exp(0). */
        /* cppcheck-suppress invalidFunctionArg */
        loss_sum += log((double)sum) - ((double)row[label] - (double)row[best]);
        n_correct += best == label;
        if (!delta) continue;
        for (size_t j = 0; j < classes; j++)
            delta[i * classes + j] =
                scale * (delta[i * classes + j] / sum - (j == label ? 1.0f : 0.0f));
    }
    if (correct) *correct = n_correct;
    return loss_sum;
}
