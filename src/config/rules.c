/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules between settings. They look at values, not at what was written: a resolved config, in
 * which every setting stands, obeys the same rules.
 */
#include "config/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "privacy/secure_sum.h"

/* A setting that was refused has a filler, about which no rule must speak: the user would read of a
 * value that nobody wrote. */
bool gr_rule_sound(const struct gr_rule_context *r, const char *path) {
    const struct gr_node *node = gr_node_at(r->root, path);
    return node && !node->broken;
}

/* The nearest place on the way down: a setting that was not given is reported at its section's
 * line, or where that is absent too, without a line. */
struct gr_place gr_rule_place(const struct gr_rule_context *r, const char *path) {
    struct gr_place place = {0};
    struct gr_node *node = r->root;
    while (node && *path) {
        size_t length = strcspn(path, ".");
        node = gr_node_child(node, path, length);
        if (node && (node->place.line > 0 || node->place.override)) place = node->place;
        path += length + (path[length] == '.');
    }
    return place;
}

/* At the member's own line if it was given, else at its entry's. */
void gr_rule_refuse_member(const struct gr_rule_context *r, const struct gr_node *entry,
                           const char *path, const char *key, const char *what) {
    char below[64];
    const struct gr_node *child = gr_node_child(entry, key, strlen(key));
    bool given = child->place.line > 0 || child->place.override;
    snprintf(below, sizeof below, "%s.%s", path, key);
    gr_broken_add(r->broken, given ? child->place : entry->place, below, "%s", what);
}

bool gr_rule_member_sound(const struct gr_node *entry, const char *key) {
    const struct gr_node *child = gr_node_child(entry, key, strlen(key));
    return child && !child->broken;
}

/* ---- aggregation -------------------------------------------------------------------------- */

/* A public grid needs its numbers; an agreed one would not look at them. */
static void check_grid(const struct gr_rule_context *r) {
    const struct gr_aggregation_config *aggregation = &r->config->aggregation;
    const struct gr_strategy *strategy = gr_strategy_find(r->config->strategy.name);
    const struct {
        const char *path;
        double value, least; /* below which float32 has no room for the grid */
        const char *text;
    } number[] = {{"aggregation.clip_norm", aggregation->clip_norm, 1e-12, "at least 1e-12"},
                  {"aggregation.weight_max", aggregation->weight_max, 1e-6, "at least 1e-06"}};
    const bool is_public = aggregation->grid == GR_GRID_PUBLIC;
    if (!gr_rule_sound(r, "aggregation.grid")) return;
    for (size_t i = 0; i < 2; i++)
        if ((is_public ? !(number[i].value >= number[i].least) : number[i].value > 0) &&
            gr_rule_sound(r, number[i].path))
            REFUSE(r, number[i].path, "found %g, allowed %s with aggregation.grid %s",
                   number[i].value, is_public ? number[i].text : "only 0, the default,",
                   is_public ? "public" : "agreed");
    /* Secure sums have rules of their own. */
    if (!is_public || r->config->secure.aggregation) return;
    if ((aggregation->encoding == GR_ENCODING_RING16 ||
         aggregation->encoding == GR_ENCODING_FLOAT32) &&
        gr_rule_sound(r, "aggregation.encoding"))
        REFUSE(r, "aggregation.encoding",
               "found %s, allowed ring32 or ring64 with aggregation.grid public",
               gr_encoding_text(aggregation->encoding));
    if (strategy && (strategy->combine || strategy->n_sent > 1 || strategy->sends_steps) &&
        gr_rule_sound(r, "strategy.name"))
        REFUSE(r, "aggregation.grid",
               "found public, allowed only agreed, the default, with strategy.name %s",
               strategy->name);
}

/* ring16 has 16 bits for the sum of all silos, of which each then has few: beyond the limit the
 * grid is too coarse. */
static void check_aggregation(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    uint32_t most =
        config->round.participants > 0 ? config->round.participants : config->data.silos;
    if (config->aggregation.encoding == GR_ENCODING_RING16 && most > GR_RING16_SILOS_MAX &&
        gr_rule_sound(r, "aggregation.encoding") && gr_rule_sound(r, "round.participants") &&
        gr_rule_sound(r, "data.silos"))
        REFUSE(r, "aggregation.encoding",
               "found ring16, allowed up to %d silos in a round, not %u (%s)", GR_RING16_SILOS_MAX,
               most, config->round.participants > 0 ? "round.participants" : "data.silos");
    if (config->aggregation.encoding == GR_ENCODING_FLOAT32 &&
        (config->aggregation.between == GR_BETWEEN_DIRECT ||
         config->aggregation.between == GR_BETWEEN_MPI) &&
        gr_rule_sound(r, "aggregation.encoding") && gr_rule_sound(r, "aggregation.between"))
        REFUSE(
            r, "aggregation.between",
            "found %s, allowed auto or tree with aggregation.encoding float32, whose sums depend "
            "on their order",
            gr_between_text(config->aggregation.between));
    check_grid(r);
}

/* ---- policy ------------------------------------------------------------------------------- */

/* A table that is dealt to silos is read by every process: there is nobody to keep it from. */
bool gr_policy_holds(const struct gr_config *config) {
    return config->data.silo_tables_count > 1;
}

bool gr_has_sites(const struct gr_config *config) {
    bool any = false;
    for (uint32_t i = 0; i < config->silos_count; i++)
        any = any || config->silos[i].site > 0;
    for (uint32_t i = 0; i < config->data.silo_tables_count; i++)
        any = any || strncmp(config->data.silo_tables[i].file, "site:", 5) == 0 ||
              strncmp(config->data.silo_tables[i].features, "site:", 5) == 0;
    return any;
}

/* 1: every sum may be known. Parties of a secure sum that bring nothing hide nothing, so as many
 * silos as it is of at least are in it. */
uint32_t gr_policy_silos(const struct gr_config *config) {
    const uint32_t least = config->policy.minimum_silos;
    if (!gr_policy_holds(config)) return 1;
    return config->secure.aggregation && least < GR_SECURE_PARTIES_MIN ? GR_SECURE_PARTIES_MIN
                                                                       : least;
}

/* Rounds that could never be summed are refused before the first. */
static void check_policy(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const uint32_t least = gr_policy_silos(config), drawn = config->round.participants;
    if (least < 2 || !gr_rule_sound(r, "policy.minimum_silos") || !gr_rule_sound(r, "data.silos"))
        return;
    if (config->policy.minimum_silos > config->data.silos)
        REFUSE(r, "policy.minimum_silos", "found %u, allowed at most the %u of data.silos",
               config->policy.minimum_silos, config->data.silos);
    else if (drawn > 0 && drawn < least && gr_rule_sound(r, "round.participants"))
        REFUSE(r, "round.participants",
               "found %u, allowed at least %u (policy.minimum_silos): the sum of fewer silos shows "
               "their updates",
               drawn, least);
}

/* A run that stops by a metric must have it, every so many rounds, of rows that were held out. */
static void check_stop(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    if (config->stop.metric == GR_STOP_NONE || !gr_rule_sound(r, "stop.metric")) return;
    if (config->evaluate.every == 0 && gr_rule_sound(r, "evaluate.every"))
        REFUSE(r, "evaluate.every", "found 0, allowed at least 1 with stop.metric %s",
               gr_stop_text(config->stop.metric));
    if (!(config->data.validation_fraction > 0) && gr_rule_sound(r, "data.validation_fraction"))
        REFUSE(r, "data.validation_fraction", "found 0, allowed more than 0 with stop.metric %s",
               gr_stop_text(config->stop.metric));
    if (config->stop.metric == GR_STOP_VALIDATION_ACCURACY && gr_rule_sound(r, "model.type") &&
        gr_rule_sound(r, "model.loss") && gr_predicts_number(&config->model))
        REFUSE(r, "stop.metric",
               "found validation_accuracy, allowed none or validation_loss with a model that "
               "predicts a number");
}

/* ---- faults ------------------------------------------------------------------------------- */

/* A fault of the list: its path, and its node, which knows the places. */
struct fault {
    const struct gr_fault_config *config;
    const struct gr_node *node;
    char path[32];
};

/* Some kinds strike at one point only. */
static void check_point(const struct gr_rule_context *r, const struct fault *fault) {
    char what[96];
    const struct gr_fault_config *f = fault->config;
    bool update = f->kind == GR_FAULT_NAN || f->kind == GR_FAULT_EXPLODE;
    bool wrong = (update && f->point != GR_POINT_TRAIN) ||
                 (f->kind == GR_FAULT_CORRUPT && f->point != GR_POINT_CHECKPOINT);
    if (!wrong || !gr_rule_member_sound(fault->node, "kind") ||
        !gr_rule_member_sound(fault->node, "point"))
        return;
    snprintf(what, sizeof what, "found %s, allowed only %s with kind %s",
             gr_node_child(fault->node, "point", 5)->text, update ? "train" : "checkpoint",
             gr_node_child(fault->node, "kind", 4)->text);
    gr_rule_refuse_member(r, fault->node, fault->path, "point", what);
}

/* The points before the first round are of round 0, and all others of a later one. */
static void check_round(const struct gr_rule_context *r, const struct fault *fault) {
    char what[96];
    const struct gr_fault_config *f = fault->config;
    const bool early = f->point >= GR_POINT_LOAD;
    if (early == (f->round == 0) || !gr_rule_member_sound(fault->node, "round") ||
        !gr_rule_member_sound(fault->node, "point"))
        return;
    snprintf(what, sizeof what, "found %u, allowed %s at this point", f->round,
             early ? "only 0" : "at least 1");
    gr_rule_refuse_member(r, fault->node, fault->path, "round", what);
}

static void check_fault(const struct gr_rule_context *r, const struct fault *fault) {
    char what[96];
    const struct gr_fault_config *f = fault->config;
    uint32_t silos = r->config->data.silos;
    if (f->silo >= silos && silos > 0 && gr_rule_sound(r, "data.silos") &&
        gr_rule_member_sound(fault->node, "silo")) {
        snprintf(what, sizeof what, "found %u, allowed 0 to %u (data.silos is %u)", f->silo,
                 silos - 1, silos);
        gr_rule_refuse_member(r, fault->node, fault->path, "silo", what);
    }
    check_point(r, fault);
    check_round(r, fault);
    if ((f->kind == GR_FAULT_DELAY || f->kind == GR_FAULT_SLOW) && !(f->seconds > 0) &&
        gr_rule_member_sound(fault->node, "kind") && gr_rule_member_sound(fault->node, "seconds"))
        gr_rule_refuse_member(r, fault->node, fault->path, "seconds",
                              f->kind == GR_FAULT_SLOW
                                  ? "found 0, allowed more than 0 with kind slow"
                                  : "found 0, allowed more than 0 with kind delay");
}

static void check_silos(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    if (config->silos_count == 0 || config->silos_count == config->data.silos ||
        !gr_rule_sound(r, "silos") || !gr_rule_sound(r, "data.silos"))
        return;
    REFUSE(r, "silos", "found %u, allowed none or one for each of the %u of data.silos",
           config->silos_count, config->data.silos);
}

enum { HINT_KEY_MAX = 31, HINT_VALUE_MAX = 255 };

/* The least lengths that any MPI takes (MPI_MAX_INFO_KEY and MPI_MAX_INFO_VAL). */
static bool is_hint(const char *text) {
    const size_t key = strcspn(text, "=");
    if (key == 0 || key > HINT_KEY_MAX || text[key] != '=') return false;
    const size_t value = strlen(text + key + 1);
    return value > 0 && value <= HINT_VALUE_MAX && strcspn(text, " ") == key + 1 + value;
}

static bool has_key(const char *hint, const char *key) {
    const size_t n = strlen(key);
    return strncmp(hint, key, n) == 0 && hint[n] == '=';
}

/* MPI 4.0, section 14.2.8, has these as whole numbers. Libraries read as many digits as there are
 * (striping_unit=1M: stripes of a byte), and Open MPI divides by cb_nodes. Lustre takes a
 * striping_factor of -1 for all of its targets. */
static bool is_number_unsound(const char *hint) {
    static const char *const keys[] = {"cb_block_size", "cb_buffer_size", "cb_nodes",
                                       "nb_proc",       "num_io_nodes",   "striping_factor",
                                       "striping_unit"};
    const char *value = strchr(hint, '=') + 1;
    const size_t digits = strspn(value, "0123456789");
    if (strcmp(hint, "striping_factor=-1") == 0) return false;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (has_key(hint, keys[i])) {
            const unsigned long number = strtoul(value, NULL, 10);
            return value[digits] != '\0' || number < 1 || number > INT32_MAX;
        }
    return false;
}

/* Whether an earlier hint has the key of hint i. */
static bool is_repeated(const struct gr_checkpoint_config *checkpoint, unsigned i) {
    char key[HINT_KEY_MAX + 1];
    snprintf(key, sizeof key, "%.*s", (int)strcspn(checkpoint->hints[i], "="),
             checkpoint->hints[i]);
    for (unsigned k = 0; k < i; k++)
        if (has_key(checkpoint->hints[k], key)) return true;
    return false;
}

static void check_checkpoint(const struct gr_rule_context *r) {
    const struct gr_checkpoint_config *checkpoint = &r->config->checkpoint;
    if (checkpoint->hints_count == 0 || !gr_rule_sound(r, "checkpoint.hints")) return;
    for (unsigned i = 0; i < checkpoint->hints_count; i++) {
        const char *hint = checkpoint->hints[i];
        char quoted[64];
        gr_text_quote(hint, strlen(hint), quoted, sizeof quoted);
        if (!is_hint(hint))
            REFUSE(r, "checkpoint.hints",
                   "found \"%s\", allowed key=value of at most %d and %d characters, without "
                   "spaces, such as striping_factor=8",
                   quoted, HINT_KEY_MAX, HINT_VALUE_MAX);
        else if (is_number_unsound(hint))
            REFUSE(r, "checkpoint.hints",
                   "found \"%s\", allowed a whole number from 1 to %d, without a unit", quoted,
                   INT32_MAX);
        else if (is_repeated(checkpoint, i))
            REFUSE(r, "checkpoint.hints", "found \"%s\", allowed each key once", quoted);
        else
            continue;
        return;
    }
    if (checkpoint->io == GR_CHECKPOINT_INDEPENDENT && gr_rule_sound(r, "checkpoint.io"))
        REFUSE(r, "checkpoint.hints", "found %u, allowed none (checkpoint.io is independent)",
               checkpoint->hints_count);
}

static void check_operating_points(const struct gr_rule_context *r) {
    const struct gr_evaluate_config *evaluate = &r->config->evaluate;
    struct gr_point_rule rule;
    char quoted[64];
    if (evaluate->operating_points_count == 0 || !gr_rule_sound(r, "evaluate.operating_points"))
        return;
    if (gr_predicts_number(&r->config->model) && gr_rule_sound(r, "model.type")) {
        REFUSE(r, "evaluate.operating_points",
               "found some, allowed none with a model that predicts a number: they are thresholds "
               "of two classes");
        return;
    }
    for (unsigned i = 0; i < evaluate->operating_points_count; i++) {
        const char *text = evaluate->operating_points[i];
        if (gr_point_parse(text, &rule)) continue;
        gr_text_quote(text, strlen(text), quoted, sizeof quoted);
        REFUSE(r, "evaluate.operating_points",
               "found \"%s\", allowed youden, sensitivity=S and specificity=S, with S above 0 and "
               "at most 1",
               quoted);
        return;
    }
    if (!(r->config->data.validation_fraction > 0) && gr_rule_sound(r, "data.validation_fraction"))
        REFUSE(r, "data.validation_fraction",
               "found 0, allowed more than 0 with evaluate.operating_points: they are chosen on "
               "validation rows");
}

/* Of fewer replicates the ends would be single ones. Of few silos' own tables a replicate may be of
 * one silo alone. */
static void check_bootstrap(const struct gr_rule_context *r) {
    const struct gr_bootstrap_config *bootstrap = &r->config->evaluate.bootstrap;
    const struct gr_table_config *test = &r->config->data.test;
    const bool sound = gr_rule_sound(r, "evaluate.bootstrap.unit");
    if (!gr_rule_sound(r, "evaluate.bootstrap.replicates") || bootstrap->replicates == 0) return;
    if (bootstrap->replicates < GR_REPLICATES_MIN)
        REFUSE(r, "evaluate.bootstrap.replicates", "found %u, allowed 0, or %d to %d",
               bootstrap->replicates, GR_REPLICATES_MIN, GR_REPLICATES_MAX);
    if (r->config->evaluate.every == 0 && gr_rule_sound(r, "evaluate.every"))
        REFUSE(r, "evaluate.every", "found 0, allowed at least 1 with evaluate.bootstrap");
    if (bootstrap->unit != GR_RESAMPLED_SILO || !sound) return;
    if (gr_policy_holds(r->config))
        REFUSE(r, "evaluate.bootstrap.unit",
               "found silo, allowed only row where silos have tables of their own: some replicates "
               "would be of a single silo");
    else if (test->file[0] || test->features[0] || test->labels[0])
        REFUSE(r, "evaluate.bootstrap.unit",
               "found silo, allowed only row with data.test, whose rows are of no silo");
}

/* What is made of outputs is found on validation rows, after an evaluation. */
static void check_postprocessing(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const bool recalibrates = config->evaluate.recalibration != GR_RECALIBRATION_NONE;
    const char *found = gr_recalibration_text(config->evaluate.recalibration);
    const char *key = recalibrates ? "evaluate.recalibration" : "evaluate.conformal";
    if (recalibrates && gr_predicts_number(&config->model) &&
        gr_rule_sound(r, "evaluate.recalibration"))
        REFUSE(r, "evaluate.recalibration",
               "found %s, allowed only none with a model that predicts a number", found);
    if (!recalibrates && !(config->evaluate.conformal.alpha > 0)) return;
    if (!(config->data.validation_fraction > 0) && gr_rule_sound(r, "data.validation_fraction"))
        REFUSE(r, "data.validation_fraction",
               "found 0, allowed more than 0 with %s: it is found on validation rows", key);
    if (config->evaluate.every == 0 && gr_rule_sound(r, "evaluate.every"))
        REFUSE(r, "evaluate.every", "found 0, allowed at least 1 with %s", key);
}

/* Whether the rounds have the metric. */
static bool is_in_lines(const struct gr_evaluate_config *evaluate, const char *metric) {
    for (unsigned i = 0; i < evaluate->metrics_count; i++)
        if (strcmp(evaluate->metrics[i], metric) == 0) return true;
    return false;
}

/* An alert on a figure that no line has would never come, and nobody would know. */
static void check_alerts(const struct gr_rule_context *r) {
    const struct gr_alerts_config *alerts = &r->config->alerts;
    for (unsigned i = 0; i < alerts->rules_count; i++) {
        const struct gr_alert_rule_config *rule = &alerts->rules[i];
        const bool named = rule->metric && rule->metric[0];
        const bool known = named && is_in_lines(&r->config->evaluate, rule->metric);
        if (rule->figure == GR_WATCHED_METRIC && !known)
            REFUSE(r, "alerts.rules",
                   "found no metric of evaluate.metrics in entry %u, whose figure is metric",
                   i + 1);
        else if (rule->figure != GR_WATCHED_METRIC && named)
            REFUSE(r, "alerts.rules",
                   "found a metric in entry %u, allowed none unless its figure is metric", i + 1);
    }
    if (alerts->command_count > 0 && !alerts->command[0][0])
        REFUSE(r, "alerts.command", "found an empty program");
}

/* node_exporter passes over files of other names. */
static void check_observe(const struct gr_rule_context *r) {
    const char *path = r->config->observe.prometheus;
    const size_t n = strlen(path);
    if (n > 0 && gr_rule_sound(r, "observe.prometheus") &&
        (n < 6 || strcmp(path + n - 5, ".prom") != 0 || path[n - 6] == '/'))
        REFUSE(r, "observe.prometheus", "found a file of another name, allowed *.prom");
}

/* A fault in a run that is no rehearsal is refused: no run that counts may carry one by mistake. */
static void check_faults(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const struct gr_node *list = gr_node_at(r->root, "faults"), *node = list->child;
    if (config->faults_count > 0 && !config->run.rehearsal && gr_rule_sound(r, "run.rehearsal"))
        REFUSE(r, "faults", "found %u, allowed none unless run.rehearsal is true",
               config->faults_count);
    for (unsigned i = 0; i < config->faults_count && node; i++, node = node->next) {
        struct fault fault = {&config->faults[i], node, ""};
        snprintf(fault.path, sizeof fault.path, "faults[%u]", i);
        check_fault(r, &fault);
    }
}

/* A gate that no run could pass, or that says half of what it means, is found out before the run.
 */
static void check_gates(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    const struct gr_node *list = gr_node_at(r->root, "gates"), *node = list->child;
    for (unsigned i = 0; i < config->gates_count && node; i++, node = node->next) {
        const struct gr_gate_config *gate = &config->gates[i];
        const bool scores = gate->kind == GR_GATE_SCORE || gate->kind == GR_GATE_REGRESSION ||
                            gate->kind == GR_GATE_WORST_SILO;
        const bool fairness = gate->kind == GR_GATE_FAIRNESS;
        enum gr_fairness_measure measure;
        bool ratio;
        const bool known = gr_metric_find(gate->metric) < gr_metric_count;
        char path[32], quoted[64], what[192];
        if (!gr_rule_member_sound(node, "kind") || !gr_rule_member_sound(node, "metric")) continue;
        snprintf(path, sizeof path, "gates[%u]", i);
        gr_text_quote(gate->metric, strlen(gate->metric), quoted, sizeof quoted);
        snprintf(what, sizeof what, "found \"%s\", allowed %s with kind %s", quoted,
                 scores ? "a metric of evaluation.json (see `granary help evaluation`)"
                 : fairness
                     ? "a measure such as equalized_odds_difference (see `granary help gates`)"
                     : "none",
                 gr_gate_kind_text(gate->kind));
        if (fairness ? !gr_fairness_parse(gate->metric, &measure, &ratio)
                     : scores != known || (!scores && gate->metric[0]))
            gr_rule_refuse_member(r, node, path, "metric", what);
        gr_rules_of_fairness_gate(r, node, path, gate);
        if ((gate->kind == GR_GATE_REGRESSION) != (gate->run[0] != '\0'))
            gr_rule_refuse_member(r, node, path, "run",
                                  gate->run[0] ? "found one, allowed only with kind regression"
                                               : "found none, allowed a run directory with kind "
                                                 "regression");
    }
}

/* Defaults that follow from other settings come first, as the rules are about their values. The
 * order of the groups is the order of messages. */
void gr_check_rules(struct gr_config *config, struct gr_node *root, struct gr_broken *broken) {
    struct gr_rule_context r = {config, root, broken};
    const struct gr_node *epochs = gr_node_at(root, "train.epochs");
    bool given = epochs->place.line > 0 || epochs->place.override;
    if (config->train.steps > 0 && !given && gr_rule_sound(&r, "train.steps"))
        config->train.epochs = 0;
    if (config->train.schedule.type == GR_SCHEDULE_COSINE && config->train.schedule.rounds == 0)
        config->train.schedule.rounds = config->run.rounds;
    if (config->data.silos == 0) config->data.silos = config->data.silo_tables_count;
    gr_rules_of_data(&r);
    gr_rules_of_training(&r);
    check_aggregation(&r);
    gr_rules_of_secure(&r);
    gr_rules_of_privacy(&r);
    check_policy(&r);
    check_stop(&r);
    check_operating_points(&r);
    gr_rules_of_slices(&r);
    check_bootstrap(&r);
    check_postprocessing(&r);
    check_checkpoint(&r);
    check_alerts(&r);
    check_observe(&r);
    check_silos(&r);
    gr_rules_of_silo_names(&r);
    check_gates(&r);
    check_faults(&r);
    gr_rules_of_availability(&r);
}
