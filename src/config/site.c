/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The site's file, and the site's place in a study. Its paths are relative to its own folder, for
 * it is read by `join`, `approve` and batch jobs from wherever they are started, and lies beside
 * the data that it names; a config's are relative to the working folder.
 */
#include "config/spot.h"

#include <stdio.h>
#include <string.h>

/* ---- rules ----------------------------------------------------------------------------------- */

static void refuse_with(const struct gr_spot *spot, const char *key, const char *text,
                        const char *allowed) {
    char quoted[96];
    gr_text_quote(text, strlen(text), quoted, sizeof quoted);
    gr_spot_refuse(spot, key, "found \"%s\", allowed %s", quoted, allowed);
}

/* "sha256//", and 32 bytes in base64. */
enum { PIN_LENGTH = 52 };

/* The ways to a coordinator's port have no sense with a folder. */
static void check_https(const struct gr_spot *spot, const struct gr_mailbox_config *m) {
    const struct {
        const char *key, *text;
    } ways[] = {{"pin", m->pin},
                {"ca", m->ca},
                {"proxy", m->proxy},
                {"certificate", m->certificate},
                {"key", m->key}};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++)
        if (!m->url[0] && ways[i].text[0])
            refuse_with(spot, ways[i].key, ways[i].text, "nothing without mailbox.url");
    if (!m->url[0]) return;
    if (strncmp(m->url, "https://", 8) != 0 || !m->url[8])
        refuse_with(spot, "url", m->url, "https://HOST:PORT");
    if (m->proxy[0] && strncmp(m->proxy, "http://", 7) != 0)
        refuse_with(spot, "proxy", m->proxy, "http://HOST:PORT");
    if (m->pin[0] && (strncmp(m->pin, "sha256//", 8) != 0 || strlen(m->pin) != PIN_LENGTH))
        refuse_with(spot, "pin", m->pin,
                    "sha256// and 44 characters, as `granary coordinate` shows it");
    if (m->pin[0] && m->ca[0])
        refuse_with(spot, "ca", m->ca, "nothing with mailbox.pin: one of the two");
    if (!m->certificate[0] != !m->key[0])
        gr_spot_refuse(spot, m->key[0] ? "key" : "certificate",
                       "found one without the other, allowed certificate and key together");
}

static void check_mailbox(const struct gr_spot *spot, const struct gr_mailbox_config *m) {
    if (m->url[0] && m->folder[0])
        refuse_with(spot, "folder", m->folder, "nothing with mailbox.url: one of the two");
    if (!m->url[0] && !m->folder[0])
        gr_spot_refuse(spot, "", "found neither url nor folder, allowed one of the two");
    check_https(spot, m);
}

static void check_silo(const struct gr_spot *spot, const struct gr_site_silo_config *silo) {
    const bool idx = silo->features[0] || silo->labels[0];
    gr_spot_check_name(spot, "name", silo->name);
    if (!silo->file[0] && !idx)
        gr_spot_refuse(spot, "file",
                       "is required; found nothing, allowed a path (with data.source idx: features "
                       "and labels)");
    if (silo->file[0] && idx)
        refuse_with(spot, "file", silo->file, "nothing with features and labels");
    if (!silo->file[0] && idx && (!silo->features[0] || !silo->labels[0]))
        gr_spot_refuse(spot, silo->features[0] ? "labels" : "features",
                       "is required; found nothing, allowed a path (features and labels go "
                       "together)");
}

static gr_status check_silo_list(const struct gr_site_config *settings, struct gr_spot *root) {
    const struct gr_node *list = gr_node_child(root->node, "silos", 5), *node = list->child;
    const char **sorted = NULL;
    char path[32];
    gr_status status;
    for (unsigned i = 0; i < settings->silos_count && node; i++, node = node->next) {
        snprintf(path, sizeof path, "silos[%u]", i);
        const struct gr_spot spot = {root->broken, node, path};
        check_silo(&spot, &settings->silos[i]);
    }
    if (settings->silos_count == 0)
        gr_spot_refuse(root, "silos", "found none, allowed the silos that the study lists");
    GR_TRY(gr_allocate(settings->silos_count, sizeof *sorted, "names of silos", &sorted));
    for (unsigned i = 0; i < settings->silos_count; i++)
        sorted[i] = settings->silos[i].name;
    const char *twice = gr_texts_repeated(sorted, settings->silos_count);
    if (twice && twice[0]) refuse_with(root, "silos", twice, "each name once");
out:
    gr_free(sorted);
    return status;
}

static void check_approvals(const struct gr_site_config *settings, const struct gr_spot *root) {
    const struct gr_node *node = gr_node_child(root->node, "approvals", 9)->child;
    char path[32];
    for (unsigned i = 0; i < settings->approvals_count && node; i++, node = node->next) {
        snprintf(path, sizeof path, "approvals[%u]", i);
        const struct gr_spot spot = {root->broken, node, path};
        if (!settings->approvals[i].number[0])
            gr_spot_refuse(&spot, "number", "found \"\", allowed a number or name");
        gr_spot_check_day(&spot, "until", settings->approvals[i].until);
        gr_spot_check_digest(&spot, "study", settings->approvals[i].study);
    }
}

static void check_site_policy(const struct gr_site_policy_config *policy,
                              const struct gr_spot *spot) {
    struct gr_public_key key;
    char path[24];
    gr_spot_check_day(spot, "until", policy->until);
    gr_spot_check_digest(spot, "study", policy->study);
    for (unsigned i = 0; i < policy->keys_count; i++) {
        snprintf(path, sizeof path, "keys[%u]", i);
        gr_spot_check_key(spot, path, policy->keys[i], &key);
    }
}

static gr_status check_site(const struct gr_site_config *settings, struct gr_node *root,
                            struct gr_broken *broken) {
    struct gr_spot whole = {broken, root, ""};
    const struct gr_spot own = {broken, gr_node_at(root, "site"), "site"};
    const struct gr_spot mailbox = {broken, gr_node_at(root, "mailbox"), "mailbox"};
    const struct gr_spot policy = {broken, gr_node_at(root, "policy"), "policy"};
    if (!settings->site.key[0])
        gr_spot_refuse(&own, "key", "found \"\", allowed a folder of `granary keygen`");
    if (!settings->site.directory[0])
        gr_spot_refuse(&own, "directory", "found \"\", allowed the path of a folder");
    check_mailbox(&mailbox, &settings->mailbox);
    check_approvals(settings, &whole);
    check_site_policy(&settings->policy, &policy);
    return check_silo_list(settings, &whole);
}

/* ---- the file -------------------------------------------------------------------------------- */

/* The tree is kept, as the policy's findings name its lines. */
static gr_status read_site(void *context, struct gr_node *root, struct gr_broken *broken) {
    struct gr_site *site = context;
    void *settings = NULL;
    gr_status status;
    GR_TRY(gr_check_tree(root, &gr_site_schema, &gr_site_rows, broken));
    GR_TRY(gr_settings_load(root, &gr_site_schema, &settings));
    site->settings = settings;
    GR_TRY(check_site(site->settings, root, broken));
    GR_TRY(gr_node_create(GR_NODE_SECTION, NULL, NULL, &site->tree));
    site->tree->child = root->child;
    site->tree->last_child = root->last_child;
    site->tree->n_children = root->n_children;
    root->child = root->last_child = NULL;
    root->n_children = 0;
out:
    return status;
}

/* The path, behind the folder of the site's file. */
static gr_status resolve(const char *file, char **path) {
    const char *slash = strrchr(file, '/');
    char *whole;
    if (!(*path)[0] || (*path)[0] == '/' || !slash) return GR_OK;
    gr_status status = gr_text_format(&whole, "%.*s/%s", (int)(slash - file), file, *path);
    if (status != GR_OK) return status;
    gr_free(*path);
    *path = whole;
    return GR_OK;
}

static gr_status resolve_all(const char *file, struct gr_site_config *settings) {
    char **const paths[] = {&settings->site.key,    &settings->site.directory,
                            &settings->mailbox.ca,  &settings->mailbox.folder,
                            &settings->mailbox.key, &settings->mailbox.certificate};
    gr_status status = GR_OK;
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        GR_TRY(resolve(file, paths[i]));
    for (unsigned i = 0; i < settings->silos_count; i++) {
        struct gr_site_silo_config *silo = &settings->silos[i];
        GR_TRY(resolve(file, &silo->features));
        GR_TRY(resolve(file, &silo->labels));
        GR_TRY(resolve(file, &silo->file));
        GR_TRY(resolve(file, &silo->directory));
    }
out:
    return status;
}

void gr_site_free(struct gr_site *site) {
    if (!site) return;
    gr_settings_free(site->settings, &gr_site_schema);
    gr_keys_free(site->keys);
    gr_node_free(site->tree);
    gr_free(site->path);
    gr_free(site);
}

gr_status gr_site_parse(const char *name, const char *text, size_t length, struct gr_site **out) {
    struct gr_site *site = NULL;
    gr_status status;
    *out = NULL;
    gr_strategy_section_update();
    GR_TRY(gr_allocate_zero(1, sizeof *site, "a site", &site));
    GR_TRY(gr_text_format(&site->path, "%s", name));
    GR_TRY(gr_settings_read(name, text, length, read_site, site));
    GR_TRY(resolve_all(name, site->settings));
    *out = site;
    site = NULL;
out:
    gr_site_free(site);
    return status;
}

gr_status gr_site_load(const char *path, struct gr_site **out) {
    struct gr_site *site = NULL;
    char *text = NULL;
    size_t length = 0;
    gr_status status;
    *out = NULL;
    GR_TRY(gr_file_read(path, GR_CONFIG_FILE_MAX, GR_ERROR_CONFIG, &text, &length));
    GR_TRY(gr_site_parse(path, text, length, &site));
    GR_TRY(gr_keys_read(site->settings->site.key, &site->keys));
    *out = site;
    site = NULL;
out:
    gr_site_free(site);
    gr_free(text);
    return status;
}

size_t gr_site_line(const struct gr_site *site, const char *setting) {
    const struct gr_node *node = gr_node_at(site->tree, setting);
    return node ? node->place.line : 0;
}

/* ---- its place in a study -------------------------------------------------------------------- */

static bool brings(const struct gr_site *site, const char *silo) {
    for (unsigned i = 0; i < site->settings->silos_count; i++)
        if (strcmp(site->settings->silos[i].name, silo) == 0) return true;
    return false;
}

/* Names are distinct in both lists, so that equal numbers and no stranger mean the same set. */
static gr_status check_silos_of(const struct gr_study *study, const struct gr_site *site,
                                uint32_t party) {
    const struct gr_study_site own = study->sites[party];
    const char *name = study->parties[party].name;
    const size_t line = gr_site_line(site, "silos");
    for (uint32_t i = 0; i < own.n_silos; i++)
        if (!brings(site, study->silos[own.first_silo + i]))
            return gr_fail(GR_ERROR_CONFIG,
                           "%s:%zu: silos: found none of the name \"%s\", expected the %u that %s "
                           "lists for the site \"%s\"",
                           site->path, line, study->silos[own.first_silo + i], own.n_silos,
                           study->path, name);
    if (site->settings->silos_count != own.n_silos)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s:%zu: silos: found %u, expected only the %u that %s lists for the site "
                       "\"%s\"",
                       site->path, line, site->settings->silos_count, own.n_silos, study->path,
                       name);
    return GR_OK;
}

/* A table has the form that the study's source asks for. */
static gr_status check_source(const struct gr_study *study, const struct gr_site *site) {
    const bool idx = study->config->data.source == GR_SOURCE_IDX;
    for (unsigned i = 0; i < site->settings->silos_count; i++)
        if (!site->settings->silos[i].file[0] != idx)
            return gr_fail(
                GR_ERROR_CONFIG, "%s:%zu: silos[%u]: found %s, expected %s: data.source of %s",
                site->path, gr_site_line(site, "silos"), i, idx ? "file" : "features and labels",
                idx ? "features and labels" : "file", study->path);
    return GR_OK;
}

/* What has left is charged to a ledger, which lies in a folder of the silo's own. */
static gr_status check_folders(const struct gr_study *study, const struct gr_site *site) {
    const enum gr_privacy_unit unit = study->config->privacy.unit;
    for (unsigned i = 0; i < site->settings->silos_count && unit != GR_PRIVACY_NONE; i++)
        if (!site->settings->silos[i].directory[0])
            return gr_fail(GR_ERROR_CONFIG,
                           "%s:%zu: silos[%u].directory: found nothing, expected a folder of the "
                           "silo's own, for its ledger (privacy.unit of %s is %s)",
                           site->path, gr_site_line(site, "silos"), i, study->path,
                           gr_privacy_unit_text(unit));
    return GR_OK;
}

gr_status gr_site_find(const struct gr_study *study, const struct gr_site *site, uint32_t *party) {
    const struct gr_public_key *key = gr_keys_public(site->keys);
    char text[GR_PUBLIC_KEY_TEXT];
    *party = gr_study_find(study, key);
    if (*party == 0 || *party == study->n_parties) {
        gr_public_key_text(key, text);
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: found the public key %s, expected that of a site of %s%s", site->path,
                       text, study->path, *party == 0 ? ", not of its coordinator" : "");
    }
    if (study->parties[*party].left)
        return gr_fail(GR_ERROR_CONFIG,
                       "%s: found the site %s, which has left the study (study.sites of %s), "
                       "expected one that takes part",
                       site->path, study->parties[*party].name, study->path);
    gr_status status = check_silos_of(study, site, *party);
    if (status == GR_OK) status = check_source(study, site);
    return status == GR_OK ? check_folders(study, site) : status;
}
