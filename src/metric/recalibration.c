/* SPDX-License-Identifier: Apache-2.0 */
/* Calibrated probabilities of a row, by a map that recalibration_fit.c has found. */
#include <float.h>
#include <granary/postprocessing.h>
#include <math.h>

#include "metric/accumulator.h"
#include "metric/outputs.h"

#define CASE(value, word)                                                                          \
    case value:                                                                                    \
        return word;
const char *gr_recalibration_text(enum gr_recalibration_method method) {
    switch (method) { GR_RECALIBRATION_WORDS(CASE) }
    return "unknown";
}

void gr_recalibration_release(struct gr_recalibration *r) {
    gr_free(r->steps);
    *r = (struct gr_recalibration){0};
}

static float as_float(double x) {
    return (float)fmin(fmax(x, -(double)FLT_MAX), (double)FLT_MAX);
}

/* The last step that begins at or below the bin; the first begins at 0. */
static double rate_of(const struct gr_recalibration *r, float x) {
    const size_t bin = gr_bin_of((double)x, 4, GR_ISOTONIC_BINS);
    size_t low = 0, high = r->n_steps;
    while (high - low > 1) {
        const size_t middle = low + (high - low) / 2;
        *(r->steps[middle].from <= bin ? &low : &high) = middle;
    }
    return r->steps[low].rate;
}

void gr_recalibrate(const struct gr_recalibration *r, const float *logits, size_t classes,
                    float *out) {
    double x;
    switch (r->method) {
    case GR_RECALIBRATION_TEMPERATURE:
        for (size_t c = 0; c < classes; c++)
            out[c] = as_float(r->slope * (double)logits[c]);
        return;
    case GR_RECALIBRATION_PLATT:
        x = r->intercept + r->slope * (double)gr_output_log_odds(logits);
        break;
    case GR_RECALIBRATION_ISOTONIC: {
        const double rate = rate_of(r, gr_output_log_odds(logits));
        x = log(rate) - log1p(-rate);
        break;
    }
    default:
        for (size_t c = 0; c < classes; c++)
            out[c] = logits[c];
        return;
    }
    out[0] = 0;
    out[1] = as_float(x);
}
