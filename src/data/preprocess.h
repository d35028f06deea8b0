/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a table's rows, as read, go into a fit's features: the same columns by name, wherever they
 * stand, and the same categories by text, whatever their codes.
 */
#ifndef GRANARY_DATA_PREPROCESS_H
#define GRANARY_DATA_PREPROCESS_H

#include <granary/data.h>

#include "data/category.h"

/* The column of that name, NULL: there is none; looked for at `likely` first. */
const struct gr_column *gr_column_find(const struct gr_schema *schema, const char *name,
                                       size_t likely);

/* Of each value of the fit, where it stands in a row of the table, and what its codes become. */
struct gr_binding_value {
    size_t from;
    uint32_t *code; /* NULL for numbers; owned */
    uint32_t n_codes;
};
struct gr_binding {
    struct gr_binding_value *value; /* owned */
    size_t n, width;                /* width: values in a row of the table */
};
/* table NULL: it names no columns. Errors: GR_ERROR_DATA with `path` and the column. */
gr_status gr_binding_create(const struct gr_preprocessing *p, const struct gr_columns *table,
                            size_t n_values, const char *path, struct gr_binding *out) GR_CHECKED;
void gr_binding_release(struct gr_binding *binding);
/* One row as read to one of features. */
void gr_binding_apply(const struct gr_preprocessing *p, const struct gr_binding *binding,
                      const float *row, float *to);

/* All of `rows`, read with `columns`; those without features stay. what: names them. */
gr_status gr_preprocess_rows(const struct gr_preprocessing *p, const struct gr_columns *columns,
                             const char *what, struct gr_rows *rows) GR_CHECKED;

#endif
