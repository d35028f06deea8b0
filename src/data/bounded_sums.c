/* SPDX-License-Identifier: Apache-2.0 */
#include "data/bounded_sums.h"

#include <math.h>

#include "privacy/sensitivity.h"

/* Of a number's sums. */
enum { COUNT_OF, VALUES_OF, SQUARES_OF };

/* ---- which sums ------------------------------------------------------------------------------ */

static uint32_t sums_of(const struct gr_treatment *t) {
    if (!t->number) return t->missing == GR_MISSING_MODE ? t->n_categories : 0;
    if (t->by == GR_SCALE_STANDARDISE) return SQUARES_OF + 1;
    return t->missing == GR_MISSING_MEAN ? VALUES_OF + 1 : 0;
}

gr_status gr_bounded_layout_create(const struct gr_treatment *t, size_t n_values,
                                   struct gr_bounded_layout *out) {
    gr_status status = GR_OK;
    *out = (struct gr_bounded_layout){.n_values = n_values};
    GR_TRY(gr_allocate_zero(n_values, sizeof *out->value, "statistics", &out->value));
    for (size_t v = 0; v < n_values; v++) {
        const uint32_t n = sums_of(&t[v]);
        if (n > 0 && t[v].number && !(t[v].ranged && t[v].range[1] > t[v].range[0])) {
            status = gr_fail(GR_ERROR_CONFIG,
                             "value %zu of a row: found no range, expected one in data.schema with "
                             "privacy.statistics",
                             v + 1);
            goto out;
        }
        out->value[v] = (struct gr_bounded_sums){
            .first = out->n, .n = n, .squares = t[v].number && n > SQUARES_OF};
        out->n += n;
        out->most += t[v].number ? n : n > 0;
    }
    if (out->n > GR_STATISTICS_SUMS_MAX)
        status = gr_fail(GR_ERROR_CONFIG,
                         "privacy.statistics: found %zu sums of columns, allowed at most %d",
                         out->n, GR_STATISTICS_SUMS_MAX);
out:
    if (status != GR_OK) gr_bounded_layout_release(out);
    return status;
}

void gr_bounded_layout_release(struct gr_bounded_layout *layout) {
    gr_free(layout->value);
    *layout = (struct gr_bounded_layout){0};
}

/* ---- a unit's ------------------------------------------------------------------------------- */

/* Rows of one unit. */
struct unit {
    const struct gr_rows *rows;
    const uint32_t *row; /* numbers of its n rows; NULL: it is row `first` */
    size_t first, n;
};

static float value_of(const struct unit *unit, size_t i, size_t value) {
    const size_t row = unit->row ? unit->row[i] : unit->first;
    return ((const float *)unit->rows->features)[row * unit->rows->n_features + value];
}

static void add_number(const struct gr_bounded_sums *of, const struct gr_treatment *t,
                       const struct unit *unit, size_t value, int64_t *sums) {
    const double middle = (t->range[0] + t->range[1]) / 2, half = (t->range[1] - t->range[0]) / 2;
    int64_t count = 0, values = 0, squares = 0;
    for (size_t i = 0; i < unit->n; i++) {
        const float x = value_of(unit, i, value);
        if (!isfinite(x)) continue;
        const double u = fmin(fmax(((double)x - middle) / half, -1), 1);
        count++;
        values += llrint(u * GR_TALLY_STEPS);
        squares += llrint(u * u * GR_TALLY_STEPS);
    }
    if (count == 0) return;
    sums[of->first + COUNT_OF] += (int64_t)GR_TALLY_STEPS;
    sums[of->first + VALUES_OF] += values / count;
    if (of->squares) sums[of->first + SQUARES_OF] += squares / count;
}

static bool is_code(float code, uint32_t n) {
    return code >= 0 && code < (float)n;
}

static void add_category(const struct gr_bounded_sums *of, const struct unit *unit, size_t value,
                         int64_t *sums) {
    int64_t count = 0;
    for (size_t i = 0; i < unit->n; i++)
        count += is_code(value_of(unit, i, value), of->n);
    if (count == 0) return;
    for (size_t i = 0; i < unit->n; i++) {
        const float code = value_of(unit, i, value);
        if (is_code(code, of->n))
            sums[of->first + (uint32_t)code] += (int64_t)GR_TALLY_STEPS / count;
    }
}

void gr_bounded_add(const struct gr_bounded_layout *layout, const struct gr_treatment *t,
                    const struct gr_rows *rows, bool persons, int64_t *sums) {
    const struct gr_persons *p = &rows->persons;
    const size_t n_units = persons ? p->n : rows->n_rows;
    for (size_t i = 0; i < n_units; i++) {
        struct unit unit = {.rows = rows, .first = i, .n = 1};
        if (persons) {
            unit.row = p->rows + p->first[i];
            unit.n = p->first[i + 1] - p->first[i];
        }
        for (size_t v = 0; v < layout->n_values; v++) {
            if (layout->value[v].n == 0) continue;
            if (t[v].number)
                add_number(&layout->value[v], &t[v], &unit, v, sums);
            else
                add_category(&layout->value[v], &unit, v, sums);
        }
    }
}

/* ---- of sums over all ----------------------------------------------------------------------- */

/* The variance of u, of `units`, with means of u and u^2. Its floor is the standard deviation that
 * noise in all three sums gives it, to first order, for a smaller one cannot be told from noise;
 * and a step, for rounding. Values within the range spread by at most half of it. */
static double variance_of(double mean, double square, double units, double noise) {
    const double slope = 2 * mean * mean - square,
                 error = noise / units * sqrt(1 + 4 * mean * mean + slope * slope);
    return fmin(fmax(square - mean * mean, fmax(error, 1 / GR_TALLY_STEPS)), 1);
}

bool gr_bounded_number(const struct gr_bounded_sums *of, const struct gr_treatment *t,
                       const int64_t *sums, double noise, double *mean, double *deviation) {
    const double middle = (t->range[0] + t->range[1]) / 2, half = (t->range[1] - t->range[0]) / 2,
                 units = (double)sums[of->first + COUNT_OF] / GR_TALLY_STEPS;
    *mean = middle;
    *deviation = half;
    if (!(units > 0) || units < GR_BOUNDED_DEVIATIONS * noise) return false;
    const double values = (double)sums[of->first + VALUES_OF] / GR_TALLY_STEPS / units,
                 u = fmin(fmax(values, -1), 1);
    *mean = middle + half * u;
    if (!of->squares) return true;
    const double squares = (double)sums[of->first + SQUARES_OF] / GR_TALLY_STEPS / units;
    *deviation = half * sqrt(variance_of(u, fmin(fmax(squares, 0), 1), units, noise));
    return true;
}

bool gr_bounded_mode(const struct gr_bounded_sums *of, const int64_t *sums, double noise,
                     uint32_t *mode) {
    *mode = 0;
    for (uint32_t k = 1; k < of->n; k++)
        if (sums[of->first + k] > sums[of->first + *mode]) *mode = k;
    const double units = of->n > 0 ? (double)sums[of->first + *mode] / GR_TALLY_STEPS : 0;
    return units > 0 && units >= GR_BOUNDED_DEVIATIONS * noise;
}
