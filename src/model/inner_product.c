/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner_product: dense layers through oneDNN's inner product primitives.
 *
 * oneDNN chooses the layouts of what goes in; a reorder brings float32 in plain order to it. What
 * comes out is float32; only the weights' derivative may come in another order.
 */
#include <model/inner_product.h>

#include <omp.h>
#include <string.h>

#include <model/onednn.h>

enum { ROWS_LOG2_MAX = 28, INPUTS_MAX = 3 };

/* One argument of a primitive. */
struct operand {
    dnnl_memory_t plain;      /* float32, the caller's array */
    dnnl_memory_t wanted;     /* owns its data; NULL: `plain` is as the primitive wants it */
    dnnl_primitive_t reorder; /* between the two; NULL with `wanted` */
};

/* A primitive with what it reads and what it writes. */
struct step {
    dnnl_primitive_t primitive;
    size_t n_in;
    int in_id[INPUTS_MAX], out_id; /* oneDNN's numbers of the arguments */
    struct operand in[INPUTS_MAX], out;
};

/* A layer's primitives for one number of rows. */
struct layer_set {
    struct step forward, data, weight;
};

struct gr_inner {
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_data_type_t type;
    size_t n_layers;
    struct gr_inner_layer *layers; /* owned */
    struct layer_set
        *sets[ROWS_LOG2_MAX + 1]; /* n_layers each, by log2 of the rows; NULL: unused */
};

static size_t rows_log2(size_t n) {
    size_t log2 = 0;
    while (((size_t)1 << log2) < n)
        log2++;
    return log2;
}

size_t gr_inner_rows(size_t n) {
    return (size_t)1 << rows_log2(n);
}

static gr_status refused(const struct gr_inner *inner, dnnl_status_t code, const char *what) {
    if (code == dnnl_unimplemented && inner->type == dnnl_bf16)
        return gr_fail(GR_ERROR_CONFIG,
                       "model.compute: found bfloat16, which needs a processor with AVX-512 (fast "
                       "with AMX); allowed here: float32");
    return gr_fail(GR_ERROR_INTERNAL, "oneDNN: %s: status %d", what, (int)code);
}

#define TRY_DNNL(call)                                                                             \
    do {                                                                                           \
        const dnnl_status_t code_ = (call);                                                        \
        if (code_ != dnnl_success) {                                                               \
            status = refused(inner, code_, #call);                                                 \
            goto out;                                                                              \
        }                                                                                          \
    } while (0)

/* ---- making ------------------------------------------------------------------------------- */

static gr_status make_operand(struct gr_inner *inner, gr_desc_ref plain, gr_desc_ref wanted,
                              bool is_output, struct operand *operand) {
    dnnl_primitive_desc_t reorder = NULL;
    gr_status status = GR_OK;
    TRY_DNNL(dnnl_memory_create(&operand->plain, plain, inner->engine, DNNL_MEMORY_NONE));
    if (dnnl_memory_desc_equal(plain, wanted)) goto out;
    TRY_DNNL(dnnl_memory_create(&operand->wanted, wanted, inner->engine, DNNL_MEMORY_ALLOCATE));
    TRY_DNNL(dnnl_reorder_primitive_desc_create(&reorder, is_output ? wanted : plain, inner->engine,
                                                is_output ? plain : wanted, inner->engine, NULL));
    TRY_DNNL(dnnl_primitive_create(&operand->reorder, reorder));
out:
    dnnl_primitive_desc_destroy(reorder);
    return status;
}

/* One argument of a step to be made: its number for oneDNN, the caller's array. */
struct argument {
    int id;
    const struct gr_desc *plain;
};

/* arguments: n_in that are read, then the one that is written. made: borrowed. */
static gr_status make_step(struct gr_inner *inner, dnnl_primitive_desc_t made,
                           const struct argument *arguments, size_t n_in, struct step *step) {
    gr_status status = GR_OK;
    TRY_DNNL(dnnl_primitive_create(&step->primitive, made));
    step->n_in = n_in;
    for (size_t i = 0; i <= n_in; i++) {
        const struct argument *argument = &arguments[i];
        gr_desc_ref wanted =
            dnnl_primitive_desc_query_md(made, dnnl_query_exec_arg_md, argument->id);
        if (i < n_in)
            step->in_id[i] = argument->id;
        else
            step->out_id = argument->id;
        GR_TRY(make_operand(inner, gr_desc_of(argument->plain), wanted, i == n_in,
                            i < n_in ? &step->in[i] : &step->out));
    }
out:
    return status;
}

/* What a layer's arrays are to the caller, and to oneDNN in whatever order it likes. */
struct layer_descs {
    struct gr_desc in, out, weight, bias;
    struct gr_desc any_in, any_out, any_weight, any_derivative;
};

static gr_status describe_layer(struct gr_inner *inner, size_t l, size_t rows,
                                struct layer_descs *descs) {
    const size_t in = inner->layers[l].inputs, out_n = inner->layers[l].outputs;
    const dnnl_format_tag_t any = dnnl_format_tag_any;
    gr_status status = GR_OK;
    TRY_DNNL(gr_desc_make(dnnl_f32, rows, in, dnnl_ab, &descs->in));
    TRY_DNNL(gr_desc_make(dnnl_f32, rows, out_n, dnnl_ab, &descs->out));
    TRY_DNNL(gr_desc_make(dnnl_f32, out_n, in, dnnl_ba, &descs->weight));
    TRY_DNNL(gr_desc_make(dnnl_f32, out_n, 0, dnnl_a, &descs->bias));
    TRY_DNNL(gr_desc_make(inner->type, rows, in, any, &descs->any_in));
    TRY_DNNL(gr_desc_make(inner->type, rows, out_n, any, &descs->any_out));
    TRY_DNNL(gr_desc_make(inner->type, out_n, in, any, &descs->any_weight));
    TRY_DNNL(gr_desc_make(dnnl_f32, out_n, in, any, &descs->any_derivative));
out:
    return status;
}

static void release_descs(struct layer_descs *descs) {
    gr_desc_release(&descs->in);
    gr_desc_release(&descs->out);
    gr_desc_release(&descs->weight);
    gr_desc_release(&descs->bias);
    gr_desc_release(&descs->any_in);
    gr_desc_release(&descs->any_out);
    gr_desc_release(&descs->any_weight);
    gr_desc_release(&descs->any_derivative);
}

static gr_status make_layer(struct gr_inner *inner, size_t l, size_t rows, struct layer_set *set) {
    struct layer_descs d = {0};
    const struct argument forward[] = {{DNNL_ARG_SRC, &d.in},
                                       {DNNL_ARG_WEIGHTS, &d.weight},
                                       {DNNL_ARG_BIAS, &d.bias},
                                       {DNNL_ARG_DST, &d.out}};
    const struct argument data[] = {
        {DNNL_ARG_DIFF_DST, &d.out}, {DNNL_ARG_WEIGHTS, &d.weight}, {DNNL_ARG_DIFF_SRC, &d.in}};
    const struct argument weight[] = {
        {DNNL_ARG_SRC, &d.in}, {DNNL_ARG_DIFF_DST, &d.out}, {DNNL_ARG_DIFF_WEIGHTS, &d.weight}};
    dnnl_primitive_desc_t hint = NULL, of_data = NULL, of_weight = NULL;
    gr_status status;
    GR_TRY(describe_layer(inner, l, rows, &d));
    TRY_DNNL(gr_dnnl_forward(&hint, inner->engine, gr_desc_of(&d.any_in), gr_desc_of(&d.any_weight),
                             gr_desc_of(&d.bias), gr_desc_of(&d.out)));
    GR_TRY(make_step(inner, hint, forward, 3, &set->forward));
    if (l > 0) { /* nothing lies before the first layer */
        TRY_DNNL(gr_dnnl_backward_data(&of_data, inner->engine, gr_desc_of(&d.in),
                                       gr_desc_of(&d.any_weight), gr_desc_of(&d.any_out), hint));
        GR_TRY(make_step(inner, of_data, data, 2, &set->data));
    }
    TRY_DNNL(gr_dnnl_backward_weight(&of_weight, inner->engine, gr_desc_of(&d.any_in),
                                     gr_desc_of(&d.any_derivative), gr_desc_of(&d.any_out), hint));
    GR_TRY(make_step(inner, of_weight, weight, 2, &set->weight));
out:
    dnnl_primitive_desc_destroy(of_weight);
    dnnl_primitive_desc_destroy(of_data);
    dnnl_primitive_desc_destroy(hint);
    release_descs(&d);
    return status;
}

/* The set for a batch of n rows, made when first asked for. */
static gr_status find_set(struct gr_inner *inner, size_t n, struct layer_set **out) {
    const size_t log2 = rows_log2(n);
    gr_status status = GR_OK;
    if (!inner->sets[log2]) {
        GR_TRY(gr_allocate_zero(inner->n_layers, sizeof **inner->sets, "oneDNN primitives",
                                &inner->sets[log2]));
        for (size_t l = 0; l < inner->n_layers; l++)
            GR_TRY(make_layer(inner, l, (size_t)1 << log2, &inner->sets[log2][l]));
    }
out:
    *out = inner->sets[log2];
    return status;
}

gr_status gr_inner_create(enum gr_compute compute, const struct gr_inner_layer *layers,
                          size_t n_layers, size_t batch_max, struct gr_inner **out) {
    struct gr_inner *inner = NULL;
    struct layer_set *set;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *inner, "oneDNN products", &inner));
    inner->type = compute == GR_COMPUTE_BFLOAT16 ? dnnl_bf16 : dnnl_f32;
    inner->n_layers = n_layers;
    GR_TRY(gr_allocate(n_layers, sizeof *layers, "layer sizes", &inner->layers));
    memcpy(inner->layers, layers, n_layers * sizeof *layers);
    omp_set_num_threads(1);
    TRY_DNNL(dnnl_engine_create(&inner->engine, dnnl_cpu, 0));
    TRY_DNNL(dnnl_stream_create(&inner->stream, inner->engine, dnnl_stream_default_flags));
    /* Now, so that a processor without the type is refused before any work. */
    GR_TRY(find_set(inner, batch_max, &set));
    *out = inner;
    inner = NULL;
out:
    gr_inner_free(inner);
    return status;
}

static void free_operand(struct operand *operand) {
    dnnl_primitive_destroy(operand->reorder);
    dnnl_memory_destroy(operand->wanted);
    dnnl_memory_destroy(operand->plain);
}

static void free_step(struct step *step) {
    for (size_t i = 0; i < INPUTS_MAX; i++)
        free_operand(&step->in[i]);
    free_operand(&step->out);
    dnnl_primitive_destroy(step->primitive);
}

void gr_inner_free(struct gr_inner *inner) {
    if (!inner) return;
    for (size_t i = 0; i <= ROWS_LOG2_MAX; i++) {
        for (size_t l = 0; inner->sets[i] && l < inner->n_layers; l++) {
            free_step(&inner->sets[i][l].forward);
            free_step(&inner->sets[i][l].data);
            free_step(&inner->sets[i][l].weight);
        }
        gr_free(inner->sets[i]);
    }
    dnnl_stream_destroy(inner->stream);
    dnnl_engine_destroy(inner->engine);
    gr_free(inner->layers);
    gr_free(inner);
}

/* ---- running ------------------------------------------------------------------------------ */

static gr_status reorder(struct gr_inner *inner, const struct operand *operand, bool is_output) {
    const dnnl_exec_arg_t arguments[] = {
        {DNNL_ARG_FROM, is_output ? operand->wanted : operand->plain},
        {DNNL_ARG_TO, is_output ? operand->plain : operand->wanted}};
    gr_status status = GR_OK;
    if (operand->reorder)
        TRY_DNNL(dnnl_primitive_execute(operand->reorder, inner->stream, 2, arguments));
out:
    return status;
}

static dnnl_memory_t used(const struct operand *operand) {
    return operand->wanted ? operand->wanted : operand->plain;
}

/* in: the step's n_in arrays. */
static gr_status run(struct gr_inner *inner, struct step *step, const float *const in[INPUTS_MAX],
                     float *to) {
    dnnl_exec_arg_t arguments[INPUTS_MAX + 1];
    gr_status status;
    for (size_t i = 0; i < step->n_in; i++) {
        /* oneDNN's memory takes pointers without const; what goes in is only read. */
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): callers fill n_in of `in` */
        TRY_DNNL(dnnl_memory_set_data_handle(step->in[i].plain, (void *)(uintptr_t)in[i]));
        GR_TRY(reorder(inner, &step->in[i], false));
        arguments[i] = (dnnl_exec_arg_t){step->in_id[i], used(&step->in[i])};
    }
    TRY_DNNL(dnnl_memory_set_data_handle(step->out.plain, to));
    arguments[step->n_in] = (dnnl_exec_arg_t){step->out_id, used(&step->out)};
    TRY_DNNL(
        dnnl_primitive_execute(step->primitive, inner->stream, (int)step->n_in + 1, arguments));
    GR_TRY(reorder(inner, &step->out, true));
    TRY_DNNL(dnnl_stream_wait(inner->stream));
out:
    return status;
}

static void clear_rest(float *rows, size_t n, size_t width) {
    memset(rows + n * width, 0, (gr_inner_rows(n) - n) * width * sizeof *rows);
}

gr_status gr_inner_forward(struct gr_inner *inner, size_t layer, size_t n, float *in,
                           const float *weight, const float *bias, float *sums) {
    const float *const from[INPUTS_MAX] = {in, weight, bias};
    struct layer_set *set;
    gr_status status;
    GR_TRY(find_set(inner, n, &set));
    clear_rest(in, n, inner->layers[layer].inputs);
    GR_TRY(run(inner, &set[layer].forward, from, sums));
out:
    return status;
}

gr_status gr_inner_backward_data(struct gr_inner *inner, size_t layer, size_t n, float *delta,
                                 const float *weight, float *delta_in) {
    const float *const from[INPUTS_MAX] = {delta, weight};
    struct layer_set *set;
    gr_status status;
    GR_TRY(find_set(inner, n, &set));
    clear_rest(delta, n, inner->layers[layer].outputs);
    GR_TRY(run(inner, &set[layer].data, from, delta_in));
out:
    return status;
}

gr_status gr_inner_backward_weight(struct gr_inner *inner, size_t layer, size_t n, float *in,
                                   float *delta, float *derivative) {
    const float *const from[INPUTS_MAX] = {in, delta};
    struct layer_set *set;
    gr_status status;
    GR_TRY(find_set(inner, n, &set));
    clear_rest(in, n, inner->layers[layer].inputs);
    clear_rest(delta, n, inner->layers[layer].outputs);
    GR_TRY(run(inner, &set[layer].weight, from, derivative));
out:
    return status;
}
