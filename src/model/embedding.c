/* SPDX-License-Identifier: Apache-2.0 */
/*
 * embedding: a category's code becomes a vector, its row of a table that the column has for itself
 * (as PyTorch's nn.Embedding), and stands where the code stood; all other features pass.
 */
#include <model/lookup.h>
#include <model/network.h>

#include <stdio.h>
#include <string.h>

gr_status gr_lookup_refuse(size_t feature, size_t most) {
    return gr_fail(GR_ERROR_DATA,
                   "feature %zu: found a value that is no whole number from 0 to %zu", feature,
                   most); /* a cell is not told */
}

/* Weight decay is of all rows of a table, also of those that no row of the batch looks up, as in
 * any other layer; hence a pass over the whole table in each step with decay. */
void gr_lookup_start(const struct gr_target *target, size_t offset, size_t n) {
    float *at = target->vector + offset;
    if (!target->step) memset(at, 0, n * sizeof *at);
    for (size_t i = 0; target->step && target->decay > 0 && i < n; i++)
        at[i] -= target->decay * at[i];
}

/* Where the vector of code k stands in a row that goes out. Codes are in ascending order of
 * features, and each before this one has moved the rest by width - 1. */
static size_t place_of(const struct gr_layer *layer, size_t k) {
    return layer->codes[k].feature + k * (layer->config.width - 1);
}

static gr_status shape(struct gr_layer *layer) {
    layer->to.channels = layer->inputs + layer->n_codes * (layer->config.width - (size_t)1);
    return GR_OK;
}

/* A table for each code, named by its feature. Their offsets are the layer's state. `state` is set
 * before a tensor can fail, and is freed by release. */
static gr_status tensors(struct gr_layer *layer, struct gr_layout *layout) {
    gr_status status;
    size_t *offset = NULL;
    GR_TRY(gr_allocate(layer->n_codes, sizeof *offset, "tables", &offset));
    layer->state = offset;
    layer->weight = layout->size;
    for (size_t k = 0; k < layer->n_codes; k++) {
        const size_t rows = layer->codes[k].n_categories + (size_t)1;
        char name[GR_TENSOR_NAME_MAX];
        snprintf(name, sizeof name, "embedding%u.weight", layer->codes[k].feature);
        offset[k] = layout->size;
        GR_TRY(gr_layout_append(layout, name, 2, (size_t[]){rows, layer->config.width}));
    }
    layer->n_weights = layout->size - layer->weight;
    layer->fan_in = GR_FAN_OF_ONE;
out:
    return status;
}

static void release(struct gr_layer *layer) {
    gr_free(layer->state);
    layer->state = NULL;
}

static gr_status check(const struct gr_layer *layer, const float *features, size_t n) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < layer->n_codes; k++) {
            const struct gr_code *code = &layer->codes[k];
            if (!gr_lookup_is_index(features[i * layer->inputs + code->feature],
                                    code->n_categories))
                return gr_lookup_refuse(code->feature, code->n_categories);
        }
    return GR_OK;
}

/* A loop, since the stretches are too short for a call to pay. */
static inline void copy(const float *restrict from, size_t n, float *restrict to) {
    for (size_t i = 0; i < n; i++)
        to[i] = from[i];
}

/* Stretches of plain features between two codes are copied as they are. */
static void look_up(const struct gr_layer *layer, const float *parameters, const float *in,
                    float *out) {
    const size_t *offset = layer->state, width = layer->config.width;
    size_t next = 0;
    for (size_t k = 0; k < layer->n_codes; k++) {
        const size_t feature = layer->codes[k].feature, plain = feature - next;
        const size_t row = gr_lookup_index(in[feature]);
        copy(in + next, plain, out);
        copy(parameters + offset[k] + row * width, width, out + plain);
        out += plain + width;
        next = feature + 1;
    }
    copy(in + next, layer->inputs - next, out);
}

static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    gr_status status;
    (void)model;
    (void)training;
    GR_TRY(check(layer, layer->in, n));
    for (size_t i = 0; i < n; i++)
        look_up(layer, parameters, layer->in + i * layer->inputs, layer->out + i * layer->outputs);
out:
    return status;
}

/* Each column has a table for itself: no two of a row's derivatives meet. */
static void add_derivatives(const struct gr_model *model, const struct gr_layer *layer, size_t n,
                            float *to) {
    const size_t *offset = layer->state, width = layer->config.width;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < layer->n_codes; k++) {
            const float code = layer->in[i * layer->inputs + layer->codes[k].feature];
            gr_lookup_add(model->delta + i * layer->outputs + place_of(layer, k), width,
                          to + offset[k] + gr_lookup_index(code) * width);
        }
}

static gr_status add_rows(struct gr_model *model, struct gr_layer *layer, size_t n, bool fresh,
                          float *sum) {
    if (fresh) memset(sum + layer->weight, 0, layer->n_weights * sizeof *sum);
    add_derivatives(model, layer, n, sum);
    return GR_OK;
}

/* Plain features have no derivative here: the layer is always the first, and nobody asks for one by
 * its inputs. */
static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    (void)parameters;
    gr_lookup_start(target, layer->weight, layer->n_weights);
    add_derivatives(model, layer, n, target->vector);
    return GR_OK;
}

static gr_status row_norms(struct gr_model *model, struct gr_layer *layer, size_t n,
                           double *squares) {
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < layer->n_codes; k++)
            squares[i] += gr_square_sum(model->delta + i * layer->outputs + place_of(layer, k),
                                        layer->config.width);
    return GR_OK;
}

const struct gr_layer_kind gr_layer_embedding = {.shape = shape,
                                                 .tensors = tensors,
                                                 .check = check,
                                                 .forward = forward,
                                                 .backward_weight = backward_weight,
                                                 .row_norms = row_norms,
                                                 .add_rows = add_rows,
                                                 .release = release};
