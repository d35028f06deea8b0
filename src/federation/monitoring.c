/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What watches a run from outside is told while it goes on. None of it ends a run: what fails is an
 * alert, once.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "federation/run.h"

/* ---- alerts --------------------------------------------------------------------------------- */

/* {"run", "run_id", "time", "event", "round", and what the event itself has}; for free. NULL: there
 * is no memory. */
static char *event_text(const struct gr_run_state *run, const char *event, uint32_t round,
                        const char *detail) {
    char time[32];
    gr_clock_utc(time);
    json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:I}", "run", run->config->run.name, "run_id",
                               run->id, "time", time, "event", event, "round", (json_int_t)round);
    json_t *more = detail ? json_loads(detail, 0, NULL) : NULL;
    if (more) json_object_update_missing(object, more);
    if (run->handlers.untold > 0)
        json_object_set_new(object, "untold", json_integer((json_int_t)run->handlers.untold));
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(more);
    json_decref(object);
    return text;
}

void gr_monitoring_alert(struct gr_run_state *run, const char *event, uint32_t round,
                         const char *detail) {
    const struct gr_alerts_config *alerts = &run->config->alerts;
    if (run->exposition && strcmp(event, "alert") == 0) gr_exposition_alert(run->exposition);
    if (alerts->command_count == 0) return;
    char *text = event_text(run, event, round, detail);
    const bool told = text && gr_alert_handle(&run->handlers, alerts->command,
                                              alerts->command_count, alerts->command_s, text);
    if (!told && !run->unhandled && run->progress)
        gr_progress_say(run->progress, "alerts.command: an alert was not told: `timeout` cannot be "
                                       "started, or too many still run");
    run->unhandled = !told;
    free(text);
}

struct alerted_round {
    struct gr_run_state *run;
    uint32_t round;
};

static void tell_alert(void *context, const struct gr_alert *alert) {
    const struct alerted_round *at = context;
    json_t *object = json_pack("{s:s, s:s, s:f, s:f}", "what", alert->name, "figure", alert->figure,
                               "value", alert->value, "limit", alert->limit);
    char *detail = object ? json_dumps(object, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    gr_records_note(at->run, alert->over ? "alert over" : "alert", at->round, detail, alert->words);
    free(detail);
    json_decref(object);
}

void gr_monitoring_judge(struct gr_run_state *run, const struct gr_metrics *metrics) {
    const uint32_t last = gr_spending_last_round(run->federation);
    struct alerted_round at = {run, metrics->round};
    if (!run->alerts && gr_alerts_create(&run->config->alerts, &run->alerts) != GR_OK) return;
    gr_alerts_round(run->alerts, metrics,
                    last < UINT32_MAX ? (double)metrics->round / last : (double)NAN, tell_alert,
                    &at);
}

/* ---- Prometheus ----------------------------------------------------------------------------- */

/* The file as it stands now; how many values are in it is noted as having left. */
static void write_figures(struct gr_run_state *run, const char *outcome, uint32_t round) {
    size_t n = 0;
    if (gr_exposition_write(run->exposition, outcome, &n) == GR_OK) {
        gr_release_note(gr_cohort_door(run->cohort), GR_RELEASE_MONITORING, n);
        return;
    }
    char *words = NULL;
    if (!run->unexposed &&
        gr_text_format(&words, "alert: observe.prometheus: %s", gr_message()) == GR_OK)
        gr_records_note(run, "alert", round,
                        "{\"what\":\"the file of observe.prometheus is not written\"}", words);
    run->unexposed = true;
    gr_free(words);
}

void gr_monitoring_open(struct gr_run_state *run, uint32_t rounds) {
    const struct gr_config *config = run->config;
    if (!config->observe.prometheus[0]) return;
    gr_exposition_free(run->exposition);
    run->exposition = NULL;
    if (gr_exposition_create(config->observe.prometheus, config->run.name, run->id,
                             config->run.rounds, rounds, &run->exposition) == GR_OK)
        return;
    char *words = NULL;
    if (gr_text_format(&words, "alert: observe.prometheus: %s", gr_message()) == GR_OK)
        gr_records_note(run, "alert", rounds,
                        "{\"what\":\"the file of observe.prometheus is not written\"}", words);
    gr_free(words);
}

void gr_monitoring_round(struct gr_run_state *run, const struct gr_metrics *metrics) {
    if (!run->exposition) return;
    gr_exposition_round(run->exposition, metrics);
    if (gr_exposition_due(run->exposition)) write_figures(run, "running", metrics->round);
}

void gr_monitoring_end(struct gr_run_state *run, const char *outcome) {
    if (run->exposition) write_figures(run, outcome, gr_federation_rounds_done(run->federation));
}

void gr_monitoring_close(struct gr_run_state *run) {
    gr_exposition_free(run->exposition);
    run->exposition = NULL;
    gr_alerts_free(run->alerts);
    run->alerts = NULL;
}
