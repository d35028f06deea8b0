/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of a sum, for the files that take it: grid.c before it, aggregate.c. */
#ifndef GRANARY_COMM_AGGREGATE_H
#define GRANARY_COMM_AGGREGATE_H

#include "comm/communicator.h"
#include "comm/relay.h"
#include "comm/ring.h"
#include "comm/running_sum.h"
#include "comm/transpose.h"

/* How far the segments of a sum are by the end of a step of the pipeline. */
struct gr_step {
    uint64_t encoded, kept;
};

/* Decisions of a leader for its node, in its part of the window. Two steps in turn, so that one is
 * read while the next is written. */
struct gr_board {
    struct gr_step step[2];
    uint16_t place[GR_RELAY_SEGMENTS_MAX]; /* see gr_relay */
};

/* Ways between nodes, and what has been found out about them. */
struct gr_between_trials {
    enum gr_between way;                /* of the present sum */
    bool trial;                         /* to find out about it */
    enum gr_between took;               /* of the last one that succeeded, AUTO: none; its time */
    double took_s;                      /* on this rank */
    unsigned n[GR_BETWEEN_MPI + 1];     /* sums begun, up to the number of trials */
    double least_s[GR_BETWEEN_MPI + 1]; /* of them; 0: none has succeeded */
};

/* Numbers of each contribution that are added up beside the vectors. */
enum {
    GR_RIDER_EXAMPLES,
    GR_RIDER_WEIGHT = GR_TALLY_RIDER + 1,
    GR_RIDER_STEPS = GR_RIDER_WEIGHT + GR_REAL_WORDS,
    GR_SUM_RIDERS = GR_RIDER_STEPS + GR_REAL_WORDS
};

struct gr_aggregator {
    struct gr_comm *comm;           /* borrowed */
    const struct gr_layout *layout; /* borrowed */
    const struct gr_codec *codec;
    /* A sum is of `size` elements: vectors, one behind the other, each of which but the last is
     * followed by zeros up to the next block. */
    size_t n_vectors, size;
    size_t span;    /* from the beginning of one to that of the next */
    size_t element; /* bytes of a sum */
    bool floats;    /* whose sums may overflow */
    size_t n_blocks, n_segments, segment;
    size_t buffers; /* of sums of segments, in the leader's part */
    /* Of the epoch in which they were made. */
    bool made;
    uint32_t epoch;
    bool in_total; /* sums of segments lie in `total` from the first, and not in the window */
    struct gr_window window;
    int16_t **exponents_of;  /* of the node's ranks, in the window; array owned */
    char **slots_of;         /* idem: SLOTS segments each */
    int16_t *exponents_all;  /* over all nodes, in the leader's part */
    char *sums;              /* `buffers` segments, idem */
    struct gr_board *board;  /* idem */
    int16_t *exponents;      /* agreed; owned */
    int16_t *scratch;        /* exponents of other nodes; leaders; owned */
    struct gr_relay relay;   /* leaders, where there are several nodes */
    enum gr_between between; /* as asked for */
    struct gr_between_trials trials;
    /* The last sum over all ranks; it outlives the epoch in which it was taken. */
    char *total;                      /* layout size words; owned; NULL: none has been taken yet */
    bool held;                        /* it is complete */
    int64_t riders[GR_SUM_RIDERS];    /* of the total, as they were added up */
    double total_weight, total_steps; /* steps times weights */
    bool steps;                       /* are added up */
    uint64_t examples;
    int64_t tally;
    struct gr_stage stage; /* apply NULL: there is none */
    bool staged;           /* the total is as stages have left it, but for: */
    bool clear_riders;
    size_t clear;                      /* elements from its beginning */
    struct gr_public_grid grid;        /* clip_norm 0: exponents are agreed on */
    float *multiplier;                 /* with it: of each contribution of this sum; owned */
    size_t n_multipliers;              /* there is room for */
    struct gr_running_sum running;     /* contributions that were added as they came */
    struct gr_source source;           /* makes them once more */
    struct gr_combination combination; /* combine NULL: updates are added up */
    struct gr_transpose transpose;
};

/* A call of gr_aggregate_total, while it runs. */
struct gr_sum {
    struct gr_aggregator *aggregator;
    const struct gr_contribution *mine;
    size_t n_mine;
    uint32_t n_members;
    int64_t bound;     /* of each contribution's integers */
    gr_status refused; /* a value of this rank's, as its exponents say to all */
    bool overflow;     /* a sum of floats left their range, first at: */
    size_t overflow_at;
};

/* ---- between.c ------------------------------------------------------------------------------- */

/* Not collective. The way that rank 0 names for the next sum. */
enum gr_between gr_between_propose(const struct gr_aggregator *aggregator);
/* Not collective. The way of the sum that begins, and what the last one took all ranks together. */
void gr_between_take(struct gr_aggregator *aggregator, enum gr_between way, int64_t total_ns);

/* ---- public_grid.c --------------------------------------------------------------------------- */

/* A weight as it enters a sum on a public grid. */
float gr_sum_capped(const struct gr_aggregator *aggregator, double weight);
/* Not collective. The exponent of the grid for so many contributions. */
int16_t gr_sum_public_exponent(const struct gr_aggregator *aggregator, uint32_t n_members,
                               int64_t *bound);
/* Not collective. By what a contribution is multiplied on it. */
gr_status gr_sum_cut(const struct gr_aggregator *aggregator, const struct gr_contribution *from,
                     int16_t exponent, float *multiplier) GR_CHECKED;
/* Collective. The grid, and by what each contribution is multiplied. */
gr_status gr_sum_public_grid(struct gr_sum *call) GR_CHECKED;

/* ---- grid.c ---------------------------------------------------------------------------------- */

/* Where a block of the sum lies in a contribution: n elements of a vector; behind them are zeros.
 */
struct gr_span {
    size_t vector, begin, n;
};
/* at: of the sum, the beginning of a block; n: elements up to its end. */
static inline struct gr_span gr_sum_span(const struct gr_aggregator *aggregator, size_t at,
                                         size_t n) {
    const size_t vector = at / aggregator->span, begin = at % aggregator->span;
    return (struct gr_span){vector, begin, gr_smaller(n, aggregator->layout->size - begin)};
}
/* The weight as it enters products and their sum alike. */
float gr_sum_weight(const struct gr_contribution *from);
/* Of a contribution, times its weight, and with what an earlier sum has left over. */
void gr_sum_weigh(const struct gr_contribution *from, struct gr_span span, float *p);
/* Not collective. Examples, weight and steps of the total, out of its riders. GR_ERROR_INTERNAL:
 * they are of no sum. */
gr_status gr_sum_take_riders(struct gr_aggregator *aggregator) GR_CHECKED;
/* Collective. Adds up weights and examples, and finds out whether all are well before anything else
 * is done; exponents to be agreed on are offered to the node meanwhile. */
gr_status gr_sum_weights(struct gr_sum *call) GR_CHECKED;
/* Not collective. Whether this rank's updates, as they are, are finite. */
gr_status gr_sum_check_finite(const struct gr_sum *call) GR_CHECKED;
/* Not collective. Whether the products of one contribution's vectors with its weight are finite
 * float32. */
gr_status gr_sum_check_products(const struct gr_aggregator *aggregator,
                                const struct gr_contribution *from) GR_CHECKED;
/* Not collective. Says where an update is not finite. */
gr_status gr_sum_refuse_update(const struct gr_layout *layout,
                               const struct gr_contribution *from) GR_CHECKED;
/* Collective, after gr_sum_weights. The grid of this sum, or the refusal that all agree on. */
gr_status gr_sum_agree_grid(struct gr_sum *call) GR_CHECKED;

#endif
