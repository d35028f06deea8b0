/* SPDX-License-Identifier: Apache-2.0 */
/* Small questions that several sections of the report ask of a run. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

enum { BARS_MAX = 100 };

/* Borrowed from the run; NULL for a section or list as well. */
const char *gr_report_setting(const struct gr_report_run *run, const char *path) {
    const struct gr_node *node = run->settings ? gr_node_at(run->settings, path) : NULL;
    return node && node->kind == GR_NODE_SCALAR ? node->text : NULL;
}

/* The manifest of a run under way is of its start, so its metrics may be further. */
uint64_t gr_report_rounds_done(const struct gr_report_run *run) {
    uint64_t done = gr_json_count(run->manifest, "rounds_done");
    uint64_t last = run->n > 0 ? run->rounds[run->n - 1].round : 0;
    return last > done ? last : done;
}

size_t gr_report_step(size_t n, size_t most) {
    return n <= most ? 1 : (n + most - 1) / most;
}

/*
 * At most BARS_MAX bars; in a longer run each is the mean of `step` rounds. `chart` is a copy, of
 * which bars and n are filled in here.
 */
void gr_report_bars(FILE *page, const struct gr_report_run *run, struct gr_bars chart,
                    void (*add)(const struct gr_metrics *round, double *parts)) {
    /* On the stack: 100 bars of 5 parts are 4 kB. */
    double parts[BARS_MAX][GR_REPORT_PARTS] = {{0}};
    struct gr_bar bars[BARS_MAX];
    const size_t step = gr_report_step(run->n, BARS_MAX);
    size_t n = 0;
    for (size_t i = 0; i < run->n; i += step, n++) {
        const size_t end = i + step < run->n ? i + step : run->n;
        for (size_t j = i; j < end; j++)
            add(&run->rounds[j], parts[n]);
        for (size_t p = 0; p < chart.n_names; p++)
            parts[n][p] /= (double)(end - i);
        bars[n] = (struct gr_bar){run->rounds[i].round, run->rounds[end - 1].round, parts[n]};
    }
    chart.bars = bars;
    chart.n = n;
    gr_chart_bars(page, &chart);
}

void gr_report_metric_name(const char *key, char out[80]) {
    const unsigned metric = gr_metric_find(key);
    snprintf(out, 80, "%s", metric < gr_metric_count ? gr_metric_rows[metric].title : key);
    for (char *c = out; *c; c++)
        if (*c == '_') *c = ' ';
}

void gr_report_number(FILE *page, uint64_t n, const char *one, const char *many) {
    gr_html_count(page, n);
    fprintf(page, " %s", n == 1 ? one : many);
}

/*
 * Errs on the side of hiding: a value with a slash, or a dot before a letter, may be a file's name,
 * and such names may tell who a silo is.
 */
static bool is_path(const char *key, const char *value) {
    static const char *const keys[] = {"features",  "labels", "file",
                                       "directory", "replay", "schema"};
    if (value[0] == '\0' || strcmp(key, "name") == 0) return false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(key, keys[i]) == 0) return true;
    /* Numbers have digits behind their dots, names of files letters. */
    const char *dot = strrchr(value, '.');
    return strchr(value, '/') || (dot && isalpha((unsigned char)dot[1]));
}

bool gr_report_holds_path(const struct gr_node *node) {
    if (node->kind == GR_NODE_SCALAR)
        return is_path(node->key ? node->key : "", node->text ? node->text : "");
    for (const struct gr_node *child = node->child; child; child = child->next)
        if (gr_report_holds_path(child)) return true;
    return false;
}

/*
 * Metrics of a damaged file may hold anything; a sum must not become infinite or negative by them.
 */
double gr_report_positive(double value) {
    return value > 0 && value < 1e15 ? value : 0;
}

/* Whether a round's score is better: by accuracy, or by loss where there is none. */
static bool is_better(double accuracy, double loss, double best_accuracy, double best_loss) {
    if (isfinite(accuracy) && isfinite(best_accuracy)) return accuracy > best_accuracy;
    return loss < best_loss;
}

/*
 * Keeps the last round with a score, and the best. `kept` is the round whose model was kept, 0: the
 * last; once its scores are found, later ones do not replace them.
 */
static void take_scores(struct gr_report_totals *t, const struct gr_metrics *m, uint32_t kept) {
    if (isfinite(m->test_loss) || isfinite(m->test_accuracy)) {
        if (!t->tested || t->tested->round != kept) t->tested = m;
        if (!t->best_tested || is_better(m->test_accuracy, m->test_loss,
                                         t->best_tested->test_accuracy, t->best_tested->test_loss))
            t->best_tested = m;
    }
    if (isfinite(m->validation_loss) || isfinite(m->validation_accuracy)) {
        if (!t->validated || t->validated->round != kept) t->validated = m;
        if (!t->best_validated ||
            is_better(m->validation_accuracy, m->validation_loss,
                      t->best_validated->validation_accuracy, t->best_validated->validation_loss))
            t->best_validated = m;
    }
}

/*
 * Pointers are into run->rounds. Seconds that are negative or absurd, as from a damaged line, count
 * as 0.
 */
struct gr_report_totals gr_report_totals_of(const struct gr_report_run *run) {
    struct gr_report_totals t = {0};
    for (size_t i = 0; i < run->n; i++) {
        const struct gr_metrics *m = &run->rounds[i];
        double parts =
            gr_report_positive(m->seconds.train) + gr_report_positive(m->seconds.aggregate) +
            gr_report_positive(m->seconds.evaluate) + gr_report_positive(m->seconds.checkpoint);
        double total = fmax(gr_report_positive(m->seconds.total), parts);
        t.phases.train += gr_report_positive(m->seconds.train);
        t.phases.aggregate += gr_report_positive(m->seconds.aggregate);
        t.phases.evaluate += gr_report_positive(m->seconds.evaluate);
        t.phases.checkpoint += gr_report_positive(m->seconds.checkpoint);
        t.phases.other += total - parts;
        t.seconds += total;
        t.cpu_seconds += gr_report_positive(m->cpu_seconds_train);
        t.processed += m->processed;
        t.bytes += m->bytes_sent;
        t.partial += m->participants < m->selected;
        take_scores(&t, m, run->best_round);
    }
    return t;
}

/*
 * The share of the largest class is of the confusion matrix; withheld cells (null) make it NaN, and
 * it is not shown.
 */
struct gr_headline gr_report_headline(const struct gr_report_run *run) {
    struct gr_headline headline = {(double)NAN, (double)NAN, (double)NAN};
    const json_t *counts = json_object_get(json_object_get(run->evaluation, "confusion"), "counts");
    const json_t *metrics = json_object_get(run->evaluation, "metrics");
    double all = 0, most = 0;
    json_t *row, *cell;
    size_t i, k;
    json_array_foreach(counts, i, row) {
        double sum = 0;
        json_array_foreach(row, k, cell) {
            /* Of a matrix with withheld cells the classes' rows are not known. */
            sum += json_is_number(cell) ? fmax(json_number_value(cell), 0) : (double)NAN;
        }
        all += sum;
        if (!(sum <= most)) most = sum;
    }
    if (all > 0) headline.largest = most / all;
    headline.auc = gr_json_real(json_object_get(metrics, "auc"), "value");
    headline.r2 = gr_json_real(json_object_get(metrics, "r2"), "value");
    return headline;
}
