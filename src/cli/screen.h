/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A screen of text: cells that are put together in memory, and of which only rows that have changed
 * are written to the terminal, in one piece, so that nothing flickers. No more of a terminal is
 * assumed than ANSI's cursor addressing and eight colours.
 */
#ifndef GRANARY_CLI_SCREEN_H
#define GRANARY_CLI_SCREEN_H

#include <granary/base.h>

enum gr_ink {
    GR_INK_PLAIN,
    GR_INK_BOLD,
    GR_INK_DIM,
    GR_INK_GOOD,
    GR_INK_WARN,
    GR_INK_BAD,
    GR_INK_CURVE,
    GR_INK_CHOSEN /* reverse */
};

struct gr_cell {
    char text[4]; /* a character in UTF-8, without a NUL where it has 4 bytes */
    uint8_t ink;  /* an enum gr_ink */
};

struct gr_screen {
    int width, height;
    bool utf8, colours;            /* of the terminal */
    struct gr_cell *cells, *shown; /* owned; shown: what the terminal has */
    bool whole;                    /* all is to be written, whatever is shown */
};

/* A size that the terminal has now; cells are blank. */
gr_status gr_screen_size(struct gr_screen *screen, int width, int height) GR_CHECKED;
void gr_screen_release(struct gr_screen *screen);
void gr_screen_clear(struct gr_screen *screen);

/*
 * Text from (row, column) on, as far as it fits; returns the column behind it. Characters that are
 * not one column wide become '?'.
 */
int gr_screen_put(struct gr_screen *screen, int row, int column, enum gr_ink ink,
                  const char *format, ...) GR_PRINTF(5, 6);
/* The same, ending at the right edge. */
void gr_screen_put_right(struct gr_screen *screen, int row, enum gr_ink ink, const char *format,
                         ...) GR_PRINTF(4, 5);

/* Curve of n values over x, which ascends; NAN: none. Rows `row` .. row + height - 1, of which the
 * first is the title's and the last the axis's. */
struct gr_plot {
    const char *title;
    int row, column, width, height;
    size_t n;
    const double *x, *y;
    double times; /* labels tell y times this */
};
void gr_screen_plot(struct gr_screen *screen, const struct gr_plot *plot);

/* What is to be written to the terminal; caller frees *out. */
gr_status gr_screen_changes(struct gr_screen *screen, char **out, size_t *n) GR_CHECKED;

#endif
