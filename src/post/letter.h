/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Letters, inside the room: their heads, sealing and opening.
 *
 * A letter is a head of GR_LETTER_HEAD_BYTES and a body. Of the head, by place and bytes, numbers
 * little-endian:
 *
 *       0  8  "GrLetter"
 *       8  4  version
 *      12  4  from
 *      16  4  to
 *      20  4  kind
 *      24 16  session
 *      40  8  counter
 *      48  8  acknowledged
 *      56  8  bytes of the body
 *      64 16  mark of the study: the start of a digest of its digest
 *      80 16  salt: random, for the nonce
 *      96 16  tag of the sealing
 *     112 16  checksum of the body, or zeros
 *     128 64  signature of the study's digest and bytes 0 to 127
 *
 * Bytes 0 to 19 keep their places in every later version, so that versions can be told apart.
 *
 * The body: an opening in the clear (a fresh public key, or nothing), then the message, sealed with
 * bytes 0 to 95 of the head and the opening as associated data. Nonce: salt and counter.
 *
 * The checksum is Poly1305 under a key that everybody can derive: by it carriers, which cannot open
 * a body, know one that was damaged or cut on its way. Against whoever changes one on purpose
 * stands the tag, which is signed. A digest in the checksum's place would take twice the time of
 * all else (BLAKE2b: 700 MB/s). Letters for a carrier that knows damage by itself have none.
 */
#ifndef GRANARY_POST_LETTER_H
#define GRANARY_POST_LETTER_H

#include <granary/post.h>

enum gr_letter_kind {
    GR_LETTER_HELLO = 1, /* site to coordinator: a fresh key, the sealed greeting; counter 1 */
    GR_LETTER_WELCOME,   /* the answer, in the same form; counter 1 */
    GR_LETTER_BEGIN,     /* the site has read the answer: no message; counter 2 */
    GR_LETTER_MESSAGE,
    /* Notes stand outside the order; their counter has GR_LETTER_NOTE. */
    GR_LETTER_RECEIPT,  /* acknowledges, and no more */
    GR_LETTER_UNKNOWN,  /* the coordinator does not know the session; of session 0: it has begun
                           and knows none; no body */
    GR_LETTER_REPLACED, /* another session of the same keys has taken its place; no body */
};
#define GR_LETTER_NOTE (UINT64_C(1) << 63)

enum {
    GR_LETTER_VERSION = 1,
    GR_LETTER_OPENING_BYTES = GR_KEY_BYTES, /* of HELLO and WELCOME */
    GR_LETTER_TAG_BYTES = 16
};

struct gr_letter_head {
    struct gr_letter_label label;
    enum gr_letter_kind kind;
    uint64_t acknowledged; /* of UNKNOWN and REPLACED: the counter of the letter that is meant */
    size_t body;           /* bytes */
    bool unchecked;        /* the body has no checksum */
};

/* What gr_letter_admit refuses a letter for. */
enum gr_refusal {
    GR_REFUSED_FORGED,
    GR_REFUSED_STUDY,
    GR_REFUSED_VERSION,
    GR_REFUSED_SIZE,
    GR_REFUSED_UNREADABLE,
};
_Static_assert(GR_REFUSED_UNREADABLE + 1 == GR_CARRIER_REFUSALS, "a carrier counts all of them");

/* The reason of this thread's last failure of gr_letter_admit or gr_letter_refuse. */
enum gr_refusal gr_letter_refusal(void);
/* Who it says sent it, where that was GR_REFUSED_STUDY. */
uint32_t gr_letter_stranger(void);
/* GR_ERROR_DATA with these words, for this reason. */
gr_status gr_letter_refuse(enum gr_refusal why, const char *format, ...) GR_PRINTF(2, 3);

/* Memory for a letter whose body opens with `opening` bytes in the clear and has a message of n
 * bytes, to be written to gr_letter_message before it is sealed. *out: for gr_free. */
gr_status gr_letter_create(size_t opening, size_t n, struct gr_letter **out) GR_CHECKED;
/* The body, with the opening first. */
unsigned char *gr_letter_body(struct gr_letter *letter);

/*
 * Writes the head, seals the message behind `opening` bytes where it lies, signs. key:
 * GR_KEY_BYTES; NULL for a letter that is signed and not sealed. head->body is set from the
 * letter's bytes.
 */
void gr_letter_seal(struct gr_letter *letter, struct gr_letter_head head, size_t opening,
                    const unsigned char *key, const struct gr_keys *keys,
                    const unsigned char study[GR_DIGEST_BYTES]);
/* The same, with a key, of a message that is read from its parts, which make up its bytes. */
void gr_letter_seal_parts(struct gr_letter *letter, struct gr_letter_head head, size_t opening,
                          const struct gr_post_part *parts, size_t n_parts,
                          const unsigned char *key, const struct gr_keys *keys,
                          const unsigned char study[GR_DIGEST_BYTES]);
/* The head of a letter that was admitted. */
struct gr_letter_head gr_letter_read_head(const unsigned char bytes[GR_LETTER_HEAD_BYTES]);
/* Whether the body of a letter that was admitted came without damage, as far as its size and, where
 * it has one, its checksum tell. */
bool gr_letter_is_whole(const struct gr_letter *letter);
/*
 * Opens the message behind `opening` bytes of a letter that was admitted into new memory (gr_free).
 * GR_ERROR_DATA: it was not sealed with this key.
 */
gr_status gr_letter_open(const struct gr_letter *letter, size_t opening,
                         const unsigned char key[GR_KEY_BYTES], unsigned char **out,
                         size_t *n) GR_CHECKED;
/* The same in the letter's own memory: *out lies in it. On an error the letter stays as it was. */
gr_status gr_letter_open_up(struct gr_letter *letter, size_t opening,
                            const unsigned char key[GR_KEY_BYTES], unsigned char **out,
                            size_t *n) GR_CHECKED;

#endif
