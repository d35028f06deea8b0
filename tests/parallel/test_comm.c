/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Agreement, small sums and maxima, broadcasts, for each way of grouping ranks into nodes.
 *
 * ranks: 1 2 3 4 8
 */
#include <stdlib.h>

#include "parallel.h"

/* Calls `run` with communicators of 0 (as found), 1, 2 and 3 ranks per node, and as if the nodes
 * were hosts, of 1 and 2. */
static int for_each_grouping(int (*run)(struct gr_comm *comm)) {
    int bad = 0;
    for (uint32_t c = 0; c < 6; c++) {
        struct gr_comm_options options = {.ranks_per_node = c < 4 ? c : c - 3, .far = c > 3};
        struct gr_comm *comm = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        bad += run(comm);
        gr_comm_free(comm);
    }
    return bad;
}

/* True when every rank's last message is rank 0's. */
static bool same_message(void) {
    static char first[GR_MESSAGE_MAX];
    memcpy(first, gr_message(), strlen(gr_message()) + 1);
    MPI_Bcast(first, sizeof first, MPI_BYTE, 0, MPI_COMM_WORLD);
    return strcmp(first, gr_message()) == 0;
}

static int groups_are_as_asked(struct gr_comm *found) {
    int bad = 0, size = gr_comm_size(found);
    EXPECT_EQUAL(gr_comm_nodes(found), 1);
    for (int group = 1; group < 5; group++) {
        struct gr_comm_options options = {.ranks_per_node = (uint32_t)group};
        struct gr_comm *comm = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        EXPECT_EQUAL(gr_comm_nodes(comm), (size + group - 1) / group);
        EXPECT_EQUAL(gr_comm_rank(comm), gr_comm_rank(found));
        EXPECT_EQUAL(gr_comm_size(comm), size);
        gr_comm_free(comm);
    }
    return bad;
}

static int agree_on(struct gr_comm *comm) {
    int bad = 0, rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    char expected[64];
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    for (int failing = 0; failing < size; failing++)
        for (int also = failing; also < size; also++) {
            gr_status mine = GR_OK;
            if (rank == failing) mine = gr_fail(GR_ERROR_DATA, "rank %d is unwell", rank);
            if (rank == also && also != failing) mine = gr_fail(GR_ERROR_WRITE, "so is %d", rank);
            snprintf(expected, sizeof expected, "rank %d is unwell", failing);
            EXPECT_EQUAL(gr_comm_agree(comm, mine), GR_ERROR_DATA);
            EXPECT(strcmp(gr_message(), expected) == 0);
            EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
        }
    return bad;
}

static int agreement(struct gr_comm *comm) {
    (void)comm;
    return for_each_grouping(agree_on);
}

static int agree_on_long(struct gr_comm *comm) {
    int bad = 0, last = gr_comm_size(comm) - 1;
    char text[GR_MESSAGE_MAX];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    gr_status mine = gr_comm_rank(comm) == last ? gr_fail(GR_ERROR_CONFIG, "%s", text) : GR_OK;
    EXPECT_EQUAL(gr_comm_agree(comm, mine), GR_ERROR_CONFIG);
    EXPECT(strcmp(gr_message(), text) == 0);
    return bad;
}

static int longest_message(struct gr_comm *comm) {
    (void)comm;
    return for_each_grouping(agree_on_long);
}

static int add_up(struct gr_comm *comm) {
    enum { MOST = 2 * GR_COMM_SMALL_MAX + 1 };
    static const size_t longer[] = {GR_COMM_SMALL_MAX - 1, GR_COMM_SMALL_MAX, GR_COMM_SMALL_MAX + 1,
                                    MOST - 1, MOST};
    static int64_t sums[MOST], maxima[MOST];
    int bad = 0, rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    for (int round = 0; round < 70; round++) {
        size_t n = round < 65 ? (size_t)round : longer[round - 65];
        for (int64_t i = 0; i < MOST; i++) {
            sums[i] = (int64_t)1 << 40 | (i * rank + round);
            maxima[i] = (rank * 7 + i + round) % size - 3;
        }
        EXPECT(gr_comm_sum_int64(comm, sums, n) == GR_OK);
        EXPECT(gr_comm_max_int64(comm, maxima, n) == GR_OK);
        for (int64_t i = 0; i < (int64_t)n; i++) {
            int64_t sum = 0, largest = INT64_MIN;
            for (int r = 0; r < size; r++) {
                sum += (int64_t)1 << 40 | (i * r + round);
                if ((r * 7 + i + round) % size - 3 > largest)
                    largest = (r * 7 + i + round) % size - 3;
            }
            EXPECT_EQUAL(sums[i], sum);
            EXPECT_EQUAL(maxima[i], largest);
        }
    }
    /* Modulo 2^64: `size` times 2^63 - 1. */
    int64_t wrapped = INT64_MAX;
    EXPECT(gr_comm_sum_int64(comm, &wrapped, 1) == GR_OK);
    EXPECT(wrapped == (int64_t)((uint64_t)size * (uint64_t)INT64_MAX));
    return bad;
}

static int sums_and_maxima(struct gr_comm *comm) {
    (void)comm;
    return for_each_grouping(add_up);
}

static int spread(struct gr_comm *comm) {
    static const size_t sizes[] = {0, 1, 100, 32767, 32768, 32769, 1000003};
    int bad = 0;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char *bytes = calloc(1, sizes[s] + 1);
        for (size_t i = 0; i < sizes[s] && gr_comm_rank(comm) == 0; i++)
            bytes[i] = (unsigned char)(i * 2654435761u >> 13);
        EXPECT(gr_comm_broadcast(comm, bytes, sizes[s]) == GR_OK);
        size_t wrong = 0;
        for (size_t i = 0; i < sizes[s]; i++)
            wrong += bytes[i] != (unsigned char)(i * 2654435761u >> 13);
        EXPECT_EQUAL(wrong, 0);
        EXPECT_EQUAL(bytes[sizes[s]], 0);
        free(bytes);
    }
    return bad;
}

static int broadcast(struct gr_comm *comm) {
    (void)comm;
    return for_each_grouping(spread);
}

static int spread_text(struct gr_comm *comm) {
    static const char *const texts[] = {"", "one line\n", "two\nlines: \xc3\xa9\n"};
    int bad = 0, rank = gr_comm_rank(comm);
    for (size_t i = 0; i < 3; i++) {
        char *text = NULL;
        if (rank == 0) EXPECT(gr_text_format(&text, "%s", texts[i]) == GR_OK);
        EXPECT(gr_comm_broadcast_text(comm, &text, 100) == GR_OK);
        EXPECT(text && strcmp(text, texts[i]) == 0);
        gr_free(text);
    }
    char *text = NULL;
    if (rank == 0) EXPECT(gr_text_format(&text, "%s", "eleven char") == GR_OK);
    EXPECT_EQUAL(gr_comm_broadcast_text(comm, &text, 10), GR_ERROR_INTERNAL);
    EXPECT(same_message());
    EXPECT((text != NULL) == (rank == 0));
    EXPECT(gr_comm_broadcast_text(comm, &text, 11) == GR_OK);
    gr_free(text);
    return bad;
}

static int broadcast_text(struct gr_comm *comm) {
    (void)comm;
    return for_each_grouping(spread_text);
}

/* Rank r brings (r * step) % most bytes of its own; on one rank all of them are `most` long. */
static int gather_sizes(struct gr_comm *comm, size_t step, size_t most, size_t limit) {
    int bad = 0, rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    unsigned char *mine = malloc(most + 1);
    struct gr_gathered all;
    size_t wrong = 0, begin = 0;
    for (size_t i = 0; i < most; i++)
        mine[i] = (unsigned char)(i * 2654435761u >> 13) ^ (unsigned char)rank;
    EXPECT(gr_comm_gather(comm, mine, ((size_t)rank + 1) * step % (most + 1), limit, &all) ==
           GR_OK);
    for (int r = 0; r < size && all.begin; r++) {
        const size_t n = ((size_t)r + 1) * step % (most + 1);
        wrong += all.begin[r] != begin || all.begin[r + 1] != begin + n;
        for (size_t i = 0; i < n && wrong == 0; i++)
            wrong +=
                all.bytes[begin + i] != ((unsigned char)(i * 2654435761u >> 13) ^ (unsigned char)r);
        begin += n;
    }
    EXPECT_EQUAL(wrong, 0);
    gr_gathered_release(&all);
    free(mine);
    return bad;
}

static int gather_in_groups(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm);
    struct gr_gathered all;
    bad += gather_sizes(comm, 0, 0, 0); /* nobody brings anything */
    bad += gather_sizes(comm, 1, 1, 8); /* every other rank brings a byte */
    bad += gather_sizes(comm, 3, 5, 64);
    /* Chunks of 16 KiB begin and end inside of ranks' bytes. */
    bad += gather_sizes(comm, 16383, 40000, 400000);
    bad += gather_sizes(comm, 16384, 16384, 400000);
    bad += gather_sizes(comm, 100003, 100003, 1000000);
    /* More than the limit, of one rank and of all together. */
    char bytes[8] = {0};
    EXPECT_EQUAL(gr_comm_gather(comm, bytes, gr_comm_rank(comm) == size - 1 ? 8 : 0, 7, &all),
                 GR_ERROR_INTERNAL);
    EXPECT(same_message());
    EXPECT_EQUAL(gr_comm_gather(comm, bytes, 1, (size_t)size - 1, &all), GR_ERROR_INTERNAL);
    EXPECT(same_message());
    bad += gather_sizes(comm, 3, 5, 64);
    return bad;
}

static int gather(struct gr_comm *comm) {
    (void)comm;
    return for_each_grouping(gather_in_groups);
}

/* Operations one after the other without a pause: slots must not be reused too early. */
static int mix(struct gr_comm *comm) {
    int bad = 0, size = gr_comm_size(comm);
    for (int64_t i = 0; i < 300; i++) {
        int64_t one = 1, most = gr_comm_rank(comm) + i, told = gr_comm_rank(comm) == 0 ? i : -1;
        EXPECT(gr_comm_sum_int64(comm, &one, 1) == GR_OK);
        EXPECT(gr_comm_broadcast(comm, &told, sizeof told) == GR_OK);
        EXPECT(gr_comm_max_int64(comm, &most, 1) == GR_OK);
        EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
        EXPECT_EQUAL(one, size);
        EXPECT_EQUAL(told, i);
        EXPECT_EQUAL(most, size - 1 + i);
    }
    return bad;
}

static int mixed_operations(struct gr_comm *comm) {
    (void)comm;
    return for_each_grouping(mix);
}

static int bytes_are_counted(struct gr_comm *comm) {
    int bad = 0;
    int64_t values[10] = {0};
    uint64_t before = gr_comm_bytes_sent(comm);
    EXPECT(gr_comm_sum_int64(comm, values, 10) == GR_OK);
    EXPECT_EQUAL(gr_comm_bytes_sent(comm) - before, gr_comm_size(comm) > 1 ? sizeof values : 0);
    return bad;
}

/* A rank that brings fewer values than the others, as one that runs another program would. */
static int lengths_are_checked(struct gr_comm *found) {
    const int last = gr_comm_size(found) - 1;
    const struct gr_comm_options options = {.ranks_per_node = 1};
    struct gr_comm *comm = NULL;
    int bad = 0, told;
    if (last == 0) return bad;
    EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
    gr_comm_set_deadlines(comm, 1, 0);
    int64_t values[2] = {1, 2};
    const gr_status status = gr_comm_sum_int64(comm, values, gr_comm_rank(comm) == last ? 1 : 2);
    EXPECT(status != GR_OK);
    told = status == GR_ERROR_INTERNAL && strstr(gr_message(), ": 8 bytes from slot ") != NULL &&
           strstr(gr_message(), ", expected 16") != NULL;
    MPI_Allreduce(MPI_IN_PLACE, &told, 1, MPI_INT, MPI_SUM, MPI_COMM_WORLD);
    EXPECT(told >= 1);
    gr_comm_free(comm);
    return bad;
}

PARALLEL_MAIN({"groups are as asked", groups_are_as_asked}, {"agreement", agreement},
              {"longest message", longest_message}, {"sums and maxima", sums_and_maxima},
              {"broadcast", broadcast}, {"broadcast of text", broadcast_text}, {"gather", gather},
              {"mixed operations", mixed_operations}, {"bytes are counted", bytes_are_counted},
              {"lengths are checked", lengths_are_checked})
