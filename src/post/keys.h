/* SPDX-License-Identifier: Apache-2.0 */
/* The secret half of a party's keys, for the agreement of sessions alone. */
#ifndef GRANARY_POST_KEYS_H
#define GRANARY_POST_KEYS_H

#include <granary/post.h>

/*
 * X25519 of the party's lasting secret and a public key, for a key derivation. False: the public
 * key is of small order, and the result would be known to everybody.
 */
bool gr_keys_share(const struct gr_keys *keys, const unsigned char public_key[GR_KEY_BYTES],
                   unsigned char out[GR_KEY_BYTES]) GR_CHECKED;

#endif
