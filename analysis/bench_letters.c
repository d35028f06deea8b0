/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control messages of rank 0: of ordinary rounds, and of the one in which a rank dies.
 *
 *   mpirun [--enable-recovery] -n RANKS bench_letters [RANKS_PER_NODE [SILOS [PARTICIPANTS]]]
 *
 * Silos are placed in blocks; PARTICIPANTS of them, drawn anew each round, are in a round's roster.
 * After the rounds the last rank kills itself, and the others close a round without it. Prints the
 * messages that rank 0 has sent, their bytes and the largest, by kind; and the seconds of a round.
 */
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench_sum.h"
#include "comm/communicator.h"

enum { ROUNDS = 20 };

static const char *const kinds[GR_CONTROL_KINDS] = {"?",      "ready",      "trouble",  "join",
                                                    "answer", "invitation", "decision", "excluded",
                                                    "ping",   "pong"};

static void print_sent(struct gr_comm *comm, const char *when, double rounds, double seconds) {
    uint64_t bytes = 0, largest = 0;
    if (gr_comm_rank(comm) == 0)
        for (size_t k = 0; k < GR_CONTROL_KINDS; k++) {
            const struct gr_control_sent *sent = &comm->control_sent[k];
            bytes += sent->bytes;
            if (sent->largest > largest) largest = sent->largest;
            if (sent->messages > 0)
                printf("  %-10s %10.1f messages %12.0f bytes, largest %llu\n", kinds[k],
                       (double)sent->messages / rounds, (double)sent->bytes / rounds,
                       (unsigned long long)sent->largest);
        }
    if (gr_comm_rank(comm) == 0)
        printf("%s: %d ranks on %d nodes, rank 0 has sent %.0f bytes, the largest %llu; %.3f ms\n",
               when, gr_comm_size(comm), gr_comm_nodes(comm), (double)bytes / rounds,
               (unsigned long long)largest, 1e3 * seconds / rounds);
    fflush(stdout);
    memset(comm->control_sent, 0, sizeof comm->control_sent);
}

/* Draws the participants, the same on all ranks, and flags those of this slot. */
static void finish_silos(struct gr_comm *comm, struct gr_roster *roster, uint32_t participants) {
    const uint64_t n = roster->n_silos, slots = (uint64_t)gr_comm_slots(comm);
    const uint64_t slot = (uint64_t)gr_comm_slot(comm);
    const uint64_t from = n * slot / slots, to = n * (slot + 1) / slots;
    uint32_t left = participants, state = roster->round;
    gr_flags_clear(&roster->member);
    for (uint32_t i = 0; i < roster->n_silos; i++) {
        state = state * 1664525u + 1013904223u;
        if ((uint64_t)(state >> 8) * (roster->n_silos - i) >> 24 >= left) continue;
        left--;
        if (i >= from && i < to) gr_flags_set(&roster->member, i, GR_PRESENT);
    }
}

static double run_rounds(struct gr_comm *comm, struct gr_roster *roster, uint32_t participants,
                         uint32_t first, uint32_t n) {
    double seconds = 0;
    for (uint32_t round = first; round < first + n; round++) {
        roster->round = round;
        finish_silos(comm, roster, participants);
        if (round > first || n == 1) CHECK(gr_comm_agree(comm, GR_OK));
        const double begin = gr_clock_seconds();
        CHECK(gr_control_close_round(comm, roster, GR_OK, 600));
        seconds += gr_clock_seconds() - begin;
    }
    return seconds;
}

int main(int argc, char **argv) {
    struct gr_comm_options options = {0};
    struct gr_comm *comm;
    struct gr_roster roster;
    int rank, provided;
    MPI_Init_thread(&argc, &argv, MPI_THREAD_FUNNELED, &provided);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    options.ranks_per_node = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 0;
    const uint32_t silos = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 10000;
    const uint32_t participants = argc > 3 ? (uint32_t)strtoul(argv[3], NULL, 10) : silos;
    const double started = gr_clock_seconds();
    CHECK(gr_base_start());
    CHECK(gr_comm_create(MPI_COMM_WORLD, &options, &comm));
    if (rank == 0) printf("the start after MPI_Init: %.1f s\n", gr_clock_seconds() - started);
    fflush(stdout);
    gr_comm_started(comm);
    gr_comm_set_deadlines(comm, 120, 0);
    CHECK(gr_roster_create(silos, &roster));
    gr_control_expect(comm, silos);
    CHECK(gr_comm_agree(comm, GR_OK));
    memset(comm->control_sent, 0, sizeof comm->control_sent);
    print_sent(comm, "rounds", ROUNDS, run_rounds(comm, &roster, participants, 1, ROUNDS));
    CHECK(gr_comm_agree(comm, GR_OK));
    if (gr_comm_size(comm) > 1 && rank == gr_comm_size(comm) - 1) raise(SIGKILL);
    const double begin = gr_clock_seconds();
    roster.round = ROUNDS + 1;
    finish_silos(comm, &roster, participants);
    CHECK(gr_control_close_round(comm, &roster, GR_OK, 600));
    print_sent(comm, "a death", 1, gr_clock_seconds() - begin);
    print_sent(comm, "rounds", ROUNDS, run_rounds(comm, &roster, participants, 100, ROUNDS));
    /* Who has left while this rank still agreed on it looks lost; its word tells that all is over.
     */
    gr_status status = gr_control_finish(comm, GR_OK);
    if (status == GR_LOST) status = gr_control_recover(comm, &roster);
    if (!gr_comm_over(comm)) CHECK(status);
    print_sent(comm, "the end", 1, 0);
    _exit(0); /* MPI_Finalize may wait for the dead */
}
