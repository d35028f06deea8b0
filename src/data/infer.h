/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guessing what the columns of a CSV file hold. A file is read twice: the first time counts how the
 * cells of each column are written (infer_form.c, infer_words.c, infer_tally.c), from which follows
 * how the column is to be read (infer_decide.c); the second time reads every cell by these rules,
 * with the parser that training uses, and counts its values and the lines that do not fit
 * (infer_values.c). Of both come type, categories and range (infer_column.c, infer_label.c), and
 * what a person should look at (infer_tell.c).
 *
 * Memory is constant for each column. No text of a cell gets into a schema, or into words about
 * it, unless it stands in at least `threshold` rows or is a word that everybody uses: a schema goes
 * to other sites, and a rare text may name somebody. Cells that do not fit are told by line.
 */
#ifndef GRANARY_DATA_INFER_H
#define GRANARY_DATA_INFER_H

#include <granary/data.h>

#include "data/csv_scan.h"

/* ---- one cell (infer_form.c) ------------------------------------------------------------------ */

/* Ways in which a number can be written: decimal mark and mark between thousands. */
enum gr_reading {
    GR_READ_POINT,
    GR_READ_COMMA,
    GR_READ_POINT_COMMAS, /* 1,234.5 */
    GR_READ_COMMA_POINTS, /* 1.234,5 */
    GR_READ_POINT_SPACES,
    GR_READ_COMMA_SPACES,
    GR_READ_POINT_APOSTROPHES,
    GR_READ_COMMA_APOSTROPHES,
    GR_READINGS
};
enum gr_decimal gr_reading_decimal(enum gr_reading reading);
enum gr_thousands gr_reading_thousands(enum gr_reading reading);

enum gr_form_kind {
    GR_FORM_MISSING,  /* nothing, NA and the like, in every table */
    GR_FORM_UNKNOWN,  /* a word that often stands for a missing value: unknown, n.k., \N */
    GR_FORM_NUMBER,   /* in at least one reading */
    GR_FORM_INFINITE,
    GR_FORM_CENSORED, /* "<5", "> 89", "90+" */
    GR_FORM_DATE,     /* with or without a time */
    GR_FORM_TIME,     /* of a day */
    GR_FORM_WORD,
};
struct gr_form {
    enum gr_form_kind kind;
    unsigned readings; /* of a number: 1 << enum gr_reading, all that fit */
    unsigned dates;    /* of a date: 1 << enum gr_date_format */
    double value;                /* of a number in the first reading */
    bool whole, percent, padded; /* of a number; padded: 007 */
    bool clock, short_year;      /* of a date: a time stands behind it; 31.01.24 */
    const char *affix[2];        /* of a number: in front and behind; in the cell */
    size_t affix_length[2];      /* 0: none */
};
/* text: without spaces around it. */
void gr_form_of(const char *text, size_t length, struct gr_form *form);
/* Whether many tables have it for a missing value: it may stand in a schema however rare it is. */
bool gr_form_is_common(const char *text, size_t length);
/* Of those, whether it is no word but a sign ("?", "--", "#REF!"), which is no answer either. */
bool gr_form_says_nothing(const char *text, size_t length);

/* ---- different texts of a column (infer_words.c) ---------------------------------------------- */

enum { GR_WORDS_MAX = 256, GR_WORDS_BYTES = 16384 };

struct gr_word {
    size_t at, length; /* in `text`; a NUL stands behind it */
    size_t count, line; /* rows that have it, and the first one's line */
    enum gr_form_kind kind;
};
struct gr_words {
    struct gr_word *word; /* GR_WORDS_MAX; NULL until there is one; owned, like all below */
    uint16_t *slot;
    char *text;
    size_t n, bytes;
    bool many; /* there are more than fit: nothing is kept any longer */
};
gr_status gr_words_count(struct gr_words *words, const char *text, size_t length,
                         enum gr_form_kind kind, size_t line) GR_CHECKED;
const char *gr_words_text(const struct gr_words *words, size_t i);
void gr_words_release(struct gr_words *words);
uint64_t gr_words_hash(const char *text, size_t length);

/* ---- a column, the first time through (infer_tally.c) ----------------------------------------- */

enum { GR_AFFIXES_MAX = 4, GR_AFFIX_BYTES = 16, GR_UNIQUE_MAX = 512 };

struct gr_tally {
    size_t n_rows, n_missing, n_unknown, n_number, n_infinite, n_censored, n_date, n_time, n_word;
    size_t n_reading[GR_READINGS]; /* numbers that fit */
    size_t n_format[3];            /* dates that fit; by enum gr_date_format */
    size_t n_marked;               /* numbers with any mark: , . ' or a space */
    size_t n_whole, n_percent, n_padded, n_affixed, n_clock, n_short_year, n_spaced;
    size_t longest; /* bytes of the longest cell */
    char affix[GR_AFFIXES_MAX][GR_AFFIX_BYTES + 1];
    size_t n_affixes;
    bool affixes_differ; /* there are more */
    struct gr_words words;  /* that are no numbers, dates or missing values of every table */
    struct gr_words values; /* numbers as they are written */
    /* The first GR_UNIQUE_MAX values, until one comes again. */
    uint64_t *unique;
    size_t n_unique;
    bool repeats, unordered; /* numbers are not in strictly ascending order */
    double last;
};
gr_status gr_tally_add(struct gr_tally *tally, const char *text, size_t length,
                       size_t line) GR_CHECKED;
void gr_tally_release(struct gr_tally *tally);
/* Values that are to be explained: neither missing nor unknown. */
size_t gr_tally_values(const struct gr_tally *tally);
/* Different texts, numbers among them; SIZE_MAX: more than are kept. */
size_t gr_tally_different(const struct gr_tally *tally);

/* ---- how a column is to be read (infer_decide.c) ---------------------------------------------- */

enum gr_seems {
    GR_SEEMS_EMPTY,
    GR_SEEMS_NUMBER,
    GR_SEEMS_DATE,
    GR_SEEMS_TIME,
    GR_SEEMS_WORDS, /* few different ones */
    GR_SEEMS_NAMES, /* identifiers: all differ */
    GR_SEEMS_TEXT   /* many different ones */
};
struct gr_decision {
    enum gr_seems seems;
    enum gr_reading reading;
    bool unsure;               /* another reading fits as well */
    enum gr_date_format format;
};
/* decimal_comma: other columns of the table leave no doubt that they are written so. */
void gr_decide(const struct gr_tally *tally, size_t threshold, bool decimal_comma,
               struct gr_decision *out);
/* A decimal comma that can be nothing else. */
bool gr_decide_is_comma(const struct gr_tally *tally);

#endif
