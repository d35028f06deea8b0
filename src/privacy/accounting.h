/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Accounting of differential privacy: how much a sequence of noised sums tells of one unit, which
 * is a row, a person or a silo. Not collective, without any data: it knows noise multipliers,
 * sampling probabilities and numbers of steps only.
 *
 * Three accountants answer, and each is checked against the others: Renyi divergences, an upper
 * bound (Mironov, Talwar, Zhang 2019, arXiv:1908.10530; conversion of Canonne, Kamath, Steinke
 * 2020, arXiv:2004.00010, proposition 12); distributions of the privacy loss, which enclose the
 * truth from above (Doroshenko et al. 2022, arXiv:2207.04380) and from below; and the exact formula
 * where nothing is sampled (Balle, Wang 2018, arXiv:1805.06530, theorem 8).
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_ACCOUNTING_H
#define GRANARY_PRIVACY_ACCOUNTING_H

#include <granary/base.h>

/* Which tables are neighbours: with the unit and without it; with it and with zeros in the place of
 * its contribution, so that the number of units is public; with it and with another in its place.
 */
enum gr_adjacency { GR_ADJACENCY_ADD_REMOVE, GR_ADJACENCY_ZERO_OUT, GR_ADJACENCY_REPLACE };

/* Steps of one kind. Each releases a sum to which a unit adds at most the clip norm. */
struct gr_privacy_event {
    double noise_multiplier; /* standard deviation of the sum's noise / clip norm */
    double sampling;         /* probability with which a unit is in a step, by itself; 1: always */
    uint64_t count;          /* steps */
    double delta_added; /* of one step: for what its noise is short of the Gaussian distribution */
};

/* Not collective. Whether steps are of one kind, however many. */
bool gr_privacy_same_kind(const struct gr_privacy_event *a, const struct gr_privacy_event *b);

struct gr_privacy_history {
    enum gr_adjacency adjacency;
    const struct gr_privacy_event *events; /* borrowed */
    size_t n;
};

/* Limits of what is accounted for. Outside of them there is an error rather than a number. */
#define GR_NOISE_MULTIPLIER_MIN 0.05
#define GR_NOISE_MULTIPLIER_MAX 1e6
#define GR_PRIVACY_DELTA_MIN    1e-50
/* Delta is used up where so small a part of it is left: what is added is a rounded sum. */
#define GR_PRIVACY_DELTA_SLACK 1e-6
enum { GR_PRIVACY_STEPS_MAX = 100000000 };

/* The smallest epsilon for a delta is within [lower, upper]. */
struct gr_epsilon {
    double lower, upper;
    double renyi, order; /* by Renyi divergences alone, >= upper, and at which order */
    bool exact;          /* nothing is sampled, and lower and upper are one number */
};

/* Not collective. Whether they can be accounted for. Errors: GR_ERROR_CONFIG: a value outside of
 * its limits, or kinds of steps that cannot be accounted for together. */
gr_status gr_accounting_check(const struct gr_privacy_history *history, double delta) GR_CHECKED;

/*
 * Not collective. GR_ERROR_CONFIG: a value outside of its limits, or kinds of steps that cannot be
 * accounted for together; GR_ERROR_INTERNAL: the accountants contradict each other. epsilon is
 * infinite where delta is used up by delta_added.
 */
gr_status gr_accounting_epsilon(const struct gr_privacy_history *history, double delta,
                                struct gr_epsilon *out) GR_CHECKED;

/*
 * Not collective. An upper bound of epsilon that is as soon at hand as it is clear whether it is at
 * most the threshold, and else within 1 %, or 0.003, of a lower one. Errors: as above.
 */
gr_status gr_accounting_upper(const struct gr_privacy_history *history, double delta,
                              double threshold, double *upper) GR_CHECKED;

/*
 * Not collective. The smallest noise multiplier, to a relative 5e-4 and rounded up, for which the
 * upper bound of `count` steps behind those of `before` (n may be 0) is at most epsilon. Errors: as
 * above; GR_ERROR_CONFIG: none is enough.
 */
gr_status gr_accounting_noise(const struct gr_privacy_history *before, double sampling,
                              uint64_t count, double epsilon, double delta,
                              double *noise_multiplier) GR_CHECKED;

/* Not collective. The exact delta of a Gaussian sum with sensitivity mu times its noise's standard
 * deviation, for mu > 0, epsilon >= 0; and the exact epsilon of a delta in (0, 1), >= 0. */
double gr_gaussian_delta(double mu, double epsilon);
double gr_gaussian_epsilon(double mu, double delta);

/* Not collective. log(P / Q) at x, in nats, for P = (1 - q) N(0, z^2) + q N(1, z^2), Q = N(0, z^2):
 * the privacy loss of one step with noise multiplier z whose units are sampled with probability q.
 */
double gr_sampled_loss(double z, double q, double x);
/* Not collective. Renyi divergence of order > 1, in nats, of one step with noise multiplier z whose
 * units are sampled with probability q. Never below the truth by more than a relative 1e-9. */
double gr_renyi_divergence(double z, double q, double order);

/* Orders are looked for at distances from 1 between these. */
#define GR_RENYI_ORDER_MIN 1e-3
#define GR_RENYI_ORDER_MAX 1e6
/* Not collective. What turns a divergence of this order into an epsilon, which is their sum
 * (Canonne, Kamath, Steinke 2020, proposition 12). */
double gr_renyi_penalty(double delta, double order);
/* Not collective. The least that the sum can be at this order and all greater ones, given the
 * divergence at an order before: it does not fall as orders grow. Great orders are dear, and need
 * not be looked at once this is above a bound that is had. */
double gr_renyi_least(double divergence, double delta, double order);

/* An upper bound of epsilon, and the order at which it was found. */
struct gr_renyi_bound {
    double epsilon, order;
};
/* Not collective. By the best order. Events and delta are within their limits. */
struct gr_renyi_bound gr_renyi_epsilon(const struct gr_privacy_history *history, double delta);

/* The smallest epsilon is within [lower, upper]. */
struct gr_loss_bounds {
    double lower, upper;
};
/*
 * Not collective. Bounds by distributions of the privacy loss. renyi: of the same history and
 * delta; it makes the bounds narrow, and has no part in their truth. Bounds that would need too
 * fine a grid are 0 and infinite. threshold above 0: the bounds need not be narrow once both are
 * on one side of it. Errors: GR_ERROR_INTERNAL: no memory.
 */
gr_status gr_loss_epsilon(const struct gr_privacy_history *history, double delta,
                          const struct gr_renyi_bound *renyi, double threshold,
                          struct gr_loss_bounds *out) GR_CHECKED;

#endif
