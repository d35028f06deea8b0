/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arithmetic of sealed letters: the vector of draft-irtf-cfrg-xchacha-03 (A.3.1) and
 * libsodium's own functions, by OpenSSL and without it; what does not open stays as it was.
 */
#include "post/cipher.h"

#include <sodium.h>

#include "parties.h"

enum { MOST = 300000 };
static unsigned char plain[MOST], ours[MOST], theirs[MOST];
static unsigned char key[GR_KEY_BYTES] = "a key of thirty-two bytes or so";

static void start(void) {
    ck_assert_int_ge(sodium_init(), 0);
    for (size_t i = 0; i < MOST; i++)
        plain[i] = (unsigned char)(i * 31 + i / 7);
}

static struct gr_cipher cipher_of(size_t n_known) {
    struct gr_cipher cipher = {.key = key, .nonce = "a nonce of 24 bytes, yes", .n_known = n_known};
    memcpy(cipher.known, "what else is known", 18);
    return cipher;
}

static void check_seals_as_libsodium(size_t n, size_t n_known) {
    const struct gr_cipher cipher = cipher_of(n_known);
    unsigned char tag[GR_CIPHER_TAG_BYTES], expected[GR_CIPHER_TAG_BYTES];
    memcpy(ours, plain, n);
    /* In three parts, of which one is empty, and which do not end with blocks. */
    const struct gr_post_part parts[] = {{plain, n / 3}, {NULL, 0}, {plain + n / 3, n - n / 3}};
    gr_cipher_seal_parts(&cipher, parts, 3, theirs, expected);
    gr_cipher_seal(&cipher, ours, n, tag);
    ck_assert_mem_eq(tag, expected, sizeof tag);
    ck_assert_mem_eq(ours, theirs, n);
    crypto_aead_xchacha20poly1305_ietf_encrypt_detached(
        theirs, expected, NULL, plain, n, cipher.known, n_known, NULL, cipher.nonce, key);
    ck_assert_mem_eq(tag, expected, sizeof tag);
    ck_assert_mem_eq(ours, theirs, n);
    ck_assert(gr_cipher_open(&cipher, ours, n, tag));
    ck_assert_mem_eq(ours, plain, n);
    gr_cipher_checksum(key, plain, n, tag);
    crypto_onetimeauth(expected, plain, n, key);
    ck_assert_mem_eq(tag, expected, sizeof tag);
}

static void check_stays_closed(size_t n) {
    struct gr_cipher cipher = cipher_of(96);
    unsigned char tag[GR_CIPHER_TAG_BYTES];
    memcpy(ours, plain, n);
    gr_cipher_seal(&cipher, ours, n, tag);
    memcpy(theirs, ours, n);
    cipher.known[95] ^= 1;
    ck_assert(!gr_cipher_open(&cipher, ours, n, tag));
    ck_assert_mem_eq(ours, theirs, n);
    cipher.known[95] ^= 1;
    tag[0] ^= 128;
    ck_assert(!gr_cipher_open(&cipher, ours, n, tag));
    ck_assert_mem_eq(ours, theirs, n);
    tag[0] ^= 128;
    ours[n - 1] ^= 1;
    ck_assert(!gr_cipher_open(&cipher, ours, n, tag));
    ours[n - 1] ^= 1;
    ck_assert(gr_cipher_open(&cipher, ours, n, tag));
    ck_assert_mem_eq(ours, plain, n);
}

static void check_vector(void) {
    static const char text[] =
        "Ladies and Gentlemen of the class of '99: If I could offer you only "
        "one tip for the future, sunscreen would be it.";
    static const unsigned char known[] = {0x50, 0x51, 0x52, 0x53, 0xc0, 0xc1,
                                          0xc2, 0xc3, 0xc4, 0xc5, 0xc6, 0xc7};
    static const unsigned char expected[] = {0xc0, 0x87, 0x59, 0x24, 0xc1, 0xc7, 0x98, 0x79,
                                             0x47, 0xde, 0xaf, 0xd8, 0x78, 0x0a, 0xcf, 0x49};
    unsigned char its_key[GR_KEY_BYTES], tag[GR_CIPHER_TAG_BYTES];
    struct gr_cipher cipher = {.key = its_key, .n_known = sizeof known};
    for (unsigned i = 0; i < GR_KEY_BYTES; i++)
        its_key[i] = (unsigned char)(0x80 + i);
    for (unsigned i = 0; i < GR_CIPHER_NONCE_BYTES; i++)
        cipher.nonce[i] = (unsigned char)(0x40 + i);
    memcpy(cipher.known, known, sizeof known);
    memcpy(ours, text, sizeof text - 1);
    gr_cipher_seal(&cipher, ours, sizeof text - 1, tag);
    ck_assert_mem_eq(tag, expected, sizeof tag);
    static const unsigned char begins[] = {0xbd, 0x6d, 0x17, 0x9d};
    ck_assert_mem_eq(ours, begins, sizeof begins);
}

static void check_all(void) {
    static const size_t sizes[] = {0, 1, 63, 64, 65, 1000, 65536, MOST};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        check_seals_as_libsodium(sizes[i], 96);
        check_seals_as_libsodium(sizes[i], 128);
        if (sizes[i] > 0) check_stays_closed(sizes[i]);
    }
    check_vector();
}

START_TEST(by_openssl) {
    start();
    (void)gr_cipher_by_openssl(true);
    check_all();
}
END_TEST

START_TEST(without_openssl) {
    start();
    ck_assert(!gr_cipher_by_openssl(false));
    check_all();
    (void)gr_cipher_by_openssl(true);
}
END_TEST

RUN_TESTS("cipher", by_openssl, without_openssl)
