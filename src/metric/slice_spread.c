/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Replicates of the shares of groups, and of fairness over them. A row belongs to one group of a
 * slicing, and each row's draw is its own: so the rows of a share that have the outcome, and those
 * that do not, are independent Poisson numbers in a replicate, whose means are how many there are
 * (Poisson numbers add up to one). They are drawn from these means, and no row is looked at again,
 * nor is more known of a group than its share and rows as they are told.
 *
 * Equalised odds take a share of the rows of class 1 and one of the others, which have no row in
 * common; no measure takes two shares of a group that have. So all are drawn one by one.
 */
#include <granary/slices.h>

#include <gsl/gsl_randist.h>
#include <math.h>
#include <string.h>

#include "metric/replicates.h"

/* Shares over the groups of a slicing, of which the lowest and the highest are kept. */
enum range { SELECTED, FOUND, FALSELY, PREDICTED, RANGES };

struct gr_slice_spreads {
    uint32_t n_slicings;
    struct gr_resampled_metric *figures;  /* groups x GR_SLICE_SHARES; owned, as all that follows */
    struct gr_resampled_metric *fairness; /* slicings x measures x 2: difference, ratio */
    /* Of the work. */
    size_t n;
    gsl_rng *stream;
    double *values, *defined, *extra; /* n */
    double *low[RANGES], *high[RANGES];
    double step[RANGES]; /* the widest of a share's step */
    const char *why[RANGES];
    unsigned groups[RANGES];
};

static struct gr_resampled_metric without(const char *why) {
    const double none = (double)NAN;
    return (struct gr_resampled_metric){none, none, none, none, 0, why};
}

/* ---- one share --------------------------------------------------------------------------------
 */

/* s->values: n of them, NAN where no row of the share was drawn. */
static void draw(struct gr_slice_spreads *s, struct gr_stream_key key, struct gr_slice_value v) {
    gr_stream_restart(s->stream, key);
    for (size_t k = 0; k < s->n; k++) {
        const double with = gsl_ran_poisson(s->stream, v.rows * v.value);
        const double rest = gsl_ran_poisson(s->stream, v.rows * (1 - v.value));
        s->values[k] = with + rest > 0 ? with / (with + rest) : (double)NAN;
    }
}

static struct gr_resampled_metric summarise(struct gr_slice_spreads *s, const double *values) {
    size_t n = 0;
    for (size_t k = 0; k < s->n; k++)
        if (!isnan(values[k])) s->defined[n++] = values[k];
    return gr_resampled_of(s->defined, n, s->n);
}

/* A share that is told in a step may be anywhere in it. */
static void widen(struct gr_resampled_metric *m, double below, double above, double most) {
    m->lower = fmax(m->lower - below, 0);
    m->upper = fmin(m->upper + above, most);
}

static void note_range(struct gr_slice_spreads *s, enum range range, bool rest, double step) {
    if (step > s->step[range]) s->step[range] = step;
    for (size_t k = 0; k < s->n; k++) {
        const double x = rest ? 1 - s->values[k] : s->values[k];
        double *low = &s->low[range][k], *high = &s->high[range][k];
        if (s->groups[range] == 0) *low = *high = x;
        /* Not defined where one of them is not. */
        if (isnan(x)) *low = *high = x;
        if (x < *low) *low = x;
        if (x > *high) *high = x;
    }
    s->groups[range]++;
}

static enum range range_of(enum gr_slice_figure figure) {
    switch (figure) {
    case GR_SLICE_SELECTION_RATE:
        return SELECTED;
    case GR_SLICE_SENSITIVITY:
        return FOUND;
    case GR_SLICE_SPECIFICITY:
        return FALSELY;
    case GR_SLICE_PPV:
        return PREDICTED;
    default:
        return RANGES;
    }
}

static void take_group(struct gr_slice_spreads *s, const struct gr_slice_scores *scores,
                       uint32_t group, uint64_t seed) {
    for (uint32_t i = 0; i < GR_SLICE_SHARES; i++) {
        const enum gr_slice_figure figure = (enum gr_slice_figure)i;
        struct gr_resampled_metric *out = &s->figures[group * GR_SLICE_SHARES + i];
        const enum range range = range_of(figure);
        if (!gr_slice_figure_fits(figure, scores->classes)) continue;
        const struct gr_slice_value v = gr_slice_told(scores, group, figure);
        *out = without(v.why ? v.why : !(v.rows > 0) ? "the rows of it are not known" : NULL);
        if (out->why) {
            if (range < RANGES) s->why[range] = out->why;
            continue;
        }
        const struct gr_stream_key key = {seed, group, i, GR_PURPOSE_BOOTSTRAP};
        draw(s, key, v);
        *out = summarise(s, s->values);
        if (!out->why) widen(out, v.value - v.lower, v.upper - v.value, 1);
        if (range < RANGES) note_range(s, range, figure == GR_SLICE_SPECIFICITY, v.upper - v.lower);
    }
}

/* ---- fairness ---------------------------------------------------------------------------------
 */

/* Differences or ratios of a range; NAN where they are not defined. */
static void compare(const struct gr_slice_spreads *s, enum range range, bool ratio, double *out) {
    for (size_t k = 0; k < s->n; k++) {
        const double low = s->low[range][k], high = s->high[range][k];
        out[k] = !ratio ? high - low : high > 0 ? low / high : (double)NAN;
    }
}

/* The worse of two ranges in each replicate. */
static void take_worse(struct gr_slice_spreads *s, bool ratio) {
    compare(s, FALSELY, ratio, s->extra);
    for (size_t k = 0; k < s->n; k++) {
        const double x = s->extra[k];
        if (isnan(x) || (ratio ? x < s->values[k] : x > s->values[k])) s->values[k] = x;
    }
}

static struct gr_resampled_metric measure(struct gr_slice_spreads *s, enum gr_fairness_measure of,
                                          bool ratio) {
    static const enum range range[] = {[GR_DEMOGRAPHIC_PARITY] = SELECTED,
                                       [GR_EQUAL_OPPORTUNITY] = FOUND,
                                       [GR_EQUALIZED_ODDS] = FOUND,
                                       [GR_PREDICTIVE_PARITY] = PREDICTED,
                                       [GR_DISPARATE_IMPACT] = SELECTED};
    const bool both = of == GR_EQUALIZED_ODDS;
    const char *why = s->why[range[of]] ? s->why[range[of]] : both ? s->why[FALSELY] : NULL;
    double step = s->step[range[of]];
    if (both && s->step[FALSELY] > step) step = s->step[FALSELY];
    if (why) return without(why);
    if (s->groups[range[of]] < 2) return without("fewer than two groups are told");
    if (ratio && step > 0) return without("shares are told in steps");
    compare(s, range[of], ratio, s->values);
    if (both) take_worse(s, ratio);
    struct gr_resampled_metric out = summarise(s, s->values);
    if (!out.why) widen(&out, step, step, 1);
    return out;
}

static void take_slicing(struct gr_slice_spreads *s, const struct gr_slice_scores *scores,
                         size_t slicing, uint64_t seed) {
    const struct gr_slicing *of = &scores->slicings->list[slicing];
    memset(s->step, 0, sizeof s->step);
    memset(s->why, 0, sizeof s->why);
    memset(s->groups, 0, sizeof s->groups);
    for (uint32_t g = of->first; g < of->first + of->n; g++)
        if (!scores->withheld[g] && scores->total[g].rows > 0) take_group(s, scores, g, seed);
    for (int m = 0; m < GR_FAIRNESS_MEASURES && scores->classes == 2; m++)
        for (int ratio = 0; ratio < 2; ratio++)
            s->fairness[(slicing * GR_FAIRNESS_MEASURES + (size_t)m) * 2 + (size_t)ratio] =
                measure(s, (enum gr_fairness_measure)m, ratio);
}

/* ---- making ---------------------------------------------------------------------------------- */

static gr_status make_room(struct gr_slice_spreads *s, const struct gr_slice_scores *scores,
                           size_t n) {
    const size_t n_figures = (size_t)scores->slicings->n_groups * GR_SLICE_SHARES;
    const size_t n_fairness = scores->slicings->n * GR_FAIRNESS_MEASURES * 2;
    gr_status status;
    s->n = n;
    GR_TRY(gr_allocate_zero(n_figures, sizeof *s->figures, "replicates", &s->figures));
    GR_TRY(gr_allocate_zero(n_fairness, sizeof *s->fairness, "replicates", &s->fairness));
    GR_TRY(gr_allocate(n, sizeof *s->values, "replicates", &s->values));
    GR_TRY(gr_allocate(n, sizeof *s->defined, "replicates", &s->defined));
    GR_TRY(gr_allocate(n, sizeof *s->extra, "replicates", &s->extra));
    for (size_t r = 0; r < RANGES; r++) {
        GR_TRY(gr_allocate(n, sizeof *s->low[r], "replicates", &s->low[r]));
        GR_TRY(gr_allocate(n, sizeof *s->high[r], "replicates", &s->high[r]));
    }
    for (size_t i = 0; i < n_figures; i++)
        s->figures[i] = without(NULL);
    for (size_t i = 0; i < n_fairness; i++)
        s->fairness[i] = without(NULL);
    status = gr_stream_create((struct gr_stream_key){.purpose = GR_PURPOSE_BOOTSTRAP}, &s->stream);
out:
    return status;
}

gr_status gr_slice_spreads_create(const struct gr_slice_scores *scores, size_t n, uint64_t seed,
                                  struct gr_slice_spreads **out) {
    struct gr_slice_spreads *s = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *s, "replicates", &s));
    GR_TRY(make_room(s, scores, n));
    for (size_t i = 0; i < scores->slicings->n; i++)
        take_slicing(s, scores, i, seed);
    *out = s;
    s = NULL;
out:
    gr_slice_spreads_free(s);
    return status;
}

void gr_slice_spreads_free(struct gr_slice_spreads *s) {
    if (!s) return;
    if (s->stream) gsl_rng_free(s->stream);
    for (size_t r = 0; r < RANGES; r++) {
        gr_free(s->high[r]);
        gr_free(s->low[r]);
    }
    gr_free(s->extra);
    gr_free(s->defined);
    gr_free(s->values);
    gr_free(s->fairness);
    gr_free(s->figures);
    gr_free(s);
}

struct gr_resampled_metric gr_slice_spread(const struct gr_slice_spreads *s, uint32_t group,
                                           enum gr_slice_figure figure) {
    return figure < GR_SLICE_SHARES ? s->figures[group * GR_SLICE_SHARES + figure] : without(NULL);
}

struct gr_resampled_metric gr_fairness_spread(const struct gr_slice_spreads *s, size_t slicing,
                                              enum gr_fairness_measure of, bool ratio) {
    return s->fairness[(slicing * GR_FAIRNESS_MEASURES + of) * 2 + ratio];
}
