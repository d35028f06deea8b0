/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is made of the outputs of the model that is kept, found on the rows that silos hold out for
 * validation once the last round is over, and told on test rows.
 *
 * Silos score their rows once, and bring to each sum what the sums before have made of it. All
 * sums are of the same silos: where the policy holds and members have changed since the model was
 * scored, nothing is found, because two sums of the same rows over different silos tell of those
 * between. Elsewhere, as a rehearsal of one table, all is begun anew over the members that are
 * left. A number that is stored has policy.digits, or is rounded up to a public grid.
 */
#include "federation/postprocess.h"

#include <string.h>

/* Releases what an attempt has made, and forgets it. */
static void clear(struct gr_postprocess *p) {
    gr_free(p->told);
    gr_free(p->text);
    gr_coverage_release(&p->coverage);
    gr_postprocessing_release(&p->found);
    gr_accumulator_free(p->after);
    gr_accumulator_free(p->own);
    gr_accumulator_free(p->part);
    gr_conformal_search_free(p->search);
    gr_recalibration_fit_free(p->fit);
    gr_outputs_free(p->outputs);
    *p = (struct gr_postprocess){0};
}

void gr_postprocess_free(struct gr_postprocess *p) {
    if (p) clear(p);
    gr_free(p);
}

static bool recalibrates(const struct gr_federation *f) {
    return f->config->evaluate.recalibration != GR_RECALIBRATION_NONE;
}

static bool finds_sets(const struct gr_federation *f) {
    return f->config->evaluate.conformal.alpha > 0;
}

gr_status gr_postprocess_create(const struct gr_federation *f, struct gr_postprocess **out) {
    const enum gr_recalibration_method method = f->config->evaluate.recalibration;
    const size_t classes = gr_model_classes(f->model);
    *out = NULL;
    if (!recalibrates(f) && !finds_sets(f)) return GR_OK;
    if (recalibrates(f) && classes != 2 && (classes < 2 || method != GR_RECALIBRATION_TEMPERATURE))
        return gr_fail(
            GR_ERROR_CONFIG,
            "evaluate.recalibration: found %s, allowed only %s of a model of %zu classes",
            gr_recalibration_text(method), classes > 2 ? "temperature" : "none", classes);
    if (classes == 1)
        return gr_fail(
            GR_ERROR_CONFIG,
            "evaluate.conformal.alpha: found a number above 0, allowed only 0 of a model "
            "of one class");
    return gr_allocate_zero(1, sizeof **out, "postprocessing", out);
}

const char *gr_postprocess_text(const struct gr_federation *f) {
    const struct gr_postprocess *p = gr_scores_postprocess(f->scores);
    return p ? p->text : NULL;
}

const char *gr_postprocess_told(const struct gr_federation *f) {
    const struct gr_postprocess *p = gr_scores_postprocess(f->scores);
    return p ? p->told : NULL;
}

struct gr_postprocess_why gr_postprocess_why(const struct gr_federation *f) {
    const struct gr_postprocess *p = gr_scores_postprocess(f->scores);
    return p ? p->why : (struct gr_postprocess_why){0};
}

/* Not for the one that was not asked for. */
static void find_nothing(const struct gr_federation *f, struct gr_postprocess *p, const char *why) {
    p->why = (struct gr_postprocess_why){.recalibration = recalibrates(f) ? why : NULL,
                                         .sets = finds_sets(f) ? why : NULL};
}

static bool is_recalibrated(const struct gr_postprocess *p) {
    return p->found.recalibration.method != GR_RECALIBRATION_NONE;
}

static bool has_sets(const struct gr_postprocess *p) {
    return p->found.conformal.alpha > 0;
}

/* ---- validation rows ------------------------------------------------------------------------ */

/* A gr_row_listener's. */
static gr_status keep_outputs(void *context, struct gr_model *model, const struct gr_rows *rows,
                              size_t first, size_t n) {
    (void)rows;
    (void)first;
    return gr_outputs_add(context, gr_model_logits(model), gr_model_batch_labels(model),
                          gr_model_batch_targets(model), gr_model_batch_weights(model), n);
}

/*
 * The outputs of this rank's silos; basis: silos that bring some, and their rows. Of a silo of
 * which a row cannot be scored none count, as in the scores.
 */
static gr_status score_validation(struct gr_federation *f, struct gr_postprocess *p,
                                  const float *parameters, struct gr_release_basis *basis) {
    const struct gr_row_listener listener = {.hear = keep_outputs, .context = p->outputs};
    struct gr_score score;
    gr_status status = GR_OK;
    for (size_t i = 0; i < f->data->n_local; i++) {
        const struct gr_rows *rows = &f->data->local[i].validation;
        const size_t before = gr_outputs_rows(p->outputs);
        if (rows->n_rows == 0) continue;
        status = gr_evaluate_heard(f->model, parameters, rows, gr_control_watch, f->comm, &score,
                                   NULL, &listener);
        if (status == GR_ERROR_DATA) {
            gr_outputs_cut(p->outputs, before);
            status = GR_OK;
            continue;
        }
        if (status != GR_OK) return status;
        basis->silos++;
        basis->rows += gr_outputs_rows(p->outputs) - before;
    }
    return status;
}

/* Makes room for an attempt, and scores the rows. */
static gr_status begin(struct gr_federation *f, struct gr_postprocess *p, const float *parameters,
                       struct gr_release_basis *basis) {
    const struct gr_config *config = f->config;
    const size_t classes = gr_model_classes(f->model);
    const uint32_t least = gr_policy_holds(config) ? config->data.disclosure_threshold : 0;
    gr_status status = GR_OK;
    GR_TRY(gr_outputs_create(classes, &p->outputs));
    GR_TRY(score_validation(f, p, parameters, basis));
    if (recalibrates(f))
        GR_TRY(gr_recalibration_fit_create(config->evaluate.recalibration, classes,
                                           config->data.disclosure_threshold, &p->fit));
    if (finds_sets(f))
        GR_TRY(gr_conformal_search_create(config->evaluate.conformal.alpha, least, p->outputs,
                                          &p->search));
    GR_TRY(gr_accumulator_create(classes, &p->part));
    GR_TRY(gr_accumulator_create(classes, &p->own));
    GR_TRY(gr_accumulator_create(classes, &p->after));
    status = gr_coverage_create(f, &p->coverage);
out:
    return status;
}

/* Whether the outcome, of that round, was scored over the members that are there, by this start. */
static bool is_of_members(const struct gr_federation *f, uint32_t round) {
    const uint32_t epoch =
        round == gr_server_rounds(f->server) ? gr_scores_epoch(f->scores) : gr_best_epoch(f->best);
    return epoch == gr_comm_epoch(f->comm);
}

/* Collective. */
static gr_status fit_all(struct gr_federation *f, struct gr_postprocess *p) {
    const uint32_t digits = gr_policy_holds(f->config) ? f->config->policy.digits : 0;
    gr_status status = GR_OK;
    size_t n;
    for (;;) {
        int64_t *sums = gr_recalibration_fit_sums(p->fit, p->outputs, &n);
        if (n == 0) break;
        GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_RECALIBRATION, sums, n));
    }
    p->why.recalibration = gr_recalibration_fit_why(p->fit);
    if (!p->why.recalibration)
        status = gr_comm_agree(f->comm,
                               gr_recalibration_fit_take(p->fit, digits, &p->found.recalibration));
out:
    return status;
}

/* Collective. The bound of all outputs as they are: a recalibration has seen the same rows, and
 * would promise too much. */
static gr_status search_all(struct gr_federation *f, struct gr_postprocess *p) {
    gr_status status = GR_OK;
    size_t n;
    for (;;) {
        int64_t *sums = gr_conformal_search_sums(p->search, &n);
        if (n == 0) break;
        GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_CONFORMAL, sums, n));
    }
    p->why.sets = gr_conformal_search_why(p->search);
    if (!p->why.sets) p->found.conformal = gr_conformal_search_found(p->search);
out:
    return status;
}

/* ---- test rows ------------------------------------------------------------------------------ */

static bool rows_are_silos(const struct gr_federation *f) {
    return f->data->n_test == 0 && !f->data->test_why;
}

/* Rows of one silo or of the test table, which is none's; those that cannot be scored are left out
 * as a whole. */
static gr_status add_test(struct gr_federation *f, struct gr_postprocess *p,
                          const float *parameters, const struct gr_rows *rows, uint32_t silo) {
    const struct gr_row_listener listener = gr_coverage_listener(&p->coverage, &p->found.conformal);
    struct gr_score score;
    if (rows->n_rows == 0) return GR_OK;
    gr_accumulator_clear(p->part, true);
    gr_status status = gr_evaluate_heard(f->model, parameters, rows, gr_control_watch, f->comm,
                                         &score, p->part, has_sets(p) ? &listener : NULL);
    if (status == GR_ERROR_DATA) {
        gr_coverage_drop(&p->coverage);
        return GR_OK;
    }
    if (status != GR_OK) return status;
    gr_coverage_take(&p->coverage, silo);
    return gr_accumulator_add(p->own, p->part);
}

static gr_status score_test(struct gr_federation *f, struct gr_postprocess *p,
                            const float *parameters) {
    gr_status status = GR_OK;
    bool dealt;
    if (is_recalibrated(p)) GR_TRY(gr_accumulator_recalibrate(p->part, &p->found.recalibration));
    status = gr_cohort_deal_test(f->cohort, &dealt);
    if (status == GR_LOST) return status;
    GR_TRY(add_test(f, p, parameters, &f->data->test, f->data->n_silos));
    for (size_t i = 0; i < f->data->n_local; i++)
        GR_TRY(add_test(f, p, parameters, &f->data->local[i].test, f->data->local[i].id));
out:
    return status;
}

/* Collective. The metrics of all test rows, with calibrated probabilities. */
static gr_status sum_after(struct gr_federation *f, struct gr_postprocess *p) {
    struct gr_door *door = gr_cohort_door(f->cohort);
    gr_status status;
    size_t n;
    const int64_t *own = gr_accumulator_sums(p->own, &n);
    int64_t *all = gr_accumulator_sums(p->after, &n);
    memcpy(all, own, n * sizeof *all);
    GR_TRY(gr_release_sum(door, GR_RELEASE_SCORES, all, n));
    gr_accumulator_bin(p->after, p->own);
    all = gr_accumulator_counts(p->after, &n);
    GR_TRY(gr_release_sum(door, GR_RELEASE_SCORES, all, n));
    for (;;) {
        all = gr_accumulator_fit(p->after, p->own, &n);
        if (n == 0) break;
        GR_TRY(gr_release_sum(door, GR_RELEASE_SCORES, all, n));
    }
    gr_accumulator_drop_bounds(p->after);
    if (rows_are_silos(f) && gr_policy_holds(f->config))
        status = gr_comm_agree(
            f->comm, gr_accumulator_disclose(p->after, f->config->data.disclosure_threshold,
                                             f->config->policy.digits));
out:
    return status;
}

/* Collective. before: the same rows, as the scores have them. */
static gr_status tell_test(struct gr_federation *f, struct gr_postprocess *p,
                           const float *parameters, const struct gr_accumulator *before) {
    gr_status status;
    GR_TRY(gr_comm_agree(f->comm, score_test(f, p, parameters)));
    if (is_recalibrated(p)) {
        GR_TRY(sum_after(f, p));
        if (gr_accumulator_rows(p->after) != gr_accumulator_rows(before))
            p->why.test = "the test rows are not those of the scores before";
    }
    if (has_sets(p)) status = gr_coverage_sum(f, &p->coverage, rows_are_silos(f));
out:
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

/* Test rows of this rank's silos, as of gr_release_allows. */
static struct gr_release_basis count_test(const struct gr_federation *f) {
    struct gr_release_basis basis = {0};
    for (size_t i = 0; i < f->data->n_local; i++) {
        if (f->data->local[i].test.n_rows == 0) continue;
        basis.silos++;
        basis.rows += f->data->local[i].test.n_rows;
    }
    return basis;
}

/* What some rank says is so for all. */
enum { OTHER_MEMBERS, NO_SCORES, SAID };

/* Collective. */
static gr_status find(struct gr_federation *f, struct gr_postprocess *p,
                      const struct gr_state *outcome, struct gr_evaluation *before) {
    gr_status status = GR_OK, scored;
    struct gr_release_basis of[2] = {{0}, count_test(f)};
    bool allowed[2];
    int64_t said[SAID] = {
        [OTHER_MEMBERS] = gr_policy_holds(f->config) && !is_of_members(f, outcome->round),
        [NO_SCORES] = !gr_federation_evaluation(f, before) || before->round != outcome->round ||
                      strcmp(before->rows_of, "test") != 0 ||
                      gr_accumulator_rows(before->accumulator) == 0};
    GR_TRY(gr_comm_max_public(f->comm, said, SAID));
    if (said[OTHER_MEMBERS] > 0) {
        find_nothing(
            f, p, "silos may have gone since the model was scored: other sums would tell theirs");
        return GR_OK;
    }
    scored = begin(f, p, outcome->parameters, &of[0]);
    GR_TRY(gr_release_allows(gr_cohort_door(f->cohort), scored, of, allowed, 2));
    if (!allowed[0]) {
        find_nothing(f, p,
                     "validation rows are of fewer silos than policy.minimum_silos, or fewer than "
                     "data.disclosure_threshold");
        return GR_OK;
    }
    if (recalibrates(f)) GR_TRY(fit_all(f, p));
    if (finds_sets(f)) GR_TRY(search_all(f, p));
    gr_inject_fault(f->cohort, gr_server_rounds(f->server), GR_POINT_POSTPROCESS);
    if (!is_recalibrated(p) && !has_sets(p)) return GR_OK;
    if (said[NO_SCORES] > 0)
        p->why.test = "there are no test rows with scores";
    else if (rows_are_silos(f) && !allowed[1])
        p->why.test = "test rows are of too few silos, or too few";
    else
        status = tell_test(f, p, outcome->parameters, before->accumulator);
out:
    return status;
}

/* The texts of what was found. */
static gr_status write_texts(const struct gr_federation *f, struct gr_postprocess *p,
                             const struct gr_evaluation *before) {
    gr_status status = GR_OK;
    const struct gr_postprocessing_told told = {.recalibration = f->config->evaluate.recalibration,
                                                .alpha = f->config->evaluate.conformal.alpha,
                                                .found = &p->found,
                                                .why_not_recalibrated = p->why.recalibration,
                                                .why_no_sets = p->why.sets,
                                                .why_not_of_test = p->why.test,
                                                .before = before->accumulator,
                                                .after = p->after,
                                                .coverage = &p->coverage.told};
    GR_TRY(gr_postprocessing_to_json(&p->found, &p->text));
    status = gr_postprocessing_told_to_json(&told, &p->told);
out:
    return status;
}

gr_status gr_postprocess_find(struct gr_federation *f) {
    struct gr_postprocess *p = gr_scores_postprocess(f->scores);
    struct gr_evaluation before = {0};
    struct gr_state outcome;
    gr_status status;
    if (!p) return GR_OK;
    clear(p);
    gr_federation_outcome(f, &outcome);
    gr_door_begin(gr_cohort_door(f->cohort), GR_WORK_POSTPROCESSING, outcome.round);
    status =
        gr_door_suffices(gr_cohort_door(f->cohort)) ? find(f, p, &outcome, &before) : GR_STOPPED;
    if (status == GR_STOPPED) {
        gr_postprocessing_release(&p->found);
        p->found = (struct gr_postprocessing){0};
        find_nothing(f, p, "too few parties are left for a secure sum");
        status = GR_OK;
    }
    GR_TRY(status);
    status = gr_comm_agree(f->comm, write_texts(f, p, &before));
out:
    return status;
}
