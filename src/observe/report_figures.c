/* SPDX-License-Identifier: Apache-2.0 */
/* Small questions that several sections of the report ask of a run. */
#include <ctype.h>
#include <math.h>
#include <string.h>

#include "observe/html.h"
#include "observe/report.h"

const char *gr_report_text(const json_t *json, const char *key) {
    return json_string_value(json_object_get(json, key));
}

uint64_t gr_report_count(const json_t *json, const char *key) {
    json_int_t value = json_integer_value(json_object_get(json, key));
    return value > 0 ? (uint64_t)value : 0;
}

double gr_report_real(const json_t *json, const char *key) {
    const json_t *value = json_object_get(json, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

const char *gr_report_setting(const struct gr_report_run *run, const char *path) {
    const struct gr_node *node = run->settings ? gr_node_at(run->settings, path) : NULL;
    return node && node->kind == GR_NODE_SCALAR ? node->text : NULL;
}

uint64_t gr_report_rounds_done(const struct gr_report_run *run) {
    uint64_t done = gr_report_count(run->manifest, "rounds_done");
    uint64_t last = run->n > 0 ? run->rounds[run->n - 1].round : 0;
    return last > done ? last : done;
}

size_t gr_report_step(size_t n, size_t most) {
    return n <= most ? 1 : (n + most - 1) / most;
}

void gr_report_number(FILE *page, uint64_t n, const char *one, const char *many) {
    gr_html_count(page, n);
    fprintf(page, " %s", n == 1 ? one : many);
}

static bool is_path(const char *key, const char *value) {
    static const char *const keys[] = {"features", "labels", "file", "directory", "replay"};
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

/* Seconds that can be; 0 for what is none. */
static double positive(double value) {
    return value > 0 && value < 1e15 ? value : 0;
}

/* Whether a round's score is better: by accuracy, or by loss where there is none. */
static bool is_better(double accuracy, double loss, double best_accuracy, double best_loss) {
    if (isfinite(accuracy) && isfinite(best_accuracy)) return accuracy > best_accuracy;
    return loss < best_loss;
}

static void take_scores(struct gr_report_totals *t, const struct gr_metrics *m) {
    if (isfinite(m->test_loss) || isfinite(m->test_accuracy)) {
        t->tested = m;
        if (!t->best_tested || is_better(m->test_accuracy, m->test_loss,
                                         t->best_tested->test_accuracy, t->best_tested->test_loss))
            t->best_tested = m;
    }
    if (isfinite(m->validation_loss) || isfinite(m->validation_accuracy)) {
        t->validated = m;
        if (!t->best_validated ||
            is_better(m->validation_accuracy, m->validation_loss,
                      t->best_validated->validation_accuracy, t->best_validated->validation_loss))
            t->best_validated = m;
    }
}

struct gr_report_totals gr_report_totals_of(const struct gr_report_run *run) {
    struct gr_report_totals t = {0};
    for (size_t i = 0; i < run->n; i++) {
        const struct gr_metrics *m = &run->rounds[i];
        double parts = positive(m->seconds.train) + positive(m->seconds.aggregate) +
                       positive(m->seconds.evaluate) + positive(m->seconds.checkpoint);
        double total = fmax(positive(m->seconds.total), parts);
        t.phases.train += positive(m->seconds.train);
        t.phases.aggregate += positive(m->seconds.aggregate);
        t.phases.evaluate += positive(m->seconds.evaluate);
        t.phases.checkpoint += positive(m->seconds.checkpoint);
        t.phases.other += total - parts;
        t.seconds += total;
        t.cpu_seconds += positive(m->cpu_seconds_train);
        t.processed += m->processed;
        t.bytes += m->bytes_sent;
        t.partial += m->participants < m->selected;
        take_scores(&t, m);
    }
    return t;
}
