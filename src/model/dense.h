/* SPDX-License-Identifier: Apache-2.0 */
/* dense: the passes of a dense layer that are the same however it multiplies. */
#ifndef GRANARY_MODEL_DENSE_H
#define GRANARY_MODEL_DENSE_H

#include <model/layer.h>

/* The target takes the derivatives by the biases: the sums of model->delta, n x outputs. */
void gr_dense_take_biases(const struct gr_model *model, const struct gr_layer *layer, size_t n,
                          const struct gr_target *target);

#endif
