/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Weights of rows and of classes in a silo's training, offsets, and biases that do not decay: each
 * against the same problem in other words (rows so many times, a pass over single rows, a step
 * without decay, features that say the same). Their metrics: analysis/peers/reference_weights.py,
 * in tests/system/test_weights.sh.
 */
#include <check.h>
#include <granary/evaluate.h>
#include <granary/train.h>
#include <math.h>
#include <model/network.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 40, INPUTS = 3, SIZE_MAX_FLOATS = 512 };

#define MUST(call) ck_assert_int_eq(call, GR_OK)

/* Rows whose weights are `times`, or where `repeat` is set as many rows each. */
static struct gr_silo silo_of(const int *times, bool repeat, int32_t classes) {
    struct gr_silo silo = {.id = 1, .stream = 1, .pseudonym = "silo-001"};
    struct gr_rows *rows = &silo.train;
    *rows = (struct gr_rows){.n_features = INPUTS, .element = GR_ELEMENT_FLOAT32, .scale = 1};
    MUST(gr_allocate_zero((size_t)8 * ROWS * INPUTS, sizeof(float), "rows", &rows->features));
    MUST(gr_allocate_zero((size_t)8 * ROWS, sizeof(int32_t), "labels", &rows->labels));
    if (!repeat) MUST(gr_allocate((size_t)8 * ROWS, sizeof(float), "weights", &rows->weights));
    for (int i = 0; i < ROWS; i++)
        for (int k = 0; k < (repeat ? times[i] : 1); k++, rows->n_rows++) {
            for (int j = 0; j < INPUTS; j++)
                ((float *)rows->features)[rows->n_rows * INPUTS + (size_t)j] =
                    (float)((i * 37 + j * 101) % 61 - 30) / 32.0f;
            rows->labels[rows->n_rows] = i % 10 < 8 ? 0 : i % classes;
            if (!repeat) rows->weights[rows->n_rows] = (float)times[i];
        }
    return silo;
}

static struct gr_model *model_of(enum gr_model_type type, size_t classes, size_t batch) {
    const struct gr_model_config config = {.type = type};
    struct gr_model *model;
    MUST(gr_model_create(&config, INPUTS, classes, batch, &model));
    return model;
}

static struct gr_train_result train(struct gr_model *model, const struct gr_silo *silo,
                                    const struct gr_train_config *config, bool full,
                                    float *update) {
    _Alignas(64) float global[SIZE_MAX_FLOATS] = {0};
    struct gr_trainer *trainer;
    struct gr_train_result result;
    for (size_t i = 0; i < gr_model_layout(model)->size; i++)
        if (gr_layout_find(gr_model_layout(model), i)) global[i] = 0.1f * (float)(i % 7) - 0.2f;
    MUST(gr_trainer_create(config, 1, model, &trainer));
    MUST((full ? gr_train_full_gradient : gr_train_silo)(trainer, silo, 1, global, update, NULL,
                                                         NULL, &result));
    gr_trainer_free(trainer);
    return result;
}

static void expect_close(const struct gr_model *model, const float *a, const float *b, double by,
                         double tolerance) {
    for (size_t i = 0; i < gr_model_layout(model)->size; i++)
        ck_assert_double_eq_tol(by * (double)a[i], (double)b[i], tolerance);
}

START_TEST(a_weight_counts_rows) {
    static const enum gr_model_type types[] = {GR_MODEL_SOFTMAX, GR_MODEL_LOGISTIC};
    static const int64_t counts[] = {52, 20, 8};
    const struct gr_train_config config = {.learning_rate = 1, .batch_size = 9};
    int times[ROWS], sum = 0;
    for (int i = 0; i < ROWS; i++)
        sum += times[i] = i % 4;
    for (size_t m = 0; m < 4; m++) {
        const size_t classes = types[m % 2] == GR_MODEL_SOFTMAX ? 3 : 2;
        _Alignas(64) float weighted[SIZE_MAX_FLOATS] = {0}, repeated[SIZE_MAX_FLOATS] = {0};
        struct gr_model *model = model_of(types[m % 2], classes, 64);
        struct gr_silo rows = silo_of(times, true, (int32_t)classes);
        struct gr_silo silo = silo_of(times, false, (int32_t)classes);
        if (m >= 2) MUST(gr_model_balance_classes(model, counts));
        const struct gr_train_result a = train(model, &rows, &config, true, repeated);
        MUST(gr_model_use_weights(model));
        const struct gr_train_result b = train(model, &silo, &config, true, weighted);
        expect_close(model, weighted, repeated, 1, 1e-6);
        ck_assert_uint_eq(b.examples, ROWS);
        ck_assert_uint_eq(a.examples, (uint64_t)sum);
        ck_assert_double_eq_tol(a.weight, b.weight, 1e-12 * a.weight);
        ck_assert(m >= 2 || b.weight == (double)sum);
        ck_assert_double_eq_tol(b.processed_weight, b.weight, 1e-12 * b.weight);
        ck_assert_double_eq_tol(a.loss_sum, b.loss_sum, 1e-5 * a.loss_sum);
        gr_rows_release(&rows.train);
        gr_rows_release(&silo.train);
        gr_model_free(model);
    }
}
END_TEST

/*
 * With batches of one row, each of one class, and so short a step that nothing moves meanwhile, a
 * pass comes to as many steps along the whole gradient.
 */
START_TEST(batches_keep_the_mean) {
    static const int64_t counts[] = {400, 20, 8};
    const double rate = 1e-4;
    const struct gr_train_config config = {.learning_rate = rate, .batch_size = 1, .epochs = 1};
    const struct gr_train_config one = {.learning_rate = 1, .batch_size = ROWS};
    _Alignas(64) float pass[SIZE_MAX_FLOATS] = {0}, whole[SIZE_MAX_FLOATS] = {0};
    struct gr_model *model = model_of(GR_MODEL_SOFTMAX, 3, ROWS);
    int times[ROWS];
    for (int i = 0; i < ROWS; i++)
        times[i] = 1 + i % 5;
    struct gr_silo silo = silo_of(times, false, 3);
    MUST(gr_model_use_weights(model));
    MUST(gr_model_balance_classes(model, counts));
    (void)train(model, &silo, &config, false, pass);
    (void)train(model, &silo, &one, true, whole);
    expect_close(model, pass, whole, 1 / (rate * ROWS), 2e-3);
    gr_rows_release(&silo.train);
    gr_model_free(model);
}
END_TEST

START_TEST(no_weight_no_step) {
    const struct gr_train_config config = {.learning_rate = 1,
                                           .batch_size = 8,
                                           .epochs = 1,
                                           .weight_decay = 0.5,
                                           .decay_biases = true};
    const int none[ROWS] = {0};
    struct gr_model *model = model_of(GR_MODEL_LOGISTIC, 2, ROWS);
    struct gr_silo silo = silo_of(none, false, 2);
    MUST(gr_model_use_weights(model));
    for (int full = 0; full < 2; full++) {
        _Alignas(64) float update[SIZE_MAX_FLOATS];
        memset(update, 0xff, sizeof update);
        const struct gr_train_result result = train(model, &silo, &config, full, update);
        ck_assert(result.weight == 0 && result.processed == 0 && result.loss_sum == 0);
        for (size_t i = 0; i < gr_model_layout(model)->size; i++)
            ck_assert(update[i] == 0);
    }
    gr_rows_release(&silo.train);
    gr_model_free(model);
}
END_TEST

/* An offset is a feature whose weight is 1 and stays. */
START_TEST(an_offset_is_added) {
    const struct gr_model_config config = {.type = GR_MODEL_POISSON};
    struct gr_model *with, *plain;
    _Alignas(64) float parameters[SIZE_MAX_FLOATS] = {0}, gradient[SIZE_MAX_FLOATS];
    double loss, same, score;
    size_t none;
    MUST(gr_model_create(&config, 1, 0, 4, &plain));
    MUST(gr_model_create(&config, 1, 0, 4, &with));
    MUST(gr_model_use_offsets(with));
    parameters[0] = 1;
    for (size_t i = 0; i < 4; i++) {
        const float offset = 0.25f * (float)i;
        gr_model_batch_features(plain)[i] = offset;
        gr_model_batch_features(with)[i] = 0;
        gr_model_batch_offsets(with)[i] = offset;
        gr_model_batch_targets(with)[i] = gr_model_batch_targets(plain)[i] = (float)i;
    }
    MUST(gr_model_gradient(plain, parameters, 4, gradient, &loss));
    MUST(gr_model_gradient(with, parameters, 4, gradient, &same));
    ck_assert_double_eq_tol(same, loss, 1e-7);
    MUST(gr_model_score(with, parameters, 4, &score, &none));
    ck_assert_double_eq_tol(score, loss, 1e-7);
    ck_assert_float_eq_tol(gr_model_logits(with)[2], expf(0.5f), 1e-6f);
    gr_model_free(with);
    gr_model_free(plain);
    plain = model_of(GR_MODEL_SOFTMAX, 3, 4);
    ck_assert_int_eq(gr_model_use_offsets(plain), GR_ERROR_CONFIG);
    gr_model_free(plain);
}
END_TEST

static const struct gr_train_config solvers[] = {
    {.learning_rate = 0.1},
    {.learning_rate = 0.1, .max_gradient_norm = 0.05},
    {.learning_rate = 0.1, .momentum = 0.9},
    {.optimizer = GR_OPTIMIZER_NESTEROV, .learning_rate = 0.1, .momentum = 0.9},
    {.optimizer = GR_OPTIMIZER_ADAM,
     .learning_rate = 0.1,
     .beta1 = 0.9,
     .beta2 = 0.99,
     .epsilon = 1e-6},
    {.optimizer = GR_OPTIMIZER_ADAMW,
     .learning_rate = 0.1,
     .beta1 = 0.9,
     .beta2 = 0.99,
     .epsilon = 1e-6},
};
enum { SOLVERS = sizeof solvers / sizeof *solvers };

/* In one step weights move as with decay, and biases as without. */
START_TEST(biases_are_spared) {
    uint32_t hidden = 5;
    const struct gr_model_config shape = {
        .type = GR_MODEL_MLP, .hidden = &hidden, .hidden_count = 1};
    struct gr_train_config config = solvers[_i];
    int times[ROWS];
    for (int i = 0; i < ROWS; i++)
        times[i] = 1;
    struct gr_silo silo = silo_of(times, true, 3);
    struct gr_model *model;
    _Alignas(64) float none[SIZE_MAX_FLOATS], all[SIZE_MAX_FLOATS], spared[SIZE_MAX_FLOATS];
    MUST(gr_model_create(&shape, INPUTS, 3, ROWS, &model));
    config.batch_size = ROWS;
    config.epochs = 1;
    config.decay_biases = true;
    (void)train(model, &silo, &config, false, none);
    config.weight_decay = 0.3;
    (void)train(model, &silo, &config, false, all);
    config.decay_biases = false;
    (void)train(model, &silo, &config, false, spared);
    const struct gr_layout *layout = gr_model_layout(model);
    double moved = 0;
    for (size_t t = 0; t < layout->n_tensors; t++) {
        const struct gr_tensor *tensor = &layout->tensors[t];
        const bool bias = strstr(tensor->name, ".bias") != NULL;
        for (size_t i = tensor->offset; i < tensor->offset + tensor->n_elements; i++) {
            ck_assert_float_eq_tol(spared[i], bias ? none[i] : all[i], 2e-7f);
            if (bias) moved += fabs((double)(all[i] - none[i]));
        }
    }
    ck_assert_double_gt(moved, 2e-6); /* else nothing is told apart */
    gr_rows_release(&silo.train);
    gr_model_free(model);
}
END_TEST

/* Dividing all weights by a power of two changes no mean; what is far below the largest is 0. */
START_TEST(scaled_weights) {
    float weights[] = {0, 3, 48, 0x1p-21f, 12.5f};
    struct gr_rows rows = {.n_rows = 5, .weights = weights};
    ck_assert_int_eq(gr_rows_weight_exponent(&rows), 6);
    gr_rows_scale_weights(&rows, 6);
    ck_assert(weights[0] == 0 && weights[1] == 3 / 64.0f && weights[2] == 0.75f &&
              weights[3] == 0 && weights[4] == 12.5f / 64.0f);
    ck_assert_int_eq(gr_weight_units(weights, 2), 3 * GR_WEIGHT_ONE / 4);
    ck_assert_int_eq(gr_weight_units(NULL, 2), GR_WEIGHT_ONE);
    float same[] = {8, 8};
    rows = (struct gr_rows){.n_rows = 2, .weights = same};
    ck_assert_int_eq(gr_rows_weight_exponent(&rows), 3);
    rows.weights = NULL;
    ck_assert_int_eq(gr_rows_weight_exponent(&rows), GR_WEIGHT_NONE);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("weights");
    TCase *tests = tcase_create("weights");
    tcase_add_test(tests, a_weight_counts_rows);
    tcase_add_test(tests, batches_keep_the_mean);
    tcase_add_test(tests, no_weight_no_step);
    tcase_add_test(tests, an_offset_is_added);
    tcase_add_loop_test(tests, biases_are_spared, 0, SOLVERS);
    tcase_add_test(tests, scaled_weights);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
