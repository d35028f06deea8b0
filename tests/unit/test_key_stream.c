/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks' streams: ChaCha20 by the vectors of RFC 8439, A.1 (numbers 1 to 4, whose nonce is 0), by
 * OpenSSL and without it, from any place on, added and taken off in each width.
 */
#include "privacy/key_stream.h"

#include <sodium.h>

#include "scratch.h"

static void from_hex(const char *hex, unsigned char *out, size_t n) {
    size_t done;
    ck_assert_int_eq(sodium_hex2bin(out, n, hex, strlen(hex), NULL, &done, NULL), 0);
    ck_assert_uint_eq(done, n);
}

static void check_vectors(void) {
    static const struct {
        unsigned char last_of_key, second_of_key;
        uint32_t block;
        const char *stream;
    } cases[] = {{0, 0, 0,
                  "76b8e0ada0f13d90405d6ae55386bd28bdd219b8a08ded1aa836efcc8b770dc7"
                  "da41597c5157488d7724e03fb8d84a376a43b8f41518a11cc387b669b2ee6586"},
                 {0, 0, 1,
                  "9f07e7be5551387a98ba977c732d080dcb0f29a048e3656912c6533e32ee7aed"
                  "29b721769ce64e43d57133b074d839d531ed1f28510afb45ace10a1f4b794d6f"},
                 {1, 0, 1,
                  "3aeb5224ecf849929b9d828db1ced4dd832025e8018b8160b82284f3c949aa5a"
                  "8eca00bbb4a73bdad192b5c42f73f2fd4e273644c8b36125a64addeb006c13a0"},
                 {0, 0xff, 2,
                  "72d54dfbf12ec44b362692df94137f328fea8da73990265ec1bbbea1ae9af0ca"
                  "13b25aa26cb4a648cb9b9d1be65b2c0924a66c54d545ec1b7374f4872e99f096"}};
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        unsigned char key[GR_STREAM_KEY_BYTES] = {0}, expected[64];
        uint64_t words[8] = {0};
        key[31] = cases[c].last_of_key;
        key[1] = cases[c].second_of_key;
        from_hex(cases[c].stream, expected, sizeof expected);
        const struct gr_stream_range range = {64ULL * cases[c].block, 64, 8};
        gr_key_stream_add(key, range, false, words);
        ck_assert_mem_eq(words, expected, sizeof expected);
    }
}

/* Any range is that part of libsodium's whole stream. */
static void check_ranges(uint32_t bits) {
    enum { BYTES = 40000 };
    static unsigned char stream[BYTES], words[BYTES], before[BYTES];
    static const unsigned char nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
    unsigned char key[GR_STREAM_KEY_BYTES] = "a key of a stream";
    const size_t width = bits / 8;
    crypto_stream_chacha20_ietf(stream, sizeof stream, nonce, key);
    for (size_t at = 0; at < BYTES / 2; at = at * 2 + 5 * width) {
        for (size_t n = 0; at + n * width <= BYTES; n = n * 3 + 1) {
            const struct gr_stream_range range = {at, bits, n};
            memset(words, 0xa5, sizeof words);
            memcpy(before, words, sizeof before);
            memset(words, 0, n * width);
            gr_key_stream_add(key, range, false, words);
            ck_assert_mem_eq(words, stream + at, n * width);
            ck_assert_mem_eq(words + n * width, before, sizeof words - n * width);
            memcpy(words, before, sizeof words);
            gr_key_stream_add(key, range, true, words);
            gr_key_stream_add(key, range, false, words);
            ck_assert_mem_eq(words, before, sizeof words);
        }
    }
}

/* Bytes as they are, from any block on. */
static void check_made(void) {
    enum { BYTES = 40000 };
    static unsigned char stream[BYTES], bytes[BYTES + 1];
    static const unsigned char nonce[crypto_stream_chacha20_ietf_NONCEBYTES];
    unsigned char key[GR_STREAM_KEY_BYTES] = "a key of a stream";
    crypto_stream_chacha20_ietf(stream, sizeof stream, nonce, key);
    for (size_t at = 0; at < BYTES / 2; at = at * 3 + 64)
        for (size_t n = 0; at + n <= BYTES; n = n * 2 + 13) {
            memset(bytes, 0xa5, sizeof bytes);
            gr_key_stream_make(key, at, bytes, n);
            ck_assert_mem_eq(bytes, stream + at, n);
            ck_assert_uint_eq(bytes[n], 0xa5);
        }
}

/* Words wrap, each within its own width. */
static void check_wraps(void) {
    unsigned char key[GR_STREAM_KEY_BYTES] = {0}; /* begins with 0x76 0xb8 0xe0 0xad ... */
    uint16_t narrow[2] = {0xffff, 0xffff};
    uint32_t wide = 0xffffffff;
    gr_key_stream_add(key, (struct gr_stream_range){0, 16, 2}, false, narrow);
    ck_assert_uint_eq(narrow[0], 0xb875);
    ck_assert_uint_eq(narrow[1], 0xaddf);
    gr_key_stream_add(key, (struct gr_stream_range){0, 32, 1}, false, &wide);
    ck_assert_uint_eq(wide, 0xade0b875);
}

static void check_all(void) {
    check_vectors();
    check_ranges(16);
    check_ranges(32);
    check_ranges(64);
    check_made();
    check_wraps();
}

START_TEST(by_openssl) {
    (void)gr_key_stream_by_openssl(true);
    check_all();
}
END_TEST

START_TEST(without_openssl) {
    ck_assert(!gr_key_stream_by_openssl(false));
    check_all();
    (void)gr_key_stream_by_openssl(true);
}
END_TEST

/* Beyond 2^32 bytes: the counter of blocks is whole. */
START_TEST(far_places) {
    unsigned char key[GR_STREAM_KEY_BYTES] = "a key of a stream", expected[64];
    static const unsigned char nonce[crypto_stream_chacha20_ietf_NONCEBYTES], zeros[64];
    const uint32_t last = UINT32_MAX;
    uint64_t words[8] = {0};
    crypto_stream_chacha20_ietf_xor_ic(expected, zeros, sizeof expected, nonce, last, key);
    gr_key_stream_add(key, (struct gr_stream_range){64ULL * last, 64, 8}, false, words);
    ck_assert_mem_eq(words, expected, sizeof expected);
}
END_TEST

RUN_TESTS("streams of keys", by_openssl, without_openssl, far_places)
