/* SPDX-License-Identifier: Apache-2.0 */
/* The spread of the silos' scores. */
#include <granary/evaluate.h>

#include <math.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void spread_of(double *values, uint32_t n, double out[3]) {
    out[0] = out[1] = out[2] = (double)NAN;
    if (n == 0) return;
    qsort(values, n, sizeof *values, ascending);
    out[0] = values[0];
    out[1] = values[n / 2];
    out[2] = values[n - 1];
}

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
