/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One round: select, train, close the roster, reduce, step, evaluate, record.
 *
 * The round is open, closed, sealed, committed or scored, and whatever is lost on the way is taken
 * up again at that step by those left: the sum of a closed round on a smaller roster, the step of a
 * sealed one with the total that all hold, the evaluation of a committed one on fewer silos, the
 * records of a scored one. Training is never repeated. Each step ends with an agreement in which
 * all take part with their part done; so when one rank has seen it succeed, all others can go on as
 * well. Totals are read after their seal only: by subtraction of a second one, over fewer silos, a
 * total that had been read would tell what the lost silo sent.
 */
#include "federation/internal.h"

#include <math.h>
#include <string.h>

/* ---- training ------------------------------------------------------------------------------- */

static void sit_out(struct gr_federation *f, uint32_t silo, enum gr_sit_out reason) {
    f->roster.sat_out[silo] = (uint8_t)reason;
}

/* The whole reason goes to the silo's own terminal, once for rounds running. */
static void sit_out_not_finite(struct gr_federation *f, const struct gr_silo *silo, uint32_t round,
                               const char *why) {
    const size_t n = strlen(silo->pseudonym);
    if (strncmp(why, silo->pseudonym, n) == 0 && why[n] == ':') why += n + 2;
    sit_out(f, silo->id, GR_SIT_NOT_FINITE);
    if (!(f->heard[silo->id] & GR_HEARD_SITTING))
        gr_cohort_hear(f->cohort, "%s: round %u: sits out: %s", silo->pseudonym, round, why);
    f->heard[silo->id] |= GR_HEARD_SITTING;
}

/* Trains one silo into the next free update; a silo whose update must not enter a sum sits out. */
static gr_status train_silo(struct gr_federation *f, size_t local, uint32_t round) {
    const struct gr_silo *silo = &f->data->local[local];
    struct gr_train_result result;
    size_t slot = f->n_contributions;
    gr_status status = GR_OK;
    /* A residual is added, which is less than a quarter of what it was left over from. */
    const float room = f->config->aggregation.encoding == GR_ENCODING_RING16 ? 2 : 1;
    if (silo->unusable != GR_OK) {
        sit_out(f, silo->id, GR_SIT_DATA);
        return GR_OK;
    }
    gr_inject_fault(f->cohort, round, GR_POINT_TRAIN);
    if (!f->update[slot])
        GR_TRY(gr_allocate_zero(f->layout->size, sizeof(float), "an update", &f->update[slot]));
    GR_TRY(gr_kept_begin(f, local));
    status = (f->strategy->full_gradient ? gr_train_full_gradient : gr_train_silo)(
        f->trainer, silo, round, f->parameters, f->update[slot], gr_control_poll, f->comm, &result);
    if (status == GR_OK)
        gr_inject_fault_update(f->cohort, round, silo->id, f->update[slot], f->layout->size,
                               &result.largest);
    /* Where rows are in the draw already (gr_sample_silos), what is left is what one weighs. */
    const double weight =
        gr_cohort_sizes(f->cohort) ? result.weight / (double)result.examples : result.weight;
    const bool fits = isfinite(result.largest * (float)weight * room);
    if (status == GR_OK && fits) status = gr_loss_add(f->sums->loss, result.loss_sum);
    if (status == GR_OK && fits) status = gr_loss_add(f->sums->weight, result.processed_weight);
    if (status == GR_ERROR_DATA || (status == GR_OK && !fits)) {
        sit_out_not_finite(f, silo, round,
                           status == GR_OK ? "its update is too large for a sum" : gr_message());
        return GR_OK;
    }
    if (status != GR_OK) return status;
    f->heard[silo->id] &= (uint8_t)~GR_HEARD_SITTING;
    f->contribution[slot] = (struct gr_contribution){.update = f->update[slot],
                                                     .silo = silo->id,
                                                     .examples = result.examples,
                                                     .weight = weight,
                                                     .pseudonym = silo->pseudonym};
    f->roster.member[silo->id] = GR_PRESENT;
    gr_kept_offer(f, local, round, &f->contribution[slot]);
    f->n_contributions++;
    f->sums->processed += (int64_t)result.processed;
out:
    return status;
}

static struct gr_draw draw_of(const struct gr_federation *f) {
    return (struct gr_draw){.seed = f->config->run.seed,
                            .n_silos = f->data->n_silos,
                            .round = &f->config->round,
                            .sizes = gr_cohort_sizes(f->cohort)};
}

/* Who was lost before the first round is not loaded; flags: room for n_silos. */
static gr_status check_replay(const struct gr_federation *f, uint32_t round, uint8_t *flags) {
    gr_replay_lost(f->replay, flags);
    for (uint32_t i = 0; i < f->data->n_silos; i++) {
        char name[24];
        if (!flags[i] || !f->selected[i]) continue;
        gr_silo_pseudonym(i, name);
        return gr_fail(
            GR_ERROR_DATA,
            "round.replay: %s was lost before the first round and came back before round "
            "%u: such a run cannot be replayed",
            name, round);
    }
    return GR_OK;
}

/* The silos that are to take part; all ranks find the same. In a replay: those that did. */
static gr_status select_silos(struct gr_federation *f, uint32_t round) {
    const uint32_t n = f->data->n_silos;
    const struct gr_draw draw = draw_of(f);
    gr_status status = gr_sample_silos(&draw, round, NULL, f->selected);
    if (status != GR_OK || !f->replay) return status;
    uint8_t *flags = NULL;
    GR_TRY(gr_allocate_zero(n, 1, "the roster to be replayed", &flags));
    gr_replay_absent(f->replay, round, flags);
    for (uint32_t i = 0; i < n; i++)
        f->selected[i] = f->selected[i] && !flags[i];
    gr_replay_instead(f->replay, round, flags);
    for (uint32_t i = 0; i < n; i++)
        f->selected[i] |= flags[i];
    if (f->anew) gr_replay_anew(f->replay, round, f->anew);
    status = check_replay(f, round, flags);
out:
    gr_free(flags);
    return status;
}

/* Whom to ask for training: for selected silos of ranks that are not there, the next of the draw.
 */
static gr_status ask_silos(struct gr_federation *f, uint32_t round) {
    const uint32_t n = f->data->n_silos;
    uint8_t *present = NULL;
    gr_status status = select_silos(f, round);
    memcpy(f->asked, f->selected, n);
    if (status != GR_OK || f->replay || gr_comm_epoch(f->comm) == 0) return status;
    GR_TRY(gr_allocate_zero(n, 1, "silos that are there", &present));
    for (uint32_t i = 0; i < n; i++)
        present[i] = gr_comm_rank_of(f->comm, gr_cohort_hosts(f->cohort)[i]) >= 0;
    const struct gr_draw draw = draw_of(f);
    GR_TRY(gr_sample_silos(&draw, round, present, f->asked));
out:
    gr_free(present);
    return status;
}

static gr_status train_selected(struct gr_federation *f, uint32_t round,
                                const struct gr_round_options *options) {
    gr_status status = GR_OK;
    uint32_t done = 0, mine = 0;
    double cpu = gr_clock_cpu_seconds();
    f->n_contributions = 0;
    memset(f->sums, 0, sizeof *f->sums);
    memset(f->roster.member, 0, f->roster.n_silos);
    memset(f->roster.sat_out, 0, f->roster.n_silos);
    GR_TRY(ask_silos(f, round));
    for (size_t i = 0; i < f->data->n_local; i++)
        mine += f->asked[f->data->local[i].id] != 0;
    if (options->trained) options->trained(options->context, round, 0, mine);
    for (size_t i = 0; i < f->data->n_local; i++) {
        if (!f->asked[f->data->local[i].id]) continue;
        GR_TRY(train_silo(f, i, round));
        if (options->trained) options->trained(options->context, round, ++done, mine);
    }
    f->sums->cpu_microseconds = llrint((gr_clock_cpu_seconds() - cpu) * 1e6);
    gr_inject_fault(f->cohort, round, GR_POINT_READY);
out:
    return status;
}

/* ---- the step -------------------------------------------------------------------------------- */

static double add_squares(double sum, const float *vector, size_t n) {
    for (size_t i = 0; i < n; i++)
        sum += (double)vector[i] * (double)vector[i];
    return sum;
}

/* Decodes the total block by block, and steps with each; *squares: of the mean, where asked for. */
static void take_step(struct gr_federation *f, double *squares) {
    float mean[GR_RING_BLOCK];
    for (size_t begin = 0; begin < f->layout->size; begin += GR_RING_BLOCK) {
        const size_t rest = f->layout->size - begin;
        const size_t n = rest < GR_RING_BLOCK ? rest : GR_RING_BLOCK;
        gr_aggregate_decode(f->aggregator, begin, mean, n);
        struct gr_server_step step = {.n = n, .parameters = f->parameters + begin, .mean = {mean}};
        for (size_t i = 0; i < f->strategy->n_server; i++)
            step.server[i] = f->server[i] + begin;
        f->strategy->step(&f->config->strategy, &step);
        if (squares) *squares = add_squares(*squares, mean, n);
    }
}

/* Takes the step with the total that is held, of a sealed round. */
static gr_status commit(struct gr_federation *f) {
    double squares = 0;
    /* Rank 0 tells the norm, or the one that takes over. */
    const bool tells = gr_comm_rank(f->comm) < 2;
    gr_inject_fault(f->cohort, f->roster.round, GR_POINT_COMMIT);
    if (!gr_aggregate_holds(f->aggregator))
        return gr_fail(GR_ERROR_INTERNAL, "round %u is sealed, and its total is not here",
                       f->roster.round);
    take_step(f, tells ? &squares : NULL);
    f->examples = gr_aggregate_examples(f->aggregator);
    gr_aggregate_forget(f->aggregator);
    f->update_norm = tells ? sqrt(squares) : (double)NAN;
    for (uint32_t i = 0; i < f->data->n_silos; i++)
        f->silo_rounds[i] += f->roster.member[i] != 0;
    gr_kept_commit(f);
    f->rounds_done = f->roster.round;
    f->aggregated_s = gr_clock_seconds();
    return GR_OK;
}

/* ---- changes of the membership -------------------------------------------------------------- */

/* What the membership's changes mean for silos. */
static void note_changes(struct gr_federation *f) {
    size_t n;
    const struct gr_change *change = gr_control_changes(f->comm, &n);
    for (size_t i = 0; i < n; i++) {
        uint8_t *flags = change[i].kind == GR_CHANGE_LOST   ? f->lost
                         : change[i].kind == GR_CHANGE_LATE ? f->late
                                                            : f->returned;
        for (uint32_t silo = 0; silo < f->data->n_silos; silo++)
            if (gr_cohort_hosts(f->cohort)[silo] == change[i].slot) flags[silo] = 1;
    }
    gr_control_clear_changes(f->comm);
}

gr_status gr_federation_share_state(struct gr_federation *f) {
    gr_status status = GR_OK;
    const size_t bytes = f->layout->size * sizeof(float);
    GR_TRY(gr_comm_broadcast(f->comm, &f->rounds_done, sizeof f->rounds_done));
    /* Of the round that may be committed: all must end with it, or none. */
    GR_TRY(gr_comm_broadcast(f->comm, &f->roster.stop_requested, sizeof f->roster.stop_requested));
    GR_TRY(gr_comm_broadcast(f->comm, f->parameters, bytes));
    for (size_t i = 0; i < f->strategy->n_server; i++)
        GR_TRY(gr_comm_broadcast(f->comm, f->server[i], bytes));
    GR_TRY(gr_best_share(f));
    GR_TRY(gr_comm_broadcast(f->comm, f->silo_rounds, f->data->n_silos * sizeof *f->silo_rounds));
    if (f->roster.phase == GR_PHASE_SCORED) /* nobody counts again */
        GR_TRY(gr_comm_broadcast(f->comm, f->total_sums, sizeof *f->total_sums));
    GR_TRY(gr_comm_agree(f->comm, GR_OK));
    f->roster.send_state = false;
    gr_control_has_state(f->comm);
out:
    return status;
}

static void forget_changes(struct gr_federation *f) {
    memset(f->lost, 0, f->data->n_silos);
    memset(f->late, 0, f->data->n_silos);
    memset(f->returned, 0, f->data->n_silos);
}

static void enter(struct gr_federation *f, enum gr_phase phase) {
    f->roster.phase = phase;
    gr_control_at(f->comm, f->roster.round, phase);
}

/* After the ranks have met: what they found out about each other. Collective. */
static gr_status settle(struct gr_federation *f) {
    gr_status status = GR_OK;
    /* Others have opened the next round: what belonged to the one before is in the records. */
    if (f->roster.phase == GR_PHASE_OPEN) {
        forget_changes(f);
        gr_best_keep(f);
    }
    note_changes(f);
    const bool sealed = f->roster.phase == GR_PHASE_SEALED || f->roster.phase == GR_PHASE_COMMITTED;
    if (f->roster.need_state) {
        /* What was trained, and added up, belongs to a round that the others go on with alone. */
        f->n_contributions = 0;
        memset(f->sums, 0, sizeof *f->sums);
        gr_aggregate_forget(f->aggregator);
        f->total_round = 0; /* the accumulator's total here is of an earlier round */
    } else if (sealed && f->rounds_done < f->roster.round) {
        /* Some rank has the round sealed, so the total is here as well; before state is shared. */
        GR_TRY(commit(f));
    }
    if (sealed) enter(f, GR_PHASE_COMMITTED);
    if (f->roster.send_state) status = gr_federation_share_state(f);
out:
    return status;
}

gr_status gr_federation_recover(struct gr_federation *f) {
    /* In one round, in which each rank may be lost and come back: more is a fault of ours. */
    const uint32_t most = 1000 + 4 * (uint32_t)gr_comm_slots(f->comm);
    gr_status status;
    do {
        if (++f->recoveries > most)
            return gr_fail(GR_ERROR_INTERNAL, "round %u does not come to an end: %s",
                           f->roster.round, gr_message());
        status = gr_control_recover(f->comm, &f->roster);
        if (status == GR_OK) status = settle(f);
    } while (status == GR_LOST);
    return status;
}

/* ---- the steps ------------------------------------------------------------------------------ */

/* The same on all ranks. */
static gr_status check_quorum(const struct gr_federation *f) {
    const uint32_t policy = gr_policy_silos(f->config), n = f->roster.n_members;
    const bool by_policy = policy > f->config->round.quorum;
    const uint32_t quorum = by_policy ? policy : f->config->round.quorum;
    const char *setting = by_policy ? "policy.minimum_silos" : "round.quorum";
    const uint32_t sitting = gr_count_flags(f->roster.sat_out, f->data->n_silos);
    const uint32_t selected = gr_count_flags(f->selected, f->data->n_silos);
    char remedies[GR_REMEDIES_BYTES];
    uint32_t diverged = 0;
    if (n >= quorum) return GR_OK;
    if (f->config->round.sampling == GR_SAMPLING_LIST && !f->replay && selected < quorum)
        return gr_fail(GR_ERROR_CONFIG,
                       "round.availability: found %u silos for round %u, allowed at least %u "
                       "(%s)",
                       selected, f->roster.round, quorum, setting);
    /* That all come back would not help. */
    for (uint32_t i = 0; i < f->data->n_silos; i++)
        diverged += f->roster.sat_out[i] == GR_SIT_NOT_FINITE;
    gr_federation_remedies(f, remedies);
    if (selected - (sitting < selected ? sitting : selected) < quorum)
        return gr_fail(GR_ERROR_DATA,
                       "round %u: %u of %u silos sit out, for their data or their updates must not "
                       "enter a sum; %s is %u%s%s",
                       f->roster.round, sitting, selected, setting, quorum,
                       diverged > 0 ? "; training has diverged: updates or losses are not finite, "
                                      "or too large for a sum; what helps: "
                                    : "",
                       diverged > 0 ? remedies : "");
    return gr_fail(GR_STOPPED, "round %u: %u silos are ready, %s is %u", f->roster.round, n,
                   setting, quorum);
}

/* Collective. The sum of a closed round, and the step. */
static gr_status reduce(struct gr_federation *f) {
    gr_status status = GR_OK;
    GR_TRY(select_silos(f, f->roster.round)); /* a rank that has come back has not yet */
    GR_TRY(check_quorum(f));
    gr_inject_fault(f->cohort, f->roster.round, GR_POINT_AGGREGATE);
    GR_TRY(gr_release_update(gr_cohort_door(f->cohort), f->aggregator, f->contribution,
                             f->n_contributions, f->roster.n_members, f->layout->size));
    gr_inject_fault(f->cohort, f->roster.round, GR_POINT_SEAL);
    GR_TRY(gr_control_seal(f->comm, GR_PHASE_SEALED));
    GR_TRY(commit(f));
    enter(f, GR_PHASE_COMMITTED);
out:
    return status;
}

/* Collective. What comes after the step. */
static gr_status finish(struct gr_federation *f, const struct gr_round_options *options) {
    gr_status status = GR_OK;
    struct gr_metrics metrics;
    gr_inject_fault(f->cohort, f->rounds_done, GR_POINT_EVALUATE);
    GR_TRY(gr_round_evaluate(f, &metrics));
    gr_best_judge(f, &metrics);
    gr_round_disclose(f, &metrics);
    gr_inject_fault(f->cohort, f->rounds_done, GR_POINT_RECORD);
    if (options->record) GR_TRY(options->record(options->context, &metrics));
out:
    return status;
}

/* One step from where the ranks are. *done: the round is over. */
static gr_status advance(struct gr_federation *f, const struct gr_round_options *options,
                         bool *done) {
    gr_status status = GR_OK;
    const struct gr_roster *roster = &f->roster;
    if (roster->phase == GR_PHASE_OPEN) {
        *done = true;
    } else if (roster->phase == GR_PHASE_CLOSED && f->rounds_done < roster->round) {
        GR_TRY(reduce(f));
    } else {
        GR_TRY(finish(f, options));
        *done = true;
    }
out:
    return status;
}

static gr_status open_round(struct gr_federation *f, const struct gr_round_options *options) {
    const uint32_t round = f->rounds_done + 1;
    gr_door_close_ledger(gr_cohort_door(f->cohort));
    f->started_s = gr_clock_seconds();
    f->recoveries = 0;
    f->roster.round = round;
    gr_control_at(f->comm, round, GR_PHASE_OPEN);
    gr_status status = train_selected(f, round, options);
    f->roster.stop_requested = options->stop && *options->stop != 0;
    f->trained_s = gr_clock_seconds();
    /* Given up meanwhile: how to come back is found out where the others are met. */
    if (status == GR_LOST) {
        f->n_contributions = 0;
        memset(f->roster.member, 0, f->roster.n_silos);
        status = GR_OK;
    }
    double left = f->config->round.deadline_s - (f->trained_s - f->started_s);
    status = gr_control_close_round(f->comm, &f->roster, status, left > 0 ? left : 0);
    return status == GR_OK ? settle(f) : status;
}

gr_status gr_federation_round(struct gr_federation *f, const struct gr_round_options *options,
                              bool *stopped) {
    bool done = false, recovered = false;
    /* One that was taken in again outside of a round may find one under way. */
    gr_status status = f->roster.phase == GR_PHASE_OPEN ? open_round(f, options) : GR_OK;
    while (!done) {
        if (status == GR_LOST) {
            if (!recovered) gr_inject_fault(f->cohort, f->roster.round, GR_POINT_RECOVER);
            recovered = true;
            status = gr_federation_recover(f);
        }
        if (status == GR_OK) status = advance(f, options, &done);
        if (status != GR_OK && status != GR_LOST) return status;
    }
    *stopped = f->roster.stop_requested;
    f->bytes_sent = gr_comm_bytes_sent(f->comm);
    if (f->roster.phase != GR_PHASE_OPEN) forget_changes(f);
    gr_best_keep(f);
    f->roster.phase = GR_PHASE_OPEN;
    gr_control_at(f->comm, f->rounds_done + 1, GR_PHASE_OPEN);
    return GR_OK;
}

void gr_federation_participation(const struct gr_federation *f, struct gr_participation *out) {
    *out = (struct gr_participation){.selected = f->selected,
                                     .member = f->roster.member,
                                     .sat_out = f->roster.sat_out,
                                     .lost = f->lost,
                                     .late = f->late,
                                     .returned = f->returned};
}
