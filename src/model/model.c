/* SPDX-License-Identifier: Apache-2.0 */
/* model: shape, workspace, and first parameters. */
#include <model/inner_product.h>
#include <model/network.h>

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Above this a size is a mistake or an attack, and sums of sizes below cannot overflow. */
static const size_t width_max = (size_t)1 << 28;

static gr_status append_layer(struct gr_model *model, size_t l, size_t inputs, size_t outputs) {
    char name[GR_TENSOR_NAME_MAX];
    struct gr_layer *layer = &model->layers[l];
    gr_status status;
    if (inputs < 1 || inputs > width_max || outputs < 1 || outputs > width_max)
        return gr_fail(GR_ERROR_CONFIG, "model: layer %zu is %zu by %zu, expected 1 to %zu", l,
                       inputs, outputs, width_max);
    *layer =
        (struct gr_layer){.inputs = inputs, .outputs = outputs, .hidden = l + 1 < model->n_layers};
    snprintf(name, sizeof name, "dense%zu.weight", l);
    layer->weight = model->layout.size;
    GR_TRY(gr_layout_append(&model->layout, name, 2, (size_t[]){inputs, outputs}));
    snprintf(name, sizeof name, "dense%zu.bias", l);
    layer->bias = model->layout.size;
    GR_TRY(gr_layout_append(&model->layout, name, 1, &outputs));
out:
    return status;
}

static gr_status append_layers(struct gr_model *model, const struct gr_model_config *config) {
    gr_status status;
    size_t inputs = model->inputs;
    model->n_layers = 1 + (config->type == GR_MODEL_MLP ? config->hidden_count : 0);
    GR_TRY(gr_allocate_zero(model->n_layers, sizeof *model->layers, "layers", &model->layers));
    for (size_t l = 0; l < model->n_layers; l++) {
        const size_t outputs = l + 1 < model->n_layers ? config->hidden[l] : model->classes;
        GR_TRY(append_layer(model, l, inputs, outputs));
        inputs = outputs;
    }
out:
    return status;
}

static size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

/* Cuts `n` floats off the workspace; while that is NULL, counts only. */
static float *cut(float *workspace, size_t *used, size_t rows, size_t columns) {
    float *at = workspace ? workspace + *used : NULL;
    *used += round_up(rows * columns, GR_LAYOUT_ALIGNMENT);
    return at;
}

/* Sets the pointers into the workspace and returns its size in floats. */
static size_t lay_out(struct gr_model *model, float *workspace) {
    const size_t rows = model->inner ? gr_inner_rows(model->batch_max) : model->batch_max;
    const size_t rows_turned = round_up(rows, GR_TILE_TAIL);
    size_t used = 0, widest = 0, longest = rows, largest = 0;
    float *in = model->features = cut(workspace, &used, rows, model->inputs);
    for (size_t l = 0; l < model->n_layers; l++) {
        struct gr_layer *layer = &model->layers[l];
        const bool both = layer->hidden && model->activation == GR_ACTIVATION_GELU;
        layer->in = in;
        in = layer->out = cut(workspace, &used, rows, layer->outputs);
        layer->sums = both ? cut(workspace, &used, rows, layer->outputs) : layer->out;
        if (layer->outputs > widest) widest = layer->outputs;
        if (layer->inputs > longest) longest = layer->inputs;
        if (layer->inputs * layer->outputs > largest) largest = layer->inputs * layer->outputs;
    }
    model->delta = cut(workspace, &used, rows, widest);
    model->delta_before = cut(workspace, &used, rows, widest);
    model->turned = cut(workspace, &used, widest, rows_turned);
    model->product =
        cut(workspace, &used, model->inner ? 1 : widest, model->inner ? largest : rows_turned);
    model->pack = cut(workspace, &used, 1, GR_TILE_PACK * longest + widest);
    return used;
}

static gr_status make_workspace(struct gr_model *model) {
    gr_status status;
    const size_t size = lay_out(model, NULL);
    gr_free(model->workspace);
    model->workspace = NULL;
    GR_TRY(gr_allocate_zero(size, sizeof(float), "the model's workspace", &model->workspace));
    lay_out(model, model->workspace);
out:
    return status;
}

gr_status gr_model_use_inner(struct gr_model *model, enum gr_compute compute) {
    gr_status status;
    struct gr_inner_layer *layers = NULL;
    GR_TRY(gr_allocate(model->n_layers, sizeof *layers, "layer sizes", &layers));
    for (size_t l = 0; l < model->n_layers; l++)
        layers[l] = (struct gr_inner_layer){model->layers[l].inputs, model->layers[l].outputs};
    GR_TRY(gr_inner_create(compute, layers, model->n_layers, model->batch_max, &model->inner));
    GR_TRY(make_workspace(model));
out:
    gr_free(layers);
    return status;
}

gr_status gr_model_create(const struct gr_model_config *config, size_t inputs, size_t classes,
                          size_t batch_max, struct gr_model **out) {
    struct gr_model *model = NULL;
    gr_status status;
    *out = NULL;
    if (batch_max < 1 || batch_max > width_max)
        return gr_fail(GR_ERROR_INTERNAL, "model: %zu rows of a batch, expected 1 to %zu",
                       batch_max, width_max);
    GR_TRY(gr_allocate_zero(1, sizeof *model, "a model", &model));
    model->type = config->type;
    model->activation = config->activation;
    model->initialisation = config->initialisation;
    model->compute = config->compute;
    model->inputs = inputs;
    model->classes = classes;
    model->batch_max = batch_max;
    model->tiles = gr_tiles_best();
    GR_TRY(append_layers(model, config));
    GR_TRY(gr_allocate_zero(batch_max, sizeof *model->labels, "labels", &model->labels));
    if (model->compute == GR_COMPUTE_BFLOAT16)
        GR_TRY(gr_model_use_inner(model, model->compute));
    else
        GR_TRY(make_workspace(model));
    *out = model;
    model = NULL;
out:
    gr_model_free(model);
    return status;
}

void gr_model_free(struct gr_model *model) {
    if (!model) return;
    gr_inner_free(model->inner);
    gr_free(model->workspace);
    gr_free(model->labels);
    gr_free(model->layers);
    gr_layout_release(&model->layout);
    gr_free(model);
}

const struct gr_layout *gr_model_layout(const struct gr_model *model) {
    return &model->layout;
}

size_t gr_model_inputs(const struct gr_model *model) {
    return model->inputs;
}

size_t gr_model_classes(const struct gr_model *model) {
    return model->classes;
}

float *gr_model_batch_features(struct gr_model *model) {
    return model->features;
}

int32_t *gr_model_batch_labels(struct gr_model *model) {
    return model->labels;
}

gr_status gr_model_initialise(const struct gr_model *model, uint64_t seed, float *parameters) {
    gr_status status;
    gsl_rng *stream = NULL;
    GR_TRY(gr_stream_create((struct gr_stream_key){.seed = seed, .purpose = GR_PURPOSE_INITIALISE},
                            &stream));
    memset(parameters, 0, model->layout.size * sizeof *parameters);
    for (size_t l = 0; l < model->n_layers; l++) {
        const struct gr_layer *layer = &model->layers[l];
        float *weight = parameters + layer->weight;
        const double deviation = sqrt(2.0 / (double)layer->inputs);
        const double limit = sqrt(6.0 / (double)(layer->inputs + layer->outputs));
        for (size_t i = 0; i < layer->inputs * layer->outputs; i++)
            weight[i] = (float)(model->initialisation == GR_INITIALISE_HE
                                    ? gsl_ran_gaussian(stream, deviation)
                                    : gsl_ran_flat(stream, -limit, limit));
    }
out:
    gsl_rng_free(stream);
    return status;
}
