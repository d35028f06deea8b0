/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fit as text, applied to rows, and in a model file. What is fitted is held against scikit-learn
 * in tests/parallel/test_preprocess.c.
 */
#include "data/preprocess.h"
#include "tables.h"

#include <granary/store.h>

#include <float.h>
#include <math.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char model_text[] =
    "columns:\n"
    "- {name: x, type: number, missing: mean, range: [0, 9]}\n"
    "- {name: k, type: category, categories: [b, a], encode: one_hot, missing: indicator}\n"
    "- {name: c, type: category, categories: [u, v, w], missing: mode}\n"
    "- {name: l, type: label, categories: [no, yes]}\n"
    "low: [0, -1.0e308, -1.0e308]\nhigh: [9, 1.0e308, 1.0e308]\n"
    "fill: [0.25, 2, 1]\ncentre: [1, 0, 0]\nspread: [4, 1, 1]\n";

static struct gr_preprocessing *create(const char *text) {
    struct gr_preprocessing *p;
    CHECK_OK(gr_preprocessing_create("m.h5: /preprocessing", text, &p));
    return p;
}

static struct gr_columns *columns_of(const char *yaml) {
    struct gr_schema *schema;
    struct gr_columns *columns;
    CHECK_OK(gr_schema_parse("s.yaml", yaml, strlen(yaml), &schema));
    CHECK_OK(gr_columns_create(schema, &columns));
    return columns;
}

/* ---- text ----------------------------------------------------------------------------------- */

static const struct {
    const char *text, *message;
} refused[] = {
    {"", "columns: is required; found nothing"},
    {"columns: []\nfill: []\ncentre: []\nspread: []", "fill: found lists that are not of one"},
    {"columns: []\nfill: [1, 2]\ncentre: [1]\nspread: [1, 1]", "fill: found lists that are not"},
    {"columns: []\nfill: [1]\ncentre: [1]\nspread: [-1]", "spread[0]: found -1, allowed 0 <= x"},
    {"columns: []\nfill: [.nan]\ncentre: [1]\nspread: [1]", "fill[0]: found"},
    {"columns: []\nfill: [1]\ncentre: [1e999]\nspread: [1]", "centre[0]: found"},
    {"columns: []\nfill: [1]\ncentre: [1]\nspread: [1]\nlow: [1]", "low: found lists that are not"},
    {"columns: []\nfill: [1]\ncentre: [1]\nspread: [1]\nlow: [1]\nhigh: [0]",
     "low: found a bound above"},
    {"columns: [{name: x, type: number}]\nfill: [1, 2]\ncentre: [1, 2]\nspread: [1, 2]",
     "fill: found lists that are not of one length"},
    {"columns: [{name: x, type: text}]\nfill: [1]\ncentre: [1]\nspread: [1]",
     "fill: found lists that are not of one length"},
    {"columns: [{name: x, type: number}, {name: x, type: number}]\nfill: [1, 1]\ncentre: [1, 1]\n"
     "spread: [1, 1]",
     "found the name \"x\" twice"},
    {"columns: [{name: x, type: number, sale: 3}]\nfill: [1]\ncentre: [1]\nspread: [1]",
     "columns[0].sale: found an unknown key"},
    {"columns: []\nfill: [1]\ncentre: [1]\nspread: [1]\nmodel: 1", "model: found an unknown key"},
    {"columns: [{name: k, type: category, encode: one_hot}]\nfill: [0]\ncentre: [0]\nspread: [1]",
     "no column makes a feature"},
    {"{{{", "m.h5: /preprocessing:1"},
};

START_TEST(test_refused) {
    struct gr_preprocessing *p;
    CHECK_REFUSED(gr_preprocessing_create("m.h5: /preprocessing", refused[_i].text, &p),
                  GR_ERROR_DATA, refused[_i].message);
    ck_assert_ptr_null(p);
}
END_TEST

/* To the last bit, and the same text again. */
START_TEST(test_text) {
    double numbers[] = {0.1, 1.0 / 3, -DBL_MAX, DBL_MIN, -1e-44, 123456789.123456789, 0};
    double spread[] = {1, 2, 3, 1e-300, DBL_MAX, 0, 1};
    struct gr_fit fit = {.fill = numbers, .centre = numbers, .spread = spread}, *again;
    char *text, *second;
    fit.fill_count = fit.centre_count = fit.spread_count = COUNT(numbers);
    CHECK_OK(gr_fit_to_yaml(&fit, &text));
    CHECK_OK(gr_fit_parse("fit", text, strlen(text), &again));
    ck_assert_uint_eq(again->centre_count, COUNT(numbers));
    ck_assert_mem_eq(again->centre, numbers, sizeof numbers);
    ck_assert_mem_eq(again->spread, spread, sizeof spread);
    CHECK_OK(gr_fit_to_yaml(again, &second));
    ck_assert_str_eq(text, second);
    gr_fit_free(again);
    gr_free(second);
    gr_free(text);
}
END_TEST

/* ---- rows ----------------------------------------------------------------------------------- */

/* Columns are found by name and categories by text, wherever they stand. */
START_TEST(test_rows) {
    static const float values[][4] = {
        {0, 3, 77, 0},      /* c w, x 3, z, k a */
        {1, NAN, 77, 1},    /* c u, x missing, k b */
        {NAN, -5, 77, NAN}, /* c missing, x below, k missing */
        {2, 100, 77, 2},    /* c of a category that the model does not know, x above, k likewise */
        {1e9f, 9, 77, -3},  /* codes that are none */
        {-1, 1, 77, 1e30f},
    };
    static const float expected[][5] = {/* x, k=b, k=a, k_missing, c */
                                        {0.5f, 0, 1, 0, 2},   {0.25f, 1, 0, 0, 0},
                                        {-0.25f, 0, 0, 1, 1}, {2, 0, 0, 0, 3},
                                        {2, 0, 0, 0, 3},      {0, 0, 0, 0, 3}};
    struct gr_preprocessing *p = create(model_text);
    struct gr_columns *table = columns_of(
        "columns:\n- {name: c, type: category, categories: [w, u, zz], missing: mode}\n"
        "- {name: t, type: text}\n- {name: x, type: integer, missing: zero}\n"
        "- {name: z, type: number}\n- {name: k, type: category, categories: [a, b, c]}\n");
    struct gr_binding binding;
    float features[5];
    ck_assert_uint_eq(gr_preprocessing_features(p), 5);
    CHECK_OK(gr_binding_create(p, table, 4, "t.h5", &binding));
    for (size_t i = 0; i < COUNT(values); i++) {
        gr_binding_apply(p, &binding, values[i], features);
        for (size_t j = 0; j < 5; j++)
            ck_assert_msg(features[j] == expected[i][j], "row %zu, feature %zu: %g", i, j,
                          (double)features[j]);
    }
    gr_binding_release(&binding);
    gr_columns_free(table);
    gr_preprocessing_free(p);
}
END_TEST

static const struct {
    const char *columns, *message;
} misfits[] = {
    {"[{name: x, type: number}, {name: k, type: category, categories: [a]}]",
     "t.h5: has no column \"c\", which the model needs"},
    {"[{name: x, type: category, categories: [a]}, {name: k, type: category, categories: [a]}, "
     "{name: c, type: category, categories: [a]}]",
     "t.h5: column \"x\": found type category, the model needs number"},
    {"[{name: x, type: number}, {name: k, type: text}, {name: c, type: category, categories: [a]}]",
     "t.h5: column \"k\": found type text, the model needs category"},
};

START_TEST(test_misfit) {
    char text[400];
    struct gr_preprocessing *p = create(model_text);
    snprintf(text, sizeof text, "columns: %s", misfits[_i].columns);
    struct gr_columns *table = columns_of(text);
    struct gr_binding binding;
    CHECK_REFUSED(gr_binding_create(p, table, table->n_values, "t.h5", &binding), GR_ERROR_DATA,
                  misfits[_i].message);
    CHECK_REFUSED(gr_binding_create(p, NULL, 3, "t.h5", &binding), GR_ERROR_DATA,
                  "t.h5: it names no columns");
    gr_columns_free(table);
    gr_preprocessing_free(p);
}
END_TEST

/* Features of tables without columns: by their number, never of bytes. */
START_TEST(test_bare) {
    struct gr_preprocessing *p =
        create("columns: []\nfill: [0, 0]\ncentre: [1, 2]\nspread: [2, 0]\n");
    float features[] = {3, 9, 1, 2};
    struct gr_rows rows = {.n_rows = 2,
                           .n_features = 2,
                           .element = GR_ELEMENT_FLOAT32,
                           .scale = 1,
                           .features = features};
    CHECK_OK(gr_preprocess_rows(p, NULL, "silo-000", &rows));
    ck_assert(features[0] == 1 && features[1] == 0 && features[2] == 0 && features[3] == 0);
    rows.n_features = 1;
    CHECK_REFUSED(gr_preprocess_rows(p, NULL, "silo-000", &rows), GR_ERROR_DATA,
                  "silo-000: found 1 features in a row, the model needs 2");
    rows.element = GR_ELEMENT_UINT8;
    CHECK_REFUSED(gr_preprocess_rows(p, NULL, "silo-000", &rows), GR_ERROR_DATA,
                  "found features of bytes");
    gr_preprocessing_free(p);
}
END_TEST

/* ---- in a model file ------------------------------------------------------------------------ */

static void write_model(const char *preprocessing) {
    const size_t shape[2] = {5, 2};
    struct gr_layout layout = {0};
    float parameters[64] = {0};
    uint32_t rounds[1] = {1};
    CHECK_OK(gr_layout_append(&layout, "dense0.weight", 2, shape));
    struct gr_state state = {.round = 1,
                             .layout = &layout,
                             .parameters = parameters,
                             .n_silos = 1,
                             .silo_rounds = rounds,
                             .architecture = "{}",
                             .preprocessing = preprocessing};
    CHECK_OK(gr_model_file_write("m.h5", &state));
    gr_layout_release(&layout);
}

/* It comes back as it was; whatever is changed in it is seen. */
START_TEST(test_model_file) {
    struct gr_model_file file;
    char *bytes;
    size_t n, refusals = 0;
    write_model(model_text);
    CHECK_OK(gr_model_file_read("m.h5", 0, 1, &file));
    ck_assert_str_eq(file.preprocessing, model_text);
    gr_model_file_release(&file);
    CHECK_OK(gr_file_read("m.h5", 1 << 20, GR_ERROR_DATA, &bytes, &n));
    char *at = memmem(bytes, n, model_text, strlen(model_text));
    ck_assert_ptr_nonnull(at);
    for (size_t i = 0; i < strlen(model_text); i += 7) {
        at[i] ^= 4;
        put_file("d.h5", bytes, n);
        at[i] ^= 4;
        refusals += gr_model_file_read("d.h5", 0, 1, &file) == GR_ERROR_DATA;
    }
    ck_assert_uint_eq(refusals, (strlen(model_text) + 6) / 7);
    gr_free(bytes);
    write_model(NULL);
    CHECK_OK(gr_model_file_read("m.h5", 0, 1, &file));
    ck_assert_ptr_null(file.preprocessing);
    gr_model_file_release(&file);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("preprocess");
    TCase *tests = tcase_create("preprocess");
    if (gr_base_start() != GR_OK) return 1;
    scratch_create();
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_loop_test(tests, test_refused, 0, (int)COUNT(refused));
    tcase_add_test(tests, test_text);
    tcase_add_test(tests, test_rows);
    tcase_add_loop_test(tests, test_misfit, 0, (int)COUNT(misfits));
    tcase_add_test(tests, test_bare);
    tcase_add_test(tests, test_model_file);
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
