/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The control plane: roll call and closing of rounds, with ranks that fail, are late or ask to
 * stop.
 *
 * ranks: 1 2 3 4 8
 */
#include <unistd.h>

#include "parallel.h"

enum { SILOS = 13 };

static bool same_message(void) {
    static char first[GR_MESSAGE_MAX];
    memcpy(first, gr_message(), strlen(gr_message()) + 1);
    MPI_Bcast(first, sizeof first, MPI_BYTE, 0, MPI_COMM_WORLD);
    return strcmp(first, gr_message()) == 0;
}

static size_t my_silos(const struct gr_comm *comm, uint32_t n_silos, uint32_t *silos) {
    size_t n = 0;
    for (uint32_t i = 0; i < n_silos; i++)
        if ((int)(i % (uint32_t)gr_comm_size(comm)) == gr_comm_rank(comm)) silos[n++] = i;
    return n;
}

static int roll_call(struct gr_comm *comm) {
    int bad = 0;
    uint32_t silos[SILOS];
    int32_t host_of[SILOS];
    size_t n = my_silos(comm, SILOS, silos);
    EXPECT(gr_control_roll_call(comm, silos, n, SILOS, host_of, 20) == GR_OK);
    for (int i = 0; i < SILOS; i++)
        EXPECT_EQUAL(host_of[i], i % gr_comm_size(comm));
    return bad;
}

static int roll_call_refusals(struct gr_comm *comm) {
    int bad = 0, last = gr_comm_size(comm) - 1;
    bool i_am_last = gr_comm_rank(comm) == last;
    uint32_t silos[SILOS + 1];
    int32_t host_of[SILOS];
    size_t n = my_silos(comm, SILOS, silos);
    /* One that nobody has. */
    EXPECT_EQUAL(gr_control_roll_call(comm, silos, i_am_last ? n - 1 : n, SILOS, host_of, 20),
                 GR_ERROR_INTERNAL);
    EXPECT(strstr(gr_message(), "no rank announces silo") && same_message());
    /* One that is not. */
    uint32_t kept = silos[0];
    if (i_am_last) silos[0] = SILOS;
    EXPECT_EQUAL(gr_control_roll_call(comm, silos, n, SILOS, host_of, 20), GR_ERROR_INTERNAL);
    EXPECT(strstr(gr_message(), "announces silo 13, expected 0 to 12") && same_message());
    silos[0] = kept;
    /* One announced twice. */
    silos[n] = 0;
    EXPECT_EQUAL(gr_control_roll_call(comm, silos, i_am_last ? n + 1 : n, SILOS, host_of, 20),
                 GR_ERROR_INTERNAL);
    EXPECT(same_message());
    /* More than there are. */
    EXPECT_EQUAL(gr_control_roll_call(comm, silos, i_am_last ? SILOS + 1 : n, SILOS, host_of, 20),
                 GR_ERROR_INTERNAL);
    EXPECT(same_message());
    EXPECT(gr_control_roll_call(comm, silos, n, SILOS, host_of, 20) == GR_OK);
    return bad;
}

/* Flags this rank's silos, all but one in turn. */
static void finish_silos(const struct gr_comm *comm, struct gr_roster *roster, uint32_t round) {
    roster->round = round;
    roster->stop_requested = false;
    for (uint32_t i = 0; i < roster->n_silos; i++)
        roster->member[i] = (int)(i % (uint32_t)gr_comm_size(comm)) == gr_comm_rank(comm) &&
                            i != round % roster->n_silos;
}

static int expect_members(const struct gr_roster *roster, uint32_t round) {
    int bad = 0;
    EXPECT_EQUAL(roster->n_members, roster->n_silos - 1);
    for (uint32_t i = 0; i < roster->n_silos; i++)
        EXPECT_EQUAL(roster->member[i], i != round % roster->n_silos);
    return bad;
}

static int rounds_close(struct gr_comm *comm) {
    int bad = 0;
    /* With many silos the verdict is more than a message of the eager kind. */
    for (uint32_t n_silos = SILOS; n_silos <= 3000; n_silos += 2987) {
        struct gr_roster roster;
        EXPECT(gr_roster_create(n_silos, &roster) == GR_OK);
        for (uint32_t round = 1; round <= 200; round++) {
            finish_silos(comm, &roster, round);
            EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
            EXPECT(!roster.stop_requested);
            bad += expect_members(&roster, round);
        }
        gr_roster_release(&roster);
    }
    return bad;
}

static int failing_ranks(struct gr_comm *comm) {
    int bad = 0, rank = gr_comm_rank(comm), size = gr_comm_size(comm);
    struct gr_roster roster;
    char expected[64], text[GR_MESSAGE_MAX];
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    for (int failing = 0; failing < size; failing++) {
        gr_status mine = GR_OK;
        if (rank >= failing) mine = gr_fail(GR_ERROR_DATA, "silo of rank %d", rank);
        snprintf(expected, sizeof expected, "silo of rank %d", failing);
        finish_silos(comm, &roster, 7);
        EXPECT_EQUAL(gr_control_close_round(comm, &roster, mine, 20), GR_ERROR_DATA);
        EXPECT(strcmp(gr_message(), expected) == 0);
        /* The longest message there can be. */
        memset(text, 'a' + failing, sizeof text);
        text[sizeof text - 1] = '\0';
        mine = rank == failing ? gr_fail(GR_ERROR_WRITE, "%s", text) : GR_OK;
        EXPECT_EQUAL(gr_control_close_round(comm, &roster, mine, 20), GR_ERROR_WRITE);
        EXPECT(strcmp(gr_message(), text) == 0);
        finish_silos(comm, &roster, 8);
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        bad += expect_members(&roster, 8);
    }
    gr_roster_release(&roster);
    return bad;
}

static int stop_is_heard(struct gr_comm *comm) {
    int bad = 0;
    struct gr_roster roster;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    for (int asking = 0; asking < gr_comm_size(comm); asking++) {
        finish_silos(comm, &roster, 1);
        roster.stop_requested = gr_comm_rank(comm) == asking;
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        EXPECT(roster.stop_requested);
        bad += expect_members(&roster, 1);
    }
    gr_roster_release(&roster);
    return bad;
}

static int silo_on_two_ranks(struct gr_comm *comm) {
    int bad = 0;
    struct gr_roster roster;
    if (gr_comm_size(comm) == 1) return 0;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    finish_silos(comm, &roster, 3);
    roster.member[5] = 1;
    EXPECT_EQUAL(gr_control_close_round(comm, &roster, GR_OK, 20), GR_ERROR_INTERNAL);
    EXPECT(strstr(gr_message(), "silo 5, which another rank has") && same_message());
    gr_roster_release(&roster);
    return bad;
}

static int another_round(struct gr_comm *comm) {
    int bad = 0, last = gr_comm_size(comm) - 1;
    struct gr_roster roster;
    if (last == 0) return 0;
    EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
    finish_silos(comm, &roster, gr_comm_rank(comm) == last ? 4 : 3);
    EXPECT_EQUAL(gr_control_close_round(comm, &roster, GR_OK, 20), GR_ERROR_INTERNAL);
    EXPECT(strstr(gr_message(), "reports for round 4") && same_message());
    MPI_Barrier(MPI_COMM_WORLD);
    finish_silos(comm, &roster, 5);
    EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
    bad += expect_members(&roster, 5);
    gr_roster_release(&roster);
    return bad;
}

/* A rank past the deadline: the round is void for all, and the next goes well. */
static int late_rank(struct gr_comm *comm) {
    int bad = 0, last = gr_comm_size(comm) - 1;
    struct gr_roster roster;
    char expected[96];
    if (last == 0) return 0;
    snprintf(expected, sizeof expected, "round 3: 1 of %d ranks did not report", last + 1);
    for (uint32_t many = 0; many < 2; many++) {
        /* With many silos the late rank's report is more than a message of the eager kind. */
        EXPECT(gr_roster_create(many ? 20000 : SILOS, &roster) == GR_OK);
        finish_silos(comm, &roster, 3);
        MPI_Barrier(MPI_COMM_WORLD);
        if (gr_comm_rank(comm) == last) usleep(600000);
        EXPECT_EQUAL(gr_control_close_round(comm, &roster, GR_OK, 0.3), GR_STOPPED);
        EXPECT(strncmp(gr_message(), expected, strlen(expected)) == 0 && same_message());
        gr_roster_release(&roster);
        /* What comes late from a larger federation must not upset a smaller one. */
        EXPECT(gr_roster_create(SILOS, &roster) == GR_OK);
        finish_silos(comm, &roster, 4);
        EXPECT(gr_control_close_round(comm, &roster, GR_OK, 20) == GR_OK);
        bad += expect_members(&roster, 4);
        gr_roster_release(&roster);
    }
    return bad;
}

PARALLEL_MAIN({"roll call", roll_call}, {"roll call refusals", roll_call_refusals},
              {"rounds close", rounds_close}, {"failing ranks", failing_ranks},
              {"stop is heard", stop_is_heard}, {"silo on two ranks", silo_on_two_ranks},
              {"another round", another_round}, {"late rank", late_rank})
