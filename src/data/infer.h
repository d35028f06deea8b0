/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Guessing what the columns of a CSV file hold. A file is read twice: the first time counts how the
 * cells of each column are written (infer_form.c, infer_words.c, infer_statistics.c), from which
 * follows how the column is to be read (infer_decide.c); the second time reads every cell by these
 * rules, with the parser that training uses, and counts its values and the lines that do not fit
 * (infer_values.c). Of both come type, categories and range (infer_column.c, infer_label.c), and
 * what a person should look at (infer_report.c).
 *
 * Memory is constant for each column. No text of a cell gets into a schema, or into words about
 * it, unless it stands in at least `threshold` rows or is a word that everybody uses: a schema goes
 * to other sites, and a rare text may name somebody. Cells that do not fit are told by line.
 */
#ifndef GRANARY_DATA_INFER_H
#define GRANARY_DATA_INFER_H

#include "data/groups.h"
#include <granary/data.h>

#include "data/csv_scan.h"

/* ---- one cell (infer_form.c) ------------------------------------------------------------------
 */

/* Ways in which a number can be written: decimal mark and mark between thousands. */
enum gr_infer_reading {
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
enum gr_decimal gr_infer_reading_decimal(enum gr_infer_reading reading);
enum gr_thousands gr_infer_reading_thousands(enum gr_infer_reading reading);

enum gr_infer_form_kind {
    GR_FORM_MISSING, /* nothing, NA and the like, in every table */
    GR_FORM_UNKNOWN, /* a word that often stands for a missing value: unknown, n.k., \N */
    GR_FORM_NUMBER,  /* in at least one reading */
    GR_FORM_INFINITE,
    GR_FORM_CENSORED, /* "<5", "> 89", "90+" */
    GR_FORM_DATE,     /* with or without a time */
    GR_FORM_TIME,     /* of a day */
    GR_FORM_PAIR,     /* of numbers: 120/80 */
    GR_FORM_WORD,
};
struct gr_infer_form {
    enum gr_infer_form_kind kind;
    unsigned readings;           /* of a number: 1 << enum gr_infer_reading, all that fit */
    unsigned dates;              /* of a date: 1 << enum gr_date_format */
    double value;                /* of a number in the first reading */
    bool whole, percent, padded; /* of a number; padded: 007 */
    bool clock, short_year;      /* of a date: a time stands behind it; 31.01.24 */
    bool time;                   /* it can be a time of a day, whatever else it is */
    const char *affix[2];        /* of a number: in front and behind; in the cell */
    size_t affix_length[2];      /* 0: none */
};
/* text: without spaces around it. */
void gr_infer_form_of(const char *text, size_t length, struct gr_infer_form *form);
/* Whether many tables have it for a missing value: it may stand in a schema however rare it is. */
bool gr_infer_form_is_common(const char *text, size_t length);
/* Of those, whether it is no word but a sign ("?", "--", "#REF!"), which is no answer either. */
bool gr_infer_form_says_nothing(const char *text, size_t length);

/* ---- different texts of a column (infer_words.c) ----------------------------------------------
 */

enum { GR_WORDS_MAX = 256, GR_WORDS_BYTES = 16384 };

struct gr_infer_word {
    size_t at, length;  /* in `text`; a NUL stands behind it */
    size_t count, line; /* rows that have it, and the first one's line */
    struct gr_infer_form form;
};
struct gr_infer_words {
    struct gr_infer_word *word; /* GR_WORDS_MAX; NULL until there is one; owned, like all below */
    uint16_t *slot;
    char *text;
    size_t n, bytes;
    bool many; /* there are more than fit: nothing is kept any longer */
};
gr_status gr_infer_words_count(struct gr_infer_words *words, const char *text, size_t length,
                               const struct gr_infer_form *form, size_t line) GR_CHECKED;
/* How a text that has been counted is written; NULL: it has not been. Affixes are not in it. */
const struct gr_infer_form *gr_infer_words_form(const struct gr_infer_words *words,
                                                const char *text, size_t length);
const char *gr_infer_words_text(const struct gr_infer_words *words, size_t i);
/* A word with a digit (V57) says something, beside numbers as well: it stands for no missing value.
 */
bool gr_infer_words_is_code(const struct gr_infer_words *words, size_t i);
void gr_infer_words_release(struct gr_infer_words *words);
uint64_t gr_infer_words_hash(const char *text, size_t length);

/* ---- a column, the first time through (infer_statistics.c)
 * -----------------------------------------
 */

enum { GR_AFFIXES_MAX = 4, GR_AFFIX_BYTES = 16, GR_UNIQUE_MAX = 512 };

struct gr_infer_statistics {
    size_t n_rows, n_missing, n_unknown, n_number, n_infinite, n_censored, n_date, n_time, n_pair,
        n_word;
    size_t n_reading[GR_READINGS]; /* numbers that fit */
    size_t n_format[3];            /* dates that fit; by enum gr_date_format */
    size_t n_whole, n_percent, n_padded, n_affixed, n_clock, n_short_year, n_spaced;
    size_t longest; /* bytes of the longest cell */
    bool not_utf8;  /* some cell is not UTF-8 */
    bool controls;  /* some cell holds a control character, as no category may */
    struct gr_infer_affix {
        char text[GR_AFFIX_BYTES + 1];
        bool behind;
        size_t count;
    } affix[GR_AFFIXES_MAX];
    size_t n_affixes;
    size_t n_other_affixes;       /* that found no room */
    struct gr_infer_words words;  /* that are no numbers, dates or missing values of every table */
    struct gr_infer_words values; /* numbers as they are written */
    /* The first GR_UNIQUE_MAX values, until one comes again. */
    uint64_t *unique;
    size_t n_unique;
    bool repeats, unordered; /* numbers are not in strictly ascending order */
    bool follows;            /* `last` is the value before, in the same table */
    double last;
};
/* The next value is another table's first, or one of before: it stands behind none. */
void gr_infer_statistics_restart(struct gr_infer_statistics *t);
gr_status gr_infer_statistics_add(struct gr_infer_statistics *accumulator, const char *text,
                                  size_t length, size_t line) GR_CHECKED;
void gr_infer_statistics_release(struct gr_infer_statistics *accumulator);
/* Values that are to be explained: neither missing nor unknown. */
size_t gr_infer_statistics_values(const struct gr_infer_statistics *accumulator);
/* Different texts, numbers among them; SIZE_MAX: more than are kept. */
size_t gr_infer_statistics_different(const struct gr_infer_statistics *accumulator);

/* ---- how a column is to be read (infer_decide.c) ----------------------------------------------
 */

enum gr_infer_seems {
    GR_SEEMS_EMPTY,
    GR_SEEMS_NUMBER,
    GR_SEEMS_DATE,
    GR_SEEMS_TIME,
    GR_SEEMS_PAIRS,
    GR_SEEMS_WORDS, /* few different ones */
    GR_SEEMS_NAMES, /* identifiers: all differ */
    GR_SEEMS_TEXT   /* many different ones */
};
struct gr_infer_decision {
    enum gr_infer_seems seems;
    enum gr_infer_reading reading;
    bool unsure; /* another reading fits as well */
    enum gr_date_format format;
};
/* decimal_comma: other columns of the table leave no doubt that they are written so. */
void gr_infer_decide(const struct gr_infer_statistics *accumulator, size_t threshold,
                     bool decimal_comma, struct gr_infer_decision *out);
/* A decimal comma that can be nothing else. */
bool gr_infer_decide_is_comma(const struct gr_infer_statistics *accumulator);
/* The commonest affix of its kind, NULL: there is none. */
const struct gr_infer_affix *
gr_infer_statistics_affix(const struct gr_infer_statistics *accumulator, bool behind);

/* ---- a column of numbers, the second time through (infer_values.c) ----------------------------
 */

enum { GR_ENDS = 16, GR_LINES_TOLD = 3 };

struct gr_infer_values {
    struct gr_cell_rules rules; /* owned; of the column, which must stay where it is */
    size_t n, n_missing, n_infinite, n_censored;
    size_t n_unfit, unfit_line[GR_LINES_TOLD], unfit_table[GR_LINES_TOLD]; /* the first ones */
    /* The GR_ENDS least different values, ascending, and greatest, descending; rows of each. */
    double low[GR_ENDS], high[GR_ENDS];
    size_t n_low[GR_ENDS], n_high[GR_ENDS];
    size_t lows, highs;
    bool fractions;
    double sum;
};
void gr_infer_values_add(struct gr_infer_values *values, const char *text, size_t length,
                         size_t table, size_t line);
/*
 * Takes a value that stands for none off the end of the numbers, and says which: -999, 9999 and
 * their like where they are far off the others; any that is common (`threshold` rows), whole, and
 * farther off than all others are from each other, or the only negative one among many.
 */
bool gr_infer_values_take_sentinel(struct gr_infer_values *values, size_t threshold, bool many,
                                   double *sentinel);

/* ---- a column, concluded ----------------------------------------------------------------------
 */

struct gr_inferred {
    struct gr_infer_statistics accumulator;
    struct gr_infer_decision decision;
    struct gr_infer_values values; /* of numbers */
    struct gr_column *column;      /* in the schema */
    struct gr_guess *guess;        /* in the result */
    char *reading; /* words of infer_rules.c, ", decimal comma"; owned; NULL: none */
    char **first;  /* cell of each table's first row; owned */
};
struct gr_infer_state {
    const struct gr_infer_options *options;
    struct gr_inferred *column; /* owned */
    size_t n;
    struct gr_inference *result; /* owned */
    size_t *first_line;          /* of each table's first row; owned */
    bool *has_units;             /* that row is one of units; owned */
    struct gr_groups groups;     /* of the column of groups; no more than GR_SILO_GROUPS_MAX + 1 */
};
enum { GR_SILO_GROUPS_MAX = 1000000 }; /* as many as data.silos may be */

/* infer_rules.c: how cells are read, as the schema's keys say it. */
gr_status gr_infer_rules(struct gr_infer_state *state, struct gr_inferred *c) GR_CHECKED;
/* infer_column.c: type, categories, range, and doubts of a column that is a feature or left out. */
gr_status gr_infer_column(struct gr_infer_state *state, struct gr_inferred *c) GR_CHECKED;
/* infer_label.c */
gr_status gr_infer_label(struct gr_infer_state *state, struct gr_inferred *c) GR_CHECKED;
gr_status gr_infer_group(struct gr_infer_state *state, struct gr_inferred *c) GR_CHECKED;
/* infer_number.c: values that stand for none; and a column of numbers that is a feature. */
gr_status gr_infer_sentinels(const struct gr_infer_state *state, struct gr_inferred *c) GR_CHECKED;
gr_status gr_infer_number(struct gr_infer_state *state, struct gr_inferred *c) GR_CHECKED;

/* infer_names.c: label and group are there, or GR_ERROR_DATA with the nearest names. */
gr_status gr_infer_check_names(struct gr_infer_state *state) GR_CHECKED;

/* A file that seems to have no header is refused (GR_ERROR_DATA): a row of it, with what may name
 * somebody, would become the names of columns. */
gr_status gr_infer_check_header(const struct gr_infer_state *state) GR_CHECKED;

/*
 * infer_schema.c: from columns that were guessed to ones that other rows and files fit as well:
 * whole numbers may be others there, values may be missing, and what was seen is no range and no
 * list of categories to be kept.
 */
void gr_infer_loosen(struct gr_schema *schema);

/* infer_report.c: words for people. Each appends. */
gr_status gr_infer_tell(char **text, const char *format, ...) GR_PRINTF(2, 3) GR_CHECKED;
/* The column is text, for this reason, and there is a doubt that says so. */
gr_status gr_infer_tell_left_out(struct gr_inferred *c, const char *format, ...)
    GR_PRINTF(2, 3) GR_CHECKED;
gr_status gr_infer_text_append(char **text, const char *part, size_t length) GR_CHECKED;
/* Cells that are no numbers, by line. */
gr_status gr_infer_tell_unfit(struct gr_infer_state *state, struct gr_inferred *c) GR_CHECKED;
/* "a", "b" and "c": of texts that may be told. */
gr_status gr_infer_tell_list(char **text, char *const *list, unsigned n) GR_CHECKED;
/* Whether a schema can list the text, whose line is named. Errors: GR_ERROR_DATA. */
gr_status gr_infer_check_listed(const struct gr_infer_state *state, const struct gr_inferred *c,
                                const struct gr_infer_words *words, size_t i) GR_CHECKED;
gr_status gr_infer_list_add(char ***list, unsigned *n, const char *text, size_t length) GR_CHECKED;

#endif
