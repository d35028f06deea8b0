/* SPDX-License-Identifier: Apache-2.0 */
/*
 * train: steps against PyTorch's SGD (torch_reference.h, made by analysis/peers/reference_torch.py)
 * and against the general path, a problem whose optimum is known by hand, the order of rows, and
 * what ends a training.
 */
#include "torch_reference.h"

#include <check.h>
#include <granary/train.h>
#include <math.h>
#include <model/network.h>
#include <stdlib.h>
#include <string.h>
#include <train/optimizer.h>

static uint32_t hidden_widths[] = {40, 24};

static struct gr_model *create_mlp(size_t inputs, uint32_t hidden, size_t classes, size_t batch) {
    struct gr_model_config config = {.type = hidden ? GR_MODEL_MLP : GR_MODEL_SOFTMAX,
                                     .hidden = &hidden,
                                     .hidden_count = hidden ? 1 : 0};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create(&config, inputs, classes, batch, &model), GR_OK);
    return model;
}

static struct gr_trainer *create_trainer(const struct gr_train_config *config,
                                         struct gr_model *model) {
    struct gr_trainer *trainer;
    ck_assert_int_eq(gr_trainer_create(config, 1, model, &trainer), GR_OK);
    return trainer;
}

static float *vector(const struct gr_model *model) {
    float *made;
    ck_assert_int_eq(
        gr_allocate_zero(gr_model_layout(model)->size, sizeof *made, "a vector", &made), GR_OK);
    return made;
}

static struct gr_silo create_silo(size_t n_rows, size_t n_features) {
    struct gr_silo silo = {.id = 3, .stream = 3, .pseudonym = "silo-003"};
    silo.train = (struct gr_rows){
        .n_rows = n_rows, .n_features = n_features, .element = GR_ELEMENT_FLOAT32, .scale = 1};
    ck_assert_int_eq(
        gr_allocate_zero(n_rows * n_features, sizeof(float), "rows", &silo.train.features), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(n_rows, sizeof(int32_t), "labels", &silo.train.labels),
                     GR_OK);
    return silo;
}

static struct gr_silo random_silo(size_t n_rows, size_t n_features, int32_t classes) {
    struct gr_silo silo = create_silo(n_rows, n_features);
    srand(5);
    for (size_t i = 0; i < n_rows * n_features; i++)
        ((float *)silo.train.features)[i] = (float)(rand() % 2001 - 1000) / 1000.0f;
    for (size_t i = 0; i < n_rows; i++)
        silo.train.labels[i] = rand() % classes;
    return silo;
}

/* ---- against PyTorch ---------------------------------------------------------------------- */

/* tolerance: Adam divides by the root of a small number. */
static const struct {
    struct gr_train_config config;
    double tolerance;
    const double *parameters;
} torch[] = {
    {{.learning_rate = 0.1, .batch_size = 5, .epochs = 3}, 2e-7, torch_sgd_parameters},
    {{.learning_rate = 0.1,
      .weight_decay = 1e-2,
      .decay_biases = true,
      .batch_size = 5,
      .epochs = 3},
     2e-7,
     torch_decay_parameters},
    {{.learning_rate = 0.1,
      .momentum = 0.9,
      .weight_decay = 1e-4,
      .decay_biases = true,
      .batch_size = 5,
      .epochs = 3},
     2e-7,
     torch_momentum_parameters},
    {{.optimizer = GR_OPTIMIZER_NESTEROV,
      .learning_rate = 0.1,
      .momentum = 0.9,
      .weight_decay = 1e-2,
      .decay_biases = true,
      .batch_size = 5,
      .steps = 3},
     2e-7,
     torch_nesterov_parameters},
    {{.optimizer = GR_OPTIMIZER_ADAM,
      .learning_rate = 0.1,
      .beta1 = 0.8,
      .beta2 = 0.95,
      .epsilon = 1e-6,
      .weight_decay = 1e-2,
      .decay_biases = true,
      .batch_size = 5,
      .epochs = 3},
     3e-7,
     torch_adam_parameters},
    {{.optimizer = GR_OPTIMIZER_ADAMW,
      .learning_rate = 0.1,
      .beta1 = 0.8,
      .beta2 = 0.95,
      .epsilon = 1e-6,
      .weight_decay = 1e-1,
      .decay_biases = true,
      .batch_size = 5,
      .epochs = 3},
     3e-7,
     torch_adamw_parameters},
    {{.learning_rate = 0.1,
      .momentum = 0.9,
      .weight_decay = 1e-2,
      .decay_biases = true,
      .max_gradient_norm = 0.1,
      .batch_size = 5,
      .epochs = 3},
     2e-7,
     torch_clip_parameters},
};

/* The problem of the reference: model, silo of 5 rows and parameters. */
static struct gr_silo pytorchs_problem(const struct gr_model *model, float *global) {
    const struct gr_layout *layout = gr_model_layout(model);
    struct gr_silo silo = create_silo(5, 3);
    size_t at = 0;
    for (size_t t = 0; t < layout->n_tensors; t++)
        for (size_t i = 0; i < layout->tensors[t].n_elements; i++, at++)
            global[layout->tensors[t].offset + i] = (float)(sin((double)at + 1) / 2);
    for (size_t i = 0; i < 15; i++)
        ((float *)silo.train.features)[i] = (float)cos((double)i);
    for (size_t i = 0; i < 5; i++)
        silo.train.labels[i] = (int32_t)(i % 3);
    return silo;
}

static void expect_pytorchs(const struct gr_layout *layout, const float *parameters,
                            const double *expected, double tolerance) {
    size_t at = 0;
    for (size_t t = 0; t < layout->n_tensors; t++)
        for (size_t i = 0; i < layout->tensors[t].n_elements; i++, at++)
            ck_assert_double_eq_tol((double)parameters[layout->tensors[t].offset + i], expected[at],
                                    tolerance);
}

static void add_update(float *global, const float *update, size_t n) {
    for (size_t i = 0; i < n; i++)
        global[i] += update[i];
}

START_TEST(three_steps_are_pytorchs) {
    const struct gr_train_config config = torch[_i].config;
    struct gr_model *model = create_mlp(3, 4, 3, 5);
    const struct gr_layout *layout = gr_model_layout(model);
    struct gr_trainer *trainer = create_trainer(&config, model);
    float *global = vector(model), *update = vector(model);
    struct gr_silo silo = pytorchs_problem(model, global);
    struct gr_train_result result;
    ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, global, update, NULL, NULL, &result), GR_OK);
    ck_assert_uint_eq(result.examples, 5);
    ck_assert_uint_eq(result.processed, 15);
    add_update(global, update, layout->size);
    expect_pytorchs(layout, global, torch[_i].parameters, torch[_i].tolerance);
    gr_free(update);
    gr_free(global);
    gr_rows_release(&silo.train);
    gr_trainer_free(trainer);
    gr_model_free(model);
}
END_TEST

/* With the state kept a step in each of three rounds is three steps: PyTorch's, run on. */
START_TEST(rounds_go_on_as_pytorch) {
    struct gr_train_config config = torch[_i].config;
    const char *name[GR_SOLVER_VECTORS_MAX];
    struct gr_model *model = create_mlp(3, 4, 3, 5);
    const struct gr_layout *layout = gr_model_layout(model);
    const size_t n = gr_solver_vectors(&config, name);
    struct gr_solver solver = {0};
    config.epochs = 1;
    config.steps = 0;
    config.state = n > 0 ? GR_SOLVER_KEEP : GR_SOLVER_RESET;
    for (size_t i = 0; i < n; i++)
        solver.vector[i] = vector(model);
    struct gr_trainer *trainer = create_trainer(&config, model);
    float *global = vector(model), *update = vector(model);
    struct gr_silo silo = pytorchs_problem(model, global);
    struct gr_train_result result;
    if (n > 0)
        ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, global, update, NULL, NULL, &result),
                         GR_ERROR_INTERNAL);
    for (uint32_t round = 1; round <= 3; round++) {
        if (n > 0) gr_trainer_carry(trainer, &solver);
        ck_assert_int_eq(gr_train_silo(trainer, &silo, round, global, update, NULL, NULL, &result),
                         GR_OK);
        ck_assert_uint_eq(solver.steps, n > 0 ? round : 0);
        add_update(global, update, layout->size);
    }
    expect_pytorchs(layout, global, torch[_i].parameters, 2 * torch[_i].tolerance);
    for (size_t i = 0; i < n; i++)
        gr_free(solver.vector[i]);
    gr_free(update);
    gr_free(global);
    gr_rows_release(&silo.train);
    gr_trainer_free(trainer);
    gr_model_free(model);
}
END_TEST

/* An infinite second moment would hold a parameter still for good: the silo sits out. */
START_TEST(infinite_state_is_refused) {
    const struct gr_train_config config = {.optimizer = GR_OPTIMIZER_ADAM,
                                           .learning_rate = 0.01,
                                           .beta1 = 0.9,
                                           .beta2 = 0.999,
                                           .epsilon = 1e-8,
                                           .batch_size = 5,
                                           .epochs = 1,
                                           .state = GR_SOLVER_KEEP};
    struct gr_model *model = create_mlp(3, 4, 3, 5);
    struct gr_solver solver = {{vector(model), vector(model)}, 0};
    struct gr_trainer *trainer = create_trainer(&config, model);
    float *global = vector(model), *update = vector(model);
    struct gr_silo silo = pytorchs_problem(model, global);
    struct gr_train_result result;
    solver.vector[1][2] = INFINITY;
    gr_trainer_carry(trainer, &solver);
    ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, global, update, NULL, NULL, &result),
                     GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), "the optimizer's state is not finite"));
    gr_free(solver.vector[0]);
    gr_free(solver.vector[1]);
    gr_free(update);
    gr_free(global);
    gr_rows_release(&silo.train);
    gr_trainer_free(trainer);
    gr_model_free(model);
}
END_TEST

/* ---- the learning rate of a round ------------------------------------------------------------ */

START_TEST(rates_are_pytorchs) {
    struct gr_train_config config = {
        .learning_rate = 0.2,
        .schedule = {.type = GR_SCHEDULE_STEP, .warmup_rounds = 3, .every = 4, .factor = 0.3}};
    for (uint32_t round = 1; round <= 12; round++)
        ck_assert_double_eq_tol(gr_learning_rate(&config, round), torch_step_rates[round - 1],
                                1e-15);
    config.schedule = (struct gr_schedule_config){
        .type = GR_SCHEDULE_COSINE, .warmup_rounds = 3, .minimum = 0.02, .rounds = 12};
    for (uint32_t round = 1; round <= 11; round++)
        ck_assert_double_eq_tol(gr_learning_rate(&config, round), torch_cosine_rates[round - 1],
                                1e-15);
    for (uint32_t round = 12; round <= 100; round++)
        ck_assert(gr_learning_rate(&config, round) == 0.02);
}
END_TEST

START_TEST(warmup_comes_before_all) {
    struct gr_train_config config = {.learning_rate = 0.5, .schedule = {.warmup_rounds = 4}};
    for (uint32_t round = 1; round <= 10; round++)
        ck_assert(gr_learning_rate(&config, round) == (round < 4 ? 0.125 * round : 0.5));
    config.schedule = (struct gr_schedule_config){
        .type = GR_SCHEDULE_STEP, .every = 1, .factor = 0.5, .minimum = 0.1};
    ck_assert(gr_learning_rate(&config, 1) == 0.5);
    ck_assert(gr_learning_rate(&config, 3) == 0.125);
    ck_assert(gr_learning_rate(&config, 4) == 0.1);
    ck_assert(gr_learning_rate(&config, UINT32_MAX) == 0.1);
}
END_TEST

/* ---- the fused step ------------------------------------------------------------------------ */

/* Batches beyond one block of the inner index too. */
static const size_t step_rows[] = {1, 7, 32, 128, 129, 300, 530};
enum { N_STEP_ROWS = sizeof step_rows / sizeof *step_rows };

static float largest_of(const float *x, size_t n) {
    float most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    return most;
}

/* Of either number type. In bfloat16 a derivative is rounded behind the learning rate in one, and
 * before it in the other, which is a sum of products off by 2^-8 each. */
START_TEST(fused_step_is_gradient_and_step) {
    const size_t n = step_rows[_i % N_STEP_ROWS];
    const double rate = 0.05, decays[] = {0, 1e-2};
    const struct gr_model_config config = {.type = GR_MODEL_MLP,
                                           .hidden = hidden_widths,
                                           .hidden_count = 2,
                                           .compute = (enum gr_compute)(_i / N_STEP_ROWS)};
    struct gr_model *model;
    if (config.compute == GR_COMPUTE_BFLOAT16 && !gr_tiles_bfloat16()) return;
    ck_assert_int_eq(gr_model_create(&config, 33, 10, n, &model), GR_OK);
    const float rounding = config.compute == GR_COMPUTE_BFLOAT16 ? 0x1p-7f : 0;
    const size_t size = gr_model_layout(model)->size;
    float *fused = vector(model), *general = vector(model), *gradient = vector(model);
    float *whole = vector(model), *room = vector(model);
    for (size_t d = 0; d < 2; d++) {
        const struct gr_train_config plain = {.weight_decay = decays[d]};
        double loss_fused, loss_general;
        ck_assert_int_eq(gr_model_initialise(model, 9, fused), GR_OK);
        srand(6);
        for (size_t i = 0; i < n * 33; i++)
            gr_model_batch_features(model)[i] = (float)(rand() % 1000) / 1000;
        for (size_t i = 0; i < n; i++)
            gr_model_batch_labels(model)[i] = rand() % 10;
        for (int step = 0; step < 5; step++) {
            memcpy(general, fused, size * sizeof *general);
            ck_assert_int_eq(gr_model_gradient(model, general, n, gradient, &loss_general), GR_OK);
            gr_optimizer_step(&plain, rate, 1, general, gradient, 1, NULL, size);
            memcpy(whole, fused, size * sizeof *whole);
            ck_assert_int_eq(gr_model_step(model, fused, n, rate, decays[d], room, &loss_fused),
                             GR_OK);
            ck_assert(loss_fused == loss_general);
            /* All rows at once: the same chains of additions, but of the loss. */
            ck_assert_int_eq(gr_model_step(model, whole, n, rate, decays[d], NULL, &loss_fused),
                             GR_OK);
            ck_assert_double_eq_tol(loss_fused, loss_general, 1e-12 * loss_general);
            ck_assert_mem_eq(whole, fused, size * sizeof *whole);
            const float rounded = rounding * (float)rate * largest_of(gradient, size);
            for (size_t i = 0; i < size; i++)
                if (fabsf(fused[i] - general[i]) > 1.2e-7f * fmaxf(1, fabsf(general[i])) + rounded)
                    ck_abort_msg("element %zu is %a, expected %a", i, fused[i], general[i]);
            if (n > 1) ck_assert_mem_ne(fused, gradient, size * sizeof *fused);
        }
    }
    gr_free(room);
    gr_free(whole);
    gr_free(gradient);
    gr_free(general);
    gr_free(fused);
    gr_model_free(model);
}
END_TEST

/* ---- a known optimum ----------------------------------------------------------------------- */

/*
 * Softmax regression on one indicator feature per group: the cross-entropy is smallest where the
 * softmax gives each group's class frequencies, here 5/8 2/8 1/8 and 1/8 3/8 4/8.
 */
START_TEST(softmax_finds_the_frequencies) {
    static const int counts[2][3] = {{5, 2, 1}, {1, 3, 4}};
    const struct gr_train_config config = {
        .learning_rate = 0.5, .momentum = 0.9, .batch_size = 16, .steps = 3000};
    struct gr_model *model = create_mlp(2, 0, 3, 16);
    struct gr_trainer *trainer = create_trainer(&config, model);
    struct gr_silo silo = create_silo(16, 2);
    float *parameters = vector(model), *update = vector(model);
    struct gr_train_result result;
    size_t row = 0;
    for (size_t group = 0; group < 2; group++)
        for (int class = 0; class < 3; class ++)
            for (int i = 0; i < counts[group][class]; i++, row++) {
                ((float *)silo.train.features)[row * 2 + group] = 1;
                silo.train.labels[row] = class;
            }
    ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, parameters, update, NULL, NULL, &result),
                     GR_OK);
    ck_assert_uint_eq(result.processed, 3000 * 16);
    for (size_t group = 0; group < 2; group++) {
        const size_t bias = gr_model_layout(model)->tensors[1].offset;
        double e[3], sum = 0;
        for (size_t j = 0; j < 3; j++)
            sum += e[j] = exp((double)update[group * 3 + j] + (double)update[bias + j]);
        for (size_t j = 0; j < 3; j++)
            ck_assert_double_eq_tol(e[j] / sum, counts[group][j] / 8.0, 1e-4);
    }
    gr_free(update);
    gr_free(parameters);
    gr_rows_release(&silo.train);
    gr_trainer_free(trainer);
    gr_model_free(model);
}
END_TEST

/* ---- order, sameness, ends ----------------------------------------------------------------- */

struct counter {
    size_t calls, stop_at;
};

static gr_status count(void *context) {
    struct counter *counter = context;
    if (++counter->calls == counter->stop_at) return gr_fail(GR_STOPPED, "asked to stop");
    return GR_OK;
}

typedef gr_status (*solver)(struct gr_trainer *, const struct gr_silo *, uint32_t, const float *,
                            float *, gr_poll_function, void *, struct gr_train_result *);

/* Trains 100 rows with a fresh trainer and a model for batches of batch_max. */
static struct gr_train_result train_with(solver solve, const struct gr_train_config *config,
                                         size_t batch_max, uint32_t round, uint32_t silo_id,
                                         struct counter *counter, gr_status expected,
                                         float *update) {
    struct gr_model *model = create_mlp(20, 17, 4, batch_max);
    struct gr_trainer *trainer = create_trainer(config, model);
    struct gr_silo silo = random_silo(100, 20, 4);
    float *global = vector(model);
    struct gr_train_result result;
    silo.id = silo.stream = silo_id;
    ck_assert_int_eq(gr_model_initialise(model, 3, global), GR_OK);
    ck_assert_int_eq(
        solve(trainer, &silo, round, global, update, counter ? count : NULL, counter, &result),
        expected);
    gr_free(global);
    gr_rows_release(&silo.train);
    gr_trainer_free(trainer);
    gr_model_free(model);
    return result;
}

static struct gr_train_result train(const struct gr_train_config *config, size_t batch_max,
                                    uint32_t round, uint32_t silo_id, struct counter *counter,
                                    gr_status expected, float *update) {
    return train_with(gr_train_silo, config, batch_max, round, silo_id, counter, expected, update);
}

enum { UPDATE_SIZE = 352 + 32 + 80 + 16 };

static const struct gr_train_config solvers[] = {
    {.learning_rate = 0.1, .batch_size = 32, .epochs = 2},
    {.learning_rate = 0.1, .momentum = 0.9, .batch_size = 32, .epochs = 2},
    {.optimizer = GR_OPTIMIZER_ADAM,
     .learning_rate = 0.1,
     .beta1 = 0.9,
     .beta2 = 0.99,
     .epsilon = 1e-8,
     .max_gradient_norm = 0.5,
     .proximal_mu = 0.1,
     .batch_size = 32,
     .epochs = 2},
};
enum { SOLVERS = sizeof solvers / sizeof *solvers };

START_TEST(same_key_same_bits) {
    const struct gr_train_config config = solvers[_i];
    _Alignas(64) float first[UPDATE_SIZE], again[UPDATE_SIZE];
    struct gr_train_result a = train(&config, 32, 4, 7, NULL, GR_OK, first), b;
    b = train(&config, 500, 4, 7, NULL, GR_OK, again);
    ck_assert_mem_eq(first, again, sizeof first);
    ck_assert(a.loss_sum == b.loss_sum);
    train(&config, 32, 5, 7, NULL, GR_OK, again);
    ck_assert_mem_ne(first, again, sizeof first);
    train(&config, 32, 4, 8, NULL, GR_OK, again);
    ck_assert_mem_ne(first, again, sizeof first);
}
END_TEST

START_TEST(a_trainer_carries_nothing_over) {
    struct gr_model *model = create_mlp(20, 17, 4, 32);
    struct gr_trainer *trainer = create_trainer(&solvers[_i], model);
    struct gr_silo large = random_silo(100, 20, 4), small = random_silo(10, 20, 4);
    float *global = vector(model), *first = vector(model), *again = vector(model);
    struct gr_train_result result;
    const size_t size = gr_model_layout(model)->size;
    ck_assert_uint_eq(size, UPDATE_SIZE);
    ck_assert_int_eq(gr_model_initialise(model, 3, global), GR_OK);
    ck_assert_int_eq(gr_train_silo(trainer, &small, 1, global, first, NULL, NULL, &result), GR_OK);
    ck_assert_int_eq(gr_train_silo(trainer, &large, 1, global, again, NULL, NULL, &result), GR_OK);
    ck_assert_int_eq(gr_train_silo(trainer, &small, 1, global, again, NULL, NULL, &result), GR_OK);
    ck_assert_mem_eq(first, again, size * sizeof *first);
    for (size_t i = 0; i < size; i++)
        if (!gr_layout_find(gr_model_layout(model), i)) ck_assert(again[i] == 0);
    gr_free(again);
    gr_free(first);
    gr_free(global);
    gr_rows_release(&small.train);
    gr_rows_release(&large.train);
    gr_trainer_free(trainer);
    gr_model_free(model);
}
END_TEST

START_TEST(epochs_and_steps_are_counted) {
    _Alignas(64) float update[UPDATE_SIZE];
    struct counter counter = {0};
    const struct gr_train_config epochs = {.learning_rate = 0.1, .batch_size = 32, .epochs = 3},
                                 steps = {.learning_rate = 0.1, .batch_size = 32, .steps = 6};
    struct gr_train_result result = train(&epochs, 32, 1, 1, &counter, GR_OK, update);
    ck_assert_uint_eq(counter.calls, 12); /* 32 + 32 + 32 + 4 rows, three times */
    ck_assert_uint_eq(result.processed, 300);
    ck_assert_uint_eq(result.examples, 100);
    counter.calls = 0;
    result = train(&steps, 32, 1, 1, &counter, GR_OK, update);
    ck_assert_uint_eq(counter.calls, 6); /* across a pass */
    ck_assert_uint_eq(result.processed, 100 + 64);
    ck_assert_double_gt(result.loss_sum, 0);
}
END_TEST

/* Every row exactly once a pass: with a tiny rate, losses add up to the whole silo's. */
START_TEST(a_pass_takes_each_row_once) {
    _Alignas(64) float update[UPDATE_SIZE];
    struct gr_train_config config = {.learning_rate = 1e-30, .batch_size = 7, .epochs = 1};
    const double by_seven = train(&config, 32, 1, 1, NULL, GR_OK, update).loss_sum;
    config.batch_size = 1;
    const double by_one = train(&config, 32, 9, 2, NULL, GR_OK, update).loss_sum;
    ck_assert_double_eq_tol(by_seven, by_one, 1e-9 * by_one);
    for (size_t i = 0; i < UPDATE_SIZE; i++)
        ck_assert_double_lt(fabsf(update[i]), 1e-25);
}
END_TEST

/* One step with the whole silo as its batch is the same, whatever the batches. */
START_TEST(full_gradient_is_one_step) {
    _Alignas(64) float update[UPDATE_SIZE], expected[UPDATE_SIZE];
    struct gr_train_config config = {.learning_rate = 0.3,
                                     .weight_decay = 0.1,
                                     .decay_biases = true,
                                     .batch_size = 100,
                                     .epochs = 1};
    const struct gr_train_result one = train(&config, 100, 2, 3, NULL, GR_OK, expected);
    for (uint32_t batch = 1; batch <= 100; batch += 33) {
        struct gr_train_result result;
        struct counter counter = {0};
        config.batch_size = batch;
        result = train_with(gr_train_full_gradient, &config, 100, 2, 3, &counter, GR_OK, update);
        ck_assert_uint_eq(counter.calls, (100 + batch - 1) / batch);
        ck_assert_uint_eq(result.processed, 100);
        ck_assert_uint_eq(result.examples, 100);
        ck_assert_double_eq_tol(result.loss_sum, one.loss_sum, 1e-6 * one.loss_sum);
        for (size_t i = 0; i < UPDATE_SIZE; i++)
            ck_assert_float_eq_tol(update[i], expected[i], 3e-7f);
    }
}
END_TEST

START_TEST(full_gradient_is_clipped) {
    _Alignas(64) float update[UPDATE_SIZE];
    double sum = 0;
    const struct gr_train_config config = {
        .learning_rate = 0.25, .max_gradient_norm = 0.01, .batch_size = 32, .epochs = 1};
    train_with(gr_train_full_gradient, &config, 32, 2, 3, NULL, GR_OK, update);
    for (size_t i = 0; i < UPDATE_SIZE; i++)
        sum += (double)update[i] * (double)update[i];
    ck_assert_double_eq_tol(sqrt(sum), 0.0025, 1e-7);
}
END_TEST

START_TEST(seconds_end_a_training) {
    _Alignas(64) float update[UPDATE_SIZE];
    struct gr_train_config config = {
        .learning_rate = 0.1, .batch_size = 32, .epochs = 3, .seconds = 1e-9};
    /* The batch that is under way is finished. */
    ck_assert_uint_eq(train(&config, 32, 1, 1, NULL, GR_OK, update).processed, 32);
    config.seconds = 1e6;
    ck_assert_uint_eq(train(&config, 32, 1, 1, NULL, GR_OK, update).processed, 300);
}
END_TEST

/* As many steps as before, then as the config says again. Four batches are an epoch. */
START_TEST(a_training_is_repeated_by_its_steps) {
    _Alignas(64) float first[UPDATE_SIZE], again[UPDATE_SIZE];
    struct gr_train_config config = {
        .learning_rate = 0.1, .batch_size = 32, .steps = 6, .seconds = 1e6};
    struct gr_train_result result;
    struct gr_model *model = create_mlp(20, 17, 4, 32);
    struct gr_silo silo = random_silo(100, 20, 4);
    float *global = vector(model);
    ck_assert_int_eq(gr_model_initialise(model, 3, global), GR_OK);
    silo.id = silo.stream = 1;
    train(&config, 32, 1, 1, NULL, GR_OK, first);
    config = (struct gr_train_config){
        .learning_rate = 0.1, .batch_size = 32, .epochs = 9, .seconds = 1e-9};
    struct gr_trainer *trainer = create_trainer(&config, model);
    gr_trainer_repeat(trainer, 6);
    ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, global, again, NULL, NULL, &result), GR_OK);
    ck_assert_uint_eq(result.steps, 6);
    ck_assert_mem_eq(again, first, sizeof first);
    ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, global, again, NULL, NULL, &result), GR_OK);
    ck_assert_uint_eq(result.steps, 1);
    gr_free(global);
    gr_rows_release(&silo.train);
    gr_trainer_free(trainer);
    gr_model_free(model);
}
END_TEST

START_TEST(poll_ends_the_training) {
    _Alignas(64) float update[UPDATE_SIZE];
    struct counter counter = {.stop_at = 3};
    const struct gr_train_config config = {.learning_rate = 0.1, .batch_size = 32, .epochs = 3};
    const struct gr_train_result result = train(&config, 32, 1, 1, &counter, GR_STOPPED, update);
    ck_assert_str_eq(gr_message(), "asked to stop");
    ck_assert_uint_eq(result.processed, 64);
}
END_TEST

START_TEST(what_is_not_finite_is_refused) {
    _Alignas(64) float update[UPDATE_SIZE];
    struct gr_train_config config = {.learning_rate = 1e41, .batch_size = 32, .epochs = 3};
    train(&config, 32, 1, 3, NULL, GR_ERROR_DATA, update);
    ck_assert_msg(strstr(gr_message(), "silo-003: the training loss is") != NULL, "%s",
                  gr_message());
    /* One step: its loss is fine, what it leaves is not. */
    config = (struct gr_train_config){.learning_rate = 1e41, .batch_size = 100, .epochs = 1};
    train(&config, 100, 1, 3, NULL, GR_ERROR_DATA, update);
    ck_assert_msg(strstr(gr_message(), "silo-003: the update is not finite") != NULL, "%s",
                  gr_message());
}
END_TEST

START_TEST(a_silo_without_rows_is_refused) {
    const struct gr_train_config config = {.learning_rate = 0.1, .batch_size = 32, .epochs = 1};
    struct gr_model *model = create_mlp(20, 17, 4, 32);
    struct gr_trainer *trainer = create_trainer(&config, model);
    struct gr_silo silo = {.pseudonym = "silo-009", .train = {.n_features = 20}};
    float *global = vector(model), *update = vector(model);
    struct gr_train_result result;
    ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, global, update, NULL, NULL, &result),
                     GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), "silo-009"));
    gr_free(update);
    gr_free(global);
    gr_trainer_free(trainer);
    gr_model_free(model);
}
END_TEST

START_TEST(batches_over_the_models_are_refused) {
    const struct gr_train_config config = {.learning_rate = 0.1, .batch_size = 33, .epochs = 1};
    struct gr_model *model = create_mlp(20, 17, 4, 32);
    struct gr_trainer *trainer;
    ck_assert_int_eq(gr_trainer_create(&config, 1, model, &trainer), GR_ERROR_INTERNAL);
    ck_assert_ptr_null(trainer);
    gr_trainer_free(NULL);
    gr_model_free(model);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("train");
    TCase *tests = tcase_create("train");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tests, 60);
    tcase_add_loop_test(tests, three_steps_are_pytorchs, 0, (int)(sizeof torch / sizeof *torch));
    tcase_add_loop_test(tests, rounds_go_on_as_pytorch, 0, (int)(sizeof torch / sizeof *torch));
    tcase_add_test(tests, infinite_state_is_refused);
    tcase_add_test(tests, rates_are_pytorchs);
    tcase_add_test(tests, warmup_comes_before_all);
    tcase_add_test(tests, full_gradient_is_one_step);
    tcase_add_test(tests, full_gradient_is_clipped);
    tcase_add_test(tests, seconds_end_a_training);
    tcase_add_test(tests, a_training_is_repeated_by_its_steps);
    tcase_add_loop_test(tests, fused_step_is_gradient_and_step, 0, 2 * N_STEP_ROWS);
    tcase_add_test(tests, softmax_finds_the_frequencies);
    tcase_add_loop_test(tests, same_key_same_bits, 0, SOLVERS);
    tcase_add_loop_test(tests, a_trainer_carries_nothing_over, 0, SOLVERS);
    tcase_add_test(tests, epochs_and_steps_are_counted);
    tcase_add_test(tests, a_pass_takes_each_row_once);
    tcase_add_test(tests, poll_ends_the_training);
    tcase_add_test(tests, what_is_not_finite_is_refused);
    tcase_add_test(tests, a_silo_without_rows_is_refused);
    tcase_add_test(tests, batches_over_the_models_are_refused);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
