/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run in a few figures, live, ended or damaged, for `granary inspect`. It reads the same files by
 * the same code as the report, so the two never contradict each other.
 */
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "observe/report.h"

/* Quoted and cut: files of a directory may hold anything, and the text goes to a terminal. */
static void take_text(char *out, size_t size, const char *text) {
    gr_text_quote(text ? text : "", text ? strlen(text) : 0, out, size);
}

/* The start is of the first stretch, the end of the last: a run that goes on has no end yet. */
static void take_manifest(const struct gr_report_run *run, struct gr_run_summary *out) {
    const json_t *stretches = json_object_get(run->manifest, "stretches");
    const size_t n = json_array_size(stretches);
    const json_t *last = n > 0 ? json_array_get(stretches, n - 1) : NULL;
    take_text(out->outcome, sizeof out->outcome, gr_json_text(run->manifest, "outcome"));
    take_text(out->started, sizeof out->started,
              gr_json_text(json_array_get(stretches, 0), "started"));
    take_text(out->ended, sizeof out->ended, gr_json_text(last, "ended"));
    out->rounds = gr_json_count(run->manifest, "rounds");
    out->rounds_done = gr_report_rounds_done(run);
}

/* Test scores go before validation scores, as in the report. */
static void take_scores(const struct gr_report_run *run, struct gr_run_summary *out) {
    const struct gr_report_totals totals = gr_report_totals_of(run);
    const struct gr_metrics *m = totals.tested ? totals.tested : totals.validated;
    out->seconds = totals.seconds;
    out->of_test = totals.tested != NULL;
    out->accuracy = out->loss = (double)NAN;
    out->headline = gr_report_headline(run);
    if (!m) return;
    out->scored_round = m->round;
    out->accuracy = out->of_test ? m->test_accuracy : m->validation_accuracy;
    out->loss = out->of_test ? m->test_loss : m->validation_loss;
}

static void take_events(const struct gr_report_run *run, struct gr_run_summary *out) {
    const json_t *last = run->last_event;
    take_text(out->last_event, sizeof out->last_event, gr_json_text(last, "event"));
    take_text(out->last_event_utc, sizeof out->last_event_utc, gr_json_text(last, "time"));
    out->last_event_round = gr_json_count(last, "round");
    out->n_alerts = run->n_alerts;
    out->broken_event = run->broken_event;
}

/*
 * Seconds since the newest write to the run's files, from which inspect judges whether a run is
 * alive. 0 where the clock of the file's host is ahead. False: no such file is there.
 */
static bool find_age(const char *run_path, double *age) {
    static const char *const files[] = {"manifest.json", "metrics.jsonl", "events.jsonl"};
    time_t newest = 0;
    bool found = false;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char *path = NULL;
        struct stat info;
        if (gr_text_format(&path, "%s/%s", run_path, files[i]) != GR_OK) continue;
        if (stat(path, &info) == 0 && (!found || info.st_mtime > newest)) {
            newest = info.st_mtime;
            found = true;
        }
        gr_free(path);
    }
    *age = fmax(difftime(time(NULL), newest), 0);
    return found;
}

/* Notes become one text, a line each. The caller owns it. */
static gr_status take_notes(const struct gr_report_run *run, struct gr_run_summary *out) {
    json_t *text;
    size_t i;
    json_array_foreach(run->notes, i, text) {
        char *longer = NULL;
        gr_status status = gr_text_format(&longer, "%s%s%s", out->notes ? out->notes : "",
                                          out->notes ? "\n" : "", json_string_value(text));
        if (status != GR_OK) return status;
        gr_free(out->notes);
        out->notes = longer;
    }
    return GR_OK;
}

/* Only reads; a run that is under way is not disturbed, and takes no notice. */
gr_status gr_run_summarise(const char *run_path, struct gr_run_summary *out) {
    struct gr_report_run run = {0};
    gr_status status = GR_OK;
    *out = (struct gr_run_summary){0};
    if (!find_age(run_path, &out->record_age_s))
        return gr_fail(GR_ERROR_DATA,
                       "%s: not a run directory: it has no manifest.json, metrics.jsonl or "
                       "events.jsonl",
                       run_path);
    GR_TRY(gr_report_read_any(run_path, &run));
    take_manifest(&run, out);
    take_scores(&run, out);
    take_events(&run, out);
    status = take_notes(&run, out);
out:
    gr_report_release(&run);
    return status;
}

void gr_run_summary_release(struct gr_run_summary *summary) {
    gr_free(summary->notes);
    *summary = (struct gr_run_summary){0};
}
