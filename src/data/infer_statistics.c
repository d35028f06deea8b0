/* SPDX-License-Identifier: Apache-2.0 */
/* How the cells of a column are written, counted in constant memory: counters, the first
 * GR_UNIQUE_MAX values as hashes, and different texts while they are few. */
#include "data/infer.h"

#include <string.h>

enum { UNIQUE_SLOTS = 2 * GR_UNIQUE_MAX };

size_t gr_infer_statistics_values(const struct gr_infer_statistics *t) {
    return t->n_rows - t->n_missing - t->n_unknown;
}

size_t gr_infer_statistics_different(const struct gr_infer_statistics *t) {
    return t->words.many || t->values.many ? SIZE_MAX : t->words.n + t->values.n;
}

/*
 * The first values, as hashes: as soon as one comes again they are forgotten. Two texts with one
 * hash of 64 bits would count as a repeat, which errs on the side of keeping a column. The lowest
 * bit is set because 0 marks an empty slot.
 */
static gr_status note_unique(struct gr_infer_statistics *t, const char *text, size_t length) {
    if (t->repeats || t->n_unique == GR_UNIQUE_MAX) return GR_OK;
    if (!t->unique) {
        gr_status status = gr_allocate_zero(UNIQUE_SLOTS, sizeof *t->unique, "values", &t->unique);
        if (status != GR_OK) return status;
    }
    const uint64_t hash = gr_infer_words_hash(text, length) | 1;
    size_t at = hash % UNIQUE_SLOTS;
    for (; t->unique[at] != 0; at = (at + 1) % UNIQUE_SLOTS)
        if (t->unique[at] == hash) t->repeats = true;
    t->unique[at] = hash;
    if (!t->repeats && ++t->n_unique < GR_UNIQUE_MAX) return GR_OK;
    gr_free(t->unique);
    t->unique = NULL;
    return GR_OK;
}

static void note_affix(struct gr_infer_statistics *t, const char *text, size_t length,
                       bool behind) {
    for (size_t i = 0; i < t->n_affixes; i++) {
        struct gr_infer_affix *a = &t->affix[i];
        if (a->behind != behind || strlen(a->text) != length || memcmp(a->text, text, length) != 0)
            continue;
        a->count++;
        return;
    }
    if (t->n_affixes == GR_AFFIXES_MAX) {
        t->n_other_affixes++;
        return;
    }
    struct gr_infer_affix *a = &t->affix[t->n_affixes++];
    memcpy(a->text, text, length);
    a->text[length] = '\0';
    a->behind = behind;
    a->count = 1;
}

const struct gr_infer_affix *gr_infer_statistics_affix(const struct gr_infer_statistics *t,
                                                       bool behind) {
    const struct gr_infer_affix *best = NULL;
    for (size_t i = 0; i < t->n_affixes; i++)
        if (t->affix[i].behind == behind && (!best || t->affix[i].count > best->count))
            best = &t->affix[i];
    return best;
}

/* `unordered` compares with the row before, in the same table: see restart. */
static void count_number(struct gr_infer_statistics *t, const struct gr_infer_form *form) {
    t->n_number++;
    for (int r = 0; r < GR_READINGS; r++)
        t->n_reading[r] += form->readings >> r & 1;
    t->n_whole += form->whole;
    t->n_percent += form->percent;
    t->n_padded += form->padded;
    t->n_affixed += form->affix_length[0] + form->affix_length[1] > 0;
    for (int i = 0; i < 2; i++)
        if (form->affix_length[i] > 0) note_affix(t, form->affix[i], form->affix_length[i], i == 1);
    if (t->follows && !(form->value > t->last)) t->unordered = true;
    t->follows = true;
    t->last = form->value;
}

static void count_date(struct gr_infer_statistics *t, const struct gr_infer_form *form) {
    t->n_date++;
    for (int f = GR_DATE_ISO; f <= GR_DATE_MONTH_FIRST; f++)
        t->n_format[f] += form->dates >> f & 1;
    t->n_clock += form->clock;
    t->n_short_year += form->short_year;
}

/* A cell that may be a time is counted as one beside whatever else it is. */
static void count_form(struct gr_infer_statistics *t, const struct gr_infer_form *form) {
    t->n_time += form->time;
    switch (form->kind) {
    case GR_FORM_NUMBER:
        count_number(t, form);
        break;
    case GR_FORM_DATE:
        count_date(t, form);
        break;
    case GR_FORM_INFINITE:
        t->n_infinite++;
        break;
    case GR_FORM_CENSORED:
        t->n_censored++;
        break;
    case GR_FORM_TIME:
        break;
    case GR_FORM_PAIR:
        t->n_pair++;
        break;
    case GR_FORM_UNKNOWN:
        t->n_unknown++;
        break;
    default:
        t->n_word++;
    }
}

/* Only of cells that are no numbers, and of a text that comes again only once: this is the inner
 * loop of guessing. */
static void look_at_bytes(struct gr_infer_statistics *t, const char *text, size_t length) {
    for (size_t i = 0; i < length; i++)
        t->controls = t->controls || (unsigned char)text[i] < 0x20 || text[i] == 0x7F;
    t->not_utf8 = t->not_utf8 || !gr_text_is_utf8(text, length);
}

void gr_infer_statistics_restart(struct gr_infer_statistics *t) {
    t->follows = false;
}

gr_status gr_infer_statistics_add(struct gr_infer_statistics *t, const char *text, size_t length,
                                  size_t line) {
    struct gr_infer_form form;
    gr_status status;
    /* A column of categories has the same few texts over and over: each is looked at once. */
    const struct gr_infer_form *known = gr_infer_words_form(&t->words, text, length);
    if (known)
        form = *known;
    else
        gr_infer_form_of(text, length, &form);
    t->n_rows++;
    if (form.kind == GR_FORM_MISSING) {
        t->n_missing++;
        return GR_OK;
    }
    count_form(t, &form);
    if (length > t->longest) t->longest = length;
    t->n_spaced += memchr(text, ' ', length) != NULL;
    if (form.kind != GR_FORM_NUMBER && !known) look_at_bytes(t, text, length);
    struct gr_infer_words *to = form.kind == GR_FORM_NUMBER ? &t->values : &t->words;
    GR_TRY(gr_infer_words_count(to, text, length, &form, line));
    /* Measurements with a fraction identify nobody. */
    if (form.kind == GR_FORM_NUMBER && !form.whole) t->repeats = true;
    if (form.kind != GR_FORM_UNKNOWN) status = note_unique(t, text, length);
out:
    return status;
}

void gr_infer_statistics_release(struct gr_infer_statistics *t) {
    gr_infer_words_release(&t->words);
    gr_infer_words_release(&t->values);
    gr_free(t->unique);
    t->unique = NULL;
}
