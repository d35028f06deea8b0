/* SPDX-License-Identifier: Apache-2.0 */
/*
 * evaluate: scores of a model on rows, as integer sums that add up to the same bits anywhere.
 *
 * Not collective; knows no MPI: the caller adds the sums of all processes.
 */
#ifndef GRANARY_EVALUATE_H
#define GRANARY_EVALUATE_H

#include <granary/data.h>
#include <granary/model.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Losses are added on the grid of 2^-GR_LOSS_BITS, so that their order does not matter. */
enum { GR_LOSS_BITS = 20 };

/* Sums; int64 so that gr_comm_sum_int64 adds them over processes. */
struct gr_score {
    int64_t examples;
    int64_t correct;
    int64_t loss; /* sum of losses in units of 2^-GR_LOSS_BITS, rounded batch by batch */
};

/* A loss sum on the grid; not finite or beyond +-2^42 gives GR_ERROR_DATA. */
gr_status gr_loss_to_grid(double loss_sum, int64_t *out) GR_CHECKED;
double gr_loss_mean(int64_t loss, int64_t examples); /* NAN when there are none */

/* Scores rows in batches of GR_TEST_BATCH, in order; the model's batch_max must allow them. */
gr_status gr_evaluate_rows(struct gr_model *model, const float *parameters,
                           const struct gr_rows *rows, struct gr_score *out) GR_CHECKED;

#ifdef __cplusplus
}
#endif
#endif
