/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows' groups, whatever the format: from names in any order to places among those that occur.
 * Silos are numbered by the byte order of names, so that a table that is sorted otherwise, or cut
 * to its first rows, keeps its silos' order.
 */
#include "data/groups.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

struct named {
    const char *name;
    uint32_t number; /* in the file */
};

/* The nearest column of the schema, which all silos know, may be meant. */
static gr_status no_column(const char *path, const struct gr_columns *columns, const char *column) {
    const unsigned n = columns ? columns->schema->columns_count : 0;
    const char **names = NULL, *nearest;
    char name[64], near[64] = "";
    gr_status status;
    GR_TRY(gr_allocate(n, sizeof *names, "names", &names));
    for (unsigned i = 0; i < n; i++)
        names[i] = columns->schema->columns[i].name;
    nearest = gr_text_nearest(column, names, n);
    gr_text_quote(column, strlen(column), name, sizeof name);
    if (nearest) gr_text_quote(nearest, strlen(nearest), near, sizeof near);
    status = gr_fail(GR_ERROR_DATA, "%s: data.partition.column: there is no column \"%s\"%s%s%s",
                     path, name, nearest ? "; nearest is \"" : "", near, nearest ? "\"" : "");
out:
    gr_free(names);
    return status;
}

static gr_status check_column(const struct gr_reader *reader, const struct gr_columns *columns,
                              const char *column) {
    const char *path = gr_reader_features_path(reader);
    const char *setting = column ? "data.partition.column" : "privacy.unit";
    char name[64];
    if (!column && (!columns || columns->group < 0))
        return gr_fail(GR_ERROR_DATA,
                       "%s: privacy.unit: found no column of type group, expected "
                       "one that names the person of each row",
                       path);
    if (!column) column = columns->schema->columns[columns->group].name;
    gr_text_quote(column, strlen(column), name, sizeof name);
    for (unsigned i = 0; columns && i < columns->schema->columns_count; i++) {
        const struct gr_column *c = &columns->schema->columns[i];
        if (strcmp(c->name, column) != 0) continue;
        if ((int)i != columns->group)
            return gr_fail(GR_ERROR_DATA,
                           "%s: data.partition.column: the column \"%s\" is of type %s, expected "
                           "group",
                           path, name, gr_column_type_text(c->type));
        if (reader->shape.group_bytes > 0) return GR_OK;
        return gr_fail(GR_ERROR_DATA,
                       "%s: %s: the table does not hold the values of \"%s\"; import it again",
                       path, setting, name);
    }
    return no_column(path, columns, column);
}

static int by_name(const void *a, const void *b) {
    const struct named *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static gr_status bad_names(const struct gr_reader *reader) {
    return gr_fail(GR_ERROR_DATA,
                   "%s: damaged: the groups' names are not different texts of 1 to %d bytes",
                   gr_reader_features_path(reader), GR_GROUP_NAME_MAX);
}

/* The names in byte order; `text` has their bytes. The last byte must be a NUL before any strlen;
 * after it the number of NULs bounds the loop. */
static gr_status read_names(struct gr_reader *reader, char **text, struct named **names,
                            size_t *n) {
    const size_t bytes = reader->shape.group_bytes;
    size_t count = 0;
    gr_status status;
    GR_TRY(gr_allocate(bytes, 1, "names of groups", text));
    GR_TRY(reader->operations->group_names(reader, *text));
    if ((*text)[bytes - 1] != '\0') return bad_names(reader);
    for (size_t i = 0; i < bytes; i++)
        count += (*text)[i] == '\0';
    GR_TRY(gr_allocate(count, sizeof **names, "names of groups", names));
    const char *at = *text;
    for (size_t i = 0; i < count; i++) {
        const size_t length = strlen(at);
        if (length == 0 || length > GR_GROUP_NAME_MAX || !gr_text_is_utf8(at, length))
            return bad_names(reader);
        (*names)[i] = (struct named){at, (uint32_t)i};
        at += length + 1;
    }
    qsort(*names, count, sizeof **names, by_name);
    for (size_t i = 1; i < count; i++)
        if (strcmp((*names)[i - 1].name, (*names)[i].name) == 0) return bad_names(reader);
    *n = count;
out:
    return status;
}

/* As they stand in the file. */
static gr_status read_numbers(struct gr_reader *reader, size_t n, size_t n_names, int32_t *out) {
    gr_status status = GR_OK;
    for (size_t first = 0; first < n; first += GR_LABEL_WINDOW) {
        size_t count = n - first < GR_LABEL_WINDOW ? n - first : GR_LABEL_WINDOW;
        GR_TRY(reader->operations->groups(reader, first, count, out + first));
    }
    for (size_t i = 0; i < n; i++)
        if (out[i] < 0 || (size_t)out[i] >= n_names)
            return gr_fail(GR_ERROR_DATA, "%s: row %zu: group %d, expected 0 to %zu",
                           gr_reader_features_path(reader), i, out[i], n_names - 1);
out:
    return status;
}

/* From numbers in the file to places among the names that occur. place: n_names. */
static void place_numbers(const struct named *names, size_t n_names, const int32_t *number,
                          size_t n, uint32_t *place, struct gr_row_groups *out) {
    memset(place, 0, n_names * sizeof *place);
    for (size_t i = 0; i < n; i++)
        place[number[i]] = 1;
    for (size_t i = 0; i < n_names; i++) {
        if (!place[names[i].number]) continue;
        out->name[out->n] = names[i].name;
        place[names[i].number] = out->n++;
    }
    for (size_t i = 0; i < n; i++)
        out->group[i] = place[number[i]];
}

void gr_row_groups_release(struct gr_row_groups *groups) {
    gr_free(groups->group);
    gr_free(groups->name);
    gr_free(groups->text);
    *groups = (struct gr_row_groups){0};
}

/* Only names that occur in the first n rows make silos: with data.limit others may have none. */
gr_status gr_reader_groups(struct gr_reader *reader, const struct gr_columns *columns,
                           const char *column, size_t n, struct gr_row_groups *out) {
    struct named *names = NULL;
    int32_t *numbers = NULL;
    uint32_t *place = NULL;
    size_t n_names = 0;
    gr_status status;
    *out = (struct gr_row_groups){0};
    GR_TRY(check_column(reader, columns, column));
    GR_TRY(read_names(reader, &out->text, &names, &n_names));
    GR_TRY(gr_allocate(n, sizeof *numbers, "groups of rows", &numbers));
    GR_TRY(read_numbers(reader, n, n_names, numbers));
    GR_TRY(gr_allocate(n_names, sizeof *place, "groups", &place));
    GR_TRY(gr_allocate(n_names, sizeof *out->name, "groups", &out->name));
    GR_TRY(gr_allocate(n, sizeof *out->group, "groups of rows", &out->group));
    place_numbers(names, n_names, numbers, n, place, out);
out:
    gr_free(names);
    gr_free(numbers);
    gr_free(place);
    if (status != GR_OK) gr_row_groups_release(out);
    return status;
}
