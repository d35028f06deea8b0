/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV tables, read twice: the first time through finds the number of rows, labels, targets and
 * groups, the categories of open columns, and where each window of rows begins; the second time
 * only the windows are read that hold a wanted row. In memory are 4 to 12 bytes a row, and one
 * window.
 */
#include "data/csv_table.h"
#include "data/groups.h"
#include "data/ids.h"
#include "data/reader.h"

#include <string.h>

enum { ROWS_AT_FIRST = 1024, GROUPS_BEYOND = 1000 };

/* Where a window begins. */
struct csv_place {
    size_t offset, line;
};

/* Arrays of a number a row grow together, by doubling. */
struct csv_state {
    struct gr_csv_table table;
    size_t n_rows, room;    /* rows read the first time, and room for them */
    int32_t *labels;        /* room; owned, like all below */
    float *targets;         /* room; NULL without targets */
    float *terms[GR_TERMS]; /* room; NULL without such a column */
    int32_t *group_of;      /* room; NULL where nobody asks for groups */
    struct gr_groups groups;
    struct csv_place *places; /* room / window_rows + 1 */
    size_t window_rows;
    float *window;
    size_t at; /* the row that comes next */
};

/* ---- groups --------------------------------------------------------------------------------- */

/* The test table's rows are not partitioned. */
static bool is_partitioned(const struct gr_reader *reader) {
    return reader->data->partition.method == GR_PARTITION_COLUMN &&
           reader->table == &reader->data->train;
}

static bool wants_groups(const struct gr_reader *reader) {
    return reader->columns->group >= 0 &&
           (is_partitioned(reader) || (reader->asks & GR_ASK_GROUPS));
}

/* A column that was meant for text, not for silos, is told before its values fill the memory. */
static gr_status find_group(const struct gr_reader *reader, struct csv_state *s, int32_t *number) {
    const size_t most = reader->data->silos + (size_t)GROUPS_BEYOND;
    uint32_t found;
    gr_status status;
    GR_TRY(gr_groups_find(&s->groups, s->table.group.text, s->table.group.length, &found));
    if (found >= most && is_partitioned(reader)) {
        status = gr_fail(GR_ERROR_CONFIG,
                         "data.silos: found %u, the column \"%s\" has more than %zu values (and "
                         "there is a silo for each)",
                         reader->data->silos, reader->data->partition.column, most);
        goto out;
    }
    *number = (int32_t)found;
out:
    return status;
}

/* ---- row ids -------------------------------------------------------------------------------- */

/* The longest, so that room for all can be laid out. */
static gr_status measure_id(struct gr_reader *reader, const struct gr_csv_table *t) {
    const char *text;
    size_t length;
    if (!reader->id) return GR_OK;
    gr_csv_trim(&t->scan.fields[reader->id_column], &text, &length);
    if (length > reader->id_longest) reader->id_longest = length;
    if (length <= GR_ID_BYTES_MAX) return GR_OK;
    return gr_fail(GR_ERROR_DATA,
                   "%s:%zu: column %zu: found %zu bytes, allowed an id of at most %d", t->scan.path,
                   t->scan.row_line, reader->id_column + 1, length, GR_ID_BYTES_MAX);
}

static gr_status add_id(const struct gr_reader *reader, const struct gr_csv_table *t) {
    const char *text;
    size_t length;
    gr_csv_trim(&t->scan.fields[reader->id_column], &text, &length);
    return gr_ids_add(reader->ids, text, length);
}

/* ---- the first time through ------------------------------------------------------------------ */

/* `array` is the address of any object pointer, as gr_allocate's `out`. The old array stays where
 * memory is refused. */
static gr_status grow(void *array, size_t used, size_t room, size_t size) {
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    gr_status status = gr_allocate(room, size, "rows of a CSV file", &grown);
    if (status != GR_OK) return status;
    if (used > 0) memcpy(grown, old, used * size);
    gr_free(old);
    memcpy(array, &grown, sizeof grown);
    return GR_OK;
}

/* After a failure some arrays have more room than others; `room` is that of the least, and the
 * reader is closed. */
static gr_status make_room(struct csv_state *s, bool targets, const bool terms[GR_TERMS],
                           bool groups) {
    size_t used = s->n_rows, room = s->room ? 2 * s->room : ROWS_AT_FIRST;
    gr_status status = GR_OK;
    if (used < s->room) return GR_OK;
    GR_TRY(grow(&s->labels, used, room, sizeof *s->labels));
    if (targets) GR_TRY(grow(&s->targets, used, room, sizeof *s->targets));
    for (size_t k = 0; k < GR_TERMS; k++)
        if (terms[k]) GR_TRY(grow(&s->terms[k], used, room, sizeof *s->terms[k]));
    if (groups) GR_TRY(grow(&s->group_of, used, room, sizeof *s->group_of));
    GR_TRY(grow(&s->places, (used + s->window_rows - 1) / s->window_rows, room / s->window_rows + 2,
                sizeof *s->places));
    s->room = room;
out:
    return status;
}

/* As many rows of the common table as the config takes: what comes after is not looked at. */
static size_t limit_of(const struct gr_reader *reader) {
    const struct gr_data_config *data = reader->data;
    return reader->table == &data->train && data->limit > 0 ? data->limit : SIZE_MAX;
}

/*
 * Reads the whole file once and keeps only labels, targets, terms and groups, a few bytes a row;
 * features go by in a window. The place of each window's first row is noted, so that any window can
 * be read again.
 */
static gr_status read_through(struct gr_reader *reader, struct csv_state *s) {
    struct gr_csv_table *t = &s->table;
    const size_t limit = limit_of(reader);
    bool targets = reader->columns->target >= 0, more;
    const bool *terms = reader->shape.terms;
    bool groups = wants_groups(reader);
    gr_status status = GR_OK;
    while (s->n_rows < limit) {
        GR_TRY(make_room(s, targets, terms, groups));
        GR_TRY(gr_csv_table_next(t, s->window, &more));
        if (!more) break;
        GR_TRY(measure_id(reader, t));
        if (s->n_rows == UINT32_MAX) {
            status = gr_fail(GR_ERROR_DATA, "%s: more than %u rows", t->scan.path, UINT32_MAX);
            goto out;
        }
        if (s->n_rows % s->window_rows == 0)
            s->places[s->n_rows / s->window_rows] =
                (struct csv_place){t->scan.row_offset, t->scan.row_line};
        s->labels[s->n_rows] = t->label;
        if (targets) s->targets[s->n_rows] = t->target;
        for (size_t k = 0; k < GR_TERMS; k++)
            if (terms[k]) s->terms[k][s->n_rows] = t->terms[k];
        if (groups) GR_TRY(find_group(reader, s, &s->group_of[s->n_rows]));
        s->n_rows++;
    }
    s->at = s->n_rows;
    reader->shape.group_bytes = s->groups.bytes;
    if (s->n_rows == 0 && !t->drops)
        status =
            gr_fail(GR_ERROR_DATA, "%s: a header and no rows, expected at least one", t->scan.path);
out:
    return status;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Columns as they seem to be, as other rows and silos are to see them too. */
static gr_status guess(struct gr_reader *reader, struct gr_schema **schema) {
    const struct gr_data_config *config = reader->data;
    const char *path = reader->table->file;
    const bool by_column = config->partition.method == GR_PARTITION_COLUMN;
    const struct gr_infer_options options = {.paths = &path,
                                             .n_paths = 1,
                                             .csv = &config->csv,
                                             .group = by_column ? config->partition.column : "",
                                             .threshold = config->disclosure_threshold,
                                             .federated = true,
                                             .names_told = config->silo_tables_count == 0};
    struct gr_inference *inference = NULL;
    gr_status status;
    GR_TRY(gr_csv_infer(&options, &inference));
    GR_TRY(gr_inference_tell(inference, &reader->guessed));
    *schema = inference->schema;
    inference->schema = NULL;
out:
    gr_inference_free(inference);
    return status;
}

/* Columns as the schema says, or as they seem to be. */
static gr_status find_columns(struct gr_reader *reader) {
    const struct gr_data_config *config = reader->data;
    const char *path = reader->table->file;
    struct gr_schema *schema = NULL;
    gr_status status;
    if (reader->preprocessing) {
        GR_TRY(
            gr_csv_expect(path, &config->csv, reader->preprocessing, !reader->unlabelled, &schema));
    } else if (config->schema && config->schema[0]) {
        GR_TRY(gr_csv_schema_load(config->schema, &schema));
    } else {
        GR_TRY(guess(reader, &schema));
    }
    GR_TRY(gr_columns_create(schema, &reader->columns));
    if (reader->columns->label < 0 && reader->columns->target < 0 && !reader->preprocessing)
        status = gr_fail(GR_ERROR_DATA,
                         "%s: has no column \"%s\" of labels: data.csv.label names another, "
                         "data.schema has one of type label or target",
                         path, config->csv.label);
    else if (reader->columns->n_values == 0)
        status = gr_fail(GR_ERROR_DATA,
                         "%s: has no column of features: identifiers, dates and text make none "
                         "unless data.schema gives them a type",
                         path);
out:
    return status;
}

/* A window is as many whole rows as fit GR_WINDOW_BYTES, and one where a row is larger. */
static gr_status set_shape(struct gr_reader *reader, struct csv_state *s) {
    const struct gr_columns *columns = reader->columns;
    struct gr_table_shape *shape = &reader->shape;
    gr_status status;
    shape->n_dims = 2;
    shape->shape[0] = 1; /* until the rows have been counted */
    shape->shape[1] = columns->n_values;
    shape->element = GR_ELEMENT_FLOAT32;
    shape->scale = 1.0f;
    shape->targets = columns->target >= 0;
    shape->terms[GR_TERM_WEIGHT] = columns->weight >= 0;
    shape->terms[GR_TERM_OFFSET] = columns->offset >= 0;
    shape->n_classes =
        columns->label < 0 ? 1 : columns->schema->columns[columns->label].categories_count;
    GR_TRY(gr_table_shape_check(reader->table->file, shape));
    shape->window_rows = GR_WINDOW_BYTES / shape->row_bytes;
    if (shape->window_rows == 0) shape->window_rows = 1;
    s->window_rows = shape->window_rows;
    status = gr_allocate(s->window_rows, shape->row_bytes, "a window", &s->window);
out:
    return status;
}

/* Also of a reader that was opened in part. */
static void csv_close(struct gr_reader *reader) {
    struct csv_state *s = reader->state;
    if (!s) return;
    gr_csv_table_close(&s->table);
    gr_groups_release(&s->groups);
    gr_free(s->group_of);
    gr_free(s->labels);
    gr_free(s->targets);
    for (size_t k = 0; k < GR_TERMS; k++)
        gr_free(s->terms[k]);
    gr_free(s->places);
    gr_free(s->window);
    gr_free(s);
    reader->state = NULL;
}

static void tell_form(const struct gr_csv_form *form, struct gr_passed_over *out) {
    *out = (struct gr_passed_over){form->sep_line, form->n_comments > 0, form->row_names,
                                   form->n_empty > 0};
}

/* A table of CSV knows its columns, and how many rows it has, only when it has been read through.
 * The reader's parts are set only on success; after a failure it is as before. */
static gr_status csv_open(struct gr_reader *reader) {
    struct csv_state *s = NULL;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *s, "a CSV reader", &s));
    reader->state = s;
    GR_TRY(find_columns(reader));
    if (reader->id)
        GR_TRY(gr_ids_find(reader->columns->schema, reader->table->file, reader->id,
                           &reader->id_column));
    GR_TRY(set_shape(reader, s));
    status = gr_csv_table_open(reader->table->file, &reader->data->csv, reader->columns,
                               wants_groups(reader), &s->table, &reader->misfit);
    if (status == GR_ERROR_CONFIG) status = gr_fail_context(status, "%s: ", reader->data->schema);
    GR_TRY(status);
    s->table.drops = (reader->asks & GR_ASK_DROPS) != 0;
    GR_TRY(read_through(reader, s));
    reader->n_dropped = s->table.n_dropped;
    reader->first_dropped = s->table.first_dropped;
    s->table.first_dropped = NULL;
    GR_TRY(gr_csv_table_settle(&s->table, reader->columns));
    tell_form(&s->table.scan.form, &reader->passed_over);
    reader->shape.shape[0] = s->n_rows;
    if (s->n_rows > 0) GR_TRY(gr_table_shape_check(reader->table->file, &reader->shape));
    unsigned n = reader->columns->schema->columns_count;
    GR_TRY(gr_allocate_zero(n, sizeof *reader->found, "findings", &reader->found));
    for (unsigned i = 0; i < n; i++)
        reader->found[i] = gr_csv_table_found(&s->table, i);
out:
    if (status != GR_OK) {
        csv_close(reader);
        gr_columns_free(reader->columns);
        gr_free(reader->found);
        gr_free(reader->guessed);
        gr_free(reader->first_dropped);
        reader->guessed = reader->first_dropped = NULL;
        reader->columns = NULL;
        reader->found = NULL;
    }
    return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

/* From memory: labels were kept when the file was read through. */
static gr_status csv_labels(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    const struct csv_state *s = reader->state;
    memcpy(out, s->labels + first, n * sizeof *out);
    return GR_OK;
}

static gr_status csv_targets(struct gr_reader *reader, size_t first, size_t n, float *out) {
    const struct csv_state *s = reader->state;
    memcpy(out, s->targets + first, n * sizeof *out);
    return GR_OK;
}

static gr_status csv_terms(struct gr_reader *reader, enum gr_term term, size_t first, size_t n,
                           float *out) {
    const struct csv_state *s = reader->state;
    memcpy(out, s->terms[term] + first, n * sizeof *out);
    return GR_OK;
}

/*
 * Rows in ascending order go on from where the scan stands; only a step back, or into a later
 * window, seeks. Rows of a window are overwritten by the next call. A row that was left out the
 * first time is left out again, by the same rules, so that numbers of rows agree.
 */
static gr_status csv_rows(struct gr_reader *reader, size_t first, size_t n, const void **block) {
    struct csv_state *s = reader->state;
    const size_t width = reader->shape.n_features, window = first / s->window_rows;
    bool more;
    gr_status status = GR_OK;
    if (s->at > first || s->at < window * s->window_rows) {
        GR_TRY(gr_csv_scan_seek(&s->table.scan, s->places[window].offset, s->places[window].line));
        s->at = window * s->window_rows;
    }
    for (; s->at < first + n; s->at++) {
        float *to = s->window + (s->at > first ? s->at - first : 0) * width;
        GR_TRY(gr_csv_table_next(&s->table, to, &more));
        if (!more)
            return gr_fail(GR_ERROR_DATA, "%s: became shorter while read", reader->table->file);
        if (reader->ids && s->at >= first) GR_TRY(add_id(reader, &s->table));
    }
    *block = s->window;
out:
    return status;
}

/* For a message: the window is read anew up to the row. */
static gr_status csv_line(struct gr_reader *reader, size_t row, size_t *line) {
    struct csv_state *s = reader->state;
    const void *block;
    s->at = SIZE_MAX;
    gr_status status = csv_rows(reader, row, 1, &block);
    *line = s->table.scan.row_line;
    return status;
}

static gr_status csv_groups(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    const struct csv_state *s = reader->state;
    memcpy(out, s->group_of + first, n * sizeof *out);
    return GR_OK;
}

/* `out` has room for group_bytes, which the shape says. */
static gr_status csv_group_names(struct gr_reader *reader, char *out) {
    const struct csv_state *s = reader->state;
    for (size_t i = 0; i < s->groups.n; i++)
        out = stpcpy(out, s->groups.names[i]) + 1;
    return GR_OK;
}

const struct gr_reader_operations gr_csv_operations = {
    .open = csv_open,
    .labels = csv_labels,
    .rows = csv_rows,
    .close = csv_close,
    .targets = csv_targets,
    .terms = csv_terms,
    .line = csv_line,
    .groups = csv_groups,
    .group_names = csv_group_names,
};
