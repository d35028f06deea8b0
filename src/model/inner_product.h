/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner_product: the products of dense layers through oneDNN, for bfloat16 where it has AMX, or
 * where our own tiles (paired.h) lack the instruction. float32 goes in and comes out; the
 * conversion is inside.
 *
 * All pointers are to arrays in plain order with room for gr_inner_rows(n) rows; rows of `in` and
 * `delta` from n on are set to zero here.
 */
#ifndef GRANARY_MODEL_INNER_PRODUCT_H
#define GRANARY_MODEL_INNER_PRODUCT_H

#include <granary/config.h>

struct gr_inner; /* opaque */

/* One dense layer's sizes. */
struct gr_inner_layer {
    size_t inputs, outputs;
    bool first; /* no derivative by what comes in is wanted */
};

/* Rows that a batch of n takes: a power of two, so that few sets of primitives serve all. */
size_t gr_inner_rows(size_t n);

/*
 * layers: copied. GR_ERROR_CONFIG when oneDNN has no kernel of that type for this processor. Sets
 * the calling thread's OpenMP to one thread, whatever the environment says.
 */
gr_status gr_inner_create(enum gr_compute compute, const struct gr_inner_layer *layers,
                          size_t n_layers, size_t batch_max, struct gr_inner **out) GR_CHECKED;
void gr_inner_free(struct gr_inner *inner);

/* sums[n, outputs] = in[n, inputs] weight[inputs, outputs] + bias */
gr_status gr_inner_forward(struct gr_inner *inner, size_t layer, size_t n, float *in,
                           const float *weight, const float *bias, float *sums) GR_CHECKED;

/* delta_in[n, inputs] = delta[n, outputs] weight^T */
gr_status gr_inner_backward_data(struct gr_inner *inner, size_t layer, size_t n, float *delta,
                                 const float *weight, float *delta_in) GR_CHECKED;

/* derivative[inputs, outputs] = in^T delta */
gr_status gr_inner_backward_weight(struct gr_inner *inner, size_t layer, size_t n, float *in,
                                   float *delta, float *derivative) GR_CHECKED;

#endif
