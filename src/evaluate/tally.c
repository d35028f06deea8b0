/* SPDX-License-Identifier: Apache-2.0 */
/* Scores of rows to which noise is added: whole numbers, of which each row adds little and nothing
 * that depends on another row. */
#include <granary/evaluate.h>

#include <math.h>

/* NaN counts as the bound. */
static int64_t cut(double loss, double bound, double steps) {
    return loss <= bound ? llrint(fmax(loss, 0) / bound * steps) : llrint(steps);
}

static gr_status add_row(struct gr_model *model, const float *parameters,
                         const struct gr_rows *rows, size_t row, double bound, double steps,
                         int64_t tally[GR_TALLIES]) {
    double loss;
    size_t right = 0;
    float *weight = gr_model_batch_weights(model);
    gr_rows_gather(rows, NULL, row, 1, gr_model_batch_features(model), gr_model_batch_labels(model),
                   gr_model_batch_targets(model));
    gr_rows_gather_terms(rows, NULL, row, 1, weight, gr_model_batch_offsets(model));
    if (weight) *weight = 1;
    const gr_status status = gr_model_score(model, parameters, 1, &loss, &right);
    if (status != GR_OK && status != GR_ERROR_DATA) return status;
    if (status != GR_OK) loss = (double)NAN; /* it cannot be looked up in the model */
    tally[GR_TALLY_ROWS] += llrint(steps);
    tally[GR_TALLY_LOSS] += cut(loss, bound, steps);
    if (right > 0 && isfinite(loss)) tally[GR_TALLY_RIGHT] += llrint(steps);
    return GR_OK;
}

/* Of a person's n rows each has the same whole number of steps: together at most hers. */
static gr_status add_person(struct gr_model *model, const float *parameters,
                            const struct gr_rows *rows, uint32_t person, double bound, double steps,
                            int64_t tally[GR_TALLIES]) {
    const uint32_t first = rows->persons.first[person], end = rows->persons.first[person + 1];
    const double each = floor(steps / (end - first));
    gr_status status = GR_OK;
    for (uint32_t i = first; i < end; i++)
        GR_TRY(add_row(model, parameters, rows, rows->persons.rows[i], bound, each, tally));
out:
    return status;
}

gr_status gr_evaluate_tally(struct gr_model *model, const float *parameters,
                            const struct gr_rows *rows, double loss_bound, double steps,
                            gr_poll_function poll, void *context, int64_t tally[GR_TALLIES]) {
    gr_status status = GR_OK;
    const bool persons = rows->persons.n > 0;
    for (size_t i = 0; i < (persons ? rows->persons.n : rows->n_rows); i++) {
        if (poll && i % GR_TEST_BATCH == 0) GR_TRY(poll(context));
        GR_TRY(persons ? add_person(model, parameters, rows, (uint32_t)i, loss_bound, steps, tally)
                       : add_row(model, parameters, rows, i, loss_bound, steps, tally));
    }
out:
    return status;
}
