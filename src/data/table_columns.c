/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a table's columns to features, and the question whether two tables' columns are the same. A
 * column's place among features follows from the schema alone; every silo and every reader of a
 * model must come to the same.
 */
#include <granary/data.h>

#include <stdio.h>
#include <string.h>

#include "data/category.h"

static bool has_value(const struct gr_column *c) {
    return gr_column_has_value(c->type);
}

/*
 * Features that a column makes: categories one-hot or as one code, and the indicator behind them.
 */
static size_t width_of(const struct gr_column *c) {
    bool hot = c->type == GR_COLUMN_CATEGORY && c->encode == GR_ENCODE_ONE_HOT;
    if (!has_value(c) || c->slices_only) return 0;
    return (hot ? c->categories_count : 1) + (c->missing == GR_MISSING_INDICATOR);
}

static void list_features(struct gr_columns *columns, unsigned column, struct gr_feature *at) {
    const struct gr_column *c = &columns->schema->columns[column];
    size_t width = width_of(c), values = width - (c->missing == GR_MISSING_INDICATOR);
    if (width == 0) return;
    for (size_t i = 0; i < width; i++) {
        enum gr_feature_kind kind = i == values                      ? GR_FEATURE_INDICATOR
                                    : c->type != GR_COLUMN_CATEGORY  ? GR_FEATURE_NUMBER
                                    : c->encode == GR_ENCODE_ONE_HOT ? GR_FEATURE_ONE_HOT
                                                                     : GR_FEATURE_CODE;
        at[i] = (struct gr_feature){kind, column, kind == GR_FEATURE_ONE_HOT ? (uint32_t)i : 0,
                                    c->categories_count};
    }
}

/* Called again when an open column's categories become known, which changes how many features it
 * makes. */
gr_status gr_columns_list(struct gr_columns *columns) {
    const struct gr_schema *schema = columns->schema;
    size_t n = 0, at = 0;
    gr_status status;
    for (unsigned i = 0; i < schema->columns_count; i++)
        n += width_of(&schema->columns[i]);
    gr_free(columns->features);
    columns->features = NULL;
    columns->n_features = n;
    GR_TRY(gr_allocate(n, sizeof *columns->features, "features", &columns->features));
    for (unsigned i = 0; i < schema->columns_count; i++) {
        list_features(columns, i, columns->features + at);
        at += width_of(&schema->columns[i]);
    }
out:
    return status;
}

/* A column without a value has the place of the next one's, and does not use it. */
static void list_values(struct gr_columns *columns) {
    for (unsigned i = 0; i < columns->schema->columns_count; i++) {
        const struct gr_column *c = &columns->schema->columns[i];
        columns->first_value[i] = columns->n_values;
        if (has_value(c)) columns->column_of[columns->n_values++] = i;
        if (c->type == GR_COLUMN_LABEL) columns->label = (int)i;
        if (c->type == GR_COLUMN_TARGET) columns->target = (int)i;
        if (c->type == GR_COLUMN_GROUP) columns->group = (int)i;
        if (c->type == GR_COLUMN_WEIGHT) columns->weight = (int)i;
        if (c->type == GR_COLUMN_OFFSET) columns->offset = (int)i;
    }
}

/* Text collected cell by cell was checked there; a table's own text may be anybody's. */
static gr_status check_open(const struct gr_schema *schema) {
    for (unsigned i = 0; i < schema->columns_count; i++) {
        const struct gr_column *c = &schema->columns[i];
        for (unsigned k = 0; c->open && k < c->categories_count; k++)
            if (!gr_category_takes(c->categories[k], strlen(c->categories[k])))
                return gr_fail(GR_ERROR_DATA,
                               "column %u: found a category that is a long text or has control "
                               "characters, expected 1 to 256 bytes",
                               i + 1);
    }
    return GR_OK;
}

/* The schema is taken over, also on failure. */
gr_status gr_columns_create(struct gr_schema *schema, struct gr_columns **out) {
    struct gr_columns *columns = NULL;
    const size_t n = schema->columns_count;
    gr_status status;
    *out = NULL;
    GR_TRY(check_open(schema));
    GR_TRY(gr_allocate_zero(1, sizeof *columns, "columns", &columns));
    columns->schema = schema;
    columns->label = columns->target = columns->group = -1;
    columns->weight = columns->offset = -1;
    GR_TRY(gr_allocate(n, sizeof *columns->first_value, "columns", &columns->first_value));
    GR_TRY(gr_allocate(n, sizeof *columns->column_of, "columns", &columns->column_of));
    list_values(columns);
    GR_TRY(gr_columns_list(columns));
    *out = columns;
    columns = NULL;
    schema = NULL;
out:
    if (columns) columns->schema = NULL;
    gr_columns_free(columns);
    if (status != GR_OK) gr_schema_free(schema);
    return status;
}

void gr_columns_free(struct gr_columns *columns) {
    if (!columns) return;
    gr_schema_free(columns->schema);
    gr_free(columns->first_value);
    gr_free(columns->column_of);
    gr_free(columns->features);
    gr_free(columns);
}

void gr_feature_name(const struct gr_columns *columns, size_t feature, char *out, size_t size) {
    const struct gr_feature *f = &columns->features[feature];
    const struct gr_column *c = &columns->schema->columns[f->column];
    snprintf(out, size, "%s%s%s", c->name,
             f->kind == GR_FEATURE_ONE_HOT     ? "="
             : f->kind == GR_FEATURE_INDICATOR ? "_missing"
                                               : "",
             f->kind == GR_FEATURE_ONE_HOT ? c->categories[f->category] : "");
}

static void quote(const char *text, char out[64]) {
    gr_text_quote(text, strlen(text), out, 64);
}

/* Categories may have been guessed from a silo's cells: they are not told. */
static bool categories_fit(const struct gr_column *a, const struct gr_column *b, char *what,
                           size_t size) {
    for (unsigned i = 0; i < a->categories_count && i < b->categories_count; i++) {
        if (strcmp(a->categories[i], b->categories[i]) == 0) continue;
        snprintf(what, size, "category %u is another", i + 1);
        return false;
    }
    if (a->categories_count == b->categories_count) return true;
    snprintf(what, size, "found %u categories, expected %u", a->categories_count,
             b->categories_count);
    return false;
}

static bool ranges_fit(const struct gr_column *a, const struct gr_column *b) {
    return a->range_count == b->range_count &&
           (a->range_count < 2 || (!(a->range[0] < b->range[0]) && !(a->range[0] > b->range[0]) &&
                                   !(a->range[1] < b->range[1]) && !(a->range[1] > b->range[1])));
}

/* The origin that values count from. */
static bool origins_fit(const struct gr_column *a, const struct gr_column *b) {
    const bool date = a->type == GR_COLUMN_DATE || a->type == GR_COLUMN_DATETIME;
    if (date && (a->in != b->in || strcmp(a->since, b->since) != 0)) return false;
    return !(a->origin < b->origin) && !(a->origin > b->origin);
}

/* The rules of preprocessing. */
static bool treatments_fit(const struct gr_column *a, const struct gr_column *b, char *what,
                           size_t size) {
    static const char *const encode[] = {"code", "one_hot"};
    if (a->slices_only != b->slices_only)
        snprintf(what, size, "found %s, expected %s", a->slices_only ? "slices_only" : "a feature",
                 b->slices_only ? "slices_only" : "a feature");
    else if (a->encode != b->encode)
        snprintf(what, size, "found encode %s, expected %s", encode[a->encode], encode[b->encode]);
    else if (a->missing != b->missing)
        snprintf(what, size, "found missing %s, expected %s", gr_missing_text(a->missing),
                 gr_missing_text(b->missing));
    else if (a->scale != b->scale)
        snprintf(what, size, "found scale %s, expected %s", gr_scale_text(a->scale),
                 gr_scale_text(b->scale));
    else if (!ranges_fit(a, b))
        snprintf(what, size, "found another range");
    else if (!origins_fit(a, b))
        snprintf(what, size, "found another origin, or `since` and `in`");
    else
        return true;
    return false;
}

/* Open columns' categories differ from silo to silo by design; they are joined later. */
static bool column_fits(const struct gr_column *a, const struct gr_column *b, char *what,
                        size_t size) {
    if (a->type != b->type)
        snprintf(what, size, "found type %s, expected %s", gr_column_type_text(a->type),
                 gr_column_type_text(b->type));
    else if (a->open != b->open)
        snprintf(what, size, "found %s categories, expected %s", a->open ? "open" : "listed",
                 b->open ? "open" : "listed");
    else
        return treatments_fit(a, b, what, size) && (a->open || categories_fit(a, b, what, size));
    return false;
}

/* A table need not have the column of groups: by it rows are dealt, and not described. */
static void pass_group(const struct gr_schema *a, const struct gr_schema *b, unsigned *i,
                       unsigned j) {
    if (*i < a->columns_count && a->columns[*i].type == GR_COLUMN_GROUP &&
        !(j < b->columns_count && b->columns[j].type == GR_COLUMN_GROUP))
        ++*i;
}

/* named: whether the names of `expected` may be told. */
static bool all_fit(const struct gr_schema *found, const struct gr_schema *expected, bool named,
                    char *difference, size_t size) {
    char name[64], what[256];
    for (unsigned i = 0, j = 0;; i++, j++) {
        pass_group(found, expected, &i, j);
        pass_group(expected, found, &j, i);
        if (i >= found->columns_count || j >= expected->columns_count) {
            if (i >= found->columns_count && j >= expected->columns_count) return true;
            break;
        }
        const struct gr_column *a = &found->columns[i], *b = &expected->columns[j];
        const char *before = named ? " (" : "", *behind = named ? ")" : "";
        quote(named ? b->name : "", name);
        if (strcmp(a->name, b->name) != 0) {
            snprintf(difference, size, "column %u: found another name%s%s%s", i + 1,
                     named ? ", expected \"" : "", name, named ? "\"" : "");
            return false;
        }
        if (column_fits(a, b, what, sizeof what)) continue;
        snprintf(difference, size, "column %u%s%s%s: %s", i + 1, before, name, behind, what);
        return false;
    }
    snprintf(difference, size, "found %u columns, expected %u", found->columns_count,
             expected->columns_count);
    return false;
}

bool gr_columns_fit(const struct gr_schema *found, const struct gr_schema *expected,
                    char *difference, size_t size) {
    return all_fit(found, expected, true, difference, size);
}

/* Names and types of a silo's own table are not told to others; of data.schema (gr_columns_fit) all
 * know them. */
bool gr_columns_alike(const struct gr_schema *found, const struct gr_schema *other,
                      char *difference, size_t size) {
    return all_fit(found, other, false, difference, size);
}

gr_status gr_columns_have_label(const struct gr_columns *columns) {
    char name[64];
    if (!columns || columns->label >= 0 || columns->target < 0) return GR_OK;
    quote(columns->schema->columns[columns->target].name, name);
    return gr_fail(
        GR_ERROR_DATA,
        "column %d (%s): numbers to be predicted, and the model has classes: data.schema "
        "gives it `type: label`, or model.type is one for numbers",
        columns->target + 1, name);
}

const char *const *gr_columns_class_names(const struct gr_columns *columns, size_t classes) {
    if (!columns || columns->label < 0) return NULL;
    const struct gr_column *label = &columns->schema->columns[columns->label];
    if (classes == 0 || label->categories_count != classes) return NULL;
    return (const char *const *)label->categories;
}
