/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The schema contract: a file that says which columns a table has, and of which type, unit, range
 * and spelling. Checked as a config is. Whether a table keeps to it is data's to find (csv_cell.c,
 * table_columns.c); proposals for one are inferred in data/infer*.c.
 */
#include "config/check.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Categories may be many (an open column's dictionary is kept here); spellings of a missing cell
 * are written by a person. */
enum { WORDS_MAX = 1000, TEXT_MAX = 4096, CATEGORIES_MAX = GR_OPEN_CATEGORIES_MAX };

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const cyaml_strval_t column_types[] = {
    {"number", GR_COLUMN_NUMBER}, {"integer", GR_COLUMN_INTEGER}, {"category", GR_COLUMN_CATEGORY},
    {"text", GR_COLUMN_TEXT},     {"label", GR_COLUMN_LABEL},     {"target", GR_COLUMN_TARGET},
    {"group", GR_COLUMN_GROUP},   {"date", GR_COLUMN_DATE},       {"datetime", GR_COLUMN_DATETIME},
    {"weight", GR_COLUMN_WEIGHT}, {"offset", GR_COLUMN_OFFSET}};
static const cyaml_strval_t decimals[] = {{"point", GR_DECIMAL_POINT}, {"comma", GR_DECIMAL_COMMA}};
static const cyaml_strval_t thousands_marks[] = {{"none", GR_THOUSANDS_NONE},
                                                 {"comma", GR_THOUSANDS_COMMA},
                                                 {"point", GR_THOUSANDS_POINT},
                                                 {"space", GR_THOUSANDS_SPACE},
                                                 {"apostrophe", GR_THOUSANDS_APOSTROPHE}};
static const cyaml_strval_t date_formats[] = {
    {"iso", GR_DATE_ISO}, {"day_first", GR_DATE_DAY_FIRST}, {"month_first", GR_DATE_MONTH_FIRST}};
static const cyaml_strval_t date_units[] = {{"days", GR_DATE_DAYS},
                                            {"years", GR_DATE_YEARS},
                                            {"hours", GR_DATE_HOURS},
                                            {"seconds", GR_DATE_SECONDS}};
static const cyaml_strval_t unlabelled_policies[] = {{"refuse", GR_UNLABELLED_REFUSE},
                                                     {"drop", GR_UNLABELLED_DROP}};
static const cyaml_strval_t missing_policies[] = {{"refuse", GR_MISSING_REFUSE},
                                                  {"mean", GR_MISSING_MEAN},
                                                  {"mode", GR_MISSING_MODE},
                                                  {"indicator", GR_MISSING_INDICATOR},
                                                  {"zero", GR_MISSING_ZERO}};
#define WORD(value, word) {word, value},
static const cyaml_strval_t scales[] = {GR_COLUMN_SCALE_WORDS(WORD)};
static const cyaml_strval_t encodes[] = {{"code", GR_ENCODE_CODE}, {"one_hot", GR_ENCODE_ONE_HOT}};

const char *gr_column_type_text(enum gr_column_type type) {
    return column_types[type].str;
}

const char *gr_missing_text(enum gr_missing missing) {
    return missing_policies[missing].str;
}

bool gr_column_is_number(enum gr_column_type type) {
    return type == GR_COLUMN_NUMBER || type == GR_COLUMN_INTEGER || type == GR_COLUMN_DATE ||
           type == GR_COLUMN_DATETIME;
}

bool gr_column_has_value(enum gr_column_type type) {
    return type == GR_COLUMN_CATEGORY || gr_column_is_number(type);
}

bool gr_column_may_lack(const struct gr_column *column) {
    return column->missing != GR_MISSING_REFUSE || column->slices_only;
}

#define TEXT(member)                                                                               \
    CYAML_FIELD_STRING_PTR(#member, CYAML_FLAG_POINTER, struct gr_column, member, 0, TEXT_MAX)
#define ONE_OF(member, names)                                                                      \
    CYAML_FIELD_ENUM(#member, CYAML_FLAG_STRICT, struct gr_column, member, names, COUNT(names))
#define LIST(type, member, entry, most)                                                            \
    CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_POINTER, struct type, member, entry, 0, most)

static const cyaml_schema_value_t bound_entry = {CYAML_VALUE_FLOAT(CYAML_FLAG_DEFAULT, double)};
static const cyaml_schema_value_t category_entry = {
    CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0, TEXT_MAX)};

static const cyaml_schema_field_t column_fields[] = {
    TEXT(name),
    ONE_OF(type, column_types),
    TEXT(unit),
    LIST(gr_column, range, &bound_entry, 2),
    LIST(gr_column, categories, &category_entry, CATEGORIES_MAX),
    ONE_OF(missing, missing_policies),
    ONE_OF(encode, encodes),
    ONE_OF(scale, scales),
    CYAML_FIELD_BOOL("open", CYAML_FLAG_DEFAULT, struct gr_column, open),
    ONE_OF(decimal, decimals),
    ONE_OF(thousands, thousands_marks),
    CYAML_FIELD_BOOL("percent", CYAML_FLAG_DEFAULT, struct gr_column, percent),
    LIST(gr_column, affixes, &category_entry, WORDS_MAX),
    LIST(gr_column, missing_words, &category_entry, WORDS_MAX),
    LIST(gr_column, censored, &category_entry, WORDS_MAX),
    CYAML_FIELD_FLOAT("origin", CYAML_FLAG_DEFAULT, struct gr_column, origin),
    ONE_OF(format, date_formats),
    ONE_OF(in, date_units),
    TEXT(since),
    ONE_OF(unlabelled, unlabelled_policies),
    CYAML_FIELD_BOOL("slices_only", CYAML_FLAG_DEFAULT, struct gr_column, slices_only),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t gr_column_entry = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_DEFAULT, struct gr_column, column_fields)};

static const cyaml_schema_field_t table_schema_fields[] = {
    CYAML_FIELD_ENUM("decimal", CYAML_FLAG_STRICT, struct gr_schema, decimal, decimals,
                     COUNT(decimals)),
    CYAML_FIELD_ENUM("thousands", CYAML_FLAG_STRICT, struct gr_schema, thousands, thousands_marks,
                     COUNT(thousands_marks)),
    LIST(gr_schema, missing_words, &category_entry, WORDS_MAX),
    LIST(gr_schema, columns, &gr_column_entry, GR_COLUMNS_MAX),
    CYAML_FIELD_END,
};

const cyaml_schema_value_t gr_table_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gr_schema, table_schema_fields)};

_Static_assert(COUNT(column_fields) <= GR_FIELDS_MAX && COUNT(table_schema_fields) <= GR_FIELDS_MAX,
               "a section of more keys than GR_FIELDS_MAX");

/* ---- rules ---------------------------------------------------------------------------------- */

/* A column, where it stands, and how messages call it. */
struct schema_place {
    const struct gr_column *column;
    const struct gr_node *node;
    struct gr_broken *broken;
    char path[32];
};

/* Once a key is broken nothing more is said of it: its value is a filler. */
static void refuse(const struct schema_place *at, const char *key, const char *found,
                   const char *allowed) {
    char below[64];
    const struct gr_node *child = gr_node_child(at->node, key, strlen(key));
    if (!child || child->broken) return;
    bool given = child->place.line > 0;
    snprintf(below, sizeof below, "%s.%s", at->path, key);
    gr_broken_add(at->broken, given ? child->place : at->node->place, below,
                  "found %s, allowed %s (type is %s)", found, allowed,
                  gr_column_type_text(at->column->type));
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The first text that occurs twice, or NULL. Sorts. */
static const char *repeated(const char **texts, size_t n) {
    qsort(texts, n, sizeof *texts, by_text);
    for (size_t i = 1; i < n; i++)
        if (strcmp(texts[i - 1], texts[i]) == 0) return texts[i];
    return NULL;
}

/*
 * Of categories in byte order that are all whole numbers the first that is another one too, and
 * `other`; or NULL. Between "1" and "1.0" no third can stand, for a mark is less than a digit.
 */
static const char *same_number(const char **sorted, size_t n, enum gr_decimal decimal,
                               const char **other) {
    const char *found = NULL;
    for (size_t i = 0; i < n; i++) {
        const size_t length = strlen(sorted[i]),
                     whole = gr_whole_length(sorted[i], length, decimal);
        if (!gr_is_whole(sorted[i], length, decimal)) return NULL;
        if (i == 0 || found) continue;
        const size_t before = gr_whole_length(sorted[i - 1], strlen(sorted[i - 1]), decimal);
        if (before != whole || memcmp(sorted[i - 1], sorted[i], whole) != 0) continue;
        found = sorted[i - 1];
        *other = sorted[i];
    }
    return found;
}

/* Two silos may find both spellings of one number in an open column, which would make two
 * categories. */
static void check_numbers(const struct schema_place *at, const char **sorted) {
    const struct gr_column *c = at->column;
    const char *other = NULL;
    char quoted[2][32], found[80];
    const char *one = c->open ? NULL : same_number(sorted, c->categories_count, c->decimal, &other);
    if (!one) return;
    gr_text_quote(one, strlen(one), quoted[0], sizeof quoted[0]);
    gr_text_quote(other, strlen(other), quoted[1], sizeof quoted[1]);
    snprintf(found, sizeof found, "\"%s\" and \"%s\"", quoted[0], quoted[1]);
    refuse(at, "categories", found, "each number once");
}

/* By sorting copies of the pointers: the categories' own order is their codes, and must stay. */
static gr_status check_categories(const struct schema_place *at) {
    const struct gr_column *c = at->column;
    bool category = c->type == GR_COLUMN_CATEGORY, label = c->type == GR_COLUMN_LABEL;
    char quoted[64], found[80];
    const char **sorted = NULL;
    gr_status status;
    if (!category && c->open) refuse(at, "open", "true", "only false, the default");
    if (!category && !label && c->categories_count > 0) refuse(at, "categories", "a list", "none");
    GR_TRY(gr_allocate(c->categories_count, sizeof *sorted, "categories", &sorted));
    for (unsigned i = 0; i < c->categories_count; i++)
        sorted[i] = c->categories[i];
    const char *twice = repeated(sorted, c->categories_count);
    if (twice) {
        gr_text_quote(twice, strlen(twice), quoted, sizeof quoted);
        snprintf(found, sizeof found, "\"%s\" twice", quoted);
        refuse(at, "categories", found, "each once");
    } else {
        check_numbers(at, sorted);
    }
out:
    gr_free(sorted);
    return status;
}

static bool is_date(enum gr_column_type type) {
    return type == GR_COLUMN_DATE || type == GR_COLUMN_DATETIME;
}

/* Whether cells are read as plain numbers. */
static bool is_measured(enum gr_column_type type) {
    return type == GR_COLUMN_NUMBER || type == GR_COLUMN_INTEGER || type == GR_COLUMN_TARGET ||
           type == GR_COLUMN_WEIGHT || type == GR_COLUMN_OFFSET;
}

/* Each policy needs a statistic that the type has: numbers no mode, categories no mean, and a code
 * no zero that would not be a category. */
static void check_missing(const struct schema_place *at) {
    const struct gr_column *c = at->column;
    bool number = gr_column_is_number(c->type);
    bool category = c->type == GR_COLUMN_CATEGORY, hot = c->encode == GR_ENCODE_ONE_HOT;
    const char *found = missing_policies[c->missing].str;
    if (c->missing == GR_MISSING_REFUSE) return;
    if (number && c->missing == GR_MISSING_MODE)
        refuse(at, "missing", found, "refuse, mean, indicator or zero");
    else if (category && c->missing == GR_MISSING_MEAN)
        refuse(at, "missing", found, "refuse, mode, indicator or zero");
    else if (category && c->missing == GR_MISSING_ZERO && !hot)
        refuse(at, "missing", found, "zero with encode one_hot only");
    else if (!number && !category)
        refuse(at, "missing", found, "only refuse, the default");
}

/* A mark that would be both is none. */
static void check_marks(const struct schema_place *at, enum gr_decimal decimal,
                        enum gr_thousands thousands) {
    if (decimal == GR_DECIMAL_COMMA && thousands == GR_THOUSANDS_COMMA)
        refuse(at, "thousands", "comma", "another mark than `decimal`");
    if (decimal == GR_DECIMAL_POINT && thousands == GR_THOUSANDS_POINT)
        refuse(at, "thousands", "point", "another mark than `decimal`, whose default is point");
}

/* An entry of an affix, missing word or bound as its cell is compared: not empty, not spaced. */
static void check_words(const struct schema_place *at, const char *key, char *const *words,
                        unsigned n, bool empty) {
    for (unsigned i = 0; i < n; i++) {
        const size_t length = strlen(words[i]);
        if (length == 0 && empty) continue;
        if (length == 0)
            refuse(at, key, "an empty entry", "texts");
        else if (words[i][0] == ' ' || words[i][length - 1] == ' ')
            refuse(at, key, "an entry with a space at its end", "entries without");
    }
}

/* "-" would turn -5 into 5, and "5" 25 into 2. */
static void check_affixes(const struct schema_place *at, char *const *affixes, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (affixes[i][0] && affixes[i][strspn(affixes[i], "0123456789+-.,")] == '\0' &&
            (!affixes[i][1] || strpbrk(affixes[i], "0123456789")))
            refuse(at, "affixes", "an entry that may be a part of the number",
                   "entries with a letter or another sign");
}

/* Refuses rules of cells that a type has no use for. */
static void check_cells(const struct schema_place *at, const struct gr_schema *schema) {
    const struct gr_column *c = at->column;
    const bool number = is_measured(c->type), label = c->type == GR_COLUMN_LABEL;
    const bool date = is_date(c->type), text = c->type == GR_COLUMN_TEXT;
    const bool counts = c->type == GR_COLUMN_NUMBER || c->type == GR_COLUMN_INTEGER;
    if (!number && !label && c->percent) refuse(at, "percent", "true", "only false, the default");
    if (!number && !label && c->affixes_count > 0) refuse(at, "affixes", "a list", "none");
    if (!number && c->censored_count > 0) refuse(at, "censored", "a list", "none");
    if (!counts && (c->origin < 0 || c->origin > 0)) refuse(at, "origin", "a number", "only 0");
    if (c->type == GR_COLUMN_INTEGER &&
        !(c->origin >= -9e15 && c->origin <= 9e15 && (double)(int64_t)c->origin >= c->origin &&
          (double)(int64_t)c->origin <= c->origin))
        refuse(at, "origin", "a number with a fraction", "a whole number");
    if (!date && !text && c->format != GR_DATE_ISO)
        refuse(at, "format", date_formats[c->format].str, "only iso, the default");
    if (!date && c->in != GR_DATE_DAYS)
        refuse(at, "in", date_units[c->in].str, "only days, the default");
    if (!date && c->since[0]) refuse(at, "since", "a text", "none");
    if (!label && c->type != GR_COLUMN_TARGET && c->unlabelled != GR_UNLABELLED_REFUSE)
        refuse(at, "unlabelled", "drop", "only refuse, the default");
    check_words(at, "affixes", c->affixes, c->affixes_count, false);
    check_affixes(at, c->affixes, c->affixes_count);
    check_words(at, "censored", c->censored, c->censored_count, false);
    check_words(at, "missing_words", c->missing_words, c->missing_words_count, true);
    check_marks(at, c->decimal == GR_DECIMAL_POINT ? schema->decimal : c->decimal,
                c->thousands == GR_THOUSANDS_NONE ? schema->thousands : c->thousands);
}

/* A day, or the name of another column that holds dates. */
static void check_since(const struct schema_place *at, const struct gr_schema *schema) {
    const struct gr_column *c = at->column;
    double ignored;
    char quoted[64], found[80];
    if (!is_date(c->type) || !c->since[0] ||
        gr_date_read(c->since, strlen(c->since), GR_DATE_ISO, true, &ignored) == GR_DATE_READ)
        return;
    for (unsigned i = 0; i < schema->columns_count; i++) {
        const struct gr_column *other = &schema->columns[i];
        if (other == c || strcmp(other->name, c->since) != 0) continue;
        if (is_date(other->type) || other->type == GR_COLUMN_TEXT) return;
        refuse(at, "since", "a column that holds no dates", "a date, datetime or text column");
        return;
    }
    gr_text_quote(c->since, strlen(c->since), quoted, sizeof quoted);
    snprintf(found, sizeof found, "\"%s\"", quoted);
    refuse(at, "since", found, "a day such as 1990-01-31, or the name of another column of dates");
}

/* A target and a weight have a range too, though they are no features: weights beyond it are
 * refused. The range of a date is in its unit, since its `since`. */
static gr_status check_column(const struct schema_place *at, const struct gr_schema *schema) {
    const struct gr_column *c = at->column;
    const bool measured =
        gr_column_is_number(c->type) || c->type == GR_COLUMN_TARGET || c->type == GR_COLUMN_WEIGHT;
    if (c->name[0] == '\0') refuse(at, "name", "\"\"", "a name");
    if (c->range_count > 0 && !measured) refuse(at, "range", "a list", "none");
    if (c->range_count == 1 || (c->range_count == 2 && c->range[0] > c->range[1]))
        refuse(at, "range", c->range_count == 1 ? "one bound" : "the higher bound first",
               "[low, high]");
    if (c->type == GR_COLUMN_WEIGHT && c->range_count == 2 && !(c->range[1] > 0))
        refuse(at, "range", "no weight above 0", "[low, high]");
    if (c->encode != GR_ENCODE_CODE && c->type != GR_COLUMN_CATEGORY)
        refuse(at, "encode", "one_hot", "only code, the default");
    if (c->scale != GR_SCALE_DEFAULT && !gr_column_is_number(c->type))
        refuse(at, "scale", gr_scale_text(c->scale), "only default");
    if (c->slices_only && !gr_column_has_value(c->type))
        refuse(at, "slices_only", "true", "only false, the default");
    if (c->slices_only && c->missing != GR_MISSING_REFUSE)
        refuse(at, "missing", gr_missing_text(c->missing),
               "none with slices_only: nothing is filled");
    if (c->slices_only && c->scale != GR_SCALE_DEFAULT)
        refuse(at, "scale", gr_scale_text(c->scale), "none with slices_only: it is no feature");
    check_missing(at);
    check_cells(at, schema);
    check_since(at, schema);
    return check_categories(at);
}

/* One name for one column; one label, target, group, weight and offset at most. */
static gr_status check_together(const struct gr_schema *schema, const struct gr_node *list,
                                struct gr_broken *broken) {
    static const enum gr_column_type single[] = {GR_COLUMN_LABEL, GR_COLUMN_TARGET, GR_COLUMN_GROUP,
                                                 GR_COLUMN_WEIGHT, GR_COLUMN_OFFSET};
    const char **sorted = NULL;
    char quoted[64];
    gr_status status;
    GR_TRY(gr_allocate(schema->columns_count, sizeof *sorted, "names of columns", &sorted));
    for (unsigned i = 0; i < schema->columns_count; i++)
        sorted[i] = schema->columns[i].name;
    const char *twice = repeated(sorted, schema->columns_count);
    if (twice) {
        gr_text_quote(twice, strlen(twice), quoted, sizeof quoted);
        gr_broken_add(broken, list->place, "columns", "found the name \"%s\" twice, allowed once",
                      quoted);
    }
    for (size_t t = 0; t < COUNT(single); t++) {
        size_t n = 0;
        for (unsigned i = 0; i < schema->columns_count; i++)
            n += schema->columns[i].type == single[t];
        if (n > 1)
            gr_broken_add(broken, list->place, "columns",
                          "found %zu columns of type %s, allowed at most one", n,
                          gr_column_type_text(single[t]));
    }
    if (schema->columns_count == 0)
        gr_broken_add(broken, list->place, "columns",
                      "found an empty list, allowed 1 to %d columns", GR_COLUMNS_MAX);
out:
    gr_free(sorted);
    return status;
}

static bool takes_words(enum gr_column_type type) {
    return type != GR_COLUMN_TEXT && type != GR_COLUMN_GROUP;
}

/* Gives a column the words of its table that it does not list itself. They are counted one by one
 * as they are made, so that a failure on the way leaves a list that can be released. */
static gr_status add_words(const struct gr_schema *schema, struct gr_column *c) {
    const unsigned most = c->missing_words_count + schema->missing_words_count;
    char **words = NULL;
    gr_status status;
    GR_TRY(gr_allocate_zero(most, sizeof *words, "missing words", &words));
    for (unsigned i = 0; i < c->missing_words_count; i++)
        words[i] = c->missing_words[i];
    gr_free(c->missing_words);
    c->missing_words = words;
    for (unsigned i = 0; i < schema->missing_words_count; i++) {
        bool there = false;
        for (unsigned k = 0; k < c->missing_words_count && !there; k++)
            there = strcmp(words[k], schema->missing_words[i]) == 0;
        if (there) continue;
        GR_TRY(gr_text_format(&words[c->missing_words_count], "%s", schema->missing_words[i]));
        c->missing_words_count++;
    }
out:
    return status;
}

/* The table's shorthands become its columns' own, so that nobody else looks for them. */
static gr_status spread_shorthands(struct gr_schema *schema) {
    gr_status status = GR_OK;
    for (unsigned i = 0; i < schema->columns_count; i++) {
        struct gr_column *c = &schema->columns[i];
        if (c->decimal == GR_DECIMAL_POINT) c->decimal = schema->decimal;
        if (c->thousands == GR_THOUSANDS_NONE) c->thousands = schema->thousands;
        if (takes_words(c->type) && schema->missing_words_count > 0) GR_TRY(add_words(schema, c));
    }
    for (unsigned i = 0; i < schema->missing_words_count; i++)
        gr_free(schema->missing_words[i]);
    gr_free(schema->missing_words);
    schema->missing_words = NULL;
    schema->missing_words_count = 0;
    schema->decimal = GR_DECIMAL_POINT;
    schema->thousands = GR_THOUSANDS_NONE;
out:
    return status;
}

/* Of a category column that lists none, the silos' together count. */
static void open_columns(struct gr_schema *schema) {
    for (unsigned i = 0; i < schema->columns_count; i++)
        if (schema->columns[i].type == GR_COLUMN_CATEGORY &&
            schema->columns[i].categories_count == 0)
            schema->columns[i].open = true;
}

/* Shorthands are spread last: rules speak of the words as they were written, and of the column that
 * wrote them. */
gr_status gr_check_columns(struct gr_schema *schema, struct gr_node *root,
                           struct gr_broken *broken) {
    const struct gr_node *list = gr_node_at(root, "columns"), *node = list->child;
    gr_status status = GR_OK;
    for (unsigned i = 0; i < schema->columns_count && node; i++, node = node->next) {
        struct schema_place at = {&schema->columns[i], node, broken, ""};
        snprintf(at.path, sizeof at.path, "columns[%u]", i);
        const struct gr_node *type = gr_node_child(node, "type", 4);
        if (!node->broken && type && !type->broken) GR_TRY(check_column(&at, schema));
    }
    if (!list->broken) GR_TRY(check_together(schema, list, broken));
    open_columns(schema);
    status = spread_shorthands(schema);
out:
    return status;
}

static gr_status check_schema(void *settings, struct gr_node *root, struct gr_broken *broken) {
    return gr_check_columns(settings, root, broken);
}

/* ---- files ---------------------------------------------------------------------------------- */

gr_status gr_schema_parse(const char *name, const char *text, size_t length,
                          struct gr_schema **out) {
    void *settings = NULL;
    gr_status status =
        gr_settings_parse(name, text, length, NULL, 0, &gr_table_schema, check_schema, &settings);
    *out = settings;
    return status;
}

/* Relative paths are looked for from the working folder; the message says so, since a config's
 * author may have meant the config's folder. */
static gr_status read_file(const char *path, char **text, size_t *length) {
    if (path[0] != '/' && access(path, F_OK) != 0 && errno == ENOENT)
        return gr_fail(GR_ERROR_CONFIG, "%s: %s" GR_RELATIVE_WORDS, path, strerror(ENOENT));
    return gr_file_read(path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, text, length);
}

gr_status gr_schema_load(const char *path, struct gr_schema **out) {
    gr_status status;
    char *text = NULL;
    size_t length = 0;
    *out = NULL;
    GR_TRY(read_file(path, &text, &length));
    GR_TRY(gr_schema_parse(path, text, length, out));
out:
    gr_free(text);
    return status;
}

/* A schema that is held against a config. */
struct secure_reading {
    const struct gr_config *config;
    void *schema; /* owned */
};

static gr_status read_secure(void *context, struct gr_node *root, struct gr_broken *broken) {
    struct secure_reading *r = context;
    gr_status status;
    GR_TRY(gr_check_tree(root, &gr_table_schema, NULL, broken));
    GR_TRY(gr_settings_load(root, &gr_table_schema, &r->schema));
    GR_TRY(gr_check_columns(r->schema, root, broken));
    gr_check_secure_columns(r->config, r->schema, root, broken);
out:
    return status;
}

gr_status gr_schema_check_secure(const struct gr_config *config) {
    struct secure_reading r = {.config = config};
    const char *path = config->data.schema;
    gr_status status;
    char *text = NULL;
    size_t length = 0;
    if ((!config->secure.aggregation && !gr_is_private(config)) || !path[0]) return GR_OK;
    GR_TRY(read_file(path, &text, &length));
    status = gr_settings_read(path, text, length, read_secure, &r);
out:
    gr_schema_free(r.schema);
    gr_free(text);
    return status;
}

/* Whether it goes without saying. prefix: "columns[]." or nothing. */
static bool is_standard(const struct gr_node *node, const char *prefix) {
    const struct gr_setting *setting;
    char path[64];
    if (node->kind == GR_NODE_LIST) return node->n_children == 0;
    snprintf(path, sizeof path, "%s%s", prefix, node->key);
    setting = gr_setting_find(path);
    if (setting->flags & GR_SETTING_REQUIRED) return false;
    return strcmp(node->text, setting->standard ? setting->standard : "") == 0;
}

static void shorten(struct gr_node *section, const char *prefix) {
    struct gr_node **link = &section->child, *previous = NULL;
    while (*link) {
        if (is_standard(*link, prefix)) {
            gr_node_remove(section, link, previous);
        } else {
            previous = *link;
            link = &previous->next;
        }
    }
}

void gr_columns_shorten(struct gr_node *root) {
    struct gr_node *list = gr_node_at(root, "columns");
    for (struct gr_node *column = list->child; column; column = column->next)
        shorten(column, "columns[].");
}

/* Settings at their default are left out: a schema is read by people, and compared by eye. */
gr_status gr_schema_to_yaml(const struct gr_schema *schema, char **out) {
    struct gr_node *root = NULL;
    size_t length;
    *out = NULL;
    gr_status status = gr_settings_tree(schema, &gr_table_schema, &root);
    if (status != GR_OK) return status;
    gr_columns_shorten(root);
    shorten(root, "");
    status = gr_tree_emit(root, out, &length);
    gr_node_free(root);
    return status;
}

/* By way of text: the only code that knows all members is the one that writes and reads them. */
gr_status gr_schema_copy(const struct gr_schema *schema, struct gr_schema **out) {
    char *text = NULL;
    *out = NULL;
    gr_status status = gr_schema_to_yaml(schema, &text);
    if (status == GR_OK) status = gr_schema_parse("a schema", text, strlen(text), out);
    gr_free(text);
    return status;
}

void gr_schema_free(struct gr_schema *schema) {
    gr_settings_free(schema, &gr_table_schema);
}
