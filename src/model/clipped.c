/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clipped: sums of clipped gradients. Privacy rests on what they promise of each row, so that
 * nothing in a row's own gradient may depend on the rows beside it.
 */
#include <model/network.h>

#include <math.h>
#include <string.h>

void gr_model_key_rows(struct gr_model *model, uint64_t step, const uint32_t *rows) {
    model->step = step;
    model->row_keys = rows;
}

/* Dropout's own stream runs over all rows of a batch: a row less would give the others other
 * masks. */
static gr_status check(const struct gr_model *model, size_t n, double clip_norm) {
    if (model->compute != GR_COMPUTE_FLOAT32)
        return gr_fail(GR_ERROR_CONFIG, "model.compute: found %s, allowed float32 with privacy",
                       gr_compute_text(model->compute));
    if (n < 1 || n > GR_CLIP_ROWS_MAX || !(clip_norm > 0))
        return gr_fail(GR_ERROR_INTERNAL,
                       "clipped sum: %zu units to a norm of %g, expected 1 to %d", n, clip_norm,
                       GR_CLIP_ROWS_MAX);
    for (size_t l = 0; l < model->n_layers && !model->row_keys; l++)
        if (model->layers[l].config.type == GR_LAYER_DROPOUT)
            return gr_fail(GR_ERROR_INTERNAL, "clipped sum: rows have no keys for dropout");
    return GR_OK;
}

/* ---- rows that cannot be taken -------------------------------------------------------------- */

/* The sum of magnitudes that are finite is finite, in double. */
static bool is_finite(const float *x, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += fabs((double)x[i]);
    return isfinite(sum);
}

/* Whether a row can pass. One that cannot is zeroed, which any layer takes. */
static bool admit(struct gr_model *model, size_t row) {
    const struct gr_layer *front = &model->layers[0];
    float *features = model->features + row * model->inputs;
    const bool good = is_finite(features, model->inputs) &&
                      (!front->kind->check || front->kind->check(front, features, 1) == GR_OK);
    if (!good) memset(features, 0, model->inputs * sizeof *features);
    return good;
}

/* ---- units ---------------------------------------------------------------------------------- */

/* The factor of a gradient of that squared norm; rounded down, so that none is longer for it. */
static float factor_of(double square, double clip_norm) {
    const double norm = sqrt(square);
    if (!isfinite(norm)) return 0;
    if (norm <= clip_norm) return 1;
    const float factor = (float)(clip_norm / norm);
    return (double)factor > clip_norm / norm ? nextafterf(factor, 0) : factor;
}

/* sum += a unit's gradient, clipped: rows first .. end - 1, of which there is one at least. */
static gr_status add_unit(struct gr_model *model, const float *parameters, size_t first, size_t end,
                          double clip_norm, float *sum) {
    const struct gr_target target = {.vector = model->unit};
    const size_t size = model->layout.size;
    double loss_sum = 0;
    bool good = true;
    gr_status status;
    for (size_t i = first; i < end; i++)
        good = admit(model, i) && good;
    GR_TRY(gr_model_pass(model, parameters, first, end - first, 1.0 / (double)(end - first),
                         &target, NULL, &loss_sum));
    const float factor = factor_of(gr_square_sum(model->unit, size), clip_norm);
    if (!good || !isfinite(loss_sum) || !(factor > 0)) goto out;
    for (size_t i = 0; i < size; i++)
        sum[i] += factor * model->unit[i];
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
    GR_TRY(check(model, n_units, clip_norm));
    for (size_t u = 0; u < n_units; u++)
        if (first_row[u + 1] - first_row[u] > most) most = first_row[u + 1] - first_row[u];
    GR_TRY(gr_model_make_room(model, most));
    if (!model->unit)
        GR_TRY(gr_allocate_zero(size, sizeof(float), "a unit's gradient", &model->unit));
    memset(sum, 0, size * sizeof *sum);
    for (size_t u = 0; u < n_units; u++)
        if (first_row[u + 1] > first_row[u])
            GR_TRY(add_unit(model, parameters, first_row[u], first_row[u + 1], clip_norm, sum));
out:
    model->row_keys = NULL;
    return status;
}

/* Each row is a unit. */
gr_status gr_model_clipped_sum(struct gr_model *model, const float *parameters, size_t n,
                               double clip_norm, float *sum) {
    size_t first_row[GR_CLIP_ROWS_MAX + 1];
    for (size_t i = 0; i <= GR_CLIP_ROWS_MAX; i++)
        first_row[i] = i;
    return gr_model_clipped_units(model, parameters, first_row, n, clip_norm, sum);
}
