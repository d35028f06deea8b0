/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Vectors that silos keep from round to round: with ring16 the residuals of rounding their update,
 * which are added to the next one (error feedback); with train.state keep the state of their
 * optimizer; with some strategies vectors of these, like SCAFFOLD's control variates. It stays with
 * the rank that hosts the silo, and takes effect only with the round: a sum that is repeated on
 * fewer ranks, and a round that is not taken, start from the same again.
 *
 * They are of the last round which their silo took part in, or they are void: the silo then
 * begins anew, from nothing, which the roster tells all ranks and the events a replay. So it is
 * with a rank that replaces a lost one, one that was away when the others took the step with its
 * update, and a file that is gone or damaged.
 */
#include <string.h>

#include "federation/internal.h"

/* One silo's. */
struct kept_silo {
    float *vector[GR_SILO_VECTORS_MAX]; /* n_vectors of layout size floats; owned; NULL: none */
    uint64_t steps;                     /* of its optimizer */
    uint32_t rounds;                    /* that the silo had taken part in then */
    bool stored;                        /* on disk; */
    bool fresh;                         /* for a checkpoint that is not there yet */
};

/* Where n_vectors is 0 nothing is kept, and all that is owned is NULL. */
struct gr_kept {
    const struct gr_config *config; /* borrowed, as the next three */
    const struct gr_strategy *strategy;
    const struct gr_data *data;
    const struct gr_layout *layout;
    const uint32_t *silo_rounds; /* rounds each silo has taken part in; n_silos */
    size_t n_vectors;            /* of a silo */
    const char *name[GR_SILO_VECTORS_MAX];
    struct kept_silo *silo;  /* of each silo of this rank; data->n_local; owned */
    struct kept_silo *next;  /* of each offer; kept once the round is committed; owned */
    size_t *next_of;         /* of each offer: its silo's place in data->local; owned */
    size_t n_offers;         /* in this round */
    struct gr_solver solver; /* of the silo that trains */
    uint32_t *ids;           /* of this rank's silos, ascending; data->n_local; owned */
    struct gr_flags anew;    /* in a replay: silos that are to begin anew; n_silos; owned */
};

/*
 * A vector's place says whose it is: residuals, one for each vector that is sent, come first; then
 * the optimizer's vectors, then the strategy's. Files of silo states name their vectors, so a
 * changed order would be noticed when they are read.
 */
static size_t n_residuals(const struct gr_kept *kept) {
    const bool narrow = kept->config->aggregation.encoding == GR_ENCODING_RING16;
    return narrow ? gr_strategy_sent(kept->strategy) : 0;
}

static size_t n_solver(const struct gr_kept *kept) {
    const struct gr_train_config *train = &kept->config->train;
    return train->state == GR_SOLVER_KEEP ? gr_solver_vectors(train, NULL) : 0;
}

/*
 * Counts and names the vectors. Names are static text of strategy and optimizer; they are written
 * into the files of silo states and must not change between versions.
 */
static gr_status name_vectors(struct gr_kept *kept) {
    const struct gr_strategy *strategy = kept->strategy;
    const size_t residuals = n_residuals(kept), n = n_solver(kept);
    if (residuals + n + strategy->n_kept > GR_SILO_VECTORS_MAX)
        return gr_fail(GR_ERROR_CONFIG,
                       "strategy.name: found %s, whose silos would keep %zu vectors with this "
                       "optimizer and encoding, allowed at most %d",
                       strategy->name, residuals + n + strategy->n_kept, GR_SILO_VECTORS_MAX);
    kept->n_vectors = residuals + n + strategy->n_kept;
    kept->name[0] = "residual";
    if (residuals > 1) kept->name[1] = "residual_beside";
    if (n > 0) gr_solver_vectors(&kept->config->train, kept->name + residuals);
    for (size_t i = 0; i < strategy->n_kept; i++)
        kept->name[residuals + n + i] = strategy->kept_name[i];
    return GR_OK;
}

/*
 * At most one offer per silo and round, so n_local places for offers suffice. Vectors themselves
 * are allocated when a silo first trains (make_vectors): with sampling many never do.
 */
static gr_status allocate(struct gr_kept *kept) {
    const size_t n = kept->data->n_local;
    gr_status status;
    GR_TRY(gr_allocate_zero(n, sizeof *kept->silo, "what silos keep", &kept->silo));
    GR_TRY(gr_allocate_zero(n, sizeof *kept->next, "what silos keep", &kept->next));
    GR_TRY(gr_allocate_zero(n, sizeof *kept->next_of, "what silos keep", &kept->next_of));
    GR_TRY(gr_allocate_zero(n, sizeof *kept->ids, "silos of this rank", &kept->ids));
    GR_TRY(gr_flags_create(kept->data->n_silos, "silos that begin anew", &kept->anew));
    for (size_t i = 0; i < n; i++)
        kept->ids[i] = kept->data->local[i].id;
out:
    return status;
}

gr_status gr_kept_create(const struct gr_config *config, const struct gr_data *data,
                         const struct gr_layout *layout, const uint32_t *silo_rounds,
                         struct gr_kept **out) {
    struct gr_kept *kept = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *kept, "what silos keep", &kept));
    *kept = (struct gr_kept){.config = config,
                             .strategy = gr_strategy_find(config->strategy.name),
                             .data = data,
                             .layout = layout,
                             .silo_rounds = silo_rounds};
    GR_TRY(name_vectors(kept));
    if (kept->n_vectors > 0) GR_TRY(allocate(kept));
    *out = kept;
    kept = NULL;
out:
    gr_kept_free(kept);
    return status;
}

static void release(struct kept_silo *silo) {
    for (size_t v = 0; v < GR_SILO_VECTORS_MAX; v++)
        gr_free(silo->vector[v]);
    memset(silo->vector, 0, sizeof silo->vector);
}

void gr_kept_free(struct gr_kept *kept) {
    if (!kept) return;
    for (size_t i = 0; i < kept->data->n_local; i++) {
        if (kept->silo) release(&kept->silo[i]);
        if (kept->next) release(&kept->next[i]);
    }
    gr_free(kept->silo);
    gr_free(kept->next);
    gr_free(kept->next_of);
    gr_free(kept->ids);
    gr_flags_release(&kept->anew);
    gr_free(kept);
}

size_t gr_kept_vectors(const struct gr_kept *kept) {
    return kept->n_vectors;
}

struct gr_flags *gr_kept_anew(struct gr_kept *kept) {
    return kept->n_vectors > 0 ? &kept->anew : NULL;
}

static gr_status make_vectors(const struct gr_kept *kept, struct kept_silo *silo) {
    gr_status status = GR_OK;
    for (size_t v = 0; v < kept->n_vectors; v++)
        if (!silo->vector[v])
            GR_TRY(gr_allocate_zero(kept->layout->size, sizeof(float), "what a silo keeps",
                                    &silo->vector[v]));
out:
    return status;
}

/* ---- a round --------------------------------------------------------------------------------- */

/*
 * Whether the vectors are of the last round that the silo took part in. Only the server's count
 * knows of a round in which the silo's update was taken while this rank was away. In a replay
 * `anew` repeats the losses of the original run.
 */
static bool is_good(const struct gr_kept *kept, size_t local) {
    const uint32_t id = kept->ids[local];
    const struct kept_silo *silo = &kept->silo[local];
    return silo->vector[0] && silo->rounds == kept->silo_rounds[id] && !kept->anew.flag[id];
}

void gr_kept_open(struct gr_kept *kept) {
    kept->n_offers = 0;
}

/*
 * Prepares place n_offers of `next` for the silo: a copy of its vectors, or zeros. Training changes
 * the copy; the original stays, for a repetition to start from. A silo whose update is not offered
 * (it sits out) leaves the copy behind, to be overwritten by the next silo. Residuals are left out
 * here: the aggregator reads the old ones and writes the new.
 */
gr_status gr_kept_begin(struct gr_kept *kept, size_t local, struct gr_solver **solver) {
    gr_status status = GR_OK;
    *solver = NULL;
    if (kept->n_vectors == 0) return GR_OK;
    struct kept_silo *next = &kept->next[kept->n_offers];
    const struct kept_silo *silo = &kept->silo[local];
    const size_t bytes = kept->layout->size * sizeof(float);
    const bool good = is_good(kept, local);
    GR_TRY(make_vectors(kept, next));
    kept->solver.steps = good ? silo->steps : 0;
    for (size_t v = n_residuals(kept), i = 0; v < kept->n_vectors; v++, i++) {
        if (i < n_solver(kept)) kept->solver.vector[i] = next->vector[v];
        if (good)
            memcpy(next->vector[v], silo->vector[v], bytes);
        else
            memset(next->vector[v], 0, bytes);
    }
    if (n_solver(kept) > 0) *solver = &kept->solver;
out:
    return status;
}

float *const *gr_kept_of_strategy(struct gr_kept *kept) {
    if (kept->strategy->n_kept == 0) return NULL;
    return kept->next[kept->n_offers].vector + kept->n_vectors - kept->strategy->n_kept;
}

/*
 * Residuals are not copied: the aggregator reads the old ones and writes the new ones into `next`
 * when it encodes, again for each repetition of the sum. The stream of the stochastic rounding is
 * keyed by silo and round, so a repetition rounds alike.
 */
bool gr_kept_offer(struct gr_kept *kept, size_t local, uint32_t round,
                   struct gr_contribution *contribution) {
    if (kept->n_vectors == 0) return false;
    const uint32_t id = kept->ids[local];
    struct kept_silo *next = &kept->next[kept->n_offers];
    const bool good = is_good(kept, local);
    kept->next_of[kept->n_offers++] = local;
    next->steps = kept->solver.steps;
    for (size_t v = 0; v < n_residuals(kept); v++) {
        contribution->residuals[v] = good ? kept->silo[local].vector[v] : NULL;
        contribution->lefts[v] = next->vector[v];
        contribution->rounding = (struct gr_stream_key){.seed = kept->config->run.seed,
                                                        .silo = kept->data->local[local].stream,
                                                        .round = round,
                                                        .purpose = GR_PURPOSE_ROUNDING};
    }
    return !good && kept->silo_rounds[id] > 0;
}

/*
 * Swaps the vectors in place of copying them; the used ones serve the next round. `stored` becomes
 * false, so that the next checkpoint writes the silo's file.
 */
void gr_kept_commit(struct gr_kept *kept) {
    for (size_t i = 0; i < kept->n_offers; i++) {
        const size_t local = kept->next_of[i];
        const struct kept_silo used = kept->silo[local];
        kept->silo[local] = kept->next[i];
        kept->silo[local].rounds = kept->silo_rounds[kept->ids[local]];
        kept->silo[local].stored = kept->silo[local].fresh = false;
        kept->next[i] = used;
    }
    kept->n_offers = 0;
}

/* ---- on disk -------------------------------------------------------------------------------- */

/*
 * The form of a silo's file, for writing and for reading: pointers are borrowed from `kept`, and
 * gr_silo_state_read fills the vectors in place. origin binds the file to config and data.
 */
static struct gr_silo_state state_of(const struct gr_kept *kept, size_t local, const char *run_id,
                                     const unsigned char origin[GR_DIGEST_BYTES]) {
    const struct kept_silo *silo = &kept->silo[local];
    struct gr_silo_state state = {.silo = kept->ids[local],
                                  .rounds = silo->rounds,
                                  .layout = kept->layout,
                                  .run_id = run_id,
                                  .steps = silo->steps,
                                  .n_vectors = kept->n_vectors};
    memcpy(state.origin, origin, GR_DIGEST_BYTES);
    memcpy(state.name, kept->name, sizeof state.name);
    memcpy(state.vector, silo->vector, sizeof state.vector);
    return state;
}

/*
 * Each rank writes the files of its own silos, so no vector of a silo is sent to another rank. A
 * file that is on disk already (`stored`) is not written again. The folder is synced once, after
 * all files.
 */
gr_status gr_kept_write(struct gr_kept *kept, const char *dir, const char *run_id,
                        const unsigned char origin[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    bool any = false;
    for (size_t i = 0; kept->n_vectors > 0 && i < kept->data->n_local; i++) {
        struct kept_silo *silo = &kept->silo[i];
        if (!silo->vector[0] || silo->stored) continue;
        const struct gr_silo_state state = state_of(kept, i, run_id, origin);
        GR_TRY(gr_silo_state_write(dir, &state));
        silo->stored = silo->fresh = any = true;
    }
    if (any) status = gr_silo_states_sync(dir);
out:
    return status;
}

/*
 * Called when the checkpoint was refused. Without this the new files would count among the newest
 * `keep` and push out the ones that the last whole checkpoint needs.
 */
void gr_kept_take_back(struct gr_kept *kept, const char *dir) {
    for (size_t i = 0; kept->n_vectors > 0 && i < kept->data->n_local; i++) {
        struct kept_silo *silo = &kept->silo[i];
        if (!silo->fresh) continue;
        gr_silo_state_remove(dir, kept->ids[i], silo->rounds);
        silo->stored = silo->fresh = false;
    }
}

void gr_kept_settle(struct gr_kept *kept, const char *dir, uint32_t keep) {
    if (kept->n_vectors == 0) return;
    for (size_t i = 0; i < kept->data->n_local; i++)
        kept->silo[i].fresh = false;
    gr_silo_states_keep(dir, kept->ids, kept->data->n_local, keep);
}

/*
 * Files of rounds that the checkpoint does not know are removed first: they are of a future that
 * the resumed run will not repeat in the same way. A missing or damaged file is no error; the silo
 * begins anew, which its next roster tells.
 */
gr_status gr_kept_read(struct gr_kept *kept, const char *dir, const char *run_id,
                       const unsigned char origin[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    if (kept->n_vectors == 0) return GR_OK;
    gr_silo_states_forget(dir, kept->ids, kept->data->n_local, kept->silo_rounds);
    for (size_t i = 0; i < kept->data->n_local; i++) {
        struct kept_silo *silo = &kept->silo[i];
        silo->rounds = kept->silo_rounds[kept->ids[i]];
        if (silo->rounds == 0) continue;
        GR_TRY(make_vectors(kept, silo));
        struct gr_silo_state state = state_of(kept, i, run_id, origin);
        status = gr_silo_state_read(dir, &state);
        if (status == GR_LOST) return status;
        silo->stored = status == GR_OK;
        status = GR_OK;
        silo->steps = state.steps;
        /* Said when the silo next takes part: it begins anew. */
        if (!silo->stored) release(silo);
    }
out:
    return status;
}

/*
 * An upper estimate for the deadline of a checkpoint on a slow disk: silos are spread evenly over
 * slots, plus one for the remainder.
 */
double gr_kept_bytes(const struct gr_kept *kept, int slots) {
    if (kept->n_vectors == 0) return 0;
    return (kept->data->n_silos / (double)slots + 1) * (double)kept->n_vectors *
           (double)(kept->layout->size * sizeof(float));
}
