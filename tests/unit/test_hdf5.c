/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HDF5 tables: files made through libhdf5's own interface, good ones of every form allowed, and
 * ones that point elsewhere, lie or are damaged. Whatever a file does, this process stays alive and
 * says which file it was.
 */
#include "tables.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <hdf5.h>

static void enter(void) {
    ck_assert_int_eq(gr_base_start(), GR_OK);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    scratch_enter();
}
static void leave(void) {
    /* No child is left behind, whatever happened. */
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
}

enum { ROWS = 40, WIDTH = 6 };

/* How a test file is made; zeroes mean the simple form. */
struct form {
    int n_dims;     /* of features; 0: 2 */
    hid_t features; /* type in the file; 0: uint8 */
    hid_t labels;   /* 0: int32 */
    hsize_t chunk;  /* rows; 0: contiguous */
    int compact;
    int filters;  /* 1: deflate, 2: shuffle and deflate, 3: fletcher32, 4: n-bit, 5: scale */
    hsize_t rows; /* 0: ROWS */
    hsize_t label_rows;
    int skip_write;  /* 1: nothing is written, 2: only the first chunk */
    float special;   /* value of row 17, column 4 */
    long long label; /* of row 9, if not 0 */
    int latest;      /* newest file format */
    int columns;     /* labels are of two dimensions, n x 1 */
};

static float value_of(size_t i, size_t j) {
    return (float)feature_of(i, j);
}

static void put_dataset(hid_t file, const char *name, const struct form *f, int n_dims,
                        const hsize_t *shape, hid_t file_type, hid_t memory_type,
                        const void *values) {
    hid_t space = H5Screate_simple(n_dims, shape, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t chunk[8];
    memcpy(chunk, shape, (size_t)n_dims * sizeof *chunk);
    if (f->chunk) {
        chunk[0] = f->chunk;
        H5Pset_chunk(plist, n_dims, chunk);
        if (f->filters == 2) H5Pset_shuffle(plist);
        if (f->filters == 1 || f->filters == 2) H5Pset_deflate(plist, 4);
        if (f->filters == 3) H5Pset_fletcher32(plist);
        if (f->filters == 4) H5Pset_nbit(plist);
        if (f->filters == 5) H5Pset_scaleoffset(plist, H5Z_SO_INT, 0);
    }
    if (f->compact) H5Pset_layout(plist, H5D_COMPACT);
    hid_t set = H5Dcreate2(file, name, file_type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    hid_t part = H5Dget_space(set), memory = H5S_ALL;
    hsize_t start[8] = {0};
    if (f->skip_write == 2) {
        H5Sselect_hyperslab(part, H5S_SELECT_SET, start, NULL, chunk, NULL);
        memory = H5Screate_simple(n_dims, chunk, NULL);
    }
    if (f->skip_write != 1)
        ck_assert_int_ge(H5Dwrite(set, memory_type, memory, part, H5P_DEFAULT, values), 0);
    if (memory != H5S_ALL) H5Sclose(memory);
    H5Sclose(part);
    H5Dclose(set);
    H5Pclose(plist);
    H5Sclose(space);
}

static hid_t create(const char *path, int latest) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_fapl_sec2(access);
    if (latest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    ck_assert_int_ge(file, 0);
    return file;
}

static void put_features(hid_t file, const struct form *f) {
    hsize_t rows = f->rows ? f->rows : ROWS, shape[8] = {rows, WIDTH, 1, 1, 1, 1, 1, 1};
    int n_dims = f->n_dims ? f->n_dims : 2;
    if (n_dims > 2) {
        shape[1] = 2;
        shape[2] = 3;
    }
    if (n_dims == 1) shape[0] = rows * WIDTH;
    float *values = malloc(rows * WIDTH * sizeof *values);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < WIDTH; j++)
            values[i * WIDTH + j] = value_of(i, j);
    if (f->special != 0) values[17 * WIDTH + 4] = f->special;
    put_dataset(file, "features", f, n_dims, shape, f->features ? f->features : H5T_STD_U8LE,
                H5T_NATIVE_FLOAT, values);
    free(values);
}

static void put_labels(hid_t file, const struct form *f) {
    hsize_t rows = f->label_rows ? f->label_rows : f->rows ? f->rows : ROWS;
    long long *labels = malloc(rows * sizeof *labels);
    for (size_t i = 0; i < rows; i++)
        labels[i] = label_of(i);
    if (f->label != 0) labels[9] = f->label;
    const hsize_t shape[] = {rows, 1};
    put_dataset(file, "labels", f, f->columns ? 2 : 1, shape, f->labels ? f->labels : H5T_STD_I32LE,
                H5T_NATIVE_LLONG, labels);
    free(labels);
}

static void put_table(const char *path, const struct form *form) {
    hid_t file = create(path, form->latest);
    put_features(file, form);
    put_labels(file, form);
    H5Fclose(file);
}

static struct gr_config hdf5_config(void) {
    static char path[] = "t.h5";
    struct gr_config config = idx_config(1);
    config.data.source = GR_SOURCE_HDF5;
    config.data.train = (struct gr_table_config){.file = path};
    return config;
}

static gr_status load(struct gr_data **data) {
    struct gr_config config = hdf5_config();
    return load_all(&config, 1, data);
}

static gr_status load_and_free(void) {
    struct gr_data *data = NULL;
    gr_status status = load(&data);
    gr_data_free(data);
    return status;
}

static void check_rows(const struct gr_rows *train, size_t first, size_t rows) {
    float *values = malloc(rows * WIDTH * sizeof *values);
    int32_t *labels = malloc(rows * sizeof *labels);
    float scale = train->element == GR_ELEMENT_UINT8 ? 1.0f / 255.0f : 1.0f;
    size_t wrong = 0;
    ck_assert_uint_eq(train->n_rows, rows);
    ck_assert_uint_eq(train->n_features, WIDTH);
    gr_rows_gather(train, NULL, 0, rows, values, labels, NULL);
    for (size_t i = 0; i < rows; i++) {
        wrong += labels[i] != label_of(first + i);
        for (size_t j = 0; j < WIDTH; j++)
            wrong += values[i * WIDTH + j] != value_of(first + i, j) * scale;
    }
    ck_assert_uint_eq(wrong, 0);
    free(values);
    free(labels);
}

/* ---- good files ----------------------------------------------------------------------------- */

START_TEST(forms_allowed) {
    hid_t label_types[] = {H5T_STD_I8LE,  H5T_STD_U8BE,   H5T_STD_I16BE, H5T_STD_U32LE,
                           H5T_STD_I64BE, H5T_IEEE_F64LE, H5T_STD_U64LE, H5T_IEEE_F32BE};
    hid_t feature_types[] = {H5T_STD_U8LE,   H5T_STD_U8BE,  H5T_IEEE_F32LE, H5T_IEEE_F32BE,
                             H5T_IEEE_F64LE, H5T_STD_I64LE, H5T_STD_U16BE};
    struct gr_data *data;
    for (int k = 0; k < 96; k++) {
        struct form form = {.features = feature_types[k % 7],
                            .labels = label_types[k % 8],
                            .columns = k % 3 == 1,
                            .n_dims = 2 + k % 3,
                            .chunk = k % 5 ? (hsize_t)(k % 5) * 3 : 0,
                            .filters = k % 5 ? k / 5 % 4 : 0,
                            .compact = k % 5 == 0 && k % 2,
                            .latest = k / 7 % 2};
        put_table("t.h5", &form);
        CHECK_OK(load(&data));
        check_rows(&data->local[0].train, 0, ROWS);
        ck_assert_uint_eq(data->n_classes, 4);
        gr_data_free(data);
    }
}
END_TEST

/* bool as h5py writes it: an enumeration of bytes. */
static hid_t bool_type(void) {
    const int8_t no = 0, yes = 1;
    hid_t type = H5Tenum_create(H5T_STD_I8LE);
    H5Tenum_insert(type, "FALSE", &no);
    H5Tenum_insert(type, "TRUE", &yes);
    return type;
}

static void put_bools(hid_t file, hid_t type, const char *name, int n_dims, hsize_t width) {
    const hsize_t shape[] = {ROWS, width};
    int8_t values[ROWS * 2];
    for (size_t i = 0; i < sizeof values; i++)
        values[i] = (int8_t)(i % 3 == 1);
    put_dataset(file, name, &(struct form){0}, n_dims, shape, type, type, values);
}

START_TEST(bools) {
    struct gr_data *data;
    hid_t file = create("t.h5", 0), type = bool_type();
    put_bools(file, type, "features", 2, 2);
    put_bools(file, type, "labels", 2, 1);
    H5Tclose(type);
    H5Fclose(file);
    CHECK_OK(load(&data));
    const struct gr_rows *train = &data->local[0].train;
    ck_assert_uint_eq(data->n_classes, 2);
    for (size_t i = 0; i < ROWS; i++) {
        ck_assert_int_eq(train->labels[i], i % 3 == 1);
        for (size_t j = 0; j < 2; j++)
            ck_assert(((const float *)train->features)[2 * i + j] == ((2 * i + j) % 3 == 1));
    }
    gr_data_free(data);
}
END_TEST

/* Numbers to be predicted as NumPy has them: float64, in a column. */
START_TEST(column_of_targets) {
    static double values[ROWS];
    const hsize_t shape[] = {ROWS, 1};
    struct gr_data *data;
    hid_t file = create("t.h5", 0);
    for (size_t i = 0; i < ROWS; i++)
        values[i] = 0.1 * (double)i;
    put_features(file, &(struct form){.features = H5T_IEEE_F64LE});
    put_labels(file, &(struct form){0});
    put_dataset(file, "targets", &(struct form){0}, 2, shape, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE,
                values);
    H5Fclose(file);
    CHECK_OK(load(&data));
    for (size_t i = 0; i < ROWS; i++)
        ck_assert(data->local[0].train.targets[i] == (float)values[i]);
    gr_data_free(data);
}
END_TEST

/* A table of four rows that cannot be used: values, weights and labels in all their ways. */
static void put_unfit(const char *path) {
    const hsize_t shape[] = {ROWS, WIDTH};
    static float values[ROWS][WIDTH], weights[ROWS];
    static int labels[ROWS];
    hid_t file = create(path, 0);
    for (size_t i = 0; i < ROWS; i++) {
        for (size_t j = 0; j < WIDTH; j++)
            values[i][j] = value_of(i, j);
        labels[i] = label_of(i);
        weights[i] = 0;
    }
    labels[0] = -1;
    labels[20] = 4;
    values[20][3] = NAN;
    values[30][5] = INFINITY;
    values[31][0] = NAN;
    weights[39] = NAN;
    put_dataset(file, "features", &(struct form){0}, 2, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                values);
    put_dataset(file, "labels", &(struct form){0}, 1, shape, H5T_STD_I32LE, H5T_NATIVE_INT, labels);
    put_dataset(file, "weights", &(struct form){0}, 1, shape, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT,
                weights);
    H5Fclose(file);
}

/* Where rows are hidden a silo with rows that cannot be used is as one without them. */
START_TEST(unfit_rows_do_not_show) {
    static char path[] = "unfit.h5";
    static const size_t fit[] = {1, 19, 21, 29, 32, 38}; /* from and up to */
    struct gr_config config = hdf5_config();
    struct gr_table_config table = {.file = path};
    struct gr_data *data;
    float values[WIDTH];
    int32_t label;
    size_t n = 0;
    put_unfit(path);
    config.data.silo_tables = &table;
    config.data.silo_tables_count = 1;
    config.model.classes = 4;
    CHECK_OK(load_all(&config, 1, &data));
    ck_assert_int_eq(data->local[0].unusable, GR_ERROR_DATA);
    gr_data_free(data);
    config.privacy.unit = GR_PRIVACY_ROW;
    CHECK_OK(load_all(&config, 1, &data));
    ck_assert_int_eq(data->local[0].unusable, GR_OK);
    ck_assert_uint_eq(data->local[0].n_dropped, 5);
    ck_assert_str_eq(data->local[0].first_dropped,
                     "unfit.h5: row 0: label -1, expected 0 to 65534");
    for (size_t k = 0; k < 6; k += 2)
        for (size_t i = fit[k]; i <= fit[k + 1]; i++, n++) {
            gr_rows_gather(&data->local[0].train, NULL, n, 1, values, &label, NULL);
            ck_assert_int_eq(label, label_of(i));
            for (size_t j = 0; j < WIDTH; j++)
                ck_assert(values[j] == value_of(i, j));
        }
    ck_assert_uint_eq(data->local[0].train.n_rows, n);
    gr_data_free(data);
}
END_TEST

/* Many windows, a chunk that is no divisor of the rows, and silos that own scattered rows. */
START_TEST(many_windows) {
    struct form form = {.rows = 30000, .chunk = 701, .filters = 2};
    struct gr_config config = hdf5_config();
    struct gr_data *data;
    size_t rows = 0;
    put_table("t.h5", &form);
    CHECK_OK(load(&data));
    check_rows(&data->local[0].train, 0, 30000);
    gr_data_free(data);
    config.data.partition.method = GR_PARTITION_DIRICHLET;
    config.data.validation_fraction = 0.25;
    CHECK_OK(load_all(&config, 5, &data));
    for (size_t s = 0; s < 5; s++)
        rows += data->local[s].train.n_rows + data->local[s].validation.n_rows;
    ck_assert_uint_eq(rows, 30000);
    gr_data_free(data);
}
END_TEST

static void put_attribute(const char *name, hid_t type, const void *value) {
    hid_t file = H5Fopen("t.h5", H5F_ACC_RDWR, H5P_DEFAULT), space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    ck_assert_int_ge(H5Awrite(attribute, type, value), 0);
    H5Aclose(attribute);
    H5Sclose(space);
    H5Fclose(file);
}

/* As h5py writes text: of variable length. */
static void put_text(const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    put_attribute(name, type, &text);
    H5Tclose(type);
}

START_TEST(attributes) {
    struct form form = {0};
    struct gr_data *data;
    double scale = 0.5, n_classes = 7, version = 2, zero = 0, nan = NAN;
    float gathered[WIDTH];
    int32_t label;
    put_table("t.h5", &form);
    put_text("format", "granary-table");
    put_attribute("scale", H5T_NATIVE_DOUBLE, &scale);
    put_attribute("n_classes", H5T_NATIVE_DOUBLE, &n_classes);
    CHECK_OK(load(&data));
    ck_assert_uint_eq(data->n_classes, 7);
    gr_rows_gather(&data->local[0].train, NULL, 3, 1, gathered, &label, NULL);
    for (size_t j = 0; j < WIDTH; j++)
        ck_assert(gathered[j] == value_of(3, j) * 0.5f);
    gr_data_free(data);
    put_attribute("version", H5T_NATIVE_DOUBLE, &version);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "t.h5: version 2 of the table's form");
    put_table("t.h5", &form);
    put_text("format", "granary\x01"
                       "checkpoint");
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "its format is \"granary?checkpoint\"");
    put_table("t.h5", &form);
    put_attribute("scale", H5T_NATIVE_DOUBLE, &zero);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "scale 0, expected a positive");
    put_table("t.h5", &form);
    put_attribute("n_classes", H5T_NATIVE_DOUBLE, &nan);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "n_classes nan, expected 1 to 65535");
    put_table("t.h5", &form);
    put_text("n_classes", "ten");
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "\"n_classes\" is not a number");
    put_table("t.h5", &form);
    n_classes = 3;
    put_attribute("n_classes", H5T_NATIVE_DOUBLE, &n_classes);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "row 1: label 3, expected 0 to 2");
}
END_TEST

/* ---- refused -------------------------------------------------------------------------------- */

/* Types are made at run time, so cases are numbered. */
START_TEST(forms_refused) {
    struct {
        struct form form;
        const char *says;
    } cases[] = {
        {{.features = H5T_IEEE_F64LE, .special = NAN}, "row 17, column 4: NaN"},
        {{.n_dims = 1}, "features have 1 dimensions, expected 2 to 4"},
        {{.n_dims = 5}, "has 5 dimensions, expected 1 to 4"},
        {{.labels = H5T_IEEE_F64LE, .label = -1}, "row 9: its label is no whole number from 0"},
        {{.labels = H5T_IEEE_F64LE, .label = 65535}, "row 9: its label is no whole number from 0"},
        {{.label_rows = 41, .columns = 1}, "41 labels in 2 dimensions for 40 rows"},
        {{.label_rows = 39}, "39 labels in 1 dimensions for 40 rows"},
        {{.label_rows = 41}, "41 labels in 1 dimensions for 40 rows"},
        {{.label = -1}, "row 9: label -1, expected 0 to 65534"},
        {{.label = 65535}, "row 9: label 65535, expected 0 to 65534"},
        {{.label = 1ll << 40, .labels = H5T_STD_I64LE}, "row 9: label 2147483647, expected"},
        {{.label = -(1ll << 40), .labels = H5T_STD_I64LE}, "row 9: label -2147483648"},
        {{.skip_write = 1}, "/features: 0 bytes are stored for 240"},
        {{.skip_write = 1, .chunk = 10}, "/features: 0 of its 4 chunks are stored"},
        {{.skip_write = 2, .chunk = 10}, "/features: 1 of its 4 chunks are stored"},
        {{.chunk = 10, .filters = 4}, "/features uses filter 5, allowed are deflate"},
        {{.chunk = 10, .filters = 5}, "/features uses filter 6, allowed are deflate"},
        {{.features = H5T_IEEE_F32LE, .special = NAN}, "row 17, column 4: NaN"},
        {{.features = H5T_IEEE_F32BE, .special = INFINITY}, "row 17, column 4: an infinity"},
        {{.features = H5T_IEEE_F32LE, .special = -INFINITY, .chunk = 7}, "row 17, column 4: an"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        put_table("t.h5", &cases[i].form);
        CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, cases[i].says);
        ck_assert_ptr_nonnull(strstr(gr_message(), "t.h5"));
    }
}
END_TEST

/* Extents far beyond what is stored; nothing may be allocated by them. */
static void put_extent(hsize_t rows, hsize_t width, hsize_t chunk_rows, hsize_t chunk_width,
                       int deflate) {
    hid_t file = create("t.h5", 0), plist = H5Pcreate(H5P_DATASET_CREATE);
    hsize_t shape[2] = {rows, width}, chunk[2] = {chunk_rows, chunk_width};
    hid_t space = H5Screate_simple(2, shape, NULL);
    H5Pset_chunk(plist, 2, chunk);
    if (deflate) H5Pset_deflate(plist, 9);
    hid_t set = H5Dcreate2(file, "features", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    ck_assert_int_ge(set, 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(plist);
    put_labels(file, &(struct form){0});
    H5Fclose(file);
}

START_TEST(huge_extents) {
    put_extent(1ull << 31, 784, 100, 784, 0);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "/features: 0 of its 21474837 chunks are stored");
    put_extent(1ull << 60, 1ull << 20, 1, 1, 1);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "/features: its size overflows");
    put_extent(40, 1ull << 25, 1, 1 << 20, 0);
    ck_assert_int_eq(load_and_free(), GR_ERROR_DATA);
    put_extent(40, 1 << 26, 1, 1 << 26, 1);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "a chunk is larger than 16 MiB");
}
END_TEST

static gr_status load_after(void (*make)(hid_t file)) {
    hid_t file = create("t.h5", 0);
    make(file);
    H5Fclose(file);
    return load_and_free();
}

static void with_soft_link(hid_t file) {
    put_labels(file, &(struct form){0});
    H5Lcreate_soft("/labels", file, "features", H5P_DEFAULT, H5P_DEFAULT);
}
static void with_link_loop(hid_t file) {
    H5Lcreate_soft("/labels", file, "features", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/features", file, "labels", H5P_DEFAULT, H5P_DEFAULT);
}
static void with_external_link(hid_t file) {
    H5Lcreate_external("good.h5", "/features", file, "features", H5P_DEFAULT, H5P_DEFAULT);
    put_labels(file, &(struct form){0});
}
static void with_external_labels(hid_t file) {
    put_features(file, &(struct form){0});
    H5Lcreate_external("good.h5", "/labels", file, "labels", H5P_DEFAULT, H5P_DEFAULT);
}
static void with_group(hid_t file) {
    H5Gclose(H5Gcreate2(file, "features", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}
/* The root group under the name of a dataset: a loop of hard links. */
static void with_hard_loop(hid_t file) {
    H5Lcreate_hard(file, "/", file, "features", H5P_DEFAULT, H5P_DEFAULT);
}
static void with_nothing(hid_t file) {
    (void)file;
}
static void with_scalar(hid_t file) {
    hid_t space = H5Screate(H5S_SCALAR);
    H5Dclose(
        H5Dcreate2(file, "features", H5T_STD_U8LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Sclose(space);
}
static void with_external_storage(hid_t file) {
    hsize_t shape[2] = {ROWS, WIDTH};
    hid_t space = H5Screate_simple(2, shape, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(plist, "raw.bin", 0, ROWS * WIDTH);
    H5Dclose(H5Dcreate2(file, "features", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT));
    H5Pclose(plist);
    H5Sclose(space);
    put_labels(file, &(struct form){0});
}
static void with_virtual_layout(hid_t file) {
    hsize_t shape[2] = {ROWS, WIDTH};
    hid_t space = H5Screate_simple(2, shape, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_virtual(plist, space, "good.h5", "/features", space);
    H5Dclose(H5Dcreate2(file, "features", H5T_STD_U8LE, space, H5P_DEFAULT, plist, H5P_DEFAULT));
    H5Pclose(plist);
    H5Sclose(space);
    put_labels(file, &(struct form){0});
}
static void with_compound(hid_t file) {
    hsize_t shape[2] = {ROWS, WIDTH};
    hid_t space = H5Screate_simple(2, shape, NULL), type = H5Tcreate(H5T_COMPOUND, 1);
    H5Tinsert(type, "x", 0, H5T_STD_U8LE);
    H5Dclose(H5Dcreate2(file, "features", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Tclose(type);
    H5Sclose(space);
}
static void with_text(hid_t file) {
    hsize_t shape[2] = {ROWS, WIDTH};
    hid_t space = H5Screate_simple(2, shape, NULL), type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, H5T_VARIABLE);
    H5Dclose(H5Dcreate2(file, "features", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    H5Tclose(type);
    H5Sclose(space);
}

START_TEST(other_places_refused) {
    static const struct {
        void (*make)(hid_t file);
        const char *says;
    } cases[] = {
        {with_soft_link, "/features is a soft link"},
        {with_link_loop, "/features is a soft link"},
        {with_external_link, "/features is an external link"},
        {with_external_labels, "/labels is an external link"},
        {with_group, "/features is not a dataset"},
        {with_hard_loop, "/features is not a dataset"},
        {with_nothing, "has no dataset /features"},
        {with_scalar, "/features is not an array"},
        {with_external_storage, "/features keeps its rows in other files"},
        {with_virtual_layout, "/features is virtual"},
        {with_compound, "/features: not numbers"},
        {with_text, "/features: not numbers"},
    };
    unsigned char raw[ROWS * WIDTH] = {0};
    put_table("good.h5", &(struct form){0});
    put_file("raw.bin", raw, sizeof raw);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        CHECK_REFUSED(load_after(cases[i].make), GR_ERROR_DATA, cases[i].says);
}
END_TEST

START_TEST(not_hdf5) {
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "t.h5: cannot be opened: No such file");
    put_file("t.h5", "", 0);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "t.h5: not an HDF5 file");
    put_file("t.h5", "a,b\n1,2\n", 8);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "t.h5: expected an HDF5 file, found text, perh");
    put_file("t.h5", "PK\x03\x04", 4);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "t.h5: expected an HDF5 file, found a zip arch");
    put_file("t.h5", "\x89HDF\r\n\x1a\n", 8);
    CHECK_REFUSED(load_and_free(), GR_ERROR_DATA, "t.h5: not an HDF5 file");
}
END_TEST

/* ---- damaged -------------------------------------------------------------------------------- */

enum { DAMAGE_ROOM = 1 << 16 };

static const struct form damage_forms[] = {
    {.chunk = 10}, {.chunk = 10, .filters = 2}, {.chunk = 10, .filters = 3, .latest = 1}, {0}};

START_TEST(cut_off) {
    unsigned char *bytes = malloc(DAMAGE_ROOM);
    put_table("t.h5", &damage_forms[_i]);
    size_t n = get_file("t.h5", bytes, DAMAGE_ROOM);
    for (size_t cut = 0; cut < n; cut += n / 23) {
        put_file("t.h5", bytes, cut);
        ck_assert_msg(load_and_free() == GR_ERROR_DATA, "cut at %zu of %zu", cut, n);
        ck_assert_ptr_nonnull(strstr(gr_message(), "t.h5"));
    }
    free(bytes);
}
END_TEST

/* 4 x 80 bytes flipped, most of them in the metadata: read, or refused with one line. */
START_TEST(byte_flips) {
    unsigned char *bytes = malloc(DAMAGE_ROOM);
    gsl_rng *stream;
    size_t refused = 0;
    put_table("t.h5", &damage_forms[_i]);
    size_t n = get_file("t.h5", bytes, DAMAGE_ROOM);
    struct gr_stream_key key = {7, (uint32_t)_i, 0, GR_PURPOSE_TEST};
    ck_assert_int_eq(gr_stream_create(key, &stream), GR_OK);
    for (int k = 0; k < 80; k++) {
        double start = gr_clock_seconds();
        size_t at = gsl_rng_uniform_int(stream, n);
        unsigned char was = bytes[at];
        bytes[at] ^= (unsigned char)(1 + gsl_rng_uniform_int(stream, 255));
        put_file("t.h5", bytes, n);
        gr_status status = load_and_free();
        bool good = status == GR_OK || (status == GR_ERROR_DATA && strstr(gr_message(), "t.h5") &&
                                        !strchr(gr_message(), '\n'));
        if (!good) ck_abort_msg("byte %zu: status %d, %s", at, (int)status, gr_message());
        if (gr_clock_seconds() - start > 30) ck_abort_msg("byte %zu: took over 30 s", at);
        refused += status != GR_OK;
        bytes[at] = was;
    }
    ck_assert_uint_gt(refused, 3);
    gsl_rng_free(stream);
    free(bytes);
}
END_TEST

/* ---- import --------------------------------------------------------------------------------- */

static bool there(const char *path) {
    return access(path, F_OK) == 0;
}

START_TEST(import_round_trip) {
    struct gr_table_config table = {.file = "t.h5"};
    struct gr_table_summary summary;
    struct gr_data *data;
    put_pair("a", ROWS, 2, 3);
    CHECK_OK(gr_import_idx("a.images", "a.labels", 0, 0, "t.h5"));
    ck_assert(!there("t.h5.tmp"));
    CHECK_OK(load(&data));
    check_rows(&data->local[0].train, 0, ROWS);
    gr_data_free(data);
    CHECK_OK(gr_table_summarise(&table, GR_SOURCE_HDF5, &summary));
    ck_assert_uint_eq(summary.n_rows, ROWS);
    ck_assert_uint_eq(summary.n_dims, 3);
    ck_assert_uint_eq(summary.shape[2], 3);
    ck_assert_int_eq(summary.element, GR_ELEMENT_UINT8);
    ck_assert_uint_eq(summary.n_classes, 4);
    /* A slice keeps the classes of the whole. */
    CHECK_OK(gr_import_idx("a.images", "a.labels", 8, 1, "t.h5"));
    CHECK_OK(load(&data));
    check_rows(&data->local[0].train, 8, 1);
    ck_assert_uint_eq(data->n_classes, 4);
    gr_data_free(data);
    CHECK_OK(gr_import_idx("a.images", "a.labels", 31, 0, "t.h5"));
    CHECK_OK(load(&data));
    check_rows(&data->local[0].train, 31, ROWS - 31);
    gr_data_free(data);
}
END_TEST

/* The same partition from either form of the same rows. */
START_TEST(import_same_digests) {
    struct gr_config idx = idx_config(3), hdf5 = hdf5_config();
    struct gr_data *a, *b;
    put_pair("a", ROWS, 2, 3);
    CHECK_OK(gr_import_idx("a.images", "a.labels", 0, 0, "t.h5"));
    CHECK_OK(load_all(&idx, 3, &a));
    CHECK_OK(load_all(&hdf5, 3, &b));
    for (size_t s = 0; s < 3; s++) {
        const struct gr_rows *x = &a->local[s].train, *y = &b->local[s].train;
        ck_assert_uint_eq(x->n_rows, y->n_rows);
        ck_assert_mem_eq(x->features, y->features, x->n_rows * WIDTH);
        ck_assert_mem_eq(x->labels, y->labels, x->n_rows * sizeof *x->labels);
        ck_assert_mem_eq(a->local[s].digest, b->local[s].digest, sizeof a->local[s].digest);
    }
    gr_data_free(a);
    gr_data_free(b);
}
END_TEST

START_TEST(import_refused) {
    unsigned char bytes[512];
    put_pair("a", ROWS, 2, 3);
    put_file("t.h5", "before", 6);
    CHECK_REFUSED(gr_import_idx("a.images", "a.labels", 40, 0, "t.h5"), GR_ERROR_USAGE,
                  "a.images: rows 40 to 40 were asked for, it has rows 0 to 39");
    CHECK_REFUSED(gr_import_idx("a.images", "a.labels", 30, 11, "t.h5"), GR_ERROR_USAGE,
                  "rows 30 to 40");
    CHECK_REFUSED(gr_import_idx("a.images", "a.labels", SIZE_MAX, SIZE_MAX, "t.h5"), GR_ERROR_USAGE,
                  "a.images");
    CHECK_REFUSED(gr_import_idx("b.images", "a.labels", 0, 0, "t.h5"), GR_ERROR_DATA, "b.images");
    CHECK_REFUSED(gr_import_idx("a.images", "a.labels", 0, 0, "no/t.h5"), GR_ERROR_WRITE,
                  "no/t.h5: No such file");
    size_t n = get_file("t.h5", bytes, sizeof bytes);
    ck_assert_uint_eq(n, 6);
    ck_assert(!there("t.h5.tmp"));
}
END_TEST

/* A disk that is full after 64 KiB: nothing stays behind, and the old file is whole. */
START_TEST(import_disk_full) {
    struct rlimit size = {65536, 65536};
    unsigned char bytes[16];
    put_pair("a", 10000, 10, 10);
    put_file("t.h5", "before", 6);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &size), 0);
    CHECK_REFUSED(gr_import_idx("a.images", "a.labels", 0, 0, "t.h5"), GR_ERROR_WRITE, "t.h5: ");
    ck_assert_uint_eq(get_file("t.h5", bytes, sizeof bytes), 6);
    ck_assert(!there("t.h5.tmp"));
}
END_TEST

int main(void) {
    Suite *suite = suite_create("hdf5");
    TCase *tests = tcase_create("hdf5");
    int n_damage = sizeof damage_forms / sizeof *damage_forms;
    tcase_add_unchecked_fixture(tests, scratch_create, scratch_remove);
    tcase_add_checked_fixture(tests, enter, leave);
    tcase_set_timeout(tests, 120);
    tcase_add_test(tests, forms_allowed);
    tcase_add_test(tests, bools);
    tcase_add_test(tests, column_of_targets);
    tcase_add_test(tests, unfit_rows_do_not_show);
    tcase_add_test(tests, many_windows);
    tcase_add_test(tests, attributes);
    tcase_add_test(tests, forms_refused);
    tcase_add_test(tests, huge_extents);
    tcase_add_test(tests, other_places_refused);
    tcase_add_test(tests, not_hdf5);
    tcase_add_loop_test(tests, cut_off, 0, n_damage);
    tcase_add_loop_test(tests, byte_flips, 0, n_damage);
    tcase_add_test(tests, import_round_trip);
    tcase_add_test(tests, import_same_digests);
    tcase_add_test(tests, import_refused);
    tcase_add_test(tests, import_disk_full);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
