/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Scores of rows that silos hold out, under differential privacy: each silo counts its rows, their
 * losses and those that are right in whole numbers, or its persons, the mean loss and the share
 * that is right of each; adds noise to them, and charges its ledger; then they are summed over all.
 * A silo without such rows brings noise alone, as having none is told by nothing else. Of a silo
 * whose ledger cannot be charged nothing leaves, and the others are scored without it.
 *
 * A round may be scored again after a loss, over the members that are left. Their counts have the
 * same noise again, so that nothing more is told than before; what a lost silo brought is covered
 * by its own.
 */
#include "federation/internal.h"

#include <math.h>
#include <sodium.h>
#include <string.h>

#include "config/privacy_plan.h"
#include "privacy/noise.h"
#include "privacy/secret_draw.h"
#include "privacy/sensitivity.h"

enum { VALIDATION, TEST, PARTS };
/* A score is told where there seem to be so many standard deviations of the noise in rows. */
static const double least_deviations = 4;

struct gr_noised_scores {
    struct gr_noise *noise;           /* of one silo; owned */
    uint8_t *heard;                   /* silos whose terminal knows why; n_silos flags; owned */
    int64_t own[PARTS][GR_TALLIES];   /* of this rank's silos, with their noise, */
    uint32_t own_silos, own_round;    /* so many, of the model after that round; 0: none yet */
    int64_t total[PARTS][GR_TALLIES]; /* of all ranks; */
    int64_t silos;                    /* 0: fewer than the policy asks for */
    uint32_t total_round;
};

gr_status gr_noised_create(const struct gr_config *config, struct gr_noised_scores **out) {
    struct gr_noised_scores *noised = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    if (!(config->privacy.evaluation.noise_multiplier > 0)) return GR_OK;
    GR_TRY(gr_allocate_zero(1, sizeof *noised, "noised scores", &noised));
    GR_TRY(gr_noise_create(gr_privacy_tally_noise(config), &noised->noise));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "noised scores", &noised->heard));
    *out = noised;
    noised = NULL;
out:
    gr_noised_free(noised);
    return status;
}

void gr_noised_free(struct gr_noised_scores *noised) {
    if (!noised) return;
    gr_noise_free(noised->noise);
    gr_free(noised->heard);
    gr_free(noised);
}

void gr_noised_forget(struct gr_noised_scores *noised) {
    if (noised) noised->total_round = 0;
}

/* A stop that somebody asks for brings no further evaluation: how many there are is in the plan. */
bool gr_noised_due(const struct gr_federation *f, uint32_t round) {
    const uint32_t every = f->config->evaluate.every;
    return gr_release_leaves(GR_RELEASE_NOISED_SCORES, f->config) &&
           (round % every == 0 || round == f->config->run.rounds ||
            round == gr_spending_last_round(f));
}

/* ---- a silo's -------------------------------------------------------------------------------- */

/* Into the tallies of both parts, whichever of them the config holds out. The seed is the binding:
 * of one seed come the same bytes. */
static gr_status add_noise(struct gr_federation *f, const struct gr_noised_scores *noised,
                           size_t local, int64_t tally[PARTS][GR_TALLIES]) {
    const struct gr_config *config = f->config;
    const uint32_t round = gr_server_rounds(f->server);
    const size_t n = gr_privacy_tallies(config);
    unsigned char secret[GR_SECRET_BYTES], seed[GR_SECRET_BYTES];
    _Static_assert((int)GR_SECRET_BYTES == (int)GR_NOISE_SEED_BYTES, "a secret's key is a seed");
    if (config->run.rehearsal)
        gr_secret_rehearse(config->run.seed, f->data->local[local].stream, round, secret);
    else
        gr_secret_make(secret);
    gr_secret_key(secret, GR_SECRET_NOISE, 1, seed); /* 0: of a round's steps */
    for (size_t part = 0; part < PARTS; part++)
        gr_noise_add(noised->noise, seed, part, tally[part], n);
    const gr_status status = gr_spending_charge_scores(f, local, round, seed, sizeof seed);
    sodium_memzero(secret, sizeof secret);
    sodium_memzero(seed, sizeof seed);
    return status;
}

/* Told once for evaluations running. */
static void hear_uncharged(const struct gr_federation *f, struct gr_noised_scores *noised,
                           const struct gr_silo *silo) {
    if (!noised->heard[silo->id])
        gr_cohort_hear_silo(f->cohort, silo, "%s: round %u: is not in the scores: %s",
                            silo->pseudonym, gr_server_rounds(f->server), gr_message());
    noised->heard[silo->id] = 1;
}

static gr_status score_silo(struct gr_federation *f, struct gr_noised_scores *noised,
                            size_t local) {
    const double bound = f->config->privacy.evaluation.loss_bound;
    const struct gr_silo *silo = &f->data->local[local];
    const struct gr_rows *rows[PARTS] = {&silo->validation, &silo->test};
    int64_t tally[PARTS][GR_TALLIES] = {{0}};
    gr_status status;
    for (size_t part = 0; part < PARTS; part++)
        GR_TRY(gr_evaluate_tally(f->model, gr_server_parameters(f->server), rows[part], bound,
                                 GR_TALLY_STEPS, gr_control_watch, f->comm, tally[part]));
    if (add_noise(f, noised, local, tally) != GR_OK) {
        hear_uncharged(f, noised, silo);
        goto out;
    }
    for (size_t part = 0; part < PARTS; part++)
        for (size_t t = 0; t < GR_TALLIES; t++)
            noised->own[part][t] += tally[part][t];
    noised->own_silos++;
    noised->heard[silo->id] = 0;
out:
    sodium_memzero(tally, sizeof tally);
    return status;
}

/* Of one model once: counted again they would have other noise, and cost again. */
static gr_status score_own(struct gr_federation *f, struct gr_noised_scores *noised) {
    const uint32_t round = gr_server_rounds(f->server);
    gr_status status = GR_OK;
    if (noised->own_round == round) return GR_OK;
    memset(noised->own, 0, sizeof noised->own);
    noised->own_round = noised->own_silos = 0;
    for (size_t i = 0; i < f->data->n_local; i++)
        if (f->data->local[i].unusable == GR_OK) GR_TRY(score_silo(f, noised, i));
    noised->own_round = round;
out:
    return status;
}

/* ---- over all -------------------------------------------------------------------------------- */

/* How many silos can be scored is known to all, as that is told of each that cannot. */
gr_status gr_noised_add(struct gr_federation *f, struct gr_noised_scores *noised) {
    gr_status status = GR_OK;
    noised->total_round = 0;
    GR_TRY(gr_comm_agree(f->comm, score_own(f, noised)));
    noised->silos = noised->own_silos;
    GR_TRY(gr_comm_sum_public(f->comm, &noised->silos, 1));
    memcpy(noised->total, noised->own, sizeof noised->total);
    if (noised->silos < (int64_t)gr_policy_silos(f->config))
        noised->silos = 0;
    else
        GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_NOISED_SCORES, noised->total[0],
                              (size_t)PARTS * GR_TALLIES));
    noised->total_round = gr_server_rounds(f->server);
out:
    return status;
}

gr_status gr_noised_share(struct gr_federation *f, struct gr_noised_scores *noised) {
    gr_status status = GR_OK;
    if (!noised) return GR_OK;
    GR_TRY(gr_comm_broadcast(f->comm, noised->total, sizeof noised->total));
    GR_TRY(gr_comm_broadcast(f->comm, &noised->silos, sizeof noised->silos));
    status = gr_comm_broadcast(f->comm, &noised->total_round, sizeof noised->total_round);
out:
    return status;
}

/* ---- as scores ------------------------------------------------------------------------------- */

struct score {
    uint64_t rows;
    double loss, accuracy, loss_error, accuracy_error;
};

/* Of a quotient of two sums with noise of the same deviation, to first order. */
static double error_of(double quotient, double deviation, double rows) {
    return deviation * sqrt(1 + quotient * quotient) / rows;
}

static struct score score_of(const struct gr_federation *f, const struct gr_noised_scores *noised,
                             const int64_t tally[GR_TALLIES]) {
    const double bound = f->config->privacy.evaluation.loss_bound;
    const double rows = (double)tally[GR_TALLY_ROWS] / GR_TALLY_STEPS,
                 deviation =
                     gr_noise_sigma(noised->noise) * sqrt((double)noised->silos) / GR_TALLY_STEPS;
    struct score score = {(uint64_t)fmax(round(rows), 0), (double)NAN, (double)NAN, (double)NAN,
                          (double)NAN};
    if (noised->silos == 0) score.rows = 0;
    if (noised->silos == 0 || rows < least_deviations * deviation) return score;
    const double loss = (double)tally[GR_TALLY_LOSS] / GR_TALLY_STEPS / rows,
                 right = (double)tally[GR_TALLY_RIGHT] / GR_TALLY_STEPS / rows;
    score.loss = bound * fmax(loss, 0);
    score.loss_error = bound * error_of(loss, deviation, rows);
    if (gr_model_classes(f->model) == 0) return score;
    score.accuracy = fmin(fmax(right, 0), 1);
    score.accuracy_error = error_of(right, deviation, rows);
    return score;
}

void gr_noised_fill(const struct gr_federation *f, const struct gr_noised_scores *noised,
                    struct gr_metrics *metrics) {
    const struct gr_data_config *data = &f->config->data;
    if (!noised || noised->total_round != gr_server_rounds(f->server)) return;
    if (data->validation_fraction > 0) {
        const struct score score = score_of(f, noised, noised->total[VALIDATION]);
        metrics->validation_rows = score.rows;
        metrics->validation_loss = score.loss;
        metrics->validation_accuracy = score.accuracy;
        metrics->noise_error.validation_loss = score.loss_error;
        metrics->noise_error.validation_accuracy = score.accuracy_error;
    }
    if (data->test_fraction > 0) {
        const struct score score = score_of(f, noised, noised->total[TEST]);
        metrics->test_rows = score.rows;
        metrics->test_loss = score.loss;
        metrics->test_accuracy = score.accuracy;
        metrics->noise_error.test_loss = score.loss_error;
        metrics->noise_error.test_accuracy = score.accuracy_error;
    }
}
