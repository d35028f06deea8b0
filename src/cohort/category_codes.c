/* SPDX-License-Identifier: Apache-2.0 */
/* Which features are codes of categories, where the config's model is to look them up. */
#include "cohort/cohort_parts.h"

/* Nothing is needed, and `categories` stays NULL, unless the model has an embedding; known from the
 * config, so it is the same on all ranks. */
static gr_status make_room(struct gr_cohort *cohort) {
    if (cohort->config->model.embedding == 0 || cohort->categories) return GR_OK;
    return gr_allocate_zero(cohort->data->n_features, sizeof *cohort->categories, "categories",
                            &cohort->categories);
}

gr_status gr_codes_find(struct gr_cohort *cohort) {
    const struct gr_columns *columns = cohort->data->columns;
    gr_status status;
    GR_TRY(gr_comm_agree(cohort->comm, make_room(cohort)));
    if (!cohort->categories) return GR_OK;
    for (size_t i = 0; columns && i < columns->n_features && i < cohort->data->n_features; i++)
        if (columns->features[i].kind == GR_FEATURE_CODE)
            cohort->categories[i] = columns->features[i].n_categories;
    /* A rank without rows has no columns. */
    status = gr_release_max(cohort->door, GR_RELEASE_CODES, cohort->categories,
                            cohort->data->n_features);
out:
    return status;
}

/* No agreement on memory: a respawned rank that has none fails alone, as by gr_cohort_join. */
gr_status gr_codes_share(struct gr_cohort *cohort) {
    gr_status status;
    GR_TRY(make_room(cohort));
    if (cohort->categories)
        status = gr_comm_broadcast(cohort->comm, cohort->categories,
                                   cohort->data->n_features * sizeof *cohort->categories);
out:
    return status;
}
