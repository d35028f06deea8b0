/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The opening of a run: its figures before the first round, as far as they may be told to all. Rows
 * are a sum over silos and leave through the door; where the policy does not let them leave, they
 * are told as -1 and no rank sends anything.
 */
#include "federation/internal.h"

gr_status gr_federation_outline(struct gr_federation *f, struct gr_opening *out) {
    const struct gr_config *config = f->config;
    /* A round's line tells the rows of its participants: with all silos in it that is this sum. */
    const bool told = gr_release_leaves(GR_RELEASE_ROWS, config) && gr_cohort_tells_rows(f->cohort);
    int64_t rows = 0;
    for (size_t i = 0; i < f->data->n_local; i++)
        rows += (int64_t)f->data->local[i].train.n_rows;
    if (told) {
        gr_status status = gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_ROWS, &rows, 1);
        if (status != GR_OK) return status;
    }
    *out = (struct gr_opening){
        .silos = f->data->n_silos,
        .unusable = gr_cohort_unusable(f->cohort),
        .drawn = config->round.participants,
        .ranks = gr_comm_size(f->comm),
        .train_rows = told ? rows : -1,
        .test_rows = (int64_t)f->data->n_test,
        .features = gr_model_inputs(f->model),
        .columns = gr_cohort_columns(f->cohort),
        .classes = gr_model_classes(f->model),
        .parameters = f->layout->n_parameters,
        .model = gr_model_type_text(config->model.type),
        .loss = config->model.loss == GR_LOSS_DEFAULT ? NULL : gr_loss_text(config->model.loss),
        .strategy = config->strategy.name,
        .rounds = config->run.rounds,
        .rounds_done = gr_server_rounds(f->server),
    };
    return GR_OK;
}
