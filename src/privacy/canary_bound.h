/* SPDX-License-Identifier: Apache-2.0 */
/*
 * canary_bound: a lower bound of epsilon from one training run in which each of some canaries is by
 * a fair coin, after Steinke, Nasr, Jagielski 2023, "Privacy auditing with one (1) training run",
 * arXiv:2305.08846, theorem 5.2. Who guesses the coins of canaries better than epsilon and delta
 * allow shows that they do not hold. Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_CANARY_BOUND_H
#define GRANARY_PRIVACY_CANARY_BOUND_H

#include <granary/base.h>

/* Coins that were guessed, of so many canaries, and how many of the guesses were right. */
struct gr_guesses {
    size_t canaries, guessed, right;
};

/* Not collective. The greatest epsilon of which the guesses say with this confidence that it does
 * not hold for delta: 0 where they say nothing. right <= guessed <= canaries, confidence below 1.
 */
double gr_canary_epsilon(const struct gr_guesses *guesses, double delta, double confidence);

struct gr_canary_bound {
    double epsilon;            /* at least; with the confidence that was asked for */
    struct gr_guesses guesses; /* that say so */
};

/*
 * Not collective. Guesses by scores, n of each: canaries of high scores are taken to be in, of low
 * ones to be out, and of those between nothing is said. How many are guessed is tried out in
 * several ways, for which the confidence is shared. score: must not depend on `in` but by what the
 * training released. Errors: GR_ERROR_INTERNAL: no memory.
 */
gr_status gr_canary_bound(const double *score, const bool *in, size_t n, double delta,
                          double confidence, struct gr_canary_bound *out) GR_CHECKED;

#endif
