/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/secret_draw.h"

#include <sodium.h>
#include <string.h>

#include "privacy/key_stream.h"

_Static_assert((int)GR_SECRET_BYTES == (int)GR_STREAM_KEY_BYTES,
               "a secret's keys are those of streams");

void gr_secret_make(unsigned char secret[GR_SECRET_BYTES]) {
    randombytes_buf(secret, GR_SECRET_BYTES);
}

void gr_secret_rehearse(uint64_t seed, uint32_t silo, uint32_t round,
                        unsigned char secret[GR_SECRET_BYTES]) {
    const uint64_t name[3] = {seed, silo, round};
    (void)crypto_generichash(secret, GR_SECRET_BYTES, (const unsigned char *)name, sizeof name,
                             NULL, 0);
}

void gr_secret_key(const unsigned char secret[GR_SECRET_BYTES], enum gr_secret_purpose purpose,
                   uint64_t number, unsigned char key[GR_SECRET_BYTES]) {
    const uint64_t name[2] = {(uint64_t)purpose, number};
    /* It fails only for lengths that these are not. */
    (void)crypto_generichash(key, GR_SECRET_BYTES, (const unsigned char *)name, sizeof name, secret,
                             GR_SECRET_BYTES);
}

/* ---- with a probability ---------------------------------------------------------------------- */

enum { PIECE = 4096, LOW_BITS = 48 };

/* The lower bits of a unit's draw, which are looked at only where the upper ones decide nothing:
 * once in 65,536 units. */
struct ties {
    unsigned char key[GR_SECRET_BYTES];
    uint64_t position;
};

static uint64_t next_tie(struct ties *ties) {
    uint64_t word = 0;
    gr_key_stream_add(ties->key,
                      (struct gr_stream_range){.position = ties->position, .bits = 64, .n = 1},
                      false, &word);
    ties->position += sizeof word;
    return word >> (64 - LOW_BITS);
}

uint32_t gr_secret_include(const unsigned char secret[GR_SECRET_BYTES], uint64_t step,
                           uint64_t inclusion, uint32_t n, uint32_t *drawn) {
    const uint16_t high = (uint16_t)(inclusion >> LOW_BITS);
    const uint64_t low = inclusion & (((uint64_t)1 << LOW_BITS) - 1);
    unsigned char key[GR_SECRET_BYTES];
    struct ties ties = {.position = 0};
    uint16_t words[PIECE];
    uint32_t found = 0;
    if (inclusion == 0) {
        for (uint32_t i = 0; i < n; i++)
            drawn[i] = i;
        return n;
    }
    gr_secret_key(secret, GR_SECRET_INCLUSION, step, key);
    gr_secret_key(secret, GR_SECRET_TIES, step, ties.key);
    for (uint32_t begin = 0; begin < n; begin += PIECE) {
        const uint32_t m = n - begin < PIECE ? n - begin : PIECE;
        memset(words, 0, sizeof words);
        gr_key_stream_add(key,
                          (struct gr_stream_range){
                              .position = (uint64_t)begin * sizeof *words, .bits = 16, .n = PIECE},
                          false, words);
        for (uint32_t i = 0; i < m; i++) {
            if (words[i] > high) continue;
            if (words[i] < high || next_tie(&ties) < low) drawn[found++] = begin + i;
        }
    }
    sodium_memzero(words, sizeof words);
    sodium_memzero(key, sizeof key);
    sodium_memzero(&ties, sizeof ties);
    return found;
}

/* ---- one of some ----------------------------------------------------------------------------- */

/* The upper half of a product: a choice's probability differs from another's by at most 2^-32 of
 * it, and that of a unit's does not depend on any other unit, which is all that is asked. */
void gr_secret_choose(const unsigned char secret[GR_SECRET_BYTES], enum gr_secret_purpose purpose,
                      uint64_t stream, uint32_t choices, uint32_t n, uint32_t *chosen) {
    unsigned char key[GR_SECRET_BYTES];
    memset(chosen, 0, n * sizeof *chosen);
    gr_secret_key(secret, purpose, stream, key);
    gr_key_stream_add(key, (struct gr_stream_range){.bits = 32, .n = n}, false, chosen);
    for (uint32_t i = 0; i < n; i++)
        chosen[i] = (uint32_t)((uint64_t)chosen[i] * choices >> 32);
    sodium_memzero(key, sizeof key);
}
