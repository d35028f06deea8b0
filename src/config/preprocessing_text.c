/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fit as text: the numbers and dictionaries that preprocessing has learnt, checked like a config
 * when it is read back, because a model's file may come from anybody. Their use is
 * data/preprocess.c's.
 */
#include "config/check.h"

#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static const cyaml_schema_value_t number_entry = {CYAML_VALUE_FLOAT(CYAML_FLAG_DEFAULT, double)};

#define NUMBERS(member)                                                                            \
    CYAML_FIELD_SEQUENCE(#member, CYAML_FLAG_POINTER, struct gr_fit, member, &number_entry, 0,     \
                         GR_FIT_VALUES_MAX)

static const cyaml_schema_field_t fit_fields[] = {
    CYAML_FIELD_SEQUENCE("columns", CYAML_FLAG_POINTER, struct gr_fit, schema.columns,
                         &gr_column_entry, 0, GR_COLUMNS_MAX),
    NUMBERS(low),
    NUMBERS(high),
    NUMBERS(fill),
    NUMBERS(centre),
    NUMBERS(spread),
    CYAML_FIELD_END,
};

static const cyaml_schema_value_t fit_schema = {
    CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, struct gr_fit, fit_fields)};

_Static_assert(COUNT(fit_fields) <= GR_FIELDS_MAX, "a section of more keys than GR_FIELDS_MAX");

/* How many values a row has; 0: the lists alone say it. Labels, groups, weights and texts are
 * columns without a value. */
static unsigned count_values(const struct gr_schema *schema) {
    unsigned n = 0;
    for (unsigned i = 0; i < schema->columns_count; i++)
        n += gr_column_has_value(schema->columns[i].type);
    return n;
}

static void refuse(struct gr_node *root, struct gr_broken *broken, const char *key,
                   const char *what) {
    gr_broken_add(broken, gr_node_at(root, key)->place, key, "%s", what);
}

/*
 * low and high are there only where numbers are clipped; the other three have one number for each
 * value of a row. With a schema its columns say how many values there are, without one (data that
 * has no columns, such as synthetic rows) `fill` does.
 */
static gr_status check_fit(void *settings, struct gr_node *root, struct gr_broken *broken) {
    struct gr_fit *fit = settings;
    const unsigned n = fit->schema.columns_count ? count_values(&fit->schema) : fit->fill_count;
    gr_status status = GR_OK;
    if (fit->schema.columns_count > 0) GR_TRY(gr_check_columns(&fit->schema, root, broken));
    if (n == 0 || fit->fill_count != n || fit->centre_count != n || fit->spread_count != n)
        refuse(root, broken, "fill", "found lists that are not of one length, that of the values");
    else if (fit->low_count != fit->high_count || (fit->low_count != n && fit->low_count != 0))
        refuse(root, broken, "low", "found lists that are not of one length, that of the values");
    else
        for (unsigned i = 0; i < fit->low_count; i++)
            if (fit->low[i] > fit->high[i])
                refuse(root, broken, "low", "found a bound above that of `high`");
out:
    return status;
}

gr_status gr_fit_parse(const char *name, const char *text, size_t length, struct gr_fit **out) {
    void *settings = NULL;
    gr_status status =
        gr_settings_parse(name, text, length, NULL, 0, &fit_schema, check_fit, &settings);
    *out = settings;
    return status;
}

gr_status gr_fit_to_yaml(const struct gr_fit *fit, char **out) {
    struct gr_node *root = NULL;
    size_t length;
    *out = NULL;
    gr_status status = gr_settings_tree(fit, &fit_schema, &root);
    if (status != GR_OK) return status;
    gr_columns_shorten(root);
    status = gr_tree_emit(root, out, &length);
    gr_node_free(root);
    return status;
}

void gr_fit_free(struct gr_fit *fit) {
    gr_settings_free(fit, &fit_schema);
}
