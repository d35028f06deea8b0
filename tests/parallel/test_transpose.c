/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Updates side by side: each coordinate is combined of all silos' values in the order of the silos'
 * numbers, wherever silos are and however ranks are grouped into nodes, against loops over whole
 * vectors; one silo, several on a rank, ranks without any, fewer coordinates than ranks, vectors of
 * several chunks; and what must not be combined.
 *
 * ranks: 1 2 3 5 8
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "parallel.h"

enum { SILOS_MAX = 11 };

/* An update of a silo: whole numbers, so that sums of products are exact in float32. */
static float value_of(uint32_t silo, size_t i) {
    return (float)((int)((i * 2654435761u + silo * 40503u) >> 7 & 255) - 128);
}

/* Of the rows' order: sum of (r + 1) * row[r]. */
static void weigh_by_place(const void *context, const float *const *row, size_t n_rows, size_t n,
                           float *work, float *out) {
    const float *factor = context;
    for (size_t r = 0; r < n_rows; r++)
        work[r * GR_COMBINE_WIDTH] = work[(r + 1) * GR_COMBINE_WIDTH - 1] = 0; /* there is room */
    for (size_t i = 0; i < n; i++) {
        float sum = 0;
        for (size_t r = 0; r < n_rows; r++)
            sum += (float)(r + 1) * row[r][i];
        out[i] = *factor * sum;
    }
}

static const float two = 2;
static const struct gr_aggregator_options by_place = {.combination = {weigh_by_place, &two}};

struct task {
    uint32_t n_silos; /* numbers 3, 5, 7, ...; the last first */
    size_t size;
    int spread; /* silo s is of rank (s * spread) % ranks; 0: all of the last rank */
};

struct updates {
    struct gr_layout layout;
    struct gr_contribution mine[SILOS_MAX];
    float *update[SILOS_MAX];
    size_t n;
};

static uint32_t number_of(uint32_t silo) {
    return 3 + 2 * silo;
}

static int make_updates(struct gr_comm *comm, const struct task *task, struct updates *u) {
    int bad = 0, size = gr_comm_size(comm);
    *u = (struct updates){0};
    EXPECT(gr_layout_append(&u->layout, "all", 1, &task->size) == GR_OK);
    for (uint32_t k = task->n_silos; k-- > 0;) {
        const int host = task->spread > 0 ? (int)k * task->spread % size : size - 1;
        if (host != gr_comm_rank(comm)) continue;
        float *update;
        EXPECT(gr_allocate_zero(u->layout.size, sizeof *update, "update", &update) == GR_OK);
        for (size_t i = 0; i < task->size; i++)
            update[i] = value_of(k, i);
        u->update[u->n] = update;
        u->mine[u->n++] = (struct gr_contribution){.update = update,
                                                   .silo = number_of(k),
                                                   .examples = k + 1,
                                                   .weight = k + 1,
                                                   .pseudonym = "silo"};
    }
    return bad;
}

static void release_updates(struct updates *u) {
    for (size_t i = 0; i < u->n; i++)
        gr_free(u->update[i]);
    gr_layout_release(&u->layout);
}

static int combine_task(struct gr_comm *comm, const struct task *task) {
    int bad = 0;
    struct updates u;
    struct gr_aggregator *aggregator = NULL;
    float *mean = NULL;
    uint64_t examples = 0;
    size_t wrong = 0;
    bad += make_updates(comm, task, &u);
    EXPECT(gr_allocate(u.layout.size, sizeof *mean, "mean", &mean) == GR_OK);
    EXPECT(gr_aggregator_create_with(comm, &u.layout, &by_place, &aggregator) == GR_OK);
    for (int twice = 0; twice < 2; twice++) {
        memset(mean, 0xff, u.layout.size * sizeof *mean);
        EXPECT(gr_aggregate(aggregator, u.mine, u.n, task->n_silos, mean, &examples) == GR_OK);
        EXPECT_EQUAL(examples, task->n_silos * (task->n_silos + 1) / 2);
        for (size_t i = 0; i < task->size; i++) {
            float sum = 0;
            for (uint32_t k = 0; k < task->n_silos; k++)
                sum += (float)(k + 1) * value_of(k, i);
            wrong += mean[i] != 2 * sum;
        }
        EXPECT_EQUAL(wrong, 0);
    }
    gr_aggregator_free(aggregator);
    gr_free(mean);
    release_updates(&u);
    return bad;
}

/* Each task with communicators of 0 (as found), 1, 2 and 3 ranks per node. */
static int slices(struct gr_comm *found) {
    static const struct task tasks[] = {
        {1, 1, 1},     {1, 70000, 1}, {2, 3, 1},       {5, 64, 1},
        {7, 65, 3},    {7, 4097, 1},  {11, 30011, 0},  {11, 30011, 1},
        {2, 70000, 0}, {3, 1000, 2},  {1, 2100011, 1}, {7, 310001, 0},
    };
    int bad = 0;
    (void)found;
    for (uint32_t group = 0; group < 4; group++) {
        struct gr_comm_options options = {.ranks_per_node = group};
        struct gr_comm *comm = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        for (size_t i = 0; i < sizeof tasks / sizeof *tasks; i++) {
            const int before = bad;
            bad += combine_task(comm, &tasks[i]);
            if (bad > before)
                fprintf(stderr, "%u silos, %zu coordinates, %u ranks a node\n", tasks[i].n_silos,
                        tasks[i].size, group);
        }
        gr_comm_free(comm);
    }
    return bad;
}

/* Rosters that grow and shrink with one aggregator, as in rounds. */
static int rounds(struct gr_comm *comm) {
    static const uint32_t members[] = {2, 11, 1, 7};
    int bad = 0;
    struct gr_aggregator *aggregator = NULL;
    struct gr_layout layout = {0};
    const size_t size = 300007;
    float *mean = NULL;
    uint64_t examples;
    EXPECT(gr_layout_append(&layout, "all", 1, &size) == GR_OK);
    EXPECT(gr_allocate(layout.size, sizeof *mean, "mean", &mean) == GR_OK);
    EXPECT(gr_aggregator_create_with(comm, &layout, &by_place, &aggregator) == GR_OK);
    for (size_t t = 0; t < sizeof members / sizeof *members; t++) {
        const struct task task = {members[t], size, 1};
        struct updates u;
        size_t wrong = 0;
        bad += make_updates(comm, &task, &u);
        EXPECT(gr_aggregate(aggregator, u.mine, u.n, task.n_silos, mean, &examples) == GR_OK);
        for (size_t i = 0; i < size; i++) {
            float sum = 0;
            for (uint32_t k = 0; k < task.n_silos; k++)
                sum += (float)(k + 1) * value_of(k, i);
            wrong += mean[i] != 2 * sum;
        }
        EXPECT_EQUAL(wrong, 0);
        release_updates(&u);
    }
    gr_aggregator_free(aggregator);
    gr_free(mean);
    gr_layout_release(&layout);
    return bad;
}

static int refusals(struct gr_comm *comm) {
    const struct task task = {3, 5000, 1};
    int bad = 0;
    struct updates u;
    struct gr_aggregator *aggregator = NULL;
    float *mean = NULL;
    uint64_t examples;
    bad += make_updates(comm, &task, &u);
    EXPECT(gr_allocate(u.layout.size, sizeof *mean, "mean", &mean) == GR_OK);
    EXPECT(gr_aggregator_create_with(comm, &u.layout, &by_place, &aggregator) == GR_OK);
    /* Of silos there are more than said, or none. */
    EXPECT_EQUAL(gr_aggregate(aggregator, u.mine, u.n, 2, mean, &examples), GR_ERROR_INTERNAL);
    EXPECT(strstr(gr_message(), "3 contributions to a sum of 2") != NULL);
    EXPECT_EQUAL(gr_aggregate(aggregator, u.mine, 0, 0, mean, &examples), GR_ERROR_INTERNAL);
    /* Two of one number. */
    for (size_t i = 0; i < u.n; i++)
        if (u.mine[i].silo == number_of(2)) u.mine[i].silo = number_of(0);
    EXPECT_EQUAL(gr_aggregate(aggregator, u.mine, u.n, 3, mean, &examples), GR_ERROR_INTERNAL);
    EXPECT(strstr(gr_message(), "two contributions of silo 3") != NULL);
    /* A value that no strategy should see. */
    release_updates(&u);
    bad += make_updates(comm, &task, &u);
    for (size_t i = 0; i < u.n; i++)
        if (u.mine[i].silo == number_of(1)) u.update[i][4444] = NAN;
    EXPECT_EQUAL(gr_aggregate(aggregator, u.mine, u.n, 3, mean, &examples), GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "silo: update of all, element 4444") != NULL);
    for (size_t i = 0; i < u.n; i++)
        if (u.mine[i].silo == number_of(1)) u.update[i][4444] = FLT_MAX;
    EXPECT(gr_aggregate(aggregator, u.mine, u.n, 3, mean, &examples) == GR_OK);
    gr_aggregator_free(aggregator);
    gr_free(mean);
    release_updates(&u);
    return bad;
}

/* A rank that does not come is given up, and the others combine what is left. */
static int lost_rank(struct gr_comm *found) {
    const int size = gr_comm_size(found), last = size - 1;
    const struct gr_comm_options options = {.ranks_per_node = 2};
    const struct task task = {5, 100003, 1};
    struct gr_comm *comm = NULL;
    struct gr_aggregator *aggregator = NULL;
    struct updates u;
    int bad = 0;
    if (size < 3) return bad;
    EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
    bad += make_updates(comm, &task, &u);
    EXPECT(gr_aggregator_create_with(comm, &u.layout, &by_place, &aggregator) == GR_OK);
    gr_comm_set_deadlines(comm, 0.5, 0);
    if (gr_comm_rank(comm) != last) {
        EXPECT_EQUAL(gr_aggregate_total(aggregator, u.mine, u.n, 5), GR_LOST);
        EXPECT(!gr_aggregate_holds(aggregator));
    }
    gr_aggregator_free(aggregator);
    release_updates(&u);
    MPI_Barrier(MPI_COMM_WORLD);
    gr_comm_free(comm);
    return bad;
}

PARALLEL_MAIN({"slices", slices}, {"rounds", rounds}, {"refusals", refusals},
              {"lost rank", lost_rank})
