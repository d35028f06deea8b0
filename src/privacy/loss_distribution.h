/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Distributions of the privacy loss log(P / Q) on a grid, one of which dominates the true one and
 * one of which is dominated by it. Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_LOSS_DISTRIBUTION_H
#define GRANARY_PRIVACY_LOSS_DISTRIBUTION_H

#include "privacy/accounting.h"

/* With the unit against without it, and the other way round. */
enum gr_loss_direction { GR_LOSS_REMOVE, GR_LOSS_ADD };
enum gr_loss_bound { GR_LOSS_LOWER, GR_LOSS_UPPER };

struct gr_loss_masses {
    double step, offset; /* of the grid, in nats; the offset is in [0, step] */
    int64_t first;       /* log_p[i]: of the probability under P of offset + (first + i) * step */
    size_t n;
    double *log_p;   /* n; owned */
    double infinite; /* probability of a loss without a limit; what lacks to 1 has none below */
};

/*
 * Not collective. One step of the event, with losses beyond `tail` standard deviations of its noise
 * given up to the safe side. out->log_p: gr_free. Errors: GR_ERROR_INTERNAL: no memory;
 * GR_ERROR_CONFIG: a grid of so fine a step would have more than `most` points.
 */
gr_status gr_loss_distribution(const struct gr_privacy_event *event, double step, double tail,
                               size_t most, enum gr_loss_direction direction,
                               enum gr_loss_bound bound, struct gr_loss_masses *out) GR_CHECKED;

#endif
