/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The guard around the HDF5 reader, with readers that do their worst: crash, abort, exit, loop,
 * sleep, eat memory, at each step. Each becomes one message, within the limits, and no child stays.
 */
#include "tables.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

#include "data/reader_child.h"

enum deed { FINE, CRASH, ABORT, EXIT, LOOP, SLEEP, EAT, FAIL };

/* What to do at which step is told through the table's path: two letters. */
static void act(const struct gr_reader *reader, size_t step) {
    char *block;
    switch (reader->table->file[step] - 'a') {
    case CRASH:
        raise(SIGSEGV);
        break;
    case ABORT:
        abort();
    case EXIT:
        _exit(3);
    case LOOP:
        for (volatile size_t i = 0;; i++)
            continue;
    case SLEEP:
        for (;;)
            pause();
    case EAT:
        block = malloc((size_t)256 << 20);
        if (!block)
            raise(SIGBUS);
        else
            free(block);
        break;
    default:
        /* What a batch system sends to the whole job must not end the child. */
        kill(getpid(), SIGTERM);
        kill(getpid(), SIGUSR1);
        kill(getpid(), SIGINT);
    }
}

static gr_status evil_open(struct gr_reader *reader) {
    act(reader, 0);
    if (reader->table->file[0] - 'a' == FAIL)
        return gr_fail(GR_ERROR_DATA, "%s: refused, 100%% of it", reader->table->file);
    reader->shape = (struct gr_table_shape){
        .n_dims = 2, .shape = {9, 4}, .element = GR_ELEMENT_UINT8, .scale = 1, .window_rows = 9};
    if (reader->table->file[2] == '!') reader->shape.window_rows = SIZE_MAX;
    if (reader->table->file[2] == '?') reader->shape.n_dims = 77;
    return GR_OK;
}
static gr_status evil_labels(struct gr_reader *reader, size_t first, size_t n, int32_t *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = (int32_t)(first + i);
    act(reader, 1);
    return GR_OK;
}
static gr_status evil_rows(struct gr_reader *reader, size_t first, size_t n, const void **block) {
    memset(reader->window, (int)first, n * 4);
    *block = reader->window;
    return GR_OK;
}
static void evil_close(struct gr_reader *reader) {
    (void)reader;
}
static const struct gr_reader_operations evil = {
    .open = evil_open, .labels = evil_labels, .rows = evil_rows, .close = evil_close};

static const struct gr_child_limits limits = {
    .wall_seconds = 3, .cpu_seconds = 0, .memory_bytes = (size_t)64 << 20};

static gr_status run(const char *deeds, double wall_seconds) {
    char text[8];
    int32_t labels[9];
    const void *block;
    struct gr_child_limits own = limits;
    struct gr_table_config table = {.file = text};
    struct gr_reader reader = {.operations = &gr_guard_operations, .table = &table};
    gr_status status;
    strcpy(text, deeds);
    own.wall_seconds = wall_seconds;
    ck_assert_int_eq(gr_base_start(), GR_OK);
    status = gr_guard_open(&reader, &evil, &own);
    if (status != GR_OK) ck_assert_ptr_null(reader.state); /* it cleans up after itself */
    if (status != GR_OK) goto out;
    GR_TRY(reader.operations->labels(&reader, 0, 9, labels));
    GR_TRY(reader.operations->rows(&reader, 2, 3, &block));
    ck_assert_int_eq(labels[8], 8);
    ck_assert_int_eq(((const char *)block)[11], 2);
out:
    gr_reader_close(&reader);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    ck_assert_int_eq(errno, ECHILD);
    return status;
}

static void check(const char *deeds, const char *says) {
    double start = gr_clock_seconds();
    CHECK_REFUSED(run(deeds, 20), GR_ERROR_DATA, says); /* a busy machine lends little of itself */
    ck_assert_double_lt(gr_clock_seconds() - start, 19);
}

START_TEST(fine) {
    CHECK_OK(run("aa", 3));
}
END_TEST

START_TEST(ends_early) {
    check("ba", "ba: damaged: reading it ended in signal 11");
    check("ab", "ab: damaged: reading it ended in signal 11");
    check("ca", "ended in signal 6");
    check("ac", "ended in signal 6");
    check("da", "damaged: reading it ended early");
    check("ad", "damaged: reading it ended early");
}
END_TEST

START_TEST(takes_too_long) {
    double start = gr_clock_seconds();
    CHECK_REFUSED(run("fa", 0.2), GR_ERROR_DATA, "no answer within 0.2 s");
    CHECK_REFUSED(run("af", 0.2), GR_ERROR_DATA, "no answer within 0.2 s");
    ck_assert_double_lt(gr_clock_seconds() - start, 2);
    check("ea", "one step of reading it took over 0 s");
}
END_TEST

#if !defined(__SANITIZE_ADDRESS__)
START_TEST(takes_too_much) {
    check("ga", "ended in signal 7");
    check("ag", "ended in signal 7");
}
END_TEST
#endif

START_TEST(message_comes_through) {
    check("ha", "ha: refused, 100% of it");
}
END_TEST

START_TEST(nonsense_is_not_believed) {
    check("aa!", "damaged: windows of 18446744073709551615 rows");
    check("aa?", "features have 77 dimensions");
}
END_TEST

struct work {
    int kill_by;
    gr_status status;
};

static gr_status do_work(void *context) {
    struct work *work = context;
    if (work->kill_by) raise(work->kill_by);
    return work->status == GR_OK ? GR_OK : gr_fail(work->status, "no room");
}

START_TEST(writing) {
    CHECK_OK(gr_guard_write("out.h5", "out.h5.tmp", do_work, &(struct work){0}));
    CHECK_REFUSED(
        gr_guard_write("out.h5", "out.h5.tmp", do_work, &(struct work){.status = GR_ERROR_WRITE}),
        GR_ERROR_WRITE, "no room");
    CHECK_REFUSED(
        gr_guard_write("out.h5", "out.h5.tmp", do_work, &(struct work){.kill_by = SIGSEGV}),
        GR_ERROR_WRITE, "out.h5: writing it ended in signal 11");
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

int main(void) {
    Suite *suite = suite_create("guard");
    TCase *tests = tcase_create("guard");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, fine);
    tcase_add_test(tests, ends_early);
    tcase_add_test(tests, takes_too_long);
#if !defined(__SANITIZE_ADDRESS__)
    tcase_add_test(tests, takes_too_much);
#endif
    tcase_add_test(tests, message_comes_through);
    tcase_add_test(tests, nonsense_is_not_believed);
    tcase_add_test(tests, writing);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
