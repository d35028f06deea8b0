/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.jsonl: doubles come back with all their bits through jansson's parser, a resumed run cuts
 * what it will do again, a torn last line goes; and the progress line.
 */
#include <granary/observe.h>

#include <jansson.h>
#include <math.h>

#include "observe/metrics.h"
#include "scratch.h"

static struct gr_metrics sample(uint32_t round) {
    return (struct gr_metrics){.round = round,
                               .participants = 8,
                               .examples = 60000,
                               .processed = (uint64_t)1 << 40,
                               .train_loss = 1.0 / 3.0 + round,
                               .validation_loss = NAN,
                               .validation_accuracy = NAN,
                               .test_loss = 0.1,
                               .test_accuracy = 1e-300,
                               .seconds = {0.1, 0.2, 0.3, NAN, 5e-324},
                               .bytes_sent = 123456789012345,
                               .cpu_seconds_train = 2.5,
                               .update_norm = INFINITY};
}

static void append(uint32_t rounds_done, uint32_t from, uint32_t to) {
    struct gr_metrics_file *file;
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), rounds_done, &file));
    for (uint32_t round = from; round <= to; round++) {
        struct gr_metrics metrics = sample(round);
        MUST(gr_metrics_append(file, &metrics));
    }
    gr_metrics_close(file);
}

/* "1 2 3": the rounds that stand in the file. */
static const char *rounds_there(void) {
    static char text[256];
    struct gr_metrics *rounds;
    size_t n;
    text[0] = '\0';
    MUST(gr_metrics_read(in_scratch("metrics.jsonl"), &rounds, &n));
    for (size_t i = 0; i < n; i++)
        snprintf(text + strlen(text), sizeof text - strlen(text), i ? " %u" : "%u",
                 rounds[i].round);
    gr_free(rounds);
    return text;
}

START_TEST(line_is_exact) {
    append(0, 1, 1);
    char *text = slurp(in_scratch("metrics.jsonl"), NULL);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert_ptr_nonnull(json);
    ck_assert(json_real_value(json_object_get(json, "train_loss")) == 1.0 / 3.0 + 1);
    ck_assert(json_real_value(json_object_get(json, "test_accuracy")) == 1e-300);
    ck_assert(json_is_null(json_object_get(json, "validation_loss")));
    ck_assert(json_is_null(json_object_get(json, "update_norm")));
    ck_assert_int_eq(json_integer_value(json_object_get(json, "bytes_sent")), 123456789012345);
    ck_assert_int_eq(json_integer_value(json_object_get(json, "processed")), (int64_t)1 << 40);
    const json_t *seconds = json_object_get(json, "seconds");
    ck_assert(json_real_value(json_object_get(seconds, "evaluate")) == 0.3);
    ck_assert(json_real_value(json_object_get(seconds, "total")) == 5e-324);
    ck_assert(json_is_null(json_object_get(seconds, "checkpoint")));
    ck_assert_uint_eq(json_object_size(json), 13);
    ck_assert_uint_eq(json_object_size(seconds), 5);
    json_decref(json);
    gr_free(text);
}
END_TEST

START_TEST(resume_cuts) {
    append(0, 1, 5);
    ck_assert_str_eq(rounds_there(), "1 2 3 4 5");
    append(3, 4, 4);
    ck_assert_str_eq(rounds_there(), "1 2 3 4");
    append(4, 5, 5);
    ck_assert_str_eq(rounds_there(), "1 2 3 4 5");
    append(0, 1, 1);
    ck_assert_str_eq(rounds_there(), "1");
    ck_assert(!exists(in_scratch("metrics.jsonl.tmp")));
}
END_TEST

START_TEST(torn_line_goes) {
    size_t length;
    append(0, 1, 3);
    char *text = slurp(in_scratch("metrics.jsonl"), &length);
    spill(in_scratch("metrics.jsonl"), text, length - 20);
    append(3, 3, 3);
    ck_assert_str_eq(rounds_there(), "1 2 3");
    char *again = slurp(in_scratch("metrics.jsonl"), NULL);
    ck_assert_str_eq(text, again);
    gr_free(again);
    gr_free(text);
}
END_TEST

START_TEST(rubbish_goes) {
    static const char rubbish[] =
        "{\"round\":1}\nnot json\n{\"round\":\"2\"}\n{\"round\":-1}\n[]\n";
    spill(in_scratch("metrics.jsonl"), rubbish, sizeof rubbish - 1);
    append(5, 2, 2);
    ck_assert_str_eq(rounds_there(), "1 2");
}
END_TEST

START_TEST(no_folder) {
    struct gr_metrics_file *file;
    ck_assert_int_eq(gr_metrics_open(in_scratch("none/metrics.jsonl"), 0, &file), GR_ERROR_WRITE);
    ck_assert_ptr_null(file);
}
END_TEST

START_TEST(appending_is_cheap) {
    struct gr_metrics_file *file;
    struct gr_metrics metrics = sample(1);
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 0, &file));
    double start = gr_clock_cpu_seconds();
    for (int i = 0; i < 1000; i++)
        MUST(gr_metrics_append(file, &metrics));
    /* About 10 microseconds; ten times that under a sanitizer or valgrind. */
    ck_assert_double_lt((gr_clock_cpu_seconds() - start) / 1000, 1e-3);
    gr_metrics_close(file);
}
END_TEST

/* Lets `rounds` rounds pass and returns what was printed. */
static char *progress_of(uint32_t rounds, uint32_t first, uint32_t last) {
    struct gr_progress *progress;
    FILE *stream = fopen(in_scratch("progress"), "w");
    ck_assert_ptr_nonnull(stream);
    MUST(gr_progress_create(stream, rounds, first - 1, &progress));
    for (uint32_t round = first; round <= last; round++) {
        struct gr_metrics metrics = sample(round);
        metrics.test_accuracy = 0.8571;
        gr_progress_round(progress, &metrics);
    }
    gr_progress_finish(progress, "runs/x", "abcd");
    gr_progress_free(progress);
    fclose(stream);
    return slurp(in_scratch("progress"), NULL);
}

START_TEST(progress_is_short) {
    char *text = progress_of(1000, 1, 1000);
    size_t lines = 0;
    for (const char *at = text; (at = strstr(at, "round ")); at++)
        lines++;
    /* The first and the last: the rounds between take less than two seconds. */
    ck_assert_uint_eq(lines, 2);
    ck_assert_ptr_nonnull(strstr(text, "round 1000/1000  accuracy 85.71 %"));
    ck_assert_ptr_null(strchr(text, '\r'));
    ck_assert_ptr_nonnull(strstr(text, "finished 1000 of 1000 rounds"));
    ck_assert_ptr_nonnull(strstr(text, "test       85.71 %, loss 0.1000"));
    ck_assert_ptr_nonnull(strstr(text, "runs/x/report.html"));
    ck_assert_ptr_nonnull(strstr(text, "abcd"));
    gr_free(text);
}
END_TEST

START_TEST(progress_stopped) {
    char *text = progress_of(10, 4, 6);
    ck_assert_ptr_nonnull(strstr(text, "round 6/10"));
    ck_assert_ptr_nonnull(strstr(text, "stopped after 6 of 10 rounds; 3 in"));
    ck_assert_ptr_nonnull(strstr(text, "--resume"));
    gr_free(text);
}
END_TEST

START_TEST(progress_silent) {
    struct gr_progress *progress;
    struct gr_metrics metrics = sample(1);
    MUST(gr_progress_create(NULL, 3, 0, &progress));
    gr_progress_round(progress, &metrics);
    gr_progress_finish(progress, "x", NULL);
    gr_progress_free(progress);
    gr_progress_free(NULL);
}
END_TEST

RUN_TESTS("metrics", line_is_exact, resume_cuts, torn_line_goes, rubbish_goes, no_folder,
          appending_is_cheap, progress_is_short, progress_stopped, progress_silent)
