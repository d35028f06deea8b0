/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The list of broken rules of a config, which becomes one message: a user mends all faults at once,
 * and not one a run. It has a fixed size, because a config of a million faults must not make a
 * message of a million lines; further ones are counted.
 */
#include "config/broken.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void gr_broken_start(struct gr_broken *broken, const char *name) {
    broken->n = broken->n_shown = broken->length = 0;
    broken->lines[0] = '\0';
    broken->within = "";
    gr_text_quote(name, strlen(name), broken->name, sizeof broken->name);
}

void gr_broken_add(struct gr_broken *broken, struct gr_place place, const char *path,
                   const char *format, ...) {
    char line[1024], where[512], key[128];
    broken->n++;
    /* Once a line was left out all later ones are, so that "and N more" is true. */
    if (broken->n_shown + 1 < broken->n || broken->n_shown == GR_BROKEN_LINES_MAX) return;
    if (place.override) {
        gr_text_quote(place.override, strcspn(place.override, "="), key, sizeof key);
        /* The override's own name is the path, but for what lies below it. */
        if (strcmp(key, path) == 0) path = "";
        snprintf(where, sizeof where, "--set %s", key);
    } else if (place.line > 0) {
        snprintf(where, sizeof where, "%s:%zu", broken->name, place.line);
    } else {
        snprintf(where, sizeof where, "%s", broken->name);
    }
    /* Of the section itself its point is left out. */
    const int within = (int)strlen(broken->within) - (*path == '\0' && broken->within[0]);
    int used = snprintf(line, sizeof line, "%s%s: %.*s%s%s", broken->n > 1 ? "\n" : "", where,
                        within, broken->within, path, *path || within > 0 ? ": " : "");
    size_t start = used < 0 ? 0 : (size_t)used < sizeof line ? (size_t)used : sizeof line - 1;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line + start, sizeof line - start, format, arguments);
    va_end(arguments);
    size_t length = strlen(line);
    /* A line goes in whole or not at all. n_shown then lags behind n for good. */
    if (broken->length + length >= sizeof broken->lines) return;
    memcpy(broken->lines + broken->length, line, length + 1);
    broken->length += length;
    broken->n_shown++;
}

gr_status gr_broken_status(const struct gr_broken *broken) {
    if (broken->n == 0) return GR_OK;
    if (broken->n == broken->n_shown) return gr_fail(GR_ERROR_CONFIG, "%s", broken->lines);
    return gr_fail(GR_ERROR_CONFIG, "%s\nand %zu more", broken->lines, broken->n - broken->n_shown);
}
