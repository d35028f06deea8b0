/* SPDX-License-Identifier: Apache-2.0 */
/* How the cells of a column are read, in the keys of a schema. Only columns that seem to hold
 * numbers have such rules; the second pass reads their cells by them, as training will. */
#include "data/infer.h"

#include <ctype.h>
#include <string.h>

/* More words than that are no habit of a table but its values. */
enum { WORDS_NAMED = 20 };

static const char *const thousands_names[] = {"none", "a comma", "a point", "a space",
                                              "an apostrophe"};

/* A bound such as 5, 0.01, 90, 0.25 or 89 is a limit of some method or of what may be told, and no
 * person's own value. */
static bool is_plain_bound(const char *text, size_t length) {
    size_t digits = 0, zeros = 0;
    unsigned number = 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i])) continue;
        zeros = text[i] == '0' ? zeros + 1 : 0;
        digits += digits > 0 || text[i] != '0';
        if (digits <= 2 && digits > 0) number = number * 10 + (unsigned)(text[i] - '0');
    }
    if (digits <= 1 || digits - (zeros < digits ? zeros : digits - 1) <= 1) return true;
    return digits == 2 && (number % 5 == 0 || number == 89);
}

/* The words of a column of numbers that stand for no value, and its censored cells. */
static gr_status list_words(const struct gr_infer_state *state, struct gr_inferred *c) {
    const struct gr_infer_words *words = &c->accumulator.words;
    struct gr_column *column = c->column;
    gr_status status = GR_OK;
    for (size_t i = 0; i < words->n; i++) {
        const struct gr_infer_word *w = &words->word[i];
        const char *text = gr_infer_words_text(words, i);
        const bool common = w->count >= state->options->threshold;
        if (w->form.kind == GR_FORM_UNKNOWN || (w->form.kind == GR_FORM_WORD && common)) {
            GR_TRY(gr_infer_check_listed(state, c, words, i));
            if (column->missing_words_count < WORDS_NAMED)
                GR_TRY(gr_infer_list_add(&column->missing_words, &column->missing_words_count, text,
                                         w->length));
        } else if (w->form.kind == GR_FORM_CENSORED &&
                   (common || is_plain_bound(text, w->length))) {
            if (column->censored_count < WORDS_NAMED)
                GR_TRY(
                    gr_infer_list_add(&column->censored, &column->censored_count, text, w->length));
        }
    }
out:
    return status;
}

/* "unknown" (first in line 17) */
static gr_status name_word(char **text, const struct gr_infer_words *words, const char *word) {
    char quoted[64];
    size_t line = 0;
    for (size_t i = 0; i < words->n && line == 0; i++)
        if (strcmp(gr_infer_words_text(words, i), word) == 0) line = words->word[i].line;
    gr_text_quote(word, strlen(word), quoted, sizeof quoted);
    return gr_infer_tell(text, "\"%s\" (first in line %zu)", quoted, line);
}

static gr_status tell_words(struct gr_inferred *c, char *const *list, unsigned n, const char *as) {
    gr_status status = GR_OK;
    for (unsigned i = 0; i < n; i++) {
        GR_TRY(name_word(&c->guess->doubts, &c->accumulator.words, list[i]));
        GR_TRY(gr_infer_tell(&c->guess->doubts, ": taken for %s\n", as));
        GR_TRY(gr_infer_tell(&c->reading, ", "));
        GR_TRY(name_word(&c->reading, &c->accumulator.words, list[i]));
        GR_TRY(gr_infer_tell(&c->reading, " as %s", as));
    }
out:
    return status;
}

/* The commonest one on each side; cells with another one are told as no numbers in the second
 * reading. */
static gr_status list_affixes(struct gr_inferred *c) {
    gr_status status = GR_OK;
    for (int behind = 0; behind < 2; behind++) {
        const struct gr_infer_affix *a = gr_infer_statistics_affix(&c->accumulator, behind == 1);
        if (!a) continue;
        GR_TRY(gr_infer_list_add(&c->column->affixes, &c->column->affixes_count, a->text,
                                 strlen(a->text)));
        GR_TRY(gr_infer_tell(&c->guess->doubts,
                             "\"%s\" stands at %zu of the numbers, and is left away\n", a->text,
                             a->count));
        GR_TRY(gr_infer_tell(&c->reading, ", \"%s\" left away", a->text));
    }
out:
    return status;
}

/* 1,234 or 1.234 in all cells with a mark: the reading that was taken, and the other one. */
static gr_status tell_unsure(struct gr_inferred *c) {
    const struct gr_column *column = c->column;
    const bool thousands = column->thousands != GR_THOUSANDS_NONE,
               comma = thousands ? column->thousands == GR_THOUSANDS_COMMA
                                 : column->decimal == GR_DECIMAL_COMMA;
    const char *mark = comma ? "comma" : "point", *other = comma ? "point" : "comma";
    if (thousands)
        return gr_infer_tell(&c->guess->doubts,
                             "three digits behind every mark, taken for thousands: if it is the "
                             "decimal mark, `decimal: %s` and no `thousands`\n",
                             mark);
    return gr_infer_tell(&c->guess->doubts,
                         "three digits behind every mark, taken for decimals: if it stands between "
                         "thousands, `decimal: %s, thousands: %s`\n",
                         other, mark);
}

static gr_status tell_reading(struct gr_inferred *c) {
    const struct gr_column *column = c->column;
    struct gr_guess *guess = c->guess;
    const bool comma = column->decimal == GR_DECIMAL_COMMA;
    gr_status status = GR_OK;
    if (comma) {
        GR_TRY(gr_infer_tell(&c->reading, ", decimal comma"));
        GR_TRY(gr_infer_tell(&guess->doubts, "decimal comma: 22,6 is 22.6\n"));
    }
    if (column->thousands != GR_THOUSANDS_NONE) {
        const char *mark = thousands_names[column->thousands];
        GR_TRY(gr_infer_tell(&c->reading, ", %s between thousands", mark));
        GR_TRY(gr_infer_tell(&guess->doubts, "%s between thousands\n", mark));
    }
    if (c->decision.unsure) GR_TRY(tell_unsure(c));
    if (column->percent) {
        GR_TRY(gr_infer_tell(&c->reading, ", percent"));
        GR_TRY(gr_infer_tell(&guess->doubts, "percent signs: 45 %% is 45\n"));
    }
out:
    return status;
}

gr_status gr_infer_rules(struct gr_infer_state *state, struct gr_inferred *c) {
    const struct gr_infer_decision *d = &c->decision;
    struct gr_column *column = c->column;
    gr_status status = GR_OK;
    if (d->seems != GR_SEEMS_NUMBER) return GR_OK;
    const size_t *n = c->accumulator.n_reading;
    const bool marked =
        n[GR_READ_POINT] < c->accumulator.n_number || n[GR_READ_COMMA] < c->accumulator.n_number;
    /* Where no cell has a mark the defaults stay, so that the schema says nothing of them. */
    if (marked) {
        column->decimal = gr_infer_reading_decimal(d->reading);
        column->thousands = gr_infer_reading_thousands(d->reading);
    }
    column->percent = c->accumulator.n_percent > 0;
    GR_TRY(tell_reading(c));
    GR_TRY(list_affixes(c));
    GR_TRY(list_words(state, c));
    GR_TRY(tell_words(c, column->missing_words, column->missing_words_count, "no value"));
    GR_TRY(tell_words(c, column->censored, column->censored_count, "the bound itself"));
    status = gr_cell_rules_create(column, &c->values.rules);
out:
    return status;
}
