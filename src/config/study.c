/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The study's file: its own section, a table's schema, and the sections of a config, each checked
 * by the tables that its kind of file is checked by elsewhere, so that all broken rules are told at
 * once and nothing of a config is written down a second time.
 */
#include "config/rules.h"
#include "config/spot.h"

#include <stdio.h>
#include <string.h>

/* A study while it is read; all owned. */
struct study_reading {
    struct gr_study *study;
    struct gr_study_config *head; /* the section `study` */
    void *schema, *config;
};

/* ---- the section `study` --------------------------------------------------------------------- */

static bool same_key(const struct gr_public_key *a, const struct gr_public_key *b) {
    return memcmp(a->verify, b->verify, GR_KEY_BYTES) == 0 ||
           memcmp(a->seal, b->seal, GR_KEY_BYTES) == 0;
}

static bool no_key(const struct gr_public_key *key) {
    static const struct gr_public_key none;
    return memcmp(key, &none, sizeof none) == 0;
}

/* The party of that name or key among the first n; n: there is none. A key that could not be read
 * is nobody's. */
static uint32_t find_name(const struct gr_party *parties, uint32_t n, const char *name) {
    uint32_t p = 0;
    while (p < n && strcmp(parties[p].name, name) != 0)
        p++;
    return p;
}

static uint32_t find_key(const struct gr_party *parties, uint32_t n,
                         const struct gr_public_key *key) {
    uint32_t p = 0;
    while (p < n && (no_key(key) || !same_key(&parties[p].key, key)))
        p++;
    return p;
}

/* Both halves count, where for a study's rules one that is shared is too many. */
uint32_t gr_study_find(const struct gr_study *study, const struct gr_public_key *key) {
    uint32_t p = 0;
    while (p < study->n_parties && memcmp(&study->parties[p].key, key, sizeof *key) != 0)
        p++;
    return p;
}

bool gr_study_is_version(const struct gr_study *study,
                         const unsigned char digest[GR_DIGEST_BYTES]) {
    bool found = memcmp(study->digest, digest, GR_DIGEST_BYTES) == 0;
    for (uint32_t i = 0; i < study->n_follows && !found; i++)
        found = memcmp(study->follows[i], digest, GR_DIGEST_BYTES) == 0;
    return found;
}

/* Party p of the study is site p - 1 of the file. */
static gr_status add_site(struct gr_study *study, uint32_t p,
                          const struct gr_study_site_config *site, const struct gr_spot *spot) {
    struct gr_party *party = &study->parties[p];
    gr_status status = GR_OK;
    const uint32_t n = site->silos_count > 0 ? site->silos_count : 1;
    gr_spot_check_name(spot, "name", site->name);
    gr_spot_check_key(spot, "key", site->key, &party->key);
    snprintf(party->name, sizeof party->name, "%s", site->name);
    party->left = site->left;
    uint32_t other = find_name(study->parties, p, party->name);
    if (other < p && party->name[0])
        gr_spot_refuse(spot, "name", "found \"%s\" a second time, allowed once", party->name);
    other = find_key(study->parties, p, &party->key);
    if (other < p)
        gr_spot_refuse(spot, "key", "found the key of \"%s\", allowed one of its own",
                       study->parties[other].name);
    study->sites[p] = (struct gr_study_site){study->n_silos, n};
    for (uint32_t i = 0; i < n; i++) {
        char key[24];
        const char *name = site->silos_count > 0 ? site->silos[i] : site->name;
        snprintf(key, sizeof key, "silos[%u]", i);
        if (site->silos_count > 0) gr_spot_check_name(spot, key, name);
        GR_TRY(gr_text_format(&study->silos[study->n_silos], "%s", name));
        study->n_silos++;
    }
out:
    return status;
}

static gr_status check_silo_names(const struct gr_study *study, const struct gr_spot *head) {
    const char **sorted = NULL;
    char quoted[72];
    uint32_t one, other;
    gr_status status;
    GR_TRY(gr_allocate(study->n_silos, sizeof *sorted, "names of silos", &sorted));
    for (uint32_t i = 0; i < study->n_silos; i++)
        sorted[i] = study->silos[i];
    const char *twice = gr_texts_repeated(sorted, study->n_silos);
    if (twice && twice[0]) {
        gr_text_quote(twice, strlen(twice), quoted, sizeof quoted);
        gr_spot_refuse(head, "sites", "found two silos of the name \"%s\", allowed each once",
                       quoted);
    }
    GR_TRY(gr_names_clash((const char *const *)study->silos, study->n_silos, &one, &other));
    if (!twice && one < other)
        gr_spot_refuse(head, "sites",
                       "found the silos \"%s\" and \"%s\", which would draw the same random "
                       "numbers, allowed another name for one of them",
                       study->silos[one], study->silos[other]);
    if (study->n_silos < 2)
        gr_spot_refuse(head, "sites",
                       "found %u silo%s of all sites, allowed at least 2: the sum of one silo is "
                       "that silo's",
                       study->n_silos, study->n_silos == 1 ? "" : "s");
out:
    gr_free(sorted);
    return status;
}

/* A chain that comes back to a version it has named is none. */
static gr_status read_follows(struct gr_study *study, const struct gr_study_config *head,
                              const struct gr_spot *spot) {
    char key[24];
    gr_status status;
    GR_TRY(gr_allocate_zero(head->follows_count, sizeof *study->follows, "versions of a study",
                            &study->follows));
    for (unsigned i = 0; i < head->follows_count; i++) {
        snprintf(key, sizeof key, "follows[%u]", i);
        if (!gr_digest_from_hex(head->follows[i], study->follows[i]))
            gr_spot_check_digest(spot, key, head->follows[i][0] ? head->follows[i] : "nothing");
        else if (gr_study_is_version(study, study->follows[i]))
            gr_spot_refuse(spot, key, "found a digest a second time, allowed once");
        study->n_follows++;
    }
out:
    return status;
}

static gr_status make_parties(struct gr_study *study, const struct gr_study_config *head,
                              struct gr_spot *spot) {
    size_t n_silos = 0;
    char path[32];
    gr_status status;
    for (unsigned i = 0; i < head->sites_count; i++)
        n_silos += head->sites[i].silos_count > 0 ? head->sites[i].silos_count : 1;
    study->n_parties = head->sites_count + 1;
    GR_TRY(gr_text_format(&study->name, "%s", head->name));
    GR_TRY(gr_allocate_zero(study->n_parties, sizeof *study->parties, "sites", &study->parties));
    GR_TRY(gr_allocate_zero(study->n_parties, sizeof *study->sites, "sites", &study->sites));
    GR_TRY(gr_allocate_zero(n_silos, sizeof *study->silos, "names of silos", &study->silos));
    gr_spot_check_name(spot, "name", head->name);
    snprintf(study->parties[0].name, sizeof study->parties[0].name, "coordinator");
    gr_spot_check_key(spot, "coordinator", head->coordinator, &study->parties[0].key);
    const struct gr_node *node = gr_node_child(spot->node, "sites", 5)->child;
    for (unsigned i = 0; i < head->sites_count && node; i++, node = node->next) {
        snprintf(path, sizeof path, "sites[%u]", i);
        const struct gr_spot site = {spot->broken, node, path};
        GR_TRY(add_site(study, i + 1, &head->sites[i], &site));
    }
    GR_TRY(check_silo_names(study, spot));
    status = read_follows(study, head, spot);
out:
    return status;
}

/* The section is read as a file of its own, whose name is in front of its keys. */
static gr_status read_head(struct study_reading *r, struct gr_node *head,
                           struct gr_broken *broken) {
    struct gr_spot spot = {broken, head, ""};
    void *settings = NULL;
    gr_status status;
    broken->within = "study.";
    GR_TRY(gr_check_tree(head, &gr_study_schema, &gr_study_rows, broken));
    GR_TRY(gr_settings_load(head, &gr_study_schema, &settings));
    r->head = settings;
    status = make_parties(r->study, r->head, &spot);
out:
    broken->within = "";
    return status;
}

static gr_status read_schema(struct study_reading *r, struct gr_node *node,
                             struct gr_broken *broken) {
    gr_status status;
    broken->within = "schema.";
    GR_TRY(gr_check_tree(node, &gr_table_schema, NULL, broken));
    GR_TRY(gr_settings_load(node, &gr_table_schema, &r->schema));
    status = gr_check_columns(r->schema, node, broken);
out:
    broken->within = "";
    return status;
}

/* ---- the sections of a config ---------------------------------------------------------------- */

/* Settings of a config that are a party's own, or have no sense without a machine to look at. */
static const struct {
    const char *section, *key; /* section "": of the file itself */
    const char *where;
} elsewhere[] = {
    {"", "silos", "it belongs in the site file"},
    {"", "faults", "a study is no rehearsal"},
    {"run", "rehearsal", "a study is no rehearsal: its noise would follow from run.seed"},
    {"data", "silo_tables", "it belongs in the site file (silos)"},
    {"data", "train", "it belongs in the site file (silos)"},
    {"data", "test", "a table of nobody's has no place in a study; see data.test_fraction"},
    {"data", "schema", "it belongs in the study's own section `schema`"},
    {"model", "initial",
     "it is a word of `granary coordinate`, and model.initial_digest says which"},
    {"run", "directory",
     "it belongs in the site file (site.directory), or is a word of `granary "
     "coordinate`"},
    {"alerts", "command", "it is of the coordinator's host alone"},
    {"observe", "prometheus", "it is of the coordinator's host alone"},
    {"round", "replay", "it is a word of `granary coordinate`"},
};

static void refuse_elsewhere(struct gr_node *root, struct gr_broken *broken) {
    char path[64];
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++) {
        const char *section = elsewhere[i].section;
        struct gr_node *in = *section ? gr_node_child(root, section, strlen(section)) : root;
        struct gr_node *found;
        if (!in || in->kind != GR_NODE_SECTION) continue;
        while ((found = gr_node_detach(in, elsewhere[i].key))) {
            snprintf(path, sizeof path, "%s%s%s", section, *section ? "." : "", elsewhere[i].key);
            gr_broken_add(broken, found->place, path, "found in a study, allowed none: %s",
                          elsewhere[i].where);
            gr_node_free(found);
        }
    }
}

/* The section of that name; made where there is none, or nothing in it. *out NULL: it is no
 * section, which the checker tells. */
static gr_status section_of(struct gr_node *root, const char *key, struct gr_node **out) {
    struct gr_node *node = gr_node_child(root, key, strlen(key));
    *out = NULL;
    if (!node) return gr_node_add(root, GR_NODE_SECTION, key, NULL, out);
    if (gr_node_is_nothing(node)) {
        gr_node_clear(node);
        node->kind = GR_NODE_SECTION;
    }
    *out = node->kind == GR_NODE_SECTION ? node : NULL;
    return GR_OK;
}

/* A table for each silo, of words that are no files, so that the rules of a config hold as for the
 * config of a run. */
static gr_status add_tables(const struct gr_study *study, struct gr_node *data,
                            struct gr_broken *broken) {
    const struct gr_node *source = gr_node_child(data, "source", 6);
    const char *word_of = source && source->kind == GR_NODE_SCALAR ? source->text : "";
    const bool idx = strcmp(word_of, "idx") == 0, synthetic = strcmp(word_of, "synthetic") == 0;
    struct gr_node *list, *table, *path;
    char word[80];
    gr_status status;
    if (synthetic)
        gr_broken_add(broken, source->place, "data.source",
                      "found synthetic, allowed idx, hdf5 or csv: sites bring tables");
    GR_TRY(gr_node_add(data, GR_NODE_LIST, "silo_tables", NULL, &list));
    /* Of a study without sites, or without tables, that was told already: no rule is to miss them.
     */
    list->broken = study->n_silos == 0 || synthetic;
    if (list->broken) return GR_OK;
    for (uint32_t i = 0; i < study->n_silos; i++) {
        snprintf(word, sizeof word, "site:%.64s", study->silos[i]);
        GR_TRY(gr_node_add(list, GR_NODE_SECTION, NULL, NULL, &table));
        GR_TRY(gr_node_add(table, GR_NODE_SCALAR, idx ? "features" : "file", word, &path));
        if (idx) GR_TRY(gr_node_add(table, GR_NODE_SCALAR, "labels", word, &path));
    }
out:
    return status;
}

static gr_status complete(const struct study_reading *r, struct gr_node *root,
                          struct gr_broken *broken) {
    struct gr_node *data, *run, *made;
    gr_status status;
    GR_TRY(section_of(root, "data", &data));
    GR_TRY(section_of(root, "run", &run));
    if (data) GR_TRY(add_tables(r->study, data, broken));
    if (data && r->schema)
        GR_TRY(gr_node_add(data, GR_NODE_SCALAR, "schema", "schema.yaml", &made));
    if (run && !gr_node_child(run, "name", 4) && gr_is_study_name(r->study->name))
        status = gr_node_add(run, GR_NODE_SCALAR, "name", r->study->name, &made);
out:
    return status;
}

/* Of sites that have left nobody comes, but they are parties of secure sums. */
static void check_parties(const struct study_reading *r, struct gr_node *root,
                          struct gr_broken *broken) {
    const struct gr_config *config = r->config;
    const struct gr_rule_context rules = {config, root, broken};
    const uint32_t n = r->study->n_parties - 1, least = gr_secure_threshold(config, n);
    uint32_t there = 0;
    if (!config->secure.aggregation || n == 0) return;
    const size_t before = broken->n;
    gr_rules_of_parties(&rules, n, "sites");
    for (uint32_t p = 1; p < r->study->n_parties; p++)
        there += !r->study->parties[p].left;
    if (there < least && broken->n == before && gr_rule_sound(&rules, "secure.threshold"))
        REFUSE(&rules, "secure.threshold",
               "found %u, allowed at most the %u sites that have not left", least, there);
}

/* Rounds that could never be summed are refused before the first: of sites that have left nobody
 * comes. */
static void check_left(const struct study_reading *r, const struct gr_node *root,
                       struct gr_broken *broken) {
    const struct gr_config *config = r->config;
    const struct gr_node *policy = gr_node_child(root, "policy", 6);
    uint32_t there = 0;
    for (uint32_t p = 1; p < r->study->n_parties; p++)
        if (!r->study->parties[p].left) there += r->study->sites[p].n_silos;
    if (there == r->study->n_silos || !policy || policy->broken) return;
    if (config->policy.minimum_silos > there)
        gr_broken_add(broken, policy->place, "policy.minimum_silos",
                      "found %u, allowed at most the %u silos of sites that have not left",
                      config->policy.minimum_silos, there);
}

static gr_status read_config(struct study_reading *r, struct gr_node *root,
                             struct gr_broken *broken) {
    gr_status status;
    refuse_elsewhere(root, broken);
    GR_TRY(complete(r, root, broken));
    GR_TRY(gr_check_tree(root, &gr_config_schema, NULL, broken));
    GR_TRY(gr_settings_load(root, &gr_config_schema, &r->config));
    gr_check_rules(r->config, root, broken);
    check_parties(r, root, broken);
    check_left(r, root, broken);
out:
    return status;
}

/* ---- the file -------------------------------------------------------------------------------- */

static gr_status read_study(void *context, struct gr_node *root, struct gr_broken *broken) {
    struct study_reading *r = context;
    struct gr_node *head = NULL, *schema = NULL;
    gr_status status = GR_OK;
    if (root->kind == GR_NODE_SECTION) {
        head = gr_node_detach(root, "study");
        schema = gr_node_detach(root, "schema");
    }
    if (!head) GR_TRY(gr_node_create(GR_NODE_SECTION, "study", NULL, &head));
    GR_TRY(read_head(r, head, broken));
    if (schema) GR_TRY(read_schema(r, schema, broken));
    if (root->kind == GR_NODE_SECTION)
        status = read_config(r, root, broken);
    else
        status = gr_check_tree(root, &gr_config_schema, NULL, broken);
    if (status == GR_OK && r->config && r->schema) {
        broken->within = "schema.";
        gr_check_secure_columns(r->config, r->schema, schema, broken);
        broken->within = "";
    }
out:
    gr_node_free(head);
    gr_node_free(schema);
    return status;
}

void gr_study_free(struct gr_study *study) {
    if (!study) return;
    for (uint32_t i = 0; i < study->n_silos; i++)
        gr_free(study->silos[i]);
    gr_free(study->silos);
    gr_free(study->follows);
    gr_free(study->parties);
    gr_free(study->sites);
    gr_free(study->name);
    gr_free(study->path);
    gr_schema_free(study->schema);
    gr_config_free(study->config);
    gr_free(study);
}

gr_status gr_study_parse(const char *name, const char *text, size_t length, struct gr_study **out) {
    struct study_reading r = {0};
    gr_status status;
    *out = NULL;
    gr_strategy_section_update();
    GR_TRY(gr_allocate_zero(1, sizeof *r.study, "a study", &r.study));
    GR_TRY(gr_text_format(&r.study->path, "%s", name));
    status = gr_settings_read(name, text, length, read_study, &r);
    r.study->schema = r.schema;
    r.study->config = r.config;
    if (status != GR_OK) goto out;
    gr_digest_of(text, length, r.study->digest);
    *out = r.study;
    r.study = NULL;
out:
    gr_settings_free(r.head, &gr_study_schema);
    gr_study_free(r.study);
    return status;
}

gr_status gr_study_read(const char *path, struct gr_study **out) {
    gr_status status;
    char *text = NULL;
    size_t length = 0;
    *out = NULL;
    GR_TRY(gr_file_read(path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    status = gr_study_parse(path, text, length, out);
out:
    gr_free(text);
    return status;
}

/* What is wrong with the file is told by whoever reads it in earnest. */
bool gr_file_has_section(const char *path, const char *section) {
    struct gr_node *root = NULL;
    char *text = NULL;
    size_t length = 0;
    bool found = false;
    if (gr_file_read(path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length) == GR_OK &&
        gr_text_is_utf8(text, length) && gr_tree_parse(path, NULL, text, length, &root) == GR_OK &&
        root->kind == GR_NODE_SECTION)
        found = gr_node_child(root, section, strlen(section)) != NULL;
    gr_node_free(root);
    gr_free(text);
    return found;
}
