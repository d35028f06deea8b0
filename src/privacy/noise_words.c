/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/noise_words.h"

#include <sodium.h>

void gr_noise_key(const unsigned char seed[GR_NOISE_SEED_BYTES], uint64_t stream,
                  enum gr_noise_use use, unsigned char key[GR_STREAM_KEY_BYTES]) {
    unsigned char nonce[crypto_stream_chacha20_ietf_NONCEBYTES] = {0};
    for (size_t i = 0; i < sizeof stream; i++)
        nonce[i] = (unsigned char)(stream >> (8 * i));
    nonce[sizeof stream] = (unsigned char)use;
    crypto_stream_chacha20_ietf(key, GR_STREAM_KEY_BYTES, nonce, seed);
}

void gr_noise_words_start(struct gr_noise_words *words,
                          const unsigned char seed[GR_NOISE_SEED_BYTES], uint64_t stream,
                          enum gr_noise_use use) {
    gr_noise_key(seed, stream, use, words->key);
    words->position = 0;
    words->used = GR_NOISE_WORDS;
}

void gr_noise_words_end(struct gr_noise_words *words) {
    sodium_memzero(words, sizeof *words);
}

void gr_noise_words_refill(struct gr_noise_words *words) {
    gr_key_stream_make(words->key, words->position, words->word, sizeof words->word);
    words->position = (words->position + sizeof words->word) % GR_KEY_STREAM_MAX;
    words->used = 0;
}
