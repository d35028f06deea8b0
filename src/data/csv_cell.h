/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The text of a cell to a number, by the rules of its column: decimal and thousands marks, percent
 * signs, affixes, words for missing values, censored bounds, dates. Nothing here depends on the
 * program's locale, nothing allocates but gr_cell_rules_create.
 */
#ifndef GRANARY_DATA_CSV_CELL_H
#define GRANARY_DATA_CSV_CELL_H

#include <granary/config.h>

enum gr_csv_number {
    GR_CSV_NUMBER,
    GR_CSV_WHOLE,    /* a number without decimals and exponent */
    GR_CSV_CENSORED, /* one of the column's `censored` cells: the number is its bound */
    GR_CSV_MISSING,  /* nothing, or a word that stands for no value */
    GR_CSV_INFINITE, /* an infinity in any spelling */
    GR_CSV_OVERFLOW, /* a number, beyond float32 */
    GR_CSV_OTHER,
};
/* Whether there is a number at all. */
static inline bool gr_csv_is_number(enum gr_csv_number kind) {
    return kind <= GR_CSV_CENSORED;
}

/*
 * A number as most programs write it: "-12", "+.5", "1e-3", also with U+2212 or an en dash as its
 * minus, and spaces or no-break spaces around it. *value: the double nearest to the text, *nearest:
 * the float32 nearest to the text (not to the double); both are written for numbers only.
 * GR_CSV_MISSING: gr_cell_default_missing, of numbers.
 */
enum gr_csv_number gr_csv_number(const char *text, size_t length, double *value, float *nearest);

/*
 * Whether a cell, without the spaces around it, stands for no value where nobody says so. Of every
 * column: nothing, NA, N/A, #N/A, <NA>, #NA, NaN, null, \N in any case. Of numbers and dates
 * (`numbers`) also none, nil, missing, unknown, ?, ., -, dashes, NaN with a sign and 1.#QNAN: of
 * categories those may be answers, and count only where missing_words lists them.
 */
bool gr_cell_default_missing(const char *text, size_t length, bool numbers);

/* The text without spaces, tabs and no-break spaces around it. */
void gr_cell_trim(const char **text, size_t *length);

/* A column's rules, ready to be used. */
struct gr_cell_rules {
    const struct gr_column *of; /* borrowed */
    bool plain;                 /* numbers are gr_csv_number's */
    bool words;                 /* there are missing words or censored cells of its own */
    double *bound;              /* of each censored cell; owned */
    double *word;               /* of each missing word that is a number, else NaN; owned */
};
/* Errors: GR_ERROR_CONFIG for a censored cell without a bound, or with two. */
gr_status gr_cell_rules_create(const struct gr_column *of, struct gr_cell_rules *out) GR_CHECKED;
void gr_cell_rules_release(struct gr_cell_rules *rules); /* a zeroed struct too */

/*
 * A cell of a column of numbers (number, integer, target, a label without categories, weight,
 * offset). As gr_csv_number; `origin` is not taken off. The column's missing words go first; those
 * that are numbers are compared by value, so that -999.0 is -999.
 */
enum gr_csv_number gr_cell_number(const struct gr_cell_rules *rules, const char *text,
                                  size_t length, double *value, float *nearest);

/* Whether a cell of a column of texts (category, label, group), without the spaces around it,
 * stands for no value. Listed categories go first: that is the caller's. */
bool gr_cell_is_missing(const struct gr_cell_rules *rules, const char *text, size_t length);

/*
 * A cell of a column of dates: seconds from 1970-01-01 UTC. GR_CSV_NUMBER, GR_CSV_MISSING, or
 * GR_CSV_OTHER with *why. Of a column of type text, which another may count from, `format` holds
 * too.
 */
enum gr_csv_number gr_cell_date(const struct gr_cell_rules *rules, const char *text, size_t length,
                                double *seconds, enum gr_date_reading *why);
/* Seconds of a unit; a year has 365.25 days. */
double gr_date_unit_seconds(enum gr_date_unit unit);

#endif
