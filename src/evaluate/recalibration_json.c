/* SPDX-License-Identifier: Apache-2.0 */
/* A recalibration in evaluation.json: what was found, and what it does to scores of test rows. */
#include <math.h>
#include <stdlib.h>

#include "evaluate/evaluation_json.h"

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

gr_status gr_recalibration_told_to_json(const struct gr_recalibration_told *told, char **out) {
    json_t *json = json_pack("{s:s, s:s}", "method", gr_recalibration_text(told->method),
                             "found_on", "validation");
    json_t *whole = json_pack("{s:o}", "recalibration", json);
    if (told->found) put_found(json, told->found);
    if (!told->found)
        json_object_set_new(json, "why", json_string(told->why));
    else if (!told->before)
        json_object_set_new(json, "test", json_pack("{s:s}", "why", told->why));
    else
        json_object_set_new(json, "test",
                            json_pack("{s:o, s:o}", "before", metrics_json(told->before), "after",
                                      metrics_json(told->after)));
    char *text = whole ? json_dumps(whole, JSON_COMPACT | JSON_REAL_PRECISION(17)) : NULL;
    gr_status status = text ? gr_text_format(out, "%s", text)
                            : gr_fail(GR_ERROR_INTERNAL, "memory for an evaluation was refused");
    free(text);
    json_decref(whole);
    return status;
}
