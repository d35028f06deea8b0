/* SPDX-License-Identifier: Apache-2.0 */
/* The parts that all carriers share: closing, notices to the post, the count of refused letters. */
#include "post/carrier.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

/* One for all carriers: it is held for as long as a notice takes, which only wakes somebody. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

void gr_carrier_listen(struct gr_carrier *carrier, void (*notify)(void *context), void *context) {
    pthread_mutex_lock(&lock);
    carrier->notify = notify;
    carrier->context = context;
    pthread_mutex_unlock(&lock);
}

void gr_carrier_tell(struct gr_carrier *carrier) {
    pthread_mutex_lock(&lock);
    if (carrier->notify) carrier->notify(carrier->context);
    pthread_mutex_unlock(&lock);
}

void gr_carrier_renew(struct gr_carrier *carrier) {
    pthread_mutex_lock(&lock);
    carrier->renewed = true;
    if (carrier->notify) carrier->notify(carrier->context);
    pthread_mutex_unlock(&lock);
}

bool gr_carrier_was_renewed(struct gr_carrier *carrier) {
    pthread_mutex_lock(&lock);
    const bool renewed = carrier->renewed;
    carrier->renewed = false;
    pthread_mutex_unlock(&lock);
    return renewed;
}

void gr_carrier_refuse(struct gr_carrier *carrier) {
    pthread_mutex_lock(&lock);
    struct gr_carrier_refused *refused = &carrier->refused[gr_letter_refusal()];
    if (gr_letter_refusal() == GR_REFUSED_STUDY) carrier->stranger = gr_letter_stranger() + 1;
    if (refused->n++ == 0) snprintf(refused->words, sizeof refused->words, "%s", gr_message());
    pthread_mutex_unlock(&lock);
}

uint64_t gr_carrier_n_refused(const struct gr_carrier *carrier, enum gr_refusal why) {
    pthread_mutex_lock(&lock);
    const uint64_t n = carrier->refused[why].n;
    pthread_mutex_unlock(&lock);
    return n;
}

bool gr_carrier_stranger(struct gr_carrier *carrier, uint32_t *party) {
    pthread_mutex_lock(&lock);
    const uint32_t found = carrier->stranger;
    carrier->stranger = 0;
    pthread_mutex_unlock(&lock);
    if (found > 0) *party = found - 1;
    return found > 0;
}

/* They are written once, before the count that the caller has seen. */
const char *gr_carrier_refusal_words(const struct gr_carrier *carrier, enum gr_refusal why) {
    return carrier->refused[why].words;
}

void gr_carrier_close(struct gr_carrier *carrier) {
    if (carrier) carrier->kind->close(carrier);
}
