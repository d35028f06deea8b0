/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How well the log-odds x of two classes are calibrated: the maximum likelihood fits of
 *
 *     ln(P / (1 - P)) = a + b x    the slope b (Cox 1958)
 *     ln(P / (1 - P)) = a' + x     the intercept a', of calibration in the large
 *
 * and the test of Hosmer and Lemeshow (1980) over tenths of the rows. The bins, which all processes
 * have, give a fit that is near; GR_FIT_PASSES of Newton's method over the rows themselves, whose
 * sums are added over processes, make it exact, since each squares the error. Their number is
 * fixed, so that what leaves a process does not depend on the data.
 *
 * x is centred and divided by a power of two about its deviation: scores within a thousandth of
 * each other would otherwise cost all digits.
 */
#include "metric/accumulator.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <string.h>

/* ---- what is summed ------------------------------------------------------------------------- */

/* Places in the vector of a pass. */
enum {
    FIT_BAD,      /* rows that no sum could take */
    FIT_RESIDUAL, /* sums of p - y and of z (p - y), GR_REAL_WORDS each, as all that follows */
    FIT_WEIGHT = FIT_RESIDUAL + 2 * GR_REAL_WORDS, /* of p (1 - p), times 1, z and z^2 */
    FIT_SHIFT = FIT_WEIGHT + 3 * GR_REAL_WORDS,    /* of p - y and p (1 - p), with slope 1 */
    FIT_GROUPS = FIT_SHIFT + 2 * GR_REAL_WORDS,
    /* Of each group. */
    GROUP_ROWS = 0,
    GROUP_EVENTS,
    GROUP_EXPECTED,
    GROUP_SUMS = GROUP_EXPECTED + GR_REAL_WORDS
};
_Static_assert(FIT_GROUPS + GR_FIT_GROUPS * GROUP_SUMS == GR_FIT_SUMS, "the vector of a pass");

/* Of one or of all rows, at an intercept and a slope: the gradient of minus the log likelihood and
 * the matrix of its second derivatives. */
struct newton {
    long double residual[2], weight[3];
};

/* p - y and p (1 - p) of the log-odds, without cancellation. */
static void logistic(double log_odds, bool label, double *residual, double *weight) {
    const double e = exp(-fabs(log_odds)), likelier = 1 / (1 + e), other = e / (1 + e);
    const double p = log_odds < 0 ? other : likelier, not_p = log_odds < 0 ? likelier : other;
    *residual = label ? -not_p : p;
    *weight = likelier * other;
}

/* ---- from the bins -------------------------------------------------------------------------- */

/* Where the scores of a bin lie, nearly: its middle, or of a bin at the ends that of the part that
 * places reach, which is -1 to 1. */
static double score_of_bin(const struct gr_accumulator *t, size_t b, double mean,
                           double deviation) {
    const double most = 1 - 0x1p-20, middle = 0.5 * (double)t->bins;
    const double from = gr_unsqueeze(((double)b - middle) / middle, 2 * deviation) + mean;
    const double to = gr_unsqueeze(((double)b + 1 - middle) / middle, 2 * deviation) + mean;
    const double place = 0.5 * (fmin(fmax(from, -most), most) + fmin(fmax(to, -most), most));
    return gr_unsqueeze(place, 4);
}

static struct gr_score_bin bin_at(const struct gr_accumulator *t, size_t b, double mean,
                                  double deviation) {
    return (struct gr_score_bin){score_of_bin(t, b, mean, deviation),
                                 (double)gr_weight_of(gr_histogram(t, 0, false)[b]),
                                 (double)gr_weight_of(gr_histogram(t, 0, true)[b])};
}

static void add_bin(struct newton *sum, double log_odds, double z, const struct gr_score_bin *bin) {
    double of_other, of_own, weight;
    logistic(log_odds, false, &of_other, &weight);
    logistic(log_odds, true, &of_own, &weight);
    const double residual = bin->others * of_other + bin->own * of_own;
    const double all = weight * (bin->others + bin->own);
    sum->residual[0] += residual;
    sum->residual[1] += residual * z;
    sum->weight[0] += all;
    sum->weight[1] += all * z;
    sum->weight[2] += all * z * z;
}

/* The bins that have rows; room for all bins is the caller's. */
static size_t list_bins(const struct gr_accumulator *t, struct gr_score_bin *bins) {
    double mean, deviation;
    size_t n = 0;
    gr_accumulator_spread(t, &mean, &deviation);
    for (size_t b = 0; b < t->bins; b++)
        if (gr_histogram(t, 0, false)[b] + gr_histogram(t, 0, true)[b] > 0)
            bins[n++] = bin_at(t, b, mean, deviation);
    return n;
}

/* The centre and, as a power of two, the deviation of the scores; false: they are all in one bin.
 */
static bool find_scale(struct gr_calibration *fit, const struct gr_score_bin *bins, size_t n) {
    double rows = 0, sum = 0, square = 0;
    int exponent;
    for (size_t i = 0; i < n; i++) {
        rows += bins[i].others + bins[i].own;
        sum += (bins[i].others + bins[i].own) * bins[i].x;
    }
    fit->centre = (double)(float)(sum / rows);
    for (size_t i = 0; i < n; i++)
        square +=
            (bins[i].others + bins[i].own) * (bins[i].x - fit->centre) * (bins[i].x - fit->centre);
    (void)frexp(sqrt(square / rows), &exponent);
    fit->scale = ldexp(1, exponent);
    return n > 1 && square > 0;
}

/* Newton's step; false: the matrix has no inverse, as far as its digits go. */
static bool step_of(const struct newton *at, long double step[2]) {
    const long double *w = at->weight, *r = at->residual;
    const long double determinant = w[0] * w[2] - w[1] * w[1];
    if (!(determinant > 1e-15L * w[0] * w[2])) return false;
    step[0] = -(w[2] * r[0] - w[1] * r[1]) / determinant;
    step[1] = -(w[0] * r[1] - w[1] * r[0]) / determinant;
    return isfinite(step[0]) && isfinite(step[1]);
}

/* How unlikely the labels are; so steps that go too far are known. */
static double loss_of(const struct gr_calibration *fit, const struct gr_score_bin *bins, size_t n,
                      const double line[2]) {
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double x = line[0] + line[1] * (bins[i].x - fit->centre) / fit->scale;
        const double tail = log1p(exp(-fabs(x)));
        sum += bins[i].others * (fmax(x, 0) + tail) + bins[i].own * (fmax(-x, 0) + tail);
    }
    return sum;
}

enum { STEPS_MOST = 60, HALVINGS_MOST = 30 };

/* The line over the bins: Newton's method, each step halved until it helps. Where the scores tell
 * the classes apart it goes on for ever, and false is returned. */
static bool fit_line(struct gr_calibration *fit, const struct gr_score_bin *bins, size_t n) {
    double loss = loss_of(fit, bins, n, fit->line);
    for (int i = 0; i < STEPS_MOST; i++) {
        struct newton sum = {{0}, {0}};
        long double step[2];
        double next[2], part = 1, reached = 0;
        for (size_t b = 0; b < n; b++) {
            const double z = (bins[b].x - fit->centre) / fit->scale;
            add_bin(&sum, fit->line[0] + fit->line[1] * z, z, &bins[b]);
        }
        if (!step_of(&sum, step)) return false;
        for (int k = 0; k < HALVINGS_MOST; k++, part /= 2) {
            next[0] = fit->line[0] + part * (double)step[0];
            next[1] = fit->line[1] + part * (double)step[1];
            reached = loss_of(fit, bins, n, next);
            if (reached <= loss) break;
        }
        const double moved = fabs(next[0] - fit->line[0]) + fabs(next[1] - fit->line[1]);
        memcpy(fit->line, next, sizeof next);
        loss = reached;
        if (moved <= 1e-9 * (1 + fabs(next[0]) + fabs(next[1]))) return true;
    }
    return false;
}

/* The intercept over the bins: the sum of residuals grows with it, so its root is between two
 * bounds that close in. */
static void fit_shift(struct gr_calibration *fit, const struct gr_score_bin *bins, size_t n) {
    double low = -1e7, high = 1e7, at = 0;
    for (int i = 0; i < 2 * STEPS_MOST; i++) {
        struct newton sum = {{0}, {0}};
        for (size_t b = 0; b < n; b++)
            add_bin(&sum, at + bins[b].x, 0, &bins[b]);
        *(sum.residual[0] > 0 ? &high : &low) = at;
        double next = at - (double)(sum.residual[0] / sum.weight[0]);
        if (!(next > low && next < high)) next = 0.5 * (low + high);
        const double moved = fabs(next - at);
        at = next;
        if (moved <= 1e-9 * (1 + fabs(at))) break;
    }
    fit->shift = at;
}

/* Bins up to which each group but the last goes: the first that hold more than g tenths of all
 * weight but one row, as quantiles are usually cut. */
static void cut_groups(const struct gr_accumulator *t, struct gr_calibration *fit) {
    const int64_t all = t->sums[GR_WEIGHT] - GR_WEIGHT_ONE;
    int64_t below = 0;
    size_t b = 0;
    for (size_t g = 0; g + 1 < GR_FIT_GROUPS; g++) {
        const double most = (double)all * (double)(g + 1) / GR_FIT_GROUPS;
        for (; b < t->bins && !((double)below > most); b++)
            below += gr_histogram(t, 0, false)[b] + gr_histogram(t, 0, true)[b];
        fit->upto[g] = (uint32_t)b;
    }
}

/*
 * The first values, as float32: processes whose exponential has other last bits go on from the same
 * ones.
 */
static void begin(struct gr_accumulator *t) {
    struct gr_calibration *fit = &t->calibration;
    struct gr_score_bin *bins = t->score_bins;
    const size_t n = list_bins(t, bins);
    cut_groups(t, fit);
    fit->one_score = n == 0 || !find_scale(fit, bins, n);
    fit->has_line = !fit->one_score && fit_line(fit, bins, n);
    fit->has_shift = n > 0;
    if (n > 0) fit_shift(fit, bins, n);
    fit->line[0] = (double)(float)fit->line[0];
    fit->line[1] = (double)(float)fit->line[1];
    fit->shift = (double)(float)fit->shift;
}

/* ---- over the rows -------------------------------------------------------------------------- */

static size_t group_of(const struct gr_calibration *fit, size_t bin) {
    size_t g = 0;
    while (g + 1 < GR_FIT_GROUPS && bin >= fit->upto[g])
        g++;
    return g;
}

/* Adds the values, times w, to sums that follow each other. */
static bool add_all(int64_t *sums, const double *values, size_t n, double w) {
    bool good = true;
    for (size_t i = 0; i < n; i++)
        good = gr_real_add(sums + i * GR_REAL_WORDS, w * values[i]) && good;
    return good;
}

static bool add_line(struct gr_calibration *fit, double x, bool label, double w) {
    const double z = (x - fit->centre) / fit->scale;
    double residual, weight;
    if (!fit->has_line) return true;
    logistic(fit->line[0] + fit->line[1] * z, label, &residual, &weight);
    const double values[] = {residual, residual * z, weight, weight * z, weight * z * z};
    return add_all(fit->sums + FIT_RESIDUAL, values, 5, w);
}

static bool add_shift(struct gr_calibration *fit, double x, bool label, double w) {
    double values[2];
    logistic(fit->shift + x, label, &values[0], &values[1]);
    return add_all(fit->sums + FIT_SHIFT, values, 2, w);
}

static bool add_to_group(int64_t *group, double x, bool label, int64_t units) {
    double p, weight;
    logistic(x, false, &p, &weight);
    group[GROUP_ROWS] += units;
    group[GROUP_EVENTS] += label ? units : 0;
    return gr_real_add(group + GROUP_EXPECTED, (double)units / (double)GR_WEIGHT_ONE * p);
}

static void sum_rows(struct gr_accumulator *t, const struct gr_accumulator *rows) {
    struct gr_calibration *fit = &t->calibration;
    double mean, deviation;
    gr_accumulator_spread(t, &mean, &deviation);
    memset(fit->sums, 0, sizeof fit->sums);
    for (size_t i = 0; i < rows->n_kept; i++) {
        const struct gr_kept_score *row = &rows->kept[i];
        const double x = (double)row->log_odds;
        const bool label = row->weight & 1;
        const int64_t units = row->weight >> 1;
        const double w = (double)units / (double)GR_WEIGHT_ONE;
        bool good = add_line(fit, x, label, w) && add_shift(fit, x, label, w);
        if (fit->pass == 1) { /* the tenths are the same in each */
            const size_t b = gr_bin_of(gr_place_of(row->log_odds) - mean, 2 * deviation, t->bins);
            int64_t *group = fit->sums + FIT_GROUPS + group_of(fit, b) * GROUP_SUMS;
            good = add_to_group(group, x, label, units) && good;
        }
        fit->sums[FIT_BAD] += !good;
    }
}

/* ---- from the sums -------------------------------------------------------------------------- */

static long double sum_at(const struct gr_calibration *fit, size_t first, size_t i) {
    return gr_real_value(fit->sums + first + i * GR_REAL_WORDS);
}

static void take_line(struct gr_calibration *fit) {
    struct newton at;
    long double step[2];
    for (size_t i = 0; i < 2; i++)
        at.residual[i] = sum_at(fit, FIT_RESIDUAL, i);
    for (size_t i = 0; i < 3; i++)
        at.weight[i] = sum_at(fit, FIT_WEIGHT, i);
    fit->has_line = fit->has_line && step_of(&at, step);
    if (!fit->has_line) return;
    fit->line[0] = (double)(fit->line[0] + step[0]);
    fit->line[1] = (double)(fit->line[1] + step[1]);
    fit->line_step =
        (double)((fabsl(step[0]) + fabsl(step[1])) / (1 + fabs(fit->line[0]) + fabs(fit->line[1])));
}

static void take_shift(struct gr_calibration *fit) {
    const long double step = -sum_at(fit, FIT_SHIFT, 0) / sum_at(fit, FIT_SHIFT, 1);
    fit->has_shift = fit->has_shift && isfinite(step);
    if (!fit->has_shift) return;
    fit->shift = (double)(fit->shift + step);
    fit->shift_step = fabs((double)step) / (1 + fabs(fit->shift));
}

/* The statistic over the groups that have rows; NAN: one of them is certain, and wrong. */
static void take_groups(struct gr_calibration *fit) {
    fit->groups = 0;
    fit->chi_square = 0;
    for (size_t g = 0; g < GR_FIT_GROUPS; g++) {
        const int64_t *group = fit->sums + FIT_GROUPS + g * GROUP_SUMS;
        const long double rows = gr_weight_of(group[GROUP_ROWS]);
        const long double apart =
            gr_weight_of(group[GROUP_EVENTS]) - gr_real_value(group + GROUP_EXPECTED);
        const long double expected = gr_real_value(group + GROUP_EXPECTED);
        if (!(rows > 0)) continue;
        fit->groups++;
        if (fabsl(apart) > 0)
            fit->chi_square += (double)(apart * apart / (expected * fmaxl(1 - expected / rows, 0)));
    }
}

int64_t *gr_accumulator_fit(struct gr_accumulator *t, const struct gr_accumulator *rows,
                            size_t *n) {
    struct gr_calibration *fit = &t->calibration;
    *n = 0;
    if (t->without_auc || !t->bounds || fit->pass > GR_FIT_PASSES) return fit->sums;
    if (fit->pass == 0) {
        begin(t);
    } else {
        fit->bad = fit->bad || fit->sums[FIT_BAD] > 0;
        take_line(fit);
        take_shift(fit);
        if (fit->pass == 1) take_groups(fit);
    }
    fit->pass++;
    if (fit->pass > GR_FIT_PASSES) return fit->sums;
    sum_rows(t, rows);
    *n = GR_FIT_SUMS;
    return fit->sums;
}

/* ---- the metrics ---------------------------------------------------------------------------- */

/* Of two classes; NULL: all is there. */
static const char *why_none(const struct gr_accumulator *t) {
    const int64_t one = t->by_class[GR_CLASS_SUMS + GR_ACTUAL];
    if (one == 0 || one == t->sums[GR_WEIGHT]) return gr_reason_text[GR_ONE_CLASS];
    return t->calibration.pass > GR_FIT_PASSES ? NULL : gr_reason_text[GR_NOT_COUNTED];
}

static struct gr_metric_value value_or(double value, const char *why) {
    const double told = why ? (double)NAN : value;
    return (struct gr_metric_value){told, told, told, why};
}

/* A step that is still large has not squared the error often enough. */
static const double last_step = 1e-6;

struct gr_metric_value gr_calibration_slope(const struct gr_accumulator *t) {
    const struct gr_calibration *fit = &t->calibration;
    const char *why = why_none(t);
    if (!why && fit->one_score) why = gr_reason_text[GR_ONE_SCORE];
    if (!why && (fit->bad || !fit->has_line || !(fit->line_step <= last_step)))
        why = gr_reason_text[GR_NO_FIT];
    return value_or(fit->line[1] / fit->scale, why);
}

struct gr_metric_value gr_calibration_intercept(const struct gr_accumulator *t) {
    const struct gr_calibration *fit = &t->calibration;
    const char *why = why_none(t);
    if (!why && (fit->bad || !fit->has_shift || !(fit->shift_step <= last_step)))
        why = gr_reason_text[GR_NO_FIT];
    return value_or(fit->shift, why);
}

struct gr_metric_value gr_hosmer_lemeshow(const struct gr_accumulator *t) {
    const char *why = gr_has_weights(t) ? gr_reason_text[GR_ROWS_WEIGHTED] : why_none(t);
    if (!why && (t->calibration.bad || !isfinite(t->calibration.chi_square)))
        why = gr_reason_text[GR_NONE_EXPECTED];
    return value_or(t->calibration.chi_square, why);
}

/* Of rows on which nothing was fitted it has as many degrees of freedom as groups. */
struct gr_metric_value gr_hosmer_lemeshow_p(const struct gr_accumulator *t) {
    const struct gr_metric_value v = gr_hosmer_lemeshow(t);
    if (v.why) return v;
    return value_or(gsl_cdf_chisq_Q(v.value, t->calibration.groups), NULL);
}
