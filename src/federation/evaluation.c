/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The evaluation of a round: the model on the test table and on silos' held-out rows, and the sums
 * over all ranks. A round may be evaluated several times, each time over the members that are left,
 * until gr_control_seal(GR_PHASE_SCORED) has succeeded. So this rank's own counts are kept apart
 * from the totals, and no score is told from a total before its seal: two totals over different
 * silos would tell by subtraction the scores of those between.
 *
 * Everything is counted in integers (granary/evaluate.h), so totals have the same bits for any
 * number of ranks.
 */
#include "federation/internal.h"

#include <math.h>
#include <string.h>

enum { SILO_METRICS = sizeof(struct gr_silo_metrics) / sizeof(int64_t) };
static const double visible = 1e-3; /* bounds so far apart stand beside an AUC */
enum { ROUND_SUMS = sizeof(struct gr_round_sums) / sizeof(int64_t) };
_Static_assert(sizeof(struct gr_round_sums) == ROUND_SUMS * sizeof(int64_t),
               "round_sums is an array of int64_t");

/*
 * The counts of this rank, as of scored_round, and of all ranks, as of total_round. silo_scores are
 * of the silos whose scores may become known, by id, and behind them a count of withheld ones;
 * NULL: none may become known.
 */
struct gr_scores {
    struct gr_round_sums scored; /* of this rank, as of scored_round */
    struct gr_round_sums sums;   /* over all ranks, complete once the round is scored */
    uint32_t scored_round, total_round;
    struct gr_accumulator *accumulator, *total; /* owned, as all that follows */
    struct gr_accumulator *silo_accumulator;    /* of one silo at a time */
    struct gr_score *silo_scores, *silo_total;
    struct gr_silo_metrics *silo_metrics, *silo_metrics_total; /* likewise, with the AUC */
    double *silo_room;                                         /* a number for each silo */
    /* Places in `local` of the silos that hold rows out: of a million none may, and a round is not
     * to ask each of them. */
    uint32_t *holding;
    size_t n_holding; /* with noise in their scores: 0, and they are in: */
    struct gr_noised_scores *noised;
    struct gr_points *points;           /* of test rows or else of validation rows; owned */
    struct gr_sliced *sliced;           /* owned */
    struct gr_postprocess *postprocess; /* of the outcome's outputs; owned */
    struct gr_bootstrap *bootstrap;     /* owned */
    uint32_t epoch;                     /* of the members over which total_round was counted */
    bool withheld;                      /* the total: too few silos or rows stand behind it */
    bool silos_withheld;                /* silos' scores, likewise */
    bool again;    /* the same model has been scored before, over other members */
    bool left_out; /* nothing of silos is in the sums: too few parties were left for masks */
};

/*
 * silo_scores has n + 1 places: the last counts withheld silos, so that this count travels in the
 * same sum as the scores.
 */
static gr_status make_silo_scores(struct gr_scores *s, size_t n) {
    gr_status status;
    GR_TRY(gr_allocate_zero(n + 1, sizeof *s->silo_scores, "silos' scores", &s->silo_scores));
    GR_TRY(gr_allocate_zero(n + 1, sizeof *s->silo_total, "silos' scores", &s->silo_total));
    GR_TRY(gr_allocate_zero(n, sizeof *s->silo_metrics, "silos' metrics", &s->silo_metrics));
    GR_TRY(gr_allocate_zero(n, sizeof *s->silo_metrics_total, "silos' metrics",
                            &s->silo_metrics_total));
    GR_TRY(gr_allocate(n, sizeof *s->silo_room, "silos' scores", &s->silo_room));
out:
    return status;
}

static gr_status find_holding(struct gr_scores *s, const struct gr_data *data) {
    gr_status status;
    GR_TRY(gr_allocate(data->n_local, sizeof *s->holding, "silos that hold rows out", &s->holding));
    for (uint32_t i = 0; i < data->n_local && !s->noised; i++)
        if (data->local[i].validation.n_rows + data->local[i].test.n_rows > 0)
            s->holding[s->n_holding++] = i;
out:
    return status;
}

/*
 * Weights of held-out rows were scaled by 2^-held_exponent when tables were loaded, the same on all
 * ranks; only the total shows counts, so the exponent is set there alone.
 */
gr_status gr_scores_create(const struct gr_federation *f, struct gr_scores **out) {
    const struct gr_row_terms *terms = gr_cohort_terms(f->cohort);
    const size_t classes = gr_model_classes(f->model);
    struct gr_scores *s = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *s, "scores", &s));
    GR_TRY(gr_accumulator_create(classes, &s->accumulator));
    GR_TRY(gr_accumulator_create(classes, &s->total));
    if (terms->weights && terms->held_exponent != GR_WEIGHT_NONE)
        gr_accumulator_set_exponent(s->total, (int)terms->held_exponent);
    GR_TRY(gr_accumulator_create(classes, &s->silo_accumulator));
    if (f->config->evaluate.per_silo) GR_TRY(make_silo_scores(s, f->config->data.silos));
    GR_TRY(gr_noised_create(f->config, &s->noised));
    GR_TRY(gr_points_create(f, &s->points));
    GR_TRY(gr_bootstrap_create(f, &s->bootstrap));
    if (s->bootstrap) gr_accumulator_keep_rows(s->accumulator);
    if (s->bootstrap) gr_accumulator_keep_rows(s->silo_accumulator);
    GR_TRY(gr_postprocess_create(f, &s->postprocess));
    GR_TRY(gr_sliced_create(f, &s->sliced));
    GR_TRY(find_holding(s, f->data));
    *out = s;
    s = NULL;
out:
    gr_scores_free(s);
    return status;
}

void gr_scores_free(struct gr_scores *s) {
    if (!s) return;
    gr_bootstrap_free(s->bootstrap);
    gr_postprocess_free(s->postprocess);
    gr_sliced_free(s->sliced);
    gr_points_free(s->points);
    gr_noised_free(s->noised);
    gr_free(s->holding);
    gr_free(s->silo_room);
    gr_free(s->silo_metrics_total);
    gr_free(s->silo_metrics);
    gr_free(s->silo_total);
    gr_free(s->silo_scores);
    gr_accumulator_free(s->silo_accumulator);
    gr_accumulator_free(s->total);
    gr_accumulator_free(s->accumulator);
    gr_free(s);
}

/*
 * For a rank that comes back with the state of others: its total would be taken for the present
 * round's by fill_silos and gr_federation_evaluation.
 */
void gr_scores_forget(struct gr_scores *scores) {
    scores->total_round = 0;
    gr_noised_forget(scores->noised);
}

struct gr_accumulator *gr_scores_spare(struct gr_scores *scores) {
    return scores->silo_accumulator;
}

struct gr_postprocess *gr_scores_postprocess(const struct gr_scores *scores) {
    return scores->postprocess;
}

bool gr_scores_left_out(const struct gr_federation *f) {
    return f->scores->left_out && !gr_round_is_void(f);
}

uint32_t gr_scores_epoch(const struct gr_scores *scores) {
    return scores->total_round > 0 && !scores->again ? scores->epoch : GR_EPOCH_NEVER;
}

/*
 * Part of the state that a returning or respawned rank receives, but only in a scored round: then
 * the members do not add up again, so this rank would have no sums for its metrics. In earlier
 * phases it takes part in the addition itself.
 */
gr_status gr_scores_share(struct gr_federation *f) {
    gr_status status = GR_OK;
    if (gr_round_roster(f)->phase != GR_PHASE_SCORED) return GR_OK;
    GR_TRY(gr_comm_broadcast(f->comm, &f->scores->epoch, sizeof f->scores->epoch));
    GR_TRY(gr_comm_broadcast(f->comm, &f->scores->left_out, sizeof f->scores->left_out));
    GR_TRY(gr_comm_broadcast(f->comm, &f->scores->sums, sizeof f->scores->sums));
    status = gr_noised_share(f, f->scores->noised);
out:
    return status;
}

/*
 * Each rank holds a share of the test table. After a loss the shares are dealt anew over the
 * members that are left, so that the test score is still of the whole table; counts of the old
 * share are void. Not collective: the deal follows from rank and size, and each rank reads its new
 * rows by itself.
 */
static gr_status deal_test(struct gr_federation *f) {
    bool dealt;
    gr_status status = gr_cohort_deal_test(f->cohort, &dealt);
    if (status == GR_OK && dealt) f->scores->scored_round = 0;
    return status;
}

/*
 * Early stopping is not foreseen here, because it is decided by this very evaluation; its outcome
 * is the best round's model, which gr_evaluate_outcome evaluates with the AUC.
 */
static bool is_last(const struct gr_federation *f, uint32_t round) {
    return round == f->config->run.rounds || round == gr_spending_last_round(f) ||
           gr_round_roster(f)->stop_requested;
}

/*
 * The same on all ranks: stop_requested is part of the roster, on which all have agreed. If it were
 * each rank's own flag, some would enter the sums below and others not.
 */
static bool evaluation_due(const struct gr_federation *f, uint32_t round) {
    const uint32_t every = f->config->evaluate.every;
    if (gr_round_is_void(f)) return false; /* the model is the one before */
    return gr_release_leaves(GR_RELEASE_SCORES, f->config) &&
           (round % every == 0 || is_last(f, round));
}

/*
 * The counts of the bins, as of the AUC, may be more bytes than a small model: they are added up in
 * each round only where the config asks for it, else in the last.
 */
static bool counts_auc(const struct gr_federation *f, uint32_t round) {
    const struct gr_evaluate_config *config = &f->config->evaluate;
    for (unsigned i = 0; i < config->metrics_count; i++)
        if (gr_metric_rows[gr_metric_find(config->metrics[i])].binned) return true;
    return is_last(f, round);
}

/*
 * Whether the accumulator counts test rows; if there are none, it counts all validation rows.
 * Either way all its figures are of one kind of rows. A test table that could not be read
 * (test_why) still counts as one: the metrics are then undefined, not silently those of validation
 * rows.
 */
static bool accumulators_test(const struct gr_federation *f) {
    return f->data->n_test > 0 || f->data->test_why || f->config->data.test_fraction > 0;
}

/* A place for each silo, and a last for the count of withheld ones. */
static size_t silo_slots(const struct gr_federation *f) {
    return f->data->n_silos + 1U;
}

/*
 * Where evaluate.per_silo is set a silo's score becomes known, unless it stands for fewer than
 * minimum_rows rows: then it is counted in the extra place behind the last silo, in the field
 * `correct`, and nothing of its rows leaves this rank.
 */
static void note_silo(struct gr_federation *f, uint32_t silo, const struct gr_score *score) {
    if (!f->scores->silo_scores) return;
    if (score->examples >= (int64_t)f->config->evaluate.minimum_rows) {
        f->scores->silo_scores[silo] = *score;
    } else {
        f->scores->silo_scores[f->data->n_silos].correct++;
    }
}

/* Rows of a silo, others may already wait for them, into `score`; into f->scores->silo_accumulator
 * where they are counted. sliced: scores are of them. */
static gr_status score_part(struct gr_federation *f, const float *parameters, bool with_auc,
                            const struct gr_rows *rows, bool counted, bool sliced,
                            struct gr_score *score) {
    *score = (struct gr_score){0};
    if (rows->n_rows == 0) return GR_OK;
    if (counted) gr_accumulator_clear(f->scores->silo_accumulator, with_auc);
    return gr_evaluate_heard(f->model, parameters, rows, gr_control_watch, f->comm, score,
                             counted ? f->scores->silo_accumulator : NULL,
                             sliced ? gr_sliced_listen(f->scores->sliced) : NULL);
}

/* Of rows that are all here. */
static void fit_alone(struct gr_accumulator *accumulator) {
    size_t n;
    do
        (void)gr_accumulator_fit(accumulator, accumulator, &n);
    while (n > 0);
}

/*
 * One silo's validation and test rows: all of them count, or when some cannot be scored none do.
 * Where they may be known all metrics of its validation rows too, with the AUC, which is the
 * dearest of them.
 */
static gr_status score_silo(struct gr_federation *f, const float *parameters, bool with_auc,
                            const struct gr_silo *silo, struct gr_round_sums *sums) {
    const bool of_test = accumulators_test(f), known = with_auc && f->scores->silo_scores;
    const bool chooses = of_test && with_auc && f->scores->points;
    struct gr_silo_metrics metrics = {0};
    struct gr_score validation, test;
    const struct gr_rows *rows = &silo->validation;
    gr_status status = score_part(f, parameters, with_auc, rows, known || chooses || !of_test,
                                  !of_test || gr_sliced_of_silos(f->scores->sliced), &validation);
    if (status == GR_OK && rows->n_rows > 0) gr_sliced_note_silo(f->scores->sliced, silo->id);
    if (status == GR_OK && chooses && rows->n_rows > 0)
        status = gr_points_add(f->scores->points, f->scores->silo_accumulator);
    if (status == GR_OK && known && rows->n_rows > 0) {
        gr_accumulator_bin(f->scores->silo_accumulator, f->scores->silo_accumulator);
        fit_alone(f->scores->silo_accumulator);
        gr_silo_metrics_take(f->scores->silo_accumulator, &metrics);
        status = gr_bootstrap_silo(f, f->scores->bootstrap, silo, f->scores->silo_accumulator);
    }
    /* Where test rows count, validation rows do not; else there are no test rows of silos. */
    if (status == GR_OK && silo->test.n_rows > 0) {
        rows = &silo->test;
        status = score_part(f, parameters, with_auc, rows, of_test, of_test, &test);
        if (status == GR_OK) gr_score_add(&sums->test, &test);
    }
    if (status == GR_ERROR_DATA) gr_sliced_drop_silo(f->scores->sliced, silo->id);
    if (status == GR_ERROR_DATA) return gr_unscored_silo(f, parameters, silo, rows, sums);
    if (status != GR_OK) return status;
    gr_unscored_none(f->unscored, silo->id);
    sums->scored++;
    if (rows->n_rows > 0 && (of_test == (rows == &silo->test)))
        status = gr_accumulator_add(f->scores->accumulator, f->scores->silo_accumulator);
    if (status == GR_OK && rows->n_rows > 0 && (of_test == (rows == &silo->test)))
        status = gr_bootstrap_note_silo(f, f->scores->bootstrap, silo, of_test,
                                        f->scores->accumulator, rows->n_rows);
    if (status == GR_OK && (of_test == (rows == &silo->test)))
        status = gr_sliced_take(f->scores->sliced, rows, true);
    if (status != GR_OK || silo->validation.n_rows == 0) return status;
    gr_score_add(&sums->validation, &validation);
    note_silo(f, silo->id, &validation);
    if (known && f->scores->silo_scores[silo->id].examples > 0)
        f->scores->silo_metrics[silo->id] = metrics;
    return GR_OK;
}

/* This rank's share of the test table; a bad row leaves the metrics undefined. */
static gr_status score_test(struct gr_federation *f, const float *parameters,
                            struct gr_round_sums *sums) {
    gr_status status;
    struct gr_score score;
    if (f->data->test.n_rows == 0) return GR_OK;
    status = gr_evaluate_heard(f->model, parameters, &f->data->test, gr_control_watch, f->comm,
                               &score, f->scores->accumulator, gr_sliced_listen(f->scores->sliced));
    if (status == GR_ERROR_DATA) return gr_unscored_test(f, parameters, sums);
    if (status == GR_OK) status = gr_sliced_take(f->scores->sliced, &f->data->test, false);
    if (status != GR_OK) return status;
    gr_score_add(&sums->test, &score);
    sums->scored++;
    return gr_bootstrap_note_test(f, f->scores->bootstrap, f->scores->accumulator);
}

/* Test table and silos' held-out rows of this rank. readable: the test table is here. */
static gr_status score_rows(struct gr_federation *f, const float *parameters, bool with_auc,
                            bool readable, struct gr_round_sums *sums) {
    gr_status status = GR_OK;
    gr_accumulator_clear(f->scores->accumulator, with_auc);
    gr_points_clear(f->scores->points, with_auc);
    gr_bootstrap_clear(f->scores->bootstrap);
    gr_unscored_begin(f);
    sums->unscored = sums->unscored_test = sums->scored = 0;
    if (f->scores->silo_scores) {
        memset(f->scores->silo_scores, 0, silo_slots(f) * sizeof *f->scores->silo_scores);
        memset(f->scores->silo_metrics, 0, f->data->n_silos * sizeof *f->scores->silo_metrics);
    }
    if (readable)
        GR_TRY(score_test(f, parameters, sums));
    else
        gr_unscored_table(f, sums);
    for (size_t i = 0; i < f->scores->n_holding; i++) {
        const struct gr_silo *silo = &f->data->local[f->scores->holding[i]];
        if (silo->validation.n_rows + silo->test.n_rows > 0)
            GR_TRY(score_silo(f, parameters, with_auc, silo, sums));
    }
out:
    return status;
}

/* Scores that this rank has of this round already are used again. */
static gr_status evaluate_local(struct gr_federation *f, struct gr_round_sums *sums) {
    gr_status status = deal_test(f);
    const bool readable = status == GR_OK, last = is_last(f, gr_server_rounds(f->server));
    if (status == GR_LOST) return status;
    memcpy(sums->test_digest, f->data->test_digest, sizeof sums->test_digest);
    if (readable && f->scores->scored_round == gr_server_rounds(f->server) &&
        gr_sliced_is(f->scores->sliced, last)) {
        sums->test = f->scores->scored.test;
        sums->validation = f->scores->scored.validation;
        sums->unscored = f->scores->scored.unscored;
        sums->unscored_test = f->scores->scored.unscored_test;
        sums->scored = f->scores->scored.scored;
        return GR_OK;
    }
    gr_sliced_clear(f->scores->sliced, last);
    status = score_rows(f, gr_server_parameters(f->server),
                        counts_auc(f, gr_server_rounds(f->server)), readable, sums);
    if (status != GR_OK) return status;
    f->scores->scored = *sums;
    f->scores->scored_round =
        readable ? gr_server_rounds(f->server) : 0; /* it may be readable the next time */
    return GR_OK;
}

/*
 * Whether the accumulator counts rows that silos hold out. Then the disclosure threshold and
 * policy.digits apply to its figures; a common test table belongs to no silo and is told in full.
 */
static bool rows_are_silos(const struct gr_federation *f) {
    return f->data->n_test == 0 && !f->data->test_why;
}

/*
 * Collective. Which silos' scores are withheld: first a bit of each says whether it stands for rows
 * enough, and how many do not; then all know which one more is withheld, and its rank keeps it.
 */
static gr_status withhold_silos(struct gr_federation *f) {
    const size_t n = f->data->n_silos;
    int64_t *told = NULL;
    gr_status status;
    GR_TRY(gr_comm_agree(f->comm, gr_allocate_zero(n + 1, sizeof *told, "silos' scores", &told)));
    for (size_t i = 0; i < n; i++)
        told[i] = f->scores->silo_total[i].examples > 0;
    told[n] = f->scores->silo_total[n].correct;
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SILO_SCORES, told, n + 1));
    const size_t more = gr_scores_withhold_more(told, n, told[n], f->config->evaluate.minimum_rows);
    memset(&f->scores->silo_total[n], 0, sizeof *f->scores->silo_total);
    if (more == n) goto out;
    memset(&f->scores->silo_total[more], 0, sizeof *f->scores->silo_total);
    memset(&f->scores->silo_metrics_total[more], 0, sizeof *f->scores->silo_metrics_total);
out:
    gr_free(told);
    return status;
}

/* Collective. The silos' scores that may be known, on all ranks. */
static gr_status add_silo_scores(struct gr_federation *f, bool with_auc) {
    const size_t n = f->data->n_silos;
    struct gr_door *door = gr_cohort_door(f->cohort);
    gr_status status;
    memcpy(f->scores->silo_total, f->scores->silo_scores,
           silo_slots(f) * sizeof *f->scores->silo_total);
    memcpy(f->scores->silo_metrics_total, f->scores->silo_metrics,
           n * sizeof *f->scores->silo_metrics_total);
    GR_TRY(withhold_silos(f));
    GR_TRY(gr_sliced_add_silos(f, f->scores->sliced, f->scores->silo_total, !accumulators_test(f)));
    GR_TRY(gr_bootstrap_add_silos(f, f->scores->bootstrap, f->scores->silo_total));
    GR_TRY(gr_release_sum(door, GR_RELEASE_SILO_SCORES, &f->scores->silo_total->examples,
                          n * GR_SCORE_SUMS));
    if (with_auc)
        GR_TRY(gr_release_sum(door, GR_RELEASE_SILO_SCORES, &f->scores->silo_metrics_total->told,
                              n * SILO_METRICS));
out:
    return status;
}

/*
 * Collective. The bounds of the bins of the AUC, by which true ties are known. They are maxima:
 * under secure sums none leaves, and rows of one bin count as not told apart.
 */
static gr_status share_bounds(struct gr_federation *f) {
    const bool leave = gr_release_leaves(GR_RELEASE_AUC_BOUNDS, f->config);
    struct gr_accumulator *total = f->scores->total;
    size_t n;
    if (!leave)
        gr_accumulator_drop_bounds(total);
    else if (rows_are_silos(f))
        gr_accumulator_withhold_bounds(total, f->config->data.disclosure_threshold);
    int64_t *bounds = gr_accumulator_bounds(total, &n);
    return leave ? gr_release_max(gr_cohort_door(f->cohort), GR_RELEASE_AUC_BOUNDS, bounds, n)
                 : GR_OK;
}

/* Collective. How the scores are calibrated, of all rows: a few sums, each by what the one before
 * has told. */
static gr_status fit_all(struct gr_federation *f) {
    gr_status status;
    size_t n;
    for (;;) {
        int64_t *sums = gr_accumulator_fit(f->scores->total, f->scores->accumulator, &n);
        if (n == 0) return GR_OK;
        GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SCORES, sums, n));
    }
out:
    return status;
}

/* Collective. Where validation rows are too few to be told of, no threshold is chosen on them. */
static gr_status find_points(struct gr_federation *f, bool with_auc) {
    if (!with_auc || f->scores->silos_withheld) return GR_OK;
    return gr_points_find(
        f, f->scores->points,
        &(struct gr_points_rows){.own = f->scores->accumulator,
                                 .total = f->scores->total,
                                 .chosen_on_them = !accumulators_test(f),
                                 .of_silos = rows_are_silos(f) && gr_policy_holds(f->config)});
}

/*
 * Collective. The accumulators and silos' scores of all ranks; this rank's own stay as they are,
 * for this may be done again after a loss.
 *
 * The order matters. Sums come first because the bins of the AUC are laid by their totals, the same
 * on all ranks; each rank then counts its rows into these bins, and the counts are added. Bounds of
 * bins are withheld before they leave; they are maxima, and a maximum over ranks is a row's score.
 * total_round is set last, so a total of which a part is missing is never taken for a whole.
 */
static gr_status add_accumulators(struct gr_federation *f, uint32_t round, bool with_auc) {
    gr_status status = GR_OK;
    size_t n, same;
    const int64_t *own = gr_accumulator_sums(f->scores->accumulator, &n);
    f->scores->total_round = 0;
    gr_accumulator_clear(f->scores->total, with_auc);
    int64_t *total = gr_accumulator_sums(f->scores->total, &same);
    memcpy(total, own, n * sizeof *total);
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SCORES, total, n));
    gr_accumulator_bin(f->scores->total, f->scores->accumulator);
    total = gr_accumulator_counts(f->scores->total, &n);
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SCORES, total, n));
    GR_TRY(fit_all(f));
    GR_TRY(find_points(f, with_auc));
    GR_TRY(gr_bootstrap_find(f, f->scores->bootstrap, f->scores->accumulator, f->scores->total));
    GR_TRY(gr_sliced_find(
        f, f->scores->sliced,
        &(struct gr_sliced_rows){.own = f->scores->accumulator,
                                 .of_silos = rows_are_silos(f) && gr_policy_holds(f->config)}));
    GR_TRY(share_bounds(f));
    if (rows_are_silos(f) && gr_policy_holds(f->config))
        GR_TRY(gr_comm_agree(f->comm, gr_accumulator_disclose(f->scores->total,
                                                              f->config->data.disclosure_threshold,
                                                              f->config->policy.digits)));
    if (gr_release_leaves(GR_RELEASE_SILO_SCORES, f->config) && !f->scores->silos_withheld)
        GR_TRY(add_silo_scores(f, with_auc));
    f->scores->total_round = round;
out:
    return status;
}

/*
 * Collective. All ranks learn which rows could not be scored; without its table the test has no
 * scores. Nor has one that was dealt anew and is not, row for row, the one of the beginning.
 */
static gr_status settle_scores(struct gr_federation *f, bool with_auc, struct gr_round_sums *sums) {
    const bool replaced =
        sums->unscored_test == 0 && gr_cohort_test_replaced(f->cohort, sums->test_digest);
    gr_unscored_replaced(f->unscored, replaced);
    if (replaced) sums->unscored_test = 1;
    gr_status status = gr_unscored_share(f, sums);
    if (status != GR_OK || sums->unscored_test == 0) return status;
    sums->test = (struct gr_score){0};
    if (accumulators_test(f)) gr_accumulator_clear(f->scores->total, with_auc);
    return GR_OK;
}

/* Collective. The totals are complete on all ranks, and are not counted again. */
static gr_status seal(struct gr_federation *f) {
    gr_status status = gr_control_seal(f->comm, GR_PHASE_SCORED);
    if (status == GR_OK) gr_round_roster(f)->phase = GR_PHASE_SCORED;
    return status;
}

/*
 * Silos of this rank whose rows, held out for the test or else the validation, were scored, and
 * these rows: this rank's part in the question whether the policy lets the sum leave. Silos whose
 * rows could not be scored are in no sum and are not counted.
 */
static struct gr_release_basis count_scored(const struct gr_federation *f, bool of_test) {
    struct gr_release_basis basis = {0};
    for (size_t i = 0; i < f->scores->n_holding; i++) {
        const struct gr_silo *silo = &f->data->local[f->scores->holding[i]];
        const size_t rows = of_test ? silo->test.n_rows : silo->validation.n_rows;
        if (rows == 0 || gr_unscored_has(f->unscored, silo->id)) continue;
        basis.silos++;
        basis.rows += rows;
    }
    return basis;
}

/*
 * Collective. Held-out rows of fewer silos than the policy asks for, or fewer rows than the
 * threshold: their scores never leave. A common test table is nobody's.
 */
static gr_status withhold_scores(struct gr_federation *f, gr_status scored,
                                 struct gr_round_sums *sums) {
    struct gr_door *door = gr_cohort_door(f->cohort);
    struct gr_scores *s = f->scores;
    const struct gr_release_basis of[2] = {count_scored(f, false), count_scored(f, true)};
    bool allowed[2] = {false, false};
    gr_status status = GR_OK;
    if (s->again)
        GR_TRY(gr_comm_agree(f->comm, scored));
    else
        GR_TRY(gr_release_allows(door, scored, of, allowed, 2));
    const bool validation = allowed[0], test = allowed[1];
    s->silos_withheld = !validation;
    s->withheld = rows_are_silos(f) && !(accumulators_test(f) ? test : validation);
    if (!validation) memset(&sums->validation, 0, sizeof sums->validation);
    if (!test && rows_are_silos(f)) memset(&sums->test, 0, sizeof sums->test);
    if (!validation && s->silo_total)
        memset(s->silo_total, 0, silo_slots(f) * sizeof *s->silo_total);
out:
    return status;
}

/* Collective. The scores over all ranks, as far as they may be known. scored: how
 * that went. */
static gr_status share_scores(struct gr_federation *f, gr_status scored, uint32_t round,
                              bool with_auc, struct gr_round_sums *sums) {
    gr_status status = withhold_scores(f, scored, sums);
    gr_points_forget(f->scores->points);
    gr_bootstrap_forget(f->scores->bootstrap);
    gr_sliced_forget(f->scores->sliced);
    if (status != GR_OK || !f->scores->withheld)
        return status == GR_OK ? add_accumulators(f, round, with_auc) : status;
    gr_accumulator_clear(f->scores->total, with_auc);
    f->scores->total_round = round;
    return GR_OK;
}

/*
 * A model that is scored a second time, over fewer silos, tells by subtraction the scores of those
 * that are no longer there. So where the policy holds, rows of silos are not in the scores of an
 * outcome when members have changed since it was first scored, or another process has scored it.
 */
static bool is_scored_again(const struct gr_federation *f) {
    return gr_policy_holds(f->config) && gr_best_epoch(f->best) != gr_comm_epoch(f->comm);
}

/* Too few parties are left for masks: what follows is without anything of silos. */
static void leave_out(struct gr_federation *f) {
    gr_door_bare(gr_cohort_door(f->cohort));
    f->scores->again = f->scores->left_out = true;
}

/* Collective. The best model, up to its seal. GR_STOPPED: too few parties are left. */
static gr_status score_outcome(struct gr_federation *f, uint32_t best) {
    gr_status status = GR_OK;
    struct gr_round_sums sums = {0};
    int64_t values[ROUND_SUMS];
    f->scores->scored_round = 0; /* what has been counted is no longer of the last round */
    gr_bootstrap_set_due(f->scores->bootstrap, true);
    status = deal_test(f);
    gr_sliced_clear(f->scores->sliced, true);
    if (status != GR_LOST)
        status = score_rows(f, gr_best_parameters(f->best), true, status == GR_OK, &sums);
    memcpy(sums.test_digest, f->data->test_digest, sizeof sums.test_digest);
    GR_TRY(share_scores(f, status, best, true, &sums));
    memcpy(values, &sums, sizeof values);
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SCORES, values, ROUND_SUMS));
    memcpy(&sums, values, sizeof sums);
    GR_TRY(settle_scores(f, true, &sums));
    status = seal(f);
out:
    return status;
}

/*
 * The last round's model has been evaluated already; only where an earlier model is kept is there
 * anything to do. Called in the loop of end_together (run.c), so it may be repeated after a loss.
 */
gr_status gr_evaluate_outcome(struct gr_federation *f) {
    gr_status status = GR_OK;
    bool told;
    const uint32_t best = gr_best_round(f);
    if (best == 0 || best == gr_server_rounds(f->server)) return GR_OK;
    /* Scored before somebody was lost: the totals are here. */
    if (gr_round_roster(f)->phase == GR_PHASE_SCORED &&
        gr_round_roster(f)->round > gr_server_rounds(f->server))
        return GR_OK;
    gr_door_begin(gr_cohort_door(f->cohort), GR_WORK_OUTCOME, best);
    f->scores->again = is_scored_again(f);
    f->scores->left_out = false;
    if (f->scores->again) GR_TRY(gr_door_forget(gr_cohort_door(f->cohort), &told));
    if (!gr_door_suffices(gr_cohort_door(f->cohort))) leave_out(f);
    status = score_outcome(f, best);
    if (status == GR_STOPPED) {
        leave_out(f);
        status = score_outcome(f, best);
    }
out:
    return status;
}

/* Of a round the sums of add_up, in its order. */
static size_t foresee_round(const struct gr_federation *f, uint32_t round, bool whole, bool asks,
                            struct gr_door_foreseen *out) {
    enum { ALLOWS, POINTS = 3, SUMS_MAX = 8 + GR_FIT_PASSES + POINTS + GR_SLICED_SUMS };
    const struct gr_bootstrap_config *bootstrap = &f->config->evaluate.bootstrap;
    const bool points = counts_auc(f, round) && f->scores->points;
    uint32_t releases[SUMS_MAX], n = 0;
    if (asks && !whole && !gr_is_private(f->config)) releases[n++] = ALLOWS;
    if (evaluation_due(f, round)) {
        if (asks) releases[n++] = ALLOWS;
        releases[n++] = GR_RELEASE_SCORES;
        if (counts_auc(f, round) && gr_model_classes(f->model) > 0)
            releases[n++] = GR_RELEASE_SCORES;
        for (int i = 0; i < GR_FIT_PASSES; i++)
            if (counts_auc(f, round) && gr_model_classes(f->model) == 2)
                releases[n++] = GR_RELEASE_SCORES;
        for (int i = 0; points && i < (accumulators_test(f) ? POINTS : 1); i++)
            releases[n++] = GR_RELEASE_SCORES;
        if (bootstrap->replicates > 0 && is_last(f, round)) releases[n++] = GR_RELEASE_BOOTSTRAP;
        if (bootstrap->replicates > 0 && is_last(f, round) && bootstrap->unit == GR_RESAMPLED_SILO)
            releases[n++] = GR_RELEASE_BOOTSTRAP;
        if (is_last(f, round)) n += gr_sliced_foresee(f->scores->sliced, releases + n);
    }
    if (gr_noised_due(f, round)) releases[n++] = GR_RELEASE_NOISED_SCORES;
    releases[n++] = GR_RELEASE_TRAINING;
    for (uint32_t i = 0; i < n; i++)
        out[i] = (struct gr_door_foreseen){.round = round, .place = i, .release = releases[i]};
    return n;
}

void gr_scores_foresee(const struct gr_federation *f, uint32_t round, bool whole,
                       const unsigned char *model) {
    const bool asks = gr_policy_holds(f->config);
    struct gr_door_foreseen next[GR_FORESEEN_MAX];
    size_t n = foresee_round(f, round, whole, asks && !f->scores->again, next);
    if (model && !is_last(f, round)) {
        next[n++] = (struct gr_door_foreseen){.round = round + 1, .release = GR_RELEASE_UPDATE};
        n += foresee_round(f, round + 1, true, asks, next + n);
    }
    gr_door_foresee(gr_cohort_door(f->cohort), next, n, model);
}

/* Why there are no scores; NULL: there are some, or it is not known. */
static const char *why_none(const struct gr_federation *f) {
    if (gr_accumulator_rows(f->scores->total) > 0) return NULL;
    if (f->scores->noised && rows_are_silos(f))
        return "of rows that silos hold out counts leave with noise alone: see metrics.jsonl";
    if (f->scores->left_out && f->scores->withheld)
        return "too few parties were left for a secure sum of them";
    if (f->scores->again && f->scores->withheld)
        return "silos may have gone since this model was scored: a second scoring would tell "
               "theirs";
    struct gr_unscored unscored;
    gr_federation_unscored(f, &unscored);
    return f->scores->withheld && !unscored.diverged
               ? "rows of fewer silos than policy.minimum_silos, or fewer than "
                 "data.disclosure_threshold"
               : gr_unscored_why(f, accumulators_test(f));
}

/*
 * Metrics may be told of the total of the round or of the outcome; the pointers are into the
 * federation and hold until the next evaluation. True also for a total without rows where a reason
 * is known, so that evaluation.json says why there is none.
 */
bool gr_federation_evaluation(const struct gr_federation *f, struct gr_evaluation *out) {
    *out = (struct gr_evaluation){
        .round = f->scores->total_round,
        .rows_of = accumulators_test(f) ? "test" : "validation",
        .why = why_none(f),
        .digits = gr_policy_holds(f->config) ? f->config->policy.digits : 0,
        .accumulator = f->scores->total,
        .silos = f->scores->silo_total,
        .silo_metrics = f->scores->silo_metrics_total,
        .n_silos = f->scores->silo_total ? f->data->n_silos : 0,
        .class_names = gr_columns_class_names(f->data->columns, gr_model_classes(f->model))};
    out->n_points = gr_points_told(f->scores->points, &out->points);
    out->bootstrap = gr_bootstrap_told(f->scores->bootstrap);
    out->postprocessing = gr_postprocess_told(f);
    out->slices = gr_sliced_told(f->scores->sliced);
    out->silo_slices = gr_sliced_silos_told(f->scores->sliced);
    out->slices_why = !f->scores->sliced ? NULL
                      : out->why         ? out->why
                                         : "they are told of the model that a run ends with";
    return f->scores->total_round > 0 && (out->why || gr_accumulator_rows(f->scores->total) > 0);
}

/* The metrics that the config names; none in a round that is not evaluated. */
static void fill_named(const struct gr_federation *f, struct gr_metrics *metrics) {
    struct gr_evaluation evaluation;
    if (!gr_federation_evaluation(f, &evaluation)) return;
    metrics->of_validation = !accumulators_test(f);
    for (unsigned i = 0; i < f->config->evaluate.metrics_count; i++) {
        const unsigned metric = gr_metric_find(f->config->evaluate.metrics[i]);
        if (!gr_metric_fits(metric, gr_accumulator_classes(evaluation.accumulator))) continue;
        const struct gr_metric_value v = gr_accumulator_metric(evaluation.accumulator, metric);
        metrics->named[metric] = v.value;
        metrics->named_told |= UINT32_C(1) << metric;
        if (!gr_metric_rows[metric].bounded || !(v.upper - v.lower >= visible)) continue;
        metrics->named_lower[metric] = v.lower;
        metrics->named_upper[metric] = v.upper;
    }
}

/* The spread of the silos' scores: of two at least. */
static void fill_silos(const struct gr_federation *f, struct gr_metrics *metrics) {
    if (!f->scores->silo_total || f->scores->total_round != gr_server_rounds(f->server)) return;
    metrics->silos = gr_scores_spread(f->scores->silo_total, f->data->n_silos, f->scores->silo_room,
                                      metrics->silo_loss, metrics->silo_accuracy);
    if (metrics->silos < 2) metrics->silos = 0;
    for (size_t i = 0; i < 3 && gr_model_classes(f->model) == 0; i++)
        metrics->silo_accuracy[i] = (double)NAN;
}

static double accuracy_of(const struct gr_federation *f, const struct gr_score *score) {
    return gr_model_classes(f->model) > 0 ? gr_score_accuracy(score) : (double)NAN;
}

static void fill_metrics(const struct gr_federation *f, struct gr_metrics *metrics,
                         const struct gr_round_sums *sums) {
    metrics->processed = (uint64_t)sums->processed;
    metrics->train_loss = gr_loss_mean(sums->loss, sums->weight);
    metrics->validation_loss = gr_score_loss(&sums->validation);
    metrics->validation_accuracy = accuracy_of(f, &sums->validation);
    metrics->test_loss = gr_score_loss(&sums->test);
    metrics->test_accuracy = accuracy_of(f, &sums->test);
    metrics->test_rows = (uint64_t)sums->test.examples;
    metrics->validation_rows = (uint64_t)sums->validation.examples;
    gr_noised_fill(f, f->scores->noised, metrics);
    metrics->bytes_sent = (uint64_t)sums->bytes;
    metrics->cpu_seconds_train =
        gr_is_private(f->config) ? (double)NAN : 1e-6 * (double)sums->cpu_microseconds;
}

/*
 * An accuracy in full could be turned back into a count of right rows; where few rows are right or
 * wrong, gr_score_accuracy_told coarsens it.
 */
static double accuracy_told(const struct gr_federation *f, const struct gr_score *score) {
    return gr_model_classes(f->model) > 0
               ? gr_score_accuracy_told(score, f->config->data.disclosure_threshold)
               : (double)NAN;
}

/*
 * Comes after gr_best_judge, which needs all digits, and before options->record: nothing is written
 * down with more digits than policy.digits. Accuracies of the round start again from the sums,
 * because the rule depends on the counts and not on the quotient. A common test table belongs to no
 * silo, so its figures keep all digits.
 */
void gr_round_disclose(const struct gr_federation *f, struct gr_metrics *metrics) {
    const uint32_t digits = f->config->policy.digits;
    /* Scores with noise are told as they are. */
    if (!gr_policy_holds(f->config) || f->scores->noised) return;
    metrics->train_loss = gr_round_digits(metrics->train_loss, digits);
    metrics->validation_loss = gr_round_digits(metrics->validation_loss, digits);
    metrics->validation_accuracy =
        gr_round_digits(accuracy_told(f, &f->scores->sums.validation), digits);
    for (size_t i = 0; i < 3; i++) {
        metrics->silo_loss[i] = gr_round_digits(metrics->silo_loss[i], digits);
        metrics->silo_accuracy[i] = gr_round_digits(metrics->silo_accuracy[i], digits);
    }
    if (!rows_are_silos(f)) return;
    metrics->test_loss = gr_round_digits(metrics->test_loss, digits);
    metrics->test_accuracy = gr_round_digits(accuracy_told(f, &f->scores->sums.test), digits);
}

/*
 * Collective, where a round may be scored again. Behind masks sums are read one by one, so those
 * who are left may have read some of them over others: then nothing of silos is in any that
 * follows. A policy that is not in force has nothing to withhold. Nor is anything of silos in them
 * where too few are left for masks, or the round is void: it is to be recorded all the same.
 */
static gr_status find_told(struct gr_federation *f) {
    struct gr_release_basis basis;
    struct gr_door *door = gr_cohort_door(f->cohort);
    f->scores->again = f->scores->left_out = false;
    if (gr_round_is_void(f) || !gr_door_suffices(door)) leave_out(f);
    if (f->scores->again || !gr_policy_holds(f->config) || gr_round_is_whole(f, &basis))
        return GR_OK;
    return gr_door_forget(door, &f->scores->again);
}

/* Collective. Whether the losses may be known of the silos in the sum; of a sealed roster some may
 * be gone with their ranks, and the losses of those left are summed alone. */
static gr_status allow_losses(struct gr_federation *f, bool *allowed) {
    const struct gr_door *door = gr_cohort_door(f->cohort);
    struct gr_release_basis basis;
    size_t n;
    if (f->scores->again || gr_is_private(f->config)) {
        *allowed = false;
        return GR_OK;
    }
    if (gr_round_is_whole(f, &basis)) {
        *allowed = gr_release_suffices(door, basis);
        return GR_OK;
    }
    const struct gr_contribution *contributions = gr_training_contributions(f->training, &n);
    basis = (struct gr_release_basis){.silos = (uint32_t)n};
    for (size_t i = 0; i < n; i++)
        basis.rows += contributions[i].examples;
    return gr_release_allows(gr_cohort_door(f->cohort), GR_OK, &basis, allowed, 1);
}

/*
 * Collective. All sums of the round, over all ranks, up to their seal; read is only what could not
 * be scored, and by which rows. GR_STOPPED: too few parties are left for masks.
 */
static gr_status add_all(struct gr_federation *f) {
    gr_status status = GR_OK;
    struct gr_round_sums sums =
        *gr_training_sums(f->training); /* as trained: this may be done again */
    struct gr_release_basis all;
    int64_t values[ROUND_SUMS];
    bool allowed;
    f->scores->total_round = 0;
    f->scores->epoch = gr_comm_epoch(f->comm);
    gr_scores_foresee(f, gr_server_rounds(f->server), gr_round_is_whole(f, &all),
                      gr_round_model(f));
    GR_TRY(allow_losses(f, &allowed));
    if (!allowed) {
        sums.processed = 0;
        memset(sums.loss, 0, sizeof sums.loss);
        memset(sums.weight, 0, sizeof sums.weight);
    }
    gr_bootstrap_set_due(f->scores->bootstrap, is_last(f, gr_server_rounds(f->server)));
    if (evaluation_due(f, gr_server_rounds(f->server))) {
        const gr_status scored = evaluate_local(f, &sums);
        GR_TRY(share_scores(f, scored, gr_server_rounds(f->server),
                            counts_auc(f, gr_server_rounds(f->server)), &sums));
    }
    if (!f->scores->again && gr_noised_due(f, gr_server_rounds(f->server)))
        GR_TRY(gr_noised_add(f, f->scores->noised));
    gr_inject_fault(f->cohort, gr_server_rounds(f->server), GR_POINT_LOSSES);
    sums.bytes = (int64_t)gr_round_bytes(f);
    memcpy(values, &sums, sizeof values);
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_TRAINING, values, ROUND_SUMS));
    gr_release_note(gr_cohort_door(f->cohort), GR_RELEASE_TIMES, 2); /* among them */
    memcpy(&f->scores->sums, values, sizeof values);
    if (f->scores->total_round > 0)
        GR_TRY(settle_scores(f, counts_auc(f, gr_server_rounds(f->server)), &f->scores->sums));
    gr_inject_fault(f->cohort, gr_server_rounds(f->server), GR_POINT_SCORE);
    status = seal(f);
out:
    return status;
}

/* Collective. A sum that is void costs the scores of silos, and not the round. */
static gr_status add_up(struct gr_federation *f) {
    gr_status status = GR_OK;
    gr_door_begin(gr_cohort_door(f->cohort), GR_WORK_ROUND, gr_server_rounds(f->server));
    GR_TRY(find_told(f));
    status = add_all(f);
    if (status == GR_STOPPED) {
        leave_out(f);
        status = add_all(f);
    }
out:
    return status;
}

/*
 * In a phase SCORED the totals are sealed on all ranks; only the metrics are derived again, for a
 * record that has to be repeated. update_norm and the times are this rank's own, all else is the
 * same on all ranks.
 */
gr_status gr_round_evaluate(struct gr_federation *f, struct gr_metrics *metrics) {
    gr_status status = GR_OK;
    memset(metrics, 0, sizeof *metrics);
    if (gr_round_roster(f)->phase != GR_PHASE_SCORED) GR_TRY(add_up(f));
    metrics->round = gr_server_rounds(f->server);
    fill_metrics(f, metrics, &f->scores->sums);
    fill_named(f, metrics);
    fill_silos(f, metrics);
    gr_round_figures(f, metrics);
out:
    return status;
}
