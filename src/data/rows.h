/* SPDX-License-Identifier: Apache-2.0 */
/* Making rows, and dealing them: what file tables and the synthetic source share. */
#ifndef GRANARY_DATA_ROWS_H
#define GRANARY_DATA_ROWS_H

#include <granary/data.h>

#include "data/reader.h"

/* Room for n rows; gr_rows_release accepts a zeroed struct. */
gr_status gr_rows_create(size_t n_rows, size_t n_features, enum gr_element element, float scale,
                         struct gr_rows *out) GR_CHECKED;
/* As `like`, of which only the form is looked at: targets, weights, offsets when it has some. */
gr_status gr_rows_create_like(size_t n_rows, const struct gr_rows *like,
                              struct gr_rows *out) GR_CHECKED;
size_t gr_rows_bytes(const struct gr_rows *rows); /* of one row's features */

/*
 * The persons of n rows of a table: whose row i is says group[row[i]] (row NULL: group[i]), a
 * number below n_groups.
 */
gr_status gr_persons_create(const uint32_t *group, uint32_t n_groups, const uint32_t *row, size_t n,
                            struct gr_persons *out) GR_CHECKED;

/* Deals the batches of a test table of n rows, and makes room in data->test. */
gr_status gr_test_create(const struct gr_share *share, size_t n, const struct gr_rows *like,
                         struct gr_data *data) GR_CHECKED;

/* Adds to data->found what is found in the silos' rows, as read, of tables with columns. */
void gr_data_count_found(struct gr_data *data);

/* The digests of all that has been read. */
void gr_data_digest(struct gr_data *data);
/* The rows of a silo's own table, as they were read, in its order. Borrowed. */
struct gr_table_rows {
    size_t n;                    /* that are used */
    const uint32_t *row;         /* n; which row of the table each is; NULL: all of them are used */
    const struct gr_pick *picks; /* n; where the features are */
    const int32_t *labels;       /* of all rows of the table */
    const float *targets;        /* likewise; NULL: there are none */
    const float *terms[GR_TERMS]; /* likewise */
    const struct gr_table_shape *shape;
    const struct gr_columns *columns; /* NULL: the table names none */
};
/* Not collective. (*out)[i]: stands for the first i rows, see gr_silo; *out: n + 1, the caller's.
 */
gr_status gr_rows_chain(const struct gr_table_rows *rows,
                        unsigned char (**out)[GR_CHAIN_BYTES]) GR_CHECKED;
/* Adds one value of a column, as read, of whose categories it is a code. */
void gr_found_count(const struct gr_column *column, float value, struct gr_found *found);

/* The synthetic source: fills n_features, n_classes, silos and test table. */
gr_status gr_synthetic_load(const struct gr_config *config, const struct gr_share *share,
                            struct gr_data *data) GR_CHECKED;

#endif
