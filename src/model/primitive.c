/* SPDX-License-Identifier: Apache-2.0 */
/* oneDNN's operations between arrays of ours. Memory objects are made once, without data; each run
 * hands them the arrays of that time, because the workspace's vectors take turns. */
#include <model/primitive.h>

#include <omp.h>
#include <string.h>

/* "Unimplemented" in bfloat16 is the processor's lack, and the config's to mend; everything else is
 * a fault of ours. */
gr_status gr_dnnl_refused(const struct gr_dnnl *dnnl, dnnl_status_t code, const char *what) {
    if (code == dnnl_unimplemented && dnnl->type == dnnl_bf16)
        return gr_fail(GR_ERROR_CONFIG,
                       "model.compute: found bfloat16, which needs a processor with AVX-512 (fast "
                       "with AVX-512 BF16 or AMX); allowed here: float32");
    return gr_fail(GR_ERROR_INTERNAL, "oneDNN: %s: status %d", what, (int)code);
}

gr_status gr_dnnl_start(enum gr_compute compute, struct gr_dnnl *dnnl) {
    gr_status status = GR_OK;
    *dnnl = (struct gr_dnnl){.type = compute == GR_COMPUTE_BFLOAT16 ? dnnl_bf16 : dnnl_f32};
    /*
     * A rank is a core: more threads would take other ranks' cores, and split sums by their number.
     */
    omp_set_num_threads(1);
    GR_TRY_DNNL(dnnl, dnnl_engine_create(&dnnl->engine, dnnl_cpu, 0));
    GR_TRY_DNNL(dnnl, dnnl_stream_create(&dnnl->stream, dnnl->engine, dnnl_stream_default_flags));
out:
    return status;
}

void gr_dnnl_stop(struct gr_dnnl *dnnl) {
    dnnl_stream_destroy(dnnl->stream);
    dnnl_engine_destroy(dnnl->engine);
    *dnnl = (struct gr_dnnl){0};
}

void gr_descs_release(struct gr_descs *d) {
    gr_desc_release(&d->in);
    gr_desc_release(&d->out);
    gr_desc_release(&d->weight);
    gr_desc_release(&d->bias);
    gr_desc_release(&d->used_in);
    gr_desc_release(&d->used_out);
    gr_desc_release(&d->used_weight);
    gr_desc_release(&d->derivative);
}

/* Without a reorder where the operation takes the array as it lies. */
static gr_status make_operand(const struct gr_dnnl *dnnl, gr_desc_ref plain, gr_desc_ref wanted,
                              struct gr_operand *operand) {
    const bool is_output = operand->is_output;
    dnnl_primitive_desc_t reorder = NULL;
    gr_status status = GR_OK;
    GR_TRY_DNNL(dnnl, dnnl_memory_create(&operand->plain, plain, dnnl->engine, DNNL_MEMORY_NONE));
    if (dnnl_memory_desc_equal(plain, wanted)) goto out;
    GR_TRY_DNNL(dnnl,
                dnnl_memory_create(&operand->wanted, wanted, dnnl->engine, DNNL_MEMORY_ALLOCATE));
    GR_TRY_DNNL(dnnl, dnnl_reorder_primitive_desc_create(&reorder, is_output ? wanted : plain,
                                                         dnnl->engine, is_output ? plain : wanted,
                                                         dnnl->engine, NULL));
    GR_TRY_DNNL(dnnl, dnnl_primitive_create(&operand->reorder, reorder));
out:
    dnnl_primitive_desc_destroy(reorder);
    return status;
}

/* The descriptor is asked which order and type it wants for each argument; `any` in the layer's
 * descriptions left it the choice. */
gr_status gr_primitive_make(const struct gr_dnnl *dnnl, dnnl_primitive_desc_t made,
                            const struct gr_argument *arguments, size_t n,
                            struct gr_primitive *out) {
    gr_status status = GR_OK;
    GR_TRY_DNNL(dnnl, dnnl_primitive_create(&out->primitive, made));
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        const struct gr_argument *argument = &arguments[i];
        gr_desc_ref wanted =
            dnnl_primitive_desc_query_md(made, dnnl_query_exec_arg_md, argument->id);
        out->operand[i].id = argument->id;
        out->operand[i].is_output = argument->is_output;
        GR_TRY(make_operand(dnnl, gr_desc_of(argument->plain), wanted, &out->operand[i]));
    }
out:
    return status;
}

void gr_primitive_release(struct gr_primitive *primitive) {
    for (size_t i = 0; i < GR_OPERANDS_MAX; i++) {
        dnnl_primitive_destroy(primitive->operand[i].reorder);
        dnnl_memory_destroy(primitive->operand[i].wanted);
        dnnl_memory_destroy(primitive->operand[i].plain);
    }
    dnnl_primitive_destroy(primitive->primitive);
    *primitive = (struct gr_primitive){0};
}

/* Asked of the primitive rather than kept: the descriptor that was passed to make is the caller's,
 * and may be gone. */
const_dnnl_primitive_desc_t gr_primitive_hint(const struct gr_primitive *primitive) {
    const_dnnl_primitive_desc_t desc = NULL;
    return dnnl_primitive_get_primitive_desc(primitive->primitive, &desc) == dnnl_success ? desc
                                                                                          : NULL;
}

static gr_status reorder(const struct gr_dnnl *dnnl, const struct gr_operand *operand) {
    const bool is_output = operand->is_output;
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_FROM, is_output ? operand->wanted : operand->plain},
        {DNNL_ARG_TO, is_output ? operand->plain : operand->wanted}};
    gr_status status = GR_OK;
    GR_TRY_DNNL(dnnl, dnnl_primitive_execute(operand->reorder, dnnl->stream, 2, arguments));
out:
    return status;
}

gr_status gr_primitive_run(const struct gr_dnnl *dnnl, struct gr_primitive *primitive,
                           const void *const *arrays) {
    dnnl_exec_arg_t arguments[GR_OPERANDS_MAX];
    gr_status status = GR_OK;
    for (size_t i = 0; i < primitive->n; i++) {
        const struct gr_operand *operand = &primitive->operand[i];
        /* oneDNN's memory takes pointers without const; what goes in is only read. */
        GR_TRY_DNNL(dnnl,
                    dnnl_memory_set_data_handle(operand->plain, (void *)(uintptr_t)arrays[i]));
        if (operand->reorder && !operand->is_output) GR_TRY(reorder(dnnl, operand));
        arguments[i] =
            (dnnl_exec_arg_t){operand->id, operand->wanted ? operand->wanted : operand->plain};
    }
    GR_TRY_DNNL(dnnl, dnnl_primitive_execute(primitive->primitive, dnnl->stream, (int)primitive->n,
                                             arguments));
    for (size_t i = 0; i < primitive->n; i++)
        if (primitive->operand[i].reorder && primitive->operand[i].is_output)
            GR_TRY(reorder(dnnl, &primitive->operand[i]));
    GR_TRY_DNNL(dnnl, dnnl_stream_wait(dnnl->stream));
out:
    return status;
}
