/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bag: a row is a list of ids, 0 where there is none; out comes the mean of the vectors of those
 * there are (as PyTorch's nn.EmbeddingBag), or zeros. Row i of the table is id i + 1.
 */
#include <model/lookup.h>
#include <model/network.h>

#include <stdio.h>
#include <string.h>

static gr_status shape(struct gr_layer *layer) {
    layer->to.channels = layer->config.width;
    return GR_OK;
}

/* A row of the table is used alone and not summed over inputs, so that its fan is that of one. */
static gr_status tensors(struct gr_layer *layer, struct gr_layout *layout) {
    char name[GR_TENSOR_NAME_MAX];
    gr_status status;
    snprintf(name, sizeof name, "bag%zu.weight", layer->number);
    layer->weight = layout->size;
    GR_TRY(gr_layout_append(layout, name, 2, (size_t[]){layer->vocabulary, layer->config.width}));
    layer->n_weights = layout->size - layer->weight;
    layer->fan_in = GR_FAN_OF_ONE;
out:
    return status;
}

/* In each forward pass, not only when data are loaded: an id becomes an index, and rows come from
 * files of others too. */
static gr_status check(const struct gr_layer *layer, const float *features, size_t n) {
    for (size_t i = 0; i < n * layer->inputs; i++)
        if (!gr_lookup_is_index(features[i], layer->vocabulary))
            return gr_lookup_refuse(i % layer->inputs, layer->vocabulary);
    return GR_OK;
}

/* The share of each id of a row in its mean. Ids were checked before: a value above 0 is an id. */
static float share_of(const float *ids, size_t n) {
    size_t found = 0;
    for (size_t i = 0; i < n; i++)
        found += ids[i] > 0;
    return found > 0 ? 1.0f / (float)found : 0;
}

/* Vectors are added in the order of the ids in the row: its bits do not depend on the batch. */
static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    const size_t width = layer->config.width;
    const float *table = parameters + layer->weight;
    gr_status status;
    (void)model;
    (void)training;
    GR_TRY(check(layer, layer->in, n));
    memset(layer->out, 0, n * width * sizeof *layer->out);
    for (size_t i = 0; i < n; i++) {
        const float *ids = layer->in + i * layer->inputs;
        const float share = share_of(ids, layer->inputs);
        float *out = layer->out + i * width;
        for (size_t t = 0; t < layer->inputs; t++)
            if (ids[t] > 0)
                gr_lookup_add(table + (gr_lookup_index(ids[t]) - 1) * width, width, out);
        for (size_t j = 0; j < width; j++)
            out[j] *= share;
    }
out:
    return status;
}

/* Row by row of the batch, in order, each onto the one before: two rows may look up the same
 * vector. The ids were checked by the forward pass. A row's share of delta is the same for all its
 * ids. */
static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    const size_t width = layer->config.width;
    float *table = target->vector + layer->weight, *shared = model->pack;
    (void)parameters;
    gr_lookup_start(target, layer->weight, layer->n_weights);
    for (size_t i = 0; i < n; i++) {
        const float *ids = layer->in + i * layer->inputs;
        const float share = share_of(ids, layer->inputs);
        for (size_t j = 0; j < width; j++)
            shared[j] = share * model->delta[i * width + j];
        for (size_t t = 0; t < layer->inputs; t++)
            if (ids[t] > 0)
                gr_lookup_add(shared, width, table + (gr_lookup_index(ids[t]) - 1) * width);
    }
    return GR_OK;
}

/* ---- rows apart ---------------------------------------------------------------------------- */

/* Made by the first clipped sum. */
static gr_status find_times(struct gr_layer *layer, uint32_t **out) {
    gr_status status = GR_OK;
    if (!layer->state)
        GR_TRY(gr_allocate_zero(layer->vocabulary, sizeof **out, "counts of ids", &layer->state));
out:
    *out = layer->state;
    return status;
}

static void release(struct gr_layer *layer) {
    gr_free(layer->state);
    layer->state = NULL;
}

/* An id that stands c times in a row has c shares of delta, c^2 of its square: one time more than c
 * brings 2 c + 1. */
static gr_status row_norms(struct gr_model *model, struct gr_layer *layer, size_t n,
                           double *squares) {
    const size_t width = layer->config.width;
    uint32_t *times;
    gr_status status;
    GR_TRY(find_times(layer, &times));
    for (size_t i = 0; i < n; i++) {
        const float *ids = layer->in + i * layer->inputs;
        const double share = (double)share_of(ids, layer->inputs);
        double square = 0;
        for (size_t t = 0; t < layer->inputs; t++)
            if (ids[t] > 0) square += 2 * (double)times[gr_lookup_index(ids[t]) - 1]++ + 1;
        for (size_t t = 0; t < layer->inputs; t++)
            if (ids[t] > 0) times[gr_lookup_index(ids[t]) - 1] = 0;
        squares[i] += share * share * square * gr_square_sum(model->delta + i * width, width);
    }
out:
    return status;
}

/* An id's shares at once. */
static gr_status add_rows(struct gr_model *model, struct gr_layer *layer, size_t n, bool fresh,
                          float *sum) {
    const size_t width = layer->config.width;
    float *table = sum + layer->weight;
    uint32_t *times;
    gr_status status;
    GR_TRY(find_times(layer, &times));
    if (fresh) memset(table, 0, layer->n_weights * sizeof *table);
    for (size_t i = 0; i < n; i++) {
        const float *ids = layer->in + i * layer->inputs, *delta = model->delta + i * width;
        const float share = share_of(ids, layer->inputs);
        for (size_t t = 0; t < layer->inputs; t++)
            if (ids[t] > 0) times[gr_lookup_index(ids[t]) - 1]++;
        for (size_t t = 0; t < layer->inputs; t++) {
            const size_t id = ids[t] > 0 ? gr_lookup_index(ids[t]) - 1 : 0;
            const float factor = ids[t] > 0 ? share * (float)times[id] : 0;
            if (!(factor > 0)) continue;
            for (size_t j = 0; j < width; j++)
                table[id * width + j] += factor * delta[j];
            times[id] = 0;
        }
    }
out:
    return status;
}

const struct gr_layer_kind gr_layer_bag = {.shape = shape,
                                           .tensors = tensors,
                                           .check = check,
                                           .forward = forward,
                                           .backward_weight = backward_weight,
                                           .row_norms = row_norms,
                                           .add_rows = add_rows,
                                           .release = release};
