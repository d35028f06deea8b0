/* SPDX-License-Identifier: Apache-2.0 */
/* How kept outputs lie in memory, for the files that read them. */
#ifndef GRANARY_METRIC_OUTPUTS_H
#define GRANARY_METRIC_OUTPUTS_H

#include <granary/postprocessing.h>

/* Of a row: of two classes its log-odds, else its logits or its prediction. */
struct gr_outputs {
    size_t classes, width; /* width: floats of a row */
    size_t n, room;
    float *values;  /* n x width; owned */
    int32_t *units; /* weights, in units of 2^-GR_WEIGHT_BITS; owned */
    int32_t *labels;
    float *targets; /* labels or targets, of classes or of a number: the other is NULL; owned */
};

/* ln(p / (1 - p)) of class 1 of two, within a bound that float32 and sums of squares hold. */
float gr_output_log_odds(const float *logits);

#endif
