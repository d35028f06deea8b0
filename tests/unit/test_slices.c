/* SPDX-License-Identifier: Apache-2.0 */
/* Slices: how they are written, which group a row is in, what may be told of groups, and fairness
 * over them. */
#include "data/preprocess.h"
#include "tables.h"

#include <granary/slices.h>

#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- text ----------------------------------------------------------------------------------- */

static const struct {
    const char *text;
    unsigned n, n_cuts; /* columns, and cut points of the last */
} written[] = {{"region", 1, 0},
               {" region ", 1, 0},
               {"age=40", 1, 1},
               {"sex & age=-1/40/65.5", 2, 3},
               {"a&b&c", 3, 0},
               {"age at visit=1e2 ", 1, 1},
               {"", 0, 0},
               {"age=", 0, 0},
               {"age=40/40", 0, 0},
               {"age=65/40", 0, 0},
               {"age=40/", 0, 0},
               {"age=40,65", 0, 0},
               {"age=nan", 0, 0},
               {"sex &", 0, 0},
               {"sex & sex", 0, 0},
               {"age=4 & age=5", 0, 0},
               {"a & b & c & d", 0, 0},
               {"=4", 0, 0},
               {"age=4/5 6", 0, 0}};

START_TEST(test_written) {
    struct gr_slice_columns columns;
    const char *why = gr_slice_parse(written[_i].text, &columns);
    if (written[_i].n == 0) {
        ck_assert_msg(why != NULL, "taken: %s", written[_i].text);
        return;
    }
    ck_assert_msg(!why, "%s: %s", written[_i].text, why);
    ck_assert_uint_eq(columns.n, written[_i].n);
    ck_assert_uint_eq(columns.column[columns.n - 1].n_cuts, written[_i].n_cuts);
}
END_TEST

/* ---- groups --------------------------------------------------------------------------------- */

static const char model_text[] =
    "columns:\n"
    "- {name: x, type: number, missing: mean}\n"
    "- {name: region, type: category, categories: [north, south], slices_only: true}\n"
    "- {name: sex, type: category, categories: [f, m], missing: mode}\n"
    "- {name: year, type: integer, origin: 2000, slices_only: true}\n"
    "- {name: l, type: label, categories: [no, yes]}\n"
    "fill: [0.25, 2, 1, 0]\ncentre: [1, 0, 0, 0]\nspread: [4, 1, 1, 1]\n";

static struct gr_columns *columns_of(const char *yaml) {
    struct gr_schema *schema;
    struct gr_columns *columns;
    CHECK_OK(gr_schema_parse("s.yaml", yaml, strlen(yaml), &schema));
    CHECK_OK(gr_columns_create(schema, &columns));
    return columns;
}

static struct gr_preprocessing *create(void) {
    struct gr_preprocessing *p;
    CHECK_OK(gr_preprocessing_create("m.h5: /preprocessing", model_text, &p));
    return p;
}

/* A column for slices alone is no feature, and a table may do without it. */
START_TEST(test_features) {
    struct gr_preprocessing *p = create();
    struct gr_columns *table = columns_of(
        "columns:\n- {name: sex, type: category, categories: [m, f]}\n- {name: x, type: number}\n");
    const float row[] = {0, 5};
    float features[2];
    struct gr_binding binding;
    ck_assert_uint_eq(gr_preprocessing_features(p), 2);
    CHECK_OK(gr_binding_create(p, table, 2, "t.csv", &binding));
    gr_binding_apply(p, &binding, row, features);
    ck_assert(features[0] == 1.0f && features[1] == 1.0f);
    gr_binding_release(&binding);
    gr_columns_free(table);
    gr_preprocessing_free(p);
}
END_TEST

static char *texts[] = {"region", "sex & x=0.3/2", "year=2010"};

START_TEST(test_groups) {
    /* As read: sex, region, year from 2000, x; categories of a silo's own table. */
    float values[][4] = {
        {0, 0, 9, 0.3f}, {1, 1, 10, 0.29f}, {NAN, NAN, NAN, NAN}, {2, 5, -1e9f, 2}};
    static const char *const names[][3] = {{"south", "m & 0.3 to 2", "below 2010"},
                                           {"north", "f & below 0.3", "from 2010"},
                                           {"missing", "missing & missing", "missing"},
                                           {"unknown", "unknown & from 2", "below 2010"}};
    struct gr_rows rows = {.n_rows = 4, .n_features = 4, .element = GR_ELEMENT_FLOAT32, .scale = 1};
    struct gr_preprocessing *p = create();
    struct gr_columns *table =
        columns_of("columns:\n- {name: sex, type: category, categories: [m, f, z]}\n"
                   "- {name: region, type: category, categories: [south, north]}\n"
                   "- {name: year, type: integer, origin: 2000}\n- {name: x, type: number}\n");
    struct gr_slicings *s;
    char name[64];
    rows.features = values;
    CHECK_OK(gr_slicings_create(texts, COUNT(texts), gr_preprocessing_columns(p), &s));
    ck_assert_uint_eq(s->n_groups, 4 + 4 * 4 + 3);
    CHECK_OK(gr_slicings_assign(s, p, table, "t.csv", &rows));
    ck_assert_uint_eq(rows.n_slicings, 3);
    for (size_t i = 0; i < rows.n_rows; i++)
        for (size_t k = 0; k < 3; k++) {
            const uint16_t group = rows.groups[i * 3 + k];
            ck_assert_ptr_eq(gr_slicing_of(s, group), &s->list[k]);
            gr_slice_name(s, group, name, sizeof name);
            ck_assert_msg(strcmp(name, names[i][k]) == 0, "row %zu, slicing %zu: %s", i, k, name);
        }
    gr_free(rows.groups);
    gr_slicings_free(s);
    gr_columns_free(table);
    gr_preprocessing_free(p);
}
END_TEST

static const struct {
    const char *text, *message;
} refused[] = {
    {"regoin", "the tables have no column \"regoin\"; the nearest is \"region\""},
    {"weight of the patient on admission", "have no column"},
    {"x", "column \"x\" is of type number and has no cut points, allowed a category"},
    {"sex=1", "column \"sex\" is of type category and has cut points"},
    {"l", "column \"l\" is of type label, allowed a category"},
    {"region & sex & year=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27",
     NULL},
    {"x=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30 & "
     "year=1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17/18/19/20/21/22/23/24/25/26/27/28/29/30",
     "found 1024 groups"},
};

START_TEST(test_refused) {
    struct gr_preprocessing *p = create();
    struct gr_slicings *s = NULL;
    char copy[256], *text = copy;
    snprintf(copy, sizeof copy, "%s", refused[_i].text);
    if (refused[_i].message)
        CHECK_REFUSED(gr_slicings_create(&text, 1, gr_preprocessing_columns(p), &s),
                      GR_ERROR_CONFIG, refused[_i].message);
    else
        CHECK_OK(gr_slicings_create(&text, 1, gr_preprocessing_columns(p), &s));
    gr_slicings_free(s);
    CHECK_REFUSED(gr_slicings_create(&text, 1, NULL, &s), GR_ERROR_CONFIG, "have no names");
    gr_preprocessing_free(p);
}
END_TEST

/* ---- what is withheld ----------------------------------------------------------------------- */

/* Slicings of two columns and their crossing, of `a` by `b` groups: a, b, a & b. */
static void make_crossing(uint32_t a, uint32_t b, struct gr_slicing list[3],
                          struct gr_slicings *out) {
    memset(list, 0, 3 * sizeof *list);
    list[0] =
        (struct gr_slicing){.first = 0, .n = a, .n_parts = 1, .part = {{.column = 0, .n = a}}};
    list[1] =
        (struct gr_slicing){.first = a, .n = b, .n_parts = 1, .part = {{.column = 1, .n = b}}};
    list[2] = (struct gr_slicing){.first = a + b,
                                  .n = a * b,
                                  .n_parts = 2,
                                  .part = {{.column = 0, .n = a}, {.column = 1, .n = b}}};
    *out = (struct gr_slicings){.n = 3, .list = list, .n_groups = a + b + a * b};
}

static const struct gr_slice_rules rules = {.least_rows = 10, .least_silos = 2};

/* Of the table 3 x 3 the rows in each cell, in how many silos, and which are withheld. */
static const struct {
    int64_t rows[9], silos;
    const char *withheld; /* of 3 + 3 + 9 groups */
} crossings[] = {
    /* Nothing is small. */
    {{50, 40, 30, 20, 50, 60, 70, 0, 10}, 3, "000 000 000 000 000"},
    /* A small cell, and the smallest of its row, its column, and where these meet. */
    {{4, 40, 30, 20, 50, 60, 70, 80, 90}, 3, "000 000 101 101 000"},
    /* A small row: with it the next smallest, and all cells of both. */
    {{3, 4, 1, 20, 50, 60, 70, 80, 90}, 3, "110 000 111 111 000"},
    /* Two small ones are fewer than the threshold together. */
    {{4, 3, 30, 20, 50, 60, 70, 80, 90}, 3, "000 000 111 111 000"},
    /* A small row in one cell: what its partner is made of would add up to it. */
    {{8, 0, 0, 20, 50, 60, 70, 80, 90}, 3, "110 000 111 111 000"},
    /* All of one silo: nothing is told. */
    {{50, 40, 30, 20, 50, 60, 70, 80, 90}, 1, "111 111 111 111 111"},
};

START_TEST(test_withheld) {
    struct gr_slicing list[3];
    struct gr_slicings s;
    int64_t rows[15] = {0}, silos[15];
    uint8_t withheld[15];
    make_crossing(3, 3, list, &s);
    for (size_t i = 0; i < 9; i++) {
        rows[6 + i] = crossings[_i].rows[i];
        rows[i / 3] += rows[6 + i];
        rows[3 + i % 3] += rows[6 + i];
    }
    for (size_t i = 0; i < 15; i++)
        silos[i] = rows[i] > 0 ? crossings[_i].silos : 0;
    gr_slices_withhold(&s, rows, silos, &rules, withheld);
    for (size_t i = 0; i < 15; i++)
        ck_assert_msg(withheld[i] == (crossings[_i].withheld[i + i / 3] == '1'),
                      "group %zu is %swithheld", i, withheld[i] ? "" : "not ");
}
END_TEST

/* Whether rows can be moved round a square of withheld cells of a crossing of 4 by 5, so many that
 * nobody knows `cell`. */
static bool is_hidden(const int64_t *rows, const uint8_t *withheld, size_t cell) {
    for (size_t i = 0; i < 20; i++) {
        const size_t beside = cell - cell % 5 + i % 5, below = i - i % 5 + cell % 5;
        if (i / 5 == cell / 5 || i % 5 == cell % 5) continue;
        if (!withheld[i] || !withheld[beside] || !withheld[below]) continue;
        const int64_t less = rows[cell] < rows[i] ? rows[cell] : rows[i];
        const int64_t more = rows[beside] < rows[below] ? rows[beside] : rows[below];
        if (less + more >= rules.least_rows) return true;
    }
    return false;
}

/* Whatever is withheld of a line has rows enough together, and no cell follows from several lines,
 * over random tables. */
START_TEST(test_lines) {
    struct gr_slicing list[3];
    struct gr_slicings s;
    int64_t rows[4 + 5 + 20] = {0}, silos[4 + 5 + 20];
    uint8_t withheld[4 + 5 + 20];
    uint32_t state = 7 + (uint32_t)_i;
    make_crossing(4, 5, list, &s);
    for (size_t i = 0; i < 20; i++) {
        state = state * 1664525 + 1013904223;
        rows[9 + i] = (state >> 16) % 40;
        rows[i / 5] += rows[9 + i];
        rows[4 + i % 5] += rows[9 + i];
    }
    for (size_t i = 0; i < 29; i++)
        silos[i] = 2;
    gr_slices_withhold(&s, rows, silos, &rules, withheld);
    /* Where there is no such square nothing of the crossing is told. */
    const bool none = !memchr(withheld + 9, 0, 20);
    for (size_t i = 0; i < 20; i++)
        ck_assert_msg(none || !withheld[9 + i] || rows[9 + i] == 0 || withheld[i / 5] ||
                          withheld[4 + i % 5] || is_hidden(rows + 9, withheld + 9, i),
                      "cell %zu follows from the others", i);
    for (size_t line = 0; line < 9; line++) {
        int64_t sum = 0;
        int n = 0;
        for (size_t i = 0; i < 20; i++) {
            if ((line < 4 ? i / 5 : 4 + i % 5) != line) continue;
            ck_assert(withheld[9 + i] || rows[9 + i] == 0 || rows[9 + i] >= 10);
            n += withheld[9 + i];
            sum += withheld[9 + i] ? rows[9 + i] : 0;
        }
        const bool whole = n == (line < 4 ? 5 : 4);
        ck_assert_msg(n == 0 || sum == 0 || whole || (n > 1 && sum >= 10),
                      "line %zu: %d groups with %lld rows", line, n, (long long)sum);
        /* All of a line is withheld: so is the line, or it has rows enough. */
        ck_assert(!whole || sum >= 10 || sum == 0 || withheld[line]);
    }
}
END_TEST

/* ---- fairness ------------------------------------------------------------------------------- */

/*
 * Hand-made tables: by group rows of class 0 taken for 0 and 1, rows of class 1 likewise. Expected
 * values by the definitions of fairlearn 0.10 (demographic_parity_difference and _ratio,
 * equalized_odds_difference and _ratio with agg worst_case, MetricFrame.difference and .ratio
 * between groups of true_positive_rate and of precision), worked out by hand.
 */
static const struct {
    int64_t count[3][4];
    double expected[4][2]; /* demographic parity, opportunity, odds, predictive parity */
} tables[] = {
    {{{40, 10, 20, 30}, {25, 5, 10, 60}, {70, 10, 5, 15}},
     {{0.4, 0.25 / 0.65}, {6.0 / 7 - 0.6, 0.7}, {6.0 / 7 - 0.6, 0.625}, {60.0 / 65 - 0.6, 0.65}}},
    {{{90, 10, 0, 20}, {10, 90, 10, 10}, {50, 50, 5, 15}},
     {{100.0 / 120 - 0.25, 0.3}, {0.5, 0.5}, {0.8, 1.0 / 9}, {20.0 / 30 - 0.1, 0.15}}},
};

static uint8_t left_out[3]; /* of scores_of */

static struct gr_slice_scores scores_of(const int64_t count[3][4], struct gr_slicing *slicing,
                                        struct gr_slicings *slicings,
                                        struct gr_slice_tally total[3]) {
    *slicing = (struct gr_slicing){.n = 3, .n_parts = 1, .part = {{.n = 3}}};
    *slicings = (struct gr_slicings){.n = 1, .list = slicing, .n_groups = 3};
    memset(total, 0, 3 * sizeof *total);
    memset(left_out, 0, sizeof left_out);
    for (size_t g = 0; g < 3; g++)
        for (size_t i = 0; i < 4; i++) {
            total[g].count[i] = count[g][i] * GR_WEIGHT_ONE;
            total[g].rows += count[g][i];
            total[g].weight += total[g].count[i];
        }
    return (struct gr_slice_scores){
        .slicings = slicings, .classes = 2, .total = total, .withheld = left_out};
}

START_TEST(test_fairness) {
    struct gr_slicing slicing;
    struct gr_slicings slicings;
    struct gr_slice_tally total[3];
    const struct gr_slice_scores s = scores_of(tables[_i].count, &slicing, &slicings, total);
    for (int m = 0; m < 4; m++)
        for (int ratio = 0; ratio < 2; ratio++) {
            const struct gr_fairness_value v =
                gr_fairness(&s, 0, (enum gr_fairness_measure)m, ratio);
            ck_assert_msg(fabs(v.value - tables[_i].expected[m][ratio]) < 1e-12, "%s %d: %.17g",
                          gr_fairness_name((enum gr_fairness_measure)m), ratio, v.value);
            ck_assert(v.lower <= v.value && v.value <= v.upper);
        }
    const struct gr_fairness_value impact = gr_fairness(&s, 0, GR_DISPARATE_IMPACT, true);
    ck_assert(fabs(impact.value - tables[_i].expected[0][1]) < 1e-12);
}
END_TEST

/* A group without rows of class 1 has no sensitivity, and one without rows is none. */
START_TEST(test_undefined) {
    static const int64_t none[3][4] = {{40, 10, 20, 30}, {25, 5, 0, 0}, {0, 0, 0, 0}};
    struct gr_slicing slicing;
    struct gr_slicings slicings;
    struct gr_slice_tally total[3];
    struct gr_slice_scores s = scores_of(none, &slicing, &slicings, total);
    struct gr_fairness_value v = gr_fairness(&s, 0, GR_EQUAL_OPPORTUNITY, false);
    ck_assert(isnan(v.value));
    ck_assert_str_eq(v.why, "one class only");
    ck_assert_uint_eq(v.why_of, 1);
    v = gr_fairness(&s, 0, GR_DEMOGRAPHIC_PARITY, false);
    ck_assert(fabs(v.value - (0.4 - 1.0 / 6)) < 1e-12);
    left_out[1] = 1;
    v = gr_fairness(&s, 0, GR_DEMOGRAPHIC_PARITY, false);
    ck_assert_str_eq(v.why, "fewer than two groups are told");
    /* In steps that hide fewer than 10 rows; 50 rows of 100 are 0.5 give or take 0.05. */
    s = scores_of(tables[0].count, &slicing, &slicings, total);
    s.rules.hidden = 10;
    const struct gr_slice_value told = gr_slice_told(&s, 0, GR_SLICE_SELECTION_RATE);
    ck_assert(fabs(told.value - 0.4) < 1e-12 && fabs(told.upper - told.lower - 0.1) < 1e-12);
    const struct gr_slice_value few = gr_slice_told(&s, 2, GR_SLICE_SENSITIVITY);
    ck_assert(few.lower <= 0.75 && few.upper >= 0.75 && few.upper - few.lower >= 0.25);
}
END_TEST

/* Newcombe 1998, table II, method 10: (a) 56/70 - 48/80, (d) 5/56 - 0/29, (f) 10/10 - 0/20. */
START_TEST(test_intervals) {
    static const struct {
        double x, n, y, m, lower, upper;
    } of[] = {{56, 70, 48, 80, 0.0524, 0.3339},
              {5, 56, 0, 29, -0.0381, 0.1926},
              {10, 10, 0, 20, 0.6791, 1.0}};
    for (size_t i = 0; i < COUNT(of); i++) {
        const struct gr_interval found =
            gr_difference_interval((struct gr_share_of){of[i].x / of[i].n, of[i].n},
                                   (struct gr_share_of){of[i].y / of[i].m, of[i].m});
        ck_assert_msg(fabs(found.lower - of[i].lower) < 5e-5 &&
                          fabs(found.upper - of[i].upper) < 5e-5,
                      "%zu: %g %g", i, found.lower, found.upper);
    }
    /* The ratio's limits hold the ratio, and meet it where there are many rows. */
    const struct gr_interval ratio =
        gr_ratio_interval((struct gr_share_of){0.2, 1e10}, (struct gr_share_of){0.4, 1e10});
    ck_assert(ratio.lower < 0.5 && ratio.upper > 0.5 && ratio.upper - ratio.lower < 1e-4);
    const struct gr_interval none =
        gr_ratio_interval((struct gr_share_of){0, 20}, (struct gr_share_of){0.4, 20});
    ck_assert(none.lower == 0 && none.upper > 0 && none.upper < 1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slices");
    TCase *tests = tcase_create("slices");
    tcase_add_loop_test(tests, test_written, 0, COUNT(written));
    tcase_add_test(tests, test_features);
    tcase_add_test(tests, test_groups);
    tcase_add_loop_test(tests, test_refused, 0, COUNT(refused));
    tcase_add_loop_test(tests, test_withheld, 0, COUNT(crossings));
    tcase_add_loop_test(tests, test_lines, 0, 200);
    tcase_add_loop_test(tests, test_fairness, 0, COUNT(tables));
    tcase_add_test(tests, test_undefined);
    tcase_add_test(tests, test_intervals);
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
