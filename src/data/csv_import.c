/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV to the HDF5 form of a table, in one pass where that is possible: a chunk of features, of
 * labels and of targets is filled row by row and written when it is full. A pass before that is
 * needed only where the schema leaves the categories of a column open, or where columns are guessed
 * and turn out otherwise after the first rows.
 */
#include "data/csv_table.h"
#include "data/groups.h"
#include "data/table_file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { SAMPLE_ROWS = 10000, PROGRESS_ROWS = 4096, CHUNK_ROWS = 65536 };

/* The child's orders and working state. */
struct csv_import {
    const char *path;
    const struct gr_import_options *options;
    struct gr_table_file file;
    struct gr_columns *columns;
    char *text; /* the columns as they are written; owned */
    struct gr_csv_table table;
    struct gr_table_shape shape;
    size_t first, last;   /* rows first .. last - 1 are wanted */
    size_t row;           /* that comes next, of the CSV file */
    size_t written, held; /* rows in the file; rows in the window */
    size_t feature_rows;  /* of a window of features */
    float *features;
    int32_t *labels;
    float *targets;
    float *terms[GR_TERMS];
    int32_t *group_of; /* NULL: there is no column of groups */
    struct gr_groups groups;
    uint32_t n_classes;
    bool refused; /* a cell is not what its column is to hold */
};

/* ---- columns -------------------------------------------------------------------------------- */

/* Whether a guess has parts that a few rows cannot settle. */
static bool needs_all(const struct gr_schema *schema) {
    for (unsigned i = 0; i < schema->columns_count; i++) {
        const struct gr_column *c = &schema->columns[i];
        if (c->type == GR_COLUMN_CATEGORY || c->categories_count > 0 || c->type == GR_COLUMN_TEXT)
            return true;
    }
    return false;
}

/* From the first rows; where these leave something open, from all of them. */
static gr_status guess(struct csv_import *im, size_t limit, struct gr_inference **out) {
    const char *group = im->options->group ? im->options->group : "";
    struct gr_infer_options options = {.paths = &im->path,
                                       .n_paths = 1,
                                       .csv = &im->options->csv,
                                       .group = group,
                                       .limit = limit,
                                       .threshold = GR_INFER_THRESHOLD,
                                       .federated = true,
                                       .names_told = true};
    gr_status status;
    GR_TRY(gr_csv_infer(&options, out));
    if (limit == 0 || !needs_all((*out)->schema)) goto out;
    gr_inference_free(*out);
    options.limit = 0;
    status = gr_csv_infer(&options, out);
out:
    return status;
}

/* Each column's line to whoever imports. */
static gr_status tell_guess(const struct csv_import *im, const struct gr_inference *inference) {
    char *lines = NULL, *at, *end;
    if (!im->options->say) return GR_OK;
    gr_status status = gr_inference_tell(inference, &lines);
    if (status != GR_OK) return status;
    for (at = lines; (end = strchr(at, '\n')); at = end + 1) {
        *end = '\0';
        im->options->say(im->options->context, at);
    }
    gr_free(lines);
    return GR_OK;
}

static gr_status guess_and_tell(struct csv_import *im, size_t limit, struct gr_schema **schema) {
    struct gr_inference *inference = NULL;
    gr_status status;
    GR_TRY(guess(im, limit, &inference));
    GR_TRY(tell_guess(im, inference));
    *schema = inference->schema;
    inference->schema = NULL;
out:
    gr_inference_free(inference);
    return status;
}

static gr_status find_columns(struct csv_import *im, size_t limit) {
    const char *path = im->options->schema;
    struct gr_schema *schema = NULL;
    gr_status status;
    if (path && path[0])
        GR_TRY(gr_csv_schema_load(path, &schema));
    else
        GR_TRY(guess_and_tell(im, limit, &schema));
    GR_TRY(gr_columns_create(schema, &im->columns));
    if (im->columns->label < 0 && im->columns->target < 0)
        return gr_fail(GR_ERROR_DATA,
                       "%s: has no column \"%s\" of labels: --label names another, a schema has "
                       "one of type label or target",
                       im->path, im->options->csv.label);
    if (im->columns->n_values == 0)
        return gr_fail(GR_ERROR_DATA,
                       "%s: has no column of features: identifiers, dates and text make none "
                       "unless a schema gives them a type",
                       im->path);
    im->shape =
        (struct gr_table_shape){.n_dims = 2,
                                .shape = {1, im->columns->n_values},
                                .element = GR_ELEMENT_FLOAT32,
                                .scale = 1.0f,
                                .targets = im->columns->target >= 0,
                                .terms = {im->columns->weight >= 0, im->columns->offset >= 0},
                                .group_bytes = im->columns->group >= 0};
    GR_TRY(gr_table_shape_check(im->path, &im->shape));
    im->shape.shape[0] = 0; /* grows */
    im->feature_rows = GR_WINDOW_BYTES / im->shape.row_bytes;
    if (im->feature_rows == 0) im->feature_rows = 1;
    if (im->feature_rows > CHUNK_ROWS) im->feature_rows = CHUNK_ROWS;
out:
    return status;
}

/* A table that is written must be readable: limits are checked before the rows are read. */
static gr_status make_text(struct csv_import *im) {
    struct gr_schema *again = NULL;
    gr_status status;
    GR_TRY(gr_schema_to_yaml(im->columns->schema, &im->text));
    if (strlen(im->text) > GR_CONFIG_FILE_MAX) {
        status = gr_fail(GR_ERROR_DATA,
                         "%s: names and categories of its %u columns make %zu bytes, expected at "
                         "most %d",
                         im->path, im->columns->schema->columns_count, strlen(im->text),
                         GR_CONFIG_FILE_MAX);
        goto out;
    }
    GR_TRY(gr_schema_parse("the columns", im->text, strlen(im->text), &again));
out:
    gr_schema_free(again);
    return status;
}

/* ---- rows ----------------------------------------------------------------------------------- */

static gr_status flush_terms(struct csv_import *im, size_t all) {
    struct gr_table_file *t = &im->file;
    gr_status status = GR_OK;
    for (size_t k = 0; k < GR_TERMS; k++) {
        if (!im->shape.terms[k]) continue;
        GR_TRY(gr_table_file_grow(t, t->terms[k], 1, 0, all));
        errno = 0;
        if (!gr_table_file_write(t->terms[k], NULL, 1, im->written, im->held, H5T_NATIVE_FLOAT,
                                 im->terms[k]))
            return gr_table_file_failed(t, "weights or offsets");
    }
out:
    return status;
}

/*
 * Appends the rows held to all datasets, which grow before the first is written.
 */
static gr_status flush_rows(struct csv_import *im) {
    struct gr_table_file *t = &im->file;
    const size_t n = im->held, all = im->written + n, width = im->shape.n_features;
    gr_status status;
    if (n == 0) return GR_OK;
    GR_TRY(gr_table_file_grow(t, t->features, 2, width, all));
    GR_TRY(gr_table_file_grow(t, t->labels, 1, 0, all));
    GR_TRY(flush_terms(im, all));
    if (im->shape.targets) GR_TRY(gr_table_file_grow(t, t->targets, 1, 0, all));
    if (im->group_of) GR_TRY(gr_table_file_grow(t, t->groups, 1, 0, all));
    errno = 0;
    if (!gr_table_file_write(t->features, im->shape.shape, 2, im->written, n, H5T_NATIVE_FLOAT,
                             im->features) ||
        !gr_table_file_write(t->labels, NULL, 1, im->written, n, H5T_NATIVE_INT32, im->labels) ||
        (im->shape.targets && !gr_table_file_write(t->targets, NULL, 1, im->written, n,
                                                   H5T_NATIVE_FLOAT, im->targets)) ||
        (im->group_of &&
         !gr_table_file_write(t->groups, NULL, 1, im->written, n, H5T_NATIVE_INT32, im->group_of)))
        return gr_table_file_failed(t, "rows");
    im->written = all;
    im->held = 0;
out:
    return status;
}

static void show(const struct csv_import *im, bool writes) {
    const struct gr_import_options *options = im->options;
    const struct gr_csv_scan *scan = &im->table.scan;
    size_t done = gr_csv_scan_done(scan), total = scan->file_size;
    if (!options->progress) return;
    if (im->table.open) { /* twice through */
        done += writes ? total : 0;
        total *= 2;
    }
    options->progress(options->context, done, total);
}

/* The present row, which is wanted, into the window. Features of the row lie in the window already:
 * gr_csv_table_next has written them there. */
static gr_status keep_row(struct csv_import *im) {
    const struct gr_csv_field *group = &im->table.group;
    uint32_t number = 0;
    gr_status status = GR_OK;
    im->labels[im->held] = im->table.label;
    im->targets[im->held] = im->table.target;
    for (size_t k = 0; k < GR_TERMS; k++)
        im->terms[k][im->held] = im->table.terms[k];
    if (im->group_of) {
        GR_TRY(gr_groups_find(&im->groups, group->text, group->length, &number));
        if (im->groups.bytes > GR_WINDOW_BYTES_MAX || number > INT32_MAX)
            return gr_fail(GR_ERROR_DATA,
                           "%s:%zu: names of groups of more than %zu MiB: is the column of type "
                           "text?",
                           im->path, im->table.scan.row_line, GR_WINDOW_BYTES_MAX >> 20);
        im->group_of[im->held] = (int32_t)number;
    }
    if (++im->held == im->feature_rows) status = flush_rows(im);
out:
    return status;
}

/*
 * All rows; those wanted are counted the first time through, and go into the file where `writes`.
 * Rows that are not wanted are read too: they are checked, and n_classes is of all rows, so that
 * two halves of a file have the same number of classes.
 */
static gr_status read_rows(struct csv_import *im, bool writes) {
    const bool counts = im->table.counting;
    bool more;
    gr_status status;
    for (im->row = 0;; im->row++) {
        const bool wanted = im->row >= im->first && im->row < im->last;
        im->table.counting = counts && wanted;
        GR_TRY(
            gr_csv_table_next(&im->table, im->features + im->held * im->shape.n_features, &more));
        if (!more) break;
        if ((uint32_t)im->table.label >= im->n_classes)
            im->n_classes = (uint32_t)im->table.label + 1;
        if (im->row % PROGRESS_ROWS == 0) show(im, writes);
        if (!writes || !wanted) continue;
        GR_TRY(keep_row(im));
    }
    status = GR_OK;
    if (im->row == 0)
        status =
            gr_fail(GR_ERROR_DATA, "%s: a header and no rows, expected at least one", im->path);
    else if (writes)
        status = flush_rows(im);
    show(im, writes);
out:
    return status;
}

/* The first time through, where what it finds is needed for the second. */
static gr_status find_categories(struct csv_import *im) {
    const struct gr_csv_scan *scan = &im->table.scan;
    size_t offset = scan->offset + scan->at, line = scan->line;
    gr_status status;
    if (!im->table.open) return GR_OK;
    GR_TRY(read_rows(im, false));
    GR_TRY(gr_csv_table_settle(&im->table, im->columns));
    GR_TRY(gr_csv_scan_seek(&im->table.scan, offset, line));
out:
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* Afterwards, because how many rows there are is known only then; the file has not been published
 * yet. */
static gr_status check_range(const struct csv_import *im) {
    const struct gr_import_options *o = im->options;
    if (im->row > im->first && (o->limit == 0 || im->row - im->first >= o->limit)) return GR_OK;
    return gr_fail(GR_ERROR_USAGE, "%s: rows %zu to %zu were asked for, it has rows 0 to %zu",
                   im->path, o->first, o->limit ? o->first + o->limit - 1 : o->first, im->row - 1);
}

static void say_line(const struct csv_import *im, const char *line) {
    if (im->options->say && line[0]) im->options->say(im->options->context, line);
}

/* Tells which parts of a file are no rows, and how it was taken apart. */
static void tell_form(const struct csv_import *im) {
    char line[GR_FORM_LINE];
    gr_csv_form_tell(&im->table.scan.form, line);
    say_line(im, line);
    if (im->table.absent != SIZE_MAX)
        say_line(im, "no column of groups: it can be no table to "
                     "partition by it");
}

static void add_words(char *line, size_t size, int64_t count, const char *what) {
    const size_t used = strlen(line);
    if (count > 0) snprintf(line + used, size - used, ", %lld %s", (long long)count, what);
}

/* Counts without a threshold: they are told to the person who imports the table. */
static void tell_column(const struct csv_import *im, size_t column) {
    const struct gr_column *c = &im->columns->schema->columns[column];
    const struct gr_found f = gr_csv_table_found(&im->table, column);
    char line[512], name[64];
    if (f.missing + f.outside + f.unknown + f.censored + f.lost + f.dropped == 0) return;
    gr_text_quote(c->name, strlen(c->name), name, sizeof name);
    snprintf(line, sizeof line,
             "%s: %lld missing, %lld outside of the range, %lld of no known category", name,
             (long long)f.missing, (long long)f.outside, (long long)f.unknown);
    add_words(line, sizeof line, f.censored, "censored at a bound");
    add_words(line, sizeof line, f.lost,
              "beyond the digits of float32 (`origin`, or of dates `since`, keeps them)");
    add_words(line, sizeof line, f.dropped, "rows left out without it");
    const size_t used = strlen(line);
    if (f.present == 0 && f.missing > 0)
        snprintf(line + used, sizeof line - used, ": no row has a value");
    say_line(im, line);
}

static void tell_found(const struct csv_import *im) {
    tell_form(im);
    for (size_t i = 0; i < im->columns->schema->columns_count; i++)
        tell_column(im, i);
}

/* For those who read the table, whose values do not show it any more. */
static gr_status write_findings(struct csv_import *im) {
    const size_t n = im->columns->schema->columns_count;
    int64_t *counts = NULL;
    bool any = false;
    gr_status status;
    GR_TRY(gr_allocate(n, GR_FINDINGS * sizeof *counts, "findings", &counts));
    for (size_t i = 0; i < n; i++) {
        const struct gr_found f = gr_csv_table_found(&im->table, i);
        const int64_t of_column[GR_FINDINGS] = {f.censored, f.lost, f.dropped};
        memcpy(counts + i * GR_FINDINGS, of_column, sizeof of_column);
        any = any || f.censored + f.lost + f.dropped > 0;
    }
    if (any) GR_TRY(gr_table_file_findings(&im->file, counts, n));
out:
    gr_free(counts);
    return status;
}

static gr_status write_groups(struct csv_import *im) {
    char *text = NULL, *at;
    gr_status status = GR_OK;
    if (!im->group_of || im->groups.n == 0) return GR_OK;
    GR_TRY(gr_allocate(im->groups.bytes, 1, "names of groups", &text));
    at = text;
    for (size_t i = 0; i < im->groups.n; i++)
        at = stpcpy(at, im->groups.names[i]) + 1;
    status = gr_table_file_text(&im->file, "group_names", text, im->groups.bytes);
out:
    gr_free(text);
    return status;
}

/* After the rows, when all groups and the largest label are known. */
static gr_status write_columns(struct csv_import *im) {
    const struct gr_columns *columns = im->columns;
    gr_status status;
    GR_TRY(gr_table_file_text(&im->file, "columns", im->text, strlen(im->text)));
    GR_TRY(write_groups(im));
    GR_TRY(write_findings(im));
    if (columns->label >= 0 && columns->schema->columns[columns->label].categories_count > 0)
        im->n_classes = columns->schema->columns[columns->label].categories_count;
    GR_TRY(gr_table_file_classes(&im->file, im->n_classes));
out:
    return status;
}

/* May be called twice in one process, hence everything that it made is set to NULL at its end. */
static gr_status import_once(struct csv_import *im, size_t limit) {
    bool misfit;
    gr_status status;
    im->written = im->held = 0;
    im->n_classes = 1;
    GR_TRY(find_columns(im, limit));
    status =
        gr_csv_table_open(im->path, &im->options->csv, im->columns, false, &im->table, &misfit);
    if (status == GR_ERROR_CONFIG)
        status = gr_fail_context(status, "%s: ", im->options->schema ? im->options->schema : "");
    GR_TRY(status);
    GR_TRY(gr_allocate(im->feature_rows, im->shape.row_bytes, "rows", &im->features));
    GR_TRY(gr_allocate(im->feature_rows, sizeof *im->labels, "labels", &im->labels));
    GR_TRY(gr_allocate(im->feature_rows, sizeof *im->targets, "targets", &im->targets));
    for (size_t k = 0; k < GR_TERMS; k++)
        GR_TRY(gr_allocate(im->feature_rows, sizeof *im->terms[k], "weights", &im->terms[k]));
    if (im->columns->group >= 0 && im->table.absent == SIZE_MAX)
        GR_TRY(gr_allocate(im->feature_rows, sizeof *im->group_of, "groups", &im->group_of));
    im->shape.group_bytes = im->group_of != NULL;
    GR_TRY(find_categories(im));
    GR_TRY(make_text(im));
    GR_TRY(gr_table_file_create(&im->file, &im->shape));
    GR_TRY(read_rows(im, true));
    GR_TRY(check_range(im));
    GR_TRY(write_columns(im));
    tell_found(im);
    status = gr_table_file_publish(&im->file);
out:
    im->refused = im->table.refused;
    gr_csv_table_close(&im->table);
    gr_columns_free(im->columns);
    im->columns = NULL;
    gr_free(im->text);
    gr_free(im->features);
    gr_free(im->labels);
    gr_free(im->targets);
    for (size_t k = 0; k < GR_TERMS; k++) {
        gr_free(im->terms[k]);
        im->terms[k] = NULL;
    }
    gr_free(im->group_of);
    gr_groups_release(&im->groups);
    im->text = NULL;
    im->group_of = NULL;
    im->features = im->targets = NULL;
    im->labels = NULL;
    return status;
}

/* In the child. */
static gr_status write_table(void *context) {
    struct csv_import *im = context;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    gr_status status = import_once(im, SAMPLE_ROWS);
    bool guessed = !im->options->schema || !im->options->schema[0];
    if (status != GR_ERROR_DATA || !guessed || !im->refused) return status;
    /* Perhaps later rows are of another kind than the first ones. */
    gr_table_file_abandon(&im->file);
    return import_once(im, 0);
}

gr_status gr_import_csv(const char *path, const struct gr_import_options *options,
                        const char *out_path) {
    struct csv_import im = {.path = path, .options = options, .first = options->first};
    im.last = options->limit ? options->first + options->limit : SIZE_MAX;
    im.file = gr_table_file_at(out_path);
    return gr_table_file_run(&im.file, write_table, &im);
}
