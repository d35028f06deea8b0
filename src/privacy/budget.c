/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/budget.h"

#include <math.h>

/* By log(order - 1). */
static double order_of(size_t i) {
    const double from = log(GR_RENYI_ORDER_MIN), to = log(GR_RENYI_ORDER_MAX);
    return 1 + exp(from + (to - from) * (double)i / (GR_BUDGET_ORDERS - 1));
}

static double divergence_of(const struct gr_privacy_history *history, double order) {
    const double sensitivity = history->adjacency == GR_ADJACENCY_REPLACE ? 2 : 1;
    double sum = 0;
    for (size_t e = 0; e < history->n; e++)
        sum += (double)history->events[e].count *
               gr_renyi_divergence(history->events[e].noise_multiplier / sensitivity,
                                   history->events[e].sampling, order);
    return sum;
}

static double delta_added(const struct gr_privacy_history *history) {
    double sum = 0;
    for (size_t e = 0; e < history->n; e++)
        sum += (double)history->events[e].count * history->events[e].delta_added;
    return sum;
}

/* Up to the order from which on none is the best one after the fewest rounds, nor after more of
 * them, for each adds less at a lesser order. Bounds hold whichever orders are left out. */
static void find_divergences(const struct gr_privacy_history *before,
                             const struct gr_privacy_history *round, struct gr_budget *out) {
    const double fewest = before->n > 0 ? 0 : 1;
    double best = INFINITY, last = 0;
    for (size_t i = 0; i < GR_BUDGET_ORDERS; i++)
        out->before[i] = out->round[i] = INFINITY;
    for (size_t i = 0; i < GR_BUDGET_ORDERS; i++) {
        const double order = order_of(i);
        if (gr_renyi_least(last, out->delta, order) > best) break;
        out->before[i] = divergence_of(before, order);
        out->round[i] = divergence_of(round, order);
        last = out->before[i] + fewest * out->round[i];
        best = fmin(best, last + gr_renyi_penalty(out->delta, order));
    }
}

gr_status gr_budget_start(const struct gr_private_rounds *rounds, struct gr_budget *out) {
    gr_status status = GR_OK;
    const struct gr_privacy_history round = {rounds->before.adjacency, rounds->round, rounds->n};
    *out = (struct gr_budget){.delta = rounds->delta};
    GR_TRY(gr_accounting_check(&rounds->before, rounds->delta));
    GR_TRY(gr_accounting_check(&round, rounds->delta));
    out->delta_before = delta_added(&rounds->before);
    out->delta_round = delta_added(&round);
    find_divergences(&rounds->before, &round, out);
out:
    return status;
}

/* Canonne, Kamath, Steinke 2020, proposition 12, at the best of the orders. */
double gr_budget_epsilon(const struct gr_budget *budget, uint64_t count) {
    const double n = (double)count, added = budget->delta_before + n * budget->delta_round,
                 delta = budget->delta - added;
    double least = INFINITY;
    if (added > budget->delta * (1 - GR_PRIVACY_DELTA_SLACK)) return INFINITY;
    for (size_t i = 0; i < GR_BUDGET_ORDERS; i++) {
        const double order = order_of(i);
        if (budget->round[i] < INFINITY)
            least = fmin(least,
                         budget->before[i] + n * budget->round[i] + gr_renyi_penalty(delta, order));
    }
    return fmax(0, least);
}

/* ---- by privacy losses ---------------------------------------------------------------------- */

/* All events after so many rounds, each kind once, where there is room for all. */
static size_t join(const struct gr_private_rounds *rounds, uint64_t count,
                   struct gr_privacy_event *out) {
    size_t n = rounds->before.n;
    for (size_t i = 0; i < n; i++)
        out[i] = rounds->before.events[i];
    for (size_t i = 0; i < rounds->n && count > 0; i++) {
        size_t at = 0;
        while (at < n && !gr_privacy_same_kind(&out[at], &rounds->round[i]))
            at++;
        if (at == n) {
            out[n] = rounds->round[i];
            out[n++].count = 0;
        }
        out[at].count += count * rounds->round[i].count;
    }
    return n;
}

/* threshold 0: bounds as narrow as they come; else an upper one, as of gr_accounting_upper. */
static gr_status account(const struct gr_private_rounds *rounds, uint64_t count, double threshold,
                         struct gr_epsilon *out) {
    gr_status status = GR_OK;
    struct gr_privacy_event *events = NULL;
    GR_TRY(gr_allocate(rounds->before.n + rounds->n, sizeof *events, "events", &events));
    const struct gr_privacy_history all = {rounds->before.adjacency, events,
                                           join(rounds, count, events)};
    status = threshold > 0 ? gr_accounting_upper(&all, rounds->delta, threshold, &out->upper)
                           : gr_accounting_epsilon(&all, rounds->delta, out);
out:
    gr_free(events);
    return status;
}

gr_status gr_budget_account(const struct gr_private_rounds *rounds, uint64_t count,
                            struct gr_epsilon *out) {
    return account(rounds, count, 0, out);
}

/* ---- rounds that fit ------------------------------------------------------------------------ */

/* A search for the number of rounds. */
struct round_search {
    struct gr_budget budget;
    double epsilon;
    uint64_t fit, over; /* so many do, so many do not */
    double ratio;       /* of a bound by privacy losses to the quick one, at the last try */
};

/* The most rounds within [fit, over) whose quick bound is at most epsilon; fit where none is. */
static uint64_t quick_rounds(const struct round_search *search, double epsilon) {
    uint64_t low = search->fit, high = search->over;
    while (high - low > 1) {
        const uint64_t middle = low + (high - low) / 2;
        if (gr_budget_epsilon(&search->budget, middle) <= epsilon)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* As near as is asked for: a half of a hundredth. */
static uint64_t further(const struct round_search *search) {
    return search->fit + search->fit / 200 + 1;
}

/* The number to be tried next: where the quick bound, times the ratio, meets epsilon; once that is
 * known to fit, a little more, which ends the search where it does not fit. */
static uint64_t next_try(const struct round_search *search) {
    const uint64_t guess = quick_rounds(search, search->epsilon / search->ratio);
    if (guess > search->fit) return guess;
    return further(search) < search->over ? further(search) : search->fit + 1;
}

static gr_status try_next(const struct gr_private_rounds *rounds, struct round_search *search) {
    gr_status status = GR_OK;
    struct gr_epsilon found;
    const uint64_t count = next_try(search);
    GR_TRY(account(rounds, count, search->epsilon, &found));
    const double ratio = found.upper / gr_budget_epsilon(&search->budget, count);
    if (ratio > 0) search->ratio = ratio; /* and not where delta is used up */
    if (found.upper <= search->epsilon)
        search->fit = count;
    else
        search->over = count;
out:
    return status;
}

gr_status gr_budget_rounds(const struct gr_private_rounds *rounds, double epsilon, uint64_t most,
                           uint64_t *count) {
    enum { TRIES = 40 };
    gr_status status = GR_OK;
    struct round_search search = {.epsilon = epsilon, .over = most + 1, .ratio = 0.9};
    GR_TRY(gr_budget_start(rounds, &search.budget));
    for (size_t i = 0; i < rounds->n; i++) /* as many steps as the accountant takes */
        if (search.over > GR_PRIVACY_STEPS_MAX / rounds->round[i].count)
            search.over = GR_PRIVACY_STEPS_MAX / rounds->round[i].count + 1;
    search.fit = quick_rounds(&search, epsilon);
    for (int i = 0; i < TRIES && search.over > further(&search); i++)
        GR_TRY(try_next(rounds, &search));
    *count = search.fit;
out:
    return status;
}
