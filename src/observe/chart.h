/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Charts as SVG that stands in a page: colours are the page's own, so that they follow light, dark
 * and print; every line is named where it ends; every chart says in words what it shows.
 */
#ifndef GRANARY_OBSERVE_CHART_H
#define GRANARY_OBSERVE_CHART_H

#include <granary/base.h>
#include <stdio.h>

/* Classes s0 to s7 of the style sheet: four colours that the colour-blind tell apart, then dashed.
 */
enum { GR_CHART_COLOURS = 8 };

/* Both finite, and below 1e30. */
struct gr_point {
    double x, y;
    uint64_t n; /* what the point stands for, shown with it; 0: not told */
};

struct gr_series {
    const char *name; /* short: it is written at the line's end */
    unsigned colour;
    struct gr_point *points; /* by ascending x */
    size_t n;
};

/* Lowest, middle and highest of the silos at x. */
struct gr_band_point {
    double x, low, middle, high;
};
struct gr_band {
    unsigned colour;
    struct gr_band_point *points; /* by ascending x */
    size_t n;
};

struct gr_chart {
    const char *title, *unit; /* unit: "%" or "s" or "" */
    const char *x_name; /* "round", whole numbers; anything else: from 0 to 1, as is y, with the
                           diagonal */
    double first, last; /* rounds that are shown at least */
    const struct gr_series *series;
    size_t n_series;
    const struct gr_band *band; /* or NULL */
};

/* A figure; false and nothing written when no series has a point. */
bool gr_chart_lines(FILE *page, const struct gr_chart *chart);

/* Bars of parts that add up, one for each round or stretch of rounds. */
struct gr_bar {
    uint32_t first, last; /* rounds */
    const double *parts;  /* one for each name; finite, not negative */
};

struct gr_bars {
    const char *title, *unit;
    const char *const *names;
    const char *const *classes; /* colours: "s0", "away" */
    size_t n_names;
    const struct gr_bar *bars;
    size_t n;
};

/* A figure with its legend, which leaves out parts that are zero everywhere. */
void gr_chart_bars(FILE *page, const struct gr_bars *chart);

#endif
