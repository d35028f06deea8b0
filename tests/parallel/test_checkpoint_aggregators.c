/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints as one file of MPI-IO of which several ranks write the bytes of all (cb_nodes). Open
 * MPI settles with the first file that a process opens how it does so, so this is a program of its
 * own.
 *
 * ranks: 3 4
 */
#include "checkpoint.h"

/*
 * Writers whose parts meet in one block do not undo each other's bytes. With data sieving, which
 * Open MPI 4.1.4 has in such writes without a lock (open-mpi/ompi issue 12718), some of a hundred
 * small checkpoints are not what was written, as gr_checkpoint_write finds when it reads them back.
 */
static int test_bytes(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    bool found = false;
    char hint[32], *hints[] = {hint}, *passed = NULL;
    snprintf(hint, sizeof hint, "cb_nodes=%d", gr_comm_size(comm));
    const struct gr_checkpoint_io io = {
        .collective = true, .patience_s = 60, .hints = hints, .n_hints = 1};
    EXPECT(make(comm, 2, false, &s) == GR_OK && make(comm, 2, true, &in) == GR_OK);
    for (uint32_t round = 1; round <= 100 && !bad; round++) {
        s.state.round = round;
        s.state.parameters[0] = (float)round;
        EXPECT_EQUAL(gr_checkpoint_write(comm, s.dir, &s.state, 2, 1, &io), GR_OK);
    }
    if (bad) fprintf(stderr, "%s\n", gr_message());
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(!passed && in.state.round == 100 && same(&s, &in));
    gr_free(passed);
    release(comm, &in);
    release(comm, &s);
    return bad;
}

PARALLEL_MAIN({"bytes", test_bytes})
