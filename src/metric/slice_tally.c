/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of a group in integers: a row's own tally is found once, and added to its group in each
 * slicing. */
#include <granary/slices.h>

#include <math.h>
#include <string.h>

#include "metric/accumulator.h"

_Static_assert(sizeof(struct gr_slice_tally) == GR_SLICE_SUMS * sizeof(int64_t),
               "a tally is an array of int64_t");

void gr_slice_add(struct gr_slice_tally *sum, const struct gr_slice_tally *part) {
    int64_t *to = &sum->rows;
    const int64_t *from = &part->rows;
    for (size_t i = 0; i < GR_SLICE_SUMS; i++)
        to[i] += from[i];
}

static gr_status refuse(void) {
    return gr_fail(GR_ERROR_DATA, "a row's scores are not finite, or too large");
}

/* Figures are those of the accumulator, so that groups add up to the whole. */
gr_status gr_slice_class_row(const float *logits, size_t classes, size_t label, int64_t units,
                             double *room, struct gr_slice_tally *out) {
    const double w = (double)units / (double)GR_WEIGHT_ONE;
    struct gr_row_figures row;
    memset(out, 0, sizeof *out);
    if (!gr_row_figures(logits, classes, label, room, &row)) return refuse();
    out->rows = 1;
    out->weight = units;
    if (classes == 2)
        out->count[2 * label + row.best] = units;
    else
        out->count[0] = row.best == label ? units : 0;
    const double place = classes == 2 ? gr_place_of(gr_kept_log_odds(logits)) : 0;
    return gr_real_add(out->loss, w * row.loss) && gr_real_add(out->score, w * row.brier) &&
                   gr_real_add(out->expected, classes == 2 ? w * row.event : 0) &&
                   gr_real_add(out->place, w * place) && gr_real_add(out->square, w * place * place)
               ? GR_OK
               : refuse();
}

gr_status gr_slice_number_row(double prediction, double target, int64_t units,
                              struct gr_slice_tally *out) {
    const double w = (double)units / (double)GR_WEIGHT_ONE, off = prediction - target;
    memset(out, 0, sizeof *out);
    out->rows = 1;
    out->weight = units;
    return gr_real_add(out->loss, w * (off * off)) && gr_real_add(out->score, w * fabs(off)) &&
                   gr_real_add(out->expected, w * prediction) &&
                   gr_real_add(out->target, w * target)
               ? GR_OK
               : refuse();
}

/* ---- bins of scores ------------------------------------------------------------------------- */

/* A power of two, so that few groups have bins as narrow as those of all rows. */
size_t gr_slice_bins_of(size_t n) {
    const size_t most = (size_t)1 << 19; /* over all groups, twice, of 8 bytes */
    size_t bins = 8192;
    while (bins > 64 && bins * n > most)
        bins /= 2;
    return bins;
}

/* Where a group's scores lie, as gr_accumulator_spread has it of all rows. */
struct place_spread {
    double mean, deviation;
};

static struct place_spread spread_of(const struct gr_slice_tally *t) {
    struct place_spread out;
    gr_places_spread(t->weight, t->place, t->square, &out.mean, &out.deviation);
    return out;
}

void gr_slice_bin(const struct gr_slice_tally *total, const struct gr_accumulator *rows,
                  size_t first, size_t n, const uint16_t *groups, size_t n_slicings,
                  const uint32_t *place, struct gr_slice_bins *out) {
    struct place_spread spread[GR_SLICE_GROUPS_MAX];
    bool known[GR_SLICE_GROUPS_MAX] = {false};
    for (size_t i = 0; i < n && first + i < rows->n_kept; i++) {
        const struct gr_kept_score *row = &rows->kept[first + i];
        const double x = gr_place_of(row->log_odds);
        for (size_t s = 0; s < n_slicings; s++) {
            const uint16_t group = groups[i * n_slicings + s];
            const uint32_t at = place[group];
            if (at == UINT32_MAX) continue;
            if (!known[group]) spread[group] = spread_of(&total[group]);
            known[group] = true;
            const size_t b =
                gr_bin_of(x - spread[group].mean, 2 * spread[group].deviation, out->bins);
            out->counts[(2 * (size_t)at + (row->weight & 1)) * out->bins + b] += row->weight >> 1;
        }
    }
}
