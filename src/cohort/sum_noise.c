/* SPDX-License-Identifier: Apache-2.0 */
#include "cohort/sum_noise.h"

#include <sodium.h>
#include <string.h>

static gr_status make_tables(double steps, struct gr_noise **out) {
    gr_noise_free(*out);
    *out = NULL;
    return steps > 0 ? gr_noise_create(steps, out) : GR_OK;
}

static bool differ(double a, double b) {
    return a < b || a > b;
}

gr_status gr_sum_noise_measure(struct gr_sum_noise *noise, struct gr_sum_deviations steps) {
    gr_status status = GR_OK;
    if (!differ(noise->steps.update, steps.update) && !differ(noise->steps.tally, steps.tally))
        return GR_OK;
    noise->steps = (struct gr_sum_deviations){0}; /* what follows may fail */
    noise->drawn = false;
    GR_TRY(make_tables(steps.update, &noise->update));
    GR_TRY(make_tables(steps.tally, &noise->tally));
    noise->steps = steps;
out:
    return status;
}

static void digest_roster(const struct gr_roster *roster, unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_digest digest;
    gr_digest_start(&digest);
    gr_digest_add(&digest, &roster->round, sizeof roster->round);
    gr_digest_add(&digest, roster->member.flag, roster->member.n);
    gr_digest_finish(&digest, out);
}

gr_status gr_sum_noise_draw(struct gr_sum_noise *noise, const struct gr_roster *roster, int root) {
    unsigned char digest[GR_DIGEST_BYTES];
    digest_roster(roster, digest);
    if (noise->drawn && noise->root == root && memcmp(digest, noise->roster, sizeof digest) == 0)
        return GR_OK;
    noise->drawn = false; /* what follows may fail */
    const gr_status status = gr_noise_seed(noise->seed);
    if (status != GR_OK) return status;
    memcpy(noise->roster, digest, sizeof digest);
    noise->root = root;
    noise->drawn = true;
    return GR_OK;
}

/* A word of a sum is taken modulo its width. */
static void add_words(const int64_t *drawn, void *words, size_t width, size_t n) {
    for (size_t i = 0; i < n; i++) {
        if (width == sizeof(uint64_t))
            ((uint64_t *)words)[i] += (uint64_t)drawn[i];
        else
            ((uint32_t *)words)[i] += (uint32_t)drawn[i];
    }
}

enum { TALLY_STREAM = -1 }; /* behind those of all blocks */

/* Samples follow from the block that they are of, wherever a segment begins. */
void gr_sum_noise_add(struct gr_sum_noise *noise, struct gr_stage_key key, void *words,
                      size_t width, size_t n) {
    int64_t drawn[GR_RING_BLOCK] = {0};
    if (key.riders && noise->tally) {
        gr_noise_add(noise->tally, noise->seed, (uint64_t)TALLY_STREAM, drawn, 1);
        add_words(drawn, (char *)words + GR_TALLY_RIDER * width, width, 1);
    } else if (!key.riders && noise->update) {
        gr_noise_add(noise->update, noise->seed, key.at / GR_RING_BLOCK, drawn, n);
        add_words(drawn, words, width, n);
    }
    sodium_memzero(drawn, sizeof drawn);
}

void gr_sum_noise_release(struct gr_sum_noise *noise) {
    gr_noise_free(noise->update);
    gr_noise_free(noise->tally);
    sodium_memzero(noise, sizeof *noise);
}
