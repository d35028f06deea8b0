/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of a config: those of single settings, and those between settings. */
#ifndef GR_CONFIG_CHECK_H
#define GR_CONFIG_CHECK_H

#include "config/broken.h"
#include "config/schema.h"

/*
 * Checks keys, types and values of the tree against schema and settings (rows NULL: a config's),
 * adding every broken rule.
 * Afterwards the tree holds each setting exactly once with a value of the right type: defaults
 * where nothing was given, fillers (marked broken) where a rule was broken.
 */
gr_status gr_check_tree(struct gr_node *root, const cyaml_schema_value_t *schema,
                        const struct gr_setting_rows *rows, struct gr_broken *broken) GR_CHECKED;
/* The tree that was checked, in which every setting has a value, becomes the schema's struct. In
 * the C locale, as gr_settings_read calls. */
gr_status gr_settings_load(const struct gr_node *root, const cyaml_schema_value_t *schema,
                           void **out) GR_CHECKED;

/*
 * Fills in the defaults that depend on other settings (train.epochs, train.schedule.rounds,
 * data.silos), then checks the rules between settings. `config` was loaded from the tree `root`,
 * which knows the places.
 */
void gr_check_rules(struct gr_config *config, struct gr_node *root, struct gr_broken *broken);

/* The part of it that is about model.layers, model.embedding and model.vocabulary. */
void gr_check_layers(const struct gr_model_config *model, struct gr_node *root,
                     struct gr_broken *broken);

/* Rules between settings; they see the settings and the tree, and add to `broken`. */
typedef gr_status (*gr_rules)(void *settings, struct gr_node *root, struct gr_broken *broken);

/* Makes settings of a tree, adding broken rules, and going on behind them. */
typedef gr_status (*gr_reader)(void *context, struct gr_node *root, struct gr_broken *broken);
/*
 * Text to a tree, of which `read` makes settings; in the C locale. Errors: as gr_config_parse; what
 * `read` has made is then its caller's to release.
 */
gr_status gr_settings_read(const char *name, const char *text, size_t length, gr_reader read,
                           void *context) GR_CHECKED;

/*
 * The functions that a config and a table's schema have in common: text and overrides to a struct,
 * the struct to YAML, and its end. Errors as gr_config_parse.
 */
gr_status gr_settings_parse(const char *name, const char *text, size_t length,
                            const char *const *overrides, size_t n_overrides,
                            const cyaml_schema_value_t *schema, gr_rules rules,
                            void **out) GR_CHECKED;
/* Every setting as a node; caller releases with gr_node_free. */
gr_status gr_settings_tree(const void *settings, const cyaml_schema_value_t *schema,
                           struct gr_node **out) GR_CHECKED;
void gr_settings_free(void *settings, const cyaml_schema_value_t *schema); /* NULL accepted */

/* The rules of a table's columns, and what follows from them for the open ones. */
gr_status gr_check_columns(struct gr_schema *schema, struct gr_node *root,
                           struct gr_broken *broken) GR_CHECKED;
/* What secure sums of a config ask of the columns of its tables; of a config without them nothing.
 */
void gr_check_secure_columns(const struct gr_config *config, const struct gr_schema *schema,
                             const struct gr_node *root, struct gr_broken *broken);
/* Leaves out of "columns" what goes without saying. */
void gr_columns_shorten(struct gr_node *root);

#endif
