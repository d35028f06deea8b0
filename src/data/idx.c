/* SPDX-License-Identifier: Apache-2.0 */
/*
 * IDX tables (LeCun's MNIST form: magic 00 00 type dims, big-endian sizes, then the elements),
 * plain or gzipped. The header is held against the file's real size before anything is
 * allocated. A gzip stream is inflated once, forwards, and only as far as the last row wanted; its
 * checksum is looked at when the end is reached.
 */
#include "data/foreign.h"
#include "data/gunzip.h"
#include "data/reader.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { IDX_UNSIGNED_BYTE = 0x08, IDX_HEADER_MAX = 4 + 4 * GR_TENSOR_DIMS_MAX };

/* The bytes of an IDX file, inflated if need be. */
struct stream {
    const char *path; /* borrowed */
    int fd;           /* -1: not open */
    bool zipped;
    size_t file_size;
    size_t size; /* what the header says */
    struct gr_gunzip gunzip;
};

struct idx_state {
    struct stream features, labels;
    size_t features_start, labels_start; /* bytes of the headers */
    unsigned char *window;               /* owned */
};

static gr_status read_file(struct stream *s, void *out, size_t n, off_t offset) {
    char *at = out;
    while (n > 0) {
        ssize_t got = pread(s->fd, at, n, offset);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return gr_fail(GR_ERROR_DATA, "%s: %s", s->path, strerror(errno));
        if (got == 0) return gr_fail(GR_ERROR_DATA, "%s: became shorter while read", s->path);
        at += got;
        n -= (size_t)got;
        offset += got;
    }
    return GR_OK;
}

static gr_status too_short(const struct stream *s, size_t found) {
    if (s->size == SIZE_MAX)
        return gr_fail(GR_ERROR_DATA, "%s: %zu bytes inflated end within the header", s->path,
                       found);
    return gr_fail(GR_ERROR_DATA, "%s: holds %zu bytes%s, its header says %zu", s->path, found,
                   s->zipped ? " inflated" : "", s->size);
}

/* The next n bytes. Whoever takes the last ones also checks what must hold at the end. */
static gr_status read_next(struct stream *s, void *out, size_t n) {
    size_t got = 0;
    gr_status status = gr_gunzip_read(&s->gunzip, out, n, &got);
    if (status != GR_OK) return status;
    if (got < n) return too_short(s, s->gunzip.position);
    if (s->gunzip.position == s->size && !s->gunzip.ended) {
        unsigned char extra;
        status = gr_gunzip_read(&s->gunzip, &extra, 1, &got);
        if (status == GR_OK && got > 0)
            status = gr_fail(GR_ERROR_DATA, "%s: goes on after the %zu bytes its header says",
                             s->path, s->size);
    }
    return status;
}

/* Bytes from `offset` on, which must not lie before the last ones read when zipped. */
static gr_status read_at(struct stream *s, size_t offset, void *out, size_t n,
                         unsigned char *scratch, size_t scratch_size) {
    if (!s->zipped) return read_file(s, out, n, (off_t)offset);
    gr_status status = GR_OK;
    if (offset < s->gunzip.position) status = gr_gunzip_start(&s->gunzip);
    while (status == GR_OK && s->gunzip.position < offset) {
        size_t skip = offset - s->gunzip.position;
        status = read_next(s, scratch, skip < scratch_size ? skip : scratch_size);
    }
    return status == GR_OK ? read_next(s, out, n) : status;
}

/*
 * The real size of a zipped stream. The trailer holds it (modulo 2^32) when the file is one gzip
 * member, which is the rule; otherwise the stream is inflated once more, and only for this. The
 * second inflation costs time, not memory, and is rare: files of several members.
 */
static gr_status check_zipped_size(struct stream *s) {
    unsigned char trailer[4], *scratch = NULL;
    size_t got = 1;
    gr_status status;
    GR_TRY(read_file(s, trailer, 4, (off_t)s->file_size - 4));
    uint32_t size = trailer[0] | (uint32_t)trailer[1] << 8 | (uint32_t)trailer[2] << 16 |
                    (uint32_t)trailer[3] << 24;
    if (size == (uint32_t)s->size) goto out;
    GR_TRY(gr_allocate(GR_WINDOW_BYTES, 1, "a window", &scratch));
    while (got > 0 && s->gunzip.position <= s->size)
        GR_TRY(gr_gunzip_read(&s->gunzip, scratch, GR_WINDOW_BYTES, &got));
    if (s->gunzip.position != s->size) {
        status = s->gunzip.position < s->size
                     ? too_short(s, s->gunzip.position)
                     : gr_fail(GR_ERROR_DATA, "%s: goes on after the %zu bytes its header says",
                               s->path, s->size);
        goto out;
    }
    status = gr_gunzip_start(&s->gunzip);
out:
    gr_free(scratch);
    return status;
}

static gr_status check_size(struct stream *s) {
    if (!s->zipped) {
        if (s->file_size < s->size) return too_short(s, s->file_size);
        if (s->file_size > s->size)
            return gr_fail(GR_ERROR_DATA, "%s: holds %zu bytes, its header says %zu", s->path,
                           s->file_size, s->size);
        return GR_OK;
    }
    if (s->size / GR_DEFLATE_RATIO_MAX > s->file_size)
        return gr_fail(GR_ERROR_DATA, "%s: its header says %zu bytes, more than %zu can inflate to",
                       s->path, s->size, s->file_size);
    return check_zipped_size(s);
}

static gr_status open_stream(struct stream *s, const char *path) {
    unsigned char magic[2] = {0};
    s->path = path;
    gr_status status = gr_open_regular(path, &s->fd, &s->file_size);
    if (status != GR_OK) {
        s->fd = -1;
        return status;
    }
    if (s->file_size < 8)
        return gr_fail(GR_ERROR_DATA, "%s: %zu bytes, too short for an IDX file", path,
                       s->file_size);
    status = gr_foreign_refuse(path, "an IDX file");
    if (status == GR_OK) status = read_file(s, magic, 2, 0);
    if (status != GR_OK) return status;
    s->zipped = magic[0] == 0x1f && magic[1] == 0x8b;
    s->size = SIZE_MAX; /* until the header has been read */
    s->gunzip.path = path;
    s->gunzip.fd = s->fd;
    return s->zipped ? gr_gunzip_start(&s->gunzip) : GR_OK;
}

static void close_stream(struct stream *s) {
    gr_gunzip_release(&s->gunzip);
    if (s->fd >= 0) close(s->fd);
}

static uint32_t big_endian(const unsigned char *b) {
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

/* Reads the header into `shape` and sets the stream's size and *start. An overflow of the product
 * becomes a size that no file has, and is refused as such. */
static gr_status read_header(struct stream *s, size_t least_dims, size_t most_dims,
                             struct gr_table_shape *shape, size_t *start) {
    unsigned char header[IDX_HEADER_MAX];
    gr_status status;
    GR_TRY(read_at(s, 0, header, 4, NULL, 0));
    if (header[0] != 0 || header[1] != 0) {
        status = gr_fail(GR_ERROR_DATA, "%s: begins with %02x %02x, an IDX file begins with 00 00",
                         s->path, header[0], header[1]);
        goto out;
    }
    if (header[2] != IDX_UNSIGNED_BYTE) {
        status =
            gr_fail(GR_ERROR_DATA, "%s: elements of type 0x%02x, expected unsigned byte (0x08)",
                    s->path, header[2]);
        goto out;
    }
    shape->n_dims = header[3];
    if (shape->n_dims < least_dims || shape->n_dims > most_dims) {
        status = gr_fail(GR_ERROR_DATA, "%s: %zu dimensions, expected %zu%s%.0zu", s->path,
                         shape->n_dims, least_dims, most_dims > least_dims ? " to " : "",
                         most_dims > least_dims ? most_dims : 0);
        goto out;
    }
    *start = 4 + 4 * shape->n_dims;
    if (!s->zipped && s->file_size < *start) {
        status =
            gr_fail(GR_ERROR_DATA, "%s: %zu bytes end within the header", s->path, s->file_size);
        goto out;
    }
    GR_TRY(read_at(s, 4, header, 4 * shape->n_dims, NULL, 0));
    size_t elements = 1;
    for (size_t i = 0; i < shape->n_dims; i++) {
        shape->shape[i] = big_endian(header + 4 * i);
        if (__builtin_mul_overflow(elements, shape->shape[i], &elements)) elements = SIZE_MAX / 2;
    }
    s->size = *start + elements;
    status = check_size(s);
out:
    return status;
}

static void idx_close(struct gr_reader *reader) {
    struct idx_state *state = reader->state;
    if (!state) return;
    close_stream(&state->features);
    close_stream(&state->labels);
    gr_free(state->window);
    gr_free(state);
    reader->state = NULL;
}

static gr_status idx_open(struct gr_reader *reader) {
    const struct gr_table_config *table = reader->table;
    struct gr_table_shape *shape = &reader->shape, labels = {0};
    struct idx_state *state = NULL;
    gr_status status;
    GR_TRY(gr_allocate_zero(1, sizeof *state, "an IDX reader", &state));
    state->features.fd = state->labels.fd = -1;
    reader->state = state;
    GR_TRY(open_stream(&state->features, table->features));
    GR_TRY(read_header(&state->features, 2, GR_TENSOR_DIMS_MAX, shape, &state->features_start));
    shape->element = GR_ELEMENT_UINT8;
    shape->scale = 1.0f / 255.0f;
    GR_TRY(gr_table_shape_check(table->features, shape));
    if (!reader->unlabelled) {
        GR_TRY(open_stream(&state->labels, table->labels));
        GR_TRY(read_header(&state->labels, 1, 1, &labels, &state->labels_start));
    }
    if (!reader->unlabelled && labels.shape[0] != shape->shape[0]) {
        status = gr_fail(GR_ERROR_DATA, "%s: %zu labels for the %zu rows of %s", table->labels,
                         labels.shape[0], shape->shape[0], table->features);
        goto out;
    }
    shape->window_rows = GR_WINDOW_BYTES / shape->row_bytes;
    if (shape->window_rows == 0) shape->window_rows = 1;
    /* The window also takes labels, and bytes that are passed by. */
    size_t window = shape->window_rows * shape->row_bytes;
    GR_TRY(gr_allocate(window > GR_LABEL_WINDOW ? window : GR_LABEL_WINDOW, 1, "a window",
                       &state->window));
out:
    if (status != GR_OK) idx_close(reader);
    return status;
}

static gr_status idx_labels(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    struct idx_state *state = reader->state;
    gr_status status = read_at(&state->labels, state->labels_start + first, state->window, n,
                               state->window, GR_LABEL_WINDOW);
    if (status != GR_OK) return status;
    for (size_t i = 0; i < n; i++)
        out[i] = state->window[i];
    return GR_OK;
}

static gr_status idx_rows(struct gr_reader *reader, size_t first, size_t n, const void **block) {
    struct idx_state *state = reader->state;
    const struct gr_table_shape *shape = &reader->shape;
    *block = state->window;
    return read_at(&state->features, state->features_start + first * shape->row_bytes,
                   state->window, n * shape->row_bytes, state->window,
                   shape->window_rows * shape->row_bytes);
}

const struct gr_reader_operations gr_idx_operations = {
    .open = idx_open, .labels = idx_labels, .rows = idx_rows, .close = idx_close};
