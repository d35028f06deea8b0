/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of checkpoints have in common: a state to write, and a folder that all ranks know.
 */
#ifndef GRANARY_TESTS_CHECKPOINT_H
#define GRANARY_TESTS_CHECKPOINT_H

#include <granary/store.h>

#include <dirent.h>
#include <ftw.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "parallel.h"

struct sample {
    struct gr_layout layout;
    struct gr_state state;
    uint32_t rounds[5];
    int64_t counts[3];
    char dir[256], path[300];
};

/* rows: of the large tensor; 1,500 make it two pieces. `zero`: as a run starts that will read. */
static inline gr_status make(struct gr_comm *comm, size_t rows, bool zero, struct sample *s) {
    gr_status status = GR_OK;
    const size_t large[2] = {rows, 1000}, bias[1] = {5};
    memset(s, 0, sizeof *s);
    GR_TRY(gr_layout_append(&s->layout, "dense0.bias", 1, bias));
    GR_TRY(gr_layout_append(&s->layout, "dense0.weight", 2, large));
    GR_TRY(gr_layout_append(&s->layout, "dense1.bias", 1, bias));
    GR_TRY(gr_allocate_zero(s->layout.size, sizeof(float), "parameters", &s->state.parameters));
    GR_TRY(gr_allocate_zero(s->layout.size, sizeof(float), "momentum", &s->state.server[0]));
    for (size_t i = 0; !zero && i < s->layout.size; i++) {
        if (!gr_layout_find(&s->layout, i)) continue;
        s->state.parameters[i] = (float)sin((double)i);
        s->state.server[0][i] = (float)i;
    }
    for (uint32_t i = 0; !zero && i < 5; i++)
        s->rounds[i] = i * i;
    for (int64_t i = 0; !zero && i < 3; i++)
        s->counts[i] = (i + 1) << 33;
    s->state.layout = &s->layout;
    s->state.n_server = 1;
    s->state.server_name[0] = "momentum";
    s->state.n_silos = 5;
    s->state.silo_rounds = s->rounds;
    s->state.class_counts = s->counts;
    s->state.n_class_counts = 3;
    s->state.architecture = "{\"type\":\"mlp\"}";
    memset(s->state.config_digest, 0x5a, GR_DIGEST_BYTES);
    strcpy(s->dir, "/tmp/granary-test-XXXXXX");
    if (gr_comm_rank(comm) == 0 && !mkdtemp(s->dir)) status = gr_fail(GR_ERROR_WRITE, "mkdtemp");
    GR_TRY(gr_comm_agree(comm, status));
    GR_TRY(gr_comm_broadcast(comm, s->dir, sizeof s->dir));
out:
    return status;
}

static inline int unlink_entry(const char *path, const struct stat *info, int type,
                               struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}

static inline void release(struct gr_comm *comm, struct sample *s) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (gr_comm_rank(comm) == 0) nftw(s->dir, unlink_entry, 8, FTW_DEPTH | FTW_PHYS);
    gr_free(s->state.server[0]);
    gr_free(s->state.parameters);
    gr_layout_release(&s->layout);
}

static inline const char *file_of(struct sample *s, unsigned round) {
    snprintf(s->path, sizeof s->path, "%s/round-%06u.h5", s->dir, round);
    return s->path;
}

static inline gr_status write_round(struct gr_comm *comm, struct sample *s, uint32_t round,
                                    uint32_t keep) {
    s->state.round = round;
    s->state.parameters[0] = (float)round;
    return gr_checkpoint_write(comm, s->dir, &s->state, keep, 1, NULL);
}

/* The names in the folder, sorted, with a space after each; rank 0's view on all ranks. */
static inline const char *listing(const struct sample *s) {
    static char names[1024];
    struct dirent **entries = NULL;
    memset(names, 0, sizeof names);
    MPI_Barrier(MPI_COMM_WORLD);
    int n = scandir(s->dir, &entries, NULL, alphasort);
    for (int i = 0; i < n; i++) {
        if (strcmp(entries[i]->d_name, ".") != 0 && strcmp(entries[i]->d_name, "..") != 0)
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s ",
                     entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    MPI_Bcast(names, sizeof names, MPI_CHAR, 0, MPI_COMM_WORLD);
    return names;
}

static inline bool same(const struct sample *a, const struct sample *b) {
    size_t bytes = a->layout.size * sizeof(float);
    return memcmp(a->state.parameters, b->state.parameters, bytes) == 0 &&
           memcmp(a->state.server[0], b->state.server[0], bytes) == 0 &&
           memcmp(a->rounds, b->rounds, sizeof a->rounds) == 0 &&
           memcmp(a->counts, b->counts, sizeof a->counts) == 0;
}

static inline int compare_files(const char *one, const char *two) {
    int bad = 0;
    char *a = NULL, *b = NULL;
    size_t n = 0, m = 1;
    EXPECT(gr_file_read(one, 64 << 20, GR_ERROR_DATA, &a, &n) == GR_OK);
    EXPECT(gr_file_read(two, 64 << 20, GR_ERROR_DATA, &b, &m) == GR_OK);
    EXPECT_EQUAL(n, m);
    EXPECT(n == m && memcmp(a, b, n) == 0);
    gr_free(a);
    gr_free(b);
    return bad;
}

#endif
