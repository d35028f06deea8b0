/* SPDX-License-Identifier: Apache-2.0 */
/* From how a column's cells are written to how it is to be read. */
#include "data/infer.h"

/*
 * A type holds where at most one cell of twenty (and, of ten or more, one in any case) does not
 * fit; SOME_NUMBERS of the values, and more than FEW different ones, stay numbers beside one or two
 * words that are common ("not tested"). A column with a date in one of DATES_IN values holds dates:
 * as categories they would be days of somebody's life in a schema that goes to other sites.
 */
enum {
    DATES_IN = 5,
    UNFIT_IN = 20,
    ALWAYS_ONE_FROM = 10,
    FEW = 20,
    MANY = 100,
    NAMED_FROM = 20,
    ROWS_EACH = 10
};

/* Of fewer than ten values all must fit, for one of nine is no exception. */
static bool fits(size_t values, size_t fitting) {
    const size_t unfit = values - fitting;
    return fitting > 0 && (unfit * UNFIT_IN <= values || (unfit <= 1 && values >= ALWAYS_ONE_FROM));
}

/* ---- numbers ----------------------------------------------------------------------------------
 */

/* Three digits behind a comma may be either, and do not count here: then the readings with a point
 * have as many. */
bool gr_infer_decide_is_comma(const struct gr_infer_statistics *t) {
    const size_t *n = t->n_reading;
    const size_t comma =
        n[GR_READ_COMMA] > n[GR_READ_COMMA_POINTS] ? n[GR_READ_COMMA] : n[GR_READ_COMMA_POINTS];
    return fits(gr_infer_statistics_values(t), comma) && comma > n[GR_READ_POINT] &&
           comma > n[GR_READ_POINT_COMMAS] && comma > n[GR_READ_POINT_SPACES];
}

/* The reading that takes most cells; of several the one that goes without saying. */
static enum gr_infer_reading best_reading(const struct gr_infer_statistics *t, bool decimal_comma,
                                          bool *unsure) {
    static const enum gr_infer_reading usual[] = {GR_READ_POINT,
                                                  GR_READ_POINT_COMMAS,
                                                  GR_READ_COMMA,
                                                  GR_READ_COMMA_POINTS,
                                                  GR_READ_POINT_SPACES,
                                                  GR_READ_COMMA_SPACES,
                                                  GR_READ_POINT_APOSTROPHES,
                                                  GR_READ_COMMA_APOSTROPHES};
    static const enum gr_infer_reading with_comma[] = {GR_READ_COMMA,
                                                       GR_READ_COMMA_POINTS,
                                                       GR_READ_COMMA_SPACES,
                                                       GR_READ_POINT,
                                                       GR_READ_POINT_COMMAS,
                                                       GR_READ_POINT_SPACES,
                                                       GR_READ_COMMA_APOSTROPHES,
                                                       GR_READ_POINT_APOSTROPHES};
    const enum gr_infer_reading *order = decimal_comma ? with_comma : usual;
    const size_t *n = t->n_reading;
    enum gr_infer_reading best = order[0];
    for (int i = 1; i < GR_READINGS; i++)
        if (n[order[i]] > n[best]) best = order[i];
    /* 1,234 or 1.234 in all cells that have a mark: thousands, or three decimals. */
    const bool commas = n[GR_READ_COMMA] == n[GR_READ_POINT_COMMAS],
               points = n[GR_READ_POINT] == n[GR_READ_COMMA_POINTS];
    const bool marked = n[GR_READ_POINT] < t->n_number || n[GR_READ_COMMA] < t->n_number;
    *unsure = marked && ((commas && (best == GR_READ_COMMA || best == GR_READ_POINT_COMMAS) &&
                          n[best] > n[GR_READ_POINT]) ||
                         (points && (best == GR_READ_POINT || best == GR_READ_COMMA_POINTS) &&
                          n[best] > n[GR_READ_COMMA]));
    return best;
}

/* Beside numbers one or two words, each of them common: "not tested". */
static bool has_common_words_only(const struct gr_infer_statistics *t, size_t threshold) {
    const bool many_numbers = t->values.many || t->values.n > FEW;
    size_t n = 0;
    if (t->words.many || !many_numbers) return false;
    for (size_t i = 0; i < t->words.n; i++) {
        if (t->words.word[i].form.kind == GR_FORM_UNKNOWN) continue;
        if (t->words.word[i].count < threshold || gr_infer_words_is_code(&t->words, i))
            return false;
        n++;
    }
    return n <= 2;
}

/*
 * 007 is a code, of which the zeros are a part, and so are numbers beside V57 in several rows; 5 kg
 * and 11 lb are of no one scale.
 */
static bool is_code(const struct gr_infer_statistics *t, size_t threshold) {
    size_t others = t->n_other_affixes;
    for (size_t i = 0; i < t->words.n; i++)
        if (t->words.word[i].count >= threshold && gr_infer_words_is_code(&t->words, i))
            return true;
    for (size_t i = 0; i < t->n_affixes; i++)
        if (&t->affix[i] != gr_infer_statistics_affix(t, t->affix[i].behind))
            others += t->affix[i].count;
    return t->n_padded * UNFIT_IN > t->n_number || others * UNFIT_IN > t->n_number;
}

/* Half of the values must be numbers in one reading even where the rest are bounds ("<5"), else the
 * column is of bounds. */
static bool is_number(const struct gr_infer_statistics *t, size_t threshold,
                      enum gr_infer_reading reading) {
    const size_t n = t->n_reading[reading], values = gr_infer_statistics_values(t);
    if (n == 0 || is_code(t, threshold)) return false;
    if (fits(values, n + t->n_infinite + t->n_censored) && 2 * n >= values) return true;
    return 5 * n >= values && has_common_words_only(t, threshold);
}

/* ---- the others -------------------------------------------------------------------------------
 */

/* Names differ in all rows and are short and without spaces; free text is longer. Few rows (below
 * NAMED_FROM) say nothing about repeats. */
static enum gr_infer_seems of_words(const struct gr_infer_statistics *t) {
    const size_t values = gr_infer_statistics_values(t),
                 different = gr_infer_statistics_different(t);
    const bool enough = values >= NAMED_FROM;
    if (enough && !t->repeats && t->n_unique > 0) {
        const bool words = 2 * t->n_spaced > values || t->longest > 64;
        return words ? GR_SEEMS_TEXT : GR_SEEMS_NAMES;
    }
    if (t->longest > GR_OPEN_CATEGORY_BYTES || t->controls || different > MANY)
        return GR_SEEMS_TEXT;
    if (enough && different > FEW + 10 && different * ROWS_EACH > values) return GR_SEEMS_TEXT;
    return enough && 2 * different > values ? GR_SEEMS_TEXT : GR_SEEMS_WORDS;
}

/* Numbers first, and dates before times: "10.12.21" can be either of these. */
void gr_infer_decide(const struct gr_infer_statistics *t, size_t threshold, bool decimal_comma,
                     struct gr_infer_decision *out) {
    const size_t values = gr_infer_statistics_values(t);
    *out = (struct gr_infer_decision){.seems = GR_SEEMS_EMPTY};
    if (values == 0) return;
    for (int f = GR_DATE_ISO; f <= GR_DATE_MONTH_FIRST; f++)
        if (t->n_format[f] > t->n_format[out->format]) out->format = (enum gr_date_format)f;
    enum gr_infer_reading reading = best_reading(t, decimal_comma, &out->unsure);
    if (is_number(t, threshold, reading)) {
        out->seems = GR_SEEMS_NUMBER;
        out->reading = reading;
    } else if (fits(values, t->n_date) || DATES_IN * t->n_date >= values) {
        out->seems = GR_SEEMS_DATE;
        out->unsure = t->n_format[GR_DATE_DAY_FIRST] == t->n_format[GR_DATE_MONTH_FIRST] &&
                      t->n_format[GR_DATE_ISO] < t->n_format[GR_DATE_DAY_FIRST];
    } else if (fits(values, t->n_time)) {
        out->seems = GR_SEEMS_TIME;
    } else if (fits(values, t->n_pair) && gr_infer_statistics_different(t) > FEW) {
        out->seems = GR_SEEMS_PAIRS;
    } else {
        out->seems = of_words(t);
    }
}
