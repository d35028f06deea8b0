/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Operating points of two classes: a threshold is chosen between two bins of some rows' scores, and
 * then rows, of these or of others, are counted on either side of it.
 */
#include "metric/accumulator.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- what is asked for ---------------------------------------------------------------------- */

/* "sensitivity=0.9": the number behind the name and the sign. */
static bool parse_least(const char *text, const char *name, double *out) {
    const size_t n = strlen(name);
    char *end;
    if (strncmp(text, name, n) != 0 || text[n] != '=') return false;
    *out = strtod(text + n + 1, &end);
    return *end == '\0' && *out > 0 && *out <= 1;
}

bool gr_point_parse(const char *text, struct gr_point_rule *out) {
    *out = (struct gr_point_rule){GR_POINT_YOUDEN, 0};
    if (strcmp(text, "youden") == 0) return true;
    out->kind = GR_POINT_SENSITIVITY;
    if (parse_least(text, "sensitivity", &out->least)) return true;
    out->kind = GR_POINT_SPECIFICITY;
    return parse_least(text, "specificity", &out->least);
}

/* ---- the choice ----------------------------------------------------------------------------- */

/* Rows of class 1 and of class 0, as units of weight. */
struct both_classes {
    int64_t own, others;
};

static struct both_classes sides_of(const struct gr_accumulator *t, size_t b) {
    return (struct both_classes){gr_histogram(t, 0, true)[b], gr_histogram(t, 0, false)[b]};
}

/* A search for the best of the places between bins. */
struct choice {
    struct gr_point_rule rule;
    struct both_classes all;
    double best; /* Youden's J, or the last sensitivity that suffices */
    size_t edge; /* rows of this bin and above it are taken for class 1 */
    bool found, ended;
};

static void consider(struct choice *c, struct both_classes below, size_t edge) {
    const double right = (double)(c->all.own - below.own), own = (double)c->all.own;
    const double specificity = (double)below.others / (double)c->all.others;
    const double value = right / own + specificity;
    bool better = false;
    if (c->ended) return;
    switch (c->rule.kind) {
    case GR_POINT_YOUDEN:
        better = !c->found || value > c->best;
        break;
    case GR_POINT_SENSITIVITY: /* the highest threshold that leaves so much */
        better = right >= c->rule.least * own * (1 - 1e-12);
        break;
    case GR_POINT_SPECIFICITY: /* the lowest */
        better = specificity >= c->rule.least * (1 - 1e-12);
        c->ended = better;
        break;
    }
    if (!better) return;
    c->found = true;
    c->best = value;
    c->edge = edge;
}

/* The log-odds between bin `edge` and the one before it. */
static double edge_at(const struct gr_accumulator *t, size_t edge) {
    const double middle = 0.5 * (double)t->bins, most = 1 - 0x1p-20;
    double mean, deviation;
    gr_accumulator_spread(t, &mean, &deviation);
    const double place = gr_unsqueeze(((double)edge - middle) / middle, 2 * deviation) + mean;
    return gr_unsqueeze(fmin(fmax(place, -most), most), 4);
}

/*
 * In a gap without rows the threshold is its middle, below the first and above the last row the
 * next place. Of rows of silos a threshold has `least` rows at least on either side, and so many
 * lie between two of those that are looked at: it tells of none.
 */
double gr_accumulator_choose(const struct gr_accumulator *t, struct gr_point_rule rule,
                             uint32_t least, uint32_t digits) {
    struct choice c = {.rule = rule};
    struct both_classes below = {0, 0};
    int64_t rows = 0, few = (int64_t)least * GR_WEIGHT_ONE, last = 0, seen = 0;
    if (!t->bounds || t->without_auc) return (double)NAN;
    for (size_t b = 0; b < t->bins; b++) {
        c.all.own += sides_of(t, b).own;
        c.all.others += sides_of(t, b).others;
    }
    if (c.all.own == 0 || c.all.others == 0) return (double)NAN;
    rows = c.all.own + c.all.others;
    for (size_t b = 0, next; b < t->bins; b = next) {
        /* The rows below bin b are known; the gap from b on ends before `next`. */
        for (next = b; next < t->bins && sides_of(t, next).own + sides_of(t, next).others == 0;)
            next++;
        const size_t edge = seen == 0 ? next : next == t->bins ? b : (b + next) / 2;
        if (seen - last >= few && rows - seen >= few) {
            consider(&c, below, edge);
            last = seen;
        }
        if (next == t->bins) break;
        below.own += sides_of(t, next).own;
        below.others += sides_of(t, next).others;
        seen = below.own + below.others;
        next++;
    }
    if (seen == rows && few == 0) consider(&c, below, t->bins);
    return c.found ? gr_round_digits(edge_at(t, c.edge), digits) : (double)NAN;
}

/* ---- the counts ----------------------------------------------------------------------------- */

void gr_accumulator_count_at(const struct gr_accumulator *rows, double log_odds,
                             int64_t counts[GR_POINT_COUNTS]) {
    memset(counts, 0, GR_POINT_COUNTS * sizeof *counts);
    for (size_t i = 0; i < rows->n_kept; i++) {
        const struct gr_kept_score *row = &rows->kept[i];
        const size_t taken = (double)row->log_odds >= log_odds, own = row->weight & 1;
        counts[2 * own + taken] += row->weight >> 1;
    }
}

/* A share of `of` rows; few: in steps that hide so many. */
static double share_told(int64_t part, int64_t of, uint32_t few, uint32_t digits) {
    if (of == 0) return (double)NAN;
    const double step = gr_share_step((int64_t)gr_weight_of(of), few);
    return gr_round_digits(gr_round_step((double)part / (double)of, step), digits);
}

struct gr_operating_point gr_point_told(double log_odds, const int64_t counts[GR_POINT_COUNTS],
                                        uint32_t few, uint32_t digits) {
    const int64_t not_alarmed = counts[0], alarmed = counts[1], missed = counts[2];
    const int64_t found = counts[3];
    return (struct gr_operating_point){
        .log_odds = log_odds,
        .threshold = gr_round_digits(1 / (1 + exp(-log_odds)), digits),
        .sensitivity = share_told(found, found + missed, few, digits),
        .specificity = share_told(not_alarmed, not_alarmed + alarmed, few, digits),
        .positive_predictive_value = share_told(found, found + alarmed, few, digits),
        .negative_predictive_value = share_told(not_alarmed, not_alarmed + missed, few, digits)};
}
