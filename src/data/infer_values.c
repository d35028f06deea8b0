/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of a column: their ends, and cells that stand for no value. */
#include "data/infer.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/*
 * Values at one end, the outermost first; sign -1: of the greatest. A sorted list of the outermost
 * GR_ENDS different values with the rows of each: enough to take sentinels off the end, and to find
 * the value behind which `threshold` rows lie.
 */
static void note_end(double sign, double value, double *end, size_t *count, size_t *n) {
    size_t at = 0;
    if (*n == GR_ENDS && sign * end[GR_ENDS - 1] < sign * value) return; /* most are */
    while (at < *n && sign * end[at] < sign * value)
        at++;
    if (at < *n && !(sign * end[at] > sign * value)) {
        count[at]++;
        return;
    }
    if (at == GR_ENDS) return;
    const size_t last = *n < GR_ENDS ? (*n)++ : GR_ENDS - 1;
    for (size_t i = last; i > at; i--) {
        end[i] = end[i - 1];
        count[i] = count[i - 1];
    }
    end[at] = value;
    count[at] = 1;
}

/* The first few lines that do not fit are kept by number, so that a person finds them; the cells
 * are not. */
void gr_infer_values_add(struct gr_infer_values *v, const char *text, size_t length, size_t table,
                         size_t line) {
    double value;
    float nearest;
    switch (gr_cell_number(&v->rules, text, length, &value, &nearest)) {
    case GR_CSV_CENSORED:
        v->n_censored++;
        return;
    case GR_CSV_MISSING:
        v->n_missing++;
        return;
    case GR_CSV_INFINITE:
        v->n_infinite++;
        return;
    case GR_CSV_OVERFLOW:
    case GR_CSV_OTHER:
        if (v->n_unfit < GR_LINES_TOLD) {
            v->unfit_line[v->n_unfit] = line;
            v->unfit_table[v->n_unfit] = table;
        }
        v->n_unfit++;
        return;
    default:
        v->n++;
        v->sum += value;
        v->fractions = v->fractions || floor(value) < value;
        note_end(1, value, v->low, v->n_low, &v->lows);
        note_end(-1, value, v->high, v->n_high, &v->highs);
    }
}

/* -9, 99, -888, 9999 ..., and the ends of machine integers. */
static bool is_known(double value) {
    char digits[32];
    const double size = fabs(value);
    if (floor(size) < size || size > 1e18) return false;
    snprintf(digits, sizeof digits, "%.0f", size);
    const size_t n = strlen(digits);
    if (strchr("789", digits[0]) && strspn(digits, (char[]){digits[0], '\0'}) == n)
        return n > 1 || value < 0;
    return strcmp(digits, "2147483647") == 0 || strcmp(digits, "2147483648") == 0 ||
           strcmp(digits, "32767") == 0 || strcmp(digits, "32768") == 0 ||
           strcmp(digits, "65535") == 0;
}

/*
 * The outermost value against the one beside it and the end on the other side. A known one must be
 * half of the others' span away; a number that nobody knows needs many rows, and the whole span, or
 * to be the only negative one.
 */
static bool is_sentinel(double value, double beside, double other, size_t count, size_t threshold,
                        bool many) {
    const double gap = fabs(value - beside), span = fabs(beside - other);
    const bool only_negative = value < 0 && beside >= 0;
    if (is_known(value) && gap >= 0.5 * span) return gap > 1;
    if (count < threshold || !many || floor(value) < value || fabs(value) < 1) return false;
    return gap >= span || (only_negative && gap >= 0.1 * span);
}

static void drop_first(double *end, size_t *count, size_t *n) {
    --*n;
    memmove(end, end + 1, *n * sizeof *end);
    memmove(count, count + 1, *n * sizeof *count);
}

bool gr_infer_values_take_sentinel(struct gr_infer_values *v, size_t threshold, bool many,
                                   double *sentinel) {
    /* The ends must tell two values and more from one another. */
    if (v->lows < 3 || v->highs < 3) return false;
    size_t count;
    if (is_sentinel(v->low[0], v->low[1], v->high[0], v->n_low[0], threshold, many)) {
        *sentinel = v->low[0];
        count = v->n_low[0];
        drop_first(v->low, v->n_low, &v->lows);
    } else if (is_sentinel(v->high[0], v->high[1], v->low[0], v->n_high[0], threshold, many)) {
        *sentinel = v->high[0];
        count = v->n_high[0];
        drop_first(v->high, v->n_high, &v->highs);
    } else {
        return false;
    }
    v->n -= count;
    v->sum -= *sentinel * (double)count;
    v->n_missing += count;
    return true;
}
