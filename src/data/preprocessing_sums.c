/* SPDX-License-Identifier: Apache-2.0 */
/* Statistics of a silo's training rows, for preprocessing: plain sums of one silo, in the order of
 * its rows. They leave the silo only through cohort's door, which adds and withholds. */
#include <granary/data.h>

#include <math.h>
#include <string.h>

/* A column's own scale goes before the config's. Ranges are taken from the origin, as values are
 * stored. */
gr_status gr_treatments_create(const struct gr_preprocess_config *config,
                               const struct gr_columns *columns, size_t n_values,
                               struct gr_treatment **out) {
    struct gr_treatment *t = NULL;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_allocate_zero(n_values, sizeof *t, "preprocessing", &t));
    for (size_t v = 0; v < n_values; v++) {
        const struct gr_column *c =
            columns ? &columns->schema->columns[columns->column_of[v]] : NULL;
        bool ranged = c && c->range_count == 2;
        t[v].number = !c || c->type != GR_COLUMN_CATEGORY;
        t[v].by = !c || c->scale == GR_SCALE_DEFAULT ? config->scale : c->scale;
        if (!t[v].number || (c && c->slices_only)) t[v].by = GR_SCALE_NONE;
        t[v].open = c && c->open;
        t[v].missing = c ? c->missing : GR_MISSING_REFUSE;
        t[v].n_categories = c ? c->categories_count : 0;
        t[v].ranged = ranged;
        for (size_t k = 0; k < 2 && ranged; k++)
            t[v].range[k] = c->range[k] - c->origin;
        t[v].low = config->clip && ranged ? t[v].range[0] : -(double)INFINITY;
        t[v].high = config->clip && ranged ? t[v].range[1] : (double)INFINITY;
    }
    *out = t;
    t = NULL;
out:
    gr_free(t);
    return status;
}

/* The number that a value stands for; false: there is none. */
static bool take(const struct gr_treatment *t, float value, double *x) {
    if (!t->number || isnan(value)) return false;
    *x = fmin(fmax((double)value, t->low), t->high);
    return true;
}

static const float *row_of(const struct gr_rows *rows, size_t row) {
    return (const float *)rows->features + row * rows->n_features;
}

/* In float32, as values are, so that the extremes of a range are values that occur. */
void gr_fit_spread(const struct gr_treatment *t, const struct gr_rows *rows, float *least,
                   float *greatest) {
    double x;
    for (size_t i = 0; i < rows->n_rows; i++) {
        const float *row = row_of(rows, i);
        for (size_t v = 0; v < rows->n_features; v++) {
            if (!take(&t[v], row[v], &x)) continue;
            if ((float)x < least[v]) least[v] = (float)x;
            if ((float)x > greatest[v]) greatest[v] = (float)x;
        }
    }
}

/* Plain double sums over one silo: the order of its rows is fixed by the table, so that they have
 * the same bits in any process. */
void gr_fit_sums(const struct gr_treatment *t, const struct gr_rows *rows, int64_t *count,
                 double *sum) {
    double x;
    memset(count, 0, rows->n_features * sizeof *count);
    memset(sum, 0, rows->n_features * sizeof *sum);
    for (size_t i = 0; i < rows->n_rows; i++) {
        const float *row = row_of(rows, i);
        for (size_t v = 0; v < rows->n_features; v++) {
            if (!take(&t[v], row[v], &x)) continue;
            count[v]++;
            sum[v] += x;
        }
    }
}

/*
 * From the mean of all silos, found before: a sum of squares alone would cancel (see group_norm.c).
 */
void gr_fit_deviations(const struct gr_treatment *t, const struct gr_rows *rows, const double *mean,
                       double *greatest, double *squares) {
    double x;
    memset(squares, 0, rows->n_features * sizeof *squares);
    for (size_t i = 0; i < rows->n_rows; i++) {
        const float *row = row_of(rows, i);
        for (size_t v = 0; v < rows->n_features; v++) {
            if (!take(&t[v], row[v], &x)) continue;
            const double deviation = fabs(x - mean[v]);
            if (deviation > greatest[v]) greatest[v] = deviation;
            squares[v] += deviation * deviation;
        }
    }
}

void gr_fit_categories(const struct gr_rows *rows, size_t value, uint32_t n_categories,
                       int64_t *count) {
    for (size_t i = 0; i < rows->n_rows; i++) {
        const float code = row_of(rows, i)[value];
        if (code >= 0 && code < (float)n_categories) count[(uint32_t)code]++;
    }
}
