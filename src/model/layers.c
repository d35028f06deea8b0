/* SPDX-License-Identifier: Apache-2.0 */
/* layers: the kinds there are, and a model's list of them. Planning says shapes, tensors and their
 * places, and takes the memory of the list and the layout alone; `prepare` makes the rest later. */
#include <model/layer.h>

#include <stdio.h>
#include <string.h>

/* By type. */
#define KIND(type, name, ...) [type] = &gr_layer_##name,
static const struct gr_layer_kind *const kinds[] = {GR_LAYER_TYPES(KIND)
                                                        GR_FRONT_LAYER_TYPES(KIND)};

/* Weights first, then biases: gr_model_initialise walks over the layout in that order. */
gr_status gr_layer_append(struct gr_layer *layer, struct gr_layout *layout, size_t n_dims,
                          const size_t *shape, size_t biases) {
    const char *type = gr_layer_type_text(layer->config.type);
    char name[GR_TENSOR_NAME_MAX];
    gr_status status;
    snprintf(name, sizeof name, "%s%zu.weight", type, layer->number);
    layer->weight = layout->size;
    GR_TRY(gr_layout_append(layout, name, n_dims, shape));
    layer->n_weights = layout->tensors[layout->n_tensors - 1].n_elements;
    snprintf(name, sizeof name, "%s%zu.bias", type, layer->number);
    layer->bias = layout->size;
    layer->n_biases = biases;
    GR_TRY(gr_layout_append(layout, name, 1, &biases));
out:
    return status;
}

/* inputs or outputs of a row; 0 when that is out of range. */
static size_t volume(const struct gr_extent *extent) {
    size_t n;
    if (__builtin_mul_overflow(extent->height, extent->width, &n) ||
        __builtin_mul_overflow(n, extent->channels, &n) || n > GR_WIDTH_MAX)
        return 0;
    return n;
}

static gr_status plan_layer(struct gr_layer *layers, size_t l, struct gr_layout *layout) {
    struct gr_layer *layer = &layers[l];
    gr_status status;
    layer->kind = kinds[layer->config.type];
    layer->first = l == 0;
    layer->inputs = volume(&layer->from);
    layer->to = (struct gr_extent){1, 1, 1};
    /* Tensors are named by kind and number, "conv0.weight", so that another layer of another kind
     * renames none. */
    for (size_t i = 0; i < l; i++)
        layer->number += layers[i].config.type == layer->config.type;
    if (layer->inputs > 0) GR_TRY(layer->kind->shape(layer));
    layer->outputs = volume(&layer->to);
    if (layer->inputs < 1 || layer->outputs < 1)
        return gr_fail(GR_ERROR_CONFIG,
                       "model: layer %zu is %zu x %zu x %zu by %zu x %zu x %zu, expected 1 to %d",
                       l, layer->from.height, layer->from.width, layer->from.channels,
                       layer->to.height, layer->to.width, layer->to.channels, GR_WIDTH_MAX);
    if (layer->kind->tensors) GR_TRY(layer->kind->tensors(layer, layout));
    /* The largest of values below zero and of the same cut at zero have one slope. */
    if (l > 0 && layer->config.type == GR_LAYER_MAX_POOL &&
        layers[l - 1].config.type == GR_LAYER_CONV &&
        layers[l - 1].activation == GR_ACTIVATION_RELU)
        layers[l - 1].slope_behind = true;
out:
    return status;
}

/* A pool or a norm has none unless its own setting says so. */
static enum gr_activation activation_of(const struct gr_layer_config *layer,
                                        enum gr_activation of_model) {
    if (layer->activation != GR_ACTIVATION_DEFAULT) return layer->activation;
    return layer->type == GR_LAYER_CONV || layer->type == GR_LAYER_DENSE ? of_model
                                                                         : GR_ACTIVATION_NONE;
}

/* Layers before the hidden ones of a config. */
static bool has_front(const struct gr_model_config *config) {
    return config->type == GR_MODEL_BAG || (config->type == GR_MODEL_MLP && config->embedding > 0);
}

/* Regressions have none: their only layer is the last. */
static size_t count_hidden(const struct gr_model_config *config) {
    if (config->type == GR_MODEL_CNN) return config->layers_count;
    return config->type == GR_MODEL_MLP || config->type == GR_MODEL_BAG ? config->hidden_count : 0;
}

/* The front's settings are no part of a config's lists: they follow from model.embedding and
 * model.vocabulary. */
static void set_front(const struct gr_model_config *config, const struct gr_codes *codes,
                      struct gr_layer *layer) {
    const bool bag = config->type == GR_MODEL_BAG;
    layer->config = (struct gr_layer_config){.type = bag ? GR_LAYER_BAG : GR_LAYER_EMBEDDING,
                                             .width = config->embedding,
                                             .activation = GR_ACTIVATION_NONE};
    layer->vocabulary = config->vocabulary;
    layer->codes = codes->list;
    layer->n_codes = codes->n;
}

/* The settings of layer l behind the front: a hidden one, or the last. The last layer is dense and
 * without an activation in every model: the loss takes its sums. */
static struct gr_layer_config setting_of(const struct gr_model_config *config, size_t l,
                                         size_t outputs) {
    struct gr_layer_config layer = {.type = GR_LAYER_DENSE, .activation = GR_ACTIVATION_NONE};
    if (l == count_hidden(config)) {
        layer.width = (uint32_t)outputs;
    } else if (config->type == GR_MODEL_CNN) {
        layer = config->layers[l];
    } else {
        layer.width = config->hidden[l];
        layer.activation = GR_ACTIVATION_DEFAULT;
    }
    return layer;
}

/* *out is set before anything can fail, so that the model frees the layers that were planned. Each
 * layer's input is the output of the one before. */
gr_status gr_layers_plan(const struct gr_model_config *config, const struct gr_extent *inputs,
                         const struct gr_codes *codes, size_t outputs, struct gr_layout *layout,
                         struct gr_layer **out, size_t *n_layers) {
    const size_t front = has_front(config), n = front + count_hidden(config) + 1;
    struct gr_layer *layers = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(n, sizeof *layers, "layers", &layers));
    *out = layers;
    *n_layers = n;
    for (size_t l = 0; l < n; l++) {
        struct gr_layer *layer = &layers[l];
        if (l < front)
            set_front(config, codes, layer);
        else
            layer->config = setting_of(config, l - front, outputs);
        layer->activation = activation_of(&layer->config, config->activation);
        layer->from = l == 0 ? *inputs : layers[l - 1].to;
        GR_TRY(plan_layer(layers, l, layout));
    }
out:
    return status;
}

/* A kind that makes a state has a release; the list may be planned in part. */
void gr_layers_free(struct gr_layer *layers, size_t n_layers) {
    for (size_t l = 0; layers && l < n_layers; l++)
        if (layers[l].state) layers[l].kind->release(&layers[l]);
    gr_free(layers);
}

static size_t aligned(size_t n) {
    return (n + GR_LAYOUT_ALIGNMENT - 1) / GR_LAYOUT_ALIGNMENT * GR_LAYOUT_ALIGNMENT;
}

size_t gr_layer_row_biases(const struct gr_layer *layer) {
    return aligned(layer->n_weights);
}

size_t gr_layer_row_stride(const struct gr_layer *layer) {
    return gr_layer_row_biases(layer) + aligned(layer->n_biases);
}

/* In chains side by side, which hide the latency of an addition: a row's norm has the same bits
 * wherever the row lies. */
double gr_square_sum(const float *x, size_t n) {
    enum { CHAINS = 16 };
    double chain[CHAINS] = {0}, sum = 0;
    size_t i = 0;
    for (; i + CHAINS <= n; i += CHAINS)
        for (size_t j = 0; j < CHAINS; j++)
            chain[j] += (double)x[i + j] * (double)x[i + j];
    for (; i < n; i++)
        sum += (double)x[i] * (double)x[i];
    for (size_t j = 0; j < CHAINS; j++)
        sum += chain[j];
    return sum;
}

void gr_target_take(const struct gr_target *target, float *to, const float *derivative, size_t n) {
    for (size_t i = 0; i < n; i++)
        to[i] = target->step ? to[i] + (derivative[i] - target->decay * to[i]) : derivative[i];
}
