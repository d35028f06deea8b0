/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of sealed letters: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha-03), and Poly1305
 * alone. The same bits as libsodium's, which begins them (HChaCha20); what goes on byte by byte is
 * OpenSSL's, which has the wide registers of the processor at hand and takes a third of the time.
 * Where OpenSSL does not give these functions, as under FIPS, all is libsodium's. Not collective.
 */
#ifndef GRANARY_POST_CIPHER_H
#define GRANARY_POST_CIPHER_H

#include <granary/post.h>

enum { GR_CIPHER_NONCE_BYTES = 24, GR_CIPHER_TAG_BYTES = 16, GR_CIPHER_KNOWN_MAX = 128 };

/* How a message is sealed: the key, a nonce of that key alone, and what else the tag is of. */
struct gr_cipher {
    const unsigned char *key; /* GR_KEY_BYTES; borrowed */
    unsigned char nonce[GR_CIPHER_NONCE_BYTES];
    unsigned char known[GR_CIPHER_KNOWN_MAX];
    size_t n_known;
};

/* Seals n bytes where they lie. */
void gr_cipher_seal(const struct gr_cipher *cipher, unsigned char *bytes, size_t n,
                    unsigned char tag[GR_CIPHER_TAG_BYTES]);
/* The same of parts, one behind the other, into `out`, which has room for all; a part may be the
 * place where it goes. */
void gr_cipher_seal_parts(const struct gr_cipher *cipher, const struct gr_post_part *parts,
                          size_t n_parts, unsigned char *out,
                          unsigned char tag[GR_CIPHER_TAG_BYTES]);
/* Opens n bytes where they lie; false: they were not sealed so, and are what they were. */
bool gr_cipher_open(const struct gr_cipher *cipher, unsigned char *bytes, size_t n,
                    const unsigned char tag[GR_CIPHER_TAG_BYTES]);
/* Poly1305 under a key of 32 bytes, which is used for these bytes alone. */
void gr_cipher_checksum(const unsigned char key[GR_KEY_BYTES], const unsigned char *bytes, size_t n,
                        unsigned char out[GR_CIPHER_TAG_BYTES]);
/* From now on all is libsodium's, or again what is faster: for tests. Whether OpenSSL has it. */
bool gr_cipher_by_openssl(bool wanted);

#endif
