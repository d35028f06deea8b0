/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of a session, from four agreements of X25519: fresh with fresh, fresh with lasting both
 * ways, lasting with lasting; with the study, the session and all public keys. Whoever learns a
 * lasting key later opens no message of a session that has ended; whoever has one of the fresh
 * keys alone, neither.
 */
#ifndef GRANARY_POST_AGREEMENT_H
#define GRANARY_POST_AGREEMENT_H

#include <granary/post.h>

/* A fresh pair; the secret is wiped as soon as the session's keys are there. */
struct gr_fresh_key {
    unsigned char public_key[GR_KEY_BYTES];
    unsigned char secret[GR_KEY_BYTES];
};
void gr_fresh_key_draw(struct gr_fresh_key *out);

/* What both sides know of a session. */
struct gr_agreement {
    const struct gr_keys *mine;
    const struct gr_public_key *coordinator, *site;
    bool at_coordinator;
    const unsigned char *study;   /* GR_DIGEST_BYTES */
    const unsigned char *session; /* GR_SESSION_BYTES */
};

/* The key of a HELLO, from the site's fresh key, whose secret the site alone gives (else NULL).
 * False: a public key is of no use. */
bool gr_agree_hello(const struct gr_agreement *between, const unsigned char *site_fresh,
                    const unsigned char *site_secret, unsigned char key[GR_KEY_BYTES]) GR_CHECKED;
/* The keys of both directions; mine: this side's fresh pair, theirs: the other's public key. */
bool gr_agree_session(const struct gr_agreement *between, const struct gr_fresh_key *mine,
                      const unsigned char *theirs, unsigned char to_coordinator[GR_KEY_BYTES],
                      unsigned char to_site[GR_KEY_BYTES]) GR_CHECKED;

#endif
