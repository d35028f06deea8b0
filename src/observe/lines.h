/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of JSON lines: read by whole lines; written by one writer, line by line, so that no line is
 * ever torn and none is lost while the disk is full.
 */
#ifndef GRANARY_OBSERVE_LINES_H
#define GRANARY_OBSERVE_LINES_H

#include <granary/base.h>

/* Of a file that is read; of what waits in memory for a disk that is full. */
enum { GR_LINES_FILE_MAX = 1 << 30, GR_LINES_WAITING_MAX = 64 << 20 };

/* The whole file, or empty text when there is none. Caller frees *out. */
gr_status gr_lines_read(const char *path, char **out, size_t *length) GR_CHECKED;

/*
 * The next line that ends in a newline: *line and *n without it; false at the end of the text or at
 * a torn last line. *at: where to go on, 0 at first.
 */
bool gr_lines_next(const char *text, size_t length, size_t *at, const char **line, size_t *n);

struct gr_lines; /* opaque */

/*
 * Makes PATH anew, a file of its own with these lines, which may already stand in it: whoever has
 * the former file open does not reach this one. If the disk is full the former stays until there
 * is room.
 */
gr_status gr_lines_open(const char *path, const char *text, size_t length,
                        struct gr_lines **out) GR_CHECKED;

/*
 * Appends n bytes, which end in a newline. GR_OK also when the disk is full or the quota reached:
 * the line then waits. Over GR_LINES_WAITING_MAX bytes, and for any other reason, GR_ERROR_WRITE.
 */
gr_status gr_lines_append(struct gr_lines *lines, const char *line, size_t n) GR_CHECKED;

/*
 * Puts another line in the place of the last one appended; a shorter one is filled up with blanks.
 * GR_OK also when the disk is full: what stands in the file already may then stay as it is.
 */
gr_status gr_lines_replace_last(struct gr_lines *lines, const char *line, size_t n) GR_CHECKED;

/* fsync of what does not wait. */
gr_status gr_lines_sync(struct gr_lines *lines) GR_CHECKED;

/* Lines that wait. */
size_t gr_lines_behind(const struct gr_lines *lines);

/* Tries once more to write what waits; fsync; NULL accepted. What fails now is lost. */
void gr_lines_close(struct gr_lines *lines);

#endif
