/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The training part of a round: the draw, and the updates of this rank's silos, one silo after
 * another. Nothing here is collective; between batches gr_control_poll is called, which tells the
 * others that this rank lives, and returns GR_LOST when they have gone on without it.
 *
 * An update that must not enter a sum (not finite, too large) is left out, and its silo sits out:
 * one NaN would make the whole model NaN, on all ranks.
 */
#include "federation/internal.h"

#include <math.h>
#include <string.h>

#include <privacy/secret_draw.h>

struct gr_training {
    const struct gr_strategy *strategy; /* static */
    struct gr_trainer *trainer;         /* owned, as all that follows */
    struct gr_replay *replay;           /* NULL: nothing is replayed */
    /* Updates are made when first needed: as many as silos of this rank train in one round, or one
     * where they are added up as they come. */
    float **sent;  /* data->n_local times n_sent pointers to layout size floats */
    size_t n_sent; /* vectors of a contribution */
    struct gr_contribution *contribution;
    size_t n_contributions;
    size_t *local_of;          /* of each contribution: its silo's place in data->local */
    uint32_t round;            /* that they are of */
    bool running;              /* contributions are added as they come */
    uint64_t most_rows;        /* of a silo of this rank that trains in the round */
    uint64_t added_rows;       /* of a silo that was added */
    struct gr_round_sums sums; /* of this rank; but for the scores */
    struct gr_sampler *sampler;
    uint32_t drawn_from;      /* silos, by the sampler */
    uint32_t *place;          /* of each silo in data->local; n_local: elsewhere; n_silos */
    uint32_t selected_for;    /* the round of `selected`; 0: none yet */
    struct gr_flags selected; /* by the draw from all silos; in a replay: those that took part */
    struct gr_flags drawn;    /* replay: the draw; after losses: of those that are there */
    struct gr_flags named;    /* replay: room for a list */
    unsigned char *secrets;   /* private steps: n_local of GR_SECRET_BYTES; NULL: none */
    uint8_t *heard;           /* silos whose terminal knows why they sit out; n_silos flags */
};

/* Of the first n silos. */
static gr_status create_sampler(struct gr_federation *f, uint32_t n) {
    const struct gr_draw draw = {.seed = f->config->run.seed,
                                 .n_silos = n,
                                 .round = &f->config->round,
                                 .sizes = gr_cohort_sizes(f->cohort),
                                 .named = gr_silos_named(f->config) ? f->config : NULL};
    f->training->drawn_from = n;
    return gr_sampler_create(&draw, &f->training->sampler);
}

static gr_status create_selection(struct gr_federation *f) {
    struct gr_training *t = f->training;
    const uint32_t n = f->data->n_silos;
    gr_status status;
    GR_TRY(create_sampler(f, n));
    GR_TRY(gr_flags_create(n, "the selection", &t->selected));
    GR_TRY(gr_flags_create(n, "the selection", &t->drawn));
    GR_TRY(gr_flags_create(n, "the selection", &t->named));
    GR_TRY(gr_allocate(n, sizeof *t->place, "the places of silos", &t->place));
    for (uint32_t i = 0; i < n; i++)
        t->place[i] = (uint32_t)f->data->n_local;
    for (uint32_t i = 0; i < f->data->n_local; i++)
        t->place[f->data->local[i].id] = i;
out:
    return status;
}

/* Rows and persons are hidden by the steps of a silo's training; a silo by what is made of it. */
bool gr_training_is_private(const struct gr_config *config) {
    return config->privacy.unit == GR_PRIVACY_ROW || config->privacy.unit == GR_PRIVACY_PERSON;
}

static gr_status create_trainer(struct gr_federation *f) {
    struct gr_train_config train = f->config->train;
    struct gr_trainer **trainer = &f->training->trainer;
    gr_status status;
    if (!gr_training_is_private(f->config))
        return gr_trainer_create(&train, f->config->run.seed, f->model, trainer);
    GR_TRY(gr_allocate_zero(f->data->n_local, GR_SECRET_BYTES, "secrets", &f->training->secrets));
    train.batch_size = GR_CLIP_ROWS_MAX; /* all that passes the model at a time */
    GR_TRY(gr_trainer_create(&train, f->config->run.seed, f->model, trainer));
    status = gr_trainer_make_private(*trainer, &f->config->privacy);
out:
    return status;
}

/*
 * Buffers for updates are allocated when a silo first needs one: with sampling a rank trains few of
 * its silos at a time.
 */
gr_status gr_training_create(struct gr_federation *f) {
    const struct gr_config *config = f->config;
    const size_t n = f->data->n_local;
    struct gr_training *t = NULL;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *t, "training", &f->training));
    t = f->training;
    t->strategy = gr_strategy_find(config->strategy.name);
    if (n > 0) /* a coordinator's job never trains, and has no use for a gradient */
        GR_TRY(create_trainer(f));
    t->n_sent = gr_strategy_sent(t->strategy);
    GR_TRY(gr_allocate_zero(n * t->n_sent, sizeof *t->sent, "updates", &t->sent));
    GR_TRY(gr_allocate_zero(n, sizeof *t->contribution, "contributions", &t->contribution));
    GR_TRY(gr_allocate_zero(n, sizeof *t->local_of, "contributions", &t->local_of));
    GR_TRY(gr_allocate_zero(config->data.silos, 1, "what was heard", &t->heard));
    GR_TRY(create_selection(f));
    if (config->round.replay[0])
        GR_TRY(gr_replay_open(config->round.replay, config->data.silos, &t->replay));
out:
    return status;
}

void gr_training_free(struct gr_federation *f) {
    struct gr_training *t = f->training;
    if (!t) return;
    for (size_t i = 0; t->sent && i < f->data->n_local * t->n_sent; i++)
        gr_free(t->sent[i]);
    gr_free(t->sent);
    gr_free(t->contribution);
    gr_free(t->local_of);
    gr_free(t->place);
    gr_sampler_free(t->sampler);
    gr_flags_release(&t->selected);
    gr_flags_release(&t->drawn);
    gr_flags_release(&t->named);
    gr_free(t->heard);
    gr_free(t->secrets);
    gr_replay_close(t->replay);
    gr_trainer_free(t->trainer);
    gr_free(t);
}

/* ---- one silo ------------------------------------------------------------------------------- */

/*
 * The whole reason goes to the silo's own terminal, once for rounds running; other ranks get only
 * the code of the reason, by the roster, because a message may quote the silo's values.
 */
static void sit_out(struct gr_federation *f, const struct gr_silo *silo, uint32_t round,
                    enum gr_sit_out reason, const char *why) {
    const size_t n = strlen(silo->pseudonym);
    if (strncmp(why, silo->pseudonym, n) == 0 && why[n] == ':') why += n + 2;
    gr_flags_set(&gr_round_roster(f)->sat_out, silo->id, (uint8_t)reason);
    if (!f->training->heard[silo->id])
        gr_cohort_hear_silo(f->cohort, silo, "%s: round %u: sits out: %s", silo->pseudonym, round,
                            why);
    f->training->heard[silo->id] = 1;
}

/*
 * The largest magnitude of the vectors sent; NAN: not all is finite. Replaces the trainer's figure
 * where the strategy has changed the vectors after training.
 */
static float largest_sent(float *const *sent, size_t n_sent, size_t n) {
    float largest = 0;
    for (size_t v = 0; v < n_sent; v++)
        for (size_t i = 0; i < n; i++) {
            if (!isfinite(sent[v][i])) return NAN;
            largest = fmaxf(largest, fabsf(sent[v][i]));
        }
    return largest;
}

/* The same steps again are of the same secret, so that the same update comes of them; others are of
 * another, for noise that is used twice is none. */
static void keep_secret(struct gr_federation *f, size_t local, bool again) {
    struct gr_training *t = f->training;
    unsigned char *secret = t->secrets + local * GR_SECRET_BYTES;
    if (f->config->run.rehearsal)
        gr_secret_rehearse(f->config->run.seed, f->data->local[local].stream, t->round, secret);
    else if (!again)
        gr_secret_make(secret);
    gr_trainer_keep_secret(t->trainer, secret);
}

typedef gr_status (*train_function)(struct gr_trainer *, const struct gr_silo *, uint32_t,
                                    const float *, float *, gr_poll_function, void *,
                                    struct gr_train_result *);

static train_function way_of(const struct gr_federation *f) {
    if (gr_training_is_private(f->config)) return gr_train_silo_privately;
    return f->training->strategy->full_gradient ? gr_train_full_gradient : gr_train_silo;
}

/* Where the next contribution's vectors are made. */
static float **next_sent(const struct gr_training *t) {
    return t->sent + (t->running ? 0 : t->n_contributions) * t->n_sent;
}

/*
 * Trains data->local[local] into the next contribution's vectors: the update, and what the strategy
 * makes of it. The order is part of the contract with strategies: prepare (before training),
 * corrects (a vector added to each gradient), training, conclude (from the update to all that is
 * sent). repeated: the steps that it took when it was trained before; 0: it was not.
 */
static gr_status solve(struct gr_federation *f, size_t local, uint64_t repeated,
                       gr_poll_function poll, struct gr_train_result *result) {
    struct gr_training *t = f->training;
    const struct gr_silo *silo = &f->data->local[local];
    float **sent = next_sent(t);
    const size_t n = f->layout->size;
    const uint32_t round = t->round;
    struct gr_solver *solver;
    gr_status status = GR_OK;
    for (size_t v = 0; v < t->n_sent; v++)
        if (!sent[v]) GR_TRY(gr_allocate_zero(n, sizeof(float), "an update", &sent[v]));
    GR_TRY(gr_kept_begin(f->kept, local, &solver));
    if (solver) gr_trainer_carry(t->trainer, solver);
    struct gr_silo_part part = {.config = &f->config->strategy,
                                .n = n,
                                .learning_rate = gr_learning_rate(&f->config->train, round),
                                .server = (const float *const *)gr_server_vectors(f->server),
                                .kept = gr_kept_of_strategy(f->kept),
                                .sent = sent};
    if (t->strategy->prepare) t->strategy->prepare(&part);
    gr_trainer_correct(t->trainer, t->strategy->corrects ? part.kept[0] : NULL);
    gr_trainer_repeat(t->trainer, repeated);
    if (t->secrets) keep_secret(f, local, repeated > 0);
    GR_TRY(way_of(f)(t->trainer, silo, round, gr_server_parameters(f->server), sent[0], poll,
                     f->comm, result));
    gr_inject_fault_update(f->cohort, round, silo->id, sent[0], n, &result->largest);
    part.steps = result->steps;
    if (!t->strategy->conclude) goto out;
    t->strategy->conclude(&part);
    result->largest = largest_sent(sent, t->n_sent, n);
out:
    return status;
}

/* Where differential privacy is of silos, nothing but its update may depend on a silo's table. */
static bool hides_silos(const struct gr_federation *f) {
    return f->config->privacy.unit == GR_PRIVACY_SILO;
}

/* solve, but for silos that are hidden: of these a bad update counts as none, and nobody else is
 * told, for it would tell of the table. */
static gr_status make_update(struct gr_federation *f, size_t local, uint64_t repeated,
                             gr_poll_function poll, struct gr_train_result *result) {
    const struct gr_training *t = f->training;
    const struct gr_silo *silo = &f->data->local[local];
    const gr_status status = solve(f, local, repeated, poll, result);
    if (!hides_silos(f) || (status != GR_OK && status != GR_ERROR_DATA)) return status;
    if (status == GR_OK && isfinite(result->largest)) return GR_OK;
    if (!t->heard[silo->id])
        gr_cohort_hear_silo(f->cohort, silo, "%s: round %u: counts as no change: %s",
                            silo->pseudonym, t->round,
                            status != GR_OK ? gr_message() : "its update is not finite");
    t->heard[silo->id] = 1;
    for (size_t v = 0; v < t->n_sent; v++)
        memset(next_sent(t)[v], 0, f->layout->size * sizeof(float));
    *result = (struct gr_train_result){0};
    return GR_OK;
}

/*
 * The weight of a silo in the mean. Strategies that average silos alike give each 1. Sampling by
 * size has the rows in the draw already, so that only the mean weight of a row is left (Li et al.
 * 2020, scheme II); else it is the sum of the rows' weights. Silos that are hidden count alike.
 */
static double weight_of(const struct gr_federation *f, const struct gr_train_result *result) {
    if (hides_silos(f)) return 1;
    if (f->training->strategy->alike) return result->weight > 0;
    /* Where rows are in the draw already (gr_sampler_draw), what is left is what one weighs. */
    return gr_cohort_sizes(f->cohort) ? result->weight / (double)result->examples : result->weight;
}

/* Weights are, as a rule, in proportion to rows: so many powers of two may come above those that
 * were added. */
static gr_status add_now(struct gr_federation *f, struct gr_contribution *contribution) {
    struct gr_training *t = f->training;
    int headroom = 0;
    if (contribution->examples > t->added_rows) t->added_rows = contribution->examples;
    const bool by_rows = !t->strategy->alike && !gr_cohort_sizes(f->cohort) && !hides_silos(f);
    if (by_rows && t->added_rows > 0 && t->most_rows > t->added_rows)
        headroom = ilogb((double)t->most_rows / (double)t->added_rows);
    return gr_release_add(gr_cohort_door(f->cohort), gr_round_aggregator(f), contribution, headroom,
                          gr_training_values(f));
}

/*
 * The silo is in the sum with its vectors, packed in place to the tensors that travel. Called after
 * all that can fail for this silo: from here on its roster entry says that it takes part.
 */
static gr_status contribute(struct gr_federation *f, size_t local, uint32_t round,
                            const struct gr_train_result *result) {
    struct gr_training *t = f->training;
    gr_status status = GR_OK;
    const struct gr_silo *silo = &f->data->local[local];
    struct gr_contribution *contribution = &t->contribution[t->n_contributions];
    *contribution = (struct gr_contribution){.silo = silo->stream,
                                             .examples = hides_silos(f) ? 0 : result->examples,
                                             .weight = weight_of(f, result),
                                             .steps = (double)result->steps,
                                             .pseudonym = silo->pseudonym};
    for (size_t v = 0; v < t->n_sent; v++) {
        float *sent = next_sent(t)[v];
        gr_sublayout_pack(&f->travels, sent);
        contribution->vector[v] = sent;
    }
    if (f->config->privacy.adaptive_clipping.quantile > 0)
        contribution->tally =
            gr_clip_tally(contribution->update, f->travels.layout.size,
                          gr_clip_norm(f->config, gr_server_clip_step(f->server)));
    if (t->running) GR_TRY(add_now(f, contribution));
    const bool anew = gr_kept_offer(f->kept, local, round, contribution);
    gr_flags_set(&gr_round_roster(f)->member, silo->id, anew ? GR_PRESENT_ANEW : GR_PRESENT);
    t->local_of[t->n_contributions++] = local;
    t->sums.processed += (int64_t)result->processed;
    if (result->processed > 0) t->heard[silo->id] = 0;
out:
    return status;
}

/* Not told with differential privacy, where one that is too large for a sum must not show either.
 */
static gr_status add_losses(const struct gr_federation *f, const struct gr_train_result *result) {
    struct gr_round_sums *sums = &f->training->sums;
    gr_status status = GR_OK;
    if (gr_is_private(f->config)) return GR_OK;
    GR_TRY(gr_loss_add(sums->loss, result->loss_sum));
    status = gr_loss_add(sums->weight, result->processed_weight);
out:
    return status;
}

/*
 * Trains one silo into the next free update. A bad update is no error of the run: the silo sits
 * out, and GR_OK is returned. GR_LOST and internal errors go up.
 */
static gr_status train_silo(struct gr_federation *f, size_t local, uint32_t round) {
    const struct gr_silo *silo = &f->data->local[local];
    struct gr_training *t = f->training;
    struct gr_train_result result = {0};
    /* A residual is added, which is less than a quarter of what it was left over from. */
    const float room = f->config->aggregation.encoding == GR_ENCODING_RING16 ? 2 : 1;
    if (silo->unusable != GR_OK) {
        gr_flags_set(&gr_round_roster(f)->sat_out, silo->id, GR_SIT_DATA);
        return GR_OK;
    }
    if (gr_trainer_check(t->trainer, silo) != GR_OK) {
        sit_out(f, silo, round, GR_SIT_DATA, gr_message());
        return GR_OK;
    }
    gr_inject_fault(f->cohort, round, GR_POINT_TRAIN);
    gr_status status = make_update(f, local, 0, gr_control_poll, &result);
    if (status == GR_OK && t->strategy->alike && !hides_silos(f) && !(result.weight > 0)) {
        /* In a sum it would count for nothing; counted as one of many it would. */
        sit_out(f, silo, round, GR_SIT_DATA, "its rows weigh nothing");
        return GR_OK;
    }
    const float weight = status == GR_OK ? (float)weight_of(f, &result) : 0;
    const bool fits = isfinite(result.largest * weight * room);
    if (status == GR_OK && fits) status = add_losses(f, &result);
    if (status == GR_ERROR_DATA || (status == GR_OK && !fits)) {
        sit_out(f, silo, round, GR_SIT_NOT_FINITE,
                status != GR_OK         ? gr_message()
                : isnan(result.largest) ? "its update is not finite"
                                        : "its update is too large for a sum");
        return GR_OK;
    }
    if (status != GR_OK) return status;
    if (gr_training_is_private(f->config) && f->config->privacy.noise == GR_NOISE_SILO &&
        gr_spending_charge(f, local, round, t->secrets + local * GR_SECRET_BYTES,
                           GR_SECRET_BYTES) != GR_OK) {
        sit_out(f, silo, round, GR_SIT_UNCHARGED, gr_message());
        return GR_OK;
    }
    return contribute(f, local, round, &result);
}

gr_status gr_training_charge(struct gr_federation *f, const unsigned char *secret,
                             size_t n_secret) {
    const struct gr_training *t = f->training;
    gr_status status = GR_OK;
    for (size_t c = 0; c < t->n_contributions && status == GR_OK; c++)
        status = gr_spending_charge(f, t->local_of[c], t->round, secret, n_secret);
    return status;
}

/*
 * A gr_source. Training once more gives the same update to the bit, where time had ended it by
 * taking as many steps; only what the contribution holds beside its vectors is there still. The
 * others wait in the sum meanwhile: gr_control_watch gives them signs of life, and ends this where
 * the membership changes.
 */
static gr_status train_again(void *context) {
    struct gr_federation *f = context;
    struct gr_training *t = f->training;
    gr_status status = GR_OK;
    const double cpu = gr_clock_cpu_seconds();
    for (size_t c = 0; c < t->n_contributions; c++) {
        struct gr_train_result result = {0};
        struct gr_contribution *contribution = &t->contribution[c];
        GR_TRY(make_update(f, t->local_of[c], (uint64_t)contribution->steps, gr_control_watch,
                           &result));
        for (size_t v = 0; v < t->n_sent; v++) {
            gr_sublayout_pack(&f->travels, t->sent[v]);
            contribution->vector[v] = t->sent[v];
        }
        GR_TRY(add_now(f, contribution));
    }
out:
    if (!gr_is_private(f->config))
        t->sums.cpu_microseconds += llrint((gr_clock_cpu_seconds() - cpu) * 1e6);
    if (status == GR_ERROR_DATA)
        status = gr_fail(GR_ERROR_INTERNAL, "training once more differs: %s", gr_message());
    return status;
}

/* As a contribution says them. */
static uint64_t rows_told(const struct gr_federation *f, size_t local) {
    return f->training->secrets ? f->config->privacy.expected_units
                                : f->data->local[local].train.n_rows;
}

/*
 * Whether contributions are added as they come: where so many silos of this rank train that it
 * takes less memory, and none of them keeps vectors of its own, by which memory goes with the silos
 * all the same. Returns how many they are. Updates are made from the first on, so that the first
 * that is not there ends them.
 */
static uint32_t choose_way(struct gr_federation *f, uint32_t round, const struct gr_flags *asked) {
    struct gr_training *t = f->training;
    struct gr_aggregator *aggregator = gr_round_aggregator(f);
    uint32_t mine = 0;
    t->round = round;
    t->most_rows = t->added_rows = 0;
    for (uint32_t i = 0; i < asked->n_set; i++) {
        const size_t local = t->place[asked->set[i]];
        if (local >= f->data->n_local) continue;
        mine++;
        const uint64_t rows = rows_told(f, local);
        t->most_rows = rows > t->most_rows ? rows : t->most_rows;
    }
    t->running = gr_kept_vectors(f->kept) == 0 && mine >= gr_aggregate_many(aggregator);
    for (size_t i = t->n_sent; t->running && i < f->data->n_local * t->n_sent && t->sent[i]; i++) {
        gr_free(t->sent[i]);
        t->sent[i] = NULL;
    }
    gr_aggregate_begin(aggregator, asked->n_set, (struct gr_source){train_again, f});
    return mine;
}

/* ---- whom a round asks ---------------------------------------------------------------------- */

/* A silo that no stretch began with is not loaded in a replay, so that it cannot take part. */
static gr_status check_replay(struct gr_training *t, uint32_t round) {
    gr_replay_never(t->replay, &t->named);
    for (uint32_t i = 0; i < t->named.n_set; i++) {
        char name[24];
        if (!t->selected.flag[t->named.set[i]]) continue;
        gr_silo_pseudonym(t->named.set[i], name);
        return gr_fail(
            GR_ERROR_DATA,
            "round.replay: %s was lost before the first round and came back before round "
            "%u: such a run cannot be replayed",
            name, round);
    }
    return GR_OK;
}

/* The draw of a replay is from the silos that the study had in that round. A list may name any. */
static gr_status draw_replayed(struct gr_federation *f, uint32_t round) {
    struct gr_training *t = f->training;
    const bool listed = f->config->round.sampling == GR_SAMPLING_LIST;
    const uint32_t n = listed ? f->data->n_silos : gr_replay_silos(t->replay, round);
    gr_status status = GR_OK;
    if (n != t->drawn_from) {
        gr_sampler_free(t->sampler);
        t->sampler = NULL;
        GR_TRY(create_sampler(f, n));
    }
    status = gr_sampler_draw(t->sampler, round, NULL, &t->drawn);
out:
    return status;
}

/* The lists of the original run turn the draw into that run's roster. */
static gr_status select_replayed(struct gr_federation *f, uint32_t round) {
    struct gr_training *t = f->training;
    gr_flags_clear(&t->selected);
    if (gr_replay_void(t->replay, round)) return GR_OK; /* whoever has trained, it was in no sum */
    const uint32_t n = gr_replay_silos(t->replay, round);
    gr_replay_absent(t->replay, round, &t->named);
    for (uint32_t i = 0; i < t->drawn.n_set; i++)
        if (!t->named.flag[t->drawn.set[i]] && t->drawn.set[i] < n)
            gr_flags_set(&t->selected, t->drawn.set[i], 1);
    gr_replay_instead(t->replay, round, &t->named);
    for (uint32_t i = 0; i < t->named.n_set; i++)
        gr_flags_set(&t->selected, t->named.set[i], 1);
    gr_flags_sort(&t->selected);
    if (gr_kept_anew(f->kept)) gr_replay_anew(t->replay, round, gr_kept_anew(f->kept));
    return check_replay(t, round);
}

/*
 * Not collective; all ranks find the same. `selected` is drawn from all silos, present or not: it
 * is the reference that a round's metrics, and the lists of a partial round, count against.
 */
gr_status gr_training_select(struct gr_federation *f, uint32_t round) {
    struct gr_training *t = f->training;
    gr_status status;
    if (t->selected_for == round) return GR_OK;
    t->selected_for = 0;
    if (t->replay) {
        GR_TRY(draw_replayed(f, round));
        GR_TRY(select_replayed(f, round));
    } else {
        GR_TRY(gr_sampler_draw(t->sampler, round, NULL, &t->selected));
    }
    t->selected_for = round;
out:
    return status;
}

/* Whether the rank that hosts a silo is a member. */
static bool is_there(const void *context, uint32_t silo) {
    const struct gr_federation *f = context;
    return gr_comm_rank_of(f->comm, gr_cohort_hosts(f->cohort)[silo]) >= 0;
}

/*
 * Which silos train: for selected silos of ranks that are not there, the next of the draw. Before
 * the first loss (epoch 0) this is the selection itself. A rank that comes back in mid-round may
 * have a different view of the membership; the roster, on which all agree, is what counts.
 */
static gr_status ask_silos(struct gr_federation *f, uint32_t round, const struct gr_flags **asked) {
    struct gr_training *t = f->training;
    const struct gr_present present = {.is_present = is_there, .context = f};
    gr_status status = gr_training_select(f, round);
    *asked = &t->selected;
    if (status != GR_OK || t->replay || gr_comm_epoch(f->comm) == 0) return status;
    *asked = &t->drawn;
    return gr_sampler_draw(t->sampler, round, &present, &t->drawn);
}

/*
 * CPU time is that of the process, in microseconds, all threads included; it is added up over ranks
 * as an integer. After GR_LOST the caller discards the contributions made so far; other errors end
 * the round on all ranks.
 */
gr_status gr_training_run(struct gr_federation *f, uint32_t round,
                          const struct gr_round_options *options) {
    struct gr_training *t = f->training;
    struct gr_roster *roster = gr_round_roster(f);
    const struct gr_flags *asked;
    gr_status status = GR_OK;
    uint32_t done = 0, mine = 0;
    double cpu;
    gr_training_discard(f);
    gr_flags_clear(&roster->member);
    gr_flags_clear(&roster->sat_out);
    GR_TRY(ask_silos(f, round, &asked));
    cpu = gr_clock_cpu_seconds();
    mine = choose_way(f, round, asked);
    if (options->trained) options->trained(options->context, round, 0, mine);
    for (uint32_t i = 0; i < asked->n_set; i++) {
        const size_t local = t->place[asked->set[i]];
        if (local >= f->data->n_local) continue;
        GR_TRY(train_silo(f, local, round));
        if (options->trained) options->trained(options->context, round, ++done, mine);
    }
    /* Time tells how many rows were drawn. */
    if (!gr_is_private(f->config))
        t->sums.cpu_microseconds = llrint((gr_clock_cpu_seconds() - cpu) * 1e6);
    gr_inject_fault(f->cohort, round, GR_POINT_READY);
out:
    return status;
}

void gr_training_discard(struct gr_federation *f) {
    f->training->n_contributions = 0;
    gr_aggregate_begin(gr_round_aggregator(f), 0, (struct gr_source){NULL, NULL});
    memset(&f->training->sums, 0, sizeof f->training->sums);
    gr_kept_open(f->kept);
}

const struct gr_contribution *gr_training_contributions(const struct gr_training *training,
                                                        size_t *n) {
    *n = training->n_contributions;
    return training->contribution;
}

size_t gr_training_values(const struct gr_federation *f) {
    return f->training->n_sent * f->travels.layout.size;
}

const struct gr_round_sums *gr_training_sums(const struct gr_training *training) {
    return &training->sums;
}

const struct gr_flags *gr_training_selected(const struct gr_training *training) {
    return &training->selected;
}

bool gr_training_replays(const struct gr_training *training) {
    return training->replay != NULL;
}

bool gr_training_void(const struct gr_training *training, uint32_t round) {
    return training->replay && gr_replay_void(training->replay, round);
}

uint32_t gr_training_silos(const struct gr_federation *f, uint32_t round) {
    const struct gr_replay *replay = f->training->replay;
    return replay ? gr_replay_silos(replay, round) : f->data->n_silos;
}
