/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Error feedback of ring16: what the rounding of a silo's update has left over is added to its next
 * one. It stays with the rank that hosts the silo, and takes effect only with the round: a sum that
 * is repeated on fewer ranks starts from the same residual again.
 *
 * A residual is that of the last round which its silo took part in, or it is void: the silo then
 * begins anew, from nothing, which the roster tells all ranks and the events a replay. So it is
 * with a rank that replaces a lost one, one that was away when the others took the step with its
 * update, and a file that is gone or damaged.
 */
#include <string.h>

#include "federation/federation.h"

gr_status gr_residuals_create(struct gr_federation *f) {
    gr_status status = GR_OK;
    const size_t n = f->data->n_local;
    if (f->config->aggregation.encoding != GR_ENCODING_RING16) return GR_OK;
    GR_TRY(gr_allocate_zero(n, sizeof *f->residual, "residuals", &f->residual));
    GR_TRY(gr_allocate_zero(n, sizeof *f->left, "residuals", &f->left));
    GR_TRY(gr_allocate_zero(n, sizeof *f->left_by, "residuals", &f->left_by));
    GR_TRY(gr_allocate_zero(n, sizeof *f->local_ids, "silos of this rank", &f->local_ids));
    GR_TRY(gr_allocate_zero(f->data->n_silos, 1, "silos that begin anew", &f->anew));
    for (size_t i = 0; i < n; i++)
        f->local_ids[i] = f->data->local[i].id;
out:
    return status;
}

void gr_residuals_free(struct gr_federation *f) {
    for (size_t i = 0; f->data && i < f->data->n_local; i++) {
        if (f->residual) gr_free(f->residual[i].values);
        if (f->left) gr_free(f->left[i]);
    }
    gr_free(f->residual);
    gr_free(f->left);
    gr_free(f->left_by);
    gr_free(f->local_ids);
    gr_free(f->anew);
}

gr_status gr_residual_offer(struct gr_federation *f, size_t local, uint32_t round,
                            struct gr_contribution *contribution) {
    gr_status status = GR_OK;
    if (!f->residual) return GR_OK;
    const uint32_t id = f->local_ids[local];
    const size_t slot = f->n_contributions;
    const struct gr_residual *residual = &f->residual[local];
    const bool good = residual->values && residual->rounds == f->silo_rounds[id] && !f->anew[id];
    if (!f->left[slot])
        GR_TRY(gr_allocate_zero(f->layout->size, sizeof(float), "a residual", &f->left[slot]));
    f->left_by[slot] = local;
    contribution->residual = good ? residual->values : NULL;
    contribution->left = f->left[slot];
    contribution->rounding = (struct gr_stream_key){
        .seed = f->config->run.seed, .silo = id, .round = round, .purpose = GR_PURPOSE_ROUNDING};
    if (!good && f->silo_rounds[id] > 0) f->roster.member[id] = GR_PRESENT_ANEW;
out:
    return status;
}

void gr_residuals_commit(struct gr_federation *f) {
    for (size_t slot = 0; f->residual && slot < f->n_contributions; slot++) {
        const size_t local = f->left_by[slot];
        struct gr_residual *residual = &f->residual[local];
        float *used = residual->values;
        residual->values = f->left[slot];
        residual->rounds = f->silo_rounds[f->local_ids[local]];
        residual->stored = false;
        f->left[slot] = used;
    }
}

/* ---- on disk -------------------------------------------------------------------------------- */

static struct gr_silo_state state_of(const struct gr_federation *f, size_t local,
                                     const unsigned char origin[GR_DIGEST_BYTES]) {
    struct gr_silo_state state = {.silo = f->local_ids[local],
                                  .rounds = f->residual[local].rounds,
                                  .layout = f->layout,
                                  .residual = f->residual[local].values};
    memcpy(state.origin, origin, GR_DIGEST_BYTES);
    return state;
}

gr_status gr_residuals_write(struct gr_federation *f, const char *dir,
                             const unsigned char origin[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    bool any = false;
    for (size_t i = 0; f->residual && i < f->data->n_local; i++) {
        struct gr_residual *residual = &f->residual[i];
        if (!residual->values || residual->stored) continue;
        const struct gr_silo_state state = state_of(f, i, origin);
        GR_TRY(gr_silo_state_write(dir, &state));
        residual->stored = residual->fresh = any = true;
    }
    if (any) status = gr_silo_states_sync(dir);
out:
    return status;
}

void gr_residuals_take_back(struct gr_federation *f, const char *dir) {
    for (size_t i = 0; f->residual && i < f->data->n_local; i++) {
        struct gr_residual *residual = &f->residual[i];
        if (!residual->fresh) continue;
        gr_silo_state_remove(dir, f->local_ids[i], residual->rounds);
        residual->stored = residual->fresh = false;
    }
}

void gr_residuals_keep(struct gr_federation *f, const char *dir, uint32_t keep) {
    if (!f->residual) return;
    for (size_t i = 0; i < f->data->n_local; i++)
        f->residual[i].fresh = false;
    gr_silo_states_keep(dir, f->local_ids, f->data->n_local, keep);
}

gr_status gr_residuals_read(struct gr_federation *f, const char *dir,
                            const unsigned char origin[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    if (!f->residual) return GR_OK;
    gr_silo_states_forget(dir, f->local_ids, f->data->n_local, f->silo_rounds);
    if (gr_comm_rank(f->comm) == 0) gr_silo_states_tidy(dir);
    for (size_t i = 0; i < f->data->n_local; i++) {
        struct gr_residual *residual = &f->residual[i];
        residual->rounds = f->silo_rounds[f->local_ids[i]];
        if (residual->rounds == 0) continue;
        GR_TRY(gr_allocate_zero(f->layout->size, sizeof(float), "a residual", &residual->values));
        const struct gr_silo_state state = state_of(f, i, origin);
        residual->stored = gr_silo_state_read(dir, &state) == GR_OK;
        if (residual->stored) continue;
        /* Said when the silo next takes part: it begins anew. */
        gr_free(residual->values);
        residual->values = NULL;
    }
out:
    return status;
}

double gr_residuals_bytes(const struct gr_federation *f) {
    const double slots = gr_comm_slots(f->comm);
    if (!f->residual) return 0;
    return (f->data->n_silos / slots + 1) * (double)(f->layout->size * sizeof(float));
}
