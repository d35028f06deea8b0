/* SPDX-License-Identifier: Apache-2.0 */
/* train: a local solver over one silo's rows, from the global parameters to an update. The choice
 * of silos, the use of the update and the corrections are federation's; gradients are model's. */
#include <data/rows.h>
#include <granary/train.h>

#include "train/optimizer.h"
#include "train/private_steps.h"

#include <math.h>
#include <string.h>

struct gr_trainer {
    struct gr_train_config config;
    uint64_t seed;
    struct gr_model *model; /* borrowed */
    float *gradient;        /* of a batch; owned */
    size_t n_state;
    /* Of the optimizer; owned, or with train.state keep the solver's that is carried. */
    float *state[GR_SOLVER_VECTORS_MAX];
    struct gr_solver *solver;               /* borrowed */
    bool fused;                             /* the model takes plain SGD's step itself */
    struct gr_private_steps *private_steps; /* owned; NULL: without privacy */
    uint32_t *order;                        /* rows in the order of this pass; owned */
    size_t order_room;
    gsl_rng *stream; /* owned */
    /* Of one silo's round. */
    const float *global;     /* borrowed */
    const float *correction; /* of each gradient; borrowed; NULL: none */
    double rate;
    uint64_t steps_done, steps_left;
    double weight;     /* of the silo's rows, added up */
    double ends_s;     /* of the clock; INFINITY: no limit */
    uint64_t repeated; /* see gr_trainer_repeat */
};

/* Only where there is decay to spare them from: else all parameters go in one step. */
static bool spares_biases(const struct gr_train_config *config) {
    return !config->decay_biases && config->weight_decay > 0;
}

/* Whether a tensor is added to a layer's outputs or channels: "dense0.bias", and a group norm's. */
static bool is_bias(const struct gr_tensor *tensor) {
    const size_t n = strlen(tensor->name);
    return n > 5 && strcmp(tensor->name + n - 5, ".bias") == 0;
}

gr_status gr_trainer_create(const struct gr_train_config *config, uint64_t seed,
                            struct gr_model *model, struct gr_trainer **out) {
    const size_t size = gr_model_layout(model)->size;
    struct gr_trainer *trainer = NULL;
    gr_status status;
    *out = NULL;
    if (config->batch_size < 1 || config->batch_size > gr_model_batch_max(model))
        return gr_fail(GR_ERROR_INTERNAL, "trainer: batches of %u rows, the model takes 1 to %zu",
                       config->batch_size, gr_model_batch_max(model));
    GR_TRY(gr_allocate_zero(1, sizeof *trainer, "a trainer", &trainer));
    trainer->config = *config;
    trainer->seed = seed;
    trainer->model = model;
    GR_TRY(gr_allocate_zero(size, sizeof(float), "a gradient", &trainer->gradient));
    trainer->n_state = gr_optimizer_state(config);
    trainer->fused = config->optimizer == GR_OPTIMIZER_SGD && trainer->n_state == 0 &&
                     !(config->max_gradient_norm > 0) && !(config->proximal_mu > 0) &&
                     !spares_biases(config);
    for (size_t i = 0; i < trainer->n_state && config->state == GR_SOLVER_RESET; i++)
        GR_TRY(gr_allocate(size, sizeof(float), "an optimizer's state", &trainer->state[i]));
    GR_TRY(gr_stream_create((struct gr_stream_key){.seed = seed, .purpose = GR_PURPOSE_BATCH},
                            &trainer->stream));
    *out = trainer;
    trainer = NULL;
out:
    gr_trainer_free(trainer);
    return status;
}

void gr_trainer_free(struct gr_trainer *trainer) {
    if (!trainer) return;
    gsl_rng_free(trainer->stream);
    gr_private_steps_free(trainer->private_steps);
    gr_free(trainer->order);
    for (size_t i = 0; i < trainer->n_state && trainer->config.state == GR_SOLVER_RESET; i++)
        gr_free(trainer->state[i]);
    gr_free(trainer->gradient);
    gr_free(trainer);
}

gr_status gr_trainer_make_private(struct gr_trainer *trainer,
                                  const struct gr_privacy_config *privacy) {
    return gr_private_steps_create(privacy, trainer->model, &trainer->private_steps);
}

gr_status gr_trainer_check(const struct gr_trainer *trainer, const struct gr_silo *silo) {
    return trainer->private_steps ? gr_private_steps_check(trainer->private_steps, &silo->train)
                                  : GR_OK;
}

void gr_trainer_keep_secret(struct gr_trainer *trainer, const unsigned char *secret) {
    gr_private_steps_start(trainer->private_steps, secret);
}

size_t gr_solver_vectors(const struct gr_train_config *config,
                         const char *name[GR_SOLVER_VECTORS_MAX]) {
    const size_t n = gr_optimizer_state(config);
    for (size_t i = 0; name && i < n; i++)
        name[i] = n == 1 ? "momentum" : i == 0 ? "first_moment" : "second_moment";
    return n;
}

/* For one silo's round: gr_train_silo lets go of it, so that the state of one silo is not continued
 * by the next. */
void gr_trainer_carry(struct gr_trainer *trainer, struct gr_solver *solver) {
    trainer->solver = solver;
}

void gr_trainer_correct(struct gr_trainer *trainer, const float *correction) {
    trainer->correction = correction;
}

void gr_trainer_repeat(struct gr_trainer *trainer, uint64_t steps) {
    trainer->repeated = steps;
}

/* The optimizer's state as the silo's training begins. */
static gr_status start_solver(struct gr_trainer *trainer) {
    const struct gr_solver *solver = trainer->solver;
    const bool keep = trainer->config.state == GR_SOLVER_KEEP;
    if (keep && !solver)
        return gr_fail(GR_ERROR_INTERNAL, "trainer: no state to go on from, with train.state keep");
    trainer->steps_done = keep ? solver->steps : 0;
    for (size_t i = 0; i < trainer->n_state; i++)
        if (keep)
            trainer->state[i] = solver->vector[i];
        else
            memset(trainer->state[i], 0, gr_model_layout(trainer->model)->size * sizeof(float));
    return GR_OK;
}

double gr_learning_rate(const struct gr_train_config *config, uint32_t round) {
    const struct gr_schedule_config *schedule = &config->schedule;
    const uint32_t warmup = schedule->warmup_rounds;
    const double most = config->learning_rate, least = schedule->minimum;
    /* Warm-up ends at the full rate in round W, and k = 0 is the first round after it. */
    if (round <= warmup) return most * round / warmup;
    const uint32_t k = round - 1 - warmup;
    switch (schedule->type) {
    case GR_SCHEDULE_STEP: {
        const uint32_t falls = k / schedule->every; /* whole ones */
        return fmax(least, most * pow(schedule->factor, falls));
    }
    case GR_SCHEDULE_COSINE:
        if (round >= schedule->rounds) return least;
        return least + (most - least) * (1 + cos(M_PI * k / (schedule->rounds - warmup))) / 2;
    default:
        return most;
    }
}

/*
 * Everything that a silo's round depends on, but a kept solver's state, is set anew from (seed,
 * silo, round), so that it does not matter which silos this process has trained before.
 */
static gr_status start_silo(struct gr_trainer *trainer, const struct gr_silo *silo, uint32_t round,
                            const float *global) {
    const size_t n = silo->train.n_rows;
    const struct gr_train_config *config = &trainer->config;
    const uint64_t n_batches = (n + config->batch_size - 1) / config->batch_size;
    gr_status status = GR_OK;
    if (n < 1 || n > UINT32_MAX)
        return gr_fail(GR_ERROR_DATA, "%s: %zu rows to train on, expected 1 to %u", silo->pseudonym,
                       n, UINT32_MAX);
    if (n > trainer->order_room) {
        gr_free(trainer->order);
        trainer->order = NULL;
        trainer->order_room = 0;
        GR_TRY(gr_allocate(n, sizeof *trainer->order, "a batch order", &trainer->order));
        trainer->order_room = n;
    }
    gr_stream_restart(trainer->stream, (struct gr_stream_key){.seed = trainer->seed,
                                                              .silo = silo->stream,
                                                              .round = round,
                                                              .purpose = GR_PURPOSE_BATCH});
    gr_model_start_round(trainer->model, trainer->seed, silo->stream, round);
    GR_TRY(start_solver(trainer));
    trainer->weight = gr_model_weigh(trainer->model, silo->train.labels, silo->train.weights, n);
    gr_model_set_mean_weight(trainer->model, trainer->weight / (double)n);
    trainer->global = global;
    trainer->rate = gr_learning_rate(config, round);
    /* epochs * n_batches fits: both are 32-bit by the config and by the rows' number. */
    trainer->steps_left = config->steps ? config->steps : config->epochs * n_batches;
    trainer->ends_s = config->seconds > 0 ? gr_clock_seconds() + config->seconds : (double)INFINITY;
    if (trainer->repeated > 0) {
        trainer->steps_left = trainer->repeated;
        trainer->ends_s = (double)INFINITY;
    }
    trainer->repeated = 0;
out:
    return status;
}

/* Asks for the rows of the batch after this one, which lie anywhere in memory, while this one is
 * computed. Into the second-level cache (locality 2): the first is the kernels'. */
static void prefetch_rows(const struct gr_rows *rows, const uint32_t *index, size_t n) {
    enum { LINE = 64 };
    const size_t bytes = gr_rows_bytes(rows);
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows->features + index[i] * bytes;
        for (size_t at = 0; at < bytes; at += LINE)
            __builtin_prefetch(row + at, 0, 2);
    }
}

static void gather(const struct gr_trainer *trainer, const struct gr_rows *rows,
                   const uint32_t *index, size_t first, size_t n) {
    struct gr_model *model = trainer->model;
    gr_rows_gather(rows, index, first, n, gr_model_batch_features(model),
                   gr_model_batch_labels(model), gr_model_batch_targets(model));
    gr_rows_gather_terms(rows, index, first, n, gr_model_batch_weights(model),
                         gr_model_batch_offsets(model));
}

/* gradient <- scale gradient + correction. The correction is not clipped: SCAFFOLD's c - c_i is no
 * gradient of a batch, and clipping the sum would bias it. */
static void correct(float *gradient, float scale, const float *correction, size_t n) {
    for (size_t i = 0; i < n; i++)
        gradient[i] = scale * gradient[i] + correction[i];
}

/* The step, in which biases decay like weights or not at all. Scaling is left to the optimizer's
 * loop, which reads each gradient anyway; only a correction needs it before. */
static void take_step(const struct gr_trainer *trainer, uint64_t t, float *parameters,
                      float *gradient) {
    const struct gr_layout *layout = gr_model_layout(trainer->model);
    struct gr_train_config config = trainer->config;
    float scale = gr_clip_scale(gradient, config.max_gradient_norm, layout->size);
    if (trainer->correction) {
        correct(gradient, scale, trainer->correction, layout->size);
        scale = 1;
    }
    if (!spares_biases(&config)) {
        gr_optimizer_step(&config, trainer->rate, t, parameters, gradient, scale, trainer->state,
                          layout->size);
        return;
    }
    for (size_t i = 0; i < layout->n_tensors; i++) {
        const struct gr_tensor *tensor = &layout->tensors[i];
        float *state[GR_SOLVER_VECTORS_MAX] = {NULL};
        for (size_t v = 0; v < trainer->n_state; v++)
            state[v] = trainer->state[v] + tensor->offset;
        config.weight_decay = is_bias(tensor) ? 0 : trainer->config.weight_decay;
        gr_optimizer_step(&config, trainer->rate, t, parameters + tensor->offset,
                          gradient + tensor->offset, scale, state, tensor->n_elements);
    }
}

/* Steps are counted from 1, as Adam's correction has them. The fused step is not to be had with a
 * correction, since no gradient appears. */
static gr_status train_batch(struct gr_trainer *trainer, float *parameters, size_t n,
                             double *loss_sum) {
    const struct gr_train_config *config = &trainer->config;
    const size_t size = gr_model_layout(trainer->model)->size;
    float *gradient = trainer->gradient;
    gr_status status;
    trainer->steps_done++;
    if (trainer->fused && !trainer->correction)
        return gr_model_step(trainer->model, parameters, n, trainer->rate, config->weight_decay,
                             gradient, loss_sum);
    GR_TRY(gr_model_gradient(trainer->model, parameters, n, gradient, loss_sum));
    if (config->proximal_mu > 0)
        gr_add_proximal(gradient, parameters, trainer->global, config->proximal_mu, size);
    take_step(trainer, trainer->steps_done, parameters, gradient);
out:
    return status;
}

/* After each batch, not at the end: a model that has diverged would train on NaN for hours. The
 * batch has moved the parameters already, and the caller drops them. */
static gr_status take_loss(const struct gr_trainer *trainer, const struct gr_silo *silo,
                           double loss_sum, size_t n, struct gr_train_result *result) {
    if (!isfinite(loss_sum))
        return gr_fail(GR_ERROR_DATA,
                       "%s: the training loss is %g after %llu rows, expected a finite number; a "
                       "smaller train.learning_rate may help",
                       silo->pseudonym, loss_sum, (unsigned long long)result->processed);
    result->loss_sum += loss_sum;
    result->processed_weight += gr_model_batch_weight(trainer->model);
    result->processed += n;
    return GR_OK;
}

/* One pass over the rows, or what is left of the steps or of the time. */
static gr_status train_pass(struct gr_trainer *trainer, const struct gr_silo *silo,
                            float *parameters, gr_poll_function poll, void *context,
                            struct gr_train_result *result) {
    const struct gr_rows *rows = &silo->train;
    const size_t batch = trainer->config.batch_size;
    gr_status status = GR_OK;
    /* Also of a pass that ends early: the next pass draws its order from where this one has left
     * the stream. */
    gr_stream_permutation(trainer->stream, trainer->order, rows->n_rows);
    for (size_t first = 0; first < rows->n_rows && trainer->steps_left > 0; first += batch) {
        const size_t left = rows->n_rows - first, n = left < batch ? left : batch;
        const size_t next = left - n < batch ? left - n : batch;
        double loss_sum;
        if (poll) GR_TRY(poll(context));
        gather(trainer, rows, trainer->order + first, 0, n);
        prefetch_rows(rows, trainer->order + first + n, next);
        GR_TRY(train_batch(trainer, parameters, n, &loss_sum));
        GR_TRY(take_loss(trainer, silo, loss_sum, n, result));
        trainer->steps_left--;
        result->steps++;
        /* After a step, so that every silo takes one however late it is. */
        if (trainer->config.seconds > 0 && gr_clock_seconds() >= trainer->ends_s)
            trainer->steps_left = 0;
    }
out:
    return status;
}

/* The largest magnitude, as bits: those of infinities and NaN are above those of all numbers. */
static uint32_t largest_of(const float *x, size_t n) {
    const uint32_t magnitude = 0x7fffffff;
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        bits &= magnitude;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

/* update = trained - global, in place of the trained parameters; returns the largest magnitude as
 * largest_of does. */
static uint32_t subtract(float *update, const float *global, size_t n) {
    for (size_t i = 0; i < n; i++)
        update[i] -= global[i];
    return largest_of(update, n);
}

/* The update's largest magnitude, given as bits, into the result. */
static gr_status take_largest(const struct gr_silo *silo, uint32_t largest,
                              struct gr_train_result *result) {
    memcpy(&result->largest, &largest, sizeof largest);
    if (isfinite(result->largest)) return GR_OK;
    return gr_fail(GR_ERROR_DATA, "%s: the update is not finite after %llu rows", silo->pseudonym,
                   (unsigned long long)result->processed);
}

/* An infinite moment would hold its parameter still for good, with updates that are finite. */
static gr_status check_kept(const struct gr_trainer *trainer, const struct gr_silo *silo,
                            size_t size) {
    const char *name[GR_SOLVER_VECTORS_MAX];
    for (size_t v = 0; v < gr_solver_vectors(&trainer->config, name); v++)
        for (size_t i = 0; i < size; i++)
            if (!isfinite(trainer->solver->vector[v][i]))
                return gr_fail(GR_ERROR_DATA, "%s: the optimizer's state is not finite",
                               silo->pseudonym);
    return GR_OK;
}

/* After the last step: `update` holds the parameters, and becomes their difference. */
static gr_status end_steps(struct gr_trainer *trainer, const struct gr_silo *silo,
                           const float *global, float *update, struct gr_train_result *out) {
    const size_t size = gr_model_layout(trainer->model)->size;
    gr_status status;
    if (trainer->solver) {
        trainer->solver->steps = trainer->steps_done;
        GR_TRY(check_kept(trainer, silo, size));
    }
    trainer->solver = NULL;
    status = take_largest(silo, subtract(update, global, size), out);
out:
    return status;
}

/* Rows that weigh nothing move nothing, and a silo goes on from the state it had. */
static gr_status bring_nothing(struct gr_trainer *trainer, float *update) {
    memset(update, 0, gr_model_layout(trainer->model)->size * sizeof *update);
    trainer->solver = NULL;
    return GR_OK;
}

gr_status gr_train_silo(struct gr_trainer *trainer, const struct gr_silo *silo, uint32_t round,
                        const float *global, float *update, gr_poll_function poll, void *context,
                        struct gr_train_result *out) {
    const size_t size = gr_model_layout(trainer->model)->size;
    gr_status status;
    *out = (struct gr_train_result){.examples = silo->train.n_rows};
    GR_TRY(start_silo(trainer, silo, round, global));
    out->weight = trainer->weight;
    if (!(out->weight > 0)) return bring_nothing(trainer, update);
    memcpy(update, global, size * sizeof *update);
    /* `update` holds the parameters in training: a vector less than to keep both. */
    while (trainer->steps_left > 0)
        GR_TRY(train_pass(trainer, silo, update, poll, context, out));
    status = end_steps(trainer, silo, global, update, out);
out:
    return status;
}

/* ---- with differential privacy --------------------------------------------------------------- */

/*
 * All that a result tells is public: its numbers are those expected, and nothing that rows decide
 * ends the training. A table of more rows than twice those expected is refused by its size alone.
 */
static gr_status start_privately(struct gr_trainer *trainer, uint32_t round, const float *global,
                                 struct gr_train_result *out) {
    const uint32_t units = gr_private_steps_units(trainer->private_steps);
    const struct gr_train_config *config = &trainer->config;
    gr_status status;
    *out = (struct gr_train_result){.examples = units, .weight = 1};
    GR_TRY(start_solver(trainer));
    trainer->global = global;
    trainer->rate = gr_learning_rate(config, round);
    trainer->steps_left = gr_private_steps_of_round(trainer->private_steps, config);
out:
    return status;
}

/*
 * One step whose noise is added behind: the update is made of the sum alone, for what rounding the
 * parameters adds to it would depend on them, and not on its own size.
 */
static gr_status take_shared(struct gr_trainer *trainer, const struct gr_silo *silo,
                             const float *global, float *update, gr_poll_function poll,
                             void *context, struct gr_train_result *out) {
    const size_t size = gr_model_layout(trainer->model)->size;
    const float rate = (float)trainer->rate;
    gr_status status;
    GR_TRY(gr_private_steps_gradient(trainer->private_steps, global, &silo->train, poll, context,
                                     update));
    for (size_t i = 0; i < size; i++)
        update[i] *= -rate;
    out->steps = 1;
    status = take_largest(silo, largest_of(update, size), out);
out:
    return status;
}

gr_status gr_train_silo_privately(struct gr_trainer *trainer, const struct gr_silo *silo,
                                  uint32_t round, const float *global, float *update,
                                  gr_poll_function poll, void *context,
                                  struct gr_train_result *out) {
    const struct gr_train_config *config = &trainer->config;
    const size_t size = gr_model_layout(trainer->model)->size;
    gr_status status;
    GR_TRY(start_privately(trainer, round, global, out));
    if (gr_private_steps_are_shared(trainer->private_steps))
        return take_shared(trainer, silo, global, update, poll, context, out);
    memcpy(update, global, size * sizeof *update);
    for (; trainer->steps_left > 0; trainer->steps_left--, out->steps++) {
        GR_TRY(gr_private_steps_gradient(trainer->private_steps, update, &silo->train, poll,
                                         context, trainer->gradient));
        if (config->proximal_mu > 0)
            gr_add_proximal(trainer->gradient, update, global, config->proximal_mu, size);
        take_step(trainer, ++trainer->steps_done, update, trainer->gradient);
    }
    status = end_steps(trainer, silo, global, update, out);
out:
    return status;
}

/* ---- the full gradient ----------------------------------------------------------------------- */

/* sum += the gradient of the batch, a mean over its n rows, times n. Batches differ in size; their
 * means are weighted by their rows, and divided by all rows at the end. */
static gr_status add_gradient(struct gr_trainer *trainer, size_t n, float *sum, double *loss_sum) {
    const size_t size = gr_model_layout(trainer->model)->size;
    const float *mean = trainer->gradient;
    gr_status status =
        gr_model_gradient(trainer->model, trainer->global, n, trainer->gradient, loss_sum);
    for (size_t i = 0; status == GR_OK && i < size; i++)
        sum[i] += (float)n * mean[i];
    return status;
}

gr_status gr_train_full_gradient(struct gr_trainer *trainer, const struct gr_silo *silo,
                                 uint32_t round, const float *global, float *update,
                                 gr_poll_function poll, void *context,
                                 struct gr_train_result *out) {
    const struct gr_train_config *config = &trainer->config;
    const struct gr_rows *rows = &silo->train;
    const size_t size = gr_model_layout(trainer->model)->size;
    gr_status status;
    *out = (struct gr_train_result){.examples = rows->n_rows};
    GR_TRY(start_silo(trainer, silo, round, global));
    out->weight = trainer->weight;
    if (!(out->weight > 0)) return bring_nothing(trainer, update);
    memset(update, 0, size * sizeof *update);
    for (size_t first = 0, n; first < rows->n_rows; first += n) {
        double loss_sum;
        n = rows->n_rows - first < config->batch_size ? rows->n_rows - first : config->batch_size;
        if (poll) GR_TRY(poll(context));
        gather(trainer, rows, NULL, first, n);
        GR_TRY(add_gradient(trainer, n, update, &loss_sum));
        GR_TRY(take_loss(trainer, silo, loss_sum, n, out));
    }
    for (size_t i = 0; i < size; i++)
        trainer->gradient[i] = update[i] / (float)rows->n_rows;
    memcpy(update, global, size * sizeof *update);
    take_step(trainer, 1, update, trainer->gradient);
    out->steps = 1;
    status = take_largest(silo, subtract(update, global, size), out);
out:
    return status;
}
