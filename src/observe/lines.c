/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer of JSON lines (metrics.jsonl, events.jsonl). Training must not end because a disk is
 * full for an hour: lines then wait in memory, in order, and are written once there is room. A line
 * is in the file as a whole or not at all, so that a reader, or a crash, never meets half of one.
 *
 * Layout of `text`: lines in the file that are not synced yet, then lines that wait. A network file
 * system may report only at fsync that there was no room; unsynced lines are kept to be written
 * again.
 */
#include "observe/lines.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Bytes written and not synced that are kept, to be written again if a sync is refused. */
enum { UNSYNCED_MAX = 1 << 20, SPARE_MAX = 4 * UNSYNCED_MAX, COPY_CHUNK = 256 << 10 };

struct gr_lines {
    char *path, *temporary; /* owned */
    int fd;                 /* -1: the file could not be made anew yet, all of `text` waits */
    int source;             /* owned until then: the former file, and what stays of it; or -1 */
    struct gr_lines_kept kept;
    off_t start; /* where `text` belongs in the file */
    char *text;  /* owned: lines not synced (the last one in any case), then waiting */
    size_t length, capacity;
    size_t written;    /* bytes at the head of `text` that are in the file */
    size_t synced;     /* of them, those that were synced */
    size_t behind;     /* lines appended that wait */
    size_t last_bytes; /* of the last line appended, at the end of `text` */
};

/* ---- the disk ------------------------------------------------------------------------------- */

/* Reasons that pass when somebody makes room. */
static bool is_full(int error) {
    return error == ENOSPC || error == EDQUOT || error == EFBIG;
}

/*
 * 0, or errno after perhaps a part of it. pwrite at an explicit place, not append mode: a line that
 * failed halfway is written over by the next attempt. A write of 0 bytes is taken as no room, or
 * the loop would not end.
 */
static int put(int fd, const char *bytes, size_t n, off_t at) {
    while (n > 0) {
        ssize_t written = pwrite(fd, bytes, n, at);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return written < 0 ? errno : ENOSPC;
        bytes += written;
        n -= (size_t)written;
        at += written;
    }
    return 0;
}

/* The same, but nothing of it stays when it fails. */
static int put_whole(int fd, const char *bytes, size_t n, off_t at) {
    int error = put(fd, bytes, n, at);
    if (error && ftruncate(fd, at) != 0) error = errno;
    return error;
}

static gr_status refused(const struct gr_lines *lines, int error) {
    return gr_fail(GR_ERROR_WRITE, "%s: %s", lines->path, strerror(error));
}

/*
 * One range of the former file, to *at in the new one, in chunks: memory stays bounded. Returns 0
 * or errno.
 */
static int copy_range(const struct gr_lines *lines, struct gr_lines_range range, int fd, off_t *at,
                      char *chunk) {
    while (range.from < range.to) {
        const uint64_t left = range.to - range.from;
        ssize_t n = pread(lines->source, chunk, left < COPY_CHUNK ? (size_t)left : COPY_CHUNK,
                          (off_t)range.from);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return n < 0 ? errno : EIO; /* it has been cut since it was read */
        int error = put(fd, chunk, (size_t)n, *at);
        if (error) return error;
        range.from += (uint64_t)n;
        *at += n;
    }
    return 0;
}

/* Returns 0 or errno. Without kept ranges the new file begins empty. */
static int copy_kept(const struct gr_lines *lines, int fd) {
    off_t at = 0;
    char *chunk = NULL;
    if (lines->kept.n == 0) return 0;
    if (gr_allocate(COPY_CHUNK, 1, "lines that stay", &chunk) != GR_OK) return ENOMEM;
    int error = 0;
    for (size_t i = 0; i < lines->kept.n && !error; i++)
        error = copy_range(lines, lines->kept.ranges[i], fd, &at, chunk);
    gr_free(chunk);
    return error;
}

static void release_source(struct gr_lines *lines) {
    if (lines->source >= 0) close(lines->source);
    lines->source = -1;
    gr_free(lines->kept.ranges);
    lines->kept = (struct gr_lines_kept){0};
}

/*
 * Makes the file anew from the ranges that stay and `text`, under a temporary name, synced and then
 * renamed: at any moment the path holds either the former file or the whole new one. O_EXCL after
 * unlink makes the temporary file this writer's alone: an earlier writer that still holds its own
 * descriptor does not reach the new file.
 */
static int make_anew(struct gr_lines *lines) {
    int error = 0;
    if (unlink(lines->temporary) != 0 && errno != ENOENT) return errno;
    int fd = open(lines->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return errno;
    error = copy_kept(lines, fd);
    if (!error) error = put(fd, lines->text, lines->length, lines->start);
    if (!error && fsync(fd) != 0) error = errno;
    if (!error && rename(lines->temporary, lines->path) != 0) error = errno;
    if (error) {
        close(fd);
        unlink(lines->temporary);
        return error;
    }
    release_source(lines);
    lines->fd = fd;
    /*
     * The file has been synced before the rename, so nothing in memory is needed for it any more.
     */
    lines->written = lines->synced = lines->length;
    lines->behind = 0;
    return 0;
}

/* ---- the text in memory --------------------------------------------------------------------- */

/* Doubles, so that n appends copy O(n) bytes in all. */
static gr_status make_room(struct gr_lines *lines, size_t n) {
    char *text;
    size_t capacity = 2 * (lines->length + n);
    if (lines->length + n <= lines->capacity) return GR_OK;
    gr_status status = gr_allocate(capacity, 1, "lines that wait", &text);
    if (status != GR_OK) return status;
    memcpy(text, lines->text, lines->length);
    gr_free(lines->text);
    lines->text = text;
    lines->capacity = capacity;
    return GR_OK;
}

/* Room has been made. */
static void add_text(struct gr_lines *lines, const char *bytes, size_t n) {
    memcpy(lines->text + lines->length, bytes, n);
    lines->length += n;
}

static size_t less(size_t from, size_t n) {
    return from > n ? from - n : 0;
}

/* The room of all that waited. */
static void give_back(struct gr_lines *lines) {
    char *text;
    if (gr_allocate(UNSYNCED_MAX, 1, "lines", &text) != GR_OK) return;
    memcpy(text, lines->text, lines->length);
    gr_free(lines->text);
    lines->text = text;
    lines->capacity = UNSYNCED_MAX;
}

/*
 * Lets go of bytes that are in the file, but for the last line, which gr_lines_replace_last may
 * need. Room that a long wait had claimed is given back.
 */
static void forget_written(struct gr_lines *lines) {
    size_t n = lines->behind > 0 ? lines->written : lines->length - lines->last_bytes;
    lines->start += (off_t)n;
    lines->length -= n;
    lines->written -= n;
    lines->synced = less(lines->synced, n);
    memmove(lines->text, lines->text + n, lines->length);
    if (lines->capacity > SPARE_MAX && lines->length < UNSYNCED_MAX) give_back(lines);
}

/*
 * Writes what waits, as far as there is room; GR_OK also when there is none. Line by line: each is
 * then in the file whole, and `written` marks how far it went.
 */
static gr_status write_waiting(struct gr_lines *lines) {
    if (lines->fd < 0) {
        int error = make_anew(lines);
        if (error) return is_full(error) ? GR_OK : refused(lines, error);
        forget_written(lines);
        return gr_file_sync_folder(lines->path);
    }
    while (lines->behind > 0) {
        const char *line = lines->text + lines->written;
        const char *end = memchr(line, '\n', lines->length - lines->written);
        size_t n = (size_t)(end + 1 - line);
        int error = put_whole(lines->fd, line, n, lines->start + (off_t)lines->written);
        if (error) return is_full(error) ? GR_OK : refused(lines, error);
        lines->written += n;
        lines->behind--;
    }
    if (lines->written > UNSYNCED_MAX) forget_written(lines);
    return GR_OK;
}

/* ---- the writer ----------------------------------------------------------------------------- */

/* Bytes before `start` in the new file are the kept ranges, copied when the file can be made. */
gr_status gr_lines_open(const char *path, const struct gr_lines_reader *reader,
                        struct gr_lines_kept *kept, struct gr_lines **out) {
    gr_status status = GR_OK;
    struct gr_lines *lines = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *lines, "lines", &lines));
    lines->fd = lines->source = -1;
    GR_TRY(gr_text_format(&lines->path, "%s", path));
    GR_TRY(gr_text_format(&lines->temporary, "%s.tmp", path));
    GR_TRY(gr_allocate(1, 1, "lines", &lines->text));
    lines->capacity = 1;
    GR_TRY(gr_lines_copy(reader, &lines->source));
    lines->kept = *kept;
    *kept = (struct gr_lines_kept){0};
    for (size_t i = 0; i < lines->kept.n; i++)
        lines->start += (off_t)(lines->kept.ranges[i].to - lines->kept.ranges[i].from);
    GR_TRY(write_waiting(lines));
    *out = lines;
    lines = NULL;
out:
    gr_lines_close(lines);
    return status;
}

/*
 * On an error the line is taken back out of memory, so that the caller's chain does not count it.
 * If the line itself was written and only the folder's sync failed, it counts.
 */
gr_status gr_lines_append(struct gr_lines *lines, const char *line, size_t n) {
    /* The bound is on waiting bytes alone; unsynced ones are bounded by UNSYNCED_MAX and a line. */
    if (lines->length - lines->written + n > GR_LINES_WAITING_MAX)
        return gr_fail(GR_ERROR_WRITE, "%s: the disk is full, and %zu lines wait, allowed %d MiB",
                       lines->path, lines->behind, GR_LINES_WAITING_MAX >> 20);
    gr_status status = make_room(lines, n);
    if (status != GR_OK) return status;
    const size_t before = lines->last_bytes;
    add_text(lines, line, n);
    lines->last_bytes = n;
    lines->behind++;
    status = write_waiting(lines);
    /* Written, under a name that may not be on disk yet. */
    if (lines->behind == 0) return GR_OK;
    if (status == GR_OK) return status;
    lines->length -= n;
    lines->behind--;
    lines->last_bytes = before;
    return status;
}

static void exchange_last(struct gr_lines *lines, const char *line, size_t n) {
    lines->length -= lines->last_bytes;
    add_text(lines, line, n);
    lines->last_bytes = n;
}

/*
 * `line` is at least as long as the last line in the file, so that one write covers all of it. If
 * there is no room, the old line is put back; where even that fails (file systems that copy on
 * write), the line goes back to those that wait.
 */
static gr_status replace_written(struct gr_lines *lines, const char *line, size_t n) {
    size_t at = lines->length - lines->last_bytes;
    off_t place = lines->start + (off_t)at;
    int error = put(lines->fd, line, n, place);
    if (!error) {
        exchange_last(lines, line, n);
        lines->written = lines->length;
        lines->synced = lines->synced < at ? lines->synced : at;
        return GR_OK;
    }
    if (!is_full(error)) return refused(lines, error);
    if (put(lines->fd, lines->text + at, lines->last_bytes, place) == 0 &&
        ftruncate(lines->fd, place + (off_t)lines->last_bytes) == 0)
        return GR_OK;
    /* Even the old one has no room any more, where file systems never write in place. */
    lines->written = at;
    lines->synced = lines->synced < at ? lines->synced : at;
    lines->behind = 1;
    return ftruncate(lines->fd, place) == 0 ? GR_OK : refused(lines, errno);
}

/*
 * A line that still waits is exchanged in memory. A line in the file is written over in place by
 * one write, filled with blanks to the former length, so that no reader sees its end torn off.
 */
gr_status gr_lines_replace_last(struct gr_lines *lines, const char *line, size_t n) {
    gr_status status = GR_OK;
    char *padded = NULL;
    size_t bytes = n > lines->last_bytes ? n : lines->last_bytes;
    if (lines->last_bytes == 0)
        return gr_fail(GR_ERROR_INTERNAL, "%s: there is no line to be replaced", lines->path);
    GR_TRY(make_room(lines, bytes));
    if (lines->behind > 0) {
        exchange_last(lines, line, n);
        return write_waiting(lines);
    }
    /* Filled up, so that one write does it. */
    GR_TRY(gr_allocate(bytes, 1, "a line", &padded));
    memset(padded, ' ', bytes);
    memcpy(padded, line, n - 1);
    padded[bytes - 1] = '\n';
    status = replace_written(lines, padded, bytes);
out:
    gr_free(padded);
    return status;
}

/*
 * After a refused fsync the kernel may have dropped the pages: the unsynced lines count as
 * unwritten and the file is cut to its synced length, so that they are written once more.
 */
gr_status gr_lines_sync(struct gr_lines *lines) {
    gr_status status = write_waiting(lines);
    if (status != GR_OK || lines->fd < 0) return status;
    if (fsync(lines->fd) == 0) {
        lines->synced = lines->written;
        forget_written(lines);
        return GR_OK;
    }
    int error = errno;
    if (!is_full(error)) return refused(lines, error);
    /* Network file systems tell now that there was no room: what was written may be gone. */
    for (size_t i = lines->synced; i < lines->written; i++)
        lines->behind += lines->text[i] == '\n';
    lines->written = lines->synced;
    off_t end = lines->start + (off_t)lines->synced;
    return ftruncate(lines->fd, end) == 0 ? GR_OK : refused(lines, errno);
}

size_t gr_lines_behind(const struct gr_lines *lines) {
    return lines->behind;
}

/*
 * Once more tries to write what waits. The status is not returned, as a caller at its end could do
 * no more about it; gr_lines_sync before tells.
 */
void gr_lines_close(struct gr_lines *lines) {
    if (!lines) return;
    /* A failure here is found by the next reader. */
    if (lines->behind > 0 && write_waiting(lines) != GR_OK) lines->behind = 0;
    if (lines->fd >= 0) {
        fsync(lines->fd);
        close(lines->fd);
    }
    release_source(lines);
    gr_free(lines->text);
    gr_free(lines->temporary);
    gr_free(lines->path);
    gr_free(lines);
}
