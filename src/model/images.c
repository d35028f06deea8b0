/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of convolutions and pools; what convolutions have in common whoever does their
 * arithmetic: oneDNN's operations by number of rows. */
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
