/* SPDX-License-Identifier: Apache-2.0 */
/* What the post reads from its carriers. */
#ifndef GRANARY_POST_CARRIER_H
#define GRANARY_POST_CARRIER_H

#include "post/letter.h"

/* From now on a carrier's thread calls notify(context); NULL: nobody is to be called any more, and
 * no call is under way when this returns. */
void gr_carrier_listen(struct gr_carrier *carrier, void (*notify)(void *context), void *context);
/* Whether gr_carrier_renew was called since the last time. */
bool gr_carrier_was_renewed(struct gr_carrier *carrier);
/* How many letters were refused for the reason. */
uint64_t gr_carrier_n_refused(const struct gr_carrier *carrier, enum gr_refusal why);
/* The words of the first of them; "": there was none yet. */
const char *gr_carrier_refusal_words(const struct gr_carrier *carrier, enum gr_refusal why);

/* Whether a letter of another study has come since this was last asked, and in whose name. */
bool gr_carrier_stranger(struct gr_carrier *carrier, uint32_t *party);

#endif
