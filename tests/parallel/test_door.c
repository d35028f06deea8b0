/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The door: texts of all ranks, in their order and to the byte; what is refused before anything
 * leaves; and the ledger.
 *
 * ranks: 1 2 3
 */
#include "parallel.h"

#include <granary/release.h>

static const char config_text[] =
    "run: {rounds: 1}\n"
    "data: {source: csv, silo_tables: [{file: 0.csv}, {file: 1.csv}, {file: 2.csv}]}\n"
    "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: 8}\n";

static int texts_in_order(struct gr_door *door, int rank, int size) {
    int bad = 0;
    char mine[64], expected[256] = "", *texts = NULL;
    size_t n = 0, all = 0, total = 0;
    /* Rank r brings r texts: "r0", "r1" ... */
    for (int k = 0; k < rank; k++)
        n += (size_t)snprintf(mine + n, sizeof mine - n, "%d%d", rank, k) + 1;
    for (int r = 0; r < size; r++)
        for (int k = 0; k < r; k++)
            all += (size_t)snprintf(expected + all, sizeof expected - all, "%d%d", r, k) + 1;
    EXPECT(gr_release_text(door, GR_RELEASE_CATEGORIES, mine, n, all, &texts, &total) == GR_OK);
    EXPECT_EQUAL(total, all);
    EXPECT(all == 0 ? texts == NULL : texts && memcmp(texts, expected, all) == 0);
    gr_free(texts);
    const struct gr_release_entry entry = gr_door_entry(door, GR_RELEASE_CATEGORIES);
    EXPECT_EQUAL(entry.times, size > 1); /* of one rank nothing was brought */
    EXPECT_EQUAL(entry.values, size * (size - 1) / 2);
    return bad;
}

static int refusals(struct gr_door *door, int rank, int size) {
    int bad = 0;
    char *texts = NULL;
    size_t total;
    gr_door_close_ledger(door);
    /* One byte too many, over all ranks. */
    EXPECT_EQUAL(
        gr_release_text(door, GR_RELEASE_CATEGORIES, "a", 2, 2 * (size_t)size - 1, &texts, &total),
        GR_ERROR_DATA);
    EXPECT(!texts && strstr(gr_message(), "categories: found"));
    /* The last rank's has no end. */
    EXPECT_EQUAL(gr_release_text(door, GR_RELEASE_CATEGORIES, "ab", rank == size - 1 ? 2 : 3, 100,
                                 &texts, &total),
                 GR_ERROR_INTERNAL);
    /* Of a csv source the model looks nothing up here, so no codes leave. */
    EXPECT_EQUAL(gr_release_text(door, GR_RELEASE_CODES, "a", 2, 100, &texts, &total),
                 GR_ERROR_INTERNAL);
    int64_t value = 1;
    EXPECT_EQUAL(gr_release_sum(door, GR_RELEASE_CODES, &value, 1), GR_ERROR_INTERNAL);
    EXPECT_EQUAL(gr_release_max(door, GR_RELEASE_CODES, &value, 1), GR_ERROR_INTERNAL);
    EXPECT_EQUAL(value, 1);
    EXPECT_EQUAL(gr_door_entry(door, GR_RELEASE_CATEGORIES).times, 0);
    EXPECT_EQUAL(gr_door_entry(door, GR_RELEASE_CODES).times, 0);
    /* Of these five the one that a rank alone has seen has been told to the others. */
    EXPECT_EQUAL(gr_door_entry(door, GR_RELEASE_ERRORS).times, size > 1);
    gr_door_close_ledger(door);
    EXPECT_EQUAL(gr_door_entry(door, GR_RELEASE_ERRORS).times, 0);
    return bad;
}

static int test_texts(struct gr_comm *comm) {
    int bad = 0, rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    struct gr_config *config = NULL;
    struct gr_door *door = NULL;
    EXPECT(gr_config_parse("t.yaml", config_text, strlen(config_text), NULL, 0, &config) == GR_OK);
    EXPECT(config && gr_door_create(comm, config, &door) == GR_OK);
    if (door) {
        bad += texts_in_order(door, rank, size);
        bad += refusals(door, rank, size);
    }
    gr_door_free(door);
    gr_config_free(config);
    return bad;
}

PARALLEL_MAIN({"texts", test_texts})
