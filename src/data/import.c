/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IDX to the HDF5 form of a table. One window of rows is held at a time; the chunks are not
 * compressed, so that a silo's rows are read at the disk's rate, and small enough that few rows
 * come along which the silo does not own.
 */
#include "data/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <hdf5.h>

#define CHUNK_BYTES ((size_t)256 << 10)

struct table_file {
    const char *path; /* the final name; borrowed */
    char *temporary;  /* owned */
    hid_t file, features, labels;
};

static gr_status cannot_write(const struct table_file *t, const char *what) {
    return gr_fail(GR_ERROR_WRITE, "%s: %s could not be written: %s", t->path, what,
                   errno ? strerror(errno) : "HDF5 refused");
}

static bool write_attribute(hid_t object, const char *name, hid_t file_type, hid_t memory_type,
                            const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, file_type, space, H5P_DEFAULT, H5P_DEFAULT);
    bool written = attribute >= 0 && H5Awrite(attribute, memory_type, value) >= 0;
    if (attribute >= 0) H5Aclose(attribute);
    H5Sclose(space);
    return written;
}

static bool write_text_attribute(hid_t object, const char *name, const char *text) {
    hid_t type = H5Tcopy(H5T_C_S1);
    bool written =
        H5Tset_size(type, strlen(text) + 1) >= 0 && write_attribute(object, name, type, type, text);
    H5Tclose(type);
    return written;
}

/*
 * A dataset in chunks of whole rows; its bytes are all written, so none are filled beforehand. Each
 * chunk carries a checksum: a row that was damaged on disk must not be trained on.
 */
static hid_t create_dataset(hid_t file, const char *name, hid_t type, size_t n_dims,
                            const size_t *shape, size_t row_bytes) {
    hsize_t extent[GR_TENSOR_DIMS_MAX] = {0}, chunk[GR_TENSOR_DIMS_MAX] = {0};
    for (size_t i = 0; i < n_dims; i++)
        extent[i] = chunk[i] = shape[i];
    size_t rows = CHUNK_BYTES / row_bytes ? CHUNK_BYTES / row_bytes : 1;
    if (chunk[0] > rows) chunk[0] = rows;
    hid_t space = H5Screate_simple((int)n_dims, extent, NULL);
    hid_t properties = H5Pcreate(H5P_DATASET_CREATE);
    hid_t dataset = -1;
    if (H5Pset_chunk(properties, (int)n_dims, chunk) >= 0 && H5Pset_fletcher32(properties) >= 0 &&
        H5Pset_fill_time(properties, H5D_FILL_TIME_NEVER) >= 0)
        dataset = H5Dcreate2(file, name, type, space, H5P_DEFAULT, properties, H5P_DEFAULT);
    H5Pclose(properties);
    H5Sclose(space);
    return dataset;
}

static gr_status create_file(struct table_file *t, const struct gr_table_shape *shape,
                             uint32_t n_classes) {
    const uint32_t version = 1;
    gr_status status;
    errno = 0;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (H5Pset_fapl_sec2(access) >= 0)
        t->file = H5Fcreate(t->temporary, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    if (t->file < 0) return cannot_write(t, "the file");
    t->features = create_dataset(t->file, "features", H5T_STD_U8LE, shape->n_dims, shape->shape,
                                 shape->row_bytes);
    t->labels = create_dataset(t->file, "labels", H5T_STD_I32LE, 1, shape->shape, sizeof(int32_t));
    if (t->features < 0 || t->labels < 0 ||
        !write_text_attribute(t->file, "format", "granary-table") ||
        !write_attribute(t->file, "version", H5T_STD_U32LE, H5T_NATIVE_UINT32, &version) ||
        !write_attribute(t->file, "scale", H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, &shape->scale) ||
        !write_attribute(t->file, "n_classes", H5T_STD_U32LE, H5T_NATIVE_UINT32, &n_classes) ||
        !write_text_attribute(t->labels, "role", "label"))
        status = cannot_write(t, "the form of the table");
    else
        status = GR_OK;
    return status;
}

static bool write_slab(hid_t dataset, const size_t *shape, size_t n_dims, size_t first, size_t n,
                       hid_t type, const void *values) {
    hsize_t start[GR_TENSOR_DIMS_MAX] = {first}, count[GR_TENSOR_DIMS_MAX] = {n};
    for (size_t i = 1; i < n_dims; i++)
        count[i] = shape[i];
    hid_t space = H5Dget_space(dataset), memory = H5Screate_simple((int)n_dims, count, NULL);
    bool written = H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
                   H5Dwrite(dataset, type, memory, space, H5P_DEFAULT, values) >= 0;
    H5Sclose(memory);
    H5Sclose(space);
    return written;
}

/* Rows `first`.. of the reader become rows 0.. of the file. */
static gr_status copy_rows(struct table_file *t, struct gr_reader *reader, size_t first, size_t n) {
    const struct gr_table_shape *shape = &reader->shape;
    for (size_t done = 0, count; done < n; done += count) {
        const void *block;
        count = n - done < shape->window_rows ? n - done : shape->window_rows;
        gr_status status = reader->operations->rows(reader, first + done, count, &block);
        if (status != GR_OK) return status;
        errno = 0;
        if (!write_slab(t->features, shape->shape, shape->n_dims, done, count, H5T_NATIVE_UINT8,
                        block))
            return cannot_write(t, "features");
    }
    return GR_OK;
}

static gr_status copy_labels(struct table_file *t, struct gr_reader *reader, size_t first, size_t n,
                             int32_t *window) {
    for (size_t done = 0, count; done < n; done += count) {
        count = n - done < GR_LABEL_WINDOW ? n - done : GR_LABEL_WINDOW;
        gr_status status = reader->operations->labels(reader, first + done, count, window);
        if (status != GR_OK) return status;
        errno = 0;
        if (!write_slab(t->labels, NULL, 1, done, count, H5T_NATIVE_INT32, window))
            return cannot_write(t, "labels");
    }
    return GR_OK;
}

/* Classes of the whole table, so that all files cut from it agree. */
static gr_status count_classes(struct gr_reader *reader, int32_t *window, uint32_t *n_classes) {
    size_t n = reader->shape.shape[0];
    *n_classes = 1;
    for (size_t done = 0, count; done < n; done += count) {
        count = n - done < GR_LABEL_WINDOW ? n - done : GR_LABEL_WINDOW;
        gr_status status = reader->operations->labels(reader, done, count, window);
        if (status != GR_OK) return status;
        for (size_t i = 0; i < count; i++)
            if ((uint32_t)window[i] >= *n_classes) *n_classes = (uint32_t)window[i] + 1;
    }
    return GR_OK;
}

/* Closes the HDF5 objects; what HDF5 had kept back is written now. */
static bool close_file(struct table_file *t) {
    bool good = true;
    if (t->features >= 0) good = H5Dclose(t->features) >= 0 && good;
    if (t->labels >= 0) good = H5Dclose(t->labels) >= 0 && good;
    if (t->file >= 0) good = H5Fclose(t->file) >= 0 && good;
    t->features = t->labels = t->file = -1;
    return good;
}

/* On disk first, then under its name. */
static gr_status publish(struct table_file *t) {
    errno = 0;
    if (!close_file(t)) return cannot_write(t, "the file");
    int fd = open(t->temporary, O_RDONLY | O_CLOEXEC);
    bool synced = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    if (!synced || rename(t->temporary, t->path) != 0) return cannot_write(t, "the file");
    return gr_file_sync_folder(t->path);
}

static gr_status check_range(const struct gr_reader *reader, size_t first, size_t limit,
                             size_t *n) {
    size_t rows = reader->shape.shape[0];
    *n = limit ? limit : rows - (first < rows ? first : rows);
    if (first >= rows || *n > rows - first)
        return gr_fail(GR_ERROR_USAGE, "%s: rows %zu to %zu were asked for, it has rows 0 to %zu",
                       gr_reader_features_path(reader), first, first + (*n ? *n - 1 : 0), rows - 1);
    return GR_OK;
}

/* What the child is told. */
struct import {
    struct gr_table_config table;
    struct table_file file;
    size_t first, limit;
};

/* In the child. Whatever HDF5 still holds after a failure ends with it. */
static gr_status write_table(void *context) {
    struct import *import = context;
    struct table_file *t = &import->file;
    struct gr_reader reader = {0};
    struct gr_table_shape shape;
    int32_t *window = NULL;
    uint32_t n_classes;
    size_t n;
    gr_status status;
    GR_TRY(gr_allocate(GR_LABEL_WINDOW, sizeof *window, "labels", &window));
    GR_TRY(gr_reader_open(&import->table, GR_SOURCE_IDX, &reader));
    GR_TRY(check_range(&reader, import->first, import->limit, &n));
    GR_TRY(count_classes(&reader, window, &n_classes));
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    shape = reader.shape;
    shape.shape[0] = n;
    GR_TRY(create_file(t, &shape, n_classes));
    GR_TRY(copy_labels(t, &reader, import->first, n, window));
    GR_TRY(copy_rows(t, &reader, import->first, n));
    GR_TRY(publish(t));
out:
    gr_reader_close(&reader);
    gr_free(window);
    return status;
}

gr_status gr_import_idx(const char *features, const char *labels, size_t first, size_t limit,
                        const char *out_path) {
    struct import import = {.first = first, .limit = limit};
    struct table_file *t = &import.file;
    gr_status status;
    t->path = out_path;
    t->file = t->features = t->labels = -1;
    GR_TRY(gr_text_format(&import.table.features, "%s", features));
    GR_TRY(gr_text_format(&import.table.labels, "%s", labels));
    GR_TRY(gr_text_format(&t->temporary, "%s.tmp", out_path));
    GR_TRY(gr_guard_write(out_path, write_table, &import));
out:
    if (status != GR_OK && t->temporary) unlink(t->temporary);
    gr_free(t->temporary);
    gr_free(import.table.labels);
    gr_free(import.table.features);
    return status;
}
