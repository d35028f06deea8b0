/* SPDX-License-Identifier: Apache-2.0 */
/*
 * conv: convolutions (cross-correlations, as everywhere in the field) through oneDNN, or by
 * direct.h or winograd.h where that is faster; weights are [height, width, in, out].
 */
#include <model/direct.h>
#include <model/elementwise.h>
#include <model/images.h>
#include <model/network.h>
#include <model/winograd.h>

static gr_status shape(struct gr_layer *layer) {
    struct gr_kernel_window window;
    layer->to.channels = layer->config.filters;
    return gr_images_window(layer, &window, &layer->to);
}

/* A weight of a convolution is used at every pixel, yet its fans count the window alone, as in
 * PyTorch: first weights then have the variance that a pixel's sum needs. */
static gr_status tensors(struct gr_layer *layer, struct gr_layout *layout) {
    const size_t kernel = layer->config.kernel;
    const size_t dims[] = {kernel, kernel, layer->from.channels, layer->to.channels};
    layer->fan_in = kernel * kernel * layer->from.channels;
    layer->fan_out = kernel * kernel * layer->to.channels;
    return gr_layer_append(layer, layout, 4, dims, layer->to.channels);
}

/* The used descriptors of weights are in whatever order oneDNN likes; images keep theirs, so that
 * no layer reorders what another one has to put back. */
static gr_status describe(const struct gr_dnnl *dnnl, const struct gr_layer *layer, size_t n,
                          struct gr_descs *d) {
    const size_t kernel = layer->config.kernel;
    const size_t weight[] = {layer->to.channels, layer->from.channels, kernel, kernel};
    gr_status status = GR_OK;
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl_f32, n, &layer->from, &d->in));
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl_f32, n, &layer->to, &d->out));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 4, weight, dnnl_hwio, &d->weight));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 1, weight, dnnl_a, &d->bias));
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl->type, n, &layer->from, &d->used_in));
    GR_TRY_DNNL(dnnl, gr_images_desc(dnnl->type, n, &layer->to, &d->used_out));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl->type, 4, weight, dnnl_format_tag_any, &d->used_weight));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 4, weight, dnnl_format_tag_any, &d->derivative));
out:
    return status;
}

/* Relu is put into the primitive where it is the activation, so that `sums` holds what has passed
 * it; other activations follow in a pass of their own. */
static gr_status make(const struct gr_dnnl *dnnl, const struct gr_layer *layer,
                      struct gr_image_set *set) {
    struct gr_kernel_window window;
    struct gr_extent to;
    struct gr_descs d = {0};
    const struct gr_argument forward[] = {{DNNL_ARG_SRC, false, &d.in},
                                          {DNNL_ARG_WEIGHTS, false, &d.weight},
                                          {DNNL_ARG_BIAS, false, &d.bias},
                                          {DNNL_ARG_DST, true, &d.out}};
    dnnl_primitive_desc_t made = NULL;
    gr_status status;
    GR_TRY(gr_images_window(layer, &window, &to));
    GR_TRY(describe(dnnl, layer, set->n, &d));
    GR_TRY_DNNL(dnnl,
                gr_dnnl_conv(&made, dnnl->engine, &window, layer->activation == GR_ACTIVATION_RELU,
                             gr_desc_of(&d.used_in), gr_desc_of(&d.used_weight),
                             gr_desc_of(&d.bias), gr_desc_of(&d.out)));
    GR_TRY(gr_primitive_make(dnnl, made, forward, 4, &set->forward));
out:
    dnnl_primitive_desc_destroy(made);
    gr_descs_release(&d);
    return status;
}

/* Made when a backward pass first comes with so many rows: scoring needs none. */
static gr_status make_data(const struct gr_dnnl *dnnl, const struct gr_layer *layer,
                           struct gr_image_set *set) {
    struct gr_kernel_window window;
    struct gr_extent to;
    struct gr_descs d = {0};
    const struct gr_argument data[] = {{DNNL_ARG_DIFF_DST, false, &d.out},
                                       {DNNL_ARG_WEIGHTS, false, &d.weight},
                                       {DNNL_ARG_DIFF_SRC, true, &d.in}};
    dnnl_primitive_desc_t made = NULL;
    gr_status status;
    GR_TRY(gr_images_window(layer, &window, &to));
    GR_TRY(describe(dnnl, layer, set->n, &d));
    GR_TRY_DNNL(dnnl, gr_dnnl_conv_data(&made, dnnl->engine, &window, gr_desc_of(&d.in),
                                        gr_desc_of(&d.used_weight), gr_desc_of(&d.used_out),
                                        gr_primitive_hint(&set->forward)));
    GR_TRY(gr_primitive_make(dnnl, made, data, 3, &set->data));
out:
    dnnl_primitive_desc_destroy(made);
    gr_descs_release(&d);
    return status;
}

/*
 * Lets oneDNN choose the order of images where a window of 1x1 passes pixels by and a pixel has
 * fewer channels than a vector has lanes: with channels the fastest it writes beyond its own room
 * there (github.com/uxlfoundation/oneDNN/issues/6035).
 */
static gr_status free_order(const struct gr_dnnl *dnnl, const struct gr_layer *layer, size_t n,
                            struct gr_descs *d) {
    enum { LANES_MAX = 16 };
    const struct gr_extent *from = &layer->from, *to = &layer->to;
    const size_t in[] = {n, from->channels, from->height, from->width},
                 out[] = {n, to->channels, to->height, to->width};
    gr_status status = GR_OK;
    if (layer->config.kernel > 1 || layer->config.stride <= 1 || from->channels >= LANES_MAX)
        return GR_OK;
    gr_desc_release(&d->used_in);
    gr_desc_release(&d->used_out);
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl->type, 4, in, dnnl_format_tag_any, &d->used_in));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl->type, 4, out, dnnl_format_tag_any, &d->used_out));
out:
    return status;
}

/* The derivative is float32 also where images are multiplied in bfloat16: it is added to parameters
 * in small steps. */
static gr_status make_weight(const struct gr_dnnl *dnnl, const struct gr_layer *layer,
                             struct gr_image_set *set) {
    struct gr_kernel_window window;
    struct gr_extent to;
    struct gr_descs d = {0};
    const struct gr_argument weight[] = {{DNNL_ARG_SRC, false, &d.in},
                                         {DNNL_ARG_DIFF_DST, false, &d.out},
                                         {DNNL_ARG_DIFF_WEIGHTS, true, &d.weight},
                                         {DNNL_ARG_DIFF_BIAS, true, &d.bias}};
    dnnl_primitive_desc_t made = NULL;
    gr_status status;
    GR_TRY(gr_images_window(layer, &window, &to));
    GR_TRY(describe(dnnl, layer, set->n, &d));
    GR_TRY(free_order(dnnl, layer, set->n, &d));
    GR_TRY_DNNL(dnnl,
                gr_dnnl_conv_weight(&made, dnnl->engine, &window, gr_desc_of(&d.used_in),
                                    gr_desc_of(&d.derivative), gr_desc_of(&d.bias),
                                    gr_desc_of(&d.used_out), gr_primitive_hint(&set->forward)));
    GR_TRY(gr_primitive_make(dnnl, made, weight, 4, &set->weight));
out:
    dnnl_primitive_desc_destroy(made);
    gr_descs_release(&d);
    return status;
}

/* The kind is changed first: if the other one's prepare fails half-way, the release that is called
 * is its own. */
static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    if (gr_direct_fits(model, layer))
        layer->kind = &gr_layer_direct;
    else if (gr_winograd_fits(model, layer))
        layer->kind = &gr_layer_winograd;
    else
        return gr_images_prepare(model, layer);
    return layer->kind->prepare(model, layer);
}

/* Images that an operation takes at a time. */
static size_t images_at_once(const struct gr_model *model, size_t n) {
    return model->row_by_row ? 1 : n;
}

/* Where relu is the activation `sums` and `out` are one array, and the primitive has applied it. */
static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    const size_t step = images_at_once(model, n);
    struct gr_image_set *set;
    gr_status status;
    (void)training;
    GR_TRY(gr_images_find(&model->dnnl, layer, step, make, &set));
    for (size_t i = 0; i < n; i += step)
        GR_TRY(gr_primitive_run(
            &model->dnnl, &set->forward,
            (const void *const[]){layer->in + i * layer->inputs, parameters + layer->weight,
                                  parameters + layer->bias, layer->sums + i * layer->outputs}));
    if (layer->activation != GR_ACTIVATION_RELU)
        gr_activate(layer->activation, layer->sums, layer->out, n * layer->outputs);
out:
    return status;
}

static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const size_t step = images_at_once(model, n);
    struct gr_image_set *set;
    gr_status status;
    GR_TRY(gr_images_find(&model->dnnl, layer, step, make, &set));
    if (!set->data.primitive) GR_TRY(make_data(&model->dnnl, layer, set));
    for (size_t i = 0; i < n; i += step)
        GR_TRY(gr_primitive_run(&model->dnnl, &set->data,
                                (const void *const[]){model->delta + i * layer->outputs,
                                                      parameters + layer->weight,
                                                      model->delta_before + i * layer->inputs}));
out:
    return status;
}

static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    /* The derivative goes through the workspace, since a step adds it to the parameters, and oneDNN
     * only overwrites. */
    float *const by_weight = model->product, *const by_bias = model->pack;
    struct gr_image_set *set;
    gr_status status;
    (void)parameters;
    GR_TRY(gr_images_find(&model->dnnl, layer, n, make, &set));
    if (!set->weight.primitive) GR_TRY(make_weight(&model->dnnl, layer, set));
    GR_TRY(gr_primitive_run(&model->dnnl, &set->weight,
                            (const void *const[]){layer->in, model->delta, by_weight, by_bias}));
    gr_target_take(target, target->vector + layer->weight, by_weight, layer->n_weights);
    gr_target_take(target, target->vector + layer->bias, by_bias, layer->n_biases);
out:
    return status;
}

static gr_status backward_rows(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n, float *rows, bool data) {
    struct gr_image_set *set;
    gr_status status;
    GR_TRY(gr_images_find(&model->dnnl, layer, 1, make, &set));
    if (!set->weight.primitive) GR_TRY(make_weight(&model->dnnl, layer, set));
    for (size_t i = 0; i < n; i++) {
        float *row = rows + i * gr_layer_row_stride(layer);
        GR_TRY(gr_primitive_run(&model->dnnl, &set->weight,
                                (const void *const[]){layer->in + i * layer->inputs,
                                                      model->delta + i * layer->outputs, row,
                                                      row + gr_layer_row_biases(layer)}));
    }
    if (data) status = backward_data(model, layer, parameters, n);
out:
    return status;
}

const struct gr_layer_kind gr_layer_conv = {.shape = shape,
                                            .tensors = tensors,
                                            .prepare = prepare,
                                            .forward = forward,
                                            .backward_data = backward_data,
                                            .backward_weight = backward_weight,
                                            .backward_rows = backward_rows,
                                            .release = gr_images_release};
