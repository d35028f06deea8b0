/* SPDX-License-Identifier: Apache-2.0 */
/* A whole table in one process, for scoring a stored model. */
#include "data/reader.h"
#include "data/rows.h"

#include <string.h>

gr_status gr_table_load(const struct gr_table_config *table, enum gr_data_source source,
                        struct gr_rows *out) {
    struct gr_reader reader = {0};
    struct gr_rows rows = {0};
    struct gr_pick *picks = NULL;
    uint32_t n_classes;
    gr_status status;
    memset(out, 0, sizeof *out);
    GR_TRY(gr_reader_open(table, source, &reader));
    const struct gr_table_shape *shape = &reader.shape;
    const size_t n = shape->shape[0];
    GR_TRY(gr_rows_create(n, shape->n_features, shape->element, shape->scale, &rows));
    gr_free(rows.labels);
    rows.labels = NULL;
    GR_TRY(gr_reader_labels(&reader, n, &rows.labels, &n_classes));
    GR_TRY(gr_allocate(n, sizeof *picks, "a reading plan", &picks));
    for (size_t i = 0; i < n; i++)
        picks[i] = (struct gr_pick){(uint32_t)i, (char *)rows.features + i * shape->row_bytes};
    GR_TRY(gr_reader_rows(&reader, picks, n));
    *out = rows;
    memset(&rows, 0, sizeof rows);
out:
    gr_free(picks);
    gr_rows_release(&rows);
    gr_reader_close(&reader);
    return status;
}
