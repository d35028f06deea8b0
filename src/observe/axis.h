/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a chart: its place on the page, round ticks, grid. */
#ifndef GRANARY_OBSERVE_AXIS_H
#define GRANARY_OBSERVE_AXIS_H

#include <granary/base.h>
#include <stdio.h>

enum {
    GR_CHART_WIDTH = 460,
    GR_CHART_HEIGHT = 262,
    GR_CHART_LEFT = 54,
    GR_CHART_TOP = 14,
    GR_CHART_BOTTOM = 218,
};

struct gr_axis {
    double low, high, step; /* step: between ticks, 1, 2 or 5 times a power of ten */
    double from, to;        /* places of low and high in the drawing */
};

/* Ticks at most `most` apart that hold low to high; whole: none between whole numbers. */
struct gr_axis gr_axis_round(double low, double high, int most);
struct gr_axis gr_axis_whole(double low, double high, int most);

double gr_axis_at(const struct gr_axis *axis, double value);

/* A value with the decimals of the axis's ticks and `more`; "1,000", "85 %". */
void gr_axis_value(FILE *page, const struct gr_axis *axis, double value, int more,
                   const char *unit);

/* Grid lines with their ticks on y, ticks on x, and the name of x. */
void gr_axis_frame(FILE *page, const struct gr_axis *x, const struct gr_axis *y, const char *x_name,
                   const char *unit);

#endif
