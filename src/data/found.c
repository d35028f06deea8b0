/* SPDX-License-Identifier: Apache-2.0 */
/* Findings in the rows of imported tables; CSV files are looked at cell by cell as they are
 * read. */
#include "data/rows.h"

#include <math.h>

/* Against the range's ends as float32 has them: a value that was equal to an end is inside. */
static bool is_outside(const struct gr_column *c, float value) {
    return c->range_count == 2 && !(value >= (float)(c->range[0] - c->origin) &&
                                    value <= (float)(c->range[1] - c->origin));
}

/* A code of an open column is never unknown here: the table's own list is all that there is before
 * the silos' are joined. */
void gr_found_count(const struct gr_column *c, float value, struct gr_found *found) {
    const bool category = c->type == GR_COLUMN_CATEGORY;
    if (isnan(value)) {
        found->missing++;
        return;
    }
    found->present++;
    if (category && !c->open &&
        !(value >= 0 && value < (float)c->categories_count && rintf(value) == value))
        found->unknown++;
    else if (!category && is_outside(c, value))
        found->outside++;
}

/* Rows of bytes (images) have no columns to be held against. */
static void count_rows(const struct gr_columns *columns, const struct gr_rows *rows,
                       struct gr_found *found) {
    const float *row = rows->features;
    if (rows->element != GR_ELEMENT_FLOAT32) return;
    for (size_t i = 0; i < rows->n_rows; i++, row += rows->n_features)
        for (size_t v = 0; v < columns->n_values; v++) {
            const uint32_t column = columns->column_of[v];
            gr_found_count(&columns->schema->columns[column], row[v], &found[column]);
        }
}

void gr_data_count_found(struct gr_data *data) {
    for (size_t i = 0; data->columns && i < data->n_local; i++) {
        struct gr_found *found = data->found + i * data->columns->schema->columns_count;
        count_rows(data->columns, &data->local[i].train, found);
        count_rows(data->columns, &data->local[i].validation, found);
        count_rows(data->columns, &data->local[i].test, found);
    }
}
