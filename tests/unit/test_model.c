/* SPDX-License-Identifier: Apache-2.0 */
/*
 * model: gradients against a naive reference in double, that against central differences, and
 * both against PyTorch (torch_reference.h, made by analysis/peers/reference_torch.py); the same
 * bits wherever buffers lie; first parameters; descriptions.
 */
#include "torch_reference.h"

#include <check.h>
#include <granary/model.h>
#include <math.h>
#include <model/network.h>
#include <model/reference.h>
#include <stdlib.h>
#include <string.h>

enum { WIDTHS_MAX = 4 };

/* A model and what a gradient of it needs. */
struct bench {
    struct gr_model *model;
    const struct gr_layout *layout;
    struct gr_reference_network network;
    size_t widths[WIDTHS_MAX];
    float *parameters, *gradient;
    double *wide, *wide_gradient, *scratch;
};

/* Of the models that are made next. */
static enum gr_compute compute = GR_COMPUTE_FLOAT32;

static struct gr_model *create(const size_t *widths, size_t n_widths, enum gr_activation activation,
                               size_t batch_max) {
    uint32_t hidden[WIDTHS_MAX];
    struct gr_model *model;
    struct gr_model_config config = {.type = n_widths > 2 ? GR_MODEL_MLP : GR_MODEL_SOFTMAX,
                                     .hidden = hidden,
                                     .hidden_count = (unsigned)n_widths - 2,
                                     .activation = activation,
                                     .compute = compute};
    for (size_t i = 1; i + 1 < n_widths; i++)
        hidden[i - 1] = (uint32_t)widths[i];
    ck_assert_int_eq(gr_model_create(&config, widths[0], widths[n_widths - 1], batch_max, &model),
                     GR_OK);
    return model;
}

static void set_up(struct bench *bench, const size_t *widths, size_t n_widths,
                   enum gr_activation activation, size_t batch_max) {
    size_t total = 0;
    memset(bench, 0, sizeof *bench);
    for (size_t i = 0; i < n_widths; i++)
        total += bench->widths[i] = widths[i];
    bench->model = create(widths, n_widths, activation, batch_max);
    bench->layout = gr_model_layout(bench->model);
    bench->network =
        (struct gr_reference_network){n_widths, bench->widths, activation, bench->layout};
    const size_t size = bench->layout->size;
    ck_assert_int_eq(gr_allocate_zero(size, sizeof(float), "p", &bench->parameters), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(size, sizeof(float), "g", &bench->gradient), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(size, sizeof(double), "w", &bench->wide), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(size, sizeof(double), "w", &bench->wide_gradient), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(3 * batch_max * total, sizeof(double), "s", &bench->scratch),
                     GR_OK);
}

static void tear_down(struct bench *bench) {
    gr_free(bench->scratch);
    gr_free(bench->wide_gradient);
    gr_free(bench->wide);
    gr_free(bench->gradient);
    gr_free(bench->parameters);
    gr_model_free(bench->model);
}

static float draw(void) {
    return (float)(rand() % 20001 - 10000) / 10000.0f;
}

static void fill_batch(struct gr_model *model, size_t n, unsigned seed) {
    float *features = gr_model_batch_features(model);
    srand(seed);
    for (size_t i = 0; i < n * gr_model_inputs(model); i++)
        features[i] = draw();
    for (size_t i = 0; i < n; i++)
        gr_model_batch_labels(model)[i] = (int32_t)((size_t)rand() % gr_model_classes(model));
}

/* Small random parameters, biases too, so that nothing is zero by chance. */
static void fill_parameters(struct bench *bench, unsigned seed) {
    srand(seed);
    for (size_t t = 0; t < bench->layout->n_tensors; t++) {
        const struct gr_tensor *tensor = &bench->layout->tensors[t];
        const float limit = tensor->n_dims == 2 ? 2 / sqrtf((float)tensor->shape[0]) : 0.3f;
        for (size_t i = tensor->offset; i < tensor->offset + tensor->n_elements; i++)
            bench->wide[i] = bench->parameters[i] = limit * draw();
    }
}

static double reference_loss(struct bench *bench, size_t n, double *gradient) {
    return gr_reference_loss(&bench->network, bench->wide, gr_model_batch_features(bench->model),
                             gr_model_batch_labels(bench->model), n, bench->scratch, gradient);
}

static double largest(const double *values, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(values[i]));
    return most;
}

/* The float gradient is within `tolerance` of the reference's largest element. */
static void check_gradient(struct bench *bench, size_t n, double tolerance) {
    double loss_sum;
    const double loss = reference_loss(bench, n, bench->wide_gradient);
    memset(bench->gradient, 0xff, bench->layout->size * sizeof(float));
    ck_assert_int_eq(
        gr_model_gradient(bench->model, bench->parameters, n, bench->gradient, &loss_sum), GR_OK);
    ck_assert_double_eq_tol(loss_sum / (double)n, loss, tolerance * fmax(1, loss));
    const double allowed = tolerance * largest(bench->wide_gradient, bench->layout->size);
    for (size_t i = 0; i < bench->layout->size; i++) {
        const struct gr_tensor *tensor = gr_layout_find(bench->layout, i);
        if (!tensor && bench->gradient[i] != 0) ck_abort_msg("gap %zu is not zero", i);
        if (!(fabs(bench->gradient[i] - bench->wide_gradient[i]) <= allowed))
            ck_abort_msg("%s + %zu: %.9g, expected %.9g", tensor->name, i - tensor->offset,
                         (double)bench->gradient[i], bench->wide_gradient[i]);
    }
}

static const struct {
    size_t n_widths, widths[WIDTHS_MAX], rows;
    enum gr_activation activation;
} shapes[] = {
    {2, {5, 3}, 7, GR_ACTIVATION_RELU},
    {2, {784, 10}, 10, GR_ACTIVATION_RELU},
    {3, {7, 9, 4}, 1, GR_ACTIVATION_RELU},
    {3, {7, 9, 4}, 5, GR_ACTIVATION_GELU},
    {3, {7, 9, 4}, 33, GR_ACTIVATION_TANH},
    {4, {33, 17, 64, 10}, 32, GR_ACTIVATION_RELU},
    {4, {33, 17, 64, 10}, 31, GR_ACTIVATION_GELU},
    {4, {10, 200, 33, 3}, 64, GR_ACTIVATION_TANH},
    {3, {20, 3, 1}, 3, GR_ACTIVATION_RELU},
    {4, {784, 200, 200, 10}, 200, GR_ACTIVATION_RELU},
};
enum { N_SHAPES = sizeof shapes / sizeof *shapes, N_ACTIVATIONS = GR_ACTIVATION_TANH + 1 };

START_TEST(gradient_is_the_references) {
    struct bench bench;
    set_up(&bench, shapes[_i].widths, shapes[_i].n_widths, shapes[_i].activation, shapes[_i].rows);
    fill_parameters(&bench, 1);
    fill_batch(bench.model, shapes[_i].rows, 2);
    check_gradient(&bench, shapes[_i].rows, 1e-5);
    tear_down(&bench);
}
END_TEST

/* The same through each set of tiles this processor runs, and through oneDNN. */
START_TEST(gradient_is_the_references_elsewhere) {
    size_t n_sets;
    const struct gr_tiles *const *sets = gr_tiles_all(&n_sets);
    struct bench bench;
    set_up(&bench, shapes[_i].widths, shapes[_i].n_widths, shapes[_i].activation, shapes[_i].rows);
    fill_parameters(&bench, 3);
    for (size_t s = 0; s < n_sets; s++) {
        if (!gr_tiles_supported(sets[s])) continue;
        bench.model->tiles = sets[s];
        fill_batch(bench.model, shapes[_i].rows, 4);
        check_gradient(&bench, shapes[_i].rows, 1e-5);
    }
    ck_assert_int_eq(gr_model_use_inner(bench.model, GR_COMPUTE_FLOAT32), GR_OK);
    fill_batch(bench.model, shapes[_i].rows, 5);
    check_gradient(&bench, shapes[_i].rows, 1e-5);
    fill_batch(bench.model, 1, 6); /* fewer rows: padded */
    check_gradient(&bench, 1, 1e-5);
    fill_batch(bench.model, shapes[_i].rows, 5);
    check_gradient(&bench, shapes[_i].rows, 1e-5);
    tear_down(&bench);
}
END_TEST

/* Whether bfloat16 is on our own tiles here; the models to come are in it then. */
static bool use_pairs(void) {
    if (!gr_tiles_bfloat16()) return false;
    compute = GR_COMPUTE_BFLOAT16;
    return true;
}

/*
 * A factor of a product is off by 2^-8 of itself at most when it is rounded. An element of the
 * gradient comes by two products a layer at most, of two factors each: the bound is the sum of
 * these, taken of the largest element because terms cancel in the smaller ones. Not with relu: a
 * sum that is rounded across its kink brings or takes a whole term.
 */
START_TEST(bfloat16_gradient_is_the_references) {
    const double products = 2 * (double)(shapes[_i].n_widths - 1);
    const bool kink = shapes[_i].activation == GR_ACTIVATION_RELU;
    struct bench bench;
    if (!use_pairs()) return;
    set_up(&bench, shapes[_i].widths, shapes[_i].n_widths,
           kink ? GR_ACTIVATION_TANH : shapes[_i].activation, shapes[_i].rows);
    ck_assert_ptr_nonnull(bench.model->pairs);
    fill_parameters(&bench, 1);
    fill_batch(bench.model, shapes[_i].rows, 2);
    check_gradient(&bench, shapes[_i].rows, products * 2 * 0x1p-8);
    tear_down(&bench);
}
END_TEST

START_TEST(reference_is_central_differences) {
    const double h = 1e-5;
    struct bench bench;
    if (_i == N_SHAPES - 1) return; /* too large for differences, and nothing new */
    set_up(&bench, shapes[_i].widths, shapes[_i].n_widths, shapes[_i].activation, shapes[_i].rows);
    fill_parameters(&bench, 7);
    fill_batch(bench.model, shapes[_i].rows, 8);
    reference_loss(&bench, shapes[_i].rows, bench.wide_gradient);
    const double most = largest(bench.wide_gradient, bench.layout->size);
    const size_t stride = bench.layout->size / 150 + 1;
    for (size_t i = 0; i < bench.layout->size; i += stride) {
        const double kept = bench.wide[i];
        if (!gr_layout_find(bench.layout, i)) continue;
        bench.wide[i] = kept + h;
        const double above = reference_loss(&bench, shapes[_i].rows, NULL);
        bench.wide[i] = kept - h;
        const double below = reference_loss(&bench, shapes[_i].rows, NULL);
        bench.wide[i] = kept;
        const double error = (above - below) / (2 * h) - bench.wide_gradient[i];
        if (fabs(error) > 1e-6 * most) ck_abort_msg("element %zu: off by %g of %g", i, error, most);
    }
    tear_down(&bench);
}
END_TEST

/* In bfloat16 too, to the bound of bfloat16_gradient_is_the_references. */
START_TEST(gradient_is_pytorchs) {
    static const size_t widths[] = {3, 4, 3};
    static const struct {
        const double *gradient, *loss;
    } torch[] = {{torch_relu_gradient, &torch_relu_loss},
                 {torch_gelu_gradient, &torch_gelu_loss},
                 {torch_tanh_gradient, &torch_tanh_loss}};
    struct bench bench;
    double loss_sum;
    const size_t activation = (size_t)_i % N_ACTIVATIONS;
    double tolerance = 1e-7;
    size_t at = 0;
    if (_i >= N_ACTIVATIONS && !use_pairs()) return;
    if (_i >= N_ACTIVATIONS)
        tolerance = 4 * 2 * 0x1p-8 *
                    largest(torch[activation].gradient,
                            sizeof torch_relu_gradient / sizeof *torch_relu_gradient);
    set_up(&bench, widths, 3, (enum gr_activation)activation, 5);
    for (size_t t = 0; t < bench.layout->n_tensors; t++)
        for (size_t i = 0; i < bench.layout->tensors[t].n_elements; i++, at++)
            bench.parameters[bench.layout->tensors[t].offset + i] =
                (float)(sin((double)at + 1) / 2);
    for (size_t i = 0; i < 15; i++)
        gr_model_batch_features(bench.model)[i] = (float)cos((double)i);
    for (size_t i = 0; i < 5; i++)
        gr_model_batch_labels(bench.model)[i] = (int32_t)(i % 3);
    ck_assert_int_eq(gr_model_gradient(bench.model, bench.parameters, 5, bench.gradient, &loss_sum),
                     GR_OK);
    ck_assert_double_eq_tol(loss_sum / 5, *torch[activation].loss, 10 * tolerance);
    at = 0;
    for (size_t t = 0; t < bench.layout->n_tensors; t++)
        for (size_t i = 0; i < bench.layout->tensors[t].n_elements; i++, at++)
            ck_assert_double_eq_tol(bench.gradient[bench.layout->tensors[t].offset + i],
                                    torch[activation].gradient[at], tolerance);
    tear_down(&bench);
}
END_TEST

/* A gradient and scores with that model; the digest of all bits that came out. */
static void bits(struct gr_model *model, const float *parameters, size_t n, float *gradient,
                 double out[3]) {
    size_t correct;
    fill_batch(model, n, 11);
    ck_assert_int_eq(gr_model_gradient(model, parameters, n, gradient, &out[0]), GR_OK);
    ck_assert_int_eq(gr_model_score(model, parameters, n, &out[1], &correct), GR_OK);
    out[2] = (double)correct;
}

START_TEST(bits_do_not_depend_on_surroundings) {
    static const size_t widths[] = {33, 40, 24, 10};
    const enum gr_activation activation = (enum gr_activation)(_i % N_ACTIVATIONS);
    struct bench bench;
    double first[3], other[3];
    float *gradient;
    if (_i >= N_ACTIVATIONS && !use_pairs()) return;
    set_up(&bench, widths, 4, activation, 32);
    const size_t bytes = bench.layout->size * sizeof(float);
    fill_parameters(&bench, 9);
    ck_assert_int_eq(gr_allocate(bench.layout->size, sizeof *gradient, "g", &gradient), GR_OK);
    bits(bench.model, bench.parameters, 29, bench.gradient, first);
    for (size_t batch_max = 29; batch_max < 600; batch_max += 235) {
        struct gr_model *model = create(widths, 4, activation, batch_max);
        /* Leaves other rows and other sizes behind. */
        fill_batch(model, batch_max, 10);
        ck_assert_int_eq(gr_model_gradient(model, bench.parameters, batch_max, gradient, &other[0]),
                         GR_OK);
        bits(model, bench.parameters, 29, gradient, other);
        ck_assert_mem_eq(gradient, bench.gradient, bytes);
        ck_assert_mem_eq(other, first, sizeof first);
        gr_model_free(model);
    }
    gr_free(gradient);
    tear_down(&bench);
}
END_TEST

START_TEST(a_rows_outputs_do_not_depend_on_its_batch) {
    static const size_t widths[] = {33, 40, 10};
    struct bench bench;
    float alone[10];
    double loss;
    size_t correct;
    if (_i > 0 && !use_pairs()) return;
    set_up(&bench, widths, 3, GR_ACTIVATION_RELU, 500);
    fill_parameters(&bench, 12);
    fill_batch(bench.model, 500, 13);
    ck_assert_int_eq(gr_model_score(bench.model, bench.parameters, 1, &loss, &correct), GR_OK);
    memcpy(alone, gr_model_logits(bench.model), sizeof alone);
    ck_assert_int_eq(gr_model_score(bench.model, bench.parameters, 500, &loss, &correct), GR_OK);
    ck_assert_mem_eq(alone, gr_model_logits(bench.model), sizeof alone);
    tear_down(&bench);
}
END_TEST

/* The gradient of a batch as it is taken; or, not passing: as if no processor passed zeros by. */
static double take_gradient(struct bench *bench, size_t n, bool passing) {
    void *states[3] = {0};
    double loss;
    ck_assert_uint_eq(bench->model->n_layers, 3);
    for (size_t l = 0; l < 3 && !passing; l++) {
        states[l] = bench->model->layers[l].state;
        bench->model->layers[l].state = NULL;
    }
    ck_assert_int_eq(gr_model_gradient(bench->model, bench->parameters, n, bench->gradient, &loss),
                     GR_OK);
    for (size_t l = 0; l < 3 && !passing; l++)
        bench->model->layers[l].state = states[l];
    return loss;
}

/* With rows of which nothing is zero but what relu cuts, and with rows half of zeros. */
START_TEST(zeros_passed_by_change_no_bit) {
    static const size_t widths[] = {130, 100, 72, 10};
    enum { ROWS = 70 };
    struct bench bench;
    float *expected;
    set_up(&bench, widths, 4, GR_ACTIVATION_RELU, ROWS);
    fill_parameters(&bench, 14);
    fill_batch(bench.model, ROWS, 15);
    const size_t bytes = bench.layout->size * sizeof(float);
    ck_assert_int_eq(gr_allocate(1, bytes, "g", &expected), GR_OK);
    for (size_t share = 0; share <= 3; share += 3) {
        for (size_t i = 0; i < ROWS * widths[0]; i++)
            if (i * i % 5 < share) gr_model_batch_features(bench.model)[i] = 0;
        const double loss = take_gradient(&bench, ROWS, false);
        memcpy(expected, bench.gradient, bytes);
        ck_assert_double_eq(take_gradient(&bench, ROWS, true), loss);
        ck_assert_mem_eq(bench.gradient, expected, bytes);
    }
    gr_free(expected);
    tear_down(&bench);
}
END_TEST

START_TEST(score_counts_first_of_ties) {
    static const size_t widths[] = {2, 3};
    struct bench bench;
    double loss;
    size_t correct;
    set_up(&bench, widths, 2, GR_ACTIVATION_RELU, 3);
    for (size_t i = 0; i < 3; i++) /* all parameters zero: all outputs tie */
        gr_model_batch_labels(bench.model)[i] = i < 2 ? 0 : 2;
    ck_assert_int_eq(gr_model_score(bench.model, bench.parameters, 3, &loss, &correct), GR_OK);
    ck_assert_uint_eq(correct, 2);
    ck_assert_double_eq_tol(loss, 3 * log(3), 1e-6);
    tear_down(&bench);
}
END_TEST

START_TEST(layout_names_and_shapes) {
    static const size_t widths[] = {7, 9, 4};
    struct gr_model *model = create(widths, 3, GR_ACTIVATION_RELU, 1);
    const struct gr_layout *layout = gr_model_layout(model);
    static const char *const names[] = {"dense0.weight", "dense0.bias", "dense1.weight",
                                        "dense1.bias"};
    static const size_t offsets[] = {0, 64, 80, 128};
    ck_assert_uint_eq(layout->n_tensors, 4);
    ck_assert_uint_eq(layout->n_parameters, 7 * 9 + 9 + 9 * 4 + 4);
    ck_assert_uint_eq(layout->size, 144);
    for (size_t t = 0; t < 4; t++) {
        ck_assert_str_eq(layout->tensors[t].name, names[t]);
        ck_assert_uint_eq(layout->tensors[t].offset, offsets[t]);
    }
    ck_assert_uint_eq(layout->tensors[2].shape[0], 9);
    ck_assert_uint_eq(layout->tensors[2].shape[1], 4);
    ck_assert_uint_eq(gr_model_inputs(model), 7);
    ck_assert_uint_eq(gr_model_classes(model), 4);
    gr_model_free(model);
    gr_model_free(NULL);
}
END_TEST

/* Mean, variance and range of the first layer: the distributions' own, by hand. */
START_TEST(first_parameters) {
    uint32_t hidden = 200;
    struct gr_model_config config = {.type = GR_MODEL_MLP,
                                     .hidden = &hidden,
                                     .hidden_count = 1,
                                     .initialisation = (enum gr_initialisation)_i};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create(&config, 784, 10, 1, &model), GR_OK);
    const struct gr_layout *layout = gr_model_layout(model);
    float *first, *again;
    ck_assert_int_eq(gr_allocate(layout->size, sizeof *first, "p", &first), GR_OK);
    ck_assert_int_eq(gr_allocate(layout->size, sizeof *again, "p", &again), GR_OK);
    memset(first, 0xff, layout->size * sizeof *first);
    ck_assert_int_eq(gr_model_initialise(model, 42, first), GR_OK);
    ck_assert_int_eq(gr_model_initialise(model, 42, again), GR_OK);
    ck_assert_mem_eq(first, again, layout->size * sizeof *first);
    ck_assert_int_eq(gr_model_initialise(model, 43, again), GR_OK);
    ck_assert_mem_ne(first, again, layout->size * sizeof *first);
    const double n = 784 * 200, limit = sqrt(6.0 / 984);
    const double variance = _i == GR_INITIALISE_HE ? 2.0 / 784 : limit * limit / 3;
    double sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < 784 * 200; i++) {
        sum += first[i];
        squares += first[i] * first[i];
        most = fmax(most, fabsf(first[i]));
    }
    ck_assert_double_lt(fabs(sum / n), 4 * sqrt(variance / n));
    ck_assert_double_eq_tol(squares / n / variance, 1, 0.02);
    if (_i == GR_INITIALISE_GLOROT)
        ck_assert_double_le(most, limit * (1 + 1e-6));
    else
        ck_assert_double_gt(most, 3.5 * sqrt(variance));
    for (size_t i = layout->tensors[1].offset; i < layout->tensors[2].offset; i++)
        ck_assert(first[i] == 0);
    for (size_t i = layout->tensors[3].offset; i < layout->size; i++)
        ck_assert(first[i] == 0);
    gr_free(again);
    gr_free(first);
    gr_model_free(model);
}
END_TEST

START_TEST(description_and_back) {
    static const size_t widths[] = {784, 200, 100, 10};
    struct gr_model *model = create(widths, 4, GR_ACTIVATION_TANH, 8), *again;
    char *text, *text_again;
    ck_assert_int_eq(gr_model_describe(model, &text), GR_OK);
    ck_assert_str_eq(text, "{\"activation\":\"tanh\",\"classes\":10,\"compute\":\"float32\","
                           "\"hidden\":[200,100],\"inputs\":784,\"type\":\"mlp\"}");
    ck_assert_int_eq(gr_model_create_from_description(text, NULL, 3, &again), GR_OK);
    ck_assert(gr_layout_equal(gr_model_layout(model), gr_model_layout(again)));
    ck_assert_int_eq(gr_model_describe(again, &text_again), GR_OK);
    ck_assert_str_eq(text, text_again);
    gr_free(text_again);
    gr_free(text);
    gr_model_free(again);
    gr_model_free(model);
}
END_TEST

START_TEST(softmax_description) {
    static const size_t widths[] = {4, 2};
    struct gr_model *model = create(widths, 2, GR_ACTIVATION_RELU, 8), *again;
    char *text;
    ck_assert_int_eq(gr_model_describe(model, &text), GR_OK);
    ck_assert_int_eq(gr_model_create_from_description(text, NULL, 3, &again), GR_OK);
    ck_assert(gr_layout_equal(gr_model_layout(model), gr_model_layout(again)));
    gr_free(text);
    gr_model_free(again);
    gr_model_free(model);
}
END_TEST

#define REST "\"activation\":\"relu\",\"compute\":\"float32\""
static const struct {
    const char *text, *says;
} bad_descriptions[] = {
    {"", "not JSON"},
    {"{\"type\":", "not JSON"},
    {"[]", "\"type\" is not a text"},
    {"{\"type\":\"tree\"," REST "}", "\"type\" is \"tree\""},
    {"{\"type\":7," REST "}", "\"type\" is not a text"},
    {"{\"type\":\"mlp\",\"activation\":\"relu\"}", "\"compute\" is not a text"},
    {"{\"type\":\"mlp\",\"inputs\":0,\"classes\":2,\"hidden\":[3]," REST "}", "\"inputs\""},
    {"{\"type\":\"mlp\",\"inputs\":4,\"classes\":-2,\"hidden\":[3]," REST "}", "\"classes\""},
    {"{\"type\":\"mlp\",\"inputs\":4.5,\"classes\":2,\"hidden\":[3]," REST "}", "\"inputs\""},
    {"{\"type\":\"mlp\",\"inputs\":4,\"classes\":2,\"hidden\":3," REST "}", "hidden"},
    {"{\"type\":\"mlp\",\"inputs\":4,\"classes\":2,\"hidden\":[]," REST "}", "0 hidden"},
    {"{\"type\":\"softmax\",\"inputs\":4,\"classes\":2,\"hidden\":[3]," REST "}", "1 hidden"},
    {"{\"type\":\"mlp\",\"inputs\":4,\"classes\":2,\"hidden\":[99999999999]," REST "}",
     "\"hidden\""},
    {"{\"type\":\"mlp\",\"inputs\":2000000000,\"classes\":2,\"hidden\":[3]," REST "}",
     "2000000000"},
    {"{\"type\":\"mlp\",\"type\":\"mlp\"," REST "}", "not JSON"},
};

START_TEST(bad_description) {
    struct gr_model *model;
    const gr_status status =
        gr_model_create_from_description(bad_descriptions[_i].text, NULL, 1, &model);
    ck_assert_int_ne(status, GR_OK);
    ck_assert_int_ne(status, GR_ERROR_INTERNAL);
    ck_assert_ptr_null(model);
    ck_assert_msg(strstr(gr_message(), bad_descriptions[_i].says) != NULL, "%s", gr_message());
}
END_TEST

/* A text of a hundred bytes must not take gigabytes: what does not fit the file's tensors is found
 * first, then what takes too much. */
START_TEST(descriptions_that_ask_for_too_much) {
    static const char wide[] =
        "{\"type\":\"softmax\",\"hidden\":[],\"inputs\":2000000,\"classes\":2," REST "}",
                      pooled[] = "{\"type\":\"cnn\",\"inputs\":4000000,\"shape\":[4000,1000],"
                                 "\"classes\":2,\"layers\":[{\"type\":\"max_pool\",\"activation\":"
                                 "\"none\",\"kernel\":1000}]," REST "}";
    const struct gr_layout none = {0};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create_from_description(wide, &none, 500, &model), GR_ERROR_DATA);
    ck_assert_ptr_null(model);
    ck_assert_str_eq(gr_message(), "its tensors are not those of its architecture");
    ck_assert_int_eq(gr_model_create_from_description(pooled, NULL, 500, &model), GR_ERROR_DATA);
    ck_assert_ptr_null(model);
    ck_assert_ptr_nonnull(strstr(gr_message(), " MiB, expected at most 2048"));
}
END_TEST

/* Where oneDNN has bfloat16 the gradient is near float32's; elsewhere it is refused plainly. */
START_TEST(bfloat16_works_or_is_refused) {
    static const size_t widths[] = {33, 40, 10};
    uint32_t hidden = 40;
    struct gr_model_config config = {
        .type = GR_MODEL_MLP, .hidden = &hidden, .hidden_count = 1, .compute = GR_COMPUTE_BFLOAT16};
    struct gr_model *model;
    const gr_status status = gr_model_create(&config, 33, 10, 32, &model);
    if (status == GR_OK) {
        struct bench bench;
        set_up(&bench, widths, 3, GR_ACTIVATION_RELU, 32);
        gr_model_free(bench.model);
        bench.model = model;
        bench.layout = bench.network.layout = gr_model_layout(model);
        fill_parameters(&bench, 14);
        fill_batch(model, 32, 15);
        check_gradient(&bench, 32, 0.03); /* 8 bits of fraction, summed */
        tear_down(&bench);
    } else {
        ck_assert_int_eq(status, GR_ERROR_CONFIG);
        ck_assert_ptr_null(model);
        ck_assert_ptr_nonnull(strstr(gr_message(), "AVX-512"));
        ck_assert_ptr_nonnull(strstr(gr_message(), "model.compute"));
    }
}
END_TEST

START_TEST(a_loss_that_is_not_finite_is_returned) {
    static const size_t widths[] = {3, 4, 2};
    struct bench bench;
    double loss;
    set_up(&bench, widths, 3, GR_ACTIVATION_RELU, 2);
    fill_parameters(&bench, 16);
    fill_batch(bench.model, 2, 17);
    gr_model_batch_features(bench.model)[1] = NAN;
    ck_assert_int_eq(gr_model_gradient(bench.model, bench.parameters, 2, bench.gradient, &loss),
                     GR_OK);
    ck_assert(!isfinite(loss));
    tear_down(&bench);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("model");
    TCase *tests = tcase_create("model");
    tcase_set_timeout(tests, 60);
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_loop_test(tests, gradient_is_the_references, 0, N_SHAPES);
    tcase_add_loop_test(tests, gradient_is_the_references_elsewhere, 0, N_SHAPES);
    tcase_add_loop_test(tests, bfloat16_gradient_is_the_references, 0, N_SHAPES);
    tcase_add_loop_test(tests, reference_is_central_differences, 0, N_SHAPES);
    tcase_add_loop_test(tests, gradient_is_pytorchs, 0, 2 * N_ACTIVATIONS);
    tcase_add_loop_test(tests, bits_do_not_depend_on_surroundings, 0, 2 * N_ACTIVATIONS);
    tcase_add_loop_test(tests, a_rows_outputs_do_not_depend_on_its_batch, 0, 2);
    tcase_add_test(tests, zeros_passed_by_change_no_bit);
    tcase_add_test(tests, score_counts_first_of_ties);
    tcase_add_test(tests, layout_names_and_shapes);
    tcase_add_loop_test(tests, first_parameters, 0, GR_INITIALISE_GLOROT + 1);
    tcase_add_test(tests, description_and_back);
    tcase_add_test(tests, softmax_description);
    tcase_add_loop_test(tests, bad_description, 0,
                        (int)(sizeof bad_descriptions / sizeof *bad_descriptions));
    tcase_add_test(tests, descriptions_that_ask_for_too_much);
    tcase_add_test(tests, bfloat16_works_or_is_refused);
    tcase_add_test(tests, a_loss_that_is_not_finite_is_returned);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
