/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that was compressed with gzip, inflated forwards: of one or several members, behind which
 * nothing follows but zeros (as tapes pad). zlib's own gzread ends without a word where something
 * else follows: rows that somebody appended to the file would be gone.
 */
#ifndef GRANARY_DATA_GUNZIP_H
#define GRANARY_DATA_GUNZIP_H

#include <granary/base.h>

#include <zlib.h>

struct gr_gunzip {
    const char *path; /* borrowed */
    int fd;           /* borrowed; its position is moved */
    bool started;
    bool ended;      /* the end of the last member has been seen, and its checksum was right */
    size_t position; /* in the inflated text, of the next byte */
    z_stream z;
    unsigned char *input; /* owned */
};

/* Goes to the file's beginning, also again. `path` and `fd` are set, all else is zero before the
 * first time. gr_gunzip_release also after an error. */
gr_status gr_gunzip_start(struct gr_gunzip *g) GR_CHECKED;
/* Inflates up to n bytes; *got is less only at the end. Errors: GR_ERROR_DATA. */
gr_status gr_gunzip_read(struct gr_gunzip *g, void *out, size_t n, size_t *got) GR_CHECKED;
/* How many of the compressed bytes lie behind. */
size_t gr_gunzip_done(const struct gr_gunzip *g);
void gr_gunzip_release(struct gr_gunzip *g);

#endif
