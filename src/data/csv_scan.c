/* SPDX-License-Identifier: Apache-2.0 */
/* CSV text to rows of fields. */
#include "data/csv_scan.h"

#include "data/reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define BUFFER_BYTES ((size_t)256 << 10)

/* What a walk along a row ended in. */
enum outcome { ROW, CUT, BAD_QUOTE, BAD_AFTER_QUOTE, BAD_RETURN, TOO_LONG, TOO_MANY, NO_MEMORY };

static gr_status refill(struct gr_csv_scan *s) {
    gr_status alive = gr_alive();
    if (alive != GR_OK) return alive;
    memmove(s->buffer, s->buffer + s->at, s->length - s->at);
    s->offset += s->at;
    s->length -= s->at;
    s->at = 0;
    if (s->length == s->room) {
        char *grown;
        if (s->room >= GR_CSV_ROW_MAX)
            return gr_fail(GR_ERROR_DATA, "%s:%zu: a row of more than %d MiB", s->path, s->line,
                           GR_CSV_ROW_MAX >> 20);
        gr_status status = gr_allocate(2 * s->room + 1, 1, "a row", &grown);
        if (status != GR_OK) return status;
        memcpy(grown, s->buffer, s->length);
        gr_free(s->buffer);
        s->buffer = grown;
        s->room *= 2;
    }
    ssize_t got;
    do
        got = pread(s->fd, s->buffer + s->length, s->room - s->length,
                    (off_t)(s->offset + s->length));
    while (got < 0 && errno == EINTR);
    if (got < 0) return gr_fail(GR_ERROR_DATA, "%s: %s", s->path, strerror(errno));
    s->length += (size_t)got;
    s->ended = got == 0;
    s->buffer[s->length] = '\n';
    return GR_OK;
}

static gr_status check_mark(struct gr_csv_scan *s) {
    static const char utf8[] = "\xEF\xBB\xBF";
    gr_status status = refill(s);
    if (status != GR_OK) return status;
    if (s->length >= 3 && memcmp(s->buffer, utf8, 3) == 0) s->at = 3;
    if (s->length >= 2 &&
        (memcmp(s->buffer, "\xFF\xFE", 2) == 0 || memcmp(s->buffer, "\xFE\xFF", 2) == 0))
        return gr_fail(GR_ERROR_DATA, "%s:1: UTF-16, expected UTF-8", s->path);
    if (s->length >= 2 && memcmp(s->buffer, "\x1F\x8B", 2) == 0)
        return gr_fail(GR_ERROR_DATA, "%s:1: compressed with gzip, expected plain text", s->path);
    return GR_OK;
}

gr_status gr_csv_scan_open(const char *path, char separator, struct gr_csv_scan *scan) {
    gr_status status;
    *scan = (struct gr_csv_scan){
        .path = path, .fd = -1, .separator = separator, .room = BUFFER_BYTES, .line = 1};
    status = gr_open_regular(path, &scan->fd, &scan->file_size);
    if (status != GR_OK) {
        scan->fd = -1;
        return status;
    }
    scan->fields_room = 256;
    GR_TRY(gr_allocate(scan->room + 1, 1, "CSV text", &scan->buffer));
    GR_TRY(gr_allocate(scan->fields_room, sizeof *scan->fields, "fields", &scan->fields));
    GR_TRY(check_mark(scan));
out:
    if (status != GR_OK) gr_csv_scan_close(scan);
    return status;
}

void gr_csv_scan_close(struct gr_csv_scan *scan) {
    if (scan->fd > 0) close(scan->fd);
    gr_free(scan->buffer);
    gr_free(scan->fields);
    *scan = (struct gr_csv_scan){.fd = -1};
}

gr_status gr_csv_scan_seek(struct gr_csv_scan *scan, size_t offset, size_t line) {
    /* What has been read is not read again from the buffer: its quotes have been settled there. */
    scan->line = line;
    if (offset == scan->offset + scan->at) return GR_OK;
    scan->offset = offset;
    scan->at = scan->length = 0;
    scan->ended = false;
    return refill(scan);
}

_Static_assert(GR_CSV_COLUMNS_MAX == 10000 && GR_CSV_FIELD_MAX == 65536, "stand in messages below");

/* ---- a row ---------------------------------------------------------------------------------- */

/* ROW: it has been added. */
static enum outcome add_field(struct gr_csv_scan *s, const char *text, size_t length, bool quoted) {
    if (s->n_fields == GR_CSV_COLUMNS_MAX) return TOO_MANY;
    if (s->n_fields == s->fields_room) {
        struct gr_csv_field *grown;
        if (gr_allocate(2 * s->fields_room, sizeof *grown, "fields", &grown) != GR_OK)
            return NO_MEMORY;
        memcpy(grown, s->fields, s->n_fields * sizeof *grown);
        gr_free(s->fields);
        s->fields = grown;
        s->fields_room *= 2;
    }
    s->fields[s->n_fields++] = (struct gr_csv_field){text, length, quoted};
    return ROW;
}

/* From behind the opening quote to behind the closing one; NULL: the text ends before. */
static const char *close_quote(const char *p, const char *end) {
    for (; (p = memchr(p, '"', (size_t)(end - p))) != NULL; p += 2) {
        if (p + 1 < end && p[1] == '"') continue;
        return p + 1;
    }
    return NULL;
}

/*
 * Walks from `at` over one row, *next is behind it. CUT: its end is not in the buffer. The buffer's
 * last byte is a line end, so that no bound is looked at between special bytes.
 */
static enum outcome walk(struct gr_csv_scan *s, const char **next) {
    const char *p = s->buffer + s->at, *end = s->buffer + s->length;
    const char separator = s->separator;
    s->n_fields = 0;
    for (;;) {
        const char *start = p;
        bool quoted = *p == '"' && p < end;
        size_t length;
        if (quoted) {
            p = close_quote(start + 1, end);
            if (!p || (p == end && !s->ended))
                return (size_t)(end - start) > GR_CSV_FIELD_MAX + 2 ? TOO_LONG
                       : p || !s->ended                             ? CUT
                                                                    : BAD_QUOTE;
            length = (size_t)(p - start) - 2;
            if (*p != separator && *p != '\n' && *p != '\r') return BAD_AFTER_QUOTE;
        } else {
            while (*p != separator && *p != '\n' && *p != '\r' && *p != '"')
                p++;
            if (*p == '"') return BAD_AFTER_QUOTE;
            length = (size_t)(p - start);
        }
        *next = p;
        if (length > GR_CSV_FIELD_MAX) return TOO_LONG;
        if (p >= end && !s->ended) return CUT;
        if (*p == '\r' && p + 1 >= end && !s->ended) return CUT;
        if (*p == '\r' && p[1] != '\n') return BAD_RETURN;
        enum outcome added = add_field(s, start + quoted, length, quoted);
        if (added != ROW) return added;
        if (*p == separator && p < end) {
            p++;
            continue;
        }
        p += *p == '\r' && p < end;
        *next = p < end ? p + 1 : end;
        return ROW;
    }
}

static gr_status refuse(const struct gr_csv_scan *s, enum outcome outcome) {
    static const char *const what[] = {
        [BAD_QUOTE] = "a quote is opened and not closed",
        [BAD_AFTER_QUOTE] = "a quote within a field, expected it doubled in a quoted field",
        [BAD_RETURN] = "a carriage return without a line feed",
        [TOO_LONG] = "more than 65536 bytes, or a quote that is not closed",
        [TOO_MANY] = "one more than the 10000 columns there may be",
    };
    if (outcome == NO_MEMORY) return GR_ERROR_INTERNAL; /* the message is there */
    return gr_fail(GR_ERROR_DATA, "%s:%zu: column %zu: %s", s->path, s->row_line, s->n_fields + 1,
                   what[outcome]);
}

/* Doubled quotes become single ones, and lines are counted. */
static void settle_quotes(struct gr_csv_scan *s, struct gr_csv_field *field) {
    char *text = s->buffer + (field->text - s->buffer), *to = text;
    for (size_t i = 0; i < field->length; i++) {
        s->line += text[i] == '\n';
        *to++ = text[i];
        i += text[i] == '"';
    }
    field->length = (size_t)(to - text);
}

static bool is_blank(const struct gr_csv_scan *s) {
    return s->n_fields == 1 && s->fields[0].length == 0 && !s->fields[0].quoted;
}

gr_status gr_csv_scan_next(struct gr_csv_scan *scan, bool *more) {
    const char *next;
    *more = false;
    for (;;) {
        if (scan->ended && scan->at == scan->length) return GR_OK;
        scan->row_line = scan->line;
        enum outcome outcome = walk(scan, &next);
        if (outcome == CUT) {
            gr_status status = refill(scan);
            if (status != GR_OK) return status;
            continue;
        }
        if (outcome != ROW) return refuse(scan, outcome);
        scan->row_offset = scan->offset + scan->at;
        scan->at = (size_t)(next - scan->buffer);
        for (size_t i = 0; i < scan->n_fields; i++)
            if (scan->fields[i].quoted) settle_quotes(scan, &scan->fields[i]);
        scan->line++;
        if (is_blank(scan)) continue;
        *more = true;
        return GR_OK;
    }
}
