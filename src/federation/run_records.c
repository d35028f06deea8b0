/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The files that rank 0 keeps in the run directory (config, manifest, metrics, events, evaluation,
 * model, report), and how another rank takes them over.
 *
 * Each file is either replaced as a whole (gr_file_write) or grows by whole lines, so a crash
 * leaves no torn file. The order of writing lets later files vouch for earlier ones: metrics,
 * manifest with their digest, closing event with the manifest's digest.
 */
#include "federation/run.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

static gr_status path_in(const struct gr_run_state *run, const char *name, char **out) {
    return gr_text_format(out, "%s/%s", run->path, name);
}

static gr_status write_text(const struct gr_run_state *run, const char *name, const char *text) {
    char *path = NULL;
    gr_status status = path_in(run, name, &path);
    if (status == GR_OK) status = gr_file_write(path, text, strlen(text));
    gr_free(path);
    return status;
}

/*
 * The batch job's id, "1234" or "1234_5" in an array; NULL outside of one. Quoted, because it comes
 * from the environment.
 */
static const char *job_id(char out[64]) {
    const char *job = getenv("SLURM_JOB_ID"), *array = getenv("SLURM_ARRAY_JOB_ID");
    const char *task = getenv("SLURM_ARRAY_TASK_ID");
    char *text = NULL;
    if (!job) return NULL;
    gr_status status = array && task ? gr_text_format(&text, "%s_%s", array, task)
                                     : gr_text_format(&text, "%s", job);
    if (status != GR_OK) return NULL;
    gr_text_quote(text, strlen(text), out, 64);
    gr_free(text);
    return out;
}

/*
 * outcome "running" at the start, else how the stretch ended. At the end records are synced first:
 * the manifest has the digest of metrics.jsonl and the head of the events, which must not be ahead
 * of the disk. closing.* is filled for the event that write_closing appends.
 */
static gr_status write_manifest(struct gr_run_state *run, const char *outcome,
                                const char *model_digest) {
    gr_status status = GR_OK;
    char now[32], job[64], metrics[GR_DIGEST_HEX], *path = NULL;
    struct gr_head events;
    struct gr_privacy_account account;
    gr_clock_utc(now);
    const bool end = strcmp(outcome, "running") != 0;
    const struct gr_federation *f = run->federation;
    struct gr_manifest manifest = {
        .config = run->config,
        .ranks = gr_comm_slots(run->comm),
        .nodes = gr_comm_nodes(run->comm),
        .n_silos = run->config->data.silos,
        .data = *gr_cohort_run_data(f->cohort),
        .architecture = gr_federation_architecture(f),
        .n_parameters = f->layout->n_parameters,
        .started_utc = run->started_utc,
        .resumed_from = run->resumed_from,
        .ended_utc = end ? now : NULL,
        .outcome = outcome,
        .costs = end ? &run->costs : NULL,
        .rounds_done = gr_federation_rounds_done(f),
        .model_digest = model_digest,
        .postprocessing = model_digest ? gr_postprocess_text(f) : NULL,
        .initial = run->config->model.initial_digest[0] ? run->config->model.initial_digest : NULL,
        .host_of = gr_cohort_hosts(f->cohort),
        .detection = gr_comm_detection(run->comm),
        .checkpoint_io = run->io.collective ? "collective" : "independent",
        .software = run->software.of_slot ? &run->software : NULL,
        .job = run->private ? NULL : job_id(job),
        .run_id = run->id,
        .study = run->options->evidence ? run->options->evidence->study : NULL,
    };
    if (f->spending) {
        GR_TRY(gr_spending_account(f, end, &account));
        manifest.privacy = &account;
    }
    memcpy(manifest.config_digest, run->config_digest, GR_DIGEST_BYTES);
    if (end) {
        GR_TRY(gr_records_sync(run));
        GR_TRY(path_in(run, "metrics.jsonl", &path));
        GR_TRY(gr_evidence_digest(path, metrics));
        gr_events_head(run->events, &events);
        manifest.events = &events;
        manifest.metrics_digest = metrics;
    }
    GR_TRY(gr_manifest_write(run->directory, &manifest, &run->evidence));
    if (end) memcpy(run->closing.metrics, metrics, sizeof metrics);
    memcpy(run->closing.manifest, run->evidence.manifest, GR_DIGEST_HEX);
    snprintf(run->closing.model, GR_DIGEST_HEX, "%s", model_digest ? model_digest : "");
out:
    gr_free(path);
    return status;
}

/*
 * The manifest, and then the event that closes the stretch with the digests of manifest, metrics
 * and model. The manifest has the events' head before this event: neither can contain the other's
 * digest. The exit code tells the kind of the end; its message may name what is nobody else's to
 * know, and is not in it.
 */
static gr_status write_closing(struct gr_run_state *run, const char *outcome, gr_status code,
                               const char *model_digest) {
    gr_status status = GR_OK;
    char *detail = NULL;
    const bool asked = code == GR_STOPPED && run->asked;
    GR_TRY(write_manifest(run, outcome, model_digest));
    GR_TRY(gr_text_format(&detail,
                          "{\"code\":%d,%s%s%s\"records\":{\"manifest\":\"%s\",\"metrics\":\"%s\","
                          "\"model\":\"%s\"}}",
                          (int)code, asked ? "\"why\":\"" : "", asked ? run->asked : "",
                          asked ? "\"," : "", run->closing.manifest, run->closing.metrics,
                          run->closing.model));
    gr_records_note(run, outcome, gr_federation_rounds_done(run->federation), detail, NULL);
out:
    gr_free(detail);
    return status;
}

/* Lines of rounds above `rounds` are dropped: they are of a future that the resumed run repeats. */
static gr_status open_files(struct gr_run_state *run, uint32_t rounds) {
    gr_status status = GR_OK;
    char *path = NULL;
    GR_TRY(path_in(run, "metrics.jsonl", &path));
    GR_TRY(gr_metrics_open(path, rounds, &run->metrics));
    gr_free(path);
    path = NULL;
    GR_TRY(path_in(run, "events.jsonl", &path));
    GR_TRY(gr_events_open(path, &run->events));
    GR_TRY(gr_sealing_open(run));
    run->synced = false;
    if (!run->progress)
        GR_TRY(gr_progress_create(run->options->progress, run->config->run.rounds, rounds,
                                  &run->progress));
    if (run->progress && gr_events_damage(run->events))
        gr_progress_say(run->progress, gr_events_damage(run->events));
    gr_monitoring_open(run, rounds);
out:
    gr_free(path);
    return status;
}

/*
 * Tries to leave at least an alert among the events. If that fails as well, `unwritten` makes the
 * run end with GR_ERROR_WRITE: an incomplete audit is not told as a success.
 */
void gr_records_unwritten(struct gr_run_state *run, const char *event, uint32_t round) {
    char *words = NULL, *reason = NULL;
    if (gr_text_format(&words, "alert: the event \"%s\" cannot be written down: %s", event,
                       gr_message()) == GR_OK &&
        run->progress)
        gr_progress_say(run->progress, words);
    if (gr_text_format(&reason, "{\"what\":\"the event '%s' cannot be written down\"}", event) !=
            GR_OK ||
        gr_events_append(run->events, "alert", round, reason) != GR_OK)
        run->unwritten = true;
    gr_free(reason);
    gr_free(words);
}

bool gr_records_note(struct gr_run_state *run, const char *event, uint32_t round,
                     const char *detail, const char *words) {
    const bool written = gr_events_append(run->events, event, round, detail) == GR_OK;
    if (strncmp(event, "alert", 5) == 0) gr_monitoring_alert(run, event, round, detail);
    if (!written) gr_records_unwritten(run, event, round);
    if (run->progress && words) gr_progress_say(run->progress, words);
    return written;
}

/*
 * A full disk is GR_OK here, and `evidence` stays what it was: the checkpoint then vouches for
 * fewer lines, all of which are on disk.
 */
gr_status gr_records_sync(struct gr_run_state *run) {
    const uint32_t round = gr_federation_rounds_done(run->federation);
    gr_status status = gr_metrics_sync(run->metrics);
    if (status != GR_OK) return status;
    if (gr_events_sync(run->events) != GR_OK) {
        gr_records_unwritten(run, "checkpoint", round);
        return GR_OK;
    }
    if (gr_metrics_behind(run->metrics) + gr_events_behind(run->events) > 0) return GR_OK;
    gr_metrics_head(run->metrics, &run->evidence.metrics);
    gr_events_head(run->events, &run->evidence.events);
    run->synced = run->evidence.manifest[0] != '\0';
    return GR_OK;
}

gr_status gr_records_evaluation(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_evaluation evaluation;
    char *text = NULL;
    if (!gr_federation_evaluation(run->federation, &evaluation)) return GR_OK;
    GR_TRY(gr_evaluation_to_json(&evaluation, &text));
    status = write_text(run, "evaluation.json", text);
out:
    gr_free(text);
    return status;
}

/*
 * An event whose detail is its words; none where words are NULL. Takes the words over. On the
 * terminal they keep their "alert: ", which the event's name says already.
 */
static gr_status note_words(struct gr_run_state *run, const char *event, uint32_t done,
                            char *words) {
    gr_status status = GR_OK;
    if (!words) return GR_OK;
    const char *what = strncmp(words, "alert: ", 7) == 0 ? words + 7 : words;
    json_t *object = json_pack("{s:s}", "what", what);
    char *detail = object ? json_dumps(object, JSON_COMPACT) : NULL;
    if (detail)
        gr_records_note(run, event, done, detail, words);
    else
        status = gr_fail(GR_ERROR_INTERNAL, "memory for an event was refused");
    json_decref(object);
    free(detail);
    gr_free(words);
    return status;
}

/* An event and a line for each column in which something was found or that says nothing, and for
 * what the fit, the files and the split have. */
static gr_status note_found(struct gr_run_state *run, uint32_t done) {
    gr_status status = GR_OK;
    const struct gr_cohort *cohort = run->cohort;
    char *words = NULL;
    for (size_t i = 0; i < gr_cohort_columns(cohort); i++) {
        GR_TRY(gr_cohort_tell_found(cohort, i, &words));
        GR_TRY(note_words(run, "findings", done, words));
        GR_TRY(gr_cohort_tell_vanished(cohort, i, &words));
        GR_TRY(note_words(run, "alert", done, words));
    }
    GR_TRY(gr_cohort_tell_preprocessing(cohort, &words));
    GR_TRY(note_words(run, "findings", done, words));
    GR_TRY(gr_cohort_tell_withheld(cohort, &words));
    GR_TRY(note_words(run, "alert", done, words));
    GR_TRY(gr_cohort_tell_passed_over(cohort, &words));
    GR_TRY(note_words(run, "findings", done, words));
    GR_TRY(gr_cohort_tell_weights(cohort, &words));
    GR_TRY(note_words(run, "findings", done, words));
    GR_TRY(gr_cohort_tell_codes(cohort, &words));
    GR_TRY(note_words(run, "findings", done, words));
    for (size_t i = 0; i < GR_TELL_SPLITS; i++) {
        GR_TRY(gr_cohort_tell_split(cohort, i, &words));
        GR_TRY(note_words(run, "alert", done, words));
    }
out:
    return status;
}

/*
 * {"what": "data cannot be read", "silos": [{"silo": "silo-001", "why": "column 2: ..."}]}, at most
 * LISTED_MAX of them, so that the event fits a line.
 */
static gr_status detail_unusable(const struct gr_run_state *run, char **out) {
    enum { LISTED_MAX = 200 };
    char why[160], name[24];
    json_t *silos = json_array();
    for (uint32_t i = 0; i < run->config->data.silos && json_array_size(silos) < LISTED_MAX; i++) {
        if (!gr_cohort_sits_out(run->cohort, i, why, sizeof why)) continue;
        gr_silo_pseudonym(i, name);
        json_array_append_new(silos, json_pack("{s:s, s:s}", "silo", name, "why", why));
    }
    json_t *object = json_pack("{s:s, s:o}", "what", "data cannot be read", "silos", silos);
    *out = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    return *out ? GR_OK : gr_fail(GR_ERROR_INTERNAL, "memory for an event was refused");
}

/* The number of silos that sit out the run; the reasons of the first SAID_MAX go to the terminal.
 */
static gr_status note_unusable(struct gr_run_state *run, uint32_t unusable, uint32_t done) {
    enum { SAID_MAX = 10 };
    gr_status status;
    char *words = NULL, *detail = NULL, why[160], line[256], name[24];
    uint32_t said = 0;
    GR_TRY(detail_unusable(run, &detail));
    GR_TRY(gr_text_format(&words, "%u of %u silos sit out: their data cannot be read", unusable,
                          run->config->data.silos));
    gr_records_note(run, "alert", done, detail, words);
    for (uint32_t i = 0; run->progress && i < run->config->data.silos && said < SAID_MAX; i++) {
        if (!gr_cohort_sits_out(run->cohort, i, why, sizeof why)) continue;
        gr_silo_pseudonym(i, name);
        if (gr_silos_named(run->config))
            snprintf(line, sizeof line, "  %s (%s): %s", run->config->silos[i].name, name, why);
        else
            snprintf(line, sizeof line, "  %s: %s", name, why);
        gr_progress_say(run->progress, line);
        said++;
    }
out:
    free(detail);
    gr_free(words);
    return status;
}

/* A single wrong label, as 999 for missing, is enough to make a model of hundreds of outputs. */
static void note_classes(struct gr_run_state *run, uint32_t done) {
    if (!gr_cohort_empty_classes(run->cohort)) return;
    gr_records_note(run, "alert", done, "{\"what\":\"most classes have no rows\"}",
                    "alert: most classes have no rows in any silo; where a label is wrong, "
                    "model.classes refuses it by its place");
}

static const char *behind_path(const struct gr_run_state *run, const char *text) {
    const size_t n = strlen(run->path);
    if (!run->private || strncmp(text, run->path, n) != 0) return text;
    return text + n + strspn(text + n, ":/ ");
}

/* In words, the differences of the records from the checkpoint that the run goes on from; NULL:
 * none. Called before the manifest is replaced and the records are opened, which drops later lines.
 * Caller frees. */
static char *find_differences(const struct gr_run_state *run) {
    char *words = NULL, *differences = NULL;
    /* What differs comes behind the path, which is nobody else's to know. */
    if (gr_evidence_compare(run->path, run->resumed_from, &words) != GR_OK)
        (void)!gr_text_format(&differences, "%s", behind_path(run, gr_message()));
    gr_free(words);
    return differences;
}

/* An alert where the file system of the run directory lacks something. */
static gr_status note_warning(struct gr_run_state *run, uint32_t done) {
    gr_status status = GR_OK;
    char *words = NULL;
    const char *warning = gr_run_directory_warning(run->directory);
    if (!warning) return GR_OK;
    GR_TRY(gr_text_format(&words, "alert: %s", warning));
    status = note_words(run, "alert", done, words);
out:
    return status;
}

/* An alert where hints are for a way that `auto` has not taken, and so have no effect. */
static void note_hints(struct gr_run_state *run, uint32_t done) {
    if (run->config->checkpoint.hints_count == 0 || run->io.collective) return;
    gr_records_note(run, "alert", done, "{\"what\":\"checkpoint.hints are not used\"}",
                    "alert: checkpoint.hints are not used, as each rank writes checkpoints for "
                    "itself; with checkpoint.io collective they are");
}

/* An alert where ranks have different processors: either all keep to the instructions that they
 * have in common, or the model's bits depend on the placement of silos. */
static gr_status note_instructions(struct gr_run_state *run, uint32_t done) {
    gr_status status = GR_OK;
    char *words = NULL;
    const char *text = run->instructions_text;
    if (run->instructions == 0) return GR_OK;
    GR_TRY(gr_text_format(&words, "the ranks' processors differ: %s%s",
                          text ? "all use the instructions of " : "the model's bits depend on",
                          text ? text : " which rank hosts which silo"));
    status = note_words(run, "alert", done, words);
out:
    return status;
}

/*
 * The event that opens a stretch names the run: two runs of the same config that begin in the same
 * second have chains of their own. Of a study also the version, and how many silos it has, which a
 * replay takes for the rounds of the stretch.
 */
static void note_beginning(struct gr_run_state *run, uint32_t done) {
    const struct gr_run_evidence *e = run->options->evidence;
    char detail[256], study[GR_DIGEST_HEX];
    if (e) gr_digest_hex(e->study, study);
    if (e)
        snprintf(detail, sizeof detail, "{\"run_id\":\"%s\",\"study\":\"%s\",\"silos\":%u}",
                 run->id, study, run->config->data.silos);
    else
        snprintf(detail, sizeof detail, "{\"run_id\":\"%s\"}", run->id);
    gr_records_note(run, done ? "resumed" : "started", done, detail, NULL);
    if (!run->evolved) return;
    snprintf(detail, sizeof detail, "{\"study\":\"%s\"}", study);
    gr_records_note(run, "version", done, detail, "the run goes on by a new version of the study");
}

/* Whether the study says of a site that it has left. */
static bool some_have_left(const struct gr_run_state *run) {
    const struct gr_run_evidence *e = run->options->evidence;
    for (uint32_t p = 0; e && p < gr_comm_parties(run->comm); p++)
        if (e->parties[p].left) return true;
    return false;
}

/*
 * Silos of ranks that were lost before the first round: preprocessing and counts were fitted
 * without them, which a replay must repeat to get the same bits.
 */
static gr_status note_missing(struct gr_run_state *run, uint32_t done) {
    gr_status status;
    char *list = NULL, *detail = NULL, *words = NULL;
    const uint32_t n = run->missing.n_set;
    if (n == 0) return GR_OK;
    GR_TRY(gr_silo_list("silos", run->missing.set, n, &list));
    GR_TRY(gr_text_format(&detail, "%.*s,\"before_start\":true}", (int)strlen(list) - 1, list));
    GR_TRY(gr_text_format(&words, "alert: %u of %u silos were lost%s before the first round", n,
                          run->config->data.silos,
                          some_have_left(run) ? ", or have left the study," : ""));
    gr_records_note(run, "lost", done, detail, words);
out:
    gr_free(words);
    gr_free(detail);
    gr_free(list);
    return status;
}

/* All settings. In a study the records go to others: of the two paths that the coordinator's config
 * has only the end is told. */
static gr_status resolve(const struct gr_run_state *run, char **out) {
    struct gr_config shown = *run->config;
    char here[] = ".", schema[] = "schema.yaml";
    if (run->private) {
        shown.run.directory = here;
        if (shown.data.schema[0]) shown.data.schema = schema;
    }
    return gr_config_to_yaml(&shown, out);
}

/* What is promised, before it is told. */
static gr_status say_privacy(struct gr_run_state *run) {
    const struct gr_config *config = run->config;
    const struct gr_federation *f = run->federation;
    struct gr_privacy_account account;
    char line[256], before[64] = "";
    gr_status status = GR_OK;
    if (!run->progress || !f->spending) return GR_OK;
    GR_TRY(gr_spending_account(f, false, &account));
    if (account.before > 0)
        snprintf(before, sizeof before, "; %.4g spent before, %.4g in all", account.before,
                 account.total);
    snprintf(line, sizeof line,
             "privacy    each %s: epsilon at most %.4g, delta %g, after %u rounds%s",
             gr_privacy_unit_text(config->privacy.unit), account.upper,
             config->privacy.budget.delta, account.rounds, before);
    if (config->run.rehearsal && config->privacy.unit != GR_PRIVACY_SILO)
        snprintf(line, sizeof line, "privacy    none: a rehearsal's noise follows from run.seed");
    gr_progress_say(run->progress, line);
out:
    return status;
}

/*
 * Rank 0, once the federation is made and before the first round. Differences are looked for before
 * the manifest is replaced, which would hide them. The config is written as it was given
 * (config.yaml) and with all defaults filled in (resolved.yaml).
 */
gr_status gr_records_start(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *resolved = NULL, *differences = NULL;
    const uint32_t done = gr_federation_rounds_done(run->federation);
    const uint32_t unusable = gr_cohort_unusable(run->cohort);
    GR_TRY(resolve(run, &resolved));
    GR_TRY(write_text(run, "config.yaml", run->config_text));
    GR_TRY(write_text(run, "resolved.yaml", resolved));
    if (run->options->resume) differences = find_differences(run);
    GR_TRY(write_manifest(run, "running", NULL));
    GR_TRY(open_files(run, done));
    run->opening.run_path = gr_path_shown(run->path);
    gr_progress_open(run->progress, &run->opening);
    GR_TRY(say_privacy(run));
    note_beginning(run, done);
    gr_records_partings(run, done);
    GR_TRY(note_missing(run, done));
    if (run->passed_over) gr_records_note(run, "damaged checkpoint passed over", done, NULL, NULL);
    if (run->adopted)
        gr_records_note(run, "adopted", done,
                        "{\"what\":\"the checkpoint is of before runs had an id\"}",
                        "the checkpoint is of before runs had an id: taken for this run's");
    GR_TRY(note_words(run, "alert", done, differences));
    differences = NULL;
    if (!run->room)
        gr_records_note(run, "alert", done,
                        "{\"what\":\"the disk has no room for checkpoint.keep checkpoints\"}",
                        "alert: the disk has no room for checkpoint.keep checkpoints and one more");
    if (unusable > 0) GR_TRY(note_unusable(run, unusable, done));
    if (gr_cohort_uncompared(run->cohort) > 0)
        gr_records_note(run, "alert", done, "{\"what\":\"data cannot be compared\"}",
                        "alert: some data cannot be compared with those that the run was "
                        "begun with: their salts are gone from its folder secrets/");
    gr_records_releases(run, done);
    note_classes(run, done);
    GR_TRY(note_warning(run, done));
    GR_TRY(note_instructions(run, done));
    note_hints(run, done);
    status = note_found(run, done);
out:
    gr_free(differences);
    gr_free(resolved);
    return status;
}

/* ---- taking over ---------------------------------------------------------------------------- */

static void let_go(struct gr_run_state *run) {
    gr_monitoring_close(run);
    gr_progress_free(run->progress);
    gr_events_close(run->events);
    gr_events_close(run->seals);
    gr_metrics_close(run->metrics);
    gr_run_directory_close(run->directory);
    run->progress = NULL;
    run->seals = NULL;
    run->events = NULL;
    run->metrics = NULL;
    run->directory = NULL;
}

/*
 * This rank has become rank 0. It has not seen which events its predecessor wrote: those that stand
 * until the next ("partial", "releases") are treated as unknown and written again. Metrics lines
 * above `rounds` are dropped, and gr_record_round writes the round's line again.
 */
static gr_status take_over(struct gr_run_state *run, uint32_t rounds) {
    gr_status status = GR_OK;
    GR_TRY(gr_run_directory_take_over(run->path, &run->directory));
    GR_TRY(open_files(run, rounds));
    run->written = rounds;
    /* This rank does not know which events stand in the records: they are told anew. */
    run->between = GR_BETWEEN_AUTO;
    gr_free(run->partial);
    run->released_known = false; /* the event that stands is of the rank that was rank 0 */
    run->partial = NULL;
    GR_TRY(gr_text_format(&run->partial, "%s", "unknown"));
    /* Without it checkpoints tell nothing of the records. */
    if (gr_manifest_evidence(run->path, &run->evidence) != GR_OK) run->evidence.manifest[0] = '\0';
    gr_records_note(run, "takeover", gr_federation_rounds_done(run->federation), NULL,
                    "rank 0 was lost: another rank keeps the records");
out:
    if (status != GR_OK) let_go(run);
    return status;
}

/*
 * With round.deadline_s a rank that is merely slow is given up while it lives, and may still
 * believe itself rank 0; so it looks for later claims before each round's records.
 */
gr_status gr_records_hold(struct gr_run_state *run, uint32_t rounds) {
    if (!gr_run_is_root(run)) {
        let_go(run);
        return GR_OK;
    }
    const uint32_t epoch = gr_comm_epoch(run->comm);
    if (run->config->round.deadline_s > 0 && gr_run_superseded(run->path, run->start, epoch))
        return gr_fail(GR_LOST, "%s: others have gone on without this rank", run->path);
    if (!run->directory) return take_over(run, rounds);
    if (epoch > 0) gr_run_directory_relock(run->directory);
    return GR_OK;
}

/* ---- the end -------------------------------------------------------------------------------- */

/*
 * The round whose model is kept, where that need not be the last. Comes before the closing event.
 */
static gr_status note_best(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *detail = NULL, *words = NULL;
    const uint32_t done = gr_federation_rounds_done(run->federation);
    const uint32_t best = gr_best_round(run->federation);
    const bool early = done < run->config->run.rounds;
    const char *metric = gr_stop_text(run->config->stop.metric);
    if (run->config->stop.metric == GR_STOP_NONE) return GR_OK;
    if (best == 0) { /* no validation rows, or no round that counts */
        gr_records_note(run, "alert", done, "{\"what\":\"stop.metric has had no value\"}",
                        "alert: stop.metric has had no value: the last model is kept");
        return GR_OK;
    }
    GR_TRY(gr_text_format(&detail, "{\"metric\":\"%s\",\"best_round\":%u}", metric, best));
    GR_TRY(gr_text_format(&words, "%s round %u: %s was best in round %u, whose model is kept",
                          early ? "early stop after" : "end at", done, metric, best));
    gr_records_note(run, early ? "early stop" : "best model", done, detail, words);
out:
    gr_free(words);
    gr_free(detail);
    return status;
}

/* What was asked for, and is not in the model. */
static gr_status note_postprocessing(struct gr_run_state *run) {
    gr_status status = GR_OK;
    char *words = NULL;
    const struct gr_postprocess_why why = gr_postprocess_why(run->federation);
    const uint32_t done = gr_federation_rounds_done(run->federation);
    if (why.recalibration) {
        GR_TRY(
            gr_text_format(&words, "alert: the model is not recalibrated: %s", why.recalibration));
        GR_TRY(note_words(run, "alert", done, words));
    }
    if (why.sets) {
        GR_TRY(gr_text_format(&words, "alert: the model has no conformal sets: %s", why.sets));
        status = note_words(run, "alert", done, words);
    }
out:
    return status;
}

/* Of the outcome's evaluation. */
static struct gr_headline headline_of(const struct gr_run_state *run) {
    struct gr_headline headline = {(double)NAN, (double)NAN, (double)NAN};
    struct gr_evaluation evaluation;
    if (!gr_federation_evaluation(run->federation, &evaluation)) return headline;
    const struct gr_metric_value auc =
        gr_accumulator_metric(evaluation.accumulator, gr_metric_find("auc"));
    headline.largest = gr_accumulator_largest_class(evaluation.accumulator).share;
    const struct gr_metric_value r2 =
        gr_accumulator_metric(evaluation.accumulator, gr_metric_find("r2"));
    if (!auc.why) headline.auc = auc.value;
    if (!r2.why) headline.r2 = r2.value;
    return headline;
}

/*
 * Rank 0, at the end of a run; may be called again after a loss, by this rank or the next: files
 * are written over with the same content, `ended` keeps the closing event from being written twice
 * by one process. Lines that still wait for a full disk make the run fail, for there is no later
 * chance.
 */
gr_status gr_records_finish(struct gr_run_state *run) {
    gr_status status = GR_OK;
    struct gr_state state;
    char *path = NULL, hex[GR_DIGEST_HEX];
    unsigned char digest[GR_DIGEST_BYTES];
    gr_federation_outcome(run->federation, &state);
    memcpy(state.config_digest, run->origin, GR_DIGEST_BYTES);
    GR_TRY(path_in(run, "model.h5", &path));
    GR_TRY(gr_records_evaluation(run));
    GR_TRY(gr_model_file_write(path, &state));
    gr_layout_digest(state.layout, state.parameters, digest);
    gr_digest_hex(digest, hex);
    if (!run->ended) {
        /* gr_progress_finish is about to: there is no event behind the one that closes. */
        if (gr_progress_tells_job(run->progress))
            gr_release_note(gr_cohort_door(run->cohort), GR_RELEASE_JOB_COMMENT, 1);
        gr_monitoring_end(run, "finished");
        gr_records_releases(run, gr_federation_rounds_done(run->federation));
        GR_TRY(note_best(run));
        GR_TRY(note_postprocessing(run));
        GR_TRY(write_closing(run, "finished", GR_OK, hex));
    }
    GR_TRY(gr_report_write(run->path));
    if (gr_metrics_behind(run->metrics) + gr_events_behind(run->events) > 0 || run->unwritten)
        status = gr_fail(GR_ERROR_WRITE, "%s: the disk refused the last lines of the records",
                         run->path);
    if (run->progress && !run->ended) {
        const struct gr_headline headline = headline_of(run);
        gr_progress_finish(
            run->progress, run->path, hex, &headline,
            gr_spending_ends(run->federation) ? "privacy.budget: no further round fits" : NULL);
    }
    run->ended = true;
out:
    gr_free(path);
    return status;
}

/*
 * gr_message is the reason of the end and must survive: it is saved first and set again last, with
 * the records' own failure added to it where there was one.
 */
void gr_records_end_early(struct gr_run_state *run, gr_status reason) {
    char *message = NULL;
    const char *outcome = reason == GR_STOPPED ? "stopped" : "failed";
    if (!run->events || run->ended || gr_text_format(&message, "%s", gr_message()) != GR_OK) return;
    run->ended = true;
    uint32_t done = gr_federation_rounds_done(run->federation);
    if (run->progress && reason == GR_STOPPED)
        gr_progress_finish(run->progress, run->path, NULL, NULL, gr_run_resumes(run));
    if (reason == GR_STOPPED && gr_progress_tells_job(run->progress))
        gr_release_note(gr_cohort_door(run->cohort), GR_RELEASE_JOB_COMMENT, 1);
    gr_monitoring_end(run, outcome);
    gr_records_releases(run, done);
    gr_records_partings(run, done);
    gr_status noted = write_closing(run, outcome, reason, NULL);
    if (noted == GR_OK && done > 0) noted = gr_report_write(run->path);
    if (noted == GR_OK)
        (void)gr_fail(reason, "%s", message);
    else
        (void)gr_fail(reason, "%s (and its records: %s)", message, gr_message());
    gr_free(message);
}

void gr_records_begin_anew(struct gr_run_state *run) {
    gr_events_close(run->events);
    gr_metrics_close(run->metrics);
    run->events = NULL;
    run->metrics = NULL;
}

void gr_records_close(struct gr_run_state *run) {
    gr_energy_close(&run->energy);
    let_go(run);
}
