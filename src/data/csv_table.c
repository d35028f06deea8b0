/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a CSV file held against the schema and made into values. */
#include "data/csv_table.h"

#include <math.h>
#include <string.h>

#include "data/groups.h"
#include "data/reader.h"

/* ---- opening -------------------------------------------------------------------------------- */

static gr_status check_header(struct gr_csv_table *t, const struct gr_csv_config *csv,
                              bool *misfit) {
    const struct gr_schema *schema = t->columns->schema;
    char **names = NULL, expected[64];
    size_t n;
    gr_status status = gr_csv_names(&t->scan, csv->header, &names, &n);
    if (status != GR_OK) return status;
    for (size_t i = 0; csv->header && i < n && i < schema->columns_count; i++) {
        if (strcmp(names[i], schema->columns[i].name) == 0) continue;
        /* What stands there is a cell where the file has no header. */
        gr_text_quote(schema->columns[i].name, strlen(schema->columns[i].name), expected,
                      sizeof expected);
        status = gr_fail(GR_ERROR_DATA, "%s:1: column %zu: found another name, expected \"%s\"",
                         t->scan.path, i + 1, expected);
        goto out;
    }
    if (n != schema->columns_count)
        status = gr_fail(GR_ERROR_DATA, "%s:1: found %zu columns, expected %u", t->scan.path, n,
                         schema->columns_count);
out:
    *misfit = status != GR_OK;
    gr_csv_names_free(names, n);
    return status;
}

gr_status gr_csv_table_open(const char *path, const struct gr_csv_config *csv,
                            const struct gr_columns *columns, struct gr_csv_table *table,
                            bool *misfit) {
    const struct gr_schema *schema = columns->schema;
    gr_status status;
    *table = (struct gr_csv_table){.columns = columns, .counting = true};
    GR_TRY(gr_csv_scan_open(path, gr_separator_byte(csv->separator), &table->scan));
    GR_TRY(check_header(table, csv, misfit));
    GR_TRY(
        gr_allocate_zero(schema->columns_count, sizeof *table->column, "columns", &table->column));
    for (unsigned i = 0; i < schema->columns_count; i++) {
        const struct gr_column *of = &schema->columns[i];
        table->column[i].of = of;
        GR_TRY(gr_category_index_create(of, &table->column[i].index));
        if (of->open) table->open = true;
    }
out:
    if (status != GR_OK) gr_csv_table_close(table);
    return status;
}

void gr_csv_table_close(struct gr_csv_table *table) {
    for (unsigned i = 0; table->column && i < table->columns->schema->columns_count; i++) {
        gr_category_index_release(&table->column[i].index);
        gr_categories_release(&table->column[i].seen);
    }
    gr_free(table->column);
    gr_csv_scan_close(&table->scan);
    *table = (struct gr_csv_table){0};
}

gr_status gr_csv_table_settle(struct gr_csv_table *table, struct gr_columns *columns) {
    gr_status status = GR_OK;
    table->counting = false;
    if (!table->open) return GR_OK;
    for (unsigned i = 0; i < columns->schema->columns_count; i++) {
        struct gr_csv_column *c = &table->column[i];
        if (!c->of->open) continue;
        gr_category_index_release(&c->index);
        gr_categories_give(&c->seen, &columns->schema->columns[i]);
        GR_TRY(gr_category_index_create(c->of, &c->index));
    }
    status = gr_columns_list(columns);
out:
    return status;
}

/* ---- cells ---------------------------------------------------------------------------------- */

static gr_status refuse(const struct gr_csv_table *t, size_t column, const char *found,
                        const char *expected) {
    char name[64];
    const char *text = t->column[column].of->name;
    gr_text_quote(text, strlen(text), name, sizeof name);
    return gr_fail(GR_ERROR_DATA, "%s:%zu: column %zu (%s): found %s, expected %s", t->scan.path,
                   t->scan.row_line, column + 1, name, found, expected);
}

static gr_status refuse_number(const struct gr_csv_table *t, size_t column,
                               enum gr_csv_number kind) {
    const struct gr_csv_field *field = &t->scan.fields[column];
    const char *expected =
        t->column[column].of->type == GR_COLUMN_INTEGER ? "a whole number" : "a finite number";
    bool comma = field->length > 0 && memchr(field->text, ',', field->length);
    switch (kind) {
    case GR_CSV_MISSING:
        return refuse(t, column, "no value", expected);
    case GR_CSV_INFINITE:
        return refuse(t, column, "an infinity", expected);
    case GR_CSV_OVERFLOW:
        return refuse(t, column, "a number beyond float32", "at most 3.4e38");
    case GR_CSV_OTHER:
        return refuse(t, column, comma ? "text with a comma" : "text", expected);
    default:
        return refuse(t, column, "a number that is not whole, or beyond 16777216",
                      "a whole number that float32 holds");
    }
}

/* *there false: there is no value, and the column's policy takes that. */
static gr_status read_number(struct gr_csv_table *t, size_t column, float *value, bool *there) {
    struct gr_csv_column *c = &t->column[column];
    const struct gr_csv_field *field = &t->scan.fields[column];
    enum gr_csv_number kind = gr_csv_number(field->text, field->length, value);
    *there = kind <= GR_CSV_WHOLE;
    if (!*there) {
        if (kind > GR_CSV_INFINITE || c->of->missing == GR_MISSING_REFUSE)
            return refuse_number(t, column, kind);
        if (t->counting) c->found.missing++;
        return GR_OK;
    }
    if (c->of->type == GR_COLUMN_INTEGER &&
        (fabsf(*value) > GR_CSV_WHOLE_MAX || (kind != GR_CSV_WHOLE && *value != floorf(*value))))
        return refuse_number(t, column, kind);
    if (!t->counting) return GR_OK;
    if (c->of->range_count == 2 && !(*value >= c->of->range[0] && *value <= c->of->range[1]))
        c->found.outside++;
    return GR_OK;
}

static gr_status check_text(const struct gr_csv_table *t, size_t column) {
    const struct gr_csv_field *field = &t->scan.fields[column];
    if (gr_text_is_utf8(field->text, field->length)) return GR_OK;
    return refuse(t, column, "bytes that are not UTF-8", "UTF-8 text");
}

/* A category that is not known yet. */
static gr_status collect(struct gr_csv_table *t, size_t column, const char *text, size_t length) {
    bool room;
    if (!gr_category_takes(text, length))
        return refuse(t, column, "a long text or control characters",
                      "a category of 1 to 256 bytes");
    gr_status status = gr_categories_add(&t->column[column].seen, text, length, &room);
    if (status != GR_OK || room) return status;
    return refuse(t, column, "one more than 10000 categories", "a column of categories");
}

_Static_assert(GR_OPEN_CATEGORIES_MAX == 10000 && GR_OPEN_CATEGORY_BYTES == 256,
               "stand in messages");

/* *code: that of the category; their number for an unknown one, with *there false for none. */
static gr_status read_category(struct gr_csv_table *t, size_t column, uint32_t *code, bool *there) {
    struct gr_csv_column *c = &t->column[column];
    const struct gr_csv_field *field = &t->scan.fields[column];
    const char *text;
    size_t length;
    float ignored;
    gr_status status = check_text(t, column);
    if (status != GR_OK) return status;
    gr_csv_trim(field, &text, &length);
    const bool learns = c->of->open && t->counting;
    *code = learns ? 0 : gr_category_find(&c->index, text, length);
    *there = true;
    if (!learns && *code < c->of->categories_count) return GR_OK;
    *there = gr_csv_number(text, length, &ignored) != GR_CSV_MISSING;
    if (!*there && c->of->missing == GR_MISSING_REFUSE)
        return refuse(t, column, "no value", "one of its categories");
    if (*there && learns) return collect(t, column, text, length);
    if (t->counting) *(*there ? &c->found.unknown : &c->found.missing) += 1;
    return GR_OK;
}

/* ---- columns -------------------------------------------------------------------------------- */

static gr_status put_number(struct gr_csv_table *t, size_t column, float *value) {
    bool there;
    gr_status status = read_number(t, column, value, &there);
    if (!there) *value = NAN;
    return status;
}

static gr_status put_category(struct gr_csv_table *t, size_t column, float *value) {
    uint32_t code = 0;
    bool there = true;
    gr_status status = read_category(t, column, &code, &there);
    *value = there ? (float)code : NAN;
    return status;
}

static gr_status put_label(struct gr_csv_table *t, size_t column) {
    const struct gr_csv_column *c = &t->column[column];
    const struct gr_csv_field *field = &t->scan.fields[column];
    uint32_t code;
    bool there;
    float value;
    if (c->of->categories_count == 0) {
        enum gr_csv_number kind = gr_csv_number(field->text, field->length, &value);
        if (kind > GR_CSV_WHOLE || value < 0 || value >= (float)GR_CLASSES_MAX ||
            value != floorf(value))
            return refuse(t, column, kind == GR_CSV_MISSING ? "no value" : "no such label",
                          "a whole number from 0 to 65534");
        t->label = (int32_t)value;
        return GR_OK;
    }
    gr_status status = read_category(t, column, &code, &there);
    if (status != GR_OK) return status;
    if (code >= c->of->categories_count)
        return refuse(t, column, "an unknown label", "one of its categories");
    t->label = (int32_t)code;
    return GR_OK;
}

static gr_status put_group(struct gr_csv_table *t, size_t column) {
    gr_status status = check_text(t, column);
    t->group = t->scan.fields[column];
    if (status == GR_OK && t->group.length == 0)
        return refuse(t, column, "no value", "the name of a group");
    if (status == GR_OK && t->group.length > GR_GROUP_NAME_MAX)
        return refuse(t, column, "a longer text", "a group's name of at most 1024 bytes");
    return status;
}

/* A row's weight or offset. */
static gr_status put_term(struct gr_csv_table *t, size_t column, enum gr_term term) {
    bool there;
    gr_status status = read_number(t, column, &t->terms[term], &there);
    if (status == GR_OK && term == GR_TERM_WEIGHT && t->terms[term] < 0)
        return refuse(t, column, "a number below 0", "a weight of at least 0");
    return status;
}

static gr_status put_cell(struct gr_csv_table *t, size_t column, float *value) {
    bool there;
    switch (t->column[column].of->type) {
    case GR_COLUMN_NUMBER:
    case GR_COLUMN_INTEGER:
        return put_number(t, column, value);
    case GR_COLUMN_CATEGORY:
        return put_category(t, column, value);
    case GR_COLUMN_LABEL:
        return put_label(t, column);
    case GR_COLUMN_TARGET:
        return read_number(t, column, &t->target, &there);
    case GR_COLUMN_WEIGHT:
        return put_term(t, column, GR_TERM_WEIGHT);
    case GR_COLUMN_OFFSET:
        return put_term(t, column, GR_TERM_OFFSET);
    case GR_COLUMN_GROUP:
        return put_group(t, column);
    default:
        return check_text(t, column);
    }
}

gr_status gr_csv_table_next(struct gr_csv_table *table, float *values, bool *more) {
    const struct gr_columns *columns = table->columns;
    const size_t n = columns->schema->columns_count;
    gr_status status;
    GR_TRY(gr_csv_scan_next(&table->scan, more));
    if (!*more) goto out;
    if (table->scan.n_fields != n) {
        status = gr_fail(GR_ERROR_DATA, "%s:%zu: found %zu fields, expected %zu", table->scan.path,
                         table->scan.row_line, table->scan.n_fields, n);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        status = put_cell(table, i, values + columns->first_value[i]);
        table->refused = status != GR_OK;
        GR_TRY(status);
    }
out:
    return status;
}
