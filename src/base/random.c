/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Philox4x32-10 as a GSL generator: counter-based, so that a stream is named by its key and needs
 * no history. Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
 */
#include <granary/base.h>

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct philox_state {
    uint32_t counter[4];
    uint32_t key[2];
    uint32_t block[4]; /* output of the current counter */
    uint32_t used;     /* words of it that are gone */
};

/* Multipliers and Weyl increments of the paper, section 4.3 and table 2. */
static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u};
static const uint32_t weyl[2] = {0x9E3779B9u, 0xBB67AE85u};

static void philox_block(const uint32_t counter[4], const uint32_t key_in[2], uint32_t out[4]) {
    uint32_t x[4], key[2] = {key_in[0], key_in[1]};
    memcpy(x, counter, sizeof x);
    for (int round = 0; round < 10; round++) {
        uint64_t a = (uint64_t)multiplier[0] * x[0], b = (uint64_t)multiplier[1] * x[2];
        uint32_t next[4] = {(uint32_t)(b >> 32) ^ x[1] ^ key[0], (uint32_t)b,
                            (uint32_t)(a >> 32) ^ x[3] ^ key[1], (uint32_t)a};
        memcpy(x, next, sizeof x);
        key[0] += weyl[0];
        key[1] += weyl[1];
    }
    memcpy(out, x, sizeof x);
}

/* The first word of the counter runs, the other three hold (round, silo, purpose) and stay: streams
 * of different keys never meet. After 2^32 blocks a stream begins again. */
static unsigned long philox_get(void *opaque) {
    struct philox_state *state = opaque;
    if (state->used == 4) {
        philox_block(state->counter, state->key, state->block);
        state->counter[0]++;
        state->used = 0;
    }
    return state->block[state->used++];
}

/*
 * Output of n counters, the first and those that follow, block after block: as many as are done
 * here, a multiple of what the vector unit takes at a time. The numbers lie in the lower halves of
 * 64 bits, where they are multiplied; what that leaves in the upper halves is of no account.
 */
#if defined(__x86_64__)
struct lanes {
    __m256i x[4];
};

__attribute__((target("avx2"))) static inline struct lanes
philox_lanes(__m256i counter, const uint32_t rest[3], const uint32_t key_in[2]) {
    const __m256i a = _mm256_set1_epi64x(multiplier[0]), b = _mm256_set1_epi64x(multiplier[1]);
    uint32_t key[2] = {key_in[0], key_in[1]};
    struct lanes l = {{counter, _mm256_set1_epi64x(rest[0]), _mm256_set1_epi64x(rest[1]),
                       _mm256_set1_epi64x(rest[2])}};
    for (int round = 0; round < 10; round++) {
        __m256i p = _mm256_mul_epu32(a, l.x[0]), q = _mm256_mul_epu32(b, l.x[2]);
        l.x[0] = _mm256_xor_si256(_mm256_srli_epi64(q, 32), l.x[1]);
        l.x[2] = _mm256_xor_si256(_mm256_srli_epi64(p, 32), l.x[3]);
        l.x[0] = _mm256_xor_si256(l.x[0], _mm256_set1_epi64x(key[0]));
        l.x[2] = _mm256_xor_si256(l.x[2], _mm256_set1_epi64x(key[1]));
        l.x[1] = q;
        l.x[3] = p;
        key[0] += weyl[0];
        key[1] += weyl[1];
    }
    return l;
}

/* Four counters' blocks in their order. */
__attribute__((target("avx2"))) static inline void store_lanes(struct lanes l, uint32_t *words) {
    __m256i p = _mm256_blend_epi32(l.x[0], _mm256_slli_epi64(l.x[1], 32), 0xaa);
    __m256i q = _mm256_blend_epi32(l.x[2], _mm256_slli_epi64(l.x[3], 32), 0xaa);
    __m256i even = _mm256_unpacklo_epi64(p, q), odd = _mm256_unpackhi_epi64(p, q);
    _mm256_storeu_si256((void *)words, _mm256_permute2x128_si256(even, odd, 0x20));
    _mm256_storeu_si256((void *)(words + 8), _mm256_permute2x128_si256(even, odd, 0x31));
}

__attribute__((target("avx2"))) static size_t
/* Two groups of four counters side by side: a multiplication takes some five cycles and one can
 * begin in each, so that a single chain would wait for itself. */
philox_vectors(const uint32_t first[4], const uint32_t key[2], uint32_t *words, size_t n) {
    enum { LANES = 4, PAIR = 2 * LANES, WORDS = 4 * LANES };
    size_t done = 0;
    for (; done + PAIR <= n; done += PAIR) {
        const int64_t at = (int64_t)(first[0] + done);
        __m256i counter = _mm256_setr_epi64x(at, at + 1, at + 2, at + 3);
        __m256i next = _mm256_add_epi64(counter, _mm256_set1_epi64x(LANES));
        struct lanes a = philox_lanes(counter, first + 1, key);
        struct lanes b = philox_lanes(next, first + 1, key);
        store_lanes(a, words);
        store_lanes(b, words + WORDS);
        words += WORDS + WORDS;
    }
    return done;
}

static size_t philox_blocks(const uint32_t first[4], const uint32_t key[2], uint32_t *words,
                            size_t n) {
    return __builtin_cpu_supports("avx2") ? philox_vectors(first, key, words, n) : 0;
}
#else
static size_t philox_blocks(const uint32_t first[4], const uint32_t key[2], uint32_t *words,
                            size_t n) {
    (void)first, (void)key, (void)words, (void)n;
    return 0;
}
#endif

/* 53 bits, so that doubles on [0, 1) are as fine as they can be. */
static double philox_get_double(void *opaque) {
    uint64_t high = philox_get(opaque), low = philox_get(opaque);
    return (double)((high << 21) | (low >> 11)) * 0x1p-53;
}

/* used = 4: no word of the (empty) block is left, so that the first draw makes block 0. */
static void philox_set(void *opaque, unsigned long seed) {
    struct philox_state *state = opaque;
    memset(state, 0, sizeof *state);
    state->key[0] = (uint32_t)seed;
    state->key[1] = (uint32_t)((uint64_t)seed >> 32);
    state->used = 4;
}

static const gsl_rng_type philox_type = {
    "philox4x32-10", 0xfffffffful,      0, sizeof(struct philox_state), philox_set,
    philox_get,      philox_get_double,
};
const gsl_rng_type *const gr_rng_philox = &philox_type;

gr_status gr_stream_create(struct gr_stream_key key, gsl_rng **out) {
    *out = gsl_rng_alloc(gr_rng_philox);
    if (!*out) return gr_fail(GR_ERROR_INTERNAL, "memory for a random stream was refused");
    gr_stream_restart(*out, key);
    return GR_OK;
}

void gr_stream_restart(gsl_rng *stream, struct gr_stream_key key) {
    struct philox_state *state = gsl_rng_state(stream);
    philox_set(state, (unsigned long)key.seed);
    state->counter[1] = key.round;
    state->counter[2] = key.silo;
    state->counter[3] = (uint32_t)key.purpose;
}

/* Word i of a stream is word i % 4 of block i / 4, whether it comes from here or from gsl_rng_get:
 * the vector code must not change a digest. test_base compares the two. */
void gr_stream_words(struct gr_stream_key key, uint32_t block, uint32_t *words, size_t n) {
    const uint32_t seed[2] = {(uint32_t)key.seed, (uint32_t)(key.seed >> 32)};
    uint32_t counter[4] = {block, key.round, key.silo, (uint32_t)key.purpose};
    size_t done = philox_blocks(counter, seed, words, n / 4);
    counter[0] += (uint32_t)done;
    for (size_t i = 4 * done; i < n; i += 4, counter[0]++) {
        uint32_t last[4];
        philox_block(counter, seed, last);
        memcpy(words + i, last, (n - i < 4 ? n - i : 4) * sizeof *words);
    }
}

void gr_stream_draw(gsl_rng *stream, uint32_t *words, size_t n) {
    struct philox_state *state = gsl_rng_state(stream);
    size_t i = 0;
    for (; i < n && state->used < 4; i++)
        words[i] = state->block[state->used++];
    const size_t blocks = philox_blocks(state->counter, state->key, words + i, (n - i) / 4);
    state->counter[0] += (uint32_t)blocks;
    for (i += 4 * blocks; i < n; i++)
        words[i] = (uint32_t)philox_get(state);
}

void gr_stream_permutation(gsl_rng *stream, uint32_t *index, size_t n) {
    enum { WORDS = 512 };
    uint32_t words[WORDS];
    for (size_t i = 0; i < n; i++)
        index[i] = (uint32_t)i;
    /*
     * From the end, Durstenfeld's order. The order of the draws is part of what a digest stands on.
     */
    for (size_t i = n, at = WORDS; i > 1; i--, at += 2) {
        if (at == WORDS) {
            gr_stream_draw(stream, words, 2 * (i - 1) < WORDS ? 2 * (i - 1) : WORDS);
            at = 0;
        }
        /* 64 bits times i, high part: a bias below i / 2^64. */
        const uint64_t bits = (uint64_t)words[at] << 32 | words[at + 1];
        size_t j = (size_t)(((unsigned __int128)bits * i) >> 64);
        uint32_t swap = index[i - 1];
        index[i - 1] = index[j];
        index[j] = swap;
    }
}
