/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CSV file that a stored model is to be applied to: which of its columns are the model's. The
 * schema that is made here is of the file, in the file's order; preprocess.c maps it onto the
 * model's columns.
 */
#include "data/csv_table.h"
#include "data/preprocess.h"

#include <string.h>

/* Groups and texts are of no use to a model. Without labels the answer's columns may be there or
 * not, and are not looked at. */
static bool wants(const struct gr_column *c, bool labelled) {
    return c && c->type != GR_COLUMN_TEXT && c->type != GR_COLUMN_GROUP &&
           (labelled || (c->type != GR_COLUMN_LABEL && c->type != GR_COLUMN_TARGET &&
                         c->type != GR_COLUMN_WEIGHT));
}

static gr_status copy_words(char *const *from, unsigned n, char ***to, unsigned *count) {
    gr_status status;
    GR_TRY(gr_allocate_zero(n, sizeof **to, "words", to));
    *count = n;
    for (unsigned i = 0; i < n; i++)
        GR_TRY(gr_text_format(&(*to)[i], "%s", from[i]));
out:
    return status;
}

/* How cells are written, and what of them is stored. Texts may be dates that others count from. */
static gr_status copy_rules(const struct gr_column *from, struct gr_column *to) {
    gr_status status;
    to->decimal = from->decimal;
    to->thousands = from->thousands;
    to->percent = from->percent;
    to->origin = from->origin;
    to->format = from->format;
    to->in = from->in;
    to->unlabelled = from->unlabelled;
    gr_free(to->since);
    to->since = NULL;
    GR_TRY(gr_text_format(&to->since, "%s", from->since));
    GR_TRY(copy_words(from->affixes, from->affixes_count, &to->affixes, &to->affixes_count));
    GR_TRY(copy_words(from->missing_words, from->missing_words_count, &to->missing_words,
                      &to->missing_words_count));
    GR_TRY(copy_words(from->censored, from->censored_count, &to->censored, &to->censored_count));
out:
    return status;
}

/* The model's column but for what it makes of it. */
static gr_status copy_column(const struct gr_column *from, struct gr_column *to) {
    gr_status status = GR_OK;
    to->type = from->type;
    to->missing = from->missing;
    to->slices_only = from->slices_only;
    GR_TRY(copy_words(from->categories, from->categories_count, &to->categories,
                      &to->categories_count));
    if (from->range_count != 2) goto out;
    GR_TRY(gr_allocate(2, sizeof *to->range, "a range", &to->range));
    memcpy(to->range, from->range, 2 * sizeof *to->range);
    to->range_count = 2;
out:
    return status;
}

/* Without a header the file has the model's columns, in their order. */
static gr_status name_column(const struct gr_schema *model, bool header, char **names, size_t i,
                             struct gr_column *to) {
    if (!header && i < model->columns_count)
        return gr_text_format(&to->name, "%s", model->columns[i].name);
    to->name = names[i];
    names[i] = NULL;
    return GR_OK;
}

/* Rules of cells are copied for texts too: another column may count its dates from one. */
static gr_status fill(const struct gr_schema *model, const struct gr_csv_config *csv, bool labelled,
                      char **names, struct gr_schema *schema) {
    gr_status status = GR_OK;
    for (unsigned i = 0; i < schema->columns_count; i++) {
        struct gr_column *c = &schema->columns[i];
        c->type = GR_COLUMN_TEXT;
        c->scale = GR_SCALE_DEFAULT;
        GR_TRY(name_column(model, csv->header, names, i, c));
        GR_TRY(gr_text_format(&c->unit, "%s", ""));
        GR_TRY(gr_text_format(&c->since, "%s", ""));
        const struct gr_column *found = gr_column_find(model, c->name, i);
        if (wants(found, labelled)) GR_TRY(copy_column(found, c));
        if (found) GR_TRY(copy_rules(found, c));
    }
out:
    return status;
}

/* Columns may stand anywhere, but a row that names none of the model's is no header of its tables.
 */
static gr_status check_names(const struct gr_csv_scan *scan, const struct gr_schema *model,
                             char *const *names, size_t n) {
    char expected[64];
    for (size_t i = 0; i < n; i++)
        if (gr_column_find(model, names[i], 0)) return GR_OK;
    gr_text_quote(model->columns[0].name, strlen(model->columns[0].name), expected,
                  sizeof expected);
    return gr_fail(GR_ERROR_DATA,
                   "%s:%zu: found no name of a column of the model, expected \"%s\" and the "
                   "others " GR_NO_HEADER_WORDS,
                   scan->path, scan->row_line, expected);
}

/* The header is read here once more than the table will: the file's columns must be known before
 * rules for them can be. */
gr_status gr_csv_expect(const char *path, const struct gr_csv_config *csv,
                        const struct gr_preprocessing *p, bool labelled, struct gr_schema **out) {
    const struct gr_columns *columns = gr_preprocessing_columns(p);
    struct gr_csv_scan scan = {0};
    struct gr_schema *schema = NULL;
    char **names = NULL;
    size_t n = 0;
    gr_status status;
    *out = NULL;
    if (!columns)
        return gr_fail(GR_ERROR_DATA,
                       "%s: the model is of tables without columns, allowed only "
                       "an HDF5 table",
                       path);
    GR_TRY(gr_csv_scan_open(path, csv, &scan));
    GR_TRY(gr_csv_names(&scan, csv->header, &names, &n));
    if (csv->header) GR_TRY(check_names(&scan, columns->schema, names, n));
    GR_TRY(gr_allocate_zero(1, sizeof *schema, "a schema", &schema));
    GR_TRY(gr_allocate_zero(n, sizeof *schema->columns, "a schema", &schema->columns));
    schema->columns_count = (unsigned)n;
    GR_TRY(fill(columns->schema, csv, labelled, names, schema));
    *out = schema;
    schema = NULL;
out:
    gr_schema_free(schema);
    gr_csv_names_free(names, n);
    gr_csv_scan_close(&scan);
    return status;
}
