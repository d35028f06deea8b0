/* SPDX-License-Identifier: Apache-2.0 */
/* report.html: whole, loading nothing, with every text escaped; with gnuplot and without. */
#include <granary/observe.h>

#include <math.h>

#include "scratch.h"

static const char manifest[] =
    "{\"name\":\"<b>&name\\\"'\",\"outcome\":\"finished\\\"><script>x</script>\",\"rounds\":3,"
    "\"rounds_done\":3,\"model_digest\":\"<i>\",\"seed\":1,\"architecture\":{\"type\":\"<u>\"},"
    "\"parameters\":12345,\"silos\":8,\"ranks\":2,\"rank_of_silo\":[0,1],"
    "\"privacy\":{\"mechanism\":\"none\",\"statement\":\"<s>\"},"
    "\"stretches\":[{\"started\":\"<em>\",\"outcome\":\"<p>\"}],\"software\":{\"<k>\":\"<v>\"}}";
static const char config[] = "run:\n  name: </pre><script>alert(1)</script> & \"more\"\n"
                             "round:\n  replay: /secret/events.jsonl\n";

static void write_run(uint32_t rounds) {
    struct gr_metrics_file *file;
    spill(in_scratch("manifest.json"), manifest, sizeof manifest - 1);
    spill(in_scratch("resolved.yaml"), config, sizeof config - 1);
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 0, &file));
    for (uint32_t round = 1; round <= rounds; round++) {
        struct gr_metrics metrics = {.round = round,
                                     .participants = 8,
                                     .examples = 60000,
                                     .processed = 60000,
                                     .train_loss = 1.0 / round,
                                     .validation_loss = NAN,
                                     .validation_accuracy = NAN,
                                     .test_loss = 1.1 / round,
                                     .test_accuracy = 0.8571,
                                     .seconds = {0.1, 0.01, 0.02, 0.03, 0.2},
                                     .bytes_sent = 1530000};
        MUST(gr_metrics_append(file, &metrics));
    }
    gr_metrics_close(file);
}

static char *report(void) {
    MUST(gr_report_write(scratch));
    return slurp(in_scratch("report.html"), NULL);
}

static size_t count(const char *text, const char *what) {
    size_t n = 0;
    for (; (text = strstr(text, what)); text++)
        n++;
    return n;
}

START_TEST(everything_is_escaped) {
    static const char *const forbidden[] = {"<script", "</pre><s", "<b>&name", "<i>", "<u>",
                                            "<s>",     "<em>",     "<p></td>", "<k>", "<v>"};
    write_run(3);
    char *page = report();
    for (size_t i = 0; i < sizeof forbidden / sizeof *forbidden; i++)
        ck_assert_msg(!strstr(page, forbidden[i]), "found %s", forbidden[i]);
    ck_assert_ptr_nonnull(strstr(page, "&lt;b&gt;&amp;name&quot;&#39;"));
    ck_assert_ptr_nonnull(strstr(page, "&lt;/pre&gt;&lt;script&gt;alert(1)&lt;/script&gt; &amp; "));
    gr_free(page);
}
END_TEST

START_TEST(nothing_is_loaded) {
    write_run(3);
    char *page = report();
    ck_assert_uint_eq(count(page, "src="), 0);
    ck_assert_uint_eq(count(page, "@import"), 0);
    ck_assert_uint_eq(count(page, "url("), 0);
    /* The only addresses are names of XML vocabularies. */
    ck_assert_uint_eq(count(page, "http"), count(page, "=\"http://www.w3.org/"));
    ck_assert_ptr_nonnull(strstr(page, "</html>"));
    gr_free(page);
}
END_TEST

START_TEST(numbers_and_curves) {
    write_run(3);
    char *page = report();
    ck_assert_ptr_nonnull(strstr(page, "85.71&#8239;%"));
    ck_assert_ptr_nonnull(strstr(page, "12,345 parameters"));
    ck_assert_ptr_nonnull(strstr(page, "4.59 MB"));
    ck_assert_uint_eq(count(page, "<tr><td>"), 4); /* three rounds and a stretch */
    if (system("gnuplot --version >/dev/null 2>&1") == 0) {
        ck_assert_uint_eq(count(page, "<svg"), 3);
        ck_assert_uint_eq(count(page, "</svg>"), 3);
    }
    gr_free(page);
}
END_TEST

START_TEST(long_runs_are_thinned) {
    write_run(1001);
    char *page = report();
    size_t rows = count(page, "<tr><td>");
    ck_assert_uint_ge(rows, 150);
    ck_assert_uint_le(rows, 202);
    ck_assert_ptr_nonnull(strstr(page, "<tr><td>1001</td>"));
    ck_assert_ptr_nonnull(strstr(page, "One round in 6 and the last are shown"));
    gr_free(page);
}
END_TEST

START_TEST(without_gnuplot) {
    write_run(3);
    setenv("PATH", scratch, 1);
    char *page = report();
    ck_assert_uint_eq(count(page, "<svg"), 0);
    ck_assert_ptr_nonnull(strstr(page, "There are no curves: gnuplot is not installed."));
    gr_free(page);
}
END_TEST

START_TEST(gnuplot_that_fails) {
    static const char *const scripts[] = {"#!/bin/sh\nexit 3\n", "#!/bin/sh\necho nothing\n",
                                          "#!/bin/sh\n"};
    write_run(3);
    setenv("PATH", scratch, 1);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
        spill(in_scratch("gnuplot"), scripts[i], strlen(scripts[i]));
        ck_assert_int_eq(chmod(in_scratch("gnuplot"), 0700), 0);
        char *page = report();
        ck_assert_ptr_nonnull(strstr(page, "There are no curves: gnuplot "));
        gr_free(page);
    }
}
END_TEST

START_TEST(no_round_yet) {
    write_run(0);
    char *page = report();
    ck_assert_ptr_nonnull(strstr(page, "No round has been finished."));
    gr_free(page);
}
END_TEST

START_TEST(one_round) {
    write_run(1);
    char *page = report();
    ck_assert_ptr_nonnull(strstr(page, "<tr><td>1</td>"));
    ck_assert_ptr_null(strstr(page, "There are no curves: gnuplot failed"));
    gr_free(page);
}
END_TEST

/* Nobody missing, no word of it; also where the run is older than the members that say so. */
START_TEST(nobody_missing) {
    write_run(3);
    char *page = report();
    ck_assert_ptr_null(strstr(page, "missing"));
    ck_assert_ptr_null(strstr(page, "Who took part"));
    ck_assert_ptr_null(strstr(page, "Alerts"));
    ck_assert_ptr_null(strstr(page, "/secret"));
    gr_free(page);
}
END_TEST

START_TEST(some_missing) {
    struct gr_metrics_file *file;
    write_run(0);
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 0, &file));
    for (uint32_t round = 1; round <= 20; round++) {
        bool partial = round >= 7 && round <= 9;
        struct gr_metrics metrics = {.round = round,
                                     .selected = 8,
                                     .participants = partial ? 5 : 8,
                                     .dropped = round == 7 ? 2 : 0,
                                     .late = partial,
                                     .sat_out = partial ? 1000 : 0,
                                     .returned = round == 10 ? 4 : 0};
        MUST(gr_metrics_append(file, &metrics));
    }
    gr_metrics_close(file);
    char *page = report();
    ck_assert_ptr_nonnull(strstr(page, "<p>In 3 of 20 rounds some silos were missing.</p>"));
    const char *part = strstr(page, "<h2>Who took part</h2>");
    ck_assert_ptr_nonnull(part);
    static const char *const rows[] = {"with all silos that were selected</td><td>17<",
                                       "rounds with fewer</td><td>3<",
                                       "lost in the round</td><td>2<",
                                       "deadline</td><td>3<",
                                       "could not be used</td><td>3,000<",
                                       "silos that returned</td><td>4<"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(strstr(part, rows[i]) != NULL, "%s", rows[i]);
    ck_assert_ptr_nonnull(strstr(page, "<tr><td>7</td><td>5 of 8</td>"));
    ck_assert_ptr_nonnull(strstr(page, "<tr><td>10</td><td>8</td>"));
    gr_free(page);
}
END_TEST

START_TEST(alerts_are_listed) {
    struct gr_events_file *file;
    write_run(1);
    MUST(gr_events_open(in_scratch("events.jsonl"), &file));
    MUST(gr_events_append(file, "started", 0, "{\"about\":\"alert\"}"));
    MUST(gr_events_append(file, "alert", 7, "{\"reason\":\"<participation>\",\"rounds\":3}"));
    for (uint32_t i = 0; i < 59; i++)
        MUST(gr_events_append(file, "alert", 8, NULL));
    gr_events_close(file);
    char *page = report();
    ck_assert_ptr_nonnull(strstr(page, "<h2>Alerts</h2>"));
    ck_assert_ptr_nonnull(strstr(page, "<li>round 7: reason &lt;participation&gt;, rounds 3</li>"));
    ck_assert_ptr_nonnull(strstr(page, "<li>round 8</li>"));
    ck_assert_uint_eq(count(page, "<li>"), 50);
    ck_assert_ptr_nonnull(strstr(page, "And 10 more, in <code>events.jsonl</code>"));
    gr_free(page);
}
END_TEST

START_TEST(not_a_run) {
    ck_assert_int_eq(gr_report_write(scratch), GR_ERROR_DATA);
    spill(in_scratch("manifest.json"), "{", 1);
    ck_assert_int_eq(gr_report_write(scratch), GR_ERROR_DATA);
    spill(in_scratch("manifest.json"), "[]", 2);
    ck_assert_int_eq(gr_report_write(scratch), GR_ERROR_DATA);
    ck_assert(!exists(in_scratch("report.html")));
}
END_TEST

RUN_TESTS("report", everything_is_escaped, nothing_is_loaded, numbers_and_curves,
          long_runs_are_thinned, without_gnuplot, gnuplot_that_fails, no_round_yet, one_round,
          nobody_missing, some_missing, alerts_are_listed, not_a_run)
