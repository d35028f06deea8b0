/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inner_product: dense layers through oneDNN's inner product primitives.
 *
 * oneDNN chooses the layouts of what goes in; a reorder brings float32 in plain order to it. What
 * comes out is float32; only the weights' derivative may come in another order.
 */
#include <model/inner_product.h>
#include <model/primitive.h>

#include <string.h>

/* GR_WIDTH_MAX rows. */
enum { ROWS_LOG2_MAX = 28 };

/* A layer's primitives for one number of rows. */
struct layer_set {
    struct gr_primitive forward, data, weight;
};

struct gr_inner {
    struct gr_dnnl dnnl;
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

/* ---- making ------------------------------------------------------------------------------- */

/* oneDNN names weights [out, in]; ours lie as [in, out], hence the transposed format of the plain
 * one. */
static gr_status describe_layer(const struct gr_inner *inner, size_t l, size_t rows,
                                struct gr_descs *descs) {
    const size_t in[] = {rows, inner->layers[l].inputs}, out[] = {rows, inner->layers[l].outputs},
                 weight[] = {out[1], in[1]};
    const dnnl_format_tag_t any = dnnl_format_tag_any;
    const struct gr_dnnl *dnnl = &inner->dnnl;
    gr_status status = GR_OK;
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 2, in, dnnl_ab, &descs->in));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 2, out, dnnl_ab, &descs->out));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 2, weight, dnnl_ba, &descs->weight));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 1, weight, dnnl_a, &descs->bias));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl->type, 2, in, any, &descs->used_in));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl->type, 2, out, any, &descs->used_out));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl->type, 2, weight, any, &descs->used_weight));
    GR_TRY_DNNL(dnnl, gr_desc_make(dnnl_f32, 2, weight, any, &descs->derivative));
out:
    return status;
}

/* The first layer has no backward pass by its inputs: nobody reads it. */
static gr_status make_layer(const struct gr_inner *inner, size_t l, size_t rows,
                            struct layer_set *set) {
    struct gr_descs d = {0};
    const struct gr_argument forward[] = {{DNNL_ARG_SRC, false, &d.in},
                                          {DNNL_ARG_WEIGHTS, false, &d.weight},
                                          {DNNL_ARG_BIAS, false, &d.bias},
                                          {DNNL_ARG_DST, true, &d.out}};
    const struct gr_argument data[] = {{DNNL_ARG_DIFF_DST, false, &d.out},
                                       {DNNL_ARG_WEIGHTS, false, &d.weight},
                                       {DNNL_ARG_DIFF_SRC, true, &d.in}};
    const struct gr_argument weight[] = {{DNNL_ARG_SRC, false, &d.in},
                                         {DNNL_ARG_DIFF_DST, false, &d.out},
                                         {DNNL_ARG_DIFF_WEIGHTS, true, &d.weight}};
    const struct gr_dnnl *dnnl = &inner->dnnl;
    dnnl_primitive_desc_t hint = NULL, of_data = NULL, of_weight = NULL;
    gr_status status;
    GR_TRY(describe_layer(inner, l, rows, &d));
    GR_TRY_DNNL(dnnl, gr_dnnl_forward(&hint, dnnl->engine, gr_desc_of(&d.used_in),
                                      gr_desc_of(&d.used_weight), gr_desc_of(&d.bias),
                                      gr_desc_of(&d.out)));
    GR_TRY(gr_primitive_make(dnnl, hint, forward, 4, &set->forward));
    if (!inner->layers[l].first) {
        GR_TRY_DNNL(dnnl, gr_dnnl_backward_data(&of_data, dnnl->engine, gr_desc_of(&d.in),
                                                gr_desc_of(&d.used_weight), gr_desc_of(&d.used_out),
                                                hint));
        GR_TRY(gr_primitive_make(dnnl, of_data, data, 3, &set->data));
    }
    GR_TRY_DNNL(dnnl,
                gr_dnnl_backward_weight(&of_weight, dnnl->engine, gr_desc_of(&d.used_in),
                                        gr_desc_of(&d.derivative), gr_desc_of(&d.used_out), hint));
    GR_TRY(gr_primitive_make(dnnl, of_weight, weight, 3, &set->weight));
out:
    dnnl_primitive_desc_destroy(of_weight);
    dnnl_primitive_desc_destroy(of_data);
    dnnl_primitive_desc_destroy(hint);
    gr_descs_release(&d);
    return status;
}

/* The set for a batch of n rows, made when first asked for. A set that was made in part stays, and
 * is freed with the others; the model is void after the failure. */
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
    inner->n_layers = n_layers;
    GR_TRY(gr_allocate(n_layers, sizeof *layers, "layer sizes", &inner->layers));
    memcpy(inner->layers, layers, n_layers * sizeof *layers);
    GR_TRY(gr_dnnl_start(compute, &inner->dnnl));
    /* Now, so that a processor without the type is refused before any work. */
    GR_TRY(find_set(inner, batch_max, &set));
    *out = inner;
    inner = NULL;
out:
    gr_inner_free(inner);
    return status;
}

void gr_inner_free(struct gr_inner *inner) {
    if (!inner) return;
    for (size_t i = 0; i <= ROWS_LOG2_MAX; i++) {
        for (size_t l = 0; inner->sets[i] && l < inner->n_layers; l++) {
            gr_primitive_release(&inner->sets[i][l].forward);
            gr_primitive_release(&inner->sets[i][l].data);
            gr_primitive_release(&inner->sets[i][l].weight);
        }
        gr_free(inner->sets[i]);
    }
    gr_dnnl_stop(&inner->dnnl);
    gr_free(inner->layers);
    gr_free(inner);
}

/* ---- running ------------------------------------------------------------------------------ */

/* Padding is zeroed before each product: an infinite number left there would spread to the
 * derivative by the weights, which sums over rows. */
static void clear_rest(float *rows, size_t n, size_t width) {
    memset(rows + n * width, 0, (gr_inner_rows(n) - n) * width * sizeof *rows);
}

gr_status gr_inner_forward(struct gr_inner *inner, size_t layer, size_t n, float *in,
                           const float *weight, const float *bias, float *sums) {
    struct layer_set *set;
    gr_status status;
    GR_TRY(find_set(inner, n, &set));
    clear_rest(in, n, inner->layers[layer].inputs);
    GR_TRY(gr_primitive_run(&inner->dnnl, &set[layer].forward,
                            (const void *const[]){in, weight, bias, sums}));
out:
    return status;
}

gr_status gr_inner_backward_data(struct gr_inner *inner, size_t layer, size_t n, float *delta,
                                 const float *weight, float *delta_in) {
    struct layer_set *set;
    gr_status status;
    GR_TRY(find_set(inner, n, &set));
    clear_rest(delta, n, inner->layers[layer].outputs);
    GR_TRY(gr_primitive_run(&inner->dnnl, &set[layer].data,
                            (const void *const[]){delta, weight, delta_in}));
out:
    return status;
}

/* Both are padded here again: other layers may have written into the rows behind since the forward
 * pass. */
gr_status gr_inner_backward_weight(struct gr_inner *inner, size_t layer, size_t n, float *in,
                                   float *delta, float *derivative) {
    struct layer_set *set;
    gr_status status;
    GR_TRY(find_set(inner, n, &set));
    clear_rest(in, n, inner->layers[layer].inputs);
    clear_rest(delta, n, inner->layers[layer].outputs);
    GR_TRY(gr_primitive_run(&inner->dnnl, &set[layer].weight,
                            (const void *const[]){in, delta, derivative}));
out:
    return status;
}
