/* SPDX-License-Identifier: Apache-2.0 */
/*
 * layers: gradients of convolutional networks and of every loss against PyTorch's (torch_layers.h,
 * made by analysis/peers/reference_layers_torch.py) and against differences of the loss; what
 * dropout draws; batches of any size; descriptions; what is refused.
 */
#include "torch_layers.h"

#include <check.h>
#include <math.h>
#include <model/images.h>
#include <model/network.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define DEFAULT      .activation = GR_ACTIVATION_DEFAULT
#define NONE         .activation = GR_ACTIVATION_NONE
#define POOL(...)                                                                                  \
    { .type = GR_LAYER_MAX_POOL, DEFAULT, __VA_ARGS__ }
#define MEAN(...)                                                                                  \
    { .type = GR_LAYER_AVERAGE_POOL, DEFAULT, __VA_ARGS__ }
#define CONV(...)                                                                                  \
    { .type = GR_LAYER_CONV, __VA_ARGS__ }
#define NORM(...)                                                                                  \
    { .type = GR_LAYER_GROUP_NORM, __VA_ARGS__ }
#define DROP(r)                                                                                    \
    { .type = GR_LAYER_DROPOUT, DEFAULT, .rate = (r) }
#define DENSE(...)                                                                                 \
    { .type = GR_LAYER_DENSE, __VA_ARGS__ }
#define SAME .padding = GR_PADDING_SAME
#define GELU .activation = GR_ACTIVATION_GELU
#define TANH .activation = GR_ACTIVATION_TANH

static struct gr_layer_config relu_net[] = {
    CONV(DEFAULT, SAME, .filters = 5, .kernel = 3), POOL(.kernel = 2),
    CONV(DEFAULT, .filters = 6, .kernel = 3), POOL(.kernel = 2, .stride = 1),
    DENSE(DEFAULT, .width = 7)};
static struct gr_layer_config smooth_net[] = {
    CONV(NONE, SAME, .filters = 4, .kernel = 4, .stride = 2), NORM(GELU, .groups = 2),
    CONV(TANH, .filters = 6, .kernel = 2), MEAN(.kernel = 2, .stride = 1)};

/* Two convolutions of winograd.h, of odd sizes, padded and not. */
static struct gr_layer_config winograd_net[] = {CONV(DEFAULT, SAME, .filters = 16, .kernel = 3),
                                                CONV(DEFAULT, SAME, .filters = 48, .kernel = 5),
                                                POOL(.kernel = 2),
                                                CONV(GELU, .filters = 16, .kernel = 5)};

/* Two of 3x3, the first with the pool behind it. */
static struct gr_layer_config winograd_3_net[] = {CONV(DEFAULT, SAME, .filters = 16, .kernel = 3),
                                                  CONV(DEFAULT, SAME, .filters = 16, .kernel = 3),
                                                  POOL(.kernel = 2),
                                                  CONV(GELU, .filters = 16, .kernel = 3)};

/* Both convolutions take the pool behind them along: direct.h, and winograd.h. */
static struct gr_layer_config merged_net[] = {
    CONV(DEFAULT, .filters = 16, .kernel = 5), POOL(.kernel = 2),
    CONV(DEFAULT, SAME, .filters = 16, .kernel = 5), POOL(.kernel = 2)};

static struct gr_model_config cnn(struct gr_layer_config *layers, size_t n) {
    return (struct gr_model_config){
        .type = GR_MODEL_CNN, .layers = layers, .layers_count = (unsigned)n, .huber_delta = 1};
}

static struct gr_model *create(const struct gr_model_config *config, const struct gr_row_shape *row,
                               size_t classes, size_t batch_max) {
    struct gr_model *model;
    const gr_status status = gr_model_create_shaped(config, row, NULL, classes, batch_max, &model);
    ck_assert_msg(status == GR_OK, "%s", gr_message());
    return model;
}

static float *vector(size_t n) {
    float *made;
    ck_assert_int_eq(gr_allocate_zero(n, sizeof *made, "v", &made), GR_OK);
    return made;
}

/* The parameters, features, labels and targets that the script has. */
static float *fill(struct gr_model *model, size_t n) {
    const struct gr_layout *layout = gr_model_layout(model);
    float *parameters = vector(layout->size), *targets = gr_model_batch_targets(model);
    size_t at = 0;
    for (size_t t = 0; t < layout->n_tensors; t++)
        for (size_t i = 0; i < layout->tensors[t].n_elements; i++, at++)
            parameters[layout->tensors[t].offset + i] = (float)(sin((double)at + 1) / 2);
    for (size_t i = 0; i < n * gr_model_inputs(model); i++)
        gr_model_batch_features(model)[i] = (float)cos((double)i);
    for (size_t i = 0; i < n; i++) {
        const bool binary = gr_model_task(model) == GR_TASK_BINARY;
        gr_model_batch_labels(model)[i] = binary ? i % 3 > 0 : (int32_t)(i % 3);
        if (targets)
            targets[i] = gr_model_task(model) == GR_TASK_COUNT
                             ? (float)(i % 3)
                             : (float)(1.5 * sin((double)i) + 0.3);
    }
    return parameters;
}

/* Each `every`-th element of the gradient is PyTorch's, to `tolerance` of the largest of those. */
static void check_every(struct gr_model *model, size_t n, double loss, const double *expected,
                        size_t n_expected, size_t every, double tolerance) {
    const struct gr_layout *layout = gr_model_layout(model);
    float *parameters = fill(model, n), *gradient = vector(layout->size);
    double loss_sum, most = 0;
    size_t at = 0;
    ck_assert_int_eq(gr_model_gradient(model, parameters, n, gradient, &loss_sum), GR_OK);
    ck_assert_double_eq_tol(loss_sum / (double)n, loss, tolerance * fmax(1, fabs(loss)));
    ck_assert_uint_eq((layout->n_parameters + every - 1) / every, n_expected);
    for (size_t i = 0; i < n_expected; i++)
        most = fmax(most, fabs(expected[i]));
    for (size_t t = 0; t < layout->n_tensors; t++)
        for (size_t i = 0; i < layout->tensors[t].n_elements; i++, at++) {
            const float found = gradient[layout->tensors[t].offset + i];
            if (at % every == 0 &&
                !(fabs((double)found - expected[at / every]) <= tolerance * most))
                ck_abort_msg("%s + %zu: %.9g, expected %.9g", layout->tensors[t].name, i,
                             (double)found, expected[at / every]);
        }
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}

static void check_torch(struct gr_model *model, size_t n, double loss, const double *expected,
                        size_t n_expected, double tolerance) {
    check_every(model, n, loss, expected, n_expected, 1, tolerance);
}

static const struct gr_row_shape image_982 = {3, {9, 8, 2}}, image_77 = {2, {7, 7}};

START_TEST(networks_are_pytorchs) {
    struct gr_model_config relu = cnn(relu_net, COUNT(relu_net)),
                           smooth = cnn(smooth_net, COUNT(smooth_net));
    check_torch(create(&relu, &image_982, 3, 4), 4, torch_relu_net_loss, torch_relu_net_gradient,
                COUNT(torch_relu_net_gradient), 1e-5);
    check_torch(create(&smooth, &image_77, 3, 4), 4, torch_smooth_net_loss,
                torch_smooth_net_gradient, COUNT(torch_smooth_net_gradient), 1e-5);
    /* A batch that is larger than what scoring takes at a time. */
    check_torch(create(&smooth, &image_77, 3, 100000), 4, torch_smooth_net_loss,
                torch_smooth_net_gradient, COUNT(torch_smooth_net_gradient), 1e-5);
}
END_TEST

static const struct gr_row_shape image_13 = {3, {13, 12, 2}}, image_14 = {3, {14, 14, 2}};

START_TEST(minimal_filtering_is_pytorchs_convolution) {
    struct gr_model_config config = cnn(winograd_net, COUNT(winograd_net));
    check_every(create(&config, &image_13, 3, 4), 4, torch_winograd_net_loss,
                torch_winograd_net_gradient, COUNT(torch_winograd_net_gradient), 97, 1e-5);
    config = cnn(winograd_3_net, COUNT(winograd_3_net));
    check_every(create(&config, &image_14, 3, 4), 4, torch_winograd_3_net_loss,
                torch_winograd_3_net_gradient, COUNT(torch_winograd_3_net_gradient), 97, 1e-5);
}
END_TEST

static const struct gr_row_shape image_17 = {3, {17, 16, 2}};

START_TEST(convolutions_with_pools_are_pytorchs) {
    struct gr_model_config config = cnn(merged_net, COUNT(merged_net));
    struct gr_model *model = create(&config, &image_17, 3, 4);
    ck_assert(model->layers[1].merged && model->layers[3].merged);
    check_every(model, 4, torch_merged_net_loss, torch_merged_net_gradient,
                COUNT(torch_merged_net_gradient), 97, 1e-5);
}
END_TEST

START_TEST(bfloat16_networks_are_pytorchs_roughly) {
    struct gr_model_config relu = cnn(relu_net, COUNT(relu_net));
    struct gr_model *model;
    relu.compute = GR_COMPUTE_BFLOAT16;
    const gr_status status = gr_model_create_shaped(&relu, &image_982, NULL, 3, 4, &model);
    if (status != GR_OK) {
        ck_assert_int_eq(status, GR_ERROR_CONFIG);
        ck_assert_ptr_nonnull(strstr(gr_message(), "model.compute"));
        return;
    }
    check_torch(model, 4, torch_relu_net_loss, torch_relu_net_gradient,
                COUNT(torch_relu_net_gradient), 0.1);
}
END_TEST

static const struct {
    enum gr_model_type type;
    enum gr_loss_type loss;
    double smoothing;
    enum gr_task task;
    size_t classes, n;
    const double *expected_loss, *gradient;
} losses[] = {
    {GR_MODEL_SOFTMAX, GR_LOSS_DEFAULT, 0.1, GR_TASK_CLASSIFICATION, 3,
     COUNT(torch_smoothing_gradient), &torch_smoothing_loss, torch_smoothing_gradient},
    {GR_MODEL_LOGISTIC, GR_LOSS_DEFAULT, 0, GR_TASK_BINARY, 2, COUNT(torch_binary_gradient),
     &torch_binary_loss, torch_binary_gradient},
    {GR_MODEL_LINEAR, GR_LOSS_DEFAULT, 0, GR_TASK_REGRESSION, 0, COUNT(torch_squared_gradient),
     &torch_squared_loss, torch_squared_gradient},
    {GR_MODEL_LINEAR, GR_LOSS_HUBER, 0, GR_TASK_REGRESSION, 0, COUNT(torch_huber_gradient),
     &torch_huber_loss, torch_huber_gradient},
    {GR_MODEL_POISSON, GR_LOSS_DEFAULT, 0, GR_TASK_COUNT, 0, COUNT(torch_poisson_gradient),
     &torch_poisson_loss, torch_poisson_gradient},
};

START_TEST(losses_are_pytorchs) {
    const struct gr_model_config config = {.type = losses[_i].type,
                                           .loss = losses[_i].loss,
                                           .label_smoothing = losses[_i].smoothing,
                                           .huber_delta = 0.75};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create(&config, 3, losses[_i].classes, 9, &model), GR_OK);
    ck_assert_int_eq(gr_model_task(model), losses[_i].task);
    ck_assert_uint_eq(gr_model_classes(model), losses[_i].classes);
    ck_assert_uint_eq(model->outputs, losses[_i].classes == 3 ? 3 : 1);
    ck_assert(!gr_model_batch_targets(model) == (losses[_i].classes > 0));
    check_torch(model, 9, *losses[_i].expected_loss, losses[_i].gradient, losses[_i].n, 1e-5);
}
END_TEST

/* Beyond the range of exp nothing overflows. */
START_TEST(losses_far_out) {
    const struct gr_model_config config = {.type = GR_MODEL_LOGISTIC};
    struct gr_model *model;
    double loss;
    size_t correct;
    ck_assert_int_eq(gr_model_create(&config, 1, 2, 2, &model), GR_OK);
    float *parameters = vector(gr_model_layout(model)->size);
    parameters[0] = 1000;
    for (size_t i = 0; i < 2; i++) {
        gr_model_batch_features(model)[i] = i ? -1.0f : 1.0f;
        gr_model_batch_labels(model)[i] = 1;
    }
    ck_assert_int_eq(gr_model_score(model, parameters, 2, &loss, &correct), GR_OK);
    ck_assert_double_eq_tol(loss, 1000, 1e-9);
    ck_assert(gr_model_logits(model)[2] == 0 && gr_model_logits(model)[3] == -1000);
    ck_assert_uint_eq(correct, 1);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* ---- differences -------------------------------------------------------------------------- */

static struct gr_layer_config odd_strides[] = {
    CONV(TANH, SAME, .filters = 3, .kernel = 5, .stride = 3), MEAN(.kernel = 2)};
static struct gr_layer_config first_pool[] = {MEAN(.kernel = 3, .stride = 2),
                                              CONV(GELU, .filters = 17, .kernel = 1)};
static struct gr_layer_config first_norm[] = {NORM(NONE, .groups = 1), DROP(0.3),
                                              CONV(TANH, .filters = 16, .kernel = 2),
                                              DENSE(TANH, .width = 5), DROP(0.5)};
static struct gr_layer_config valid_large[] = {CONV(TANH, .filters = 2, .kernel = 8)};
static struct gr_layer_config all_norms[] = {CONV(NONE, SAME, .filters = 6, .kernel = 3),
                                             NORM(TANH, .groups = 6), MEAN(.kernel = 2),
                                             NORM(TANH, .groups = 3)};

/* oneDNN's issue 6035: heaps broken by images of few channels whose pixels are passed by. */
static struct gr_layer_config passed_by[] = {CONV(TANH, .filters = 16, .kernel = 1, .stride = 2),
                                             CONV(TANH, .filters = 3, .kernel = 1, .stride = 3)};

static const struct {
    struct gr_layer_config *layers;
    size_t n_layers;
    struct gr_row_shape row;
    enum gr_loss_type loss;
} nets[] = {
    {odd_strides, COUNT(odd_strides), {3, {11, 7, 3}}, GR_LOSS_DEFAULT},
    {first_pool, COUNT(first_pool), {2, {9, 8}}, GR_LOSS_BINARY_CROSS_ENTROPY},
    {first_norm, COUNT(first_norm), {3, {5, 6, 2}}, GR_LOSS_DEFAULT},
    {valid_large, COUNT(valid_large), {2, {8, 8}}, GR_LOSS_SQUARED},
    {all_norms, COUNT(all_norms), {3, {6, 6, 4}}, GR_LOSS_POISSON},
    {smooth_net, COUNT(smooth_net), {2, {7, 7}}, GR_LOSS_HUBER},
    {passed_by, COUNT(passed_by), {2, {14, 24}}, GR_LOSS_DEFAULT},
    {passed_by, COUNT(passed_by), {3, {13, 24, 3}}, GR_LOSS_DEFAULT},
    {passed_by, COUNT(passed_by), {3, {13, 24, 4}}, GR_LOSS_SQUARED},
};

static double loss_at(struct gr_model *model, const float *parameters, const float *direction,
                      double h, float *moved, float *gradient) {
    double loss;
    for (size_t i = 0; i < gr_model_layout(model)->size; i++)
        moved[i] = parameters[i] + (float)h * direction[i];
    gr_model_start_round(model, 1, 2, 3); /* drops the same */
    ck_assert_int_eq(gr_model_gradient(model, moved, 4, gradient, &loss), GR_OK);
    return loss / 4;
}

/* Along twenty directions: those of one tensor only, and those of all. */
START_TEST(gradients_are_differences) {
    const double h = 4e-3;
    struct gr_model_config config = cnn(nets[_i].layers, nets[_i].n_layers);
    config.loss = nets[_i].loss;
    struct gr_model *model =
        create(&config, &nets[_i].row, nets[_i].loss == GR_LOSS_BINARY_CROSS_ENTROPY ? 2 : 3, 4);
    const struct gr_layout *layout = gr_model_layout(model);
    float *parameters = fill(model, 4), *direction = vector(layout->size),
          *moved = vector(layout->size), *gradient = vector(layout->size);
    srand(5);
    for (size_t d = 0; d < 20; d++) {
        const size_t only = d % (layout->n_tensors + 1);
        double slope = 0, length = 0;
        for (size_t t = 0; t < layout->n_tensors; t++)
            for (size_t i = 0; i < layout->tensors[t].n_elements; i++)
                direction[layout->tensors[t].offset + i] =
                    only == t || only == layout->n_tensors ? (float)(rand() % 2001 - 1000) / 1000
                                                           : 0.0f;
        for (size_t i = 0; i < layout->size; i++)
            length += (double)(direction[i] * direction[i]);
        for (size_t i = 0; i < layout->size; i++)
            direction[i] /= (float)sqrt(length);
        const double above = loss_at(model, parameters, direction, h, moved, gradient),
                     below = loss_at(model, parameters, direction, -h, moved, gradient);
        loss_at(model, parameters, direction, 0, moved, gradient);
        for (size_t i = 0; i < layout->size; i++)
            slope += (double)gradient[i] * (double)direction[i];
        const double error = (above - below) / (2 * h) - slope;
        if (fabs(error) > 2e-3 * fmax(0.2, fabs(slope)))
            ck_abort_msg("direction %zu: %g, expected %g", d, slope, slope + error);
    }
    gr_free(gradient);
    gr_free(moved);
    gr_free(direction);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* Group norm, over 19 channels' remainders of vectors, by each instruction set; the halves of the
 * backward pass apart as both at once. */
START_TEST(norms_have_the_same_bits_by_all_sets) {
    static struct gr_layer_config layers[] = {CONV(NONE, .filters = 38, .kernel = 1),
                                              NORM(GELU, .groups = 2)};
    struct gr_model_config config = cnn(layers, 2);
    struct gr_model *model = create(&config, &image_77, 3, 4);
    struct gr_layer *layer = &model->layers[1];
    const size_t size = gr_model_layout(model)->size, n = 4 * layer->outputs;
    float *parameters = fill(model, 4), *delta = vector(n), *gradient = vector(size);
    float *out = vector(n), *before = vector(n), *first = vector(size);
    const struct gr_target target = {.vector = gradient};
    size_t n_sets;
    const struct gr_tiles *const *sets = gr_tiles_all(&n_sets);
    ck_assert_int_eq(gr_model_make_room(model, 4), GR_OK);
    for (size_t i = 0; i < n; i++) {
        layer->in[i] = (float)cos((double)i) + 3;
        delta[i] = (float)sin((double)i);
    }
    for (size_t i = n_sets; i-- > 0;) {
        if (!gr_tiles_supported(sets[i])) continue;
        layer->kind->release(layer);
        model->tiles = sets[i];
        ck_assert_int_eq(layer->kind->prepare(model, layer), GR_OK);
        ck_assert_int_eq(layer->kind->forward(model, layer, parameters, 4, true), GR_OK);
        for (size_t apart = 0; apart < 2; apart++) {
            memset(gradient, 0, size * sizeof *gradient);
            memset(model->delta_before, 0xff, n * sizeof *delta);
            memcpy(model->delta, delta, n * sizeof *delta);
            if (apart) {
                ck_assert(!layer->kind->backward_data(model, layer, parameters, 4));
                ck_assert(!layer->kind->backward_weight(model, layer, parameters, 4, &target));
            } else {
                ck_assert(!layer->kind->backward(model, layer, parameters, 4, &target));
            }
            if (i + 1 == n_sets && !apart) {
                memcpy(out, layer->sums, n * sizeof *out);
                memcpy(before, model->delta_before, n * sizeof *before);
                memcpy(first, gradient, size * sizeof *first);
            }
            ck_assert_mem_eq(layer->sums, out, n * sizeof *out);
            ck_assert_mem_eq(model->delta_before, before, n * sizeof *before);
            ck_assert_mem_eq(gradient, first, size * sizeof *first);
        }
    }
    ck_assert(first[layer->weight] != 0 && before[0] != 0);
    gr_free(first);
    gr_free(before);
    gr_free(out);
    gr_free(gradient);
    gr_free(delta);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* ---- steps, batches, dropout -------------------------------------------------------------- */

/* The fused step is the gradient's. */
START_TEST(step_is_gradients) {
    struct gr_model_config config = cnn(smooth_net, COUNT(smooth_net));
    struct gr_model *model = create(&config, &image_77, 3, 8);
    const size_t size = gr_model_layout(model)->size;
    float *parameters = fill(model, 7), *gradient = vector(size);
    double loss[2];
    ck_assert_int_eq(gr_model_gradient(model, parameters, 7, gradient, &loss[0]), GR_OK);
    for (size_t i = 0; i < size; i++)
        gradient[i] = parameters[i] - 0.1f * (gradient[i] + 0.01f * parameters[i]);
    ck_assert_int_eq(gr_model_step(model, parameters, 7, 0.1, 0.01, NULL, &loss[1]), GR_OK);
    ck_assert_double_eq(loss[0], loss[1]);
    for (size_t i = 0; i < size; i++)
        ck_assert_float_eq_tol(parameters[i], gradient[i], 1e-6f);
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* More sizes than sets are kept: what comes again gives the same bits. */
START_TEST(batches_of_many_sizes) {
    struct gr_model_config config = cnn(relu_net, COUNT(relu_net));
    struct gr_model *model = create(&config, &image_982, 3, 24);
    const size_t size = gr_model_layout(model)->size;
    float *parameters = fill(model, 24), *gradient = vector(size), *first = vector(25 * size);
    double loss, losses_of[25];
    for (size_t pass = 0; pass < 2; pass++)
        for (size_t n = 1; n <= 24; n++) {
            ck_assert_int_eq(gr_model_gradient(model, parameters, n, gradient, &loss), GR_OK);
            if (pass == 0) {
                memcpy(first + n * size, gradient, size * sizeof *gradient);
                losses_of[n] = loss;
            }
            ck_assert_mem_eq(first + n * size, gradient, size * sizeof *gradient);
            ck_assert_double_eq(loss, losses_of[n]);
        }
    gr_free(first);
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* Scoring goes in slices; each row's outputs are those it has in a batch of its own. */
START_TEST(scores_go_in_slices) {
    static struct gr_layer_config wide[] = {CONV(DEFAULT, SAME, .filters = 96, .kernel = 3)};
    const struct gr_row_shape row = {2, {24, 24}};
    struct gr_model_config config = cnn(wide, 1);
    struct gr_model *model = create(&config, &row, 3, 150);
    float *parameters = fill(model, 150);
    float all[450];
    double loss, alone_loss = 0;
    size_t correct, alone_correct = 0;
    ck_assert_uint_lt(gr_model_slice(model), 150);
    ck_assert_int_eq(gr_model_score(model, parameters, 150, &loss, &correct), GR_OK);
    memcpy(all, gr_model_logits(model), sizeof all);
    const struct gr_images *images = model->layers[0].state; /* nothing is made for a way back */
    for (size_t i = 0; i < GR_IMAGE_SETS; i++)
        ck_assert_ptr_null(images->sets[i].weight.primitive);
    for (size_t i = 0; i < 150; i++) {
        double one;
        size_t right;
        memmove(gr_model_batch_features(model), gr_model_batch_features(model) + (i > 0) * 576,
                (150 - i) * 576 * sizeof(float));
        gr_model_batch_labels(model)[0] = (int32_t)(i % 3);
        ck_assert_int_eq(gr_model_score(model, parameters, 1, &one, &right), GR_OK);
        for (size_t j = 0; j < 3; j++)
            ck_assert_float_eq_tol(gr_model_logits(model)[j], all[3 * i + j], 1e-5f);
        alone_loss += one;
        alone_correct += right;
    }
    ck_assert_double_eq_tol(loss, alone_loss, 1e-3);
    ck_assert_uint_eq(correct, alone_correct);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* oneDNN's dense products clear rows up to a power of two: never those of the next slice, however
 * many rows were trained on before. */
START_TEST(slices_after_a_larger_batch) {
    uint32_t hidden = 16384;
    struct gr_model_config config = {.type = GR_MODEL_MLP, .hidden = &hidden, .hidden_count = 1};
    struct gr_model *model;
    enum { TRAINED = 200, ROWS = 450 };
    double loss, again;
    size_t correct;
    ck_assert_int_eq(gr_model_create(&config, 5, 3, ROWS, &model), GR_OK);
    ck_assert_int_eq(gr_model_use_inner(model, GR_COMPUTE_FLOAT32), GR_OK);
    ck_assert_uint_lt(gr_model_slice(model), TRAINED);
    float *parameters = fill(model, ROWS), *gradient = vector(gr_model_layout(model)->size);
    ck_assert_int_eq(gr_model_score(model, parameters, ROWS, &loss, &correct), GR_OK);
    ck_assert_int_eq(gr_model_gradient(model, parameters, TRAINED, gradient, &again), GR_OK);
    gr_free(fill(model, ROWS)); /* the batch was of fewer rows */
    ck_assert_int_eq(gr_model_score(model, parameters, ROWS, &again, &correct), GR_OK);
    ck_assert_double_eq(again, loss);
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* Logits of one training batch of a network that is its dropout layer and ones. */
static void dropped(struct gr_model *model, uint32_t silo, uint32_t round, size_t batches,
                    float *out) {
    float *parameters = vector(gr_model_layout(model)->size),
          *gradient = vector(gr_model_layout(model)->size);
    double loss;
    for (size_t i = 0; i < 100; i++) /* class 0 gives the sum */
        parameters[2 * i] = 1;
    for (size_t i = 0; i < 20 * 100; i++)
        gr_model_batch_features(model)[i] = 1;
    for (size_t i = 0; i < 20; i++)
        gr_model_batch_labels(model)[i] = 0;
    gr_model_start_round(model, 7, silo, round);
    for (size_t b = 0; b < batches; b++)
        ck_assert_int_eq(gr_model_gradient(model, parameters, 20, gradient, &loss), GR_OK);
    for (size_t i = 0; i < 20; i++)
        out[i] = gr_model_logits(model)[2 * i];
    gr_free(gradient);
    gr_free(parameters);
}

START_TEST(dropout_draws) {
    static struct gr_layer_config drop[] = {DROP(0.25)};
    const struct gr_row_shape row = {2, {10, 10}};
    struct gr_model_config config = cnn(drop, 1);
    struct gr_model *model = create(&config, &row, 2, 20), *other = create(&config, &row, 2, 50);
    float first[20], again[20];
    double sum = 0;
    dropped(model, 1, 1, 1, first);
    dropped(other, 1, 1, 1, again);
    ck_assert_mem_eq(first, again, sizeof first);
    dropped(other, 1, 1, 2, again); /* the next batch draws on */
    ck_assert_mem_ne(first, again, sizeof first);
    dropped(other, 2, 1, 1, again);
    ck_assert_mem_ne(first, again, sizeof first);
    dropped(other, 1, 2, 1, again);
    ck_assert_mem_ne(first, again, sizeof first);
    for (size_t i = 0; i < 20; i++) {
        const float kept = first[i] * 0.75f; /* each of the kept ones is 4/3 */
        ck_assert_float_eq_tol(kept, roundf(kept), 1e-3f);
        sum += (double)kept;
    }
    ck_assert_double_eq_tol(sum / 2000, 0.75, 4 * sqrt(0.25 * 0.75 / 2000));
    /* A score drops nothing. */
    double loss;
    size_t correct;
    float *parameters = vector(gr_model_layout(model)->size);
    parameters[0] = 1;
    gr_model_batch_features(model)[0] = 1;
    for (size_t i = 0; i < 10; i++) {
        ck_assert_int_eq(gr_model_score(model, parameters, 1, &loss, &correct), GR_OK);
        ck_assert_float_eq(gr_model_logits(model)[0], 1);
    }
    gr_free(parameters);
    gr_model_free(other);
    gr_model_free(model);
}
END_TEST

START_TEST(first_parameters_of_layers) {
    static struct gr_layer_config layers[] = {CONV(DEFAULT, .filters = 64, .kernel = 5),
                                              NORM(DEFAULT, .groups = 4)};
    const struct gr_row_shape row = {3, {8, 8, 16}};
    struct gr_model_config config = cnn(layers, 2);
    struct gr_model *model = create(&config, &row, 2, 1);
    const struct gr_layout *layout = gr_model_layout(model);
    static const char *const names[] = {"conv0.weight",     "conv0.bias",    "group_norm0.weight",
                                        "group_norm0.bias", "dense0.weight", "dense0.bias"};
    float *parameters = vector(layout->size);
    double squares = 0;
    ck_assert_uint_eq(layout->n_tensors, COUNT(names));
    for (size_t t = 0; t < COUNT(names); t++)
        ck_assert_str_eq(layout->tensors[t].name, names[t]);
    ck_assert_int_eq(gr_model_initialise(model, 3, parameters), GR_OK);
    for (size_t i = 0; i < layout->tensors[0].n_elements; i++)
        squares += (double)(parameters[i] * parameters[i]);
    ck_assert_double_eq_tol(squares / 25600 / (2.0 / 400), 1, 0.05);
    for (size_t i = 0; i < 64; i++) {
        ck_assert_float_eq(parameters[layout->tensors[1].offset + i], 0);
        ck_assert_float_eq(parameters[layout->tensors[2].offset + i], 1);
        ck_assert_float_eq(parameters[layout->tensors[3].offset + i], 0);
    }
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* ---- descriptions and refusals ------------------------------------------------------------ */

static void check_round_trip(struct gr_model *model, const char *holds) {
    struct gr_model *again;
    char *text, *text_again;
    ck_assert_int_eq(gr_model_describe(model, &text), GR_OK);
    ck_assert_msg(strstr(text, holds) != NULL, "%s lacks %s", text, holds);
    const gr_status status = gr_model_create_from_description(text, NULL, 5, &again);
    ck_assert_msg(status == GR_OK, "%s", gr_message());
    ck_assert(gr_layout_equal(gr_model_layout(model), gr_model_layout(again)));
    ck_assert_int_eq(gr_model_task(model), gr_model_task(again));
    ck_assert_uint_eq(gr_model_classes(model), gr_model_classes(again));
    ck_assert_int_eq(gr_model_describe(again, &text_again), GR_OK);
    ck_assert_str_eq(text, text_again);
    gr_free(text_again);
    gr_free(text);
    gr_model_free(again);
    gr_model_free(model);
}

START_TEST(descriptions_and_back) {
    struct gr_model_config config = cnn(smooth_net, COUNT(smooth_net));
    check_round_trip(create(&config, &image_77, 3, 2),
                     "{\"activation\":\"none\",\"filters\":4,\"kernel\":4,\"padding\":\"same\","
                     "\"stride\":2,\"type\":\"conv\"}");
    config = cnn(first_norm, COUNT(first_norm));
    check_round_trip(create(&config, &nets[2].row, 3, 2), "\"rate\":0.5");
    for (size_t i = 0; i < COUNT(losses); i++) {
        config = (struct gr_model_config){
            .type = losses[i].type, .loss = losses[i].loss, .huber_delta = 0.75};
        check_round_trip(create(&config, &(struct gr_row_shape){1, {3}}, losses[i].classes, 2),
                         losses[i].loss == GR_LOSS_HUBER ? "\"huber_delta\":0.75"
                                                         : gr_model_type_text(losses[i].type));
    }
}
END_TEST

#define HEAD                                                                                       \
    "{\"type\":\"cnn\",\"activation\":\"relu\",\"compute\":\"float32\",\"inputs\":64,"             \
    "\"classes\":2,\"shape\":[8,8],\"layers\":["
static const struct {
    const char *text, *says;
} bad_descriptions[] = {
    {HEAD "]}", "0 layers"},
    {HEAD "7]}", "\"type\" is not a text"},
    {HEAD "{\"type\":\"conv\",\"activation\":\"relu\",\"filters\":3}]}", "conv layer lacks"},
    {HEAD "{\"type\":\"conv\",\"activation\":\"relu\",\"kernel\":3}]}", "conv layer lacks"},
    {HEAD "{\"type\":\"max_pool\",\"activation\":\"none\"}]}", "max_pool layer lacks"},
    {HEAD "{\"type\":\"max_pool\",\"activation\":\"none\",\"kernel\":9}]}", "found kernel 9"},
    {HEAD "{\"type\":\"max_pool\",\"activation\":\"none\",\"kernel\":-1}]}", "\"kernel\""},
    {HEAD "{\"type\":\"conv\",\"activation\":\"relu\",\"filters\":2147483647,\"kernel\":2147483647,"
          "\"padding\":\"same\"}]}",
     ""},
    {HEAD "{\"type\":\"dense\",\"activation\":\"relu\"}]}", "dense layer lacks"},
    {HEAD "{\"type\":\"group_norm\",\"activation\":\"relu\"}]}", "group_norm layer lacks"},
    {HEAD "{\"type\":\"group_norm\",\"activation\":\"relu\",\"groups\":2}]}", "found 2 groups"},
    {HEAD "{\"type\":\"dropout\",\"activation\":\"none\"}]}", "dropout layer lacks"},
    {HEAD "{\"type\":\"dropout\",\"activation\":\"none\",\"rate\":1}]}", "\"rate\""},
    {HEAD "{\"type\":\"dropout\",\"activation\":\"default\",\"rate\":0.5}]}", "\"activation\""},
    {"{\"type\":\"cnn\",\"activation\":\"relu\",\"compute\":\"float32\",\"inputs\":64,"
     "\"classes\":2,\"layers\":[{\"type\":\"dropout\",\"activation\":\"none\",\"rate\":0.5}]}",
     "cnn for rows of 1 dimension"},
    {"{\"type\":\"linear\",\"activation\":\"relu\",\"compute\":\"float32\",\"inputs\":64,"
     "\"loss\":\"huber\",\"hidden\":[]}",
     "huber_delta"},
    {"{\"type\":\"logistic\",\"activation\":\"relu\",\"compute\":\"float32\",\"inputs\":64,"
     "\"classes\":3,\"hidden\":[]}",
     "found 3 classes"},
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
    Suite *suite = suite_create("layers");
    TCase *tests = tcase_create("layers");
    tcase_set_timeout(tests, 60);
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_test(tests, networks_are_pytorchs);
    tcase_add_test(tests, bfloat16_networks_are_pytorchs_roughly);
    tcase_add_test(tests, minimal_filtering_is_pytorchs_convolution);
    tcase_add_test(tests, convolutions_with_pools_are_pytorchs);
    tcase_add_loop_test(tests, losses_are_pytorchs, 0, (int)COUNT(losses));
    tcase_add_test(tests, losses_far_out);
    tcase_add_loop_test(tests, gradients_are_differences, 0, (int)COUNT(nets));
    tcase_add_test(tests, norms_have_the_same_bits_by_all_sets);
    tcase_add_test(tests, step_is_gradients);
    tcase_add_test(tests, batches_of_many_sizes);
    tcase_add_test(tests, scores_go_in_slices);
    tcase_add_test(tests, slices_after_a_larger_batch);
    tcase_add_test(tests, dropout_draws);
    tcase_add_test(tests, first_parameters_of_layers);
    tcase_add_test(tests, descriptions_and_back);
    tcase_add_loop_test(tests, bad_description, 0, (int)COUNT(bad_descriptions));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
