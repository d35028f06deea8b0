/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reader of JSON lines. The buffer grows with the longest line up to GR_LINE_MAX: memory is
 * bounded whatever a file holds, and a file of any length can be read.
 */
#include "observe/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK = 256 << 10 };

struct gr_lines_reader {
    char *path; /* owned */
    int fd;     /* owned; -1: there is no file */
    char *buffer;
    size_t capacity, begin, end; /* of what the buffer holds, the rest is begin .. end - 1 */
    uint64_t at;                 /* of `begin` in the file */
    bool finished;               /* the file has been read to its end */
};

/* A reader of the file that is open, or of none. The caller owns it, and the descriptor goes with
 * it. */
static gr_status start(const char *path, int fd, struct gr_lines_reader **out) {
    gr_status status = GR_OK;
    struct gr_lines_reader *reader = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *reader, "lines", &reader));
    reader->fd = fd;
    reader->finished = fd < 0;
    GR_TRY(gr_text_format(&reader->path, "%s", path));
    GR_TRY(gr_allocate(CHUNK, 1, "lines", &reader->buffer));
    reader->capacity = CHUNK;
    *out = reader;
    return GR_OK;
out:
    if (!reader && fd >= 0) close(fd);
    gr_lines_end(reader);
    return status;
}

/* *fd -1: there is no file. */
static gr_status open_file(const char *path, int *fd, struct stat *info) {
    /* Not to wait for ever for the other end of a pipe that somebody named. */
    *fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (*fd < 0 && errno == ENOENT) return GR_OK;
    if (*fd < 0) return gr_fail(GR_ERROR_DATA, "%s: %s", path, strerror(errno));
    if (fstat(*fd, info) == 0 && S_ISREG(info->st_mode)) return GR_OK;
    close(*fd);
    return gr_fail(GR_ERROR_DATA, "%s: not a regular file", path);
}

/*
 * A file that is not there reads as empty, since runs begin without one; any other refusal is an
 * error.
 */
gr_status gr_lines_start(const char *path, struct gr_lines_reader **out) {
    struct stat info;
    int fd;
    *out = NULL;
    const gr_status status = open_file(path, &fd, &info);
    return status == GR_OK ? start(path, fd, out) : status;
}

/*
 * A file of another inode, or a shorter one, has taken the place of the former: records are written
 * anew under another name when a run goes on.
 */
gr_status gr_lines_go_on(const char *path, struct gr_lines_place *place, bool *anew,
                         struct gr_lines_reader **out) {
    struct stat info;
    int fd;
    *out = NULL;
    *anew = false;
    gr_status status = open_file(path, &fd, &info);
    if (status != GR_OK) return status;
    if (fd >= 0) {
        *anew = place->device != info.st_dev || place->inode != info.st_ino ||
                (uint64_t)info.st_size < place->at ||
                lseek(fd, (off_t)place->at, SEEK_SET) != (off_t)place->at;
        if (*anew) (void)lseek(fd, 0, SEEK_SET);
        *place = (struct gr_lines_place){info.st_dev, info.st_ino, *anew ? 0 : place->at};
    }
    status = start(path, fd, out);
    if (status == GR_OK) (*out)->at = place->at;
    return status;
}

/*
 * Moves the unread rest to the front of the buffer, and doubles the buffer if the rest fills more
 * than half of it. Lines that were handed out before are invalid then.
 */
static gr_status make_room(struct gr_lines_reader *reader) {
    const size_t left = reader->end - reader->begin;
    char *larger = reader->buffer;
    if (left > reader->capacity / 2) {
        gr_status status = gr_allocate(2 * reader->capacity, 1, "a line", &larger);
        if (status != GR_OK) return status;
        reader->capacity *= 2;
    }
    memmove(larger, reader->buffer + reader->begin, left);
    if (larger != reader->buffer) gr_free(reader->buffer);
    reader->buffer = larger;
    reader->begin = 0;
    reader->end = left;
    return GR_OK;
}

/* Reads on, behind what is in the buffer. */
static gr_status fill(struct gr_lines_reader *reader) {
    gr_status status = make_room(reader);
    if (status != GR_OK) return status;
    ssize_t n;
    do
        n = read(reader->fd, reader->buffer + reader->end, reader->capacity - reader->end);
    while (n < 0 && errno == EINTR);
    if (n < 0) return gr_fail(GR_ERROR_DATA, "%s: %s", reader->path, strerror(errno));
    reader->end += (size_t)n;
    reader->finished = n == 0;
    return GR_OK;
}

/*
 * `looked` spares bytes that have been searched already: without it a long line would be searched
 * anew with each chunk, in quadratic time. A last line without newline is not handed out: it is
 * torn, or still being written.
 */
gr_status gr_lines_next(struct gr_lines_reader *reader, const char **line, size_t *n) {
    size_t looked = 0, skipped = 0;
    *line = NULL;
    for (;;) {
        const char *from = reader->buffer + reader->begin;
        const size_t left = reader->end - reader->begin;
        const char *end = memchr(from + looked, '\n', left - looked);
        if (end) {
            gr_alive_on(); /* whoever reads a long file is waited for */
            *line = from;
            *n = (size_t)(end - from);
            reader->begin += *n + 1;
            reader->at += *n + 1 + skipped;
            return GR_OK;
        }
        looked = left;
        if (reader->finished) return GR_OK;
        if (left > GR_LINE_MAX) { /* of such a line the end will do: it is none of ours */
            skipped += left;
            reader->begin = reader->end;
            looked = 0;
        }
        gr_status status = fill(reader);
        if (status != GR_OK) return status;
    }
}

uint64_t gr_lines_at(const struct gr_lines_reader *reader) {
    return reader->at;
}

bool gr_lines_torn(const struct gr_lines_reader *reader) {
    return reader->end > reader->begin;
}

/* A duplicate of the descriptor, not a second open: the path may lead to another file by then. */
gr_status gr_lines_copy(const struct gr_lines_reader *reader, int *fd) {
    *fd = reader->fd < 0 ? -1 : fcntl(reader->fd, F_DUPFD_CLOEXEC, 0);
    if (reader->fd < 0 || *fd >= 0) return GR_OK;
    return gr_fail(GR_ERROR_WRITE, "%s: %s", reader->path, strerror(errno));
}

void gr_lines_end(struct gr_lines_reader *reader) {
    if (!reader) return;
    if (reader->fd >= 0) close(reader->fd);
    gr_free(reader->buffer);
    gr_free(reader->path);
    gr_free(reader);
}

/*
 * Neighbouring ranges are joined, so that a whole file is one range; otherwise there would be one
 * per line.
 */
gr_status gr_lines_keep(struct gr_lines_kept *kept, uint64_t from, uint64_t to) {
    if (kept->n > 0 && kept->ranges[kept->n - 1].to == from) {
        kept->ranges[kept->n - 1].to = to;
        return GR_OK;
    }
    if (kept->n == kept->room) {
        const size_t room = 2 * kept->room + 16;
        struct gr_lines_range *grown;
        gr_status status = gr_allocate(room, sizeof *grown, "lines that stay", &grown);
        if (status != GR_OK) return status;
        if (kept->n > 0) memcpy(grown, kept->ranges, kept->n * sizeof *grown);
        gr_free(kept->ranges);
        kept->ranges = grown;
        kept->room = room;
    }
    kept->ranges[kept->n++] = (struct gr_lines_range){from, to};
    return GR_OK;
}
