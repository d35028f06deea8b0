/* SPDX-License-Identifier: Apache-2.0 */
/* pool: the largest or the mean of each window, channel by channel, through oneDNN. */
#include <model/elementwise.h>
#include <model/images.h>
#include <model/network.h>

static gr_status shape(struct gr_layer *layer) {
    struct gr_kernel_window window;
    layer->to.channels = layer->from.channels;
    return gr_images_window(layer, &window, &layer->to);
}

/* The settings that both passes are made from. */
struct pool {
    bool largest;
    dnnl_alg_kind_t kind;
    struct gr_kernel_window window;
    struct gr_desc in, out;
};

/* Pools add no more than a few numbers: float32 whatever the model multiplies in. */
static gr_status describe(const struct gr_dnnl *dnnl, const struct gr_layer *layer, size_t n,
                          struct pool *pool) {
    struct gr_extent to;
    gr_status status;
    pool->largest = layer->config.type == GR_LAYER_MAX_POOL;
    pool->kind = pool->largest ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
    GR_TRY(gr_images_window(layer, &pool->window, &to));
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl_f32, n, &layer->from, &pool->in));
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl_f32, n, &layer->to, &pool->out));
out:
    return status;
}

static void release(struct pool *pool) {
    gr_desc_release(&pool->in);
    gr_desc_release(&pool->out);
}

/* A max pool notes where each maximum was, in a workspace whose form is oneDNN's own; the backward
 * pass reads it, and so must follow its forward pass. */
static gr_status make(const struct gr_dnnl *dnnl, const struct gr_layer *layer,
                      struct gr_image_set *set) {
    struct pool p = {0};
    const struct gr_argument forward[] = {{DNNL_ARG_SRC, false, &p.in},
                                          {DNNL_ARG_DST, true, &p.out},
                                          {DNNL_ARG_WORKSPACE, true, NULL}};
    dnnl_primitive_desc_t made = NULL;
    gr_status status;
    GR_TRY(describe(dnnl, layer, set->n, &p));
    GR_TRY_DNNL(dnnl, gr_dnnl_pool(&made, dnnl->engine, p.kind, &p.window, gr_desc_of(&p.in),
                                   gr_desc_of(&p.out)));
    GR_TRY(gr_primitive_make(dnnl, made, forward, p.largest ? 3 : 2, &set->forward));
    if (p.largest)
        GR_TRY(gr_allocate(1,
                           dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(
                               made, dnnl_query_exec_arg_md, DNNL_ARG_WORKSPACE)),
                           "a pool's places", &set->workspace));
out:
    dnnl_primitive_desc_destroy(made);
    release(&p);
    return status;
}

static gr_status make_backward(const struct gr_dnnl *dnnl, const struct gr_layer *layer,
                               struct gr_image_set *set) {
    struct pool p = {0};
    const struct gr_argument data[] = {{DNNL_ARG_DIFF_DST, false, &p.out},
                                       {DNNL_ARG_DIFF_SRC, true, &p.in},
                                       {DNNL_ARG_WORKSPACE, false, NULL}};
    dnnl_primitive_desc_t made = NULL;
    gr_status status;
    GR_TRY(describe(dnnl, layer, set->n, &p));
    GR_TRY_DNNL(dnnl, gr_dnnl_pool_data(&made, dnnl->engine, p.kind, &p.window, gr_desc_of(&p.in),
                                        gr_desc_of(&p.out), gr_primitive_hint(&set->forward)));
    GR_TRY(gr_primitive_make(dnnl, made, data, p.largest ? 3 : 2, &set->data));
out:
    dnnl_primitive_desc_destroy(made);
    release(&p);
    return status;
}

static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    struct gr_image_set *set;
    gr_status status;
    (void)parameters;
    (void)training;
    GR_TRY(gr_images_find(&model->dnnl, layer, n, make, &set));
    GR_TRY(gr_primitive_run(&model->dnnl, &set->forward,
                            (const void *const[]){layer->in, layer->out, set->workspace}));
out:
    return status;
}

static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    struct gr_image_set *set;
    gr_status status = GR_OK;
    (void)parameters;
    /* Cut at zero before the largest was taken, or after it: the same, and here fewer numbers.
     * There is a layer before: the first one is never asked for this pass. */
    if (layer[-1].slope_behind)
        gr_activate_backward(GR_ACTIVATION_RELU, layer->out, layer->out, model->delta,
                             n * layer->outputs);
    GR_TRY(gr_images_find(&model->dnnl, layer, n, make, &set));
    if (!set->data.primitive) GR_TRY(make_backward(&model->dnnl, layer, set));
    GR_TRY(
        gr_primitive_run(&model->dnnl, &set->data,
                         (const void *const[]){model->delta, model->delta_before, set->workspace}));
out:
    return status;
}

#define FUNCTIONS                                                                                  \
    .shape = shape, .prepare = gr_images_prepare, .forward = forward,                              \
    .backward_data = backward_data, .release = gr_images_release
const struct gr_layer_kind gr_layer_max_pool = {FUNCTIONS};
const struct gr_layer_kind gr_layer_average_pool = {FUNCTIONS};
