/* SPDX-License-Identifier: Apache-2.0 */
/* A federation's parts: made together, by all ranks, and released together. */
#include "federation/internal.h"

#include <stdlib.h>
#include <string.h>

/* A model of classes needs labels; tables without columns do not say what theirs are worth. */
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

/* Room for what rows that are held out are counted in. */
static gr_status make_scores(struct gr_federation *f) {
    gr_status status = GR_OK;
    const struct gr_config *config = f->config;
    const struct gr_row_terms *terms = gr_cohort_terms(f->cohort);
    GR_TRY(gr_accumulator_create(gr_model_classes(f->model), &f->accumulator));
    GR_TRY(gr_accumulator_create(gr_model_classes(f->model), &f->total));
    if (terms->weights && terms->held_exponent != GR_WEIGHT_NONE)
        gr_accumulator_set_exponent(f->total, (int)terms->held_exponent);
    GR_TRY(gr_accumulator_create(gr_model_classes(f->model), &f->silo_accumulator));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "scores", &f->unscored.own));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "scores", &f->unscored.all));
    GR_TRY(gr_allocate_zero(config->data.silos, sizeof *f->unscored.room, "scores",
                            &f->unscored.room));
    if (config->evaluate.per_silo) {
        GR_TRY(gr_allocate_zero(config->data.silos + 1U, sizeof *f->silo_scores, "silos' scores",
                                &f->silo_scores));
        GR_TRY(gr_allocate_zero(config->data.silos + 1U, sizeof *f->silo_total, "silos' scores",
                                &f->silo_total));
        GR_TRY(gr_allocate_zero(config->data.silos, sizeof *f->silo_metrics, "silos' metrics",
                                &f->silo_metrics));
        GR_TRY(gr_allocate_zero(config->data.silos, sizeof *f->silo_metrics_total, "silos' metrics",
                                &f->silo_metrics_total));
        GR_TRY(
            gr_allocate(config->data.silos, sizeof *f->silo_room, "silos' scores", &f->silo_room));
    }
out:
    return status;
}

/* Model, trainer and vectors: all local. */
static gr_status make_model(struct gr_federation *f) {
    gr_status status = GR_OK;
    const struct gr_config *config = f->config;
    size_t batch_max = config->train.batch_size;
    if (batch_max < GR_TEST_BATCH) batch_max = GR_TEST_BATCH;
    GR_TRY(gr_inputs_create_model(f, batch_max));
    GR_TRY(gr_inputs_use_terms(f));
    GR_TRY(check_answers(f));
    f->layout = gr_model_layout(f->model);
    GR_TRY(gr_model_describe(f->model, &f->architecture));
    GR_TRY(gr_trainer_create(&config->train, config->run.seed, f->model, &f->trainer));
    GR_TRY(gr_allocate_zero(f->layout->size, sizeof(float), "the model", &f->parameters));
    GR_TRY(gr_model_initialise(f->model, config->run.seed, f->parameters));
    for (size_t i = 0; i < f->strategy->n_server; i++)
        GR_TRY(gr_allocate_zero(f->layout->size, sizeof(float), "server state", &f->server[i]));
    if (f->strategy->start) f->strategy->start(&config->strategy, f->server, f->layout->size);
    GR_TRY(gr_best_create(f));
    GR_TRY(gr_allocate_zero(f->data->n_local, sizeof *f->update, "updates", &f->update));
    GR_TRY(gr_allocate_zero(f->data->n_local, sizeof *f->contribution, "contributions",
                            &f->contribution));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "the selection", &f->selected));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "the selection", &f->asked));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "participation", &f->lost));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "participation", &f->late));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "participation", &f->returned));
    GR_TRY(gr_allocate_zero(1, sizeof *f->sums, "sums", &f->sums));
    GR_TRY(gr_allocate_zero(1, sizeof *f->total_sums, "sums of a round", &f->total_sums));
    GR_TRY(gr_allocate_zero(1, sizeof *f->scored, "sums", &f->scored));
    GR_TRY(gr_allocate_zero(1, sizeof *f->total_sums, "sums", &f->total_sums));
    GR_TRY(make_scores(f));
    if (config->round.replay[0])
        GR_TRY(gr_replay_open(config->round.replay, config->data.silos, &f->replay));
    GR_TRY(gr_allocate_zero(config->data.silos, sizeof *f->silo_rounds, "participation",
                            &f->silo_rounds));
    GR_TRY(gr_roster_create(config->data.silos, &f->roster));
    GR_TRY(gr_kept_create(f));
    const struct gr_combination combination = {f->strategy->combine, &config->strategy};
    if (combination.combine)
        status = gr_aggregator_create_combining(f->comm, f->layout, &combination, &f->aggregator);
    else
        status =
            gr_aggregator_create(f->comm, f->layout, config->aggregation.encoding, &f->aggregator);
out:
    return status;
}

static gr_status allocate(struct gr_cohort *cohort, struct gr_federation **out) {
    gr_status status = GR_OK;
    struct gr_federation *f = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *f, "a federation", &f));
    f->comm = gr_cohort_comm(cohort);
    f->config = gr_cohort_config(cohort);
    f->cohort = cohort;
    f->data = gr_cohort_data(cohort);
    f->strategy = gr_strategy_find(f->config->strategy.name);
    *out = f;
    GR_TRY(gr_allocate_zero(f->config->data.silos, 1, "what was heard", &f->heard));
out:
    return status;
}

gr_status gr_federation_create(struct gr_cohort *cohort, struct gr_federation **out) {
    struct gr_comm *comm = gr_cohort_comm(cohort);
    gr_status status = GR_OK;
    struct gr_federation *f = NULL;
    *out = NULL;
    GR_TRY(gr_cohort_load(cohort));
    GR_TRY(gr_comm_agree(comm, allocate(cohort, &f)));
    GR_TRY(gr_comm_agree(comm, make_model(f)));
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

gr_status gr_federation_welcome(struct gr_federation *f) {
    gr_status status = GR_OK;
    GR_TRY(gr_cohort_welcome(f->cohort));
    GR_TRY(gr_comm_agree(f->comm, GR_OK)); /* respawned ranks have made their model */
    status = gr_federation_share_state(f);
out:
    return status;
}

gr_status gr_federation_join(struct gr_cohort *cohort, struct gr_federation **out) {
    struct gr_comm *comm = gr_cohort_comm(cohort);
    gr_status status = GR_OK;
    struct gr_federation *f = NULL;
    *out = NULL;
    GR_TRY(gr_cohort_join(cohort));
    GR_TRY(allocate(cohort, &f));
    /* What is wrong with a respawned rank is its own affair: it leaves, and the others go on. */
    GR_TRY(make_model(f));
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
    gr_aggregator_free(f->aggregator);
    gr_roster_release(&f->roster);
    gr_kept_free(f);
    for (size_t i = 0; f->update && i < f->data->n_local; i++)
        gr_free(f->update[i]);
    gr_free(f->update);
    gr_free(f->contribution);
    gr_replay_close(f->replay);
    gr_free(f->unscored.own);
    gr_free(f->unscored.all);
    gr_free(f->unscored.room);
    gr_free(f->heard);
    gr_free(f->sums);
    gr_free(f->scored);
    gr_free(f->total_sums);
    gr_free(f->silo_room);
    gr_accumulator_free(f->silo_accumulator);
    gr_free(f->silo_metrics_total);
    gr_free(f->silo_metrics);
    gr_free(f->silo_total);
    gr_free(f->silo_scores);
    gr_accumulator_free(f->total);
    gr_accumulator_free(f->accumulator);
    gr_free(f->returned);
    gr_free(f->late);
    gr_free(f->lost);
    gr_free(f->asked);
    gr_free(f->selected);
    gr_free(f->silo_rounds);
    for (size_t i = 0; i < GR_SERVER_VECTORS_MAX; i++)
        gr_free(f->server[i]);
    gr_free(f->best.parameters);
    gr_free(f->parameters);
    gr_free(f->architecture);
    gr_trainer_free(f->trainer);
    gr_model_free(f->model);
    gr_free(f);
}

uint32_t gr_federation_rounds_done(const struct gr_federation *f) {
    return f->rounds_done;
}

void gr_federation_state(struct gr_federation *f, struct gr_state *out) {
    memset(out, 0, sizeof *out);
    out->round = f->rounds_done;
    out->layout = f->layout;
    out->parameters = f->parameters;
    out->n_server = f->strategy->n_server;
    for (size_t i = 0; i < out->n_server; i++) {
        out->server_name[i] = f->strategy->server_name[i];
        out->server[i] = f->server[i];
    }
    gr_best_state(f, out);
    out->n_silos = f->data->n_silos;
    out->silo_rounds = f->silo_rounds;
    out->class_counts = gr_cohort_class_counts(f->cohort);
    out->n_class_counts = out->class_counts ? gr_cohort_classes(f->cohort) : 0;
    out->architecture = f->architecture;
    if (f->data->preprocessing) out->preprocessing = gr_preprocessing_text(f->data->preprocessing);
}

gr_status gr_federation_resume(struct gr_federation *f, const struct gr_state *state) {
    f->rounds_done = state->round;
    f->best.round = state->best_round;
    f->best.value = state->best_value;
    return gr_inputs_weigh_classes(f);
}

const char *gr_federation_architecture(const struct gr_federation *f) {
    return f->architecture;
}
