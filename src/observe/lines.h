/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of JSON lines: read by whole lines; written by one writer, line by line, so that no line is
 * ever torn and none is lost while the disk is full.
 */
#ifndef GRANARY_OBSERVE_LINES_H
#define GRANARY_OBSERVE_LINES_H

#include <granary/base.h>

/*
 * Bytes that may wait in memory for a disk that is full; and the longest line of ours, which is far
 * less than the number that can wait.
 */
enum { GR_LINES_WAITING_MAX = 64 << 20, GR_LINE_MAX = 16 << 20 };

/* ---- reading -------------------------------------------------------------------------------- */

struct gr_lines_reader; /* opaque */

/* Opens PATH; a file that is not there has no lines. Errors: GR_ERROR_DATA. */
gr_status gr_lines_start(const char *path, struct gr_lines_reader **out) GR_CHECKED;
/* Where in which file reading goes on; zeros: at the beginning of any. */
struct gr_lines_place {
    uint64_t device, inode, at;
};
/*
 * As gr_lines_start, from `place` on where PATH is still that file and as long. *anew: it is not,
 * and is read from its beginning; what was read before holds no more. The caller moves place->at.
 */
gr_status gr_lines_go_on(const char *path, struct gr_lines_place *place, bool *anew,
                         struct gr_lines_reader **out) GR_CHECKED;
/*
 * The next line that ends in a newline: *line and *n without it, until the next call; NULL at the
 * end of the file or at a torn last line. Of a line longer than GR_LINE_MAX only the end is given.
 */
gr_status gr_lines_next(struct gr_lines_reader *reader, const char **line, size_t *n) GR_CHECKED;
/* Where in the file the next line begins. */
uint64_t gr_lines_at(const struct gr_lines_reader *reader);
/* At the end: whether a line without a newline stands there. */
bool gr_lines_torn(const struct gr_lines_reader *reader);
/* A descriptor of its own of the file that is read, the caller's to close; -1: there is none. */
gr_status gr_lines_copy(const struct gr_lines_reader *reader, int *fd) GR_CHECKED;
void gr_lines_end(struct gr_lines_reader *reader); /* NULL accepted */

/* Bytes from .. to - 1 of a file that stay; neighbours are joined. Start with zeros. */
struct gr_lines_range {
    uint64_t from, to;
};
struct gr_lines_kept {
    struct gr_lines_range *ranges; /* owned; for gr_free */
    size_t n, room;
};
gr_status gr_lines_keep(struct gr_lines_kept *kept, uint64_t from, uint64_t to) GR_CHECKED;

/* ---- writing -------------------------------------------------------------------------------- */

struct gr_lines; /* opaque */

/*
 * Makes PATH anew, a file of its own with what is kept of the file that `reader` has open, which
 * may be the one at PATH: whoever has the former file open does not reach this one. If the disk is
 * full the former stays until there is room. On success `kept` is the writer's.
 */
gr_status gr_lines_open(const char *path, const struct gr_lines_reader *reader,
                        struct gr_lines_kept *kept, struct gr_lines **out) GR_CHECKED;

/*
 * Appends n bytes, which end in a newline. GR_OK also when the disk is full or the quota reached:
 * the line then waits. Over GR_LINES_WAITING_MAX bytes, and for any other reason, GR_ERROR_WRITE,
 * and the line is not there.
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

/* Tries once more to write what waits; fsync; NULL accepted. Lines that fail now are lost. */
void gr_lines_close(struct gr_lines *lines);

#endif
