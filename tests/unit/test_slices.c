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
    CHECK_REFUSED(gr_slicings_create(&text, 1, NULL, &s), GR_ERROR_CONFIG, "have no names");
    gr_slicings_free(s);
    gr_preprocessing_free(p);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("slices");
    TCase *tests = tcase_create("slices");
    tcase_add_loop_test(tests, test_written, 0, COUNT(written));
    tcase_add_test(tests, test_features);
    tcase_add_test(tests, test_groups);
    tcase_add_loop_test(tests, test_refused, 0, COUNT(refused));
    suite_add_tcase(suite, tests);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    const int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed == 0 ? 0 : 1;
}
