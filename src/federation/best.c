/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The best model so far by the federated validation metric, and the end of a run that gets no
 * better (early stopping with patience: Prechelt 1998, "Early stopping - but when?", class UP).
 * All ranks see the same metrics, so all decide alike.
 */
#include "federation/internal.h"

#include <math.h>
#include <string.h>

/*
 * The best model up to the round before, and what the evaluation of this round says. The two are
 * brought together when the round is over on all ranks: until then it may be evaluated again, on
 * fewer of them.
 */
struct gr_best {
    float *parameters;     /* layout size floats; owned; NULL: the config does not ask for it */
    uint32_t round;        /* 0: none yet */
    double value;          /* of the metric */
    uint32_t epoch;        /* in which it was scored */
    bool improved;         /* this round's model is better */
    double newest;         /* by this value, */
    uint32_t newest_epoch; /* scored in this epoch */
};

/*
 * Without stop.metric no second model is allocated: parameters stays NULL, and every function below
 * tests that to do nothing. stop.metric is of the config, which is the same on all ranks, so either
 * all ranks take part in the broadcasts of gr_best_share or none does.
 */
gr_status gr_best_create(const struct gr_config *config, const struct gr_layout *layout,
                         struct gr_best **out) {
    struct gr_best *best = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *best, "the best model", &best));
    if (config->stop.metric != GR_STOP_NONE)
        GR_TRY(gr_allocate_zero(layout->size, sizeof(float), "the best model", &best->parameters));
    *out = best;
    best = NULL;
out:
    gr_best_free(best);
    return status;
}

void gr_best_free(struct gr_best *best) {
    if (best) gr_free(best->parameters);
    gr_free(best);
}

/*
 * The epoch serves is_scored_again (evaluation.c): the best model may be scored a second time only
 * over the same members.
 */
uint32_t gr_best_epoch(const struct gr_best *best) {
    return best->epoch;
}

const float *gr_best_parameters(const struct gr_best *best) {
    return best->parameters;
}

/*
 * The parameters have been read into gr_best_state's vector already. A checkpoint does not store
 * the epoch, for epochs are of one start of the program: GR_EPOCH_NEVER makes a resumed run treat
 * the model as scored by others.
 */
void gr_best_resume(struct gr_best *best, const struct gr_state *state) {
    best->round = state->best_round;
    best->value = state->best_value;
    best->epoch = GR_EPOCH_NEVER;
}

/* Rounds evaluated for other reasons, as the last one before a signal, do not count: an undisturbed
 * run has not got them. Nor do void ones, which have no score. */
static bool counts(const struct gr_federation *f) {
    return f->best->parameters && gr_server_rounds(f->server) % f->config->evaluate.every == 0 &&
           !gr_round_is_void(f);
}

/*
 * Must see the metrics before gr_round_disclose rounds them: with rounded values a run with
 * policy.digits would stop in another round than without. A metric that is not finite (no
 * validation rows, or a diverged model) never improves anything. minimum_delta is in the units of
 * the metric; the first value is taken whatever it is.
 *
 * Only the flag is set here and nothing is copied, because the round may yet be evaluated again
 * over fewer members; the copy waits for gr_best_keep.
 */
void gr_best_judge(struct gr_federation *f, const struct gr_metrics *metrics) {
    const struct gr_stop_config *stop = &f->config->stop;
    struct gr_best *best = f->best;
    const bool loss = stop->metric == GR_STOP_VALIDATION_LOSS;
    best->newest = loss ? metrics->validation_loss : metrics->validation_accuracy;
    best->newest_epoch = gr_scores_epoch(f->scores);
    const double gain = loss ? best->value - best->newest : best->newest - best->value;
    best->improved =
        counts(f) && isfinite(best->newest) && (best->round == 0 || gain > stop->minimum_delta);
}

/*
 * Called when the round is over on all ranks: at its end, and by settle (round.c) on a rank that
 * finds the others in the next round. Clearing `improved` makes a second call harmless.
 */
void gr_best_keep(struct gr_federation *f) {
    struct gr_best *best = f->best;
    if (!best->improved) return;
    memcpy(best->parameters, gr_server_parameters(f->server),
           f->layout->size * sizeof *best->parameters);
    best->round = gr_server_rounds(f->server);
    best->value = best->newest;
    best->epoch = best->newest_epoch;
    best->improved = false;
}

/*
 * Broadcasts the best model of the rounds before, and the receiver's own judgement is void: a rank
 * that needs the state has not seen the metrics of the round under way, and judges when it
 * evaluates.
 */
gr_status gr_best_share(struct gr_federation *f) {
    struct gr_best *best = f->best;
    gr_status status = GR_OK;
    if (!best->parameters) return GR_OK;
    GR_TRY(gr_comm_broadcast(f->comm, &best->round, sizeof best->round));
    GR_TRY(gr_comm_broadcast(f->comm, &best->value, sizeof best->value));
    GR_TRY(gr_comm_broadcast(f->comm, &best->epoch, sizeof best->epoch));
    GR_TRY(gr_comm_broadcast(f->comm, best->parameters, f->layout->size * sizeof(float)));
    if (gr_round_roster(f)->need_state) best->improved = false;
out:
    return status;
}

/*
 * The best model is stored as one more server vector under a name of its own, so the format of a
 * checkpoint needs no second kind of model. A checkpoint is written before gr_best_keep has copied
 * an improved model; the current parameters stand in for it then.
 */
void gr_best_state(struct gr_federation *f, struct gr_state *out) {
    const struct gr_best *best = f->best;
    if (!best->parameters) return;
    out->server_name[out->n_server] = GR_SERVER_BEST;
    out->server[out->n_server] =
        best->improved ? gr_server_parameters(f->server) : best->parameters;
    out->n_server++;
    out->best_round = gr_best_round(f);
    out->best_value = best->improved ? best->newest : best->value;
}

uint32_t gr_best_round(const struct gr_federation *f) {
    return f->best->improved ? gr_server_rounds(f->server) : f->best->round;
}

/*
 * Silos' rounds and class counts are dropped because model.h5 is given to others, while a
 * checkpoint stays in the run directory. Where stop.metric never had a value, the newest model is
 * the outcome.
 */
void gr_federation_outcome(struct gr_federation *f, struct gr_state *out) {
    gr_federation_state(f, out);
    out->n_class_counts = out->n_silos = out->void_rounds = 0; /* a model goes to others */
    out->clip_step = 0;
    out->postprocessing = gr_postprocess_text(f);
    if (!f->best->parameters) return;
    out->n_server--; /* the best one is the model itself */
    if (out->best_round == 0) return;
    out->parameters = out->server[out->n_server];
    out->round = out->best_round;
}

/*
 * Of the privacy budget or of patience. Decided after the step, on values that all ranks hold
 * alike, so no agreement is needed. patience is in rounds, and counts from the best round, not from
 * evaluations: with evaluate.every above 1 the end can come only in a round that is evaluated
 * anyway.
 */
bool gr_federation_ends_early(const struct gr_federation *f) {
    const uint32_t patience = f->config->stop.patience;
    if (gr_spending_ends(f)) return true;
    const uint32_t best = gr_best_round(f);
    return counts(f) && patience > 0 && best > 0 && gr_server_rounds(f->server) - best >= patience;
}
