/* SPDX-License-Identifier: Apache-2.0 */
/* A sweep for people and for programs: the table over seeds, sweep.csv, and Optuna's journal. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/sweep.h"
#include "observe/json.h"

enum { TITLE_MAX = 64, VALUE_WIDTH = 32 };

static const char *value_of(const struct gr_sweep_plan *plan, size_t point, size_t key) {
    const json_t *values = json_object_get(json_array_get(plan->points, point), "values");
    return json_string_value(json_array_get(values, key));
}

/* A run that has come to the end of a rung and goes no further has been dropped. */
static const char *state_of(const struct gr_sweep_plan *plan, const struct gr_sweep_result *result,
                            uint32_t rung) {
    static const char *const words[] = {"waiting", "begun", "done", "failed"};
    if (result->state == GR_SWEEP_DONE && rung + 1 < plan->n_rungs) return "dropped";
    return words[result->state];
}

/* ---- sweep.csv ------------------------------------------------------------------------------- */

static void put_cell(FILE *stream, const char *text) {
    if (!text[strcspn(text, ",\"\n\r")]) {
        fputs(text, stream);
        return;
    }
    fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"') fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

/* The scores that some run has. */
static size_t find_scores(const struct gr_sweep_plan *plan, const struct gr_sweep_result *results,
                          size_t scores[GR_SCORES_MAX]) {
    char text[64];
    size_t n = 0;
    for (size_t i = 0; gr_score_name(i, text); i++)
        for (size_t r = 0; r < gr_plan_runs(plan); r++) {
            if (!isfinite(results[r].last[i])) continue;
            scores[n++] = i;
            break;
        }
    return n;
}

static void put_head(FILE *stream, const struct gr_sweep_plan *plan, const size_t *scores,
                     size_t n_scores) {
    char text[64];
    fputs("run,point", stream);
    for (size_t k = 0; k < plan->n_keys; k++) {
        fputc(',', stream);
        put_cell(stream, gr_json_text(json_array_get(plan->keys, k), "name"));
    }
    fputs(",seed,state,rounds,seconds", stream);
    for (size_t i = 0; i < n_scores; i++) {
        const char *name = gr_score_name(scores[i], text);
        fprintf(stream, gr_score_direction(name) != 0 ? ",%s,best_%s" : ",%s", name, name);
    }
    fputs(",code,reason\n", stream);
}

static void put_number(FILE *stream, double value) {
    if (isfinite(value))
        fprintf(stream, ",%.17g", value);
    else
        fputc(',', stream);
}

static void put_run(FILE *stream, const struct gr_sweep_plan *plan, size_t run,
                    const struct gr_sweep_result *result, const char *state, const size_t *scores,
                    size_t n_scores) {
    char name[GR_RUN_NAME_MAX], text[64];
    gr_plan_run_name(plan, run, name);
    fprintf(stream, "%s,%zu", name, run / plan->n_seeds + 1);
    for (size_t k = 0; k < plan->n_keys; k++) {
        fputc(',', stream);
        put_cell(stream, value_of(plan, run / plan->n_seeds, k));
    }
    fprintf(stream, ",%llu,%s,%llu,%.6g", (unsigned long long)gr_plan_seed(plan, run), state,
            (unsigned long long)result->rounds, result->seconds);
    for (size_t i = 0; i < n_scores; i++) {
        put_number(stream, result->last[scores[i]]);
        if (gr_score_direction(gr_score_name(scores[i], text)) != 0)
            put_number(stream, result->best[scores[i]]);
    }
    if (result->state == GR_SWEEP_FAILED) {
        fprintf(stream, ",%d,", result->code);
        put_cell(stream, result->reason);
        fputc('\n', stream);
    } else {
        fputs(",,\n", stream);
    }
}

/* A file of the plan with what was printed into memory. */
static gr_status publish(const struct gr_sweep_plan *plan, const char *name, FILE *stream,
                         char **text, const size_t *length) {
    const bool whole = stream && !ferror(stream) && fflush(stream) == 0;
    if (stream) fclose(stream);
    const gr_status status = whole ? gr_plan_write(plan, name, *text, *length)
                                   : gr_fail(GR_ERROR_INTERNAL, "memory for %s was refused", name);
    free(*text);
    return status;
}

gr_status gr_sweep_write_csv(const struct gr_sweep_plan *plan,
                             const struct gr_sweep_result *results, const uint32_t *rungs) {
    char *text = NULL;
    size_t length = 0, scores[GR_SCORES_MAX];
    const size_t n_scores = find_scores(plan, results, scores);
    FILE *stream = open_memstream(&text, &length);
    if (stream) put_head(stream, plan, scores, n_scores);
    for (size_t run = 0; stream && run < gr_plan_runs(plan); run++)
        put_run(stream, plan, run, &results[run],
                state_of(plan, &results[run], rungs[run / plan->n_seeds]), scores, n_scores);
    return publish(plan, "sweep.csv", stream, &text, &length);
}

/* ---- the journal ----------------------------------------------------------------------------- */

/* A value as YAML means it: a number or a truth value, else a text. */
static json_t *typed(const char *text) {
    json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);
    if (json_is_number(value) || json_is_boolean(value)) return value;
    json_decref(value);
    return json_string(text);
}

/* The values of a key that is no range, each once. */
static json_t *choices_of(const struct gr_sweep_plan *plan, size_t key) {
    json_t *choices = json_array();
    for (size_t p = 0; p < plan->n_points; p++) {
        json_t *value = typed(value_of(plan, p, key));
        size_t i = 0;
        while (i < json_array_size(choices) && !json_equal(json_array_get(choices, i), value))
            i++;
        if (i == json_array_size(choices))
            json_array_append_new(choices, value);
        else
            json_decref(value);
    }
    return choices;
}

/* Distributions stand in the journal as texts of JSON. */
static json_t *distribution_of(const struct gr_sweep_plan *plan, size_t key) {
    const json_t *k = json_array_get(plan->keys, key);
    const bool ranged = json_object_get(k, "low") != NULL,
               whole = json_is_true(json_object_get(k, "whole"));
    json_t *members;
    if (!ranged)
        members = json_pack("{s:s, s:{s:o}}", "name", "CategoricalDistribution", "attributes",
                            "choices", choices_of(plan, key));
    else if (whole)
        members = json_pack("{s:s, s:{s:b, s:i, s:I, s:I}}", "name", "IntDistribution",
                            "attributes", "log", json_is_true(json_object_get(k, "log")), "step", 1,
                            "low", (json_int_t)gr_json_real(k, "low"), "high",
                            (json_int_t)gr_json_real(k, "high"));
    else
        members =
            json_pack("{s:s, s:{s:n, s:f, s:f, s:b}}", "name", "FloatDistribution", "attributes",
                      "step", "low", gr_json_real(k, "low"), "high", gr_json_real(k, "high"), "log",
                      json_is_true(json_object_get(k, "log")));
    char *text = json_dumps(members, 0);
    json_t *out = json_string(text ? text : "");
    free(text);
    json_decref(members);
    return out;
}

/* A value by its place among the choices, or as a number of the range. */
static json_t *parameter_of(const struct gr_sweep_plan *plan, size_t point, size_t key) {
    const char *text = value_of(plan, point, key);
    if (json_object_get(json_array_get(plan->keys, key), "low"))
        return json_real(strtod(text, NULL));
    json_t *choices = choices_of(plan, key), *value = typed(text);
    size_t i = 0;
    while (i < json_array_size(choices) && !json_equal(json_array_get(choices, i), value))
        i++;
    json_decref(choices);
    json_decref(value);
    return json_integer((json_int_t)i);
}

/* "2026-11-30T22:11:12Z" without the zone, as optuna reads times; null: not known. */
static json_t *time_of(const char *utc) {
    const size_t n = strcspn(utc, "Z");
    return n > 0 ? json_stringn(utc, n) : json_null();
}

enum { TRIAL_RUNNING, TRIAL_COMPLETE, TRIAL_PRUNED, TRIAL_FAIL, TRIAL_WAITING };

static int trial_state(const char *state, double value) {
    if (strcmp(state, "done") == 0) return isfinite(value) ? TRIAL_COMPLETE : TRIAL_FAIL;
    if (strcmp(state, "dropped") == 0) return TRIAL_PRUNED;
    if (strcmp(state, "failed") == 0) return TRIAL_FAIL;
    return strcmp(state, "begun") == 0 ? TRIAL_RUNNING : TRIAL_WAITING;
}

static json_t *trial_of(const struct gr_sweep_plan *plan, size_t run,
                        const struct gr_sweep_result *result, uint32_t rung) {
    char name[GR_RUN_NAME_MAX], round[16];
    json_t *parameters = json_object(), *distributions = json_object(), *steps = json_object();
    const size_t metric = gr_score_find(plan->metric);
    const double value = result->last[metric];
    const int state = trial_state(state_of(plan, result, rung), value);
    const bool ended = state != TRIAL_RUNNING && state != TRIAL_WAITING;
    const bool valued = ended && state != TRIAL_FAIL && isfinite(value);
    gr_plan_run_name(plan, run, name);
    for (size_t k = 0; k < plan->n_keys; k++) {
        const char *key = gr_json_text(json_array_get(plan->keys, k), "name");
        json_object_set_new(parameters, key, parameter_of(plan, run / plan->n_seeds, k));
        json_object_set_new(distributions, key, distribution_of(plan, k));
    }
    for (uint32_t r = 0; r < plan->n_rungs && result->by_rung; r++) {
        snprintf(round, sizeof round, "%u", gr_plan_rounds(plan, r));
        if (r <= rung && isfinite(result->by_rung[r]))
            json_object_set_new(steps, round, json_real(result->by_rung[r]));
    }
    return json_pack(
        "{s:i, s:s, s:i, s:o, s:i, s:o, s:n, s:o, s:o, s:o, s:{s:s, s:I, s:I, s:f, s:s}, s:{}, "
        "s:o}",
        "op_code", 4, "worker_id", "granary", "study_id", 0, "datetime_start",
        time_of(result->began), "state", state, "value", valued ? json_real(value) : json_null(),
        "values", "datetime_complete", ended ? time_of(result->ended) : json_null(),
        "distributions", distributions, "params", parameters, "user_attrs", "run", name, "seed",
        (json_int_t)gr_plan_seed(plan, run), "rounds", (json_int_t)result->rounds, "seconds",
        result->seconds, "reason", result->state == GR_SWEEP_FAILED ? result->reason : "",
        "system_attrs", "intermediate_values", steps);
}

gr_status gr_sweep_write_journal(const struct gr_sweep_plan *plan,
                                 const struct gr_sweep_result *results, const uint32_t *rungs) {
    char *text = NULL;
    size_t length = 0;
    FILE *stream = open_memstream(&text, &length);
    /* 1: the least, 2: the most is best. */
    if (stream)
        fprintf(stream,
                "{\"op_code\": 0, \"worker_id\": \"granary\", \"study_name\": \"sweep\", "
                "\"directions\": [%d]}\n",
                plan->maximize ? 2 : 1);
    for (size_t run = 0; stream && run < gr_plan_runs(plan); run++) {
        json_t *trial = trial_of(plan, run, &results[run], rungs[run / plan->n_seeds]);
        char *line = trial ? json_dumps(trial, 0) : NULL;
        if (line) fprintf(stream, "%s\n", line);
        if (!line) {
            fclose(stream);
            stream = NULL;
        }
        free(line);
        json_decref(trial);
    }
    return publish(plan, "optuna.jsonl", stream, &text, &length);
}

/* ---- the table ------------------------------------------------------------------------------- */

/* A point with its seeds' scores, in the order of the table. */
struct point_row {
    size_t point, failed, open;
    uint32_t rung;
    struct gr_spread spread;
    bool maximize;
};

static int by_rank(const void *a, const void *b) {
    const struct point_row *left = a, *right = b;
    if (left->rung != right->rung) return left->rung > right->rung ? -1 : 1;
    const double l = left->spread.mean, r = right->spread.mean;
    if (isnan(l) != isnan(r)) return isnan(l) ? 1 : -1;
    if (l != r && !isnan(l)) return (l > r) == left->maximize ? -1 : 1;
    return left->point < right->point ? -1 : 1;
}

static void make_row(const struct gr_sweep_plan *plan, const struct gr_sweep_result *results,
                     size_t point, uint32_t rung, double *values, struct point_row *row) {
    *row = (struct point_row){.point = point, .rung = rung, .maximize = plan->maximize};
    for (size_t s = 0; s < plan->n_seeds; s++) {
        const struct gr_sweep_result *result = &results[point * plan->n_seeds + s];
        const bool done = result->state == GR_SWEEP_DONE;
        values[s] = done ? result->by_rung[rung] : (double)NAN;
        row->failed += result->state == GR_SWEEP_FAILED;
        row->open += result->state < GR_SWEEP_DONE;
    }
    row->spread = gr_spread_of(values, plan->n_seeds);
}

static int width_of(const struct gr_sweep_plan *plan, size_t key) {
    char title[TITLE_MAX];
    gr_key_title(plan->keys, key, title, sizeof title);
    size_t width = strlen(title);
    for (size_t p = 0; p < plan->n_points; p++)
        if (strlen(value_of(plan, p, key)) > width) width = strlen(value_of(plan, p, key));
    return width < VALUE_WIDTH ? (int)width : VALUE_WIDTH;
}

static void print_row(const struct gr_sweep_plan *plan, const struct point_row *row,
                      const int *widths) {
    char mean[32] = "-", deviation[32] = "-", quoted[VALUE_WIDTH + 1];
    if (isfinite(row->spread.mean)) snprintf(mean, sizeof mean, "%.5g", row->spread.mean);
    if (isfinite(row->spread.deviation))
        snprintf(deviation, sizeof deviation, "%.2g", row->spread.deviation);
    for (size_t k = 0; k < plan->n_keys; k++) {
        const char *value = value_of(plan, row->point, k);
        gr_text_quote(value, strlen(value), quoted, sizeof quoted);
        printf("%-*s  ", widths[k], quoted);
    }
    printf("%*s  %9s  %3zu", (int)strlen(plan->metric), mean, deviation, row->spread.n);
    if (plan->n_rungs > 1) printf("  %6u", gr_plan_rounds(plan, row->rung));
    if (row->failed > 0) printf("  %zu failed", row->failed);
    if (row->open > 0) printf("  %zu open", row->open);
    putchar('\n');
}

gr_status gr_sweep_print(const struct gr_sweep_plan *plan, const struct gr_sweep_result *results,
                         const uint32_t *rungs) {
    gr_status status = GR_OK;
    struct point_row *rows = NULL;
    double *values = NULL;
    int *widths = NULL;
    char title[TITLE_MAX];
    GR_TRY(gr_allocate(plan->n_points, sizeof *rows, "points", &rows));
    GR_TRY(gr_allocate(plan->n_seeds, sizeof *values, "scores", &values));
    GR_TRY(gr_allocate(plan->n_keys, sizeof *widths, "widths", &widths));
    for (size_t p = 0; p < plan->n_points; p++)
        make_row(plan, results, p, rungs[p], values, &rows[p]);
    qsort(rows, plan->n_points, sizeof *rows, by_rank);
    for (size_t k = 0; k < plan->n_keys; k++) {
        widths[k] = width_of(plan, k);
        gr_key_title(plan->keys, k, title, sizeof title);
        printf("%-*.*s  ", widths[k], widths[k], title);
    }
    printf("%s  %9s  %3s%s\n", plan->metric, "deviation", "n", plan->n_rungs > 1 ? "  rounds" : "");
    for (size_t p = 0; p < plan->n_points; p++)
        print_row(plan, &rows[p], widths);
out:
    gr_free(widths);
    gr_free(values);
    gr_free(rows);
    return status;
}
