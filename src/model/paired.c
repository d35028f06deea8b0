/* SPDX-License-Identifier: Apache-2.0 */
/* paired: the passes; each product's operands are rounded to pairs along its inner index. */
#include <model/dense.h>
#include <model/elementwise.h>
#include <model/network.h>
#include <model/paired.h>
#include <model/pairs.h>

static size_t half(size_t n) {
    return (n + 1) / 2;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

size_t gr_paired_left(const struct gr_layer *layer, size_t rows) {
    const size_t along = rows * half(larger(layer->inputs, layer->outputs));
    return larger(along, half(rows) * gr_pairs_row(layer->inputs));
}

size_t gr_paired_right(const struct gr_layer *layer, size_t rows) {
    return larger(half(larger(rows, GR_PAIRED_BLOCK)) * gr_pairs_row(layer->outputs),
                  half(layer->outputs) * GR_PAIRED_BLOCK);
}

/* Inputs of a block, dealt evenly and by pairs. */
static size_t block_of(const struct gr_layer *layer) {
    const size_t n = layer->inputs, n_blocks = (n + GR_PAIRED_BLOCK - 1) / GR_PAIRED_BLOCK;
    return 2 * half((n + n_blocks - 1) / n_blocks);
}

/* Sums go from block to block by way of `sums`, which is exact. */
static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    const bool fused = layer->activation == GR_ACTIVATION_RELU;
    const float *weight = parameters + layer->weight;
    const size_t block = block_of(layer);
    struct gr_product product = {
        .m = n,
        .n = layer->outputs,
        .a_row = half(layer->inputs),
        .a_step = 1,
        .b = model->right,
        .b_row = gr_pairs_row(layer->outputs),
        .c = layer->sums,
        .c_row = layer->outputs,
        .from = parameters + layer->bias,
    };
    (void)training;
    gr_pairs_along(layer->in, n, layer->inputs, model->left);
    for (size_t first = 0; first < layer->inputs; first += block) {
        const size_t left = layer->inputs - first, inputs = left < block ? left : block;
        gr_pairs_between(weight + first * layer->outputs, inputs, layer->outputs, model->right);
        product.k = half(inputs);
        product.a = model->left + first / 2;
        product.finish = fused && left <= block ? GR_FINISH_RELU : GR_FINISH_STORE;
        gr_multiply(model->pairs, &product, model->pack);
        product.from = layer->sums;
        product.from_row = layer->outputs;
    }
    if (!fused) gr_activate(layer->activation, layer->sums, layer->out, n * layer->outputs);
    return GR_OK;
}

/* The weights are turned, not the batch as in float32: they are rounded anyway. */
static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const float *weight = parameters + layer->weight;
    gr_pairs_along(model->delta, n, layer->outputs, model->left);
    for (size_t first = 0; first < layer->inputs; first += GR_PAIRED_BLOCK) {
        const size_t left = layer->inputs - first,
                     inputs = left < GR_PAIRED_BLOCK ? left : GR_PAIRED_BLOCK;
        const struct gr_product product = {
            .m = n,
            .n = inputs,
            .k = half(layer->outputs),
            .a = model->left,
            .a_row = half(layer->outputs),
            .a_step = 1,
            .b = model->right,
            .b_row = gr_pairs_row(inputs),
            .c = model->delta_before + first,
            .c_row = layer->inputs,
            .finish = GR_FINISH_STORE,
        };
        gr_pairs_turned(weight + first * layer->outputs, inputs, layer->outputs, model->right);
        gr_multiply(model->pairs, &product, model->pack);
    }
    return GR_OK;
}

/* The inner index is that of rows. In a step the product adds to the weights as it finishes. */
static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    const float *before = target->before;
    const struct gr_product product = {
        .m = layer->inputs,
        .n = layer->outputs,
        .k = half(n),
        .a = model->left,
        .a_row = 1,
        .a_step = gr_pairs_row(layer->inputs),
        .b = model->right,
        .b_row = gr_pairs_row(layer->outputs),
        .c = target->vector + layer->weight,
        .c_row = layer->outputs,
        .from = before ? before + layer->weight : NULL,
        .from_row = layer->outputs,
        .finish = target->step ? GR_FINISH_STEP : GR_FINISH_STORE,
        .decay = target->decay,
    };
    (void)parameters;
    gr_pairs_between(layer->in, n, layer->inputs, model->left);
    gr_pairs_between(model->delta, n, layer->outputs, model->right);
    gr_multiply(model->pairs, &product, model->pack);
    gr_dense_take_biases(model, layer, n, target);
    return GR_OK;
}

const struct gr_layer_kind gr_layer_paired = {.forward = forward,
                                              .backward_data = backward_data,
                                              .backward_weight = backward_weight,
                                              .row_norms = gr_dense_row_norms};
