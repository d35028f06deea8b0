/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The figures of a group of rows. Where rows are silos' own, shares are told in steps that hide
 * fewer rows than the threshold, as at operating points: groups of several slices lie over each
 * other, so that the exact counts of one would tell of the rows by which another differs.
 */
#include <granary/slices.h>

#include <math.h>

#include "metric/accumulator.h"

static const struct {
    const char *name;
    int sense;
    bool two, classes, numbers; /* of two classes, of more as well, of numbers */
} figures[GR_SLICE_FIGURES] = {
    [GR_SLICE_ACCURACY] = {"accuracy", 1, true, true, false},
    [GR_SLICE_SELECTION_RATE] = {"selection_rate", 0, true, false, false},
    [GR_SLICE_BASE_RATE] = {"base_rate", 0, true, false, false},
    [GR_SLICE_SENSITIVITY] = {"sensitivity", 1, true, false, false},
    [GR_SLICE_SPECIFICITY] = {"specificity", 1, true, false, false},
    [GR_SLICE_PPV] = {"positive_predictive_value", 1, true, false, false},
    [GR_SLICE_NPV] = {"negative_predictive_value", 1, true, false, false},
    [GR_SLICE_AUC] = {"auc", 1, true, false, false},
    [GR_SLICE_LOG_LOSS] = {"log_loss", -1, true, true, false},
    [GR_SLICE_BRIER] = {"brier", -1, true, true, false},
    [GR_SLICE_OBSERVED_EXPECTED] = {"observed_expected", 0, true, false, true},
    [GR_SLICE_MAE] = {"mae", -1, false, false, true},
    [GR_SLICE_RMSE] = {"rmse", -1, false, false, true},
};

const char *gr_slice_figure_name(enum gr_slice_figure figure) {
    return figures[figure].name;
}

bool gr_slice_figure_fits(enum gr_slice_figure figure, size_t classes) {
    return classes == 0   ? figures[figure].numbers
           : classes == 2 ? figures[figure].two
                          : figures[figure].classes;
}

int gr_slice_figure_sense(enum gr_slice_figure figure) {
    return figures[figure].sense;
}

static struct gr_slice_value without(enum gr_reason why) {
    const double none = (double)NAN;
    return (struct gr_slice_value){none, none, none, none, gr_reason_text[why]};
}

/* ---- shares --------------------------------------------------------------------------------- */

/* Weights, in units, of a share's rows, and of those that it is of. */
struct part_of {
    int64_t part, all;
};

static struct part_of part_of(const struct gr_slice_tally *t, size_t classes,
                              enum gr_slice_figure figure) {
    const int64_t *n = t->count; /* 00, 01, 10, 11 by label and what it was taken for */
    switch (figure) {
    case GR_SLICE_SELECTION_RATE:
        return (struct part_of){n[1] + n[3], t->weight};
    case GR_SLICE_BASE_RATE:
        return (struct part_of){n[2] + n[3], t->weight};
    case GR_SLICE_SENSITIVITY:
        return (struct part_of){n[3], n[2] + n[3]};
    case GR_SLICE_SPECIFICITY:
        return (struct part_of){n[0], n[0] + n[1]};
    case GR_SLICE_PPV:
        return (struct part_of){n[3], n[1] + n[3]};
    case GR_SLICE_NPV:
        return (struct part_of){n[0], n[0] + n[2]};
    default:
        return (struct part_of){classes == 2 ? n[0] + n[3] : n[0], t->weight};
    }
}

static enum gr_reason why_no_share(enum gr_slice_figure figure) {
    return figure == GR_SLICE_SENSITIVITY || figure == GR_SLICE_SPECIFICITY ? GR_ONE_CLASS
           : figure == GR_SLICE_PPV || figure == GR_SLICE_NPV               ? GR_NONE_TAKEN
                                                                            : GR_NO_WEIGHT;
}

/* Rows that are surely behind so much weight: none weighs more than 1. */
static int64_t rows_of(int64_t units) {
    return units / GR_WEIGHT_ONE;
}

/* The rows of a share: all of the group, or what the steps let know of those of a class. Of rows
 * with weights they are not known. */
static double base_of(const struct gr_slice_scores *s, const struct gr_slice_tally *t,
                      enum gr_slice_figure figure, const struct part_of *share);

static struct gr_slice_value share_of(const struct gr_slice_scores *s,
                                      const struct gr_slice_tally *t, enum gr_slice_figure figure) {
    const struct part_of share = part_of(t, s->classes, figure);
    const double value = (double)share.part / (double)share.all;
    if (share.all == 0) {
        /* That there are none of a class is a count, too. */
        const bool hides = s->rules.hidden > 1;
        return without(hides ? GR_FEW_ROWS : why_no_share(figure));
    }
    const double step = gr_share_step(rows_of(share.all), s->rules.hidden);
    if (!(step < 1)) return without(GR_FEW_ROWS);
    struct gr_slice_value out = {value, value, value, base_of(s, t, figure, &share), NULL};
    if (!(step > 0)) return out;
    out.value = gr_round_step(value, step);
    out.lower = fmax(out.value - step / 2, 0);
    out.upper = fmin(out.value + step / 2, 1);
    return out;
}

static double base_of(const struct gr_slice_scores *s, const struct gr_slice_tally *t,
                      enum gr_slice_figure figure, const struct part_of *share) {
    if (t->weight != t->rows * GR_WEIGHT_ONE) return (double)NAN;
    if (share->all == t->weight) return (double)t->rows;
    if (s->rules.hidden < 2) return (double)rows_of(share->all);
    const bool of_class = figure == GR_SLICE_SENSITIVITY || figure == GR_SLICE_SPECIFICITY;
    const struct gr_slice_value of =
        share_of(s, t, of_class ? GR_SLICE_BASE_RATE : GR_SLICE_SELECTION_RATE);
    const bool own = figure == GR_SLICE_SENSITIVITY || figure == GR_SLICE_PPV;
    return of.why ? (double)NAN : (double)t->rows * (own ? of.lower : 1 - of.upper);
}

/* ---- others --------------------------------------------------------------------------------- */

enum { COARSE_DIGITS = 2 };

static struct gr_slice_value rounded(double value, uint32_t digits) {
    const double told = gr_round_digits(value, digits);
    return (struct gr_slice_value){told, told, told, (double)NAN, NULL};
}

static double mean(const struct gr_slice_tally *t, const int64_t *sum) {
    return (double)(gr_real_value(sum) / gr_weight_of(t->weight));
}

static struct gr_slice_value observed_expected(const struct gr_slice_scores *s,
                                               const struct gr_slice_tally *t) {
    const long double expected = gr_real_value(t->expected);
    const long double observed =
        s->classes == 2 ? gr_weight_of(t->count[2] + t->count[3]) : gr_real_value(t->target);
    const bool hides = s->rules.hidden > 1;
    if (!(expected > 0)) return without(GR_NONE_EXPECTED);
    if (hides && !(gr_share_step(rows_of(t->weight), s->rules.hidden) < 1))
        return without(GR_FEW_ROWS);
    return rounded((double)(observed / expected), hides ? COARSE_DIGITS : 0);
}

/* Rows of one bin may be in any order. */
static struct gr_slice_value area(const struct gr_slice_scores *s, const struct gr_slice_tally *t,
                                  uint32_t group) {
    const size_t bins = s->bins.bins;
    const int64_t negative = t->count[0] + t->count[1], positive = t->count[2] + t->count[3];
    const int64_t least = negative < positive ? negative : positive;
    const double step = gr_share_step(rows_of(least), s->rules.hidden);
    double below = 0, higher = 0, tied = 0;
    if (!s->bins.counts || s->place[group] == UINT32_MAX) return without(GR_NOT_COUNTED);
    if (least == 0 && s->rules.hidden < 2) return without(GR_ONE_CLASS);
    /* In steps of a half it would be 0.5 or 1. */
    if (!(step < 0.4) || least == 0) return without(GR_FEW_ROWS);
    const int64_t *others = s->bins.counts + 2 * (size_t)s->place[group] * bins;
    for (size_t b = 0; b < bins; b++) {
        higher += (double)others[bins + b] * below;
        tied += (double)others[bins + b] * (double)others[b];
        below += (double)others[b];
    }
    const double pairs = (double)negative * (double)positive;
    struct gr_slice_value out = {(higher + tied / 2) / pairs, higher / pairs,
                                 (higher + tied) / pairs, (double)NAN, NULL};
    if (step > 0) {
        out.value = gr_round_step(out.value, step);
        out.lower = fmax(gr_round_step(floor(out.lower / step) * step, step), 0);
        out.upper = fmin(gr_round_step(ceil(out.upper / step) * step, step), 1);
    }
    if (out.upper - out.lower <= fmax(GR_AUC_WIDE, 2 * step)) return out;
    out.value = (double)NAN;
    out.why = gr_reason_text[GR_CLOSE_SCORES];
    return out;
}

struct gr_slice_value gr_slice_told(const struct gr_slice_scores *s, uint32_t group,
                                    enum gr_slice_figure figure) {
    const struct gr_slice_tally *t = &s->total[group];
    if (t->weight == 0) return without(t->rows == 0 ? GR_NO_ROWS : GR_NO_WEIGHT);
    if (figure < GR_SLICE_SHARES) return share_of(s, t, figure);
    switch (figure) {
    case GR_SLICE_AUC:
        return area(s, t, group);
    case GR_SLICE_OBSERVED_EXPECTED:
        return observed_expected(s, t);
    case GR_SLICE_RMSE:
        return rounded(sqrt(mean(t, t->loss)), s->rules.digits);
    case GR_SLICE_LOG_LOSS:
        return rounded(mean(t, t->loss), s->rules.digits);
    default:
        return rounded(mean(t, t->score), s->rules.digits);
    }
}
