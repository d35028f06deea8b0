/* SPDX-License-Identifier: Apache-2.0 */
/*
 * CSV text to rows of fields. Fields point into the buffer, without copies, until the next row;
 * only quotes that were doubled and Latin-1 move bytes. The scan knows nothing of columns' types.
 * Limits on field, row and columns keep a file that is no CSV from taking memory.
 */
#include "data/csv_scan.h"

#include "data/foreign.h"
#include "data/gunzip.h"
#include "data/reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Of reading: large enough that system calls do not show, small enough for the second-level cache.
 * Also the part of a file by which its form is found. */
#define BUFFER_BYTES ((size_t)256 << 10)

/* How a walk along a row ended. */
enum outcome { ROW, CUT, BAD_QUOTE, BAD_AFTER_QUOTE, BAD_RETURN, TOO_LONG, TOO_MANY, NO_MEMORY };

/* ---- bytes ---------------------------------------------------------------------------------- */

/* From `offset` on, which lies behind the last bytes read but where the file is begun anew. Bytes
 * that are passed by are inflated into `to`, which is overwritten afterwards. */
static gr_status inflate_bytes(const struct gr_csv_scan *s, char *to, size_t n, size_t offset,
                               size_t *got) {
    gr_status status = GR_OK;
    if (offset < s->gz->position) GR_TRY(gr_gunzip_start(s->gz));
    while (s->gz->position < offset) {
        const size_t left = offset - s->gz->position;
        GR_TRY(gr_gunzip_read(s->gz, to, left < n ? left : n, got));
        if (*got == 0) goto out;
    }
    status = gr_gunzip_read(s->gz, to, n, got);
out:
    return status;
}

static gr_status read_bytes(const struct gr_csv_scan *s, char *to, size_t n, size_t offset,
                            size_t *got) {
    ssize_t bytes;
    if (s->gz) return inflate_bytes(s, to, n, offset, got);
    do
        bytes = pread(s->fd, to, n, (off_t)offset);
    while (bytes < 0 && errno == EINTR);
    if (bytes < 0) return gr_fail(GR_ERROR_DATA, "%s: %s", s->path, strerror(errno));
    *got = (size_t)bytes;
    return GR_OK;
}

/*
 * Moves the rest of the buffer to its start and fills it up; a row that does not fit doubles the
 * buffer up to GR_CSV_ROW_MAX. A byte behind the end is a line's end, so that a scan needs no
 * bound.
 */
static gr_status refill(struct gr_csv_scan *s) {
    size_t got = 0;
    gr_status alive = gr_alive();
    if (alive != GR_OK) return alive;
    memmove(s->buffer, s->buffer + s->at, s->length - s->at);
    s->offset += s->at;
    s->length -= s->at;
    s->at = 0;
    if (s->length == s->room) {
        char *grown;
        s->misread = s->room >= GR_CSV_ROW_MAX;
        if (s->misread)
            return gr_fail(GR_ERROR_DATA, "%s:%zu: a row of more than %d MiB", s->path, s->line,
                           GR_CSV_ROW_MAX >> 20);
        gr_status status = gr_allocate(2 * s->room + 1, 1, "a row", &grown);
        if (status != GR_OK) return status;
        memcpy(grown, s->buffer, s->length);
        gr_free(s->buffer);
        s->buffer = grown;
        s->room *= 2;
    }
    gr_status status =
        read_bytes(s, s->buffer + s->length, s->room - s->length, s->offset + s->length, &got);
    if (status != GR_OK) return status;
    s->length += got;
    s->ended = got == 0;
    s->buffer[s->length] = s->line_end;
    return GR_OK;
}

/* ---- opening -------------------------------------------------------------------------------- */

/* By the first bytes, not by the name. The buffer's bytes are dropped, and filled again from the
 * inflated stream. */
static gr_status start_inflating(struct gr_csv_scan *s) {
    if (s->length < 2 || memcmp(s->buffer, "\x1F\x8B", 2) != 0) return GR_OK;
    gr_status status = gr_allocate_zero(1, sizeof *s->gz, "a gzip stream", &s->gz);
    if (status != GR_OK) return status;
    s->gz->path = s->path;
    s->gz->fd = s->fd;
    status = gr_gunzip_start(s->gz);
    if (status != GR_OK) return status;
    s->form.gzip = true;
    s->length = 0;
    return refill(s);
}

/* A last byte '\r' alone may be the first half of CRLF at the buffer's end. */
static bool ends_lines_in_returns(const struct gr_csv_scan *s) {
    return memchr(s->buffer, '\r', s->length) && !memchr(s->buffer, '\n', s->length) &&
           (s->length < s->room || memchr(s->buffer, '\r', s->length - 1));
}

/* The file's first bytes, of which its form is found. */
static gr_status look(struct gr_csv_scan *s, const struct gr_csv_config *csv) {
    static const char utf8[] = "\xEF\xBB\xBF";
    gr_status status;
    GR_TRY(refill(s));
    GR_TRY(start_inflating(s));
    /* A short read is not the end. */
    while (!s->ended && s->length < s->room)
        GR_TRY(refill(s));
    const char *what = gr_foreign_file(s->buffer, s->length);
    if (what) return gr_fail(GR_ERROR_DATA, "%s: expected CSV, found %s", s->path, what);
    s->form.latin1 = csv->encoding == GR_TEXT_LATIN1;
    s->form.returns = ends_lines_in_returns(s);
    if (s->form.returns) s->line_end = '\r';
    s->buffer[s->length] = s->line_end;
    if (s->length >= 3 && memcmp(s->buffer, utf8, 3) == 0) s->at = 3;
    GR_TRY(
        gr_csv_form_find(s->path, csv, s->buffer, s->length, s->ended, &s->form, &s->at, &s->line));
    s->separator = gr_separator_byte(s->form.separator);
out:
    return status;
}

/* A byte more than the buffer's room is allocated, for the line end that stands behind it. */
gr_status gr_csv_scan_open(const char *path, const struct gr_csv_config *csv,
                           struct gr_csv_scan *scan) {
    gr_status status;
    *scan = (struct gr_csv_scan){
        .path = path, .fd = -1, .line_end = '\n', .room = BUFFER_BYTES, .line = 1};
    status = gr_open_regular(path, &scan->fd, &scan->file_size);
    if (status != GR_OK) {
        scan->fd = -1;
        return status;
    }
    scan->fields_room = 256;
    GR_TRY(gr_allocate(scan->room + 1, 1, "CSV text", &scan->buffer));
    GR_TRY(gr_allocate(scan->fields_room, sizeof *scan->fields, "fields", &scan->fields));
    GR_TRY(look(scan, csv));
out:
    if (status != GR_OK) gr_csv_scan_close(scan);
    return status;
}

void gr_csv_scan_close(struct gr_csv_scan *scan) {
    if (scan->gz) gr_gunzip_release(scan->gz);
    gr_free(scan->gz);
    if (scan->fd > 0) close(scan->fd);
    gr_free(scan->buffer);
    gr_free(scan->fields);
    gr_free(scan->decoded);
    *scan = (struct gr_csv_scan){.fd = -1};
}

/* Of a compressed file by its compressed bytes: nobody knows the text's length before its end. */
size_t gr_csv_scan_done(const struct gr_csv_scan *scan) {
    if (!scan->gz) return scan->offset + scan->at;
    return scan->ended && scan->at == scan->length ? scan->file_size : gr_gunzip_done(scan->gz);
}

/* `line` is told by the caller, who noted it with the offset: lines are not counted backwards. */
gr_status gr_csv_scan_seek(struct gr_csv_scan *scan, size_t offset, size_t line) {
    /* Cells already read are not read again from the buffer: their quotes have been settled there.
     */
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
    if (s->n_fields + 1 == s->fields_room) { /* with room for one more, see gr_csv_table_next */
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

static bool is_blank_byte(char byte) {
    return byte == ' ' || byte == '\t';
}

/* Whether a field ends at p. */
static bool ends_field(const struct gr_csv_scan *s, const char *p) {
    return *p == s->separator || *p == '\n' || *p == '\r' ||
           (s->form.separator == GR_SEPARATOR_BLANKS && *p == '\t');
}

/* The field at p, from behind its opening quote; *next is behind it. CUT: the text ends first. */
static enum outcome walk_quoted(const struct gr_csv_scan *s, const char *p, const char *end,
                                const char **next) {
    *next = close_quote(p, end);
    if (!*next || (*next == end && !s->ended))
        return (size_t)(end - p) > GR_CSV_FIELD_MAX + 1 ? TOO_LONG
               : *next || !s->ended                     ? CUT
                                                        : BAD_QUOTE;
    return ends_field(s, *next) ? ROW : BAD_AFTER_QUOTE;
}

/* Behind the blanks at p, and whether the row ends there. */
static const char *skip_blanks(const char *p, const char *end) {
    while (p < end && is_blank_byte(*p))
        p++;
    return p;
}

/*
 * Walks from `at` over one row, *next is behind it. CUT: its end is not in the buffer. The buffer's
 * last byte is a line end, so that no bound is looked at between special bytes.
 */
static enum outcome walk(struct gr_csv_scan *s, const char **next) {
    const char *p = s->buffer + s->at, *end = s->buffer + s->length;
    const bool blanks = s->form.separator == GR_SEPARATOR_BLANKS;
    const char separator = s->separator;
    s->n_fields = 0;
    if (blanks) p = skip_blanks(p, end);
    for (;;) {
        const char *start = p;
        bool quoted = *p == '"' && p < end;
        if (quoted) {
            enum outcome outcome = walk_quoted(s, start + 1, end, &p);
            if (outcome != ROW) return outcome;
        } else if (blanks) {
            while (!ends_field(s, p) && *p != '"')
                p++;
        } else {
            while (*p != separator && *p != '\n' && *p != '\r' && *p != '"')
                p++;
        }
        if (*p == '"') return BAD_AFTER_QUOTE;
        size_t length = (size_t)(p - start) - (quoted ? 2 : 0);
        *next = p;
        if (length > GR_CSV_FIELD_MAX) return TOO_LONG;
        if (p >= end && !s->ended) return CUT;
        enum outcome added = add_field(s, start + quoted, length, quoted);
        if (added != ROW) return added;
        if (blanks) {
            p = skip_blanks(p, end);
            if (p >= end && !s->ended) return CUT;
            if (p < end && *p != '\n' && *p != '\r') continue;
        } else if (*p == separator && p < end) {
            p++;
            continue;
        }
        if (*p == '\r' && p < end && s->line_end == '\n') {
            if (p + 1 >= end && !s->ended) return CUT;
            if (p[1] != '\n') {
                s->n_fields--;
                return BAD_RETURN;
            }
            p++;
        }
        *next = p < end ? p + 1 : end;
        return ROW;
    }
}

/* By place alone: a field's text may be a person's. */
static gr_status refuse(struct gr_csv_scan *s, enum outcome outcome) {
    static const char *const what[] = {
        [BAD_QUOTE] = "a quote is opened and not closed",
        [BAD_AFTER_QUOTE] = "a quote within a field, expected it doubled in a quoted field",
        [BAD_RETURN] = "a carriage return without a line feed",
        [TOO_LONG] = "more than 65536 bytes, or a quote that is not closed",
        [TOO_MANY] = "one more than the 10000 columns there may be",
    };
    if (outcome == NO_MEMORY) return GR_ERROR_INTERNAL; /* the message is there */
    s->misread = true;
    return gr_fail(GR_ERROR_DATA, "%s:%zu: column %zu: %s", s->path, s->row_line, s->n_fields + 1,
                   what[outcome]);
}

/* Doubled quotes become single ones, and lines are counted. In place, which is safe once: a field's
 * text is never read from the buffer again. Only quoted fields hold line ends. */
static void settle_quotes(struct gr_csv_scan *s, struct gr_csv_field *field) {
    char *text = s->buffer + (field->text - s->buffer), *to = text;
    for (size_t i = 0; i < field->length; i++) {
        s->line += text[i] == s->line_end;
        *to++ = text[i];
        i += text[i] == '"';
    }
    field->length = (size_t)(to - text);
}

/* An empty line; a line with "" in it is a row of one empty field. */
static bool is_blank(const struct gr_csv_scan *s) {
    return s->n_fields == 1 && s->fields[0].length == 0 && !s->fields[0].quoted;
}

void gr_csv_trim(const struct gr_csv_field *field, const char **text, size_t *length) {
    const char *at = field->text;
    size_t n = field->length;
    while (!field->quoted && n > 0 && at[n - 1] == ' ')
        n--;
    for (; !field->quoted && n > 0 && *at == ' '; n--)
        at++;
    *text = at;
    *length = n;
}

/* Names of rows are no column, and neither are empty fields beyond the header's names. */
static void shape_row(struct gr_csv_scan *s) {
    if (s->form.row_names && s->n_fields > 0)
        memmove(s->fields, s->fields + 1, --s->n_fields * sizeof *s->fields);
    if (s->form.n_empty == 0) return;
    while (s->n_fields > s->n_named && s->fields[s->n_fields - 1].length == 0)
        s->n_fields--;
}

/* The characters of the bytes 0x80 to 0x9F on Windows, whose programs call it Latin-1; 0: none. */
static const uint16_t windows[32] = {
    0x20AC, 0,      0x201A, 0x0192, 0x201E, 0x2026, 0x2020, 0x2021, 0x02C6, 0x2030, 0x0160,
    0x2039, 0x0152, 0,      0x017D, 0,      0,      0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x02DC, 0x2122, 0x0161, 0x203A, 0x0153, 0,      0x017E, 0x0178};

static char *put_utf8(char *to, unsigned char byte) {
    const uint16_t code = byte >= 0x80 && byte < 0xA0 ? windows[byte - 0x80] : byte;
    const uint16_t c = code ? code : 0xFFFD;
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | c >> 6);
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xE0 | c >> 12);
        *to++ = (char)(0x80 | (c >> 6 & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/*
 * The row's texts from Latin-1 to UTF-8. A row that is UTF-8 already stays: Latin-1 is so by chance
 * hardly ever, and of many sites with one config some have files of either kind. A Latin-1 byte
 * becomes at most three of UTF-8.
 */
static gr_status decode(struct gr_csv_scan *s) {
    size_t bytes = 0;
    bool utf8 = true;
    gr_status status = GR_OK;
    for (size_t i = 0; i < s->n_fields; i++) {
        bytes += 3 * s->fields[i].length;
        utf8 = utf8 && gr_text_is_utf8(s->fields[i].text, s->fields[i].length);
    }
    if (utf8) return GR_OK;
    if (bytes > s->decoded_room) {
        gr_free(s->decoded);
        s->decoded = NULL;
        s->decoded_room = 0;
        GR_TRY(gr_allocate(2 * bytes, 1, "a row", &s->decoded));
        s->decoded_room = 2 * bytes;
    }
    char *to = s->decoded;
    for (size_t i = 0; i < s->n_fields; i++) {
        struct gr_csv_field *field = &s->fields[i];
        char *const first = to;
        for (size_t k = 0; k < field->length; k++)
            to = put_utf8(to, (unsigned char)field->text[k]);
        field->text = first;
        field->length = (size_t)(to - first);
    }
out:
    return status;
}

/* After CUT the walk begins at the row's start again, which is at the buffer's start by then; as
 * the buffer doubles, a long row's bytes are walked over twice on average. */
gr_status gr_csv_scan_next(struct gr_csv_scan *scan, bool *more) {
    const char *next;
    *more = scan->misread = false;
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
        if (scan->n_named > 0) shape_row(scan);
        return scan->form.latin1 ? decode(scan) : GR_OK;
    }
}

gr_status gr_csv_scan_skip(struct gr_csv_scan *scan) {
    for (;;) {
        const char *from = scan->buffer + scan->at;
        const char *end = memchr(from, scan->line_end, scan->length - scan->at);
        scan->at = end ? (size_t)(end - scan->buffer) + 1 : scan->length;
        scan->line += end != NULL;
        if (end || scan->ended) return GR_OK;
        const gr_status status = refill(scan);
        if (status != GR_OK) return status;
    }
}
