/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fit applied: rows as they were read become rows of features. It is learnt in cohort, over all
 * silos; here nothing looks at more than one row. The same functions serve training, evaluation and
 * prediction from a stored model.
 */
#include "data/preprocess.h"

#include "data/csv_cell.h"

#include <granary/slices.h>

#include <math.h>
#include <string.h>

struct gr_preprocessing {
    char *text; /* owned, like all here */
    struct gr_fit *fit;
    struct gr_columns *columns; /* NULL: the tables name none */
    size_t n_values, n_features;
};

/* A text that no schema can give is damage here: a model may be anybody's. */
static gr_status check_cells(const char *name, const struct gr_schema *schema) {
    for (unsigned i = 0; i < schema->columns_count; i++) {
        struct gr_cell_rules rules;
        const gr_status status = gr_cell_rules_create(&schema->columns[i], &rules);
        if (status != GR_OK)
            return gr_fail_context(status == GR_ERROR_CONFIG ? GR_ERROR_DATA : status,
                                   "%s: ", name);
        gr_cell_rules_release(&rules);
    }
    return GR_OK;
}

/* From text in any case, also in the run that has just fitted it: a model that is read back must do
 * exactly the same. */
gr_status gr_preprocessing_create(const char *name, const char *text,
                                  struct gr_preprocessing **out) {
    struct gr_preprocessing *p = NULL;
    struct gr_schema *schema = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *p, "preprocessing", &p));
    GR_TRY(gr_text_format(&p->text, "%s", text));
    status = gr_fit_parse(name, text, strlen(text), &p->fit);
    if (status == GR_ERROR_CONFIG) status = gr_fail(GR_ERROR_DATA, "%s", gr_message());
    GR_TRY(status);
    p->n_values = p->n_features = p->fit->fill_count;
    if (p->fit->schema.columns_count > 0) {
        GR_TRY(check_cells(name, &p->fit->schema));
        GR_TRY(gr_schema_copy(&p->fit->schema, &schema));
        GR_TRY(gr_columns_create(schema, &p->columns));
        p->n_features = p->columns->n_features;
    }
    if (p->n_features == 0) {
        status = gr_fail(GR_ERROR_DATA,
                         "%s: no column makes a feature: of open columns no category is found in "
                         "as many rows of a silo as data.disclosure_threshold",
                         name);
        goto out;
    }
    *out = p;
    p = NULL;
out:
    gr_preprocessing_free(p);
    return status;
}

void gr_preprocessing_free(struct gr_preprocessing *p) {
    if (!p) return;
    gr_columns_free(p->columns);
    gr_fit_free(p->fit);
    gr_free(p->text);
    gr_free(p);
}

const char *gr_preprocessing_text(const struct gr_preprocessing *p) {
    return p->text;
}

const struct gr_fit *gr_preprocessing_fit(const struct gr_preprocessing *p) {
    return p->fit;
}

struct gr_columns *gr_preprocessing_columns(const struct gr_preprocessing *p) {
    return p->columns;
}

size_t gr_preprocessing_values(const struct gr_preprocessing *p) {
    return p->n_values;
}

size_t gr_preprocessing_features(const struct gr_preprocessing *p) {
    return p->n_features;
}

/* ---- a table's values ----------------------------------------------------------------------- */

const struct gr_column *gr_column_find(const struct gr_schema *schema, const char *name,
                                       size_t likely) {
    if (likely < schema->columns_count && strcmp(schema->columns[likely].name, name) == 0)
        return &schema->columns[likely];
    for (unsigned i = 0; i < schema->columns_count; i++)
        if (strcmp(schema->columns[i].name, name) == 0) return &schema->columns[i];
    return NULL;
}

/* Of each category of `found` its code in `known`, or the number of those. */
static gr_status translate(const struct gr_column *found, const struct gr_column *known,
                           struct gr_binding_value *value) {
    struct gr_category_index index = {0};
    gr_status status;
    value->n_codes = found->categories_count;
    GR_TRY(gr_allocate(found->categories_count, sizeof *value->code, "categories", &value->code));
    GR_TRY(gr_category_index_create(known, &index));
    for (unsigned i = 0; i < found->categories_count; i++)
        value->code[i] =
            gr_category_find(&index, found->categories[i], strlen(found->categories[i]));
out:
    gr_category_index_release(&index);
    return status;
}

static bool is_date(enum gr_column_type type) {
    return type == GR_COLUMN_DATE || type == GR_COLUMN_DATETIME;
}

/* A number may be whole in one table and any in another. */
static bool same_kind(enum gr_column_type a, enum gr_column_type b) {
    return a == b || (gr_column_is_number(a) && gr_column_is_number(b) && is_date(a) == is_date(b));
}

/* Whether values count from the same number, or day, in the same unit. */
static bool same_origin(const struct gr_column *a, const struct gr_column *b) {
    if (is_date(a->type)) return a->in == b->in && strcmp(a->since, b->since) == 0;
    return !(a->origin < b->origin) && !(a->origin > b->origin);
}

/* Codes are translated once a category, not once a cell. */
static gr_status bind_column(const struct gr_columns *table, const char *path,
                             const struct gr_column *c, size_t likely,
                             struct gr_binding_value *value) {
    char name[64];
    const struct gr_column *found = gr_column_find(table->schema, c->name, likely);
    gr_text_quote(c->name, strlen(c->name), name, sizeof name);
    if (!found && c->slices_only) {
        value->from = SIZE_MAX; /* the model does without it */
        return GR_OK;
    }
    if (!found)
        return gr_fail(GR_ERROR_DATA, "%s: has no column \"%s\", which the model needs", path,
                       name);
    if (!same_kind(found->type, c->type))
        return gr_fail(GR_ERROR_DATA, "%s: column \"%s\": found type %s, the model needs %s", path,
                       name, gr_column_type_text(found->type), gr_column_type_text(c->type));
    if (!same_origin(found, c))
        return gr_fail(
            GR_ERROR_DATA,
            "%s: column \"%s\": found another %s than the model's: import it again by the "
            "model's schema",
            path, name, is_date(c->type) ? "`since` or `in`" : "`origin`");
    value->from = table->first_value[found - table->schema->columns];
    return c->type == GR_COLUMN_CATEGORY ? translate(found, c, value) : GR_OK;
}

/* Tables without columns bind by place, and must have as many values as the fit. */
gr_status gr_binding_create(const struct gr_preprocessing *p, const struct gr_columns *table,
                            size_t n_values, const char *path, struct gr_binding *out) {
    gr_status status;
    *out = (struct gr_binding){.n = p->n_values, .width = n_values};
    if (p->columns && !table)
        return gr_fail(GR_ERROR_DATA, "%s: it names no columns, the model needs some", path);
    if (!p->columns && n_values != p->n_values)
        return gr_fail(GR_ERROR_DATA, "%s: found %zu features in a row, the model needs %zu", path,
                       n_values, p->n_values);
    GR_TRY(gr_allocate_zero(p->n_values, sizeof *out->value, "columns", &out->value));
    for (size_t v = 0; v < p->n_values; v++) {
        if (!p->columns) {
            out->value[v].from = v;
            continue;
        }
        const uint32_t column = p->columns->column_of[v];
        GR_TRY(
            bind_column(table, path, &p->columns->schema->columns[column], column, &out->value[v]));
    }
out:
    if (status != GR_OK) gr_binding_release(out);
    return status;
}

void gr_binding_release(struct gr_binding *binding) {
    for (size_t v = 0; binding->value && v < binding->n; v++)
        gr_free(binding->value[v].code);
    gr_free(binding->value);
    *binding = (struct gr_binding){0};
}

/* ---- a row ---------------------------------------------------------------------------------- */

/* A constant column has spread 0, and becomes 0: it tells nothing. */
static float number(const struct gr_fit *fit, size_t v, float value) {
    double x = (double)value;
    if (isnan(value)) return (float)fit->fill[v];
    if (fit->low_count > 0) x = fmin(fmax(x, fit->low[v]), fit->high[v]);
    return fit->spread[v] > 0 ? (float)((x - fit->centre[v]) / fit->spread[v]) : 0.0f;
}

/* `unknown` is the number of categories: no code of any. A fill that is none (no row had a value)
 * is unknown too. */
static uint32_t code_of(const struct gr_fit *fit, const struct gr_binding_value *value, size_t v,
                        float x, uint32_t unknown) {
    if (isnan(x)) {
        const double fill = fit->fill[v];
        return fill >= 0 && fill < (double)unknown ? (uint32_t)fill : unknown;
    }
    return x >= 0 && x < (float)value->n_codes && rintf(x) == x ? value->code[(uint32_t)x]
                                                                : unknown;
}

/* An unknown category is all zeros in one-hot, and in `code` the number behind the last, for which
 * an embedding has a row. */
static float *put_category(const struct gr_column *c, uint32_t code, float *to) {
    const uint32_t n = c->categories_count;
    if (c->encode != GR_ENCODE_ONE_HOT) {
        *to = (float)code;
        return to + 1;
    }
    memset(to, 0, n * sizeof *to);
    if (code < n) to[code] = 1.0f;
    return to + n;
}

/* The indicator looks at the value as read, before it is filled. */
void gr_binding_apply(const struct gr_preprocessing *p, const struct gr_binding *binding,
                      const float *row, float *to) {
    for (size_t v = 0; v < p->n_values; v++) {
        const struct gr_binding_value *value = &binding->value[v];
        const struct gr_column *c =
            p->columns ? &p->columns->schema->columns[p->columns->column_of[v]] : NULL;
        if (c && c->slices_only) continue;
        const float x = row[value->from];
        if (c && c->type == GR_COLUMN_CATEGORY)
            to = put_category(c, code_of(p->fit, value, v, x, c->categories_count), to);
        else
            *to++ = number(p->fit, v, x);
        if (c && c->missing == GR_MISSING_INDICATOR) *to++ = isnan(x) ? 1.0f : 0.0f;
    }
}

/* ---- data ----------------------------------------------------------------------------------- */

/* Rows between signs of life. */
enum { ALIVE_ROWS = 4096 };

/* Row by row through a buffer, because features of a row may lie where its values lie. */
static gr_status apply_rows(const struct gr_preprocessing *p, const struct gr_binding *binding,
                            struct gr_rows *rows) {
    const size_t from = rows->n_features, to = p->n_features;
    const float *read = rows->features;
    float *features = NULL, *row = NULL;
    gr_status status;
    GR_TRY(gr_allocate(to, sizeof *row, "a row", &row));
    /* Where rows keep their width they stay in their place. */
    if (from != to) GR_TRY(gr_allocate(rows->n_rows, to * sizeof *features, "rows", &features));
    for (size_t i = 0; i < rows->n_rows; i++) {
        if (i % ALIVE_ROWS == 0) GR_TRY(gr_alive());
        gr_binding_apply(p, binding, read + i * from, row);
        memcpy((features ? features : (float *)rows->features) + i * to, row, to * sizeof *row);
    }
    if (features) {
        gr_free(rows->features);
        rows->features = features;
        features = NULL;
    }
    rows->n_features = to;
out:
    gr_free(features);
    gr_free(row);
    return status;
}

gr_status gr_preprocess_check(const char *what, enum gr_element element, float scale) {
    if (element == GR_ELEMENT_FLOAT32 && !(scale < 1) && !(scale > 1)) return GR_OK;
    return gr_fail(GR_ERROR_DATA,
                   "%s: found features of %s, allowed only float32 as it is with preprocessing",
                   what, element == GR_ELEMENT_FLOAT32 ? "another scale than 1" : "bytes");
}

gr_status gr_preprocess_rows(const struct gr_preprocessing *p, const struct gr_columns *columns,
                             const char *what, struct gr_rows *rows) {
    struct gr_binding binding = {0};
    gr_status status = GR_OK;
    if (!rows->features) return GR_OK;
    GR_TRY(gr_preprocess_check(what, rows->element, rows->scale));
    GR_TRY(gr_binding_create(p, columns, rows->n_features, what, &binding));
    status = apply_rows(p, &binding, rows);
out:
    gr_binding_release(&binding);
    return status;
}

/* Checks that the silos' tables have the columns that the fit was learnt from. */
static gr_status check_columns(const struct gr_data *data, const struct gr_preprocessing *p) {
    char difference[GR_DIFFERENCE_BYTES];
    if (data->n_features == 0 || !data->columns || !p->columns ||
        gr_columns_fit(data->columns->schema, p->columns->schema, difference, sizeof difference))
        return GR_OK;
    return gr_fail(GR_ERROR_CONFIG,
                   "a checkpoint of another model, config or data: the columns are not those that "
                   "preprocessing was fitted to: %s",
                   difference);
}

/* `p` is owned by data from here on, also after a failure, with its columns. The columns as read
 * are released in any case: rows fit them no longer. */
gr_status gr_data_preprocess(struct gr_data *data, struct gr_preprocessing *p) {
    struct gr_columns *read = data->columns;
    gr_status status;
    data->columns = p->columns;
    data->preprocessing = p;
    GR_TRY(check_columns(&(struct gr_data){.n_features = data->n_features, .columns = read}, p));
    for (size_t i = 0; i < data->n_local; i++) {
        struct gr_silo *silo = &data->local[i];
        const struct gr_columns *own = silo->columns ? silo->columns : read;
        GR_TRY(gr_slicings_assign(data->slicings, p, own, silo->pseudonym, &silo->validation));
        GR_TRY(gr_slicings_assign(data->slicings, p, own, silo->pseudonym, &silo->test));
        GR_TRY(gr_preprocess_rows(p, own, silo->pseudonym, &silo->train));
        GR_TRY(gr_preprocess_rows(p, own, silo->pseudonym, &silo->validation));
        GR_TRY(gr_preprocess_rows(p, own, silo->pseudonym, &silo->test));
    }
    const struct gr_columns *of_test = data->test_columns ? data->test_columns : read;
    GR_TRY(gr_slicings_assign(data->slicings, p, of_test, "test table", &data->test));
    GR_TRY(gr_preprocess_rows(p, of_test, "test table", &data->test));
    data->n_features = p->n_features;
    if (p->columns || data->n_dims == 0) {
        data->n_dims = 1;
        data->shape[0] = p->n_features;
    }
out:
    for (size_t i = 0; i < data->n_local; i++) {
        gr_columns_free(data->local[i].columns);
        data->local[i].columns = NULL;
    }
    gr_columns_free(data->test_columns);
    data->test_columns = NULL;
    gr_columns_free(read);
    return status;
}
