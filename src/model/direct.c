/* SPDX-License-Identifier: Apache-2.0 */
/* direct: the passes of a first convolution, image by image. */
#include <model/direct.h>
#include <model/images.h>
#include <model/network.h>
#include <model/pool.h>

#include <string.h>

struct direct {
    struct gr_direct_shape shape;
    const struct gr_direct_kernels *kernels;
    size_t corner; /* of the image in its padding */
    float *image;  /* with its padding; owned */
    float *strip;  /* owned */
};

/* More channels are better off in oneDNN's kernels, which put channels into their vectors. */
bool gr_direct_fits(const struct gr_model *model, const struct gr_layer *layer) {
    return gr_model_convolves(model) && layer->first && layer->config.stride <= 1 &&
           layer->from.channels <= GR_DIRECT_CHANNELS_MAX &&
           layer->to.channels % GR_DIRECT_LANES == 0 && gr_pool_merges(layer + 1);
}

static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    const size_t channels = layer->from.channels, kernel = layer->config.kernel;
    const size_t line = (layer->to.width + kernel - 1) * channels;
    struct gr_kernel_window window;
    struct gr_extent to;
    struct direct *direct;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *direct, "a convolution", &direct));
    layer->state = direct;
    layer[1].merged = true;
    GR_TRY(gr_images_window(layer, &window, &to));
    direct->kernels = gr_direct_kernels_of(model->tiles);
    direct->shape = (struct gr_direct_shape){.channels = channels,
                                             .filters = layer->to.channels,
                                             .kernel = kernel,
                                             .width = layer->to.width,
                                             .line = line,
                                             .pooled = layer[1].to};
    direct->corner = (size_t)window.before[0] * line + (size_t)window.before[1] * channels;
    GR_TRY(gr_allocate_zero(layer->to.height + kernel - 1, line * sizeof(float), "an image",
                            &direct->image));
    GR_TRY(gr_allocate_zero(2, layer->to.width * layer->to.channels * sizeof(float),
                            "lines of an image", &direct->strip));
out:
    return status;
}

static void release(struct gr_layer *layer) {
    struct direct *direct = layer->state;
    gr_free(direct->image);
    gr_free(direct->strip);
    gr_free(direct);
    layer->state = NULL;
}

/* The padding around it stays zero. */
static void pad(const struct direct *direct, const struct gr_layer *layer, const float *in) {
    const size_t line = layer->from.width * layer->from.channels;
    for (size_t y = 0; y < layer->from.height; y++)
        memcpy(direct->image + direct->corner + y * direct->shape.line, in + y * line,
               line * sizeof *in);
}

static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    const struct direct *direct = layer->state;
    struct gr_layer *pool = layer + 1;
    int32_t *places;
    gr_status status;
    (void)model;
    (void)training;
    GR_TRY(gr_pool_places(pool, n, &places));
    for (size_t i = 0; i < n; i++) {
        pad(direct, layer, layer->in + i * layer->inputs);
        direct->kernels->forward(&direct->shape, direct->image, parameters + layer->weight,
                                 parameters + layer->bias, pool->out + i * pool->outputs,
                                 places + i * pool->outputs);
    }
out:
    return status;
}

/* by_weight, by_bias += those of image i. model->delta is the derivative by the pool's outputs. */
static void add_image(const struct gr_model *model, const struct gr_layer *layer,
                      const int32_t *places, size_t i, float *by_weight, float *by_bias) {
    const struct direct *direct = layer->state;
    const size_t at = i * layer[1].outputs;
    pad(direct, layer, layer->in + i * layer->inputs);
    direct->kernels->backward(&direct->shape, direct->image, model->delta + at, places + at,
                              direct->strip, by_weight, by_bias);
}

static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    float *const by_weight = model->product, *const by_bias = model->pack;
    int32_t *places;
    gr_status status;
    (void)parameters;
    GR_TRY(gr_pool_places(layer + 1, n, &places));
    memset(by_weight, 0, layer->n_weights * sizeof *by_weight);
    memset(by_bias, 0, layer->n_biases * sizeof *by_bias);
    for (size_t i = 0; i < n; i++)
        add_image(model, layer, places, i, by_weight, by_bias);
    gr_target_take(target, target->vector + layer->weight, by_weight, layer->n_weights);
    gr_target_take(target, target->vector + layer->bias, by_bias, layer->n_biases);
out:
    return status;
}

static gr_status backward_rows(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n, float *rows, bool data) {
    const size_t stride = gr_layer_row_stride(layer);
    int32_t *places;
    gr_status status;
    (void)parameters;
    (void)data;
    GR_TRY(gr_pool_places(layer + 1, n, &places));
    memset(rows, 0, n * stride * sizeof *rows);
    for (size_t i = 0; i < n; i++)
        add_image(model, layer, places, i, rows + i * stride,
                  rows + i * stride + gr_layer_row_biases(layer));
out:
    return status;
}

/* It is the first layer: no derivative by what comes in is asked for. */
const struct gr_layer_kind gr_layer_direct = {.prepare = prepare,
                                              .forward = forward,
                                              .backward_weight = backward_weight,
                                              .backward_rows = backward_rows,
                                              .release = release};
