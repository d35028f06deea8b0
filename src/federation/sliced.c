/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scores of a model by slices: rows of each group in integers, beside those of all rows. First
 * how many rows and silos each group has is added up; all then know which groups are withheld, and
 * nothing else of these leaves a rank. Told are they of the model that a run ends with, once: two
 * scorings of the same rows would say who was in one of them.
 */
#include "federation/internal.h"

#include <string.h>

/* Rows whose scores an accumulator keeps, in the order in which they were added. */
struct source {
    const struct gr_rows *rows; /* borrowed */
};

struct gr_sliced {
    const struct gr_slicings *slicings; /* borrowed, of the cohort's data */
    size_t classes;
    bool counts;                               /* in this scoring */
    bool known;                                /* `told` is of the present total */
    double *room;                              /* classes; owned, as all that follows */
    struct gr_slice_tally *part, *own, *total; /* by group: of one silo, of this rank, of all */
    int64_t *silos;                            /* of this rank, with rows of a group */
    int64_t *sizes;                            /* rows, silos, and silos that were not scored */
    uint8_t *withheld;
    uint32_t *place;
    struct source *sources;
    size_t n_sources, sources_room;
    struct gr_row_listener listener;
    struct gr_silo_slices *of_silos; /* NULL: not asked for */
    struct gr_slice_scores told;
};

static gr_status hear(void *context, struct gr_model *model, const struct gr_rows *rows,
                      size_t first, size_t n) {
    struct gr_sliced *s = context;
    const float *logits = gr_model_logits(model), *weights = gr_model_batch_weights(model);
    const int32_t *labels = gr_model_batch_labels(model);
    const float *targets = gr_model_batch_targets(model);
    gr_status status = GR_OK;
    if (!rows->groups || rows->n_slicings != s->slicings->n)
        return gr_fail(GR_ERROR_INTERNAL, "rows without their groups");
    for (size_t i = 0; i < n; i++) {
        const uint16_t *group = rows->groups + (first + i) * rows->n_slicings;
        const int64_t units = gr_weight_units(weights, i);
        struct gr_slice_tally row;
        GR_TRY(s->classes > 0
                   ? gr_slice_class_row(logits + i * s->classes, s->classes, (size_t)labels[i],
                                        units, s->room, &row)
                   : gr_slice_number_row((double)logits[i], (double)targets[i], units, &row));
        for (size_t k = 0; k < rows->n_slicings; k++)
            gr_slice_add(&s->part[group[k]], &row);
    }
out:
    return status;
}

gr_status gr_sliced_create(const struct gr_federation *f, struct gr_sliced **out) {
    const struct gr_slicings *slicings = f->data->slicings;
    struct gr_sliced *s = NULL;
    gr_status status = GR_OK;
    *out = NULL;
    if (!slicings) return GR_OK;
    const size_t n = slicings->n_groups;
    GR_TRY(gr_allocate_zero(1, sizeof *s, "slices", &s));
    s->slicings = slicings;
    s->classes = gr_model_classes(f->model);
    GR_TRY(gr_allocate(s->classes, sizeof *s->room, "slices", &s->room));
    GR_TRY(gr_allocate_zero(n, sizeof *s->part, "slices", &s->part));
    GR_TRY(gr_allocate_zero(n, sizeof *s->own, "slices", &s->own));
    GR_TRY(gr_allocate_zero(n, sizeof *s->total, "slices", &s->total));
    GR_TRY(gr_allocate_zero(n, sizeof *s->silos, "slices", &s->silos));
    GR_TRY(gr_allocate_zero(2 * n + 1, sizeof *s->sizes, "slices", &s->sizes));
    GR_TRY(gr_allocate_zero(n, 1, "slices", &s->withheld));
    GR_TRY(gr_allocate_zero(n, sizeof *s->place, "slices", &s->place));
    GR_TRY(gr_silo_slices_create(f, &s->of_silos));
    s->listener = (struct gr_row_listener){.hear = hear, .context = s};
    *out = s;
    s = NULL;
out:
    gr_sliced_free(s);
    return status;
}

void gr_sliced_free(struct gr_sliced *s) {
    if (!s) return;
    gr_silo_slices_free(s->of_silos);
    gr_free(s->told.bins.counts);
    gr_free(s->sources);
    gr_free(s->place);
    gr_free(s->withheld);
    gr_free(s->sizes);
    gr_free(s->silos);
    gr_free(s->total);
    gr_free(s->own);
    gr_free(s->part);
    gr_free(s->room);
    gr_free(s);
}

void gr_sliced_clear(struct gr_sliced *s, bool counts) {
    if (!s) return;
    s->counts = counts;
    s->known = false;
    s->n_sources = 0;
    gr_silo_slices_clear(s->of_silos);
    memset(s->own, 0, s->slicings->n_groups * sizeof *s->own);
    memset(s->silos, 0, s->slicings->n_groups * sizeof *s->silos);
}

bool gr_sliced_is(const struct gr_sliced *s, bool counts) {
    return !s || s->counts == counts;
}

void gr_sliced_forget(struct gr_sliced *s) {
    if (!s) return;
    s->known = false;
    gr_silo_slices_forget(s->of_silos);
}

const struct gr_row_listener *gr_sliced_listen(struct gr_sliced *s) {
    if (!s || !s->counts) return NULL;
    memset(s->part, 0, s->slicings->n_groups * sizeof *s->part);
    return &s->listener;
}

static gr_status add_source(struct gr_sliced *s, const struct gr_rows *rows) {
    struct source *grown;
    if (s->n_sources == s->sources_room) {
        const size_t room = s->sources_room ? 2 * s->sources_room : 16;
        gr_status status = gr_allocate(room, sizeof *grown, "slices", &grown);
        if (status != GR_OK) return status;
        if (s->n_sources > 0) memcpy(grown, s->sources, s->n_sources * sizeof *grown);
        gr_free(s->sources);
        s->sources = grown;
        s->sources_room = room;
    }
    s->sources[s->n_sources++] = (struct source){rows};
    return GR_OK;
}

gr_status gr_sliced_take(struct gr_sliced *s, const struct gr_rows *rows, bool of_silo) {
    if (!s || !s->counts || rows->n_rows == 0) return GR_OK;
    for (uint32_t g = 0; g < s->slicings->n_groups; g++) {
        gr_slice_add(&s->own[g], &s->part[g]);
        s->silos[g] += of_silo && s->part[g].rows > 0;
    }
    return add_source(s, rows);
}

/* ---- over all ranks ------------------------------------------------------------------------- */

/* Collective. Which groups are withheld, by rows and silos of all. */
static gr_status find_withheld(struct gr_federation *f, struct gr_sliced *s) {
    const size_t n = s->slicings->n_groups;
    int64_t *rows = s->sizes, *silos = rows + n, *missed = silos + n;
    gr_status status;
    *missed = 0;
    for (size_t g = 0; g < n; g++) {
        rows[g] = s->own[g].rows;
        silos[g] = s->silos[g];
    }
    for (size_t i = 0; i < f->data->n_local; i++)
        *missed += gr_unscored_has(f->unscored, f->data->local[i].id);
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SLICES, s->sizes, 2 * n + 1));
    gr_slices_withhold(s->slicings, rows, silos, &s->told.rules, s->withheld);
out:
    return status;
}

/* Collective. Of two classes the scores of the groups that are told, by bins. */
static gr_status add_bins(struct gr_federation *f, struct gr_sliced *s,
                          const struct gr_sliced_rows *of) {
    struct gr_slice_bins *bins = &s->told.bins;
    uint32_t n = 0;
    size_t first = 0;
    gr_status status;
    for (uint32_t g = 0; g < s->slicings->n_groups; g++)
        s->place[g] = s->withheld[g] || s->sizes[g] == 0 ? UINT32_MAX : n++;
    gr_free(bins->counts);
    *bins = (struct gr_slice_bins){.bins = gr_slice_bins_of(n)};
    const size_t words = 2 * (size_t)n * bins->bins;
    GR_TRY(gr_comm_agree(
        f->comm, gr_allocate_zero(words, sizeof *bins->counts, "bins of slices", &bins->counts)));
    for (size_t i = 0; i < s->n_sources; i++) {
        const struct gr_rows *rows = s->sources[i].rows;
        gr_slice_bin(s->total, of->own, first, rows->n_rows, rows->groups, rows->n_slicings,
                     s->place, bins);
        first += rows->n_rows;
    }
    status = gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SLICES, bins->counts, words);
out:
    return status;
}

static void set_rules(const struct gr_federation *f, bool of_silos, struct gr_slice_rules *out) {
    const struct gr_config *config = f->config;
    const uint32_t threshold = of_silos ? config->data.disclosure_threshold : 0;
    const uint32_t least = config->evaluate.minimum_rows;
    *out = (struct gr_slice_rules){.least_rows = threshold > least ? threshold : least,
                                   .least_silos = of_silos ? gr_policy_silos(config) : 0,
                                   .hidden = threshold,
                                   .digits = of_silos ? config->policy.digits : 0};
}

gr_status gr_sliced_find(struct gr_federation *f, struct gr_sliced *s,
                         const struct gr_sliced_rows *of) {
    gr_status status = GR_OK;
    size_t n;
    if (!s || !s->counts) return GR_OK;
    n = s->slicings->n_groups;
    set_rules(f, of->of_silos, &s->told.rules);
    GR_TRY(find_withheld(f, s));
    for (size_t g = 0; g < n; g++) {
        s->total[g] = (struct gr_slice_tally){0};
        if (!s->withheld[g]) s->total[g] = s->own[g];
    }
    GR_TRY(gr_release_sum(gr_cohort_door(f->cohort), GR_RELEASE_SLICES, &s->total->rows,
                          n * GR_SLICE_SUMS));
    if (s->classes == 2) GR_TRY(add_bins(f, s, of));
    s->told.slicings = s->slicings;
    s->told.classes = s->classes;
    s->told.total = s->total;
    s->told.withheld = s->withheld;
    s->told.place = s->place;
    /* A model that can score the silo's rows would tell of its groups by the difference. */
    s->told.why = of->of_silos && s->sizes[2 * n] > 0
                      ? "rows of a silo could not be scored: the next model's groups would tell its"
                      : NULL;
    s->known = true;
out:
    return status;
}

uint32_t gr_sliced_foresee(const struct gr_sliced *s, uint32_t releases[GR_SLICED_SUMS]) {
    const uint32_t n = !s ? 0 : s->classes == 2 ? GR_SLICED_SUMS : GR_SLICED_SUMS - 1;
    for (size_t i = 0; i < n; i++)
        releases[i] = GR_RELEASE_SLICES;
    return n;
}

const struct gr_slice_scores *gr_sliced_told(const struct gr_sliced *s) {
    return s && s->known ? &s->told : NULL;
}

/* ---- of single silos ------------------------------------------------------------------------ */

bool gr_sliced_of_silos(const struct gr_sliced *s) {
    return s && s->counts && s->of_silos;
}

void gr_sliced_note_silo(struct gr_sliced *s, uint32_t silo) {
    if (gr_sliced_of_silos(s)) gr_silo_slices_note(s->of_silos, silo, s->part);
}

void gr_sliced_drop_silo(struct gr_sliced *s, uint32_t silo) {
    if (s) gr_silo_slices_drop(s->of_silos, silo);
}

gr_status gr_sliced_add_silos(struct gr_federation *f, struct gr_sliced *s,
                              const struct gr_score *told, bool of_validation) {
    struct gr_slice_rules rules;
    if (!gr_sliced_of_silos(s) || (s->known && s->told.why)) return GR_OK;
    set_rules(f, gr_policy_holds(f->config), &rules);
    return gr_silo_slices_find(f, s->of_silos, told, &rules, of_validation ? s->withheld : NULL);
}

const struct gr_slice_silos *gr_sliced_silos_told(const struct gr_sliced *s) {
    return s ? gr_silo_slices_told(s->of_silos) : NULL;
}
