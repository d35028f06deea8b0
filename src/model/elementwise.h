/* SPDX-License-Identifier: Apache-2.0 */
/* elementwise: activations, softmax cross-entropy, and the transposes between products. */
#ifndef GRANARY_MODEL_ELEMENTWISE_H
#define GRANARY_MODEL_ELEMENTWISE_H

#include <granary/config.h>

/*
 * out = activation(sums), n elements; may be in place. gelu is the exact form, x Phi(x)
 * (Hendrycks and Gimpel 2016, and PyTorch's default), not the tanh approximation.
 */
void gr_activate(enum gr_activation activation, const float *sums, float *out, size_t n);

/* delta *= activation'(sums); for relu and tanh sums may be overwritten by out and is not read. */
void gr_activate_backward(enum gr_activation activation, const float *sums, const float *out,
                          float *delta, size_t n);

/* out[columns, rows] = in[rows, columns] transposed; in_row and out_row: from one row to the next.
 */
void gr_transpose(const float *in, size_t in_row, size_t rows, size_t columns, float *out,
                  size_t out_row);

/* sums[j] = from[j] + the sum over rows of in[i, j], in ascending order of rows; from: NULL: 0. */
void gr_column_sums(const float *in, size_t rows, size_t columns, const float *from, float *sums);

/*
 * Sum of the softmax cross-entropies of n rows. delta, when not NULL, receives
 * scale * (softmax - one-hot); correct, when not NULL, the rows whose first largest output is
 * their label's.
 */
double gr_cross_entropy(const float *logits, const int32_t *labels, size_t n, size_t classes,
                        float scale, float *delta, size_t *correct);

#endif
