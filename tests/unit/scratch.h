/* SPDX-License-Identifier: Apache-2.0 */
/* A scratch folder of a test, and files in it. */
#ifndef GRANARY_TESTS_SCRATCH_H
#define GRANARY_TESTS_SCRATCH_H

#include <granary/base.h>

#include <check.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[64];

#define MUST(call) ck_assert_msg((call) == GR_OK, "%s: %s", #call, gr_message())

static inline void scratch_make(void) {
    strcpy(scratch, "/tmp/granary-test-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
}

static inline int scratch_unlink(const char *path, const struct stat *info, int type,
                                 struct FTW *at) {
    (void)info, (void)type, (void)at;
    return remove(path);
}

static inline void scratch_remove(void) {
    nftw(scratch, scratch_unlink, 8, FTW_DEPTH | FTW_PHYS);
}

/* SCRATCH/name, in one of four buffers that take turns. */
static inline const char *in_scratch(const char *name) {
    static char paths[4][1024];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", scratch, name);
    return path;
}

static inline char *slurp(const char *path, size_t *length) {
    char *text = NULL;
    size_t n = 0;
    MUST(gr_file_read(path, 64 << 20, GR_ERROR_DATA, &text, &n));
    if (length) *length = n;
    return text;
}

static inline void spill(const char *path, const char *text, size_t n) {
    /* A new file: some file systems put an old one that is truncated on disk at once. */
    remove(path);
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(text, 1, n, file), n);
    ck_assert_int_eq(fclose(file), 0);
}

static inline bool exists(const char *path) {
    struct stat info;
    return lstat(path, &info) == 0;
}

/* Runs a suite of one case with a scratch folder round each test. */
static inline int run_tests(const char *name, const TTest *const *tests, size_t n) {
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    tcase_add_checked_fixture(tcase, scratch_make, scratch_remove);
    tcase_set_timeout(tcase, 60);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    SRunner *runner = srunner_create(suite);
    srunner_run_all(runner, CK_ENV);
    int failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
#define RUN_TESTS(name, ...)                                                                       \
    int main(void) {                                                                               \
        const TTest *const tests[] = {__VA_ARGS__};                                                \
        if (gr_base_start() != GR_OK) return 1;                                                    \
        return run_tests(name, tests, sizeof tests / sizeof *tests);                               \
    }

#endif
