/* SPDX-License-Identifier: Apache-2.0 */
/* pool: the largest or the mean of each window, channel by channel, through oneDNN. */
#include <model/elementwise.h>
#include <model/images.h>
#include <model/network.h>

static gr_status shape(struct gr_layer *layer) {
    struct gr_window window;
    layer->to.channels = layer->from.channels;
    return gr_images_window(layer, &window);
}

/* Pools add no more than a few numbers: float32 whatever the model multiplies in. */
static gr_status make(const struct gr_dnnl *dnnl, const struct gr_layer *layer,
                      struct gr_image_set *set) {
    const bool largest = layer->config.type == GR_LAYER_MAX_POOL;
    const dnnl_alg_kind_t kind = largest ? dnnl_pooling_max : dnnl_pooling_avg_exclude_padding;
    struct gr_layer copy = *layer;
    struct gr_window window;
    struct gr_desc in = {0}, out = {0};
    const struct gr_argument forward[] = {
        {DNNL_ARG_SRC, false, &in}, {DNNL_ARG_DST, true, &out}, {DNNL_ARG_WORKSPACE, true, NULL}};
    const struct gr_argument data[] = {{DNNL_ARG_DIFF_DST, false, &out},
                                       {DNNL_ARG_DIFF_SRC, true, &in},
                                       {DNNL_ARG_WORKSPACE, false, NULL}};
    const size_t n_arguments = largest ? 3 : 2;
    dnnl_primitive_desc_t made = NULL, of_data = NULL;
    gr_status status;
    GR_TRY(gr_images_window(&copy, &window));
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl_f32, set->n, &layer->from, &in));
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl_f32, set->n, &layer->to, &out));
    GR_TRY_DNNL(
        dnnl, gr_dnnl_pool(&made, dnnl->engine, kind, &window, gr_desc_of(&in), gr_desc_of(&out)));
    GR_TRY(gr_primitive_make(dnnl, made, forward, n_arguments, &set->forward));
    if (largest)
        GR_TRY(gr_allocate(1,
                           dnnl_memory_desc_get_size(dnnl_primitive_desc_query_md(
                               made, dnnl_query_exec_arg_md, DNNL_ARG_WORKSPACE)),
                           "a pool's places", &set->workspace));
    GR_TRY_DNNL(dnnl, gr_dnnl_pool_data(&of_data, dnnl->engine, kind, &window, gr_desc_of(&in),
                                        gr_desc_of(&out), made));
    GR_TRY(gr_primitive_make(dnnl, of_data, data, n_arguments, &set->data));
out:
    dnnl_primitive_desc_destroy(of_data);
    dnnl_primitive_desc_destroy(made);
    gr_desc_release(&in);
    gr_desc_release(&out);
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

static gr_status backward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                          size_t n, const struct gr_target *target) {
    struct gr_image_set *set;
    gr_status status = GR_OK;
    (void)parameters;
    (void)target;
    if (layer->first) goto out;
    /* Cut at zero before the largest was taken, or after it: the same, and here fewer numbers. */
    if (layer[-1].slope_behind)
        gr_activate_backward(GR_ACTIVATION_RELU, layer->out, layer->out, model->delta,
                             n * layer->outputs);
    GR_TRY(gr_images_find(&model->dnnl, layer, n, make, &set));
    GR_TRY(
        gr_primitive_run(&model->dnnl, &set->data,
                         (const void *const[]){model->delta, model->delta_before, set->workspace}));
out:
    return status;
}

#define FUNCTIONS                                                                                  \
    .shape = shape, .prepare = gr_images_prepare, .forward = forward, .backward = backward,        \
    .release = gr_images_release
const struct gr_layer_kind gr_layer_max_pool = {.type = GR_LAYER_MAX_POOL, FUNCTIONS};
const struct gr_layer_kind gr_layer_average_pool = {.type = GR_LAYER_AVERAGE_POOL, FUNCTIONS};
