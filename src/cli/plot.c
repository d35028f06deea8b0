/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Curves in cells: of the dots of Braille, two by four in a cell, where the terminal has them; else
 * of one character in a column and row.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/screen.h"

enum { LABEL_WIDTH = 9, WIDTH_MAX = 512, HEIGHT_MAX = 64 };

struct canvas {
    int width, height; /* in cells */
    int across, down;  /* dots in a cell */
    uint8_t bits[HEIGHT_MAX][WIDTH_MAX];
};

static void set_dot(struct canvas *canvas, int x, int y) {
    static const uint8_t braille[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    const int column = x / canvas->across, row = y / canvas->down;
    if (x < 0 || y < 0 || column >= canvas->width || row >= canvas->height) return;
    canvas->bits[row][column] |= braille[y % canvas->down][x % canvas->across];
}

/* Sums of the values that fall on a column of dots. */
struct column_sum {
    double sum;
    unsigned n;
};

/* Values of one column are averaged: a curve of many rounds would else be a band. */
static void add_up(const struct gr_plot *plot, int dots, struct column_sum *columns) {
    const double first = plot->x[0], span = fmax(plot->x[plot->n - 1] - first, 1);
    for (size_t i = 0; i < plot->n; i++) {
        if (!isfinite(plot->y[i])) continue;
        const double at = (plot->x[i] - first) / span * (dots - 1) + 0.5;
        struct column_sum *column = &columns[at > 0 && at < dots ? (int)at : 0];
        column->sum += plot->y[i];
        column->n++;
    }
}

/* False: there is nothing. A curve of one value lies in the middle. */
static bool find_range(const struct column_sum *columns, int dots, double *low, double *high) {
    *low = INFINITY;
    *high = -INFINITY;
    for (int x = 0; x < dots; x++) {
        if (columns[x].n == 0) continue;
        *low = fmin(*low, columns[x].sum / columns[x].n);
        *high = fmax(*high, columns[x].sum / columns[x].n);
    }
    if (!(*low <= *high)) return false;
    if (*low == *high) {
        const double room = *low != 0 ? 0.05 * fabs(*low) : 1;
        *low -= room;
        *high += room;
    }
    return true;
}

/* Dots from each column's value to the next one's. */
static void draw_curve(const struct column_sum *columns, struct canvas *canvas, double low,
                       double high) {
    const int dots_x = canvas->width * canvas->across, dots_y = canvas->height * canvas->down;
    int before_x = -1, before_y = 0;
    for (int x = 0; x < dots_x; x++) {
        if (columns[x].n == 0) continue;
        const double value = columns[x].sum / columns[x].n;
        const int y = (int)((high - value) / (high - low) * (dots_y - 1) + 0.5);
        const int over = x - before_x, up = abs(y - before_y), steps = over > up ? over : up;
        for (int s = 0; before_x >= 0 && s < steps; s++)
            set_dot(canvas, before_x + over * s / steps, before_y + (y - before_y) * s / steps);
        set_dot(canvas, x, y);
        before_x = x;
        before_y = y;
    }
}

static void show_canvas(struct gr_screen *screen, const struct canvas *canvas, int row,
                        int column) {
    for (int r = 0; r < canvas->height; r++)
        for (int c = 0; c < canvas->width; c++) {
            const uint8_t bits = canvas->bits[r][c];
            /* U+2800 and the bits. */
            const char braille[] = {(char)0xE2, (char)(0xA0 | bits >> 6),
                                    (char)(0x80 | (bits & 0x3F)), '\0'};
            if (bits == 0) continue;
            gr_screen_put(screen, row + r, column + c, GR_INK_CURVE, "%s",
                          screen->utf8 ? braille : "*");
        }
}

static void put_label(struct gr_screen *screen, const struct gr_plot *plot, int row, double value) {
    char text[32], label[LABEL_WIDTH];
    snprintf(text, sizeof text, "%.4g", value * plot->times);
    snprintf(label, sizeof label, "%.*s", LABEL_WIDTH - 1, text);
    gr_screen_put(screen, row, plot->column + LABEL_WIDTH - 1 - (int)strlen(label), GR_INK_DIM,
                  "%s", label);
}

void gr_screen_plot(struct gr_screen *screen, const struct gr_plot *plot) {
    struct canvas canvas = {.width = plot->width - LABEL_WIDTH,
                            .height = plot->height - 2,
                            .across = screen->utf8 ? 2 : 1,
                            .down = screen->utf8 ? 4 : 1};
    struct column_sum columns[2 * WIDTH_MAX] = {0};
    double low, high;
    if (canvas.width > WIDTH_MAX) canvas.width = WIDTH_MAX;
    if (canvas.height > HEIGHT_MAX) canvas.height = HEIGHT_MAX;
    if (canvas.width < 4 || canvas.height < 1) return;
    gr_screen_put(screen, plot->row, plot->column + LABEL_WIDTH, GR_INK_BOLD, "%.*s", canvas.width,
                  plot->title);
    const int dots = canvas.width * canvas.across;
    if (plot->n > 0) add_up(plot, dots, columns);
    if (!find_range(columns, dots, &low, &high)) {
        gr_screen_put(screen, plot->row + 1, plot->column + LABEL_WIDTH, GR_INK_DIM, "%.*s",
                      canvas.width, "none yet");
        return;
    }
    draw_curve(columns, &canvas, low, high);
    show_canvas(screen, &canvas, plot->row + 1, plot->column + LABEL_WIDTH);
    put_label(screen, plot, plot->row + 1, high);
    if (canvas.height > 1) put_label(screen, plot, plot->row + canvas.height, low);
    char first[32], last[32];
    const int axis = plot->row + 1 + canvas.height;
    snprintf(first, sizeof first, "%.0f", plot->x[0]);
    snprintf(last, sizeof last, "%.0f", plot->x[plot->n - 1]);
    gr_screen_put(screen, axis, plot->column + LABEL_WIDTH, GR_INK_DIM, "%s", first);
    if ((int)(strlen(first) + strlen(last)) + 1 < canvas.width)
        gr_screen_put(screen, axis, plot->column + plot->width - (int)strlen(last), GR_INK_DIM,
                      "%s", last);
}
