/* SPDX-License-Identifier: Apache-2.0 */
/* The function that is told, between the pieces of long work, that this process is at work. */
#include <granary/base.h>

static struct {
    gr_poll_function poll;
    void *context;
} listener;

void gr_alive_set(gr_poll_function poll, void *context) {
    listener.poll = poll;
    listener.context = context;
}

gr_status gr_alive(void) {
    return listener.poll ? listener.poll(listener.context) : GR_OK;
}

void gr_alive_on(void) {
    gr_status unused = gr_alive();
    (void)unused;
}
