/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The coordinator's run directory against its seals. The last seal vouches for every file; of those
 * before it the heads of the events are left, of which there is one chain, and checkpoints that are
 * still there.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "federation/audit_parts.h"
#include "federation/run.h"

enum { CHUNK = 256 << 10 };

/* In the run directory; in one of four buffers that take turns. */
static const char *in_run(const struct gr_audit_state *audit, const char *name) {
    static _Thread_local char paths[4][4096];
    static _Thread_local unsigned turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", audit->options->run_path, name);
    return path;
}

/* ---- the study --------------------------------------------------------------------------------
 */

gr_status gr_audit_study(struct gr_audit_state *audit) {
    char digest[GR_DIGEST_HEX];
    if (!audit->options->study) {
        gr_audit_note(audit,
                      "no study was given: keys are taken as the evidence itself names them");
        return GR_OK;
    }
    if (gr_study_load(audit->options->study, &audit->study) != GR_OK) {
        gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
        return GR_OK;
    }
    gr_digest_hex(audit->study->digest, digest);
    audit->coordinator = audit->study->parties[0].key;
    audit->has_coordinator = true;
    gr_audit_holds(audit, "%s: study %s, signed by its coordinator, digest %s",
                   audit->options->study, audit->study->name, digest);
    return GR_OK;
}

/* ---- versions of the study --------------------------------------------------------------------
 */

static gr_status keep_version(struct gr_audit_state *audit, struct gr_study *study) {
    struct gr_study **grown;
    const size_t room = 2 * audit->versions_room + 4;
    if (audit->n_versions == audit->versions_room) {
        gr_status status = gr_allocate(room, sizeof(struct gr_study *), "versions", &grown);
        if (status != GR_OK) return status;
        if (audit->n_versions > 0)
            memcpy(grown, audit->versions, audit->n_versions * sizeof(struct gr_study *));
        gr_free(audit->versions);
        audit->versions = grown;
        audit->versions_room = room;
    }
    audit->versions[audit->n_versions++] = study;
    return GR_OK;
}

const struct gr_study *gr_audit_version(struct gr_audit_state *audit, const char *digest,
                                        bool told) {
    unsigned char bytes[GR_DIGEST_BYTES];
    struct gr_study *study = NULL;
    if (!gr_digest_from_hex(digest, bytes)) return NULL;
    if (audit->study && memcmp(audit->study->digest, bytes, sizeof bytes) == 0) return audit->study;
    for (size_t i = 0; i < audit->n_versions; i++)
        if (memcmp(audit->versions[i]->digest, bytes, sizeof bytes) == 0) return audit->versions[i];
    if (gr_study_kept(in_run(audit, "studies"), bytes, &study) != GR_OK) {
        if (told) gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
        return NULL;
    }
    if (study && keep_version(audit, study) != GR_OK) {
        audit->refused = true;
        gr_study_free(study);
        return NULL;
    }
    return study;
}

/* ---- seals ----------------------------------------------------------------------------------- */

/* Room for one more, of a size that follows from what has been read already. */
static gr_status make_room(struct gr_audit_state *audit) {
    gr_status status = GR_OK;
    const size_t room = 2 * audit->room + 16;
    struct gr_run_seal *seals = NULL;
    uint64_t *lines = NULL;
    if (audit->n_seals < audit->room) return GR_OK;
    GR_TRY(gr_allocate(room, sizeof *seals, "seals", &seals));
    GR_TRY(gr_allocate(room, sizeof *lines, "seals", &lines));
    if (audit->n_seals > 0) {
        assert(audit->seals && audit->seal_line);
        memcpy(seals, audit->seals, audit->n_seals * sizeof *seals);
        memcpy(lines, audit->seal_line, audit->n_seals * sizeof *lines);
    }
    gr_free(audit->seals);
    gr_free(audit->seal_line);
    audit->seals = seals;
    audit->seal_line = lines;
    audit->room = room;
    seals = NULL;
out:
    if (status != GR_OK) gr_free(seals);
    return status;
}

/* A name in the run directory, and in no other place. */
static bool is_ours(const char *name) {
    const struct gr_audit_file *file;
    const char *base = strncmp(name, "checkpoints/", 12) == 0 ? name + 12 : name;
    return strlen(name) < sizeof file->name && !strchr(base, '/') && strcmp(base, "..") != 0;
}

/* The newest word on a file is the one that counts. */
static gr_status note_file(struct gr_audit_state *audit, const char *name, const json_t *said) {
    struct gr_audit_file *file = NULL;
    const char *digest = json_string_value(json_object_get(said, "digest"));
    const json_int_t bytes = json_integer_value(json_object_get(said, "bytes"));
    if (!digest || strlen(digest) >= sizeof file->digest || !is_ours(name) || bytes < 0)
        return GR_OK; /* of a writer whose signature has been checked: it never says so */
    for (size_t i = 0; i < audit->n_files && !file; i++)
        if (strcmp(audit->files[i].name, name) == 0) file = &audit->files[i];
    if (!file && audit->n_files == audit->files_room) {
        const size_t room = 2 * audit->files_room + 16;
        struct gr_audit_file *grown;
        gr_status status = gr_allocate(room, sizeof *grown, "sealed files", &grown);
        if (status != GR_OK) return status;
        if (audit->n_files > 0) memcpy(grown, audit->files, audit->n_files * sizeof *grown);
        gr_free(audit->files);
        audit->files = grown;
        audit->files_room = room;
    }
    if (!file) file = &audit->files[audit->n_files++];
    snprintf(file->name, sizeof file->name, "%s", name);
    snprintf(file->digest, sizeof file->digest, "%s", digest);
    file->bytes = (uint64_t)bytes;
    file->seal = audit->n_seals - 1;
    return GR_OK;
}

static gr_status note_files(struct gr_audit_state *audit, const struct gr_chain_line *line) {
    gr_status status = GR_OK;
    const char *name;
    json_t *said, *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    json_object_foreach(json_object_get(json, "files"), name, said) if (status == GR_OK) status =
        note_file(audit, name, said);
    json_decref(json);
    return status;
}

/* Where a seal is of another study than the one before it: of a version that its coordinator has
 * signed, and that names what it follows. */
static void follow_version(struct gr_audit_state *audit, const struct gr_chain_line *line,
                           const struct gr_run_seal *before, const struct gr_run_seal *seal) {
    unsigned char digest[GR_DIGEST_BYTES];
    const struct gr_study *study = gr_audit_version(audit, seal->study, true);
    if (!study) {
        gr_audit_amiss(audit, "seals.jsonl", line->number,
                       "of another study than the seal before it, %.12s..., of which the run keeps "
                       "no copy in studies/",
                       seal->study);
        return;
    }
    if (!gr_digest_from_hex(before->study, digest) || !gr_study_is_version(study, digest))
        gr_audit_amiss(audit, "seals.jsonl", line->number,
                       "of study %.12s..., which does not follow %.12s... of the seal before it",
                       seal->study, before->study);
    else if (memcmp(&study->parties[0].key, &audit->coordinator, sizeof audit->coordinator) != 0)
        gr_audit_amiss(audit, "seals.jsonl", line->number,
                       "of study %.12s..., which another coordinator has signed", seal->study);
    else
        gr_audit_fact(audit, "version    %s from round %u on, follows %.12s...", seal->study,
                      seal->round, before->study);
}

/* Who signs is what the first seal says; all others must be of the same hand and run, and of the
 * same study or a version that follows it. */
static void compare_with_first(struct gr_audit_state *audit, const struct gr_chain_line *line,
                               const struct gr_run_seal *seal) {
    if (!audit->has_coordinator && audit->n_seals == 0)
        audit->has_coordinator = gr_public_key_parse(seal->by, &audit->coordinator);
    if (!audit->has_coordinator ||
        !gr_chain_signed(line->text, line->n, GR_PURPOSE_OF_SEALS, &audit->coordinator))
        gr_audit_amiss(audit, "seals.jsonl", line->number,
                       "not signed by the coordinator whose key %s names",
                       audit->study ? "the study" : "the first seal");
    if (audit->n_seals == 0) return;
    const struct gr_run_seal *first = &audit->seals[0];
    if (strcmp(seal->run_id, first->run_id) != 0)
        gr_audit_amiss(audit, "seals.jsonl", line->number, "of another run than the first seal");
    const struct gr_run_seal *before = &audit->seals[audit->n_seals - 1];
    if (strcmp(seal->study, before->study) != 0) follow_version(audit, line, before, seal);
}

static gr_status visit_seal(void *context, const struct gr_chain_line *line) {
    struct gr_audit_state *audit = context;
    gr_status status = GR_OK;
    struct gr_run_seal seal;
    if (!line->follows)
        gr_audit_amiss(audit, "seals.jsonl", line->number,
                       "its hash does not continue the chain: a line was changed, put in or taken "
                       "out");
    if (gr_run_seal_read(line->text, line->n, &seal) != GR_OK) {
        json_t *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
        const char *event = json_string_value(json_object_get(json, "event"));
        if (line->follows && event && strcmp(event, "alert") == 0)
            gr_audit_note(audit, "seals.jsonl:%llu: a line that was cut by a crash is kept aside",
                          (unsigned long long)line->number);
        else
            gr_audit_amiss(audit, "seals.jsonl", line->number, "not a seal: %s", gr_message());
        json_decref(json);
        return GR_OK;
    }
    compare_with_first(audit, line, &seal);
    const struct gr_run_seal *last = gr_audit_last(audit);
    if (last && seal.round < last->round && strcmp(seal.kind, "resumed") != 0)
        gr_audit_amiss(audit, "seals.jsonl", line->number, "of round %u, behind one of round %u",
                       seal.round, last->round);
    GR_TRY(make_room(audit));
    assert(audit->seals && audit->seal_line);
    audit->seals[audit->n_seals] = seal;
    audit->seal_line[audit->n_seals++] = line->number;
    status = note_files(audit, line);
out:
    return status;
}

/* The statement stands beside the run, and is sealed by its own signature, which has to be the
 * coordinator's. */
static void check_withdrawal(struct gr_audit_state *audit, const struct gr_run_seal *last) {
    struct gr_withdrawn withdrawn;
    if (gr_withdrawal_read(audit->options->run_path, &withdrawn) != GR_OK)
        gr_audit_amiss(audit, "withdrawn.json", 0, "it is no statement of a withdrawal");
    else if (withdrawn.found && (!withdrawn.holds || strcmp(withdrawn.by, last->by) != 0))
        gr_audit_amiss(audit, "withdrawn.json", 0, "not signed by the key that has sealed the run");
    else if (withdrawn.found)
        gr_audit_fact(audit, "withdrawn  %s; the model without it is %s", withdrawn.silo,
                      withdrawn.model);
}

static gr_status read_seals(struct gr_audit_state *audit) {
    uint64_t n = 0;
    bool torn = false;
    gr_status status = gr_chain_read(in_run(audit, "seals.jsonl"), visit_seal, audit, &n, &torn);
    if (status == GR_ERROR_DATA) {
        gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
        status = GR_OK;
    }
    if (status != GR_OK) return status;
    if (torn) gr_audit_amiss(audit, "seals.jsonl", n + 1, "a line is cut off");
    const struct gr_run_seal *last = gr_audit_last(audit);
    if (!last) {
        gr_audit_amiss(audit, "seals.jsonl", 0,
                       "there is no seal, so nothing vouches for the run: only run "
                       "directories of `granary coordinate` have seals");
        return GR_OK;
    }
    if (audit->seal_line[audit->n_seals - 1] != n)
        gr_audit_amiss(audit, "seals.jsonl", n, "behind the last seal stands a line without one");
    char digest[GR_DIGEST_HEX] = "";
    if (audit->study) gr_digest_hex(audit->study->digest, digest);
    if (audit->study && strcmp(digest, last->study) != 0)
        gr_audit_amiss(audit, "seals.jsonl", n, "of study %.12s..., expected %.12s... of %s",
                       last->study, digest, audit->options->study);
    gr_audit_fact(audit, "study      %s", last->study);
    gr_audit_fact(audit, "run        %s, %s", last->run_id, last->kind);
    gr_audit_fact(audit, "signed by  %s", last->by);
    gr_audit_fact(audit, "seals      %zu, the last one of round %u", audit->n_seals, last->round);
    check_withdrawal(audit, last);
    if (!gr_run_seal_closes(last) && !audit->live)
        gr_audit_amiss(audit, "seals.jsonl", n,
                       "the last seal (%s, round %u) does not close the run: it was killed and not "
                       "gone on with, or seals were cut off",
                       last->kind, last->round);
    return GR_OK;
}

/* ---- events ---------------------------------------------------------------------------------- */

/* All heads that were ever sealed lie on the one chain that is there. */
static gr_status check_events(struct gr_audit_state *audit) {
    gr_status status = GR_OK;
    struct gr_head *heads = NULL;
    bool *holds = NULL;
    uint64_t n_lines = 0;
    size_t broken = 0;
    const size_t before = audit->amiss.n;
    const struct gr_run_seal *last = gr_audit_last(audit);
    GR_TRY(gr_allocate(audit->n_seals + 1, sizeof *heads, "seals", &heads));
    GR_TRY(gr_allocate(audit->n_seals + 1, sizeof *holds, "seals", &holds));
    for (size_t i = 0; i < audit->n_seals; i++)
        heads[i] = audit->seals[i].events;
    if (gr_events_look(in_run(audit, "events.jsonl"), heads, holds, audit->n_seals, &n_lines,
                       &broken) != GR_OK) {
        gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
        goto out;
    }
    if (broken)
        gr_audit_amiss(audit, "events.jsonl", broken, "its hash does not continue the chain");
    for (size_t i = 0; i < audit->n_seals; i++)
        if (!holds[i])
            gr_audit_amiss(audit, "events.jsonl", heads[i].n,
                           n_lines < heads[i].n
                               ? "lines were cut off: seals.jsonl:%llu has sealed this one"
                               : "not the line that seals.jsonl:%llu has sealed",
                           (unsigned long long)audit->seal_line[i]);
    if (last && n_lines > last->events.n) {
        if (gr_run_seal_closes(last) && !audit->live)
            gr_audit_amiss(audit, "events.jsonl", last->events.n + 1,
                           "behind the line that the closing seal names");
        else
            gr_audit_note(audit, "events.jsonl:%llu and behind it: not sealed yet",
                          (unsigned long long)last->events.n + 1);
    }
    if (audit->amiss.n == before)
        gr_audit_holds(audit, "events.jsonl: %llu lines, a chain that all seals lie on",
                       (unsigned long long)n_lines);
out:
    gr_free(heads);
    gr_free(holds);
    return status;
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Of the first `bytes` bytes; *more: there are others behind them. */
static gr_status digest_head(const char *path, uint64_t bytes, char out[GR_DIGEST_HEX],
                             bool *more) {
    gr_status status = GR_OK;
    struct gr_digest digest;
    unsigned char raw[GR_DIGEST_BYTES];
    char *chunk = NULL;
    *more = false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return gr_fail(GR_ERROR_DATA, "%s", strerror(errno));
    GR_TRY(gr_allocate(CHUNK, 1, path, &chunk));
    gr_digest_start(&digest);
    for (;;) {
        const size_t most = bytes < CHUNK ? (size_t)bytes + 1 : CHUNK;
        const ssize_t n = read(fd, chunk, most);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            status = gr_fail(GR_ERROR_DATA, "%s", strerror(errno));
            goto out;
        }
        *more = (uint64_t)n > bytes;
        const size_t used = *more ? (size_t)bytes : (size_t)n;
        gr_digest_add(&digest, chunk, used);
        bytes -= used;
        if (n == 0 || *more) break;
    }
    gr_digest_finish(&digest, raw);
    gr_digest_hex(raw, out);
out:
    gr_free(chunk);
    close(fd);
    return status;
}

/* A file that grows has what was sealed at its beginning. */
static bool grows(const char *name) {
    return strcmp(name, "metrics.jsonl") == 0;
}

static void check_file(struct gr_audit_state *audit, const struct gr_audit_file *file) {
    char hex[GR_DIGEST_HEX];
    bool more;
    const bool newest = file->seal + 1 == audit->n_seals;
    const bool checkpoint = strncmp(file->name, "checkpoints/", 12) == 0;
    const unsigned long long line = audit->seal_line[file->seal];
    /* Older checkpoints make room; a stretch that goes on takes the model of the one before away,
     * and replaces files that only the end seals. */
    if (!newest && !checkpoint) return;
    if (access(in_run(audit, file->name), F_OK) != 0 && !newest) return;
    if (digest_head(in_run(audit, file->name), file->bytes, hex, &more) != GR_OK) {
        gr_audit_amiss(audit, file->name, 0, "%s; seals.jsonl:%llu has sealed it", gr_message(),
                       line);
        return;
    }
    const bool may_grow =
        grows(file->name) && (audit->live || !gr_run_seal_closes(gr_audit_last(audit)));
    if (strcmp(hex, file->digest) != 0 || (more && !may_grow))
        gr_audit_amiss(audit, file->name, 0, "not what seals.jsonl:%llu has sealed", line);
    else
        gr_audit_holds(audit, "%s: as sealed after round %u", file->name,
                       audit->seals[file->seal].round);
}

/* A checkpoint that nothing vouches for would be taken when the run is gone on with. */
static void check_strangers(struct gr_audit_state *audit) {
    DIR *folder = opendir(in_run(audit, "checkpoints"));
    const struct dirent *entry;
    while (folder && (entry = readdir(folder))) {
        char name[300];
        bool known = audit->live;
        if (strncmp(entry->d_name, "round-", 6) != 0) continue;
        snprintf(name, sizeof name, "checkpoints/%s", entry->d_name);
        for (size_t i = 0; i < audit->n_files && !known; i++)
            known = strcmp(audit->files[i].name, name) == 0;
        if (!known) gr_audit_amiss(audit, name, 0, "no seal speaks of it");
    }
    if (folder) closedir(folder);
}

/* The model that sites have seen is the one in the file. */
static void check_model(struct gr_audit_state *audit) {
    const struct gr_run_seal *last = gr_audit_last(audit);
    struct gr_model_file file = {0};
    unsigned char digest[GR_DIGEST_BYTES];
    char hex[GR_DIGEST_HEX];
    if (!last || strcmp(last->kind, "finished") != 0) return;
    if (gr_model_file_read(in_run(audit, "model.h5"), 0, 1, &file) != GR_OK) {
        gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
        return;
    }
    gr_layout_digest(&file.layout, file.parameters, digest);
    gr_digest_hex(digest, hex);
    if (strcmp(hex, last->model) != 0 || !file.digests_match)
        gr_audit_amiss(audit, "model.h5", 0,
                       "holds a model of digest %.12s..., sealed was %.12s...", hex, last->model);
    else
        gr_audit_holds(audit, "model.h5: its parameters have the digest %s", hex);
    gr_model_file_release(&file);
}

/* The records vouch for each other as well, as those of any run do. */
static void compare_records(struct gr_audit_state *audit) {
    char *words = NULL;
    if (gr_run_compare(audit->options->run_path, &words) != GR_OK)
        gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
    else
        gr_audit_holds(audit, "%s", words);
    gr_free(words);
}

/* ---- the whole ------------------------------------------------------------------------------- */

gr_status gr_audit_run(struct gr_audit_state *audit) {
    gr_status status = GR_OK;
    audit->live = gr_run_directory_hold(audit->options->run_path) == GR_HOLD_HELD;
    if (audit->live) gr_audit_note(audit, "the run goes on: its last lines are not sealed yet");
    GR_TRY(read_seals(audit));
    GR_TRY(check_events(audit));
    for (size_t i = 0; i < audit->n_files; i++)
        check_file(audit, &audit->files[i]);
    check_strangers(audit);
    check_model(audit);
    compare_records(audit);
    /* Releases are those of the study; without one, of the config that is sealed. */
    if (gr_config_load(in_run(audit, "resolved.yaml"), NULL, 0, &audit->config) != GR_OK)
        gr_audit_amiss(audit, NULL, 0, "%s", gr_message());
out:
    return status;
}
