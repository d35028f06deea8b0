/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renyi divergences of sampled Gaussian sums. With P = (1 - q) N(0, z^2) + q N(1, z^2) and
 * Q = N(0, z^2) the divergence of P from Q is the greater of both directions (Mironov, Talwar,
 * Zhang 2019, theorem 5), and
 *
 *     exp((a - 1) D_a) = E_Q[r^a] = 1 + E_Q[r^a - 1 - a (r - 1)],  r = P / Q,
 *
 * for E_Q[r] = 1. The last expectation is of values >= 0, so that no digits cancel where q is
 * small. It is taken by the trapezoidal rule, whose error falls exponentially for functions that
 * are analytic in a strip: here of half width pi z^2, where the first zero of r is.
 */
#include "privacy/accounting.h"

#include <math.h>

enum { POINTS_MAX = 400000, SCAN = 80 };
static const double tail = 12; /* standard deviations of the integrand's outermost parts */

double gr_sampled_loss(double z, double q, double x) {
    const double w = (2 * x - 1) / (2 * z * z);
    if (q == 1) return w;
    /* Of e^w and 1 the greater one is taken out. */
    return w > 0 ? w + log(q + (1 - q) * exp(-w)) : log1p(q * expm1(w));
}

/* log of the sum of N r^order h over the points, for integrands that a double cannot hold. */
static double log_of_sum(double z, double q, double order, double from, double h, int n) {
    double greatest = -INFINITY, sum = 0;
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i <= n; i++) {
            const double x = from + i * h,
                         value = order * gr_sampled_loss(z, q, x) - x * x / (2 * z * z);
            if (pass == 0)
                greatest = fmax(greatest, value);
            else
                sum += exp(value - greatest);
        }
    return greatest + log(sum * h / (z * sqrt(2 * M_PI)));
}

/* r^a - 1 - a (r - 1) for r = e^l: by its first terms where the others would cancel. */
static double excess(double order, double l) {
    if (order * fabs(l) < 1e-3) {
        const double third = (order + 1) * l / 3, fourth = (order * order + order + 1) * l * l / 12;
        return order * (order - 1) * l * l / 2 * (1 + third + fourth);
    }
    return expm1(order * l) - order * expm1(l);
}

double gr_renyi_divergence(double z, double q, double order) {
    const double unsampled = order / (2 * z * z), h = fmin(z / 8, z * z / 2), from = -tail * z,
                 points = (order + 2 * tail * z) / h;
    double sum = 0;
    if (q == 1 || !(points < POINTS_MAX)) return unsampled;
    const int n = (int)points + 1;
    if (order * gr_sampled_loss(z, q, order + tail * z) > 600)
        return fmin(unsampled, log_of_sum(z, q, order, from, h, n) / (order - 1));
    for (int i = 0; i <= n; i++) {
        const double x = from + i * h;
        sum += exp(-x * x / (2 * z * z)) * excess(order, gr_sampled_loss(z, q, x));
    }
    return fmin(unsampled, log1p(fmax(sum, 0) * h / (z * sqrt(2 * M_PI))) / (order - 1));
}

double gr_renyi_penalty(double delta, double order) {
    return log1p(-1 / order) - (log(delta) + log(order)) / (order - 1);
}

double gr_renyi_least(double divergences, double delta, double order) {
    return divergences + log1p(-1 / order) -
           fmax(0, log(delta) + log1p(GR_RENYI_ORDER_MAX)) / (order - 1);
}

/* divergences: of all events, where asked for. */
static double epsilon_at(const struct gr_privacy_history *history, double delta, double order,
                         double *divergences) {
    double sum = 0;
    for (size_t i = 0; i < history->n; i++)
        sum += (double)history->events[i].count *
               gr_renyi_divergence(history->events[i].noise_multiplier, history->events[i].sampling,
                                   order);
    if (divergences) *divergences = sum;
    return sum + gr_renyi_penalty(delta, order);
}

/* Between two logarithms of order - 1, by golden sections (Kiefer 1953). The bound is flat about
 * its least, so that the order need not be known to many digits. */
static struct gr_renyi_bound refine(const struct gr_privacy_history *history, double delta,
                                    double low, double high) {
    const double golden = (sqrt(5) - 1) / 2, precision = 1e-4;
    double a = high - golden * (high - low), b = low + golden * (high - low),
           at_a = epsilon_at(history, delta, 1 + exp(a), NULL),
           at_b = epsilon_at(history, delta, 1 + exp(b), NULL);
    while (high - low > precision)
        if (at_a < at_b) {
            high = b, b = a, at_b = at_a;
            a = high - golden * (high - low);
            at_a = epsilon_at(history, delta, 1 + exp(a), NULL);
        } else {
            low = a, a = b, at_a = at_b;
            b = low + golden * (high - low);
            at_b = epsilon_at(history, delta, 1 + exp(b), NULL);
        }
    return (struct gr_renyi_bound){fmax(0, fmin(at_a, at_b)), 1 + exp(at_a < at_b ? a : b)};
}

/* Orders are searched by log(order - 1): a coarse scan, which ends where no greater order can be
 * better, then about the best. Great orders are the dear ones. */
struct gr_renyi_bound gr_renyi_epsilon(const struct gr_privacy_history *history, double delta) {
    const double from = log(GR_RENYI_ORDER_MIN), to = log(GR_RENYI_ORDER_MAX),
                 step = (to - from) / SCAN;
    double best = INFINITY, at = from, divergences = 0;
    for (int i = 0; i <= SCAN; i++) {
        const double order = 1 + exp(from + i * step);
        if (gr_renyi_least(divergences, delta, order) > best) break;
        const double epsilon = epsilon_at(history, delta, order, &divergences);
        if (epsilon < best) best = epsilon, at = from + i * step;
    }
    return refine(history, delta, at - step, at + step);
}
