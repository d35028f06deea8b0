/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which groups of slices are withheld. Slices are tables over the same rows, linked by the columns
 * that they share: a small group follows from the others of its line, where the line's sum is known
 * from a slicing of fewer columns, from another that has these columns too, or from all rows. Each
 * such sum is taken as known, whether or not it is asked for.
 */
#include "metric/withholding.h"

const struct gr_slicing *gr_slicing_of(const struct gr_slicings *s, uint32_t group) {
    size_t i = 0;
    while (i + 1 < s->n && group >= s->list[i + 1].first)
        i++;
    return &s->list[i];
}

uint32_t gr_slice_digit(const struct gr_slicing *slicing, uint32_t group, unsigned part) {
    uint32_t digits = group - slicing->first;
    for (unsigned i = slicing->n_parts - 1; i > part; i--)
        digits /= slicing->part[i].n;
    return digits % slicing->part[part].n;
}

enum { MASKS = 1 << GR_SLICE_COLUMNS_MAX };

/* A line: the groups of a slicing that have the same values in the columns of a mask, the bits of
 * which are its parts. What of it is withheld: */
struct line {
    uint32_t n;
    int64_t rows, silos; /* silos: the most of a group, for two groups may be of the same ones */
};
struct line_table {
    const struct gr_slicing *slicing;
    struct line line[MASKS][GR_SLICE_GROUPS_MAX];
};

static struct line *line_of(struct line_table *t, unsigned mask, uint32_t group) {
    uint32_t number = 0;
    for (unsigned i = 0; i < t->slicing->n_parts; i++)
        if (mask & (1U << i))
            number = number * t->slicing->part[i].n + gr_slice_digit(t->slicing, group, i);
    return &t->line[mask][number];
}

/* Whether what is withheld of a line is nothing, or cannot be taken apart. */
static bool is_safe(const struct gr_withholding *w, const struct line *line) {
    return line->n == 0 || line->rows == 0 ||
           (line->n > 1 && line->rows >= w->rules->least_rows &&
            line->silos >= w->rules->least_silos);
}

/* All lines through a group but itself. */
static unsigned count_masks(const struct line_table *t) {
    return (1U << t->slicing->n_parts) - 1;
}

static void note(const struct gr_withholding *w, struct line_table *t, uint32_t group) {
    for (unsigned mask = 0; mask < count_masks(t); mask++) {
        struct line *line = line_of(t, mask, group);
        line->n++;
        line->rows += w->rows[group];
        if (w->silos[group] > line->silos) line->silos = w->silos[group];
    }
}

/* How many lines through a group need one more to be withheld. */
static unsigned count_unsafe(const struct gr_withholding *w, struct line_table *t, uint32_t group) {
    unsigned n = 0;
    for (unsigned mask = 1; mask < count_masks(t); mask++)
        n += !is_safe(w, line_of(t, mask, group));
    return n;
}

/*
 * Of the told groups in a line that has rows first that which is in the most lines that need one,
 * then the smallest: where two lines meet one group serves both. UINT32_MAX: all are withheld.
 */
static uint32_t choose(const struct gr_withholding *w, struct line_table *t, unsigned mask,
                       const struct line *line) {
    uint32_t best = UINT32_MAX;
    unsigned most = 0;
    for (uint32_t g = t->slicing->first; g < t->slicing->first + t->slicing->n; g++) {
        if (w->withheld[g] || line_of(t, mask, g) != line) continue;
        const unsigned n = count_unsafe(w, t, g);
        const bool rows = w->rows[g] > 0, had = best != UINT32_MAX && w->rows[best] > 0;
        if (best != UINT32_MAX && (had != rows ? had
                                   : n != most ? n < most
                                               : w->rows[g] >= w->rows[best]))
            continue;
        best = g;
        most = n;
    }
    return best;
}

/* Lines of the most columns come first: what is withheld for them serves the others too. Returns
 * whether one more group was withheld. */
static bool protect_lines(const struct gr_withholding *w, const struct gr_slicing *slicing) {
    struct line_table t = {.slicing = slicing};
    bool more = false;
    const uint32_t end = slicing->first + slicing->n;
    for (uint32_t g = slicing->first; g < end; g++)
        if (w->withheld[g]) note(w, &t, g);
    for (unsigned mask = count_masks(&t); mask-- > 0;)
        for (uint32_t g = slicing->first; g < end; g++) {
            const struct line *line = line_of(&t, mask, g);
            uint32_t next;
            while (!is_safe(w, line) && (next = choose(w, &t, mask, line)) != UINT32_MAX) {
                w->withheld[next] = 1;
                note(w, &t, next);
                more = true;
            }
        }
    return more;
}

/* Of each part of `coarse` the part of `fine` with the same column; false: it lacks one. */
static bool is_finer(const struct gr_slicing *coarse, const struct gr_slicing *fine,
                     unsigned part[GR_SLICE_COLUMNS_MAX]) {
    if (fine->n_parts <= coarse->n_parts) return false;
    for (unsigned i = 0; i < coarse->n_parts; i++) {
        part[i] = 0;
        while (part[i] < fine->n_parts && fine->part[part[i]].column != coarse->part[i].column)
            part[i]++;
        if (part[i] == fine->n_parts) return false;
    }
    return true;
}

/* What a withheld group is made of would add up to it. */
static bool protect_parts(const struct gr_withholding *w, const struct gr_slicing *coarse,
                          const struct gr_slicing *fine) {
    unsigned part[GR_SLICE_COLUMNS_MAX];
    bool more = false;
    if (!is_finer(coarse, fine, part)) return false;
    for (uint32_t g = fine->first; g < fine->first + fine->n; g++) {
        uint32_t of = 0;
        if (w->withheld[g]) continue;
        for (unsigned i = 0; i < coarse->n_parts; i++)
            of = of * coarse->part[i].n + gr_slice_digit(fine, g, part[i]);
        if (!w->withheld[coarse->first + of]) continue;
        w->withheld[g] = 1;
        more = true;
    }
    return more;
}

/* It ends, as each pass withholds one more group at least. */
void gr_slices_withhold(const struct gr_slicings *slicings, const int64_t *rows,
                        const int64_t *silos, const struct gr_slice_rules *rules,
                        uint8_t *withheld) {
    const struct gr_withholding w = {slicings, rows, silos, rules, withheld};
    bool more = true;
    for (uint32_t g = 0; g < slicings->n_groups; g++)
        withheld[g] = rows[g] > 0 && (rows[g] < rules->least_rows || silos[g] < rules->least_silos);
    while (more) {
        more = false;
        for (size_t i = 0; i < slicings->n; i++) {
            more |= protect_lines(&w, &slicings->list[i]);
            if (slicings->list[i].n_parts > 1)
                more |= gr_withholding_protect_cubes(&w, &slicings->list[i]);
            for (size_t k = 0; k < slicings->n; k++)
                more |= protect_parts(&w, &slicings->list[i], &slicings->list[k]);
        }
    }
}
