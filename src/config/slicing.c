/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How slices are written: columns with an ampersand between, and behind a column of numbers its cut
 * points. Whether the columns are there is known once tables are read (data/slicings.c).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "config/rules.h"

static const char *const few_columns =
    "one to three columns with & between, each once: region, sex & age=40/65";

static void trim(const char **text, size_t *length) {
    while (*length > 0 && **text == ' ') {
        ++*text;
        --*length;
    }
    while (*length > 0 && (*text)[*length - 1] == ' ')
        --*length;
}

/* "40/65/80", up to `end`. */
static const char *read_cuts(const char *text, const char *end, struct gr_slice_column *out) {
    for (const char *at = text; at <= end;) {
        char *behind;
        const double cut = strtod(at, &behind);
        if (behind == at || behind > end || !isfinite(cut)) return "numbers with / between";
        if (out->n_cuts == GR_SLICE_CUTS_MAX) return "at most 30 cut points";
        if (out->n_cuts > 0 && !(cut > out->cut[out->n_cuts - 1])) return "ascending cut points";
        out->cut[out->n_cuts++] = cut;
        if (behind < end && *behind != '/') return "numbers with / between";
        at = behind + 1;
    }
    return NULL;
}

static const char *read_column(const char *text, size_t length, struct gr_slice_column *out) {
    const char *why = NULL;
    trim(&text, &length);
    const char *sign = memchr(text, '=', length);
    *out = (struct gr_slice_column){.name = text, .length = length};
    if (sign) {
        out->length = (size_t)(sign - text);
        why = read_cuts(sign + 1, text + length, out);
        trim(&out->name, &out->length);
    }
    return why ? why : out->length > 0 ? NULL : few_columns;
}

static bool same_name(const struct gr_slice_column *a, const struct gr_slice_column *b) {
    return a->length == b->length && memcmp(a->name, b->name, a->length) == 0;
}

const char *gr_slice_parse(const char *text, struct gr_slice_columns *out) {
    const char *why = NULL;
    out->n = 0;
    for (const char *at = text; at && !why;) {
        const char *end = strchr(at, '&');
        struct gr_slice_column *column = &out->column[out->n];
        if (out->n == GR_SLICE_COLUMNS_MAX) return few_columns;
        why = read_column(at, end ? (size_t)(end - at) : strlen(at), column);
        for (unsigned i = 0; i < out->n; i++)
            if (same_name(&out->column[i], column)) why = few_columns;
        out->n++;
        at = end ? end + 1 : NULL;
    }
    return why;
}

/* ---- rules ---------------------------------------------------------------------------------- */

static bool same_cuts(const struct gr_slice_column *a, const struct gr_slice_column *b) {
    return a->n_cuts == b->n_cuts && memcmp(a->cut, b->cut, a->n_cuts * sizeof *a->cut) == 0;
}

/* Whether both are of the same columns, in any order. */
static bool same_columns(const struct gr_slice_columns *a, const struct gr_slice_columns *b) {
    unsigned n = 0;
    for (unsigned i = 0; i < a->n; i++)
        for (unsigned k = 0; k < b->n; k++)
            n += same_name(&a->column[i], &b->column[k]);
    return a->n == b->n && n == a->n;
}

/*
 * Two lists of cut points of one column make ranges that are in neither: those of 40 years follow
 * from all below 40 and all below 41.
 */
static const char *compare(const struct gr_slice_columns *a, const struct gr_slice_columns *b) {
    if (same_columns(a, b)) return "each slicing once";
    for (unsigned i = 0; i < a->n; i++)
        for (unsigned k = 0; k < b->n; k++)
            if (same_name(&a->column[i], &b->column[k]) && !same_cuts(&a->column[i], &b->column[k]))
                return "the same cut points of a column in all slices: two lists of them tell of "
                       "the rows between";
    return NULL;
}

static const char *check_entry(char *const *texts, unsigned i) {
    struct gr_slice_columns own, before;
    const char *why = gr_slice_parse(texts[i], &own);
    for (unsigned k = 0; k < i && !why; k++)
        if (!gr_slice_parse(texts[k], &before)) why = compare(&before, &own);
    return why;
}

void gr_rules_of_slices(const struct gr_rule_context *r) {
    const struct gr_evaluate_config *evaluate = &r->config->evaluate;
    const enum gr_data_source source = r->config->data.source;
    char quoted[64];
    if (evaluate->slices_count == 0 || !gr_rule_sound(r, "evaluate.slices")) return;
    for (unsigned i = 0; i < evaluate->slices_count; i++) {
        const char *why = check_entry(evaluate->slices, i);
        if (!why) continue;
        gr_text_quote(evaluate->slices[i], strlen(evaluate->slices[i]), quoted, sizeof quoted);
        REFUSE(r, "evaluate.slices", "found \"%s\", allowed %s", quoted, why);
        return;
    }
    if ((source == GR_SOURCE_IDX || source == GR_SOURCE_SYNTHETIC) &&
        gr_rule_sound(r, "data.source"))
        REFUSE(r, "evaluate.slices",
               "found some, allowed none with data.source %s: its rows have no columns with names",
               source == GR_SOURCE_IDX ? "idx" : "synthetic");
    if (evaluate->every == 0 && gr_rule_sound(r, "evaluate.every"))
        REFUSE(r, "evaluate.every", "found 0, allowed at least 1 with evaluate.slices");
}

/* Another slicing than those that are told could never be judged. */
void gr_rules_of_fairness_gate(const struct gr_rule_context *r, const struct gr_node *entry,
                               const char *path, const struct gr_gate_config *gate) {
    const struct gr_evaluate_config *evaluate = &r->config->evaluate;
    const bool fairness = gate->kind == GR_GATE_FAIRNESS;
    bool listed = false;
    if (!gr_rule_member_sound(entry, "slicing")) return;
    for (unsigned i = 0; i < evaluate->slices_count; i++)
        listed = listed || strcmp(evaluate->slices[i], gate->slicing) == 0;
    if (fairness && !listed)
        gr_rule_refuse_member(r, entry, path, "slicing",
                              "found none of evaluate.slices, allowed one of them, written alike");
    else if (!fairness && gate->slicing[0])
        gr_rule_refuse_member(r, entry, path, "slicing",
                              "found one, allowed only with kind fairness");
    if (!fairness && gate->judge != GR_GATE_VALUE)
        gr_rule_refuse_member(r, entry, path, "judge",
                              "found interval, allowed only with kind fairness");
}
