/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of evaluation.json that several files make. */
#ifndef GRANARY_EVALUATE_EVALUATION_JSON_H
#define GRANARY_EVALUATE_EVALUATION_JSON_H

#include <granary/evaluate.h>
#include <jansson.h>

/* {"value", "lower", "upper"}, or null with "why". bounded: the bounds are told. */
json_t *gr_metric_json(struct gr_metric_value value, bool bounded);

#endif
