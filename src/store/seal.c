/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seal in the user block: little-endian, as laid out in struct seal_header.
 *
 * It covers every byte of the file outside the tensors, HDF5's metadata above all, for a flipped
 * bit there may lead the library anywhere; tensors have digests of their own by piece, which ranks
 * verify in parallel. The seal guards against accidents, not against forgery: it has no key.
 */
#include "store/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the seal is little-endian");

/* At the start of the file; n_extents of struct gr_seal_extent follow, then zeros up to
 * block_bytes. */
struct seal_header {
    char magic[8];
    uint32_t block_bytes;
    uint32_t n_extents;
    uint64_t file_bytes;
    uint64_t unused;                       /* 0 */
    unsigned char digest[GR_DIGEST_BYTES]; /* of the block with zeros here, then of all bytes after
                                              it that are in no extent */
};
_Static_assert(sizeof(struct seal_header) == 64, "no padding");

static const char magic[8] = {'g', 'r', 'a', 'n', 'a', 'r', 'y', '\n'};

enum { SEAL_BLOCK_MIN = 512, SEAL_BLOCK_MAX = 64 << 20, SEAL_CHUNK = 256 << 10 };

/* A power of two from 512 on, as HDF5 demands of a user block. */
size_t gr_seal_bytes(size_t n_extents) {
    size_t bytes = SEAL_BLOCK_MIN;
    while (bytes < sizeof(struct seal_header) + n_extents * sizeof(struct gr_seal_extent))
        bytes *= 2;
    return bytes;
}

/* Exactly n bytes. An end of file is damage, an error of the system is not. */
static gr_status read_at(int fd, const char *path, void *bytes, size_t n, uint64_t offset) {
    for (size_t done = 0; done < n;) {
        ssize_t got = pread(fd, (char *)bytes + done, n - done, (off_t)(offset + done));
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
        if (got == 0)
            return gr_fail(GR_ERROR_DATA, "%s: ends at byte %llu, expected more", path,
                           (unsigned long long)offset + done);
        done += (size_t)got;
    }
    return GR_OK;
}

/* In chunks, so that memory does not grow with the file. */
static gr_status digest_range(int fd, const char *path, uint64_t from, uint64_t to, char *chunk,
                              struct gr_digest *digest) {
    while (from < to) {
        size_t n = to - from < SEAL_CHUNK ? (size_t)(to - from) : SEAL_CHUNK;
        gr_status status = read_at(fd, path, chunk, n, from);
        if (status != GR_OK) return status;
        gr_digest_add(digest, chunk, n);
        from += n;
    }
    return GR_OK;
}

/*
 * The digest that belongs into the header; the block is read from memory, the rest from the file.
 * Extents have to ascend without overlap and lie within the file: so nothing outside of them is
 * left out, and no number of the file's leads beyond its end.
 */
static gr_status digest_outside(int fd, const char *path, const char *block, char *chunk,
                                unsigned char out[GR_DIGEST_BYTES]) {
    gr_status status = GR_OK;
    struct seal_header header;
    struct gr_seal_extent extent;
    struct gr_digest digest;
    memcpy(&header, block, sizeof header);
    uint64_t at = header.block_bytes;
    memset(header.digest, 0, sizeof header.digest);
    gr_digest_start(&digest);
    gr_digest_add(&digest, &header, sizeof header);
    gr_digest_add(&digest, block + sizeof header, header.block_bytes - sizeof header);
    for (uint32_t i = 0; i < header.n_extents; i++) {
        memcpy(&extent, block + sizeof header + i * sizeof extent, sizeof extent);
        if (extent.offset < at || extent.offset > header.file_bytes ||
            extent.length > header.file_bytes - extent.offset)
            return gr_fail(GR_ERROR_DATA, "%s: damaged: its seal names bytes that it has not",
                           path);
        GR_TRY(digest_range(fd, path, at, extent.offset, chunk, &digest));
        at = extent.offset + extent.length;
    }
    GR_TRY(digest_range(fd, path, at, header.file_bytes, chunk, &digest));
    gr_digest_finish(&digest, out);
out:
    return status;
}

/* Datasets are made in the order of vectors; HDF5 decides where they lie. */
static int by_offset(const void *a, const void *b) {
    const struct gr_seal_extent *x = a, *y = b;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* `extents` are sorted in place. The caller syncs the file. */
gr_status gr_seal_write(int fd, const char *path, struct gr_seal_extent *extents,
                        size_t n_extents) {
    gr_status status = GR_OK;
    struct seal_header header = {.block_bytes = (uint32_t)gr_seal_bytes(n_extents),
                                 .n_extents = (uint32_t)n_extents};
    struct stat info;
    char *block = NULL, *chunk = NULL;
    if (fstat(fd, &info) != 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    GR_TRY(gr_allocate(SEAL_CHUNK, 1, "chunk of a seal", &chunk));
    GR_TRY(gr_allocate_zero(header.block_bytes, 1, "seal", &block));
    memcpy(header.magic, magic, sizeof magic);
    header.file_bytes = (uint64_t)info.st_size;
    if (n_extents > 0) {
        qsort(extents, n_extents, sizeof *extents, by_offset);
        memcpy(block + sizeof header, extents, n_extents * sizeof *extents);
    }
    memcpy(block, &header, sizeof header);
    /* A failure to read back what was just written is a failure to write. */
    if (digest_outside(fd, path, block, chunk, header.digest) != GR_OK) {
        status = gr_fail(GR_ERROR_WRITE, "%s", gr_message());
        goto out;
    }
    memcpy(block, &header, sizeof header);
    ssize_t n = pwrite(fd, block, header.block_bytes, 0);
    if (n != (ssize_t)header.block_bytes)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, n < 0 ? strerror(errno) : "disk full");
out:
    gr_free(chunk);
    gr_free(block);
    return status;
}

/* Sizes are held against each other before the block is allocated: the header is not to be trusted
 * until its digest has been checked. */
gr_status gr_seal_check(int fd, const char *path) {
    gr_status status = GR_OK;
    struct seal_header header;
    struct stat info;
    unsigned char found[GR_DIGEST_BYTES];
    char *block = NULL, *chunk = NULL;
    if (fstat(fd, &info) != 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return gr_fail(GR_ERROR_DATA, "%s: not a regular file", path);
    uint64_t bytes = (uint64_t)info.st_size;
    if (bytes < SEAL_BLOCK_MIN)
        return gr_fail(GR_ERROR_DATA,
                       "%s: found %llu bytes, expected a granary model or checkpoint", path,
                       (unsigned long long)bytes);
    GR_TRY(read_at(fd, path, &header, sizeof header, 0));
    if (memcmp(header.magic, magic, sizeof magic) != 0) {
        status = gr_fail(GR_ERROR_DATA, "%s: not a granary model or checkpoint", path);
        goto out;
    }
    if (header.file_bytes != bytes) {
        status = gr_fail(GR_ERROR_DATA, "%s: damaged: found %llu bytes, expected %llu", path,
                         (unsigned long long)bytes, (unsigned long long)header.file_bytes);
        goto out;
    }
    if (header.block_bytes > SEAL_BLOCK_MAX || header.block_bytes > bytes ||
        header.n_extents > header.block_bytes / sizeof(struct gr_seal_extent) ||
        header.block_bytes != gr_seal_bytes(header.n_extents)) {
        status = gr_fail(GR_ERROR_DATA, "%s: damaged: its seal has impossible sizes", path);
        goto out;
    }
    GR_TRY(gr_allocate(SEAL_CHUNK, 1, "chunk of a seal", &chunk));
    GR_TRY(gr_allocate(header.block_bytes, 1, "seal", &block));
    GR_TRY(read_at(fd, path, block, header.block_bytes, 0));
    memcpy(block, &header, sizeof header);
    GR_TRY(digest_outside(fd, path, block, chunk, found));
    if (memcmp(found, header.digest, sizeof found) != 0)
        status = gr_fail(GR_ERROR_DATA, "%s: damaged: its metadata does not match its seal", path);
out:
    gr_free(chunk);
    gr_free(block);
    return status;
}
