/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/secure_message.h"

#include <string.h>

static const char protocol[7] = "grsum 2";
static const char purpose[] = "secure sum";

/* They are sent as they lie in memory. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "messages are little-endian");
_Static_assert(sizeof(struct gr_secure_head) == 44, "without gaps");
_Static_assert(sizeof(struct gr_secure_advert) == 44 + 5 * 32 + 64, "without gaps");
_Static_assert(sizeof(struct gr_secure_reveal) == 44 + 2 * 32 + 64, "without gaps");
_Static_assert(sizeof(struct gr_secure_revealed) == 36, "without gaps");
_Static_assert(sizeof(struct gr_secure_piece) == 4 + 64 + 80, "without gaps");
_Static_assert(sizeof(struct gr_secure_roster) == 44 + 4 * 32 + 64, "without gaps");
_Static_assert(sizeof(struct gr_secure_opened) == 40, "without gaps");

gr_status gr_secure_message_begin(enum gr_secure_kind kind, const unsigned char *id, uint32_t from,
                                  size_t n, struct gr_secure_message *out) {
    gr_status status;
    struct gr_secure_head head = {.kind = (uint8_t)kind, .from = from};
    memcpy(head.protocol, protocol, sizeof head.protocol);
    memcpy(head.id, id, sizeof head.id);
    GR_TRY(gr_allocate_zero(n, 1, "a message of a secure sum", &out->bytes));
    memcpy(out->bytes, &head, sizeof head);
    out->n = n;
out:
    return status;
}

gr_status gr_secure_message_begin_items(enum gr_secure_kind kind, const unsigned char *id,
                                        uint32_t from, struct gr_secure_items shape,
                                        struct gr_secure_message *out, unsigned char **items) {
    gr_status status;
    GR_TRY(gr_secure_message_begin(
        kind, id, from, shape.skip + sizeof shape.n + shape.n * shape.size + shape.tail, out));
    memcpy(out->bytes + shape.skip, &shape.n, sizeof shape.n);
    *items = out->bytes + shape.skip + sizeof shape.n;
out:
    return status;
}

gr_status gr_secure_message_check(const void *bytes, size_t n, enum gr_secure_kind kind,
                                  const unsigned char *id, uint32_t from) {
    struct gr_secure_head head;
    if (n < sizeof head)
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of %zu bytes, expected %zu or more",
                       n, sizeof head);
    memcpy(&head, bytes, sizeof head);
    if (memcmp(head.protocol, protocol, sizeof head.protocol) != 0 || head.kind != kind)
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of kind %u, expected %u", head.kind,
                       (unsigned)kind);
    if (memcmp(head.id, id, sizeof head.id) != 0)
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of another sum than this one");
    if (head.from != from)
        return gr_fail(GR_ERROR_POLICY, "secure sum: a message of party %u, expected %u", head.from,
                       from);
    return GR_OK;
}

const unsigned char *gr_secure_message_items(const void *bytes, size_t n, size_t skip, size_t size,
                                             size_t tail, uint32_t *n_items) {
    const unsigned char *at = (const unsigned char *)bytes + skip;
    if (n < skip + sizeof *n_items + tail) return NULL;
    memcpy(n_items, at, sizeof *n_items);
    if (*n_items > GR_SECURE_PARTIES_MAX || n != skip + sizeof *n_items + *n_items * size + tail)
        return NULL;
    return at + sizeof *n_items;
}

/* Digests of messages whose signatures were found good or made here, each in a place that follows
 * from it, until another takes the place: a process in which several parties and a collector are
 * given the same message looks at it once. The digest 0 is of no message that anybody knows. */
enum { VERIFIED = 4 * GR_SECURE_PARTIES_MAX };
static _Thread_local unsigned char verified[VERIFIED][GR_DIGEST_BYTES];

static void digest_signed(const struct gr_public_key *key, const void *bytes, size_t n,
                          unsigned char out[GR_DIGEST_BYTES]) {
    static const char title[] = "granary: a signed message of a secure sum";
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, key->verify, sizeof key->verify);
    gr_digest_add(&digest, bytes, n);
    gr_digest_finish(&digest, out);
}

static unsigned char *place_of(const unsigned char digest[GR_DIGEST_BYTES]) {
    uint32_t place;
    memcpy(&place, digest, sizeof place);
    return verified[place % VERIFIED];
}

void gr_secure_message_sign(const struct gr_keys *keys, void *bytes, size_t n) {
    unsigned char *at = bytes, digest[GR_DIGEST_BYTES];
    gr_keys_sign(keys, purpose, bytes, n - GR_SIGNATURE_BYTES, at + n - GR_SIGNATURE_BYTES);
    digest_signed(gr_keys_public(keys), bytes, n, digest);
    memcpy(place_of(digest), digest, sizeof digest);
}

bool gr_secure_message_verify(const struct gr_public_key *key, const void *bytes, size_t n) {
    unsigned char digest[GR_DIGEST_BYTES];
    if (n <= GR_SIGNATURE_BYTES) return false;
    digest_signed(key, bytes, n, digest);
    unsigned char *known = place_of(digest);
    if (memcmp(known, digest, sizeof digest) == 0) return true;
    if (!gr_public_key_verify(key, purpose, bytes, n - GR_SIGNATURE_BYTES,
                              (const unsigned char *)bytes + n - GR_SIGNATURE_BYTES))
        return false;
    memcpy(known, digest, sizeof digest);
    return true;
}

size_t gr_secure_message_most(enum gr_secure_kind kind, uint32_t neighbours) {
    const size_t holders = (size_t)neighbours + 1;
    /* Around the items of shares and openings. */
    const size_t around =
        sizeof(struct gr_secure_head) + GR_DIGEST_BYTES + sizeof(uint32_t) + GR_SIGNATURE_BYTES;
    switch (kind) {
    case GR_SECURE_ADVERT:
        return sizeof(struct gr_secure_advert);
    case GR_SECURE_REVEAL:
        return sizeof(struct gr_secure_reveal);
    case GR_SECURE_SHARES:
        return around + holders * sizeof(struct gr_secure_piece);
    case GR_SECURE_ROSTER:
        return sizeof(struct gr_secure_roster);
    case GR_SECURE_OPENING:
        return around + holders * sizeof(struct gr_secure_opened);
    default:
        return 0;
    }
}
