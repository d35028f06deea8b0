/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scores of a model on rows, as integer sums. Each batch's loss is rounded once to a fixed grid
 * (gr_real_add); integers add up to the same bits in any order, so the score does not depend on how
 * rows are dealt to ranks, as long as they are dealt in whole batches of GR_TEST_BATCH.
 */
#include <granary/evaluate.h>

#include <math.h>
#include <string.h>

_Static_assert(sizeof(struct gr_score) == GR_SCORE_SUMS * sizeof(int64_t),
               "gr_score is an array of int64_t");

/*
 * The status is GR_ERROR_DATA and not an internal error: a diverged model, or an absurd row, is the
 * usual cause, and callers leave the rows out.
 */
gr_status gr_loss_add(int64_t loss[GR_REAL_WORDS], double loss_sum) {
    return gr_real_add(loss, loss_sum)
               ? GR_OK
               : gr_fail(GR_ERROR_DATA, "a sum of losses is %g, expected a number within +-2^70",
                         loss_sum);
}

/* The quotient is taken in long double, as sums of several words have more bits than a double. */
double gr_loss_mean(const int64_t loss[GR_REAL_WORDS], const int64_t weight[GR_REAL_WORDS]) {
    const long double all = gr_real_value(weight);
    return all > 0 ? (double)(gr_real_value(loss) / all) : (double)NAN;
}

double gr_score_loss(const struct gr_score *score) {
    const long double weight = (long double)score->weight / (long double)GR_WEIGHT_ONE;
    return weight > 0 ? (double)(gr_real_value(score->loss) / weight) : (double)NAN;
}

void gr_score_add(struct gr_score *sum, const struct gr_score *part) {
    sum->examples += part->examples;
    sum->correct += part->correct;
    sum->weight += part->weight;
    for (size_t w = 0; w < GR_REAL_WORDS; w++)
        sum->loss[w] += part->loss[w];
}

double gr_score_accuracy(const struct gr_score *score) {
    return score->weight > 0 ? (double)score->correct / (double)score->weight : (double)NAN;
}

/*
 * Rows come in whole counts, so an exact share gives away a count of few right or few wrong rows.
 * Weights tell more still, since a sum of distinct weights may tell which rows are in it: with them
 * every accuracy is coarsened.
 */
double gr_score_accuracy_told(const struct gr_score *score, uint32_t least) {
    const int64_t right = score->correct, wrong = score->weight - score->correct;
    const int64_t few = (int64_t)least * GR_WEIGHT_ONE;
    const bool weighted = score->weight != score->examples * GR_WEIGHT_ONE;
    const bool shows = weighted || (right > 0 && right < few) || (wrong > 0 && wrong < few);
    return gr_round_step(gr_score_accuracy(score),
                         shows ? gr_share_step(score->examples, least) : 0);
}

/*
 * Secondary suppression (Hundepool et al. 2012): with a single withheld silo its score follows from
 * the total minus the others. Two withheld silos protect each other only if a sum over both has
 * minimum_rows rows, which n_withheld >= minimum_rows makes sure of, with a row in each.
 */
size_t gr_scores_withhold_more(const int64_t *told, size_t n, int64_t n_withheld,
                               int64_t minimum_rows) {
    size_t i = 0;
    if (n_withheld == 0 || (n_withheld > 1 && n_withheld >= minimum_rows)) return n;
    while (i < n && told[i] == 0)
        i++;
    return i;
}

/*
 * Adds the batch's weights, and the weights of its rows whose likeliest label is their own, in
 * units of 2^-GR_WEIGHT_BITS. Without weights the model's own count of right rows suffices; with
 * them it is counted again here, first of ties as in the model.
 */
static void add_weights(struct gr_model *model, size_t n, size_t correct, struct gr_score *out) {
    const float *weights = gr_model_batch_weights(model), *z = gr_model_logits(model);
    const int32_t *labels = gr_model_batch_labels(model);
    const size_t classes = gr_model_classes(model);
    if (!weights) {
        out->weight += (int64_t)n * GR_WEIGHT_ONE;
        out->correct += (int64_t)correct * GR_WEIGHT_ONE;
        return;
    }
    for (size_t i = 0; i < n; i++, z += classes) {
        size_t best = 0;
        for (size_t c = 1; c < classes; c++)
            if (z[c] > z[best]) best = c;
        out->weight += gr_weight_units(weights, i);
        if (classes > 0 && best == (size_t)labels[i]) out->correct += gr_weight_units(weights, i);
    }
}

static gr_status accumulator_batch(struct gr_model *model, size_t n,
                                   struct gr_accumulator *accumulator) {
    const float *logits = gr_model_logits(model), *weights = gr_model_batch_weights(model);
    if (gr_model_classes(model) > 0)
        return gr_accumulator_add_classes(accumulator, logits, gr_model_batch_labels(model),
                                          weights, n);
    return gr_accumulator_add_numbers(accumulator, logits, gr_model_batch_targets(model), weights,
                                      n);
}

/*
 * Batches begin at multiples of GR_TEST_BATCH of `rows`, in order: kernels may round a row by its
 * place in a batch, so other batches would give other bits. On an error `out` and accumulator are
 * partly filled; the caller is to drop both. A rank that is waited for gives signs of life by
 * `poll`.
 */
gr_status gr_evaluate_heard(struct gr_model *model, const float *parameters,
                            const struct gr_rows *rows, gr_poll_function poll, void *context,
                            struct gr_score *out, struct gr_accumulator *accumulator,
                            const struct gr_row_listener *listener) {
    gr_status status = GR_OK;
    *out = (struct gr_score){0};
    for (size_t first = 0; first < rows->n_rows; first += GR_TEST_BATCH) {
        const size_t left = rows->n_rows - first, n = left < GR_TEST_BATCH ? left : GR_TEST_BATCH;
        double loss_sum;
        size_t correct;
        if (poll) GR_TRY(poll(context));
        gr_rows_gather(rows, NULL, first, n, gr_model_batch_features(model),
                       gr_model_batch_labels(model), gr_model_batch_targets(model));
        gr_rows_gather_terms(rows, NULL, first, n, gr_model_batch_weights(model),
                             gr_model_batch_offsets(model));
        GR_TRY(gr_model_score(model, parameters, n, &loss_sum, &correct));
        GR_TRY(gr_loss_add(out->loss, loss_sum));
        out->examples += (int64_t)n;
        add_weights(model, n, correct, out);
        if (accumulator) GR_TRY(accumulator_batch(model, n, accumulator));
        for (const struct gr_row_listener *l = listener; l; l = l->next)
            GR_TRY(l->hear(l->context, model, rows, first, n));
    }
out:
    return status;
}

gr_status gr_evaluate_rows(struct gr_model *model, const float *parameters,
                           const struct gr_rows *rows, gr_poll_function poll, void *context,
                           struct gr_score *out, struct gr_accumulator *accumulator) {
    return gr_evaluate_heard(model, parameters, rows, poll, context, out, accumulator, NULL);
}
