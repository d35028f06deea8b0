/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a CSV file held against the schema and made into features. */
#include "data/csv_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "data/groups.h"
#include "data/reader.h"

/* ---- opening -------------------------------------------------------------------------------- */

struct entry {
    const char *text;
    uint32_t code;
};

static int by_entry(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* What is the same in all rows: the categories in order, the zero that fills. */
static gr_status prepare(struct gr_csv_column *column, const struct gr_column *of) {
    struct entry *entries = NULL;
    size_t n = of->categories_count;
    gr_status status;
    column->of = of;
    GR_TRY(gr_allocate(n, sizeof *entries, "categories", &entries));
    GR_TRY(gr_allocate(n, sizeof *column->sorted, "categories", &column->sorted));
    GR_TRY(gr_allocate(n, sizeof *column->code, "categories", &column->code));
    GR_TRY(gr_allocate_zero(n, sizeof *column->count, "categories", &column->count));
    for (size_t i = 0; i < n; i++)
        entries[i] = (struct entry){of->categories[i], (uint32_t)i};
    qsort(entries, n, sizeof *entries, by_entry);
    for (size_t i = 0; i < n; i++) {
        column->sorted[i] = entries[i].text;
        column->code[i] = entries[i].code;
    }
out:
    gr_free(entries);
    return status;
}

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
        GR_TRY(prepare(&table->column[i], of));
        if (of->missing == GR_MISSING_MEAN || of->missing == GR_MISSING_MODE)
            table->needs_fill = true;
    }
out:
    if (status != GR_OK) gr_csv_table_close(table);
    return status;
}

void gr_csv_table_close(struct gr_csv_table *table) {
    for (unsigned i = 0; table->column && i < table->columns->schema->columns_count; i++) {
        gr_free(table->column[i].sorted);
        gr_free(table->column[i].code);
        gr_free(table->column[i].count);
    }
    gr_free(table->column);
    gr_csv_scan_close(&table->scan);
    *table = (struct gr_csv_table){0};
}

void gr_csv_table_settle(struct gr_csv_table *table) {
    for (unsigned i = 0; i < table->columns->schema->columns_count; i++) {
        struct gr_csv_column *c = &table->column[i];
        size_t best = 0;
        if (c->of->missing == GR_MISSING_MEAN && c->n > 0) c->fill = (float)(c->sum / (double)c->n);
        if (c->of->missing != GR_MISSING_MODE) continue;
        for (size_t k = 1; k < c->of->categories_count; k++)
            if (c->count[k] > c->count[best]) best = k;
        c->fill = (float)best;
    }
    table->counting = false;
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
    c->sum += (double)*value;
    c->n++;
    return GR_OK;
}

static int compare(const char *text, size_t length, const char *category) {
    int order = strncmp(text, category, length);
    return order != 0 ? order : category[length] == '\0' ? 0 : -1;
}

/* The category's code, or the number of categories. */
static uint32_t find_category(const struct gr_csv_column *c, const char *text, size_t length) {
    size_t low = 0, high = c->of->categories_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = compare(text, length, c->sorted[middle]);
        if (order == 0) return c->code[middle];
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    return c->of->categories_count;
}

static gr_status check_text(const struct gr_csv_table *t, size_t column) {
    const struct gr_csv_field *field = &t->scan.fields[column];
    if (gr_text_is_utf8(field->text, field->length)) return GR_OK;
    return refuse(t, column, "bytes that are not UTF-8", "UTF-8 text");
}

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
    *code = find_category(c, text, length);
    *there = true;
    if (*code < c->of->categories_count) {
        if (t->counting) c->count[*code]++;
        return GR_OK;
    }
    *there = gr_csv_number(text, length, &ignored) != GR_CSV_MISSING;
    if (!*there && c->of->missing == GR_MISSING_REFUSE)
        return refuse(t, column, "no value", "one of its categories");
    if (t->counting) *(*there ? &c->found.unknown : &c->found.missing) += 1;
    return GR_OK;
}

/* ---- columns -------------------------------------------------------------------------------- */

static gr_status put_number(struct gr_csv_table *t, size_t column, float *features) {
    const struct gr_csv_column *c = &t->column[column];
    float value;
    bool there;
    gr_status status = read_number(t, column, &value, &there);
    features[0] = there ? value : c->fill;
    if (c->of->missing == GR_MISSING_INDICATOR) features[1] = there ? 0.0f : 1.0f;
    return status;
}

static gr_status put_category(struct gr_csv_table *t, size_t column, float *features) {
    const struct gr_csv_column *c = &t->column[column];
    uint32_t n = c->of->categories_count, code = n;
    bool there = true, hot = c->of->encode == GR_ENCODE_ONE_HOT;
    gr_status status = read_category(t, column, &code, &there);
    if (!there && c->of->missing == GR_MISSING_MODE) code = (uint32_t)c->fill;
    if (!there && c->of->missing != GR_MISSING_MODE && !hot) code = 0;
    if (hot) {
        memset(features, 0, n * sizeof *features);
        if (code < n) features[code] = 1.0f;
    } else {
        features[0] = (float)code;
    }
    if (c->of->missing == GR_MISSING_INDICATOR) features[hot ? n : 1] = there ? 0.0f : 1.0f;
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

static gr_status put_cell(struct gr_csv_table *t, size_t column, float *features) {
    bool there;
    switch (t->column[column].of->type) {
    case GR_COLUMN_NUMBER:
    case GR_COLUMN_INTEGER:
        return put_number(t, column, features);
    case GR_COLUMN_CATEGORY:
        return put_category(t, column, features);
    case GR_COLUMN_LABEL:
        return put_label(t, column);
    case GR_COLUMN_TARGET:
        return read_number(t, column, &t->target, &there);
    case GR_COLUMN_GROUP:
        return put_group(t, column);
    default:
        return check_text(t, column);
    }
}

gr_status gr_csv_table_next(struct gr_csv_table *table, float *features, bool *more) {
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
        status = put_cell(table, i, features + columns->first_feature[i]);
        table->refused = status != GR_OK;
        GR_TRY(status);
    }
out:
    return status;
}
