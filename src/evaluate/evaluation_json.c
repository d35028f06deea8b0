/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An evaluation as JSON: evaluation.json of a run directory, and `granary evaluate --json`. Figures
 * that are not defined or withheld are null, as JSON has no NaN. Reals have 17 significant digits,
 * which give the same double back.
 */
#include "evaluate/evaluation_json.h"

#include <math.h>
#include <stdlib.h>

#include "evaluate/slices_json.h"

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/*
 * Whole numbers as such: without weights all counts are. Below 2^53 each whole double is exact. NaN
 * stands for a withheld cell.
 */
static json_t *count(double value) {
    if (isnan(value)) return json_null(); /* withheld */
    return value < 0x1p53 && !(value < floor(value)) && !(value > floor(value))
               ? json_integer((json_int_t)value)
               : json_real(value);
}

/*
 * {"value", "lower", "upper"}, or null with "why". jansson passes NULL on: a part for which memory
 * was refused is found when the whole is put together.
 */
json_t *gr_metric_json(struct gr_metric_value v, bool bounded) {
    if (v.why && isnan(v.lower)) return json_pack("{s:n, s:s}", "value", "why", v.why);
    if (v.why)
        return json_pack("{s:n, s:s, s:o, s:o}", "value", "why", v.why, "lower", number(v.lower),
                         "upper", number(v.upper));
    if (!bounded) return json_pack("{s:o}", "value", number(v.value));
    return json_pack("{s:o, s:o, s:o}", "value", number(v.value), "lower", number(v.lower), "upper",
                     number(v.upper));
}

/*
 * The metrics of the accumulator, or of the silo if `silo` is given. why: a better reason than the
 * accumulator's, which knows only that it has no rows. digits: 0 leaves all; for the accumulator it
 * is 0, because gr_accumulator_disclose has rounded its metrics already.
 */
static json_t *metrics_json(const struct gr_accumulator *accumulator,
                            const struct gr_silo_metrics *silo, uint32_t digits, const char *why) {
    json_t *all = json_object();
    for (unsigned m = 0; m < gr_metric_count; m++) {
        if (!gr_metric_fits(m, gr_accumulator_classes(accumulator))) continue;
        struct gr_metric_value v =
            silo ? gr_silo_metric(silo, m) : gr_accumulator_metric(accumulator, m);
        if (v.why && why) v.why = why;
        v.value = gr_round_digits(v.value, digits);
        v.lower = gr_round_digits(v.lower, digits);
        v.upper = gr_round_digits(v.upper, digits);
        if (json_object_set_new(all, gr_metric_rows[m].name,
                                gr_metric_json(v, gr_metric_rows[m].bounded)) == 0)
            continue;
        json_decref(all);
        return NULL;
    }
    return all;
}

static json_t *names_json(const char *const *names, size_t n) {
    json_t *list = json_array();
    for (size_t i = 0; i < n; i++)
        json_array_append_new(list, json_string(names[i]));
    return list;
}

/* counts[i][j]: rows of class i that were taken for class j; null where withheld. */
static json_t *confusion_json(const struct gr_accumulator *accumulator, const char *const *names) {
    const size_t classes = gr_accumulator_classes(accumulator);
    json_t *counts = json_array();
    for (size_t i = 0; i < classes; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < classes; j++)
            json_array_append_new(row, count(gr_accumulator_confusion(accumulator, i, j)));
        json_array_append_new(counts, row);
    }
    json_t *confusion = json_pack("{s:I}", "classes", (json_int_t)classes);
    if (names) json_object_set_new(confusion, "names", names_json(names, classes));
    if (json_object_set_new(confusion, "counts", counts) == 0) return confusion;
    json_decref(confusion);
    return NULL;
}

static json_t *reliability_json(const struct gr_accumulator *accumulator) {
    json_t *bins = json_array();
    for (size_t i = 0; i < GR_RELIABILITY_BINS; i++) {
        const struct gr_reliability b = gr_accumulator_reliability(accumulator, i);
        json_array_append_new(
            bins,
            json_pack("{s:o, s:o, s:o, s:o, s:o}", "from", number(b.from), "to", number(b.to), "n",
                      b.rows == GR_WITHHELD ? json_null() : json_integer((json_int_t)b.rows),
                      "mean_score", number(b.mean_score), "fraction", number(b.fraction)));
    }
    return json_pack("{s:o}", "bins", bins);
}

/* {"level", "method", "standard_error", "lower", "upper"}, or {"why"}. */
static json_t *auc_interval_json(const struct gr_evaluation *e) {
    const struct gr_metric_value error = gr_accumulator_auc_error(e->accumulator);
    const struct gr_interval interval = gr_accumulator_auc_interval(e->accumulator);
    if (error.why) return json_pack("{s:s}", "why", e->why ? e->why : error.why);
    return json_pack("{s:f, s:s, s:o, s:o, s:o}", "level", 0.95, "method", "DeLong",
                     "standard_error", number(error.value), "lower", number(interval.lower),
                     "upper", number(interval.upper));
}

json_t *gr_resampled_json(struct gr_resampled_metric v, const char *why) {
    if (v.why) return json_pack("{s:s}", "why", why ? why : v.why);
    if (isnan(v.mean)) return NULL;
    json_t *metric =
        json_pack("{s:o, s:o, s:o, s:o}", "lower", number(v.lower), "upper", number(v.upper),
                  "mean", number(v.mean), "standard_deviation", number(v.deviation));
    if (v.left_out > 0) json_object_set_new(metric, "left_out", json_integer(v.left_out));
    return metric;
}

/* As all of a silo's metrics; the accumulator's have the digits that they are told with. */
static struct gr_resampled_metric of_silo(const struct gr_silo_spread *silo, unsigned metric,
                                          uint32_t digits) {
    struct gr_resampled_metric v = gr_silo_spread_metric(silo, metric);
    v.lower = gr_round_digits(v.lower, digits);
    v.upper = gr_round_digits(v.upper, digits);
    v.mean = gr_round_digits(v.mean, digits);
    v.deviation = gr_round_digits(v.deviation, digits < 2 ? digits : 2);
    return v;
}

/* Of the accumulator, or of the silo if `silo` is given. */
static json_t *resampled_metrics_json(const struct gr_evaluation *e,
                                      const struct gr_silo_spread *silo) {
    json_t *all = json_object();
    for (unsigned m = 0; m < gr_metric_count; m++) {
        const struct gr_resampled_metric v =
            silo ? of_silo(silo, m, e->digits)
                 : gr_resampled_told(e->accumulator, m, e->bootstrap->metrics[m]);
        json_t *metric = gr_resampled_json(v, silo ? NULL : e->why);
        if (metric) json_object_set_new(all, gr_metric_rows[m].name, metric);
    }
    return all;
}

static json_t *bootstrap_json(const struct gr_evaluation *e) {
    const struct gr_bootstrap_told *b = e->bootstrap;
    json_t *all = json_pack("{s:I, s:s}", "replicates", (json_int_t)b->replicates, "unit", b->unit);
    if (b->silos > 0) json_object_set_new(all, "silos", json_integer(b->silos));
    json_object_set_new(all, "level", json_real(0.95));
    json_object_set_new(all, "method", json_string("percentile"));
    if (json_object_set_new(all, "metrics", resampled_metrics_json(e, NULL)) == 0) return all;
    json_decref(all);
    return NULL;
}

/* A list of {"threshold", "model", "all"}. */
static json_t *net_benefit_json(const struct gr_accumulator *accumulator) {
    json_t *list = json_array();
    for (size_t i = 0; i < GR_DECISIONS; i++) {
        const struct gr_net_benefit at = gr_accumulator_net_benefit(accumulator, i);
        json_array_append_new(list, json_pack("{s:f, s:o, s:o}", "threshold", at.threshold, "model",
                                              number(at.model), "all", number(at.all)));
    }
    return list;
}

/* {"chosen_on": "validation", "points": [{"rule", "threshold", "log_odds", the four shares}]}. */
static json_t *points_json(const struct gr_evaluation *e) {
    json_t *list = json_array();
    for (size_t i = 0; i < e->n_points; i++) {
        const struct gr_operating_point *p = &e->points[i];
        json_array_append_new(
            list, json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:o}", "rule", p->rule, "threshold",
                            number(p->threshold), "log_odds", number(p->log_odds), "sensitivity",
                            number(p->sensitivity), "specificity", number(p->specificity),
                            "positive_predictive_value", number(p->positive_predictive_value),
                            "negative_predictive_value", number(p->negative_predictive_value)));
    }
    return json_pack("{s:s, s:o}", "chosen_on", "validation", "points", list);
}

/*
 * Silos without rows are left out, withheld ones among them: both look alike to a reader, as is
 * meant.
 */
static json_t *silos_json(const struct gr_evaluation *e) {
    json_t *silos = json_array();
    const size_t classes = gr_accumulator_classes(e->accumulator);
    for (uint32_t i = 0; i < e->n_silos; i++) {
        const struct gr_score *score = &e->silos[i];
        char name[24];
        if (score->examples == 0) continue;
        gr_silo_pseudonym(i, name);
        json_t *silo =
            json_pack("{s:s, s:I, s:o, s:o}", "silo", name, "rows", (json_int_t)score->examples,
                      "loss", number(gr_round_digits(gr_score_loss(score), e->digits)), "accuracy",
                      number(classes > 0 ? gr_round_digits(gr_score_accuracy(score), e->digits)
                                         : (double)NAN));
        int bad = 0;
        if (e->silo_metrics && e->silo_metrics[i].told)
            bad = json_object_set_new(
                silo, "metrics",
                metrics_json(e->accumulator, &e->silo_metrics[i], e->digits, NULL));
        if (bad == 0 && e->bootstrap && e->bootstrap->of_silos && e->silo_metrics[i].told)
            bad = json_object_set_new(silo, "bootstrap",
                                      resampled_metrics_json(e, &e->bootstrap->of_silos[i]));
        if (bad == 0 && e->slices && e->silo_slices)
            bad = json_object_set_new(silo, "slices",
                                      gr_silo_slices_json(e->slices, e->silo_slices, i));
        if (bad || json_array_append(silos, silo) != 0) {
            json_decref(silo);
            json_decref(silos);
            return NULL;
        }
        json_decref(silo);
    }
    return silos;
}

/* The silo in which a metric is worst, of those that are told. */
static json_t *worst_silo_json(const struct gr_evaluation *e, unsigned metric, int sense) {
    double worst = (double)NAN;
    char name[24];
    uint32_t of = e->n_silos;
    for (uint32_t i = 0; i < e->n_silos; i++) {
        if (!e->silo_metrics[i].told) continue;
        const double value = gr_silo_metric(&e->silo_metrics[i], metric).value;
        if (!isfinite(value) || (of < e->n_silos && !(sense * value < sense * worst))) continue;
        worst = value;
        of = i;
    }
    if (of == e->n_silos) return NULL;
    gr_silo_pseudonym(of, name);
    return json_pack("{s:s, s:o}", "silo", name, "value",
                     number(gr_round_digits(worst, e->digits)));
}

/* By metric, of those that slices have too and of which it is known which way is worse. */
static json_t *worst_silos_json(const struct gr_evaluation *e) {
    json_t *all = json_object();
    for (int i = 0; e->silo_metrics && i < GR_SLICE_FIGURES; i++) {
        const enum gr_slice_figure figure = (enum gr_slice_figure)i;
        const unsigned metric = gr_metric_find(gr_slice_figure_name(figure));
        const int sense = gr_slice_figure_sense(figure);
        if (sense == 0 || metric == gr_metric_count ||
            !gr_metric_fits(metric, gr_accumulator_classes(e->accumulator)))
            continue;
        json_t *worst = worst_silo_json(e, metric, sense);
        if (worst) json_object_set_new(all, gr_metric_rows[metric].name, worst);
    }
    return all;
}

static int put(json_t *whole, const char *key, json_t *value) {
    return json_object_set_new(whole, key, value);
}

/* Of rows: nothing is known of which silos a group's rows are of. NULL: there are none. */
static gr_status make_spreads(const struct gr_evaluation *e, struct gr_slice_spreads **out) {
    *out = NULL;
    if (!e->bootstrap || e->bootstrap->silos > 0 || !e->slices || e->slices->why) return GR_OK;
    return gr_slice_spreads_create(e->slices, e->bootstrap->replicates, e->bootstrap->seed, out);
}

/* Errors are gathered in `bad` and looked at once; jansson frees the parts with the whole. */
gr_status gr_evaluation_to_json(const struct gr_evaluation *e, char **out) {
    gr_status status = GR_OK;
    const size_t classes = gr_accumulator_classes(e->accumulator);
    char *text = NULL;
    struct gr_slice_spreads *spreads;
    json_t *whole = json_object();
    int bad = make_spreads(e, &spreads) != GR_OK;
    if (e->round > 0) bad |= put(whole, "round", json_integer(e->round));
    bad |= put(whole, "rows_of", json_string(e->rows_of));
    bad |= put(whole, "rows", json_integer(gr_accumulator_rows(e->accumulator)));
    if (e->why) bad |= put(whole, "why", json_string(e->why));
    bad |= put(whole, "metrics", metrics_json(e->accumulator, NULL, 0, e->why));
    if (classes > 0 && classes <= GR_CONFUSION_CLASSES_MAX)
        bad |= put(whole, "confusion", confusion_json(e->accumulator, e->class_names));
    if (classes > 0) bad |= put(whole, "reliability", reliability_json(e->accumulator));
    if (classes == 2) bad |= put(whole, "auc_interval", auc_interval_json(e));
    if (gr_accumulator_has_decisions(e->accumulator))
        bad |= put(whole, "net_benefit", net_benefit_json(e->accumulator));
    if (e->bootstrap) bad |= put(whole, "bootstrap", bootstrap_json(e));
    if (e->n_points > 0) bad |= put(whole, "operating_points", points_json(e));
    if (e->postprocessing)
        bad |= put(whole, "postprocessing", json_loads(e->postprocessing, 0, NULL));
    if (e->findings) bad |= put(whole, "findings", json_loads(e->findings, 0, NULL));
    if (e->weighted) bad |= put(whole, "lost_weights", json_integer((json_int_t)e->lost_weights));
    if (e->slices || e->slices_why)
        bad |= put(whole, "slices", gr_slices_json(e->slices, e->slices_why, spreads));
    if (e->silos) bad |= put(whole, "worst_silo", worst_silos_json(e));
    if (e->silos) bad |= put(whole, "silos", silos_json(e));
    if (!bad) text = json_dumps(whole, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    status = text ? gr_text_format(out, "%s\n", text)
                  : gr_fail(GR_ERROR_INTERNAL, "memory for an evaluation was refused");
    gr_slice_spreads_free(spreads);
    free(text);
    json_decref(whole);
    return status;
}
