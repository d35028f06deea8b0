/* SPDX-License-Identifier: Apache-2.0 */
/* Metrics read back, for the report. */
#ifndef GRANARY_OBSERVE_METRICS_H
#define GRANARY_OBSERVE_METRICS_H

#include <granary/observe.h>

/* The rounds of a metrics file; of its lines those that are none are left out. Caller frees *out.
 */
gr_status gr_metrics_read(const char *path, struct gr_metrics **out, size_t *n,
                          size_t *lines) GR_CHECKED;

#endif
