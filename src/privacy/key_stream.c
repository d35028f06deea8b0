/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A stream is made in pieces that stay in the processor's first cache, and each is added before the
 * next is made. OpenSSL's ChaCha20 has the wide registers at hand and takes half of libsodium's
 * time.
 */
#include "privacy/key_stream.h"

#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

enum { BLOCK = 64, PIECE = 128 * BLOCK, COUNTER_BYTES = 4, IV_BYTES = 16 };

static const unsigned char zeros[PIECE];

/* Of the library, found once. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *chacha;
static bool refused;

static void look_up(void) {
    chacha = EVP_CIPHER_fetch(NULL, "ChaCha20", NULL);
}

static bool has_openssl(void) {
    pthread_once(&once, look_up);
    return chacha && !refused;
}

bool gr_key_stream_by_openssl(bool wanted) {
    refused = !wanted;
    return has_openssl();
}

/* NULL: libsodium is to do it. */
static EVP_CIPHER_CTX *begin(const unsigned char *key, uint32_t block) {
    unsigned char iv[IV_BYTES] = {0}; /* the counter, little-endian, then the nonce */
    if (!has_openssl()) return NULL;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    for (int i = 0; i < COUNTER_BYTES; i++)
        iv[i] = (unsigned char)(block >> (8 * i));
    if (context && EVP_EncryptInit_ex2(context, chacha, key, iv, NULL) != 1) {
        EVP_CIPHER_CTX_free(context);
        context = NULL;
    }
    return context;
}

/* The bytes of whole blocks; n <= PIECE. */
static void make(EVP_CIPHER_CTX **context, const unsigned char *key, uint32_t block,
                 unsigned char *out, size_t n) {
    static const unsigned char nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
    int done = 0;
    if (*context && EVP_EncryptUpdate(*context, out, &done, zeros, (int)n) == 1 && done == (int)n)
        return;
    EVP_CIPHER_CTX_free(*context);
    *context = NULL;
    crypto_stream_chacha20_ietf_xor_ic(out, zeros, n, nonce, block, key);
}

static void combine_16(uint16_t *words, const unsigned char *bytes, size_t n, bool subtract) {
    for (size_t i = 0; i < n; i++) {
        uint16_t mask;
        memcpy(&mask, bytes + i * sizeof mask, sizeof mask);
        words[i] = (uint16_t)(subtract ? words[i] - mask : words[i] + mask);
    }
}

static void combine_32(uint32_t *words, const unsigned char *bytes, size_t n, bool subtract) {
    for (size_t i = 0; i < n; i++) {
        uint32_t mask;
        memcpy(&mask, bytes + i * sizeof mask, sizeof mask);
        words[i] = subtract ? words[i] - mask : words[i] + mask;
    }
}

static void combine_64(uint64_t *words, const unsigned char *bytes, size_t n, bool subtract) {
    for (size_t i = 0; i < n; i++) {
        uint64_t mask;
        memcpy(&mask, bytes + i * sizeof mask, sizeof mask);
        words[i] = subtract ? words[i] - mask : words[i] + mask;
    }
}

static void combine(uint32_t bits, void *words, const unsigned char *bytes, size_t n,
                    bool subtract) {
    if (bits == 16)
        combine_16(words, bytes, n, subtract);
    else if (bits == 32)
        combine_32(words, bytes, n, subtract);
    else
        combine_64(words, bytes, n, subtract);
}

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "a stream's words are little-endian");

void gr_key_stream_add(const unsigned char key[GR_STREAM_KEY_BYTES], struct gr_stream_range range,
                       bool subtract, void *words) {
    unsigned char bytes[PIECE];
    unsigned char *to = words;
    const size_t width = range.bits / 8;
    uint32_t block = (uint32_t)(range.position / BLOCK);
    size_t skip = range.position % BLOCK;
    EVP_CIPHER_CTX *context = range.n > 0 ? begin(key, block) : NULL;
    for (size_t left = range.n; left > 0;) {
        const size_t in_piece = (PIECE - skip) / width, n = left < in_piece ? left : in_piece;
        const size_t made = (skip + n * width + BLOCK - 1) / BLOCK * BLOCK;
        make(&context, key, block, bytes, made);
        combine(range.bits, to, bytes + skip, n, subtract);
        to += n * width;
        left -= n;
        block += PIECE / BLOCK;
        skip = 0;
    }
    EVP_CIPHER_CTX_free(context);
    sodium_memzero(bytes, sizeof bytes);
}

void gr_key_stream_make(const unsigned char key[GR_STREAM_KEY_BYTES], uint64_t position, void *out,
                        size_t n) {
    unsigned char last[BLOCK];
    unsigned char *to = out;
    uint32_t block = (uint32_t)(position / BLOCK);
    EVP_CIPHER_CTX *context = n > 0 ? begin(key, block) : NULL;
    for (size_t whole = n / BLOCK * BLOCK; whole > 0;) {
        const size_t piece = whole < PIECE ? whole : PIECE;
        make(&context, key, block, to, piece);
        to += piece;
        whole -= piece;
        block += (uint32_t)(piece / BLOCK);
    }
    if (n % BLOCK) {
        make(&context, key, block, last, BLOCK);
        memcpy(to, last, n % BLOCK);
        sodium_memzero(last, sizeof last);
    }
    EVP_CIPHER_CTX_free(context);
}
