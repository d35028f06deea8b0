/* SPDX-License-Identifier: Apache-2.0 */
/* Rules between settings: run, data, preprocess. */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "config/rules.h"

enum { NAME_MAX_BYTES = 64 };

/* The name becomes a folder's and stands in file names and batch scripts: no slash, no space, no
 * dot or dash in front. isalnum is the C locale's while a config is read. */
static void check_name(const struct gr_rule_context *r) {
    const char *name = r->config->run.name;
    char quoted[NAME_MAX_BYTES + 4];
    size_t n = strlen(name);
    bool good = n >= 1 && n <= NAME_MAX_BYTES && isalnum((unsigned char)name[0]);
    for (size_t i = 0; i < n; i++)
        good = good && (isalnum((unsigned char)name[i]) || strchr("-_.", name[i]));
    if (!good && gr_rule_sound(r, "run.name")) {
        gr_text_quote(name, n, quoted, sizeof quoted);
        REFUSE(r, "run.name",
               "found \"%s\", allowed at most %d letters, digits, '-', '_' and '.', a letter or "
               "digit first",
               quoted, NAME_MAX_BYTES);
    }
    if (!r->config->run.directory[0] && gr_rule_sound(r, "run.directory"))
        REFUSE(r, "run.directory", "found \"\", allowed the path of a folder");
}

/* A table of which nothing is given does not exist. */
static bool is_empty(const struct gr_table_config *table) {
    return !table->features[0] && !table->labels[0] && !table->file[0];
}

/* The members of a table depend on the source: a path that would be ignored is refused like one
 * that lacks. */
static void check_member(const struct gr_rule_context *r, struct gr_place place, const char *path,
                         const char *key, const char *text, bool needed, const char *source) {
    char below[128], quoted[64];
    snprintf(below, sizeof below, "%s.%s", path, key);
    if (needed && !text[0]) {
        gr_broken_add(r->broken, place, below,
                      "is required; found nothing, allowed a path (data.source is %s)", source);
    } else if (!needed && text[0]) {
        gr_text_quote(text, strlen(text), quoted, sizeof quoted);
        gr_broken_add(r->broken, place, below, "found \"%s\", allowed nothing (data.source is %s)",
                      quoted, source);
    }
}

/* A table that has something in it: what its source needs, and no more. */
static void check_table(const struct gr_rule_context *r, const struct gr_node *node,
                        struct gr_place place, const char *path,
                        const struct gr_table_config *table) {
    bool idx = r->config->data.source == GR_SOURCE_IDX;
    const char *source = idx ? "idx" : r->config->data.source == GR_SOURCE_HDF5 ? "hdf5" : "csv";
    const struct {
        const char *key, *text;
        bool needed;
    } members[] = {{"features", table->features, idx},
                   {"labels", table->labels, idx},
                   {"file", table->file, !idx}};
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct gr_node *child = gr_node_child(node, members[i].key, strlen(members[i].key));
        if (!child || child->broken) return;
    }
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        const struct gr_node *child = gr_node_child(node, members[i].key, strlen(members[i].key));
        bool given = child->place.line > 0 || child->place.override;
        check_member(r, given ? child->place : place, path, members[i].key, members[i].text,
                     members[i].needed, source);
    }
}

/* Refuses settings that make sense only where one table is partitioned. */
static void check_no_partition(const struct gr_rule_context *r, const char *with) {
    const struct gr_data_config *data = &r->config->data;
    if (!is_empty(&data->train) && gr_rule_sound(r, "data.train"))
        REFUSE(r, "data.train", "found a table, allowed none with %s", with);
    if (data->partition.method != GR_PARTITION_IID && gr_rule_sound(r, "data.partition.method"))
        REFUSE(r, "data.partition.method", "found %s, allowed only iid, the default, with %s",
               gr_partition_text(data->partition.method), with);
    if (data->limit > 0 && gr_rule_sound(r, "data.limit"))
        REFUSE(r, "data.limit", "found %u, allowed only 0, the default, with %s", data->limit,
               with);
}

/* Rows are drawn for each silo by itself: there is no table to be dealt, limited or tested on. */
static void check_synthetic(const struct gr_rule_context *r) {
    const struct gr_data_config *data = &r->config->data;
    check_no_partition(r, "data.source synthetic");
    if (data->silo_tables_count > 0)
        REFUSE(r, "data.silo_tables", "found %u tables, allowed none with data.source synthetic",
               data->silo_tables_count);
    if (!is_empty(&data->test) && gr_rule_sound(r, "data.test"))
        REFUSE(r, "data.test", "found a table, allowed none with data.source synthetic");
    if (data->synthetic.minimum_rows > data->synthetic.maximum_rows &&
        gr_rule_sound(r, "data.synthetic.minimum_rows") &&
        gr_rule_sound(r, "data.synthetic.maximum_rows"))
        REFUSE(r, "data.synthetic.minimum_rows",
               "found %u, allowed 1 to %u (data.synthetic.maximum_rows)",
               data->synthetic.minimum_rows, data->synthetic.maximum_rows);
}

/* data.silos is filled in from the list's length before, where it was not given. */
static void check_silo_tables(const struct gr_rule_context *r) {
    const struct gr_data_config *data = &r->config->data;
    const struct gr_node *list = gr_node_at(r->root, "data.silo_tables");
    const struct gr_node *node = list->child;
    char path[64];
    check_no_partition(r, "data.silo_tables");
    if (data->silos != data->silo_tables_count && gr_rule_sound(r, "data.silos"))
        REFUSE(r, "data.silos",
               "found %u, allowed only %u, the number of data.silo_tables, or none", data->silos,
               data->silo_tables_count);
    for (unsigned i = 0; i < data->silo_tables_count && node; i++, node = node->next) {
        snprintf(path, sizeof path, "data.silo_tables[%u]", i);
        if (!node->broken) check_table(r, node, node->place, path, &data->silo_tables[i]);
    }
}

/* Refuses settings that have no meaning with the source. */
static void check_columns(const struct gr_rule_context *r) {
    const struct gr_data_config *data = &r->config->data;
    bool by_column = data->partition.method == GR_PARTITION_COLUMN;
    bool csv = data->source == GR_SOURCE_CSV, columns = csv || data->source == GR_SOURCE_HDF5;
    if (by_column && !columns && gr_rule_sound(r, "data.partition.method"))
        REFUSE(r, "data.partition.method",
               "found column, allowed only with data.source csv or hdf5");
    else if (by_column && !data->partition.column[0] && gr_rule_sound(r, "data.partition.column"))
        REFUSE(r, "data.partition.column",
               "is required; found nothing, allowed a column's name (data.partition.method is "
               "column)");
    if (data->schema[0] && !columns && gr_rule_sound(r, "data.schema"))
        REFUSE(r, "data.schema", "found a path, allowed only with data.source csv or hdf5");
    if (csv && !data->csv.header && !data->schema[0] && gr_rule_sound(r, "data.csv.header") &&
        gr_rule_sound(r, "data.schema"))
        REFUSE(r, "data.csv.header",
               "found false, allowed only with data.schema, which then names "
               "the columns");
}

/* One test for a run: a table of its own, or rows of the silos. */
static void check_held_out(const struct gr_rule_context *r) {
    const struct gr_data_config *data = &r->config->data;
    const bool synthetic = data->source == GR_SOURCE_SYNTHETIC;
    if (!(data->test_fraction > 0) || !gr_rule_sound(r, "data.test_fraction")) return;
    if (synthetic && data->synthetic.test_rows > 0 && gr_rule_sound(r, "data.synthetic.test_rows"))
        REFUSE(r, "data.test_fraction", "found %g, allowed only 0 with data.synthetic.test_rows %u",
               data->test_fraction, data->synthetic.test_rows);
    if (!synthetic && !is_empty(&data->test) && gr_rule_sound(r, "data.test"))
        REFUSE(r, "data.test_fraction", "found %g, allowed only 0 with data.test",
               data->test_fraction);
    if (data->test_fraction + data->validation_fraction > 0.9 &&
        gr_rule_sound(r, "data.validation_fraction"))
        REFUSE(r, "data.test_fraction",
               "found %g, allowed at most 0.9 together with data.validation_fraction, which is %g",
               data->test_fraction, data->validation_fraction);
}

/* Scaling is of floating-point numbers; what a range is, columns say. */
static void check_preprocess(const struct gr_rule_context *r) {
    const struct gr_preprocess_config *p = &r->config->preprocess;
    const enum gr_data_source source = r->config->data.source;
    const bool idx = source == GR_SOURCE_IDX, tables = !idx && source != GR_SOURCE_SYNTHETIC;
    if (!gr_rule_sound(r, "data.source")) return;
    if (p->scale != GR_SCALE_NONE && idx && gr_rule_sound(r, "preprocess.scale"))
        REFUSE(r, "preprocess.scale", "found %s, allowed only none with data.source idx",
               gr_scale_text(p->scale));
    if (p->clip && !tables && gr_rule_sound(r, "preprocess.clip"))
        REFUSE(r, "preprocess.clip", "found true, allowed only with data.source csv or hdf5");
}

/* Other rules depend on the source: with a wrong one there is nothing to be said. */
static void check_data(const struct gr_rule_context *r) {
    const struct gr_data_config *data = &r->config->data;
    if (data->silos == 0 && data->silo_tables_count == 0 && gr_rule_sound(r, "data.silos") &&
        gr_rule_sound(r, "data.silo_tables"))
        REFUSE(r, "data.silos",
               "is required; found nothing, allowed a whole number from 1 to 1000000");
    if (!gr_rule_sound(r, "data.source")) return;
    check_columns(r);
    check_held_out(r);
    if (data->source == GR_SOURCE_SYNTHETIC) {
        check_synthetic(r);
        return;
    }
    if (data->silo_tables_count > 0)
        check_silo_tables(r);
    else if (gr_rule_sound(r, "data.silo_tables") && gr_rule_sound(r, "data.train"))
        check_table(r, gr_node_at(r->root, "data.train"), gr_rule_place(r, "data.train"),
                    "data.train", &data->train);
    if (!is_empty(&data->test) && gr_rule_sound(r, "data.test"))
        check_table(r, gr_node_at(r->root, "data.test"), gr_rule_place(r, "data.test"), "data.test",
                    &data->test);
}

void gr_rules_of_data(const struct gr_rule_context *r) {
    check_name(r);
    check_data(r);
    check_preprocess(r);
}
