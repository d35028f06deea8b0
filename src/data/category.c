/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Categories by text: those of a column, and those that are being collected. Both are sorted lists
 * of bytes, searched by halves: a column has at most some thousands, and the same list on every
 * rank must not depend on the order in which texts came. Codes are places in the column's own list,
 * not in the sorted one.
 */
#include "data/category.h"

#include <stdlib.h>
#include <string.h>

#include "data/csv_cell.h"

struct category_entry {
    const char *text;
    uint32_t code;
};

static int by_entry(const void *a, const void *b) {
    const struct category_entry *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* Of an empty list nothing is known: it is none of numbers. */
static bool all_whole(char *const *text, uint32_t n, enum gr_decimal decimal) {
    for (uint32_t i = 0; i < n; i++)
        if (!gr_is_whole(text[i], strlen(text[i]), decimal)) return false;
    return n > 0;
}

/* The texts, without fractions of zeros where `whole`, in byte order; *twice: two are the same.
 * `at` has room for all texts with their NULs; entries point into it. */
static void sort_texts(const struct gr_column *column, bool whole, char *at,
                       struct category_entry *entries, bool *twice) {
    const uint32_t n = column->categories_count;
    *twice = false;
    for (uint32_t i = 0; i < n; i++) {
        const char *text = column->categories[i];
        size_t length = strlen(text);
        if (whole) length = gr_whole_length(text, length, column->decimal);
        entries[i] = (struct category_entry){at, i};
        memcpy(at, text, length);
        at[length] = '\0';
        at += length + 1;
    }
    if (n > 0) qsort(entries, n, sizeof *entries, by_entry);
    for (uint32_t i = 1; i < n; i++)
        *twice = *twice || strcmp(entries[i - 1].text, entries[i].text) == 0;
}

gr_status gr_category_index_create(const struct gr_column *column, struct gr_category_index *out) {
    struct category_entry *entries = NULL;
    const uint32_t n = column->categories_count;
    size_t bytes = 0;
    bool twice;
    gr_status status;
    *out = (struct gr_category_index){.n = n, .decimal = column->decimal};
    for (uint32_t i = 0; i < n; i++)
        bytes += strlen(column->categories[i]) + 1;
    GR_TRY(gr_allocate(n, sizeof *entries, "categories", &entries));
    GR_TRY(gr_allocate(n, sizeof *out->sorted, "categories", &out->sorted));
    GR_TRY(gr_allocate(n, sizeof *out->code, "categories", &out->code));
    GR_TRY(gr_allocate(bytes, 1, "categories", &out->texts));
    out->whole = all_whole(column->categories, n, column->decimal);
    sort_texts(column, out->whole, out->texts, entries, &twice);
    if (twice) { /* "1" and "1.0" of an open column, by two silos: so they are two */
        out->whole = false;
        sort_texts(column, false, out->texts, entries, &twice);
    }
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
    gr_free(index->texts);
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
    if (index->whole) length = gr_whole_length(text, length, index->decimal);
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

/* *room false: the list is full, which the caller tells with the column's name. Insertion moves the
 * pointers behind: quadratic in categories, of which there are at most GR_OPEN_CATEGORIES_MAX. */
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

/* Its place in byte order, which becomes the code once collecting is over. */
uint32_t gr_categories_find(const struct gr_categories *c, const char *text) {
    uint32_t at;
    return find((const char *const *)c->text, c->n, text, strlen(text), &at) ? at : c->n;
}

/* Only now, since one text that is no number shows that "1" and "1.0" are words. */
gr_status gr_categories_settle(struct gr_categories *c, enum gr_decimal decimal) {
    struct gr_categories whole = {0};
    gr_status status = GR_OK;
    if (!all_whole(c->text, c->n, decimal)) return GR_OK;
    for (uint32_t i = 0; i < c->n; i++) {
        const size_t n = gr_whole_length(c->text[i], strlen(c->text[i]), decimal);
        bool room;
        GR_TRY(gr_categories_add(&whole, c->text[i], n, &room));
    }
    gr_categories_release(c);
    *c = whole;
    whole = (struct gr_categories){0};
out:
    gr_categories_release(&whole);
    return status;
}

/* The column takes the texts over; its old list is released. */
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
