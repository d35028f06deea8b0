/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: shape, workspace, and first parameters. A model is made in two steps, a plan and its
 * memory, so that a description from a file is looked at before it takes any. It holds no
 * parameters: the caller passes them to each call, and has one vector for all silos of a process.
 */
#include <model/inner_product.h>
#include <model/instructions.h>
#include <model/network.h>
#include <model/paired.h>

#include <gsl/gsl_randist.h>
#include <math.h>
#include <string.h>

/* Bytes that scoring takes between features and outputs, and the fewest rows of a slice. */
enum { SLICE_BYTES = 16 << 20, SLICE_ROWS_MIN = 32 };

static size_t round_up(size_t n, size_t step) {
    return (n + step - 1) / step * step;
}

/* ---- workspace ---------------------------------------------------------------------------- */

/* Cuts `n` floats off the workspace; while that is NULL, counts only. */
static float *cut(float *workspace, size_t *used, size_t rows, size_t columns) {
    float *at = workspace ? workspace + *used : NULL;
    *used += round_up(rows * columns, GR_LAYOUT_ALIGNMENT);
    return at;
}

/* oneDNN's products take powers of two of rows. */
static size_t padded_rows(const struct gr_model *model, size_t rows) {
    return model->inner ? gr_inner_rows(rows) : rows;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* The largest sizes among a model's layers. */
struct extremes {
    size_t widest;                         /* outputs of any layer */
    size_t widest_dense, longest, derived; /* outputs and inputs of dense ones; tensors apart */
    size_t left, right;                    /* operands in pairs */
};

static struct extremes find_extremes(const struct gr_model *model) {
    struct extremes most = {0};
    for (size_t l = 0; l < model->n_layers; l++) {
        const struct gr_layer *layer = &model->layers[l];
        const bool dense = layer->config.type == GR_LAYER_DENSE;
        most.widest = larger(most.widest, layer->outputs);
        if (dense) most.widest_dense = larger(most.widest_dense, layer->outputs);
        if (dense) most.longest = larger(most.longest, layer->inputs);
        if (dense && l > 0) most.widest_dense = larger(most.widest_dense, layer->inputs);
        if (dense && model->pairs) {
            most.left = larger(most.left, gr_paired_left(layer, model->rows));
            most.right = larger(most.right, gr_paired_right(layer, model->rows));
        }
        /* Tables' derivatives are added where they go. */
        if (!layer->kind->check && (!dense || model->inner))
            most.derived = larger(most.derived, layer->n_weights);
        most.longest = larger(most.longest, layer->n_biases);
    }
    return most;
}

/*
 * Sets the pointers into the workspace and returns its size in floats. Called without memory first,
 * to count. The outputs of every layer stay, because the backward pass reads them; `delta` and
 * `delta_before` take turns from layer to layer, so that two vectors of the widest layer do for
 * all.
 */
static size_t lay_out(struct gr_model *model, float *workspace) {
    const size_t rows = padded_rows(model, model->rows);
    const size_t turned = round_up(rows, GR_TILE_TAIL);
    const size_t rows_turned = turned < GR_TURNED_ROWS ? turned : GR_TURNED_ROWS;
    const struct extremes most = find_extremes(model);
    size_t used = 0;
    float *in = NULL; /* of the first and out of the last layer are set for each slice */
    for (size_t l = 0; l < model->n_layers; l++) {
        struct gr_layer *layer = &model->layers[l];
        /* gelu's slope needs the sums, relu's and tanh's follow from the outputs. */
        const bool both = layer->activation == GR_ACTIVATION_GELU;
        layer->in = in;
        if (l + 1 == model->n_layers) break;
        in = layer->out = layer[1].merged ? NULL : cut(workspace, &used, rows, layer->outputs);
        layer->sums = both ? cut(workspace, &used, rows, layer->outputs) : layer->out;
    }
    model->delta = cut(workspace, &used, rows, most.widest);
    model->delta_before = cut(workspace, &used, rows, most.widest);
    model->turned = cut(workspace, &used, most.widest_dense, rows_turned);
    model->product = cut(
        workspace, &used, 1,
        larger(most.derived, model->inner || model->pairs ? 0 : most.widest_dense * rows_turned));
    model->left = cut(workspace, &used, 1, most.left);
    model->right = cut(workspace, &used, 1, most.right);
    model->pack =
        cut(workspace, &used, 1,
            GR_BLOCK_SUMS + GR_TILE_PACK * larger(most.longest, rows) + most.widest_dense);
    return used;
}

/* Zeroed, since kernels read padding rows that no batch has written. */
static gr_status make_workspace(struct gr_model *model, size_t rows) {
    gr_status status;
    gr_free(model->workspace);
    model->workspace = NULL;
    model->rows = rows;
    GR_TRY(gr_allocate_zero(lay_out(model, NULL), sizeof(float), "the model's workspace",
                            &model->workspace));
    lay_out(model, model->workspace);
out:
    if (status != GR_OK) model->rows = 0;
    return status;
}

gr_status gr_model_make_room(struct gr_model *model, size_t rows) {
    return rows > model->rows ? make_workspace(model, rows) : GR_OK;
}

/* By the bytes between features and outputs, so that images of a large network are scored by a few
 * and rows of a table by thousands. */
size_t gr_model_slice(const struct gr_model *model) {
    size_t bytes = 0, rows = 1;
    for (size_t l = 0; l < model->n_layers; l++)
        bytes += model->layers[l].outputs * sizeof(float);
    const size_t fitting = larger(SLICE_BYTES / larger(bytes, 1), SLICE_ROWS_MIN);
    if (model->batch_max <= fitting) return model->batch_max;
    while (2 * rows <= fitting)
        rows *= 2;
    return rows;
}

/*
 * Rows are padded to whole tiles and zeroed once; kernels read the padding and nobody reads its
 * products.
 */
static gr_status make_batch(struct gr_model *model) {
    const size_t rows = padded_rows(model, model->batch_max);
    const enum gr_task task = gr_model_task(model);
    gr_status status;
    gr_free(model->features);
    gr_free(model->logits);
    model->features = model->logits = NULL;
    GR_TRY(gr_allocate_zero(rows * model->inputs, sizeof(float), "a batch", &model->features));
    GR_TRY(gr_allocate_zero(rows * model->outputs, sizeof(float), "outputs", &model->logits));
    if (!model->labels)
        GR_TRY(gr_allocate_zero(rows, sizeof *model->labels, "labels", &model->labels));
    if (!model->shown && (task == GR_TASK_BINARY || task == GR_TASK_COUNT))
        GR_TRY(gr_allocate_zero(2 * rows, sizeof *model->shown, "outputs", &model->shown));
    if (!model->targets && (task == GR_TASK_REGRESSION || task == GR_TASK_COUNT))
        GR_TRY(gr_allocate_zero(rows, sizeof *model->targets, "targets", &model->targets));
    GR_TRY(make_workspace(model, gr_model_slice(model)));
out:
    return status;
}

/* The batch's arrays are made anew, because padded rows need more room. */
gr_status gr_model_use_inner(struct gr_model *model, enum gr_compute compute) {
    gr_status status;
    struct gr_inner_layer *layers = NULL;
    size_t n = 0;
    GR_TRY(gr_allocate(model->n_layers, sizeof *layers, "layer sizes", &layers));
    for (size_t l = 0; l < model->n_layers; l++) {
        const struct gr_layer *layer = &model->layers[l];
        if (layer->config.type == GR_LAYER_DENSE)
            layers[n++] = (struct gr_inner_layer){layer->inputs, layer->outputs, layer->first};
    }
    GR_TRY(gr_inner_create(compute, layers, n, gr_model_slice(model), &model->inner));
    GR_TRY(make_batch(model));
out:
    gr_free(layers);
    return status;
}

/* ---- making ------------------------------------------------------------------------------- */

/* A binary model has one output for two classes, the log odds of label 1; regressions have none of
 * the classes. */
static gr_status set_loss(struct gr_model *model, const struct gr_model_config *config,
                          size_t classes) {
    const struct gr_model_config plain = {.type = config->type};
    model->loss = (struct gr_loss){.type = gr_loss_of(config),
                                   .smoothing = config->label_smoothing,
                                   .huber_delta = config->huber_delta};
    model->own_loss = gr_loss_of(&plain) != model->loss.type;
    model->classes = model->outputs = classes;
    switch (gr_model_task(model)) {
    case GR_TASK_CLASSIFICATION:
        return GR_OK;
    case GR_TASK_BINARY:
        model->outputs = 1;
        model->classes = 2;
        if (classes <= 2) return GR_OK;
        return gr_fail(GR_ERROR_CONFIG, "model: found %zu classes, allowed 2 (the loss is %s)",
                       classes, gr_loss_text(model->loss.type));
    case GR_TASK_REGRESSION:
    case GR_TASK_COUNT:
        model->outputs = 1;
        model->classes = 0;
    }
    return GR_OK;
}

/* The row as an image, where there are layers of images. */
static gr_status set_row(struct gr_model *model, const struct gr_row_shape *row,
                         struct gr_extent *extent) {
    *extent = (struct gr_extent){1, 1, 1};
    model->row = *row;
    model->inputs = row->n_dims > 0;
    for (size_t i = 0; i < row->n_dims; i++)
        if (__builtin_mul_overflow(model->inputs, row->dims[i], &model->inputs))
            return gr_fail(GR_ERROR_CONFIG, "model: the size of a row overflows");
    if (model->type != GR_MODEL_CNN) {
        extent->channels = model->inputs;
        return GR_OK;
    }
    if (row->n_dims < 2 || row->n_dims > 3)
        return gr_fail(GR_ERROR_CONFIG,
                       "model.type: found cnn for rows of %zu dimensions, allowed for images of 2 "
                       "(height, width) or 3 (height, width, channels)",
                       row->n_dims);
    extent->height = row->dims[0];
    extent->width = row->dims[1];
    if (row->n_dims == 3) extent->channels = row->dims[2];
    return GR_OK;
}

/* Copies the codes of a model that looks some up. */
static gr_status set_codes(struct gr_model *model, const struct gr_model_config *config,
                           const struct gr_codes *codes) {
    struct gr_code *list = NULL;
    gr_status status = GR_OK;
    if (model->type != GR_MODEL_MLP || config->embedding == 0) return GR_OK;
    if (!codes || codes->n == 0)
        return gr_fail(GR_ERROR_CONFIG,
                       "model.embedding: found %u, allowed 0 where no column of the tables is a "
                       "category with encode: code (data.schema says which are)",
                       config->embedding);
    for (size_t i = 0; i < codes->n; i++)
        if (codes->list[i].feature >= model->inputs ||
            (i > 0 && codes->list[i].feature <= codes->list[i - 1].feature))
            return gr_fail(GR_ERROR_CONFIG,
                           "model: code %zu is feature %u, expected ascending ones below %zu", i,
                           codes->list[i].feature, model->inputs);
    GR_TRY(gr_allocate(codes->n, sizeof *list, "codes", &list));
    memcpy(list, codes->list, codes->n * sizeof *list);
    model->codes = (struct gr_codes){codes->n, list};
out:
    return status;
}

/* Makes the operations that only a cnn needs. */
static gr_status prepare_layers(struct gr_model *model) {
    gr_status status = GR_OK;
    if (model->type == GR_MODEL_CNN) {
        GR_TRY(gr_dnnl_start(model->compute, &model->dnnl));
        GR_TRY(gr_stream_create((struct gr_stream_key){.purpose = GR_PURPOSE_DROPOUT},
                                &model->stream));
    }
    for (size_t l = 0; l < model->n_layers; l++)
        if (model->layers[l].kind->prepare)
            GR_TRY(model->layers[l].kind->prepare(model, &model->layers[l]));
out:
    return status;
}

/* The parts that shapes follow from come first: the loss says how many outputs there are, the row
 * and the codes how many inputs. */
gr_status gr_model_plan(const struct gr_model_config *config, const struct gr_row_shape *row,
                        const struct gr_codes *codes, size_t classes, size_t batch_max,
                        struct gr_model **out) {
    struct gr_model *model = NULL;
    struct gr_extent extent;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *model, "a model", &model));
    model->type = config->type;
    model->activation = config->activation;
    model->initialisation = config->initialisation;
    model->compute = config->compute;
    model->batch_max = batch_max;
    model->tiles = gr_tiles_best();
    /* oneDNN's products by AMX are faster still. */
    if (config->compute == GR_COMPUTE_BFLOAT16 && !gr_instructions_allow(GR_USE_AMX))
        model->pairs = gr_tiles_bfloat16();
    model->mean_weight = 1;
    GR_TRY(set_loss(model, config, classes));
    GR_TRY(set_row(model, row, &extent));
    GR_TRY(set_codes(model, config, codes));
    GR_TRY(gr_layers_plan(config, &extent, &model->codes, model->outputs, &model->layout,
                          &model->layers, &model->n_layers));
    *out = model;
    model = NULL;
out:
    gr_model_free(model);
    return status;
}

/* Counted with the very function that lays out, so that the two cannot differ. Leaves the model
 * without room, as it was. */
size_t gr_model_room(struct gr_model *model) {
    const size_t rows = model->batch_max;
    model->rows = gr_model_slice(model);
    const size_t floats = lay_out(model, NULL) + rows * (model->inputs + model->outputs);
    model->rows = 0;
    return floats * sizeof(float);
}

/* Once a model: oneDNN's operations and all arrays but the layout. */
gr_status gr_model_furnish(struct gr_model *model) {
    gr_status status;
    if (model->batch_max < 1 || model->batch_max > GR_WIDTH_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "model: %zu rows of a batch, expected 1 to %d",
                       model->batch_max, GR_WIDTH_MAX);
    GR_TRY(prepare_layers(model));
    if (model->compute == GR_COMPUTE_BFLOAT16 && !model->pairs)
        status = gr_model_use_inner(model, model->compute);
    else
        status = make_batch(model);
out:
    return status;
}

gr_status gr_model_create_shaped(const struct gr_model_config *config,
                                 const struct gr_row_shape *row, const struct gr_codes *codes,
                                 size_t classes, size_t batch_max, struct gr_model **out) {
    struct gr_model *model = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_model_plan(config, row, codes, classes, batch_max, &model));
    GR_TRY(gr_model_furnish(model));
    *out = model;
    model = NULL;
out:
    gr_model_free(model);
    return status;
}

gr_status gr_model_create(const struct gr_model_config *config, size_t inputs, size_t classes,
                          size_t batch_max, struct gr_model **out) {
    return gr_model_create_shaped(config, &(struct gr_row_shape){1, {inputs}}, NULL, classes,
                                  batch_max, out);
}

void gr_model_free(struct gr_model *model) {
    if (!model) return;
    gr_inner_free(model->inner);
    gr_free(model->workspace);
    gr_free(model->features);
    gr_free(model->labels);
    gr_free(model->targets);
    gr_free(model->weights);
    gr_free(model->offsets);
    gr_free(model->logits);
    gr_free(model->shown);
    gr_free(model->class_weights);
    gr_clipping_free(model->clipping);
    gr_layers_free(model->layers, model->n_layers);
    gr_dnnl_stop(&model->dnnl);
    gsl_rng_free(model->stream);
    gr_layout_release(&model->layout);
    gr_free((void *)(uintptr_t)model->codes.list);
    gr_free(model);
}

/* ---- what a caller asks for ---------------------------------------------------------------- */

const struct gr_layout *gr_model_layout(const struct gr_model *model) {
    return &model->layout;
}

enum gr_task gr_model_task(const struct gr_model *model) {
    return gr_loss_task(model->loss.type);
}

struct gr_domain gr_model_domain(const struct gr_model *model) {
    const struct gr_model_config config = {.type = model->type, .loss = model->loss.type};
    struct gr_domain domain = gr_domain_of(&config);
    if (domain.labels) domain.n_classes = (uint32_t)model->classes;
    return domain;
}

size_t gr_model_inputs(const struct gr_model *model) {
    return model->inputs;
}

size_t gr_model_classes(const struct gr_model *model) {
    return model->classes;
}

size_t gr_model_batch_max(const struct gr_model *model) {
    return model->batch_max;
}

/* Of the last training pass; a scoring pass leaves it. */
double gr_model_batch_weight(const struct gr_model *model) {
    return model->weight;
}

float *gr_model_batch_features(struct gr_model *model) {
    return model->features;
}

int32_t *gr_model_batch_labels(struct gr_model *model) {
    return model->labels;
}

float *gr_model_batch_targets(struct gr_model *model) {
    return model->targets;
}

float *gr_model_batch_weights(struct gr_model *model) {
    return model->weights;
}

float *gr_model_batch_offsets(struct gr_model *model) {
    return model->offsets;
}

gr_status gr_model_use_weights(struct gr_model *model) {
    if (model->weights) return GR_OK;
    return gr_allocate_zero(model->batch_max, sizeof *model->weights, "weights of rows",
                            &model->weights);
}

/* An offset is added to the one output; with one output for each class it would be added to all of
 * them, and change nothing. */
gr_status gr_model_use_offsets(struct gr_model *model) {
    if (model->offsets) return GR_OK;
    if (model->outputs > 1 || gr_model_task(model) == GR_TASK_CLASSIFICATION)
        return gr_fail(GR_ERROR_CONFIG,
                       "model: found rows with an offset, allowed only for a model of one output "
                       "(the loss is %s)",
                       gr_loss_text(model->loss.type));
    return gr_allocate_zero(model->batch_max, sizeof *model->offsets, "offsets of rows",
                            &model->offsets);
}

bool gr_model_has_offset(const struct gr_model *model) {
    return model->offsets != NULL;
}

/* Before the batches of a silo's round: each batch's derivative is divided by it. */
void gr_model_set_mean_weight(struct gr_model *model, double mean_weight) {
    model->mean_weight = mean_weight;
}

double gr_model_weigh(const struct gr_model *model, const int32_t *labels, const float *weights,
                      size_t n) {
    return gr_loss_weight(&model->loss, labels, weights, n);
}

/* rows / (classes * rows of the class), as scikit-learn's class_weight="balanced". A class without
 * rows has a weight that no row asks for. */
gr_status gr_model_balance_classes(struct gr_model *model, const int64_t *counts) {
    const size_t classes = model->classes;
    int64_t rows = 0;
    gr_status status = GR_OK;
    if (!model->class_weights)
        GR_TRY(gr_allocate(classes, sizeof(double), "class weights", &model->class_weights));
    for (size_t c = 0; c < classes; c++)
        rows += counts[c];
    for (size_t c = 0; c < classes; c++)
        model->class_weights[c] =
            (double)rows / ((double)classes * (double)(counts[c] > 0 ? counts[c] : 1));
    model->loss.weights = model->class_weights;
out:
    return status;
}

/* Layers that look vectors up are the first or none. */
bool gr_model_looks_up(const struct gr_model *model) {
    return model->layers[0].kind->check != NULL;
}

const struct gr_codes *gr_model_codes(const struct gr_model *model) {
    return &model->codes;
}

/* Only tables ask anything of a row: an id or a code becomes an index. */
gr_status gr_model_check_batch(const struct gr_model *model, size_t n) {
    const struct gr_layer *first = &model->layers[0];
    return first->kind->check ? first->kind->check(first, model->features, n) : GR_OK;
}

void gr_model_start_round(struct gr_model *model, uint64_t seed, uint32_t silo, uint32_t round) {
    model->key = (struct gr_stream_key){seed, silo, round, GR_PURPOSE_DROPOUT};
    if (model->stream) gr_stream_restart(model->stream, model->key);
}

/*
 * A tensor of a layer's weights: He, normal of variance 2 / fan_in (He, Zhang, Ren, Sun 2015), or
 * Glorot, even within sqrt(6 / (fan_in + fan_out)) (Glorot, Bengio 2010, equation 16). fan_in 0 is
 * a norm's, whose weights are 1.
 */
static void draw(const struct gr_model *model, const struct gr_layer *layer, gsl_rng *stream,
                 float *weight, size_t n) {
    const double deviation = sqrt(2.0 / (double)layer->fan_in);
    const double limit = sqrt(6.0 / (double)(layer->fan_in + layer->fan_out));
    for (size_t i = 0; i < n; i++)
        weight[i] = layer->fan_in == 0 ? 1.0f
                                       : (float)(model->initialisation == GR_INITIALISE_HE
                                                     ? gsl_ran_gaussian(stream, deviation)
                                                     : gsl_ran_flat(stream, -limit, limit));
}

/* Tensors are drawn in the order of the layout from one stream: changing that order changes every
 * digest. */
gr_status gr_model_initialise(const struct gr_model *model, uint64_t seed, float *parameters) {
    gr_status status;
    gsl_rng *stream = NULL;
    GR_TRY(gr_stream_create((struct gr_stream_key){.seed = seed, .purpose = GR_PURPOSE_INITIALISE},
                            &stream));
    memset(parameters, 0, model->layout.size * sizeof *parameters);
    for (size_t l = 0, t = 0; l < model->n_layers; l++) {
        const struct gr_layer *layer = &model->layers[l];
        for (; t < model->layout.n_tensors; t++) {
            const struct gr_tensor *tensor = &model->layout.tensors[t];
            const bool weight = tensor->offset < layer->weight + layer->n_weights;
            if (!weight && !(layer->n_biases > 0 && tensor->offset == layer->bias)) break;
            if (weight) draw(model, layer, stream, parameters + tensor->offset, tensor->n_elements);
        }
    }
out:
    gsl_rng_free(stream);
    return status;
}
