/* SPDX-License-Identifier: Apache-2.0 */
/*
 * primitive: one of oneDNN's operations on the caller's arrays.
 *
 * The caller's arrays are float32 in an order of his; where the operation wants another order or
 * type, a reorder before or behind it goes between.
 */
#ifndef GRANARY_MODEL_PRIMITIVE_H
#define GRANARY_MODEL_PRIMITIVE_H

#include <granary/config.h>
#include <model/onednn.h>

struct gr_dnnl {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_data_type_t type; /* of what is multiplied */
};

/* Sets the calling thread's OpenMP to one thread, whatever the environment says. */
gr_status gr_dnnl_start(enum gr_compute compute, struct gr_dnnl *dnnl) GR_CHECKED;
/* Accepts a zeroed one. */
void gr_dnnl_stop(struct gr_dnnl *dnnl);

/* oneDNN's refusal as ours: GR_ERROR_CONFIG for a number type this processor has no kernel of. */
gr_status gr_dnnl_refused(const struct gr_dnnl *dnnl, dnnl_status_t code,
                          const char *what) GR_CHECKED;

/* GR_TRY for oneDNN's calls; `dnnl` is a struct gr_dnnl *. */
#define GR_TRY_DNNL(dnnl, call)                                                                    \
    do {                                                                                           \
        const dnnl_status_t code_ = (call);                                                        \
        if (code_ != dnnl_success) {                                                               \
            status = gr_dnnl_refused(dnnl, code_, #call);                                          \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* A layer's arrays as they lie, and as oneDNN is to multiply them; weights in whatever order it
 * likes. */
struct gr_descs {
    struct gr_desc in, out, weight, bias;
    struct gr_desc used_in, used_out, used_weight, derivative;
};
/* Accepts zeroed ones. */
void gr_descs_release(struct gr_descs *descs);

enum { GR_OPERANDS_MAX = 4 };

/* One argument of a primitive to be made: its number for oneDNN, and the caller's array. */
struct gr_argument {
    int id;
    bool is_output;
    const struct gr_desc *plain;
};

struct gr_operand {
    int id;
    bool is_output;
    dnnl_memory_t plain;      /* the caller's array */
    dnnl_memory_t wanted;     /* owns its data; NULL: `plain` is as the primitive wants it */
    dnnl_primitive_t reorder; /* between the two; NULL with `wanted` */
};

struct gr_primitive {
    dnnl_primitive_t primitive;
    size_t n;
    struct gr_operand operand[GR_OPERANDS_MAX];
};

/* made: borrowed. After a failure gr_primitive_release releases the parts of *out that were made.
 */
gr_status gr_primitive_make(const struct gr_dnnl *dnnl, dnnl_primitive_desc_t made,
                            const struct gr_argument *arguments, size_t n,
                            struct gr_primitive *out) GR_CHECKED;
/* Accepts a zeroed one. */
void gr_primitive_release(struct gr_primitive *primitive);

/* The descriptor that it was made from, as a hint for its backward pass; borrowed. */
const_dnnl_primitive_desc_t gr_primitive_hint(const struct gr_primitive *primitive);

/* arrays: the caller's, in the order of the arguments. Arrays that are no output are only read. */
gr_status gr_primitive_run(const struct gr_dnnl *dnnl, struct gr_primitive *primitive,
                           const void *const *arrays) GR_CHECKED;

#endif
