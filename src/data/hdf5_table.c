/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HDF5 tables: /features (rows first, 2 to 4 dimensions; uint8 are images' bytes, other integers
 * and floating-point numbers become float32) and /labels (one whole number a row, also as bool or
 * as floating-point numbers; in one dimension or in a column), as `granary import` writes them or
 * to that form.
 *
 * Only what lies in this one file is read: external and soft links, external storage and virtual
 * layouts are refused, and so are filters other than those of HDF5 itself, since they load code.
 * Sizes are held against what the file really stores before anyone allocates by them.
 *
 * Runs in the guard's child only (guard.c), so an object that is left open on a failure goes with
 * it; the serial driver is used whatever the build of the library.
 */
#include "data/foreign.h"
#include "data/hdf5_attributes.h"
#include "data/reader.h"

#include <math.h>
#include <string.h>
#include <unistd.h>

#include <hdf5.h>

/* A chunk is held in memory whole, several times over while its filters run. */
#define CHUNK_BYTES_MAX GR_WINDOW_BYTES_MAX

struct hdf5_state {
    hid_t file, features, labels;
    hid_t targets, columns, groups, group_names; /* -1 where there is none */
    hid_t findings;                              /* likewise */
    hid_t terms[GR_TERMS];                       /* likewise */
    hid_t memory_type;                           /* of features */
    int label_dims, target_dims;                 /* 1, or 2 for a column */
    bool label_reals;                            /* labels are floating-point numbers */
    size_t file_size;
};

/* A dataset of the file, features or labels: its place, shape and type. */
struct dataset {
    const char *path, *name;
    hid_t id;
    int n_dims;
    hsize_t shape[H5S_MAX_RANK];
    hsize_t chunk_rows; /* 1 when not chunked */
    size_t element_bytes;
};

static gr_status damaged(const struct dataset *d, const char *what) {
    return gr_fail(GR_ERROR_DATA, "%s: /%s: damaged: %s cannot be read", d->path, d->name, what);
}

/* H5Lget_info does not follow a link, so that no other file is touched before the link's kind is
 * known. */
static gr_status open_dataset(hid_t file, struct dataset *d) {
    H5L_info_t link;
    if (H5Lexists(file, d->name, H5P_DEFAULT) <= 0 ||
        H5Lget_info(file, d->name, &link, H5P_DEFAULT) < 0)
        return gr_fail(GR_ERROR_DATA, "%s: has no dataset /%s", d->path, d->name);
    if (link.type != H5L_TYPE_HARD)
        return gr_fail(GR_ERROR_DATA, "%s: /%s is %s link, expected a dataset in this file",
                       d->path, d->name,
                       link.type == H5L_TYPE_SOFT       ? "a soft"
                       : link.type == H5L_TYPE_EXTERNAL ? "an external"
                                                        : "a user-defined");
    d->id = H5Dopen2(file, d->name, H5P_DEFAULT);
    if (d->id < 0) return gr_fail(GR_ERROR_DATA, "%s: /%s is not a dataset", d->path, d->name);
    return GR_OK;
}

/* At most as many dimensions as a tensor has; d->shape has room for HDF5's own most. */
static gr_status read_shape(struct dataset *d) {
    hid_t space = H5Dget_space(d->id);
    if (space < 0 || H5Sget_simple_extent_type(space) != H5S_SIMPLE)
        return gr_fail(GR_ERROR_DATA, "%s: /%s is not an array", d->path, d->name);
    d->n_dims = H5Sget_simple_extent_dims(space, d->shape, NULL);
    H5Sclose(space);
    if (d->n_dims < 1 || d->n_dims > GR_TENSOR_DIMS_MAX)
        return gr_fail(GR_ERROR_DATA, "%s: /%s has %d dimensions, expected 1 to %d", d->path,
                       d->name, d->n_dims, GR_TENSOR_DIMS_MAX);
    return GR_OK;
}

/*
 * Only filters of the HDF5 library itself: others would be loaded from the machine's plug-in
 * folder.
 */
static gr_status check_filters(const struct dataset *d, hid_t properties, int *n_filters) {
    *n_filters = H5Pget_nfilters(properties);
    if (*n_filters < 0) return damaged(d, "its filters");
    for (unsigned i = 0; i < (unsigned)*n_filters; i++) {
        unsigned flags;
        size_t n_values = 0;
        char name[1];
        H5Z_filter_t filter =
            H5Pget_filter2(properties, i, &flags, &n_values, NULL, sizeof name, name, NULL);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
            filter != H5Z_FILTER_FLETCHER32)
            return gr_fail(GR_ERROR_DATA,
                           "%s: /%s uses filter %d, allowed are deflate, shuffle and fletcher32",
                           d->path, d->name, (int)filter);
    }
    return GR_OK;
}

/* Each chunk must be there: an absent one would read as zeros. With filters a chunk may be smaller
 * than its rows, but not by more than deflate can pack. */
static gr_status check_chunks(struct dataset *d, hid_t properties, hsize_t bytes, hsize_t stored) {
    hsize_t chunk[H5S_MAX_RANK], size = d->element_bytes, expected = 1, found = 0;
    int n_filters;
    gr_status status = check_filters(d, properties, &n_filters);
    if (status != GR_OK) return status;
    if (H5Pget_chunk(properties, H5S_MAX_RANK, chunk) != d->n_dims) return damaged(d, "its chunks");
    for (int i = 0; i < d->n_dims; i++) {
        if (chunk[i] == 0) return damaged(d, "its chunks");
        if (__builtin_mul_overflow(size, chunk[i], &size) || size > CHUNK_BYTES_MAX)
            return gr_fail(GR_ERROR_DATA, "%s: /%s: a chunk is larger than %zu MiB", d->path,
                           d->name, CHUNK_BYTES_MAX >> 20);
        expected *= (d->shape[i] + chunk[i] - 1) / chunk[i];
    }
    hid_t space = H5Dget_space(d->id);
    if (space < 0 || H5Dget_num_chunks(d->id, space, &found) < 0)
        return damaged(d, "its index of chunks");
    H5Sclose(space);
    if (found != expected)
        return gr_fail(GR_ERROR_DATA, "%s: /%s: %llu of its %llu chunks are stored", d->path,
                       d->name, (unsigned long long)found, (unsigned long long)expected);
    if (n_filters > 0 ? bytes / GR_DEFLATE_RATIO_MAX > stored : bytes > stored)
        return gr_fail(GR_ERROR_DATA, "%s: /%s: %llu bytes are stored for %llu", d->path, d->name,
                       (unsigned long long)stored, (unsigned long long)bytes);
    d->chunk_rows = chunk[0];
    return GR_OK;
}

/* The extent against what is stored, and that against the file. All products are checked for
 * overflow first: the numbers are the file's. */
static gr_status check_extent(struct dataset *d, hid_t properties, size_t file_size) {
    hsize_t bytes = d->element_bytes, stored = H5Dget_storage_size(d->id);
    for (int i = 0; i < d->n_dims; i++)
        if (__builtin_mul_overflow(bytes, d->shape[i], &bytes))
            return gr_fail(GR_ERROR_DATA, "%s: /%s: its size overflows", d->path, d->name);
    if (stored > file_size)
        return gr_fail(GR_ERROR_DATA, "%s: /%s: says it stores %llu bytes in a file of %zu",
                       d->path, d->name, (unsigned long long)stored, file_size);
    switch (H5Pget_layout(properties)) {
    case H5D_CHUNKED:
        return check_chunks(d, properties, bytes, stored);
    case H5D_CONTIGUOUS:
    case H5D_COMPACT:
        if (stored != bytes)
            return gr_fail(GR_ERROR_DATA, "%s: /%s: %llu bytes are stored for %llu", d->path,
                           d->name, (unsigned long long)stored, (unsigned long long)bytes);
        return GR_OK;
    default:
        return damaged(d, "its layout");
    }
}

/* Layout first: to find the extent of a virtual dataset, other files are opened. */
static gr_status check_storage(struct dataset *d, size_t file_size) {
    hid_t properties = H5Dget_create_plist(d->id);
    if (properties < 0) return damaged(d, "its properties");
    if (H5Pget_layout(properties) == H5D_VIRTUAL)
        return gr_fail(GR_ERROR_DATA, "%s: /%s is virtual: its rows lie in other files", d->path,
                       d->name);
    if (H5Pget_external_count(properties) != 0)
        return gr_fail(GR_ERROR_DATA, "%s: /%s keeps its rows in other files", d->path, d->name);
    gr_status status = read_shape(d);
    return status == GR_OK ? check_extent(d, properties, file_size) : status;
}

static gr_status read_type(struct dataset *d, hid_t *type) {
    *type = H5Dget_type(d->id);
    d->element_bytes = *type < 0 ? 0 : H5Tget_size(*type);
    return d->element_bytes == 0 ? damaged(d, "its type") : GR_OK;
}

/*
 * Bytes stay bytes, a quarter of float32, and are scaled to 0..1 batch by batch. The window is a
 * multiple of the chunks' rows, because a chunk is decompressed as a whole.
 */
static gr_status open_features(struct hdf5_state *state, struct dataset *d,
                               struct gr_table_shape *shape) {
    hid_t type;
    gr_status status;
    GR_TRY(open_dataset(state->file, d));
    GR_TRY(read_type(d, &type));
    const H5T_class_t class = H5Tget_class(type);
    if (H5Tequal(type, H5T_STD_U8LE) > 0 || H5Tequal(type, H5T_STD_U8BE) > 0) {
        shape->element = GR_ELEMENT_UINT8;
        shape->scale = 1.0f / 255.0f;
        state->memory_type = H5T_NATIVE_UINT8;
    } else if (class == H5T_FLOAT || class == H5T_INTEGER || class == H5T_ENUM) {
        shape->element = GR_ELEMENT_FLOAT32;
        shape->scale = 1.0f;
        state->memory_type = H5T_NATIVE_FLOAT;
    } else {
        status = gr_fail(GR_ERROR_DATA, "%s: /features: not numbers", d->path);
        goto out;
    }
    GR_TRY(check_storage(d, state->file_size));
    shape->n_dims = (size_t)d->n_dims;
    for (size_t i = 0; i < shape->n_dims; i++)
        shape->shape[i] = d->shape[i];
    GR_TRY(gr_table_shape_check(d->path, shape));
    size_t chunk_rows = d->chunk_rows > UINT32_MAX ? UINT32_MAX : d->chunk_rows;
    size_t whole = GR_WINDOW_BYTES / shape->row_bytes / chunk_rows;
    shape->window_rows = chunk_rows * (whole ? whole : 1);
    /* Chunks of many rows: a window is then a part of one, and the chunk is decompressed more than
     * once. */
    if (shape->window_rows > GR_WINDOW_BYTES_MAX / shape->row_bytes)
        shape->window_rows = GR_WINDOW_BYTES_MAX / shape->row_bytes;
    state->features = d->id;
out:
    return status;
}

/* One number a row: in one dimension, or in a column of two. */
static bool is_column(const struct dataset *d, size_t n_rows) {
    return d->shape[0] == n_rows && (d->n_dims == 1 || (d->n_dims == 2 && d->shape[1] == 1));
}

/* Up to 8 bytes: HDF5 converts them to int32 with saturation, and a saturated label is refused as
 * one beyond the classes. */
static gr_status open_labels(struct hdf5_state *state, struct dataset *d, size_t n_rows) {
    hid_t type;
    gr_status status;
    GR_TRY(open_dataset(state->file, d));
    GR_TRY(read_type(d, &type));
    const H5T_class_t class = H5Tget_class(type);
    if ((class != H5T_INTEGER && class != H5T_ENUM && class != H5T_FLOAT) || d->element_bytes > 8) {
        status = gr_fail(GR_ERROR_DATA, "%s: /labels: not integers", d->path);
        goto out;
    }
    GR_TRY(check_storage(d, state->file_size));
    if (!is_column(d, n_rows)) {
        status = gr_fail(GR_ERROR_DATA,
                         "%s: %llu labels in %d dimensions for %zu rows, expected "
                         "one a row",
                         d->path, (unsigned long long)d->shape[0], d->n_dims, n_rows);
        goto out;
    }
    state->labels = d->id;
    state->label_dims = d->n_dims;
    state->label_reals = class == H5T_FLOAT;
out:
    return status;
}

/* *there false: the file has no such dataset. */
static gr_status open_optional(const struct hdf5_state *state, struct dataset *d, hid_t *type,
                               bool *there) {
    htri_t exists = H5Lexists(state->file, d->name, H5P_DEFAULT);
    gr_status status = GR_OK;
    *there = exists > 0;
    if (exists < 0) return damaged(d, "whether it is there");
    if (!*there) return GR_OK;
    GR_TRY(open_dataset(state->file, d));
    GR_TRY(read_type(d, type));
    GR_TRY(check_storage(d, state->file_size));
out:
    return status;
}

static gr_status open_targets(struct hdf5_state *state, struct dataset *d,
                              struct gr_table_shape *shape) {
    hid_t type;
    bool there;
    gr_status status;
    GR_TRY(open_optional(state, d, &type, &there));
    if (!there) goto out;
    const H5T_class_t class = H5Tget_class(type);
    if ((class != H5T_FLOAT && class != H5T_INTEGER) || !is_column(d, shape->shape[0])) {
        status = gr_fail(GR_ERROR_DATA, "%s: /targets: expected %zu numbers, one a row", d->path,
                         shape->shape[0]);
        goto out;
    }
    state->targets = d->id;
    state->target_dims = d->n_dims;
    shape->targets = true;
out:
    return status;
}

static const char *const term_names[GR_TERMS] = {
    [GR_TERM_WEIGHT] = "weights", [GR_TERM_OFFSET] = "offsets"};

/* Only as `granary import` writes them, in one dimension of floating-point numbers. */
static gr_status open_term(struct hdf5_state *state, const char *path, enum gr_term term,
                           struct gr_table_shape *shape) {
    struct dataset d = {.path = path, .name = term_names[term], .chunk_rows = 1};
    hid_t type;
    bool there;
    gr_status status;
    GR_TRY(open_optional(state, &d, &type, &there));
    if (!there) goto out;
    if (H5Tget_class(type) != H5T_FLOAT || d.n_dims != 1 || d.shape[0] != shape->shape[0]) {
        status = gr_fail(GR_ERROR_DATA, "%s: /%s: expected %zu floating-point numbers", path,
                         d.name, shape->shape[0]);
        goto out;
    }
    state->terms[term] = d.id;
    shape->terms[term] = true;
out:
    return status;
}

/* Text is bytes in one dimension. */
static gr_status check_text(const struct dataset *d, hid_t type, size_t most) {
    if (H5Tequal(type, H5T_STD_U8LE) > 0 && d->n_dims == 1 && d->shape[0] > 0 &&
        d->shape[0] <= most)
        return GR_OK;
    return gr_fail(GR_ERROR_DATA, "%s: /%s: expected 1 to %zu bytes of text", d->path, d->name,
                   most);
}

static gr_status open_columns(struct hdf5_state *state, struct dataset *d,
                              struct gr_table_shape *shape) {
    hid_t type;
    bool there;
    gr_status status;
    GR_TRY(open_optional(state, d, &type, &there));
    if (!there) goto out;
    GR_TRY(check_text(d, type, GR_CONFIG_FILE_MAX));
    state->columns = d->id;
    shape->column_bytes = d->shape[0];
out:
    return status;
}

/* The findings of the import; a file of another form has none. */
static gr_status open_findings(struct hdf5_state *state, const char *path,
                               struct gr_table_shape *shape) {
    struct dataset d = {.path = path, .name = "findings", .chunk_rows = 1};
    hid_t type;
    bool there;
    gr_status status;
    GR_TRY(open_optional(state, &d, &type, &there));
    if (!there) goto out;
    state->findings = d.id;
    if (H5Tget_class(type) == H5T_INTEGER && d.element_bytes <= 8 && d.n_dims == 2 &&
        d.shape[1] == GR_FINDINGS && d.shape[0] <= GR_FINDINGS_MAX)
        shape->n_findings = d.shape[0];
out:
    return status;
}

/* Each row's group as a number, and the groups' names: both or neither. */
static gr_status open_groups(struct hdf5_state *state, struct dataset *numbers,
                             struct dataset *names, struct gr_table_shape *shape) {
    hid_t type, text_type;
    bool there, named;
    gr_status status;
    GR_TRY(open_optional(state, numbers, &type, &there));
    GR_TRY(open_optional(state, names, &text_type, &named));
    if (there != named) return damaged(there ? names : numbers, "what is not there");
    if (!there) goto out;
    if (H5Tget_class(type) != H5T_INTEGER || numbers->element_bytes > 8 || numbers->n_dims != 1 ||
        numbers->shape[0] != shape->shape[0])
        return gr_fail(GR_ERROR_DATA, "%s: /groups: expected %zu integers", numbers->path,
                       shape->shape[0]);
    GR_TRY(check_text(names, text_type, GR_WINDOW_BYTES_MAX));
    state->groups = numbers->id;
    state->group_names = names->id;
    shape->group_bytes = names->shape[0];
out:
    return status;
}

/* Opened once by ourselves before: HDF5 would wait at a pipe, and its error does not tell a foreign
 * file from a damaged one. */
static gr_status open_file(const char *path, struct hdf5_state *state) {
    int fd;
    gr_status status = gr_open_regular(path, &fd, &state->file_size);
    if (status != GR_OK) return status;
    close(fd);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    /* No locking: files are only read here, and some file systems have no locks. */
    if (access < 0 || H5Pset_fapl_sec2(access) < 0 || H5Pset_file_locking(access, 0, 1) < 0)
        return gr_fail(GR_ERROR_INTERNAL, "%s: HDF5 refused its settings", path);
    state->file = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    if (state->file >= 0) return GR_OK;
    status = gr_foreign_refuse(path, "an HDF5 file");
    if (status != GR_OK) return status;
    return gr_fail(GR_ERROR_DATA, "%s: not an HDF5 file, or damaged or cut off", path);
}

static void hdf5_close(struct gr_reader *reader) {
    struct hdf5_state *state = reader->state;
    if (!state) return;
    if (state->features >= 0) H5Dclose(state->features);
    if (state->labels >= 0) H5Dclose(state->labels);
    if (state->targets >= 0) H5Dclose(state->targets);
    if (state->columns >= 0) H5Dclose(state->columns);
    for (size_t t = 0; t < GR_TERMS; t++)
        if (state->terms[t] >= 0) H5Dclose(state->terms[t]);
    if (state->groups >= 0) H5Dclose(state->groups);
    if (state->group_names >= 0) H5Dclose(state->group_names);
    if (state->findings >= 0) H5Dclose(state->findings);
    if (state->file >= 0) H5Fclose(state->file);
    gr_free(state);
    reader->state = NULL;
}

/* The datasets that a purpose does not need are not opened, so that a table without labels can be
 * predicted. */
static gr_status hdf5_open(struct gr_reader *reader) {
    const char *path = reader->table->file;
    struct dataset features = {.path = path, .name = "features", .chunk_rows = 1};
    struct dataset labels = {.path = path, .name = "labels", .chunk_rows = 1};
    struct dataset targets = {.path = path, .name = "targets", .chunk_rows = 1};
    struct dataset columns = {.path = path, .name = "columns", .chunk_rows = 1};
    struct dataset groups = {.path = path, .name = "groups", .chunk_rows = 1};
    struct dataset group_names = {.path = path, .name = "group_names", .chunk_rows = 1};
    struct hdf5_state *state = NULL;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *state, "an HDF5 reader", &state));
    state->file = state->features = state->labels = state->targets = state->columns = -1;
    state->groups = state->group_names = state->findings = -1;
    state->terms[GR_TERM_WEIGHT] = state->terms[GR_TERM_OFFSET] = -1;
    reader->state = state;
    GR_TRY(open_file(path, state));
    GR_TRY(open_features(state, &features, &reader->shape));
    if (!reader->unlabelled) {
        GR_TRY(open_labels(state, &labels, reader->shape.shape[0]));
        GR_TRY(open_targets(state, &targets, &reader->shape));
        GR_TRY(open_term(state, path, GR_TERM_WEIGHT, &reader->shape));
    }
    if (!reader->unlabelled || reader->id)
        GR_TRY(open_groups(state, &groups, &group_names, &reader->shape));
    GR_TRY(open_term(state, path, GR_TERM_OFFSET, &reader->shape));
    GR_TRY(open_columns(state, &columns, &reader->shape));
    GR_TRY(open_findings(state, path, &reader->shape));
    GR_TRY(gr_hdf5_attributes(path, state->file, &reader->shape));
out:
    if (status != GR_OK) hdf5_close(reader);
    return status;
}

/* n whole rows from `first`, of a dataset with `n_dims` dimensions. */
static gr_status read_slab(hid_t dataset, const size_t *shape, size_t n_dims, size_t first,
                           size_t n, hid_t type, void *out) {
    hsize_t start[GR_TENSOR_DIMS_MAX] = {first}, count[GR_TENSOR_DIMS_MAX] = {n};
    for (size_t i = 1; i < n_dims && i < GR_TENSOR_DIMS_MAX; i++)
        count[i] = shape[i];
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple((int)n_dims, count, NULL);
    bool read = space >= 0 && memory >= 0 &&
                H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                H5Dread(dataset, type, memory, space, H5P_DEFAULT, out) >= 0;
    if (memory >= 0) H5Sclose(memory);
    if (space >= 0) H5Sclose(space);
    return read ? GR_OK : GR_ERROR_DATA;
}

/* Rows are named, since checksums (fletcher32, deflate's) fail where a chunk is read, not when the
 * file is opened. */
static gr_status damaged_rows(const struct gr_reader *reader, const char *name, size_t first,
                              size_t n) {
    return gr_fail(GR_ERROR_DATA, "%s: /%s: rows %zu to %zu cannot be read: damaged",
                   reader->table->file, name, first, first + n - 1);
}

static gr_status hdf5_rows(struct gr_reader *reader, size_t first, size_t n, const void **block) {
    const struct hdf5_state *state = reader->state;
    const struct gr_table_shape *shape = &reader->shape;
    gr_status status = read_slab(state->features, shape->shape, shape->n_dims, first, n,
                                 state->memory_type, reader->window);
    *block = reader->window;
    if (status == GR_OK) return GR_OK;
    return damaged_rows(reader, "features", first, n);
}

static const size_t column_shape[GR_TENSOR_DIMS_MAX] = {0, 1};

static gr_status not_whole(const struct gr_reader *reader, size_t row) {
    return gr_fail(GR_ERROR_DATA, "%s: row %zu: its label is no whole number from 0 to %d",
                   reader->table->file, row, GR_CLASSES_MAX - 1);
}

/* Labels written as floating-point numbers: whole ones, exactly. */
static gr_status read_real_labels(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    const struct hdf5_state *state = reader->state;
    double *values = NULL;
    gr_status status;
    GR_TRY(gr_allocate(n, sizeof *values, "labels", &values));
    status = read_slab(state->labels, column_shape, (size_t)state->label_dims, first, n,
                       H5T_NATIVE_DOUBLE, values);
    if (status != GR_OK) status = damaged_rows(reader, "labels", first, n);
    for (size_t i = 0; status == GR_OK && i < n; i++) {
        if (values[i] >= 0 && values[i] < GR_CLASSES_MAX && values[i] <= floor(values[i]))
            out[i] = (int32_t)values[i];
        else
            status = not_whole(reader, first + i);
    }
out:
    gr_free(values);
    return status;
}

static gr_status hdf5_labels(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    const struct hdf5_state *state = reader->state;
    if (state->label_reals) return read_real_labels(reader, first, n, out);
    gr_status status = read_slab(state->labels, column_shape, (size_t)state->label_dims, first, n,
                                 H5T_NATIVE_INT32, out);
    return status == GR_OK ? GR_OK : damaged_rows(reader, "labels", first, n);
}

static gr_status hdf5_targets(struct gr_reader *reader, size_t first, size_t n, float *out) {
    const struct hdf5_state *state = reader->state;
    gr_status status = read_slab(state->targets, column_shape, (size_t)state->target_dims, first, n,
                                 H5T_NATIVE_FLOAT, out);
    return status == GR_OK ? GR_OK : damaged_rows(reader, "targets", first, n);
}

static gr_status hdf5_terms(struct gr_reader *reader, enum gr_term term, size_t first, size_t n,
                            float *out) {
    const struct hdf5_state *state = reader->state;
    gr_status status = read_slab(state->terms[term], NULL, 1, first, n, H5T_NATIVE_FLOAT, out);
    return status == GR_OK ? GR_OK : damaged_rows(reader, term_names[term], first, n);
}

/* Out of int32's range numbers come saturated, and are refused then. */
static gr_status hdf5_groups(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    const struct hdf5_state *state = reader->state;
    gr_status status = read_slab(state->groups, NULL, 1, first, n, H5T_NATIVE_INT32, out);
    return status == GR_OK ? GR_OK : damaged_rows(reader, "groups", first, n);
}

static gr_status read_text(struct gr_reader *reader, hid_t dataset, const char *name, size_t bytes,
                           void *out) {
    gr_status status = read_slab(dataset, NULL, 1, 0, bytes, H5T_NATIVE_UINT8, out);
    if (status == GR_OK) return GR_OK;
    return gr_fail(status, "%s: /%s: cannot be read: damaged", reader->table->file, name);
}

static gr_status hdf5_columns(struct gr_reader *reader) {
    const struct hdf5_state *state = reader->state;
    return read_text(reader, state->columns, "columns", reader->shape.column_bytes, reader->window);
}

static gr_status hdf5_group_names(struct gr_reader *reader, char *out) {
    const struct hdf5_state *state = reader->state;
    return read_text(reader, state->group_names, "group_names", reader->shape.group_bytes, out);
}

static gr_status hdf5_findings(struct gr_reader *reader, int64_t *out) {
    const struct hdf5_state *state = reader->state;
    const size_t shape[] = {0, GR_FINDINGS}, n = reader->shape.n_findings;
    gr_status status = read_slab(state->findings, shape, 2, 0, n, H5T_NATIVE_INT64, out);
    return status == GR_OK ? GR_OK : damaged_rows(reader, "findings", 0, n);
}

const struct gr_reader_operations gr_hdf5_operations = {
    .open = hdf5_open,
    .labels = hdf5_labels,
    .rows = hdf5_rows,
    .close = hdf5_close,
    .targets = hdf5_targets,
    .terms = hdf5_terms,
    .columns = hdf5_columns,
    .groups = hdf5_groups,
    .group_names = hdf5_group_names,
    .findings = hdf5_findings,
};
