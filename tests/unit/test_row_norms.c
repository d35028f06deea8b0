/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The squared norm of each row's gradient, of every kind of layer: against differences of the loss,
 * parameter by parameter, and against the gradient of the row alone, which test_layers.c and
 * test_model.c hold against PyTorch's.
 */
#include <check.h>
#include <granary/model.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define DEFAULT      .activation = GR_ACTIVATION_DEFAULT
#define MUST(call)   ck_assert_msg((call) == GR_OK, "%s", gr_message())

enum { ROWS = 5 };

static uint32_t hidden[] = {6, 5};
static struct gr_layer_config plain_net[] = {
    {.type = GR_LAYER_CONV,
     .activation = GR_ACTIVATION_TANH,
     .filters = 4,
     .kernel = 3,
     .stride = 2,
     .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_GROUP_NORM, .activation = GR_ACTIVATION_GELU, .groups = 2},
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 3, .kernel = 2},
    {.type = GR_LAYER_MAX_POOL, DEFAULT, .kernel = 2, .stride = 1}};
/* The second is filtered by windows, winograd.h. */
static struct gr_layer_config wide_net[] = {
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 16, .kernel = 3, .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_CONV,
     .activation = GR_ACTIVATION_GELU,
     .filters = 16,
     .kernel = 5,
     .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_AVERAGE_POOL, DEFAULT, .kernel = 2}};
/* Both do the pools behind them on the way, direct.h and winograd.h. */
static struct gr_layer_config merged_net[] = {
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 16, .kernel = 3, .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_MAX_POOL, DEFAULT, .kernel = 2},
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 16, .kernel = 5, .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_MAX_POOL, DEFAULT, .kernel = 2}};
static const struct gr_code code_list[] = {{1, 3}, {3, 2}};
static const struct gr_codes codes = {COUNT(code_list), code_list};

static const struct {
    const char *name;
    struct gr_model_config config;
    struct gr_row_shape row;
    const struct gr_codes *codes;
    size_t classes;
    bool weights, differences; /* differences: the loss is smooth, the parameters few */
} models[] = {
    {"softmax", {.type = GR_MODEL_SOFTMAX}, {1, {7}}, NULL, 3, false, true},
    {"mlp",
     {.type = GR_MODEL_MLP, .hidden = hidden, .hidden_count = 2, .activation = GR_ACTIVATION_TANH},
     {1, {7}},
     NULL,
     4,
     true,
     true},
    {"poisson", {.type = GR_MODEL_POISSON}, {1, {7}}, NULL, 0, true, true},
    {"embedding",
     {.type = GR_MODEL_MLP, .hidden = hidden, .hidden_count = 1, .embedding = 3},
     {1, {5}},
     &codes,
     3,
     false,
     false},
    {"bag", {.type = GR_MODEL_BAG, .embedding = 3, .vocabulary = 4}, {1, {6}}, NULL, 3, true, true},
    {"plain images",
     {.type = GR_MODEL_CNN, .layers = plain_net, .layers_count = COUNT(plain_net)},
     {3, {7, 6, 2}},
     NULL,
     3,
     false,
     false},
    {"wide images",
     {.type = GR_MODEL_CNN, .layers = wide_net, .layers_count = COUNT(wide_net)},
     {3, {8, 7, 1}},
     NULL,
     3,
     true,
     false},
    {"pooled images",
     {.type = GR_MODEL_CNN, .layers = merged_net, .layers_count = COUNT(merged_net)},
     {3, {15, 14, 1}},
     NULL,
     3,
     true,
     false},
};

static float *vector(size_t n) {
    float *made;
    MUST(gr_allocate_zero(n, sizeof *made, "v", &made));
    return made;
}

static struct gr_model *create(int m, float **parameters) {
    struct gr_model *model;
    MUST(gr_model_create_shaped(&models[m].config, &models[m].row, models[m].codes,
                                models[m].classes, ROWS, &model));
    if (models[m].weights) {
        MUST(gr_model_use_weights(model));
        gr_model_set_mean_weight(model, 1.25);
    }
    *parameters = vector(gr_model_layout(model)->size);
    for (size_t i = 0; i < gr_model_layout(model)->size; i++)
        (*parameters)[i] = (float)(sin((double)i + 1) / 2);
    return model;
}

/* A feature's value: a code of that column, an id (some of them twice, some none), or a number. */
static float feature(int m, size_t row, size_t i) {
    if (models[m].config.type == GR_MODEL_BAG) return (float)((row * 3 + i * i) % 5);
    for (size_t k = 0; models[m].codes && k < codes.n; k++)
        if (codes.list[k].feature == i)
            return (float)((row + i) % (codes.list[k].n_categories + 1));
    return (float)cos((double)(row * 31 + i));
}

/* Rows first .. first + n - 1 as the batch. */
static void fill(struct gr_model *model, int m, size_t first, size_t n) {
    const size_t inputs = gr_model_inputs(model);
    for (size_t r = 0; r < n; r++) {
        const size_t row = first + r;
        for (size_t i = 0; i < inputs; i++)
            gr_model_batch_features(model)[r * inputs + i] = feature(m, row, i);
        gr_model_batch_labels(model)[r] = (int32_t)(row % 3);
        if (gr_model_batch_targets(model)) gr_model_batch_targets(model)[r] = (float)(row % 3);
        if (models[m].weights) gr_model_batch_weights(model)[r] = (float)(0.5 + (double)row);
    }
}

START_TEST(rows_alone_have_these_norms) {
    float *parameters;
    struct gr_model *model = create(_i, &parameters);
    float *gradient = vector(gr_model_layout(model)->size);
    double squares[ROWS], loss_sum, alone;
    fill(model, _i, 0, ROWS);
    MUST(gr_model_row_norms(model, parameters, ROWS, squares, &loss_sum));
    double together = 0;
    for (size_t r = 0; r < ROWS; r++) {
        double square = 0;
        fill(model, _i, r, 1);
        MUST(gr_model_gradient(model, parameters, 1, gradient, &alone));
        together += alone;
        for (size_t i = 0; i < gr_model_layout(model)->size; i++)
            square += (double)gradient[i] * (double)gradient[i];
        ck_assert(square > 0);
        ck_assert_msg(fabs(squares[r] - square) <= 2e-5 * square,
                      "%s, row %zu: %.9g, expected %.9g", models[_i].name, r, squares[r], square);
    }
    ck_assert_double_eq_tol(loss_sum, together, 1e-5 * fabs(together));
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

static double loss_of(struct gr_model *model, const float *parameters) {
    double loss;
    size_t correct;
    MUST(gr_model_score(model, parameters, 1, &loss, &correct));
    return loss;
}

START_TEST(differences_of_the_loss_have_them) {
    static const float step = 0x1p-7f;
    float *parameters;
    struct gr_model *model = create(_i, &parameters);
    const struct gr_layout *layout = gr_model_layout(model);
    double squares[ROWS], loss_sum;
    if (!models[_i].differences) goto out;
    fill(model, _i, 0, ROWS);
    MUST(gr_model_row_norms(model, parameters, ROWS, squares, &loss_sum));
    for (size_t r = 0; r < ROWS; r++) {
        double square = 0;
        fill(model, _i, r, 1);
        for (size_t t = 0; t < layout->n_tensors; t++)
            for (size_t i = 0; i < layout->tensors[t].n_elements; i++) {
                float *at = &parameters[layout->tensors[t].offset + i];
                const float before = *at;
                *at = before + step;
                const double above = loss_of(model, parameters);
                *at = before - step;
                const double slope = (above - loss_of(model, parameters)) / (2 * (double)step);
                *at = before;
                square += slope * slope;
            }
        if (models[_i].weights) square /= 1.25 * 1.25;
        ck_assert_msg(fabs(squares[r] - square) <= 2e-3 * square,
                      "%s, row %zu: %.9g, expected %.9g", models[_i].name, r, squares[r], square);
    }
out:
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("row norms");
    TCase *tcase = tcase_create("row norms");
    tcase_add_loop_test(tcase, rows_alone_have_these_norms, 0, (int)COUNT(models));
    tcase_add_loop_test(tcase, differences_of_the_loss_have_them, 0, (int)COUNT(models));
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
