/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IDX to the HDF5 form of a table. One window of rows is held at a time; the chunks are not
 * compressed, so that a silo's rows are read at the disk's rate, and small enough that few rows
 * come along which the silo does not own.
 */

#include "data/table_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Rows `first`.. of the reader become rows 0.. of the file. Bytes stay bytes: a file of images is
 * no larger than the IDX file was. */
static gr_status copy_rows(struct gr_table_file *t, struct gr_reader *reader, size_t first,
                           size_t n) {
    const struct gr_table_shape *shape = &reader->shape;
    for (size_t done = 0, count; done < n; done += count) {
        const void *block;
        count = n - done < shape->window_rows ? n - done : shape->window_rows;
        gr_status status = reader->operations->rows(reader, first + done, count, &block);
        if (status != GR_OK) return status;
        errno = 0;
        if (!gr_table_file_write(t->features, shape->shape, shape->n_dims, done, count,
                                 H5T_NATIVE_UINT8, block))
            return gr_table_file_failed(t, "features");
    }
    return GR_OK;
}

static gr_status copy_labels(struct gr_table_file *t, struct gr_reader *reader, size_t first,
                             size_t n, int32_t *window) {
    for (size_t done = 0, count; done < n; done += count) {
        count = n - done < GR_LABEL_WINDOW ? n - done : GR_LABEL_WINDOW;
        gr_status status = reader->operations->labels(reader, first + done, count, window);
        if (status != GR_OK) return status;
        errno = 0;
        if (!gr_table_file_write(t->labels, NULL, 1, done, count, H5T_NATIVE_INT32, window))
            return gr_table_file_failed(t, "labels");
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

static gr_status check_range(const struct gr_reader *reader, size_t first, size_t limit,
                             size_t *n) {
    size_t rows = reader->shape.shape[0];
    *n = limit ? limit : rows - (first < rows ? first : rows);
    if (first >= rows || *n > rows - first)
        return gr_fail(GR_ERROR_USAGE, "%s: rows %zu to %zu were asked for, it has rows 0 to %zu",
                       gr_reader_features_path(reader), first, first + (*n ? *n - 1 : 0), rows - 1);
    return GR_OK;
}

/* The child's orders. */
struct idx_import {
    struct gr_table_config table;
    struct gr_table_file file;
    size_t first, limit;
};

/* In the child. Whatever HDF5 still holds after a failure ends with it. */
static gr_status write_table(void *context) {
    struct idx_import *import = context;
    struct gr_table_file *t = &import->file;
    const struct gr_data_config config = gr_table_defaults(GR_SOURCE_IDX);
    struct gr_reader reader = {0};
    struct gr_table_shape shape;
    int32_t *window = NULL;
    uint32_t n_classes;
    size_t n;
    gr_status status;
    GR_TRY(gr_allocate(GR_LABEL_WINDOW, sizeof *window, "labels", &window));
    GR_TRY(gr_reader_open(&config, &import->table, 0, &reader));
    GR_TRY(check_range(&reader, import->first, import->limit, &n));
    GR_TRY(count_classes(&reader, window, &n_classes));
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    shape = reader.shape;
    shape.shape[0] = n;
    GR_TRY(gr_table_file_create(t, &shape));
    GR_TRY(gr_table_file_classes(t, n_classes));
    GR_TRY(copy_labels(t, &reader, import->first, n, window));
    GR_TRY(copy_rows(t, &reader, import->first, n));
    GR_TRY(gr_table_file_publish(t));
out:
    gr_reader_close(&reader);
    gr_free(window);
    return status;
}

gr_status gr_import_idx(const char *features, const char *labels, size_t first, size_t limit,
                        const char *out_path) {
    struct idx_import import = {.first = first, .limit = limit};
    struct gr_table_file *t = &import.file;
    gr_status status;
    *t = gr_table_file_at(out_path);
    GR_TRY(gr_text_format(&import.table.features, "%s", features));
    GR_TRY(gr_text_format(&import.table.labels, "%s", labels));
    status = gr_table_file_run(t, write_table, &import);
out:
    gr_free(import.table.labels);
    gr_free(import.table.features);
    return status;
}
