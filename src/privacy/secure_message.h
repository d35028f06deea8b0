/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The messages of a secure sum, as bytes. Numbers are little-endian. Each begins with the protocol,
 * its kind, the sum's id and its sender; a party's own ends with its signature of all that is
 * before. Not collective.
 */
#ifndef GRANARY_PRIVACY_SECURE_MESSAGE_H
#define GRANARY_PRIVACY_SECURE_MESSAGE_H

#include "privacy/party_set.h"

#include <granary/post.h>

/* In the order in which they go. Of a party to the collector, but where said. */
enum gr_secure_kind {
    GR_SECURE_ADVERT = 1, /* keys of this sum, and what commits the party to its self mask */
    GR_SECURE_LIST,       /* collector to all: the adverts */
    GR_SECURE_REVEAL,     /* what the party brings to the seed of the graph, where it is drawn */
    GR_SECURE_REVEALS,    /* collector to all: these */
    GR_SECURE_SHARES,     /* a sealed piece for each neighbour, and the party itself */
    GR_SECURE_PIECES,     /* collector to one: who has given shares, and the pieces for it */
    GR_SECURE_ROSTER,     /* a signature of roster and total */
    GR_SECURE_ROSTERS,    /* collector to all: the signatures */
    GR_SECURE_OPENING,    /* a share of one secret of each neighbour, and of its own */
    GR_SECURE_SECRETS,    /* collector to all: one secret of each party */
};

enum { GR_SECURE_SECRET_BYTES = 32, GR_SECURE_PIECE_SEALED = 2 * GR_SECURE_SECRET_BYTES + 16 };
#define GR_SECURE_COLLECTOR UINT32_MAX /* sender of what no party signs */

/* Which of a party's secrets: its self mask's where it is in the sum, else its pair masks'. */
enum gr_secure_share { GR_SECURE_SHARE_SELF = 1, GR_SECURE_SHARE_PAIR = 2 };

struct gr_secure_head {
    char protocol[7];
    uint8_t kind;
    unsigned char id[GR_DIGEST_BYTES];
    uint32_t from;
};
struct gr_secure_advert {
    struct gr_secure_head head;
    unsigned char cipher[GR_KEY_BYTES];        /* X25519: pieces are sealed with it */
    unsigned char mask[GR_KEY_BYTES];          /* X25519: pair masks are made with it */
    unsigned char commitment[GR_DIGEST_BYTES]; /* to the seed of the self mask */
    unsigned char draw[GR_DIGEST_BYTES];       /* commitment to what GR_SECURE_REVEAL has */
    unsigned char model[GR_DIGEST_BYTES];      /* on which the party trains */
    unsigned char signature[GR_SIGNATURE_BYTES];
};
struct gr_secure_reveal {
    struct gr_secure_head head;
    unsigned char list[GR_DIGEST_BYTES]; /* of GR_SECURE_LIST */
    unsigned char draw[GR_SECURE_SECRET_BYTES];
    unsigned char signature[GR_SIGNATURE_BYTES];
};
struct gr_secure_revealed {
    uint32_t party;
    unsigned char draw[GR_SECURE_SECRET_BYTES];
};
/* A share of each of a party's two secrets, for one other. */
struct gr_secure_piece {
    uint32_t party;                           /* to whom; in GR_SECURE_PIECES of whom */
    unsigned char digest[2][GR_DIGEST_BYTES]; /* of the self share and the pair share */
    unsigned char sealed[GR_SECURE_PIECE_SEALED];
};
struct gr_secure_roster {
    struct gr_secure_head head;
    unsigned char list[GR_DIGEST_BYTES];    /* of GR_SECURE_LIST */
    unsigned char parties[GR_DIGEST_BYTES]; /* of who has sent shares, and who is in the sum */
    unsigned char total[GR_DIGEST_BYTES];   /* of the sum of the masked vectors */
    unsigned char model[GR_DIGEST_BYTES];
    unsigned char signature[GR_SIGNATURE_BYTES];
};
struct gr_secure_opened {
    uint32_t party; /* whose secret, or the share of it */
    uint32_t which; /* enum gr_secure_share */
    unsigned char bytes[GR_SECURE_SECRET_BYTES];
};

/* Not collective. Bytes of a message of a party that has so many neighbours, at most; 0: it is none
 * of a party's. */
size_t gr_secure_message_most(enum gr_secure_kind kind, uint32_t neighbours);

/* Bytes being written or kept; owned. */
struct gr_secure_message {
    unsigned char *bytes;
    size_t n;
};

/* Not collective. Caller releases bytes by gr_free. n: of the whole message. */
gr_status gr_secure_message_begin(enum gr_secure_kind kind, const unsigned char *id, uint32_t from,
                                  size_t n, struct gr_secure_message *out) GR_CHECKED;
/* Items of one size behind `skip` bytes and a count of 4 bytes, with `tail` bytes behind them. */
struct gr_secure_items {
    size_t skip, size, tail;
    uint32_t n;
};
/* Not collective. The same for a message of items, whose count is written; *items: where they go,
 * in out->bytes. */
gr_status gr_secure_message_begin_items(enum gr_secure_kind kind, const unsigned char *id,
                                        uint32_t from, struct gr_secure_items shape,
                                        struct gr_secure_message *out,
                                        unsigned char **items) GR_CHECKED;
/*
 * Not collective. The n bytes are a message of this kind, sum and sender: GR_OK, else
 * GR_ERROR_POLICY, and the message says which of them another is.
 */
gr_status gr_secure_message_check(const void *bytes, size_t n, enum gr_secure_kind kind,
                                  const unsigned char *id, uint32_t from) GR_CHECKED;
/*
 * Not collective. The list of `*n_items` items of `size` bytes behind `skip` bytes and a count of 4
 * bytes, which fill the message but for `tail` bytes; NULL: they do not. Borrowed, unaligned.
 */
const unsigned char *gr_secure_message_items(const void *bytes, size_t n, size_t skip, size_t size,
                                             size_t tail, uint32_t *n_items);
/* Not collective. Signs the message with its last GR_SIGNATURE_BYTES bytes. */
void gr_secure_message_sign(const struct gr_keys *keys, void *bytes, size_t n);
/* Not collective. Whether they are that party's signature of the rest. */
bool gr_secure_message_verify(const struct gr_public_key *key, const void *bytes, size_t n);

#endif
