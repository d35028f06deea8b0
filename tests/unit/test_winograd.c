/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions by minimal filtering (src/model/winograd.h) against their definition in double: what
 * comes out, and all derivatives, for images and batches that windows and blocks do and do not
 * divide; that an image's outputs are the same bits in any batch; that all instruction sets'
 * transforms give the same bits. test_layers.c compares them with PyTorch's.
 */
#include <check.h>
#include <math.h>
#include <model/network.h>
#include <model/reference.h>
#include <model/winograd.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static float *vector(size_t n) {
    float *made;
    ck_assert_int_eq(gr_allocate_zero(n, sizeof *made, "v", &made), GR_OK);
    return made;
}

static double *zeros(size_t n) {
    double *made;
    ck_assert_int_eq(gr_allocate_zero(n, sizeof *made, "v", &made), GR_OK);
    return made;
}

static void fill(float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(rand() % 2001 - 1000) / 997.0f;
}

/* n random numbers up to 1. */
static float *filled(size_t n) {
    float *made = vector(n);
    fill(made, n);
    return made;
}

/* To what a float32 sum of so many terms loses, of the largest. */
static void check_near(const char *what, const float *found, const double *expected, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++)
        most = fmax(most, fabs(expected[i]));
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)found[i] - expected[i]) <= 1e-5 * most))
            ck_abort_msg("%s %zu: %.9g, expected %.9g, the largest is %.9g", what, i,
                         (double)found[i], expected[i], most);
}

/* ---- the layer ---------------------------------------------------------------------------- */

static const struct sizes {
    size_t height, width, channels, filters, n;
    unsigned kernel;
    enum gr_padding padding;
    enum gr_activation activation;
} sizes[] = {
    {14, 14, 32, 64, 3, 5, GR_PADDING_SAME, GR_ACTIVATION_NONE}, /* McMahan's second */
    {6, 6, 16, 16, 1, 5, GR_PADDING_VALID, GR_ACTIVATION_RELU},  /* one window */
    {7, 12, 16, 48, 5, 5, GR_PADDING_SAME, GR_ACTIVATION_RELU},
    {9, 6, 48, 16, 7, 5, GR_PADDING_VALID, GR_ACTIVATION_TANH},
    {13, 31, 16, 16, 2, 5, GR_PADDING_SAME, GR_ACTIVATION_GELU},
    {6, 92, 80, 112, 1, 5, GR_PADDING_SAME, GR_ACTIVATION_NONE}, /* more than a block in a row */
    {14, 14, 32, 64, 3, 3, GR_PADDING_SAME, GR_ACTIVATION_NONE}, /* McMahan's second */
    {6, 6, 16, 16, 1, 3, GR_PADDING_VALID, GR_ACTIVATION_RELU},  /* one window */
    {7, 12, 16, 48, 5, 3, GR_PADDING_SAME, GR_ACTIVATION_RELU},
    {9, 6, 48, 16, 7, 3, GR_PADDING_VALID, GR_ACTIVATION_TANH},
    {13, 31, 16, 16, 2, 3, GR_PADDING_SAME, GR_ACTIVATION_GELU},
    {6, 92, 80, 112, 1, 3, GR_PADDING_SAME, GR_ACTIVATION_NONE}, /* more than a block in a row */
    {4, 4, 16, 16, 2, 3, GR_PADDING_SAME, GR_ACTIVATION_RELU},
};

/* A model whose layer 1 is that convolution, with room for n rows. */
static struct gr_model *create(const struct sizes *s) {
    struct gr_layer_config layers[] = {
        {.type = GR_LAYER_CONV, .filters = (unsigned)s->channels, .kernel = 1},
        {.type = GR_LAYER_CONV,
         .filters = (unsigned)s->filters,
         .kernel = s->kernel,
         .padding = s->padding,
         .activation = s->activation}};
    const struct gr_model_config config = {
        .type = GR_MODEL_CNN, .layers = layers, .layers_count = 2};
    const struct gr_row_shape row = {2, {s->height, s->width}};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create_shaped(&config, &row, NULL, 2, s->n, &model), GR_OK);
    ck_assert_int_eq(gr_model_make_room(model, s->n), GR_OK);
    ck_assert_ptr_eq(model->layers[1].kind, &gr_layer_winograd);
    return model;
}

/* Such that what comes out is about as large as what goes in. */
static float *filled_parameters(const struct gr_model *model) {
    const size_t size = gr_model_layout(model)->size;
    float *made = filled(size);
    for (size_t i = 0; i < size; i++)
        made[i] /= 16;
    return made;
}

/* A convolution in double, from what the layer was given. */
struct expected {
    double *out, *d_in, *d_weight, *d_bias;
};

static struct expected expect(const struct gr_layer *layer, size_t n, const float *in,
                              const float *parameters, const float *delta) {
    const size_t kernel = layer->config.kernel;
    const size_t before = layer->config.padding == GR_PADDING_SAME ? kernel / 2 : 0;
    const struct gr_reference_conv conv = {layer->from, layer->to, kernel, before, before};
    const struct expected e = {zeros(n * layer->outputs), zeros(n * layer->inputs),
                               zeros(layer->n_weights), zeros(layer->n_biases)};
    float *slopes = vector(n * layer->outputs);
    for (size_t pass = 0; pass < 2; pass++) { /* the second knows the sums, and their slopes */
        memset(e.out, 0, n * layer->outputs * sizeof *e.out);
        for (size_t i = 0; i < n; i++)
            gr_reference_convolve(&conv, in + i * layer->inputs, parameters + layer->weight,
                                  slopes + i * layer->outputs, e.out + i * layer->outputs,
                                  e.d_in + i * layer->inputs, e.d_weight);
        for (size_t i = 0; i < n * layer->outputs; i++) {
            const size_t f = i % layer->n_biases;
            e.out[i] += (double)parameters[layer->bias + f];
            e.d_bias[f] += (double)slopes[i];
            slopes[i] = delta[i] * (float)gr_reference_slope(layer->activation, e.out[i]);
        }
    }
    for (size_t i = 0; i < n * layer->outputs; i++)
        e.out[i] = gr_reference_activate(layer->activation, e.out[i]);
    gr_free(slopes);
    return e;
}

static void release(struct expected *e) {
    gr_free(e->out);
    gr_free(e->d_in);
    gr_free(e->d_weight);
    gr_free(e->d_bias);
}

START_TEST(filtering_is_convolution) {
    const size_t n = sizes[_i].n;
    struct gr_model *model = create(&sizes[_i]);
    struct gr_layer *layer = &model->layers[1];
    const size_t size = gr_model_layout(model)->size;
    float *parameters = filled_parameters(model), *gradient = vector(size);
    float *in = filled(n * layer->inputs), *delta = filled(n * layer->outputs);
    const struct gr_target target = {.vector = gradient};
    struct expected e = expect(layer, n, in, parameters, delta);
    memcpy(layer->in, in, n * layer->inputs * sizeof *in);
    ck_assert_int_eq(layer->kind->forward(model, layer, parameters, n, true), GR_OK);
    check_near("out", layer->out, e.out, n * layer->outputs);
    memcpy(model->delta, delta, n * layer->outputs * sizeof *delta);
    for (size_t twice = 0; twice < 2; twice++) { /* nothing is left from the time before */
        memcpy(model->delta, delta, n * layer->outputs * sizeof *delta);
        ck_assert_int_eq(gr_layer_backward(model, layer, parameters, n, &target, NULL), GR_OK);
        check_near("in's", model->delta_before, e.d_in, n * layer->inputs);
        check_near("weight's", gradient + layer->weight, e.d_weight, layer->n_weights);
        check_near("bias's", gradient + layer->bias, e.d_bias, layer->n_biases);
    }
    release(&e);
    gr_free(delta);
    gr_free(in);
    gr_free(gradient);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* Each by itself they give what both at once give, to the last bit. */
START_TEST(halves_apart_are_both_at_once) {
    const size_t n = sizes[_i].n;
    struct gr_model *model = create(&sizes[_i]);
    struct gr_layer *layer = &model->layers[1];
    const size_t size = gr_model_layout(model)->size, in_size = n * layer->inputs;
    float *parameters = filled_parameters(model), *in = filled(in_size);
    float *delta = filled(n * layer->outputs), *both = vector(size), *apart = vector(size);
    float *d_in = vector(in_size);
    const struct gr_target to_both = {.vector = both}, to_apart = {.vector = apart};
    memcpy(layer->in, in, in_size * sizeof *in);
    ck_assert_int_eq(layer->kind->forward(model, layer, parameters, n, true), GR_OK);
    memcpy(model->delta, delta, n * layer->outputs * sizeof *delta);
    ck_assert_int_eq(layer->kind->backward(model, layer, parameters, n, &to_both), GR_OK);
    memcpy(d_in, model->delta_before, in_size * sizeof *d_in);
    ck_assert_int_eq(layer->kind->backward_weight(model, layer, parameters, n, &to_apart), GR_OK);
    memset(model->delta_before, 0xff, in_size * sizeof *d_in);
    ck_assert_int_eq(layer->kind->backward_data(model, layer, parameters, n), GR_OK);
    ck_assert_mem_eq(apart, both, size * sizeof *both);
    ck_assert_mem_eq(model->delta_before, d_in, in_size * sizeof *d_in);
    gr_free(d_in);
    gr_free(apart);
    gr_free(both);
    gr_free(delta);
    gr_free(in);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

START_TEST(an_image_has_its_bits_in_any_batch) {
    const size_t n = sizes[_i].n;
    struct gr_model *model = create(&sizes[_i]);
    struct gr_layer *layer = &model->layers[1];
    float *parameters = filled_parameters(model), *in = filled(n * layer->inputs);
    float *all = vector(n * layer->outputs);
    memcpy(layer->in, in, n * layer->inputs * sizeof *in);
    ck_assert_int_eq(layer->kind->forward(model, layer, parameters, n, false), GR_OK);
    memcpy(all, layer->out, n * layer->outputs * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        memcpy(layer->in, in + i * layer->inputs, layer->inputs * sizeof *in);
        ck_assert_int_eq(layer->kind->forward(model, layer, parameters, 1, false), GR_OK);
        ck_assert_mem_eq(layer->out, all + i * layer->outputs, layer->outputs * sizeof *all);
    }
    gr_free(all);
    gr_free(in);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* Where the definition is faster, or the type is another, oneDNN goes on. */
START_TEST(not_for_all) {
    struct gr_model *model = create(&sizes[0]);
    struct gr_layer layer = model->layers[1];
    ck_assert(gr_winograd_fits(model, &layer));
    layer.from.width = layer.config.kernel;
    ck_assert(!gr_winograd_fits(model, &layer));
    layer = model->layers[1];
    layer.config.stride = 2;
    ck_assert(!gr_winograd_fits(model, &layer));
    layer = model->layers[1];
    layer.from.channels = 24;
    ck_assert(!gr_winograd_fits(model, &layer));
    ck_assert(!gr_winograd_fits(model, &model->layers[0]));
    model->compute = GR_COMPUTE_BFLOAT16;
    ck_assert(!gr_winograd_fits(model, &model->layers[1]));
    model->pairs = model->tiles; /* oneDNN is not what has bfloat16 */
    ck_assert(gr_winograd_fits(model, &model->layers[1]));
    model->pairs = NULL;
    model->compute = GR_COMPUTE_FLOAT32;
    gr_model_free(model);
}
END_TEST

/* ---- transforms --------------------------------------------------------------------------- */

enum { CHANNELS = 32, ACROSS = 4, N_WEIGHTS = 64, POINTS = GR_WINOGRAD_POINTS };
enum { POINT = ACROSS * CHANNELS + 16, SPREAD = POINTS * POINT, IMAGE = 7 * 7 * CHANNELS };

/* Of a row of windows: from the same numbers, what each transform writes. */
struct transformed {
    float in[SPREAD], out[SPREAD], sums[CHANNELS], gathered_out[IMAGE], gathered_in[IMAGE];
    float pooled[9 * CHANNELS], out_pooled[SPREAD];
    int32_t places[9 * CHANNELS];
    float weight[POINTS * N_WEIGHTS], gathered_weight[25 * N_WEIGHTS];
};

static struct transformed *transform(const struct gr_winograd_kernels *kernels, size_t number) {
    const size_t across = (7 + kernels->side - 1) / kernels->side;
    const struct gr_extent extent = {7, 7, CHANNELS};
    const struct gr_winograd_shape shape = {extent, extent, 2, 2, across, across, {3, 3, CHANNELS}};
    float *strip = vector(6 * (4 * ACROSS + 4) * GR_WINOGRAD_LANES);
    const struct gr_winograd_row row = {&shape, number, POINT, strip};
    struct transformed *made;
    ck_assert_int_eq(gr_allocate_zero(1, sizeof *made, "v", &made), GR_OK);
    srand(6);
    float *image = filled(IMAGE), *points = filled(SPREAD), *weight = filled(POINTS * N_WEIGHTS);
    kernels->spread_in(&row, image, made->in);
    kernels->spread_out(&row, image, made->out, made->sums);
    kernels->gather_out(&row, points, image, number == 0, made->gathered_out);
    kernels->gather_pooled(&row, points, image, made->pooled, made->places);
    kernels->spread_pooled(&row, image, made->places, made->out_pooled, made->sums);
    kernels->gather_in(&row, points, made->gathered_in);
    kernels->spread_weight(weight, N_WEIGHTS, made->weight);
    kernels->gather_weight(weight, N_WEIGHTS, made->gathered_weight);
    gr_free(weight);
    gr_free(points);
    gr_free(image);
    gr_free(strip);
    return made;
}

/* The first row of windows, half of it padding, and the last, half of it beyond the image. */
START_TEST(all_sets_have_the_same_bits) {
    const size_t kernel = _i < 2 ? 5 : 3;
    const size_t number = _i % 2 == 0 ? 0 : kernel == 5 ? 3 : 1;
    size_t n;
    const struct gr_tiles *const *sets = gr_tiles_all(&n);
    struct transformed *expected = transform(gr_winograd_kernels_of(sets[n - 1], kernel), number);
    for (size_t i = 0; i + 1 < n; i++) {
        if (!gr_tiles_supported(sets[i])) continue;
        ck_assert_ptr_ne(gr_winograd_kernels_of(sets[i], kernel),
                         gr_winograd_kernels_of(sets[n - 1], kernel));
        struct transformed *found = transform(gr_winograd_kernels_of(sets[i], kernel), number);
        ck_assert_mem_eq(found, expected, sizeof *found);
        gr_free(found);
    }
    gr_free(expected);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("winograd");
    TCase *tests = tcase_create("winograd");
    tcase_set_timeout(tests, 60);
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_loop_test(tests, filtering_is_convolution, 0, (int)COUNT(sizes));
    tcase_add_loop_test(tests, halves_apart_are_both_at_once, 0, (int)COUNT(sizes));
    tcase_add_loop_test(tests, an_image_has_its_bits_in_any_batch, 0, (int)COUNT(sizes));
    tcase_add_test(tests, not_for_all);
    tcase_add_loop_test(tests, all_sets_have_the_same_bits, 0, 4);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
