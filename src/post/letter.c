/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters: sealed with XChaCha20-Poly1305 where they lie, signed with Ed25519 over the head, which
 * holds the tag of the sealing. So whoever has the first 192 bytes can tell whether all else is
 * worth its room, and whoever has the key of the session that it is what was signed.
 */
#include "post/letter.h"

#include <sodium.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "post/cipher.h"

enum {
    AT_VERSION = 8,
    AT_FROM = 12,
    AT_TO = 16,
    AT_KIND = 20,
    AT_SESSION = 24,
    AT_COUNTER = 40,
    AT_ACKNOWLEDGED = 48,
    AT_BODY = 56,
    AT_STUDY = 64,
    AT_SALT = 80,
    AT_TAG = 96, /* all before is associated data of the sealing */
    AT_CHECKSUM = 112,
    AT_SIGNATURE = 128,
    MARK_BYTES = 16,
    SALT_BYTES = 16,
};
static const char magic[] = "GrLetter";

_Static_assert(AT_SIGNATURE + GR_SIGNATURE_BYTES == GR_LETTER_HEAD_BYTES, "the head is full");
_Static_assert(SALT_BYTES + 8 == GR_CIPHER_NONCE_BYTES, "a nonce");
_Static_assert(AT_TAG + GR_LETTER_OPENING_BYTES <= GR_CIPHER_KNOWN_MAX, "all has its room");
_Static_assert(AT_TAG + GR_LETTER_TAG_BYTES == AT_CHECKSUM, "a tag has its room");
_Static_assert(AT_CHECKSUM + GR_CIPHER_TAG_BYTES == AT_SIGNATURE, "so has a checksum");

static _Thread_local enum gr_refusal last_refusal;
static _Thread_local uint32_t last_stranger;

uint32_t gr_letter_stranger(void) {
    return last_stranger;
}

enum gr_refusal gr_letter_refusal(void) {
    return last_refusal;
}

/* ---- numbers -------------------------------------------------------------------------------- */

static void put_32(unsigned char *at, uint32_t value) {
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static void put_64(unsigned char *at, uint64_t value) {
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)(value >> 8 * i);
}

static uint32_t get_32(const unsigned char *at) {
    uint32_t value = 0;
    for (int i = 3; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

static uint64_t get_64(const unsigned char *at) {
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--)
        value = value << 8 | at[i];
    return value;
}

/* ---- writing -------------------------------------------------------------------------------- */

gr_status gr_letter_create(size_t opening, size_t bytes, struct gr_letter **out) {
    const size_t n = GR_LETTER_HEAD_BYTES + opening + bytes;
    const gr_status status = gr_allocate(1, sizeof **out + n, "a letter", out);
    if (status != GR_OK) return status;
    memset(*out, 0, sizeof **out);
    (*out)->n = n;
    return GR_OK;
}

unsigned char *gr_letter_body(struct gr_letter *letter) {
    return letter->bytes + GR_LETTER_HEAD_BYTES;
}

/* The digest of the study stays unknown to whoever has no other copy of it. */
static void mark_of(const unsigned char study[GR_DIGEST_BYTES], unsigned char out[MARK_BYTES]) {
    unsigned char digest[GR_DIGEST_BYTES];
    gr_digest_of(study, GR_DIGEST_BYTES, digest);
    memcpy(out, digest, MARK_BYTES);
}

/* How the message behind `opening` bytes of the body is sealed: all that the head says is bound. */
static struct gr_cipher cipher_of(const unsigned char *head, size_t opening,
                                  const unsigned char *key) {
    struct gr_cipher cipher = {.key = key, .n_known = AT_TAG + opening};
    memcpy(cipher.nonce, head + AT_SALT, SALT_BYTES);
    memcpy(cipher.nonce + SALT_BYTES, head + AT_COUNTER, 8);
    memcpy(cipher.known, head, AT_TAG);
    memcpy(cipher.known + AT_TAG, head + GR_LETTER_HEAD_BYTES, opening);
    return cipher;
}

/* The key depends on the head: no body has the checksum of another letter. */
static void checksum_of(const unsigned char *letter, size_t body,
                        unsigned char out[GR_CIPHER_TAG_BYTES]) {
    unsigned char key[GR_DIGEST_BYTES];
    gr_digest_of(letter, AT_CHECKSUM, key);
    gr_cipher_checksum(key, letter + GR_LETTER_HEAD_BYTES, body, out);
}

/* The bytes that are signed: the study's digest and the head up to the signature. */
static void signed_of(const unsigned char *head, const unsigned char study[GR_DIGEST_BYTES],
                      unsigned char out[GR_DIGEST_BYTES + AT_SIGNATURE]) {
    memcpy(out, study, GR_DIGEST_BYTES);
    memcpy(out + GR_DIGEST_BYTES, head, AT_SIGNATURE);
}

static void write_head(unsigned char *at, const struct gr_letter_head *head,
                       const unsigned char study[GR_DIGEST_BYTES]) {
    memcpy(at, magic, AT_VERSION);
    put_32(at + AT_VERSION, GR_LETTER_VERSION);
    put_32(at + AT_FROM, head->label.from);
    put_32(at + AT_TO, head->label.to);
    put_32(at + AT_KIND, (uint32_t)head->kind);
    memcpy(at + AT_SESSION, head->label.session, GR_SESSION_BYTES);
    put_64(at + AT_COUNTER, head->label.counter);
    put_64(at + AT_ACKNOWLEDGED, head->acknowledged);
    put_64(at + AT_BODY, head->body);
    mark_of(study, at + AT_STUDY);
    randombytes_buf(at + AT_SALT, SALT_BYTES);
    memset(at + AT_TAG, 0, GR_LETTER_TAG_BYTES);
}

void gr_letter_seal(struct gr_letter *letter, struct gr_letter_head head, size_t opening,
                    const unsigned char *key, const struct gr_keys *keys,
                    const unsigned char study[GR_DIGEST_BYTES]) {
    const struct gr_post_part all = {gr_letter_body(letter) + opening,
                                     letter->n - GR_LETTER_HEAD_BYTES - opening};
    gr_letter_seal_parts(letter, head, opening, &all, 1, key, keys, study);
}

void gr_letter_seal_parts(struct gr_letter *letter, struct gr_letter_head head, size_t opening,
                          const struct gr_post_part *parts, size_t n_parts,
                          const unsigned char *key, const struct gr_keys *keys,
                          const unsigned char study[GR_DIGEST_BYTES]) {
    unsigned char *at = letter->bytes, *message = gr_letter_body(letter) + opening;
    unsigned char signed_bytes[GR_DIGEST_BYTES + AT_SIGNATURE];
    head.body = letter->n - GR_LETTER_HEAD_BYTES;
    letter->label = head.label;
    write_head(at, &head, study);
    if (key) {
        const struct gr_cipher cipher = cipher_of(at, opening, key);
        gr_cipher_seal_parts(&cipher, parts, n_parts, message, at + AT_TAG);
    }
    if (head.unchecked)
        memset(at + AT_CHECKSUM, 0, GR_CIPHER_TAG_BYTES);
    else
        checksum_of(at, head.body, at + AT_CHECKSUM);
    signed_of(at, study, signed_bytes);
    gr_keys_sign(keys, "letter", signed_bytes, sizeof signed_bytes, at + AT_SIGNATURE);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct gr_letter_head gr_letter_read_head(const unsigned char bytes[GR_LETTER_HEAD_BYTES]) {
    struct gr_letter_head head = {
        .label = {.from = get_32(bytes + AT_FROM),
                  .to = get_32(bytes + AT_TO),
                  .counter = get_64(bytes + AT_COUNTER)},
        .kind = (enum gr_letter_kind)get_32(bytes + AT_KIND),
        .acknowledged = get_64(bytes + AT_ACKNOWLEDGED),
        .body = get_64(bytes + AT_BODY),
        .unchecked = sodium_is_zero(bytes + AT_CHECKSUM, GR_CIPHER_TAG_BYTES) == 1,
    };
    memcpy(head.label.session, bytes + AT_SESSION, GR_SESSION_BYTES);
    return head;
}

/* The bytes that a body of this kind may have; false: there is no such kind. */
static bool body_range(uint32_t kind, size_t *least, size_t *most) {
    switch (kind) {
    case GR_LETTER_HELLO:
    case GR_LETTER_WELCOME:
        *least = GR_LETTER_OPENING_BYTES;
        *most = *least + GR_GREETING_MAX;
        return true;
    case GR_LETTER_MESSAGE:
        *least = 0;
        *most = GR_LETTER_BODY_MAX;
        return true;
    case GR_LETTER_BEGIN:
    case GR_LETTER_RECEIPT:
    case GR_LETTER_UNKNOWN:
    case GR_LETTER_REPLACED:
        *least = *most = 0;
        return true;
    default:
        return false;
    }
}

gr_status gr_letter_refuse(enum gr_refusal why, const char *format, ...) {
    char words[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    last_refusal = why;
    return gr_fail(GR_ERROR_DATA, "%s", words);
}

/* Whose party's name may be told: the number that a letter gives is any. */
static const char *name_of(const struct gr_party *parties, uint32_t n_parties, uint32_t party) {
    return party < n_parties ? parties[party].name : "an unknown party";
}

/* What is seen without a signature. */
static gr_status check_form(const unsigned char *head, size_t n, const struct gr_party *parties,
                            uint32_t n_parties) {
    size_t least, most;
    if (n < GR_LETTER_HEAD_BYTES) return gr_letter_refuse(GR_REFUSED_UNREADABLE, "a letter is cut");
    if (memcmp(head, magic, AT_VERSION) != 0)
        return gr_letter_refuse(GR_REFUSED_UNREADABLE, "found something else than a letter");
    const uint32_t version = get_32(head + AT_VERSION), from = get_32(head + AT_FROM),
                   to = get_32(head + AT_TO);
    if (version != GR_LETTER_VERSION) {
        return gr_letter_refuse(
            GR_REFUSED_VERSION,
            "a letter of %s is of version %u, expected version %d, as this granary "
            "(" GRANARY_VERSION ") writes them: both sides need one version of granary",
            name_of(parties, n_parties, from), version, GR_LETTER_VERSION);
    }
    /* Sites write to the coordinator alone, and it to them. */
    if (from >= n_parties || to >= n_parties || (from == 0) == (to == 0))
        return gr_letter_refuse(GR_REFUSED_FORGED,
                                "a letter is of or for a party that is not of this study");
    if (!body_range(get_32(head + AT_KIND), &least, &most))
        return gr_letter_refuse(GR_REFUSED_UNREADABLE, "a letter is of an unknown kind");
    const uint64_t body = get_64(head + AT_BODY);
    if (body > most) {
        return gr_letter_refuse(GR_REFUSED_SIZE,
                                "a letter says it has %llu bytes, expected at most %zu",
                                (unsigned long long)body, most);
    }
    if (body < least)
        return gr_letter_refuse(GR_REFUSED_UNREADABLE, "a letter is too short for its kind");
    return GR_OK;
}

/* Whom it is from nobody has vouched for: whoever has signed it signed another digest. */
static gr_status refuse_study(const struct gr_party *parties, uint32_t from,
                              const unsigned char study[GR_DIGEST_BYTES]) {
    char digest[GR_DIGEST_HEX];
    gr_digest_hex(study, digest);
    last_stranger = from;
    return gr_letter_refuse(GR_REFUSED_STUDY,
                            "a letter that says it is of %.40s is of another edition of the study "
                            "than the one here (%.12s...), or of another study; `granary study "
                            "show` tells a study's digest",
                            parties[from].name, digest);
}

gr_status gr_letter_admit(const unsigned char *head, size_t n, const struct gr_party *parties,
                          uint32_t n_parties, const unsigned char study[GR_DIGEST_BYTES],
                          struct gr_letter_label *label, size_t *bytes) {
    gr_status status = GR_OK;
    unsigned char mark[MARK_BYTES], signed_bytes[GR_DIGEST_BYTES + AT_SIGNATURE];
    GR_TRY(check_form(head, n, parties, n_parties));
    mark_of(study, mark);
    if (memcmp(mark, head + AT_STUDY, MARK_BYTES) != 0)
        return refuse_study(parties, get_32(head + AT_FROM), study);
    const struct gr_letter_head read = gr_letter_read_head(head);
    signed_of(head, study, signed_bytes);
    if (!gr_public_key_verify(&parties[read.label.from].key, "letter", signed_bytes,
                              sizeof signed_bytes, head + AT_SIGNATURE)) {
        return gr_letter_refuse(
            GR_REFUSED_FORGED,
            "a letter that says it is of %s does not bear the signature of the key that "
            "the study gives for it",
            parties[read.label.from].name);
    }
    if (parties[read.label.from].left)
        return gr_letter_refuse(GR_REFUSED_FORGED, "a letter is of %s, which has left the study",
                                parties[read.label.from].name);
    *label = read.label;
    *bytes = GR_LETTER_HEAD_BYTES + read.body;
out:
    return status;
}

bool gr_letter_is_whole(const struct gr_letter *letter) {
    unsigned char checksum[GR_CIPHER_TAG_BYTES];
    const struct gr_letter_head head = gr_letter_read_head(letter->bytes);
    if (letter->n != GR_LETTER_HEAD_BYTES + head.body) return false;
    if (head.unchecked) return true;
    checksum_of(letter->bytes, head.body, checksum);
    return memcmp(checksum, letter->bytes + AT_CHECKSUM, sizeof checksum) == 0;
}

gr_status gr_letter_open_up(struct gr_letter *letter, size_t opening,
                            const unsigned char key[GR_KEY_BYTES], unsigned char **out, size_t *n) {
    *out = NULL;
    *n = 0;
    if (letter->n < GR_LETTER_HEAD_BYTES + opening)
        return gr_fail(GR_ERROR_DATA, "a letter is too short for its kind");
    const struct gr_cipher cipher = cipher_of(letter->bytes, opening, key);
    const size_t bytes = letter->n - GR_LETTER_HEAD_BYTES - opening;
    unsigned char *message = gr_letter_body(letter) + opening;
    if (!gr_cipher_open(&cipher, message, bytes, letter->bytes + AT_TAG))
        return gr_fail(GR_ERROR_DATA, "a letter is not sealed with the key of its session");
    *out = message;
    *n = bytes;
    return GR_OK;
}

gr_status gr_letter_open(const struct gr_letter *letter, size_t opening,
                         const unsigned char key[GR_KEY_BYTES], unsigned char **out, size_t *n) {
    gr_status status = GR_OK;
    struct gr_letter *copy = NULL;
    unsigned char *message;
    *out = NULL;
    *n = 0;
    GR_TRY(gr_allocate(1, sizeof *copy + letter->n, "a message", &copy));
    memcpy(copy, letter, sizeof *copy + letter->n);
    GR_TRY(gr_letter_open_up(copy, opening, key, &message, n));
    GR_TRY(gr_allocate(*n, 1, "a message", out));
    if (*n > 0) memcpy(*out, message, *n);
out:
    gr_free(copy);
    return status;
}
