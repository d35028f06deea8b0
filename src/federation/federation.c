/* SPDX-License-Identifier: Apache-2.0 */
/* A federation's parts: made together, by all ranks, and released together. */
#include "federation/internal.h"

#include <stdlib.h>
#include <string.h>

/* What all ranks must agree on of their data. */
enum { N_CLASSES, N_FEATURES, N_DIMS, DIMS, N_SHAPE = DIMS + GR_TENSOR_DIMS_MAX };

static void shape_of(const struct gr_data *data, int64_t shape[N_SHAPE]) {
    shape[N_CLASSES] = data->n_classes;
    shape[N_FEATURES] = (int64_t)data->n_features;
    shape[N_DIMS] = (int64_t)data->n_dims;
    for (size_t i = 0; i < GR_TENSOR_DIMS_MAX; i++)
        shape[DIMS + i] = (int64_t)data->shape[i];
}

/* A rank without rows takes the others' shape. Returns whether it is, then, the same. */
static bool take_shape(struct gr_data *data, const int64_t shape[N_SHAPE]) {
    int64_t own[N_SHAPE];
    if (data->n_features == 0) {
        data->n_features = (size_t)shape[N_FEATURES];
        data->n_dims = (size_t)shape[N_DIMS];
        for (size_t i = 0; i < GR_TENSOR_DIMS_MAX; i++)
            data->shape[i] = (size_t)shape[DIMS + i];
    }
    shape_of(data, own);
    return memcmp(own + N_FEATURES, shape + N_FEATURES, (N_SHAPE - N_FEATURES) * sizeof *own) == 0;
}

/* The silos of this rank's slot, and the rank's share of the test table; shape: what `given` says.
 */
static gr_status read_share(struct gr_federation *f, const struct gr_share *given,
                            uint32_t *silos) {
    struct gr_share share = *given;
    share.n_silos = f->config->data.silos;
    share.silos = silos;
    share.test_index = (uint32_t)gr_comm_rank(f->comm);
    share.test_count = (uint32_t)gr_comm_size(f->comm);
    gr_place_silos(f->config->run.placement, share.n_silos, gr_comm_slot(f->comm),
                   gr_comm_slots(f->comm), silos, &share.n_local);
    return gr_data_load(f->config, &share, &f->data);
}

/*
 * Collective. A table that all read must be the same for all: of two copies each rank would train
 * on its own. Silos' own tables are theirs alone.
 */
static gr_status compare_tables(struct gr_federation *f) {
    gr_status status = GR_OK;
    char names[GR_NAMES_BYTES];
    for (size_t i = 0; i < GR_COMMON_TABLES; i++) {
        const unsigned char *digest = f->data->common_digest[i];
        /* A run that goes on may be without its test table, on all ranks then. */
        if (i == GR_COMMON_TEST && f->data->test_why) continue;
        GR_TRY(gr_comm_name_unlike(f->comm, digest, GR_DIGEST_BYTES, names));
        if (names[0])
            return gr_fail(GR_ERROR_DATA,
                           "data: %s: found other rows in the shared tables than rank 0: their "
                           "hosts have other copies of the files",
                           names);
    }
out:
    return status;
}

/* Collective. Where one rank cannot read the test table of a run that goes on, nobody scores it. */
static gr_status agree_on_test(struct gr_federation *f) {
    int64_t missing = f->data->test_why != NULL;
    gr_status status = gr_comm_max_int64(f->comm, &missing, 1), unused;
    if (status != GR_OK || missing == 0 || f->data->test_why) return status;
    unused = gr_fail(GR_ERROR_DATA, "another rank cannot read it");
    (void)unused;
    return gr_data_drop_test(f->data);
}

static const struct gr_silo *first_usable(const struct gr_data *data) {
    for (size_t i = 0; i < data->n_local; i++)
        if (data->local[i].unusable == GR_OK) return &data->local[i];
    return NULL;
}

/*
 * Collective. Where each silo has a table of its own and there is none for the test, the usable
 * silo with the lowest number says what shape rows have, wherever it is placed; ranks that took
 * another one's read theirs again, so that those of another shape sit out on any rank.
 */
static gr_status agree_shape(struct gr_federation *f, bool resumed, uint32_t *silos) {
    const int64_t nobody = -(INT64_C(1) << 40);
    const struct gr_silo *first = first_usable(f->data);
    int64_t lowest = first && !f->data->columns ? -(int64_t)first->id : nobody, shape[N_SHAPE];
    gr_status status = GR_OK, mine = GR_OK;
    if (!f->data->silo_tables || f->data->n_test > 0) return GR_OK;
    GR_TRY(gr_comm_max_int64(f->comm, &lowest, 1));
    const bool says = first && lowest == -(int64_t)first->id;
    for (size_t i = 0; i < N_SHAPE; i++)
        shape[i] = -1;
    if (says) shape_of(f->data, shape);
    GR_TRY(gr_comm_max_int64(f->comm, shape, N_SHAPE));
    if (lowest == nobody || !first || f->data->columns || take_shape(f->data, shape)) goto agreed;
    struct gr_share share = {.n_dims = (size_t)shape[N_DIMS], .test_optional = resumed};
    for (size_t i = 0; i < share.n_dims; i++)
        share.shape[i] = (size_t)shape[DIMS + i];
    gr_data_free(f->data);
    f->data = NULL;
    mine = read_share(f, &share, silos);
agreed:
    status = gr_comm_agree(f->comm, mine);
out:
    return status;
}

/* This rank's silos: placed, loaded, and their classes known to all. Collective. */
static gr_status load_data(struct gr_federation *f, bool resumed, uint32_t *silos) {
    const uint32_t n_silos = f->config->data.silos;
    if ((uint64_t)gr_comm_size(f->comm) > n_silos)
        return gr_fail(GR_ERROR_USAGE,
                       "found %d ranks for %u silos, expected at most one rank for a silo",
                       gr_comm_size(f->comm), n_silos);
    const struct gr_share any = {.test_optional = resumed};
    gr_status status = gr_comm_agree(f->comm, read_share(f, &any, silos));
    if (status == GR_OK) gr_sitting_hear(f);
    if (status == GR_OK) status = gr_comm_agree(f->comm, agree_on_test(f));
    if (status == GR_OK) status = compare_tables(f);
    if (status == GR_OK) status = agree_shape(f, resumed, silos);
    /* Who has read again may have found it meanwhile. */
    if (status == GR_OK) status = gr_comm_agree(f->comm, agree_on_test(f));
    if (status == GR_OK) status = gr_federation_check_columns(f);
    if (status == GR_OK) status = gr_federation_sum_found(f);
    if (status != GR_OK) return status;

    int64_t shape[N_SHAPE];
    shape_of(f->data, shape);
    status = gr_comm_max_int64(f->comm, shape, N_SHAPE);
    if (status == GR_OK) status = gr_inputs_count_unusable(f);
    if (status != GR_OK) return status;
    f->data->n_classes = (uint32_t)shape[N_CLASSES];
    if (!take_shape(f->data, shape))
        status = gr_fail(GR_ERROR_DATA,
                         "%s: found %zu features, expected %lld, of one shape, as in other silos",
                         f->data->n_local ? f->data->local[0].pseudonym : "test table",
                         f->data->n_features, (long long)shape[N_FEATURES]);
    return gr_comm_agree(f->comm, status);
}

/* Which slot hosts which silo: every rank knows how they are placed. */
static void find_hosts(struct gr_federation *f, uint32_t *silos) {
    const int slots = gr_comm_slots(f->comm);
    for (int slot = 0; slot < slots; slot++) {
        size_t n = 0;
        gr_place_silos(f->config->run.placement, f->config->data.silos, slot, slots, silos, &n);
        for (size_t i = 0; i < n; i++)
            f->host_of[silos[i]] = slot;
    }
    f->share_rank = gr_comm_rank(f->comm);
    f->share_size = gr_comm_size(f->comm);
}

/*
 * Every rank learns how many rows each silo has: only where the config says so, and has a use for
 * it. Collective.
 */
static gr_status share_sizes(struct gr_federation *f) {
    if (!f->sizes) return GR_OK;
    for (size_t i = 0; i < f->data->n_local; i++)
        if (f->data->local[i].unusable == GR_OK)
            f->sizes[f->data->local[i].id] = (int64_t)f->data->local[i].train.n_rows;
    return gr_comm_sum_int64(f->comm, f->sizes, f->config->data.silos);
}

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
    GR_TRY(gr_accumulator_create(gr_model_classes(f->model), &f->accumulator));
    GR_TRY(gr_accumulator_create(gr_model_classes(f->model), &f->total));
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
    GR_TRY(gr_allocate_zero(config->faults_count, 1, "rehearsed faults", &f->struck));
    GR_TRY(gr_allocate_zero(1, sizeof *f->sums, "sums", &f->sums));
    GR_TRY(gr_allocate_zero(1, sizeof *f->scored, "sums", &f->scored));
    GR_TRY(make_scores(f));
    if (config->round.replay[0])
        GR_TRY(gr_replay_open(config->round.replay, config->data.silos, &f->replay));
    GR_TRY(gr_allocate_zero(config->data.silos, sizeof *f->silo_rounds, "participation",
                            &f->silo_rounds));
    GR_TRY(gr_roster_create(config->data.silos, &f->roster));
    GR_TRY(gr_kept_create(f));
    GR_TRY(gr_aggregator_create(f->comm, f->layout, config->aggregation.encoding, &f->aggregator));
out:
    return status;
}

static gr_status allocate(struct gr_comm *comm, const struct gr_config *config,
                          const struct gr_listener *listener, struct gr_federation **out,
                          uint32_t **silos) {
    gr_status status = GR_OK;
    struct gr_federation *f = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *f, "a federation", &f));
    f->comm = comm;
    f->config = config;
    f->listener = listener;
    f->strategy = gr_strategy_find(config->strategy.name);
    *out = f;
    GR_TRY(gr_allocate(config->data.silos, sizeof **silos, "this rank's silos", silos));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "what was heard", &f->heard));
    GR_TRY(
        gr_allocate_zero(config->data.silos, sizeof *f->host_of, "the silos' hosts", &f->host_of));
    if (config->round.sampling == GR_SAMPLING_SIZE)
        GR_TRY(
            gr_allocate_zero(config->data.silos, sizeof *f->sizes, "the silos' sizes", &f->sizes));
out:
    return status;
}

gr_status gr_federation_create(struct gr_comm *comm, const struct gr_config *config,
                               const char *preprocessing, bool resumed,
                               const struct gr_listener *listener, struct gr_federation **out) {
    gr_status status = GR_OK;
    uint32_t *silos = NULL;
    struct gr_federation *f = NULL;
    *out = NULL;
    gr_status mine = allocate(comm, config, listener, &f, &silos);
    GR_TRY(gr_comm_agree(comm, mine));
    GR_TRY(mine);
    gr_control_expect(comm, config->data.silos);
    GR_TRY(load_data(f, resumed, silos));
    GR_TRY(gr_federation_preprocess(f, preprocessing));
    GR_TRY(gr_inputs_find_codes(f));
    GR_TRY(gr_inputs_agree_terms(f));
    GR_TRY(gr_comm_agree(comm, make_model(f)));
    GR_TRY(gr_comm_agree(comm, gr_inputs_check(f)));
    GR_TRY(gr_inputs_count_unusable(f));
    GR_TRY(gr_sitting_share(f));
    GR_TRY(gr_inputs_find_held(f));
    GR_TRY(share_sizes(f));
    gr_inputs_scale_weights(f);
    GR_TRY(gr_inputs_sum_lost(f));
    GR_TRY(gr_inputs_find_empty(f));
    GR_TRY(gr_inputs_count_classes(f));
    find_hosts(f, silos);
    *out = f;
    f = NULL;
out:
    gr_free(silos);
    gr_federation_free(f);
    return status;
}

/* ---- respawned ------------------------------------------------------------------------------ */

/* What a respawned rank is told, beside the state. */
struct federation_outline {
    uint32_t n_unusable;
    uint64_t n_test;
    int64_t test_total[GR_DIGEST_WORDS];
    int64_t shape[N_SHAPE];
    struct gr_run_data run_data;
};

/*
 * A respawned rank without the test table is one that has not read its share yet: it is dealt anew
 * in the next evaluation, as to all. Where the members have none it has none either.
 */
static gr_status take_test(struct gr_federation *f, size_t n_test) {
    gr_status status = GR_OK, unused;
    if (f->data->n_test != n_test) {
        unused = gr_fail(GR_ERROR_DATA, "the members have %zu test rows", n_test);
        (void)unused;
        status = gr_data_drop_test(f->data);
    }
    if (status != GR_OK || n_test == 0) return status;
    if (f->data->test_why) f->share_size = 0;
    gr_free(f->data->test_why);
    f->data->test_why = NULL;
    f->data->n_test = n_test;
    return GR_OK;
}

/* Collective: of members and respawned ranks alike. Only a respawned rank can find itself not to
 * fit. */
static gr_status share_outline(struct gr_federation *f) {
    gr_status status = GR_OK;
    struct federation_outline outline = {
        .n_unusable = f->n_unusable, .n_test = f->data->n_test, .run_data = f->run_data};
    shape_of(f->data, outline.shape);
    memcpy(outline.test_total, f->test_total, sizeof outline.test_total);
    GR_TRY(gr_comm_broadcast(f->comm, &outline, sizeof outline));
    memcpy(f->test_total, outline.test_total, sizeof f->test_total);
    f->test_known = true;
    if (!take_shape(f->data, outline.shape) || f->data->n_classes > outline.shape[N_CLASSES])
        return gr_fail(GR_ERROR_DATA,
                       "found %zu features, %u classes, expected %lld, of one shape, %lld",
                       f->data->n_features, f->data->n_classes,
                       (long long)outline.shape[N_FEATURES], (long long)outline.shape[N_CLASSES]);
    f->data->n_classes = (uint32_t)outline.shape[N_CLASSES];
    GR_TRY(take_test(f, (size_t)outline.n_test));
    f->n_unusable = outline.n_unusable;
    f->run_data = outline.run_data;
    if (f->sizes)
        GR_TRY(gr_comm_broadcast(f->comm, f->sizes, f->config->data.silos * sizeof *f->sizes));
    GR_TRY(gr_inputs_share(f));
out:
    return status;
}

gr_status gr_federation_welcome(struct gr_federation *f) {
    gr_status status = GR_OK;
    GR_TRY(gr_federation_share_preprocessing(f, false));
    GR_TRY(share_outline(f));
    GR_TRY(gr_comm_agree(f->comm, GR_OK)); /* respawned ranks have made their model */
    status = gr_federation_share_state(f);
out:
    return status;
}

gr_status gr_federation_join(struct gr_comm *comm, const struct gr_config *config,
                             const struct gr_listener *listener, struct gr_federation **out) {
    gr_status status = GR_OK;
    uint32_t *silos = NULL;
    struct gr_federation *f = NULL;
    *out = NULL;
    GR_TRY(allocate(comm, config, listener, &f, &silos));
    gr_control_expect(comm, config->data.silos);
    const struct gr_share any = {.test_optional = true};
    GR_TRY(read_share(f, &any, silos));
    GR_TRY(gr_federation_share_preprocessing(f, true));
    find_hosts(f, silos);
    GR_TRY(share_outline(f));
    /* What is wrong with a respawned rank is its own affair: it leaves, and the others go on. */
    GR_TRY(make_model(f));
    GR_TRY(gr_inputs_check(f));
    gr_inputs_scale_weights(f);
    GR_TRY(gr_inputs_weigh_classes(f));
    GR_TRY(gr_comm_agree(comm, GR_OK));
    GR_TRY(gr_federation_share_state(f));
    *out = f;
    f = NULL;
out:
    gr_free(silos);
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
    gr_free(f->reasons);
    gr_free(f->sums);
    gr_free(f->scored);
    gr_free(f->silo_room);
    gr_accumulator_free(f->silo_accumulator);
    gr_free(f->silo_metrics_total);
    gr_free(f->silo_metrics);
    gr_free(f->silo_total);
    gr_free(f->silo_scores);
    gr_accumulator_free(f->total);
    gr_accumulator_free(f->accumulator);
    gr_free(f->struck);
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
    gr_free(f->class_counts);
    gr_free(f->held);
    gr_free(f->categories);
    gr_free(f->sizes);
    gr_free(f->host_of);
    gr_free(f->found);
    gr_free(f->architecture);
    gr_trainer_free(f->trainer);
    gr_model_free(f->model);
    gr_data_free(f->data);
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
    out->class_counts = f->class_counts;
    out->n_class_counts = f->class_counts ? gr_inputs_classes(f) : 0;
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

const struct gr_run_data *gr_federation_data(const struct gr_federation *f) {
    return &f->run_data;
}

bool gr_federation_empty_classes(const struct gr_federation *f) {
    return f->empty_classes;
}

uint32_t gr_federation_unusable(const struct gr_federation *f) {
    return f->n_unusable;
}

const int32_t *gr_federation_hosts(const struct gr_federation *f) {
    return f->host_of;
}
