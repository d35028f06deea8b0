/* SPDX-License-Identifier: Apache-2.0 */
/* What a silo keeps for itself: written whole and for its owner's eyes, read back to the bit, and
 * nothing else taken for it. */
#include <granary/store.h>

#include <dirent.h>
#include <sys/stat.h>

#include "scratch.h"

enum { WEIGHTS = 1003 };

static struct gr_layout layout;
static float *residual;
static struct gr_silo_state state;

/* Silo 17 after 5 rounds, in SCRATCH/silos. */
static void begin(void) {
    const size_t shape[2] = {17, 59}, bias = 9;
    MUST(gr_layout_append(&layout, "weight", 2, shape));
    MUST(gr_layout_append(&layout, "bias", 1, &bias));
    MUST(gr_allocate_zero(layout.size, sizeof *residual, "residual", &residual));
    for (size_t i = 0; i < WEIGHTS; i++)
        residual[i] = (float)(int)i / 7 - 70;
    residual[layout.tensors[1].offset + 8] = 1e-42F;
    state = (struct gr_silo_state){.silo = 17,
                                   .rounds = 5,
                                   .layout = &layout,
                                   .origin = {1, 2, 3},
                                   .steps = 1ULL << 40,
                                   .n_vectors = 1,
                                   .name = {"residual"},
                                   .vector = {residual}};
}

static void end(void) {
    gr_free(residual);
    gr_layout_release(&layout);
}

static const char *folder(void) {
    return in_scratch("silos");
}

static gr_status read_into(float *out, struct gr_silo_state like) {
    like.vector[0] = out;
    like.steps = 0;
    memset(out, 0x55, layout.size * sizeof *out);
    return gr_silo_state_read(folder(), &like);
}

static mode_t mode_of(const char *name) {
    struct stat info;
    ck_assert_int_eq(stat(in_scratch(name), &info), 0);
    return info.st_mode & 0777;
}

static int count_files(void) {
    int n = 0;
    struct dirent *file;
    DIR *open = opendir(folder());
    ck_assert_ptr_nonnull(open);
    while ((file = readdir(open)))
        n += strcmp(file->d_name, ".") != 0 && strcmp(file->d_name, "..") != 0;
    closedir(open);
    return n;
}

START_TEST(there_and_back) {
    begin();
    float *found;
    const mode_t mask = umask(0);
    MUST(gr_allocate(layout.size, sizeof *found, "residual", &found));
    MUST(gr_silo_state_write(folder(), &state));
    umask(mask);
    ck_assert_uint_eq(mode_of("silos"), 0700);
    ck_assert_uint_eq(mode_of("silos/silo-017-000005.h5"), 0600);
    ck_assert_int_eq(count_files(), 1);
    MUST(read_into(found, state));
    ck_assert_mem_eq(found, residual, layout.size * sizeof *found);
    /* Over an older one, and past what a lost writer left. */
    spill(in_scratch("silos/.silo-017.tmp"), "torn", 4);
    residual[3] = 77;
    MUST(gr_silo_state_write(folder(), &state));
    ck_assert_int_eq(count_files(), 1);
    ck_assert_uint_eq(mode_of("silos/silo-017-000005.h5"), 0600);
    MUST(read_into(found, state));
    ck_assert(found[3] == 77);
    /* No model. */
    struct gr_model_file file;
    ck_assert_int_eq(gr_model_file_read(in_scratch("silos/silo-017-000005.h5"), 0, 1, &file),
                     GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), "no model"));
    gr_free(found);
    end();
}
END_TEST

START_TEST(no_other_is_taken) {
    begin();
    float *found;
    MUST(gr_allocate(layout.size, sizeof *found, "residual", &found));
    struct gr_silo_state other = state;
    ck_assert_int_eq(read_into(found, state), GR_ERROR_DATA); /* none at all */
    MUST(gr_silo_state_write(folder(), &state));
    other.origin[4] = 9;
    ck_assert_int_eq(read_into(found, other), GR_ERROR_DATA);
    /* Under another silo's or round's name. */
    other = state;
    other.silo = 18;
    ck_assert_int_eq(
        rename(in_scratch("silos/silo-017-000005.h5"), in_scratch("silos/silo-018-000005.h5")), 0);
    ck_assert_int_eq(read_into(found, other), GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), "another silo, run or round"));
    other = state;
    other.rounds = 6;
    ck_assert_int_eq(
        rename(in_scratch("silos/silo-018-000005.h5"), in_scratch("silos/silo-017-000006.h5")), 0);
    ck_assert_int_eq(read_into(found, other), GR_ERROR_DATA);
    gr_free(found);
    end();
}
END_TEST

/* Three vectors and a number; and other ones, or fewer, are not taken for them. */
START_TEST(many_vectors) {
    begin();
    float *other[2], *found[3];
    struct gr_silo_state in = state;
    for (size_t v = 0; v < 3; v++)
        MUST(gr_allocate_zero(layout.size, sizeof(float), "found", &found[v]));
    for (size_t v = 0; v < 2; v++) {
        MUST(gr_allocate_zero(layout.size, sizeof(float), "vector", &other[v]));
        other[v][layout.tensors[1].offset] = 7 + (float)v;
        state.name[1 + v] = v ? "second_moment" : "first_moment";
        state.vector[1 + v] = other[v];
    }
    state.n_vectors = 3;
    MUST(gr_silo_state_write(folder(), &state));
    in = state;
    in.steps = 0;
    memcpy(in.vector, found, sizeof found);
    MUST(gr_silo_state_read(folder(), &in));
    ck_assert_uint_eq(in.steps, 1ULL << 40);
    for (size_t v = 0; v < 3; v++)
        ck_assert_mem_eq(found[v], state.vector[v], layout.size * sizeof(float));
    in.name[2] = "third_moment";
    ck_assert_int_eq(gr_silo_state_read(folder(), &in), GR_ERROR_DATA);
    in.n_vectors = 2;
    ck_assert_int_eq(gr_silo_state_read(folder(), &in), GR_ERROR_DATA);
    for (size_t v = 0; v < 2; v++)
        gr_free(other[v]);
    for (size_t v = 0; v < 3; v++)
        gr_free(found[v]);
    end();
}
END_TEST

/* Another run's of the same config and data is none; one of before runs had an id is. */
START_TEST(of_another_run) {
    static const char one[] = "0123456789abcdef0123456789abcdef",
                      two[] = "fedcba9876543210fedcba9876543210";
    static const struct {
        const char *written, *read;
        gr_status status;
    } cases[] = {
        {one, one, GR_OK}, {two, one, GR_ERROR_DATA}, {NULL, one, GR_OK}, {two, NULL, GR_OK}};
    begin();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        state.run_id = cases[i].written;
        MUST(gr_silo_state_write(folder(), &state));
        state.run_id = cases[i].read;
        ck_assert_int_eq(gr_silo_state_read(folder(), &state), cases[i].status);
    }
    state.run_id = NULL;
    end();
}
END_TEST

START_TEST(damage_is_seen) {
    begin();
    float *found;
    size_t length;
    MUST(gr_allocate(layout.size, sizeof *found, "residual", &found));
    MUST(gr_silo_state_write(folder(), &state));
    char *text = slurp(in_scratch("silos/silo-017-000005.h5"), &length);
    for (size_t at = 0; at < length; at += 61) {
        text[at] ^= 4;
        spill(in_scratch("silos/silo-017-000005.h5"), text, length);
        gr_status status = read_into(found, state);
        text[at] ^= 4;
        /* A flipped bit may lie where nothing is; what is read is then what was written. */
        if (status == GR_OK)
            ck_assert_mem_eq(found, residual, layout.size * sizeof *found);
        else
            ck_assert_int_eq(status, GR_ERROR_DATA);
        ck_assert(status != GR_OK || at < 1024 || at + 1024 > length);
    }
    spill(in_scratch("silos/silo-017-000005.h5"), text, length / 2);
    ck_assert_int_eq(read_into(found, state), GR_ERROR_DATA);
    spill(in_scratch("silos/silo-017-000005.h5"), text, 0);
    ck_assert_int_eq(read_into(found, state), GR_ERROR_DATA);
    gr_free(text);
    gr_free(found);
    end();
}
END_TEST

START_TEST(cannot_be_written) {
    begin();
    spill(in_scratch("silos"), "a file", 6);
    ck_assert_int_eq(gr_silo_state_write(folder(), &state), GR_ERROR_WRITE);
    end();
}
END_TEST

static bool is_there(uint32_t silo, uint32_t rounds) {
    char name[64];
    snprintf(name, sizeof name, "silos/silo-%03u-%06u.h5", silo, rounds);
    return access(in_scratch(name), F_OK) == 0;
}

/* Silos 3, 17 and 1000 have states of 2, 4 and 9 rounds; only 3 and 1000 are this rank's. */
START_TEST(old_ones_go) {
    begin();
    static const uint32_t silos[] = {3, 17, 1000}, rounds[] = {2, 4, 9}, mine[] = {3, 1000};
    static uint32_t done[1001];
    for (size_t s = 0; s < 3; s++)
        for (size_t r = 0; r < 3; r++) {
            state.silo = silos[s];
            state.rounds = rounds[r];
            MUST(gr_silo_state_write(folder(), &state));
        }
    spill(in_scratch("silos/.silo-005.tmp"), "torn", 4);
    spill(in_scratch("silos/silo-3-2.h5"), "not ours", 8);
    gr_silo_states_keep(folder(), mine, 2, 2);
    for (size_t s = 0; s < 3; s++)
        for (size_t r = 0; r < 3; r++)
            ck_assert(is_there(silos[s], rounds[r]) == (s == 1 || r > 0));
    done[3] = 9, done[1000] = 4, done[17] = 0;
    gr_silo_states_forget(folder(), mine, 2, done);
    ck_assert(is_there(3, 4) && is_there(3, 9) && is_there(1000, 4) && !is_there(1000, 9));
    ck_assert(is_there(17, 2) && is_there(17, 4) && is_there(17, 9));
    ck_assert_int_eq(count_files(), 8);
    gr_silo_states_tidy(folder());
    ck_assert_int_eq(count_files(), 7);
    /* No folder, no silos: nothing to do. */
    gr_silo_states_keep(in_scratch("none"), mine, 2, 1);
    gr_silo_states_tidy(in_scratch("none"));
    gr_silo_states_keep(folder(), NULL, 0, 1);
    ck_assert_int_eq(count_files(), 7);
    end();
}
END_TEST

/* Of a log's file; -1: it is not there. */
static long long log_bytes(const char *name) {
    struct stat is;
    return stat(in_scratch(name), &is) == 0 ? (long long)is.st_size : -1;
}

/* Lines that are told add up to more than two files may hold: the newest are kept. */
START_TEST(a_log_is_bounded) {
    char line[2001], dir[4096];
    memset(line, 'a', sizeof line - 1);
    line[sizeof line - 1] = '\0';
    snprintf(dir, sizeof dir, "%s", in_scratch("own"));
    for (int i = 0; i < 3 * GR_SILO_LOG_MAX / 2000; i++) {
        line[0] = (char)('a' + i % 26);
        MUST(gr_silo_log_add(dir, "silo-003", line));
        ck_assert_int_le(log_bytes("own/silo-003.log"), GR_SILO_LOG_MAX);
        ck_assert_int_le(log_bytes("own/silo-003.log.1"), GR_SILO_LOG_MAX);
    }
    ck_assert_int_gt(log_bytes("own/silo-003.log.1"), GR_SILO_LOG_MAX - 2100);
    ck_assert_int_eq(log_bytes("own/silo-003.log.1.1"), -1);
    MUST(gr_silo_log_add(dir, "silo-004", "one\ntwo\x1b"));
    ck_assert_int_eq(log_bytes("own/silo-004.log"),
                     (long long)strlen("2026-11-29T12:00:00Z one?two?\n"));
}
END_TEST

RUN_TESTS("silo states", there_and_back, no_other_is_taken, many_vectors, of_another_run,
          damage_is_seen, cannot_be_written, old_ones_go, a_log_is_bounded)
