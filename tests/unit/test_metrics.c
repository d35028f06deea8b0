/* SPDX-License-Identifier: Apache-2.0 */
/*
 * metrics.jsonl: doubles come back with all their bits through jansson's parser, a resumed run cuts
 * what it will do again, a torn last line goes; and the progress line.
 */
#include <granary/observe.h>

#include <fcntl.h>
#include <jansson.h>
#include <math.h>

#include "observe/metrics.h"
#include "scratch.h"

static unsigned auc(void) {
    return gr_metric_find("auc");
}
static unsigned brier(void) {
    return gr_metric_find("brier");
}

static struct gr_metrics sample(uint32_t round) {
    struct gr_metrics sample = {.round = round,
                                .participants = 8,
                                .selected = 15,
                                .dropped = 1,
                                .late = 2,
                                .sat_out = 4,
                                .returned = 16,
                                .recoveries = 32,
                                .examples = 60000,
                                .processed = (uint64_t)1 << 40,
                                .train_loss = 1.0 / 3.0 + round,
                                .validation_loss = NAN,
                                .validation_accuracy = NAN,
                                .test_loss = 0.1,
                                .test_accuracy = 1e-300,
                                .validation_rows = 64,
                                .test_rows = (uint64_t)1 << 41,
                                .seconds = {0.1, 0.2, 0.3, NAN, 5e-324},
                                .bytes_sent = 123456789012345,
                                .cpu_seconds_train = 2.5,
                                .update_norm = INFINITY,
                                .of_validation = round % 2,
                                .silos = 7,
                                .silo_loss = {0.1, 0.2, 1.0 / 3.0},
                                .silo_accuracy = {0, 0.5, NAN},
                                .named_told = 1U << auc() | 1U << brier()};
    sample.named[auc()] = 2.0 / 3.0;
    sample.named[brier()] = NAN;
    return sample;
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
    size_t n, lines;
    text[0] = '\0';
    MUST(gr_metrics_read(in_scratch("metrics.jsonl"), &rounds, &n, &lines));
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
    ck_assert(json_real_value(json_object_get(json, "validation_auc")) == 2.0 / 3.0);
    ck_assert(json_is_null(json_object_get(json, "validation_brier")));
    /* Derived: rows processed in 0.1 s. */
    ck_assert(json_real_value(json_object_get(json, "rows_per_second")) == 0x1p40 / 0.1);
    ck_assert_uint_eq(json_object_size(json), 25);
    ck_assert_uint_eq(json_object_size(seconds), 5);
    json_decref(json);
    gr_free(text);
}
END_TEST

/* What encloses an AUC stands beside it, where that is not one number. */
START_TEST(bounds_of_an_area) {
    struct gr_metrics metrics = sample(1);
    struct gr_metrics_file *file;
    metrics.named[auc()] = NAN;
    metrics.of_validation = false;
    metrics.named_lower[auc()] = 0.25;
    metrics.named_upper[auc()] = 0.75;
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 0, &file));
    MUST(gr_metrics_append(file, &metrics));
    gr_metrics_close(file);
    char *text = slurp(in_scratch("metrics.jsonl"), NULL);
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    ck_assert(json_is_null(json_object_get(json, "test_auc")));
    ck_assert(json_real_value(json_object_get(json, "test_auc_lower")) == 0.25);
    ck_assert(json_real_value(json_object_get(json, "test_auc_upper")) == 0.75);
    json_decref(json);
    gr_free(text);
}
END_TEST

/* Every member comes back; of a line from before there were some of them, they come back as 0. */
START_TEST(read_back) {
    static const char older[] = "{\"round\":2,\"participants\":8,\"train_loss\":0.5}\nno line\n";
    struct gr_metrics *read, expected = sample(1);
    size_t n, lines;
    append(0, 1, 1);
    char *line = slurp(in_scratch("metrics.jsonl"), &n);
    char *both = malloc(n + sizeof older);
    memcpy(both, line, n);
    memcpy(both + n, older, sizeof older);
    spill(in_scratch("metrics.jsonl"), both, n + sizeof older - 1);
    free(both);
    gr_free(line);
    MUST(gr_metrics_read(in_scratch("metrics.jsonl"), &read, &n, &lines));
    ck_assert_uint_eq(n, 2);
    ck_assert_uint_eq(lines, 3);
    /* Not finite ones are all NAN. */
    expected.update_norm = read[0].update_norm = 0;
    expected.validation_loss = read[0].validation_loss = 0;
    expected.validation_accuracy = read[0].validation_accuracy = 0;
    expected.seconds.checkpoint = read[0].seconds.checkpoint = 0;
    ck_assert(isnan(read[0].named[brier()]));
    ck_assert(isnan(read[0].silo_accuracy[2]));
    expected.silo_accuracy[2] = read[0].silo_accuracy[2] = 0;
    expected.named[brier()] = read[0].named[brier()] = 0;
    ck_assert_mem_eq(&expected, &read[0], sizeof expected);
    ck_assert_uint_eq(read[1].participants, 8);
    ck_assert_uint_eq(read[1].selected + read[1].dropped + read[1].late + read[1].sat_out +
                          read[1].returned + read[1].recoveries + read[1].named_told +
                          read[1].silos,
                      0);
    gr_free(read);
}
END_TEST

static bool holds(const struct gr_head *head, uint64_t *n) {
    bool holds;
    MUST(gr_metrics_look(in_scratch("metrics.jsonl"), head, &holds, 1, n));
    return holds;
}

/* Changes one byte of the file, and looks. */
static bool holds_with(const struct gr_head *head, size_t at, char byte) {
    size_t length;
    uint64_t n;
    char *text = slurp(in_scratch("metrics.jsonl"), &length);
    const char before = text[at];
    text[at] = byte;
    spill(in_scratch("metrics.jsonl"), text, length);
    const bool good = holds(head, &n);
    text[at] = before;
    spill(in_scratch("metrics.jsonl"), text, length);
    gr_free(text);
    return good;
}

/* Where in the first line what a round has cost stands; returns how long it is. */
static size_t find_costs(size_t *from, size_t *to) {
    static const char key[] = "\"seconds\":{";
    char line[4096];
    FILE *file = fopen(in_scratch("metrics.jsonl"), "r");
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    fclose(file);
    const char *costs = strstr(line, key);
    *from = (size_t)(costs - line) + strlen(key);
    *to = *from + strcspn(costs + strlen(key), "}");
    return strlen(line) - 1;
}

/* The head changes with every byte but those of what a round has cost; lines that follow, and the
 * same opened again, change nothing. */
START_TEST(head_of_the_lines) {
    struct gr_metrics_file *file;
    struct gr_metrics metrics = sample(3);
    struct gr_head head, amended, again;
    uint64_t n;
    append(0, 1, 2);
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 2, &file));
    MUST(gr_metrics_append(file, &metrics));
    gr_metrics_head(file, &head);
    metrics.seconds.checkpoint = 0.123456789;
    MUST(gr_metrics_amend(file, &metrics));
    gr_metrics_head(file, &amended);
    ck_assert_str_eq(head.hash, amended.hash);
    metrics.late++;
    MUST(gr_metrics_amend(file, &metrics));
    gr_metrics_head(file, &amended);
    ck_assert_str_ne(head.hash, amended.hash);
    ck_assert_uint_eq(amended.n, 3);
    gr_metrics_close(file);
    ck_assert(!holds(&head, &n) && holds(&amended, &n) && n == 3);
    append(3, 4, 5);
    ck_assert(holds(&amended, &n) && n == 5);
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 3, &file));
    gr_metrics_head(file, &again);
    ck_assert_str_eq(again.hash, amended.hash);
    gr_metrics_close(file);

    size_t seen = 0, from, to;
    const size_t length = find_costs(&from, &to);
    for (size_t at = 0; at < length; at += 7, seen++)
        ck_assert_int_eq(holds_with(&amended, at, '#'), at >= from && at < to);
    ck_assert_uint_gt(seen, 50);
    spill(in_scratch("metrics.jsonl"), "", 0);
    ck_assert(!holds(&amended, &n) && n == 0);
}
END_TEST

static char *one_line(double loss) {
    struct gr_metrics *read;
    size_t n, lines;
    char *text = slurp(in_scratch("metrics.jsonl"), &n);
    ck_assert_ptr_eq(strchr(text, '\n'), text + n - 1);
    MUST(gr_metrics_read(in_scratch("metrics.jsonl"), &read, &n, &lines));
    ck_assert_uint_eq(n, 1);
    ck_assert(read[0].train_loss == loss);
    gr_free(read);
    return text;
}

/* The last line anew: longer, then shorter, then of the first length. */
START_TEST(amended) {
    struct gr_metrics_file *file;
    struct gr_metrics metrics = sample(1);
    size_t lengths[3];
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 0, &file));
    ck_assert_int_eq(gr_metrics_amend(file, &metrics), GR_ERROR_INTERNAL);
    metrics.train_loss = 1.5;
    MUST(gr_metrics_append(file, &metrics));
    const double losses[] = {1.0 / 3, 2, 1.5};
    for (size_t i = 0; i < 3; i++) {
        if (i == 1) MUST(gr_metrics_sync(file));
        metrics.train_loss = losses[i];
        MUST(gr_metrics_amend(file, &metrics));
        char *text = one_line(losses[i]);
        lengths[i] = strlen(text);
        gr_free(text);
    }
    ck_assert_uint_eq(lengths[0], lengths[1]);
    ck_assert_uint_eq(lengths[0], lengths[2]);
    metrics.round = 2;
    MUST(gr_metrics_append(file, &metrics));
    ck_assert_str_eq(rounds_there(), "1 2");
    gr_metrics_close(file);
    ck_assert_str_eq(rounds_there(), "1 2");
}
END_TEST

/* One that was followed by another writes where nobody looks. */
START_TEST(former_writer) {
    struct gr_metrics_file *former, *file;
    struct gr_metrics metrics = sample(1);
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 0, &former));
    MUST(gr_metrics_append(former, &metrics));
    MUST(gr_metrics_open(in_scratch("metrics.jsonl"), 1, &file));
    metrics.train_loss = 77;
    MUST(gr_metrics_amend(former, &metrics));
    metrics.round = 2;
    MUST(gr_metrics_append(former, &metrics));
    MUST(gr_metrics_sync(former));
    gr_free(one_line(sample(1).train_loss));
    gr_metrics_close(former);
    gr_metrics_close(file);
    gr_free(one_line(sample(1).train_loss));
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
    gr_progress_finish(progress, "runs/x", "abcd", NULL, "--resume goes on");
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

/* A model that predicts a number has no accuracy; its loss and R2 are its scores. */
START_TEST(progress_of_numbers) {
    struct gr_progress *progress;
    struct gr_metrics metrics = sample(1);
    const struct gr_headline headline = {(double)NAN, (double)NAN, 0.75};
    FILE *stream = fopen(in_scratch("progress"), "w");
    metrics.test_accuracy = (double)NAN;
    metrics.test_loss = 2.5;
    MUST(gr_progress_create(stream, 1, 0, &progress));
    gr_progress_round(progress, &metrics);
    gr_progress_finish(progress, "runs/x", "abcd", &headline, "--resume goes on");
    gr_progress_free(progress);
    fclose(stream);
    char *text = slurp(in_scratch("progress"), NULL);
    ck_assert_ptr_nonnull(strstr(text, "\n  test       loss 2.5000, R2 0.750\n"));
    ck_assert_ptr_null(strstr(text, " %"));
    gr_free(text);
}
END_TEST

/* Between the rounds, whatever is in it, and told apart from them. */
START_TEST(progress_says) {
    struct gr_progress *progress;
    struct gr_metrics metrics = sample(1);
    FILE *stream = fopen(in_scratch("progress"), "w");
    MUST(gr_progress_create(stream, 3, 0, &progress));
    gr_progress_round(progress, &metrics);
    gr_progress_say(progress, "round 2: 2 silos lost\033[2J\n");
    gr_progress_say(NULL, "nothing");
    gr_progress_free(progress);
    fclose(stream);
    char *text = slurp(in_scratch("progress"), NULL);
    ck_assert_ptr_nonnull(strstr(text, "round 1/3"));
    ck_assert_ptr_nonnull(strstr(text, "\nround 2: 2 silos lost?[2J?\n"));
    gr_free(text);
}
END_TEST

/* "8 of 15 silos" when some were missing, "15 silos" when none was. */
START_TEST(progress_of_silos) {
    struct gr_progress *progress;
    struct gr_metrics metrics = sample(1);
    for (int i = 0; i < 3; i++) {
        FILE *stream = fopen(in_scratch("progress"), "w");
        MUST(gr_progress_create(stream, 1, 0, &progress));
        metrics.participants = i == 0 ? 8 : 15;
        metrics.selected = i == 2 ? 0 : 15;
        gr_progress_round(progress, &metrics);
        gr_progress_free(progress);
        fclose(stream);
        char *text = slurp(in_scratch("progress"), NULL);
        ck_assert_ptr_nonnull(strstr(text, i == 0 ? "  8 of 15 silos" : "  15 silos"));
        gr_free(text);
    }
}
END_TEST

/* On a terminal what is said stands above the progress line, which comes back. */
START_TEST(progress_on_a_terminal) {
    struct gr_progress *progress;
    struct gr_metrics metrics = sample(1);
    char text[4096] = "";
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    /* Where there are no pseudo-terminals there is nothing to be tested. */
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return;
    FILE *stream = fopen(ptsname(master), "w");
    ck_assert_ptr_nonnull(stream);
    unsetenv("OMPI_COMM_WORLD_RANK");
    MUST(gr_progress_create(stream, 3, 0, &progress));
    gr_progress_say(progress, "first");
    gr_progress_round(progress, &metrics);
    gr_progress_say(progress, "second");
    fclose(stream);
    /* To its end, which is an error. */
    size_t used = 0;
    for (ssize_t n = 1; n > 0; used += n > 0 ? (size_t)n : 0)
        n = read(master, text + used, sizeof text - 1 - used);
    ck_assert_ptr_nonnull(strstr(text, "\rfirst\033[K\r\n\rround 1/3"));
    ck_assert_ptr_nonnull(strstr(text, "\rsecond\033[K\r\n\rround 1/3"));
    gr_progress_free(progress);
    close(master);
}
END_TEST

/* What takes long is told on a terminal while it does, and goes when it is over. */
START_TEST(progress_of_what_takes_long) {
    struct gr_progress *progress;
    char text[4096] = "";
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return;
    FILE *stream = fopen(ptsname(master), "w");
    ck_assert_ptr_nonnull(stream);
    unsetenv("OMPI_COMM_WORLD_RANK");
    MUST(gr_progress_create(stream, 3, 0, &progress));
    gr_progress_phase(progress, "loading");
    usleep(2300000);
    gr_progress_trained(progress, 1, 0, 15);
    gr_progress_trained(progress, 1, 2, 15);
    usleep(2300000);
    gr_progress_free(progress);
    fclose(stream);
    size_t used = 0;
    for (ssize_t n = 1; n > 0; used += n > 0 ? (size_t)n : 0)
        n = read(master, text + used, sizeof text - 1 - used);
    ck_assert_ptr_nonnull(strstr(text, "\rloading, 0:0"));
    ck_assert_ptr_nonnull(
        strstr(text, "\rround 1/3: 2 of 15 silos of this rank have trained, 0:0"));
    ck_assert_str_eq(text + strlen(text) - 4, "\r\033[K");
    close(master);
}
END_TEST

START_TEST(progress_silent) {
    struct gr_progress *progress;
    struct gr_metrics metrics = sample(1);
    MUST(gr_progress_create(NULL, 3, 0, &progress));
    gr_progress_round(progress, &metrics);
    gr_progress_say(progress, "x");
    gr_progress_finish(progress, "x", NULL, NULL, "--resume goes on");
    gr_progress_free(progress);
    gr_progress_free(NULL);
}
END_TEST

RUN_TESTS("metrics", line_is_exact, bounds_of_an_area, head_of_the_lines, read_back, amended,
          former_writer, resume_cuts, torn_line_goes, rubbish_goes, no_folder, appending_is_cheap,
          progress_is_short, progress_stopped, progress_of_numbers, progress_says,
          progress_of_silos, progress_on_a_terminal, progress_of_what_takes_long, progress_silent)
