/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spread of the silos' scores: lowest, middle and highest, by which a reader sees how unevenly
 * a federated model serves the silos.
 */
#include <granary/evaluate.h>

#include <math.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/*
 * Sorts `values` in place. The middle of an even number is the upper one, not the mean of both:
 * each figure then is the score of a silo.
 */
static void spread_of(double *values, uint32_t n, double out[3]) {
    out[0] = out[1] = out[2] = (double)NAN;
    if (n == 0) return;
    qsort(values, n, sizeof *values, ascending);
    out[0] = values[0];
    out[1] = values[n / 2];
    out[2] = values[n - 1];
}

/*
 * A weight of 0 stands for a silo that has no rows or whose score is withheld. `room` serves both
 * scores, one after the other, and spares an allocation in each round.
 */
uint32_t gr_scores_spread(const struct gr_score *silos, uint32_t n_silos, double *room,
                          double loss[3], double accuracy[3]) {
    uint32_t n = 0;
    for (uint32_t i = 0; i < n_silos; i++)
        if (silos[i].weight > 0) room[n++] = gr_score_loss(&silos[i]);
    spread_of(room, n, loss);
    n = 0;
    for (uint32_t i = 0; i < n_silos; i++)
        if (silos[i].weight > 0) room[n++] = gr_score_accuracy(&silos[i]);
    spread_of(room, n, accuracy);
    return n;
}
