/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model for a cohort's rows: its inputs, the codes that it looks up, and how rows and classes
 * weigh in its loss.
 */
#include "federation/internal.h"

#include <string.h>

/*
 * The features that the model looks up in a table of embeddings, ascending, each with its number of
 * categories. The numbers come from the cohort's schema and fit, so they are the same on all ranks.
 * *list: NULL or caller frees.
 */
static gr_status list_codes(const struct gr_federation *f, struct gr_code **list, size_t *n) {
    const int64_t *categories = gr_cohort_categories(f->cohort);
    gr_status status;
    *n = 0;
    *list = NULL;
    if (!categories) return GR_OK;
    GR_TRY(gr_allocate(f->data->n_features, sizeof **list, "codes", list));
    for (size_t i = 0; i < f->data->n_features; i++)
        if (categories[i] > 0)
            (*list)[(*n)++] = (struct gr_code){(uint32_t)i, (uint32_t)categories[i]};
out:
    return status;
}

/*
 * batch_max is in rows; the model allocates its buffers for it once, for training and evaluation.
 */
gr_status gr_inputs_create_model(struct gr_federation *f, size_t batch_max) {
    struct gr_row_shape row = {.n_dims = f->data->n_dims};
    struct gr_code *list = NULL;
    size_t n = 0;
    gr_status status;
    memcpy(row.dims, f->data->shape, sizeof row.dims);
    GR_TRY(list_codes(f, &list, &n));
    status = gr_model_create_shaped(&f->config->model, &row, &(struct gr_codes){n, list},
                                    f->data->n_classes, batch_max, &f->model);
out:
    gr_free(list);
    return status;
}

/*
 * All rows are looked at once before the first round, in batches of the size that the model's
 * buffers allow. Otherwise a code out of range would be found in the middle of a round, by one
 * rank.
 */
static gr_status check_rows(const struct gr_federation *f, const struct gr_rows *rows) {
    gr_status status = GR_OK;
    for (size_t first = 0, n; first < rows->n_rows; first += n) {
        n = rows->n_rows - first < GR_TEST_BATCH ? rows->n_rows - first : GR_TEST_BATCH;
        gr_rows_gather(rows, NULL, first, n, gr_model_batch_features(f->model),
                       gr_model_batch_labels(f->model), gr_model_batch_targets(f->model));
        GR_TRY(gr_model_check_batch(f->model, n));
    }
out:
    return status;
}

/* A silo whose rows cannot be looked up has none, as one whose table cannot be read. With
 * differential privacy that would show: such a row counts as zero when it is drawn or scored, and
 * the update of a silo with one as no change. */
static gr_status check_silo(const struct gr_federation *f, struct gr_silo *silo) {
    gr_status status = check_rows(f, &silo->train);
    if (status == GR_OK) status = check_rows(f, &silo->validation);
    if (status == GR_OK) status = check_rows(f, &silo->test);
    return gr_cohort_exclude(f->cohort, silo, status);
}

/*
 * A common test table is different from a silo's: a bad code in it is an error of the run, as no
 * silo can sit out for it.
 */
gr_status gr_inputs_check(struct gr_federation *f) {
    gr_status status = GR_OK;
    if (!gr_model_looks_up(f->model)) return GR_OK;
    for (size_t i = 0; i < f->data->n_local && !gr_is_private(f->config); i++)
        if (f->data->local[i].unusable == GR_OK) GR_TRY(check_silo(f, &f->data->local[i]));
    status = check_rows(f, &f->data->test);
    if (status == GR_ERROR_DATA) status = gr_fail_context(status, "test table: ");
out:
    return status;
}

gr_status gr_inputs_use_terms(struct gr_federation *f) {
    const struct gr_row_terms *terms = gr_cohort_terms(f->cohort);
    gr_status status = GR_OK;
    if (terms->weights) GR_TRY(gr_model_use_weights(f->model));
    if (terms->offsets) GR_TRY(gr_model_use_offsets(f->model));
out:
    return status;
}

/*
 * The counts are those of the run's beginning, also after a resume: a checkpoint stores them, for
 * other weights would be another loss.
 */
gr_status gr_inputs_weigh_classes(struct gr_federation *f) {
    const int64_t *counts = gr_cohort_class_counts(f->cohort);
    return counts ? gr_model_balance_classes(f->model, counts) : GR_OK;
}
