/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that all readers share: limits, checks of labels and features, the choice of rows. */
#include "data/reader.h"

#include "data/preprocess.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A relative path may be of a config, and of the folder of a site's file: the whole tells where it
 * was looked for. */
static gr_status refuse_open(const char *path) {
    const int error = errno;
    char *whole = NULL;
    if (error == ENOENT && path[0] != '/' && gr_path_absolute(path, &whole) != GR_OK) whole = NULL;
    const gr_status status =
        gr_fail(GR_ERROR_DATA, "%s: cannot be opened: %s%s%s", path, strerror(error),
                whole ? "; it was looked for as " : "", whole ? whole : "");
    gr_free(whole);
    return status;
}

gr_status gr_open_regular(const char *path, int *fd, size_t *size) {
    struct stat info;
    *fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0) return refuse_open(path);
    if (fstat(*fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(*fd);
        return gr_fail(GR_ERROR_DATA, "%s: not a regular file", path);
    }
    *size = (size_t)info.st_size;
    return GR_OK;
}

const char *gr_reader_features_path(const struct gr_reader *reader) {
    const struct gr_table_config *table = reader->table;
    return reader->operations == &gr_idx_operations ? table->features : table->file;
}

/* IDX has two files; all other formats one. */
const char *gr_reader_labels_path(const struct gr_reader *reader) {
    const struct gr_table_config *table = reader->table;
    return reader->operations == &gr_idx_operations ? table->labels : table->file;
}

/* Sizes are a file's own word: each product is checked, and a row is bounded, before anybody
 * allocates by them. */
gr_status gr_table_shape_check(const char *path, struct gr_table_shape *shape) {
    size_t features = 1, size = shape->element == GR_ELEMENT_UINT8 ? 1 : sizeof(float), total;
    if (shape->n_dims < 2 || shape->n_dims > GR_TENSOR_DIMS_MAX)
        return gr_fail(GR_ERROR_DATA, "%s: features have %zu dimensions, expected 2 to %d", path,
                       shape->n_dims, GR_TENSOR_DIMS_MAX);
    for (size_t i = 0; i < shape->n_dims; i++)
        if (shape->shape[i] == 0)
            return gr_fail(GR_ERROR_DATA, "%s: dimension %zu of the features is 0", path, i);
    for (size_t i = 1; i < shape->n_dims; i++)
        if (__builtin_mul_overflow(features, shape->shape[i], &features) ||
            features > GR_WINDOW_BYTES_MAX / size)
            return gr_fail(GR_ERROR_DATA, "%s: a row is larger than %zu MiB", path,
                           GR_WINDOW_BYTES_MAX >> 20);
    if (shape->shape[0] > UINT32_MAX)
        return gr_fail(GR_ERROR_DATA, "%s: %zu rows, expected at most %u", path, shape->shape[0],
                       UINT32_MAX);
    shape->n_features = features;
    shape->row_bytes = features * size;
    if (__builtin_mul_overflow(shape->shape[0], shape->row_bytes, &total))
        return gr_fail(GR_ERROR_DATA, "%s: %zu rows of %zu bytes are too many", path,
                       shape->shape[0], shape->row_bytes);
    return GR_OK;
}

/* ---- columns -------------------------------------------------------------------------------- */

/* A table's own rules of preprocessing do not count where a contract or model has some. A column of
 * another type is left as it is: the check afterwards tells of it. */
static gr_status adopt(const struct gr_schema *from, struct gr_schema *to) {
    gr_status status = GR_OK;
    for (unsigned i = 0; from && i < to->columns_count; i++) {
        struct gr_column *c = &to->columns[i];
        const struct gr_column *wanted = gr_column_find(from, c->name, i);
        if (!wanted || wanted->type != c->type) continue;
        c->missing = wanted->missing;
        c->encode = wanted->encode;
        c->scale = wanted->scale;
        gr_free(c->range);
        c->range = NULL;
        c->range_count = 0;
        if (wanted->range_count != 2) continue;
        GR_TRY(gr_allocate(2, sizeof *c->range, "a range", &c->range));
        memcpy(c->range, wanted->range, 2 * sizeof *c->range);
        c->range_count = 2;
    }
out:
    return status;
}

/* Of an HDF5 table's values: NaN is allowed where the column's policy says what becomes of it. */
static gr_status find_gaps(struct gr_reader *reader) {
    const struct gr_columns *columns = reader->columns;
    gr_status status;
    GR_TRY(gr_allocate(columns->n_values, 1, "columns", &reader->may_lack));
    for (size_t v = 0; v < columns->n_values; v++)
        reader->may_lack[v] = gr_column_may_lack(&columns->schema->columns[columns->column_of[v]]);
out:
    return status;
}

static gr_status read_findings(struct gr_reader *reader) {
    const size_t n = reader->shape.n_findings;
    int64_t *counts = NULL;
    gr_status status;
    if (n == 0 || n != reader->columns->schema->columns_count) return GR_OK;
    GR_TRY(gr_allocate(n, GR_FINDINGS * sizeof *counts, "findings", &counts));
    GR_TRY(reader->operations->findings(reader, counts));
    GR_TRY(gr_allocate_zero(n, sizeof *reader->imported, "findings", &reader->imported));
    for (size_t i = 0; i < n; i++) {
        const int64_t *c = counts + i * GR_FINDINGS;
        /* The file may be anybody's: a sum over silos must stay one. */
        if (c[0] < 0 || c[1] < 0 || c[2] < 0 || c[0] > UINT32_MAX || c[1] > UINT32_MAX ||
            c[2] > UINT32_MAX)
            continue;
        reader->imported[i] = (struct gr_found){.censored = c[0], .lost = c[1], .dropped = c[2]};
    }
out:
    gr_free(counts);
    return status;
}

/* The text that an HDF5 table carries along. */
static gr_status read_columns(struct gr_reader *reader, const struct gr_schema *wanted) {
    const char *path = gr_reader_features_path(reader);
    struct gr_schema *schema = NULL;
    char name[256], quoted[200];
    gr_text_quote(path, strlen(path), quoted, sizeof quoted);
    snprintf(name, sizeof name, "%s: /columns", quoted);
    gr_status status = reader->operations->columns(reader);
    if (status == GR_OK)
        status = gr_schema_parse(name, reader->window, reader->shape.column_bytes, &schema);
    if (status == GR_ERROR_CONFIG) status = gr_fail(GR_ERROR_DATA, "%s", gr_message());
    if (status != GR_OK || !schema) return status;
    status = adopt(wanted, schema);
    if (status != GR_OK) {
        gr_schema_free(schema);
        return status;
    }
    status = gr_columns_create(schema, &reader->columns);
    if (status != GR_OK) return gr_fail_context(status, "%s: ", name);
    if (reader->columns->n_values != reader->shape.n_features)
        status = gr_fail(GR_ERROR_DATA,
                         "%s make %zu values in a row, found %zu; a table of an earlier version is "
                         "to be imported again",
                         name, reader->columns->n_values, reader->shape.n_features);
    else if ((!reader->unlabelled &&
              (reader->columns->weight >= 0) != reader->shape.terms[GR_TERM_WEIGHT]) ||
             (reader->columns->offset >= 0) != reader->shape.terms[GR_TERM_OFFSET])
        status =
            gr_fail(GR_ERROR_DATA,
                    "%s and the datasets /weights and /offsets do not speak of the same", name);
    else
        status = find_gaps(reader);
    return status == GR_OK ? read_findings(reader) : status;
}

/* Against the schema of the config. A CSV file has been read by it. */
static gr_status check_columns(struct gr_reader *reader, const struct gr_schema *schema) {
    const char *path = gr_reader_features_path(reader);
    char difference[GR_DIFFERENCE_BYTES] = "it has no /columns; import it with --schema";
    if (!schema || (reader->columns &&
                    gr_columns_fit(reader->columns->schema, schema, difference, sizeof difference)))
        return GR_OK;
    reader->misfit = true;
    return gr_fail(GR_ERROR_DATA, "%s: %s, by data.schema", path, difference);
}

/* The schema of a CSV file was applied as the file was opened. */
static gr_status find_columns(struct gr_reader *reader) {
    const struct gr_data_config *config = reader->data;
    const struct gr_columns *model =
        reader->preprocessing ? gr_preprocessing_columns(reader->preprocessing) : NULL;
    struct gr_schema *schema = NULL;
    gr_status status = GR_OK;
    if (config->source == GR_SOURCE_HDF5 && config->schema && config->schema[0])
        GR_TRY(gr_schema_load(config->schema, &schema));
    if (reader->shape.column_bytes > 0)
        GR_TRY(read_columns(reader, model ? model->schema : schema));
    status = check_columns(reader, schema);
out:
    gr_schema_free(schema);
    return status;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* A file that is plainly of another kind than the config says is told as such. Only after a
 * failure, and by looking at the file anew: the common case pays nothing. */
static gr_status tell_source(const struct gr_data_config *config, const char *path,
                             gr_status status) {
    static const char *const names[] = {
        [GR_SOURCE_IDX] = "idx", [GR_SOURCE_HDF5] = "hdf5", [GR_SOURCE_CSV] = "csv"};
    enum gr_data_source found;
    char *reason = NULL;
    if (status != GR_ERROR_DATA || gr_text_format(&reason, "%s", gr_message()) != GR_OK)
        return status;
    if (gr_table_find_source(path, &found) == GR_OK && found != config->source &&
        found != GR_SOURCE_CSV)
        status = gr_fail(status, "%s: is of source %s, and was to be read as %s", path,
                         names[found], names[config->source]);
    else
        status = gr_fail(status, "%s", reason);
    gr_free(reason);
    return status;
}

/* Opening, columns, schema: after a failure in any of them only `misfit` says something. */
static gr_status open_reader(const struct gr_data_config *config,
                             const struct gr_table_config *table,
                             const struct gr_preprocessing *preprocessing, bool labelled,
                             const char *id, unsigned asks, struct gr_reader *reader) {
    *reader = (struct gr_reader){
        .asks = asks,
        .operations = config->source == GR_SOURCE_IDX   ? &gr_idx_operations
                      : config->source == GR_SOURCE_CSV ? &gr_csv_operations
                                                        : &gr_guard_operations,
        .table = table,
        .unlabelled = !labelled,
        .preprocessing = preprocessing,
        .id = id,
        .data = config,
    };
    const char *path = gr_reader_features_path(reader);
    gr_status status = tell_source(config, path, reader->operations->open(reader));
    bool open = status == GR_OK;
    if (status == GR_OK) status = find_columns(reader);
    if (status != GR_OK) {
        bool misfit = reader->misfit;
        if (open) gr_reader_close(reader);
        *reader = (struct gr_reader){.misfit = misfit};
    }
    return status;
}

gr_status gr_reader_open_for(const struct gr_data_config *config,
                             const struct gr_table_config *table,
                             const struct gr_preprocessing *preprocessing, bool labelled,
                             const char *id, struct gr_reader *reader) {
    return open_reader(config, table, preprocessing, labelled, id, 0, reader);
}

gr_status gr_reader_open(const struct gr_data_config *config, const struct gr_table_config *table,
                         unsigned asks, struct gr_reader *reader) {
    return open_reader(config, table, NULL, true, NULL, asks, reader);
}

void gr_reader_close(struct gr_reader *reader) {
    if (reader->operations) reader->operations->close(reader);
    gr_columns_free(reader->columns);
    gr_free(reader->found);
    gr_free(reader->imported);
    gr_free(reader->guessed);
    gr_free(reader->first_dropped);
    gr_free(reader->may_lack);
    *reader = (struct gr_reader){0};
}

/* ---- rows that cannot be used -----------------------------------------------------------------
 */

/* Whether row `row` is passed over without another word. The message of the first is enough, and of
 * a CSV file it takes a pass over it. */
static bool passes_over(struct gr_reader *reader, size_t row) {
    struct gr_unfit_rows *unfit = reader->unfit;
    if (!unfit || !unfit->first) return false;
    unfit->n += !unfit->unfit[row];
    unfit->unfit[row] = 1;
    return true;
}

/* After the message of why a row cannot be used: it is the first that is passed over, or the table
 * is refused. */
static gr_status pass_over(struct gr_reader *reader, size_t row, gr_status why) {
    struct gr_unfit_rows *unfit = reader->unfit;
    if (!unfit || why != GR_ERROR_DATA) return why;
    const gr_status status = gr_text_format(&unfit->first, "%s", gr_message());
    if (status == GR_OK) (void)passes_over(reader, row);
    return status;
}

/* So many labels, checked; *largest: of those seen so far. Signs of life are given once a window,
 * here and in gr_reader_rows. */
static gr_status read_labels(struct gr_reader *reader, size_t first, size_t n, int32_t *labels,
                             int32_t *largest) {
    const uint32_t declared = reader->shape.n_classes;
    const int32_t limit = declared ? (int32_t)declared : GR_CLASSES_MAX;
    gr_status status = gr_alive();
    if (status == GR_OK) status = reader->operations->labels(reader, first, n, labels);
    for (size_t i = 0; status == GR_OK && i < n; i++) {
        if (labels[i] >= 0 && labels[i] < limit) {
            if (labels[i] > *largest) *largest = labels[i];
        } else if (!passes_over(reader, first + i)) {
            status = gr_fail(GR_ERROR_DATA, "%s: row %zu: label %d, expected 0 to %d",
                             gr_reader_labels_path(reader), first + i, labels[i], limit - 1);
            status = pass_over(reader, first + i, status);
        }
    }
    return status;
}

static size_t window_of(size_t first, size_t n) {
    return n - first < GR_LABEL_WINDOW ? n - first : GR_LABEL_WINDOW;
}

/* Without a declared number of classes the labels decide it, which is why all of them are read even
 * by a process that keeps few rows. */
gr_status gr_reader_labels(struct gr_reader *reader, size_t n, int32_t **out, uint32_t *n_classes) {
    int32_t *labels = NULL, largest = 0;
    gr_status status;
    GR_TRY(gr_allocate(n, sizeof *labels, "labels", &labels));
    for (size_t first = 0; first < n; first += GR_LABEL_WINDOW)
        GR_TRY(read_labels(reader, first, window_of(first, n), labels + first, &largest));
    *n_classes = reader->shape.n_classes ? reader->shape.n_classes : (uint32_t)largest + 1;
    *out = labels;
    labels = NULL;
out:
    gr_free(labels);
    return status;
}

gr_status gr_reader_classes(struct gr_reader *reader, size_t n, uint32_t *n_classes) {
    int32_t *labels = NULL, largest = 0;
    gr_status status;
    GR_TRY(gr_allocate(window_of(0, n), sizeof *labels, "labels", &labels));
    for (size_t first = 0; first < n; first += GR_LABEL_WINDOW)
        GR_TRY(read_labels(reader, first, window_of(first, n), labels, &largest));
    *n_classes = reader->shape.n_classes ? reader->shape.n_classes : (uint32_t)largest + 1;
out:
    gr_free(labels);
    return status;
}

gr_status gr_reader_targets(struct gr_reader *reader, size_t n, float **out) {
    float *targets = NULL;
    gr_status status;
    *out = NULL;
    if (!reader->shape.targets) return GR_OK;
    GR_TRY(gr_allocate(n, sizeof *targets, "targets", &targets));
    for (size_t first = 0; first < n; first += GR_LABEL_WINDOW)
        GR_TRY(reader->operations->targets(reader, first, window_of(first, n), targets + first));
    for (size_t i = 0; i < n; i++) {
        if (__builtin_isfinite(targets[i]) || passes_over(reader, i)) continue;
        status = gr_fail(GR_ERROR_DATA, "%s: row %zu: its target is not a finite number",
                         gr_reader_labels_path(reader), i);
        GR_TRY(pass_over(reader, i, status));
    }
    *out = targets;
    targets = NULL;
out:
    gr_free(targets);
    return status;
}

/* ---- what a row may not be ------------------------------------------------------------------- */

/* By the line of a CSV file, which is read again for it: a message is rare. */
gr_status gr_reader_refuse(struct gr_reader *reader, size_t row, int column, const char *found,
                           const char *expected) {
    const char *path = gr_reader_labels_path(reader);
    char at[64], of[96] = "";
    size_t line;
    snprintf(at, sizeof at, " row %zu", row);
    if (reader->operations->line) {
        gr_status status = reader->operations->line(reader, row, &line);
        if (status != GR_OK) return status;
        snprintf(at, sizeof at, "%zu", line);
    }
    if (column >= 0 && reader->columns) {
        const char *name = reader->columns->schema->columns[column].name;
        char quoted[64];
        gr_text_quote(name, strlen(name), quoted, sizeof quoted);
        snprintf(of, sizeof of, " column %d (%s):", column + 1, quoted);
    }
    return gr_fail(GR_ERROR_DATA, "%s:%s:%s found %s, expected %s", path, at, of, found, expected);
}

/* Of the weights of a table with a schema that has one; NULL: any. */
static const double *range_of(const struct gr_columns *columns, int column, bool weight) {
    if (!weight || column < 0) return NULL;
    const struct gr_column *c = &columns->schema->columns[column];
    return c->range_count == 2 ? c->range : NULL;
}

/* Whether a table may have a row's weight or offset; a weight equal to an end of its range is
 * inside. */
static bool is_term(bool weight, const double *range, float value) {
    if (!__builtin_isfinite(value) || (weight && value < 0)) return false;
    return !range || (value >= (float)range[0] && value <= (float)range[1]);
}

/* The range is a schema's, and no secret of a table. */
static gr_status refuse_term(struct gr_reader *reader, size_t row, int column, bool weight,
                             const double *range) {
    char expected[80] = "a finite number of at least 0";
    if (range)
        snprintf(expected, sizeof expected, "a weight from %.9g to %.9g", range[0], range[1]);
    return gr_reader_refuse(reader, row, column, weight ? "no such weight" : "no such offset",
                            weight ? expected : "a finite number");
}

gr_status gr_reader_terms(struct gr_reader *reader, enum gr_term term, size_t n, float **out) {
    const struct gr_columns *columns = reader->columns;
    const bool weight = term == GR_TERM_WEIGHT;
    const int column = !columns ? -1 : weight ? columns->weight : columns->offset;
    const double *range = range_of(columns, column, weight);
    float *values = NULL, largest = 0;
    gr_status status;
    *out = NULL;
    if (!reader->shape.terms[term]) return GR_OK;
    GR_TRY(gr_allocate(n, sizeof *values, "weights and offsets", &values));
    for (size_t first = 0; first < n; first += GR_LABEL_WINDOW)
        GR_TRY(reader->operations->terms(reader, term, first, window_of(first, n), values + first));
    for (size_t i = 0; i < n; i++) {
        if (is_term(weight, range, values[i])) {
            if (values[i] > largest) largest = values[i];
        } else if (!passes_over(reader, i)) {
            GR_TRY(pass_over(reader, i, refuse_term(reader, i, column, weight, range)));
        }
    }
    /* One row more or less, where rows are hidden, may not decide whether its table can be used. */
    if (weight && !(largest > 0) && !reader->unfit) {
        status = gr_fail(GR_ERROR_DATA, "%s: all weights are 0, expected some above 0",
                         gr_reader_features_path(reader));
        goto out;
    }
    *out = values;
    values = NULL;
out:
    gr_free(values);
    return status;
}

gr_status gr_reader_check(struct gr_reader *reader, const struct gr_domain *domain, size_t n,
                          const int32_t *labels, const float *targets) {
    const struct gr_columns *columns = reader->columns;
    char expected[96];
    gr_status status = GR_OK;
    for (size_t i = 0; !domain->labels && targets && i < n && status == GR_OK; i++)
        if (!((double)targets[i] >= domain->least) && !passes_over(reader, i))
            status = pass_over(reader, i,
                               gr_reader_refuse(reader, i, columns ? columns->target : -1,
                                                domain->found, domain->expected));
    if (status != GR_OK || !domain->labels || domain->n_classes == 0) return status;
    snprintf(expected, sizeof expected, "0 to %u (the model has %u classes)", domain->n_classes - 1,
             domain->n_classes);
    for (size_t i = 0; i < n && status == GR_OK; i++)
        if ((uint32_t)labels[i] >= domain->n_classes && !passes_over(reader, i))
            status = pass_over(reader, i,
                               gr_reader_refuse(reader, i, columns ? columns->label : -1,
                                                domain->found, expected));
    return status;
}

/* Without a branch in the loop, so that it is as fast as the copy before it. */
static bool all_finite(const float *values, size_t n) {
    uint32_t bad = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, values + i, sizeof bits);
        bad |= (bits & 0x7f800000u) == 0x7f800000u;
    }
    return !bad;
}

/* NaN is a value that is missing, where the columns say what becomes of it. A CSV file has been
 * looked at cell by cell. */
static gr_status check_finite(struct gr_reader *reader, size_t row, const float *values, size_t n) {
    if (reader->operations == &gr_csv_operations || all_finite(values, n)) return GR_OK;
    for (size_t i = 0; i < n; i++) {
        const bool nan = __builtin_isnan(values[i]);
        if (__builtin_isfinite(values[i]) || (nan && reader->may_lack && reader->may_lack[i]))
            continue;
        if (passes_over(reader, row)) return GR_OK;
        return pass_over(reader, row,
                         gr_fail(GR_ERROR_DATA,
                                 "%s: row %zu, column %zu: %s, expected a finite number",
                                 gr_reader_features_path(reader), row, i,
                                 nan ? "NaN" : "an infinity, or a number beyond float32"));
    }
    return GR_OK;
}

/* Rows that nobody wants are read as well where they lie between two that are wanted in one window:
 * a seek costs more. Whole windows without any are skipped. */
gr_status gr_reader_rows(struct gr_reader *reader, const struct gr_pick *picks, size_t n) {
    const struct gr_table_shape *shape = &reader->shape;
    size_t i = 0;
    while (i < n) {
        /* From the next row wanted to the last one wanted in its window. */
        size_t first = picks[i].row, end = (first / shape->window_rows + 1) * shape->window_rows;
        size_t j = i;
        while (j < n && picks[j].row < end)
            j++;
        const void *block;
        gr_status status = gr_alive();
        if (status == GR_OK)
            status = reader->operations->rows(reader, first, picks[j - 1].row - first + 1u, &block);
        if (status != GR_OK) return status;
        for (; i < j; i++) {
            const char *from = (const char *)block + (picks[i].row - first) * shape->row_bytes;
            memcpy(picks[i].to, from, shape->row_bytes);
            if (shape->element != GR_ELEMENT_FLOAT32) continue;
            status = check_finite(reader, picks[i].row, picks[i].to, shape->n_features);
            if (status != GR_OK) return status;
        }
    }
    return GR_OK;
}
