/* SPDX-License-Identifier: Apache-2.0 */
/* The schema contract: its file, its rules, and what makes two tables' columns fit. */
#include "tables.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static gr_status parse(const char *text, struct gr_schema **out) {
    return gr_schema_parse("s.yaml", text, strlen(text), out);
}

static const struct {
    const char *text, *message;
} broken[] = {
    {"{}", "s.yaml:1: columns: is required; found nothing, allowed a list of at most 10000, each a "
           "section of "
           "name, type, unit, range, categories, missing, encode, scale, open, decimal, "
           "thousands, percent, affixes, missing_words, censored, origin, format, in, since, "
           "unlabelled, slices_only"},
    {"columns: []", "s.yaml:1: columns: found an empty list, allowed 1 to 10000 columns"},
    {"columns: [{name: a, type: real}]",
     "s.yaml:1: columns[0].type: found \"real\", allowed number, integer, category, text, label, "
     "target, group, date, datetime, weight or offset"},
    {"columns:\n- {name: a, type: number}\n- {type: number}",
     "s.yaml:3: columns[1].name: is required; found nothing, allowed text of at most 4096 bytes, "
     "no control "
     "characters, '' for none"},
    {"columns: [{name: a, type: number, labels: x}]",
     "s.yaml:1: columns[0].labels: found an unknown key, allowed name, type, unit, range, "
     "categories, missing, encode, scale, open, decimal, "
     "thousands, percent, affixes, missing_words, censored, origin, format, in, since, unlabelled, "
     "slices_only"},
    {"columns: [{name: '', type: number}]",
     "s.yaml:1: columns[0].name: found \"\", allowed a name (type is number)"},
    {"columns: [{name: a, type: number, open: true}]",
     "s.yaml:1: columns[0].open: found true, allowed only false, the default (type is number)"},
    {"columns: [{name: a, type: category, scale: none}]",
     "s.yaml:1: columns[0].scale: found none, allowed only default (type is category)"},
    {"columns: [{name: a, type: category, categories: [x, y, x]}]",
     "s.yaml:1: columns[0].categories: found \"x\" twice, allowed each once (type is category)"},
    {"columns: [{name: a, type: category, categories: [\"10\", \"1.0\", \"2\", \"1\"]}]",
     "s.yaml:1: columns[0].categories: found \"1\" and \"1.0\", allowed each number once (type is "
     "category)"},
    {"columns: [{name: a, type: label, categories: [\"0,00\", \"0\"], decimal: comma}]",
     "s.yaml:1: columns[0].categories: found \"0\" and \"0,00\", allowed each number once (type is "
     "label)"},
    {"columns: [{name: a, type: number, categories: [x]}]",
     "s.yaml:1: columns[0].categories: found a list, allowed none (type is number)"},
    {"columns: [{name: a, type: number, missing: mode}]",
     "s.yaml:1: columns[0].missing: found mode, allowed refuse, mean, indicator or zero (type is "
     "number)"},
    {"columns: [{name: a, type: category, categories: [x], missing: mean}]",
     "s.yaml:1: columns[0].missing: found mean, allowed refuse, mode, indicator or zero (type is "
     "category)"},
    {"columns: [{name: a, type: category, categories: [x], missing: zero}]",
     "s.yaml:1: columns[0].missing: found zero, allowed zero with encode one_hot only (type is "
     "category)"},
    {"columns: [{name: a, type: label, missing: zero}]",
     "s.yaml:1: columns[0].missing: found zero, allowed only refuse, the default (type is label)"},
    {"columns: [{name: a, type: number, affixes: [kg, '-']}]\n",
     "s.yaml:1: columns[0].affixes: found an entry that may be a part of the number, allowed "
     "entries with a letter or another sign (type is number)"},
    {"columns: [{name: a, type: number, affixes: [kg, '5']}]\n",
     "s.yaml:1: columns[0].affixes: found an entry that may be a part of the number, allowed "
     "entries with a letter or another sign (type is number)"},
    {"columns: [{name: a, type: number, affixes: [kg, '.']}]\n",
     "s.yaml:1: columns[0].affixes: found an entry that may be a part of the number, allowed "
     "entries with a letter or another sign (type is number)"},
    {"columns: [{name: a, type: number, range: [1]}]",
     "s.yaml:1: columns[0].range: found one bound, allowed [low, high] (type is number)"},
    {"columns: [{name: a, type: number, range: [2, 1]}]",
     "s.yaml:1: columns[0].range: found the higher bound first, allowed [low, high] (type is "
     "number)"},
    {"columns: [{name: a, type: text, range: [1, 2]}]",
     "s.yaml:1: columns[0].range: found a list, allowed none (type is text)"},
    {"columns: [{name: a, type: number, encode: one_hot}]",
     "s.yaml:1: columns[0].encode: found one_hot, allowed only code, the default (type is "
     "number)"},
    {"columns: [{name: a, type: number}, {name: a, type: text}]",
     "s.yaml:1: columns: found the name \"a\" twice, allowed once"},
    {"columns: [{name: a, type: label}, {name: b, type: label}]",
     "s.yaml:1: columns: found 2 columns of type label, allowed at most one"},
};

START_TEST(test_broken_rule) {
    struct gr_schema *schema = NULL;
    ck_assert_int_eq(parse(broken[_i].text, &schema), GR_ERROR_CONFIG);
    ck_assert_ptr_null(schema);
    ck_assert_str_eq(gr_message(), broken[_i].message);
}
END_TEST

static const char whole[] =
    "columns:\n"
    "- name: id\n  type: text\n"
    "- name: age\n  type: integer\n  unit: years\n  range: [0, 120]\n  missing: mean\n"
    "- name: sex\n  type: category\n  categories: [F, M]\n"
    "- name: ward\n  type: category\n  categories: ['null', no, b c]\n  missing: indicator\n"
    "  encode: one_hot\n"
    "- name: chol\n  type: number\n  range: [-0.5, 6.25]\n  missing: indicator\n"
    "  scale: min_max\n"
    "- name: bed\n  type: category\n  encode: one_hot\n  open: true\n"
    "- name: died\n  type: label\n  categories: [no, yes]\n";

/* What is written reads back, and what goes without saying is not written. */
START_TEST(test_round_trip) {
    struct gr_schema *schema, *again;
    char *yaml, *second;
    CHECK_OK(parse(whole, &schema));
    CHECK_OK(gr_schema_to_yaml(schema, &yaml));
    ck_assert_str_eq(yaml, whole);
    CHECK_OK(parse(yaml, &again));
    CHECK_OK(gr_schema_to_yaml(again, &second));
    ck_assert_str_eq(yaml, second);
    ck_assert_str_eq(schema->columns[3].categories[0], "null");
    ck_assert_double_eq(schema->columns[4].range[1], 6.25);
    gr_free(yaml);
    gr_free(second);
    gr_schema_free(schema);
    gr_schema_free(again);
}
END_TEST

START_TEST(test_features) {
    static const char *const names[] = {"age",      "sex",          "ward=null", "ward=no",
                                        "ward=b c", "ward_missing", "chol",      "chol_missing"};
    static const enum gr_feature_kind kinds[] = {
        GR_FEATURE_NUMBER,  GR_FEATURE_CODE,      GR_FEATURE_ONE_HOT, GR_FEATURE_ONE_HOT,
        GR_FEATURE_ONE_HOT, GR_FEATURE_INDICATOR, GR_FEATURE_NUMBER,  GR_FEATURE_INDICATOR};
    struct gr_schema *schema;
    struct gr_columns *columns;
    char name[64];
    CHECK_OK(parse(whole, &schema));
    CHECK_OK(gr_columns_create(schema, &columns));
    ck_assert_uint_eq(columns->n_features, COUNT(names));
    ck_assert_int_eq(columns->label, 6);
    ck_assert_uint_eq(columns->n_values, 5);
    ck_assert_uint_eq(columns->column_of[4], 5);
    ck_assert_int_eq(columns->target, -1);
    ck_assert_int_eq(columns->group, -1);
    for (size_t i = 0; i < COUNT(names); i++) {
        gr_feature_name(columns, i, name, sizeof name);
        ck_assert_str_eq(name, names[i]);
        ck_assert_int_eq(columns->features[i].kind, kinds[i]);
    }
    ck_assert_uint_eq(columns->features[1].n_categories, 2);
    gr_columns_free(columns);
}
END_TEST

/* From `base` by one change; NULL: it still fits. */
static const struct {
    const char *change, *difference;
} fits[] = {
    {"[{name: a, type: number, unit: m}, {name: b, type: category, categories: [x, y]}]", NULL},
    {"[{name: a, type: number, range: [0, 9]}, {name: b, type: category, categories: [x, y]}]",
     "column 1 (a): found another range"},
    {"[{name: a, type: number, missing: mean}, {name: b, type: category, categories: [x, y]}]",
     "column 1 (a): found missing mean, expected refuse"},
    {"[{name: a, type: number, scale: none}, {name: b, type: category, categories: [x, y]}]",
     "column 1 (a): found scale none, expected default"},
    {"[{name: a, type: number}, {name: b, type: category, categories: [x, y], open: true}]",
     "column 2 (b): found open categories, expected listed"},
    {"[{name: A, type: number}, {name: b, type: category, categories: [x, y]}]",
     "column 1: found another name, expected \"a\""},
    {"[{name: b, type: category, categories: [x, y]}, {name: a, type: number}]",
     "column 1: found another name, expected \"a\""},
    {"[{name: a, type: integer}, {name: b, type: category, categories: [x, y]}]",
     "column 1 (a): found type integer, expected number"},
    {"[{name: a, type: number}, {name: b, type: category, categories: [y, x]}]",
     "column 2 (b): category 1 is another"},
    {"[{name: a, type: number}, {name: b, type: category, categories: [x]}]",
     "column 2 (b): found 1 categories, expected 2"},
    {"[{name: a, type: number}, {name: b, type: category, categories: [x, y], encode: one_hot}]",
     "column 2 (b): found encode one_hot, expected code"},
    {"[{name: a, type: number, missing: indicator}, {name: b, type: category, categories: [x, y]}]",
     "column 1 (a): found missing indicator, expected refuse"},
    {"[{name: a, type: number}]", "found 1 columns, expected 2"},
};

/* An open column's categories are united over all silos: none may be longer than those of CSV. */
START_TEST(test_open_categories) {
    static const char *const format =
        "columns: [{name: a, type: category, categories: [\"%s\"], open: true}]";
    char category[258], text[512];
    for (size_t length = 256; length <= 257; length++) {
        struct gr_schema *schema;
        struct gr_columns *columns;
        memset(category, 'x', length);
        category[length] = '\0';
        snprintf(text, sizeof text, format, category);
        CHECK_OK(gr_schema_parse("s", text, strlen(text), &schema));
        if (length == 256) {
            CHECK_OK(gr_columns_create(schema, &columns));
            gr_columns_free(columns);
        } else {
            CHECK_REFUSED(gr_columns_create(schema, &columns), GR_ERROR_DATA,
                          "column 1: found a category that is a long text");
        }
    }
}
END_TEST

START_TEST(test_fit) {
    char text[512], difference[GR_DIFFERENCE_BYTES];
    struct gr_schema *expected, *found;
    CHECK_OK(parse("columns: [{name: a, type: number}, {name: b, type: category, categories: [x, "
                   "y]}]",
                   &expected));
    snprintf(text, sizeof text, "columns: %s", fits[_i].change);
    CHECK_OK(parse(text, &found));
    bool fit = gr_columns_fit(found, expected, difference, sizeof difference);
    ck_assert_int_eq(fit, fits[_i].difference == NULL);
    if (!fit) ck_assert_str_eq(difference, fits[_i].difference);
    gr_schema_free(expected);
    gr_schema_free(found);
}
END_TEST

START_TEST(test_missing_file) {
    struct gr_schema *schema;
    CHECK_REFUSED(gr_schema_load("/nonexistent/s.yaml", &schema), GR_ERROR_CONFIG,
                  "/nonexistent/s.yaml");
}
END_TEST

int main(void) {
    Suite *suite = suite_create("schema");
    TCase *tests = tcase_create("schema");
    if (gr_base_start() != GR_OK) return 1;
    tcase_add_loop_test(tests, test_broken_rule, 0, (int)COUNT(broken));
    tcase_add_test(tests, test_round_trip);
    tcase_add_test(tests, test_features);
    tcase_add_loop_test(tests, test_fit, 0, (int)COUNT(fits));
    tcase_add_test(tests, test_open_categories);
    tcase_add_test(tests, test_missing_file);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
