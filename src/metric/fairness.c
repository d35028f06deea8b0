/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Fairness over the groups of a slicing, from the shares that are told of them: nothing is known
 * afterwards that the groups' figures do not tell.
 */
#include <granary/slices.h>

#include <math.h>
#include <string.h>

static const char *const names[GR_FAIRNESS_MEASURES] = {
    [GR_DEMOGRAPHIC_PARITY] = "demographic_parity", [GR_EQUAL_OPPORTUNITY] = "equal_opportunity",
    [GR_EQUALIZED_ODDS] = "equalized_odds",         [GR_PREDICTIVE_PARITY] = "predictive_parity",
    [GR_DISPARATE_IMPACT] = "disparate_impact",
};

const char *gr_fairness_name(enum gr_fairness_measure measure) {
    return names[measure];
}

bool gr_fairness_parse(const char *text, enum gr_fairness_measure *measure, bool *ratio) {
    for (int m = 0; m < GR_FAIRNESS_MEASURES; m++) {
        const size_t n = strlen(names[m]);
        if (strncmp(text, names[m], n) != 0) continue;
        *measure = (enum gr_fairness_measure)m;
        *ratio = strcmp(text + n, "_ratio") == 0;
        return *ratio || (m != GR_DISPARATE_IMPACT && strcmp(text + n, "_difference") == 0);
    }
    return false;
}

/* ---- intervals ------------------------------------------------------------------------------ */

/* Wilson (1927): the shares that a normal law does not find too far from x of n. */
static struct gr_interval wilson(struct gr_share_of s) {
    const double z = 1.959963984540054, z2 = z * z / s.rows;
    const double middle = (s.share + z2 / 2) / (1 + z2);
    const double half = z / (1 + z2) * sqrt(s.share * (1 - s.share) / s.rows + z2 / (4 * s.rows));
    return (struct gr_interval){s.share > 0 ? fmax(middle - half, 0) : 0,
                                s.share < 1 ? fmin(middle + half, 1) : 1};
}

struct gr_interval gr_difference_interval(struct gr_share_of a, struct gr_share_of b) {
    const struct gr_interval of_a = wilson(a), of_b = wilson(b);
    const double difference = a.share - b.share;
    return (struct gr_interval){difference - hypot(a.share - of_a.lower, of_b.upper - b.share),
                                difference + hypot(of_a.upper - a.share, b.share - of_b.lower)};
}

/* A limit of a / b, by those of a and b that make the ratio small, or large. */
static double ratio_limit(double a, double b, double a_limit, double b_limit, bool upper) {
    const double product = a * b;
    const double below = b_limit * (2 * b - b_limit);
    const double root = sqrt(fmax(product * product - a_limit * (2 * a - a_limit) * below, 0));
    return (product + (upper ? root : -root)) / below;
}

struct gr_interval gr_ratio_interval(struct gr_share_of a, struct gr_share_of b) {
    const struct gr_interval of_a = wilson(a), of_b = wilson(b);
    if (!(b.share > 0)) return (struct gr_interval){(double)NAN, (double)NAN};
    return (struct gr_interval){
        fmax(ratio_limit(a.share, b.share, of_a.lower, of_b.upper, false), 0),
        ratio_limit(a.share, b.share, of_a.upper, of_b.lower, true)};
}

/* ---- one share ------------------------------------------------------------------------------ */

/* A share over the groups of a slicing. */
struct spread {
    struct gr_slice_value low, high;
    double low_least, low_most, high_least, high_most; /* what the lowest and the highest may be */
    uint32_t low_of, high_of, n;
    const char *why;
    uint32_t why_of;
};

/* What speaks of errors, the false positive rate, is 1 less the specificity. */
static struct gr_slice_value share_of(const struct gr_slice_scores *s, uint32_t group,
                                      enum gr_slice_figure figure, bool rest) {
    struct gr_slice_value v = gr_slice_told(s, group, figure);
    const double lower = v.lower;
    if (!rest) return v;
    v.value = 1 - v.value;
    v.lower = 1 - v.upper;
    v.upper = 1 - lower;
    return v;
}

/* A group without rows is none. */
static struct spread spread_of(const struct gr_slice_scores *s, const struct gr_slicing *slicing,
                               enum gr_slice_figure figure, bool rest) {
    struct spread out = {.why_of = UINT32_MAX};
    for (uint32_t g = slicing->first; g < slicing->first + slicing->n && !out.why; g++) {
        if (s->withheld[g] || s->total[g].rows == 0) continue;
        const struct gr_slice_value v = share_of(s, g, figure, rest);
        if (v.why) {
            out.why = v.why;
            out.why_of = g;
            break;
        }
        if (out.n == 0 || v.value < out.low.value) {
            out.low = v;
            out.low_of = g;
        }
        if (out.n == 0 || v.value > out.high.value) {
            out.high = v;
            out.high_of = g;
        }
        if (out.n == 0) {
            out.low_least = out.high_least = v.lower;
            out.low_most = out.high_most = v.upper;
        }
        out.low_least = fmin(out.low_least, v.lower);
        out.low_most = fmin(out.low_most, v.upper);
        out.high_least = fmax(out.high_least, v.lower);
        out.high_most = fmax(out.high_most, v.upper);
        out.n++;
    }
    if (!out.why && out.n < 2) out.why = "fewer than two groups are told";
    return out;
}

/* Shares may be anywhere in their steps; the lowest is not above the highest. */
static void set_interval(const struct spread *spread, bool ratio, struct gr_fairness_value *out) {
    const struct gr_slice_value *low = &spread->low, *high = &spread->high;
    if (!(low->rows > 0) || !(high->rows > 0)) return;
    if (ratio) {
        out->lower = gr_ratio_interval((struct gr_share_of){low->lower, low->rows},
                                       (struct gr_share_of){high->upper, high->rows})
                         .lower;
        out->upper = fmin(gr_ratio_interval((struct gr_share_of){low->upper, low->rows},
                                            (struct gr_share_of){high->lower, high->rows})
                              .upper,
                          1);
        return;
    }
    out->lower = fmax(gr_difference_interval((struct gr_share_of){high->lower, high->rows},
                                             (struct gr_share_of){low->upper, low->rows})
                          .lower,
                      0);
    out->upper = gr_difference_interval((struct gr_share_of){high->upper, high->rows},
                                        (struct gr_share_of){low->lower, low->rows})
                     .upper;
}

static struct gr_fairness_value compare(const struct gr_slice_scores *s,
                                        const struct gr_slicing *slicing,
                                        enum gr_slice_figure figure, bool rest, bool ratio) {
    const struct spread spread = spread_of(s, slicing, figure, rest);
    struct gr_fairness_value out = {.value = (double)NAN,
                                    .lower = (double)NAN,
                                    .upper = (double)NAN,
                                    .low = spread.low_of,
                                    .high = spread.high_of,
                                    .why = spread.why,
                                    .why_of = spread.why_of};
    if (out.why) return out;
    if (ratio && !(spread.high.value > 0)) {
        out.why = "the share is 0 in all groups";
        return out;
    }
    out.value = ratio ? spread.low.value / spread.high.value : spread.high.value - spread.low.value;
    out.least =
        ratio ? spread.low_least / spread.high_most : fmax(spread.high_least - spread.low_most, 0);
    out.most =
        ratio ? fmin(spread.low_most / spread.high_least, 1) : spread.high_most - spread.low_least;
    set_interval(&spread, ratio, &out);
    return out;
}

/* ---- the measures --------------------------------------------------------------------------- */

struct gr_fairness_value gr_fairness(const struct gr_slice_scores *s, size_t slicing,
                                     enum gr_fairness_measure measure, bool ratio) {
    static const enum gr_slice_figure figure[] = {[GR_DEMOGRAPHIC_PARITY] = GR_SLICE_SELECTION_RATE,
                                                  [GR_EQUAL_OPPORTUNITY] = GR_SLICE_SENSITIVITY,
                                                  [GR_EQUALIZED_ODDS] = GR_SLICE_SENSITIVITY,
                                                  [GR_PREDICTIVE_PARITY] = GR_SLICE_PPV,
                                                  [GR_DISPARATE_IMPACT] = GR_SLICE_SELECTION_RATE};
    const struct gr_slicing *of = &s->slicings->list[slicing];
    const struct gr_fairness_value first = compare(s, of, figure[measure], false, ratio);
    if (measure != GR_EQUALIZED_ODDS || first.why) return first;
    const struct gr_fairness_value other = compare(s, of, GR_SLICE_SPECIFICITY, true, ratio);
    const bool worse = ratio ? other.value < first.value : other.value > first.value;
    return other.why || worse ? other : first;
}
