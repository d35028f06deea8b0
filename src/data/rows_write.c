/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows in memory, as they were read, back into the HDF5 form of a table: of several silos one after
 * another, whose open categories are brought together. Nothing is scaled, filled or rounded.
 */
#include "data/table_file.h"

#include <errno.h>
#include <math.h>
#include <string.h>

struct rows_writing {
    struct gr_table_file file;
    const struct gr_rows_part *parts; /* n; borrowed */
    size_t n;
    struct gr_table_shape shape;
    struct gr_columns *columns; /* of the table; owned; NULL: it names none */
    char *text;                 /* these in words; owned */
};

/* ---- columns --------------------------------------------------------------------------------- */

/* An open column lists the categories of all parts, in byte order. */
static gr_status join_categories(const struct rows_writing *w, unsigned column) {
    gr_status status = GR_OK;
    struct gr_categories all = {0};
    bool room;
    for (size_t p = 0; p < w->n; p++) {
        const struct gr_column *c = &w->parts[p].columns->schema->columns[column];
        for (unsigned k = 0; k < c->categories_count; k++) {
            GR_TRY(gr_categories_add(&all, c->categories[k], strlen(c->categories[k]), &room));
            if (room) continue;
            status = gr_fail(GR_ERROR_DATA, "column %u: more than %d categories over all silos",
                             column, GR_OPEN_CATEGORIES_MAX);
            goto out;
        }
    }
    gr_categories_give(&all, &w->columns->schema->columns[column]);
out:
    gr_categories_release(&all);
    return status;
}

static gr_status make_columns(struct rows_writing *w) {
    gr_status status = GR_OK;
    struct gr_schema *schema = NULL;
    const struct gr_columns *first = w->parts[0].columns;
    if (!first) return GR_OK;
    GR_TRY(gr_schema_copy(first->schema, &schema));
    GR_TRY(gr_columns_create(schema, &w->columns));
    for (unsigned i = 0; i < w->columns->schema->columns_count; i++)
        if (w->columns->schema->columns[i].type == GR_COLUMN_CATEGORY &&
            w->columns->schema->columns[i].open)
            GR_TRY(join_categories(w, i));
    status = gr_schema_to_yaml(w->columns->schema, &w->text);
out:
    return status;
}

/* The places of a part's categories among those of the table. */
static void translate(const struct rows_writing *w, const struct gr_rows_part *part, size_t value,
                      float *features, size_t n) {
    const uint32_t column = w->columns->column_of[value];
    const struct gr_column *own = &part->columns->schema->columns[column];
    const struct gr_column *all = &w->columns->schema->columns[column];
    if (all->type != GR_COLUMN_CATEGORY || !all->open) return;
    const struct gr_categories list = {.text = all->categories, .n = all->categories_count};
    const size_t width = w->shape.n_features;
    for (size_t i = 0; i < n; i++) {
        float *code = &features[i * width + value];
        if (isnan(*code)) continue;
        *code = *code < (float)own->categories_count
                    ? (float)gr_categories_find(&list, own->categories[(size_t)*code])
                    : (float)all->categories_count;
    }
}

/* ---- rows ------------------------------------------------------------------------------------ */

static bool write_answers(const struct rows_writing *w, const struct gr_rows *rows, size_t first) {
    const struct gr_table_file *t = &w->file;
    const float *const terms[GR_TERMS] = {rows->weights, rows->offsets};
    const size_t n = rows->n_rows;
    bool written =
        gr_table_file_write(t->labels, NULL, 1, first, n, H5T_NATIVE_INT32, rows->labels);
    if (w->shape.targets)
        written = written && gr_table_file_write(t->targets, NULL, 1, first, n, H5T_NATIVE_FLOAT,
                                                 rows->targets);
    for (size_t k = 0; k < GR_TERMS; k++)
        if (w->shape.terms[k])
            written = written && gr_table_file_write(t->terms[k], NULL, 1, first, n,
                                                     H5T_NATIVE_FLOAT, terms[k]);
    return written;
}

static gr_status write_part(const struct rows_writing *w, const struct gr_rows_part *part,
                            size_t first) {
    gr_status status = GR_OK;
    const struct gr_rows *rows = part->rows;
    const bool bytes = w->shape.element == GR_ELEMENT_UINT8;
    float *copy = NULL;
    const void *features = rows->features;
    if (rows->n_rows == 0) return GR_OK;
    if (w->columns) {
        GR_TRY(gr_allocate(rows->n_rows, w->shape.row_bytes, "rows", &copy));
        memcpy(copy, rows->features, rows->n_rows * w->shape.row_bytes);
        for (size_t v = 0; v < w->columns->n_values; v++)
            translate(w, part, v, copy, rows->n_rows);
        features = copy;
    }
    errno = 0;
    if (!gr_table_file_write(w->file.features, w->shape.shape, w->shape.n_dims, first, rows->n_rows,
                             bytes ? H5T_NATIVE_UINT8 : H5T_NATIVE_FLOAT, features) ||
        !write_answers(w, rows, first))
        status = gr_table_file_failed(&w->file, "rows");
out:
    gr_free(copy);
    return status;
}

/* In the child. */
static gr_status write_all(void *context) {
    struct rows_writing *w = context;
    gr_status status;
    size_t first = 0;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    GR_TRY(gr_table_file_create(&w->file, &w->shape));
    for (size_t p = 0; p < w->n; p++) {
        GR_TRY(write_part(w, &w->parts[p], first));
        first += w->parts[p].rows->n_rows;
    }
    if (w->text) GR_TRY(gr_table_file_text(&w->file, "columns", w->text, strlen(w->text)));
    GR_TRY(gr_table_file_classes(&w->file, w->shape.n_classes));
    status = gr_table_file_publish(&w->file);
out:
    return status;
}

static gr_status make_shape(struct rows_writing *w, const struct gr_data *data) {
    const struct gr_rows *like = w->parts[0].rows;
    size_t n_rows = 0;
    for (size_t p = 0; p < w->n; p++) {
        const struct gr_rows *rows = w->parts[p].rows;
        n_rows += rows->n_rows;
        if (rows->n_rows > 0 && like->n_rows == 0) like = rows;
    }
    if (n_rows == 0) return gr_fail(GR_ERROR_DATA, "%s: no row to be written", w->file.path);
    w->shape = (struct gr_table_shape){.n_dims = data->n_dims,
                                       .element = like->element,
                                       .scale = like->scale,
                                       .n_classes = data->n_classes > 0 ? data->n_classes : 1,
                                       .targets = like->targets != NULL,
                                       .terms = {like->weights != NULL, like->offsets != NULL}};
    if (w->columns) {
        w->shape.n_dims = 2;
        w->shape.shape[1] = w->columns->n_values;
    } else {
        w->shape.n_dims = data->n_dims + 1;
        memcpy(w->shape.shape + 1, data->shape, data->n_dims * sizeof *data->shape);
    }
    w->shape.shape[0] = n_rows;
    return gr_table_shape_check(w->file.path, &w->shape);
}

gr_status gr_rows_write(const char *path, const struct gr_data *data,
                        const struct gr_rows_part *parts, size_t n) {
    gr_status status;
    struct rows_writing w = {.file = gr_table_file_at(path), .parts = parts, .n = n};
    GR_TRY(make_columns(&w));
    GR_TRY(make_shape(&w, data));
    status = gr_table_file_run(&w.file, write_all, &w);
out:
    gr_columns_free(w.columns);
    gr_free(w.text);
    return status;
}
