/* SPDX-License-Identifier: Apache-2.0 */
/* Runs followed by their files: growing, torn, amended, written anew, gone. */
#include <granary/watch.h>

#include <math.h>

#include "scratch.h"

static struct gr_run_watch *watch;
static const struct gr_watched *seen;

static void start(void) {
    MUST(gr_watch_create(scratch, &watch));
    seen = gr_watch_see(watch);
}

static void finish(void) {
    gr_watch_free(watch);
}

/* Whether anything was new; until all has been read. */
static bool look(void) {
    bool any = false, changed;
    do {
        MUST(gr_watch_read(watch, 0, &changed));
        any = any || changed;
    } while (seen->behind);
    return any;
}

static void append(const char *name, const char *text) {
    FILE *file = fopen(in_scratch(name), "ae");
    ck_assert_ptr_nonnull(file);
    fputs(text, file);
    fclose(file);
}

static void manifest(const char *outcome, unsigned rounds, unsigned silos) {
    char text[512];
    snprintf(text, sizeof text,
             "{\"name\":\"x\\u001b[2J\",\"outcome\":\"%s\",\"rounds\":%u,\"silos\":%u,\"ranks\":2,"
             "\"stretches\":[{\"started\":\"2026-11-30T18:48:05Z\"}]}",
             outcome, rounds, silos);
    spill(in_scratch("manifest.json"), text, strlen(text));
}

static void line_of(char out[512], unsigned round, unsigned participants, double seconds) {
    snprintf(out, 512,
             "{\"round\":%u,\"participants\":%u,\"selected\":4,\"train_loss\":%.4f,"
             "\"test_loss\":0.5,\"test_accuracy\":%.4f,\"seconds\":{\"train\":0.25,\"total\":%.4f},"
             "\"bytes_sent\":100}\n",
             round, participants, 1.0 / round, 0.5 + 0.1 * sin(round), seconds);
}

static void add_round(unsigned round, unsigned participants) {
    char line[512];
    line_of(line, round, participants, 0.5);
    append("metrics.jsonl", line);
}

static void add_event(const char *event, unsigned round, const char *more) {
    char line[1024];
    snprintf(line, sizeof line,
             "{\"n\":1,\"time\":\"2026-11-30T18:48:05Z\",\"event\":\"%s\",\"round\":%u%s}\n", event,
             round, more);
    append("events.jsonl", line);
}

START_TEST(nothing_is_there_yet) {
    start();
    ck_assert(!look());
    ck_assert(!seen->there);
    ck_assert_uint_eq(seen->last.round, 0);
    manifest("running", 10, 4);
    ck_assert(look());
    ck_assert(seen->there);
    ck_assert_str_eq(seen->outcome, "running");
    ck_assert_str_eq(seen->name, "x?[2J"); /* no command to the terminal */
    ck_assert_uint_eq(seen->rounds, 10);
    ck_assert_uint_eq(seen->n_silos, 4);
    ck_assert(!look());
    finish();
}
END_TEST

START_TEST(rounds_are_read_on) {
    start();
    manifest("running", 10, 4);
    add_round(1, 4);
    add_round(2, 4);
    ck_assert(look());
    ck_assert_uint_eq(seen->last.round, 2);
    ck_assert_uint_eq(seen->bytes, 200);
    ck_assert_double_eq_tol(seen->seconds, 1, 1e-12);
    ck_assert_uint_eq(seen->recent.n, 2);
    ck_assert_uint_eq(seen->n_points, 2);
    add_round(3, 4);
    ck_assert(look());
    ck_assert(!look());
    ck_assert_uint_eq(seen->n_rounds, 3);
    ck_assert_uint_eq(seen->bytes, 300);
    ck_assert_uint_eq(seen->n_points, 3);
    ck_assert_uint_eq(seen->points[2].round, 3);
    ck_assert_uint_eq(seen->best.round, 2); /* sin(2) is the greatest */
    finish();
}
END_TEST

START_TEST(a_torn_line_waits_for_its_end) {
    start();
    char line[512];
    manifest("running", 10, 4);
    add_round(1, 4);
    line_of(line, 2, 4, 0.5);
    char rest[512];
    strcpy(rest, line + 40);
    line[40] = '\0';
    append("metrics.jsonl", line);
    look();
    ck_assert_uint_eq(seen->last.round, 1);
    append("metrics.jsonl", rest);
    look();
    ck_assert_uint_eq(seen->last.round, 2);
    append("metrics.jsonl", "{\"round\":\n\x80\xff\n[3]\n");
    look();
    add_round(3, 4);
    look();
    ck_assert_uint_eq(seen->last.round, 3);
    ck_assert_uint_eq(seen->n_rounds, 3);
    finish();
}
END_TEST

/* What a checkpoint cost is written into the line of a round that has been read. */
START_TEST(the_last_line_is_amended) {
    start();
    char line[512];
    manifest("running", 10, 4);
    add_round(1, 4);
    add_round(2, 4);
    look();
    FILE *file = fopen(in_scratch("metrics.jsonl"), "r+e");
    line_of(line, 2, 4, 7.5);
    fseek(file, -(long)strlen(line), SEEK_END);
    fputs(line, file);
    fclose(file);
    ck_assert(look());
    ck_assert_uint_eq(seen->n_rounds, 2);
    ck_assert_uint_eq(seen->bytes, 200);
    ck_assert_double_eq_tol(seen->seconds, 8, 1e-12);
    ck_assert_double_eq_tol((double)seen->points[1].seconds, 7.5, 1e-6);
    add_round(3, 4);
    look();
    ck_assert_double_eq_tol(seen->seconds, 8.5, 1e-12);
    finish();
}
END_TEST

/* A run that goes on from round 2 writes its lines anew, under another inode. */
START_TEST(a_file_is_written_anew) {
    start();
    manifest("running", 10, 4);
    for (unsigned i = 1; i <= 5; i++)
        add_round(i, i == 4 ? 3 : 4);
    add_event("partial", 4, ",\"absent\":[\"silo-001\"],\"stands\":true");
    look();
    ck_assert_uint_eq(seen->silos[1].missed, 1);
    rename(in_scratch("metrics.jsonl"), in_scratch("old"));
    add_round(1, 4);
    add_round(2, 4);
    add_event("resumed", 2, "");
    look();
    ck_assert_uint_eq(seen->last.round, 2);
    ck_assert_uint_eq(seen->n_points, 2);
    ck_assert_uint_eq(seen->bytes, 200);
    ck_assert_uint_eq(seen->silos[1].missed, 0);
    add_round(3, 4);
    look();
    ck_assert_uint_eq(seen->last.round, 3);
    /* Longer than what was read of the former. */
    rename(in_scratch("metrics.jsonl"), in_scratch("older"));
    for (unsigned i = 1; i <= 7; i++) {
        char line[512];
        line_of(line, i, 4, 2);
        append("metrics.jsonl", line);
    }
    look();
    ck_assert_uint_eq(seen->n_rounds, 7);
    ck_assert_double_eq_tol(seen->seconds, 14, 1e-12);
    finish();
}
END_TEST

START_TEST(the_folder_goes) {
    start();
    manifest("running", 10, 4);
    add_round(1, 4);
    look();
    unlink(in_scratch("manifest.json"));
    unlink(in_scratch("metrics.jsonl"));
    ck_assert(look());
    ck_assert(!seen->there);
    ck_assert_uint_eq(seen->last.round, 1); /* it has said what it said */
    add_round(1, 4);
    add_round(2, 4);
    look();
    ck_assert(seen->there);
    ck_assert_uint_eq(seen->n_rounds, 2);
    finish();
}
END_TEST

START_TEST(silos_that_miss_rounds) {
    start();
    manifest("running", 10, 4);
    add_round(1, 4);
    add_event("partial", 2, ",\"absent\":[\"silo-001..silo-003/2\"],\"stands\":true");
    add_event("lost", 2, ",\"silos\":[\"silo-003\"]");
    add_round(2, 2);
    add_round(3, 2);
    look();
    ck_assert_uint_eq(seen->silos[1].missed, 2);
    ck_assert_uint_eq(seen->silos[1].fate, GR_WATCH_AWAY);
    ck_assert_uint_eq(seen->silos[3].fate, GR_WATCH_LOST);
    ck_assert_uint_eq(seen->silos[0].missed, 0);
    add_event("returned", 4, ",\"silos\":[\"silo-003\"]");
    add_event("partial", 4, ",\"absent\":[\"silo-001\"],\"stands\":true");
    add_round(4, 3);
    look();
    ck_assert_uint_eq(seen->silos[3].missed, 2);
    ck_assert_uint_eq(seen->silos[3].fate, GR_WATCH_TOOK_PART);
    ck_assert_uint_eq(seen->silos[1].missed, 3);
    /* Of damaged events no roster is known, and nothing else is lost. */
    append("events.jsonl", "nonsense\n");
    add_event("alert", 5, ",\"what\":\"low \\u001b participation\"");
    look();
    ck_assert_uint_eq(seen->n_alerts, 1);
    ck_assert(seen->events[(seen->n_events - 1) % GR_WATCH_EVENTS].alert);
    ck_assert_str_eq(seen->events[(seen->n_events - 1) % GR_WATCH_EVENTS].text,
                     "alert: low ? participation");
    finish();
}
END_TEST

START_TEST(everyday_events_are_not_kept) {
    start();
    manifest("running", 10, 4);
    add_event("started", 0, "");
    add_event("releases", 1, ",\"releases\":[]");
    add_event("checkpoint", 2, "");
    look();
    ck_assert_uint_eq(seen->n_events, 1);
    ck_assert_uint_eq(seen->checkpoint, 2);
    ck_assert(!seen->ended);
    add_event("finished", 2, "");
    look();
    ck_assert(seen->ended);
    finish();
}
END_TEST

/* Curves keep their shape, their first round and their last, in bounded memory. */
START_TEST(many_rounds_are_thinned_out) {
    start();
    enum { ROUNDS = 3 * GR_WATCH_POINTS };
    FILE *file = fopen(in_scratch("metrics.jsonl"), "we");
    char line[512];
    manifest("running", ROUNDS, 4);
    for (unsigned i = 1; i <= ROUNDS; i++) {
        line_of(line, i, 4, 0.5);
        fputs(line, file);
    }
    fclose(file);
    bool changed;
    do
        MUST(gr_watch_read(watch, 1, &changed));
    while (seen->behind);
    ck_assert_uint_eq(seen->n_rounds, ROUNDS);
    ck_assert_uint_eq(seen->bytes, 100 * ROUNDS);
    ck_assert_uint_le(seen->n_points, GR_WATCH_POINTS);
    ck_assert_uint_gt(seen->n_points, GR_WATCH_POINTS / 2);
    ck_assert_uint_eq(seen->points[0].round, 1);
    ck_assert_uint_eq(seen->points[1].round, 5);
    ck_assert_uint_eq(seen->points[seen->n_points - 1].round, ROUNDS);
    for (size_t i = 1; i < seen->n_points; i++)
        ck_assert_uint_gt(seen->points[i].round, seen->points[i - 1].round);
    ck_assert_uint_eq(seen->recent.n, GR_WATCH_RECENT);
    ck_assert_double_eq_tol(seen->recent.train, 0.25 * GR_WATCH_RECENT, 1e-9);
    finish();
}
END_TEST

/* Scores of validation rows are forgotten once there are some of test rows. */
START_TEST(test_rows_go_before_validation_rows) {
    start();
    manifest("running", 10, 4);
    append("metrics.jsonl", "{\"round\":1,\"validation_loss\":0.1,\"validation_accuracy\":0.9,"
                            "\"test_loss\":null,\"test_accuracy\":null,\"train_loss\":1}\n");
    look();
    ck_assert(!seen->of_test);
    ck_assert_double_eq_tol((double)seen->held.held_accuracy, 0.9, 1e-6);
    add_round(2, 4);
    look();
    ck_assert(seen->of_test);
    ck_assert_uint_eq(seen->best.round, 2);
    ck_assert(isnan(seen->points[0].held_accuracy));
    finish();
}
END_TEST

/* Each round once, though the last line of the file is read again. */
static unsigned told_rounds, told_alerts;
static void count(void *context, const struct gr_watched *what,
                  const struct gr_watch_event *event) {
    ck_assert_ptr_eq(context, &told_rounds);
    ck_assert_ptr_eq(what, seen);
    if (event)
        told_alerts += event->alert;
    else
        ck_assert_uint_eq(what->last.round, ++told_rounds);
}

START_TEST(lines_are_told) {
    start();
    told_rounds = told_alerts = 0;
    gr_watch_on(watch, count, &told_rounds);
    manifest("running", 10, 4);
    add_round(1, 4);
    look();
    add_round(2, 4);
    add_event("alert", 2, "");
    look();
    add_round(3, 4);
    look();
    ck_assert_uint_eq(told_rounds, 3);
    ck_assert_uint_eq(told_alerts, 1);
    finish();
}
END_TEST

RUN_TESTS("watch", nothing_is_there_yet, rounds_are_read_on, a_torn_line_waits_for_its_end,
          the_last_line_is_amended, a_file_is_written_anew, the_folder_goes, silos_that_miss_rounds,
          everyday_events_are_not_kept, many_rounds_are_thinned_out,
          test_rows_go_before_validation_rows, lines_are_told)
