/* SPDX-License-Identifier: Apache-2.0 */
/* Before a sum: weights, and an exponent for each block. */
#include <math.h>
#include <string.h>

#include "comm/aggregate.h"

/* Far above any count of rows, and so far below GR_REAL_LIMIT that sums of 2^10 such weights fit.
 */
static const double weight_max = 0x1p60;

/*
 * The weight as it enters products and their sum alike. Every count of rows up to 2^24 is a float32
 * itself. A real weight, such as a sum of class weights, is rounded once, by at most 2^-24 of it:
 * as the rounded one is also what the total is made of, the mean stays a mean, to the same bits on
 * any number of ranks, for the total is added up in the integers of gr_real_add. A grid of weights
 * that the silos agree on would round the weights of small silos more coarsely, and would tell all
 * how large the largest silo is.
 */
static float weight_of(const struct gr_contribution *from) {
    return (float)from->weight;
}

static gr_status check_contributions(const struct gr_aggregator *aggregator,
                                     const struct gr_contribution *mine, size_t n_mine) {
    for (size_t i = 0; i < n_mine; i++) {
        if (!aggregator->codec->encode && !mine[i].left)
            return gr_fail(GR_ERROR_INTERNAL, "%s: no room for what ring16 leaves over",
                           mine[i].pseudonym);
        if (!(mine[i].weight >= 0) || mine[i].weight > weight_max)
            return gr_fail(GR_ERROR_INTERNAL, "%s: weight out of range, expected 0 to 2^60",
                           mine[i].pseudonym);
    }
    return GR_OK;
}

gr_status gr_sum_weights(struct gr_sum *call) {
    gr_status status = GR_OK, mine;
    const struct gr_codec *codec = call->aggregator->codec;
    struct gr_comm *comm = call->aggregator->comm;
    mine = check_contributions(call->aggregator, call->mine, call->n_mine);
    enum { EXAMPLES, MEMBERS, FAILED, WEIGHT, N_SUMS = WEIGHT + GR_REAL_WORDS };
    int64_t sums[N_SUMS] = {0, (int64_t)call->n_mine, mine != GR_OK};
    for (size_t i = 0; i < call->n_mine && mine == GR_OK; i++) {
        sums[EXAMPLES] += (int64_t)call->mine[i].examples;
        if (!gr_real_add(sums + WEIGHT, (double)weight_of(&call->mine[i])))
            mine = GR_ERROR_INTERNAL; /* never: it has been checked */
    }
    GR_TRY(gr_comm_sum_int64(comm, sums, N_SUMS));
    if (sums[FAILED] > 0) GR_TRY(gr_comm_agree(comm, mine));
    if (sums[MEMBERS] != call->n_members || call->n_members == 0)
        return gr_fail(GR_ERROR_INTERNAL, "%lld contributions to a sum of %u",
                       (long long)sums[MEMBERS], call->n_members);
    if (!codec->encode && call->n_members > GR_RING16_SILOS_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "%u contributions, ring16 takes at most %d",
                       call->n_members, GR_RING16_SILOS_MAX);
    call->bound = codec->limit / call->n_members;
    call->aggregator->examples = (uint64_t)sums[EXAMPLES];
    call->aggregator->total_weight = (double)gr_real_value(sums + WEIGHT);
out:
    return status;
}

void gr_sum_weigh(const struct gr_contribution *from, size_t begin, float *p, size_t n) {
    gr_ring_weigh(from->update + begin, weight_of(from),
                  from->residual ? from->residual + begin : NULL, p, n);
}

/* What is wrong with a block whose exponent is GR_RING_EXPONENT_REFUSED. */
static gr_status refuse(const struct gr_layout *layout, const struct gr_contribution *from,
                        size_t begin, size_t n) {
    float p[GR_RING_BLOCK];
    size_t at = 0;
    gr_sum_weigh(from, begin, p, n);
    while (at + 1 < n && isfinite(p[at]))
        at++;
    at += begin;
    const struct gr_tensor *tensor = gr_layout_find(layout, at);
    return gr_fail(GR_ERROR_DATA,
                   "%s: update of %s, element %zu: %g times the weight %g, expected a finite "
                   "float32",
                   from->pseudonym, tensor ? tensor->name : "no tensor",
                   tensor ? at - tensor->offset : at, (double)from->update[at], from->weight);
}

static uint32_t largest_of(const struct gr_contribution *from, size_t begin, size_t n) {
    float p[GR_RING_BLOCK];
    if (!from->residual) return gr_ring_largest(from->update + begin, weight_of(from), n);
    gr_sum_weigh(from, begin, p, n);
    return gr_ring_largest(p, 1, n);
}

/* Exponents of this rank's contributions, into its part of the window. */
static gr_status find_exponents(const struct gr_sum *call) {
    gr_status status = GR_OK;
    const struct gr_aggregator *aggregator = call->aggregator;
    int16_t *exponents = aggregator->exponents_of[aggregator->comm->node_rank];
    for (size_t b = 0; b < aggregator->n_blocks; b++) {
        size_t begin = b * GR_RING_BLOCK;
        size_t n = gr_smaller(GR_RING_BLOCK, aggregator->layout->size - begin);
        exponents[b] = GR_RING_EXPONENT_ZERO;
        for (size_t c = 0; c < call->n_mine; c++) {
            const struct gr_contribution *from = &call->mine[c];
            int16_t exponent = gr_ring_exponent(largest_of(from, begin, n), call->bound);
            if (exponent == GR_RING_EXPONENT_REFUSED && status == GR_OK)
                status = refuse(aggregator->layout, from, begin, n);
            if (exponent > exponents[b]) exponents[b] = exponent;
        }
    }
    return status;
}

gr_status gr_sum_check_finite(const struct gr_sum *call) {
    const struct gr_layout *layout = call->aggregator->layout;
    for (size_t c = 0; c < call->n_mine; c++) {
        struct gr_contribution alone = call->mine[c];
        alone.weight = 1;
        alone.residual = NULL;
        for (size_t begin = 0; begin < layout->size; begin += GR_RING_BLOCK) {
            const size_t n = gr_smaller(GR_RING_BLOCK, layout->size - begin);
            if (gr_ring_exponent(largest_of(&alone, begin, n), 1) == GR_RING_EXPONENT_REFUSED)
                return refuse(layout, &alone, begin, n);
        }
    }
    return GR_OK;
}

static void combine_exponents(void *acc, const void *more, size_t n) {
    int16_t *a = acc;
    const int16_t *b = more;
    for (size_t i = 0; i < n; i++)
        a[i] = (int16_t)(b[i] > a[i] ? b[i] : a[i]);
}

gr_status gr_sum_agree_grid(struct gr_sum *call) {
    gr_status status = GR_OK;
    struct gr_aggregator *aggregator = call->aggregator;
    struct gr_comm *comm = aggregator->comm;
    size_t n = aggregator->n_blocks, bytes = n * sizeof(int16_t);
    gr_status mine = find_exponents(call);
    GR_TRY(gr_node_barrier(comm, "exponents of the grid"));
    if (comm->node_size > 1) comm->bytes_sent += bytes;
    if (comm->nodes == 1 || gr_comm_leads(comm)) {
        memcpy(aggregator->exponents, aggregator->exponents_of[0], bytes);
        for (int i = 1; i < comm->node_size; i++)
            combine_exponents(aggregator->exponents, aggregator->exponents_of[i], n);
    }
    if (comm->nodes > 1) {
        if (gr_comm_leads(comm)) {
            GR_TRY(gr_tree_all(comm, aggregator->exponents, aggregator->scratch, n, sizeof(int16_t),
                               combine_exponents));
            memcpy(aggregator->exponents_all, aggregator->exponents, bytes);
        }
        GR_TRY(gr_node_barrier(comm, "exponents of the grid"));
        memcpy(aggregator->exponents, aggregator->exponents_all, bytes);
    }
    for (size_t b = 0; b < n; b++)
        if (aggregator->exponents[b] == GR_RING_EXPONENT_REFUSED) return gr_comm_agree(comm, mine);
out:
    return status;
}
