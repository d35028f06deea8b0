/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: softmax regression and multilayer perceptrons over one contiguous parameter vector.
 *
 * A model is a shape and a workspace, not parameters: parameters and gradients are the caller's
 * vectors of gr_model_layout()->size floats, 64-byte aligned. The same call on the same processor
 * gives the same bits: one thread, kernels chosen by shape alone.
 *
 * Lifetime: gr_model_create, gr_model_free. Not collective; knows no MPI.
 */
#ifndef GRANARY_MODEL_H
#define GRANARY_MODEL_H

#include <granary/config.h>

#ifdef __cplusplus
extern "C" {
#endif

struct gr_model; /* opaque */

/*
 * config: what stands under `model:`; inputs: features of a row; classes: outputs;
 * batch_max: most rows of one call. Errors: GR_ERROR_CONFIG (bfloat16 where the kernel library
 * has none), GR_ERROR_INTERNAL.
 */
gr_status gr_model_create(const struct gr_model_config *config, size_t inputs, size_t classes,
                          size_t batch_max, struct gr_model **out) GR_CHECKED;
void gr_model_free(struct gr_model *model);

/*
 * Tensors "dense0.weight" [in, out], "dense0.bias" [out], "dense1.weight", ... Borrowed.
 */
const struct gr_layout *gr_model_layout(const struct gr_model *model);
size_t gr_model_inputs(const struct gr_model *model);
size_t gr_model_classes(const struct gr_model *model);

/*
 * Weights from N(0, 2 / fan_in) (He et al. 2015) or U(-l, l), l = sqrt(6 / (fan_in + fan_out))
 * (Glorot and Bengio 2010); biases zero; gaps zero. Stream (seed, 0, 0, GR_PURPOSE_INITIALISE).
 */
gr_status gr_model_initialise(const struct gr_model *model, uint64_t seed,
                              float *parameters) GR_CHECKED;

/* Where a batch is to be written: n_rows x inputs float32, batch_max rows. Borrowed. */
float *gr_model_batch_features(struct gr_model *model);
int32_t *gr_model_batch_labels(struct gr_model *model);

/*
 * Softmax cross-entropy of the batch lying in gr_model_batch_features/labels, n rows.
 * gradient: of the mean loss, overwritten; loss_sum: sum over rows. A loss that is not finite is
 * returned as it is; the caller decides.
 */
gr_status gr_model_gradient(struct gr_model *model, const float *parameters, size_t n,
                            float *gradient, double *loss_sum) GR_CHECKED;

/* Forward only: sum of losses, and rows whose largest output is their label's (first of ties). */
gr_status gr_model_score(struct gr_model *model, const float *parameters, size_t n,
                         double *loss_sum, size_t *correct) GR_CHECKED;

/* Outputs before the softmax of the last call, n x classes. Borrowed until the next call. */
const float *gr_model_logits(const struct gr_model *model);

/*
 * The architecture as JSON (type, inputs, classes, hidden, activation, compute), which stands in
 * the model file; and back: what is needed to score with a stored model.
 */
gr_status gr_model_describe(const struct gr_model *model, char **out) GR_CHECKED;
gr_status gr_model_create_from_description(const char *json, size_t batch_max,
                                           struct gr_model **out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
