/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums in words of 64 and of 16 bits: the same bits wherever contributions lie, and those of a
 * reference that goes by the definitions, one element after the other, in long double; over rounds,
 * with what ring16 leaves over. It shares the random stream with the library, and nothing else.
 *
 * ranks: 1 3 5
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "parallel.h"

enum { SILOS = 7, ROUNDS = 3, MOST = 140001 };

struct federation {
    struct gr_layout layout;
    size_t n_silos, size;
    uint64_t weight[SILOS];
    float *update[SILOS];   /* of the present round; all on every rank */
    float *residual[SILOS]; /* as the library left it */
    float *left[SILOS];
    float *expected_residual[SILOS];
    float *expected_left[SILOS];
    bool fed[SILOS]; /* has a residual */
    float *mean, *expected;
    int host_of[SILOS];
};

static int federation_create(struct federation *f, size_t n_silos, size_t elements) {
    int bad = 0;
    *f = (struct federation){.n_silos = n_silos};
    EXPECT(gr_layout_append(&f->layout, "all", 1, &elements) == GR_OK);
    f->size = f->layout.size;
    float **vectors[] = {f->update, f->residual, f->left, f->expected_residual, f->expected_left};
    for (size_t s = 0; s < n_silos; s++) {
        f->weight[s] = 1 + 997 * s % 600;
        for (size_t v = 0; v < 5; v++)
            EXPECT(gr_allocate_zero(f->size, sizeof(float), "vector", &vectors[v][s]) == GR_OK);
    }
    EXPECT(gr_allocate(f->size, sizeof(float), "mean", &f->mean) == GR_OK);
    EXPECT(gr_allocate(f->size, sizeof(float), "mean", &f->expected) == GR_OK);
    return bad;
}

static void federation_release(struct federation *f) {
    float **vectors[] = {f->update, f->residual, f->left, f->expected_residual, f->expected_left};
    for (size_t s = 0; s < f->n_silos; s++)
        for (size_t v = 0; v < 5; v++)
            gr_free(vectors[v][s]);
    gr_free(f->mean);
    gr_free(f->expected);
    gr_layout_release(&f->layout);
}

/* Each block has its own magnitude, one of them only zeros. */
static void train(struct federation *f, uint32_t round) {
    for (size_t s = 0; s < f->n_silos; s++) {
        uint32_t state = (uint32_t)(1 + s + 100 * round);
        for (size_t i = 0; i < f->size; i++) {
            size_t block = i / GR_RING_BLOCK;
            state = state * 1664525U + 1013904223U;
            double u = (double)(state >> 8) / (1 << 24) - 0.4;
            f->update[s][i] = block % 9 == 4 ? 0 : (float)ldexp(u, (int)(block * 13 % 90) - 70);
        }
    }
}

/* ---- the reference -------------------------------------------------------------------------- */

static float weighed(const struct federation *f, size_t s, size_t i) {
    volatile float p = f->update[s][i] * (float)f->weight[s];
    if (f->fed[s]) p = p + f->expected_residual[s][i];
    return p;
}

static int exponent_of(const struct federation *f, size_t begin, size_t end, int64_t bound) {
    float largest = 0;
    for (size_t s = 0; s < f->n_silos; s++)
        for (size_t i = begin; i < end; i++)
            largest = fmaxf(largest, fabsf(weighed(f, s, i)));
    int e = largest == 0 ? 0 : -400;
    while (ldexpl((long double)largest, -e) > (long double)bound)
        e++;
    return e;
}

static void refer_narrow(struct federation *f, size_t s, size_t i, int e, uint16_t noise,
                         int64_t *sum) {
    float p = weighed(f, s, i);
    long double y = ldexpl((long double)p, -e);
    int64_t q = (int64_t)floorl((rintl(y * 65536) + noise) / 65536);
    volatile float rest = (float)(y - (long double)q);
    f->expected_left[s][i] = (float)ldexp((double)rest, e);
    *sum += q;
}

static float mean_of(int64_t sum, int e, uint64_t total) {
    volatile double factor = 1 / (double)total;
    factor = ldexp(factor, e);
    volatile double mean = (double)sum * factor;
    float x = (float)mean;
    return isinf(x) ? copysignf(FLT_MAX, x) : x;
}

static struct gr_stream_key key_of(size_t s, uint32_t round) {
    return (struct gr_stream_key){
        .seed = 99, .silo = (uint32_t)s, .round = round, .purpose = GR_PURPOSE_ROUNDING};
}

static int refer(struct federation *f, enum gr_encoding encoding, uint32_t round) {
    const bool narrow = encoding == GR_ENCODING_RING16;
    int64_t limit = narrow ? INT16_MAX : (int64_t)1 << 62, bound = limit / (int64_t)f->n_silos;
    uint64_t total = 0;
    gsl_rng *stream[SILOS] = {NULL};
    int bad = 0;
    for (size_t s = 0; s < f->n_silos; s++) {
        total += f->weight[s];
        EXPECT(gr_stream_create(key_of(s, round), &stream[s]) == GR_OK);
    }
    uint32_t word[SILOS] = {0};
    for (size_t i = 0, e = 0; i < f->size; i++) {
        size_t end = i + GR_RING_BLOCK < f->size ? i + GR_RING_BLOCK : f->size;
        if (i % GR_RING_BLOCK == 0) e = (size_t)(exponent_of(f, i, end, bound) + 1000);
        int exponent = (int)e - 1000;
        int64_t sum = 0;
        for (size_t s = 0; s < f->n_silos; s++) {
            if (i % 2 == 0) word[s] = (uint32_t)gsl_rng_get(stream[s]);
            uint16_t noise = (uint16_t)(word[s] >> (i % 2 ? 16 : 0));
            if (narrow)
                refer_narrow(f, s, i, exponent, noise, &sum);
            else
                sum += (int64_t)rintl(
                    ldexpl((long double)f->update[s][i] * (long double)f->weight[s], -exponent));
        }
        f->expected[i] = mean_of(sum, exponent, total);
    }
    for (size_t s = 0; s < f->n_silos; s++)
        gsl_rng_free(stream[s]);
    return bad;
}

/* ---- the library ---------------------------------------------------------------------------- */

static gr_status aggregate(struct gr_comm *comm, struct gr_aggregator *aggregator,
                           struct federation *f, uint32_t round, size_t n_members) {
    struct gr_contribution mine[SILOS];
    size_t n = 0;
    uint64_t total;
    for (size_t s = 0; s < n_members; s++) {
        if (f->host_of[s] != gr_comm_rank(comm)) continue;
        mine[n++] = (struct gr_contribution){.update = f->update[s],
                                             .weight = (double)f->weight[s],
                                             .pseudonym = "silo",
                                             .residual = f->fed[s] ? f->residual[s] : NULL,
                                             .left = f->left[s],
                                             .rounding = key_of(s, round)};
    }
    memset(f->mean, 0x55, f->size * sizeof(float));
    return gr_aggregate(aggregator, mine, n, (uint32_t)n_members, f->mean, &total);
}

static bool same(const float *a, const float *b, size_t n) {
    return memcmp(a, b, n * sizeof *a) == 0;
}

/* The round is committed, and the silos move to other ranks with what they keep. */
static int commit(struct federation *f, struct gr_comm *comm, bool narrow) {
    int bad = 0;
    for (size_t s = 0; s < f->n_silos && narrow; s++) {
        if (f->host_of[s] == gr_comm_rank(comm))
            for (size_t i = 0; i < f->size; i++)
                if (f->left[s][i] != f->expected_left[s][i]) bad++;
        EXPECT(bad == 0);
        memcpy(f->residual[s], f->expected_left[s], f->size * sizeof(float));
        memcpy(f->expected_residual[s], f->expected_left[s], f->size * sizeof(float));
        f->fed[s] = true;
    }
    return bad;
}

static int any_placement(struct gr_comm *found) {
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING16, GR_ENCODING_RING64};
    int bad = 0;
    for (uint32_t group = 0; group < 3; group++)
        for (size_t c = 0; c < 2; c++) {
            struct gr_comm_options options = {.ranks_per_node = group};
            struct gr_comm *comm = NULL;
            struct gr_aggregator *aggregator = NULL;
            struct federation f;
            bad += federation_create(&f, SILOS, group == 0 ? MOST : 9001);
            EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &comm) == GR_OK);
            EXPECT(gr_aggregator_create(comm, &f.layout, encodings[c], &aggregator) == GR_OK);
            for (uint32_t round = 1; round <= ROUNDS; round++) {
                for (size_t s = 0; s < SILOS; s++)
                    f.host_of[s] = (int)(s * (round + c) / 2) % gr_comm_size(found);
                train(&f, round);
                /* A sum that is given up leaves no trace in the next. */
                if (round == 2) EXPECT(aggregate(comm, aggregator, &f, round, SILOS - 2) == GR_OK);
                bad += refer(&f, encodings[c], round);
                EXPECT(aggregate(comm, aggregator, &f, round, SILOS) == GR_OK);
                EXPECT(same(f.mean, f.expected, f.size));
                bad += commit(&f, comm, encodings[c] == GR_ENCODING_RING16);
            }
            gr_aggregator_free(aggregator);
            gr_comm_free(comm);
            federation_release(&f);
        }
    return bad;
}

/* What is not in the means of all rounds is in the residuals: nothing is lost on the way. */
static int nothing_is_lost(struct gr_comm *comm) {
    enum { MANY = 20 };
    int bad = 0;
    struct federation f;
    struct gr_aggregator *aggregator = NULL;
    double *owed, total = 0;
    bad += federation_create(&f, SILOS, 5000);
    EXPECT(gr_allocate_zero(f.size, sizeof *owed, "sums", &owed) == GR_OK);
    EXPECT(gr_aggregator_create(comm, &f.layout, GR_ENCODING_RING16, &aggregator) == GR_OK);
    for (size_t s = 0; s < SILOS; s++) {
        f.host_of[s] = (int)s % gr_comm_size(comm);
        total += (double)f.weight[s];
    }
    for (uint32_t round = 1; round <= MANY; round++) {
        train(&f, round % 4);
        EXPECT(aggregate(comm, aggregator, &f, round, SILOS) == GR_OK);
        for (size_t i = 0; i < f.size; i++)
            for (size_t s = 0; s < SILOS; s++)
                owed[i] += (double)f.update[s][i] * (double)f.weight[s];
        for (size_t i = 0; i < f.size; i++)
            owed[i] -= (double)f.mean[i] * total;
        for (size_t s = 0; s < SILOS; s++) {
            float *swap = f.residual[s];
            f.residual[s] = f.left[s];
            f.left[s] = swap;
            f.fed[s] = true;
        }
    }
    for (size_t i = 0; i < f.size; i++) {
        double kept = 0, all = 0;
        for (size_t s = 0; s < SILOS; s++)
            if (f.host_of[s] == gr_comm_rank(comm)) kept += (double)f.residual[s][i];
        MPI_Allreduce(&kept, &all, 1, MPI_DOUBLE, MPI_SUM, MPI_COMM_WORLD);
        /* Roundings of p and of the mean to float32, some thousand times finer than the grid. */
        double scale = ldexp(1, (int)(i / GR_RING_BLOCK * 13 % 90) - 70);
        EXPECT(fabs(owed[i] - all) <= MANY * SILOS * 600 * scale * 0x1p-23);
    }
    gr_aggregator_free(aggregator);
    gr_free(owed);
    federation_release(&f);
    return bad;
}

static int extreme_values(struct gr_comm *comm) {
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING16, GR_ENCODING_RING64};
    int bad = 0;
    for (size_t c = 0; c < 2; c++)
        for (size_t n_silos = 1; n_silos <= SILOS; n_silos += SILOS - 1) {
            struct federation f;
            struct gr_aggregator *aggregator = NULL;
            bad += federation_create(&f, n_silos, 7 * GR_RING_BLOCK);
            for (size_t s = 0; s < n_silos; s++) {
                f.weight[s] = 1;
                f.host_of[s] = (int)s % gr_comm_size(comm);
                for (size_t i = 0; i < GR_RING_BLOCK; i++) {
                    float *at = f.update[s] + i;
                    at[0 * GR_RING_BLOCK] = i % 2 ? FLT_MAX : -FLT_MAX;
                    at[1 * GR_RING_BLOCK] = FLT_TRUE_MIN * (float)(i % 100);
                    at[2 * GR_RING_BLOCK] = s == 0 && i == 77 ? -3e38F : 1e-3F;
                    at[3 * GR_RING_BLOCK] = -0.0F;
                    at[4 * GR_RING_BLOCK] = s % 2 ? FLT_MIN : -FLT_MIN;
                    at[5 * GR_RING_BLOCK] = (float)(int)s - 5.5F;
                    at[6 * GR_RING_BLOCK] = i % 5 ? FLT_MIN : FLT_MAX;
                }
            }
            bad += refer(&f, encodings[c], 1);
            EXPECT(gr_aggregator_create(comm, &f.layout, encodings[c], &aggregator) == GR_OK);
            EXPECT(aggregate(comm, aggregator, &f, 1, n_silos) == GR_OK);
            EXPECT(same(f.mean, f.expected, f.size));
            for (size_t s = 0; s < n_silos && c == 0; s++)
                for (size_t i = 0; i < f.size && f.host_of[s] == gr_comm_rank(comm); i++)
                    if (!isfinite(f.left[s][i])) bad++;
            EXPECT(bad == 0);
            gr_aggregator_free(aggregator);
            federation_release(&f);
        }
    return bad;
}

/* 1 + 2^-56 - 1: what a sum of doubles does not see. */
static int finer_than_doubles(struct gr_comm *comm) {
    int bad = 0;
    struct federation f;
    struct gr_aggregator *aggregator = NULL;
    bad += federation_create(&f, 3, 16);
    for (size_t s = 0; s < 3; s++) {
        f.weight[s] = 1;
        f.host_of[s] = (int)s % gr_comm_size(comm);
    }
    f.update[0][0] = 1, f.update[1][0] = 0x1p-56F, f.update[2][0] = -1;
    volatile double sum = 1;
    sum = sum + 0x1p-56;
    EXPECT(sum - 1 == 0);
    EXPECT(gr_aggregator_create(comm, &f.layout, GR_ENCODING_RING64, &aggregator) == GR_OK);
    EXPECT(aggregate(comm, aggregator, &f, 1, 3) == GR_OK);
    EXPECT(fabs((double)f.mean[0] * 3 / 0x1p-56 - 1) < 1e-6);
    gr_aggregator_free(aggregator);
    federation_release(&f);
    return bad;
}

/* The most that share a word of 16 bits, all at its end; and one more. */
static int many_members(struct gr_comm *comm) {
    static struct gr_contribution mine[GR_RING16_SILOS_MAX + 1];
    static float left[16];
    static const uint32_t counts[] = {1000, GR_RING16_SILOS_MAX, GR_RING16_SILOS_MAX + 1};
    int bad = 0;
    struct gr_layout layout = {0};
    struct gr_aggregator *aggregator = NULL;
    float update[16], mean[16];
    size_t elements = 16;
    uint64_t total;
    EXPECT(gr_layout_append(&layout, "only", 1, &elements) == GR_OK);
    for (int i = 0; i < 16; i++)
        update[i] = i % 2 ? -1e38F : i % 4 ? 0.7e38F : 1e38F;
    EXPECT(gr_aggregator_create(comm, &layout, GR_ENCODING_RING16, &aggregator) == GR_OK);
    for (size_t c = 0; c < 3; c++) {
        size_t n = 0;
        for (uint32_t s = 0; s < counts[c]; s++)
            if ((int)s % gr_comm_size(comm) == gr_comm_rank(comm))
                mine[n++] = (struct gr_contribution){.update = update,
                                                     .weight = 1,
                                                     .pseudonym = "silo",
                                                     .left = left,
                                                     .rounding = key_of(s, 1)};
        gr_status status = gr_aggregate(aggregator, mine, n, counts[c], mean, &total);
        EXPECT_EQUAL(status, c < 2 ? GR_OK : GR_ERROR_INTERNAL);
        /* 3 bits and a sign, or 5, but some thousand draws of their rounding. */
        for (int i = 0; i < 16 && c < 2; i++)
            EXPECT(fabsf(mean[i] / update[i] - 1) < 0.01F);
    }
    gr_aggregator_free(aggregator);
    gr_layout_release(&layout);
    return bad;
}

static int refusals(struct gr_comm *comm) {
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38F};
    int bad = 0;
    for (int wide = 0; wide < 2; wide++) {
        struct federation f;
        struct gr_aggregator *aggregator = NULL;
        bad += federation_create(&f, SILOS, 9001);
        train(&f, 1);
        for (size_t s = 0; s < SILOS; s++)
            f.host_of[s] = (int)s % gr_comm_size(comm);
        EXPECT(gr_aggregator_create(comm, &f.layout, wide ? GR_ENCODING_RING64 : GR_ENCODING_RING16,
                                    &aggregator) == GR_OK);
        for (size_t v = 0; v < 4; v++) {
            f.update[3][5000] = values[v];
            EXPECT_EQUAL(aggregate(comm, aggregator, &f, 1, SILOS), GR_ERROR_DATA);
            EXPECT(strstr(gr_message(), "silo: update of all, element 5000:"));
        }
        f.update[3][5000] = 0;
        EXPECT(aggregate(comm, aggregator, &f, 1, SILOS) == GR_OK);
        /* Finite by itself, but not with what was left over. */
        f.fed[3] = !wide;
        f.residual[3][7000] = FLT_MAX;
        f.update[3][7000] = FLT_MAX / 1024;
        EXPECT_EQUAL(aggregate(comm, aggregator, &f, 1, SILOS), wide ? GR_OK : GR_ERROR_DATA);
        EXPECT(wide || strstr(gr_message(), "silo: update of all, element 7000:"));
        gr_aggregator_free(aggregator);
        federation_release(&f);
    }
    return bad;
}

/* Of a segment's way: into the window, summed there, and between nodes. */
static int half_the_bytes(struct gr_comm *comm) {
    static const enum gr_encoding encodings[] = {GR_ENCODING_RING32, GR_ENCODING_RING16,
                                                 GR_ENCODING_RING64};
    int bad = 0;
    for (uint32_t group = 0; group < 2; group++) {
        double bytes[3];
        struct federation f;
        struct gr_comm_options options = {.ranks_per_node = group};
        struct gr_comm *other = NULL;
        EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &other) == GR_OK);
        bad += federation_create(&f, SILOS, 50000);
        train(&f, 1);
        for (size_t s = 0; s < SILOS; s++)
            f.host_of[s] = (int)s % gr_comm_size(comm);
        for (size_t c = 0; c < 3; c++) {
            struct gr_aggregator *aggregator = NULL;
            EXPECT(gr_aggregator_create(other, &f.layout, encodings[c], &aggregator) == GR_OK);
            uint64_t before = gr_comm_bytes_sent(other);
            EXPECT(aggregate(other, aggregator, &f, 1, SILOS) == GR_OK);
            bytes[c] = (double)(gr_comm_bytes_sent(other) - before);
            gr_aggregator_free(aggregator);
        }
        if (gr_comm_size(comm) > 1) {
            EXPECT(bytes[1] <= 0.52 * bytes[0] && bytes[1] > 0.4 * bytes[0]);
            EXPECT(bytes[2] >= 1.9 * bytes[0]);
        }
        gr_comm_free(other);
        federation_release(&f);
    }
    return bad;
}

PARALLEL_MAIN({"any placement", any_placement}, {"nothing is lost", nothing_is_lost},
              {"extreme values", extreme_values}, {"finer than doubles", finer_than_doubles},
              {"many members", many_members}, {"refusals", refusals},
              {"half the bytes", half_the_bytes})
