/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which group of each slicing a row is in. Found of rows as they were read: once they are features
 * a missing value is filled, and a column that is no feature is gone. Categories are those of the
 * schema, or of the dictionary of all silos: what no silo may name is "unknown" here too.
 */
#include <granary/slices.h>

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "data/preprocess.h"

/* ---- from text ------------------------------------------------------------------------------ */

static const struct gr_column *find_column(const struct gr_schema *schema,
                                           const struct gr_slice_column *wanted) {
    for (unsigned i = 0; i < schema->columns_count; i++) {
        const char *name = schema->columns[i].name;
        if (strlen(name) == wanted->length && memcmp(name, wanted->name, wanted->length) == 0)
            return &schema->columns[i];
    }
    return NULL;
}

/* With the nearest name, which the columns of the model tell. */
static gr_status refuse_unknown(const struct gr_schema *schema,
                                const struct gr_slice_column *wanted) {
    const char **names = NULL;
    char name[GR_MESSAGE_MAX / 8], quoted[64], near[64] = "";
    gr_status status;
    GR_TRY(gr_allocate(schema->columns_count, sizeof *names, "names of columns", &names));
    for (unsigned i = 0; i < schema->columns_count; i++)
        names[i] = schema->columns[i].name;
    snprintf(name, sizeof name, "%.*s", (int)wanted->length, wanted->name);
    const char *nearest = gr_text_nearest(name, names, schema->columns_count);
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    if (nearest) gr_text_quote(nearest, strlen(nearest), near, sizeof near);
    status = gr_fail(GR_ERROR_CONFIG, "evaluate.slices: the tables have no column \"%s\"%s%s%s",
                     quoted, nearest ? "; the nearest is \"" : "", near, nearest ? "\"" : "");
out:
    gr_free(names);
    return status;
}

static gr_status refuse_type(const struct gr_column *column, const struct gr_slice_column *wanted) {
    const bool number = gr_column_is_number(column->type);
    char quoted[64];
    gr_text_quote(column->name, strlen(column->name), quoted, sizeof quoted);
    return gr_fail(
        GR_ERROR_CONFIG,
        "evaluate.slices: column \"%s\" is of type %s%s, allowed a category, or a number, "
        "integer or date with cut points: age=40/65",
        quoted, gr_column_type_text(column->type),
        number               ? " and has no cut points"
        : wanted->n_cuts > 0 ? " and has cut points"
                             : "");
}

static gr_status take_cuts(const struct gr_column *column, const struct gr_slice_column *wanted,
                           struct gr_slice_part *part) {
    gr_status status;
    GR_TRY(gr_allocate(wanted->n_cuts, sizeof *part->cut, "cut points", &part->cut));
    GR_TRY(gr_allocate(wanted->n_cuts, sizeof *part->threshold, "cut points", &part->threshold));
    for (unsigned i = 0; i < wanted->n_cuts; i++) {
        part->cut[i] = wanted->cut[i];
        /* As rows have it: a value that is written like the cut is not below it. */
        part->threshold[i] = (float)(wanted->cut[i] - column->origin);
    }
    part->n_cuts = wanted->n_cuts;
    part->n = wanted->n_cuts + 2;
out:
    return status;
}

static gr_status take_column(const struct gr_columns *columns, const struct gr_slice_column *wanted,
                             struct gr_slice_part *part) {
    const struct gr_schema *schema = columns->schema;
    const struct gr_column *column = find_column(schema, wanted);
    if (!column) return refuse_unknown(schema, wanted);
    const bool number = gr_column_is_number(column->type);
    if (!gr_column_has_value(column->type) || number != (wanted->n_cuts > 0))
        return refuse_type(column, wanted);
    part->column = (uint32_t)(column - schema->columns);
    part->value = (uint32_t)columns->first_value[part->column];
    part->n = column->categories_count + 2;
    return number ? take_cuts(column, wanted, part) : GR_OK;
}

static gr_status take_slicing(const struct gr_columns *columns, const char *text, uint32_t first,
                              struct gr_slicing *out) {
    struct gr_slice_columns wanted;
    uint64_t n = 1;
    gr_status status;
    const char *why = gr_slice_parse(text, &wanted);
    if (why) return gr_fail(GR_ERROR_CONFIG, "evaluate.slices: allowed %s", why);
    out->first = first;
    GR_TRY(gr_text_format(&out->text, "%s", text));
    for (; out->n_parts < wanted.n; out->n_parts++) {
        GR_TRY(take_column(columns, &wanted.column[out->n_parts], &out->part[out->n_parts]));
        n *= out->part[out->n_parts].n;
    }
    if (n > GR_SLICE_GROUPS_MAX - first) {
        status =
            gr_fail(GR_ERROR_CONFIG,
                    "evaluate.slices: found %llu groups in \"%.80s\", with which there are more "
                    "than the %d allowed over all slices: fewer cut points, columns of fewer "
                    "categories, or fewer slices",
                    (unsigned long long)n, text, GR_SLICE_GROUPS_MAX);
        goto out;
    }
    out->n = (uint32_t)n;
out:
    return status;
}

gr_status gr_slicings_create(char *const *texts, size_t n, const struct gr_columns *columns,
                             struct gr_slicings **out) {
    struct gr_slicings *s = NULL;
    gr_status status;
    *out = NULL;
    if (n == 0) return GR_OK;
    if (!columns)
        return gr_fail(GR_ERROR_CONFIG, "evaluate.slices: the tables' columns have no names");
    GR_TRY(gr_allocate_zero(1, sizeof *s, "slices", &s));
    GR_TRY(gr_allocate_zero(n, sizeof *s->list, "slices", &s->list));
    s->columns = columns;
    while (s->n < n) {
        struct gr_slicing *slicing = &s->list[s->n++];
        GR_TRY(take_slicing(columns, texts[s->n - 1], s->n_groups, slicing));
        s->n_groups += slicing->n;
    }
    *out = s;
    s = NULL;
out:
    gr_slicings_free(s);
    return status;
}

void gr_slicings_free(struct gr_slicings *s) {
    if (!s) return;
    for (size_t i = 0; i < s->n; i++) {
        gr_free(s->list[i].text);
        for (unsigned k = 0; k < GR_SLICE_COLUMNS_MAX; k++) {
            gr_free(s->list[i].part[k].threshold);
            gr_free(s->list[i].part[k].cut);
        }
    }
    gr_free(s->list);
    gr_free(s);
}

/* ---- rows ----------------------------------------------------------------------------------- */

/* The last group is of what is missing, that before it, of a category, of what is unknown. */
static uint32_t group_of(const struct gr_slice_part *part, const struct gr_binding_value *value,
                         float x) {
    uint32_t group = 0;
    if (isnan(x)) return part->n - 1;
    if (part->n_cuts == 0)
        return x >= 0 && x < (float)value->n_codes && rintf(x) == x &&
                       value->code[(uint32_t)x] < part->n - 2
                   ? value->code[(uint32_t)x]
                   : part->n - 2;
    while (group < part->n_cuts && x >= part->threshold[group])
        group++;
    return group;
}

gr_status gr_slicings_assign(const struct gr_slicings *s, const struct gr_preprocessing *p,
                             const struct gr_columns *columns, const char *what,
                             struct gr_rows *rows) {
    struct gr_binding binding = {0};
    gr_status status = GR_OK;
    if (!s || !rows->features || rows->n_rows == 0) return GR_OK;
    GR_TRY(gr_preprocess_check(what, rows->element, rows->scale));
    GR_TRY(gr_binding_create(p, columns, rows->n_features, what, &binding));
    gr_free(rows->groups);
    rows->groups = NULL;
    rows->n_slicings = s->n;
    GR_TRY(gr_allocate(rows->n_rows, s->n * sizeof *rows->groups, "groups of rows", &rows->groups));
    for (size_t i = 0; i < rows->n_rows; i++) {
        const float *row = (const float *)rows->features + i * rows->n_features;
        for (size_t k = 0; k < s->n; k++) {
            const struct gr_slicing *slicing = &s->list[k];
            uint32_t group = 0;
            for (unsigned j = 0; j < slicing->n_parts; j++) {
                const struct gr_slice_part *part = &slicing->part[j];
                const struct gr_binding_value *value = &binding.value[part->value];
                const bool lacks = value->from >= rows->n_features;
                group =
                    group * part->n + group_of(part, value, lacks ? (float)NAN : row[value->from]);
            }
            rows->groups[i * s->n + k] = (uint16_t)(slicing->first + group);
        }
    }
out:
    gr_binding_release(&binding);
    return status;
}

/* ---- names ---------------------------------------------------------------------------------- */

static void name_part(const struct gr_slicings *s, const struct gr_slice_part *part, uint32_t digit,
                      char *out, size_t size) {
    const struct gr_column *column = &s->columns->schema->columns[part->column];
    if (digit == part->n - 1)
        snprintf(out, size, "missing");
    else if (part->n_cuts == 0)
        snprintf(out, size, "%s",
                 digit < column->categories_count ? column->categories[digit] : "unknown");
    else if (digit == 0)
        snprintf(out, size, "below %g", part->cut[0]);
    else if (digit == part->n_cuts)
        snprintf(out, size, "from %g", part->cut[digit - 1]);
    else
        snprintf(out, size, "%g to %g", part->cut[digit - 1], part->cut[digit]);
}

void gr_slice_name(const struct gr_slicings *s, uint32_t group, char *out, size_t size) {
    const struct gr_slicing *slicing = gr_slicing_of(s, group);
    char part[GR_OPEN_CATEGORY_BYTES + 1];
    size_t used = 0;
    out[0] = '\0';
    for (unsigned i = 0; i < slicing->n_parts && used < size; i++) {
        name_part(s, &slicing->part[i], gr_slice_digit(slicing, group, i), part, sizeof part);
        const int n = snprintf(out + used, size - used, "%s%s", i > 0 ? " & " : "", part);
        used += n > 0 ? (size_t)n : 0;
    }
}
