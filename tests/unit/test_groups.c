/* SPDX-License-Identifier: Apache-2.0 */
/* Partition by a column: the same silos from a CSV file and from the table imported from it. */
#include "tables.h"

#include <hdf5.h>

#include "data/groups.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const char schema_text[] =
    "columns: [{name: x, type: number}, {name: centre, type: group}, {name: l, type: label}]\n";

static struct gr_config config_of(enum gr_data_source source, const char *file, uint32_t silos) {
    static char path[32], schema[] = "s.yaml", column[] = "centre", label[] = "l";
    struct gr_config config;
    memset(&config, 0, sizeof config);
    snprintf(path, sizeof path, "%s", file);
    config.data.split_seed = 3;
    config.data.source = source;
    config.data.silos = silos;
    config.data.train.file = path;
    config.data.schema = schema;
    config.data.csv = (struct gr_csv_config){.header = true, .label = label};
    config.data.partition.method = GR_PARTITION_COLUMN;
    config.data.partition.column = column;
    config.data.partition.minimum_rows = 1;
    put_file("s.yaml", schema_text, sizeof schema_text - 1);
    return config;
}

/* Names that begin alike, the longest first, so that each could be taken for one before it. */
START_TEST(test_names) {
    struct gr_groups groups = {0};
    char name[1001];
    memset(name, 'a', sizeof name);
    for (int turn = 0; turn < 2; turn++)
        for (size_t length = 1000; length > 0; length--) {
            uint32_t number;
            CHECK_OK(gr_groups_find(&groups, name, length, &number));
            ck_assert_uint_eq(number, 1000 - length);
        }
    ck_assert_uint_eq(groups.n, 1000);
    ck_assert_uint_eq(groups.bytes, 1000 * 1001 / 2 + 1000);
    ck_assert_uint_eq(strlen(groups.names[1]), 999);
    gr_groups_release(&groups);
}
END_TEST

/* 70000 rows: more than one chunk of the table, and than one window of labels. */
enum { ROWS = 70000 };

static void put_csv(void) {
    static const char *const names[] = {"Ulm", "Aalen", "\"a, b\"", "Aa", "\xC3\x9Cxen"};
    FILE *file = fopen("t.csv", "wb");
    fprintf(file, "x,centre,l\n");
    for (int i = 0; i < ROWS; i++) /* the fifth comes late */
        fprintf(file, "%d,%s,%d\n", i, names[i < 60000 ? (i * 7 + i / 9) % 4 : i % 5], i % 3);
    fclose(file);
}

static void check_same(const struct gr_data *a, const struct gr_data *b) {
    ck_assert_uint_eq(a->n_local, b->n_local);
    for (size_t s = 0; s < a->n_local; s++) {
        const struct gr_rows *x = &a->local[s].train, *y = &b->local[s].train;
        ck_assert_uint_gt(x->n_rows, 0);
        ck_assert_uint_eq(x->n_rows, y->n_rows);
        ck_assert_mem_eq(a->local[s].digest, b->local[s].digest, sizeof a->local[s].digest);
        ck_assert(memcmp(x->features, y->features, x->n_rows * sizeof(float)) == 0);
        ck_assert(memcmp(x->labels, y->labels, x->n_rows * sizeof *x->labels) == 0);
    }
}

START_TEST(test_import_keeps_groups) {
    static const uint32_t limits[] = {0, 66000, 1000};
    struct gr_import_options options = {.schema = "s.yaml",
                                        .csv = {.header = true, .label = (char[]){"l"}}};
    put_csv();
    struct gr_config config = config_of(GR_SOURCE_CSV, "t.csv", 5);
    CHECK_OK(gr_import_csv("t.csv", &options, "t.h5"));
    for (size_t i = 0; i < COUNT(limits); i++) {
        /* Of the first rows only the groups that occur there. */
        const uint32_t silos = limits[i] == 1000 ? 4 : 5;
        struct gr_data *csv, *hdf5;
        config = config_of(GR_SOURCE_CSV, "t.csv", silos);
        config.data.limit = limits[i];
        CHECK_OK(load_all(&config, silos, &csv));
        config = config_of(GR_SOURCE_HDF5, "t.h5", silos);
        config.data.limit = limits[i];
        CHECK_OK(load_all(&config, silos, &hdf5));
        check_same(csv, hdf5);
        gr_data_free(csv);
        gr_data_free(hdf5);
    }
    config = config_of(GR_SOURCE_HDF5, "t.h5", 3);
    struct gr_data *none;
    CHECK_REFUSED(load_all(&config, 3, &none), GR_ERROR_CONFIG,
                  "data.silos: found 3, the column \"centre\" has 5 values");
    /* Rows 60000 to 60003 hold Ulm, Aalen, "a, b" and Aa. */
    options.first = 60000;
    options.limit = 4;
    CHECK_OK(gr_import_csv("t.csv", &options, "u.h5"));
    config = config_of(GR_SOURCE_HDF5, "u.h5", 4);
    CHECK_OK(load_all(&config, 4, &none));
    for (size_t s = 0; s < 4; s++)
        ck_assert(((float *)none->local[s].train.features)[0] ==
                  (float)(60000 + (const int[]){3, 1, 0, 2}[s]));
    gr_data_free(none);
}
END_TEST

/* ---- tables that are not as imported -------------------------------------------------------- */

static void put(hid_t file, const char *name, hid_t type, hid_t memory, hsize_t n, hsize_t width,
                const void *values) {
    const hsize_t shape[] = {n, width};
    hid_t space = H5Screate_simple(width ? 2 : 1, shape, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, values), 0);
    H5Dclose(set);
    H5Sclose(space);
}

static const struct odd {
    const char *why; /* NULL: it is well */
    const char *names;
    size_t names_bytes, n;
    int32_t group[4];
    bool real, plain; /* floating-point groups; no /columns */
} odd[] = {
    {NULL, "b\0a", 4, 4, {0, 1, 1, 0}, false, false},
    {NULL, "b\0unused\0a", 11, 4, {0, 2, 2, 0}, false, false},
    {"row 2: group 2, expected 0 to 1", "b\0a", 4, 4, {0, 1, 2, 0}, false, false},
    {"row 1: group -1, expected 0 to 1", "b\0a", 4, 4, {0, -1, 1, 0}, false, false},
    {"the groups' names are not different", "b\0b", 4, 4, {0, 1, 1, 0}, false, false},
    {"the groups' names are not different", "b\0a", 3, 4, {0, 1, 1, 0}, false, false},
    {"the groups' names are not different", "b\0", 3, 4, {0, 1, 1, 0}, false, false},
    {"the groups' names are not different", "b\0\xFF", 4, 4, {0, 1, 1, 0}, false, false},
    {"/groups: expected 4 integers", "b\0a", 4, 3, {0, 1, 1}, false, false},
    {"/groups: expected 4 integers", "b\0a", 4, 4, {0, 1, 1, 0}, true, false},
    {"/group_names: damaged: what is not there", NULL, 0, 4, {0, 1, 1, 0}, false, false},
    {"/groups: damaged: what is not there", "b\0a", 4, 0, {0}, false, false},
    {"does not hold the values of \"centre\"; import it again", NULL, 0, 0, {0}, false, false},
    {"there is no column \"centre\"", "b\0a", 4, 4, {0, 1, 1, 0}, false, true},
};

static void put_odd(const struct odd *o) {
    static const float x[] = {1, 2, 3, 4};
    static const int32_t labels[] = {0, 1, 0, 1};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_sec2(access);
    hid_t file = H5Fcreate("t.h5", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    put(file, "features", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, 4, 1, x);
    put(file, "labels", H5T_STD_I32LE, H5T_NATIVE_INT32, 4, 0, labels);
    if (!o->plain)
        put(file, "columns", H5T_STD_U8LE, H5T_NATIVE_UINT8, sizeof schema_text - 1, 0,
            schema_text);
    if (o->n > 0)
        put(file, "groups", o->real ? H5T_IEEE_F64LE : H5T_STD_I64BE, H5T_NATIVE_INT32, o->n, 0,
            o->group);
    if (o->names)
        put(file, "group_names", H5T_STD_U8LE, H5T_NATIVE_UINT8, o->names_bytes, 0, o->names);
    H5Fclose(file);
    H5Pclose(access);
}

START_TEST(test_odd_groups) {
    const struct odd *o = &odd[_i];
    struct gr_config config = config_of(GR_SOURCE_HDF5, "t.h5", 2);
    static char none[] = "";
    struct gr_data *data;
    if (o->plain) config.data.schema = none;
    put_odd(o);
    if (o->why) {
        CHECK_REFUSED(load_all(&config, 2, &data), GR_ERROR_DATA, o->why);
        return;
    }
    CHECK_OK(load_all(&config, 2, &data));
    ck_assert_uint_eq(data->n_local, 2);
    const float *a = data->local[0].train.features, *b = data->local[1].train.features;
    ck_assert(a[0] == 2 && a[1] == 3 && b[0] == 1 && b[1] == 4);
    gr_data_free(data);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("groups");
    TCase *tests = tcase_create("groups");
    if (gr_base_start() != GR_OK) return 1;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    scratch_create();
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_test(tests, test_names);
    tcase_add_test(tests, test_import_keeps_groups);
    tcase_add_loop_test(tests, test_odd_groups, 0, (int)COUNT(odd));
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
