/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Slices of single silos, where evaluate.per_silo makes their scores known: of their validation
 * rows, as these are. A silo tells a slicing as a whole or not at all: where a group of it is small
 * the others would tell it by subtraction from the silo's scores. First a number of each silo and
 * slicing says which, and of those that are not how many rows their groups have together, for that
 * follows from all less the others; then the tallies of those that are told leave, and of no other.
 */
#include "federation/internal.h"

#include <string.h>

struct gr_silo_slices {
    const struct gr_slicings *slicings; /* borrowed */
    uint32_t n_silos;
    struct gr_slice_tally *own, *total; /* n_silos x groups; owned, as all that follows */
    uint8_t *noted;                     /* own silos whose rows were counted */
    int64_t *state;                     /* n_silos x slicings: enum gr_slice_state */
    int64_t *room;                      /* n_silos */
    int64_t *rest;                      /* rows, and silos, of groups of silos that are withheld */
    bool known;
    struct gr_slice_silos told;
};

gr_status gr_silo_slices_create(const struct gr_federation *f, struct gr_silo_slices **out) {
    const struct gr_slicings *slicings = f->data->slicings;
    const size_t silos = f->config->data.silos, groups = slicings->n_groups;
    struct gr_silo_slices *s = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    if (!gr_release_leaves(GR_RELEASE_SILO_SLICES, f->config)) return GR_OK;
    if (silos * groups > GR_SLICE_CELLS_MAX)
        return gr_fail(GR_ERROR_CONFIG,
                       "evaluate.slices: found %zu groups of %zu silos with evaluate.per_silo, "
                       "allowed at most %d in all: fewer slices, or scores of all silos alone",
                       groups, silos, GR_SLICE_CELLS_MAX);
    GR_TRY(gr_allocate_zero(1, sizeof *s, "slices of silos", &s));
    s->slicings = slicings;
    s->n_silos = (uint32_t)silos;
    GR_TRY(gr_allocate_zero(silos * groups, sizeof *s->own, "slices of silos", &s->own));
    GR_TRY(gr_allocate_zero(silos * groups, sizeof *s->total, "slices of silos", &s->total));
    GR_TRY(gr_allocate_zero(silos, 1, "slices of silos", &s->noted));
    GR_TRY(gr_allocate_zero(silos * slicings->n, sizeof *s->state, "slices of silos", &s->state));
    GR_TRY(gr_allocate_zero(silos, sizeof *s->room, "slices of silos", &s->room));
    GR_TRY(gr_allocate(2 * groups, sizeof *s->rest, "slices of silos", &s->rest));
    *out = s;
    s = NULL;
out:
    gr_silo_slices_free(s);
    return status;
}

void gr_silo_slices_free(struct gr_silo_slices *s) {
    if (!s) return;
    gr_free(s->rest);
    gr_free(s->room);
    gr_free(s->state);
    gr_free(s->noted);
    gr_free(s->total);
    gr_free(s->own);
    gr_free(s);
}

void gr_silo_slices_clear(struct gr_silo_slices *s) {
    if (!s) return;
    s->known = false;
    memset(s->noted, 0, s->n_silos);
}

void gr_silo_slices_forget(struct gr_silo_slices *s) {
    if (s) s->known = false;
}

void gr_silo_slices_note(struct gr_silo_slices *s, uint32_t silo,
                         const struct gr_slice_tally *part) {
    const size_t n = s->slicings->n_groups;
    memcpy(s->own + silo * n, part, n * sizeof *part);
    s->noted[silo] = 1;
}

void gr_silo_slices_drop(struct gr_silo_slices *s, uint32_t silo) {
    if (s) s->noted[silo] = 0;
}

/* ---- over all ranks ------------------------------------------------------------------------- */

/* Whether each group of the slicing is told where all silos are one, and has rows enough here. */
static bool may_tell(const struct gr_silo_slices *s, uint32_t silo, const struct gr_slicing *of,
                     const uint8_t *withheld) {
    const struct gr_slice_tally *own = s->own + silo * (size_t)s->slicings->n_groups;
    for (uint32_t g = of->first; g < of->first + of->n; g++)
        if ((withheld && withheld[g]) ||
            (own[g].rows > 0 && own[g].rows < s->told.rules.least_rows))
            return false;
    return true;
}

/* Of this rank's silos. */
static void set_states(struct gr_silo_slices *s, const struct gr_score *told,
                       const uint8_t *withheld) {
    const size_t n = s->slicings->n;
    memset(s->state, 0, s->n_silos * n * sizeof *s->state);
    for (uint32_t i = 0; i < s->n_silos; i++)
        for (size_t k = 0; k < n && s->noted[i]; k++)
            s->state[i * n + k] =
                told[i].examples > 0 && may_tell(s, i, &s->slicings->list[k], withheld)
                    ? GR_SLICE_TOLD
                    : GR_SLICE_WITHHELD;
}

/* Whether two slicings have a column in common, and so sums. */
static bool share_column(const struct gr_slicing *a, const struct gr_slicing *b) {
    for (unsigned i = 0; i < a->n_parts; i++)
        for (unsigned k = 0; k < b->n_parts; k++)
            if (a->part[i].column == b->part[k].column) return true;
    return false;
}

/* Whether slicing i is told of no silo, as it is not over all of them. */
static bool is_out(const struct gr_silo_slices *s, size_t i, const uint8_t *withheld) {
    const struct gr_slicing *of = &s->slicings->list[i];
    return memchr(withheld + of->first, 1, of->n) != NULL;
}

/*
 * Slicings with a column in common are told of the same silos: what one tells of a silo would else
 * be subtracted from what the other tells of all.
 */
static void withhold_linked(struct gr_silo_slices *s, const uint8_t *withheld) {
    const size_t n = s->slicings->n;
    for (bool more = true; more;) {
        more = false;
        for (size_t a = 0; a < n; a++)
            for (size_t b = 0; b < n; b++) {
                if (is_out(s, a, withheld) || is_out(s, b, withheld)) continue;
                if (!share_column(&s->slicings->list[a], &s->slicings->list[b])) continue;
                for (uint32_t i = 0; i < s->n_silos; i++) {
                    const int64_t *state = &s->state[i * n];
                    if (state[a] != GR_SLICE_WITHHELD || state[b] != GR_SLICE_TOLD) continue;
                    s->state[i * n + b] = GR_SLICE_WITHHELD;
                    more = true;
                }
            }
    }
}

/* A single silo that is withheld would follow from the others and the sum of all. */
static void withhold_more(struct gr_silo_slices *s, size_t slicing) {
    const size_t n = s->slicings->n;
    int64_t n_withheld = 0;
    for (uint32_t i = 0; i < s->n_silos; i++) {
        s->room[i] = s->state[i * n + slicing] == GR_SLICE_TOLD;
        n_withheld += s->state[i * n + slicing] == GR_SLICE_WITHHELD;
    }
    const size_t more =
        gr_scores_withhold_more(s->room, s->n_silos, n_withheld, s->told.rules.least_rows);
    if (more < s->n_silos) s->state[more * n + slicing] = GR_SLICE_WITHHELD;
}

/*
 * Collective. All groups less those of the silos that are told leave those of the others, who may
 * have few rows of a group together, or one of them all: then no silo tells the slicing.
 */
static gr_status withhold_rest(struct gr_silo_slices *s, struct gr_door *door) {
    const size_t groups = s->slicings->n_groups, n = s->slicings->n;
    const struct gr_slice_rules *rules = &s->told.rules;
    gr_status status;
    memset(s->rest, 0, 2 * groups * sizeof *s->rest);
    for (uint32_t i = 0; i < s->n_silos; i++)
        for (size_t k = 0; k < n && s->noted[i]; k++) {
            const struct gr_slicing *of = &s->slicings->list[k];
            if (s->state[i * n + k] != GR_SLICE_WITHHELD) continue;
            for (uint32_t g = of->first; g < of->first + of->n; g++) {
                const int64_t rows = s->own[i * groups + g].rows;
                s->rest[g] += rows;
                s->rest[groups + g] += rows > 0;
            }
        }
    GR_TRY(gr_release_sum(door, GR_RELEASE_SILO_SLICES, s->rest, 2 * groups));
    for (size_t k = 0; k < n; k++) {
        const struct gr_slicing *of = &s->slicings->list[k];
        bool few = false;
        for (uint32_t g = of->first; g < of->first + of->n; g++)
            few |= s->rest[g] > 0 &&
                   (s->rest[g] < rules->least_rows || s->rest[groups + g] < rules->least_silos);
        for (uint32_t i = 0; few && i < s->n_silos; i++)
            if (s->state[i * n + k] == GR_SLICE_TOLD) s->state[i * n + k] = GR_SLICE_WITHHELD;
    }
out:
    return status;
}

/* Zeros but of own silos' slicings that are told. */
static void set_total(struct gr_silo_slices *s) {
    const size_t groups = s->slicings->n_groups, n = s->slicings->n;
    memset(s->total, 0, s->n_silos * groups * sizeof *s->total);
    for (uint32_t i = 0; i < s->n_silos; i++)
        for (size_t k = 0; k < n && s->noted[i]; k++) {
            const struct gr_slicing *of = &s->slicings->list[k];
            if (s->state[i * n + k] == GR_SLICE_TOLD)
                memcpy(s->total + i * groups + of->first, s->own + i * groups + of->first,
                       of->n * sizeof *s->total);
        }
}

gr_status gr_silo_slices_find(struct gr_federation *f, struct gr_silo_slices *s,
                              const struct gr_score *told, const struct gr_slice_rules *rules,
                              const uint8_t *withheld) {
    struct gr_door *door = gr_cohort_door(f->cohort);
    gr_status status;
    const size_t n = s->slicings->n;
    s->told = (struct gr_slice_silos){.state = s->state, .total = s->total, .rules = *rules};
    set_states(s, told, withheld);
    GR_TRY(gr_release_sum(door, GR_RELEASE_SILO_SLICES, s->state, s->n_silos * n));
    if (withheld) withhold_linked(s, withheld);
    for (size_t k = 0; k < n; k++)
        withhold_more(s, k);
    if (withheld) {
        GR_TRY(withhold_rest(s, door));
        withhold_linked(s, withheld);
    }
    set_total(s);
    GR_TRY(gr_release_sum(door, GR_RELEASE_SILO_SLICES, &s->total->rows,
                          s->n_silos * (size_t)s->slicings->n_groups * GR_SLICE_SUMS));
    s->known = true;
out:
    return status;
}

const struct gr_slice_silos *gr_silo_slices_told(const struct gr_silo_slices *s) {
    return s && s->known ? &s->told : NULL;
}
