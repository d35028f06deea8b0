/* SPDX-License-Identifier: Apache-2.0 */
/* The run directory: place, lock, latest; the manifest over several stretches; taking over;
 * versions. */
#include <granary/store.h>

#include <fcntl.h>
#include <jansson.h>
#include <pwd.h>
#include <sys/file.h>
#include <sys/wait.h>

#include "scratch.h"

static struct gr_config config_in(const char *directory) {
    static char name[] = "fashion", place[1024];
    snprintf(place, sizeof place, "%s", directory);
    return (struct gr_config){
        .run = {.name = name, .seed = UINT64_MAX, .rounds = 20, .directory = place}};
}

static struct gr_run_directory *opened(const struct gr_config *config, const char *path,
                                       bool resume) {
    struct gr_run_directory *run;
    MUST(gr_run_directory_open(config, path, resume, &run));
    return run;
}

static gr_status refused(const struct gr_config *config, const char *path, bool resume) {
    struct gr_run_directory *run;
    gr_status status = gr_run_directory_open(config, path, resume, &run);
    ck_assert_ptr_null(run);
    return status;
}

static void link_target(char out[256]) {
    ssize_t n = readlink(in_scratch("a/runs/latest"), out, 255);
    ck_assert_int_gt(n, 0);
    out[n] = '\0';
}

static const char *job;

static void write_manifest(const struct gr_run_directory *run, const struct gr_config *config,
                           uint32_t from, uint32_t done, const char *outcome) {
    static const int32_t host[3] = {0, 1, 0};
    struct gr_manifest manifest = {
        .config = config,
        .detection = "process table",
        .job = job,
        .ranks = 2,
        .nodes = 1,
        .n_silos = 3,
        .data = {.known = true, .fingerprint = {0xab, 0x12}, .incomplete = true},
        .architecture = "{\"type\":\"mlp\"}",
        .n_parameters = 199210,
        .config_digest = {0xff},
        .started_utc = "2026-11-21T09:30:00Z",
        .resumed_from = from,
        .outcome = outcome,
        .rounds_done = done,
        .host_of = host};
    struct gr_evidence evidence, again;
    MUST(gr_manifest_write(run, &manifest, &evidence));
    MUST(gr_manifest_evidence(gr_run_directory_path(run), &again));
    ck_assert_str_eq(evidence.manifest, again.manifest);
    ck_assert_uint_eq(evidence.stretches, again.stretches);
}

static json_t *read_manifest(const char *path) {
    char file[1200];
    snprintf(file, sizeof file, "%s/manifest.json", path);
    json_t *json = json_load_file(file, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(json);
    return json;
}

START_TEST(latest_moves) {
    struct gr_config config = config_in(in_scratch("a/runs"));
    char first[256], second[256], path[1024];
    struct gr_run_directory *run = opened(&config, NULL, false);
    snprintf(path, sizeof path, "%s", gr_run_directory_path(run));
    link_target(first);
    ck_assert_ptr_null(strchr(first, '/'));
    ck_assert_int_eq(strncmp(first, "fashion-20", 10), 0);
    ck_assert_str_eq(strrchr(path, '/') + 1, first);
    gr_run_directory_close(run);
    /* Another process's run of the same second. */
    pid_t child = fork();
    if (child == 0) {
        gr_run_directory_close(opened(&config, NULL, false));
        _exit(0);
    }
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    link_target(second);
    ck_assert_str_ne(first, second);
    run = opened(&config, NULL, true);
    ck_assert_str_eq(strrchr(gr_run_directory_path(run), '/') + 1, second);
    gr_run_directory_close(run);
}
END_TEST

/* A run that is named by the link is the one behind it, and the link stays what it is. */
START_TEST(latest_is_gone_on_with_by_name) {
    struct gr_config config = config_in(in_scratch("a/runs"));
    char before[256], after[256];
    gr_run_directory_close(opened(&config, NULL, false));
    link_target(before);
    struct gr_run_directory *run = opened(&config, in_scratch("a/runs/latest"), true);
    ck_assert_str_eq(strrchr(gr_run_directory_path(run), '/') + 1, before);
    gr_run_directory_close(run);
    link_target(after);
    ck_assert_str_eq(after, before);
}
END_TEST

START_TEST(nothing_to_resume) {
    struct gr_config config = config_in(in_scratch("runs"));
    ck_assert_int_eq(refused(&config, NULL, true), GR_ERROR_USAGE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "nothing to resume"));
}
END_TEST

START_TEST(lock_is_held) {
    struct gr_config config = config_in(scratch);
    struct gr_run_directory *run = opened(&config, in_scratch("x"), false);
    ck_assert(exists(in_scratch("x/checkpoints")));
    for (int resume = 0; resume < 2; resume++) {
        ck_assert_int_eq(refused(&config, in_scratch("x"), resume), GR_ERROR_WRITE);
        ck_assert_ptr_nonnull(strstr(gr_message(), "in use by another run"));
    }
    gr_run_directory_close(run);
    gr_run_directory_close(opened(&config, in_scratch("x"), false));
}
END_TEST

START_TEST(lock_goes_with_its_process) {
    struct gr_config config = config_in(scratch);
    int ready[2];
    char byte = 0;
    ck_assert_int_eq(pipe(ready), 0);
    pid_t child = fork();
    if (child == 0) {
        opened(&config, in_scratch("x"), false);
        if (write(ready[1], &byte, 1) != 1) _exit(1);
        pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(refused(&config, in_scratch("x"), true), GR_ERROR_WRITE);
    kill(child, SIGKILL);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    gr_run_directory_close(opened(&config, in_scratch("x"), true));
}
END_TEST

START_TEST(a_run_is_not_overwritten) {
    struct gr_config config = config_in(scratch);
    struct gr_run_directory *run = opened(&config, in_scratch("x/"), false);
    write_manifest(run, &config, 0, 0, "running");
    gr_run_directory_close(run);
    ck_assert_int_eq(refused(&config, in_scratch("x"), false), GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "--resume"));
    gr_run_directory_close(opened(&config, in_scratch("x"), true));
}
END_TEST

START_TEST(not_a_folder) {
    struct gr_config config = config_in(in_scratch("file/runs"));
    spill(in_scratch("file"), "", 0);
    ck_assert_int_eq(refused(&config, NULL, false), GR_ERROR_WRITE);
    ck_assert_int_eq(refused(&config, in_scratch("file"), false), GR_ERROR_WRITE);
    ck_assert_int_eq(refused(&config, "/proc/none/x", false), GR_ERROR_WRITE);
}
END_TEST

START_TEST(read_only) {
    struct gr_config config = config_in(scratch);
    const struct passwd *nobody = getpwnam("nobody");
    gr_run_directory_close(opened(&config, in_scratch("x"), false));
    ck_assert_int_eq(chmod(in_scratch("x"), 0555), 0);
    ck_assert_int_eq(chmod(scratch, 0755), 0);
    pid_t child = fork();
    if (child == 0) {
        if (getuid() == 0 && (!nobody || setuid(nobody->pw_uid) != 0)) _exit(0);
        struct gr_run_directory *run;
        bool one = gr_run_directory_open(&config, in_scratch("x"), true, &run) == GR_ERROR_WRITE;
        bool two = gr_run_directory_open(&config, in_scratch("x/y"), false, &run) == GR_ERROR_WRITE;
        _exit(one && two ? 0 : 1);
    }
    int outcome;
    ck_assert_int_eq(waitpid(child, &outcome, 0), child);
    ck_assert_int_eq(outcome, 0);
    chmod(in_scratch("x"), 0755);
}
END_TEST

START_TEST(manifest_says_what_ran) {
    struct gr_config config = config_in(scratch);
    struct gr_run_directory *run = opened(&config, in_scratch("x"), false);
    write_manifest(run, &config, 0, 0, "running");
    json_t *json = read_manifest(in_scratch("x"));
    ck_assert_ptr_null(json_object_get(json, "job"));
    json_decref(json);
    job = "1234_5";
    write_manifest(run, &config, 0, 7, "running");
    gr_run_directory_close(run);
    json = read_manifest(in_scratch("x"));
    ck_assert_str_eq(json_string_value(json_object_get(json, "seed")), "18446744073709551615");
    ck_assert_int_eq(
        strncmp(json_string_value(json_object_get(json, "data_fingerprint")), "ab1200", 6), 0);
    ck_assert(json_is_true(json_object_get(json, "data_incomplete")));
    ck_assert_int_eq(json_integer_value(json_object_get(json, "parameters")), 199210);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "rounds_done")), 7);
    ck_assert_str_eq(json_string_value(json_object_get(json, "detection")), "process table");
    ck_assert_str_eq(json_string_value(json_object_get(json, "job")), "1234_5");
    ck_assert(json_is_null(json_object_get(json, "model_digest")));
    ck_assert_str_eq(
        json_string_value(json_object_get(json_object_get(json, "architecture"), "type")), "mlp");
    ck_assert_int_eq(strncmp(json_string_value(json_object_get(json, "config_digest")), "ff00", 4),
                     0);
    const json_t *software = json_object_get(json, "software");
    ck_assert_ptr_nonnull(json_object_get(software, "HDF5"));
    ck_assert_ptr_nonnull(json_object_get(software, "processor"));
    json_decref(json);
}
END_TEST

START_TEST(manifest_names_nobody) {
    struct gr_config config = config_in(scratch);
    char host[256] = "";
    const struct passwd *user = getpwuid(getuid());
    struct gr_run_directory *run = opened(&config, in_scratch("x"), false);
    write_manifest(run, &config, 0, 0, "running");
    gr_run_directory_close(run);
    char *text = slurp(in_scratch("x/manifest.json"), NULL);
    gethostname(host, sizeof host - 1);
    ck_assert_msg(!host[0] || !strstr(text, host), "found the host's name");
    ck_assert_msg(!user || !strstr(text, user->pw_name), "found the user's name");
    ck_assert_ptr_null(strstr(text, scratch));
    ck_assert_ptr_null(strchr(text, '@'));
    gr_free(text);
}
END_TEST

START_TEST(stretches_are_kept) {
    static const char *const outcomes[] = {"interrupted", "stopped", "finished"};
    struct gr_config config = config_in(scratch);
    struct gr_run_directory *run = opened(&config, in_scratch("x"), false);
    ck_assert(!gr_run_directory_data(run).known);
    write_manifest(run, &config, 0, 0, "running");
    write_manifest(run, &config, 0, 7, "running"); /* and then it was killed */
    gr_run_directory_close(run);
    run = opened(&config, in_scratch("x"), true);
    struct gr_run_data data = gr_run_directory_data(run);
    ck_assert(data.known && data.incomplete && data.fingerprint[1] == 0x12);
    write_manifest(run, &config, 7, 9, "stopped");
    gr_run_directory_close(run);
    run = opened(&config, in_scratch("x"), true);
    write_manifest(run, &config, 9, 9, "running");
    write_manifest(run, &config, 9, 20, "finished");
    gr_run_directory_close(run);
    json_t *json = read_manifest(in_scratch("x"));
    const json_t *stretches = json_object_get(json, "stretches"), *stretch;
    size_t i;
    ck_assert_uint_eq(json_array_size(stretches), 3);
    json_array_foreach(stretches, i, stretch)
        ck_assert_str_eq(json_string_value(json_object_get(stretch, "outcome")), outcomes[i]);
    json_decref(json);
}
END_TEST

static json_int_t rounds_of_first_stretch(void) {
    json_t *json = read_manifest(in_scratch("x"));
    const json_t *first = json_array_get(json_object_get(json, "stretches"), 0);
    ck_assert_str_eq(json_string_value(json_object_get(first, "outcome")), "interrupted");
    json_int_t rounds = json_integer_value(json_object_get(first, "rounds_done"));
    json_decref(json);
    return rounds;
}

/* A process that was killed did not say how far it came; its files do. */
START_TEST(interrupted_stretch_has_its_rounds) {
    static const char *const metrics[] = {
        "",           "{\"round\":4}",   "{\"round\":3}\n{\"round\":4}\n", "{\"round\":5}\n{\"rou",
        "not ours\n", "{\"round\":-1}\n"};
    static const json_int_t expected[] = {2, 2, 4, 5, 2, 2};
    struct gr_config config = config_in(scratch);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++) {
        struct gr_run_directory *run = opened(&config, in_scratch("x"), i > 0);
        if (i == 0) spill(in_scratch("x/checkpoints/round-000002.h5"), "", 0);
        unlink(in_scratch("x/manifest.json"));
        gr_run_directory_close(run);
        run = opened(&config, in_scratch("x"), true);
        write_manifest(run, &config, 0, 0, "running");
        gr_run_directory_close(run);
        spill(in_scratch("x/metrics.jsonl"), metrics[i], strlen(metrics[i]));
        run = opened(&config, in_scratch("x"), true);
        write_manifest(run, &config, 2, 2, "running");
        gr_run_directory_close(run);
        ck_assert_msg(rounds_of_first_stretch() == expected[i], "%s: %lld", metrics[i],
                      (long long)rounds_of_first_stretch());
    }
    /* Longer than what is read of it. */
    char *lines = malloc(1 << 20);
    size_t n = 0;
    for (int round = 1; n < 900000; round++)
        n += (size_t)sprintf(lines + n, "{\"round\":%d}\n", round % 77);
    n += (size_t)sprintf(lines + n, "{\"round\":78}\n");
    unlink(in_scratch("x/manifest.json"));
    struct gr_run_directory *run = opened(&config, in_scratch("x"), true);
    write_manifest(run, &config, 0, 0, "running");
    gr_run_directory_close(run);
    spill(in_scratch("x/metrics.jsonl"), lines, n);
    run = opened(&config, in_scratch("x"), true);
    write_manifest(run, &config, 2, 2, "finished");
    gr_run_directory_close(run);
    ck_assert_int_eq(rounds_of_first_stretch(), 78);
    free(lines);
}
END_TEST

static int lock_of_another(void) {
    int fd = open(in_scratch("x/lock"), O_RDWR);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(flock(fd, LOCK_EX | LOCK_NB), 0);
    return fd;
}

/* The stretch goes on as one, whoever writes of it; the lock is had when it can be had. */
START_TEST(taken_over) {
    struct gr_config config = config_in(scratch);
    struct gr_run_directory *run = opened(&config, in_scratch("x"), false), *other;
    write_manifest(run, &config, 0, 0, "running");
    gr_run_directory_close(run);
    run = opened(&config, in_scratch("x"), true);
    write_manifest(run, &config, 3, 3, "running");
    gr_run_directory_close(run);
    /* A former rank 0 that is only suspended. */
    int fd = lock_of_another();
    MUST(gr_run_directory_take_over(in_scratch("x"), &run));
    ck_assert_str_eq(gr_run_directory_path(run), in_scratch("x"));
    write_manifest(run, &config, 3, 8, "running");
    gr_run_directory_relock(run);
    close(fd);
    /* Until it asks again the lock is free: another may take over in turn, and then has it. */
    MUST(gr_run_directory_take_over(in_scratch("x"), &other));
    gr_run_directory_relock(run);
    ck_assert_int_eq(refused(&config, in_scratch("x"), true), GR_ERROR_WRITE);
    gr_run_directory_close(other);
    gr_run_directory_relock(run);
    gr_run_directory_relock(run);
    ck_assert_int_eq(refused(&config, in_scratch("x"), true), GR_ERROR_WRITE);
    ck_assert_ptr_nonnull(strstr(gr_message(), "in use by another run"));
    write_manifest(run, &config, 3, 20, "finished");
    gr_run_directory_close(run);
    json_t *json = read_manifest(in_scratch("x"));
    const json_t *stretches = json_object_get(json, "stretches");
    ck_assert_uint_eq(json_array_size(stretches), 2);
    for (size_t i = 0; i < 2; i++)
        ck_assert_str_eq(
            json_string_value(json_object_get(json_array_get(stretches, i), "outcome")),
            i ? "finished" : "interrupted");
    json_decref(json);
}
END_TEST

/* Before there was a manifest, and after the folder went: neither is held against the lock. */
START_TEST(taken_over_without_files) {
    struct gr_config config = config_in(scratch);
    struct gr_run_directory *run;
    gr_run_directory_close(opened(&config, in_scratch("x"), false));
    MUST(gr_run_directory_take_over(in_scratch("x"), &run));
    ck_assert_int_eq(refused(&config, in_scratch("x"), true), GR_ERROR_WRITE);
    write_manifest(run, &config, 0, 1, "running");
    gr_run_directory_close(run);
    MUST(gr_run_directory_take_over(in_scratch("none"), &run));
    gr_run_directory_close(run);
}
END_TEST

START_TEST(damaged_manifest) {
    static const char *const bad[] = {"", "{", "[]", "{\"stretches\":1}"};
    struct gr_config config = config_in(scratch);
    gr_run_directory_close(opened(&config, in_scratch("x"), false));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        spill(in_scratch("x/manifest.json"), bad[i], strlen(bad[i]));
        ck_assert_int_eq(refused(&config, in_scratch("x"), true), GR_ERROR_DATA);
    }
}
END_TEST

START_TEST(versions) {
    static const char *const names[] = {"granary", "MPI", "MPI threads", "MPI fault tolerance",
                                        "HDF5",    "GSL", "oneDNN",      "BLAS"};
    char *text, line[64];
    MUST(gr_versions_text(&text));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(line, sizeof line, "%-20s ", names[i]);
        ck_assert_msg(strstr(text, line) != NULL, "%s is missing", names[i]);
    }
    /* The MPI library's release, without who built it where. */
    const char *mpi = strstr(text, "MPI  ");
    ck_assert_ptr_null(memchr(mpi, ',', (size_t)(strchr(mpi, '\n') - mpi)));
    gr_free(text);
}
END_TEST

RUN_TESTS("run_directory", latest_moves, latest_is_gone_on_with_by_name, nothing_to_resume,
          lock_is_held, lock_goes_with_its_process, a_run_is_not_overwritten, not_a_folder,
          read_only, manifest_says_what_ran, manifest_names_nobody, stretches_are_kept,
          interrupted_stretch_has_its_rounds, taken_over, taken_over_without_files,
          damaged_manifest, versions)
