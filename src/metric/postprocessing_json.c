/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Postprocessing as the text that a model's file holds. What is read may be anybody's: each number
 * is held against its bounds, and each list has its ends, before it is used.
 */
#include <granary/postprocessing.h>

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void gr_postprocessing_release(struct gr_postprocessing *p) {
    gr_recalibration_release(&p->recalibration);
}

/* ---- written -------------------------------------------------------------------------------- */

/* {"method": "platt", "intercept", "slope"}, {"method": "temperature", "slope"}, or {"method":
 * "isotonic", "bins": 4096, "steps": [[0, 0.125], ...]}. */
static json_t *recalibration_json(const struct gr_recalibration *r) {
    json_t *json = json_pack("{s:s}", "method", gr_recalibration_text(r->method));
    if (r->method == GR_RECALIBRATION_PLATT)
        json_object_set_new(json, "intercept", json_real(r->intercept));
    if (r->method != GR_RECALIBRATION_ISOTONIC) {
        json_object_set_new(json, "slope", json_real(r->slope));
        return json;
    }
    json_t *steps = json_array();
    for (size_t i = 0; i < r->n_steps; i++)
        json_array_append_new(steps,
                              json_pack("[I, f]", (json_int_t)r->steps[i].from, r->steps[i].rate));
    json_object_set_new(json, "bins", json_integer(GR_ISOTONIC_BINS));
    json_object_set_new(json, "steps", steps);
    return json;
}

/* {"alpha", "of": "classes" or "number", "key"}. */
static json_t *conformal_json(const struct gr_conformal *c) {
    return json_pack("{s:f, s:s, s:I}", "alpha", c->alpha, "of",
                     c->of_number ? "number" : "classes", "key", (json_int_t)c->key);
}

gr_status gr_postprocessing_to_json(const struct gr_postprocessing *p, char **out) {
    char *text = NULL;
    *out = NULL;
    if (p->recalibration.method == GR_RECALIBRATION_NONE && !(p->conformal.alpha > 0)) return GR_OK;
    json_t *whole = json_object();
    if (p->recalibration.method != GR_RECALIBRATION_NONE)
        json_object_set_new(whole, "recalibration", recalibration_json(&p->recalibration));
    if (p->conformal.alpha > 0)
        json_object_set_new(whole, "conformal", conformal_json(&p->conformal));
    text = json_dumps(whole, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    json_decref(whole);
    gr_status status =
        text ? gr_text_format(out, "%s\n", text)
             : gr_fail(GR_ERROR_INTERNAL, "memory for what is made of outputs was refused");
    free(text);
    return status;
}

/* ---- read ----------------------------------------------------------------------------------- */

static gr_status damaged(const char *name, const char *what) {
    return gr_fail(GR_ERROR_DATA, "%s: %s", name, what);
}

/* Without it: NAN. */
static double real_of(const json_t *json, const char *key) {
    const json_t *value = json_object_get(json, key);
    return json_is_number(value) ? json_number_value(value) : (double)NAN;
}

/* Both ascend, the first from bin 0; a rate is neither 0 nor 1. */
static bool read_step(const json_t *pair, struct gr_recalibration *r) {
    const json_t *from = json_array_get(pair, 0), *rate = json_array_get(pair, 1);
    const struct gr_isotonic_step *last = r->n_steps > 0 ? &r->steps[r->n_steps - 1] : NULL;
    if (json_array_size(pair) != 2 || !json_is_integer(from) || !json_is_number(rate)) return false;
    const json_int_t bin = json_integer_value(from);
    const double p = json_number_value(rate);
    if (bin < 0 || bin >= GR_ISOTONIC_BINS || !(p > 0 && p < 1)) return false;
    if (last ? bin <= (json_int_t)last->from || p < last->rate : bin != 0) return false;
    r->steps[r->n_steps++] = (struct gr_isotonic_step){(uint32_t)bin, p};
    return true;
}

static gr_status read_steps(const char *name, const json_t *json, struct gr_recalibration *out) {
    const json_t *steps = json_object_get(json, "steps"), *bins = json_object_get(json, "bins");
    const size_t n = json_array_size(steps);
    if (!json_is_integer(bins) || json_integer_value(bins) != GR_ISOTONIC_BINS || n < 1 ||
        n > GR_ISOTONIC_BINS)
        return damaged(name, "recalibration: its steps are not those of bins");
    gr_status status = gr_allocate(n, sizeof *out->steps, "steps", &out->steps);
    for (size_t i = 0; status == GR_OK && i < n; i++)
        if (!read_step(json_array_get(steps, i), out))
            status = damaged(name, "recalibration: a step is impossible");
    return status;
}

static gr_status read_recalibration(const char *name, const json_t *json, size_t classes,
                                    struct gr_recalibration *out) {
    const char *method = json_string_value(json_object_get(json, "method"));
    enum { FIRST = GR_RECALIBRATION_TEMPERATURE, LAST = GR_RECALIBRATION_ISOTONIC };
    for (int m = FIRST; method && m <= LAST; m++)
        if (strcmp(method, gr_recalibration_text((enum gr_recalibration_method)m)) == 0)
            out->method = (enum gr_recalibration_method)m;
    if (out->method == GR_RECALIBRATION_NONE)
        return damaged(name, "recalibration: found no method that is known");
    if (classes < 2 || (classes > 2 && out->method != GR_RECALIBRATION_TEMPERATURE))
        return damaged(name, "recalibration: the method is not one for a model of these classes");
    if (out->method == GR_RECALIBRATION_ISOTONIC) return read_steps(name, json, out);
    out->slope = real_of(json, "slope");
    out->intercept = out->method == GR_RECALIBRATION_PLATT ? real_of(json, "intercept") : 0;
    if (!(out->slope > 0 && isfinite(out->slope) && isfinite(out->intercept)))
        return damaged(name, "recalibration: found no finite slope above 0");
    return GR_OK;
}

static gr_status read_conformal(const char *name, const json_t *json, size_t classes,
                                struct gr_conformal *out) {
    const char *of = json_string_value(json_object_get(json, "of"));
    const json_t *key = json_object_get(json, "key");
    const double alpha = real_of(json, "alpha");
    const bool of_number = classes == 0;
    if (!of || strcmp(of, of_number ? "number" : "classes") != 0 || !(alpha > 0 && alpha < 1) ||
        !json_is_integer(key) || json_integer_value(key) < 0 ||
        json_integer_value(key) >= gr_conformal_keys(of_number))
        return damaged(name, "conformal: found no alpha and key of what the model predicts");
    *out = (struct gr_conformal){alpha, of_number, (uint32_t)json_integer_value(key)};
    return GR_OK;
}

gr_status gr_postprocessing_parse(const char *name, const char *text, size_t classes,
                                  struct gr_postprocessing *out) {
    gr_status status = GR_OK;
    json_error_t error;
    json_t *whole = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    *out = (struct gr_postprocessing){0};
    if (!json_is_object(whole)) {
        json_decref(whole);
        return damaged(name, "found no JSON object");
    }
    const json_t *recalibration = json_object_get(whole, "recalibration");
    const json_t *conformal = json_object_get(whole, "conformal");
    if (json_object_size(whole) != (size_t)(recalibration != NULL) + (conformal != NULL))
        status = damaged(name, "found what this version does not know");
    if (status == GR_OK && recalibration)
        status = read_recalibration(name, recalibration, classes, &out->recalibration);
    if (status == GR_OK && conformal)
        status = read_conformal(name, conformal, classes, &out->conformal);
    json_decref(whole);
    if (status != GR_OK) gr_postprocessing_release(out);
    return status;
}
