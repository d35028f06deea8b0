/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Disclosure control of scores over rows that silos hold out: small cells of the confusion matrix
 * and small bins of the reliability table are withheld, with as many more as it takes that nothing
 * follows by subtraction from the totals (primary and complementary cell suppression: Hundepool et
 * al. 2012, Statistical Disclosure Control, chapter 4); metrics are told with few digits, and
 * beside withheld cells in steps so wide that the cells cannot be solved for.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "metric/accumulator.h"

/* By way of decimal text, which is how the value is shown: rounding in binary (times 10^k, rint,
 * divided) leaves digits behind the last in some values. */
double gr_round_digits(double value, uint32_t digits) {
    char text[40];
    if (digits == 0 || digits >= 17 || !isfinite(value)) return value;
    snprintf(text, sizeof text, "%.*e", (int)digits - 1, value);
    return strtod(text, NULL);
}

double gr_share_step(int64_t rows, uint32_t least) {
    const double share = (double)least / (double)rows;
    if (least < 2) return 0;
    if (!(share <= 0.5)) return 1;
    double step = pow(10, floor(log10(share)));
    for (size_t i = 0; step < share * (1 - 1e-12); i++)
        step *= i % 3 == 1 ? 2.5 : 2; /* 1, 2, 5, 10 */
    return step;
}

double gr_round_step(double value, double step) {
    if (!(step > 0) || !isfinite(value)) return value;
    if (!(step < 1)) return (double)NAN;
    /* A step is at most one digit: its multiples are those that decimal text has. */
    return gr_round_digits(rint(value / step) * step, 15);
}

/* ---- lines of a table ----------------------------------------------------------------------- */

/* The cells of a row, of a column, or of the whole table. */
struct cells {
    const int64_t *count;
    size_t count_step; /* from one cell's count to the next one's */
    uint8_t *withheld;
    size_t flag_step;
    size_t n;
};

static int64_t count_of(const struct cells *cells, size_t i) {
    return cells->count[i * cells->count_step];
}

/* The least cell that is told and has rows; where there is none, a told one without rows; n: all
 * are withheld. */
static size_t least_told(const struct cells *cells) {
    size_t least = cells->n;
    for (size_t i = 0; i < cells->n; i++) {
        if (cells->withheld[i * cells->flag_step]) continue;
        const bool better =
            least == cells->n ||
            (count_of(cells, i) > 0 &&
             (count_of(cells, least) == 0 || count_of(cells, i) < count_of(cells, least)));
        if (better) least = i;
    }
    return least;
}

/* Whether withheld cells follow from the others and the line's total, closely enough: one alone, or
 * together fewer than `rows`. */
static bool follows(const struct cells *cells, int64_t rows) {
    size_t n = 0;
    int64_t sum = 0;
    for (size_t i = 0; i < cells->n; i++) {
        if (!cells->withheld[i * cells->flag_step]) continue;
        n++;
        sum += count_of(cells, i);
    }
    return n == 1 || (n > 1 && sum > 0 && sum < rows);
}

/* Withholds more of the line until none follows; whether it did. */
static bool withhold_more(const struct cells *cells, int64_t rows) {
    bool more = false;
    while (follows(cells, rows)) {
        const size_t least = least_told(cells);
        if (least == cells->n) break;
        cells->withheld[least * cells->flag_step] = 1;
        more = true;
    }
    return more;
}

/* Withholds the cells of 1 to rows - 1 rows. A cell without rows tells of nobody. */
static bool withhold_small(const struct cells *cells, int64_t rows) {
    bool any = false;
    for (size_t i = 0; i < cells->n; i++) {
        if (count_of(cells, i) == 0 || count_of(cells, i) >= rows) continue;
        cells->withheld[i * cells->flag_step] = 1;
        any = true;
    }
    return any;
}

/* ---- the two tables ------------------------------------------------------------------------- */

/*
 * Until a pass over the table, its rows and its columns changes nothing: a cell that is withheld
 * for its row may leave its column with one gap. It ends, as each pass withholds one more cell at
 * least.
 */
static void withhold_confusion(struct gr_accumulator *t, int64_t rows) {
    const size_t c = t->classes;
    const struct cells all = {t->confusion, 1, t->withheld, 1, c * c};
    bool more = withhold_small(&all, rows);
    while (more) {
        more = withhold_more(&all, rows);
        for (size_t i = 0; i < c; i++) {
            const struct cells row = {t->confusion + i * c, 1, t->withheld + i * c, 1, c};
            const struct cells column = {t->confusion + i, c, t->withheld + i, c, c};
            more |= withhold_more(&row, rows);
            more |= withhold_more(&column, rows);
        }
    }
}

static void withhold_reliability(struct gr_accumulator *t, int64_t rows) {
    const struct cells bins = {t->reliability + GR_BIN_ROWS, GR_BIN_SUMS,
                               t->withheld + gr_confusion_cells(t), 1, GR_RELIABILITY_BINS};
    if (withhold_small(&bins, rows)) (void)withhold_more(&bins, rows);
}

gr_status gr_accumulator_disclose(struct gr_accumulator *t, uint32_t rows, uint32_t digits) {
    const size_t cells = gr_confusion_cells(t), n = cells + GR_RELIABILITY_BINS;
    gr_status status = GR_OK;
    t->digits = digits;
    t->least = rows;
    if (t->classes == 0 || rows < 2) return GR_OK;
    if (!t->withheld) GR_TRY(gr_allocate_zero(n, 1, "an accumulator", &t->withheld));
    /* Of rows with weights the matrix holds weights, which do not say how many rows they are of. */
    for (size_t i = 0; i < n; i++)
        t->withheld[i] = i < cells && gr_has_weights(t);
    if (cells > 0) withhold_confusion(t, (int64_t)rows * GR_WEIGHT_ONE);
    withhold_reliability(t, rows);
    /* Where there is no matrix its cells, of more than 100 classes, are small. */
    t->stepped = cells == 0 || memchr(t->withheld, 1, cells);
out:
    return status;
}

/* The bounds go outwards, so that they still enclose the value. */
static void in_steps(struct gr_metric_value *v, double step) {
    if (!(step < 1)) {
        const double none = (double)NAN;
        *v = (struct gr_metric_value){none, none, none, gr_reason_text[GR_FEW_ROWS]};
        return;
    }
    const bool bounded = v->lower < v->upper;
    v->value = gr_round_step(v->value, step);
    v->lower = bounded ? gr_round_step(floor(v->lower / step) * step, step) : v->value;
    v->upper = bounded ? gr_round_step(ceil(v->upper / step) * step, step) : v->value;
}

struct gr_metric_value gr_metric_told(const struct gr_accumulator *t, struct gr_metric_value v,
                                      bool stepped, double basis) {
    /* Below 2^53 rows; what is less than a row hides nothing. */
    if (stepped && !isnan(v.lower)) in_steps(&v, gr_share_step((int64_t)basis, t->least));
    v.value = gr_round_digits(v.value, t->digits);
    v.lower = gr_round_digits(v.lower, t->digits);
    v.upper = gr_round_digits(v.upper, t->digits);
    return v;
}

enum { COARSE_DIGITS = 2 };

struct gr_metric_value gr_accumulator_metric(const struct gr_accumulator *t, unsigned metric) {
    const struct gr_metric_value v = gr_metric_exact(t, metric);
    const bool stepped =
        t->stepped && metric < gr_metric_count && gr_metric_rows[metric].counted && !isnan(v.lower);
    double basis = (double)t->sums[GR_ROWS];
    if (stepped && gr_metric_rows[metric].basis)
        basis = fmin(basis, gr_metric_rows[metric].basis(t));
    struct gr_metric_value told = gr_metric_told(t, v, stepped, basis);
    if (!t->stepped || metric >= gr_metric_count || !gr_metric_rows[metric].coarse || told.why)
        return told;
    if (!(gr_share_step(t->sums[GR_ROWS], t->least) < 1)) return gr_metric_undefined(GR_FEW_ROWS);
    return gr_metric_defined(gr_round_digits(told.value, COARSE_DIGITS));
}
