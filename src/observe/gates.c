/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Gates: whether a model may go on, decided by what its run has recorded. Where a figure is not
 * known the gate is not passed: who asks for it wants it to be there.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "observe/report.h"

#include <granary/slices.h>

enum { FILE_LIMIT = 1 << 20, GATES_MAX = 256 };

/* A gate as it stands in a config, which may be of another version or written by hand. */
struct gate {
    const char *kind, *metric, *run, *slicing; /* borrowed; "": none */
    bool at_most, interval;
    double limit;
};

/* ---- reading -------------------------------------------------------------------------------- */

static const char *text_of(const struct gr_node *entry, const char *key) {
    const struct gr_node *node = gr_node_child(entry, key, strlen(key));
    return node && node->kind == GR_NODE_SCALAR && node->text ? node->text : "";
}

#define KEYS "kind, metric, require, limit, run, slicing and judge"

static bool is_key(const char *key) {
    static const char *const keys[] = {"kind", "metric",  "require", "limit",
                                       "run",  "slicing", "judge"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (key && strcmp(key, keys[i]) == 0) return true;
    return false;
}

/* False, with the reason in `why`: no gate can be made of it. */
static bool read_gate(const struct gr_node *entry, struct gate *gate, char *why, size_t size) {
    const char *require, *limit, *judge;
    char *end;
    *gate = (struct gate){.kind = "?", .metric = "", .run = "", .slicing = ""};
    if (entry->kind != GR_NODE_SECTION) {
        snprintf(why, size, "it is no section of " KEYS);
        return false;
    }
    for (const struct gr_node *node = entry->child; node; node = node->next)
        if (!is_key(node->key)) {
            char quoted[64];
            gr_text_quote(node->key, strlen(node->key), quoted, sizeof quoted);
            snprintf(why, size, "found the key %s, allowed " KEYS, quoted);
            return false;
        }
    require = text_of(entry, "require");
    limit = text_of(entry, "limit");
    gate->kind = text_of(entry, "kind");
    gate->metric = text_of(entry, "metric");
    gate->run = text_of(entry, "run");
    gate->slicing = text_of(entry, "slicing");
    judge = text_of(entry, "judge");
    gate->interval = strcmp(judge, "interval") == 0;
    gate->at_most = strcmp(require, "at_most") == 0;
    gate->limit = strtod(limit, &end);
    if (require[0] && !gate->at_most && strcmp(require, "at_least") != 0)
        snprintf(why, size, "its `require` is neither at_least nor at_most");
    else if (judge[0] && !gate->interval && strcmp(judge, "value") != 0)
        snprintf(why, size, "its `judge` is neither value nor interval");
    else if (!limit[0] || *end || !isfinite(gate->limit))
        snprintf(why, size, "its `limit` is no number");
    else
        return true;
    return false;
}

/* ---- figures -------------------------------------------------------------------------------- */

/* Between `lower` and `upper`, both of which are the value where it is exact. Not finite: `why`
 * says the reason. */
struct figure {
    double lower, upper;
};
static const struct figure unknown = {(double)NAN, (double)NAN};

static struct figure exactly(double value) {
    return (struct figure){value, value};
}

/* Not finite: its value is not told, or there is no such metric. */
static struct figure bounds_of(const json_t *metric) {
    const double lower = gr_json_real(metric, "lower"), upper = gr_json_real(metric, "upper");
    return isfinite(lower) && isfinite(upper) ? (struct figure){lower, upper}
                                              : exactly(gr_json_real(metric, "value"));
}

static struct figure score_of(const struct gr_report_run *run, const char *name, char *why,
                              size_t size) {
    const json_t *metric = json_object_get(json_object_get(run->evaluation, "metrics"), name);
    const struct figure found = bounds_of(metric);
    const char *reason = gr_json_text(metric, "why");
    if (!isfinite(found.lower))
        snprintf(why, size, "%s",
                 !run->evaluation ? "the run has no evaluation.json"
                 : !metric        ? "it is no metric of the run's evaluation"
                 : reason         ? reason
                                  : "it is not told");
    return found;
}

/* Against a model that was scored on as many rows of the same kind: rows that are others have other
 * scores for other reasons. */
static struct figure regression_of(const struct gr_report_run *run, const struct gate *gate,
                                   char *why, size_t size) {
    struct gr_report_run before = {0};
    struct figure difference = unknown;
    char of[GR_MESSAGE_MAX];
    if (gr_report_read(gate->run, &before) != GR_OK) {
        snprintf(why, size, "the other run cannot be read: %s", gr_message());
        goto out;
    }
    const struct figure now = score_of(run, gate->metric, why, size);
    if (!isfinite(now.lower)) goto out;
    const struct figure then = score_of(&before, gate->metric, of, sizeof of);
    const char *rows = gr_json_text(run->evaluation, "rows_of"),
               *other_rows = gr_json_text(before.evaluation, "rows_of");
    if (!isfinite(then.lower))
        snprintf(why, size, "of the other run: %.200s", of);
    else if (!rows || !other_rows || strcmp(rows, other_rows) != 0 ||
             gr_json_count(run->evaluation, "rows") != gr_json_count(before.evaluation, "rows"))
        snprintf(why, size, "the other run was scored on other rows");
    else
        difference = (struct figure){now.lower - then.upper, now.upper - then.lower};
out:
    gr_report_release(&before);
    return difference;
}

/* Of a silo whose scores are withheld nothing is known, so there is no worst one. */
static struct figure worst_silo_of(const struct gr_report_run *run, const struct gate *gate,
                                   char *why, size_t size) {
    const json_t *silos = json_object_get(run->evaluation, "silos");
    struct figure worst = unknown;
    json_t *silo;
    size_t i;
    if (json_array_size(silos) == 0) {
        snprintf(why, size, "scores of silos are not told (evaluate.per_silo)");
        return unknown;
    }
    if (json_array_size(silos) < gr_json_count(run->manifest, "silos")) {
        snprintf(why, size, "it is told of %zu of %llu silos: of the others nothing is known",
                 json_array_size(silos), (unsigned long long)gr_json_count(run->manifest, "silos"));
        return unknown;
    }
    json_array_foreach(silos, i, silo) {
        const struct figure own =
            bounds_of(json_object_get(json_object_get(silo, "metrics"), gate->metric));
        if (!isfinite(own.lower)) {
            snprintf(why, size, "it is not told of every silo");
            return unknown;
        }
        if (i == 0 || (gate->at_most ? own.upper > worst.upper : own.lower < worst.lower))
            worst = own;
    }
    return worst;
}

/* The least share of the silos asked for that came, over all rounds. */
static struct figure participation_of(const struct gr_report_run *run, char *why, size_t size) {
    double least = INFINITY;
    for (size_t i = 0; i < run->n; i++)
        if (run->rounds[i].selected > 0)
            least = fmin(least, (double)run->rounds[i].participants / run->rounds[i].selected);
    if (isfinite(least)) return exactly(least);
    snprintf(why, size, "no round is recorded");
    return unknown;
}

/* Epsilon over all that silos' ledgers have, as far as the run told. */
static struct figure epsilon_of(const struct gr_report_run *run, char *why, size_t size) {
    const json_t *privacy = json_object_get(run->manifest, "privacy");
    const double total = gr_json_real(privacy, "epsilon_total"),
                 upper = gr_json_real(privacy, "epsilon_upper");
    const double epsilon = isfinite(total) ? total : upper;
    const char *mechanism = gr_json_text(privacy, "mechanism");
    const bool rehearsed = mechanism && strcmp(mechanism, "rehearsal") == 0;
    if (isfinite(epsilon) && !rehearsed) return exactly(epsilon);
    snprintf(why, size,
             rehearsed ? "a rehearsal protects nothing" : "the run has no differential privacy");
    return unknown;
}

/* The slicing of that text; NULL: it is not there. */
static const json_t *find_slicing(const json_t *list, const char *text) {
    for (size_t i = 0; i < json_array_size(list); i++) {
        const char *found = gr_json_text(json_array_get(list, i), "slicing");
        if (found && strcmp(found, text) == 0) return json_array_get(list, i);
    }
    return NULL;
}

/* Of a group that is withheld nothing is known, so neither is how it is treated. */
static struct figure fairness_of(const struct gr_report_run *run, const struct gate *gate,
                                 char *why, size_t size) {
    const json_t *slices = json_object_get(run->evaluation, "slices");
    const json_t *slicing = find_slicing(json_object_get(slices, "slicings"), gate->slicing);
    enum gr_fairness_measure measure;
    bool ratio;
    if (!gr_fairness_parse(gate->metric, &measure, &ratio)) {
        snprintf(why, size, "it is no measure of fairness");
        return unknown;
    }
    if (!slicing) {
        const char *untold = gr_json_text(slices, "why");
        snprintf(why, size, "%s%s",
                 untold ? "slices are not told: " : "the run has no such slicing",
                 untold ? untold : "");
        return unknown;
    }
    if (gr_json_count(slicing, "withheld") > 0) {
        snprintf(why, size, "groups of the slicing are withheld");
        return unknown;
    }
    const json_t *value = json_object_get(
        json_object_get(json_object_get(slicing, "fairness"), gr_fairness_name(measure)),
        ratio ? "ratio" : "difference");
    const struct figure found =
        bounds_of(gate->interval ? json_object_get(value, "interval") : value);
    const char *reason = gr_json_text(value, "why"), *group = gr_json_text(value, "group");
    if (!isfinite(found.lower))
        snprintf(why, size, "%.100s%s%.60s", reason ? reason : "it is not told",
                 group ? ", in the group " : "", group ? group : "");
    return found;
}

/* ---- judging -------------------------------------------------------------------------------- */

static struct figure figure_of(const struct gr_report_run *run, const struct gate *gate, char *why,
                               size_t size) {
    if (strcmp(gate->kind, "score") == 0) return score_of(run, gate->metric, why, size);
    if (strcmp(gate->kind, "regression") == 0) return regression_of(run, gate, why, size);
    if (strcmp(gate->kind, "worst_silo") == 0) return worst_silo_of(run, gate, why, size);
    if (strcmp(gate->kind, "participation") == 0) return participation_of(run, why, size);
    if (strcmp(gate->kind, "epsilon") == 0) return epsilon_of(run, why, size);
    if (strcmp(gate->kind, "fairness") == 0) return fairness_of(run, gate, why, size);
    snprintf(why, size,
             "its `kind` is none of score, regression, worst_silo, participation, epsilon "
             "and fairness");
    return unknown;
}

/* The end of the bounds that speaks against the model decides. */
static void judge(const struct gr_report_run *run, const struct gr_node *entry,
                  struct gr_gate_result *out) {
    struct gate gate;
    char name[sizeof out->name], why[sizeof out->why] = "";
    const bool sound = read_gate(entry, &gate, why, sizeof why);
    const struct figure found = sound ? figure_of(run, &gate, why, sizeof why) : unknown;
    *out = (struct gr_gate_result){
        .lower = found.lower, .upper = found.upper, .limit = gate.limit, .at_most = gate.at_most};
    snprintf(name, sizeof name, "%.24s%s%.44s%s%.44s", gate.kind, gate.metric[0] ? " " : "",
             gate.metric, gate.slicing[0] ? " by " : "", gate.slicing);
    gr_text_quote(name, strlen(name), out->name, sizeof out->name);
    if (!isfinite(found.lower))
        gr_text_quote(why, strlen(why), out->why, sizeof out->why);
    else
        out->passed = gate.at_most ? found.upper <= gate.limit : found.lower >= gate.limit;
}

/* A run that has not finished has no model to let through. */
static void judge_outcome(const struct gr_report_run *run, struct gr_gate_result *out) {
    const char *outcome = gr_json_text(run->manifest, "outcome");
    *out = (struct gr_gate_result){.name = "outcome",
                                   .lower = (double)NAN,
                                   .upper = (double)NAN,
                                   .limit = (double)NAN,
                                   .passed = outcome && strcmp(outcome, "finished") == 0};
    if (!out->passed)
        snprintf(out->why, sizeof out->why, "the run has not finished");
    else if (run->broken_event > 0) {
        out->passed = false;
        snprintf(out->why, sizeof out->why, "the chain of events breaks at line %zu",
                 run->broken_event);
    }
}

static gr_status judge_all(const struct gr_report_run *run, const struct gr_node *first,
                           struct gr_gate_result **out, size_t *n) {
    size_t count = 1;
    gr_status status;
    for (const struct gr_node *entry = first; entry; entry = entry->next)
        count++;
    if (count > GATES_MAX)
        return gr_fail(GR_ERROR_DATA, "gates: found %zu, allowed at most %d", count - 1,
                       GATES_MAX - 1);
    GR_TRY(gr_allocate_zero(count, sizeof **out, "gates", out));
    judge_outcome(run, *out);
    *n = 1;
    for (const struct gr_node *entry = first; entry; entry = entry->next)
        judge(run, entry, *out + (*n)++);
out:
    return status;
}

/* The gates of a file, or of the run's own config. */
static gr_status find_gates(const struct gr_report_run *run, const char *path,
                            struct gr_node **root, const struct gr_node **list) {
    char *text = NULL;
    size_t length = 0;
    gr_status status = GR_OK;
    if (path) {
        GR_TRY(gr_file_read(path, FILE_LIMIT, GR_ERROR_CONFIG, &text, &length));
        GR_TRY(gr_tree_parse(path, NULL, text, length, root));
    }
    struct gr_node *from = path ? *root : run->settings;
    *list = from && from->kind == GR_NODE_SECTION ? gr_node_at(from, "gates") : NULL;
    if (!*list || !(*list)->child)
        status = gr_fail(GR_ERROR_CONFIG, "%s: found no gates, expected a list `gates`",
                         path ? path : "the run's config");
out:
    gr_free(text);
    return status;
}

gr_status gr_gates_judge(const char *run_path, const char *gates_path, struct gr_gate_result **out,
                         size_t *n) {
    struct gr_report_run run = {0};
    struct gr_node *root = NULL;
    const struct gr_node *list = NULL;
    gr_status status;
    *out = NULL;
    *n = 0;
    GR_TRY(gr_report_read(run_path, &run));
    GR_TRY(find_gates(&run, gates_path, &root, &list));
    status = judge_all(&run, list ? list->child : NULL, out, n);
out:
    gr_node_free(root);
    gr_report_release(&run);
    return status;
}
