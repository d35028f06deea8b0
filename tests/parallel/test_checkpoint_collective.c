/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Checkpoints as one file of MPI-IO: every dataset and attribute as in one that each rank writes by
 * itself, by the HDF5 library; what is refused is refused to all; and neither way leaves memory,
 * descriptors or files behind.
 *
 * ranks: 1 2 3 4
 */
#include "checkpoint.h"

#include <hdf5.h>
#include <malloc.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/vfs.h>

static struct gr_checkpoint_io together(void) {
    return (struct gr_checkpoint_io){.collective = true, .patience_s = 60};
}

static gr_status write_together(struct gr_comm *comm, struct sample *s, uint32_t round,
                                uint32_t keep) {
    const struct gr_checkpoint_io io = together();
    s->state.round = round;
    s->state.parameters[0] = (float)round;
    return gr_checkpoint_write(comm, s->dir, &s->state, keep, 1, &io);
}

/* ---- the same contents ------------------------------------------------------------------------
 */

struct other {
    hid_t file;
    int compared, different;
};

static herr_t compare_attribute(hid_t at, const char *name, const H5A_info_t *info, void *context) {
    struct other *other = context;
    char path[256] = "";
    (void)info;
    H5Iget_name(at, path, sizeof path);
    hid_t a = H5Aopen(at, name, H5P_DEFAULT);
    hid_t b = H5Aopen_by_name(other->file, path, name, H5P_DEFAULT, H5P_DEFAULT);
    hid_t type = H5Aget_type(a);
    const size_t size = H5Aget_storage_size(a);
    char *x = calloc(1, size + 1), *y = calloc(1, size + 1);
    other->compared++;
    if (b < 0 || H5Aget_storage_size(b) != size || H5Aread(a, type, x) < 0 ||
        H5Aread(b, type, y) < 0 || memcmp(x, y, size) != 0)
        other->different++;
    free(y);
    free(x);
    H5Tclose(type);
    if (b >= 0) H5Aclose(b);
    H5Aclose(a);
    return 0;
}

static void compare_dataset(hid_t file, const char *name, struct other *other) {
    hid_t a = H5Dopen2(file, name, H5P_DEFAULT), b = H5Dopen2(other->file, name, H5P_DEFAULT);
    hid_t type = H5Dget_type(a), space = H5Dget_space(a);
    const size_t bytes = (size_t)H5Sget_simple_extent_npoints(space) * H5Tget_size(type);
    hid_t there = b >= 0 ? H5Dget_space(b) : -1;
    char *x = malloc(bytes + 1), *y = malloc(bytes + 1);
    other->compared++;
    if (b < 0 || H5Sextent_equal(space, there) <= 0 ||
        H5Dread(a, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, x) < 0 ||
        H5Dread(b, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, y) < 0 || memcmp(x, y, bytes) != 0)
        other->different++;
    free(y);
    free(x);
    if (there >= 0) H5Sclose(there);
    H5Sclose(space);
    H5Tclose(type);
    if (b >= 0) H5Dclose(b);
    H5Dclose(a);
}

/* H5Lvisit takes the same arguments in HDF5 1.10 and 1.14; H5Ovisit does not. */
static herr_t compare_object(hid_t at, const char *name, const H5L_info_t *info, void *context) {
    struct other *other = context;
    hid_t object = H5Oopen(at, name, H5P_DEFAULT);
    (void)info;
    other->compared++;
    if (strcmp(name, ".") != 0 && H5Lexists(other->file, name, H5P_DEFAULT) <= 0)
        other->different++;
    else if (H5Iget_type(object) == H5I_DATASET)
        compare_dataset(at, name, other);
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, NULL, compare_attribute, other);
    H5Oclose(object);
    return 0;
}

/* The root group and all that is below it. */
static int compare_all(hid_t at, struct other *other) {
    int bad = 0;
    EXPECT(compare_object(at, ".", NULL, other) == 0);
    EXPECT(H5Lvisit(at, H5_INDEX_NAME, H5_ITER_INC, compare_object, other) >= 0);
    return bad;
}

/* All of `one` is in `two`, and the other way round. */
static int same_contents(const char *one, const char *two) {
    int bad = 0;
    hid_t a = H5Fopen(one, H5F_ACC_RDONLY, H5P_DEFAULT);
    hid_t b = H5Fopen(two, H5F_ACC_RDONLY, H5P_DEFAULT);
    struct other to_b = {.file = b}, to_a = {.file = a};
    EXPECT(a >= 0 && b >= 0);
    bad += compare_all(a, &to_b);
    bad += compare_all(b, &to_a);
    EXPECT(to_b.compared > 30);
    EXPECT_EQUAL(to_a.compared, to_b.compared);
    EXPECT_EQUAL(to_a.different + to_b.different, 0);
    H5Fclose(b);
    H5Fclose(a);
    return bad;
}

/* Rank 0 alone knows the evidence; all lay out a file that has it. */
static int test_same_contents(struct gr_comm *comm) {
    int bad = 0;
    struct sample s, in;
    struct gr_evidence evidence = {.events.n = 12, .metrics.n = 5, .stretches = 1};
    bool found = false;
    char *passed = NULL, other[300];
    memset(evidence.events.hash, 'a', GR_DIGEST_HEX - 1);
    memset(evidence.metrics.hash, 'b', GR_DIGEST_HEX - 1);
    memset(evidence.manifest, 'c', GR_DIGEST_HEX - 1);
    EXPECT(make(comm, 6000, false, &s) == GR_OK && make(comm, 6000, true, &in) == GR_OK);
    s.state.run_id = "0123456789abcdef0123456789abcdef";
    s.state.preprocessing = "a: text\n";
    in.state.preprocessing = s.state.preprocessing;
    if (gr_comm_rank(comm) == 0) s.state.evidence = &evidence;
    EXPECT(write_round(comm, &s, 5, 2) == GR_OK);
    snprintf(other, sizeof other, "%s/alone.h5", s.dir);
    if (gr_comm_rank(comm) == 0) EXPECT(rename(file_of(&s, 5), other) == 0);
    MPI_Barrier(MPI_COMM_WORLD);
    EXPECT_EQUAL(write_together(comm, &s, 5, 2), GR_OK);
    EXPECT(strcmp(listing(&s), "alone.h5 round-000005.h5 ") == 0);
    if (gr_comm_rank(comm) == 0) bad += same_contents(file_of(&s, 5), other);
    EXPECT(gr_checkpoint_read(comm, s.dir, &in.state, &found, &passed) == GR_OK && found);
    EXPECT(same(&s, &in));
    release(comm, &in);
    release(comm, &s);
    return bad;
}

/* ---- refused ----------------------------------------------------------------------------------
 */

static int test_refused(struct gr_comm *comm) {
    int bad = 0, last = gr_comm_size(comm) - 1;
    struct sample s;
    struct rlimit old, small;
    bool room = false;
    const struct gr_checkpoint_io io = together();
    EXPECT(make(comm, 1500, false, &s) == GR_OK);
    EXPECT(gr_checkpoint_try(comm, s.dir, &s.state, 2, &io, &room) == GR_OK && room);
    EXPECT(strcmp(listing(&s), "") == 0);
    EXPECT_EQUAL(write_together(comm, &s, 5, 1), GR_OK);
    EXPECT_EQUAL(gr_checkpoint_write(comm, "/none", &s.state, 1, 1, &io), GR_ERROR_WRITE);
    EXPECT(strstr(gr_message(), "/none/") && strstr(gr_message(), "No such file"));
    /* One rank by itself. */
    getrlimit(RLIMIT_NOFILE, &old);
    small = (struct rlimit){3, old.rlim_max};
    if (gr_comm_rank(comm) == last) setrlimit(RLIMIT_NOFILE, &small);
    EXPECT_EQUAL(write_together(comm, &s, 6, 1), GR_ERROR_WRITE);
    setrlimit(RLIMIT_NOFILE, &old);
    EXPECT(strstr(gr_message(), "Too many open files") != NULL);
    EXPECT(strcmp(listing(&s), "round-000005.h5 ") == 0);
    getrlimit(RLIMIT_FSIZE, &old);
    small = (struct rlimit){500000, old.rlim_max};
    if (gr_comm_rank(comm) == last) setrlimit(RLIMIT_FSIZE, &small);
    EXPECT_EQUAL(write_together(comm, &s, 6, 1), GR_ERROR_WRITE);
    setrlimit(RLIMIT_FSIZE, &old);
    EXPECT(strstr(gr_message(), "File too large") != NULL);
    EXPECT(strcmp(listing(&s), "round-000005.h5 ") == 0);
    EXPECT_EQUAL(write_together(comm, &s, 6, 1), GR_OK);
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
        EXPECT_EQUAL(write_together(comm, &s, 5, 1), GR_OK);
        EXPECT_EQUAL(write_together(comm, &s, 6, 1), GR_ERROR_WRITE);
        EXPECT(strstr(gr_message(), "No space left") != NULL);
        EXPECT(strcmp(listing(&s), "round-000005.h5 ") == 0);
        MPI_Barrier(MPI_COMM_WORLD);
        if (gr_comm_rank(comm) == 0) EXPECT(umount2(s.dir, MNT_DETACH) == 0);
    }
    release(comm, &s);
    return bad;
}

/* A hint that the library does not know is passed over, as MPI says. */
static int test_hints(struct gr_comm *comm) {
    int bad = 0;
    struct sample s;
    char *hints[] = {"striping_factor=4", "cb_nodes=1", "no_such_hint=a=b"};
    struct gr_checkpoint_io io = together();
    io.hints = hints;
    io.n_hints = 3;
    EXPECT(make(comm, 1500, false, &s) == GR_OK);
    s.state.round = 5;
    EXPECT_EQUAL(gr_checkpoint_write(comm, s.dir, &s.state, 1, 1, &io), GR_OK);
    EXPECT(strcmp(listing(&s), "round-000005.h5 ") == 0);
    release(comm, &s);
    return bad;
}

/* ---- what stays behind ------------------------------------------------------------------------
 */

/* What malloc has given out: resident pages would come and go with its fragments. */
static long used_kib(void) {
    const struct mallinfo2 info = mallinfo2();
    return (long)((info.uordblks + info.hblkhd) / 1024);
}

/* Open MPI 4.1 leaves about 1 KiB of each file that MPI-IO opens; without it nothing may stay. */
static int stays_flat(struct gr_comm *comm, bool collective, uint32_t n, long kib) {
    int bad = 0;
    struct sample s;
    struct gr_checkpoint_io io = together();
    long before = 0;
    io.collective = collective;
    char on_disk[256];
    EXPECT(make(comm, 2, false, &s) == GR_OK);
    /* In memory, so that the disk does not hold it up. */
    memcpy(on_disk, s.dir, sizeof on_disk);
    snprintf(s.dir, sizeof s.dir, "/dev/shm/%s", strrchr(on_disk, '/') + 1);
    if (gr_comm_rank(comm) == 0) EXPECT(mkdir(s.dir, 0700) == 0 && rmdir(on_disk) == 0);
    MPI_Barrier(MPI_COMM_WORLD);
    const int fd = dup(2);
    close(fd);
    for (s.state.round = 1; s.state.round <= n + 50 && !bad; s.state.round++) {
        if (s.state.round == 50) before = used_kib();
        EXPECT_EQUAL(gr_checkpoint_write(comm, s.dir, &s.state, 1, 1, &io), GR_OK);
    }
    const long grown = used_kib() - before;
    if (grown > kib) fprintf(stderr, "%ld KiB more after %u checkpoints\n", grown, n);
    EXPECT(grown <= kib);
    const int again = dup(2);
    close(again);
    EXPECT_EQUAL(fd, again);
    release(comm, &s);
    return bad;
}

static int test_flat(struct gr_comm *comm) {
    return stays_flat(comm, false, 300, 32) + stays_flat(comm, true, 150, 300);
}

/* ---- which way --------------------------------------------------------------------------------
 */

static long kind; /* of file system that statfs tells; 0: the real one */

int statfs(const char *path, struct statfs *out) {
    (void)path;
    memset(out, 0, sizeof *out);
    out->f_type = kind;
    return 0;
}

static int test_choice(struct gr_comm *comm) {
    int bad = 0;
    const struct gr_comm_options options = {0};
    struct gr_comm *careless = NULL;
    struct gr_checkpoint_config config = {.io = GR_CHECKPOINT_AUTO};
    struct gr_checkpoint_io io = {0};
    setenv("GRANARY_FAULT_TOLERANCE", "off", 1);
    EXPECT(gr_comm_create(MPI_COMM_WORLD, &options, &careless) == GR_OK);
    unsetenv("GRANARY_FAULT_TOLERANCE");
    kind = 0xEF53; /* ext4 */
    EXPECT(gr_checkpoint_choose_io(careless, "/", &config, &io) == GR_OK && !io.collective);
    kind = 0x0BD00BD0; /* Lustre */
    EXPECT(gr_checkpoint_choose_io(careless, "/", &config, &io) == GR_OK && io.collective);
    /* Where losses are survived, none is given up for it unless that is asked for. */
    EXPECT(gr_checkpoint_choose_io(comm, "/", &config, &io) == GR_OK && !io.collective);
    config.io = GR_CHECKPOINT_COLLECTIVE;
    EXPECT(gr_checkpoint_choose_io(comm, "/", &config, &io) == GR_OK && io.collective);
    config.io = GR_CHECKPOINT_INDEPENDENT;
    EXPECT(gr_checkpoint_choose_io(careless, "/", &config, &io) == GR_OK && !io.collective);
    gr_comm_free(careless);
    return bad;
}

PARALLEL_MAIN({"same contents", test_same_contents}, {"refused", test_refused},
              {"disk full", test_disk_full}, {"hints", test_hints}, {"flat", test_flat},
              {"choice", test_choice})
