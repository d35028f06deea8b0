/* SPDX-License-Identifier: Apache-2.0 */
/* dense: out = activation(in weight + bias); products on our own tiles, or through oneDNN. */
#include <model/dense.h>
#include <model/elementwise.h>
#include <model/inner_product.h>
#include <model/network.h>
#include <model/paired.h>
#include <model/sparse.h>

static gr_status shape(struct gr_layer *layer) {
    layer->to.channels = layer->config.width;
    return GR_OK;
}

static gr_status tensors(struct gr_layer *layer, struct gr_layout *layout) {
    layer->fan_in = layer->inputs;
    layer->fan_out = layer->outputs;
    return gr_layer_append(layer, layout, 2, (size_t[]){layer->inputs, layer->outputs},
                           layer->outputs);
}

/* ---- rows that are sparse ------------------------------------------------------------------ */

/* Inputs are often half zero: of images, and behind relu. */
struct dense {
    const struct gr_sparse_kernels *kernels;
    struct gr_sparse rows; /* of the last forward pass */
};

/* Without a state the layer multiplies in full: through oneDNN, or where masks do not pay. */
static gr_status prepare(struct gr_model *model, struct gr_layer *layer) {
    const struct gr_sparse_kernels *kernels = gr_sparse_kernels_of(model->tiles, layer->outputs);
    struct dense *dense;
    gr_status status = GR_OK;
    if (model->pairs) layer->kind = &gr_layer_paired;
    if (model->compute != GR_COMPUTE_FLOAT32 || !kernels) goto out;
    GR_TRY(gr_allocate_zero(1, sizeof *dense, "a dense layer", &dense));
    dense->kernels = kernels;
    layer->state = dense;
out:
    return status;
}

static void release(struct gr_layer *layer) {
    struct dense *dense = layer->state;
    gr_sparse_release(&dense->rows);
    gr_free(dense);
    layer->state = NULL;
}

/* The masks are made once a batch, and serve the product by the weights in the backward pass again,
 * for which `in` must not have changed. */
static gr_status find_sparse(struct gr_layer *layer, size_t n) {
    struct dense *dense = layer->state;
    gr_status status = GR_OK;
    if (!dense) goto out;
    GR_TRY(gr_sparse_find(&dense->rows, dense->kernels, layer->in, n, layer->inputs));
out:
    return status;
}

/* A product by what came in, by_column: turned. */
static void multiply(const struct gr_model *model, const struct gr_layer *layer,
                     const struct gr_product *product, bool by_column) {
    const struct dense *dense = layer->state;
    if (dense && dense->rows.pays)
        gr_sparse_multiply(dense->kernels, product,
                           by_column ? dense->rows.by_column : dense->rows.by_row, model->pack);
    else
        gr_multiply(model->tiles, product, model->pack);
}

/* ---- passes ------------------------------------------------------------------------------- */

/*
 * out = activation(in weight + bias); bias and relu are taken into the product, which saves a pass
 * over the sums.
 */
static gr_status forward(struct gr_model *model, struct gr_layer *layer, const float *parameters,
                         size_t n, bool training) {
    /* oneDNN's sums are given to the activation afterwards, as for all but relu. */
    const bool fused = layer->activation == GR_ACTIVATION_RELU && !model->inner;
    const float *weight = parameters + layer->weight, *bias = parameters + layer->bias;
    gr_status status = GR_OK;
    (void)training;
    if (model->inner) {
        GR_TRY(
            gr_inner_forward(model->inner, layer->number, n, layer->in, weight, bias, layer->sums));
    } else {
        const struct gr_product product = {
            .m = n,
            .n = layer->outputs,
            .k = layer->inputs,
            .a = layer->in,
            .a_row = layer->inputs,
            .a_step = 1,
            .b = weight,
            .b_row = layer->outputs,
            .c = layer->sums,
            .c_row = layer->outputs,
            .finish = fused ? GR_FINISH_RELU : GR_FINISH_STORE,
            .from = bias,
        };
        GR_TRY(find_sparse(layer, n));
        multiply(model, layer, &product, false);
    }
    if (!fused) gr_activate(layer->activation, layer->sums, layer->out, n * layer->outputs);
out:
    return status;
}

/* delta_before = delta weight^T for n rows, at most GR_TURNED_ROWS. */
static void multiply_turned(const struct gr_model *model, const struct gr_layer *layer,
                            const float *weight, size_t n, const float *delta,
                            float *delta_before) {
    const size_t turned_row = (n + GR_TILE_TAIL - 1) / GR_TILE_TAIL * GR_TILE_TAIL;
    const struct gr_product product = {
        .m = layer->inputs,
        .n = turned_row,
        .k = layer->outputs,
        .a = weight,
        .a_row = layer->outputs,
        .a_step = 1,
        .b = model->turned,
        .b_row = turned_row,
        .c = model->product,
        .c_row = turned_row,
        .finish = GR_FINISH_STORE,
    };
    gr_transpose(delta, layer->outputs, n, layer->outputs, model->turned, turned_row);
    gr_multiply(model->tiles, &product, model->pack);
    gr_transpose(model->product, turned_row, layer->inputs, n, delta_before, layer->inputs);
}

/*
 * The product runs transposed, so that weight is read by rows. Its columns are padded to whole
 * tiles; what stands in the padding is multiplied, and not read. Some rows at a time: those of a
 * large batch would lie a page apart, all in the same few lines of the first cache.
 */
static gr_status backward_data(struct gr_model *model, struct gr_layer *layer,
                               const float *parameters, size_t n) {
    const float *weight = parameters + layer->weight;
    if (model->inner)
        return gr_inner_backward_data(model->inner, layer->number, n, model->delta, weight,
                                      model->delta_before);
    for (size_t first = 0; first < n; first += GR_TURNED_ROWS)
        multiply_turned(
            model, layer, weight, n - first < GR_TURNED_ROWS ? n - first : GR_TURNED_ROWS,
            model->delta + first * layer->outputs, model->delta_before + first * layer->inputs);
    return GR_OK;
}

/* In a step the product adds to the weights as it finishes, without a gradient in memory. The
 * biases are summed apart; they are few. */
static gr_status backward_weight(struct gr_model *model, struct gr_layer *layer,
                                 const float *parameters, size_t n,
                                 const struct gr_target *target) {
    float *weight = target->vector + layer->weight;
    const float *before = target->before;
    (void)parameters;
    if (model->inner) {
        float *derivative = target->step ? model->product : weight;
        const gr_status status = gr_inner_backward_weight(model->inner, layer->number, n, layer->in,
                                                          model->delta, derivative);
        if (status == GR_OK && target->step)
            gr_target_take(target, weight, derivative, layer->inputs * layer->outputs);
        if (status != GR_OK) return status;
    } else {
        const struct gr_product product = {
            .m = layer->inputs,
            .n = layer->outputs,
            .k = n,
            .a = layer->in,
            .a_row = 1,
            .a_step = layer->inputs,
            .b = model->delta,
            .b_row = layer->outputs,
            .c = weight,
            .c_row = layer->outputs,
            .from = before ? before + layer->weight : NULL,
            .from_row = layer->outputs,
            .finish = target->step ? GR_FINISH_STEP : GR_FINISH_STORE,
            .decay = target->decay,
        };
        multiply(model, layer, &product, true);
    }
    gr_dense_take_biases(model, layer, n, target);
    return GR_OK;
}

void gr_dense_take_biases(const struct gr_model *model, const struct gr_layer *layer, size_t n,
                          const struct gr_target *target) {
    gr_column_sums(model->delta, n, layer->outputs,
                   target->before ? target->before + layer->bias : NULL, model->pack);
    gr_target_take(target, target->vector + layer->bias, model->pack, layer->outputs);
}

/* A row's derivative is the outer product of what comes in and delta, and delta for the biases
 * (Goodfellow 2015). */
static gr_status row_norms(struct gr_model *model, struct gr_layer *layer, size_t n,
                           double *squares) {
    for (size_t i = 0; i < n; i++)
        squares[i] += (1 + gr_square_sum(layer->in + i * layer->inputs, layer->inputs)) *
                      gr_square_sum(model->delta + i * layer->outputs, layer->outputs);
    return GR_OK;
}

static gr_status add_rows(struct gr_model *model, struct gr_layer *layer, size_t n, bool fresh,
                          float *sum) {
    const struct gr_target target = {.vector = sum, .before = fresh ? NULL : sum};
    return backward_weight(model, layer, NULL, n, &target);
}

const struct gr_layer_kind gr_layer_dense = {.shape = shape,
                                             .tensors = tensors,
                                             .prepare = prepare,
                                             .forward = forward,
                                             .backward_data = backward_data,
                                             .backward_weight = backward_weight,
                                             .row_norms = row_norms,
                                             .add_rows = add_rows,
                                             .release = release};
