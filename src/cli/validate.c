/* SPDX-License-Identifier: Apache-2.0 */
/* granary validate: every rule of a config, and the headers of the files it names. */
#include "cli/command.h"

#include <stdio.h>
#include <stdlib.h>

static const char *name_of(const struct gr_table_config *table) {
    return table->file[0] ? table->file : table->features;
}

static gr_status show_table(const struct gr_config *config, const char *role,
                            const struct gr_table_config *table) {
    struct gr_table_summary summary;
    if (!name_of(table)[0]) return GR_OK;
    gr_status status = gr_data_summarise(&config->data, table, &summary);
    if (status != GR_OK) return status;
    printf("  %-6s %s: %zu rows", role, name_of(table), summary.n_rows);
    for (size_t i = 1; i < summary.n_dims; i++)
        printf("%s%zu", i == 1 ? " of " : " x ", summary.shape[i]);
    printf("%s\n", summary.element == GR_ELEMENT_UINT8 ? ", bytes" : ", float32");
    return GR_OK;
}

static gr_status show_data(const struct gr_config *config) {
    gr_status status = GR_OK;
    printf("  silos  %u\n", config->data.silos);
    if (config->data.source == GR_SOURCE_SYNTHETIC) return GR_OK;
    GR_TRY(show_table(config, "train", &config->data.train));
    for (unsigned i = 0; i < config->data.silo_tables_count; i++) {
        char role[24];
        gr_silo_pseudonym(i, role);
        GR_TRY(show_table(config, role, &config->data.silo_tables[i]));
    }
    GR_TRY(show_table(config, "test", &config->data.test));
out:
    return status;
}

gr_status gr_command_validate(struct gr_invocation *invocation) {
    static const struct option options[] = {
        {"set", required_argument, NULL, 's'}, {"resolved", no_argument, NULL, 'r'}, {0}};
    gr_status status = GR_OK;
    struct gr_overrides overrides = {0};
    struct gr_config *config = NULL;
    const char *path;
    char *yaml = NULL;
    bool resolved = false;
    int option;
    while ((option = gr_next_option(invocation, ":", options)) != -1) {
        if (option == 's') {
            GR_TRY(gr_overrides_add(&overrides, optarg));
        } else if (option == 'r') {
            resolved = true;
        } else {
            status = GR_ERROR_USAGE;
            goto out;
        }
    }
    GR_TRY(gr_only_argument(invocation, "CONFIG", &path));
    GR_TRY(gr_config_load(path, overrides.text, overrides.n, &config));
    if (resolved) {
        GR_TRY(gr_config_to_yaml(config, &yaml));
        fputs(yaml, stdout);
    } else {
        printf("%s: all rules hold\n", path);
        GR_TRY(show_data(config));
    }
out:
    gr_free(yaml);
    gr_config_free(config);
    free(overrides.text);
    return status;
}
