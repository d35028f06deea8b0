/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fits of recalibration, by sums over the rows of all processes.
 *
 * temperature and platt: the likeliest slope, and with platt intercept, by Newton's method from 0,
 * whose steps are the same in whatever units scores are. Each pass sums the loss with its first two
 * derivatives at a point; a point whose loss is above that of the best so far is drawn back half of
 * the way. The loss is convex, so that it ends, but where the scores tell the classes apart: then
 * the slope grows until the passes are used up, and nothing is found.
 *
 * isotonic: rows are counted in public bins of their log-odds. Bins are merged from the lowest on,
 * until a group has `least` rows of each class; then neighbouring groups whose rates do not ascend
 * are pooled (Ayer et al. 1955). So no step tells of few rows, and no rate is 0 or 1.
 */
#include <math.h>
#include <string.h>

#include "metric/accumulator.h"
#include "metric/outputs.h"

/* Places in the vector of a pass of Newton's method. */
enum {
    SUM_BAD,  /* rows that no sum could take */
    SUM_ROWS, /* all, of class 0 and of class 1: weights in units; of more classes the first alone
               */
    SUM_LOSS = SUM_ROWS + 3,                          /* GR_REAL_WORDS each, as all that follows */
    SUM_GRADIENT = SUM_LOSS + GR_REAL_WORDS,          /* by intercept and slope */
    SUM_CURVATURE = SUM_GRADIENT + 2 * GR_REAL_WORDS, /* twice by the first, by both, by the last */
    SUMS = SUM_CURVATURE + 3 * GR_REAL_WORDS
};

struct point {
    double intercept, slope;
};

/* Minus the log likelihood of a row, or of all, with its first two derivatives. */
struct bend {
    long double loss, gradient[2], curvature[3];
};

/* Weights of the rows of neighbouring bins. */
struct group {
    uint32_t from; /* the first bin */
    int64_t others, own;
};

struct gr_recalibration_fit {
    enum gr_recalibration_method method;
    size_t classes;
    uint32_t least;
    unsigned pass; /* the one that is summed, from 1 */
    bool ended;
    const char *why;       /* nothing was found; NULL: something was, or it has not ended */
    struct point best, at; /* best: of all points so far; at: the one that is summed */
    long double best_loss;
    int64_t *sums; /* owned */
    size_t n;
    struct group *groups; /* of bins; room for all; owned; isotonic alone */
    size_t n_groups;
};

gr_status gr_recalibration_fit_create(enum gr_recalibration_method method, size_t classes,
                                      uint32_t least, struct gr_recalibration_fit **out) {
    const bool isotonic = method == GR_RECALIBRATION_ISOTONIC;
    struct gr_recalibration_fit *fit = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *fit, "a recalibration", &fit));
    fit->method = method;
    fit->classes = classes;
    fit->least = least;
    fit->n = isotonic ? 2 * (size_t)GR_ISOTONIC_BINS : SUMS;
    GR_TRY(gr_allocate_zero(fit->n, sizeof *fit->sums, "a recalibration", &fit->sums));
    if (isotonic)
        GR_TRY(gr_allocate_zero(GR_ISOTONIC_BINS, sizeof *fit->groups, "a recalibration",
                                &fit->groups));
    *out = fit;
    fit = NULL;
out:
    gr_recalibration_fit_free(fit);
    return status;
}

void gr_recalibration_fit_free(struct gr_recalibration_fit *fit) {
    if (!fit) return;
    gr_free(fit->groups);
    gr_free(fit->sums);
    gr_free(fit);
}

static void end(struct gr_recalibration_fit *fit, const char *why) {
    fit->ended = true;
    fit->why = why;
}

/* Whether as many rows as `least` have so much weight, of which each has at most 1. */
static bool is_enough(const struct gr_recalibration_fit *fit, int64_t units) {
    return units > 0 && units >= (int64_t)fit->least * GR_WEIGHT_ONE;
}

/* ---- Newton's method: rows ------------------------------------------------------------------ */

/* Of two classes, whose log-odds are x. */
static struct bend bend_of_two(const struct point *at, double x, bool label) {
    const double log_odds = at->intercept + at->slope * x, e = exp(-fabs(log_odds));
    const double likelier = 1 / (1 + e), other = e / (1 + e);
    const double p = log_odds < 0 ? other : likelier, not_p = log_odds < 0 ? likelier : other;
    const double residual = label ? -not_p : p, weight = likelier * other;
    return (struct bend){.loss = fmax(label ? -log_odds : log_odds, 0) + log1p(e),
                         .gradient = {residual, residual * x},
                         .curvature = {weight, weight * x, weight * x * x}};
}

/* Of more: the mean and the variance of the logits under the probabilities, which are theirs times
 * the slope. Logits are taken below the largest, so that no exponential overflows. */
static struct bend bend_of_all(const struct point *at, const float *z, size_t classes,
                               size_t label) {
    size_t top = 0;
    double sum = 0, mean = 0, variance = 0;
    for (size_t j = 1; j < classes; j++)
        if (at->slope * (double)z[j] > at->slope * (double)z[top]) top = j;
    for (size_t j = 0; j < classes; j++) {
        const double below = fmax(fmin((double)z[j] - (double)z[top], 0x1p30), -0x1p30);
        const double e = exp(at->slope * below);
        sum += e;
        mean += e * below;
    }
    mean /= sum;
    for (size_t j = 0; j < classes; j++) {
        const double below = fmax(fmin((double)z[j] - (double)z[top], 0x1p30), -0x1p30);
        variance += exp(at->slope * below) / sum * (below - mean) * (below - mean);
    }
    const double own = fmax(fmin((double)z[label] - (double)z[top], 0x1p30), -0x1p30);
    return (struct bend){.loss = log(sum < 1 ? 1 : sum) - at->slope * own, /* the top adds 1 */
                         .gradient = {0, mean - own},
                         .curvature = {0, 0, variance}};
}

static bool add_bend(int64_t *sums, const struct bend *row, double w) {
    bool good = gr_real_add(sums + SUM_LOSS, w * (double)row->loss);
    for (size_t i = 0; i < 2; i++)
        good = gr_real_add(sums + SUM_GRADIENT + i * GR_REAL_WORDS, w * (double)row->gradient[i]) &&
               good;
    for (size_t i = 0; i < 3; i++)
        good =
            gr_real_add(sums + SUM_CURVATURE + i * GR_REAL_WORDS, w * (double)row->curvature[i]) &&
            good;
    return good;
}

static void sum_rows(struct gr_recalibration_fit *fit, const struct gr_outputs *rows) {
    for (size_t i = 0; i < rows->n; i++) {
        const size_t label = (size_t)rows->labels[i];
        const struct bend bend =
            fit->classes == 2
                ? bend_of_two(&fit->at, (double)rows->values[i], label == 1)
                : bend_of_all(&fit->at, rows->values + i * rows->width, fit->classes, label);
        fit->sums[SUM_ROWS] += rows->units[i];
        if (fit->classes == 2) fit->sums[SUM_ROWS + 1 + label] += rows->units[i];
        fit->sums[SUM_BAD] +=
            !add_bend(fit->sums, &bend, (double)rows->units[i] / (double)GR_WEIGHT_ONE);
    }
}

/* ---- Newton's method: steps ----------------------------------------------------------------- */

static struct bend bend_of_sums(const struct gr_recalibration_fit *fit) {
    struct bend all = {.loss = gr_real_value(fit->sums + SUM_LOSS)};
    for (size_t i = 0; i < 2; i++)
        all.gradient[i] = gr_real_value(fit->sums + SUM_GRADIENT + i * GR_REAL_WORDS);
    for (size_t i = 0; i < 3; i++)
        all.curvature[i] = gr_real_value(fit->sums + SUM_CURVATURE + i * GR_REAL_WORDS);
    return all;
}

/* Newton's step; false: the curvature has no inverse, as far as its digits go. */
static bool step_of(const struct gr_recalibration_fit *fit, const struct bend *all,
                    long double step[2]) {
    const long double *w = all->curvature, *g = all->gradient;
    const long double determinant = w[0] * w[2] - w[1] * w[1];
    step[0] = step[1] = 0;
    if (fit->method == GR_RECALIBRATION_TEMPERATURE) {
        if (!(w[2] > 0)) return false;
        step[1] = -g[1] / w[2];
    } else {
        if (!(determinant > 1e-15L * w[0] * w[2])) return false;
        step[0] = -(w[2] * g[0] - w[1] * g[1]) / determinant;
        step[1] = -(w[0] * g[1] - w[1] * g[0]) / determinant;
    }
    return isfinite(step[0]) && isfinite(step[1]);
}

/* Why nothing can be fitted to these rows at all. */
static const char *why_none(const struct gr_recalibration_fit *fit) {
    const int64_t *rows = fit->sums + SUM_ROWS;
    if (fit->sums[SUM_BAD] > 0) return "scores of rows are too large";
    if (fit->classes > 2) return is_enough(fit, rows[0]) ? NULL : "validation rows are too few";
    if (rows[0] > 0 && (rows[1] == 0 || rows[2] == 0))
        return "all validation rows are of one class";
    return is_enough(fit, rows[1]) && is_enough(fit, rows[2])
               ? NULL
               : "validation rows of a class are too few";
}

/* Newton's method squares the error: behind a step so small nothing is left of it. */
static bool is_last(const struct point *best, const long double step[2]) {
    return fabsl(step[0]) <= 1e-8L * (1 + fabsl((long double)best->intercept)) &&
           fabsl(step[1]) <= 1e-8L * fabsl((long double)best->slope);
}

/* From the sums at fit->at to the next point, or to the end. */
static void take_bend(struct gr_recalibration_fit *fit) {
    const struct bend all = bend_of_sums(fit);
    const char *why = why_none(fit);
    long double step[2];
    if (why) {
        end(fit, why);
        return;
    }
    /* Losses near each other differ by the rounding of their terms. */
    if (fit->pass > 1 && all.loss > fit->best_loss + 1e-13L * fabsl(fit->best_loss)) {
        fit->at.intercept = 0.5 * (fit->at.intercept + fit->best.intercept);
        fit->at.slope = 0.5 * (fit->at.slope + fit->best.slope);
        return;
    }
    fit->best = fit->at;
    fit->best_loss = all.loss;
    if (!step_of(fit, &all, step)) {
        end(fit, fit->pass == 1 ? "all scores are the same" : "the scores tell the classes apart");
        return;
    }
    fit->at.intercept = (double)(fit->best.intercept + step[0]);
    fit->at.slope = (double)(fit->best.slope + step[1]);
    if (!is_last(&fit->best, step)) return;
    fit->best = fit->at;
    end(fit, fit->best.slope > 0 ? NULL : "a higher score does not mean a likelier class");
}

/* ---- isotonic ------------------------------------------------------------------------------- */

static void count_rows(struct gr_recalibration_fit *fit, const struct gr_outputs *rows) {
    for (size_t i = 0; i < rows->n; i++) {
        const size_t bin = gr_bin_of((double)rows->values[i], 4, GR_ISOTONIC_BINS);
        fit->sums[(rows->labels[i] == 1) * (size_t)GR_ISOTONIC_BINS + bin] += rows->units[i];
    }
}

/* Groups of bins that have enough rows of each class; what is left at the end goes to the last. */
static size_t merge_bins(struct gr_recalibration_fit *fit) {
    struct group open = {0}, *groups = fit->groups;
    size_t n = 0;
    for (uint32_t b = 0; b < GR_ISOTONIC_BINS; b++) {
        open.others += fit->sums[b];
        open.own += fit->sums[GR_ISOTONIC_BINS + b];
        if (!is_enough(fit, open.others) || !is_enough(fit, open.own)) continue;
        groups[n++] = open;
        open = (struct group){.from = b + 1};
    }
    if (n > 0) {
        groups[n - 1].others += open.others;
        groups[n - 1].own += open.own;
    }
    return n;
}

/* Whether the first rate is below the second: own / (others + own), without a quotient. */
static bool ascends(const struct group *a, const struct group *b) {
    return (long double)a->own * (long double)b->others <
           (long double)b->own * (long double)a->others;
}

/* Pools neighbours until all rates ascend; each group is looked at once as it comes, and then those
 * before it. */
static size_t pool_groups(struct group *groups, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        groups[kept++] = groups[i];
        for (; kept > 1 && !ascends(&groups[kept - 2], &groups[kept - 1]); kept--) {
            groups[kept - 2].others += groups[kept - 1].others;
            groups[kept - 2].own += groups[kept - 1].own;
        }
    }
    return kept;
}

static void take_counts(struct gr_recalibration_fit *fit) {
    fit->n_groups = pool_groups(fit->groups, merge_bins(fit));
    end(fit, fit->n_groups == 0   ? "validation rows of a class are too few"
             : fit->n_groups == 1 ? "validation rows give a single step"
                                  : NULL);
}

/* The digits are those of the rarer class, so that no rate becomes 1. */
static double rate_of(const struct group *group, uint32_t digits) {
    const long double all = (long double)group->own + (long double)group->others;
    if (group->own < group->others)
        return gr_round_digits((double)((long double)group->own / all), digits);
    const long double other = (long double)group->others / all;
    return digits == 0 ? (double)((long double)group->own / all)
                       : 1 - gr_round_digits((double)other, digits);
}

/* ---- passes --------------------------------------------------------------------------------- */

int64_t *gr_recalibration_fit_sums(struct gr_recalibration_fit *fit, const struct gr_outputs *rows,
                                   size_t *n) {
    const bool isotonic = fit->method == GR_RECALIBRATION_ISOTONIC;
    *n = 0;
    if (fit->pass > 0 && !fit->ended) isotonic ? take_counts(fit) : take_bend(fit);
    if (!fit->ended && fit->pass == GR_RECALIBRATION_PASSES_MAX)
        end(fit, "the scores tell the classes apart, or nearly: the slope grows without an end");
    if (fit->ended) return fit->sums;
    fit->pass++;
    memset(fit->sums, 0, fit->n * sizeof *fit->sums);
    isotonic ? count_rows(fit, rows) : sum_rows(fit, rows);
    *n = fit->n;
    return fit->sums;
}

const char *gr_recalibration_fit_why(const struct gr_recalibration_fit *fit) {
    return fit->why;
}

gr_status gr_recalibration_fit_take(const struct gr_recalibration_fit *fit, uint32_t digits,
                                    struct gr_recalibration *out) {
    *out = (struct gr_recalibration){.method = fit->method,
                                     .intercept = gr_round_digits(fit->best.intercept, digits),
                                     .slope = gr_round_digits(fit->best.slope, digits)};
    if (fit->method != GR_RECALIBRATION_ISOTONIC) return GR_OK;
    gr_status status = gr_allocate(fit->n_groups, sizeof *out->steps, "steps", &out->steps);
    for (; status == GR_OK && out->n_steps < fit->n_groups; out->n_steps++) {
        const struct group *group = &fit->groups[out->n_steps];
        out->steps[out->n_steps] = (struct gr_isotonic_step){group->from, rate_of(group, digits)};
    }
    return status;
}
