/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often conformal sets and intervals hold the answers of test rows: over all silos, and of each
 * silo whose scores may be known. Counts of rows that silos hold out are told in steps that hide
 * few rows; those of a silo with few rows never leave its rank, nor those of one more by which they
 * would follow.
 */
#include <math.h>
#include <string.h>

#include "federation/postprocess.h"

gr_status gr_coverage_create(const struct gr_federation *f, struct gr_coverage *out) {
    const size_t classes = gr_model_classes(f->model);
    const bool known =
        f->config->evaluate.per_silo && gr_release_leaves(GR_RELEASE_SILO_SCORES, f->config);
    gr_status status = GR_OK;
    *out = (struct gr_coverage){.n_silos = f->data->n_silos};
    GR_TRY(gr_allocate(classes + 1, sizeof *out->set, "a set", &out->set));
    if (known)
        status = gr_allocate_zero(2 * ((size_t)f->data->n_silos + 1), sizeof *out->silos,
                                  "silos' coverage", &out->silos);
out:
    return status;
}

void gr_coverage_release(struct gr_coverage *c) {
    gr_free(c->told.silos);
    gr_free(c->silos);
    gr_free(c->set);
    *c = (struct gr_coverage){0};
}

/* ---- rows ----------------------------------------------------------------------------------- */

static void count_set(struct gr_coverage *c, const float *logits, size_t classes, size_t label) {
    size_t size = 0;
    gr_conformal_set(c->conformal, logits, classes, c->set);
    for (size_t k = 0; k < classes; k++)
        size += c->set[k];
    c->part[GR_COVERAGE_HELD] += c->set[label];
    c->part[GR_COVERAGE_SIZE] += (int64_t)size;
    c->part[GR_COVERAGE_EMPTY] += size == 0;
}

static void count_interval(struct gr_coverage *c, float prediction, float target) {
    float ends[2];
    gr_conformal_interval(c->conformal, prediction, ends);
    c->part[GR_COVERAGE_HELD] += target >= ends[0] && target <= ends[1];
}

/* Rows without weight do not count, as on those that the bound was found on. */
static gr_status count_rows(void *context, struct gr_model *model, const struct gr_rows *rows,
                            size_t first, size_t n) {
    struct gr_coverage *c = context;
    const size_t classes = gr_model_classes(model);
    const float *out = gr_model_logits(model), *weights = gr_model_batch_weights(model);
    (void)rows;
    (void)first;
    for (size_t i = 0; i < n; i++) {
        if (gr_weight_units(weights, i) == 0) continue;
        c->part[GR_COVERAGE_ROWS]++;
        if (classes > 0)
            count_set(c, out + i * classes, classes, (size_t)gr_model_batch_labels(model)[i]);
        else
            count_interval(c, out[i], gr_model_batch_targets(model)[i]);
    }
    return GR_OK;
}

struct gr_row_listener gr_coverage_listener(struct gr_coverage *c,
                                            const struct gr_conformal *conformal) {
    c->conformal = conformal;
    return (struct gr_row_listener){.hear = count_rows, .context = c};
}

void gr_coverage_drop(struct gr_coverage *c) {
    memset(c->part, 0, sizeof c->part);
}

void gr_coverage_take(struct gr_coverage *c, uint32_t silo) {
    for (size_t i = 0; i < GR_COVERAGE_COUNTS; i++)
        c->all[i] += c->part[i];
    if (c->silos) {
        c->silos[2 * (size_t)silo] += c->part[GR_COVERAGE_ROWS];
        c->silos[2 * (size_t)silo + 1] += c->part[GR_COVERAGE_HELD];
    }
    gr_coverage_drop(c);
}

/* ---- silos ---------------------------------------------------------------------------------- */

/* Collective. First a bit of each silo says whether it stands for rows enough, and how many do not;
 * then all know which one more is withheld, and its rank keeps it. */
static gr_status withhold_silos(struct gr_federation *f, struct gr_coverage *c) {
    const int64_t least = f->config->evaluate.minimum_rows;
    const size_t n = c->n_silos;
    int64_t *told = NULL;
    gr_status status;
    GR_TRY(gr_comm_agree(f->comm, gr_allocate_zero(n + 1, sizeof *told, "silos", &told)));
    for (size_t i = 0; i < n; i++) {
        if (c->silos[2 * i] == 0) continue;
        told[c->silos[2 * i] >= least ? i : n]++;
        if (c->silos[2 * i] < least) memset(c->silos + 2 * i, 0, 2 * sizeof *c->silos);
    }
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SILO_SCORES, told, n + 1));
    const size_t more = gr_scores_withhold_more(told, n, told[n], least);
    if (more < n) memset(c->silos + 2 * more, 0, 2 * sizeof *c->silos);
out:
    gr_free(told);
    return status;
}

/* ---- what is told --------------------------------------------------------------------------- */

/* few: 0: exactly. */
static double share_of(int64_t held, int64_t rows, uint32_t few, uint32_t digits) {
    const struct gr_score score = {
        .examples = rows, .correct = held * GR_WEIGHT_ONE, .weight = rows * GR_WEIGHT_ONE};
    return gr_round_digits(gr_score_accuracy_told(&score, few), digits);
}

/* A row moves the mean size of sets by as many classes as there are. */
static void tell_all(struct gr_coverage *c, size_t classes, uint32_t few, uint32_t digits) {
    const int64_t *n = c->all;
    struct gr_coverage_told *told = &c->told;
    const double rows = (double)n[GR_COVERAGE_ROWS];
    told->rows = n[GR_COVERAGE_ROWS];
    told->coverage = share_of(n[GR_COVERAGE_HELD], told->rows, few, digits);
    told->mean_size = told->empty = (double)NAN;
    if (classes == 0 || told->rows == 0) return;
    const int64_t basis = n[GR_COVERAGE_ROWS] / (int64_t)classes;
    const double step = few > 1 ? gr_share_step(basis > 0 ? basis : 1, few) : 0;
    const double mean = (double)n[GR_COVERAGE_SIZE] / rows;
    told->mean_size = gr_round_digits(step >= 1 ? (double)NAN : gr_round_step(mean, step), digits);
    told->empty = share_of(n[GR_COVERAGE_EMPTY], told->rows, few, digits);
}

static gr_status tell_silos(struct gr_coverage *c, uint32_t few, uint32_t digits) {
    struct gr_coverage_told *told = &c->told;
    gr_status status =
        gr_allocate(c->n_silos, sizeof *told->silos, "silos' coverage", &told->silos);
    for (uint32_t i = 0; status == GR_OK && i < c->n_silos; i++) {
        const int64_t rows = c->silos[2 * (size_t)i], held = c->silos[2 * (size_t)i + 1];
        if (rows > 0)
            told->silos[told->n_silos++] =
                (struct gr_silo_coverage){i, rows, share_of(held, rows, few, digits)};
    }
    return status;
}

gr_status gr_coverage_sum(struct gr_federation *f, struct gr_coverage *c, bool of_silos) {
    const bool hides = of_silos && gr_policy_holds(f->config);
    const uint32_t few = hides ? f->config->data.disclosure_threshold : 0;
    const uint32_t digits = hides ? f->config->policy.digits : 0;
    struct gr_door *door = gr_cohort_door(f->cohort);
    gr_status status;
    GR_TRY(gr_release_sum(door, GR_RELEASE_SCORES, c->all, GR_COVERAGE_COUNTS));
    tell_all(c, gr_model_classes(f->model), few, digits);
    if (!c->silos || !of_silos) return GR_OK;
    GR_TRY(withhold_silos(f, c));
    GR_TRY(gr_release_sum(door, GR_RELEASE_SILO_SCORES, c->silos, 2 * (size_t)c->n_silos));
    status = gr_comm_agree(f->comm, tell_silos(c, few, digits));
out:
    return status;
}
