/* SPDX-License-Identifier: Apache-2.0 */
/* Every setting with its default and its allowed values, out of the tables that the checker goes
 * by, so that help cannot be out of date. The words that explain a setting are the manual's. */
#include "config/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_BYTES = 128, ALLOWED_BYTES = 512, NAME_WIDTH = 32, STANDARD_WIDTH = 16 };

/* Lines that grow. */
struct page {
    char *text; /* owned */
    size_t used, room;
    const char *section; /* what is asked for; "": all */
};

/* "data" is above "data.csv" and "faults" above "faults[]", but "data" not above "database". */
static bool is_below(const char *path, const char *section) {
    const size_t n = strlen(section);
    return n == 0 || (strncmp(path, section, n) == 0 && strchr(".[", path[n]));
}

static gr_status add_line(struct page *page, const char *path, const char *standard,
                          const char *allowed) {
    const size_t bytes =
        strlen(path) + strlen(standard) + strlen(allowed) + NAME_WIDTH + STANDARD_WIDTH + 8;
    if (page->used + bytes > page->room) {
        const size_t room = 2 * page->room + bytes;
        char *grown;
        gr_status status = gr_allocate(room, 1, "a page", &grown);
        if (status != GR_OK) return status;
        if (page->text) memcpy(grown, page->text, page->used);
        gr_free(page->text);
        page->text = grown;
        page->room = room;
    }
    page->used +=
        (size_t)snprintf(page->text + page->used, page->room - page->used, "%-*s  %-*s  %s\n",
                         NAME_WIDTH, path, STANDARD_WIDTH, standard, allowed);
    return GR_OK;
}

/* A default that is not itself allowed stands for one that follows from other settings. */
static const char *standard_of(const cyaml_schema_value_t *value,
                               const struct gr_setting *setting) {
    if (setting->flags & GR_SETTING_REQUIRED) return "required";
    if (value->type == CYAML_SEQUENCE) return setting->standard ? setting->standard : "[]";
    if (!setting->standard) return "''";
    const bool whole = value->type == CYAML_UINT;
    if (whole && strtoull(setting->standard, NULL, 10) < setting->whole_low) return "-";
    return setting->standard;
}

static void allowed_of(const cyaml_schema_value_t *value, const struct gr_setting *setting,
                       char out[ALLOWED_BYTES]) {
    if (value->type == CYAML_STRING && !setting->word)
        snprintf(out, ALLOWED_BYTES, "text");
    else if (value->type == CYAML_SEQUENCE && value->sequence.entry->type == CYAML_MAPPING)
        snprintf(out, ALLOWED_BYTES, "a list of at most %u, each with:", value->sequence.max);
    else
        gr_setting_allowed(value, setting, out, ALLOWED_BYTES);
}

static gr_status add_section(struct page *page, const cyaml_schema_value_t *section,
                             const char *path);

/* Sections and lists of sections call themselves with a longer path: "faults" and then
 * "faults[].kind". */
static gr_status add_setting(struct page *page, const cyaml_schema_field_t *field,
                             const char *above) {
    const cyaml_schema_value_t *value = &field->value;
    char path[PATH_BYTES], allowed[ALLOWED_BYTES];
    gr_status status = GR_OK;
    snprintf(path, sizeof path, "%s%s%s", above, above[0] ? "." : "", field->key);
    if (value->type == CYAML_MAPPING) return add_section(page, value, path);
    const struct gr_setting *setting = gr_setting_find(path);
    allowed_of(value, setting, allowed);
    if (is_below(path, page->section))
        GR_TRY(add_line(page, path, standard_of(value, setting), allowed));
    if (value->type == CYAML_SEQUENCE && value->sequence.entry->type == CYAML_MAPPING) {
        const size_t used = strlen(path);
        snprintf(path + used, sizeof path - used, "[]");
        status = add_section(page, value->sequence.entry, path);
    }
out:
    return status;
}

static gr_status add_section(struct page *page, const cyaml_schema_value_t *section,
                             const char *path) {
    gr_status status = GR_OK;
    for (const cyaml_schema_field_t *f = section->mapping.fields; f->key; f++)
        GR_TRY(add_setting(page, f, path));
out:
    return status;
}

/* The keys of the deepest section that `path` names, the nearest of them, and how much of `path`
 * names that section, its dot included. */
static const char *find_nearest(const char *path, const cyaml_schema_value_t **section,
                                size_t *used) {
    const char *names[GR_FIELDS_MAX];
    size_t n = 0;
    const cyaml_schema_field_t *f = (*section)->mapping.fields;
    const size_t length = strcspn(path + *used, ".");
    for (; f->key; f++) {
        if (f->value.type == CYAML_MAPPING && path[*used + length] == '.' &&
            strlen(f->key) == length && strncmp(f->key, path + *used, length) == 0) {
            *section = &f->value;
            *used += length + 1;
            return find_nearest(path, section, used);
        }
        names[n++] = f->key;
    }
    return gr_text_nearest(path + *used, names, n);
}

static gr_status refuse_section(const char *section) {
    const cyaml_schema_value_t *found = &gr_config_schema;
    char quoted[80], known[ALLOWED_BYTES];
    size_t used = 0;
    const char *nearest = find_nearest(section, &found, &used);
    gr_text_quote(section, strlen(section), quoted, sizeof quoted);
    gr_keys_allowed(found, known, sizeof known);
    return gr_fail(GR_ERROR_USAGE, "help config: found '%s', expected %s%.*s%sone of %s%s%.*s%s",
                   quoted, used > 0 ? "behind '" : "", (int)used, section, used > 0 ? "' " : "",
                   known, nearest ? "; nearest is " : "", nearest ? (int)used : 0, section,
                   nearest ? nearest : "");
}

/* A section that is none gives no line, and is refused with the nearest name. */
static gr_status write_page(const cyaml_schema_value_t *schema, const char *section, char **out) {
    struct page page = {.section = section};
    gr_status status;
    *out = NULL;
    GR_TRY(add_line(&page, "setting", "default", "allowed"));
    const size_t head = page.used;
    GR_TRY(add_section(&page, schema, ""));
    if (page.used == head) {
        status = refuse_section(section);
        goto out;
    }
    *out = page.text;
    page.text = NULL;
out:
    gr_free(page.text);
    return status;
}

gr_status gr_config_help(const char *section, char **out) {
    gr_strategy_section_update();
    return write_page(&gr_config_schema, section, out);
}

gr_status gr_schema_help(char **out) {
    return write_page(&gr_table_schema, "", out);
}

bool gr_config_requires(const char *path) {
    return gr_setting_find(path)->flags & GR_SETTING_REQUIRED;
}
