/* SPDX-License-Identifier: Apache-2.0 */
/* Events out of a file that has been read, for the report. */
#ifndef GRANARY_OBSERVE_EVENTS_H
#define GRANARY_OBSERVE_EVENTS_H

#include <granary/observe.h>

/* The first line at which the chain breaks; 0: it is whole. */
size_t gr_events_broken(const char *text, size_t length);

/* As gr_replay_open of a file with that text; `path` for messages. */
gr_status gr_replay_read(const char *path, const char *text, size_t length, uint32_t n_silos,
                         struct gr_replay **out) GR_CHECKED;

#endif
