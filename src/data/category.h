/* SPDX-License-Identifier: Apache-2.0 */
/* Categories by text: those of a column, and those of an open column that are being collected. */
#ifndef GRANARY_DATA_CATEGORY_H
#define GRANARY_DATA_CATEGORY_H

#include <granary/data.h>

/*
 * Where all categories are whole numbers, "1" and "1.0" are one: a fraction of zeros does not
 * count, in the list and in what is looked for.
 */
struct gr_category_index {
    const char **sorted; /* in byte order; owned */
    uint32_t *code;      /* of each of them; owned */
    char *texts;         /* of them all; owned */
    uint32_t n;
    bool whole;
    enum gr_decimal decimal; /* of the column */
};
gr_status gr_category_index_create(const struct gr_column *column,
                                   struct gr_category_index *out) GR_CHECKED;
void gr_category_index_release(struct gr_category_index *index);
/* The category's code, or the number of categories. The text needs no NUL behind it. */
uint32_t gr_category_find(const struct gr_category_index *index, const char *text, size_t length);

/* The end of collecting: where all are whole numbers, those of one value become one. */
gr_status gr_categories_settle(struct gr_categories *c, enum gr_decimal decimal) GR_CHECKED;

/* Whether a text can be one: not too long, no control characters. */
bool gr_category_takes(const char *text, size_t length);
#endif
