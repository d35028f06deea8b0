/* SPDX-License-Identifier: Apache-2.0 */
/*
 * oneDNN 2 and 3 under one set of names. Version 3 has no operation descriptors and makes memory
 * descriptors on the heap; everything else of it is called by its own name. Forward primitives are
 * made for training also where a model only scores: the backward pass needs them as its hint.
 */
#include <model/onednn.h>

#include <string.h>

#if DNNL_VERSION_MAJOR >= 3

static const dnnl_dims_t undilated = {0};

dnnl_status_t gr_desc_make(dnnl_data_type_t type, size_t n_dims, const size_t *dims,
                           dnnl_format_tag_t tag, struct gr_desc *out) {
    dnnl_dims_t sizes = {0};
    for (size_t i = 0; i < n_dims; i++)
        sizes[i] = (dnnl_dim_t)dims[i];
    return dnnl_memory_desc_create_with_tag(&out->value, (int)n_dims, sizes, type, tag);
}

gr_desc_ref gr_desc_of(const struct gr_desc *desc) {
    return desc->value;
}

void gr_desc_release(struct gr_desc *desc) {
    if (desc->value) dnnl_memory_desc_destroy(desc->value);
    desc->value = NULL;
}

dnnl_status_t gr_dnnl_forward(dnnl_primitive_desc_t *out, dnnl_engine_t engine, gr_desc_ref x,
                              gr_desc_ref weight, gr_desc_ref bias, gr_desc_ref y) {
    return dnnl_inner_product_forward_primitive_desc_create(out, engine, dnnl_forward_training, x,
                                                            weight, bias, y, NULL);
}

dnnl_status_t gr_dnnl_backward_data(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                    gr_desc_ref d_x, gr_desc_ref weight, gr_desc_ref d_y,
                                    const_dnnl_primitive_desc_t hint) {
    return dnnl_inner_product_backward_data_primitive_desc_create(out, engine, d_x, weight, d_y,
                                                                  hint, NULL);
}

dnnl_status_t gr_dnnl_backward_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                      gr_desc_ref x, gr_desc_ref d_weight, gr_desc_ref d_y,
                                      const_dnnl_primitive_desc_t hint) {
    return dnnl_inner_product_backward_weights_primitive_desc_create(out, engine, x, d_weight, NULL,
                                                                     d_y, hint, NULL);
}

static dnnl_status_t create_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                 const struct gr_kernel_window *w,
                                 const_dnnl_primitive_attr_t attributes, gr_desc_ref x,
                                 gr_desc_ref weight, gr_desc_ref bias, gr_desc_ref y) {
    return dnnl_convolution_forward_primitive_desc_create(
        out, engine, dnnl_forward_training, dnnl_convolution_direct, x, weight, bias, y, w->stride,
        undilated, w->before, w->after, attributes);
}

static dnnl_status_t append_relu(dnnl_post_ops_t operations) {
    return dnnl_post_ops_append_eltwise(operations, dnnl_eltwise_relu, 0, 0);
}

dnnl_status_t gr_dnnl_conv_data(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                const struct gr_kernel_window *w, gr_desc_ref d_x,
                                gr_desc_ref weight, gr_desc_ref d_y,
                                const_dnnl_primitive_desc_t hint) {
    return dnnl_convolution_backward_data_primitive_desc_create(
        out, engine, dnnl_convolution_direct, d_x, weight, d_y, w->stride, undilated, w->before,
        w->after, hint, NULL);
}

dnnl_status_t gr_dnnl_conv_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                  const struct gr_kernel_window *w, gr_desc_ref x,
                                  gr_desc_ref d_weight, gr_desc_ref d_bias, gr_desc_ref d_y,
                                  const_dnnl_primitive_desc_t hint) {
    return dnnl_convolution_backward_weights_primitive_desc_create(
        out, engine, dnnl_convolution_direct, x, d_weight, d_bias, d_y, w->stride, undilated,
        w->before, w->after, hint, NULL);
}

#else

dnnl_status_t gr_desc_make(dnnl_data_type_t type, size_t n_dims, const size_t *dims,
                           dnnl_format_tag_t tag, struct gr_desc *out) {
    dnnl_dims_t sizes = {0};
    for (size_t i = 0; i < n_dims; i++)
        sizes[i] = (dnnl_dim_t)dims[i];
    return dnnl_memory_desc_init_by_tag(&out->value, (int)n_dims, sizes, type, tag);
}

gr_desc_ref gr_desc_of(const struct gr_desc *desc) {
    return &desc->value;
}

void gr_desc_release(struct gr_desc *desc) {
    memset(desc, 0, sizeof *desc);
}

dnnl_status_t gr_dnnl_forward(dnnl_primitive_desc_t *out, dnnl_engine_t engine, gr_desc_ref x,
                              gr_desc_ref weight, gr_desc_ref bias, gr_desc_ref y) {
    dnnl_inner_product_desc_t operation;
    dnnl_status_t code =
        dnnl_inner_product_forward_desc_init(&operation, dnnl_forward_training, x, weight, bias, y);
    return code == dnnl_success ? dnnl_primitive_desc_create(out, &operation, NULL, engine, NULL)
                                : code;
}

dnnl_status_t gr_dnnl_backward_data(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                    gr_desc_ref d_x, gr_desc_ref weight, gr_desc_ref d_y,
                                    const_dnnl_primitive_desc_t hint) {
    dnnl_inner_product_desc_t operation;
    dnnl_status_t code = dnnl_inner_product_backward_data_desc_init(&operation, d_x, weight, d_y);
    return code == dnnl_success ? dnnl_primitive_desc_create(out, &operation, NULL, engine, hint)
                                : code;
}

dnnl_status_t gr_dnnl_backward_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                      gr_desc_ref x, gr_desc_ref d_weight, gr_desc_ref d_y,
                                      const_dnnl_primitive_desc_t hint) {
    dnnl_inner_product_desc_t operation;
    dnnl_status_t code =
        dnnl_inner_product_backward_weights_desc_init(&operation, x, d_weight, NULL, d_y);
    return code == dnnl_success ? dnnl_primitive_desc_create(out, &operation, NULL, engine, hint)
                                : code;
}

static dnnl_status_t create_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                 const struct gr_kernel_window *w,
                                 const_dnnl_primitive_attr_t attributes, gr_desc_ref x,
                                 gr_desc_ref weight, gr_desc_ref bias, gr_desc_ref y) {
    dnnl_convolution_desc_t operation;
    dnnl_status_t code = dnnl_convolution_forward_desc_init(
        &operation, dnnl_forward_training, dnnl_convolution_direct, x, weight, bias, y, w->stride,
        w->before, w->after);
    return code == dnnl_success
               ? dnnl_primitive_desc_create(out, &operation, attributes, engine, NULL)
               : code;
}

static dnnl_status_t append_relu(dnnl_post_ops_t operations) {
    return dnnl_post_ops_append_eltwise(operations, 1.0f, dnnl_eltwise_relu, 0, 0);
}

dnnl_status_t gr_dnnl_conv_data(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                const struct gr_kernel_window *w, gr_desc_ref d_x,
                                gr_desc_ref weight, gr_desc_ref d_y,
                                const_dnnl_primitive_desc_t hint) {
    dnnl_convolution_desc_t operation;
    dnnl_status_t code = dnnl_convolution_backward_data_desc_init(
        &operation, dnnl_convolution_direct, d_x, weight, d_y, w->stride, w->before, w->after);
    return code == dnnl_success ? dnnl_primitive_desc_create(out, &operation, NULL, engine, hint)
                                : code;
}

dnnl_status_t gr_dnnl_conv_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                  const struct gr_kernel_window *w, gr_desc_ref x,
                                  gr_desc_ref d_weight, gr_desc_ref d_bias, gr_desc_ref d_y,
                                  const_dnnl_primitive_desc_t hint) {
    dnnl_convolution_desc_t operation;
    dnnl_status_t code = dnnl_convolution_backward_weights_desc_init(
        &operation, dnnl_convolution_direct, x, d_weight, d_bias, d_y, w->stride, w->before,
        w->after);
    return code == dnnl_success ? dnnl_primitive_desc_create(out, &operation, NULL, engine, hint)
                                : code;
}

#endif

/* Attributes and post-operations are copied into the descriptor, and may go when it is made. */
dnnl_status_t gr_dnnl_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                           const struct gr_kernel_window *window, bool relu, gr_desc_ref x,
                           gr_desc_ref weight, gr_desc_ref bias, gr_desc_ref y) {
    dnnl_primitive_attr_t attributes = NULL;
    dnnl_post_ops_t operations = NULL;
    dnnl_status_t code = dnnl_primitive_attr_create(&attributes);
    if (code == dnnl_success) code = dnnl_post_ops_create(&operations);
    if (code == dnnl_success && relu) code = append_relu(operations);
    if (code == dnnl_success) code = dnnl_primitive_attr_set_post_ops(attributes, operations);
    if (code == dnnl_success)
        code = create_conv(out, engine, window, attributes, x, weight, bias, y);
    dnnl_post_ops_destroy(operations);
    dnnl_primitive_attr_destroy(attributes);
    return code;
}
