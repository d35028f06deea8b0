/* SPDX-License-Identifier: Apache-2.0 */
/* Charts as SVG: lines named where they end, and bars of parts. */
#include "observe/chart.h"

#include <math.h>
#include <string.h>

#include "observe/axis.h"
#include "observe/html.h"

enum {
    RIGHT = 452,
    DOTS_MAX = 60,  /* points of a line that are marked */
    LABEL_GAP = 17, /* between names, so that they stay legible on a phone */
};

/* A chart whose x is not rounds is the reliability diagram, with both axes from 0 to 1. */
static bool by_round(const struct gr_chart *chart) {
    return strcmp(chart->x_name, "round") == 0;
}

/*
 * The title is the start of the chart's aria-label, too, which describe completes: a reader of the
 * page who does not see the chart gets its figures in words.
 */
static void begin(FILE *page, const char *title) {
    fputs("<figure class=\"card\"><h3>", page);
    gr_html_text(page, title);
    fprintf(page, "</h3>\n<svg class=\"chart\" viewBox=\"0 0 %d %d\" role=\"img\" aria-label=\"",
            GR_CHART_WIDTH, GR_CHART_HEIGHT);
    gr_html_text(page, title);
}

/* ---- lines ---------------------------------------------------------------------------------- */

static void widen(struct gr_axis *range, double value) {
    range->low = fmin(range->low, value);
    range->high = fmax(range->high, value);
}

/* Room for the names at the lines' ends, as wide as they are on a phone. */
static double name_width(const struct gr_chart *chart) {
    size_t longest = 0;
    for (size_t s = 0; s < chart->n_series; s++)
        if (chart->series[s].n > 0)
            longest = (size_t)fmax((double)longest, (double)strlen(chart->series[s].name));
    return 15 + 7.6 * (double)longest;
}

/* The axes that hold all points; false when there is none. */
static bool fit(const struct gr_chart *chart, struct gr_axis *x, struct gr_axis *y) {
    struct gr_axis xs = {.low = INFINITY, .high = -INFINITY}, ys = xs;
    for (size_t s = 0; s < chart->n_series; s++) {
        for (size_t i = 0; i < chart->series[s].n; i++) {
            widen(&xs, chart->series[s].points[i].x);
            widen(&ys, chart->series[s].points[i].y);
        }
    }
    if (xs.low > xs.high) return false;
    if (by_round(chart)) {
        widen(&xs, chart->first);
        widen(&xs, chart->last);
    }
    for (size_t i = 0; chart->band && i < chart->band->n; i++) {
        widen(&xs, chart->band->points[i].x);
        widen(&ys, chart->band->points[i].low);
        widen(&ys, chart->band->points[i].high);
    }
    *x = by_round(chart) ? gr_axis_whole(xs.low, xs.high, 8) : gr_axis_round(0, 1, 5);
    *y = by_round(chart) ? gr_axis_round(ys.low, ys.high, 6) : gr_axis_round(0, 1, 5);
    x->from = GR_CHART_LEFT;
    x->to = RIGHT - name_width(chart);
    y->from = GR_CHART_BOTTOM;
    y->to = GR_CHART_TOP;
    return true;
}

/* "Loss by round: training from 2.31 to 0.42; test ..." */
static void describe(FILE *page, const struct gr_chart *chart, const struct gr_axis *y) {
    const char *separator = ": ";
    for (size_t s = 0; s < chart->n_series; s++) {
        const struct gr_series *series = &chart->series[s];
        if (series->n == 0) continue;
        fputs(separator, page);
        gr_html_text(page, series->name);
        fputs(" from ", page);
        gr_axis_value(page, y, series->points[0].y, 2, chart->unit);
        fputs(" to ", page);
        gr_axis_value(page, y, series->points[series->n - 1].y, 2, chart->unit);
        separator = "; ";
    }
}

/*
 * The <title> is shown when a pointer rests on the dot; no script is needed, as the page must work
 * from a file and under strict content policies.
 */
static void write_dot(FILE *page, const struct gr_chart *chart, const struct gr_series *series,
                      const struct gr_point *point, const struct gr_axis *x,
                      const struct gr_axis *y) {
    fprintf(page, "<circle class=\"dot s%u\" cx=\"%.1f\" cy=\"%.1f\" r=\"2.6\"><title>",
            series->colour, gr_axis_at(x, point->x), gr_axis_at(y, point->y));
    gr_html_text(page, series->name);
    fprintf(page, ", %s ", chart->x_name);
    gr_axis_value(page, x, point->x, by_round(chart) ? 0 : 2, "");
    fputs(": ", page);
    gr_axis_value(page, y, point->y, 2, chart->unit);
    if (point->n > 0) {
        fputs(", rows: ", page);
        gr_html_count(page, point->n);
    }
    fputs("</title></circle>", page);
}

/* Above DOTS_MAX points dots would merge into a thick line and make the page large. */
static void write_line(FILE *page, const struct gr_chart *chart, const struct gr_series *series,
                       const struct gr_axis *x, const struct gr_axis *y) {
    fprintf(page, "<polyline class=\"line s%u\" points=\"", series->colour);
    for (size_t i = 0; i < series->n; i++)
        fprintf(page, "%.1f,%.1f ", gr_axis_at(x, series->points[i].x),
                gr_axis_at(y, series->points[i].y));
    fputs("\"/>", page);
    for (size_t i = 0; i < series->n && series->n <= DOTS_MAX; i++)
        write_dot(page, chart, series, &series->points[i], x, y);
    fputc('\n', page);
}

/* A line that ends well before the others is named right there. */
static bool ends_early(const struct gr_series *series, const struct gr_axis *x) {
    return gr_axis_at(x, series->points[series->n - 1].x) < x->to - 24;
}

static void write_early_name(FILE *page, const struct gr_series *series, const struct gr_axis *x,
                             const struct gr_axis *y) {
    const struct gr_point *last = &series->points[series->n - 1];
    fprintf(page, "<text x=\"%.1f\" y=\"%.1f\">", gr_axis_at(x, last->x) + 6,
            gr_axis_at(y, last->y) + 4.5);
    gr_html_text(page, series->name);
    fputs("</text>", page);
}

/* The names beside the lines' ends, moved apart where they would overlap. */
static void write_names(FILE *page, const struct gr_chart *chart, const struct gr_axis *x,
                        const struct gr_axis *y) {
    const struct gr_series *order[GR_CHART_COLOURS];
    double at[GR_CHART_COLOURS];
    size_t n = 0;
    for (size_t s = 0; s < chart->n_series && n < GR_CHART_COLOURS; s++) {
        const struct gr_series *series = &chart->series[s];
        if (series->n == 0) continue;
        double end = gr_axis_at(y, series->points[series->n - 1].y);
        if (ends_early(series, x)) continue;
        size_t place = n++;
        for (; place > 0 && at[place - 1] > end; place--) {
            at[place] = at[place - 1];
            order[place] = order[place - 1];
        }
        at[place] = end;
        order[place] = series;
    }
    /*
     * Downwards each name gets its distance from the one above; then upwards, from the bottom,
     * names that were pushed out are moved back in.
     */
    for (size_t i = 1; i < n; i++)
        at[i] = fmax(at[i], at[i - 1] + LABEL_GAP);
    for (size_t i = n; i-- > 0;)
        at[i] = fmin(at[i], GR_CHART_BOTTOM - LABEL_GAP * (double)(n - 1 - i));
    for (size_t i = 0; i < n; i++) {
        const struct gr_point *last = &order[i]->points[order[i]->n - 1];
        fprintf(page, "<path class=\"lead s%u\" d=\"M%.1f %.1fL%.1f %.1f\"/>", order[i]->colour,
                gr_axis_at(x, last->x), gr_axis_at(y, last->y), x->to + 12, at[i]);
        fprintf(page, "<text x=\"%.1f\" y=\"%.1f\">", x->to + 15, at[i] + 4.5);
        gr_html_text(page, order[i]->name);
        fputs("</text>", page);
    }
    fputc('\n', page);
}

static bool has_band(const struct gr_chart *chart) {
    return chart->band && chart->band->n > 0;
}

static void write_place(FILE *page, const struct gr_axis *x, const struct gr_axis *y, double at,
                        double value) {
    fprintf(page, "%.1f,%.1f ", gr_axis_at(x, at), gr_axis_at(y, value));
}

/* From the lowest to the highest, and a thin line for the middle one. */
static void write_band(FILE *page, const struct gr_chart *chart, const struct gr_axis *x,
                       const struct gr_axis *y) {
    const struct gr_band *band = chart->band;
    const struct gr_band_point *last = &band->points[band->n - 1];
    fprintf(page, "<g class=\"band s%u\"><polygon points=\"", band->colour);
    for (size_t i = 0; i < band->n; i++)
        write_place(page, x, y, band->points[i].x, band->points[i].low);
    for (size_t i = band->n; i-- > 0;)
        write_place(page, x, y, band->points[i].x, band->points[i].high);
    fputs("\"/><polyline points=\"", page);
    for (size_t i = 0; i < band->n; i++)
        write_place(page, x, y, band->points[i].x, band->points[i].middle);
    fputs("\"/><title>silos at the end: ", page);
    gr_axis_value(page, y, last->low, 2, chart->unit);
    fputs(" to ", page);
    gr_axis_value(page, y, last->high, 2, chart->unit);
    fputs(", the middle one ", page);
    gr_axis_value(page, y, last->middle, 2, chart->unit);
    fputs("</title></g>\n", page);
}

/*
 * Later elements cover earlier ones in SVG: grid, band, lines, names, in this order. False: there
 * are no points, and nothing has been written.
 */
bool gr_chart_lines(FILE *page, const struct gr_chart *chart) {
    struct gr_axis x, y;
    if (!fit(chart, &x, &y)) return false;
    begin(page, chart->title);
    describe(page, chart, &y);
    fputs("\">\n", page);
    gr_axis_frame(page, &x, &y, chart->x_name, chart->unit);
    if (!by_round(chart))
        fprintf(page, "<path class=\"ideal\" d=\"M%.1f %.1fL%.1f %.1f\"/>", x.from, y.from, x.to,
                y.to);
    if (has_band(chart)) write_band(page, chart, &x, &y);
    for (size_t s = 0; s < chart->n_series; s++)
        if (chart->series[s].n > 0) write_line(page, chart, &chart->series[s], &x, &y);
    for (size_t s = 0; s < chart->n_series; s++)
        if (chart->series[s].n > 0 && ends_early(&chart->series[s], &x))
            write_early_name(page, &chart->series[s], &x, &y);
    write_names(page, chart, &x, &y);
    fputs("</svg>\n", page);
    if (has_band(chart))
        fputs("<p class=\"note\">The band: the silos on their own validation rows, from the lowest "
              "to the highest; its thin line: the middle one.</p>\n",
              page);
    fputs("</figure>\n", page);
    return true;
}

/* ---- bars ----------------------------------------------------------------------------------- */

static double sum_of(const struct gr_bars *chart, const struct gr_bar *bar) {
    double sum = 0;
    for (size_t p = 0; p < chart->n_names; p++)
        sum += bar->parts[p];
    return sum;
}

static bool is_used(const struct gr_bars *chart, size_t part) {
    for (size_t i = 0; i < chart->n; i++)
        if (chart->bars[i].parts[part] > 0) return true;
    return false;
}

static void write_bar_title(FILE *page, const struct gr_bars *chart, const struct gr_bar *bar,
                            const struct gr_axis *y) {
    const char *separator = ": ";
    if (bar->first == bar->last)
        fprintf(page, "<title>round %u", bar->first);
    else
        fprintf(page, "<title>rounds %u to %u, on average", bar->first, bar->last);
    for (size_t p = 0; p < chart->n_names; p++) {
        if (bar->parts[p] <= 0) continue;
        fprintf(page, "%s%s ", separator, chart->names[p]);
        gr_axis_value(page, y, bar->parts[p], chart->unit[0] ? 2 : 0, chart->unit);
        separator = ", ";
    }
    fputs("</title>", page);
}

/* Parts are stacked in the order of the names, each upon the sum of those before it. */
static void write_bar(FILE *page, const struct gr_bars *chart, const struct gr_bar *bar,
                      const struct gr_axis *x, const struct gr_axis *y) {
    double from = gr_axis_at(x, bar->first - 0.5), to = gr_axis_at(x, bar->last + 0.5), sum = 0;
    /* A gap between bars where they are wide enough for one; wide ones are no use. */
    double width = to - from, gap = width > 5 ? fmax(0.2 * width, width - 48) : 0;
    fputs("<g>", page);
    write_bar_title(page, chart, bar, y);
    for (size_t p = 0; p < chart->n_names; p++) {
        if (bar->parts[p] <= 0) continue;
        double top = gr_axis_at(y, sum + bar->parts[p]), bottom = gr_axis_at(y, sum);
        fprintf(page, "<rect class=\"%s\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>",
                chart->classes[p], from + gap / 2, top, width - gap, bottom - top);
        sum += bar->parts[p];
    }
    fputs("</g>\n", page);
}

/* Only parts that occur are named: a legend of failures that never happened would alarm. */
static void write_legend(FILE *page, const struct gr_bars *chart) {
    fputs("<ul class=\"legend\">", page);
    for (size_t p = 0; p < chart->n_names; p++)
        if (is_used(chart, p))
            fprintf(page, "<li><i class=\"%s\"></i>%s</li>", chart->classes[p], chart->names[p]);
    fputs("</ul>\n", page);
}

/*
 * There is at least one bar. x runs from half a round before the first to half a round behind the
 * last, since a bar stands for its whole round.
 */
void gr_chart_bars(FILE *page, const struct gr_bars *chart) {
    double highest = 0;
    for (size_t i = 0; i < chart->n; i++)
        highest = fmax(highest, sum_of(chart, &chart->bars[i]));
    double first = chart->bars[0].first, last = chart->bars[chart->n - 1].last;
    struct gr_axis x = gr_axis_whole(first - 0.5, last + 0.5, 8);
    struct gr_axis y = gr_axis_round(0, highest, 6);
    /* Counts have no ticks between whole numbers. */
    if (!chart->unit[0] && y.step < 1) y = gr_axis_whole(0, fmax(1, highest), 6);
    if (y.low < 0) y = gr_axis_whole(0, 1, 2);
    x.from = GR_CHART_LEFT;
    x.to = RIGHT;
    y.from = GR_CHART_BOTTOM;
    y.to = GR_CHART_TOP;
    begin(page, chart->title);
    fputs("; the figures are in the table beside\">\n", page);
    gr_axis_frame(page, &x, &y, "round", chart->unit);
    for (size_t i = 0; i < chart->n; i++)
        write_bar(page, chart, &chart->bars[i], &x, &y);
    fputs("</svg>\n", page);
    write_legend(page, chart);
    fputs("</figure>\n", page);
}
