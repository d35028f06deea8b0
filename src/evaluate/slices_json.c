/* SPDX-License-Identifier: Apache-2.0 */
/* Slices and fairness in evaluation.json. Groups without rows are left out; one that is withheld
 * says so. */
#include <math.h>

#include "evaluate/slices_json.h"

enum { NAME_BYTES = 1024 };
static const char withheld_words[] = "under the threshold, or would show a group that is";

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

static json_t *name_json(const struct gr_slice_scores *s, uint32_t group) {
    char name[NAME_BYTES];
    gr_slice_name(s->slicings, group, name, sizeof name);
    return json_string(name);
}

/* {"value", "lower", "upper"}; the last two only where they differ; or null with "why". */
static json_t *value_json(struct gr_slice_value v) {
    json_t *out = json_pack("{s:o}", "value", number(v.value));
    if (v.why) json_object_set_new(out, "why", json_string(v.why));
    if (!(v.lower < v.upper)) return out;
    json_object_set_new(out, "lower", number(v.lower));
    json_object_set_new(out, "upper", number(v.upper));
    return out;
}

static void put_spread(json_t *to, struct gr_resampled_metric v) {
    json_t *spread = gr_resampled_json(v, NULL);
    if (spread) json_object_set_new(to, "bootstrap", spread);
}

static json_t *group_json(const struct gr_slice_scores *s, const struct gr_slice_spreads *spreads,
                          uint32_t group) {
    json_t *out = json_pack("{s:o}", "group", name_json(s, group)), *metrics;
    if (s->withheld[group]) {
        json_object_set_new(out, "withheld", json_string(withheld_words));
        return out;
    }
    json_object_set_new(out, "rows", json_integer((json_int_t)s->total[group].rows));
    metrics = json_object();
    for (int i = 0; i < GR_SLICE_FIGURES; i++) {
        const enum gr_slice_figure figure = (enum gr_slice_figure)i;
        /* Of single silos no scores are counted in bins. */
        if (!gr_slice_figure_fits(figure, s->classes) ||
            (figure == GR_SLICE_AUC && !s->bins.counts))
            continue;
        json_t *value = value_json(gr_slice_told(s, group, figure));
        if (spreads) put_spread(value, gr_slice_spread(spreads, group, figure));
        json_object_set_new(metrics, gr_slice_figure_name(figure), value);
    }
    json_object_set_new(out, "metrics", metrics);
    return out;
}

/* ---- fairness ------------------------------------------------------------------------------- */

static json_t *measure_json(const struct gr_slice_scores *s, const struct gr_slice_spreads *spreads,
                            size_t slicing, enum gr_fairness_measure measure, bool ratio) {
    const struct gr_fairness_value v = gr_fairness(s, slicing, measure, ratio);
    json_t *out = json_pack("{s:o}", "value", number(v.value));
    if (v.why) {
        json_object_set_new(out, "why", json_string(v.why));
        if (v.why_of != UINT32_MAX) json_object_set_new(out, "group", name_json(s, v.why_of));
        return out;
    }
    if (v.least < v.most) {
        json_object_set_new(out, "lower", number(v.least));
        json_object_set_new(out, "upper", number(v.most));
    }
    json_object_set_new(out, "lowest", name_json(s, v.low));
    json_object_set_new(out, "highest", name_json(s, v.high));
    if (spreads) put_spread(out, gr_fairness_spread(spreads, slicing, measure, ratio));
    if (!isfinite(v.lower) || !isfinite(v.upper)) return out;
    json_object_set_new(
        out, "interval",
        json_pack("{s:f, s:s, s:o, s:o}", "level", 0.95, "method",
                  ratio ? "Donner and Zou, of Wilson's limits" : "Newcombe, of Wilson's limits",
                  "lower", number(v.lower), "upper", number(v.upper)));
    return out;
}

static json_t *fairness_json(const struct gr_slice_scores *s,
                             const struct gr_slice_spreads *spreads, size_t slicing) {
    json_t *out = json_object();
    if (s->classes != 2) {
        json_object_set_new(out, "why", json_string("fairness is of models of two classes"));
        return out;
    }
    for (int m = 0; m < GR_FAIRNESS_MEASURES; m++) {
        const enum gr_fairness_measure measure = (enum gr_fairness_measure)m;
        json_t *both = json_object();
        if (measure != GR_DISPARATE_IMPACT)
            json_object_set_new(both, "difference",
                                measure_json(s, spreads, slicing, measure, false));
        json_object_set_new(both, "ratio", measure_json(s, spreads, slicing, measure, true));
        json_object_set_new(out, gr_fairness_name(measure), both);
    }
    return out;
}

/* ---- the whole ------------------------------------------------------------------------------ */

static json_t *slicing_json(const struct gr_slice_scores *s, const struct gr_slice_spreads *spreads,
                            size_t slicing) {
    const struct gr_slicing *of = &s->slicings->list[slicing];
    json_t *groups = json_array();
    json_int_t withheld = 0;
    for (uint32_t g = of->first; g < of->first + of->n; g++) {
        withheld += s->withheld[g];
        if (s->withheld[g] || s->total[g].rows > 0)
            json_array_append_new(groups, group_json(s, spreads, g));
    }
    return json_pack("{s:s, s:I, s:o, s:o}", "slicing", of->text, "withheld", withheld, "groups",
                     groups, "fairness", fairness_json(s, spreads, slicing));
}

/* The group in which a figure is worst, over all slicings. */
static json_t *worst_json(const struct gr_slice_scores *s, enum gr_slice_figure figure) {
    const int sense = gr_slice_figure_sense(figure);
    double worst = (double)NAN;
    uint32_t of = UINT32_MAX;
    for (uint32_t g = 0; g < s->slicings->n_groups; g++) {
        if (s->withheld[g] || s->total[g].rows == 0) continue;
        const double value = gr_slice_told(s, g, figure).value;
        if (!isfinite(value) || (of != UINT32_MAX && !(sense * value < sense * worst))) continue;
        worst = value;
        of = g;
    }
    if (of == UINT32_MAX) return NULL;
    return json_pack("{s:s, s:o, s:o}", "slicing", gr_slicing_of(s->slicings, of)->text, "group",
                     name_json(s, of), "value", number(worst));
}

json_t *gr_slices_json(const struct gr_slice_scores *s, const char *why,
                       const struct gr_slice_spreads *spreads) {
    if (s && s->why) why = s->why;
    if (!s || s->why) return json_pack("{s:s}", "why", why);
    json_t *list = json_array(), *worst = json_object();
    for (size_t i = 0; i < s->slicings->n; i++)
        json_array_append_new(list, slicing_json(s, spreads, i));
    for (int i = 0; i < GR_SLICE_FIGURES; i++) {
        const enum gr_slice_figure figure = (enum gr_slice_figure)i;
        if (!gr_slice_figure_fits(figure, s->classes) || gr_slice_figure_sense(figure) == 0)
            continue;
        json_t *of = worst_json(s, figure);
        if (of) json_object_set_new(worst, gr_slice_figure_name(figure), of);
    }
    return json_pack("{s:I, s:o, s:o}", "least_rows", (json_int_t)s->rules.least_rows, "slicings",
                     list, "worst", worst);
}

json_t *gr_silo_slices_json(const struct gr_slice_scores *all, const struct gr_slice_silos *silos,
                            uint32_t silo) {
    static const uint8_t none[GR_SLICE_GROUPS_MAX] = {0};
    const struct gr_slicings *slicings = all->slicings;
    const struct gr_slice_scores s = {.slicings = slicings,
                                      .classes = all->classes,
                                      .total = silos->total + silo * (size_t)slicings->n_groups,
                                      .withheld = none,
                                      .rules = silos->rules};
    json_t *list = json_array();
    for (size_t k = 0; k < slicings->n; k++) {
        const struct gr_slicing *of = &slicings->list[k];
        const int64_t state = silos->state[silo * slicings->n + k];
        json_t *one = json_pack("{s:s}", "slicing", of->text), *groups = json_array();
        for (uint32_t g = of->first; g < of->first + of->n && state == GR_SLICE_TOLD; g++)
            if (s.total[g].rows > 0) json_array_append_new(groups, group_json(&s, NULL, g));
        if (state == GR_SLICE_TOLD)
            json_object_set(one, "groups", groups);
        else
            json_object_set_new(one, "withheld", json_string(withheld_words));
        json_decref(groups);
        json_array_append_new(list, one);
    }
    return list;
}
