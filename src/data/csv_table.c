/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a CSV file held against the schema and made into values. */
#include "data/csv_table.h"

#include <math.h>
#include <string.h>

#include "data/groups.h"
#include "data/preprocess.h"
#include "data/reader.h"

/* ---- the schema ----------------------------------------------------------------------------- */

/* When the schema is loaded, not at the first row: the message can name the schema's file. */
static gr_status check_rules(const char *path, const struct gr_schema *schema) {
    gr_status status = GR_OK;
    for (unsigned i = 0; i < schema->columns_count && status == GR_OK; i++) {
        struct gr_cell_rules rules;
        status = gr_cell_rules_create(&schema->columns[i], &rules);
        gr_cell_rules_release(&rules);
    }
    return status == GR_ERROR_CONFIG ? gr_fail_context(status, "%s: ", path) : status;
}

gr_status gr_csv_schema_load(const char *path, struct gr_schema **out) {
    struct gr_schema *schema = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_schema_load(path, &schema));
    GR_TRY(check_rules(path, schema));
    *out = schema;
    schema = NULL;
out:
    gr_schema_free(schema);
    return status;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* Whether the first row has the name of any column: where it has none it may be no header. */
static bool has_names(const struct gr_schema *schema, char *const *names, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (gr_column_find(schema, names[i], 0)) return true;
    return false;
}

static gr_status other_name(const struct gr_csv_table *t, size_t column, char *const *names,
                            size_t n) {
    const char *name = t->columns->schema->columns[column].name;
    char expected[64], place[128] = "";
    size_t at = 0;
    while (at < n && strcmp(names[at], name) != 0)
        at++;
    if (at < n)
        snprintf(place, sizeof place,
                 ", which is column %zu here: columns stand in the order of the schema", at + 1);
    else if (!has_names(t->columns->schema, names, n))
        snprintf(place, sizeof place, " %s", GR_NO_HEADER_WORDS);
    /* The word found is not told: it is a cell where the file has no header. */
    gr_text_quote(name, strlen(name), expected, sizeof expected);
    return gr_fail(GR_ERROR_DATA, "%s:%zu: column %zu: found another name, expected \"%s\"%s",
                   t->scan.path, t->scan.row_line, column + 1, expected, place);
}

/* Whether the header is the schema's but for the column of groups. */
static bool lacks_group(const struct gr_columns *columns, char *const *names, size_t n) {
    const struct gr_schema *schema = columns->schema;
    if (columns->group < 0 || n + 1 != schema->columns_count) return false;
    for (size_t i = 0; i < n; i++)
        if (strcmp(names[i], schema->columns[i + (i >= (size_t)columns->group)].name) != 0)
            return false;
    return true;
}

/* Without a header an empty last field is no column where the schema has none for it. */
static size_t forget_empty(struct gr_csv_scan *scan, size_t n, size_t expected) {
    const bool empty = n == expected + 1 && scan->fields[n - 1].length == 0;
    if (!empty) return n;
    scan->form.n_empty = 1;
    scan->n_named = expected;
    return expected;
}

/* *misfit tells the caller that the file is another table than the schema's, and not that a cell is
 * wrong. */
static gr_status check_header(struct gr_csv_table *t, const struct gr_csv_config *csv, bool groups,
                              bool *misfit) {
    const struct gr_schema *schema = t->columns->schema;
    char **names = NULL;
    size_t n_names, n;
    gr_status status = gr_csv_names(&t->scan, csv->header, &names, &n_names);
    if (status != GR_OK) return status;
    n = n_names;
    if (!csv->header) n = forget_empty(&t->scan, n, schema->columns_count);
    t->absent = SIZE_MAX;
    if (csv->header && !groups && lacks_group(t->columns, names, n)) {
        t->absent = (size_t)t->columns->group;
        goto out;
    }
    for (size_t i = 0; csv->header && i < n && i < schema->columns_count; i++) {
        if (strcmp(names[i], schema->columns[i].name) == 0) continue;
        status = other_name(t, i, names, n);
        goto out;
    }
    if (n != schema->columns_count)
        status = gr_fail(GR_ERROR_DATA, "%s:%zu: found %zu columns, expected %u", t->scan.path,
                         t->scan.row_line, n, schema->columns_count);
out:
    *misfit = status != GR_OK;
    gr_csv_names_free(names, n_names);
    return status;
}

/* The day that a date counts from, or the column; that of another type is read as dates too. */
static gr_status find_since(struct gr_csv_table *t, struct gr_csv_column *c) {
    const struct gr_schema *schema = t->columns->schema;
    const char *since = c->of->since[0] ? c->of->since : "2000-01-01";
    char name[64];
    if (gr_date_read(since, strlen(since), GR_DATE_ISO, true, &c->since) == GR_DATE_READ)
        return GR_OK;
    const struct gr_column *other = gr_column_find(schema, since, 0);
    if (other) {
        struct gr_csv_column *column = &t->column[other - schema->columns];
        c->other = column;
        column->dated = true;
        return GR_OK;
    }
    gr_text_quote(since, strlen(since), name, sizeof name);
    return gr_fail(GR_ERROR_DATA, "%s: has no column \"%s\", from which the dates of another count",
                   t->scan.path, name);
}

static gr_status prepare_column(struct gr_csv_table *t, size_t i) {
    const struct gr_column *of = &t->columns->schema->columns[i];
    struct gr_csv_column *c = &t->column[i];
    const bool date = of->type == GR_COLUMN_DATE || of->type == GR_COLUMN_DATETIME;
    gr_status status;
    c->of = of;
    GR_TRY(gr_cell_rules_create(of, &c->rules));
    GR_TRY(gr_category_index_create(of, &c->index));
    t->open = t->open || of->open;
    if (!date) goto out;
    t->dated = c->dated = true;
    status = find_since(t, c);
out:
    return status;
}

/* All columns are allocated before any is prepared, because a date may point to another one. */
gr_status gr_csv_table_open(const char *path, const struct gr_csv_config *csv,
                            const struct gr_columns *columns, bool groups,
                            struct gr_csv_table *table, bool *misfit) {
    const size_t n = columns->schema->columns_count;
    gr_status status;
    *table = (struct gr_csv_table){.columns = columns, .counting = true};
    GR_TRY(gr_csv_scan_open(path, csv, &table->scan));
    GR_TRY(check_header(table, csv, groups, misfit));
    GR_TRY(gr_allocate_zero(n, sizeof *table->column, "columns", &table->column));
    for (size_t i = 0; i < n; i++)
        GR_TRY(prepare_column(table, i));
out:
    if (status != GR_OK) gr_csv_table_close(table);
    return status;
}

void gr_csv_table_close(struct gr_csv_table *table) {
    for (unsigned i = 0; table->column && i < table->columns->schema->columns_count; i++) {
        gr_cell_rules_release(&table->column[i].rules);
        gr_category_index_release(&table->column[i].index);
        gr_categories_release(&table->column[i].seen);
    }
    gr_free(table->column);
    gr_free(table->first_dropped);
    gr_csv_scan_close(&table->scan);
    *table = (struct gr_csv_table){0};
}

/* The scan stays where it is; the caller seeks to the first row, and reads again with the
 * categories that are known now. */
gr_status gr_csv_table_settle(struct gr_csv_table *table, struct gr_columns *columns) {
    gr_status status = GR_OK;
    table->counting = false;
    if (!table->open) return GR_OK;
    for (unsigned i = 0; i < columns->schema->columns_count; i++) {
        struct gr_csv_column *c = &table->column[i];
        if (!c->of->open) continue;
        GR_TRY(gr_categories_settle(&c->seen, c->of->decimal));
        gr_category_index_release(&c->index);
        gr_categories_give(&c->seen, &columns->schema->columns[i]);
        GR_TRY(gr_category_index_create(c->of, &c->index));
    }
    status = gr_columns_list(columns);
out:
    return status;
}

/* `lost` is worked out at the end: it depends on the spread, which only grows. */
struct gr_found gr_csv_table_found(const struct gr_csv_table *table, size_t column) {
    struct gr_found found = table->column[column].found;
    found.lost = gr_digits_lost(&table->column[column].digits);
    return found;
}

/* ---- cells ---------------------------------------------------------------------------------- */

/* "column 3 (age): found text, expected a finite number": never the cell. */
static gr_status refuse(const struct gr_csv_table *t, size_t column, const char *found,
                        const char *expected) {
    char name[64];
    const char *text = t->column[column].of->name;
    gr_text_quote(text, strlen(text), name, sizeof name);
    return gr_fail(GR_ERROR_DATA, "%s:%zu: column %zu (%s): found %s, expected %s", t->scan.path,
                   t->scan.row_line, column + 1, name, found, expected);
}

/* Text that a rule of the column would read is told so; the cell itself is not. */
static const char *text_found(const struct gr_csv_field *field) {
    const char *const text = field->text;
    const size_t n = field->length;
    if (n > 0 && text[n - 1] == '%') return "text that ends in % (the column is not `percent`)";
    if (n > 0 && (*text == '<' || *text == '>'))
        return "text that begins with < or > (a bound is to be listed in `censored`)";
    if (n > 0 && memchr(text, ',', n))
        return "text with a comma (`decimal: comma`, or `thousands: comma`)";
    return "text";
}

static gr_status refuse_number(const struct gr_csv_table *t, size_t column,
                               enum gr_csv_number kind) {
    const struct gr_column *of = t->column[column].of;
    const char *expected = of->type == GR_COLUMN_INTEGER ? "a whole number" : "a finite number";
    switch (kind) {
    case GR_CSV_MISSING:
        return refuse(t, column, "no value", expected);
    case GR_CSV_INFINITE:
        return refuse(t, column, "an infinity", expected);
    case GR_CSV_OVERFLOW:
        return refuse(t, column, "a number beyond float32", "at most 3.4e38");
    case GR_CSV_OTHER:
        return refuse(t, column, text_found(&t->scan.fields[column]), expected);
    default:
        return refuse(t, column, "a number that is not whole, or beyond 16777216",
                      "a whole number that float32 holds (`origin` makes them smaller)");
    }
}

/* A number that is there, in double: the range is the file's, what is stored is from the origin. */
static gr_status take_number(struct gr_csv_table *t, size_t column, enum gr_csv_number kind,
                             double exact, float *value) {
    struct gr_csv_column *c = &t->column[column];
    const struct gr_column *of = c->of;
    const double stored = exact - of->origin;
    if (of->origin < 0 || of->origin > 0) *value = (float)stored;
    if (!isfinite(*value)) return refuse_number(t, column, GR_CSV_OVERFLOW);
    if (of->type == GR_COLUMN_INTEGER &&
        (fabs(stored) > (double)GR_CSV_WHOLE_MAX || exact < ceil(exact)))
        return refuse_number(t, column, GR_CSV_WHOLE);
    if (!t->counting) return GR_OK;
    c->found.present++;
    c->found.censored += kind == GR_CSV_CENSORED;
    if (of->range_count == 2 && !(exact >= of->range[0] && exact <= of->range[1]))
        c->found.outside++;
    gr_digits_add(&c->digits, stored, *value);
    return GR_OK;
}

/* *there false: there is no value, and the column's policy takes that. */
static gr_status read_number(struct gr_csv_table *t, size_t column, float *value, bool *there) {
    struct gr_csv_column *c = &t->column[column];
    const struct gr_csv_field *field = &t->scan.fields[column];
    double exact;
    enum gr_csv_number kind =
        c->rules.plain && !c->rules.words
            ? gr_csv_number(field->text, field->length, &exact, value)
            : gr_cell_number(&c->rules, field->text, field->length, &exact, value);
    *there = gr_csv_is_number(kind);
    if (*there) return take_number(t, column, kind, exact, value);
    if (kind > GR_CSV_INFINITE || !gr_column_may_lack(c->of)) return refuse_number(t, column, kind);
    if (t->counting) c->found.missing++;
    return GR_OK;
}

static gr_status check_text(const struct gr_csv_table *t, size_t column) {
    const struct gr_csv_field *field = &t->scan.fields[column];
    if (gr_text_is_utf8(field->text, field->length)) return GR_OK;
    return refuse(t, column, "bytes that are not UTF-8",
                  "UTF-8 text; if it is Latin-1, as of Excel: " GR_LATIN1_WORDS);
}

/* ---- dates ---------------------------------------------------------------------------------- */

/* The row's dates, before any of them is counted from another. */
static gr_status read_dates(struct gr_csv_table *t) {
    for (size_t i = 0; i < t->columns->schema->columns_count; i++) {
        struct gr_csv_column *c = &t->column[i];
        const struct gr_csv_field *field = &t->scan.fields[i];
        enum gr_date_reading why;
        if (!c->dated) continue;
        const enum gr_csv_number kind =
            gr_cell_date(&c->rules, field->text, field->length, &c->date, &why);
        if (kind == GR_CSV_OTHER)
            return refuse(t, i, gr_date_reading_text(why, c->of->format),
                          c->of->type == GR_COLUMN_DATE ? "a date" : "a date, perhaps a time");
        if (kind == GR_CSV_MISSING) c->date = NAN;
    }
    return GR_OK;
}

/* Days or years from another day; NaN where one of the two is not there. */
static gr_status put_date(struct gr_csv_table *t, size_t column, float *value) {
    struct gr_csv_column *c = &t->column[column];
    const double since = c->other ? c->other->date : c->since;
    const double exact = (c->date - since) / gr_date_unit_seconds(c->of->in);
    *value = (float)exact;
    if (!isnan(exact)) return take_number(t, column, GR_CSV_NUMBER, exact, value);
    if (!gr_column_may_lack(c->of))
        return refuse(t, column, isnan(c->date) ? "no value" : "no date that it counts from",
                      "a date");
    if (t->counting) c->found.missing++;
    return GR_OK;
}

/* ---- categories ----------------------------------------------------------------------------- */

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

/* *code: that of the category; their number for an unknown one, with *there false for none. A
 * listed category is found before the words for no value are tried: "none" may be an answer. */
static gr_status read_category(struct gr_csv_table *t, size_t column, uint32_t *code, bool *there) {
    struct gr_csv_column *c = &t->column[column];
    const struct gr_csv_field *field = &t->scan.fields[column];
    const char *text;
    size_t length;
    gr_status status = check_text(t, column);
    if (status != GR_OK) return status;
    gr_csv_trim(field, &text, &length);
    const bool learns = c->of->open && t->counting;
    *code = learns ? 0 : gr_category_find(&c->index, text, length);
    *there = true;
    if (!learns && *code < c->of->categories_count) {
        if (t->counting) c->found.present++;
        return GR_OK;
    }
    *there = !gr_cell_is_missing(&c->rules, text, length);
    if (!*there && !gr_column_may_lack(c->of))
        return refuse(t, column, "no value", "one of its categories");
    if (t->counting) *(*there ? &c->found.present : &c->found.missing) += 1;
    if (*there && learns) return collect(t, column, text, length);
    if (*there && t->counting) c->found.unknown++;
    return GR_OK;
}

/* ---- columns -------------------------------------------------------------------------------- */

/* A missing value is NaN in the row: preprocessing fills it, or the policy has refused it. */
static gr_status put_number(struct gr_csv_table *t, size_t column, float *value) {
    bool there;
    gr_status status = read_number(t, column, value, &there);
    if (!there) *value = NAN;
    return status;
}

/* Codes are exact in float32: there are at most GR_OPEN_CATEGORIES_MAX. */
static gr_status put_category(struct gr_csv_table *t, size_t column, float *value) {
    uint32_t code = 0;
    bool there = true;
    gr_status status = read_category(t, column, &code, &there);
    *value = there ? (float)code : NAN;
    return status;
}

/* A label, or with *there false none where rows without are left out. */
static gr_status put_label(struct gr_csv_table *t, size_t column, bool *there) {
    const struct gr_csv_column *c = &t->column[column];
    const struct gr_csv_field *field = &t->scan.fields[column];
    const char *text;
    size_t length;
    double value = 0;
    float ignored;
    gr_csv_trim(field, &text, &length);
    uint32_t code = gr_category_find(&c->index, text, length);
    const bool listed = c->of->categories_count > 0, known = listed && code < c->index.n;
    enum gr_csv_number kind = GR_CSV_WHOLE;
    if (!listed)
        kind = gr_cell_number(&c->rules, text, length, &value, &ignored);
    else if (!known && gr_cell_is_missing(&c->rules, text, length))
        kind = GR_CSV_MISSING;
    *there = kind != GR_CSV_MISSING;
    if (!*there && c->of->unlabelled == GR_UNLABELLED_DROP) return GR_OK;
    if (!*there)
        return refuse(t, column, "no value", "a label (`unlabelled: drop` leaves such rows out)");
    if (listed && !known) return refuse(t, column, "an unknown label", "one of its categories");
    if (!listed &&
        (kind > GR_CSV_WHOLE || !(value >= 0) || value >= GR_CLASSES_MAX || value > floor(value)))
        return refuse(t, column, "no such label",
                      "a whole number from 0 to 65534, or a list of the labels in `categories`");
    t->label = listed ? (int32_t)code : (int32_t)value;
    return GR_OK;
}

/* Without rows to leave out, read_number alone says whether a value is there, and refuses as for
 * any number. */
static gr_status put_target(struct gr_csv_table *t, size_t column, bool *there) {
    const struct gr_csv_column *c = &t->column[column];
    const struct gr_csv_field *field = &t->scan.fields[column];
    double value;
    if (c->of->unlabelled == GR_UNLABELLED_DROP) {
        *there = gr_cell_number(&c->rules, field->text, field->length, &value, &t->target) !=
                 GR_CSV_MISSING;
        if (!*there) return GR_OK;
    }
    return read_number(t, column, &t->target, there);
}

/* Label and target come first: a row without them may be left out, whatever else it holds. */
static gr_status read_answers(struct gr_csv_table *t, bool *there) {
    const struct gr_columns *columns = t->columns;
    const int column[] = {columns->label, columns->target};
    gr_status status = GR_OK;
    *there = true;
    for (size_t i = 0; i < 2 && *there; i++) {
        if (column[i] < 0) continue;
        const size_t c = (size_t)column[i];
        GR_TRY(i == 0 ? put_label(t, c, there) : put_target(t, c, there));
        if (!*there && t->counting) t->column[c].found.dropped++;
    }
out:
    return status;
}

/* A group's name is text as it stands, trimmed: "NA" may be one. */
static gr_status put_group(struct gr_csv_table *t, size_t column) {
    gr_status status = check_text(t, column);
    t->group = t->scan.fields[column];
    gr_cell_trim(&t->group.text, &t->group.length);
    if (t->absent == column) return GR_OK;
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
    switch (t->column[column].of->type) {
    case GR_COLUMN_NUMBER:
    case GR_COLUMN_INTEGER:
        return put_number(t, column, value);
    case GR_COLUMN_DATE:
    case GR_COLUMN_DATETIME:
        return put_date(t, column, value);
    case GR_COLUMN_CATEGORY:
        return put_category(t, column, value);
    case GR_COLUMN_LABEL:
    case GR_COLUMN_TARGET:
        return GR_OK; /* read before */
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

/* ---- rows ----------------------------------------------------------------------------------- */

/* A field for the column that the file has not, so that all stand in their places. */
static void insert_absent(struct gr_csv_table *t) {
    struct gr_csv_scan *s = &t->scan;
    if (t->absent == SIZE_MAX || s->n_fields < t->absent || s->n_fields == s->fields_room) return;
    memmove(s->fields + t->absent + 1, s->fields + t->absent,
            (s->n_fields - t->absent) * sizeof *s->fields);
    s->fields[t->absent] = (struct gr_csv_field){"", 0, false};
    s->n_fields++;
}

static gr_status read_cells(struct gr_csv_table *t, float *values) {
    const struct gr_columns *columns = t->columns;
    gr_status status = GR_OK;
    if (t->dated) GR_TRY(read_dates(t));
    for (size_t i = 0; i < columns->schema->columns_count; i++)
        GR_TRY(put_cell(t, i, values + columns->first_value[i]));
out:
    return status;
}

/* The scanned row's cells. `refused` tells the importer that a cell, and not the file, is at fault:
 * then a guess from the first rows may have been wrong. */
static gr_status read_row(struct gr_csv_table *table, float *values, bool *there) {
    const size_t n = table->columns->schema->columns_count;
    gr_status status;
    insert_absent(table);
    if (table->scan.n_fields != n) {
        const bool absent = table->absent != SIZE_MAX;
        return gr_fail(GR_ERROR_DATA, "%s:%zu: found %zu fields, expected %zu", table->scan.path,
                       table->scan.row_line, table->scan.n_fields - absent, n - absent);
    }
    status = read_answers(table, there);
    if (status == GR_OK && *there) status = read_cells(table, values);
    table->refused = status != GR_OK;
    return status;
}

/* A row is left out by what it holds alone, so the second time through as well. */
static gr_status drop(struct gr_csv_table *table) {
    if (!table->counting) return GR_OK;
    if (table->n_dropped++ > 0) return GR_OK;
    return gr_text_format(&table->first_dropped, "%s", gr_message());
}

gr_status gr_csv_table_next(struct gr_csv_table *table, float *values, bool *more) {
    struct gr_csv_scan *scan = &table->scan;
    bool there = false;
    gr_status status;
    do {
        status = gr_csv_scan_next(scan, more);
        const bool misread = scan->misread;
        if (status == GR_OK && !*more) goto out;
        if (status == GR_OK) status = read_row(table, values, &there);
        if (status == GR_ERROR_DATA && table->drops && (*more || misread)) {
            there = false;
            status = drop(table);
            if (status == GR_OK && misread) status = gr_csv_scan_skip(scan);
        }
        GR_TRY(status);
    } while (!there);
out:
    return status;
}
