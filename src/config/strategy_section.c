/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The section `strategy`, whose keys are those that the registered strategies bring. It is the one
 * section that grows while a program runs, which is why its rows and fields are arrays that are
 * filled, and not constants. Rows are only added: gr_setting_at's order, and with it a config's
 * digest, stays for those that were there.
 */
#include "config/schema.h"

#include <float.h>
#include <stddef.h>
#include <stdio.h>

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
