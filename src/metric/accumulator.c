/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory of accumulators: layout, growth, adding. All sums lie in one vector of integers, so
 * that adding accumulators, in a process or over processes, knows nothing of metrics. Formulas are
 * in metric_rows.c, rows of classifiers in classes.c.
 */
#include "metric/accumulator.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- room ----------------------------------------------------------------------------------- */

enum { BINS_OF_TWO = 16384, BINS_OF_ALL = 16384 };

/* Fewer for each of many classes, so that all of them stay within a quarter of a mebibyte. */
static size_t count_bins(size_t classes) {
    size_t bins = BINS_OF_TWO;
    while (classes > 2 && bins * classes > BINS_OF_ALL)
        bins /= 2;
    return bins;
}

/* The next `n` sums. With sums == NULL only their number is found. */
static int64_t *take(struct gr_accumulator *t, size_t n) {
    int64_t *at = t->sums ? t->sums + t->n : NULL;
    t->n += n;
    return at;
}

/*
 * Called twice: without memory it counts the sums, with memory it sets the pointers into it. The
 * order is that of accumulator.h; the parts that the AUC alone needs are last, so that a prefix is
 * added where it is not wanted.
 */
static void lay_out(struct gr_accumulator *t) {
    const size_t c = t->classes;
    t->n = 0;
    (void)take(t, GR_HEAD);
    if (c == 0) {
        t->numbers = take(t, (GR_DEVIANCE + (size_t)1) * GR_REAL_WORDS);
        return;
    }
    t->log_loss = take(t, GR_REAL_WORDS);
    t->brier = take(t, GR_REAL_WORDS);
    t->reliability = take(t, (size_t)GR_RELIABILITY_BINS * GR_BIN_SUMS);
    t->by_class = take(t, c * GR_CLASS_SUMS);
    if (c > 3) t->top = take(t, GR_TOPS);
    if (c == 2) t->expected = take(t, GR_REAL_WORDS);
    if (c > GR_CONFUSION_CLASSES_MAX) return;
    t->confusion = take(t, c * c);
    t->n_wanted = t->n;
    if (c == 2) t->scores = take(t, (size_t)2 * GR_REAL_WORDS);
    if (c == 2) t->decisions = take(t, (size_t)2 * (GR_DECISIONS + 1));
    t->n_scores = t->n - t->n_wanted;
    t->n_scored = c == 1 ? 0 : c == 2 ? 1 : c;
    t->bins = count_bins(c);
    t->histograms = take(t, 2 * t->n_scored * t->bins);
    if (c == 2) t->bounds = take(t, 2 * t->bins);
}

gr_status gr_accumulator_create(size_t classes, struct gr_accumulator **out) {
    gr_status status = GR_OK;
    struct gr_accumulator *t = NULL;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *t, "an accumulator", &t));
    t->classes = classes;
    lay_out(t);
    GR_TRY(gr_allocate_zero(t->n, sizeof *t->sums, "an accumulator", &t->sums));
    GR_TRY(gr_allocate_zero(classes, sizeof *t->exponentials, "an accumulator", &t->exponentials));
    lay_out(t);
    if (t->bounds)
        GR_TRY(gr_allocate_zero(t->bins, sizeof *t->score_bins, "an accumulator", &t->score_bins));
    *out = t;
    t = NULL;
out:
    gr_accumulator_free(t);
    return status;
}

/* Room for n elements of `size` bytes, in place of `used` of them, which stay; *room: that there
 * is. Doubled, so that rows that come one by one are copied twice at most on average. */
static gr_status make_room(void **elements, size_t size, size_t used, size_t n, size_t *room) {
    void *grown;
    size_t wanted = *room ? *room : 1024;
    if (n <= *room) return GR_OK;
    while (wanted < n)
        wanted *= 2;
    gr_status status = gr_allocate(wanted, size, "scores of rows", &grown);
    if (status != GR_OK) return status;
    if (used > 0) memcpy(grown, *elements, used * size);
    gr_free(*elements);
    *elements = grown;
    *room = wanted;
    return GR_OK;
}

static gr_status make_kept(struct gr_accumulator *t, size_t n) {
    void *kept = t->kept;
    const gr_status status = make_room(&kept, sizeof *t->kept, t->n_kept, n, &t->kept_room);
    t->kept = kept;
    return status;
}

static gr_status make_rows(struct gr_accumulator *t, size_t n) {
    void *rows = t->rows;
    const gr_status status = make_room(&rows, sizeof *t->rows, t->n_rows, n, &t->rows_room);
    t->rows = rows;
    return status;
}

void gr_accumulator_keep_rows(struct gr_accumulator *t) {
    t->keeps_rows = !t->bounds; /* of two classes they are kept anyway */
}

size_t gr_accumulator_kept(const struct gr_accumulator *t) {
    return t->bounds ? t->n_kept : t->n_rows;
}

gr_status gr_accumulator_keep_row(struct gr_accumulator *t, struct gr_kept_row row) {
    if (!t->keeps_rows || t->without_auc) return GR_OK;
    const gr_status status = make_rows(t, t->n_rows + 1);
    if (status == GR_OK) t->rows[t->n_rows++] = row;
    return status;
}

static float clamp(double log_odds) {
    return (float)fmin(fmax(log_odds, -(double)FLT_MAX), (double)FLT_MAX);
}

float gr_kept_log_odds(const float logits[2]) {
    return clamp((double)logits[1] - (double)logits[0]);
}

/* The place is taken from the
 * float that is kept, so that the mean of places is that of the rows which are binned later. */
gr_status gr_accumulator_keep(struct gr_accumulator *t, double log_odds, bool label,
                              int64_t units) {
    const double w = (double)units / (double)GR_WEIGHT_ONE;
    const float x = clamp(log_odds);
    const double place = gr_place_of(x);
    gr_status status = make_kept(t, t->n_kept + 1);
    if (status != GR_OK) return status;
    t->kept[t->n_kept++] = (struct gr_kept_score){x, (int32_t)(2 * units + label)};
    if (!gr_real_add(t->scores, w * place) ||
        !gr_real_add(t->scores + GR_REAL_WORDS, w * place * place))
        return GR_ERROR_DATA; /* never: they are within 1 */
    return GR_OK;
}

void gr_accumulator_free(struct gr_accumulator *t) {
    if (!t) return;
    gr_free(t->withheld);
    gr_free(t->rows);
    gr_free(t->kept);
    gr_free(t->score_bins);
    gr_free(t->recalibrated);
    gr_free(t->exponentials);
    gr_free(t->sums);
    gr_free(t);
}

void gr_accumulator_clear(struct gr_accumulator *t, bool with_auc) {
    memset(t->sums, 0, t->n * sizeof *t->sums);
    t->without_auc = !with_auc;
    t->without_bounds = false;
    t->n_kept = t->n_rows = 0;
    gr_free(t->withheld);
    t->withheld = NULL;
    t->digits = t->least = 0;
    t->stepped = false;
    t->calibration = (struct gr_calibration){0};
}

/* Sums of rows, in front of the bins; of many classes the bins' counts are such sums as well. */
static size_t count_sums(const struct gr_accumulator *t) {
    if (t->n_scored == 0) return t->n;
    return t->n_wanted + (t->without_auc ? 0 : t->n_scores);
}

/* Of two classes the rows themselves are handed on, not their bins: bins are laid once all rows are
 * known, and bins of one silo's spread do not fit another's. */
gr_status gr_accumulator_add(struct gr_accumulator *t, const struct gr_accumulator *other) {
    gr_status status = GR_OK;
    const size_t n = t->bounds || t->without_auc ? count_sums(t) : t->n;
    for (size_t i = 0; i < n; i++)
        t->sums[i] += other->sums[i];
    GR_TRY(make_kept(t, t->n_kept + other->n_kept));
    for (size_t i = 0; i < other->n_kept; i++)
        t->kept[t->n_kept++] = other->kept[i];
    GR_TRY(make_rows(t, t->n_rows + other->n_rows));
    for (size_t i = 0; i < other->n_rows; i++)
        t->rows[t->n_rows++] = other->rows[i];
out:
    return status;
}

size_t gr_accumulator_classes(const struct gr_accumulator *t) {
    return t->classes;
}

int64_t gr_accumulator_rows(const struct gr_accumulator *t) {
    return t->sums[GR_ROWS];
}

gr_status gr_accumulator_recalibrate(struct gr_accumulator *t,
                                     const struct gr_recalibration *recalibration) {
    gr_status status = GR_OK;
    if (recalibration && !t->recalibrated)
        status = gr_allocate(t->classes, sizeof *t->recalibrated, "a row", &t->recalibrated);
    if (status == GR_OK) t->recalibration = recalibration;
    return status;
}

void gr_accumulator_set_exponent(struct gr_accumulator *t, int exponent) {
    t->exponent = exponent;
}

int64_t *gr_accumulator_sums(struct gr_accumulator *t, size_t *n) {
    *n = count_sums(t);
    return t->sums;
}

int64_t *gr_accumulator_counts(struct gr_accumulator *t, size_t *n) {
    *n = t->without_auc ? 0 : 2 * t->n_scored * t->bins;
    return t->histograms;
}

int64_t *gr_accumulator_bounds(struct gr_accumulator *t, size_t *n) {
    *n = t->without_auc || !t->bounds ? 0 : 2 * t->bins;
    return t->bounds;
}

/* ---- rows of numbers ------------------------------------------------------------------------ */

/* Rows without a deviance are counted; one of them makes the mean undefined. */
static bool add_deviance(struct gr_accumulator *t, double f, double y, double w) {
    if (!(f > 0) || y < 0) {
        t->sums[GR_NO_DEVIANCE] += w > 0;
        return true;
    }
    const double part = y > 0 ? y * log(y / f) : 0;
    return gr_real_add(t->numbers + (size_t)GR_DEVIANCE * GR_REAL_WORDS, w * (2 * (part - y + f)));
}

/* Sums reach 2^70: squares of numbers within 2^34, times a weight of at most 1. A row that fails
 * leaves sums that are half added, which is why the accumulator is void. */
static gr_status add_number(struct gr_accumulator *t, double f, double y, int64_t units) {
    const double w = (double)units / (double)GR_WEIGHT_ONE;
    const double values[] = {[GR_SQUARED] = (f - y) * (f - y),
                             [GR_ABSOLUTE] = fabs(f - y),
                             [GR_TARGET] = y,
                             [GR_TARGET_SQUARED] = y * y};
    bool good = add_deviance(t, f, y, w);
    for (size_t k = 0; k < GR_DEVIANCE; k++)
        good = gr_real_add(t->numbers + k * GR_REAL_WORDS, w * values[k]) && good;
    if (!good)
        return gr_fail(GR_ERROR_DATA,
                       "row %lld: found prediction %g, target %g, expected numbers within +-2^34",
                       (long long)t->sums[GR_ROWS], f, y);
    t->sums[GR_ROWS]++;
    t->sums[GR_WEIGHT] += units;
    return gr_accumulator_keep_row(
        t, (struct gr_kept_row){.value = {(float)f, (float)y}, .weight = (int32_t)units});
}

gr_status gr_accumulator_add_numbers(struct gr_accumulator *t, const float *predictions,
                                     const float *targets, const float *weights, size_t n) {
    gr_status status = GR_OK;
    for (size_t i = 0; i < n; i++)
        GR_TRY(
            add_number(t, (double)predictions[i], (double)targets[i], gr_weight_units(weights, i)));
out:
    return status;
}
