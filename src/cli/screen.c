/* SPDX-License-Identifier: Apache-2.0 */
/* Cells, and what of them a terminal lacks. */
#include "cli/screen.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* Of a cell with its colours, and of a row's beginning and end. */
enum { CELL_BYTES = 4 + 12, ROW_BYTES = 32, SIDE_MAX = 1000 };

gr_status gr_screen_size(struct gr_screen *screen, int width, int height) {
    gr_status status = GR_OK;
    struct gr_cell *cells = NULL, *shown = NULL;
    width = width < 1 ? 1 : width > SIDE_MAX ? SIDE_MAX : width;
    height = height < 1 ? 1 : height > SIDE_MAX ? SIDE_MAX : height;
    if (screen->cells && width == screen->width && height == screen->height) return GR_OK;
    const size_t n = (size_t)width * (size_t)height;
    GR_TRY(gr_allocate_zero(n, sizeof *cells, "a screen", &cells));
    GR_TRY(gr_allocate_zero(n, sizeof *shown, "a screen", &shown));
    gr_screen_release(screen);
    screen->width = width;
    screen->height = height;
    screen->cells = cells;
    screen->shown = shown;
    screen->whole = true;
    gr_screen_clear(screen);
    cells = shown = NULL;
out:
    gr_free(shown);
    gr_free(cells);
    return status;
}

void gr_screen_release(struct gr_screen *screen) {
    gr_free(screen->cells);
    gr_free(screen->shown);
    screen->cells = screen->shown = NULL;
}

void gr_screen_clear(struct gr_screen *screen) {
    const size_t n = (size_t)screen->width * (size_t)screen->height;
    for (size_t i = 0; i < n; i++)
        screen->cells[i] = (struct gr_cell){.text = " "};
}

/* The bytes of the character at `text`, which has no faults, and how wide it is: marks that go onto
 * others, and those of two columns, would shift the rest of a row. */
static size_t length_of(const char *text, bool *one_wide) {
    const unsigned char lead = (unsigned char)text[0];
    const size_t n = lead < 0x80 ? 1 : lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    unsigned code = n == 1 ? lead : lead & (0xFFU >> (n + 1));
    for (size_t i = 1; i < n; i++)
        code = code << 6 | ((unsigned char)text[i] & 0x3FU);
    *one_wide = (code >= 0x20 && code < 0x300) || (code >= 0x370 && code < 0x590) ||
                (code >= 0x2010 && code < 0x2028) || (code >= 0x2500 && code < 0x2600) ||
                (code >= 0x2800 && code < 0x2900);
    return n;
}

static int put_text(struct gr_screen *screen, int row, int column, enum gr_ink ink,
                    const char *text) {
    if (row < 0 || row >= screen->height || column < 0) return column;
    while (*text && column < screen->width) {
        bool one_wide;
        const size_t n = length_of(text, &one_wide);
        struct gr_cell *cell = &screen->cells[row * screen->width + column++];
        *cell = (struct gr_cell){.text = "?", .ink = (uint8_t)ink};
        if (one_wide && (n == 1 || screen->utf8)) memcpy(cell->text, text, n);
        text += n;
    }
    return column;
}

int gr_screen_put(struct gr_screen *screen, int row, int column, enum gr_ink ink,
                  const char *format, ...) {
    char text[2048], quoted[2048];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    return put_text(screen, row, column, ink, quoted);
}

/* In characters, each of which is a column. */
static int width_of(const char *text) {
    int width = 0;
    bool one_wide;
    for (; *text; text += length_of(text, &one_wide))
        width++;
    return width;
}

void gr_screen_put_right(struct gr_screen *screen, int row, enum gr_ink ink, const char *format,
                         ...) {
    char text[512], quoted[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    const int column = screen->width - width_of(quoted);
    put_text(screen, row, column > 0 ? column : 0, ink, quoted);
}

/* ---- to the terminal ------------------------------------------------------------------------ */

static const char *code_of(const struct gr_screen *screen, enum gr_ink ink) {
    switch (ink) {
    case GR_INK_BOLD:
        return "\033[0;1m";
    case GR_INK_DIM:
        return screen->colours ? "\033[0;2m" : "\033[0m";
    case GR_INK_GOOD:
        return screen->colours ? "\033[0;32m" : "\033[0m";
    case GR_INK_WARN:
        return screen->colours ? "\033[0;33m" : "\033[0m";
    case GR_INK_BAD:
        return screen->colours ? "\033[0;1;31m" : "\033[0;1m";
    case GR_INK_CURVE:
        return screen->colours ? "\033[0;36m" : "\033[0m";
    case GR_INK_CHOSEN:
        return "\033[0;7m";
    case GR_INK_PLAIN:
        break;
    }
    return "\033[0m";
}

/* Blanks at a row's end are not written but cleared; the last column stays free of them. */
static size_t write_row(const struct gr_screen *screen, int row, char *out) {
    const struct gr_cell *cells = screen->cells + (size_t)row * (size_t)screen->width;
    enum gr_ink ink = GR_INK_PLAIN;
    int width = screen->width;
    char *at = out;
    while (width > 0 && cells[width - 1].text[0] == ' ' && cells[width - 1].ink != GR_INK_CHOSEN)
        width--;
    at += snprintf(at, ROW_BYTES, "\033[%d;1H\033[0m", row + 1);
    for (int i = 0; i < width; i++) {
        if (cells[i].ink != ink) {
            ink = (enum gr_ink)cells[i].ink;
            at += snprintf(at, 12, "%s", code_of(screen, ink));
        }
        const size_t n = strnlen(cells[i].text, sizeof cells[i].text);
        memcpy(at, cells[i].text, n);
        at += n;
    }
    at += snprintf(at, ROW_BYTES, "\033[0m%s", width < screen->width ? "\033[K" : "");
    return (size_t)(at - out);
}

gr_status gr_screen_changes(struct gr_screen *screen, char **out, size_t *n) {
    const size_t row_cells = (size_t)screen->width, n_cells = row_cells * (size_t)screen->height;
    gr_status status =
        gr_allocate(n_cells * CELL_BYTES + 2 * (size_t)screen->height * ROW_BYTES + ROW_BYTES, 1,
                    "a screen", out);
    *n = 0;
    if (status != GR_OK) return status;
    if (screen->whole) *n += (size_t)snprintf(*out, ROW_BYTES, "\033[0m\033[2J");
    for (int row = 0; row < screen->height; row++) {
        const size_t first = (size_t)row * row_cells;
        if (!screen->whole && memcmp(screen->cells + first, screen->shown + first,
                                     row_cells * sizeof *screen->cells) == 0)
            continue;
        *n += write_row(screen, row, *out + *n);
    }
    memcpy(screen->shown, screen->cells, n_cells * sizeof *screen->cells);
    screen->whole = false;
    return GR_OK;
}
