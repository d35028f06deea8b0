/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writers of a checkpoint that fail alone, are late or were given up: all learn of it, nobody
 * waits, and what is published is whole.
 *
 * ranks: 1 2 3 4
 */
#include "checkpoint.h"

#include <signal.h>
#include <sys/resource.h>

static void put_empty(const struct sample *s, const char *name) {
    char path[300];
    snprintf(path, sizeof path, "%s/%s", s->dir, name);
    fclose(fopen(path, "w"));
}

/* What writers that died have left goes; what a later one is writing does not, until a run begins.
 */
static int test_temporaries(struct gr_comm *comm) {
    int bad = 0;
    struct sample s;
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 2, false, &s) == GR_OK);
    if (gr_comm_rank(comm) == 0) {
        put_empty(&s, ".round-000004.9.h5.tmp");
        put_empty(&s, ".round-000005.0.h5.tmp");
        put_empty(&s, ".round-000005.1.h5.tmp");
        put_empty(&s, ".round-000005.2.h5.tmp");
        put_empty(&s, ".round-000006.0.h5.tmp");
        put_empty(&s, ".another.tmp");
    }
    EXPECT(write_round(comm, &s, 5, 2) == GR_OK);
    EXPECT(strcmp(listing(&s), ".another.tmp .round-000005.2.h5.tmp .round-000006.0.h5.tmp "
                               "round-000005.h5 ") == 0);
    EXPECT(gr_checkpoint_read(comm, s.dir, &s.state, &found, &passed) == GR_OK && found);
    EXPECT(strcmp(listing(&s), ".another.tmp round-000005.h5 ") == 0);
    release(comm, &s);
    return bad;
}

static int lowest_free_descriptor(void) {
    int fd = dup(2);
    close(fd);
    return fd;
}

/* One rank can open `room` files and no more: all learn of it, nothing is published, nobody waits.
 */
static int fail_alone(struct gr_comm *comm, struct sample *s, int failing, int room) {
    int bad = 0;
    struct rlimit old, small;
    char says[64];
    getrlimit(RLIMIT_NOFILE, &old);
    small = old;
    small.rlim_cur = (rlim_t)(lowest_free_descriptor() + room);
    if (gr_comm_rank(comm) == failing) setrlimit(RLIMIT_NOFILE, &small);
    gr_status status = write_round(comm, s, 6, 1);
    setrlimit(RLIMIT_NOFILE, &old);
    EXPECT_EQUAL(status, GR_ERROR_WRITE);
    snprintf(says, sizeof says, "on rank %d: Too many open files", failing);
    if (room == 0 && failing > 0) EXPECT(strstr(gr_message(), says) != NULL);
    EXPECT(strstr(gr_message(), "round-000006") != NULL);
    EXPECT(strcmp(listing(s), "round-000005.h5 ") == 0);
    return bad;
}

static int test_fails_alone(struct gr_comm *comm) {
    int bad = 0, last = gr_comm_size(comm) - 1;
    struct sample s, in;
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 6000, false, &s) == GR_OK && make(comm, 6000, true, &in) == GR_OK);
    EXPECT(write_round(comm, &s, 5, 1) == GR_OK);
    bad += fail_alone(comm, &s, last, 0);
    bad += fail_alone(comm, &s, 0, 1); /* rank 0 opens it for the HDF5 library too */
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT_EQUAL(in.state.round, 5);
    EXPECT(write_round(comm, &s, 6, 1) == GR_OK);
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(same(&s, &in));
    release(comm, &in);
    release(comm, &s);
    return bad;
}

static bool in_time(const char *path, bool there) {
    for (int i = 0; i < 20000; i++, usleep(100))
        if ((access(path, F_OK) == 0) == there) return true;
    return false;
}

/* Rank 0 writes what another that sleeps in the midst of it had begun to write. */
static int overtake(struct gr_comm *alone, struct sample *s, pid_t sleeper) {
    int bad = 0;
    char late[300];
    snprintf(late, sizeof late, "%s/.round-000005.1.h5.tmp", s->dir);
    EXPECT(in_time(late, true));
    EXPECT(kill(sleeper, SIGSTOP) == 0);
    usleep(20000); /* a signal needs its time */
    EXPECT(access(late, F_OK) == 0);
    s->state.round = 5;
    s->state.parameters[0] = 77;
    EXPECT(gr_checkpoint_write(alone, s->dir, &s->state, 1, 2, NULL) == GR_OK);
    EXPECT(access(late, F_OK) != 0);
    EXPECT(kill(sleeper, SIGCONT) == 0);
    return bad;
}

/* A rank 0 that was given up and wakes up fails and changes nothing. */
static int test_given_up(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    struct gr_comm_options options = {0};
    struct gr_comm *alone = NULL;
    bool found = false;
    char *passed = NULL;
    int pids[2] = {getpid(), getpid()};
    if (gr_comm_size(comm) < 2) return 0;
    EXPECT(make(comm, 6000, false, &s) == GR_OK && make(comm, 6000, true, &in) == GR_OK);
    EXPECT(gr_comm_create(MPI_COMM_SELF, &options, &alone) == GR_OK);
    MPI_Bcast(&pids[1], 1, MPI_INT, 1, MPI_COMM_WORLD);
    if (gr_comm_rank(comm) == 0) bad += overtake(alone, &s, pids[1]);
    if (gr_comm_rank(comm) == 1) EXPECT(write_round(alone, &s, 5, 1) == GR_ERROR_WRITE);
    EXPECT(strcmp(listing(&s), "round-000005.h5 ") == 0);
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT_EQUAL(in.state.parameters[0], 77);
    gr_comm_free(alone);
    release(comm, &in);
    release(comm, &s);
    return bad;
}

PARALLEL_MAIN({"temporaries", test_temporaries}, {"fails alone", test_fails_alone},
              {"given up", test_given_up})
