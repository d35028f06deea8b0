/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing the HDF5 form of a table: what importers share. But for gr_table_file_run only in a
 * child process (reader_child.h): what HDF5 still holds after a failure ends with it.
 */
#ifndef GRANARY_DATA_TABLE_FILE_H
#define GRANARY_DATA_TABLE_FILE_H

#include <hdf5.h>

#include "data/reader.h"

struct gr_table_file {
    const char *path;                              /* the final name; borrowed */
    char *temporary;                               /* of gr_table_file_run */
    hid_t file, features, labels, targets, groups; /* -1: not open */
    hid_t terms[GR_TERMS];                         /* likewise */
};

/* A table of which nothing is open. */
struct gr_table_file gr_table_file_at(const char *path);
/* shape->shape[0] 0: the datasets grow. shape->group_bytes not 0: there are groups. */
gr_status gr_table_file_create(struct gr_table_file *t,
                               const struct gr_table_shape *shape) GR_CHECKED;
gr_status gr_table_file_classes(struct gr_table_file *t, uint32_t n_classes) GR_CHECKED;
/* A text of n bytes: "columns", the schema as YAML; "group_names", each with a NUL behind it. */
gr_status gr_table_file_text(struct gr_table_file *t, const char *name, const char *text,
                             size_t n) GR_CHECKED;
/* Writes the findings in n columns, GR_FINDINGS counts each. */
gr_status gr_table_file_findings(struct gr_table_file *t, const int64_t *counts,
                                 size_t n) GR_CHECKED;
/* Makes a growing dataset of one or two dimensions n rows long. */
gr_status gr_table_file_grow(struct gr_table_file *t, hid_t dataset, size_t n_dims, size_t width,
                             size_t n) GR_CHECKED;
bool gr_table_file_write(hid_t dataset, const size_t *shape, size_t n_dims, size_t first, size_t n,
                         hid_t type, const void *values);
/*
 * Calls `work`, which makes the table and publishes it, in a child process. Refused while another
 * process writes the same table; after a failure nothing is left.
 */
gr_status gr_table_file_run(struct gr_table_file *t, gr_status (*work)(void *context),
                            void *context) GR_CHECKED;
/* Closes what is open; the file stays under its temporary name. */
void gr_table_file_abandon(struct gr_table_file *t);
/* Closes; on disk first, then under its name. */
gr_status gr_table_file_publish(struct gr_table_file *t) GR_CHECKED;
/* GR_ERROR_WRITE with what errno says. */
gr_status gr_table_file_failed(const struct gr_table_file *t, const char *what);

#endif
