/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints: the same bytes from any number of ranks, and back on any other; the newest whole one
 * is taken, whatever happened to those after it; a failure to write leaves the earlier ones alone.
 *
 * ranks: 1 2 3 4
 */
#include "checkpoint.h"

#include <errno.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static bool untouched(const struct sample *s) {
    for (size_t i = 0; i < s->layout.size; i++)
        if (s->state.parameters[i] != 0 || s->state.server[0][i] != 0) return false;
    return s->state.round == 0;
}

/* ---- predictions -----------------------------------------------------------------------------
 */

/* The room of all rows is taken before the first is written: no disk fills up on the way. */
static int test_predictions_have_room(struct gr_comm *comm) {
    enum { ROWS = 100000, CLASSES = 9 };
    int bad = 0;
    struct sample s;
    struct stat info = {0};
    char path[300], temporary[310];
    struct gr_predictions *predictions = NULL;
    EXPECT(make(comm, 100, false, &s) == GR_OK);
    snprintf(path, sizeof path, "%s/p.h5", s.dir);
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    const struct gr_predictions_form form = {
        .n_rows = ROWS, .classes = CLASSES, .model_digest = ""};
    EXPECT(gr_predictions_create(comm, path, &form, &predictions) == GR_OK);
    EXPECT(stat(temporary, &info) == 0);
    EXPECT(info.st_blocks * 512LL >= ROWS * (CLASSES + 1) * 4LL);
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    gr_predictions_free(predictions);
    EXPECT(gr_comm_agree(comm, GR_OK) == GR_OK);
    EXPECT(access(temporary, F_OK) != 0);
    release(comm, &s);
    return bad;
}

/* ---- round trips -------------------------------------------------------------------------------
 */

static int test_comes_back(struct gr_comm *comm) {
    int bad = 0;
    struct sample out, in;
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 1500, false, &out) == GR_OK && make(comm, 1500, true, &in) == GR_OK);
    /* What the memory of a gap holds is not stored and becomes zero. */
    in.state.parameters[5] = in.state.server[0][7] = 99;
    in.state.void_rounds = 9;
    EXPECT(write_round(comm, &out, 5, 2) == GR_OK);
    EXPECT(gr_checkpoint_read(comm, out.dir, &in.state, &found, &passed) == GR_OK);
    EXPECT(found);
    EXPECT(!passed);
    EXPECT_EQUAL(in.state.round, 5);
    EXPECT_EQUAL(in.state.void_rounds, 0);
    EXPECT(same(&out, &in));
    EXPECT(strcmp(listing(&out), "round-000005.h5 ") == 0);
    out.state.void_rounds = 2;
    EXPECT(write_round(comm, &out, 6, 1) == GR_OK);
    EXPECT(gr_checkpoint_read(comm, out.dir, &in.state, &found, &passed) == GR_OK);
    EXPECT_EQUAL(in.state.void_rounds, 2);
    release(comm, &in);
    release(comm, &out);
    return bad;
}

/* Written by all, read by one; written by one, read by all; the same bytes on disk. */
static int test_other_rank_count(struct gr_comm *comm) {
    int bad = 0;
    struct sample all, one, in;
    bool found = false;
    char *passed = NULL, path[300];
    struct gr_comm_options options = {0};
    struct gr_comm *alone = NULL;
    EXPECT(make(comm, 1500, false, &all) == GR_OK && make(comm, 1500, false, &one) == GR_OK);
    EXPECT(make(comm, 1500, true, &in) == GR_OK);
    EXPECT(write_round(comm, &all, 5, 2) == GR_OK);
    EXPECT(gr_comm_create(MPI_COMM_SELF, &options, &alone) == GR_OK);
    if (gr_comm_rank(comm) == 0) {
        EXPECT(write_round(alone, &one, 5, 2) == GR_OK);
        EXPECT(gr_checkpoint_read(alone, all.dir, &in.state, &found, &passed) == GR_OK && found);
        EXPECT(same(&all, &in));
        snprintf(path, sizeof path, "%s", file_of(&one, 5));
        bad += compare_files(file_of(&all, 5), path);
        memset(in.state.parameters, 0, in.layout.size * sizeof(float));
    } else {
        one.state.parameters[0] = 5;
    }
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT(gr_checkpoint_read(comm, one.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(same(&one, &in));
    gr_comm_free(alone);
    release(comm, &in);
    release(comm, &one);
    release(comm, &all);
    return bad;
}

static int test_keep(struct gr_comm *comm) {
    int bad = 0;
    struct sample s;
    char path[300];
    EXPECT(make(comm, 2, false, &s) == GR_OK);
    for (uint32_t round = 1; round <= 5; round++)
        EXPECT(write_round(comm, &s, round, 2) == GR_OK);
    EXPECT(strcmp(listing(&s), "round-000004.h5 round-000005.h5 ") == 0);
    if (gr_comm_rank(comm) == 0) {
        snprintf(path, sizeof path, "%s/.round-000003.h5.tmp", s.dir);
        fclose(fopen(path, "w"));
        snprintf(path, sizeof path, "%s/round-7.h5", s.dir); /* not one of ours */
        fclose(fopen(path, "w"));
    }
    /* A later one is left from a time that was given up; it does not count. */
    EXPECT(write_round(comm, &s, 9, 1) == GR_OK);
    EXPECT(write_round(comm, &s, 6, 1) == GR_OK);
    EXPECT(strcmp(listing(&s), "round-000006.h5 round-000009.h5 round-7.h5 ") == 0);
    release(comm, &s);
    return bad;
}

static int test_none(struct gr_comm *comm) {
    int bad = 0;
    struct sample s;
    bool found = true;
    char *passed = NULL, path[300];
    EXPECT(make(comm, 2, true, &s) == GR_OK);
    EXPECT(gr_checkpoint_read(comm, s.dir, &s.state, &found, &passed) == GR_OK && !found);
    snprintf(path, sizeof path, "%s/none", s.dir);
    EXPECT(gr_checkpoint_read(comm, path, &s.state, &found, &passed) == GR_OK && !found);
    EXPECT(gr_checkpoint_write(comm, path, &s.state, 1, 1, NULL) == GR_ERROR_WRITE);
    EXPECT(strstr(gr_message(), "No such file") != NULL);
    release(comm, &s);
    return bad;
}

/* ---- damage -------------------------------------------------------------------------------------
 */

/* Rank 0 changes one bit. */
static void flip(struct gr_comm *comm, const char *path, long at) {
    MPI_Barrier(MPI_COMM_WORLD);
    if (gr_comm_rank(comm) == 0) {
        FILE *file = fopen(path, "r+");
        fseek(file, at, SEEK_SET);
        int byte = fgetc(file);
        fseek(file, at, SEEK_SET);
        fputc(byte ^ (1 << (at % 8)), file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
}

static long size_of(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (long)info.st_size : -1;
}

static int test_flips(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    char *passed = NULL;
    bool found;
    EXPECT(make(comm, 2, false, &s) == GR_OK && make(comm, 2, true, &in) == GR_OK);
    EXPECT(write_round(comm, &s, 5, 2) == GR_OK);
    long size = size_of(file_of(&s, 5));
    for (long at = 0; at < size && !bad; at += size / 200) {
        flip(comm, file_of(&s, 5), at);
        EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK);
        EXPECT(!found);
        EXPECT(untouched(&in));
        EXPECT(passed && strncmp(passed, "round-000005.h5: ", 17) == 0);
        gr_free(passed);
        flip(comm, file_of(&s, 5), at);
    }
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(same(&s, &in));
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* Damages rounds 7 (a tensor), 8 (cut short), 9 (empty) and 10 (not ours); 6 is taken. */
static int test_passed_over(struct gr_comm *comm) {
    int bad = 0, lines = 1;
    struct sample s, in;
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 1500, false, &s) == GR_OK && make(comm, 1500, true, &in) == GR_OK);
    for (uint32_t round = 6; round <= 10; round++)
        EXPECT(write_round(comm, &s, round, 9) == GR_OK);
    flip(comm, file_of(&s, 7), size_of(file_of(&s, 7)) - 100);
    if (gr_comm_rank(comm) == 0) {
        EXPECT(truncate(file_of(&s, 8), size_of(file_of(&s, 8)) / 2) == 0);
        EXPECT(truncate(file_of(&s, 9), 0) == 0);
        FILE *file = fopen(file_of(&s, 10), "w");
        for (int i = 0; i < 1000; i++)
            fputs("\211HDF\r\n\032\n not a checkpoint ", file);
        fclose(file);
    }
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT_EQUAL(in.state.round, 6);
    s.state.parameters[0] = 6;
    EXPECT(same(&s, &in));
    for (const char *at = passed; at && (at = strchr(at, '\n')); at++)
        lines++;
    EXPECT_EQUAL(lines, 4);
    for (unsigned round = 7; passed && round <= 10; round++) {
        char name[32];
        snprintf(name, sizeof name, "round-%06u.h5: ", round);
        EXPECT(strstr(passed, name) != NULL);
    }
    gr_free(passed);
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* ---- another run's ------------------------------------------------------------------------------
 */

static int expect_config_error(struct gr_comm *comm, const char *dir, struct sample *in,
                               const char *says) {
    int bad = 0;
    bool found = true;
    char *passed = NULL;
    EXPECT(gr_checkpoint_read(comm, dir, &in->state, &found, &passed) == GR_ERROR_CONFIG);
    EXPECT(strstr(gr_message(), says) != NULL);
    EXPECT(!found);
    EXPECT(!passed);
    EXPECT(untouched(in));
    return bad;
}

static int test_another_config(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in, wide;
    EXPECT(make(comm, 2, false, &s) == GR_OK && make(comm, 2, true, &in) == GR_OK);
    EXPECT(make(comm, 3, true, &wide) == GR_OK);
    EXPECT(write_round(comm, &s, 5, 2) == GR_OK);
    in.state.config_digest[3] ^= 1;
    bad += expect_config_error(comm, s.dir, &in, "found digest 5a5a5a5a");
    in.state.config_digest[3] ^= 1;
    in.state.n_silos = 4;
    bad += expect_config_error(comm, s.dir, &in, "found 5 silos, expected 4");
    in.state.n_silos = 5;
    in.state.n_class_counts = 0;
    bad += expect_config_error(comm, s.dir, &in, "found the rows of 3 classes, expected 0");
    in.state.n_class_counts = 3;
    in.state.n_server = 0;
    bad += expect_config_error(comm, s.dir, &in, "found 1 vectors of server state, expected 0");
    in.state.n_server = 1;
    in.state.server_name[0] = "other";
    bad += expect_config_error(comm, s.dir, &in, "found server state momentum, expected other");
    bad += expect_config_error(comm, s.dir, &wide,
                               "found tensor dense0.weight [2, 1000], expected dense0.weight [3,");
    release(comm, &wide);
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* Of one config and data, and yet another run's: told, and not passed over. */
static int test_another_run(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 2, false, &s) == GR_OK && make(comm, 2, true, &in) == GR_OK);
    s.state.run_id = in.state.run_id = "0123456789abcdef0123456789abcdef";
    EXPECT(write_round(comm, &s, 4, 9) == GR_OK);
    s.state.run_id = "fedcba9876543210fedcba9876543210";
    EXPECT(write_round(comm, &s, 5, 9) == GR_OK);
    EXPECT_EQUAL(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed), GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "round-000005.h5: a checkpoint of another run: found run "
                                "fedcba987654..., expected 0123456789ab...") != NULL);
    EXPECT(!found && !passed && untouched(&in));
    /* One that has no id is of before there were any, and taken. */
    s.state.run_id = NULL;
    EXPECT(write_round(comm, &s, 6, 9) == GR_OK);
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT_EQUAL(in.state.round, 6);
    EXPECT(strcmp(in.state.run_id_found, "") == 0);
    /* A reader that knows of none takes it from the checkpoint. */
    if (gr_comm_rank(comm) == 0) EXPECT(unlink(file_of(&s, 6)) == 0);
    MPI_Barrier(MPI_COMM_WORLD);
    in.state.run_id = NULL;
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(strcmp(in.state.run_id_found, "fedcba9876543210fedcba9876543210") == 0);
    release(comm, &in);
    release(comm, &s);
    return bad;
}

static int test_exchanged(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    char four[300], other[300];
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 2, false, &s) == GR_OK && make(comm, 2, true, &in) == GR_OK);
    EXPECT(write_round(comm, &s, 4, 9) == GR_OK && write_round(comm, &s, 5, 9) == GR_OK);
    snprintf(four, sizeof four, "%s", file_of(&s, 4));
    snprintf(other, sizeof other, "%s/other", s.dir);
    MPI_Barrier(MPI_COMM_WORLD);
    if (gr_comm_rank(comm) == 0)
        EXPECT(rename(four, other) == 0 && rename(file_of(&s, 5), four) == 0 &&
               rename(other, file_of(&s, 5)) == 0);
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQUAL(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed), GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "round-000005.h5: found a checkpoint of round 4") != NULL);
    EXPECT(!found && !passed && untouched(&in));
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* ---- what the system refuses --------------------------------------------------------------------
 */

static int read_error; /* that reads by position give; 0: none */
static bool lying;     /* a disk that holds something else than it was given */
static int64_t bytes_read;

ssize_t pread(int fd, void *bytes, size_t n, off_t at) {
    const ssize_t got = read_error == 0 ? syscall(SYS_pread64, fd, bytes, n, at) : -1;
    if (read_error != 0) errno = read_error;
    if (got > 0) bytes_read += got;
    return got;
}

int fsync(int fd) {
    struct stat info;
    int failed = (int)syscall(SYS_fsync, fd);
    if (!failed && lying && fstat(fd, &info) == 0 && info.st_size > 4096)
        failed = pwrite(fd, "\xa5", 1, info.st_size - 2000) != 1;
    return failed;
}

/* The ranks verify the vectors in shares, and rank 0 reads them: together they read them twice,
 * however many they are. The memory of a vector is the same on all. */
static int test_read_once(struct gr_comm *comm) {
    int bad = 0;
    struct sample out, in;
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 1500, false, &out) == GR_OK && make(comm, 1500, true, &in) == GR_OK);
    EXPECT(write_round(comm, &out, 5, 2) == GR_OK);
    const int64_t vectors = 2 * (int64_t)(out.layout.size * sizeof(float));
    bytes_read = 0;
    EXPECT(gr_checkpoint_read(comm, out.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(same(&out, &in));
    EXPECT(gr_comm_sum_int64(comm, &bytes_read, 1) == GR_OK);
    EXPECT(bytes_read > vectors && bytes_read < 2 * vectors + vectors / 4);
    release(comm, &in);
    release(comm, &out);
    return bad;
}

/* Rank 0 is shown a byte that the ranks that verify are not: what it has read is never taken. */
static int test_read_otherwise(struct gr_comm *comm) {
    int bad = 0, refused = 0;
    struct sample s, in;
    char *passed = NULL, shown[280], copy[320], command[1024];
    EXPECT(make(comm, 2, false, &s) == GR_OK && make(comm, 2, true, &in) == GR_OK);
    EXPECT(write_round(comm, &s, 5, 2) == GR_OK);
    const bool root = gr_comm_rank(comm) == 0;
    const long size = size_of(file_of(&s, 5));
    snprintf(shown, sizeof shown, "%s/shown", s.dir);
    snprintf(copy, sizeof copy, "%s/round-000005.h5", shown);
    snprintf(command, sizeof command, "mkdir %s && cp %s %s", shown, file_of(&s, 5), copy);
    if (root) EXPECT(system(command) == 0);
    for (long at = 0; at < size && !bad; at += size / 100) {
        bool found = false;
        flip(comm, copy, at);
        const gr_status status =
            gr_checkpoint_read(comm, root ? shown : s.dir, &in.state, &found, &passed);
        EXPECT(!(status == GR_OK && found) || same(&s, &in));
        EXPECT(status == GR_OK || strstr(gr_message(), "rank 0 reads other bytes of it"));
        refused += status == GR_ERROR_DATA;
        gr_free(passed);
        flip(comm, copy, at);
    }
    EXPECT((refused > 0) == (gr_comm_size(comm) > 1));
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* An error of the disk on the newest, and one that cannot be opened: no damage, so no older one. */
static int test_refused(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 2, false, &s) == GR_OK && make(comm, 2, true, &in) == GR_OK);
    EXPECT(write_round(comm, &s, 4, 9) == GR_OK && write_round(comm, &s, 5, 9) == GR_OK);
    MPI_Barrier(MPI_COMM_WORLD);
    /* Of one rank alone: the others learn it. */
    if (gr_comm_rank(comm) == gr_comm_size(comm) - 1) read_error = EIO;
    EXPECT_EQUAL(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed), GR_ERROR_DATA);
    read_error = 0;
    EXPECT(strstr(gr_message(), "round-000005.h5: Input/output error (not damaged") != NULL);
    EXPECT(!found && !passed && untouched(&in));
    MPI_Barrier(MPI_COMM_WORLD);
    if (gr_comm_rank(comm) == 0)
        EXPECT(symlink("round-000006.h5", file_of(&s, 6)) == 0); /* to itself */
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQUAL(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed), GR_ERROR_DATA);
    EXPECT(strstr(gr_message(), "round-000006.h5: ") && strstr(gr_message(), "symbolic links"));
    EXPECT(!found && !passed && untouched(&in));
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* What is read back is what the disk has made of it, not what it was given. */
static int test_lying_disk(struct gr_comm *comm) {
    int bad = 0;
    struct sample s;
    EXPECT(make(comm, 300, false, &s) == GR_OK);
    EXPECT(write_round(comm, &s, 5, 1) == GR_OK);
    lying = true;
    EXPECT_EQUAL(write_round(comm, &s, 6, 1), GR_ERROR_WRITE);
    lying = false;
    EXPECT(strstr(gr_message(), "not what was written") != NULL);
    EXPECT(strcmp(listing(&s), "round-000005.h5 ") == 0);
    release(comm, &s);
    return bad;
}

/* ---- before the first ---------------------------------------------------------------------------
 */

/* Sizes, names and attributes are tried without a byte of the vectors, and nothing stays. */
static int test_tried(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    bool room = false, found = false;
    char *passed = NULL, *long_text = malloc(200001);
    EXPECT(make(comm, 1500, false, &s) == GR_OK && make(comm, 1500, true, &in) == GR_OK);
    memset(long_text, 'a', 200000);
    long_text[200000] = '\0';
    s.state.architecture = long_text; /* no attribute could hold it */
    EXPECT(gr_checkpoint_try(comm, s.dir, &s.state, 2, NULL, &room) == GR_OK);
    EXPECT(room);
    EXPECT(strcmp(listing(&s), "") == 0);
    EXPECT(write_round(comm, &s, 5, 2) == GR_OK);
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(same(&s, &in));
    EXPECT(gr_checkpoint_try(comm, s.dir, &s.state, UINT32_MAX, NULL, &room) == GR_OK);
    EXPECT(!room);
    EXPECT(gr_checkpoint_try(comm, "/none", &s.state, 1, NULL, &room) == GR_ERROR_WRITE);
    EXPECT(strstr(gr_message(), "before the first round: /none/") != NULL);
    free(long_text);
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* Each bound that a process may be given, on one rank: all learn of it before they have trained. */
static int test_tried_in_vain(struct gr_comm *comm) {
    int bad = 0;
    struct sample s;
    static const __rlimit_resource_t limits[] = {RLIMIT_FSIZE, RLIMIT_NOFILE};
    const char *says[] = {"File too large", "Too many open files"};
    bool room;
    EXPECT(make(comm, 1500, false, &s) == GR_OK);
    signal(SIGXFSZ, SIG_IGN);
    for (int i = 0; i < 2; i++) {
        struct rlimit old, small;
        getrlimit(limits[i], &old);
        small = (struct rlimit){i == 0 ? 5000000 : 3, old.rlim_max};
        if (gr_comm_rank(comm) == 0) setrlimit(limits[i], &small);
        EXPECT_EQUAL(gr_checkpoint_try(comm, s.dir, &s.state, 1, NULL, &room), GR_ERROR_WRITE);
        if (gr_comm_rank(comm) == 0) setrlimit(limits[i], &old);
        EXPECT(strstr(gr_message(), says[i]) != NULL);
        EXPECT(strcmp(listing(&s), "") == 0);
    }
    signal(SIGXFSZ, SIG_DFL);
    release(comm, &s);
    return bad;
}

/* ---- no room ------------------------------------------------------------------------------------
 */

/* A write of round 6 fails with GR_ERROR_WRITE; round 5 is still there and whole. */
static int expect_no_room(struct gr_comm *comm, struct sample *s, const char *before) {
    int bad = 0;
    EXPECT(write_round(comm, s, 6, 1) == GR_ERROR_WRITE);
    EXPECT(strstr(gr_message(), "round-000006") != NULL);
    EXPECT(strcmp(listing(s), before) == 0);
    return bad;
}

static int test_file_too_large(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    struct rlimit old, small = {500000, RLIM_INFINITY};
    bool found = false;
    char *passed = NULL;
    EXPECT(make(comm, 300, false, &s) == GR_OK && make(comm, 300, true, &in) == GR_OK);
    EXPECT(write_round(comm, &s, 5, 1) == GR_OK);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small.rlim_max = old.rlim_max;
    setrlimit(RLIMIT_FSIZE, &small);
    bad += expect_no_room(comm, &s, "round-000005.h5 ");
    setrlimit(RLIMIT_FSIZE, &old);
    signal(SIGXFSZ, SIG_DFL);
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT_EQUAL(in.state.round, 5);
    EXPECT(write_round(comm, &s, 6, 1) == GR_OK);
    EXPECT(strcmp(listing(&s), "round-000006.h5 ") == 0);
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* Needs the right to mount; passes where there is none. */
static int test_disk_full(struct gr_comm *comm) {
    int bad = 0, mounted = 0;
    struct sample s;
    EXPECT(make(comm, 300, false, &s) == GR_OK);
    if (gr_comm_rank(comm) == 0) mounted = mount("none", s.dir, "tmpfs", 0, "size=3m") == 0;
    MPI_Bcast(&mounted, 1, MPI_INT, 0, MPI_COMM_WORLD);
    if (mounted) {
        EXPECT(write_round(comm, &s, 5, 1) == GR_OK);
        bad += expect_no_room(comm, &s, "round-000005.h5 ");
        MPI_Barrier(MPI_COMM_WORLD);
        if (gr_comm_rank(comm) == 0) EXPECT(umount2(s.dir, MNT_DETACH) == 0);
    }
    release(comm, &s);
    return bad;
}

PARALLEL_MAIN({"comes back", test_comes_back}, {"other rank count", test_other_rank_count},
              {"keep", test_keep}, {"none", test_none}, {"flips", test_flips},
              {"passed over", test_passed_over}, {"another config", test_another_config},
              {"another run", test_another_run}, {"exchanged", test_exchanged},
              {"refused", test_refused}, {"read once", test_read_once},
              {"read otherwise", test_read_otherwise}, {"lying disk", test_lying_disk},
              {"tried", test_tried}, {"tried in vain", test_tried_in_vain},
              {"file too large", test_file_too_large}, {"disk full", test_disk_full},
              {"predictions have room", test_predictions_have_room})
