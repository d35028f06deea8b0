/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Convolutions that take the max pool behind them along, by direct.h and by winograd.h, against the
 * definition in double: what comes out of the pool, and all derivatives; an image has its bits in
 * any batch; all instruction sets that fuse give the same bits. test_layers.c compares them with
 * PyTorch's, test_row_norms.c has the norms of rows.
 */
#include <check.h>
#include <math.h>
#include <model/direct.h>
#include <model/network.h>
#include <model/reference.h>
#include <model/winograd.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct sizes {
    bool direct; /* the first layer; else the second */
    size_t height, width, channels, filters, kernel, n;
    enum gr_padding padding;
} sizes[] = {
    {true, 28, 28, 1, 32, 5, 3, GR_PADDING_SAME}, /* McMahan's */
    {true, 9, 12, 3, 48, 3, 2, GR_PADDING_VALID},   {true, 11, 7, 2, 16, 4, 5, GR_PADDING_SAME},
    {true, 6, 5, 4, 16, 1, 1, GR_PADDING_VALID},    {true, 8, 9, 3, 64, 7, 2, GR_PADDING_SAME},
    {false, 14, 14, 32, 64, 5, 3, GR_PADDING_SAME}, /* McMahan's */
    {false, 11, 9, 16, 48, 5, 4, GR_PADDING_VALID}, {false, 7, 10, 16, 16, 5, 5, GR_PADDING_VALID},
    {false, 14, 14, 32, 64, 3, 3, GR_PADDING_SAME}, {false, 11, 9, 16, 48, 3, 4, GR_PADDING_VALID},
    {false, 7, 6, 16, 16, 3, 5, GR_PADDING_SAME},
};

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

/* n random numbers up to `most`. */
static float *filled(size_t n, float most) {
    float *made = vector(n);
    for (size_t i = 0; i < n; i++)
        made[i] = most * (float)(rand() % 200001 - 100000) / 1e5f;
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

static struct gr_model *create(const struct sizes *s) {
    struct gr_layer_config layers[] = {
        {.type = GR_LAYER_CONV, .filters = (unsigned)s->channels, .kernel = 1},
        {.type = GR_LAYER_CONV,
         .filters = (unsigned)s->filters,
         .kernel = (unsigned)s->kernel,
         .padding = s->padding,
         .activation = GR_ACTIVATION_RELU},
        {.type = GR_LAYER_MAX_POOL, .kernel = 2, .activation = GR_ACTIVATION_DEFAULT}};
    const struct gr_model_config config = {
        .type = GR_MODEL_CNN, .layers = layers + s->direct, .layers_count = 3 - s->direct};
    const struct gr_row_shape row = {3, {s->height, s->width, s->direct ? s->channels : 1}};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create_shaped(&config, &row, NULL, 2, s->n, &model), GR_OK);
    ck_assert_int_eq(gr_model_make_room(model, s->n), GR_OK);
    struct gr_layer *layer = &model->layers[!s->direct];
    ck_assert_ptr_eq(layer->kind, s->direct ? &gr_layer_direct : &gr_layer_winograd);
    ck_assert(layer[1].merged && !layer->out);
    if (s->direct) layer->in = model->features;
    return model;
}

/* In double, by definition. */
struct expected {
    double *out, *d_in, *d_weight, *d_bias;
};

/* out: the pool's; slopes: the derivative by the convolution's outputs, of one image. */
static void pool(const struct gr_layer *layer, const double *sums, const float *bias,
                 const float *delta, double *out, float *slopes) {
    const struct gr_extent *from = &layer->to, *to = &layer[1].to;
    for (size_t i = 0; i < layer[1].outputs; i++) {
        const size_t c = i % to->channels, x = i / to->channels % to->width,
                     y = i / to->channels / to->width;
        size_t most = 0;
        for (size_t q = 0; q < 4; q++) {
            const size_t at = ((2 * y + q / 2) * from->width + 2 * x + q % 2) * from->channels + c;
            if (q == 0 || sums[at] > sums[most]) most = at;
        }
        out[i] = fmax(0, sums[most] + (double)bias[c]);
        if (out[i] > 0) slopes[most] = delta[i];
    }
}

static struct expected expect(const struct gr_layer *layer, size_t n, const float *in,
                              const float *parameters, const float *delta) {
    const size_t kernel = layer->config.kernel, outputs = layer[1].outputs;
    const size_t before = layer->config.padding == GR_PADDING_SAME ? (kernel - 1) / 2 : 0;
    const struct gr_reference_conv conv = {layer->from, layer->to, kernel, before, before};
    const float *weight = parameters + layer->weight;
    const struct expected e = {zeros(n * outputs), zeros(n * layer->inputs),
                               zeros(layer->n_weights), zeros(layer->n_biases)};
    float *slopes = vector(layer->outputs);
    double *sums = zeros(layer->outputs);
    for (size_t i = 0; i < n; i++) {
        const float *image = in + i * layer->inputs;
        double *d_in = e.d_in + i * layer->inputs;
        memset(slopes, 0, layer->outputs * sizeof *slopes);
        memset(sums, 0, layer->outputs * sizeof *sums);
        gr_reference_convolve(&conv, image, weight, slopes, sums, d_in, e.d_weight);
        pool(layer, sums, parameters + layer->bias, delta + i * outputs, e.out + i * outputs,
             slopes);
        gr_reference_convolve(&conv, image, weight, slopes, sums, d_in, e.d_weight);
        for (size_t j = 0; j < layer->outputs; j++)
            e.d_bias[j % layer->n_biases] += (double)slopes[j];
    }
    gr_free(sums);
    gr_free(slopes);
    return e;
}

static void release(struct expected *e) {
    gr_free(e->out);
    gr_free(e->d_in);
    gr_free(e->d_weight);
    gr_free(e->d_bias);
}

/* A forward and a backward pass, twice: nothing is left from the time before. */
static void check_passes(struct gr_model *model, struct gr_layer *layer, size_t n,
                         const float *parameters, const float *delta, float *gradient,
                         const struct expected *e) {
    const struct gr_target target = {.vector = gradient};
    const size_t outputs = layer[1].outputs;
    for (size_t twice = 0; twice < 2; twice++) {
        memset(layer[1].out, 0xff, n * outputs * sizeof(float));
        ck_assert_int_eq(layer->kind->forward(model, layer, parameters, n, true), GR_OK);
        check_near("out", layer[1].out, e->out, n * outputs);
        memcpy(model->delta, delta, n * outputs * sizeof *delta);
        ck_assert_int_eq(gr_layer_backward(model, layer, parameters, n, &target, NULL), GR_OK);
        if (!layer->first) check_near("in's", model->delta_before, e->d_in, n * layer->inputs);
        check_near("weight's", gradient + layer->weight, e->d_weight, layer->n_weights);
        check_near("bias's", gradient + layer->bias, e->d_bias, layer->n_biases);
    }
}

/* By each instruction set; those that fuse give the bits of the first. */
START_TEST(pooled_convolutions_are_their_definition) {
    const size_t n = sizes[_i].n;
    struct gr_model *model = create(&sizes[_i]);
    struct gr_layer *layer = &model->layers[!sizes[_i].direct];
    const size_t size = gr_model_layout(model)->size, outputs = layer[1].outputs;
    float *parameters = filled(size, 1.0f / 16), *in = filled(n * layer->inputs, 1);
    float *delta = filled(n * outputs, 1), *gradient = vector(size), *first = vector(size);
    float *out = vector(n * outputs);
    struct expected e = expect(layer, n, in, parameters, delta);
    size_t n_sets, fused = 0;
    const struct gr_tiles *const *sets = gr_tiles_all(&n_sets);
    memcpy(layer->in, in, n * layer->inputs * sizeof *in);
    for (size_t i = 0; i < n_sets; i++) {
        if (!gr_tiles_supported(sets[i])) continue;
        layer->kind->release(layer);
        model->tiles = sets[i];
        ck_assert_int_eq(layer->kind->prepare(model, layer), GR_OK);
        check_passes(model, layer, n, parameters, delta, gradient, &e);
        if (i + 1 == n_sets) break; /* portable */
        if (fused++ == 0) {
            memcpy(first, gradient, size * sizeof *first);
            memcpy(out, layer[1].out, n * outputs * sizeof *out);
        }
        ck_assert_mem_eq(gradient, first, size * sizeof *first);
        ck_assert_mem_eq(layer[1].out, out, n * outputs * sizeof *out);
    }
    release(&e);
    gr_free(out);
    gr_free(first);
    gr_free(gradient);
    gr_free(delta);
    gr_free(in);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

START_TEST(an_image_has_its_bits_in_any_batch) {
    const size_t n = sizes[_i].n;
    struct gr_model *model = create(&sizes[_i]);
    struct gr_layer *layer = &model->layers[!sizes[_i].direct];
    const size_t outputs = layer[1].outputs;
    float *parameters = filled(gr_model_layout(model)->size, 1.0f / 16);
    float *in = filled(n * layer->inputs, 1), *all = vector(n * outputs);
    memcpy(layer->in, in, n * layer->inputs * sizeof *in);
    ck_assert_int_eq(layer->kind->forward(model, layer, parameters, n, false), GR_OK);
    memcpy(all, layer[1].out, n * outputs * sizeof *all);
    for (size_t i = 0; i < n; i++) {
        memcpy(layer->in, in + i * layer->inputs, layer->inputs * sizeof *in);
        ck_assert_int_eq(layer->kind->forward(model, layer, parameters, 1, false), GR_OK);
        ck_assert_mem_eq(layer[1].out, all + i * outputs, outputs * sizeof *all);
    }
    gr_free(all);
    gr_free(in);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* A network that has gone to NaN must not look sound behind relu and a pool. */
START_TEST(a_nan_comes_through) {
    struct gr_model *model = create(&sizes[_i]);
    struct gr_layer *layer = &model->layers[!sizes[_i].direct];
    float *parameters = filled(gr_model_layout(model)->size, 1.0f / 16);
    parameters[layer->bias] = NAN;
    ck_assert_int_eq(layer->kind->forward(model, layer, parameters, 1, true), GR_OK);
    for (size_t i = 0; i < layer[1].outputs; i++)
        ck_assert_int_eq(isnan(layer[1].out[i]) != 0, i % layer->n_biases == 0);
    gr_free(parameters);
    gr_model_free(model);
}
END_TEST

/* A layer, its pool behind it as configured, and whether they go together; in bfloat16 not where
 * oneDNN has all products. */
static void check_merges(struct gr_layer_config conv, struct gr_layer_config max_pool,
                         enum gr_compute compute, size_t height, bool merges) {
    struct gr_layer_config layers[] = {conv, max_pool};
    const struct gr_model_config config = {
        .type = GR_MODEL_CNN, .layers = layers, .layers_count = 2, .compute = compute};
    const struct gr_row_shape row = {2, {height, 8}};
    struct gr_model *model;
    if (gr_model_create_shaped(&config, &row, NULL, 2, 1, &model) != GR_OK) {
        ck_assert_int_eq(compute, GR_COMPUTE_BFLOAT16); /* this processor has none */
        return;
    }
    if (compute == GR_COMPUTE_BFLOAT16) merges = model->pairs != NULL;
    ck_assert_int_eq(model->layers[1].merged, merges);
    ck_assert_int_eq(model->layers[0].kind == &gr_layer_direct, merges);
    gr_model_free(model);
}

START_TEST(not_all_go_together) {
    const struct gr_layer_config conv = {.type = GR_LAYER_CONV,
                                         .activation = GR_ACTIVATION_RELU,
                                         .filters = 16,
                                         .kernel = 3},
                                 largest = {.type = GR_LAYER_MAX_POOL,
                                            .activation = GR_ACTIVATION_DEFAULT,
                                            .kernel = 2};
    struct gr_layer_config other = conv, pool_of = largest;
    check_merges(conv, largest, GR_COMPUTE_FLOAT32, 9, true);
    check_merges(conv, largest, GR_COMPUTE_BFLOAT16, 9, true);
    other.activation = GR_ACTIVATION_TANH;
    check_merges(other, largest, GR_COMPUTE_FLOAT32, 9, false);
    other = conv;
    other.stride = 2;
    check_merges(other, largest, GR_COMPUTE_FLOAT32, 9, false);
    other = conv;
    other.filters = 24;
    check_merges(other, largest, GR_COMPUTE_FLOAT32, 9, false);
    pool_of.stride = 1;
    check_merges(conv, pool_of, GR_COMPUTE_FLOAT32, 9, false);
    pool_of = largest;
    pool_of.kernel = 3;
    check_merges(conv, pool_of, GR_COMPUTE_FLOAT32, 9, false);
    pool_of = largest;
    pool_of.type = GR_LAYER_AVERAGE_POOL;
    check_merges(conv, pool_of, GR_COMPUTE_FLOAT32, 9, false);
    pool_of = largest;
    pool_of.padding = GR_PADDING_SAME; /* a square that is half outside */
    check_merges(conv, pool_of, GR_COMPUTE_FLOAT32, 9, false);
    check_merges(conv, pool_of, GR_COMPUTE_FLOAT32, 10, true);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("direct");
    TCase *tests = tcase_create("direct");
    tcase_set_timeout(tests, 60);
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_loop_test(tests, pooled_convolutions_are_their_definition, 0, (int)COUNT(sizes));
    tcase_add_loop_test(tests, an_image_has_its_bits_in_any_batch, 0, (int)COUNT(sizes));
    tcase_add_loop_test(tests, a_nan_comes_through, 0, 5); /* by filtering, NaN spreads */
    tcase_add_test(tests, not_all_go_together);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
