/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Several BLAKE2b-256 digests at once. Not collective.
 */
#ifndef GRANARY_STORE_LANES_H
#define GRANARY_STORE_LANES_H

#include <granary/base.h>

enum { GR_LANES = 4 };

/*
 * out[i] is the digest of the n bytes at in[i], the same as gr_digest_of gives. Four messages of
 * one length take about as long as one by itself.
 */
void gr_digest_lanes(const void *const in[GR_LANES], size_t n,
                     unsigned char out[GR_LANES][GR_DIGEST_BYTES]);

enum { GR_CHUNK_BYTES = 64 << 10 };
/* Adds to a digest those of the chunks of n bytes, GR_CHUNK_BYTES each but for the last, one behind
 * the other: for vectors that are too long for one digest in one lane. Of 0 bytes there is none. */
void gr_digest_add_chunks(struct gr_digest *digest, const void *bytes, size_t n);

#endif
