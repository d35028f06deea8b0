/* SPDX-License-Identifier: Apache-2.0 */
/* Files of JSON lines: whole lines appended by single writes. */
#ifndef GRANARY_OBSERVE_LINES_H
#define GRANARY_OBSERVE_LINES_H

#include <granary/base.h>

enum { GR_LINES_FILE_MAX = 1 << 30 };

/* The whole file, or empty text when there is none. Caller frees *out. */
gr_status gr_lines_read(const char *path, char **out, size_t *length) GR_CHECKED;

/*
 * The next line that ends in a newline: *line and *n without it; false at the end of the text or at
 * a torn last line. *at: where to go on, 0 at first.
 */
bool gr_lines_next(const char *text, size_t length, size_t *at, const char **line, size_t *n);

/* Opens for appending, made if missing. */
gr_status gr_lines_open(const char *path, int *fd) GR_CHECKED;

/* Appends n bytes, which end in a newline, by one write. */
gr_status gr_lines_append(int fd, const char *path, const char *line, size_t n) GR_CHECKED;

/* fsync and close; -1 accepted. What goes wrong here is found by the next reader. */
void gr_lines_close(int fd);

#endif
