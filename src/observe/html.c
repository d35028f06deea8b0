/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text of the report, written piece by piece. Everything that comes from a file (names, messages,
 * settings) goes through write_byte: a run's name must not become markup on somebody's screen.
 */
#include "observe/html.h"

#include <math.h>
#include <stdlib.h>

/* A byte with all that HTML gives a meaning replaced. */
static void write_byte(FILE *page, char byte) {
    switch (byte) {
    case '&':
        fputs("&amp;", page);
        break;
    case '<':
        fputs("&lt;", page);
        break;
    case '>':
        fputs("&gt;", page);
        break;
    case '"':
        fputs("&quot;", page);
        break;
    case '\'':
        fputs("&#39;", page);
        break;
    default:
        fputc(byte, page);
    }
}

void gr_html_bytes_of_text(FILE *page, const char *text, size_t n) {
    for (size_t i = 0; i < n; i++)
        write_byte(page, text[i]);
}

/* NULL is shown as a dash. */
void gr_html_text(FILE *page, const char *text) {
    if (!text) text = "\xe2\x80\x93";
    for (; *text; text++)
        write_byte(page, *text);
}

void gr_html_json(FILE *page, const json_t *json) {
    char *text = json_is_string(json) ? NULL : json_dumps(json, JSON_ENCODE_ANY);
    gr_html_text(page, text ? text : json_string_value(json));
    free(text);
}

/* Thousands are separated by commas, in any locale. */
void gr_html_count(FILE *page, uint64_t count) {
    char digits[24];
    int n = snprintf(digits, sizeof digits, "%llu", (unsigned long long)count);
    for (int i = 0; i < n; i++) {
        if (i > 0 && (n - i) % 3 == 0) fputc(',', page);
        fputc(digits[i], page);
    }
}

/*
 * Decimal units, three digits. 999.5 and not 1000: a value that would be rounded to 1000 goes to
 * the next unit.
 */
void gr_html_bytes(FILE *page, double bytes) {
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    size_t unit = 0;
    for (; bytes >= 999.5 && unit + 1 < sizeof units / sizeof *units; unit++)
        bytes /= 1000;
    fprintf(page, unit == 0 ? "%.0f&#160;%s" : "%.3g&#160;%s", bytes, units[unit]);
}

/*
 * The unit follows from the size; parts of a minute or hour are cut, not rounded, so that no "60 s"
 * appears.
 */
void gr_html_seconds(FILE *page, double seconds) {
    if (!isfinite(seconds))
        gr_html_text(page, NULL);
    else if (seconds > 0 && seconds < 0.01)
        fprintf(page, "%.2g&#160;ms", 1000 * seconds);
    else if (seconds < 1)
        fprintf(page, "%.0f&#160;ms", 1000 * seconds);
    else if (seconds < 60)
        fprintf(page, "%.1f&#160;s", seconds);
    else if (seconds < 3600)
        fprintf(page, "%.0f&#160;min %.0f&#160;s", floor(seconds / 60), floor(fmod(seconds, 60)));
    else
        fprintf(page, "%.0f&#160;h %.0f&#160;min", floor(seconds / 3600),
                floor(fmod(seconds / 60, 60)));
}

void gr_html_real(FILE *page, double value, int decimals) {
    if (isfinite(value))
        fprintf(page, "%.*f", decimals, value);
    else
        gr_html_text(page, NULL);
}

void gr_html_percent(FILE *page, double share, int decimals) {
    if (isfinite(share))
        fprintf(page, "%.*f&#8239;%%", decimals, 100 * share);
    else
        gr_html_text(page, NULL);
}

void gr_html_not_defined(FILE *page, const char *reason) {
    fputs("<span class=\"muted\">not defined", page);
    if (reason) {
        fputs(": ", page);
        gr_html_text(page, reason);
    }
    fputs("</span>", page);
}
