/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows of a classifier, into an accumulator. All is worked out in double from the differences to
 * the largest logit, so that no exponential overflows, and a loss is exact where a softmax in
 * float32 has become 0 or 1.
 */
#include "metric/accumulator.h"

#include <granary/postprocessing.h>
#include <math.h>

/* The softmax of a row, as it is used here. */
struct softmax {
    size_t best, label;
    double rest; /* sum of exp(z - z[best]) over all but the best */
    double sum;  /* 1 + rest */
    double next; /* largest z but the best's, less z[best] */
};

/* The best class is the first of equals. The rest is summed without it, since 1 - p[best] of a sure
 * prediction is lost in a sum that holds the 1. e: receives exp(z - z[best]), `classes` of them. */
static struct softmax softmax_of(const float *z, size_t classes, size_t label, double *e) {
    struct softmax s = {.label = label, .next = -(double)INFINITY};
    for (size_t j = 1; j < classes; j++)
        if (z[j] > z[s.best]) s.best = j;
    for (size_t j = 0; j < classes; j++) {
        const double below = (double)z[j] - (double)z[s.best];
        e[j] = exp(below);
        if (j == s.best) continue;
        s.rest += e[j];
        if (below > s.next) s.next = below;
    }
    s.sum = 1 + s.rest;
    return s;
}

/* ln(p / (1 - p)) without cancellation: 1 - p is the sum of the others. Where that sum leaves the
 * range of double, its largest term stands for it. */
static double log_odds(const struct softmax *s, const float *z, const double *e, size_t class) {
    if (class != s->best)
        return (double)z[class] - (double)z[s->best] - log(1 + (s->rest - e[class]));
    return s->rest > 1e-290 ? -log(s->rest) : -s->next;
}

/* Of many classes: bins lie at fixed places, as nobody keeps `classes` scores of every row. 4 is
 * the half-way point of gr_squeeze: half of all bins lie within log-odds of +-4. */
static void add_histograms(struct gr_accumulator *t, const struct softmax *s, const float *z,
                           int64_t units) {
    for (size_t class = 0; class < t->n_scored && !t->without_auc; class ++) {
        const double x = log_odds(s, z, t->exponentials, class);
        gr_histogram(t, class, s->label == class)[gr_bin_of(x, 4, t->bins)] += units;
    }
}

/* With two classes the two squares are equal, and half of them is the usual score. */
static double brier_of(const struct softmax *s, const double *e, size_t classes) {
    double sum = 0;
    for (size_t j = 0; j < classes; j++) {
        const double off = e[j] / s->sum - (j == s->label);
        sum += off * off;
    }
    return classes == 2 ? 0.5 * sum : sum;
}

bool gr_row_figures(const float *z, size_t classes, size_t label, double *e,
                    struct gr_row_figures *out) {
    const struct softmax s = softmax_of(z, classes, label, e);
    for (size_t j = 0; j < classes; j++)
        if (!isfinite(z[j])) return false;
    *out = (struct gr_row_figures){.best = s.best,
                                   .loss = log(s.sum) - ((double)z[label] - (double)z[s.best]),
                                   .brier = brier_of(&s, e, classes),
                                   .event = classes > 1 ? e[1] / s.sum : 0};
    return true;
}

/* Bins are open below and closed above. */
static int64_t *reliability_bin(const struct gr_accumulator *t, double score) {
    const double place = ceil(score * GR_RELIABILITY_BINS) - 1;
    size_t bin = place > 0 ? (size_t)place : 0;
    if (bin >= GR_RELIABILITY_BINS) bin = GR_RELIABILITY_BINS - 1;
    return t->reliability + bin * GR_BIN_SUMS;
}

/* Classes that are likelier than the label's, and of its equals those before it. */
static size_t count_likelier(const float *z, size_t classes, size_t label) {
    size_t n = 0;
    for (size_t j = 0; j < classes; j++)
        n += z[j] > z[label] || (j < label && !(z[j] < z[label]));
    return n;
}

static void add_top(struct gr_accumulator *t, const float *z, size_t label, int64_t units) {
    const size_t likelier = count_likelier(z, t->classes, label);
    if (likelier < 3) t->top[GR_TOP_3] += units;
    if (likelier < 5) t->top[GR_TOP_5] += units;
}

/* Of class 1 of two: how many of the thresholds, which are hundredths, p reaches. */
static void add_decision(struct gr_accumulator *t, double p, size_t label, int64_t units) {
    const size_t reached = (size_t)(p * (GR_DECISIONS + 1));
    t->decisions[label * (GR_DECISIONS + 1) + (reached < GR_DECISIONS ? reached : GR_DECISIONS)] +=
        units;
}

static bool add_event(struct gr_accumulator *t, double p, size_t label, int64_t units) {
    if (!t->without_auc) add_decision(t, p, label, units);
    return gr_real_add(t->expected, (double)units / (double)GR_WEIGHT_ONE * p);
}

/* All counts of a row or none: it is checked before the first is taken. Only the real sums may fail
 * after that, on losses no trained model has. *kept: what a bootstrap is to know of it. */
static bool add_row(struct gr_accumulator *t, const float *z, size_t label, int64_t units,
                    struct gr_kept_row *kept) {
    double *e = t->exponentials;
    const struct softmax s = softmax_of(z, t->classes, label, e);
    const bool correct = s.best == label;
    const double score = 1 / s.sum, w = (double)units / (double)GR_WEIGHT_ONE;
    const double off = brier_of(&s, e, t->classes);
    /* Finite floats are less than 2^130 apart; a loss of 2^70 is refused. */
    const double loss = log(s.sum) - ((double)z[label] - (double)z[s.best]);
    const int64_t hit = correct ? units : 0;
    int64_t *bin = reliability_bin(t, score);
    for (size_t j = 0; j < t->classes; j++)
        if (!isfinite(z[j])) return false;
    t->sums[GR_ROWS]++;
    t->sums[GR_WEIGHT] += units;
    t->sums[GR_CORRECT] += hit;
    t->by_class[label * GR_CLASS_SUMS + GR_ACTUAL] += units;
    t->by_class[s.best * GR_CLASS_SUMS + GR_PREDICTED] += units;
    t->by_class[label * GR_CLASS_SUMS + GR_FOUND] += hit;
    if (t->confusion) t->confusion[label * t->classes + s.best] += units;
    bin[GR_BIN_ROWS]++;
    bin[GR_BIN_WEIGHT] += units;
    bin[GR_BIN_CORRECT] += hit;
    if (!t->bounds) add_histograms(t, &s, z, units);
    if (t->top) add_top(t, z, label, units);
    if (t->expected && !add_event(t, e[1] / s.sum, label, units)) return false;
    *kept = (struct gr_kept_row){
        {(float)loss, (float)off}, (int32_t)units, (uint16_t)label, (uint16_t)s.best};
    return gr_real_add(bin + GR_BIN_SCORE, w * score) && gr_real_add(t->brier, w * off) &&
           gr_real_add(t->log_loss, w * loss);
}

static gr_status not_finite(const struct gr_accumulator *t) {
    return gr_fail(GR_ERROR_DATA, "row %lld: its scores are not finite, or too large",
                   (long long)t->sums[GR_ROWS]);
}

/* The logits that count: as they are, or calibrated, in room of the accumulator. */
static const float *logits_of(struct gr_accumulator *t, const float *z) {
    if (!t->recalibration) return z;
    gr_recalibrate(t->recalibration, z, t->classes, t->recalibrated);
    return t->recalibrated;
}

gr_status gr_accumulator_add_classes(struct gr_accumulator *t, const float *logits,
                                     const int32_t *labels, const float *weights, size_t n) {
    gr_status status = GR_OK;
    struct gr_kept_row kept;
    for (size_t i = 0; i < n; i++) {
        const float *z = logits_of(t, logits + i * t->classes);
        const int64_t units = gr_weight_units(weights, i);
        if (!add_row(t, z, (size_t)labels[i], units, &kept)) return not_finite(t);
        GR_TRY(gr_accumulator_keep_row(t, kept));
        if (t->bounds && !t->without_auc)
            GR_TRY(gr_accumulator_keep(t, (double)z[1] - (double)z[0], labels[i] == 1, units));
    }
out:
    return status;
}

struct gr_class_share gr_accumulator_largest_class(const struct gr_accumulator *t) {
    struct gr_class_share largest = {0, (double)NAN};
    int64_t most = 0, all = 0;
    /* A class's rows are a margin of the confusion matrix. */
    for (size_t i = 0; t->withheld && i < gr_confusion_cells(t); i++)
        if (t->withheld[i]) return largest;
    for (size_t c = 0; c < t->classes; c++) {
        const int64_t rows = t->by_class[c * GR_CLASS_SUMS + GR_ACTUAL];
        all += rows;
        if (rows <= most) continue;
        most = rows;
        largest.index = c;
    }
    if (all > 0) largest.share = (double)most / (double)all;
    return largest;
}
