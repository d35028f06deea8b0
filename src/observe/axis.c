/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a chart: its place on the page, round ticks, grid. */
#include "observe/axis.h"

#include <math.h>

#include "observe/html.h"

/* The smallest of 1, 2, 5 times a power of ten that spans `span` in at most `most` steps. */
static double round_step(double span, int most) {
    static const double rounds[] = {1, 2, 5};
    double power = pow(10, floor(log10(span / most)));
    for (size_t i = 0; i < sizeof rounds / sizeof *rounds; i++)
        if (rounds[i] * power * most >= span * (1 - 1e-9)) return rounds[i] * power;
    return 10 * power;
}

/*
 * Ends at multiples of the step, so that the first and last tick lie on the frame. The small
 * numbers absorb rounding: without them a value on a tick could open another step.
 */
struct gr_axis gr_axis_round(double low, double high, int most) {
    /* A single value, or values as good as one, still get a range. */
    static const double least = 1e-30;
    double size = fmax(fabs(low), fabs(high));
    if (high - low <= fmax(1e-9 * size, least)) {
        double pad = size > least ? 0.1 * size : 1;
        low -= pad;
        high += pad;
    }
    struct gr_axis axis = {.step = round_step(high - low, most)};
    axis.low = axis.step * floor(low / axis.step + 1e-9);
    axis.high = axis.step * ceil(high / axis.step - 1e-9);
    return axis;
}

/*
 * For rounds and counts: the step is at least 1, and the ends stay where the data are, since a
 * round beyond the last does not exist.
 */
struct gr_axis gr_axis_whole(double low, double high, int most) {
    if (high <= low) {
        low -= 0.5;
        high += 0.5;
    }
    struct gr_axis axis = {.low = low, .high = high, .step = fmax(1, round_step(high - low, most))};
    return axis;
}

/* In pixels of the SVG. from > to is allowed: SVG's y grows downwards. */
double gr_axis_at(const struct gr_axis *axis, double value) {
    return axis->from + (value - axis->low) / (axis->high - axis->low) * (axis->to - axis->from);
}

/*
 * Decimals follow from the step, so that two ticks never read alike; `more` asks for further ones,
 * for values between ticks. Large values are shown whole or in exponents, to fit the margin of the
 * chart.
 */
void gr_axis_value(FILE *page, const struct gr_axis *axis, double value, int more,
                   const char *unit) {
    double size = fmax(fabs(axis->low), fabs(axis->high));
    int decimals = (int)fmax(0, -floor(log10(axis->step) + 1e-9)) + more;
    if (fabs(value) < axis->step * 1e-6) value = 0;
    if (size >= 1e9 || axis->step < 1e-5)
        fprintf(page, "%.*g", 4 + more, value);
    else if (size >= 1e4 && value >= 0)
        gr_html_count(page, (uint64_t)llround(value));
    else
        fprintf(page, "%.*f", decimals, value);
    if (unit[0]) fprintf(page, "&#8239;%s", unit);
}

/* The first tick that is not below the axis. */
static double first_tick(const struct gr_axis *axis) {
    return axis->step * ceil(axis->low / axis->step - 1e-9);
}

static void write_tick(FILE *page, double x, double y, const char *class,
                       const struct gr_axis *axis, double value, const char *unit) {
    fprintf(page, "<text class=\"%s\" x=\"%.1f\" y=\"%.1f\">", class, x, y);
    gr_axis_value(page, axis, value, 0, unit);
    fputs("</text>", page);
}

/*
 * Ticks are counted as integers first: adding up steps would drift, and might lose the last tick.
 */
void gr_axis_frame(FILE *page, const struct gr_axis *x, const struct gr_axis *y, const char *x_name,
                   const char *unit) {
    double first = first_tick(y);
    int ticks = (int)floor((y->high - first) / y->step + 1e-6);
    for (int i = 0; i <= ticks; i++) {
        double value = first + i * y->step, at = gr_axis_at(y, value);
        fprintf(page, "<path class=\"%s\" d=\"M%.1f %.1fH%.1f\"/>", i == 0 ? "base" : "rule",
                x->from, at, x->to);
        write_tick(page, x->from - 7, at + 4.5, "end", y, value, unit);
    }
    first = first_tick(x);
    ticks = (int)floor((x->high - first) / x->step + 1e-6);
    for (int i = 0; i <= ticks; i++) {
        double value = first + i * x->step, at = gr_axis_at(x, value);
        fprintf(page, "<path class=\"base\" d=\"M%.1f %dv4\"/>", at, GR_CHART_BOTTOM);
        write_tick(page, at, GR_CHART_BOTTOM + 19, "middle", x, value, "");
    }
    fprintf(page, "<text class=\"middle\" x=\"%.1f\" y=\"%d\">%s</text>\n", (x->from + x->to) / 2,
            GR_CHART_HEIGHT - 6, x_name);
}
