/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clipped: sums of clipped gradients, by book-keeping (Bu et al. 2023): one pass back finds each
 * row's norm and keeps what its derivatives are products of, which are then scaled and multiplied.
 * Privacy rests on what is promised of each row, so that nothing in a row's own gradient may depend
 * on the rows beside it, and its norm is that of numbers that are at hand: either of the two
 * factors of a product, or of derivatives that are stored row by row. A norm that is worked out
 * from sums over pixels, whose terms cancel, would not bound the roundings of the clipped sum.
 */
#include <model/network.h>

#include <float.h>
#include <math.h>
#include <string.h>

/* Of the rows' own derivatives that are stored: beyond it fewer rows pass at a time. */
enum { ROOM_BYTES = 32 << 20 };

struct gr_clipping {
    size_t rows;  /* that pass at a time, at most */
    float *room;  /* owned; what `kept` points into */
    float **kept; /* by layer: derivatives by the outputs, or rows' own by the parameters; owned */
    float *unit;  /* a unit's gradient; owned; NULL before the first */
};

void gr_model_key_rows(struct gr_model *model, uint64_t step, const uint32_t *rows) {
    model->step = step;
    model->row_keys = rows;
}

/* Dropout's own stream runs over all rows of a batch: a row less would give the others other
 * masks. */
static gr_status check(const struct gr_model *model, size_t n, size_t rows, double clip_norm) {
    if (model->compute != GR_COMPUTE_FLOAT32)
        return gr_fail(GR_ERROR_CONFIG, "model.compute: found %s, allowed float32 with privacy",
                       gr_compute_text(model->compute));
    if (n < 1 || n > GR_CLIP_ROWS_MAX || rows > model->batch_max || !(clip_norm > 0))
        return gr_fail(GR_ERROR_INTERNAL,
                       "clipped sum: %zu units of %zu rows to a norm of %g, expected 1 to %d of up "
                       "to %zu",
                       n, rows, clip_norm, GR_CLIP_ROWS_MAX, model->batch_max);
    for (size_t l = 0; l < model->n_layers && !model->row_keys; l++)
        if (model->layers[l].config.type == GR_LAYER_DROPOUT)
            return gr_fail(GR_ERROR_INTERNAL, "clipped sum: rows have no keys for dropout");
    return GR_OK;
}

/* ---- rows that cannot be taken -------------------------------------------------------------- */

/* Whether a row can pass: squares of what is finite do not overflow in double. One that cannot is
 * zeroed, which any layer takes. */
static bool admit(struct gr_model *model, size_t row) {
    const struct gr_layer *front = &model->layers[0];
    float *features = model->features + row * model->inputs;
    const bool good = isfinite(gr_square_sum(features, model->inputs)) &&
                      (!front->kind->check || front->kind->check(front, features, 1) == GR_OK);
    if (!good) memset(features, 0, model->inputs * sizeof *features);
    return good;
}

/* ---- room ----------------------------------------------------------------------------------- */

/* Floats that a layer keeps of each row. */
static size_t kept_of_row(const struct gr_layer *layer) {
    if (layer->kind->row_norms) return layer->outputs;
    return layer->kind->backward_rows ? gr_layer_row_stride(layer) : 0;
}

static size_t rows_of(const struct gr_model *model) {
    size_t bytes = 1;
    for (size_t l = 0; l < model->n_layers; l++)
        if (model->layers[l].kind->backward_rows)
            bytes += kept_of_row(&model->layers[l]) * sizeof(float);
    if (bytes > ROOM_BYTES) return 1;
    return ROOM_BYTES / bytes < GR_CLIP_ROWS_MAX ? ROOM_BYTES / bytes : GR_CLIP_ROWS_MAX;
}

/* Cuts the room into layers', aligned; without room, counts only. */
static size_t cut(const struct gr_model *model, struct gr_clipping *clipping) {
    size_t used = 0;
    for (size_t l = 0; l < model->n_layers; l++) {
        const size_t n = clipping->rows * kept_of_row(&model->layers[l]);
        clipping->kept[l] = clipping->room && n > 0 ? clipping->room + used : NULL;
        used += (n + GR_LAYOUT_ALIGNMENT - 1) / GR_LAYOUT_ALIGNMENT * GR_LAYOUT_ALIGNMENT;
    }
    return used;
}

void gr_clipping_free(struct gr_clipping *clipping) {
    if (!clipping) return;
    gr_free(clipping->room);
    gr_free(clipping->kept);
    gr_free(clipping->unit);
    gr_free(clipping);
}

static gr_status make_clipping(struct gr_model *model) {
    struct gr_clipping *clipping;
    gr_status status = GR_OK;
    if (model->clipping) return GR_OK;
    GR_TRY(gr_allocate_zero(1, sizeof *clipping, "clipped sums", &clipping));
    clipping->rows = rows_of(model);
    GR_TRY(
        gr_allocate_zero(model->n_layers, sizeof *clipping->kept, "clipped sums", &clipping->kept));
    GR_TRY(gr_allocate_zero(cut(model, clipping), sizeof(float), "clipped sums", &clipping->room));
    cut(model, clipping);
    model->clipping = clipping;
    clipping = NULL;
out:
    if (status != GR_OK) gr_clipping_free(clipping);
    return status;
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The factor of a gradient of that squared norm; 0 for one that is not finite. */
static double factor_of(double square, double clip_norm) {
    const double norm = sqrt(square);
    if (!isfinite(norm)) return 0;
    return norm > clip_norm ? clip_norm / norm : 1;
}

/* In float32, rounded down, so that no gradient is longer for it. */
static float round_down(double factor) {
    const float rounded = (float)factor;
    return (double)rounded > factor ? nextafterf(rounded, 0) : rounded;
}

/* Adds the squares of the rows' own derivatives, which are stored. */
static void add_squares(const struct gr_layer *layer, const float *rows, size_t n,
                        double *squares) {
    for (size_t i = 0; i < n; i++, rows += gr_layer_row_stride(layer))
        squares[i] += gr_square_sum(rows, layer->n_weights) +
                      gr_square_sum(rows + gr_layer_row_biases(layer), layer->n_biases);
}

/* Where the derivative by a layer's outputs goes: a place where it is kept, or the one of the two
 * in turn that is free. */
static float *place_for(const struct gr_model *model, const struct gr_layer *layer,
                        float *const turns[2]) {
    if (layer->kind->row_norms) return model->clipping->kept[layer - model->layers];
    return model->delta == turns[0] ? turns[1] : turns[0];
}

static gr_status pass_layers(struct gr_model *model, const float *parameters, size_t n,
                             float *const turns[2], double *squares) {
    gr_status status = GR_OK;
    for (size_t l = model->n_layers; l-- > 0;) {
        struct gr_layer *layer = &model->layers[l];
        float *rows = model->clipping->kept[l];
        if (layer->merged) continue;
        if (l > 0) model->delta_before = place_for(model, layer - 1 - (layer - 1)->merged, turns);
        GR_TRY(gr_layer_backward(model, layer, parameters, n, NULL, rows));
        if (layer->kind->row_norms) GR_TRY(layer->kind->row_norms(model, layer, n, squares));
        if (layer->kind->backward_rows) add_squares(layer, rows, n, squares);
        model->delta = model->delta_before;
    }
out:
    return status;
}

/* Forward and backward over rows of the batch; squares: n, of their gradients' norms. */
static gr_status find_norms(struct gr_model *model, const float *parameters, size_t first, size_t n,
                            double *squares) {
    float *const turns[2] = {model->delta, model->delta_before};
    gr_status status;
    memset(squares, 0, n * sizeof *squares);
    GR_TRY(gr_model_forward(model, parameters, first, n, true));
    model->delta = model->clipping->kept[model->n_layers - 1];
    gr_model_loss(model, first, n, 1.0f, model->delta, NULL);
    GR_TRY(pass_layers(model, parameters, n, turns, squares));
out:
    model->delta = turns[0];
    model->delta_before = turns[1];
    return status;
}

/*
 * Scales a row of derivatives. What falls below the normal numbers becomes zero, for its rounding
 * could be multiplied by a large input. A row that counts as zero is zeroed with what came in: zero
 * times infinity is none.
 */
static void scale_row(float *delta, size_t n, double factor, float *in, size_t n_in) {
    if (!(factor > 0)) {
        memset(delta, 0, n * sizeof *delta);
        memset(in, 0, n_in * sizeof *in);
    }
    for (size_t j = 0; j < n && factor < 1; j++) {
        const float scaled = (float)(factor * (double)delta[j]);
        delta[j] = fabsf(scaled) < FLT_MIN ? 0.0f : scaled;
    }
}

/* to += the rows' stored derivatives, or if fresh =, n_columns each, each times its factor: some
 * columns at a time, which stay in the first cache while the rows go by. */
static void add_stored(const float *rows, size_t stride, size_t n, const double *factors,
                       bool fresh, float *restrict to, size_t n_columns) {
    enum { COLUMNS = 2048 };
    if (fresh) memset(to, 0, n_columns * sizeof *to);
    for (size_t first = 0; first < n_columns; first += COLUMNS) {
        const size_t end = n_columns - first < COLUMNS ? n_columns : first + COLUMNS;
        for (size_t i = 0; i < n; i++) {
            const float factor = round_down(factors[i]);
            const float *row = rows + i * stride;
            if (!(factor > 0)) continue;
            for (size_t j = first; j < end; j++)
                to[j] += factor * row[j];
        }
    }
}

static gr_status add_layer(struct gr_model *model, struct gr_layer *layer, size_t n,
                           const double *factors, bool fresh, float *sum) {
    float *kept = model->clipping->kept[layer - model->layers];
    if (layer->kind->backward_rows) {
        const size_t stride = gr_layer_row_stride(layer);
        add_stored(kept, stride, n, factors, fresh, sum + layer->weight, layer->n_weights);
        add_stored(kept + gr_layer_row_biases(layer), stride, n, factors, fresh, sum + layer->bias,
                   layer->n_biases);
    }
    if (!layer->kind->add_rows) return GR_OK;
    for (size_t i = 0; i < n; i++)
        scale_row(kept + i * layer->outputs, layer->outputs, factors[i],
                  layer->in + i * layer->inputs, layer->inputs);
    float *const delta = model->delta;
    model->delta = kept;
    const gr_status status = layer->kind->add_rows(model, layer, n, fresh, sum);
    model->delta = delta;
    return status;
}

/* sum += rows first .. first + n - 1 of the batch, clipped; sum = the first ones. */
static gr_status add_rows(struct gr_model *model, const float *parameters, size_t first, size_t n,
                          double clip_norm, float *sum) {
    double squares[GR_CLIP_ROWS_MAX], factors[GR_CLIP_ROWS_MAX];
    bool good[GR_CLIP_ROWS_MAX];
    gr_status status;
    for (size_t i = 0; i < n; i++)
        good[i] = admit(model, first + i);
    GR_TRY(find_norms(model, parameters, first, n, squares));
    for (size_t i = 0; i < n; i++)
        factors[i] = good[i] ? factor_of(squares[i], clip_norm) : 0;
    for (size_t l = 0; l < model->n_layers; l++)
        if (!model->layers[l].merged)
            GR_TRY(add_layer(model, &model->layers[l], n, factors, first == 0, sum));
out:
    return status;
}

gr_status gr_model_clipped_sum(struct gr_model *model, const float *parameters, size_t n,
                               double clip_norm, float *sum) {
    gr_status status;
    model->row_by_row = true;
    GR_TRY(check(model, n, n, clip_norm));
    GR_TRY(make_clipping(model));
    const size_t rows = model->clipping->rows;
    GR_TRY(gr_model_make_room(model, rows));
    gr_layout_zero_gaps(&model->layout, sum);
    for (size_t first = 0; first < n; first += rows)
        GR_TRY(add_rows(model, parameters, first, n - first < rows ? n - first : rows, clip_norm,
                        sum));
out:
    model->row_by_row = false;
    model->row_keys = NULL;
    return status;
}

/* ---- units ---------------------------------------------------------------------------------- */

/* sum += a unit's gradient, clipped: rows first .. end - 1, of which there is one at least. */
static gr_status add_unit(struct gr_model *model, const float *parameters, size_t first, size_t end,
                          double clip_norm, float *sum) {
    const struct gr_target target = {.vector = model->clipping->unit};
    const size_t size = model->layout.size;
    double loss_sum = 0, factor;
    bool good = true;
    gr_status status;
    for (size_t i = first; i < end; i++)
        good = admit(model, i) && good;
    GR_TRY(gr_model_pass(model, parameters, first, end - first, 1.0 / (double)(end - first),
                         &target, &loss_sum));
    factor = factor_of(gr_square_sum(target.vector, size), clip_norm);
    if (good && isfinite(loss_sum)) add_stored(target.vector, size, 1, &factor, false, sum, size);
out:
    return status;
}

/*
 * Unit by unit, each gradient apart in memory: rows of a unit may cancel, so that no product of
 * norms bounds the roundings of their sum.
 */
gr_status gr_model_clipped_units(struct gr_model *model, const float *parameters,
                                 const size_t *first_row, size_t n_units, double clip_norm,
                                 float *sum) {
    const size_t size = model->layout.size;
    size_t most = 1;
    gr_status status;
    GR_TRY(check(model, n_units, n_units > GR_CLIP_ROWS_MAX ? 0 : first_row[n_units], clip_norm));
    GR_TRY(make_clipping(model));
    if (!model->clipping->unit)
        GR_TRY(gr_allocate_zero(size, sizeof(float), "a unit's gradient", &model->clipping->unit));
    for (size_t u = 0; u < n_units; u++)
        if (first_row[u + 1] - first_row[u] > most) most = first_row[u + 1] - first_row[u];
    GR_TRY(gr_model_make_room(model, most));
    memset(sum, 0, size * sizeof *sum);
    for (size_t u = 0; u < n_units; u++)
        if (first_row[u + 1] > first_row[u])
            GR_TRY(add_unit(model, parameters, first_row[u], first_row[u + 1], clip_norm, sum));
out:
    model->row_keys = NULL;
    return status;
}
