/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The settings that exist: libcyaml's schema says names, types and members; the table of settings
 * says, for each of them, its default and the values allowed. All else in this room is driven by
 * the two, so that a new setting is one line in each.
 */
#ifndef GR_CONFIG_SCHEMA_H
#define GR_CONFIG_SCHEMA_H

#include <cyaml/cyaml.h>

#include <granary/config.h>

enum {
    GR_SETTING_REQUIRED = 1,
    GR_SETTING_ABOVE = 2,      /* real: low itself is not allowed */
    GR_SETTING_BELOW = 4,      /* real: high itself is not allowed */
    GR_SETTING_CHANGEABLE = 8, /* does not decide the model's bits: left out of the digest */
    GR_SETTING_SECONDS = 16,   /* real: may be written with a unit of time */
};

/* The most settings there are, and keys of a section with the one that ends them. */
enum { GR_SETTINGS_MAX = 256, GR_FIELDS_MAX = 32 };

/* The bounds are those of the value, or of each value in a list. */
struct gr_setting {
    const char *path;     /* "[]" in it: of each entry of that list */
    const char *standard; /* default, of a list its entries with spaces between; NULL for an empty
                             text or list, or where one is required */
    unsigned flags;
    uint64_t whole_low, whole_high;
    double real_low, real_high;
    /* Text: the words allowed, the i-th, NULL behind the last; NULL: any text. */
    const char *(*word)(size_t i);
};

/* The settings of another kind of file than a config: its rows, by path. */
struct gr_setting_rows {
    const struct gr_setting *row;
    size_t n;
};
/* As gr_setting_find, among these. */
const struct gr_setting *gr_setting_find_in(const struct gr_setting_rows *rows, const char *path);

/* Of struct gr_config. */
extern const cyaml_schema_value_t gr_config_schema;
/* Of struct gr_schema. */
extern const cyaml_schema_value_t gr_table_schema;
/* Of struct gr_study_config, the section `study` of a study's file, and of struct gr_site_config.
 */
extern const cyaml_schema_value_t gr_study_schema, gr_site_schema;
extern const struct gr_setting_rows gr_study_rows, gr_site_rows;

/* A column of it. */
extern const cyaml_schema_value_t gr_column_entry;
enum { GR_COLUMNS_MAX = 10000 };

/* The settings of this room; behind strategy.name stand those that strategies bring. */
extern const struct gr_setting gr_fixed_settings[];
extern const size_t gr_fixed_settings_count;
/* The i-th of all settings, in the order in which a config's digest goes by them; NULL behind the
 * last. */
const struct gr_setting *gr_setting_at(size_t i);

/* ---- strategy_section.c ---------------------------------------------------------------------- */

/* The section `strategy`: its name, and the settings of all strategies that are known by now. */
extern cyaml_schema_field_t gr_strategy_fields[];
/* To be called before gr_config_schema is used: takes in what has been registered. */
void gr_strategy_section_update(void);
/* The i-th setting of strategies; NULL behind the last. */
const struct gr_setting *gr_strategy_setting_row(size_t i);

/*
 * The setting at "data.partition.alpha" or "faults[3].kind"; for sections and what lies in
 * silo_tables one without default and bounds, never NULL.
 */
const struct gr_setting *gr_setting_find(const char *path);

/* "a whole number from 1 to 10", "0 <= x < 1", "idx, hdf5 or synthetic"... */
void gr_setting_allowed(const cyaml_schema_value_t *schema, const struct gr_setting *setting,
                        char *out, size_t size);

/* "name, seed, rounds": the keys of a section. */
void gr_keys_allowed(const cyaml_schema_value_t *schema, char *out, size_t size);

#endif
