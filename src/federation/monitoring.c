/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What watches a run from outside is told while it goes on. None of it ends a run: what fails is an
 * alert, once.
 */
#include "federation/run.h"

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
}
