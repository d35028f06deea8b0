/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random words that noise is made of: ChaCha20 under a key that belongs to one seed, one stream and
 * one use, so that no word serves twice. Not collective.
 */
#ifndef GRANARY_PRIVACY_NOISE_WORDS_H
#define GRANARY_PRIVACY_NOISE_WORDS_H

#include "privacy/key_stream.h"

enum { GR_NOISE_SEED_BYTES = 32, GR_NOISE_WORDS = 2048 };

/* The uses of words: samples of the exact sampler, look-ups of the fast one, and what these leave
 * undecided. */
enum gr_noise_use { GR_NOISE_EXACT, GR_NOISE_LOOK_UP, GR_NOISE_UNDECIDED };

/* The key of a seed's stream for one use: bytes of ChaCha20 under the seed, with stream and use as
 * the nonce. */
void gr_noise_key(const unsigned char seed[GR_NOISE_SEED_BYTES], uint64_t stream,
                  enum gr_noise_use use, unsigned char key[GR_STREAM_KEY_BYTES]);

/* Words one by one. After GR_KEY_STREAM_MAX bytes they begin again: who draws ends before. */
struct gr_noise_words {
    unsigned char key[GR_STREAM_KEY_BYTES];
    uint64_t position; /* bytes of the stream that are made */
    uint32_t used;     /* words below that are gone */
    uint64_t word[GR_NOISE_WORDS];
};

/* From the beginning. */
void gr_noise_words_start(struct gr_noise_words *words,
                          const unsigned char seed[GR_NOISE_SEED_BYTES], uint64_t stream,
                          enum gr_noise_use use);
/* Wipes. */
void gr_noise_words_end(struct gr_noise_words *words);
/* Makes the words that follow. */
void gr_noise_words_refill(struct gr_noise_words *words);

static inline uint64_t gr_noise_word(struct gr_noise_words *words) {
    if (words->used == GR_NOISE_WORDS) gr_noise_words_refill(words);
    return words->word[words->used++];
}

#endif
