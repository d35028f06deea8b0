/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE2b-256 (RFC 7693, unkeyed) of four messages of one length, a message in each lane of a
 * vector register. A message at a time costs more processor time than the disk needs to take the
 * bytes, so that a checkpoint would wait for its digests; four at a time disappear behind it.
 */
#include "store/lanes.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "BLAKE2b reads little-endian words");

typedef uint64_t word_lanes __attribute__((vector_size(8 * GR_LANES)));
typedef uint8_t byte_lanes __attribute__((vector_size(8 * GR_LANES)));

enum { BLOCK_BYTES = 128, ROUNDS = 12 };

static const uint64_t initial[8] = {
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179,
};

static const uint8_t sigma[10][16] = {
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
};

#define EVERY(x)     ((word_lanes){(x), (x), (x), (x)})
#define ROTATE(x, n) (((x) >> (n)) | ((x) << (64 - (n))))
/* Rotation by n bytes: one shuffle. */
#define BYTES_FROM(n, at)                                                                          \
    (at) + (0 + (n)) % 8, (at) + (1 + (n)) % 8, (at) + (2 + (n)) % 8, (at) + (3 + (n)) % 8,        \
        (at) + (4 + (n)) % 8, (at) + (5 + (n)) % 8, (at) + (6 + (n)) % 8, (at) + (7 + (n)) % 8
#define ROTATE_BYTES(x, n)                                                                         \
    ((word_lanes)__builtin_shufflevector((byte_lanes)(x), (byte_lanes)(x), BYTES_FROM(n, 0),       \
                                         BYTES_FROM(n, 8), BYTES_FROM(n, 16), BYTES_FROM(n, 24)))
#define MIX(a, b, c, d, x, y)                                                                      \
    do {                                                                                           \
        v[a] += v[b] + m[x];                                                                       \
        v[d] = ROTATE_BYTES(v[d] ^ v[a], 4);                                                       \
        v[c] += v[d];                                                                              \
        v[b] = ROTATE_BYTES(v[b] ^ v[c], 3);                                                       \
        v[a] += v[b] + m[y];                                                                       \
        v[d] = ROTATE_BYTES(v[d] ^ v[a], 2);                                                       \
        v[c] += v[d];                                                                              \
        v[b] = ROTATE(v[b] ^ v[c], 63);                                                            \
    } while (0)

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A block of each lane into the state h (RFC 7693, section 3.2; `count`: bytes so far). */
ALWAYS_INLINE void compress(word_lanes h[8], const word_lanes m[16], uint64_t count, bool last) {
    word_lanes v[16] = {{0}};
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = EVERY(initial[i]);
    }
    v[12] ^= EVERY(count);
    if (last) v[14] = ~v[14];
#pragma GCC unroll 12
    for (int round = 0; round < ROUNDS; round++) {
        const uint8_t *s = sigma[round % 10];
        MIX(0, 4, 8, 12, s[0], s[1]);
        MIX(1, 5, 9, 13, s[2], s[3]);
        MIX(2, 6, 10, 14, s[4], s[5]);
        MIX(3, 7, 11, 15, s[6], s[7]);
        MIX(0, 5, 10, 15, s[8], s[9]);
        MIX(1, 6, 11, 12, s[10], s[11]);
        MIX(2, 7, 8, 13, s[12], s[13]);
        MIX(3, 4, 9, 14, s[14], s[15]);
    }
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

/* Copies the end of each message into zeros, for a last block that is not full. */
ALWAYS_INLINE void pad(const unsigned char *const from[GR_LANES], size_t n,
                       unsigned char to[GR_LANES][BLOCK_BYTES]) {
    memset(to, 0, (size_t)GR_LANES * BLOCK_BYTES);
    for (int lane = 0; n > 0 && lane < GR_LANES; lane++)
        memcpy(to[lane], from[lane], n);
}

/*
 * RFC 7693, section 3.3, on four messages at once. 0x01010000 is the parameter block of an unkeyed
 * digest with depth and fanout 1. An empty message is a single block of zeros. Bytes beyond the end
 * of a message are never read: its last block goes through `end`.
 */
ALWAYS_INLINE void digest_lanes(const void *const in[GR_LANES], size_t n,
                                unsigned char out[GR_LANES][GR_DIGEST_BYTES]) {
    word_lanes h[8], m[16];
    unsigned char end[GR_LANES][BLOCK_BYTES];
    const unsigned char *at[GR_LANES];
    size_t done = 0;
    for (int i = 0; i < 8; i++)
        h[i] = EVERY(initial[i]);
    h[0] ^= EVERY((uint64_t)(0x01010000 | GR_DIGEST_BYTES));
    for (bool last = false; !last;) {
        size_t size = n - done < BLOCK_BYTES ? n - done : BLOCK_BYTES;
        for (int lane = 0; lane < GR_LANES; lane++)
            at[lane] = (const unsigned char *)in[lane] + done;
        if (size < BLOCK_BYTES) {
            pad(at, size, end);
            for (int lane = 0; lane < GR_LANES; lane++)
                at[lane] = end[lane];
        }
        for (int i = 0; i < 16; i++) {
            uint64_t word[GR_LANES];
            for (int lane = 0; lane < GR_LANES; lane++)
                memcpy(&word[lane], at[lane] + 8 * (size_t)i, 8);
            m[i] = (word_lanes){word[0], word[1], word[2], word[3]};
        }
        done += size;
        last = done == n;
        compress(h, m, done, last);
    }
    for (int lane = 0; lane < GR_LANES; lane++)
        for (int i = 0; i < GR_DIGEST_BYTES / 8; i++) {
            uint64_t word = h[i][lane];
            memcpy(out[lane] + 8 * (size_t)i, &word, 8);
        }
}

/* The same code for each instruction set. Without wide registers lanes gain nothing, and a compiler
 * takes minutes for them: there one message follows the other. */
#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vl"))) static void
digest_lanes_avx512(const void *const in[GR_LANES], size_t n,
                    unsigned char out[GR_LANES][GR_DIGEST_BYTES]) {
    digest_lanes(in, n, out);
}

__attribute__((target("avx2"))) static void
digest_lanes_avx2(const void *const in[GR_LANES], size_t n,
                  unsigned char out[GR_LANES][GR_DIGEST_BYTES]) {
    digest_lanes(in, n, out);
}
#endif

/* The same bytes whichever version runs; the choice is made at run time, for a cluster's nodes
 * differ. */
void gr_digest_lanes(const void *const in[GR_LANES], size_t n,
                     unsigned char out[GR_LANES][GR_DIGEST_BYTES]) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vl")) {
        digest_lanes_avx512(in, n, out);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        digest_lanes_avx2(in, n, out);
        return;
    }
#endif
    for (int lane = 0; lane < GR_LANES; lane++)
        gr_digest_of(in[lane], n, out[lane]);
}

void gr_digest_add_chunks(struct gr_digest *digest, const void *bytes, size_t n) {
    unsigned char found[GR_LANES][GR_DIGEST_BYTES];
    const char *at = bytes;
    for (; n >= GR_LANES * (size_t)GR_CHUNK_BYTES; n -= GR_LANES * (size_t)GR_CHUNK_BYTES) {
        const void *in[GR_LANES];
        for (int lane = 0; lane < GR_LANES; lane++, at += GR_CHUNK_BYTES)
            in[lane] = at;
        gr_digest_lanes(in, GR_CHUNK_BYTES, found);
        gr_digest_add(digest, found, sizeof found);
    }
    while (n > 0) {
        const size_t chunk = n < GR_CHUNK_BYTES ? n : GR_CHUNK_BYTES;
        gr_digest_of(at, chunk, found[0]);
        gr_digest_add(digest, found[0], GR_DIGEST_BYTES);
        at += chunk;
        n -= chunk;
    }
}
