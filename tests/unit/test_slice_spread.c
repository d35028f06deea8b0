/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicates of groups' shares and of fairness: against resampling of all rows by NumPy, beside
 * withheld groups and steps, and where they are not defined.
 */
#include <check.h>
#include <granary/slices.h>
#include <math.h>
#include <string.h>

#define MUST(call) ck_assert_msg((call) == GR_OK, "%s", gr_message())

enum { REPLICATES = 10000, RESAMPLES = 200000 };

/* Three groups of one slicing; rows of class 0 taken for 0 and 1, rows of class 1 likewise. */
struct groups {
    struct gr_slicing slicing;
    struct gr_slicings slicings;
    struct gr_slice_tally total[3];
    uint8_t withheld[3];
    struct gr_slice_scores scores;
};

static void make(const int64_t count[3][4], struct groups *out) {
    *out = (struct groups){.slicing = {.n = 3, .n_parts = 1, .part = {{.n = 3}}}};
    out->slicings = (struct gr_slicings){.n = 1, .list = &out->slicing, .n_groups = 3};
    for (size_t g = 0; g < 3; g++)
        for (size_t i = 0; i < 4; i++) {
            out->total[g].count[i] = count[g][i] * GR_WEIGHT_ONE;
            out->total[g].rows += count[g][i];
            out->total[g].weight += out->total[g].count[i];
        }
    out->scores = (struct gr_slice_scores){
        .slicings = &out->slicings, .classes = 2, .total = out->total, .withheld = out->withheld};
}

static const int64_t table[3][4] = {{40, 10, 20, 30}, {25, 5, 10, 60}, {70, 10, 5, 15}};

/*
 * 200,000 resamples of the 300 rows with NumPy 1.24 (default_rng(1).multinomial): mean, deviation,
 * 2.5 and 97.5 percentiles. Standard errors as in test_replicates; shares of few rows have few
 * values, so that their percentiles are steps apart, of which one is allowed.
 */
struct resampled {
    double mean, deviation, lower, upper, step;
};

static void compare(const char *name, struct gr_resampled_metric found, struct resampled e) {
    const double error = e.deviation * sqrt(1.0 / REPLICATES + 1.0 / RESAMPLES);
    ck_assert_msg(!found.why, "%s: %s", name, found.why);
    ck_assert_msg(fabs(found.mean - e.mean) < 3 * error, "%s: mean %.9g", name, found.mean);
    ck_assert_msg(fabs(found.deviation - e.deviation) < 4 * error / sqrt(2), "%s: deviation %.9g",
                  name, found.deviation);
    ck_assert_msg(fabs(found.lower - e.lower) < 4 * 2.67 * error + e.step, "%s: lower end %.9g",
                  name, found.lower);
    ck_assert_msg(fabs(found.upper - e.upper) < 4 * 2.67 * error + e.step, "%s: upper end %.9g",
                  name, found.upper);
}

START_TEST(as_resampled) {
    static const struct {
        const char *name;
        enum gr_fairness_measure measure;
        bool ratio;
        struct resampled expected;
    } fairness[] = {
        {"parity", GR_DEMOGRAPHIC_PARITY, false, {0.400333, 0.064391, 0.272727, 0.524467, 0}},
        {"parity's ratio",
         GR_DEMOGRAPHIC_PARITY,
         true,
         {0.386220, 0.072795, 0.252172, 0.536704, 0}},
        {"impact", GR_DISPARATE_IMPACT, true, {0.386220, 0.072795, 0.252172, 0.536704, 0}},
        {"opportunity", GR_EQUAL_OPPORTUNITY, false, {0.272233, 0.079260, 0.120346, 0.431373, 0}},
        {"its ratio", GR_EQUAL_OPPORTUNITY, true, {0.687009, 0.084994, 0.519355, 0.853756, 0}},
        {"odds", GR_EQUALIZED_ODDS, false, {0.274640, 0.076328, 0.134107, 0.431373, 0}},
        {"their ratio", GR_EQUALIZED_ODDS, true, {0.481972, 0.153698, 0.170370, 0.745147, 0}},
        {"predictions", GR_PREDICTIVE_PARITY, false, {0.329516, 0.098181, 0.150794, 0.532258, 0}},
        {"their ratio", GR_PREDICTIVE_PARITY, true, {0.643958, 0.103016, 0.431818, 0.831946, 0}},
    };
    struct groups g;
    struct gr_slice_spreads *s;
    make(table, &g);
    MUST(gr_slice_spreads_create(&g.scores, REPLICATES, 1, &s));
    compare("selected", gr_slice_spread(s, 2, GR_SLICE_SELECTION_RATE),
            (struct resampled){0.249923, 0.043434, 0.166667, 0.336957, 0});
    compare("found", gr_slice_spread(s, 0, GR_SLICE_SENSITIVITY),
            (struct resampled){0.600198, 0.069963, 0.460000, 0.735294, 0});
    compare("predicted", gr_slice_spread(s, 2, GR_SLICE_PPV),
            (struct resampled){0.600146, 0.099948, 0.400000, 0.791667, 0.01});
    for (size_t i = 0; i < sizeof fairness / sizeof *fairness; i++)
        compare(fairness[i].name, gr_fairness_spread(s, 0, fairness[i].measure, fairness[i].ratio),
                fairness[i].expected);
    ck_assert(isnan(gr_slice_spread(s, 0, GR_SLICE_LOG_LOSS).mean));
    gr_slice_spreads_free(s);
}
END_TEST

static struct gr_resampled_metric of(struct groups *g, uint64_t seed,
                                     enum gr_fairness_measure measure, bool ratio) {
    struct gr_slice_spreads *s;
    MUST(gr_slice_spreads_create(&g->scores, 500, seed, &s));
    const struct gr_resampled_metric out = gr_fairness_spread(s, 0, measure, ratio);
    gr_slice_spreads_free(s);
    return out;
}

/* By the seed and the group, and not by what others there are. */
START_TEST(seeds) {
    struct groups g;
    make(table, &g);
    const struct gr_resampled_metric a = of(&g, 1, GR_EQUAL_OPPORTUNITY, false);
    ck_assert_double_eq(a.lower, of(&g, 1, GR_EQUAL_OPPORTUNITY, false).lower);
    ck_assert_double_ne(a.mean, of(&g, 2, GR_EQUAL_OPPORTUNITY, false).mean);
    struct gr_slice_spreads *all, *without;
    MUST(gr_slice_spreads_create(&g.scores, 500, 1, &all));
    g.withheld[0] = 1;
    MUST(gr_slice_spreads_create(&g.scores, 500, 1, &without));
    ck_assert_double_eq(gr_slice_spread(all, 2, GR_SLICE_PPV).mean,
                        gr_slice_spread(without, 2, GR_SLICE_PPV).mean);
    /* Of a group that is withheld nothing is told. */
    ck_assert(isnan(gr_slice_spread(without, 0, GR_SLICE_PPV).mean));
    gr_slice_spreads_free(without);
    gr_slice_spreads_free(all);
    g.withheld[1] = 1;
    ck_assert_str_eq(of(&g, 1, GR_DEMOGRAPHIC_PARITY, false).why, "fewer than two groups are told");
}
END_TEST

START_TEST(not_defined) {
    static const int64_t none[3][4] = {{40, 10, 20, 30}, {25, 5, 0, 0}, {0, 0, 0, 0}};
    static const int64_t one[3][4] = {{40, 10, 20, 30}, {25, 5, 0, 1}, {0, 0, 0, 0}};
    struct groups g;
    make(none, &g);
    ck_assert_str_eq(of(&g, 1, GR_EQUAL_OPPORTUNITY, false).why, "one class only");
    ck_assert_str_eq(of(&g, 1, GR_EQUALIZED_ODDS, true).why, "one class only");
    ck_assert_ptr_null(of(&g, 1, GR_DEMOGRAPHIC_PARITY, false).why);
    /* Of the one row of class 1 there is none in a third of them. */
    make(one, &g);
    const struct gr_resampled_metric v = of(&g, 1, GR_EQUAL_OPPORTUNITY, false);
    ck_assert_str_eq(v.why, "not defined in more than a twentieth of the replicates");
    ck_assert_double_eq_tol((double)v.left_out / 500, exp(-1), 0.07);
    /* Rows with weights are not known. */
    make(table, &g);
    g.total[0].count[0] /= 2;
    g.total[0].weight -= g.total[0].count[0];
    ck_assert_str_eq(of(&g, 1, GR_DEMOGRAPHIC_PARITY, false).why, "the rows of it are not known");
}
END_TEST

/* Told in steps of 0.1, replicates know no more than the step, and are as much wider. */
START_TEST(in_steps) {
    int64_t moved[3][4];
    struct groups g, other;
    memcpy(moved, table, sizeof moved);
    moved[0][0] += 2;
    moved[0][1] -= 2;
    make(table, &g);
    const struct gr_resampled_metric exact = of(&g, 1, GR_DEMOGRAPHIC_PARITY, false);
    make(moved, &other);
    g.scores.rules.hidden = other.scores.rules.hidden = 10;
    const struct gr_resampled_metric told = of(&g, 1, GR_DEMOGRAPHIC_PARITY, false);
    ck_assert_double_eq(told.lower, of(&other, 1, GR_DEMOGRAPHIC_PARITY, false).lower);
    ck_assert_double_eq(told.deviation, of(&other, 1, GR_DEMOGRAPHIC_PARITY, false).deviation);
    ck_assert_double_lt(told.lower, exact.lower - 0.04);
    ck_assert_double_gt(told.upper, exact.upper + 0.04);
    ck_assert_str_eq(of(&g, 1, GR_DEMOGRAPHIC_PARITY, true).why, "shares are told in steps");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slice_spread");
    TCase *tests = tcase_create("slice_spread");
    if (gr_base_start() != GR_OK) return 1;
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, as_resampled);
    tcase_add_test(tests, seeds);
    tcase_add_test(tests, not_defined);
    tcase_add_test(tests, in_steps);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
