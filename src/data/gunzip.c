/* SPDX-License-Identifier: Apache-2.0 */
/* Files that were compressed with gzip, inflated forwards. zlib's gzread is not used: it hands a
 * file through as it is where its header is damaged, and the bytes would be taken for text. */
#include "data/gunzip.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define INPUT_BYTES ((size_t)128 << 10)

/* Input for inflate; none at the end of the file. */
static gr_status refill(struct gr_gunzip *g) {
    ssize_t got;
    gr_status status = gr_alive();
    if (status != GR_OK) return status;
    do
        got = read(g->fd, g->input, INPUT_BYTES);
    while (got < 0 && errno == EINTR);
    if (got < 0) return gr_fail(GR_ERROR_DATA, "%s: %s", g->path, strerror(errno));
    g->z.next_in = g->input;
    g->z.avail_in = (uInt)got;
    return GR_OK;
}

/* At the end of a member: another may follow, or zeros, and nothing else. */
static gr_status next_member(struct gr_gunzip *g) {
    gr_status status = GR_OK;
    bool padded = false;
    for (;;) {
        if (g->z.avail_in == 0) GR_TRY(refill(g));
        if (g->z.avail_in == 0) break;
        if (g->z.next_in[0] != 0) {
            if (g->z.next_in[0] == 0x1f && !padded && inflateReset(&g->z) == Z_OK) goto out;
            status = gr_fail(GR_ERROR_DATA,
                             "%s: bytes follow the end of the gzip stream, expected none, or "
                             "another one (`gzip -c MORE >>FILE`)",
                             g->path);
            goto out;
        }
        padded = true;
        g->z.next_in++;
        g->z.avail_in--;
    }
    g->ended = true;
out:
    return status;
}

gr_status gr_gunzip_start(struct gr_gunzip *g) {
    gr_status status = GR_OK;
    if (!g->input) status = gr_allocate(INPUT_BYTES, 1, "compressed bytes", &g->input);
    if (status != GR_OK) return status;
    if (g->started) inflateEnd(&g->z);
    g->started = false;
    memset(&g->z, 0, sizeof g->z);
    /* 15: the largest window; 16: a gzip header and checksum are asked for, not zlib's. */
    if (inflateInit2(&g->z, 15 + 16) != Z_OK)
        return gr_fail(GR_ERROR_INTERNAL, "%s: zlib did not start", g->path);
    g->started = true;
    g->ended = false;
    g->position = 0;
    if (lseek(g->fd, 0, SEEK_SET) != 0)
        return gr_fail(GR_ERROR_DATA, "%s: %s", g->path, strerror(errno));
    return GR_OK;
}

/* Z_BUF_ERROR is no error: inflate asks for more input or room, which the loop brings. */
gr_status gr_gunzip_read(struct gr_gunzip *g, void *out, size_t n, size_t *got) {
    gr_status status;
    g->z.next_out = out;
    g->z.avail_out = (uInt)n;
    while (g->z.avail_out > 0 && !g->ended) {
        if (g->z.avail_in == 0) GR_TRY(refill(g));
        if (g->z.avail_in == 0) {
            status = gr_fail(GR_ERROR_DATA, "%s: the gzip stream is cut off after %zu bytes",
                             g->path, g->position + n - g->z.avail_out);
            goto out;
        }
        int code = inflate(&g->z, Z_NO_FLUSH);
        if (code == Z_STREAM_END) {
            GR_TRY(next_member(g));
        } else if (code != Z_OK && code != Z_BUF_ERROR) {
            status = gr_fail(GR_ERROR_DATA, "%s: the gzip stream is damaged after %zu bytes: %s",
                             g->path, g->position + n - g->z.avail_out,
                             g->z.msg ? g->z.msg : "not a deflate stream");
            goto out;
        }
    }
    *got = n - g->z.avail_out;
    g->position += *got;
    status = GR_OK;
out:
    return status;
}

/* In compressed bytes, for progress: the size of the text is not known before its end. */
size_t gr_gunzip_done(const struct gr_gunzip *g) {
    const off_t at = lseek(g->fd, 0, SEEK_CUR);
    return at < 0 ? 0 : (size_t)at - g->z.avail_in;
}

void gr_gunzip_release(struct gr_gunzip *g) {
    if (g->started) inflateEnd(&g->z);
    gr_free(g->input);
    *g = (struct gr_gunzip){.fd = -1};
}
