/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run directory as the report needs it. Only the manifest must be whole; all else that is damaged
 * or missing is noted in words and passed over, because a report is wanted most of runs that went
 * wrong. File sizes are bounded (FILE_LIMIT), as a directory may come from anywhere.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "observe/lines.h"
#include "observe/metrics.h"
#include "observe/report.h"

/* Of silos, and of silos times rounds, to see who missed which. */
enum { FILE_LIMIT = 64 << 20, SILOS_MAX = 1 << 20, LOOKS_MAX = 1 << 30 };

/* *out is freed first, so that one variable serves for all files of a function. */
static gr_status path_in(const char *run_path, const char *name, char **out) {
    gr_free(*out);
    *out = NULL;
    return gr_text_format(out, "%s/%s", run_path, name);
}

static void note(struct gr_report_run *run, const char *format, ...) GR_PRINTF(2, 3);
/* Notes are shown in the page and on terminals; quoted, as they may hold text of the files. */
static void note(struct gr_report_run *run, const char *format, ...) {
    char text[256], quoted[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    json_array_append_new(run->notes, json_string(quoted));
}

/* A JSON object; NULL, with the reason in `error`, for anything else. */
static json_t *load_object(const char *text, size_t length, json_error_t *error) {
    json_t *json = json_loadb(text, length, JSON_REJECT_DUPLICATES, error);
    if (!json || json_is_object(json)) return json;
    error->line = 1;
    snprintf(error->text, sizeof error->text, "found no JSON object");
    json_decref(json);
    return NULL;
}

/*
 * Duplicate keys are refused, as a reader that takes the first and a reader that takes the last
 * would see different runs.
 */
static gr_status read_manifest(const char *run_path, struct gr_report_run *run) {
    gr_status status = GR_OK;
    char *path = NULL, *text = NULL;
    size_t length = 0;
    json_error_t error;
    GR_TRY(path_in(run_path, "manifest.json", &path));
    if (access(path, F_OK) != 0) {
        status =
            gr_fail(GR_ERROR_DATA, "%s: not a run directory: it has no manifest.json", run_path);
        goto out;
    }
    GR_TRY(gr_file_read(path, FILE_LIMIT, GR_ERROR_DATA, &text, &length));
    run->manifest = load_object(text, length, &error);
    if (!run->manifest) status = gr_fail(GR_ERROR_DATA, "%s:%d: %s", path, error.line, error.text);
out:
    gr_free(text);
    gr_free(path);
    return status;
}

/* Parsed as a tree and not as a config: settings of other versions must be shown as well. */
static void read_settings(const char *path, struct gr_report_run *run) {
    char *text = NULL;
    size_t length = 0;
    if (access(path, F_OK) != 0)
        note(run, "resolved.yaml is missing: the settings are not known");
    else if (gr_file_read(path, FILE_LIMIT, GR_ERROR_DATA, &text, &length) != GR_OK)
        note(run, "resolved.yaml cannot be read: the settings are not known");
    else if (gr_tree_parse("resolved.yaml", NULL, text, length, &run->settings) != GR_OK)
        note(run, "resolved.yaml is damaged: the settings are not known");
    else if (run->settings->kind != GR_NODE_SECTION) {
        note(run, "resolved.yaml holds no settings");
        gr_node_free(run->settings);
        run->settings = NULL;
    }
    gr_free(text);
}

static void note_damaged(struct gr_report_run *run, const char *file, size_t damaged) {
    if (damaged > 0)
        note(run, "%zu line%s of %s %s damaged and left out", damaged, damaged == 1 ? "" : "s",
             file, damaged == 1 ? "is" : "are");
}

/*
 * Rounds in their order. A line that goes back can only come from damage, since a resumed run drops
 * lines before it writes; later lines of the same round are left out.
 */
static size_t keep_ascending(struct gr_metrics *rounds, size_t n) {
    size_t kept = 0;
    for (size_t i = 0; i < n; i++)
        if (kept == 0 || rounds[i].round > rounds[kept - 1].round) rounds[kept++] = rounds[i];
    return kept;
}

/* A missing file is worth a note only if rounds were done. */
static void read_rounds(const char *path, struct gr_report_run *run) {
    size_t lines = 0;
    if (access(path, F_OK) != 0) {
        if (gr_json_count(run->manifest, "rounds_done") > 0)
            note(run, "metrics.jsonl is missing: there are no figures by round");
    } else if (gr_metrics_read(path, &run->rounds, &run->n, &lines) != GR_OK) {
        note(run, "metrics.jsonl cannot be read: there are no figures by round");
    } else {
        run->n = keep_ascending(run->rounds, run->n);
        note_damaged(run, "metrics.jsonl", lines - run->n);
    }
}

/* Missing is normal: a run that has not been evaluated has none. */
static void read_evaluation(const char *path, struct gr_report_run *run) {
    char *text = NULL;
    size_t length = 0;
    json_error_t error;
    if (access(path, F_OK) != 0) return;
    if (gr_file_read(path, FILE_LIMIT, GR_ERROR_DATA, &text, &length) != GR_OK)
        note(run, "evaluation.json cannot be read");
    else if (!(run->evaluation = load_object(text, length, &error)))
        note(run, "evaluation.json is damaged, line %d: %s", error.line, error.text);
    gr_free(text);
}

/* The model of the page may be one that a silo has been taken out of since. */
static void read_withdrawal(const char *path, struct gr_report_run *run) {
    char *text = NULL;
    size_t length = 0;
    json_error_t error;
    json_t *said;
    if (access(path, F_OK) != 0) return;
    if (gr_file_read(path, FILE_LIMIT, GR_ERROR_DATA, &text, &length) != GR_OK ||
        !(said = load_object(text, length, &error))) {
        note(run, "withdrawn.json is there, and cannot be read");
    } else {
        const char *silo = gr_json_text(said, "silo");
        const char *model = gr_json_text(json_object_get(said, "retrained"), "model_digest");
        note(run,
             "the silo %s has been withdrawn from this model (withdrawn.json); the model without "
             "it has the digest %s",
             silo ? silo : "of another name", model ? model : "that is not told");
        json_decref(said);
    }
    gr_free(text);
}

/*
 * Everyday events are counted, not listed: absences have a chart, checkpoints a sentence. A start
 * takes back which round was best. The timeline never holds more than GR_REPORT_EVENTS: of a longer
 * one the middle is dropped.
 */
static void take_event(struct gr_report_run *run, json_t *json) {
    const char *event = gr_json_text(json, "event");
    if (strcmp(event, "partial") == 0) return;
    if (strcmp(event, "checkpoint") == 0) {
        run->n_checkpoints++;
        return;
    }
    if (strcmp(event, "alert") == 0) run->n_alerts++;
    if (strcmp(event, "early stop") == 0 || strcmp(event, "best model") == 0)
        run->best_round = (uint32_t)gr_json_count(json, "best_round");
    else if (strcmp(event, "resumed") == 0 || strcmp(event, "started") == 0)
        run->best_round = 0;
    run->n_events++;
    /* The ends of a long story: its beginning stays, of the rest the newest. */
    if (json_array_size(run->timeline) >= GR_REPORT_EVENTS)
        json_array_remove(run->timeline, GR_REPORT_EVENTS / 2);
    json_array_append(run->timeline, json);
}

/* `last_event` is kept apart from the timeline, which leaves out everyday events. */
static gr_status take_events(struct gr_report_run *run, struct gr_lines_reader *reader) {
    gr_status status = GR_OK;
    const char *line;
    size_t n, damaged = 0;
    for (;;) {
        GR_TRY(gr_lines_next(reader, &line, &n));
        if (!line) break;
        json_t *json = json_loadb(line, n, 0, NULL);
        if (gr_json_text(json, "event")) {
            take_event(run, json);
            json_decref(run->last_event);
            run->last_event = json_incref(json);
        } else {
            damaged++;
        }
        json_decref(json);
    }
    note_damaged(run, "events.jsonl", damaged);
out:
    return status;
}

/*
 * How many rounds each silo missed, by the same reader as a replay uses. Silos times rounds are
 * bounded, or a forged manifest could make this run for hours.
 */
static gr_status find_missed(struct gr_report_run *run, const char *path) {
    gr_status status = GR_OK;
    struct gr_replay *replay = NULL;
    struct gr_flags absent = {0};
    uint64_t silos = gr_json_count(run->manifest, "silos");
    /* Without this section the report is still whole, so limits are not told as errors. */
    if (silos == 0 || silos > SILOS_MAX || silos * run->n > LOOKS_MAX) return GR_OK;
    /* Damaged events are noted already: it is then not known who missed what. */
    if (gr_replay_open(path, (uint32_t)silos, &replay) != GR_OK) return GR_OK;
    GR_TRY(gr_flags_create((uint32_t)silos, "silos", &absent));
    GR_TRY(gr_allocate_zero(silos, sizeof *run->missed, "silos", &run->missed));
    run->n_silos = (uint32_t)silos;
    for (size_t i = 0; i < run->n; i++) {
        if (run->rounds[i].participants >= run->rounds[i].selected) continue;
        gr_replay_absent(replay, run->rounds[i].round, &absent);
        for (uint32_t silo = 0; silo < absent.n_set; silo++)
            run->missed[absent.set[silo]]++;
    }
out:
    gr_flags_release(&absent);
    gr_replay_close(replay);
    return status;
}

/* The chain is verified in a pass of its own, since events behind a break are still shown. */
static gr_status read_events(const char *path, bool brief, struct gr_report_run *run) {
    struct gr_lines_reader *reader = NULL;
    if (access(path, F_OK) != 0) {
        note(run, "events.jsonl is missing: it is not known what happened on the way");
        return GR_OK;
    }
    if ((!brief && gr_events_verify(path, &run->broken_event) != GR_OK) ||
        gr_lines_start(path, &reader) != GR_OK || take_events(run, reader) != GR_OK)
        note(run, "events.jsonl cannot be read: it is not known what happened on the way");
    gr_lines_end(reader);
    return brief ? GR_OK : find_missed(run, path);
}

/* The order matters: find_missed needs rounds and manifest. */
static gr_status read_records(const char *run_path, bool brief, struct gr_report_run *run) {
    gr_status status = GR_OK;
    char *path = NULL;
    GR_TRY(path_in(run_path, "resolved.yaml", &path));
    read_settings(path, run);
    GR_TRY(path_in(run_path, "metrics.jsonl", &path));
    read_rounds(path, run);
    GR_TRY(path_in(run_path, "evaluation.json", &path));
    read_evaluation(path, run);
    GR_TRY(path_in(run_path, "withdrawn.json", &path));
    read_withdrawal(path, run);
    GR_TRY(path_in(run_path, "events.jsonl", &path));
    status = read_events(path, brief, run);
out:
    gr_free(path);
    return status;
}

static void start(struct gr_report_run *run) {
    run->notes = json_array();
    run->timeline = json_array();
}

static gr_status read_run(const char *run_path, bool brief, struct gr_report_run *run) {
    gr_status status = read_manifest(run_path, run);
    if (status != GR_OK) return status;
    start(run);
    return read_records(run_path, brief, run);
}

gr_status gr_report_read(const char *run_path, struct gr_report_run *run) {
    return read_run(run_path, false, run);
}

gr_status gr_report_read_brief(const char *run_path, struct gr_report_run *run) {
    return read_run(run_path, true, run);
}

/*
 * The manifest's damage is told as a note; the other files are read without it, and figures that
 * need it are 0 or not known.
 */
gr_status gr_report_read_any(const char *run_path, struct gr_report_run *run) {
    gr_status status = read_manifest(run_path, run);
    start(run);
    if (status == GR_ERROR_DATA)
        note(run, "%s", gr_message());
    else if (status != GR_OK)
        return status;
    return read_records(run_path, false, run);
}

/* Parts may be NULL, as after a manifest that could not be read. */
void gr_report_release(struct gr_report_run *run) {
    json_decref(run->manifest);
    json_decref(run->evaluation);
    json_decref(run->timeline);
    json_decref(run->last_event);
    json_decref(run->notes);
    gr_node_free(run->settings);
    gr_free(run->rounds);
    gr_free(run->missed);
    gr_free(run->folder);
    for (size_t i = 0; i < run->n_curves; i++)
        gr_free(run->curves[i].points);
    gr_free(run->curves);
    *run = (struct gr_report_run){0};
}
