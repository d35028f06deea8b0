/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text and overrides to typed settings; settings to text and to a digest. The way in is tree,
 * overrides, checks, libcyaml, rules; a table's schema and what preprocessing has learnt go the
 * same way with tables of their own. The keys themselves are in granary/settings.h alone.
 */
#include "config/check.h"

#include <inttypes.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libcyaml keeps silent: what it would log has been checked and reported before. */
static const cyaml_config_t quiet = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_NO_ALIAS};

/* Beyond what a person or a sweep gives; each override is parsed as a document of its own. */
enum { OVERRIDES_MAX = 1000 };

/*
 * libcyaml reads numbers with strtod, which stops at the point of "0.05" where the program's
 * language writes a comma, and would load a learning rate of zero. Hence the C locale, for this
 * thread, while numbers are read or written.
 */
struct c_locale {
    locale_t own, before;
};

static gr_status c_locale_enter(struct c_locale *locale) {
    locale->own = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (locale->own == (locale_t)0) return gr_fail(GR_ERROR_INTERNAL, "the C locale was refused");
    locale->before = uselocale(locale->own);
    return GR_OK;
}

static void c_locale_leave(struct c_locale *locale) {
    uselocale(locale->before);
    freelocale(locale->own);
}

/* ---- overrides ---------------------------------------------------------------------------- */

/* Takes *value, and sets it to NULL, once it hangs in the tree; after a failure it is the caller's
 * still. The node keeps its key and its place among its siblings. */
static gr_status put_value(struct gr_node *section, const char *key, size_t length,
                           struct gr_node **value) {
    gr_status status = GR_OK;
    struct gr_node *old = gr_node_child(section, key, length);
    char copy[GR_TREE_KEY_MAX + 1];
    snprintf(copy, sizeof copy, "%.*s", (int)length, key);
    if (!old) {
        GR_TRY(gr_node_create(GR_NODE_SCALAR, copy, NULL, &old));
        gr_node_append(section, old);
    }
    gr_node_take(old, *value);
    *value = NULL;
out:
    return status;
}

/* Keys of at most GR_TREE_KEY_MAX bytes, none of them empty, up to the first '='. put_value relies
 * on it. */
static bool is_setting_name(const char *override) {
    size_t depth = 0;
    for (const char *key = override;; key++) {
        size_t length = strcspn(key, ".=");
        if (length == 0 || length > GR_TREE_KEY_MAX || ++depth > GR_TREE_DEPTH_MAX) return false;
        key += length;
        if (*key == '=') return true;
    }
}

/* Puts *value at the override's name, making sections on the way. A value in the way is reported.
 */
static gr_status put_at(struct gr_node *root, const char *override, struct gr_node **value,
                        struct gr_broken *broken) {
    gr_status status = GR_OK;
    struct gr_place place = {.override = override};
    struct gr_node *node = root;
    for (const char *key = override;; key++) {
        size_t length = strcspn(key, ".=");
        if (node->kind != GR_NODE_SECTION) {
            gr_broken_add(broken, place, "",
                          "found a key below what is no section, allowed section.key=value");
            return GR_OK;
        }
        if (key[length] == '=') return put_value(node, key, length, value);
        struct gr_node *next = gr_node_child(node, key, length);
        if (!next || gr_node_is_nothing(next)) {
            struct gr_node *made = NULL;
            GR_TRY(gr_node_create(GR_NODE_SECTION, NULL, NULL, &made));
            made->place = next ? next->place : place;
            status = put_value(node, key, length, &made);
            gr_node_free(made);
            if (status != GR_OK) return status;
            next = gr_node_child(node, key, length);
        }
        node = next;
        key += length;
    }
out:
    return status;
}

/* The value is YAML: "[64, 32]" is a list, and "'1'" a text. A list's entry cannot be named; the
 * list is given as a whole. */
static gr_status apply_override(struct gr_node *root, const char *override,
                                struct gr_broken *broken) {
    char name[96], key[64];
    struct gr_node *value = NULL;
    size_t length = strcspn(override, "="), all = strlen(override);
    struct gr_place place = {.override = override};
    if (override[length] != '=' || !gr_text_is_utf8(override, all)) {
        gr_broken_add(broken, place, "", "found %s, allowed section.key=value",
                      override[length] != '=' ? "no '='" : "bytes that are not UTF-8");
        return GR_OK;
    }
    if (!is_setting_name(override)) {
        gr_broken_add(broken, place, "", "found no setting's name, allowed section.key=value");
        return GR_OK;
    }
    gr_text_quote(override, length, key, sizeof key);
    snprintf(name, sizeof name, "--set %s", key);
    gr_status status =
        gr_tree_parse(name, override, override + length + 1, all - length - 1, &value);
    if (status == GR_ERROR_CONFIG) {
        /* NAME has its own way into the line. */
        gr_broken_add(broken, place, "", "%s", gr_message() + strlen(name) + 1);
        return GR_OK;
    }
    if (status == GR_OK) status = put_at(root, override, &value, broken);
    gr_node_free(value);
    return status;
}

/* ---- text to settings --------------------------------------------------------------------- */

/* The line is searched for only after the whole text has failed: it costs a second pass. */
static gr_status check_text(const char *name, const char *text, size_t length) {
    if (length > GR_CONFIG_TEXT_MAX)
        return gr_fail(GR_ERROR_CONFIG, "%s: found %zu bytes, allowed at most %d", name, length,
                       GR_CONFIG_TEXT_MAX);
    if (gr_text_is_utf8(text, length)) return GR_OK;
    size_t line = 1;
    for (const char *at = text, *end = text + length; at < end; line++) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        if (!stop) stop = end;
        if (!gr_text_is_utf8(at, (size_t)(stop - at))) break;
        at = stop + 1;
    }
    return gr_fail(GR_ERROR_CONFIG, "%s:%zu: found bytes that are not UTF-8 text, allowed UTF-8",
                   name, line);
}

/*
 * The tree, in which every setting has a value, becomes the struct. It goes by way of text, since
 * libcyaml reads nothing else; a refusal here means that the checker and libcyaml disagree, which
 * is a fault of ours and not the user's.
 */
gr_status gr_settings_load(const struct gr_node *root, const cyaml_schema_value_t *schema,
                           void **out) {
    char *text = NULL;
    size_t length = 0;
    cyaml_data_t *data = NULL;
    gr_status status = gr_tree_emit(root, &text, &length);
    if (status != GR_OK) return status;
    cyaml_err_t error = cyaml_load_data((const uint8_t *)text, length, &quiet, schema, &data, NULL);
    gr_free(text);
    if (error != CYAML_OK)
        return gr_fail(GR_ERROR_INTERNAL, "a checked config was refused: %s",
                       cyaml_strerror(error));
    *out = data;
    return GR_OK;
}

/* In the order of the command line: of two for one key the last holds. The limits are told once,
 * and the config is then refused without looking at the rest. */
static gr_status apply_overrides(struct gr_node *root, const char *const *overrides, size_t n,
                                 struct gr_broken *broken) {
    gr_status status = GR_OK;
    size_t length = 0;
    for (size_t i = 0; i < n; i++) {
        length += strlen(overrides[i]);
        if (n > OVERRIDES_MAX || length > GR_CONFIG_FILE_MAX) {
            gr_broken_add(broken, (struct gr_place){0}, "",
                          "found %zu overrides, allowed at most %d, %d bytes in all", n,
                          OVERRIDES_MAX, GR_CONFIG_FILE_MAX);
            return GR_OK;
        }
        GR_TRY(apply_override(root, overrides[i], broken));
    }
out:
    return status;
}

/* One file of one schema, with its overrides. */
struct reading {
    const char *const *overrides;
    size_t n_overrides;
    const cyaml_schema_value_t *schema;
    gr_rules rules;
    void *settings; /* owned */
};

/*
 * Every stage leaves a whole tree behind, in which fillers stand for settings that were refused: so
 * all stages can run, and all broken rules are told at once.
 */
static gr_status read_one(void *context, struct gr_node *root, struct gr_broken *broken) {
    struct reading *reading = context;
    gr_status status;
    GR_TRY(apply_overrides(root, reading->overrides, reading->n_overrides, broken));
    GR_TRY(gr_check_tree(root, reading->schema, NULL, broken));
    GR_TRY(gr_settings_load(root, reading->schema, &reading->settings));
    status = reading->rules(reading->settings, root, broken);
out:
    return status;
}

/*
 * Settings by the names that earlier versions had for them: records of their runs, and configs that
 * were written for them, are read as they were meant.
 */
static gr_status rename_settings(struct gr_node *root) {
    static const struct {
        const char *section, *was, *is;
    } renamed[] = {{"train", "clip_norm", "max_gradient_norm"}};
    gr_status status = GR_OK;
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++) {
        const char *is = renamed[i].is;
        const struct gr_node *section =
            gr_node_child(root, renamed[i].section, strlen(renamed[i].section));
        struct gr_node *node =
            section ? gr_node_child(section, renamed[i].was, strlen(renamed[i].was)) : NULL;
        char *key = NULL;
        if (!node || gr_node_child(section, is, strlen(is))) continue;
        GR_TRY(gr_text_format(&key, "%s", is));
        gr_free(node->key);
        node->key = key;
        node->key_length = strlen(key);
    }
out:
    return status;
}

static gr_status read_text(const char *name, const char *text, size_t length, gr_reader read,
                           void *context) {
    gr_status status;
    struct gr_node *root = NULL;
    struct gr_broken broken;
    gr_broken_start(&broken, name);
    GR_TRY(check_text(broken.name, text, length));
    GR_TRY(gr_tree_parse(broken.name, NULL, text, length, &root));
    GR_TRY(rename_settings(root));
    GR_TRY(read(context, root, &broken));
    status = gr_broken_status(&broken);
out:
    gr_node_free(root);
    return status;
}

/* Only the calling thread's locale changes, and it is put back on every way out: a program that
 * embeds the library keeps its own. */
gr_status gr_settings_read(const char *name, const char *text, size_t length, gr_reader read,
                           void *context) {
    struct c_locale locale = {0};
    gr_status status = c_locale_enter(&locale);
    if (status != GR_OK) return status;
    status = read_text(name, text, length, read, context);
    c_locale_leave(&locale);
    return status;
}

gr_status gr_settings_parse(const char *name, const char *text, size_t length,
                            const char *const *overrides, size_t n_overrides,
                            const cyaml_schema_value_t *schema, gr_rules rules, void **out) {
    struct reading reading = {overrides, n_overrides, schema, rules, NULL};
    gr_status status = gr_settings_read(name, text, length, read_one, &reading);
    *out = status == GR_OK ? reading.settings : NULL;
    if (status != GR_OK) gr_settings_free(reading.settings, schema);
    return status;
}

static gr_status check_config(void *settings, struct gr_node *root, struct gr_broken *broken) {
    gr_check_rules(settings, root, broken);
    return GR_OK;
}

/* Strategies may have been registered since the last config, and bring keys. */
gr_status gr_config_parse(const char *name, const char *text, size_t length,
                          const char *const *overrides, size_t n_overrides,
                          struct gr_config **out) {
    void *settings = NULL;
    gr_strategy_section_update();
    gr_status status = gr_settings_parse(name, text, length, overrides, n_overrides,
                                         &gr_config_schema, check_config, &settings);
    *out = settings;
    return status;
}

gr_status gr_config_load(const char *path, const char *const *overrides, size_t n_overrides,
                         struct gr_config **out) {
    gr_status status;
    char *text = NULL;
    size_t length = 0;
    *out = NULL;
    GR_TRY(gr_file_read(path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    GR_TRY(gr_config_parse(path, text, length, overrides, n_overrides, out));
out:
    gr_free(text);
    return status;
}

void gr_settings_free(void *settings, const cyaml_schema_value_t *schema) {
    if (settings) cyaml_free(&quiet, schema, settings, 0);
}

void gr_config_free(struct gr_config *config) {
    gr_settings_free(config, &gr_config_schema);
}

/* ---- settings to text --------------------------------------------------------------------- */

/* The fewest digits that read back as the same number: 15 suffice for any decimal of up to 15
 * digits, 17 for any double. A resolved config is thereby stable when it is resolved again. */
static void real_text(double value, char *out, size_t size) {
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, size, "%.*g", digits, value);
        if (strtod(out, NULL) == value) return;
    }
}

/* Members are copied out by memcpy: `data` points into a struct of any section, at an offset that
 * the table gives. Returns `buffer`, a static word, or the struct's own text, borrowed. */
static const char *scalar_text(const cyaml_schema_value_t *schema, const char *data, char *buffer,
                               size_t size) {
    uint32_t narrow;
    uint64_t wide;
    double real;
    bool yes;
    char *text;
    switch (schema->type) {
    case CYAML_UINT:
        if (schema->data_size == sizeof narrow) {
            memcpy(&narrow, data, sizeof narrow);
            wide = narrow;
        } else {
            memcpy(&wide, data, sizeof wide);
        }
        snprintf(buffer, size, "%" PRIu64, wide);
        return buffer;
    case CYAML_FLOAT:
        memcpy(&real, data, sizeof real);
        real_text(real, buffer, size);
        return buffer;
    case CYAML_ENUM:
        memcpy(&narrow, data, sizeof narrow);
        for (uint32_t i = 0; i < schema->enumeration.count; i++)
            if (schema->enumeration.strings[i].val == narrow)
                return schema->enumeration.strings[i].str;
        return "";
    case CYAML_BOOL:
        memcpy(&yes, data, sizeof yes);
        return yes ? "true" : "false";
    default:
        memcpy(&text, data, sizeof text);
        return text ? text : "";
    }
}

/* Puts the value at `data` into `node`. libcyaml would do it, but it refuses an empty list. */
static gr_status unload(struct gr_node *node, const cyaml_schema_value_t *schema, const char *data,
                        unsigned count) {
    gr_status status = GR_OK;
    char buffer[64];
    struct gr_node *child;
    if (schema->type == CYAML_MAPPING) {
        node->kind = GR_NODE_SECTION;
        for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key; f++) {
            if (f->count_size) memcpy(&count, data + f->count_offset, sizeof count);
            GR_TRY(gr_node_create(GR_NODE_SCALAR, f->key, NULL, &child));
            gr_node_append(node, child);
            GR_TRY(unload(child, &f->value, data + f->data_offset, count));
        }
    } else if (schema->type == CYAML_SEQUENCE) {
        const char *entries;
        memcpy(&entries, data, sizeof entries);
        node->kind = GR_NODE_LIST;
        for (unsigned i = 0; i < count; i++) {
            GR_TRY(gr_node_create(GR_NODE_SCALAR, NULL, NULL, &child));
            gr_node_append(node, child);
            GR_TRY(
                unload(child, schema->sequence.entry, entries + (size_t)i * schema->data_size, 0));
        }
    } else {
        const char *text = scalar_text(schema, data, buffer, sizeof buffer);
        GR_TRY(gr_node_set_text(node, text, strlen(text)));
        node->quoted = gr_node_is_nothing(node);
    }
out:
    return status;
}

/* Numbers are written here and read in gr_settings_parse, both in the C locale. */
gr_status gr_settings_tree(const void *settings, const cyaml_schema_value_t *schema,
                           struct gr_node **out) {
    struct c_locale locale = {0};
    *out = NULL;
    gr_status status = c_locale_enter(&locale);
    if (status != GR_OK) return status;
    status = gr_node_create(GR_NODE_SECTION, NULL, NULL, out);
    if (status == GR_OK) status = unload(*out, schema, settings, 0);
    c_locale_leave(&locale);
    if (status != GR_OK) {
        gr_node_free(*out);
        *out = NULL;
    }
    return status;
}

gr_status gr_config_to_yaml(const struct gr_config *config, char **out) {
    struct gr_node *root = NULL;
    size_t length;
    *out = NULL;
    gr_status status = gr_settings_tree(config, &gr_config_schema, &root);
    if (status == GR_OK) status = gr_tree_emit(root, out, &length);
    gr_node_free(root);
    return status;
}

/* ---- digest ------------------------------------------------------------------------------- */

/* Every text with its length in front, so that no two configs give the same bytes. */
static void add_to_digest(struct gr_digest *digest, const struct gr_node *node) {
    char head[48];
    size_t n = node->kind == GR_NODE_SCALAR ? node->length : node->n_children;
    int used = snprintf(head, sizeof head, "%c%zu:", "tls"[node->kind], n);
    gr_digest_add(digest, head, (size_t)used);
    if (node->kind == GR_NODE_SCALAR) gr_digest_add(digest, node->text, n);
    for (const struct gr_node *child = node->child; child; child = child->next)
        add_to_digest(digest, child);
}

/* Settings at their default are left out, so that a setting that is new does not refuse the
 * checkpoints of before; so a default, once released, never changes its meaning. */
static bool at_default(const struct gr_setting *setting, const struct gr_node *node) {
    if (setting->flags & GR_SETTING_REQUIRED) return false;
    if (node->kind == GR_NODE_SCALAR)
        return strcmp(node->text, setting->standard ? setting->standard : "") == 0;
    return node->kind == GR_NODE_LIST && !setting->standard && node->n_children == 0;
}

static const char silo_names[] = "silos[].name";

/* A setting that a run must keep when it is gone on with; lists count as a whole, but for names of
 * silos, beside which paths stand. The two named here decide which model is kept, and when a run
 * ends, where it watches a metric. */
static bool decides(const struct gr_config *config, const struct gr_setting *setting) {
    static const char *const stopping[] = {"evaluate.every", "stop.patience"};
    if (strcmp(setting->path, silo_names) == 0) return true;
    if (strchr(setting->path, '[')) return false;
    for (size_t i = 0; i < sizeof stopping / sizeof *stopping; i++)
        if (strcmp(setting->path, stopping[i]) == 0) return config->stop.metric != GR_STOP_NONE;
    return !(setting->flags & GR_SETTING_CHANGEABLE);
}

/* A list of the silos' names, empty where they have none, in the tree in the place of `silos`. */
static gr_status list_names(const struct gr_config *config, struct gr_node *root) {
    struct gr_node *silos = gr_node_at(root, "silos"), *node;
    gr_status status = GR_OK;
    gr_node_clear(silos);
    silos->kind = GR_NODE_LIST;
    for (unsigned i = 0; i < config->silos_count && gr_silos_named(config); i++)
        GR_TRY(gr_node_add(silos, GR_NODE_SCALAR, NULL, config->silos[i].name, &node));
out:
    return status;
}

/* The settings of a config as its digest has them, for gr_node_free; also after an error. */
static gr_status tree_of(const struct gr_config *config, struct gr_node **out) {
    gr_status status = gr_settings_tree(config, &gr_config_schema, out);
    return status == GR_OK ? list_names(config, *out) : status;
}

static const struct gr_node *value_of(struct gr_node *root, const struct gr_setting *setting) {
    return gr_node_at(root, strcmp(setting->path, silo_names) == 0 ? "silos" : setting->path);
}

/* Over the settings' paths and values in the order of the table, not of the file: layout, comments
 * and the order of keys in a file do not matter. */
gr_status gr_config_digest(const struct gr_config *config, unsigned char out[GR_DIGEST_BYTES]) {
    struct gr_node *root = NULL;
    struct gr_digest digest;
    gr_status status;
    GR_TRY(tree_of(config, &root));
    gr_digest_start(&digest);
    const struct gr_setting *setting;
    for (size_t i = 0; (setting = gr_setting_at(i)); i++) {
        if (!decides(config, setting)) continue;
        const struct gr_node *node = value_of(root, setting);
        if (at_default(setting, node)) continue;
        gr_digest_add(&digest, setting->path, strlen(setting->path) + 1);
        add_to_digest(&digest, node);
    }
    gr_digest_finish(&digest, out);
out:
    gr_node_free(root);
    return status;
}

/* ---- differences -------------------------------------------------------------------------- */

enum { VALUE_BYTES = 128, DIFFERENCES_BYTES = 1024, DIFFERENCES_TOLD = 8 };

/* As text: both come out of the same writer, which has one form for a value. */
static bool same_values(const struct gr_node *a, const struct gr_node *b) {
    if (a->kind != b->kind || a->n_children != b->n_children) return false;
    if (a->kind == GR_NODE_SCALAR)
        return a->length == b->length && memcmp(a->text, b->text, a->length) == 0;
    const struct gr_node *y = b->child;
    for (const struct gr_node *x = a->child; x && y; x = x->next, y = y->next)
        if (!same_values(x, y)) return false;
    return true;
}

/* "0.1", "[64, 32]", "[{type: conv, ...": as much as there is room for. */
static void show_value(const struct gr_node *node, char out[VALUE_BYTES]) {
    size_t used = strlen(out);
    char text[VALUE_BYTES];
    if (node->kind == GR_NODE_SCALAR) {
        gr_text_quote(node->text, node->length, text, sizeof text);
        snprintf(out + used, VALUE_BYTES - used, "%s", text[0] ? text : "''");
        return;
    }
    const bool list = node->kind == GR_NODE_LIST;
    snprintf(out + used, VALUE_BYTES - used, list ? "[" : "{");
    for (const struct gr_node *child = node->child; child; child = child->next) {
        used = strlen(out);
        snprintf(out + used, VALUE_BYTES - used, "%s%s%s", child == node->child ? "" : ", ",
                 child->key ? child->key : "", child->key ? ": " : "");
        show_value(child, out);
    }
    used = strlen(out);
    snprintf(out + used, VALUE_BYTES - used, list ? "]" : "}");
}

/* Whether a setting decides is asked of the config of now: stop.metric, which may make two more of
 * them decide, decides itself, so that a change of it is told anyway. */
gr_status gr_config_each_difference(const struct gr_config *then, const struct gr_config *now,
                                    gr_difference_function visit, void *context) {
    struct gr_node *was = NULL, *is = NULL;
    gr_status status;
    GR_TRY(tree_of(then, &was));
    GR_TRY(tree_of(now, &is));
    const struct gr_setting *setting;
    for (size_t i = 0; (setting = gr_setting_at(i)); i++) {
        char before[VALUE_BYTES] = "", after[VALUE_BYTES] = "";
        const bool deciding = decides(now, setting);
        if (strchr(setting->path, '[') && !deciding) continue;
        const struct gr_node *a = value_of(was, setting), *b = value_of(is, setting);
        /* Rows of other files than a config are in no config. */
        if (!a || !b || same_values(a, b)) continue;
        show_value(a, before);
        show_value(b, after);
        visit(context, &(struct gr_difference){setting->path, before, after, deciding});
    }
out:
    gr_node_free(is);
    gr_node_free(was);
    return status;
}

struct telling {
    bool (*may_change)(const struct gr_config *now, const char *path);
    const struct gr_config *now;
    unsigned n;
    char text[DIFFERENCES_BYTES];
};

/* A gr_difference_function. */
static void tell_difference(void *context, const struct gr_difference *d) {
    struct telling *t = context;
    const size_t used = strlen(t->text);
    if (!d->decides || (t->may_change && t->may_change(t->now, d->path))) return;
    if (t->n++ == DIFFERENCES_TOLD) snprintf(t->text + used, sizeof t->text - used, "; and others");
    if (t->n > DIFFERENCES_TOLD) return;
    snprintf(t->text + used, sizeof t->text - used, "%s%s: %s then, %s now", used > 0 ? "; " : "",
             d->path, d->was, d->now);
}

gr_status gr_config_difference(const struct gr_config *then, const struct gr_config *now,
                               bool (*may_change)(const struct gr_config *now, const char *path),
                               char **out) {
    struct telling t = {.may_change = may_change, .now = now};
    gr_status status;
    *out = NULL;
    GR_TRY(gr_config_each_difference(then, now, tell_difference, &t));
    if (t.n > 0) status = gr_text_format(out, "%s", t.text);
out:
    return status;
}
