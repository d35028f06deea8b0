/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of secure sums. A sum is masked; all that is no sum follows from config and schema, or does
 * not leave. So a config that asks for something else is refused before any work.
 */
#include "config/rules.h"

#include <stdio.h>
#include <string.h>

#include "privacy/secure_sum.h"

#define WITH "with secure.aggregation true"

/* A study's file, in which words stand for the tables of its sites. */
static bool is_study(const struct gr_config *config) {
    return config->data.silo_tables_count > 0 &&
           (strncmp(config->data.silo_tables[0].file, "site:", 5) == 0 ||
            strncmp(config->data.silo_tables[0].features, "site:", 5) == 0);
}

/* Sites are numbered from 1 on. */
uint32_t gr_secure_parties(const struct gr_config *config) {
    uint32_t sites = 0;
    for (unsigned i = 0; i < config->silos_count; i++)
        if (config->silos[i].site > sites) sites = config->silos[i].site;
    return sites > 0 ? sites : config->data.silos;
}

uint32_t gr_secure_threshold(const struct gr_config *config, uint32_t n_parties) {
    return config->secure.threshold > 0 ? config->secure.threshold
                                        : gr_secure_threshold_default(n_parties);
}

/* Of n parties, whose other numbers are as they may be. */
static void check_neighbours(const struct gr_rule_context *r, uint32_t n, const char *parties) {
    const struct gr_secure_config *secure = &r->config->secure;
    const uint32_t most = n - 1 < GR_SECURE_NEIGHBOURS_MAX ? n - 1 : GR_SECURE_NEIGHBOURS_MAX;
    const struct gr_secure_degree_of least = {.n_parties = n,
                                              .threshold = gr_secure_threshold(r->config, n),
                                              .colluding = secure->colluding};
    struct gr_secure_degree degree = {0};
    if (!gr_rule_sound(r, "secure.neighbours")) return;
    if (gr_secure_degree(&least, &degree) != GR_OK)
        REFUSE(r, "secure.neighbours",
               "found %u, and %u %s with a threshold of %u and %u colluding need more than %d: a "
               "higher secure.threshold needs fewer",
               secure->neighbours, n, parties, least.threshold, least.colluding, most);
    else if (n <= GR_SECURE_COMPLETE_MAX && secure->neighbours > 0)
        REFUSE(r, "secure.neighbours",
               "found %u, allowed only 0 with %u %s: up to %d are all neighbours of each other",
               secure->neighbours, n, parties, GR_SECURE_COMPLETE_MAX);
    else if (secure->neighbours > most ||
             (secure->neighbours > 0 && secure->neighbours < degree.neighbours))
        REFUSE(r, "secure.neighbours", "found %u, allowed 0 (which is %u) or %u to %u of %u %s",
               secure->neighbours, degree.neighbours, degree.neighbours, most, n, parties);
}

/* As gr_secure_terms_check, each rule at the setting that breaks it. */
void gr_rules_of_parties(const struct gr_rule_context *r, uint32_t n, const char *parties) {
    const struct gr_secure_config *secure = &r->config->secure;
    const uint32_t t = gr_secure_threshold(r->config, n), least = n / 2 + 1;
    if (!secure->aggregation || !gr_rule_sound(r, "secure.aggregation")) return;
    if (n < GR_SECURE_PARTIES_MIN || n > GR_SECURE_PARTIES_MAX) {
        REFUSE(r, "secure.aggregation",
               "found true, allowed only false with %u %s: secure sums are of %d to %d", n, parties,
               GR_SECURE_PARTIES_MIN, GR_SECURE_PARTIES_MAX);
        return;
    }
    if (!gr_rule_sound(r, "secure.threshold")) return;
    if (t < least || t > n)
        REFUSE(r, "secure.threshold", "found %u, allowed 0 (which is %u) or %u to %u of %u %s", t,
               gr_secure_threshold_default(n), least, n, n, parties);
    else if (secure->colluding > 2 * t - n - 1 && gr_rule_sound(r, "secure.colluding"))
        REFUSE(r, "secure.colluding",
               "found %u, allowed 0 to %u with a threshold of %u of %u %s: more could sign two "
               "rosters for one sum",
               secure->colluding, 2 * t - n - 1, t, n, parties);
    else if (secure->colluding <= 2 * t - n - 1)
        check_neighbours(r, n, parties);
}

/* Numbers that nobody would look at. */
static void check_unused(const struct gr_rule_context *r) {
    const struct gr_secure_config *secure = &r->config->secure;
    const struct {
        const char *path;
        uint32_t value;
    } number[] = {{"secure.threshold", secure->threshold},
                  {"secure.colluding", secure->colluding},
                  {"secure.neighbours", secure->neighbours}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (number[i].value > 0 && gr_rule_sound(r, number[i].path))
            REFUSE(r, number[i].path,
                   "found %u, allowed only 0, the default, with secure.aggregation false",
                   number[i].value);
}

/* The sum is one vector on a grid that no update decides. */
static void check_vectors(const struct gr_rule_context *r) {
    const struct gr_aggregation_config *aggregation = &r->config->aggregation;
    const struct gr_strategy *strategy = gr_strategy_find(r->config->strategy.name);
    if (aggregation->grid != GR_GRID_PUBLIC && gr_rule_sound(r, "aggregation.grid"))
        REFUSE(r, "aggregation.grid",
               "found agreed, allowed only public " WITH
               ": an agreed grid tells of single updates");
    if ((aggregation->encoding == GR_ENCODING_RING16 ||
         aggregation->encoding == GR_ENCODING_FLOAT32) &&
        gr_rule_sound(r, "aggregation.encoding"))
        REFUSE(r, "aggregation.encoding", "found %s, allowed ring32 or ring64 " WITH,
               gr_encoding_text(aggregation->encoding));
    if (strategy && (strategy->combine || strategy->n_sent > 1 || strategy->sends_steps) &&
        gr_rule_sound(r, "strategy.name"))
        REFUSE(r, "strategy.name",
               "found %s, allowed only strategies that add up one vector of each silo " WITH,
               strategy->name);
}

/* Silos are not asked for what a table has: the schema says it. */
void gr_rules_of_declared(const struct gr_rule_context *r, const char *with) {
    const struct gr_config *config = r->config;
    const enum gr_data_source source = config->data.source;
    if (!gr_rule_sound(r, "data.source")) return;
    if ((source == GR_SOURCE_CSV || source == GR_SOURCE_HDF5) && !config->data.schema[0] &&
        gr_rule_sound(r, "data.schema"))
        REFUSE(r, is_study(config) ? "schema" : "data.schema",
               "is required; found nothing, allowed %s %s: columns, categories and ranges are not "
               "asked of silos",
               is_study(config) ? "the section `schema`" : "a path", with);
    if (source == GR_SOURCE_SYNTHETIC && config->preprocess.scale != GR_SCALE_NONE &&
        gr_rule_sound(r, "preprocess.scale"))
        REFUSE(r, "preprocess.scale",
               "found %s, allowed only none %s and data.source synthetic, whose features have no "
               "range",
               gr_scale_text(config->preprocess.scale), with);
    /* Labels of a table that is dealt are nobody's. */
    if (source == GR_SOURCE_IDX && config->data.silo_tables_count > 0 &&
        config->model.classes == 0 && !gr_predicts_number(&config->model) &&
        gr_rule_sound(r, "model.classes"))
        REFUSE(r, "model.classes",
               "is required; found nothing, allowed the number of classes %s: the greatest label "
               "is not asked of silos",
               with);
}

/* Releases of single silos. */
static void check_told(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    if (config->round.sampling == GR_SAMPLING_SIZE && gr_rule_sound(r, "round.sampling"))
        REFUSE(r, "round.sampling",
               "found size, allowed uniform, cyclic or list " WITH
               ": the rows of a single silo are no sum");
    if (config->evaluate.per_silo && gr_rule_sound(r, "evaluate.per_silo"))
        REFUSE(r, "evaluate.per_silo",
               "found true, allowed only false " WITH ": the scores of a single silo are no sum");
    if (config->policy.extremes && gr_rule_sound(r, "policy.extremes"))
        REFUSE(r, "policy.extremes",
               "found true, allowed only false " WITH ": the least value is no sum");
}

void gr_rules_of_secure(const struct gr_rule_context *r) {
    const struct gr_config *config = r->config;
    if (!gr_rule_sound(r, "secure.aggregation")) return;
    if (!config->secure.aggregation) {
        check_unused(r);
        return;
    }
    check_vectors(r);
    gr_rules_of_declared(r, WITH);
    check_told(r);
    if (!is_study(config) && gr_rule_sound(r, "data.silos") && config->data.silos > 0)
        gr_rules_of_parties(r, gr_secure_parties(config),
                            gr_secure_parties(config) < config->data.silos ? "sites" : "silos");
}

/* ---- columns ----------------------------------------------------------------------------------
 */

/* A column of a schema, and its place. */
struct column_place {
    const char *with; /* the setting that wants it so */
    const struct gr_column *column;
    const struct gr_node *node;
    struct gr_broken *broken;
    char path[32];
};

/* At the key's own line if it was given, else at the column's. */
static void refuse_column(const struct column_place *at, const char *key, const char *found,
                          const char *allowed) {
    char below[64];
    const struct gr_node *child = gr_node_child(at->node, key, strlen(key));
    if (at->node->broken || !child || child->broken) return;
    snprintf(below, sizeof below, "%s.%s", at->path, key);
    gr_broken_add(at->broken, child->place.line > 0 ? child->place : at->node->place, below,
                  "found %s, allowed %s %s", found, allowed, at->with);
}

static enum gr_scale scale_of(const struct gr_config *config, const struct gr_column *c) {
    return c->scale == GR_SCALE_DEFAULT ? config->preprocess.scale : c->scale;
}

/* Sums of a column are taken in units of its range. */
static bool is_summed(const struct gr_config *config, const struct gr_column *c) {
    return gr_column_is_number(c->type) &&
           (scale_of(config, c) != GR_SCALE_NONE || c->missing == GR_MISSING_MEAN);
}

static void check_declared_column(const struct gr_config *config, const struct column_place *at) {
    const struct gr_column *c = at->column;
    if (c->open)
        refuse_column(at, c->categories_count > 0 ? "open" : "categories",
                      c->categories_count > 0 ? "true" : "none",
                      c->categories_count > 0 ? "only false" : "the list of all categories");
    if (c->range_count != 2 && is_summed(config, c))
        refuse_column(at, "range", "none", "[low, high] of a number that is scaled or filled");
    if (c->range_count != 2 && c->type == GR_COLUMN_WEIGHT)
        refuse_column(at, "range", "none", "[low, high] of a weight");
    if (c->type == GR_COLUMN_LABEL && c->categories_count == 0 && config->model.classes == 0 &&
        !gr_predicts_number(&config->model))
        refuse_column(at, "categories", "none", "the list of classes, or model.classes,");
}

static bool is_standardised(const struct gr_config *config, const struct gr_column *c) {
    return gr_column_is_number(c->type) && scale_of(config, c) == GR_SCALE_STANDARDISE;
}

static bool is_filled(const struct gr_column *c) {
    return c->missing == GR_MISSING_MEAN || c->missing == GR_MISSING_MODE;
}

/* Means, deviations and modes are sums over rows, which leave with noise or not at all. */
static void check_private_column(const struct gr_config *config, const struct column_place *at) {
    const struct gr_column *c = at->column;
    if (config->privacy.statistics.noise_multiplier > 0) return;
    if (is_standardised(config, c))
        refuse_column(at, "scale", "standardise",
                      "none or min_max, with a range, or privacy.statistics.noise_multiplier above "
                      "0");
    if (is_filled(c))
        refuse_column(at, "missing", c->missing == GR_MISSING_MEAN ? "mean" : "mode",
                      "refuse, indicator or zero, or privacy.statistics.noise_multiplier above 0");
}

/* A release that no column asks for would be in the plan, and never be made. */
static void check_statistics(const struct gr_config *config, const struct gr_schema *schema,
                             const struct gr_node *list, struct gr_broken *broken) {
    if (!(config->privacy.statistics.noise_multiplier > 0) || !list || list->broken) return;
    for (unsigned i = 0; i < schema->columns_count; i++)
        if (is_standardised(config, &schema->columns[i]) || is_filled(&schema->columns[i])) return;
    gr_broken_add(broken, list->place, "columns",
                  "found none that is standardised or filled by mean or mode, expected one with "
                  "privacy.statistics.noise_multiplier %g",
                  config->privacy.statistics.noise_multiplier);
}

static bool has_group(const struct gr_schema *schema) {
    for (unsigned i = 0; i < schema->columns_count; i++)
        if (schema->columns[i].type == GR_COLUMN_GROUP) return true;
    return false;
}

void gr_check_secure_columns(const struct gr_config *config, const struct gr_schema *schema,
                             const struct gr_node *root, struct gr_broken *broken) {
    const struct gr_node *list = gr_node_child(root, "columns", 7),
                         *node = list ? list->child : NULL;
    const bool private = gr_is_private(config);
    if (!config->secure.aggregation && !private) return;
    if (config->privacy.unit == GR_PRIVACY_PERSON && list && !list->broken && !has_group(schema))
        gr_broken_add(broken, list->place, "columns",
                      "found none of type group, expected one with privacy.unit person: it names "
                      "the person of each row");
    check_statistics(config, schema, list, broken);
    for (unsigned i = 0; i < schema->columns_count && node; i++, node = node->next) {
        struct column_place at = {.with = private ? "with privacy.unit other than none" : WITH,
                                  .column = &schema->columns[i],
                                  .node = node,
                                  .broken = broken};
        snprintf(at.path, sizeof at.path, "columns[%u]", i);
        check_declared_column(config, &at);
        if (private) check_private_column(config, &at);
    }
}
