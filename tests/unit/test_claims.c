/* SPDX-License-Identifier: Apache-2.0 */
/* Claims in the run directory: of those who want the same epoch one gets it, and none after the
 * end. */
#include <granary/store.h>

#include <sys/wait.h>
#include <unistd.h>

#include "scratch.h"

static struct gr_run_directory *opened(bool resume) {
    struct gr_config config = {.run = {.directory = scratch}};
    struct gr_run_directory *run;
    MUST(gr_run_directory_open(&config, in_scratch("x"), resume, &run));
    return run;
}

static bool claim(uint64_t start, uint32_t epoch) {
    bool granted = false;
    MUST(gr_run_claim(in_scratch("x"), start, epoch, &granted));
    return granted;
}

/* There is nothing to claim any more. */
static bool over(uint64_t start, uint32_t epoch) {
    bool granted = true;
    return gr_run_claim(in_scratch("x"), start, epoch, &granted) == GR_STOPPED && !granted;
}

START_TEST(claims) {
    struct gr_run_directory *run = opened(false);
    const uint64_t start = gr_run_directory_start(run);
    ck_assert(!gr_run_superseded(in_scratch("x"), start, 0));
    ck_assert(claim(start, 2));
    ck_assert(!claim(start, 2));
    ck_assert(claim(start, 3));
    ck_assert(over(start + 1, 2)); /* the folder is not that start's */
    ck_assert(gr_run_superseded(in_scratch("x"), start, 0));
    ck_assert(gr_run_superseded(in_scratch("x"), start, 2));
    ck_assert(!gr_run_superseded(in_scratch("x"), start, 3));
    ck_assert(gr_run_superseded(in_scratch("x"), start + 1, 2));
    ck_assert(claim(start, 123456789));
    ck_assert(gr_run_superseded(in_scratch("x"), start, 123456788));
    /* The claims of an earlier start go when a new one has the lock. */
    gr_run_directory_close(run);
    run = opened(true);
    ck_assert(gr_run_directory_start(run) != start);
    ck_assert(over(start, 124) && gr_run_superseded(in_scratch("x"), start, 999));
    ck_assert(claim(gr_run_directory_start(run), 2));
    /* Who slept through the end of the run finds nothing to go on with. */
    const uint64_t later = gr_run_directory_start(run);
    gr_run_claims_clear(in_scratch("x"), start, 200000000);
    gr_run_claims_clear(in_scratch("x"), later, 1);
    ck_assert(exists(in_scratch("x/claims"))); /* not theirs; and others have gone on */
    gr_run_claims_clear(in_scratch("x"), later, 2);
    ck_assert(!exists(in_scratch("x/claims")));
    ck_assert(over(start, 4) && over(later, 4));
    ck_assert(gr_run_superseded(in_scratch("x"), start, 4));
    gr_run_claims_clear(in_scratch("x"), later, 2);
    gr_run_directory_close(run);
    /* What stands in the way is an error, not a refusal. */
    bool granted = true;
    spill(in_scratch("x/claims"), "", 0);
    ck_assert_int_eq(gr_run_claim(in_scratch("x"), 1, 1, &granted), GR_ERROR_WRITE);
    ck_assert(!granted);
    ck_assert(!gr_run_superseded(in_scratch("x"), 1, 1));
}
END_TEST

/* Of many that claim the same at once one is granted it. */
START_TEST(claims_at_once) {
    enum { PROCESSES = 8, EPOCHS = 200 };
    struct gr_run_directory *run = opened(false);
    const uint64_t start = gr_run_directory_start(run);
    gr_run_directory_close(run);
    int granted = 0, outcome;
    for (int i = 0; i < PROCESSES; i++) {
        if (fork() != 0) continue;
        int mine = 0;
        for (uint32_t epoch = 1; epoch <= EPOCHS; epoch++)
            mine += claim(start, epoch);
        _exit(mine);
    }
    for (int i = 0; i < PROCESSES; i++) {
        ck_assert_int_gt(wait(&outcome), 0);
        ck_assert(WIFEXITED(outcome));
        granted += WEXITSTATUS(outcome);
    }
    ck_assert_int_eq(granted, EPOCHS);
}
END_TEST

/* Where no lock keeps them apart two starts may both find the folder theirs: the lower one's it is,
 * and of one whose claim is gone it is not, however low. */
START_TEST(starts_at_once) {
    struct gr_run_directory *run = opened(false);
    const uint64_t start = gr_run_directory_start(run), other = start ^ 1ULL << 40;
    char path[128];
    gr_run_directory_close(run);
    snprintf(path, sizeof path, "x/claims/%016llx-%06u", (unsigned long long)other, 0U);
    spill(in_scratch(path), "", 0);
    ck_assert_int_eq(gr_run_superseded(in_scratch("x"), start, 0), other < start);
    ck_assert_int_eq(gr_run_superseded(in_scratch("x"), other, 0), start < other);
    snprintf(path, sizeof path, "x/claims/%016llx-%06u", (unsigned long long)start, 0U);
    ck_assert_int_eq(unlink(in_scratch(path)), 0);
    ck_assert(gr_run_superseded(in_scratch("x"), start, 0));
    ck_assert(!gr_run_superseded(in_scratch("x"), other, 0));
}
END_TEST

RUN_TESTS("claims", claims, claims_at_once, starts_at_once)
