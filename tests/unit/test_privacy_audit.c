/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The audit of private steps: correct builds stay below the accountant in 100 of 100 runs, and
 * planted bugs are found. Bugs are in functions that the linker puts in the place of the true ones
 * (--wrap, in the Makefile), so that audit and training alike run into them. The bound is checked
 * against sums of exact binomial probabilities, worked out apart.
 *
 * slow: 110 audits train.
 */
#include "scratch.h"

#include <check.h>
#include <math.h>
#include <privacy/accounting.h>
#include <privacy/canary_bound.h>
#include <privacy/noise.h>
#include <privacy/secret_draw.h>
#include <privacy/sensitivity.h>
#include <stdio.h>
#include <string.h>
#include <train/private_audit.h>
#include <train/private_steps.h>
#include <train/private_sum.h>

/* ---- bugs ------------------------------------------------------------------------------------ */

enum bug {
    NONE,
    NOISE_SHORT,    /* by 10 % */
    NOISE_FIFTH,    /* of what it is to be */
    LAYER_FREE,     /* the first tensor is not clipped */
    EMPTY_DROPPED,  /* a step of no row has no noise */
    NORM_DOUBLED,   /* rows are cut to 2 clip_norm */
    DROPOUT_SHARED, /* masks go by how many rows a batch has */
    TRUE_NUMBER,    /* of rows, in the denominator */
    NOISE_REUSED,   /* the secret is the same after a restart */
    ROUNDED_UP,     /* to the grid */
    DRAWN_TWICE,    /* rows are drawn with twice the probability */
    STEP_SKIPPED    /* one step less where no row is drawn first */
};
static enum bug planted;
static uint64_t run, secrets; /* what the secrets of a test follow from */

void __real_gr_secret_make(unsigned char secret[GR_SECRET_BYTES]);
void __wrap_gr_secret_make(unsigned char secret[GR_SECRET_BYTES]);
void __wrap_gr_secret_make(unsigned char secret[GR_SECRET_BYTES]) {
    if (planted != NOISE_REUSED || secrets == 0) secrets++;
    gr_secret_rehearse(run, (uint32_t)secrets, 0, secret);
}

gr_status __real_gr_noise_create(double sigma, struct gr_noise **out);
gr_status __wrap_gr_noise_create(double sigma, struct gr_noise **out);
gr_status __wrap_gr_noise_create(double sigma, struct gr_noise **out) {
    const double part = planted == NOISE_SHORT ? 0.9 : planted == NOISE_FIFTH ? 0.2 : 1;
    return __real_gr_noise_create(sigma * part, out);
}

static uint32_t n_drawn; /* in the last step */

uint32_t __real_gr_secret_include(const unsigned char *secret, uint64_t step, uint64_t inclusion,
                                  uint32_t n, uint32_t *drawn);
uint32_t __wrap_gr_secret_include(const unsigned char *secret, uint64_t step, uint64_t inclusion,
                                  uint32_t n, uint32_t *drawn);
uint32_t __wrap_gr_secret_include(const unsigned char *secret, uint64_t step, uint64_t inclusion,
                                  uint32_t n, uint32_t *drawn) {
    n_drawn = __real_gr_secret_include(
        secret, step, planted == DRAWN_TWICE ? 2 * inclusion : inclusion, n, drawn);
    return n_drawn;
}

void __real_gr_noise_add(const struct gr_noise *noise, const unsigned char *seed, uint64_t stream,
                         int64_t *sum, size_t n);
void __wrap_gr_noise_add(const struct gr_noise *noise, const unsigned char *seed, uint64_t stream,
                         int64_t *sum, size_t n);
void __wrap_gr_noise_add(const struct gr_noise *noise, const unsigned char *seed, uint64_t stream,
                         int64_t *sum, size_t n) {
    if (planted != EMPTY_DROPPED || n_drawn > 0) __real_gr_noise_add(noise, seed, stream, sum, n);
}

static uint64_t row_step;
static const uint32_t *row_keys;

void __real_gr_model_key_rows(struct gr_model *model, uint64_t step, const uint32_t *rows);
void __wrap_gr_model_key_rows(struct gr_model *model, uint64_t step, const uint32_t *rows);
void __wrap_gr_model_key_rows(struct gr_model *model, uint64_t step, const uint32_t *rows) {
    row_step = step;
    row_keys = rows;
    __real_gr_model_key_rows(model, step, rows);
}

gr_status __real_gr_model_clipped_sum(struct gr_model *model, const float *parameters, size_t n,
                                      double clip_norm, float *sum);
gr_status __wrap_gr_model_clipped_sum(struct gr_model *model, const float *parameters, size_t n,
                                      double clip_norm, float *sum);
gr_status __wrap_gr_model_clipped_sum(struct gr_model *model, const float *parameters, size_t n,
                                      double clip_norm, float *sum) {
    const struct gr_layout *layout = gr_model_layout(model);
    float *free_sum = NULL;
    gr_status status;
    if (planted == DROPOUT_SHARED) __real_gr_model_key_rows(model, row_step + 1000 * n, row_keys);
    status = __real_gr_model_clipped_sum(model, parameters, n,
                                         planted == NORM_DOUBLED ? 2 * clip_norm : clip_norm, sum);
    if (planted != LAYER_FREE || status != GR_OK) return status;
    ck_assert_int_eq(gr_allocate_zero(layout->size, sizeof *free_sum, "a sum", &free_sum), GR_OK);
    __real_gr_model_key_rows(model, row_step, row_keys);
    status = __real_gr_model_clipped_sum(model, parameters, n, 1e6, free_sum);
    memcpy(sum, free_sum, layout->tensors[0].n_elements * sizeof *sum);
    gr_free(free_sum);
    return status;
}

gr_status __real_gr_private_steps_gradient(struct gr_private_steps *steps, const float *parameters,
                                           const struct gr_rows *rows, gr_poll_function poll,
                                           void *context, float *gradient);
gr_status __wrap_gr_private_steps_gradient(struct gr_private_steps *steps, const float *parameters,
                                           const struct gr_rows *rows, gr_poll_function poll,
                                           void *context, float *gradient);
static size_t size_of_gradient;
static double expected_units;
gr_status __wrap_gr_private_steps_gradient(struct gr_private_steps *steps, const float *parameters,
                                           const struct gr_rows *rows, gr_poll_function poll,
                                           void *context, float *gradient) {
    const gr_status status =
        __real_gr_private_steps_gradient(steps, parameters, rows, poll, context, gradient);
    const float factor = (float)(expected_units / fmax((double)rows->n_rows, 1));
    for (size_t i = 0; i < size_of_gradient && planted == TRUE_NUMBER; i++)
        gradient[i] *= factor;
    return status;
}

uint64_t __real_gr_private_steps_of_round(const struct gr_private_steps *steps,
                                          const struct gr_train_config *train);
uint64_t __wrap_gr_private_steps_of_round(const struct gr_private_steps *steps,
                                          const struct gr_train_config *train);
uint64_t __wrap_gr_private_steps_of_round(const struct gr_private_steps *steps,
                                          const struct gr_train_config *train) {
    return __real_gr_private_steps_of_round(steps, train) - (planted == STEP_SKIPPED);
}

void __real_gr_round_to_grid(const float *sum, double scale, int64_t *into, size_t n);
void __wrap_gr_round_to_grid(const float *sum, double scale, int64_t *into, size_t n);
void __wrap_gr_round_to_grid(const float *sum, double scale, int64_t *into, size_t n) {
    if (planted != ROUNDED_UP) {
        __real_gr_round_to_grid(sum, scale, into, n);
        return;
    }
    for (size_t i = 0; i < n; i++)
        into[i] += (int64_t)ceil((double)sum[i] * scale);
}

/* ---- an audit -------------------------------------------------------------------------------- */

enum { FEATURES = 30, CLASSES = 7, ROWS = 380, UNITS = 400, BATCH = 100 };

static struct gr_rows random_rows(void) {
    struct gr_rows rows = {
        .n_rows = ROWS, .n_features = FEATURES, .element = GR_ELEMENT_FLOAT32, .scale = 1};
    uint64_t state = 7;
    ck_assert_int_eq(
        gr_allocate_zero((size_t)ROWS * FEATURES, sizeof(float), "rows", &rows.features), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(ROWS, sizeof *rows.labels, "labels", &rows.labels), GR_OK);
    for (size_t i = 0; i < (size_t)ROWS * FEATURES; i++) {
        state = state * UINT64_C(6364136223846793005) + 1;
        ((float *)rows.features)[i] = (float)(state >> 40) / (float)(1 << 23) - 1;
    }
    for (size_t i = 0; i < ROWS; i++)
        rows.labels[i] = (int32_t)((i * 5 + i / 11) % CLASSES);
    return rows;
}

static struct gr_model *create_model(void) {
    static struct gr_layer_config layers[] = {
        {.type = GR_LAYER_DENSE, .activation = GR_ACTIVATION_DEFAULT, .width = 16},
        {.type = GR_LAYER_DROPOUT, .activation = GR_ACTIVATION_DEFAULT, .rate = 0.3}};
    const struct gr_model_config config = {
        .type = GR_MODEL_CNN, .layers = layers, .layers_count = 2};
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create_shaped(&config, &(struct gr_row_shape){2, {5, 6}}, NULL,
                                            CLASSES, GR_CLIP_ROWS_MAX, &model),
                     GR_OK);
    return model;
}

static struct gr_privacy_config privacy_of(enum gr_private_sampling sampling) {
    return (struct gr_privacy_config){.unit = GR_PRIVACY_ROW,
                                      .clip_norm = 0.5,
                                      .noise_multiplier = 2,
                                      .sampling = sampling,
                                      .expected_batch = BATCH,
                                      .expected_units = UNITS,
                                      .budget = {.epsilon = 8, .delta = 1e-5}};
}

static double accounted(const struct gr_privacy_config *privacy, uint64_t count, double sampling) {
    const struct gr_privacy_event event = {.noise_multiplier =
                                               privacy->noise_multiplier / GR_PRIVATE_SENSITIVITY,
                                           .sampling = sampling,
                                           .count = count};
    const struct gr_privacy_history history = {GR_ADJACENCY_ADD_REMOVE, &event, 1};
    struct gr_epsilon epsilon;
    ck_assert_int_eq(gr_accounting_epsilon(&history, privacy->budget.delta, &epsilon), GR_OK);
    return epsilon.upper;
}

/* Two rounds of 12 sums. epsilon: the accountant's. */
static void audit(enum gr_private_sampling sampling, double epsilon, struct gr_private_audit *out) {
    struct gr_model *model = create_model();
    struct gr_rows rows = random_rows();
    const struct gr_privacy_config privacy = privacy_of(sampling);
    const struct gr_train_config train = {
        .optimizer = GR_OPTIMIZER_SGD, .learning_rate = 0.5, .batch_size = BATCH, .steps = 12};
    struct gr_private_question question = {.model = model,
                                           .privacy = &privacy,
                                           .train = &train,
                                           .rows = &rows,
                                           .rounds = 2,
                                           .canaries = 600,
                                           .sums = 12,
                                           .sampling = (double)BATCH / UNITS,
                                           .epsilon = epsilon,
                                           .confidence = 0.95};
    float *parameters;
    size_of_gradient = gr_model_layout(model)->size;
    expected_units = UNITS;
    secrets = 0;
    ck_assert_int_eq(
        gr_allocate_zero(size_of_gradient, sizeof *parameters, "parameters", &parameters), GR_OK);
    ck_assert_int_eq(gr_model_initialise(model, 3, parameters), GR_OK);
    question.parameters = parameters;
    ck_assert_int_eq(gr_private_audit(&question, out), GR_OK);
    gr_free(parameters);
    gr_rows_release(&rows);
    gr_model_free(model);
}

static double poisson_epsilon(void) {
    const struct gr_privacy_config privacy = privacy_of(GR_PRIVATE_SAMPLING_POISSON);
    return accounted(&privacy, 24, (double)BATCH / UNITS);
}

static void print(const struct gr_private_audit *audit, bool all) {
    for (size_t i = 0; i < audit->n; i++)
        if (all || !audit->check[i].passed)
            fprintf(stderr, "%s %s: %s\n", audit->check[i].name,
                    audit->check[i].passed ? "passed" : "failed", audit->check[i].found);
}

static bool failed(const struct gr_private_audit *audit, const char *name) {
    bool found = false;
    for (size_t i = 0; i < audit->n; i++)
        found = found || (!audit->check[i].passed && strcmp(audit->check[i].name, name) == 0);
    return found;
}

/* A bug is found by a check, which then fails; by others also where they can. */
static void find(enum bug bug, const char *check) {
    struct gr_private_audit out;
    planted = bug;
    audit(GR_PRIVATE_SAMPLING_POISSON, poisson_epsilon(), &out);
    planted = NONE;
    print(&out, false);
    ck_assert_msg(failed(&out, check), "%s has not found it", check);
}

/* ---- correct builds -------------------------------------------------------------------------- */

/* A hundred runs in four tests, each of which has its time also where memory is checked. */
static void pass_all(uint64_t first) {
    const double epsilon = poisson_epsilon();
    struct gr_private_audit out;
    double most = 0;
    for (run = first; run < first + 25; run++) {
        audit(GR_PRIVATE_SAMPLING_POISSON, epsilon, &out);
        print(&out, run == first);
        ck_assert_uint_eq(out.failed, 0);
        ck_assert_uint_eq(out.n, 9);
        most = fmax(most, fmax(out.gradients.epsilon, out.rows.epsilon));
    }
    /* Canaries are told apart: a bound of nothing would pass as well. */
    ck_assert_double_gt(most, 0.5);
    ck_assert_double_lt(most, epsilon);
}

START_TEST(correct_steps_pass) {
    pass_all(1);
}
END_TEST
START_TEST(correct_steps_pass_again) {
    pass_all(26);
}
END_TEST
START_TEST(correct_steps_pass_a_third_time) {
    pass_all(51);
}
END_TEST
START_TEST(correct_steps_pass_a_fourth_time) {
    pass_all(76);
}
END_TEST

/* Each row once in a pass of four steps: 24 steps are six times without sampling. */
START_TEST(correct_passes_pass) {
    const struct gr_privacy_config privacy = privacy_of(GR_PRIVATE_SAMPLING_FIXED);
    const double epsilon = accounted(&privacy, 6, 1);
    struct gr_private_audit out;
    for (run = 1; run <= 10; run++) {
        audit(GR_PRIVATE_SAMPLING_FIXED, epsilon, &out);
        print(&out, run == 1);
        ck_assert_uint_eq(out.failed, 0);
    }
}
END_TEST

/* ---- bugs are found -------------------------------------------------------------------------- */

START_TEST(short_noise_is_found) {
    find(NOISE_SHORT, "noise");
}
END_TEST
START_TEST(much_too_short_noise_is_found_by_canaries) {
    find(NOISE_FIFTH, "gradient canaries");
}
END_TEST
START_TEST(a_layer_that_is_not_clipped_is_found) {
    find(LAYER_FREE, "sensitivity");
}
END_TEST
START_TEST(dropped_empty_steps_are_found) {
    find(EMPTY_DROPPED, "noise");
}
END_TEST
START_TEST(a_doubled_norm_is_found) {
    find(NORM_DOUBLED, "sensitivity");
}
END_TEST
START_TEST(shared_dropout_is_found) {
    find(DROPOUT_SHARED, "sensitivity");
}
END_TEST
START_TEST(the_true_number_is_found) {
    find(TRUE_NUMBER, "draws");
}
END_TEST
START_TEST(reused_noise_is_found) {
    find(NOISE_REUSED, "fresh noise");
}
END_TEST
START_TEST(biased_rounding_is_found) {
    find(ROUNDED_UP, "rounding");
}
END_TEST
START_TEST(double_draws_are_found) {
    find(DRAWN_TWICE, "draws");
}
END_TEST
START_TEST(other_numbers_of_steps_are_found) {
    find(STEP_SKIPPED, "numbers");
}
END_TEST

/* ---- the bound ------------------------------------------------------------------------------- */

/* With delta 0 it is the epsilon of a one-sided binomial test. All of 100 right at 0.95:
 * q^100 = 0.05, q = e^epsilon / (1 + e^epsilon). */
START_TEST(a_bound_is_the_binomial_test) {
    const struct gr_guesses all = {100, 100, 100}, half = {100, 100, 50}, none = {100, 0, 0};
    const double q = pow(0.05, 0.01);
    ck_assert_double_lt(fabs(gr_canary_epsilon(&all, 0, 0.95) - log(q / (1 - q))), 1e-5);
    ck_assert_double_eq(gr_canary_epsilon(&half, 0, 0.95), 0);
    ck_assert_double_eq(gr_canary_epsilon(&none, 0, 0.95), 0);
    ck_assert_double_lt(gr_canary_epsilon(&all, 1e-4, 0.95), gr_canary_epsilon(&all, 0, 0.95));
}
END_TEST

/* A perfect score, and one that says nothing. */
START_TEST(a_bound_follows_from_scores) {
    enum { N = 400 };
    double score[N], same[N] = {0};
    bool in[N];
    struct gr_canary_bound bound;
    for (size_t i = 0; i < N; i++) {
        in[i] = i * 7 % 5 < 2 || i % 11 == 0;
        score[i] = in[i] ? 1 : -1;
    }
    ck_assert_int_eq(gr_canary_bound(score, in, N, 1e-6, 0.95, &bound), GR_OK);
    ck_assert_double_gt(bound.epsilon, 3);
    ck_assert_int_eq(gr_canary_bound(same, in, N, 1e-6, 0.95, &bound), GR_OK);
    ck_assert_double_lt(bound.epsilon, 0.5);
}
END_TEST

RUN_TESTS("privacy audit", correct_steps_pass, correct_steps_pass_again,
          correct_steps_pass_a_third_time, correct_steps_pass_a_fourth_time, correct_passes_pass,
          short_noise_is_found, much_too_short_noise_is_found_by_canaries,
          a_layer_that_is_not_clipped_is_found, dropped_empty_steps_are_found,
          a_doubled_norm_is_found, shared_dropout_is_found, the_true_number_is_found,
          reused_noise_is_found, biased_rounding_is_found, double_draws_are_found,
          other_numbers_of_steps_are_found, a_bound_is_the_binomial_test,
          a_bound_follows_from_scores)
