/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sums of privacy losses over steps, and the epsilon that they mean.
 *
 * The distribution of a sum is a power of the transform of one step's. Before it is transformed,
 * each distribution is tilted: masses are multiplied by e^(theta loss) and normalised, for a theta
 * that brings the middle of the sum to the losses that matter. Rounding of the transform is then
 * relative to delta and not to 1, and the window needs to hold a few standard deviations of the sum
 * only. Three errors are bounded and added above, and taken off below: masses outside of the window
 * (Chernoff), rounding of the transforms, and rounding of the cells.
 */
#include "privacy/loss_distribution.h"

#include <float.h>
#include <gsl/gsl_fft_halfcomplex.h>
#include <gsl/gsl_fft_real.h>
#include <math.h>
#include <string.h>

enum {
    POINTS_FIRST = 256, /* of the first grid up to the epsilon that is known to be enough */
    WINDOW_MAX = 1 << 21,
    CELLS_MAX = 1 << 20,
    REFINEMENTS = 8
};
static const double log_outside = -36; /* of the mass outside of the window, tilted: 2e-16 */
static const double rounding = 1e-7;   /* relative, of the cells' masses, as it comes to epsilon */
static const double narrow = 3e-3;     /* relative width of bounds that are refined no further */
static const double narrow_decided = 1e-2; /* where the bounds are to be on one side of a number */
static const double narrow_least = 3e-3;   /* in nats: narrower is of no use */

/* Kinds of steps, each with its distribution, and how the sum is tilted. */
struct sum {
    struct gr_loss_masses *kinds; /* owned */
    const struct gr_privacy_event *events;
    size_t n;
    double step, theta;
    double log_scale;       /* log of E[e^(theta sum)] */
    double mean, deviation; /* of the tilted sum, in nats */
    double offset;          /* of the sum's grid from 0 */
    double infinite;        /* probability of a loss without a limit */
};

/* A window of the tilted sum: y[i] belongs to the grid point that is i modulo n, in [first, first +
 * n), counted from the sum's offset. */
struct window {
    int64_t first;
    size_t n;
    double *y;    /* owned */
    double error; /* 2-norm of its rounding */
};

/* ---- moments -------------------------------------------------------------------------------- */

static double loss_of(const struct gr_loss_masses *kind, size_t i) {
    return kind->offset + kind->step * (double)(kind->first + (int64_t)i);
}

/* log E[e^(theta loss)] of one step; mean and variance of the tilted loss where asked. */
static double cumulant(const struct gr_loss_masses *kind, double theta, double *mean,
                       double *variance) {
    double greatest = -INFINITY, sum = 0, first = 0, second = 0;
    for (size_t i = 0; i < kind->n; i++)
        greatest = fmax(greatest, kind->log_p[i] + theta * loss_of(kind, i));
    for (size_t i = 0; i < kind->n; i++) {
        const double loss = loss_of(kind, i), w = exp(kind->log_p[i] + theta * loss - greatest);
        sum += w;
        first += w * loss;
        second += w * loss * loss;
    }
    if (mean) *mean = first / sum;
    if (variance) *variance = fmax(0, second / sum - (first / sum) * (first / sum));
    return greatest + log(sum);
}

static double cumulant_of_sum(const struct sum *sum, double theta) {
    double total = 0;
    for (size_t i = 0; i < sum->n; i++)
        total += (double)sum->events[i].count * cumulant(&sum->kinds[i], theta, NULL, NULL);
    return total;
}

static void note_moments(struct sum *sum) {
    double variance = 0;
    sum->mean = sum->log_scale = sum->infinite = sum->offset = 0;
    for (size_t i = 0; i < sum->n; i++) {
        const double count = (double)sum->events[i].count;
        double m, v;
        sum->log_scale += count * cumulant(&sum->kinds[i], sum->theta, &m, &v);
        sum->mean += count * m;
        sum->offset += count * sum->kinds[i].offset;
        variance += count * v;
        sum->infinite += count * sum->kinds[i].infinite;
    }
    sum->deviation = fmax(sqrt(variance), sum->step);
}

/* How far from the mean the tilted sum stays but for e^log_outside, by Chernoff's bound; sign: 1
 * above, -1 below. Where single steps may have great losses a small s is the best one. */
static double reach(const struct sum *sum, double sign) {
    const double usual = sqrt(-2 * log_outside) / sum->deviation;
    double least = INFINITY, s = 2 * usual;
    for (int i = 0; i < 14; i++, s /= 2) {
        const double grows = cumulant_of_sum(sum, sum->theta + sign * s) - sum->log_scale;
        least = fmin(least, (grows - log_outside) / s - sign * sum->mean);
    }
    return least;
}

/* ---- the transform -------------------------------------------------------------------------- */

static size_t wrap(int64_t index, size_t n) {
    const int64_t m = index % (int64_t)n;
    return (size_t)(m < 0 ? m + (int64_t)n : m);
}

static double norm(const double *x, size_t n) {
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += x[i] * x[i];
    return sqrt(squares);
}

/* (re + i im)^count times the number at which `to` points, for numbers of modulus <= 1. */
static void multiply_power(double *to_re, double *to_im, double re, double im, double count) {
    const double modulus = exp(count * log(hypot(re, im))),
                 angle = fmod(count * atan2(im, re), 2 * M_PI);
    const double a = modulus * cos(angle), b = modulus * sin(angle), c = *to_re, d = *to_im;
    *to_re = a * c - b * d;
    *to_im = a * d + b * c;
}

/* product: transform so far, in GSL's half-complex order; times that of x to the power. */
static void multiply(double *product, const double *x, size_t n, double count) {
    double zero = 0, none = 0;
    for (size_t k = 1; k < n / 2; k++)
        multiply_power(&product[k], &product[n - k], x[k], x[n - k], count);
    multiply_power(&product[0], &zero, x[0], 0, count);
    multiply_power(&product[n / 2], &none, x[n / 2], 0, count);
}

/* One step of a kind, tilted and brought into the window's indices. */
static void tilt(const struct gr_loss_masses *kind, double theta, double *x, size_t n) {
    const double log_scale = cumulant(kind, theta, NULL, NULL);
    memset(x, 0, n * sizeof *x);
    for (size_t i = 0; i < kind->n; i++) {
        const int64_t index = kind->first + (int64_t)i;
        x[wrap(index, n)] += exp(kind->log_p[i] + theta * loss_of(kind, i) - log_scale);
    }
}

static gr_status transform(const struct sum *sum, struct window *window) {
    gr_status status = GR_OK;
    const size_t n = window->n;
    const double each = 8 * DBL_EPSILON * log2((double)n); /* relative, of one transform */
    double *x = NULL, steps = 0;
    GR_TRY(gr_allocate(n, sizeof *x, "privacy losses", &x));
    GR_TRY(gr_allocate_zero(n, sizeof *window->y, "privacy losses", &window->y));
    for (size_t k = 0; k <= n / 2; k++)
        window->y[k] = 1;
    window->error = 0;
    for (size_t i = 0; i < sum->n; i++) {
        const double count = (double)sum->events[i].count;
        tilt(&sum->kinds[i], sum->theta, x, n);
        window->error += count * each * norm(x, n);
        gsl_fft_real_radix2_transform(x, 1, n);
        multiply(window->y, x, n, count);
        steps += count;
    }
    gsl_fft_halfcomplex_radix2_inverse(window->y, 1, n);
    window->error += (8 * DBL_EPSILON * steps + each) * norm(window->y, n);
out:
    gr_free(x);
    return status;
}

/* GR_ERROR_CONFIG: the window would be too large. */
static gr_status make_window(const struct sum *sum, struct window *window) {
    const double low = sum->mean - reach(sum, -1), high = sum->mean + reach(sum, 1),
                 points = (high - low) / sum->step + 4;
    if (!(points < WINDOW_MAX))
        return gr_fail(GR_ERROR_CONFIG, "the privacy loss of all steps would have %.3g points",
                       points);
    window->first = (int64_t)floor((low - sum->offset) / sum->step) - 1;
    window->n = 2;
    while ((double)window->n < points)
        window->n *= 2;
    return transform(sum, window);
}

/* ---- epsilon -------------------------------------------------------------------------------- */

/*
 * delta(epsilon) = E[(1 - e^(epsilon - loss))+] = e^log_scale times the sum over losses above
 * epsilon of y e^(-theta loss) (1 - e^(epsilon - loss)), which is a - e^epsilon b between two
 * points of the grid. The search goes from the greatest loss downwards, until delta is reached.
 * sign: of the errors: 1 for an upper bound of epsilon, -1 for a lower one.
 */
static double epsilon_of(const struct sum *sum, const struct window *window, double delta,
                         double sign) {
    const double theta = sum->theta, step = sum->step,
                 /* Of the weights e^(-theta (loss - epsilon)) of the masses' rounding. */
        weights = 1 / sqrt(fmax(-expm1(-2 * theta * step), 1 / (double)window->n)),
                 error = sign * (weights * window->error + 2 * exp(log_outside)),
                 wanted = delta - (sign > 0 ? sum->infinite : 0);
    double a = 0, b = 0; /* relative to e^(-theta loss) and e^(-(theta + 1) loss) at this point */
    if (wanted <= 0) return INFINITY;
    for (size_t i = window->n; i-- > 0;) {
        const int64_t index = window->first + (int64_t)i;
        const double loss = sum->offset + (double)index * step,
                     scale = exp(sum->log_scale - theta * loss);
        /* delta at this point, of losses above it */
        if (scale * (a - b + error) > wanted) {
            /* a - e^(epsilon - loss) b + error = wanted / scale, between this point and the next */
            const double x = log(fmax(a + error - wanted / scale, DBL_MIN) / b);
            return loss + fmin(fmax(x, 0), step);
        }
        const double y = fmax(window->y[wrap(index, window->n)], 0);
        a = (a + y) * exp(-theta * step);
        b = (b + y) * exp(-(theta + 1) * step);
    }
    /* Less than the least loss of the window: an upper bound all the same. */
    return sign > 0 ? sum->offset + (double)window->first * step : -INFINITY;
}

static void free_sum(struct sum *sum) {
    for (size_t i = 0; sum->kinds && i < sum->n; i++)
        gr_free(sum->kinds[i].log_p);
    gr_free(sum->kinds);
    sum->kinds = NULL;
}

/* One direction and bound at one step of the grid. GR_ERROR_CONFIG: it would be too fine. */
static gr_status bound_epsilon(const struct gr_privacy_history *history, double delta,
                               struct sum *sum, enum gr_loss_direction direction,
                               enum gr_loss_bound bound, double *epsilon) {
    gr_status status = GR_OK;
    struct window window = {0};
    double steps = 1; /* and one more than there are */
    for (size_t i = 0; i < history->n; i++)
        steps += (double)history->events[i].count;
    /* Losses beyond it have together a probability of delta / 1e10 at most. */
    const double tail = sqrt(2 * (log(steps) - log(delta) + log(1e10)));
    GR_TRY(gr_allocate_zero(sum->n, sizeof *sum->kinds, "privacy losses", &sum->kinds));
    for (size_t i = 0; i < sum->n; i++)
        GR_TRY(gr_loss_distribution(&sum->events[i], sum->step, tail, CELLS_MAX, direction, bound,
                                    &sum->kinds[i]));
    note_moments(sum);
    GR_TRY(make_window(sum, &window));
    *epsilon = epsilon_of(sum, &window, delta, bound == GR_LOSS_UPPER ? 1 : -1);
out:
    gr_free(window.y);
    free_sum(sum);
    return status;
}

/* The best bounds so far of one direction. */
static gr_status refine(const struct gr_privacy_history *history, double delta, struct sum *sum,
                        enum gr_loss_direction direction, struct gr_loss_bounds *best) {
    gr_status status = GR_OK;
    double epsilon;
    GR_TRY(bound_epsilon(history, delta, sum, direction, GR_LOSS_LOWER, &epsilon));
    best->lower = fmax(best->lower, epsilon * (1 - rounding) - rounding);
    GR_TRY(bound_epsilon(history, delta, sum, direction, GR_LOSS_UPPER, &epsilon));
    best->upper = fmin(best->upper, fmax(0, epsilon * (1 + rounding) + rounding));
out:
    return status;
}

static bool is_enough(const struct gr_loss_bounds *bounds, double threshold) {
    const double width = threshold > 0 ? narrow_decided : narrow;
    return bounds->upper - bounds->lower <= fmax(width * bounds->upper, narrow_least) ||
           (threshold > 0 && (bounds->upper <= threshold || bounds->lower > threshold));
}

/* The grid is made finer until the bounds are near each other or memory's limit is met. Any bounds
 * hold, and the best of all grids are taken. A direction that cannot be the greater one any more is
 * refined no further. */
gr_status gr_loss_epsilon(const struct gr_privacy_history *history, double delta,
                          const struct gr_renyi_bound *renyi, double threshold,
                          struct gr_loss_bounds *out) {
    gr_status status = GR_OK;
    struct gr_loss_bounds best[2] = {{0, INFINITY}, {0, INFINITY}};
    struct sum sum = {.events = history->events,
                      .n = history->n,
                      .step = fmax(renyi->epsilon / POINTS_FIRST, narrow_least / 4),
                      .theta = renyi->order - 1};
    for (int i = 0; i < REFINEMENTS && status == GR_OK; i++) {
        if (best[GR_LOSS_REMOVE].upper > best[GR_LOSS_ADD].lower)
            status = refine(history, delta, &sum, GR_LOSS_REMOVE, &best[GR_LOSS_REMOVE]);
        if (status == GR_OK && best[GR_LOSS_ADD].upper > best[GR_LOSS_REMOVE].lower)
            status = refine(history, delta, &sum, GR_LOSS_ADD, &best[GR_LOSS_ADD]);
        out->lower = fmax(best[0].lower, best[1].lower);
        out->upper = fmax(best[0].upper, best[1].upper);
        if (is_enough(out, threshold)) break;
        sum.step /= 4;
    }
    return status == GR_ERROR_CONFIG ? GR_OK : status; /* no finer grid */
}
