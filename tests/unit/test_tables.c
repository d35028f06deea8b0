/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tables: embedding tables before an mlp, bags of ids, and class weights: gradients and steps
 * against PyTorch's (torch_tables.h, made by analysis/peers/reference_tables_torch.py); the fused
 * step; what cannot be looked up; descriptions; first parameters.
 */
#include "torch_tables.h"

#include <check.h>
#include <granary/train.h>
#include <math.h>
#include <model/network.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ROWS = 9, INPUTS = 5, TOKENS = 6, WIDTH = 3, VOCABULARY = 11 };

static const struct gr_code two_codes[] = {{1, 3}, {3, 1}};
static const struct gr_codes codes = {2, two_codes};
static uint32_t hidden = 7;
static const struct gr_model_config coded = {
    .type = GR_MODEL_MLP, .hidden = &hidden, .hidden_count = 1, .embedding = WIDTH};
static const struct gr_model_config bag = {
    .type = GR_MODEL_BAG, .embedding = WIDTH, .vocabulary = VOCABULARY};

static struct gr_model *create(const struct gr_model_config *config, size_t inputs,
                               size_t batch_max) {
    struct gr_model *model;
    const struct gr_row_shape row = {1, {inputs}};
    ck_assert_msg(gr_model_create_shaped(config, &row, &codes, 3, batch_max, &model) == GR_OK, "%s",
                  gr_message());
    return model;
}

static float *vector(size_t n) {
    float *made;
    ck_assert_int_eq(gr_allocate_zero(n, sizeof *made, "v", &made), GR_OK);
    return made;
}

/* What PyTorch was given. */
static float *first_parameters(const struct gr_model *model) {
    const struct gr_layout *layout = gr_model_layout(model);
    float *parameters = vector(layout->size);
    size_t at = 0;
    for (size_t t = 0; t < layout->n_tensors; t++)
        for (size_t i = 0; i < layout->tensors[t].n_elements; i++, at++)
            parameters[layout->tensors[t].offset + i] = (float)(sin((double)at + 1) / 2);
    return parameters;
}

static void fill(struct gr_model *model, const float *features, size_t width) {
    for (size_t i = 0; i < ROWS * width; i++)
        gr_model_batch_features(model)[i] = features ? features[i] : (float)cos((double)i);
    for (size_t i = 0; i < ROWS; i++)
        gr_model_batch_labels(model)[i] = (int32_t)(i % 3);
}

/* All tensors in turn, to 1e-5 of the largest of them, or to a tolerance of their own. */
static void check_values(const struct gr_model *model, const float *found, const double *expected,
                         size_t n, double tolerance) {
    const struct gr_layout *layout = gr_model_layout(model);
    double most = 0;
    size_t at = 0;
    ck_assert_uint_eq(layout->n_parameters, n);
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(expected[i]));
    for (size_t t = 0; t < layout->n_tensors; t++)
        for (size_t i = 0; i < layout->tensors[t].n_elements; i++, at++) {
            const double value = (double)found[layout->tensors[t].offset + i];
            if (!(fabs(value - expected[at]) <= tolerance * most))
                ck_abort_msg("%s + %zu: %.9g, expected %.9g", layout->tensors[t].name, i, value,
                             expected[at]);
        }
}

static void check_gradient(struct gr_model *model, double loss, const double *expected, size_t n,
                           double tolerance) {
    float *parameters = first_parameters(model), *gradient = vector(gr_model_layout(model)->size);
    double sum;
    /* PyTorch divides a batch's sum of w l by its own sum of w: that of the rows it is drawn from,
     * if it is all of them. */
    const double weight = gr_model_weigh(model, gr_model_batch_labels(model), NULL, ROWS);
    gr_model_set_mean_weight(model, weight / ROWS);
    ck_assert_int_eq(gr_model_gradient(model, parameters, ROWS, gradient, &sum), GR_OK);
    ck_assert_double_eq_tol(sum / weight, loss, tolerance);
    check_values(model, gradient, expected, n, tolerance);
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}

static struct gr_model *coded_model(void) {
    struct gr_model *model = create(&coded, INPUTS, ROWS);
    fill(model, tables_features, INPUTS);
    return model;
}

static struct gr_model *bag_model(void) {
    struct gr_model *model = create(&bag, TOKENS, ROWS);
    fill(model, bag_features, TOKENS);
    return model;
}

START_TEST(gradients_are_pytorchs) {
    check_gradient(coded_model(), torch_embedding_loss, torch_embedding_gradient,
                   COUNT(torch_embedding_gradient), 1e-5);
    check_gradient(bag_model(), torch_bag_loss, torch_bag_gradient, COUNT(torch_bag_gradient),
                   1e-5);
    struct gr_model *model = create(&coded, INPUTS, ROWS);
    ck_assert_int_eq(gr_model_use_inner(model, GR_COMPUTE_FLOAT32), GR_OK);
    fill(model, tables_features, INPUTS);
    check_gradient(model, torch_embedding_loss, torch_embedding_gradient,
                   COUNT(torch_embedding_gradient), 1e-5);
}
END_TEST

static const struct {
    struct gr_train_config config;
    const double *of_codes, *of_bags;
} solvers[] = {
    {{.learning_rate = 0.1, .weight_decay = 0.01, .decay_biases = true},
     torch_embedding_sgd,
     torch_bag_sgd},
    {{.optimizer = GR_OPTIMIZER_ADAM,
      .learning_rate = 0.1,
      .weight_decay = 0.01,
      .decay_biases = true,
      .beta1 = 0.9,
      .beta2 = 0.99,
      .epsilon = 1e-8},
     torch_embedding_adam,
     torch_bag_adam},
    {{.optimizer = GR_OPTIMIZER_ADAMW,
      .learning_rate = 0.1,
      .weight_decay = 0.01,
      .decay_biases = true,
      .beta1 = 0.9,
      .beta2 = 0.99,
      .epsilon = 1e-8},
     torch_embedding_adamw,
     torch_bag_adamw},
};

static void check_steps(const struct gr_train_config *solver, struct gr_model *model, size_t width,
                        const double *expected, size_t n) {
    struct gr_train_config config = *solver;
    struct gr_silo silo = {.pseudonym = "silo-0"};
    struct gr_train_result result;
    struct gr_trainer *trainer;
    float *global = first_parameters(model), *update = vector(gr_model_layout(model)->size);
    config.batch_size = ROWS;
    config.steps = 3;
    silo.train = (struct gr_rows){.n_rows = ROWS,
                                  .n_features = width,
                                  .element = GR_ELEMENT_FLOAT32,
                                  .scale = 1,
                                  .features = gr_model_batch_features(model),
                                  .labels = gr_model_batch_labels(model)};
    float *features = vector(ROWS * width);
    int32_t labels[ROWS];
    memcpy(features, silo.train.features, ROWS * width * sizeof *features);
    memcpy(labels, silo.train.labels, sizeof labels);
    silo.train.features = features;
    silo.train.labels = labels;
    ck_assert_int_eq(gr_trainer_create(&config, 1, model, &trainer), GR_OK);
    ck_assert_int_eq(gr_train_silo(trainer, &silo, 1, global, update, NULL, NULL, &result), GR_OK);
    for (size_t i = 0; i < gr_model_layout(model)->size; i++)
        update[i] += global[i];
    check_values(model, update, expected, n, 1e-5);
    gr_trainer_free(trainer);
    gr_free(features);
    gr_free(update);
    gr_free(global);
    gr_model_free(model);
}

START_TEST(three_steps_are_pytorchs) {
    check_steps(&solvers[_i].config, coded_model(), INPUTS, solvers[_i].of_codes,
                COUNT(torch_embedding_sgd));
    check_steps(&solvers[_i].config, bag_model(), TOKENS, solvers[_i].of_bags,
                COUNT(torch_bag_sgd));
}
END_TEST

/* w - rate (g + decay w), by the step that never has g. */
static void check_fused(struct gr_model *model) {
    const size_t size = gr_model_layout(model)->size;
    const double rate = 0.3, decay = 0.05;
    float *parameters = first_parameters(model), *gradient = vector(size);
    double loss, again;
    ck_assert_int_eq(gr_model_gradient(model, parameters, ROWS, gradient, &loss), GR_OK);
    for (size_t i = 0; i < size; i++)
        gradient[i] = (float)((double)parameters[i] -
                              rate * ((double)gradient[i] + decay * (double)parameters[i]));
    ck_assert_int_eq(gr_model_step(model, parameters, ROWS, rate, decay, NULL, &again), GR_OK);
    ck_assert_double_eq(loss, again);
    for (size_t i = 0; i < size; i++)
        ck_assert_float_eq_tol(parameters[i], gradient[i], 2e-7f);
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}

START_TEST(step_is_gradients) {
    check_fused(coded_model());
    check_fused(bag_model());
}
END_TEST

START_TEST(class_weights_are_pytorchs) {
    /* 9 / (3 n) of 0.5, 2 and 1.25: what matters is how they compare. */
    static const int64_t counts[] = {2000, 500, 800}, binary_counts[] = {2000, 500};
    struct gr_model_config config = {.type = GR_MODEL_SOFTMAX};
    struct gr_model *model = create(&config, 4, ROWS);
    fill(model, NULL, 4);
    ck_assert_int_eq(gr_model_balance_classes(model, counts), GR_OK);
    check_gradient(model, torch_weighted_loss, torch_weighted_gradient,
                   COUNT(torch_weighted_gradient), 1e-5);
    config.label_smoothing = 0.1;
    model = create(&config, 4, ROWS);
    fill(model, NULL, 4);
    ck_assert_int_eq(gr_model_balance_classes(model, counts), GR_OK);
    check_gradient(model, torch_smoothed_loss, torch_smoothed_gradient,
                   COUNT(torch_smoothed_gradient), 1e-5);
    config = (struct gr_model_config){.type = GR_MODEL_LOGISTIC};
    ck_assert_int_eq(gr_model_create(&config, 4, 2, ROWS, &model), GR_OK);
    fill(model, NULL, 4);
    for (size_t i = 0; i < ROWS; i++)
        gr_model_batch_labels(model)[i] = i % 3 > 0;
    ck_assert_int_eq(gr_model_balance_classes(model, binary_counts), GR_OK);
    check_gradient(model, torch_binary_loss, torch_binary_gradient, COUNT(torch_binary_gradient),
                   1e-5);
}
END_TEST

/* FedSGD's step is that of all rows at once, whatever the batches. */
START_TEST(a_full_gradient_is_weighted) {
    static const int64_t counts[] = {2000, 500, 800};
    const struct gr_model_config softmax = {.type = GR_MODEL_SOFTMAX};
    for (uint32_t batch = 2; batch <= ROWS; batch += 7) {
        const struct gr_train_config config = {.learning_rate = 0.5, .batch_size = batch};
        struct gr_model *model = create(&softmax, 4, ROWS);
        const size_t size = gr_model_layout(model)->size;
        float *parameters = first_parameters(model), *update = vector(size);
        float features[ROWS * 4];
        int32_t labels[ROWS];
        struct gr_train_result result;
        struct gr_trainer *trainer;
        struct gr_silo silo = {.pseudonym = "silo-0"};
        fill(model, NULL, 4);
        memcpy(features, gr_model_batch_features(model), sizeof features);
        memcpy(labels, gr_model_batch_labels(model), sizeof labels);
        silo.train = (struct gr_rows){.n_rows = ROWS,
                                      .n_features = 4,
                                      .element = GR_ELEMENT_FLOAT32,
                                      .scale = 1,
                                      .features = features,
                                      .labels = labels};
        ck_assert_int_eq(gr_model_balance_classes(model, counts), GR_OK);
        ck_assert_int_eq(gr_trainer_create(&config, 1, model, &trainer), GR_OK);
        ck_assert_int_eq(
            gr_train_full_gradient(trainer, &silo, 1, parameters, update, NULL, NULL, &result),
            GR_OK);
        for (size_t i = 0; i < size; i++)
            update[i] *= -2;
        check_values(model, update, torch_weighted_gradient, COUNT(torch_weighted_gradient), 1e-5);
        gr_trainer_free(trainer);
        gr_free(update);
        gr_free(parameters);
        gr_model_free(model);
    }
}
END_TEST

/* Balanced: n / (k n_c); a class without rows as with one; scores know of none of it. */
START_TEST(weights_of_classes) {
    static const int64_t counts[] = {30, 0, 10};
    const struct gr_model_config config = {.type = GR_MODEL_SOFTMAX};
    struct gr_model *model = create(&config, 4, ROWS);
    float *parameters = first_parameters(model);
    double loss, same;
    size_t correct;
    fill(model, NULL, 4);
    ck_assert_int_eq(gr_model_score(model, parameters, ROWS, &loss, &correct), GR_OK);
    ck_assert_int_eq(gr_model_balance_classes(model, counts), GR_OK);
    ck_assert_double_eq(model->class_weights[0], 40 / 90.0);
    ck_assert_double_eq(model->class_weights[1], 40 / 3.0);
    ck_assert_double_eq(model->class_weights[2], 40 / 30.0);
    ck_assert_int_eq(gr_model_score(model, parameters, ROWS, &same, &correct), GR_OK);
    ck_assert_double_eq(same, loss);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

static const float no_ids[] = {-1, 12, 2.5f, NAN, INFINITY, 1e30f};

START_TEST(what_cannot_be_looked_up) {
    struct gr_model *models[] = {coded_model(), bag_model()};
    for (size_t m = 0; m < 2; m++) {
        float *parameters = first_parameters(models[m]);
        float *gradient = vector(gr_model_layout(models[m])->size);
        double loss;
        size_t correct;
        ck_assert(gr_model_looks_up(models[m]));
        ck_assert_int_eq(gr_model_check_batch(models[m], ROWS), GR_OK);
        gr_model_batch_features(models[m])[models[m]->inputs + 3] = no_ids[_i];
        ck_assert_int_eq(gr_model_check_batch(models[m], 1), GR_OK);
        ck_assert_int_eq(gr_model_check_batch(models[m], ROWS), GR_ERROR_DATA);
        ck_assert_ptr_nonnull(strstr(gr_message(), "feature 3: found "));
        ck_assert_int_eq(gr_model_score(models[m], parameters, ROWS, &loss, &correct),
                         GR_ERROR_DATA);
        ck_assert_int_eq(gr_model_gradient(models[m], parameters, ROWS, gradient, &loss),
                         GR_ERROR_DATA);
        gr_free(gradient);
        gr_free(parameters);
        gr_model_free(models[m]);
    }
}
END_TEST

/* A row without ids scores as the biases do; ids in another order to nearly the same. */
START_TEST(rows_of_a_bag) {
    struct gr_model *model = bag_model();
    float *parameters = first_parameters(model);
    const float *bias = parameters + gr_model_layout(model)->tensors[2].offset;
    double loss;
    size_t correct;
    ck_assert_int_eq(gr_model_score(model, parameters, ROWS, &loss, &correct), GR_OK);
    for (size_t j = 0; j < 3; j++)
        ck_assert_float_eq(gr_model_logits(model)[4 * 3 + j], bias[j]);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

START_TEST(names_and_first_parameters) {
    static const struct gr_code wide[] = {{0, 400}, {4, 99}};
    const struct gr_row_shape row = {1, {INPUTS}};
    struct gr_model_config config = coded;
    struct gr_model *model;
    config.embedding = 5;
    config.initialisation = (enum gr_initialisation)_i;
    ck_assert_int_eq(
        gr_model_create_shaped(&config, &row, &(struct gr_codes){2, wide}, 3, 1, &model), GR_OK);
    const struct gr_layout *layout = gr_model_layout(model);
    float *parameters = vector(layout->size);
    ck_assert_uint_eq(layout->n_tensors, 6);
    ck_assert_str_eq(layout->tensors[0].name, "embedding0.weight");
    ck_assert_str_eq(layout->tensors[1].name, "embedding4.weight");
    ck_assert_str_eq(layout->tensors[2].name, "dense0.weight");
    ck_assert_uint_eq(layout->tensors[0].shape[0], 401);
    ck_assert_uint_eq(layout->tensors[1].shape[1], 5);
    ck_assert_uint_eq(layout->tensors[2].shape[0], 3 + 2 * 5);
    ck_assert_int_eq(gr_model_initialise(model, 3, parameters), GR_OK);
    for (size_t t = 0; t < 2; t++) {
        double sum = 0, squares = 0;
        const size_t n = layout->tensors[t].n_elements;
        for (size_t i = 0; i < n; i++) {
            const double w = (double)parameters[layout->tensors[t].offset + i];
            sum += w;
            squares += w * w;
        }
        ck_assert_double_eq_tol(sum / (double)n, 0, 4 / sqrt((double)n));
        ck_assert_double_eq_tol(squares / (double)n, 1, 6 / sqrt((double)n));
    }
    for (size_t i = 0; i < layout->size; i++)
        if (!gr_layout_find(layout, i)) ck_assert_float_eq(parameters[i], 0);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

static void check_round_trip(struct gr_model *model, const char *holds) {
    struct gr_model *again;
    char *text, *text_again;
    ck_assert_int_eq(gr_model_describe(model, &text), GR_OK);
    ck_assert_msg(strstr(text, holds) != NULL, "%s lacks %s", text, holds);
    const gr_status status =
        gr_model_create_from_description(text, gr_model_layout(model), ROWS, &again);
    ck_assert_msg(status == GR_OK, "%s", gr_message());
    ck_assert_int_eq(gr_model_describe(again, &text_again), GR_OK);
    ck_assert_str_eq(text, text_again);
    gr_free(text_again);
    gr_free(text);
    gr_model_free(again);
    gr_model_free(model);
}

START_TEST(descriptions_and_back) {
    struct gr_model_config config = bag;
    check_round_trip(coded_model(), "\"codes\":[[1,3],[3,1]]");
    check_round_trip(coded_model(), "\"embedding\":3,\"hidden\":[7]");
    check_round_trip(bag_model(), "\"hidden\":[],\"inputs\":6,\"type\":\"bag\",\"vocabulary\":11");
    config.hidden = &hidden;
    config.hidden_count = 1;
    check_round_trip(create(&config, TOKENS, ROWS), "\"hidden\":[7]");
}
END_TEST

#define CODED                                                                                      \
    "{\"type\":\"mlp\",\"activation\":\"relu\",\"compute\":\"float32\",\"inputs\":5,"              \
    "\"classes\":3,\"hidden\":[7],"
#define BAG                                                                                        \
    "{\"type\":\"bag\",\"activation\":\"relu\",\"compute\":\"float32\",\"inputs\":6,"              \
    "\"classes\":3,\"hidden\":[],"
static const struct {
    const char *text, *says;
} bad_descriptions[] = {
    {CODED "\"codes\":[[1,3]]}", "\"embedding\""},
    {CODED "\"codes\":[],\"embedding\":3}", "encode: code"},
    {CODED "\"codes\":[[3,1],[1,3]],\"embedding\":3}", "ascending"},
    {CODED "\"codes\":[[1,3],[1,3]],\"embedding\":3}", "ascending"},
    {CODED "\"codes\":[[5,3]],\"embedding\":3}", "feature 5"},
    {CODED "\"codes\":[[-1,3]],\"embedding\":3}", "\"codes\""},
    {CODED "\"codes\":[[1.5,3]],\"embedding\":3}", "\"codes\""},
    {CODED "\"codes\":[[1]],\"embedding\":3}", "\"codes\""},
    {CODED "\"codes\":[7],\"embedding\":3}", "\"codes\""},
    {CODED "\"codes\":[[1,0]],\"embedding\":3}", "\"codes\""},
    {CODED "\"codes\":[[1,2147483647]],\"embedding\":2147483647}", "layer 0 is"},
    {BAG "\"embedding\":3}", "\"vocabulary\""},
    {BAG "\"vocabulary\":3}", "\"embedding\""},
    {BAG "\"vocabulary\":3,\"embedding\":300000000}", "layer 0 is"},
};

START_TEST(bad_description) {
    struct gr_model *model;
    const gr_status status =
        gr_model_create_from_description(bad_descriptions[_i].text, NULL, 2, &model);
    ck_assert_int_ne(status, GR_OK);
    ck_assert_ptr_null(model);
    ck_assert_msg(strstr(gr_message(), bad_descriptions[_i].says) != NULL, "%s", gr_message());
}
END_TEST

int main(void) {
    Suite *suite = suite_create("tables");
    TCase *tests = tcase_create("tables");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_test(tests, gradients_are_pytorchs);
    tcase_add_loop_test(tests, three_steps_are_pytorchs, 0, (int)COUNT(solvers));
    tcase_add_test(tests, step_is_gradients);
    tcase_add_test(tests, class_weights_are_pytorchs);
    tcase_add_test(tests, a_full_gradient_is_weighted);
    tcase_add_test(tests, weights_of_classes);
    tcase_add_loop_test(tests, what_cannot_be_looked_up, 0, (int)COUNT(no_ids));
    tcase_add_test(tests, rows_of_a_bag);
    tcase_add_loop_test(tests, names_and_first_parameters, 0, GR_INITIALISE_GLOROT + 1);
    tcase_add_test(tests, descriptions_and_back);
    tcase_add_loop_test(tests, bad_description, 0, (int)COUNT(bad_descriptions));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
