/* SPDX-License-Identifier: Apache-2.0 */
/* train: stochastic gradient descent over one silo's rows. */
#include <granary/train.h>
#include <model/network.h>

#include <math.h>
#include <string.h>

struct gr_trainer {
    struct gr_train_config config;
    uint64_t seed;
    struct gr_model *model; /* borrowed */
    float *scratch;         /* the gradient, with momentum; the caller's between rounds; owned */
    float *velocity;        /* NULL without momentum; owned */
    uint32_t *order;        /* rows in the order of this pass; owned */
    size_t order_room;
    gsl_rng *stream; /* owned */
};

gr_status gr_trainer_create(const struct gr_train_config *config, uint64_t seed,
                            struct gr_model *model, struct gr_trainer **out) {
    const size_t size = gr_model_layout(model)->size;
    struct gr_trainer *trainer = NULL;
    gr_status status;
    *out = NULL;
    if (config->batch_size < 1 || config->batch_size > model->batch_max)
        return gr_fail(GR_ERROR_INTERNAL, "trainer: batches of %u rows, the model takes 1 to %zu",
                       config->batch_size, model->batch_max);
    GR_TRY(gr_allocate_zero(1, sizeof *trainer, "a trainer", &trainer));
    trainer->config = *config;
    trainer->seed = seed;
    trainer->model = model;
    GR_TRY(gr_allocate_zero(size, sizeof(float), "a gradient", &trainer->scratch));
    if (config->momentum > 0)
        GR_TRY(gr_allocate(size, sizeof(float), "momentum", &trainer->velocity));
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
    gr_free(trainer->order);
    gr_free(trainer->velocity);
    gr_free(trainer->scratch);
    gr_free(trainer);
}

float *gr_trainer_scratch(struct gr_trainer *trainer) {
    return trainer->scratch;
}

static gr_status start_silo(struct gr_trainer *trainer, const struct gr_silo *silo,
                            uint32_t round) {
    const size_t n = silo->train.n_rows;
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
                                                              .silo = silo->id,
                                                              .round = round,
                                                              .purpose = GR_PURPOSE_BATCH});
    gr_model_start_round(trainer->model, trainer->seed, silo->id, round);
    if (trainer->velocity)
        memset(trainer->velocity, 0, gr_model_layout(trainer->model)->size * sizeof(float));
out:
    return status;
}

/* Asks for the rows of the batch after this one, which lie anywhere in memory. */
static void prefetch_rows(const struct gr_rows *rows, const uint32_t *index, size_t n) {
    enum { LINE = 64 };
    const size_t bytes =
        rows->n_features * (rows->element == GR_ELEMENT_UINT8 ? sizeof(uint8_t) : sizeof(float));
    for (size_t i = 0; i < n; i++) {
        const char *row = (const char *)rows->features + index[i] * bytes;
        for (size_t at = 0; at < bytes; at += LINE)
            __builtin_prefetch(row + at, 0, 2);
    }
}

static gr_status train_batch(struct gr_trainer *trainer, float *parameters, size_t n,
                             double *loss_sum) {
    const struct gr_train_config *config = &trainer->config;
    gr_status status;
    if (!trainer->velocity)
        return gr_model_step(trainer->model, parameters, n, config->learning_rate,
                             config->weight_decay, loss_sum);
    status = gr_model_gradient(trainer->model, parameters, n, trainer->scratch, loss_sum);
    if (status == GR_OK)
        gr_momentum_step(parameters, trainer->velocity, trainer->scratch,
                         gr_model_layout(trainer->model)->size, config->learning_rate,
                         config->momentum, config->weight_decay);
    return status;
}

/* One pass over the rows, or what is left of the steps. */
static gr_status train_pass(struct gr_trainer *trainer, const struct gr_silo *silo,
                            float *parameters, uint64_t *steps_left, gr_poll_function poll,
                            void *context, struct gr_train_result *result) {
    const struct gr_rows *rows = &silo->train;
    const size_t batch = trainer->config.batch_size;
    gr_status status = GR_OK;
    gr_stream_permutation(trainer->stream, trainer->order, rows->n_rows);
    for (size_t first = 0; first<rows->n_rows && * steps_left> 0; first += batch, --*steps_left) {
        const size_t left = rows->n_rows - first, n = left < batch ? left : batch;
        const size_t next = left - n < batch ? left - n : batch;
        double loss_sum;
        if (poll) GR_TRY(poll(context));
        gr_rows_gather(rows, trainer->order + first, 0, n, gr_model_batch_features(trainer->model),
                       gr_model_batch_labels(trainer->model));
        gr_rows_gather_targets(rows, trainer->order + first, 0, n,
                               gr_model_batch_targets(trainer->model));
        prefetch_rows(rows, trainer->order + first + n, next);
        GR_TRY(train_batch(trainer, parameters, n, &loss_sum));
        if (!isfinite(loss_sum)) {
            status = gr_fail(GR_ERROR_DATA,
                             "%s: the training loss is %g after %llu rows, expected a finite "
                             "number; a smaller train.learning_rate may help",
                             silo->pseudonym, loss_sum, (unsigned long long)result->processed);
            goto out;
        }
        result->loss_sum += loss_sum;
        result->processed += n;
    }
out:
    return status;
}

/* update = trained - global, in place of the trained parameters; returns the largest magnitude, as
 * bits: those of infinities and NaN are above those of all numbers. */
static uint32_t subtract(float *update, const float *global, size_t n) {
    const uint32_t magnitude = 0x7fffffff;
    uint32_t largest = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        update[i] -= global[i];
        memcpy(&bits, &update[i], sizeof bits);
        bits &= magnitude;
        largest = bits > largest ? bits : largest;
    }
    return largest;
}

gr_status gr_train_silo(struct gr_trainer *trainer, const struct gr_silo *silo, uint32_t round,
                        const float *global, float *update, gr_poll_function poll, void *context,
                        struct gr_train_result *out) {
    const struct gr_train_config *config = &trainer->config;
    const size_t size = gr_model_layout(trainer->model)->size;
    const uint64_t n_batches = (silo->train.n_rows + config->batch_size - 1) / config->batch_size;
    uint64_t steps_left = config->steps ? config->steps : config->epochs * n_batches;
    gr_status status;
    *out = (struct gr_train_result){.examples = silo->train.n_rows};
    GR_TRY(start_silo(trainer, silo, round));
    memcpy(update, global, size * sizeof *update);
    while (steps_left > 0)
        GR_TRY(train_pass(trainer, silo, update, &steps_left, poll, context, out));
    uint32_t largest = subtract(update, global, size);
    memcpy(&out->largest, &largest, sizeof largest);
    if (!isfinite(out->largest))
        status = gr_fail(GR_ERROR_DATA, "%s: the update is not finite after %llu rows",
                         silo->pseudonym, (unsigned long long)out->processed);
out:
    return status;
}
