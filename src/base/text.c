/* SPDX-License-Identifier: Apache-2.0 */
/* Text for messages: formatting, nearest words, quoting what somebody else wrote. Parsing numbers
 * and dates is data's and config's. */
#include <granary/base.h>

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Distances take time by the product of the lengths, and words come from files of others. */
enum { WORD_MAX = 64 };

gr_status gr_text_format(char **out, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int n = vasprintf(out, format, arguments);
    va_end(arguments);
    if (n < 0) {
        *out = NULL;
        return gr_fail(GR_ERROR_INTERNAL, "memory for a text was refused");
    }
    return GR_OK;
}

/* Levenshtein's distance; both words at most WORD_MAX long. */
static size_t edit_distance(const char *a, const char *b) {
    size_t row[WORD_MAX + 1], n = strlen(b);
    for (size_t j = 0; j <= n; j++)
        row[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= n; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[n];
}

/*
 * Of candidates equally near the first is taken, so that the order of a table decides and messages
 * are stable. Within half of the word's length there is likeness; of words of up to five letters
 * two edits are allowed.
 */
const char *gr_text_nearest(const char *word, const char *const *candidates, size_t n) {
    const char *nearest = NULL;
    size_t length = strnlen(word, WORD_MAX + 1);
    if (length > WORD_MAX) return NULL;
    size_t best = length / 2 > 2 ? length / 2 : 2;
    for (size_t i = 0; i < n; i++) {
        if (strnlen(candidates[i], WORD_MAX + 1) > WORD_MAX) continue;
        size_t distance = edit_distance(word, candidates[i]);
        if (distance < best || (distance == best && !nearest)) {
            best = distance;
            nearest = candidates[i];
        }
    }
    return nearest;
}

/* Length of the UTF-8 sequence at text[0..length-1], 0 if it is not one (RFC 3629, section 4). */
static size_t utf8_length(const unsigned char *text, size_t length) {
    unsigned char first = text[0];
    size_t n = first < 0x80 ? 1 : first < 0xC2 ? 0 : first < 0xE0 ? 2 : first < 0xF0 ? 3 : 4;
    if (n == 0 || first > 0xF4 || n > length) return 0;
    for (size_t i = 1; i < n; i++)
        if ((text[i] & 0xC0) != 0x80) return 0;
    if (first == 0xE0 && text[1] < 0xA0) return 0; /* overlong */
    if (first == 0xED && text[1] > 0x9F) return 0; /* surrogates */
    if (first == 0xF0 && text[1] < 0x90) return 0; /* overlong */
    if (first == 0xF4 && text[1] > 0x8F) return 0; /* beyond U+10FFFF */
    return n;
}

bool gr_text_is_utf8(const char *text, size_t length) {
    const unsigned char *bytes = (const unsigned char *)text;
    for (size_t i = 0; i < length;) {
        size_t n = utf8_length(bytes + i, length - i);
        if (n == 0 || bytes[i] == 0) return false;
        i += n;
    }
    return true;
}

void gr_text_quote(const char *text, size_t length, char *out, size_t size) {
    const unsigned char *bytes = (const unsigned char *)text;
    size_t used = 0, i = 0;
    if (size == 0) return;
    while (i < length) {
        size_t n = utf8_length(bytes + i, length - i);
        bool plain = n > 1 || (n == 1 && bytes[i] >= 0x20 && bytes[i] != 0x7F);
        size_t take = plain ? n : 1;
        /* Room for the "..." as long as the rest would not fit. */
        size_t behind = length - i > size - 1 - used ? 3 : 0;
        if (used + take + behind + 1 > size) break;
        if (plain)
            memcpy(out + used, bytes + i, n);
        else
            out[used] = '?';
        used += take;
        i += n ? n : 1;
    }
    if (i < length)
        for (int dot = 0; dot < 3 && used + 1 < size; dot++)
            out[used++] = '.';
    out[used] = '\0';
}

bool gr_seconds_parse(const char *text, double *out) {
    static const struct {
        char unit;
        double seconds;
    } units[] = {{'\0', 1}, {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    const size_t n = strspn(text, "0123456789.");
    char *end;
    const double value = strtod(text, &end);
    if (n == 0 || end != text + n || (*end && end[1])) return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (*end == units[i].unit) {
            *out = value * units[i].seconds;
            return isfinite(*out);
        }
    return false;
}
