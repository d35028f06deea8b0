/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a party leaves a study by itself, and how the coordinator learns of it.
 *
 * The job of a site leaves where a signal tells it to, or where it fails for a reason of its own:
 * the others go on without it, as they do without one whose processes have ended, but at once and
 * knowing the kind of the reason. Whichever rank has the reason tells its gateway. The gateway
 * tells the coordinator's by a sealed note, and then the ranks of its job, all of which end alike:
 * whatever they wait for returns the reason (gr_mailbox_poll).
 */
#include <string.h>

#include "comm/communicator.h"
#include "comm/handshake.h"
#include "comm/jobs.h"

/* ---- leaving --------------------------------------------------------------------------------- */

bool gr_comm_leaves(const struct gr_comm *comm) {
    return comm->leaves != GR_OK;
}

gr_status gr_departure_reason(const struct gr_comm *comm) {
    if (comm->leaves == GR_OK) return GR_OK;
    return gr_fail(comm->leaves, "%s", comm->told);
}

/* From now on whatever this rank waits for ends. */
void gr_departure_take(struct gr_comm *comm, gr_status why, const char *text, size_t n) {
    if (comm->leaves != GR_OK) return;
    comm->leaves = why;
    comm->out = true;
    if (n > GR_MESSAGE_MAX - 1) n = GR_MESSAGE_MAX - 1;
    memcpy(comm->told, text, n);
    comm->told[n] = '\0';
    if (comm->options.study->ends) *comm->options.study->ends = GR_JOB_ENDS;
}

/* Looks after messages until `done`, or for a while. */
static void linger(struct gr_comm *comm, bool (*done)(const struct gr_comm *comm)) {
    static const double longest_s = 10, look_s = 0.01;
    const double until = gr_clock_seconds() + longest_s;
    while (!done(comm) && gr_clock_seconds() < until) {
        const gr_status unused = gr_mailbox_poll(comm);
        (void)unused;
        gr_detect(comm);
        if (!done(comm)) gr_doze(look_s);
    }
}

static bool has_told_ranks(const struct gr_comm *comm) {
    return !comm->mailbox.outgoing;
}

static bool gateway_knows(const struct gr_comm *comm) {
    return comm->leaves != GR_OK || comm->peers[comm->first].dead;
}

/* The coordinator first: launchers end a job of which one rank has ended. */
static void leave_as_gateway(struct gr_comm *comm, gr_status why, const char *text) {
    const size_t n = strlen(text);
    gr_departure_take(comm, why, text, n);
    gr_gateway_say_goodbye(comm->options.study->gateway, why);
    for (int slot = comm->first + 1; slot < comm->first + comm->locals; slot++) {
        const gr_status unused = gr_link_send_farewell(comm, slot, why, text, n);
        (void)unused;
    }
    linger(comm, has_told_ranks);
}

static void leave_by_gateway(struct gr_comm *comm, gr_status why, const char *text) {
    const size_t n = strlen(text);
    const gr_status unused = gr_link_send_farewell(comm, comm->first, why, text, n);
    (void)unused;
    linger(comm, gateway_knows);
    gr_departure_take(comm, why, text, n);
}

gr_status gr_comm_depart(struct gr_comm *comm, gr_status why) {
    char text[GR_MESSAGE_MAX];
    if (why == GR_OK || why == GR_LOST || !comm->link || comm->options.study->party == 0)
        return why;
    if (comm->leaves == GR_OK && !comm->departing) {
        comm->departing = true;
        memcpy(text, gr_message(), strlen(gr_message()) + 1);
        if (comm->slot == comm->first)
            leave_as_gateway(comm, why, text);
        else
            leave_by_gateway(comm, why, text);
    }
    return comm->leaves != GR_OK ? gr_departure_reason(comm) : why;
}

/* Of a site: its signal is to leave at once. The coordinator's is to stop after the round. */
gr_status gr_departure_look(struct gr_comm *comm) {
    const struct gr_comm_study *study = comm->options.study;
    if (!comm->link || study->party == 0) return GR_OK;
    if (comm->leaves != GR_OK) return gr_departure_reason(comm);
    if (comm->departing || !study->stop || *study->stop == 0) return GR_OK;
    return gr_comm_depart(comm, gr_fail(GR_STOPPED, "stopped by a signal; the same command takes "
                                                    "part again from the next round"));
}

/* ---- at the coordinator ---------------------------------------------------------------------- */

static struct gr_gateway *gateway_of(const struct gr_comm *comm) {
    return comm->link && comm->slot == 0 ? comm->options.study->gateway : NULL;
}

bool gr_comm_parting(struct gr_comm *comm, struct gr_comm_parting *out) {
    struct gr_gateway *gateway = gateway_of(comm);
    for (uint32_t p = 1; gateway && p < gateway->n_parties; p++) {
        struct gr_parting *parting = &gateway->parting[p];
        if (parting->untold == GR_OK) continue;
        *out = (struct gr_comm_parting){p, parting->untold, parting->for_good};
        parting->untold = GR_OK;
        return true;
    }
    return false;
}

/* Whether a party is away that may come: then it may be waited for. */
static bool may_come(const struct gr_comm *comm, const struct gr_gateway *gateway) {
    bool any = false;
    for (uint32_t p = 1; p < gateway->n_parties; p++) {
        const int first = gr_link_job(comm->link, p)->first;
        any = any || (!gr_gateway_is_refused(gateway, p) && comm->rank_of[first] < 0);
    }
    return any;
}

/* All are to be told party and kind, so the words are taken for told already. */
gr_status gr_comm_refused(struct gr_comm *comm, const char *consequence) {
    const struct gr_gateway *gateway = gateway_of(comm);
    if (gateway && may_come(comm, gateway)) return GR_OK;
    for (uint32_t p = 1; gateway && p < gateway->n_parties; p++) {
        if (!gr_gateway_is_refused(gateway, p)) continue;
        const struct gr_parting *parting = &gateway->parting[p];
        const gr_status status =
            gr_fail(parting->for_good ? GR_ERROR_POLICY : parting->why, "%s has left (%s%s): %s",
                    gr_comm_party_name(comm, p), gr_parting_words(parting),
                    parting->for_good ? "" : "; its own terminal says why", consequence);
        memcpy(comm->told, gr_message(), strlen(gr_message()) + 1);
        return status;
    }
    return GR_OK;
}
