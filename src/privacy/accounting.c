/* SPDX-License-Identifier: Apache-2.0 */
#include "privacy/accounting.h"

#include <float.h>
#include <math.h>

/* A rounding of two ways to the same number. */
static const double slack = 1e-6;

bool gr_privacy_same_kind(const struct gr_privacy_event *a, const struct gr_privacy_event *b) {
    return a->noise_multiplier == b->noise_multiplier && a->sampling == b->sampling &&
           a->delta_added == b->delta_added;
}

static gr_status check_event(const struct gr_privacy_event *event) {
    if (!(event->noise_multiplier >= GR_NOISE_MULTIPLIER_MIN &&
          event->noise_multiplier <= GR_NOISE_MULTIPLIER_MAX))
        return gr_fail(GR_ERROR_CONFIG, "noise multiplier: found %g, expected %g to %g",
                       event->noise_multiplier, GR_NOISE_MULTIPLIER_MIN, GR_NOISE_MULTIPLIER_MAX);
    if (!(event->sampling > 0 && event->sampling <= 1))
        return gr_fail(GR_ERROR_CONFIG,
                       "sampling probability: found %g, expected above 0 and at most 1",
                       event->sampling);
    if (event->count == 0 || event->count > GR_PRIVACY_STEPS_MAX)
        return gr_fail(GR_ERROR_CONFIG, "steps: found %llu, expected 1 to %d",
                       (unsigned long long)event->count, GR_PRIVACY_STEPS_MAX);
    if (!(event->delta_added >= 0 && event->delta_added < 1))
        return gr_fail(GR_ERROR_CONFIG, "added delta: found %g, expected at least 0 and below 1",
                       event->delta_added);
    return GR_OK;
}

static gr_status check_delta(double delta) {
    if (delta >= GR_PRIVACY_DELTA_MIN && delta < 1) return GR_OK;
    return gr_fail(GR_ERROR_CONFIG, "delta: found %g, expected at least %g and below 1", delta,
                   GR_PRIVACY_DELTA_MIN);
}

gr_status gr_accounting_check(const struct gr_privacy_history *history, double delta) {
    gr_status status = GR_OK;
    GR_TRY(check_delta(delta));
    for (size_t i = 0; i < history->n; i++) {
        GR_TRY(check_event(&history->events[i]));
        /* No pair of distributions is proven to be the worst one. */
        if (history->adjacency == GR_ADJACENCY_REPLACE && history->events[i].sampling < 1)
            status = gr_fail(GR_ERROR_CONFIG,
                             "replace: found a sampling probability of %g, expected 1: sampled "
                             "sums are accounted for by add_remove or zero_out",
                             history->events[i].sampling);
    }
out:
    return status;
}

/* One Gaussian sum in the place of all that sample nothing; behind them those that do, at most
 * history->n in all. Replacing a unit moves a sum by twice its bound. */
static size_t merge(const struct gr_privacy_history *history, struct gr_privacy_event *merged) {
    const double sensitivity = history->adjacency == GR_ADJACENCY_REPLACE ? 2 : 1;
    double precision = 0;
    size_t n = 0;
    for (size_t i = 0; i < history->n; i++) {
        const double z = history->events[i].noise_multiplier / sensitivity;
        if (history->events[i].sampling == 1) precision += (double)history->events[i].count / z / z;
    }
    if (precision > 0)
        merged[n++] = (struct gr_privacy_event){
            .noise_multiplier = 1 / sqrt(precision), .sampling = 1, .count = 1};
    for (size_t i = 0; i < history->n; i++)
        if (history->events[i].sampling < 1) merged[n++] = history->events[i];
    return n;
}

/* How much is asked: Renyi divergences alone give an upper bound, and soon; bounds that are narrow,
 * or where threshold is above 0, on one side of it. */
enum effort { QUICK, NARROW };
struct care {
    enum effort effort;
    double threshold;
};
static const struct care quick = {QUICK, 0}, narrow = {NARROW, 0};

static gr_status enclose(const struct gr_privacy_history *merged, double delta, struct care care,
                         struct gr_epsilon *out) {
    gr_status status = GR_OK;
    struct gr_loss_bounds bounds;
    const struct gr_renyi_bound renyi = gr_renyi_epsilon(merged, delta);
    out->renyi = renyi.epsilon;
    out->order = renyi.order;
    out->upper = renyi.epsilon;
    if (care.effort == QUICK) goto out;
    out->exact = merged->n == 1 && merged->events[0].sampling == 1;
    if (out->exact)
        bounds.lower = bounds.upper =
            gr_gaussian_epsilon(1 / merged->events[0].noise_multiplier, delta);
    else
        GR_TRY(gr_loss_epsilon(merged, delta, &renyi, care.threshold, &bounds));
    out->lower = bounds.lower;
    out->upper = bounds.upper;
    if (out->lower > out->renyi * (1 + slack) + slack || out->lower > out->upper)
        status = gr_fail(GR_ERROR_INTERNAL,
                         "accountants contradict each other: epsilon is %.9g by Renyi divergences, "
                         "%.9g to %.9g by distributions of the privacy loss",
                         out->renyi, out->lower, out->upper);
    out->upper = fmin(out->upper, fmax(out->renyi, out->lower));
out:
    return status;
}

static gr_status account(const struct gr_privacy_history *history, double delta, struct care care,
                         struct gr_epsilon *out) {
    gr_status status = GR_OK;
    struct gr_privacy_event *merged = NULL;
    double added = 0;
    *out = (struct gr_epsilon){.exact = true};
    GR_TRY(gr_accounting_check(history, delta));
    if (history->n == 0) goto out;
    for (size_t i = 0; i < history->n; i++)
        added += (double)history->events[i].count * history->events[i].delta_added;
    if (added > delta * (1 - GR_PRIVACY_DELTA_SLACK)) {
        *out = (struct gr_epsilon){.upper = INFINITY, .renyi = INFINITY};
        goto out;
    }
    GR_TRY(gr_allocate(history->n, sizeof *merged, "events", &merged));
    const struct gr_privacy_history all = {history->adjacency, merged, merge(history, merged)};
    GR_TRY(enclose(&all, delta - added, care, out));
out:
    gr_free(merged);
    return status;
}

gr_status gr_accounting_epsilon(const struct gr_privacy_history *history, double delta,
                                struct gr_epsilon *out) {
    return account(history, delta, narrow, out);
}

gr_status gr_accounting_upper(const struct gr_privacy_history *history, double delta,
                              double threshold, double *upper) {
    struct gr_epsilon epsilon;
    const gr_status status = account(history, delta, (struct care){NARROW, threshold}, &epsilon);
    *upper = epsilon.upper;
    return status;
}

/* ---- noise ---------------------------------------------------------------------------------- */

/* The end of an interval of noise multipliers. */
struct noise_end {
    double z, over; /* log of the upper bound over the epsilon that is wanted */
};

/* With one more kind of steps, which is the last of `events`. */
struct question {
    const struct gr_privacy_history *all;
    struct gr_privacy_event *last;
    double epsilon, delta;
};

static gr_status try_noise(const struct question *question, double z, struct care care,
                           struct noise_end *out) {
    struct gr_epsilon found;
    question->last->noise_multiplier = z;
    const gr_status status = account(question->all, question->delta, care, &found);
    *out = (struct noise_end){z, log(fmax(found.upper, DBL_MIN) / question->epsilon)};
    return status;
}

/* By the rule of false position, as Illinois weighs it (Dowell, Jarratt 1971), of the logarithms:
 * epsilon falls about as a power of the noise. Each step leaves one end on each side, and keeps off
 * them by a part of the precision so that both come near. */
static gr_status narrow_noise(const struct question *question, struct care care, double precision,
                              struct noise_end low, struct noise_end *high) {
    gr_status status = GR_OK;
    int side = 0;
    double low_weight = low.over, high_weight = high->over;
    while (log(high->z / low.z) > precision) {
        struct noise_end end;
        const double width = log(high->z / low.z),
                     share = low_weight / fmax(low_weight - high_weight, DBL_MIN),
                     off = fmin(precision / 3, width / 3),
                     step = fmin(fmax(share * width + off / 2, off), width - off);
        GR_TRY(try_noise(question, low.z * exp(step), care, &end));
        if (end.over <= 0) {
            *high = end;
            high_weight = end.over;
            low_weight = side == 1 ? low_weight / 2 : low.over;
            side = 1;
        } else {
            low = end;
            low_weight = end.over;
            high_weight = side == -1 ? high_weight / 2 : high->over;
            side = -1;
        }
    }
out:
    return status;
}

/* By Renyi divergences first, which tell soon what is more than enough, and about where the least
 * is. */
static gr_status search(const struct question *question, double *noise_multiplier) {
    gr_status status = GR_OK;
    struct noise_end low, high;
    GR_TRY(try_noise(question, GR_NOISE_MULTIPLIER_MIN, quick, &low));
    high = low;
    while (high.over > 0) {
        low = high;
        if (low.z == GR_NOISE_MULTIPLIER_MAX) {
            status = gr_fail(GR_ERROR_CONFIG,
                             "no noise multiplier up to %g keeps epsilon at %g for a delta of %g",
                             GR_NOISE_MULTIPLIER_MAX, question->epsilon, question->delta);
            goto out;
        }
        GR_TRY(try_noise(question, fmin(low.z * 4, GR_NOISE_MULTIPLIER_MAX), quick, &high));
    }
    GR_TRY(narrow_noise(question, quick, 1e-2, low, &high));
    GR_TRY(try_noise(question, high.z, narrow, &high));
    for (low = high; low.over <= 0 && low.z > GR_NOISE_MULTIPLIER_MIN;) {
        high = low;
        GR_TRY(try_noise(question, fmax(high.z * 0.8, GR_NOISE_MULTIPLIER_MIN), narrow, &low));
    }
    if (low.over <= 0)
        high = low;
    else
        GR_TRY(narrow_noise(question, narrow, 5e-4, low, &high));
    *noise_multiplier = high.z;
out:
    return status;
}

gr_status gr_accounting_noise(const struct gr_privacy_history *before, double sampling,
                              uint64_t count, double epsilon, double delta,
                              double *noise_multiplier) {
    gr_status status = GR_OK;
    struct gr_privacy_event *events = NULL;
    if (!(epsilon > 0 && epsilon < INFINITY))
        return gr_fail(GR_ERROR_CONFIG, "epsilon: found %g, expected a number above 0", epsilon);
    GR_TRY(gr_allocate(before->n + 1, sizeof *events, "events", &events));
    for (size_t i = 0; i < before->n; i++)
        events[i] = before->events[i];
    events[before->n] = (struct gr_privacy_event){.sampling = sampling, .count = count};
    const struct gr_privacy_history all = {before->adjacency, events, before->n + 1};
    const struct question question = {&all, &events[before->n], epsilon, delta};
    GR_TRY(search(&question, noise_multiplier));
out:
    gr_free(events);
    return status;
}
