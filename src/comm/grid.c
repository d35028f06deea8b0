/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Before a sum: the weights are added up, and of an agreed grid the ranks find an exponent for each
 * block by maximum. public_grid.c has the grid that needs no agreement. The sum of the weights has
 * a barrier in it, after which the exponents that each rank has written into its part of the window
 * can be read by its node.
 */
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
float gr_sum_weight(const struct gr_contribution *from) {
    return (float)from->weight;
}

enum { STEPS_MAX_EXPONENT = 40 };
enum { LARGEST_FLOAT = 0x7f7fffff }; /* as bits */

/* Ranges that the caller has to keep: a breach is a fault of this program and not of the data. The
 * messages do not tell the values, for weights and steps of a silo are not for other ranks. */
static gr_status check_contributions(const struct gr_aggregator *aggregator,
                                     const struct gr_contribution *mine, size_t n_mine) {
    const double steps_max = ldexp(1, STEPS_MAX_EXPONENT);
    for (size_t i = 0; i < n_mine; i++) {
        for (size_t v = 0; v < aggregator->n_vectors && !aggregator->codec->encode; v++)
            if (!mine[i].lefts[v])
                return gr_fail(GR_ERROR_INTERNAL, "%s: no room for what ring16 leaves over",
                               mine[i].pseudonym);
        if (!(mine[i].weight >= 0) || mine[i].weight > weight_max)
            return gr_fail(GR_ERROR_INTERNAL, "%s: weight out of range, expected 0 to 2^60",
                           mine[i].pseudonym);
        if (!(mine[i].steps >= 0) || mine[i].steps > steps_max)
            return gr_fail(GR_ERROR_INTERNAL, "%s: steps out of range, expected 0 to 2^%d",
                           mine[i].pseudonym, STEPS_MAX_EXPONENT);
    }
    return GR_OK;
}

/* Only this function forms p = x * weight + residual for ring16, so that the exponent and the
 * encoding see the same bits. */
void gr_sum_weigh(const struct gr_contribution *from, struct gr_span span, float *p) {
    const float *residual = from->residuals[span.vector];
    gr_ring_weigh(from->vector[span.vector] + span.begin, gr_sum_weight(from),
                  residual ? residual + span.begin : NULL, p, span.n);
}

/* Says why a block was refused (GR_RING_EXPONENT_REFUSED). All ranks read the message, so it tells
 * neither the value nor the weight. */
static gr_status refuse(const struct gr_layout *layout, const struct gr_contribution *from,
                        struct gr_span span) {
    float p[GR_RING_BLOCK];
    size_t at = 0;
    gr_sum_weigh(from, span, p);
    while (at + 1 < span.n && isfinite(p[at]))
        at++;
    at += span.begin;
    const struct gr_tensor *tensor = gr_layout_find(layout, at);
    return gr_fail(GR_ERROR_DATA,
                   "%s: %s of %s, element %zu: its product with the weight is no finite float32",
                   from->pseudonym, span.vector == 0 ? "update" : "what is sent beside the update",
                   tensor ? tensor->name : "no tensor", tensor ? at - tensor->offset : at);
}

/* The largest |p| of a span, as bits (gr_ring_largest). Without a residual p need not be stored. */
static uint32_t largest_of(const struct gr_contribution *from, struct gr_span span) {
    float p[GR_RING_BLOCK];
    if (!from->residuals[span.vector])
        return gr_ring_largest(from->vector[span.vector] + span.begin, gr_sum_weight(from), span.n);
    gr_sum_weigh(from, span, p);
    return gr_ring_largest(p, 1, span.n);
}

/* The norm is checked elsewhere, but a message is to name the tensor: the update is searched for
 * its first value that is not finite. Each may be finite, and their norm not. */
gr_status gr_sum_refuse_update(const struct gr_layout *layout, const struct gr_contribution *from) {
    struct gr_contribution alone = *from;
    alone.weight = 1;
    for (size_t begin = 0; begin < layout->size; begin += GR_RING_BLOCK) {
        const struct gr_span span = {0, begin, gr_smaller(GR_RING_BLOCK, layout->size - begin)};
        if (gr_ring_exponent(largest_of(&alone, span), 1) == GR_RING_EXPONENT_REFUSED)
            return refuse(layout, &alone, span);
    }
    return gr_fail(GR_ERROR_DATA, "%s: the norm of its update is not finite", from->pseudonym);
}

gr_status gr_sum_check_products(const struct gr_aggregator *aggregator,
                                const struct gr_contribution *from) {
    for (size_t at = 0; at < aggregator->size; at += GR_RING_BLOCK) {
        const struct gr_span span =
            gr_sum_span(aggregator, at, gr_smaller(GR_RING_BLOCK, aggregator->size - at));
        if (gr_ring_exponent(largest_of(from, span), 1) == GR_RING_EXPONENT_REFUSED)
            return refuse(aggregator->layout, from, span);
    }
    return GR_OK;
}

/*
 * Exponents of this rank's contributions, into its part of the window, where the node sees them
 * once all have met. A block with a value that must not be summed gets the exponent
 * GR_RING_EXPONENT_REFUSED, which is the maximum of all: so the agreement on the grid tells every
 * rank of it, without an agreement of its own. The first refusal is kept for its message.
 */
static gr_status find_exponents(const struct gr_sum *call) {
    gr_status status = GR_OK;
    const struct gr_aggregator *aggregator = call->aggregator;
    const struct gr_running_sum *running = &aggregator->running;
    int16_t *exponents = aggregator->exponents_of[aggregator->comm->node_rank];
    for (size_t b = 0; b < aggregator->n_blocks; b++) {
        const size_t at = b * GR_RING_BLOCK;
        const struct gr_span span =
            gr_sum_span(aggregator, at, gr_smaller(GR_RING_BLOCK, aggregator->size - at));
        exponents[b] = GR_RING_EXPONENT_ZERO;
        if (running->n > 0) exponents[b] = gr_ring_exponent(running->largest[b], call->bound);
        for (size_t c = 0; c < call->n_mine && running->n == 0; c++) {
            const struct gr_contribution *from = &call->mine[c];
            int16_t exponent = gr_ring_exponent(largest_of(from, span), call->bound);
            if (exponent == GR_RING_EXPONENT_REFUSED && status == GR_OK)
                status = refuse(aggregator->layout, from, span);
            if (exponent > exponents[b]) exponents[b] = exponent;
        }
    }
    return status;
}

/* Numbers added up beside the vectors: behind the riders those of each rank. */
enum {
    EXAMPLES = GR_RIDER_EXAMPLES,
    TALLY = GR_TALLY_RIDER,
    WEIGHT = GR_RIDER_WEIGHT,
    STEPS = GR_RIDER_STEPS,
    MEMBERS = GR_SUM_RIDERS,
    FAILED,
    BETWEEN, /* rank 0's: the way of this sum */
    TOOK,    /* nanoseconds of the last */
    N_SUMS
};

/* Adds a contribution's riders. A weight is taken as it enters the products, so the mean's
 * denominator fits its numerator. */
static gr_status ride(const struct gr_sum *call, const struct gr_contribution *from,
                      int64_t *sums) {
    const struct gr_aggregator *aggregator = call->aggregator;
    const double weight = aggregator->grid.clip_norm > 0
                              ? (double)gr_sum_capped(aggregator, from->weight)
                              : (double)gr_sum_weight(from);
    sums[EXAMPLES] += (int64_t)from->examples;
    sums[TALLY] += from->tally;
    if (!gr_real_add(sums + WEIGHT, weight) ||
        (aggregator->steps && !gr_real_add(sums + STEPS, weight * from->steps)))
        return gr_fail(GR_ERROR_INTERNAL, "%s: weight or steps out of range", from->pseudonym);
    return GR_OK;
}

/* The same on all ranks, so none is left waiting. ring16 has a limit of 2^15 - 1: with more
 * contributions than GR_RING16_SILOS_MAX the bound of each would be below 8 steps of the grid. */
static gr_status check_members(const struct gr_sum *call) {
    if (call->n_members == 0) return gr_fail(GR_ERROR_INTERNAL, "a sum of no contributions");
    if (!call->aggregator->codec->encode && call->n_members > GR_RING16_SILOS_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "%u contributions, ring16 takes at most %d",
                       call->n_members, GR_RING16_SILOS_MAX);
    return GR_OK;
}

/* Of a number that sites add up in the words of gr_real_add. */
static bool is_within(const int64_t *words, double most) {
    const long double value = gr_real_value(words);
    return value >= 0 && value <= (long double)most;
}

/*
 * What a site brings to the sum of the weights: its silos are those of the roster, a failure would
 * have made it leave, and the way is the coordinator's to choose. Riders that have passed a stage
 * are of any value; tallies come with one that hides them, or not at all.
 */
static bool are_riders(const struct gr_comm *comm, int slot, const void *values, size_t n) {
    const struct gr_sum *call = comm->exchanged;
    int64_t sums[N_SUMS];
    if (n != N_SUMS) return false;
    memcpy(sums, values, sizeof sums);
    if (sums[FAILED] != 0 || sums[BETWEEN] != 0 || sums[TOOK] < 0) return false;
    if (!gr_link_has_members(comm->link, gr_comm_party(comm, slot), sums[MEMBERS])) return false;
    if (call->aggregator->stage.apply && !call->aggregator->stage.stays) return true;
    const double most = weight_max * call->n_members;
    return sums[EXAMPLES] >= 0 && sums[EXAMPLES] <= (int64_t)1 << 60 && sums[TALLY] == 0 &&
           is_within(sums + WEIGHT, most) &&
           is_within(sums + STEPS, ldexp(most, STEPS_MAX_EXPONENT));
}

/* A site leaves with its failure before it brings it to the others, who go on without it. */
static gr_status leave_with(const struct gr_sum *call, gr_status mine) {
    struct gr_comm *comm = call->aggregator->comm;
    if (mine == GR_OK || gr_comm_party(comm, comm->slot) == 0) return GR_OK;
    return gr_comm_agree(comm, mine);
}

/*
 * The exponents are found before the exchange although it may fail: the barrier in it then serves
 * both. FAILED is summed instead of agreed on, so an agreement is only paid for when there is
 * something to tell. A wrong number of contributions is found here, on all ranks alike, before any
 * vector is added.
 */
gr_status gr_sum_weights(struct gr_sum *call) {
    gr_status status = GR_OK, mine;
    struct gr_aggregator *aggregator = call->aggregator;
    int64_t sums[N_SUMS] = {0};
    GR_TRY(check_members(call));
    call->bound = aggregator->codec->limit / call->n_members;
    mine = check_contributions(aggregator, call->mine, call->n_mine);
    if (mine == GR_OK && aggregator->running.n > 0 && aggregator->running.n != call->n_mine)
        mine = gr_fail(GR_ERROR_INTERNAL, "%zu contributions, %zu were added as they came",
                       call->n_mine, aggregator->running.n);
    for (size_t i = 0; i < call->n_mine && mine == GR_OK; i++)
        mine = ride(call, &call->mine[i], sums);
    /* Like the vectors, for a lone silo's weight tells its size. */
    if (aggregator->stage.apply)
        aggregator->stage.apply(aggregator->stage.context, (struct gr_stage_key){.riders = true},
                                sums, sizeof *sums, GR_SUM_RIDERS);
    sums[MEMBERS] = (int64_t)call->n_mine;
    sums[FAILED] = mine != GR_OK;
    sums[BETWEEN] = aggregator->comm->rank == 0 ? (int64_t)gr_between_propose(aggregator) : 0;
    sums[TOOK] = (int64_t)(aggregator->trials.took_s * 1e9);
    if (mine == GR_OK && !aggregator->combination.combine && !(aggregator->grid.clip_norm > 0))
        call->refused = find_exponents(call);
    GR_TRY(leave_with(call, mine != GR_OK ? mine : call->refused));
    aggregator->comm->exchanged = call;
    aggregator->comm->holds = are_riders;
    status = gr_comm_sum_int64(aggregator->comm, sums, N_SUMS);
    aggregator->comm->holds = NULL;
    if (status != GR_OK) goto out;
    if (sums[FAILED] > 0) GR_TRY(gr_comm_agree(aggregator->comm, mine));
    if (sums[MEMBERS] != call->n_members)
        return gr_fail(GR_ERROR_INTERNAL, "%lld contributions to a sum of %u",
                       (long long)sums[MEMBERS], call->n_members);
    if (sums[BETWEEN] < GR_BETWEEN_AUTO || sums[BETWEEN] > GR_BETWEEN_MPI)
        return gr_fail(GR_ERROR_INTERNAL, "a sum by way %lld", (long long)sums[BETWEEN]);
    gr_between_take(aggregator, (enum gr_between)sums[BETWEEN], sums[TOOK]);
    memcpy(aggregator->riders, sums, sizeof aggregator->riders);
    if (!aggregator->stage.apply || aggregator->stage.stays)
        status = gr_sum_take_riders(aggregator);
out:
    return status;
}

gr_status gr_sum_take_riders(struct gr_aggregator *aggregator) {
    const int64_t *riders = aggregator->riders;
    const double most = weight_max * UINT32_MAX;
    if (riders[EXAMPLES] < 0 || !is_within(riders + WEIGHT, most) ||
        !is_within(riders + STEPS, ldexp(most, STEPS_MAX_EXPONENT)))
        return gr_fail(GR_ERROR_INTERNAL, "rows, weights or steps of a sum that are none");
    aggregator->examples = (uint64_t)riders[EXAMPLES];
    aggregator->tally = riders[TALLY];
    aggregator->total_weight = (double)gr_real_value(riders + WEIGHT);
    aggregator->total_steps = (double)gr_real_value(riders + STEPS);
    return GR_OK;
}

/* For combinations, whose weights have no effect and whose updates are taken as they are. */
gr_status gr_sum_check_finite(const struct gr_sum *call) {
    const struct gr_layout *layout = call->aggregator->layout;
    for (size_t c = 0; c < call->n_mine; c++) {
        struct gr_contribution alone = call->mine[c];
        alone.weight = 1;
        alone.residual = NULL;
        for (size_t begin = 0; begin < layout->size; begin += GR_RING_BLOCK) {
            const struct gr_span span = {0, begin, gr_smaller(GR_RING_BLOCK, layout->size - begin)};
            if (gr_ring_exponent(largest_of(&alone, span), 1) == GR_RING_EXPONENT_REFUSED)
                return refuse(layout, &alone, span);
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

/* Of a site, whether each exponent is that of a float32, or of zeros: a block that must not be
 * summed has made it leave. */
static bool are_exponents(const struct gr_comm *comm, int slot, const void *values, size_t n) {
    const struct gr_sum *call = comm->exchanged;
    const int16_t least = gr_ring_exponent(1, call->bound);
    const int16_t most = gr_ring_exponent(LARGEST_FLOAT, call->bound);
    const int16_t *exponents = values;
    (void)slot;
    for (size_t i = 0; i < n; i++)
        if (exponents[i] != GR_RING_EXPONENT_ZERO && (exponents[i] < least || exponents[i] > most))
            return false;
    return true;
}

/*
 * Exponents are maxima over all contributions, so a sum on the grid keeps its bound in every block.
 * Inside a node each rank forms the maxima for itself; with several nodes the leaders do, and put
 * the result into the window. A refused block is the same on all ranks, so all enter the agreement
 * or none does.
 */
gr_status gr_sum_agree_grid(struct gr_sum *call) {
    gr_status status = GR_OK;
    struct gr_aggregator *aggregator = call->aggregator;
    struct gr_comm *comm = aggregator->comm;
    size_t n = aggregator->n_blocks, bytes = n * sizeof(int16_t);
    if (comm->node_size > 1) comm->bytes_sent += bytes;
    if (comm->nodes == 1 || gr_comm_leads(comm)) {
        memcpy(aggregator->exponents, aggregator->exponents_of[0], bytes);
        for (int i = 1; i < comm->node_size; i++)
            combine_exponents(aggregator->exponents, aggregator->exponents_of[i], n);
    }
    if (comm->nodes > 1) {
        if (gr_comm_leads(comm)) {
            comm->exchanged = call;
            comm->holds = are_exponents;
            status = gr_tree_all(comm, aggregator->exponents, aggregator->scratch, n,
                                 sizeof(int16_t), combine_exponents);
            comm->holds = NULL;
            if (status != GR_OK) goto out;
            memcpy(aggregator->exponents_all, aggregator->exponents, bytes);
        }
        GR_TRY(gr_node_barrier(comm, "exponents of the grid"));
        memcpy(aggregator->exponents, aggregator->exponents_all, bytes);
    }
    for (size_t b = 0; b < n; b++)
        if (aggregator->exponents[b] == GR_RING_EXPONENT_REFUSED)
            return gr_comm_agree(comm, call->refused);
out:
    return status;
}
