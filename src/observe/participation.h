/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the report on who took part, and on alerts. */
#ifndef GRANARY_OBSERVE_PARTICIPATION_H
#define GRANARY_OBSERVE_PARTICIPATION_H

#include <granary/observe.h>

#include <jansson.h>

/* Fewer silos took part than were selected. */
bool gr_participation_is_partial(const struct gr_metrics *metrics);

/* "In 3 of 20 rounds some silos were missing."; nothing when none was. */
void gr_participation_sentence(FILE *page, const struct gr_metrics *rounds, size_t n);

/* The section "Who took part"; nothing when nobody was missing. */
void gr_participation_section(FILE *page, const struct gr_metrics *rounds, size_t n);

/* The events "alert" of an events file, a list; lines that are none are left out. Caller releases
 * with json_decref. */
gr_status gr_alerts_read(const char *path, json_t **out) GR_CHECKED;

/* The section "Alerts"; nothing when there is none. */
void gr_alerts_section(FILE *page, const json_t *alerts);

#endif
