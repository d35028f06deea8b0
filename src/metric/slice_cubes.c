/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two groups in each line are not enough for a crossing: the rows of two lines less those of two
 * others that cross them can leave a single group. A withheld group is safe as a corner of a cube,
 * the other corners of which differ from it in some columns and are withheld too: a row more in
 * every other corner, and one less in those between, and each line has the same sum (the hypercube
 * method; Repsilber 1994, Giessing 2001). How often that can be done either way is how uncertain
 * each of its corners is. A cube of fewer columns will do where the sums of the lines that it would
 * change are not known.
 */
#include <string.h>

#include "metric/withholding.h"

enum { MASKS = 1 << GR_SLICE_COLUMNS_MAX };

struct cubes {
    const struct gr_withholding *w;
    const struct gr_slicing *slicing;
    uint32_t stride[GR_SLICE_COLUMNS_MAX];
    bool known[MASKS][GR_SLICE_GROUPS_MAX]; /* whether a line's sum is, by mask and number */
};

/* The groups that are alike in the columns of a mask, the bits of which are a slicing's parts. */
static uint32_t line_number(const struct gr_slicing *slicing, unsigned mask, uint32_t group) {
    uint32_t number = 0;
    for (unsigned i = 0; i < slicing->n_parts; i++)
        if (mask & (1U << i))
            number = number * slicing->part[i].n + gr_slice_digit(slicing, group, i);
    return number;
}

/* The number of the line of a mask of `slicing` in which a group of another slicing is, whose parts
 * with the same columns are `part`. */
static uint32_t line_of_other(const struct gr_slicing *slicing, unsigned mask,
                              const struct gr_slicing *other, const unsigned *part,
                              uint32_t group) {
    uint32_t number = 0;
    for (unsigned i = 0; i < slicing->n_parts; i++)
        if (mask & (1U << i))
            number = number * slicing->part[i].n + gr_slice_digit(other, group, part[i]);
    return number;
}

/* Of each part of a mask the part of `other` with the same column; false: it lacks one. */
static bool find_parts(const struct gr_slicing *slicing, unsigned mask,
                       const struct gr_slicing *other, unsigned *part) {
    for (unsigned i = 0; i < slicing->n_parts; i++) {
        if (!(mask & (1U << i))) continue;
        part[i] = 0;
        while (part[i] < other->n_parts && other->part[part[i]].column != slicing->part[i].column)
            part[i]++;
        if (part[i] == other->n_parts) return false;
    }
    return true;
}

/* A line's sum is known from a slicing that tells all groups of it; that over all rows always. */
static void find_known(struct cubes *c) {
    const struct gr_slicings *s = c->w->slicings;
    memset(c->known, 0, sizeof c->known);
    c->known[0][0] = true;
    for (unsigned mask = 1; mask + 1 < 1U << c->slicing->n_parts; mask++)
        for (size_t k = 0; k < s->n; k++) {
            const struct gr_slicing *other = &s->list[k];
            bool hidden[GR_SLICE_GROUPS_MAX] = {false};
            unsigned part[GR_SLICE_COLUMNS_MAX];
            if (!find_parts(c->slicing, mask, other, part)) continue;
            for (uint32_t g = other->first; g < other->first + other->n; g++)
                if (c->w->withheld[g])
                    hidden[line_of_other(c->slicing, mask, other, part, g)] = true;
            for (uint32_t g = c->slicing->first; g < c->slicing->first + c->slicing->n; g++) {
                const uint32_t line = line_number(c->slicing, mask, g);
                c->known[mask][line] |= !hidden[line];
            }
        }
}

/* A group and the opposite corner. */
struct cube {
    uint32_t corner[MASKS];
    unsigned n;
    int64_t rows;  /* by which each corner is uncertain */
    int64_t silos; /* the most of a corner */
    unsigned told; /* corners that are not withheld yet */
    int64_t told_rows;
};

static struct cube make_cube(const struct cubes *c, uint32_t group, uint32_t opposite) {
    const struct gr_withholding *w = c->w;
    struct cube out = {.corner = {group}, .n = 1};
    int64_t least[2] = {INT64_MAX, INT64_MAX}; /* of corners of either kind */
    for (unsigned i = 0; i < c->slicing->n_parts; i++) {
        const uint32_t from = gr_slice_digit(c->slicing, group, i);
        const uint32_t to = gr_slice_digit(c->slicing, opposite, i);
        if (from == to) continue;
        for (unsigned k = 0; k < out.n; k++)
            out.corner[out.n + k] = out.corner[k] + (to - from) * c->stride[i];
        out.n *= 2;
    }
    for (unsigned k = 0; k < out.n; k++) {
        const uint32_t g = out.corner[k];
        int64_t *of = &least[__builtin_popcount(k) & 1];
        if (w->rows[g] < *of) *of = w->rows[g];
        if (w->silos[g] > out.silos) out.silos = w->silos[g];
        out.told += !w->withheld[g];
        out.told_rows += w->withheld[g] ? 0 : w->rows[g];
    }
    out.rows = least[0] + least[1];
    return out;
}

/* Whether a sum is known that would be another: that of a line in which all columns are given in
 * which the corners differ. */
static bool is_known(const struct cubes *c, const struct cube *cube, uint32_t opposite) {
    unsigned differ = 0;
    for (unsigned i = 0; i < c->slicing->n_parts; i++)
        if (gr_slice_digit(c->slicing, cube->corner[0], i) !=
            gr_slice_digit(c->slicing, opposite, i))
            differ |= 1U << i;
    for (unsigned mask = 1; mask + 1 < 1U << c->slicing->n_parts; mask++) {
        if ((differ & mask) != differ) continue;
        for (unsigned k = 0; k < cube->n; k++)
            if (c->known[mask][line_number(c->slicing, mask, cube->corner[k])]) return true;
    }
    return false;
}

/* The cube of a group that takes the fewest others, then the fewest rows; n 0: there is none. */
static struct cube choose_cube(const struct cubes *c, uint32_t group) {
    const struct gr_slice_rules *rules = c->w->rules;
    struct cube best = {.n = 0};
    for (uint32_t g = c->slicing->first; g < c->slicing->first + c->slicing->n; g++) {
        if (g == group) continue;
        const struct cube cube = make_cube(c, group, g);
        if (cube.rows < rules->least_rows || cube.silos < rules->least_silos) continue;
        if (best.n > 0 &&
            (cube.told != best.told ? cube.told > best.told : cube.told_rows >= best.told_rows))
            continue;
        if (is_known(c, &cube, g)) continue;
        best = cube;
        if (best.told == 0) break;
    }
    return best;
}

bool gr_withholding_protect_cubes(const struct gr_withholding *w,
                                  const struct gr_slicing *slicing) {
    struct cubes c = {.w = w, .slicing = slicing};
    uint32_t stride = 1;
    bool more = false;
    for (unsigned i = slicing->n_parts; i-- > 0;) {
        c.stride[i] = stride;
        stride *= slicing->part[i].n;
    }
    find_known(&c);
    for (uint32_t g = slicing->first; g < slicing->first + slicing->n; g++) {
        if (!w->withheld[g] || w->rows[g] == 0) continue;
        const struct cube cube = choose_cube(&c, g);
        if (cube.n > 0 && cube.told == 0) continue;
        for (unsigned k = 0; k < cube.n; k++)
            w->withheld[cube.corner[k]] = 1;
        for (uint32_t k = slicing->first; cube.n == 0 && k < slicing->first + slicing->n; k++) {
            more |= !w->withheld[k];
            w->withheld[k] = 1;
        }
        more |= cube.n > 0;
    }
    return more;
}
