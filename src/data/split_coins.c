/* SPDX-License-Identifier: Apache-2.0 */
/* Rows that are held out by coins, one for each row or person, so that what is said of one does not
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

/* Coins' numbers below which rows are held out. */
struct bounds {
    uint64_t validation, held;
};

static struct bounds bounds_of(const struct gr_data_config *data) {
    const uint64_t validation = (uint64_t)(data->validation_fraction * 0x1p32);
    return (struct bounds){validation, validation + (uint64_t)(data->test_fraction * 0x1p32)};
}

static uint8_t part_of(uint32_t coin, struct bounds bounds) {
    return coin < bounds.validation ? GR_PART_VALIDATION
           : coin < bounds.held     ? GR_PART_TEST
                                    : GR_PART_TRAIN;
}

static void toss_rows(const unsigned char key[GR_SECRET_BYTES], struct bounds bounds, size_t n,
                      uint8_t *part) {
    enum { PIECE = 1024 };
    uint32_t coins[PIECE];
    for (size_t first = 0; first < n; first += PIECE) {
        const size_t here = n - first < PIECE ? n - first : PIECE;
        const struct gr_stream_range range = {first * sizeof *coins, 32, here};
        memset(coins, 0, sizeof coins);
        gr_key_stream_add(key, range, false, coins);
        for (size_t i = 0; i < here; i++)
            part[first + i] = part_of(coins[i], bounds);
    }
    sodium_memzero(coins, sizeof coins);
}

/* Her coin is the keyed hash of her name: a number would be another one where others come. */
static gr_status toss_persons(const unsigned char key[GR_SECRET_BYTES], struct bounds bounds,
                              const struct gr_named_rows *persons, size_t n, uint8_t *part) {
    unsigned char hash[crypto_generichash_BYTES];
    uint8_t *parts;
    uint32_t coin;
    const gr_status status = gr_allocate(persons->n, 1, "a split", &parts);
    if (status != GR_OK) return status;
    for (uint32_t i = 0; i < persons->n; i++) {
        crypto_generichash(hash, sizeof hash, (const unsigned char *)persons->name[i],
                           strlen(persons->name[i]), key, GR_SECRET_BYTES);
        memcpy(&coin, hash, sizeof coin);
        parts[i] = part_of(coin, bounds);
    }
    for (size_t i = 0; i < n; i++)
        part[i] = parts[persons->person[i]];
    sodium_memzero(hash, sizeof hash);
    gr_free(parts);
    return GR_OK;
}

gr_status gr_split_by_coins(const struct gr_config *config, uint32_t id, uint32_t stream, size_t n,
                            const struct gr_named_rows *persons, uint8_t *part) {
    const struct bounds bounds = bounds_of(&config->data);
    unsigned char secret[GR_SECRET_BYTES], key[GR_SECRET_BYTES];
    gr_status status;
    GR_TRY(take_secret(config, id, stream, secret));
    gr_secret_key(secret, GR_SECRET_SPLIT, config->data.split_seed, key);
    if (persons)
        status = toss_persons(key, bounds, persons, n, part);
    else
        toss_rows(key, bounds, n, part);
    sodium_memzero(key, sizeof key);
out:
    sodium_memzero(secret, sizeof secret);
    return status;
}
