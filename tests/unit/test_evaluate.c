/* SPDX-License-Identifier: Apache-2.0 */
/* evaluate: scores by hand, the grid of losses, sums that do not depend on how rows are dealt. */
#include <check.h>
#include <granary/evaluate.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

START_TEST(losses_add_up_exactly) {
    static const double known[] = {0,         1,        0x1p-50,  -0x1.8p-49,
                                   0x1.9p-20, 0x1.fp42, 0x1p69,   -0x1.8p69,
                                   0x1.7p-20, 0x1.4p30, -0x1p-19, 90000.0 * 90000};
    int64_t forth[GR_REAL_WORDS] = {0}, back[GR_REAL_WORDS] = {0}, four[GR_REAL_WORDS] = {0};
    long double sum = 0;
    const size_t n = sizeof known / sizeof *known;
    for (size_t i = 0; i < n; i++) {
        ck_assert_int_eq(gr_loss_add(forth, known[i]), GR_OK);
        ck_assert_int_eq(gr_loss_add(back, known[n - 1 - i]), GR_OK);
        sum += (long double)known[i];
    }
    ck_assert_int_eq(gr_loss_add(four, 4), GR_OK);
    ck_assert_mem_eq(forth, back, sizeof forth);
    ck_assert_double_eq_tol(gr_loss_mean(forth, four), (double)(sum / 4), 1e-15 * 0x1p69);
}
END_TEST

START_TEST(losses_that_are_no_numbers_are_refused) {
    const double bad[] = {NAN, INFINITY, -INFINITY, 0x1p70, -1e300};
    int64_t sum[GR_REAL_WORDS] = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        ck_assert_int_eq(gr_loss_add(sum, bad[i]), GR_ERROR_DATA);
}
END_TEST

START_TEST(means) {
    int64_t sum[GR_REAL_WORDS] = {0}, weight[GR_REAL_WORDS] = {0};
    ck_assert_int_eq(gr_loss_add(sum, 3), GR_OK);
    ck_assert(isnan(gr_loss_mean(sum, weight)));
    ck_assert_int_eq(gr_loss_add(weight, 2), GR_OK);
    ck_assert_double_eq(gr_loss_mean(sum, weight), 1.5);
}
END_TEST

enum { ROWS = 1203, INPUTS = 6, CLASSES = 3 };

struct bench {
    struct gr_model *model;
    struct gr_rows rows;
    float *parameters;
};

static struct bench set_up(void) {
    const struct gr_model_config config = {.type = GR_MODEL_SOFTMAX};
    struct bench bench = {.rows = {.n_rows = ROWS,
                                   .n_features = INPUTS,
                                   .element = GR_ELEMENT_UINT8,
                                   .scale = 1.0f / 255}};
    ck_assert_int_eq(gr_model_create(&config, INPUTS, CLASSES, GR_TEST_BATCH, &bench.model), GR_OK);
    ck_assert_int_eq(gr_allocate(ROWS, INPUTS, "rows", &bench.rows.features), GR_OK);
    ck_assert_int_eq(gr_allocate(ROWS, sizeof(int32_t), "labels", &bench.rows.labels), GR_OK);
    ck_assert_int_eq(
        gr_allocate(gr_model_layout(bench.model)->size, sizeof(float), "p", &bench.parameters),
        GR_OK);
    ck_assert_int_eq(gr_model_initialise(bench.model, 2, bench.parameters), GR_OK);
    srand(8);
    for (size_t i = 0; i < ROWS * INPUTS; i++)
        ((uint8_t *)bench.rows.features)[i] = (uint8_t)(rand() % 256);
    for (size_t i = 0; i < ROWS; i++)
        bench.rows.labels[i] = rand() % CLASSES;
    return bench;
}

static void tear_down(struct bench *bench) {
    gr_free(bench->parameters);
    gr_rows_release(&bench->rows);
    gr_model_free(bench->model);
}

/* Rows one by one in double: the definition. */
START_TEST(scores_are_the_definitions) {
    struct bench bench = set_up();
    const size_t bias = gr_model_layout(bench.model)->tensors[1].offset;
    struct gr_score score;
    double loss = 0;
    int64_t correct = 0;
    for (size_t i = 0; i < ROWS; i++) {
        double z[CLASSES], sum = 0;
        size_t best = 0;
        for (size_t j = 0; j < CLASSES; j++) {
            z[j] = (double)bench.parameters[bias + j];
            for (size_t k = 0; k < INPUTS; k++)
                z[j] += ((uint8_t *)bench.rows.features)[i * INPUTS + k] / 255.0 *
                        (double)bench.parameters[k * CLASSES + j];
            sum += exp(z[j]);
            if (z[j] > z[best]) best = j;
        }
        loss += log(sum) - z[bench.rows.labels[i]];
        correct += best == (size_t)bench.rows.labels[i];
    }
    ck_assert_int_eq(
        gr_evaluate_rows(bench.model, bench.parameters, &bench.rows, NULL, NULL, &score, NULL),
        GR_OK);
    ck_assert_int_eq(score.examples, ROWS);
    ck_assert_int_eq(score.correct, correct * GR_WEIGHT_ONE);
    ck_assert_double_eq_tol(gr_score_loss(&score), loss / ROWS, 1e-6);
    tear_down(&bench);
}
END_TEST

/* Each withheld silo has a row at least, so that minimum_rows of them have as many. */
START_TEST(what_is_withheld_cannot_be_subtracted) {
    static const struct {
        int64_t n_withheld, minimum, told[4];
        size_t more;
    } known[] = {
        {0, 10, {1, 1, 1, 1}, 4}, {1, 10, {1, 1, 0, 1}, 0}, {1, 1, {0, 1, 1, 1}, 1},
        {2, 10, {0, 0, 1, 1}, 2}, {2, 2, {0, 0, 1, 1}, 4},  {9, 10, {0, 0, 0, 1}, 3},
        {3, 10, {0, 0, 0, 0}, 4},
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        ck_assert_uint_eq(
            gr_scores_withhold_more(known[i].told, 4, known[i].n_withheld, known[i].minimum),
            known[i].more);
}
END_TEST

/* Batches held by different processes add up to one process's sums, exactly. */
START_TEST(batches_add_up_anywhere) {
    struct bench bench = set_up();
    struct gr_score whole, sum = {0};
    ck_assert_int_eq(
        gr_evaluate_rows(bench.model, bench.parameters, &bench.rows, NULL, NULL, &whole, NULL),
        GR_OK);
    for (size_t first = 1000; first <= 1000; first -= GR_TEST_BATCH) { /* last batch first */
        const size_t left = ROWS - first;
        struct gr_rows part = bench.rows;
        struct gr_score score;
        part.n_rows = left < GR_TEST_BATCH ? left : GR_TEST_BATCH;
        part.features = (uint8_t *)bench.rows.features + first * INPUTS;
        part.labels = bench.rows.labels + first;
        ck_assert_int_eq(
            gr_evaluate_rows(bench.model, bench.parameters, &part, NULL, NULL, &score, NULL),
            GR_OK);
        gr_score_add(&sum, &score);
    }
    ck_assert_mem_eq(&sum, &whole, sizeof sum);
    tear_down(&bench);
}
END_TEST

/* Targets that nobody has scaled, such as prices of houses. */
START_TEST(targets_far_from_zero) {
    const struct gr_model_config config = {.type = GR_MODEL_LINEAR};
    enum { PRICES = 2000 };
    struct gr_rows rows = {
        .n_rows = PRICES, .n_features = 1, .element = GR_ELEMENT_FLOAT32, .scale = 1};
    struct gr_score score;
    float parameters[32] = {0};
    ck_assert_int_eq(gr_allocate_zero(PRICES, sizeof(float), "rows", &rows.features), GR_OK);
    ck_assert_int_eq(gr_allocate_zero(PRICES, sizeof(int32_t), "labels", &rows.labels), GR_OK);
    ck_assert_int_eq(gr_allocate(PRICES, sizeof(float), "targets", &rows.targets), GR_OK);
    for (size_t i = 0; i < PRICES; i++)
        rows.targets[i] = 900000;
    struct gr_model *model;
    ck_assert_int_eq(gr_model_create(&config, 1, 0, GR_TEST_BATCH, &model), GR_OK);
    ck_assert_int_eq(gr_evaluate_rows(model, parameters, &rows, NULL, NULL, &score, NULL), GR_OK);
    ck_assert_double_eq(gr_score_loss(&score), 8.1e11);
    gr_model_free(model);
    gr_rows_release(&rows);
}
END_TEST

START_TEST(no_rows_and_broken_parameters) {
    struct bench bench = set_up();
    struct gr_rows none = {.n_features = INPUTS};
    struct gr_score score;
    ck_assert_int_eq(
        gr_evaluate_rows(bench.model, bench.parameters, &none, NULL, NULL, &score, NULL), GR_OK);
    ck_assert_int_eq(score.examples, 0);
    bench.parameters[0] = NAN;
    ck_assert_int_eq(
        gr_evaluate_rows(bench.model, bench.parameters, &bench.rows, NULL, NULL, &score, NULL),
        GR_ERROR_DATA);
    tear_down(&bench);
}
END_TEST

enum { STEPS = 1 << 20 };

static void tally_of(const struct bench *bench, const struct gr_rows *rows, double bound,
                     int64_t tally[GR_TALLIES]) {
    memset(tally, 0, GR_TALLIES * sizeof *tally);
    ck_assert_int_eq(
        gr_evaluate_tally(bench->model, bench->parameters, rows, bound, STEPS, NULL, NULL, tally),
        GR_OK);
}

/* As the plain scores are, within half a step for each row. */
START_TEST(tallies_are_plain_scores) {
    struct bench bench = set_up();
    struct gr_score score;
    int64_t tally[GR_TALLIES];
    ck_assert_int_eq(
        gr_evaluate_rows(bench.model, bench.parameters, &bench.rows, NULL, NULL, &score, NULL),
        GR_OK);
    tally_of(&bench, &bench.rows, 16, tally);
    ck_assert_int_eq(tally[GR_TALLY_ROWS], (int64_t)ROWS * STEPS);
    ck_assert_int_eq(tally[GR_TALLY_RIGHT], score.correct / GR_WEIGHT_ONE * STEPS);
    ck_assert_double_eq_tol(16.0 * (double)tally[GR_TALLY_LOSS] / STEPS / ROWS,
                            gr_score_loss(&score), 16 * 0.5 / STEPS + 1e-6);
    tear_down(&bench);
}
END_TEST

/* With a row and without it: the rest adds the same, to the step, wherever its rows are in a batch;
 * and no row adds more than a step's number to a tally, whatever its loss. */
START_TEST(a_row_adds_for_itself_alone) {
    struct bench bench = set_up();
    const double bound = 0.75; /* below some of the losses */
    int64_t all[GR_TALLIES], rest[GR_TALLIES], one[GR_TALLIES];
    size_t cut = 0;
    tally_of(&bench, &bench.rows, bound, all);
    for (size_t first = 1; first < 40; first++) {
        struct gr_rows later = bench.rows, alone = bench.rows;
        later.n_rows = ROWS - first;
        later.features = (uint8_t *)bench.rows.features + first * INPUTS;
        later.labels = bench.rows.labels + first;
        alone.n_rows = 1;
        alone.features = (uint8_t *)bench.rows.features + (first - 1) * INPUTS;
        alone.labels = bench.rows.labels + first - 1;
        tally_of(&bench, &later, bound, rest);
        tally_of(&bench, &alone, bound, one);
        for (size_t t = 0; t < GR_TALLIES; t++) {
            ck_assert_int_eq(all[t] - rest[t], one[t]);
            ck_assert(one[t] >= 0 && one[t] <= STEPS);
        }
        cut += one[GR_TALLY_LOSS] == STEPS;
        memcpy(all, rest, sizeof all);
    }
    ck_assert_uint_gt(cut, 5);
    tear_down(&bench);
}
END_TEST

/* Three persons of 1, 5 and the other rows: each counts as one, with the mean of her rows' losses
 * and the share of them that is right, by the tallies of her rows alone. */
START_TEST(a_person_counts_as_one) {
    enum { PERSONS = 3 };
    struct bench bench = set_up();
    uint32_t first[PERSONS + 1] = {0, 1, 6, ROWS}, order[ROWS];
    int64_t all[GR_TALLIES], expected[GR_TALLIES] = {0};
    for (uint32_t i = 0; i < ROWS; i++)
        order[i] = ROWS - 1 - i;
    for (uint32_t p = 0; p < PERSONS; p++) {
        const uint32_t n = first[p + 1] - first[p];
        int64_t own[GR_TALLIES] = {0}, one[GR_TALLIES];
        for (uint32_t i = first[p]; i < first[p + 1]; i++) {
            struct gr_rows row = bench.rows;
            row.n_rows = 1;
            row.features = (uint8_t *)bench.rows.features + (size_t)order[i] * INPUTS;
            row.labels = bench.rows.labels + order[i];
            tally_of(&bench, &row, 4, one);
            for (size_t t = 0; t < GR_TALLIES; t++)
                own[t] += one[t];
        }
        for (size_t t = 0; t < GR_TALLIES; t++)
            expected[t] += own[t] / n;
    }
    bench.rows.persons = (struct gr_persons){PERSONS, first, order};
    tally_of(&bench, &bench.rows, 4, all);
    bench.rows.persons = (struct gr_persons){0};
    ck_assert_int_le(all[GR_TALLY_ROWS], PERSONS * STEPS);
    for (size_t t = 0; t < GR_TALLIES; t++) /* a step for each row is rounded */
        ck_assert_int_le(llabs(all[t] - expected[t]), ROWS);
    tear_down(&bench);
}
END_TEST

/* A model that has diverged is wrong about every row, and no error. */
START_TEST(what_is_no_number_counts_as_the_bound) {
    struct bench bench = set_up();
    int64_t tally[GR_TALLIES];
    const size_t size = gr_model_layout(bench.model)->size;
    for (size_t i = 0; i < size; i++)
        bench.parameters[i] = NAN;
    tally_of(&bench, &bench.rows, 4, tally);
    ck_assert_int_eq(tally[GR_TALLY_ROWS], (int64_t)ROWS * STEPS);
    ck_assert_int_eq(tally[GR_TALLY_LOSS], (int64_t)ROWS * STEPS);
    ck_assert_int_eq(tally[GR_TALLY_RIGHT], 0);
    tear_down(&bench);
}
END_TEST

static gr_status count_to_two(void *context) {
    return ++*(int *)context > 2 ? gr_fail(GR_LOST, "enough") : GR_OK;
}

/* Others wait for who scores: it looks up before each batch, and ends when it is told to. */
START_TEST(looks_up_between_batches) {
    struct bench bench = set_up();
    struct gr_score score;
    int looks = -10, batches = (ROWS + GR_TEST_BATCH - 1) / GR_TEST_BATCH;
    ck_assert_int_eq(gr_evaluate_rows(bench.model, bench.parameters, &bench.rows, count_to_two,
                                      &looks, &score, NULL),
                     GR_OK);
    ck_assert_int_eq(looks, -10 + batches);
    looks = 0;
    ck_assert_int_eq(gr_evaluate_rows(bench.model, bench.parameters, &bench.rows, count_to_two,
                                      &looks, &score, NULL),
                     GR_LOST);
    ck_assert_int_eq(score.examples, 2 * GR_TEST_BATCH);
    tear_down(&bench);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("evaluate");
    TCase *tests = tcase_create("evaluate");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_test(tests, losses_add_up_exactly);
    tcase_add_test(tests, looks_up_between_batches);
    tcase_add_test(tests, losses_that_are_no_numbers_are_refused);
    tcase_add_test(tests, means);
    tcase_add_test(tests, scores_are_the_definitions);
    tcase_add_test(tests, what_is_withheld_cannot_be_subtracted);
    tcase_add_test(tests, batches_add_up_anywhere);
    tcase_add_test(tests, targets_far_from_zero);
    tcase_add_test(tests, tallies_are_plain_scores);
    tcase_add_test(tests, a_row_adds_for_itself_alone);
    tcase_add_test(tests, a_person_counts_as_one);
    tcase_add_test(tests, what_is_no_number_counts_as_the_bound);
    tcase_add_test(tests, no_rows_and_broken_parameters);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
