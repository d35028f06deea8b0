/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums on a public grid: means within the bound that the grid's definition gives of those in long
 * double, of updates that are cut to clip_norm and weights that are capped; the same bits wherever
 * silos are; integers whose norm is at most what clip_norm and weight_max allow, recovered from the
 * mean; what must not enter; and room for noise that stages add.
 *
 * ranks: 1 2 3 5
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "parallel.h"

enum { SILOS = 6, SELECTED = 8, SIZES = 4 };

static const size_t sizes[SIZES] = {1, GR_RING_BLOCK + 3, 60000, 140001};
static const double clip = 0.75, weight_max = 40;

struct sum {
    struct gr_layout layout;
    size_t n;
    double weight[SILOS];
    float *update[SILOS], *mean;
};

static int sum_create(struct sum *sum, size_t size) {
    int bad = 0;
    *sum = (struct sum){.n = size};
    EXPECT(gr_layout_append(&sum->layout, "all", 1, &size) == GR_OK);
    EXPECT(gr_allocate(sum->layout.size, sizeof(float), "mean", &sum->mean) == GR_OK);
    for (size_t s = 0; s < SILOS; s++) {
        /* Norms from far below the clip to far above it; two weights above weight_max. */
        const double norm = pow(10, (double)s - 4);
        sum->weight[s] = 7.5 * (double)(s + 1);
        EXPECT(gr_allocate_zero(sum->layout.size, sizeof(float), "u", &sum->update[s]) == GR_OK);
        for (size_t i = 0; i < size; i++)
            sum->update[s][i] = (float)(sin((double)(i * (s + 3)) + 1) * norm / sqrt((double)size));
    }
    return bad;
}

static void sum_release(struct sum *sum) {
    for (size_t s = 0; s < SILOS; s++)
        gr_free(sum->update[s]);
    gr_free(sum->mean);
    gr_layout_release(&sum->layout);
}

static size_t contribute(struct gr_comm *comm, struct sum *sum, int shift,
                         struct gr_contribution mine[SILOS]) {
    size_t n = 0;
    for (int s = 0; s < SILOS; s++)
        if ((s + shift) % gr_comm_size(comm) == gr_comm_rank(comm))
            mine[n++] = (struct gr_contribution){.update = sum->update[s],
                                                 .silo = (uint32_t)s,
                                                 .weight = sum->weight[s],
                                                 .pseudonym = "silo"};
    return n;
}

/* 2^e of the grid: the least with clip weight_max / 2^e <= floor(limit / selected). */
static double grid_of(enum gr_encoding encoding) {
    const long double limit =
        floorl((encoding == GR_ENCODING_RING64 ? 0x1p62L : 0x1p31L - 1) / SELECTED);
    double step = 0x1p-200;
    while ((long double)(clip * weight_max / step) > limit)
        step *= 2;
    return step;
}

static gr_status create(struct gr_comm *comm, const struct sum *sum, enum gr_encoding encoding,
                        struct gr_aggregator **out) {
    const struct gr_aggregator_options options = {
        .encoding = encoding,
        .grid = {.clip_norm = clip, .weight_max = weight_max, .n_selected = SELECTED}};
    return gr_aggregator_create_with(comm, &sum->layout, &options, out);
}

/* Elements that are further from the definition than roundings explain. */
static size_t beyond(const struct sum *sum, enum gr_encoding encoding) {
    const long double step = (long double)grid_of(encoding);
    long double total = 0, factor[SILOS];
    size_t wrong = 0;
    for (size_t s = 0; s < SILOS; s++) {
        long double squares = 0;
        for (size_t i = 0; i < sum->n; i++)
            squares += (long double)sum->update[s][i] * (long double)sum->update[s][i];
        const long double weight = fminl((long double)sum->weight[s], (long double)weight_max);
        factor[s] = weight * fminl(1, (long double)clip / sqrtl(squares));
        total += weight;
    }
    /* Half a step each; floats of the product; up to sqrt(n) / 2 steps that an update is cut by. */
    const long double again =
        sqrtl((long double)sum->n) * step / ((long double)(clip * weight_max));
    for (size_t i = 0; i < sum->n; i++) {
        long double mean = 0, size = 0;
        for (size_t s = 0; s < SILOS; s++) {
            mean += factor[s] * (long double)sum->update[s][i];
            size += fabsl(factor[s] * (long double)sum->update[s][i]);
        }
        const long double bound =
            SILOS * step / 2 + size * (0x1p-20L + again) + fabsl(mean) * 0x1p-23L;
        if (!(fabsl((long double)sum->mean[i] - mean / total) <= bound / total + 1e-38L)) wrong++;
    }
    return wrong;
}

static int means(struct gr_comm *found) {
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING32, GR_ENCODING_RING64};
    int bad = 0;
    (void)found;
    for (int c = 0; c < 2 * SIZES * 3; c++) {
        const enum gr_encoding encoding = encodings[c % 2];
        const struct gr_comm_options options = {.ranks_per_node = (uint32_t)(c / 2 / SIZES)};
        struct gr_comm *comm = NULL, *self = NULL;
        struct gr_aggregator *aggregator, *alone;
        struct gr_contribution mine[SILOS];
        struct sum sum;
        float *first;
        uint64_t examples;
        bad += sum_create(&sum, sizes[c / 2 % SIZES]);
        EXPECT(gr_allocate(sum.layout.size, sizeof *first, "mean", &first) == GR_OK);
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
        EXPECT(gr_comm_create(MPI_COMM_SELF, &(struct gr_comm_options){0}, &self) == GR_OK);
        EXPECT(create(self, &sum, encoding, &alone) == GR_OK);
        EXPECT(gr_aggregate(alone, mine, contribute(self, &sum, 0, mine), SILOS, first,
                            &examples) == GR_OK);
        EXPECT(create(comm, &sum, encoding, &aggregator) == GR_OK);
        for (int shift = 0; shift < 2; shift++) {
            EXPECT(gr_aggregate(aggregator, mine, contribute(comm, &sum, shift, mine), SILOS,
                                sum.mean, &examples) == GR_OK);
            EXPECT(memcmp(sum.mean, first, sum.n * sizeof *first) == 0);
            EXPECT_EQUAL(beyond(&sum, encoding), 0);
        }
        gr_aggregator_free(alone);
        gr_aggregator_free(aggregator);
        gr_comm_free(self);
        gr_comm_free(comm);
        gr_free(first);
        sum_release(&sum);
    }
    return bad;
}

/* From n on, of how many equal elements that are cut to `most` each is rounded up, by a tenth of a
 * step or more. */
static size_t lifted(size_t n, double most) {
    for (;; n++) {
        const double each = most / sqrt((double)n), above = each - floor(each);
        if (above > 0.6 && above < 0.9) return n;
    }
}

/* Of one silo the mean is its integers times 2^e over its weight: their squares, exactly. */
static int integer_norm(struct gr_comm *comm) {
    const enum gr_encoding encoding = GR_ENCODING_RING32;
    const double step = grid_of(encoding), most = floor(clip * weight_max / step);
    int bad = 0;
    (void)comm;
    for (size_t s = 0; s < SIZES; s++) {
        const size_t n = lifted(sizes[s], most);
        struct gr_comm *self = NULL;
        struct gr_aggregator *aggregator;
        struct sum sum;
        uint64_t examples;
        long double squares = 0;
        bad += sum_create(&sum, n);
        for (size_t i = 0; i < n; i++)
            sum.update[0][i] = 3;
        const struct gr_contribution mine = {
            .update = sum.update[0], .weight = weight_max, .pseudonym = "silo"};
        EXPECT(gr_comm_create(MPI_COMM_SELF, &(struct gr_comm_options){0}, &self) == GR_OK);
        EXPECT(create(self, &sum, encoding, &aggregator) == GR_OK);
        EXPECT(gr_aggregate(aggregator, &mine, 1, 1, sum.mean, &examples) == GR_OK);
        for (size_t i = 0; i < n; i++) {
            /* A float has 24 of the integer's bits, so it is rounded again: by 2^-24 at most. */
            const long double q = (long double)sum.mean[i] * (long double)(weight_max / step);
            squares += q * q;
        }
        EXPECT(sqrtl(squares) <= (long double)most * (1 + 0x1p-24L));
        EXPECT(sqrtl(squares) >= (long double)(most - sqrt((double)n) - 2) * (1 - 0x1p-18L));
        gr_aggregator_free(aggregator);
        gr_comm_free(self);
        sum_release(&sum);
    }
    return bad;
}

static int refused(struct gr_comm *comm) {
    static const float values[] = {NAN, INFINITY, -INFINITY};
    int bad = 0;
    struct sum sum;
    struct gr_aggregator *aggregator;
    struct gr_contribution mine[SILOS];
    uint64_t examples;
    bad += sum_create(&sum, 9000);
    EXPECT(create(comm, &sum, GR_ENCODING_RING32, &aggregator) == GR_OK);
    const size_t n = contribute(comm, &sum, 0, mine);
    for (size_t v = 0; v < 3; v++) {
        const float kept = sum.update[3][5000];
        sum.update[3][5000] = values[v];
        EXPECT_EQUAL(gr_aggregate(aggregator, mine, n, SILOS, sum.mean, &examples), GR_ERROR_DATA);
        EXPECT(strstr(gr_message(), "silo: update of all, element 5000") != NULL);
        sum.update[3][5000] = kept;
    }
    /* The largest floats are cut like any other. */
    for (size_t i = 0; i < sum.n; i++)
        sum.update[5][i] = FLT_MAX;
    EXPECT(gr_aggregate(aggregator, mine, n, SILOS, sum.mean, &examples) == GR_OK);
    EXPECT_EQUAL(beyond(&sum, GR_ENCODING_RING32), 0);
    gr_aggregator_free(aggregator);
    sum_release(&sum);
    return bad;
}

/* What a stage adds on rank 0 to every element and stays: 40 standard deviations up and down. */
struct noise {
    int rank;
    int64_t steps;
};

static void add_noise(void *context, struct gr_stage_key key, void *words, size_t width, size_t n) {
    const struct noise *noise = context;
    for (size_t i = 0; i < n && !key.riders && noise->rank == 0; i++) {
        const uint64_t more = (uint64_t)((key.at + i) % 2 ? noise->steps : -noise->steps);
        if (width == sizeof more)
            ((uint64_t *)words)[i] += more;
        else
            ((uint32_t *)words)[i] += (uint32_t)more;
    }
}

/*
 * Noise of these standard deviations in units of what one silo brings: the grid has room for all of
 * it beside as many silos as are selected, is at most 2^30 steps a deviation, and no coarser than
 * that asks for; the total has the noise, to the step, and its weights are as they were.
 */
static int room_for_noise(struct gr_comm *comm) {
    static const double deviations[] = {0.05, 1, 37, 5000};
    const size_t n = GR_RING_BLOCK + 500;
    int bad = 0;
    for (size_t c = 0; c < 8; c++) {
        const enum gr_encoding encoding = c % 2 ? GR_ENCODING_RING64 : GR_ENCODING_RING32;
        const double largest = clip * weight_max, deviation = deviations[c / 2] * largest;
        const double limit = encoding == GR_ENCODING_RING64 ? 0x1p62 : 0x1p31 - 1;
        struct noise noise = {.rank = gr_comm_rank(comm)};
        const struct gr_aggregator_options options = {
            .encoding = encoding,
            .grid = {.clip_norm = clip,
                     .weight_max = weight_max,
                     .n_selected = SELECTED,
                     .noise = deviation},
            .stage = {.apply = add_noise, .context = &noise, .stays = true}};
        struct gr_aggregator *aggregator = NULL;
        struct gr_contribution mine[SILOS];
        struct sum sum;
        float *first;
        uint64_t examples, bound = 0;
        size_t wrong = 0;
        double weights = 0;
        bad += sum_create(&sum, n);
        for (size_t s = 0; s < SILOS; s++)
            weights += fmin(sum.weight[s], weight_max);
        EXPECT(gr_allocate(sum.layout.size, sizeof *first, "mean", &first) == GR_OK);
        EXPECT(gr_aggregator_create_with(comm, &sum.layout, &options, &aggregator) == GR_OK);
        const double step = ldexp(1, gr_aggregate_exponent(aggregator, SILOS, &bound));
        EXPECT_EQUAL(bound, (uint64_t)(largest / step));
        EXPECT(SELECTED * (double)bound + 40 * deviation / step <= limit);
        EXPECT(deviation / step <= 0x1p30);
        EXPECT(2 * (SELECTED * (double)bound + 40 * deviation / step) > limit / 2 ||
               2 * deviation / step > 0x1p30);
        const size_t n_mine = contribute(comm, &sum, 0, mine);
        EXPECT(gr_aggregate(aggregator, mine, n_mine, SILOS, first, &examples) == GR_OK);
        noise.steps = (int64_t)(40 * deviation / step);
        EXPECT(gr_aggregate(aggregator, mine, n_mine, SILOS, sum.mean, &examples) == GR_OK);
        const double more = (double)noise.steps * step / weights;
        for (size_t i = 0; i < n; i++) {
            const double moved = (double)sum.mean[i] - (double)first[i];
            if (!(fabs(moved - (i % 2 ? more : -more)) <= 0x1p-22 * more)) wrong++;
        }
        EXPECT_EQUAL(wrong, 0);
        gr_aggregator_free(aggregator);
        gr_free(first);
        sum_release(&sum);
    }
    return bad;
}

PARALLEL_MAIN({"means", means}, {"integer norm", integer_norm}, {"refused", refused},
              {"room for noise", room_for_noise})
