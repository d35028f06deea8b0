/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The models of a comparison on the held-out rows of each silo, by `granary evaluate`, and what
 * follows: lift over each silo alone, seed by seed, with its interval.
 */
#include <errno.h>
#include <fcntl.h>
#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/launch.h"
#include "cli/sweep.h"
#include "observe/json.h"

/* Models at a time that are scored, by processes of their own. */
enum { SCORERS = 2, NAME_WIDTH = 24, LIFT_WIDTH = 27 };

struct compared {
    const struct gr_sweep_plan *plan;
    const struct gr_sweep_result *results; /* by run */
    const json_t *silos;
    const char *metric;
    size_t n_silos;
    pid_t running[SCORERS]; /* 0: none */
};

/* ---- scoring --------------------------------------------------------------------------------- */

static const char *mode_of(const struct compared *c, size_t point) {
    return gr_json_text(json_array_get(c->plan->points, point), "mode");
}

/* -1: of no silo. */
static long silo_of(const struct compared *c, size_t point) {
    return (long)json_integer_value(
        json_object_get(json_array_get(c->plan->points, point), "silo"));
}

static gr_status score_path(const struct compared *c, size_t run, size_t silo, char **out) {
    char name[GR_RUN_NAME_MAX];
    gr_plan_run_name(c->plan, run, name);
    return gr_text_format(out, "%s/scores/%s-%03zu.json", c->plan->folder, name, silo);
}

/* The silos on whose rows a model is judged alone: each, or the one that its mode is about. */
static bool is_judged(const struct compared *c, size_t run, size_t silo) {
    const long of = silo_of(c, run / c->plan->n_seeds);
    return c->results[run].state == GR_SWEEP_DONE && (of < 0 || of == (long)silo) &&
           gr_json_count(json_array_get(c->silos, silo), "held") > 0;
}

static gr_status wait_for_room(struct compared *c, bool all) {
    for (;;) {
        size_t busy = 0;
        int how;
        for (size_t i = 0; i < SCORERS; i++) {
            if (c->running[i] > 0 && waitpid(c->running[i], &how, WNOHANG) != 0) c->running[i] = 0;
            busy += c->running[i] > 0;
        }
        if (busy == 0 || (!all && busy < SCORERS)) return GR_OK;
        const int number = gr_watch_signal(1);
        if (number != 0 && number != SIGCHLD)
            return gr_fail(GR_STOPPED, "%s: stopped by a signal; the same command goes on",
                           c->plan->folder);
    }
}

/* Into a temporary file: a score that is there is whole once it can be read as JSON. */
static gr_status start_scorer(struct compared *c, size_t run, size_t silo, const char *path) {
    gr_status status = GR_OK;
    struct gr_words words = {0};
    char name[GR_RUN_NAME_MAX], program[PATH_MAX];
    int output = -1;
    size_t room = 0;
    gr_plan_run_name(c->plan, run, name);
    GR_TRY(wait_for_room(c, false));
    GR_TRY(gr_own_program(program));
    GR_TRY(gr_words_add(&words, "%s", program));
    GR_TRY(gr_words_add(&words, "evaluate"));
    GR_TRY(gr_words_add(&words, "%s/%s/model.h5", c->plan->folder, name));
    GR_TRY(gr_words_add(&words, "%s/tables/held-%03zu.h5", c->plan->folder, silo));
    GR_TRY(gr_words_add(&words, "--json"));
    output = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (output < 0) {
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
        goto out;
    }
    while (c->running[room] > 0)
        room++;
    c->running[room] = gr_watch_start(&words, output);
    if (c->running[room] < 0)
        status = gr_fail(GR_ERROR_INTERNAL, "no process: %s", strerror(errno));
out:
    if (output >= 0) close(output);
    gr_words_release(&words);
    return status;
}

static json_t *read_score(const struct compared *c, size_t run, size_t silo) {
    char *path = NULL;
    if (score_path(c, run, silo, &path) != GR_OK) return NULL;
    json_t *json = json_load_file(path, 0, NULL);
    gr_free(path);
    return json;
}

static gr_status score_models(struct compared *c) {
    gr_status status = GR_OK;
    char *path = NULL;
    GR_TRY(gr_text_format(&path, "%s/scores", c->plan->folder));
    GR_TRY(gr_make_folder(path));
    for (size_t run = 0; run < gr_plan_runs(c->plan); run++)
        for (size_t silo = 0; silo < c->n_silos; silo++) {
            if (!is_judged(c, run, silo)) continue;
            json_t *there = read_score(c, run, silo);
            json_decref(there);
            if (there) continue;
            gr_free(path);
            path = NULL;
            GR_TRY(score_path(c, run, silo, &path));
            GR_TRY(start_scorer(c, run, silo, path));
        }
    status = wait_for_room(c, true);
out:
    gr_free(path);
    return status;
}

/* ---- values ---------------------------------------------------------------------------------- */

static double metric_in(const json_t *evaluation, const char *metric) {
    return gr_json_real(json_object_get(json_object_get(evaluation, "metrics"), metric), "value");
}

/* A run's metric on a silo's held-out rows; NAN: not known. */
static double on_silo(const struct compared *c, size_t run, size_t silo, const char *metric) {
    if (!is_judged(c, run, silo)) return (double)NAN;
    json_t *json = read_score(c, run, silo);
    const double value = metric_in(json, metric);
    json_decref(json);
    return value;
}

/* A run's metric on its own test table: all held-out rows, or all rows of the silo left out. */
static double on_all(const struct compared *c, size_t run, const char *metric, uint64_t *rows) {
    char name[GR_RUN_NAME_MAX], *path = NULL;
    *rows = 0;
    if (c->results[run].state != GR_SWEEP_DONE) return (double)NAN;
    gr_plan_run_name(c->plan, run, name);
    if (gr_text_format(&path, "%s/%s/evaluation.json", c->plan->folder, name) != GR_OK)
        return (double)NAN;
    json_t *json = json_load_file(path, 0, NULL);
    gr_free(path);
    const double value = metric_in(json, metric);
    *rows = gr_json_count(json, "rows");
    json_decref(json);
    return value;
}

/* The point of a mode and silo; n_points: there is none. */
static size_t find_point(const struct compared *c, const char *mode, long silo) {
    size_t p = 0;
    while (p < c->plan->n_points && (strcmp(mode_of(c, p), mode) != 0 || silo_of(c, p) != silo))
        p++;
    return p;
}

/* By seed, on a silo's held-out rows, or those of all (silo n_silos). */
static void take_values(const struct compared *c, const char *mode, long of, size_t silo,
                        double *values) {
    const size_t point = find_point(c, mode, of);
    uint64_t rows;
    for (size_t s = 0; s < c->plan->n_seeds; s++) {
        const size_t run = point * c->plan->n_seeds + s;
        values[s] = (double)NAN;
        if (point == c->plan->n_points) continue;
        values[s] =
            silo < c->n_silos ? on_silo(c, run, silo, c->metric) : on_all(c, run, c->metric, &rows);
    }
}

/* ---- the table ------------------------------------------------------------------------------- */

/* The columns of the table, by seed. */
struct compare_row {
    double *alone, *federated, *pooled, *without; /* n_seeds each, of one list */
};

static void print_mean(const double *values, size_t n, int width) {
    const struct gr_spread spread = gr_spread_of(values, n);
    if (spread.n > 0)
        printf("  %*.4f", width, spread.mean);
    else
        printf("  %*s", width, "-");
}

/* Student's interval of the mean difference over seeds, better above 0. */
static void print_lift(const struct compared *c, const struct compare_row *row, double *room,
                       int width) {
    const double sign = c->plan->maximize ? 1 : -1;
    const size_t n = c->plan->n_seeds;
    char text[64] = "-";
    for (size_t s = 0; s < n; s++)
        room[s] = sign * (row->federated[s] - row->alone[s]);
    const struct gr_spread lift = gr_spread_of(room, n);
    if (lift.n == 1) snprintf(text, sizeof text, "%+.4f", lift.mean);
    if (lift.n > 1) {
        const double half =
            gsl_cdf_tdist_Pinv(0.975, (double)(lift.n - 1)) * lift.deviation / sqrt((double)lift.n);
        snprintf(text, sizeof text, "%+.4f [%+.4f, %+.4f]", lift.mean, lift.mean - half,
                 lift.mean + half);
    }
    printf("  %-*s", width, text);
}

static void print_row(const struct compared *c, const char *name, uint64_t rows,
                      const struct compare_row *row, double *room, bool left_out) {
    const size_t n = c->plan->n_seeds;
    char quoted[NAME_WIDTH + 1];
    gr_text_quote(name, strlen(name), quoted, sizeof quoted);
    printf("%-*s  %7llu", NAME_WIDTH, quoted, (unsigned long long)rows);
    print_mean(row->alone, n, 7);
    print_mean(row->federated, n, 9);
    print_mean(row->pooled, n, 7);
    print_lift(c, row, room, left_out ? LIFT_WIDTH : 0);
    if (left_out) print_mean(row->without, n, 8);
    putchar('\n');
}

/* On all held-out rows a silo alone stands for itself: the mean over the silos, seed by seed. */
static void mean_alone(const struct compared *c, double *out, double *room) {
    const size_t n = c->plan->n_seeds;
    for (size_t s = 0; s < n; s++) {
        double sum = 0;
        size_t known = 0;
        for (long k = 0; k < (long)c->n_silos; k++) {
            take_values(c, "alone", k, c->n_silos, room);
            if (!isfinite(room[s])) continue;
            sum += room[s];
            known++;
        }
        out[s] = known > 0 ? sum / (double)known : (double)NAN;
    }
}

static void print_table(const struct compared *c, const struct compare_row *row, double *room) {
    const bool left_out = find_point(c, "without", 0) < c->plan->n_points ||
                          find_point(c, "without", 1) < c->plan->n_points;
    uint64_t rows = 0;
    printf("%-*s  %7s  %7s  %9s  %7s  %-*s%s\n", NAME_WIDTH, c->metric, "rows", "alone",
           "federated", "pooled", left_out ? LIFT_WIDTH : 0, "lift of federated [95 %]",
           left_out ? "  left out" : "");
    for (size_t k = 0; k < c->n_silos; k++) {
        const json_t *silo = json_array_get(c->silos, k);
        take_values(c, "alone", (long)k, k, row->alone);
        take_values(c, "federated", -1, k, row->federated);
        take_values(c, "pooled", -1, k, row->pooled);
        const uint64_t held = gr_json_count(silo, "held");
        take_values(c, "without", (long)k, held > 0 ? k : c->n_silos, row->without);
        print_row(c, gr_json_text(silo, "name"), held, row, room, left_out);
    }
    take_values(c, "federated", -1, c->n_silos, row->federated);
    take_values(c, "pooled", -1, c->n_silos, row->pooled);
    mean_alone(c, row->alone, room);
    for (size_t s = 0; s < c->plan->n_seeds; s++)
        row->without[s] = (double)NAN;
    (void)on_all(c, 0, c->metric, &rows);
    print_row(c, "all", rows, row, room, left_out);
    if (c->plan->n_seeds > 1)
        printf("95 %%: over %zu seeds of training, on the same rows\n", c->plan->n_seeds);
}

/* ---- compare.csv ----------------------------------------------------------------------------- */

static void put_value(FILE *stream, const struct compared *c, size_t run, const char *judged_on,
                      uint64_t rows, double value) {
    const long of = silo_of(c, run / c->plan->n_seeds);
    const json_t *silo = of < 0 ? NULL : json_array_get(c->silos, (size_t)of);
    static const char *const words[] = {"waiting", "begun", "done", "failed"};
    fprintf(stream, "%s,%s,%s,%llu,%s,%llu,", mode_of(c, run / c->plan->n_seeds),
            silo ? gr_json_text(silo, "name") : "", judged_on,
            (unsigned long long)gr_plan_seed(c->plan, run), words[c->results[run].state],
            (unsigned long long)rows);
    if (isfinite(value)) fprintf(stream, "%.17g", value);
    fputc('\n', stream);
}

static gr_status write_csv(const struct compared *c) {
    char *text = NULL;
    size_t length = 0;
    uint64_t rows;
    FILE *stream = open_memstream(&text, &length);
    if (!stream) return gr_fail(GR_ERROR_INTERNAL, "memory for compare.csv was refused");
    fprintf(stream, "mode,silo,judged_on,seed,state,rows,%s\n", c->metric);
    for (size_t run = 0; run < gr_plan_runs(c->plan); run++) {
        const double value = on_all(c, run, c->metric, &rows);
        const bool without = strcmp(mode_of(c, run / c->plan->n_seeds), "without") == 0;
        put_value(stream, c, run, without ? "all rows of the silo" : "all", rows, value);
        for (size_t k = 0; k < c->n_silos; k++) {
            const json_t *silo = json_array_get(c->silos, k);
            if (is_judged(c, run, k))
                put_value(stream, c, run, gr_json_text(silo, "name"), gr_json_count(silo, "held"),
                          on_silo(c, run, k, c->metric));
        }
    }
    const bool whole = !ferror(stream);
    const bool closed = fclose(stream) == 0;
    const gr_status status = whole && closed
                                 ? gr_plan_write(c->plan, "compare.csv", text, length)
                                 : gr_fail(GR_ERROR_INTERNAL, "memory for compare.csv was refused");
    free(text);
    return status;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* A silo that could not be trained alone is told; only the federation's own failure is one. */
static gr_status tell_failures(const struct compared *c) {
    char name[GR_RUN_NAME_MAX];
    for (size_t run = 0; run < gr_plan_runs(c->plan); run++) {
        if (c->results[run].state != GR_SWEEP_FAILED) continue;
        gr_plan_run_name(c->plan, run, name);
        printf("%s failed (%d): %s\n", name, c->results[run].code, c->results[run].reason);
    }
    return c->results[0].state == GR_SWEEP_FAILED ? gr_plan_judge(c->plan, c->results) : GR_OK;
}

gr_status gr_compare_tell(const struct gr_sweep_plan *plan, const struct gr_schedule_asked *asked,
                          const struct gr_sweep_result *results, const uint32_t *rungs,
                          size_t n_open) {
    gr_status status;
    struct compared c = {.plan = plan,
                         .results = results,
                         .silos = json_object_get(plan->json, "silos"),
                         .metric = plan->metric + strlen("test_")};
    double *values = NULL;
    const size_t n = plan->n_seeds;
    (void)rungs;
    (void)n_open;
    c.n_silos = json_array_size(c.silos);
    /* What has been stopped is told once it has ended. */
    for (size_t run = 0; run < gr_plan_runs(plan); run++)
        if (results[run].state < GR_SWEEP_DONE) return GR_OK;
    GR_TRY(score_models(&c));
    GR_TRY(write_csv(&c));
    GR_TRY(gr_allocate_zero(5 * n, sizeof *values, "scores", &values));
    const struct compare_row row = {values, values + n, values + 2 * n, values + 3 * n};
    if (!asked->quiet) putchar('\n');
    print_table(&c, &row, values + 4 * n);
    status = tell_failures(&c);
out:
    for (size_t i = 0; i < SCORERS; i++)
        if (c.running[i] > 0) kill(c.running[i], SIGTERM);
    gr_watch_sweep();
    gr_free(values);
    return status;
}
