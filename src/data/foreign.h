/* SPDX-License-Identifier: Apache-2.0 */
/* Files of other programs, told by their first bytes. */
#ifndef GRANARY_DATA_FOREIGN_H
#define GRANARY_DATA_FOREIGN_H

#include <granary/base.h>

enum { GR_FOREIGN_BYTES = 1024 }; /* that are looked at */

/*
 * "an Excel workbook (xlsx): save its sheet as CSV (UTF-8)": what a file is, and what to do, by its
 * first n bytes; NULL: text, as far as they show. HDF5, IDX and gzip are known here too:
 * a reader of those looks first.
 */
const char *gr_foreign_file(const void *bytes, size_t n);

/*
 * The same of a file, for readers that have read nothing of it: GR_ERROR_DATA with its name, or
 * GR_OK. expected: "an IDX file", "an HDF5 file"; a file of that form, and one compressed with gzip
 * where IDX is expected, is no other.
 */
gr_status gr_foreign_refuse(const char *path, const char *expected) GR_CHECKED;

#endif
