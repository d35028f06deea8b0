/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV text to rows of fields (RFC 4180: quotes, doubled quotes, line ends within quotes, CRLF; a
 * UTF-8 byte order mark is passed over, as are empty lines), of plain files and of files compressed
 * with gzip. One buffer is held, which grows with the longest row up to a limit.
 *
 * A compressed file is inflated as far as the row that is asked for, and from its beginning where
 * that lies behind: readers go forwards, twice at most. Nothing is unpacked to a disk, where rows
 * would lie beside the file that its owner protects.
 *
 * Why not libcsv: it hands over field by field through callbacks, copying each, and knows neither
 * lines nor columns for a message. The scan here takes 0.25 s of processor time for a file of 226
 * MB in 24.6 million fields, libcsv 3.0.3 0.66 s.
 */
#ifndef GRANARY_DATA_CSV_SCAN_H
#define GRANARY_DATA_CSV_SCAN_H

#include <granary/base.h>

#include "data/csv_cell.h"
#include "data/csv_form.h"

/* For messages about bytes that are not UTF-8: where it is said that they are Latin-1. */
#define GR_LATIN1_WORDS    "data.csv.encoding latin1, or --encoding latin1"
#define GR_NO_HEADER_WORDS "(or `header: false`, --no-header, where the first row is data)"

enum {
    GR_CSV_FIELD_MAX = 65536,   /* bytes; an unclosed quote is found after so many */
    GR_CSV_COLUMNS_MAX = 10000, /* as many as a schema takes */
    GR_CSV_ROW_MAX = 16 << 20,  /* bytes */
};

struct gr_csv_field {
    const char *text; /* in the scan's buffer, until the next row; no NUL behind it */
    size_t length;
    bool quoted;
};

struct gr_csv_scan {
    const char *path; /* borrowed */
    int fd;
    struct gr_gunzip *gz; /* owned; NULL: the file is plain */
    struct gr_csv_form form;
    char separator;   /* blanks: a space, and tabs count too */
    char line_end;    /* '\n', or '\r' where the file has no other */
    size_t file_size; /* as it is stored */
    char *buffer;     /* owned; a line end stands behind its `length` bytes */
    size_t room, length, at;
    size_t offset; /* of buffer[0] in the text */
    bool ended;    /* the file has been read to its end */
    size_t line;   /* of the byte at `at`, from 1 */
    size_t row_line, row_offset;
    bool misread; /* the last row was refused for what it holds: gr_csv_scan_skip goes past it */
    struct gr_csv_field *fields; /* of the present row; owned */
    size_t n_fields, fields_room;
    size_t n_named; /* 0: a row's fields are handed over as they are. Else the header has been read:
                       names of rows are taken off, and empty fields beyond so many left out */
    char *decoded;  /* Latin-1: the row's texts in UTF-8; owned */
    size_t decoded_room;
};

/*
 * Errors of all: GR_ERROR_DATA with PATH:LINE and what was found. Opening finds the file's form,
 * and stands before its header, or without one before its first row.
 */
gr_status gr_csv_scan_open(const char *path, const struct gr_csv_config *csv,
                           struct gr_csv_scan *scan) GR_CHECKED;
/* The next row into scan->fields; *more false: there is none. */
gr_status gr_csv_scan_next(struct gr_csv_scan *scan, bool *more) GR_CHECKED;
/* After a row that was misread: goes behind the end of the line in which it begins, so that a quote
 * that is not closed takes no other row with it. */
gr_status gr_csv_scan_skip(struct gr_csv_scan *scan) GR_CHECKED;
/* Goes to a row that began at that offset and line. */
gr_status gr_csv_scan_seek(struct gr_csv_scan *scan, size_t offset, size_t line) GR_CHECKED;
void gr_csv_scan_close(struct gr_csv_scan *scan);
/* How many of the file_size bytes lie behind. */
size_t gr_csv_scan_done(const struct gr_csv_scan *scan);

/* The field without the spaces around it, unless it was quoted. */
void gr_csv_trim(const struct gr_csv_field *field, const char **text, size_t *length);

#endif
