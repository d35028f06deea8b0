/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The config of a run out of a study and a site. A party changes paths alone, none of which the
 * digest of a config holds, so that all parties have one.
 */
#include "config/spot.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static gr_status set_text(struct gr_node *section, const char *key, const char *text) {
    struct gr_node *node = gr_node_child(section, key, strlen(key));
    if (!node) return gr_node_add(section, GR_NODE_SCALAR, key, text, &node);
    node->quoted = true;
    return gr_node_set_text(node, text, strlen(text));
}

/* A silo's table takes the place of its word. */
static gr_status set_table(struct gr_node *table, const struct gr_site_silo_config *silo) {
    gr_status status;
    GR_TRY(set_text(table, "features", silo->features));
    GR_TRY(set_text(table, "labels", silo->labels));
    status = set_text(table, "file", silo->file);
out:
    return status;
}

/* The silos whose tables are known, by name. */
struct known_silos {
    const struct gr_site_silo_config *silo;
    unsigned n;
    bool by_site; /* each silo is the job's of the site that brings it */
};

static const struct gr_site_silo_config *find_silo(const struct known_silos *known,
                                                   const char *name) {
    for (unsigned i = 0; i < known->n; i++)
        if (strcmp(known->silo[i].name, name) == 0) return &known->silo[i];
    return NULL;
}

/* The number of the site that brings a silo. */
static uint32_t site_of(const struct gr_study *study, uint32_t silo) {
    uint32_t site = 1;
    while (silo >= study->sites[site].first_silo + study->sites[site].n_silos)
        site++;
    return site;
}

/* The entries of data.silo_tables for the silos that are known, and of silos for all; others have
 * no folder here. */
static gr_status set_silos(const struct gr_study *study, const struct known_silos *known,
                           struct gr_node *root) {
    char number[16];
    struct gr_node *table = gr_node_at(root, "data.silo_tables")->child, *entry;
    struct gr_node *silos = gr_node_at(root, "silos"), *node;
    gr_status status = GR_OK;
    for (uint32_t i = 0; i < study->n_silos && table; i++, table = table->next) {
        const struct gr_site_silo_config *silo = find_silo(known, study->silos[i]);
        GR_TRY(gr_node_add(silos, GR_NODE_SECTION, NULL, NULL, &entry));
        if (silo) GR_TRY(set_table(table, silo));
        GR_TRY(set_text(entry, "name", study->silos[i]));
        GR_TRY(set_text(entry, "directory", silo ? silo->directory : ""));
        snprintf(number, sizeof number, "%u", known->by_site ? site_of(study, i) : 0);
        GR_TRY(gr_node_add(entry, GR_NODE_SCALAR, "site", number, &node));
        node->quoted = false;
    }
out:
    return status;
}

/* Several processes of a job may write it at once, all the same: each under a name of its own,
 * which then takes the place of another's. */
static gr_status write_schema(const struct gr_study *study, const char *directory,
                              const char *path) {
    char *yaml = NULL, *own = NULL;
    uint64_t number;
    gr_status status;
    if (getrandom(&number, sizeof number, 0) != (ssize_t)sizeof number)
        return gr_fail(GR_ERROR_INTERNAL, "the system gives no random numbers");
    GR_TRY(gr_schema_to_yaml(study->schema, &yaml));
    GR_TRY(gr_text_format(&own, "%s/.schema-%016" PRIx64, directory, number));
    GR_TRY(gr_file_write(own, yaml, strlen(yaml)));
    gr_file_keep_private(own);
    status = gr_file_publish(own, path);
    if (status != GR_OK) unlink(own);
out:
    gr_free(own);
    gr_free(yaml);
    return status;
}

/* Leaves a list's entries `first` to first + n - 1. */
static void keep_entries(struct gr_node *list, uint32_t first, uint32_t n) {
    struct gr_node **link = &list->child, *previous = NULL;
    for (uint32_t i = 0; *link; i++) {
        if (i < first || i - first >= n) {
            gr_node_remove(list, link, previous);
        } else {
            previous = *link;
            link = &previous->next;
        }
    }
}

/* Noise in shares, and a norm that follows those of other silos, have no sense for one site. */
static gr_status privately_alone(struct gr_node *root, const struct gr_privacy_config *privacy) {
    struct gr_node *section = gr_node_at(root, "privacy");
    gr_status status = GR_OK;
    if (privacy->noise == GR_NOISE_SHARED)
        GR_TRY(set_text(section, "noise", privacy->unit == GR_PRIVACY_SILO ? "root" : "silo"));
    if (privacy->adaptive_clipping.quantile > 0) {
        struct gr_node *clipping = gr_node_at(root, "privacy.adaptive_clipping");
        GR_TRY(set_text(clipping, "quantile", "0"));
        GR_TRY(set_text(clipping, "count_noise", "0"));
        status = set_text(clipping, "learning_rate", "0.2"); /* the default */
    }
out:
    return status;
}

/* Settings about other silos than the site's own, by which its part alone would be refused. */
static gr_status leave_alone(struct gr_node *root, struct gr_study_site own) {
    static const char *const paths[][3] = {{"policy", "minimum_silos", "1"},
                                           {"round", "participants", "0"},
                                           {"round", "quorum", "1"},
                                           {"round", "sampling", "uniform"},
                                           {"secure", "aggregation", "false"}};
    gr_status status = GR_OK;
    keep_entries(gr_node_at(root, "data.silo_tables"), own.first_silo, own.n_silos);
    keep_entries(gr_node_at(root, "silos"), own.first_silo, own.n_silos);
    gr_node_clear(gr_node_at(root, "round.availability"));
    gr_node_free(gr_node_detach(gr_node_at(root, "data"), "silos"));
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        GR_TRY(set_text(gr_node_at(root, paths[i][0]), paths[i][1], paths[i][2]));
out:
    return status;
}

/* Numbers of sites, where the silos of all are the parties. */
static gr_status count_silos(struct gr_node *root) {
    gr_status status;
    GR_TRY(set_text(gr_node_at(root, "secure"), "threshold", "0"));
    GR_TRY(set_text(gr_node_at(root, "secure"), "colluding", "0"));
    status = set_text(gr_node_at(root, "secure"), "neighbours", "0");
out:
    return status;
}

/* By way of text, which the config of a run then comes from like any other, with all its rules.
 * alone: the site whose part it is; NULL: all of the study. */
static gr_status configure(const struct gr_study *study, const struct known_silos *known,
                           const struct gr_study_site *alone, const char *directory,
                           struct gr_config **out) {
    struct gr_node *root = NULL;
    char *text = NULL, *schema = NULL;
    size_t length;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_settings_tree(study->config, &gr_config_schema, &root));
    GR_TRY(set_silos(study, known, root));
    if (!known->by_site) GR_TRY(count_silos(root));
    if (alone) {
        GR_TRY(leave_alone(root, *alone));
        GR_TRY(privately_alone(root, &study->config->privacy));
    }
    GR_TRY(set_text(gr_node_at(root, "run"), "directory", directory));
    if (study->schema) {
        GR_TRY(gr_text_format(&schema, "%s/schema.yaml", directory));
        GR_TRY(write_schema(study, directory, schema));
        GR_TRY(set_text(gr_node_at(root, "data"), "schema", schema));
    }
    GR_TRY(gr_tree_emit(root, &text, &length));
    status = gr_config_parse(study->path, text, length, NULL, 0, out);
out:
    gr_free(text);
    gr_free(schema);
    gr_node_free(root);
    return status;
}

gr_status gr_study_configure(const struct gr_study *study, const struct gr_site *site,
                             const char *directory, struct gr_config **out) {
    struct known_silos known = {.by_site = true};
    uint32_t party;
    gr_status status;
    *out = NULL;
    if (site) {
        GR_TRY(gr_site_find(study, site, &party));
        known.silo = site->settings->silos;
        known.n = site->settings->silos_count;
    }
    status = configure(study, &known, NULL, directory, out);
out:
    return status;
}

gr_status gr_study_configure_alone(const struct gr_study *study, const struct gr_site *site,
                                   const char *directory, struct gr_config **out) {
    const struct known_silos known = {site->settings->silos, site->settings->silos_count, false};
    uint32_t party;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_site_find(study, site, &party));
    status = configure(study, &known, &study->sites[party], directory, out);
out:
    return status;
}

gr_status gr_study_configure_trial(const struct gr_study *study,
                                   const struct gr_site_silo_config *silos, unsigned n,
                                   const char *directory, struct gr_config **out) {
    const struct known_silos known = {silos, n, false};
    *out = NULL;
    for (uint32_t i = 0; i < study->n_silos; i++)
        if (!find_silo(&known, study->silos[i]))
            return gr_fail(GR_ERROR_USAGE, "%s: found no table for the silo \"%s\", expected one",
                           study->path, study->silos[i]);
    if (n != study->n_silos)
        return gr_fail(GR_ERROR_USAGE,
                       "%s: found %u tables, expected one for each of the %u silos: a name is a "
                       "stranger's, or there twice",
                       study->path, n, study->n_silos);
    return configure(study, &known, NULL, directory, out);
}
