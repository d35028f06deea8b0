/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section `strategy`, whose keys are those that the registered strategies bring, with the rules
 * for them and those that a strategy has for other sections. It is the one section that grows while
 * a program runs, which is why its rows and fields are arrays that are filled, and not constants.
 * Rows are only added: gr_setting_at's order, and with it a config's digest, stays for those that
 * were there.
 */
#include "config/rules.h"

#include <float.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_MAX = 64, PATH_BYTES = GR_STRATEGY_NAME_BYTES + 16 };

_Static_assert(GR_STRATEGY_SETTINGS_MAX + 2 <= GR_FIELDS_MAX, "the section's keys fit");

/* The name, the settings, and the end. */
cyaml_schema_field_t gr_strategy_fields[GR_STRATEGY_SETTINGS_MAX + 2] = {
    CYAML_FIELD_STRING_PTR("name", CYAML_FLAG_POINTER, struct gr_strategy_config, name, 0,
                           TEXT_MAX),
    CYAML_FIELD_END,
};

static struct gr_setting rows[GR_STRATEGY_SETTINGS_MAX];
static char paths[GR_STRATEGY_SETTINGS_MAX][PATH_BYTES];
static size_t n_rows;

/* The array of fields keeps its end mark behind the newest row at all times. */
static void add_row(const struct gr_strategy_setting *setting) {
    const cyaml_schema_field_t field = {
        .key = setting->name,
        .data_offset =
            (uint32_t)(offsetof(struct gr_strategy_config, setting) + n_rows * sizeof(double)),
        .value = {CYAML_VALUE_FLOAT(CYAML_FLAG_DEFAULT, double)},
    };
    snprintf(paths[n_rows], PATH_BYTES, "strategy.%s", setting->name);
    rows[n_rows] = (struct gr_setting){
        .path = paths[n_rows],
        .standard = setting->standard,
        .flags =
            (setting->above ? GR_SETTING_ABOVE : 0U) | (setting->below ? GR_SETTING_BELOW : 0U),
        .real_low = setting->low,
        .real_high = setting->high,
    };
    gr_strategy_fields[1 + n_rows] = field;
    gr_strategy_fields[2 + n_rows] = (cyaml_schema_field_t)CYAML_FIELD_END;
    n_rows++;
}

void gr_strategy_section_update(void) {
    const struct gr_strategy_setting *setting;
    while ((setting = gr_strategy_setting_at(n_rows)))
        add_row(setting);
}

const struct gr_setting *gr_strategy_setting_row(size_t i) {
    gr_strategy_section_update();
    return i < n_rows ? &rows[i] : NULL;
}

/* ---- rules ---------------------------------------------------------------------------------- */

/* A rule that a strategy has for a setting of another section. */
static void check_strategy_rule(const struct gr_rule_context *r, const struct gr_strategy *strategy,
                                const struct gr_strategy_rule *rule) {
    const struct gr_node *node = gr_node_at(r->root, rule->path);
    char *end = NULL;
    if (!node || !gr_rule_sound(r, rule->path)) return;
    if (!rule->allowed) {
        if (!(strtod(node->text, NULL) > 0))
            REFUSE(r, rule->path, "found %s, allowed more than 0 with strategy.name %s", node->text,
                   strategy->name);
        return;
    }
    const double most = strtod(rule->allowed, &end);
    const bool is_number = end != rule->allowed && *end == '\0';
    if (is_number ? strtod(node->text, NULL) > most : strcmp(node->text, rule->allowed) != 0)
        REFUSE(r, rule->path, "found %s, allowed only %s, the default, with strategy.name %s",
               node->text, rule->allowed, strategy->name);
}

/* Checks a setting of the strategy that is taken as float32. */
static void check_narrow(const struct gr_rule_context *r,
                         const struct gr_strategy_setting *setting) {
    char path[GR_STRATEGY_NAME_BYTES + 16];
    const double value = gr_strategy_get(&r->config->strategy, setting->name);
    const double least = setting->narrow ? (double)FLT_MIN : setting->least;
    snprintf(path, sizeof path, "strategy.%s", setting->name);
    if (!gr_rule_sound(r, path)) return;
    if (value > 0 && value < least)
        REFUSE(r, path, "found %g, which is 0 in float32, allowed at least %.2g", value, least);
    if (setting->narrow && setting->below && value < setting->high &&
        (float)value >= (float)setting->high)
        REFUSE(r, path, "found %.17g, allowed at most %.7g: float32 holds no more below %g", value,
               setting->high * (1 - 1e-7), setting->high);
}

/* A robust strategy in which a single wrong update moves the model as far as it likes is refused:
 * it would be a mean by another name. */
static void check_breakdown(const struct gr_rule_context *r, const struct gr_strategy *strategy) {
    const uint32_t drawn = r->config->round.participants, silos = r->config->data.silos;
    const uint32_t n = drawn > 0 ? drawn : silos;
    char larger[GR_STRATEGY_NAME_BYTES + 32] = "";
    if (!strategy->breakdown || n == 0 || !gr_rule_sound(r, "data.silos") ||
        !gr_rule_sound(r, "round.participants"))
        return;
    for (size_t i = 0; i < GR_STRATEGY_OWN_MAX && strategy->setting[i]; i++) {
        char path[GR_STRATEGY_NAME_BYTES + 16];
        snprintf(path, sizeof path, "strategy.%s", strategy->setting[i]->name);
        if (!gr_rule_sound(r, path)) return;
        if (i > 0) snprintf(larger, sizeof larger, ", or another %s", path);
    }
    if (strategy->breakdown(&r->config->strategy, n) == 0)
        REFUSE(r, "strategy.name",
               "found %s, with which one wrong update of %u (%s) moves the model anywhere, allowed "
               "with more silos in a round%s",
               strategy->name, n, drawn > 0 ? "round.participants" : "data.silos", larger);
}

void gr_rules_of_strategy(const struct gr_rule_context *r) {
    const struct gr_strategy_setting *setting;
    for (size_t i = 0; (setting = gr_strategy_setting_at(i)); i++)
        check_narrow(r, setting);
    const struct gr_strategy *strategy = gr_strategy_find(r->config->strategy.name);
    if (!strategy || !gr_rule_sound(r, "strategy.name")) return;
    for (size_t i = 0; i < GR_STRATEGY_OWN_MAX && strategy->rule[i].path; i++)
        check_strategy_rule(r, strategy, &strategy->rule[i]);
    check_breakdown(r, strategy);
}
