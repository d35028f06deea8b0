/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preprocessing learns of all silos' training rows before the first round. Of numbers: counts, sums
 * and sums of squares, each silo's in the order of its rows, added up in integers, so that
 * preprocessing has the same bits wherever silos are placed; and the power of two above the
 * greatest magnitude, in units of which sums are taken. Of the least and greatest values themselves
 * only those that min_max asks for. Categories are in category_dictionary.c.
 *
 * Deviations are taken in a second pass, from the mean: the difference of two sums of squares would
 * lose all digits where a column's mean is large against its spread. Held-out rows have no part in
 * any of it.
 */
#include "cohort/preprocessing_fit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of a maximum that nobody brings anything to, and an exponent below all. */
#define NOTHING (-(INT64_C(1) << 40))
enum {
    /* Deviations so far below the values themselves are what rounding leaves of a constant. */
    CONSTANT_BITS = 45,
    /* A sum of values that a range bounds is taken in units so far below the range, for values may
     * keep to a small part of it. Of 2^32 rows it is below 2^62, and so within GR_REAL_LIMIT. */
    RANGE_BITS = 30
};

/*
 * A silo without training rows has rows for validation or test only, from which nothing is learned.
 */
bool gr_fit_usable(const struct gr_silo *silo) {
    return silo->unusable == GR_OK && silo->train.n_rows > 0;
}

/* Withheld values are asked for nothing: see gr_fit_find_withheld, which comes first. */
static bool wants_mean(const struct gr_fitting *fit, size_t v) {
    const struct gr_treatment *t = &fit->treatment[v];
    return !fit->withheld[v] && t->number &&
           (t->by == GR_SCALE_STANDARDISE || t->missing == GR_MISSING_MEAN);
}

/* A column with a range in data.schema is scaled by that range, and tells no value. */
static bool wants_extremes(const struct gr_fitting *fit, size_t v) {
    const struct gr_treatment *t = &fit->treatment[v];
    return !fit->withheld[v] && t->number && t->by == GR_SCALE_MIN_MAX && !t->ranged;
}

/* With a public grid the exponents follow from a column's range, and no maximum is asked for. */
static bool is_bounded(const struct gr_fitting *fit, size_t v) {
    return fit->config->aggregation.grid == GR_GRID_PUBLIC && fit->treatment[v].ranged;
}

/* Whether the greatest magnitude, or deviation, of some value is asked for; with an agreed grid
 * always, as it ever was. */
static bool any_unbounded(const struct gr_fitting *fit, bool deviations) {
    if (!gr_release_leaves(GR_RELEASE_VALUE_EXPONENTS, fit->config)) return false;
    bool any = fit->config->aggregation.grid != GR_GRID_PUBLIC;
    for (size_t v = 0; v < fit->n && !any; v++)
        any = wants_mean(fit, v) && !is_bounded(fit, v) &&
              (!deviations || fit->treatment[v].by == GR_SCALE_STANDARDISE);
    return any;
}

/* The same on all ranks. */
static bool any_extremes(const struct gr_fitting *fit) {
    for (size_t v = 0; v < fit->n; v++)
        if (wants_extremes(fit, v)) return true;
    return false;
}

/* ---- magnitudes ----------------------------------------------------------------------------- */

/*
 * An integer for each float32, in the order of the numbers (sign and magnitude to two's
 * complement), so that a maximum of integers is one of values, to the bit. value_at is its inverse.
 */
static int64_t place_of(float value) {
    int32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits >= 0 ? bits : -(int64_t)(bits & INT32_MAX);
}

static float value_at(int64_t place) {
    int32_t bits = (int32_t)(place < 0 ? -place : place);
    float value;
    memcpy(&value, &bits, sizeof value);
    return place < 0 ? -value : value;
}

/* e with magnitude < 2^e. */
static int64_t exponent_of(double magnitude) {
    int e;
    if (!(magnitude > 0)) return NOTHING;
    (void)frexp(magnitude, &e);
    return e;
}

/* Units for sums of numbers within a magnitude. */
static int64_t exponent_within(double magnitude, int64_t bits) {
    const int64_t exponent = exponent_of(magnitude);
    return exponent == NOTHING ? NOTHING : exponent - bits;
}

/* Collective. least, greatest: this rank's; extremes that may be told become all ranks'. Minima are
 * maxima of the negated values, so the door has to know one reduction only. */
static gr_status agree_spread(struct gr_fitting *fit, float *least, float *greatest) {
    gr_status status = GR_OK;
    int64_t *most = fit->sums;
    const size_t n = fit->n;
    for (size_t v = 0; v < n; v++) {
        const bool any = least[v] <= greatest[v];
        most[v] = most[n + v] = most[2 * n + v] = NOTHING;
        if (any && wants_mean(fit, v) && !is_bounded(fit, v))
            most[v] = exponent_of(fmax(fabs((double)least[v]), fabs((double)greatest[v])));
        if (!any || !wants_extremes(fit, v)) continue;
        most[n + v] = place_of(greatest[v]);
        most[2 * n + v] = place_of(-least[v]);
    }
    if (any_unbounded(fit, false))
        GR_TRY(gr_release_max(fit->door, GR_RELEASE_VALUE_EXPONENTS, most, n));
    if (any_extremes(fit)) GR_TRY(gr_release_max(fit->door, GR_RELEASE_EXTREMES, most + n, 2 * n));
    for (size_t v = 0; v < n; v++) {
        const double *range = fit->treatment[v].range;
        fit->exponent[v] = is_bounded(fit, v)
                               ? exponent_within(fmax(fabs(range[0]), fabs(range[1])), RANGE_BITS)
                               : most[v];
        if (most[n + v] == NOTHING) continue;
        fit->low[v] = 0 - (double)value_at(most[2 * n + v]);
        fit->high[v] = (double)value_at(most[n + v]);
    }
out:
    return status;
}

/* Collective. The first pass over the rows. gr_alive_on gives signs of life between silos; the pass
 * goes on after a loss, which the reduction finds. */
static gr_status find_spread(struct gr_fitting *fit) {
    for (size_t v = 0; v < fit->n; v++) {
        fit->least[v] = INFINITY;
        fit->most[v] = -INFINITY;
    }
    for (size_t i = 0; i < fit->data->n_local; i++) {
        gr_alive_on();
        if (gr_fit_usable(&fit->data->local[i]))
            gr_fit_spread(fit->treatment, &fit->data->local[i].train, fit->least, fit->most);
    }
    return agree_spread(fit, fit->least, fit->most);
}

/* ---- means and deviations ------------------------------------------------------------------- */

/*
 * Adds 2^-exponent times the value. The exponent is above every magnitude, so addends are within 1
 * a row, and sums of any number of rows that fits memory stay in range. False: the value is not
 * finite, or out of gr_real_add's range.
 */
static bool add_scaled(int64_t *sum, double value, int64_t exponent) {
    return exponent == NOTHING || gr_real_add(sum, ldexp(value, (int)-exponent));
}

/*
 * Collective. Each silo's sum is a double, taken in the order of its rows; only those sums are
 * added exactly. So the mean depends on the silos' rows and not on ranks. Overflow is told later,
 * by an agreement: to leave here would be alone.
 */
static gr_status find_means(struct gr_fitting *fit) {
    gr_status status;
    const size_t n = fit->n;
    int64_t *sums = fit->sums;
    memset(sums, 0, n * GR_FIT_SUMS * sizeof *sums);
    for (size_t i = 0; i < fit->data->n_local; i++) {
        gr_alive_on();
        if (!gr_fit_usable(&fit->data->local[i])) continue;
        gr_fit_sums(fit->treatment, &fit->data->local[i].train, fit->integers, fit->own);
        for (size_t v = 0; v < n; v++) {
            int64_t *sum = sums + v * GR_FIT_SUMS;
            if (!wants_mean(fit, v)) continue;
            sum[0] += fit->integers[v];
            if (!add_scaled(sum + 1, fit->own[v], fit->exponent[v])) fit->overflow = true;
        }
    }
    GR_TRY(gr_release_sum(fit->door, GR_RELEASE_MOMENTS, sums, n * GR_FIT_SUMS));
    for (size_t v = 0; v < n; v++) {
        const int64_t *sum = sums + v * GR_FIT_SUMS;
        fit->count[v] = sum[0];
        if (fit->count[v] == 0 || fit->exponent[v] == NOTHING) continue;
        const long double mean = gr_real_value(sum + 1) / (long double)fit->count[v];
        fit->mean[v] = ldexp((double)mean, (int)fit->exponent[v]);
    }
out:
    return status;
}

static bool is_standardised(const struct gr_fitting *fit, size_t v) {
    return fit->treatment[v].by == GR_SCALE_STANDARDISE && !fit->withheld[v];
}

/* Collective. The power of two above the greatest deviation of each standardised value, into
 * exponent[0 .. n - 1]; of squares, which are added up, the units are squared as well. */
static gr_status find_exponents(struct gr_fitting *fit, int64_t *exponent) {
    const bool asked = any_unbounded(fit, true);
    memset(fit->greatest, 0, fit->n * sizeof *fit->greatest);
    for (size_t i = 0; asked && i < fit->data->n_local; i++) {
        gr_alive_on();
        if (gr_fit_usable(&fit->data->local[i]))
            gr_fit_deviations(fit->treatment, &fit->data->local[i].train, fit->mean, fit->greatest,
                              fit->own);
    }
    for (size_t v = 0; v < fit->n; v++)
        exponent[v] = is_standardised(fit, v) && !is_bounded(fit, v) ? exponent_of(fit->greatest[v])
                                                                     : NOTHING;
    gr_status status =
        asked ? gr_release_max(fit->door, GR_RELEASE_VALUE_EXPONENTS, exponent, fit->n) : GR_OK;
    for (size_t v = 0; v < fit->n; v++)
        if (is_standardised(fit, v) && is_bounded(fit, v)) {
            const double *range = fit->treatment[v].range;
            exponent[v] = exponent_within(range[1] - range[0], RANGE_BITS / 2);
        }
    return status;
}

/*
 * Deviations more than CONSTANT_BITS below the values are rounding: the column is constant, and its
 * deviation 0, not a tiny number to divide by. The divisor is n (population), as in scikit-learn's
 * StandardScaler.
 */
static double deviation_of(const struct gr_fitting *fit, size_t v, const int64_t *sum,
                           int64_t exponent) {
    if (exponent == NOTHING || fit->count[v] == 0) return 0;
    if (!is_bounded(fit, v) && exponent <= fit->exponent[v] - CONSTANT_BITS) return 0;
    const long double mean = gr_real_value(sum) / (long double)fit->count[v];
    return ldexp((double)sqrtl(mean), (int)exponent);
}

/* Collective. Standard deviations, of the population; 0 of a column that is the same everywhere. */
static gr_status find_deviations(struct gr_fitting *fit) {
    gr_status status;
    const size_t n = fit->n;
    int64_t *sums = fit->sums, *exponent = fit->integers;
    memset(sums, 0, n * GR_REAL_WORDS * sizeof *sums);
    GR_TRY(find_exponents(fit, exponent));
    for (size_t i = 0; i < fit->data->n_local; i++) {
        gr_alive_on();
        if (!gr_fit_usable(&fit->data->local[i])) continue;
        gr_fit_deviations(fit->treatment, &fit->data->local[i].train, fit->mean, fit->greatest,
                          fit->own);
        for (size_t v = 0; v < n; v++)
            if (exponent[v] != NOTHING &&
                !add_scaled(sums + v * GR_REAL_WORDS, fit->own[v], 2 * exponent[v]))
                fit->overflow = true;
    }
    GR_TRY(gr_release_sum(fit->door, GR_RELEASE_MOMENTS, sums, n * GR_REAL_WORDS));
    for (size_t v = 0; v < n; v++)
        fit->deviation[v] = deviation_of(fit, v, sums + v * GR_REAL_WORDS, exponent[v]);
out:
    return status;
}

/* ---- what follows --------------------------------------------------------------------------- */

/* Centre and spread of a number's feature, and what stands for a missing one. */
static void conclude_number(const struct gr_fitting *fit, size_t v, double *centre, double *spread,
                            double *fill) {
    const struct gr_treatment *t = &fit->treatment[v];
    *centre = 0;
    *spread = 1;
    if (t->by == GR_SCALE_STANDARDISE) {
        *centre = fit->mean[v];
        *spread = fit->deviation[v];
    } else if (t->by == GR_SCALE_MIN_MAX) {
        *centre = t->ranged ? t->range[0] : fit->low[v];
        *spread = t->ranged ? t->range[1] - t->range[0] : fit->high[v] - fit->low[v];
    }
    *fill = 0;
    if (t->missing == GR_MISSING_MEAN && *spread > 0) *fill = (fit->mean[v] - *centre) / *spread;
}

/* The code that stands for a missing category: the mode, no category at all, or 0. */
static double conclude_category(const struct gr_fitting *fit, size_t v) {
    if (!fit->columns) return 0; /* without columns there are numbers only */
    const struct gr_column *c = &fit->columns->schema->columns[fit->columns->column_of[v]];
    if (c->missing == GR_MISSING_MODE && !fit->withheld[v]) return (double)fit->mode[v];
    /* One-hot: none of them. */
    return c->encode == GR_ENCODE_ONE_HOT || c->missing == GR_MISSING_REFUSE
               ? (double)c->categories_count
               : 0;
}

/* Infinite bounds become the greatest double, which no float32 exceeds. */
static double within_double(double bound) {
    return fmin(fmax(bound, -DBL_MAX), DBL_MAX);
}

/* Rank 0 only. The text is the result: every rank, the model file and a later run read it back. */
static gr_status write_text(const struct gr_fitting *fit, char **out) {
    const unsigned n = (unsigned)fit->n;
    double *low = NULL;
    gr_status status;
    bool clips = false;
    GR_TRY(gr_allocate(5 * fit->n, sizeof *low, "preprocessing", &low));
    struct gr_fit text = {.low = low, .high = low + n, .fill = low + 2 * (size_t)n};
    text.centre = text.fill + n;
    text.spread = text.centre + n;
    text.fill_count = text.centre_count = text.spread_count = n;
    if (fit->columns) text.schema = *fit->columns->schema;
    for (size_t v = 0; v < n; v++) {
        const struct gr_treatment *t = &fit->treatment[v];
        conclude_number(fit, v, &text.centre[v], &text.spread[v], &text.fill[v]);
        if (!t->number) text.fill[v] = conclude_category(fit, v);
        text.low[v] = within_double(t->low);
        text.high[v] = within_double(t->high);
        clips = clips || isfinite(t->low);
    }
    text.low_count = text.high_count = clips ? n : 0;
    status = gr_fit_to_yaml(&text, out);
out:
    gr_free(low);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------ */

/* All memory of a fit at once, and agreed on: no rank then fails between two collectives. */
static gr_status allocate(struct gr_fitting *fit) {
    const size_t n = fit->n;
    gr_status status;
    if (n > GR_FIT_VALUES_MAX)
        return gr_fail(GR_ERROR_CONFIG,
                       "preprocess: found %zu features in a row, allowed at most %d", n,
                       GR_FIT_VALUES_MAX);
    GR_TRY(gr_treatments_create(&fit->config->preprocess, fit->columns, n, &fit->treatment));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->low, "preprocessing", &fit->low));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->high, "preprocessing", &fit->high));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->mean, "preprocessing", &fit->mean));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->deviation, "preprocessing", &fit->deviation));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->count, "preprocessing", &fit->count));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->exponent, "preprocessing", &fit->exponent));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->mode, "preprocessing", &fit->mode));
    GR_TRY(gr_allocate_zero(n, 1, "preprocessing", &fit->withheld));
    GR_TRY(gr_allocate_zero(n, GR_FIT_SUMS * sizeof *fit->sums, "preprocessing", &fit->sums));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->integers, "preprocessing", &fit->integers));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->own, "preprocessing", &fit->own));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->greatest, "preprocessing", &fit->greatest));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->least, "preprocessing", &fit->least));
    GR_TRY(gr_allocate_zero(n, sizeof *fit->most, "preprocessing", &fit->most));
    for (size_t i = 0; i < fit->data->n_local; i++) {
        const struct gr_silo *silo = &fit->data->local[i];
        if (gr_fit_usable(silo))
            GR_TRY(gr_preprocess_check(silo->pseudonym, silo->train.element, silo->train.scale));
    }
out:
    return status;
}

static void release(struct gr_fitting *fit) {
    gr_columns_free(fit->columns);
    gr_free(fit->treatment);
    gr_free(fit->low);
    gr_free(fit->high);
    gr_free(fit->mean);
    gr_free(fit->deviation);
    gr_free(fit->count);
    gr_free(fit->exponent);
    gr_free(fit->mode);
    gr_free(fit->withheld);
    gr_free(fit->sums);
    gr_free(fit->integers);
    gr_free(fit->own);
    gr_free(fit->greatest);
    gr_free(fit->least);
    gr_free(fit->most);
}

/* Withheld values are found first, since they decide about all else that leaves. *text is the
 * caller's, the same on all ranks; NULL after a failure. */
gr_status gr_cohort_fit(struct gr_cohort *cohort, char **text) {
    struct gr_fitting fit = {
        .comm = cohort->comm, .door = cohort->door, .config = cohort->config, .data = cohort->data};
    gr_status status;
    *text = NULL;
    GR_TRY(gr_dictionary_share_columns(&fit));
    fit.n = fit.columns ? fit.columns->n_values : cohort->data->n_features;
    GR_TRY(gr_comm_agree(cohort->comm, allocate(&fit)));
    GR_TRY(gr_fit_find_withheld(&fit));
    GR_TRY(find_spread(&fit));
    if (gr_release_leaves(GR_RELEASE_MOMENTS, cohort->config)) {
        GR_TRY(find_means(&fit));
        GR_TRY(find_deviations(&fit));
    }
    GR_TRY(gr_comm_agree(cohort->comm, fit.overflow
                                           ? gr_fail(GR_ERROR_DATA, "preprocessing: sums are "
                                                                    "too large")
                                           : GR_OK));
    gr_inject_fault(cohort, 0, GR_POINT_DICTIONARY);
    GR_TRY(gr_dictionary_find_categories(&fit));
    GR_TRY(gr_fit_noised_statistics(&fit, cohort));
    GR_TRY(gr_comm_agree(cohort->comm,
                         gr_comm_rank(cohort->comm) == 0 ? write_text(&fit, text) : GR_OK));
    gr_free(cohort->withheld);
    cohort->withheld = fit.withheld;
    /* Statistics that nobody charged were not asked for. */
    const bool asked =
        cohort->options.charge || !gr_release_leaves(GR_RELEASE_NOISED_STATISTICS, cohort->config);
    cohort->n_withheld = asked ? fit.n : 0;
    fit.withheld = NULL;
    /* Rank 0's, should another kind of processor have rounded otherwise. */
    status = gr_comm_broadcast_text(cohort->comm, text, GR_CONFIG_TEXT_MAX);
out:
    release(&fit);
    if (status != GR_OK) {
        gr_free(*text);
        *text = NULL;
    }
    return status;
}
