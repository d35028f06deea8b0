/* SPDX-License-Identifier: Apache-2.0 */
/* Which ranks are meant, in words; and before round 1 whom the others wait for. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/communicator.h"
#include "comm/handshake.h"

enum { NAMED_MAX = 8 };

void gr_host_name(char out[GR_HOST_BYTES]) {
    char name[256] = "";
    if (gethostname(name, sizeof name - 1) != 0 || !name[0]) snprintf(name, sizeof name, "?");
    name[strcspn(name, ".")] = '\0';
    gr_text_quote(name, strlen(name), out, GR_HOST_BYTES);
}

/* The text stays within GR_NAMES_BYTES however many ranks there are: NAMED_MAX are named, the rest
 * are counted in a tail that is written anew each time. */
void gr_names_add(struct gr_names *names, int rank, const char *host) {
    size_t used = strlen(names->text);
    const size_t room = sizeof names->text - used;
    names->n++;
    if (names->n > NAMED_MAX) {
        char *more = strstr(names->text, " and ");
        if (more) *more = '\0';
        used = strlen(names->text);
        snprintf(names->text + used, sizeof names->text - used, " and %d more",
                 names->n - NAMED_MAX);
    } else {
        snprintf(names->text + used, room, "%srank %d%s%.24s%s", names->n > 1 ? ", " : "", rank,
                 host ? " (" : "", host ? host : "", host ? ")" : "");
    }
}

void gr_say(const struct gr_comm_options *options, const char *format, ...) {
    char text[GR_MESSAGE_MAX];
    va_list arguments;
    if (!options->say) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    options->say(text);
}

/* Every 30 s, but at least four times in a short wait. */
double gr_tell_every_s(double limit_s) {
    static const double every_s = 30;
    return limit_s / 4 < every_s ? limit_s / 4 : every_s;
}

/* From the environment, for ranks do not share a config yet. A value that is no number, or out of
 * range, is ignored rather than refused: the config is checked later, and says so. */
double gr_comm_start_seconds(void) {
    static const double most_s = 1e6;
    const char *text = getenv(GR_COMM_START_VARIABLE);
    char *end = NULL;
    double told = text ? strtod(text, &end) : 0;
    return text && end != text && *end == '\0' && told > 0 && told <= most_s ? told
                                                                             : GR_COMM_START_S;
}

double gr_comm_start_s(const struct gr_comm_options *options) {
    return options->start_s > 0 ? options->start_s : gr_comm_start_seconds();
}

const char *gr_comm_host_name(const struct gr_comm *comm, int slot) {
    return comm->peers[slot].name;
}

void gr_start_silent(const struct gr_comm *comm, struct gr_names *names) {
    /* Where some are silent, those that have ended have given up waiting for them. */
    for (int dead = 0; dead < 2 && names->n == 0; dead++)
        for (int i = 0; i < comm->size; i++) {
            const struct gr_peer *peer = &comm->peers[comm->slot_of[i]];
            if (i != comm->rank && peer->dead == dead && (dead || peer->unanswered))
                gr_names_add(names, i, peer->name);
        }
}

/* Rank 1 asks rank 0 alone, which asks all. */
static void ask(struct gr_comm *comm) {
    const struct gr_control_message_head head = {.kind = GR_CONTROL_PING, .epoch = comm->epoch};
    for (int i = 0; i < comm->size; i++) {
        struct gr_peer *peer = &comm->peers[comm->slot_of[i]];
        if (i == comm->rank || (comm->rank > 0 && i > 0)) continue;
        if (gr_control_message_send_plain(comm, comm->slot_of[i], &head) != GR_OK) continue;
        peer->unanswered = true;
    }
}

/*
 * Tells the terminal, before round 1 alone, whom all wait for. Half an interval earlier signs of
 * life are asked for, so that only ranks that do not answer are named, and not those that are
 * loading. Rank 1 watches rank 0, which watches all: two voices at most.
 */
void gr_start_look(struct gr_wait *wait) {
    static const double answers_within = 0.5; /* of the time between two messages */
    struct gr_comm *comm = wait->comm;
    const double limit = comm->collective_s / 2, every = gr_tell_every_s(limit);
    if (!comm->starting || comm->rank > 1) return;
    if (!wait->asked && wait->waited_s >= wait->told_s + every * (1 - answers_within)) {
        ask(comm);
        wait->asked = true;
    }
    if (!wait->asked || wait->waited_s < wait->told_s + every) return;
    struct gr_names names = {0};
    gr_start_silent(comm, &names);
    wait->asked = false;
    wait->told_s = wait->waited_s;
    if (names.n > 0)
        gr_say(&comm->options, "waiting for %s, which give%s no sign: %.0f of %g s", names.text,
               names.n == 1 ? "s" : "", wait->waited_s, limit);
}

/* From now on silence is judged by the deadlines of rounds. */
void gr_comm_started(struct gr_comm *comm) {
    comm->starting = false;
    for (int i = 0; i < comm->slots; i++) {
        comm->peers[i].silent_s = 0;
        comm->peers[i].unanswered = false;
    }
}

/* At most one rank says yes, as long as ranks 0 and 1 see each other's state alike. */
bool gr_comm_speaks(const struct gr_comm *comm) {
    if (comm->rank == 0) return !comm->over && !comm->out;
    const struct gr_peer *first = &comm->peers[comm->slot_of[0]];
    return comm->starting && comm->rank == 1 && (first->dead || first->unanswered);
}
