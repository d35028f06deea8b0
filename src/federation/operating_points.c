/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operating points of a model of two classes: thresholds are chosen on the silos' validation rows
 * alone, and then told on the rows that scores are of. A threshold that is chosen and told on the
 * same rows looks better than it is; where there are no test rows evaluation.json says so.
 */
#include "federation/internal.h"

#include <math.h>
#include <string.h>

/* The rows that thresholds are chosen on, as of this rank and of all; where these are those that
 * scores are of, neither is counted again. */
struct gr_points {
    struct gr_accumulator *rows, *total; /* owned */
    struct gr_point_rule rules[GR_POINTS_MAX];
    struct gr_operating_point told[GR_POINTS_MAX];
    size_t n;
    bool known; /* `told` is of the present total */
};

gr_status gr_points_create(const struct gr_federation *f, struct gr_points **out) {
    const struct gr_evaluate_config *config = &f->config->evaluate;
    struct gr_points *p = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    if (config->operating_points_count == 0 || gr_model_classes(f->model) != 2) return GR_OK;
    GR_TRY(gr_allocate_zero(1, sizeof *p, "operating points", &p));
    for (; p->n < config->operating_points_count; p->n++)
        if (!gr_point_parse(config->operating_points[p->n], &p->rules[p->n])) break;
    GR_TRY(gr_accumulator_create(2, &p->rows));
    GR_TRY(gr_accumulator_create(2, &p->total));
    *out = p;
    p = NULL;
out:
    gr_points_free(p);
    return status;
}

void gr_points_free(struct gr_points *p) {
    if (!p) return;
    gr_accumulator_free(p->total);
    gr_accumulator_free(p->rows);
    gr_free(p);
}

void gr_points_clear(struct gr_points *p, bool with_auc) {
    if (!p) return;
    gr_accumulator_clear(p->rows, with_auc);
    p->known = false;
}

void gr_points_forget(struct gr_points *p) {
    if (p) p->known = false;
}

gr_status gr_points_add(struct gr_points *p, const struct gr_accumulator *validation) {
    return p ? gr_accumulator_add(p->rows, validation) : GR_OK;
}

/* Collective. The bins of all validation rows. */
static gr_status add_validation(struct gr_federation *f, struct gr_points *p) {
    struct gr_door *door = gr_cohort_door(f->cohort);
    gr_status status;
    size_t n;
    const int64_t *own = gr_accumulator_sums(p->rows, &n);
    gr_accumulator_clear(p->total, true);
    int64_t *total = gr_accumulator_sums(p->total, &n);
    memcpy(total, own, n * sizeof *total);
    GR_TRY(gr_release_sum(door, GR_RELEASE_SCORES, total, n));
    gr_accumulator_bin(p->total, p->rows);
    total = gr_accumulator_counts(p->total, &n);
    status = gr_release_sum(door, GR_RELEASE_SCORES, total, n);
out:
    return status;
}

gr_status gr_points_find(struct gr_federation *f, struct gr_points *p,
                         const struct gr_points_rows *of) {
    const bool policy = gr_policy_holds(f->config);
    const uint32_t few = policy ? f->config->data.disclosure_threshold : 0;
    const uint32_t digits = policy ? f->config->policy.digits : 0;
    int64_t counts[GR_POINTS_MAX * GR_POINT_COUNTS] = {0};
    double log_odds[GR_POINTS_MAX];
    gr_status status = GR_OK;
    if (!p) return GR_OK;
    if (!of->chosen_on_them) GR_TRY(add_validation(f, p));
    for (size_t i = 0; i < p->n; i++) {
        log_odds[i] = gr_accumulator_choose(of->chosen_on_them ? of->total : p->total, p->rules[i],
                                            few, digits);
        if (!isnan(log_odds[i]))
            gr_accumulator_count_at(of->own, log_odds[i], counts + i * GR_POINT_COUNTS);
    }
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SCORES, counts,
                          p->n * GR_POINT_COUNTS));
    for (size_t i = 0; i < p->n; i++) {
        p->told[i] = gr_point_told(log_odds[i], counts + i * GR_POINT_COUNTS,
                                   of->of_silos ? few : 0, of->of_silos ? digits : 0);
        p->told[i].rule = f->config->evaluate.operating_points[i];
    }
    p->known = true;
out:
    return status;
}

size_t gr_points_told(const struct gr_points *p, const struct gr_operating_point **out) {
    *out = p && p->known ? p->told : NULL;
    return *out ? p->n : 0;
}
