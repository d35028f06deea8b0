/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A column that is a feature, or is left out. Its type follows from infer_decide.c; the label's
 * column is infer_label.c's, and numbers are infer_number.c's. No text goes into the schema or its
 * comments unless `threshold` rows have it.
 */
#include "data/infer.h"

#include <stdlib.h>
#include <string.h>

/* More categories are found over all silos in a run (open), rather than listed by one. */
enum { LISTED_MAX = 100, INDICATOR_IN = 10 };

/* ---- categories -------------------------------------------------------------------------------
 */

struct category {
    const char *text;
    size_t length, count;
};

static int by_text(const void *a, const void *b) {
    const struct category *x = a, *y = b;
    return strcmp(x->text, y->text);
}

/* Signs for no value ("?", "--") become missing words; words ("unknown") may be answers, and stay.
 */
static gr_status take_signs(struct gr_inferred *c, const struct gr_infer_words *words, size_t i,
                            bool *sign) {
    const char *text = gr_infer_words_text(words, i);
    const size_t length = words->word[i].length;
    *sign = words->word[i].form.kind == GR_FORM_UNKNOWN && gr_infer_form_says_nothing(text, length);
    if (*sign)
        return gr_infer_list_add(&c->column->missing_words, &c->column->missing_words_count, text,
                                 length);
    return words->word[i].form.kind == GR_FORM_UNKNOWN
               ? gr_infer_tell(&c->guess->doubts,
                               "\"%s\" is a category; in `missing_words` it is no value\n", text)
               : GR_OK;
}

/* Numbers count as texts here: a column of "1", "2" and "unknown" has three categories. Signs for
 * no value are rows without a value. */
static gr_status collect(struct gr_inferred *c, struct category *out, size_t *n, size_t *n_signs) {
    const struct gr_infer_words *sources[] = {&c->accumulator.words, &c->accumulator.values};
    gr_status status = GR_OK;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < sources[s]->n; i++) {
            const struct gr_infer_word *w = &sources[s]->word[i];
            bool sign;
            GR_TRY(take_signs(c, sources[s], i, &sign));
            if (sign)
                *n_signs += w->count;
            else
                out[(*n)++] =
                    (struct category){gr_infer_words_text(sources[s], i), w->length, w->count};
        }
    qsort(out, *n, sizeof *out, by_text);
out:
    return status;
}

/* The texts that are common enough to be told, in byte order. */
static gr_status list(const struct gr_infer_state *state, struct gr_inferred *c,
                      const struct category *all, size_t n, size_t *rare) {
    struct gr_column *column = c->column;
    gr_status status = GR_OK;
    for (size_t i = 0; i < n; i++) {
        if (all[i].count >= state->options->threshold) {
            GR_TRY(gr_infer_list_add(&column->categories, &column->categories_count, all[i].text,
                                     all[i].length));
        } else {
            ++*rare;
        }
    }
out:
    return status;
}

static gr_status tell_rare(const struct gr_infer_state *state, struct gr_inferred *c, size_t rare) {
    const unsigned threshold = state->options->threshold;
    if (rare == 0) return GR_OK;
    if (c->column->categories_count > 0)
        return gr_infer_tell(
            &c->guess->doubts,
            "%zu of its values are in fewer than %u rows and may name somebody: not listed, "
            "they count as unknown\n",
            rare, threshold);
    return gr_infer_tell(
        &c->guess->doubts,
        "each of its %zu values is in fewer than %u rows and may name somebody: none is "
        "listed; list those that every site may know\n",
        rare, threshold);
}

static gr_status infer_category(const struct gr_infer_state *state, struct gr_inferred *c) {
    struct category *all = NULL;
    size_t n = 0, rare = 0, gaps = c->accumulator.n_missing;
    gr_status status;
    GR_TRY(gr_allocate((size_t)2 * GR_WORDS_MAX, sizeof *all, "categories", &all));
    GR_TRY(collect(c, all, &n, &gaps));
    c->column->type = GR_COLUMN_CATEGORY;
    c->column->encode = GR_ENCODE_ONE_HOT;
    /* The commonest category in very many rows would drown those that have it. */
    c->column->missing = gaps * INDICATOR_IN > c->accumulator.n_rows ? GR_MISSING_INDICATOR
                         : gaps > 0                                  ? GR_MISSING_MODE
                                                                     : GR_MISSING_REFUSE;
    if (n <= LISTED_MAX)
        GR_TRY(list(state, c, all, n, &rare));
    else
        GR_TRY(
            gr_infer_tell(&c->guess->doubts,
                          "%zu categories, not listed: those that are common enough over all silos "
                          "count\n",
                          n));
    c->column->open = c->column->categories_count == 0;
    GR_TRY(tell_rare(state, c, rare));
    if (n == 1) GR_TRY(gr_infer_tell(&c->guess->doubts, "the same in all rows\n"));
    GR_TRY(
        gr_infer_tell(&c->guess->taken, "category of %zu value%s, one-hot", n, n == 1 ? "" : "s"));
    if (c->column->missing_words_count > 0) {
        GR_TRY(gr_infer_tell(&c->guess->taken, ", "));
        GR_TRY(gr_infer_tell_list(&c->guess->taken, c->column->missing_words,
                                  c->column->missing_words_count));
        GR_TRY(gr_infer_tell(&c->guess->taken, " as no value"));
    }
    if (gaps > 0) status = gr_infer_tell(&c->guess->taken, ", %zu missing", gaps);
out:
    gr_free(all);
    return status;
}

/* ---- what is left out -------------------------------------------------------------------------
 */

static const char *const format_names[] = {"iso", "day_first", "month_first"};

/* Dates are never features by a guess: a birthday in a schema's range would be somebody's. */
static gr_status leave_date(struct gr_inferred *c) {
    const struct gr_infer_statistics *t = &c->accumulator;
    const char *kind = t->n_clock > 0 ? "datetime" : "date";
    gr_status status;
    const size_t others = gr_infer_statistics_values(t) - t->n_date;
    if (t->n_format[c->decision.format] == 0)
        return gr_infer_tell_left_out(c, "dates with names of months, which no format is for");
    if (t->n_short_year > 0)
        return gr_infer_tell_left_out(c, "dates with years of two digits, which no format is for");
    GR_TRY(gr_infer_tell_left_out(c,
                                  "%ss; to use them: `type: %s, format: %s, in: years, since: "
                                  "2000-01-01` (or another date column)",
                                  kind, kind, format_names[c->decision.format]));
    if (others > 0)
        GR_TRY(gr_infer_tell(&c->guess->doubts,
                             "%zu cells are no dates: a date column refuses them, unless "
                             "`missing_words` lists them\n",
                             others));
    if (c->decision.unsure)
        status =
            gr_infer_tell(&c->guess->doubts,
                          "day and month could be either way round in all rows: `day_first` or "
                          "`month_first`\n");
out:
    return status;
}

static gr_status leave_text(struct gr_inferred *c) {
    const size_t n = gr_infer_statistics_different(&c->accumulator);
    if (!c->accumulator.repeats && c->accumulator.n_unique > 0)
        return gr_infer_tell_left_out(c, "free text, all of it different");
    if (n > GR_WORDS_MAX)
        return gr_infer_tell_left_out(c,
                                      "text of more than %d different values; if it names persons: "
                                      "`type: group`",
                                      GR_WORDS_MAX);
    return gr_infer_tell_left_out(
        c,
        "text of %zu different values; as a feature: `type: category, encode: "
        "one_hot`",
        n);
}

/* Each way out sets the column's type, and says why in `taken`. */
gr_status gr_infer_column(struct gr_infer_state *state, struct gr_inferred *c) {
    switch (c->decision.seems) {
    case GR_SEEMS_EMPTY:
        return gr_infer_tell_left_out(c, "no row has a value");
    case GR_SEEMS_NUMBER:
        return gr_infer_number(state, c);
    case GR_SEEMS_DATE:
        return leave_date(c);
    case GR_SEEMS_TIME:
        return gr_infer_tell_left_out(c, "times of a day, which no type is for");
    case GR_SEEMS_PAIRS:
        return gr_infer_tell_left_out(c,
                                      "two numbers in a cell, as 120/80: make two columns of it");
    case GR_SEEMS_NAMES:
        return gr_infer_tell_left_out(c, "all values differ, as an identifier's do");
    case GR_SEEMS_TEXT:
        return leave_text(c);
    default:
        return infer_category(state, c);
    }
}
