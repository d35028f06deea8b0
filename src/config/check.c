/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rules of single settings, checked by a walk over the tree along the schema. The walk never
 * stops at a broken rule: it puts a filler in its place, so that everything behind it can be
 * checked too. Rules between settings are rules*.c's, which run over the struct afterwards.
 */
#include "config/check.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The words of a long list of values are cut there. */
enum { ALLOWED_BYTES = 512 };

/* The settings of the file that is checked, and where its broken rules go. */
struct tree_check {
    const struct gr_setting_rows *rows; /* NULL: a config's */
    struct gr_broken *broken;
};

static const struct gr_setting *find(const struct tree_check *c, const char *path) {
    return c->rows ? gr_setting_find_in(c->rows, path) : gr_setting_find(path);
}

/* ---- single values ------------------------------------------------------------------------ */

/* The letters of a decimal number: strtod alone would also take hexadecimal numbers, "inf" and
 * "nan". Messages show such a text as it stands, any other in quotes. */
static bool is_number(const struct gr_node *node) {
    return node->length > 0 && strspn(node->text, "0123456789+-.eE") == node->length;
}

/* A node's value in words, for a message. */
static void found_text(const struct gr_node *node, char *out, size_t size) {
    char quoted[64];
    if (gr_node_is_nothing(node)) {
        snprintf(out, size, "nothing");
    } else if (node->kind == GR_NODE_SCALAR) {
        const char *mark = is_number(node) ? "" : "\"";
        gr_text_quote(node->text, node->length, quoted, sizeof quoted);
        snprintf(out, size, "%s%s%s", mark, quoted, mark);
    } else {
        snprintf(out, size, "%s", node->kind == GR_NODE_LIST ? "a list" : "a section");
    }
}

/* Decimal only: YAML 1.1 takes 010 for eight, YAML 1.2 for ten. */
static bool whole_holds(const struct gr_node *node, const struct gr_setting *setting) {
    size_t n = node->length;
    if (n == 0 || n > 20 || strspn(node->text, "0123456789") != n) return false;
    if (n > 1 && node->text[0] == '0') return false;
    errno = 0;
    unsigned long long value = strtoull(node->text, NULL, 10);
    return errno == 0 && value >= setting->whole_low && value <= setting->whole_high;
}

static bool real_holds(const struct gr_node *node, const struct gr_setting *setting) {
    char *end;
    if (!is_number(node)) return false;
    errno = 0;
    double value = strtod(node->text, &end);
    /* ERANGE: too large, or so small that digits were lost; libcyaml refuses both. */
    if (*end || errno != 0 || !isfinite(value)) return false;
    return value >= setting->real_low && value <= setting->real_high &&
           !(setting->flags & GR_SETTING_ABOVE && value <= setting->real_low) &&
           !(setting->flags & GR_SETTING_BELOW && value >= setting->real_high);
}

/* "36h" becomes the number of seconds; any other text stays as it is. */
static gr_status spell_out(struct gr_node *node) {
    char text[48];
    double seconds;
    const size_t n = node->kind == GR_NODE_SCALAR ? node->length : 0;
    if (n < 2 || n >= sizeof text || (node->text[n - 1] >= '0' && node->text[n - 1] <= '9') ||
        !gr_seconds_parse(node->text, &seconds))
        return GR_OK;
    const int length = snprintf(text, sizeof text, "%.17g", seconds);
    return gr_node_set_text(node, text, (size_t)length);
}

/* By case: "Adam" is refused, with the words that are allowed. */
static bool name_holds(const struct gr_node *node, const cyaml_schema_value_t *schema) {
    for (uint32_t i = 0; i < schema->enumeration.count; i++)
        if (strcmp(schema->enumeration.strings[i].str, node->text) == 0) return true;
    return false;
}

/* YAML 1.1's yes, no, on and off are refused, since YAML 1.2 takes them for texts. */
static bool is_true_or_false(const struct gr_node *node) {
    return strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0;
}

static bool word_holds(const char *text, const char *(*word)(size_t i)) {
    for (size_t i = 0; word(i); i++)
        if (strcmp(text, word(i)) == 0) return true;
    return false;
}

/* Control characters are refused, since a text may become a path, a name in a line of progress, or
 * a cell of the report. */
static bool text_holds(const struct gr_node *node, const cyaml_schema_value_t *schema,
                       const struct gr_setting *setting) {
    if (setting->word && !word_holds(node->text, setting->word)) return false;
    for (size_t i = 0; i < node->length; i++)
        if ((unsigned char)node->text[i] < 0x20 || node->text[i] == 0x7F) return false;
    return node->length <= schema->string.max;
}

static bool scalar_holds(const struct gr_node *node, const cyaml_schema_value_t *schema,
                         const struct gr_setting *setting) {
    /* libyaml lets a text hold a NUL. */
    if (node->kind != GR_NODE_SCALAR || gr_node_is_nothing(node) ||
        strlen(node->text) != node->length)
        return false;
    switch (schema->type) {
    case CYAML_UINT:
        return whole_holds(node, setting);
    case CYAML_FLOAT:
        return real_holds(node, setting);
    case CYAML_ENUM:
        return name_holds(node, schema);
    case CYAML_BOOL:
        return is_true_or_false(node);
    default:
        return text_holds(node, schema, setting);
    }
}

/* ---- defaults and fillers ----------------------------------------------------------------- */

static gr_status add_missing(const struct tree_check *c, struct gr_node *section,
                             const cyaml_schema_field_t *field, const char *path, bool broken);

/* A list's default: entries with spaces between, or none. */
static gr_status fill_list(struct gr_node *node, const char *text) {
    gr_status status = GR_OK;
    struct gr_node *entry;
    node->kind = GR_NODE_LIST;
    for (size_t n; text && *text; text += n + (text[n] == ' ')) {
        n = strcspn(text, " ");
        GR_TRY(gr_node_create(GR_NODE_SCALAR, NULL, NULL, &entry));
        gr_node_append(node, entry);
        GR_TRY(gr_node_set_text(entry, text, n));
    }
out:
    return status;
}

/*
 * Gives a node its default, or where there is none some value of its type, which libcyaml must be
 * able to load; rules between settings do not look at it, because it is marked broken. A text's
 * default is quoted: "null" or "" unquoted would be nothing.
 */
static gr_status fill(const struct tree_check *c, struct gr_node *node,
                      const cyaml_schema_value_t *schema, const char *path, bool broken) {
    gr_status status = GR_OK;
    const char *text = find(c, path)->standard;
    gr_node_clear(node);
    node->broken = broken;
    switch (schema->type) {
    case CYAML_MAPPING:
        node->kind = GR_NODE_SECTION;
        for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key; f++)
            GR_TRY(add_missing(c, node, f, path, broken));
        break;
    case CYAML_SEQUENCE:
        GR_TRY(fill_list(node, text));
        break;
    default:
        node->kind = GR_NODE_SCALAR;
        if (!text)
            text = schema->type == CYAML_STRING ? ""
                   : schema->type == CYAML_ENUM ? schema->enumeration.strings[0].str
                   : schema->type == CYAML_BOOL ? "false"
                                                : "1";
        node->quoted = schema->type == CYAML_STRING;
        GR_TRY(gr_node_set_text(node, text, strlen(text)));
    }
out:
    return status;
}

static void join_path(char *out, size_t size, const char *path, const char *key) {
    snprintf(out, size, "%s%s%s", path, *path ? "." : "", key);
}

static gr_status add_missing(const struct tree_check *c, struct gr_node *section,
                             const cyaml_schema_field_t *field, const char *path, bool broken) {
    char below[256];
    struct gr_node *node;
    join_path(below, sizeof below, path, field->key);
    gr_status status = gr_node_create(GR_NODE_SCALAR, field->key, NULL, &node);
    if (status != GR_OK) return status;
    gr_node_append(section, node);
    return fill(c, node, &field->value, below, broken);
}

/* ---- sections ----------------------------------------------------------------------------- */

static gr_status check_value(const struct tree_check *c, struct gr_node *node,
                             const cyaml_schema_value_t *schema, const struct gr_setting *setting,
                             const char *path);

static size_t keys_of(const cyaml_schema_field_t *fields, const char *keys[GR_FIELDS_MAX]) {
    size_t n = 0;
    while (fields[n].key) {
        keys[n] = fields[n].key;
        n++;
    }
    return n;
}

/*
 * The setting of any section that has the key `word`, best one below `path`, or else the one
 * nearest to it; or NULL. Settings of lists' entries are left out: a "silo" in data is not one of a
 * fault.
 */
static const char *find_elsewhere(const char *word, bool exactly, const char *path) {
    const char *keys[GR_SETTINGS_MAX] = {NULL}, *paths[GR_SETTINGS_MAX] = {NULL};
    size_t n = 0;
    const struct gr_setting *setting;
    for (size_t i = 0; (setting = gr_setting_at(i)); i++) {
        if (strchr(setting->path, '[') || !strchr(setting->path, '.')) continue;
        paths[n] = setting->path;
        keys[n] = strrchr(paths[n], '.') + 1;
        n++;
    }
    const char *nearest = exactly ? NULL : gr_text_nearest(word, keys, n), *found = NULL;
    for (size_t i = 0; i < n; i++) {
        if (exactly ? strcmp(keys[i], word) != 0 : keys[i] != nearest) continue;
        if (!found) found = paths[i];
        if (*path && strncmp(paths[i], path, strlen(path)) == 0) return paths[i];
    }
    return found;
}

/*
 * Reports a key that is none of the section's. Returns the index of the key that was meant, so that
 * its absence is not reported as well; -1 if that cannot be told.
 */
static int report_unknown(const struct tree_check *c, const struct gr_node *node,
                          const cyaml_schema_value_t *schema, const char *path) {
    const char *keys[GR_FIELDS_MAX], *nearest = NULL, *elsewhere = NULL;
    char word[GR_TREE_KEY_MAX + 4], shown[256], allowed[ALLOWED_BYTES], meant[256] = "";
    size_t n = keys_of(schema->mapping.fields, keys);
    int index = -1;
    gr_text_quote(node->key, node->key_length, word, sizeof word);
    if (node->key_length <= GR_TREE_KEY_MAX && node->key_length > 0) {
        /* Of another file than the settings. */
        const bool of_entry = c->rows || strncmp(path, "columns[", 8) == 0;
        elsewhere = of_entry ? NULL : find_elsewhere(word, true, path);
        if (!elsewhere) nearest = gr_text_nearest(word, keys, n);
        if (!elsewhere && !nearest && !of_entry) elsewhere = find_elsewhere(word, false, path);
    }
    for (size_t i = 0; i < n; i++)
        if (nearest == keys[i]) index = (int)i;
    if (nearest) join_path(meant, sizeof meant, path, nearest);
    if (elsewhere) snprintf(meant, sizeof meant, "%s", elsewhere);
    join_path(shown, sizeof shown, path, word);
    gr_keys_allowed(schema, allowed, sizeof allowed);
    gr_broken_add(c->broken, node->place, shown, "found an unknown key, allowed %s%s%s", allowed,
                  *meant ? "; nearest is " : "", meant);
    return index;
}

/* Keys are compared by length and bytes: a key in the file may hold a NUL. */
static int field_index(const cyaml_schema_field_t *fields, const struct gr_node *node) {
    for (int i = 0; fields[i].key; i++)
        if (strlen(fields[i].key) == node->key_length &&
            memcmp(fields[i].key, node->key, node->key_length) == 0)
            return i;
    return -1;
}

/* Takes out unknown and repeated keys; present[i]: field i is there, or was misspelt (meant[i]). */
static void check_keys(const struct tree_check *c, struct gr_node *node,
                       const cyaml_schema_value_t *schema, const char *path,
                       struct gr_node *present[GR_FIELDS_MAX], bool meant[GR_FIELDS_MAX]) {
    char below[256];
    struct gr_node **link = &node->child, *previous = NULL;
    while (*link) {
        int i = field_index(schema->mapping.fields, *link);
        if (i >= 0 && !present[i]) {
            present[i] = previous = *link;
            link = &previous->next;
            continue;
        }
        if (i >= 0) {
            join_path(below, sizeof below, path, schema->mapping.fields[i].key);
            gr_broken_add(c->broken, (*link)->place, below,
                          "found a second time (first in line %zu), allowed once",
                          present[i]->place.line);
        } else if ((i = report_unknown(c, *link, schema, path)) >= 0) {
            meant[i] = true;
        }
        gr_node_remove(node, link, previous);
    }
}

/* Afterwards each field is there once. A section that is absent is made and walked over, as an
 * empty one would be, so that its defaults are filled in, and a required key in it is missed. */
static gr_status check_section(const struct tree_check *c, struct gr_node *node,
                               const cyaml_schema_value_t *schema, const char *path) {
    gr_status status = GR_OK;
    struct gr_node *present[GR_FIELDS_MAX] = {NULL};
    bool meant[GR_FIELDS_MAX] = {false};
    char below[256], allowed[ALLOWED_BYTES];
    check_keys(c, node, schema, path, present, meant);
    for (int i = 0; schema->mapping.fields[i].key; i++) {
        const cyaml_schema_field_t *field = &schema->mapping.fields[i];
        join_path(below, sizeof below, path, field->key);
        const struct gr_setting *setting = find(c, below);
        if (present[i]) {
            GR_TRY(check_value(c, present[i], &field->value, setting, below));
            continue;
        }
        if (field->value.type == CYAML_MAPPING && !meant[i]) {
            /* It may hold what is required. */
            struct gr_node *made;
            GR_TRY(gr_node_create(GR_NODE_SECTION, field->key, NULL, &made));
            gr_node_append(node, made);
            GR_TRY(check_section(c, made, &field->value, below));
            continue;
        }
        bool missing = setting->flags & GR_SETTING_REQUIRED;
        if (missing && !meant[i]) {
            gr_setting_allowed(&field->value, setting, allowed, sizeof allowed);
            gr_broken_add(c->broken, node->place, below, "is required; found nothing, allowed %s",
                          allowed);
        }
        GR_TRY(add_missing(c, node, field, path, missing || meant[i]));
    }
out:
    return status;
}

/* ---- the walk ----------------------------------------------------------------------------- */

/* An entry that is broken breaks its list: a rule about how many entries there are would speak of
 * fillers. */
static gr_status check_list(const struct tree_check *c, struct gr_node *node,
                            const cyaml_schema_value_t *schema, const struct gr_setting *setting,
                            const char *path) {
    gr_status status = GR_OK;
    char below[256];
    size_t i = 0;
    for (struct gr_node *child = node->child; child; child = child->next, i++) {
        snprintf(below, sizeof below, "%s[%zu]", path, i);
        GR_TRY(check_value(c, child, schema->sequence.entry, setting, below));
        if (child->broken) node->broken = true;
    }
out:
    return status;
}

static gr_status check_value(const struct tree_check *c, struct gr_node *node,
                             const cyaml_schema_value_t *schema, const struct gr_setting *setting,
                             const char *path) {
    char found[128], allowed[ALLOWED_BYTES];
    bool nothing = gr_node_is_nothing(node);
    if (setting->flags & GR_SETTING_SECONDS) {
        gr_status status = spell_out(node);
        if (status != GR_OK) return status;
    }
    if (schema->type == CYAML_MAPPING && (node->kind == GR_NODE_SECTION || nothing)) {
        /* A section of which every line is commented out. */
        if (nothing) gr_node_clear(node);
        node->kind = GR_NODE_SECTION;
        return check_section(c, node, schema, path);
    }
    if (schema->type == CYAML_SEQUENCE && node->kind == GR_NODE_LIST) {
        if (node->n_children <= schema->sequence.max)
            return check_list(c, node, schema, setting, path);
        snprintf(found, sizeof found, "a list of %zu", node->n_children);
    } else if (schema->type != CYAML_MAPPING && schema->type != CYAML_SEQUENCE &&
               scalar_holds(node, schema, setting)) {
        return GR_OK;
    } else if (schema->type == CYAML_STRING && node->length > schema->string.max) {
        snprintf(found, sizeof found, "%zu bytes", node->length);
    } else {
        found_text(node, found, sizeof found);
    }
    gr_setting_allowed(schema, setting, allowed, sizeof allowed);
    const bool lacks = gr_node_is_nothing(node) && setting->flags & GR_SETTING_REQUIRED;
    gr_broken_add(c->broken, node->place, path, "%sfound %s, allowed %s",
                  lacks ? "is required; " : "", found, allowed);
    return fill(c, node, schema, path, true);
}

gr_status gr_check_tree(struct gr_node *root, const cyaml_schema_value_t *schema,
                        const struct gr_setting_rows *rows, struct gr_broken *broken) {
    const struct tree_check c = {rows, broken};
    return check_value(&c, root, schema, find(&c, ""), "");
}
