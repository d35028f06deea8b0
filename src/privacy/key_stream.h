/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The masks of secure sums, and what noise is made of: words of a key's stream, ChaCha20 with the
 * nonce 0 and a counter of 32 bits (RFC 8439, 2.4), which whoever has the key makes from any place
 * on. A key has one stream, so it belongs to one pair of parties and one sum. Not collective.
 */
#ifndef GRANARY_PRIVACY_KEY_STREAM_H
#define GRANARY_PRIVACY_KEY_STREAM_H

#include <granary/base.h>

enum { GR_STREAM_KEY_BYTES = 32 };
/* Bytes of one stream, by its counter. */
#define GR_KEY_STREAM_MAX ((uint64_t)1 << 38)

/* Words of a stream: where they begin, in bytes, and how wide they are. */
struct gr_stream_range {
    uint64_t position; /* a multiple of bits / 8 */
    uint32_t bits;     /* 16, 32 or 64 */
    size_t n;          /* words; position + n * bits / 8 <= GR_KEY_STREAM_MAX */
};

/*
 * Not collective. Adds the range's little-endian words to `words`, modulo 2^bits, or takes them
 * off. No allocation that could fail: without OpenSSL's ChaCha20 libsodium's is used, with the
 * same bits.
 */
void gr_key_stream_add(const unsigned char key[GR_STREAM_KEY_BYTES], struct gr_stream_range range,
                       bool subtract, void *words);
/* Not collective. The stream's n bytes from a whole block of 64 on, as they are. */
void gr_key_stream_make(const unsigned char key[GR_STREAM_KEY_BYTES], uint64_t position, void *out,
                        size_t n);
/* Not collective. From now on streams are libsodium's, or again what is faster: for tests. Whether
 * OpenSSL has them. */
bool gr_key_stream_by_openssl(bool wanted);

#endif
