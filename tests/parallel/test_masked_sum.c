/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secure sums over ranks, four silos on all of them: the totals, the exchanges that they take, with
 * keys that are there before they are asked for and with keys that are not, and that no two sums
 * have one set of keys; a rank that fails alone ends a sum for all, before a mask is opened.
 *
 * ranks: 1 2 3
 */
#include "parallel.h"

#include "cohort/masked_page.h"
#include "comm/communicator.h"

enum { SILOS = 4, WORDS = 3 };

static const char config_text[] =
    "run: {rounds: 1}\n"
    "data: {source: synthetic, silos: 4, synthetic: {features: 2, classes: 2, minimum_rows: 9, "
    "maximum_rows: 9}}\n"
    "model: {type: softmax}\ntrain: {learning_rate: 0.1, batch_size: 8}\n"
    "aggregation: {grid: public, clip_norm: 1, weight_max: 9}\n"
    "secure: {aggregation: true}\n";

static struct gr_config *config;
static struct gr_masking *masking;
static struct gr_masked_page page;
static int32_t host_of[SILOS];

static int begin(struct gr_comm *comm) {
    int bad = 0;
    EXPECT(gr_config_parse("t.yaml", config_text, strlen(config_text), NULL, 0, &config) == GR_OK);
    for (int silo = 0; silo < SILOS; silo++)
        host_of[silo] = silo % gr_comm_slots(comm);
    EXPECT(config && gr_masking_create(comm, config, host_of, &masking) == GR_OK);
    return bad;
}

static void end(void) {
    gr_masked_page_release(&page);
    gr_masking_free(masking);
    gr_config_free(config);
    masking = NULL;
    config = NULL;
}

/* Sum `place` of the page: each rank brings its rank + 1 and the place. *exchanges: what it took.
 */
static int add(struct gr_comm *comm, uint32_t place, uint32_t *exchanges) {
    int bad = 0;
    const int64_t size = gr_comm_size(comm), before = comm->exchanges;
    int64_t values[WORDS] = {gr_comm_rank(comm) + 1, place, INT64_MIN};
    EXPECT(gr_masked_page_sum(&page, masking, 7, values, WORDS) == GR_OK);
    EXPECT_EQUAL(values[0], size * (size + 1) / 2);
    EXPECT_EQUAL(values[1], size * place);
    EXPECT_EQUAL(values[2], size % 2 ? INT64_MIN : 0);
    *exchanges = comm->exchanges - (uint32_t)before;
    return bad;
}

static void expect_places(uint64_t key, uint32_t first, uint32_t n) {
    struct gr_masked_options next[GR_MASKED_AHEAD + 1] = {0};
    for (uint32_t i = 0; i < n; i++)
        next[i] = gr_masked_page_place(key, 0, first + i, 7);
    gr_masked_expect(masking, next, n);
}

/* The words, the signatures and the openings; keys and shares are two exchanges, and at the
 * beginning of a page members find out how far all have come. */
enum { BARE = 3, KEYS = 2, MEET = 1 };

static int test_keys_ahead(struct gr_comm *comm) {
    uint32_t alone, first, second, third;
    int bad = begin(comm);
    gr_masked_page_turn(&page, 1);
    bad += add(comm, 0, &first); /* and what members agree on once */
    bad += add(comm, 1, &alone);
    EXPECT_EQUAL(alone, BARE + KEYS);
    expect_places(1, 3, 2);
    bad += add(comm, 2, &first); /* with the keys of the next two in its first exchanges */
    EXPECT_EQUAL(masking->n_ready, 2);
    bad += add(comm, 3, &second);
    bad += add(comm, 4, &third);
    EXPECT_EQUAL(second, BARE);
    EXPECT_EQUAL(third, BARE);
    EXPECT_EQUAL(masking->n_ready, 0);
    /* Beside the openings of a sum that has its own. */
    expect_places(1, 6, 1);
    bad += add(comm, 5, &first);
    expect_places(1, 7, 1);
    bad += add(comm, 6, &second);
    EXPECT_EQUAL(second, BARE);
    bad += add(comm, 7, &third);
    EXPECT_EQUAL(third, BARE);
    bad += add(comm, 8, &alone);
    EXPECT_EQUAL(alone, BARE + KEYS);
    end();
    return bad;
}

static int test_not_asked_for(struct gr_comm *comm) {
    uint32_t unused, n;
    int bad = begin(comm);
    gr_masked_page_turn(&page, 1);
    bad += add(comm, 0, &unused);
    expect_places(1, 1, GR_MASKED_AHEAD + 1); /* beyond what is heeded */
    bad += add(comm, 1, &unused);
    EXPECT_EQUAL(masking->n_ready, GR_MASKED_AHEAD - 1);
    /* Another work begins: none of them is asked for, and its sums have keys of their own. */
    gr_masked_page_turn(&page, 2);
    const uint64_t counter = masking->counter;
    bad += add(comm, 0, &n);
    EXPECT_EQUAL(n, MEET + BARE + KEYS);
    EXPECT_EQUAL(masking->n_ready, 0);
    EXPECT(page.entries[0].sum->terms.counter > counter);
    /* The same place of another release is another sum. */
    expect_places(2, 2, 2);
    bad += add(comm, 1, &unused);
    int64_t value = 5;
    EXPECT(gr_masked_page_sum(&page, masking, 8, &value, 1) == GR_OK);
    EXPECT_EQUAL(value, 5 * gr_comm_size(comm));
    EXPECT_EQUAL(page.entries[2].sum->terms.release, 8);
    gr_masked_forget_keys(masking);
    EXPECT_EQUAL(masking->n_ready, 0);
    end();
    return bad;
}

static int test_no_keys_twice(struct gr_comm *comm) {
    uint32_t unused;
    int bad = begin(comm);
    gr_masked_page_turn(&page, 1);
    expect_places(1, 0, 4);
    for (uint32_t place = 0; place < 6; place++)
        bad += add(comm, place, &unused);
    for (size_t a = 0; a < 6; a++)
        for (size_t b = 0; b < a; b++) {
            const struct gr_masked_sum *one = page.entries[a].sum, *two = page.entries[b].sum;
            EXPECT(one->terms.counter > two->terms.counter);
            EXPECT(one->openings[0].n == 0 ||
                   memcmp(one->openings[0].bytes, two->openings[0].bytes, two->openings[0].n) != 0);
        }
    end();
    return bad;
}

/* The last rank fails between the keys and the words; all ends of the exchange know it. */
static int test_fails_alone(struct gr_comm *comm) {
    int bad = begin(comm);
    const bool fails = gr_comm_rank(comm) == gr_comm_size(comm) - 1;
    const struct gr_masked_options of = gr_masked_page_place(1, 0, 0, 7);
    unsigned char total[GR_DIGEST_BYTES] = {0};
    struct gr_masked_sum *sum = NULL;
    bool all = false;
    EXPECT(gr_masked_begin(masking, &of, &sum) == GR_OK);
    if (sum && fails) gr_masked_fail(sum, gr_fail(GR_ERROR_WRITE, "a disk is full"));
    expect_places(1, 1, 1);
    EXPECT(sum && gr_masked_open(masking, sum, 0, total, &all) == GR_ERROR_WRITE);
    EXPECT(strstr(gr_message(), "a disk is full"));
    EXPECT(!all);
    EXPECT_EQUAL(masking->n_ready, 0);
    for (uint32_t p = 0; sum && p < SILOS; p++)
        EXPECT_EQUAL(sum->openings[p].n, 0);
    gr_masked_free(sum);
    end();
    return bad;
}

/* Keys that were made for the silos of one model are not taken for another's. */
static int test_another_model(struct gr_comm *comm) {
    uint32_t unused;
    int bad = begin(comm);
    struct gr_masked_options next = {.release = 18, .round = 2, .model = "one"};
    struct gr_masked_sum *sum = NULL;
    gr_masked_page_turn(&page, 1);
    bad += add(comm, 0, &unused);
    gr_masked_expect(masking, &next, 1);
    bad += add(comm, 1, &unused);
    snprintf((char *)next.model, sizeof next.model, "two");
    EXPECT(gr_masked_begin(masking, &next, &sum) == GR_OK);
    EXPECT(sum && gr_masked_agree(masking, gr_masked_status(sum)) == GR_ERROR_POLICY);
    EXPECT(strstr(gr_message(), "another model"));
    gr_masked_free(sum);
    end();
    return bad;
}

PARALLEL_MAIN({"keys ahead of their sums", test_keys_ahead},
              {"keys that are not asked for", test_not_asked_for},
              {"no keys twice", test_no_keys_twice}, {"a rank fails alone", test_fails_alone},
              {"another model", test_another_model})
