/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of clipped gradients, of every kind of layer and loss: against PyTorch's of one row at a
 * time (torch_clipped.h, made by analysis/peers/reference_clipped_torch.py), the gradients of rows
 * alone, and the reference in double; and what privacy needs of them beyond that: no row has a
 * share in another's gradient, and none is longer than the clip.
 */
#include <check.h>
#include <granary/model.h>
#include <math.h>
#include <model/reference.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))
#define DEFAULT      .activation = GR_ACTIVATION_DEFAULT
#include "torch_clipped.h"
#define MUST(call) ck_assert_msg((call) == GR_OK, "%s", gr_message())

enum { ROWS = GR_CLIP_ROWS_MAX, BATCH = 80 };

static uint32_t hidden[] = {6, 5};
static uint32_t wide_hidden[] = {96, 40};
static struct gr_layer_config plain_net[] = {
    {.type = GR_LAYER_CONV,
     .activation = GR_ACTIVATION_TANH,
     .filters = 4,
     .kernel = 3,
     .stride = 2,
     .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_GROUP_NORM, .activation = GR_ACTIVATION_GELU, .groups = 2},
    {.type = GR_LAYER_DROPOUT, DEFAULT, .rate = 0.25},
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 3, .kernel = 2},
    {.type = GR_LAYER_MAX_POOL, DEFAULT, .kernel = 2, .stride = 1},
    {.type = GR_LAYER_DENSE, DEFAULT, .width = 9},
    {.type = GR_LAYER_DROPOUT, DEFAULT, .rate = 0.5}};
static struct gr_layer_config normed_net[] = {
    {.type = GR_LAYER_CONV,
     .activation = GR_ACTIVATION_TANH,
     .filters = 4,
     .kernel = 3,
     .stride = 2,
     .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_GROUP_NORM, .activation = GR_ACTIVATION_GELU, .groups = 2},
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 3, .kernel = 2},
    {.type = GR_LAYER_MAX_POOL, DEFAULT, .kernel = 2, .stride = 1}};
/* The second is filtered by windows, winograd.h; the third does not fit them. */
static struct gr_layer_config wide_net[] = {
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 16, .kernel = 3, .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_CONV,
     .activation = GR_ACTIVATION_GELU,
     .filters = 16,
     .kernel = 5,
     .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_AVERAGE_POOL, DEFAULT, .kernel = 2},
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 5, .kernel = 1}};
/* Both do the pools behind them on the way, direct.h and winograd.h. */
static struct gr_layer_config merged_net[] = {
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 16, .kernel = 3, .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_MAX_POOL, DEFAULT, .kernel = 2},
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 16, .kernel = 5, .padding = GR_PADDING_SAME},
    {.type = GR_LAYER_MAX_POOL, DEFAULT, .kernel = 2}};
/* Of weights so many that the rows' own derivatives have no room side by side. */
static struct gr_layer_config large_net[] = {
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 128, .kernel = 3},
    {.type = GR_LAYER_CONV, DEFAULT, .filters = 128, .kernel = 3}};
static const struct gr_code code_list[] = {{1, 3}, {3, 2}};
static const struct gr_codes codes = {COUNT(code_list), code_list};

#define CNN(net) .type = GR_MODEL_CNN, .layers = (net), .layers_count = COUNT(net)

static const struct {
    const char *name;
    struct gr_model_config config;
    struct gr_row_shape row;
    const struct gr_codes *codes;
    size_t classes;
    double clip_norm; /* which some rows are above and some below */
} models[] = {
    {"softmax", {.type = GR_MODEL_SOFTMAX}, {1, {7}}, NULL, 3, 1.5},
    {"smoothed",
     {.type = GR_MODEL_MLP, .hidden = wide_hidden, .hidden_count = 2, .label_smoothing = 0.1},
     {1, {70}},
     NULL,
     4,
     20},
    {"mlp",
     {.type = GR_MODEL_MLP, .hidden = hidden, .hidden_count = 2, .activation = GR_ACTIVATION_TANH},
     {1, {7}},
     NULL,
     4,
     1},
    {"logistic", {.type = GR_MODEL_LOGISTIC}, {1, {7}}, NULL, 2, 0.5},
    {"linear", {.type = GR_MODEL_LINEAR}, {1, {7}}, NULL, 0, 4},
    {"huber",
     {.type = GR_MODEL_LINEAR, .loss = GR_LOSS_HUBER, .huber_delta = 0.5},
     {1, {7}},
     NULL,
     0,
     0.9},
    {"poisson", {.type = GR_MODEL_POISSON}, {1, {7}}, NULL, 0, 2},
    {"embedding",
     {.type = GR_MODEL_MLP, .hidden = hidden, .hidden_count = 1, .embedding = 3},
     {1, {5}},
     &codes,
     3,
     1},
    {"bag", {.type = GR_MODEL_BAG, .embedding = 3, .vocabulary = 4}, {1, {6}}, NULL, 3, 1},
    {"plain images", {CNN(plain_net)}, {3, {7, 6, 2}}, NULL, 3, 3},
    {"wide images", {CNN(wide_net)}, {3, {8, 7, 1}}, NULL, 3, 2},
    {"pooled images", {CNN(merged_net)}, {3, {15, 14, 1}}, NULL, 3, 100},
    {"normed images", {CNN(normed_net)}, {3, {7, 6, 2}}, NULL, 3, 1.5},
    {"large images", {CNN(large_net)}, {3, {6, 6, 1}}, NULL, 3, 100},
};

/* A model with all that a test needs beside it. */
struct subject {
    int m;
    struct gr_model *model;
    const struct gr_layout *layout;
    size_t size;
    float *parameters, *sum, *other;
    double *expected;
    uint32_t keys[BATCH];
};

static void *vector(size_t n, size_t bytes) {
    void *made;
    MUST(gr_allocate_zero(n, bytes, "v", &made));
    return made;
}

static struct subject create(int m) {
    struct subject s = {.m = m};
    MUST(gr_model_create_shaped(&models[m].config, &models[m].row, models[m].codes,
                                models[m].classes, BATCH, &s.model));
    MUST(gr_model_use_weights(s.model));
    gr_model_set_mean_weight(s.model, 1.25);
    gr_model_start_round(s.model, 5, 2, 9);
    s.layout = gr_model_layout(s.model);
    s.size = s.layout->size;
    s.parameters = vector(s.size, sizeof(float));
    s.sum = vector(s.size, sizeof(float));
    s.other = vector(s.size, sizeof(float));
    s.expected = vector(s.size, sizeof(double));
    for (size_t i = 0; i < s.size; i++)
        s.parameters[i] = (float)(sin((double)i + 1) / 2);
    return s;
}

static void release(struct subject *s) {
    gr_free(s->parameters);
    gr_free(s->sum);
    gr_free(s->other);
    gr_free(s->expected);
    gr_model_free(s->model);
}

/* A feature's value: a code of that column, an id (some of them twice, some none), or a number;
 * some rows are a hundred times the others. */
static float feature(int m, size_t row, size_t i) {
    if (models[m].config.type == GR_MODEL_BAG) return (float)((row * 3 + i * i) % 5);
    for (size_t k = 0; models[m].codes && k < codes.n; k++)
        if (codes.list[k].feature == i)
            return (float)((row + i) % (codes.list[k].n_categories + 1));
    return (float)(cos((double)(row * 31 + i * (row % 5 + 1))) * (row % 3 == 0 ? 0.1 : 1.5));
}

/* Row `row` as the batch's at `at`. */
static void put(struct subject *s, size_t at, size_t row) {
    const size_t inputs = gr_model_inputs(s->model);
    for (size_t i = 0; i < inputs; i++)
        gr_model_batch_features(s->model)[at * inputs + i] = feature(s->m, row, i);
    gr_model_batch_labels(s->model)[at] = (int32_t)(row % (models[s->m].classes == 2 ? 2 : 3));
    if (gr_model_batch_targets(s->model)) gr_model_batch_targets(s->model)[at] = (float)(row % 3);
    gr_model_batch_weights(s->model)[at] = (float)(0.25 + 0.5 * (double)(row % 4));
    s->keys[at] = (uint32_t)(1000 + row);
}

static void put_all(struct subject *s, size_t n) {
    for (size_t i = 0; i < n; i++)
        put(s, i, i);
}

static void take(struct subject *s, size_t n, double clip_norm, float *sum) {
    gr_model_key_rows(s->model, ((uint64_t)3 << 32) + 7, s->keys);
    MUST(gr_model_clipped_sum(s->model, s->parameters, n, clip_norm, sum));
}

static double norm_of(const float *x, size_t n) {
    long double square = 0;
    for (size_t i = 0; i < n; i++)
        square += (long double)x[i] * (long double)x[i];
    return (double)sqrtl(square);
}

/* s->sum and s->other: the same numbers. */
static void check_same(const struct subject *s, const char *what, size_t which) {
    for (size_t i = 0; i < s->size; i++)
        if (!(s->sum[i] == s->other[i]))
            ck_abort_msg("%s, %s %zu: %.9g, not %.9g", models[s->m].name, what, which,
                         (double)s->sum[i], (double)s->other[i]);
}

/* Tensor by tensor, so that a layer that is left out shows however small it is. */
static void compare(const struct subject *s, const float *found, double tolerance) {
    for (size_t t = 0; t < s->layout->n_tensors; t++) {
        const struct gr_tensor *tensor = &s->layout->tensors[t];
        double error = 0, square = 0;
        for (size_t i = tensor->offset; i < tensor->offset + tensor->n_elements; i++) {
            const double e = (double)found[i] - s->expected[i];
            error += e * e;
            square += s->expected[i] * s->expected[i];
        }
        ck_assert_msg(square > 0 && error <= tolerance * tolerance * square,
                      "%s, %s: off by %.3g of %.6g", models[s->m].name, tensor->name, sqrt(error),
                      sqrt(square));
    }
}

/* A row alone without a clip, of the masks that its key has. */
static void gradient_alone(struct subject *s, size_t row, float *gradient) {
    put(s, 0, row);
    take(s, 1, 1e30, gradient);
}

/* expected += the row clipped, in double; returns whether it was longer. */
static bool add_expected(struct subject *s, size_t row, double clip_norm) {
    gradient_alone(s, row, s->other);
    const double norm = norm_of(s->other, s->size);
    const double factor = norm > clip_norm ? clip_norm / norm : 1;
    for (size_t i = 0; i < s->size; i++)
        s->expected[i] += factor * (double)s->other[i];
    return norm > clip_norm;
}

START_TEST(sums_are_those_of_rows_alone) {
    struct subject s = create(_i);
    const double clip_norm = models[_i].clip_norm;
    size_t clipped = 0;
    for (size_t r = 0; r < ROWS; r++)
        clipped += add_expected(&s, r, clip_norm);
    ck_assert_msg(clipped > 4 && clipped < ROWS - 4, "%s: %zu rows are clipped", models[_i].name,
                  clipped);
    put_all(&s, ROWS);
    memset(s.sum, 0xff, s.size * sizeof *s.sum); /* NaN */
    take(&s, ROWS, clip_norm, s.sum);
    compare(&s, s.sum, 1e-5);
    for (size_t t = 0; t < s.layout->n_tensors; t++) {
        const struct gr_tensor *tensor = &s.layout->tensors[t];
        const size_t end = tensor->offset + tensor->n_elements;
        const size_t next = t + 1 < s.layout->n_tensors ? tensor[1].offset : s.size;
        for (size_t i = end; i < next; i++)
            ck_assert(s.sum[i] == 0);
    }
    release(&s);
}
END_TEST

START_TEST(sums_are_pytorchs) {
    int m = 0;
    while (strcmp(models[m].name, torch_clipped[_i].name) != 0)
        m++;
    struct subject s = create(m);
    double error = 0, square = 0;
    put_all(&s, ROWS);
    take(&s, ROWS, models[m].clip_norm, s.sum);
    ck_assert((s.size - 1) / torch_clipped[_i].every == torch_clipped[_i].n - 1);
    for (size_t k = 0; k < torch_clipped[_i].n; k++) {
        const double expected = torch_clipped[_i].value[k];
        error += pow((double)s.sum[k * torch_clipped[_i].every] - expected, 2);
        square += expected * expected;
    }
    ck_assert_msg(error <= 1e-10 * square, "%s: off by %g of %g", models[m].name, sqrt(error),
                  sqrt(square));
    release(&s);
}
END_TEST

/* Of n rows n^2 2^-24 clips: what the sensitivity of a private step allows for them. */
START_TEST(roundings_stay_within_their_bound) {
    struct subject s = create(_i);
    const double clip_norm = models[_i].clip_norm;
    double square = 0;
    for (size_t r = 0; r < ROWS; r++) {
        put(&s, 0, r);
        take(&s, 1, clip_norm, s.other);
        for (size_t i = 0; i < s.size; i++)
            s.expected[i] += (double)s.other[i];
    }
    put_all(&s, ROWS);
    take(&s, ROWS, clip_norm, s.sum);
    for (size_t i = 0; i < s.size; i++)
        square += pow((double)s.sum[i] - s.expected[i], 2);
    ck_assert_msg(sqrt(square) <= ROWS * ROWS * 0x1p-24 * clip_norm, "%s: off by %g clips",
                  models[_i].name, sqrt(square) / clip_norm);
    release(&s);
}
END_TEST

/* gr_model_gradient has what is wanted of a row alone, but for dropout and the mean weight. */
START_TEST(rows_alone_are_gradients) {
    struct subject s = create(_i);
    double loss_sum;
    for (size_t l = 0; l < models[_i].config.layers_count; l++)
        if (models[_i].config.layers[l].type == GR_LAYER_DROPOUT) goto out;
    for (size_t r = 0; r < 9; r++) {
        gradient_alone(&s, r, s.sum);
        put(&s, 0, r);
        MUST(gr_model_gradient(s.model, s.parameters, 1, s.other, &loss_sum));
        for (size_t i = 0; i < s.size; i++)
            s.expected[i] = 1.25 * (double)s.other[i];
        double error = 0;
        for (size_t i = 0; i < s.size; i++)
            error += pow((double)s.sum[i] - s.expected[i], 2);
        ck_assert_msg(sqrt(error) <= 1e-5 * norm_of(s.sum, s.size), "%s, row %zu: off by %g",
                      models[_i].name, r, sqrt(error));
    }
out:
    release(&s);
}
END_TEST

/* The others weigh nothing, so that the sum is the row's own, to the bit. */
START_TEST(rows_have_their_bits_in_any_company) {
    static const size_t sizes[] = {1, 7, ROWS};
    struct subject s = create(_i);
    for (size_t row = 0; row < 6; row++)
        for (size_t k = 0; k < COUNT(sizes); k++) {
            const size_t at = (row * 5 + k) % sizes[k];
            put(&s, 0, row);
            take(&s, 1, models[_i].clip_norm, s.other);
            for (size_t i = 0; i < sizes[k]; i++) {
                put(&s, i, i == at ? row : row + 7 * i + 3);
                if (i != at) gr_model_batch_weights(s.model)[i] = 0;
            }
            take(&s, sizes[k], models[_i].clip_norm, s.sum);
            check_same(&s, "row", row);
        }
    release(&s);
}
END_TEST

/* Spoils the row that lies at `at` in the batch. */
static void spoil(struct subject *s, size_t at, size_t how) {
    const size_t inputs = gr_model_inputs(s->model);
    float *features = gr_model_batch_features(s->model) + at * inputs;
    const float wrong[] = {NAN, INFINITY, -INFINITY, 0.5f};
    if (how < COUNT(wrong))
        features[how == 3 ? 1 : inputs - 1 - how % inputs] = wrong[how];
    else
        gr_model_batch_weights(s->model)[at] = how % 2 ? NAN : INFINITY;
}

START_TEST(rows_that_are_not_finite_count_as_zero) {
    struct subject s = create(_i);
    const bool tables = models[_i].codes || models[_i].config.type == GR_MODEL_BAG;
    for (size_t how = 0; how < 6; how++) {
        if (how == 3 && !tables) continue; /* it is a number like any other */
        put_all(&s, ROWS);
        for (size_t i = 0; i < ROWS; i++)
            if (i % 9 == 4) gr_model_batch_weights(s.model)[i] = 0;
        take(&s, ROWS, models[_i].clip_norm, s.other);
        put_all(&s, ROWS);
        for (size_t i = 0; i < ROWS; i++)
            if (i % 9 == 4) spoil(&s, i, how);
        take(&s, ROWS, models[_i].clip_norm, s.sum);
        check_same(&s, "wrong in way", how);
    }
    release(&s);
}
END_TEST

/* Features that the first layer takes as they are, and of which it makes an infinite output. */
START_TEST(rows_that_overflow_inside_count_as_zero) {
    enum { MODEL = 1 }; /* with relu behind a dense layer */
    struct subject s = create(MODEL);
    const size_t inputs = gr_model_inputs(s.model);
    put_all(&s, ROWS);
    for (size_t i = 0; i < ROWS; i += 5)
        gr_model_batch_weights(s.model)[i] = 0;
    take(&s, ROWS, models[MODEL].clip_norm, s.other);
    put_all(&s, ROWS);
    for (size_t i = 0; i < ROWS; i += 5)
        for (size_t j = 0; j < inputs; j++)
            gr_model_batch_features(s.model)[i * inputs + j] =
                copysignf(3e38f, s.parameters[j * wide_hidden[0]]);
    take(&s, ROWS, models[MODEL].clip_norm, s.sum);
    check_same(&s, "row", 0);
    release(&s);
}
END_TEST

/* 1000 rows, some of huge features and of factors below the normal numbers. */
START_TEST(no_row_is_longer_than_the_clip) {
    struct subject s = create(_i);
    const bool numbers = models[_i].config.type != GR_MODEL_BAG && !models[_i].codes;
    for (size_t row = 0; row < 1000; row++) {
        const double clip_norm = ldexp(models[_i].clip_norm, row % 3 ? 0 : -30);
        put(&s, 0, row);
        for (size_t i = 0; numbers && row % 2 && i < gr_model_inputs(s.model); i++)
            gr_model_batch_features(s.model)[i] *= (float)ldexp(1, (int)(row % 240) - 120);
        gr_model_batch_weights(s.model)[0] = (float)ldexp(1, (int)(row % 7) * 20 - 40);
        take(&s, 1, clip_norm, s.sum);
        const double norm = norm_of(s.sum, s.size) / clip_norm;
        ck_assert_msg(norm <= 1 + 0x1p-22, "%s, row %zu: %.12g clips", models[_i].name, row, norm);
    }
    release(&s);
}
END_TEST

/* By how much a sum differs that has one row less, wherever the others come to lie. */
START_TEST(a_row_moves_a_sum_by_the_clip_at_most) {
    struct subject s = create(_i);
    const double clip_norm = models[_i].clip_norm;
    put_all(&s, ROWS);
    take(&s, ROWS, clip_norm, s.sum);
    for (size_t row = 0; row < ROWS; row++) {
        put_all(&s, ROWS);
        put(&s, row, ROWS - 1);
        take(&s, ROWS - 1, clip_norm, s.other);
        for (size_t i = 0; i < s.size; i++)
            s.other[i] -= s.sum[i];
        const double norm = norm_of(s.other, s.size);
        ck_assert_msg(norm <= (1 + 0x1p-22 + 2 * 0x1p-12) * clip_norm, "%s, without row %zu: %.12g",
                      models[_i].name, row, norm);
    }
    release(&s);
}
END_TEST

/* ---- units ---------------------------------------------------------------------------------- */

START_TEST(units_are_means_of_their_rows) {
    static const size_t first_row[] = {0, 1, 1, 8, 10, 70, BATCH};
    enum { UNITS = COUNT(first_row) - 1 };
    struct subject s = create(_i);
    const double clip_norm = models[_i].clip_norm;
    for (size_t u = 0; u < UNITS; u++) {
        const size_t n = first_row[u + 1] - first_row[u];
        double *mean = vector(s.size, sizeof *mean), square = 0;
        for (size_t row = first_row[u]; row < first_row[u + 1]; row++) {
            gradient_alone(&s, row, s.other);
            for (size_t i = 0; i < s.size; i++)
                mean[i] += (double)s.other[i] / (double)n;
        }
        for (size_t i = 0; i < s.size; i++)
            square += mean[i] * mean[i];
        for (size_t i = 0; i < s.size && u != 3; i++)
            s.expected[i] += mean[i] * fmin(1, clip_norm / sqrt(square + 1e-300));
        gr_free(mean);
    }
    put_all(&s, BATCH);
    gr_model_batch_weights(s.model)[9] = NAN; /* of unit 3 */
    gr_model_key_rows(s.model, ((uint64_t)3 << 32) + 7, s.keys);
    MUST(gr_model_clipped_units(s.model, s.parameters, first_row, UNITS, clip_norm, s.sum));
    compare(&s, s.sum, 2e-5);
    release(&s);
}
END_TEST

/* ---- dropout -------------------------------------------------------------------------------- */

/* The plain images have two layers of it, one of them behind the other's mask. */
enum { DROPPING = 9 };

START_TEST(masks_follow_from_key_and_step) {
    struct subject s = create(DROPPING);
    put(&s, 0, 1);
    take(&s, 1, 1e30, s.sum);
    for (int change = 0; change < 5; change++) {
        uint64_t step = ((uint64_t)3 << 32) + 7;
        gr_model_start_round(s.model, change == 3 ? 6 : 5, 2, change == 4 ? 8 : 9);
        put(&s, 0, 1);
        s.keys[0] += change == 0;
        step += change == 1 ? 1 : change == 2 ? (uint64_t)1 << 32 : 0;
        gr_model_key_rows(s.model, step, s.keys);
        MUST(gr_model_clipped_sum(s.model, s.parameters, 1, 1e30, s.other));
        ck_assert_msg(memcmp(s.sum, s.other, s.size * sizeof *s.sum) != 0, "change %d", change);
    }
    release(&s);
}
END_TEST

START_TEST(what_cannot_be_promised_is_refused) {
    struct subject s = create(DROPPING);
    put_all(&s, BATCH);
    ck_assert(gr_model_clipped_sum(s.model, s.parameters, 1, 1, s.sum) == GR_ERROR_INTERNAL);
    ck_assert(strstr(gr_message(), "dropout"));
    /* Keys are forgotten, whether or not the sum was taken. */
    gr_model_key_rows(s.model, 1, s.keys);
    ck_assert(gr_model_clipped_sum(s.model, s.parameters, 0, 1, s.sum) == GR_ERROR_INTERNAL);
    ck_assert(gr_model_clipped_sum(s.model, s.parameters, 1, 1, s.sum) == GR_ERROR_INTERNAL);
    gr_model_key_rows(s.model, 1, s.keys);
    ck_assert(gr_model_clipped_sum(s.model, s.parameters, ROWS + 1, 1, s.sum) == GR_ERROR_INTERNAL);
    release(&s);
    s = create(0);
    put_all(&s, BATCH);
    ck_assert(gr_model_clipped_sum(s.model, s.parameters, 1, 0, s.sum) == GR_ERROR_INTERNAL);
    ck_assert(gr_model_clipped_sum(s.model, s.parameters, 1, (double)NAN, s.sum) ==
              GR_ERROR_INTERNAL);
    MUST(gr_model_clipped_sum(s.model, s.parameters, 1, 1, s.sum));
    const size_t rows[] = {0, BATCH + 1};
    ck_assert(gr_model_clipped_units(s.model, s.parameters, rows, 1, 1, s.sum) ==
              GR_ERROR_INTERNAL);
    release(&s);
}
END_TEST

START_TEST(bfloat16_is_refused) {
    struct gr_model_config config = models[0].config;
    struct gr_model *model;
    float parameters[64] = {0}, sum[64];
    config.compute = GR_COMPUTE_BFLOAT16;
    if (gr_model_create(&config, 7, 3, 4, &model) != GR_OK) return; /* not here at all */
    ck_assert(gr_model_clipped_sum(model, parameters, 1, 1, sum) == GR_ERROR_CONFIG);
    ck_assert(strstr(gr_message(), "bfloat16"));
    gr_model_free(model);
}
END_TEST

/* ---- the reference in double ------------------------------------------------------------------
 */

START_TEST(sums_are_the_references) {
    static const size_t widths[] = {7, 6, 5, 4};
    enum { MLP = 2, SCRATCH = 3 * (7 + 6 + 5 + 4) };
    struct subject s = create(MLP);
    const struct gr_reference_network network = {COUNT(widths), widths, GR_ACTIVATION_TANH,
                                                 s.layout};
    double *parameters = vector(s.size, sizeof *parameters);
    double *gradient = vector(s.size, sizeof *gradient), scratch[SCRATCH];
    for (size_t i = 0; i < s.size; i++)
        parameters[i] = (double)s.parameters[i];
    put_all(&s, ROWS);
    for (size_t r = 0; r < ROWS; r++) {
        const double w = (double)gr_model_batch_weights(s.model)[r];
        double square = 0;
        gr_reference_loss(&network, parameters, gr_model_batch_features(s.model) + 7 * r,
                          gr_model_batch_labels(s.model) + r, 1, scratch, gradient);
        for (size_t i = 0; i < s.size; i++)
            square += w * w * gradient[i] * gradient[i];
        for (size_t i = 0; i < s.size; i++)
            s.expected[i] += w * gradient[i] * fmin(1, models[MLP].clip_norm / sqrt(square));
    }
    take(&s, ROWS, models[MLP].clip_norm, s.sum);
    compare(&s, s.sum, 1e-5);
    gr_free(parameters);
    gr_free(gradient);
    release(&s);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("clipped sum");
    TCase *tcase = tcase_create("clipped sum");
    tcase_add_loop_test(tcase, sums_are_those_of_rows_alone, 0, (int)COUNT(models));
    tcase_add_loop_test(tcase, sums_are_pytorchs, 0, (int)COUNT(torch_clipped));
    tcase_add_loop_test(tcase, roundings_stay_within_their_bound, 0, (int)COUNT(models));
    tcase_add_loop_test(tcase, rows_alone_are_gradients, 0, (int)COUNT(models));
    tcase_add_loop_test(tcase, rows_have_their_bits_in_any_company, 0, (int)COUNT(models));
    tcase_add_loop_test(tcase, rows_that_are_not_finite_count_as_zero, 0, (int)COUNT(models));
    tcase_add_loop_test(tcase, no_row_is_longer_than_the_clip, 0, (int)COUNT(models));
    tcase_add_test(tcase, rows_that_overflow_inside_count_as_zero);
    tcase_add_loop_test(tcase, a_row_moves_a_sum_by_the_clip_at_most, 0, (int)COUNT(models));
    tcase_add_loop_test(tcase, units_are_means_of_their_rows, 0, (int)COUNT(models));
    tcase_add_test(tcase, masks_follow_from_key_and_step);
    tcase_add_test(tcase, what_cannot_be_promised_is_refused);
    tcase_add_test(tcase, bfloat16_is_refused);
    tcase_add_test(tcase, sums_are_the_references);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
