/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The column that is to be predicted, and the one of groups: whether it holds classes or amounts,
 * and in which order two classes stand. Classes are told whatever their counts, unlike other texts:
 * a model cannot be trained without their names.
 */
#include "data/infer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Texts that can be classes; whole numbers of more different values are amounts. */
enum { CLASSES_MAX = 64, AMOUNTS_FROM = 11, COUNTS_BELOW = 10, TWO_FROM = 10, TOLD_MAX = 10 };

struct label_class {
    const char *text;
    size_t length, count;
    bool number;
    double value;
};

/* The negative one first. In lower case. */
static const char *const pairs[][2] = {{"no", "yes"},
                                       {"n", "y"},
                                       {"false", "true"},
                                       {"f", "t"},
                                       {"negative", "positive"},
                                       {"neg", "pos"},
                                       {"-", "+"},
                                       {"alive", "dead"},
                                       {"alive", "deceased"},
                                       {"alive", "died"},
                                       {"living", "deceased"},
                                       {"living", "dead"},
                                       {"survived", "died"},
                                       {"survivor", "non-survivor"},
                                       {"control", "case"},
                                       {"ctrl", "case"},
                                       {"benign", "malignant"},
                                       {"b", "m"},
                                       {"healthy", "sick"},
                                       {"healthy", "ill"},
                                       {"healthy", "diseased"},
                                       {"normal", "abnormal"},
                                       {"absent", "present"},
                                       {"good", "bad"},
                                       {"low", "high"},
                                       {"nein", "ja"},
                                       {"non", "oui"},
                                       {"no", "si"},
                                       {"no", "s\u00ED"},
                                       {"nee", "ja"},
                                       {"nej", "ja"},
                                       {"nie", "tak"},
                                       {"stayed", "left"},
                                       {"retained", "churned"},
                                       {"ham", "spam"},
                                       {"inactive", "active"},
                                       {"non-responder", "responder"},
                                       {"wild-type", "mutant"},
                                       {"wt", "mut"},
                                       {"fail", "pass"}};

/* -1: the two are no known pair. */
static int place_in_pair(const struct label_class *c, const struct label_class *other) {
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        for (int k = 0; k < 2; k++)
            if (strcasecmp(pairs[i][k], c->text) == 0 &&
                strcasecmp(pairs[i][1 - k], other->text) == 0)
                return k;
    return -1;
}

/* "not readmitted", "no relapse". */
static bool denies(const struct label_class *c) {
    return strncasecmp(c->text, "no ", 3) == 0 || strncasecmp(c->text, "not ", 4) == 0 ||
           strncasecmp(c->text, "non", 3) == 0 || strncasecmp(c->text, "no_", 3) == 0;
}

/* Numbers by value, so that 10 follows 9; everything else by bytes, the same on every machine. */
static int by_class(const void *a, const void *b) {
    const struct label_class *x = a, *y = b;
    if (x->number && y->number) return x->value < y->value ? -1 : x->value > y->value;
    return strcmp(x->text, y->text);
}

/* *known: the order of two is that of a pair in which the second is the event. */
static void sort_classes(struct label_class *classes, size_t n, bool *known) {
    qsort(classes, n, sizeof *classes, by_class);
    *known = false;
    if (n != 2) return;
    int place = place_in_pair(&classes[0], &classes[1]);
    if (place < 0 && denies(&classes[0]) != denies(&classes[1])) place = denies(&classes[1]);
    *known = place >= 0;
    if (place != 1) return;
    struct label_class first = classes[0];
    classes[0] = classes[1];
    classes[1] = first;
}

/* Rows with "-", where it is the other one of "+" and no sign for a missing value. */
static size_t count_minus(const struct gr_inferred *c) {
    const struct gr_infer_words *words = &c->accumulator.words;
    size_t n = 0;
    bool plus = false;
    for (size_t i = 0; i < words->n; i++) {
        plus = plus || strcmp(gr_infer_words_text(words, i), "+") == 0;
        if (strcmp(gr_infer_words_text(words, i), "-") == 0) n = words->word[i].count;
    }
    return plus ? n : 0;
}

/* Numbers of the same value ("1", "1.0") are one class. The shorter spelling stays. Words for no
 * value become missing words, but "-" where "+" is the other class. */
static gr_status add_class(const struct gr_infer_state *state, struct gr_inferred *c,
                           const struct gr_infer_words *words, size_t i,
                           struct label_class *classes, size_t *n) {
    const struct gr_infer_word *w = &words->word[i];
    struct label_class found = {
        .text = gr_infer_words_text(words, i), .length = w->length, .count = w->count};
    float nearest;
    const gr_status status = gr_infer_check_listed(state, c, words, i);
    if (status != GR_OK) return status;
    if (w->form.kind == GR_FORM_UNKNOWN && !(strcmp(found.text, "-") == 0 && count_minus(c) > 0))
        return gr_infer_list_add(&c->column->missing_words, &c->column->missing_words_count,
                                 found.text, found.length);
    found.number =
        gr_csv_is_number(gr_csv_number(found.text, found.length, &found.value, &nearest));
    for (size_t k = 0; k < *n && found.number; k++) {
        struct label_class *other = &classes[k];
        if (!other->number || other->value < found.value || other->value > found.value) continue;
        other->count += found.count;
        if (found.length < other->length) {
            other->text = found.text;
            other->length = found.length;
        }
        return GR_OK;
    }
    classes[(*n)++] = found;
    return GR_OK;
}

static gr_status collect(const struct gr_infer_state *state, struct gr_inferred *c,
                         struct label_class *classes, size_t *n) {
    const struct gr_infer_words *sources[] = {&c->accumulator.words, &c->accumulator.values};
    gr_status status = GR_OK;
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < sources[s]->n; i++)
            GR_TRY(add_class(state, c, sources[s], i, classes, n));
out:
    return status;
}

/* ---- what it comes to -------------------------------------------------------------------------
 */

static gr_status take_target(struct gr_infer_state *state, struct gr_inferred *c, bool counts) {
    struct gr_inference *result = state->result;
    const struct gr_infer_values *v = &c->values;
    gr_status status;
    c->column->type = GR_COLUMN_TARGET;
    GR_TRY(gr_infer_sentinels(state, c));
    result->label_kind = counts ? GR_LABEL_COUNT : GR_LABEL_NUMBER;
    result->label_mean = v->n > 0 ? v->sum / (double)v->n : 0;
    GR_TRY(gr_infer_tell(&c->guess->taken, "the number to be predicted%s%s",
                         counts ? " (a count)" : "", c->reading ? c->reading : ""));
    if (counts)
        GR_TRY(gr_infer_tell(
            &c->guess->doubts,
            "whole numbers of more than %d values: counts; if they are classes: `type: "
            "label`\n",
            AMOUNTS_FROM - 1));
    else if (!v->fractions && v->lows > 0 && v->low[0] >= 0)
        GR_TRY(gr_infer_tell(&c->guess->doubts,
                             "whole numbers, none below %d: amounts; if they are counts, the "
                             "config's `model: {type: poisson}`\n",
                             COUNTS_BELOW));
    status = gr_infer_tell_unfit(state, c);
out:
    return status;
}

/* In a federation counts are not told; else rare ones are told as "fewer than". */
static gr_status tell_classes(struct gr_infer_state *state, struct gr_inferred *c,
                              const struct label_class *classes, size_t n, bool known) {
    const unsigned threshold = state->options->threshold;
    char *counts = NULL, name[64];
    gr_status status;
    size_t rare = 0;
    for (size_t i = 0; i < n && i < TOLD_MAX; i++) {
        gr_text_quote(classes[i].text, classes[i].length, name, sizeof name);
        if (state->options->federated)
            GR_TRY(gr_infer_tell(&counts, "%s%s", i ? ", " : "", name));
        else if (classes[i].count >= threshold)
            GR_TRY(gr_infer_tell(&counts, "%s%s %zu", i ? ", " : "", name, classes[i].count));
        else
            GR_TRY(gr_infer_tell(&counts, "%s%s fewer than %u", i ? ", " : "", name, threshold));
        rare += classes[i].count < threshold && !classes[i].number;
    }
    if (n > TOLD_MAX) GR_TRY(gr_infer_tell(&counts, ", ..."));
    GR_TRY(
        gr_infer_tell(&c->guess->taken, "label of %zu class%s: %s", n, n == 1 ? "" : "es", counts));
    if (n == 2 && c->column->categories_count > 0) {
        gr_text_quote(classes[1].text, classes[1].length, name, sizeof name);
        GR_TRY(gr_infer_tell(&c->guess->doubts,
                             "the event (1 of a logistic model) is \"%s\", the second%s\n", name,
                             known ? "" : "; if it is not, turn the order round"));
    }
    if (n == 1)
        GR_TRY(gr_infer_tell(&c->guess->doubts, "one class only: there is nothing to learn\n"));
    if (rare > 0 && n > 2)
        GR_TRY(
            gr_infer_tell(&c->guess->doubts,
                          "%zu classes have fewer than %u rows: take out of the list what may name "
                          "somebody\n",
                          rare, threshold));
    if (n > 2 && classes[n - 1].number)
        GR_TRY(gr_infer_tell(&c->guess->doubts,
                             "if these are amounts and no classes: `type: target`\n"));
    status = GR_OK;
out:
    gr_free(counts);
    return status;
}

/* 0, 1, 2...: the classes need no names. In a federation no whole numbers do, of which a silo may
 * have some only; but two of which one is no class number have. */
static bool are_numbered(const struct gr_infer_state *state, const struct label_class *classes,
                         size_t n) {
    bool whole = true, in_order = true;
    for (size_t i = 0; i < n; i++) {
        const struct label_class *k = &classes[i];
        whole = whole && k->number && floor(k->value) >= k->value && k->value >= 0;
        in_order = in_order && whole && !(k->value > (double)i) && !(k->value < (double)i);
    }
    return in_order || (whole && n != 2 && state->options->federated);
}

/* Classes are listed unless they are 0, 1, 2...: the list's order is the order of labels in every
 * silo and in the model. */
static gr_status take_classes(struct gr_infer_state *state, struct gr_inferred *c,
                              struct label_class *classes, size_t n) {
    bool known;
    gr_status status;
    c->column->type = GR_COLUMN_LABEL;
    sort_classes(classes, n, &known);
    state->result->n_classes = (uint32_t)n;
    state->result->label_kind = n == 2 ? GR_LABEL_TWO : GR_LABEL_CLASSES;
    for (size_t i = 0; i < n && !are_numbered(state, classes, n); i++)
        GR_TRY(gr_infer_list_add(&c->column->categories, &c->column->categories_count,
                                 classes[i].text, classes[i].length));
    status = tell_classes(state, c, classes, n, known);
out:
    return status;
}

/* Rows without an answer are the rule in registers that are still being filled in: they are left
 * out, and said, rather than to refuse the table. */
static gr_status take_unlabelled(struct gr_infer_state *state, struct gr_inferred *c) {
    const bool target = c->column->type == GR_COLUMN_TARGET;
    const size_t n = target ? c->values.n_missing
                            : c->accumulator.n_missing + c->accumulator.n_unknown - count_minus(c);
    gr_status status;
    state->result->n_unlabelled = n;
    if (n == 0) return GR_OK;
    c->column->unlabelled = GR_UNLABELLED_DROP;
    GR_TRY(gr_infer_tell(&c->guess->taken, "; %zu rows without it are left out", n));
    status =
        gr_infer_tell(&c->guess->doubts,
                      "rows without it are left out (`unlabelled: refuse` ends the run instead)\n");
out:
    return status;
}

/*
 * Whether numbers are amounts: with fractions or below 0, or whole ones of many values. Counts of
 * what happens come down to few; prices, weights and pressures do not, and their spread is not what
 * a Poisson model takes it for.
 */
static bool are_amounts(const struct gr_infer_state *state, const struct gr_inferred *c, size_t n,
                        bool *counts) {
    const struct gr_infer_values *v = &c->values;
    *counts = false;
    if (c->decision.seems != GR_SEEMS_NUMBER || v->lows == 0) return false;
    if (n == 2 && (!v->fractions || v->n >= TWO_FROM)) return false;
    if (v->fractions || v->low[0] < 0) return true;
    if (n < AMOUNTS_FROM || state->options->federated) return false;
    *counts = v->low[0] < COUNTS_BELOW;
    return true;
}

/* More classes than CLASSES_MAX are taken for a count if they are numbers, and are refused if they
 * are texts. */
gr_status gr_infer_label(struct gr_infer_state *state, struct gr_inferred *c) {
    struct label_class *classes = NULL;
    const bool many = c->accumulator.words.many || c->accumulator.values.many;
    size_t n = 0;
    bool counts;
    gr_status status;
    GR_TRY(gr_allocate((size_t)2 * GR_WORDS_MAX, sizeof *classes, "classes", &classes));
    if (many)
        n = SIZE_MAX;
    else
        GR_TRY(collect(state, c, classes, &n));
    if (n == 0) {
        c->column->type = GR_COLUMN_LABEL;
        GR_TRY(gr_infer_tell(&c->guess->taken, "the label, of which no row has a value"));
        GR_TRY(gr_infer_tell(&c->guess->doubts, "no row has a value\n"));
    } else if (are_amounts(state, c, n, &counts)) {
        GR_TRY(take_target(state, c, counts));
    } else if (c->decision.seems == GR_SEEMS_NUMBER && n > CLASSES_MAX) {
        c->column->type = GR_COLUMN_LABEL;
        state->result->label_kind = GR_LABEL_COUNT;
        GR_TRY(gr_infer_tell(&c->guess->taken, "label of many classes, or a count"));
    } else if (n > CLASSES_MAX) {
        status = gr_fail(GR_ERROR_DATA, "column \"%s\": found more than %d different labels",
                         c->column->name, CLASSES_MAX);
        goto out;
    } else {
        GR_TRY(take_classes(state, c, classes, n));
    }
    status = take_unlabelled(state, c);
out:
    gr_free(classes);
    return status;
}

/* Names of groups are never told: they are hospitals, or people. */
gr_status gr_infer_group(struct gr_infer_state *state, struct gr_inferred *c) {
    const bool many = state->groups.n > GR_SILO_GROUPS_MAX;
    gr_status status;
    c->column->type = GR_COLUMN_GROUP;
    state->result->n_groups = many ? SIZE_MAX : state->groups.n;
    if (many)
        GR_TRY(gr_infer_tell(&c->guess->taken, "groups, more than %d", GR_SILO_GROUPS_MAX));
    else
        GR_TRY(gr_infer_tell(&c->guess->taken, "%zu groups", state->groups.n));
    if (c->accumulator.n_missing > 0)
        GR_TRY(gr_infer_tell(&c->guess->doubts, "%zu rows have no group, and will be refused\n",
                             c->accumulator.n_missing));
    status = GR_OK;
out:
    return status;
}
