/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state that every rank keeps alike: the model, what the strategy's step goes on from, and how
 * often each silo has taken part. There is no parameter server process: each rank decodes the same
 * integer total and takes the same step with the same kernels, so all copies keep the same bits,
 * and the loss of a rank loses no state.
 */
#include "federation/internal.h"

#include <string.h>

struct gr_server {
    const struct gr_strategy *strategy;   /* static */
    const struct gr_config *config;       /* borrowed */
    const struct gr_layout *layout;       /* the model's; borrowed */
    float *parameters;                    /* the global model; layout size floats; owned */
    float *vector[GR_SERVER_VECTORS_MAX]; /* strategy->n_server, likewise */
    char *architecture;                   /* of the model, in words; owned */
    uint32_t *silo_rounds; /* rounds each silo has taken part in; data.silos; owned */
    uint32_t rounds_done;
    uint32_t last_step; /* the last of them that was not void */
    int32_t clip_step;  /* of privacy.adaptive_clipping */
};

/*
 * Initialised from run.seed on each rank by itself; no broadcast is needed, because the streams and
 * the arithmetic are the same everywhere.
 */
static gr_status fill(struct gr_server *server, const struct gr_model *model) {
    const struct gr_config *config = server->config;
    const size_t size = server->layout->size;
    gr_status status;
    GR_TRY(gr_model_describe(model, &server->architecture));
    GR_TRY(gr_allocate_zero(size, sizeof(float), "the model", &server->parameters));
    GR_TRY(gr_model_initialise(model, config->run.seed, server->parameters));
    for (size_t i = 0; i < server->strategy->n_server; i++)
        GR_TRY(gr_allocate_zero(size, sizeof(float), "server state", &server->vector[i]));
    if (server->strategy->start) server->strategy->start(&config->strategy, server->vector, size);
    GR_TRY(gr_allocate_zero(config->data.silos, sizeof *server->silo_rounds, "participation",
                            &server->silo_rounds));
out:
    return status;
}

gr_status gr_server_create(const struct gr_config *config, const struct gr_model *model,
                           struct gr_server **out) {
    struct gr_server *server = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *server, "server state", &server));
    server->config = config;
    server->strategy = gr_strategy_find(config->strategy.name);
    server->layout = gr_model_layout(model);
    GR_TRY(fill(server, model));
    *out = server;
    server = NULL;
out:
    gr_server_free(server);
    return status;
}

void gr_server_free(struct gr_server *server) {
    if (!server) return;
    for (size_t i = 0; i < GR_SERVER_VECTORS_MAX; i++)
        gr_free(server->vector[i]);
    gr_free(server->silo_rounds);
    gr_free(server->parameters);
    gr_free(server->architecture);
    gr_free(server);
}

float *gr_server_parameters(const struct gr_server *server) {
    return server->parameters;
}

float *const *gr_server_vectors(const struct gr_server *server) {
    return server->vector;
}

const uint32_t *gr_server_silo_rounds(const struct gr_server *server) {
    return server->silo_rounds;
}

uint32_t gr_server_rounds(const struct gr_server *server) {
    return server->rounds_done;
}

uint32_t gr_server_last_step(const struct gr_server *server) {
    return server->last_step;
}

int32_t gr_server_clip_step(const struct gr_server *server) {
    return server->clip_step;
}

void gr_server_pass(struct gr_server *server, uint32_t round) {
    server->rounds_done = round;
}

const char *gr_server_architecture(const struct gr_server *server) {
    return server->architecture;
}

/* ---- the step ------------------------------------------------------------------------------- */

static double add_squares(double sum, const float *vector, size_t n) {
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    return sum;
}

/*
 * With elements begin .. begin + n - 1 of a block's means, which are the parameters' from `at` on.
 * A strategy's step works element by element, so that it can be called for any span.
 */
static void step_span(struct gr_server *server, struct gr_server_step step,
                      float mean[][GR_RING_BLOCK], size_t begin, size_t at, size_t n) {
    step.n = n;
    step.parameters = server->parameters + at;
    for (size_t v = 0; v < gr_strategy_sent(server->strategy); v++)
        step.mean[v] = mean[v] + begin;
    for (size_t i = 0; i < server->strategy->n_server; i++)
        step.server[i] = server->vector[i] + at;
    server->strategy->step(&server->config->strategy, &step);
}

/*
 * Decodes a block of GR_RING_BLOCK elements at a time into the stack: a whole mean would take as
 * much memory as the model again, for each vector. The means are laid out as the tensors travel
 * (sublayout), the parameters as the model has them; spans, in ascending order, translate between
 * the two.
 *
 * The squares are added in the order of elements: the norm has the same bits on any rank count.
 */
void gr_server_step(struct gr_server *server, const struct gr_aggregator *total,
                    const struct gr_sublayout *travels, const struct gr_roster *roster,
                    uint32_t n_silos, double *squares) {
    float mean[GR_STRATEGY_SENT_MAX][GR_RING_BLOCK];
    const struct gr_server_step step = {.share = roster->n_members / (double)n_silos,
                                        .steps = gr_aggregate_steps(total)};
    const size_t size = travels->layout.size;
    const struct gr_layout_span *span = travels->spans;
    for (size_t begin = 0; begin < size; begin += GR_RING_BLOCK) {
        const size_t end = size - begin < GR_RING_BLOCK ? size : begin + GR_RING_BLOCK;
        for (size_t v = 0; v < gr_strategy_sent(server->strategy); v++)
            gr_aggregate_decode(total, v, begin, mean[v], end - begin);
        for (size_t at = begin, until; at < end; at = until) {
            while (span->part + span->n <= at)
                span++;
            until = span->part + span->n < end ? span->part + span->n : end;
            step_span(server, step, mean, at - begin, span->whole + (at - span->part), until - at);
        }
        if (squares) *squares = add_squares(*squares, mean[0], end - begin);
    }
    if (server->config->privacy.adaptive_clipping.quantile > 0)
        server->clip_step =
            gr_clip_follow(&server->config->privacy.adaptive_clipping, server->clip_step,
                           gr_aggregate_tally(total), roster->n_members);
    for (uint32_t i = 0; i < roster->member.n_set; i++)
        server->silo_rounds[roster->member.set[i]]++;
    server->rounds_done = server->last_step = roster->round;
}

/* ---- the state ------------------------------------------------------------------------------ */

/*
 * In as many broadcasts as there are vectors, and no copy in between. A respawned rank is last in
 * seniority, so rank 0 is always a member that has the state.
 */
gr_status gr_server_share(struct gr_server *server, struct gr_comm *comm) {
    const size_t bytes = server->layout->size * sizeof(float);
    gr_status status;
    GR_TRY(gr_comm_broadcast(comm, &server->rounds_done, sizeof server->rounds_done));
    GR_TRY(gr_comm_broadcast(comm, &server->last_step, sizeof server->last_step));
    GR_TRY(gr_comm_broadcast(comm, &server->clip_step, sizeof server->clip_step));
    GR_TRY(gr_comm_broadcast(comm, server->parameters, bytes));
    for (size_t i = 0; i < server->strategy->n_server; i++)
        GR_TRY(gr_comm_broadcast(comm, server->vector[i], bytes));
    status = gr_comm_broadcast(comm, server->silo_rounds,
                               server->config->data.silos * sizeof *server->silo_rounds);
out:
    return status;
}

/* Pointers into the server, not copies: a checkpoint is written and read through them in place. */
void gr_server_state(struct gr_server *server, struct gr_state *out) {
    out->round = server->rounds_done;
    out->void_rounds = server->rounds_done - server->last_step;
    out->clip_step = server->clip_step;
    out->layout = server->layout;
    out->parameters = server->parameters;
    out->n_server = server->strategy->n_server;
    for (size_t i = 0; i < out->n_server; i++) {
        out->server_name[i] = server->strategy->server_name[i];
        out->server[i] = server->vector[i];
    }
    out->n_silos = server->config->data.silos;
    out->silo_rounds = server->silo_rounds;
    out->architecture = server->architecture;
}

/*
 * The vectors have been read in place through gr_server_state's pointers; only the rounds are
 * copies.
 */
void gr_server_resume(struct gr_server *server, const struct gr_state *state) {
    server->rounds_done = state->round;
    server->last_step = state->round - state->void_rounds;
    server->clip_step = state->clip_step;
}
