/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evidence of a study while it runs. At each checkpoint, and where a stretch begins and ends, rank
 * 0 seals its records: a signed line with the head of the events and the digests of the files. All
 * are shown it, once it is on disk, and each site holds it against the model that it has itself and
 * countersigns it in its journal. A coordinator can then neither go back behind a seal nor show two
 * histories without some journal that proves it.
 *
 * A site that finds a contradiction, or cannot write its journal, leaves by itself, without an
 * agreement: the others lose it as they lose one that is killed, and go on.
 */
#include "federation/run.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Files that a seal speaks of as far as they are there; the newest checkpoint comes to them. */
static const char *const sealed_files[] = {"config.yaml",     "schema.yaml",       "resolved.yaml",
                                           "manifest.json",   "fingerprints.json", "metrics.jsonl",
                                           "evaluation.json", "model.h5"};

/* ---- beginning ------------------------------------------------------------------------------- */

/* A site's first rank has said it to the coordinator when all met. The coordinator counts the
 * same for its events. */
static void note_software(struct gr_run_state *run) {
    const struct gr_run_evidence *e = run->options->evidence;
    if (e->rank == 0 && gr_comm_parties(run->comm) > 1)
        gr_release_note(gr_cohort_door(run->cohort), GR_RELEASE_SOFTWARE, 1);
}

/* The first rank of a site keeps the record of the secure sums in which the site has taken part. */
static gr_status join_sums(const struct gr_run_state *run) {
    const struct gr_run_evidence *e = run->options->evidence;
    struct gr_door_party party = {.study = e->study,
                                  .parties = e->parties,
                                  .keys = e->keys,
                                  .roster_difference = e->roster_difference};
    char *sums = NULL;
    gr_status status = GR_OK;
    if (!gr_door_masks(gr_cohort_door(run->cohort))) return GR_OK;
    if (e->journal && e->rank == 0) GR_TRY(gr_text_format(&sums, "%s.sums", e->journal));
    party.sums = sums;
    status = gr_door_join(gr_cohort_door(run->cohort), &party);
out:
    gr_free(sums);
    return status;
}

gr_status gr_sealing_begin(struct gr_run_state *run) {
    const struct gr_run_evidence *e = run->options->evidence;
    gr_status status = GR_OK;
    if (!e) return GR_OK;
    run->private = true;
    run->umask = umask(0);
    umask(run->umask | S_IWGRP | S_IRWXO);
    GR_TRY(join_sums(run));
    if (!e->journal) {
        note_software(run);
        return GR_OK;
    }
    const struct gr_journal_options options = {.path = e->journal,
                                               .study = e->study,
                                               .follows = e->follows,
                                               .n_follows = e->n_follows,
                                               .parties = e->parties,
                                               .party = e->party,
                                               .rank = e->rank,
                                               .keys = e->keys,
                                               .approvals = e->approvals};
    GR_TRY(gr_journal_open(&options, &run->journal));
    gr_door_set_journal(gr_cohort_door(run->cohort), run->journal);
    note_software(run);
    if (gr_journal_damage(run->journal) && run->options->listener.hear)
        run->options->listener.hear(run->options->listener.context,
                                    gr_journal_damage(run->journal));
out:
    run->leaves = status != GR_OK;
    return status;
}

gr_status gr_sealing_open(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *path = NULL;
    if (!run->options->evidence || !run->options->evidence->keys || run->seals) return GR_OK;
    GR_TRY(gr_text_format(&path, "%s/seals.jsonl", run->path));
    GR_TRY(gr_events_open(path, &run->seals));
    if (run->progress && gr_events_damage(run->seals))
        gr_progress_say(run->progress, gr_events_damage(run->seals));
out:
    gr_free(path);
    return status;
}

/* ---- a seal ---------------------------------------------------------------------------------- */

/* Of the whole file as it is now. A file that is not there is not spoken of. */
static gr_status add_file(const struct gr_run_state *run, json_t *files, const char *name) {
    gr_status status = GR_OK;
    char *path = NULL, hex[GR_DIGEST_HEX];
    struct stat is;
    GR_TRY(gr_text_format(&path, "%s/%s", run->path, name));
    if (stat(path, &is) != 0) goto out;
    GR_TRY(gr_evidence_digest(path, hex));
    json_object_set_new(files, name,
                        json_pack("{s:I, s:s}", "bytes", (json_int_t)is.st_size, "digest", hex));
out:
    gr_free(path);
    return status;
}

static gr_status add_files(const struct gr_run_state *run, json_t *files) {
    gr_status status = GR_OK;
    char name[64];
    for (size_t i = 0; i < sizeof sealed_files / sizeof *sealed_files; i++)
        GR_TRY(add_file(run, files, sealed_files[i]));
    if (run->checkpointed > 0) {
        snprintf(name, sizeof name, "checkpoints/round-%06u.h5", run->checkpointed);
        GR_TRY(add_file(run, files, name));
    }
out:
    return status;
}

/* The parameters that all ranks hold after the round; at the end of a run those of the outcome. */
static void digest_model(const struct gr_run_state *run, const char *kind,
                         char out[GR_DIGEST_HEX]) {
    struct gr_state state;
    unsigned char digest[GR_DIGEST_BYTES];
    if (strcmp(kind, "finished") == 0)
        gr_federation_outcome(run->federation, &state);
    else
        gr_federation_state(run->federation, &state);
    gr_layout_digest(state.layout, state.parameters, digest);
    gr_digest_hex(digest, out);
}

/* The members of a seal behind the common ones of a line; released with free. */
static gr_status compose(const struct gr_run_state *run, const char *kind, char **out) {
    const struct gr_run_evidence *e = run->options->evidence;
    gr_status status = GR_OK;
    char study[GR_DIGEST_HEX], by[GR_PUBLIC_KEY_TEXT], model[GR_DIGEST_HEX];
    struct gr_head events;
    json_t *files = json_object(), *seal = NULL;
    gr_digest_hex(e->study, study);
    gr_public_key_text(gr_keys_public(e->keys), by);
    digest_model(run, kind, model);
    gr_events_head(run->events, &events);
    GR_TRY(add_files(run, files));
    seal = json_pack("{s:s, s:s, s:s, s:s, s:{s:I, s:s}, s:O}", "study", study, "run_id", run->id,
                     "by", by, "model", model, "events", "lines", (json_int_t)events.n, "head",
                     events.hash, "files", files);
    *out = seal ? json_dumps(seal, JSON_COMPACT) : NULL;
    if (!*out) status = gr_fail(GR_ERROR_INTERNAL, "memory for a seal was refused");
out:
    json_decref(seal);
    json_decref(files);
    return status;
}

/* Records that wait for a disk which is full cannot be sealed, nor can a seal that waits be shown.
 */
static gr_status append(struct gr_run_state *run, const char *kind, char **text) {
    gr_status status = GR_OK;
    char *detail = NULL, *line = NULL;
    const struct gr_chain_signer signer = {.keys = run->options->evidence->keys,
                                           .purpose = GR_PURPOSE_OF_SEALS};
    GR_TRY(gr_metrics_sync(run->metrics));
    GR_TRY(gr_events_sync(run->events));
    if (gr_metrics_behind(run->metrics) + gr_events_behind(run->events) +
            gr_events_behind(run->seals) >
        0)
        return gr_fail(GR_ERROR_WRITE, "records wait for a disk that is full");
    GR_TRY(compose(run, kind, &detail));
    GR_TRY(gr_events_append_signed(run->seals, kind, gr_federation_rounds_done(run->federation),
                                   detail, &signer, &line));
    GR_TRY(gr_events_sync(run->seals));
    if (gr_events_behind(run->seals) > 0)
        status = gr_fail(GR_ERROR_WRITE, "the seal waits for a disk that is full");
    if (status == GR_OK) {
        *text = line;
        line = NULL;
    }
out:
    gr_free(line);
    free(detail);
    return status;
}

gr_status gr_sealing_make(struct gr_run_state *run, const char *kind, char **text) {
    *text = NULL;
    if (!run->seals || !run->events || !run->metrics || !run->federation) return GR_OK;
    const gr_status status = append(run, kind, text);
    if (status == GR_OK || status == GR_ERROR_INTERNAL) return status;
    /* A run does not end for want of evidence: sites and an audit see that there is none. */
    char *words = NULL;
    if (gr_text_format(&words, "alert: no seal of round %u: %s",
                       gr_federation_rounds_done(run->federation), gr_message()) == GR_OK)
        gr_records_note(run, "alert", gr_federation_rounds_done(run->federation),
                        "{\"what\":\"the records could not be sealed\"}", words);
    gr_free(words);
    return GR_OK;
}

/* In the place of a seal, where rank 0 could make none. */
static const char no_seal[] = "-";

/* A seal that has come. */
static gr_status countersign(struct gr_run_state *run, const char *kind, const char *text) {
    struct gr_journal_seen seen = {.round = gr_federation_rounds_done(run->federation),
                                   .run_id = run->id};
    if (!run->journal || strcmp(text, no_seal) == 0) return GR_OK;
    digest_model(run, kind, seen.model);
    const gr_status status = gr_journal_seal(run->journal, text, &seen);
    run->leaves = gr_journal_failed(run->journal);
    return status;
}

gr_status gr_sealing_seal(struct gr_run_state *run, const char *kind) {
    enum { FILES = 1 + 1 + GR_SERVER_VECTORS_MAX };
    const bool begun = strcmp(kind, "start") != 0 && strcmp(kind, "resumed") != 0;
    gr_status status = GR_OK;
    char *text = NULL, *none = NULL;
    if (!run->options->evidence) return GR_OK;
    /* Rank 0 reads the model and the newest checkpoint once more. Before the first round the
     * deadline is that of the start. */
    if (begun) gr_run_allow(run, (double)(FILES * run->federation->layout->size * sizeof(float)));
    GR_TRY(
        gr_comm_agree(run->comm, gr_run_is_root(run) ? gr_sealing_make(run, kind, &text) : GR_OK));
    if (!text) GR_TRY(gr_text_format(&none, "%s", no_seal));
    if (!text) text = none;
    GR_TRY(gr_comm_broadcast_text(run->comm, &text, GR_SEAL_TEXT_MAX));
    status = countersign(run, kind, text);
out:
    if (begun) gr_run_allow(run, 0);
    if (text != none) gr_free(none);
    gr_free(text);
    return status;
}

/* ---- rounds, and the end --------------------------------------------------------------------- */

gr_status gr_sealing_note(struct gr_run_state *run) {
    if (!run->journal) return GR_OK;
    const gr_status status = gr_door_note_failures(gr_cohort_door(run->cohort));
    run->leaves = gr_journal_failed(run->journal);
    return status;
}

gr_status gr_sealing_round(struct gr_run_state *run, uint32_t round) {
    gr_status status = GR_OK;
    if (!run->journal) return GR_OK;
    GR_TRY(gr_journal_sync(run->journal));
    gr_journal_begin(run->journal, round + 1);
out:
    run->leaves = gr_journal_failed(run->journal);
    return status;
}

static const char *outcome_of(gr_status status) {
    switch (status) {
    case GR_OK:
        return "finished";
    case GR_STOPPED:
        return "stopped";
    case GR_LOST:
        return "lost";
    case GR_ERROR_POLICY:
        return "refused";
    default:
        return "failed";
    }
}

/* gr_message is the reason of the end, and stays. */
void gr_sealing_end(struct gr_run_state *run, gr_status status) {
    char message[GR_MESSAGE_MAX];
    if (!run->private) return;
    memcpy(message, gr_message(), strlen(gr_message()) + 1);
    if (run->cohort) gr_door_set_journal(gr_cohort_door(run->cohort), NULL);
    if (gr_journal_close(run->journal, outcome_of(status)) != GR_OK && run->options->listener.hear)
        run->options->listener.hear(run->options->listener.context, gr_message());
    run->journal = NULL;
    umask(run->umask);
    (void)gr_fail(status, "%s", message);
}
