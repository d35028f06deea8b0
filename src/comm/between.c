/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way of a sum between nodes. Rank 0 names it in the exchange of weights before the sum, so no
 * two ranks take different ones, whoever has come or gone since the last. In the same exchange all
 * say what the last sum took them: a root is done before its children are, so their mean is told,
 * and no rank's own time. In the ring all ways give the same bits, and a way may change from one
 * sum to the next.
 */
#include <math.h>
#include <string.h>

#include "comm/aggregate.h"

/* Sums that each way is given; the first also makes connections. */
enum { TRIALS = 3 };

static bool goes(const struct gr_aggregator *aggregator, int way) {
    return gr_relay_goes(aggregator->comm, aggregator->floats, (enum gr_between)way);
}

/* The way that is asked for, where sums can go it; else, and until the ways have been tried, that
 * of two which suits messages that take long, or do not. */
static enum gr_between usual(const struct gr_aggregator *aggregator, enum gr_between asked) {
    if (goes(aggregator, (int)asked)) return asked;
    return aggregator->comm->far && goes(aggregator, GR_BETWEEN_DIRECT) ? GR_BETWEEN_DIRECT
                                                                        : GR_BETWEEN_TREE;
}

enum gr_between gr_between_propose(const struct gr_aggregator *aggregator) {
    const struct gr_between_trials *trials = &aggregator->trials;
    enum gr_between best = usual(aggregator, aggregator->between);
    unsigned fewest = TRIALS;
    double least_s = INFINITY;
    if (aggregator->comm->nodes == 1) return GR_BETWEEN_AUTO;
    if (aggregator->between != GR_BETWEEN_AUTO) return best;
    for (int way = GR_BETWEEN_TREE; way <= GR_BETWEEN_MPI; way++) {
        if (!goes(aggregator, way)) continue;
        if (trials->n[way] < fewest) {
            fewest = trials->n[way];
            best = (enum gr_between)way;
        } else if (fewest == TRIALS && trials->least_s[way] > 0 && trials->least_s[way] < least_s) {
            least_s = trials->least_s[way];
            best = (enum gr_between)way;
        }
    }
    return best;
}

void gr_between_take(struct gr_aggregator *aggregator, enum gr_between way, int64_t total_ns) {
    struct gr_between_trials *trials = &aggregator->trials;
    const double mean_s = (double)total_ns * 1e-9 / aggregator->comm->size;
    double *least_s = &trials->least_s[trials->took];
    if (trials->took != GR_BETWEEN_AUTO && mean_s > 0 && (!(*least_s > 0) || mean_s < *least_s))
        *least_s = mean_s;
    trials->took = GR_BETWEEN_AUTO;
    trials->took_s = 0;
    trials->way = way;
    trials->trial = aggregator->between == GR_BETWEEN_AUTO && trials->n[way] < TRIALS;
    if (trials->n[way] < TRIALS) trials->n[way]++;
}

bool gr_aggregate_between(const struct gr_aggregator *aggregator, enum gr_between *way,
                          double least_s[GR_BETWEEN_MPI + 1]) {
    const struct gr_between_trials *trials = &aggregator->trials;
    *way = trials->way;
    memcpy(least_s, trials->least_s, sizeof trials->least_s);
    return !trials->trial;
}
