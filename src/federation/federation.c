/* SPDX-License-Identifier: Apache-2.0 */
/* A federation's parts: made together, by all ranks, and released together. */
#include "federation/internal.h"

#include <stdlib.h>
#include <string.h>

/*
 * A model of classes needs labels. A table without column names cannot say that its labels are no
 * classes; all of them 0 beside targets is the sign of it.
 */
static gr_status check_answers(const struct gr_federation *f) {
    const struct gr_data *data = f->data;
    bool targets = data->test.targets != NULL;
    gr_status status = GR_OK;
    if (gr_model_classes(f->model) == 0) return GR_OK;
    GR_TRY(gr_columns_have_label(data->columns));
    for (size_t i = 0; i < data->n_local; i++)
        targets = targets || data->local[i].train.targets != NULL;
    if (targets && data->n_classes == 1)
        status = gr_fail(GR_ERROR_DATA, "/labels: all are 0 beside /targets, and the model has "
                                        "classes: model.type is to be one for numbers");
out:
    return status;
}

/*
 * Model and parts: all local, so that one agreement after it is enough. The order follows from
 * dependencies: the layout is the model's, kept borrows the server's counts, the round comes last
 * because its aggregator needs the strategy's number of vectors.
 */
static gr_status make_parts(struct gr_federation *f) {
    gr_status status = GR_OK;
    const struct gr_config *config = f->config;
    /* Private steps take micro-batches, whatever is expected in a step. */
    size_t batch_max = gr_training_is_private(config) ? GR_CLIP_ROWS_MAX : config->train.batch_size;
    if (batch_max < GR_TEST_BATCH) batch_max = GR_TEST_BATCH;
    GR_TRY(gr_inputs_create_model(f, batch_max));
    GR_TRY(gr_inputs_use_terms(f));
    GR_TRY(check_answers(f));
    f->layout = gr_model_layout(f->model);
    GR_TRY(gr_sublayout_create(f->layout, NULL, &f->travels));
    GR_TRY(gr_server_create(config, f->model, &f->server));
    GR_TRY(gr_best_create(config, f->layout, &f->best));
    GR_TRY(gr_training_create(f));
    GR_TRY(gr_spending_create(f));
    GR_TRY(gr_scores_create(f, &f->scores));
    GR_TRY(gr_unscored_create(config->data.silos, &f->unscored));
    GR_TRY(gr_kept_create(config, f->data, f->layout, gr_server_silo_rounds(f->server), &f->kept));
    GR_TRY(gr_round_create(f));
out:
    return status;
}

static gr_status allocate(struct gr_cohort *cohort, struct gr_federation **out) {
    gr_status status = gr_allocate_zero(1, sizeof **out, "a federation", out);
    if (status != GR_OK) return status;
    **out = (struct gr_federation){.comm = gr_cohort_comm(cohort),
                                   .config = gr_cohort_config(cohort),
                                   .cohort = cohort,
                                   .data = gr_cohort_data(cohort)};
    return GR_OK;
}

/*
 * Each stretch that may fail on some ranks only ends with an agreement. gr_inputs_check may exclude
 * silos, and so comes before gr_cohort_count counts those that are left.
 */
gr_status gr_federation_create(struct gr_cohort *cohort, struct gr_federation **out) {
    struct gr_comm *comm = gr_cohort_comm(cohort);
    gr_status status = GR_OK;
    struct gr_federation *f = NULL;
    *out = NULL;
    GR_TRY(gr_cohort_load(cohort));
    GR_TRY(gr_comm_agree(comm, allocate(cohort, &f)));
    GR_TRY(gr_comm_agree(comm, make_parts(f)));
    GR_TRY(gr_comm_agree(comm, gr_inputs_check(f)));
    GR_TRY(gr_cohort_count(cohort));
    GR_TRY(gr_comm_agree(comm, gr_inputs_weigh_classes(f)));
    *out = f;
    f = NULL;
out:
    gr_federation_free(f);
    return status;
}

/* ---- respawned ------------------------------------------------------------------------------ */

/* The members' side; its collectives pair with those of gr_federation_join, call by call. */
gr_status gr_federation_welcome(struct gr_federation *f) {
    gr_status status = GR_OK;
    GR_TRY(gr_cohort_welcome(f->cohort));
    GR_TRY(gr_comm_agree(f->comm, GR_OK)); /* respawned ranks have made their model */
    status = gr_federation_share_state(f);
out:
    return status;
}

/*
 * The respawned rank's side. Until the first agreement it only works locally, and errors return at
 * once: this process ends, the members see it as a lost rank, and go on.
 */
gr_status gr_federation_join(struct gr_cohort *cohort, struct gr_federation **out) {
    struct gr_comm *comm = gr_cohort_comm(cohort);
    gr_status status = GR_OK;
    struct gr_federation *f = NULL;
    *out = NULL;
    GR_TRY(gr_cohort_join(cohort));
    GR_TRY(allocate(cohort, &f));
    /* An error of a respawned rank is its own affair: it leaves, and the others go on. */
    GR_TRY(make_parts(f));
    GR_TRY(gr_inputs_check(f));
    gr_cohort_scale_weights(f->cohort);
    GR_TRY(gr_inputs_weigh_classes(f));
    GR_TRY(gr_comm_agree(comm, GR_OK));
    GR_TRY(gr_federation_share_state(f));
    *out = f;
    f = NULL;
out:
    gr_federation_free(f);
    return status;
}

void gr_federation_free(struct gr_federation *f) {
    if (!f) return;
    gr_round_free(f->round);
    gr_kept_free(f->kept);
    gr_unscored_free(f->unscored);
    gr_scores_free(f->scores);
    gr_spending_free(f);
    gr_training_free(f);
    gr_best_free(f->best);
    gr_server_free(f->server);
    gr_sublayout_release(&f->travels);
    gr_model_free(f->model);
    gr_free(f);
}

/* ---- the state ------------------------------------------------------------------------------ */

/*
 * Collective, whenever a member lacks the state. The last agreement makes sure that all have
 * received everything before any says that it has it (gr_control_has_state): a rank that dies in
 * between leaves the others in need of the state, and it is shared again.
 */
gr_status gr_federation_share_state(struct gr_federation *f) {
    struct gr_roster *roster = gr_round_roster(f);
    gr_status status;
    gr_round_shares_model(f);
    GR_TRY(gr_server_share(f->server, f->comm));
    /* Of the round that may be committed: all must end with it, or none. */
    GR_TRY(gr_comm_broadcast(f->comm, &roster->stop_requested, sizeof roster->stop_requested));
    GR_TRY(gr_best_share(f));
    GR_TRY(gr_scores_share(f)); /* of a round that is scored: nobody counts again */
    GR_TRY(gr_comm_agree(f->comm, GR_OK));
    roster->send_state = false;
    gr_control_has_state(f->comm);
out:
    return status;
}

uint32_t gr_federation_rounds_done(const struct gr_federation *f) {
    return gr_server_rounds(f->server);
}

void gr_federation_state(struct gr_federation *f, struct gr_state *out) {
    memset(out, 0, sizeof *out);
    gr_server_state(f->server, out);
    gr_best_state(f, out);
    out->class_counts = gr_cohort_class_counts(f->cohort);
    out->n_class_counts = out->class_counts ? gr_cohort_classes(f->cohort) : 0;
    if (f->data->preprocessing) out->preprocessing = gr_preprocessing_text(f->data->preprocessing);
}

gr_status gr_federation_resume(struct gr_federation *f, const struct gr_state *state) {
    gr_server_resume(f->server, state);
    gr_best_resume(f->best, state);
    return gr_inputs_weigh_classes(f);
}

const char *gr_federation_architecture(const struct gr_federation *f) {
    return gr_server_architecture(f->server);
}
