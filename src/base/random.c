/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Philox4x32-10 as a GSL generator: counter-based, so that a stream is named by its key and needs
 * no history. Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC'11.
 */
#include <granary/base.h>

#include <string.h>

#include "base/versions.h"

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
 * The same for LANES counters at once, side by side for the vector units: counters of `first` and
 * the LANES - 1 that follow. words: 4 LANES, block after block.
 */
enum { LANES = 16 };

GR_VERSIONS static void philox_blocks(const uint32_t first[4], const uint32_t key_in[2],
                                      uint32_t *words) {
    uint32_t x[4][LANES], key[2] = {key_in[0], key_in[1]};
    for (uint32_t l = 0; l < LANES; l++) {
        x[0][l] = first[0] + l;
        x[1][l] = first[1];
        x[2][l] = first[2];
        x[3][l] = first[3];
    }
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < LANES; l++) {
            uint64_t a = (uint64_t)multiplier[0] * x[0][l], b = (uint64_t)multiplier[1] * x[2][l];
            x[0][l] = (uint32_t)(b >> 32) ^ x[1][l] ^ key[0];
            x[1][l] = (uint32_t)b;
            x[2][l] = (uint32_t)(a >> 32) ^ x[3][l] ^ key[1];
            x[3][l] = (uint32_t)a;
        }
        key[0] += weyl[0];
        key[1] += weyl[1];
    }
    for (int l = 0; l < LANES; l++)
        for (int w = 0; w < 4; w++)
            words[4 * l + w] = x[w][l];
}

/* 53 bits, so that doubles on [0, 1) are as fine as they can be. */
static double philox_get_double(void *opaque) {
    uint64_t high = philox_get(opaque), low = philox_get(opaque);
    return (double)((high << 21) | (low >> 11)) * 0x1p-53;
}

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

void gr_stream_words(struct gr_stream_key key, uint32_t block, uint32_t *words, size_t n) {
    const uint32_t seed[2] = {(uint32_t)key.seed, (uint32_t)(key.seed >> 32)};
    uint32_t counter[4] = {block, key.round, key.silo, (uint32_t)key.purpose};
    size_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES, counter[0] += LANES)
        philox_blocks(counter, seed, words + i);
    for (; i < n; i += 4, counter[0]++) {
        uint32_t last[4];
        philox_block(counter, seed, last);
        memcpy(words + i, last, (n - i < 4 ? n - i : 4) * sizeof *words);
    }
}

void gr_stream_permutation(gsl_rng *stream, uint32_t *index, size_t n) {
    for (size_t i = 0; i < n; i++)
        index[i] = (uint32_t)i;
    for (size_t i = n; i > 1; i--) {
        /* 64 bits times i, high part: a bias below i / 2^64. */
        uint64_t bits = (uint64_t)gsl_rng_get(stream) << 32;
        bits |= gsl_rng_get(stream);
        size_t j = (size_t)(((unsigned __int128)bits * i) >> 64);
        uint32_t swap = index[i - 1];
        index[i - 1] = index[j];
        index[j] = swap;
    }
}
