/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that are held out by coins, one for each row, so that what is said of one row does not
 * depend on the others. */
#include <granary/store.h>

#include <sodium.h>
#include <string.h>

#include "data/split.h"
#include "privacy/key_stream.h"
#include "privacy/secret_draw.h"

_Static_assert((int)GR_SECRET_BYTES == (int)GR_DIGEST_BYTES, "a salt is a secret");

static gr_status take_secret(const struct gr_config *config, uint32_t id, uint32_t stream,
                             unsigned char secret[GR_SECRET_BYTES]) {
    const char *directory = id < config->silos_count ? config->silos[id].directory : "";
    bool made;
    if (directory[0] && !config->run.rehearsal)
        return gr_salt_take(directory, "privacy-split", secret, &made);
    gr_secret_rehearse(config->data.split_seed, stream, 0, secret);
    return GR_OK;
}

/* A coin's number below which a row is held out. */
static uint64_t below(double fraction) {
    return (uint64_t)(fraction * 0x1p32);
}

gr_status gr_split_by_coins(const struct gr_config *config, uint32_t id, uint32_t stream, size_t n,
                            uint8_t *part) {
    enum { PIECE = 1024 };
    const uint64_t validation = below(config->data.validation_fraction),
                   held = validation + below(config->data.test_fraction);
    unsigned char secret[GR_SECRET_BYTES], key[GR_SECRET_BYTES];
    uint32_t coins[PIECE];
    gr_status status;
    GR_TRY(take_secret(config, id, stream, secret));
    gr_secret_key(secret, GR_SECRET_SPLIT, config->data.split_seed, key);
    for (size_t first = 0; first < n; first += PIECE) {
        const size_t here = n - first < PIECE ? n - first : PIECE;
        const struct gr_stream_range range = {first * sizeof *coins, 32, here};
        memset(coins, 0, sizeof coins);
        gr_key_stream_add(key, range, false, coins);
        for (size_t i = 0; i < here; i++)
            part[first + i] = coins[i] < validation ? GR_PART_VALIDATION
                              : coins[i] < held     ? GR_PART_TEST
                                                    : GR_PART_TRAIN;
    }
    sodium_memzero(coins, sizeof coins);
    sodium_memzero(key, sizeof key);
out:
    sodium_memzero(secret, sizeof secret);
    return status;
}
