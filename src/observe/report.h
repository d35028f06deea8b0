/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The report, in parts: what a run directory holds is read once, whole or not; each section then
 * writes what it finds there, and nothing where there is nothing.
 */
#ifndef GRANARY_OBSERVE_REPORT_H
#define GRANARY_OBSERVE_REPORT_H

#include <granary/observe.h>
#include <jansson.h>

#include "config/tree.h"
#include "observe/chart.h"
#include "observe/json.h"

/* Events that a report shows, half of them from the beginning. */
enum { GR_REPORT_EVENTS = 60 };

struct gr_report_run {
    char letter;               /* 'A', 'B', ... of several; 0 for one alone */
    unsigned colour;           /* of its lines, of several */
    char *folder;              /* owned; where others have its name; or NULL */
    json_t *manifest;          /* owned; an object */
    struct gr_node *settings;  /* owned; resolved.yaml, or NULL */
    struct gr_metrics *rounds; /* owned */
    size_t n;
    json_t *evaluation;  /* owned; evaluation.json, an object, or NULL */
    json_t *timeline;    /* owned; of n_events the first and the last, in their order */
    json_t *last_event;  /* owned; whatever it is; or NULL */
    size_t n_events;     /* those of every day are not counted */
    uint32_t *missed;    /* owned; rounds that each silo was to be in and was not; or NULL */
    uint32_t n_silos;    /* elements of missed */
    uint32_t best_round; /* whose model was kept instead of the last one's; 0: the last */
    size_t n_alerts, n_checkpoints;
    size_t broken_event; /* line at which the chain of events breaks; 0: it is whole */
    json_t *notes;       /* owned; strings: what could not be read, in words */
};

/*
 * Reads RUN_PATH. Only manifest.json must be there and whole (GR_ERROR_DATA); of all else what
 * cannot be read is left out and noted. Release in any case.
 */
gr_status gr_report_read(const char *run_path, struct gr_report_run *run) GR_CHECKED;
/* The same of a damaged one: where the manifest cannot be read it is NULL, and that is noted. */
gr_status gr_report_read_any(const char *run_path, struct gr_report_run *run) GR_CHECKED;
void gr_report_release(struct gr_report_run *run);

/* The folders of runs that have one name, as short as tells them apart. */
gr_status gr_report_tell_apart(const char *const *run_paths, struct gr_report_run *runs,
                               size_t n) GR_CHECKED;
/* A run's name, and its folder where it has one. */
void gr_report_name(FILE *page, const struct gr_report_run *run);

/* ---- what the sections need of it ----------------------------------------------------------- */

/*
 * The last round of a test or validation figure, or that of the model that was kept; the best; and
 * what all rounds took.
 */
struct gr_report_totals {
    const struct gr_metrics *tested, *best_tested;       /* by accuracy, or by loss without one */
    const struct gr_metrics *validated, *best_validated; /* NULL: none */
    double seconds, cpu_seconds;
    struct {
        double train, aggregate, evaluate, checkpoint, other;
    } phases;
    uint64_t processed, bytes;
    size_t partial; /* rounds with fewer silos than were selected */
};
struct gr_report_totals gr_report_totals_of(const struct gr_report_run *run);

/* Beside the accuracy of a model of classes, out of evaluation.json. */
struct gr_headline gr_report_headline(const struct gr_report_run *run);

const char *gr_report_setting(const struct gr_report_run *run, const char *path); /* NULL: none */

/* Rounds that are done; of a run that has not ended, those that are in its metrics. */
uint64_t gr_report_rounds_done(const struct gr_report_run *run);

/* Seconds that can be; 0 for what is none. */
double gr_report_positive(double value);

/* Every how many rounds are shown so that at most `most` are. */
size_t gr_report_step(size_t n, size_t most);

/* Draws a bar for each round, or on average of a stretch of rounds: `add` adds a round's parts, one
 * for each name of the chart, of at most GR_REPORT_PARTS. */
enum { GR_REPORT_PARTS = 5 };
void gr_report_bars(FILE *page, const struct gr_report_run *run, struct gr_bars chart,
                    void (*add)(const struct gr_metrics *round, double *parts));

/* "ROC AUC" of "auc"; of what no metric is called, its words. */
void gr_report_metric_name(const char *key, char out[80]);

/* "3 silos", "1 silo" */
void gr_report_number(FILE *page, uint64_t n, const char *one, const char *many);

/* Whether a setting's value is a path or the name of a file, or holds one: such may tell who a silo
 * is. */
bool gr_report_holds_path(const struct gr_node *node);

/* ---- sections ------------------------------------------------------------------------------- */

void gr_report_head(FILE *page, const struct gr_report_run *run);
void gr_report_curves(FILE *page, const struct gr_report_run *runs, size_t n);
void gr_report_participation(FILE *page, const struct gr_report_run *run);
void gr_report_timeline(FILE *page, const struct gr_report_run *run);
/* Operating points and net benefits of an evaluation; nothing where it has none. */
void gr_report_decisions(FILE *page, const json_t *evaluation);
void gr_report_scores(FILE *page, const struct gr_report_run *run);
void gr_report_silos(FILE *page, const struct gr_report_run *run);
void gr_report_costs(FILE *page, const struct gr_report_run *run);
void gr_report_rounds(FILE *page, const struct gr_report_run *run);
void gr_report_settings(FILE *page, const struct gr_report_run *run);
void gr_report_provenance(FILE *page, const struct gr_report_run *run);
void gr_report_comparison(FILE *page, const struct gr_report_run *runs, size_t n);

#endif
