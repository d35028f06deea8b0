/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The draw: the silos that a round asks to take part. Each rank computes it for itself, without
 * communication: it depends on config, seed, round and sizes only, which all ranks have alike.
 */
#include <granary/federation.h>

#include <gsl/gsl_randist.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * Flags of the silos that may be drawn in this round: available (round.availability), present where
 * presence matters, and with rows where silos are drawn by size.
 */
static void find_eligible(const struct gr_draw *draw, uint32_t round, const uint8_t *present,
                          uint8_t *eligible) {
    gr_round_available(draw->round, round, draw->n_silos, eligible);
    for (uint32_t i = 0; i < draw->n_silos; i++)
        eligible[i] =
            eligible[i] && (!present || present[i]) && (!draw->sizes || draw->sizes[i] > 0);
}

struct arrival {
    double time;
    uint32_t silo;
};

static int compare_arrivals(const void *left, const void *right) {
    const struct arrival *a = left, *b = right;
    if (a->time != b->time) return a->time < b->time ? -1 : 1;
    return a->silo < b->silo ? -1 : 1;
}

/*
 * Silos arrive after exponential times of rate `size`: the next to arrive is each time drawn in
 * proportion to size among those that have not (Efraimidis and Spirakis 2006). Each silo consumes
 * exactly one random number, in the order of ids, so the draw of a silo does not depend on the
 * presence of others. A silo without rows never arrives; equal times are ordered by id.
 */
static gr_status order_by_size(const struct gr_draw *draw, gsl_rng *stream, uint32_t *order) {
    gr_status status;
    struct arrival *arrivals = NULL;
    GR_TRY(gr_allocate(draw->n_silos, sizeof *arrivals, "the sample of silos", &arrivals));
    for (uint32_t i = 0; i < draw->n_silos; i++) {
        const double time = gsl_ran_exponential(stream, 1);
        arrivals[i].time = draw->sizes[i] > 0 ? time / (double)draw->sizes[i] : (double)INFINITY;
        arrivals[i].silo = i;
    }
    qsort(arrivals, draw->n_silos, sizeof *arrivals, compare_arrivals);
    for (uint32_t i = 0; i < draw->n_silos; i++)
        order[i] = arrivals[i].silo;
out:
    gr_free(arrivals);
    return status;
}

/*
 * All n silos, in the order in which they are to be taken. The order is of all silos whether they
 * are present or not: so a silo that is away is replaced by the next in order, and no other silo's
 * place changes.
 */
static gr_status order_silos(const struct gr_draw *draw, uint32_t round, uint32_t n,
                             uint32_t *order) {
    gr_status status = GR_OK;
    gsl_rng *stream = NULL;
    if (draw->round->sampling == GR_SAMPLING_CYCLIC) {
        const uint64_t taken = (uint64_t)(round - 1) * draw->round->participants;
        for (uint32_t i = 0; i < n; i++)
            order[i] = (uint32_t)((taken + i) % n);
        return GR_OK;
    }
    GR_TRY(gr_stream_create(
        (struct gr_stream_key){.seed = draw->seed, .round = round, .purpose = GR_PURPOSE_SAMPLE},
        &stream));
    if (draw->round->sampling == GR_SAMPLING_SIZE)
        GR_TRY(order_by_size(draw, stream, order));
    else
        gr_stream_permutation(stream, order, n);
out:
    if (stream) gsl_rng_free(stream);
    return status;
}

/*
 * If participants is 0, or not below n, all eligible silos take part and no random number is used.
 */
gr_status gr_sample_silos(const struct gr_draw *draw, uint32_t round, const uint8_t *present,
                          uint8_t *selected) {
    gr_status status = GR_OK;
    const uint32_t n = draw->n_silos, participants = draw->round->participants;
    uint32_t *order = NULL;
    uint8_t *eligible = NULL;
    if (participants == 0 || participants >= n) {
        find_eligible(draw, round, present, selected);
        return GR_OK;
    }
    GR_TRY(gr_allocate(n, sizeof *order, "the sample of silos", &order));
    GR_TRY(gr_allocate(n, 1, "the sample of silos", &eligible));
    find_eligible(draw, round, present, eligible);
    GR_TRY(order_silos(draw, round, n, order));
    memset(selected, 0, n);
    for (uint32_t i = 0, taken = 0; i < n && taken < participants; i++) {
        if (!eligible[order[i]]) continue;
        selected[order[i]] = 1;
        taken++;
    }
out:
    gr_free(eligible);
    gr_free(order);
    return status;
}
