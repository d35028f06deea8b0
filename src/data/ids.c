/* SPDX-License-Identifier: Apache-2.0 */
/* Row ids: texts that grow, the column they come from, and the part of it that an HDF5 table has
 * kept. Ids go along with predictions, and no model sees one. */
#include "data/ids.h"

#include "data/groups.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NUMBER_BYTES = 32 };

/* ---- texts ---------------------------------------------------------------------------------- */

static gr_status grow(void *array, size_t used, size_t room, size_t size) {
    void *old, *grown;
    memcpy(&old, array, sizeof old);
    gr_status status = gr_allocate(room, size, "row ids", &grown);
    if (status != GR_OK) return status;
    if (used > 0) memcpy(grown, old, used * size);
    gr_free(old);
    memcpy(array, &grown, sizeof grown);
    return GR_OK;
}

/* Texts lie behind each other without separators; `end` says where each one ends. */
gr_status gr_ids_add(struct gr_ids *ids, const char *text, size_t length) {
    const size_t used = ids->n > 0 ? ids->end[ids->n - 1] : 0;
    gr_status status = GR_OK;
    if (ids->n == ids->room) {
        const size_t room = ids->room ? 2 * ids->room : 1024;
        GR_TRY(grow(&ids->end, ids->n, room, sizeof *ids->end));
        ids->room = room;
    }
    if (used + length > ids->text_room || !ids->text) {
        const size_t room = 2 * (used + length) + 1024;
        GR_TRY(grow(&ids->text, used, room, 1));
        ids->text_room = room;
    }
    if (length > 0) memcpy(ids->text + used, text, length);
    ids->end[ids->n++] = used + length;
out:
    return status;
}

/* The memory stays for the next batch. */
void gr_ids_clear(struct gr_ids *ids) {
    ids->n = 0;
}

void gr_ids_release(struct gr_ids *ids) {
    gr_free(ids->text);
    gr_free(ids->end);
    *ids = (struct gr_ids){0};
}

const char *gr_ids_text(const struct gr_ids *ids, size_t i, size_t *length) {
    const size_t from = i > 0 ? ids->end[i - 1] : 0;
    *length = ids->end[i] - from;
    return ids->text + from;
}

/* ---- the column ----------------------------------------------------------------------------- */

gr_status gr_ids_find(const struct gr_schema *schema, const char *path, const char *name,
                      size_t *out) {
    const char **names = NULL, *nearest;
    char quoted[80], near[80] = "";
    gr_status status;
    GR_TRY(gr_allocate(schema->columns_count, sizeof *names, "names of columns", &names));
    for (size_t i = 0; i < schema->columns_count; i++) {
        names[i] = schema->columns[i].name;
        if (strcmp(names[i], name) != 0) continue;
        *out = i;
        goto out;
    }
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    nearest = gr_text_nearest(name, names, schema->columns_count);
    if (nearest) gr_text_quote(nearest, strlen(nearest), near, sizeof near);
    status = gr_fail(GR_ERROR_USAGE, "--id: found \"%s\", %s has no such column%s%s%s", quoted,
                     path, nearest ? "; nearest is \"" : "", near, nearest ? "\"" : "");
out:
    gr_free(names);
    return status;
}

/* ---- HDF5 ----------------------------------------------------------------------------------- */

static gr_status refuse(const struct gr_reader *reader, const struct gr_column *c,
                        const char *reason) {
    char name[64];
    gr_text_quote(c->name, strlen(c->name), name, sizeof name);
    return gr_fail(GR_ERROR_USAGE,
                   "--id: the column \"%s\" is of type %s, %s; predict from the CSV file", name,
                   gr_column_type_text(c->type), reason ? reason : gr_reader_features_path(reader));
}

static size_t longest_category(const struct gr_column *c) {
    size_t longest = 0;
    for (unsigned i = 0; i < c->categories_count; i++)
        if (strlen(c->categories[i]) > longest) longest = strlen(c->categories[i]);
    return longest;
}

/*
 * Row ids that are the groups' names; a file's lengths and numbers are checked before they are used
 * as places.
 */
static gr_status open_groups(struct gr_reader *reader, size_t n_rows, struct gr_id_source *out) {
    const size_t bytes = reader->shape.group_bytes;
    size_t n = 0;
    gr_status status;
    GR_TRY(gr_allocate_zero(bytes + 1, 1, "names of groups", &out->names));
    GR_TRY(reader->operations->group_names(reader, out->names));
    for (size_t i = 0; i < bytes; i++)
        n += out->names[i] == '\0';
    GR_TRY(gr_allocate(n, sizeof *out->name, "names of groups", &out->name));
    const char *at = out->names;
    for (size_t i = 0; i < n; i++, at += strlen(at) + 1) {
        out->name[i] = at;
        if (strlen(at) > out->longest) out->longest = strlen(at);
        if (!gr_text_is_utf8(at, strlen(at)) || strlen(at) > GR_GROUP_NAME_MAX)
            return gr_fail(GR_ERROR_DATA, "%s: damaged: the name of group %zu is no text",
                           gr_reader_features_path(reader), i);
    }
    GR_TRY(gr_allocate_zero(n_rows, sizeof *out->group_of, "groups of rows", &out->group_of));
    for (size_t first = 0, count; first < n_rows; first += count) {
        count = n_rows - first < GR_LABEL_WINDOW ? n_rows - first : GR_LABEL_WINDOW;
        GR_TRY(reader->operations->groups(reader, first, count, out->group_of + first));
    }
    for (size_t i = 0; i < n_rows; i++)
        if (out->group_of[i] < 0 || (size_t)out->group_of[i] >= n)
            return gr_fail(GR_ERROR_DATA, "%s: row %zu: group %d, expected 0 to %zu",
                           gr_reader_features_path(reader), i, out->group_of[i], n - 1);
out:
    return status;
}

/* Dates are stored as days or years from somewhere, which no longer is the text that stood in the
 * cell. */
gr_status gr_id_source_open(struct gr_reader *reader, const char *id, size_t n_rows,
                            struct gr_id_source *out) {
    const struct gr_columns *columns = reader->columns;
    const char *path = gr_reader_features_path(reader);
    gr_status status;
    size_t i = 0;
    if (!columns)
        return gr_fail(GR_ERROR_USAGE, "--id: %s names no columns; predict from a CSV file", path);
    GR_TRY(gr_ids_find(columns->schema, path, id, &i));
    const struct gr_column *c = &columns->schema->columns[i];
    if (c->type == GR_COLUMN_GROUP) {
        if (reader->shape.group_bytes == 0)
            return refuse(reader, c, "whose values the table does not hold");
        GR_TRY(open_groups(reader, n_rows, out));
    } else if (!gr_column_has_value(c->type) || c->type == GR_COLUMN_DATE ||
               c->type == GR_COLUMN_DATETIME) {
        return refuse(reader, c, "which an import does not keep as it was");
    } else {
        out->value = columns->first_value[i];
        out->longest = c->type == GR_COLUMN_CATEGORY ? longest_category(c) : NUMBER_BYTES;
    }
    out->column = c;
out:
    return status;
}

void gr_id_source_release(struct gr_id_source *source) {
    gr_free(source->names);
    gr_free(source->name);
    gr_free(source->group_of);
    *source = (struct gr_id_source){0};
}

/* The fewest digits that read back as the same float32. */
static int number_text(double value, char out[NUMBER_BYTES]) {
    int n = 0;
    for (int digits = 6; digits <= 9; digits++) {
        n = snprintf(out, NUMBER_BYTES, "%.*g", digits, value);
        if (strtof(out, NULL) == (float)value) break;
    }
    return n;
}

/* A code beyond the categories has no text. */
gr_status gr_id_source_add(const struct gr_id_source *source, size_t row, const float *values,
                           struct gr_ids *ids) {
    const struct gr_column *c = source->column;
    char number[NUMBER_BYTES];
    if (source->names) {
        const char *name = source->name[source->group_of[row]];
        return gr_ids_add(ids, name, strlen(name));
    }
    const float x = values[source->value];
    if (isnan(x)) return gr_ids_add(ids, "", 0);
    if (c->type == GR_COLUMN_CATEGORY) {
        const bool known = x >= 0 && x < (float)c->categories_count;
        const char *text = known ? c->categories[(uint32_t)x] : "";
        return gr_ids_add(ids, text, strlen(text));
    }
    if (c->type == GR_COLUMN_INTEGER)
        return gr_ids_add(ids, number,
                          (size_t)snprintf(number, sizeof number, "%.0f", (double)x + c->origin));
    return gr_ids_add(ids, number, (size_t)number_text((double)x + c->origin, number));
}
