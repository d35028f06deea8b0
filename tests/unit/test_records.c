/* SPDX-License-Identifier: Apache-2.0 */
/* How events name silos, that none of them ends a run, and how a party's state is written. */
#include "federation/run.h"

#include <granary/study_state.h>

#include <signal.h>
#include <sys/resource.h>

#include "scratch.h"

static const char *list_of(const uint32_t *silos, uint32_t n) {
    static char text[4096];
    char *list = NULL;
    MUST(gr_silo_list("silos", silos, n, &list));
    snprintf(text, sizeof text, "%s", list);
    gr_free(list);
    return text;
}

static const struct {
    const char *flags, *list;
} cases[] = {
    {"0000", ""},
    {"1000", "\"silo-000\""},
    {"1100", "\"silo-000\",\"silo-001\""},
    {"0111", "\"silo-001..silo-003\""},
    {"1111", "\"silo-000..silo-003\""},
    {"10101", "\"silo-000..silo-004/2\""},
    {"0100100100", "\"silo-001..silo-007/3\""},
    {"10111101", "\"silo-000\",\"silo-002..silo-005\",\"silo-007\""},
    {"1010111", "\"silo-000..silo-004/2\",\"silo-005\",\"silo-006\""},
    {"1101011", "\"silo-000\",\"silo-001..silo-005/2\",\"silo-006\""},
};

START_TEST(ranges) {
    uint32_t silos[16], n = 0;
    char want[256];
    for (uint32_t i = 0; cases[_i].flags[i]; i++)
        if (cases[_i].flags[i] == '1') silos[n++] = i;
    snprintf(want, sizeof want, "{\"silos\":[%s]}", cases[_i].list);
    ck_assert_str_eq(list_of(silos, n), want);
}
END_TEST

/* Any list comes back by way of a replay; a rank's share of a million silos is one entry. */
START_TEST(comes_back) {
    enum { N = 3000 };
    uint32_t silos[N];
    struct gr_flags found;
    MUST(gr_flags_create(N, "silos", &found));
    for (uint32_t trial = 0; trial < 40; trial++) {
        char *list = NULL;
        uint32_t n = 0, words[N];
        struct gr_replay *replay;
        const struct gr_stream_key key = {.seed = trial, .purpose = GR_PURPOSE_TEST};
        gr_stream_words(key, 0, words, N);
        for (uint32_t i = 0; i < N; i++)
            if (words[i] % 40 < trial) silos[n++] = i;
        MUST(gr_silo_list("absent", silos, n, &list));
        FILE *out = fopen(in_scratch("events.jsonl"), "w");
        fprintf(out, "{\"event\":\"partial\",\"round\":1,%s\n", list + 1);
        fclose(out);
        gr_free(list);
        MUST(gr_replay_open(in_scratch("events.jsonl"), N, &replay));
        gr_replay_absent(replay, 1, &found);
        ck_assert_uint_eq(found.n_set, n);
        ck_assert_mem_eq(found.set, silos, n * sizeof *silos);
        gr_replay_close(replay);
    }
    gr_flags_release(&found);
}
END_TEST

START_TEST(a_million) {
    enum { N = 1000000 };
    uint32_t *silos = malloc(N * sizeof *silos);
    for (uint32_t i = 0; i < N / 2; i++)
        silos[i] = N / 2 + i;
    ck_assert_str_eq(list_of(silos, N / 2), "{\"silos\":[\"silo-500000..silo-999999\"]}");
    for (uint32_t i = 0; i < N / 3; i++)
        silos[i] = 3 * i + 1;
    ck_assert_str_eq(list_of(silos, N / 3), "{\"silos\":[\"silo-001..silo-999997/3\"]}");
    free(silos);
}
END_TEST

/* An event that cannot be written down has an alert in its place, and the run goes on. */
START_TEST(no_event_ends_a_run) {
    struct gr_run_state run = {0};
    MUST(gr_events_open(in_scratch("events.jsonl"), &run.events));
    ck_assert(gr_records_note(&run, "good", 1, "{\"silos\":[]}", NULL));
    ck_assert(!gr_records_note(&run, "bad", 2, "no object", NULL));
    ck_assert(!run.unwritten);
    ck_assert(!gr_records_note(&run, "not \xff utf-8", 3, NULL, NULL));
    ck_assert(run.unwritten);
    ck_assert(gr_records_note(&run, "good", 4, NULL, NULL));
    gr_events_close(run.events);
    size_t broken;
    MUST(gr_events_verify(in_scratch("events.jsonl"), &broken));
    ck_assert_uint_eq(broken, 0);
    char *text = slurp(in_scratch("events.jsonl"), NULL);
    ck_assert_ptr_nonnull(strstr(text, "\"event\":\"alert\",\"round\":2,\"what\":\"the event 'bad' "
                                       "cannot be written down\""));
    gr_free(text);
}
END_TEST

static void write_round(uint32_t round, gr_status expected) {
    struct gr_study_state state = {.study = "trial", .party = "site-a", .phase = "running"};
    state.round = round;
    ck_assert_int_eq(gr_study_state_write(scratch, &state), expected);
}

static uint32_t read_round(void) {
    struct gr_study_state state;
    MUST(gr_study_state_read(scratch, &state));
    const uint32_t round = state.round;
    gr_study_state_release(&state);
    return round;
}

/* By either of its names lies something else: nobody waits, and nobody else's file is written. */
START_TEST(a_state_replaces_what_lies_there) {
    static const char *const names[] = {"status.json", "status.json.tmp"};
    struct stat is;
    for (uint32_t i = 0; i < 2; i++) {
        char name[128];
        snprintf(name, sizeof name, "%s/%s", scratch, names[i]);
        spill(in_scratch("other"), "mine", 4);
        ck_assert_int_eq(symlink(in_scratch("other"), name), 0);
        write_round(10 * i + 1, GR_OK);
        ck_assert_uint_eq(read_round(), 10 * i + 1);
        remove(name);
        ck_assert_int_eq(link(in_scratch("other"), name), 0);
        write_round(10 * i + 2, GR_OK);
        ck_assert_uint_eq(read_round(), 10 * i + 2);
        remove(name);
        ck_assert_int_eq(mkfifo(name, 0600), 0);
        write_round(10 * i + 3, GR_OK);
        ck_assert_uint_eq(read_round(), 10 * i + 3);
        size_t n;
        char *text = slurp(in_scratch("other"), &n);
        ck_assert_uint_eq(n, 4);
        ck_assert_mem_eq(text, "mine", 4);
        gr_free(text);
        remove(name);
        mkdir(name, 0700);
        write_round(10 * i + 4, GR_ERROR_WRITE);
        ck_assert_int_eq(rmdir(name), 0);
        remove(in_scratch("other"));
    }
    write_round(50, GR_OK);
    ck_assert_int_eq(stat(in_scratch("status.json"), &is), 0);
    ck_assert_uint_eq(is.st_mode & 07777 & ~0640U, 0);
}
END_TEST

/* A limit of file size stands for a disk that is full: the state before stays, and nothing else. */
START_TEST(a_full_disk_leaves_the_state_before) {
    const struct gr_study_state state = {.study = "trial", .party = "site-a", .round = 8};
    struct rlimit limit;
    write_round(7, GR_OK);
    signal(SIGXFSZ, SIG_IGN);
    ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
    for (rlim_t most = 0; most < 150; most += 37) {
        const struct rlimit small = {most, limit.rlim_max};
        const bool set = setrlimit(RLIMIT_FSIZE, &small) == 0;
        const gr_status status = gr_study_state_write(scratch, &state);
        setrlimit(RLIMIT_FSIZE, &limit); /* Check itself writes to a file */
        ck_assert(set);
        ck_assert_int_eq(status, GR_ERROR_WRITE);
        ck_assert_uint_eq(read_round(), 7);
        ck_assert(access(in_scratch("status.json.tmp"), F_OK) != 0);
    }
}
END_TEST

int main(void) {
    if (gr_base_start() != GR_OK) return 1;
    Suite *suite = suite_create("records");
    TCase *tcase = tcase_create("records");
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_set_timeout(tcase, 60);
    tcase_add_loop_test(tcase, ranges, 0, sizeof cases / sizeof *cases);
    tcase_add_test(tcase, comes_back);
    tcase_add_test(tcase, a_million);
    tcase_add_test(tcase, no_event_ends_a_run);
    tcase_add_test(tcase, a_state_replaces_what_lies_there);
    tcase_add_test(tcase, a_full_disk_leaves_the_state_before);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
