/* SPDX-License-Identifier: Apache-2.0 */
/* The model on test and validation rows, and the sums of a round. */
#include "federation/federation.h"

#include <math.h>
#include <string.h>

enum { SILO_METRICS = sizeof(struct gr_silo_metrics) / sizeof(int64_t) };
enum { ROUND_SUMS = sizeof(struct round_sums) / sizeof(int64_t) };
_Static_assert(sizeof(struct round_sums) == ROUND_SUMS * sizeof(int64_t),
               "round_sums is an array of int64_t");

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

static bool is_last(const struct gr_federation *f) {
    return f->rounds_done == f->config->run.rounds || f->roster.stop_requested;
}

static bool evaluation_due(const struct gr_federation *f) {
    const uint32_t every = f->config->evaluate.every;
    return every > 0 && (f->rounds_done % every == 0 || is_last(f));
}

/*
 * What the AUC is counted from may be more bytes than a small model: each round only where the
 * config asks for it.
 */
static bool counts_auc(const struct gr_federation *f) {
    const struct gr_evaluate_config *config = &f->config->evaluate;
    for (unsigned i = 0; i < config->metrics_count; i++)
        if (config->metrics[i] == GR_METRIC_AUC) return true;
    return is_last(f);
}

/* What the tally counts: test rows, or where there are none all validation rows. */
static bool tallies_test(const struct gr_federation *f) {
    return f->data->n_test > 0 || f->config->data.test_fraction > 0;
}

/* One for each silo, and one for what is withheld. */
static size_t silo_slots(const struct gr_federation *f) {
    return f->data->n_silos + 1U;
}

/*
 * Where the config allows it a silo's score becomes known, unless it stands for too few rows: then
 * it is counted as withheld, after the last silo, as one that is `correct`.
 */
static void note_silo(struct gr_federation *f, uint32_t silo, const struct gr_score *score) {
    if (!f->silo_scores) return;
    if (score->examples >= (int64_t)f->config->evaluate.minimum_rows) {
        f->silo_scores[silo] = *score;
    } else {
        f->silo_scores[f->data->n_silos].correct++;
        f->silo_scores[f->data->n_silos].examples += score->examples;
    }
}

/*
 * One silo's validation rows; into `tally`, if any, with all others'. Where they may be known all
 * of its metrics too, with the AUC, which is the dearest of them.
 */
static gr_status score_silo(struct gr_federation *f, const float *parameters, bool with_auc,
                            const struct gr_silo *silo, struct gr_tally *tally,
                            struct gr_score *score) {
    gr_status status = GR_OK;
    struct gr_tally *own = with_auc && f->silo_scores ? f->silo_tally : NULL;
    if (own) gr_tally_clear(own, with_auc);
    GR_TRY(gr_evaluate_rows(f->model, parameters, &silo->validation, score, own ? own : tally));
    note_silo(f, silo->id, score);
    if (!own) goto out;
    if (tally) gr_tally_add(tally, own);
    if (f->silo_scores[silo->id].examples > 0)
        gr_silo_metrics_take(own, &f->silo_metrics[silo->id]);
out:
    return status;
}

/* This rank's share of the test table, or its silos' test rows; and their validation rows. */
static gr_status score_rows(struct gr_federation *f, const float *parameters, bool with_auc,
                            struct round_sums *sums) {
    gr_status status = GR_OK;
    struct gr_score score;
    struct gr_tally *test = tallies_test(f) ? f->tally : NULL;
    struct gr_tally *validation = test ? NULL : f->tally;
    gr_tally_clear(f->tally, with_auc);
    if (f->silo_scores) {
        memset(f->silo_scores, 0, silo_slots(f) * sizeof *f->silo_scores);
        memset(f->silo_metrics, 0, f->data->n_silos * sizeof *f->silo_metrics);
    }
    if (f->data->test.n_rows > 0) {
        GR_TRY(gr_evaluate_rows(f->model, parameters, &f->data->test, &score, test));
        gr_score_add(&sums->test, &score);
    }
    for (size_t i = 0; i < f->data->n_local; i++) {
        const struct gr_silo *silo = &f->data->local[i];
        if (silo->test.n_rows > 0) {
            GR_TRY(gr_evaluate_rows(f->model, parameters, &silo->test, &score, test));
            gr_score_add(&sums->test, &score);
        }
        if (silo->validation.n_rows == 0) continue;
        GR_TRY(score_silo(f, parameters, with_auc, silo, validation, &score));
        gr_score_add(&sums->validation, &score);
    }
out:
    return status;
}

/*
 * What this rank has scored in this round already is not scored again: ranks that take longer than
 * others would else be given up for it time and again.
 */
static gr_status evaluate_local(struct gr_federation *f, struct round_sums *sums) {
    gr_status status = GR_OK;
    GR_TRY(deal_test(f));
    if (f->scored_round == f->rounds_done) {
        sums->test = f->scored->test;
        sums->validation = f->scored->validation;
        goto out;
    }
    GR_TRY(score_rows(f, f->parameters, counts_auc(f), sums));
    *f->scored = *sums;
    f->scored_round = f->rounds_done;
out:
    return status;
}

/*
 * Collective. The tallies and silos' scores of all ranks; this rank's own stay as they are, for
 * this may be done again.
 */
static gr_status add_tallies(struct gr_federation *f, uint32_t round, bool with_auc) {
    gr_status status = GR_OK;
    size_t n, same;
    const int64_t *own = gr_tally_sums(f->tally, &n);
    f->total_round = 0;
    gr_tally_clear(f->total, with_auc);
    int64_t *total = gr_tally_sums(f->total, &same);
    memcpy(total, own, n * sizeof *total);
    GR_TRY(gr_comm_sum_int64(f->comm, total, n));
    if (f->silo_scores) {
        const size_t silos = silo_slots(f);
        memcpy(f->silo_total, f->silo_scores, silos * sizeof *f->silo_total);
        GR_TRY(gr_comm_sum_int64(f->comm, &f->silo_total->examples, silos * GR_SCORE_SUMS));
        const struct gr_score *withheld = &f->silo_total[silos - 1];
        gr_scores_withhold(f->silo_total, silos - 1, withheld->correct, withheld->examples,
                           f->config->evaluate.minimum_rows);
        const size_t n_silos = f->data->n_silos;
        memcpy(f->silo_metrics_total, f->silo_metrics, n_silos * sizeof *f->silo_metrics_total);
        if (with_auc)
            GR_TRY(
                gr_comm_sum_int64(f->comm, &f->silo_metrics_total->told, n_silos * SILO_METRICS));
    }
    f->total_round = round;
out:
    return status;
}

gr_status gr_evaluate_outcome(struct gr_federation *f) {
    gr_status status = GR_OK;
    struct round_sums unused = {0};
    const uint32_t best = gr_best_round(f);
    if (best == 0 || best == f->rounds_done) return GR_OK;
    f->scored_round = 0; /* what has been counted is no longer of the last round */
    status = deal_test(f);
    if (status == GR_OK) status = score_rows(f, f->best.parameters, true, &unused);
    GR_TRY(gr_comm_agree(f->comm, status));
    GR_TRY(add_tallies(f, best, true));
out:
    return status;
}

bool gr_federation_evaluation(const struct gr_federation *f, struct gr_evaluation *out) {
    *out = (struct gr_evaluation){
        .round = f->total_round,
        .rows_of = tallies_test(f) ? "test" : "validation",
        .tally = f->total,
        .silos = f->silo_total,
        .silo_metrics = f->silo_metrics_total,
        .n_silos = f->silo_total ? f->data->n_silos : 0,
        .class_names = gr_columns_class_names(f->data->columns, gr_model_classes(f->model))};
    return f->total_round > 0 && gr_tally_rows(f->total) > 0;
}

/* Those that the config names; none in a round that is not evaluated. */
static void fill_named(const struct gr_federation *f, struct gr_metrics *metrics) {
    struct gr_evaluation evaluation;
    if (!gr_federation_evaluation(f, &evaluation)) return;
    metrics->of_validation = !tallies_test(f);
    for (unsigned i = 0; i < f->config->evaluate.metrics_count; i++) {
        const enum gr_metric metric = f->config->evaluate.metrics[i];
        if (!gr_metric_fits(metric, gr_tally_classes(evaluation.tally))) continue;
        metrics->named[metric] = gr_tally_metric(evaluation.tally, metric).value;
        metrics->named_told |= UINT32_C(1) << metric;
    }
}

/* The spread of the silos' scores: of two at least. */
static void fill_silos(const struct gr_federation *f, struct gr_metrics *metrics) {
    if (!f->silo_total || f->total_round != f->rounds_done) return;
    metrics->silos = gr_scores_spread(f->silo_total, f->data->n_silos, f->silo_room,
                                      metrics->silo_loss, metrics->silo_accuracy);
    if (metrics->silos < 2) metrics->silos = 0;
    for (size_t i = 0; i < 3 && gr_model_classes(f->model) == 0; i++)
        metrics->silo_accuracy[i] = (double)NAN;
}

static double accuracy_of(const struct gr_federation *f, const struct gr_score *score) {
    return gr_model_classes(f->model) > 0 ? gr_score_accuracy(score) : (double)NAN;
}

static void fill_metrics(const struct gr_federation *f, struct gr_metrics *metrics,
                         const struct round_sums *sums) {
    metrics->processed = (uint64_t)sums->processed;
    metrics->train_loss = gr_loss_mean(sums->loss, sums->processed);
    metrics->validation_loss = gr_loss_mean(sums->validation.loss, sums->validation.examples);
    metrics->validation_accuracy = accuracy_of(f, &sums->validation);
    metrics->test_loss = gr_loss_mean(sums->test.loss, sums->test.examples);
    metrics->test_accuracy = accuracy_of(f, &sums->test);
    metrics->test_rows = (uint64_t)sums->test.examples;
    metrics->validation_rows = (uint64_t)sums->validation.examples;
    metrics->bytes_sent = (uint64_t)sums->bytes;
    metrics->cpu_seconds_train = 1e-6 * (double)sums->cpu_microseconds;
}

static void fill_participation(const struct gr_federation *f, struct gr_metrics *metrics) {
    const uint32_t n = f->data->n_silos;
    metrics->participants = f->roster.n_members;
    metrics->selected = gr_count_flags(f->selected, n);
    metrics->dropped = gr_count_flags(f->lost, n);
    metrics->late = gr_count_flags(f->late, n);
    metrics->returned = gr_count_flags(f->returned, n);
    metrics->sat_out = gr_count_flags(f->roster.sat_out, n);
    metrics->recoveries = f->recoveries;
}

/* The participants' rows: the weight of the sum, unless sizes are in the draw. */
static uint64_t examples_of(const struct gr_federation *f) {
    uint64_t sum = 0;
    if (!f->sizes) return f->weight;
    for (uint32_t i = 0; i < f->data->n_silos; i++)
        if (f->roster.member[i]) sum += (uint64_t)f->sizes[i];
    return sum;
}

gr_status gr_round_evaluate(struct gr_federation *f, struct gr_metrics *metrics) {
    gr_status status = GR_OK;
    struct round_sums sums = *f->sums; /* as trained: this may be done again */
    int64_t values[ROUND_SUMS];
    memset(metrics, 0, sizeof *metrics);
    f->total_round = 0;
    if (evaluation_due(f)) {
        GR_TRY(gr_comm_agree(f->comm, evaluate_local(f, &sums)));
        GR_TRY(add_tallies(f, f->rounds_done, counts_auc(f)));
    }
    sums.bytes = (int64_t)(gr_comm_bytes_sent(f->comm) - f->bytes_sent);
    memcpy(values, &sums, sizeof values);
    GR_TRY(gr_comm_sum_int64(f->comm, values, ROUND_SUMS));
    memcpy(&sums, values, sizeof sums);
    metrics->round = f->rounds_done;
    metrics->examples = examples_of(f);
    metrics->update_norm = f->update_norm;
    fill_metrics(f, metrics, &sums);
    fill_named(f, metrics);
    fill_silos(f, metrics);
    fill_participation(f, metrics);
    double now = gr_clock_seconds();
    metrics->seconds.train = f->trained_s - f->started_s;
    metrics->seconds.aggregate = f->aggregated_s - f->trained_s;
    metrics->seconds.evaluate = now - f->aggregated_s;
    metrics->seconds.total = now - f->started_s;
out:
    return status;
}
