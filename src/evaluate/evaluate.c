/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate: scores of a model on rows, as integer sums. */
#include <granary/evaluate.h>

#include <math.h>

/* 2^42 units of 1, on a grid of 2^-20, leave one bit below int64's sign. */
static const double loss_limit = 0x1p42;

gr_status gr_loss_to_grid(double loss_sum, int64_t *out) {
    *out = 0;
    if (!(fabs(loss_sum) <= loss_limit))
        return gr_fail(GR_ERROR_DATA, "a sum of losses is %g, expected a number within +-2^42",
                       loss_sum);
    *out = llrint(ldexp(loss_sum, GR_LOSS_BITS));
    return GR_OK;
}

double gr_loss_mean(int64_t loss, int64_t examples) {
    return examples > 0 ? ldexp((double)loss, -GR_LOSS_BITS) / (double)examples : (double)NAN;
}

double gr_score_accuracy(const struct gr_score *score) {
    return score->examples > 0 ? (double)score->correct / (double)score->examples : (double)NAN;
}

gr_status gr_evaluate_rows(struct gr_model *model, const float *parameters,
                           const struct gr_rows *rows, struct gr_score *out,
                           struct gr_tally *tally) {
    gr_status status = GR_OK;
    *out = (struct gr_score){0};
    for (size_t first = 0; first < rows->n_rows; first += GR_TEST_BATCH) {
        const size_t left = rows->n_rows - first, n = left < GR_TEST_BATCH ? left : GR_TEST_BATCH;
        double loss_sum;
        size_t correct;
        int64_t loss;
        gr_rows_gather(rows, NULL, first, n, gr_model_batch_features(model),
                       gr_model_batch_labels(model), gr_model_batch_targets(model));
        GR_TRY(gr_model_score(model, parameters, n, &loss_sum, &correct));
        GR_TRY(gr_loss_to_grid(loss_sum, &loss));
        out->examples += (int64_t)n;
        out->correct += (int64_t)correct;
        out->loss += loss;
        if (tally && gr_model_classes(model) > 0)
            GR_TRY(gr_tally_add_classes(tally, gr_model_logits(model), gr_model_batch_labels(model),
                                        n));
        else if (tally)
            GR_TRY(gr_tally_add_numbers(tally, gr_model_logits(model),
                                        gr_model_batch_targets(model), n));
    }
out:
    return status;
}
