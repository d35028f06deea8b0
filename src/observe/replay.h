/* SPDX-License-Identifier: Apache-2.0 */
/* Rosters that are read event by event, while a run writes them. */
#ifndef GRANARY_OBSERVE_REPLAY_H
#define GRANARY_OBSERVE_REPLAY_H

#include <granary/observe.h>
#include <jansson.h>

/* A replay without events. Caller releases with gr_replay_close. */
gr_status gr_replay_begin(uint32_t n_silos, struct gr_replay **out) GR_CHECKED;
/* Takes the next event, as gr_replay_open does. Errors: GR_ERROR_DATA. */
gr_status gr_replay_take(struct gr_replay *replay, const json_t *event) GR_CHECKED;

#endif
