/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A budget over rounds: what was spent, what each further round costs, and how many of them fit. By
 * value, owns nothing. Not collective.
 *
 * Interface: internal.
 */
#ifndef GRANARY_PRIVACY_BUDGET_H
#define GRANARY_PRIVACY_BUDGET_H

#include "privacy/accounting.h"

/* Rounds that are to follow on what was spent before. */
struct gr_private_rounds {
    struct gr_privacy_history before;     /* n may be 0; its adjacency is that of all */
    const struct gr_privacy_event *round; /* n events of each round; borrowed */
    size_t n;
    double delta;
};

enum { GR_BUDGET_ORDERS = 160 };

/* Renyi divergences at many orders: they add up over rounds, so that a bound takes no time. */
struct gr_budget {
    double delta;
    double delta_before, delta_round;                         /* added, of all before; of a round */
    double before[GR_BUDGET_ORDERS], round[GR_BUDGET_ORDERS]; /* nats */
};

/* Not collective. In a fraction of a second. Errors: as gr_accounting_epsilon. */
gr_status gr_budget_start(const struct gr_private_rounds *rounds, struct gr_budget *out) GR_CHECKED;
/* Not collective. An upper bound of epsilon after so many rounds, in microseconds; wider than that
 * of gr_budget_account. Infinite where delta is used up. */
double gr_budget_epsilon(const struct gr_budget *budget, uint64_t count);
/* Not collective. As gr_accounting_epsilon, after so many rounds, which may be 0. */
gr_status gr_budget_account(const struct gr_private_rounds *rounds, uint64_t count,
                            struct gr_epsilon *out) GR_CHECKED;
/*
 * Not collective. The most rounds, at most `most`, whose epsilon is surely at most that; fewer by
 * no more than some 2 % where bounds of privacy losses decide. It takes a second or so. Errors: as
 * gr_accounting_epsilon.
 */
gr_status gr_budget_rounds(const struct gr_private_rounds *rounds, double epsilon, uint64_t most,
                           uint64_t *count) GR_CHECKED;

#endif
