/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The metrics of one silo's rows as integers, which other processes are told. A double travels by
 * its bits: the sum over processes, all but one of which give 0, then returns it as it was, NaN and
 * -0 included. A reason travels by its number, which ranks of one build agree on.
 */
#include "metric/accumulator.h"

#include <math.h>
#include <string.h>

_Static_assert(sizeof(struct gr_silo_metrics) % sizeof(int64_t) == 0, "integers and nothing else");

static int64_t bits_of(double value) {
    int64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static double value_of(int64_t bits) {
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* From 1; 0: it is defined. */
static int64_t number_of(const char *why) {
    int64_t i = 0;
    if (!why) return 0;
    while (i + 1 < GR_REASONS && strcmp(why, gr_reason_text[i]) != 0)
        i++;
    return i + 1;
}

void gr_silo_metrics_take(const struct gr_accumulator *accumulator, struct gr_silo_metrics *out) {
    *out = (struct gr_silo_metrics){.told = 1};
    for (unsigned m = 0; m < gr_metric_count; m++) {
        if (!gr_metric_fits(m, accumulator->classes)) continue;
        const struct gr_metric_value v = gr_accumulator_metric(accumulator, m);
        out->why[m] = number_of(v.why);
        if (!v.why) out->value[m] = bits_of(v.value);
        if (!gr_metric_rows[m].bounded || isnan(v.lower)) continue;
        out->lower[m] = bits_of(v.lower);
        out->upper[m] = bits_of(v.upper);
    }
}

/*
 * The number comes from another process: beyond the table it is no index, and counts as no reason.
 */
struct gr_metric_value gr_silo_metric(const struct gr_silo_metrics *metrics, unsigned metric) {
    const int64_t why = metrics->why[metric];
    const bool bounds = gr_metric_rows[metric].bounded;
    if (why > 0 && why <= GR_REASONS) {
        const double none = (double)NAN;
        const bool close = why - 1 == GR_CLOSE_SCORES;
        return (struct gr_metric_value){none, close ? value_of(metrics->lower[metric]) : none,
                                        close ? value_of(metrics->upper[metric]) : none,
                                        gr_reason_text[why - 1]};
    }
    const double value = value_of(metrics->value[metric]);
    return (struct gr_metric_value){value, bounds ? value_of(metrics->lower[metric]) : value,
                                    bounds ? value_of(metrics->upper[metric]) : value, NULL};
}

void gr_silo_spread_take(const struct gr_resampled_metric metrics[GR_METRICS_MAX],
                         struct gr_silo_spread *out) {
    *out = (struct gr_silo_spread){0};
    for (unsigned m = 0; m < gr_metric_count; m++) {
        out->lower[m] = bits_of(metrics[m].lower);
        out->upper[m] = bits_of(metrics[m].upper);
        out->mean[m] = bits_of(metrics[m].mean);
        out->deviation[m] = bits_of(metrics[m].deviation);
        out->left_out[m] = metrics[m].left_out;
        out->why[m] = number_of(metrics[m].why);
    }
}

/* The number of a reason as in gr_silo_metric. */
struct gr_resampled_metric gr_silo_spread_metric(const struct gr_silo_spread *spread,
                                                 unsigned metric) {
    const int64_t why = spread->why[metric];
    return (struct gr_resampled_metric){
        .lower = value_of(spread->lower[metric]),
        .upper = value_of(spread->upper[metric]),
        .mean = value_of(spread->mean[metric]),
        .deviation = value_of(spread->deviation[metric]),
        .left_out = spread->left_out[metric],
        .why = why > 0 && why <= GR_REASONS ? gr_reason_text[why - 1] : NULL,
    };
}
