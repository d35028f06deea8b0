/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The function that is told, between the pieces of long work, that this process is at work. Rooms
 * below comm call it without knowing that it answers other ranks; whether and how often it does so
 * is the affair of the function that is set.
 */
#include <granary/base.h>

/* Of the process, which does its work in one thread. */
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

/* For work that must not stop half-way: a listener that wants an end asks for it again at the next
 * gr_alive. */
void gr_alive_on(void) {
    gr_status unused = gr_alive();
    (void)unused;
}
