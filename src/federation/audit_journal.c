/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A site's journal: by itself a chain that its site has signed; against the run, whose seals it has
 * countersigned, so that it knows which ones there were; and against the table of releases.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <granary/release.h>

#include "federation/audit_parts.h"

/* A journal that is read. */
struct audited_journal {
    struct gr_audit_state *audit;
    const char *path;
    struct gr_public_key key;
    bool opened, has_key, keyless;  /* keyless: the rank had no key, and signed nothing */
    const struct gr_study *version; /* by which the last stretch went; NULL: not known */
    char key_text[GR_PUBLIC_KEY_TEXT];
    char site[80];
    json_int_t rank;
    bool closed;        /* by the last line so far */
    bool left;          /* the site has left the study for good, as it has signed */
    uint64_t last_seal; /* of this run, its number, 0: none */
    uint64_t of_run;    /* seals of this run */
    uint64_t seals, releases, withheld;
    uint64_t of_kind[GR_RELEASES_MAX];
};

static const char *text_of(const json_t *json, const char *key) {
    const char *text = json_string_value(json_object_get(json, key));
    return text ? text : "";
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Of a site that a study names: whether the key is that site's. */
static void check_party(struct audited_journal *r, const struct gr_chain_line *line) {
    const struct gr_study *study = r->version;
    for (uint32_t i = 0; study && i < study->n_parties; i++) {
        if (strcmp(study->parties[i].name, r->site) != 0) continue;
        if (r->has_key && memcmp(&study->parties[i].key, &r->key, sizeof r->key) != 0)
            gr_audit_amiss(r->audit, r->path, line->number,
                           "of another key than the study has for %s", r->site);
        return;
    }
    if (study)
        gr_audit_amiss(r->audit, r->path, line->number, "site \"%s\" is none of the study",
                       r->site);
}

/* The key that a version has for the site of the journal: a site that has lost its key gets another
 * with the next version. */
static bool has_new_key(const struct audited_journal *r, const char *key) {
    struct gr_public_key found;
    const struct gr_study *study = r->version;
    if (!study || !gr_public_key_parse(key, &found)) return false;
    for (uint32_t i = 1; i < study->n_parties; i++)
        if (strcmp(study->parties[i].name, r->site) == 0)
            return memcmp(&study->parties[i].key, &found, sizeof found) == 0;
    return false;
}

/* A journal is of the run's study, in any version that the run has gone by. */
static bool is_of_run(const struct gr_audit_state *audit, const char *study) {
    for (size_t i = 0; i < audit->n_seals; i++)
        if (strcmp(audit->seals[i].study, study) == 0) return true;
    return false;
}

static void check_opening(struct audited_journal *r, const struct gr_chain_line *line,
                          const json_t *json) {
    const struct gr_run_seal *last = gr_audit_last(r->audit);
    const char *key = text_of(json, "key"), *study = text_of(json, "study");
    const struct gr_study *before = r->version;
    r->version = gr_audit_version(r->audit, study, false);
    if (!r->version) r->version = r->audit->study;
    if (!r->opened) {
        snprintf(r->site, sizeof r->site, "%.79s", text_of(json, "site"));
        snprintf(r->key_text, sizeof r->key_text, "%s",
                 strlen(key) < sizeof r->key_text ? key : "");
        r->rank = json_integer_value(json_object_get(json, "rank"));
        r->has_key = gr_public_key_parse(r->key_text, &r->key);
        r->keyless = key[0] == '\0';
        check_party(r, line);
    }
    if (r->opened && strcmp(key, r->key_text) != 0) {
        if (r->version != before && strlen(key) < sizeof r->key_text && has_new_key(r, key)) {
            snprintf(r->key_text, sizeof r->key_text, "%s", key);
            r->has_key = gr_public_key_parse(key, &r->key);
            gr_audit_note(r->audit, "%s:%llu: from here on by the site's new key, %s", r->path,
                          (unsigned long long)line->number, key);
        } else {
            gr_audit_amiss(r->audit, r->path, line->number, "of another key than the first line");
        }
    }
    if (r->opened && strcmp(text_of(json, "site"), r->site) != 0)
        gr_audit_amiss(r->audit, r->path, line->number, "of another site than the first line");
    if (last && !is_of_run(r->audit, study))
        gr_audit_amiss(r->audit, r->path, line->number, "of study %.12s..., the run is of %.12s...",
                       study, last->study);
    r->opened = true;
}

static void check_signature(struct audited_journal *r, const struct gr_chain_line *line,
                            const char *event) {
    if (r->keyless) return;
    if (!r->has_key || !gr_chain_signed(line->text, line->n, GR_PURPOSE_OF_JOURNALS, &r->key))
        gr_audit_amiss(r->audit, r->path, line->number,
                       "\"%s\" is not signed by the key of the first line", event);
}

static void check_release(struct audited_journal *r, const struct gr_chain_line *line,
                          const json_t *json) {
    const json_int_t id = json_integer_value(json_object_get(json, "release"));
    const struct gr_config *config = r->version ? r->version->config : r->audit->config;
    const struct gr_release_row *row =
        id > 0 && id < GR_RELEASES_MAX ? gr_release_row((enum gr_release)id) : NULL;
    if (!row || strcmp(row->name, text_of(json, "name")) != 0)
        gr_audit_amiss(r->audit, r->path, line->number,
                       "release %lld \"%.40s\", which `granary releases` does not know",
                       (long long)id, text_of(json, "name"));
    else if (config && !gr_release_leaves((enum gr_release)id, config))
        gr_audit_amiss(r->audit, r->path, line->number,
                       "release %lld \"%s\", which the study does not list", (long long)id,
                       row->name);
    else
        r->of_kind[id]++;
    r->releases++;
}

/* The seals of the run that a journal speaks of, to the byte: a seal's hash is over all of it. */
static void compare_with_run(struct audited_journal *r, const struct gr_chain_line *line,
                             const struct gr_run_seal *seal) {
    const struct gr_audit_state *audit = r->audit;
    const struct gr_run_seal *last = gr_audit_last(audit);
    assert(audit->seals || audit->n_seals == 0);
    for (size_t i = 0; i < audit->n_seals; i++) {
        if (audit->seals[i].n != seal->n) continue;
        if (strcmp(audit->seals[i].hash, seal->hash) != 0)
            gr_audit_amiss(r->audit, r->path, line->number,
                           "seal %llu of round %u is another than seals.jsonl:%llu: a fork, the "
                           "coordinator has two histories",
                           (unsigned long long)seal->n, seal->round,
                           (unsigned long long)audit->seal_line[i]);
        return;
    }
    gr_audit_amiss(r->audit, r->path, line->number,
                   "knows of seal %llu of round %u, the run's seals end with %llu of round %u: the "
                   "run directory is an older copy, or its seals were cut off",
                   (unsigned long long)seal->n, seal->round,
                   (unsigned long long)(last ? last->n : 0), last ? last->round : 0);
}

static void check_seal(struct audited_journal *r, const struct gr_chain_line *line,
                       const json_t *json) {
    struct gr_run_seal seal;
    const char *text = text_of(json, "seal");
    r->seals++;
    if (gr_run_seal_read(text, strlen(text), &seal) != GR_OK) {
        gr_audit_amiss(r->audit, r->path, line->number, "holds a seal that is none: %s",
                       gr_message());
        return;
    }
    const struct gr_run_seal *last = gr_audit_last(r->audit);
    if (last && strcmp(seal.run_id, last->run_id) != 0) {
        gr_audit_note(r->audit, "%s:%llu: a seal of an earlier run, %.12s...", r->path,
                      (unsigned long long)line->number, seal.run_id);
        return;
    }
    if (r->audit->has_coordinator &&
        !gr_chain_signed(text, strlen(text), GR_PURPOSE_OF_SEALS, &r->audit->coordinator))
        gr_audit_amiss(r->audit, r->path, line->number,
                       "holds a seal that the coordinator has not signed");
    if (json_is_false(json_object_get(json, "held")))
        gr_audit_note(
            r->audit,
            "%s:%llu: seal %llu is countersigned by a site that was away and did not hold "
            "its model",
            r->path, (unsigned long long)line->number, (unsigned long long)seal.n);
    if (seal.n <= r->last_seal)
        gr_audit_amiss(r->audit, r->path, line->number, "seal %llu stands behind seal %llu",
                       (unsigned long long)seal.n, (unsigned long long)r->last_seal);
    r->last_seal = seal.n;
    r->of_run++;
    compare_with_run(r, line, &seal);
}

/* An alert is the chain's own: a line that a crash has cut off was kept aside. */
static void visit_event(struct audited_journal *r, const struct gr_chain_line *line,
                        const json_t *json) {
    const char *event = text_of(json, "event");
    r->closed = strcmp(event, "closed") == 0;
    if (!r->opened && strcmp(event, "opened") != 0 && strcmp(event, "alert") != 0)
        gr_audit_amiss(r->audit, r->path, line->number, "stands before the line that opens it");
    if (strcmp(event, "opened") == 0) {
        check_opening(r, line, json);
    } else if (strcmp(event, "release") == 0) {
        check_release(r, line, json);
    } else if (strcmp(event, "withheld") == 0) {
        r->withheld++;
    } else if (strcmp(event, "alert") == 0) {
        gr_audit_note(r->audit, "%s:%llu: a line that was cut by a crash is kept aside", r->path,
                      (unsigned long long)line->number);
    } else if (strcmp(event, "seal") == 0) {
        check_signature(r, line, event);
        check_seal(r, line, json);
    } else if (strcmp(event, "contradiction") == 0) {
        check_signature(r, line, event);
        gr_audit_amiss(r->audit, r->path, line->number, "the site has refused a seal: %.400s",
                       text_of(json, "what"));
    } else if (r->closed || strcmp(event, "left") == 0) {
        check_signature(r, line, event);
        r->left = r->left || !r->closed;
    } else {
        gr_audit_amiss(r->audit, r->path, line->number, "not a line of a journal");
    }
}

static gr_status visit(void *context, const struct gr_chain_line *line) {
    struct audited_journal *r = context;
    if (!line->follows)
        gr_audit_amiss(r->audit, r->path, line->number,
                       "its hash does not continue the chain: a line was changed, put in or taken "
                       "out");
    json_t *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    visit_event(r, line, json);
    json_decref(json);
    return GR_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void check_end(struct audited_journal *r, uint64_t n, bool torn) {
    const struct gr_run_seal *last = gr_audit_last(r->audit);
    if (torn) gr_audit_amiss(r->audit, r->path, n + 1, "a line is cut off");
    if (!r->opened) gr_audit_amiss(r->audit, r->path, 0, "no line opens it");
    if (!r->closed && !r->audit->live)
        gr_audit_amiss(r->audit, r->path, n,
                       "the last line does not close the journal: its rank was killed, or lines "
                       "were cut off");
    if (last && !r->audit->live && r->last_seal < last->n && r->left)
        gr_audit_note(r->audit, "%s: the site has left the study for good behind seal %llu",
                      r->path, (unsigned long long)r->last_seal);
    else if (last && !r->audit->live && r->last_seal < last->n)
        gr_audit_amiss(r->audit, r->path, n,
                       "ends with seal %llu, the run's last is %llu of round %u: the site was away "
                       "at the end, or lines were cut off",
                       (unsigned long long)r->last_seal, (unsigned long long)last->n, last->round);
    if (last && r->last_seal == last->n && r->of_run < r->audit->n_seals)
        gr_audit_note(r->audit, "%s: %llu seals of the run are not in it: the site was away then",
                      r->path, (unsigned long long)(r->audit->n_seals - r->of_run));
    if (r->keyless && r->opened)
        gr_audit_note(r->audit, "%s: nothing in it is signed, as its rank had no key", r->path);
}

static void tell(struct audited_journal *r, uint64_t n) {
    size_t kinds = 0;
    for (int i = 0; i < GR_RELEASES_MAX; i++)
        kinds += r->of_kind[i] > 0;
    gr_audit_fact(r->audit,
                  "journal    %s: site %s, rank %lld: %llu lines, %llu seals, %llu releases of %zu "
                  "kinds, %llu withheld",
                  r->path, r->site, (long long)r->rank, (unsigned long long)n,
                  (unsigned long long)r->seals, (unsigned long long)r->releases, kinds,
                  (unsigned long long)r->withheld);
    if (r->has_key) gr_audit_fact(r->audit, "signed by  %s", r->key_text);
}

gr_status gr_audit_journal(struct gr_audit_state *audit, const char *path) {
    struct audited_journal r = {.audit = audit, .path = path};
    const size_t before = audit->amiss.n;
    uint64_t n = 0;
    bool torn = false;
    gr_status status = gr_chain_read(path, visit, &r, &n, &torn);
    if (status == GR_ERROR_DATA) {
        gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
        return GR_OK;
    }
    if (status != GR_OK) return status;
    check_end(&r, n, torn);
    tell(&r, n);
    if (audit->amiss.n == before)
        gr_audit_holds(
            audit, "%s: a chain, signed; its seals are the run's; its releases are listed", path);
    return status;
}
