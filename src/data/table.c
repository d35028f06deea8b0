/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table read by ranges of rows, in constant memory, for scoring a model. Answers are read whole,
 * features a range at a time, in ascending order. Rows of a run's silos are load.c's: they stay in
 * memory.
 */
#include "data/ids.h"
#include "data/preprocess.h"
#include "data/reader.h"
#include "data/rows.h"

#include <math.h>
#include <string.h>

/*
 * Static texts without const, because the config's members are char *; nobody frees or writes them.
 */
struct gr_data_config gr_table_defaults(enum gr_data_source source) {
    static char none[] = "", label[] = "label";
    return (struct gr_data_config){.source = source,
                                   .schema = none,
                                   .csv = {.header = true, .label = label},
                                   .partition = {.column = none}};
}

struct gr_table {
    struct gr_table_config config; /* texts owned */
    struct gr_data_config defaults;
    const struct gr_preprocessing *preprocessing; /* borrowed; NULL: rows are as read */
    struct gr_binding binding;
    struct gr_found *found; /* of each column of the model; owned; NULL: it has none */
    bool found_whole;       /* of all rows, as the file was opened */
    const char *id;         /* borrowed; NULL: none is asked for */
    struct gr_id_source id_source;
    struct gr_ids ids; /* of the rows last read */
    float *read;       /* room for `room` rows as read; owned; NULL without preprocessing */
    struct gr_reader reader;
    int32_t *labels;        /* of all rows; owned; NULL: not read */
    float *targets;         /* of all rows; owned; NULL: not read, or there are none */
    float *terms[GR_TERMS]; /* likewise, but offsets are always read */
    int weight_exponent;
    size_t lost_weights;
    uint32_t n_classes;
    size_t next;         /* rows are read in ascending order */
    struct gr_rows rows; /* those last read; features' room is for `room` rows */
    size_t room;
    int32_t *no_labels; /* `room` zeros, where there are none */
    struct gr_pick *picks;
};

/* The caller's texts may go before the table does. */
static gr_status copy_config(const struct gr_table_config *from, struct gr_table_config *to) {
    gr_status status = GR_OK;
    GR_TRY(gr_text_format(&to->features, "%s", from->features ? from->features : ""));
    GR_TRY(gr_text_format(&to->labels, "%s", from->labels ? from->labels : ""));
    GR_TRY(gr_text_format(&to->file, "%s", from->file ? from->file : ""));
out:
    return status;
}

static gr_status refuse_unlabelled(const char *path, const struct gr_columns *model) {
    const int wanted = model->label >= 0 ? model->label : model->target;
    const char *text = wanted >= 0 ? model->schema->columns[wanted].name : "label";
    char name[64];
    gr_text_quote(text, strlen(text), name, sizeof name);
    return gr_fail(GR_ERROR_DATA, "%s: has no column \"%s\", by which the model is judged", path,
                   name);
}

/* Checks that labels stand for the same classes as in the model. Of numbers to be predicted, and
 * whether the model does that, others judge. */
static gr_status check_labels(const struct gr_table *t, const struct gr_columns *model) {
    const struct gr_columns *own = t->reader.columns;
    const char *path = gr_reader_features_path(&t->reader);
    if (!model || !own) return GR_OK;
    if (own->label < 0 && own->target < 0) return refuse_unlabelled(path, model);
    if (own->label < 0) return GR_OK;
    const struct gr_column *a = &own->schema->columns[own->label];
    const struct gr_column *b = model->label < 0 ? NULL : &model->schema->columns[model->label];
    bool same = a->categories_count == (b ? b->categories_count : 0);
    for (unsigned i = 0; b && same && i < a->categories_count; i++)
        same = strcmp(a->categories[i], b->categories[i]) == 0;
    return same ? GR_OK
                : gr_fail(GR_ERROR_DATA, "%s: column %d: its labels are not those of the model",
                          path, own->label + 1);
}

static gr_status bind(struct gr_table *t, bool labelled) {
    const struct gr_preprocessing *p = t->preprocessing;
    const struct gr_table_shape *shape = &t->reader.shape;
    const char *path = gr_reader_features_path(&t->reader);
    gr_status status;
    if (!p || !gr_preprocessing_columns(p)) {
        /* Nobody knows what becomes of values that are missing. */
        gr_free(t->reader.may_lack);
        t->reader.may_lack = NULL;
    }
    if (!p) return GR_OK;
    GR_TRY(gr_preprocess_check(path, shape->element, shape->scale));
    GR_TRY(gr_binding_create(p, t->reader.columns, shape->n_features, path, &t->binding));
    if (labelled) status = check_labels(t, gr_preprocessing_columns(p));
out:
    return status;
}

/* Scaled by the largest weight of the whole table, which every process reads, so that all of them
 * have one exponent. */
static gr_status read_weights(struct gr_table *t) {
    struct gr_rows rows = {.n_rows = gr_table_n_rows(t)};
    gr_status status =
        gr_reader_terms(&t->reader, GR_TERM_WEIGHT, rows.n_rows, &t->terms[GR_TERM_WEIGHT]);
    if (status != GR_OK || !t->terms[GR_TERM_WEIGHT]) return status;
    rows.weights = t->terms[GR_TERM_WEIGHT];
    t->weight_exponent = gr_rows_weight_exponent(&rows);
    t->lost_weights = gr_rows_scale_weights(&rows, t->weight_exponent);
    return GR_OK;
}

/* A CSV file was looked at cell by cell as it was opened; of an HDF5 table the values are, as they
 * are read. */
static gr_status start_findings(struct gr_table *t) {
    const struct gr_columns *model =
        t->preprocessing ? gr_preprocessing_columns(t->preprocessing) : NULL;
    const struct gr_columns *own = t->reader.columns;
    gr_status status;
    if (!model || !own) return GR_OK;
    GR_TRY(gr_allocate_zero(model->schema->columns_count, sizeof *t->found, "findings", &t->found));
    t->found_whole = t->reader.found != NULL;
    for (unsigned i = 0; t->found_whole && i < model->schema->columns_count; i++) {
        const struct gr_column *c = gr_column_find(own->schema, model->schema->columns[i].name, i);
        if (c) t->found[i] = t->reader.found[c - own->schema->columns];
    }
out:
    return status;
}

/* A CSV reader hands out ids as it reads rows, an HDF5 table keeps some of them in its values. */
static gr_status start_ids(struct gr_table *t) {
    t->id = t->reader.id;
    if (!t->id) return GR_OK;
    if (t->reader.operations == &gr_csv_operations) {
        t->reader.ids = &t->ids;
        return GR_OK;
    }
    return gr_id_source_open(&t->reader, t->id, gr_table_n_rows(t), &t->id_source);
}

/* Answers are held against the model's loss before the first row is scored, so that a wrong table
 * costs no pass over it. */
gr_status gr_table_open(const struct gr_table_config *config,
                        const struct gr_table_options *options, struct gr_table **out) {
    const bool labelled = options->labelled;
    gr_status status = GR_OK;
    struct gr_table *t = NULL;
    *out = NULL;
    if (options->source == GR_SOURCE_CSV && !options->preprocessing)
        return gr_fail(GR_ERROR_DATA, "%s: the model knows no columns, allowed an HDF5 table",
                       config->file);
    GR_TRY(gr_allocate_zero(1, sizeof *t, "a table", &t));
    GR_TRY(copy_config(config, &t->config));
    t->defaults = gr_table_defaults(options->source);
    if (options->source == GR_SOURCE_CSV) t->defaults.csv = options->csv;
    t->preprocessing = options->preprocessing;
    GR_TRY(gr_reader_open_for(&t->defaults, &t->config, t->preprocessing, labelled, options->id,
                              &t->reader));
    GR_TRY(bind(t, labelled));
    GR_TRY(start_findings(t));
    GR_TRY(start_ids(t));
    if (labelled) {
        GR_TRY(gr_reader_labels(&t->reader, gr_table_n_rows(t), &t->labels, &t->n_classes));
        GR_TRY(gr_reader_targets(&t->reader, gr_table_n_rows(t), &t->targets));
        GR_TRY(read_weights(t));
        GR_TRY(gr_reader_check(&t->reader, &options->domain, gr_table_n_rows(t), t->labels,
                               t->targets));
    }
    GR_TRY(
        gr_reader_terms(&t->reader, GR_TERM_OFFSET, gr_table_n_rows(t), &t->terms[GR_TERM_OFFSET]));
    *out = t;
    t = NULL;
out:
    gr_table_close(t);
    return status;
}

void gr_table_close(struct gr_table *t) {
    if (!t) return;
    gr_reader_close(&t->reader);
    gr_binding_release(&t->binding);
    gr_id_source_release(&t->id_source);
    gr_ids_release(&t->ids);
    gr_free(t->found);
    gr_free(t->read);
    gr_free(t->rows.features);
    gr_free(t->no_labels);
    gr_free(t->picks);
    gr_free(t->labels);
    gr_free(t->targets);
    for (size_t k = 0; k < GR_TERMS; k++)
        gr_free(t->terms[k]);
    gr_free(t->config.features);
    gr_free(t->config.labels);
    gr_free(t->config.file);
    gr_free(t);
}

size_t gr_table_n_rows(const struct gr_table *t) {
    return t->reader.shape.shape[0];
}

size_t gr_table_n_features(const struct gr_table *t) {
    return t->preprocessing ? gr_preprocessing_features(t->preprocessing)
                            : t->reader.shape.n_features;
}

const int32_t *gr_table_labels(const struct gr_table *t) {
    return t->labels;
}

bool gr_table_has_weights(const struct gr_table *t) {
    return t->terms[GR_TERM_WEIGHT] != NULL;
}

bool gr_table_has_offsets(const struct gr_table *t) {
    return t->terms[GR_TERM_OFFSET] != NULL;
}

int gr_table_weight_exponent(const struct gr_table *t) {
    return t->weight_exponent;
}

size_t gr_table_lost_weights(const struct gr_table *t) {
    return t->lost_weights;
}

const struct gr_ids *gr_table_ids(const struct gr_table *t) {
    return t->id ? &t->ids : NULL;
}

size_t gr_table_id_bytes(const struct gr_table *t) {
    return t->id_source.column ? t->id_source.longest : t->reader.id_longest;
}

const struct gr_found *gr_table_found(const struct gr_table *t, bool *whole) {
    *whole = t->found_whole;
    return t->found;
}

const struct gr_columns *gr_table_columns(const struct gr_table *t) {
    return t->reader.columns;
}

/*
 * After a failure there is no room: all pointers are NULL or owned by the table, which is closed.
 */
static gr_status make_room(struct gr_table *t, size_t n) {
    const size_t bytes = t->reader.shape.row_bytes;
    gr_status status = GR_OK;
    if (n <= t->room) return GR_OK;
    gr_free(t->rows.features);
    gr_free(t->no_labels);
    gr_free(t->picks);
    gr_free(t->read);
    t->rows.features = t->no_labels = NULL;
    t->read = NULL;
    t->picks = NULL;
    t->room = 0;
    if (t->preprocessing) GR_TRY(gr_allocate(n, bytes, "rows", &t->read));
    GR_TRY(gr_allocate(n, t->preprocessing ? gr_table_n_features(t) * sizeof(float) : bytes, "rows",
                       &t->rows.features));
    GR_TRY(gr_allocate(n, sizeof *t->picks, "a reading plan", &t->picks));
    GR_TRY(gr_allocate_zero(n, sizeof *t->no_labels, "labels", &t->no_labels));
    t->room = n;
out:
    return status;
}

/* One row's values, as read, held against the model's columns. */
static void count_row(struct gr_table *t, const float *row) {
    const struct gr_columns *model = gr_preprocessing_columns(t->preprocessing);
    for (size_t v = 0; v < t->binding.n; v++) {
        const struct gr_binding_value *value = &t->binding.value[v];
        const uint32_t column = model->column_of[v];
        if (value->from == SIZE_MAX) continue; /* for slices alone, and not there */
        float x = row[value->from];
        /* Its own code for a category to the model's. */
        if (value->code)
            x = x >= 0 && x < (float)value->n_codes ? (float)value->code[(uint32_t)x]
                : isnan(x)                          ? x
                                                    : -1;
        /* The categories of all silos are there: what is none of them is unknown. */
        struct gr_column c = model->schema->columns[column];
        c.open = false;
        gr_found_count(&c, x, &t->found[column]);
    }
}

static gr_status note_rows(struct gr_table *t, size_t first, size_t n, const void *rows) {
    const size_t width = t->reader.shape.n_features;
    const float *row = rows;
    gr_status status = GR_OK;
    const bool counts = t->found && !t->found_whole, names = t->id_source.column != NULL;
    for (size_t i = 0; (counts || names) && i < n; i++, row += width) {
        if (counts) count_row(t, row);
        if (names) GR_TRY(gr_id_source_add(&t->id_source, first + i, row, &t->ids));
    }
out:
    return status;
}

/* Rows as read to rows of features. */
static void preprocess(struct gr_table *t, size_t n) {
    const size_t from = t->reader.shape.n_features, to = gr_table_n_features(t);
    for (size_t i = 0; t->preprocessing && i < n; i++)
        gr_binding_apply(t->preprocessing, &t->binding, t->read + i * from,
                         (float *)t->rows.features + i * to);
}

/* Ranges ascend: a zipped or CSV table cannot go back without beginning anew. */
gr_status gr_table_read(struct gr_table *t, size_t first, size_t n, const struct gr_rows **out) {
    const struct gr_table_shape *shape = &t->reader.shape;
    gr_status status = GR_OK;
    if (first < t->next || n > shape->shape[0] - first)
        return gr_fail(GR_ERROR_INTERNAL, "rows %zu to %zu cannot be read after row %zu", first,
                       first + n, t->next);
    GR_TRY(make_room(t, n));
    char *to = t->preprocessing ? (char *)t->read : t->rows.features;
    for (size_t i = 0; i < n; i++)
        t->picks[i] = (struct gr_pick){(uint32_t)(first + i), to + i * shape->row_bytes};
    gr_ids_clear(&t->ids);
    GR_TRY(gr_reader_rows(&t->reader, t->picks, n));
    GR_TRY(note_rows(t, first, n, to));
    preprocess(t, n);
    t->next = first + n;
    t->rows.n_rows = n;
    t->rows.n_features = gr_table_n_features(t);
    t->rows.element = shape->element;
    t->rows.scale = shape->scale;
    t->rows.labels = t->labels ? t->labels + first : t->no_labels;
    t->rows.targets = t->targets ? t->targets + first : NULL;
    t->rows.weights = t->terms[GR_TERM_WEIGHT] ? t->terms[GR_TERM_WEIGHT] + first : NULL;
    t->rows.offsets = t->terms[GR_TERM_OFFSET] ? t->terms[GR_TERM_OFFSET] + first : NULL;
    *out = &t->rows;
out:
    return status;
}

gr_status gr_table_summarise(const struct gr_table_config *table, enum gr_data_source source,
                             struct gr_table_summary *out) {
    const struct gr_data_config config = gr_table_defaults(source);
    return gr_data_summarise(&config, table, out);
}

/* In constant memory: labels are read for their largest and forgotten. */
gr_status gr_data_summarise(const struct gr_data_config *config,
                            const struct gr_table_config *table, struct gr_table_summary *out) {
    struct gr_reader reader = {0};
    gr_status status;
    *out = (struct gr_table_summary){0};
    GR_TRY(gr_reader_open(config, table, 0, &reader));
    GR_TRY(gr_reader_classes(&reader, reader.shape.shape[0], &out->n_classes));
    out->n_rows = reader.shape.shape[0];
    out->n_dims = reader.shape.n_dims;
    memcpy(out->shape, reader.shape.shape, sizeof out->shape);
    out->element = reader.shape.element;
out:
    gr_reader_close(&reader);
    return status;
}
