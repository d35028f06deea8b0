/* SPDX-License-Identifier: Apache-2.0 */
/* BLAKE2b-256 through libsodium. Digests here tell a changed or damaged file from a whole one; no
 * digest here is keyed, so none of them proves who wrote a file. */
#include <granary/base.h>

#include <sodium.h>
#include <string.h>

_Static_assert(sizeof(crypto_generichash_state) <= sizeof(struct gr_digest),
               "struct gr_digest holds libsodium's state");

/* The header shows bytes in place of libsodium's type, so that programs need not have its headers.
 * libsodium asks for 64-byte alignment, which struct gr_digest has. */
static crypto_generichash_state *state_of(struct gr_digest *digest) {
    /* cppcheck-suppress ctuuninitvar ; it is about to be initialised */
    return (crypto_generichash_state *)(void *)digest->opaque;
}

void gr_digest_start(struct gr_digest *digest) {
    crypto_generichash_init(state_of(digest), NULL, 0, GR_DIGEST_BYTES);
}

void gr_digest_add(struct gr_digest *digest, const void *bytes, size_t n) {
    crypto_generichash_update(state_of(digest), bytes, n);
}

void gr_digest_finish(struct gr_digest *digest, unsigned char out[GR_DIGEST_BYTES]) {
    crypto_generichash_final(state_of(digest), out, GR_DIGEST_BYTES);
}

void gr_digest_of(const void *bytes, size_t n, unsigned char out[GR_DIGEST_BYTES]) {
    crypto_generichash(out, GR_DIGEST_BYTES, bytes, n, NULL, 0);
}

void gr_digest_hex(const unsigned char digest[GR_DIGEST_BYTES], char out[GR_DIGEST_HEX]) {
    sodium_bin2hex(out, GR_DIGEST_HEX, digest, GR_DIGEST_BYTES);
}

bool gr_digest_from_hex(const char *hex, unsigned char out[GR_DIGEST_BYTES]) {
    size_t n = 0;
    return sodium_hex2bin(out, GR_DIGEST_BYTES, hex, strlen(hex), NULL, &n, NULL) == 0 &&
           n == GR_DIGEST_BYTES;
}
