/* SPDX-License-Identifier: Apache-2.0 */
/* paired: the passes; each product's operands are rounded to pairs along its inner index. */
#include <model/dense.h>
#include <model/elementwise.h>
#include <model/network.h>
#include <model/paired.h>
#include <model/pairs.h>

/* Inputs of which the weights are rounded at a time; backwards whole tiles of columns. */
enum { FORWARD_BLOCK = 256, BACKWARD_BLOCK = 192 };

static size_t half(size_t n) {
    return (n + 1) / 2;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

size_t gr_paired_left(const struct gr_layer *layer, size_t rows) {
    return larger(rows * half(layer->inputs),
                  rows * half(layer->outputs) + half(rows) * gr_pairs_row(layer->inputs));
}

size_t gr_paired_right(const struct gr_layer *layer, size_t rows) {
    const size_t row = gr_pairs_row(layer->outputs);
    return larger(half(FORWARD_BLOCK) * row,
                  half(layer->outputs) * gr_pairs_row(BACKWARD_BLOCK) + half(rows) * row);
}

/* Inputs of a forward block, dealt evenly and by pairs. */
static size_t block_of(const struct gr_layer *layer) {
    const size_t n = layer->inputs, n_blocks = (n + FORWARD_BLOCK - 1) / FORWARD_BLOCK;
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

/* What a backward pass multiplies: delta by rows, what came in and delta by columns, and some of
 * the weights turned. */
struct operands {
    float *delta, *in, *delta_between, *turned;
};

static struct operands find_operands(const struct gr_model *model, const struct gr_layer *layer,
                                     size_t n) {
    return (struct operands){.delta = model->left,
                             .in = model->left + n * half(layer->outputs),
                             .turned = model->right,
                             .delta_between = model->right +
                                              half(layer->outputs) * gr_pairs_row(BACKWARD_BLOCK)};
}

/* By `inputs` from `first` on. The weights are turned, not the batch as in float32: they are
 * rounded anyway. */
static void multiply_data(const struct gr_model *model, const struct gr_layer *layer,
                          const struct operands *operands, const float *parameters, size_t n,
                          size_t first, size_t inputs) {
    const struct gr_product product = {
        .m = n,
        .n = inputs,
        .k = half(layer->outputs),
        .a = operands->delta,
        .a_row = half(layer->outputs),
        .a_step = 1,
        .b = operands->turned,
        .b_row = gr_pairs_row(inputs),
        .c = model->delta_before + first,
        .c_row = layer->inputs,
        .finish = GR_FINISH_STORE,
    };
    gr_pairs_turned(parameters + layer->weight + first * layer->outputs, inputs, layer->outputs,
                    operands->turned);
    gr_multiply(model->pairs, &product, model->pack);
}

/* The inner index is that of rows. In a step the product adds to the weights as it finishes. */
static void multiply_weight(const struct gr_model *model, const struct gr_layer *layer,
                            const struct operands *operands, size_t n, size_t first, size_t inputs,
                            const struct gr_target *target) {
    const size_t at = layer->weight + first * layer->outputs;
    const struct gr_product product = {
        .m = inputs,
        .n = layer->outputs,
        .k = half(n),
        .a = operands->in + first,
        .a_row = 1,
        .a_step = gr_pairs_row(layer->inputs),
        .b = operands->delta_between,
        .b_row = gr_pairs_row(layer->outputs),
        .c = target->vector + at,
        .c_row = layer->outputs,
        .from = target->before ? target->before + at : NULL,
        .from_row = layer->outputs,
        .finish = target->step ? GR_FINISH_STEP : GR_FINISH_STORE,
        .decay = target->decay,
    };
    gr_multiply(model->pairs, &product, model->pack);
}

/* data, target: which halves; target may be NULL. Both go block by block, so that the weights of a
 * large layer come from memory once. */
static gr_status pass_back(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                           size_t n, bool data, const struct gr_target *target) {
    const struct operands operands = find_operands(model, layer, n);
    const size_t block = data ? BACKWARD_BLOCK : layer->inputs;
    if (data) gr_pairs_along(model->delta, n, layer->outputs, operands.delta);
    if (target) {
        gr_pairs_between(layer->in, n, layer->inputs, operands.in);
        gr_pairs_between(model->delta, n, layer->outputs, operands.delta_between);
    }
    for (size_t first = 0; first < layer->inputs; first += block) {
        const size_t left = layer->inputs - first, inputs = left < block ? left : block;
        if (data) multiply_data(model, layer, &operands, parameters, n, first, inputs);
        if (target) multiply_weight(model, layer, &operands, n, first, inputs, target);
    }
    if (target) gr_dense_take_biases(model, layer, n, target);
    return GR_OK;
}

static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    return pass_back(model, layer, parameters, n, true, NULL);
}

static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    return pass_back(model, layer, parameters, n, false, target);
}

static gr_status backward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                          size_t n, const struct gr_target *target) {
    return pass_back(model, layer, parameters, n, true, target);
}

const struct gr_layer_kind gr_layer_paired = {.forward = forward,
                                              .backward_data = backward_data,
                                              .backward_weight = backward_weight,
                                              .backward = backward};
