/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: the forward and backward passes over the layers, float32 in and out. A batch lies in the
 * model's own arrays; layers hold what they need for the way back from the last forward pass, so
 * that a backward pass belongs to the forward pass before it.
 */
#include <model/elementwise.h>
#include <model/network.h>
#include <model/paired.h>

#include <math.h>
#include <string.h>

/* Rows first .. first + n - 1 of the batch; n at most model->rows. The first layer reads and the
 * last one writes the batch's arrays in place, hence their pointers are set for each slice. */
gr_status gr_model_forward(struct gr_model *model, const float *parameters, size_t first, size_t n,
                           bool training) {
    struct gr_layer *layers = model->layers, *last = &layers[model->n_layers - 1];
    gr_status status = GR_OK;
    model->first_row = first;
    layers[0].in = model->features + first * model->inputs;
    last->out = last->sums = model->logits + first * model->outputs;
    for (size_t l = 0; l < model->n_layers; l++)
        if (!layers[l].merged)
            GR_TRY(layers[l].kind->forward(model, &layers[l], parameters, n, training));
    for (size_t i = first; model->offsets && i < first + n; i++)
        model->logits[i] += model->offsets[i];
out:
    return status;
}

/* Over n rows of the batch, in order, whatever slices they were scored in. */
double gr_model_loss(const struct gr_model *model, size_t first, size_t n, float scale,
                     float *delta, size_t *correct) {
    const struct gr_loss_batch batch = {.outputs = model->logits + first * model->outputs,
                                        .labels = model->labels ? model->labels + first : NULL,
                                        .targets = model->targets ? model->targets + first : NULL,
                                        .weights = model->weights ? model->weights + first : NULL,
                                        .n = n,
                                        .width = model->outputs};
    return gr_loss_run(&model->loss, &batch, scale, delta, correct);
}

gr_status gr_layer_backward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                            size_t n, const struct gr_target *target, float *rows) {
    const struct gr_layer_kind *kind = layer->kind;
    gr_status status = GR_OK;
    if (!layer->slope_behind)
        gr_activate_backward(layer->activation, layer->sums, layer->out, model->delta,
                             n * layer->outputs);
    if (target && !layer->first && kind->backward)
        return kind->backward(model, layer, parameters, n, target);
    if (rows && kind->backward_rows)
        return kind->backward_rows(model, layer, parameters, n, rows, !layer->first);
    /* Before the weights, which may move. */
    if (!layer->first) GR_TRY(kind->backward_data(model, layer, parameters, n));
    if (target && kind->backward_weight)
        GR_TRY(kind->backward_weight(model, layer, parameters, n, target));
out:
    return status;
}

gr_status gr_model_pass(struct gr_model *model, const float *parameters, size_t first, size_t n,
                        double scale, const struct gr_target *target, double *loss_sum) {
    gr_status status;
    GR_TRY(gr_model_forward(model, parameters, first, n, true));
    *loss_sum += gr_model_loss(model, first, n, (float)scale, model->delta, NULL);
    for (size_t l = model->n_layers; l-- > 0;) {
        struct gr_layer *layer = &model->layers[l];
        float *delta = model->delta_before;
        if (layer->merged) continue;
        GR_TRY(gr_layer_backward(model, layer, parameters, n, target, NULL));
        model->delta_before = model->delta;
        model->delta = delta;
    }
out:
    return status;
}

/*
 * Rows of a batch of n that pass together: so many that they stay in the second cache, where each
 * layer's derivatives can go on from those of the rows before. Parameters that stay in no cache are
 * rather read once for all rows. Pairs of rows stay together.
 */
static size_t part_of(const struct gr_model *model, size_t n) {
    enum { ROWS = 128, PAIRED_ROWS = 256, PARAMETERS = 1 << 20 };
    const size_t rows = model->pairs ? PAIRED_ROWS : ROWS, parts = (n + rows - 1) / rows;
    if (model->inner || model->layout.size > PARAMETERS) return n;
    for (size_t l = 0; l < model->n_layers; l++)
        if (model->layers[l].kind != (model->pairs ? &gr_layer_paired : &gr_layer_dense)) return n;
    const size_t part = (n + parts - 1) / parts;
    return model->pairs ? part + part % 2 : part;
}

/*
 * The batch in parts, whose derivatives are added up in `room` until the last one gives them to the
 * target; NULL: all at once. Each is one chain over the rows either way, of the same bits.
 */
static gr_status pass(struct gr_model *model, const float *parameters, size_t n, double scale,
                      const struct gr_target *target, float *room, double *loss_sum) {
    const size_t part = room ? part_of(model, n) : n;
    gr_status status;
    *loss_sum = 0;
    GR_TRY(gr_model_make_room(model, part));
    model->weight = gr_loss_weight(&model->loss, model->labels, model->weights, n);
    for (size_t first = 0; first < n; first += part) {
        const bool last = first + part >= n;
        struct gr_target of_part = {.vector = room};
        if (last) of_part = *target;
        if (first > 0) of_part.before = room;
        GR_TRY(gr_model_pass(model, parameters, first, last ? n - first : part,
                             scale / model->mean_weight, &of_part, loss_sum));
    }
out:
    return status;
}

void gr_layout_zero_gaps(const struct gr_layout *layout, float *vector) {
    for (size_t t = 0; t < layout->n_tensors; t++) {
        const size_t end = layout->tensors[t].offset + layout->tensors[t].n_elements;
        const size_t next =
            t + 1 < layout->n_tensors ? layout->tensors[t + 1].offset : layout->size;
        memset(vector + end, 0, (next - end) * sizeof *vector);
    }
}

/*
 * Gaps are zeroed, since the gradient is clipped and added as one vector, gaps included. Weights of
 * rows are taken against their mean over the silo, so that a batch of light rows makes a small
 * step.
 */
gr_status gr_model_gradient(struct gr_model *model, const float *parameters, size_t n,
                            float *gradient, double *loss_sum) {
    const struct gr_target target = {.vector = gradient};
    gr_layout_zero_gaps(&model->layout, gradient);
    return pass(model, parameters, n, 1.0 / (double)n, &target, gradient, loss_sum);
}

gr_status gr_model_step(struct gr_model *model, float *parameters, size_t n, double learning_rate,
                        double weight_decay, float *room, double *loss_sum) {
    const struct gr_target target = {
        .vector = parameters, .step = true, .decay = (float)(learning_rate * weight_decay)};
    return pass(model, parameters, n, -learning_rate / (double)n, &target, room, loss_sum);
}

/* The outputs as the reader of gr_model_logits wants them. */
static void show(struct gr_model *model, size_t n) {
    const bool binary = gr_model_task(model) == GR_TASK_BINARY;
    for (size_t i = 0; model->shown && i < n; i++) {
        if (binary) {
            model->shown[2 * i] = 0.0f;
            model->shown[2 * i + 1] = model->logits[i];
        } else {
            model->shown[i] = expf(model->logits[i]);
        }
    }
}

/* Slices do not show in the bits: a row's outputs depend on that row alone, and the loss is summed
 * over the whole batch at the end. */
gr_status gr_model_score(struct gr_model *model, const float *parameters, size_t n,
                         double *loss_sum, size_t *correct) {
    const size_t slice = gr_model_slice(model);
    gr_status status;
    GR_TRY(gr_model_make_room(model, slice));
    for (size_t first = 0; first < n; first += slice) {
        const size_t left = n - first;
        GR_TRY(gr_model_forward(model, parameters, first, left < slice ? left : slice, false));
    }
    *loss_sum = gr_model_loss(model, 0, n, 1.0f, NULL, correct);
    show(model, n);
out:
    return status;
}

const float *gr_model_logits(const struct gr_model *model) {
    return model->shown ? model->shown : model->logits;
}
