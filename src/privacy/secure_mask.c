/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/secure_mask.h"

#include <sodium.h>

void gr_secure_pair_stream(const unsigned char *id, uint32_t a, uint32_t b,
                           const unsigned char shared[GR_KEY_BYTES],
                           unsigned char out[GR_STREAM_KEY_BYTES]) {
    static const char title[] = "granary: a pair mask";
    const uint32_t words[2] = {a < b ? a : b, a < b ? b : a};
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, id, GR_DIGEST_BYTES);
    gr_digest_add(&digest, words, sizeof words);
    gr_digest_add(&digest, shared, GR_KEY_BYTES);
    gr_digest_finish(&digest, out);
    sodium_memzero(&digest, sizeof digest);
}

void gr_secure_self_stream(const unsigned char *id, uint32_t party,
                           const unsigned char seed[GR_SECURE_SECRET_BYTES],
                           unsigned char out[GR_STREAM_KEY_BYTES]) {
    static const char title[] = "granary: a self mask";
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, title, sizeof title);
    gr_digest_add(&digest, id, GR_DIGEST_BYTES);
    gr_digest_add(&digest, &party, sizeof party);
    gr_digest_add(&digest, seed, GR_SECURE_SECRET_BYTES);
    gr_digest_finish(&digest, out);
    sodium_memzero(&digest, sizeof digest);
}

gr_status gr_secure_masks_create(const struct gr_secure_roll *roll, struct gr_secure_masks *out) {
    const size_t in_sum = gr_party_set_count(roll->summed),
                 lost = gr_party_set_count(roll->sharers) - in_sum,
                 neighbours = roll->graph->degree.neighbours;
    *out = (struct gr_secure_masks){.room = in_sum +
                                            lost * (neighbours < in_sum ? neighbours : in_sum)};
    return gr_allocate_zero(out->room, sizeof *out->mask, "masks", &out->mask);
}

static struct gr_secure_mask *next(struct gr_secure_masks *masks) {
    return masks->n < masks->room ? &masks->mask[masks->n++] : NULL;
}

gr_status gr_secure_masks_add(struct gr_secure_masks *masks, const struct gr_secure_roll *roll,
                              const struct gr_secure_opened *opened) {
    static const char *const too_many =
        "secure sum: secrets of more parties than have given shares";
    const uint32_t p = opened->party;
    unsigned char shared[GR_KEY_BYTES];
    gr_status status = GR_OK;
    if (opened->which == GR_SECURE_SHARE_SELF) {
        struct gr_secure_mask *mask = next(masks);
        if (!mask) return gr_fail(GR_ERROR_POLICY, "%s", too_many);
        gr_secure_self_stream(roll->id, p, opened->bytes, mask->key);
        mask->added = true;
        return GR_OK;
    }
    for (uint32_t i = 0; i < GR_SECURE_PARTIES_MAX && status == GR_OK; i++) {
        if (!gr_party_set_has(roll->summed, i) || !gr_secure_graph_joins(roll->graph, i, p))
            continue;
        struct gr_secure_mask *mask = next(masks);
        if (!mask) {
            status = gr_fail(GR_ERROR_POLICY, "%s", too_many);
        } else if (crypto_scalarmult(shared, opened->bytes, roll->adverts[i].mask) != 0) {
            status = gr_fail(GR_ERROR_POLICY, "secure sum: a key of party %u is of small order", i);
        } else {
            gr_secure_pair_stream(roll->id, i, p, shared, mask->key);
            mask->added = p > i;
        }
    }
    sodium_memzero(shared, sizeof shared);
    return status;
}

void gr_secure_masks_take_off(const struct gr_secure_masks *masks, struct gr_stream_range range,
                              void *words) {
    for (size_t i = 0; i < masks->n; i++)
        gr_key_stream_add(masks->mask[i].key, range, masks->mask[i].added, words);
}

void gr_secure_masks_release(struct gr_secure_masks *masks) {
    if (masks->mask) sodium_memzero(masks->mask, masks->room * sizeof *masks->mask);
    gr_free(masks->mask);
    *masks = (struct gr_secure_masks){0};
}
