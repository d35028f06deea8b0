/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A CSV file as a table: its rows held against the schema and made into features, one after
 * another. Messages name file, line and column, and never what stands in a cell: they may leave the
 * silo. Names of columns are the schema's; those of the file may be cells, if it has no header.
 */
#ifndef GRANARY_DATA_CSV_TABLE_H
#define GRANARY_DATA_CSV_TABLE_H

#include <granary/data.h>

#include "data/csv_scan.h"

#define GR_CSV_WHOLE_MAX 16777216.0f /* float32 holds every whole number up to it */

struct gr_csv_column {
    const struct gr_column *of;
    const char **sorted; /* categories in byte order; owned */
    uint32_t *code;      /* of each of them; owned */
    size_t *count;       /* rows of each category, by code; owned */
    double sum;          /* of a number's values */
    size_t n;            /* values that were there */
    float fill;          /* what a missing value becomes */
    struct gr_found found;
};

struct gr_csv_table {
    struct gr_csv_scan scan;
    const struct gr_columns *columns; /* borrowed */
    struct gr_csv_column *column;     /* owned */
    bool needs_fill;                  /* some column is filled by what the whole table says */
    bool counting;                    /* the first time through: counts, sums, findings */
    bool refused;                     /* a cell is not what its column is to hold */
    /* Of the present row. */
    int32_t label; /* 0 without a label column */
    float target;
    struct gr_csv_field group;
};

/* Opens the file, and holds its header against the columns; *misfit: they differ. */
gr_status gr_csv_table_open(const char *path, const struct gr_csv_config *csv,
                            const struct gr_columns *columns, struct gr_csv_table *table,
                            bool *misfit) GR_CHECKED;
/* The next row: columns->n_features features (written where *more), label, target and group. */
gr_status gr_csv_table_next(struct gr_csv_table *table, float *features, bool *more) GR_CHECKED;
/* After the first time through: means and modes stand in for what is missing. */
void gr_csv_table_settle(struct gr_csv_table *table);
void gr_csv_table_close(struct gr_csv_table *table);

/*
 * From columns that were guessed to ones that other rows and files fit as well: whole numbers may
 * be others there, and what was seen is no range to be kept.
 */
void gr_csv_loosen(struct gr_schema *schema);

/*
 * The first row as names: there, different, UTF-8; or without a header "column1", "column2"..., and
 * the row is still to come. Names are owned by the caller: gr_csv_names_free.
 */
gr_status gr_csv_names(struct gr_csv_scan *scan, bool header, char ***names, size_t *n) GR_CHECKED;
void gr_csv_names_free(char **names, size_t n);

#endif
