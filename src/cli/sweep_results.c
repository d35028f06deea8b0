/* SPDX-License-Identifier: Apache-2.0 */
/* What the runs of a plan came to, by their own directories, and by the notes of runs that failed.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/launch.h"
#include "cli/sweep.h"
#include "observe/json.h"
#include "observe/metrics.h"

/* ---- scores ---------------------------------------------------------------------------------- */

enum { OWN_SCORES = 4 };
static const char *const own_scores[OWN_SCORES] = {"validation_loss", "validation_accuracy",
                                                   "test_loss", "test_accuracy"};

const char *gr_score_name(size_t score, char out[64]) {
    if (score < OWN_SCORES) return own_scores[score];
    const size_t metric = (score - OWN_SCORES) / 2;
    if (metric >= gr_metric_count) return NULL;
    snprintf(out, 64, "%s_%s", score % 2 == 0 ? "validation" : "test", gr_metric_rows[metric].name);
    return out;
}

size_t gr_score_find(const char *name) {
    char text[64];
    const char *known;
    for (size_t i = 0; (known = gr_score_name(i, text)); i++)
        if (strcmp(known, name) == 0) return i;
    return GR_SCORES_MAX;
}

int gr_score_direction(const char *name) {
    static const char *const less[] = {
        "loss", "log_loss",         "brier",          "calibration_error", "mse",
        "mae",  "poisson_deviance", "hosmer_lemeshow"};
    static const char *const neither[] = {"observed_expected", "calibration_slope",
                                          "calibration_intercept"};
    const char *metric = strchr(name, '_') ? strchr(name, '_') + 1 : name;
    for (size_t i = 0; i < sizeof less / sizeof *less; i++)
        if (strcmp(metric, less[i]) == 0) return -1;
    for (size_t i = 0; i < sizeof neither / sizeof *neither; i++)
        if (strcmp(metric, neither[i]) == 0) return 0;
    return 1;
}

static double score_of(const struct gr_metrics *m, size_t score) {
    const double own[OWN_SCORES] = {m->validation_loss, m->validation_accuracy, m->test_loss,
                                    m->test_accuracy};
    if (score < OWN_SCORES) return own[score];
    const size_t metric = (score - OWN_SCORES) / 2;
    const bool told = (m->named_told >> metric & 1) && m->of_validation == (score % 2 == 0);
    return told ? m->named[metric] : (double)NAN;
}

/* ---- the state of a run ---------------------------------------------------------------------- */

static gr_status failure_path(const struct gr_sweep_plan *plan, const char *name, char **out) {
    return gr_text_format(out, "%s/failed/%s.json", plan->folder, name);
}

/* The note of a failure, where there is one. */
static bool read_failure(const struct gr_sweep_plan *plan, const char *name,
                         struct gr_sweep_result *out) {
    char *path = NULL;
    if (failure_path(plan, name, &path) != GR_OK) return false;
    json_t *note = json_load_file(path, 0, NULL);
    gr_free(path);
    if (!note) return false;
    const char *reason = gr_json_text(note, "reason");
    out->code = (int)gr_json_count(note, "code");
    gr_text_quote(reason ? reason : "", reason ? strlen(reason) : 0, out->reason,
                  sizeof out->reason);
    json_decref(note);
    return true;
}

static void take_time(char out[32], const char *text) {
    gr_text_quote(text ? text : "", text ? strlen(text) : 0, out, 32);
}

/* A run that has stopped early is at the end of every rung, and one that was begun for a later rung
 * at the end of this, however far it came. */
void gr_result_state(const struct gr_sweep_plan *plan, size_t run, uint32_t rung,
                     struct gr_sweep_result *out) {
    char name[GR_RUN_NAME_MAX], *path = NULL;
    struct gr_marks marks = {0};
    gr_plan_run_name(plan, run, name);
    out->state = GR_SWEEP_WAITING;
    if (gr_text_format(&path, "%s/%s/manifest.json", plan->folder, name) != GR_OK) return;
    json_t *manifest = json_load_file(path, 0, NULL);
    path[strlen(path) - strlen("/manifest.json")] = '\0';
    const char *outcome = gr_json_text(manifest, "outcome");
    const uint64_t planned = gr_json_count(manifest, "rounds");
    const json_t *stretches = json_object_get(manifest, "stretches");
    const size_t n = json_array_size(stretches);
    out->rounds = gr_json_count(manifest, "rounds_done");
    take_time(out->began, gr_json_text(json_array_get(stretches, 0), "started"));
    take_time(out->ended, gr_json_text(json_array_get(stretches, n - 1), "ended"));
    const bool finished = outcome && strcmp(outcome, "finished") == 0;
    const uint64_t wanted = plan->n_rungs == 1 ? planned : gr_plan_rounds(plan, rung);
    if (planned > wanted || (finished && (planned == wanted || out->rounds < planned))) {
        out->state = GR_SWEEP_DONE;
    } else if (read_failure(plan, name, out)) {
        out->state = GR_SWEEP_FAILED;
    } else {
        gr_marks_read(path, &marks);
        if (marks.holds_run) out->state = GR_SWEEP_BEGUN;
    }
    json_decref(manifest);
    gr_free(path);
}

gr_status gr_result_fail(const struct gr_sweep_plan *plan, const char *name, int code,
                         const char *reason) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    json_t *note = json_pack("{s:i, s:s}", "code", code, "reason", reason);
    GR_TRY(gr_text_format(&path, "%s/failed", plan->folder));
    GR_TRY(gr_make_folder(path));
    gr_free(path);
    path = NULL;
    text = note ? json_dumps(note, JSON_INDENT(1)) : NULL;
    if (!text) {
        status = gr_fail(GR_ERROR_INTERNAL, "memory for a note was refused");
        goto out;
    }
    GR_TRY(gr_text_format(&path, "failed/%s.json", name));
    status = gr_plan_write(plan, path, text, strlen(text));
out:
    gr_free(path);
    free(text);
    json_decref(note);
    return status;
}

gr_status gr_result_retry(const struct gr_sweep_plan *plan, const char *name) {
    gr_status status = GR_OK;
    char *path = NULL;
    GR_TRY(failure_path(plan, name, &path));
    if (unlink(path) != 0 && errno != ENOENT)
        status = gr_fail(GR_ERROR_WRITE, "%s: %s", path, strerror(errno));
out:
    gr_free(path);
    return status;
}

/* ---- the scores of a run --------------------------------------------------------------------- */

static void take_round(const struct gr_metrics *m, struct gr_sweep_result *out) {
    char text[64];
    const char *name;
    out->seconds += isfinite(m->seconds.total) ? m->seconds.total : 0;
    for (size_t i = 0; (name = gr_score_name(i, text)); i++) {
        const double value = score_of(m, i);
        const int direction = gr_score_direction(name);
        if (!isfinite(value)) continue;
        out->last[i] = value;
        if (direction != 0 && !((double)direction * value <= (double)direction * out->best[i]))
            out->best[i] = value;
    }
}

gr_status gr_result_read(const struct gr_sweep_plan *plan, size_t run, uint32_t rung,
                         struct gr_sweep_result *result) {
    gr_status status = GR_OK;
    const size_t metric = gr_score_find(plan->metric);
    struct gr_metrics *rounds = NULL;
    size_t n = 0, lines;
    char name[GR_RUN_NAME_MAX], *path = NULL;
    gr_result_state(plan, run, rung, result);
    gr_plan_run_name(plan, run, name);
    result->seconds = 0;
    for (size_t i = 0; i < GR_SCORES_MAX; i++)
        result->last[i] = result->best[i] = (double)NAN;
    if (!result->by_rung)
        GR_TRY(gr_allocate(plan->n_rungs, sizeof(double), "scores", &result->by_rung));
    for (uint32_t r = 0; r < plan->n_rungs; r++)
        result->by_rung[r] = (double)NAN;
    GR_TRY(gr_text_format(&path, "%s/%s/metrics.jsonl", plan->folder, name));
    if (access(path, F_OK) != 0) goto out;
    GR_TRY(gr_metrics_read(path, &rounds, &n, &lines));
    for (size_t i = 0; i < n; i++) {
        take_round(&rounds[i], result);
        for (uint32_t r = 0; r < plan->n_rungs && metric < GR_SCORES_MAX; r++)
            if (r + 1 == plan->n_rungs || rounds[i].round <= gr_plan_rounds(plan, r))
                result->by_rung[r] = result->last[metric];
    }
out:
    gr_free(rounds);
    gr_free(path);
    return status;
}

void gr_results_free(struct gr_sweep_result *results, size_t n) {
    for (size_t i = 0; results && i < n; i++)
        gr_free(results[i].by_rung);
    gr_free(results);
}

/* ---- over seeds ------------------------------------------------------------------------------ */

struct gr_spread gr_spread_of(const double *values, size_t n) {
    struct gr_spread spread = {(double)NAN, (double)NAN, 0};
    double sum = 0, squares = 0;
    for (size_t i = 0; i < n; i++) {
        if (!isfinite(values[i])) continue;
        sum += values[i];
        spread.n++;
    }
    if (spread.n > 0) spread.mean = sum / (double)spread.n;
    for (size_t i = 0; i < n; i++)
        if (isfinite(values[i])) squares += (values[i] - spread.mean) * (values[i] - spread.mean);
    if (spread.n > 1) spread.deviation = sqrt(squares / (double)(spread.n - 1));
    return spread;
}

struct placed_point {
    size_t point;
    double value; /* more is better; NAN: none */
};

static int by_value(const void *a, const void *b) {
    const struct placed_point *left = a, *right = b;
    if (isnan(left->value) != isnan(right->value)) return isnan(left->value) ? 1 : -1;
    if (left->value > right->value) return -1;
    if (left->value < right->value) return 1;
    return left->point < right->point ? -1 : 1;
}

gr_status gr_rung_keep(const struct gr_sweep_plan *plan, const struct gr_sweep_result *results,
                       uint32_t rung, bool *kept) {
    struct placed_point *placed = NULL;
    double *values = NULL;
    size_t n = 0;
    const size_t asked = (size_t)gr_json_count(plan->json, "halving"), eta = asked > 2 ? asked : 2;
    gr_status status;
    GR_TRY(gr_allocate(plan->n_points, sizeof *placed, "points", &placed));
    GR_TRY(gr_allocate(plan->n_seeds, sizeof *values, "scores", &values));
    for (size_t p = 0; p < plan->n_points; p++) {
        if (!kept[p]) continue;
        for (size_t s = 0; s < plan->n_seeds; s++) {
            const struct gr_sweep_result *result = &results[p * plan->n_seeds + s];
            values[s] = result->state == GR_SWEEP_DONE ? result->by_rung[rung] : (double)NAN;
        }
        const double mean = gr_spread_of(values, plan->n_seeds).mean;
        placed[n++] = (struct placed_point){p, plan->maximize ? mean : -mean};
    }
    qsort(placed, n, sizeof *placed, by_value);
    const size_t stay = n / eta > 1 ? n / eta : 1;
    for (size_t i = 0; i < n; i++)
        kept[placed[i].point] = i < stay && !isnan(placed[i].value);
out:
    gr_free(values);
    gr_free(placed);
    return status;
}
