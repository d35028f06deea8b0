/* SPDX-License-Identifier: Apache-2.0 */
/*
 * XChaCha20-Poly1305 is ChaCha20-Poly1305 (RFC 8439) under a key that HChaCha20 makes of the key
 * and the first 16 bytes of the nonce, with the other 8 bytes behind four of 0 as its nonce.
 */
#include "post/cipher.h"

#include <limits.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <sodium.h>
#include <string.h>

enum { NONCE_BYTES = 12, NONCE_BEGIN = 16 };

_Static_assert(GR_CIPHER_NONCE_BYTES == crypto_aead_xchacha20poly1305_ietf_NPUBBYTES, "a nonce");
_Static_assert(GR_CIPHER_TAG_BYTES == crypto_aead_xchacha20poly1305_ietf_ABYTES, "a tag");
_Static_assert(GR_CIPHER_TAG_BYTES == crypto_onetimeauth_BYTES, "a checksum is as long");
_Static_assert(GR_KEY_BYTES == crypto_aead_xchacha20poly1305_ietf_KEYBYTES, "a key");
_Static_assert(GR_KEY_BYTES == crypto_core_hchacha20_OUTPUTBYTES, "and the one made of it");

/* Of the library, found once, for looking them up takes longer than a short letter. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_CIPHER *chacha;
static EVP_MAC *poly;
static bool refused;

static void look_up(void) {
    chacha = EVP_CIPHER_fetch(NULL, "ChaCha20-Poly1305", NULL);
    poly = EVP_MAC_fetch(NULL, "POLY1305", NULL);
}

static bool has_openssl(void) {
    pthread_once(&once, look_up);
    return chacha && poly && !refused;
}

bool gr_cipher_by_openssl(bool wanted) {
    refused = !wanted;
    return has_openssl();
}

/* ---- OpenSSL ----------------------------------------------------------------------------------
 */

/* One way or the other; NULL: no memory. */
static EVP_CIPHER_CTX *begin(const struct gr_cipher *cipher, bool seals) {
    unsigned char key[GR_KEY_BYTES], nonce[NONCE_BYTES] = {0};
    int n;
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    crypto_core_hchacha20(key, cipher->nonce, cipher->key, NULL);
    memcpy(nonce + NONCE_BYTES - (GR_CIPHER_NONCE_BYTES - NONCE_BEGIN), cipher->nonce + NONCE_BEGIN,
           GR_CIPHER_NONCE_BYTES - NONCE_BEGIN);
    if (context &&
        (EVP_CipherInit_ex2(context, chacha, key, nonce, seals, NULL) != 1 ||
         EVP_CipherUpdate(context, NULL, &n, cipher->known, (int)cipher->n_known) != 1)) {
        EVP_CIPHER_CTX_free(context);
        context = NULL;
    }
    sodium_memzero(key, sizeof key);
    return context;
}

static size_t size_of(const struct gr_post_part *parts, size_t n_parts) {
    size_t n = 0;
    for (size_t i = 0; i < n_parts; i++)
        n += parts[i].n;
    return n;
}

/* False: nothing was done. */
static bool seal(const struct gr_cipher *cipher, const struct gr_post_part *parts, size_t n_parts,
                 unsigned char *out, unsigned char tag[GR_CIPHER_TAG_BYTES]) {
    int done = 0;
    bool good = true;
    unsigned char *at = out;
    EVP_CIPHER_CTX *context = begin(cipher, true);
    if (!context) return false;
    for (size_t i = 0; i < n_parts && good; at += parts[i++].n)
        good = parts[i].n == 0 ||
               EVP_CipherUpdate(context, at, &done, parts[i].bytes, (int)parts[i].n) == 1;
    if (!good || EVP_CipherFinal_ex(context, at, &done) != 1 ||
        EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_GET_TAG, GR_CIPHER_TAG_BYTES, tag) != 1)
        sodium_memzero(out, size_of(parts, n_parts)); /* never in the clear; nobody can open it */
    EVP_CIPHER_CTX_free(context);
    return true;
}

/* False: nothing was done; *good: whether it opens. The library has written its bytes before it
 * knows; writing them once more undoes that. */
static bool open_sealed(const struct gr_cipher *cipher, unsigned char *bytes, size_t n,
                        const unsigned char tag[GR_CIPHER_TAG_BYTES], bool *good) {
    unsigned char wanted[GR_CIPHER_TAG_BYTES], unused[GR_CIPHER_TAG_BYTES];
    int done = 0;
    EVP_CIPHER_CTX *context = begin(cipher, false);
    if (!context) return false;
    memcpy(wanted, tag, sizeof wanted);
    *good = EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, sizeof wanted, wanted) == 1 &&
            (n == 0 || EVP_CipherUpdate(context, bytes, &done, bytes, (int)n) == 1);
    if (*good && EVP_CipherFinal_ex(context, bytes + n, &done) != 1) {
        *good = false;
        gr_cipher_seal(cipher, bytes, n, unused);
    }
    EVP_CIPHER_CTX_free(context);
    return true;
}

static bool checksum(const unsigned char key[GR_KEY_BYTES], const unsigned char *bytes, size_t n,
                     unsigned char out[GR_CIPHER_TAG_BYTES]) {
    size_t done = 0;
    EVP_MAC_CTX *context = EVP_MAC_CTX_new(poly);
    const bool good = context && EVP_MAC_init(context, key, GR_KEY_BYTES, NULL) == 1 &&
                      EVP_MAC_update(context, bytes, n) == 1 &&
                      EVP_MAC_final(context, out, &done, GR_CIPHER_TAG_BYTES) == 1;
    EVP_MAC_CTX_free(context);
    return good;
}

/* ---- either -----------------------------------------------------------------------------------
 */

void gr_cipher_seal(const struct gr_cipher *cipher, unsigned char *bytes, size_t n,
                    unsigned char tag[GR_CIPHER_TAG_BYTES]) {
    const struct gr_post_part all = {bytes, n};
    gr_cipher_seal_parts(cipher, &all, 1, bytes, tag);
}

void gr_cipher_seal_parts(const struct gr_cipher *cipher, const struct gr_post_part *parts,
                          size_t n_parts, unsigned char *out,
                          unsigned char tag[GR_CIPHER_TAG_BYTES]) {
    const size_t n = size_of(parts, n_parts);
    unsigned char *at = out;
    if (has_openssl() && n <= INT_MAX && seal(cipher, parts, n_parts, out, tag)) return;
    for (size_t i = 0; i < n_parts; at += parts[i++].n)
        if (parts[i].n > 0 && parts[i].bytes != at) memcpy(at, parts[i].bytes, parts[i].n);
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
        out, tag, NULL, out, n, cipher->known, cipher->n_known, NULL, cipher->nonce, cipher->key);
}

/* out NULL: only tells whether they open. */
static bool sodium_open(const struct gr_cipher *cipher, unsigned char *out,
                        const unsigned char *bytes, size_t n,
                        const unsigned char tag[GR_CIPHER_TAG_BYTES]) {
    return crypto_aead_xchacha20poly1305_ietf_decrypt_detached(out, NULL, bytes, n, tag,
                                                               cipher->known, cipher->n_known,
                                                               cipher->nonce, cipher->key) == 0;
}

bool gr_cipher_open(const struct gr_cipher *cipher, unsigned char *bytes, size_t n,
                    const unsigned char tag[GR_CIPHER_TAG_BYTES]) {
    bool good = false;
    if (has_openssl() && n <= INT_MAX && open_sealed(cipher, bytes, n, tag, &good)) return good;
    /* The library clears bytes that do not open, so it is first asked whether they do. */
    return sodium_open(cipher, NULL, bytes, n, tag) && sodium_open(cipher, bytes, bytes, n, tag);
}

void gr_cipher_checksum(const unsigned char key[GR_KEY_BYTES], const unsigned char *bytes, size_t n,
                        unsigned char out[GR_CIPHER_TAG_BYTES]) {
    if (!has_openssl() || !checksum(key, bytes, n, out)) crypto_onetimeauth(out, bytes, n, key);
}
