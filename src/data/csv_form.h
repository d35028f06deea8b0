/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a CSV file is laid out, found from its first lines: its separator, what stands in front of
 * the header, and columns that hold no values. Two readings of a file find the same.
 */
#ifndef GRANARY_DATA_CSV_FORM_H
#define GRANARY_DATA_CSV_FORM_H

#include <granary/config.h>

enum { GR_FORM_LINE = 512 }; /* bytes of a form in words */

struct gr_csv_form {
    enum gr_separator separator; /* never auto */
    bool found;                  /* separator was auto */
    bool sep_line;               /* Excel's "sep=;" stands first */
    size_t n_comments;           /* lines that begin with "#" in front of the header */
    bool marked;                /* the header begins with "#", which is no part of its first name */
    bool row_names;             /* the first column has no name: it names rows */
    bool row_names_unheaded;    /* ... and no field in the header either, as R writes it */
    size_t n_empty;             /* last columns without names and values */
    bool gzip, latin1, returns; /* compressed; its bytes are Latin-1; lines end in CR alone */
};

/*
 * Looks at the n first bytes of a file's text; `whole`: there are no others. form->latin1, gzip and
 * returns have been set. *at and *line: where the header, or without one the first row, begins.
 * Errors: GR_ERROR_DATA.
 */
gr_status gr_csv_form_find(const char *path, const struct gr_csv_config *csv, const char *text,
                           size_t n, bool whole, struct gr_csv_form *form, size_t *at,
                           size_t *line) GR_CHECKED;

/* The form as a person should know it, in one line: "separator semicolon (found); 2 comment lines
 * passed over; ..."; "" where all is as one expects. */
void gr_csv_form_tell(const struct gr_csv_form *form, char out[GR_FORM_LINE]);

#endif
