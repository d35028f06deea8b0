/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round: select, train, close the roster, reduce, step, evaluate, record.
 *
 * The round is open, closed, sealed, committed or scored, and whatever is lost on the way is taken
 * up again at that step by those left: the sum of a closed round on a smaller roster, the step of a
 * sealed one with the total that all hold, the evaluation of a committed one on fewer silos, the
 * records of a scored one. Where too few parties of a secure sum are left at any of these steps the
 * round is void: it is committed without a step, and what was trained in it is dropped. Training is
 * never repeated. Each step ends with an agreement in which
 * all take part with their part done; so when one rank has seen it succeed, all others can go on as
 * well. Totals are read after their seal only: by subtraction of a second one, over fewer silos, a
 * total that had been read would tell what the lost silo sent.
 */
#include "federation/internal.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "privacy/sensitivity.h"

struct gr_round {
    struct gr_aggregator *aggregator; /* owned */
    struct gr_roster roster;
    struct gr_flags lost, late, returned; /* silos of ranks that were or did; n_silos; owned */
    uint64_t examples;                    /* rows of the silos in the sum */
    double update_norm;                   /* of the mean update; NaN on ranks that do not tell it */
    double clip_norm;                     /* of adaptive clipping; 0: there is none */
    uint32_t recoveries;
    uint32_t closed_epoch; /* in which the roster was closed */
    bool unfit; /* when it was opened no secure sum of those who were there could be opened */
    double started_s, trained_s, aggregated_s;
    uint64_t bytes_sent;                  /* by this rank up to the last round */
    unsigned char model[GR_DIGEST_BYTES]; /* of secure sums: which model the silos train on */
    bool model_known;
};

/* Whether noise is added to sums of updates, and not by silos before them. */
static bool adds_noise(const struct gr_config *config) {
    return gr_is_private(config) && config->privacy.noise != GR_NOISE_SILO;
}

/* The most that one row or person moves a sum of updates, in the L2 norm. */
static double most_of_unit(const struct gr_config *config) {
    const struct gr_privacy_config *privacy = &config->privacy;
    return config->train.learning_rate * privacy->clip_norm / privacy->expected_batch;
}

/* Not collective. Whether rounding to the grid is within what is accounted for it, where a unit is
 * a row or a person: see GR_PRIVATE_SHARED_SENSITIVITY. */
static gr_status check_grid(const struct gr_federation *f, uint32_t n_members) {
    uint64_t bound;
    const struct gr_privacy_config *privacy = &f->config->privacy;
    if (!adds_noise(f->config) || privacy->unit == GR_PRIVACY_SILO) return GR_OK;
    const int exponent = gr_aggregate_exponent(f->round->aggregator, n_members, &bound);
    const double steps = ldexp(most_of_unit(f->config), -exponent);
    const double least = GR_PRIVATE_SHARED_STEPS * sqrt((double)f->travels.layout.size);
    if (steps >= least) return GR_OK;
    return gr_fail(GR_ERROR_CONFIG,
                   "aggregation.clip_norm: a unit is %.0f steps of the grid of sums, expected at "
                   "least %.0f for %zu parameters: aggregation.encoding ring64, a smaller "
                   "aggregation.clip_norm or privacy.expected_batch, or fewer silos",
                   steps, least, f->travels.layout.size);
}

/* Of the round to come, in which updates of silos are cut to the norm that the last has left. */
static void set_noise(struct gr_federation *f) {
    const struct gr_config *config = f->config;
    struct gr_round *round = f->round;
    struct gr_door *door = gr_cohort_door(f->cohort);
    if (!adds_noise(config)) return;
    if (config->privacy.unit != GR_PRIVACY_SILO) {
        gr_door_set_noise(door, config->privacy.noise,
                          (struct gr_sum_deviations){.update = config->privacy.noise_multiplier *
                                                               most_of_unit(config)});
        return;
    }
    const double norm = gr_clip_norm(config, gr_server_clip_step(f->server));
    const struct gr_sum_deviations deviations = {.update = gr_privacy_update_noise(config) * norm,
                                                 .tally = gr_privacy_count_noise(config) * 2 *
                                                          GR_CLIP_TALLY};
    gr_door_set_noise(door, config->privacy.noise, deviations);
    if (round->aggregator) gr_aggregate_clip(round->aggregator, norm, gr_door_noise(door));
    if (config->privacy.adaptive_clipping.quantile > 0) round->clip_norm = norm;
}

/*
 * closed_epoch starts at a value that no epoch has, so gr_round_is_whole is false before the first
 * roster. n_selected serves the public grid
 * only, whose exponent follows from the number of silos asked: all of them where
 * round.participants is 0.
 */
gr_status gr_round_create(struct gr_federation *f) {
    const uint32_t n = f->config->data.silos;
    const uint32_t participants = f->config->round.participants;
    const struct gr_strategy *strategy = gr_strategy_find(f->config->strategy.name);
    struct gr_door *door = gr_cohort_door(f->cohort);
    gr_status status = gr_allocate_zero(1, sizeof *f->round, "a round", &f->round);
    if (status != GR_OK) return status;
    set_noise(f);
    const struct gr_aggregator_options options = {
        .encoding = f->config->aggregation.encoding,
        .grid = {.clip_norm = f->config->aggregation.clip_norm,
                 .weight_max = f->config->aggregation.weight_max,
                 .n_selected = participants > 0 ? participants : n,
                 .noise = gr_door_noise(door)},
        .n_vectors = gr_strategy_sent(strategy),
        .steps = strategy->sends_steps,
        .combination = {strategy->combine, &f->config->strategy},
        .stage = gr_door_stage(door),
        .between = f->config->aggregation.between};
    f->round->closed_epoch = UINT32_MAX; /* none yet */
    GR_TRY(gr_flags_create(n, "participation", &f->round->lost));
    GR_TRY(gr_flags_create(n, "participation", &f->round->late));
    GR_TRY(gr_flags_create(n, "participation", &f->round->returned));
    GR_TRY(gr_roster_create(n, &f->round->roster));
    GR_TRY(gr_aggregator_create_with(f->comm, &f->travels.layout, &options, &f->round->aggregator));
    GR_TRY(gr_door_check_noise(door, f->round->aggregator, options.grid.n_selected,
                               f->travels.layout.size));
    status = check_grid(f, options.grid.n_selected);
out:
    return status;
}

void gr_round_free(struct gr_round *round) {
    if (!round) return;
    gr_aggregator_free(round->aggregator);
    gr_roster_release(&round->roster);
    gr_flags_release(&round->lost);
    gr_flags_release(&round->late);
    gr_flags_release(&round->returned);
    gr_free(round);
}

struct gr_roster *gr_round_roster(const struct gr_federation *f) {
    return &f->round->roster;
}

struct gr_aggregator *gr_round_aggregator(const struct gr_federation *f) {
    return f->round->aggregator;
}

/*
 * The roster of a closed round stays as it is when a rank dies after its seal, so the question is
 * not about the roster: if the epoch has changed since it was closed, some silo of the update may
 * be missing from sums taken now.
 */
bool gr_round_is_whole(const struct gr_federation *f, struct gr_release_basis *all) {
    *all =
        (struct gr_release_basis){.silos = f->round->roster.n_members, .rows = f->round->examples};
    return f->round->closed_epoch == gr_comm_epoch(f->comm);
}

bool gr_federation_between(const struct gr_federation *f, enum gr_between *way,
                           double least_s[GR_BETWEEN_MPI + 1]) {
    return gr_aggregate_between(f->round->aggregator, way, least_s);
}

/*
 * Bytes count from the end of the last round, so records, checkpoint and recoveries of the round
 * before belong to the present one.
 */
uint64_t gr_round_bytes(const struct gr_federation *f) {
    return gr_comm_bytes_sent(f->comm) - f->round->bytes_sent;
}

/* How long steps take tells of the rows that are drawn. Whoever watches the run sees about how long
 * its rounds take; its records say no more. */
static void coarsen_times(struct gr_metrics *metrics) {
    enum { DIGITS = 2 };
    metrics->seconds.train = metrics->seconds.aggregate = metrics->seconds.evaluate = (double)NAN;
    metrics->seconds.total = gr_round_digits(metrics->seconds.total, DIGITS);
}

/*
 * Times are in seconds of this rank's clock. `train` is this rank's own training; the wait for
 * other ranks until the roster is closed is part of `aggregate`, as are recoveries.
 */
void gr_round_figures(const struct gr_federation *f, struct gr_metrics *metrics) {
    const struct gr_round *round = f->round;
    const double now = gr_clock_seconds();
    metrics->examples = round->examples;
    metrics->update_norm = round->update_norm;
    metrics->clip_norm = round->clip_norm;
    metrics->participants = round->roster.n_members;
    metrics->selected = gr_training_selected(f->training)->n_set;
    metrics->dropped = round->lost.n_set;
    metrics->late = round->late.n_set;
    metrics->returned = round->returned.n_set;
    metrics->sat_out = round->roster.sat_out.n_set;
    metrics->recoveries = round->recoveries;
    metrics->seconds.train = round->trained_s - round->started_s;
    metrics->seconds.aggregate = round->aggregated_s - round->trained_s;
    metrics->seconds.evaluate = now - round->aggregated_s;
    metrics->seconds.total = now - round->started_s;
    if (gr_is_private(f->config)) coarsen_times(metrics);
}

/* ---- the step ------------------------------------------------------------------------------- */

/*
 * Takes the step with the total that is held, of a sealed round. Not collective: nothing here may
 * fail on one rank only. A lost rank costs nothing more at this point, for all members hold the
 * same total and decode it to the same bits.
 *
 * The order matters: gr_kept_commit relies on silo_rounds, which gr_server_step counts.
 */
static gr_status commit(struct gr_federation *f) {
    struct gr_round *round = f->round;
    double squares = 0;
    /* Rank 0 tells the norm, or the one that takes over. */
    const bool tells = gr_comm_rank(f->comm) < 2;
    gr_inject_fault(f->cohort, round->roster.round, GR_POINT_COMMIT);
    if (!gr_aggregate_holds(round->aggregator))
        return gr_fail(GR_ERROR_INTERNAL, "round %u is sealed, and its total is not here",
                       round->roster.round);
    gr_server_step(f->server, round->aggregator, &f->travels, &round->roster,
                   gr_training_silos(f, round->roster.round), tells ? &squares : NULL);
    round->examples = gr_aggregate_examples(round->aggregator);
    gr_aggregate_forget(round->aggregator);
    round->update_norm = tells ? sqrt(squares) : (double)NAN;
    gr_kept_commit(f->kept);
    round->aggregated_s = gr_clock_seconds();
    return GR_OK;
}

/*
 * Silos whose secure sum it is are to have trained on one model. Its digest is taken where this
 * rank has read the model or others have been given it; from then on it follows, for the step does,
 * from the one before and from the total that all have signed.
 */
static void note_model(struct gr_federation *f) {
    struct gr_round *round = f->round;
    struct gr_door *door = gr_cohort_door(f->cohort);
    if (!gr_door_masks(door)) return;
    if (!round->model_known)
        gr_layout_digest(f->layout, gr_server_parameters(f->server), round->model);
    round->model_known = true;
    gr_door_trained(door, round->roster.round, round->model);
}

void gr_round_shares_model(struct gr_federation *f) {
    f->round->model_known = false;
    gr_door_forget_keys(gr_cohort_door(f->cohort));
}

const unsigned char *gr_round_model(const struct gr_federation *f) {
    return f->round->model_known ? f->round->model : NULL;
}

/* Collective. The masks of the sealed total come off. */
static gr_status unmask(struct gr_federation *f, bool due, bool again) {
    struct gr_round *round = f->round;
    struct gr_door *door = gr_cohort_door(f->cohort);
    struct gr_digest digest;
    gr_status status = gr_release_open(f->cohort, round->aggregator, due, again);
    if (status != GR_OK || !due || !gr_door_masks(door)) return status;
    gr_digest_start(&digest);
    gr_digest_add(&digest, round->model, sizeof round->model);
    gr_digest_add(&digest, gr_door_total(door), GR_DIGEST_BYTES);
    gr_digest_finish(&digest, round->model);
    return GR_OK;
}

/* ---- void rounds ---------------------------------------------------------------------------- */

bool gr_round_is_void(const struct gr_federation *f) {
    return gr_server_last_step(f->server) < gr_server_rounds(f->server);
}

/*
 * The round is done without a step. What was trained in it is dropped, and never offered again:
 * over other parties its sum would tell, against what was opened of this one, what those brought
 * who are in one of them alone.
 */
static void make_void(struct gr_federation *f) {
    struct gr_round *round = f->round;
    gr_training_discard(f);
    gr_aggregate_forget(round->aggregator);
    gr_flags_clear(&round->roster.member);
    round->roster.n_members = 0;
    round->examples = 0;
    round->update_norm = (double)NAN;
    gr_server_pass(f->server, round->roster.round);
    round->aggregated_s = gr_clock_seconds();
}

/* Collective, of a round that some members have left behind: whether they have as a void one. */
static gr_status find_void(struct gr_federation *f, bool *is_void) {
    int64_t word = gr_server_rounds(f->server) == f->round->roster.round && gr_round_is_void(f);
    gr_status status = GR_OK;
    *is_void = gr_training_void(f->training, f->round->roster.round);
    if (*is_void || !gr_door_masks(gr_cohort_door(f->cohort))) return GR_OK;
    GR_TRY(gr_comm_max_public(f->comm, &word, 1));
    *is_void = word != 0;
out:
    return status;
}

/*
 * Collective. No sum has begun, for there are too few parties, or a site takes no part in one of
 * these (GR_STOPPED). Where that was known when the round was opened it stops as below the quorum,
 * for the same would come of the next; else the round is void.
 */
static gr_status check_opened(const struct gr_federation *f) {
    gr_status status = GR_OK;
    char message[GR_MESSAGE_MAX];
    int64_t unfit = f->round->unfit;
    snprintf(message, sizeof message, "%s", gr_message());
    GR_TRY(gr_comm_max_public(f->comm, &unfit, 1));
    if (unfit != 0) status = gr_fail(GR_STOPPED, "%s", message);
out:
    return status;
}

/* Two void rounds running: parties do not stay long enough, and training is in vain. */
static gr_status check_voids(const struct gr_federation *f) {
    enum { BORNE = 1 };
    const uint32_t round = gr_server_rounds(f->server);
    if (round - gr_server_last_step(f->server) <= BORNE || gr_training_replays(f->training))
        return GR_OK;
    return gr_fail(GR_STOPPED,
                   "rounds %u and %u were void: too few parties stayed for their "
                   "secure sums",
                   round - 1, round);
}

/* ---- changes of the membership -------------------------------------------------------------- */

/*
 * Translates slots of ranks into silos, by the host that each silo has. A silo may get more than
 * one flag in a round, if its rank is lost or late and returns.
 */
static void note_changes(struct gr_federation *f) {
    size_t n;
    const struct gr_change *change = gr_control_changes(f->comm, &n);
    for (size_t i = 0; i < n; i++) {
        struct gr_flags *flags = change[i].kind == GR_CHANGE_LOST   ? &f->round->lost
                                 : change[i].kind == GR_CHANGE_LATE ? &f->round->late
                                                                    : &f->round->returned;
        for (uint32_t silo = 0; silo < f->data->n_silos; silo++)
            if (gr_cohort_hosts(f->cohort)[silo] == change[i].slot) gr_flags_set(flags, silo, 1);
        gr_flags_sort(flags);
    }
    gr_control_clear_changes(f->comm);
}

static void forget_changes(struct gr_federation *f) {
    gr_flags_clear(&f->round->lost);
    gr_flags_clear(&f->round->late);
    gr_flags_clear(&f->round->returned);
}

/*
 * The phase is kept twice: in the roster for this rank's own decisions, and in the control plane,
 * where gr_control_recover compares it with the other ranks' positions. They change together, here.
 */
static void enter(struct gr_federation *f, enum gr_phase phase) {
    f->round->roster.phase = phase;
    gr_control_at(f->comm, f->round->roster.round, phase);
}

/*
 * Collective. Called whenever ranks have met (a round was closed, or a recovery ended): draws the
 * conclusions from the position on which all have agreed. A rank that needs the state discards its
 * training before the state comes, because its updates are of a model that the others have left.
 */
static gr_status settle(struct gr_federation *f) {
    gr_status status = GR_OK;
    gr_release_note(gr_cohort_door(f->cohort), GR_RELEASE_PARTICIPATION, f->data->n_silos);
    if (f->round->roster.phase == GR_PHASE_CLOSED) f->round->closed_epoch = gr_comm_epoch(f->comm);
    /* Others have opened the next round: what belonged to the one before is in the records. */
    if (f->round->roster.phase == GR_PHASE_OPEN) {
        forget_changes(f);
        gr_best_keep(f);
    }
    note_changes(f);
    const bool sealed =
        f->round->roster.phase == GR_PHASE_SEALED || f->round->roster.phase == GR_PHASE_COMMITTED;
    const bool due = sealed && !f->round->roster.need_state &&
                     gr_server_rounds(f->server) < f->round->roster.round;
    bool is_void = false;
    if (sealed) GR_TRY(find_void(f, &is_void));
    if (sealed && !is_void) {
        status = unmask(f, due, true);
        is_void = status == GR_STOPPED;
        if (!is_void) GR_TRY(status);
        status = GR_OK;
    }
    if (f->round->roster.need_state) {
        /* Updates and sums here belong to a round that the others go on with alone. */
        gr_training_discard(f);
        gr_aggregate_forget(f->round->aggregator);
        gr_scores_forget(f->scores); /* the total here is of an earlier round */
    } else if (due && is_void) {
        make_void(f);
    } else if (due) {
        /* All that are left hold the total, and so does this rank; before state is shared. */
        GR_TRY(commit(f));
    }
    if (sealed) enter(f, GR_PHASE_COMMITTED);
    if (f->round->roster.send_state) status = gr_federation_share_state(f);
out:
    return status;
}

/*
 * Collective among those left. Repeats until no further rank is lost on the way. The limit is no
 * deadline: each recovery has its own in gr_control_recover. It ends a loop that would otherwise go
 * on for ever after an error in the protocol.
 */
gr_status gr_federation_recover(struct gr_federation *f) {
    /* In one round, in which each rank may be lost and come back: more is a fault of ours. */
    const uint32_t most = 1000 + 4 * (uint32_t)gr_comm_slots(f->comm);
    gr_status status;
    do {
        if (++f->round->recoveries > most)
            return gr_fail(GR_ERROR_INTERNAL, "round %u does not come to an end: %s",
                           f->round->roster.round, gr_message());
        status = gr_control_recover(f->comm, &f->round->roster);
        if (status == GR_OK) status = settle(f);
    } while (status == GR_LOST);
    return status;
}

/* ---- the steps ------------------------------------------------------------------------------ */

/*
 * Not collective, and needs no agreement: roster, config and selection are the same on all ranks,
 * so all return the same status. policy.minimum_silos is enforced once more at the door
 * (gr_release_update); here it gets a message that says what to do.
 *
 * GR_STOPPED leaves a run that can be resumed once silos are back. If silos sit out for their data
 * or their updates, their return would not help, and the status is GR_ERROR_DATA.
 */
static gr_status check_quorum(const struct gr_federation *f) {
    const struct gr_flags *sat_out = &f->round->roster.sat_out;
    const uint32_t policy = gr_policy_silos(f->config), n = f->round->roster.n_members;
    const bool by_policy = policy > f->config->round.quorum;
    const uint32_t quorum = by_policy ? policy : f->config->round.quorum;
    const char *setting = by_policy ? "policy.minimum_silos" : "round.quorum";
    const uint32_t sitting = sat_out->n_set;
    const uint32_t selected = gr_training_selected(f->training)->n_set;
    char remedies[GR_REMEDIES_BYTES];
    uint32_t diverged = 0;
    if (n >= quorum) return GR_OK;
    if (f->config->round.sampling == GR_SAMPLING_LIST && !gr_training_replays(f->training) &&
        selected < quorum)
        return gr_fail(GR_ERROR_CONFIG,
                       "round.availability: found %u silos for round %u, allowed at least %u "
                       "(%s)",
                       selected, f->round->roster.round, quorum, setting);
    /* The return of all silos would not help. */
    for (uint32_t i = 0; i < sat_out->n_set; i++)
        diverged += sat_out->flag[sat_out->set[i]] == GR_SIT_NOT_FINITE;
    gr_federation_remedies(f, remedies);
    if (selected - (sitting < selected ? sitting : selected) < quorum)
        return gr_fail(GR_ERROR_DATA,
                       "round %u: %u of %u silos sit out, for their data or their updates must not "
                       "enter a sum; %s is %u%s%s",
                       f->round->roster.round, sitting, selected, setting, quorum,
                       diverged > 0 ? "; training has diverged: updates or losses are not finite, "
                                      "or too large for a sum; what helps: "
                                    : "",
                       diverged > 0 ? remedies : "");
    return gr_fail(GR_STOPPED, "round %u: %u silos are ready, %s is %u", f->round->roster.round, n,
                   setting, quorum);
}

/* Collective. The sum of a closed round. *is_void: it cannot be had, for want of parties that were
 * there when the round was opened. */
static gr_status sum_up(struct gr_federation *f, bool *is_void) {
    const struct gr_contribution *mine;
    size_t n;
    gr_status status;
    gr_inject_fault(f->cohort, f->round->roster.round, GR_POINT_AGGREGATE);
    mine = gr_training_contributions(f->training, &n);
    note_model(f);
    status = gr_release_update(gr_cohort_door(f->cohort), f->round->aggregator, mine, n,
                               &f->round->roster, gr_training_values(f));
    *is_void = status == GR_STOPPED;
    return *is_void ? check_opened(f) : status;
}

/* Collective. The seal of a sum, and the step. *is_void: too few parties are left to open it. */
static gr_status take_step(struct gr_federation *f, bool *is_void) {
    gr_status status = GR_OK;
    gr_inject_fault(f->cohort, f->round->roster.round, GR_POINT_SEAL);
    GR_TRY(gr_control_seal(f->comm, GR_PHASE_SEALED));
    gr_inject_fault(f->cohort, f->round->roster.round, GR_POINT_UNMASK);
    gr_scores_foresee(f, f->round->roster.round, true, NULL);
    status = unmask(f, true, false);
    *is_void = status == GR_STOPPED;
    if (*is_void) return GR_OK;
    GR_TRY(status);
    status = commit(f);
out:
    return status;
}

/*
 * Collective. A closed round becomes a committed one, by its step or as a void one. GR_LOST before
 * the seal leads back here with a smaller roster and the same contributions: nothing has been
 * decoded, and kept residuals are untouched until gr_kept_commit. GR_LOST after the seal leads to
 * settle, which takes the step.
 */
static gr_status reduce(struct gr_federation *f) {
    gr_status status = GR_OK;
    const uint32_t round = f->round->roster.round;
    bool is_void = gr_training_void(f->training, round);
    GR_TRY(gr_training_select(f, round)); /* a rank that has come back has not yet */
    if (!is_void) GR_TRY(check_quorum(f));
    if (!is_void) GR_TRY(sum_up(f, &is_void));
    if (!is_void) GR_TRY(take_step(f, &is_void));
    if (is_void) make_void(f);
    enter(f, GR_PHASE_COMMITTED);
out:
    return status;
}

/*
 * Collective. The evaluation and the records after the step. All of it may run again after a loss:
 * totals of a scored round are not counted again, and options->record amends its line.
 */
static gr_status finish(struct gr_federation *f, const struct gr_round_options *options) {
    gr_status status = GR_OK;
    struct gr_metrics metrics;
    gr_inject_fault(f->cohort, gr_server_rounds(f->server), GR_POINT_EVALUATE);
    GR_TRY(gr_round_evaluate(f, &metrics));
    gr_best_judge(f, &metrics);
    gr_round_disclose(f, &metrics);
    gr_inject_fault(f->cohort, gr_server_rounds(f->server), GR_POINT_RECORD);
    if (options->record) GR_TRY(options->record(options->context, &metrics));
out:
    return status;
}

/* One step from where the ranks are. *done: the round is over. */
static gr_status advance(struct gr_federation *f, const struct gr_round_options *options,
                         bool *done) {
    gr_status status = GR_OK;
    const struct gr_roster *roster = &f->round->roster;
    if (roster->phase == GR_PHASE_OPEN) {
        *done = true;
    } else if (roster->phase == GR_PHASE_CLOSED && gr_server_rounds(f->server) < roster->round) {
        GR_TRY(reduce(f));
    } else {
        GR_TRY(finish(f, options));
        *done = true;
    }
out:
    return status;
}

/*
 * Opens the next round, trains and closes the roster. The deadline of the round runs from here, in
 * seconds of rank 0's clock; gr_control_close_round gets only the part that training has left over.
 * A rank that trains longer is late: the others go on, and its GR_LOST is handled where it meets
 * them.
 */
static gr_status open_round(struct gr_federation *f, const struct gr_round_options *options) {
    const uint32_t round = gr_server_rounds(f->server) + 1;
    f->round->started_s = gr_clock_seconds();
    f->round->recoveries = 0;
    f->round->unfit = !gr_door_can_update(gr_cohort_door(f->cohort));
    f->round->roster.round = round;
    set_noise(f);
    gr_control_at(f->comm, round, GR_PHASE_OPEN);
    gr_status status = gr_training_run(f, round, options);
    f->round->roster.stop_requested =
        (options->stop && *options->stop != 0) || gr_comm_awaited(f->comm);
    f->round->trained_s = gr_clock_seconds();
    /* Given up meanwhile: how to come back is found out where the others are met. */
    if (status == GR_LOST) {
        gr_training_discard(f);
        gr_flags_clear(&f->round->roster.member);
        status = GR_OK;
    }
    double left = f->config->round.deadline_s - (f->round->trained_s - f->round->started_s);
    status = gr_control_close_round(f->comm, &f->round->roster, status, left > 0 ? left : 0);
    /* A rank without silos, as a study's coordinator, has waited for those that train. */
    if (gr_cohort_data(f->cohort)->n_local == 0) f->round->trained_s = gr_clock_seconds();
    return status == GR_OK ? settle(f) : status;
}

/*
 * A loop over the phases instead of straight-line code: whenever a step returns GR_LOST,
 * gr_federation_recover finds the foremost position that all members can go on from, and advance
 * takes the step that is due there. Errors other than GR_LOST have been agreed on and end the round
 * on all ranks.
 */
gr_status gr_federation_round(struct gr_federation *f, const struct gr_round_options *options,
                              bool *stopped) {
    bool done = false, recovered = false;
    /* A rank that was taken in again outside of a round may find a round under way. */
    gr_status status = f->round->roster.phase == GR_PHASE_OPEN ? open_round(f, options) : GR_OK;
    while (!done) {
        if (status == GR_LOST) {
            if (!recovered) gr_inject_fault(f->cohort, f->round->roster.round, GR_POINT_RECOVER);
            recovered = true;
            status = gr_federation_recover(f);
        }
        if (status == GR_OK) status = advance(f, options, &done);
        if (status != GR_OK && status != GR_LOST) return status;
    }
    *stopped = f->round->roster.stop_requested;
    f->round->bytes_sent = gr_comm_bytes_sent(f->comm);
    if (f->round->roster.phase != GR_PHASE_OPEN) forget_changes(f);
    gr_best_keep(f);
    f->round->roster.phase = GR_PHASE_OPEN;
    f->round->unfit = false;
    gr_control_at(f->comm, gr_server_rounds(f->server) + 1, GR_PHASE_OPEN);
    return check_voids(f);
}

void gr_federation_participation(const struct gr_federation *f, struct gr_participation *out) {
    *out = (struct gr_participation){.selected = gr_training_selected(f->training),
                                     .member = &f->round->roster.member,
                                     .sat_out = &f->round->roster.sat_out,
                                     .lost = &f->round->lost,
                                     .late = &f->round->late,
                                     .returned = &f->round->returned};
}
