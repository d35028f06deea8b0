/* SPDX-License-Identifier: Apache-2.0 */
/* Slices as a part of evaluation.json. */
#ifndef GRANARY_EVALUATE_SLICES_JSON_H
#define GRANARY_EVALUATE_SLICES_JSON_H

#include <granary/slices.h>

#include <jansson.h>

/* The caller's; NULL where memory is refused. scores NULL: `why` says the reason. spreads: of the
 * shares' replicates; NULL: there are none. */
json_t *gr_slices_json(const struct gr_slice_scores *scores, const char *why,
                       const struct gr_slice_spreads *spreads);
/* The slices of one silo. */
json_t *gr_silo_slices_json(const struct gr_slice_scores *scores,
                            const struct gr_slice_silos *silos, uint32_t silo);
/* {"lower", "upper", "mean", "standard_deviation", "left_out"}, or {"why"}, if need be a better
 * one; NULL: there is none. */
json_t *gr_resampled_json(struct gr_resampled_metric metric, const char *why);

#endif
