/* SPDX-License-Identifier: Apache-2.0 */
/* winograd: the passes of a convolution that is taken by minimal filtering, a block of windows at a
 * time, so that what lies between the transforms and the products stays in the second cache. */
#include <model/elementwise.h>
#include <model/network.h>
#include <model/pool.h>
#include <model/winograd.h>

#include <string.h>

/* Of a block's two arrays together, so that a block's share in reading the weights and adding to
 * their derivatives is small. Half as much is slower where there are many of them, twice as much no
 * faster. */
enum { BLOCK_BYTES = 1 << 20 };

struct winograd {
    struct gr_winograd_shape shape;
    const struct gr_winograd_kernels *kernels;
    size_t block;               /* rows of windows in it */
    size_t in_point, out_point; /* from a point of a block to the next */
    float *in, *out;   /* a block's points: 36 x windows x channels, and x filters; owned */
    float *strip;      /* owned, as are all below */
    float *weight;     /* 36 x channels x filters */
    float *turned;     /* 36 x filters x channels; made by the first backward pass, as is */
    float *derivative; /* 36 x channels x filters */
};

/* Minimal filtering is of stride 1, and channels go by whole vectors. */
bool gr_winograd_fits(const struct gr_model *model, const struct gr_layer *layer) {
    const size_t kernel = layer->config.kernel, lanes = GR_WINOGRAD_LANES;
    return gr_model_convolves(model) && (kernel == 5 || kernel == 3) && layer->config.stride <= 1 &&
           layer->from.channels % lanes == 0 && layer->to.channels % lanes == 0 &&
           layer->from.height > kernel && layer->from.width > kernel;
}

/* ---- making ------------------------------------------------------------------------------- */

static void release(struct gr_layer *layer) {
    struct winograd *w = layer->state;
    gr_free(w->in);
    gr_free(w->out);
    gr_free(w->strip);
    gr_free(w->weight);
    gr_free(w->turned);
    gr_free(w->derivative);
    gr_free(w);
    layer->state = NULL;
}

/* An odd number of cache lines, so that not all points of a window fall into one set of a cache. */
static size_t point_stride(size_t windows, size_t channels) {
    const size_t lines = windows * channels / GR_WINOGRAD_LANES;
    return (lines | 1) * GR_WINOGRAD_LANES;
}

/* A window makes side x side outputs; those beyond the image are made and not stored. */
static gr_status set_shape(const struct gr_layer *layer, size_t side,
                           struct gr_winograd_shape *shape) {
    struct gr_kernel_window window;
    struct gr_extent to;
    gr_status status;
    GR_TRY(gr_images_window(layer, &window, &to));
    *shape = (struct gr_winograd_shape){.in = layer->from,
                                        .out = layer->to,
                                        .above = (size_t)window.before[0],
                                        .left = (size_t)window.before[1],
                                        .down = (layer->to.height + side - 1) / side,
                                        .across = (layer->to.width + side - 1) / side};
out:
    return status;
}

/* A block is as many rows of windows as fit the cache with their transforms. */
static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    const size_t channels = layer->from.channels, filters = layer->to.channels;
    const size_t points = GR_WINOGRAD_POINTS * sizeof(float);
    struct winograd *w;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *w, "a convolution", &w));
    layer->state = w;
    w->kernels = gr_winograd_kernels_of(model->tiles, layer->config.kernel);
    GR_TRY(set_shape(layer, w->kernels->side, &w->shape));
    layer[1].merged = gr_pool_merges(layer + 1);
    if (layer[1].merged) w->shape.pooled = layer[1].to;
    w->block = BLOCK_BYTES / (points * (channels + filters) * w->shape.across);
    if (w->block < 1) w->block = 1;
    w->in_point = point_stride(w->block * w->shape.across, channels);
    w->out_point = point_stride(w->block * w->shape.across, filters);
    GR_TRY(gr_allocate(w->in_point, points, "a convolution's windows", &w->in));
    GR_TRY(gr_allocate(w->out_point, points, "a convolution's windows", &w->out));
    GR_TRY(gr_allocate(channels * filters, points, "a convolution's weights", &w->weight));
    GR_TRY(gr_allocate(4 * w->shape.across + 4, sizeof(float) * 6 * GR_WINOGRAD_LANES,
                       "a convolution's windows", &w->strip));
out:
    return status;
}

/* A model that only scores is spared the room: two more copies of the weights in 36 points. */
static gr_status prepare_backward(struct winograd *w) {
    const size_t points = GR_WINOGRAD_POINTS * sizeof(float);
    const size_t n = w->shape.in.channels * w->shape.out.channels;
    gr_status status = GR_OK;
    if (!w->turned) GR_TRY(gr_allocate(n, points, "a convolution's weights", &w->turned));
    if (!w->derivative) GR_TRY(gr_allocate(n, points, "a convolution's weights", &w->derivative));
out:
    return status;
}

/* ---- running ------------------------------------------------------------------------------ */

/* Rows of windows of the whole batch, from `first` on. */
struct block {
    size_t first, rows, windows;
};

static struct block block_at(const struct winograd *w, size_t first, size_t n) {
    const size_t left = n * w->shape.down - first, rows = left < w->block ? left : w->block;
    return (struct block){first, rows, rows * w->shape.across};
}

/* One of its rows, and the image that it is in. */
static struct gr_winograd_row row_at(const struct winograd *w, const struct block *block, size_t i,
                                     size_t point, size_t *image) {
    const size_t at = block->first + i;
    *image = at / w->shape.down;
    return (struct gr_winograd_row){&w->shape, at % w->shape.down, point, w->strip};
}

/* Block by block, also in the backward pass, where windows are transformed once more: to keep them
 * all would take 36 / 4 of the images' room. */
static void spread_in(const struct winograd *w, const struct block *block, const float *images) {
    const size_t channels = w->shape.in.channels;
    const size_t size = w->shape.in.height * w->shape.in.width * channels;
    for (size_t i = 0, image; i < block->rows; i++) {
        const struct gr_winograd_row row = row_at(w, block, i, w->in_point, &image);
        w->kernels->spread_in(&row, images + image * size, w->in + i * w->shape.across * channels);
    }
}

/* The product that is meant, for each point: sizes and strides are given, arrays of point 0. Sums
 * start from 0 or from c. */
static void multiply_points(const struct gr_model *model, struct gr_product product, size_t a_point,
                            size_t b_point, size_t c_point) {
    for (size_t p = 0; p < GR_WINOGRAD_POINTS; p++) {
        gr_multiply(model->tiles, &product, model->pack);
        product.a += a_point;
        product.b += b_point;
        product.c += c_point;
        if (product.from) product.from += c_point;
    }
}

/* From w->out; places: of the pool that is done on the way, or NULL. */
static void gather_out(const struct gr_layer *layer, const struct block *block, const float *bias,
                       int32_t *places) {
    const struct winograd *w = layer->state;
    const struct gr_layer *pool = layer + 1;
    const bool relu = layer->activation == GR_ACTIVATION_RELU;
    for (size_t i = 0, image; i < block->rows; i++) {
        const struct gr_winograd_row row = row_at(w, block, i, w->out_point, &image);
        const float *const from = w->out + i * w->shape.across * w->shape.out.channels;
        if (places)
            w->kernels->gather_pooled(&row, from, bias, pool->out + image * pool->outputs,
                                      places + image * pool->outputs);
        else
            w->kernels->gather_out(&row, from, bias, relu, layer->sums + image * layer->outputs);
    }
}

/*
 * Block by block: windows are transformed, multiplied point by point as matrices, and transformed
 * back into the sums with their bias.
 */
static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    const struct winograd *w = layer->state;
    const size_t channels = layer->from.channels, filters = layer->to.channels;
    const bool relu = layer->activation == GR_ACTIVATION_RELU;
    int32_t *places = NULL;
    struct block block;
    gr_status status = GR_OK;
    (void)training;
    if (layer[1].merged) GR_TRY(gr_pool_places(layer + 1, n, &places));
    /* Anew in each pass: the parameters have moved since the last one. */
    w->kernels->spread_weight(parameters + layer->weight, channels * filters, w->weight);
    for (size_t first = 0; first < n * w->shape.down; first += block.rows) {
        block = block_at(w, first, n);
        spread_in(w, &block, layer->in);
        multiply_points(model,
                        (struct gr_product){.m = block.windows,
                                            .n = filters,
                                            .k = channels,
                                            .a = w->in,
                                            .a_row = channels,
                                            .a_step = 1,
                                            .b = w->weight,
                                            .b_row = filters,
                                            .c = w->out,
                                            .c_row = filters},
                        w->in_point, channels * filters, w->out_point);
        gather_out(layer, &block, parameters + layer->bias, places);
    }
    if (!relu) gr_activate(layer->activation, layer->sums, layer->out, n * layer->outputs);
out:
    return status;
}

/* w->derivative += in^T out, or = for the first block. */
static void derive_weight(const struct gr_model *model, const struct winograd *w,
                          const struct block *block, bool first) {
    const size_t channels = w->shape.in.channels, filters = w->shape.out.channels;
    multiply_points(model,
                    (struct gr_product){.m = channels,
                                        .n = filters,
                                        .k = block->windows,
                                        .a = w->in,
                                        .a_row = 1,
                                        .a_step = channels,
                                        .b = w->out,
                                        .b_row = filters,
                                        .c = w->derivative,
                                        .c_row = filters,
                                        .from = first ? NULL : w->derivative,
                                        .from_row = filters},
                    w->in_point, w->out_point, channels * filters);
}

/* images += what comes in's derivative by the block, through w->in. */
static void derive_in(const struct gr_model *model, const struct winograd *w,
                      const struct block *block, float *images) {
    const size_t channels = w->shape.in.channels, filters = w->shape.out.channels;
    const size_t size = w->shape.in.height * w->shape.in.width * channels;
    multiply_points(model,
                    (struct gr_product){.m = block->windows,
                                        .n = channels,
                                        .k = filters,
                                        .a = w->out,
                                        .a_row = filters,
                                        .a_step = 1,
                                        .b = w->turned,
                                        .b_row = channels,
                                        .c = w->in,
                                        .c_row = channels},
                    w->out_point, channels * filters, w->in_point);
    for (size_t i = 0, image; i < block->rows; i++) {
        const struct gr_winograd_row row = row_at(w, block, i, w->in_point, &image);
        w->kernels->gather_in(&row, w->in + i * w->shape.across * channels, images + image * size);
    }
}

/* To w->out; images, places: of the pool that is done on the way, or places is NULL. */
static void spread_out(const struct gr_layer *layer, const struct block *block, const float *images,
                       const int32_t *places, float *sums) {
    const struct winograd *w = layer->state;
    const size_t outputs = places ? layer[1].outputs : layer->outputs;
    for (size_t i = 0, image; i < block->rows; i++) {
        const struct gr_winograd_row row = row_at(w, block, i, w->out_point, &image);
        const float *const from = images + image * outputs;
        float *const to = w->out + i * w->shape.across * w->shape.out.channels;
        if (places)
            w->kernels->spread_pooled(&row, from, places + image * outputs, to, sums);
        else
            w->kernels->spread_out(&row, from, to, sums);
    }
}

/* w->turned from the weights that the forward pass spread. The forward pass's weights still hold,
 * because a backward pass follows it with the same parameters, and moves them last. */
static void turn_weight(const struct winograd *w) {
    const size_t channels = w->shape.in.channels, filters = w->shape.out.channels;
    for (size_t p = 0; p < GR_WINOGRAD_POINTS; p++)
        gr_transpose(w->weight + p * channels * filters, filters, channels, filters,
                     w->turned + p * channels * filters, channels);
}

/* What a pass back over images asks for: derivatives by the weights, or NULL, and by the biases;
 * and whether those of what comes in are wanted. */
struct halves {
    float *by_weight, *by_bias;
    bool data;
};

/*
 * Windows overlap in the images: gather_in adds to pixels that a neighbour has added to, hence
 * delta_before is zeroed at first, and blocks run in order.
 */
static gr_status start_back(struct gr_model *model, struct gr_layer *layer, size_t n, bool data,
                            int32_t **places) {
    gr_status status;
    *places = NULL;
    GR_TRY(prepare_backward(layer->state));
    if (layer[1].merged) GR_TRY(gr_pool_places(layer + 1, n, places));
    if (data) {
        turn_weight(layer->state);
        memset(model->delta_before, 0, n * layer->inputs * sizeof(float));
    }
out:
    return status;
}

/* Images first .. end - 1, behind start_back. */
static void pass_images(const struct gr_model *model, const struct gr_layer *layer, size_t first,
                        size_t end, const int32_t *places, const struct halves *halves) {
    const struct winograd *w = layer->state;
    struct block block;
    memset(halves->by_bias, 0, layer->n_biases * sizeof *halves->by_bias);
    for (size_t row = first * w->shape.down; row < end * w->shape.down; row += block.rows) {
        block = block_at(w, row, end);
        if (halves->by_weight) spread_in(w, &block, layer->in);
        spread_out(layer, &block, model->delta, places, halves->by_bias);
        if (halves->by_weight) derive_weight(model, w, &block, row == first * w->shape.down);
        if (halves->data) derive_in(model, w, &block, model->delta_before);
    }
    if (halves->by_weight)
        w->kernels->gather_weight(w->derivative, layer->from.channels * layer->to.channels,
                                  halves->by_weight);
}

static gr_status pass_back(struct gr_model *model, struct gr_layer *layer, size_t n,
                           float *by_weight, bool data) {
    const struct halves halves = {by_weight, model->pack, data};
    int32_t *places;
    gr_status status;
    GR_TRY(start_back(model, layer, n, data, &places));
    pass_images(model, layer, 0, n, places, &halves);
out:
    return status;
}

static void take(const struct gr_model *model, const struct gr_layer *layer,
                 const struct gr_target *target) {
    gr_target_take(target, target->vector + layer->weight, model->product, layer->n_weights);
    gr_target_take(target, target->vector + layer->bias, model->pack, layer->n_biases);
}

static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    (void)parameters;
    return pass_back(model, layer, n, NULL, true);
}

static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    (void)parameters;
    const gr_status status = pass_back(model, layer, n, model->product, false);
    if (status == GR_OK) take(model, layer, target);
    return status;
}

/* Transforms the derivative by the outputs once for both halves. */
static gr_status backward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                          size_t n, const struct gr_target *target) {
    (void)parameters;
    const gr_status status = pass_back(model, layer, n, model->product, true);
    if (status == GR_OK) take(model, layer, target);
    return status;
}

/* A block never holds windows of two images. */
static gr_status backward_rows(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n, float *rows, bool data) {
    int32_t *places;
    gr_status status;
    (void)parameters;
    GR_TRY(start_back(model, layer, n, data, &places));
    for (size_t i = 0; i < n; i++) {
        float *row = rows + i * gr_layer_row_stride(layer);
        const struct halves halves = {row, row + gr_layer_row_biases(layer), data};
        pass_images(model, layer, i, i + 1, places, &halves);
    }
out:
    return status;
}

const struct gr_layer_kind gr_layer_winograd = {.prepare = prepare,
                                                .forward = forward,
                                                .backward_data = backward_data,
                                                .backward_weight = backward_weight,
                                                .backward = backward,
                                                .backward_rows = backward_rows,
                                                .release = release};
