/* SPDX-License-Identifier: Apache-2.0 */
/*
 * onednn: the few calls that oneDNN 2 and 3 spell differently, under one name each.
 *
 * A description of memory is a value in oneDNN 2 and an object to be destroyed in oneDNN 3: it is
 * made here, passed on by reference, and released in either.
 */
#ifndef GRANARY_MODEL_ONEDNN_H
#define GRANARY_MODEL_ONEDNN_H

#include <dnnl.h>
#include <stdbool.h>
#include <stddef.h>

struct gr_desc {
    dnnl_memory_desc_t value;
};

#if DNNL_VERSION_MAJOR >= 3
typedef const_dnnl_memory_desc_t gr_desc_ref;
#else
typedef const dnnl_memory_desc_t *gr_desc_ref;
#endif

/* n_dims: at most 4. */
dnnl_status_t gr_desc_make(dnnl_data_type_t type, size_t n_dims, const size_t *dims,
                           dnnl_format_tag_t tag, struct gr_desc *out);
gr_desc_ref gr_desc_of(const struct gr_desc *desc);
/* Accepts a zeroed one. */
void gr_desc_release(struct gr_desc *desc);

/* Inner products: y = x W + b for training, and its derivatives; `hint` is the forward one. */
dnnl_status_t gr_dnnl_forward(dnnl_primitive_desc_t *out, dnnl_engine_t engine, gr_desc_ref x,
                              gr_desc_ref weight, gr_desc_ref bias, gr_desc_ref y);
dnnl_status_t gr_dnnl_backward_data(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                    gr_desc_ref d_x, gr_desc_ref weight, gr_desc_ref d_y,
                                    const_dnnl_primitive_desc_t hint);
dnnl_status_t gr_dnnl_backward_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                      gr_desc_ref x, gr_desc_ref d_weight, gr_desc_ref d_y,
                                      const_dnnl_primitive_desc_t hint);

/* A window that slides over images; of each pair height first, then width. */
struct gr_kernel_window {
    dnnl_dims_t kernel, stride, before, after; /* before, after: rows and columns of padding */
};

/* Convolutions; relu: y is cut at zero. */
dnnl_status_t gr_dnnl_conv(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                           const struct gr_kernel_window *window, bool relu, gr_desc_ref x,
                           gr_desc_ref weight, gr_desc_ref bias, gr_desc_ref y);
dnnl_status_t gr_dnnl_conv_data(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                const struct gr_kernel_window *window, gr_desc_ref d_x,
                                gr_desc_ref weight, gr_desc_ref d_y,
                                const_dnnl_primitive_desc_t hint);
dnnl_status_t gr_dnnl_conv_weight(dnnl_primitive_desc_t *out, dnnl_engine_t engine,
                                  const struct gr_kernel_window *window, gr_desc_ref x,
                                  gr_desc_ref d_weight, gr_desc_ref d_bias, gr_desc_ref d_y,
                                  const_dnnl_primitive_desc_t hint);

#endif
