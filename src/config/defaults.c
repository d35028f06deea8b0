/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defaults and allowed values of the settings, out of granary/settings.h, and the bounds that are
 * written in capitals there. The settings of a table's schema and of a fit's text stand here as
 * rows, since no list of keys in settings.h has them.
 */
#include "config/schema.h"

#include <granary/study.h>

#include <float.h>

#define COUNT(array)       (sizeof(array) / sizeof *(array))
#define FROM_TO(low, high) .whole_low = (low), .whole_high = (high)
#define BETWEEN(low, high) .real_low = (low), .real_high = (high)

/*
 * Bounds keep arithmetic elsewhere from overflowing, and memory from being asked for by a slip of
 * the keyboard: counts of silos and rounds fit uint32_t with room for sums of two, a width of
 * layers is squared as a tensor's size.
 */
enum {
    DECIDES = 0,
    REQUIRED = GR_SETTING_REQUIRED,
    ABOVE = GR_SETTING_ABOVE,
    BELOW = GR_SETTING_BELOW,
    CHANGEABLE = GR_SETTING_CHANGEABLE,
    SECONDS = GR_SETTING_SECONDS,
    SILOS_MAX = 1000000,
    ROUNDS_MAX = 10000000,
    WIDTH_MAX = 65536,
    WHOLE_MAX = 1 << 24, /* that float32 tells from its neighbours */
    KERNEL_MAX = 1024,
    SECONDS_MAX = 1000000,
    RATE_MAX = 1000, /* of a learning rate and the like: beyond it there is no sense, and float32
                        runs out of range */
};

/* The metrics that a config may name. */
static const char *metric_word(size_t i) {
    for (unsigned m = 0; m < gr_metric_count; m++)
        if (!gr_metric_rows[m].always && i-- == 0) return gr_metric_rows[m].name;
    return NULL;
}

static const char *strategy_word(size_t i) {
    const struct gr_strategy *strategy = gr_strategy_at(i);
    return strategy ? strategy->name : NULL;
}

/* A row of granary/settings.h; in: the path of its section, with the point behind it: literals that
 * are joined, which parentheses would part. */
/* NOLINTBEGIN(bugprone-macro-parentheses) */
#define SETTING_WHOLE(in, name, default, bits, low, high)                                          \
    {.path = in #name, .standard = default, .flags = (bits), FROM_TO(low, high)},
#define SETTING_WIDE(in, name, default, bits, low, high)                                           \
    {.path = in #name, .standard = default, .flags = (bits), FROM_TO(low, high)},
#define SETTING_COUNT(in, name, default, bits, low, high)                                          \
    {.path = in #name, .standard = default, .flags = (bits), FROM_TO(low, high)},
#define SETTING_REAL(in, name, default, bits, low, high)                                           \
    {.path = in #name, .standard = default, .flags = (bits), BETWEEN(low, high)},
#define SETTING_YES_NO(in, name, default, bits)                                                    \
    {.path = in #name, .standard = default, .flags = (bits)},
#define SETTING_TEXT(in, name, default, bits)                                                      \
    {.path = in #name, .standard = default, .flags = (bits)},
#define SETTING_ONE_OF(in, name, type, words, default, bits)                                       \
    {.path = in #name, .standard = default, .flags = (bits)},
#define SETTING_LAYER(in, name, type, default, bits)                                               \
    {.path = in #name, .standard = default, .flags = (bits)},
#define SETTING_WHOLES(in, name, most, default, bits, low, high)                                   \
    {.path = in #name, .standard = default, .flags = (bits), FROM_TO(low, high)},
#define SETTING_TEXTS(in, name, most, default, bits, words)                                        \
    {.path = in #name, .standard = default, .flags = (bits), .word = (words)},
#define SETTING_SECTION(in, name, type, keys) keys(SETTING, in #name ".")
#define SETTING_SECTIONS(in, name, type, keys, most, bits)                                         \
    {.path = in #name, .flags = (bits)}, keys(SETTING, in #name "[].")
/* Behind it stand the settings that strategies bring: strategy_section.c. */
#define SETTING_STRATEGY(in, name, type)                                                           \
    {.path = in #name ".name", .standard = "fedavg", .word = strategy_word},
#define SETTING_PART(in, name, type, keys) keys(SETTING, in #name ".")
#define SETTING_PARTS(in, name, type, keys, most, bits)                                            \
    {.path = in #name, .flags = (bits)}, keys(SETTING, in #name "[].")
/* NOLINTEND(bugprone-macro-parentheses) */

const struct gr_setting gr_fixed_settings[] = {
    GR_CONFIG_KEYS(SETTING, "")
    /* Of a schema's file, not of a config. */
    {.path = "columns", .flags = REQUIRED | CHANGEABLE},
    {.path = "columns[].name", .flags = REQUIRED | CHANGEABLE},
    {.path = "columns[].type", .flags = REQUIRED | CHANGEABLE},
    {.path = "columns[].unit", .flags = CHANGEABLE},
    {.path = "columns[].range", .flags = CHANGEABLE, BETWEEN(-FLT_MAX, FLT_MAX)},
    {.path = "columns[].categories", .flags = CHANGEABLE},
    {.path = "columns[].missing", .standard = "refuse", .flags = CHANGEABLE},
    {.path = "columns[].encode", .standard = "code", .flags = CHANGEABLE},
    {.path = "columns[].scale", .standard = "default", .flags = CHANGEABLE},
    {.path = "columns[].open", .standard = "false", .flags = CHANGEABLE},
    {.path = "columns[].decimal", .standard = "point", .flags = CHANGEABLE},
    {.path = "columns[].thousands", .standard = "none", .flags = CHANGEABLE},
    {.path = "columns[].percent", .standard = "false", .flags = CHANGEABLE},
    {.path = "columns[].affixes", .flags = CHANGEABLE},
    {.path = "columns[].missing_words", .flags = CHANGEABLE},
    {.path = "columns[].censored", .flags = CHANGEABLE},
    {.path = "columns[].origin", .standard = "0", .flags = CHANGEABLE, BETWEEN(-1e300, 1e300)},
    {.path = "columns[].format", .standard = "iso", .flags = CHANGEABLE},
    {.path = "columns[].in", .standard = "days", .flags = CHANGEABLE},
    {.path = "columns[].since", .flags = CHANGEABLE},
    {.path = "columns[].unlabelled", .standard = "refuse", .flags = CHANGEABLE},
    {.path = "columns[].slices_only", .standard = "false", .flags = CHANGEABLE},
    {.path = "decimal", .standard = "point", .flags = CHANGEABLE},
    {.path = "thousands", .standard = "none", .flags = CHANGEABLE},
    {.path = "missing_words", .flags = CHANGEABLE},
    /* Of a fit's text. */
    {.path = "low", .flags = CHANGEABLE, BETWEEN(-DBL_MAX, DBL_MAX)},
    {.path = "high", .flags = CHANGEABLE, BETWEEN(-DBL_MAX, DBL_MAX)},
    {.path = "fill", .flags = REQUIRED | CHANGEABLE, BETWEEN(-DBL_MAX, DBL_MAX)},
    {.path = "centre", .flags = REQUIRED | CHANGEABLE, BETWEEN(-DBL_MAX, DBL_MAX)},
    {.path = "spread", .flags = REQUIRED | CHANGEABLE, BETWEEN(0, DBL_MAX)},
};

static const struct gr_setting study_settings[] = {GR_STUDY_KEYS(SETTING, "")};
const struct gr_setting_rows gr_study_rows = {study_settings, COUNT(study_settings)};
static const struct gr_setting site_settings[] = {GR_SITE_KEYS(SETTING, "")};
const struct gr_setting_rows gr_site_rows = {site_settings, COUNT(site_settings)};

const size_t gr_fixed_settings_count = COUNT(gr_fixed_settings);

_Static_assert(COUNT(gr_fixed_settings) + GR_STRATEGY_SETTINGS_MAX <= GR_SETTINGS_MAX,
               "more settings than GR_SETTINGS_MAX");
