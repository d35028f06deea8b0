/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: what a model holds, for the files of this room, and the training step that train uses.
 *
 * Beside the gradient there is a fused step for plain stochastic gradient descent: the product
 * that would write a weight's gradient moves the weight instead, which saves a pass over the
 * gradient and two over the parameters for each batch.
 */
#ifndef GRANARY_MODEL_NETWORK_H
#define GRANARY_MODEL_NETWORK_H

#include <granary/model.h>
#include <model/kernels.h>

struct gr_inner; /* inner_product.h */

/* One dense layer. */
struct gr_layer {
    size_t inputs, outputs;
    size_t weight, bias; /* offsets in the parameter vector */
    bool hidden;         /* followed by the activation */
    float *in;           /* batch_max x inputs: the batch, or the layer's before */
    float *sums;         /* batch_max x outputs, before the activation; may be `out` */
    float *out;          /* batch_max x outputs */
};

struct gr_model {
    enum gr_model_type type;
    enum gr_activation activation;
    enum gr_initialisation initialisation;
    enum gr_compute compute;
    size_t inputs, classes, batch_max;
    struct gr_layout layout;
    size_t n_layers;
    struct gr_layer *layers; /* owned */
    const struct gr_tiles *tiles;
    struct gr_inner *inner;      /* owned; products through oneDNN; NULL: tiles */
    float *workspace;            /* owned; the pointers below and in layers point into it */
    float *features;             /* batch_max x inputs */
    float *delta, *delta_before; /* batch_max x widest layer: derivatives by a layer's sums */
    float *turned, *product;     /* widest layer x batch_max rounded up to GR_TILE_TAIL */
    float *pack;                 /* for gr_multiply */
    int32_t *labels;             /* batch_max; owned */
};

/* Makes a model with its products through oneDNN in that type, whatever `compute` says. */
gr_status gr_model_use_inner(struct gr_model *model, enum gr_compute compute) GR_CHECKED;

/*
 * One step of plain stochastic gradient descent on the batch, in place:
 * w <- w - learning_rate (g + weight_decay w). The gradient of gr_model_gradient, never stored.
 */
gr_status gr_model_step(struct gr_model *model, float *parameters, size_t n, double learning_rate,
                        double weight_decay, double *loss_sum) GR_CHECKED;

#endif
