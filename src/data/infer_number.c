/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A column of numbers: a feature, a code, or something that only looks like a number. All of it are
 * rules of thumb about tables in the wild; each that takes a column out, or a value for missing,
 * leaves a doubt in words, so that a person can say otherwise in the schema.
 */
#include "data/infer.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Rows from which a column without repeats is no chance; different values that codes of kinds have;
 * shares of rows, one in so many. */
enum {
    FOUR = 4,
    IDS_FROM = 20,
    CODES_LEAST = 3,
    CODES_MOST = 9,
    INDICATOR_IN = 10,
    NEARLY_ALL_IN = 10
};
/* float32 holds about seven digits: with less of them for the differences an origin is needed. */
#define SPREAD_LEAST 1e-4
#define EXACT_MAX    16777216.0

/* ---- what the column is called ----------------------------------------------------------------
 */

/* Whether one of the words of a name, parted by case and signs, is one of a list. "patientId" has
 * the words patient and id, "PATIENT_ID" too. */
static bool is_named(const char *name, const char *const *list, size_t n) {
    char word[32];
    for (const char *p = name; *p;) {
        size_t length = 0;
        while (*p && !isalnum((unsigned char)*p))
            p++;
        do {
            if (length + 1 < sizeof word) word[length++] = (char)tolower((unsigned char)*p);
            p++;
        } while (*p && isalnum((unsigned char)*p) &&
                 !(isupper((unsigned char)*p) && islower((unsigned char)p[-1])));
        word[length < sizeof word ? length : sizeof word - 1] = '\0';
        for (size_t i = 0; i < n; i++)
            if (strcmp(word, list[i]) == 0) return true;
    }
    return false;
}

static bool is_named_id(const char *name) {
    static const char *const words[] = {
        "id",   "ids",     "uid",     "pid",   "mrn",       "ssn",       "nr",
        "no",   "key",     "index",   "row",   "rownum",    "unnamed",   "record",
        "case", "patient", "subject", "visit", "encounter", "admission", "barcode",
        "code", "kennung", "fallnr",  "patnr", "instant",   "number",    "num"};
    return is_named(name, words, sizeof words / sizeof *words);
}

/* A name that ends in a word for people and things that may be in several rows. */
static bool is_named_key(const char *name) {
    static const char *const words[] = {"id",      "ids",     "uid",     "pid",      "mrn",
                                        "ssn",     "nbr",     "nr",      "ptid",     "patid",
                                        "patnr",   "subjid",  "kennung", "fallnr",   "idno",
                                        "barcode", "patient", "subject", "encounter"};
    const char *end = name + strlen(name), *last = end;
    while (last > name && isalnum((unsigned char)last[-1]) &&
           !(last < end && isupper((unsigned char)*last) && islower((unsigned char)last[-1])))
        last--;
    return is_named(last, words, sizeof words / sizeof *words);
}

static bool is_named_date(const char *name) {
    static const char *const words[] = {
        "date",     "datum",     "day",      "dob",        "birth",      "time",
        "stamp",    "timestamp", "zeit",     "epoch",      "dt",         "dod",
        "birthday", "birthdate", "admitted", "discharged", "dateofbirth"};
    return is_named(name, words, sizeof words / sizeof *words);
}

/*
 * Codes of places are whole numbers without an order: a model would take their size for something.
 */
static bool is_named_place(const char *name) {
    static const char *const words[] = {"zip", "zipcode",    "zip5", "postcode", "postal",
                                        "plz", "postalcode", "fips", "tract"};
    return is_named(name, words, sizeof words / sizeof *words);
}

/* Such columns are left as numbers without a doubt, however few values they have. */
static bool is_named_amount(const char *name) {
    static const char *const words[] = {"age",     "count",  "n",     "num",   "number", "score",
                                        "grade",   "stage",  "level", "years", "days",   "times",
                                        "visits",  "months", "size",  "rank",  "degree", "rating",
                                        "quality", "alter",  "anzahl"};
    return is_named(name, words, sizeof words / sizeof *words);
}

/* ---- no measurement ---------------------------------------------------------------------------
 */

static bool is_compact_date(double value) {
    char text[16];
    double seconds;
    if (value < 19000101 || value > 21001231) return false;
    snprintf(text, sizeof text, "%.0f", value);
    return gr_date_read(text, 8, GR_DATE_ISO, false, &seconds) == GR_DATE_READ;
}

/* The four outermost values on each side are days of the calendar, as no other numbers are. */
static bool are_compact_dates(const struct gr_infer_values *v) {
    bool all = !v->fractions && v->lows >= FOUR;
    for (size_t i = 0; i < FOUR && all; i++)
        all = is_compact_date(v->low[i]) && is_compact_date(v->high[i]);
    return all;
}

/* Strictly ascending, 1 to n in any order, larger than a measurement, or called an identifier. A
 * span of at most a tenth more than the rows is a numbering with gaps. */
static bool is_id(const struct gr_inferred *c) {
    const struct gr_infer_statistics *t = &c->accumulator;
    const struct gr_infer_values *v = &c->values;
    if (v->fractions || t->repeats || v->n < IDS_FROM || t->n_affixed + t->n_percent > 0)
        return false;
    const double span = v->high[0] - v->low[0] + 1, n = (double)v->n;
    return !t->unordered || (span >= n && span <= 1.1 * n) || v->high[0] > EXACT_MAX ||
           is_named_id(c->column->name);
}

/* Called an identifier, with more different values than codes of kinds have: patients who come
 * again, in tables of visits. */
static bool is_key(const struct gr_inferred *c) {
    const struct gr_infer_statistics *t = &c->accumulator;
    return !c->values.fractions && c->values.n >= IDS_FROM && is_named_key(c->column->name) &&
           (t->values.many || 2 * t->values.n > c->values.n);
}

/* Seconds and milliseconds since 1970 from 1989 to 2042, spreadsheet days from 1949 to 2119:
 * numbers that other columns of whole numbers rarely fill. */
static gr_status leave_out(struct gr_inferred *c, bool *left) {
    const struct gr_infer_values *v = &c->values;
    const char *name = c->column->name;
    const double low = v->low[0], high = v->high[0];
    const bool all_differ = !c->accumulator.repeats, dated = is_named_date(name);
    *left = true;
    if (are_compact_dates(v))
        return gr_infer_tell_left_out(c, "days as eight digits; to use them: `type: date, since: "
                                         "2000-01-01`");
    if (!v->fractions && v->lows >= FOUR && (dated || all_differ)) {
        if (low > 6e8 && high < 2.3e9 && high > 9e8)
            return gr_infer_tell_left_out(c,
                                          "seconds since 1970; to use them: `type: number, origin: "
                                          "1500000000`");
        if (low > 6e11 && high < 2.3e12 && high > 9e11)
            return gr_infer_tell_left_out(c, "milliseconds since 1970; to use them: `type: number, "
                                             "origin: 1500000000000`");
        if (dated && low > 10000 && high < 80000 && low > 18000)
            return gr_infer_tell_left_out(c,
                                          "seems to hold days as a spreadsheet counts them, from "
                                          "1900; to use them: `type: number, origin: 40000`");
    }
    if (!v->fractions && v->high[0] > 999 && is_named_place(name))
        return gr_infer_tell_left_out(c, "codes of places, no amounts");
    if (is_id(c))
        return gr_infer_tell_left_out(c, "%s; if it is a measurement: `type: number`",
                                      c->accumulator.unordered
                                          ? "all values differ, as an identifier's do"
                                          : "rises from row to row, as an identifier does");
    if (is_key(c))
        return gr_infer_tell_left_out(c, "called an identifier, of many different values; if it is "
                                         "a measurement: `type: number`");
    *left = false;
    return GR_OK;
}

/* ---- the feature ------------------------------------------------------------------------------
 */

/* Each one that is taken off shows the next: -999 behind -9999. The word is written with the
 * column's own decimal mark, as its cells are read. */
gr_status gr_infer_sentinels(const struct gr_infer_state *state, struct gr_inferred *c) {
    const bool many = c->accumulator.values.many || c->accumulator.values.n > 20;
    struct gr_column *column = c->column;
    double value;
    char word[40];
    gr_status status = GR_OK;
    while (gr_infer_values_take_sentinel(&c->values, state->options->threshold, many, &value)) {
        snprintf(word, sizeof word, "%.17g", value);
        if (column->decimal == GR_DECIMAL_COMMA && strchr(word, '.')) *strchr(word, '.') = ',';
        GR_TRY(gr_infer_list_add(&column->missing_words, &column->missing_words_count, word,
                                 strlen(word)));
        GR_TRY(gr_infer_tell(&c->guess->doubts,
                             "%s: far off all other values, taken for no value\n", word));
        GR_TRY(gr_infer_tell(&c->reading, ", %s as no value", word));
    }
out:
    return status;
}

/* The largest of 1, 2 and 5 times a power of ten that is at most a tenth of the span. */
static double step_of(double span, bool whole) {
    if (!(span > 0)) return 1;
    const double unit = pow(10, floor(log10(span / 10))), tenths = span / 10 / unit;
    const double step = unit * (tenths >= 5 ? 5 : tenths >= 2 ? 2 : 1);
    return whole && step < 1 ? 1 : step;
}

/* The text of a double with few digits: 0.30000000000000004 is 0.3. */
static double rounded(double value) {
    char text[40];
    snprintf(text, sizeof text, "%.12g", value);
    return strtod(text, NULL) + 0.0; /* no minus at 0 */
}

/* The least value of `rows` rows that lie nearest to an end; the other end's where that is not
 * known.
 */
static double behind_end(const double *end, const size_t *count, size_t n, size_t rows,
                         double other) {
    size_t seen = 0;
    for (size_t i = 0; i < n; i++) {
        seen += count[i];
        if (seen >= rows) return end[i];
    }
    return other;
}

/* 1, 2, 5, 10 ... times a power of ten: the one behind a step. */
static double next_step(double step) {
    const double unit = pow(10, floor(log10(step * 1.001)));
    return step < 1.5 * unit ? 2 * unit : step < 3 * unit ? 5 * unit : 10 * unit;
}

/* An end rounded outwards (sign -1: downwards), so far that `behind` is less than a step from it:
 * the last stretch of the range holds that many rows. A step that ends at 0 would do so whatever
 * its length: where `behind` is on the other side the stretch is two steps. */
static double round_end(double sign, double end, double behind, double step) {
    enum { STEPS_MAX = 64 };
    double bound = sign * ceil(sign * end / step) * step;
    const double steps = sign * end > 0 && sign * behind <= 0 ? 2 : 1;
    for (int i = 0; i < STEPS_MAX && !(sign * behind > sign * bound - steps * step); i++) {
        step = next_step(step);
        bound = sign * ceil(sign * end / step) * step;
    }
    return rounded(bound);
}

/*
 * The least and the greatest value are somebody's own, and so is a number near them: each end is a
 * multiple of a tenth of the span at most, or of a longer step, until as many rows lie in the step
 * inside of it as may be told of.
 */
static gr_status take_range(const struct gr_infer_state *state, struct gr_inferred *c) {
    const struct gr_infer_values *v = &c->values;
    const size_t rows = state->options->threshold;
    const double step = step_of(v->high[0] - v->low[0], !v->fractions);
    gr_status status;
    GR_TRY(gr_allocate(2, sizeof *c->column->range, "a range", &c->column->range));
    c->column->range_count = 2;
    c->column->range[0] =
        round_end(-1, v->low[0], behind_end(v->low, v->n_low, v->lows, rows, v->high[0]), step);
    c->column->range[1] =
        round_end(1, v->high[0], behind_end(v->high, v->n_high, v->highs, rows, v->low[0]), step);
out:
    return status;
}

/* The origin is rounded down like a range's end: the least value itself would be somebody's. */
static gr_status take_origin(struct gr_inferred *c) {
    const struct gr_infer_values *v = &c->values;
    const double span = v->high[0] - v->low[0], size = fmax(fabs(v->low[0]), fabs(v->high[0]));
    if (!(span > 0) || span >= SPREAD_LEAST * size) return GR_OK;
    const double step = step_of(span, !v->fractions);
    c->column->origin = rounded(floor(v->low[0] / step) * step);
    return gr_infer_tell(
        &c->guess->doubts,
        "values differ in digits that float32 does not hold: `origin` is taken off "
        "first\n");
}

static gr_status tell_codes(struct gr_inferred *c, bool whole) {
    const size_t n = c->accumulator.values.n;
    if (!whole || c->accumulator.values.many || n < CODES_LEAST || n > CODES_MOST) return GR_OK;
    if (is_named_amount(c->column->name)) return GR_OK;
    return gr_infer_tell(
        &c->guess->doubts,
        "%zu whole numbers: if they are codes of kinds and no amounts: `type: category, "
        "encode: one_hot`\n",
        n);
}

/* Zeros by themselves, as of a laboratory value that was not taken. */
static gr_status tell_zeros(const struct gr_infer_state *state, struct gr_inferred *c) {
    const struct gr_infer_values *v = &c->values;
    const bool many = c->accumulator.values.many || c->accumulator.values.n > 20;
    if (!many || v->lows < 2 || v->low[0] < 0 || v->low[0] > 0) return GR_OK;
    if (v->n_low[0] < state->options->threshold || v->low[1] < 0.1 * (v->high[0] - v->low[1]))
        return GR_OK;
    return gr_infer_tell(&c->guess->doubts, "0 is far off all other values: if it stands for no "
                                            "value, `missing_words: [\"0\"]`\n");
}

/* Where more than a tenth is missing, that a value is missing may tell something: an indicator
 * beside the mean. */
static gr_status take_gaps(struct gr_inferred *c) {
    const struct gr_infer_values *v = &c->values;
    const size_t gaps = v->n_missing + v->n_infinite, all = gaps + v->n + v->n_censored;
    gr_status status;
    if (v->n_infinite > 0)
        GR_TRY(gr_infer_tell(&c->guess->doubts, "has infinities, taken for missing\n"));
    if (gaps == 0) return GR_OK;
    if (gaps * NEARLY_ALL_IN > all * (NEARLY_ALL_IN - 1))
        GR_TRY(gr_infer_tell(&c->guess->doubts, "more than nine of ten rows have no value\n"));
    c->column->missing = gaps * INDICATOR_IN > all ? GR_MISSING_INDICATOR : GR_MISSING_MEAN;
    status = gr_infer_tell(&c->guess->taken, ", %zu missing", gaps);
out:
    return status;
}

/* Sentinels are taken off before the range is drawn; left-out columns need neither. */
gr_status gr_infer_number(struct gr_infer_state *state, struct gr_inferred *c) {
    const struct gr_infer_values *v = &c->values;
    bool left;
    gr_status status;
    GR_TRY(leave_out(c, &left));
    if (left) goto out;
    GR_TRY(gr_infer_sentinels(state, c));
    const bool whole =
        !v->fractions && v->lows > 0 && v->low[0] >= -EXACT_MAX && v->high[0] <= EXACT_MAX;
    c->column->type = whole ? GR_COLUMN_INTEGER : GR_COLUMN_NUMBER;
    GR_TRY(gr_infer_tell(&c->guess->taken, "%s%s", whole ? "whole number" : "number",
                         c->reading ? c->reading : ""));
    GR_TRY(take_gaps(c));
    if (v->lows > 0) {
        GR_TRY(take_range(state, c));
        GR_TRY(take_origin(c));
    }
    if (v->lows == 1) GR_TRY(gr_infer_tell(&c->guess->doubts, "the same in all rows\n"));
    GR_TRY(tell_codes(c, whole));
    GR_TRY(tell_zeros(state, c));
    status = gr_infer_tell_unfit(state, c);
out:
    return status;
}
