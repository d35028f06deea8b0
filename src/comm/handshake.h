/* SPDX-License-Identifier: Apache-2.0 */
/* The first messages between ranks, and words about ranks that are waited for. */
#ifndef GRANARY_COMM_HANDSHAKE_H
#define GRANARY_COMM_HANDSHAKE_H

#include <granary/comm.h>

#include "comm/link.h"

struct gr_wait;

/* ---- names of ranks (rank_names.c) ------------------------------------------------------------
 */

/* "rank 1 (h1), rank 3 (h2) and 4 more", for people. */
struct gr_names {
    int n;
    char text[GR_NAMES_BYTES];
};
/* host: NULL where it is not known. */
void gr_names_add(struct gr_names *names, int rank, const char *host);

void gr_host_name(char out[GR_HOST_BYTES]);

/* Tells whoever started, in words; printf-like. Nothing where nobody listens. */
void gr_say(const struct gr_comm_options *options, const char *format, ...) GR_PRINTF(2, 3);

/* Sleeps, in place of gr_wait_sleep, where there is no window yet. */
void gr_doze(double seconds);

/* Seconds from one message to the next, of a wait that may take `limit_s`. */
double gr_tell_every_s(double limit_s);
/* Seconds that the others wait longer than rank 0, which is to name who is missing. */
#define GR_COMM_LATER_S 3.0
/* Seconds that the ranks are given to start. */
double gr_comm_start_s(const struct gr_comm_options *options);

/* Before the first round, in a wait: asks for signs of life, and tells who gives none. */
void gr_start_look(struct gr_wait *wait);
/* Names the ranks that are dead, or have given no sign since they were asked. */
void gr_start_silent(const struct gr_comm *comm, struct gr_names *names);

/* ---- handshake.c ------------------------------------------------------------------------------
 */

/*
 * Collective over `world`, by messages. GR_ERROR_CONFIG, the same on all: some rank is made of
 * other things than rank 0, by name. GR_STOPPED: some do not answer; MPI is then not to be used
 * again.
 */
gr_status gr_handshake(MPI_Comm world, const struct gr_comm_options *options) GR_CHECKED;
/* Not collective. What this process is made of, in lines; the text that is compared. */
gr_status gr_hello_compose(const struct gr_comm_options *options,
                           char out[GR_HELLO_BYTES]) GR_CHECKED;
/* Not collective. GR_ERROR_CONFIG, in words with the site's name, unless its hello is like that of
 * the coordinator but for the host: a gr_jobs_differ. */
gr_status gr_hello_of_site(const char *first, const char *other, const char *name) GR_CHECKED;

/* Collective of MPI over members and respawned ranks, rank 0 a member. A respawned rank that is
 * made of other things fails alone. */
gr_status gr_handshake_respawned(MPI_Comm merged, bool respawned,
                                 const struct gr_comm_options *options) GR_CHECKED;

#endif
