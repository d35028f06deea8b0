/* SPDX-License-Identifier: Apache-2.0 */
/* Of each row all replicates are drawn at once, so that the loops are over replicates, one next to
 * the other: there the compiler has vectors, once for each instruction set, with the same bits. */
#include "metric/replicates.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "metric/accumulator.h"
#include "privacy/key_stream.h"

enum {
    VALUES_MAX = 4,
    PIECE = 1 << 16,  /* bytes of a stream that are made at once */
    BLOCK = 64,       /* of a stream */
    BLOCK_BITS = 20,  /* rows of one key */
    FINE_BITS = 8,    /* of a value's mean */
    FINEST = 1 << 28, /* so that eight of it are an int32_t */
    LEFT_OUT_PARTS = 20
};

/* What is summed of real numbers, in the order of the sums. */
enum { LOSS, BRIER, EXPECTED };
enum { SQUARED, ABSOLUTE, TARGET, TARGET_SQUARED };

struct gr_replicates {
    size_t classes, n;
    size_t room;                /* n, or more: whole vectors */
    size_t cells, bins, values; /* sums of a replicate */
    int64_t *sums;              /* of each cell, bin and value `room` of them; owned */
    size_t stride;              /* bytes of a row's numbers: of all replicates, and of values */
    uint16_t *numbers, *draws;  /* owned: a piece's, and a row's */
    double grid[VALUES_MAX];
    double target;         /* the mean of targets */
    double middle, spread; /* by which an accumulator's bins lie */
    uint8_t *bin_of;       /* of each of these its bin here; owned; NULL: there is no AUC */
    double area[GR_REPLICATE_BINS]; /* share of a bin's pairs that are in order, ties half */
    struct gr_accumulator *one;     /* a replicate's, for the formulas; owned */
    double *defined;                /* n of each metric; owned */
};

/* ---- vectors ------------------------------------------------------------------------------------
 */

/* 65536 times the chance of at most 0, 1 .. 7. */
static inline void draw(const uint16_t *restrict numbers, uint16_t *restrict draws, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const uint16_t u = numbers[i];
        draws[i] = (uint16_t)((u >= 24109) + (u >= 48219) + (u >= 60273) + (u >= 64292) +
                              (u >= 65296) + (u >= 65497) + (u >= 65531) + (u >= 65535));
    }
}

static inline void add(int64_t *restrict sums, const uint16_t *restrict draws, int32_t value,
                       size_t n) {
    for (size_t i = 0; i < n; i++) {
        const int32_t product = draws[i] * value;
        sums[i] += product;
    }
}

/* NOLINTBEGIN(bugprone-macro-parentheses): neither an attribute nor a name can stand in them */
#define DEFINE(name, isa)                                                                          \
    isa static void draw_##name(const uint16_t *numbers, uint16_t *draws, size_t n) {              \
        draw(numbers, draws, n);                                                                   \
    }                                                                                              \
    isa static void add_##name(int64_t *sums, const uint16_t *draws, int32_t value, size_t n) {    \
        add(sums, draws, value, n);                                                                \
    }
/* NOLINTEND(bugprone-macro-parentheses) */

#if defined(__x86_64__)
DEFINE(avx512, __attribute__((target("avx512f,avx512bw,avx2"))))
DEFINE(avx2, __attribute__((target("avx2"))))
#endif
DEFINE(portable, )

void gr_poisson_draws(const uint16_t *numbers, uint16_t *draws, size_t n) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw")) {
        draw_avx512(numbers, draws, n);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        draw_avx2(numbers, draws, n);
        return;
    }
#endif
    draw_portable(numbers, draws, n);
}

static void add_draws(int64_t *sums, const uint16_t *draws, int32_t value, size_t n) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512bw")) {
        add_avx512(sums, draws, value, n);
        return;
    }
    if (__builtin_cpu_supports("avx2")) {
        add_avx2(sums, draws, value, n);
        return;
    }
#endif
    add_portable(sums, draws, value, n);
}

/* ---- making --------------------------------------------------------------------------------- */

static void lay_out(struct gr_replicates *r, size_t classes, size_t n) {
    r->classes = classes;
    r->n = n;
    r->room = (n + GR_DRAWS_AT_ONCE - 1) / GR_DRAWS_AT_ONCE * GR_DRAWS_AT_ONCE;
    r->cells = classes > 0 ? classes * classes : 1;
    r->bins = classes == 2 ? 2 * GR_REPLICATE_BINS : 0;
    r->values = classes == 0 ? TARGET_SQUARED + 1 : classes == 2 ? EXPECTED + 1 : BRIER + 1;
    r->stride = ((r->room + r->values) * sizeof(uint16_t) + BLOCK - 1) / BLOCK * BLOCK;
}

static size_t count_sums(const struct gr_replicates *r) {
    return (r->cells + r->bins + r->values) * r->room;
}

size_t gr_replicates_bytes(size_t classes, size_t n) {
    struct gr_replicates r = {0};
    if (classes > GR_CONFUSION_CLASSES_MAX) return SIZE_MAX;
    lay_out(&r, classes, n);
    return count_sums(&r) * sizeof *r.sums;
}

gr_status gr_replicates_create(size_t classes, size_t n, struct gr_replicates **out) {
    struct gr_replicates *r = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *r, "replicates", &r));
    lay_out(r, classes, n);
    const size_t piece = r->stride > PIECE ? r->stride : PIECE;
    GR_TRY(gr_allocate_zero(count_sums(r), sizeof *r->sums, "replicates", &r->sums));
    GR_TRY(gr_allocate(piece, 1, "replicates", &r->numbers));
    GR_TRY(gr_allocate(r->room, sizeof *r->draws, "replicates", &r->draws));
    GR_TRY(gr_allocate(GR_METRICS_MAX * n, sizeof *r->defined, "replicates", &r->defined));
    GR_TRY(gr_accumulator_create(classes, &r->one));
    if (r->bins > 0)
        GR_TRY(gr_allocate_zero(r->one->bins, sizeof *r->bin_of, "replicates", &r->bin_of));
    *out = r;
    r = NULL;
out:
    gr_replicates_free(r);
    return status;
}

void gr_replicates_free(struct gr_replicates *r) {
    if (!r) return;
    gr_free(r->bin_of);
    gr_accumulator_free(r->one);
    gr_free(r->defined);
    gr_free(r->draws);
    gr_free(r->numbers);
    gr_free(r->sums);
    gr_free(r);
}

/* ---- bins and grids ----------------------------------------------------------------------------
 */

/* The mean of what rows add to a sum, weights and all, times 2^-8, and a power of two: the same on
 * all processes, for sums are. By the mean of a weight it would be far above what most rows add
 * where a few weigh much more than the others. */
static double grid_of(long double sum, int64_t rows) {
    const double mean = rows > 0 ? (double)(sum / (long double)rows) : 0;
    return mean > 0 && isfinite(mean) ? ldexp(1, ilogb(mean) - FINE_BITS) : 1;
}

static void lay_grids(struct gr_replicates *r, const struct gr_accumulator *total) {
    const long double weight = gr_weight_of(total->sums[GR_WEIGHT]);
    const int64_t rows = total->sums[GR_ROWS];
    if (r->classes > 0) {
        r->grid[LOSS] = grid_of(gr_real_value(total->log_loss), rows);
        r->grid[BRIER] = grid_of(gr_real_value(total->brier), rows);
        if (total->expected) r->grid[EXPECTED] = grid_of(gr_real_value(total->expected), rows);
        return;
    }
    const int64_t *sums = total->numbers;
    const long double mean =
        weight > 0 ? gr_real_value(sums + (size_t)GR_TARGET * GR_REAL_WORDS) / weight : 0;
    const long double square = gr_real_value(sums + (size_t)GR_TARGET_SQUARED * GR_REAL_WORDS);
    const long double spread = square - weight * mean * mean;
    r->target = (double)mean;
    r->grid[SQUARED] = grid_of(gr_real_value(sums + (size_t)GR_SQUARED * GR_REAL_WORDS), rows);
    r->grid[ABSOLUTE] = grid_of(gr_real_value(sums + (size_t)GR_ABSOLUTE * GR_REAL_WORDS), rows);
    r->grid[TARGET_SQUARED] = grid_of(spread, rows);
    r->grid[TARGET] = grid_of(weight > 0 && spread > 0 ? sqrtl(spread * weight) : 0, rows);
}

/*
 * Bins of the accumulator are put together until each has as many rows of either class, in shares
 * of the class, as any other, so that few pairs are within one.
 */
static void lay_bins(struct gr_replicates *r, const struct gr_accumulator *total) {
    const int64_t *others = gr_histogram(total, 0, false), *own = gr_histogram(total, 0, true);
    double all[2] = {0}, mass = 0;
    for (size_t b = 0; b < total->bins; b++) {
        all[0] += (double)others[b];
        all[1] += (double)own[b];
    }
    double below[GR_REPLICATE_BINS] = {0}, ordered[GR_REPLICATE_BINS] = {0};
    double in[GR_REPLICATE_BINS] = {0};
    for (size_t b = 0; b < total->bins; b++) {
        const double x = (double)others[b], y = (double)own[b];
        const double share = ((all[0] > 0 ? x / all[0] : 0) + (all[1] > 0 ? y / all[1] : 0)) / 2;
        const double place = (mass + share / 2) * GR_REPLICATE_BINS;
        const size_t bin = place < GR_REPLICATE_BINS ? (size_t)place : GR_REPLICATE_BINS - 1;
        mass += share;
        r->bin_of[b] = (uint8_t)bin;
        ordered[bin] += y * (below[bin] + x / 2);
        below[bin] += x;
        in[bin] += y;
    }
    for (size_t b = 0; b < GR_REPLICATE_BINS; b++)
        r->area[b] = in[b] * below[b] > 0 ? ordered[b] / (in[b] * below[b]) : 0.5;
    gr_accumulator_spread(total, &r->middle, &r->spread);
}

void gr_replicates_lay(struct gr_replicates *r, const struct gr_accumulator *total) {
    memset(r->sums, 0, count_sums(r) * sizeof *r->sums);
    lay_grids(r, total);
    if (r->bin_of) lay_bins(r, total);
}

/* ---- rows --------------------------------------------------------------------------------------
 */

/* A row as it is summed. */
struct drawn_row {
    size_t cell, bin;
    int32_t units;
    double value[VALUES_MAX];
};

/* Of two classes all follows from the log-odds. */
static struct drawn_row row_of_two(const struct gr_replicates *r, const struct gr_accumulator *rows,
                                   size_t i) {
    const struct gr_kept_score kept = rows->kept[i];
    const double x = (double)kept.log_odds, e = exp(-fabs(x)), small = e / (1 + e);
    const bool own = kept.weight & 1, taken = x > 0, right = own == taken;
    const double off = right ? small : 1 - small;
    const size_t fine =
        gr_bin_of(gr_place_of(kept.log_odds) - r->middle, 2 * r->spread, rows->bins);
    return (struct drawn_row){
        .cell = (size_t)2 * own + taken,
        .bin = own * (size_t)GR_REPLICATE_BINS + r->bin_of[fine],
        .units = kept.weight >> 1,
        .value = {[LOSS] = log1p(e) + (right ? 0 : fabs(x)),
                  [BRIER] = off * off,
                  [EXPECTED] = taken ? 1 - small : small},
    };
}

static struct drawn_row row_of(const struct gr_replicates *r, const struct gr_accumulator *rows,
                               size_t i) {
    if (r->classes == 2) return row_of_two(r, rows, i);
    const struct gr_kept_row *kept = &rows->rows[i];
    struct drawn_row row = {.units = kept->weight};
    if (r->classes > 0) {
        row.cell = kept->label * r->classes + kept->taken;
        row.value[LOSS] = (double)kept->value[0];
        row.value[BRIER] = (double)kept->value[1];
        return row;
    }
    const double off = (double)kept->value[0] - (double)kept->value[1];
    const double target = (double)kept->value[1] - r->target;
    row.value[SQUARED] = off * off;
    row.value[ABSOLUTE] = fabs(off);
    row.value[TARGET] = target;
    row.value[TARGET_SQUARED] = target * target;
    return row;
}

/* Up or down, so that its expectation is the value. */
static int32_t on_grid(double value, double grid, uint16_t number) {
    const double place = floor(value / grid + ((double)number + 0.5) * 0x1p-16);
    return place < FINEST ? place > -FINEST ? (int32_t)place : -FINEST : FINEST - 1;
}

/* numbers: of the row's values; its draws are in r->draws. */
static void add_row(struct gr_replicates *r, const struct drawn_row *row, const uint16_t *numbers) {
    int64_t *sums = r->sums;
    const double weight = (double)row->units / (double)GR_WEIGHT_ONE;
    add_draws(sums + row->cell * r->room, r->draws, row->units, r->room);
    sums += r->cells * r->room;
    if (r->bins > 0) add_draws(sums + row->bin * r->room, r->draws, row->units, r->room);
    sums += r->bins * r->room;
    for (size_t v = 0; v < r->values; v++)
        add_draws(sums + v * r->room, r->draws,
                  on_grid(weight * row->value[v], r->grid[v], numbers[v]), r->room);
}

/* Rows of one key, from its row `place` on. */
static void add_rows(struct gr_replicates *r, const struct gr_accumulator *rows, size_t first,
                     size_t n, const unsigned char *key, uint64_t place, bool together) {
    const size_t most = r->stride > PIECE ? 1 : PIECE / r->stride;
    for (size_t done = 0, m; done < n; done += m) {
        m = n - done < most ? n - done : most;
        gr_key_stream_make(key, (place + done) * r->stride, r->numbers, m * r->stride);
        for (size_t i = 0; i < m; i++) {
            const uint16_t *numbers = r->numbers + i * r->stride / sizeof *numbers;
            if (!together) gr_poisson_draws(numbers, r->draws, r->room);
            const struct drawn_row row = row_of(r, rows, first + done + i);
            add_row(r, &row, numbers + r->room);
        }
    }
}

static void key_of(const struct gr_replicate_rows *part, uint64_t block, unsigned char *key) {
    gr_secret_key(part->secret, GR_SECRET_BOOTSTRAP, (uint64_t)part->stream << 44 | block, key);
}

gr_status gr_replicates_add(struct gr_replicates *r, const struct gr_accumulator *rows,
                            const struct gr_replicate_rows *part) {
    const uint64_t in_block = UINT64_C(1) << BLOCK_BITS;
    unsigned char key[GR_SECRET_BYTES];
    const size_t kept = gr_accumulator_kept(rows);
    if (part->first > kept || part->n > kept - part->first)
        return gr_fail(GR_ERROR_INTERNAL, "replicates of %zu rows, and %zu are kept", part->n,
                       kept);
    if (part->together) { /* a block that no row has */
        key_of(part, (UINT64_C(1) << 44) - 1, key);
        gr_key_stream_make(key, 0, r->numbers, r->stride);
        gr_poisson_draws(r->numbers, r->draws, r->room);
    }
    for (size_t done = 0, n; done < part->n; done += n) {
        const uint64_t number = part->number + done, place = number % in_block;
        n = part->n - done < in_block - place ? part->n - done : (size_t)(in_block - place);
        key_of(part, number / in_block, key);
        add_rows(r, rows, part->first + done, n, key, place, part->together);
    }
    return GR_OK;
}

int64_t *gr_replicates_sums(struct gr_replicates *r, size_t *n) {
    *n = count_sums(r);
    return r->sums;
}

/* ---- metrics of replicates --------------------------------------------------------------------
 */

/* The sum i of replicate k. */
static int64_t sum_of(const struct gr_replicates *r, size_t i, size_t k) {
    return r->sums[i * r->room + k];
}

/* A sum is below 2^70: each row's value is, of which there were as many as were added. */
static void set_real(int64_t *words, double value) {
    if (!gr_real_add(words, value)) memset(words, 0, GR_REAL_WORDS * sizeof *words);
}

static void take_classes(struct gr_replicates *r, size_t k) {
    struct gr_accumulator *t = r->one;
    const size_t c = r->classes, values = r->cells + r->bins;
    for (size_t i = 0; i < c; i++)
        for (size_t j = 0; j < c; j++) {
            const int64_t weight = sum_of(r, i * c + j, k);
            t->by_class[i * GR_CLASS_SUMS + GR_ACTUAL] += weight;
            t->by_class[j * GR_CLASS_SUMS + GR_PREDICTED] += weight;
            t->sums[GR_WEIGHT] += weight;
            if (i != j) continue;
            t->by_class[i * GR_CLASS_SUMS + GR_FOUND] += weight;
            t->sums[GR_CORRECT] += weight;
        }
    set_real(t->log_loss, (double)sum_of(r, values + LOSS, k) * r->grid[LOSS]);
    set_real(t->brier, (double)sum_of(r, values + BRIER, k) * r->grid[BRIER]);
    if (t->expected)
        set_real(t->expected, (double)sum_of(r, values + EXPECTED, k) * r->grid[EXPECTED]);
}

static void take_numbers(struct gr_replicates *r, size_t k) {
    static const size_t to[] = {[SQUARED] = GR_SQUARED,
                                [ABSOLUTE] = GR_ABSOLUTE,
                                [TARGET] = GR_TARGET,
                                [TARGET_SQUARED] = GR_TARGET_SQUARED};
    struct gr_accumulator *t = r->one;
    t->sums[GR_WEIGHT] = sum_of(r, 0, k);
    for (size_t v = 0; v < r->values; v++)
        set_real(t->numbers + to[v] * GR_REAL_WORDS,
                 (double)sum_of(r, r->cells + v, k) * r->grid[v]);
}

/* Replicate k into r->one, whose bins are not used and stay empty. */
static void take_replicate(struct gr_replicates *r, size_t k) {
    struct gr_accumulator *t = r->one;
    const size_t counted = t->n_wanted > 0 ? t->n_wanted : t->n;
    memset(t->sums, 0, counted * sizeof *t->sums);
    if (r->classes > 0)
        take_classes(r, k);
    else
        take_numbers(r, k);
    t->sums[GR_ROWS] = t->sums[GR_WEIGHT] > 0;
}

/* NAN without rows of either class. */
static double area_of(const struct gr_replicates *r, size_t k) {
    double below = 0, above = 0, ordered = 0;
    for (size_t b = 0; b < GR_REPLICATE_BINS; b++) {
        const double others = (double)sum_of(r, r->cells + b, k);
        const double own = (double)sum_of(r, r->cells + GR_REPLICATE_BINS + b, k);
        ordered += own * (below + others * r->area[b]);
        below += others;
        above += own;
    }
    return below * above > 0 ? ordered / (below * above) : (double)NAN;
}

static int ascending(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Between the two that are next to it, as NumPy's percentile is by default. values: ascending. */
static double quantile(const double *values, size_t n, double share) {
    const double place = share * (double)(n - 1), part = place - floor(place);
    const size_t i = (size_t)place;
    return i + 1 < n ? values[i] + part * (values[i + 1] - values[i]) : values[n - 1];
}

struct gr_resampled_metric gr_resampled_of(double *values, size_t n, size_t all) {
    const double none = (double)NAN;
    struct gr_resampled_metric out = {none, none, none, none, (int64_t)(all - n), NULL};
    if (n < 2 || (all - n) * LEFT_OUT_PARTS > all) {
        out.why = gr_reason_text[GR_FEW_REPLICATES];
        return out;
    }
    double sum = 0, squares = 0;
    qsort(values, n, sizeof *values, ascending);
    for (size_t i = 0; i < n; i++)
        sum += values[i];
    out.mean = sum / (double)n;
    for (size_t i = 0; i < n; i++)
        squares += (values[i] - out.mean) * (values[i] - out.mean);
    out.deviation = sqrt(squares / (double)(n - 1));
    out.lower = quantile(values, n, 0.025);
    out.upper = quantile(values, n, 0.975);
    return out;
}

static bool is_resampled(const struct gr_replicates *r, unsigned metric) {
    return gr_metric_rows[metric].resampled && gr_metric_fits(metric, r->classes) &&
           (r->classes == 2 || !gr_metric_rows[metric].binned);
}

/* The metrics of replicate k that are defined, each behind those of the replicates before it. */
static void take_metrics(struct gr_replicates *r, size_t k, size_t n[GR_METRICS_MAX]) {
    take_replicate(r, k);
    for (unsigned m = 0; m < gr_metric_count; m++) {
        if (!is_resampled(r, m)) continue;
        const double value =
            gr_metric_rows[m].binned ? area_of(r, k) : gr_metric_exact(r->one, m).value;
        if (!isnan(value)) r->defined[m * r->n + n[m]++] = value;
    }
}

void gr_replicates_spread(struct gr_replicates *r, struct gr_resampled_metric out[GR_METRICS_MAX]) {
    const double none = (double)NAN;
    size_t n[GR_METRICS_MAX] = {0};
    for (size_t k = 0; k < r->n; k++)
        take_metrics(r, k, n);
    for (unsigned m = 0; m < gr_metric_count; m++)
        out[m] = is_resampled(r, m) ? gr_resampled_of(r->defined + m * r->n, n[m], r->n)
                                    : (struct gr_resampled_metric){none, none, none, none, 0, NULL};
}

/* ---- what may be told --------------------------------------------------------------------------
 */

enum { DEVIATION_DIGITS = 2 };

struct gr_resampled_metric gr_resampled_told(const struct gr_accumulator *t, unsigned metric,
                                             struct gr_resampled_metric v) {
    const double none = (double)NAN;
    const struct gr_metric_row *row = &gr_metric_rows[metric];
    const struct gr_metric_value told = gr_accumulator_metric(t, metric);
    const bool stepped = t->stepped && row->counted;
    double basis = (double)t->sums[GR_ROWS];
    if (v.why || isnan(v.mean)) return v;
    if (told.why) return (struct gr_resampled_metric){none, none, none, none, 0, told.why};
    if (stepped && row->basis) basis = fmin(basis, row->basis(t));
    const struct gr_metric_value ends =
        gr_metric_told(t, (struct gr_metric_value){v.mean, v.lower, v.upper, NULL}, stepped, basis);
    if (ends.why) return (struct gr_resampled_metric){none, none, none, none, 0, ends.why};
    v.mean = ends.value;
    v.lower = ends.lower;
    v.upper = ends.upper;
    /* Of few wrong rows the deviation tells how many they are: its square is their share. */
    const double step = stepped ? gr_share_step((int64_t)basis, t->least) : 0;
    if (step > 0)
        v.deviation = gr_round_step(ceil(v.deviation / step) * step, step);
    else if (t->digits > 0)
        v.deviation = gr_round_digits(v.deviation, DEVIATION_DIGITS);
    return v;
}
