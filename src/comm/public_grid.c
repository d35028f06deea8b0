/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A grid that follows from public numbers alone: one exponent for the whole vector, for K silos
 * with weights of at most weight_max and updates of at most clip_norm. Nothing about an update
 * leaves before the sum, and its exponent does not change when a silo is lost.
 *
 * A longer update is cut to clip_norm. The integers that enter the sum are then looked at once
 * more: the squares of an update's integers, added up exactly, are at most B^2, where
 * B = floor(clip_norm weight_max / 2^exponent). Rounding to nearest may lift the norm by up to
 * sqrt(n) / 2; where it lifts it above B, the update is cut a little more.
 */
#include <math.h>
#include <string.h>

#include "comm/aggregate.h"

__extension__ typedef unsigned __int128 wide; /* a sum of squares of 63-bit numbers */

/* The largest float32 that is not above. */
static float round_down(double x) {
    const float y = (float)x;
    return (double)y > x ? nextafterf(y, 0) : y;
}

/* Rounded down, not to nearest: a weight above weight_max by a rounding would break the bound that
 * the exponent stands on. */
float gr_sum_capped(const struct gr_aggregator *aggregator, double weight) {
    const double most = aggregator->grid.weight_max;
    return weight > most ? round_down(most) : round_down(weight);
}

/* In a defined order, the same for every compiler: eight partial sums, which a vector unit can
 * hold, then their sum. Values that are not finite make it not finite. */
static double squares_of(const float *x, size_t n) {
    enum { LANES = 8 };
    double lane[LANES] = {0}, sum = 0;
    for (size_t i = 0; i < n; i++)
        lane[i % LANES] += (double)x[i] * (double)x[i];
    for (size_t l = 0; l < LANES; l++)
        sum += lane[l];
    return sum;
}

/* The i-th integer of a block, without its sign; taken in unsigned words, where the least int64 has
 * a magnitude too. */
static uint64_t magnitude_of(const void *integers, size_t element, size_t i) {
    int64_t q;
    if (element == sizeof q)
        memcpy(&q, (const char *)integers + i * element, sizeof q);
    else
        q = ((const int32_t *)integers)[i];
    return q < 0 ? 0 - (uint64_t)q : (uint64_t)q;
}

/*
 * Squares of the integers of an update times `multiplier`, added up exactly: no rounding may lift a
 * norm above B unseen. 128 bits suffice: after the clip the norm is at most B and the lift
 * together, and B is below 2^62.
 */
static wide integer_squares(const struct gr_aggregator *aggregator, const float *update,
                            float multiplier, int16_t exponent) {
    const size_t size = aggregator->layout->size, element = aggregator->element;
    _Alignas(64) int64_t integers[GR_RING_BLOCK] = {0}; /* or twice as many narrower ones */
    wide sum = 0;
    for (size_t begin = 0; begin < size; begin += GR_RING_BLOCK) {
        const size_t n = gr_smaller(GR_RING_BLOCK, size - begin);
        aggregator->codec->encode(update + begin, multiplier, exponent, integers, n);
        for (size_t i = 0; i < n; i++) {
            const uint64_t magnitude = magnitude_of(integers, element, i);
            sum += (wide)magnitude * magnitude;
        }
    }
    return sum;
}

/* What clip_norm and weight_max allow, in steps. */
static uint64_t most_of(double largest, int16_t exponent) {
    return (uint64_t)ldexp(largest, -exponent);
}

/*
 * The multiplier for an update, so that its integers have a norm of at most `most`. The clip alone
 * nearly always does it. Where rounding lifts the norm above, the update is cut so far that even
 * the largest lift, sqrt(n) / 2, stays within; 2^-20 covers the roundings of float32. The grid is
 * too coarse where that lift alone exceeds `most`.
 */
gr_status gr_sum_cut(const struct gr_aggregator *aggregator, const struct gr_contribution *from,
                     int16_t exponent, float *multiplier) {
    const double largest = aggregator->grid.clip_norm * aggregator->grid.weight_max;
    const uint64_t most = most_of(largest, exponent);
    const size_t size = aggregator->layout->size;
    const double norm = sqrt(squares_of(from->update, size));
    const double weight = (double)gr_sum_capped(aggregator, from->weight);
    const double clip = aggregator->grid.clip_norm, lift = sqrt((double)size) / 2;
    if (!isfinite(norm)) return gr_sum_refuse_update(aggregator->layout, from);
    *multiplier = round_down(norm > clip ? weight * (clip / norm) : weight);
    if (integer_squares(aggregator, from->update, *multiplier, exponent) <= (wide)most * most)
        return GR_OK;
    const double room = ((double)most - lift) * (1 - 0x1p-20);
    if (room > 0) *multiplier = round_down(fmin((double)*multiplier, ldexp(room / norm, exponent)));
    if (room > 0 &&
        integer_squares(aggregator, from->update, *multiplier, exponent) <= (wide)most * most)
        return GR_OK;
    return gr_fail(GR_ERROR_INTERNAL,
                   "%s: the grid of aggregation.clip_norm and aggregation.weight_max is too coarse "
                   "for %zu parameters",
                   from->pseudonym, size);
}

/* Not collective. The multipliers are kept for the encoding; their array only grows. Contributions
 * that were added as they came were cut then. */
static gr_status cut_all(struct gr_sum *call, int16_t exponent) {
    struct gr_aggregator *aggregator = call->aggregator;
    gr_status status = GR_OK;
    if (aggregator->running.n > 0) return GR_OK;
    if (call->n_mine > aggregator->n_multipliers) {
        gr_free(aggregator->multiplier);
        aggregator->multiplier = NULL;
        aggregator->n_multipliers = 0;
        GR_TRY(gr_allocate(call->n_mine, sizeof(float), "weights", &aggregator->multiplier));
        aggregator->n_multipliers = call->n_mine;
    }
    for (size_t c = 0; c < call->n_mine; c++)
        GR_TRY(gr_sum_cut(aggregator, &call->mine[c], exponent, &aggregator->multiplier[c]));
out:
    return status;
}

/*
 * The bound of each contribution is the codec's limit over the silos selected, not over those that
 * came: the exponent must not tell how many were lost. Noise takes the room of as many more as hold
 * 40 of its standard deviations, and is no wider than samplers reach.
 */
int16_t gr_sum_public_exponent(const struct gr_aggregator *aggregator, uint32_t n_members,
                               int64_t *bound) {
    const double largest = aggregator->grid.clip_norm * aggregator->grid.weight_max;
    const double noise = aggregator->grid.noise / largest;
    const uint32_t selected = aggregator->grid.n_selected;
    /* More than were selected: a silo whose rank came back beside the one that took its place. */
    const int64_t n = selected > n_members ? selected : n_members;
    int of_largest, of_bound;
    *bound = aggregator->codec->limit / (n + (int64_t)ceil(40 * noise));
    if (noise > 0 && (double)*bound * noise > 0x1p30) *bound = (int64_t)(0x1p30 / noise);
    const double mantissa = frexp(largest, &of_largest);
    const double of_all = frexp((double)*bound, &of_bound);
    return (int16_t)(of_largest - of_bound + (mantissa > of_all));
}

void gr_aggregate_clip(struct gr_aggregator *aggregator, double clip_norm, double noise) {
    aggregator->grid.clip_norm = clip_norm;
    aggregator->grid.noise = noise;
}

int gr_aggregate_exponent(const struct gr_aggregator *aggregator, uint32_t n_members,
                          uint64_t *bound) {
    const double largest = aggregator->grid.clip_norm * aggregator->grid.weight_max;
    int64_t most;
    const int16_t exponent = gr_sum_public_exponent(aggregator, n_members, &most);
    *bound = most_of(largest, exponent);
    return exponent;
}

gr_status gr_sum_public_grid(struct gr_sum *call) {
    struct gr_aggregator *aggregator = call->aggregator;
    const int16_t exponent = gr_sum_public_exponent(aggregator, call->n_members, &call->bound);
    for (size_t b = 0; b < aggregator->n_blocks; b++)
        aggregator->exponents[b] = exponent;
    return gr_comm_agree(aggregator->comm, cut_all(call, exponent));
}
