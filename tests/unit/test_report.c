/* SPDX-License-Identifier: Apache-2.0 */
/* report.html of one run: whole, loading nothing, with every text escaped. */
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

static uint64_t bytes_sent = 1530000;

static uint64_t test_rows = 1; /* one fewer from round 3 on; 0 is none */

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
                                     .test_rows = test_rows - (round > 2),
                                     .seconds = {0.1, 0.01, 0.02, 0.03, 0.2},
                                     .bytes_sent = bytes_sent};
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

/* The table of rounds, cut out of the page. */
static char *rounds_of(char *page) {
    char *table = strstr(page, "<table class=\"rounds\">");
    ck_assert_ptr_nonnull(table);
    *strstr(table, "</table>") = '\0';
    return table;
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
    ck_assert_ptr_nonnull(strstr(page, "4.59&#160;MB"));
    ck_assert_ptr_nonnull(strstr(page, "8 silos trained a model (&lt;u&gt;, 12,345 parameters)"));
    ck_assert_uint_eq(count(page, "<svg"), 4); /* accuracy, loss, silos, seconds */
    ck_assert_uint_eq(count(page, "</svg>"), 4);
    ck_assert_uint_eq(count(page, "role=\"img\" aria-label=\""), 4);
    ck_assert_ptr_nonnull(strstr(page, "test from 1.100 to 0.367"));
    ck_assert_ptr_null(strstr(page, "nan"));
    ck_assert_uint_eq(count(rounds_of(page), "<tr><th scope=\"row\">"), 3);
    gr_free(page);
}
END_TEST

START_TEST(units_that_are_nearly_full) {
    bytes_sent = 333233;
    write_run(3);
    char *page = report();
    ck_assert_ptr_null(strstr(page, "e+"));
    ck_assert_ptr_nonnull(strstr(page, "<b>1&#160;MB</b>"));
    gr_free(page);
}
END_TEST

START_TEST(other_rows_are_told_of) {
    test_rows = 500;
    write_run(2);
    char *page = report();
    ck_assert_ptr_null(strstr(page, "test rows there were"));
    gr_free(page);
    write_run(3);
    page = report();
    ck_assert_ptr_nonnull(strstr(page, "<p>Of test rows there were 499 to 500: "));
    gr_free(page);
    test_rows = 1;
}
END_TEST

START_TEST(long_runs_are_thinned) {
    write_run(1001);
    char *page = report();
    ck_assert_ptr_nonnull(strstr(page, "One round in 6 and the last are shown"));
    ck_assert_ptr_nonnull(strstr(page, "Curves of more than 400 points are thinned."));
    ck_assert_ptr_nonnull(strstr(page, "<title>rounds 1 to 11, on average: took part 8"));
    ck_assert_uint_le(count(page, "<rect"), 2 * 100 * 5);
    /* The curve goes on to the right end of its axis, which is before its name. */
    ck_assert_ptr_nonnull(strstr(page, "H406.6\""));
    ck_assert_ptr_nonnull(strstr(page, " 406.6,"));
    char *table = rounds_of(page);
    size_t rows = count(table, "<tr><th scope=\"row\">");
    ck_assert_uint_ge(rows, 150);
    ck_assert_uint_le(rows, 202);
    ck_assert_ptr_nonnull(strstr(table, ">1001</th>"));
    gr_free(page);
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
    ck_assert_ptr_nonnull(strstr(page, "failed after all 3 rounds"));
    ck_assert_uint_eq(count(page, "<svg"), 4);
    ck_assert_ptr_null(strstr(page, "nan"));
    ck_assert_ptr_nonnull(strstr(rounds_of(page), "<tr><th scope=\"row\">1</th>"));
    gr_free(page);
}
END_TEST

/* Nobody missing, no word of it; also where the run is older than the members that say so. */
START_TEST(nobody_missing) {
    write_run(3);
    char *page = report();
    ck_assert_ptr_nonnull(strstr(page, "all silos that were asked took part in every round"));
    ck_assert_ptr_null(strstr(page, "some silos were missing"));
    ck_assert_ptr_null(strstr(page, "Alert"));
    ck_assert_ptr_null(strstr(page, "lost</li>"));
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
    ck_assert_ptr_nonnull(strstr(page, "in 3 of 20 rounds some silos were missing.</p>"));
    ck_assert_ptr_nonnull(strstr(page, "<title>round 7: took part 5, lost 2, late 1</title>"));
    ck_assert_ptr_nonnull(strstr(page, "<title>round 8: took part 5, late 1, sat out 2</title>"));
    const char *part = strstr(page, "<h2>Who took part</h2>");
    ck_assert_ptr_nonnull(part);
    static const char *const rows[] = {"with all silos that were selected</th><td>17<",
                                       "rounds with fewer</th><td>3<",
                                       "process was gone</th><td>2<",
                                       "deadline</th><td>3<",
                                       "could not be used</th><td>3,000<",
                                       "for the next round on</th><td>4<"};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        ck_assert_msg(strstr(part, rows[i]) != NULL, "%s", rows[i]);
    ck_assert_ptr_nonnull(strstr(page, "\">7</th><td>5 of 8</td>"));
    ck_assert_ptr_nonnull(strstr(page, "\">10</th><td>8</td>"));
    gr_free(page);
}
END_TEST

START_TEST(events_are_told) {
    struct gr_events_file *file;
    write_run(1);
    MUST(gr_events_open(in_scratch("events.jsonl"), &file));
    MUST(gr_events_append(file, "started", 0, NULL));
    MUST(gr_events_append(file, "lost", 2, "{\"silos\":[\"silo-000\",\"<silo>\"]}"));
    MUST(gr_events_append(file, "<unheard>", 3, "{\"of\":[1,2],\"what\":\"<this>\"}"));
    MUST(gr_events_append(file, "findings", 3, "{\"what\":\"data: <smoker>: 37 missing\"}"));
    MUST(gr_events_append(file, "checkpoint", 3, NULL));
    MUST(gr_events_append(file, "partial", 3, "{\"absent\":[\"silo-002\"]}"));
    MUST(gr_events_append(file, "alert", 7, "{\"what\":\"<few>\",\"rounds\":3}"));
    for (uint32_t i = 0; i < 95; i++)
        MUST(gr_events_append(
            file, "returned", 8,
            "{\"silos\":[\"a\",\"b\",\"c\",\"d\",\"e\",\"f\",\"g\",\"h\",\"i\"]}"));
    MUST(gr_events_append(file, "finished", 9, NULL));
    gr_events_close(file);
    char *page = report();
    static const char *const told[] = {
        "<td>0</td><td>The run started.</td>",
        "<td>2</td><td>Lost, their process was gone: silo-000, &lt;silo&gt;.</td>",
        "<td>3</td><td>&lt;unheard&gt;: &lt;this&gt; (of [1, 2])</td>",
        "<td>3</td><td>Found in the data: &lt;smoker&gt;: 37 missing</td>",
        "<td>7</td><td><b class=\"alert\">Alert</b> &lt;few&gt; (rounds 3)</td>",
        "<td>8</td><td>Back, for the next round on: a, b, c, d, e, f and 3 more.</td>",
        "<td>9</td><td>The run finished.</td>",
        "41 more, in events.jsonl",
        "Besides, 1 checkpoint was written.",
        "and 1 alert was raised.</p>",
        "<dt>chain of events</dt><dd>whole</dd>"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        ck_assert_msg(strstr(page, told[i]) != NULL, "%s", told[i]);
    ck_assert_uint_eq(count(page, "<td>8</td><td>Back"), 54);
    gr_free(page);
}
END_TEST

/* A story however long: its beginning, its end, and how much was left out. */
START_TEST(many_events) {
    struct gr_events_file *file;
    write_run(1);
    MUST(gr_events_open(in_scratch("events.jsonl"), &file));
    for (uint32_t i = 0; i < 10100; i++)
        MUST(gr_events_append(file, "returned", i, NULL));
    gr_events_close(file);
    char *page = report();
    ck_assert_uint_eq(count(page, "Back, for the next round on"), 60);
    ck_assert_ptr_nonnull(strstr(page, ">10040 more, in events.jsonl<"));
    ck_assert_ptr_nonnull(strstr(page, "<td>29</td><td>Back"));
    ck_assert_ptr_nonnull(strstr(page, "<td>10,070</td><td>Back"));
    gr_free(page);
}
END_TEST

/* Ended early: the scores are those of the model that was kept, and the page says so. */
START_TEST(the_model_that_was_kept) {
    struct gr_events_file *file;
    write_run(3);
    MUST(gr_events_open(in_scratch("events.jsonl"), &file));
    MUST(gr_events_append(file, "early stop", 3, "{\"metric\":\"loss\",\"best_round\":2}"));
    gr_events_close(file);
    const char evaluation[] =
        "{\"round\":3,\"rows_of\":\"test\",\"rows\":7,\"metrics\":{\"r2\":1}}";
    spill(in_scratch("evaluation.json"), evaluation, sizeof evaluation - 1);
    char *page = report();
    static const char *const told[] = {
        "the model after round 2 is right", "<b>0.5500</b><span>test loss</span>",
        "The model that was kept is that of round 2, ", "<dt>of round</dt><dd>2</dd>",
        "after round 3; the model that was kept is that of round 2.</p>"};
    for (size_t i = 0; i < sizeof told / sizeof *told; i++)
        ck_assert_msg(strstr(page, told[i]) != NULL, "%s", told[i]);
    gr_free(page);
    MUST(gr_events_open(in_scratch("events.jsonl"), &file));
    MUST(gr_events_append(file, "resumed", 3, NULL));
    gr_events_close(file);
    page = report();
    ck_assert_ptr_nonnull(strstr(page, "the model after round 3 is right"));
    ck_assert_ptr_null(strstr(page, "The model that was kept"));
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
          units_that_are_nearly_full, other_rows_are_told_of, long_runs_are_thinned, no_round_yet,
          one_round, nobody_missing, some_missing, events_are_told, many_events,
          the_model_that_was_kept, not_a_run)
