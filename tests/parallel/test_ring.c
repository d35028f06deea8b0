/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The reductions: the same bits wherever contributions lie, and the right values.
 *
 * The reference is computed here, one element after the other, in long double and 64-bit integers,
 * and shares no code with the library. `test_ring digest [ranks_per_node]` prints the digest of one
 * sum, to be compared between rank counts, placements and settings of the MPI library.
 *
 * ranks: 1 2 3 4 5 8
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include <gsl/gsl_randist.h>

#include "parallel.h"

enum { SILOS = 12 };

struct sum {
    struct gr_layout layout;
    float *update[SILOS]; /* all of them, on every rank */
    uint64_t weight[SILOS];
    char pseudonym[SILOS][32];
    size_t n_silos;
    float *expected;    /* mean by the definition */
    long double *exact; /* mean without a grid */
    long double *bound; /* of the error the grid may make */
    int host_of[SILOS];
    float *mean;
    float *left[SILOS]; /* of ring16's rounding; NULL: there is no room for it */
};

static bool same_message(void) {
    static char first[GR_MESSAGE_MAX];
    memcpy(first, gr_message(), strlen(gr_message()) + 1);
    MPI_Bcast(first, sizeof first, MPI_BYTE, 0, MPI_COMM_WORLD);
    return strcmp(first, gr_message()) == 0;
}

/* ---- data and reference --------------------------------------------------------------------- */

static int sum_create(struct sum *sum, size_t n_silos, size_t elements) {
    int bad = 0;
    *sum = (struct sum){.n_silos = n_silos};
    /* Three tensors where there is room, the middle one not a multiple of anything. */
    size_t first = elements / 2, second = elements / 7, third = elements - first - second;
    if (first > 0) EXPECT(gr_layout_append(&sum->layout, "first", 1, &first) == GR_OK);
    if (second > 0) EXPECT(gr_layout_append(&sum->layout, "second", 1, &second) == GR_OK);
    EXPECT(gr_layout_append(&sum->layout, "third", 1, &third) == GR_OK);
    size_t size = sum->layout.size;
    for (size_t s = 0; s < n_silos; s++) {
        gsl_rng *stream;
        struct gr_stream_key key = {.seed = 11, .silo = (uint32_t)s, .purpose = GR_PURPOSE_TEST};
        EXPECT(gr_stream_create(key, &stream) == GR_OK);
        EXPECT(gr_allocate_zero(size, sizeof(float), "update", &sum->update[s]) == GR_OK);
        sum->weight[s] = 1 + gsl_rng_uniform_int(stream, 9000);
        for (size_t i = 0; i < size; i++) {
            /* Each block has its own magnitude. */
            double scale = ldexp(1, (int)(i / GR_RING_BLOCK * 13 % 40) - 30);
            sum->update[s][i] = (float)((gsl_rng_uniform(stream) - 0.4) * scale);
        }
        snprintf(sum->pseudonym[s], sizeof sum->pseudonym[s], "silo-%02zu", s);
        sum->host_of[s] = 0;
        gsl_rng_free(stream);
    }
    EXPECT(gr_allocate(size, sizeof(float), "expected", &sum->expected) == GR_OK);
    EXPECT(gr_allocate(size, sizeof(long double), "exact", &sum->exact) == GR_OK);
    EXPECT(gr_allocate(size, sizeof(long double), "bound", &sum->bound) == GR_OK);
    EXPECT(gr_allocate(size, sizeof(float), "mean", &sum->mean) == GR_OK);
    return bad;
}

static void sum_release(struct sum *sum) {
    for (size_t s = 0; s < sum->n_silos; s++)
        gr_free(sum->update[s]);
    gr_free(sum->expected);
    gr_free(sum->exact);
    gr_free(sum->bound);
    gr_free(sum->mean);
    gr_layout_release(&sum->layout);
}

static float product(const struct sum *sum, size_t s, size_t i) {
    volatile float p = sum->update[s][i] * (float)sum->weight[s];
    return p;
}

static int reference_exponent(const struct sum *sum, size_t begin, size_t end) {
    float largest = 0;
    for (size_t s = 0; s < sum->n_silos; s++)
        for (size_t i = begin; i < end; i++)
            largest = fmaxf(largest, fabsf(product(sum, s, i)));
    long double bound = INT32_MAX / (int64_t)sum->n_silos;
    int e = largest == 0 ? 0 : -200;
    while (ldexpl((long double)largest, -e) > bound)
        e++;
    return e;
}

static void compute_reference(struct sum *sum) {
    uint64_t total = 0;
    for (size_t s = 0; s < sum->n_silos; s++)
        total += sum->weight[s];
    for (size_t begin = 0; begin < sum->layout.size; begin += GR_RING_BLOCK) {
        size_t end = begin + GR_RING_BLOCK;
        if (end > sum->layout.size) end = sum->layout.size;
        int e = reference_exponent(sum, begin, end);
        for (size_t i = begin; i < end; i++) {
            int64_t q = 0;
            long double exact = 0, rounding = 0;
            for (size_t s = 0; s < sum->n_silos; s++) {
                float p = product(sum, s, i);
                q += (int64_t)rintl(ldexpl((long double)p, -e));
                exact += (long double)sum->update[s][i] * (long double)sum->weight[s];
                rounding += fabsl((long double)p) * 0x1p-24L + ldexpl(1, e - 1);
            }
            volatile double factor = 1 / (double)total;
            factor = ldexp(factor, e);
            volatile double mean = (double)q * factor;
            sum->expected[i] = (float)mean;
            if (isinf(sum->expected[i])) sum->expected[i] = copysignf(FLT_MAX, (float)mean);
            sum->exact[i] = exact / (long double)total;
            sum->bound[i] = rounding / (long double)total + fabsl(sum->exact[i]) * 0x1.01p-24L +
                            (long double)FLT_TRUE_MIN;
        }
    }
}

/* ---- running -------------------------------------------------------------------------------- */

static gr_status run(struct gr_comm *comm, struct gr_aggregator *aggregator, struct sum *sum,
                     bool backwards) {
    struct gr_contribution mine[SILOS];
    size_t n = 0;
    uint64_t total = 0, expected = 0;
    for (size_t i = 0; i < sum->n_silos; i++) {
        size_t s = backwards ? sum->n_silos - 1 - i : i;
        expected += sum->weight[s];
        if (sum->host_of[s] != gr_comm_rank(comm)) continue;
        mine[n++] = (struct gr_contribution){.update = sum->update[s],
                                             .examples = sum->weight[s],
                                             .weight = (double)sum->weight[s],
                                             .pseudonym = sum->pseudonym[s],
                                             .left = sum->left[s]};
    }
    memset(sum->mean, 0x55, sum->layout.size * sizeof(float));
    gr_status status = gr_aggregate(aggregator, mine, n, (uint32_t)sum->n_silos, sum->mean, &total);
    if (status == GR_OK && total != expected)
        return gr_fail(GR_ERROR_INTERNAL, "total weight %llu, expected %llu",
                       (unsigned long long)total, (unsigned long long)expected);
    return status;
}

/* The total alone, which all hold then. */
static int sum_total(struct gr_comm *comm, struct gr_aggregator *aggregator, struct sum *sum) {
    int bad = 0;
    struct gr_contribution mine[SILOS];
    size_t n = 0;
    for (size_t s = 0; s < sum->n_silos; s++)
        if (sum->host_of[s] == gr_comm_rank(comm))
            mine[n++] = (struct gr_contribution){.update = sum->update[s],
                                                 .examples = sum->weight[s],
                                                 .weight = (double)sum->weight[s],
                                                 .pseudonym = sum->pseudonym[s]};
    EXPECT(gr_aggregate_total(aggregator, mine, n, (uint32_t)sum->n_silos) == GR_OK);
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    return bad;
}

static bool as_expected(const struct sum *sum) {
    return memcmp(sum->mean, sum->expected, sum->layout.size * sizeof(float)) == 0;
}

static size_t beyond_bound(const struct sum *sum) {
    size_t n = 0;
    for (size_t i = 0; i < sum->layout.size; i++)
        if (!(fabsl((long double)sum->mean[i] - sum->exact[i]) <= sum->bound[i])) n++;
    return n;
}

/* All on one rank, dealt, in runs, and any way at all. */
static void place(struct sum *sum, int size, int way) {
    for (size_t s = 0; s < sum->n_silos; s++) {
        switch (way) {
        case 0:
            sum->host_of[s] = 0;
            break;
        case 1:
            sum->host_of[s] = size - 1;
            break;
        case 2:
            sum->host_of[s] = (int)s % size;
            break;
        case 3:
            sum->host_of[s] = (int)(s * (size_t)size / sum->n_silos);
            break;
        default:
            sum->host_of[s] = (int)((s * 2654435761u >> way) % (unsigned)size);
        }
    }
}

static int any_placement(struct gr_comm *found) {
    int bad = 0;
    struct sum sum;
    bad += sum_create(&sum, SILOS, 140001);
    compute_reference(&sum);
    for (uint32_t group = 0; group < 4; group++) {
        struct gr_comm_options options = {.ranks_per_node = group};
        struct gr_comm *comm = NULL;
        struct gr_aggregator *aggregator = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        EXPECT(gr_aggregator_create(comm, &sum.layout, GR_ENCODING_RING32, &aggregator) == GR_OK);
        for (int way = 0; way < 7; way++) {
            place(&sum, gr_comm_size(found), way);
            EXPECT(run(comm, aggregator, &sum, way % 2) == GR_OK);
            EXPECT(as_expected(&sum));
        }
        EXPECT_EQUAL(beyond_bound(&sum), 0);
        gr_aggregator_free(aggregator);
        gr_comm_free(comm);
    }
    sum_release(&sum);
    return bad;
}

/* Sums in one way of those between nodes; AUTO: in all in turn, until it is settled. */
static int one_way(struct gr_comm *comm, struct sum *sum, enum gr_encoding encoding,
                   enum gr_between asked) {
    int bad = 0;
    struct gr_aggregator *aggregator = NULL;
    const struct gr_aggregator_options options = {.encoding = encoding, .between = asked};
    enum gr_between way, expected = asked;
    double least_s[GR_BETWEEN_MPI + 1];
    bool settled = false;
    EXPECT(gr_aggregator_create_with(comm, &sum->layout, &options, &aggregator) == GR_OK);
    if (encoding == GR_ENCODING_FLOAT32) expected = GR_BETWEEN_TREE;
    /* Three trials of each way; a sum's time is told in the next; then the fastest is taken. */
    for (int i = 0; i < (asked == GR_BETWEEN_AUTO ? 12 : 2); i++) {
        for (int k = GR_BETWEEN_TREE; i == 11 && k <= GR_BETWEEN_MPI; k++)
            if (expected == GR_BETWEEN_AUTO || least_s[k] < least_s[expected])
                expected = (enum gr_between)k;
        EXPECT(run(comm, aggregator, sum, false) == GR_OK);
        EXPECT(encoding != GR_ENCODING_RING32 || as_expected(sum));
        settled = gr_aggregate_between(aggregator, &way, least_s);
        EXPECT(gr_comm_nodes(comm) == 1 || asked != GR_BETWEEN_AUTO || i > 8 ||
               (int)way == i % 3 + 1);
    }
    if (gr_comm_nodes(comm) == 1) expected = GR_BETWEEN_AUTO;
    EXPECT_EQUAL(way, expected);
    if (gr_comm_rank(comm) == 0 && gr_comm_nodes(comm) > 1) EXPECT(settled);
    gr_aggregator_free(aggregator);
    return bad;
}

/* The same mean to the bit each way, in words of other widths. */
static int same_any_way(struct gr_comm *comm, struct sum *sum, enum gr_encoding encoding) {
    int bad = 0;
    float *first = NULL;
    const size_t bytes = sum->layout.size * sizeof *first;
    EXPECT(gr_allocate(sum->layout.size, sizeof *first, "a mean", &first) == GR_OK);
    for (size_t s = 0; s < sum->n_silos; s++)
        EXPECT(gr_allocate(sum->layout.size, sizeof(float), "left", &sum->left[s]) == GR_OK);
    for (int way = GR_BETWEEN_TREE; way <= GR_BETWEEN_MPI; way++) {
        struct gr_aggregator *aggregator = NULL;
        const struct gr_aggregator_options options = {.encoding = encoding,
                                                      .between = (enum gr_between)way};
        EXPECT(gr_aggregator_create_with(comm, &sum->layout, &options, &aggregator) == GR_OK);
        EXPECT(run(comm, aggregator, sum, false) == GR_OK);
        if (way == GR_BETWEEN_TREE) memcpy(first, sum->mean, bytes);
        EXPECT(memcmp(sum->mean, first, bytes) == 0);
        gr_aggregator_free(aggregator);
    }
    for (size_t s = 0; s < sum->n_silos; s++) {
        gr_free(sum->left[s]);
        sum->left[s] = NULL;
    }
    gr_free(first);
    return bad;
}

/* More segments than are under way at a time, so that all buffers are used again. */
static int any_way(struct gr_comm *found) {
    int bad = 0;
    struct sum sum;
    bad += sum_create(&sum, 2, 1200001);
    place(&sum, gr_comm_size(found), 2);
    compute_reference(&sum);
    for (uint32_t c = 0; c < 4; c++) {
        struct gr_comm_options options = {.ranks_per_node = c / 2 + 1, .far = c % 2};
        struct gr_comm *comm = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        for (int asked = GR_BETWEEN_AUTO; asked <= GR_BETWEEN_MPI; asked++)
            bad += one_way(comm, &sum, GR_ENCODING_RING32, (enum gr_between)asked);
        bad += same_any_way(comm, &sum, GR_ENCODING_RING16);
        bad += same_any_way(comm, &sum, GR_ENCODING_RING64);
        bad += one_way(comm, &sum, GR_ENCODING_FLOAT32, GR_BETWEEN_MPI);
        gr_comm_free(comm);
    }
    sum_release(&sum);
    return bad;
}

/* Vectors around the sizes of blocks and segments, between one and many nodes. */
static int any_size(struct gr_comm *found) {
    static const size_t sizes[] = {1,     2,     15,    16,     17,     4095,   4096,  4097,
                                   65520, 65536, 65537, 131072, 131073, 262145, 600000};
    int bad = 0;
    struct gr_comm *comms[3] = {NULL};
    for (uint32_t group = 0; group < 3; group++) {
        struct gr_comm_options options = {.ranks_per_node = group};
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comms[group]) == GR_OK);
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct sum sum;
        bad += sum_create(&sum, 2, sizes[i]);
        place(&sum, gr_comm_size(found), 2);
        compute_reference(&sum);
        for (uint32_t group = 0; group < 3; group++) {
            struct gr_aggregator *aggregator = NULL;
            EXPECT(gr_aggregator_create(comms[group], &sum.layout, GR_ENCODING_RING32,
                                        &aggregator) == GR_OK);
            EXPECT(run(comms[group], aggregator, &sum, false) == GR_OK);
            EXPECT(as_expected(&sum));
            gr_aggregator_free(aggregator);
        }
        sum_release(&sum);
    }
    for (uint32_t group = 0; group < 3; group++)
        gr_comm_free(comms[group]);
    return bad;
}

/* Values at the ends of float32, alone and beside ordinary ones. */
static int extreme_values(struct gr_comm *comm) {
    int bad = 0;
    struct sum sum;
    struct gr_aggregator *aggregator = NULL;
    bad += sum_create(&sum, SILOS, 10 * GR_RING_BLOCK);
    place(&sum, gr_comm_size(comm), 2);
    for (size_t s = 0; s < SILOS; s++) {
        sum.weight[s] = 1;
        for (size_t i = 0; i < GR_RING_BLOCK; i++) {
            float *at = sum.update[s] + i;
            at[0 * GR_RING_BLOCK] = FLT_MAX;
            at[1 * GR_RING_BLOCK] = i % 2 ? FLT_MAX : -FLT_MAX;
            at[2 * GR_RING_BLOCK] = FLT_TRUE_MIN * (float)(i % 100);
            at[3 * GR_RING_BLOCK] = s == 3 && i == 77 ? -3e38F : 1e-3F;
            at[4 * GR_RING_BLOCK] = 0;
            at[5 * GR_RING_BLOCK] = -0.0F;
            at[6 * GR_RING_BLOCK] = s % 2 ? FLT_MIN : -FLT_MIN;
            at[7 * GR_RING_BLOCK] = s == 0 ? 1 : 0;
            at[8 * GR_RING_BLOCK] = (float)(int)s - 5.5F;
        }
    }
    compute_reference(&sum);
    EXPECT(gr_aggregator_create(comm, &sum.layout, GR_ENCODING_RING32, &aggregator) == GR_OK);
    EXPECT(run(comm, aggregator, &sum, false) == GR_OK);
    EXPECT(as_expected(&sum));
    EXPECT_EQUAL(beyond_bound(&sum), 0);
    gr_aggregator_free(aggregator);
    sum_release(&sum);
    return bad;
}

/* Weights that are no counts: the mean is by them as float32 holds them, to the same bits wherever
 * silos lie, which the exact mean in long double tells on any number of ranks; a weight of 0 brings
 * nothing, and where all are 0 the mean is. */
static int real_weights(struct gr_comm *comm) {
    enum { MEMBERS = 12, ELEMENTS = 5000 };
    int bad = 0;
    struct gr_layout layout = {0};
    struct gr_aggregator *aggregator = NULL;
    struct gr_contribution mine[MEMBERS];
    _Alignas(
        64) static float update[MEMBERS][(ELEMENTS + 127) / 64 * 64]; /* padded, as a layout is */
    _Alignas(64) static float mean[ELEMENTS + 64], first[ELEMENTS];
    size_t elements = ELEMENTS;
    uint64_t examples;
    EXPECT(gr_layout_append(&layout, "only", 1, &elements) == GR_OK);
    EXPECT(gr_aggregator_create(comm, &layout, GR_ENCODING_RING64, &aggregator) == GR_OK);
    for (int i = 0; i < MEMBERS; i++)
        for (int j = 0; j < ELEMENTS; j++)
            update[i][j] = (float)((i * 31 + j * 17) % 101 - 50) / 64.0f;
    for (int turn = 0; turn < 3; turn++) {
        const double scale = turn == 2 ? 0 : 1;
        size_t n = 0;
        for (int i = 0; i < MEMBERS; i++)
            if ((turn ? i * 5 : i) % gr_comm_size(comm) == gr_comm_rank(comm))
                mine[n++] = (struct gr_contribution){.update = update[i],
                                                     .examples = 3,
                                                     .weight = i == 4 ? 0 : scale * 100 * exp(-i),
                                                     .pseudonym = "silo"};
        EXPECT(gr_aggregate(aggregator, mine, n, MEMBERS, mean, &examples) == GR_OK);
        EXPECT_EQUAL(examples, 3 * MEMBERS);
        if (turn == 0) memcpy(first, mean, sizeof first);
        EXPECT(turn == 2 || memcmp(first, mean, sizeof first) == 0);
        for (int j = 0; j < ELEMENTS; j++) {
            long double sum = 0, total = 0;
            for (int i = 0; i < MEMBERS; i++) {
                const float weight = i == 4 ? 0 : (float)(scale * 100 * exp(-i));
                sum += (long double)weight * (long double)update[i][j];
                total += (long double)weight;
            }
            const double expected = total > 0 ? (double)(sum / total) : 0;
            EXPECT(fabs((double)mean[j] - expected) <= 6e-8 * fabs(expected) + 1e-15);
        }
    }
    gr_aggregator_free(aggregator);
    gr_layout_release(&layout);
    return bad;
}

/* Many members leave few bits: a mean of FLT_MAX must not become infinite. */
static int many_members(struct gr_comm *comm) {
    enum { MEMBERS = 1000 };
    int bad = 0;
    struct gr_layout layout = {0};
    struct gr_aggregator *aggregator = NULL;
    static struct gr_contribution mine[MEMBERS];
    float update[16], mean[16];
    size_t n = 0, elements = 16;
    uint64_t total;
    EXPECT(gr_layout_append(&layout, "only", 1, &elements) == GR_OK);
    for (int i = 0; i < 16; i++)
        update[i] = i % 2 ? -FLT_MAX : FLT_MAX;
    for (int i = 0; i < MEMBERS; i++)
        if (i % gr_comm_size(comm) == gr_comm_rank(comm))
            mine[n++] = (struct gr_contribution){
                .update = update, .examples = 1, .weight = 1, .pseudonym = "silo"};
    EXPECT(gr_aggregator_create(comm, &layout, GR_ENCODING_RING32, &aggregator) == GR_OK);
    EXPECT(gr_aggregate(aggregator, mine, n, MEMBERS, mean, &total) == GR_OK);
    EXPECT_EQUAL(total, MEMBERS);
    for (int i = 0; i < 16; i++)
        EXPECT(fabsf(mean[i]) > FLT_MAX * 0.999F && isfinite(mean[i]) &&
               (signbit(mean[i]) != 0) == (i % 2 != 0));
    gr_aggregator_free(aggregator);
    gr_layout_release(&layout);
    return bad;
}

/* A total that all hold is decoded after a change of the membership, to the same bits; once. */
static int total_outlives_an_epoch(struct gr_comm *comm) {
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING32, GR_ENCODING_RING64,
                                                 GR_ENCODING_FLOAT32};
    int bad = 0;
    struct sum sum;
    struct gr_roster roster;
    float *later = NULL;
    bad += sum_create(&sum, SILOS, 70001);
    place(&sum, gr_comm_size(comm), 2);
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    EXPECT(gr_allocate(sum.layout.size, sizeof(float), "a mean", &later) == GR_OK);
    for (size_t e = 0; e < sizeof encodings / sizeof *encodings; e++) {
        struct gr_aggregator *aggregator = NULL;
        const uint32_t epoch = gr_comm_epoch(comm);
        uint64_t total = 0;
        EXPECT(gr_aggregator_create(comm, &sum.layout, encodings[e], &aggregator) == GR_OK);
        EXPECT(run(comm, aggregator, &sum, false) == GR_OK);
        EXPECT(!gr_aggregate_holds(aggregator));
        bad += sum_total(comm, aggregator, &sum);
        gr_control_at(comm, 1, GR_PHASE_SEALED);
        EXPECT(gr_control_recover(comm, &roster) == GR_OK);
        EXPECT(gr_comm_epoch(comm) > epoch && roster.phase == GR_PHASE_SEALED);
        EXPECT(gr_aggregate_holds(aggregator));
        /* Any range that begins at a block. */
        gr_aggregate_decode(aggregator, 0, GR_RING_BLOCK, later + GR_RING_BLOCK,
                            sum.layout.size - GR_RING_BLOCK);
        gr_aggregate_decode(aggregator, 0, 0, later, GR_RING_BLOCK);
        EXPECT(memcmp(later, sum.mean, sum.layout.size * sizeof *later) == 0);
        for (size_t s = 0; s < sum.n_silos; s++)
            total += sum.weight[s];
        EXPECT_EQUAL(gr_aggregate_examples(aggregator), total);
        gr_aggregate_forget(aggregator);
        EXPECT(!gr_aggregate_holds(aggregator));
        gr_aggregator_free(aggregator);
    }
    gr_free(later);
    gr_roster_release(&roster);
    sum_release(&sum);
    return bad;
}

/* ---- refusals ------------------------------------------------------------------------------- */

static int not_finite(struct gr_comm *found) {
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38F};
    int bad = 0;
    struct sum sum;
    char expected[128];
    bad += sum_create(&sum, SILOS, 70001);
    place(&sum, gr_comm_size(found), 2);
    compute_reference(&sum);
    for (uint32_t group = 0; group < 3; group++) {
        struct gr_comm_options options = {.ranks_per_node = group};
        struct gr_comm *comm = NULL;
        struct gr_aggregator *aggregator = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        EXPECT(gr_aggregator_create(comm, &sum.layout, GR_ENCODING_RING32, &aggregator) == GR_OK);
        for (size_t i = 0; i < SILOS; i++) {
            const struct gr_tensor *tensor = &sum.layout.tensors[i % sum.layout.n_tensors];
            size_t at = tensor->offset + i * 577 % tensor->n_elements;
            float kept = sum.update[i][at];
            sum.update[i][at] = values[i % 4];
            if (sum.weight[i] < 3) sum.update[i][at] = NAN;
            EXPECT_EQUAL(run(comm, aggregator, &sum, false), GR_ERROR_DATA);
            snprintf(expected, sizeof expected, "silo-%02zu: update of %s, element %zu:", i,
                     tensor->name, at - tensor->offset);
            EXPECT(strncmp(gr_message(), expected, strlen(expected)) == 0 && same_message());
            sum.update[i][at] = kept;
            EXPECT(run(comm, aggregator, &sum, false) == GR_OK);
            EXPECT(as_expected(&sum));
        }
        gr_aggregator_free(aggregator);
        gr_comm_free(comm);
    }
    sum_release(&sum);
    return bad;
}

static int callers_errors(struct gr_comm *comm) {
    static const uint64_t weights[] = {UINT64_C(1) << 61, UINT64_MAX};
    int bad = 0;
    struct sum sum;
    struct gr_aggregator *aggregator = NULL;
    uint64_t total;
    bad += sum_create(&sum, 3, 100);
    place(&sum, gr_comm_size(comm), 1);
    compute_reference(&sum);
    EXPECT(gr_aggregator_create(comm, &sum.layout, GR_ENCODING_RING32, &aggregator) == GR_OK);
    EXPECT_EQUAL(gr_aggregate(aggregator, NULL, 0, 0, sum.mean, &total), GR_ERROR_INTERNAL);
    EXPECT(same_message());
    EXPECT_EQUAL(gr_aggregate(aggregator, NULL, 0, 1, sum.mean, &total), GR_ERROR_INTERNAL);
    EXPECT(same_message());
    for (size_t i = 0; i < 2; i++) {
        uint64_t kept = sum.weight[1];
        sum.weight[1] = weights[i];
        EXPECT_EQUAL(run(comm, aggregator, &sum, false), GR_ERROR_INTERNAL);
        EXPECT(strstr(gr_message(), "silo-01: weight") && same_message());
        sum.weight[1] = kept;
    }
    sum.weight[1] = 1 << 24;
    compute_reference(&sum);
    EXPECT(run(comm, aggregator, &sum, false) == GR_OK);
    EXPECT(as_expected(&sum));
    gr_aggregator_free(aggregator);
    sum_release(&sum);
    return bad;
}

/* Silos of more rows than float32 tells apart, against the mean in long double of weights as
 * float32 rounds them: the same above the line and below it. */
static int heavy_silos(struct gr_comm *comm) {
    /* All rounded down by 2^-24 of them, which is more than the mean's own rounding; and large. */
    static const uint64_t weights[2][3] = {{(1 << 24) + 1, (1 << 24) + 1, (1 << 24) + 1},
                                           {(1 << 24) + 1, ((uint64_t)1 << 40) - 1, (1 << 26) + 3}};
    int bad = 0;
    struct sum sum;
    struct gr_aggregator *aggregator = NULL;
    uint64_t total = 0;
    bad += sum_create(&sum, 3, 100);
    place(&sum, gr_comm_size(comm), 1);
    EXPECT(gr_aggregator_create(comm, &sum.layout, GR_ENCODING_RING64, &aggregator) == GR_OK);
    for (size_t set = 0; set < 2; set++) {
        struct gr_contribution mine[3];
        size_t n_mine = 0;
        for (size_t s = 0; s < 3; s++)
            if (sum.host_of[s] == gr_comm_rank(comm))
                mine[n_mine++] = (struct gr_contribution){.update = sum.update[s],
                                                          .examples = weights[set][s],
                                                          .weight = (double)weights[set][s],
                                                          .pseudonym = sum.pseudonym[s]};
        EXPECT(gr_aggregate(aggregator, mine, n_mine, 3, sum.mean, &total) == GR_OK);
        /* Rows are told as they are. */
        EXPECT_EQUAL(total, weights[set][0] + weights[set][1] + weights[set][2]);
        for (size_t i = 0; i < sum.layout.size; i++) {
            long double above = 0, below = 0;
            for (size_t s = 0; s < 3; s++) {
                const long double weight = (long double)(float)weights[set][s];
                above += weight * (long double)sum.update[s][i];
                below += weight;
            }
            EXPECT(fabsl((long double)sum.mean[i] - above / below) <=
                   fabsl(above / below) * 0x1p-24L + 1e-30L);
        }
    }
    gr_aggregator_free(aggregator);
    sum_release(&sum);
    return bad;
}

/* ---- floats --------------------------------------------------------------------------------- */

static int floats(struct gr_comm *found) {
    int bad = 0;
    struct sum sum;
    bad += sum_create(&sum, SILOS, 70001);
    compute_reference(&sum);
    for (uint32_t group = 0; group < 3; group++) {
        struct gr_comm_options options = {.ranks_per_node = group};
        struct gr_comm *comm = NULL;
        struct gr_aggregator *aggregator = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        EXPECT(gr_aggregator_create(comm, &sum.layout, GR_ENCODING_FLOAT32, &aggregator) == GR_OK);
        for (int way = 0; way < 5; way++) {
            place(&sum, gr_comm_size(found), way);
            EXPECT(run(comm, aggregator, &sum, false) == GR_OK);
            size_t wrong = 0;
            for (size_t i = 0; i < sum.layout.size; i++) {
                long double scale = 0;
                for (size_t s = 0; s < SILOS; s++)
                    scale += fabsl((long double)product(&sum, s, i));
                long double error = fabsl((long double)sum.mean[i] - sum.exact[i]);
                uint64_t total = 0;
                for (size_t s = 0; s < SILOS; s++)
                    total += sum.weight[s];
                if (!(error <= scale / (long double)total * SILOS * 0x1.1p-24L)) wrong++;
            }
            EXPECT_EQUAL(wrong, 0);
        }
        /* A sum that leaves float32, far from the beginning. */
        float kept[SILOS];
        size_t at = sum.layout.tensors[2].offset + 5;
        for (size_t s = 0; s < SILOS; s++) {
            kept[s] = sum.update[s][at];
            sum.update[s][at] = FLT_MAX / (float)sum.weight[s] * 0.999F;
        }
        EXPECT_EQUAL(run(comm, aggregator, &sum, false), GR_ERROR_DATA);
        EXPECT(strstr(gr_message(), "sum of updates of third") && same_message());
        for (size_t s = 0; s < SILOS; s++)
            sum.update[s][at] = kept[s];
        EXPECT(run(comm, aggregator, &sum, false) == GR_OK);
        gr_aggregator_free(aggregator);
        gr_comm_free(comm);
    }
    sum_release(&sum);
    return bad;
}

/* Two vectors in one sum are what two sums make of them. */
static int two_vectors(struct gr_comm *comm) {
    static const size_t sizes[] = {1, GR_RING_BLOCK, GR_RING_BLOCK + 5, 140001};
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING64, GR_ENCODING_RING32,
                                                 GR_ENCODING_FLOAT32};
    enum { MEMBERS = 4 };
    int bad = 0;
    for (size_t c = 0; c < sizeof sizes / sizeof *sizes * 3; c++) {
        const size_t size = sizes[c / 3];
        const struct gr_aggregator_options options = {
            .encoding = encodings[c % 3], .n_vectors = 2, .steps = true};
        struct gr_aggregator *both = NULL, *alone = NULL;
        struct gr_layout layout = {0};
        struct gr_contribution mine[MEMBERS], one[MEMBERS];
        float *vector[MEMBERS][2], *mean, *expected;
        uint64_t examples;
        size_t n = 0;
        EXPECT(gr_layout_append(&layout, "all", 1, &size) == GR_OK);
        EXPECT(gr_allocate(2 * layout.size, sizeof *mean, "means", &mean) == GR_OK);
        EXPECT(gr_allocate(layout.size, sizeof *mean, "mean", &expected) == GR_OK);
        for (size_t s = 0; s < MEMBERS; s++)
            for (size_t v = 0; v < 2; v++) {
                EXPECT(gr_allocate_zero(layout.size, sizeof(float), "v", &vector[s][v]) == GR_OK);
                for (size_t i = 0; i < size; i++)
                    vector[s][v][i] = (float)(sin((double)(i + 7 * s)) * (v ? 1e-20 : 3));
            }
        for (size_t s = 0; s < MEMBERS; s++)
            if ((int)s % gr_comm_size(comm) == gr_comm_rank(comm))
                mine[n++] = (struct gr_contribution){.vector = {vector[s][0], vector[s][1]},
                                                     .weight = (double)s + 1,
                                                     .steps = (double)(10 * s),
                                                     .pseudonym = "silo"};
        EXPECT(gr_aggregator_create_with(comm, &layout, &options, &both) == GR_OK);
        EXPECT(gr_aggregator_create(comm, &layout, options.encoding, &alone) == GR_OK);
        EXPECT(gr_aggregate(both, mine, n, MEMBERS, mean, &examples) == GR_OK);
        EXPECT(gr_aggregate_steps(both) == 20); /* (0 + 20 + 60 + 120) / 10 */
        for (size_t v = 0; v < 2; v++) {
            for (size_t i = 0; i < n; i++) {
                one[i] = mine[i];
                one[i].update = mine[i].vector[v];
            }
            EXPECT(gr_aggregate(alone, one, n, MEMBERS, expected, &examples) == GR_OK);
            EXPECT(memcmp(mean + v * layout.size, expected, size * sizeof *mean) == 0);
        }
        gr_aggregator_free(alone);
        gr_aggregator_free(both);
        for (size_t s = 0; s < MEMBERS; s++)
            for (size_t v = 0; v < 2; v++)
                gr_free(vector[s][v]);
        gr_free(expected);
        gr_free(mean);
        gr_layout_release(&layout);
    }
    return bad;
}

static int print_digest(int argc, char **argv) {
    struct gr_comm_options options = {0};
    struct gr_comm *comm = NULL;
    struct gr_aggregator *aggregator = NULL;
    struct sum sum;
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    int bad = 0, provided;
    if (argc > 2) options.ranks_per_node = (uint32_t)strtoul(argv[2], NULL, 10);
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    EXPECT(gr_base_start() == GR_OK);
    EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
    bad += sum_create(&sum, SILOS, 70001);
    place(&sum, gr_comm_size(comm), 2);
    EXPECT(gr_aggregator_create(comm, &sum.layout, GR_ENCODING_RING32, &aggregator) == GR_OK);
    EXPECT(run(comm, aggregator, &sum, false) == GR_OK);
    gr_digest_of(sum.mean, sum.layout.size * sizeof(float), digest);
    gr_digest_hex(digest, hex);
    if (gr_comm_rank(comm) == 0) printf("%s\n", hex);
    gr_aggregator_free(aggregator);
    sum_release(&sum);
    gr_comm_free(comm);
    MPI_Finalize();
    return bad != 0;
}

int main(int argc, char **argv) {
    static const struct parallel_case cases[] = {
        {"any placement", any_placement},
        {"any way", any_way},
        {"any size", any_size},
        {"extreme values", extreme_values},
        {"many members", many_members},
        {"real weights", real_weights},
        {"not finite", not_finite},
        {"callers' errors", callers_errors},
        {"heavy silos", heavy_silos},
        {"floats", floats},
        {"total outlives an epoch", total_outlives_an_epoch},
        {"two vectors", two_vectors},
    };
    if (argc > 1 && strcmp(argv[1], "digest") == 0) return print_digest(argc, argv);
    return parallel_run(argc, argv, cases, sizeof cases / sizeof *cases);
}
