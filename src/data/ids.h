/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A row's id: the text of a column that tells rows apart and goes along with predictions. Of a CSV
 * file it is what stands in the cell, whatever the column is to the model; of an HDF5 table what
 * the file has kept: a number, a category's or a group's name.
 */
#ifndef GRANARY_DATA_IDS_H
#define GRANARY_DATA_IDS_H

#include "data/reader.h"

gr_status gr_ids_add(struct gr_ids *ids, const char *text, size_t length) GR_CHECKED;
void gr_ids_clear(struct gr_ids *ids);
void gr_ids_release(struct gr_ids *ids);

/* The place of the column `name`; GR_ERROR_USAGE, with the nearest: there is none. */
gr_status gr_ids_find(const struct gr_schema *schema, const char *path, const char *name,
                      size_t *out) GR_CHECKED;

/* Where an HDF5 table's ids are. */
struct gr_id_source {
    const struct gr_column *column; /* borrowed; NULL: none asked for, or the reader brings them */
    size_t value;                   /* its place in a row as read */
    char *names;                    /* of groups; owned; NULL: the column is none of groups */
    const char **name;              /* each; owned */
    int32_t *group_of;              /* of each row; owned */
    size_t longest;                 /* bytes */
};
/* By the reader's columns; n_rows: of the table. Errors: GR_ERROR_USAGE, GR_ERROR_DATA. */
gr_status gr_id_source_open(struct gr_reader *reader, const char *id, size_t n_rows,
                            struct gr_id_source *out) GR_CHECKED;
void gr_id_source_release(struct gr_id_source *source);
/* Adds the id of row `row`, which is `values` as read. */
gr_status gr_id_source_add(const struct gr_id_source *source, size_t row, const float *values,
                           struct gr_ids *ids) GR_CHECKED;

#endif
