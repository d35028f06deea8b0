/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The weighted mean of updates.
 *
 * First all agree on the grid: an exponent per block, found by each rank for its contributions and
 * combined by maximum; a value that must not enter a sum shows there. Then the vector passes in
 * segments through a pipeline with one barrier per step, so that the memory shared does not grow
 * with the vector and stays in the cache:
 *
 *     encode  own contributions, added in the ring, into this rank's slot
 *     sum     this rank's slice of all slots of the node into the segment's sum
 *     (relay  leaders, where there are several nodes: the sum over all nodes)
 *     keep    the sum, as it is, in this rank's own memory
 *
 * A rank that is its whole job encodes, sums and relays in that memory from the first.
 *
 * A step of one node has one segment at each stage. Between nodes the leader finds out before each
 * step which segments have become whole meanwhile, and whether there is room to begin another: as
 * many are under way as the lines between the nodes hold, up to the relay's window.
 *
 * The total is decoded by whoever has made sure that all have it (gr_control_seal), block by block.
 */
#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/aggregate.h"

enum { SLOTS = 2 }; /* of each rank: one is written while the other is read */

/* One node: segments that are under way, and so the steps by which keeping follows encoding. */
enum { LAG_KEEP = 2 };

/* The least multiple of `unit` that is not below n. */
static size_t round_up(size_t n, size_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* ---- making and freeing --------------------------------------------------------------------- */

/*
 * Collective over the node; fails alone. A rank's part holds its exponents, then its SLOTS slots;
 * the leader's part goes on with `window` sums, the exponents of all nodes and its board. Each
 * begins at a multiple of 64 bytes, a cache line. The size depends on segments, not on the vector,
 * but for the exponents: 2 bytes for each GR_RING_BLOCK elements.
 */
static gr_status make_window(struct gr_aggregator *aggregator) {
    gr_status status = GR_OK;
    struct gr_comm *comm = aggregator->comm;
    size_t exponents = round_up(aggregator->n_blocks * sizeof(int16_t), 64);
    /* A rank alone in its node has nothing to add: its encoding is the node's sum. */
    size_t slots = comm->node_size > 1 ? SLOTS * aggregator->segment * aggregator->element : 0;
    size_t sums = round_up(aggregator->buffers * aggregator->segment * aggregator->element, 64);
    if (aggregator->in_total) sums = 0;
    size_t bytes = exponents + slots;
    if (gr_comm_leads(comm)) bytes += sums + exponents + sizeof *aggregator->board;
    GR_TRY(gr_window_create(comm, bytes, &aggregator->window));
    GR_TRY(gr_allocate((size_t)comm->node_size, sizeof(int16_t *), "exponents",
                       &aggregator->exponents_of));
    GR_TRY(gr_allocate((size_t)comm->node_size, sizeof(char *), "slots", &aggregator->slots_of));
    for (int i = 0; i < comm->node_size; i++) {
        aggregator->exponents_of[i] = aggregator->window.part[i];
        aggregator->slots_of[i] = (char *)aggregator->window.part[i] + exponents;
    }
    aggregator->sums = aggregator->slots_of[0] + slots;
    aggregator->exponents_all = (int16_t *)(void *)(aggregator->sums + sums);
    aggregator->board = (struct gr_board *)(void *)(aggregator->sums + sums + exponents);
out:
    return status;
}

/*
 * Not collective. Memory of this process alone. The total is kept from epoch to epoch, for a total
 * that all hold is still decoded after its epoch has ended; leaders of several nodes get the relay.
 */
static gr_status make_local(struct gr_aggregator *aggregator) {
    gr_status status = GR_OK;
    struct gr_comm *comm = aggregator->comm;
    GR_TRY(gr_allocate(aggregator->n_blocks, sizeof(int16_t), "exponents", &aggregator->exponents));
    if (!aggregator->total)
        GR_TRY(gr_allocate(aggregator->size, aggregator->element, "the sum of updates",
                           &aggregator->total));
    if (gr_comm_leads(comm) && comm->nodes > 1 && aggregator->n_segments > 0) {
        GR_TRY(
            gr_allocate(aggregator->n_blocks, sizeof(int16_t), "exponents", &aggregator->scratch));
        const struct gr_relay_shape shape = {.codec = aggregator->codec,
                                             .size = aggregator->size,
                                             .segment = aggregator->segment,
                                             .window = aggregator->buffers,
                                             .whole = aggregator->in_total,
                                             .floats = aggregator->floats};
        GR_TRY(gr_relay_create(comm, &shape,
                               aggregator->in_total ? aggregator->total : aggregator->sums,
                               aggregator->board->place, &aggregator->relay));
    }
out:
    return status;
}

/* Releases all that belongs to the epoch, and is safe to call on parts that were never made: `make`
 * begins with it. The total stays. */
static void unmake(struct gr_aggregator *aggregator) {
    gr_relay_release(&aggregator->relay);
    gr_window_release(&aggregator->window);
    gr_free(aggregator->exponents_of);
    gr_free(aggregator->slots_of);
    gr_free(aggregator->exponents);
    gr_free(aggregator->scratch);
    aggregator->exponents_of = NULL;
    aggregator->slots_of = NULL;
    aggregator->exponents = aggregator->scratch = NULL;
    aggregator->made = false;
}

/*
 * Collective. All that belongs to an epoch: called by the first sum in it, since the members, the
 * nodes and the leaders change with the epoch. A rank without memory fails all, before any of them
 * enters the pipeline, where the others would wait for it.
 */
static gr_status make(struct gr_aggregator *aggregator) {
    gr_status status = GR_OK;
    struct gr_comm *comm = aggregator->comm;
    unmake(aggregator);
    aggregator->epoch = comm->epoch;
    aggregator->trials.took = GR_BETWEEN_AUTO; /* others may have had another sum last */
    aggregator->trials.took_s = 0;
    aggregator->buffers = LAG_KEEP;
    if (comm->nodes > 1)
        aggregator->buffers = gr_relay_window(comm, aggregator->segment * aggregator->element,
                                              aggregator->n_segments);
    /* A rank that is its whole job shares its sums with nobody, and no message of MPI, which might
     * not let go of its memory, reads or writes them. */
    aggregator->in_total = comm->locals == 1;
    gr_status mine = make_window(aggregator);
    if (mine == GR_OK) mine = make_local(aggregator);
    GR_TRY(gr_comm_agree(comm, mine));
    aggregator->made = true;
out:
    return status;
}

/*
 * After a loss in a sum. A request that cannot be cancelled may still write into these buffers,
 * even after the epoch has ended: they are then left to MPI for good rather than freed. The leak is
 * bounded by the number of losses, and by a few segments each.
 */
static void abandon(struct gr_aggregator *aggregator) {
    gr_relay_abandon(&aggregator->relay);
    if (aggregator->comm->pending > 0) {
        aggregator->relay = (struct gr_relay){0};
        aggregator->window = (struct gr_window){.mine.fd = -1};
        aggregator->exponents = aggregator->scratch = NULL;
    }
    unmake(aggregator);
}

gr_status gr_aggregator_create_with(struct gr_comm *comm, const struct gr_layout *layout,
                                    const struct gr_aggregator_options *options,
                                    struct gr_aggregator **out) {
    static const struct gr_codec *const codecs[] = {[GR_ENCODING_RING64] = &gr_codec_ring64,
                                                    [GR_ENCODING_RING32] = &gr_codec_ring32,
                                                    [GR_ENCODING_RING16] = &gr_codec_ring16,
                                                    [GR_ENCODING_FLOAT32] = &gr_codec_float32};
    struct gr_aggregator *aggregator = NULL;
    const bool combines = options->combination.combine != NULL;
    *out = NULL;
    if (options->stage.apply && (combines || options->encoding == GR_ENCODING_FLOAT32))
        return gr_fail(GR_ERROR_INTERNAL, "a stage where no integers are added up");
    gr_status status = gr_allocate_zero(1, sizeof *aggregator, "aggregator", &aggregator);
    *out = aggregator;
    if (status != GR_OK) return status;
    aggregator->comm = comm;
    aggregator->layout = layout;
    aggregator->window.mine.fd = aggregator->transpose.window.mine.fd = -1;
    aggregator->combination = options->combination;
    aggregator->codec = combines ? &gr_codec_float32 : codecs[options->encoding];
    aggregator->floats = aggregator->codec == &gr_codec_float32;
    aggregator->element = aggregator->codec->element;
    aggregator->steps = options->steps;
    aggregator->grid = options->grid;
    aggregator->stage = options->stage;
    aggregator->between = options->between;
    aggregator->n_vectors = options->n_vectors > 0 ? options->n_vectors : 1;
    aggregator->span = round_up(layout->size > 0 ? layout->size : 1, GR_RING_BLOCK);
    aggregator->size = (aggregator->n_vectors - 1) * aggregator->span + layout->size;
    aggregator->n_blocks = (aggregator->size + GR_RING_BLOCK - 1) / GR_RING_BLOCK;
    const size_t blocks =
        gr_relay_segment_blocks(comm, aggregator->size * aggregator->element, aggregator->element);
    aggregator->segment = gr_smaller(blocks, aggregator->n_blocks) * GR_RING_BLOCK;
    aggregator->n_segments = (aggregator->n_blocks + blocks - 1) / blocks;
    const bool known = aggregator->floats || aggregator->grid.clip_norm > 0;
    gr_running_create(aggregator->codec, aggregator->span, aggregator->n_blocks,
                      known ? 1 : GR_RUNNING_PLANES, &aggregator->running);
    return GR_OK;
}

gr_status gr_aggregator_create(struct gr_comm *comm, const struct gr_layout *layout,
                               enum gr_encoding encoding, struct gr_aggregator **out) {
    const struct gr_aggregator_options options = {.encoding = encoding};
    return gr_aggregator_create_with(comm, layout, &options, out);
}

void gr_aggregator_free(struct gr_aggregator *aggregator) {
    if (!aggregator) return;
    unmake(aggregator);
    gr_transpose_release(&aggregator->transpose);
    gr_running_release(&aggregator->running);
    gr_free(aggregator->multiplier);
    gr_free(aggregator->total);
    gr_free(aggregator);
}

/* ---- contributions as they come -------------------------------------------------------------- */

void gr_aggregate_begin(struct gr_aggregator *aggregator, uint32_t n_expected,
                        struct gr_source source) {
    int64_t bound;
    const bool is_public = aggregator->grid.clip_norm > 0;
    if (n_expected == 0) n_expected = 1; /* not known: of no division by it */
    const int16_t known =
        (int16_t)(is_public ? gr_sum_public_exponent(aggregator, n_expected, &bound) : 0);
    aggregator->source = source;
    gr_running_begin(&aggregator->running, n_expected, known);
}

/* What ring16 leaves over follows from the grid of the sum, element by element, and is kept for
 * each silo: its vectors would be needed twice. A combination needs all rows side by side. */
size_t gr_aggregate_many(const struct gr_aggregator *aggregator) {
    if (aggregator->combination.combine || !aggregator->codec->encode) return SIZE_MAX;
    /* The planes, and the contribution that is made beside them. */
    return gr_running_bytes(&aggregator->running) / sizeof(float) + 2;
}

gr_status gr_aggregate_add(struct gr_aggregator *aggregator, struct gr_contribution *contribution,
                           int headroom) {
    gr_status status = GR_OK;
    struct gr_running_sum *running = &aggregator->running;
    float multiplier = gr_sum_weight(contribution);
    if (gr_aggregate_many(aggregator) == SIZE_MAX)
        return gr_fail(GR_ERROR_INTERNAL, "a sum that needs all vectors at once");
    if (aggregator->grid.clip_norm > 0)
        GR_TRY(gr_sum_cut(aggregator, contribution,
                          running->exact ? running->expected[0] : running->known, &multiplier));
    else
        GR_TRY(gr_sum_check_products(aggregator, contribution));
    GR_TRY(gr_running_add(running, contribution->vector, aggregator->layout->size, multiplier,
                          headroom));
    for (size_t v = 0; v < aggregator->n_vectors; v++)
        contribution->vector[v] = NULL;
out:
    return status;
}

/*
 * Not collective, on the grid that all have agreed on. A repetition that a loss has ended is due in
 * the sum that follows. On a public grid another exponent cuts updates by another rounding, so
 * there they may differ a little.
 */
static gr_status settle(const struct gr_sum *call) {
    struct gr_aggregator *aggregator = call->aggregator;
    struct gr_running_sum *running = &aggregator->running;
    const size_t size = aggregator->layout->size;
    const bool is_public = aggregator->grid.clip_norm > 0;
    if (gr_running_settle(running, aggregator->exponents, size)) return GR_OK;
    gr_running_repeat(running);
    const gr_status status = aggregator->source.again(aggregator->source.context);
    const bool same = gr_running_repeated(running, status == GR_OK);
    if (status != GR_OK) return status;
    if ((same || is_public) && gr_running_settle(running, aggregator->exponents, size))
        return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL, "contributions differ when they are made once more");
}

/* ---- the pipeline --------------------------------------------------------------------------- */

/* Elements of segment k; only the last may be shorter. */
static size_t elements(const struct gr_aggregator *aggregator, size_t k) {
    return gr_smaller(aggregator->segment, aggregator->size - k * aggregator->segment);
}

/* Where the total of element `at` lies. */
static char *total_of(const struct gr_aggregator *aggregator, size_t at) {
    return aggregator->total + at * aggregator->element;
}

/* Where the node's sum of segment k lies: in the leader's part, or in its place in the total. */
static char *sum_of(const struct gr_aggregator *aggregator, size_t k) {
    assert(aggregator->buffers > 0);
    if (aggregator->in_total) return total_of(aggregator, k * aggregator->segment);
    size_t buffer = k % aggregator->buffers;
    if (aggregator->comm->nodes > 1) buffer = aggregator->board->place[buffer];
    return aggregator->sums + buffer * aggregator->segment * aggregator->element;
}

/*
 * Where a rank encodes segment k. Slots alternate: slot k % 2 is read in the step after it was
 * written, while the other one is being written. A rank alone in its node encodes into the sum
 * itself and saves a copy.
 */
static char *slot_of(const struct gr_aggregator *aggregator, int node_rank, size_t k) {
    if (aggregator->comm->node_size == 1) return sum_of(aggregator, k);
    return aggregator->slots_of[node_rank] + k % SLOTS * aggregator->segment * aggregator->element;
}

#ifndef NDEBUG
/* The bound that makes overflow impossible, looked at where time does not matter. */
static void check_bound(const struct gr_sum *call, const void *sums, size_t n) {
    const size_t element = call->aggregator->element;
    int64_t bound = (int64_t)call->n_mine * call->bound;
    if (element == sizeof(int64_t)) bound += bound >> 23; /* of the product before its rounding */
    for (size_t i = 0; i < n; i++) {
        int64_t q = element == sizeof(int64_t)   ? ((const int64_t *)sums)[i]
                    : element == sizeof(int32_t) ? ((const int32_t *)sums)[i]
                                                 : ((const int16_t *)sums)[i];
        if (q > bound || q < -bound) abort();
    }
}
#endif

/*
 * A block of ring16; `at`, where it lies in the sum, is a multiple of GR_RING_BLOCK. Its random
 * numbers are found by `at` in the stream of the contribution (seed, silo, round), not drawn one
 * after the other: so neither placement nor segments change the bits of the rounding.
 */
static void encode_narrow(const struct gr_contribution *from, size_t at, struct gr_span span,
                          int16_t exponent, bool add, void *sums) {
    enum { NUMBERS_A_BLOCK = 8 }; /* of 16 bits, in each block of the random stream */
    float p[GR_RING_BLOCK];
    union {
        uint32_t words[GR_RING_BLOCK / 2];
        uint16_t numbers[GR_RING_BLOCK]; /* the lower half first */
    } noise;
    _Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "halves of words in their order");
    gr_sum_weigh(from, span, p);
    gr_stream_words(from->rounding, (uint32_t)(at / NUMBERS_A_BLOCK), noise.words,
                    (span.n + 1) / 2);
    gr_ring16_encode(p, noise.numbers, exponent, add, sums, from->lefts[span.vector] + span.begin,
                     span.n);
}

/* A block of contribution c, added to `sums`, or in their place. */
static void encode_one(const struct gr_sum *call, size_t c, size_t at, struct gr_span span,
                       bool add, void *sums) {
    const struct gr_aggregator *aggregator = call->aggregator;
    const struct gr_codec *codec = aggregator->codec;
    const struct gr_contribution *from = &call->mine[c];
    const int16_t exponent = aggregator->exponents[at / GR_RING_BLOCK];
    const bool is_public = aggregator->grid.clip_norm > 0;
    const float multiplier = is_public ? aggregator->multiplier[c] : (float)from->weight;
    if (!codec->encode)
        encode_narrow(from, at, span, exponent, add, sums);
    else
        (add ? codec->add_encoded : codec->encode)(from->vector[span.vector] + span.begin,
                                                   multiplier, exponent, sums, span.n);
}

/*
 * A block of n elements of the sum, of all of this rank's contributions; zeros where it has none.
 * Words between the end of a vector and the next block are added and kept like all others; they are
 * set to 0, for the slot still holds an earlier segment.
 */
static void encode_block(const struct gr_sum *call, size_t at, size_t n, char *sums) {
    const struct gr_aggregator *aggregator = call->aggregator;
    const size_t element = aggregator->element;
    const struct gr_span span = gr_sum_span(aggregator, at, n);
    const size_t empty = call->n_mine > 0 ? span.n : 0;
    if (aggregator->running.n > 0)
        gr_running_take(&aggregator->running, at / GR_RING_BLOCK,
                        aggregator->exponents[at / GR_RING_BLOCK], sums, span.n);
    for (size_t c = 0; c < call->n_mine && aggregator->running.n == 0; c++)
        encode_one(call, c, at, span, c > 0, sums);
    memset(sums + empty * element, 0, (n - empty) * element);
}

/* Words pass the stage in memory of this process alone, before others can read them. */
static void encode_staged(const struct gr_sum *call, size_t at, size_t n, char *sums) {
    const struct gr_aggregator *aggregator = call->aggregator;
    const size_t element = aggregator->element;
    const struct gr_stage_key key = {.at = at,
                                     .exponent = aggregator->exponents[at / GR_RING_BLOCK]};
    _Alignas(64) uint64_t alone[GR_RING_BLOCK]; /* or narrower words */
    encode_block(call, at, n, (char *)alone);
    aggregator->stage.apply(aggregator->stage.context, key, alone, element,
                            gr_sum_span(aggregator, at, n).n);
    memcpy(sums, alone, n * element);
}

/* A rank without contributions offers zeros: every slot of the node is read. */
static void encode_segment(const struct gr_sum *call, size_t k) {
    const struct gr_aggregator *aggregator = call->aggregator;
    struct gr_comm *comm = aggregator->comm;
    size_t begin = k * aggregator->segment, n = elements(aggregator, k);
    char *slot = slot_of(aggregator, comm->node_rank, k);
    if (comm->node_size > 1) comm->bytes_sent += n * aggregator->element;
    for (size_t i = 0; i < n; i += GR_RING_BLOCK)
        (aggregator->stage.apply ? encode_staged : encode_block)(
            call, begin + i, gr_smaller(GR_RING_BLOCK, n - i), slot + i * aggregator->element);
#ifndef NDEBUG
    if (!aggregator->floats && !aggregator->stage.apply) check_bound(call, slot, n);
#endif
}

/*
 * This rank's slice of the node's sum: each rank adds up its share of the segment, so that the work
 * is divided by the ranks of the node. It goes block by block so that the slice stays in the cache.
 * Ranks are added in ascending order; in the ring the order has no effect, but float32 needs a
 * fixed one to give the same bits in each run on the same ranks.
 */
static void sum_segment(const struct gr_sum *call, size_t k) {
    const struct gr_aggregator *aggregator = call->aggregator;
    struct gr_comm *comm = aggregator->comm;
    if (comm->node_size == 1) return;
    size_t n = elements(aggregator, k), ranks = (size_t)comm->node_size;
    size_t slice = round_up((n + ranks - 1) / ranks, GR_LAYOUT_ALIGNMENT);
    size_t begin = gr_smaller(n, slice * (size_t)comm->node_rank),
           end = gr_smaller(n, begin + slice);
    char *sum = sum_of(aggregator, k);
    comm->bytes_sent += (end - begin) * aggregator->element;
    for (size_t i = begin; i < end; i += GR_RING_BLOCK) {
        size_t part = gr_smaller(GR_RING_BLOCK, end - i);
        aggregator->codec->add(slot_of(aggregator, 0, k) + i * aggregator->element,
                               slot_of(aggregator, 1, k) + i * aggregator->element,
                               sum + i * aggregator->element, part);
        for (int r = 2; r < comm->node_size; r++)
            aggregator->codec->add(sum + i * aggregator->element,
                                   slot_of(aggregator, r, k) + i * aggregator->element,
                                   sum + i * aggregator->element, part);
    }
}

/* Not collective. Decodes within one block, which has one exponent; `begin` lies in it. */
static void decode_block(const struct gr_aggregator *aggregator, size_t begin, float *mean,
                         size_t n) {
    aggregator->codec->decode(total_of(aggregator, begin),
                              aggregator->exponents[begin / GR_RING_BLOCK],
                              aggregator->total_weight, mean, n);
}

/*
 * Sums of floats may leave their range, which no sum of integers on the grid can. The means are
 * decoded to find out, and thrown away; the first that is not finite is noted. Every rank finds the
 * same element, for all hold the same total.
 */
static void check_range(struct gr_sum *call, size_t begin, size_t n) {
    float mean[GR_RING_BLOCK];
    for (size_t i = 0; i < n && !call->overflow; i += GR_RING_BLOCK) {
        size_t block = gr_smaller(GR_RING_BLOCK, n - i), at = 0;
        decode_block(call->aggregator, begin + i, mean, block);
        uint32_t largest = gr_ring_largest(mean, 1, block);
        if (gr_ring_exponent(largest, 1) != GR_RING_EXPONENT_REFUSED) continue;
        while (isfinite(mean[at]))
            at++;
        call->overflow = true;
        call->overflow_at = begin + i + at;
    }
}

/* The sum over all ranks, out of the window into this rank's own memory: the buffer is used again
 * and ends with its epoch, while the total must outlive both. */
static void keep_segment(struct gr_sum *call, size_t k) {
    const struct gr_aggregator *aggregator = call->aggregator;
    const size_t begin = k * aggregator->segment, n = elements(aggregator, k);
    if (!aggregator->in_total)
        memcpy(total_of(aggregator, begin), sum_of(aggregator, k), n * aggregator->element);
    if (aggregator->floats && aggregator->total_weight > 0) check_range(call, begin, n);
}

/* A step and the two before it. */
struct gr_steps {
    struct gr_step now, before, earlier;
};

/* Step t: without a leader's decision in one node, where nothing is waited for but the node. */
static void next_step(const struct gr_aggregator *aggregator, size_t t, struct gr_steps *steps) {
    const size_t n = aggregator->n_segments;
    steps->earlier = steps->before;
    steps->before = steps->now;
    if (aggregator->comm->nodes > 1 && t > 0)
        steps->now = aggregator->board->step[t % 2];
    else
        steps->now = (struct gr_step){.encoded = gr_smaller(t + 1, n),
                                      .kept = t < LAG_KEEP ? 0 : gr_smaller(t + 1 - LAG_KEEP, n)};
}

/* A rank's share of a step; what is furthest on first, for a rank alone encodes into the buffer
 * that it frees. */
static void take_step(struct gr_sum *call, const struct gr_steps *steps) {
    for (size_t k = steps->before.kept; k < steps->now.kept; k++)
        keep_segment(call, k);
    for (size_t k = steps->earlier.encoded; k < steps->before.encoded; k++)
        sum_segment(call, k);
    for (size_t k = steps->before.encoded; k < steps->now.encoded; k++)
        encode_segment(call, k);
}

/* The leader's part before its share of a step: the node has finished the step before, and its sums
 * of the segments that were encoded yet earlier go on. */
static gr_status relay_step(struct gr_aggregator *aggregator, const struct gr_steps *steps) {
    if (aggregator->comm->node_size == 1) return GR_OK;
    gr_relay_offer(&aggregator->relay, steps->earlier.encoded);
    gr_relay_keep(&aggregator->relay, steps->before.kept);
    return gr_relay_move(&aggregator->relay, false);
}

/*
 * The leader's part after its share: step t + 1. Where nothing has become whole, there is no room
 * to begin another segment and the node has nothing half done, the step is put off until a message
 * has come. A leader alone in its node knows that it has finished; of others it knows in the next
 * step.
 */
static gr_status decide_step(struct gr_aggregator *aggregator, size_t t,
                             const struct gr_steps *steps) {
    gr_status status = GR_OK;
    struct gr_relay *relay = &aggregator->relay;
    struct gr_step *next = &aggregator->board->step[(t + 1) % 2];
    const struct gr_step *now = &steps->now;
    const bool alone = aggregator->comm->node_size == 1;
    const bool half_done =
        !alone && (now->encoded > steps->earlier.encoded || now->kept > steps->before.kept);
    if (alone) {
        gr_relay_offer(relay, now->encoded);
        gr_relay_keep(relay, now->kept);
    }
    for (bool wait = false;; wait = true) {
        GR_TRY(gr_relay_move(relay, wait));
        *next = (struct gr_step){now->encoded, gr_relay_whole(relay)};
        if (next->encoded < aggregator->n_segments && gr_relay_begin(relay)) next->encoded++;
        if (half_done || next->kept > now->kept || next->encoded > now->encoded) break;
    }
out:
    return status;
}

/*
 * Collective. The barrier between two steps is the only synchronisation: within a step no buffer is
 * written by one rank and touched by another. GR_LOST when a member dies: the segments kept so far
 * are then worthless, and `held` stays false.
 */
static gr_status run_pipeline(struct gr_sum *call) {
    gr_status status = GR_OK;
    struct gr_aggregator *aggregator = call->aggregator;
    struct gr_comm *comm = aggregator->comm;
    const bool relays = comm->nodes > 1 && gr_comm_leads(comm) && aggregator->n_segments > 0;
    struct gr_steps steps = {0};
    const double begin_s = gr_clock_seconds();
    if (relays) {
        gr_relay_start(&aggregator->relay, aggregator->trials.way);
        (void)gr_relay_begin(&aggregator->relay);
    }
    for (size_t t = 0; steps.now.kept < aggregator->n_segments; t++) {
        if (t > 0) GR_TRY(gr_node_barrier(comm, "a segment of a sum"));
        next_step(aggregator, t, &steps);
        if (relays) GR_TRY(relay_step(aggregator, &steps));
        take_step(call, &steps);
        if (relays && steps.now.kept < aggregator->n_segments)
            GR_TRY(decide_step(aggregator, t, &steps));
    }
    if (relays) {
        gr_relay_keep(&aggregator->relay, aggregator->n_segments);
        GR_TRY(gr_relay_finish(&aggregator->relay));
    }
    aggregator->trials.took = aggregator->trials.way;
    aggregator->trials.took_s = gr_clock_seconds() - begin_s;
out:
    return status;
}

/*
 * Collective. The sum, into the total. In this order: memory of the epoch, weights, the grid, the
 * pipeline. Memory and weights end in an exchange of all, and the grid fails on all or on none, so
 * no rank enters the pipeline unless all do. A rank whose contributions cannot be made once more is
 * lost to the others.
 */
static gr_status add_up(struct gr_sum *call) {
    gr_status status = GR_OK;
    struct gr_aggregator *aggregator = call->aggregator;
    if (!aggregator->made || aggregator->epoch != aggregator->comm->epoch) GR_TRY(make(aggregator));
    GR_TRY(gr_sum_weights(call));
    GR_TRY(aggregator->grid.clip_norm > 0 ? gr_sum_public_grid(call) : gr_sum_agree_grid(call));
    GR_TRY(settle(call));
    GR_TRY(run_pipeline(call));
    aggregator->held = true;
    /* The same on all ranks, for their totals are. */
    if (call->overflow) {
        const struct gr_tensor *tensor =
            gr_layout_find(aggregator->layout, call->overflow_at % aggregator->span);
        status = gr_fail(GR_ERROR_DATA, "sum of updates of %s leaves the range of float32",
                         tensor ? tensor->name : "no tensor");
    }
out:
    return status;
}

/*
 * Collective. The combined updates, into the total, which holds floats and not integers here.
 * Values are checked before the transpose, for a NaN would pass through a median or a norm
 * unnoticed.
 */
static gr_status combine(struct gr_sum *call) {
    gr_status status = GR_OK, mine = GR_OK;
    struct gr_aggregator *aggregator = call->aggregator;
    const size_t size = aggregator->layout->size;
    GR_TRY(gr_sum_weights(call));
    if (!aggregator->total)
        mine = gr_allocate(size, aggregator->element, "combined updates", &aggregator->total);
    if (mine == GR_OK) mine = gr_sum_check_finite(call);
    GR_TRY(gr_comm_agree(aggregator->comm, mine));
    GR_TRY(gr_transpose_combine(aggregator->comm, &aggregator->transpose, call->mine, call->n_mine,
                                call->n_members, size, &aggregator->combination,
                                (float *)(void *)aggregator->total));
    aggregator->held = true;
out:
    if (status == GR_LOST || status == GR_ERROR_INTERNAL)
        gr_transpose_abandon(aggregator->comm, &aggregator->transpose);
    return status;
}

gr_status gr_aggregate_total(struct gr_aggregator *aggregator, const struct gr_contribution *mine,
                             size_t n_mine, uint32_t n_members) {
    struct gr_sum call = {
        .aggregator = aggregator, .mine = mine, .n_mine = n_mine, .n_members = n_members};
    aggregator->held = false;
    aggregator->staged = aggregator->stage.apply && !aggregator->stage.stays;
    aggregator->clear_riders = false;
    aggregator->clear = 0;
    if (aggregator->combination.combine) return combine(&call);
    gr_status status = add_up(&call);
    if (status == GR_LOST || status == GR_ERROR_INTERNAL) abandon(aggregator);
    return status;
}

void gr_aggregate_decode(const struct gr_aggregator *aggregator, size_t vector, size_t begin,
                         float *mean, size_t n) {
    assert(aggregator->held && !aggregator->staged && begin % GR_RING_BLOCK == 0 &&
           vector < aggregator->n_vectors);
    if (aggregator->combination.combine) {
        memcpy(mean, total_of(aggregator, begin), n * sizeof *mean);
        return;
    }
    begin += vector * aggregator->span;
    if (!(aggregator->total_weight > 0)) {
        memset(mean, 0, n * sizeof *mean);
        return;
    }
    for (size_t i = 0; i < n; i += GR_RING_BLOCK)
        decode_block(aggregator, begin + i, mean + i, gr_smaller(GR_RING_BLOCK, n - i));
}

double gr_aggregate_steps(const struct gr_aggregator *aggregator) {
    if (!(aggregator->total_weight > 0)) return 0;
    return aggregator->total_steps / aggregator->total_weight;
}

const int64_t *gr_aggregate_riders(const struct gr_aggregator *aggregator, size_t *n) {
    *n = GR_SUM_RIDERS;
    return aggregator->riders;
}

const void *gr_aggregate_words(const struct gr_aggregator *aggregator, size_t *bytes) {
    *bytes = aggregator->size * aggregator->element;
    return aggregator->total;
}

/* Elements begin .. end - 1 of the sum, of which the first is that of a block; `words` are theirs.
 */
static void take_off(const struct gr_aggregator *aggregator, const struct gr_stage *remove,
                     size_t begin, size_t end, char *words) {
    for (size_t at = begin; at < end; at += GR_RING_BLOCK) {
        const struct gr_span span =
            gr_sum_span(aggregator, at, gr_smaller(GR_RING_BLOCK, end - at));
        const struct gr_stage_key key = {.at = at,
                                         .exponent = aggregator->exponents[at / GR_RING_BLOCK]};
        remove->apply(remove->context, key, words + (at - begin) * aggregator->element,
                      aggregator->element, span.n);
    }
}

static gr_status take_off_riders(struct gr_aggregator *aggregator, const struct gr_stage *remove) {
    assert(aggregator->held && aggregator->staged);
    if (aggregator->clear_riders) return GR_OK;
    remove->apply(remove->context, (struct gr_stage_key){.riders = true}, aggregator->riders,
                  sizeof *aggregator->riders, GR_SUM_RIDERS);
    aggregator->clear_riders = true;
    return gr_sum_take_riders(aggregator);
}

gr_status gr_aggregate_unstage(struct gr_aggregator *aggregator, const struct gr_stage *remove) {
    const gr_status status = take_off_riders(aggregator, remove);
    if (status != GR_OK) return status;
    if (remove->midway) remove->midway(remove->context);
    take_off(aggregator, remove, aggregator->clear, aggregator->size,
             total_of(aggregator, aggregator->clear));
    aggregator->staged = false;
    return GR_OK;
}

/* Step k: each rank's piece of the total, in whole blocks, into its slot, which all then read.
 * Slots alternate, so that one barrier a step is enough. */
static gr_status unstage_step(struct gr_aggregator *aggregator, const struct gr_stage *remove,
                              size_t piece, size_t k) {
    struct gr_comm *comm = aggregator->comm;
    const size_t ranks = (size_t)comm->node_size, first = k * ranks * piece;
    const size_t begin = gr_smaller(aggregator->size, first + (size_t)comm->node_rank * piece),
                 end = gr_smaller(aggregator->size, begin + piece);
    char *slot = slot_of(aggregator, comm->node_rank, k);
    memcpy(slot, total_of(aggregator, begin), (end - begin) * aggregator->element);
    take_off(aggregator, remove, begin, end, slot);
    comm->bytes_sent += (end - begin) * aggregator->element;
    const gr_status status = gr_node_barrier(comm, "masks to be taken off");
    if (status != GR_OK) return status;
    size_t at = first;
    for (int rank = 0; rank < comm->node_size && at < aggregator->size; rank++) {
        const size_t n = gr_smaller(piece, aggregator->size - at);
        memcpy(total_of(aggregator, at), slot_of(aggregator, rank, k), n * aggregator->element);
        at += n;
    }
    aggregator->clear = at;
    return GR_OK;
}

/* As few steps as the ranks' slots allow, of pieces of one size. */
gr_status gr_aggregate_unstage_together(struct gr_aggregator *aggregator,
                                        const struct gr_stage *remove) {
    gr_status status = GR_OK;
    struct gr_comm *comm = aggregator->comm;
    assert(aggregator->made && aggregator->epoch == comm->epoch);
    if (comm->node_size == 1) return gr_aggregate_unstage(aggregator, remove);
    GR_TRY(take_off_riders(aggregator, remove)); /* the same on all ranks */
    const size_t ranks = (size_t)comm->node_size, size = aggregator->size;
    const size_t n_steps = (aggregator->n_segments + ranks - 1) / ranks, pieces = ranks * n_steps;
    const size_t piece = pieces > 0 ? round_up((size + pieces - 1) / pieces, GR_RING_BLOCK) : 0;
    for (size_t k = 0; k < n_steps; k++) {
        GR_TRY(unstage_step(aggregator, remove, piece, k));
        if (remove->midway) remove->midway(remove->context);
    }
    GR_TRY(gr_node_barrier(comm, "masks to be taken off")); /* the slots are used again */
    aggregator->staged = false;
out:
    return status;
}

bool gr_aggregate_holds(const struct gr_aggregator *aggregator) {
    return aggregator->held;
}

uint64_t gr_aggregate_examples(const struct gr_aggregator *aggregator) {
    return aggregator->examples;
}

int64_t gr_aggregate_tally(const struct gr_aggregator *aggregator) {
    return aggregator->tally;
}

void gr_aggregate_forget(struct gr_aggregator *aggregator) {
    aggregator->held = false;
}

/* The agreement takes the place of gr_control_seal: no rank decodes before all hold the total. */
gr_status gr_aggregate(struct gr_aggregator *aggregator, const struct gr_contribution *mine,
                       size_t n_mine, uint32_t n_members, float *mean, uint64_t *examples) {
    gr_status status = GR_OK;
    GR_TRY(gr_aggregate_total(aggregator, mine, n_mine, n_members));
    GR_TRY(gr_comm_agree(aggregator->comm, GR_OK));
    for (size_t v = 0; v < aggregator->n_vectors; v++)
        gr_aggregate_decode(aggregator, v, 0, mean + v * aggregator->layout->size,
                            aggregator->layout->size);
    *examples = gr_aggregate_examples(aggregator);
    gr_aggregate_forget(aggregator);
out:
    return status;
}
