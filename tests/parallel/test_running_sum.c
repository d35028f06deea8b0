/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contributions that are added as they come give the total that their vectors give side by side, to
 * the bit: in all encodings of a word an element, on both grids, with and without a stage, wherever
 * silos are. The reference is gr_aggregate over the vectors themselves, which test_ring holds
 * against sums in exact integers. Values rise and fall from sum to sum and silo to silo by powers
 * of two, so that the grid is the expected one, near it, and far from it.
 *
 * ranks: 1 2 3 5
 */
#include <math.h>
#include <stdlib.h>

#include "parallel.h"

enum { SILOS = 60, SUMS = 6, CASES = 6, VECTORS = 2 };

static const size_t elements = 3 * GR_RING_BLOCK + 700;

static const struct {
    enum gr_encoding encoding;
    size_t n_vectors;
    double clip_norm; /* of a public grid */
    bool staged;
} sums_of[CASES] = {
    {GR_ENCODING_RING32, 1, 0, false},       {GR_ENCODING_RING32, VECTORS, 0, true},
    {GR_ENCODING_RING64, VECTORS, 0, false}, {GR_ENCODING_FLOAT32, 1, 0, false},
    {GR_ENCODING_RING32, 1, 40, true},       {GR_ENCODING_RING64, 1, 40, false},
};

/*
 * Powers of two of a silo's values, by sum: alike; a little more, a little less; with one silo that
 * is far above all others and comes late; with silos far below; and back.
 */
static int power_of(int sum, uint32_t silo) {
    switch (sum) {
    case 0:
        return 0;
    case 1:
        return (int)(silo % 3) - 1;
    case 2:
        return -1;
    case 3:
        return silo == SILOS - 1 ? 25 : -2;
    case 4:
        return -20 - (int)(silo % 7);
    default:
        return 1;
    }
}

/* Block 0 is of ordinary values, block 1 zero in all silos, block 2 in all but the last, block 3
 * has numbers below the normal ones. */
static float value_of(int sum, uint32_t silo, size_t v, size_t i) {
    const size_t block = i / GR_RING_BLOCK;
    if (i >= elements || block == 1 || (block == 2 && silo < SILOS - 2)) return 0;
    const uint32_t number = ((uint32_t)i * 2654435761U + silo * 40503U + (uint32_t)v) * 2246822519U;
    const double ordinary = ((double)number * 0x1p-31 - 1) * ldexp(1, power_of(sum, silo));
    return (float)(block == 3 ? ordinary * 0x1p-130 : ordinary);
}

static double weight_of(uint32_t silo) {
    return silo % 11 == 0 ? 1000.5 : 3.5 + silo;
}

struct source {
    struct gr_aggregator *aggregator;
    int sum, times;
    size_t n_vectors, size, n;
    bool staged;
    struct gr_contribution *mine;
    float *vector[VECTORS];
    bool differs; /* the second time */
    bool lost;    /* idem: it ends early, as where another rank dies */
};

/* One silo's vectors, in the memory of all the others' before it. */
static void make(struct source *source, struct gr_contribution *to) {
    for (size_t v = 0; v < source->n_vectors; v++) {
        for (size_t i = 0; i < source->size; i++)
            source->vector[v][i] = value_of(source->sum, to->silo, v, i);
        to->vector[v] = source->vector[v];
    }
}

static gr_status again(void *context) {
    struct source *source = context;
    gr_status status = GR_OK;
    source->times++;
    for (size_t c = 0; c < source->n && status == GR_OK; c++) {
        if (source->lost && source->times == 1 && c == SILOS - 1) return GR_LOST;
        make(source, &source->mine[c]);
        if (source->differs) source->vector[0][5] = 0x1p40F;
        status = gr_aggregate_add(source->aggregator, &source->mine[c], 0);
    }
    return status;
}

/* Adds to each word what depends on its place alone. */
static void apply(void *context, struct gr_stage_key key, void *words, size_t width, size_t n) {
    (void)context;
    for (size_t i = 0; i < n && !key.riders; i++) {
        uint64_t word = 0;
        memcpy(&word, (char *)words + i * width, width);
        word += key.at + i + 3;
        memcpy((char *)words + i * width, &word, width);
    }
}

static void leave(void *context, struct gr_stage_key key, void *words, size_t width, size_t n) {
    (void)context, (void)key, (void)words, (void)width, (void)n;
}

static gr_status create(struct gr_comm *comm, const struct gr_layout *layout, int c,
                        struct gr_aggregator **out) {
    const struct gr_aggregator_options options = {
        .encoding = sums_of[c].encoding,
        .grid = {.clip_norm = sums_of[c].clip_norm, .weight_max = 1000, .n_selected = SILOS},
        .stage = {.apply = sums_of[c].staged ? apply : NULL},
        .n_vectors = sums_of[c].n_vectors};
    return gr_aggregator_create_with(comm, layout, &options, out);
}

static bool is_here(const struct gr_comm *comm, uint32_t silo) {
    return (int)silo % gr_comm_size(comm) == gr_comm_rank(comm);
}

/* mean: all vectors, one behind the other. */
static gr_status decode(struct gr_comm *comm, const struct source *source, float *mean) {
    gr_status status = gr_comm_agree(comm, GR_OK);
    if (status == GR_OK && source->staged)
        status = gr_aggregate_unstage(source->aggregator, &(struct gr_stage){.apply = leave});
    for (size_t v = 0; v < source->n_vectors && status == GR_OK; v++)
        gr_aggregate_decode(source->aggregator, v, 0, mean + v * source->size, source->size);
    return status;
}

/* The sum with all vectors at hand. */
static gr_status add_side_by_side(struct gr_comm *comm, struct source *source, float *mean) {
    gr_status status = GR_OK;
    float *rows = NULL;
    const size_t n = source->n_vectors * source->size;
    GR_TRY(gr_allocate(source->n * n, sizeof *rows, "vectors", &rows));
    for (size_t c = 0; c < source->n; c++) {
        make(source, &source->mine[c]);
        for (size_t v = 0; v < source->n_vectors; v++) {
            float *row = rows + c * n + v * source->size;
            memcpy(row, source->vector[v], source->size * sizeof *row);
            source->mine[c].vector[v] = row;
        }
    }
    gr_aggregate_begin(source->aggregator, 0, (struct gr_source){0});
    GR_TRY(gr_aggregate_total(source->aggregator, source->mine, source->n, SILOS));
    status = decode(comm, source, mean);
out:
    gr_free(rows);
    return status;
}

/* The same one after the other, each in the memory of the one before. */
static gr_status add_running(struct gr_comm *comm, struct source *source, uint32_t n_expected,
                             float *mean) {
    gr_status status = GR_OK;
    gr_aggregate_begin(source->aggregator, n_expected, (struct gr_source){again, source});
    for (size_t c = 0; c < source->n; c++) {
        make(source, &source->mine[c]);
        GR_TRY(gr_aggregate_add(source->aggregator, &source->mine[c], 0));
        if (source->mine[c].vector[0]) return GR_ERROR_INTERNAL;
    }
    GR_TRY(gr_aggregate_total(source->aggregator, source->mine, source->n, SILOS));
    status = decode(comm, source, mean);
out:
    return status;
}

static int source_create(struct gr_comm *comm, const struct gr_layout *layout, int c,
                         struct source *source) {
    int bad = 0;
    *source = (struct source){
        .n_vectors = sums_of[c].n_vectors, .size = layout->size, .staged = sums_of[c].staged};
    EXPECT(gr_allocate_zero(SILOS, sizeof *source->mine, "contributions", &source->mine) == GR_OK);
    for (size_t v = 0; v < VECTORS; v++)
        EXPECT(gr_allocate(layout->size, sizeof(float), "a vector", &source->vector[v]) == GR_OK);
    for (uint32_t s = 0; s < SILOS; s++)
        if (is_here(comm, s))
            source->mine[source->n++] = (struct gr_contribution){
                .silo = s, .examples = 10, .weight = weight_of(s), .pseudonym = "silo"};
    EXPECT(create(comm, layout, c, &source->aggregator) == GR_OK);
    return bad;
}

static void source_release(struct source *source) {
    gr_aggregator_free(source->aggregator);
    gr_free(source->mine);
    for (size_t v = 0; v < VECTORS; v++)
        gr_free(source->vector[v]);
}

static int same_bits(struct gr_comm *comm) {
    int bad = 0;
    struct gr_layout layout = {0};
    float *mean = NULL, *expected = NULL;
    EXPECT(gr_layout_append(&layout, "all", 1, &elements) == GR_OK);
    EXPECT(gr_allocate(VECTORS * layout.size, sizeof *mean, "mean", &mean) == GR_OK);
    EXPECT(gr_allocate(VECTORS * layout.size, sizeof *mean, "mean", &expected) == GR_OK);
    for (int c = 0; c < CASES; c++) {
        struct source one, other;
        bad += source_create(comm, &layout, c, &one);
        bad += source_create(comm, &layout, c, &other);
        for (int sum = 0; sum < SUMS; sum++) {
            one.sum = other.sum = sum;
            EXPECT(add_side_by_side(comm, &one, expected) == GR_OK);
            /* More were expected than came, as when silos are lost. */
            EXPECT(add_running(comm, &other, sum == 2 ? SILOS + 40 : SILOS, mean) == GR_OK);
            EXPECT(memcmp(mean, expected, one.n_vectors * layout.size * sizeof *mean) == 0);
            /* A sum of the same contributions once more, as after a loss elsewhere. */
            EXPECT(gr_aggregate_total(other.aggregator, other.mine, other.n, SILOS) == GR_OK);
            EXPECT(decode(comm, &other, mean) == GR_OK);
            EXPECT(memcmp(mean, expected, one.n_vectors * layout.size * sizeof *mean) == 0);
        }
        const bool known = sums_of[c].encoding == GR_ENCODING_FLOAT32 || sums_of[c].clip_norm > 0;
        /* Where one silo is far above all others, and where all are far below. */
        EXPECT(known || other.n < gr_aggregate_many(other.aggregator) || other.times >= 2);
        EXPECT(known ? other.times == 0 : other.times <= 3);
        source_release(&one);
        source_release(&other);
    }
    gr_free(mean);
    gr_free(expected);
    gr_layout_release(&layout);
    return bad;
}

/* A value that must not enter a sum is refused as it comes, and the sum goes on without it. */
static int refused_as_it_comes(struct gr_comm *comm) {
    int bad = 0;
    struct gr_layout layout = {0};
    struct source source;
    float mean[8];
    EXPECT(gr_layout_append(&layout, "weights", 1, &elements) == GR_OK);
    bad += source_create(comm, &layout, 0, &source);
    gr_aggregate_begin(source.aggregator, SILOS, (struct gr_source){again, &source});
    make(&source, &source.mine[0]);
    source.vector[0][2 * GR_RING_BLOCK + 9] = INFINITY;
    EXPECT(gr_aggregate_add(source.aggregator, &source.mine[0], 0) == GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "silo: update of weights, element 8201") != NULL);
    EXPECT(source.mine[0].vector[0] == source.vector[0]);
    for (size_t c = 0; c < source.n; c++) {
        make(&source, &source.mine[c]);
        EXPECT(gr_aggregate_add(source.aggregator, &source.mine[c], 0) == GR_OK);
    }
    /* Not all that were added: an error of the caller, on all ranks. */
    EXPECT(gr_aggregate_total(source.aggregator, source.mine, source.n - 1,
                              SILOS - (uint32_t)gr_comm_size(comm)) == GR_ERROR_INTERNAL);
    EXPECT(gr_aggregate_total(source.aggregator, source.mine, source.n, SILOS) == GR_OK);
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    gr_aggregate_decode(source.aggregator, 0, 0, mean, 8);
    source_release(&source);
    gr_layout_release(&layout);
    return bad;
}

/* What is made once more and differs is no contribution to the same sum. */
static int differs_once_more(struct gr_comm *found) {
    int bad = 0;
    struct gr_layout layout = {0};
    struct source source;
    struct gr_comm *comm = NULL;
    float *mean = NULL;
    (void)found;
    EXPECT(gr_comm_create(MPI_COMM_SELF, &(struct gr_comm_options){0}, &comm) == GR_OK);
    EXPECT(gr_layout_append(&layout, "weights", 1, &elements) == GR_OK);
    EXPECT(gr_allocate(layout.size, sizeof *mean, "mean", &mean) == GR_OK);
    bad += source_create(comm, &layout, 0, &source);
    source.sum = 3;
    source.differs = true;
    EXPECT(add_running(comm, &source, SILOS, mean) == GR_ERROR_INTERNAL);
    EXPECT_EQUAL(source.times, 1);
    EXPECT(strstr(gr_message(), "once more") != NULL);
    gr_free(mean);
    source_release(&source);
    gr_layout_release(&layout);
    gr_comm_free(comm);
    return bad;
}

/* A loss elsewhere while contributions are made once more: the sum that follows makes them. */
static int lost_meanwhile(struct gr_comm *found) {
    int bad = 0;
    struct gr_layout layout = {0};
    struct source one, other;
    struct gr_comm *comm = NULL;
    float *mean = NULL, *expected = NULL;
    (void)found;
    EXPECT(gr_comm_create(MPI_COMM_SELF, &(struct gr_comm_options){0}, &comm) == GR_OK);
    EXPECT(gr_layout_append(&layout, "weights", 1, &elements) == GR_OK);
    EXPECT(gr_allocate(layout.size, sizeof *mean, "mean", &mean) == GR_OK);
    EXPECT(gr_allocate(layout.size, sizeof *mean, "mean", &expected) == GR_OK);
    bad += source_create(comm, &layout, 0, &one);
    bad += source_create(comm, &layout, 0, &other);
    one.sum = other.sum = 3;
    other.lost = true;
    EXPECT(add_side_by_side(comm, &one, expected) == GR_OK);
    EXPECT(add_running(comm, &other, SILOS, mean) == GR_LOST);
    EXPECT(gr_aggregate_total(other.aggregator, other.mine, other.n, SILOS) == GR_OK);
    EXPECT_EQUAL(other.times, 2);
    EXPECT(decode(comm, &other, mean) == GR_OK);
    EXPECT(memcmp(mean, expected, layout.size * sizeof *mean) == 0);
    gr_free(mean);
    gr_free(expected);
    source_release(&one);
    source_release(&other);
    gr_layout_release(&layout);
    gr_comm_free(comm);
    return bad;
}

static int not_where_vectors_are_needed(struct gr_comm *comm) {
    int bad = 0;
    struct gr_layout layout = {0};
    struct gr_aggregator *aggregator = NULL;
    struct gr_contribution one = {.weight = 1, .pseudonym = "silo"};
    EXPECT(gr_layout_append(&layout, "weights", 1, &elements) == GR_OK);
    EXPECT(gr_aggregator_create(comm, &layout, GR_ENCODING_RING16, &aggregator) == GR_OK);
    EXPECT(gr_aggregate_many(aggregator) == SIZE_MAX);
    EXPECT(gr_aggregate_add(aggregator, &one, 0) == GR_ERROR_INTERNAL);
    gr_aggregator_free(aggregator);
    gr_layout_release(&layout);
    return bad;
}

PARALLEL_MAIN({"same bits", same_bits}, {"refused as it comes", refused_as_it_comes},
              {"differs once more", differs_once_more}, {"lost meanwhile", lost_meanwhile},
              {"not where vectors are needed", not_where_vectors_are_needed})
