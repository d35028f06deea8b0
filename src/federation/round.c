/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round: select, train, close the roster, reduce, step, evaluate.
 *
 * Between two collectives each rank keeps its own status and brings it to the next agreement; no
 * rank leaves early.
 */
#include "federation/federation.h"

#include <math.h>
#include <string.h>

/* A day: a round's training may be long. Deadlines by config come with fault tolerance. */
static const double round_deadline_s = 86400.0;

/* What the ranks add up at the end of a round, in integers. */
struct round_sums {
    int64_t processed, loss, cpu_microseconds, bytes;
    struct gr_score validation, test;
};
enum { ROUND_SUMS = sizeof(struct round_sums) / sizeof(int64_t) };
_Static_assert(sizeof(struct round_sums) == ROUND_SUMS * sizeof(int64_t),
               "round_sums is an array of int64_t");

/* Adds a loss on the grid; every rank may bring as much without their sum leaving int64. */
static gr_status add_loss(const struct gr_federation *f, int64_t *sum, int64_t loss) {
    const int64_t most = INT64_MAX / gr_comm_size(f->comm);
    if (__builtin_add_overflow(*sum, loss, sum) || *sum > most || *sum < -most)
        return gr_fail(GR_ERROR_DATA, "the sum of losses is too large: the model has diverged");
    return GR_OK;
}

/* Trains one silo into the next free update. */
static gr_status train_silo(struct gr_federation *f, const struct gr_silo *silo, uint32_t round,
                            struct round_sums *sums) {
    struct gr_train_result result;
    int64_t loss;
    size_t slot = f->n_contributions;
    gr_status status = GR_OK;
    if (!f->update[slot])
        GR_TRY(gr_allocate_zero(f->layout->size, sizeof(float), "an update", &f->update[slot]));
    GR_TRY(gr_train_silo(f->trainer, silo, round, f->parameters, f->update[slot], NULL, NULL,
                         &result));
    status = gr_loss_to_grid(result.loss_sum, &loss);
    if (status != GR_OK) return gr_fail_context(status, "%s: round %u: ", silo->pseudonym, round);
    f->contribution[slot] = (struct gr_contribution){
        .update = f->update[slot], .weight = result.examples, .pseudonym = silo->pseudonym};
    f->n_contributions++;
    f->roster.member[silo->id] = 1;
    sums->processed += (int64_t)result.processed;
    GR_TRY(add_loss(f, &sums->loss, loss));
out:
    return status;
}

static gr_status train_selected(struct gr_federation *f, uint32_t round, struct round_sums *sums) {
    gr_status status = GR_OK;
    double cpu = gr_clock_cpu_seconds();
    f->n_contributions = 0;
    memset(f->roster.member, 0, f->roster.n_silos);
    GR_TRY(gr_sample_silos(f->config->run.seed, round, f->data->n_silos,
                           f->config->round.participants, f->selected));
    for (size_t i = 0; i < f->data->n_local; i++)
        if (f->selected[f->data->local[i].id])
            GR_TRY(train_silo(f, &f->data->local[i], round, sums));
    sums->cpu_microseconds = llrint((gr_clock_cpu_seconds() - cpu) * 1e6);
out:
    return status;
}

static gr_status add_score(const struct gr_federation *f, struct gr_score *sum,
                           const struct gr_score *score) {
    sum->examples += score->examples;
    sum->correct += score->correct;
    return add_loss(f, &sum->loss, score->loss);
}

/* This rank's share of the test table, and its silos' validation rows. */
static gr_status evaluate_local(struct gr_federation *f, struct round_sums *sums) {
    gr_status status = GR_OK;
    struct gr_score score;
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
out:
    return status;
}

static bool evaluation_due(const struct gr_federation *f, uint32_t round, bool last) {
    uint32_t every = f->config->evaluate.every;
    return every > 0 && (round % every == 0 || round == f->config->run.rounds || last);
}

static double norm_of(const float *vector, size_t n) {
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    return sqrt(sum);
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

gr_status gr_federation_round(struct gr_federation *f, const volatile int *stop, bool *stopped,
                              struct gr_metrics *metrics) {
    gr_status status = GR_OK;
    struct round_sums sums = {0};
    const uint32_t round = f->rounds_done + 1;
    float *mean = gr_trainer_scratch(f->trainer);
    uint64_t weight = 0;
    double started = gr_clock_seconds();
    memset(metrics, 0, sizeof *metrics);

    f->roster.round = round;
    status = train_selected(f, round, &sums);
    f->roster.stop_requested = stop && *stop != 0;
    status = gr_control_close_round(f->comm, &f->roster, status, round_deadline_s);
    /* Without fault tolerance a rank that does not report cannot be done without. */
    if (status == GR_STOPPED) status = gr_fail(GR_ERROR_INTERNAL, "%s", gr_message());
    GR_TRY(status);
    *stopped = f->roster.stop_requested;
    double trained = gr_clock_seconds();

    GR_TRY(gr_aggregate(f->aggregator, f->contribution, f->n_contributions, f->roster.n_members,
                        mean, &weight));
    f->strategy->step(&f->config->strategy, f->parameters, mean, f->server, f->layout->size);
    for (uint32_t i = 0; i < f->data->n_silos; i++)
        f->silo_rounds[i] += f->roster.member[i];
    double aggregated = gr_clock_seconds();

    /* Before the evaluation, which may use the trainer's workspace through the model. */
    metrics->update_norm =
        gr_comm_rank(f->comm) == 0 ? norm_of(mean, f->layout->size) : (double)NAN;
    if (evaluation_due(f, round, *stopped))
        GR_TRY(gr_comm_agree(f->comm, evaluate_local(f, &sums)));
    sums.bytes = (int64_t)(gr_comm_bytes_sent(f->comm) - f->bytes_sent);
    f->bytes_sent = gr_comm_bytes_sent(f->comm);
    int64_t values[ROUND_SUMS];
    memcpy(values, &sums, sizeof values);
    GR_TRY(gr_comm_sum_int64(f->comm, values, ROUND_SUMS));
    memcpy(&sums, values, sizeof sums);
    double evaluated = gr_clock_seconds();

    f->rounds_done = round;
    metrics->round = round;
    metrics->participants = f->roster.n_members;
    metrics->examples = weight;
    fill_metrics(metrics, &sums);
    metrics->seconds.train = trained - started;
    metrics->seconds.aggregate = aggregated - trained;
    metrics->seconds.evaluate = evaluated - aggregated;
    metrics->seconds.total = evaluated - started;
out:
    return status;
}
