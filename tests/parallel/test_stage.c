/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stage between what a rank brings to a sum and all that others can read: masks that each two
 * ranks draw alike and with opposite signs cancel, a mask that each draws for itself is taken off
 * the total, and it is then that of a sum without a stage, to the bit, in all encodings of
 * integers, on both grids and wherever silos are; what is not taken off is what the total is off
 * by, in units that the key names. The stage sees each word of each rank once, in ascending order.
 *
 * ranks: 1 2 3 5
 */
#include <math.h>
#include <stdlib.h>

#include "parallel.h"

enum { SILOS = 6, VECTORS = 2, CASES = 5, RIDERS = 10 };

static const size_t elements = 2 * GR_RING_BLOCK + 4500;

static const struct {
    enum gr_encoding encoding;
    size_t n_vectors;
    double clip_norm; /* of a public grid */
} sums_of[CASES] = {{GR_ENCODING_RING32, VECTORS, 0},
                    {GR_ENCODING_RING64, VECTORS, 0},
                    {GR_ENCODING_RING16, VECTORS, 0},
                    {GR_ENCODING_RING32, 1, 0.75},
                    {GR_ENCODING_RING64, 1, 0.75}};

/* What the stage does, and what it has seen since it was last cleared. */
struct stage {
    uint32_t rank, ranks;
    bool lacks;    /* the mask of the first rank is not taken off */
    int64_t units; /* that rank 0 adds to the element at `at` */
    int64_t rows;  /* and to the first rider */
    size_t at;
    double unit; /* of that element's words */
    size_t n_riders, n_words, next;
    bool disordered;
};

static uint64_t word_at(const void *words, size_t width, size_t i) {
    uint64_t word = 0;
    memcpy(&word, (const char *)words + i * width, width);
    return word;
}

static void add_at(void *words, size_t width, size_t i, uint64_t more) {
    const uint64_t word = word_at(words, width, i) + more;
    memcpy((char *)words + i * width, &word, width);
}

/* Adds the stream of two ranks, or of one alone, or takes it off. */
static void add_stream(uint32_t a, uint32_t b, bool subtract, struct gr_stage_key key, void *words,
                       size_t width, size_t n) {
    static uint32_t numbers[2 * GR_RING_BLOCK];
    const struct gr_stream_key stream = {
        .seed = a * 100 + b, .silo = key.riders, .round = 1, .purpose = GR_PURPOSE_TEST};
    gr_stream_words(stream, (uint32_t)(key.at * width / 16), numbers, (n * width + 3) / 4);
    for (size_t i = 0; i < n; i++) {
        const uint64_t number = word_at(numbers, width, i);
        add_at(words, width, i, subtract ? 0 - number : number);
    }
}

/* Riders come first, then places in ascending order. */
static void see(struct stage *stage, struct gr_stage_key key, size_t n) {
    stage->disordered = stage->disordered || key.at < stage->next ||
                        (key.riders && stage->n_words > 0) || (!key.riders && stage->n_riders == 0);
    if (!key.riders) stage->next = key.at + n;
    *(key.riders ? &stage->n_riders : &stage->n_words) += n;
}

static void apply(void *context, struct gr_stage_key key, void *words, size_t width, size_t n) {
    struct stage *stage = context;
    see(stage, key, n);
    add_stream(stage->rank, stage->rank, false, key, words, width, n);
    for (uint32_t other = 0; other < stage->ranks; other++)
        if (other < stage->rank)
            add_stream(other, stage->rank, true, key, words, width, n);
        else if (other > stage->rank)
            add_stream(stage->rank, other, false, key, words, width, n);
    if (stage->rank != 0) return;
    if (key.riders) add_at(words, width, 0, (uint64_t)stage->rows);
    if (key.riders || key.at > stage->at || stage->at - key.at >= n) return;
    stage->unit = ldexp(1, key.exponent);
    add_at(words, width, stage->at - key.at, (uint64_t)stage->units);
}

static void take_off(void *context, struct gr_stage_key key, void *words, size_t width, size_t n) {
    const struct stage *stage = context;
    for (uint32_t rank = stage->lacks; rank < stage->ranks; rank++)
        add_stream(rank, rank, true, key, words, width, n);
}

/* ---- sums ----------------------------------------------------------------------------------- */

struct sums {
    struct gr_layout layout;
    size_t n; /* of a mean, all vectors */
    float *vector[SILOS][VECTORS], *left[SILOS][VECTORS];
    float *expected, *mean;
    float *expected_left[SILOS][VECTORS];
    uint64_t examples;
    double steps;
};

static double weight_of(uint32_t silo) {
    return 3.5 + silo;
}

static double weights(void) {
    double all = 0;
    for (uint32_t s = 0; s < SILOS; s++)
        all += weight_of(s);
    return all;
}

static int sums_create(struct sums *sums, size_t n_vectors) {
    int bad = 0;
    *sums = (struct sums){0};
    EXPECT(gr_layout_append(&sums->layout, "all", 1, &elements) == GR_OK);
    const size_t size = sums->layout.size;
    sums->n = size * n_vectors;
    EXPECT(gr_allocate_zero(sums->n, sizeof(float), "mean", &sums->mean) == GR_OK);
    EXPECT(gr_allocate_zero(sums->n, sizeof(float), "mean", &sums->expected) == GR_OK);
    for (uint32_t s = 0; s < SILOS; s++)
        for (size_t v = 0; v < VECTORS; v++) {
            EXPECT(gr_allocate_zero(size, sizeof(float), "vector", &sums->vector[s][v]) == GR_OK);
            EXPECT(gr_allocate_zero(size, sizeof(float), "left", &sums->left[s][v]) == GR_OK);
            EXPECT(gr_allocate_zero(size, 4, "left", &sums->expected_left[s][v]) == GR_OK);
            for (size_t i = 0; i < elements; i++) /* a block of zeros is among them */
                sums->vector[s][v][i] =
                    i / GR_RING_BLOCK == 1 && v == 0
                        ? 0
                        : (float)(sin((double)(i * (s + 3) + v)) * pow(10, -(double)v));
        }
    return bad;
}

static void sums_release(struct sums *sums) {
    for (uint32_t s = 0; s < SILOS; s++)
        for (size_t v = 0; v < VECTORS; v++) {
            gr_free(sums->vector[s][v]);
            gr_free(sums->left[s][v]);
            gr_free(sums->expected_left[s][v]);
        }
    gr_free(sums->mean);
    gr_free(sums->expected);
    gr_layout_release(&sums->layout);
}

static bool is_here(const struct gr_comm *comm, uint32_t silo, int shift) {
    return ((int)silo + shift) % gr_comm_size(comm) == gr_comm_rank(comm);
}

/* The sum of all silos, into sums->mean and what else comes of it. */
static gr_status add_up(struct gr_comm *comm, struct gr_aggregator *aggregator, struct sums *sums,
                        int shift, struct stage *stage) {
    struct gr_contribution mine[SILOS];
    size_t n = 0;
    const size_t n_vectors = sums->n / sums->layout.size;
    for (uint32_t s = 0; s < SILOS; s++) {
        if (!is_here(comm, s, shift)) continue;
        mine[n] = (struct gr_contribution){
            .silo = s,
            .examples = 100 + s,
            .weight = weight_of(s),
            .steps = 10 * s,
            .pseudonym = "silo",
            .rounding = {.seed = 7, .silo = s, .round = 1, .purpose = GR_PURPOSE_ROUNDING}};
        for (size_t v = 0; v < VECTORS; v++) {
            mine[n].vector[v] = sums->vector[s][v];
            mine[n].lefts[v] = sums->left[s][v];
        }
        n++;
    }
    gr_status status = gr_aggregate_total(aggregator, mine, n, SILOS);
    if (status == GR_OK) status = gr_comm_agree(comm, GR_OK);
    if (status == GR_OK && stage)
        status = (shift > 0 ? gr_aggregate_unstage : gr_aggregate_unstage_together)(
            aggregator, &(struct gr_stage){.apply = take_off, .context = stage});
    if (status != GR_OK) return status;
    for (size_t v = 0; v < n_vectors; v++)
        gr_aggregate_decode(aggregator, v, 0, sums->mean + v * sums->layout.size,
                            sums->layout.size);
    sums->examples = gr_aggregate_examples(aggregator);
    sums->steps = gr_aggregate_steps(aggregator);
    return GR_OK;
}

static gr_status create(struct gr_comm *comm, const struct sums *sums, int c, struct stage *stage,
                        struct gr_aggregator **out) {
    struct gr_aggregator_options options = {
        .encoding = sums_of[c].encoding,
        .grid = {.clip_norm = sums_of[c].clip_norm, .weight_max = 40, .n_selected = SILOS},
        .n_vectors = sums_of[c].n_vectors,
        .steps = true};
    if (stage) {
        options.stage = (struct gr_stage){.apply = apply, .context = stage};
        stage->rank = (uint32_t)gr_comm_rank(comm);
        stage->ranks = (uint32_t)gr_comm_size(comm);
        /* Of the last vector; each begins with a block. */
        const size_t span = (elements + GR_RING_BLOCK - 1) / GR_RING_BLOCK * GR_RING_BLOCK;
        stage->at = (sums_of[c].n_vectors - 1) * span + GR_RING_BLOCK + 700;
    }
    return gr_aggregator_create_with(comm, &sums->layout, &options, out);
}

/* Without a stage, on this rank alone: what all others are held against. */
static int expect(struct sums *sums, int c) {
    int bad = 0;
    struct gr_comm *self = NULL;
    struct gr_aggregator *aggregator = NULL;
    EXPECT(gr_comm_create(MPI_COMM_SELF, &(struct gr_comm_options){0}, &self) == GR_OK);
    EXPECT(create(self, sums, c, NULL, &aggregator) == GR_OK);
    EXPECT(add_up(self, aggregator, sums, 0, NULL) == GR_OK);
    memcpy(sums->expected, sums->mean, sums->n * sizeof(float));
    for (uint32_t s = 0; s < SILOS; s++)
        for (size_t v = 0; v < VECTORS; v++)
            memcpy(sums->expected_left[s][v], sums->left[s][v], sums->layout.size * sizeof(float));
    gr_aggregator_free(aggregator);
    gr_comm_free(self);
    return bad;
}

static int64_t differing(const struct sums *sums) {
    int64_t n = 0;
    for (size_t i = 0; i < sums->n; i++)
        n += memcmp(sums->mean + i, sums->expected + i, sizeof(float)) != 0;
    return n;
}

/* The total is that without a stage. */
static int unchanged(struct gr_comm *comm, const struct sums *sums, int shift) {
    int bad = 0;
    EXPECT_EQUAL(differing(sums), 0);
    EXPECT_EQUAL(sums->examples, SILOS * 100 + SILOS * (SILOS - 1) / 2);
    double steps = 0;
    for (uint32_t s = 0; s < SILOS; s++)
        steps += weight_of(s) * 10 * s;
    EXPECT(sums->steps == steps / weights());
    for (uint32_t s = 0; s < SILOS; s++)
        for (size_t v = 0; v < VECTORS; v++)
            EXPECT(!is_here(comm, s, shift) || memcmp(sums->left[s][v], sums->expected_left[s][v],
                                                      sums->layout.size * sizeof(float)) == 0);
    return bad;
}

/* Each word of this rank once; a vector that is followed by another ends in a block of its own. */
static int seen_all(struct stage *stage, const struct sums *sums) {
    int bad = 0;
    EXPECT(!stage->disordered);
    EXPECT_EQUAL(stage->n_riders, RIDERS);
    EXPECT_EQUAL(stage->n_words, sums->n);
    stage->n_riders = stage->n_words = stage->next = 0;
    return bad;
}

static int masks_cancel(struct gr_comm *found) {
    int bad = 0;
    (void)found;
    for (int c = 0; c < CASES; c++) {
        struct sums sums;
        bad += sums_create(&sums, sums_of[c].n_vectors);
        bad += expect(&sums, c);
        for (uint32_t group = 0; group < 3; group++) {
            const struct gr_comm_options options = {.ranks_per_node = group};
            struct gr_comm *comm = NULL;
            struct gr_aggregator *aggregator = NULL;
            struct stage stage = {0};
            EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
            EXPECT(create(comm, &sums, c, &stage, &aggregator) == GR_OK);
            for (int shift = 0; shift < 2; shift++) {
                EXPECT(add_up(comm, aggregator, &sums, shift, &stage) == GR_OK);
                bad += unchanged(comm, &sums, shift);
                bad += seen_all(&stage, &sums);
            }
            gr_aggregator_free(aggregator);
            gr_comm_free(comm);
        }
        sums_release(&sums);
    }
    return bad;
}

/* Units that one rank's stage adds: the mean of that element moves by them, and nothing else. */
static int what_stays_is_seen(struct gr_comm *comm) {
    int bad = 0;
    for (int c = 0; c < CASES; c++) {
        struct sums sums;
        struct gr_aggregator *aggregator = NULL;
        struct stage stage = {.units = -300, .rows = 7};
        double unit = 0;
        bad += sums_create(&sums, sums_of[c].n_vectors);
        bad += expect(&sums, c);
        EXPECT(create(comm, &sums, c, &stage, &aggregator) == GR_OK);
        EXPECT(add_up(comm, aggregator, &sums, 0, &stage) == GR_OK);
        EXPECT(MPI_Allreduce(&stage.unit, &unit, 1, MPI_DOUBLE, MPI_MAX, MPI_COMM_WORLD) == 0);
        const size_t at = sums.n - sums.layout.size + GR_RING_BLOCK + 700;
        const double moved = (double)sums.mean[at] - (double)sums.expected[at];
        const double step = (double)stage.units * unit / weights();
        const double size = fabs((double)sums.expected[at]) + fabs((double)sums.mean[at]);
        EXPECT(unit > 0 && fabs(moved - step) <= 0x1p-24 * size); /* both are rounded to floats */
        EXPECT(differing(&sums) == (moved != 0));                 /* ring64's are below a float */
        EXPECT(moved != 0 || sums_of[c].encoding == GR_ENCODING_RING64);
        EXPECT_EQUAL(sums.examples, SILOS * 100 + SILOS * (SILOS - 1) / 2 + 7);
        gr_aggregator_free(aggregator);
        sums_release(&sums);
    }
    return bad;
}

/* One mask that is still there: nothing of the total is left, and it is said. */
static int a_mask_stays(struct gr_comm *comm) {
    int bad = 0;
    for (int c = 0; c < CASES; c++) {
        struct sums sums;
        struct gr_aggregator *aggregator = NULL;
        struct stage stage = {.lacks = true};
        bad += sums_create(&sums, sums_of[c].n_vectors);
        EXPECT(create(comm, &sums, c, &stage, &aggregator) == GR_OK);
        EXPECT_EQUAL(add_up(comm, aggregator, &sums, 0, &stage), GR_ERROR_INTERNAL);
        EXPECT(strstr(gr_message(), "of a sum that are none") != NULL);
        gr_aggregator_free(aggregator);
        sums_release(&sums);
    }
    return bad;
}

static int only_integers(struct gr_comm *comm) {
    int bad = 0;
    const size_t one = 1;
    struct gr_layout layout = {0};
    struct gr_aggregator *aggregator = NULL;
    struct stage stage = {0};
    EXPECT(gr_layout_append(&layout, "all", 1, &one) == GR_OK);
    struct gr_aggregator_options options = {.encoding = GR_ENCODING_FLOAT32,
                                            .stage = {.apply = apply, .context = &stage}};
    EXPECT_EQUAL(gr_aggregator_create_with(comm, &layout, &options, &aggregator),
                 GR_ERROR_INTERNAL);
    options.encoding = GR_ENCODING_RING32;
    options.combination.combine = gr_strategy_find("median")->combine;
    EXPECT_EQUAL(gr_aggregator_create_with(comm, &layout, &options, &aggregator),
                 GR_ERROR_INTERNAL);
    EXPECT(aggregator == NULL);
    gr_layout_release(&layout);
    return bad;
}

PARALLEL_MAIN({"masks cancel", masks_cancel}, {"what stays is seen", what_stays_is_seen},
              {"a mask stays", a_mask_stays}, {"only integers", only_integers})
