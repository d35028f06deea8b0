/* SPDX-License-Identifier: Apache-2.0 */
/* What the columns of a CSV file seem to be. */
#include "data/csv_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { VALUES_MAX = 64, VALUE_BYTES_MAX = 256, NOTES_MAX = 20 };

struct value {
    char *text; /* owned */
    size_t length;
};

struct guess {
    size_t n_missing, n_infinite, n_fractions, n_whole, n_text;
    double low, high;
    struct value *values; /* the different ones, VALUES_MAX; NULL until there is one; owned */
    size_t n_values;
    bool many; /* there are more, or such as no category can be */
};

struct inference {
    struct gr_csv_scan scan;
    char **names;
    size_t n;
    struct guess *guess;
};

static gr_status keep_value(struct guess *g, const char *text, size_t length) {
    for (size_t i = 0; i < g->n_values; i++)
        if (g->values[i].length == length && memcmp(g->values[i].text, text, length) == 0)
            return GR_OK;
    gr_status status = GR_OK;
    g->many = g->n_values == VALUES_MAX || length > VALUE_BYTES_MAX;
    for (size_t i = 0; i < length; i++)
        g->many = g->many || (unsigned char)text[i] < 0x20 || text[i] == 0x7F;
    if (g->many) return GR_OK;
    if (!g->values) GR_TRY(gr_allocate(VALUES_MAX, sizeof *g->values, "values", &g->values));
    GR_TRY(gr_text_format(&g->values[g->n_values].text, "%.*s", (int)length, text));
    g->values[g->n_values++].length = length;
out:
    return status;
}

static gr_status look_at(struct inference *in, size_t column) {
    struct guess *g = &in->guess[column];
    const char *text;
    size_t length;
    double value;
    float nearest;
    gr_csv_trim(&in->scan.fields[column], &text, &length);
    switch (gr_csv_number(text, length, &value, &nearest)) {
    case GR_CSV_MISSING:
        g->n_missing++;
        return GR_OK;
    case GR_CSV_INFINITE:
        g->n_infinite++;
        break;
    case GR_CSV_OTHER:
        g->n_text++;
        if (gr_text_is_utf8(text, length)) break;
        return gr_fail(GR_ERROR_DATA,
                       "%s:%zu: column %zu: found bytes that are not UTF-8, expected UTF-8 text",
                       in->scan.path, in->scan.row_line, column + 1);
    case GR_CSV_OVERFLOW:
        g->n_fractions++;
        break;
    case GR_CSV_CENSORED: /* without rules there are none */
    default:
        if (g->n_whole + g->n_fractions == 0) g->low = g->high = value;
        if (value < g->low) g->low = value;
        if (value > g->high) g->high = value;
        if (floor(value) >= value && fabs(value) <= (double)GR_CSV_WHOLE_MAX)
            g->n_whole++;
        else
            g->n_fractions++;
    }
    return g->many ? GR_OK : keep_value(g, text, length);
}

static gr_status read_rows(struct inference *in, size_t limit) {
    gr_status status;
    bool more = true;
    size_t n = 0;
    for (; limit == 0 || n < limit; n++) {
        GR_TRY(gr_csv_scan_next(&in->scan, &more));
        if (!more) break;
        if (in->scan.n_fields != in->n)
            return gr_fail(GR_ERROR_DATA, "%s:%zu: found %zu fields, expected %zu", in->scan.path,
                           in->scan.row_line, in->scan.n_fields, in->n);
        for (size_t i = 0; i < in->n; i++)
            GR_TRY(look_at(in, i));
    }
    status = n > 0 ? GR_OK
                   : gr_fail(GR_ERROR_DATA, "%s: a header and no rows, expected at least one",
                             in->scan.path);
out:
    return status;
}

/* ---- what it comes to ----------------------------------------------------------------------- */

static bool is_numeric(const struct guess *g) {
    return g->n_text == 0 && g->n_whole + g->n_fractions > 0;
}

static int by_value(const void *a, const void *b) {
    const struct value *x = a, *y = b;
    return strcmp(x->text, y->text);
}

static gr_status take_categories(struct guess *g, struct gr_column *c) {
    gr_status status;
    qsort(g->values, g->n_values, sizeof *g->values, by_value);
    GR_TRY(gr_allocate_zero(g->n_values, sizeof *c->categories, "categories", &c->categories));
    c->categories_count = (unsigned)g->n_values;
    for (size_t i = 0; i < g->n_values; i++) {
        c->categories[i] = g->values[i].text;
        g->values[i].text = NULL;
    }
out:
    return status;
}

static gr_status take_range(const struct guess *g, struct gr_column *c) {
    gr_status status;
    GR_TRY(gr_allocate(2, sizeof *c->range, "a range", &c->range));
    c->range_count = 2;
    c->range[0] = g->low;
    c->range[1] = g->high;
out:
    return status;
}

static gr_status conclude_label(struct guess *g, struct gr_column *c) {
    bool numeric = is_numeric(g);
    c->type = GR_COLUMN_LABEL;
    if (numeric && (g->n_fractions > 0 || g->low < 0)) {
        c->type = GR_COLUMN_TARGET;
        return take_range(g, c);
    }
    if (numeric || (g->n_values == 0 && !g->many)) return GR_OK;
    if (!g->many) return take_categories(g, c);
    return gr_fail(GR_ERROR_DATA, "column \"%s\": found more than %d different labels", c->name,
                   VALUES_MAX);
}

static gr_status conclude(struct guess *g, const char *label, const char *group,
                          struct gr_column *c) {
    bool gaps = g->n_missing + g->n_infinite > 0;
    if (strcmp(c->name, group) == 0) {
        c->type = GR_COLUMN_GROUP;
        return GR_OK;
    }
    if (strcmp(c->name, label) == 0) return conclude_label(g, c);
    if (is_numeric(g)) {
        c->type = g->n_fractions == 0 ? GR_COLUMN_INTEGER : GR_COLUMN_NUMBER;
        c->missing = gaps ? GR_MISSING_MEAN : GR_MISSING_REFUSE;
        return take_range(g, c);
    }
    if (g->n_values == 0 || g->many) {
        c->type = GR_COLUMN_TEXT;
        return GR_OK;
    }
    c->type = GR_COLUMN_CATEGORY;
    c->missing = g->n_missing > 0 ? GR_MISSING_MODE : GR_MISSING_REFUSE;
    return take_categories(g, c);
}

static gr_status note(char **notes, const char *name, const char *what) {
    char *longer = NULL;
    gr_status status = gr_text_format(&longer, "%s%s: %s\n", *notes ? *notes : "", name, what);
    if (status != GR_OK) return status;
    gr_free(*notes);
    *notes = longer;
    return GR_OK;
}

static gr_status add_notes(const struct inference *in, char **notes) {
    gr_status status = GR_OK;
    for (size_t i = 0, n = 0; i < in->n && n < NOTES_MAX; i++) {
        const struct guess *g = &in->guess[i];
        const char *what = g->n_values == 0 && !g->many ? "no row has a value"
                           : g->n_infinite > 0 && is_numeric(g)
                               ? "has infinities, taken for missing"
                           : g->n_values == 1 && !g->many ? "the same in all rows"
                                                          : NULL;
        if (!what) continue;
        GR_TRY(note(notes, in->names[i], what));
        n++;
    }
out:
    return status;
}

/* What was asked for must be there. */
static gr_status check_group(const struct inference *in, const char *group) {
    char name[64];
    for (size_t i = 0; i < in->n; i++)
        if (strcmp(in->names[i], group) == 0) return GR_OK;
    gr_text_quote(group, strlen(group), name, sizeof name);
    return group[0] ? gr_fail(GR_ERROR_DATA, "%s: there is no column \"%s\" of groups",
                              in->scan.path, name)
                    : GR_OK;
}

static gr_status make_schema(struct inference *in, const char *label, const char *group,
                             struct gr_schema **out) {
    struct gr_schema *schema = NULL;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *schema, "a schema", &schema));
    GR_TRY(gr_allocate_zero(in->n, sizeof *schema->columns, "a schema", &schema->columns));
    schema->columns_count = (unsigned)in->n;
    for (size_t i = 0; i < in->n; i++) {
        struct gr_column *c = &schema->columns[i];
        c->name = in->names[i];
        in->names[i] = NULL;
        c->scale = GR_SCALE_DEFAULT;
        GR_TRY(gr_text_format(&c->unit, "%s", ""));
        GR_TRY(gr_text_format(&c->since, "%s", ""));
        GR_TRY(conclude(&in->guess[i], label, group, c));
    }
    *out = schema;
    schema = NULL;
out:
    gr_schema_free(schema);
    return status;
}

static void release(struct inference *in) {
    for (size_t i = 0; in->guess && i < in->n; i++) {
        for (size_t k = 0; k < in->guess[i].n_values; k++)
            gr_free(in->guess[i].values[k].text);
        gr_free(in->guess[i].values);
    }
    gr_free(in->guess);
    gr_csv_names_free(in->names, in->n);
    gr_csv_scan_close(&in->scan);
}

gr_status gr_csv_infer(const char *path, const struct gr_csv_config *csv, const char *group,
                       size_t limit, struct gr_schema **out, char **notes) {
    struct inference in = {.n = 0};
    gr_status status;
    *out = NULL;
    if (notes) *notes = NULL;
    GR_TRY(gr_csv_scan_open(path, csv, &in.scan));
    GR_TRY(gr_csv_names(&in.scan, csv->header, &in.names, &in.n));
    GR_TRY(gr_allocate_zero(in.n, sizeof *in.guess, "columns", &in.guess));
    GR_TRY(read_rows(&in, limit));
    if (notes) GR_TRY(add_notes(&in, notes));
    GR_TRY(check_group(&in, group));
    GR_TRY(make_schema(&in, csv->label, group, out));
out:
    if (status != GR_OK && notes) {
        gr_free(*notes);
        *notes = NULL;
    }
    release(&in);
    return status;
}

void gr_csv_loosen(struct gr_schema *schema) {
    for (unsigned i = 0; i < schema->columns_count; i++) {
        struct gr_column *c = &schema->columns[i];
        if (c->type == GR_COLUMN_INTEGER) c->type = GR_COLUMN_NUMBER;
        if (c->type == GR_COLUMN_NUMBER) c->missing = GR_MISSING_MEAN;
        if (c->type == GR_COLUMN_CATEGORY) {
            c->missing = GR_MISSING_MODE;
            c->open = true; /* a rare one may name somebody: what all may know is found later */
        }
        c->range_count = 0;
    }
}
