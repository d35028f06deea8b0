/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chain of digests over the rows of a silo's own table, in the order of the file and as they were
 * read: the link of a row stands for it and for all before it, and the first link for none. So a
 * table that was added to is told from one that was changed, whichever of its rows are held out.
 * Links stay in the process.
 */
#include "data/rows.h"

#include <math.h>
#include <string.h>

/* A category counts by its name, for its place in the list is another one once the schema, or an
 * open column, has more of them. */
static void add_values(struct gr_digest *digest, const struct gr_columns *columns,
                       const float *value) {
    for (size_t v = 0; v < columns->n_values; v++) {
        const struct gr_column *column = &columns->schema->columns[columns->column_of[v]];
        const float x = value[v];
        const bool named = column->type == GR_COLUMN_CATEGORY && x >= 0 &&
                           x < (float)column->categories_count && x == floorf(x);
        const char *name = named ? column->categories[(size_t)x] : "";
        if (named)
            gr_digest_add(digest, name, strlen(name) + 1);
        else
            gr_digest_add(digest, &x, sizeof x);
    }
}

static void add_row(struct gr_digest *digest, const struct gr_table_rows *rows, size_t i) {
    const size_t row = rows->row ? rows->row[i] : i;
    gr_digest_add(digest, &rows->labels[row], sizeof *rows->labels);
    if (rows->targets) gr_digest_add(digest, &rows->targets[row], sizeof *rows->targets);
    for (size_t k = 0; k < GR_TERMS; k++)
        if (rows->terms[k]) gr_digest_add(digest, &rows->terms[k][row], sizeof *rows->terms[k]);
    if (rows->columns && rows->columns->n_values == rows->shape->n_features &&
        rows->shape->element == GR_ELEMENT_FLOAT32)
        add_values(digest, rows->columns, rows->picks[i].to);
    else
        gr_digest_add(digest, rows->picks[i].to, rows->shape->row_bytes);
}

gr_status gr_rows_chain(const struct gr_table_rows *rows, unsigned char (**out)[GR_CHAIN_BYTES]) {
    const uint64_t form[] = {rows->shape->n_features, rows->shape->element, rows->targets != NULL,
                             rows->terms[GR_TERM_WEIGHT] != NULL,
                             rows->terms[GR_TERM_OFFSET] != NULL};
    unsigned char link[GR_DIGEST_BYTES];
    struct gr_digest digest;
    gr_status status;
    GR_TRY(gr_allocate(rows->n + 1, sizeof **out, "digests of rows", out));
    gr_digest_start(&digest);
    gr_digest_add(&digest, form, sizeof form);
    gr_digest_add(&digest, &rows->shape->scale, sizeof rows->shape->scale);
    gr_digest_finish(&digest, link);
    memcpy((*out)[0], link, GR_CHAIN_BYTES);
    for (size_t i = 0; i < rows->n; i++) {
        if (i % 65536 == 0) gr_alive_on();
        gr_digest_start(&digest);
        gr_digest_add(&digest, link, sizeof link);
        add_row(&digest, rows, i);
        gr_digest_finish(&digest, link);
        memcpy((*out)[i + 1], link, GR_CHAIN_BYTES);
    }
out:
    return status;
}
