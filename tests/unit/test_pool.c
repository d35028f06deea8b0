/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pools (src/model/pool.c) against their definition, number by number: what comes out and its
 * derivative, windows that overlap, leave gaps, and reach beyond the image; ties and NaN as PyTorch
 * has them; the same bits by each instruction set. test_layers.c compares whole networks with
 * PyTorch's.
 */
#include <check.h>
#include <math.h>
#include <model/network.h>
#include <model/pool.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const struct sizes {
    size_t height, width, channels;
    uint32_t kernel, stride;
    enum gr_padding padding;
} sizes[] = {
    {8, 6, 32, 2, 0, GR_PADDING_VALID}, {7, 9, 5, 2, 0, GR_PADDING_VALID},
    {7, 9, 19, 2, 0, GR_PADDING_SAME},  {9, 8, 16, 3, 2, GR_PADDING_SAME},
    {10, 11, 7, 3, 1, GR_PADDING_SAME}, {12, 13, 8, 2, 3, GR_PADDING_VALID},
    {5, 6, 33, 5, 1, GR_PADDING_SAME},  {4, 4, 1, 4, 0, GR_PADDING_VALID},
};
enum { ROWS = 3 };

static float *vector(size_t n) {
    float *made;
    ck_assert_int_eq(gr_allocate_zero(n, sizeof *made, "v", &made), GR_OK);
    return made;
}

/* Few values, so that there are ties. */
static void fill(float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        values[i] = (float)(rand() % 9 - 4) / 3.0f;
}

/* A model whose layer 1 is that pool, behind a convolution with that activation. */
static struct gr_model *create(const struct sizes *s, enum gr_layer_type type,
                               enum gr_activation activation) {
    struct gr_layer_config layers[] = {{.type = GR_LAYER_CONV,
                                        .filters = (unsigned)s->channels,
                                        .kernel = 1,
                                        .activation = activation},
                                       {.type = type,
                                        .kernel = s->kernel,
                                        .stride = s->stride,
                                        .padding = s->padding,
                                        .activation = GR_ACTIVATION_DEFAULT}};
    const struct gr_model_config config = {
        .type = GR_MODEL_CNN, .layers = layers, .layers_count = 2};
    const struct gr_row_shape row = {3, {s->height, s->width, 5}}; /* too many for direct.h */
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create_shaped(&config, &row, NULL, 2, ROWS, &model), GR_OK);
    ck_assert_int_eq(gr_model_make_room(model, ROWS), GR_OK);
    return model;
}

/* One number that goes out, and the share of its derivative that goes back. */
static void pool(const struct gr_layer *layer, const struct sizes *s, const float *in, size_t y,
                 size_t x, size_t c, float delta, float *out, float *back) {
    const bool same = s->padding == GR_PADDING_SAME;
    const long stride = s->stride ? s->stride : s->kernel, kernel = s->kernel;
    const long size[] = {(long)s->height, (long)s->width};
    const long outer[] = {(long)layer->to.height, (long)layer->to.width};
    long first[] = {(long)y * stride, (long)x * stride};
    const bool largest = layer->config.type == GR_LAYER_MAX_POOL;
    for (size_t d = 0; same && d < 2; d++)
        first[d] -=
            ((outer[d] - 1) * stride + kernel > size[d] ? (outer[d] - 1) * stride + kernel - size[d]
                                                        : 0) /
            2;
    float sum = 0, best = -INFINITY;
    size_t n = 0, place = 0;
    for (size_t pass = 0; pass < 2; pass++) /* the second knows how many there are */
        for (long i = 0; i < kernel; i++)
            for (long j = 0; j < kernel; j++) {
                const long row = first[0] + i, column = first[1] + j;
                if (row < 0 || column < 0 || row >= size[0] || column >= size[1]) continue;
                const size_t at = (size_t)(row * size[1] + column) * s->channels + c;
                if (pass == 1) {
                    if (!largest) back[at] += delta / (float)n;
                    continue;
                }
                sum += in[at];
                n++;
                if (in[at] > best) {
                    best = in[at];
                    place = at;
                }
            }
    *out = largest ? best : sum / (float)n;
    if (largest && (!layer[-1].slope_behind || best > 0)) back[place] += delta;
}

/* The pass of a row, forward and back, by the layer as it is prepared. */
static void check_rows(struct gr_model *model, const struct sizes *s, const float *in,
                       const float *delta) {
    struct gr_layer *layer = &model->layers[1];
    float *out = vector(layer->outputs), *back = vector(layer->inputs);
    memcpy(layer->in, in, ROWS * layer->inputs * sizeof *in);
    ck_assert_int_eq(layer->kind->forward(model, layer, NULL, ROWS, true), GR_OK);
    memcpy(model->delta, delta, ROWS * layer->outputs * sizeof *delta);
    memset(model->delta_before, 0xff, ROWS * layer->inputs * sizeof *delta);
    ck_assert_int_eq(gr_layer_backward(model, layer, NULL, ROWS, NULL, NULL), GR_OK);
    for (size_t n = 0; n < ROWS; n++) {
        memset(back, 0, layer->inputs * sizeof *back);
        size_t at = 0;
        for (size_t y = 0; y < layer->to.height; y++)
            for (size_t x = 0; x < layer->to.width; x++)
                for (size_t c = 0; c < s->channels; c++, at++)
                    pool(layer, s, in + n * layer->inputs, y, x, c, delta[n * layer->outputs + at],
                         &out[at], back);
        ck_assert_uint_eq(at, layer->outputs);
        ck_assert_mem_eq(layer->out + n * layer->outputs, out, layer->outputs * sizeof *out);
        for (size_t i = 0; i < layer->inputs; i++)
            ck_assert_float_eq(model->delta_before[n * layer->inputs + i], back[i]);
    }
    gr_free(back);
    gr_free(out);
}

static void check_sets(const struct sizes *s, enum gr_layer_type type,
                       enum gr_activation activation) {
    struct gr_model *model = create(s, type, activation);
    struct gr_layer *layer = &model->layers[1];
    float *in = vector(ROWS * layer->inputs), *delta = vector(ROWS * layer->outputs);
    size_t n;
    const struct gr_tiles *const *sets = gr_tiles_all(&n);
    fill(in, ROWS * layer->inputs);
    fill(delta, ROWS * layer->outputs);
    for (size_t i = 0; i < n; i++) {
        if (!gr_tiles_supported(sets[i])) continue;
        layer->kind->release(layer);
        model->tiles = sets[i];
        ck_assert_int_eq(layer->kind->prepare(model, layer), GR_OK);
        check_rows(model, s, in, delta);
    }
    gr_free(delta);
    gr_free(in);
    gr_model_free(model);
}

START_TEST(pools_are_their_definition) {
    check_sets(&sizes[_i], GR_LAYER_MAX_POOL, GR_ACTIVATION_NONE);
    check_sets(&sizes[_i], GR_LAYER_MAX_POOL, GR_ACTIVATION_RELU);
    check_sets(&sizes[_i], GR_LAYER_AVERAGE_POOL, GR_ACTIVATION_RELU);
}
END_TEST

/* A network that has gone to NaN must not look sound behind a pool. */
START_TEST(a_nan_is_the_largest) {
    const struct sizes s = {2, 2, 3, 2, 0, GR_PADDING_VALID};
    struct gr_model *model = create(&s, GR_LAYER_MAX_POOL, GR_ACTIVATION_NONE);
    struct gr_layer *layer = &model->layers[1];
    for (size_t at = 0; at < 4; at++) {
        for (size_t i = 0; i < 12; i++)
            layer->in[i] = i % 3 == 1 && i / 3 == at ? NAN : (float)i;
        ck_assert_int_eq(layer->kind->forward(model, layer, NULL, 1, true), GR_OK);
        ck_assert_float_eq(layer->out[0], 9);
        ck_assert_float_nan(layer->out[1]);
        ck_assert_float_eq(layer->out[2], 11);
    }
    gr_model_free(model);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("pool");
    TCase *tests = tcase_create("pool");
    tcase_set_timeout(tests, 60);
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_loop_test(tests, pools_are_their_definition, 0, (int)COUNT(sizes));
    tcase_add_test(tests, a_nan_is_the_largest);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
