/* SPDX-License-Identifier: Apache-2.0 */
/*
 * BLAKE2b-256 (RFC 7693, unkeyed) of four or eight messages of one length, a message in each lane
 * of a vector register. A message at a time costs more processor time than the disk needs to take
 * the bytes, so that a checkpoint would wait for its digests; four at a time disappear behind it.
 */
#include "store/lanes.h"

#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "BLAKE2b reads little-endian words");

typedef uint64_t lanes_4 __attribute__((vector_size(8 * 4)));
typedef uint8_t bytes_4 __attribute__((vector_size(8 * 4)));
typedef uint64_t lanes_8 __attribute__((vector_size(8 * 8)));

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

#define ROTATE(x, n) (((x) >> (n)) | ((x) << (64 - (n))))
/* Rotation by n bytes: one shuffle where there is no rotation of words. */
#define BYTES_FROM(n, at)                                                                          \
    (at) + (0 + (n)) % 8, (at) + (1 + (n)) % 8, (at) + (2 + (n)) % 8, (at) + (3 + (n)) % 8,        \
        (at) + (4 + (n)) % 8, (at) + (5 + (n)) % 8, (at) + (6 + (n)) % 8, (at) + (7 + (n)) % 8
#define ROTATE_BYTES_4(x, n)                                                                       \
    ((lanes_4)__builtin_shufflevector((bytes_4)(x), (bytes_4)(x), BYTES_FROM(n, 0),                \
                                      BYTES_FROM(n, 8), BYTES_FROM(n, 16), BYTES_FROM(n, 24)))
#define ROTATE_BYTES_8(x, n) ROTATE(x, 8 * (n))
#define MIX(N, a, b, c, d, x, y)                                                                   \
    do {                                                                                           \
        v[a] += v[b] + m[x];                                                                       \
        v[d] = ROTATE_BYTES_##N(v[d] ^ v[a], 4);                                                   \
        v[c] += v[d];                                                                              \
        v[b] = ROTATE_BYTES_##N(v[b] ^ v[c], 3);                                                   \
        v[a] += v[b] + m[y];                                                                       \
        v[d] = ROTATE_BYTES_##N(v[d] ^ v[a], 2);                                                   \
        v[c] += v[d];                                                                              \
        v[b] = ROTATE(v[b] ^ v[c], 63);                                                            \
    } while (0)

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* A block of each lane into the state h (RFC 7693, section 3.2; `count`: bytes so far). */
#define COMPRESS(N, h, m, count, last)                                                             \
    do {                                                                                           \
        lanes_##N v[16] = {{0}};                                                                   \
        for (int i = 0; i < 8; i++) {                                                              \
            v[i] = (h)[i];                                                                         \
            v[i + 8] += initial[i];                                                                \
        }                                                                                          \
        v[12] ^= (uint64_t)(count);                                                                \
        if (last) v[14] = ~v[14];                                                                  \
        _Pragma("GCC unroll 12") for (int round = 0; round < ROUNDS; round++) {                    \
            const uint8_t *s = sigma[round % 10];                                                  \
            MIX(N, 0, 4, 8, 12, s[0], s[1]);                                                       \
            MIX(N, 1, 5, 9, 13, s[2], s[3]);                                                       \
            MIX(N, 2, 6, 10, 14, s[4], s[5]);                                                      \
            MIX(N, 3, 7, 11, 15, s[6], s[7]);                                                      \
            MIX(N, 0, 5, 10, 15, s[8], s[9]);                                                      \
            MIX(N, 1, 6, 11, 12, s[10], s[11]);                                                    \
            MIX(N, 2, 7, 8, 13, s[12], s[13]);                                                     \
            MIX(N, 3, 4, 9, 14, s[14], s[15]);                                                     \
        }                                                                                          \
        for (int i = 0; i < 8; i++)                                                                \
            (h)[i] ^= v[i] ^ v[i + 8];                                                             \
    } while (0)

/* Copies the end of each message into zeros, for a last block that is not full. */
static void pad(const unsigned char **at, int n_lanes, size_t n, unsigned char (*to)[BLOCK_BYTES]) {
    memset(to, 0, (size_t)n_lanes * BLOCK_BYTES);
    for (int lane = 0; lane < n_lanes; at[lane] = to[lane], lane++)
        if (n > 0) memcpy(to[lane], at[lane], n);
}

ALWAYS_INLINE uint64_t word_of(const unsigned char *block, int i) {
    uint64_t word;
    memcpy(&word, block + 8 * (size_t)i, sizeof word);
    return word;
}
#define WORDS_4(i) word_of(at[0], i), word_of(at[1], i), word_of(at[2], i), word_of(at[3], i)
#define WORDS_8(i)                                                                                 \
    WORDS_4(i), word_of(at[4], i), word_of(at[5], i), word_of(at[6], i), word_of(at[7], i)

/*
 * RFC 7693, section 3.3, on N messages at once, by a function for each number of lanes, as a
 * vector's type has its size. 0x01010000 is the parameter block of an unkeyed digest with depth and
 * fanout 1. An empty message is a single block of zeros. Bytes beyond the end of a message are
 * never read: its last block goes through `end`.
 */
#define DEFINE_DIGEST(N)                                                                           \
    ALWAYS_INLINE void digest_##N(const void *const *in, size_t n,                                 \
                                  unsigned char(*out)[GR_DIGEST_BYTES]) {                          \
        lanes_##N h[8] = {{0}}, m[16];                                                             \
        unsigned char end[N][BLOCK_BYTES];                                                         \
        const unsigned char *at[N];                                                                \
        size_t done = 0;                                                                           \
        for (int i = 0; i < 8; i++)                                                                \
            h[i] += initial[i];                                                                    \
        h[0] ^= (uint64_t)(0x01010000 | GR_DIGEST_BYTES);                                          \
        for (bool last = false; !last;) {                                                          \
            const size_t size = n - done < BLOCK_BYTES ? n - done : BLOCK_BYTES;                   \
            for (int lane = 0; lane < (N); lane++)                                                 \
                at[lane] = (const unsigned char *)in[lane] + done;                                 \
            if (size < BLOCK_BYTES) pad(at, N, size, end);                                         \
            for (int i = 0; i < 16; i++)                                                           \
                m[i] = (lanes_##N){WORDS_##N(i)};                                                  \
            done += size;                                                                          \
            last = done == n;                                                                      \
            COMPRESS(N, h, m, done, last);                                                         \
        }                                                                                          \
        for (int lane = 0; lane < (N); lane++)                                                     \
            for (int i = 0; i < GR_DIGEST_BYTES / 8; i++) {                                        \
                const uint64_t word = h[i][lane];                                                  \
                memcpy(out[lane] + 8 * (size_t)i, &word, sizeof word);                             \
            }                                                                                      \
    }
DEFINE_DIGEST(4)
DEFINE_DIGEST(8)

/* The same code for each instruction set. Without wide registers lanes gain nothing, and a compiler
 * takes minutes for them: there one message follows the other. */
#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vl"))) static void
digest_8_avx512(const void *const *in, size_t n, unsigned char (*out)[GR_DIGEST_BYTES]) {
    digest_8(in, n, out);
}

__attribute__((target("avx512f,avx512vl"))) static void
digest_4_avx512(const void *const *in, size_t n, unsigned char (*out)[GR_DIGEST_BYTES]) {
    digest_4(in, n, out);
}

__attribute__((target("avx2"))) static void digest_4_avx2(const void *const *in, size_t n,
                                                          unsigned char (*out)[GR_DIGEST_BYTES]) {
    digest_4(in, n, out);
}
#endif

/* The same bytes whichever version runs; the choice is made at run time, for a cluster's nodes
 * differ. */
void gr_digest_lanes(const void *const in[GR_LANES], size_t n,
                     unsigned char out[GR_LANES][GR_DIGEST_BYTES]) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vl")) {
        digest_4_avx512(in, n, out);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        digest_4_avx2(in, n, out);
        return;
    }
#endif
    for (int lane = 0; lane < GR_LANES; lane++)
        gr_digest_of(in[lane], n, out[lane]);
}

/* Eight where registers are as wide. */
static void digest_eight(const void *const *in, size_t n, unsigned char (*out)[GR_DIGEST_BYTES]) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vl")) {
        digest_8_avx512(in, n, out);
        return;
    }
#endif
    gr_digest_lanes(in, n, out);
    gr_digest_lanes(in + GR_LANES, n, out + GR_LANES);
}

/* The next chunks of those that are left, as many at once as there can be; bytes of them. */
static size_t digest_some(struct gr_digest *digest, const char *at, size_t left) {
    enum { MOST = 2 * GR_LANES };
    unsigned char found[MOST][GR_DIGEST_BYTES];
    const void *in[MOST];
    const size_t whole = left / GR_CHUNK_BYTES;
    const size_t n = whole >= MOST ? MOST : whole >= GR_LANES ? GR_LANES : 1;
    const size_t bytes = left < GR_CHUNK_BYTES ? left : GR_CHUNK_BYTES;
    for (size_t lane = 0; lane < n; lane++)
        in[lane] = at + lane * GR_CHUNK_BYTES;
    if (n == MOST)
        digest_eight(in, bytes, found);
    else if (n == GR_LANES)
        gr_digest_lanes(in, bytes, found);
    else
        gr_digest_of(at, bytes, found[0]);
    gr_digest_add(digest, found, n * GR_DIGEST_BYTES);
    return n * bytes;
}

void gr_digest_add_chunks(struct gr_digest *digest, const void *bytes, size_t n) {
    for (size_t done = 0; done < n;)
        done += digest_some(digest, (const char *)bytes + done, n - done);
}
