/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A model's outputs for rows that something is found on by several sums over all processes: the
 * rows are scored once, and read as often as there are sums.
 */
#include "metric/outputs.h"

#include <granary/metric.h>
#include <math.h>
#include <string.h>

/* Sums of squares stay below GR_REAL_LIMIT; a probability is 0 or 1 long before. */
static const float log_odds_most = 0x1p30F;

float gr_output_log_odds(const float *logits) {
    const double x = (double)logits[1] - (double)logits[0];
    return (float)fmin(fmax(x, -(double)log_odds_most), (double)log_odds_most);
}

gr_status gr_outputs_create(size_t classes, struct gr_outputs **out) {
    gr_status status = gr_allocate_zero(1, sizeof **out, "outputs", out);
    if (status != GR_OK) return status;
    (*out)->classes = classes;
    (*out)->width = classes > 2 ? classes : 1;
    return GR_OK;
}

void gr_outputs_free(struct gr_outputs *o) {
    if (!o) return;
    gr_free(o->targets);
    gr_free(o->labels);
    gr_free(o->units);
    gr_free(o->values);
    gr_free(o);
}

size_t gr_outputs_rows(const struct gr_outputs *o) {
    return o->n;
}

void gr_outputs_cut(struct gr_outputs *o, size_t n) {
    if (n < o->n) o->n = n;
}

/* A list that has room for more; what it holds stays. */
static gr_status grow(size_t n, size_t room, size_t size, void *list) {
    void *grown, **old = list;
    gr_status status = gr_allocate(room, size, "outputs", &grown);
    if (status != GR_OK) return status;
    if (n > 0) memcpy(grown, *old, n * size);
    gr_free(*old);
    *old = grown;
    return GR_OK;
}

static gr_status make_room(struct gr_outputs *o, size_t n) {
    gr_status status = GR_OK;
    size_t room = o->room ? o->room : 1024;
    if (n <= o->room) return GR_OK;
    while (room < n)
        room *= 2;
    GR_TRY(grow(o->n, room, o->width * sizeof *o->values, &o->values));
    GR_TRY(grow(o->n, room, sizeof *o->units, &o->units));
    if (o->classes > 0)
        GR_TRY(grow(o->n, room, sizeof *o->labels, &o->labels));
    else
        GR_TRY(grow(o->n, room, sizeof *o->targets, &o->targets));
    o->room = room;
out:
    return status;
}

static bool all_finite(const float *values, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i])) return false;
    return true;
}

gr_status gr_outputs_add(struct gr_outputs *o, const float *values, const int32_t *labels,
                         const float *targets, const float *weights, size_t n) {
    const size_t wide = o->classes > 0 ? o->classes : 1;
    gr_status status = make_room(o, o->n + n);
    if (status != GR_OK) return status;
    for (size_t i = 0; i < n; i++) {
        const float *row = values + i * wide;
        const int64_t units = gr_weight_units(weights, i);
        if (!all_finite(row, wide) || (o->classes == 0 && !isfinite(targets[i])))
            return gr_fail(GR_ERROR_DATA, "row %zu: its scores are not finite", o->n);
        if (units == 0) continue;
        if (o->classes == 2)
            o->values[o->n] = gr_output_log_odds(row);
        else
            memcpy(o->values + o->n * o->width, row, o->width * sizeof *row);
        if (o->classes > 0)
            o->labels[o->n] = labels[i];
        else
            o->targets[o->n] = targets[i];
        o->units[o->n++] = (int32_t)units;
    }
    return GR_OK;
}
