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

/* What runs are compared by. */
enum gr_report_figure {
    GR_TEST_ACCURACY,
    GR_BEST_TEST_ACCURACY,
    GR_TEST_LOSS,
    GR_AUC,
    GR_R2,
    GR_VALIDATION_ACCURACY,
    GR_VALIDATION_LOSS,
    GR_ROUNDS_PARTIAL,
    GR_SECONDS_IN_ROUNDS,
    GR_BYTES_SENT,
    GR_REPORT_FIGURES
};
struct gr_report_figure_row {
    const char *label;
    enum { GR_SHOWN_PERCENT, GR_SHOWN_REAL, GR_SHOWN_COUNT, GR_SHOWN_SECONDS, GR_SHOWN_BYTES } kind;
    bool score, lower_is_better;
};
extern const struct gr_report_figure_row gr_report_figure_rows[GR_REPORT_FIGURES];

/* A value by round, thinned: every 2nd, 4th, ... of the rounds that have one, and the last. */
struct gr_report_curve {
    unsigned value;          /* as in report_curves.c */
    struct gr_point *points; /* owned */
    size_t n;
};

struct gr_report_run {
    char label[16];            /* "A", "B2", ... of several; "" for one alone */
    unsigned colour;           /* of its group's lines, of several */
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
    /* Of one of several, so that its rounds need not stay. */
    struct gr_report_curve *curves; /* owned */
    size_t n_curves;
    double figures[GR_REPORT_FIGURES]; /* NAN: it has none */
    uint32_t best_tested_round;        /* of the best test accuracy; 0: none */
};

/*
 * Reads RUN_PATH. Only manifest.json must be there and whole (GR_ERROR_DATA); of all else what
 * cannot be read is left out and noted. Release in any case.
 */
gr_status gr_report_read(const char *run_path, struct gr_report_run *run) GR_CHECKED;
/* The same without what needs events read twice more: whether their chain is whole, and which
 * rounds each silo missed. */
gr_status gr_report_read_brief(const char *run_path, struct gr_report_run *run) GR_CHECKED;
/* The same of a damaged one: where the manifest cannot be read it is NULL, and that is noted. */
gr_status gr_report_read_any(const char *run_path, struct gr_report_run *run) GR_CHECKED;
void gr_report_release(struct gr_report_run *run);

/*
 * Runs that differ in nothing but their seed, neighbours in a set; or a single one. Figures are
 * taken over those that have finished, or over all where none has.
 */
struct gr_report_group {
    char label[16];
    unsigned colour; /* GR_CHART_COLOURS: it has no curves */
    size_t first, n; /* runs */
    char *title;     /* owned: the settings that tell it from others; NULL: none does */
};

/* A setting in which runs differ. */
struct gr_report_difference {
    char *path;
    char **values; /* one of each run; NULL: not set; all owned */
    bool is_path;  /* a value may be a path or the name of a file, and is not shown */
};

/* Several runs, and how they are told apart. */
struct gr_report_set {
    struct gr_report_run *runs; /* owned; by group */
    size_t n;
    struct gr_report_group *groups; /* owned */
    size_t n_groups;
    struct gr_report_difference *differences; /* owned */
    size_t n_differences, differences_room;
    bool brief;                  /* single runs have no sections; their rounds are gone */
    enum gr_report_figure order; /* that groups are sorted by; GR_REPORT_FIGURES: as given */
    const struct gr_report_run *unknown; /* the first without settings; NULL: none */
    json_t *left_out;                    /* owned; strings: runs of a folder that cannot be read */
};

/* Runs that have all their sections in a page; of more there are tables and curves only. */
enum { GR_REPORT_WHOLE_MAX = 8 };

/* The run directories of a folder, also in its folders; caller frees each and the list. A path that
 * holds none stands for itself. from_folder: one flag each. */
struct gr_report_found {
    char **paths;
    bool *from_folder;
    size_t n, room;
};
/* Reads runs, grouped and named. Release in any case. Errors: GR_ERROR_USAGE: too many, or none. */
gr_status gr_report_set_read(const struct gr_report_found *found,
                             struct gr_report_set *set) GR_CHECKED;
void gr_report_set_release(struct gr_report_set *set);

/* Mean and standard deviation of a figure over the n runs of a group that count and have it;
 * deviation: NAN below two. */
struct gr_report_mean {
    double mean, deviation;
    size_t n;
};
struct gr_report_mean gr_report_mean_of(const struct gr_report_set *set,
                                        const struct gr_report_group *group,
                                        enum gr_report_figure figure);
/* Whether a run counts in the figures of its group. */
bool gr_report_counts(const struct gr_report_set *set, const struct gr_report_group *group,
                      size_t run);
/* Runs of the group that have finished. */
size_t gr_report_finished(const struct gr_report_set *set, const struct gr_report_group *group);
/* Fills in the differences of a set: settings in which runs are not alike. */
gr_status gr_report_find_differences(struct gr_report_set *set) GR_CHECKED;
/* Whether a setting says nothing of how a model is trained but by chance: names and seeds. */
bool gr_report_is_chance(const char *path);

gr_status gr_report_find(const char *const *paths, size_t n,
                         struct gr_report_found *found) GR_CHECKED;
void gr_report_found_release(struct gr_report_found *found);

/* The comparison as a table of runs, and as JSON with the groups. */
void gr_report_csv(FILE *csv, const struct gr_report_set *set);
void gr_report_json(FILE *out, const struct gr_report_set *set);

/* model-card.md beside a run that has been read. */
gr_status gr_model_card_write(const struct gr_report_run *run, const char *run_path) GR_CHECKED;

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
void gr_report_curves(FILE *page, const struct gr_report_run *run);
/* The curves of a run's rounds, thinned, into run->curves. */
gr_status gr_report_take_curves(struct gr_report_run *run) GR_CHECKED;
/* Curves of the groups that have a colour over each other. */
void gr_report_group_curves(FILE *page, const struct gr_report_set *set);
void gr_report_participation(FILE *page, const struct gr_report_run *run);
void gr_report_timeline(FILE *page, const struct gr_report_run *run);
/* Operating points and net benefits of an evaluation; nothing where it has none. */
void gr_report_decisions(FILE *page, const json_t *evaluation);
/* Intervals of a bootstrap, where there is one; of the report and of the model card. */
void gr_report_intervals(FILE *page, const json_t *evaluation);
void gr_card_intervals(FILE *card, const json_t *evaluation);
/* Text of files with what Markdown and HTML give a meaning escaped; NULL: nothing. */
void gr_card_text(FILE *card, const char *text);
/* Scores by slices and fairness, in the report and in the card; nothing where none were asked for.
 */
void gr_report_slices(FILE *page, const json_t *evaluation);
void gr_card_slices(FILE *card, const json_t *evaluation);
void gr_report_postprocessing(FILE *page, const json_t *evaluation);
/* The same in the model card; nothing where nothing was asked for. */
void gr_card_postprocessing(FILE *card, const json_t *evaluation);
void gr_report_scores(FILE *page, const struct gr_report_run *run);
void gr_report_silos(FILE *page, const struct gr_report_run *run);
void gr_report_costs(FILE *page, const struct gr_report_run *run);
void gr_report_rounds(FILE *page, const struct gr_report_run *run);
void gr_report_settings(FILE *page, const struct gr_report_run *run);
void gr_report_provenance(FILE *page, const struct gr_report_run *run);
void gr_report_comparison(FILE *page, const struct gr_report_set *set);

#endif
