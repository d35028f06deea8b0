/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private steps against closed forms: the binomial number of rows in a step, the variance of the
 * noise, the clipped sum taken one row at a time in double precision, and how far one row moves a
 * sum when all secrets stay.
 *
 * slow: noise is drawn for moments.
 */
#include "scratch.h"

#include <check.h>
#include <config/privacy_plan.h>
#include <data/rows.h>
#include <granary/train.h>
#include <math.h>
#include <privacy/correlated_noise.h>
#include <privacy/secret_draw.h>
#include <privacy/sensitivity.h>
#include <stdlib.h>
#include <string.h>
#include <train/private_steps.h>

enum { FEATURES = 30, CLASSES = 7 };

static unsigned char secret[GR_SECRET_BYTES] = {1, 2, 3};

static struct gr_rows random_rows(size_t n) {
    struct gr_rows rows = {
        .n_rows = n, .n_features = FEATURES, .element = GR_ELEMENT_FLOAT32, .scale = 1};
    uint64_t state = 7;
    ck_assert_int_eq(gr_allocate_zero(n * FEATURES, sizeof(float), "rows", &rows.features), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(n, sizeof *rows.labels, "labels", &rows.labels), GR_OK);
    for (size_t i = 0; i < n * FEATURES; i++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        ((float *)rows.features)[i] = (float)(state >> 40) / (float)(1 << 23) - 1;
    }
    for (size_t i = 0; i < n; i++)
        rows.labels[i] = (int32_t)((i * 5 + i / 11) % CLASSES);
    return rows;
}

static struct gr_model *create_model(void) {
    static uint32_t hidden = 16;
    struct gr_model_config config = {.type = GR_MODEL_MLP, .hidden = &hidden, .hidden_count = 1};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create(&config, FEATURES, CLASSES, GR_CLIP_ROWS_MAX, &model), GR_OK);
    return model;
}

static float *create_parameters(const struct gr_model *model) {
    float *made;
    ck_assert_int_eq(
        gr_allocate_zero(gr_model_layout(model)->size, sizeof *made, "parameters", &made), GR_OK);
    ck_assert_int_eq(gr_model_initialise(model, 3, made), GR_OK);
    return made;
}

static struct gr_private_steps *create_steps(struct gr_model *model,
                                             const struct gr_privacy_config *config) {
    struct gr_private_steps *steps;
    ck_assert_int_eq(gr_private_steps_create(config, model, &steps), GR_OK);
    gr_private_steps_start(steps, secret);
    return steps;
}

/* ---- draws ----------------------------------------------------------------------------------- */

/* Binomial(n, p): within five standard deviations. The second probability is one of which the
 * upper 16 bits of a draw decide nothing. */
START_TEST(units_are_drawn_with_the_probability) {
    enum { N = 4000000 };
    const double probabilities[] = {256.0 / 7500, 0x1p-17, 0.75, 0x1.8p-16};
    uint32_t *drawn;
    ck_assert_int_eq(gr_allocate(N, sizeof *drawn, "draws", &drawn), GR_OK);
    for (size_t p = 0; p < sizeof probabilities / sizeof *probabilities; p++) {
        const uint64_t inclusion = (uint64_t)ldexp(probabilities[p], 64);
        const uint32_t count = gr_secret_include(secret, p, inclusion, N, drawn);
        const double mean = probabilities[p] * N;
        ck_assert_double_lt(fabs(count - mean), 5 * sqrt(mean * (1 - probabilities[p])));
        for (uint32_t i = 1; i < count; i++)
            ck_assert_uint_lt(drawn[i - 1], drawn[i]);
    }
    ck_assert_uint_eq(gr_secret_include(secret, 9, 0, N, drawn), N);
    ck_assert_uint_eq(gr_secret_include(secret, 9, 1, N, drawn), 0);
    gr_free(drawn);
}
END_TEST

/* A unit's draw does not depend on how many others there are; steps and secrets differ. */
START_TEST(a_draw_is_of_its_unit_alone) {
    uint32_t few[5000], many[10000], other[5000];
    const uint64_t inclusion = UINT64_C(1) << 62;
    const uint32_t n_few = gr_secret_include(secret, 1, inclusion, 5000, few);
    const uint32_t n_many = gr_secret_include(secret, 1, inclusion, 10000, many);
    unsigned char another[GR_SECRET_BYTES];
    ck_assert_uint_gt(n_many, n_few);
    ck_assert_mem_eq(few, many, n_few * sizeof *few);
    const uint32_t n_step = gr_secret_include(secret, 2, inclusion, 5000, other);
    ck_assert(n_step != n_few || memcmp(few, other, n_few * sizeof *few) != 0);
    gr_secret_make(another);
    const uint32_t n_other = gr_secret_include(another, 1, inclusion, 5000, other);
    ck_assert(n_other != n_few || memcmp(few, other, n_few * sizeof *few) != 0);
}
END_TEST

/* Chi-square of six degrees of freedom: above 33 with a probability of 1e-5. */
START_TEST(choices_are_even) {
    enum { N = 700000 };
    uint32_t *chosen, count[7] = {0};
    double square = 0;
    ck_assert_int_eq(gr_allocate(N, sizeof *chosen, "choices", &chosen), GR_OK);
    gr_secret_choose(secret, GR_SECRET_GROUPS, 4, 7, N, chosen);
    for (size_t i = 0; i < N; i++) {
        ck_assert_uint_lt(chosen[i], 7);
        count[chosen[i]]++;
    }
    for (size_t c = 0; c < 7; c++)
        square += (count[c] - N / 7.0) * (count[c] - N / 7.0) / (N / 7.0);
    ck_assert_double_lt(square, 33);
    gr_free(chosen);
}
END_TEST

/* ---- sums ------------------------------------------------------------------------------------ */

/* Noise so small that it is no more than the rounding of the sum. */
static struct gr_privacy_config quiet(uint32_t units, uint32_t batch) {
    return (struct gr_privacy_config){.unit = GR_PRIVACY_ROW,
                                      .clip_norm = 3,
                                      .noise_multiplier = 1e-6,
                                      .sampling = GR_PRIVATE_SAMPLING_FIXED,
                                      .expected_batch = batch,
                                      .expected_units = units};
}

/* The sum of clipped gradients, one row at a time. *cut: rows that the clip has shortened. */
static double *sum_by_rows(struct gr_model *model, const float *parameters,
                           const struct gr_rows *rows, double clip, size_t *cut) {
    const size_t size = gr_model_layout(model)->size;
    double *sum = calloc(size, sizeof *sum);
    float *gradient = calloc(size, sizeof *gradient);
    ck_assert(sum && gradient);
    *cut = 0;
    for (uint32_t i = 0; i < rows->n_rows; i++) {
        double square = 0, loss;
        gr_rows_gather(rows, &i, 0, 1, gr_model_batch_features(model), gr_model_batch_labels(model),
                       gr_model_batch_targets(model));
        ck_assert_int_eq(gr_model_gradient(model, parameters, 1, gradient, &loss), GR_OK);
        for (size_t k = 0; k < size; k++)
            square += (double)gradient[k] * (double)gradient[k];
        *cut += sqrt(square) > clip;
        for (size_t k = 0; k < size; k++)
            sum[k] += fmin(1, clip / sqrt(square)) * (double)gradient[k];
    }
    free(gradient);
    return sum;
}

/* All rows in one step, divided by the batch that is expected, which is not the number of rows. */
START_TEST(a_sum_is_of_clipped_rows) {
    struct gr_model *model = create_model();
    struct gr_rows rows = random_rows(150);
    const struct gr_privacy_config config = quiet(200, 200);
    struct gr_private_steps *steps = create_steps(model, &config);
    float *parameters = create_parameters(model), *gradient = create_parameters(model);
    size_t cut;
    double *sum = sum_by_rows(model, parameters, &rows, config.clip_norm, &cut);
    ck_assert(cut > 20 && cut < 130);
    ck_assert_int_eq(gr_private_steps_gradient(steps, parameters, &rows, NULL, NULL, gradient),
                     GR_OK);
    for (size_t k = 0; k < gr_model_layout(model)->size; k++)
        ck_assert_double_lt(fabs(200 * (double)gradient[k] - sum[k]), 3e-5);
    free(sum);
    gr_free(gradient);
    gr_free(parameters);
    gr_private_steps_free(steps);
    gr_rows_release(&rows);
    gr_model_free(model);
}
END_TEST

/* fixed: over a pass each row is in one step. */
START_TEST(a_pass_has_each_row_once) {
    struct gr_model *model = create_model();
    struct gr_rows rows = random_rows(150);
    const struct gr_privacy_config config = quiet(160, 40);
    const struct gr_train_config train = {.epochs = 3};
    struct gr_private_steps *steps = create_steps(model, &config);
    const size_t size = gr_model_layout(model)->size;
    float *parameters = create_parameters(model), *gradient = create_parameters(model);
    size_t cut;
    double *sum = sum_by_rows(model, parameters, &rows, config.clip_norm, &cut);
    ck_assert_uint_eq(gr_private_steps_of_round(steps, &train), 12);
    for (size_t s = 0; s < 4; s++) {
        ck_assert_int_eq(gr_private_steps_gradient(steps, parameters, &rows, NULL, NULL, gradient),
                         GR_OK);
        for (size_t k = 0; k < size; k++)
            sum[k] -= 40 * (double)gradient[k];
    }
    for (size_t k = 0; k < size; k++)
        ck_assert_double_lt(fabs(sum[k]), 3e-5);
    free(sum);
    gr_free(gradient);
    gr_free(parameters);
    gr_private_steps_free(steps);
    gr_rows_release(&rows);
    gr_model_free(model);
}
END_TEST

/* One row more, and the same secrets: the sum moves by at most the sensitivity, and where the row
 * is not drawn it does not move at all. Rows have gradients far above the clip norm. */
START_TEST(one_row_moves_a_sum_by_the_sensitivity) {
    struct gr_model *model = create_model();
    struct gr_rows rows = random_rows(400), fewer = rows;
    struct gr_privacy_config config = quiet(400, 100);
    const size_t size = gr_model_layout(model)->size;
    float *parameters = create_parameters(model), *with = create_parameters(model),
          *without = create_parameters(model);
    size_t moved = 0;
    config.sampling = GR_PRIVATE_SAMPLING_POISSON;
    config.noise_multiplier = 1;
    config.clip_norm = 0.01;
    fewer.n_rows = 399;
    struct gr_private_steps *a = create_steps(model, &config), *b = create_steps(model, &config);
    for (size_t s = 0; s < 60; s++) {
        double square = 0;
        ck_assert_int_eq(gr_private_steps_gradient(a, parameters, &rows, NULL, NULL, with), GR_OK);
        ck_assert_int_eq(gr_private_steps_gradient(b, parameters, &fewer, NULL, NULL, without),
                         GR_OK);
        for (size_t k = 0; k < size; k++)
            square += pow(100 * ((double)with[k] - (double)without[k]), 2);
        ck_assert_double_le(sqrt(square), GR_PRIVATE_SENSITIVITY * config.clip_norm);
        moved += square > 0;
    }
    ck_assert(moved >= 3 && moved <= 30); /* Binomial(60, 1/4) */
    gr_private_steps_free(a);
    gr_private_steps_free(b);
    gr_free(with);
    gr_free(without);
    gr_free(parameters);
    gr_rows_release(&rows);
    gr_model_free(model);
}
END_TEST

/* ---- persons --------------------------------------------------------------------------------- */

/* Persons of 1 to `most` rows, whose rows lie between each other's: row i is of person i % n, as
 * long as she has not got as many as she is to have. */
static struct gr_rows rows_of_persons(size_t n_persons, size_t most) {
    size_t n = 0, count = 0;
    for (size_t p = 0; p < n_persons; p++)
        n += 1 + p % most;
    struct gr_rows rows = random_rows(n);
    uint32_t *group;
    ck_assert_int_eq(gr_allocate(n, sizeof *group, "groups", &group), GR_OK);
    for (size_t turn = 0; turn < most; turn++)
        for (size_t p = 0; p < n_persons; p++)
            if (turn <= p % most) group[count++] = (uint32_t)p;
    ck_assert_uint_eq(count, n);
    ck_assert_int_eq(gr_persons_create(group, (uint32_t)n_persons, NULL, n, &rows.persons), GR_OK);
    gr_free(group);
    return rows;
}

static struct gr_privacy_config quiet_persons(uint32_t units, uint32_t batch, uint32_t most) {
    struct gr_privacy_config config = quiet(units, batch);
    config.unit = GR_PRIVACY_PERSON;
    config.rows_per_person = most;
    return config;
}

/* The sum of persons' mean gradients, clipped: one row at a time, in double precision. */
static double *sum_by_persons(struct gr_model *model, const float *parameters,
                              const struct gr_rows *rows, double clip, size_t *cut) {
    const size_t size = gr_model_layout(model)->size;
    double *sum = calloc(size, sizeof *sum), *mean = calloc(size, sizeof *mean);
    float *gradient = calloc(size, sizeof *gradient);
    ck_assert(sum && mean && gradient);
    *cut = 0;
    for (uint32_t p = 0; p < rows->persons.n; p++) {
        const uint32_t first = rows->persons.first[p], end = rows->persons.first[p + 1];
        double square = 0, loss;
        memset(mean, 0, size * sizeof *mean);
        for (uint32_t i = first; i < end; i++) {
            gr_rows_gather(rows, rows->persons.rows + i, 0, 1, gr_model_batch_features(model),
                           gr_model_batch_labels(model), gr_model_batch_targets(model));
            ck_assert_int_eq(gr_model_gradient(model, parameters, 1, gradient, &loss), GR_OK);
            for (size_t k = 0; k < size; k++)
                mean[k] += (double)gradient[k] / (end - first);
        }
        for (size_t k = 0; k < size; k++)
            square += mean[k] * mean[k];
        *cut += sqrt(square) > clip;
        for (size_t k = 0; k < size; k++)
            sum[k] += fmin(1, clip / sqrt(square)) * mean[k];
    }
    free(gradient);
    free(mean);
    return sum;
}

/* Groups that nobody is of are no persons, and those that are keep their order. */
START_TEST(persons_are_groups_that_have_rows) {
    const uint32_t group[] = {3, 1, 5, 3, 1, 3, 0}, row[] = {0, 1, 3, 5, 6};
    const uint32_t all[] = {6, 1, 4, 0, 3, 5, 2}, all_first[] = {0, 1, 3, 6, 7};
    const uint32_t some[] = {4, 1, 0, 2, 3}, some_first[] = {0, 1, 2, 5};
    struct gr_persons persons;
    ck_assert_int_eq(gr_persons_create(group, 7, NULL, 7, &persons), GR_OK);
    ck_assert_uint_eq(persons.n, 4);
    ck_assert_mem_eq(persons.first, all_first, sizeof all_first);
    ck_assert_mem_eq(persons.rows, all, sizeof all);
    gr_free(persons.first);
    gr_free(persons.rows);
    ck_assert_int_eq(gr_persons_create(group, 7, row, 5, &persons), GR_OK);
    ck_assert_uint_eq(persons.n, 3);
    ck_assert_mem_eq(persons.first, some_first, sizeof some_first);
    ck_assert_mem_eq(persons.rows, some, sizeof some);
    gr_free(persons.first);
    gr_free(persons.rows);
}
END_TEST

/* 200 persons of 1 to 16 rows, all in one step: micro-batches pass the model in many pieces. */
START_TEST(a_sum_is_of_clipped_persons) {
    struct gr_model *model = create_model();
    struct gr_rows rows = rows_of_persons(200, 16);
    struct gr_privacy_config config = quiet_persons(250, 250, 16);
    config.clip_norm = 2;
    struct gr_private_steps *steps = create_steps(model, &config);
    float *parameters = create_parameters(model), *gradient = create_parameters(model);
    size_t cut;
    double *sum = sum_by_persons(model, parameters, &rows, config.clip_norm, &cut);
    ck_assert(cut > 20 && cut < 180);
    ck_assert_int_eq(gr_private_steps_gradient(steps, parameters, &rows, NULL, NULL, gradient),
                     GR_OK);
    for (size_t k = 0; k < gr_model_layout(model)->size; k++)
        ck_assert_double_lt(fabs(250 * (double)gradient[k] - sum[k]), 5e-5);
    free(sum);
    gr_free(gradient);
    gr_free(parameters);
    gr_private_steps_free(steps);
    gr_rows_release(&rows);
    gr_model_free(model);
}
END_TEST

/* A model that a row moves by its own place alone: each row's only feature that is not 0 is another
 * one, so that the gradient of the first layer says which rows were taken. */
enum { OWN_ROWS = 30, TURNS = 3000 };

static struct gr_rows one_hot_rows(void) {
    struct gr_rows rows = random_rows(OWN_ROWS);
    uint32_t group[OWN_ROWS] = {0};
    memset(rows.features, 0, OWN_ROWS * FEATURES * sizeof(float));
    for (size_t i = 0; i < OWN_ROWS; i++)
        ((float *)rows.features)[i * FEATURES + i] = 1;
    ck_assert_int_eq(gr_persons_create(group, 1, NULL, OWN_ROWS, &rows.persons), GR_OK);
    return rows;
}

/*
 * Of a person with more rows than a step takes, each is as likely as any other: Binomial(3000,
 * 7/30) to five standard deviations; and so many are taken each time. A linear model of softmax:
 * the gradient of a weight is of the rows with that feature.
 */
START_TEST(rows_of_a_person_are_drawn_evenly) {
    const struct gr_model_config linear = {.type = GR_MODEL_SOFTMAX};
    struct gr_model *model;
    struct gr_rows rows = one_hot_rows();
    struct gr_privacy_config config = quiet_persons(1, 1, 7);
    size_t count[OWN_ROWS] = {0};
    ck_assert_int_eq(gr_model_create(&linear, FEATURES, CLASSES, GR_CLIP_ROWS_MAX, &model), GR_OK);
    const struct gr_tensor *weights = &gr_model_layout(model)->tensors[0];
    struct gr_private_steps *steps = create_steps(model, &config);
    float *parameters = create_parameters(model), *gradient = create_parameters(model);
    ck_assert_uint_eq(weights->n_elements, (size_t)FEATURES * CLASSES);
    for (size_t s = 0; s < TURNS; s++) {
        size_t taken = 0;
        ck_assert_int_eq(gr_private_steps_gradient(steps, parameters, &rows, NULL, NULL, gradient),
                         GR_OK);
        for (size_t i = 0; i < OWN_ROWS; i++) {
            double magnitude = 0;
            for (size_t c = 0; c < CLASSES; c++) {
                const size_t at =
                    weights->shape[0] == FEATURES ? i * CLASSES + c : c * FEATURES + i;
                magnitude += fabs((double)gradient[weights->offset + at]);
            }
            taken += magnitude > 1e-3;
            count[i] += magnitude > 1e-3;
        }
        ck_assert_uint_eq(taken, 7);
    }
    for (size_t i = 0; i < OWN_ROWS; i++)
        ck_assert_double_lt(fabs((double)count[i] - TURNS * 7.0 / OWN_ROWS),
                            5 * sqrt(TURNS * 7.0 / OWN_ROWS * 23 / OWN_ROWS));
    gr_free(gradient);
    gr_free(parameters);
    gr_private_steps_free(steps);
    gr_rows_release(&rows);
    gr_model_free(model);
}
END_TEST

/* Steps of the same secrets on two tables of the same persons but for the last: how far they are
 * apart at most, in clip norms, and in how many steps they are. */
static double apart(const struct gr_privacy_config *config, const struct gr_rows *rows,
                    const struct gr_rows *others, size_t *moved) {
    struct gr_model *model = create_model();
    const size_t size = gr_model_layout(model)->size;
    float *parameters = create_parameters(model), *with = create_parameters(model),
          *without = create_parameters(model);
    struct gr_private_steps *a = create_steps(model, config), *b = create_steps(model, config);
    double most = 0;
    *moved = 0;
    for (size_t s = 0; s < 60; s++) {
        double square = 0;
        ck_assert_int_eq(gr_private_steps_gradient(a, parameters, rows, NULL, NULL, with), GR_OK);
        ck_assert_int_eq(gr_private_steps_gradient(b, parameters, others, NULL, NULL, without),
                         GR_OK);
        for (size_t k = 0; k < size; k++)
            square += pow(config->expected_batch * ((double)with[k] - (double)without[k]), 2);
        most = fmax(most, sqrt(square) / config->clip_norm);
        *moved += square > 0;
    }
    gr_private_steps_free(a);
    gr_private_steps_free(b);
    gr_free(with);
    gr_free(without);
    gr_free(parameters);
    gr_model_free(model);
    return most;
}

/*
 * The last person has 16 rows with gradients far above the clip norm; without her the sum moves by
 * at most the sensitivity. One row of hers less moves it by less than twice that, as of two tables
 * that have another person each, and nobody else's part.
 */
START_TEST(one_person_moves_a_sum_by_the_sensitivity) {
    struct gr_rows rows = rows_of_persons(400, 16), fewer = rows, shorter = rows;
    struct gr_privacy_config config = quiet_persons(400, 100, 16);
    uint32_t first[401];
    size_t moved;
    config.sampling = GR_PRIVATE_SAMPLING_POISSON;
    config.noise_multiplier = 1;
    config.clip_norm = 0.01;
    ck_assert_uint_eq(rows.persons.first[400] - rows.persons.first[399], 16);
    fewer.persons.n = 399;
    ck_assert_double_le(apart(&config, &rows, &fewer, &moved), GR_PRIVATE_SENSITIVITY);
    ck_assert(moved >= 3 && moved <= 30); /* Binomial(60, 1/4) */
    memcpy(first, rows.persons.first, sizeof first);
    first[400]--;
    shorter.persons.first = first;
    ck_assert_double_le(apart(&config, &rows, &shorter, &moved), 2 * GR_PRIVATE_SENSITIVITY);
    ck_assert(moved >= 3 && moved <= 30);
    /* One of the rows of 20 persons, of which so many are taken. */
    first[381] = first[400] + 1;
    config.rows_per_person = 5;
    struct gr_rows longer = rows;
    longer.persons.first = first;
    longer.persons.n = 381;
    fewer.persons.n = 380;
    ck_assert_double_le(apart(&config, &longer, &fewer, &moved), GR_PRIVATE_SENSITIVITY);
    ck_assert(moved >= 3 && moved <= 30);
    gr_rows_release(&rows);
}
END_TEST

/* The table's order of rows is of no matter but for roundings: persons are numbered by name. */
START_TEST(persons_may_lie_in_any_order) {
    struct gr_rows rows = rows_of_persons(100, 9), sorted = random_rows(rows.n_rows);
    struct gr_privacy_config config = quiet_persons(100, 50, 9);
    uint32_t *group;
    size_t moved;
    config.sampling = GR_PRIVATE_SAMPLING_POISSON;
    ck_assert_int_eq(gr_allocate(rows.n_rows, sizeof *group, "groups", &group), GR_OK);
    for (uint32_t p = 0; p < rows.persons.n; p++)
        for (uint32_t i = rows.persons.first[p]; i < rows.persons.first[p + 1]; i++) {
            const uint32_t from = rows.persons.rows[i];
            memcpy((float *)sorted.features + (size_t)i * FEATURES,
                   (float *)rows.features + (size_t)from * FEATURES, FEATURES * sizeof(float));
            sorted.labels[i] = rows.labels[from];
            group[i] = p;
        }
    ck_assert_int_eq(gr_persons_create(group, 100, NULL, rows.n_rows, &sorted.persons), GR_OK);
    ck_assert_double_le(apart(&config, &rows, &sorted, &moved), 1e-4);
    gr_free(group);
    gr_rows_release(&sorted);
    gr_rows_release(&rows);
}
END_TEST

/* ---- noise ----------------------------------------------------------------------------------- */

/*
 * Steps in which hardly a row is drawn are noise: its variance in the sum is (z C)^2 in each
 * coordinate, to five standard deviations of a chi-square of n degrees of freedom; no step's noise
 * is that of another.
 */
START_TEST(noise_has_its_variance) {
    struct gr_model *model = create_model();
    struct gr_rows rows = random_rows(1);
    struct gr_privacy_config config = quiet(1000000, 1);
    const size_t size = gr_model_layout(model)->size, n = gr_model_layout(model)->n_parameters;
    enum { STEPS = 200 };
    float *parameters = create_parameters(model), *gradient = create_parameters(model),
          *before = create_parameters(model);
    double square = 0, product = 0, mean = 0;
    config.sampling = GR_PRIVATE_SAMPLING_POISSON;
    config.noise_multiplier = 1.25;
    struct gr_private_steps *steps = create_steps(model, &config);
    const double deviation = config.noise_multiplier * config.clip_norm, all = (double)n * STEPS;
    memset(before, 0, size * sizeof *before);
    for (size_t s = 0; s < STEPS; s++) {
        ck_assert_int_eq(gr_private_steps_gradient(steps, parameters, &rows, NULL, NULL, gradient),
                         GR_OK);
        for (size_t k = 0; k < size; k++) {
            const double x = (double)gradient[k] / deviation;
            square += x * x;
            mean += x;
            product += x * (double)before[k] / deviation;
        }
        memcpy(before, gradient, size * sizeof *before);
    }
    ck_assert_double_lt(fabs(square / all - 1), 5 * sqrt(2 / all));
    ck_assert_double_lt(fabs(mean / all), 5 / sqrt(all));
    ck_assert_double_lt(fabs(product / all), 5 / sqrt(all));
    gr_private_steps_free(steps);
    gr_free(before);
    gr_free(gradient);
    gr_free(parameters);
    gr_rows_release(&rows);
    gr_model_free(model);
}
END_TEST

/* ---- dropout --------------------------------------------------------------------------------- */

static struct gr_model *create_dropping(void) {
    static struct gr_layer_config layers[] = {
        {.type = GR_LAYER_DENSE, .activation = GR_ACTIVATION_DEFAULT, .width = 16},
        {.type = GR_LAYER_DROPOUT, .activation = GR_ACTIVATION_DEFAULT, .rate = 0.5}};
    const struct gr_model_config config = {
        .type = GR_MODEL_CNN, .layers = layers, .layers_count = 2};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create_shaped(&config, &(struct gr_row_shape){2, {5, 6}}, NULL,
                                            CLASSES, GR_CLIP_ROWS_MAX, &model),
                     GR_OK);
    return model;
}

/* Masks follow from the secret, whatever seed the run has: of equal secrets the updates are the
 * same, of others they are further apart than by the noise, which is next to none. */
START_TEST(masks_are_drawn_from_the_secret) {
    struct gr_model *model = create_dropping();
    struct gr_silo silo = {.pseudonym = "silo-000", .train = random_rows(60)};
    const struct gr_train_config train = {.learning_rate = 1, .batch_size = 1, .epochs = 1};
    const struct gr_privacy_config config = quiet(60, 60);
    const size_t size = gr_model_layout(model)->size;
    float *global = create_parameters(model), *first = create_parameters(model),
          *update = create_parameters(model);
    struct gr_train_result result;
    unsigned char another[GR_SECRET_BYTES] = {4};
    for (uint64_t t = 0; t < 3; t++) {
        struct gr_trainer *trainer;
        double square = 0;
        ck_assert_int_eq(gr_trainer_create(&train, 1 + t, model, &trainer), GR_OK);
        ck_assert_int_eq(gr_trainer_make_private(trainer, &config), GR_OK);
        gr_trainer_keep_secret(trainer, t == 2 ? another : secret);
        ck_assert_int_eq(gr_train_silo_privately(trainer, &silo, 1 + (uint32_t)t, global,
                                                 t == 0 ? first : update, NULL, NULL, &result),
                         GR_OK);
        for (size_t k = 0; t > 0 && k < size; k++)
            square += pow((double)update[k] - (double)first[k], 2);
        if (t > 0) ck_assert(t == 1 ? !(square > 0) : square > 1e-4);
        gr_trainer_free(trainer);
    }
    gr_free(update);
    gr_free(first);
    gr_free(global);
    gr_rows_release(&silo.train);
    gr_model_free(model);
}
END_TEST

static double coefficient_of(const struct gr_correlation_matrix *matrix, size_t k) {
    double sum = 0;
    if (matrix->bands > 0) return k < matrix->bands ? matrix->coefficient[k] / 64.0 : 0;
    for (uint32_t j = 0; j < matrix->buffers; j++)
        sum += matrix->weight[j] * 0x1p-20 * pow(matrix->decay[j] * 0x1p-20, (double)k - 1);
    return sum;
}

/*
 * Correlated noise: over all steps of a round its sum has the variance of 1^T C^-1 z, which is
 * worked out here by the inverse of the series of coefficients; the next round begins anew, so that
 * sums of two rounds have nothing in common.
 */
static void check_correlated(struct gr_correlation_config correlated) {
    enum { STEPS = 24, ROUNDS = 40 };
    struct gr_model *model = create_model();
    struct gr_rows rows = random_rows(1);
    struct gr_privacy_config config = quiet(1000000, 41667);
    struct gr_correlation_matrix correlation;
    const size_t size = gr_model_layout(model)->size, n = gr_model_layout(model)->n_parameters;
    float *parameters = create_parameters(model), *gradient = create_parameters(model);
    double *sum = calloc(size, sizeof *sum), *before = calloc(size, sizeof *before);
    double inverse[STEPS] = {1}, expected = 0, square = 0, product = 0;
    ck_assert(sum && before);
    config.noise_multiplier = 1.25;
    config.correlation = correlated;
    struct gr_private_steps *steps = create_steps(model, &config);
    ck_assert_int_eq(gr_privacy_correlation(&config, &correlation), GR_OK);
    for (size_t t = 1; t < STEPS; t++)
        for (size_t k = 1; k <= t; k++)
            inverse[t] -= coefficient_of(&correlation, k) * inverse[t - k];
    for (size_t s = 0; s < STEPS; s++) { /* of z_s, in all that follow it */
        double column = 0;
        for (size_t t = s; t < STEPS; t++)
            column += inverse[t - s];
        expected += column * column;
    }
    ck_assert_double_lt(expected, STEPS / 3.0); /* STEPS with independent noise */
    for (size_t r = 0; r < ROUNDS; r++) {
        unsigned char own[GR_SECRET_BYTES] = {(unsigned char)r, 9};
        gr_private_steps_start(steps, own);
        memset(sum, 0, size * sizeof *sum);
        for (size_t s = 0; s < STEPS; s++) {
            ck_assert_int_eq(
                gr_private_steps_gradient(steps, parameters, &rows, NULL, NULL, gradient), GR_OK);
            for (size_t k = 0; k < size; k++)
                sum[k] += 41667 * (double)gradient[k] / (1.25 * config.clip_norm);
        }
        for (size_t k = 0; k < size; k++) {
            square += sum[k] * sum[k];
            product += sum[k] * before[k];
        }
        memcpy(before, sum, size * sizeof *sum);
    }
    /* The one row adds at most 1 / 1.25 to the norm of a round's sum. */
    const double all = (double)n * ROUNDS, row = 0.64 / (double)n;
    ck_assert_double_lt(fabs(square / all - expected), 5 * expected * sqrt(2 / all) + row);
    ck_assert_double_lt(fabs(product / all), 5 * expected / sqrt(all) + row);
    gr_private_steps_free(steps);
    free(before);
    free(sum);
    gr_free(gradient);
    gr_free(parameters);
    gr_rows_release(&rows);
    gr_model_free(model);
}

START_TEST(correlated_noise_is_small_in_sums) {
    check_correlated((struct gr_correlation_config){GR_CORRELATED_BANDED, 24});
    check_correlated((struct gr_correlation_config){GR_CORRELATED_BLT, 2});
}
END_TEST

/* ---- a silo's round -------------------------------------------------------------------------- */

/* The same secret gives the same update, another one another; its numbers are public ones. */
START_TEST(a_round_follows_from_its_secret) {
    struct gr_model *model = create_model();
    struct gr_silo silo = {.stream = 3, .pseudonym = "silo-003", .train = random_rows(190)};
    const struct gr_train_config train = {.optimizer = GR_OPTIMIZER_ADAM,
                                          .learning_rate = 0.01,
                                          .beta1 = 0.9,
                                          .beta2 = 0.999,
                                          .epsilon = 1e-8,
                                          .batch_size = GR_CLIP_ROWS_MAX,
                                          .epochs = 2};
    struct gr_privacy_config config = quiet(200, 50);
    struct gr_trainer *trainer;
    struct gr_train_result result;
    const size_t bytes = gr_model_layout(model)->size * sizeof(float);
    float *global = create_parameters(model), *once = create_parameters(model),
          *again = create_parameters(model);
    unsigned char another[GR_SECRET_BYTES] = {4};
    config.noise_multiplier = 1;
    ck_assert_int_eq(gr_trainer_create(&train, 1, model, &trainer), GR_OK);
    ck_assert_int_eq(gr_trainer_make_private(trainer, &config), GR_OK);
    for (size_t t = 0; t < 3; t++) {
        gr_trainer_keep_secret(trainer, t == 2 ? another : secret);
        ck_assert_int_eq(gr_train_silo_privately(trainer, &silo, 1, global, t == 0 ? once : again,
                                                 NULL, NULL, &result),
                         GR_OK);
        ck_assert_uint_eq(result.examples, 200);
        ck_assert_uint_eq(result.steps, 8);
        ck_assert_uint_eq(result.processed, 0);
        ck_assert_double_eq(result.weight, 1);
        ck_assert_double_eq(result.loss_sum, 0);
        ck_assert_double_eq(result.processed_weight, 0);
        if (t > 0) ck_assert((memcmp(once, again, bytes) == 0) == (t == 1));
    }
    ck_assert_int_eq(gr_trainer_check(trainer, &silo), GR_OK);
    silo.train.n_rows = 401;
    ck_assert_int_eq(gr_trainer_check(trainer, &silo), GR_ERROR_DATA);
    silo.train.n_rows = 190;
    gr_trainer_free(trainer);
    gr_free(global);
    gr_free(once);
    gr_free(again);
    gr_rows_release(&silo.train);
    gr_model_free(model);
}
END_TEST

RUN_TESTS("private steps", units_are_drawn_with_the_probability, a_draw_is_of_its_unit_alone,
          choices_are_even, a_sum_is_of_clipped_rows, a_pass_has_each_row_once,
          one_row_moves_a_sum_by_the_sensitivity, persons_are_groups_that_have_rows,
          a_sum_is_of_clipped_persons, rows_of_a_person_are_drawn_evenly,
          one_person_moves_a_sum_by_the_sensitivity, persons_may_lie_in_any_order,
          masks_are_drawn_from_the_secret, correlated_noise_is_small_in_sums,
          noise_has_its_variance, a_round_follows_from_its_secret)
