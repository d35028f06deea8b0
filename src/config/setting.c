/* SPDX-License-Identifier: Apache-2.0 */
/* The setting at a path, and its allowed values in words. Paths are searched for in a row: there
 * are some two hundred settings, and a config is read once. */
#include "config/schema.h"

#include <stdio.h>
#include <string.h>

/* "faults[].kind" stands for the kind of every fault. */
static bool stands_for(const char *setting, const char *path) {
    for (; *setting && *setting == *path; setting++, path++)
        if (*path == '[') path += strspn(path + 1, "0123456789");
    return *setting == *path;
}

/* Sections have no row of their own, and get an empty one: no default, no bounds, no flags. */
static const struct gr_setting none = {.path = ""};

const struct gr_setting *gr_setting_find_in(const struct gr_setting_rows *rows, const char *path) {
    for (size_t i = 0; i < rows->n; i++)
        if (stands_for(rows->row[i].path, path)) return &rows->row[i];
    return &none;
}

const struct gr_setting *gr_setting_find(const char *path) {
    const struct gr_setting *setting;
    for (size_t i = 0; (setting = gr_setting_at(i)); i++)
        if (stands_for(setting->path, path)) return setting;
    return &none;
}

/* How many of the room's own settings stand in front of those of strategies. Searched for once;
 * strategy.name is in the table, so that the loop ends. */
static size_t place_of_strategies(void) {
    static size_t place;
    while (place == 0 || strcmp(gr_fixed_settings[place - 1].path, "strategy.name") != 0)
        place++;
    return place;
}

/* The settings of strategies stand where the section stands, in the middle of the table: digests go
 * by this order. */
const struct gr_setting *gr_setting_at(size_t i) {
    const size_t place = place_of_strategies();
    size_t n = 0;
    if (i < place) return &gr_fixed_settings[i];
    const struct gr_setting *row = gr_strategy_setting_row(i - place);
    if (row) return row;
    while (gr_strategy_setting_row(n))
        n++;
    return i - n < gr_fixed_settings_count ? &gr_fixed_settings[i - n] : NULL;
}

/* ---- what is allowed, in words ------------------------------------------------------------ */

static void join(char *out, size_t size, size_t *used, const char *before, const char *word) {
    int n = snprintf(out + *used, size - *used, "%s%s", before, word);
    if (n > 0) *used = *used + (size_t)n < size ? *used + (size_t)n : size - 1;
}

/* "a, b or c": the i-th of words of which `last` says whether it is the last. */
static void join_word(char *out, size_t size, size_t *used, size_t i, bool last, const char *word) {
    join(out, size, used, i == 0 ? "" : last ? " or " : ", ", word);
}

void gr_keys_allowed(const cyaml_schema_value_t *schema, char *out, size_t size) {
    size_t used = 0;
    *out = '\0';
    for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key; f++)
        join(out, size, &used, used > 0 ? ", " : "", f->key);
}

/* The same words in errors, in help and in the manual's tables. A list's words are those of its
 * entries. */
void gr_setting_allowed(const cyaml_schema_value_t *schema, const struct gr_setting *setting,
                        char *out, size_t size) {
    char words[512];
    size_t used = 0;
    *out = '\0';
    switch (schema->type) {
    case CYAML_UINT:
        snprintf(out, size, "a whole number from %ju to %ju", (uintmax_t)setting->whole_low,
                 (uintmax_t)setting->whole_high);
        break;
    case CYAML_FLOAT:
        snprintf(out, size, "%g %s x %s %g%s", setting->real_low,
                 setting->flags & GR_SETTING_ABOVE ? "<" : "<=",
                 setting->flags & GR_SETTING_BELOW ? "<" : "<=", setting->real_high,
                 setting->flags & GR_SETTING_SECONDS ? " seconds, or 10m, 36h, 2d" : "");
        break;
    case CYAML_ENUM:
        for (uint32_t i = 0; i < schema->enumeration.count; i++)
            join_word(out, size, &used, i, i + 1 == schema->enumeration.count,
                      schema->enumeration.strings[i].str);
        break;
    case CYAML_BOOL:
        snprintf(out, size, "true or false");
        break;
    case CYAML_SEQUENCE:
        gr_setting_allowed(schema->sequence.entry, setting, words, sizeof words);
        snprintf(out, size, "a list of at most %u, each %s", schema->sequence.max, words);
        break;
    case CYAML_MAPPING:
        gr_keys_allowed(schema, words, sizeof words);
        snprintf(out, size, "a section of %s", words);
        break;
    default:
        for (size_t i = 0; setting->word && setting->word(i); i++)
            join_word(out, size, &used, i, !setting->word(i + 1), setting->word(i));
        if (setting->word) break;
        snprintf(out, size, "text of at most %u bytes, no control characters, '' for none",
                 schema->string.max);
    }
}
