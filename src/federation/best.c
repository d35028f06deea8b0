/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The best model so far by the federated validation metric, and the end of a run that gets no
 * better (early stopping with patience: Prechelt 1998, "Early stopping - but when?", class UP).
 * All ranks see the same metrics, so all decide alike.
 */
#include "federation/internal.h"

#include <math.h>
#include <string.h>

gr_status gr_best_create(struct gr_federation *f) {
    if (f->config->stop.metric == GR_STOP_NONE) return GR_OK;
    return gr_allocate_zero(f->layout->size, sizeof(float), "the best model", &f->best.parameters);
}

/* Rounds evaluated for other reasons, as the last one before a signal, do not count: an undisturbed
 * run has not got them. */
static bool counts(const struct gr_federation *f) {
    return f->best.parameters && f->rounds_done % f->config->evaluate.every == 0;
}

void gr_best_judge(struct gr_federation *f, const struct gr_metrics *metrics) {
    const struct gr_stop_config *stop = &f->config->stop;
    struct best *best = &f->best;
    const bool loss = stop->metric == GR_STOP_VALIDATION_LOSS;
    best->newest = loss ? metrics->validation_loss : metrics->validation_accuracy;
    const double gain = loss ? best->value - best->newest : best->newest - best->value;
    best->improved =
        counts(f) && isfinite(best->newest) && (best->round == 0 || gain > stop->minimum_delta);
}

void gr_best_keep(struct gr_federation *f) {
    struct best *best = &f->best;
    if (!best->improved) return;
    memcpy(best->parameters, f->parameters, f->layout->size * sizeof *best->parameters);
    best->round = f->rounds_done;
    best->value = best->newest;
    best->improved = false;
}

gr_status gr_best_share(struct gr_federation *f) {
    struct best *best = &f->best;
    gr_status status = GR_OK;
    if (!best->parameters) return GR_OK;
    GR_TRY(gr_comm_broadcast(f->comm, &best->round, sizeof best->round));
    GR_TRY(gr_comm_broadcast(f->comm, &best->value, sizeof best->value));
    GR_TRY(gr_comm_broadcast(f->comm, best->parameters, f->layout->size * sizeof(float)));
    if (f->roster.need_state) best->improved = false;
out:
    return status;
}

void gr_best_state(struct gr_federation *f, struct gr_state *out) {
    const struct best *best = &f->best;
    if (!best->parameters) return;
    out->server_name[out->n_server] = GR_SERVER_BEST;
    out->server[out->n_server] = best->improved ? f->parameters : best->parameters;
    out->n_server++;
    out->best_round = gr_best_round(f);
    out->best_value = best->improved ? best->newest : best->value;
}

uint32_t gr_best_round(const struct gr_federation *f) {
    return f->best.improved ? f->rounds_done : f->best.round;
}

void gr_federation_outcome(struct gr_federation *f, struct gr_state *out) {
    gr_federation_state(f, out);
    out->n_class_counts = 0; /* a model goes to others */
    if (!f->best.parameters) return;
    out->n_server--; /* the best one is the model itself */
    if (out->best_round == 0) return;
    out->parameters = out->server[out->n_server];
    out->round = out->best_round;
}

bool gr_federation_ends_early(const struct gr_federation *f) {
    const uint32_t patience = f->config->stop.patience;
    const uint32_t best = gr_best_round(f);
    return counts(f) && patience > 0 && best > 0 && f->rounds_done - best >= patience;
}
