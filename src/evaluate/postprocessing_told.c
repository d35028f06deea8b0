/* SPDX-License-Identifier: Apache-2.0 */
/* What is made of outputs, in evaluation.json: what was found, and what it does to test rows. */
#include <math.h>
#include <stdlib.h>

#include "evaluate/evaluation_json.h"

static json_t *number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* ---- recalibration -------------------------------------------------------------------------- */

/* Where a bin of log-odds begins, as a probability; the first one at 0. */
static double probability_at(uint32_t bin) {
    const double middle = 0.5 * GR_ISOTONIC_BINS, place = ((double)bin - middle) / middle;
    return bin == 0 ? 0 : 1 / (1 + exp(-4 * place / (1 - fabs(place))));
}

static void put_found(json_t *json, const struct gr_recalibration *r) {
    json_t *steps = r->method == GR_RECALIBRATION_ISOTONIC ? json_array() : NULL;
    if (r->method == GR_RECALIBRATION_PLATT)
        json_object_set_new(json, "intercept", json_real(r->intercept));
    if (r->method == GR_RECALIBRATION_TEMPERATURE)
        json_object_set_new(json, "temperature", json_real(1 / r->slope));
    if (!steps) {
        json_object_set_new(json, "slope", json_real(r->slope));
        return;
    }
    for (size_t i = 0; i < r->n_steps; i++)
        json_array_append_new(steps,
                              json_pack("{s:f, s:f}", "from", probability_at(r->steps[i].from),
                                        "rate", r->steps[i].rate));
    json_object_set_new(json, "steps", steps);
}

/* Metrics that a recalibration is made for, and the accuracy, which it should not cost. */
static json_t *metrics_json(const struct gr_accumulator *accumulator) {
    static const char *const names[] = {"accuracy",
                                        "log_loss",
                                        "brier",
                                        "calibration_error",
                                        "observed_expected",
                                        "calibration_slope",
                                        "calibration_intercept"};
    json_t *all = json_object();
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const unsigned metric = gr_metric_find(names[i]);
        if (!gr_metric_fits(metric, gr_accumulator_classes(accumulator))) continue;
        json_object_set_new(all, names[i],
                            gr_metric_json(gr_accumulator_metric(accumulator, metric), false));
    }
    return all;
}

static json_t *recalibration_json(const struct gr_postprocessing_told *told) {
    json_t *json = json_pack("{s:s, s:s}", "method", gr_recalibration_text(told->recalibration),
                             "found_on", "validation");
    if (told->why_not_recalibrated) {
        json_object_set_new(json, "why", json_string(told->why_not_recalibrated));
        return json;
    }
    put_found(json, &told->found->recalibration);
    json_object_set_new(json, "test",
                        told->why_not_of_test
                            ? json_pack("{s:s}", "why", told->why_not_of_test)
                            : json_pack("{s:o, s:o}", "before", metrics_json(told->before), "after",
                                        metrics_json(told->after)));
    return json;
}

/* ---- conformal prediction ------------------------------------------------------------------- */

static json_t *coverage_json(const struct gr_coverage_told *c, bool of_number) {
    json_t *json =
        json_pack("{s:I, s:o}", "rows", (json_int_t)c->rows, "coverage", number(c->coverage));
    if (of_number) return json;
    json_object_set_new(json, "mean_size", number(c->mean_size));
    json_object_set_new(json, "empty", number(c->empty));
    return json;
}

static json_t *silos_json(const struct gr_coverage_told *c) {
    json_t *silos = json_array();
    for (size_t i = 0; i < c->n_silos; i++) {
        char name[24];
        gr_silo_pseudonym(c->silos[i].silo, name);
        json_array_append_new(silos, json_pack("{s:s, s:I, s:o}", "silo", name, "rows",
                                               (json_int_t)c->silos[i].rows, "coverage",
                                               number(c->silos[i].coverage)));
    }
    return silos;
}

static json_t *conformal_json(const struct gr_postprocessing_told *told) {
    const struct gr_conformal *found = &told->found->conformal;
    json_t *json = json_pack("{s:f, s:s}", "alpha", told->alpha, "found_on", "validation");
    if (told->why_no_sets) {
        json_object_set_new(json, "why", json_string(told->why_no_sets));
        return json;
    }
    json_object_set_new(json, found->of_number ? "half_width" : "least_probability",
                        json_real(gr_conformal_bound(found)));
    json_object_set_new(json, "test",
                        told->why_not_of_test ? json_pack("{s:s}", "why", told->why_not_of_test)
                                              : coverage_json(told->coverage, found->of_number));
    if (told->coverage->silos) json_object_set_new(json, "silos", silos_json(told->coverage));
    return json;
}

/* ---- both ----------------------------------------------------------------------------------- */

gr_status gr_postprocessing_told_to_json(const struct gr_postprocessing_told *told, char **out) {
    json_t *whole = json_object();
    if (told->recalibration != GR_RECALIBRATION_NONE)
        json_object_set_new(whole, "recalibration", recalibration_json(told));
    if (told->alpha > 0) json_object_set_new(whole, "conformal", conformal_json(told));
    char *text = whole ? json_dumps(whole, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    gr_status status = text ? gr_text_format(out, "%s", text)
                            : gr_fail(GR_ERROR_INTERNAL, "memory for an evaluation was refused");
    free(text);
    json_decref(whole);
    return status;
}
