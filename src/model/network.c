/* SPDX-License-Identifier: Apache-2.0 */
/* network: the forward and backward passes over the layers, float32 in and out. */
#include <model/elementwise.h>
#include <model/inner_product.h>
#include <model/network.h>

#include <string.h>

/* Where the backward pass takes its weights' derivatives. */
struct target {
    float *vector; /* the gradient, or the parameters themselves */
    bool step;     /* vector += derivative - decay * vector, instead of vector = derivative */
    float decay;   /* learning rate times weight decay */
};

static gr_status forward_layer(struct gr_model *model, const struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const bool fused = layer->hidden && model->activation == GR_ACTIVATION_RELU && !model->inner;
    const float *weight = parameters + layer->weight, *bias = parameters + layer->bias;
    if (model->inner) {
        const gr_status status = gr_inner_forward(model->inner, (size_t)(layer - model->layers), n,
                                                  layer->in, weight, bias, layer->sums);
        if (status != GR_OK) return status;
    } else {
        const struct gr_product product = {
            .m = n,
            .n = layer->outputs,
            .k = layer->inputs,
            .a = layer->in,
            .a_row = layer->inputs,
            .a_step = 1,
            .b = weight,
            .b_row = layer->outputs,
            .c = layer->sums,
            .c_row = layer->outputs,
            .start = GR_START_ROW,
            .finish = fused ? GR_FINISH_RELU : GR_FINISH_STORE,
            .bias = bias,
        };
        gr_multiply(model->tiles, &product, model->pack);
    }
    if (layer->hidden && !fused)
        gr_activate(model->activation, layer->sums, layer->out, n * layer->outputs);
    return GR_OK;
}

static gr_status forward(struct gr_model *model, const float *parameters, size_t n) {
    for (size_t l = 0; l < model->n_layers; l++) {
        const gr_status status = forward_layer(model, &model->layers[l], parameters, n);
        if (status != GR_OK) return status;
    }
    return GR_OK;
}

/*
 * delta_before = delta weight^T. The product runs transposed, so that weight is read by rows. Its
 * columns are padded to whole tiles; what stands in the padding is multiplied, and not read.
 */
static gr_status backward_data(struct gr_model *model, const struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const size_t turned_row = (n + GR_TILE_TAIL - 1) / GR_TILE_TAIL * GR_TILE_TAIL;
    const float *weight = parameters + layer->weight;
    if (model->inner)
        return gr_inner_backward_data(model->inner, (size_t)(layer - model->layers), n,
                                      model->delta, weight, model->delta_before);
    gr_transpose(model->delta, layer->outputs, n, layer->outputs, model->turned, turned_row);
    const struct gr_product product = {
        .m = layer->inputs,
        .n = turned_row,
        .k = layer->outputs,
        .a = weight,
        .a_row = layer->outputs,
        .a_step = 1,
        .b = model->turned,
        .b_row = turned_row,
        .c = model->product,
        .c_row = turned_row,
        .start = GR_START_ZERO,
        .finish = GR_FINISH_STORE,
    };
    gr_multiply(model->tiles, &product, model->pack);
    gr_transpose(model->product, turned_row, layer->inputs, n, model->delta_before, layer->inputs);
    return GR_OK;
}

static void apply(const struct target *target, float *to, const float *derivative, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = target->step ? to[i] + (derivative[i] - target->decay * to[i]) : derivative[i];
}

static gr_status backward_weight(struct gr_model *model, const struct gr_layer *layer, size_t n,
                                 const struct target *target) {
    float *weight = target->vector + layer->weight;
    if (model->inner) {
        float *derivative = target->step ? model->product : weight;
        const gr_status status = gr_inner_backward_weight(
            model->inner, (size_t)(layer - model->layers), n, layer->in, model->delta, derivative);
        if (status == GR_OK && target->step)
            apply(target, weight, derivative, layer->inputs * layer->outputs);
        if (status != GR_OK) return status;
    } else {
        const struct gr_product product = {
            .m = layer->inputs,
            .n = layer->outputs,
            .k = n,
            .a = layer->in,
            .a_row = 1,
            .a_step = layer->inputs,
            .b = model->delta,
            .b_row = layer->outputs,
            .c = weight,
            .c_row = layer->outputs,
            .start = GR_START_ZERO,
            .finish = target->step ? GR_FINISH_STEP : GR_FINISH_STORE,
            .decay = target->decay,
        };
        gr_multiply(model->tiles, &product, model->pack);
    }
    gr_column_sums(model->delta, n, layer->outputs, model->pack);
    apply(target, target->vector + layer->bias, model->pack, layer->outputs);
    return GR_OK;
}

/* scale: what the derivatives are multiplied by, from the loss of one row to the target. */
static gr_status pass(struct gr_model *model, const float *parameters, size_t n, double scale,
                      const struct target *target, double *loss_sum) {
    gr_status status;
    GR_TRY(forward(model, parameters, n));
    *loss_sum = gr_cross_entropy(gr_model_logits(model), model->labels, n, model->classes,
                                 (float)scale, model->delta, NULL);
    for (size_t l = model->n_layers; l-- > 0;) {
        const struct gr_layer *layer = &model->layers[l];
        /* Before the weights, which may move. */
        if (l > 0) GR_TRY(backward_data(model, layer, parameters, n));
        GR_TRY(backward_weight(model, layer, n, target));
        if (l > 0) {
            float *delta = model->delta_before;
            const struct gr_layer *before = layer - 1;
            gr_activate_backward(model->activation, before->sums, before->out, delta,
                                 n * before->outputs);
            model->delta_before = model->delta;
            model->delta = delta;
        }
    }
out:
    return status;
}

gr_status gr_model_gradient(struct gr_model *model, const float *parameters, size_t n,
                            float *gradient, double *loss_sum) {
    const struct target target = {.vector = gradient};
    const struct gr_layout *layout = &model->layout;
    for (size_t t = 0; t < layout->n_tensors; t++) {
        const size_t end = layout->tensors[t].offset + layout->tensors[t].n_elements;
        const size_t next =
            t + 1 < layout->n_tensors ? layout->tensors[t + 1].offset : layout->size;
        memset(gradient + end, 0, (next - end) * sizeof *gradient);
    }
    return pass(model, parameters, n, 1.0 / (double)n, &target, loss_sum);
}

gr_status gr_model_step(struct gr_model *model, float *parameters, size_t n, double learning_rate,
                        double weight_decay, double *loss_sum) {
    const struct target target = {
        .vector = parameters, .step = true, .decay = (float)(learning_rate * weight_decay)};
    return pass(model, parameters, n, -learning_rate / (double)n, &target, loss_sum);
}

gr_status gr_model_score(struct gr_model *model, const float *parameters, size_t n,
                         double *loss_sum, size_t *correct) {
    const gr_status status = forward(model, parameters, n);
    if (status == GR_OK)
        *loss_sum = gr_cross_entropy(gr_model_logits(model), model->labels, n, model->classes, 1.0f,
                                     NULL, correct);
    return status;
}

const float *gr_model_logits(const struct gr_model *model) {
    return model->layers[model->n_layers - 1].out;
}
