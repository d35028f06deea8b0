/* SPDX-License-Identifier: Apache-2.0 */
/* The report of several runs, of runs with evaluation.json, and of runs that are not whole. */
#include <granary/observe.h>

#include <math.h>

#include "scratch.h"

static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i"};

static const char *in_run(const char *run, const char *file) {
    char name[128];
    snprintf(name, sizeof name, "%s/%s", run, file);
    return in_scratch(name);
}

static void write_text(const char *run, const char *file, const char *text) {
    spill(in_run(run, file), text, strlen(text));
}

/* A run of four rounds whose test accuracy rises to 0.5 + best; silo-001 misses round 2. */
static void write_run(const char *run, const char *digest, double best, const char *config) {
    struct gr_metrics_file *file;
    struct gr_events_file *events;
    char *manifest;
    ck_assert_int_eq(mkdir(in_scratch(run), 0700), 0);
    MUST(gr_text_format(&manifest,
                        "{\"name\":\"<%s>\",\"outcome\":\"finished\",\"rounds\":4,"
                        "\"rounds_done\":4,\"model_digest\":\"%s\",\"silos\":3,\"ranks\":1}",
                        run, digest));
    write_text(run, "manifest.json", manifest);
    write_text(run, "resolved.yaml", config);
    gr_free(manifest);
    MUST(gr_metrics_open(in_run(run, "metrics.jsonl"), 0, &file));
    MUST(gr_events_open(in_run(run, "events.jsonl"), &events));
    MUST(gr_events_append(events, "started", 0, NULL));
    MUST(gr_events_append(events, "partial", 2, "{\"absent\":[\"silo-001\"]}"));
    gr_events_close(events);
    for (uint32_t round = 1; round <= 4; round++) {
        struct gr_metrics metrics = {.round = round,
                                     .participants = round == 2 ? 2 : 3,
                                     .selected = 3,
                                     .train_loss = 1.0 / round,
                                     .validation_loss = NAN,
                                     .validation_accuracy = NAN,
                                     .test_loss = 1.1 / round,
                                     .test_accuracy = 0.5 + best * (round == 3 ? 1 : 0.5),
                                     .seconds = {0.1, 0.01, 0.02, 0.03, 0.2}};
        MUST(gr_metrics_append(file, &metrics));
    }
    gr_metrics_close(file);
}

static gr_status write_page_of(const char *const *paths, size_t n, const char *page) {
    return gr_report_write_runs(paths, n, &(struct gr_report_files){.page = page});
}

static char *report_of(size_t n) {
    char paths[9][128];
    const char *runs[9];
    for (size_t i = 0; i < n; i++) {
        snprintf(paths[i], sizeof paths[i], "%s", in_scratch(names[i]));
        runs[i] = paths[i];
    }
    MUST(gr_report_write_runs(runs, n, &(struct gr_report_files){.page = in_scratch("page.html")}));
    return slurp(in_scratch("page.html"), NULL);
}

static void must_hold(const char *page, const char *const *texts, size_t n) {
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(strstr(page, texts[i]) != NULL, "the page lacks %s", texts[i]);
}
#define MUST_HOLD(page, ...)                                                                       \
    do {                                                                                           \
        static const char *const texts[] = {__VA_ARGS__};                                          \
        must_hold(page, texts, sizeof texts / sizeof *texts);                                      \
    } while (0)

/* ---- several -------------------------------------------------------------------------------- */

START_TEST(runs_side_by_side) {
    write_run("a", "aaaa", 0.2, "train:\n  learning_rate: 0.1\n  epochs: 2\n");
    write_run("b", "bbbb", 0.4, "train:\n  learning_rate: <0.3>\n  epochs: 2\n  momentum: 0.9\n");
    char *page = report_of(2);
    MUST_HOLD(page, "<h1>2 runs compared</h1>", "<title>&lt;a&gt;, &lt;b&gt; ",
              "<td>60.00&#8239;%</td><td>70.00&#8239;%</td>",
              "<td>70.00&#8239;% <small>round 3</small></td><td>90.00&#8239;% <small>round 3<",
              "<code>aaaa</code></td><td><code>bbbb</code>",
              "<code>train.learning_rate</code></th><td>0.1</td><td>&lt;0.3&gt;</td>",
              "<code>train.momentum</code></th><td>not set</td><td>0.9</td>",
              "aria-label=\"Test accuracy by round: A from 60.00&#8239;% to 60.00&#8239;%; B from",
              "</i>A: &lt;a&gt;</h2>", "</i>B: &lt;b&gt;</h2>");
    ck_assert_ptr_null(strstr(page, "train.epochs"));
    ck_assert_ptr_null(strstr(page, "<a>"));
    ck_assert_ptr_null(strstr(page, "to the last bit"));
    gr_free(page);
}
END_TEST

START_TEST(the_same_twice) {
    write_run("a", "aaaa", 0.2, "train: {epochs: 2}\n");
    write_run("b", "aaaa", 0.2, "train: {epochs: 2}\n");
    char *page = report_of(2);
    MUST_HOLD(page, "All of them ended with the same model, to the last bit.",
              "<th scope=\"row\">none</th>");
    gr_free(page);
}
END_TEST

/* Runs of a sweep have one name: "name" of the manifest of each. */
static void write_named(const char *run, const char *name) {
    char *manifest;
    write_run(run, "aaaa", 0.2, "train: {epochs: 2}\n");
    MUST(
        gr_text_format(&manifest, "{\"name\":\"%s\",\"outcome\":\"finished\",\"rounds\":4}", name));
    write_text(run, "manifest.json", manifest);
    gr_free(manifest);
}

START_TEST(one_name) {
    static const char *const folders[] = {"x", "y", "x/seed", "y/seed", "<other>", "z"};
    char paths[5][128];
    ck_assert_int_eq(mkdir(in_scratch("x"), 0700) | mkdir(in_scratch("y"), 0700), 0);
    for (size_t i = 2; i < 6; i++)
        write_named(folders[i], i < 5 ? "sweep" : "alone");
    ck_assert_int_eq(symlink("seed", in_scratch("x/latest")), 0);
    snprintf(paths[0], sizeof paths[0], "%s", in_scratch("x/latest"));
    snprintf(paths[1], sizeof paths[1], "%s/", in_scratch("y/seed"));
    snprintf(paths[2], sizeof paths[2], "%s", in_scratch("<other>"));
    snprintf(paths[3], sizeof paths[3], "%s", in_scratch("z"));
    snprintf(paths[4], sizeof paths[4], "%s", in_scratch("x/seed"));
    const char *runs[] = {paths[0], paths[1], paths[2], paths[3], paths[4]};
    MUST(gr_report_write_runs(runs, 5, &(struct gr_report_files){.page = in_scratch("page.html")}));
    char *page = slurp(in_scratch("page.html"), NULL);
    MUST_HOLD(
        page,
        "<title>sweep (x/seed), sweep (y/seed), sweep (&lt;other&gt;), alone, sweep (x/seed) ",
        "<br><span class=\"muted\">sweep (y/seed)</span>", "</i>A: sweep (x/seed)</h2>",
        "</i>D: alone</h2>");
    gr_free(page);
}
END_TEST

/*
 * Accuracies .6, .7 and .8 of three seeds are .7 +- .1; one that has not finished does not count.
 * Of another setting there is one seed, with a title of its own.
 */
START_TEST(seeds_are_one_group) {
    write_run("a", "aaaa", 0.2, "run: {seed: 1, name: x}\ntrain: {epochs: 2}\n");
    write_run("b", "bbbb", 0.4, "run: {seed: 1, name: x}\ntrain: {epochs: 3}\n");
    write_run("c", "cccc", 0.4, "run: {seed: 2, name: y}\ntrain: {epochs: 2}\n");
    write_run("d", "dddd", 0.6, "run: {seed: 3, name: z}\ntrain: {epochs: 2}\n");
    write_run("e", "eeee", 0.9, "run: {seed: 4, name: z}\ntrain: {epochs: 2}\n");
    write_text("e", "manifest.json",
               "{\"name\":\"x\",\"outcome\":\"stopped\",\"rounds\":4,\"model_digest\":\"ff\"}");
    char *page = report_of(5);
    MUST_HOLD(page, "<h1>5 runs compared</h1>", ": 2 groups.",
              "A<br><span class=\"muted\">epochs 2</span>",
              "B<br><span class=\"muted\">epochs 3</span>", "<td>3 of 4 finished</td>",
              "<td>70.00&#8239;% <small>&plusmn;&#8239;10.00&#8239;%, 3 runs</small></td>",
              "<td>70.00&#8239;%</td></tr>", "run.seed</code></th><td>1, 2, 3, 4</td><td>1</td>",
              "aria-label=\"Test accuracy by round: A from 70.00&#8239;% to 70.00", "</i>A2<br>",
              "</i>A2: &lt;c&gt;</h2>", "</i>B: &lt;b&gt;</h2>");
    gr_free(page);
}
END_TEST

/* A setting of another shape in each run is one row. */
START_TEST(settings_of_two_shapes) {
    write_run("a", "aaaa", 0.2, "model:\n  hidden: [5, 6]\n");
    write_run("b", "bbbb", 0.2, "model:\n  hidden: 7\n");
    char *page = report_of(2);
    const char *row = strstr(page, "<code>model.hidden</code></th><td>");
    ck_assert_ptr_nonnull(row);
    ck_assert_ptr_null(strstr(row + 1, "<code>model.hidden</code>"));
    gr_free(page);
}
END_TEST

START_TEST(settings_that_are_not_known) {
    write_run("a", "aaaa", 0.2, "train: {epochs: 2}\n");
    write_run("b", "bbbb", 0.2, "train: {epochs: 3}\n");
    ck_assert_int_eq(remove(in_run("b", "resolved.yaml")), 0);
    char *page = report_of(2);
    MUST_HOLD(page, "<h2>Settings that differ</h2>\n<p>Not known, for those of B are not.</p>");
    gr_free(page);
}
END_TEST

/* What a run has left is not overwritten, by whatever name. */
START_TEST(evidence_is_no_place) {
    static const char *const files[] = {"manifest.json", "resolved.yaml", "metrics.jsonl",
                                        "events.jsonl"};
    write_run("a", "aaaa", 0.2, "");
    write_run("b", "bbbb", 0.2, "");
    const char *paths[] = {in_scratch("b"), in_scratch("a")};
    char other[4][160];
    for (size_t i = 0; i < 4; i++) {
        size_t before, after;
        snprintf(other[i], sizeof other[i], "%s", in_scratch("a/../a/"));
        strcat(other[i], files[i]);
        gr_free(slurp(other[i], &before));
        ck_assert_int_eq(write_page_of(paths, 2, other[i]), GR_ERROR_USAGE);
        ck_assert_ptr_nonnull(strstr(gr_message(), files[i]));
        gr_free(slurp(other[i], &after));
        ck_assert_uint_eq(before, after);
    }
}
END_TEST

/* Neither a folder nor a file is named, alone or in a comparison. */
START_TEST(no_path_is_told) {
    write_run("a", "aaaa", 0.2,
              "data:\n  train:\n    features: /secret/x\n    labels: secret.gz\n  list:\n"
              "  - secret.csv\n  - {file: 'secret'}\n  schema: secret\n  replay: ''\n");
    write_run("b", "bbbb", 0.2,
              "data:\n  train:\n    features: /secret/y\n    labels: secret2.gz\n  list: "
              "[secret.h5]\n  other: ../secret\n");
    char *page = report_of(2);
    ck_assert_ptr_null(strstr(page, "secret"));
    ck_assert_ptr_null(strstr(page, scratch));
    MUST_HOLD(page, "features: (a path, not shown here)\n", "- (a path, not shown here)\n",
              "  replay: &#39;&#39;\n",
              "<code>data.train.features</code></th><td>(another path)</td><td>(another path)");
    gr_free(page);
}
END_TEST

/* Where the name stands at the end of its line. */
static double height_of(const char *chart, char letter) {
    char end[16];
    double height = NAN;
    snprintf(end, sizeof end, "\">%c</text>", letter);
    const char *at = strstr(chart, end);
    ck_assert_ptr_nonnull(at);
    while (at > chart && strncmp(at, " y=\"", 4) != 0)
        at--;
    ck_assert_int_eq(sscanf(at, " y=\"%lf", &height), 1);
    return height;
}

START_TEST(as_many_as_there_are_looks) {
    for (size_t i = 0; i < 8; i++)
        write_run(names[i], "aaaa", 0.05 * (double)i, "run: {seed: 1}\n");
    char *page = report_of(8);
    MUST_HOLD(page, "<polyline class=\"line s7\"", "</i>H: &lt;h&gt;</h2>");
    /* Lines that end in one point: names that can be read all the same. */
    const char *chart = strstr(page, "aria-label=\"Training loss by round");
    ck_assert_ptr_nonnull(chart);
    for (char letter = 'A'; letter < 'H'; letter++)
        ck_assert_double_ge(fabs(height_of(chart, letter) - height_of(chart, (char)(letter + 1))),
                            16.8);
    gr_free(page);
    ck_assert_int_eq(write_page_of(NULL, 0, in_scratch("x")), GR_ERROR_USAGE);
}
END_TEST

START_TEST(one_of_them_is_none) {
    write_run("a", "aaaa", 0.2, "");
    const char *paths[] = {in_scratch("a"), in_scratch("b")};
    ck_assert_int_eq(write_page_of(paths, 2, in_scratch("page.html")), GR_ERROR_DATA);
    ck_assert_ptr_nonnull(strstr(gr_message(), "/b: not a run directory"));
    ck_assert(!exists(in_scratch("page.html")));
}
END_TEST

/* ---- evaluation.json ------------------------------------------------------------------------ */

START_TEST(scores_and_silos) {
    write_run("a", "aaaa", 0.2, "");
    write_text("a", "evaluation.json",
               "{\"round\":4,\"rows_of\":\"<test>\",\"rows\":1100,\"metrics\":{\"auc\":{\"value\":"
               "0.91,\"lower\":0.9,\"upper\":0.92},"
               "\"<m>\":{\"value\":null,\"why\":\"<one> class only\"},\"brier\":null,\"r2\":0.5},"
               "\"confusion\":{\"classes\":2,\"counts\":[[90,10],[0,0]]},"
               "\"reliability\":{\"bins\":[{\"from\":0,\"to\":0.5,\"n\":0,\"mean_score\":0.125,"
               "\"fraction\":0},{\"from\":0.5,\"to\":1,\"n\":7,\"mean_score\":0.75,"
               "\"fraction\":0.5}]},"
               "\"silos\":[{\"silo\":\"silo-000\",\"rows\":100,\"loss\":0.5,\"accuracy\":0.8},"
               "{\"silo\":\"silo-001\",\"rows\":50,\"loss\":0.7,\"accuracy\":0.6,\"metrics\":"
               "{\"accuracy\":{\"value\":0.6},\"auc\":{\"value\":null,\"why\":\"<one>\"},"
               "\"macro_f1\":{\"value\":0.25}}},"
               "{\"silo\":\"<silo>\",\"rows\":9,\"loss\":null,\"accuracy\":null,"
               "\"why\":\"<few>\"}]}");
    char *page = report_of(1);
    MUST_HOLD(
        page, "On 1,100 &lt;test&gt; rows, after round 4.",
        "ROC AUC</th><td>0.9100</td><td>0.9000 and 0.9200</td>",
        "&lt;m&gt;</th><td><span class=\"muted\">not defined: &lt;one&gt; class only</span>",
        "Brier score</th><td><span class=\"muted\">not defined</span>",
        "</th><td>0.5000</td><td></td>", "--share:90%\">90</td>", "--share:10%\">10</td>",
        "90.0&#8239;%</td>", "not defined: no rows",
        "score of the model 0.750: 0.500, rows: 7</title>",
        "silo-000</th><td>100</td><td>0.5000</td><td class=\"bar\" style=\"--share:80.0%\">"
        "80.00&#8239;%</td><td><span class=\"muted\">not defined</span></td><td><span "
        "class=\"muted\">not defined</span></td><td>0</td>",
        "<th scope=\"col\">accuracy</th><th scope=\"col\">ROC AUC</th><th scope=\"col\">"
        "macro F1</th><th scope=\"col\">rounds missed</th>",
        "silo-001</th><td>50</td><td>0.7000</td><td class=\"bar\" style=\"--share:60.0%\">"
        "60.00&#8239;%</td><td><span class=\"muted\">not defined: &lt;one&gt;</span></td><td>"
        "0.2500</td><td>1</td>",
        "&lt;silo&gt;</th><td>9</td><td><span class=\"muted\">not defined</span></td><td>"
        "<span class=\"muted\">not defined: &lt;few&gt;</span></td>",
        "accuracy</th><td>60.00&#8239;%</td><td>80.00&#8239;%</td><td>80.00&#8239;%</td><td>2<",
        "macro F1</th><td>0.2500</td><td>0.2500</td><td>0.2500</td><td>1</td>");
    ck_assert_ptr_null(strstr(page, "0.125"));
    ck_assert_ptr_null(strstr(page, "nan"));
    gr_free(page);
}
END_TEST

/* Rows that weigh: a confusion matrix of weights below 1 is not one of zeros. */
START_TEST(weights_in_the_confusion) {
    write_run("a", "aaaa", 0.2, "");
    write_text("a", "evaluation.json", "{\"confusion\":{\"counts\":[[0.25,0.5],[1,12345.678]]}}");
    char *page = report_of(1);
    MUST_HOLD(page, ">0.25</td>", ">0.50</td>", ">1</td>", ">12345.7</td>",
              "Figures are sums of the rows' weights.");
    gr_free(page);
    write_text("a", "evaluation.json", "{\"confusion\":{\"counts\":[[90,10],[0,0]]}}");
    page = report_of(1);
    ck_assert_ptr_null(strstr(page, "weights"));
    gr_free(page);
}
END_TEST

/* An earlier round's accuracy stands behind this round's, and only where it was better. */
START_TEST(best_behind_its_own_score) {
    write_run("a", "aaaa", 0.2, "");
    write_text("a", "evaluation.json",
               "{\"round\":4,\"rows_of\":\"test\",\"rows\":10,\"metrics\":{\"auc\":{\"value\":"
               "0.75}},\"confusion\":{\"counts\":[[6,0],[4,0]]}}");
    char *page = report_of(1);
    MUST_HOLD(page, "is right in 60.00&#8239;% of the cases (best: 70.00&#8239;% after round 3), "
                    "where 60.00&#8239;% are of the largest class");
    gr_free(page);
}
END_TEST

START_TEST(no_better_one) {
    write_run("a", "aaaa", 0, "");
    char *page = report_of(1);
    ck_assert_ptr_null(strstr(page, "(best:"));
    gr_free(page);
}
END_TEST

/* Silos that are not told of are counted; a score that no silo has is no column. */
START_TEST(silos_that_are_not_told) {
    write_run("a", "aaaa", 0.2, "evaluate:\n  minimum_rows: 10\n");
    write_text("a", "evaluation.json",
               "{\"silos\":[{\"silo\":\"silo-000\",\"rows\":100,\"loss\":0.5,\"accuracy\":null,"
               "\"metrics\":{\"mae\":{\"value\":2.5}}}]}");
    char *page = report_of(1);
    MUST_HOLD(page, "The scores of 2 silos are not told: ", "than may be told of (10)",
              "<th scope=\"col\">mean absolute error</th>", "<td>2.5000</td>");
    ck_assert_ptr_null(strstr(page, "<th scope=\"col\">accuracy"));
    ck_assert_ptr_null(strstr(page, "How far the silos are apart"));
    gr_free(page);
}
END_TEST

/* Metrics of every round, and what the silos' own scores span; one round may lack them. */
START_TEST(curves_of_all_that_is_told) {
    static const char *const runs[] = {"a", "b"};
    for (size_t i = 0; i < 2; i++) {
        write_run(runs[i], "aaaa", 0.2, "");
        write_text(
            runs[i], "metrics.jsonl",
            "{\"round\":1,\"train_loss\":3,\"validation_accuracy\":0.5,\"validation_auc\":0.25,"
            "\"silos\":"
            "{\"n\":3,\"loss\":[1,2,4],\"accuracy\":[0.25,0.5,0.75]}}\n"
            "{\"round\":2,\"validation_accuracy\":0.5,\"test_auc\":0.5,\"test_brier\":null}\n"
            "{\"round\":3,\"validation_accuracy\":0.5,\"test_auc\":0.75,\"silos\":"
            "{\"n\":3,\"loss\":[1,null,3],\"accuracy\":[0.5,0.625,0.75]}}\n");
    }
    char *page = report_of(1);
    MUST_HOLD(
        page,
        "aria-label=\"ROC AUC by round: validation from 0.250 to 0.250; test from "
        "0.500 to 0.750\"",
        "<title>silos at the end: 50.00&#8239;% to 75.00&#8239;%, the middle one 62.50&#8239;%",
        "<title>silos at the end: 1.000 to 4.000, the middle one 2.000<",
        "The band: the silos on their own validation rows");
    ck_assert_ptr_null(strstr(page, "Brier score by round"));
    ck_assert_ptr_null(strstr(page, "nan"));
    gr_free(page);
    page = report_of(2);
    MUST_HOLD(page, "aria-label=\"Test ROC AUC by round: A from 0.5000 to 0.7500; B from 0.5000",
              "aria-label=\"Validation ROC AUC by round: A from 0.25");
    gr_free(page);
}
END_TEST

/* Many classes: the commonest mistakes, most frequent first. */
START_TEST(many_classes) {
    char *text = NULL;
    size_t length = 0;
    FILE *json = open_memstream(&text, &length);
    fputs("{\"confusion\":{\"classes\":30,\"counts\":[", json);
    for (int row = 0; row < 30; row++) {
        fputs(row ? ",[" : "[", json);
        for (int column = 0; column < 30; column++)
            fprintf(json, "%s%d", column ? "," : "", row == column ? 500 : row == 7 ? column : 1);
        fputc(']', json);
    }
    fputs("]}}", json);
    fclose(json);
    write_run("a", "aaaa", 0.2, "");
    write_text("a", "evaluation.json", text);
    free(text);
    char *page = report_of(1);
    MUST_HOLD(page, "The commonest mistakes among 30 classes",
              "<tbody>\n<tr><th scope=\"row\">7</th><td>29</td><td>29</td>",
              "<tr><th scope=\"row\">7</th><td>28</td><td>28</td>");
    gr_free(page);
}
END_TEST

/* What is no evaluation harms nothing. */
START_TEST(hostile_evaluations) {
    static const char *const texts[] = {
        "{\"metrics\":[],\"confusion\":7,\"reliability\":{\"bins\":{}},\"silos\":\"x\"}",
        "{\"metrics\":{\"auc\":\"<x>\"},\"confusion\":{\"counts\":[1,[2],[\"a\",1e300,-1]]}}",
        "{\"silos\":[1,{},{\"silo\":7,\"loss\":1e308,\"accuracy\":1e308},{\"loss\":-1e308,"
        "\"accuracy\":-7}]}",
        "{\"silos\":[{\"silo\":\"silo-000\",\"metrics\":{\"<x>\":1,\"auc\":\"<x>\",\"brier\":{"
        "\"value\":\"a\","
        "\"why\":[\"<x>\"]},\"r2\":{\"why\":\"<x>\",\"value\":1e308}}},{\"metrics\":[1],"
        "\"accuracy\":{}}]}",
        "{\"reliability\":{\"bins\":[1,{\"n\":1,\"mean_score\":7,\"fraction\":-3},{\"n\":3,"
        "\"mean_score\":\"a\"}]}}",
        "{}",
    };
    write_run("a", "aaaa", 0.2, "");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        write_text("a", "evaluation.json", texts[i]);
        char *page = report_of(1);
        ck_assert_ptr_nonnull(strstr(page, "</html>"));
        ck_assert_ptr_null(strstr(page, "<x>"));
        ck_assert_ptr_null(strstr(page, "nan"));
        ck_assert_ptr_null(strstr(page, "inf\""));
        gr_free(page);
    }
}
END_TEST

/* ---- not whole ------------------------------------------------------------------------------ */

START_TEST(only_a_manifest) {
    write_run("a", "aaaa", 0.2, "");
    const char *const files[] = {"resolved.yaml", "metrics.jsonl", "events.jsonl"};
    for (size_t i = 0; i < 3; i++)
        ck_assert_int_eq(remove(in_run("a", files[i])), 0);
    char *page = report_of(1);
    MUST_HOLD(page, "<h3>Not all records could be read</h3>", "resolved.yaml is missing",
              "metrics.jsonl is missing", "events.jsonl is missing", "No round has been finished");
    ck_assert_ptr_null(strstr(page, "<svg"));
    gr_free(page);
}
END_TEST

START_TEST(damaged_lines) {
    write_run("a", "aaaa", 0.2, "a: b: c\n");
    size_t length;
    char *text = slurp(in_run("a", "metrics.jsonl"), &length), *lines = NULL;
    /* A line of another kind, a round that comes back, one torn at the end. */
    MUST(gr_text_format(&lines, "%s<b>damaged</b>\n%.*s\n{\"round\":5,\"tr", text,
                        (int)strcspn(text, "\n"), text));
    write_text("a", "metrics.jsonl", lines);
    gr_free(text);
    gr_free(lines);
    text = slurp(in_run("a", "events.jsonl"), &length);
    text[length / 2] = '\0';
    MUST(gr_text_format(&lines, "{\"event\":\"started\",\"round\":0}\nno event\n%s", text));
    write_text("a", "events.jsonl", lines);
    gr_free(text);
    gr_free(lines);
    write_text("a", "evaluation.json", "{\"metrics\": {\"auc\":");
    char *page = report_of(1);
    MUST_HOLD(page, "2 lines of metrics.jsonl are damaged and left out",
              "1 line of events.jsonl is damaged and left out",
              "the chain of events breaks at line 1", "evaluation.json is damaged, line 1",
              "resolved.yaml is damaged", "finished after all 4 rounds",
              "<dd>broken: lines were changed, lost or added</dd>");
    ck_assert_ptr_null(strstr(page, "<b>damaged"));
    gr_free(page);
}
END_TEST

/* A run that is killed leaves a manifest of its start. */
START_TEST(still_running) {
    write_run("a", "aaaa", 0.2, "");
    write_text("a", "manifest.json",
               "{\"name\":\"x\",\"outcome\":\"running\",\"rounds\":60,\"rounds_done\":0,"
               "\"silos\":3,\"model_digest\":null}");
    char *page = report_of(1);
    MUST_HOLD(page, "had not ended when this page was made, after 4 of 60 rounds",
              "<b>4 <small>of 60</small></b>", "badge running");
    ck_assert_ptr_null(strstr(page, "model digest"));
    gr_free(page);
}
END_TEST

START_TEST(how_it_ended) {
    static const struct {
        const char *outcome;
        int rounds;
        const char *words;
    } ends[] = {
        {"finished", 4, "the run, started on 21 November 2026, finished after all 4 rounds."},
        {"finished", 9, "2026, ended early, after 4 of 9 rounds."},
        {"stopped", 9, "2026, stopped, and can be resumed, after 4 of 9 rounds."},
        {"failed", 9, "2026, failed after 4 of 9 rounds."}};
    write_run("a", "aaaa", 0.2, "");
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        char *manifest;
        MUST(gr_text_format(&manifest,
                            "{\"name\":\"x\",\"outcome\":\"%s\",\"rounds\":%d,\"rounds_done\":4,"
                            "\"stretches\":[{\"started\":\"2026-11-21T16:55:31Z\"}]}",
                            ends[i].outcome, ends[i].rounds));
        write_text("a", "manifest.json", manifest);
        gr_free(manifest);
        char *page = report_of(1);
        must_hold(page, &ends[i].words, 1);
        gr_free(page);
    }
}
END_TEST

/* Losses that are not numbers, or no number that can be drawn, are never a zero or a "nan". */
START_TEST(undefined_figures) {
    write_run("a", "aaaa", 0.2, "");
    write_text(
        "a", "metrics.jsonl",
        "{\"round\":1,\"train_loss\":1e308,\"test_loss\":null,\"seconds\":{\"train\":1e308}}\n"
        "{\"round\":2,\"train_loss\":null,\"test_loss\":0.5,\"test_accuracy\":null,\"silos\":{"
        "\"n\":"
        "9,\"loss\":[1e308,null],\"accuracy\":\"<x>\"},\"test_auc\":1e308,\"test_brier\":[]}\n"
        "{\"round\":4294967295,\"train_loss\":5e-324,\"test_loss\":0.5}\n");
    char *page = report_of(1);
    MUST_HOLD(page, "the model after round 4294967295 has a loss of 0.5000;",
              "training from 0.000 to 0.000", "not defined: no time was measured");
    ck_assert_ptr_null(strstr(page, "nan"));
    ck_assert_ptr_null(strstr(page, ">inf"));
    gr_free(page);
    write_text("a", "metrics.jsonl",
               "{\"round\":1,\"train_loss\":5e-324}\n{\"round\":2,\"train_loss\":0}\n");
    page = report_of(1);
    MUST_HOLD(page, "Loss by round: training from 0.000 to 0.000\"", ">0.5</text>");
    ck_assert_ptr_null(strstr(page, "nan"));
    gr_free(page);
}
END_TEST

RUN_TESTS("report of runs", runs_side_by_side, the_same_twice, one_name, seeds_are_one_group,
          settings_of_two_shapes, settings_that_are_not_known, evidence_is_no_place,
          no_path_is_told, as_many_as_there_are_looks, one_of_them_is_none, scores_and_silos,
          weights_in_the_confusion, best_behind_its_own_score, no_better_one,
          silos_that_are_not_told, curves_of_all_that_is_told, many_classes, hostile_evaluations,
          only_a_manifest, damaged_lines, still_running, how_it_ended, undefined_figures)
