/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The journal of a site. It is written before a value leaves, so that it may tell of a release that
 * a loss then kept back, and never lacks one. What it says of the coordinator it does not believe:
 * a seal is held against the seals before, and against what this rank has computed itself.
 */
#include <granary/journal.h>

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct gr_journal {
    struct gr_journal_options options;
    char *path;                    /* owned; options.path is it */
    char study[GR_DIGEST_HEX];     /* of the options */
    struct gr_chain_signer signer; /* keys NULL: nothing is signed */
    struct gr_events_file *file;   /* owned */
    uint32_t round;
    struct gr_run_seal last; /* seal that was countersigned; n 0: none */
    bool unwritten;          /* a line could not be */
    bool contradicted;
};

gr_status gr_journal_path(const char *directory, int rank, char **out) {
    return rank == 0 ? gr_text_format(out, "%s/journal.jsonl", directory)
                     : gr_text_format(out, "%s/journal-%d.jsonl", directory, rank);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Whether lines may be of that study: of this one, or of a version before it. */
static bool goes_on(const struct gr_journal *journal, const char *study) {
    const struct gr_journal_options *o = &journal->options;
    unsigned char digest[GR_DIGEST_BYTES];
    if (!study || !gr_digest_from_hex(study, digest)) return false;
    bool found = memcmp(digest, o->study, sizeof digest) == 0;
    for (uint32_t i = 0; i < o->n_follows && !found; i++)
        found = memcmp(digest, o->follows[i], sizeof digest) == 0;
    return found;
}

/* Of the lines that are there: whose journal it is, and the last seal. */
static gr_status look_back(void *context, const struct gr_chain_line *line) {
    struct gr_journal *journal = context;
    const struct gr_journal_options *o = &journal->options;
    gr_status status = GR_OK;
    json_t *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    const char *event = json_string_value(json_object_get(json, "event"));
    const char *seal = json_string_value(json_object_get(json, "seal"));
    const char *study = json_string_value(json_object_get(json, "study"));
    const char *site = json_string_value(json_object_get(json, "site"));
    if (event && strcmp(event, "opened") == 0 &&
        (!goes_on(journal, study) || !site || strcmp(site, o->parties[o->party].name) != 0))
        status = gr_fail(GR_ERROR_CONFIG,
                         "%s:%llu: the journal of site %.64s in study %.12s..., expected %s in "
                         "%.12s...; another folder is needed",
                         journal->path, (unsigned long long)line->number, site ? site : "?",
                         study ? study : "?", o->parties[o->party].name, journal->study);
    /* A line that cannot be read is set aside by gr_events_open, or found by an audit. */
    if (event && strcmp(event, "seal") == 0 && seal &&
        gr_run_seal_read(seal, strlen(seal), &journal->last) != GR_OK)
        journal->last = (struct gr_run_seal){0};
    json_decref(json);
    return status;
}

static gr_status append(struct gr_journal *journal, const char *event, json_t *detail, bool sign) {
    const struct gr_chain_signer *signer = sign && journal->signer.keys ? &journal->signer : NULL;
    char *text = detail ? json_dumps(detail, JSON_COMPACT) : NULL;
    gr_status status =
        text ? gr_events_append_signed(journal->file, event, journal->round, text, signer, NULL)
             : gr_fail(GR_ERROR_INTERNAL, "memory for a line of the journal was refused");
    free(text);
    json_decref(detail);
    if (status != GR_OK) journal->unwritten = true;
    return status;
}

static gr_status note_opening(struct gr_journal *journal) {
    const struct gr_journal_options *o = &journal->options;
    char key[GR_PUBLIC_KEY_TEXT] = "";
    if (o->keys) gr_public_key_text(gr_keys_public(o->keys), key);
    json_t *approvals = o->approvals ? json_loads(o->approvals, 0, NULL) : NULL;
    return append(journal, "opened",
                  json_pack("{s:s, s:s, s:i, s:s*, s:o*}", "study", journal->study, "site",
                            o->parties[o->party].name, "rank", o->rank, "key", key[0] ? key : NULL,
                            "approvals", approvals),
                  false);
}

gr_status gr_journal_open(const struct gr_journal_options *options, struct gr_journal **out) {
    gr_status status = GR_OK;
    struct gr_journal *journal = NULL;
    uint64_t n;
    bool torn;
    *out = NULL;
    GR_TRY(gr_allocate_zero(1, sizeof *journal, "the journal", &journal));
    journal->options = *options;
    journal->signer =
        (struct gr_chain_signer){.keys = options->keys, .purpose = GR_PURPOSE_OF_JOURNALS};
    gr_digest_hex(options->study, journal->study);
    GR_TRY(gr_text_format(&journal->path, "%s", options->path));
    journal->options.path = journal->path;
    GR_TRY(gr_events_open(journal->path, &journal->file));
    GR_TRY(gr_chain_read(journal->path, look_back, journal, &n, &torn));
    journal->round = journal->last.round;
    GR_TRY(note_opening(journal));
    GR_TRY(gr_journal_sync(journal));
    GR_TRY(gr_file_sync_folder(journal->path));
    *out = journal;
    journal = NULL;
out:
    if (journal) {
        gr_events_close(journal->file);
        gr_free(journal->path);
        gr_free(journal);
    }
    return status;
}

const char *gr_journal_damage(const struct gr_journal *journal) {
    return gr_events_damage(journal->file);
}

void gr_journal_begin(struct gr_journal *journal, uint32_t round) {
    journal->round = round;
}

/* ---- releases -------------------------------------------------------------------------------- */

gr_status gr_journal_add(struct gr_journal *journal, const struct gr_journal_release *release) {
    char digest[GR_DIGEST_HEX] = "";
    if (release->digest) gr_digest_hex(release->digest, digest);
    return append(journal, "release",
                  json_pack("{s:i, s:s, s:I, s:I, s:s*, s:s}", "release", release->id, "name",
                            release->name, "values", (json_int_t)release->values, "bytes",
                            (json_int_t)release->bytes, "digest", digest[0] ? digest : NULL,
                            "protected", release->how),
                  false);
}

gr_status gr_journal_withhold(struct gr_journal *journal,
                              const struct gr_journal_release *release) {
    return append(journal, "withheld",
                  json_pack("{s:i, s:s, s:I, s:s}", "release", release->id, "name", release->name,
                            "values", (json_int_t)release->values, "protected", release->how),
                  false);
}

/* ---- seals ----------------------------------------------------------------------------------- */

/* Whether the seal speaks of another run than the last, from its beginning. */
static bool begins_anew(const struct gr_journal *journal, const struct gr_run_seal *seal) {
    return seal->n == 1 && strcmp(seal->kind, "start") == 0 &&
           strcmp(seal->run_id, journal->last.run_id) != 0;
}

/*
 * What of a seal does not fit those before. Seals that this site has missed, for it was away, are
 * no contradiction: an audit finds them in the run. *what NULL: nothing.
 */
static gr_status compare_seals(const struct gr_journal *journal, const struct gr_run_seal *seal,
                               char **what) {
    const struct gr_run_seal *last = &journal->last;
    const bool again = strcmp(seal->kind, "resumed") == 0;
    if (last->n == 0 || begins_anew(journal, seal)) return GR_OK;
    if (strcmp(seal->run_id, last->run_id) != 0)
        return gr_text_format(what, "seal %llu is of run %.12s..., the one before of run %.12s...",
                              (unsigned long long)seal->n, seal->run_id, last->run_id);
    if (seal->n <= last->n)
        return gr_text_format(what,
                              "seal %llu of round %u comes after seal %llu of round %u: the "
                              "coordinator has gone back behind what it had sealed",
                              (unsigned long long)seal->n, seal->round, (unsigned long long)last->n,
                              last->round);
    if (seal->n == last->n + 1 && strcmp(seal->previous, last->hash) != 0)
        return gr_text_format(what,
                              "seal %llu does not follow seal %llu: two lines of seals have been "
                              "made, a fork",
                              (unsigned long long)seal->n, (unsigned long long)last->n);
    if (seal->n == last->n + 1 && seal->round < last->round && !again)
        return gr_text_format(what, "seal %llu is of round %u, the one before it of round %u",
                              (unsigned long long)seal->n, seal->round, last->round);
    return GR_OK;
}

/* What of a seal does not fit this study, its coordinator, or what the site has seen. */
static gr_status compare_with_own(const struct gr_journal *journal, const char *text,
                                  const struct gr_run_seal *seal,
                                  const struct gr_journal_seen *seen, char **what) {
    const struct gr_party *coordinator = &journal->options.parties[0];
    if (!gr_chain_signed(text, strlen(text), GR_PURPOSE_OF_SEALS, &coordinator->key))
        return gr_text_format(what, "seal %llu is not signed by the study's coordinator",
                              (unsigned long long)seal->n);
    if (strcmp(seal->study, journal->study) != 0)
        return gr_text_format(what, "seal %llu is of study %.12s..., expected %.12s...",
                              (unsigned long long)seal->n, seal->study, journal->study);
    if (seen->run_id && strcmp(seal->run_id, seen->run_id) != 0)
        return gr_text_format(what, "seal %llu is of run %s, this site was told of %s",
                              (unsigned long long)seal->n, seal->run_id, seen->run_id);
    if (seal->round != seen->round)
        return gr_text_format(what, "seal %llu is of round %u, this site has done %u",
                              (unsigned long long)seal->n, seal->round, seen->round);
    if (seal->model[0] && seen->model[0] && strcmp(seal->model, seen->model) != 0)
        return gr_text_format(what,
                              "seal %llu of round %u names a model of digest %.12s..., this site "
                              "holds %.12s...",
                              (unsigned long long)seal->n, seal->round, seal->model, seen->model);
    return GR_OK;
}

/* *what NULL: the seal is as expected. */
static gr_status find_contradiction(const struct gr_journal *journal, const char *text,
                                    const struct gr_run_seal *seal,
                                    const struct gr_journal_seen *seen, char **what) {
    gr_status status = compare_with_own(journal, text, seal, seen, what);
    return status == GR_OK && !*what ? compare_seals(journal, seal, what) : status;
}

gr_status gr_journal_seal(struct gr_journal *journal, const char *text,
                          const struct gr_journal_seen *seen) {
    gr_status status = GR_OK;
    struct gr_run_seal seal;
    char *what = NULL;
    if (gr_run_seal_read(text, strlen(text), &seal) != GR_OK)
        GR_TRY(gr_text_format(&what, "what came as a seal is none: %s", gr_message()));
    else
        GR_TRY(find_contradiction(journal, text, &seal, seen, &what));
    if (!what) {
        json_t *held = seen->model[0] ? NULL : json_false();
        GR_TRY(append(journal, "seal", json_pack("{s:s, s:o*}", "seal", text, "held", held), true));
        GR_TRY(gr_journal_sync(journal));
        journal->last = seal;
        goto out;
    }
    journal->contradicted = true;
    GR_TRY(append(
        journal, "contradiction",
        json_pack("{s:s, s:s%}", "what", what, "seal", text, strnlen(text, GR_SEAL_TEXT_MAX)),
        true));
    GR_TRY(gr_journal_sync(journal));
    status = gr_fail(GR_ERROR_POLICY,
                     "%s: %s; this site takes no further part, and its journal keeps the seal",
                     journal->path, what);
out:
    gr_free(what);
    return status;
}

gr_status gr_journal_leave(struct gr_journal *journal) {
    gr_status status = append(journal, "left", json_object(), true);
    return status == GR_OK ? gr_journal_sync(journal) : status;
}

/* Of one rank. */
static gr_status finish(const struct gr_journal_options *options, const struct gr_run_seal *seal,
                        const char *text) {
    gr_status status = GR_OK;
    struct gr_journal *journal = NULL;
    const struct gr_journal_seen seen = {.round = seal->round};
    GR_TRY(gr_journal_open(options, &journal));
    gr_journal_begin(journal, seal->round);
    if (strcmp(journal->last.hash, seal->hash) != 0) status = gr_journal_seal(journal, text, &seen);
    if (status == GR_OK) {
        status = gr_journal_close(journal, "finished");
    } else {
        char message[GR_MESSAGE_MAX];
        memcpy(message, gr_message(), strlen(gr_message()) + 1);
        (void)!gr_journal_close(journal, status == GR_ERROR_POLICY ? "refused" : "failed");
        (void)gr_fail(status, "%s", message);
    }
out:
    return status;
}

gr_status gr_journal_finish(const char *directory, const struct gr_journal_options *options,
                            const char *text) {
    gr_status status = GR_OK;
    struct gr_journal_options of_rank = *options;
    struct gr_run_seal seal;
    char *path = NULL;
    GR_TRY(gr_run_seal_read(text, strlen(text), &seal));
    for (;; of_rank.rank++) {
        gr_free(path);
        path = NULL;
        GR_TRY(gr_journal_path(directory, of_rank.rank, &path));
        if (of_rank.rank > 0 && access(path, F_OK) != 0) break;
        of_rank.path = path;
        GR_TRY(finish(&of_rank, &seal, text));
    }
out:
    gr_free(path);
    return status;
}

/* ---- the disk -------------------------------------------------------------------------------- */

gr_status gr_journal_sync(struct gr_journal *journal) {
    gr_status status = gr_events_sync(journal->file);
    if (status == GR_OK && gr_events_behind(journal->file) > 0)
        status = gr_fail(GR_ERROR_WRITE,
                         "%s: the disk is full, %zu lines wait; a site goes no further than its "
                         "journal",
                         journal->path, gr_events_behind(journal->file));
    if (status == GR_OK && journal->unwritten)
        status = gr_fail(GR_ERROR_WRITE, "%s: a line could not be written", journal->path);
    if (status != GR_OK) journal->unwritten = true;
    return status;
}

bool gr_journal_failed(const struct gr_journal *journal) {
    return journal->unwritten || journal->contradicted;
}

gr_status gr_journal_close(struct gr_journal *journal, const char *outcome) {
    gr_status status = GR_OK;
    if (!journal) return GR_OK;
    GR_TRY(append(journal, "closed", json_pack("{s:s}", "outcome", outcome), true));
    GR_TRY(gr_journal_sync(journal));
    status = gr_file_sync_folder(journal->path);
out:
    gr_events_close(journal->file);
    gr_free(journal->path);
    gr_free(journal);
    return status;
}

/* ---- whether it is over -----------------------------------------------------------------------
 */

/* Of the last stretch that the journal tells of. */
struct stretch_end {
    char study[GR_DIGEST_HEX]; /* sought */
    bool of_study, finished;
};

static gr_status look_for_end(void *context, const struct gr_chain_line *line) {
    struct stretch_end *end = context;
    json_t *json = json_loadb(line->text, line->n, JSON_REJECT_DUPLICATES, NULL);
    const char *event = json_string_value(json_object_get(json, "event"));
    const char *study = json_string_value(json_object_get(json, "study"));
    const char *outcome = json_string_value(json_object_get(json, "outcome"));
    if (event && strcmp(event, "opened") == 0) {
        end->of_study = study && strcmp(study, end->study) == 0;
        end->finished = false;
    }
    if (event && strcmp(event, "closed") == 0)
        end->finished = outcome && strcmp(outcome, "finished") == 0;
    json_decref(json);
    return GR_OK;
}

bool gr_journal_has_finished(const char *path, const unsigned char study[GR_DIGEST_BYTES]) {
    struct stretch_end end = {0};
    uint64_t n;
    bool torn;
    gr_digest_hex(study, end.study);
    return gr_chain_read(path, look_for_end, &end, &n, &torn) == GR_OK && end.of_study &&
           end.finished;
}
