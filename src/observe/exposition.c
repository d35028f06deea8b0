/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A run's figures in Prometheus' text format, for the textfile collector of node_exporter: base
 * units, counters that end in _total, no timestamps. Nothing is told that metrics.jsonl does not
 * tell; what is not known is left out.
 */
#include <granary/observe.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "observe/metrics.h"

/* Seconds between two writes: node_exporter is asked every 15 s or more. */
static const double pause_s = 5;

enum { LABEL_BYTES = 256 };

struct gr_exposition {
    char *path, *temporary;   /* owned */
    char labels[LABEL_BYTES]; /* run="heart",run_id="a385..." */
    uint32_t rounds;
    double written_s, started_s; /* by gr_clock_seconds */
    struct gr_metrics last;
    /* Sums since this process began. */
    uint64_t n_rounds, bytes, rows, lost, late, sat_out, recoveries, alerts, refused;
    double cpu_seconds, total_s;
    double train_s, aggregate_s, evaluate_s, checkpoint_s;
    uint32_t checkpoint; /* round of the newest; 0: none */
    double checkpoint_utc;
    struct gr_metrics scored; /* the last that has scores */
};

/* ---- text ----------------------------------------------------------------------------------- */

/* The value of a label: backslashes, quotes and newlines are escaped, and what is not UTF-8 or has
 * no place in a line is gone. */
static void escape(const char *text, char *out, size_t size) {
    char quoted[128];
    size_t used = 0;
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    for (const char *c = quoted; *c && used + 3 < size; c++) {
        if (*c == '\\' || *c == '"') out[used++] = '\\';
        out[used++] = *c;
    }
    out[used] = '\0';
}

/* A text that grows; a memory stream, so that a write to the disk is one piece. */
struct figures_page {
    FILE *stream;
    const struct gr_exposition *e;
    size_t values;
};

static void family(struct figures_page *page, const char *name, const char *type,
                   const char *help) {
    fprintf(page->stream, "# HELP granary_%s %s\n# TYPE granary_%s %s\n", name, help, name, type);
}

static void sample(struct figures_page *page, const char *name, double value) {
    fprintf(page->stream, "granary_%s{%s} %.17g\n", name, page->e->labels, value);
    page->values++;
}

static void labelled(struct figures_page *page, const char *name, const char *label,
                     const char *word, double value) {
    if (!isfinite(value)) return;
    fprintf(page->stream, "granary_%s{%s,%s=\"%s\"} %.17g\n", name, page->e->labels, label, word,
            value);
    page->values++;
}

static void single(struct figures_page *page, const char *name, const char *type, const char *help,
                   double value) {
    if (!isfinite(value)) return;
    family(page, name, type, help);
    sample(page, name, value);
}

/* ---- the page ------------------------------------------------------------------------------- */

static void put_state(struct figures_page *page, const char *outcome) {
    static const char *const outcomes[] = {"running", "finished", "stopped", "failed"};
    const struct gr_exposition *e = page->e;
    family(page, "outcome", "gauge",
           "How the run stands: 1 for the word that holds, 0 for others.");
    for (size_t i = 0; i < sizeof outcomes / sizeof *outcomes; i++)
        labelled(page, "outcome", "outcome", outcomes[i], strcmp(outcome, outcomes[i]) == 0);
    single(page, "planned_rounds", "gauge", "Rounds that the run is to do.", e->rounds);
    single(page, "done_rounds", "gauge", "Rounds that are done, over all starts of the run.",
           e->last.round);
    const double left =
        e->n_rounds > 0 && e->last.round < e->rounds && strcmp(outcome, "running") == 0
            ? (gr_clock_seconds() - e->started_s) / (double)e->n_rounds *
                  (double)(e->rounds - e->last.round)
            : 0;
    single(page, "left_seconds", "gauge",
           "Time that the rounds left take at the pace of this process.", left);
    single(page, "rounds_total", "counter", "Rounds that this process has done.",
           (double)e->n_rounds);
}

static void put_costs(struct figures_page *page) {
    const struct gr_exposition *e = page->e;
    family(page, "phase_seconds_total", "counter",
           "Time in the phases of rounds, as the process saw it that keeps the records.");
    labelled(page, "phase_seconds_total", "phase", "train", e->train_s);
    labelled(page, "phase_seconds_total", "phase", "aggregate", e->aggregate_s);
    labelled(page, "phase_seconds_total", "phase", "evaluate", e->evaluate_s);
    labelled(page, "phase_seconds_total", "phase", "checkpoint", e->checkpoint_s);
    labelled(page, "phase_seconds_total", "phase", "other",
             fmax(e->total_s - e->train_s - e->aggregate_s - e->evaluate_s - e->checkpoint_s, 0));
    single(page, "last_round_seconds", "gauge", "Time of the last round.",
           e->last.round > 0 ? e->last.seconds.total : (double)NAN);
    single(page, "sent_bytes_total", "counter", "Bytes sent by all ranks.", (double)e->bytes);
    single(page, "train_cpu_seconds_total", "counter",
           "Processor time of training, over all ranks.", e->cpu_seconds);
    if (e->rows > 0) /* under differential privacy they are not told */
        single(page, "trained_rows_total", "counter", "Rows trained on, over all passes.",
               (double)e->rows);
}

static void put_silos(struct figures_page *page) {
    const struct gr_exposition *e = page->e;
    if (e->last.round > 0) {
        family(page, "round_silos", "gauge", "Silos of the last round: selected, and in the sum.");
        labelled(page, "round_silos", "part", "selected", e->last.selected);
        labelled(page, "round_silos", "part", "took_part", e->last.participants);
    }
    family(page, "absences_total", "counter", "Silos that fell out of rounds, by reason.");
    labelled(page, "absences_total", "reason", "lost", (double)e->lost);
    labelled(page, "absences_total", "reason", "late", (double)e->late);
    labelled(page, "absences_total", "reason", "sat_out", (double)e->sat_out);
    single(page, "recoveries_total", "counter", "How often ranks met anew to go on after a loss.",
           (double)e->recoveries);
}

static void put_scores(struct figures_page *page) {
    const struct gr_metrics *m = &page->e->scored, *last = &page->e->last;
    if (last->round == 0) return;
    family(page, "loss", "gauge", "The last loss that is known, by the rows that it is of.");
    labelled(page, "loss", "rows", "train", last->train_loss);
    labelled(page, "loss", "rows", "validation", m->validation_loss);
    labelled(page, "loss", "rows", "test", m->test_loss);
    if (isfinite(m->validation_accuracy) || isfinite(m->test_accuracy)) {
        family(page, "accuracy_ratio", "gauge", "The last accuracy that is known, from 0 to 1.");
        labelled(page, "accuracy_ratio", "rows", "validation", m->validation_accuracy);
        labelled(page, "accuracy_ratio", "rows", "test", m->test_accuracy);
    }
    if (m->silos > 0 && isfinite(m->silo_accuracy[0])) {
        static const char *const places[] = {"lowest", "middle", "highest"};
        family(page, "silo_accuracy_ratio", "gauge",
               "Of the accuracies of silos on their own validation rows.");
        for (int i = 0; i < 3; i++)
            labelled(page, "silo_accuracy_ratio", "of", places[i], m->silo_accuracy[i]);
    }
    if (m->named_told) {
        family(page, "score", "gauge",
               "The last value of each metric of evaluate.metrics that is defined.");
        for (unsigned i = 0; i < gr_metric_count; i++)
            if (m->named_told >> i & 1)
                labelled(page, "score", "metric", gr_metric_rows[i].name, m->named[i]);
    }
    single(page, "update_norm", "gauge", "L2 norm of the last mean update.", last->update_norm);
}

static void put_records(struct figures_page *page) {
    const struct gr_exposition *e = page->e;
    single(page, "checkpoint_round", "gauge", "Round of the newest checkpoint, 0 without one.",
           e->checkpoint);
    if (e->checkpoint > 0)
        single(page, "checkpoint_timestamp_seconds", "gauge",
               "When the newest checkpoint was written.", e->checkpoint_utc);
    single(page, "refused_checkpoints_total", "counter", "Checkpoints that the disk refused.",
           (double)e->refused);
    single(page, "alerts_total", "counter", "Alerts in events.jsonl.", (double)e->alerts);
}

static double utc_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static void put_page(struct figures_page *page, const char *outcome) {
    family(page, "info", "gauge", "The version of granary that the run is of.");
    labelled(page, "info", "version", GRANARY_VERSION, 1);
    put_state(page, outcome);
    put_costs(page);
    put_silos(page);
    put_scores(page);
    put_records(page);
    single(page, "updated_timestamp_seconds", "gauge", "When this file was written.",
           utc_seconds());
}

/* ---- the file ------------------------------------------------------------------------------- */

static bool write_all(int fd, const char *text, size_t n) {
    while (n > 0) {
        const ssize_t written = write(fd, text, n);
        if (written < 0 && errno == EINTR) continue;
        if (written <= 0) return false;
        text += written;
        n -= (size_t)written;
    }
    return true;
}

/* Beside, and renamed: a reader sees the page before or this one. Nobody waits for the disk. */
static gr_status publish(const struct gr_exposition *e, const char *text, size_t n) {
    unlink(e->temporary);
    const int fd = open(e->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0) return gr_fail(GR_ERROR_WRITE, "%s: %s", e->temporary, strerror(errno));
    /* The umask of a run keeps others from its files: this one is for them. */
    bool good = fchmod(fd, 0644) == 0 && write_all(fd, text, n);
    good = close(fd) == 0 && good;
    if (good && rename(e->temporary, e->path) == 0) return GR_OK;
    const int error = errno;
    unlink(e->temporary);
    return gr_fail(GR_ERROR_WRITE, "%s: %s", e->path, strerror(error));
}

gr_status gr_exposition_write(struct gr_exposition *e, const char *outcome, size_t *n_values) {
    struct figures_page page = {.e = e};
    char *text = NULL;
    size_t n = 0;
    e->written_s = gr_clock_seconds();
    *n_values = 0;
    page.stream = open_memstream(&text, &n);
    if (!page.stream) return gr_fail(GR_ERROR_INTERNAL, "memory for figures was refused");
    put_page(&page, outcome);
    const bool whole = fclose(page.stream) == 0;
    gr_status status =
        whole ? publish(e, text, n) : gr_fail(GR_ERROR_INTERNAL, "memory for figures was refused");
    free(text);
    if (status == GR_OK) *n_values = page.values;
    return status;
}

/* ---- what is told to it --------------------------------------------------------------------- */

gr_status gr_exposition_create(const char *path, const char *name, const char *run_id,
                               uint32_t rounds, uint32_t rounds_done, struct gr_exposition **out) {
    gr_status status = GR_OK;
    struct gr_exposition *e = NULL;
    char escaped[2][100];
    *out = NULL;
    GR_TRY(gr_file_check_output(path, NULL, 0));
    GR_TRY(gr_allocate_zero(1, sizeof *e, "figures for Prometheus", &e));
    GR_TRY(gr_text_format(&e->path, "%s", path));
    GR_TRY(gr_text_format(&e->temporary, "%s.%ld.tmp", path, (long)getpid()));
    escape(name, escaped[0], sizeof escaped[0]);
    escape(run_id, escaped[1], sizeof escaped[1]);
    snprintf(e->labels, sizeof e->labels, "run=\"%s\",run_id=\"%s\"", escaped[0], escaped[1]);
    e->rounds = rounds;
    e->last.round = rounds_done;
    e->last.train_loss = e->last.update_norm = (double)NAN;
    e->last.seconds.total = (double)NAN;
    e->scored = (struct gr_metrics){.validation_loss = (double)NAN,
                                    .validation_accuracy = (double)NAN,
                                    .test_loss = (double)NAN,
                                    .test_accuracy = (double)NAN};
    e->started_s = gr_clock_seconds();
    *out = e;
    e = NULL;
out:
    gr_exposition_free(e);
    return status;
}

/* NaN stays out of sums, which it would spoil for good. */
static void add(double *sum, double value) {
    if (value > 0) *sum += value;
}

void gr_exposition_round(struct gr_exposition *e, const struct gr_metrics *m) {
    e->last = *m;
    e->n_rounds++;
    e->bytes += m->bytes_sent;
    e->rows += m->processed;
    e->lost += m->dropped;
    e->late += m->late;
    e->sat_out += m->sat_out;
    e->recoveries += m->recoveries;
    add(&e->cpu_seconds, m->cpu_seconds_train);
    add(&e->total_s, m->seconds.total);
    add(&e->train_s, m->seconds.train);
    add(&e->aggregate_s, m->seconds.aggregate);
    add(&e->evaluate_s, m->seconds.evaluate);
    add(&e->checkpoint_s, m->seconds.checkpoint);
    if (isfinite(m->test_loss) || isfinite(m->validation_loss)) e->scored = *m;
}

void gr_exposition_checkpoint(struct gr_exposition *e, uint32_t round, bool written) {
    if (!written) {
        e->refused++;
        return;
    }
    e->checkpoint = round;
    e->checkpoint_utc = utc_seconds();
}

void gr_exposition_alert(struct gr_exposition *e) {
    e->alerts++;
}

bool gr_exposition_due(const struct gr_exposition *e) {
    return gr_clock_seconds() - e->written_s >= pause_s;
}

void gr_exposition_free(struct gr_exposition *e) {
    if (!e) return;
    gr_free(e->path);
    gr_free(e->temporary);
    gr_free(e);
}
