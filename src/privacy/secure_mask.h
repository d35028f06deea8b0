/* SPDX-License-Identifier: Apache-2.0 */
/* The masks of a secure sum, from both ends: as a party adds its own, and as all take those of the
 * total off it. Not collective. */
#ifndef GRANARY_PRIVACY_SECURE_MASK_H
#define GRANARY_PRIVACY_SECURE_MASK_H

#include "privacy/secure_sum.h"

/* The stream of the masks that two parties have in common, of their X25519, the same for both. */
void gr_secure_pair_stream(const unsigned char *id, uint32_t a, uint32_t b,
                           const unsigned char shared[GR_KEY_BYTES],
                           unsigned char out[GR_STREAM_KEY_BYTES]);
/* The stream of a party's own mask. */
void gr_secure_self_stream(const unsigned char *id, uint32_t party,
                           const unsigned char seed[GR_SECURE_SECRET_BYTES],
                           unsigned char out[GR_STREAM_KEY_BYTES]);

/* A mask that is in the total. */
struct gr_secure_mask {
    unsigned char key[GR_STREAM_KEY_BYTES];
    bool added;
};
/* All of them; zeros: there is none. */
struct gr_secure_masks {
    struct gr_secure_mask *mask; /* owned */
    size_t n, room;
};
/* The parties of a sum: who has given shares, whose vectors are in it, and all adverts by party. */
struct gr_secure_roll {
    const unsigned char *id;                     /* borrowed */
    const struct gr_secure_advert *adverts;      /* borrowed */
    const struct gr_secure_graph *graph;         /* borrowed */
    const struct gr_party_set *sharers, *summed; /* borrowed */
};
/* Room for the masks that follow. */
gr_status gr_secure_masks_create(const struct gr_secure_roll *roll,
                                 struct gr_secure_masks *out) GR_CHECKED;
/* Adds the masks that follow from one secret: the party's own where it is in the sum, else those
 * that its neighbours in the sum have made with it. Errors: GR_ERROR_POLICY. */
gr_status gr_secure_masks_add(struct gr_secure_masks *masks, const struct gr_secure_roll *roll,
                              const struct gr_secure_opened *opened) GR_CHECKED;
/* Takes all of them off words of the total. */
void gr_secure_masks_take_off(const struct gr_secure_masks *masks, struct gr_stream_range range,
                              void *words);
/* Wipes. */
void gr_secure_masks_release(struct gr_secure_masks *masks);

#endif
