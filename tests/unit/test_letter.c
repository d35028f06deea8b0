/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters: the head is admitted only as it was signed, for this study, by the party that it names;
 * no changed byte, no cut and no claim of size passes; the body opens with its key alone, and is
 * what libsodium's own functions make of it.
 */
#include "post/letter.h"

#include <sodium.h>

#include "parties.h"

static void make_all(void) {
    scratch_make();
    parties_make();
}

static void remove_all(void) {
    parties_free();
    scratch_remove();
}

static const unsigned char key[GR_KEY_BYTES] = "the key of a session";

static struct gr_letter *letter_of(uint32_t from, uint32_t to, enum gr_letter_kind kind,
                                   const char *text) {
    struct gr_letter *letter;
    const struct gr_letter_head head = {
        .label = {.from = from, .to = to, .session = "a session", .counter = 0x0102030405060708},
        .kind = kind,
        .acknowledged = 7};
    MUST(gr_letter_create(0, strlen(text), &letter));
    memcpy(gr_letter_body(letter), text, strlen(text));
    gr_letter_seal(letter, head, 0, key, keys_of[from], study);
    return letter;
}

static gr_status admit(const unsigned char *head, size_t n, size_t *bytes) {
    struct gr_letter_label label;
    /* Memory of exactly n bytes, so that one too many is seen. */
    unsigned char *copy = malloc(n > 0 ? n : 1);
    if (n > 0) memcpy(copy, head, n);
    const gr_status status = gr_letter_admit(copy, n, parties, PARTIES, study, &label, bytes);
    free(copy);
    return status;
}

static void check_refused(const unsigned char *head, enum gr_refusal why, const char *words) {
    size_t bytes = 77;
    ck_assert_int_eq(admit(head, GR_LETTER_HEAD_BYTES, &bytes), GR_ERROR_DATA);
    ck_assert_int_eq(gr_letter_refusal(), why);
    ck_assert_msg(strstr(gr_message(), words) != NULL, "found %s", gr_message());
    ck_assert_uint_eq(bytes, 77);
}

START_TEST(what_is_sealed_opens_again) {
    struct gr_letter *letter = letter_of(1, 0, GR_LETTER_MESSAGE, "forty-two rows");
    struct gr_letter_label label;
    unsigned char *message;
    size_t n, bytes;
    MUST(gr_letter_admit(letter->bytes, GR_LETTER_HEAD_BYTES, parties, PARTIES, study, &label,
                         &bytes));
    ck_assert_uint_eq(bytes, letter->n);
    ck_assert_uint_eq(bytes, GR_LETTER_HEAD_BYTES + 14);
    /* Not of a party that has left, though its signature is good. */
    parties[1].left = true;
    ck_assert_int_eq(gr_letter_admit(letter->bytes, GR_LETTER_HEAD_BYTES, parties, PARTIES, study,
                                     &label, &bytes),
                     GR_ERROR_DATA);
    ck_assert_str_eq(gr_message(), "a letter is of site-1, which has left the study");
    parties[1].left = false;
    ck_assert_mem_eq(&label, &letter->label, sizeof label);
    const struct gr_letter_head head = gr_letter_read_head(letter->bytes);
    ck_assert_uint_eq(head.label.counter, 0x0102030405060708);
    ck_assert_uint_eq(head.acknowledged, 7);
    ck_assert_int_eq(head.kind, GR_LETTER_MESSAGE);
    ck_assert(gr_letter_is_whole(letter));
    MUST(gr_letter_open(letter, 0, key, &message, &n));
    ck_assert_uint_eq(n, 14);
    ck_assert_mem_eq(message, "forty-two rows", 14);
    gr_free(message);
    /* By libsodium alone, from the places that letter.h gives. */
    unsigned char nonce[24], plain[14], digest[32], claim[32 + 128], hash[64];
    static const char title[] = "granary signature 1\0letter";
    memcpy(nonce, letter->bytes + 80, 16);
    memcpy(nonce + 16, letter->bytes + 40, 8);
    ck_assert_int_eq(crypto_aead_xchacha20poly1305_ietf_decrypt_detached(
                         plain, NULL, letter->bytes + 192, 14, letter->bytes + 96, letter->bytes,
                         96, nonce, key),
                     0);
    ck_assert_mem_eq(plain, "forty-two rows", 14);
    crypto_generichash(digest, sizeof digest, letter->bytes, 112, NULL, 0);
    ck_assert_int_eq(
        crypto_onetimeauth_verify(letter->bytes + 112, letter->bytes + 192, 14, digest), 0);
    memcpy(claim, study, 32);
    memcpy(claim + 32, letter->bytes, 128);
    crypto_generichash_state state;
    crypto_generichash_init(&state, NULL, 0, 64);
    crypto_generichash_update(&state, (const unsigned char *)title, sizeof title);
    crypto_generichash_update(&state, claim, sizeof claim);
    crypto_generichash_final(&state, hash, 64);
    ck_assert_int_eq(
        crypto_sign_verify_detached(letter->bytes + 128, hash, 64, parties[1].key.verify), 0);
    gr_free(letter);
}
END_TEST

/* Each bit of the head, and of the body. */
START_TEST(no_changed_bit_passes) {
    struct gr_letter *letter = letter_of(0, 2, GR_LETTER_MESSAGE, "forty-two rows");
    unsigned char *message;
    size_t n, bytes;
    for (size_t i = 0; i < 8 * letter->n; i++) {
        const unsigned char bit = (unsigned char)(1U << i % 8);
        letter->bytes[i / 8] ^= bit;
        if (i < 8 * (size_t)GR_LETTER_HEAD_BYTES) {
            ck_assert_int_eq(admit(letter->bytes, GR_LETTER_HEAD_BYTES, &bytes), GR_ERROR_DATA);
            /* Were it admitted, it would not open: all but the checksum, the signature and the size
             * that the letter says is bound into the sealing. */
            if (i < 8 * 112) {
                ck_assert_int_eq(gr_letter_open(letter, 0, key, &message, &n), GR_ERROR_DATA);
                ck_assert_ptr_null(message);
            }
        } else {
            MUST(admit(letter->bytes, GR_LETTER_HEAD_BYTES, &bytes));
            ck_assert(!gr_letter_is_whole(letter));
            ck_assert_int_eq(gr_letter_open(letter, 0, key, &message, &n), GR_ERROR_DATA);
        }
        letter->bytes[i / 8] ^= bit;
    }
    MUST(gr_letter_open(letter, 0, key, &message, &n));
    gr_free(message);
    unsigned char other[GR_KEY_BYTES] = "the key of another session";
    ck_assert_int_eq(gr_letter_open(letter, 0, other, &message, &n), GR_ERROR_DATA);
    gr_free(letter);
}
END_TEST

/* A fresh key in the clear is bound into the sealing, too, even where the key does not depend on
 * it. */
START_TEST(no_changed_opening_passes) {
    struct gr_letter *letter;
    const struct gr_letter_head head = {.label = {.from = 1, .counter = 1},
                                        .kind = GR_LETTER_HELLO};
    unsigned char *message;
    size_t n;
    MUST(gr_letter_create(GR_LETTER_OPENING_BYTES, 5, &letter));
    memcpy(gr_letter_body(letter), "an opening of thirty-two bytes..hello", 37);
    gr_letter_seal(letter, head, GR_LETTER_OPENING_BYTES, key, keys_of[1], study);
    ck_assert_mem_eq(gr_letter_body(letter), "an opening of thirty-two bytes..", 32);
    for (size_t i = 0; i < 8 * (size_t)GR_LETTER_OPENING_BYTES; i++) {
        gr_letter_body(letter)[i / 8] ^= (unsigned char)(1U << i % 8);
        ck_assert(!gr_letter_is_whole(letter));
        ck_assert_int_eq(gr_letter_open(letter, GR_LETTER_OPENING_BYTES, key, &message, &n),
                         GR_ERROR_DATA);
        gr_letter_body(letter)[i / 8] ^= (unsigned char)(1U << i % 8);
    }
    MUST(gr_letter_open(letter, GR_LETTER_OPENING_BYTES, key, &message, &n));
    ck_assert_uint_eq(n, 5);
    ck_assert_mem_eq(message, "hello", 5);
    gr_free(message);
    gr_free(letter);
}
END_TEST

START_TEST(no_cut_letter_passes) {
    struct gr_letter *letter = letter_of(0, 2, GR_LETTER_MESSAGE, "forty-two rows");
    const size_t whole = letter->n;
    size_t bytes, n;
    unsigned char *message;
    for (size_t length = 0; length < GR_LETTER_HEAD_BYTES; length++) {
        ck_assert_int_eq(admit(letter->bytes, length, &bytes), GR_ERROR_DATA);
        ck_assert_int_eq(gr_letter_refusal(), GR_REFUSED_UNREADABLE);
    }
    for (letter->n = GR_LETTER_HEAD_BYTES; letter->n < whole; letter->n++) {
        ck_assert(!gr_letter_is_whole(letter));
        ck_assert_int_eq(gr_letter_open(letter, 0, key, &message, &n), GR_ERROR_DATA);
    }
    gr_free(letter);
}
END_TEST

/* Signs a head of any content anew, as its party could: what is refused then is not for its
 * signature. */
static void sign_again(unsigned char *head, uint32_t from) {
    unsigned char claim[32 + 128];
    memcpy(claim, study, 32);
    memcpy(claim + 32, head, 128);
    gr_keys_sign(keys_of[from], "letter", claim, sizeof claim, head + 128);
}

START_TEST(the_right_reason_is_given) {
    struct gr_letter *letter = letter_of(1, 0, GR_LETTER_MESSAGE, "");
    unsigned char head[GR_LETTER_HEAD_BYTES], other_study[GR_DIGEST_BYTES] = "another study";
    struct gr_letter_label label;
    size_t bytes;
#define FRESH() memcpy(head, letter->bytes, sizeof head)
    FRESH();
    MUST(admit(head, sizeof head, &bytes));
    memcpy(head, "GET / HTTP/1.1\r\n", 16);
    check_refused(head, GR_REFUSED_UNREADABLE, "something else than a letter");
    FRESH();
    head[8] = 2;
    check_refused(head, GR_REFUSED_VERSION,
                  "a letter of site-1 is of version 2, expected version 1");
    head[12] = 9;
    check_refused(head, GR_REFUSED_VERSION, "an unknown party is of version 2");
    FRESH();
    memset(head + 56, 0, 8);
    head[58] = 0x40; /* 4 MiB, and 10 GB */
    sign_again(head, 1);
    MUST(admit(head, sizeof head, &bytes));
    const uint64_t claim = UINT64_C(10000000000);
    memcpy(head + 56, &claim, 8);
    sign_again(head, 1);
    check_refused(head, GR_REFUSED_SIZE, "says it has 10000000000 bytes, expected at most 8388608");
    memset(head + 56, 0xff, 8);
    sign_again(head, 1);
    check_refused(head, GR_REFUSED_SIZE, "expected at most 8388608");
    memset(head + 56, 0, 8);
    head[20] = GR_LETTER_HELLO;
    sign_again(head, 1);
    check_refused(head, GR_REFUSED_UNREADABLE, "too short for its kind");
    head[20] = GR_LETTER_RECEIPT;
    head[56] = 1;
    sign_again(head, 1);
    check_refused(head, GR_REFUSED_SIZE, "says it has 1 bytes, expected at most 0");
    FRESH();
    head[20] = 99;
    sign_again(head, 1);
    check_refused(head, GR_REFUSED_UNREADABLE, "unknown kind");
    /* Party 2 signs as party 1; site writes to site; to a party that there is not. */
    FRESH();
    sign_again(head, 2);
    check_refused(head, GR_REFUSED_FORGED, "says it is of site-1 does not bear the signature");
    FRESH();
    head[16] = 2;
    sign_again(head, 1);
    check_refused(head, GR_REFUSED_FORGED, "party that is not of this study");
    FRESH();
    head[16] = 3;
    sign_again(head, 1);
    check_refused(head, GR_REFUSED_FORGED, "party that is not of this study");
    head[16] = 0;
    head[15] = 1;
    check_refused(head, GR_REFUSED_FORGED, "party that is not of this study");
    ck_assert_int_eq(
        gr_letter_admit(letter->bytes, letter->n, parties, PARTIES, other_study, &label, &bytes),
        GR_ERROR_DATA);
    ck_assert_int_eq(gr_letter_refusal(), GR_REFUSED_STUDY);
    /* The mark of the study set right, the signature is not. */
    FRESH();
    gr_digest_of(other_study, sizeof other_study, other_study);
    memcpy(head + 64, other_study, 16);
    memset(other_study, 0, sizeof other_study);
    memcpy(other_study, "another study", 13);
    ck_assert_int_eq(
        gr_letter_admit(head, sizeof head, parties, PARTIES, other_study, &label, &bytes),
        GR_ERROR_DATA);
    ck_assert_int_eq(gr_letter_refusal(), GR_REFUSED_FORGED);
    gr_free(letter);
}
END_TEST

/* A letter of every size has the bytes that are said: no more is written or read. */
START_TEST(letters_of_all_sizes) {
    static const size_t sizes[] = {0, 1, 15, 16, 17, 63, 64, 65, 4096, 1 << 20, GR_LETTER_BODY_MAX};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct gr_letter *letter;
        struct gr_letter_head head = {.label = {.from = 2, .counter = 5},
                                      .kind = GR_LETTER_MESSAGE};
        unsigned char *message, *plain = malloc(sizes[i] + 1);
        size_t n, bytes;
        MUST(gr_letter_create(0, sizes[i], &letter));
        for (size_t j = 0; j < sizes[i]; j++)
            gr_letter_body(letter)[j] = plain[j] = (unsigned char)(j * 7 + j / 251);
        gr_letter_seal(letter, head, 0, key, keys_of[2], study);
        MUST(admit(letter->bytes, GR_LETTER_HEAD_BYTES, &bytes));
        ck_assert_uint_eq(bytes, letter->n);
        ck_assert_uint_le(bytes, GR_LETTER_MAX);
        ck_assert(gr_letter_is_whole(letter));
        MUST(gr_letter_open(letter, 0, key, &message, &n));
        ck_assert_uint_eq(n, sizes[i]);
        ck_assert(memcmp(message, plain, n) == 0);
        gr_free(message);
        gr_free(letter);
        free(plain);
    }
}
END_TEST

/* One text sealed twice under one key and counter gives nothing in common: the salt is drawn. */
START_TEST(no_nonce_is_used_twice) {
    struct gr_letter *a = letter_of(1, 0, GR_LETTER_MESSAGE, "0123456789abcdef");
    struct gr_letter *b = letter_of(1, 0, GR_LETTER_MESSAGE, "0123456789abcdef");
    ck_assert(memcmp(a->bytes + 80, b->bytes + 80, 16) != 0);
    ck_assert(memcmp(a->bytes + 192, b->bytes + 192, 16) != 0);
    gr_free(a);
    gr_free(b);
}
END_TEST

int main(void) {
    const TTest *const tests[] = {what_is_sealed_opens_again, no_changed_bit_passes,
                                  no_changed_opening_passes,  no_cut_letter_passes,
                                  the_right_reason_is_given,  letters_of_all_sizes,
                                  no_nonce_is_used_twice};
    if (gr_base_start() != GR_OK) return 1;
    return run_with("letter", make_all, remove_all, tests, sizeof tests / sizeof *tests);
}
