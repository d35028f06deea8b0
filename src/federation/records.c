/* SPDX-License-Identifier: Apache-2.0 */
/* What rank 0 keeps in the run directory, and how another rank takes it over. */
#include "federation/run.h"

#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static gr_status path_in(const struct gr_run_state *run, const char *name, char **out) {
    return gr_text_format(out, "%s/%s", run->path, name);
}

static gr_status write_text(const struct gr_run_state *run, const char *name, const char *text) {
    char *path = NULL;
    gr_status status = path_in(run, name, &path);
    if (status == GR_OK) status = gr_file_write(path, text, strlen(text));
    gr_free(path);
    return status;
}

/* The batch job's id, "1234" or "1234_5" in an array; NULL outside of one. */
static const char *job_id(char out[64]) {
    const char *job = getenv("SLURM_JOB_ID"), *array = getenv("SLURM_ARRAY_JOB_ID");
    const char *task = getenv("SLURM_ARRAY_TASK_ID");
    char *text = NULL;
    if (!job) return NULL;
    gr_status status = array && task ? gr_text_format(&text, "%s_%s", array, task)
                                     : gr_text_format(&text, "%s", job);
    if (status != GR_OK) return NULL;
    gr_text_quote(text, strlen(text), out, 64);
    gr_free(text);
    return out;
}

static gr_status write_manifest(const struct gr_run_state *run, const char *outcome,
                                const char *model_digest) {
    char now[32], job[64];
    gr_clock_utc(now);
    const struct gr_federation *f = run->federation;
    struct gr_manifest manifest = {
        .config = run->config,
        .ranks = gr_comm_slots(run->comm),
        .nodes = gr_comm_nodes(run->comm),
        .n_silos = run->config->data.silos,
        .data = *gr_federation_data(f),
        .architecture = gr_federation_architecture(f),
        .n_parameters = f->layout->n_parameters,
        .started_utc = run->started_utc,
        .resumed_from = run->resumed_from,
        .ended_utc = strcmp(outcome, "running") == 0 ? NULL : now,
        .outcome = outcome,
        .rounds_done = gr_federation_rounds_done(f),
        .model_digest = model_digest,
        .host_of = gr_federation_hosts(f),
        .detection = gr_comm_detection(run->comm),
        .job = job_id(job),
    };
    memcpy(manifest.config_digest, run->config_digest, GR_DIGEST_BYTES);
    return gr_manifest_write(run->directory, &manifest);
}

static gr_status open_files(struct gr_run_state *run, uint32_t rounds) {
    gr_status status = GR_OK;
    char *path = NULL;
    GR_TRY(path_in(run, "metrics.jsonl", &path));
    GR_TRY(gr_metrics_open(path, rounds, &run->metrics));
    gr_free(path);
    path = NULL;
    GR_TRY(path_in(run, "events.jsonl", &path));
    GR_TRY(gr_events_open(path, &run->events));
    if (run->options->progress)
        GR_TRY(gr_progress_create(run->options->progress, run->config->run.rounds, rounds,
                                  &run->progress));
out:
    gr_free(path);
    return status;
}

gr_status gr_records_note(struct gr_run_state *run, const char *event, uint32_t round,
                          const char *detail, const char *words) {
    gr_status status = gr_events_append(run->events, event, round, detail);
    if (run->progress && words) gr_progress_say(run->progress, words);
    return status;
}

gr_status gr_records_evaluation(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_evaluation evaluation;
    char *text = NULL;
    if (!gr_federation_evaluation(run->federation, &evaluation)) return GR_OK;
    GR_TRY(gr_evaluation_to_json(&evaluation, &text));
    status = write_text(run, "evaluation.json", text);
out:
    gr_free(text);
    return status;
}

/* What there is to tell of the data: `at` counts the columns, and then what is told of them all. */
static gr_status tell_data(const struct gr_federation *f, size_t at, char **words) {
    const size_t n = gr_federation_columns(f);
    return at < n        ? gr_federation_tell_found(f, at, words)
           : at == n     ? gr_federation_tell_preprocessing(f, words)
           : at == n + 1 ? gr_federation_tell_passed_over(f, words)
                         : gr_federation_tell_codes(f, words);
}

/* An event and a line for each column in which something was found, and for the rest. */
static gr_status note_found(struct gr_run_state *run, uint32_t done) {
    gr_status status = GR_OK;
    char *words = NULL, *detail = NULL;
    const size_t n = gr_federation_columns(run->federation) + 3;
    for (size_t i = 0; i < n; i++) {
        GR_TRY(tell_data(run->federation, i, &words));
        if (!words) continue;
        json_t *object = json_pack("{s:s}", "what", words);
        detail = object ? json_dumps(object, JSON_COMPACT) : NULL;
        json_decref(object);
        if (!detail) {
            status = gr_fail(GR_ERROR_INTERNAL, "memory for an event was refused");
            goto out;
        }
        GR_TRY(gr_records_note(run, "findings", done, detail, words));
        free(detail);
        gr_free(words);
        words = detail = NULL;
    }
out:
    free(detail);
    gr_free(words);
    return status;
}

gr_status gr_records_start(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *resolved = NULL, *words = NULL;
    const uint32_t done = gr_federation_rounds_done(run->federation);
    const uint32_t unusable = gr_federation_unusable(run->federation);
    GR_TRY(gr_config_to_yaml(run->config, &resolved));
    GR_TRY(write_text(run, "config.yaml", run->config_text));
    GR_TRY(write_text(run, "resolved.yaml", resolved));
    GR_TRY(write_manifest(run, "running", NULL));
    GR_TRY(open_files(run, done));
    GR_TRY(gr_records_note(run, done ? "resumed" : "started", done, NULL, NULL));
    if (run->passed_over)
        GR_TRY(gr_records_note(run, "damaged checkpoint passed over", done, NULL, NULL));
    if (unusable > 0) {
        GR_TRY(gr_text_format(&words, "%u of %u silos sit out: their data cannot be read", unusable,
                              run->config->data.silos));
        GR_TRY(gr_records_note(run, "alert", done, "{\"what\":\"data cannot be read\"}", words));
    }
    status = note_found(run, done);
out:
    gr_free(words);
    gr_free(resolved);
    return status;
}

/* ---- taking over ---------------------------------------------------------------------------- */

static void let_go(struct gr_run_state *run) {
    gr_progress_free(run->progress);
    gr_events_close(run->events);
    gr_metrics_close(run->metrics);
    gr_run_directory_close(run->directory);
    run->progress = NULL;
    run->events = NULL;
    run->metrics = NULL;
    run->directory = NULL;
}

static gr_status take_over(struct gr_run_state *run, uint32_t rounds) {
    gr_status status = GR_OK;
    GR_TRY(gr_run_directory_take_over(run->path, &run->directory));
    GR_TRY(open_files(run, rounds));
    run->written = rounds;
    GR_TRY(gr_records_note(run, "takeover", gr_federation_rounds_done(run->federation), NULL,
                           "rank 0 was lost: another rank keeps the records"));
out:
    if (status != GR_OK) let_go(run);
    return status;
}

gr_status gr_records_hold(struct gr_run_state *run, uint32_t rounds) {
    if (!gr_run_is_root(run)) {
        let_go(run);
        return GR_OK;
    }
    const uint32_t epoch = gr_comm_epoch(run->comm);
    if (run->config->round.deadline_s > 0 && gr_run_superseded(run->path, run->start, epoch))
        return gr_fail(GR_LOST, "%s: others have gone on without this rank", run->path);
    if (!run->directory) return take_over(run, rounds);
    if (epoch > 0) gr_run_directory_relock(run->directory);
    return GR_OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

/* Which round's model is kept, where that need not be the last. */
static gr_status note_best(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *detail = NULL, *words = NULL;
    const uint32_t done = gr_federation_rounds_done(run->federation);
    const uint32_t best = gr_best_round(run->federation);
    const bool early = done < run->config->run.rounds;
    const char *metric = gr_stop_text(run->config->stop.metric);
    if (run->config->stop.metric == GR_STOP_NONE) return GR_OK;
    if (best == 0) /* no validation rows, or no round that counts */
        return gr_records_note(run, "alert", done, "{\"what\":\"stop.metric has had no value\"}",
                               "alert: stop.metric has had no value: the last model is kept");
    GR_TRY(gr_text_format(&detail, "{\"metric\":\"%s\",\"best_round\":%u}", metric, best));
    GR_TRY(gr_text_format(&words, "%s round %u: %s was best in round %u, whose model is kept",
                          early ? "early stop after" : "end at", done, metric, best));
    status = gr_records_note(run, early ? "early stop" : "best model", done, detail, words);
out:
    gr_free(words);
    gr_free(detail);
    return status;
}

gr_status gr_records_finish(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_state state;
    char *path = NULL, hex[GR_DIGEST_HEX];
    unsigned char digest[GR_DIGEST_BYTES];
    gr_federation_outcome(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    GR_TRY(path_in(run, "model.h5", &path));
    GR_TRY(gr_records_evaluation(run));
    GR_TRY(gr_model_file_write(path, &state));
    gr_layout_digest(state.layout, state.parameters, digest);
    gr_digest_hex(digest, hex);
    if (!run->ended) {
        const uint32_t done = gr_federation_rounds_done(run->federation);
        GR_TRY(note_best(run));
        GR_TRY(gr_records_note(run, "finished", done, NULL, NULL));
    }
    GR_TRY(write_manifest(run, "finished", hex));
    GR_TRY(gr_report_write(run->path));
    if (gr_metrics_behind(run->metrics) + gr_events_behind(run->events) > 0)
        status = gr_fail(GR_ERROR_WRITE, "%s: the disk refused the last lines of the records",
                         run->path);
    if (run->progress && !run->ended) gr_progress_finish(run->progress, run->path, hex);
    run->ended = true;
out:
    gr_free(path);
    return status;
}

void gr_records_end_early(struct gr_run_state *run, gr_status reason) {
    char *message = NULL;
    const char *outcome = reason == GR_STOPPED ? "stopped" : "failed";
    if (!run->events || run->ended || gr_text_format(&message, "%s", gr_message()) != GR_OK) return;
    run->ended = true;
    uint32_t done = gr_federation_rounds_done(run->federation);
    if (run->progress && reason == GR_STOPPED) gr_progress_finish(run->progress, run->path, NULL);
    gr_status noted = gr_events_append(run->events, outcome, done, NULL);
    if (noted == GR_OK) noted = write_manifest(run, outcome, NULL);
    if (noted == GR_OK && done > 0) noted = gr_report_write(run->path);
    if (noted == GR_OK)
        (void)gr_fail(reason, "%s", message);
    else
        (void)gr_fail(reason, "%s (and its records: %s)", message, gr_message());
    gr_free(message);
}

void gr_records_close(struct gr_run_state *run) {
    let_go(run);
}
