/* SPDX-License-Identifier: Apache-2.0 */
/* CSV tables as a source of silos, and imported: the same rows either way. */
#include "tables.h"

#include <math.h>
#include <sys/stat.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

enum { ROWS = 20000 };

static const char schema_text[] =
    "columns:\n- {name: id, type: text}\n- {name: centre, type: group}\n- {name: x, type: number, "
    "missing: mean}\n- {name: k, type: category, categories: [b, a], encode: one_hot}\n- {name: l, "
    "type: label, categories: [no, yes, never]}\n";

/* Row i as the writer below makes it. */
static bool is_missing(size_t i) {
    return i % 11 == 3;
}
static float x_of(size_t i) {
    return (float)(i % 977) * 0.25f;
}
static size_t centre_of(size_t i) {
    return i % 4;
}

/* Centres appear in another order than that of their names. */
static void put_rows(const char *path, size_t first, size_t n) {
    static const char *const centres[] = {"Ulm", "Aalen", "\"Bad \"\"X\"\"\"", "Aa"};
    FILE *file = fopen(path, "wb");
    fprintf(file, "id,centre,x,k,l\r\n");
    for (size_t i = first; i < first + n; i++) {
        fprintf(file, "\"P\n%zu\",%s,", i, centres[centre_of(i)]);
        if (!is_missing(i)) fprintf(file, "%.2f", (double)x_of(i));
        fprintf(file, ",%s,%s\r\n", i % 5 == 0 ? "c" : i % 2 ? "a" : "b", i % 3 ? "no" : "yes");
    }
    fclose(file);
}

static struct gr_config csv_config(uint32_t n_silos) {
    static char file[] = "t.csv", schema[] = "s.yaml", column[] = "centre", label[] = "l";
    struct gr_config config;
    memset(&config, 0, sizeof config);
    config.data.split_seed = 3;
    config.data.source = GR_SOURCE_CSV;
    config.data.silos = n_silos;
    config.data.train.file = file;
    config.data.schema = schema;
    config.data.csv = (struct gr_csv_config){.header = true, .label = label};
    config.data.partition.method = GR_PARTITION_COLUMN;
    config.data.partition.column = column;
    config.data.partition.minimum_rows = 1;
    put_file("s.yaml", schema_text, sizeof schema_text - 1);
    return config;
}

/* As it was read: missing values stay missing, categories are places in the schema's list. */
static void check_row(const struct gr_rows *rows, size_t at, size_t i) {
    float values[2];
    int32_t label;
    gr_rows_gather(rows, NULL, at, 1, values, &label, NULL);
    ck_assert_msg(is_missing(i) ? isnan(values[0]) : values[0] == x_of(i), "row %zu: %g", i,
                  (double)values[0]);
    ck_assert(values[1] == (i % 5 == 0 ? 2.0f : (float)(i % 2)));
    ck_assert_int_eq(label, i % 3 == 0);
}

/* A silo for each centre, in the order of the names, each with its rows in the table's order. */
START_TEST(test_partition_by_column) {
    static const size_t centre_of_silo[] = {3, 1, 2, 0}; /* Aa, Aalen, Bad "X", Ulm */
    struct gr_config config = csv_config(4);
    struct gr_data *data;
    put_rows("t.csv", 0, ROWS);
    CHECK_OK(load_all(&config, 4, &data));
    ck_assert_uint_eq(data->n_features, 2);
    ck_assert_uint_eq(data->n_classes, 3);
    for (size_t s = 0; s < 4; s++) {
        size_t at = 0;
        for (size_t i = 0; i < ROWS; i++)
            if (centre_of(i) == centre_of_silo[s]) check_row(&data->local[s].train, at++, i);
        ck_assert_uint_eq(data->local[s].train.n_rows, at);
    }
    ck_assert_int_eq(data->found[2].missing, (ROWS - 3 + 10) / 11);
    ck_assert_int_eq(data->found[3].unknown, ROWS / 5);
    ck_assert_ptr_nonnull(data->columns);
    gr_data_free(data);
    CHECK_REFUSED(load_all(&config, 3, &data), GR_ERROR_CONFIG,
                  "data.silos: found 3, the column \"centre\" has 4 values");
    config.data.partition.column = (char[]){"x"};
    CHECK_REFUSED(load_all(&config, 4, &data), GR_ERROR_DATA,
                  "the column \"x\" is of type number, expected group");
    config.data.partition.column = (char[]){"y"};
    CHECK_REFUSED(load_all(&config, 4, &data), GR_ERROR_DATA, "there is no column \"y\"");
}
END_TEST

/* A process that holds one silo has the same rows of it as one that holds all. */
START_TEST(test_shares) {
    struct gr_config config = csv_config(4);
    struct gr_data *all, *part;
    put_rows("t.csv", 0, 3000);
    config.data.test = config.data.train;
    config.data.validation_fraction = 0.2;
    CHECK_OK(load_all(&config, 4, &all));
    for (uint32_t s = 0; s < 2; s++) {
        struct gr_share share = {
            .n_silos = 4, .silos = &s, .n_local = 1, .test_index = s, .test_count = 2};
        CHECK_OK(gr_data_load(&config, &share, &part));
        const struct gr_rows *x = &part->local[0].train, *y = &all->local[s].train;
        ck_assert_uint_eq(x->n_rows, y->n_rows);
        ck_assert(memcmp(x->features, y->features, x->n_rows * 8) == 0);
        ck_assert(memcmp(x->labels, y->labels, x->n_rows * 4) == 0);
        ck_assert_mem_eq(part->local[0].digest, all->local[s].digest, sizeof all->local[s].digest);
        ck_assert_uint_eq(part->test.n_rows, 1500);
        const float *batch = (const float *)all->test.features + s * GR_TEST_BATCH * 2;
        ck_assert(memcmp(part->test.features, batch, GR_TEST_BATCH * 8) == 0);
        /* One process answers for the common table. */
        ck_assert_int_eq(part->found[3].unknown, s == 0 ? 600 : 0);
        gr_data_free(part);
    }
    gr_data_free(all);
}
END_TEST

/* The imported table is the CSV file. */
START_TEST(test_import) {
    struct gr_config config = csv_config(1);
    struct gr_import_options options = {.csv = config.data.csv, .schema = "s.yaml"};
    struct gr_data *csv, *hdf5;
    put_rows("t.csv", 0, ROWS);
    CHECK_OK(gr_import_csv("t.csv", &options, "t.h5"));
    config.data.partition.method = GR_PARTITION_IID;
    CHECK_OK(load_all(&config, 1, &csv));
    config.data.source = GR_SOURCE_HDF5;
    config.data.train.file = (char[]){"t.h5"};
    CHECK_OK(load_all(&config, 1, &hdf5));
    const struct gr_rows *x = &csv->local[0].train, *y = &hdf5->local[0].train;
    ck_assert_uint_eq(x->n_rows, ROWS);
    ck_assert_uint_eq(y->n_rows, ROWS);
    ck_assert(memcmp(x->features, y->features, ROWS * 8) == 0);
    ck_assert(memcmp(x->labels, y->labels, ROWS * 4) == 0);
    ck_assert_uint_eq(hdf5->n_classes, 3);
    char difference[GR_DIFFERENCE_BYTES];
    ck_assert(
        gr_columns_fit(hdf5->columns->schema, csv->columns->schema, difference, sizeof difference));
    gr_data_free(csv);
    gr_data_free(hdf5);
    /* Rows 777 to 786 of it. */
    options.first = 777;
    options.limit = 10;
    CHECK_OK(gr_import_csv("t.csv", &options, "u.h5"));
    config.data.train.file = (char[]){"u.h5"};
    CHECK_OK(load_all(&config, 1, &hdf5));
    ck_assert_uint_eq(hdf5->local[0].train.n_rows, 10);
    for (size_t i = 0; i < 10; i++)
        check_row(&hdf5->local[0].train, i, 777 + i);
    gr_data_free(hdf5);
    options.first = ROWS;
    CHECK_REFUSED(gr_import_csv("t.csv", &options, "v.h5"), GR_ERROR_USAGE, "it has rows 0 to");
    ck_assert_int_ne(access("v.h5", F_OK), 0);
    ck_assert_int_ne(access("v.h5.tmp", F_OK), 0);
}
END_TEST

/* A schema in the config is held against what an HDF5 table says of itself. */
START_TEST(test_contract_of_hdf5) {
    struct gr_config config = csv_config(1);
    struct gr_import_options options = {.csv = config.data.csv, .schema = "s.yaml"};
    struct gr_data *data;
    static const char other[] =
        "columns:\n- {name: id, type: text}\n- {name: centre, type: group}\n- {name: y, type: "
        "number}\n- {name: k, type: category, categories: [b, a], encode: one_hot}\n- {name: l, "
        "type: label, categories: [no, yes, never]}\n";
    put_rows("t.csv", 0, 100);
    CHECK_OK(gr_import_csv("t.csv", &options, "t.h5"));
    put_file("s.yaml", other, sizeof other - 1);
    config.data.source = GR_SOURCE_HDF5;
    config.data.partition.method = GR_PARTITION_IID;
    config.data.train.file = (char[]){"t.h5"};
    CHECK_REFUSED(load_all(&config, 1, &data), GR_ERROR_DATA,
                  "t.h5: column 3: found another name, expected \"y\", by data.schema");
    put_pair("a", 10, 2, 2);
    CHECK_OK(gr_import_idx("a.images", "a.labels", 0, 0, "a.h5"));
    config.data.train.file = (char[]){"a.h5"};
    CHECK_REFUSED(load_all(&config, 1, &data), GR_ERROR_DATA, "a.h5: it has no /columns");
}
END_TEST

/* Numbers to be predicted: in memory beside the labels, which are all 0. */
START_TEST(test_targets) {
    struct gr_config config = csv_config(1);
    struct gr_import_options options = {.csv = config.data.csv};
    struct gr_data *data[2];
    float features[2], target;
    int32_t label;
    FILE *file = fopen("t.csv", "wb");
    fprintf(file, "a;b;l\n");
    for (int i = 0; i < 1000; i++)
        fprintf(file, "%d;%d;%g\n", i * 7 % 500, i % 7, i * 0.5 - 3);
    fclose(file);
    options.csv.separator = config.data.csv.separator = GR_SEPARATOR_SEMICOLON;
    config.data.schema[0] = '\0';
    config.data.partition.method = GR_PARTITION_IID;
    CHECK_OK(gr_import_csv("t.csv", &options, "t.h5"));
    CHECK_OK(load_all(&config, 1, &data[0]));
    config.data.source = GR_SOURCE_HDF5;
    config.data.train.file = (char[]){"t.h5"};
    CHECK_OK(load_all(&config, 1, &data[1]));
    for (size_t d = 0; d < 2; d++) {
        const struct gr_rows *rows = &data[d]->local[0].train;
        ck_assert_uint_eq(data[d]->n_classes, 1);
        for (uint32_t i = 0; i < 1000; i++) {
            gr_rows_gather(rows, &i, 0, 1, features, &label, &target);
            ck_assert(features[0] == (float)(i * 7 % 500) && label == 0);
            ck_assert(target == (float)i * 0.5f - 3);
        }
        gr_data_free(data[d]);
    }
    strcpy(config.data.schema, "s.yaml");
}
END_TEST

/* Guessed from the first rows, wrongly: the whole file decides. */
START_TEST(test_late_surprise) {
    struct gr_import_options options = {.csv = {.header = true, .label = (char[]){"l"}}};
    struct gr_table_config table = {.file = (char[]){"t.h5"}};
    const struct gr_table_options options_of = {.source = GR_SOURCE_HDF5, .labelled = true};
    struct gr_table *imported;
    const struct gr_rows *rows;
    FILE *file = fopen("t.csv", "wb");
    fprintf(file, "a,b,l\n");
    for (int i = 0; i < 30000; i++)
        fprintf(file, "%d,%s,%d\n", i % 10, i < 20000 ? "1" : i % 2 ? "x" : "1", i % 2);
    fclose(file);
    CHECK_OK(gr_import_csv("t.csv", &options, "t.h5"));
    CHECK_OK(gr_table_open(&table, &options_of, &imported));
    ck_assert_uint_eq(gr_table_n_rows(imported), 30000);
    CHECK_OK(gr_table_read(imported, 0, 30000, &rows));
    const float *last = (const float *)rows->features + 29999 * 2;
    ck_assert(last[0] == 9 && last[1] == 1 && last[-1] == 0);
    gr_table_close(imported);
    file = fopen("t.csv", "ab");
    fprintf(file, "1,2\n");
    fclose(file);
    CHECK_REFUSED(gr_import_csv("t.csv", &options, "u.h5"), GR_ERROR_DATA,
                  "t.csv:30002: found 2 fields, expected 3");
    ck_assert_int_ne(access("u.h5", F_OK), 0);
    put_file("t.csv", "a,b\n1,2\n", 8);
    options.csv.label = (char[]){"none"};
    CHECK_REFUSED(gr_import_csv("t.csv", &options, "u.h5"), GR_ERROR_DATA,
                  "t.csv: has no column \"none\" of labels");
}
END_TEST

/* Called in a child process: what it is told goes into a file. */
static void keep_line(void *context, const char *line) {
    FILE *file = fopen(context, "ab");
    fprintf(file, "%s\n", line);
    fclose(file);
}

/* The range of the rows that columns were guessed from is not one to be kept. */
START_TEST(test_guess_has_no_range) {
    struct gr_import_options options = {.csv = {.header = true, .label = (char[]){"l"}},
                                        .say = keep_line,
                                        .context = (char[]){"said"}};
    struct gr_config config = csv_config(1);
    struct gr_data *data;
    char *said;
    size_t length;
    FILE *file = fopen("t.csv", "wb");
    fprintf(file, "a,l\n");
    for (int i = 0; i < 12000; i++)
        fprintf(file, "%d.5,%d\n", i, i % 2);
    fclose(file);
    CHECK_OK(gr_import_csv("t.csv", &options, "t.h5"));
    CHECK_OK(gr_file_read("said", 4096, GR_ERROR_DATA, &said, &length));
    ck_assert_str_eq(said, "a: number\nl: label of 2 classes: 0, 1\n");
    gr_free(said);
    config.data.source = GR_SOURCE_HDF5;
    config.data.schema[0] = '\0';
    config.data.partition.method = GR_PARTITION_IID;
    config.data.train.file = (char[]){"t.h5"};
    CHECK_OK(load_all(&config, 1, &data));
    ck_assert_uint_eq(data->columns->schema->columns[0].range_count, 0);
    gr_data_free(data);
    strcpy(config.data.schema, "s.yaml");
}
END_TEST

static void put_wide(size_t n, size_t name_bytes) {
    FILE *file = fopen("t.csv", "wb");
    for (size_t i = 0; i + 1 < n; i++)
        fprintf(file, "%0*zu,", (int)name_bytes, i);
    fprintf(file, "l\n");
    for (size_t i = 0; i + 1 < n; i++)
        fprintf(file, "%zu,", i % 10);
    fprintf(file, "1\n");
    fclose(file);
}

/* As many columns as there may be, one more, and names of which the text would not be readable. */
START_TEST(test_wide) {
    struct gr_import_options options = {.csv = {.header = true, .label = (char[]){"l"}}};
    put_wide(10000, 5);
    CHECK_OK(gr_import_csv("t.csv", &options, "t.h5"));
    put_wide(10001, 5);
    CHECK_REFUSED(gr_import_csv("t.csv", &options, "u.h5"), GR_ERROR_DATA,
                  "t.csv:1: column 10001: one more than the 10000 columns there may be");
    put_wide(9900, 120);
    CHECK_REFUSED(gr_import_csv("t.csv", &options, "u.h5"), GR_ERROR_DATA,
                  "t.csv: names and categories of its 9900 columns make");
    ck_assert_int_ne(access("u.h5", F_OK), 0);
    ck_assert_int_ne(access("u.h5.tmp", F_OK), 0);
}
END_TEST

/* A column of as many values as rows is no partition; that of a test table is none's business. */
START_TEST(test_many_groups) {
    struct gr_config config = csv_config(4);
    struct gr_data *data;
    FILE *file = fopen("many.csv", "wb");
    fprintf(file, "id,centre,x,k,l\n");
    for (int i = 0; i < 5000; i++)
        fprintf(file, "p,G%d,%d,a,no\n", (i * 2791) % 5000, i % 9);
    fclose(file);
    put_rows("t.csv", 0, 100);
    config.data.test.file = (char[]){"many.csv"};
    CHECK_OK(load_all(&config, 4, &data));
    ck_assert_uint_eq(data->n_test, 5000);
    gr_data_free(data);
    config.data.train.file = config.data.test.file;
    CHECK_REFUSED(load_all(&config, 4, &data), GR_ERROR_CONFIG,
                  "data.silos: found 4, the column \"centre\" has more than 1004 values");
    config.data.silos = 5000;
    CHECK_OK(load_all(&config, 5000, &data));
    /* In byte order: G0, G1, G10, G100, G1000, G1001... */
    static const int group[] = {0, 1, 10, 100, 1000, 1001};
    for (size_t s = 0; s < COUNT(group); s++) {
        const struct gr_rows *rows = &data->local[s].train;
        int row = 0;
        while ((row * 2791) % 5000 != group[s])
            row++;
        ck_assert_uint_eq(rows->n_rows, 1);
        ck_assert(((const float *)rows->features)[0] == (float)(row % 9));
    }
    gr_data_free(data);
}
END_TEST

/* Silos of one process whose tables differ: the later one is out, and says by which column. */
START_TEST(test_silos_that_differ) {
    static const struct {
        const char *text, *why;
        bool misfit;
    } second[] = {
        {"x,k,l\n1,a,0\n2,b,1\n", NULL, false},
        {"x,K,l\n1,a,0\n2,b,1\n", "b.csv: column 2: found another name, unlike", true},
        {"k,x,l\na,1,0\nb,2,1\n", "column 1: found another name, unlike", true},
        {"x,k,l\n1,a,0\n2,c,1\n", NULL, false}, /* guessed categories are united */
        {"x,k,l\n1,5,0\n2,6,1\n", "column 2: found type number, expected category", true},
        {"x,k,z,l\n1,a,0,0\n2,b,1,1\n", "column 3: found another name, unlike", true},
        {"x,k,l\n1,a\n", "b.csv:2: found 2 fields, expected 3", false},
        {"x,k,l\n", "b.csv: a header and no rows", false},
        {"x,k,l\n1,a,0\n2,b,0\n", NULL, false}, /* a silo with one class */
    };
    struct gr_config config = csv_config(2);
    struct gr_table_config tables[] = {{.file = (char[]){"a.csv"}}, {.file = (char[]){"b.csv"}}};
    struct gr_data *data;
    static char none[] = "";
    config.data.schema = none;
    config.data.silo_tables = tables;
    config.data.silo_tables_count = 2;
    config.data.partition.method = GR_PARTITION_IID;
    put_file("a.csv", "x,k,l\n1.5,a,0\n2,b,1\n", 20);
    for (size_t i = 0; i < COUNT(second); i++) {
        put_file("b.csv", second[i].text, strlen(second[i].text));
        CHECK_OK(load_all(&config, 2, &data));
        const struct gr_silo *silo = &data->local[1];
        ck_assert_int_eq(data->local[0].unusable, GR_OK);
        ck_assert_int_eq(silo->unusable == GR_OK, second[i].why == NULL);
        ck_assert_int_eq(silo->misfit, second[i].misfit);
        if (second[i].why)
            ck_assert_msg(strstr(silo->why, second[i].why), "\"%s\" lacks \"%s\"", silo->why,
                          second[i].why);
        gr_data_free(data);
    }
}
END_TEST

int main(void) {
    Suite *suite = suite_create("csv_data");
    TCase *tests = tcase_create("csv_data");
    if (gr_base_start() != GR_OK) return 1;
    scratch_create();
    tcase_set_timeout(tests, 60);
    tcase_add_checked_fixture(tests, scratch_enter, NULL);
    tcase_add_test(tests, test_partition_by_column);
    tcase_add_test(tests, test_shares);
    tcase_add_test(tests, test_import);
    tcase_add_test(tests, test_contract_of_hdf5);
    tcase_add_test(tests, test_targets);
    tcase_add_test(tests, test_late_surprise);
    tcase_add_test(tests, test_guess_has_no_range);
    tcase_add_test(tests, test_wide);
    tcase_add_test(tests, test_many_groups);
    tcase_add_test(tests, test_silos_that_differ);
    suite_add_tcase(suite, tests);
    int failed = run_suite(suite);
    scratch_remove();
    return failed;
}
