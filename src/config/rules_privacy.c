/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rules of differential privacy. Its promise is about all that leaves, so a config that lets
 * something else of rows out, or that uses what is not accounted for, is refused before any work.
 */
#include "config/rules.h"

#include "privacy/accounting.h"

#define WITH "with privacy.unit"

/* Settings that nobody would look at without a unit. */
static void check_unused(const struct gr_rule_context *r) {
    const struct gr_privacy_config *privacy = &r->config->privacy;
    const struct {
        const char *path;
        double value;
    } number[] = {{"privacy.clip_norm", privacy->clip_norm},
                  {"privacy.noise_multiplier", privacy->noise_multiplier},
                  {"privacy.expected_batch", privacy->expected_batch},
                  {"privacy.expected_units", privacy->expected_units},
                  {"privacy.budget.epsilon", privacy->budget.epsilon},
                  {"privacy.budget.delta", privacy->budget.delta}};
    for (size_t i = 0; i < sizeof number / sizeof *number; i++)
        if (number[i].value > 0 && gr_rule_sound(r, number[i].path))
            REFUSE(r, number[i].path, "found %g, allowed only 0, the default, " WITH " none",
                   number[i].value);
}

/* Numbers that have no default, for they are the promise. */
static void check_numbers(const struct gr_rule_context *r) {
    const struct gr_privacy_config *privacy = &r->config->privacy;
    const char *unit = gr_privacy_unit_text(privacy->unit);
    const bool sums = privacy->unit != GR_PRIVACY_SILO;
    const struct {
        const char *path;
        double value, least, most;
        bool asked;
    } number[] = {
        {"privacy.clip_norm", privacy->clip_norm, 1e-6, 1e6, true},
        {"privacy.noise_multiplier", privacy->noise_multiplier, GR_NOISE_MULTIPLIER_MIN, 1000,
         true},
        {"privacy.budget.delta", privacy->budget.delta, GR_PRIVACY_DELTA_MIN, 0.1, true},
        {"privacy.expected_batch", privacy->expected_batch, 1, 1 << 24, sums},
        {"privacy.expected_units", privacy->expected_units, 1, UINT32_MAX, sums},
    };
    for (size_t i = 0; i < sizeof number / sizeof *number; i++) {
        if (!gr_rule_sound(r, number[i].path)) continue;
        if (number[i].asked && !(number[i].value >= number[i].least))
            REFUSE(r, number[i].path, "found %g, allowed %g to %g " WITH " %s", number[i].value,
                   number[i].least, number[i].most, unit);
        else if (number[i].asked && number[i].value > number[i].most)
            REFUSE(r, number[i].path, "found %g, allowed %g to %g " WITH " %s", number[i].value,
                   number[i].least, number[i].most, unit);
        if (!number[i].asked && number[i].value > 0)
            REFUSE(r, number[i].path, "found %g, allowed only 0, the default, " WITH " %s",
                   number[i].value, unit);
    }
    if (sums && privacy->expected_batch > privacy->expected_units &&
        gr_rule_sound(r, "privacy.expected_batch") && gr_rule_sound(r, "privacy.expected_units"))
        REFUSE(r, "privacy.expected_batch", "found %u, allowed up to %u (privacy.expected_units)",
               privacy->expected_batch, privacy->expected_units);
}

void gr_rules_of_privacy(const struct gr_rule_context *r) {
    if (!gr_rule_sound(r, "privacy.unit")) return;
    if (r->config->privacy.unit == GR_PRIVACY_NONE) {
        check_unused(r);
        return;
    }
    check_numbers(r);
}
