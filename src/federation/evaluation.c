/* SPDX-License-Identifier: Apache-2.0 */
/* The model on test and validation rows, and the sums of a round. */
#include "federation/federation.h"

#include <math.h>
#include <string.h>

enum { ROUND_SUMS = sizeof(struct round_sums) / sizeof(int64_t) };
_Static_assert(sizeof(struct round_sums) == ROUND_SUMS * sizeof(int64_t),
               "round_sums is an array of int64_t");

gr_status gr_add_loss(const struct gr_federation *f, int64_t *sum, int64_t loss) {
    const int64_t most = INT64_MAX / gr_comm_size(f->comm);
    if (__builtin_add_overflow(*sum, loss, sum) || *sum > most || *sum < -most)
        return gr_fail(GR_ERROR_DATA, "the sum of losses is too large: the model has diverged");
    return GR_OK;
}

static gr_status add_score(const struct gr_federation *f, struct gr_score *sum,
                           const struct gr_score *score) {
    sum->examples += score->examples;
    sum->correct += score->correct;
    return gr_add_loss(f, &sum->loss, score->loss);
}

/* After a change of the membership the test table is dealt anew to those left. */
static gr_status deal_test(struct gr_federation *f) {
    gr_status status = GR_OK;
    const int rank = gr_comm_rank(f->comm), size = gr_comm_size(f->comm);
    if (f->share_rank == rank && f->share_size == size) return GR_OK;
    GR_TRY(gr_data_reload_test(f->config, (uint32_t)rank, (uint32_t)size, f->data));
    f->share_rank = rank;
    f->share_size = size;
    f->scored_round = 0;
out:
    return status;
}

/*
 * This rank's share of the test table, and its silos' validation rows. What it has scored in this
 * round already is not scored again: ranks that take longer than others would else be given up for
 * it time and again.
 */
static gr_status evaluate_local(struct gr_federation *f, struct round_sums *sums) {
    gr_status status = GR_OK;
    struct gr_score score;
    GR_TRY(deal_test(f));
    if (f->scored_round == f->rounds_done) {
        sums->test = f->scored->test;
        sums->validation = f->scored->validation;
        goto out;
    }
    if (f->data->test.n_rows > 0) {
        GR_TRY(gr_evaluate_rows(f->model, f->parameters, &f->data->test, &score));
        GR_TRY(add_score(f, &sums->test, &score));
    }
    for (size_t i = 0; i < f->data->n_local; i++) {
        const struct gr_rows *rows = &f->data->local[i].validation;
        if (rows->n_rows == 0) continue;
        GR_TRY(gr_evaluate_rows(f->model, f->parameters, rows, &score));
        GR_TRY(add_score(f, &sums->validation, &score));
    }
    *f->scored = *sums;
    f->scored_round = f->rounds_done;
out:
    return status;
}

static bool evaluation_due(const struct gr_federation *f, uint32_t round, bool last) {
    uint32_t every = f->config->evaluate.every;
    return every > 0 && (round % every == 0 || round == f->config->run.rounds || last);
}

static double accuracy_of(const struct gr_score *score) {
    return score->examples > 0 ? (double)score->correct / (double)score->examples : (double)NAN;
}

static void fill_metrics(struct gr_metrics *metrics, const struct round_sums *sums) {
    metrics->processed = (uint64_t)sums->processed;
    metrics->train_loss = gr_loss_mean(sums->loss, sums->processed);
    metrics->validation_loss = gr_loss_mean(sums->validation.loss, sums->validation.examples);
    metrics->validation_accuracy = accuracy_of(&sums->validation);
    metrics->test_loss = gr_loss_mean(sums->test.loss, sums->test.examples);
    metrics->test_accuracy = accuracy_of(&sums->test);
    metrics->bytes_sent = (uint64_t)sums->bytes;
    metrics->cpu_seconds_train = 1e-6 * (double)sums->cpu_microseconds;
}

static uint32_t count(const uint8_t *flags, uint32_t n) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < n; i++)
        sum += flags[i] != 0;
    return sum;
}

static void fill_participation(const struct gr_federation *f, struct gr_metrics *metrics) {
    const uint32_t n = f->data->n_silos;
    metrics->participants = f->roster.n_members;
    metrics->selected = count(f->selected, n);
    metrics->dropped = count(f->lost, n);
    metrics->late = count(f->late, n);
    metrics->returned = count(f->returned, n);
    metrics->sat_out = count(f->roster.sat_out, n);
    metrics->recoveries = f->recoveries;
}

gr_status gr_round_evaluate(struct gr_federation *f, struct gr_metrics *metrics) {
    gr_status status = GR_OK;
    struct round_sums sums = *f->sums; /* as trained: this may be done again */
    int64_t values[ROUND_SUMS];
    memset(metrics, 0, sizeof *metrics);
    if (evaluation_due(f, f->rounds_done, f->roster.stop_requested))
        GR_TRY(gr_comm_agree(f->comm, evaluate_local(f, &sums)));
    sums.bytes = (int64_t)(gr_comm_bytes_sent(f->comm) - f->bytes_sent);
    memcpy(values, &sums, sizeof values);
    GR_TRY(gr_comm_sum_int64(f->comm, values, ROUND_SUMS));
    memcpy(&sums, values, sizeof sums);
    metrics->round = f->rounds_done;
    metrics->examples = f->weight;
    metrics->update_norm = f->update_norm;
    fill_metrics(metrics, &sums);
    fill_participation(f, metrics);
    double now = gr_clock_seconds();
    metrics->seconds.train = f->trained_s - f->started_s;
    metrics->seconds.aggregate = f->aggregated_s - f->trained_s;
    metrics->seconds.evaluate = now - f->aggregated_s;
    metrics->seconds.total = now - f->started_s;
out:
    return status;
}
