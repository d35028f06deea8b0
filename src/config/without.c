/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A config, or a study, without one of its silos, and with the rounds in which each of the others
 * takes part written out (round.availability): so it says by itself who is asked in which round,
 * for a single job and for parties who see no other record.
 */
#include "config/spot.h"

#include <stdio.h>
#include <string.h>

static gr_status put(struct gr_node *section, const char *key, const char *text) {
    struct gr_node *node = gr_node_child(section, key, strlen(key));
    if (!node) return gr_node_add(section, GR_NODE_SCALAR, key, text, &node);
    gr_node_clear(node);
    node->kind = GR_NODE_SCALAR;
    node->quoted = true;
    return gr_node_set_text(node, text, strlen(text));
}

static gr_status put_number(struct gr_node *section, const char *key, uint64_t number) {
    char text[24];
    struct gr_node *node;
    snprintf(text, sizeof text, "%ju", (uintmax_t)number);
    gr_status status = put(section, key, text);
    node = status == GR_OK ? gr_node_child(section, key, strlen(key)) : NULL;
    if (node) node->quoted = false;
    return status;
}

/* The section or list of that name, made where there is none, or nothing in it. */
static gr_status child_of(struct gr_node *root, enum gr_node_kind kind, const char *key,
                          struct gr_node **out) {
    *out = gr_node_child(root, key, strlen(key));
    if (!*out) return gr_node_add(root, kind, key, NULL, out);
    if ((*out)->kind != kind) {
        gr_node_clear(*out);
        (*out)->kind = kind;
    }
    return GR_OK;
}

/* Takes an entry out of a list. */
static void remove_entry(struct gr_node *list, uint32_t place) {
    struct gr_node **link = &list->child, *previous = NULL;
    for (uint32_t i = 0; *link && i < place; i++) {
        previous = *link;
        link = &previous->next;
    }
    if (*link) gr_node_remove(list, link, previous);
}

static gr_status add_entry(struct gr_node *list, const struct gr_availability_config *entry) {
    char number[16];
    struct gr_node *section, *silos, *node;
    gr_status status;
    GR_TRY(gr_node_add(list, GR_NODE_SECTION, NULL, NULL, &section));
    GR_TRY(gr_node_add(section, GR_NODE_LIST, "silos", NULL, &silos));
    for (unsigned i = 0; i < entry->silos_count; i++) {
        snprintf(number, sizeof number, "%u", entry->silos[i]);
        GR_TRY(gr_node_add(silos, GR_NODE_SCALAR, NULL, number, &node));
        node->quoted = false;
    }
    GR_TRY(put_number(section, "from", entry->from));
    status = put_number(section, "to", entry->to);
out:
    return status;
}

/* All silos that an entry lists, or that none does, take part; nobody is drawn. */
static gr_status put_rounds(struct gr_node *root, const struct gr_recorded_rounds *rounds) {
    struct gr_node *run, *round, *list, *policy;
    gr_status status;
    GR_TRY(child_of(root, GR_NODE_SECTION, "run", &run));
    GR_TRY(child_of(root, GR_NODE_SECTION, "round", &round));
    GR_TRY(put_number(run, "rounds", rounds->n_rounds));
    if (rounds->minimum_silos > 0) {
        GR_TRY(child_of(root, GR_NODE_SECTION, "policy", &policy));
        GR_TRY(put_number(policy, "minimum_silos", rounds->minimum_silos));
    }
    GR_TRY(put_number(round, "participants", 0));
    GR_TRY(put(round, "sampling", rounds->n > 0 ? "list" : "uniform"));
    GR_TRY(child_of(round, GR_NODE_LIST, "availability", &list));
    gr_node_clear(list);
    list->kind = GR_NODE_LIST;
    for (unsigned i = 0; i < rounds->n; i++)
        GR_TRY(add_entry(list, &rounds->entries[i]));
out:
    return status;
}

gr_status gr_config_without(const struct gr_config *config, uint32_t silo,
                            const struct gr_recorded_rounds *rounds, char **yaml) {
    struct gr_node *root = NULL, *faults;
    size_t length;
    gr_status status;
    *yaml = NULL;
    GR_TRY(gr_settings_tree(config, &gr_config_schema, &root));
    remove_entry(gr_node_at(root, "data.silo_tables"), silo);
    remove_entry(gr_node_at(root, "silos"), silo);
    GR_TRY(put_number(gr_node_at(root, "data"), "silos", config->data.silos - 1));
    /* What faults have done stands in the rounds that are recorded. */
    faults = gr_node_at(root, "faults");
    gr_node_clear(faults);
    faults->kind = GR_NODE_LIST;
    GR_TRY(put(gr_node_at(root, "round"), "replay", ""));
    GR_TRY(put_rounds(root, rounds));
    status = gr_tree_emit(root, yaml, &length);
out:
    gr_node_free(root);
    return status;
}

/* ---- a study --------------------------------------------------------------------------------- */

/* Whether a site's entry brings the silo; taken out of its list, if it has one. *empty: it brought
 * no other. */
static bool take_silo(struct gr_node *site, const char *silo, bool *empty) {
    struct gr_node *name = gr_node_child(site, "name", 4), *list = gr_node_child(site, "silos", 5);
    uint32_t i = 0;
    *empty = true;
    if (!list || list->n_children == 0) return name && strcmp(name->text, silo) == 0;
    for (const struct gr_node *node = list->child; node; node = node->next, i++)
        if (strcmp(node->text, silo) == 0) {
            remove_entry(list, i);
            *empty = list->n_children == 0;
            return true;
        }
    return false;
}

/* "heart-4-without-zurich", of a length that a name may have. */
static gr_status put_name(struct gr_node *head, const char *name, const char *silo) {
    char text[160];
    snprintf(text, sizeof text, "%.63s-without-%.63s", name, silo);
    text[sizeof((struct gr_party *)NULL)->name - 1] = '\0';
    return put(head, "name", text);
}

gr_status gr_study_without(const struct gr_study *study, const char *text, size_t length,
                           const char *silo, const struct gr_recorded_rounds *rounds, char **yaml) {
    struct gr_node *root = NULL, *head, *sites, *data;
    uint32_t i = 0;
    bool found = false, empty;
    size_t n;
    gr_status status;
    *yaml = NULL;
    GR_TRY(gr_tree_parse(study->path, NULL, text, length, &root));
    head = gr_node_child(root, "study", 5);
    sites = gr_node_child(head, "sites", 5);
    for (struct gr_node *site = sites->child; site && !found; site = found ? site : site->next) {
        found = take_silo(site, silo, &empty);
        if (!found) i++;
    }
    if (!found) {
        status = gr_fail(GR_ERROR_CONFIG, "%s: found no silo \"%s\", expected one of the study's",
                         study->path, silo);
        goto out;
    }
    if (empty) remove_entry(sites, i);
    GR_TRY(put_name(head, study->name, silo));
    data = gr_node_child(root, "data", 4);
    if (data) gr_node_free(gr_node_detach(data, "silos"));
    GR_TRY(put_rounds(root, rounds));
    status = gr_tree_emit(root, yaml, &n);
out:
    gr_node_free(root);
    return status;
}
