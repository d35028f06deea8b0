/* SPDX-License-Identifier: Apache-2.0 */
/* Categories by text: those of a column, and those that are being collected. */
#include "data/category.h"

#include <stdlib.h>
#include <string.h>

struct entry {
    const char *text;
    uint32_t code;
};

static int by_entry(const void *a, const void *b) {
    const struct entry *x = a, *y = b;
    return strcmp(x->text, y->text);
}

gr_status gr_category_index_create(const struct gr_column *column, struct gr_category_index *out) {
    struct entry *entries = NULL;
    const uint32_t n = column->categories_count;
    gr_status status;
    *out = (struct gr_category_index){.n = n};
    GR_TRY(gr_allocate(n, sizeof *entries, "categories", &entries));
    GR_TRY(gr_allocate(n, sizeof *out->sorted, "categories", &out->sorted));
    GR_TRY(gr_allocate(n, sizeof *out->code, "categories", &out->code));
    for (uint32_t i = 0; i < n; i++)
        entries[i] = (struct entry){column->categories[i], i};
    qsort(entries, n, sizeof *entries, by_entry);
    for (uint32_t i = 0; i < n; i++) {
        out->sorted[i] = entries[i].text;
        out->code[i] = entries[i].code;
    }
out:
    gr_free(entries);
    if (status != GR_OK) gr_category_index_release(out);
    return status;
}

void gr_category_index_release(struct gr_category_index *index) {
    gr_free(index->sorted);
    gr_free(index->code);
    *index = (struct gr_category_index){0};
}

/* The text has no NUL behind it, and is longer than one that it begins with. */
static int compare(const char *text, size_t length, const char *category) {
    int order = strncmp(text, category, length);
    return order != 0 ? order : category[length] == '\0' ? 0 : -1;
}

/* Where the text is in `sorted`, or would be. */
static bool find(const char *const *sorted, uint32_t n, const char *text, size_t length,
                 uint32_t *at) {
    uint32_t low = 0, high = n;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = compare(text, length, sorted[middle]);
        *at = middle;
        if (order == 0) return true;
        if (order < 0)
            high = middle;
        else
            low = middle + 1;
    }
    *at = low;
    return false;
}

uint32_t gr_category_find(const struct gr_category_index *index, const char *text, size_t length) {
    uint32_t at;
    return find(index->sorted, index->n, text, length, &at) ? index->code[at] : index->n;
}

/* ---- collecting ----------------------------------------------------------------------------- */

static gr_status grow(struct gr_categories *c) {
    char **grown;
    uint32_t room = c->room ? 2 * c->room : 16;
    if (c->n < c->room) return GR_OK;
    gr_status status = gr_allocate(room, sizeof *grown, "categories", &grown);
    if (status != GR_OK) return status;
    if (c->n > 0) memcpy(grown, c->text, c->n * sizeof *grown);
    gr_free(c->text);
    c->text = grown;
    c->room = room;
    return GR_OK;
}

bool gr_category_takes(const char *text, size_t length) {
    bool good = length > 0 && length <= GR_OPEN_CATEGORY_BYTES;
    for (size_t i = 0; good && i < length; i++)
        good = (unsigned char)text[i] >= 0x20 && text[i] != 0x7F;
    return good;
}

gr_status gr_categories_add(struct gr_categories *c, const char *text, size_t length, bool *room) {
    uint32_t at;
    char *copy = NULL;
    gr_status status;
    *room = true;
    if (find((const char *const *)c->text, c->n, text, length, &at)) return GR_OK;
    *room = c->n < GR_OPEN_CATEGORIES_MAX;
    if (!*room) return GR_OK;
    GR_TRY(grow(c));
    GR_TRY(gr_text_format(&copy, "%.*s", (int)length, text));
    memmove(c->text + at + 1, c->text + at, (c->n - at) * sizeof *c->text);
    c->text[at] = copy;
    c->n++;
out:
    return status;
}

uint32_t gr_categories_find(const struct gr_categories *c, const char *text) {
    uint32_t at;
    return find((const char *const *)c->text, c->n, text, strlen(text), &at) ? at : c->n;
}

void gr_categories_give(struct gr_categories *c, struct gr_column *column) {
    for (unsigned i = 0; i < column->categories_count; i++)
        gr_free(column->categories[i]);
    gr_free(column->categories);
    column->categories = c->text;
    column->categories_count = c->n;
    *c = (struct gr_categories){0};
}

void gr_categories_release(struct gr_categories *c) {
    for (uint32_t i = 0; i < c->n; i++)
        gr_free(c->text[i]);
    gr_free(c->text);
    *c = (struct gr_categories){0};
}
