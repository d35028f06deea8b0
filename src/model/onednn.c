/* SPDX-License-Identifier: Apache-2.0 */
/* oneDNN 2 and 3 under one set of names. */
#include <model/onednn.h>

#include <string.h>

#if DNNL_VERSION_MAJOR >= 3

dnnl_status_t gr_desc_make(dnnl_data_type_t type, size_t rows, size_t columns,
                           dnnl_format_tag_t tag, struct gr_desc *out) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    return dnnl_memory_desc_create_with_tag(&out->value, columns ? 2 : 1, dims, type, tag);
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
                                    dnnl_primitive_desc_t hint) {
    return dnnl_inner_product_backward_data_primitive_desc_create(out, engine, d_x, weight, d_y,
                                                                  hint, NULL);
}

dnnl_status_t gr_dnnl_backward_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                      gr_desc_ref x, gr_desc_ref d_weight, gr_desc_ref d_y,
                                      dnnl_primitive_desc_t hint) {
    return dnnl_inner_product_backward_weights_primitive_desc_create(out, engine, x, d_weight, NULL,
                                                                     d_y, hint, NULL);
}

#else

dnnl_status_t gr_desc_make(dnnl_data_type_t type, size_t rows, size_t columns,
                           dnnl_format_tag_t tag, struct gr_desc *out) {
    const dnnl_dims_t dims = {(dnnl_dim_t)rows, (dnnl_dim_t)columns};
    return dnnl_memory_desc_init_by_tag(&out->value, columns ? 2 : 1, dims, type, tag);
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
                                    dnnl_primitive_desc_t hint) {
    dnnl_inner_product_desc_t operation;
    dnnl_status_t code = dnnl_inner_product_backward_data_desc_init(&operation, d_x, weight, d_y);
    return code == dnnl_success ? dnnl_primitive_desc_create(out, &operation, NULL, engine, hint)
                                : code;
}

dnnl_status_t gr_dnnl_backward_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                      gr_desc_ref x, gr_desc_ref d_weight, gr_desc_ref d_y,
                                      dnnl_primitive_desc_t hint) {
    dnnl_inner_product_desc_t operation;
    dnnl_status_t code =
        dnnl_inner_product_backward_weights_desc_init(&operation, x, d_weight, NULL, d_y);
    return code == dnnl_success ? dnnl_primitive_desc_create(out, &operation, NULL, engine, hint)
                                : code;
}

#endif
