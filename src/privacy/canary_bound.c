/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/canary_bound.h"

#include <math.h>
#include <stdlib.h>

#define EPSILON_MAX 100.0

/* log P(k of n) of a binomial distribution, for probabilities e^epsilon / (1 + e^epsilon). */
static double log_binomial(size_t n, size_t k, double epsilon) {
    const double wrong = -epsilon - log1p(exp(-epsilon)), right = -log1p(exp(-epsilon));
    const double a = (double)n, b = (double)k;
    return lgamma(a + 1) - lgamma(b + 1) - lgamma(a - b + 1) + b * right + (a - b) * wrong;
}

/* The probability of so many right guesses, or more, where (epsilon, delta) holds: at most this.
 * Theorem 5.2, as in the paper's appendix D. */
static double p_value(const struct gr_guesses *guesses, double epsilon, double delta) {
    double beta = 0, sum = 0, alpha = 0;
    for (size_t k = guesses->right; k <= guesses->guessed; k++)
        beta += exp(log_binomial(guesses->guessed, k, epsilon));
    for (size_t i = 1; i <= guesses->right; i++) {
        sum += exp(log_binomial(guesses->guessed, guesses->right - i, epsilon));
        alpha = fmax(alpha, sum / (double)i);
    }
    return fmin(1, beta + 2 * (double)guesses->canaries * delta * alpha);
}

double gr_canary_epsilon(const struct gr_guesses *guesses, double delta, double confidence) {
    double least = 0, most = EPSILON_MAX;
    if (guesses->guessed == 0 || p_value(guesses, 0, delta) >= 1 - confidence) return 0;
    while (most - least > 1e-6) {
        const double middle = (least + most) / 2;
        if (p_value(guesses, middle, delta) < 1 - confidence)
            least = middle;
        else
            most = middle;
    }
    return least;
}

/* ---- by scores ------------------------------------------------------------------------------ */

struct scored {
    double score;
    size_t place; /* decides between equal scores, which the coin must not */
    bool in;
};

static int descending(const void *left, const void *right) {
    const struct scored *a = left, *b = right;
    if (a->score != b->score) return a->score < b->score ? 1 : -1;
    return a->place < b->place ? -1 : 1;
}

static struct gr_guesses count(const struct scored *list, size_t n, size_t top, size_t bottom) {
    struct gr_guesses guesses = {n, top + bottom, 0};
    for (size_t i = 0; i < top; i++)
        guesses.right += list[i].in;
    for (size_t i = n - bottom; i < n; i++)
        guesses.right += !list[i].in;
    return guesses;
}

gr_status gr_canary_bound(const double *score, const bool *in, size_t n, double delta,
                          double confidence, struct gr_canary_bound *out) {
    /* Guesses of who is in and of who is out, of 20 canaries. */
    static const size_t ways[][2] = {{10, 10}, {5, 5}, {2, 2}, {1, 1}, {4, 0}, {2, 0}};
    enum { WAYS = sizeof ways / sizeof *ways };
    struct scored *list;
    gr_status status;
    *out = (struct gr_canary_bound){.guesses = {n, 0, 0}};
    GR_TRY(gr_allocate(n > 0 ? n : 1, sizeof *list, "canaries", &list));
    for (size_t i = 0; i < n; i++)
        list[i] = (struct scored){isnan(score[i]) ? 0 : score[i], i, in[i]};
    qsort(list, n, sizeof *list, descending);
    for (size_t w = 0; w < WAYS; w++) {
        const struct gr_guesses guesses = count(list, n, n * ways[w][0] / 20, n * ways[w][1] / 20);
        const double epsilon = gr_canary_epsilon(&guesses, delta, 1 - (1 - confidence) / WAYS);
        if (epsilon >= out->epsilon) *out = (struct gr_canary_bound){epsilon, guesses};
    }
    gr_free(list);
out:
    return status;
}
