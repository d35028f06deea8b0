/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of convolutions and pools; what convolutions have in common whoever does their
 * arithmetic: oneDNN's operations by number of rows, norms of rows. */
#include <model/elementwise.h>
#include <model/images.h>
#include <model/network.h>

#include <string.h>

static void release_set(struct gr_image_set *set) {
    gr_primitive_release(&set->forward);
    gr_primitive_release(&set->data);
    gr_primitive_release(&set->weight);
    *set = (struct gr_image_set){0};
}

gr_status gr_images_prepare(struct gr_model *model, struct gr_layer *layer) {
    (void)model;
    return gr_allocate_zero(1, sizeof(struct gr_images), "a layer's operations", &layer->state);
}

void gr_images_release(struct gr_layer *layer) {
    struct gr_images *images = layer->state;
    for (size_t i = 0; i < GR_IMAGE_SETS; i++)
        release_set(&images->sets[i]);
    gr_free(images);
    layer->state = NULL;
}

/*
 * The set that was not used for longest goes when there is none for n rows: an unused one first,
 * whose time is 0. A set that could not be made is emptied, so that it is not taken for a whole
 * one.
 */
gr_status gr_images_find(const struct gr_dnnl *dnnl, struct gr_layer *layer, size_t n,
                         gr_images_make make, struct gr_image_set **out) {
    struct gr_images *images = layer->state;
    struct gr_image_set *set = &images->sets[0];
    gr_status status = GR_OK;
    for (size_t i = 0; i < GR_IMAGE_SETS; i++) {
        if (images->sets[i].n == n) {
            set = &images->sets[i];
            break;
        }
        if (images->sets[i].used < set->used) set = &images->sets[i];
    }
    if (set->n != n) {
        release_set(set);
        set->n = n;
        GR_TRY(make(dnnl, layer, set));
    }
    set->used = ++images->clock;
out:
    if (status != GR_OK) release_set(set);
    *out = set;
    return status;
}

dnnl_status_t gr_images_desc(dnnl_data_type_t type, size_t n, const struct gr_extent *extent,
                             struct gr_desc *out) {
    const size_t dims[] = {n, extent->channels, extent->height, extent->width};
    return gr_desc_make(type, 4, dims, dnnl_nhwc, out);
}

/* One of the two dimensions: `n` rows or columns. */
static gr_status slide(const struct gr_layer *layer, size_t d, size_t n,
                       struct gr_kernel_window *window, size_t *to) {
    const size_t kernel = layer->config.kernel;
    const bool pools = layer->config.type != GR_LAYER_CONV;
    const size_t stride = layer->config.stride ? layer->config.stride : pools ? kernel : 1;
    size_t padding = 0;
    if (layer->config.padding == GR_PADDING_SAME) {
        *to = (n + stride - 1) / stride;
        const size_t reach = (*to - 1) * stride + kernel;
        padding = reach > n ? reach - n : 0;
    } else {
        if (kernel > n)
            return gr_fail(GR_ERROR_CONFIG,
                           "model.layers: %s: found kernel %zu, allowed 1 to %zu, the size of what "
                           "comes in",
                           gr_layer_type_text(layer->config.type), kernel, n);
        *to = 1 + (n - kernel) / stride;
    }
    window->kernel[d] = (dnnl_dim_t)kernel;
    window->stride[d] = (dnnl_dim_t)stride;
    window->before[d] = (dnnl_dim_t)(padding / 2);
    window->after[d] = (dnnl_dim_t)(padding - padding / 2);
    return GR_OK;
}

gr_status gr_images_window(const struct gr_layer *layer, struct gr_kernel_window *out,
                           struct gr_extent *to) {
    gr_status status;
    *out = (struct gr_kernel_window){0};
    GR_TRY(slide(layer, 0, layer->from.height, out, &to->height));
    GR_TRY(slide(layer, 1, layer->from.width, out, &to->width));
out:
    return status;
}

/* ---- norms of rows -------------------------------------------------------------------------- */

/* A weight's place in the window, which lies over pixel (0, 0) of what goes out as if at `y`, `x`
 * of what comes in. */
struct tap {
    const struct gr_layer *layer;
    size_t stride[2];
    ptrdiff_t y, x;
};

/* sums[f]: the derivative by the tap's weight from channel c to filter f, of one image. */
static void derive_tap(const struct tap *tap, size_t c, const float *in, const float *delta,
                       float *sums) {
    const struct gr_extent *from = &tap->layer->from, *to = &tap->layer->to;
    memset(sums, 0, to->channels * sizeof *sums);
    for (size_t i = 0; i < to->height; i++)
        for (size_t j = 0; j < to->width; j++) {
            const ptrdiff_t y = tap->y + (ptrdiff_t)(i * tap->stride[0]);
            const ptrdiff_t x = tap->x + (ptrdiff_t)(j * tap->stride[1]);
            if (y < 0 || x < 0 || y >= (ptrdiff_t)from->height || x >= (ptrdiff_t)from->width)
                continue;
            const float value = in[((size_t)y * from->width + (size_t)x) * from->channels + c];
            const float *by = delta + (i * to->width + j) * to->channels;
            for (size_t f = 0; f < to->channels; f++)
                sums[f] += value * by[f];
        }
}

/* The squared norm of one image's derivative by the weights. */
static double weight_square(const struct gr_layer *layer, const struct gr_kernel_window *window,
                            const float *in, const float *delta, float *sums) {
    struct tap tap = {.layer = layer,
                      .stride = {(size_t)window->stride[0], (size_t)window->stride[1]}};
    double square = 0;
    for (dnnl_dim_t k = 0; k < window->kernel[0] * window->kernel[1]; k++) {
        tap.y = (ptrdiff_t)(k / window->kernel[1] - window->before[0]);
        tap.x = (ptrdiff_t)(k % window->kernel[1] - window->before[1]);
        for (size_t c = 0; c < layer->from.channels; c++) {
            derive_tap(&tap, c, in, delta, sums);
            square += gr_square_sum(sums, layer->to.channels);
        }
    }
    return square;
}

/*
 * One derivative at a time, of one image: the norm of a batch's rows needs each apart, and n whole
 * derivatives would not fit. It costs as much as the backward pass by the weights without its
 * blocking.
 */
gr_status gr_images_row_norms(struct gr_model *model, const struct gr_layer *layer, size_t n,
                              double *squares) {
    const size_t filters = layer->to.channels;
    /* A layer's neighbours are the model's too. */
    struct gr_layer *pool = &model->layers[layer - model->layers + 1];
    struct gr_kernel_window window;
    struct gr_extent to;
    gr_status status;
    const float *deltas = model->delta;
    GR_TRY(gr_images_window(layer, &window, &to));
    if (pool->merged) {
        GR_TRY(pool->kind->backward_data(model, pool, NULL, n));
        deltas = model->delta_before;
    }
    for (size_t i = 0; i < n; i++) {
        const float *delta = deltas + i * layer->outputs;
        squares[i] +=
            weight_square(layer, &window, layer->in + i * layer->inputs, delta, model->pack);
        gr_column_sums(delta, layer->outputs / filters, filters, NULL, model->pack);
        squares[i] += gr_square_sum(model->pack, filters);
    }
out:
    return status;
}
