/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What silos keep from round to round: with ring16 what the rounding of their update has left over,
 * which is added to the next one (error feedback); with train.state keep what their optimizer goes
 * on from. It stays with the rank that hosts the silo, and takes effect only with the round: a sum
 * that is repeated on fewer ranks, and a round that is not taken, start from the same again.
 *
 * What is kept is of the last round which its silo took part in, or it is void: the silo then
 * begins anew, from nothing, which the roster tells all ranks and the events a replay. So it is
 * with a rank that replaces a lost one, one that was away when the others took the step with its
 * update, and a file that is gone or damaged.
 */
#include <string.h>

#include "federation/internal.h"

/* The residual, if there is one, is the first vector; then come the optimizer's. */
static size_t n_residuals(const struct gr_federation *f) {
    return f->config->aggregation.encoding == GR_ENCODING_RING16;
}

gr_status gr_kept_create(struct gr_federation *f) {
    gr_status status = GR_OK;
    const size_t n = f->data->n_local, residuals = n_residuals(f);
    f->n_kept = residuals;
    f->kept_name[0] = "residual";
    if (f->config->train.state == GR_SOLVER_KEEP)
        f->n_kept += gr_solver_vectors(&f->config->train, f->kept_name + residuals);
    if (f->n_kept == 0) return GR_OK;
    GR_TRY(gr_allocate_zero(n, sizeof *f->kept, "what silos keep", &f->kept));
    GR_TRY(gr_allocate_zero(n, sizeof *f->next, "what silos keep", &f->next));
    GR_TRY(gr_allocate_zero(n, sizeof *f->next_of, "what silos keep", &f->next_of));
    GR_TRY(gr_allocate_zero(n, sizeof *f->local_ids, "silos of this rank", &f->local_ids));
    GR_TRY(gr_allocate_zero(f->data->n_silos, 1, "silos that begin anew", &f->anew));
    for (size_t i = 0; i < n; i++)
        f->local_ids[i] = f->data->local[i].id;
out:
    return status;
}

static void release(struct gr_kept *kept) {
    for (size_t v = 0; v < GR_SILO_VECTORS_MAX; v++)
        gr_free(kept->vector[v]);
    memset(kept->vector, 0, sizeof kept->vector);
}

void gr_kept_free(struct gr_federation *f) {
    for (size_t i = 0; f->data && i < f->data->n_local; i++) {
        if (f->kept) release(&f->kept[i]);
        if (f->next) release(&f->next[i]);
    }
    gr_free(f->kept);
    gr_free(f->next);
    gr_free(f->next_of);
    gr_free(f->local_ids);
    gr_free(f->anew);
}

static gr_status make_vectors(const struct gr_federation *f, struct gr_kept *kept) {
    gr_status status = GR_OK;
    for (size_t v = 0; v < f->n_kept; v++)
        if (!kept->vector[v])
            GR_TRY(gr_allocate_zero(f->layout->size, sizeof(float), "what a silo keeps",
                                    &kept->vector[v]));
out:
    return status;
}

/* ---- a round --------------------------------------------------------------------------------- */

static bool is_good(const struct gr_federation *f, size_t local) {
    const uint32_t id = f->local_ids[local];
    const struct gr_kept *kept = &f->kept[local];
    return kept->vector[0] && kept->rounds == f->silo_rounds[id] && !f->anew[id];
}

gr_status gr_kept_begin(struct gr_federation *f, size_t local) {
    gr_status status = GR_OK;
    if (f->n_kept == 0) return GR_OK;
    struct gr_kept *next = &f->next[f->n_contributions];
    const struct gr_kept *kept = &f->kept[local];
    const size_t bytes = f->layout->size * sizeof(float);
    const bool good = is_good(f, local);
    GR_TRY(make_vectors(f, next));
    f->solver.steps = good ? kept->steps : 0;
    for (size_t v = n_residuals(f), i = 0; v < f->n_kept; v++, i++) {
        f->solver.vector[i] = next->vector[v];
        if (good)
            memcpy(next->vector[v], kept->vector[v], bytes);
        else
            memset(next->vector[v], 0, bytes);
    }
    if (f->n_kept > n_residuals(f)) gr_trainer_carry(f->trainer, &f->solver);
out:
    return status;
}

void gr_kept_offer(struct gr_federation *f, size_t local, uint32_t round,
                   struct gr_contribution *contribution) {
    if (f->n_kept == 0) return;
    const uint32_t id = f->local_ids[local];
    const size_t slot = f->n_contributions;
    const bool good = is_good(f, local);
    f->next_of[slot] = local;
    f->next[slot].steps = f->solver.steps;
    if (n_residuals(f) > 0) {
        contribution->residual = good ? f->kept[local].vector[0] : NULL;
        contribution->left = f->next[slot].vector[0];
        contribution->rounding = (struct gr_stream_key){.seed = f->config->run.seed,
                                                        .silo = id,
                                                        .round = round,
                                                        .purpose = GR_PURPOSE_ROUNDING};
    }
    if (!good && f->silo_rounds[id] > 0) f->roster.member[id] = GR_PRESENT_ANEW;
}

void gr_kept_commit(struct gr_federation *f) {
    for (size_t slot = 0; f->n_kept > 0 && slot < f->n_contributions; slot++) {
        const size_t local = f->next_of[slot];
        const struct gr_kept used = f->kept[local];
        f->kept[local] = f->next[slot];
        f->kept[local].rounds = f->silo_rounds[f->local_ids[local]];
        f->kept[local].stored = f->kept[local].fresh = false;
        f->next[slot] = used;
    }
}

/* ---- on disk -------------------------------------------------------------------------------- */

static struct gr_silo_state state_of(const struct gr_federation *f, size_t local,
                                     const unsigned char origin[GR_DIGEST_BYTES]) {
    const struct gr_kept *kept = &f->kept[local];
    struct gr_silo_state state = {.silo = f->local_ids[local],
                                  .rounds = kept->rounds,
                                  .layout = f->layout,
                                  .run_id = f->run_id,
                                  .steps = kept->steps,
                                  .n_vectors = f->n_kept};
    memcpy(state.origin, origin, GR_DIGEST_BYTES);
    memcpy(state.name, f->kept_name, sizeof state.name);
    memcpy(state.vector, kept->vector, sizeof state.vector);
    return state;
}

gr_status gr_kept_write(struct gr_federation *f, const char *dir,
                        const unsigned char origin[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    bool any = false;
    for (size_t i = 0; f->n_kept > 0 && i < f->data->n_local; i++) {
        struct gr_kept *kept = &f->kept[i];
        if (!kept->vector[0] || kept->stored) continue;
        const struct gr_silo_state state = state_of(f, i, origin);
        GR_TRY(gr_silo_state_write(dir, &state));
        kept->stored = kept->fresh = any = true;
    }
    if (any) status = gr_silo_states_sync(dir);
out:
    return status;
}

void gr_kept_take_back(struct gr_federation *f, const char *dir) {
    for (size_t i = 0; f->n_kept > 0 && i < f->data->n_local; i++) {
        struct gr_kept *kept = &f->kept[i];
        if (!kept->fresh) continue;
        gr_silo_state_remove(dir, f->local_ids[i], kept->rounds);
        kept->stored = kept->fresh = false;
    }
}

void gr_kept_settle(struct gr_federation *f, const char *dir, uint32_t keep) {
    if (f->n_kept == 0) return;
    for (size_t i = 0; i < f->data->n_local; i++)
        f->kept[i].fresh = false;
    gr_silo_states_keep(dir, f->local_ids, f->data->n_local, keep);
}

gr_status gr_kept_read(struct gr_federation *f, const char *dir,
                       const unsigned char origin[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    if (f->n_kept == 0) return GR_OK;
    gr_silo_states_forget(dir, f->local_ids, f->data->n_local, f->silo_rounds);
    for (size_t i = 0; i < f->data->n_local; i++) {
        struct gr_kept *kept = &f->kept[i];
        kept->rounds = f->silo_rounds[f->local_ids[i]];
        if (kept->rounds == 0) continue;
        GR_TRY(make_vectors(f, kept));
        struct gr_silo_state state = state_of(f, i, origin);
        status = gr_silo_state_read(dir, &state);
        if (status == GR_LOST) return status;
        kept->stored = status == GR_OK;
        status = GR_OK;
        kept->steps = state.steps;
        /* Said when the silo next takes part: it begins anew. */
        if (!kept->stored) release(kept);
    }
out:
    return status;
}

double gr_kept_bytes(const struct gr_federation *f) {
    if (f->n_kept == 0) return 0;
    return (f->data->n_silos / (double)gr_comm_slots(f->comm) + 1) * (double)f->n_kept *
           (double)(f->layout->size * sizeof(float));
}
